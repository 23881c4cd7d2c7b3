"""Verifies Ed25519 signatures (RFC 8032), as strictly as `spec/audit.md` says. For public data only: nothing here hides how long it takes."""

from __future__ import annotations

import hashlib

P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT_OF_MINUS_1 = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]  # X, Y, Z and T of RFC 8032, 5.1.4
NEUTRAL: Point = (0, 1, 1, 0)


def add(one: Point, other: Point) -> Point:
    (x1, y1, z1, t1), (x2, y2, z2, t2) = one, other
    a, b, c, d = (y1 - x1) * (y2 - x2), (y1 + x1) * (y2 + x2), 2 * t1 * t2 * D, 2 * z1 * z2
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number: int, point: Point) -> Point:
    found = NEUTRAL
    for bit in f"{number:b}":
        found = add(found, found)
        found = add(found, point) if bit == "1" else found
    return found


def same(one: Point, other: Point) -> bool:
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 == (one[1] * other[2] - other[1] * one[2]) % P


def decode(stored: bytes) -> Point | None:
    """The point of 32 bytes (RFC 8032, 5.1.3); None if they are not the canonical form of one."""
    number = int.from_bytes(stored, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * ROOT_OF_MINUS_1 % P
    if len(stored) != 32 or y >= P or x * x % P != square or (sign and not x):
        return None
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


def of_large_order(stored: bytes) -> Point | None:
    point = decode(stored)
    return point if point and not same(times(8, point), NEUTRAL) else None


BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little")) or NEUTRAL


def ed25519_is_right(public: bytes, message: bytes, signature: bytes) -> bool:
    """Strict: S below the order, R and the key canonical and of no small order, the equation without the cofactor."""
    key, r, s = of_large_order(public), of_large_order(signature[:32]), int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or not key or not r or s >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    return same(times(s, BASE), add(r, times(challenge, key)))

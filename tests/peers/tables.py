"""From rounds to medians, figures at a recall, and Markdown."""

import math
from statistics import median

TARGETS = (0.95, 0.99)


def medians(rounds, keys):
    """Per ef, the median over rounds of each key."""
    return [{"ef": ef, **{key: median(one[ef][key] for one in rounds) for key in keys}} for ef in rounds[0]]


def at(rows, target, key="qps"):
    """(value, bound): log-linear between the rows around a recall; a first row above it is only a lower bound."""
    before = None
    for row in rows:
        if row["recall"] >= target:
            if before is None:
                return row[key], row["recall"] > target
            share = (target - before["recall"]) / (row["recall"] - before["recall"])
            return math.exp(math.log(before[key]) * (1 - share) + math.log(row[key]) * share), False
        before = row
    return None, False


def value(number, digits=0):
    return "-" if number is None else f"{number:,.{digits}f}"


def bounded(pair):
    return (">= " if pair[1] else "") + value(pair[0])


def ratio(ours, theirs):
    """Of (value, bound) pairs; says which way it is a bound."""
    if ours[0] is None or theirs[0] is None:
        return "-"
    sign = "" if ours[1] == theirs[1] == 0 else "~ " if ours[1] and theirs[1] else ">= " if ours[1] else "<= "
    return f"{sign}{ours[0] / theirs[0]:.2f}"


def markdown(heads, lines):
    out = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return "\n".join(out + ["| " + " | ".join(map(str, line)) + " |" for line in lines])


def sweep(title, rows, extra=()):
    """A side's table; `extra` holds (head, key, digits)."""
    columns = [("queries a second", "qps", 0), ("p50 us", "p50_micros", 1), ("p99 us", "p99_micros", 1), *extra]
    lines = [[r["ef"], f"{r['recall']:.4f}", *(value(r.get(k), d) for _, k, d in columns)] for r in rows]
    return f"\n**{title}**\n\n" + markdown(["ef", "recall", *(head for head, _, _ in columns)], lines)


def peer_table(side):
    extra = (("one at a time", "single_qps", 0), ("batch", "batch_qps", 0), ("batch per CPU-s", "batch_qps_cpu", 0))
    return sweep(f"hnswlib {side['version']}, the faster of one at a time and batch", side["rows"], extra)


def our_table(side):
    return sweep("rvf", side["rows"], (("distances", "distances", 0), ("recall by `bench`", "bench_recall", 4)))


def summary(data, sides):
    """Both sides and rvf / hnswlib, one figure a line."""
    ours, theirs = sides.get("rvf"), sides.get("hnswlib")
    lines = []
    for target in TARGETS:
        pairs = [at(side["rows"], target) if side else (None, False) for side in (ours, theirs)]
        lines.append([f"queries a second at recall {target}", *map(bounded, pairs), ratio(*pairs)])
    best = [max(row["recall"] for row in side["rows"]) if side else None for side in (ours, theirs)]
    lines.append(["highest recall reached", *(value(number, 4) for number in best), ""])

    def pair(name, pick, digits, unit=1.0):
        found = [(pick(side) if side else None, False) for side in (ours, theirs)]
        shown = [value(None if number is None else number / unit, digits) for number, _ in found]
        lines.append([name, *shown, ratio(*found)])

    pair("build, CPU-seconds, 1 thread", lambda side: side["build"]["cpu_seconds"], 1)
    pair("build, wall seconds, 2 threads", lambda side: side["build"].get("wall_seconds_2"), 1)
    pair("file, MiB", lambda side: side["build"]["bytes"], 1, 2**20)
    raw = data.raw_bytes()
    pair(f"file / raw f32 ({raw / 2**20:.1f} MiB)", lambda side: side["build"]["bytes"], 3, raw)
    return "\n**Summary**\n\n" + markdown(["", "rvf", "hnswlib", "rvf / hnswlib"], lines)

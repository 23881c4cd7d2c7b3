#!/usr/bin/env bash
# Runs the kernels' property list on NEON, on any Linux machine: built for AArch64, run by QEMU's user emulation.
#
#   apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross     (Debian; once)
#   tests/neon.sh                    the kernels
#   tests/neon.sh TEST ...           tests of rvf-engine whose names contain TEST
set -euo pipefail
cd "$(dirname "$0")/.."
TARGET=aarch64-unknown-linux-gnu
for tool in qemu-aarch64 aarch64-linux-gnu-gcc; do
    command -v "$tool" >/dev/null || { printf 'neon.sh: %s is missing: see the first lines of this file\n' "$tool" >&2; exit 3; }
done
rustup target list --installed | grep -qx "$TARGET" || rustup target add "$TARGET"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
# `pure` keeps BLAKE3's C and assembly out. A level that the tests do not find is not tested: NEON has to be there.
if [ $# -eq 0 ]; then
    set -- kernel
fi
cargo test --locked -p rvf-engine --features rvf-format/pure --lib --target "$TARGET" -- "$@"

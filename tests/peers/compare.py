#!/usr/bin/env python3
"""Measures `rvf` beside hnswlib on the same data in the same run, and prints Markdown tables.

Set up (hnswlib is compiled for this CPU, -march=native, which is its default and kept):

    python3 -m venv .venv
    .venv/bin/pip install -r tests/peers/requirements.txt

Run, where FOLDER has base.npy, queries.npy and truth.npy (rows of the whole base.npy):

    .venv/bin/python tests/peers/compare.py --rvf target/release/rvf --data FOLDER --metric cosine
    .venv/bin/python tests/peers/compare.py --rvf target/release/rvf --clusters

Searches use one thread on both sides. hnswlib is asked one query at a time and in one batch, since a Python call a
query would flatter us; the faster counts. A hit is right if its exact distance is at most 1e-6 of the k-th's magnitude
beyond the true k-th distance. Figures are medians over interleaved rounds. hnswlib's index is kept in the work folder.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402

from statistics import median  # noqa: E402

try:
    import numpy  # noqa: F401
except ImportError:
    sys.exit("compare: numpy cannot be imported: pip install -r tests/peers/requirements.txt")

import data as sets  # noqa: E402
import peer  # noqa: E402
import tables  # noqa: E402
from ours import Ours  # noqa: E402

K = 10
PEER_LOW = (10, 12)  # so that a curve that starts high still has a point below 0.95
PEER_KEYS = ("single_qps", "single_qps_cpu", "batch_qps", "batch_qps_cpu", "p50_micros", "p99_micros")
OUR_KEYS = ("qps", "p50_micros", "p99_micros")


def arguments():
    numbers = lambda text: sorted({int(one) for one in text.split(",")})  # noqa: E731
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    parser = argparse.ArgumentParser(description="Measures rvf beside hnswlib.")
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help="folder with base.npy, queries.npy, truth.npy")
    source.add_argument("--clusters", action="store_true", help="well-separated Gaussian clusters, l2, made here")
    add("--rvf", help="the command to measure")
    add("--metric", choices=("cosine", "l2"))
    add("--rounds", type=int, default=3)
    add("--ef", type=numbers, default="16,24,32,48,64,96,128,192,256,384")
    add("--peer-ef", type=numbers, help="hnswlib's; by default those of --ef, 10 and 12")
    add("--m", type=int, default=16, help="hnswlib's graph")
    add("--ef-construction", type=int, default=200, help="hnswlib's graph")
    add("--same-graph", action="store_true", help="give rvf --m and --ef-construction too")
    add("--dtype", help="given to rvf import")
    add("--only", choices=("rvf", "hnswlib"))
    add("--peer-two-threads", action="store_true", help="build hnswlib's index with two threads too, for the wall time")
    add("--rebuild", action="store_true", help="build hnswlib's index even if it is kept")
    add("--work", default=os.path.join(cache, "rvf-peers", "compare"))
    add("--json", metavar="OUT", help="write every figure here")
    args = parser.parse_args()
    args.metric = args.metric or ("l2" if args.clusters else None)
    if args.metric is None or (args.clusters and args.metric != "l2"):
        parser.error("--data needs --metric; --clusters is l2")
    if args.only != "hnswlib" and not args.rvf:
        parser.error("--rvf is missing")
    if args.rounds < 1 or min(args.ef + (args.peer_ef or args.ef)) < K:
        parser.error(f"--rounds is at least 1, ef at least {K}")
    args.peer_ef = args.peer_ef or sorted({*PEER_LOW, *args.ef})
    return args


def say(text):
    print(f"compare: {text}", file=sys.stderr, flush=True)


def start_peer(data, args):
    say("hnswlib: build, or take the one kept")
    path, build = peer.built(data, args)
    if args.peer_two_threads:
        build["wall_seconds_2"] = peer.built(data, args, threads=2)[1]["wall_seconds"]
    return peer.Peer(data, path), {"version": peer.version(), "build": build, "rounds": []}


def start_ours(data, args):
    say("rvf: import, index")
    ours = Ours(data, args)
    build = ours.build()
    build["wall_seconds_2"] = build["import"]["wall_seconds"] + build["index_2"]["wall_seconds"]
    return ours, {"build": build, "rounds": []}


def measure(data, args):
    """Builds, then interleaved rounds, then recall, untimed."""
    them, theirs = start_peer(data, args) if args.only != "rvf" else (None, None)
    ours, us = start_ours(data, args) if args.only != "hnswlib" else (None, None)
    load = []
    for round_ in range(args.rounds):
        load.append(os.getloadavg()[0])
        say(f"round {round_ + 1} of {args.rounds}, load {load[-1]:.2f}")
        if them:
            theirs["rounds"].append({ef: them.measure(ef) for ef in args.peer_ef})
        if ours:
            us["rounds"].append(ours.bench())
    sides = {}
    if them:
        sides["hnswlib"] = finish_peer(data, args, them, theirs)
    if ours:
        sides["rvf"] = finish_ours(data, args, ours, us)
    return sides, load


def finish_peer(data, args, them, side):
    side["load_micros"] = them.load_micros
    side["rows"] = tables.medians(side["rounds"], PEER_KEYS)
    for row in side["rows"]:
        row["qps"] = max(row["single_qps"], row["batch_qps"])
        row["recall"] = sets.recall(data, them.hits(row["ef"]))
    return side


def finish_ours(data, args, ours, side):
    rounds = [one["rows"] for one in side["rounds"]]
    side["rows"] = tables.medians(rounds, OUR_KEYS)
    for row in side["rows"]:
        first = rounds[0][row["ef"]]
        hits = ours.hits(row["ef"])
        if len(hits) != len(data.queries):
            raise SystemExit(f"compare: `rvf query` answered {len(hits)} of {len(data.queries)} queries")
        row.update(distances=first.get("distances"), bench_recall=first["recall"], recall=sets.recall(data, hits))
    for key in ("open_micros", "first_query_micros", "busy", "most_kib"):
        side[key] = median(one[key] for one in side["rounds"])
    return side


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def print_all(data, args, sides, load):
    rows, dim = data.base.shape
    print(f"### {data.name}: {rows:,} x {dim} {data.base.dtype}, {data.metric}, {len(data.queries):,} queries, k {K}\n")
    loads = ", ".join(f"{one:.1f}" for one in load)
    print(f"{cpu_name()}, 1 thread, medians of {args.rounds} rounds, load before each {loads}.")
    if theirs := sides.get("hnswlib"):
        kept = ", kept from an earlier run" if theirs["build"]["cached"] else ""
        print(f"hnswlib: M {args.m}, efConstruction {args.ef_construction}, f32{kept};", end=" ")
        print(f"load {theirs['load_micros']:,.0f} us.")
    if us := sides.get("rvf"):
        build = us["build"]
        print(f"rvf: import {build['import']['cpu_seconds']:.1f} CPU-s,", end=" ")
        print(f"index {build['index_1']['cpu_seconds']:.1f} CPU-s;", end=" ")
        print(f"index with 2 threads {build['index_2']['wall_seconds']:.1f} s;", end=" ")
        print(f"open {us['open_micros']:,.0f} us, first query {us['first_query_micros']:,.0f} us;", end=" ")
        print(f"CPU / wall of the bench {us['busy']:.2f}.")
        print(tables.our_table(us))
    if theirs:
        print(tables.peer_table(theirs))
    print(tables.summary(data, sides))


def warn(sides):
    """What makes the figures doubtful, on stderr."""
    if theirs := sides.get("hnswlib"):
        if any(row["batch_qps"] < 0.9 * row["batch_qps_cpu"] for row in theirs["rows"]):
            say("warning: hnswlib got less than 90 % of a core at some ef: the machine is busy")
    if us := sides.get("rvf"):
        if us["busy"] > 1.2:
            say("warning: `rvf bench --threads 1` used more than one core")
        if any(abs(row["bench_recall"] - row["recall"]) > 0.001 for row in us["rows"]):
            say("warning: the recall that `rvf bench` reports differs from the one counted here")


def main():
    args = arguments()
    os.makedirs(args.work, exist_ok=True)
    data = sets.DataSet(sets.make_clusters(args.work, K) if args.clusters else args.data, args.metric, K)
    sides, load = measure(data, args)
    print_all(data, args, sides, load)
    warn(sides)
    if args.json:
        shape = {"rows": data.base.shape[0], "dim": data.base.shape[1], "dtype": str(data.base.dtype)}
        told = {"data": data.name, **shape, "metric": data.metric, "k": K, "raw_f32_bytes": data.raw_bytes()}
        at = {name: {str(t): tables.at(side["rows"], t)[0] for t in tables.TARGETS} for name, side in sides.items()}
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({**told, "cpu": cpu_name(), "load": load, "qps_at_recall": at, "sides": sides}, file, indent=1)


if __name__ == "__main__":
    main()

"""hnswlib: built in a process of its own, cached, and swept with one thread."""

import json
import os
import subprocess
import sys
import time

import numpy as np

WARM_UP = 50


def library():
    try:
        import hnswlib
    except ImportError as error:
        where = os.path.join(os.path.dirname(os.path.abspath(__file__)), "requirements.txt")
        raise SystemExit(f"compare: hnswlib cannot be imported ({error}): pip install -r {where}") from error
    return hnswlib


def version():
    from importlib.metadata import version as of

    return of("hnswlib")


def vectors(array, metric):
    """What hnswlib is given: f32, for cosine of unit length, so that its inner product need not normalise."""
    rows = np.array(array, dtype=np.float32)
    if metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows)


def empty(metric, dim):
    return library().Index(space="l2" if metric == "l2" else "ip", dim=dim)


def build(base, out, metric, m, ef_construction, threads):
    """In the child: makes the index, saves it, prints its figures."""
    rows = vectors(np.load(base, mmap_mode="r"), metric)
    cpu, wall = time.process_time(), time.perf_counter()
    index = empty(metric, rows.shape[1])
    index.init_index(len(rows), M=m, ef_construction=ef_construction, random_seed=100)
    index.add_items(rows, np.arange(len(rows)), num_threads=threads)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    index.save_index(out)
    size = os.path.getsize(out)
    print(json.dumps({"cpu_seconds": cpu, "wall_seconds": wall, "threads": threads, "bytes": size}))


def built(data, args, threads=1):
    """Path and figures of the index: from the cache unless told otherwise."""
    library()
    name = f"{data.name}-{data.digest()}-{data.metric}-m{args.m}-c{args.ef_construction}-t{threads}-v{version()}"
    out = os.path.join(args.work, name + ".hnswlib")
    note = out + ".json"
    if args.rebuild or not (os.path.exists(out) and os.path.exists(note)):
        call = [os.path.abspath(__file__), data.path("base"), out, data.metric, args.m, args.ef_construction, threads]
        made = subprocess.run([sys.executable, *map(str, call)], stdout=subprocess.PIPE, check=True, text=True)
        with open(note, "w", encoding="utf-8") as file:
            file.write(made.stdout)
        cached = False
    else:
        cached = True
    with open(note, encoding="utf-8") as file:
        return out, {**json.load(file), "cached": cached}


class Peer:
    """A loaded index."""

    def __init__(self, data, path):
        self.data = data
        self.queries = vectors(data.queries, data.metric)
        self.index = empty(data.metric, self.queries.shape[1])
        wall = time.perf_counter()
        self.index.load_index(path)
        self.load_micros = (time.perf_counter() - wall) * 1e6
        self.index.set_num_threads(1)

    def hits(self, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(self.queries, k=self.data.k, num_threads=1)[0]

    def measure(self, ef):
        """One pass one query at a time, one pass in a batch."""
        self.index.set_ef(ef)
        k, ask, clock = self.data.k, self.index.knn_query, time.perf_counter_ns
        rows = [np.ascontiguousarray(row) for row in self.queries]
        for row in rows[:WARM_UP]:
            ask(row, k=k, num_threads=1)
        nanos = np.empty(len(rows))
        cpu, wall = time.process_time(), time.perf_counter()
        for i, row in enumerate(rows):
            start = clock()
            ask(row, k=k, num_threads=1)
            nanos[i] = clock() - start
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        batch_cpu, batch_wall = time.process_time(), time.perf_counter()
        ask(self.queries, k=k, num_threads=1)
        batch_wall, batch_cpu = time.perf_counter() - batch_wall, time.process_time() - batch_cpu
        return {
            "ef": ef,
            "single_qps": len(rows) / wall,
            "single_qps_cpu": len(rows) / cpu,
            "batch_qps": len(rows) / batch_wall,
            "batch_qps_cpu": len(rows) / batch_cpu,
            "p50_micros": float(np.percentile(nanos, 50)) / 1e3,
            "p99_micros": float(np.percentile(nanos, 99)) / 1e3,
        }


if __name__ == "__main__":
    build(*sys.argv[1:4], *map(int, sys.argv[4:]))

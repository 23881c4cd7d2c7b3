"""`rvf`: built and swept by its command, read through its JSON."""

import json
import os
import shutil
import subprocess
import tempfile
import time


class Ran:
    """A finished child: its output, its wall seconds, its own CPU seconds."""

    def __init__(self, call):
        with tempfile.TemporaryFile() as out:
            start = time.perf_counter()
            child = subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=out)
            _, status, usage = os.wait4(child.pid, 0)
            self.wall = time.perf_counter() - start
            child.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            self.text = out.read().decode()
        self.code, self.cpu, self.most_kib = child.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss

    def figures(self):
        return {"cpu_seconds": self.cpu, "wall_seconds": self.wall}


class Ours:
    """One store file in the work folder."""

    def __init__(self, data, args):
        self.data, self.args = data, args
        self.file = os.path.join(args.work, data.name + ".rvf")

    def run(self, *words):
        call = [self.args.rvf, "--no-progress", "--json", *map(str, words)]
        ran = Ran(call)
        if ran.code != 0:
            raise SystemExit(f"compare: `{' '.join(call)}` gave {ran.code}")
        return ran

    def build(self):
        """Imports, then indexes one copy with two threads and one with one; the latter stays."""
        two = self.file + ".two"
        for stale in (self.file, two):
            if os.path.exists(stale):
                os.remove(stale)
        dtype = ["--dtype", self.args.dtype] if self.args.dtype else []
        imported = self.run(
            "import", self.file, self.data.path("base"), "--metric", self.data.metric, *dtype, "--no-index"
        )
        shutil.copyfile(self.file, two)
        built = {"import": imported.figures(), "import_bytes": os.path.getsize(self.file)}
        for threads, file in ((2, two), (1, self.file)):
            ran = self.run("index", file, "--threads", threads, *self.shape())
            built[f"index_{threads}"] = ran.figures()
        os.remove(two)
        built["cpu_seconds"] = built["import"]["cpu_seconds"] + built["index_1"]["cpu_seconds"]
        built["bytes"] = os.path.getsize(self.file)
        return built

    def shape(self):
        """The graph's settings, where the caller fixes them for us too."""
        return ["--m", self.args.m, "--ef-construction", self.args.ef_construction] if self.args.same_graph else []

    def bench(self):
        """One round over the whole list."""
        efs = ",".join(map(str, self.args.ef))
        ran = self.run(
            "bench", self.file, "--queries", self.data.path("queries"), "-k", self.data.k,
            "--truth", self.data.path("truth"), "--ef", efs, "--threads", 1, "--rounds", 1,
        )  # fmt: skip
        result = json.loads(ran.text)
        rows = {int(row["ef"]): row for row in result["rows"]}
        missing = [ef for ef in self.args.ef if ef not in rows]
        if missing:
            raise SystemExit(f"compare: `rvf bench` left out ef {missing}")
        return {**result, "rows": rows, "busy": ran.cpu / ran.wall, "most_kib": ran.most_kib}

    def hits(self, ef):
        """Ids of every query's hits, in the order of the input."""
        ran = self.run(
            "query", self.file, "--input", self.data.path("queries"), "-k", self.data.k, "--ef", ef
        )
        return [[int(hit["id"]) for hit in json.loads(line)["hits"]] for line in ran.text.splitlines()]

"""Data sets, exact truth, and the rule by which both sides' recall is counted."""

import hashlib
import os

import numpy as np

TOLERANCE = 1e-6  # of the k-th distance's magnitude
ROUNDING = 1e-12  # of 1 - cos in float64, where the k-th distance is zero
CLUSTERS, POINTS, DIM, SPREAD, QUERIES, SEED = 256, 400, 128, 100.0, 1000, 7


class DataSet:
    """A folder with base.npy, queries.npy and truth.npy, whose rows are indices into the whole of base.npy."""

    def __init__(self, folder, metric, k):
        self.folder, self.metric, self.k = folder, metric, k
        self.name = os.path.basename(os.path.normpath(folder))
        self.base = np.load(self.path("base"), mmap_mode="r")
        self.queries = np.load(self.path("queries"))
        if not os.path.exists(self.path("truth")):
            raise SystemExit(f"compare: {self.path('truth')} is missing")
        truth = np.load(self.path("truth"))
        if len(truth) != len(self.queries) or truth.shape[1] < k or truth.min() < 0 or truth.max() >= len(self.base):
            raise SystemExit("compare: truth.npy does not fit base.npy and queries.npy")
        self.kth = distances(self, truth[:, :k]).max(axis=1)
        self._check(min(20, len(self.queries)))

    def path(self, what):
        return os.path.join(self.folder, what + ".npy")

    def raw_bytes(self):
        """The base as f32."""
        return self.base.shape[0] * self.base.shape[1] * 4

    def digest(self):
        """Names the base's content, for caches."""
        with open(self.path("base"), "rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()[:12]

    def _check(self, count):
        """Refuses a truth that a scan contradicts in the first queries."""
        ids = nearest(self.base, self.queries[:count], self.metric, self.k)
        found = distances(self, ids).max(axis=1)
        if np.any(np.abs(found - self.kth[:count]) > slack(self.kth[:count])):
            raise SystemExit(f"compare: truth.npy is not the truth of the whole base.npy by {self.metric}")


def slack(kth):
    return TOLERANCE * np.abs(kth) + ROUNDING


def distances(data, ids):
    """Exact distances of queries to rows: float64, from the stored components."""
    out = np.empty(ids.shape)
    for i, row in enumerate(ids):
        query, points = data.queries[i].astype(np.float64), data.base[row].astype(np.float64)
        if data.metric == "l2":
            out[i] = ((points - query) ** 2).sum(axis=1)
        else:
            norms = np.sqrt((points**2).sum(axis=1) * (query**2).sum())
            out[i] = 1 - (points * query).sum(axis=1) / norms
    return out


def recall(data, hits):
    """Share of hits no farther than the true k-th, within the tolerance. A missing or repeated id is wrong."""
    right = 0
    for i, ids in enumerate(hits):
        ids = np.unique(np.asarray(ids[: data.k], dtype=np.int64))
        ids = ids[(ids >= 0) & (ids < len(data.base))]
        one = _One(data, i)
        right += int((distances(one, ids[None])[0] <= data.kth[i] + slack(data.kth[i])).sum())
    return right / (data.k * len(hits))


class _One:
    """One query of a data set."""

    def __init__(self, data, index):
        self.metric, self.base, self.queries = data.metric, data.base, data.queries[index : index + 1]


def nearest(base, queries, metric, k, block=10_000):
    """Indices of the k nearest rows by scan in float64, nearest first."""
    queries = queries.astype(np.float64)
    best_d, best_i = np.empty((len(queries), 0)), np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, len(base), block):
        rows = base[start : start + block].astype(np.float64)
        if metric == "l2":
            found = (rows**2).sum(axis=1)[None] - 2 * (queries @ rows.T)
        else:
            found = -(queries @ rows.T) / np.sqrt((rows**2).sum(axis=1))[None]
        index = np.broadcast_to(np.arange(start, start + len(rows)), found.shape)
        all_d, all_i = np.hstack([best_d, found]), np.hstack([best_i, index])
        keep = np.argsort(all_d, axis=1, kind="stable")[:, :k]
        best_d, best_i = np.take_along_axis(all_d, keep, 1), np.take_along_axis(all_i, keep, 1)
    return best_i.astype(np.int32)


def make_clusters(work, k):
    """Well-separated Gaussian clusters in random order, fresh queries from the same clusters, l2; made once."""
    folder = os.path.join(work, "clusters")
    if not os.path.exists(os.path.join(folder, "truth.npy")):
        os.makedirs(folder, exist_ok=True)
        rng = np.random.default_rng(SEED)
        centres = SPREAD * rng.standard_normal((CLUSTERS, DIM))
        of_row = rng.permutation(np.repeat(np.arange(CLUSTERS), POINTS))
        of_query = rng.integers(CLUSTERS, size=QUERIES)
        base = (centres[of_row] + rng.standard_normal((len(of_row), DIM))).astype(np.float32)
        queries = (centres[of_query] + rng.standard_normal((QUERIES, DIM))).astype(np.float32)
        np.save(os.path.join(folder, "base.npy"), base)
        np.save(os.path.join(folder, "queries.npy"), queries)
        np.save(os.path.join(folder, "truth.npy"), nearest(base, queries, "l2", max(k, 100)))
    return folder

"""`rvf` as a peer of a referee that calls vector libraries from Python: the C interface by ctypes, one call a query.

The referee finds the class `Rvf` here; RVF_LIB names the library (by default target/release/librvf_c.so of this repository):

    cargo build --release -p rvf-capi
"""

import ctypes
import json
import os

import numpy as np

K = 10
HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT = os.path.join(HERE, "..", "..", "target", "release", "librvf_c.so")
METRICS = {"l2": 1, "cosine": 3}
DTYPES = {"f32": 1, "f16": 2, "i8": 3, "u8": 4}
SWEEP = [10, 12, 15, 20, 25, 32, 40, 50, 60, 75, 90, 115, 140, 180, 220, 350, 600, 1000]


class Search(ctypes.Structure):
    _fields_ = [
        ("k", ctypes.c_uint32),
        ("ef", ctypes.c_uint32),
        ("recall", ctypes.c_float),
        ("exact", ctypes.c_uint32),
        ("threads", ctypes.c_uint32),
        ("filter", ctypes.c_void_p),
    ]


def library():
    found = ctypes.CDLL(os.environ.get("RVF_LIB", DEFAULT))
    found.rvf_error_message.restype = ctypes.c_char_p
    pointer, size, word = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
    found.rvf_open.argtypes = [ctypes.c_char_p, pointer]
    found.rvf_close.argtypes = [pointer]
    found.rvf_search.argtypes = [pointer, pointer, size, pointer, pointer, pointer, pointer]
    found.rvf_search_batch.argtypes = [pointer, pointer, size, size, pointer, pointer, pointer]
    found.rvf_create.argtypes = [ctypes.c_char_p, word, word, word, pointer]
    found.rvf_add.argtypes = [pointer, pointer, size, size, pointer]
    found.rvf_add_json.argtypes = [pointer, pointer, size, size, pointer, pointer]
    found.rvf_filter.argtypes = [pointer, ctypes.c_char_p, pointer]
    found.rvf_filter_close.argtypes = [pointer]
    found.rvf_index.argtypes = [pointer, word]
    found.rvf_writer_close.argtypes = [pointer]
    return found


# Loaded with the module, as a binding's own code is: what the referee measures begins after that, for every peer. Whoever wants no
# rvf may import this without the library.
try:
    LIBRARY = library()
except OSError:
    LIBRARY = None


class Rvf:
    ver = "rvf"
    mmap = True
    native_batch = True
    sweep = SWEEP

    def __init__(self, dtype=None, threads=2):
        # By default half floats, and bytes where the data are bytes.
        self.dtype, self.threads = dtype, threads
        self.note = f"defaults, {dtype or 'f16 or u8'}"
        self.lib = LIBRARY
        self.reader = None

    def check(self, status):
        if status:
            raise RuntimeError(self.lib.rvf_error_message().decode())

    def file(self, path):
        return path + "/store.rvf"

    def build(self, ds, path):
        self.lib = self.lib or library()
        name = self.file(path)
        if os.path.exists(name):
            os.remove(name)
        rows = np.ascontiguousarray(ds.x(), dtype=np.float32)
        writer = ctypes.c_void_p()
        dtype = DTYPES[self.dtype or ("u8" if ds.base.dtype == np.uint8 else "f16")]
        self.check(self.lib.rvf_create(name.encode(), ds.d, METRICS[ds.metric], dtype, ctypes.byref(writer)))
        filters = ds.filters() if hasattr(ds, "filters") else {}
        for first in range(0, ds.n, 20_000):
            part = rows[first : first + 20_000]
            fields = self.fields(filters, first, len(part))
            self.check(self.lib.rvf_add_json(writer, part.ctypes.data, len(part), ds.d, None, fields))
        self.check(self.lib.rvf_index(writer, self.threads))
        self.lib.rvf_writer_close(writer)

    def fields(self, filters, first, count):
        """One JSON object a record: which filters it passes, as whole numbers."""
        rows = [{name: int(mask[at]) for name, mask in filters.items()} for at in range(first, first + count)]
        return (ctypes.c_char_p * count)(*(json.dumps(row).encode() for row in rows))

    def set_filter(self, mask, name):
        if self.search.filter:
            self.lib.rvf_filter_close(self.search.filter)
            self.search.filter = None
        made = ctypes.c_void_p()
        self.check(self.lib.rvf_filter(self.reader, f"{name} = 1".encode(), ctypes.byref(made)))
        self.search.filter = made

    def fquery(self, q):
        return self.query(q)

    def load(self, ds, path):
        self.lib = self.lib or library()
        self.reader = ctypes.c_void_p()
        self.check(self.lib.rvf_open(self.file(path).encode(), ctypes.byref(self.reader)))
        self.ids = np.empty(K, np.uint64)
        self.search = Search(k=K)
        # Pointers that stay the same are made once, as a binding would.
        self.to, self.how = self.ids.ctypes.data, ctypes.byref(self.search)

    def set(self, ef):
        self.search.ef = ef

    def query(self, q):
        status = self.lib.rvf_search(self.reader, q.ctypes.data, len(q), self.how, self.to, None, None)
        if status:
            self.check(status)
        return self.ids.copy()

    def batch(self, queries, threads):
        ids = np.empty((len(queries), K), np.uint64)
        self.search.threads = threads
        count, dim = queries.shape
        self.check(self.lib.rvf_search_batch(self.reader, queries.ctypes.data, count, dim, self.how, ids.ctypes.data, None))
        return ids

/* RVF: searching .rvf files from C. Made by cbindgen from rvf-engine/capi/src; do not edit. */

#ifndef RVF_H
#define RVF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// Done.
#define RVF_OK 0

// The call makes no sense: a null pointer, a query of another dimension, a component that is not finite.
#define RVF_USAGE 2

// Not now: the file is missing or cannot be read, or another program cut it.
#define RVF_NOT_NOW 3

// The file is refused: no store of this version, or damaged.
#define RVF_REFUSED 4

// A defect of the library.
#define RVF_INTERNAL 5

// Squared Euclidean distance.
#define RVF_L2 1

// Negated inner product.
#define RVF_DOT 2

// One minus the cosine.
#define RVF_COSINE 3

// Components of 32-bit floats.
#define RVF_F32 1

// Components of 16-bit floats; what is added is rounded to them.
#define RVF_F16 2

// Components that are whole numbers from -128 to 127.
#define RVF_I8 3

// Components that are whole numbers from 0 to 255.
#define RVF_U8 4

// The records of a reader that a filter finds.
typedef struct RvfFilter RvfFilter;

// A store that is open for reading. Any number of threads may search it at a time.
typedef struct RvfReader RvfReader;

// A store that is open for writing: it holds the file's lock. One thread at a time may use it.
typedef struct RvfWriter RvfWriter;

// What a store holds.
typedef struct RvfInfo {
  // Components of a vector; of a binary store, its bits.
  uint32_t dimension;
  // Whether ids are numbers (1) or strings (0).
  uint32_t numeric_ids;
  // Live records.
  uint64_t count;
  // Number of the commit.
  uint64_t epoch;
  // Live records that an index covers.
  uint64_t indexed;
} RvfInfo;

// How a search is done. All zero: 10 hits, the default recall, one thread. `exact` goes before `ef`, and `ef` before `recall`.
typedef struct RvfSearch {
  // Hits a query; 0 for 10.
  uint32_t k;
  // Candidates that a walk keeps; 0 if `recall` says how hard to look.
  uint32_t ef;
  // Mean recall@10 to aim at, above 0 and at most 1; 0 for the default.
  float recall;
  // 1: compare every record.
  uint32_t exact;
  // Threads of a batch, 1,024 at most; 0 for 1.
  uint32_t threads;
  // Only records that it finds; null for all. Made by `rvf_filter` with the same reader.
  const struct RvfFilter *filter;
} RvfSearch;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Opens the store at `path`, UTF-8, by mapping it. On success `*reader` is to be closed by `rvf_close`; else it is null.
//
// # Safety
// `path` is null or a string that ends with NUL; `reader` is null or may be written.
int32_t rvf_open(const char *path,
                 struct RvfReader **reader);

// Closes a reader; null is allowed.
//
// # Safety
// `reader` came from `rvf_open`, was not closed before, and no other thread uses it.
void rvf_close(struct RvfReader *reader);

// What the store holds.
//
// # Safety
// `reader` is null or came from `rvf_open` and is open; `info` is null or may be written.
int32_t rvf_info(const struct RvfReader *reader, struct RvfInfo *info);

// Finds the nearest records to `query`, `dimension` floats: their ids and distances, nearest first, and how many they are
// in `*found`: k, or fewer where the store has fewer. The store's ids are numbers.
//
// # Safety
// Each pointer is null or valid for its length: `query` for `dimension` floats, `ids` and `distances` for `k` (10 where
// `search.k` is 0), `search` (null for the defaults), `reader` and `found` for one. `distances` and `found` may be null.
int32_t rvf_search(const struct RvfReader *reader,
                   const float *query,
                   size_t dimension,
                   const struct RvfSearch *search,
                   uint64_t *ids,
                   float *distances,
                   size_t *found);

// Finds the nearest records to each of `count` queries, row-major, on `search.threads` threads. The answers of query i begin
// at `i * k` of `ids` and `distances`; what a query has fewer than k is filled with the largest id and infinity.
//
// # Safety
// Each pointer is null or valid for its length: `queries` for `count * dimension` floats, `ids` and `distances` for
// `count * k`, `search` (null for the defaults) and `reader` for one. `distances` may be null.
int32_t rvf_search_batch(const struct RvfReader *reader,
                         const float *queries,
                         size_t count,
                         size_t dimension,
                         const struct RvfSearch *search,
                         uint64_t *ids,
                         float *distances);

// Finds out which records `text`, UTF-8, is true of, as `lang = 'de' AND words >= 40`. On success `*filter` is to be closed by
// `rvf_filter_close`; else it is null. Fields that no record has are null in all.
//
// # Safety
// `reader` is null or open; `text` is null or a string that ends with NUL; `filter` is null or may be written.
int32_t rvf_filter(const struct RvfReader *reader,
                   const char *text,
                   struct RvfFilter **filter);

// How many records it finds, in `*count`.
//
// # Safety
// `filter` is null or open; `count` is null or may be written.
int32_t rvf_filter_count(const struct RvfFilter *filter, uint64_t *count);

// Closes a filter; null is allowed.
//
// # Safety
// `filter` came from `rvf_filter`, was not closed before, and no search uses it.
void rvf_filter_close(struct RvfFilter *filter);

// What went wrong in the last call of this thread that failed; empty if none did. Valid until the next call fails.
const char *rvf_error_message(void);

// The case, for machines: a stable name as `rvf --json` has it.
const char *rvf_error_kind(void);

// What to do about it.
const char *rvf_error_hint(void);

// Creates a store of `dimension` components a vector, with ids that are numbers. On success `*writer` is to be closed by
// `rvf_writer_close`; else it is null.
//
// # Safety
// `path` is null or a string that ends with NUL; `writer` is null or may be written.
int32_t rvf_create(const char *path,
                   uint32_t dimension,
                   uint32_t metric,
                   uint32_t dtype,
                   struct RvfWriter **writer);

// Opens a store for writing. On success `*writer` is to be closed by `rvf_writer_close`; else it is null.
//
// # Safety
// `path` is null or a string that ends with NUL; `writer` is null or may be written.
int32_t rvf_open_writer(const char *path,
                        struct RvfWriter **writer);

// Adds `count` vectors of `dimension` floats, row-major, in one commit: with these ids, which replace records that have them, or,
// where `ids` is null, with ids that continue from the largest. Numbers that a store of bytes does not hold exactly are refused.
//
// # Safety
// `writer` is null or open and used by no other thread; `vectors` is null or valid for `count * dimension` floats; `ids` is null
// or valid for `count`.
int32_t rvf_add(struct RvfWriter *writer,
                const float *vectors,
                size_t count,
                size_t dimension,
                const uint64_t *ids);

// `rvf_add` with metadata: `metadata` holds `count` strings that end with NUL, each a JSON object of a record's fields, as
// `{"lang":"de","words":40}`, or null.
//
// # Safety
// As for `rvf_add`; `metadata` is null or valid for `count` pointers, each null or a string that ends with NUL.
int32_t rvf_add_json(struct RvfWriter *writer,
                     const float *vectors,
                     size_t count,
                     size_t dimension,
                     const uint64_t *ids,
                     const char *const *metadata);

// Brings all records under one index, on `threads` threads (0: all that the machine has).
//
// # Safety
// `writer` is null or open and used by no other thread.
int32_t rvf_index(struct RvfWriter *writer, uint32_t threads);

// Closes a writer and gives the lock back; null is allowed.
//
// # Safety
// `writer` came from `rvf_create` or `rvf_open_writer`, was not closed before, and no other thread uses it.
void rvf_writer_close(struct RvfWriter *writer);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RVF_H */

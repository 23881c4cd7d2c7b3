//! The C interface as C sees it: raw pointers, statuses, messages; and its header.

#![allow(clippy::unwrap_used, reason = "tests")]

use rvf_c::{
    RVF_COSINE, RVF_F16, RVF_F32, RVF_NOT_NOW, RVF_OK, RVF_REFUSED, RVF_USAGE, RvfInfo, RvfReader, RvfSearch, rvf_add,
    rvf_add_json, rvf_close, rvf_create, rvf_error_hint, rvf_error_kind, rvf_error_message, rvf_filter,
    rvf_filter_close, rvf_filter_count, rvf_index, rvf_info, rvf_open, rvf_open_writer, rvf_search, rvf_search_batch,
    rvf_writer_close,
};
use rvf_engine::{Db, IdType, Metric, Schema};
use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use tempfile::TempDir;

const DIM: usize = 8;
const ROWS: usize = 5000;

fn value(row: usize, component: usize) -> f32 {
    ((row * 7919 + component * 104_729) % 9973) as f32
}

fn rows(first: usize, count: usize) -> Vec<f32> {
    (first..first + count).flat_map(|row| (0..DIM).map(move |component| value(row, component))).collect()
}

/// A store with an index and a row beside it.
fn store() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rvf");
    let mut db = Db::create(&path, &Schema::new(DIM as u32, Metric::L2)).unwrap();
    db.add(&rows(0, ROWS)).unwrap();
    db.add(&rows(ROWS, 1)).unwrap();
    (folder, path)
}

fn open(path: &Path) -> (i32, *mut RvfReader) {
    let mut reader = null_mut();
    let path = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a string that ends with NUL, and a place for the reader.
    (unsafe { rvf_open(path.as_ptr(), &mut reader) }, reader)
}

fn text(pointer: *const c_char) -> String {
    // SAFETY: the library gives strings that end with NUL, and no call is between.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().to_owned()
}

/// Catches a mapping of arguments to the engine that is wrong: k, effort, order, the rows of a batch, what is missing.
#[test]
fn searches_answer_as_the_engine_does() {
    let (_folder, path) = store();
    let (status, reader) = open(&path);
    assert_eq!(status, RVF_OK);
    let mut info = RvfInfo::default();
    // SAFETY: an open reader, and a place for the facts.
    assert_eq!(unsafe { rvf_info(reader, &mut info) }, RVF_OK);
    assert_eq!((info.dimension, info.numeric_ids, info.count), (DIM as u32, 1, ROWS as u64 + 1));
    let queries = rows(100, 41);
    let snapshot = rvf_engine::Reader::open(&path).unwrap().snapshot();
    for search in [
        RvfSearch::default(),
        RvfSearch { k: 3, ef: 200, ..RvfSearch::default() },
        RvfSearch { k: 7, exact: 1, threads: 3, ..RvfSearch::default() },
        RvfSearch { k: 5, recall: 0.9, threads: 100, ..RvfSearch::default() },
    ] {
        let k = if search.k == 0 { 10 } else { search.k as usize };
        let (mut ids, mut distances) = (vec![0u64; 41 * k], vec![0f32; 41 * k]);
        // SAFETY: the lengths are those of the slices.
        let status = unsafe {
            let (ids, distances) = (ids.as_mut_ptr(), distances.as_mut_ptr());
            rvf_search_batch(reader, queries.as_ptr(), 41, DIM, &search, ids, distances)
        };
        assert_eq!(status, RVF_OK);
        for (at, query) in queries.chunks(DIM).enumerate() {
            let (mut own, mut far, mut found) = (vec![0u64; k], vec![0f32; k], 0);
            // SAFETY: the lengths are those of the slices.
            let status = unsafe {
                rvf_search(reader, query.as_ptr(), DIM, &search, own.as_mut_ptr(), far.as_mut_ptr(), &mut found)
            };
            assert_eq!((status, found), (RVF_OK, k));
            assert_eq!((&own[..], &far[..]), (&ids[at * k..][..k], &distances[at * k..][..k]));
            assert_eq!(own[0], 100 + at as u64);
            assert!(far.is_sorted());
        }
        let effort = match search {
            RvfSearch { exact: 1, .. } => rvf_engine::Effort::Exact,
            RvfSearch { ef: 200, .. } => rvf_engine::Effort::Ef(200),
            RvfSearch { recall: 0.9, .. } => rvf_engine::Effort::Recall(f64::from(0.9f32)),
            _ => rvf_engine::Effort::default(),
        };
        let hits = snapshot.search(&queries[..DIM]).k(k).effort(effort).run().unwrap();
        let engine: Vec<(String, f32)> = hits.iter().map(|hit| (hit.id.to_string(), hit.distance)).collect();
        let ours: Vec<(String, f32)> = ids.iter().map(u64::to_string).zip(distances).take(k).collect();
        assert_eq!(ours, engine);
    }
    // SAFETY: an open reader, closed once.
    unsafe { rvf_close(reader) };
}

/// Catches a store that C writes and that is another than was meant: metric, ids, index, rounding.
#[test]
fn a_store_is_written_from_c() {
    let folder = tempfile::tempdir().unwrap();
    let path = CString::new(folder.path().join("a.rvf").to_str().unwrap()).unwrap();
    let (vectors, ids) = (rows(0, ROWS), (0..ROWS as u64).map(|row| row * 2).collect::<Vec<_>>());
    let (mut writer, mut again, mut reader, mut info) = (null_mut(), null_mut(), null_mut(), RvfInfo::default());
    // SAFETY: the lengths are those of the slices; each handle is closed once.
    unsafe {
        assert_eq!(rvf_create(path.as_ptr(), DIM as u32, 9, RVF_F32, &mut writer), RVF_USAGE);
        assert_eq!(rvf_create(path.as_ptr(), DIM as u32, RVF_COSINE, 7, &mut writer), RVF_USAGE);
        assert_eq!(rvf_create(path.as_ptr(), DIM as u32, RVF_COSINE, RVF_F16, &mut writer), RVF_OK);
        assert_eq!(rvf_create(path.as_ptr(), DIM as u32, RVF_COSINE, RVF_F16, &mut again), RVF_USAGE);
        assert_eq!(
            (rvf_open_writer(path.as_ptr(), &mut again), text(rvf_error_kind())),
            (RVF_NOT_NOW, "locked".into())
        );
        assert_eq!(rvf_add(writer, vectors.as_ptr(), ROWS, DIM, ids.as_ptr()), RVF_OK);
        assert_eq!(rvf_add(writer, vectors.as_ptr(), 1, DIM + 1, null()), RVF_USAGE);
        assert_eq!(rvf_add(writer, vectors.as_ptr().add(DIM), 1, DIM, null()), RVF_OK);
        assert_eq!(rvf_index(writer, 2), RVF_OK);
        rvf_writer_close(writer);
        rvf_writer_close(null_mut());
        assert_eq!(rvf_open_writer(path.as_ptr(), &mut again), RVF_OK);
        rvf_writer_close(again);
        assert_eq!(rvf_open(path.as_ptr(), &mut reader), RVF_OK);
        assert_eq!(rvf_info(reader, &mut info), RVF_OK);
        rvf_close(reader);
    }
    assert_eq!((info.count, info.indexed, info.epoch), (ROWS as u64 + 1, ROWS as u64 + 1, 4));
    let snapshot = rvf_engine::Reader::open(path.to_str().unwrap()).unwrap().snapshot();
    assert_eq!((snapshot.schema().metric, snapshot.schema().dtype), (Metric::Cosine, rvf_engine::Dtype::F16));
    let last = snapshot.get(&(ROWS as u64 * 2 - 1).into()).unwrap().unwrap();
    assert_eq!(last.vector.len(), DIM);
}

/// What a query finds too little of is marked, not left as it was.
#[test]
fn fewer_records_than_k() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rvf");
    Db::create(&path, &Schema::new(DIM as u32, Metric::L2)).unwrap().add(&rows(0, 2)).unwrap();
    let (_, reader) = open(&path);
    let (query, mut ids, mut distances, mut found) = (rows(0, 1), [7u64; 10], [7f32; 10], 0);
    // SAFETY: the lengths are those of the arrays; null stands for the defaults.
    unsafe {
        let status = rvf_search(reader, query.as_ptr(), DIM, null(), ids.as_mut_ptr(), null_mut(), &mut found);
        assert_eq!((status, found), (RVF_OK, 2));
        let (to, far) = (ids.as_mut_ptr(), distances.as_mut_ptr());
        assert_eq!(rvf_search_batch(reader, query.as_ptr(), 1, DIM, null(), to, far), RVF_OK);
        rvf_close(reader);
    }
    assert_eq!((&ids[..3], distances[2]), (&[0, 1, u64::MAX][..], f32::INFINITY));
}

/// Which query of a batch is wrong is said, whatever thread has it; no queries are no error.
#[test]
fn batches_name_the_query_that_is_wrong() {
    let (_folder, path) = store();
    let (_, reader) = open(&path);
    let mut queries = rows(0, 7);
    queries[5 * DIM + 1] = f32::NAN;
    let mut ids = [0u64; 70];
    for threads in [0, 1, 2, 3, 100_000] {
        let search = RvfSearch { threads, ..RvfSearch::default() };
        // SAFETY: the lengths are those of the arrays.
        let status =
            unsafe { rvf_search_batch(reader, queries.as_ptr(), 7, DIM, &search, ids.as_mut_ptr(), null_mut()) };
        let message = text(rvf_error_message());
        assert_eq!(status, RVF_USAGE);
        assert!(message.contains("component 1 of vector 5"), "{threads} threads: {message}");
    }
    // SAFETY: of no queries nothing is touched; the reader is open.
    unsafe {
        assert_eq!(rvf_search_batch(reader, null(), 0, DIM, null(), null_mut(), null_mut()), RVF_OK);
        rvf_close(reader);
    }
}

/// Catches a crash, or a status without words.
#[test]
fn what_makes_no_sense_is_refused() {
    let (folder, path) = store();
    assert_eq!((open(&folder.path().join("none.rvf")).0, text(rvf_error_kind())), (RVF_NOT_NOW, "not_found".into()));
    assert!(!text(rvf_error_hint()).is_empty());
    std::fs::write(folder.path().join("noise"), [7; 9000]).unwrap();
    assert_eq!(open(&folder.path().join("noise")), (RVF_REFUSED, null_mut()));
    let (_, reader) = open(&path);
    let (query, mut ids) = (rows(0, 1), [0u64; 10]);
    let ids = ids.as_mut_ptr();
    let wrong = RvfSearch { recall: f32::NAN, ..RvfSearch::default() };
    let huge = RvfSearch { k: u32::MAX, ..RvfSearch::default() };
    let nan = [f32::NAN; DIM];
    // SAFETY: null, or as long as is said; what is too long is refused before it is touched.
    let statuses = unsafe {
        [
            rvf_open(null(), null_mut()),
            rvf_info(null(), null_mut()),
            rvf_search(null(), query.as_ptr(), DIM, null(), ids, null_mut(), null_mut()),
            rvf_search(reader, null(), DIM, null(), ids, null_mut(), null_mut()),
            rvf_search(reader, query.as_ptr(), DIM - 1, null(), ids, null_mut(), null_mut()),
            rvf_search(reader, nan.as_ptr(), DIM, null(), ids, null_mut(), null_mut()),
            rvf_search(reader, query.as_ptr(), DIM, &wrong, ids, null_mut(), null_mut()),
            rvf_search(reader, query.as_ptr(), DIM, null(), null_mut(), null_mut(), null_mut()),
            rvf_search_batch(reader, query.as_ptr(), 1, 0, null(), ids, null_mut()),
            rvf_search_batch(reader, query.as_ptr(), usize::MAX, DIM, null(), ids, null_mut()),
            rvf_search_batch(reader, query.as_ptr(), 1 << 40, DIM, &huge, ids, null_mut()),
        ]
    };
    assert_eq!(statuses, [RVF_USAGE; 11]);
    assert!(text(rvf_error_message()).contains("more elements than fit"));
    // SAFETY: closed once; null is allowed.
    unsafe {
        rvf_close(reader);
        rvf_close(null_mut());
    }
}

#[test]
fn string_ids_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rvf");
    let schema = Schema { id_type: IdType::Str, ..Schema::new(DIM as u32, Metric::L2) };
    let mut db = Db::create(&path, &schema).unwrap();
    let mut batch = db.batch();
    batch.put("a", &rows(0, 1)).unwrap();
    batch.commit().unwrap();
    let (_, reader) = open(&path);
    let (query, mut ids) = (rows(0, 1), [0u64; 10]);
    // SAFETY: the lengths are those of the arrays; the reader is closed once.
    unsafe {
        let status = rvf_search(reader, query.as_ptr(), DIM, null(), ids.as_mut_ptr(), null_mut(), null_mut());
        assert_eq!((status, text(rvf_error_kind())), (RVF_USAGE, "id_type".into()));
        rvf_close(reader);
    }
}

/// `include/rvf.h` is what cbindgen makes of the crate; RVF_WRITE_HEADER=1 writes it.
#[test]
fn the_header_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    // It follows the modules.
    let builder = cbindgen::Builder::new().with_config(config).with_src(root.join("src/lib.rs"));
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let header = root.join("include/rvf.h");
    if std::env::var_os("RVF_WRITE_HEADER").is_some() {
        std::fs::write(&header, &made).unwrap();
    }
    let found = std::fs::read_to_string(&header).unwrap_or_default();
    assert!(found == String::from_utf8(made).unwrap(), "write it anew: RVF_WRITE_HEADER=1 cargo test -p rvf-capi");
}

/// Catches fields that go to another record, a filter that is not used, and one of the wrong text that is not refused.
#[test]
fn filtered_searches_find_what_matches() {
    let folder = tempfile::tempdir().unwrap();
    let path = CString::new(folder.path().join("f.rvf").to_str().unwrap()).unwrap();
    let vectors = rows(0, 40);
    let fields: Vec<CString> = (0..40).map(|row| CString::new(format!("{{\"row\":{row}}}")).unwrap()).collect();
    let mut pointers: Vec<*const c_char> = fields.iter().map(|text| text.as_ptr()).collect();
    pointers[39] = null();
    let mut writer = null_mut();
    // SAFETY: valid pointers of these lengths.
    unsafe {
        assert_eq!(rvf_create(path.as_ptr(), DIM as u32, RVF_COSINE, RVF_F32, &mut writer), RVF_OK);
        assert_eq!(rvf_add_json(writer, vectors.as_ptr(), 40, DIM, null(), pointers.as_ptr()), RVF_OK);
        let wrong = CString::new("{\"row\":\"seven\"}").unwrap();
        let wrong = [wrong.as_ptr()];
        assert_eq!(rvf_add_json(writer, vectors.as_ptr(), 1, DIM, null(), wrong.as_ptr()), RVF_USAGE);
        assert_eq!(text(rvf_error_kind()), "field");
        rvf_writer_close(writer);
    }
    let (status, reader) = open(Path::new(path.to_str().unwrap()));
    assert_eq!(status, RVF_OK);
    let (mut filter, mut count) = (null_mut(), 0);
    let (good, bad) = (CString::new("row BETWEEN 10 AND 12").unwrap(), CString::new("row = ").unwrap());
    let (mut ids, mut found) = ([0u64; 10], 0);
    // SAFETY: valid pointers of these lengths.
    unsafe {
        assert_eq!(rvf_filter(reader, bad.as_ptr(), &mut filter), RVF_USAGE);
        assert!(filter.is_null() && text(rvf_error_kind()) == "filter");
        assert_eq!(rvf_filter(reader, good.as_ptr(), &mut filter), RVF_OK);
        assert_eq!((rvf_filter_count(filter, &mut count), count), (RVF_OK, 3));
        let search = RvfSearch { filter, ..RvfSearch::default() };
        let status = rvf_search(reader, vectors.as_ptr(), DIM, &search, ids.as_mut_ptr(), null_mut(), &mut found);
        assert_eq!((status, found), (RVF_OK, 3));
        rvf_filter_close(filter);
        rvf_close(reader);
    }
    ids[..3].sort_unstable();
    assert_eq!(ids[..3], [10, 11, 12]);
}

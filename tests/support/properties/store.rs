//! What must hold for a store file of any bytes: opening, reading, verifying and writing it returns errors. A file that
//! verification calls sound can be used in full. Of a branch nothing is promised but errors: its parent may not be what it says.

use crate::samples;
use rvf_engine::filter::Filter;
use rvf_engine::salvage::salvage;
use rvf_engine::{CompactOptions, Db, Dtype, Effort, Hit, Id, IdType, ReadMode, Reader, Schema, Session, Snapshot};
use rvf_format::Clause;
use rvf_format::storage::{Bytes, MemoryPlace};
use rvf_format::verify::{Options, Report, verify, verify_with};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Epochs of a file that are opened one by one; the rest would only cost time.
const MOST_EPOCHS: usize = 24;

/// Reads, verifies and writes one file.
pub fn exercise(bytes: &[u8]) {
    let sound = survey(bytes);
    let _ = super::published::read(bytes);
    write(bytes, sound);
}

/// Reads and verifies one file; whether it is sound.
pub fn survey(bytes: &[u8]) -> bool {
    let file = Bytes::from(bytes);
    let report = verify(&file, &mut |_, _| {});
    let _ = verify_with(&file, &Options { deep: true }, &mut |_, _| {});
    let newest = Snapshot::newest(file.clone());
    let is_branch = newest.as_ref().is_ok_and(|snapshot| snapshot.root().has_parent());
    let sound = matches!(&report, Ok(report) if report.sound) && !is_branch;
    save(&file, report.as_ref().ok().filter(|report| report.findings.is_empty() && !is_branch));
    match newest {
        Ok(_) if is_branch => read_branch(bytes),
        Ok(snapshot) => read(&snapshot, report.as_ref().ok().filter(|_| sound)),
        Err(error) => {
            let _ = error.to_string();
            assert!(!sound, "a sound file does not open: {error}");
        }
    }
    sound
}

/// Reads a branch on top of the parent of the sample.
fn read_branch(bytes: &[u8]) {
    match Reader::open_with(Arc::new(place_of(bytes)), samples::PATH, ReadMode::Mapped) {
        Ok(reader) => read(&reader.snapshot(), None),
        Err(error) => drop(error.to_string()),
    }
}

/// A place that holds the file; with the parent of the sample, which a branch may be opened with.
fn place_of(bytes: &[u8]) -> MemoryPlace {
    let place = MemoryPlace::default();
    place.put(Path::new(samples::PATH), bytes.to_vec());
    place.put(Path::new(samples::PARENT), samples::lineage().parent.clone());
    place
}

/// Salvages a file; of one without a finding, everything and nothing else.
fn save(file: &Bytes, faultless: Option<&Report>) {
    let saved = salvage(file.clone());
    let count = saved.as_ref().map(|saved| saved.records().count() as u64);
    let Some(report) = faultless else { return };
    assert_eq!(count.ok(), Some(report.count), "what is saved of a faultless file");
    assert!(
        saved.is_ok_and(|saved| saved.lost.is_empty() && saved.notes.is_empty() && saved.without_fields == 0),
        "something is lost of it"
    );
}

/// What metadata is read by.
fn fields(snapshot: &Snapshot) -> Result<u64, rvf_engine::Error> {
    snapshot.field_infos()?;
    let mut found = 0;
    for text in ["number >= 40 AND NOT word LIKE 'word 1%'", "flag OR tags CONTAINS 'b' OR note IS NOT NULL"] {
        let matches = match snapshot.matches(&Filter::parse(text).map_err(rvf_engine::Error::from)?) {
            // The fields of another store may be of other types.
            Err(rvf_engine::Error::Filter(_)) => continue,
            matches => matches?,
        };
        let ids = matches.ids(snapshot)?.len() as u64;
        assert_eq!(matches.count(), ids, "what {text} finds");
        found += ids;
    }
    Ok(found)
}

/// Everything that reads a snapshot. `sound` is the report of verification if it found nothing wrong.
fn read(snapshot: &Snapshot, sound: Option<&Report>) {
    let info = snapshot.info();
    let segments = snapshot.segments();
    let log = snapshot.log(100);
    let found = EFFORTS.map(|effort| search(snapshot, effort));
    let records = snapshot.records().map(|records| records.take(2000).collect::<Result<Vec<_>, _>>());
    let fields = fields(snapshot);
    let ids = find(snapshot);
    let epochs = epochs(snapshot);
    let learned = learned(snapshot);
    let _ = (snapshot.tail(), snapshot.meta(), snapshot.at_epoch(u64::MAX).is_err());
    let Some(report) = sound else { return };
    assert!(ids, "look-ups in a sound file fail");
    assert_eq!(learned, Some(report.count.min(3) as usize), "hits in the learned order of a sound file");
    assert!(fields.is_ok(), "fields of a sound file cannot be read: {:?}", fields.err());
    assert!(info.is_ok(), "a sound file cannot be described: {:?}", info.err());
    assert!(segments.is_ok(), "a sound file cannot be mapped: {:?}", segments.err());
    assert_eq!(epochs, Some((report.epochs as usize).min(MOST_EPOCHS)), "epochs of a sound file");
    assert!(log.as_ref().is_ok_and(|log| !log.is_empty()), "a sound file without a log: {:?}", log.err());
    for (found, effort) in found.into_iter().zip(EFFORTS) {
        assert_eq!(found.map(|hits| hits as u64), Some(report.count.min(3)), "hits in a sound file, {effort:?}");
    }
    let records = records.and_then(|records| records).map(|records| records.len() as u64);
    assert_eq!(records.ok(), Some(report.count.min(2000)), "records of a sound file");
}

/// A search in the learned order, if there is one, and the other answers than a list; how many were found.
fn learned(snapshot: &Snapshot) -> Option<usize> {
    let Schema { dimension, dtype, .. } = *snapshot.schema();
    let hits = hits(snapshot, 3, Effort::default())?;
    if dtype == Dtype::Binary {
        return Some(hits.len());
    }
    let query: Vec<f32> = (0..dimension).map(|at| (at % 3) as f32 + 1.0).collect();
    let _ = (snapshot.subgraph(&hits, 2), snapshot.soft(&query, &hits, 0.1), snapshot.learned_info());
    let own = snapshot.at_epoch(snapshot.epoch()).ok()?;
    let session = Session::new(Arc::new(own)).ok()?;
    let answer = session.search(&query).k(3).explain(true).run().ok()?;
    let chosen: Vec<Id> = answer.hits.iter().take(1).map(|hit| hit.id.clone()).collect();
    let _ = session.feedback(answer.query_id, &chosen, 1.0);
    Some(answer.hits.len())
}

/// Opens the newest epochs and reads each a little; how many could be opened.
fn epochs(snapshot: &Snapshot) -> Option<usize> {
    let roots: Result<Vec<_>, _> =
        rvf_format::chain::roots(snapshot.file(), snapshot.root()).take(MOST_EPOCHS).collect();
    let mut opened = 0;
    for root in roots.ok()? {
        let earlier = snapshot.at_epoch(root.epoch()).ok()?;
        let _ = (search(&earlier, Effort::Ef(16)), earlier.log(3).is_ok(), earlier.info().is_ok());
        opened += 1;
    }
    Some(opened)
}

/// All ways to search: by a scan, by walks of a given width, by walks as wide as an index says.
pub(super) const EFFORTS: [Effort; 3] = [Effort::Exact, Effort::Ef(16), Effort::Recall(0.98)];

/// A search for the 3 nearest to a plausible query; how many were found.
fn search(snapshot: &Snapshot, effort: Effort) -> Option<usize> {
    hits(snapshot, 3, effort).map(|hits| hits.len())
}

/// The `k` nearest to a plausible query.
pub(super) fn hits(snapshot: &Snapshot, k: usize, effort: Effort) -> Option<Vec<Hit>> {
    let Schema { dimension, dtype, .. } = *snapshot.schema();
    let (bits, numbers): (Vec<u8>, Vec<f32>);
    let search = if dtype == Dtype::Binary {
        let mut query = vec![0xA0u8; snapshot.schema().row_len()];
        let unused = query.len() * 8 - dimension as usize;
        query.iter_mut().last().into_iter().for_each(|last| *last = *last >> unused << unused);
        bits = query;
        snapshot.search(&bits[..])
    } else {
        numbers = (0..dimension).map(|at| (at % 3) as f32 + 1.0).collect();
        snapshot.search(&numbers)
    };
    let hits = search.k(k).effort(effort).run().ok()?;
    // Rows of a broken file need not be finite.
    let compare = |a: &Hit, b: &Hit| a.distance.total_cmp(&b.distance).then_with(|| a.id.cmp(&b.id));
    assert!(hits.is_sorted_by(|a, b| compare(a, b).is_le()), "hits are out of order: {hits:?}");
    Some(hits)
}

/// Looks for ids that are there and for some that are not. Whether every look-up was answered.
fn find(snapshot: &Snapshot) -> bool {
    let ids: [Id; 4] = match snapshot.schema().id_type {
        IdType::U64 => [0.into(), 2.into(), 100.into(), (u64::MAX - 1).into()],
        IdType::Str => ["".into(), "Apple".into(), "zebra".into(), "ä".into()],
    };
    let all = ids.iter().map(|id| snapshot.get(id)).collect::<Result<Vec<_>, _>>();
    let wrong_kind = match snapshot.schema().id_type {
        IdType::U64 => snapshot.get(&"a".into()),
        IdType::Str => snapshot.get(&1.into()),
    };
    assert!(wrong_kind.is_err(), "an id of the wrong type was looked for");
    all.is_ok()
}

/// Opens the file for writing, commits a replacement and a deletion, compacts. A sound file stays sound.
fn write(bytes: &[u8], sound: bool) {
    let place = place_of(bytes);
    let written = change(&place);
    if sound && written.is_some() {
        let after = Bytes::from(place.bytes(Path::new(samples::PATH)).unwrap_or_default());
        let report = verify(&after, &mut |_, _| {}).unwrap();
        // Nobody signs here: what is asked for is missing then.
        let unsigned = report.findings.iter().all(|finding| finding.clause == Clause::Sig3);
        assert!(report.sound && unsigned, "a write made a sound file unsound: {:?}", report.findings);
    }
}

fn change(place: &MemoryPlace) -> Option<()> {
    let mut db = Db::open_with(Arc::new(place.clone()), samples::PATH, &samples::open_options()).ok()?;
    let schema = *db.snapshot().schema();
    let id: [Id; 2] = match schema.id_type {
        IdType::U64 => [2.into(), 70.into()],
        IdType::Str => ["Apple".into(), "zebra".into()],
    };
    let mut batch = db.batch();
    if schema.dtype == Dtype::Binary {
        batch.put(id[0].clone(), &vec![0u8; schema.row_len()][..]).ok()?;
    } else {
        batch.put(id[0].clone(), &vec![1.0f32; schema.dimension as usize]).ok()?;
    }
    batch.delete(id[1].clone()).ok()?;
    let committed = batch.commit().is_ok();
    let indexed = db.index(&samples::INDEX_OPTIONS, &mut |_, _| ControlFlow::Continue(())).is_ok();
    let compacted = db.compact(&CompactOptions { keep: 2, output: None }).is_ok();
    (committed || indexed || compacted).then_some(())
}

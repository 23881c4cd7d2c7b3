//! Salvage: whatever is damaged, what is written was committed, what is intact is written, and what is lost is told.

use rvf_engine::salvage::{Salvaged, salvage};
use rvf_engine::{CreateOptions, Db, Dtype, Error, Id, IdType, Metadata, Metric, OpenOptions, Schema, Snapshot, Value};
use rvf_format::limits::{GROUP_LEN, PAGE_LEN, TREE_MIN};
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::columns::whole_as_f64;
use rvf_format::payload::vec::VecView;
use rvf_format::storage::{Bytes, MemoryPlace};
use rvf_format::{Clause, Kind};
use rvf_tests::oracle::Rng;
use rvf_tests::reseal::{header_at, roots, sections, segments};
use rvf_tests::{fixtures, samples};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// An undamaged file and what it holds.
struct Case {
    name: String,
    bytes: Vec<u8>,
    epoch: u64,
    /// Every id with every row that was ever stored under it.
    ever: BTreeSet<(Id, Vec<u8>)>,
    /// The metadata, told, that ids had at any time.
    ever_fields: BTreeSet<(Id, String)>,
    /// What is live: row, segment that it is in.
    live: BTreeMap<Id, (Vec<u8>, Range<usize>)>,
    /// The metadata, told, of what is live.
    fields: BTreeMap<Id, String>,
}

/// Metadata in words. A whole number reads as f64 beside others of its field, which may be lost: both are told alike.
fn told(mut metadata: Metadata) -> String {
    for value in metadata.values_mut() {
        if let Value::I64(whole) = *value
            && let Some(float) = whole_as_f64(whole)
        {
            *value = Value::F64(float);
        }
    }
    format!("{metadata:?}")
}

impl Case {
    fn new(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        let newest = Snapshot::newest(bytes.as_slice().into()).unwrap();
        let (mut ever, mut ever_fields) = (BTreeSet::new(), BTreeSet::new());
        for epoch in 1..=newest.epoch() {
            let Ok(earlier) = newest.at_epoch(epoch) else { continue };
            for part in earlier.parts() {
                let view = view(&earlier, &part.entry);
                ever.extend((0..view.count()).map(|row| (view.id(row).unwrap().into(), view.row(row).to_vec())));
            }
            let records = earlier.records().unwrap().map(Result::unwrap);
            ever_fields.extend(records.map(|record| (record.id, told(record.metadata))));
        }
        let (mut live, mut fields) = (BTreeMap::new(), BTreeMap::new());
        for record in newest.records().unwrap().map(Result::unwrap) {
            let id = record.id;
            fields.insert(id.clone(), told(record.metadata));
            let at = newest.find(id.as_ref()).unwrap().unwrap();
            let entry = newest.parts()[at.part as usize].entry;
            let row = view(&newest, &entry).row(at.row).to_vec();
            live.insert(id, (row, entry.offset.get() as usize..entry.end() as usize));
        }
        Self { name: name.into(), epoch: newest.epoch(), bytes, ever, ever_fields, live, fields }
    }

    /// What must hold for the file with any damage. What was saved, if anything was.
    fn check(&self, damaged: &[u8], what: &str) -> Option<Salvaged> {
        let place = format!("{}, {what}", self.name);
        let saved = match salvage(damaged.into()) {
            Ok(saved) => saved,
            Err(Error::NotRvf | Error::NoRoot | Error::Corrupt { clause: Clause::File4, .. }) => return None,
            Err(error) => panic!("{place}: {error}"),
        };
        let rows = rows(&saved);
        assert_eq!(rows.len() as u64, saved.count, "{place}: an id twice, or a wrong count");
        for (id, row) in &rows {
            assert!(self.ever.contains(&(id.clone(), row.clone())), "{place}: {id} was never stored like that");
        }
        let is_live = |(id, row): (&Id, &Vec<u8>)| self.live.get(id).is_some_and(|live| live.0 == *row);
        let missing = self.live.iter().filter(|(id, live)| rows.get(id) != Some(&live.0)).count();
        let extra = rows.iter().filter(|row| !is_live(*row)).count();
        if saved.lost.is_empty() {
            assert_eq!((missing, extra), (0, 0), "{place}: nothing is lost, it says");
        }
        let doubtful = saved.lost.iter().any(|loss| ["JOURNAL", "TAIL"].contains(&loss.kind));
        if saved.epoch == Some(self.epoch) && !doubtful {
            assert_eq!(extra, 0, "{place}: dead records came back");
        }
        self.check_fields(&saved, &place);
        Some(saved)
    }

    /// Metadata is that of a commit; where the newest is proven, it is current or not there; and what is not there is counted.
    fn check_fields(&self, saved: &Salvaged, place: &str) {
        let mut without = 0;
        for (id, row, metadata) in saved.records() {
            let id = Id::from(id);
            let Some(metadata) = metadata.map(told) else {
                without += 1;
                continue;
            };
            let is_live = self.live.get(&id).is_some_and(|live| live.0 == row);
            if saved.epoch == Some(self.epoch) && is_live {
                assert_eq!(metadata, self.fields[&id], "{place}: metadata of {id}");
            } else {
                let known = metadata == "{}" || self.ever_fields.contains(&(id.clone(), metadata.clone()));
                assert!(known, "{place}: {id} never had {metadata}");
            }
        }
        assert_eq!(without, saved.without_fields, "{place}");
        assert_eq!(without, saved.lost.iter().filter_map(|loss| loss.fields).sum::<u64>(), "{place}");
    }

    /// The same for damage in place: what is in segments that it does not touch is there.
    fn check_in_place(&self, damaged: &[u8], touched: &Range<usize>, what: &str) -> Option<Salvaged> {
        let saved = self.check(damaged, what);
        let rows = saved.as_ref().map(rows).unwrap_or_default();
        for (id, (row, segment)) in &self.live {
            let hit = segment.start < touched.end && touched.start < segment.end;
            assert!(hit || rows.get(id) == Some(row), "{}, {what}: {id} is not there", self.name);
        }
        let hits_fields = segments(&self.bytes, 0, self.bytes.len()).into_iter().any(|segment| {
            let kind = header_at(&self.bytes, segment.start).unwrap().kind();
            [Kind::META, Kind::DELTA].contains(&kind) && segment.start < touched.end && touched.start < segment.end
        });
        if let Some(saved) = saved.as_ref().filter(|saved| !hits_fields && saved.epoch == Some(self.epoch)) {
            assert_eq!(saved.without_fields, 0, "{}, {what}: intact metadata is not there", self.name);
        }
        saved
    }

    fn flip(&self, at: usize) -> Option<Salvaged> {
        let mut damaged = self.bytes.clone();
        damaged[at] ^= 0x10;
        self.check_in_place(&damaged, &(at..at + 1), &format!("byte {at:#x} flipped"))
    }
}

fn view(snapshot: &Snapshot, entry: &ManifestEntry) -> VecView {
    let bytes = snapshot.file().slice(entry.offset.get() as usize, entry.length.get() as usize).unwrap();
    VecView::parse(bytes, entry, snapshot.schema()).unwrap()
}

fn rows(saved: &Salvaged) -> BTreeMap<Id, Vec<u8>> {
    saved.rows().map(|(id, row)| (Id::from(id), row.to_vec())).collect()
}

/// Golden files and samples. Not those of a lineage: rows that no epoch of the file itself shows are in them.
fn cases(most: usize) -> Vec<Case> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    for entry in std::fs::read_dir(fixtures().join("v1")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy();
        if path.extension().is_some_and(|ending| ending == "rvf") && !name.starts_with("branch-") {
            found.push((name.into_owned(), std::fs::read(&path).unwrap()));
        }
    }
    found.extend(samples::all().iter().enumerate().map(|(index, bytes)| (format!("sample {index}"), bytes.clone())));
    found.sort();
    found.retain(|(_, bytes)| bytes.len() <= most);
    assert!(found.len() > 10, "{}", found.len());
    found.into_iter().map(|(name, bytes)| Case::new(name, bytes)).collect()
}

/// Bytes worth flipping: in the header, in every section, at the end.
fn places(bytes: &[u8], segment: &Range<usize>) -> Vec<usize> {
    let mut places: Vec<usize> =
        [0, 5, 8, 0x11, 0x18, 0x28, 64, 68, 84, 90].iter().map(|at| segment.start + at).collect();
    for (_, section) in sections(bytes, segment).into_iter().filter(|(_, section)| !section.is_empty()) {
        places.extend([section.start, section.start + section.len() / 2, section.end - 1]);
    }
    places.push(segment.end - 1);
    places.retain(|at| *at < bytes.len());
    places
}

#[test]
fn an_undamaged_file_loses_nothing() {
    for case in cases(usize::MAX) {
        let saved = case.check(&case.bytes, "undamaged").unwrap();
        assert_eq!((saved.epoch, saved.lost.len(), saved.notes.len()), (Some(case.epoch), 0, 0), "{}", case.name);
        assert_eq!(saved.count, case.live.len() as u64, "{}", case.name);
    }
}

#[test]
fn a_byte_in_any_segment() {
    for case in cases(usize::MAX) {
        for segment in segments(&case.bytes, 0, case.bytes.len()) {
            for at in places(&case.bytes, &segment) {
                let saved = case.flip(at);
                // Without its only root an empty store does not say what it was for.
                assert!(saved.is_some() || case.live.is_empty(), "{}: byte {at:#x} refused", case.name);
            }
        }
    }
}

/// Whether a byte is in the section table of a manifest, or before it: with it goes what the manifest removed and which facts it set.
fn is_table(manifest: &Range<usize>, at: usize) -> bool {
    (64..176).contains(&at.wrapping_sub(manifest.start))
}

/// A damaged manifest or root before the newest one costs nothing: the state hash of the newest root proves what it listed. But for a
/// full manifest whose section table is damaged: then all records are there, and it is said that not all may be live.
#[test]
fn earlier_manifests_and_roots_are_not_needed() {
    let (mut tried, mut unproven) = (0, Vec::new());
    for case in cases(1 << 20) {
        let all = roots(&case.bytes);
        for root in all.iter().rev().skip(1) {
            let Some(manifest) = &root.manifest else { continue };
            let inside = places(&case.bytes, manifest).into_iter();
            // What the state hash does not cover, of the first and of the last entry: which segment, and where.
            let entries = sections(&case.bytes, manifest).into_iter().find(|(tag, _)| *tag == 1).unwrap().1;
            let ends = [entries.start, entries.end - size_of::<ManifestEntry>()];
            let fields = [
                offset_of!(ManifestEntry, segment_id),
                offset_of!(ManifestEntry, offset),
                offset_of!(ManifestEntry, length),
            ];
            let fields = ends.into_iter().flat_map(|start| fields.map(|field| start + field));
            for at in
                inside.chain(fields).chain([root.offset, root.offset + 0x158, root.offset + 0x171, root.offset + 0xFFF])
            {
                let saved = case.flip(at).unwrap();
                tried += 1;
                let full = case.bytes[manifest.start + 64] == 1;
                if full && is_table(manifest, at) {
                    assert_eq!(saved.lost.is_empty(), saved.epoch == Some(case.epoch), "{} at {at:#x}", case.name);
                } else if saved.epoch != Some(case.epoch) || !saved.lost.is_empty() {
                    unproven.push((case.name.clone(), root.offset, at as i64 - manifest.start as i64, saved.epoch));
                }
            }
        }
    }
    assert!(tried > 1000 && unproven.is_empty(), "of {tried}: {unproven:?}");
}

/// The newest manifest is proven by its own root; a damaged newest root leaves a commit in doubt, whose records are written.
#[test]
fn the_newest_manifest_and_root() {
    for case in cases(1 << 20) {
        let all = roots(&case.bytes);
        let newest = all.last().unwrap();
        let manifest = newest.manifest.as_ref().unwrap();
        for at in places(&case.bytes, manifest) {
            let Some(saved) = case.flip(at) else { continue };
            let facts = sections(&case.bytes, manifest).into_iter().filter(|(tag, _)| *tag >= 16);
            // A fact that the newest commit sets stands nowhere else.
            if is_table(manifest, at) || facts.into_iter().any(|(_, fact)| fact.contains(&at)) {
                assert_eq!(saved.lost.is_empty(), saved.epoch == Some(case.epoch), "{} at {at:#x}", case.name);
            } else if at < newest.offset {
                assert_eq!((saved.epoch, saved.lost.len()), (Some(case.epoch), 0), "{} at {at:#x}", case.name);
            }
        }
        let Some(saved) = case.flip(newest.offset + 0x158) else { continue };
        assert!(saved.lost.iter().any(|loss| ["TAIL", "ROOT"].contains(&loss.kind)), "{}", case.name);
    }
}

#[test]
fn any_page_zeroed() {
    for case in cases(1 << 20) {
        for start in (0..case.bytes.len()).step_by(PAGE_LEN) {
            let mut damaged = case.bytes.clone();
            damaged[start..start + PAGE_LEN].fill(0);
            case.check_in_place(&damaged, &(start..start + PAGE_LEN), &format!("page at {start:#x} zeroed"));
        }
    }
}

#[test]
fn cut_anywhere() {
    let mut rng = Rng(11);
    for case in cases(1 << 18) {
        let ends: BTreeSet<usize> = roots(&case.bytes).iter().map(|root| root.offset + PAGE_LEN).collect();
        let step = (case.bytes.len() / 150).next_multiple_of(512);
        let odd = (0..40).map(|_| rng.below(case.bytes.len() as u64) as usize);
        for length in (0..case.bytes.len()).step_by(step).chain(odd.collect::<Vec<_>>()) {
            let Some(saved) = case.check_cut(length) else { continue };
            assert!(ends.contains(&length) || !saved.lost.is_empty(), "{}: cut to {length}", case.name);
        }
    }
}

impl Case {
    /// A cut file is compared with what it once was, but for cuts right behind a root, which cannot be told.
    fn check_cut(&self, length: usize) -> Option<Salvaged> {
        let cut = &self.bytes[..length];
        let once = Snapshot::newest(cut.into()).ok().filter(|snapshot| snapshot.root().end() == length as u64);
        match once {
            Some(_) => Case::new(format!("{} as it was", self.name), cut.to_vec()).check(cut, "cut behind a root"),
            None => self.check(cut, &format!("cut to {length}")),
        }
    }
}

/// Two damages at once: nothing is proven twice over, but what is written was committed.
#[test]
fn many_bytes_at_once() {
    let mut rng = Rng(12);
    for case in cases(1 << 18) {
        for round in 0..60 {
            let mut damaged = case.bytes.clone();
            for _ in 0..2 + round % 7 {
                let at = rng.below(damaged.len() as u64) as usize;
                damaged[at] ^= 1 << rng.below(8);
            }
            case.check(&damaged, &format!("round {round}"));
        }
    }
}

/// A store of more than one segment above the length from which hash trees are kept.
fn with_tree(id_type: IdType) -> Case {
    let place = MemoryPlace::default();
    let schema = Schema { dtype: Dtype::U8, id_type, ..Schema::new(200, Metric::L2) };
    let open = OpenOptions { manual_index: true, ..samples::open_options() };
    let options = CreateOptions { model: None, file_id: Some([9; 16]), open };
    let mut db = Db::create_with(Arc::new(place.clone()), samples::PATH, &schema, &options).unwrap();
    let mut batch = db.batch();
    for n in 0..6000u64 {
        let row: Vec<u8> = (0..200).map(|at| ((n * 31 + at * 7) % 251) as u8).collect();
        match id_type {
            IdType::U64 => batch.put(n, &row[..]).unwrap(),
            IdType::Str => batch.put(format!("{n:05}-{}", "x".repeat((n % 9) as usize)), &row[..]).unwrap(),
        }
    }
    batch.commit().unwrap();
    db.delete(&[match id_type {
        IdType::U64 => Id::U64(5),
        IdType::Str => Id::Str("00005-xxxxx".into()),
    }])
    .unwrap();
    Case::new(format!("tree, {id_type}"), place.bytes(Path::new(samples::PATH)).unwrap())
}

/// A flipped byte in a large segment costs the rows in its group of 16 KiB and no others.
#[test]
fn a_hash_tree_saves_what_is_in_other_groups() {
    for case in [with_tree(IdType::U64), with_tree(IdType::Str)] {
        let large = segments(&case.bytes, 0, case.bytes.len()).into_iter().find(|range| range.len() as u64 >= TREE_MIN);
        let large = large.unwrap();
        assert_eq!(header_at(&case.bytes, large.start).unwrap().kind(), Kind::VEC);
        let all = sections(&case.bytes, &large);
        for (tag, section) in all.iter().filter(|(_, section)| section.start >= large.start + GROUP_LEN) {
            let at = section.start + section.len() / 2;
            let mut damaged = case.bytes.clone();
            damaged[at] ^= 1;
            let saved = case.check(&damaged, &format!("section {tag}")).unwrap();
            let missing = case.live.len() as u64 - saved.count;
            // An id has at least 4 bytes in any of its sections.
            assert!(missing > 0 && missing <= (GROUP_LEN / 4) as u64 + 2, "{}: {missing} in {tag}", case.name);
            assert_eq!((saved.lost.len(), saved.lost[0].kind), (1, "VEC"));
            assert!(saved.lost[0].rows.unwrap() >= missing, "{:?}", saved.lost);
        }
        let vectors = &all.iter().find(|(tag, _)| *tag == 2).unwrap().1;
        let mut damaged = case.bytes.clone();
        damaged[vectors.start + 3 * GROUP_LEN] ^= 1;
        let saved = case.check(&damaged, "vectors").unwrap();
        let lost = &saved.lost[0];
        assert!(lost.rows.unwrap() <= GROUP_LEN as u64 / 200 + 2, "{lost:?}");
        assert_eq!(lost.ids.len() as u64, lost.rows.unwrap(), "ids are intact and named");
        assert!(lost.ids.iter().all(|id| !rows(&saved).contains_key(id)));
        let mut headless = case.bytes.clone();
        headless[large.start + 100] ^= 1;
        assert_eq!(case.check(&headless, "first group").unwrap().count, 0);
    }
}

/// A lost journal brings records back, and salvage says so; of an id that was replaced the newest row counts.
#[test]
fn a_lost_journal_is_told_and_the_newest_row_wins() {
    let case = Case::new("small", samples::small());
    let journals = segments(&case.bytes, 0, case.bytes.len()).into_iter();
    let is_journal = |range: &Range<usize>| header_at(&case.bytes, range.start).unwrap().kind() == Kind::JOURNAL;
    for journal in journals.filter(is_journal) {
        let saved = case.flip(journal.start + 200).unwrap();
        assert_eq!((saved.lost.len(), saved.lost[0].kind), (1, "JOURNAL"), "{:?}", saved.lost);
        assert_eq!(rows(&saved).get(&Id::U64(2)), Some(&case.live[&Id::U64(2)].0));
    }
}

/// Two VEC segments with META, ids 0 to 5 and 6 to 9; a change of 2, 4 and 7, a later one of 4, one of 8.
fn with_fields() -> Case {
    let place = MemoryPlace::default();
    let options = CreateOptions { model: None, file_id: Some([9; 16]), open: samples::open_options() };
    let schema = Schema::new(2, Metric::L2);
    let mut db = Db::create_with(Arc::new(place.clone()), samples::PATH, &schema, &options).unwrap();
    for ids in [0..6u64, 6..10] {
        let mut batch = db.batch();
        ids.for_each(|id| batch.put_with(id, &[1.0, id as f32], [("n", (id as i64).into())]).unwrap());
        batch.commit().unwrap();
    }
    for (ids, value) in [(&[2u64, 4, 7][..], 0.5), (&[4], 1.5), (&[8], 2.5)] {
        let mut batch = db.batch();
        ids.iter().for_each(|id| batch.update(*id, [("n", value.into())]).unwrap());
        batch.commit().unwrap();
    }
    Case::new("fields", place.bytes(Path::new(samples::PATH)).unwrap())
}

fn without_fields(saved: &Salvaged) -> Vec<u64> {
    let without = saved.records().filter(|(.., metadata)| metadata.is_none());
    let mut ids: Vec<u64> = without.map(|(id, ..)| Id::from(id).to_string().parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// Each segment of metadata in turn: the records that it may be about are without, no others, and that is told. No record gets back
/// what it had before a change that is damaged, but in the epoch before it, which is named.
#[test]
fn damaged_metadata_is_counted_and_older_does_not_take_its_place() {
    let case = with_fields();
    let of_kind = |kind: Kind| {
        let all = segments(&case.bytes, 0, case.bytes.len()).into_iter();
        all.filter(|range| header_at(&case.bytes, range.start).unwrap().kind() == kind).collect::<Vec<_>>()
    };
    // The first is about the file.
    let (metas, deltas) = (of_kind(Kind::META)[1..].to_vec(), of_kind(Kind::DELTA));
    let expected: [(&Range<usize>, &[u64], u64); 5] = [
        (&metas[0], &[0, 1, 3, 5], 1),
        (&metas[1], &[6, 9], 2),
        // Of the first change all but its first row is unknown; 4 and 8 were changed later.
        (&deltas[0], &[2, 3, 5, 6, 7, 9], 3),
        (&deltas[1], &[4], 4),
        (&deltas[2], &[8], 5),
    ];
    for (segment, ids, whole) in expected {
        for at in places(&case.bytes, segment) {
            let saved = case.flip(at).unwrap();
            let kind = header_at(&case.bytes, segment.start).unwrap().kind().name().unwrap();
            assert_eq!(without_fields(&saved), ids, "{kind} at {at:#x}");
            assert_eq!((saved.count, saved.without_fields, saved.lost.len()), (10, ids.len() as u64, 1), "{kind}");
            let lost = &saved.lost[0];
            assert_eq!((lost.kind, lost.rows, lost.fields), (kind, None, Some(ids.len() as u64)), "{kind}");
            assert_eq!(saved.whole.map(|(epoch, _)| epoch), Some(whole), "{kind}");
        }
    }
}

/// Behind a newest root that is damaged: what the last commit put comes with its metadata, what it changed is changed, and where that
/// change is damaged, too, no record has what it had before.
#[test]
fn metadata_of_a_commit_without_a_root() {
    let whole = with_fields();
    let damaged_root = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let root = roots(&bytes).last().unwrap().offset;
        bytes[root + 0x158] ^= 1;
        bytes
    };
    let newest = |bytes: &[u8], id: u64| {
        let saved = salvage(bytes.into()).unwrap();
        let found = saved.records().find(|(found, ..)| Id::from(*found) == Id::U64(id));
        found.and_then(|(.., metadata)| metadata).map(|metadata| metadata["n"].clone())
    };
    let torn = damaged_root(&whole.bytes);
    assert_eq!(newest(&torn, 8), Some(Value::F64(2.5)), "as the last commit changed it");
    let last = segments(&torn, 0, torn.len()).into_iter().rev();
    let delta = last.into_iter().find(|range| header_at(&torn, range.start).unwrap().kind() == Kind::DELTA).unwrap();
    let mut both = torn.clone();
    both[delta.start + 200] ^= 1;
    assert_eq!((newest(&both, 8), newest(&both, 0)), (None, None), "the change may be about any");
    // The second commit without its root and all behind it.
    let ends: Vec<usize> = roots(&whole.bytes).iter().map(|root| root.offset + PAGE_LEN).collect();
    let put = damaged_root(&whole.bytes[..ends[2]]);
    assert_eq!((newest(&put, 9), newest(&put, 5)), (Some(Value::I64(9)), Some(Value::I64(5))));
}

/// Files whose hashes are right and whose numbers lie: no panic, and rows as long as the store's.
#[test]
fn hostile_files() {
    for clause in Clause::ALL {
        let bytes = std::fs::read(fixtures().join(format!("corrupt/{clause}.rvf"))).unwrap();
        if let Ok(saved) = salvage(Bytes::from(bytes)) {
            assert!(saved.records().all(|(_, row, _)| row.len() == saved.schema.row_len()), "{clause}");
        }
    }
}

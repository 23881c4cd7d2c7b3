//! INDEX and QUANT segments of the newest epoch: with each other, with the VEC segments, and, deep, with every row.

use super::codes::Coder;
use super::history::History;
use super::meaning::{is_dead, segment};
use super::walk::Walked;
use super::{Findings, Options};
use crate::manifest::ManifestEntry;
use crate::payload::index::{CODE_STORED, IndexView};
use crate::payload::journal::JournalView;
use crate::payload::quant::QuantView;
use crate::payload::vec::VecView;
use crate::storage::Bytes;
use crate::{Clause, Kind, Result, Schema};
use std::collections::{BTreeMap, BTreeSet};
use zerocopy::byteorder::little_endian::U32;

pub(super) fn check(file: &Bytes, history: &History, walked: &Walked, options: &Options, findings: &mut Findings) {
    let Some(schema) = history.schema().filter(|_| history.resolved) else { return };
    let graphs = Graphs::read(file, history, walked, &schema);
    check_cover(history, &graphs, findings);
    let quants = check_pairs(&graphs, findings);
    if options.deep && !graphs.indexes.is_empty() {
        let rows = Rows::read(file, history, walked, &schema);
        for (entry, index) in &graphs.indexes {
            let quant = key_of(entry, index).and_then(|key| quants.get(&key)).copied();
            check_pivot_rows(entry, index, quant, &rows, findings);
            check_reach(entry, index, &rows, findings);
            if let Some((entry, quant)) = quant {
                check_codes(entry, index, quant, &rows, findings);
            }
        }
    }
}

/// INDEX and QUANT segments that the newest epoch lists and that are sound alone.
struct Graphs {
    indexes: Vec<(ManifestEntry, IndexView)>,
    quants: Vec<(ManifestEntry, QuantView)>,
    /// Whether there are others, of which nothing is known.
    some_index_damaged: bool,
    some_quant_damaged: bool,
}

impl Graphs {
    fn read(file: &Bytes, history: &History, walked: &Walked, schema: &Schema) -> Self {
        let (indexes, some_index_damaged) =
            sound(history, walked, Kind::INDEX, |entry| IndexView::parse(segment(file, entry)?, entry, schema));
        let (quants, some_quant_damaged) =
            sound(history, walked, Kind::QUANT, |entry| QuantView::parse(segment(file, entry)?, entry, schema));
        Self { indexes, quants, some_index_damaged, some_quant_damaged }
    }
}

/// The segments of a kind that the newest epoch lists, as far as they can be read; whether some cannot.
fn sound<T>(
    history: &History,
    walked: &Walked,
    kind: Kind,
    parse: impl Fn(&ManifestEntry) -> Result<T>,
) -> (Vec<(ManifestEntry, T)>, bool) {
    let (mut views, mut some_damaged) = (Vec::new(), false);
    let listed = history.newest.live.values().filter(|entry| entry.kind() == kind && entry.space.get() == 0);
    for entry in listed {
        let intact = !walked.damaged.contains(&entry.segment_id.get());
        match parse(entry) {
            Ok(view) if intact => views.push((*entry, view)),
            // What is wrong with it has been said.
            _ => some_damaged = true,
        }
    }
    (views, some_damaged)
}

/// What an INDEX of codes and its QUANT have in common: first row, rows, code, stride.
type Key = (u64, u32, u8, u32);

fn key(entry: &ManifestEntry, code: u8, stride: U32) -> Key {
    (entry.base_row.get(), entry.rows.get(), code, stride.get())
}

fn key_of_quant(entry: &ManifestEntry, quant: &QuantView) -> Key {
    key(entry, quant.facts().code, quant.facts().stride)
}

/// The key of an INDEX of codes.
fn key_of(entry: &ManifestEntry, index: &IndexView) -> Option<Key> {
    (index.facts().code != CODE_STORED).then(|| key(entry, index.facts().code, index.facts().stride))
}

/// IDX-2: each run is a VEC segment, of no other INDEX.
fn check_cover(history: &History, graphs: &Graphs, findings: &mut Findings) {
    let listed = history.newest.live.values().filter(|entry| entry.kind() == Kind::VEC && entry.space.get() == 0);
    let listed = listed.filter(|entry| entry.rows.get() > 0);
    let rows: BTreeMap<u64, u32> = listed.map(|entry| (entry.base_row.get(), entry.rows.get())).collect();
    // What a branch inherits is its parents' to list.
    let inherited = history.first_row().unwrap_or(0);
    let mut covered = BTreeSet::new();
    for (entry, index) in &graphs.indexes {
        let (at, id) = (entry.offset.get(), Some(entry.segment_id.get()));
        for run in index.runs() {
            let base_row = run.base_row.get();
            let is_inherited = base_row.saturating_add(u64::from(run.rows.get())) <= inherited;
            if !is_inherited && rows.get(&base_row) != Some(&run.rows.get()) {
                let message = format!("the run from row {base_row} is not the rows of a VEC segment");
                findings.add(Clause::Idx2, at, id, message);
            } else if !covered.insert(base_row) {
                findings.add(Clause::Idx2, at, id, format!("the rows from {base_row} on are in two INDEX segments"));
            }
        }
    }
}

/// QNT-1: each QUANT goes with one INDEX, each INDEX of codes with one QUANT. The QUANT of each key that has one.
fn check_pairs<'g>(graphs: &'g Graphs, findings: &mut Findings) -> BTreeMap<Key, &'g (ManifestEntry, QuantView)> {
    let (mut indexes, mut quants): (BTreeMap<Key, usize>, BTreeMap<Key, Vec<_>>) = Default::default();
    for key in graphs.indexes.iter().filter_map(|(entry, index)| key_of(entry, index)) {
        *indexes.entry(key).or_default() += 1;
    }
    for listed in &graphs.quants {
        quants.entry(key_of_quant(&listed.0, &listed.1)).or_default().push(listed);
    }
    let mut judge = |entry: &ManifestEntry, found: usize, some_damaged: bool, what: &str| {
        if found > 1 || (found == 0 && !some_damaged) {
            let (at, id) = (entry.offset.get(), Some(entry.segment_id.get()));
            findings.add(Clause::Qnt1, at, id, format!("{found} {what}, not one"));
        }
    };
    for (entry, index) in &graphs.indexes {
        if let Some(key) = key_of(entry, index) {
            let found = quants.get(&key).map_or(0, Vec::len);
            judge(entry, found, graphs.some_quant_damaged, "QUANT segments go with an INDEX of codes");
        }
    }
    for (entry, quant) in &graphs.quants {
        let found = indexes.get(&key_of_quant(entry, quant)).copied().unwrap_or(0);
        judge(entry, found, graphs.some_index_damaged, "INDEX segments go with a QUANT");
    }
    let single =
        quants.into_iter().filter_map(|(key, found)| Some((key, *found.first()?)).filter(|_| found.len() == 1));
    single.collect()
}

/// The rows of the newest epoch that can be read.
struct Rows {
    schema: Schema,
    /// By first row.
    segments: BTreeMap<u64, VecView>,
    journals: Vec<JournalView>,
    /// Whether every journal can be read, so that it is known which rows are live.
    liveness: bool,
}

impl Rows {
    fn read(file: &Bytes, history: &History, walked: &Walked, schema: &Schema) -> Self {
        let (views, _) =
            sound(history, walked, Kind::VEC, |entry| VecView::parse(segment(file, entry)?, entry, schema));
        let segments = views.into_iter().filter(|(_, view)| view.count() > 0);
        let (journals, some_damaged) =
            sound(history, walked, Kind::JOURNAL, |entry| JournalView::parse(segment(file, entry)?, 0));
        Self {
            schema: *schema,
            segments: segments.map(|(entry, view)| (entry.base_row.get(), view)).collect(),
            journals: journals.into_iter().map(|(_, journal)| journal).collect(),
            liveness: !some_damaged,
        }
    }

    /// The stored row of a node; `None` where it cannot be read.
    fn of(&self, index: &IndexView, node: u32) -> Option<&[u8]> {
        let row = index.node_row(node)?;
        let (base_row, view) = self.segments.range(..=row).next_back()?;
        let place = u32::try_from(row - base_row).ok()?;
        Some(view.row(place)).filter(|bytes| !bytes.is_empty())
    }
}

/// IDX-4.
fn check_pivot_rows(
    entry: &ManifestEntry,
    index: &IndexView,
    quant: Option<&(ManifestEntry, QuantView)>,
    rows: &Rows,
    findings: &mut Findings,
) {
    let walk_row = |node| match index.facts().code {
        CODE_STORED => rows.of(index, node),
        _ => quant.map(|(_, quant)| quant.row(node)),
    };
    let kept = index.pivot_rows().chunks(index.facts().stride.get().max(1) as usize);
    let wrong =
        index.pivots().iter().zip(kept).find(|(pivot, kept)| walk_row(pivot.get()).is_some_and(|row| row != *kept));
    if let Some((pivot, _)) = wrong {
        let message = format!("the walk row of the pivot at node {pivot} is not that of the node");
        findings.add(Clause::Idx4, entry.offset.get(), Some(entry.segment_id.get()), message);
    }
}

/// IDX-5.
fn check_reach(entry: &ManifestEntry, index: &IndexView, rows: &Rows, findings: &mut Findings) {
    let (at, id) = (entry.offset.get(), Some(entry.segment_id.get()));
    let reached = index.reachable();
    let (linked, found) = (index.facts().linked.get(), reached.iter().filter(|reached| **reached).count());
    if found != linked as usize {
        findings.add(
            Clause::Idx5,
            at,
            id,
            format!("{found} nodes are reached from the pivots, the facts say {linked}"),
        );
    }
    if !rows.liveness {
        return;
    }
    let left = (0..).zip(&reached).filter(|(node, reached)| !**reached && rows.of(index, *node).is_some());
    let mut left = left.filter_map(|(node, _)| index.node_row(node));
    if let Some(row) = left.find(|row| !is_dead(&rows.journals, *row)) {
        findings.add(Clause::Idx5, at, id, format!("row {row} is live, and no walk reaches it"));
    }
}

/// QNT-2.
fn check_codes(entry: &ManifestEntry, index: &IndexView, quant: &QuantView, rows: &Rows, findings: &mut Findings) {
    let mut coder = Coder::new(&rows.schema, quant);
    let wrong = |node: &u32| rows.of(index, *node).is_some_and(|row| !coder.fits(row, quant.row(*node)));
    if let Some(node) = (0..index.facts().nodes.get()).find(wrong) {
        let message = format!("the codes of node {node} are not those of its row");
        findings.add(Clause::Qnt2, entry.offset.get(), Some(entry.segment_id.get()), message);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, verify, verify_with};
    use super::*;
    use crate::identity::encode_file_segment;
    use crate::manifest::{Facts, Manifest};
    use crate::payload::index::{self, CODE_SQ8, IndexFacts, IndexParts, IndexRun, NO_LINK};
    use crate::payload::quant::{self, QuantFacts, QuantParts};
    use crate::payload::vec::{self, IdColumn};
    use crate::payload::{journal, witness};
    use crate::root::RootPage;
    use crate::{Metric, digest, state};
    use std::borrow::Cow;
    use zerocopy::IntoBytes;

    const SCHEMA: Schema = Schema::new(2, Metric::L2);
    const STEP: f32 = 0.5;
    const STRIDE: usize = 16;

    /// A file of one commit: VEC segments of rows from a base row on, an INDEX over the first two, its QUANT.
    struct Sample {
        vectors: Vec<(u64, Vec<[f32; 2]>)>,
        dead: Vec<u64>,
        indexes: Vec<IndexParts<'static>>,
        quants: Vec<QuantParts<'static>>,
        space: u32,
    }

    /// Node 4 is row 21: dead, and linked from nowhere.
    fn sample() -> Sample {
        let vectors = vec![
            (10, vec![[1.0, 2.0], [-1.5, 0.0], [8.0, -9.0]]),
            (20, vec![[0.5, 0.5], [3.0, 3.0]]),
            (30, vec![[7.0, 7.0]]),
        ];
        let codes: Vec<Vec<u8>> = vectors[..2].iter().flat_map(|(_, rows)| rows).map(coded).collect();
        let pivots = [3u32, 0];
        let mut facts = IndexFacts::zeroed();
        (facts.nodes, facts.degree, facts.linked) = (5.into(), 2.into(), 4.into());
        (facts.pivots, facts.cells) = (2.into(), 1.into());
        (facts.code, facts.stride) = (CODE_SQ8, (STRIDE as u32).into());
        let index = IndexParts {
            facts,
            runs: vec![run(10, 3), run(20, 2)].into(),
            links: le(&[1, NO_LINK, 2, 0, NO_LINK, NO_LINK, 0, NO_LINK, 0, NO_LINK]),
            pivots: le(&pivots),
            cells: le(&[0, 1]),
            pivot_rows: pivots.iter().flat_map(|pivot| codes[*pivot as usize].clone()).collect::<Vec<u8>>().into(),
            effort: Cow::Borrowed(&[]),
        };
        let mut facts = QuantFacts::zeroed();
        (facts.dimension, facts.stride, facts.count) = (2.into(), (STRIDE as u32).into(), 5.into());
        (facts.code, facts.step) = (quant::CODE_SQ8, STEP.to_bits().into());
        let quant = QuantParts {
            facts,
            codes: codes.concat().into(),
            offsets: Cow::Borrowed(&[]),
            map: Cow::Borrowed(&[]),
            base_row: 10,
        };
        Sample { vectors, dead: vec![21], indexes: vec![index], quants: vec![quant], space: 0 }
    }

    fn coded(row: &[f32; 2]) -> Vec<u8> {
        let mut code: Vec<u8> = row.iter().map(|x| ((x / STEP) as i8).cast_unsigned()).collect();
        code.resize(STRIDE, 0);
        code
    }

    /// An INDEX over the first run alone whose walk rows are stored rows.
    fn stored(sample: &Sample) -> IndexParts<'static> {
        let mut index = sample.indexes[0].clone();
        (index.facts.nodes, index.facts.linked) = (3.into(), 3.into());
        (index.facts.code, index.facts.stride) = (CODE_STORED, 8.into());
        (index.runs, index.links) = (vec![run(10, 3)].into(), le(&[1, 2, 0, 2, 0, 1]));
        index.pivots = le(&[1, 0]);
        index.pivot_rows = [sample.vectors[0].1[1], sample.vectors[0].1[0]].as_bytes().to_vec().into();
        index
    }

    fn run(base_row: u64, rows: u32) -> IndexRun {
        IndexRun { base_row: base_row.into(), rows: rows.into(), reserved: 0.into() }
    }

    fn le(numbers: &[u32]) -> Cow<'static, [u8]> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    impl Sample {
        fn encode(self) -> Vec<u8> {
            let mut drafts = Vec::new();
            for (base_row, rows) in &self.vectors {
                let ids: Vec<u64> = (*base_row..).take(rows.len()).collect();
                drafts.push(vec::draft(&SCHEMA, *base_row, rows.as_bytes(), IdColumn::U64(&ids)).into_owned());
            }
            drafts.push(journal::draft(&journal::words_of(self.dead.iter().copied())).into_owned());
            let graphs = self.indexes.into_iter().map(index::draft).chain(self.quants.into_iter().map(quant::draft));
            drafts.extend(graphs.map(|mut draft| {
                draft.space = self.space;
                draft
            }));
            let mut file = encode_file_segment([7; 16], 0);
            let mut listed = vec![entry(0, 0, Kind::FILE, &file)];
            for draft in drafts {
                let id = listed.len() as u64;
                let bytes = draft.encode(id, 0).unwrap();
                let mut entry = entry(id, file.len() as u64, draft.kind, &bytes);
                (entry.space, entry.base_row, entry.rows) =
                    (draft.space.into(), draft.base_row.into(), draft.rows.into());
                listed.push(entry);
                file.extend(bytes);
            }
            let rows: usize = self.vectors.iter().map(|(_, rows)| rows.len()).sum();
            commit(&mut file, listed, (rows - self.dead.len()) as u64);
            file
        }

        fn clauses(self, deep: bool) -> Vec<Clause> {
            let report = verify_with(&Bytes::from(self.encode()), &Options { deep }, &mut |_, _| {}).unwrap();
            let mut clauses: Vec<Clause> = report.findings.iter().map(|finding| finding.clause).collect();
            clauses.dedup();
            clauses
        }
    }

    fn entry(id: u64, offset: u64, kind: Kind, bytes: &[u8]) -> ManifestEntry {
        let mut entry = ManifestEntry::zeroed();
        (entry.segment_id, entry.offset, entry.length) = (id.into(), offset.into(), (bytes.len() as u64).into());
        (entry.kind, entry.epoch, entry.hash) = (kind.0, 1.into(), digest::blake3(bytes));
        entry
    }

    /// Appends the MANIFEST and root of epoch 1.
    fn commit(file: &mut Vec<u8>, listed: Vec<ManifestEntry>, live_count: u64) {
        let id = listed.len() as u64;
        let mut root = RootPage::new();
        root.file_id = [7; 16];
        root.set_epoch(1);
        root.set_schema(&SCHEMA);
        root.live_count = live_count.into();
        (root.next_row, root.next_id, root.next_segment_id) = (100.into(), 100.into(), (id + 1).into());
        root.witness_size = 1.into();
        root.state_hash = state::state_hash(&root, &Facts::new(), &listed);
        let mut fixed = witness::WitnessEntry::zeroed();
        (fixed.operation, fixed.epoch, fixed.count) = (1.into(), 1.into(), root.live_count);
        fixed.state_hash = root.state_hash;
        let bytes = witness::Entry { fixed, actor: String::new() }.encode();
        root.witness_head = witness::read_all(&bytes, 0).unwrap()[0].hash();
        let manifest = Manifest { full: true, added: listed, witness: bytes, ..Manifest::default() };
        let segment = manifest.encode(file.len() as u64, id, &mut root).unwrap();
        file.extend(segment);
    }

    /// Found by every verification.
    #[track_caller]
    fn found(clauses: &[Clause], change: impl Fn(&mut Sample)) {
        for deep in [false, true] {
            let mut sample = sample();
            change(&mut sample);
            assert_eq!(sample.clauses(deep), clauses, "deep: {deep}");
        }
    }

    /// Found by deep verification alone.
    #[track_caller]
    fn found_deep(clause: Clause, change: impl Fn(&mut Sample)) {
        for (deep, clauses) in [(false, vec![]), (true, vec![clause])] {
            let mut sample = sample();
            change(&mut sample);
            assert_eq!(sample.clauses(deep), clauses, "deep: {deep}");
        }
    }

    #[test]
    fn a_sound_file_has_no_findings() {
        found(&[], |_| {});
        found(&[], |sample| {
            sample.indexes = vec![stored(sample)];
            sample.quants.clear();
        });
        let report = verify(&Bytes::from(sample().encode()), &mut |_, _| {}).unwrap();
        assert!(report.sound && report.count == 5);
    }

    #[test]
    fn each_is_judged_alone() {
        found(&[Clause::Idx1], |sample| sample.indexes[0].facts.linked = 6.into());
        found(&[Clause::Idx3], |sample| sample.indexes[0].links.to_mut()[0] = 9);
        found(&[Clause::Qnt1], |sample| sample.quants[0].facts.step = 0.into());
        found(&[Clause::Pay6], |sample| sample.quants[0].codes.to_mut().truncate(79));
    }

    #[test]
    fn an_index_covers_whole_segments_once() {
        found(&[Clause::Idx2], |sample| sample.vectors[1].1.push([4.0, 4.0]));
        found(&[Clause::Idx2], |sample| (sample.vectors[1].0, sample.dead) = (40, vec![41]));
        found(&[Clause::Idx2], |sample| sample.indexes.push(stored(sample)));
    }

    #[test]
    fn index_and_quant_go_together() {
        found(&[Clause::Qnt1], |sample| sample.quants.clear());
        found(&[Clause::Qnt1], |sample| sample.quants.push(sample.quants[0].clone()));
        found(&[Clause::Qnt1], |sample| sample.quants[0].base_row = 11);
        found(&[Clause::Qnt1], |sample| sample.indexes = vec![stored(sample)]);
        found(&[Clause::Qnt1], |sample| {
            sample.quants[0].facts.stride = 8.into();
            sample.quants[0].codes.to_mut().truncate(40);
        });
    }

    #[test]
    fn pivots_have_the_walk_rows_of_their_nodes() {
        found_deep(Clause::Idx4, |sample| sample.indexes[0].pivot_rows.to_mut()[STRIDE] ^= 1);
        found_deep(Clause::Idx4, |sample| {
            sample.indexes = vec![stored(sample)];
            sample.indexes[0].pivot_rows.to_mut()[3] ^= 1;
            sample.quants.clear();
        });
    }

    #[test]
    fn walks_reach_what_lives() {
        found_deep(Clause::Idx5, |sample| sample.indexes[0].facts.linked = 3.into());
        found_deep(Clause::Idx5, |sample| sample.dead = vec![]);
        found_deep(Clause::Idx5, |sample| sample.dead = vec![20]);
        found(&[], |sample| sample.dead = vec![10, 21]);
    }

    #[test]
    fn codes_are_those_of_the_rows() {
        found(&[], |sample| sample.quants[0].codes.to_mut()[2 * STRIDE + 1] += 1);
        found_deep(Clause::Qnt2, |sample| sample.quants[0].codes.to_mut()[2 * STRIDE + 1] += 2);
        found_deep(Clause::Qnt2, |sample| sample.quants[0].codes.to_mut()[5 * STRIDE - 1] = 1);
        // The rows of the second run, by their own numbers.
        found_deep(Clause::Qnt2, |sample| sample.vectors[1].1[1] = [9.0, 9.0]);
    }

    #[test]
    fn other_spaces_are_skipped() {
        found(&[], |sample| {
            sample.space = 1;
            sample.indexes[0].facts.degree = 0.into();
            sample.quants[0].facts.step = 0.into();
        });
    }

    /// Where rows are damaged, nothing is said about graphs over them; where a graph is, nothing about its codes.
    #[test]
    fn damage_is_not_judged_twice() {
        let mut sample = sample();
        sample.indexes[0].facts.linked = 3.into();
        sample.quants[0].codes.to_mut()[STRIDE] = 99;
        let mut file = sample.encode();
        let at = crate::limits::PAGE_LEN + 256;
        file[at] ^= 1;
        let report = verify_with(&Bytes::from(file), &Options { deep: true }, &mut |_, _| {}).unwrap();
        let clauses: Vec<Clause> = report.findings.iter().map(|finding| finding.clause).collect();
        assert_eq!(clauses, [Clause::Man5, Clause::Seg4, Clause::Idx5]);
    }
}

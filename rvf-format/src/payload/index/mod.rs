//! INDEX: a graph over the rows of whole VEC segments. Here its bytes; in `graph.rs` what links, pivots and cells say.
//!
//! ```text
//! | FACTS | RUNS | LINKS: nodes x degree | PIVOTS | CELLS | PIVOT_ROWS: pivots x stride | EFFORT |
//! ```
//! [`IndexView::parse`] checks facts, runs and lengths, nothing a node; behind it sections have the lengths that facts give.
//! What LINKS, PIVOTS and CELLS hold is checked by [`IndexView::check_links`] only: who walks checks each number at use.

mod graph;

use super::quant;
use crate::build::Draft;
use crate::manifest::ManifestEntry;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result, Schema, layout};
use std::borrow::Cow;
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{U32, U64};

layout! {
    /// Facts of an INDEX segment.
    pub struct IndexFacts = "index-facts", 64 bytes {
        /// Nodes: rows of all runs together.
        0x00 nodes: "u32" U32,
        /// Slots of a node in LINKS.
        0x04 degree: "u32" U32,
        /// Nodes where a walk can begin.
        0x08 pivots: "u32" U32,
        /// How many pivots lead a cell.
        0x0C cells: "u32" U32,
        /// Bytes of a walk row.
        0x10 stride: "u32" U32,
        /// What a walk row is: [`CODE_STORED`], [`CODE_SQ8`] or [`CODE_SQ4`].
        0x14 code: "u8" u8,
        /// 0.
        0x15 reserved_a: "[3]" [u8; 3],
        /// Links that a new node chooses at most.
        0x18 m: "u32" U32,
        /// Candidates kept when the graph was built.
        0x1C ef_construction: "u32" U32,
        /// Seed of what was drawn when it was built.
        0x20 seed: "u64" U64,
        /// Nodes that a walk from the pivots reaches.
        0x28 linked: "u32" U32,
        /// 0.
        0x2C reserved_b: "[20]" [u8; 20],
    }
}

layout! {
    /// Rows that have consecutive nodes.
    pub struct IndexRun = "index-run", 16 bytes {
        /// First row.
        0x00 base_row: "u64" U64,
        /// Rows.
        0x08 rows: "u32" U32,
        /// 0.
        0x0C reserved: "u32" U32,
    }
}

layout! {
    /// What a width of the walk was measured to find.
    pub struct EffortPoint = "index-effort", 8 bytes {
        /// Width: how many of the nearest nodes the walk keeps.
        0x00 ef: "u32" U32,
        /// Recall of the 10 nearest at that width, in millionths.
        0x04 recall_ppm: "u32" U32,
    }
}

/// Section of [`IndexFacts`].
pub const TAG_FACTS: u32 = 1;
/// Section of the runs.
pub const TAG_RUNS: u32 = 2;
/// Section of the links.
pub const TAG_LINKS: u32 = 3;
/// Section of the pivots' nodes.
pub const TAG_PIVOTS: u32 = 4;
/// Section of the cells' offsets.
pub const TAG_CELLS: u32 = 5;
/// Section of the pivots' walk rows.
pub const TAG_PIVOT_ROWS: u32 = 6;
/// Section of what widths were measured to find.
pub const TAG_EFFORT: u32 = 7;

/// An empty slot of LINKS.
pub const NO_LINK: u32 = u32::MAX;
/// Walk rows are rows of the VEC segments.
pub const CODE_STORED: u8 = 0;
/// Walk rows are those of the QUANT segment: a signed byte a component.
pub const CODE_SQ8: u8 = quant::CODE_SQ8;
/// Walk rows are those of the QUANT segment: four bits a projected component.
pub const CODE_SQ4: u8 = quant::CODE_SQ4;
/// Most slots of a node.
pub const MAX_DEGREE: u32 = 256;

/// A check that says what is wrong; the caller knows the clause.
type Checked<T> = core::result::Result<T, &'static str>;

/// What an INDEX to be written holds. Numbers in byte sections are little-endian.
#[derive(Clone, Debug)]
pub struct IndexParts<'a> {
    /// Facts.
    pub facts: IndexFacts,
    /// Runs by ascending row.
    pub runs: Cow<'a, [IndexRun]>,
    /// `nodes` x `degree` u32.
    pub links: Cow<'a, [u8]>,
    /// `pivots` x u32.
    pub pivots: Cow<'a, [u8]>,
    /// (`cells` + 1) x u32.
    pub cells: Cow<'a, [u8]>,
    /// `pivots` x `stride` bytes.
    pub pivot_rows: Cow<'a, [u8]>,
    /// By ascending width; the section is left out where there are none.
    pub effort: Cow<'a, [EffortPoint]>,
}

/// A draft of an INDEX segment. The caller has made the parts fit each other.
pub fn draft<'a>(parts: IndexParts<'a>) -> Draft<'a> {
    let base_row = parts.runs.first().map_or(0, |run| run.base_row.get());
    let draft = Draft::new(Kind::INDEX, 1)
        .rows(base_row, parts.facts.nodes.get())
        .section(TAG_FACTS, parts.facts.as_bytes().to_vec())
        .section(TAG_RUNS, bytes_of(parts.runs))
        .section(TAG_LINKS, parts.links)
        .section(TAG_PIVOTS, parts.pivots)
        .section(TAG_CELLS, parts.cells)
        .section(TAG_PIVOT_ROWS, parts.pivot_rows);
    if parts.effort.is_empty() { draft } else { draft.section(TAG_EFFORT, bytes_of(parts.effort)) }
}

fn bytes_of<'a, T: IntoBytes + zerocopy::Immutable + Clone>(items: Cow<'a, [T]>) -> Cow<'a, [u8]> {
    match items {
        Cow::Borrowed(items) => Cow::Borrowed(items.as_bytes()),
        Cow::Owned(items) => Cow::Owned(items.as_bytes().to_vec()),
    }
}

/// An INDEX segment in place.
#[derive(Clone, Debug)]
pub struct IndexView {
    facts: IndexFacts,
    runs: Bytes,
    /// First node of each run.
    starts: Vec<u32>,
    links: Bytes,
    pivots: Bytes,
    cells: Bytes,
    pivot_rows: Bytes,
    effort: Bytes,
}

impl IndexView {
    /// Parses the INDEX segment of `entry`. Takes time and memory by the number of runs, not of nodes.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, IDX-1.
    pub fn parse(segment: Bytes, entry: &ManifestEntry, schema: &Schema) -> Result<Self> {
        let payload = Payload::parse(segment, entry.offset.get(), Kind::INDEX, &[1])?;
        let wrong = |tag, what| Error::corrupt(Clause::Idx1, payload.place_of(tag), what);
        let facts: IndexFacts = payload.facts(TAG_FACTS)?;
        check_facts(&facts, entry, schema).map_err(|what| wrong(TAG_FACTS, what))?;
        let runs = payload.required(TAG_RUNS)?;
        let listed = runs.as_slice().ok_or_else(|| not_whole(&payload, TAG_RUNS))?;
        let starts = check_runs(listed, &facts, entry).map_err(|what| wrong(TAG_RUNS, what))?;
        let effort = payload.section(TAG_EFFORT).unwrap_or_else(|| Bytes::from(Vec::new()));
        if effort.as_slice::<EffortPoint>().is_none() {
            return Err(not_whole(&payload, TAG_EFFORT));
        }
        let [nodes, degree, pivots, cells, stride] =
            [facts.nodes, facts.degree, facts.pivots, facts.cells, facts.stride].map(|fact| u64::from(fact.get()));
        let exact = |tag, count: u64, size: u64| payload.required_exact(tag, count.saturating_mul(size));
        Ok(Self {
            links: exact(TAG_LINKS, nodes, degree * 4)?,
            pivots: exact(TAG_PIVOTS, pivots, 4)?,
            cells: exact(TAG_CELLS, cells + 1, 4)?,
            pivot_rows: exact(TAG_PIVOT_ROWS, pivots, stride)?,
            facts,
            runs,
            starts,
            effort,
        })
    }

    /// The facts.
    pub fn facts(&self) -> &IndexFacts {
        &self.facts
    }

    /// The runs, by ascending row; run 0 has the first nodes.
    pub fn runs(&self) -> &[IndexRun] {
        self.runs.as_slice().unwrap_or_default()
    }

    /// `degree` slots for each node.
    pub fn links(&self) -> &[U32] {
        self.links.as_slice().unwrap_or_default()
    }

    /// The links of a node, up to the first that names none; none for a node that is not there.
    pub fn links_of(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let degree = self.facts.degree.get() as usize;
        let start = (node as usize).saturating_mul(degree);
        let slots = self.links().get(start..start.saturating_add(degree)).unwrap_or_default();
        slots.iter().map(|slot| slot.get()).take_while(|link| *link < self.facts.nodes.get())
    }

    /// The nodes of the pivots, the cells' leaders first.
    pub fn pivots(&self) -> &[U32] {
        self.pivots.as_slice().unwrap_or_default()
    }

    /// `cells` + 1 offsets into the pivots behind the leaders.
    pub fn cells(&self) -> &[U32] {
        self.cells.as_slice().unwrap_or_default()
    }

    /// The walk rows of the pivots, `stride` bytes each.
    pub fn pivot_rows(&self) -> &[u8] {
        &self.pivot_rows
    }

    /// What widths were measured to find; may be empty.
    pub fn effort(&self) -> &[EffortPoint] {
        self.effort.as_slice().unwrap_or_default()
    }

    /// The row of a node; `None` for a node that is not there. A binary search over the runs.
    pub fn node_row(&self, node: u32) -> Option<u64> {
        if node >= self.facts.nodes.get() {
            return None;
        }
        let index = self.starts.partition_point(|start| *start <= node).checked_sub(1)?;
        let (run, start) = (self.runs().get(index)?, self.starts.get(index)?);
        run.base_row.get().checked_add(u64::from(node - start))
    }
}

fn not_whole(payload: &Payload, tag: u32) -> Error {
    Error::corrupt(Clause::Pay6, payload.place_of(tag), "a section is not a whole number of its structures")
}

fn check_facts(facts: &IndexFacts, entry: &ManifestEntry, schema: &Schema) -> Checked<()> {
    let [nodes, degree, pivots, cells, stride, linked] =
        [facts.nodes, facts.degree, facts.pivots, facts.cells, facts.stride, facts.linked].map(U32::get);
    if nodes == 0 || nodes != entry.rows.get() {
        return Err("an INDEX has no nodes, or not as many as its entry has rows");
    }
    if facts.reserved_a != [0; 3] || facts.reserved_b != [0; 20] {
        return Err("a reserved field of an INDEX is set");
    }
    if degree == 0 || degree > MAX_DEGREE {
        return Err("the degree is not 1 to 256");
    }
    let walk_rows = match facts.code {
        CODE_STORED => stride as usize == schema.row_len(),
        code => quant::walk_rows_fit(code, stride, schema),
    };
    if !walk_rows {
        return Err("code and stride of an INDEX do not fit the schema");
    }
    let counts = cells <= pivots && pivots <= nodes && linked <= nodes;
    if !counts || (pivots > 0 && cells == 0) || (linked > 0 && pivots == 0) {
        return Err("pivots, cells and linked nodes do not go together");
    }
    Ok(())
}

/// The first node of each run.
fn check_runs(runs: &[IndexRun], facts: &IndexFacts, entry: &ManifestEntry) -> Checked<Vec<u32>> {
    if runs.first().map(|run| run.base_row) != Some(entry.base_row) {
        return Err("the first run does not begin with the row of the entry");
    }
    let mut starts = Vec::with_capacity(runs.len());
    let (mut nodes, mut end_row) = (0u32, 0u64);
    for run in runs {
        let (base_row, rows) = (run.base_row.get(), run.rows.get());
        if rows == 0 || base_row < end_row || run.reserved.get() != 0 {
            return Err("a run is empty, out of order or has a reserved field set");
        }
        end_row = base_row.checked_add(u64::from(rows)).ok_or("a run ends behind the last row number")?;
        starts.push(nodes);
        nodes = nodes.checked_add(rows).ok_or("runs have more rows than there can be nodes")?;
    }
    if nodes != facts.nodes.get() {
        return Err("runs have not as many rows as there are nodes");
    }
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dtype, Metric};

    const SCHEMA: Schema = Schema::new(2, Metric::L2);

    pub(super) fn le(numbers: &[u32]) -> Cow<'static, [u8]> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn run(base_row: u64, rows: u32) -> IndexRun {
        IndexRun { base_row: U64::new(base_row), rows: U32::new(rows), reserved: U32::new(0) }
    }

    /// Rows 10 to 12 and 20 to 21 are nodes 0 to 4. Node 4 is linked from nowhere.
    fn parts() -> IndexParts<'static> {
        let mut facts = IndexFacts::zeroed();
        (facts.nodes, facts.degree, facts.linked) = (5.into(), 2.into(), 4.into());
        (facts.pivots, facts.cells, facts.stride) = (3.into(), 1.into(), 8.into());
        let point = |ef: u32, recall_ppm: u32| EffortPoint { ef: ef.into(), recall_ppm: recall_ppm.into() };
        IndexParts {
            facts,
            runs: vec![run(10, 3), run(20, 2)].into(),
            links: le(&[1, 3, 2, NO_LINK, NO_LINK, NO_LINK, 0, NO_LINK, NO_LINK, NO_LINK]),
            pivots: le(&[3, 0, 1]),
            cells: le(&[0, 2]),
            pivot_rows: vec![7; 24].into(),
            effort: vec![point(16, 900_000), point(32, 1_000_000)].into(),
        }
    }

    fn parse_as(draft: Draft<'_>, schema: &Schema) -> Result<IndexView> {
        let mut entry = ManifestEntry::zeroed();
        entry.base_row.set(10);
        entry.rows.set(draft.rows);
        IndexView::parse(Bytes::from(draft.encode(2, 0).unwrap()), &entry, schema)
    }

    pub(super) fn changed(change: impl FnOnce(&mut IndexParts<'static>)) -> Result<IndexView> {
        let mut parts = parts();
        change(&mut parts);
        parse_as(draft(parts), &SCHEMA)
    }

    #[track_caller]
    fn refused(clause: Clause, change: impl FnOnce(&mut IndexParts<'static>)) {
        assert_eq!(changed(change).unwrap_err().clause(), Some(clause));
    }

    fn numbers(numbers: &[U32]) -> Vec<u32> {
        numbers.iter().map(|number| number.get()).collect()
    }

    #[test]
    fn round_trip() {
        let draft = draft(parts());
        assert_eq!((draft.kind, draft.base_row, draft.rows), (Kind::INDEX, 10, 5));
        let view = parse_as(draft, &SCHEMA).unwrap();
        view.check_links(0).unwrap();
        assert_eq!(*view.facts(), parts().facts);
        assert_eq!(view.runs(), &*parts().runs);
        assert_eq!(view.links().as_bytes(), &*parts().links);
        assert_eq!((numbers(view.pivots()), numbers(view.cells())), (vec![3, 0, 1], vec![0, 2]));
        assert_eq!((view.pivot_rows(), view.effort()), (&[7; 24][..], &*parts().effort));
        assert_eq!(view.links_of(0).collect::<Vec<_>>(), [1, 3]);
        assert_eq!((view.links_of(2).count(), view.links_of(5).count(), view.links_of(NO_LINK).count()), (0, 0, 0));
    }

    #[test]
    fn nodes_run_through_the_runs() {
        let view = changed(|_| {}).unwrap();
        let rows: Vec<_> = [0, 2, 3, 4, 5, NO_LINK].map(|node| view.node_row(node)).into();
        assert_eq!(rows, [Some(10), Some(12), Some(20), Some(21), None, None]);
    }

    #[test]
    fn facts_fit_the_entry_and_each_other() {
        let breaks: [fn(&mut IndexFacts); 16] = [
            |facts| facts.degree = 0.into(),
            |facts| facts.degree = 257.into(),
            |facts| facts.code = 3,
            |facts| (facts.code, facts.stride) = (CODE_SQ4, 0.into()),
            |facts| (facts.code, facts.stride) = (CODE_SQ4, (quant::MOST_SQ4_STRIDE + 1).into()),
            |facts| facts.stride = 7.into(),
            |facts| facts.stride = 0.into(),
            |facts| (facts.code, facts.stride) = (CODE_SQ8, 1.into()),
            |facts| facts.cells = 4.into(),
            |facts| facts.cells = 0.into(),
            |facts| facts.pivots = 6.into(),
            |facts| (facts.pivots, facts.cells) = (0.into(), 0.into()),
            |facts| facts.linked = 6.into(),
            |facts| facts.reserved_a[2] = 1,
            |facts| facts.reserved_b[19] = 1,
            |facts| facts.nodes = 0.into(),
        ];
        for (index, change) in breaks.into_iter().enumerate() {
            let error = changed(|parts| change(&mut parts.facts)).unwrap_err();
            assert_eq!(error.clause(), Some(Clause::Idx1), "{index}: {error}");
        }
        let error = parse_as(draft(parts()).rows(10, 4), &SCHEMA).unwrap_err();
        assert_eq!(error.clause(), Some(Clause::Idx1), "rows of the entry");
        changed(|parts| (parts.facts.code, parts.facts.stride) = (CODE_SQ8, 8.into())).unwrap();
        let bytes = Schema { dimension: 8, dtype: Dtype::U8, ..SCHEMA };
        parse_as(draft(parts()), &bytes).unwrap();
        let mut coded = parts();
        coded.facts.code = CODE_SQ8;
        assert_eq!(parse_as(draft(coded), &bytes).unwrap_err().clause(), Some(Clause::Idx1), "SQ8 of bytes");
    }

    #[test]
    fn runs_ascend_and_sum_to_the_nodes() {
        let broken: [&[IndexRun]; 9] = [
            &[],
            &[run(11, 3), run(20, 2)],
            &[run(10, 3), run(20, 1)],
            &[run(10, 3), run(20, 3)],
            &[run(10, 3), run(20, 2), run(30, 0)],
            &[run(10, 3), run(12, 2)],
            &[run(10, 3), run(5, 2)],
            &[run(10, 3), run(u64::MAX - 1, 2)],
            &[run(10, 5), run(20, u32::MAX), run(u64::MAX / 2, 1)],
        ];
        for (index, runs) in broken.into_iter().enumerate() {
            let error = changed(|parts| parts.runs = runs.to_vec().into()).unwrap_err();
            assert_eq!(error.clause(), Some(Clause::Idx1), "{index}: {error}");
        }
        refused(Clause::Idx1, |parts| parts.runs.to_mut()[1].reserved = 1.into());
        changed(|parts| parts.runs = vec![run(10, 3), run(13, 2)].into()).unwrap();
    }

    #[test]
    fn sections_have_the_lengths_of_the_facts() {
        refused(Clause::Pay6, |parts| parts.links = le(&[1; 9]));
        refused(Clause::Pay6, |parts| parts.pivots = le(&[1; 4]));
        refused(Clause::Pay6, |parts| parts.cells = le(&[0]));
        refused(Clause::Pay6, |parts| parts.pivot_rows = vec![7; 23].into());
        let pieces = |skip: u32, long: u32| {
            let mut draft = Draft::new(Kind::INDEX, 1).rows(10, 5);
            let parts = parts();
            let [runs, effort] = [parts.runs.as_bytes().to_vec(), parts.effort.as_bytes().to_vec()];
            let facts = parts.facts.as_bytes().to_vec();
            let sections =
                [facts.into(), runs.into(), parts.links, parts.pivots, parts.cells, parts.pivot_rows, effort.into()];
            for (tag, content) in (1..).zip(sections).filter(|section| section.0 != skip) {
                let mut content: Vec<u8> = Cow::into_owned(content);
                content.resize(content.len() + usize::from(tag == long), 0);
                draft = draft.section(tag, content);
            }
            parse_as(draft, &SCHEMA).err().and_then(|error| error.clause())
        };
        for tag in 1..=TAG_PIVOT_ROWS {
            assert_eq!((pieces(tag, 0), pieces(0, tag)), (Some(Clause::Pay6), Some(Clause::Pay6)), "{tag}");
        }
        assert_eq!((pieces(TAG_EFFORT, 0), pieces(0, TAG_EFFORT)), (None, Some(Clause::Pay6)));
    }

    /// Facts that promise far more than is there are refused before anything is sized by them.
    #[test]
    fn hostile_sizes_are_refused() {
        refused(Clause::Pay6, |parts| {
            parts.facts.nodes = u32::MAX.into();
            parts.runs = vec![run(10, u32::MAX)].into();
            parts.facts.degree = 256.into();
        });
        refused(Clause::Pay6, |parts| {
            (parts.facts.nodes, parts.facts.pivots) = (u32::MAX.into(), u32::MAX.into());
            (parts.facts.code, parts.facts.stride) = (CODE_SQ8, u32::MAX.into());
            (parts.facts.cells, parts.runs) = (u32::MAX.into(), vec![run(10, u32::MAX)].into());
        });
        refused(Clause::Pay6, |parts| (parts.facts.code, parts.facts.stride) = (CODE_SQ8, u32::MAX.into()));
    }
}

//! One graph searched: the query in the form of what the graph walks on, the walk, the nearest again on stored rows.

use super::filtered::{Odds, Strategy};
use super::query::Checked;
use super::settings::Settings;
use crate::hnsw::{Among, Entry, Found, Links, Manner, Rows, Scratch, Stage, Walk, Way};
use crate::kernel::{Against, BitQuery, Kernels, Op, Query};
use crate::quant::{CodeQuery, Codec};
use crate::store::{GraphView, RowId, Snapshot};
use crate::{Error, Result};
use bytemuck::AnyBitPattern;
use half::f16;
use rvf_format::payload::quant::QuantView;
use rvf_format::{Clause, Dtype};

/// Candidates beyond k that are measured again on stored rows: where the walk was on codes, and where it was on those rows.
pub(super) const RERANKED: usize = 16;
const ROUNDED: usize = 6;

/// Candidates beyond k that measuring all one by one keeps.
pub(super) const MEASURED: usize = 24;

/// A row that was found near, and how far it is on the codes of this number.
#[derive(Clone, Copy)]
pub(super) struct Near {
    pub(super) codes: u32,
    pub(super) distance: f32,
    pub(super) at: RowId,
}

/// Of what graphs found, the rows to be measured again, `most` at a time: distances on the same codes compare, so of graphs that walk on
/// the same ones no more rows are measured again than of one.
pub(super) fn may_be_nearest(near: &mut [Near], most: usize, candidates: &mut Vec<RowId>) {
    near.sort_unstable_by(|a, b| a.codes.cmp(&b.codes).then(a.distance.total_cmp(&b.distance)));
    for alike in near.chunk_by(|a, b| a.codes == b.codes) {
        candidates.extend(alike.iter().take(most).map(|near| near.at));
    }
}

/// A query in the form that codes of this number read.
pub(super) type Made = Option<(u32, CodeQuery)>;

/// A graph to be searched.
pub(super) struct GraphSearch<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) graph: &'s GraphView,
    /// Of its INDEX segment, for messages.
    pub(super) place: u64,
    pub(super) kernels: Kernels,
    pub(super) op: Op,
    pub(super) settings: Settings,
    pub(super) k: usize,
    /// Nodes at this distance or farther, on the codes of the graph, are of no use.
    pub(super) wanted: f32,
    /// Which codes the graph walks on: those of the same number read a query in the same form.
    pub(super) codes: u32,
    /// Which nodes are looked for; all live ones unless given.
    pub(super) among: Option<Selection<'s>>,
}

/// Some nodes of a graph.
#[derive(Clone, Copy)]
pub(super) struct Selection<'s> {
    /// A bit a node, set for the others.
    pub(super) excluded: &'s [u64],
    /// How many they are.
    pub(super) count: u64,
    /// Whether the candidates to be kept were derived from a recall that is to be reached.
    pub(super) is_promised: bool,
}

/// What a search of one graph took.
#[derive(Clone, Copy, Default)]
pub(super) struct Searched {
    pub(super) found: Found,
    /// How nodes were looked for that had to be among some.
    pub(super) strategy: Option<Strategy>,
    /// Candidates that were kept.
    pub(super) ef: usize,
    /// The cell that the walk came by.
    pub(super) cell: u32,
}

impl GraphSearch<'_> {
    /// Walks, and adds what was found to what is near. `made` is the query in the form that some codes read, kept for the next graph.
    pub(super) fn run(&self, query: &Checked<'_>, made: &mut Made, near: &mut Vec<Near>) -> Result<Searched> {
        match (query, self.graph.codec(self.op), self.snapshot.schema().dtype) {
            (Checked::F32(values), Some(codec), _) => self.on_codes(values, &codec, made, near),
            (Checked::I8(_, values) | Checked::U8(_, values), Some(codec), _) => {
                self.on_codes(values, &codec, made, near)
            }
            (Checked::Bits(bits), ..) => self.on_rows::<u8, _>(&prepared(BitQuery::new(bits))?, near),
            (Checked::I8(query, _), ..) => self.on_rows::<i8, _>(&prepared(Query::new(self.op, query))?, near),
            (Checked::U8(query, _), ..) => self.on_rows::<u8, _>(&prepared(Query::new(self.op, query))?, near),
            (Checked::F32(query), None, dtype) => {
                let query = prepared(Query::new(self.op, query))?;
                match dtype {
                    Dtype::F32 => self.on_rows::<f32, _>(&query, near),
                    Dtype::F16 => self.on_rows::<f16, _>(&query, near),
                    Dtype::I8 => self.on_rows::<i8, _>(&query, near),
                    Dtype::U8 | Dtype::Binary => self.on_rows::<u8, _>(&query, near),
                }
            }
        }
    }

    /// On stored rows: the walk's distances are final but for rounding.
    fn on_rows<T, Q>(&self, query: &Q, near: &mut Vec<Near>) -> Result<Searched>
    where
        T: AnyBitPattern,
        Q: Against<T>,
    {
        let rows = self.stored::<T>()?;
        self.graph.with_scratch(|scratch| {
            let found = self.walk(query, &rows, scratch)?;
            self.offer(scratch, ROUNDED.min(self.settings.reranked), near);
            Ok(found)
        })
    }

    fn on_codes(&self, values: &[f32], codec: &Codec<'_>, made: &mut Made, near: &mut Vec<Near>) -> Result<Searched> {
        let query = match made.take().filter(|(codes, _)| *codes == self.codes) {
            Some((_, query)) => query,
            None => prepared(codec.query(self.kernels, values))?,
        };
        self.graph.with_scratch(|scratch| {
            let found = match &query {
                CodeQuery::Code(query) => self.walk(query, &self.codes::<i8>()?, scratch)?,
                CodeQuery::Floats(query) => self.walk(query, &self.codes::<i8>()?, scratch)?,
                CodeQuery::Nibbles(query) => self.walk(query, &self.codes::<u8>()?, scratch)?,
            };
            *made = Some((self.codes, query));
            let all = found.strategy == Some(Strategy::OneByOne);
            self.offer(scratch, if all { MEASURED } else { self.settings.reranked }, near);
            Ok(found)
        })
    }

    fn codes<T: AnyBitPattern>(&self) -> Result<Rows<'_, T>> {
        let codes = self.graph.quant.as_ref().map(QuantView::codes).unwrap_or_default();
        let codes = bytemuck::try_cast_slice(codes).map_err(|_| self.malformed())?;
        Ok(Rows::whole(codes, self.graph.index.facts().stride.get() as usize, &self.graph.table))
    }

    /// The nearest that the walk found: k, and some more because its distances are not final.
    fn offer(&self, scratch: &Scratch, more: usize, near: &mut Vec<Near>) {
        let nearest = scratch.found().take(self.k.saturating_add(more));
        let codes = self.codes;
        near.extend(nearest.map(|(distance, node)| Near { codes, distance, at: self.graph.row_of(node) }));
    }

    fn walk<T, Q>(&self, query: &Q, rows: &Rows<'_, T>, scratch: &mut Scratch) -> Result<Searched>
    where
        T: AnyBitPattern,
        Q: Against<T>,
    {
        let index = &self.graph.index;
        if query.row_len() != rows.width() {
            return Err(self.malformed());
        }
        let pivot_rows: &[T] = bytemuck::try_cast_slice(index.pivot_rows()).map_err(|_| self.malformed())?;
        let entry = Entry { nodes: index.pivots(), offsets: index.cells(), rows: pivot_rows };
        let links = Links::new(index.links(), index.facts().degree.get() as usize);
        let (ef, dead) = (self.settings.ef, &self.graph.dead[..]);
        let warm = self.settings.warmth.begins().then(|| self.graph.warm());
        let manner = self.settings.manner(self.k, warm);
        let Some(selection) = self.among else {
            let walk = Walk { dead, wanted: self.wanted, manner, ..Walk::new(rows, links, entry, ef, scratch) };
            let found = self.kernels.run(query, walk);
            return Ok(Searched { found, strategy: None, ef, cell: scratch.cell() });
        };
        let mut searched = self.walk_among(query, (rows, links, entry), manner, selection, scratch);
        searched.cell = scratch.cell();
        Ok(searched)
    }

    /// The nearest of some nodes, the way that costs least, or the one that is planned.
    fn walk_among<T, Q>(
        &self,
        query: &Q,
        (rows, links, entry): (&Rows<'_, T>, Links<'_>, Entry<'_, T>),
        manner: Manner<'_>,
        Selection { excluded, count, is_promised }: Selection<'_>,
        scratch: &mut Scratch,
    ) -> Searched
    where
        T: AnyBitPattern,
        Q: Against<T>,
    {
        let walk = |ef, stage, most, scratch: &mut Scratch| {
            let walk = Walk { dead: excluded, stage, most, manner, ..Walk::new(rows, links, entry, ef, scratch) };
            self.kernels.run(query, walk)
        };
        let planned = self.settings.strategy;
        let mut spent = 0;
        let mut odds = Odds { count, nodes: rows.len(), share: 1.0, ef: self.settings.ef, is_promised };
        let mut strategy = planned.unwrap_or_else(|| odds.cheapest());
        if planned == Some(Strategy::Walk) {
            let found = walk(odds.ef, Stage::Whole, u64::MAX, scratch);
            return Searched { found, strategy: planned, ef: odds.ef, cell: 0 };
        }
        if planned.is_none() && strategy != Strategy::OneByOne {
            spent = walk(odds.ef, Stage::Begin, u64::MAX, scratch).distances;
            odds.met(scratch.live_share());
            strategy = odds.cheapest();
            if strategy == Strategy::Walk {
                let found = walk(odds.ef, Stage::GoOn(spent), odds.most_distances(), scratch);
                if !found.gave_up {
                    return Searched { found, strategy: Some(strategy), ef: odds.ef, cell: 0 };
                }
                spent = found.distances;
                strategy = Strategy::TwoHops;
            }
        }
        if strategy == Strategy::TwoHops {
            let (ef, way) = (if planned.is_some() { odds.ef } else { odds.kept() }, Way::TwoHops(count));
            let among = Among { rows, links, entry, ef, excluded, way, stop: manner.stop, scratch: &mut *scratch };
            if let Some(mut found) = self.kernels.run(query, among) {
                found.distances += spent;
                return Searched { found, strategy: Some(strategy), ef, cell: 0 };
            }
            spent += count;
        }
        // By codes: more of what they rank near is measured again as it is stored.
        let (ef, way) = (self.k.saturating_add(MEASURED), Way::OneByOne);
        let among = Among { rows, links, entry, ef, excluded, way, stop: None, scratch };
        let mut found = self.kernels.run(query, among).unwrap_or_default();
        found.distances += spent;
        Searched { found, strategy: Some(Strategy::OneByOne), ef, cell: 0 }
    }

    fn stored<T: AnyBitPattern>(&self) -> Result<Rows<'_, T>> {
        let mut runs = Vec::with_capacity(self.graph.parts.len());
        for part in &self.graph.parts {
            let rows = self.snapshot.view(*part)?.vectors();
            runs.push(bytemuck::try_cast_slice(rows).map_err(|_| self.malformed())?);
        }
        let width = self.snapshot.schema().row_len() / size_of::<T>();
        Ok(Rows::in_runs(runs, width, &self.graph.table))
    }

    fn malformed(&self) -> Error {
        Error::Corrupt { clause: Clause::Idx1, at: self.place, what: "rows of a graph are not of the query's length" }
    }
}

/// The query was checked; what a kernel still refuses is a query beyond the range of its arithmetic.
pub(super) fn prepared<Q>(query: std::result::Result<Q, crate::kernel::KernelError>) -> Result<Q> {
    query.map_err(|_| Error::NotFinite { row: 0, component: 0 })
}

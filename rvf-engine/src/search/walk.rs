//! One graph searched: the query in the form of what the graph walks on, the walk, the nearest again on stored rows.

use super::pool::{Candidate, Pool};
use super::query::Checked;
use crate::hnsw::{Entry, Found, Links, Rows, Scratch, Walk};
use crate::kernel::{Against, BitQuery, Kernels, Op, Query};
use crate::quant::{CodeQuery, Sq8};
use crate::store::{GraphView, Snapshot};
use crate::{Error, Result};
use bytemuck::AnyBitPattern;
use half::f16;
use rvf_format::payload::quant::QuantView;
use rvf_format::{Clause, Dtype};

/// Candidates beyond k that are measured again on stored rows, where the walk was on codes.
const RERANKED: usize = 16;

/// A graph to be searched.
pub(super) struct GraphSearch<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) graph: &'s GraphView,
    /// Of its INDEX segment, for messages.
    pub(super) place: u64,
    pub(super) kernels: Kernels,
    pub(super) op: Op,
    pub(super) ef: usize,
    pub(super) k: usize,
}

impl GraphSearch<'_> {
    /// Walks, and puts what was found into the pool, measured on stored rows.
    pub(super) fn run(&self, query: &Checked<'_>, pool: &mut Pool<'_>) -> Result<Found> {
        match (query, &self.graph.quant, self.snapshot.schema().dtype) {
            (Checked::F32(values), Some(quant), dtype) => self.on_codes(values, quant, dtype, pool),
            (Checked::Bits(bits), ..) => self.on_rows::<u8, _>(&prepared(BitQuery::new(bits))?, pool),
            (Checked::I8(query, _), ..) => self.on_rows::<i8, _>(&prepared(Query::new(self.op, query))?, pool),
            (Checked::U8(query, _), ..) => self.on_rows::<u8, _>(&prepared(Query::new(self.op, query))?, pool),
            (Checked::F32(query), None, dtype) => {
                let query = prepared(Query::new(self.op, query))?;
                match dtype {
                    Dtype::F32 => self.on_rows::<f32, _>(&query, pool),
                    Dtype::F16 => self.on_rows::<f16, _>(&query, pool),
                    Dtype::I8 => self.on_rows::<i8, _>(&query, pool),
                    Dtype::U8 | Dtype::Binary => self.on_rows::<u8, _>(&query, pool),
                }
            }
        }
    }

    /// On stored rows: the walk's distances are final but for rounding.
    fn on_rows<T, Q>(&self, query: &Q, pool: &mut Pool<'_>) -> Result<Found>
    where
        T: AnyBitPattern,
        Q: Against<T>,
    {
        let rows = self.stored::<T>()?;
        self.graph.with_scratch(|scratch| {
            let found = self.walk(query, &rows, scratch)?;
            for (distance, node) in scratch.found().take(self.k.saturating_add(RERANKED)) {
                pool.push(Candidate { distance: distance.min(f32::MAX), at: self.graph.row_of(node) })?;
            }
            Ok(found)
        })
    }

    fn on_codes(&self, values: &[f32], quant: &QuantView, dtype: Dtype, pool: &mut Pool<'_>) -> Result<Found> {
        let stride = quant.facts().stride.get() as usize;
        let sq8 = Sq8::from_parts(self.op, values.len(), stride, quant.step(), quant.offsets());
        let codes: &[i8] = bytemuck::try_cast_slice(quant.codes()).map_err(|_| self.malformed())?;
        let rows = Rows::whole(codes, stride, &self.graph.table);
        let exact = prepared(Query::new(self.op, values))?;
        self.graph.with_scratch(|scratch| {
            let found = match prepared(sq8.query(values))? {
                CodeQuery::Code(query) => self.walk(&query, &rows, scratch)?,
                CodeQuery::Floats(query) => self.walk(&query, &rows, scratch)?,
            };
            let best = scratch.found().take(self.k.saturating_add(RERANKED)).map(|(_, node)| node);
            match dtype {
                Dtype::F16 => self.measure::<f16>(&exact, best, pool)?,
                _ => self.measure::<f32>(&exact, best, pool)?,
            }
            Ok(found)
        })
    }

    /// Puts nodes into the pool with the distances of their stored rows.
    fn measure<T>(&self, query: &Query<f32>, nodes: impl Iterator<Item = u32>, pool: &mut Pool<'_>) -> Result<()>
    where
        T: AnyBitPattern,
        Query<f32>: Against<T>,
    {
        for node in nodes {
            let at = self.graph.row_of(node);
            let row: &[T] = bytemuck::try_cast_slice(self.snapshot.view(at.part)?.row(at.row)).unwrap_or_default();
            let distance = self.kernels.distance(query, row).map_err(|_| self.malformed())?;
            pool.push(Candidate { distance: distance.min(f32::MAX), at })?;
        }
        Ok(())
    }

    fn walk<T, Q>(&self, query: &Q, rows: &Rows<'_, T>, scratch: &mut Scratch) -> Result<Found>
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
        let walk = Walk { rows, links, entry, ef: self.ef, dead: &self.graph.dead, without: None, scratch };
        Ok(self.kernels.run(query, walk))
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

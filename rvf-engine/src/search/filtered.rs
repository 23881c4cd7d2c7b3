//! The nearest of the records that a filter finds.
//!
//! ```text
//! each graph:  few match                  -> each is measured, by its code           )
//!              some do around the query   -> a walk over all nodes that keeps them   )-> candidates -+
//!              none do, or hardly any     -> a walk of two hops among them           )               +-> binary64 -> k hits
//! parts in no graph                       -> their rows that match, as stored        ----------------+
//! ```
//! A walk of two hops that costs more than measuring all that match gives up, and they are measured. A search that finds fewer than
//! min(k, matches), or is to be exact, compares all that match as they are stored: k hits come whenever there are k.

use super::effort::{Effort, ef_for};
use super::exact::{op_of, scan_rows};
use super::filter::Matches;
use super::plan::{SCAN_SLACK, Trace};
use super::query::Checked;
use super::refine::refine;
use super::walk::{GraphSearch, Searched, Selection};
use super::{Hit, Search};
use crate::Result;
use crate::store::{GraphView, RowId};

/// How the records of one graph that match are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Each is measured.
    OneByOne,
    /// A walk from one to those that two links lead to.
    TwoHops,
    /// A walk over all records that keeps those that match.
    Walk,
}

pub(super) fn search(search: &Search<'_>, query: &Checked<'_>, matches: &Matches) -> Result<(Vec<Hit>, Trace)> {
    matches.check(search.snapshot)?;
    let wanted = search.k.min(usize::try_from(matches.count()).unwrap_or(usize::MAX));
    if wanted == 0 {
        return Ok((Vec::new(), Trace { exact: true, ..Trace::default() }));
    }
    let found = Filtered { search, query, matches, wanted };
    if search.effort != Effort::Exact && !search.snapshot.graphs().is_empty() {
        let (hits, trace) = found.by_graphs()?;
        if hits.len() == wanted {
            return Ok((hits, trace));
        }
    }
    found.exactly()
}

struct Filtered<'f, 's> {
    search: &'f Search<'s>,
    query: &'f Checked<'f>,
    matches: &'f Matches,
    wanted: usize,
}

impl Filtered<'_, '_> {
    fn by_graphs(&self) -> Result<(Vec<Hit>, Trace)> {
        let snapshot = self.search.snapshot;
        let mut trace = Trace { damaged: snapshot.graphs().len(), ..Trace::default() };
        let mut walked = vec![false; snapshot.parts().len()];
        let mut candidates = Vec::new();
        for (at, view) in snapshot.sound_graphs() {
            trace.damaged -= 1;
            view.parts.iter().for_each(|part| walked[*part as usize] = true);
            self.in_graph(at, view, &mut candidates, &mut trace)?;
        }
        let rest = (0..walked.len() as u32).filter(|part| !walked[*part as usize]);
        let rows: Vec<RowId> = rest.flat_map(|part| self.matches.in_part(part)).collect();
        self.stored(rows, &mut candidates, &mut trace)?;
        Ok((refine(snapshot, self.query, self.search.kernels, &candidates, self.wanted)?, trace))
    }

    fn exactly(&self) -> Result<(Vec<Hit>, Trace)> {
        let (mut candidates, mut trace) = (Vec::new(), Trace { exact: true, ..Trace::default() });
        self.stored(self.matches.rows().collect(), &mut candidates, &mut trace)?;
        Ok((refine(self.search.snapshot, self.query, self.search.kernels, &candidates, self.wanted)?, trace))
    }

    /// Rows compared as they are stored.
    fn stored(&self, rows: Vec<RowId>, candidates: &mut Vec<RowId>, trace: &mut Trace) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        trace.distances += rows.len() as u64;
        let capacity = self.wanted.saturating_add(SCAN_SLACK);
        let pool = scan_rows(self.search.snapshot, self.query, &rows, capacity, self.search.kernels)?;
        candidates.extend(pool.finish()?);
        Ok(())
    }

    fn in_graph(&self, at: usize, view: &GraphView, candidates: &mut Vec<RowId>, trace: &mut Trace) -> Result<()> {
        let snapshot = self.search.snapshot;
        let count: u64 = view.parts.iter().map(|part| self.matches.count_in(*part)).sum();
        if count == 0 {
            return Ok(());
        }
        let ef = match self.search.effort {
            Effort::Ef(ef) => ef,
            Effort::Recall(recall) => ef_for(recall, view.index.effort()),
            Effort::Exact => usize::MAX,
        };
        let ef = ef.max(self.wanted);
        let runs = view.index.runs().iter().map(|run| run.rows.get());
        let parts: Vec<(u32, u32)> = view.parts.iter().copied().zip(runs).collect();
        let search = GraphSearch {
            snapshot,
            graph: view,
            place: snapshot.graphs()[at].entry.offset.get(),
            kernels: self.search.kernels,
            op: op_of(snapshot.schema().metric),
            ef,
            k: self.wanted,
            among: Some(Selection { excluded: self.matches.excluded(at, &parts), count }),
        };
        let Searched { found, strategy } = search.run(self.query, candidates)?;
        trace.distances += found.distances;
        trace.hops += found.hops;
        trace.ef = trace.ef.max(ef);
        trace.strategy = strategy;
        Ok(())
    }
}

/// What looking for the nearest of `count` nodes costs least, where `share` of the nodes around the query are among them and `ef`
/// candidates are kept.
///
/// All thresholds stand here. In nanoseconds, as measured on a Zen 4 with 100,000 x 384 of four-bit codes (docs-text; masks of 0.1 %
/// to 90 % drawn at random, and by source, 44 % and correlated with the vectors):
///
/// | way | measured | taken for |
/// | --- | --- | --- |
/// | one by one | 1,000 of 100,000: 27 us; 10,103: 116 us; 43,785: 428 us | 11 a node |
/// | walk | share 1, ef 20: 20 us; 0.5, 15: 26 us; 0.1, 15: 66 us, 32: 120 us | 33 a distance, of 360 + 12 ef / share |
/// | two hops | ef 15: 36 to 45 us, 32: 56 to 80, 80: 104 to 168 | 25,000 + 1,900 ef, half as many candidates more |
pub(super) fn cheapest(count: u64, share: f64, ef: usize) -> Strategy {
    let (count, ef) = (count as f64, ef as f64);
    let one_by_one = 11.0 * count;
    let walk = 33.0 * walked(share, ef);
    let two_hops = 25_000.0 + 1_900.0 * 1.5 * ef;
    let walks = share >= WALKED_FROM;
    if one_by_one <= if walks { walk } else { two_hops } {
        Strategy::OneByOne
    } else if walks {
        Strategy::Walk
    } else {
        Strategy::TwoHops
    }
}

/// Least share of matches around the query for a walk over all nodes. At 0.1, drawn at random, both ways take as long for the same
/// recall (0.963 in 68 us, 0.957 in 62 us); by source, where those on the way are others than those around the query, two hops take a
/// fifth.
const WALKED_FROM: f64 = 0.2;

/// Distances of a walk, on average.
fn walked(share: f64, ef: f64) -> f64 {
    360.0 + 12.0 * ef / share.max(1e-3)
}

/// Distances after which a walk gives up: what it meets on its way is not what was met around the query.
pub(super) fn most_distances(share: f64, ef: usize) -> u64 {
    (2.5 * walked(share, ef as f64)) as u64
}

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
use super::walk::{GraphSearch, MEASURED, Near, Searched, Selection, may_be_nearest};
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
        let mut trace = Trace { damaged: snapshot.damaged_graphs(), ..Trace::default() };
        let mut walked = vec![false; snapshot.parts().len()];
        let (mut near, mut candidates) = (Vec::new(), Vec::new());
        for (at, view) in snapshot.sound_graphs() {
            view.parts.iter().for_each(|part| walked[*part as usize] = true);
            self.in_graph(at, view, &mut near, &mut trace)?;
        }
        may_be_nearest(&mut near, self.wanted.saturating_add(MEASURED), &mut candidates);
        let rest = (0..walked.len() as u32).filter(|part| !walked[*part as usize]);
        let rows: Vec<RowId> = rest.flat_map(|part| self.matches.in_part(part)).collect();
        self.stored(rows, &mut candidates, &mut trace)?;
        Ok((refine(snapshot, self.query, self.search.kernels, &candidates, self.wanted)?.0, trace))
    }

    fn exactly(&self) -> Result<(Vec<Hit>, Trace)> {
        let (mut candidates, mut trace) = (Vec::new(), Trace { exact: true, ..Trace::default() });
        self.stored(self.matches.rows().collect(), &mut candidates, &mut trace)?;
        Ok((refine(self.search.snapshot, self.query, self.search.kernels, &candidates, self.wanted)?.0, trace))
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

    fn in_graph(&self, at: usize, view: &GraphView, near: &mut Vec<Near>, trace: &mut Trace) -> Result<()> {
        let snapshot = self.search.snapshot;
        let count: u64 = view.parts.iter().map(|part| self.matches.count_in(*part)).sum();
        if count == 0 {
            return Ok(());
        }
        let (ef, is_promised) = match self.search.effort {
            Effort::Ef(ef) => (ef, false),
            Effort::Recall(recall) => (ef_for(recall, view.index.effort()), true),
            Effort::Exact => (usize::MAX, false),
        };
        let ef = ef.max(self.wanted);
        let runs = view.index.runs().iter().map(|run| run.rows.get());
        let parts = view.parts.iter().copied().zip(runs);
        let search = GraphSearch {
            snapshot,
            graph: view,
            place: snapshot.graphs()[at].entry.offset.get(),
            kernels: self.search.kernels,
            op: op_of(snapshot.schema().metric),
            ef,
            k: self.wanted,
            wanted: f32::INFINITY,
            codes: snapshot.codes_of(at),
            among: Some(Selection { excluded: self.matches.excluded(at, parts), count, is_promised }),
        };
        let Searched { found, strategy, ef } = search.run(self.query, &mut None, near)?;
        trace.distances += found.distances;
        trace.hops += found.hops;
        trace.ef = trace.ef.max(ef);
        trace.strategy = strategy;
        Ok(())
    }
}

/// What is known of the records that match before they are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odds {
    /// How many nodes match.
    pub(super) count: u64,
    /// Of how many.
    pub(super) nodes: u32,
    /// Which share of the nodes that were met around the query matches.
    pub(super) share: f64,
    /// Candidates that a walk over all nodes keeps.
    pub(super) ef: usize,
    /// Whether they were derived from a recall that is to be reached.
    pub(super) is_promised: bool,
}

/// All thresholds stand here. In nanoseconds, as measured on a Zen 4 with 100,000 x 384 of four-bit codes (docs-text; masks of 0.1 %
/// to 90 % drawn at random, and by source, 44 % and correlated with the vectors):
///
/// | way | measured | taken for |
/// | --- | --- | --- |
/// | one by one | 1,000 of 100,000: 27 us; 10,103: 116 us; 43,785: 340 us | 9 a node |
/// | walk | share 1, ef 20: 20 us; 0.5, 15: 26 us; 0.1, 15: 66 us, 32: 120 us | 33 a distance, of 360 + 12 ef / share |
/// | two hops | 22 kept: 36 to 45 us, 48: 56 to 80, 120: 104 to 168, 240: 325 | 25,000 + 1,900 a candidate that is kept |
impl Odds {
    /// What looking for the nearest of them costs least.
    pub(super) fn cheapest(&self) -> Strategy {
        let one_by_one = 9.0 * self.count as f64;
        let walk = 33.0 * self.walked();
        let two_hops = 25_000.0 + 1_900.0 * self.kept() as f64;
        let walks = self.share >= WALKED_FROM;
        if one_by_one <= if walks { walk } else { two_hops } {
            Strategy::OneByOne
        } else if walks {
            Strategy::Walk
        } else {
            Strategy::TwoHops
        }
    }

    /// Distances after which a walk gives up: what it meets on its way is not what was met around the query.
    pub(super) fn most_distances(&self) -> u64 {
        (2.5 * self.walked()) as u64
    }

    /// Takes in which share of the nodes that were met around the query matches. Where matches are scarcer there than elsewhere, all of
    /// them are far from it and nearly as far as each other, and walks find fewer of the nearest: by source, 0.67, 0.82 and 0.94 with
    /// 30, 72 and 240 candidates where none of the 100 records nearest to the query match, and 0.96 with 20 where most do. So a
    /// recall that is to be reached asks for more of them.
    pub(super) fn met(&mut self, share: f64) {
        self.share = share;
        if self.is_promised {
            let elsewhere = self.count as f64 / f64::from(self.nodes.max(1));
            let likeness = (share / (USUAL * elsewhere)).clamp(0.0, 1.0);
            self.ef = (self.ef as f64 * FARTHEST.powf(1.0 - likeness)) as usize;
        }
    }

    /// Candidates that a walk of two hops keeps.
    pub(super) fn kept(&self) -> usize {
        self.ef + self.ef / 2
    }

    /// Distances of a walk over all nodes, on average.
    fn walked(&self) -> f64 {
        360.0 + 12.0 * self.ef as f64 / self.share.max(1e-3)
    }
}

/// Least share of matches around the query for a walk over all nodes. At 0.1, drawn at random, both ways take as long for the same
/// recall (0.963 in 68 us, 0.957 in 62 us); by source, where those on the way are others than those around the query, two hops take a
/// fifth.
const WALKED_FROM: f64 = 0.2;
/// Matches count as scarce around the query where they are less than this share of what they are elsewhere: what is met varies.
const USUAL: f64 = 0.5;
/// How many times as many candidates walks keep where no match was met around the query.
const FARTHEST: f64 = 14.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn odds(count: u64, share: f64, is_promised: bool) -> Odds {
        let mut odds = Odds { count, nodes: 100_000, share: 1.0, ef: 20, is_promised };
        odds.met(share);
        odds
    }

    #[test]
    fn what_matches_far_from_the_query_is_looked_for_harder() {
        // As many as elsewhere, fewer, none.
        let efs = [0.44, 0.15, 0.0].map(|share| odds(44_000, share, true).ef);
        assert!(efs[0] == 20 && efs.is_sorted() && efs[2] == 280, "{efs:?}");
        // A number of candidates that the caller chose stays as it is.
        assert_eq!(odds(44_000, 0.0, false).ef, 20);
    }

    #[test]
    fn each_way_is_taken_where_it_costs_least() {
        let ways = [(1_000, 0.01), (20_000, 0.1), (50_000, 0.5), (99_000, 1.0)];
        let ways = ways.map(|(count, share)| odds(count, share, false).cheapest());
        assert_eq!(ways, [Strategy::OneByOne, Strategy::TwoHops, Strategy::Walk, Strategy::Walk]);
        // So hard a look that measuring all is no more work; among ten times as many it is.
        assert_eq!(odds(44_000, 0.0, true).cheapest(), Strategy::OneByOne);
        let mut many = Odds { count: 440_000, nodes: 1_000_000, share: 1.0, ef: 20, is_promised: true };
        many.met(0.0);
        assert_eq!(many.cheapest(), Strategy::TwoHops);
    }
}

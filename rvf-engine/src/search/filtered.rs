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

use super::dag::Operator;
use super::effort::Effort;
use super::exact::{op_of, scan_rows};
use super::filter::Matches;
use super::plan::{Meter, SCAN_SLACK, Trace, choose, cost_of, remember, share_of};
use super::query::Checked;
use super::refine::refine;
use super::settings::Settings;
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

pub(super) fn search(
    search: &Search<'_>,
    query: &Checked<'_>,
    matches: &Matches,
    meter: &Meter,
) -> Result<(Vec<Hit>, Trace)> {
    matches.check(search.snapshot)?;
    let wanted = search.k.min(usize::try_from(matches.count()).unwrap_or(usize::MAX));
    if wanted == 0 {
        return Ok((Vec::new(), Trace { exact: true, ..Trace::default() }));
    }
    let question = search.question(wanted);
    let (planned, refused) = search.planned(&question, meter);
    let is_planned = planned.is_some();
    let found = Filtered { search, query, matches, wanted, meter };
    let (hits, trace) = found.run(planned.unwrap_or_else(|| found.unplanned()), is_planned)?;
    let trace = Trace { planned: is_planned, refused, ..trace };
    if let Some(planner) = search.planner {
        planner.observe(&question, &trace);
    }
    Ok((hits, trace))
}

struct Filtered<'f, 's> {
    search: &'f Search<'s>,
    query: &'f Checked<'f>,
    matches: &'f Matches,
    wanted: usize,
    meter: &'f Meter,
}

impl Filtered<'_, '_> {
    /// All graphs, in their order, each searched the way that costs least.
    fn unplanned(&self) -> Vec<(u32, Settings)> {
        let chosen = choose(self.search.snapshot, self.search.effort, self.wanted, true);
        chosen.walks.iter().map(|walk| (walk.at, walk.settings)).collect()
    }

    fn run(&self, searched: Vec<(u32, Settings)>, is_planned: bool) -> Result<(Vec<Hit>, Trace)> {
        if !searched.is_empty() {
            let (hits, trace) = self.by_graphs(&searched, is_planned)?;
            if hits.len() == self.wanted {
                return Ok((hits, trace));
            }
        }
        self.exactly()
    }

    fn by_graphs(&self, searched: &[(u32, Settings)], is_planned: bool) -> Result<(Vec<Hit>, Trace)> {
        let snapshot = self.search.snapshot;
        let mut trace = Trace { damaged: snapshot.damaged_graphs(), ..Trace::default() };
        let mut walked = vec![false; snapshot.parts().len()];
        let (mut near, mut candidates, mut came_by) = (Vec::new(), Vec::new(), Vec::new());
        for (at, settings) in searched {
            let Some((_, view)) = snapshot.sound_graphs().find(|(sound, _)| *sound == *at as usize) else { continue };
            view.parts.iter().for_each(|part| walked[*part as usize] = true);
            let count: u64 = view.parts.iter().map(|part| self.matches.count_in(*part)).sum();
            // What is planned is audited: so each graph is asked for its share only.
            let k = if is_planned {
                share_of(self.wanted, count as f64 / self.matches.count().max(1) as f64)
            } else {
                self.wanted
            };
            let asked = settings.of_share(k, self.wanted);
            let cell = self.in_graph(*at, view, (k, count), asked, &mut near, &mut trace)?;
            came_by.extend(cell.filter(|_| settings.warmth.leaves()).map(|cell| (view, cell)));
        }
        let reranked = searched.iter().map(|(_, settings)| settings.reranked).max().unwrap_or_default();
        may_be_nearest(&mut near, self.wanted.saturating_add(reranked.max(MEASURED)), &mut candidates);
        let rest = (0..walked.len() as u32).filter(|part| !walked[*part as usize]);
        let rows: Vec<RowId> = rest.flat_map(|part| self.matches.in_part(part)).collect();
        self.stored(rows, &mut candidates, &mut trace)?;
        trace.reranked = candidates.len() as u64;
        let (hits, places) = self.rerank(&candidates)?;
        came_by.iter().for_each(|(view, cell)| remember(view, *cell, &places));
        Ok((hits, trace))
    }

    fn exactly(&self) -> Result<(Vec<Hit>, Trace)> {
        let (mut candidates, mut trace) = (Vec::new(), Trace { exact: true, ..Trace::default() });
        self.stored(self.matches.rows().collect(), &mut candidates, &mut trace)?;
        trace.reranked = candidates.len() as u64;
        Ok((self.rerank(&candidates)?.0, trace))
    }

    fn rerank(&self, candidates: &[RowId]) -> Result<(Vec<Hit>, Vec<RowId>)> {
        let snapshot = self.search.snapshot;
        self.meter.run(Operator::Rerank, None, || {
            let done = refine(snapshot, self.query, self.search.kernels, candidates, self.wanted)?;
            Ok((done, cost_of(candidates.len() as u64, 0, snapshot.schema().row_len())))
        })
    }

    /// Rows compared as they are stored.
    fn stored(&self, rows: Vec<RowId>, candidates: &mut Vec<RowId>, trace: &mut Trace) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let (snapshot, count) = (self.search.snapshot, rows.len() as u64);
        trace.distances += count;
        let capacity = self.wanted.saturating_add(SCAN_SLACK);
        let nearest = self.meter.run(Operator::ExactScan, None, || {
            let pool = scan_rows(snapshot, self.query, &rows, capacity, self.search.kernels)?;
            Ok((pool.finish()?, cost_of(count, 0, snapshot.schema().row_len())))
        })?;
        candidates.extend(nearest);
        Ok(())
    }

    /// Searches one graph; the cell that it came by, if it walked.
    fn in_graph(
        &self,
        at: u32,
        view: &GraphView,
        (k, count): (usize, u64),
        settings: Settings,
        near: &mut Vec<Near>,
        trace: &mut Trace,
    ) -> Result<Option<u32>> {
        let snapshot = self.search.snapshot;
        if count == 0 {
            return Ok(None);
        }
        let is_promised = matches!(self.search.effort, Effort::Recall(_));
        let runs = view.index.runs().iter().map(|run| run.rows.get());
        let parts = view.parts.iter().copied().zip(runs);
        let place = at as usize;
        let search = GraphSearch {
            snapshot,
            graph: view,
            place: snapshot.graphs()[place].entry.offset.get(),
            kernels: self.search.kernels,
            op: op_of(snapshot.schema().metric),
            settings,
            k,
            wanted: f32::INFINITY,
            codes: snapshot.codes_of(place),
            among: Some(Selection { excluded: self.matches.excluded(place, parts), count, is_promised }),
        };
        let Searched { found, strategy, ef, cell } = self.meter.run(Operator::Walk, Some(at), || {
            let searched = search.run(self.query, &mut None, near)?;
            let Searched { found, .. } = searched;
            Ok((searched, cost_of(found.distances, found.hops, view.index.facts().stride.get() as usize)))
        })?;
        trace.distances += found.distances;
        trace.hops += found.hops;
        trace.ef = trace.ef.max(ef);
        trace.strategy = strategy;
        Ok((strategy == Some(Strategy::Walk)).then_some(cell))
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

impl Strategy {
    /// What measuring so many takes, by the table of [`Odds`].
    pub(crate) fn one_by_one_nanos(count: u64) -> f64 {
        9.0 * count as f64
    }

    /// What a walk of two hops takes that keeps so many candidates.
    pub(crate) fn two_hops_nanos(kept: usize) -> f64 {
        25_000.0 + 1_900.0 * kept as f64
    }
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
        let one_by_one = Strategy::one_by_one_nanos(self.count);
        let walk = 33.0 * self.walked();
        let two_hops = Strategy::two_hops_nanos(self.kept());
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

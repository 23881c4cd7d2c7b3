//! [`Plan`]: what a search does, as data: operators, what each reads from which, what it is expected to cost and what it did cost.
//!
//! ```text
//! filter bitmap -> filter statistics -+-> (cache probe, centroid probe -> walk -> stop gate) for each graph -+
//!                                     +-> code scan of a graph of which few records match -------------------+-> merge -> re-rank -> result
//!                                     +-> exact scan of what is in no graph ---------------------------------+
//! ```
//! A plan says how hard is looked for what, never what is true: [`Plan::check`] takes out of it which graphs are walked and what is
//! spent on each. Whatever it leaves out is scanned, so no plan loses a record; settings beyond what is possible are brought back to it; a plan that is
//! no plan at all (steps in a ring, two results, a graph twice) is refused, and the search is planned as if there were no planner.

use super::settings::{Settings, Warmth};
use std::fmt;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// Which records match the filter: known before the search.
    FilterBitmap,
    /// How many match, in each graph.
    FilterStatistics,
    /// Where searches that came by the same cell ended.
    CacheProbe,
    /// The query moved by what was learned.
    QueryAdapt,
    /// Leaders of cells, then pivots of the nearest.
    CentroidProbe,
    /// A graph walked.
    Walk,
    /// The codes of all records of a graph that match.
    CodeScan,
    /// Stored rows that are in no graph.
    ExactScan,
    /// When a walk ends before its candidates do.
    StopGate,
    /// What was found put together; a branch sees what is its own.
    Merge,
    /// The nearest measured again as they are stored.
    Rerank,
    /// The order that was learned.
    GnnRerank,
    /// The results.
    Result,
    /// What was seen is noted for planning and learning.
    Record,
}

impl Operator {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::FilterBitmap,
        Self::FilterStatistics,
        Self::CacheProbe,
        Self::QueryAdapt,
        Self::CentroidProbe,
        Self::Walk,
        Self::CodeScan,
        Self::ExactScan,
        Self::StopGate,
        Self::Merge,
        Self::Rerank,
        Self::GnnRerank,
        Self::Result,
        Self::Record,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::FilterBitmap => "filter bitmap",
            Self::FilterStatistics => "filter statistics",
            Self::CacheProbe => "cache probe",
            Self::QueryAdapt => "query adapt",
            Self::CentroidProbe => "centroid probe",
            Self::Walk => "walk",
            Self::CodeScan => "code scan",
            Self::ExactScan => "exact scan",
            Self::StopGate => "stop gate",
            Self::Merge => "merge",
            Self::Rerank => "re-rank",
            Self::GnnRerank => "learned re-rank",
            Self::Result => "result",
            Self::Record => "record",
        }
    }
}

/// What a step costs: what a cost model reads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Distances that are computed.
    pub distances: f64,
    /// Bytes of the rows or codes that they read.
    pub bytes: f64,
    /// Nodes whose links are followed.
    pub hops: f64,
    /// Pages of 4 KiB that are touched at most.
    pub pages: f64,
    /// Words of 64 bits of sets of records.
    pub words: f64,
    /// Candidates that are put in order.
    pub inserts: f64,
    /// Nanoseconds.
    pub nanos: f64,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it does.
    pub operator: Operator,
    /// To which graph, by its place among those of the snapshot; `None` for all of the store.
    pub graph: Option<u32>,
    /// The steps, by their places, that it reads from: earlier ones.
    pub inputs: Vec<u16>,
    /// What is spent on a walk or a code scan.
    pub settings: Option<Settings>,
    /// What it is expected to cost.
    pub estimated: Cost,
    /// What it did cost, once it was run with measuring. `None` for a step that is part of another's work.
    pub measured: Option<Cost>,
}

/// What a search does: steps, each of which reads from earlier ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

/// What makes a plan be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanFault {
    /// More than [`MOST_STEPS`] steps, or none.
    Size,
    /// A step reads from itself or a later one: maybe in a ring.
    Order,
    /// Not exactly one result, or something but a record after it.
    Result,
    /// A graph that is not there or cannot be used, or one twice.
    Graph,
    /// What is looked for does not reach the result.
    Unread,
}

impl fmt::Display for PlanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "a plan has no steps, or too many",
            Self::Order => "a step reads from itself or a later one",
            Self::Result => "a plan has not exactly one result",
            Self::Graph => "a plan names a graph that is not there, or one twice",
            Self::Unread => "what a step finds does not reach the result",
        })
    }
}

/// The most steps of a plan.
pub const MOST_STEPS: usize = 256;

/// A set of steps.
type Places = [u64; MOST_STEPS / 64];

fn has(places: &Places, place: usize) -> bool {
    places[place / 64] >> (place % 64) & 1 == 1
}

impl Plan {
    /// Adds a step; its place.
    pub(crate) fn push(&mut self, operator: Operator, graph: Option<u32>, inputs: &[u16]) -> u16 {
        let (inputs, settings) = (inputs.to_vec(), None);
        let (estimated, measured) = (Cost::default(), None);
        self.steps.push(Step { operator, graph, inputs, settings, estimated, measured });
        (self.steps.len() - 1) as u16
    }

    /// Which graphs are walked or scanned by code, in the order of the steps, and what is spent on each. `sound` are those that can be.
    ///
    /// # Errors
    /// [`PlanFault`].
    pub(crate) fn check(&self, sound: impl Fn(u32) -> bool) -> Result<Vec<(u32, Settings)>, PlanFault> {
        if self.steps.is_empty() || self.steps.len() > MOST_STEPS {
            return Err(PlanFault::Size);
        }
        let is_later = |(place, step): (usize, &Step)| step.inputs.iter().any(|input| usize::from(*input) >= place);
        if self.steps.iter().enumerate().any(is_later) {
            return Err(PlanFault::Order);
        }
        let result = self.result()?;
        let reaches = self.reaching(result);
        let mut searched: Vec<(u32, Settings)> = Vec::new();
        for (place, step) in self.steps.iter().enumerate() {
            if !matches!(step.operator, Operator::Walk | Operator::CodeScan) {
                continue;
            }
            let (Some(graph), Some(settings)) = (step.graph, step.settings) else { return Err(PlanFault::Graph) };
            if !sound(graph) || searched.iter().any(|(other, _)| *other == graph) {
                return Err(PlanFault::Graph);
            }
            if !has(&reaches, place) {
                return Err(PlanFault::Unread);
            }
            searched.push((graph, settings));
        }
        Ok(searched)
    }

    /// The one result.
    fn result(&self) -> Result<usize, PlanFault> {
        let mut results = (0..self.steps.len()).filter(|place| self.steps[*place].operator == Operator::Result);
        let (Some(result), None) = (results.next(), results.next()) else { return Err(PlanFault::Result) };
        let only_records = self.steps.iter().skip(result + 1).all(|step| step.operator == Operator::Record);
        if only_records { Ok(result) } else { Err(PlanFault::Result) }
    }

    /// The steps that the result reads from, by way of others.
    fn reaching(&self, result: usize) -> Places {
        let mut reaches = Places::default();
        reaches[result / 64] |= 1 << (result % 64);
        // Steps read from earlier ones: from the last to the first, each is known when its turn comes.
        for (place, step) in self.steps.iter().enumerate().rev() {
            if has(&reaches, place) {
                step.inputs.iter().for_each(|input| reaches[usize::from(*input) / 64] |= 1 << (input % 64));
            }
        }
        reaches
    }

    /// The same, of which no later search knows.
    pub(crate) fn forgotten(&self) -> Self {
        let mut plan = self.clone();
        let settings = plan.steps.iter_mut().filter_map(|step| step.settings.as_mut());
        settings.for_each(|settings| {
            settings.warmth = if settings.warmth.begins() { Warmth::Begins } else { Warmth::Cold };
        });
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hnsw::Manner;
    use crate::search::Warmth;

    fn settings() -> Settings {
        let Manner { probed, approach, links, .. } = Manner::default();
        let (slack, warmth, strategy) = (1.0, Warmth::Cold, None);
        Settings { ef: 10, reranked: 16, probed, approach, links, slack, warmth, strategy }
    }

    fn plan(walks: &[u32]) -> Plan {
        let mut plan = Plan::default();
        let places: Vec<u16> = walks
            .iter()
            .map(|graph| {
                let place = plan.push(Operator::Walk, Some(*graph), &[]);
                plan.steps[usize::from(place)].settings = Some(settings());
                place
            })
            .collect();
        let merge = plan.push(Operator::Merge, None, &places);
        plan.push(Operator::Result, None, &[merge]);
        plan
    }

    #[test]
    fn a_plan_names_the_graphs_in_its_order() {
        let searched = plan(&[2, 0]).check(|graph| graph < 3).unwrap();
        assert_eq!(searched.iter().map(|(graph, _)| *graph).collect::<Vec<_>>(), [2, 0]);
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let sound = |graph: u32| graph < 3;
        let fault = |change: &dyn Fn(&mut Plan)| {
            let mut plan = plan(&[0, 1]);
            change(&mut plan);
            plan.check(sound).unwrap_err()
        };
        assert_eq!(Plan::default().check(sound), Err(PlanFault::Size));
        assert_eq!(fault(&|plan| plan.steps[0].inputs = vec![2]), PlanFault::Order);
        assert_eq!(fault(&|plan| plan.steps[0].inputs = vec![0]), PlanFault::Order);
        assert_eq!(fault(&|plan| plan.steps[3].operator = Operator::Merge), PlanFault::Result);
        assert_eq!(fault(&|plan| plan.steps[2].operator = Operator::Result), PlanFault::Result);
        assert_eq!(fault(&|plan| plan.steps[0].graph = Some(1)), PlanFault::Graph);
        assert_eq!(fault(&|plan| plan.steps[0].graph = Some(3)), PlanFault::Graph);
        assert_eq!(fault(&|plan| plan.steps[0].settings = None), PlanFault::Graph);
        assert_eq!(fault(&|plan| plan.steps[2].inputs = vec![0]), PlanFault::Unread);
        assert_eq!(
            fault(&|plan| {
                let step = plan.steps[3].clone();
                plan.steps.resize(MOST_STEPS + 1, step);
            }),
            PlanFault::Size
        );
    }
}

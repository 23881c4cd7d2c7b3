//! [`Settings`]: what a search spends on one graph.

use super::effort::{Effort, ef_for};
use super::filtered::Strategy;
use super::walk::RERANKED;
use crate::hnsw::{Manner, Stop, Warm};
use crate::store::GraphView;

/// What a search spends on one graph. Whatever stands in it, results are right: it says how hard is looked, not what is true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Candidates that are kept (ef of the HNSW paper).
    pub ef: usize,
    /// Candidates beyond k that are measured again on stored rows.
    pub reranked: usize,
    /// Pivots beside the leaders of cells that are measured before the walk.
    pub probed: usize,
    /// Links a node that are followed on a way of its own to what is near; 0 for no such way.
    pub approach: usize,
    /// Links a node that are followed.
    pub links: usize,
    /// How much farther than the k-th nearest a node may be and be expanded, in standard deviations of the leaders' distances; infinity to expand
    /// all candidates.
    pub slack: f32,
    /// Whether to begin, too, where searches like this one ended.
    pub warmth: Warmth,
    /// How records that a filter finds are looked for; the cheapest way, by [`Strategy`]'s costs, unless given.
    pub strategy: Option<Strategy>,
}

/// Whether a search begins, too, where others that came by the same cell ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Warmth {
    /// It does not.
    #[default]
    Cold,
    /// It does not, but where it ends is remembered for others.
    Leaves,
    /// It does, and leaves no trace: what is audited must not be found because it was audited.
    Begins,
    /// It does, and where it ends is remembered in turn.
    Remembers,
}

impl Warmth {
    /// Whether it begins where others ended.
    pub fn begins(self) -> bool {
        matches!(self, Self::Begins | Self::Remembers)
    }

    /// Whether others may begin where it ends.
    pub fn leaves(self) -> bool {
        matches!(self, Self::Leaves | Self::Remembers)
    }
}

/// The most candidates that a plan may ask for.
const MOST_EF: usize = 65_536;
/// The most candidates that a plan may have measured again.
const MOST_RERANKED: usize = 4_096;

impl Settings {
    /// What is spent on a graph where nothing is planned: as many candidates as the effort asks for, each of them expanded.
    pub(crate) fn fixed(effort: Effort, graph: &GraphView) -> Self {
        let ef = match effort {
            Effort::Ef(ef) => ef,
            Effort::Recall(recall) => ef_for(recall, graph.index.effort()),
            Effort::Exact => usize::MAX,
        };
        let Manner { probed, approach, links, .. } = Manner::default();
        let (slack, warmth, strategy) = (f32::INFINITY, Warmth::Cold, None);
        Self { ef, reranked: RERANKED, probed, approach, links, slack, warmth, strategy }
    }

    /// The same within what is possible, for so many results: what a plan may say is anything.
    pub(super) fn bounded(self, wanted: usize) -> Self {
        let slack = if self.slack.is_nan() { f32::INFINITY } else { self.slack.max(0.0) };
        Self {
            ef: self.ef.min(MOST_EF).max(wanted),
            reranked: self.reranked.min(MOST_RERANKED),
            probed: self.probed.min(MOST_EF),
            links: self.links.max(1),
            slack,
            ..self
        }
    }

    /// For `k` of `all` results that are wanted: as many candidates fewer.
    pub(super) fn of_share(self, k: usize, all: usize) -> Self {
        let ef = (self.bounded(all).ef as f64 * k as f64 / all.max(1) as f64).ceil() as usize;
        Self { ef: ef.max(k), ..self.bounded(k) }
    }

    /// As a walk for `k` results reads it.
    pub(super) fn manner<'a>(&self, k: usize, warm: Option<&'a Warm>) -> Manner<'a> {
        let Self { probed, approach, links, slack, .. } = *self;
        let kept = k.saturating_add(self.reranked);
        let stop = (slack < f32::INFINITY).then_some(Stop { k, kept, slack });
        Manner { probed, approach, links, stop, warm }
    }
}

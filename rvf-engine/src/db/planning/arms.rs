//! The settings that are tried for questions of one kind: at most 16, the first of which is what is done without a planner.

use crate::search::{Question, Settings, Strategy, Warmth};

/// Settings that are tried, on each graph, and which others they are a harder look than.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arm {
    /// What is spent on a graph; `None` to plan nothing.
    pub(super) settings: Option<Settings>,
    /// Arms of one family differ in how far they look, and in nothing else: the later, the farther.
    pub(super) family: u8,
}

/// What is done without a planner.
pub(super) const STATIC: usize = 0;

/// How far beyond the k-th nearest a walk goes on, as parts of what is expected to do: from the pivots, and begun where others ended, too.
const COLD: [f32; 7] = [0.65, 0.8, 0.9, 1.0, 1.12, 1.3, 1.7];
const WARM: [f32; 7] = [0.3, 0.5, 0.65, 0.8, 0.95, 1.1, 1.35];
/// Links a node on the way there. (Measured, docs-text at recall 0.95: with 8, 12, 16, all of 32: 527, 508, 504, 574 distances.)
const APPROACH: usize = 16;
/// Pivots beside the leaders: a few spare steps of the way, each of which waits for memory.
const PROBED: usize = 0;
/// Candidates of walks of two hops, as parts of those that are kept without a planner.
const TWO_HOPS: [f32; 6] = [0.5, 0.75, 1.0, 1.5, 2.5, 5.0];
/// Candidates beyond k that are measured again, where a recall below [`FINE`] is asked for, and where it is not. (Measured, docs-text at 0.95: with 16
/// 520 distances and 17.0 us for 0.955, with 8 535 and 15.8 for 0.956.)
const RERANKED: [usize; 2] = [8, 20];
const FINE: f64 = 0.97;

/// The slack that is expected to do, in standard deviations of the distances of nodes drawn at random. (Measured, docs-text: 0.48 at 0.95, 0.9 at
/// 0.98, 1.1 at 0.99. What it has to be is found out by audits; this says where they begin.)
fn expected_slack(target: f64) -> f32 {
    (0.48 * ((1.0 - target).max(1e-4).ln() / 0.05f64.ln()).powf(1.8)) as f32
}

/// Candidates that are kept: enough for a walk to end by its slack, few enough to be put in order quickly.
fn kept(slack: f32) -> usize {
    (16.0 + 16.0 * (slack / 0.48).powf(1.8)).min(512.0) as usize
}

/// The arms for a question.
pub(super) fn arms(question: &Question<'_>, target: f64, learns: bool) -> Vec<Arm> {
    let mut arms = vec![Arm { settings: None, family: 0 }];
    let fixed = question.graphs().first().and_then(|(graph, _)| question.fixed(*graph));
    let Some(fixed) = fixed else { return arms };
    let reranked = RERANKED[usize::from(target >= FINE)];
    let walk = |part: f32, strategy| {
        let slack = part * expected_slack(target);
        Settings { ef: kept(slack).max(question.k), reranked, strategy, ..fixed.stopping((PROBED, APPROACH), slack) }
    };
    let mut push = |settings, family| arms.push(Arm { settings: Some(settings), family });
    // Where nothing is learned any more, what is served cold has no one to leave anything to.
    let leaves = if learns { Warmth::Leaves } else { Warmth::Cold };
    if question.matches.is_none() {
        for part in COLD {
            push(Settings { warmth: leaves, ..walk(part, None) }, 1);
        }
        for part in WARM {
            // It begins near what is near: there is no way to go, and the nearest deserve all their links.
            let near = walk(part, None);
            push(Settings { warmth: Warmth::Remembers, approach: 0, reranked: 16, ef: near.ef + 12, ..near }, 2);
        }
        return arms;
    }
    push(Settings { strategy: Some(Strategy::OneByOne), ..fixed }, 1);
    for part in COLD {
        push(walk(part, Some(Strategy::Walk)), 2);
    }
    for part in TWO_HOPS {
        let ef = ((fixed.ef as f32 * part) as usize).max(question.k);
        push(Settings { ef, strategy: Some(Strategy::TwoHops), ..fixed }, 3);
    }
    arms
}

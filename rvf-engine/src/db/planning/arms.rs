//! The settings that are tried for questions of one kind: at most 16, the first of which is what is done without a planner.

use crate::search::{Question, Settings, Strategy};

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

/// How far beyond the k-th nearest a walk goes on, in standard deviations of the distances of nodes drawn at random.
const SLACKS: [f32; 7] = [0.1, 0.2, 0.32, 0.46, 0.65, 0.95, 1.5];
/// Links a node on the way there. (Measured, docs-text at recall 0.95: 8, 16, 20, all of 32: 511, 492, 492, 495 distances.)
const APPROACH: usize = 20;
/// Candidates that are kept: enough for a walk to end by its slack, few enough to be put in order quickly.
const KEPT: [usize; 7] = [48, 48, 48, 64, 96, 160, 320];
/// Candidates of walks of two hops.
const TWO_HOPS: [usize; 6] = [12, 20, 32, 56, 100, 200];
const FAMILY_TWO_HOPS: u8 = 3;

/// The arms for a question.
pub(super) fn arms(question: &Question<'_>) -> Vec<Arm> {
    let mut arms = vec![Arm { settings: None, family: 0 }];
    let fixed = question.graphs().first().and_then(|(graph, _)| question.fixed(*graph));
    let Some(fixed) = fixed else { return arms };
    let walk = |at: usize, strategy| Settings {
        ef: KEPT[at].max(question.k),
        strategy,
        ..fixed.stopping(APPROACH, SLACKS[at])
    };
    let mut push = |settings, family| arms.push(Arm { settings: Some(settings), family });
    if question.matches.is_none() {
        for at in 0..SLACKS.len() {
            push(walk(at, None), 1);
            push(Settings { warm: true, ..walk(at, None) }, 2);
        }
        return arms;
    }
    push(Settings { strategy: Some(Strategy::OneByOne), ..fixed }, 1);
    for at in 0..SLACKS.len() {
        push(walk(at, Some(Strategy::Walk)), 2);
    }
    for ef in TWO_HOPS {
        let ef = ef.max(question.k);
        push(Settings { ef, strategy: Some(Strategy::TwoHops), ..fixed }, FAMILY_TWO_HOPS);
    }
    arms
}

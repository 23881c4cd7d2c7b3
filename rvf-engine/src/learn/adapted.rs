//! Queries moved before they are searched for: an adapter trained on lessons, and a corpus that is searched by it.

use super::lessons::{Corpus, Found, Lesson, Link};
use super::math::dot;
use super::sona::{BaseLora, Boundary, TrainingOptions, Trajectory};

/// Rank of the adapter of a store.
const RANK: usize = 16;
/// Candidates that a trajectory learns to keep away from: the nearest of those that were not chosen.
const RIVALS: usize = 8;
/// Documents from anywhere that it learns to keep away from: they do less harm to queries of another kind.
const STRANGERS: usize = 12;

/// A corpus that is searched by adapted queries.
#[derive(Debug)]
pub struct Adapted<'a, C> {
    /// What is searched.
    pub corpus: &'a C,
    /// What moves queries.
    pub adapter: &'a BaseLora,
}

impl<C> Adapted<'_, C> {
    fn moved(&self, query: &[f32]) -> Vec<f32> {
        let mut moved = query.to_vec();
        self.adapter.apply(query, &mut moved);
        moved
    }
}

impl<C: Corpus> Corpus for Adapted<'_, C> {
    type Error = C::Error;

    fn candidates(&self, query: &[f32], also: &[u64]) -> Result<Vec<Found>, C::Error> {
        self.corpus.candidates(&self.moved(query), also)
    }

    fn links(&self, found: &[Found]) -> Result<Vec<Link>, C::Error> {
        self.corpus.links(found)
    }

    fn similarities(&self, query: &[f32], documents: &[u64]) -> Result<Vec<Option<f32>>, C::Error> {
        self.corpus.similarities(&self.moved(query), documents)
    }

    fn sample(&self, count: usize, seed: u64) -> Result<Vec<Vec<f32>>, C::Error> {
        self.corpus.sample(count, seed)
    }
}

/// Trains the adapter of a store. It goes on from `before`, which has seen the first `seen` of these lessons: what is new is trained on, a share
/// of what was before is replayed, and where the queries turn to another topic what was learned is consolidated first (`sona`).
///
/// # Errors
/// Those of the corpus.
pub fn adapter<C: Corpus>(
    corpus: &C,
    dimension: usize,
    lessons: &[&Lesson],
    before: Option<(BaseLora, usize)>,
    seed: u64,
) -> Result<BaseLora, C::Error> {
    let (mut adapter, seen) = before.unwrap_or_else(|| (BaseLora::new(dimension, RANK, seed), 0));
    let strangers = corpus.sample(STRANGERS * 8, seed)?;
    let mut trajectories = Vec::with_capacity(lessons.len());
    for (at, lesson) in lessons.iter().enumerate() {
        trajectories.extend(trajectory(corpus, lesson, &strangers, at)?.map(|trajectory| (at, trajectory)));
    }
    let (past, new): (Vec<_>, Vec<_>) = trajectories.into_iter().partition(|(at, _)| *at < seen);
    let [past, new] = [past, new].map(|part| part.into_iter().map(|(_, trajectory)| trajectory).collect::<Vec<_>>());
    let options = TrainingOptions { seed, ..TrainingOptions::default() };
    let mut boundary = Boundary::new(dimension);
    let turns = lessons.iter().enumerate().filter(|(at, lesson)| boundary.push(&lesson.query) && *at >= seen).count();
    if !past.is_empty() && turns > 0 {
        adapter.consolidate(&past, &options);
    }
    adapter.train(&new, &past, &options);
    Ok(adapter)
}

fn trajectory<C: Corpus>(
    corpus: &C,
    lesson: &Lesson,
    strangers: &[Vec<f32>],
    at: usize,
) -> Result<Option<Trajectory>, C::Error> {
    let found = corpus.candidates(&lesson.query, &lesson.chosen)?;
    let (chosen, others): (Vec<&Found>, Vec<&Found>) =
        found.iter().partition(|found| lesson.chosen.contains(&found.document));
    let rivals = others.into_iter().take(RIVALS).map(|found| &found.vector[..]);
    let from = (at * STRANGERS) % strangers.len().max(1);
    let strangers = strangers.iter().cycle().skip(from).take(STRANGERS.min(strangers.len())).map(|vector| &vector[..]);
    let chosen: Vec<&[f32]> = chosen.into_iter().map(|found| &found.vector[..]).collect();
    // What is as good as chosen is no rival.
    let is_other = |vector: &&[f32]| chosen.iter().all(|chosen| dot(chosen, vector) < 0.999);
    let others: Vec<&[f32]> = rivals.chain(strangers).filter(is_other).collect();
    Ok(Trajectory::new(&lesson.query, &chosen, &others))
}

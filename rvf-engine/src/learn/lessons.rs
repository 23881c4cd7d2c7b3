//! [`Lesson`]: feedback as learning sees it; what is kept apart from what, so that nothing is judged by what it was made of.

use super::features::{Candidate, FEATURES, Row, rows};
use super::gnn::{Edge, Neighbourhood};
use super::math::dot;
use super::memory::{Choice, Memory};
use super::ranker::List;
use crate::random::Random;

/// Queries that are as similar as this are one: they are trained on together or held out together.
const SAME: f32 = 0.9;
/// Lessons that are looked at, the newest ones: all pairs are compared.
pub const MOST: usize = 5_000;

/// A query and what became of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lesson {
    /// The query, of unit length.
    pub query: Vec<f32>,
    /// What was shown, in its order; empty for a choice that was made without a list.
    pub shown: Vec<u64>,
    /// How many results stood before the first of `shown`.
    pub first_place: usize,
    /// What was chosen, shown or not.
    pub chosen: Vec<u64>,
    /// How much it counts, above 0.
    pub weight: f32,
}

impl Lesson {
    /// Whether choices were made outright: not from a list, whose places sway them.
    pub fn is_outright(&self) -> bool {
        self.shown.is_empty()
    }

    /// What was chosen, as right as the lesson weighs.
    pub fn choices(&self) -> Vec<Choice> {
        self.chosen.iter().map(|document| Choice { document: *document, grade: self.weight }).collect()
    }
}

/// A document that was found for a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The document.
    pub document: u64,
    /// Cosine similarity to the query.
    pub similarity: f32,
    /// Its vector, of unit length.
    pub vector: Vec<f32>,
    /// What the corpus knows it by.
    pub handle: u64,
}

/// A link of the index between two candidates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Their places among the candidates: two different ones, the smaller first, no two twice.
    pub between: [usize; 2],
    /// 1 for one both ways, 0.5 for one way.
    pub structure: f32,
}

/// What is searched.
pub trait Corpus {
    /// Why it cannot be.
    type Error;

    /// The documents nearest to a query of unit length, and those of `also` that there are, in the order of an untrained search; none twice.
    ///
    /// # Errors
    /// What the corpus says.
    fn candidates(&self, query: &[f32], also: &[u64]) -> Result<Vec<Found>, Self::Error>;

    /// Links of the index between these candidates; none where there is no index.
    ///
    /// # Errors
    /// What the corpus says.
    fn links(&self, found: &[Found]) -> Result<Vec<Link>, Self::Error>;

    /// Vectors of unit length of about so many documents, drawn from all.
    ///
    /// # Errors
    /// What the corpus says.
    fn sample(&self, count: usize, seed: u64) -> Result<Vec<Vec<f32>>, Self::Error>;

    /// Cosine similarity of each of these documents to a query of unit length; `None` for one that there is not.
    ///
    /// # Errors
    /// What the corpus says.
    fn similarities(&self, query: &[f32], documents: &[u64]) -> Result<Vec<Option<f32>>, Self::Error>;
}

/// The graph over candidates: the links that a corpus has between them, with how alike they are and what `rows` says of them.
pub fn neighbourhood(rows: &[Row], found: &[Found], links: &[Link]) -> Option<Neighbourhood> {
    let edge = |link: &Link| {
        let [a, b] = link.between.map(|at| found.get(at));
        Some(Edge { nodes: link.between, similarity: dot(&a?.vector, &b?.vector), structure: link.structure })
    };
    let edges = links.iter().map(edge).collect::<Option<Vec<Edge>>>()?;
    Neighbourhood::new(FEATURES, rows.concat(), rows.len(), edges)
}

/// Whether each lesson is held out: about a share of `share`, whole groups of queries that are nearly the same. A group is held out by what its
/// first query is, so that more lessons do not change what is held out of those that there were, unless they make two groups one.
pub fn held_out(lessons: &[Lesson], share: f64, seed: u64) -> Vec<bool> {
    let is_out = |leader: usize| {
        let bits = lessons.get(leader).into_iter().flat_map(|lesson| &lesson.query).map(|x| u64::from(x.to_bits()));
        let mixed = bits.fold(seed, |mixed, bits| Random(mixed ^ bits).draw());
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    };
    groups(lessons).into_iter().map(|leader| is_out(leader) < share).collect()
}

/// Whether queries of unit length are nearly the same.
pub(super) fn is_same(a: &[f32], b: &[f32]) -> bool {
    dot(a, b) > SAME
}

/// The first lesson of each one's group: lessons that are the same, or the same as one of the group.
fn groups(lessons: &[Lesson]) -> Vec<usize> {
    let mut leader: Vec<usize> = (0..lessons.len()).collect();
    let root = |leader: &[usize], mut at: usize| {
        while leader[at] != at {
            at = leader[at];
        }
        at
    };
    for at in 0..lessons.len() {
        for other in 0..at {
            if is_same(&lessons[at].query, &lessons[other].query) {
                let (a, b) = (root(&leader, at), root(&leader, other));
                leader[a.max(b)] = a.min(b);
            }
        }
    }
    (0..lessons.len()).map(|at| root(&leader, at)).collect()
}

/// The memory of these lessons; places in it are places in the list.
pub fn memory<'l>(dimension: usize, lessons: impl IntoIterator<Item = &'l Lesson>) -> Memory {
    let mut memory = Memory::new(dimension);
    for lesson in lessons {
        memory.push(&lesson.query, &lesson.choices());
    }
    memory
}

/// The candidates of a lesson with their features, as a memory gives them, `own` place in it left out.
///
/// # Errors
/// Those of the corpus.
pub fn list<C: Corpus>(
    corpus: &C,
    memory: &Memory,
    lesson: &Lesson,
    own: Option<usize>,
) -> Result<(List, Vec<Found>), C::Error> {
    let recalled = memory.recall(&lesson.query, own);
    let found = corpus.candidates(&lesson.query, &recalled.documents())?;
    let mut candidates = Vec::with_capacity(found.len());
    for Found { document, similarity, vector, .. } in &found {
        candidates.push(Candidate { document: *document, similarity: *similarity, vector });
    }
    let grade = |document: u64| if lesson.chosen.contains(&document) { lesson.weight } else { 0.0 };
    let list = List {
        rows: rows(&lesson.query, &recalled, &candidates),
        grades: found.iter().map(|found| grade(found.document)).collect(),
        right: lesson.chosen.iter().map(|document| grade(*document)).collect(),
        is_new: !lesson.chosen.iter().any(|document| recalled.evidence(*document).is_some()),
        is_unlike: recalled.is_unlike_all(),
    };
    Ok((list, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lesson(query: [f32; 2]) -> Lesson {
        Lesson { query: query.to_vec(), weight: 1.0, ..Lesson::default() }
    }

    /// Catches a split that puts near-duplicates on both sides.
    #[test]
    fn queries_that_are_nearly_the_same_stay_together() {
        // A chain of queries each like the next, and others far off.
        let at = |angle: f32| lesson([angle.cos(), angle.sin()]);
        let lessons: Vec<Lesson> = [0.0, 0.3, 0.6, 0.9, 2.0, 3.0, 4.0, 5.0].map(at).to_vec();
        assert_eq!(groups(&lessons), [0, 0, 0, 0, 4, 5, 6, 7]);
        let mut count = 0;
        for seed in 0..200 {
            let out = held_out(&lessons, 0.5, seed);
            assert!(out[..4].iter().all(|is_out| *is_out == out[0]), "{out:?}");
            count += out.iter().filter(|is_out| **is_out).count();
            // What comes later changes nothing.
            assert_eq!(held_out(&lessons[..6], 0.5, seed), out[..6]);
        }
        assert!((650..950).contains(&count), "{count} of 1600");
        assert!(held_out(&lessons, 0.0, 1).iter().all(|is_out| !is_out) && held_out(&[], 0.5, 1).is_empty());
    }
}

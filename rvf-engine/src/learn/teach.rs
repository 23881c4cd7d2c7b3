//! [`teach`]: trains on one part of the feedback, tunes on another, and adopts what improves a third.
//!
//! ```text
//! lessons -> held out (whole groups of like queries) ------------------------------+-> judged: adopted or not
//!         -> the rest: outright choices -> lists, each without itself -> Ranker ---+
//!                      choices from lists -> Impressions -> ClickModel ------------+
//! ```

use super::clicks::ClickModel;
use super::impressions::{Impressions, PLACES, Shown};
use super::lessons::{Corpus, Lesson, held_out, list, memory};
use super::measure::{Interval, bootstrap};
use super::ranker::{List, Ranker};

/// What queries whose right answers were never chosen may lose, nDCG@10.
pub const MOST_LOSS: f64 = 0.005;
/// Fewest lessons that are trained on, and held out.
const FEWEST: usize = 30;
const FEWEST_HELD_OUT: usize = 10;
/// Largest weight by which a choice at a place that is seldom looked at counts more (Joachims et al. 2017, clipped).
const CLIP: f64 = 5.0;
/// Past queries whose choices are candidates beside the nearest documents.
pub const NEIGHBOURS: usize = 20;

/// How to learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Passes over the lists.
    pub epochs: usize,
    /// Share of the lessons that are held out.
    pub hold_out: f64,
    /// What is random follows from it.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { epochs: 20, hold_out: 0.2, seed: 1 }
    }
}

/// Why something was adopted, or was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Held-out queries improve, with 95 % confidence, and new ones lose no more than they may.
    Improves,
    /// There is too little feedback to judge it by.
    TooFew,
    /// Held-out queries do not improve with 95 % confidence.
    NoGain,
    /// Queries whose right answers were never chosen would lose more than they may.
    Harms,
    /// Choices do not depend on what is like the query, or do not foretell other choices: the feedback is distrusted.
    Distrusted,
}

/// What was found out about a component on the lessons that were held out.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The component.
    pub component: &'static str,
    /// Lessons that it was trained on and judged by.
    pub trained_on: usize,
    /// Lessons that it was judged by.
    pub held_out: usize,
    /// nDCG@10 and reciprocal rank in the order of distance.
    pub before: [f64; 2],
    /// The same in the learned order.
    pub after: [f64; 2],
    /// Gain in nDCG@10; of choices from lists, by how much less the squared error is with which they are foretold, a result that was shown.
    pub gain: Interval,
    /// The same of queries whose right answers were never chosen before.
    pub gain_of_new: Interval,
    /// How many of those there are.
    pub new: usize,
    /// Whether it is adopted.
    pub reason: Reason,
}

impl Verdict {
    fn without(component: &'static str, trained_on: usize, held_out: usize, reason: Reason) -> Self {
        let ([before, after], [gain, gain_of_new]) = ([[0.0; 2]; 2], [Interval::default(); 2]);
        Self { component, trained_on, held_out, before, after, gain, gain_of_new, new: 0, reason }
    }

    /// Whether it is adopted.
    pub fn adopted(&self) -> bool {
        self.reason == Reason::Improves
    }
}

/// What was learned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taught {
    /// The order of candidates by outright choices, if it is adopted.
    pub ranker: Option<Ranker>,
    /// That by choices from lists.
    pub clicks: Option<ClickModel>,
    /// What was found out about each.
    pub verdicts: Vec<Verdict>,
}

/// Learns from lessons. The same lessons and options give the same result.
///
/// # Errors
/// Those of the corpus.
pub fn teach<C: Corpus>(
    corpus: &C,
    dimension: usize,
    lessons: &[Lesson],
    options: &Options,
) -> Result<Taught, C::Error> {
    let is_out = held_out(lessons, options.hold_out, options.seed);
    let part = |outright: bool, out: bool| -> Vec<&Lesson> {
        let all = lessons.iter().zip(&is_out);
        all.filter(|(lesson, is_out)| lesson.is_outright() == outright && **is_out == out)
            .map(|(lesson, _)| lesson)
            .collect()
    };
    let mut taught = Taught::default();
    let (known, judged) = (part(true, false), part(true, true));
    if !known.is_empty() || !judged.is_empty() {
        let (ranker, verdict) = teach_ranker(corpus, dimension, &known, &judged, options)?;
        taught.ranker = ranker.filter(|_| verdict.adopted());
        taught.verdicts.push(verdict);
    }
    let (known, judged) = (part(false, false), part(false, true));
    if !known.is_empty() || !judged.is_empty() {
        let (clicks, verdict) = teach_clicks(corpus, dimension, &known, &judged)?;
        taught.clicks = clicks.filter(|_| verdict.adopted());
        taught.verdicts.push(verdict);
    }
    Ok(taught)
}

/// Trains the order of candidates on two thirds, tunes its margin on the rest, and judges it.
fn teach_ranker<C: Corpus>(
    corpus: &C,
    dimension: usize,
    known: &[&Lesson],
    judged: &[&Lesson],
    options: &Options,
) -> Result<(Option<Ranker>, Verdict), C::Error> {
    let nothing = |reason| (None, Verdict::without("ranker", known.len(), judged.len(), reason));
    if known.len() < FEWEST || judged.len() < FEWEST_HELD_OUT {
        return Ok(nothing(Reason::TooFew));
    }
    let memory = memory(dimension, known.iter().copied());
    let (mut to_train, mut to_tune) = (Vec::new(), Vec::new());
    for (at, lesson) in known.iter().enumerate() {
        let (list, _) = list(corpus, &memory, lesson, Some(at))?;
        if at % 3 == 0 { to_tune.push(list) } else { to_train.push(list) }
    }
    let Some(mut ranker) = Ranker::train(&to_train, options.epochs, options.seed) else {
        return Ok(nothing(Reason::NoGain));
    };
    if !ranker.tune(&to_tune, MOST_LOSS) {
        return Ok(nothing(Reason::Harms));
    }
    let mut judgement = Judgement::default();
    for lesson in judged {
        let (list, _) = list(corpus, &memory, lesson, None)?;
        judgement.add(&list, &ranker.scores(&list.rows));
    }
    let mut verdict = judgement.verdict("ranker", known.len());
    verdict.reason = match verdict.gain {
        gain if gain.low <= 0.0 => Reason::NoGain,
        _ if verdict.gain_of_new.mean < -MOST_LOSS => Reason::Harms,
        _ => Reason::Improves,
    };
    Ok((Some(ranker), verdict))
}

/// Fits what makes documents be chosen apart from their place. It is trusted where it foretells choices that it has not seen. The orders are
/// told with choices counted by clipped inverse propensity.
fn teach_clicks<C: Corpus>(
    corpus: &C,
    dimension: usize,
    known: &[&Lesson],
    judged: &[&Lesson],
) -> Result<(Option<ClickModel>, Verdict), C::Error> {
    let nothing = |reason| (None, Verdict::without("clicks", known.len(), judged.len(), reason));
    if known.len() < FEWEST || judged.len() < FEWEST_HELD_OUT {
        return Ok(nothing(Reason::TooFew));
    }
    let seen = impressions(corpus, dimension, known)?;
    let fit = ClickModel::fit(&seen);
    let Some(model) = fit.model else { return Ok(nothing(Reason::Distrusted)) };
    let rates = seen.rates();
    let (mut judgement, mut foretold) = (Judgement::default(), Judgement::default());
    for lesson in judged {
        let like = seen.similarities(&lesson.query, None);
        let found = corpus.candidates(&lesson.query, &also(&seen, &like, lesson))?;
        let grade = |document: u64| match lesson.chosen.contains(&document) {
            true => propensity_weight(lesson, document, &fit.looked_at) as f32,
            false => 0.0,
        };
        let list = List {
            rows: vec![[0.0; super::features::FEATURES]; found.len()],
            grades: found.iter().map(|found| grade(found.document)).collect(),
            right: lesson.chosen.iter().map(|document| grade(*document)).collect(),
            is_new: !lesson.chosen.iter().any(|document| seen.was_chosen(*document)),
        };
        let score = |found: &super::lessons::Found| {
            let shown = Shown { document: found.document, similarity: found.similarity };
            model.score(&seen.signals(shown, &like, &rates))
        };
        judgement.add(&list, &found.iter().map(score).collect::<Vec<f32>>());
        let errors = |(place, document): (usize, &u64)| {
            let similarity = found.iter().find(|found| found.document == *document)?.similarity;
            let signals = seen.signals(Shown { document: *document, similarity }, &like, &rates);
            let foretelling = fit.foretelling.as_ref()?;
            Some(foretelling.errors(&signals, Some(place + lesson.first_place), lesson.chosen.contains(document)))
        };
        let errors: Vec<[f64; 2]> = lesson.shown.iter().enumerate().filter_map(errors).collect();
        let mean = |at: usize| errors.iter().map(|both| both[at]).sum::<f64>() / errors.len().max(1) as f64;
        foretold.before.push([-mean(0), 0.0]);
        foretold.after.push([-mean(1), 0.0]);
        foretold.is_new.push(list.is_new);
    }
    // Where choices are swayed by places, no order of held-out choices is a fair judge: what is foretold of them is.
    let (mut verdict, foretold) = (judgement.verdict("clicks", known.len()), foretold.verdict("clicks", known.len()));
    (verdict.gain, verdict.gain_of_new) = (foretold.gain, foretold.gain_of_new);
    verdict.reason = match verdict.gain {
        gain if gain.low <= 0.0 => Reason::NoGain,
        _ if verdict.gain_of_new.mean < -MOST_LOSS => Reason::Harms,
        _ => Reason::Improves,
    };
    Ok((Some(model), verdict))
}

/// The impressions of lessons with lists; similarities are those of the corpus as it is now.
///
/// # Errors
/// Those of the corpus.
pub fn impressions<C: Corpus>(corpus: &C, dimension: usize, lessons: &[&Lesson]) -> Result<Impressions, C::Error> {
    let mut seen = Impressions::new(dimension);
    for lesson in lessons {
        let of = |documents: &[u64]| -> Result<Vec<(usize, Shown)>, C::Error> {
            let similarities = corpus.similarities(&lesson.query, documents)?;
            let places = documents.iter().zip(similarities).enumerate();
            let shown = places.filter_map(|(place, (document, similarity))| {
                Some((place + lesson.first_place, Shown { document: *document, similarity: similarity? }))
            });
            Ok(shown.collect())
        };
        let shown = of(&lesson.shown)?;
        let chosen: Vec<Shown> = of(&lesson.chosen)?.into_iter().map(|(_, shown)| shown).collect();
        seen.push_at(&lesson.query, &shown, &chosen);
    }
    Ok(seen)
}

/// Documents that are candidates whether they are near or not.
fn also(seen: &Impressions, similarities: &[f32], lesson: &Lesson) -> Vec<u64> {
    let mut also = seen.documents(similarities, NEIGHBOURS);
    also.extend(lesson.shown.iter().chain(&lesson.chosen));
    also
}

fn propensity_weight(lesson: &Lesson, document: u64, looked_at: &[f64; PLACES]) -> f64 {
    let place = lesson.shown.iter().position(|shown| *shown == document);
    let looked = place.map_or(1.0, |place| looked_at[(place + lesson.first_place).min(PLACES - 1)]);
    f64::from(lesson.weight) / looked.max(1.0 / CLIP)
}

/// Measures of lists in two orders.
#[derive(Default)]
struct Judgement {
    before: Vec<[f64; 2]>,
    after: Vec<[f64; 2]>,
    is_new: Vec<bool>,
}

impl Judgement {
    fn add(&mut self, list: &List, scores: &[f32]) {
        self.before.push([list.before(), list.reciprocal_rank(None)]);
        self.after.push([list.by(scores), list.reciprocal_rank(Some(scores))]);
        self.is_new.push(list.is_new);
    }

    fn verdict(&self, component: &'static str, trained_on: usize) -> Verdict {
        let gains: Vec<f64> = self.after.iter().zip(&self.before).map(|(after, before)| after[0] - before[0]).collect();
        let of_new: Vec<f64> =
            gains.iter().zip(&self.is_new).filter(|(_, is_new)| **is_new).map(|(gain, _)| *gain).collect();
        let mean = |measured: &[[f64; 2]]| {
            let count = measured.len().max(1) as f64;
            [0, 1].map(|at| measured.iter().map(|both| both[at]).sum::<f64>() / count)
        };
        Verdict {
            before: mean(&self.before),
            after: mean(&self.after),
            gain: bootstrap(&gains, 1),
            gain_of_new: bootstrap(&of_new, 1),
            new: of_new.len(),
            ..Verdict::without(component, trained_on, gains.len(), Reason::NoGain)
        }
    }
}

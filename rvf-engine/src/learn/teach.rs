//! [`teach`]: trains on one part of the feedback, tunes on another, and adopts what improves a third.
//!
//! ```text
//! lessons -> held out (whole groups of like queries) ------------------------------+-> judged: adopted or not
//!         -> the rest: outright choices -> lists, each without itself -> Ranker ---+
//!                                    the same with links of the index -> GraphRanker
//!                                    the same on queries that an adapter moves
//!                      choices from lists -> Impressions -> ClickModel ------------+
//! ```

use super::adapted::{Adapted, adapter};
use super::clicks::ClickModel;
use super::features::HOW_OFTEN;
use super::gnn::{Form, GraphList, GraphRanker, Kind, Training};
use super::impressions::{Impressions, PLACES, Shown};
use super::lessons::{Corpus, Found, Lesson, held_out, is_same, list, memory, neighbourhood};
use super::measure::{Interval, bootstrap};
use super::memory::Memory;
use super::ranker::{List, Ranker};
use super::sona::BaseLora;

/// What queries whose right answers were never chosen may lose, nDCG@10.
pub const MOST_LOSS: f64 = 0.005;
/// The same of the lists that margins are chosen by: less, for the best of many margins looks better there than it is.
pub const TUNED_LOSS: f64 = 0.003;
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
    /// The only component to be tried, where not all: `ranker`, `graph`, `adapter` or `clicks`.
    pub only: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self { epochs: 20, hold_out: 0.2, seed: 1, only: None }
    }
}

impl Options {
    fn wants(&self, component: &str) -> bool {
        self.only.is_none_or(|only| only == component)
    }
}

/// Why something was adopted, or was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Held-out queries improve, with 95 % confidence, and new ones lose no more than they may.
    Improves,
    /// There is too little feedback to judge it by.
    TooFew,
    /// There is enough, but too much of it is on queries that are nearly the same, which cannot be held out apart.
    TooAlike,
    /// Held-out queries improve, but none of them is new, and this moves queries of any kind.
    Unproven,
    /// Held-out queries do not improve with 95 % confidence.
    NoGain,
    /// They do, but not surely more than by the ranker, which costs less.
    NoBetter,
    /// They do, and more by another component, which is adopted.
    Surpassed,
    /// Queries whose right answers were never chosen would lose more than they may.
    Harms,
    /// Choices do not depend on what is like the query, do not foretell other choices, or are foretold as well by what is popular: the feedback is
    /// distrusted.
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
    /// Of the graph: its gain over the ranker, which sees the same without links.
    pub over_ranker: Option<Interval>,
    /// Whether it is adopted.
    pub reason: Reason,
}

impl Verdict {
    fn without(component: &'static str, trained_on: usize, held_out: usize, reason: Reason) -> Self {
        let ([before, after], [gain, gain_of_new]) = ([[0.0; 2]; 2], [Interval::default(); 2]);
        Self { component, trained_on, held_out, before, after, gain, gain_of_new, new: 0, over_ranker: None, reason }
    }

    /// Whether it is adopted.
    pub fn adopted(&self) -> bool {
        self.reason == Reason::Improves
    }
}

/// What is learned from.
#[derive(Clone, Debug, Default)]
pub struct Course<'c> {
    /// The lessons, oldest first.
    pub lessons: &'c [Lesson],
    /// What is known of queries of before, which are not trained on: patterns of a [`Bank`](super::Bank).
    pub patterns: &'c [Lesson],
    /// The adapter that was adopted with so many first of these lessons and the same options: training goes on from it.
    pub before: Option<(BaseLora, usize)>,
}

/// What was learned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taught {
    /// What moves queries before they are searched for, if it is adopted; the ranker goes with it.
    pub adapter: Option<BaseLora>,
    /// The order of candidates by outright choices, if it is adopted.
    pub ranker: Option<Ranker>,
    /// That which hears of the candidates' neighbours, if it is adopted in the ranker's place.
    pub graph: Option<GraphRanker>,
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
    course: Course<'_>,
    options: &Options,
) -> Result<Taught, C::Error> {
    let Course { lessons, patterns, before } = course;
    let is_out = held_out(lessons, options.hold_out, options.seed);
    let part = |outright: bool, out: bool| -> Vec<&Lesson> {
        let all = lessons.iter().zip(&is_out);
        all.filter(|(lesson, is_out)| lesson.is_outright() == outright && **is_out == out)
            .map(|(lesson, _)| lesson)
            .collect()
    };
    let mut taught = Taught::default();
    let before = before.filter(|(_, seen)| is_fair(lessons, *seen, &is_out, options)).map(|(adapter, seen)| {
        let known = lessons.iter().zip(&is_out).take(seen).filter(|(lesson, is_out)| lesson.is_outright() && !**is_out);
        (adapter, known.count())
    });
    let (known, judged) = (part(true, false), part(true, true));
    if options.only != Some("clicks") && (!known.is_empty() || !judged.is_empty()) {
        // A pattern of queries that are held out would tell their answers.
        let is_apart = |pattern: &&Lesson| judged.iter().all(|lesson| !is_same(&pattern.query, &lesson.query));
        let patterns: Vec<&Lesson> = patterns.iter().filter(is_apart).collect();
        let orders = Orders { corpus, dimension, known: &known, patterns: &patterns, judged: &judged, options };
        orders.teach(before, &mut taught)?;
    }
    let (known, judged) = (part(false, false), part(false, true));
    if options.wants("clicks") && (!known.is_empty() || !judged.is_empty()) {
        let (clicks, verdict) = teach_clicks(corpus, dimension, &known, &judged)?;
        taught.clicks = clicks.filter(|_| verdict.adopted());
        taught.verdicts.push(verdict);
    }
    Ok(taught)
}

/// Whether nothing that is held out now was trained on when there were only so many lessons: else an adapter has to begin anew.
fn is_fair(lessons: &[Lesson], seen: usize, is_out: &[bool], options: &Options) -> bool {
    let earlier = lessons.get(..seen).map(|earlier| held_out(earlier, options.hold_out, options.seed));
    earlier.is_some_and(|earlier| is_out.starts_with(&earlier))
}

/// Orders of candidates by judgements.
struct Orders<'t, C> {
    corpus: &'t C,
    dimension: usize,
    known: &'t [&'t Lesson],
    patterns: &'t [&'t Lesson],
    judged: &'t [&'t Lesson],
    options: &'t Options,
}

impl<C: Corpus> Orders<'_, C> {
    /// Trains the ranker, then the same with links of the index and the same on adapted queries; each of these is used only where it is surely
    /// better than the ranker.
    fn teach(&self, before: Option<(BaseLora, usize)>, taught: &mut Taught) -> Result<(), C::Error> {
        let (known, held_out) = (self.known.len(), self.judged.len());
        if known < FEWEST || held_out < FEWEST_HELD_OUT {
            let reason =
                if known + held_out >= 2 * (FEWEST + FEWEST_HELD_OUT) { Reason::TooAlike } else { Reason::TooFew };
            taught.verdicts.push(Verdict::without("ranker", known, held_out, reason));
            return Ok(());
        }
        let lists = Lists::of(self.corpus, self)?;
        let plain: Vec<List> = lists.judged.iter().map(|both| both.flat.clone()).collect();
        let mut by_ranker = None;
        if self.options.wants("ranker") {
            let ranker = lists.ranker(self.options);
            let scores = |both: &Both| ranker.as_ref().map(|ranker| ranker.scores(&both.flat.rows));
            let (verdict, after) = judged_by("ranker", known, (&plain, &lists.judged), scores);
            taught.ranker = ranker.filter(|_| verdict.adopted());
            taught.verdicts.push(verdict);
            by_ranker = Some(after);
        }
        let by_ranker = by_ranker.as_deref();
        if let Some(graph) = self.options.wants("graph").then(|| lists.graph(self.options)).flatten() {
            let scores = |both: &Both| graph.scores(&both.graph.as_ref()?.graph);
            let verdict = over_ranker(judged_by("graph", known, (&plain, &lists.judged), scores), by_ranker);
            if verdict.adopted() {
                surpass(&mut taught.verdicts);
                (taught.graph, taught.ranker) = (Some(graph), None);
            }
            taught.verdicts.push(verdict);
        }
        if self.options.wants("adapter") {
            let adapter = adapter(self.corpus, self.dimension, self.known, before, self.options.seed)?;
            let adapted = Lists::of(&Adapted { corpus: self.corpus, adapter: &adapter }, self)?;
            let ranker = adapted.ranker(self.options);
            let scores = |both: &Both| ranker.as_ref().map(|ranker| ranker.scores(&both.flat.rows));
            let mut verdict = over_ranker(judged_by("adapter", known, (&plain, &adapted.judged), scores), by_ranker);
            if verdict.adopted() && verdict.new < FEWEST_HELD_OUT {
                verdict.reason = Reason::Unproven;
            }
            if verdict.adopted() {
                surpass(&mut taught.verdicts);
                (taught.adapter, taught.ranker, taught.graph) = (Some(adapter), ranker, None);
            }
            taught.verdicts.push(verdict);
        }
        Ok(())
    }
}

/// What was adopted before another was found better.
fn surpass(verdicts: &mut [Verdict]) {
    verdicts.iter_mut().filter(|verdict| verdict.adopted()).for_each(|verdict| verdict.reason = Reason::Surpassed);
}

/// What is judged of something that costs more than the ranker: it has to be surely better, where that was tried as well.
fn over_ranker((mut verdict, after): (Verdict, Vec<f64>), by_ranker: Option<&[f64]>) -> Verdict {
    let Some(by_ranker) = by_ranker else { return verdict };
    let over: Vec<f64> = after.iter().zip(by_ranker).map(|(after, ranker)| after - ranker).collect();
    let over = bootstrap(&over, 1);
    verdict.over_ranker = Some(over);
    if verdict.adopted() && over.low <= 0.0 {
        verdict.reason = Reason::NoBetter;
    }
    verdict
}

/// The candidates of all lessons, as a memory of those that are trained on gives them.
struct Lists {
    known: Vec<Both>,
    judged: Vec<Both>,
}

impl Lists {
    fn of<C: Corpus, D: Corpus<Error = C::Error>>(corpus: &D, of: &Orders<'_, C>) -> Result<Self, C::Error> {
        let memory = memory(of.dimension, of.known.iter().chain(of.patterns).copied());
        let lists = |lessons: &[&Lesson], own: bool| -> Result<Vec<Both>, C::Error> {
            lessons.iter().enumerate().map(|(at, lesson)| both(corpus, &memory, lesson, own.then_some(at))).collect()
        };
        Ok(Self { known: lists(of.known, true)?, judged: lists(of.judged, false)? })
    }

    fn ranker(&self, options: &Options) -> Option<Ranker> {
        let flat: Vec<List> = self.known.iter().map(|both| both.flat.clone()).collect();
        Ranker::train_and_tune(&flat, options.epochs, options.seed, TUNED_LOSS)
    }

    /// `None` without links, too.
    fn graph(&self, options: &Options) -> Option<GraphRanker> {
        let graphs: Vec<GraphList> = self.known.iter().map(|both| both.graph.clone()).collect::<Option<_>>()?;
        if graphs.iter().all(|list| list.graph.edges().is_empty()) {
            return None;
        }
        let form = Form { kind: Kind::Gat, hidden: 16, heads: 2, ..Form::default() };
        let training = Training { form, seed: options.seed, ..Training::default() };
        GraphRanker::train_and_tune(&graphs, &training, TUNED_LOSS)
    }
}

/// Candidates of a lesson, without links and with them.
struct Both {
    flat: List,
    graph: Option<GraphList>,
}

fn both<C: Corpus>(corpus: &C, memory: &Memory, lesson: &Lesson, own: Option<usize>) -> Result<Both, C::Error> {
    let (flat, found): (List, Vec<Found>) = list(corpus, memory, lesson, own)?;
    let links = corpus.links(&found)?;
    let graph = neighbourhood(&flat.rows, &found, &links).map(|graph| GraphList {
        graph,
        grades: flat.grades.clone(),
        right: flat.right.clone(),
        is_new: flat.is_new,
        is_unlike: flat.is_unlike,
    });
    Ok(Both { flat, graph })
}

/// What an order gains on lists that were held out, and its nDCG@10 of each.
fn judged_by(
    component: &'static str,
    trained_on: usize,
    (plain, judged): (&[List], &[Both]),
    scores: impl Fn(&Both) -> Option<Vec<f32>>,
) -> (Verdict, Vec<f64>) {
    let (mut judgement, mut over_popular) = (Judgement::default(), Vec::new());
    for (before, both) in plain.iter().zip(judged) {
        // What is like nothing that was asked before keeps its order, also where queries are moved.
        let list = if both.flat.is_unlike { before } else { &both.flat };
        match scores(both) {
            Some(scores) => {
                judgement.add(before, list, &scores);
                over_popular.push(list.by(&scores) - both.flat.by(&popularity(&both.flat)));
            }
            None => {
                let verdict = Verdict::without(component, trained_on, judged.len(), Reason::Harms);
                return (verdict, plain.iter().map(List::before).collect());
            }
        }
    }
    let mut verdict = judgement.verdict(component, trained_on);
    verdict.reason = match verdict.gain {
        gain if gain.low <= 0.0 => Reason::NoGain,
        // Choices that have nothing to do with the query are foretold as well by what is popular.
        _ if bootstrap(&over_popular, 1).low <= 0.0 => Reason::Distrusted,
        _ if verdict.gain_of_new.mean < -MOST_LOSS => Reason::Harms,
        _ => Reason::Improves,
    };
    (verdict, judgement.after.iter().map(|after| after[0]).collect())
}

/// What was chosen most comes first, whatever the query.
fn popularity(list: &List) -> Vec<f32> {
    list.rows.iter().map(|row| 1e3 * row[HOW_OFTEN] + row[0]).collect()
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
            is_unlike: false,
        };
        let score = |found: &super::lessons::Found| {
            let shown = Shown { document: found.document, similarity: found.similarity };
            model.score(&seen.signals(shown, &like, &rates))
        };
        judgement.add(&list, &list, &found.iter().map(score).collect::<Vec<f32>>());
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
    /// What the order of scores makes of a list, and what the order of distance makes of the `plain` one.
    fn add(&mut self, plain: &List, list: &List, scores: &[f32]) {
        self.before.push([plain.before(), plain.reciprocal_rank(None)]);
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

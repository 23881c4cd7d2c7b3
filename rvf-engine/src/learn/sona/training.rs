//! [`Training`]: training of a [`BaseLora`] in pieces, on a thread that the caller gives.

use super::base::BaseLora;
use super::contrast::{Documents, Work, is_temperature};
use super::fisher::add_pull;
use super::low_rank::{Gradient, LowRank};
use super::trajectory::Trajectory;
use crate::random::Random;
use std::borrow::Cow;

/// Trajectories whose gradients are averaged to a step.
const BATCH: usize = 16;
/// Norm that the gradient of a step is clipped to.
const MOST_GRADIENT: f32 = 1.0;

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingOptions {
    /// Times over all trajectories.
    pub epochs: usize,
    /// Step of Adam at the start; it falls to 0 evenly.
    pub step: f32,
    /// Temperature of the loss, 0.025 to 10.
    pub temperature: f32,
    /// Strength of the pull to the identity: what no query asks to be moved stays.
    pub pull: f32,
    /// Strength of EWC; 0: none.
    pub ewc: f32,
    /// Strength of a plain L2 pull to the anchor; 0: none.
    pub anchor: f32,
    /// The share of past trajectories in what is trained on, 0 to 0.9.
    pub replay: f32,
    /// What orders and choices among the past are drawn from.
    pub seed: u64,
}

impl Default for TrainingOptions {
    /// EWC and replay, as strong as `learn_bench` found best on training queries held out.
    fn default() -> Self {
        Self { epochs: 7, step: 0.003, temperature: 0.04, pull: 0.001, ewc: 2.0, anchor: 0.0, replay: 0.35, seed: 1 }
    }
}

impl TrainingOptions {
    /// Whether they can be trained by.
    pub fn is_sound(&self) -> bool {
        let is_strength = |x: f32| x >= 0.0 && x.is_finite();
        is_temperature(self.temperature)
            && [self.step, self.pull, self.ewc, self.anchor].into_iter().all(is_strength)
            && (0.0..=0.9).contains(&self.replay)
    }
}

/// What a training did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainingReport {
    /// Trajectories that were trained on, each as often as it was; those of the past among them.
    pub trained: usize,
    /// Those of the past.
    pub replayed: usize,
    /// The mean error of new trajectories in the first epoch, each just before its step: 1 less the probability of what was chosen among what
    /// was not.
    pub first: f32,
    /// The same in the last epoch.
    pub last: f32,
    /// Whether the trained weights are kept: they are finite, and nothing was refused.
    pub is_kept: bool,
}

/// A training that can be gone on with piece by piece; how it is cut into pieces changes nothing.
#[derive(Clone, Debug)]
pub struct Training<'t> {
    start: BaseLora,
    adapter: LowRank,
    new: Cow<'t, [Trajectory]>,
    past: Cow<'t, [Trajectory]>,
    options: TrainingOptions,
    /// Of the epoch: places in `new` and, after these, in `past`.
    order: Vec<usize>,
    /// How many of them are done.
    done: usize,
    epoch: usize,
    adam: Adam,
    scratch: Scratch,
    errors: [f64; 2],
    is_broken: bool,
    report: TrainingReport,
}

#[derive(Clone, Debug)]
struct Scratch {
    work: Work,
    gradient: Gradient,
    row: Vec<f32>,
    ones: Vec<f32>,
}

impl<'t> Training<'t> {
    /// Starts to train `base` on `new` trajectories, and on `past` ones by the share of the options. Those of another dimension are left out;
    /// with options that are refused nothing is trained.
    pub fn new(
        base: &BaseLora,
        new: impl Into<Cow<'t, [Trajectory]>>,
        past: impl Into<Cow<'t, [Trajectory]>>,
        options: &TrainingOptions,
    ) -> Self {
        let of_dimension = |mut all: Cow<'t, [Trajectory]>| {
            let is_one = |of: &Trajectory| of.dimension() == base.adapter.dimension();
            if !all.iter().all(is_one) {
                all.to_mut().retain(is_one);
            }
            all
        };
        let gradient = Gradient::of(&base.adapter);
        let mut training = Self {
            start: base.clone(),
            adapter: base.adapter.clone(),
            new: of_dimension(new.into()),
            past: of_dimension(past.into()),
            options: options.clone(),
            order: Vec::new(),
            done: 0,
            epoch: 0,
            adam: Adam::new(&gradient),
            scratch: Scratch { work: Work::default(), gradient, row: Vec::new(), ones: Vec::new() },
            errors: [0.0; 2],
            is_broken: false,
            report: TrainingReport::default(),
        };
        if !options.is_sound() || training.new.is_empty() {
            training.epoch = options.epochs;
        }
        training.draw();
        training
    }

    /// Trains on about `budget` trajectories, at least one step. Whether all is done.
    pub fn step(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while self.epoch < self.options.epochs {
            let end = (self.done + BATCH).min(self.order.len());
            self.train(end);
            left = left.saturating_sub(end - self.done);
            self.done = end;
            if self.done == self.order.len() {
                self.epoch += 1;
                self.done = 0;
                self.draw();
            }
            if left == 0 {
                break;
            }
        }
        self.epoch >= self.options.epochs
    }

    /// What was trained so far. Weights that have run away beyond finite numbers are not kept: `base` comes back as it was.
    pub fn finish(self) -> (BaseLora, TrainingReport) {
        let Self { mut start, adapter, new, options, is_broken, mut report, .. } = self;
        let is_finite = adapter.a.iter().chain(&adapter.b).all(|x| x.is_finite());
        report.is_kept = is_finite && !is_broken && options.is_sound();
        [report.first, report.last] = self.errors.map(|sum| (sum / new.len().max(1) as f64) as f32);
        if report.is_kept {
            start.adapter = adapter;
        }
        (start, report)
    }

    /// The order of the next epoch: all new ones, and as many past ones as their share asks for, drawn anew each time.
    fn draw(&mut self) {
        if self.epoch >= self.options.epochs {
            return;
        }
        let mut random = Random(self.options.seed.wrapping_mul(0x2545_F491_4F6C_DD1D).wrapping_add(self.epoch as u64));
        let (new, share) = (self.new.len(), self.options.replay);
        self.order = (0..new).collect();
        if !self.past.is_empty() {
            let count = (new as f32 * share / (1.0 - share)).round() as usize;
            self.order.extend((0..count).map(|_| new + random.below(self.past.len())));
        }
        random.shuffle(&mut self.order);
        self.errors[1] = 0.0;
    }

    /// One step, on the trajectories up to `end` in the order.
    fn train(&mut self, end: usize) {
        let Scratch { work, gradient, row, ones } = &mut self.scratch;
        gradient.clear();
        let weight = 1.0 / (end - self.done).max(1) as f32;
        for at in self.order.get(self.done..end).unwrap_or_default() {
            let replayed = at.checked_sub(self.new.len());
            let Some(of) = replayed.map_or_else(|| self.new.get(*at), |at| self.past.get(at)) else { continue };
            self.report.trained += 1;
            self.report.replayed += usize::from(replayed.is_some());
            // The documents of a trajectory have unit length.
            ones.resize(of.all(), 1.0);
            let Some(error) = work.contrast(&self.adapter, of.query(), of, ones, self.options.temperature) else {
                // A trajectory can be told apart, so the weights have left what numbers can say.
                self.is_broken = true;
                continue;
            };
            if replayed.is_none() {
                self.errors[0] += if self.epoch == 0 { f64::from(error) } else { 0.0 };
                self.errors[1] += f64::from(error);
            }
            self.adapter.add_gradient(of.query(), &work.forward.hidden, &work.slope, weight, gradient);
        }
        let TrainingOptions { ewc, anchor: even, pull, .. } = self.options;
        add_pull(&self.adapter, None, pull, gradient);
        if let Some(anchor) = &self.start.anchor {
            if ewc > 0.0 {
                anchor.add_gradient(&self.adapter, ewc, row, gradient);
            }
            add_pull(&self.adapter, Some(&anchor.adapter), even, gradient);
        }
        let progress =
            (self.epoch as f32 + self.done as f32 / self.order.len().max(1) as f32) / self.options.epochs as f32;
        if gradient.clip(MOST_GRADIENT) {
            self.adam.descend(&mut self.adapter, gradient, self.options.step * (1.0 - progress));
        } else {
            self.is_broken = true;
        }
    }
}

/// Adam (Kingma and Ba 2015, algorithm 1).
#[derive(Clone, Debug)]
struct Adam {
    first: Gradient,
    second: Gradient,
    first_left: f32,
    second_left: f32,
}

impl Adam {
    fn new(zero: &Gradient) -> Self {
        Self { first: zero.clone(), second: zero.clone(), first_left: 1.0, second_left: 1.0 }
    }

    fn descend(&mut self, adapter: &mut LowRank, gradient: &Gradient, step: f32) {
        self.first_left *= 0.9;
        self.second_left *= 0.999;
        let (first_share, second_share) = (1.0 - self.first_left, 1.0 - self.second_left);
        let descend = |values: &mut [f32], slopes: &[f32], first: &mut [f32], second: &mut [f32]| {
            for (((value, slope), first), second) in values.iter_mut().zip(slopes).zip(first).zip(second) {
                *first = 0.9 * *first + 0.1 * slope;
                *second = 0.999 * *second + 0.001 * slope * slope;
                *value -= step * (*first / first_share) / ((*second / second_share).sqrt() + 1e-8);
            }
        };
        descend(&mut adapter.a, &gradient.a, &mut self.first.a, &mut self.second.a);
        descend(&mut adapter.b, &gradient.b, &mut self.first.b, &mut self.second.b);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Queries whose right document is the query with two elements turned into each other; the seed tells the elements.
    pub(in super::super) fn topic(dimension: usize, count: usize, seed: u64) -> Vec<Trajectory> {
        let mut random = Random(seed.wrapping_mul(77));
        let mut vector = || -> Vec<f32> { (0..dimension).map(|_| random.below(2000) as f32 / 1000.0 - 1.0).collect() };
        let (from, to) = ((seed as usize * 2) % dimension, (seed as usize * 2 + 1) % dimension);
        (0..count)
            .map(|_| {
                let (mut query, others) = (vector(), [vector(), vector(), vector()]);
                // What a topic is about stands out in its queries.
                query[from] *= 3.0;
                let mut right = query.clone();
                right[to] += 2.0 * query[from];
                let mut wrong = query.clone();
                wrong[to] -= 2.0 * query[from];
                let others: Vec<&[f32]> = others.iter().map(Vec::as_slice).chain([&*query, &wrong]).collect();
                Trajectory::new(&query, &[&right], &others).unwrap()
            })
            .collect()
    }

    /// The mean error of an adapter.
    fn error(base: &BaseLora, trajectories: &[Trajectory]) -> f32 {
        let mut work = Work::default();
        let of = |of: &Trajectory| {
            let ones = vec![1.0; of.all()];
            work.contrast(&base.adapter, of.query(), of, &ones, 0.1).unwrap()
        };
        trajectories.iter().map(of).sum::<f32>() / trajectories.len() as f32
    }

    fn plain() -> TrainingOptions {
        TrainingOptions {
            epochs: 15,
            step: 0.01,
            temperature: 0.1,
            pull: 0.0,
            ewc: 0.0,
            replay: 0.0,
            ..TrainingOptions::default()
        }
    }

    /// Catches a training that does nothing or learns its trajectories by heart.
    #[test]
    fn what_is_trained_holds_for_queries_that_were_not_seen() {
        let (seen, unseen) = (topic(16, 150, 1), topic(16, 150, 1).split_off(100));
        let mut base = BaseLora::new(16, 2, 3);
        let before = error(&base, &unseen);
        let report = base.train(&seen[..100], &[], &plain());
        let after = error(&base, &unseen);
        assert!(before > 0.5 && after < before / 2.0, "{before} {after}");
        assert!(report.is_kept && report.trained == 1500 && report.last < report.first / 2.0, "{report:?}");
    }

    /// Catches state that is lost between pieces.
    #[test]
    fn pieces_give_what_all_at_once_gives() {
        let (new, past) = (topic(8, 40, 1), topic(8, 20, 2));
        let options = TrainingOptions { epochs: 3, replay: 0.2, ..TrainingOptions::default() };
        let mut base = BaseLora::new(8, 2, 3);
        assert!(base.consolidate(&past, &options));
        let mut whole = base.clone();
        let report = whole.train(&new, &past, &options);
        let mut training = Training::new(&base, new, past, &options);
        let mut pieces = 1;
        while !training.step(1) {
            pieces += 1;
        }
        assert_eq!((training.finish(), pieces), ((whole, report), 12));
        // 40 new ones and 10 past ones, 3 times.
        assert_eq!((report.trained, report.replayed), (150, 30));
    }

    /// Catches protection that protects nothing, or that lets nothing new be learned.
    #[test]
    fn what_was_consolidated_is_kept_while_new_things_are_learned() {
        let (old, new) = (topic(16, 100, 1), topic(16, 100, 2));
        let mut base = BaseLora::new(16, 4, 3);
        base.train(&old, &[], &plain());
        assert!(base.consolidate(&old, &plain()));
        let after = |options: TrainingOptions| {
            let mut base = base.clone();
            base.train(&new, &old, &options);
            [error(&base, &old), error(&base, &new)]
        };
        let [old_then, new_then] = [error(&base, &old), error(&base, &new)];
        let [unprotected, learned] = after(plain());
        let lost = unprotected - old_then;
        assert!(lost > 0.03 && learned < new_then / 2.0, "{lost} {learned} {new_then}");
        for options in [
            TrainingOptions { ewc: 100.0, ..plain() },
            TrainingOptions { anchor: 0.03, ..plain() },
            TrainingOptions { replay: 0.3, ..plain() },
        ] {
            let [kept, learned] = after(options.clone());
            assert!(kept - old_then < lost / 2.0, "{options:?}: {kept} {old_then} {lost}");
            assert!(learned < new_then * 0.75, "{options:?}: {learned} {new_then}");
        }
    }

    #[test]
    fn what_cannot_be_trained_changes_nothing() {
        let mut base = BaseLora::new(8, 2, 3);
        let kept = base.clone();
        for options in [
            TrainingOptions { temperature: 0.0, ..plain() },
            TrainingOptions { step: f32::NAN, ..plain() },
            TrainingOptions { replay: 1.0, ..plain() },
            TrainingOptions { step: f32::MAX, ..plain() },
        ] {
            assert!(!base.train(&topic(8, 20, 1), &[], &options).is_kept && base == kept, "{options:?}");
        }
        assert_eq!(base.train(&topic(9, 20, 1), &[], &plain()).trained, 0);
        assert!(base == kept);
    }
}

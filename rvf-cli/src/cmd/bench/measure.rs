//! Passes over the queries, and what follows from them.

use super::questions::Queries;
use super::{BenchArgs, search};
use crate::failure::Failure;
use crate::output::Ui;
use crate::progress::Bar;
use rvf_engine::{Effort, Error, Matches, Snapshot, Trace};
use std::time::Instant;

/// One row to be measured.
pub(super) struct Setting {
    pub(super) effort: Effort,
    /// The recall aimed at, where the effort is one.
    pub(super) target: Option<f64>,
}

/// What was measured of a setting.
pub(super) struct Row {
    /// The ef asked for, or the largest that a recall led to; 0 for exact searches.
    pub(super) ef: usize,
    pub(super) target: Option<f64>,
    /// Whether every search compared all records.
    pub(super) exact: bool,
    pub(super) recall: f64,
    pub(super) qps: f64,
    pub(super) p50_micros: f64,
    pub(super) p99_micros: f64,
    /// Distances that a query computes, on average.
    pub(super) distances: f64,
}

/// What is searched, and for what.
pub(super) struct Measured<'m> {
    pub(super) snapshot: &'m Snapshot,
    pub(super) queries: &'m Queries,
    /// How far a right hit of each query may be.
    pub(super) limits: &'m [f32],
    pub(super) matches: Option<&'m Matches>,
    pub(super) k: usize,
}

/// One search.
struct Answer {
    nanos: u64,
    right: usize,
    trace: Trace,
}

/// One pass over all queries.
struct Pass {
    seconds: f64,
    answers: Vec<Answer>,
}

impl Measured<'_> {
    /// A row a setting. The settings take turns, so that what disturbs the machine meets them all.
    pub(super) fn rows(&self, settings: &[Setting], args: &BenchArgs, ui: &Ui) -> Result<Vec<Row>, Failure> {
        let rounds = usize::from(args.rounds);
        let total = (rounds * settings.len() * self.queries.len()) as u64;
        let mut bar = Bar::items(ui, "measuring");
        let mut passes: Vec<Vec<Pass>> = settings.iter().map(|_| Vec::with_capacity(rounds)).collect();
        for round in 0..rounds {
            for (at, setting) in settings.iter().enumerate() {
                passes[at].push(self.pass(setting, args)?);
                let done = round * settings.len() + at + 1;
                let _ = bar.update((done * self.queries.len()) as u64, Some(total));
            }
        }
        Ok(settings.iter().zip(&passes).map(|(setting, passes)| self.row(setting, passes)).collect())
    }

    fn pass(&self, setting: &Setting, args: &BenchArgs) -> Result<Pass, Failure> {
        let mut slots: Vec<Option<Result<Answer, Error>>> = Vec::new();
        slots.resize_with(self.queries.len(), || None);
        let started = Instant::now();
        spread(usize::from(args.threads), 0, &mut slots, &|at, slot| *slot = Some(self.ask(at, setting.effort)));
        let seconds = started.elapsed().as_secs_f64();
        let mut answers = Vec::with_capacity(slots.len());
        for (at, answer) in slots.into_iter().flatten().enumerate() {
            answers.push(answer.map_err(|error| self.queries.wrong(at, error, &args.file))?);
        }
        Ok(Pass { seconds, answers })
    }

    fn ask(&self, at: usize, effort: Effort) -> Result<Answer, Error> {
        let started = Instant::now();
        let (hits, trace) =
            search(self.snapshot, self.queries.get(at), self.matches).k(self.k).effort(effort).run_traced()?;
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let limit = self.limits.get(at).copied().unwrap_or(f32::NEG_INFINITY);
        let right = hits.iter().filter(|hit| hit.distance <= limit).count();
        Ok(Answer { nanos, right, trace })
    }

    fn row(&self, setting: &Setting, passes: &[Pass]) -> Row {
        let answers = passes.first().map_or(&[][..], |pass| &pass.answers);
        let count = answers.len().max(1) as f64;
        let right: usize = answers.iter().map(|answer| answer.right).sum();
        let distances: u64 = answers.iter().map(|answer| answer.trace.distances).sum();
        let of_query = |at: usize| {
            let nanos = passes.iter().filter_map(|pass| pass.answers.get(at));
            median(nanos.map(|answer| answer.nanos as f64 / 1e3).collect())
        };
        let mut micros: Vec<f64> = (0..answers.len()).map(of_query).collect();
        micros.sort_by(f64::total_cmp);
        let seconds = median(passes.iter().map(|pass| pass.seconds).collect());
        Row {
            ef: match setting.effort {
                Effort::Ef(ef) => ef,
                _ => answers.iter().map(|answer| answer.trace.ef).max().unwrap_or(0),
            },
            target: setting.target,
            exact: answers.iter().all(|answer| answer.trace.exact),
            recall: right as f64 / (count * self.k.max(1) as f64),
            qps: count / seconds.max(1e-9),
            p50_micros: percentile(&micros, 0.50),
            p99_micros: percentile(&micros, 0.99),
            distances: distances as f64 / count,
        }
    }
}

/// Gives each slot its number, from `first` on, on some threads; each has one run of slots.
pub(super) fn spread<T: Send>(threads: usize, first: usize, slots: &mut [T], work: &(impl Fn(usize, &mut T) + Sync)) {
    let run = |first: usize, slots: &mut [T]| {
        slots.iter_mut().enumerate().for_each(|(at, slot)| work(first + at, slot));
    };
    if threads < 2 || slots.len() < 2 {
        return run(first, slots);
    }
    let share = slots.len().div_ceil(threads);
    std::thread::scope(|scope| {
        for (number, slots) in slots.chunks_mut(share).enumerate() {
            scope.spawn(move || run(first + number * share, slots));
        }
    });
}

/// The middle value, or the mean of the two in the middle; 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length.is_multiple_of(2) => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

/// The smallest value that is at least as large as this share of all; `sorted` ascends.
pub(super) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles_are_those_of_their_definitions() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0]), median(vec![])), (2.0, 2.5, 0.0));
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&hundred, 0.5), percentile(&hundred, 0.99)), (50.0, 99.0));
        assert_eq!((percentile(&[7.0], 0.99), percentile(&[], 0.5)), (7.0, 0.0));
    }

    #[test]
    fn every_slot_gets_its_number() {
        for threads in [1, 2, 3, 16] {
            let mut slots = [0; 7];
            spread(threads, 5, &mut slots, &|at, slot| *slot = at);
            assert_eq!(slots, [5, 6, 7, 8, 9, 10, 11]);
        }
    }
}

//! First answers from a cold cache: what they read, how long they take, how good they are; and the answers after.
//!
//! ```text
//! a setting: for each of some queries: drop the file's pages -> open -> answer -> count the pages that were read
//! the last setting, once more: drop -> open -> answer after answer, with a row at 1, 10, 100, ...
//! ```

use super::BenchArgs;
use super::measure::{Setting, median, percentile};
use super::questions::Queries;
use crate::cmd::Outcome;
use crate::failure::Failure;
use crate::output::{Ui, duration, grouped, size};
use crate::progress::Bar;
use rvf_engine::{Effort, Error, ReadMode, Reader, Trace};
use rvf_format::storage::ColdPlace;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// First answers of a setting, at most: each drops the file's pages.
const FIRST_ANSWERS: usize = 50;

/// What is measured.
pub(super) struct Cold<'c> {
    pub(super) args: &'c BenchArgs,
    pub(super) queries: &'c Queries,
    /// How far a right hit of each query may be.
    pub(super) limits: &'c [f32],
    pub(super) k: usize,
    /// Records of the store, and their components.
    pub(super) count: u64,
    pub(super) dim: u32,
}

/// One answer.
struct Answer {
    micros: f64,
    right: usize,
    trace: Trace,
}

/// A first answer.
struct First {
    answer: Answer,
    open_micros: f64,
    bytes_read: u64,
}

/// The answers since the row before.
struct Later {
    answers: usize,
    bytes_read: u64,
    recall: f64,
    micros: f64,
}

pub(super) fn run(cold: &Cold<'_>, settings: &[Setting], ui: &Ui) -> Outcome {
    let (queries, step) = (cold.queries.len(), cold.step());
    let mut bar = Bar::items(ui, "measuring");
    let total = (settings.len() * queries.div_ceil(step) + queries) as u64;
    let mut done = 0;
    let mut firsts = Vec::with_capacity(settings.len());
    for setting in settings {
        let mut of_setting = Vec::new();
        for at in (0..queries).step_by(step) {
            of_setting.push(cold.first(at, setting.effort)?);
            done += 1;
            let _ = bar.update(done, Some(total));
        }
        firsts.push(of_setting);
    }
    let later = match settings.last() {
        Some(setting) => cold.later(setting.effort, &mut |at| {
            let _ = bar.update(done + at as u64, Some(total));
        })?,
        None => Vec::new(),
    };
    drop(bar);
    let rows: Vec<Row> =
        settings.iter().zip(&firsts).map(|(setting, firsts)| Row::of(setting, firsts, cold.k)).collect();
    ui.result(&cold.to_json(&rows, &later), || cold.tell(&rows, &later, ui))?;
    Ok(0)
}

impl Cold<'_> {
    /// First answers are to every so-manieth query.
    fn step(&self) -> usize {
        self.queries.len().div_ceil(FIRST_ANSWERS)
    }

    /// The file as if the machine had just started.
    fn open(&self) -> Result<(Arc<ColdPlace>, Reader, f64), Failure> {
        let path = &self.args.file;
        let place = ColdPlace::new(path).map_err(|error| {
            let hint = "close other programs that use the file, and put it on a disk, as a file of yours: file systems in memory have no \
                        cold cache, and the system tells who neither owns a file nor may write it that all of it is in memory";
            self.failure("drop from memory", error).with_hint(hint)
        })?;
        let place = Arc::new(place);
        let started = Instant::now();
        let reader = Reader::open_with(place.clone(), path, ReadMode::Mapped).map_err(Failure::of(path))?;
        Ok((place, reader, started.elapsed().as_nanos() as f64 / 1e3))
    }

    fn first(&self, at: usize, effort: Effort) -> Result<First, Failure> {
        let (place, reader, open_micros) = self.open()?;
        let answer = self.answer(&reader, at, effort)?;
        Ok(First { answer, open_micros, bytes_read: self.bytes_read(&place)? })
    }

    fn bytes_read(&self, place: &ColdPlace) -> Result<u64, Failure> {
        place.bytes_read().map_err(|error| self.failure("look at", error))
    }

    fn failure(&self, action: &'static str, source: std::io::Error) -> Failure {
        let path = &self.args.file;
        Failure::of(path)(Error::Io { action, path: path.clone(), source })
    }

    fn answer(&self, reader: &Reader, at: usize, effort: Effort) -> Result<Answer, Failure> {
        let started = Instant::now();
        let found = reader.search(self.queries.get(at)).k(self.k).effort(effort).run_traced();
        let micros = started.elapsed().as_nanos() as f64 / 1e3;
        let (hits, trace) = found.map_err(|error| self.queries.wrong(at, error, &self.args.file))?;
        let limit = self.limits.get(at).copied().unwrap_or(f32::NEG_INFINITY);
        let right = hits.iter().filter(|hit| hit.distance <= limit).count();
        Ok(Answer { micros, right, trace })
    }

    /// One answer after the other, while pages arrive.
    fn later(&self, effort: Effort, told: &mut dyn FnMut(usize)) -> Result<Vec<Later>, Failure> {
        let (place, reader, _) = self.open()?;
        let (mut rows, mut since) = (Vec::new(), Vec::new());
        let mut next = 1;
        for at in 0..self.queries.len() {
            since.push(self.answer(&reader, at, effort)?);
            let answers = at + 1;
            if answers == next || answers == self.queries.len() {
                rows.push(Later {
                    answers,
                    bytes_read: self.bytes_read(&place)?,
                    recall: recall(since.iter(), self.k),
                    micros: since.iter().map(|answer| answer.micros).sum::<f64>() / since.len() as f64,
                });
                since.clear();
                next = if answers == next { next * 10 } else { next };
            }
            told(answers);
        }
        Ok(rows)
    }

    fn to_json(&self, rows: &[Row], later: &[Later]) -> Value {
        let later = later.iter().map(|row| {
            json!({
                "answers": row.answers,
                "bytes_read": row.bytes_read,
                "recall": row.recall,
                "micros": row.micros,
            })
        });
        json!({
            "file": self.args.file.display().to_string(),
            "count": self.count,
            "dim": self.dim,
            "queries": self.queries.len(),
            "k": self.args.k,
            "cold": true,
            "open_micros": rows.first().map_or(0.0, |row| row.open_micros),
            "first_query_micros": rows.first().map_or(0.0, |row| row.first_query_micros),
            "first_answers": self.queries.len().div_ceil(self.step()),
            "rows": rows.iter().map(Row::to_json).collect::<Vec<Value>>(),
            "later_ef": rows.last().map_or(0, |row| row.ef),
            "later": later.collect::<Vec<Value>>(),
        })
    }

    fn tell(&self, rows: &[Row], later: &[Later], ui: &Ui) -> Result<(), Failure> {
        ui.facts(&[
            ("store", self.args.file.display().to_string()),
            ("cold", "nothing of the file in memory; bytes are those of the pages that were read".to_owned()),
        ])?;
        ui.line("")?;
        let answers = self.queries.len().div_ceil(self.step());
        ui.line(format!("first answers, {answers} a row, each after a new open"))?;
        let head = ["ef", "target", "recall", "read", "at most", "open", "p50", "p99", "distances", "by"];
        ui.table(&head, &rows.iter().map(Row::cells).collect::<Vec<_>>())?;
        ui.line("")?;
        let last = rows.last().map_or(String::new(), |row| format!("ef {}", row.ef));
        ui.line(format!("answers one after the other ({last}), recall and time of those since the line before"))?;
        let cells = later.iter().map(|row| {
            vec![grouped(row.answers as u64), size(row.bytes_read), format!("{:.4}", row.recall), duration(row.micros)]
        });
        ui.table(&["answers", "read", "recall", "mean time"], &cells.collect::<Vec<_>>())
    }
}

fn recall<'a>(answers: impl ExactSizeIterator<Item = &'a Answer>, k: usize) -> f64 {
    let wanted = (answers.len() * k).max(1) as f64;
    answers.map(|answer| answer.right).sum::<usize>() as f64 / wanted
}

/// First answers of a setting.
struct Row {
    ef: usize,
    target: Option<f64>,
    recall: f64,
    /// On average, and at most.
    bytes_read: f64,
    most_bytes_read: u64,
    open_micros: f64,
    first_query_micros: f64,
    exact: bool,
    mean_micros: f64,
    p50_micros: f64,
    p99_micros: f64,
    distances: f64,
}

impl Row {
    fn of(setting: &Setting, firsts: &[First], k: usize) -> Self {
        let count = firsts.len().max(1) as f64;
        let mean = |of: &dyn Fn(&First) -> f64| firsts.iter().map(of).sum::<f64>() / count;
        let mut micros: Vec<f64> = firsts.iter().map(|first| first.open_micros + first.answer.micros).collect();
        micros.sort_by(f64::total_cmp);
        Row {
            ef: firsts.iter().map(|first| first.answer.trace.ef).max().unwrap_or(0),
            target: setting.target,
            recall: recall(firsts.iter().map(|first| &first.answer), k),
            bytes_read: mean(&|first| first.bytes_read as f64),
            most_bytes_read: firsts.iter().map(|first| first.bytes_read).max().unwrap_or(0),
            open_micros: median(firsts.iter().map(|first| first.open_micros).collect()),
            first_query_micros: median(firsts.iter().map(|first| first.answer.micros).collect()),
            exact: firsts.iter().all(|first| first.answer.trace.exact),
            mean_micros: mean(&|first| first.open_micros + first.answer.micros),
            p50_micros: percentile(&micros, 0.50),
            p99_micros: percentile(&micros, 0.99),
            distances: mean(&|first| first.answer.trace.distances as f64),
        }
    }

    fn to_json(&self) -> Value {
        let mut value = json!({
            "ef": self.ef,
            "recall": self.recall,
            "bytes_read": self.bytes_read,
            "most_bytes_read": self.most_bytes_read,
            "qps": 1e6 / self.mean_micros.max(1e-3),
            "p50_micros": self.p50_micros,
            "p99_micros": self.p99_micros,
            "distances": self.distances,
            "exact": self.exact,
        });
        if let Some(target) = self.target {
            value["target"] = json!(target);
        }
        value
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.ef.to_string(),
            self.target.map_or_else(String::new, |target| target.to_string()),
            format!("{:.4}", self.recall),
            size(self.bytes_read as u64),
            size(self.most_bytes_read),
            duration(self.open_micros),
            duration(self.p50_micros),
            duration(self.p99_micros),
            grouped(self.distances.round() as u64),
            if self.exact { "comparing all" } else { "index" }.to_owned(),
        ]
    }
}

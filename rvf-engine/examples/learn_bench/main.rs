//! How much the order of results gains from feedback, beside the baselines that are hard to beat; exact search, nDCG@10 on queries whose
//! feedback was not seen.
//!
//! `cargo run --release -p rvf-engine --example learn_bench -- [--only TABLES] FOLDER...`
//! `cargo run --release -p rvf-engine --example learn_bench -- --plot FILE.svg FOLDER` draws the second table's course and prints its points.
//!
//! A folder holds `docs.npy`, `train_queries.npy` and `train.tsv` (query row, document row, grade), perhaps `test_queries.npy` and
//! `test.tsv`: without these, five folds of the training queries are judged, each by what the others chose.
//!
//! Every method is measured on the same folds. "new" are queries none of whose right documents was ever chosen: no memory can help them, and
//! what they lose is the price of learning. The frontier is the ranker at several margins. A second table has feedback after each query; a
//! third one, of `graph.rs`, has the graph of documents.
//!
//! `TABLES` are names with commas between: `ranker`, `online`, `graph`, `adapters`, `forgetting`, and `forgetting-tuning`, which is printed on demand only.

mod adapters;
mod data;
mod forgetting;
mod graph;
mod online;
mod plot;

use data::{Outcome, Vectors, judge, read_right};
use rvf_engine::learn::{Candidate, Choice, Interval, List, Memory, Ranker, Recalled, bootstrap, dot, normalise, rows};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

/// Most candidates by similarity; what was chosen for like queries comes on top.
const CANDIDATES: usize = 10;
const EPOCHS: usize = 20;
/// Most that new queries may lose.
/// As the product tunes: less than the bound, as the best of many margins looks better than it is.
const MOST_LOSS: f64 = rvf_engine::learn::TUNED_LOSS;

/// Queries whose feedback is seen, and those that are judged.
struct Fold<'d> {
    documents: &'d Vectors,
    seen: Vec<(&'d [f32], &'d BTreeMap<u64, f32>)>,
    judged: Vec<(&'d [f32], &'d BTreeMap<u64, f32>)>,
}

impl Fold<'_> {
    fn similarities(&self, query: &[f32]) -> Vec<f32> {
        (0..self.documents.len()).map(|at| dot(self.documents.row(at), query)).collect()
    }

    fn memory(&self) -> Memory {
        let mut memory = Memory::new(self.documents.dimension);
        for (query, right) in &self.seen {
            let chosen: Vec<Choice> =
                right.iter().map(|(document, grade)| Choice { document: *document, grade: *grade }).collect();
            assert!(memory.push(query, &chosen));
        }
        memory
    }

    /// Queries that chose each document.
    fn choosers(&self) -> BTreeMap<u64, Vec<usize>> {
        let mut choosers: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (at, (_, right)) in self.seen.iter().enumerate() {
            right.keys().for_each(|document| choosers.entry(*document).or_default().push(at));
        }
        choosers
    }
}

/// Scores of all documents for a query.
type Scorer<'f> = Box<dyn Fn(&[f32], &[f32]) -> Vec<f32> + 'f>;

fn prior<'f>(fold: &'f Fold<'_>, weight: f32) -> Scorer<'f> {
    let choosers = fold.choosers();
    Box::new(move |_, similarities| {
        let mut scores = similarities.to_vec();
        for (document, queries) in &choosers {
            scores[*document as usize] += weight * (queries.len() as f32).ln_1p();
        }
        scores
    })
}

fn query_memory<'f>(fold: &'f Fold<'_>, least: f32, weight: f32) -> Scorer<'f> {
    Box::new(move |query, similarities| {
        let mut scores = similarities.to_vec();
        let mut near: Vec<(f32, usize)> =
            fold.seen.iter().enumerate().map(|(at, (past, _))| (dot(past, query), at)).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (similarity, at) in near.into_iter().take(5).filter(|(similarity, _)| *similarity >= least) {
            fold.seen[at].1.keys().for_each(|document| scores[*document as usize] += weight * similarity);
        }
        scores
    })
}

/// Documents moved by the mean of the queries that chose them.
fn rocchio<'f>(fold: &'f Fold<'_>, weight: f32) -> Scorer<'f> {
    let mut moved: BTreeMap<u64, Vec<f32>> = BTreeMap::new();
    for (document, queries) in fold.choosers() {
        let mut vector = fold.documents.row(document as usize).to_vec();
        for at in &queries {
            let share = weight / queries.len() as f32;
            vector.iter_mut().zip(fold.seen[*at].0).for_each(|(x, query)| *x += share * query);
        }
        normalise(&mut vector);
        moved.insert(document, vector);
    }
    Box::new(move |query, similarities| {
        let mut scores = similarities.to_vec();
        moved.iter().for_each(|(document, vector)| scores[*document as usize] = dot(vector, query));
        scores
    })
}

/// Candidates of a query: the most similar documents, and what was chosen for like queries.
fn candidates(recalled: &Recalled<'_>, similarities: &[f32]) -> Vec<u64> {
    let mut order: Vec<u64> = (0..similarities.len() as u64).collect();
    let by_similarity = |a: &u64, b: &u64| similarities[*b as usize].total_cmp(&similarities[*a as usize]);
    order.select_nth_unstable_by(CANDIDATES, by_similarity);
    order.truncate(CANDIDATES);
    let mut found: BTreeSet<u64> = order.into_iter().collect();
    found.extend(recalled.documents());
    let mut found: Vec<u64> = found.into_iter().collect();
    found.sort_by(by_similarity);
    found
}

fn list(fold: &Fold<'_>, memory: &Memory, query: &[f32], right: &BTreeMap<u64, f32>, own: Option<usize>) -> List {
    list_by(fold.documents, &fold.similarities(query), memory, (query, right), own)
}

/// The candidates of a query with what a memory says of them, `own` place in it left out.
fn list_by(
    vectors: &Vectors,
    similarities: &[f32],
    memory: &Memory,
    (query, right): (&[f32], &BTreeMap<u64, f32>),
    own: Option<usize>,
) -> List {
    let recalled = memory.recall(query, own);
    let documents = candidates(&recalled, similarities);
    let of = |document: &u64| Candidate {
        document: *document,
        similarity: similarities[*document as usize],
        vector: vectors.row(*document as usize),
    };
    let chosen: Vec<Candidate<'_>> = documents.iter().map(of).collect();
    List {
        rows: rows(query, &recalled, &chosen),
        grades: documents.iter().map(|document| right.get(document).copied().unwrap_or(0.0)).collect(),
        right: right.values().copied().collect(),
        is_new: !right.keys().any(|document| recalled.evidence(*document).is_some()),
        is_unlike: recalled.is_unlike_all(),
    }
}

/// Results of one method: gains over similarity of all queries, and of the new ones.
#[derive(Default)]
struct Gains {
    all: Vec<f64>,
    new: Vec<f64>,
}

impl Gains {
    fn add(&mut self, gain: f64, is_new: bool) {
        self.all.push(gain);
        if is_new {
            self.new.push(gain);
        }
    }

    fn tell(&self, name: &str) {
        let text = |gains: &[f64]| match gains {
            [] => "none".to_owned(),
            gains => {
                let Interval { mean, low, high } = bootstrap(gains, 1);
                format!("{mean:+.4} [{low:+.4}, {high:+.4}]")
            }
        };
        println!("| {name:<34} | {:>27} | {:>27} |", text(&self.all), text(&self.new));
    }
}

fn rankers(folds: &[Fold<'_>]) {
    let mut table: Vec<(String, Gains)> = Vec::new();
    let mut add = |name: &str, gain: f64, is_new: bool| match table.iter_mut().find(|(known, _)| known == name) {
        Some((_, gains)) => gains.add(gain, is_new),
        None => {
            let mut gains = Gains::default();
            gains.add(gain, is_new);
            table.push((name.to_owned(), gains));
        }
    };
    let (mut trained, mut kept) = (0.0, 0);
    for fold in folds {
        let mut methods: Vec<(String, Scorer<'_>)> = vec![("click prior, 0.1".to_owned(), prior(fold, 0.1))];
        for (least, weight) in [(0.3, 2.0), (0.5, 1.0), (0.6, 1.0), (0.7, 1.0), (0.8, 1.0)] {
            methods.push((format!("query memory, from {least}"), query_memory(fold, least, weight)));
        }
        for weight in [0.5, 1.0, 2.0] {
            methods.push((format!("document Rocchio, {weight}"), rocchio(fold, weight)));
        }
        let memory = fold.memory();
        let start = Instant::now();
        let lists: Vec<List> = fold
            .seen
            .iter()
            .enumerate()
            .map(|(at, (query, right))| list(fold, &memory, query, right, Some(at)))
            .collect();
        let Some(ranker) = Ranker::train_and_tune(&lists, EPOCHS, 1, MOST_LOSS) else { continue };
        kept += 1;
        trained += start.elapsed().as_secs_f64();
        for (query, right) in &fold.judged {
            let similarities = fold.similarities(query);
            let list = list(fold, &memory, query, right, None);
            let before = judge(&similarities, right);
            for (name, method) in &methods {
                add(name, judge(&method(query, &similarities), right) - before, list.is_new);
            }
            let scores = ranker.scores(&list.rows);
            add("ranker, margin as tuned", list.by(&scores) - before, list.is_new);
            for margin in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0] {
                let by = margin - ranker.margin();
                let moved: Vec<f32> = scores.iter().zip(&list.rows).map(|(score, row)| score - by * row[5]).collect();
                add(&format!("frontier: ranker, margin {margin}"), list.by(&moved) - before, list.is_new);
            }
        }
    }
    println!("| method                             | gain, all queries           | gain, new queries           |");
    println!("| --- | --- | --- |");
    table.iter().for_each(|(name, gains)| gains.tell(name));
    println!(
        "{} folds, {kept} margins that keep the bound; features, training and tuning: {trained:.1} s",
        folds.len()
    );
}

fn run(folder: &Path, only: &[String]) -> Outcome<()> {
    let is_asked = |table: &str| match only {
        [] => table != "forgetting-tuning",
        only => only.iter().any(|asked| asked == table),
    };
    let documents = Vectors::read(&folder.join("docs.npy"))?;
    let queries = Vectors::read(&folder.join("train_queries.npy"))?;
    let right = read_right(&folder.join("train.tsv"), queries.len())?;
    let pairs = |at: usize| (queries.row(at), &right[at]);
    println!("\n## {}: {} documents, {} training queries", folder.display(), documents.len(), queries.len());
    let measure = |folds: &[Fold<'_>], all: &online::Queries<'_>| {
        if is_asked("ranker") {
            rankers(folds);
        }
        if is_asked("online") {
            online::measure(&documents, all);
        }
        if is_asked("graph") {
            graph::measure(folds);
        }
        if is_asked("adapters") {
            adapters::measure(folds);
        }
        // One fold: its queries are enough to be parted.
        if let ([fold], true) = (folds, is_asked("forgetting")) {
            forgetting::measure(fold, false);
        }
        if let ([fold], true) = (folds, is_asked("forgetting-tuning")) {
            forgetting::measure(fold, true);
        }
    };
    if folder.join("test.tsv").exists() {
        let tests = Vectors::read(&folder.join("test_queries.npy"))?;
        let of_tests = read_right(&folder.join("test.tsv"), tests.len())?;
        let judged = (0..tests.len()).map(|at| (tests.row(at), &of_tests[at])).collect();
        let all = [online::queries(&queries, &right), online::queries(&tests, &of_tests)].concat();
        measure(&[Fold { documents: &documents, seen: (0..queries.len()).map(pairs).collect(), judged }], &all);
        return Ok(());
    }
    // Which fold a query is in: a fixed shuffle.
    let fold_of = |at: usize| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let folds: Vec<Fold<'_>> = (0..5)
        .map(|fold| {
            let (judged, seen): (Vec<usize>, Vec<usize>) = (0..queries.len()).partition(|at| fold_of(*at) % 5 == fold);
            let of = |part: Vec<usize>| part.into_iter().map(pairs).collect();
            Fold { documents: &documents, seen: of(seen), judged: of(judged) }
        })
        .collect();
    measure(&folds, &online::queries(&queries, &right));
    Ok(())
}

/// Draws what feedback after each query of a folder came to.
fn plot(file: &str, folder: &Path) -> Outcome<()> {
    let documents = Vectors::read(&folder.join("docs.npy"))?;
    let queries = Vectors::read(&folder.join("train_queries.npy"))?;
    let right = read_right(&folder.join("train.tsv"), queries.len())?;
    let mut all = online::queries(&queries, &right);
    let (tests, of_tests);
    if folder.join("test.tsv").exists() {
        tests = Vectors::read(&folder.join("test_queries.npy"))?;
        of_tests = read_right(&folder.join("test.tsv"), tests.len())?;
        all.extend(online::queries(&tests, &of_tests));
    }
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().filter(|c| !matches!(c, '<' | '>' | '&')).collect();
    let (picture, points) = plot::draw(&name, &online::World::new(&documents, &all));
    std::fs::write(file, picture)?;
    print!("line\tqueries\tnDCG@10\tlow\thigh\n{points}");
    Ok(())
}

fn main() -> Outcome<()> {
    let mut folders: Vec<String> = std::env::args().skip(1).collect();
    let mut only = Vec::new();
    if let [flag, file, folder] = folders.as_slice()
        && flag == "--plot"
    {
        return plot(file, Path::new(folder));
    }
    if folders.len() > 2 && folders[0] == "--only" {
        only = folders[1].split(',').map(str::to_owned).collect();
        folders.drain(..2);
    }
    if folders.is_empty() {
        return Err("usage: learn_bench [--only TABLES] FOLDER..., or learn_bench --plot FILE.svg FOLDER".into());
    }
    folders.iter().try_for_each(|folder| run(Path::new(folder), &only))
}

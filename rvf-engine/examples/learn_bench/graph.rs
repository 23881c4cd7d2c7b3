//! Whether the graph of documents helps to rank candidates: graph networks beside the same networks without edges, and beside the ranker, all
//! with the same features.
//!
//! The links are those of an exact graph of the 16 nearest documents, which stands in for the lowest level of an index. Nodes are the
//! candidates, and those of their neighbours that were chosen before, which are heard and not ranked. "Similarity alone" has candidates by
//! similarity only and no feature that knows of feedback. "Cross-fitted" are rankers that train and tune by all lists.
//!
//! The graph is said to help where the paired 95 % interval excludes 0, beside the same network without edges and beside the ranker.

use super::data::{Vectors, judge};
use super::{EPOCHS, Fold, Gains, MOST_LOSS, candidates, rocchio};
use rvf_engine::learn::{
    Candidate, Edge, FEATURES, Form, GraphList, GraphRanker, GraphTraining, Interval, Kind, List, Memory,
    Neighbourhood, Ranker, Row, bootstrap, dot, rows,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Links of a document.
const LINKS: usize = 16;
/// Most nodes that are heard and not ranked.
const HEARD: usize = 32;
/// What of a row knows of similarity only: itself, its distance to the best, its rank.
const OF_SIMILARITY: [usize; 3] = [0, 8, 9];

/// The nearest documents of each, and how similar they are.
type Links = Vec<BTreeMap<usize, f32>>;

fn links(documents: &Vectors) -> Links {
    let mut links = Vec::new();
    for from in 0..documents.len() {
        let mut near: Vec<(f32, usize)> = (0..documents.len())
            .filter(|to| *to != from)
            .map(|to| (dot(documents.row(from), documents.row(to)), to))
            .collect();
        near.select_nth_unstable_by(LINKS, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        links.push(near.into_iter().take(LINKS).map(|(similarity, to)| (to, similarity)).collect());
    }
    links
}

/// A query's candidates with what they are near to; the same without feedback; and what the ranker sees.
struct Lists {
    with: GraphList,
    alone: GraphList,
    flat: List,
}

struct Maker<'f> {
    fold: &'f Fold<'f>,
    memory: &'f Memory,
    links: &'f Links,
}

impl Maker<'_> {
    fn lists(&self, query: &[f32], right: &BTreeMap<u64, f32>, own: Option<usize>) -> Lists {
        let similarities = self.fold.similarities(query);
        let recalled = self.memory.recall(query, own);
        let is_new = !right.keys().any(|document| recalled.evidence(*document).is_some());
        let of = |documents: &[u64]| -> Vec<Candidate<'_>> {
            let candidate = |document: &u64| Candidate {
                document: *document,
                similarity: similarities[*document as usize],
                vector: self.fold.documents.row(*document as usize),
            };
            documents.iter().map(candidate).collect()
        };
        let is_unlike = recalled.is_unlike_all();
        let grades = |documents: &[u64]| -> Vec<f32> {
            documents.iter().map(|document| right.get(document).copied().unwrap_or(0.0)).collect()
        };
        let all_right: Vec<f32> = right.values().copied().collect();
        let list = |nodes: &[u64], ranked: usize, rows: &[Row], is_unlike: bool| GraphList {
            graph: self.graph(nodes, ranked, rows),
            grades: grades(&nodes[..ranked]),
            right: all_right.clone(),
            is_new,
            is_unlike,
        };

        let mut nodes = candidates(&recalled, &similarities);
        let ranked = nodes.len();
        let mut of_nodes = rows(query, &recalled, &of(&nodes));
        let flat = List { rows: of_nodes.clone(), grades: grades(&nodes), right: all_right.clone(), is_new, is_unlike };
        let known: BTreeSet<u64> = nodes.iter().copied().collect();
        let near: BTreeSet<u64> = nodes.iter().flat_map(|node| self.near(*node)).collect();
        let mut heard: Vec<u64> = near.difference(&known).copied().collect();
        heard.retain(|document| recalled.evidence(*document).is_some());
        heard.sort_by(|a, b| similarities[*b as usize].total_cmp(&similarities[*a as usize]));
        heard.truncate(HEARD);
        nodes.extend(heard);
        // Features that set candidates beside each other do not change by what is only heard.
        of_nodes.extend_from_slice(&rows(query, &recalled, &of(&nodes))[ranked..]);
        let with = list(&nodes, ranked, &of_nodes, is_unlike);

        let nothing = Memory::new(self.memory.dimension());
        let recalled = nothing.recall(query, None);
        let nodes = candidates(&recalled, &similarities);
        let mut of_nodes = rows(query, &recalled, &of(&nodes));
        for row in &mut of_nodes {
            *row = std::array::from_fn(|at| if OF_SIMILARITY.contains(&at) { row[at] } else { 0.0 });
        }
        Lists { with, alone: list(&nodes, nodes.len(), &of_nodes, false), flat }
    }

    /// Documents that a document is linked to.
    fn near(&self, document: u64) -> impl Iterator<Item = u64> {
        self.links[document as usize].keys().map(|to| *to as u64)
    }

    fn graph(&self, nodes: &[u64], ranked: usize, rows: &[Row]) -> Neighbourhood {
        let mut edges = Vec::new();
        for (at, from) in nodes.iter().enumerate() {
            for (before, to) in nodes[..at].iter().enumerate() {
                let ways = [(from, to), (to, from)].map(|(a, b)| self.links[*a as usize].get(&(*b as usize)));
                let structure = ways.iter().flatten().count() as f32 / 2.0;
                if let Some(similarity) = ways[0].or(ways[1]) {
                    edges.push(Edge { nodes: [before, at], similarity: *similarity, structure });
                }
            }
        }
        let graph = Neighbourhood::new(FEATURES, rows.concat(), ranked, edges);
        graph.unwrap_or_else(|| unreachable!("nodes are distinct and finite"))
    }
}

/// A trained order.
#[derive(Clone, Copy)]
struct Method {
    name: &'static str,
    kind: Kind,
    has_edges: bool,
    has_feedback: bool,
    /// Whether all lists train and tune, each in its turn.
    is_crossed: bool,
}

const fn method(name: &'static str, kind: Kind, has_edges: bool, has_feedback: bool, is_crossed: bool) -> Method {
    Method { name, kind, has_edges, has_feedback, is_crossed }
}

/// The first of a group has no edges, and is what the rest are compared with.
const GROUPS: [[Method; 4]; 3] = [
    [
        method("no edges", Kind::Sage, false, true, false),
        method("GCN", Kind::Gcn, true, true, false),
        method("GATv2", Kind::Gat, true, true, false),
        method("SAGE", Kind::Sage, true, true, false),
    ],
    [
        method("cross-fitted, no edges", Kind::Sage, false, true, true),
        method("cross-fitted, GCN", Kind::Gcn, true, true, true),
        method("cross-fitted, GATv2", Kind::Gat, true, true, true),
        method("cross-fitted, SAGE", Kind::Sage, true, true, true),
    ],
    [
        method("similarity alone, no edges", Kind::Sage, false, false, false),
        method("similarity alone, GCN", Kind::Gcn, true, false, false),
        method("similarity alone, GATv2", Kind::Gat, true, false, false),
        method("similarity alone, SAGE", Kind::Sage, true, false, false),
    ],
];

/// What a method sees of a query.
fn seen(method: Method, lists: &Lists) -> GraphList {
    let list = if method.has_feedback { &lists.with } else { &lists.alone };
    if method.has_edges { list.clone() } else { GraphList { graph: list.graph.without_edges(), ..list.clone() } }
}

/// Gains by method.
#[derive(Default)]
struct Table {
    rows: Vec<(String, Gains)>,
}

impl Table {
    fn of(&mut self, name: &str) -> &mut Gains {
        let at = self.rows.iter().position(|row| row.0 == name).unwrap_or_else(|| {
            self.rows.push((name.to_owned(), Gains::default()));
            self.rows.len() - 1
        });
        &mut self.rows[at].1
    }

    /// The paired intervals of one method less another, of all queries and of the new ones.
    fn less(&mut self, name: &str, other: &str) -> [Interval; 2] {
        let (all, new) = (self.of(other).all.clone(), self.of(other).new.clone());
        let gains = self.of(name);
        let of = |a: &[f64], b: &[f64]| bootstrap(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>(), 1);
        [of(&gains.all, &all), of(&gains.new, &new)]
    }
}

/// Queries whose feedback was seen, those that are judged, and their nDCG@10 by similarity.
struct Part {
    known: Vec<Lists>,
    judged: Vec<Lists>,
    before: Vec<f64>,
}

impl Part {
    /// Two thirds train, one third chooses the margin.
    fn thirds<T>(&self, of: impl Fn(&Lists) -> T) -> [Vec<T>; 2] {
        [false, true].map(|tunes| {
            let of_part = self.known.iter().enumerate().filter(|(at, _)| (at % 3 == 0) == tunes);
            of_part.map(|(_, lists)| of(lists)).collect()
        })
    }

    /// What a method gains, told its nDCG@10 of each judged query; one that is refused leaves the order of similarity.
    fn add(&self, gains: &mut Gains, by: impl Fn(&Lists) -> Option<f64>) {
        for (lists, before) in self.judged.iter().zip(&self.before) {
            gains.add(by(lists).map_or(0.0, |after| after - before), lists.flat.is_new);
        }
    }

    /// The ranker.
    fn flat(&self, gains: &mut Gains) {
        let [to_train, to_tune] = self.thirds(|lists| lists.flat.clone());
        let ranker = Ranker::train(&to_train, EPOCHS, 1);
        let ranker = ranker.and_then(|mut ranker| ranker.tune(&to_tune, MOST_LOSS).then_some(ranker));
        self.add(gains, |lists| ranker.as_ref().map(|ranker| lists.flat.by(&ranker.scores(&lists.flat.rows))));
    }

    /// A graph network; `false` where it is refused.
    fn graphs(&self, method: Method, gains: &mut Gains) -> bool {
        let form = Form { kind: method.kind, hidden: 16, heads: 2, ..Form::default() };
        let training = GraphTraining { form, ..GraphTraining::default() };
        let ranker = if method.is_crossed {
            let all: Vec<GraphList> = self.known.iter().map(|lists| seen(method, lists)).collect();
            GraphRanker::train_and_tune(&all, &training, MOST_LOSS)
        } else {
            let [to_train, to_tune] = self.thirds(|lists| seen(method, lists));
            let ranker = GraphRanker::train(&to_train, &training);
            ranker.and_then(|mut ranker| ranker.tune(&to_tune, MOST_LOSS).then_some(ranker))
        };
        self.add(gains, |lists| {
            let list = seen(method, lists);
            ranker.as_ref()?.scores(&list.graph).map(|scores| list.by(&scores))
        });
        ranker.is_some()
    }
}

/// Prints the gains over similarity, and whether the graph helps.
pub(crate) fn measure(folds: &[Fold<'_>]) {
    let Some(first) = folds.first() else { return };
    let start = Instant::now();
    let links = links(first.documents);
    let mut table = Table::default();
    let (mut nodes, mut edges, mut refused) = (0, 0, 0);
    for fold in folds {
        let memory = fold.memory();
        let maker = Maker { fold, memory: &memory, links: &links };
        let known =
            fold.seen.iter().enumerate().map(|(at, (query, right))| maker.lists(query, right, Some(at))).collect();
        let judged: Vec<Lists> = fold.judged.iter().map(|(query, right)| maker.lists(query, right, None)).collect();
        let before = fold.judged.iter().map(|(query, right)| judge(&fold.similarities(query), right)).collect();
        let part = Part { known, judged, before };
        nodes += part.judged.iter().map(|lists| lists.with.graph.nodes()).sum::<usize>();
        edges += part.judged.iter().map(|lists| lists.with.graph.edges().len()).sum::<usize>();
        for weight in [1.0, 2.0] {
            let method = rocchio(fold, weight);
            let after =
                fold.judged.iter().map(|(query, right)| judge(&method(query, &fold.similarities(query)), right));
            for ((after, before), lists) in after.zip(&part.before).zip(&part.judged) {
                table.of(&format!("document Rocchio, {weight}")).add(after - before, lists.flat.is_new);
            }
        }
        part.flat(table.of("ranker"));
        for method in GROUPS.as_flattened() {
            refused += usize::from(!part.graphs(*method, table.of(method.name)));
        }
    }
    tell(&mut table);
    let count = folds.iter().map(|fold| fold.judged.len()).sum::<usize>().max(1) as f64;
    println!(
        "{} folds; a query has {:.1} nodes and {:.1} edges; {refused} of {} graph networks refused; {:.1} s",
        folds.len(),
        nodes as f64 / count,
        edges as f64 / count,
        folds.len() * GROUPS.as_flattened().len(),
        start.elapsed().as_secs_f64()
    );
}

fn tell(table: &mut Table) {
    println!("\n| graph networks, margins as tuned   | gain, all queries           | gain, new queries           |");
    println!("| --- | --- | --- |");
    table.rows.iter().for_each(|(name, gains)| gains.tell(name));
    println!("\n| graph network | less the same without edges | of new queries | less the ranker | the graph helps |");
    println!("| --- | --- | --- | --- | --- |");
    let text = |Interval { mean, low, high }: Interval| format!("{mean:+.4} [{low:+.4}, {high:+.4}]");
    let has_new = table.rows.iter().any(|(_, gains)| !gains.new.is_empty());
    for [bare, graphs @ ..] in GROUPS {
        for method in graphs {
            let [all, new] = table.less(method.name, bare.name);
            let [flat, _] = table.less(method.name, "ranker");
            // The ranker knows of feedback: it is no measure of what does not.
            let helps = all.low > 0.0 && (flat.low > 0.0 || !method.has_feedback);
            let verdict = if helps { "yes" } else { "not shown" };
            let new = if has_new { text(new) } else { "none".to_owned() };
            println!("| {} | {} | {new} | {} | {verdict} |", method.name, text(all), text(flat));
        }
    }
}

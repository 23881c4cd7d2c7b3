//! Gradients against finite differences, layers against their formulas, and rankers that must hear of neighbours.

use super::super::features::WAS_CHOSEN;
use super::gat::Gat;
use super::gcn::Gcn;
use super::graph::{Edge, Neighbourhood};
use super::layer::{Layer, Weighted, sigmoid, start};
use super::network::{Form, Kind, Network, Scale};
use super::ranker::{GraphList, GraphRanker, Training};
use super::sage::Sage;
use crate::random::Random;

const KINDS: [Kind; 3] = [Kind::Gcn, Kind::Gat, Kind::Sage];

fn draw(random: &mut Random) -> f32 {
    random.below(2000) as f32 / 1000.0 - 1.0
}

fn edge(from: usize, to: usize, similarity: f32, structure: f32) -> Edge {
    Edge { nodes: [from, to], similarity, structure }
}

/// Nodes in a ring with some chords; the last two are no candidates.
fn graph(nodes: usize, width: usize, seed: u64) -> Neighbourhood {
    let mut random = Random(seed);
    let rows = (0..nodes * width).map(|_| draw(&mut random)).collect();
    let mut edges: Vec<Edge> =
        (0..nodes - 1).map(|at| edge(at, at + 1, draw(&mut random), random.below(2) as f32)).collect();
    edges.extend([edge(0, 3, 0.9, 1.0), edge(1, 4, -0.3, 0.5), edge(0, nodes - 1, 0.6, 1.0), edge(0, 2, 0.1, 0.5)]);
    Neighbourhood::new(width, rows, nodes - 2, edges).unwrap()
}

fn form(kind: Kind) -> Form {
    Form { kind, hidden: 8, layers: 2, heads: 2, sample: 2 }
}

/// A network whose every weight is heard.
fn network(kind: Kind, graph: &Neighbourhood) -> Network {
    let mut network = Network::new(form(kind), Scale::of(graph.width(), std::iter::once(graph)), 4);
    let mut random = Random(1);
    network.weights.iter_mut().for_each(|weight| *weight += 0.3 * draw(&mut random));
    network
}

/// Catches a term that any of the backward passes leaves out, of every weight: projection, norms, layers, attention, edges, head.
#[test]
fn gradients_are_those_of_finite_differences() {
    let graph = graph(8, 6, 3);
    let grades = [0.0, 1.0, 0.0, 2.0, 0.0, 0.0];
    for kind in KINDS {
        for what in [(true, 0.0), (false, 1.0), (true, 0.5)] {
            let network = network(kind, &graph);
            let mut gradient = vec![0.0; network.weights.len()];
            network.loss(&graph, &grades, what, &mut gradient);
            let mut unused = vec![0.0; gradient.len()];
            let names: Vec<String> =
                network.parts().into_iter().flat_map(|(name, shape)| vec![name; shape.iter().product()]).collect();
            assert_eq!(names.len(), gradient.len());
            for (at, slope) in gradient.iter().enumerate() {
                let mut difference = |by: f32| {
                    let mut moved = network.clone();
                    moved.weights[at] += by;
                    let above = moved.loss(&graph, &grades, what, &mut unused);
                    moved.weights[at] = network.weights[at] - by;
                    (above - moved.loss(&graph, &grades, what, &mut unused)) as f32
                };
                // LeakyReLU may have a bend within one of the steps.
                let by_differences =
                    [4e-3, 1e-3].map(|step| (8.0 * difference(step) - difference(2.0 * step)) / (12.0 * step));
                assert!(
                    by_differences.iter().any(|found| (found - slope).abs() < 2e-3),
                    "{kind:?} {what:?} {} {at}: {by_differences:?} {slope}",
                    names[at]
                );
            }
            let heard =
                |part: &str| gradient.iter().zip(&names).any(|(slope, name)| name.contains(part) && slope.abs() > 1e-2);
            assert!(heard("layer0") && heard("layer1") && heard("norm") && heard("projection"), "{kind:?} {what:?}");
            assert!(gradient.iter().zip(&names).any(|(slope, name)| name.contains("edges") && slope.abs() > 2e-3));
        }
    }
}

/// Catches a network that moves results before it has learned anything.
#[test]
fn untrained_it_orders_by_similarity() {
    let graph = graph(30, 17, 5);
    for kind in KINDS {
        let network = Network::new(form(kind), Scale::of(17, std::iter::once(&graph)), 3);
        let scores = network.forward(&graph).scores;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let similarity = |at: usize| graph.rows()[at * 17];
        assert!(order.windows(2).all(|pair| similarity(pair[0]) >= similarity(pair[1])), "{order:?}");
        assert_eq!(scores.len(), 28);
    }
}

/// Catches degrees without the node itself, and a sum that is divided by one degree alone: against the formula, by matrices.
#[test]
fn a_convolution_is_that_of_its_formula() {
    let graph = graph(6, 3, 1);
    let weighted = Weighted::new(&graph, &[1.5, -0.5, 0.25]);
    let edge = graph.edges()[2];
    assert_eq!(weighted.weights[2], sigmoid(1.5 * edge.similarity - 0.5 * edge.structure + 0.25));
    let layer = Gcn { width: 3 };
    let weights = start(&layer.parts(), &mut Random(2));
    let (found, _) = layer.forward(&weights, &weighted, graph.rows());
    let mut matrix = [[0f32; 6]; 6];
    (0..6).for_each(|node| matrix[node][node] = 1.0);
    for (edge, weight) in graph.edges().iter().zip(&weighted.weights) {
        let [from, to] = edge.nodes;
        (matrix[from][to], matrix[to][from]) = (*weight, *weight);
    }
    let degrees = matrix.map(|row| row.iter().sum::<f32>());
    for node in 0..6 {
        for out in 0..3 {
            let product = |of: usize| (0..3).map(|at| graph.rows()[of * 3 + at] * weights[at * 3 + out]).sum::<f32>();
            let sum: f32 = (0..6).map(|of| matrix[node][of] / (degrees[node] * degrees[of]).sqrt() * product(of)).sum();
            assert!((found[node * 3 + out] - sum / (1.0 + sum.abs())).abs() < 1e-6);
        }
    }
}

/// Catches attention that does not sum to 1, ignores the weight of an edge, or is the same for every node (GAT of 2018).
#[test]
fn attention_is_shared_out_and_depends_on_who_attends() {
    let (nodes, width) = (12, 8);
    let mut random = Random(8);
    let rows: Vec<f32> = (0..nodes * width).map(|_| draw(&mut random)).collect();
    let pairs = (0..nodes).flat_map(|to| (0..to).map(move |from| edge(from, to, 0.0, 0.0)));
    let graph = Neighbourhood::new(width, rows, nodes, pairs.collect()).unwrap();
    let of = |bias: f32, heads: usize| {
        let layer = Gat { width, heads, is_last: false };
        let mut weights = start(&layer.parts(), &mut Random(5));
        weights.iter_mut().for_each(|weight| *weight *= 2.0);
        let (_, kept) = layer.forward(&weights, &Weighted::new(&graph, &[0.0, 0.0, bias]), graph.rows());
        layer.attention(&kept).unwrap().0.to_vec()
    };
    let attention = of(30.0, 1);
    let mut favourites = Vec::new();
    for slots in attention.chunks_exact(nodes) {
        assert!((slots.iter().sum::<f32>() - 1.0).abs() < 1e-6 && slots.iter().all(|x| *x > 0.0));
    }
    for node in 0..nodes {
        let others: Vec<usize> = (0..nodes).filter(|to| *to != node).collect();
        let of_node = &attention[node * nodes..(node + 1) * nodes];
        let best = (1..nodes).max_by(|a, b| of_node[*a].total_cmp(&of_node[*b])).unwrap();
        favourites.push(others[best - 1]);
    }
    favourites.sort_unstable();
    favourites.dedup();
    assert!(favourites.len() > 2, "{favourites:?}");
    let alone = of(-30.0, 2);
    assert!(alone.chunks_exact(2 * nodes).all(|slots| slots[0] > 0.999 && slots[1] > 0.999));
}

/// Catches states of another length than 1, samples beyond the bound, and a mean that does not weigh.
#[test]
fn means_hear_a_sample_of_the_neighbours() {
    let star = |count: usize| {
        let mut rows = vec![0.0; 2 * (count + 1)];
        (1..=count).for_each(|node| rows[2 * node] = node as f32);
        let edges = (1..=count).map(|to| edge(0, to, if to == 1 { 30.0 } else { 0.0 }, 0.0)).collect();
        Neighbourhood::new(2, rows, 1, edges).unwrap()
    };
    let of = |graph: &Neighbourhood, sample| {
        let layer = Sage { width: 2, sample };
        let weights = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.1];
        let (output, kept) = layer.forward(&weights, &Weighted::new(graph, &[1.0, 0.0, 0.0]), graph.rows());
        (output, kept[0][0])
    };
    let (output, mean) = of(&star(2), 2);
    // Weights 1 and 0.5 of the states 1 and 2.
    assert!((mean - 4.0 / 3.0).abs() < 1e-6, "{mean}");
    assert!(output.chunks_exact(2).all(|row| (row[0] * row[0] + row[1] * row[1] - 1.0).abs() < 2e-3), "{output:?}");
    let alone: Vec<f32> = (0..40).map(|_| of(&star(40), 1).1).collect();
    assert!(alone.iter().all(|mean| *mean == alone[0] && mean.fract() == 0.0 && *mean >= 1.0), "{alone:?}");
    assert_ne!(of(&star(40), 39).1, of(&star(40), 40).1);
}

/// Lists in which the right candidate is told by a mark at its neighbour, which is no candidate, and by nothing else.
fn lists(count: usize, seed: u64) -> Vec<GraphList> {
    let mut random = Random(seed);
    (0..count)
        .map(|_| {
            let mut rows = vec![0.0; 16 * 8];
            let right = random.below(8);
            for at in 0..8 {
                rows[at * 8] = 0.9 - at as f32 * 0.05;
                rows[at * 8 + WAS_CHOSEN] = f32::from(u8::from(at == 2));
            }
            rows[(8 + right) * 8 + 1] = 1.0;
            let edges = (0..8).map(|at| edge(at, 8 + at, 0.5, 1.0)).collect();
            let graph = Neighbourhood::new(8, rows, 8, edges).unwrap();
            let grades = (0..8).map(|at| f32::from(u8::from(at == right))).collect();
            GraphList { graph, grades, right: vec![1.0], is_new: right != 2, is_unlike: false }
        })
        .collect()
}

fn training(kind: Kind) -> Training {
    Training { form: form(kind), members: 2, epochs: 4, ..Training::default() }
}

fn mean(lists: &[GraphList], ranker: &GraphRanker) -> f64 {
    lists.iter().map(|list| list.by(&ranker.scores(&list.graph).unwrap())).sum::<f64>() / lists.len() as f64
}

/// Catches layers that hear nothing of neighbours, and a gain that would be there without them.
#[test]
fn what_only_neighbours_tell_is_learned() {
    let (known, unseen) = (lists(150, 1), lists(50, 2));
    let bare = |lists: &[GraphList]| -> Vec<GraphList> {
        lists.iter().map(|list| GraphList { graph: list.graph.without_edges(), ..list.clone() }).collect()
    };
    for kind in KINDS {
        let ranker = GraphRanker::train(&known, &training(kind)).unwrap();
        let found = mean(&unseen, &ranker);
        assert!(found > 0.95, "{kind:?} {found}");
        let without = GraphRanker::train(&bare(&known), &training(kind)).unwrap();
        let found = mean(&bare(&unseen), &without);
        assert!(found < 0.7, "{kind:?} {found}");
    }
}

#[test]
fn the_same_lists_give_the_same_ranker_which_survives_as_tensors() {
    let known = lists(20, 1);
    for kind in KINDS {
        let training = Training { epochs: 2, pretraining: 1, auxiliary: 0.1, ..training(kind) };
        let mut ranker = GraphRanker::train(&known, &training).unwrap();
        assert_eq!(Some(&ranker), GraphRanker::train(&known, &training).as_ref());
        assert_ne!(Some(&ranker), GraphRanker::train(&known, &Training { seed: 2, ..training }).as_ref());
        assert!(ranker.tune(&known, 1.0));
        let tensors = ranker.to_tensors();
        assert_eq!(GraphRanker::from_tensors(&tensors).as_ref(), Some(&ranker));
        let has_attention = ranker.attention(&known[0].graph, 1).is_some();
        assert_eq!(has_attention, kind == Kind::Gat);
        for (name, tensor) in tensors.iter() {
            let mut broken = tensors.clone();
            assert!(broken.put(name, &[1, 1, 1], vec![0.0]), "{name}");
            assert!(GraphRanker::from_tensors(&broken).is_none(), "{name} {:?}", tensor.shape);
        }
        let mut broken = tensors.clone();
        assert!(broken.put("gnn.form", &[7], vec![0.0, 8.0, 1e9, 2.0, 2.0, 8.0, 2.0]));
        assert!(GraphRanker::from_tensors(&broken).is_none());
        let mut broken = tensors.clone();
        assert!(broken.put("gnn.scale.spread", &[8], vec![0.0; 8]) && GraphRanker::from_tensors(&broken).is_none());
        assert!(GraphRanker::from_tensors(&Default::default()).is_none());
    }
}

/// Catches panics and rankers made of nothing.
#[test]
fn what_does_not_fit_is_refused() {
    let known = lists(4, 1);
    let good = training(Kind::Gat);
    let refused = |training: &Training| GraphRanker::train(&known, training).is_none();
    assert!(!refused(&good) && GraphRanker::train(&[], &good).is_none());
    for form in [
        Form { hidden: 0, ..good.form },
        Form { hidden: 9, ..good.form },
        Form { layers: 0, ..good.form },
        Form { layers: 5, ..good.form },
        Form { heads: 0, ..good.form },
        Form { sample: 0, ..good.form },
    ] {
        assert!(refused(&Training { form, ..good }), "{form:?}");
    }
    assert!(refused(&Training { members: 0, ..good }) && refused(&Training { auxiliary: f32::NAN, ..good }));
    let with = |change: &dyn Fn(&mut GraphList)| {
        let mut lists = known.clone();
        change(&mut lists[1]);
        lists
    };
    let mut ranker = GraphRanker::train(&known, &good).unwrap();
    for broken in [
        with(&|list| list.grades.truncate(3)),
        with(&|list| list.grades[0] = f32::NAN),
        with(&|list| list.graph = graph(8, 9, 1)),
    ] {
        assert!(GraphRanker::train(&broken, &good).is_none() && !ranker.tune(&broken, 1.0));
    }
    let nothing: Vec<GraphList> = known.iter().map(|list| GraphList { grades: vec![0.0; 8], ..list.clone() }).collect();
    assert!(GraphRanker::train(&nothing, &good).is_none());
    assert!(ranker.scores(&graph(8, 9, 1)).is_none() && ranker.attention(&graph(8, 9, 1), 0).is_none());
    assert!(ranker.attention(&known[0].graph, 2).is_none());
    let rows = vec![f32::MAX; 8 * 2];
    let huge = Neighbourhood::new(8, rows, 2, vec![edge(0, 1, f32::MAX, f32::MAX)]).unwrap();
    assert!(ranker.scores(&huge).is_none_or(|scores| scores.iter().all(|score| score.is_finite())));
    let empty = Neighbourhood::new(8, Vec::new(), 0, Vec::new()).unwrap();
    assert_eq!(ranker.scores(&empty), Some(Vec::new()));
}

/// Catches a margin that is chosen by what a network has seen: noise can be remembered, and foretells nothing.
#[test]
fn what_is_remembered_does_not_tune() {
    let mut random = Random(6);
    let noise: Vec<GraphList> = (0..24)
        .map(|_| {
            let rows = (0..10 * 8).map(|_| draw(&mut random)).collect();
            let graph = Neighbourhood::new(8, rows, 10, vec![edge(0, 1, 0.5, 1.0)]).unwrap();
            // The first one is right in most lists, so that there is something to lose.
            let right = if random.below(4) == 0 { random.below(10) } else { 0 };
            let grades = (0..10).map(|at| f32::from(u8::from(at == right))).collect();
            GraphList { graph, grades, right: vec![1.0], is_new: true, is_unlike: false }
        })
        .collect();
    let training = Training { epochs: 60, ..training(Kind::Sage) };
    let mut ranker = GraphRanker::train(&noise, &training).unwrap();
    assert!(ranker.tune(&noise, 0.005));
    assert_eq!(GraphRanker::train_and_tune(&noise, &training, 0.005), None);
    let known = lists(60, 1);
    let ranker = GraphRanker::train_and_tune(&known, &self::training(Kind::Gcn), 0.005).unwrap();
    assert!(mean(&lists(30, 2), &ranker) > 0.9);
    let alone = Training { members: 1, ..training };
    assert!(GraphRanker::train_and_tune(&known, &alone, 0.005).is_none());
}

/// Catches a margin that is chosen and not used, or read from another feature.
#[test]
fn the_margin_falls_on_what_was_chosen_before() {
    let known = lists(60, 1);
    let mut ranker = GraphRanker::train(&known, &training(Kind::Sage)).unwrap();
    let before = ranker.scores(&known[0].graph).unwrap();
    // Lists in which evidence misleads: what was chosen is never right, and its neighbour says that it is.
    let misled: Vec<GraphList> = lists(200, 3)
        .into_iter()
        .filter(|list| list.is_new)
        .map(|list| {
            let mut rows = list.graph.rows().to_vec();
            rows[(8 + 2) * 8 + 1] = 1.2;
            let graph = Neighbourhood::new(8, rows, 8, list.graph.edges().to_vec()).unwrap();
            GraphList { graph, ..list }
        })
        .collect();
    assert!(ranker.tune(&misled, 0.005) && ranker.margin() > 0.0);
    let after = ranker.scores(&known[0].graph).unwrap();
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(*after, if at == 2 { before - ranker.margin() } else { *before });
    }
}

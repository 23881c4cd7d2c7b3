//! Losses and their slopes: of an order that feedback judges, and of states that the graph judges.

use super::super::math::{dot, exp};
use super::graph::Neighbourhood;
use super::linear::{LEAST, add_scaled};

/// Temperature of the contrast.
const TEMPERATURE: f32 = 0.2;
/// Nodes whose neighbours are shared to this degree (Jaccard) or more are not told apart: they would be false negatives.
const ALIKE: f32 = 0.5;

/// The cross entropy between the softmax of the scores and the grades, shared out to a sum of 1 (ListNet, Cao et al. 2007; InfoNCE where one
/// is right), with the slopes of the scores. `None` where nothing is right.
///
/// The loss itself is told, never learned from: weights see the slopes alone.
pub(super) fn listwise(scores: &[f32], grades: &[f32]) -> Option<(f64, Vec<f32>)> {
    let total: f32 = grades.iter().sum();
    if total <= 0.0 || scores.len() != grades.len() {
        return None;
    }
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| exp(score - top)).collect();
    let sum: f32 = powers.iter().sum();
    let right = grades.iter().map(|grade| grade / total);
    let of = |(score, right): (&f32, f32)| f64::from(right) * (f64::from(score - top) - f64::from(sum).ln());
    let loss = -scores.iter().zip(right.clone()).map(of).sum::<f64>();
    Some((loss, powers.iter().zip(right).map(|(power, right)| power / sum - right).collect()))
}

/// How two nodes stand to each other in the contrast.
#[derive(Clone, Copy, PartialEq)]
enum Pair {
    Positive,
    Negative,
    /// Neither: a node and itself, or two that may be alike without an edge.
    Masked,
}

/// InfoNCE of the graph (van den Oord et al. 2018): the states of linked nodes are to be more alike than those of others. For each node i and
/// each neighbour j: -log(exp(s_ij) / (exp(s_ij) + sum over negatives k of exp(s_ik))), s the cosine of states over a temperature of 0.2;
/// the mean over all. Adds the slopes, times `share`, to `of_states`; gives the loss, times `share`.
///
/// False negatives are masked: nodes that share half or more of their neighbours, and candidates that are right for the same query
/// (`grades`, of the candidates; may be empty).
pub(super) fn contrast(
    graph: &Neighbourhood,
    states: &[f32],
    width: usize,
    grades: &[f32],
    share: f32,
    of_states: &mut [f32],
) -> f64 {
    let nodes = graph.nodes();
    let lengths: Vec<f32> = states.chunks_exact(width).map(|row| (dot(row, row) + LEAST).sqrt()).collect();
    let units: Vec<f32> = states.iter().enumerate().map(|(at, x)| x / lengths[at / width]).collect();
    let unit = |node: usize| &units[node * width..(node + 1) * width];
    let share = share / (2 * graph.edges().len()).max(1) as f32;
    let mut of_units = vec![0.0; units.len()];
    let mut loss = 0.0;
    for node in (0..nodes).filter(|node| !graph.links(*node).is_empty()) {
        let pairs = pairs(graph, grades, node);
        let scores: Vec<f32> = (0..nodes).map(|other| dot(unit(node), unit(other)) / TEMPERATURE).collect();
        let (of_node, slopes) = one_against_others(&pairs, &scores);
        loss += of_node * f64::from(share);
        for (other, slope) in slopes.into_iter().enumerate().filter(|(_, slope)| *slope != 0.0) {
            let slope = slope * share / TEMPERATURE;
            add_scaled(&mut of_units[node * width..(node + 1) * width], slope, unit(other));
            add_scaled(&mut of_units[other * width..(other + 1) * width], slope, unit(node));
        }
    }
    for (node, of_state) in of_states.chunks_exact_mut(width).enumerate() {
        let of_unit = &of_units[node * width..(node + 1) * width];
        let along = dot(of_unit, unit(node));
        for ((slope, of_unit), x) in of_state.iter_mut().zip(of_unit).zip(unit(node)) {
            *slope += (of_unit - along * x) / lengths[node];
        }
    }
    loss
}

/// The loss of one node's scores, summed over its positives, and their slopes.
fn one_against_others(pairs: &[Pair], scores: &[f32]) -> (f64, Vec<f32>) {
    let heard = |of: Pair| pairs.iter().enumerate().filter(move |(_, pair)| **pair == of).map(|(at, _)| at);
    let all = heard(Pair::Positive).chain(heard(Pair::Negative));
    let top = all.map(|at| scores[at]).fold(f32::NEG_INFINITY, f32::max);
    let negatives: f32 = heard(Pair::Negative).map(|at| exp(scores[at] - top)).sum();
    let mut slopes = vec![0.0; scores.len()];
    let (mut loss, mut inverses) = (0.0, 0.0);
    for at in heard(Pair::Positive) {
        // At least the smallest normal number: where all else is far away, nothing is to be gained.
        let power = exp(scores[at] - top);
        let sum = (power + negatives).max(f32::MIN_POSITIVE);
        loss += f64::from(sum).ln() - f64::from(scores[at] - top);
        slopes[at] = power / sum - 1.0;
        inverses += 1.0 / sum;
    }
    heard(Pair::Negative).for_each(|at| slopes[at] = exp(scores[at] - top) * inverses);
    (loss, slopes)
}

/// How all nodes stand to one.
fn pairs(graph: &Neighbourhood, grades: &[f32], node: usize) -> Vec<Pair> {
    let links = graph.links(node);
    let mut shared = vec![0usize; graph.nodes()];
    links.iter().flat_map(|link| graph.links(link.node)).for_each(|link| shared[link.node] += 1);
    let is_right = |node: usize| grades.get(node).is_some_and(|grade| *grade > 0.0);
    let mut pairs: Vec<Pair> = (0..graph.nodes())
        .map(|other| {
            let either = links.len() + graph.links(other).len() - shared[other];
            let is_alike = shared[other] as f32 >= ALIKE * either as f32;
            if is_alike || is_right(node) && is_right(other) { Pair::Masked } else { Pair::Negative }
        })
        .collect();
    links.iter().for_each(|link| pairs[link.node] = Pair::Positive);
    pairs[node] = Pair::Masked;
    pairs
}

#[cfg(test)]
mod tests {
    use super::super::graph::Edge;
    use super::*;

    #[test]
    fn without_anything_right_there_is_nothing_to_learn() {
        assert!(listwise(&[1.0, 2.0], &[0.0, 0.0]).is_none() && listwise(&[1.0], &[1.0, 1.0]).is_none());
        let (loss, slopes) = listwise(&[1.0, 1.0], &[2.0, 0.0]).unwrap();
        assert!((loss - 2f64.ln()).abs() < 1e-6 && slopes == [-0.5, 0.5], "{loss} {slopes:?}");
    }

    /// Catches false negatives: nodes 0 and 1 have the same neighbours and no edge; 0 and 5 are both right.
    #[test]
    fn what_may_be_alike_is_no_negative() {
        let edge = |from, to| Edge { nodes: [from, to], similarity: 0.5, structure: 1.0 };
        let edges = vec![edge(0, 2), edge(0, 3), edge(1, 2), edge(1, 3), edge(4, 5)];
        let graph = Neighbourhood::new(1, vec![0.0; 6], 6, edges).unwrap();
        use Pair::{Masked, Negative, Positive};
        assert!(pairs(&graph, &[], 0) == [Masked, Masked, Positive, Positive, Negative, Negative]);
        let grades = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        assert!(pairs(&graph, &grades, 0) == [Masked, Masked, Positive, Positive, Negative, Masked]);
    }

    /// Catches a contrast that pulls what is not linked, or pushes what is.
    #[test]
    fn a_step_down_brings_linked_states_together() {
        let edges = vec![Edge { nodes: [0, 1], similarity: 0.5, structure: 1.0 }];
        let graph = Neighbourhood::new(1, vec![0.0; 3], 3, edges).unwrap();
        let mut states = vec![1.0, 0.0, 0.6, 0.8, 0.8, 0.6];
        let cosines = |states: &[f32]| [dot(&states[..2], &states[2..4]), dot(&states[..2], &states[4..])];
        let before = cosines(&states);
        let mut slopes = vec![0.0; 6];
        contrast(&graph, &states, 2, &[], 1.0, &mut slopes);
        states.iter_mut().zip(&slopes).for_each(|(x, slope)| *x -= 0.1 * slope);
        let after = cosines(&states);
        assert!(after[0] > before[0] && after[0] - after[1] > before[0] - before[1], "{before:?} {after:?}");
    }
}

//! [`GraphRanker`]: graph networks that are trained on lists of candidates, kept as tensors, and bound by the margin of `margin.rs`.

use super::super::features::WAS_CHOSEN;
use super::super::margin::{Judged, best_margin};
use super::super::measure::ndcg10;
use super::super::tensors::Tensors;
use super::adam::Adam;
use super::graph::Neighbourhood;
use super::network::{Form, Kind, Network, Scale};
use crate::random::Random;

/// Step of Adam at the start; it falls to 0 evenly.
const STEP: f32 = 0.005;
/// Pull of the weights towards 0.
const DECAY: f32 = 1e-3;
/// Most networks of a ranker, and most features of a node.
const MOST_MEMBERS: usize = 16;
const MOST_WIDTH: usize = 4096;

/// The candidates of one query, by descending similarity, with what they are near to.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphList {
    /// Features as [`rows`](crate::learn::rows) has them, perhaps with more behind them, and edges.
    pub graph: Neighbourhood,
    /// How right each candidate is, 0 where it is not.
    pub grades: Vec<f32>,
    /// Grades of everything that is right, also of what is no candidate.
    pub right: Vec<f32>,
    /// Whether nothing that is right was ever chosen before.
    pub is_new: bool,
    /// Whether nothing like the query was asked before: then its order stays as it is.
    pub is_unlike: bool,
}

impl GraphList {
    /// nDCG@10 in the order of similarity.
    pub fn before(&self) -> f64 {
        ndcg10(&self.grades, &self.right)
    }

    /// nDCG@10 in the order of these scores, one a candidate; equal ones stay as they stand. 0 where scores are missing.
    pub fn by(&self, scores: &[f32]) -> f64 {
        let mut order: Vec<(f32, f32)> = scores.iter().copied().zip(self.grades.iter().copied()).collect();
        if !self.is_unlike {
            order.sort_by(|a, b| b.0.total_cmp(&a.0));
        }
        ndcg10(&order.into_iter().map(|(_, grade)| grade).collect::<Vec<f32>>(), &self.right)
    }

    /// Whether grades are there for all candidates, finite and not below 0.
    fn is_sound(&self) -> bool {
        let are_grades = |grades: &[f32]| grades.iter().all(|grade| grade.is_finite() && *grade >= 0.0);
        self.grades.len() == self.graph.ranked() && are_grades(&self.grades) && are_grades(&self.right)
    }
}

impl Judged for GraphList {
    fn marks(&self) -> Vec<f32> {
        self.graph.column(WAS_CHOSEN).collect()
    }

    fn before(&self) -> f64 {
        self.before()
    }

    fn by(&self, scores: &[f32]) -> f64 {
        self.by(scores)
    }

    fn is_new(&self) -> bool {
        self.is_new
    }
}

/// How a ranker is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// The size of its networks.
    pub form: Form,
    /// Networks whose scores are averaged: 1 to 16.
    pub members: usize,
    /// Times over all lists; more than about ten remember the lists.
    pub epochs: usize,
    /// Times over all lists before, by the contrast of the graph alone.
    pub pretraining: usize,
    /// How much the contrast of the graph counts beside the feedback; 0 is not at all.
    pub auxiliary: f32,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Default for Training {
    fn default() -> Self {
        Self { form: Form::default(), members: 3, epochs: 6, pretraining: 0, auxiliary: 0.0, seed: 1 }
    }
}

/// How much a node attends to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Who attends.
    pub node: usize,
    /// To whom: itself or a neighbour.
    pub to: usize,
    /// By each head; of one node and head they sum to 1.
    pub heads: Vec<f32>,
}

/// A trained order of candidates that hears of their neighbours.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphRanker {
    members: Vec<Network>,
    margin: f32,
}

impl GraphRanker {
    /// Trains on lists whose evidence leaves each query out of itself; the same lists and training give the same ranker.
    ///
    /// `None` where nothing that is right is a candidate, the lists differ in width or lack grades, the sizes are out of bounds, or training
    /// ends in weights that are not finite.
    pub fn train(lists: &[GraphList], training: &Training) -> Option<Self> {
        let all: Vec<&GraphList> = lists.iter().collect();
        Self::train_members(lists, training, |_| all.clone())
    }

    /// Trains and tunes by the same lists: each network sees all but one of `members` parts, and the margin is chosen by what each says of
    /// the part that it has not seen (cross-fitting). So all lists count for both, where [`GraphRanker::tune`] needs lists of its own.
    ///
    /// `None` as for [`GraphRanker::train`], with less than two members, and where no margin keeps new queries from losing more than
    /// `most_loss` nDCG@10: such a ranker is not to be used.
    pub fn train_and_tune(lists: &[GraphList], training: &Training, most_loss: f64) -> Option<Self> {
        if training.members < 2 {
            return None;
        }
        let part = |at: usize| at % training.members;
        let others = |member: usize| {
            lists.iter().enumerate().filter(|(at, _)| part(*at) != member).map(|(_, list)| list).collect()
        };
        let mut ranker = Self::train_members(lists, training, others)?;
        let alone = |at: usize| Self { members: vec![ranker.members[part(at)].clone()], margin: 0.0 };
        let scores = lists.iter().enumerate().map(|(at, list)| alone(at).plain(&list.graph));
        let scores: Vec<Vec<f32>> = scores.collect::<Option<_>>()?;
        ranker.margin = best_margin(lists, &scores, most_loss)?;
        Some(ranker)
    }

    /// Trains each network by those of the lists that `seen` names.
    fn train_members<'l>(
        lists: &'l [GraphList],
        training: &Training,
        seen: impl Fn(usize) -> Vec<&'l GraphList>,
    ) -> Option<Self> {
        let width = lists.first()?.graph.width();
        let are_sound = lists.iter().all(|list| list.graph.width() == width && list.is_sound());
        let has_right = lists.iter().any(|list| list.grades.iter().any(|grade| *grade > 0.0));
        let is_sound = training.form.is_sound()
            && (1..=MOST_MEMBERS).contains(&training.members)
            && width <= MOST_WIDTH
            && training.auxiliary.is_finite()
            && training.auxiliary >= 0.0;
        if !(are_sound && has_right && is_sound) {
            return None;
        }
        let scale = Scale::of(width, lists.iter().map(|list| &list.graph));
        let member = |at: usize| {
            let seed = training.seed.wrapping_add(at as u64);
            train_one(Network::new(training.form, scale.clone(), seed), &seen(at), training, seed)
        };
        let members: Vec<Network> = (0..training.members).map(member).collect();
        let are_finite = members.iter().flat_map(|member| &member.weights).all(|weight| weight.is_finite());
        are_finite.then_some(Self { members, margin: 0.0 })
    }

    /// Features of a node.
    pub fn width(&self) -> usize {
        self.members.first().map_or(0, Network::width)
    }

    /// The scores of all candidates, less the margin where one was chosen before (feature 5 of a row): larger is better. `None` where the
    /// graph has another width, or a score is not finite.
    pub fn scores(&self, graph: &Neighbourhood) -> Option<Vec<f32>> {
        let mut scores = self.plain(graph)?;
        for (score, mark) in scores.iter_mut().zip(graph.column(WAS_CHOSEN)) {
            *score -= self.margin * mark;
        }
        Some(scores)
    }

    /// Scores without the margin.
    fn plain(&self, graph: &Neighbourhood) -> Option<Vec<f32>> {
        if graph.width() != self.width() {
            return None;
        }
        let mut sums = vec![0.0; graph.ranked()];
        for member in &self.members {
            sums.iter_mut().zip(member.forward(graph).scores).for_each(|(sum, score)| *sum += score);
        }
        sums.iter_mut().for_each(|sum| *sum /= self.members.len() as f32);
        sums.iter().all(|score| score.is_finite()).then_some(sums)
    }

    /// The margin.
    pub fn margin(&self) -> f32 {
        self.margin
    }

    /// Chooses the margin by lists that were not trained on, as [`Ranker::tune`](crate::learn::Ranker::tune) does. `false` where none keeps
    /// the bound, or a list does not fit: such a ranker is not to be used.
    pub fn tune(&mut self, lists: &[GraphList], most_loss: f64) -> bool {
        self.margin = 0.0;
        let scores: Option<Vec<Vec<f32>>> =
            lists.iter().map(|list| self.plain(&list.graph).filter(|_| list.is_sound())).collect();
        let best = scores.and_then(|scores| best_margin(lists, &scores, most_loss));
        self.margin = best.unwrap_or(0.0);
        best.is_some()
    }

    /// Whom the nodes attend to in a layer of the first network. `None` where it has no attention, there is no such layer, or the graph has
    /// another width.
    pub fn attention(&self, graph: &Neighbourhood, layer: usize) -> Option<Vec<Attention>> {
        let member = self.members.first().filter(|member| member.width() == graph.width())?;
        let (attention, heads) = member.attention(graph, layer)?;
        let pairs = (0..graph.nodes()).flat_map(|node| {
            let neighbours = graph.links(node).iter().map(|link| link.node);
            std::iter::once(node).chain(neighbours).map(move |to| (node, to))
        });
        let of = |((node, to), heads): ((usize, usize), &[f32])| Attention { node, to, heads: heads.to_vec() };
        Some(pairs.zip(attention.chunks_exact(heads)).map(of).collect())
    }

    /// All that it has learned, by names that begin with `gnn.`.
    pub fn to_tensors(&self) -> Tensors {
        let mut tensors = Tensors::default();
        let Some(first) = self.members.first() else { return tensors };
        let Form { kind, hidden, layers, heads, sample } = first.form;
        let kind = KINDS.iter().position(|known| *known == kind).unwrap_or_default();
        let sizes = [kind, hidden, layers, heads, sample.min(MOST_SAMPLE), self.width(), self.members.len()];
        let mut put = |name: &str, shape: &[usize], values: &[f32]| tensors.put(name, shape, values.to_vec());
        put("gnn.form", &[FORM], &sizes.map(|size| size as f32));
        put("gnn.margin", &[1], &[self.margin]);
        put("gnn.scale.mean", &[self.width()], &first.scale.mean);
        put("gnn.scale.spread", &[self.width()], &first.scale.spread);
        for (at, member) in self.members.iter().enumerate() {
            let mut rest = &member.weights[..];
            for (name, shape) in member.parts() {
                let (values, after) = rest.split_at(shape.iter().product());
                put(&format!("gnn.member{at}.{name}"), &shape, values);
                rest = after;
            }
        }
        tensors
    }

    /// What [`GraphRanker::to_tensors`] kept. `None` where a tensor is missing or has another shape, or a size is out of bounds.
    pub fn from_tensors(tensors: &Tensors) -> Option<Self> {
        let size = |x: &f32| (*x >= 0.0 && *x <= MOST_SAMPLE as f32 && x.fract() == 0.0).then_some(*x as usize);
        let sizes: Vec<usize> = tensors.get("gnn.form", &[FORM])?.iter().map(size).collect::<Option<_>>()?;
        let [kind, hidden, layers, heads, sample, width, members] = sizes[..] else { return None };
        let form = Form { kind: *KINDS.get(kind)?, hidden, layers, heads, sample };
        let is_sound = form.is_sound() && (1..=MOST_WIDTH).contains(&width) && (1..=MOST_MEMBERS).contains(&members);
        if !is_sound {
            return None;
        }
        let mean = tensors.get("gnn.scale.mean", &[width])?.to_vec();
        let spread = tensors.get("gnn.scale.spread", &[width])?.to_vec();
        let scale = Scale { mean, spread: spread.iter().all(|x| *x > 0.0).then_some(spread)? };
        let member = |at: usize| {
            let mut network = Network::new(form, scale.clone(), 0);
            let mut weights = Vec::with_capacity(network.weights.len());
            for (name, shape) in network.parts() {
                weights.extend_from_slice(tensors.get(&format!("gnn.member{at}.{name}"), &shape)?);
            }
            network.weights = weights;
            Some(network)
        };
        let members = (0..members).map(member).collect::<Option<_>>()?;
        Some(Self { members, margin: tensors.number("gnn.margin")? })
    }
}

/// Kinds in the order of their numbers as they are kept; new ones are added behind.
const KINDS: [Kind; 3] = [Kind::Gcn, Kind::Gat, Kind::Sage];
/// Sizes that are kept.
const FORM: usize = 7;
/// The largest size that a kept one can be: a binary32 holds it exactly. More neighbours than that no node has.
const MOST_SAMPLE: usize = 1 << 24;

/// One query a step, in another order each time.
fn train_one(mut network: Network, lists: &[&GraphList], training: &Training, seed: u64) -> Network {
    let mut random = Random(seed);
    let mut order: Vec<usize> = (0..lists.len()).collect();
    let mut gradient = vec![0f32; network.weights.len()];
    for (epochs, ranks) in [(training.pretraining, false), (training.epochs, true)] {
        let auxiliary = if ranks { training.auxiliary } else { 1.0 };
        let mut adam = Adam::new(network.weights.len());
        for epoch in 0..epochs {
            random.shuffle(&mut order);
            let step = STEP * (1.0 - epoch as f32 / epochs as f32);
            for at in &order {
                let GraphList { graph, grades, .. } = lists[*at];
                gradient.fill(0.0);
                if network.loss(graph, grades, (ranks, auxiliary), &mut gradient) == 0.0 {
                    continue;
                }
                for (weight, slope) in gradient.iter_mut().enumerate() {
                    *slope += if network.is_pulled(weight) { DECAY * network.weights[weight] } else { 0.0 };
                }
                adam.step(&mut network.weights, &gradient, step);
            }
        }
    }
    network
}

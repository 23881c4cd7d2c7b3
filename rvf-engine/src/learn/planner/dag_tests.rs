//! Plans of operators against what is counted the long way: ways, slack, cuts; and operators that are no plan.

use super::dag::{Dag, DagFault, FEATURES, MOST, Operator, members};
use crate::random::Random;

/// An operator that costs 1.
pub(super) fn operator(inputs: &[u16]) -> Operator {
    Operator { inputs: inputs.to_vec(), cost: 1.0, parallelism: 1, at: 0.0, features: [0.0; FEATURES] }
}

pub(super) fn draw(random: &mut Random) -> f32 {
    random.below(2000) as f32 / 1000.0 - 1.0
}

/// Operators in a random numbering with random numbers; all lead to one of them.
pub(super) fn operators(count: usize, random: &mut Random) -> Vec<Operator> {
    let mut made: Vec<Operator> = Vec::new();
    let mut feeds = vec![false; count];
    for at in 0..count {
        let is_source = at == 0 || (at + 1 < count && random.below(5) == 0);
        let wanted = if is_source { 0 } else { 1 + random.below(3) };
        let mut inputs: Vec<u16> = (0..wanted).map(|_| random.below(at) as u16).collect();
        if at + 1 == count {
            inputs.extend((0..at).filter(|input| !feeds[*input]).map(|input| input as u16));
        }
        inputs.iter().for_each(|input| feeds[usize::from(*input)] = true);
        made.push(Operator {
            inputs,
            cost: random.below(200) as f64,
            parallelism: 1 + random.below(4) as u32,
            at: random.below(200) as f64,
            features: std::array::from_fn(|_| draw(random)),
        });
    }
    let mut names: Vec<usize> = (0..count).collect();
    random.shuffle(&mut names);
    renamed(&made, &names)
}

/// The same operators, each with another number.
pub(super) fn renamed(operators: &[Operator], names: &[usize]) -> Vec<Operator> {
    let mut all = vec![operator(&[]); operators.len()];
    for (operator, name) in operators.iter().zip(names) {
        let inputs = operator.inputs.iter().map(|input| names[usize::from(*input)] as u16).collect();
        all[*name] = Operator { inputs, ..operator.clone() };
    }
    all
}

/// All ways from operators without inputs to `to`.
fn ways(operators: &[Operator], to: usize) -> Vec<Vec<usize>> {
    let before = operators[to].inputs.iter().flat_map(|input| ways(operators, usize::from(*input)));
    let mut all: Vec<Vec<usize>> = before.collect();
    if operators[to].inputs.is_empty() {
        all.push(Vec::new());
    }
    all.iter_mut().for_each(|way| way.push(to));
    all
}

/// Catches depth, reachability, slack and makespan that miss a way.
#[test]
fn shape_and_slack_are_those_of_all_ways() {
    let mut random = Random(1);
    for round in 0..200 {
        let operators = operators(1 + random.below(12), &mut random);
        let dag = Dag::new(operators.clone()).unwrap();
        let cost = |way: &[usize]| way.iter().map(|at| operators[*at].cost).sum::<f64>();
        let whole = ways(&operators, dag.sink());
        let makespan = whole.iter().map(|way| cost(way)).fold(0.0, f64::max);
        assert!((dag.makespan() - makespan).abs() < 1e-9, "{round}");
        assert!(
            (cost(&dag.critical_path()) - makespan).abs() < 1e-9 && whole.contains(&dag.critical_path()),
            "{round}"
        );
        for (at, (earliest, latest)) in dag.starts().enumerate() {
            let to_it = ways(&operators, at);
            assert_eq!(dag.depths()[at], to_it.iter().map(Vec::len).max().unwrap() - 1, "{round}");
            let above = to_it.iter().flatten().filter(|other| **other != at).fold(0, |set, other| set | 1 << other);
            assert_eq!(dag.ancestors()[at], above, "{round}");
            assert!(members(above).all(|other| dag.descendants()[other] >> at & 1 == 1), "{round}");
            let longest = whole.iter().filter(|way| way.contains(&at)).map(|way| cost(way)).fold(0.0, f64::max);
            assert!((dag.slack(at) - (makespan - longest)).abs() < 1e-9, "{round}: {at}");
            assert!(earliest <= latest + 1e-9 && latest + operators[at].cost <= makespan + 1e-9);
            let hops = |way: &Vec<usize>| way.iter().position(|other| *other == at).map(|place| way.len() - 1 - place);
            let nearest = whole.iter().filter_map(hops).min();
            assert_eq!(dag.hops_to(dag.sink())[at].map(usize::from), nearest, "{round}: {at}");
        }
        let pairs = |sets: &[u128]| sets.iter().map(|set| set.count_ones()).sum::<u32>();
        assert_eq!(pairs(dag.ancestors()), pairs(dag.descendants()));
        let place = |at: usize| dag.order().iter().position(|other| *other == at);
        let is_after = |at: usize| operators[at].inputs.iter().all(|input| place(usize::from(*input)) < place(at));
        assert!((0..operators.len()).all(is_after) && dag.order().len() == operators.len());
    }
}

/// Catches a flow that is not the cheapest set of operators on every way, and a kappa that is not of the cheapest such set with the operator.
#[test]
fn cuts_are_the_cheapest_of_all_sets() {
    let mut random = Random(2);
    for round in 0..60 {
        let operators = operators(1 + random.below(9), &mut random);
        let dag = Dag::new(operators.clone()).unwrap();
        let ways: Vec<u128> =
            ways(&operators, dag.sink()).iter().map(|way| way.iter().fold(0, |set, at| set | 1 << at)).collect();
        let capacity = |at: usize| f64::from(operators[at].parallelism) / operators[at].cost.max(1.0);
        let sum = |set: u128| members(set).map(capacity).sum::<f64>();
        let cuts: Vec<u128> = (0..1 << operators.len()).filter(|set| ways.iter().all(|way| way & set != 0)).collect();
        let cheapest =
            |with: u128| cuts.iter().filter(|set| **set & with == with).map(|set| sum(*set)).fold(1e9, f64::min);
        assert!((dag.max_flow() - cheapest(0)).abs() < 1e-9, "{round}");
        assert!(cuts.contains(&dag.min_cut()) && (sum(dag.min_cut()) - dag.max_flow()).abs() < 1e-9, "{round}");
        assert_eq!(dag.kappa().len(), operators.len());
        for (at, kappa) in dag.kappa().iter().enumerate() {
            let right = cheapest(0) / cheapest(1 << at);
            assert!((kappa - right).abs() < 1e-9, "{round}: {at} {kappa} {right}");
        }
        assert!(members(dag.min_cut()).all(|at| dag.kappa()[at] > 1.0 - 1e-9), "{round}");
    }
}

#[test]
fn the_widest_part_counts() {
    let fan = Dag::new(vec![operator(&[]), operator(&[0]), operator(&[0]), operator(&[0]), operator(&[1, 2, 3, 3])]);
    let fan = fan.unwrap();
    assert_eq!((fan.branches(), fan.depth(), fan.sink(), fan.operators()[4].inputs.len()), (3, 2, 4, 3));
    assert_eq!((fan.hops_to(1), fan.hops_to(9)), (vec![Some(1), Some(0), None, None, None], vec![None; 5]));
    assert_eq!(fan.slack(9), 0.0);
}

#[test]
fn what_is_no_plan_is_refused_with_its_reason() {
    let fault = |operators: Vec<Operator>| Dag::new(operators).unwrap_err();
    assert_eq!(fault(Vec::new()), DagFault::Sinks(0));
    assert_eq!(fault(vec![operator(&[]), operator(&[])]), DagFault::Sinks(2));
    assert_eq!(fault(vec![operator(&[0])]), DagFault::Cycle);
    assert_eq!(fault(vec![operator(&[1]), operator(&[0]), operator(&[1])]), DagFault::Cycle);
    assert_eq!(fault(vec![operator(&[]), operator(&[7])]), DagFault::Input { operator: 1, input: 7 });
    let chain = |count: u16| (0..count).map(|at| operator(at.checked_sub(1).as_slice())).collect::<Vec<_>>();
    assert_eq!(fault(chain(MOST as u16 + 1)), DagFault::TooMany(MOST + 1));
    let longest = Dag::new(chain(MOST as u16)).unwrap();
    assert_eq!((longest.depth(), longest.ancestors()[MOST - 1].count_ones()), (MOST - 1, 127));
    assert_eq!((longest.hops_to(MOST - 1)[0], longest.makespan()), (Some(127), 128.0));
    let mut nan = operator(&[]);
    nan.features[31] = f32::NAN;
    for wrong in [
        Operator { cost: f64::NAN, ..operator(&[]) },
        Operator { cost: -1.0, ..operator(&[]) },
        Operator { cost: f64::INFINITY, ..operator(&[]) },
        Operator { parallelism: 0, ..operator(&[]) },
        Operator { at: f64::NAN, ..operator(&[]) },
        nan,
    ] {
        assert_eq!(fault(vec![wrong]), DagFault::Number(0));
    }
    assert!(DagFault::Input { operator: 1, input: 7 }.to_string().contains("operator 1 reads from 7"));
}

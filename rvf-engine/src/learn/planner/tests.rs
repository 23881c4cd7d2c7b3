//! What holds for every mechanism, each mechanism's own formula, and gradients against finite differences.

use super::attention::{Attended, Attention, Weights};
use super::dag::{Dag, FEATURES, Operator, members};
use super::dag_tests::{draw, operator, operators, renamed};
use super::ensemble::Ensemble;
use super::lorentz::centroid;
use super::mechanism::{Mechanism, criticality};
use crate::random::Random;

/// The seven, some with other parameters, and the one they are compared with.
fn mechanisms() -> Vec<Mechanism> {
    let mut all = Mechanism::ALL.to_vec();
    all.push(Mechanism::Uniform);
    all.push(Mechanism::Topological { hops: 2, code: 0.5 });
    all.push(Mechanism::CausalCone { decay: 0.7, hops: 3, code: 0.5 });
    all.push(Mechanism::Lorentz { curvature: 2.0, gain: 0.5 });
    all
}

fn dag(count: usize, seed: u64) -> Dag {
    Dag::new(operators(count, &mut Random(seed))).unwrap()
}

/// Attention to which all content is alike: weights are those of the biases.
fn blind() -> Attention {
    Attention::with(Weights::zero(), 1.0).unwrap()
}

fn near(a: f32, b: f32, within: f32) -> bool {
    (a - b).abs() <= within
}

/// Catches weights that leak out of a neighbourhood, do not add up to 1, or are no numbers (sources have nobody but themselves to look at).
#[test]
fn weights_add_up_to_one_within_the_neighbourhood() {
    let attention = Attention::new(3);
    for seed in 0..40 {
        let dag = dag(1 + 3 * seed as usize, seed);
        for mechanism in mechanisms() {
            for query in 0..dag.operators().len() {
                let found = attention.attend(&dag, query, &mechanism).unwrap();
                let nodes = mechanism.neighbourhood(&dag, query);
                assert!(nodes >> query & 1 == 1 && found.weights.len() == dag.operators().len());
                assert!(near(found.weights.iter().sum(), 1.0, 1e-5), "{mechanism:?}");
                for (at, weight) in found.weights.iter().enumerate() {
                    let is_in = nodes >> at & 1 == 1;
                    assert!(*weight >= 0.0 && *weight <= 1.0 && (is_in || *weight == 0.0), "{mechanism:?}: {at}");
                }
                assert!(found.embedding.iter().all(|x| x.is_finite()));
                let is_parallel = matches!(mechanism, Mechanism::ParallelBranch { .. });
                if dag.operators()[query].inputs.is_empty() && !is_parallel {
                    assert_eq!(found.weights[query], 1.0, "{mechanism:?}");
                }
            }
            assert!(attention.attend(&dag, dag.operators().len(), &mechanism).is_none());
            assert_eq!(mechanism.neighbourhood(&dag, 200), 0);
        }
    }
}

#[test]
fn a_lone_operator_has_all_the_weight() {
    let alone = Dag::new(vec![Operator { features: [1e6; FEATURES], cost: 0.0, ..operator(&[]) }]).unwrap();
    for mechanism in mechanisms() {
        assert_eq!(Attention::new(1).attend(&alone, 0, &mechanism).unwrap().weights, [1.0]);
    }
}

/// Catches a weight that depends on an operator's number.
#[test]
fn names_do_not_matter() {
    let mut random = Random(9);
    let attention = Attention::new(5);
    for round in 0..60 {
        let count = 2 + random.below(60);
        let made = operators(count, &mut random);
        let mut names: Vec<usize> = (0..count).collect();
        random.shuffle(&mut names);
        let (one, other) = (Dag::new(made.clone()).unwrap(), Dag::new(renamed(&made, &names)).unwrap());
        for mechanism in mechanisms() {
            for query in [one.sink(), random.below(count)] {
                let before = attention.attend(&one, query, &mechanism).unwrap();
                let after = attention.attend(&other, names[query], &mechanism).unwrap();
                for (at, weight) in before.weights.iter().enumerate() {
                    assert!(near(*weight, after.weights[names[at]], 1e-5), "{round}: {mechanism:?}");
                }
                let pairs = before.embedding.iter().zip(&after.embedding);
                pairs.for_each(|(a, b)| assert!(near(*a, *b, 1e-4), "{round}: {mechanism:?}"));
            }
        }
    }
}

/// Without decay a cone is nothing but what is above.
#[test]
fn a_cone_without_decay_is_topological_to_the_bit() {
    for seed in 0..30 {
        let dag = dag(40, seed);
        for (hops, code) in [(10, 0.0), (10, 1.0), (u8::MAX, 1.0), (2, 0.3)] {
            let cone = Mechanism::CausalCone { decay: 0.0, hops, code };
            let other = Mechanism::Topological { hops, code };
            let attention = Attention::new(seed);
            for query in 0..40 {
                assert_eq!(attention.attend(&dag, query, &cone), attention.attend(&dag, query, &other));
            }
        }
    }
}

/// Weights relative to that of the operator that looks.
fn factors(dag: &Dag, query: usize, mechanism: Mechanism) -> Vec<f32> {
    let weights = blind().attend(dag, query, &mechanism).unwrap().weights;
    weights.iter().map(|weight| weight / weights[query]).collect()
}

/// Catches a bias of another size or sign. Operator 0 feeds 1 and 2, which feed 4; 3 feeds 4 alone.
#[test]
fn biases_are_those_of_the_formulas() {
    let costs = [4.0, 6.0, 5.5, 1.0, 10.0];
    let mut made = vec![operator(&[]), operator(&[0]), operator(&[0]), operator(&[]), operator(&[1, 2, 3])];
    made.iter_mut().zip(costs).for_each(|(operator, cost)| operator.cost = cost);
    for (operator, at) in made.iter_mut().zip([0.0, 100.0, 149.0, 151.0, 100.0]) {
        operator.at = at;
    }
    let dag = Dag::new(made).unwrap();
    let check = |query, mechanism, right: [f32; 5]| {
        let found = factors(&dag, query, mechanism);
        assert!(
            found.iter().zip(right).all(|(a, b)| near(*a, b, 1e-5 * b.max(1.0))),
            "{mechanism:?}: {found:?} {right:?}"
        );
    };
    let step = (-0.1f32).exp();
    check(4, Mechanism::Uniform, [1.0; 5]);
    check(4, Mechanism::CAUSAL_CONE, [step * step, step, step, step, 1.0]);
    check(4, Mechanism::CausalCone { decay: 0.1, hops: 1, code: 0.0 }, [0.0, step, step, step, 1.0]);
    let cosines = |far: i32| (0..8).map(|at| (f64::from(far) * 0.5f64.powi(at)).cos()).sum::<f64>() / 8.0;
    let [one, two] = [1, 2].map(|far| (cosines(far) - 1.0).exp() as f32);
    check(4, Mechanism::TOPOLOGICAL, [two, one, one, two, 1.0]);
    // The makespan is 20: 2 has a slack of 0.5, 3 one of 9.
    let late = |slack: f32| (1.5 * (-slack / (0.05 * 20.0)).exp() - 1.5).exp();
    check(4, Mechanism::CRITICAL_PATH, [1.0, 1.0, late(0.5), late(9.0), 1.0]);
    // The sink carries 1/10 and is the minimum cut; with 3 it is 1/10 + 1, with 0 it is 1/4 + 1, with 1 or 2 it is 1/10 + 1/6 or 2/11.
    let gate = |room: f32| (0.1 / (0.1 + room) / 0.5).min(1.0);
    check(4, Mechanism::MIN_CUT_GATED, [gate(0.25), gate(1.0 / 6.0), gate(2.0 / 11.0), gate(1.0), 1.0]);
    // 1 sees 2 beside it, and that 0 feeds both. 3 shares no ancestor.
    check(1, Mechanism::PARALLEL_BRANCH, [2f32.exp(), 1.0, 0.5, 0.0, 0.0]);
    check(4, Mechanism::PARALLEL_BRANCH, [1.0; 5]);
    check(4, Mechanism::TEMPORAL_BTSP, [1.0 / 1.5, 1.0, 1.0, 1.0 / 1.5, 1.0]);
    // All lie in one direction: distances are those of logarithms of depths.
    check(4, Mechanism::LORENTZ, [1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0, 1.0]);
    let half = |x: f32| x * x;
    let wide = Mechanism::Lorentz { curvature: 0.25, gain: 1.0 };
    check(4, wide, [half(1.0 / 3.0), half(2.0 / 3.0), half(2.0 / 3.0), half(1.0 / 3.0), 1.0]);
}

/// Catches an operator that counts as beside another though one waits for the other, or though nothing feeds both; by one pair at a time.
#[test]
fn those_beside_an_operator_wait_for_the_same() {
    for seed in 0..40 {
        let dag = dag(25, seed);
        let above = |one: usize, other: usize| dag.ancestors()[other] >> one & 1 == 1;
        let shares = |one, other| (0..25).any(|at| above(at, one) && above(at, other));
        let is_beside =
            |one: usize, other: usize| one != other && !above(one, other) && !above(other, one) && shares(one, other);
        for query in 0..25 {
            let found = factors(&dag, query, Mechanism::PARALLEL_BRANCH);
            for (at, factor) in found.iter().enumerate() {
                let is_common = (0..25).any(|other| is_beside(query, other) && above(at, other));
                let right = match (is_beside(query, at), above(at, query)) {
                    (true, _) => 0.5,
                    (_, true) if is_common => 2f32.exp(),
                    (_, true) => 1.0,
                    _ => f32::from(u8::from(at == query)),
                };
                assert!(near(*factor, right, 1e-4), "{seed}: {query} {at}");
            }
        }
    }
}

/// Catches a content logit without its scale or temperature.
#[test]
fn content_is_compared_by_its_formula() {
    let dag = dag(20, 4);
    let weights = Attention::new(8).weights().clone();
    let attention = Attention::with(weights.clone(), 0.5).unwrap();
    let times = |matrix: &[[f32; FEATURES]; FEATURES], x: &[f32; FEATURES]| -> Vec<f64> {
        let column = |to: usize| (0..FEATURES).map(|from| f64::from(matrix[from][to]) * f64::from(x[from])).sum();
        (0..FEATURES).map(column).collect()
    };
    let query = dag.sink();
    let asked = times(&weights.query, &dag.operators()[query].features);
    let logit = |at: usize| {
        let key = times(&weights.key, &dag.operators()[at].features);
        asked.iter().zip(&key).map(|(a, b)| a * b).sum::<f64>() / (0.5 * 32f64.sqrt())
    };
    let plain = Mechanism::Topological { hops: u8::MAX, code: 0.0 };
    let sum: f64 = (0..20).map(|at| logit(at).exp()).sum();
    let found = attention.attend(&dag, query, &plain).unwrap();
    let mut embedding = vec![0.0; FEATURES];
    for (at, weight) in found.weights.iter().enumerate() {
        assert!((f64::from(*weight) - logit(at).exp() / sum).abs() < 1e-5);
        let value = times(&weights.value, &dag.operators()[at].features);
        embedding.iter_mut().zip(value).for_each(|(sum, x)| *sum += f64::from(*weight) * x);
    }
    assert!(found.embedding.iter().zip(&embedding).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
}

/// Costs with one operator's raised.
fn raised(dag: &Dag, operator: usize, by: f64) -> Dag {
    let mut all = dag.operators().to_vec();
    all[operator].cost += by;
    Dag::new(all).unwrap()
}

/// The factor of an operator never falls when its cost rises. Its weight does not, either, while the plan takes no longer.
#[test]
fn what_costs_more_is_not_less_critical() {
    let mut random = Random(6);
    let mut seen = [0; 2];
    for round in 0..3000 {
        let dag = dag(2 + random.below(30), round);
        let (at, by) = (random.below(dag.operators().len()), random.below(100) as f64 * 0.5);
        let after = raised(&dag, at, by);
        assert!(criticality(&after, at, 0.05) >= criticality(&dag, at, 0.05) - 1e-6, "{round}");
        let is_longer = after.makespan() > dag.makespan();
        seen[usize::from(is_longer)] += 1;
        if !is_longer {
            for attention in [blind(), Attention::new(round)] {
                let of = |dag: &Dag| attention.attend(dag, dag.sink(), &Mechanism::CRITICAL_PATH).unwrap().weights[at];
                assert!(of(&after) >= of(&dag) - 1e-6, "{round}");
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 300), "{seen:?}");
}

/// Why the weight may fall once the plan takes longer: slack counts as a part of the makespan, so beside an operator that all others wait for
/// and that grows, the others' slack becomes small.
#[test]
fn a_longer_plan_makes_the_slack_of_others_smaller() {
    let mut made = vec![operator(&[]), operator(&[0]), operator(&[0]), operator(&[1, 2])];
    made.iter_mut().zip([10.0, 100.0, 95.0, 0.0]).for_each(|(operator, cost)| operator.cost = cost);
    let dag = Dag::new(made).unwrap();
    let after = raised(&dag, 0, 1000.0);
    let weights = |dag: &Dag| blind().attend(dag, 3, &Mechanism::CRITICAL_PATH).unwrap().weights;
    assert!(weights(&after)[0] < weights(&dag)[0] && weights(&after)[2] > weights(&dag)[2]);
    assert_eq!((criticality(&dag, 0, 0.05), criticality(&after, 0, 0.05)), (1.0, 1.0));
    // Nothing costs anything: nobody has slack.
    let free = vec![Operator { cost: 0.0, ..operator(&[]) }, Operator { cost: 0.0, ..operator(&[0]) }];
    assert_eq!(criticality(&Dag::new(free).unwrap(), 0, 0.05), 1.0);
}

/// A loss of weights and embedding, by its slopes.
fn loss(attention: &Attention, dag: &Dag, query: usize, mechanism: &Mechanism, slopes: &Attended) -> f64 {
    let found = attention.attend(dag, query, mechanism).unwrap();
    let all = found.weights.iter().chain(&found.embedding).zip(slopes.weights.iter().chain(&slopes.embedding));
    all.map(|(x, slope)| f64::from(*x) * f64::from(*slope)).sum()
}

/// Catches a term that the backward pass leaves out, of each matrix and each mechanism.
#[test]
fn gradients_are_those_of_finite_differences() {
    let mut random = Random(12);
    let dag = dag(14, 21);
    // At depth 1 all that is seen lies at the origin of the hyperboloid, from which no direction is told.
    let inner = dag.order().iter().copied().find(|at| dag.depths()[*at] >= 2).unwrap();
    assert_ne!(inner, dag.sink());
    let queries = [dag.sink(), inner];
    for (mechanism, query) in mechanisms().into_iter().flat_map(|mechanism| queries.map(|query| (mechanism, query))) {
        let attention = Attention::with(Attention::new(2).weights().clone(), 0.7).unwrap();
        let slopes = Attended {
            weights: (0..14).map(|_| 3.0 * draw(&mut random)).collect(),
            embedding: std::array::from_fn(|_| draw(&mut random)),
        };
        let gradient = attention.gradient(&dag, query, &mechanism, &slopes).unwrap();
        for part in 0..4 {
            // Along the gradient itself and along random directions.
            for round in 0..4 {
                let mut along = Weights::zero();
                let slopes_of = gradient.parts()[part].1.as_flattened();
                let norm = slopes_of.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
                for (x, slope) in along.parts_mut()[part].as_flattened_mut().iter_mut().zip(slopes_of) {
                    *x = if round == 0 { slope / norm } else { 0.1 * draw(&mut random) };
                }
                let moved = |by: f32| {
                    let mut moved = attention.clone();
                    assert!(moved.descend(&along, -by));
                    loss(&moved, &dag, query, &mechanism, &slopes)
                };
                let by_difference = (moved(0.01) - moved(-0.01)) / 0.02;
                let directions = along.parts()[part].1.as_flattened();
                let right: f64 = directions.iter().zip(slopes_of).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                let is_near = (by_difference - right).abs() <= 2e-4 + 4e-3 * right.abs();
                assert!(is_near, "{mechanism:?}, part {part}: {by_difference} {right}");
            }
        }
        let is_used = gradient.parts().map(|(_, matrix)| matrix.as_flattened().iter().any(|x| x.abs() > 1e-4));
        let right = match mechanism {
            Mechanism::Lorentz { .. } => [false, false, true, true],
            Mechanism::Uniform => [false, false, true, false],
            _ => [true, true, true, false],
        };
        assert_eq!(is_used, right, "{mechanism:?}");
        let short = Attended { weights: vec![0.0; 13], ..slopes };
        assert!(attention.gradient(&dag, query, &mechanism, &short).is_none());
    }
}

/// Catches steps up instead of down, and steps that leave the range.
#[test]
fn steps_lead_to_what_is_wanted() {
    let dag = dag(12, 2);
    let (query, wanted) = (dag.sink(), dag.order()[3]);
    for mechanism in [Mechanism::TOPOLOGICAL, Mechanism::LORENTZ] {
        let mut attention = Attention::new(4);
        let weight = |attention: &Attention| attention.attend(&dag, query, &mechanism).unwrap().weights[wanted];
        let before = weight(&attention);
        for _ in 0..60 {
            let mut slopes = Attended { weights: vec![0.0; 12], embedding: [0.0; FEATURES] };
            slopes.weights[wanted] = -1.0 / weight(&attention);
            let gradient = attention.gradient(&dag, query, &mechanism, &slopes).unwrap();
            assert!(attention.descend(&gradient, 0.05));
        }
        assert!(weight(&attention) > 1.2 * before, "{mechanism:?}: {before} {}", weight(&attention));
        let kept = attention.clone();
        let mut far = Weights::zero();
        far.key[0][0] = f32::NAN;
        assert!(!attention.descend(&far, 1.0) && attention == kept);
    }
}

#[test]
fn weights_are_kept_whole() {
    let attention = Attention::with(Attention::new(6).weights().clone(), 2.0).unwrap();
    let tensors = attention.to_tensors();
    assert_eq!((tensors.iter().count(), Attention::from_tensors(&tensors)), (5, Some(attention.clone())));
    assert_eq!(Attention::from_tensors(&Default::default()), None);
    let (mut far, weights) = (Weights::zero(), attention.weights());
    far.value[31][31] = 1e7;
    assert!(Attention::with(far, 1.0).is_none() && Attention::with(weights.clone(), 0.0).is_none());
    assert!(Attention::with(weights.clone(), f32::NAN).is_none());
    let spread = weights.query.as_flattened().iter().map(|x| x * x).sum::<f32>() / (FEATURES * FEATURES) as f32;
    assert!(near(spread * FEATURES as f32, 1.0, 0.15), "{spread}");
}

/// The extremes of what is let in give numbers.
#[test]
fn large_numbers_stay_numbers() {
    let mut weights = Weights::zero();
    weights.parts_mut().into_iter().for_each(|matrix| matrix.as_flattened_mut().fill(1e6));
    let attention = Attention::with(weights, 1e-3).unwrap();
    let mut made = operators(20, &mut Random(3));
    for operator in &mut made {
        operator.features = operator.features.map(|x| if x > 0.0 { 1e6 } else { -1e6 });
        operator.cost *= 1e15;
    }
    let dag = Dag::new(made).unwrap();
    let odd = [
        Mechanism::CriticalPath { gain: f32::NAN, width: 0.0 },
        Mechanism::MinCutGated { threshold: 0.0 },
        Mechanism::Lorentz { curvature: f32::NAN, gain: f32::INFINITY },
        Mechanism::ParallelBranch { beside: -1.0, shared: f32::INFINITY },
        Mechanism::TemporalBtsp { window: f64::NAN, boost: 0.0 },
    ];
    for mechanism in mechanisms().into_iter().chain(odd) {
        for query in 0..20 {
            let found = attention.attend(&dag, query, &mechanism).unwrap();
            assert!(near(found.weights.iter().sum(), 1.0, 1e-5), "{mechanism:?}");
            assert!(found.embedding.iter().all(|x| x.is_finite()));
        }
    }
}

/// A logit that is no number counts as 0.
#[test]
fn endless_biases_say_nothing() {
    let dag = dag(25, 1);
    let (endless, none) = [f32::INFINITY, 0.0].map(|shared| Mechanism::ParallelBranch { beside: 1.0, shared }).into();
    (0..25).for_each(|query| assert_eq!(factors(&dag, query, endless), factors(&dag, query, none)));
}

/// All seven of one plan mix, and the mean of a plan's points weighs by them.
#[test]
fn mechanisms_mix() {
    let (dag, attention, mut ensemble) = (dag(30, 8), Attention::new(2), Ensemble::new(7, 1.0));
    assert!(ensemble.learn(&[0.1, 0.9, 0.3, 0.0, 1.0, 0.5, 0.2]));
    let all = Mechanism::ALL.map(|mechanism| attention.attend(&dag, dag.sink(), &mechanism).unwrap());
    let mixed = ensemble.mix(&all).unwrap();
    assert!(near(mixed.weights.iter().sum(), 1.0, 1e-5));
    let points: Vec<_> = (0..30).map(|at| attention.point(&dag, at).unwrap()).collect();
    let middle = centroid(mixed.weights.iter().copied().zip(&points)).unwrap();
    let farthest = points.iter().map(|point| point.distance(&points[dag.sink()], 1.0)).fold(0.0, f64::max);
    assert!(middle.distance(&points[dag.sink()], 1.0) < farthest && attention.point(&dag, 30).is_none());
    assert!(members(Mechanism::Uniform.neighbourhood(&dag, dag.sink())).count() == 30);
    assert!(Mechanism::ALL.iter().all(|mechanism| !mechanism.name().is_empty()));
}

//! Golden files with feedback and what was learned. Its numbers are made up: learning may change, these files may not.

use crate::golden::{Golden, Model, id_json};
use rvf_engine::store::Edit;
use rvf_engine::{Dtype, Feedback, IdType, Kind, Metric, Schema, Snapshot};
use rvf_format::payload::tensors::{self, Named, TensorsView};
use rvf_format::payload::witness::Operation;
use rvf_format::storage::Bytes;
use serde_json::{Map, Value, json};

/// The files: numeric ids with a branch that goes on, one that forgets, and string ids; a planner's state beside a graph, and in a parent
/// whose branch has none.
pub fn all() -> Vec<Golden> {
    let mut parent = at("branch-learned.rvf", 35);
    let mut child = parent.branch("branch-learned-child.rvf", 32, None);
    record(&mut child, &[(&[3], &[4, 3], 0)]);
    learn(&mut child, Kind::GRAPH, &[("ranker.margin", &[1], &[0.5])]);
    let mut forgetful = parent.branch("branch-learned-forgetful.rvf", 33, None);
    record(&mut forgetful, &[(&[], &[5], 0)]);
    forgetful.db.reset_learned(true).unwrap();
    forgetful.note();
    record(&mut forgetful, &[(&[2, 1], &[1], 20)]);
    let mut strings = Model::new(Schema { id_type: IdType::Str, ..Schema::new(3, Metric::L2) }, 34);
    strings.put(0..5);
    record(&mut strings, &[(&[4, 0, 2], &[2], 0), (&[1], &[], 0)]);
    let schema = Schema { dtype: Dtype::U8, ..Schema::new(4, Metric::L2) };
    let mut parent_of_plan = planned(Model::at("branch-planned.rvf", schema, 37), 0);
    let mut child_of_plan = parent_of_plan.branch("branch-planned-child.rvf", 39, None);
    child_of_plan.put([3]);
    vec![
        model().finish("learned"),
        parent.finish("branch-learned"),
        child.finish("branch-learned-child"),
        forgetful.finish("branch-learned-forgetful"),
        strings.finish("learned-strings"),
        planned(Model::at("planned.rvf", schema, 36), 1010).finish("planned"),
        parent_of_plan.finish("branch-planned"),
        child_of_plan.finish("branch-planned-child"),
    ]
}

/// A store with feedback in two commits, a learned order and a learned delta.
pub fn model() -> Model {
    at("learned.rvf", 31)
}

fn at(path: &'static str, seed: u64) -> Model {
    let mut model = Model::at(path, Schema::new(4, Metric::Cosine), seed);
    model.put(0..8);
    record(&mut model, &[(&[5, 1, 7], &[1], 0), (&[], &[2, 6], 0)]);
    learn(
        &mut model,
        Kind::GRAPH,
        &[("ranker.margin", &[1], &[0.25]), ("ranker.weights", &[2, 3], &[1.0, -2.0, 0.5, 0.0, 3.0, 4.0])],
    );
    learn(&mut model, Kind::OVERLAY, &[("a", &[1, 4], &[0.5, 0.25, -1.0, 2.0]), ("b", &[4, 1], &[1.0; 4])]);
    record(&mut model, &[(&[0, 3], &[], 10)]);
    model
}

/// What was shown, what was chosen, and how many stood before.
type Told<'t> = (&'t [u64], &'t [u64], u32);

fn record(model: &mut Model, told: &[Told<'_>]) {
    let feedback: Vec<Feedback> = told
        .iter()
        .enumerate()
        .map(|(at, (shown, chosen, position))| Feedback {
            query: (0..model.db.snapshot().schema().dimension).map(|x| 1.0 + at as f32 - x as f32 / 4.0).collect(),
            shown: shown.iter().map(|n| model.id(*n)).collect(),
            chosen: chosen.iter().map(|n| model.id(*n)).collect(),
            position: *position,
            weight: 0.5 + at as f32,
        })
        .collect();
    model.db.record(&feedback).unwrap();
    model.note();
}

fn learn(model: &mut Model, kind: Kind, tensors: &[Named<'_>]) {
    let mut edit = Edit::new(Operation::LEARN);
    edit.drafts.push(tensors::draft(kind, tensors.iter().copied()));
    model.commit_raw(&edit);
}

/// A store with a planner's state, its second; with `indexed` records under a graph, or a few without one.
fn planned(mut model: Model, indexed: u64) -> Model {
    model.put(0..indexed.max(6));
    if indexed > 0 {
        model.index(4);
    }
    plan(&mut model, &[("plan.version", &[1], &[1.0])]);
    let ids: Vec<u64> = model.db.snapshot().graphs().iter().map(|graph| graph.entry.segment_id.get()).collect();
    let graphs: Vec<f32> = ids.iter().flat_map(|id| pieces::<4>(*id)).collect();
    let (key, shape) = (pieces::<8>(0x0123_4567_89AB_CDEF), [ids.len() as u32, 4]);
    let arms = [48.0, 20.0, 1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 1.0, 96.0, 40.0, 2.0, 1.0, 8.0, 0.25, 1.0, 3.0, 1.5];
    let tensors: [Named<'_>; 8] = [
        ("plan.attention.0.query", &[2, 3], &[0.5, -0.5, 0.25, 1.0, 0.0, -2.0]),
        ("plan.cost", &[5], &[1.0, 0.125, 0.5, -0.25, 3.0]),
        ("plan.graphs", &shape, &graphs),
        ("plan.target", &[1], &[0.95]),
        ("plan.template.0.arms", &[2, 9], &arms),
        ("plan.template.0.bandit", &[2, 4], &[12.0, 0.75, 0.0625, 1.0, 3.0, 0.5, 0.25, 2.0]),
        ("plan.template.0.key", &[8], &key),
        ("plan.version", &[1], &[1.0]),
    ];
    plan(&mut model, &tensors);
    model
}

fn plan(model: &mut Model, tensors: &[Named<'_>]) {
    let edit = Edit::plan(&model.db.snapshot(), tensors.iter().copied());
    model.commit_raw(&edit);
}

/// A number of 64 bits in pieces, the lowest first.
fn pieces<const COUNT: usize>(number: u64) -> [f32; COUNT] {
    let bits = 64 / COUNT;
    std::array::from_fn(|at| ((number >> (at * bits)) & ((1 << bits) - 1)) as f32)
}

/// Adds what a snapshot holds of feedback and of what was learned to the truth about it.
pub fn learned_json(snapshot: &Snapshot, truth: &mut Value) {
    let feedback = snapshot.feedback().unwrap();
    if !feedback.is_empty() {
        truth["feedback"] = feedback
            .iter()
            .map(|event| {
                json!({
                    "time_ns": event.time_ns, "query": event.query, "weight": event.weight, "position": event.first_place,
                    "shown": event.shown.iter().map(id_json).collect::<Vec<_>>(),
                    "chosen": event.chosen.iter().map(id_json).collect::<Vec<_>>(),
                })
            })
            .collect();
    }
    for (kind, name) in [(Kind::GRAPH, "graph"), (Kind::OVERLAY, "overlay"), (Kind::POLICY_KERNEL, "plan")] {
        let tensors = tensors_of(snapshot, kind);
        if !tensors.is_empty() {
            truth[name] = Value::Object(tensors);
        }
    }
}

/// Those of the newest segment of the nearest file of the lineage that has one; a planner's state of the file itself.
fn tensors_of(snapshot: &Snapshot, kind: Kind) -> Map<String, Value> {
    let newest = |layer: &Snapshot| {
        let listed = layer.state().live.iter().filter(|entry| entry.kind() == kind && entry.space.get() == 0);
        let entry = *listed.max_by_key(|entry| entry.segment_id.get())?;
        let bytes = Bytes::from(&layer.file()[entry.offset.get() as usize..entry.end() as usize]);
        Some(TensorsView::parse(bytes, entry.offset.get(), kind).unwrap())
    };
    let layers = if kind == Kind::POLICY_KERNEL { 1 } else { usize::MAX };
    let view = snapshot.chain().take(layers).find_map(newest);
    let json = |(name, shape, values): (&str, Vec<u32>, Vec<f32>)| {
        (name.to_owned(), json!({"shape": shape, "values": values}))
    };
    view.iter().flat_map(TensorsView::tensors).map(json).collect()
}

//! `rvf info`: a store in a few numbers.

use super::learned::{self, info_json};
use super::parents::{Parent, open_with_or_without, parent_of};
use super::trusted::key_id;
use super::{Outcome, warn_of_damage};
use crate::args::ReadArgs;
use crate::failure::Failure;
use crate::output::{Ui, grouped, hex, size, time};
use clap::Args;
use rvf_engine::ingest::value_to_json;
use rvf_engine::{FieldInfo, GraphInfo, Info, Kind, KnownBranch, Policy, Snapshot, Value as Field};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Show what a store holds
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rvf info notes.rvf --json")]
pub(crate) struct InfoArgs {
    /// The store
    file: PathBuf,
    /// Show what was recorded of choices and learned from them, and what that gains
    #[arg(long)]
    learned: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(crate) fn run(args: &InfoArgs, ui: &Ui) -> Outcome {
    let opened = open_with_or_without(&args.file, &args.read, ui)?;
    opened.warn(ui);
    let snapshot = opened.snapshot;
    if args.learned {
        let info = snapshot.learned_info().map_err(Failure::of(&args.file))?;
        let value = json!({
            "file": args.file.display().to_string(), "epoch": snapshot.epoch(), "learned": info_json(&info),
        });
        ui.result(&value, || learned::tell(&info, ui))?;
        return Ok(0);
    }
    let info = snapshot.info().map_err(Failure::of(&args.file))?;
    let kin = Kin::of(&snapshot).map_err(Failure::of(&args.file))?;
    // Without its parents a branch knows neither its records nor its graphs.
    let is_whole = opened.missing.is_none();
    let fields = if is_whole { snapshot.field_infos() } else { Ok(Vec::new()) };
    let fields = fields.map_err(Failure::of(&args.file))?;
    let told = snapshot.tail().is_some_and(|tail| tail.holds_manifest);
    if info.tail_bytes > 0 && !told && args.read.at.is_none() {
        let length = size(info.tail_bytes);
        ui.warn(format!("{length} follow the last commit: an interrupted commit, or one whose root is damaged"));
    }
    let damaged = info.damaged_graphs;
    if damaged > 0 && is_whole {
        warn_of_damage(damaged, &args.file, ui);
    }
    let signed = Signed::of(&snapshot, ui).map_err(Failure::of(&args.file))?;
    ui.result(&to_json(args, &info, &kin, &signed, &fields), || tell(&info, &kin, &signed, &fields, ui))?;
    Ok(0)
}

/// Which commit is signed, as the file says: nobody's signature is judged.
struct Signed {
    epoch: Option<u64>,
    /// Whether that is the commit which is shown.
    newest: bool,
    signer: Option<String>,
    policy: Option<&'static str>,
}

impl Signed {
    fn of(snapshot: &Snapshot, ui: &Ui) -> rvf_engine::Result<Self> {
        let epoch = snapshot.signed_epoch();
        let notes = snapshot.notes().unwrap_or_else(|error| {
            ui.warn(format!("the signed notes cannot be read: {error}; `rvf verify` tells more"));
            Vec::new()
        });
        let name = |note: &rvf_engine::Note| note.signatures().first().map(|line| key_id(&line.name).to_owned());
        Ok(Self {
            epoch,
            newest: epoch == Some(snapshot.epoch()),
            signer: notes.last().and_then(name),
            policy: snapshot.policy()?.map(Policy::name),
        })
    }

    fn words(&self) -> String {
        let Some(epoch) = self.epoch else { return "no".to_owned() };
        let signer = self.signer.as_deref().unwrap_or("an unknown key");
        match self.newest {
            true => format!("by {signer}, as the file says (`rvf verify FILE --key PUB` judges that)"),
            false => format!("epoch {epoch} by {signer}, as the file says; what came after is not signed"),
        }
    }
}

/// What a file is to others of its lineage.
struct Kin {
    parent: Option<Parent>,
    pinned: Vec<u64>,
    branches: Vec<KnownBranch>,
}

impl Kin {
    fn of(snapshot: &Snapshot) -> rvf_engine::Result<Self> {
        let (parent, pinned) = (parent_of(snapshot)?, snapshot.pinned_epochs()?);
        Ok(Self { parent, pinned, branches: snapshot.known_branches()? })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        if let Some(parent) = &self.parent {
            let (words, depth) = (parent.words(), parent.needed.depth);
            facts
                .push(("branch of", format!("{words}; {} records of it, depth {depth}", grouped(parent.needed.count))));
        }
        if !self.pinned.is_empty() {
            let epochs: Vec<String> = self.pinned.iter().map(u64::to_string).collect();
            let branches = self.branches.len();
            facts.push(("kept epochs", format!("{} for branches, known: {branches}", shortened(&epochs.join(", ")))));
        }
        facts
    }
}

/// Characters of a value that the table shows at most.
const MOST_CHARS: usize = 44;

/// What the live bytes are for.
const PARTS: [(&str, Kind); 18] = [
    ("vectors", Kind::VEC),
    ("index", Kind::INDEX),
    ("codes", Kind::QUANT),
    ("deletions", Kind::JOURNAL),
    ("audit", Kind::WITNESS),
    ("trees", Kind::TREE),
    ("signatures", Kind::CRYPTO),
    ("metadata", Kind::META),
    ("changed metadata", Kind::DELTA),
    ("metadata index", Kind::META_IDX),
    ("hidden rows", Kind::COW_MAP),
    ("view", Kind::MEMBERSHIP),
    ("branches", Kind::REFCOUNT),
    ("feedback", Kind::FEEDBACK),
    ("learned order", Kind::GRAPH),
    ("learned deltas", Kind::OVERLAY),
    ("learned plans", Kind::POLICY_KERNEL),
    ("manifest", Kind::MANIFEST),
];

fn parts(info: &Info) -> Vec<(&'static str, u64)> {
    let of = |kind| info.bytes_by_kind.get(&kind).copied().unwrap_or(0);
    let mut parts: Vec<(&str, u64)> = PARTS.iter().map(|(name, kind)| (*name, of(*kind))).collect();
    let told: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
    parts.push(("other", info.live_bytes.saturating_sub(told)));
    parts
}

fn dead_share(graph: &GraphInfo) -> f64 {
    graph.records.saturating_sub(graph.live) as f64 / graph.records.max(1) as f64
}

fn walks_on(graph: &GraphInfo) -> String {
    match graph.codes {
        Some(_) => format!("{} codes, {} bytes", graph.code, graph.code_bytes),
        None => "stored rows".to_owned(),
    }
}

fn graph_json(graph: &GraphInfo) -> Value {
    let point = |(ef, recall): &(u32, f64)| json!({ "ef": ef, "recall": recall });
    json!({
        "segment": graph.segment,
        "records": graph.records,
        "live": graph.live,
        "dead_share": dead_share(graph),
        "m": graph.m,
        "ef_construction": graph.ef_construction,
        "code": graph.code,
        "code_bytes": graph.code_bytes,
        "codes_segment": graph.codes,
        "bytes": graph.bytes,
        "effort": graph.effort.iter().map(point).collect::<Vec<Value>>(),
    })
}

fn tell(info: &Info, kin: &Kin, signed: &Signed, fields: &[FieldInfo], ui: &Ui) -> Result<(), Failure> {
    ui.facts(&[facts(info, signed), kin.facts()].concat())?;
    let row = |(name, bytes): (&str, u64)| {
        let each = bytes as f64 / info.count.max(1) as f64;
        let share = bytes as f64 * 100.0 / info.live_bytes.max(1) as f64;
        vec![name.to_owned(), size(bytes), format!("{share:.1} %"), format!("{each:.1}")]
    };
    let rows: Vec<Vec<String>> = parts(info).into_iter().filter(|(_, bytes)| *bytes > 0).map(row).collect();
    ui.line("")?;
    ui.table(&["live part", "size", "share", "bytes a record"], &rows)?;
    tell_fields(fields, ui)?;
    if info.graphs.is_empty() {
        return Ok(());
    }
    let row = |graph: &GraphInfo| {
        let curve: Vec<String> = graph.effort.iter().map(|(ef, recall)| format!("{ef}: {recall:.3}")).collect();
        vec![
            graph.segment.to_string(),
            grouped(graph.records),
            format!("{:.1} %", dead_share(graph) * 100.0),
            graph.m.to_string(),
            graph.ef_construction.to_string(),
            walks_on(graph),
            curve.join(", "),
        ]
    };
    let rows: Vec<Vec<String>> = info.graphs.iter().map(row).collect();
    ui.line("")?;
    ui.table(&["graph", "records", "dead", "m", "ef construction", "walks on", "recall@10 by ef, as built"], &rows)
}

fn tell_fields(fields: &[FieldInfo], ui: &Ui) -> Result<(), Failure> {
    if fields.is_empty() {
        return Ok(());
    }
    let row = |field: &FieldInfo| {
        let (value, count) = match &field.commonest {
            Some((Field::Str(text), count)) => (shortened(text), grouped(*count)),
            Some((value, count)) => (value_to_json(value).to_string(), grouped(*count)),
            None => Default::default(),
        };
        let (records, distinct) = (grouped(field.count), grouped(field.distinct));
        vec![field.name.clone(), field.field_type.to_string(), records, distinct, value, count]
    };
    let rows: Vec<Vec<String>> = fields.iter().map(row).collect();
    ui.line("")?;
    ui.table(&["field", "type", "records", "distinct", "commonest value", "its records"], &rows)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn field_json(field: &FieldInfo) -> Value {
    let mut value = json!({
        "name": field.name, "type": field.field_type.name(), "count": field.count, "distinct": field.distinct,
    });
    if let Some((commonest, count)) = &field.commonest {
        value["commonest"] = value_to_json(commonest);
        value["commonest_count"] = json!(count);
    }
    value
}

fn to_json(args: &InfoArgs, info: &Info, kin: &Kin, signed: &Signed, fields: &[FieldInfo]) -> Value {
    let kinds: Map<String, Value> =
        info.bytes_by_kind.iter().map(|(kind, bytes)| (kind.to_string(), json!(bytes))).collect();
    let branch = |branch: &KnownBranch| json!({ "epoch": branch.epoch, "file_id": hex(&branch.file_id) });
    let mut value = json!({
        "file": args.file.display().to_string(),
        "file_id": hex(&info.file_id),
        "dim": info.schema.dimension,
        "metric": info.schema.metric.name(),
        "dtype": info.schema.dtype.name(),
        "id_type": info.schema.id_type.name(),
        "count": info.count,
        "epoch": info.epoch,
        "root_hash": hex(&info.state_hash),
        "size_bytes": info.size_bytes,
        "live_bytes": info.live_bytes,
        "needed_bytes": info.needed_bytes,
        "segments": info.segments,
        "bytes": parts(info).into_iter().map(|(name, bytes)| (name.to_owned(), json!(bytes))).collect::<Map<_, _>>(),
        "bytes_by_kind": kinds,
        "dead_rows": info.dead_rows,
        "tail_bytes": info.tail_bytes,
        "fields": fields.iter().map(field_json).collect::<Vec<Value>>(),
        "indexed": info.indexed,
        "graphs": info.graphs.iter().map(graph_json).collect::<Vec<Value>>(),
        "signed": signed.newest,
        "signed_epoch": signed.epoch,
        "signer": signed.signer,
        "policy": signed.policy,
        "frozen": info.frozen,
        "pinned_epochs": kin.pinned,
        "branches": kin.branches.iter().map(branch).collect::<Vec<Value>>(),
        "model": info.model,
        "creator": info.creator,
        "created": time(info.created_ns),
        "modified": time(info.modified_ns),
        "format_version": info.format_version,
    });
    if let Some(parent) = &kin.parent {
        value["parent"] = parent.to_json();
    }
    value
}

fn facts(info: &Info, signed: &Signed) -> Vec<(&'static str, String)> {
    let schema = &info.schema;
    let live = info.live_bytes as f64 * 100.0 / info.size_bytes.max(1) as f64;
    let index = match info.indexed {
        0 => "none: searches compare all records".to_owned(),
        indexed => format!("{} of {} records, graphs: {}", grouped(indexed), grouped(info.count), info.graphs.len()),
    };
    let mut facts = vec![
        ("file id", hex(&info.file_id)),
        ("vectors", format!("{} x {}, {}", schema.dimension, schema.dtype, schema.metric)),
        ("ids", schema.id_type.to_string()),
        ("records", format!("{} ({} dead rows still take space)", info.count, info.dead_rows)),
        ("epoch", info.epoch.to_string()),
        ("root hash", hex(&info.state_hash)),
        ("size", format!("{}, {live:.0} % live, {} segments", size(info.size_bytes), info.segments)),
        ("index", index),
        ("signed", signed.words()),
        ("created", time(info.created_ns)),
        ("modified", time(info.modified_ns)),
        ("format", format!("version {}", info.format_version)),
    ];
    if let Some(model) = &info.model {
        facts.push(("model", model.clone()));
    }
    if let Some(creator) = &info.creator {
        facts.push(("creator", creator.clone()));
    }
    if info.frozen {
        facts.push(("frozen", "yes".to_owned()));
    }
    facts
}

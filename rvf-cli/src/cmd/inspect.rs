//! `rvf inspect`: the map of a file, a segment of it, or its bytes.

use super::Outcome;
use super::parents::{open_with_or_without, parent_of};
use crate::args::ReadArgs;
use crate::failure::Failure;
use crate::output::{Ui, hex, plain, short_hex, size, time};
use clap::Args;
use rvf_engine::{Kind, SegmentInfo, Snapshot};
use rvf_format::lineage::Merged;
use rvf_format::payload::{index, quant, vec};
use rvf_format::segment::Payload;
use rvf_format::storage::{Access, FilePlace, Place, Storage};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Show the map of a store: its segments, its manifest, its bytes
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  rvf inspect notes.rvf\n  rvf inspect notes.rvf --segment 2\n  \
    rvf inspect notes.rvf --hex 0x1000:64")]
pub(crate) struct InspectArgs {
    /// The store
    file: PathBuf,
    /// Show this segment and its sections only
    #[arg(long, value_name = "ID", conflicts_with = "hex")]
    segment: Option<u64>,
    /// Show bytes of the file, damaged or not: 256 from OFFSET on, or LEN; decimal or 0x..
    #[arg(long, value_name = "OFFSET[:LEN]", value_parser = parse_range)]
    hex: Option<(u64, u64)>,
    #[command(flatten)]
    read: ReadArgs,
}

const MAX_HEX: u64 = 1 << 20;

fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).map_err(|error| error.to_string()),
        None => text.parse().map_err(|_| format!("\"{text}\" is no offset")),
    };
    let (offset, length) = text.split_once(':').unwrap_or((text, "256"));
    let (offset, length) = (number(offset)?, number(length)?);
    if !(1..=MAX_HEX).contains(&length) {
        return Err(format!("the length is 1 to {MAX_HEX}"));
    }
    Ok((offset, length))
}

pub(crate) fn run(args: &InspectArgs, ui: &Ui) -> Outcome {
    if let Some((offset, length)) = args.hex {
        return dump(args, offset, length, ui);
    }
    let opened = open_with_or_without(&args.file, &args.read, ui)?;
    opened.warn(ui);
    let snapshot = opened.snapshot;
    let mut segments = snapshot.segments().map_err(Failure::of(&args.file))?;
    match args.segment {
        Some(wanted) => {
            segments.retain(|segment| segment.id == wanted);
            let Some(segment) = segments.first() else {
                let message = format!("no segment {wanted} ({})", args.file.display());
                return Err(Failure::no("segment_absent", message, "`rvf inspect FILE` lists all segments"));
            };
            one(args, &snapshot, segment, ui)?;
        }
        None => map(args, &snapshot, &segments, ui)?,
    }
    Ok(0)
}

fn segment_json(segment: &SegmentInfo) -> Value {
    json!({
        "id": segment.id,
        "kind": segment.kind.to_string(),
        "offset": segment.offset,
        "length": segment.length,
        "epoch": segment.epoch,
        "live": segment.live,
        "hash": hex(&segment.hash),
        "base_row": segment.base_row,
        "rows": segment.rows,
    })
}

fn map(args: &InspectArgs, snapshot: &Snapshot, segments: &[SegmentInfo], ui: &Ui) -> Result<(), Failure> {
    let parent = parent_of(snapshot).map_err(Failure::of(&args.file))?;
    let merged = snapshot.merged().map_err(Failure::of(&args.file))?;
    let merged_json = |merged: &Merged| {
        let (file_id, hash) = (hex(&merged.file_id), hex(&merged.state_hash));
        json!({ "file_id": file_id, "epoch": merged.epoch, "root_hash": hash })
    };
    let mut value = json!({
        "file": args.file.display().to_string(),
        "segments": segments.iter().map(segment_json).collect::<Vec<Value>>(),
        "manifest": manifest_json(snapshot),
        "merged": merged.iter().map(merged_json).collect::<Vec<Value>>(),
    });
    if let Some(parent) = &parent {
        value["parent"] = parent.to_json();
    }
    ui.result(&value, || {
        let cells = |segment: &SegmentInfo| {
            let rows = if segment.rows == 0 { String::new() } else { segment.rows.to_string() };
            vec![
                segment.id.to_string(),
                segment.kind.to_string(),
                segment.offset.to_string(),
                size(segment.length),
                segment.epoch.to_string(),
                if segment.live { "live" } else { "dead" }.to_owned(),
                rows,
                short_hex(&segment.hash),
            ]
        };
        let rows: Vec<Vec<String>> = segments.iter().map(cells).collect();
        ui.table(&["id", "kind", "offset", "length", "epoch", "state", "rows", "hash"], &rows)?;
        let root = snapshot.root();
        let (offset, length) = (root.manifest_offset.get(), size(root.manifest_length.get()));
        ui.line(format!(
            "\nepoch {}: manifest at {offset}, {length}, root at {}",
            root.epoch(),
            root.own_offset.get()
        ))?;
        if let Some(parent) = &parent {
            let (file, hash) = (hex(&parent.needed.file_id), short_hex(&parent.needed.state_hash));
            let (first, words) = (parent.needed.first_row, plain(&parent.words()));
            ui.line(format!("branch of {words}: file {file}, root hash {hash}; rows from {first} on are its own"))?;
        }
        merged.iter().try_for_each(|merged| {
            let (file, hash) = (hex(&merged.file_id), short_hex(&merged.state_hash));
            ui.line(format!("merged: epoch {} of file {file}, root hash {hash}", merged.epoch))
        })
    })
}

/// The fields of the root and its manifest.
fn manifest_json(snapshot: &Snapshot) -> Value {
    let (root, schema) = (snapshot.root(), snapshot.schema());
    json!({
        "epoch": root.epoch(),
        "offset": root.manifest_offset.get(),
        "length": root.manifest_length.get(),
        "root_offset": root.own_offset.get(),
        "previous_root": root.previous_root.get(),
        "since_full": root.since_full.get(),
        "manifest_hash": hex(&root.manifest_hash),
        "root_hash": hex(&root.state_hash),
        "file_id": hex(&root.file_id),
        "dim": schema.dimension,
        "dtype": schema.dtype.name(),
        "metric": schema.metric.name(),
        "id_type": schema.id_type.name(),
        "live_count": root.live_count.get(),
        "next_row": root.next_row.get(),
        "next_id": root.next_id.get(),
        "next_segment_id": root.next_segment_id.get(),
        "witness_size": root.witness_size.get(),
        "witness_head": hex(&root.witness_head),
        "features_compatible": root.features_compatible.get(),
        "features_read_only": root.features_read_only.get(),
        "features_incompatible": root.features_incompatible.get(),
        "frozen": root.is_frozen(),
        "created": time(root.created_ns.get()),
        "modified": time(root.modified_ns.get()),
        "live_segments": snapshot.state().live.iter().map(|entry| entry.segment_id.get()).collect::<Vec<u64>>(),
        "facts": snapshot.state().facts.iter().map(|(tag, value)| json!({ "tag": tag, "value": hex(value) }))
            .collect::<Vec<Value>>(),
    })
}

/// The payload of a segment; none where it has no section table that this version reads.
fn payload(snapshot: &Snapshot, segment: &SegmentInfo) -> Option<Payload> {
    let bytes = snapshot.file().slice(segment.offset as usize, segment.length as usize)?;
    let readable = segment.kind.has_payload_rules() && segment.kind != Kind::FILE;
    readable.then(|| Payload::parse(bytes, segment.offset, segment.kind, &[1, 2]).ok())?
}

/// Tag, file offset and length of each section.
fn sections(payload: Option<&Payload>, segment: &SegmentInfo) -> Vec<(u32, u64, u64)> {
    let entries = payload.into_iter().flat_map(|payload| payload.entries());
    entries.map(|entry| (entry.tag.get(), segment.offset + entry.offset.get(), entry.length.get())).collect()
}

/// The facts of kinds that have some, under the names of the specification.
fn facts(payload: Option<&Payload>, kind: Kind) -> Vec<(&'static str, u64)> {
    let Some(payload) = payload else { return Vec::new() };
    match kind {
        Kind::VEC => payload.facts(vec::TAG_FACTS).map(vec_facts).unwrap_or_default(),
        Kind::INDEX => payload.facts(index::TAG_FACTS).map(index_facts).unwrap_or_default(),
        Kind::QUANT => payload.facts(quant::TAG_FACTS).map(quant_facts).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn vec_facts(facts: vec::VecFacts) -> Vec<(&'static str, u64)> {
    vec![
        ("dimension", facts.dimension.get().into()),
        ("dtype", facts.dtype.into()),
        ("id_type", facts.id_type.into()),
        ("count", facts.count.get().into()),
        ("stride", facts.stride.get().into()),
    ]
}

fn index_facts(facts: index::IndexFacts) -> Vec<(&'static str, u64)> {
    vec![
        ("nodes", facts.nodes.get().into()),
        ("degree", facts.degree.get().into()),
        ("pivots", facts.pivots.get().into()),
        ("cells", facts.cells.get().into()),
        ("stride", facts.stride.get().into()),
        ("code", facts.code.into()),
        ("m", facts.m.get().into()),
        ("ef_construction", facts.ef_construction.get().into()),
        ("seed", facts.seed.get()),
        ("linked", facts.linked.get().into()),
    ]
}

fn quant_facts(facts: quant::QuantFacts) -> Vec<(&'static str, u64)> {
    vec![
        ("dimension", facts.dimension.get().into()),
        ("stride", facts.stride.get().into()),
        ("count", facts.count.get().into()),
        ("code", facts.code.into()),
        ("step", facts.step.get().into()),
    ]
}

fn one(args: &InspectArgs, snapshot: &Snapshot, segment: &SegmentInfo, ui: &Ui) -> Result<(), Failure> {
    let payload = payload(snapshot, segment);
    let (sections, facts) = (sections(payload.as_ref(), segment), facts(payload.as_ref(), segment.kind));
    snapshot.check().map_err(Failure::of(&args.file))?;
    let section = |(tag, offset, length): &(u32, u64, u64)| json!({ "tag": tag, "offset": offset, "length": length });
    let value = json!({
        "segments": [segment_json(segment)],
        "facts": facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<Map<_, _>>(),
        "sections": sections.iter().map(section).collect::<Vec<Value>>(),
        "manifest": manifest_json(snapshot),
    });
    ui.result(&value, || {
        ui.facts(&[
            ("segment", format!("{} {}", segment.id, segment.kind)),
            ("offset", segment.offset.to_string()),
            ("length", format!("{} ({} bytes)", size(segment.length), segment.length)),
            ("epoch", segment.epoch.to_string()),
            ("live", segment.live.to_string()),
            ("rows", format!("{} from row {}", segment.rows, segment.base_row)),
            ("hash", hex(&segment.hash)),
        ])?;
        if !facts.is_empty() {
            ui.line("\nfacts:")?;
            ui.facts(&facts.iter().map(|(name, value)| (*name, value.to_string())).collect::<Vec<_>>())?;
        }
        if sections.is_empty() {
            return Ok(());
        }
        ui.line("")?;
        let cells =
            |(tag, offset, length): &(u32, u64, u64)| vec![tag.to_string(), offset.to_string(), length.to_string()];
        let rows: Vec<Vec<String>> = sections.iter().map(cells).collect();
        ui.table(&["section", "offset", "bytes"], &rows)
    })
}

/// Bytes of the file as they are, whatever it is.
fn dump(args: &InspectArgs, offset: u64, length: u64, ui: &Ui) -> Outcome {
    let wrong = |error| Failure::of_io("reading", &args.file, error);
    let storage: Arc<dyn Storage> = FilePlace.open(&args.file, Access::Read).map_err(wrong)?;
    let end = storage.len().map_err(wrong)?;
    if offset >= end {
        let message = format!("offset {offset} is past the end of {end} bytes ({})", args.file.display());
        return Err(Failure::usage("offset", message, format!("choose an offset from 0 to {}", end.saturating_sub(1))));
    }
    let mut bytes = vec![0; length.min(end - offset) as usize];
    storage.read_at(&mut bytes, offset).map_err(wrong)?;
    let value = json!({ "hex": { "offset": offset, "length": bytes.len(), "bytes": hex(&bytes) } });
    ui.result(&value, || {
        for (index, line) in bytes.chunks(16).enumerate() {
            let pairs: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            let letter = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
            let text: String = line.iter().map(letter).collect();
            ui.line(format!("{:010x}  {:47}  {text}", offset + index as u64 * 16, pairs.join(" ")))?;
        }
        Ok(())
    })?;
    Ok(0)
}

//! All that a snapshot sees, as a file that needs no parent: segments are copied as they are, whichever file of the lineage they stand
//! in, and rows that are dead get a journal. Row numbers stay, so graphs and changes of metadata do.
//!
//! ```text
//! FILE, facts | segments of the oldest file | ... of its branch | ... | rows gathered of mostly dead segments | JOURNAL | MANIFEST
//! ```

use super::append::Appender;
use super::audit::next_entry;
use super::commit::{Change, Context, append_file_segment, new_root, seal};
use super::compaction::gather;
use super::feedback::draft as feedback_draft;
use super::snapshot::Snapshot;
use super::tensors::draft as tensors_draft;
use crate::Result;
use rvf_format::Kind;
use rvf_format::manifest::{Facts, ManifestEntry};
use rvf_format::payload::tree::TreeView;
use rvf_format::payload::witness::Operation;
use rvf_format::payload::{journal, meta};
use rvf_format::root::RootPage;
use rvf_format::storage::Storage;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Told how many bytes are written, of about how many.
pub(crate) type Copied<'a> = &'a mut dyn FnMut(u64, u64) -> std::ops::ControlFlow<()>;

/// Writes the file. The caller syncs.
///
/// # Errors
/// [`crate::Error::Io`], [`crate::Error::Interrupted`]; corruption of what is copied, which is held against its hash first.
pub(crate) fn write(
    source: &Snapshot,
    (storage, path): (&dyn Storage, &Path),
    file_id: [u8; 16],
    context: &Context,
    progress: Copied<'_>,
) -> Result<RootPage> {
    let chosen = Chosen::of(source)?;
    let mut root = new_root(source.schema(), file_id, context.clock.now_ns());
    root.next_id = source.root().next_id;
    root.live_count = source.root().live_count;
    let mut appender = Appender::new(storage, path, 0, 0);
    append_file_segment(&mut appender, &root)?;
    appender.next_segment_id = source.chain().map(|layer| layer.root().next_segment_id.get()).max().unwrap_or(1);
    let facts = source.meta()?;
    if !facts.is_empty() {
        appender.append(&meta::draft(&facts))?;
    }
    let mut layers: Vec<&Snapshot> = source.chain().collect();
    layers.reverse();
    for (oldest, layer) in layers.into_iter().enumerate().map(|(index, layer)| (index == 0, layer)) {
        copy_layer(&mut appender, source, layer, &chosen, oldest, progress)?;
    }
    let mut next_row = source.root().next_row.get();
    gather(&mut appender, source, chosen.gathered.iter().copied(), &mut next_row)?;
    append_journal(&mut appender, source, &chosen.gathered)?;
    append_learned(&mut appender, source)?;
    root.next_row.set(next_row);
    let entry = next_entry(None, Operation::FLATTEN, &source.commit_id().to_string(), &context.actor);
    let change = Change { full: true, removed: Vec::new(), facts: Facts::new() };
    let sealed = seal(&mut appender, root, (&[], &Facts::new()), change, entry, context.signer.as_deref())?;
    Ok(sealed.write(&mut appender)?.root)
}

/// What becomes of the parts of a snapshot.
struct Chosen {
    /// Parts whose live rows are gathered: most of their rows are dead.
    gathered: BTreeSet<u32>,
    /// Graphs that stay: all their rows do, and they are intact.
    graphs: BTreeSet<usize>,
    /// Bytes to be copied, about.
    bytes: u64,
}

impl Chosen {
    fn of(source: &Snapshot) -> Result<Self> {
        let mut chosen = Self { gathered: BTreeSet::new(), graphs: BTreeSet::new(), bytes: 0 };
        for part in 0..source.parts().len() as u32 {
            let entry = &source.parts()[part as usize].entry;
            if source.live_in(part)? * 2 < u64::from(entry.rows.get()) {
                chosen.gathered.insert(part);
            }
            chosen.bytes = chosen.bytes.saturating_add(entry.length.get());
        }
        for (at, view) in source.sound_graphs() {
            let stays = view.parts.iter().all(|part| !chosen.gathered.contains(part));
            if stays && source.graphs()[at].is_intact(source) {
                chosen.graphs.insert(at);
                chosen.bytes = chosen.bytes.saturating_add(source.graphs()[at].entry.length.get());
            }
        }
        Ok(chosen)
    }

    /// Ids of the segments of a file that are copied.
    fn of_layer(&self, source: &Snapshot, layer: &Snapshot) -> BTreeSet<u64> {
        let depth = layer.depth();
        let mut wanted = BTreeSet::new();
        let mut rows = BTreeSet::new();
        for (part, stored) in source.parts().iter().enumerate().filter(|(_, stored)| stored.depth == depth) {
            if !self.gathered.contains(&(part as u32)) {
                wanted.insert(stored.entry.segment_id.get());
                rows.insert((stored.entry.base_row.get(), stored.entry.rows.get()));
            }
        }
        for at in &self.graphs {
            let graph = &source.graphs()[*at];
            if graph.depth == depth {
                wanted.insert(graph.entry.segment_id.get());
                wanted.extend(graph.quant.map(|quant| quant.segment_id.get()));
            }
        }
        let goes = |entry: &&ManifestEntry| match entry.kind() {
            Kind::META | Kind::META_IDX if entry.space.get() == 0 => {
                rows.contains(&(entry.base_row.get(), entry.rows.get())) && entry.rows.get() > 0
            }
            kind if entry.space.get() == 0 && of_the_file(kind) => false,
            Kind::TREE | Kind::FILLER => false,
            _ => true,
        };
        wanted.extend(layer.state().live.iter().filter(goes).map(|entry| entry.segment_id.get()));
        wanted
    }
}

/// Kinds that are written anew, or are about the file rather than its records; graphs and rows are chosen one by one. A POLICY_KERNEL names
/// graphs by ids that hold in its own file.
fn of_the_file(kind: Kind) -> bool {
    let kinds = [
        Kind::FILE,
        Kind::VEC,
        Kind::INDEX,
        Kind::QUANT,
        Kind::JOURNAL,
        Kind::WITNESS,
        Kind::CRYPTO,
        Kind::COW_MAP,
        Kind::MEMBERSHIP,
        Kind::REFCOUNT,
        Kind::TREE,
        Kind::FEEDBACK,
        Kind::GRAPH,
        Kind::OVERLAY,
        Kind::POLICY_KERNEL,
    ];
    kinds.contains(&kind)
}

/// Copies what is wanted of one file. Ids of the oldest file stay, so that its hashes and trees do.
fn copy_layer(
    appender: &mut Appender<'_>,
    source: &Snapshot,
    layer: &Snapshot,
    chosen: &Chosen,
    oldest: bool,
    progress: Copied<'_>,
) -> Result<()> {
    let wanted = chosen.of_layer(source, layer);
    let trees = if oldest { trees(layer)? } else { BTreeMap::new() };
    // Of two DELTA segments the one with the larger id counts: in this order they get their ids.
    for entry in layer.state().live.iter().filter(|entry| wanted.contains(&entry.segment_id.get())) {
        if progress(appender.cursor, chosen.bytes.max(appender.cursor)).is_break() {
            return Err(crate::Error::Interrupted);
        }
        let bytes = source.intact_in(layer.depth(), entry)?;
        match oldest {
            false => appender.copy_anew(&bytes, entry)?,
            true => {
                let mut copied = *entry;
                copied.epoch.set(1);
                appender.copy(&bytes, &copied, false)?;
                if let Some(tree) = trees.get(&entry.segment_id.get()) {
                    let mut copied = *tree;
                    copied.epoch.set(1);
                    appender.copy(&source.intact_in(layer.depth(), tree)?, &copied, false)?;
                }
            }
        }
    }
    Ok(())
}

/// The hash trees of a file by the segment that they describe.
fn trees(layer: &Snapshot) -> Result<BTreeMap<u64, ManifestEntry>> {
    let mut trees = BTreeMap::new();
    for entry in layer.state().of_kind(Kind::TREE) {
        let tree = TreeView::parse(layer.segment(entry)?, entry.offset.get())?;
        trees.insert(tree.facts.segment_id.get(), *entry);
    }
    Ok(trees)
}

/// What was learned, and the feedback that counts.
fn append_learned(appender: &mut Appender<'_>, source: &Snapshot) -> Result<()> {
    let events = source.feedback()?;
    if !events.is_empty() {
        appender.append(&feedback_draft(source, 0, &events))?;
    }
    for kind in [Kind::GRAPH, Kind::OVERLAY] {
        if let Some((view, _)) = source.tensors(kind)? {
            appender.append(&tensors_draft(kind, &view))?;
        }
    }
    Ok(())
}

/// One journal of the dead rows of all parts that were copied.
fn append_journal(appender: &mut Appender<'_>, source: &Snapshot, gathered: &BTreeSet<u32>) -> Result<()> {
    let mut dead: Vec<u64> = Vec::new();
    for (part, bits) in source.dead()?.iter().enumerate().filter(|(part, _)| !gathered.contains(&(*part as u32))) {
        let base = source.parts()[part].entry.base_row.get();
        dead.extend(bits.iter().flat_map(|bits| bits.iter()).map(|row| base.saturating_add(u64::from(row))));
    }
    let words = journal::words_of(dead);
    if words.is_empty() { Ok(()) } else { appender.append(&journal::draft(&words)) }
}

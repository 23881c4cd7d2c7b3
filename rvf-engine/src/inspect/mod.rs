//! What a file is made of: [`Info`] in a few numbers, [`SegmentInfo`] for its map.

mod fields;

pub use fields::FieldInfo;

use crate::Result;
use crate::store::{Graph, GraphView, Snapshot};
use rvf_format::digest::Hash;
use rvf_format::limits::FORMAT_VERSION;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::index::{self, EffortPoint};
use rvf_format::payload::meta;
use rvf_format::recover::commit_at;
use rvf_format::segment::SegmentHeader;
use rvf_format::{Kind, Schema, chain};
use std::collections::BTreeMap;

/// A file in a few numbers.
#[derive(Clone, Debug)]
pub struct Info {
    /// The file id.
    pub file_id: [u8; 16],
    /// What it holds.
    pub schema: Schema,
    /// Live records.
    pub count: u64,
    /// The commit.
    pub epoch: u64,
    /// State hash of the commit.
    pub state_hash: Hash,
    /// Size up to the newest root, bytes.
    pub size_bytes: u64,
    /// Bytes of live segments, the manifest included.
    pub live_bytes: u64,
    /// About the bytes that compaction would leave: those of live records, and of pinned epochs.
    pub needed_bytes: u64,
    /// Number of live segments.
    pub segments: u64,
    /// Rows that are dead and still take space.
    pub dead_rows: u64,
    /// Bytes of live segments by kind.
    pub bytes_by_kind: BTreeMap<Kind, u64>,
    /// Bytes after the newest root, if a writer was interrupted.
    pub tail_bytes: u64,
    /// Whether the file takes no further commits.
    pub frozen: bool,
    /// Time of creation, nanoseconds since 1970.
    pub created_ns: u64,
    /// Time of the commit, nanoseconds since 1970.
    pub modified_ns: u64,
    /// The embedding model, if it was named.
    pub model: Option<String>,
    /// The software that created the file.
    pub creator: Option<String>,
    /// Version of the format.
    pub format_version: u32,
    /// Live records that a graph covers.
    pub indexed: u64,
    /// The graphs that searches walk, by their first row; damaged ones are left out.
    pub graphs: Vec<GraphInfo>,
    /// Graphs that break a sentence of the specification.
    pub damaged_graphs: usize,
}

/// A graph of the index.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphInfo {
    /// Its INDEX segment.
    pub segment: u64,
    /// Records that it was made of.
    pub records: u64,
    /// Those of them that are live.
    pub live: u64,
    /// Links that a new record chose at most.
    pub m: u32,
    /// Records that a new one chose its links from.
    pub ef_construction: u32,
    /// The QUANT segment of the codes that are walked on; `None` where stored rows are.
    pub codes: Option<u64>,
    /// What a walk reads of a record: "stored", its row; "sq8", a signed byte a component; "sq4", four bits a component of a
    /// projection.
    pub code: &'static str,
    /// Bytes a record that a walk reads.
    pub code_bytes: u32,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Candidates of a walk, and the mean recall@10 that was measured with so many.
    pub effort: Vec<(u32, f64)>,
}

/// One segment of a file's map.
#[derive(Clone, Debug)]
pub struct SegmentInfo {
    /// Its id.
    pub id: u64,
    /// Its kind.
    pub kind: Kind,
    /// File offset, bytes.
    pub offset: u64,
    /// Header and payload, bytes.
    pub length: u64,
    /// The commit that wrote it.
    pub epoch: u64,
    /// Whether the snapshot lists it.
    pub live: bool,
    /// BLAKE3 of header and payload; of a MANIFEST, its manifest hash.
    pub hash: Hash,
    /// First row, where the kind has rows.
    pub base_row: u64,
    /// Rows, where the kind has rows.
    pub rows: u32,
}

impl Snapshot {
    /// The file in a few numbers.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// let info = db.snapshot().info()?;
    /// assert_eq!((info.schema.dimension, info.count, info.segments), (2, 0, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Corruption of META segments, and of the manifests of pinned epochs.
    pub fn info(&self) -> Result<Info> {
        self.settle_own(self.gather_info())
    }

    fn gather_info(&self) -> Result<Info> {
        let (root, state) = (self.root(), self.state());
        let mut bytes_by_kind: BTreeMap<Kind, u64> = BTreeMap::new();
        let segments = state.live.iter().map(|entry| (entry.kind(), entry.length.get()));
        for (kind, length) in segments.chain([(Kind::MANIFEST, root.manifest_length.get())]) {
            // Segments of a file that was made to deceive may lie over each other.
            let bytes = bytes_by_kind.entry(kind).or_default();
            *bytes = bytes.saturating_add(length);
        }
        let own = self.own_parts().map(|part| u64::from(self.parts()[part as usize].entry.rows.get()));
        let rows: u64 = own.sum();
        // Without its parents a branch does not know which of its rows are live.
        let (live, needed_bytes) = match self.whole() {
            Err(_) => (rows, root.end()),
            Ok(()) if root.has_parent() => (self.own_live()?, self.needed_bytes()?),
            Ok(()) => (self.count(), self.needed_bytes()?),
        };
        let items = self.meta()?;
        let text = |tag| items.get(&tag).map(|value| String::from_utf8_lossy(value).into_owned());
        Ok(Info {
            file_id: root.file_id,
            schema: *self.schema(),
            count: self.count(),
            epoch: self.epoch(),
            state_hash: root.state_hash,
            size_bytes: root.end(),
            live_bytes: bytes_by_kind.values().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes)),
            needed_bytes,
            segments: state.live.len() as u64,
            dead_rows: rows.saturating_sub(live),
            bytes_by_kind,
            tail_bytes: self.tail().map_or(0, |tail| tail.length),
            frozen: root.is_frozen(),
            created_ns: root.created_ns.get(),
            modified_ns: root.modified_ns.get(),
            model: text(meta::MODEL),
            creator: text(meta::CREATOR),
            format_version: FORMAT_VERSION,
            indexed: self.indexed(),
            damaged_graphs: self.damaged_graphs(),
            graphs: self.sound_graphs().map(|(at, view)| graph_info(&self.graphs()[at], view)).collect(),
        })
    }

    /// Every segment up to this commit's root, in the order of their offsets.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// let kinds: Vec<String> = db.snapshot().segments()?.iter().map(|segment| segment.kind.to_string()).collect();
    /// assert_eq!(kinds, ["FILE", "META", "MANIFEST"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Corruption of roots, manifests and headers on the way.
    pub fn segments(&self) -> Result<Vec<SegmentInfo>> {
        self.settle_own(self.map())
    }

    fn map(&self) -> Result<Vec<SegmentInfo>> {
        let (listed, manifests) = self.listed()?;
        let end = self.root().end();
        let mut segments = Vec::new();
        let mut at = 0;
        while at < end {
            let bytes = self.file().get(at as usize..).unwrap_or_default();
            let header = SegmentHeader::read(bytes, at, end)?;
            let entry = listed.get(&at);
            let manifest = manifests.get(&at);
            segments.push(SegmentInfo {
                id: header.segment_id.get(),
                kind: header.kind(),
                offset: at,
                length: header.length(),
                epoch: entry.map_or(manifest.map_or(0, |manifest| manifest.0), |entry| entry.epoch.get()),
                live: self.is_live(header.segment_id.get()) || at == self.root().manifest_offset.get(),
                hash: entry.map_or(manifest.map_or([0; 32], |manifest| manifest.1), |entry| entry.hash),
                base_row: entry.map_or(0, |entry| entry.base_row.get()),
                rows: entry.map_or(0, |entry| entry.rows.get()),
            });
            at += header.length();
        }
        Ok(segments)
    }

    fn is_live(&self, id: u64) -> bool {
        self.state().live.binary_search_by_key(&id, |entry| entry.segment_id.get()).is_ok()
    }

    /// Segments that any manifest of the history lists, and manifests with their epoch and hash, by offset.
    #[allow(clippy::type_complexity, reason = "two maps that are used at once and nowhere else")]
    fn listed(&self) -> Result<(BTreeMap<u64, ManifestEntry>, BTreeMap<u64, (u64, Hash)>)> {
        let mut listed = BTreeMap::new();
        let mut manifests = BTreeMap::new();
        for root in chain::roots(self.file(), self.root()) {
            let root = root?;
            let commit = commit_at(self.file(), root.own_offset.get(), root.file_id)?;
            listed.extend(commit.manifest.added.iter().map(|entry| (entry.offset.get(), *entry)));
            manifests.insert(root.manifest_offset.get(), (root.epoch(), root.manifest_hash));
        }
        Ok((listed, manifests))
    }
}

fn graph_info(graph: &Graph, view: &GraphView) -> GraphInfo {
    let facts = view.index.facts();
    let quant = view.quant.as_ref().and(graph.quant);
    let point = |point: &EffortPoint| (point.ef.get(), f64::from(point.recall_ppm.get()) / 1e6);
    GraphInfo {
        segment: graph.entry.segment_id.get(),
        records: u64::from(facts.nodes.get()),
        live: u64::from(view.live),
        m: facts.m.get(),
        ef_construction: facts.ef_construction.get(),
        codes: quant.map(|quant| quant.segment_id.get()),
        code: match view.index.facts().code {
            index::CODE_SQ8 => "sq8",
            index::CODE_SQ4 => "sq4",
            _ => "stored",
        },
        code_bytes: view.index.facts().stride.get(),
        bytes: graph.entry.length.get() + quant.map_or(0, |quant| quant.length.get()),
        effort: view.index.effort().iter().map(point).collect(),
    }
}

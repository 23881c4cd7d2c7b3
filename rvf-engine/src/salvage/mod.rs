//! Salvage: every record of a damaged file that is provably intact, and what is lost.
//!
//! | file | owns |
//! | --- | --- |
//! | `mod.rs` | [`salvage`], [`Salvaged`], [`Loss`]: what is written, what is told |
//! | `ground.rs` | what stands in the file: root pages, manifests, segments |
//! | `prove.rs` | which segments were live, where manifests are damaged, too |
//! | `rows.rs` | which rows of a segment are intact |
//! | `fields.rs` | the metadata of rows, as far as it is intact and current |
//! | `later.rs` | what was written behind the newest commit that can be proven |
//! | `whole.rs` | an earlier epoch that lost nothing |
//!
//! A row is written if its bytes and its id have a hash that was stored for them: the BLAKE3 of a manifest's entry, a group of a hash
//! tree that leads to it, or, where the manifests that listed its segment are damaged, the content hash of the segment. Whether it is
//! *live* is another question: it is answered by the state hash of a root, and where it is not, that is said in [`Salvaged::lost`].
//! Metadata is written along with its row from META and DELTA segments with such a hash, all of a segment or nothing. Where it is
//! damaged, or a damaged DELTA of a commit that is proven may have changed it, the row is written without, and counted: never with what
//! it had before.

mod fields;
mod ground;
mod later;
mod prove;
mod rows;
mod whole;

use crate::Result;
use crate::store::{Bits, Fields, Id, Part, dead_rows};
use crate::value::Metadata;
use fields::Metas;
use ground::Ground;
use later::Later;
use prove::Proof;
use rows::{Rows, Trees};
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::journal::JournalView;
use rvf_format::payload::tree::TreeView;
use rvf_format::payload::vec::IdRef;
use rvf_format::storage::Bytes;
use rvf_format::{Error, Kind, Schema, digest};

/// Damage to a file, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The segment, where the damage is in one.
    pub segment: Option<u64>,
    /// Name of the segment's kind; `ROOT`, `TAIL` or `UNKNOWN` where it is about none.
    pub kind: &'static str,
    /// File offset, bytes.
    pub offset: u64,
    /// Rows that are lost, where their number is known.
    pub rows: Option<u64>,
    /// Ids of lost rows that are known, at most 1,000.
    pub ids: Vec<Id>,
    /// Records that are written without their metadata because of it, where there are any.
    pub fields: Option<u64>,
    /// What is wrong and what follows, for people.
    pub message: String,
}

impl Loss {
    fn of(entry: &ManifestEntry, message: impl Into<String>) -> Self {
        let kind = entry.kind().name().unwrap_or("UNKNOWN");
        Self { segment: Some(entry.segment_id.get()), ..Self::at(kind, entry.offset.get(), message) }
    }

    fn at(kind: &'static str, offset: u64, message: impl Into<String>) -> Self {
        Self { segment: None, kind, offset, rows: None, ids: Vec::new(), fields: None, message: message.into() }
    }

    fn counting(self, rows: u64) -> Self {
        Self { rows: Some(rows), ..self }
    }
}

/// What could be saved of a file.
pub struct Salvaged {
    /// Dimension, dtype, id type; the metric too, if a root is there.
    pub schema: Schema,
    /// The newest commit whose live records are known for certain; `None` if there is none.
    pub epoch: Option<u64>,
    /// Records that can be read.
    pub count: u64,
    /// Records among them whose metadata is damaged or not known: they are written without.
    pub without_fields: u64,
    /// Records that the newest whole root counts; `None` if no root is whole.
    pub expected: Option<u64>,
    /// What is lost, or not certain.
    pub lost: Vec<Loss>,
    /// Damage that costs no record.
    pub notes: Vec<Loss>,
    /// Where something is lost: the newest epoch all of whose records are intact with their metadata, and their number. It can be
    /// read as it is.
    pub whole: Option<(u64, u64)>,
    /// By ascending first row.
    rows: Vec<Rows>,
    metas: Metas,
    file: Bytes,
}

impl Salvaged {
    /// Whether what was read up to now was read from the file.
    ///
    /// # Errors
    /// [`crate::Error::Truncated`], [`crate::Error::Io`].
    pub(crate) fn check(&self) -> Result<()> {
        Ok(self.file.check(self.file.len())?)
    }

    /// Id and stored bytes of every record, in the order of rows.
    pub fn rows(&self) -> impl Iterator<Item = (IdRef<'_>, &[u8])> {
        self.kept().map(|(_, _, id, bytes)| (id, bytes))
    }

    /// [`Salvaged::rows`] with the metadata of each; `None` where that is damaged or not known.
    pub fn records(&self) -> impl Iterator<Item = (IdRef<'_>, &[u8], Option<Metadata>)> {
        self.kept().map(|(entry, row, id, bytes)| (id, bytes, self.metas.metadata(entry, row)))
    }

    /// The fields of the metadata that is known, and their types.
    pub fn fields(&self) -> &Fields {
        self.metas.fields()
    }

    fn kept(&self) -> impl Iterator<Item = (&ManifestEntry, u32, IdRef<'_>, &[u8])> {
        self.rows.iter().flat_map(|rows| {
            rows.kept().filter_map(|row| Some((&rows.entry, row, rows.view.id(row)?, rows.view.row(row))))
        })
    }
}

/// Saves what can be saved of a file of ours, whatever is damaged in it. The file is only read.
///
/// ```
/// use rvf_engine::salvage::salvage;
/// use rvf_engine::{Db, Metric, Schema};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("a.rvf");
/// Db::create(&path, &Schema::new(2, Metric::L2))?.add(&[1.0f32, 2.0])?;
/// let mut bytes = std::fs::read(&path)?;
/// bytes[0] ^= 1;
/// let saved = salvage(bytes.into())?;
/// assert_eq!((saved.count, saved.lost.len(), saved.notes.len()), (1, 0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`crate::Error::NotRvf`], [`crate::Error::PublishedRvf`], [`crate::Error::Newer`], a page size that is not ours;
/// [`crate::Error::NoRoot`] where neither a root nor a whole VEC segment tells what vectors are like.
pub fn salvage(file: Bytes) -> Result<Salvaged> {
    let ground = Ground::survey(file.clone())?;
    let proof = prove::newest(&ground);
    let later = Later::find(&ground, proof.as_ref());
    let schema = match ground.marks.last() {
        Some(mark) => mark.root.schema()?,
        None => later.schema(&ground).ok_or(Error::NoRoot)?,
    };
    let mut rescue = Rescue { ground: &ground, schema, lost: Vec::new(), notes: Vec::new(), rows: Vec::new() };
    let certain = rescue.read(proof.as_ref(), &later)?;
    if !certain {
        keep_newest(&mut rescue.rows);
    }
    let count = rescue.rows.iter().map(|rows| u64::from(rows.view.count() - rows.gone.ones())).sum();
    let Rescue { mut lost, mut notes, rows, .. } = rescue;
    let metas = metas(&ground, proof.as_ref(), &later);
    let without_fields = metas.losses(&rows, &mut lost, &mut notes);
    later.explain(&ground, proof.as_ref(), &mut lost);
    explain_gaps(proof.as_ref(), &mut notes);
    if let Some(mark) = ground.marks.last().filter(|mark| mark.root.has_parent()) {
        let message = "a branch: only its own records are saved; what it inherits stands in its parent's file, which `rvf info` names. Where neither is damaged, an export without --salvage writes them all";
        lost.push(Loss::at("MANIFEST", mark.root.manifest_offset.get(), message));
    }
    let epoch = proof.map(|proof| proof.state.root.epoch());
    let expected = ground.marks.last().map(|mark| mark.root.live_count.get());
    let whole = if lost.is_empty() { None } else { whole::newest_whole(&file) };
    let saved = Salvaged { schema, epoch, count, without_fields, expected, lost, notes, whole, rows, metas, file };
    saved.check()?;
    Ok(saved)
}

/// The metadata of space 0.
fn metas(ground: &Ground, proof: Option<&Proof>, later: &Later) -> Metas {
    let live: &[ManifestEntry] = proof.map_or(&[], |proof| &proof.state.live);
    let listed: Vec<&ManifestEntry> = live.iter().chain(&later.listed).filter(|entry| entry.space.get() == 0).collect();
    Metas::read(ground, &listed, later)
}

/// What is gathered while a file is read.
struct Rescue<'g> {
    ground: &'g Ground,
    schema: Schema,
    lost: Vec<Loss>,
    notes: Vec<Loss>,
    rows: Vec<Rows>,
}

impl Rescue<'_> {
    /// Reads rows and deletions; whether it is certain which rows are live.
    fn read(&mut self, proof: Option<&Proof>, later: &Later) -> Result<bool> {
        let live: &[ManifestEntry] = proof.map_or(&[], |proof| &proof.state.live);
        let trees = self.trees(live.iter().chain(&later.listed));
        let of_space = |entry: &&ManifestEntry| entry.space.get() == 0;
        let mut journals = Vec::new();
        let mut certain = later.is_empty();
        let all: Vec<&ManifestEntry> = live.iter().chain(&later.listed).chain(&later.found).filter(of_space).collect();
        for entry in all.iter().filter(|entry| entry.kind() == Kind::JOURNAL) {
            match self.journal(entry) {
                Some(journal) => journals.push(journal),
                None => certain = false,
            }
        }
        let vectors: Vec<&ManifestEntry> = all.into_iter().filter(|entry| entry.kind() == Kind::VEC).collect();
        let dead = self.dead(&vectors, &journals)?;
        for (entry, dead) in vectors.into_iter().zip(&dead) {
            let (rows, loss) = rows::read(self.ground, entry, &self.schema, &trees, dead);
            self.rows.extend(rows);
            match loss {
                Some(loss) if loss.rows == Some(0) => {
                    let message = "damaged, no record is lost: its rows were replaced or deleted";
                    self.notes.push(Loss::of(entry, message));
                }
                loss => self.lost.extend(loss),
            }
        }
        self.look_at_others(live);
        self.rows.sort_by_key(|rows| (rows.entry.base_row.get(), rows.entry.offset.get()));
        Ok(certain)
    }

    /// The hash trees that can be parsed; each is held against the hash of its segment before it is used.
    fn trees<'e>(&self, entries: impl Iterator<Item = &'e ManifestEntry>) -> Trees {
        let trees = entries.filter(|entry| entry.kind() == Kind::TREE);
        let parse = |entry: &ManifestEntry| {
            let bytes = self.ground.bytes(entry.offset.get(), entry.length.get())?;
            let tree = TreeView::parse(bytes, entry.offset.get()).ok()?;
            Some((tree.facts.segment_id.get(), tree))
        };
        trees.filter_map(parse).collect()
    }

    fn intact(&self, entry: &ManifestEntry) -> Option<Bytes> {
        let bytes = self.ground.bytes(entry.offset.get(), entry.length.get())?;
        (digest::blake3(&bytes) == entry.hash).then_some(bytes)
    }

    fn journal(&mut self, entry: &ManifestEntry) -> Option<JournalView> {
        let journal = self.intact(entry).and_then(|bytes| JournalView::parse(bytes, entry.offset.get()).ok());
        if journal.is_none() {
            let message = "the deletions recorded in it are unknown: some of the records written may have been deleted";
            self.lost.push(Loss::of(entry, message));
        }
        journal
    }

    /// Damage to what holds neither records nor their metadata.
    fn look_at_others(&mut self, live: &[ManifestEntry]) {
        let of_records = |entry: &ManifestEntry| match entry.kind() {
            Kind::VEC | Kind::JOURNAL => true,
            Kind::META | Kind::DELTA => entry.rows.get() > 0 && entry.space.get() == 0,
            _ => false,
        };
        for entry in live.iter().filter(|entry| !of_records(entry)) {
            if self.intact(entry).is_some() {
                continue;
            }
            let message = match entry.kind() {
                Kind::INDEX | Kind::QUANT => "damaged, no record is lost: `rvf index` builds the index anew",
                Kind::TREE => "damaged, no record is lost: a hash tree only tells where damage is",
                Kind::WITNESS => "damaged, no record is lost: entries of the log are",
                Kind::META_IDX => "damaged, no record is lost: it only finds what fields hold",
                Kind::META => "damaged, no record is lost: facts about the file are, such as the name of the model",
                Kind::FEEDBACK => "damaged, no record is lost: what was recorded of choices is",
                Kind::GRAPH | Kind::OVERLAY => "damaged, no record is lost: `rvf learn` learns anew",
                Kind::POLICY_KERNEL => "damaged, no record is lost: how to search best is learned anew",
                Kind::FILE => "damaged, no record is lost: it names the file",
                _ => "damaged, no record is lost",
            };
            self.notes.push(Loss::of(entry, message));
        }
    }

    /// The rows of each VEC segment that journals make dead.
    fn dead(&self, vectors: &[&ManifestEntry], journals: &[JournalView]) -> Result<Vec<Bits>> {
        let part = |entry: &&ManifestEntry| {
            let mut entry = **entry;
            // Bits are kept for no more rows than the segment has bytes for.
            if u64::from(entry.rows.get()).saturating_mul(self.schema.row_len() as u64) > entry.length.get() {
                entry.rows.set(0);
            }
            Part::new(entry, 0)
        };
        let parts: Vec<Part> = vectors.iter().map(part).collect();
        let dead = dead_rows(&parts, journals.iter().flat_map(JournalView::words), |_| Ok(()))?;
        Ok(dead.into_iter().map(Option::unwrap_or_default).collect())
    }
}

/// Of several rows with one id the newest counts, dead or alive: the others were replaced, or were deleted before it came.
fn keep_newest(rows: &mut [Rows]) {
    let total = rows.iter().map(|rows| rows.view.count() as usize).sum();
    let mut all: Vec<(u32, u32)> = Vec::with_capacity(total);
    for (at, rows) in rows.iter().enumerate() {
        all.extend((0..rows.view.count()).filter(|row| rows.id(*row).is_some()).map(|row| (at as u32, row)));
    }
    let id = |(at, row): &(u32, u32)| rows.get(*at as usize).and_then(|rows| rows.id(*row));
    // Segments stand by ascending first row: the newest row of an id comes first.
    all.sort_unstable_by(|a, b| id(a).cmp(&id(b)).then_with(|| b.cmp(a)));
    let older: Vec<bool> = all.windows(2).map(|pair| id(&pair[0]) == id(&pair[1])).collect();
    for ((at, row), _) in all.iter().skip(1).zip(older).filter(|(_, older)| *older) {
        if let Some(rows) = rows.get_mut(*at as usize) {
            rows.drop_row(*row);
        }
    }
}

/// Says that manifests are damaged though what they listed is known.
fn explain_gaps(proof: Option<&Proof>, notes: &mut Vec<Loss>) {
    let Some(proof) = proof else { return };
    for gap in &proof.gaps {
        let epoch = proof.state.root.epoch();
        let message = format!(
            "a manifest or root is damaged, no record is lost: what it listed was found again, and the state hash of epoch {epoch} proves it"
        );
        notes.push(Loss::at(Kind::MANIFEST.name().unwrap_or_default(), *gap, message));
    }
}

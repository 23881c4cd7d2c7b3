//! [`Snapshot`]: one commit of a file. Immutable; shared between threads without locks.

use super::graph::{self, Graph, GraphView, Use};
use super::metadata::MetaTable;
use super::rows::{DeadRows, Fault, Part, RowId};
use crate::Result;
use rvf_format::chain::{self, State};
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::meta;
use rvf_format::payload::vec::{IdRef, VecView};
use rvf_format::recover::{self, Commit, Extent, Tail};
use rvf_format::root::RootPage;
use rvf_format::storage::{Bytes, Storage};
use rvf_format::{Clause, Error, Kind, Schema, digest};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use zerocopy::IntoBytes;

/// How often a file may be cut while it is opened before that is an error.
const MOST_CUTS: u32 = 100;

/// One commit of a file: what was live when it was made.
///
/// Opening costs the root page and at most 64 manifests; segments are parsed when first touched and never copied. The snapshot of a
/// branch holds that of its parent, whose parts, graphs and metadata stand before its own.
#[derive(Debug)]
pub struct Snapshot {
    file: Bytes,
    state: State,
    pub(super) parent: Option<Arc<Self>>,
    /// Where a parent was found.
    pub(super) path: Option<PathBuf>,
    parts: Vec<Arc<Part>>,
    graphs: Vec<Graph>,
    /// What becomes of each graph, and the number of its codec.
    uses: OnceLock<Vec<(Use, u32)>>,
    metas: MetaTable,
    /// What of the file lies behind `file`.
    extent: Extent,
    dead: OnceLock<std::result::Result<DeadRows, Fault>>,
    /// Offsets of segments of this file whose bytes were found to be those that were committed: by this snapshot or one before it.
    judged: Arc<Mutex<BTreeSet<u64>>>,
}

impl Snapshot {
    /// The newest commit in `file`. That of a branch knows no parent: what it holds itself can be read, see [`Snapshot::whole`].
    ///
    /// # Errors
    /// Those of [`recover::newest`] and [`State::open`].
    pub fn newest(file: Bytes) -> Result<Self> {
        let commit = recover::newest(&file)?;
        let state = State::open(&file, commit)?;
        Ok(Self::of_state(file, state, None))
    }

    /// The bytes, up to the end of the newest root, of a file that another process may be writing. One that is cut meanwhile is taken
    /// for what it is then.
    pub(crate) fn committed(
        storage: &dyn Storage,
        path: &Path,
        read: impl Fn(u64) -> io::Result<Bytes>,
    ) -> Result<(Extent, Bytes)> {
        let mut tries = 0;
        loop {
            match recover::extent(storage).and_then(|extent| Ok((extent, read(extent.end)?))) {
                Ok(done) => return Ok(done),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && tries < MOST_CUTS => tries += 1,
                Err(error) => return Err(crate::Error::reading(path, error)),
            }
        }
    }

    /// The newest commit in `file`, which is as much of a file as `extent` says.
    pub(crate) fn within(file: Bytes, extent: Extent) -> Result<Self> {
        Ok(Self { extent, ..Self::newest(file)? })
    }

    /// The commit of `epoch` in the same file.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&[1.0f32, 2.0])?;
    /// db.add(&[3.0f32, 4.0])?;
    /// assert_eq!(db.snapshot().at_epoch(2)?.count(), 1);
    /// assert!(matches!(db.snapshot().at_epoch(9), Err(Error::NoEpoch { newest: 3, .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::NoEpoch`]; corruption of older roots and manifests.
    pub fn at_epoch(&self, epoch: u64) -> Result<Self> {
        let commit = chain::at_epoch(&self.file, &self.state.root, epoch).map_err(crate::Error::from);
        self.settle_own(commit.and_then(|commit| self.of_commit(commit)))
    }

    /// The commit whose root page stands at `offset`.
    pub(super) fn at_root(&self, offset: u64) -> Result<Self> {
        let commit = recover::commit_at(&self.file, offset, self.root().file_id)?;
        self.settle_own(self.of_commit(commit))
    }

    /// Another commit of the same file.
    fn of_commit(&self, commit: Commit) -> Result<Self> {
        let root = commit.root;
        let state = State::open(&self.file, commit)?;
        let of = |root: &RootPage| (root.parent_id, root.parent_hash, root.parent_epoch, root.lineage_depth);
        if of(&root) != of(self.root()) {
            let at = root.own_offset.get() + 0xF10;
            return Err(Error::corrupt(Clause::Root8, at, "a root names another parent than the newest one").into());
        }
        Ok(Self::of_state(self.file.clone(), state, self.parent.clone()))
    }

    pub(crate) fn of_state(file: Bytes, state: State, parent: Option<Arc<Self>>) -> Self {
        let depth = state.root.lineage_depth.get();
        let live = state.live.iter().filter(|entry| entry.kind() == Kind::VEC && entry.space.get() == 0);
        let mut own: Vec<Arc<Part>> = live.map(|entry| Arc::new(Part::new(*entry, depth))).collect();
        own.sort_by_key(|part| part.entry.base_row.get());
        let metas = MetaTable::new(&state.live, &own, depth, parent.as_deref());
        let mut graphs: Vec<Graph> =
            parent.iter().flat_map(|parent| parent.graphs.iter().map(Graph::inherited)).collect();
        graphs.extend(Graph::all(&state.live, depth));
        let mut parts = parent.as_ref().map_or_else(Vec::new, |parent| parent.parts.clone());
        parts.append(&mut own);
        let (extent, dead, judged, uses) = Default::default();
        Self { file, state, parent, path: None, parts, graphs, uses, metas, extent, dead, judged }
    }

    /// The same commit, of which `parent` is the commit that it goes on from.
    pub(super) fn on_top_of(self, parent: Arc<Self>) -> Self {
        let Self { file, state, path, extent, judged, .. } = self;
        Self { path, extent, judged, ..Self::of_state(file, state, Some(parent)) }
    }

    /// The same commit, found at `path`.
    pub(super) fn at_path(self, path: &Path) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    /// The bytes of the file, up to the end that was seen when the snapshot was opened.
    pub fn file(&self) -> &Bytes {
        &self.file
    }

    /// Whether what was read through this snapshot up to now was read from the file: it is as long as it was, no part of it that
    /// was read was missing, and the root page is what it was. Whatever answers from a snapshot asks this before it returns. Costs
    /// less than a microsecond; bytes that another program overwrites are for `verify` to find.
    ///
    /// # Errors
    /// [`crate::Error::Truncated`]; [`crate::Error::Io`] if the file does not tell its length.
    pub fn check(&self) -> Result<()> {
        self.check_own()?;
        match &self.parent {
            Some(parent) => parent.check().map_err(|error| parent.blame(error)),
            None => Ok(()),
        }
    }

    /// [`Snapshot::check`] of the file itself, without its parents.
    fn check_own(&self) -> Result<()> {
        let root = self.root();
        let end = usize::try_from(root.end()).unwrap_or(usize::MAX);
        self.file.check(end)?;
        // A file that was cut and is long again has zeros, or something else, at its end.
        let at = root.own_offset.get();
        let page = self.file.get(at as usize..end).unwrap_or_default();
        if page == root.as_bytes() { Ok(()) } else { Err(Error::Truncated { at }.into()) }
    }

    /// The result of reading, unless the file was cut meanwhile: then neither a value nor an error made of zeros counts.
    pub(crate) fn settle<T>(&self, result: Result<T>) -> Result<T> {
        self.check()?;
        result
    }

    /// [`Snapshot::settle`] of what the file itself holds.
    pub(crate) fn settle_own<T>(&self, result: Result<T>) -> Result<T> {
        self.check_own()?;
        result
    }

    /// Root, live segments and facts.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The root page.
    pub fn root(&self) -> &RootPage {
        &self.state.root
    }

    /// Dimension, dtype, metric, id type.
    pub fn schema(&self) -> &Schema {
        &self.state.schema
    }

    /// Number of the commit.
    pub fn epoch(&self) -> u64 {
        self.state.root.epoch()
    }

    /// Live records.
    pub fn count(&self) -> u64 {
        self.state.root.live_count.get()
    }

    /// What follows the newest root in the file.
    pub fn tail(&self) -> Option<Tail> {
        self.extent.tail(&self.file, &self.state.root)
    }

    /// The segments that hold rows, by ascending row: those of the parents first.
    pub fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// The graphs over rows of these segments, by their first row.
    pub fn graphs(&self) -> &[Graph] {
        &self.graphs
    }

    /// The metadata of rows.
    pub(crate) fn metas(&self) -> &MetaTable {
        &self.metas
    }

    /// Live rows that a sound graph covers.
    pub fn indexed(&self) -> u64 {
        self.sound_graphs().map(|(_, graph)| u64::from(graph.live)).sum()
    }

    /// The graphs that can be walked, with their places among [`Snapshot::graphs`]. One that breaks a sentence of the
    /// specification is as good as none: its rows are compared, and the next index takes its place.
    pub(crate) fn sound_graphs(&self) -> impl Iterator<Item = (usize, &GraphView)> + '_ {
        let uses = self.uses.get_or_init(|| graph::uses(self));
        let walked = self.graphs.iter().enumerate().zip(uses).filter(|(_, of)| of.0 == Use::Walked);
        walked.filter_map(|((at, graph), _)| Some((at, graph.view(self).ok()?)))
    }

    /// How many graphs break a sentence of the specification.
    pub(crate) fn damaged_graphs(&self) -> usize {
        self.uses.get_or_init(|| graph::uses(self)).iter().filter(|of| of.0 == Use::Damaged).count()
    }

    /// A number for the codes that a graph walks on, which graphs with the same codec share.
    pub(crate) fn codes_of(&self, graph: usize) -> u32 {
        self.uses.get_or_init(|| graph::uses(self)).get(graph).map_or(u32::MAX, |of| of.1)
    }

    /// Whether each part is in a sound graph.
    pub(crate) fn covered(&self) -> Vec<bool> {
        let mut covered = vec![false; self.parts.len()];
        for part in self.sound_graphs().flat_map(|(_, graph)| &graph.parts) {
            covered[*part as usize] = true;
        }
        covered
    }

    /// The rows of a part in place.
    pub(crate) fn view(&self, part: u32) -> Result<&VecView> {
        let missing = Error::corrupt(Clause::Man4, 0, "a part that is not there");
        self.view_of(self.parts.get(part as usize).ok_or(missing)?)
    }

    pub(super) fn view_of<'p>(&self, part: &'p Part) -> Result<&'p VecView> {
        let view = part.view(|| &self.layer(part.depth).file, &self.state.schema);
        view.map_err(|error| self.blame_layer(part.depth, error))
    }

    /// The bytes of a listed segment of this very file.
    pub(crate) fn segment(&self, entry: &ManifestEntry) -> Result<Bytes> {
        let bytes = self.file.slice(entry.offset.get() as usize, entry.length.get() as usize);
        Ok(bytes.ok_or(Error::corrupt(Clause::Man4, entry.offset.get(), "a listed segment lies outside the file"))?)
    }

    /// The bytes of a listed segment, checked against the hash that was committed: for journals, and what is to be written anew.
    pub(crate) fn intact(&self, entry: &ManifestEntry) -> Result<Bytes> {
        let bytes = self.segment(entry)?;
        if digest::blake3(&bytes) != entry.hash {
            let what = "a segment's bytes are not those that were committed";
            return Err(Error::corrupt(Clause::Man5, entry.offset.get(), what).into());
        }
        Ok(bytes)
    }

    /// [`Snapshot::intact`] without the bytes, which are hashed once while a file is open: for segments of which little is read.
    pub(crate) fn intact_once(&self, entry: &ManifestEntry) -> Result<()> {
        let is_judged = |judged: &BTreeSet<u64>| judged.contains(&entry.offset.get());
        // Whoever panicked with it left nothing half done.
        let judged = || self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_judged(&judged()) {
            self.intact(entry)?;
            judged().insert(entry.offset.get());
        }
        Ok(())
    }

    /// The snapshot of the next commit of the same file, which knows what this one has judged.
    pub(crate) fn followed_by(&self, file: Bytes, state: State) -> Self {
        Self { judged: self.judged.clone(), ..Self::of_state(file, state, self.parent.clone()) }
    }

    /// Checks the rows of a part and their metadata against the hashes that were committed: for rows that are to be written anew.
    pub(crate) fn intact_rows(&self, part: u32) -> Result<()> {
        if let Some(source) = self.parts.get(part as usize) {
            self.intact_in(source.depth, &source.entry)?;
        }
        self.metas.check_intact(self, part)
    }

    /// Dead rows of each part.
    pub(crate) fn dead(&self) -> Result<&DeadRows> {
        if self.dead.get().is_none() {
            // What is wrong with the parents is told as theirs.
            self.whole()?;
            self.parent.iter().try_for_each(|parent| parent.dead().map(drop).map_err(|error| parent.blame(error)))?;
        }
        let dead = self.dead.get_or_init(|| self.collect_dead().map_err(Fault::from));
        dead.as_ref().map_err(|fault| (*fault).into())
    }

    /// Places of all live rows, in their order.
    pub(crate) fn live_rows(&self) -> Result<impl Iterator<Item = RowId> + '_> {
        let dead = self.dead()?;
        let all =
            self.parts().iter().enumerate().flat_map(|(part, source)| {
                (0..source.entry.rows.get()).map(move |row| RowId { part: part as u32, row })
            });
        let is_dead =
            |at: &RowId| dead.get(at.part as usize).and_then(Option::as_ref).is_some_and(|bits| bits.get(at.row));
        Ok(all.filter(move |at| !is_dead(at)))
    }

    /// Live rows of a part.
    pub(crate) fn live_in(&self, part: u32) -> Result<u64> {
        let rows = self.parts.get(part as usize).map_or(0, |part| part.entry.rows.get());
        let dead = self.dead()?.get(part as usize).and_then(Option::as_ref).map_or(0, |bits| bits.ones());
        Ok(u64::from(rows.saturating_sub(dead)))
    }

    /// Whether a row of a part is dead.
    pub(crate) fn is_dead(&self, at: RowId) -> Result<bool> {
        let dead = self.dead()?.get(at.part as usize);
        Ok(dead.and_then(Option::as_ref).is_some_and(|bits| bits.get(at.row)))
    }

    /// The live row of an id. At most one binary search a segment. Reads in place, so it leaves [`Snapshot::check`] to its caller.
    ///
    /// # Errors
    /// Corruption of segments that are touched.
    pub fn find(&self, id: IdRef<'_>) -> Result<Option<RowId>> {
        self.whole()?;
        for part in (0..self.parts.len() as u32).rev() {
            let view = self.view(part)?;
            if view.id_range().is_none_or(|(first, last)| id < first || last < id) {
                continue;
            }
            for row in view.find(id) {
                let at = RowId { part, row };
                if !self.is_dead(at)? {
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    }

    /// The row number of a place.
    pub(crate) fn global_row(&self, at: RowId) -> u64 {
        let base = self.parts.get(at.part as usize).map_or(0, |part| part.entry.base_row.get());
        base.saturating_add(u64::from(at.row))
    }

    /// The place of a row number; `None` for one that no part has.
    pub(crate) fn place_of_row(&self, row: u64) -> Option<RowId> {
        let after = self.parts.partition_point(|part| part.entry.base_row.get() <= row);
        let part = after.checked_sub(1)?;
        let entry = &self.parts.get(part)?.entry;
        (row < entry.end_row()).then(|| RowId { part: part as u32, row: (row - entry.base_row.get()) as u32 })
    }

    /// The id of a row.
    pub(crate) fn id_of(&self, at: RowId) -> Result<IdRef<'_>> {
        let place = self.parts.get(at.part as usize).map_or(0, |part| part.entry.offset.get());
        let malformed = Error::corrupt(Clause::Vec4, place, "an id is malformed");
        Ok(self.view(at.part)?.id(at.row).ok_or(malformed)?)
    }

    /// Facts about the file: model name, creator, unknown ones.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// assert!(db.snapshot().meta()?.contains_key(&rvf_format::payload::meta::CREATOR));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, META-1.
    pub fn meta(&self) -> Result<meta::Items> {
        self.settle(self.read_meta())
    }

    fn read_meta(&self) -> Result<meta::Items> {
        let mut items = match &self.parent {
            Some(parent) => parent.read_meta().map_err(|error| parent.blame(error))?,
            None => meta::Items::new(),
        };
        for entry in self.state.of_kind(Kind::META).filter(|entry| entry.rows.get() == 0) {
            items.extend(meta::parse(self.segment(entry)?, entry.offset.get())?);
        }
        Ok(items)
    }
}

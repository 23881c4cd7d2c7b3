//! Finding the parents of a branch: by file id and state hash, never by name alone.
//!
//! ```text
//! recorded path -> recorded name beside the branch -> recorded name in each folder given, then in RVF_PARENT_PATH
//!               -> any .rvf file with the id in these folders
//! ```
//! What is found must have the recorded commit (`spec/branching.md`, BRN-3). Depths fall by one from file to file, so no chain is
//! longer than the format allows and none comes back to where it began.

use super::snapshot::Snapshot;
use crate::{Error, ParentError, ParentFault, Result};
use rvf_format::identity;
use rvf_format::limits::PAGE;
use rvf_format::lineage::ParentRef;
use rvf_format::recover::Extent;
use rvf_format::storage::{Access, Bytes, Place};
use rvf_format::verify::{Options, Report, verify_within};
use rvf_format::{Clause, Error as RvfError};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders in which parents are looked for, as in PATH.
const FOLDERS: &str = "RVF_PARENT_PATH";

/// Most files of a folder that are looked at for a parent that has another name.
const MOST_FILES: usize = 4096;

/// How files of a lineage are opened.
pub(crate) struct Opening<'a> {
    pub(crate) place: &'a dyn Place,
    /// Folders to look for parents in, beside those that the files name.
    pub(crate) folders: &'a [PathBuf],
    /// Read into memory and verified before use.
    pub(crate) verified: bool,
}

/// Why a file is not the parent, or the parent.
type Tried = std::result::Result<Snapshot, ParentFault>;

impl Opening<'_> {
    /// The newest commit of a file, without its parents; and what tells the file from others.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Truncated`], [`Error::Unsound`], those of [`Snapshot::newest`].
    pub(crate) fn alone(&self, path: &Path) -> Result<((u64, u64), Snapshot)> {
        let storage = self.place.open(path, Access::Read).map_err(|error| Error::io("opening", path, error))?;
        let identity = storage.identity().map_err(|error| Error::reading(path, error))?;
        let (extent, file) = Snapshot::committed(storage.as_ref(), path, |end| match self.verified {
            false => storage.view(end),
            true => storage.read(end),
        })?;
        if self.verified {
            refuse_unsound(&file, &extent)?;
        }
        Ok((identity, Snapshot::within(file, extent)?))
    }

    /// The snapshot of the file at `path` with its parents. `known` is a parent that was found before, and may be it again.
    ///
    /// # Errors
    /// [`Error::Parent`].
    pub(crate) fn with_parents(
        &self,
        path: &Path,
        snapshot: Snapshot,
        known: Option<&Arc<Snapshot>>,
    ) -> Result<Snapshot> {
        let Some(needed) = snapshot.parent_ref()? else { return Ok(snapshot) };
        snapshot.check_first_row(&needed)?;
        if let Some(known) = known.filter(|known| is_needed(known, &needed).is_ok() && known.check().is_ok()) {
            return snapshot.with_parent(known.clone());
        }
        let found = self.find(path, &needed)?;
        let found_at = found.0.clone();
        // Its own parents are what is missing, or wrong.
        let unusable = |error| {
            let why = ParentFault::Unreadable { path: found_at, error: Arc::new(error) };
            Error::Parent(Box::new(ParentError { branch: path.to_owned(), needed, why }))
        };
        let parent = self.stack(found).map_err(unusable)?;
        snapshot.with_parent(parent)
    }

    /// A parent on top of its own. A list rather than a recursion: a lineage may be longer than a thread's stack takes.
    fn stack(&self, first: (PathBuf, Snapshot)) -> Result<Arc<Snapshot>> {
        let (mut layers, mut last) = (Vec::new(), first);
        while let Some(needed) = last.1.parent_ref()? {
            last.1.check_first_row(&needed)?;
            let found = self.find(&last.0, &needed)?;
            layers.push(std::mem::replace(&mut last, found));
        }
        let mut parent = Arc::new(last.1.at_path(&last.0));
        while let Some((path, layer)) = layers.pop() {
            parent = Arc::new(layer.with_parent(parent)?.at_path(&path));
        }
        Ok(parent)
    }

    /// The commit that is needed, without its own parents, and the path that it was found by.
    fn find(&self, branch: &Path, needed: &ParentRef) -> Result<(PathBuf, Snapshot)> {
        let mut why = ParentFault::Missing;
        for (candidate, has_name) in self.candidates(branch, needed) {
            match self.open(&candidate, needed) {
                Ok(parent) => return Ok((candidate, parent)),
                // Any other file lies in the folder: it is no news.
                Err(ParentFault::OtherFile { .. }) if !has_name => {}
                // The first file that is nearly it says most.
                Err(fault) if matches!(why, ParentFault::Missing | ParentFault::OtherFile { .. }) => {
                    if !matches!(fault, ParentFault::Missing) {
                        why = fault;
                    }
                }
                Err(_) => {}
            }
        }
        Err(Error::Parent(Box::new(ParentError { branch: branch.to_owned(), needed: needed.clone(), why })))
    }

    /// Where the parent may be, the likeliest first, and whether it would have the recorded name there.
    fn candidates(&self, branch: &Path, needed: &ParentRef) -> impl Iterator<Item = (PathBuf, bool)> {
        let branch = self.place.resolve(branch).unwrap_or_else(|_| branch.to_owned());
        let beside = branch.parent().unwrap_or(Path::new("")).to_owned();
        let recorded = PathBuf::from(&needed.path);
        let name = recorded.file_name().map(OsStr::to_owned).unwrap_or_default();
        let mut folders = vec![beside.clone()];
        folders.extend(self.folders.iter().cloned());
        if let Some(more) = std::env::var_os(FOLDERS) {
            folders.extend(std::env::split_paths(&more).filter(|folder| !folder.as_os_str().is_empty()));
        }
        let named = folders.iter().map(|folder| folder.join(&name)).collect::<Vec<PathBuf>>();
        let listed = folders.into_iter().flat_map(|folder| {
            let files = self.place.list(&folder).unwrap_or_default();
            let is_store = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rvf");
            files.into_iter().filter(is_store).take(MOST_FILES).collect::<Vec<PathBuf>>()
        });
        let named = std::iter::once(beside.join(recorded)).chain(named).map(|path| (path, true));
        // A file is not its own parent, under any spelling of its path.
        let own = self.place.identity(&branch).ok();
        let is_other = move |(path, _): &(PathBuf, bool)| own.is_none() || self.place.identity(path).ok() != own;
        named.chain(listed.map(|path| (path, false))).filter(is_other)
    }

    /// The commit of the parent that is needed, if the file at `path` is the parent.
    fn open(&self, path: &Path, needed: &ParentRef) -> Tried {
        let unreadable = |error: Error| match error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ParentFault::Missing,
            error => ParentFault::Unreadable { path: path.to_owned(), error: Arc::new(error) },
        };
        // Page 0 tells most other files without a look at all of them.
        let storage = self.place.open(path, Access::Read);
        let storage = storage.map_err(|error| unreadable(Error::io("opening", path, error)))?;
        let mut page = [0; PAGE as usize];
        let length = storage.len().map_err(|error| unreadable(Error::reading(path, error)))?;
        if length < PAGE {
            return Err(unreadable(Error::NotRvf));
        }
        let read = storage.read_at(&mut page, 0).map_err(|error| Error::reading(path, error));
        read.map_err(unreadable)?;
        if identity::open_identity(&Bytes::from(&page[..])).is_ok_and(|id| id != needed.file_id) {
            return Err(ParentFault::OtherFile { path: path.to_owned() });
        }
        drop(storage);
        let (_, newest) = self.alone(path).map_err(unreadable)?;
        if newest.root().file_id != needed.file_id {
            return Err(ParentFault::OtherFile { path: path.to_owned() });
        }
        let at_place = || newest.at_root(needed.root_offset).ok().filter(|found| found.epoch() == needed.epoch);
        let found = match newest.epoch() == needed.epoch {
            true => newest,
            false => match at_place() {
                Some(found) => found,
                None => newest.at_epoch(needed.epoch).map_err(|error| match error {
                    Error::NoEpoch { .. } => ParentFault::NoEpoch { path: path.to_owned() },
                    error => unreadable(error),
                })?,
            },
        };
        is_needed(&found, needed).map_err(|what| ParentFault::Other { path: path.to_owned(), what })?;
        Ok(found)
    }
}

/// Whether a commit is the one that a branch goes on from (BRN-3); what is another where it is not.
fn is_needed(found: &Snapshot, needed: &ParentRef) -> std::result::Result<(), &'static str> {
    let root = found.root();
    if root.file_id != needed.file_id {
        Err("file id")
    } else if root.epoch() != needed.epoch {
        Err("epoch")
    } else if root.state_hash != needed.state_hash {
        Err("root hash")
    } else if root.lineage_depth.get().checked_add(1) != Some(needed.depth) {
        Err("depth of the lineage")
    } else if root.next_row.get() != needed.first_row {
        Err("number of rows")
    } else {
        Ok(())
    }
}

impl Snapshot {
    /// The same commit on top of its parent.
    pub(crate) fn with_parent(self, parent: Arc<Self>) -> Result<Self> {
        let at = self.root().own_offset.get();
        if self.schema() != parent.schema() {
            let what = "a branch has another dimension, dtype, metric or id type than its parent";
            return Err(RvfError::corrupt(Clause::Root5, at + 0x20, what).into());
        }
        let first_row = parent.root().next_row.get();
        if self.parts().iter().any(|part| part.entry.base_row.get() < first_row) {
            return Err(RvfError::corrupt(Clause::Brn2, at, "a branch has rows among those that it inherits").into());
        }
        Ok(self.on_top_of(parent))
    }
}

/// # Errors
/// [`Error::Unsound`]; those of [`verify_within`].
fn refuse_unsound(file: &Bytes, extent: &Extent) -> Result<()> {
    let report: Report = verify_within(file, extent, &Options::default(), &mut |_, _| {})?;
    // A tail that holds a manifest may be a commit that was damaged: the one before it is not what was asked for.
    let is_harmless = |finding: &rvf_format::verify::Finding| finding.leaves_sound() && finding.clause != Clause::Tail2;
    if report.sound && report.findings.iter().all(is_harmless) {
        return Ok(());
    }
    let findings = report.findings.len();
    let damage = report.findings.into_iter().find(|finding| !is_harmless(finding));
    Err(damage.map_or(Error::NoRoot, |first| Error::Unsound {
        clause: first.clause,
        at: first.offset,
        what: first.message,
        findings,
    }))
}

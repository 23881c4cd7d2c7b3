//! A branch and what it needs of its parents, in one archive in the format of tar.
//!
//! ```text
//! the branch | its parent, up to the root of the commit that it goes on from | the parent's parent likewise | ...
//! ```
//! Names have no folders. Each file is a sound store by itself: one that ends with an earlier root is that commit.

use crate::ingest::TempFile;
use crate::store::Snapshot;
use crate::{Error, Result};
use rvf_format::storage::Bytes;
use rvf_format::verify::{self, Finding};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

/// The unit of the format, bytes.
pub(super) const BLOCK: usize = 512;

/// Bytes that are written between two looks at whether to go on.
const CHUNK: usize = 8 << 20;

/// Longest name of a file in an archive, bytes: what every reader of the format knows.
const MOST_NAME: usize = 100;

/// What is in an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundled {
    /// Its files: the branch, its parent, the parent's parent.
    pub files: Vec<BundledFile>,
    /// Its size, bytes.
    pub bytes: u64,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundledFile {
    /// Its name.
    pub name: String,
    /// Its file id.
    pub file_id: [u8; 16],
    /// Its size, bytes.
    pub bytes: u64,
}

/// Writes the snapshot of the file at `path` and all that it needs of its parents to a new archive at `out`. `progress` is told of bytes.
///
/// ```
/// # use rvf_engine::*;
/// # use std::ops::ControlFlow;
/// # let folder = tempfile::tempdir()?;
/// let mut db = Db::create(folder.path().join("base.rvf"), &Schema::new(1, Metric::L2))?;
/// db.add(&[1.0f32, 2.0])?;
/// let (child, out) = (folder.path().join("child.rvf"), folder.path().join("child.tar"));
/// db.branch(&child, &BranchOptions::default())?;
/// bundle(&Reader::open(&child)?.snapshot(), &child, &out, &mut |_, _| ControlFlow::Continue(()))?;
/// let done = unbundle(&out, &folder.path().join("elsewhere"))?;
/// assert_eq!((done.files[0].name.as_str(), done.files[1].name.as_str()), ("child.rvf", "base.rvf"));
/// assert_eq!(Reader::open(folder.path().join("elsewhere/child.rvf"))?.count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Exists`]; [`Error::Unsound`] where a file is damaged; [`Error::Parent`]; [`Error::Output`]; [`Error::Interrupted`].
pub fn bundle(
    source: &Snapshot,
    path: &Path,
    out: &Path,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Bundled> {
    source.whole()?;
    if out.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: out.to_owned() });
    }
    let total = source.chain().map(|layer| layer.root().end()).sum();
    let mut archive = Archive { file: TempFile::create(out)?, done: Bundled::default(), total, progress };
    let mut names = BTreeSet::new();
    for layer in source.chain() {
        let name = name_of(layer, layer.found_at().map_or(path, |found| found.as_path()), &mut names);
        archive.add(layer, name).map_err(|error| source.blame_layer(layer.root().lineage_depth.get(), error))?;
    }
    source.check()?;
    archive.finish()
}

/// A name that no file before has: the file's own where an archive can have it.
fn name_of(layer: &Snapshot, path: &Path, names: &mut BTreeSet<String>) -> String {
    let own = path.file_name().and_then(|name| name.to_str()).filter(|name| fits(name));
    // Parents that have not the recorded name are found by their ending.
    let own = own.filter(|name| names.is_empty() || name.ends_with(".rvf")).map(str::to_owned);
    let id = crate::store::hex(&layer.root().file_id);
    let others = (0..).map(|number: u32| if number == 0 { format!("{id}.rvf") } else { format!("{id}-{number}.rvf") });
    // Not every file system tells small letters from capitals.
    own.into_iter().chain(others).find(|name| names.insert(name.to_lowercase())).unwrap_or(id)
}

/// Whether an archive may hold a file of this name.
pub(super) fn fits(name: &str) -> bool {
    let is_bad = |letter: char| letter.is_control() || ['/', '\\', ':'].contains(&letter);
    (1..=MOST_NAME).contains(&name.len()) && name != "." && name != ".." && !name.contains(is_bad)
}

/// An archive that is being written.
struct Archive<'p> {
    file: TempFile,
    done: Bundled,
    total: u64,
    progress: &'p mut dyn FnMut(u64, u64) -> ControlFlow<()>,
}

impl Archive<'_> {
    fn add(&mut self, layer: &Snapshot, name: String) -> Result<()> {
        let length = layer.root().end();
        let cut = || Error::Truncated { at: layer.root().own_offset.get() };
        let bytes = layer.file().slice(0, usize::try_from(length).map_err(|_| cut())?).ok_or_else(cut)?;
        refuse_unsound(&bytes)?;
        self.write(header(&name, length).as_bytes())?;
        for chunk in bytes.chunks(CHUNK) {
            self.write(chunk)?;
            if (self.progress)(self.done.bytes.min(self.total), self.total).is_break() {
                return Err(Error::Interrupted);
            }
        }
        self.write(&[0; BLOCK][..bytes.len().next_multiple_of(BLOCK) - bytes.len()])?;
        self.done.files.push(BundledFile { name, file_id: layer.root().file_id, bytes: length });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.done.bytes += bytes.len() as u64;
        Ok(self.file.write(bytes)?)
    }

    /// Two empty blocks are the end.
    fn finish(mut self) -> Result<Bundled> {
        self.write(&[0; 2 * BLOCK])?;
        self.file.complete()?;
        self.file.rename()?;
        Ok(self.done)
    }
}

fn header(name: &str, length: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    // Not `set_path`, which reads a name as a path of this machine: it is shorter than its field.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(length);
    header.set_mtime(0);
    header.set_cksum();
    header
}

/// Verifies a file that ends with its newest root.
///
/// # Errors
/// [`Error::Unsound`] for the first finding.
pub(super) fn refuse_unsound(file: &Bytes) -> Result<()> {
    refuse_findings(&verify::verify(file, &mut |_, _| {})?.findings)
}

pub(super) fn refuse_findings(findings: &[Finding]) -> Result<()> {
    let what = |first: &Finding| Error::Unsound {
        clause: first.clause,
        at: first.offset,
        what: first.message.clone(),
        findings: findings.len(),
    };
    findings.first().map_or(Ok(()), |first| Err(what(first)))
}

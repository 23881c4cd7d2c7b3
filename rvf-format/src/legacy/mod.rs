//! Reads files of the published RVF crates (rvf-runtime 0.2 to 0.5). Never writes one.
//!
//! ```text
//!  bytes -> locate -> manifest -> survey -> rows  ----+
//!             |                      |                +-> LegacyFile: report, ancestors, rows by ascending id
//!           root (signed)          branch -> parent --+
//! ```
//!
//! | file | duty |
//! | --- | --- |
//! | `header` | the 64 bytes before every payload, names of kinds |
//! | `hash` | content hashes, CRC-32C, the fold that stands in for a parent's hash |
//! | `root` | the page at the end of a signed file |
//! | `locate` | dialect, and the manifest that counts |
//! | `manifest` | its payload |
//! | `survey` | which segments are needed, skipped, or found besides |
//! | `meta` | META: the fields of records |
//! | `branch` | COW_MAP and MEMBERSHIP |
//! | `rows` | VEC payloads, the table of live rows |
//! | `file` | one file, put together |
//! | `report`, `error` | what is said |
//!
//! A file is hostile until proved otherwise. Every payload that contributes a row, and the manifest, must match its
//! content hash. Counts are checked against the bytes that remain before anything is allocated. Needed segments may
//! not share bytes, so the work is bounded by the length of the files. Three damages cannot be told from a sound
//! file, because the dialect has nothing to tell them by: a file cut off exactly at the end of an older commit; a
//! file whose hashes were made anew by whoever changed it (only a signature, which this reader does not verify,
//! guards against that); and a change to the last manifest's own header that hides it, which shows the commit before
//! with [`Warning::UncommittedTail`].

mod branch;
mod error;
mod file;
mod hash;
mod header;
mod locate;
mod manifest;
mod meta;
mod report;
mod root;
mod rows;
mod survey;
#[cfg(test)]
mod tests;

use core::fmt::Display;

pub use error::{Fault, LegacyError};
pub use header::SegmentKind;
pub use locate::{Dialect, recognise};
pub use manifest::{Identity, Metric};
pub use meta::MetaValue;
pub use report::{FileReport, MetaSegment, Segment, Skipped, Warning, Why};
pub use root::RootPage;
pub use rows::Row;

use branch::{Link, Membership};
use file::OneFile;
use meta::Meta;
use rows::RowAt;

/// How many ancestors a branch may have.
pub const MAX_PARENTS: u32 = 64;

/// What a branch says of the parent whose bytes are needed.
#[derive(Clone, Copy, Debug)]
pub struct ParentRequest<'a> {
    /// The recorded path, relative to the directory of the file that is asked about. Not absolute; it may lead out
    /// of the directory by `..`, which is for the caller to judge.
    pub path: &'a str,
    /// The recorded file id of the parent. The bytes are refused if they have another.
    pub file_id: [u8; 16],
    /// 1 for the parent of the file that was opened, 2 for the parent of that, and so on, without a gap.
    pub generation: u32,
}

/// A published file, with its ancestors if it is a branch: what it says, and its live rows.
///
/// `B` holds the bytes of a file: `&[u8]`, `Vec<u8>` or a mapping. It must yield the same bytes whenever it is asked.
#[derive(Debug)]
pub struct LegacyFile<B> {
    /// The file, then its ancestors.
    files: Vec<B>,
    report: FileReport,
    ancestors: Vec<FileReport>,
    rows: Vec<RowAt>,
    /// Of each of the files.
    metas: Vec<Meta>,
}

impl<B: AsRef<[u8]>> LegacyFile<B> {
    /// Reads a file that is not a branch; a branch is refused for want of its parent.
    pub fn open(bytes: B) -> Result<Self, LegacyError> {
        Self::open_with(bytes, |_| Err("only the file itself was given"))
    }

    /// Reads a file, and asks `parent` for the bytes of each ancestor in turn.
    pub fn open_with<E: Display>(
        bytes: B,
        mut parent: impl FnMut(&ParentRequest<'_>) -> Result<B, E>,
    ) -> Result<Self, LegacyError> {
        let (mut files, mut chain): (Vec<B>, Vec<OneFile>) = (Vec::new(), Vec::new());
        let mut next = Some(bytes);
        while let Some(bytes) = next.take() {
            let generation = generation(&files);
            let one = file::read(bytes.as_ref()).map_err(|error| in_parent(generation, error))?;
            if let Some(child) = chain.last_mut() {
                check_parent(child, &one, bytes.as_ref())?;
            }
            let link = one.branch.as_ref().map(|(link, _)| link.clone());
            files.push(bytes);
            chain.push(one);
            if let Some(link) = link {
                next = Some(ask(&chain, &link, &mut parent)?);
            }
        }
        Self::flatten(files, chain)
    }

    /// Lays each child over its parent, the oldest ancestor first.
    fn flatten(files: Vec<B>, chain: Vec<OneFile>) -> Result<Self, LegacyError> {
        let (mut rows, mut reports, mut metas) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (bytes, one)) in files.iter().zip(chain).enumerate().rev() {
            let OneFile { report, rows: mut own, deleted, branch, meta } = one;
            let file = u32::try_from(index).unwrap_or(u32::MAX);
            own.iter_mut().for_each(|row| row.file = file);
            if let Some((_, membership)) = branch {
                rows = inherit(rows, own, &membership, bytes.as_ref()).map_err(|error| in_parent(file, error))?;
                rows::remove(&mut rows, &deleted);
            } else {
                rows = own;
            }
            reports.push(report);
            metas.push(meta);
        }
        // The last one is the file that was opened, which is always there.
        let report = reports.pop().ok_or(LegacyError::NotPublished)?;
        reports.reverse();
        metas.reverse();
        let mut flat = Self { files, report, ancestors: reports, rows, metas };
        flat.check_finite();
        Ok(flat)
    }

    /// What the file says, apart from its rows.
    pub fn report(&self) -> &FileReport {
        &self.report
    }

    /// What the ancestors say, the parent first.
    pub fn ancestors(&self) -> &[FileReport] {
        &self.ancestors
    }

    /// How many rows are live, inherited ones counted.
    pub fn live_count(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The live rows by ascending id. Nothing is copied or allocated.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> + DoubleEndedIterator {
        let vector_len = usize::from(self.report().dimension) * 4;
        self.rows.iter().map(move |row| {
            let file = self.files.get(row.file as usize).map(B::as_ref).unwrap_or_default();
            // The extent was proved when the table was made.
            let vector = file.get(row.at..row.at + vector_len).unwrap_or_default();
            Row { id: row.id, vector, file: row.file }
        })
    }

    /// The fields of a row by ascending number: those that the file itself has for its id, else those of the youngest ancestor that
    /// has any, down to the one that holds the row.
    pub fn fields(&self, row: &Row<'_>) -> Vec<(u16, MetaValue<'_>)> {
        let files = self.files.iter().zip(&self.metas).take(row.file as usize + 1);
        let mut fields = files.map(|(bytes, meta)| meta.fields(bytes.as_ref(), row.id));
        fields.find(|fields| !fields.is_empty()).unwrap_or_default()
    }

    fn check_finite(&mut self) {
        let odd = |row: &Row<'_>| row.values().any(|value| !value.is_finite());
        let mut odd_ids = self.rows().filter(odd).map(|row| row.id);
        if let Some(first_id) = odd_ids.next() {
            let rows = 1 + odd_ids.count() as u64;
            self.report.warnings.push(Warning::NotFinite { rows, first_id });
        }
    }
}

fn generation<B>(files: &[B]) -> u32 {
    u32::try_from(files.len()).unwrap_or(u32::MAX)
}

fn in_parent(generation: u32, error: LegacyError) -> LegacyError {
    match generation {
        0 => error,
        _ => LegacyError::InParent { generation, error: Box::new(error) },
    }
}

/// Asks the caller for the next ancestor, unless the chain comes back to itself or is too long.
fn ask<B, E: Display>(
    chain: &[OneFile],
    link: &Link,
    parent: &mut impl FnMut(&ParentRequest<'_>) -> Result<B, E>,
) -> Result<B, LegacyError> {
    let (generation, file_id) = (generation(chain), link.parent_id);
    if chain.iter().any(|one| one.report.file_id() == Some(file_id)) {
        return Err(LegacyError::Cycle { file_id });
    }
    if generation > MAX_PARENTS {
        return Err(LegacyError::TooDeep);
    }
    parent(&ParentRequest { path: &link.path, file_id, generation }).map_err(|error| LegacyError::ParentUnavailable {
        path: link.path.clone(),
        file_id,
        why: error.to_string(),
    })
}

/// Refuses a parent that is another file; warns of one that changed.
fn check_parent(child: &mut OneFile, parent: &OneFile, parent_bytes: &[u8]) -> Result<(), LegacyError> {
    let Some((link, _)) = &child.branch else {
        return Ok(());
    };
    let found = parent.report.file_id();
    if found != Some(link.parent_id) {
        return Err(LegacyError::WrongParent { expected: link.parent_id, found });
    }
    if parent.report.dimension != child.report.dimension {
        let (child, parent) = (child.report.dimension, parent.report.dimension);
        return Err(LegacyError::ParentDimension { child, parent });
    }
    let warnings = &mut child.report.warnings;
    if hash::tail_fold(parent_bytes) != link.parent_hash {
        warnings.push(Warning::ParentChanged);
    }
    if parent.report.metric != child.report.metric {
        warnings.push(Warning::ParentMetric { parent: parent.report.metric });
    }
    if parent.branch.is_some() {
        warnings.push(Warning::BranchOfBranch);
    }
    Ok(())
}

/// The rows of a branch, before its deletions.
fn inherit(
    inherited: Vec<RowAt>,
    own: Vec<RowAt>,
    membership: &Membership,
    child: &[u8],
) -> Result<Vec<RowAt>, LegacyError> {
    membership.check_covers(inherited.last().map(|row| row.id))?;
    Ok(rows::overlay(inherited, own, |id| membership.shows(child, id)))
}

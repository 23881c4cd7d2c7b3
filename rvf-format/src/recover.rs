//! Which root is true: the last one that is whole, and whose manifest is (`spec/commit.md`, "Which root is true").

use crate::identity;
use crate::limits::{PAGE, PAGE_LEN, ROOT_MAGIC};
use crate::manifest::{Manifest, is_manifest_header};
use crate::root::RootPage;
use crate::storage::{Bytes, Storage, before_hole};
use crate::{Clause, Error, Result};
use std::io;

/// A whole root with its manifest.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The root page.
    pub root: RootPage,
    /// The manifest that ends with it.
    pub manifest: Manifest,
}

/// What follows the newest root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Where it starts.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// Whether it holds a MANIFEST header on a page (TAIL-2).
    pub holds_manifest: bool,
}

/// How much of a file a reader maps, so that a writer that cuts an uncommitted tail cuts nothing that is mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// End of the last page that reads as a root; the file's length where none does.
    pub end: u64,
    /// Bytes behind that page.
    pub behind: u64,
    /// Whether they hold a MANIFEST header on a page.
    pub manifest_behind: bool,
}

impl Extent {
    /// What follows `root` in the file, of which `file` is as much as this says.
    pub fn tail(&self, file: &Bytes, root: &RootPage) -> Option<Tail> {
        let seen = tail(file, root);
        let length = seen.map_or(0, |tail| tail.length) + self.behind;
        let holds_manifest = seen.is_some_and(|tail| tail.holds_manifest) || self.manifest_behind;
        (length > 0).then_some(Tail { start: root.end(), length, holds_manifest })
    }
}

/// Bytes that are read at once in search of a root. The last page alone comes first: mostly it is one.
const SCAN: usize = 64 * PAGE_LEN;

/// Finds the [`Extent`] of a file by reading, not mapping, from its end on. O(1) when the file ends with a root; holes cost nothing.
///
/// # Errors
/// As the medium reports; `UnexpectedEof` if the file is cut meanwhile.
pub fn extent(storage: &dyn Storage) -> io::Result<Extent> {
    let length = storage.len()?;
    let mut buffer = vec![0; PAGE_LEN];
    let mut top = length - length % PAGE;
    let mut manifest_behind = false;
    loop {
        // A root is no zeros. Below `top` in any case, which is a whole page.
        top = before_hole(storage, top).next_multiple_of(PAGE).min(top);
        if top == 0 {
            break;
        }
        let size = (buffer.len() as u64).min(top) as usize;
        let start = top - size as u64;
        let pages = buffer.get_mut(..size).unwrap_or_default();
        storage.read_at(pages, start)?;
        for (index, page) in pages.chunks(PAGE_LEN).enumerate().rev() {
            let at = start + index as u64 * PAGE;
            if page.starts_with(&ROOT_MAGIC.to_le_bytes()) && may_be_root(page, at) {
                return Ok(Extent { end: at + PAGE, behind: length - at - PAGE, manifest_behind });
            }
            manifest_behind |= is_manifest_header(page);
        }
        top = start;
        buffer.resize(SCAN, 0);
    }
    Ok(Extent { end: length, behind: 0, manifest_behind: false })
}

/// A root, or one of a newer version, which must be refused rather than passed over.
fn may_be_root(page: &[u8], at: u64) -> bool {
    matches!(RootPage::read(page, at, None), Ok(_) | Err(Error::Newer { .. }))
}

/// The newest whole root of `file`. O(1) when the file ends with it, else a scan backwards by pages.
///
/// # Errors
/// [`Error::NotRvf`], [`Error::PublishedRvf`], [`Error::Newer`], [`Error::NoRoot`], FILE-4.
pub fn newest(file: &Bytes) -> Result<Commit> {
    let file_id = match identity::open_identity(file) {
        Ok(id) => Some(id),
        // The identity is damaged or page 0 is gone: a whole root still tells whose file this is (FILE-5).
        Err(error @ (Error::PublishedRvf | Error::Newer { .. })) => return Err(error),
        Err(Error::Corrupt { clause: Clause::File2, .. } | Error::NotRvf) => None,
        Err(error) => return Err(error),
    };
    match scan(file, file_id)? {
        Some(commit) => Ok(commit),
        None if file_id.is_none() && identity::recognise(file) == identity::Recognised::Unknown => Err(Error::NotRvf),
        None => Err(Error::NoRoot),
    }
}

fn scan(file: &Bytes, file_id: Option<[u8; 16]>) -> Result<Option<Commit>> {
    // A hostile file can hold many roots that name long manifests; the bytes hashed in search of a whole one are bounded.
    let mut budget = (file.len() as u64).saturating_mul(2).saturating_add(64 * PAGE);
    for page in (0..file.len() / PAGE_LEN).rev() {
        let start = page * PAGE_LEN;
        let bytes = file.get(start..start + PAGE_LEN).unwrap_or_default();
        if !bytes.starts_with(&ROOT_MAGIC.to_le_bytes()) {
            continue;
        }
        let root = match RootPage::read(bytes, start as u64, file_id) {
            Ok(root) => root,
            Err(error @ Error::Newer { .. }) => return Err(error),
            Err(_) => continue,
        };
        let Some(rest) = budget.checked_sub(root.manifest_length.get()) else { return Ok(None) };
        budget = rest;
        match read_manifest(file, &root) {
            Ok(manifest) => return Ok(Some(Commit { root, manifest })),
            Err(Error::NoRoot | Error::Corrupt { clause: Clause::Man1, .. }) => {}
            // The manifest is the one that was committed, and it is malformed: no torn write, and no reason to go back in time.
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The commit whose root page stands at `offset`.
///
/// # Errors
/// Those of [`RootPage::read`] and [`Manifest::read`]; ROOT-1 where no page is.
pub fn commit_at(file: &Bytes, offset: u64, file_id: [u8; 16]) -> Result<Commit> {
    let root = root_at(file, offset, file_id)?;
    let manifest = read_manifest(file, &root)?;
    Ok(Commit { root, manifest })
}

/// The root page at `offset`, without its manifest.
///
/// # Errors
/// Those of [`RootPage::read`]; ROOT-1 where no page is.
pub fn root_at(file: &Bytes, offset: u64, file_id: [u8; 16]) -> Result<RootPage> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let page = file.get(start..start.saturating_add(PAGE_LEN)).unwrap_or_default();
    RootPage::read(page, offset, Some(file_id))
}

/// The MANIFEST that ends with `root`.
///
/// # Errors
/// [`Error::NoRoot`] if it does not lie in the file; those of [`Manifest::read`].
pub fn read_manifest(file: &Bytes, root: &RootPage) -> Result<Manifest> {
    let start = usize::try_from(root.manifest_offset.get()).unwrap_or(usize::MAX);
    let length = usize::try_from(root.manifest_length.get()).unwrap_or(usize::MAX);
    let segment = file.slice(start, length).ok_or(Error::NoRoot)?;
    Manifest::read(segment, root)
}

/// What follows `root` in `file`; `None` if the file ends with it.
pub fn tail(file: &Bytes, root: &RootPage) -> Option<Tail> {
    let start = root.end();
    let length = (file.len() as u64).checked_sub(start).filter(|length| *length > 0)?;
    let bytes = file.get(start as usize..).unwrap_or_default();
    let holds_manifest = bytes.chunks(PAGE_LEN).any(is_manifest_header);
    Some(Tail { start, length, holds_manifest })
}

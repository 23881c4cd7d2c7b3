//! Why the parent of a branch cannot be used, and which one is needed.

use super::Error;
use core::fmt;
use rvf_format::lineage::ParentRef;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The parent of a branch is missing, or what was found is not it.
#[derive(Clone, Debug)]
pub struct ParentError {
    /// The branch.
    pub branch: PathBuf,
    /// The parent that it needs.
    pub needed: ParentRef,
    /// Why there is none.
    pub why: ParentFault,
}

/// What is wrong with what was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ParentFault {
    /// Nothing was found.
    Missing,
    /// The branch was opened on its own: nobody looked for the parent.
    NotLookedFor,
    /// Another file has the parent's name.
    OtherFile {
        /// That file.
        path: PathBuf,
    },
    /// The file is there, but the commit is not: it was compacted without the pin.
    NoEpoch {
        /// The file.
        path: PathBuf,
    },
    /// The file has the parent's id, but not what the branch was made from.
    Other {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Arc<Error>,
    },
}

impl fmt::Display for ParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed = &self.needed;
        f.write_str("the parent of this branch ")?;
        match &self.why {
            ParentFault::Missing => f.write_str("is missing")?,
            ParentFault::NotLookedFor => f.write_str("was not looked for")?,
            ParentFault::OtherFile { path } => write!(f, "is missing: {} is another file", path.display())?,
            ParentFault::NoEpoch { path } => {
                write!(f, "no longer has the commit: {} was compacted without keeping it", path.display())?;
            }
            ParentFault::Other { path, what } => {
                write!(f, "is not the one recorded: {} has another {what}", path.display())?;
            }
            ParentFault::Unreadable { path, error } => {
                write!(f, "cannot be used: {error} ({})", path.display())?;
            }
        }
        let (id, hash) = (Hex(&needed.file_id), Hex(&needed.state_hash));
        write!(f, "; needed: file {id}, epoch {}, root hash {hash}, recorded as {:?}", needed.epoch, needed.path)
    }
}

impl ParentError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match &self.why {
            ParentFault::NoEpoch { .. } | ParentFault::Other { .. } => {
                "get the parent back as it was (from a copy or a bundle), and name its folder with --parent-dir".into()
            }
            ParentFault::Unreadable { error, .. } if !is_no_file(error) => error.hint(),
            _ => "put the parent beside the branch, or name its folder with --parent-dir or RVF_PARENT_PATH".into(),
        }
    }
}

/// Whether what has the parent's name is no store: a folder, a pipe or the like.
fn is_no_file(error: &Error) -> bool {
    let kinds = [io::ErrorKind::InvalidInput, io::ErrorKind::IsADirectory];
    match error {
        Error::Io { source, .. } => kinds.contains(&source.kind()),
        other => matches!(other, Error::NotRvf),
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

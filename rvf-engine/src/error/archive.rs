//! Why an archive of a branch cannot be used.

use super::Error;
use core::fmt;

/// An archive that a branch was to be taken out of.
#[derive(Debug)]
pub struct ArchiveError {
    /// The name of the file in it, where one is to blame, at most 64 characters of it.
    pub entry: Option<String>,
    /// What is wrong.
    pub fault: ArchiveFault,
}

/// What is wrong with an archive.
#[derive(Debug)]
#[non_exhaustive]
pub enum ArchiveFault {
    /// It is no archive in the format of tar, or is damaged.
    Malformed,
    /// It holds no file.
    Empty,
    /// It holds more files than a lineage can have.
    TooMany,
    /// The name is not that of a file in the folder itself.
    Name,
    /// Another file in it has the same name.
    Twice,
    /// A link, a folder, a device or the like.
    NotAFile,
    /// It ends before the file does.
    Cut,
    /// The two empty blocks that end it are missing.
    NoEnd,
    /// The file is no sound store.
    Unsound(Box<Error>),
    /// Bytes follow the last commit of the file.
    Longer,
    /// The first file and its parents do not go together.
    Lineage(Box<Error>),
    /// The first file does not need this one.
    NotNeeded,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(entry) = &self.entry {
            write!(f, "{entry:?} in the archive: ")?;
        }
        match &self.fault {
            ArchiveFault::Malformed => f.write_str("no archive in the format of tar, or a damaged one"),
            ArchiveFault::Empty => f.write_str("the archive holds no file"),
            ArchiveFault::TooMany => f.write_str("the archive holds more files than a branch can need"),
            ArchiveFault::Name => f.write_str("the name is not that of a file in one folder"),
            ArchiveFault::Twice => f.write_str("another file before it has this name"),
            ArchiveFault::NotAFile => f.write_str("not a plain file"),
            ArchiveFault::Cut => f.write_str("the archive ends before the file does"),
            ArchiveFault::NoEnd => f.write_str("the archive is cut off: the two empty blocks that end it are missing"),
            ArchiveFault::Unsound(error) => error.fmt(f),
            ArchiveFault::Longer => f.write_str("bytes follow its last commit"),
            ArchiveFault::Lineage(error) => {
                write!(f, "the branch cannot be opened with what is in the archive: {error}")
            }
            ArchiveFault::NotNeeded => f.write_str("the branch does not need this file"),
        }
    }
}

impl ArchiveError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "make the archive again with `rvf bundle`, or get it anew from where it came; nothing was written"
    }
}

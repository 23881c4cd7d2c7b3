//! [`History`]: a file's audit entries beside a note that was seen, and how the two part.

use crate::Report;
use core::fmt;
use rvf_format::digest::Hash;
use rvf_format::merkle;
use rvf_format::note::Statement;
use rvf_format::verify::Trail;

/// The audit entries of a file whose bytes were verified.
#[derive(Clone, Copy, Debug)]
pub struct History<'r> {
    file_id: [u8; 16],
    trail: &'r Trail,
    /// Whether bytes that belong to no commit follow its end.
    has_tail: bool,
}

/// How a file departs from what was seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Departure {
    /// The note is about another file.
    OtherFile,
    /// The file ends before what was seen, at this epoch: an older state of it was put in the place of the newer one.
    RolledBack {
        /// The newest epoch of the file.
        epoch: u64,
        /// The epoch that was seen.
        seen: u64,
    },
    /// The file ends before what was seen, and bytes of something else follow: it was cut.
    Truncated {
        /// The newest epoch of the file.
        epoch: u64,
        /// The epoch that was seen.
        seen: u64,
    },
    /// Another commit stands where the one was that was seen: two histories went on from one.
    Forked {
        /// The epoch that was seen.
        epoch: u64,
    },
    /// The commit that was seen is there, and what came before it is not what it was.
    Rewritten {
        /// The epoch that was seen.
        epoch: u64,
    },
}

impl Departure {
    /// Whether the file holds less than was seen.
    pub const fn is_behind(self) -> bool {
        matches!(self, Departure::RolledBack { .. } | Departure::Truncated { .. })
    }

    /// Its name: other_file, rollback, truncation, fork, rewrite.
    pub const fn name(self) -> &'static str {
        match self {
            Departure::OtherFile => "other_file",
            Departure::RolledBack { .. } => "rollback",
            Departure::Truncated { .. } => "truncation",
            Departure::Forked { .. } => "fork",
            Departure::Rewritten { .. } => "rewrite",
        }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name().replace('_', " "))?;
        match self {
            Departure::OtherFile => f.write_str("the note is about a file with another id"),
            Departure::RolledBack { epoch, seen } => {
                write!(
                    f,
                    "the file ends with epoch {epoch}, and epoch {seen} was seen: an older state stands in the place of a newer one"
                )
            }
            Departure::Truncated { epoch, seen } => {
                write!(f, "the file was cut behind epoch {epoch}, and epoch {seen} was seen")
            }
            Departure::Forked { epoch } => {
                write!(
                    f,
                    "another commit stands where epoch {epoch} was: two copies of the file went on separately, or the note was altered"
                )
            }
            Departure::Rewritten { epoch } => {
                write!(
                    f,
                    "epoch {epoch} is the one that was seen, and what is recorded before it is not what was recorded then"
                )
            }
        }
    }
}

impl<'r> History<'r> {
    /// That of a file that was verified; `None` if its audit entries are not all there, or it has no note or root that names it.
    pub fn of(report: &'r Report) -> Option<Self> {
        let trail = report.trail.as_ref()?;
        Some(Self { file_id: report.file_id?, trail, has_tail: report.findings.iter().any(crate::Finding::is_tail) })
    }

    /// The id of the file.
    pub fn file_id(&self) -> [u8; 16] {
        self.file_id
    }

    /// How many audit entries there are.
    pub fn size(&self) -> u64 {
        self.trail.entries.len() as u64
    }

    /// The root of the tree over all of them.
    pub fn root(&self) -> Hash {
        self.trail.root(self.size()).unwrap_or_default()
    }

    pub(super) fn trail(&self) -> &'r Trail {
        self.trail
    }

    /// Whether the file goes on from what a statement says, by a consistency proof (RFC 6962, section 2.1.2), which is returned.
    ///
    /// # Errors
    /// [`Departure`].
    pub fn extends(&self, seen: &Statement) -> Result<Vec<Hash>, Departure> {
        if seen.file_id != self.file_id {
            return Err(Departure::OtherFile);
        }
        let epoch = self.trail.entries.last().map_or(0, |entry| entry.epoch);
        let before = usize::try_from(seen.size).unwrap_or(usize::MAX);
        let Some(proof) = merkle::consistency(&self.trail.leaves(), before) else {
            return Err(match self.has_tail {
                true => Departure::Truncated { epoch, seen: seen.epoch },
                false => Departure::RolledBack { epoch, seen: seen.epoch },
            });
        };
        let there = self.trail.last_of(seen.size);
        let is_seen = there.is_some_and(|entry| (entry.epoch, entry.state_hash) == (seen.epoch, seen.state_hash));
        let extends = merkle::extends((seen.size, &seen.root), (self.size(), &self.root()), &proof);
        match (is_seen, extends) {
            (true, true) => Ok(proof),
            (true, false) => Err(Departure::Rewritten { epoch: seen.epoch }),
            (false, _) => Err(Departure::Forked { epoch: seen.epoch }),
        }
    }
}

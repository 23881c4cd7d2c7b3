//! Verification: every byte of a file against the specification, then what the bytes mean.
//!
//! | file | owns |
//! | --- | --- |
//! | `mod.rs` | [`verify`], [`Report`], [`Finding`]; identity, newest root, tail |
//! | `history.rs` | the chain of roots: every manifest, replayed from the oldest on |
//! | `walk.rs` | the segments, one after another: headers, hashes, payloads |
//! | `meaning.rs` | what segments say together: ids, counts, audit entries, hash trees |
//! | `audit.rs` | the tree over audit entries, signed notes |
//! | `advice.rs` | [`Advice`]: what to do about findings |
//! | `branch.rs` | what a file says of its parent and of its branches |
//! | `index.rs` | INDEX and QUANT segments of the newest epoch, with the rows that they are about |
//! | `codes.rs` | codes of a QUANT against rows |
//! | `metadata.rs` | META, DELTA and META_IDX segments of the newest epoch together |

mod advice;
mod audit;
mod branch;
mod codes;
mod history;
mod index;
mod meaning;
mod metadata;
mod walk;

pub use advice::Advice;
pub use audit::{Recorded, Trail};

use crate::identity::{self, FileIdentity, Recognised};
use crate::limits::{FORMAT_VERSION, PAGE, PAGE_LEN, ROOT_MAGIC};
use crate::note::Note;
use crate::recover::{self, Commit, Extent};
use crate::root::RootPage;
use crate::storage::Bytes;
use crate::{Clause, Error, Result};
use zerocopy::IntoBytes;

/// Something in a file that breaks the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The clause.
    pub clause: Clause,
    /// File offset, bytes.
    pub offset: u64,
    /// The segment, where the finding is about one.
    pub segment: Option<u64>,
    /// What is wrong, for people.
    pub message: String,
}

impl Finding {
    /// Whether it is about an uncommitted tail only, which leaves a file sound.
    pub fn is_tail(&self) -> bool {
        matches!(self.clause, Clause::Tail1 | Clause::Tail2)
    }

    /// Whether what is committed is all the same as it was written: an uncommitted tail, a signature that is asked for and missing.
    pub fn leaves_sound(&self) -> bool {
        self.is_tail() || self.clause == Clause::Sig3
    }
}

/// What verification found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Whether what is committed is as it was written: nothing was found but, perhaps, an uncommitted tail or a missing signature.
    pub sound: bool,
    /// Everything found, by offset.
    pub findings: Vec<Finding>,
    /// Bytes that were read and checked.
    pub bytes_checked: u64,
    /// The newest epoch, if a root is whole.
    pub epoch: Option<u64>,
    /// Live records in it.
    pub count: u64,
    /// Epochs that can be opened.
    pub epochs: u64,
    /// Segments that were checked.
    pub segments: u64,
    /// What to do about the findings, the most pressing first.
    pub advice: Vec<Advice>,
    /// The id of the file, if a root is whole.
    pub file_id: Option<[u8; 16]>,
    /// The audit entries, if they are all there and linked.
    pub trail: Option<Trail>,
    /// The signed notes of the newest epoch's CRYPTO segments, by epoch. Whether their signatures are right was not judged.
    pub notes: Vec<Note>,
}

/// Told how far verification is: bytes done, bytes in all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// No more findings than this are reported.
const MAX_FINDINGS: usize = 10_000;

/// Findings while they are gathered.
#[derive(Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    pub(crate) fn add(&mut self, clause: Clause, offset: u64, segment: Option<u64>, message: impl Into<String>) {
        // A hostile file could break a sentence in every few bytes: what is said about it stays smaller than the file.
        if self.list.len() == MAX_FINDINGS {
            return;
        }
        self.list.push(Finding { clause, offset, segment, message: message.into() });
    }

    /// Takes the finding that an error is. Errors of other kinds cannot come from bytes in memory.
    pub(crate) fn take(&mut self, error: &Error, segment: Option<u64>) {
        match error {
            Error::Corrupt { clause, at, what } => self.add(*clause, *at, segment, *what),
            Error::Newer { clause, at } => {
                self.add(*clause, *at, segment, "a version or feature that this reader does not know")
            }
            other => self.add(Clause::Root6, 0, segment, other.to_string()),
        }
    }

    /// Runs a check and takes its error; the value if there is none.
    pub(crate) fn check<T>(&mut self, segment: Option<u64>, result: Result<T>) -> Option<T> {
        result.inspect_err(|error| self.take(error, segment)).ok()
    }
}

/// How much is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Also what takes a walk over every graph and a look at every code: IDX-4, IDX-5, QNT-2.
    pub deep: bool,
}

/// Verifies a whole file, but for the deep clauses.
///
/// # Errors
/// Those of [`verify_with`].
pub fn verify(file: &Bytes, progress: Progress<'_>) -> Result<Report> {
    verify_with(file, &Options::default(), progress)
}

/// Verifies a whole file.
///
/// # Errors
/// [`Error::NotRvf`], [`Error::PublishedRvf`], [`Error::Newer`]: the file is not one of ours, or not one that this version can
/// judge. Damage is not an error but a finding.
pub fn verify_with(file: &Bytes, options: &Options, progress: Progress<'_>) -> Result<Report> {
    verify_within(file, &Extent::default(), options, progress)
}

/// Verifies as much of a file as `extent` says, which ends behind its last root; what is behind is judged as a tail.
///
/// # Errors
/// Those of [`verify_with`].
pub fn verify_within(file: &Bytes, extent: &Extent, options: &Options, progress: Progress<'_>) -> Result<Report> {
    let mut findings = Findings::default();
    let mut refused = false;
    let newest = match recover::newest(file) {
        Ok(commit) => Some(commit),
        Err(error @ (Error::NotRvf | Error::PublishedRvf | Error::Newer { .. })) => return Err(error),
        Err(Error::NoRoot) => None,
        Err(error) => {
            findings.take(&error, None);
            refused = true;
            None
        }
    };
    check_identity(file, &mut findings);
    if findings.list.iter().any(|finding| finding.clause == Clause::File4) {
        // Pages of another size: nothing else can be judged.
        return Ok(Report { findings: findings.list, advice: vec![Advice::Salvage], ..Report::default() });
    }
    if !refused {
        check_tail(file, extent, newest.as_ref(), &mut findings);
    }
    let mut report = Report { bytes_checked: file.len() as u64 + extent.behind, ..Report::default() };
    let history = match newest {
        Some(commit) => {
            report.epoch = Some(commit.root.epoch());
            report.file_id = Some(commit.root.file_id);
            report.count = commit.root.live_count.get();
            history::read(file, commit, &mut findings)
        }
        None => history::History::default(),
    };
    report.epochs = history.commits.len() as u64;
    let walked = walk::walk(file, &history, &mut findings, progress);
    report.segments = walked.segments;
    report.trail = meaning::check(file, &history, &walked, &mut findings);
    report.notes = audit::live_notes(&history, &walked);
    index::check(file, &history, &walked, options, &mut findings);
    metadata::check(file, &history, &walked, &mut findings);
    branch::check_branches(file, &history, &walked, &mut findings);
    report.advice = advice::advise(&history, &mut findings.list);
    findings.list.sort_by_key(|finding| (finding.offset, finding.clause));
    findings.list.dedup();
    report.findings = findings.list;
    report.sound = report.findings.iter().all(Finding::leaves_sound);
    report.sound &= report.epoch.is_some();
    Ok(report)
}

fn check_identity(file: &Bytes, findings: &mut Findings) {
    let whole: Vec<(usize, FileIdentity)> = identity::copies(file).filter(|(_, copy)| copy.is_whole()).collect();
    let expected = match identity::recognise(file) {
        Recognised::Ours(id) => id,
        _ => None,
    };
    for offset in identity::COPIES {
        let copy = whole.iter().find(|(at, _)| *at == offset).map(|(_, copy)| copy);
        let fits = copy.is_some_and(|copy| Some(copy.file_id) == expected && copy.as_bytes() == whole[0].1.as_bytes());
        if !fits {
            findings.add(Clause::File2, offset as u64, Some(0), "a copy of the file's identity is damaged");
        }
    }
    if let Some((offset, copy)) = whole.first() {
        if copy.page_size.get() != PAGE as u32 {
            findings.add(Clause::File4, *offset as u64 + 0x14, Some(0), "the page size is not 4,096");
        }
        if copy.format_version.get() != FORMAT_VERSION {
            findings.add(Clause::File3, *offset as u64 + 0x10, Some(0), "the format version is not 1");
        }
        if copy.reserved != [0; 20] {
            findings.add(
                Clause::File2,
                *offset as u64 + 0x28,
                Some(0),
                "a reserved field of the file's identity is set",
            );
        }
    }
}

fn check_tail(file: &Bytes, extent: &Extent, newest: Option<&Commit>, findings: &mut Findings) {
    let Some(commit) = newest else {
        explain_roots(file, findings);
        findings.add(Clause::Tail1, 0, None, "the file holds no root that can be opened");
        return;
    };
    let Some(tail) = extent.tail(file, &commit.root) else { return };
    let length = tail.length;
    let epoch = commit.root.epoch();
    let message = format!(
        "{length} bytes follow the root of epoch {epoch}: a commit under way or interrupted, or one whose root is damaged"
    );
    findings.add(Clause::Tail1, tail.start, None, message);
    if tail.holds_manifest {
        findings.add(
            Clause::Tail2,
            tail.start,
            None,
            "the bytes after the newest root hold a manifest: a commit may be lost",
        );
    }
}

/// Why each page that should be a root is none.
fn explain_roots(file: &Bytes, findings: &mut Findings) {
    let file_id = identity::open_identity(file).ok();
    for (index, page) in file.chunks(PAGE_LEN).enumerate() {
        if !page.starts_with(&ROOT_MAGIC.to_le_bytes()) {
            continue;
        }
        let at = index as u64 * PAGE;
        let read = RootPage::read(page, at, file_id);
        let whole = read.and_then(|root| recover::commit_at(file, at, root.file_id));
        findings.check(None, whole.map(drop));
    }
}

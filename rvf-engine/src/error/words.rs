//! What an [`Error`] says, and what it says to do.

use super::Error;
use core::fmt;
use rvf_format::legacy::LegacyError;
use rvf_format::{Dtype, IdType};
use std::io;

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Error::Truncated { .. } => {
                "another program changed the file in place: stop it, restore the file from a copy; replace files by renaming".into()
            }
            Error::Unsound { .. } => "run `rvf verify` for every finding; get the file anew from where it came".into(),
            Error::Corrupt { .. } => "`rvf export FILE OUT --salvage` writes what is intact, `rvf verify` lists every finding; or restore the file from a copy".into(),
            Error::NotRvf => "check the path; `rvf import NEW.rvf INPUT --metric M` makes a store from vectors".into(),
            Error::PublishedRvf => "`rvf convert SOURCE OUT` makes a store of it".into(),
            Error::Newer { .. } => "use a newer rvf".into(),
            Error::NoRoot => "restore the file from a copy, or try what `rvf export FILE OUT --salvage` finds".into(),
            Error::NoEpoch { oldest, newest, .. } => {
                format!("choose an epoch from {oldest} to {newest} that `rvf log` lists")
            }
            Error::Parent(error) => error.hint(),
            Error::InParent { source, .. } => source.hint(),
            Error::Archive(error) => error.hint().into(),
            Error::Key(error) => error.hint(),
            Error::OtherState { .. } => "verify the file again, and open what was found then".into(),
            Error::SigningFailed => "try again; if it comes again, do not trust this machine: its memory or processor miscalculates".into(),
            Error::NotRelated => "compare files of one lineage: a file and its branches, see `rvf lineage`".into(),
            Error::TooDeep => "flatten the file first, and branch from what that gives".into(),
            Error::Feedback(fault) => fault.hint().into(),
            Error::NotPinned { .. } => "`rvf info` lists the pinned epochs".into(),
            Error::NoRenumber => "rename the records in one of the files, or resolve with --ours, --theirs or --decisions".into(),
            Error::Io { source, .. } => io_hint(source).into(),
            Error::Exists { .. } => "choose another name, or remove the file first".into(),
            Error::HardLinks { .. } => "compact with --output, or remove the other names first".into(),
            Error::Moved { .. } => "open the file anew under the name that it has now; nothing was written to what has its name".into(),
            Error::Locked { .. } => "try again when the other writer is done, or wait for it with --wait SECONDS".into(),
            Error::Frozen => "make a branch, or copy the file's records to a new one".into(),
            Error::ReadOnlyFeature => "use a newer rvf to write this file".into(),
            Error::Poisoned => "open the file anew: it holds the last commit that returned".into(),
            Error::Schema(_) => "dimensions are 1 to 65535; metrics l2, cosine and dot take dtype f32, f16, i8 or u8, hamming takes binary".into(),
            Error::Dimension { expected, .. } => format!("give vectors of {expected} components"),
            Error::NotFinite { .. } => "remove the vector, or give it finite numbers".into(),
            Error::ZeroVector { .. } => "remove the vector, or use metric l2 or dot".into(),
            Error::Precision { dtype, .. } => precision_hint(*dtype),
            Error::Element { dtype, .. } => format!("give vectors that {dtype} holds exactly"),
            Error::Field { fault, .. } | Error::FieldOf { fault, .. } => fault.hint().into(),
            Error::Filter(error) => error.hint(),
            Error::UnknownField(_) => "`rvf info` lists the fields".into(),
            Error::OtherSnapshot => "ask the snapshot that is searched for the matches".into(),
            Error::IdKind { expected: IdType::U64 } => "give numbers from 0 to 18446744073709551614 as ids".into(),
            Error::IdKind { expected: IdType::Str } => "give strings as ids".into(),
            Error::BadId { .. } => {
                "numeric ids end at 18446744073709551614; string ids have 1 to 1,024 bytes without NUL".into()
            }
            Error::IdCount { .. } => "give one id for each vector".into(),
            Error::IdsMissing => "give ids, for example with --ids or in a .jsonl file".into(),
            Error::IdsExhausted => "give ids of your own".into(),
            Error::TooLarge => "commit smaller batches".into(),
            Error::IndexOption { .. } => "choose another value, or leave the option out".into(),
            Error::Input(error) => error.hint(),
            Error::IdsTwice => "leave out --ids, or take the ids out of the file".into(),
            Error::Output(error) => error.hint().into(),
            Error::Legacy(error) => legacy_hint(error),
            Error::AlreadyRvf => "open it as it is; `rvf compact FILE --output NEW` makes a copy".into(),
            Error::InFile { source, .. } => match **source {
                Error::NotFinite { .. } | Error::ZeroVector { .. } => {
                    format!("{}; --skip-invalid leaves out such rows", source.hint())
                }
                _ => source.hint(),
            },
            Error::Partly { committed, source } => match **source {
                Error::Interrupted | Error::Io { .. } => format!(
                    "run it for the rest: the first {committed} records are there, and would be added again where the input gives no ids"
                ),
                _ => source.hint(),
            },
            Error::Group { source } => source.hint(),
            Error::Interrupted => "run it again: what was committed stays, and no output file is left half written".into(),
        }
    }
}

fn io_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path, its folder included; `rvf create` makes a new file",
        io::ErrorKind::PermissionDenied => "check who owns the file and its folder",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space; the last commit is intact",
        io::ErrorKind::ReadOnlyFilesystem => "copy the file to where it may be written",
        io::ErrorKind::InvalidInput => "name a regular file: pipes and devices hold no store",
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => "name a file, not a folder",
        _ => "the last commit is intact; `rvf verify` tells whether the file can still be read",
    }
}

fn legacy_hint(error: &LegacyError) -> String {
    match error {
        LegacyError::ParentUnavailable { path, .. } => {
            format!("put the parent {path:?} beside the branch, or name its folder with --parent-dir")
        }
        LegacyError::WrongParent { .. } => {
            "find the parent with the recorded file id, and name its folder with --parent-dir".into()
        }
        LegacyError::InParent { error, .. } => legacy_hint(error),
        _ => "restore the file from a copy; nothing was converted".into(),
    }
}

fn precision_hint(dtype: Dtype) -> String {
    match dtype {
        Dtype::F16 => "say --dtype f16 to accept rounding, or use a store with dtype f32".into(),
        other => format!("use a store with dtype f32; {other} holds whole numbers in its range only"),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Corrupt { what, .. } => f.write_str(what),
            Error::Truncated { .. } => f.write_str("the file was cut while it was being read"),
            Error::Unsound { what, findings, .. } => {
                write!(f, "the file fails verification: {what}; findings: {findings}")
            }
            Error::NotRvf => f.write_str("not an RVF file"),
            Error::PublishedRvf => f.write_str("a file of the published RVF crates, which this engine does not open"),
            Error::Newer { .. } => f.write_str("made by a newer version of RVF"),
            Error::NoRoot => {
                f.write_str("an RVF file without a whole root: nothing in it was committed, or it is damaged")
            }
            Error::NoEpoch { epoch, .. } => write!(f, "epoch {epoch} is not in the file"),
            Error::Parent(error) => error.fmt(f),
            Error::InParent { path, source } => write!(f, "in the parent {}: {source}", path.display()),
            Error::Archive(error) => error.fmt(f),
            Error::Key(error) => error.fmt(f),
            Error::OtherState { epoch, found } => {
                write!(f, "the file is not in the state that was asked for: epoch {epoch} has the state hash {}", rvf_format::digest::hex(found))
            }
            Error::SigningFailed => f.write_str("a signature that was just computed does not verify; nothing was signed"),
            Error::NotRelated => f.write_str("the two have no commit in common: neither is a branch of the other or of what the other is a branch of"),
            Error::TooDeep => write!(f, "a branch may have {} parents one above the other", rvf_format::lineage::MAX_DEPTH),
            Error::Feedback(fault) => fault.fmt(f),
            Error::NotPinned { epoch } => write!(f, "epoch {epoch} is not pinned"),
            Error::NoRenumber => f.write_str("ids of this store are strings, which are not numbered"),
            Error::Io { action, source, .. } => write!(f, "{action} failed: {source}"),
            Error::Exists { .. } => f.write_str("the file exists already"),
            Error::HardLinks { .. } => {
                f.write_str("the file has several names (hard links), which compaction would split")
            }
            Error::Moved { .. } => {
                f.write_str("the file was removed, renamed or replaced while it was open for writing")
            }
            Error::Locked { .. } => f.write_str("another writer has the file"),
            Error::Frozen => f.write_str("the file is frozen and takes no commits"),
            Error::ReadOnlyFeature => f.write_str("the file uses a feature that this version must not write"),
            Error::Poisoned => f.write_str("an earlier write failed and the handle takes no more"),
            Error::Schema(what) => f.write_str(what),
            Error::Dimension { expected, found } => {
                write!(f, "the store has dimension {expected}, the vectors given have {found}")
            }
            Error::NotFinite { row, component } => {
                write!(f, "component {component} of vector {row} is not a finite number")
            }
            Error::ZeroVector { row } => write!(f, "vector {row} is all zero, and the metric is cosine"),
            Error::Precision { row, component, value, dtype } => {
                write!(f, "component {component} of vector {row} is {value}, which {dtype} does not hold exactly")
            }
            Error::Element { found, dtype } => write!(f, "vectors of {found} do not go into a store of {dtype}"),
            Error::Filter(error) => error.fmt(f),
            Error::UnknownField(field) => write!(f, "{field}: nothing was changed"),
            Error::OtherSnapshot => f.write_str("these are the matches of another commit"),
            Error::Field { row, field, fault } => write!(f, "field {field:?} of record {row} {fault}"),
            Error::FieldOf { id, field, fault } => write!(f, "field {field:?} of the record with id {id} {fault}"),
            Error::IdKind { expected } => write!(f, "the store has ids of type {expected}"),
            Error::BadId { row, what } => write!(f, "the id of vector {row} {what}"),
            Error::IdCount { ids, vectors } => write!(f, "{ids} ids for {vectors} vectors"),
            Error::IdsMissing => f.write_str("a store with string ids needs an id for each vector"),
            Error::IdsExhausted => f.write_str("no default ids are left"),
            Error::TooLarge => f.write_str("a commit of this size does not fit into a segment of 4 GiB"),
            Error::IndexOption { name, value, must_be } => write!(f, "{name} is {value}, but must be {must_be}"),
            Error::Input(error) => error.fmt(f),
            Error::Output(error) => error.fmt(f),
            Error::Legacy(error) => error.fmt(f),
            Error::IdsTwice => f.write_str("the file gives ids, and others were given besides"),
            Error::AlreadyRvf => f.write_str("the file is a store of this version already"),
            Error::InFile { path, record, line, source } => {
                write!(f, "{source} ({}", path.display())?;
                match (record, line) {
                    (_, Some(line)) => write!(f, ", line {line})"),
                    (Some(record), None) => write!(f, ", row {record})"),
                    (None, None) => f.write_str(")"),
                }
            }
            Error::Partly { committed, source } => match **source {
                Error::Moved { .. } | Error::Truncated { .. } => {
                    write!(f, "{source}; {committed} records had been committed to the file as it was")
                }
                _ => write!(f, "{source}; {committed} records before it are committed and stay"),
            },
            Error::Group { source } => source.fmt(f),
            Error::Interrupted => f.write_str("interrupted"),
        }
    }
}

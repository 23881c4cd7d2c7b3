//! What each fault of an input file is called, and the hint that goes with it: one line each.

use std::fmt;

use super::MAX_DIM;
use super::batch::IdKind;
use super::fault::{FileFault, InputFault, JsonFault, JsonPart, NpyFault, RowFault};
use super::format::Format;

impl InputFault {
    pub(super) fn hint(&self) -> String {
        match self {
            InputFault::File(fault) => fault.hint().to_owned(),
            InputFault::Npy(fault) => fault.hint(),
            InputFault::Row(fault) => fault.hint(),
            InputFault::Json(fault) => fault.hint().to_owned(),
            InputFault::Csv(fault) => fault.hint(),
            #[cfg(feature = "parquet")]
            InputFault::Parquet(fault) => fault.hint().to_owned(),
        }
    }
}

impl fmt::Display for InputFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputFault::File(fault) => fault.fmt(f),
            InputFault::Npy(fault) => fault.fmt(f),
            InputFault::Row(fault) => fault.fmt(f),
            InputFault::Json(fault) => fault.fmt(f),
            InputFault::Csv(fault) => fault.fmt(f),
            #[cfg(feature = "parquet")]
            InputFault::Parquet(fault) => fault.fmt(f),
        }
    }
}

impl FileFault {
    fn hint(&self) -> &'static str {
        match self {
            FileFault::NotFound => "check the path",
            FileFault::Directory => "name the files in it one by one, for instance DIR/*.npy",
            FileFault::NotRegular => "write it to a file first; only jsonl and csv are read from a pipe",
            FileFault::Empty => "check the program that wrote it; a vector file holds at least one record",
            FileFault::UnknownFormat { .. } => "rename the file, or say the format with --format",
            FileFault::LessMetadata | FileFault::MoreMetadata => {
                "give a line a record, in the order of the records; {} for one without metadata"
            }
            FileFault::MetadataTwice => "leave out --metadata, or take the metadata out of the records",
            FileFault::Io(_) => "check the permissions and the medium",
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileFault::NotFound => f.write_str("no such file"),
            FileFault::Directory => f.write_str("a directory where a file of vectors is needed"),
            FileFault::NotRegular => f.write_str("not a regular file"),
            FileFault::Empty => f.write_str("the file is empty"),
            FileFault::UnknownFormat { given } => {
                write!(f, "unknown format of vectors \"{given}\": the known ones are {}", Format::names())
            }
            FileFault::LessMetadata => f.write_str("fewer lines of metadata than records"),
            FileFault::MoreMetadata => f.write_str("more lines of metadata than records"),
            FileFault::MetadataTwice => f.write_str("metadata for records that have metadata of their own"),
            FileFault::Io(error) => write!(f, "cannot read: {error}"),
        }
    }
}

impl NpyFault {
    fn hint(&self) -> String {
        let text = match self {
            NpyFault::Magic => "write it with numpy.save(path, a), or say the format with --format",
            NpyFault::Version { .. } | NpyFault::Header { .. } | NpyFault::HeaderTooLong { .. } => {
                "write it again with numpy.save(path, a)"
            }
            NpyFault::BigEndian { descr } => {
                return format!("a.astype('<{}')", descr.trim_start_matches('>'));
            }
            NpyFault::Structured => "save the field of vectors alone: numpy.save(path, a['vector'])",
            NpyFault::Pickled => "numpy.stack(a).astype('<f4'), then numpy.save; objects are never unpickled",
            NpyFault::Dtype { wanted, .. } => {
                return format!("convert it, for instance a.astype('{}')", wanted.split(',').next().unwrap_or("<f4"));
            }
            NpyFault::Shape { wanted: 1, .. } => "a.ravel()",
            NpyFault::Shape { .. } => "one vector a row: a.reshape(count, dim)",
            NpyFault::Fortran { .. } => "numpy.ascontiguousarray(a)",
            NpyFault::ShortPayload { .. } => "the file is cut short: copy it or write it again",
            NpyFault::TrailingBytes { .. } => "save one array a file",
            NpyFault::NegativeId { .. } => "ids are 0 to 18446744073709551614: numpy.arange(len(a))",
            NpyFault::NotText => "save the ids as text: a.astype('U')",
        };
        text.to_owned()
    }
}

impl fmt::Display for NpyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NpyFault::Magic => f.write_str("not an npy file"),
            NpyFault::Version { major, minor } => {
                write!(f, "npy version {major}.{minor} is not known")
            }
            NpyFault::HeaderTooLong { bytes } => {
                write!(f, "an npy header of {bytes} bytes is longer than 1 MiB")
            }
            NpyFault::Header { wanted } => write!(f, "malformed npy header: expected {wanted}"),
            NpyFault::BigEndian { descr } => write!(f, "npy elements are big-endian ({descr})"),
            NpyFault::Structured => f.write_str("npy elements are records of several fields"),
            NpyFault::Pickled => f.write_str("npy elements are pickled Python objects"),
            NpyFault::Dtype { descr, wanted } => {
                write!(f, "npy elements are {descr}; wanted is one of {wanted}")
            }
            NpyFault::Shape { shape, wanted } => {
                write!(f, "the npy array has {} dimensions {shape:?}; wanted is {wanted}", shape.len())
            }
            NpyFault::Fortran { rows, columns } => {
                write!(f, "the npy array of {rows} by {columns} is in Fortran order")
            }
            NpyFault::ShortPayload { rows, row_bytes, present } => {
                write!(f, "the npy header promises {rows} rows of {row_bytes} bytes, but {present} bytes follow")
            }
            NpyFault::TrailingBytes { count } => write!(f, "{count} bytes follow the npy array"),
            NpyFault::NegativeId { value } => write!(f, "{value} is not an id"),
            NpyFault::NotText => f.write_str("an id is not valid text"),
        }
    }
}

impl RowFault {
    fn hint(&self) -> String {
        match self {
            RowFault::Truncated { .. } => "the file is cut short, or is of another format (see --format)".to_owned(),
            RowFault::Dim { .. } => {
                format!("vectors have 1 to {MAX_DIM} elements; is it another format (--format)?")
            }
            RowFault::DimChanged { .. } => "every vector of a file has the same number of elements".to_owned(),
        }
    }
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowFault::Truncated { needed, present } => {
                write!(f, "the file ends early: {needed} bytes needed, {present} there")
            }
            RowFault::Dim { found } => write!(f, "a vector of {found} elements"),
            RowFault::DimChanged { expected, found } => {
                write!(f, "a vector of {found} elements after vectors of {expected}")
            }
        }
    }
}

impl JsonFault {
    fn hint(&self) -> &'static str {
        match self {
            JsonFault::LineTooLong => "a line holds one record, of 64 MiB at most",
            JsonFault::Syntax { .. } | JsonFault::WrongType { .. } | JsonFault::MissingVector => {
                "a line looks like {\"id\":7,\"vector\":[0.5,1],\"metadata\":{\"lang\":\"en\"}}"
            }
            JsonFault::DuplicateKey { .. } => "keep one of the two",
            JsonFault::UnknownKey { .. } => "a record has id, vector and metadata; move other fields into metadata",
            JsonFault::NegativeId | JsonFault::FractionalId | JsonFault::IdTooLarge => {
                "ids are whole numbers from 0 to 18446744073709551614, or strings"
            }
            JsonFault::MixedIds { .. } => "give every record of a file a number, or every one a string, or none an id",
            JsonFault::OtherRecord { .. } => "give a line a record, in the order of the records, or leave the ids out",
            JsonFault::MissingId => "give lines as {\"id\":7,\"metadata\":{\"lang\":\"en\"}}, and nothing else in them",
            JsonFault::Feedback { .. } => {
                "give lines as {\"query\":[0.5,1],\"shown\":[7,8],\"chosen\":[8],\"weight\":1}"
            }
            JsonFault::OutOfRange { .. } => "elements are at most 3.4028235e38 in size",
        }
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonFault::LineTooLong => f.write_str("a line of more than 64 MiB"),
            JsonFault::Syntax { message } => write!(f, "malformed JSON: {message}"),
            JsonFault::DuplicateKey { key } => write!(f, "the key {key:?} stands twice"),
            JsonFault::UnknownKey { key } => write!(f, "the key {key:?} is not known"),
            JsonFault::MissingVector => f.write_str("the record has no \"vector\""),
            JsonFault::WrongType { part } => write!(f, "{}", part.wanted()),
            JsonFault::NegativeId => f.write_str("the id is negative"),
            JsonFault::FractionalId => f.write_str("the id is not written as a whole number"),
            JsonFault::IdTooLarge => f.write_str("the id is too large"),
            JsonFault::MixedIds { first, here } => {
                write!(f, "{} after records with {}", id_words(*here), id_words(*first))
            }
            JsonFault::OtherRecord { given, record } => {
                write!(f, "metadata of record {given} in the place of that of record {record}")
            }
            JsonFault::MissingId => f.write_str("a change of metadata that names no record"),
            JsonFault::Feedback { what } => write!(f, "the line {what}"),
            JsonFault::OutOfRange { position } => {
                write!(f, "element {position} of the vector is too large for f32")
            }
        }
    }
}

impl JsonPart {
    fn wanted(self) -> String {
        match self {
            JsonPart::Record => "the record is not an object".to_owned(),
            JsonPart::Id => "the id is neither a number nor a string".to_owned(),
            JsonPart::Vector => "the vector is not an array of numbers".to_owned(),
            JsonPart::Element(position) => {
                format!("element {position} of the vector is not a number")
            }
            JsonPart::Metadata => "the metadata is not an object".to_owned(),
        }
    }
}

fn id_words(kind: Option<IdKind>) -> &'static str {
    match kind {
        None => "no id",
        Some(IdKind::U64) => "a number as id",
        Some(IdKind::Str) => "a string as id",
    }
}

//! Reads and writes vectors in files of other formats.
//!
//! Owns the bytes of those files: it checks every claim of a header against the real length of the file before it
//! allocates, and streams in batches. It does not own what a vector may hold: whether a value is finite, and whether
//! a dimension or an element type suits a store, is decided at the engine's door ([`first_non_finite`] helps it).
//!
//! | file | duty |
//! | --- | --- |
//! | `format` | [`Format`]: which formats there are, and which one a path means |
//! | `batch` | [`VectorBatch`], [`Elements`], [`Ids`]: what a reader hands on |
//! | `error`, `fault`, `fault_words` | [`InputError`]: path, place, fault and hint |
//! | `input` | opening a file; exact reads that know their offset |
//! | `npy`, `npy_header` | `.npy` matrices; the header, read and written |
//! | `ids` | `.npy` arrays of ids: one column, or a table (truth) |
//! | `vecs` | `.fvecs` and `.bvecs` |
//! | `record_source` | batches of records that are read one at a time |
//! | `jsonl`, `json_record` | `.jsonl` files; one line of them |
//! | `csv`, `csv_header`, `csv_cell`, `csv_fault` | `.csv` files: their records; columns; cells of fields; what is wrong with them |
//! | `json_metadata`, `changes` | metadata as JSON; lines that change it |
//! | `sidecar` | metadata from a file of its own |
//! | `door` | what may enter a store, and in which bytes |
//! | `fields` | which metadata may enter a store |
//! | `import` | from a file of vectors into a store, a commit a batch |
//! | `export` | from a snapshot to a file of vectors |
//! | `convert` | from a file of the published crates, or of vectors, to a new store |
//! | `published_fields` | fields of a published file as those of a store |
//! | `finite` | the search for NaN and infinity |
//! | `sink`, `sink_error`, `temp_file` | [`VectorSink`] and the file that appears whole or not at all |
//! | `parquet_source`, `parquet_sink`, `parquet_fault` | `.parquet` files, with the cargo feature `parquet` |
//! | `npy_sink`, `vecs_sink`, `jsonl_sink`, `csv_sink` | one writer a format |
//! | `companions`, `ids_sink`, `metadata_sink` | ids and metadata beside a file of vectors |

mod batch;
mod changes;
mod companions;
mod convert;
mod csv;
mod csv_cell;
mod csv_fault;
mod csv_header;
mod csv_sink;
pub mod door;
mod error;
mod export;
mod fault;
mod fault_words;
mod feedback;
mod feedback_sink;
mod fields;
mod finite;
mod format;
mod ids;
mod ids_sink;
mod import;
mod input;
mod json_metadata;
mod json_record;
mod jsonl;
mod jsonl_sink;
mod metadata_sink;
mod npy;
mod npy_header;
mod npy_sink;
#[cfg(feature = "parquet")]
mod parquet_fault;
#[cfg(feature = "parquet")]
mod parquet_sink;
#[cfg(feature = "parquet")]
mod parquet_source;
mod published_fields;
mod record_source;
mod sidecar;
mod sink;
mod sink_error;
mod temp_file;
mod vecs;
mod vecs_sink;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::Path;

pub use batch::{Element, Elements, IdKind, Ids, VectorBatch};
pub use changes::{Change, Changes};
pub use convert::{ConvertOptions, Converted, SkippedRow, SkippedSegment, convert};
pub use csv::CsvSource;
pub use csv_fault::{CellType, CsvFault};
pub use error::{InputError, Place};
pub use export::Exported;
pub(crate) use export::{Rows, export_rows};
pub use fault::{FileFault, InputFault, JsonFault, JsonPart, NpyFault, RowFault};
pub use feedback::{FeedbackLine, FeedbackLines, FeedbackQuery};
pub use feedback_sink::feedback_companion;
pub(crate) use fields::Admission;
pub use fields::FieldFault;
pub use finite::{first_non_finite, first_non_finite_f16};
pub use format::Format;
pub use ids::{IdTable, id_table_from, read_id_table, read_ids};
pub use ids_sink::ids_companion;
pub use import::{ImportOptions, Imported, RejectedRow, schema_for};
pub(crate) use import::{import, put};
pub use json_metadata::{changes_from_json, metadata_from_json, metadata_from_text, metadata_to_json, value_to_json};
pub use jsonl::{JsonlSource, MAX_LINE_BYTES, read_json_vector};
pub use metadata_sink::metadata_companion;
pub use npy::NpySource;
#[cfg(feature = "parquet")]
pub use parquet_fault::ParquetFault;
#[cfg(feature = "parquet")]
pub use parquet_source::ParquetSource;
pub use sidecar::Sidecar;
pub use sink::{SinkOptions, VectorSink, create_sink};
pub use sink_error::{SinkError, SinkFault};
pub(crate) use temp_file::TempFile;
pub use vecs::VecsSource;

/// The longest vector that any reader accepts, in elements.
pub const MAX_DIM: usize = 65_535;

/// Told between batches how far work is: rows done, rows in all where that is known. Its answer may stop the work.
pub type Progress<'p> = &'p mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>;

/// A file of vectors, read forwards in batches.
pub trait VectorSource: Send {
    /// Elements in each vector, where a first record has told.
    fn dim(&self) -> Option<usize>;

    /// The type of the elements that every batch will hold.
    fn element(&self) -> Element;

    /// How many vectors the whole file holds, where the format tells before the end. Of an `.fvecs` or `.bvecs` file
    /// it is what the length implies, and is confirmed row by row.
    fn total(&self) -> Option<u64>;

    /// The sort of ids that the file gives, where it gives any.
    fn ids(&self) -> Option<IdKind> {
        None
    }

    /// The next `max_rows` vectors (at least one is read), fewer at the end or where lines are very long, `None` after
    /// the last.
    ///
    /// # Errors
    /// The file cannot be read, or is not what its format demands; the error names the place. After an error the
    /// position is undefined: drop the source.
    fn next_batch(&mut self, max_rows: usize) -> Result<Option<VectorBatch>, InputError>;
}

/// Opens a file of vectors, in the given format or else in the one that its extension names.
///
/// # Errors
/// The extension is unknown, the file is missing, a directory or empty, or its head is not what the format demands.
pub fn open_source(path: &Path, format: Option<Format>) -> Result<Box<dyn VectorSource>, InputError> {
    let format = match format {
        Some(format) => format,
        // A folder is called a folder, whatever its name says.
        None if path.is_dir() => return Err(InputError::of_file(path, FileFault::Directory)),
        None => Format::of_path(path)?,
    };
    let regular = || input::open_regular(path);
    Ok(match format {
        Format::Jsonl => Box::new(JsonlSource::new(input::open_stream(path)?, path)?),
        Format::Csv => Box::new(CsvSource::new(input::open_stream(path)?, path)?),
        #[cfg(feature = "parquet")]
        Format::Parquet => Box::new(ParquetSource::open(path)?),
        Format::Npy => {
            let (file, len) = regular()?;
            Box::new(NpySource::new(file, len, path)?)
        }
        Format::Fvecs | Format::Bvecs => {
            let element = if format == Format::Fvecs { Element::F32 } else { Element::U8 };
            let (file, len) = regular()?;
            Box::new(VecsSource::new(file, len, path, element)?)
        }
    })
}

//! Writing vectors to a file that appears whole, or not at all.
//!
//! A sink writes beside its target under a temporary name, and renames in [`VectorSink::finish`]. Dropped before that
//! it removes what it wrote; a file of the target's name stays as it was.

use std::path::Path;

use serde_json::{Map, Value};

use super::MAX_DIM;
use super::batch::{Element, Elements, IdKind, Ids};
use super::csv_sink::CsvSink;
use super::format::Format;
use super::jsonl_sink::JsonlSink;
use super::npy_sink::NpySink;
use super::sink_error::{SinkError, SinkFault};
use super::vecs_sink::VecsSink;
use crate::store::Fields;

/// What is going to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkOptions {
    /// Elements in each vector.
    pub dim: usize,
    /// The type of the elements that [`VectorSink::write`] will be given.
    pub element: Element,
    /// The sort of the ids that it will be given; none where ids are left out.
    pub ids: Option<IdKind>,
    /// The fields of the metadata that it will be given; none where metadata is left out. `.jsonl` takes any.
    pub fields: Fields,
}

/// A file of vectors that is being written.
pub trait VectorSink: Send {
    /// Appends records. `ids` are given exactly where the options say so, one a record; metadata, one a record too, has the fields
    /// that the options name.
    ///
    /// # Errors
    /// The arguments do not fit the options or each other, the format cannot hold a value (`.jsonl` has no NaN), or
    /// the file cannot be written. After an error, drop the sink.
    fn write(
        &mut self,
        ids: Option<&Ids>,
        vectors: &Elements,
        metadata: Option<&[Option<Value>]>,
    ) -> Result<(), SinkError>;

    /// Completes the file under its own name, and returns the number of records.
    ///
    /// # Errors
    /// The file cannot be completed; it does not appear then.
    fn finish(self: Box<Self>) -> Result<u64, SinkError>;
}

/// Begins a file of vectors, in the given format or else in the one that its extension names.
///
/// `.npy`, `.fvecs` and `.bvecs` have no place for ids and metadata: these go to files beside it, see [`super::ids_companion`] and
/// [`super::metadata_companion`].
/// An `.fvecs` file holds f32, into which any other element is widened without loss; a `.bvecs` file holds u8 only.
///
/// # Errors
/// The format is unknown or cannot hold such elements, the dimension is not 1 to 65,535, `path` is a directory, or
/// nothing can be created beside it.
pub fn create_sink(
    path: &Path,
    format: Option<Format>,
    options: SinkOptions,
) -> Result<Box<dyn VectorSink>, SinkError> {
    let wrong = |fault| SinkError::new(path, fault);
    let format = format.map_or_else(|| Format::of_path(path), Ok).map_err(|_| {
        let given = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        wrong(SinkFault::UnknownFormat { given })
    })?;
    if !(1..=MAX_DIM).contains(&options.dim) {
        return Err(wrong(SinkFault::Dim { given: options.dim }));
    }
    if format == Format::Bvecs && options.element != Element::U8 {
        return Err(wrong(SinkFault::Element { given: options.element, wanted: Element::U8 }));
    }
    if path.is_dir() {
        return Err(wrong(SinkFault::Directory));
    }
    Ok(match format {
        Format::Npy => Box::new(NpySink::create(path, options)?),
        Format::Fvecs | Format::Bvecs => Box::new(VecsSink::create(path, format, options)?),
        Format::Jsonl => Box::new(JsonlSink::create(path, options)?),
        Format::Csv => Box::new(CsvSink::create(path, options)?),
        #[cfg(feature = "parquet")]
        Format::Parquet => Box::new(super::parquet_sink::ParquetSink::create(path, options)?),
    })
}

impl SinkOptions {
    /// Checks that the arguments of a write fit, and returns how many records they are.
    pub(super) fn check(
        &self,
        ids: Option<&Ids>,
        vectors: &Elements,
        metadata: Option<&[Option<Value>]>,
    ) -> Result<usize, SinkFault> {
        if vectors.element() != self.element {
            return Err(SinkFault::Element { given: vectors.element(), wanted: self.element });
        }
        if ids.map(Ids::kind) != self.ids {
            return Err(SinkFault::IdKind { given: ids.map(Ids::kind), wanted: self.ids });
        }
        if !vectors.len().is_multiple_of(self.dim) {
            return Err(SinkFault::PartialVector { dim: self.dim, elements: vectors.len() });
        }
        let rows = vectors.len() / self.dim;
        for given in [ids.map(Ids::len), metadata.map(<[_]>::len)].into_iter().flatten() {
            if given != rows {
                return Err(SinkFault::Count { vectors: rows, given });
            }
        }
        Ok(rows)
    }

    /// [`SinkOptions::check`] for the formats that have metadata beside them.
    pub(super) fn check_plain(
        &self,
        ids: Option<&Ids>,
        vectors: &Elements,
        metadata: Option<&[Option<Value>]>,
    ) -> Result<usize, SinkFault> {
        let any = metadata.is_some_and(|metadata| metadata.iter().any(Option::is_some));
        if self.fields.is_empty() && any {
            return Err(SinkFault::MetadataNotKept);
        }
        self.check(ids, vectors, metadata)
    }

    /// Checks that the metadata of a record has no other fields than those announced.
    pub(super) fn check_fields(&self, row: u64, object: Option<&Map<String, Value>>) -> Result<(), SinkFault> {
        let strange = object.and_then(|object| object.keys().find(|name| !self.fields.contains_key(*name)));
        match strange {
            Some(name) => Err(SinkFault::of_field(row, name)),
            None => Ok(()),
        }
    }
}

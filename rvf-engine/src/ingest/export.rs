//! Export: rows to a file of vectors, in bounded memory; all live records of a snapshot.

use super::{
    Element, Elements, Format, IdKind, Ids, Progress, SinkOptions, VectorSink, create_sink, ids_companion,
    metadata_companion, metadata_to_json,
};
use crate::store::{Fields, RowId, Snapshot};
use crate::{Error, Result};
use rvf_format::payload::vec::IdRef;
use rvf_format::{Dtype, IdType, Schema};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

/// Records that are in memory at a time.
const CHUNK: usize = 10_000;

/// A row as it is stored: its id, its bytes, its metadata as JSON if it has any.
pub(crate) type StoredRow<'a> = (IdRef<'a>, &'a [u8], Option<Json>);

/// What an export wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Records.
    pub exported: u64,
    /// The file beside it that holds their ids, where the format has no place for them.
    pub ids: Option<PathBuf>,
    /// The file beside it that holds their metadata, where the store has fields and the format no place for them.
    pub metadata: Option<PathBuf>,
}

impl Snapshot {
    /// Writes every live record to a file of vectors, in the order of rows. Elements keep the store's dtype, bits of a binary
    /// store as packed bytes. The file appears when it is complete, in place of any other of its name.
    ///
    /// ```
    /// use rvf_engine::{Db, Metric, Schema};
    /// use std::ops::ControlFlow;
    /// let folder = tempfile::tempdir()?;
    /// let mut db = Db::create(folder.path().join("a.rvf"), &Schema::new(2, Metric::L2))?;
    /// db.add(&[0.5f32, 1.0])?;
    /// let out = folder.path().join("a.jsonl");
    /// let done = db.snapshot().export(&out, None, &mut |_, _| ControlFlow::Continue(()))?;
    /// assert_eq!(done.exported, 1);
    /// assert_eq!(std::fs::read_to_string(&out)?, "{\"id\":0,\"vector\":[0.5,1]}\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Output`], [`Error::Interrupted`], [`Error::Truncated`]; MAN-5 and other corruption of segments: each is held against
    /// the hash that was committed before its rows are written. The file does not appear then.
    pub fn export(&self, path: &Path, format: Option<Format>, progress: Progress<'_>) -> Result<Exported> {
        let rows = self.settle(self.live_rows())?;
        self.export_those(rows, self.count(), (path, format), progress)
    }

    /// [`Snapshot::export`] of some rows.
    pub(crate) fn export_those(
        &self,
        rows: impl Iterator<Item = RowId>,
        total: u64,
        target: (&Path, Option<Format>),
        progress: Progress<'_>,
    ) -> Result<Exported> {
        let mut intact = None;
        let row = |at: RowId| {
            if intact != Some(at.part) {
                self.intact_rows(at.part)?;
                intact = Some(at.part);
            }
            let metadata = self.metadata_at(at)?;
            let metadata = (!metadata.is_empty()).then(|| metadata_to_json(&metadata));
            Ok((self.id_of(at)?, self.view(at.part)?.row(at.row), metadata))
        };
        let source = Rows { schema: self.schema(), fields: self.fields()?.clone(), total, check: &|| self.check() };
        export_rows(&source, rows.map(row), target, progress)
    }
}

/// Where rows come from.
pub(crate) struct Rows<'a> {
    pub(crate) schema: &'a Schema,
    /// The fields that their metadata may have.
    pub(crate) fields: Fields,
    /// How many there will be, for the progress.
    pub(crate) total: u64,
    /// Whether what was read up to now was read from the file.
    pub(crate) check: &'a dyn Fn() -> Result<()>,
}

/// Writes rows, each as its id and its stored bytes, to a file of vectors.
///
/// # Errors
/// [`Error::Output`], [`Error::Interrupted`], what `rows` and `source` give. The file does not appear then.
pub(crate) fn export_rows<'a>(
    source: &Rows<'_>,
    rows: impl Iterator<Item = Result<StoredRow<'a>>>,
    (path, format): (&Path, Option<Format>),
    progress: Progress<'_>,
) -> Result<Exported> {
    let options = SinkOptions { fields: source.fields.clone(), ..options(source.schema) };
    let mut sink = create_sink(path, format, options)?;
    let exported = pour(source, rows, sink.as_mut(), progress)?;
    sink.finish()?;
    let holds_all = format.or_else(|| Format::of_path(path).ok()).is_some_and(Format::holds_records);
    let beside = |wanted: bool, path: PathBuf| (wanted && !holds_all).then_some(path);
    let metadata = beside(!source.fields.is_empty(), metadata_companion(path));
    Ok(Exported { exported, ids: beside(true, ids_companion(path)), metadata })
}

fn options(schema: &Schema) -> SinkOptions {
    let element = match schema.dtype {
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::I8 => Element::I8,
        Dtype::U8 | Dtype::Binary => Element::U8,
    };
    let ids = match schema.id_type {
        IdType::U64 => IdKind::U64,
        IdType::Str => IdKind::Str,
    };
    SinkOptions { dim: schema.row_len() / element.bytes(), element, ids: Some(ids), fields: Fields::new() }
}

fn pour<'a>(
    source: &Rows<'_>,
    mut rows: impl Iterator<Item = Result<StoredRow<'a>>>,
    sink: &mut dyn VectorSink,
    progress: Progress<'_>,
) -> Result<u64> {
    let mut written = 0;
    loop {
        if progress(written, Some(source.total)).is_break() {
            return Err(Error::Interrupted);
        }
        let chunk: Result<Vec<StoredRow<'_>>> = rows.by_ref().take(CHUNK).collect();
        let copied = chunk.map(|chunk| (chunk.len(), copy(source.schema, chunk)));
        // Neither rows nor an error that were read from where the file is no more.
        (source.check)()?;
        let (count, (ids, elements, metadata)) = copied?;
        if count == 0 {
            return Ok(written);
        }
        sink.write(Some(&ids), &elements, Some(&metadata))?;
        written += count as u64;
    }
}

/// Ids, vectors and metadata of some rows.
fn copy(schema: &Schema, chunk: Vec<StoredRow<'_>>) -> (Ids, Elements, Vec<Option<Json>>) {
    let SinkOptions { dim, element, .. } = options(schema);
    let mut elements = Elements::zeros(element, chunk.len() * dim);
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    let mut metadata = Vec::with_capacity(chunk.len());
    for ((id, row, fields), into) in chunk.into_iter().zip(elements.bytes_mut().chunks_exact_mut(schema.row_len())) {
        // A view's rows have the length that the schema gives: it was checked when the view was made.
        into.copy_from_slice(row);
        match id {
            IdRef::U64(number) => numbers.push(number),
            IdRef::Str(text) => texts.push(text.to_owned()),
        }
        metadata.push(fields);
    }
    elements.swap_from_little_endian();
    let ids = if schema.id_type == IdType::U64 { Ids::U64(numbers) } else { Ids::Str(texts) };
    (ids, elements, metadata)
}

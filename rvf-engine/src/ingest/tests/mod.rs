//! Tests of the readers and writers, and what they share.
//!
//! | file | duty |
//! | --- | --- |
//! | `npy` | golden bytes, headers that are refused, ids |
//! | `vecs` | `.fvecs`, `.bvecs` |
//! | `jsonl` | records, numbers, refusals with their line |
//! | `csv` | columns, cells and their types, refusals with line and cell; round trips |
//! | `parquet` | round trips; files of other programs; damage |
//! | `files` | what a path can be; formats |
//! | `sinks` | round trips; a failed write leaves nothing |
//! | `hostile` | arbitrary bytes, truncation, claims beyond the file |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod csv;
mod files;
mod hostile;
mod jsonl;
mod npy;
#[cfg(feature = "parquet")]
mod parquet;
mod sinks;
mod vecs;

use std::path::Path;

use super::*;

const NAME: &str = "input";

/// A source over bytes.
fn source(format: Format, bytes: &[u8]) -> Result<Box<dyn VectorSource + '_>, InputError> {
    let (len, path) = (bytes.len() as u64, Path::new(NAME));
    Ok(match format {
        Format::Npy => Box::new(NpySource::new(bytes, len, path)?),
        Format::Fvecs => Box::new(VecsSource::new(bytes, len, path, Element::F32)?),
        Format::Bvecs => Box::new(VecsSource::new(bytes, len, path, Element::U8)?),
        Format::Jsonl => Box::new(JsonlSource::new(bytes, path)?),
        Format::Csv => Box::new(CsvSource::new(bytes, path)?),
        #[cfg(feature = "parquet")]
        Format::Parquet => Box::new(ParquetSource::new(bytes::Bytes::copy_from_slice(bytes), path)?),
    })
}

fn drain(mut source: Box<dyn VectorSource + '_>, rows: usize) -> Result<Vec<VectorBatch>, InputError> {
    let mut batches = Vec::new();
    while let Some(batch) = source.next_batch(rows)? {
        assert!((1..=rows).contains(&batch.rows()), "a batch has 1 to {rows} rows");
        assert_eq!(Some(batch.dim), source.dim());
        assert_eq!(batch.elements.element(), source.element());
        assert_eq!(batch.rows() * batch.dim, batch.elements.len());
        batches.push(batch);
    }
    Ok(batches)
}

fn read(format: Format, bytes: &[u8], rows: usize) -> Result<Vec<VectorBatch>, InputError> {
    drain(source(format, bytes)?, rows)
}

/// The error of reading, which must not succeed, as text: the words, the place, and the hint on a second line.
fn refusal(format: Format, bytes: &[u8]) -> String {
    told(&read(format, bytes, 2).expect_err("must be refused"))
}

fn told(error: &InputError) -> String {
    assert!(!error.hint().is_empty());
    format!("{error}\nhint: {}", error.hint())
}

/// An `.npy` file of the given version around a dictionary, unpadded.
fn npy_file(version: u8, dictionary: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((dictionary.len() as u16).to_le_bytes()),
        _ => bytes.extend((dictionary.len() as u32).to_le_bytes()),
    }
    bytes.extend(dictionary.as_bytes());
    bytes.extend(payload);
    bytes
}

/// A version 1.0 file with these facts.
fn npy(descr: &str, shape: &str, payload: &[u8]) -> Vec<u8> {
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    npy_file(1, &dictionary, payload)
}

/// An `.fvecs` file.
fn fvecs(rows: &[&[f32]]) -> Vec<u8> {
    let row = |row: &&[f32]| {
        let mut bytes = (row.len() as i32).to_le_bytes().to_vec();
        bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    };
    rows.iter().flat_map(row).collect()
}

/// A `.bvecs` file.
fn bvecs(rows: &[&[u8]]) -> Vec<u8> {
    let row = |row: &&[u8]| [&(row.len() as i32).to_le_bytes()[..], row].concat();
    rows.iter().flat_map(row).collect()
}

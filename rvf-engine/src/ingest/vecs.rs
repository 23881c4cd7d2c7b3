//! `.fvecs` and `.bvecs`: each row is its dimension as an i32, then that many f32 or u8, all little-endian.
//!
//! The dimension of the first row is that of the file. The number of rows is not written anywhere: it follows from
//! the length.

use std::io::Read;
use std::path::Path;

use super::batch::{Element, Elements, VectorBatch};
use super::error::{InputError, Place};
use super::fault::RowFault;
use super::input::Input;
use super::{MAX_DIM, VectorSource};

const HEAD_BYTES: usize = 4;

/// Reads the rows of an `.fvecs` or `.bvecs` file.
pub struct VecsSource<R> {
    input: Input<R>,
    element: Element,
    dim: usize,
    /// The next row's dimension was read already, with that of the first row.
    head_taken: bool,
    next: u64,
}

impl<R: Read> VecsSource<R> {
    /// Reads the first dimension. `len` is the length of the whole input in bytes; `path` is for messages. `element`
    /// tells the two formats apart: f32 or u8.
    ///
    /// # Errors
    /// The input is empty, or its first row has no dimension from 1 to 65,535.
    pub fn new(reader: R, len: u64, path: &Path, element: Element) -> Result<VecsSource<R>, InputError> {
        let mut input = Input::new(reader, len, path)?;
        let place = Place::Row { row: 0, offset: 0 };
        let found = read_dim(&mut input, place)?;
        let dim = usize::try_from(found)
            .ok()
            .filter(|dim| (1..=MAX_DIM).contains(dim))
            .ok_or_else(|| input.wrong(place, RowFault::Dim { found: i64::from(found) }))?;
        Ok(VecsSource { input, element, dim, head_taken: true, next: 0 })
    }

    fn row_bytes(&self) -> usize {
        HEAD_BYTES + self.dim * self.element.bytes()
    }

    fn read_row(&mut self, row: u64, into: &mut [u8]) -> Result<(), InputError> {
        let place = Place::Row { row, offset: row * self.row_bytes() as u64 };
        if !std::mem::take(&mut self.head_taken) {
            let found = i64::from(read_dim(&mut self.input, place)?);
            if found != self.dim as i64 {
                return Err(self.input.wrong(place, RowFault::DimChanged { expected: self.dim, found }));
            }
        }
        self.input.fill(into, place)
    }
}

impl<R: Read + Send> VectorSource for VecsSource<R> {
    fn dim(&self) -> Option<usize> {
        Some(self.dim)
    }

    fn element(&self) -> Element {
        self.element
    }

    fn total(&self) -> Option<u64> {
        let left = self.input.position() + self.input.remaining();
        Some(left / self.row_bytes() as u64)
    }

    fn next_batch(&mut self, max_rows: usize) -> Result<Option<VectorBatch>, InputError> {
        let head = if self.head_taken { HEAD_BYTES as u64 } else { 0 };
        let left = (self.input.remaining() + head).div_ceil(self.row_bytes() as u64);
        let rows = left.min(max_rows.max(1) as u64) as usize;
        if rows == 0 {
            return Ok(None);
        }
        // At most one row more than the file holds, and that one ends in an error.
        let mut elements = Elements::zeros(self.element, rows * self.dim);
        let first_record = self.next;
        let vector_bytes = self.dim * self.element.bytes();
        for into in elements.bytes_mut().chunks_exact_mut(vector_bytes) {
            self.read_row(self.next, into)?;
            self.next += 1;
        }
        elements.swap_from_little_endian();
        Ok(Some(VectorBatch { dim: self.dim, elements, ids: None, metadata: None, first_record, lines: None }))
    }
}

fn read_dim<R: Read>(input: &mut Input<R>, place: Place) -> Result<i32, InputError> {
    let mut bytes = [0; HEAD_BYTES];
    input.fill(&mut bytes, place)?;
    Ok(i32::from_le_bytes(bytes))
}

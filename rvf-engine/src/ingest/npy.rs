//! `.npy` matrices as a source of vectors: a row is a vector. The header's syntax is read by `npy_header`.

use std::io::Read;
use std::path::Path;

use super::batch::{Element, VectorBatch};
use super::error::{InputError, Place};
use super::fault::{NpyFault, RowFault};
use super::input::Input;
use super::npy_header::Header;
use super::{MAX_DIM, VectorSource};

const WANTED: &str = "<f4, <f2, |i1, |u1";

/// Reads the rows of an `.npy` matrix.
pub struct NpySource<R> {
    input: Input<R>,
    element: Element,
    dim: usize,
    rows: u64,
    next: u64,
}

impl<R: Read> NpySource<R> {
    /// Reads the header, and checks its promises against `len`, the length of the whole input in bytes. `path` is for
    /// messages.
    ///
    /// # Errors
    /// The input is empty, is not a matrix of a type that is read, or is shorter or longer than its header says.
    pub fn new(reader: R, len: u64, path: &Path) -> Result<NpySource<R>, InputError> {
        let mut input = Input::new(reader, len, path)?;
        let header = Header::read(&mut input)?;
        let whole = |fault| InputError::new(path, Place::Whole, fault);
        let element = element_of(&header.descr).map_err(whole)?;
        let (rows, columns) = matrix(&header).map_err(whole)?;
        let dim = usize::try_from(columns).ok().filter(|dim| (1..=MAX_DIM).contains(dim)).ok_or_else(|| {
            let found = i64::try_from(columns).unwrap_or(i64::MAX);
            input.wrong(Place::Whole, RowFault::Dim { found })
        })?;
        check_payload(&input, rows, (dim * element.bytes()) as u64)?;
        Ok(NpySource { input, element, dim, rows, next: 0 })
    }
}

impl<R: Read + Send> VectorSource for NpySource<R> {
    fn dim(&self) -> Option<usize> {
        Some(self.dim)
    }

    fn element(&self) -> Element {
        self.element
    }

    fn total(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn next_batch(&mut self, max_rows: usize) -> Result<Option<VectorBatch>, InputError> {
        let rows = (self.rows - self.next).min(max_rows.max(1) as u64) as usize;
        if rows == 0 {
            return Ok(None);
        }
        let first_record = self.next;
        let place = Place::Row { row: first_record, offset: self.input.position() };
        // No overflow: `check_payload` found all rows inside the file.
        let elements = self.input.elements(self.element, rows * self.dim, place)?;
        self.next += rows as u64;
        Ok(Some(VectorBatch { dim: self.dim, elements, ids: None, metadata: None, first_record, lines: None }))
    }
}

/// Refuses types that no reader takes, with the reason that helps most; `wanted` are those that the caller takes.
pub(super) fn refuse_dtype(descr: &str, wanted: &'static str) -> NpyFault {
    if descr.ends_with('O') {
        return NpyFault::Pickled;
    }
    let little = format!("<{}", descr.trim_start_matches('>'));
    let descr = descr.to_owned();
    if descr.starts_with('>') && wanted.split(", ").any(|name| name == little) {
        return NpyFault::BigEndian { descr };
    }
    NpyFault::Dtype { descr, wanted }
}

/// Checks that exactly `rows` rows of `row_bytes` bytes, not zero, follow.
pub(super) fn check_payload<R: Read>(input: &Input<R>, rows: u64, row_bytes: u64) -> Result<(), InputError> {
    let present = input.remaining();
    match rows.checked_mul(row_bytes) {
        Some(needed) if needed == present => Ok(()),
        Some(needed) if needed < present => {
            let place = Place::Offset(input.position() + needed);
            Err(input.wrong(place, NpyFault::TrailingBytes { count: present - needed }))
        }
        _ => {
            let row = present / row_bytes;
            let place = Place::Row { row, offset: input.position() + row * row_bytes };
            Err(input.wrong(place, NpyFault::ShortPayload { rows, row_bytes, present }))
        }
    }
}

/// Rows and columns of a matrix whose rows lie one after another.
pub(super) fn matrix(header: &Header) -> Result<(u64, u64), NpyFault> {
    let &[rows, columns] = header.shape.as_slice() else {
        return Err(NpyFault::Shape { shape: header.shape.clone(), wanted: 2 });
    };
    // A single row or column lies the same way in both orders.
    if header.fortran && rows > 1 && columns > 1 {
        return Err(NpyFault::Fortran { rows, columns });
    }
    Ok((rows, columns))
}

fn element_of(descr: &str) -> Result<Element, NpyFault> {
    match descr {
        "<f4" => Ok(Element::F32),
        "<f2" => Ok(Element::F16),
        "|i1" | "<i1" | ">i1" => Ok(Element::I8),
        "|u1" | "<u1" | ">u1" => Ok(Element::U8),
        _ => Err(refuse_dtype(descr, WANTED)),
    }
}

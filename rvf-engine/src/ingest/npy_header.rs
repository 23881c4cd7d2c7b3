//! The header of an `.npy` file, read and written. What the array is good for is decided by `npy` and `ids`.
//!
//! ```text
//! 0        6      8        10 or 12        ..
//! +--------+------+--------+---------------+----------
//! | \x93   | 1 0  | u16 or | {'descr': ..} | elements
//! | NUMPY  | 2 0  | u32    | spaces, \n    |
//! |        | 3 0  | length |               |
//! +--------+------+--------+---------------+----------
//! ```
//! The dictionary is a Python literal. Only the three keys that the format defines are taken, each once.

use std::io::Read;

use super::error::{InputError, Place};
use super::fault::{NpyFault, RowFault};
use super::input::Input;

/// Bytes of every header that is written here, so that the count of rows can be rewritten in place.
pub(super) const WRITTEN_BYTES: usize = 128;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
const MAX_HEADER_BYTES: u64 = 1 << 20;
const MAX_DIMENSIONS: usize = 64;
const MAX_DESCR_BYTES: usize = 32;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The type of an element, as `<f4`.
    pub(super) descr: String,
    /// Whether columns are stored one after another.
    pub(super) fortran: bool,
    /// The dimensions.
    pub(super) shape: Vec<u64>,
}

impl Header {
    /// Reads the header, and leaves the input at the first element.
    pub(super) fn read<R: Read>(input: &mut Input<R>) -> Result<Header, InputError> {
        let version = read_version(input)?;
        let bytes = read_length(input, version)?;
        let start = input.position();
        if bytes > MAX_HEADER_BYTES {
            return Err(input.wrong(Place::Offset(8), NpyFault::HeaderTooLong { bytes }));
        }
        // At most 1 MiB, and no more than the file holds.
        let mut text = vec![0; bytes.min(input.remaining()) as usize];
        if (text.len() as u64) < bytes {
            let present = input.remaining();
            let fault = RowFault::Truncated { needed: bytes, present };
            return Err(input.wrong(Place::Offset(start), fault));
        }
        input.fill(&mut text, Place::Offset(start))?;
        Literal { text: &text, at: 0 }
            .header()
            .map_err(|(at, fault)| input.wrong(Place::Offset(start + at as u64), fault))
    }

    /// The header as it is written: version 1.0, always [`WRITTEN_BYTES`] long; none where the type's name is too
    /// long for that.
    pub(super) fn to_bytes(&self) -> Option<[u8; WRITTEN_BYTES]> {
        let sizes: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        let comma = if sizes.len() == 1 { "," } else { "" };
        let order = if self.fortran { "True" } else { "False" };
        let text = format!(
            "{{'descr': '{}', 'fortran_order': {order}, 'shape': ({}{comma}), }}",
            self.descr,
            sizes.join(", ")
        );
        let mut bytes = [b' '; WRITTEN_BYTES];
        bytes[..6].copy_from_slice(MAGIC);
        bytes[6..8].copy_from_slice(&[1, 0]);
        bytes[8..10].copy_from_slice(&(WRITTEN_BYTES as u16 - 10).to_le_bytes());
        bytes.get_mut(10..10 + text.len())?.copy_from_slice(text.as_bytes());
        let last = bytes.last_mut().filter(|last| **last == b' ')?;
        *last = b'\n';
        Some(bytes)
    }
}

fn read_version<R: Read>(input: &mut Input<R>) -> Result<u8, InputError> {
    let mut head = [0; 8];
    let known = (head.len() as u64).min(input.remaining()) as usize;
    input.fill(&mut head[..known], Place::Offset(0))?;
    let magic = known.min(MAGIC.len());
    if head[..magic] != MAGIC[..magic] {
        return Err(input.wrong(Place::Offset(0), NpyFault::Magic));
    }
    if known < head.len() {
        let fault = RowFault::Truncated { needed: 8, present: known as u64 };
        return Err(input.wrong(Place::Offset(0), fault));
    }
    let (major, minor) = (head[6], head[7]);
    if !(1..=3).contains(&major) || minor != 0 {
        return Err(input.wrong(Place::Offset(6), NpyFault::Version { major, minor }));
    }
    Ok(major)
}

fn read_length<R: Read>(input: &mut Input<R>, version: u8) -> Result<u64, InputError> {
    let mut bytes = [0; 4];
    let width = if version == 1 { 2 } else { 4 };
    input.fill(&mut bytes[..width], Place::Offset(8))?;
    Ok(u64::from(u32::from_le_bytes(bytes)))
}

type Parsed<T> = Result<T, (usize, NpyFault)>;

/// A cursor over the dictionary.
struct Literal<'a> {
    text: &'a [u8],
    at: usize,
}

impl Literal<'_> {
    fn header(mut self) -> Parsed<Header> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.token(b'{', "a dictionary")?;
        while !self.take(b'}') {
            let key = self.string("a key")?;
            self.token(b':', "a colon after the key")?;
            let twice = match key.as_str() {
                "descr" => descr.replace(self.descr()?).is_some(),
                "fortran_order" => fortran.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.shape()?).is_some(),
                _ => return self.wrong("the keys descr, fortran_order and shape"),
            };
            if twice {
                return self.wrong("each key once");
            }
            if !self.take(b',') && self.peek() != Some(b'}') {
                return self.wrong("a comma or the end of the dictionary");
            }
        }
        if self.peek().is_some() {
            return self.wrong("nothing after the dictionary");
        }
        match (descr, fortran, shape) {
            (Some(descr), Some(fortran), Some(shape)) => Ok(Header { descr, fortran, shape }),
            _ => self.wrong("the keys descr, fortran_order and shape"),
        }
    }

    fn descr(&mut self) -> Parsed<String> {
        match self.peek() {
            Some(b'[' | b'(' | b'{') => Err((self.at, NpyFault::Structured)),
            _ => self.string("the name of a type"),
        }
    }

    fn boolean(&mut self) -> Parsed<bool> {
        self.skip_space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.wrong("True or False")
    }

    fn shape(&mut self) -> Parsed<Vec<u64>> {
        let mut shape = Vec::new();
        self.token(b'(', "a tuple of sizes")?;
        while !self.take(b')') {
            if shape.len() == MAX_DIMENSIONS {
                return self.wrong("at most 64 dimensions");
            }
            shape.push(self.size()?);
            if !self.take(b',') && self.peek() != Some(b')') {
                return self.wrong("a comma or the end of the tuple");
            }
        }
        Ok(shape)
    }

    /// A size; Python 2 wrote an `L` after a long one.
    fn size(&mut self) -> Parsed<u64> {
        self.skip_space();
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let size = std::str::from_utf8(&self.text[self.at..self.at + digits]).ok().and_then(|text| text.parse().ok());
        match size {
            Some(size) => {
                self.at += digits;
                self.take(b'L');
                Ok(size)
            }
            None => self.wrong("a size below 2^64"),
        }
    }

    /// A short string without escapes.
    fn string(&mut self, wanted: &'static str) -> Parsed<String> {
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => quote,
            _ => return self.wrong(wanted),
        };
        let start = self.at + 1;
        let inside = &self.text[start..];
        match inside.iter().take(MAX_DESCR_BYTES + 1).position(|&byte| byte == quote) {
            Some(end) if inside[..end].iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\') => {
                self.at = start + end + 1;
                Ok(String::from_utf8_lossy(&inside[..end]).into_owned())
            }
            _ => self.wrong(wanted),
        }
    }

    fn token(&mut self, byte: u8, wanted: &'static str) -> Parsed<()> {
        if self.take(byte) { Ok(()) } else { self.wrong(wanted) }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        self.at += self.text[self.at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    fn wrong<T>(&self, wanted: &'static str) -> Parsed<T> {
        Err((self.at, NpyFault::Header { wanted }))
    }
}

//! What a reader hands on: vectors in one flat array, with their ids and metadata. It reads nothing.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// The type of a vector's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// Signed byte.
    I8,
    /// Unsigned byte; also eight packed bits.
    U8,
}

impl Element {
    /// Bytes in one element.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::F16 => 2,
            Element::I8 | Element::U8 => 1,
        }
    }

    /// The name that the command line uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Element::F32 => "f32",
            Element::F16 => "f16",
            Element::I8 => "i8",
            Element::U8 => "u8",
        }
    }
}

/// The elements of many vectors, one vector after another.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 16-bit floats.
    F16(Vec<f16>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// Unsigned bytes.
    U8(Vec<u8>),
}

impl Elements {
    /// The type of the elements.
    #[must_use]
    pub fn element(&self) -> Element {
        match self {
            Elements::F32(_) => Element::F32,
            Elements::F16(_) => Element::F16,
            Elements::I8(_) => Element::I8,
            Elements::U8(_) => Element::U8,
        }
    }

    /// How many elements there are, over all vectors.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Elements::F32(values) => values.len(),
            Elements::F16(values) => values.len(),
            Elements::I8(values) => values.len(),
            Elements::U8(values) => values.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `count` zeros, to be overwritten by a read.
    pub(super) fn zeros(element: Element, count: usize) -> Elements {
        match element {
            Element::F32 => Elements::F32(vec![0.0; count]),
            Element::F16 => Elements::F16(vec![f16::ZERO; count]),
            Element::I8 => Elements::I8(vec![0; count]),
            Element::U8 => Elements::U8(vec![0; count]),
        }
    }

    /// The elements as they lie in memory.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Elements::F32(values) => bytemuck::cast_slice_mut(values),
            Elements::F16(values) => bytemuck::cast_slice_mut(values.as_mut_slice().reinterpret_cast_mut()),
            Elements::I8(values) => bytemuck::cast_slice_mut(values),
            Elements::U8(values) => values,
        }
    }

    /// The elements as they lie in memory.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Elements::F32(values) => bytemuck::cast_slice(values),
            Elements::F16(values) => bytemuck::cast_slice(values.as_slice().reinterpret_cast()),
            Elements::I8(values) => bytemuck::cast_slice(values),
            Elements::U8(values) => values,
        }
    }

    /// Turns little-endian elements into the machine's own, or back. Free where the machine is little-endian.
    pub(super) fn swap_from_little_endian(&mut self) {
        if cfg!(target_endian = "little") {
            return;
        }
        match self {
            Elements::F32(values) => values.iter_mut().for_each(|v| *v = f32::from_bits(v.to_bits().swap_bytes())),
            Elements::F16(values) => values.iter_mut().for_each(|v| *v = f16::from_bits(v.to_bits().swap_bytes())),
            Elements::I8(_) | Elements::U8(_) => {}
        }
    }
}

/// Which sort of ids a store or a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// Numbers.
    U64,
    /// Strings.
    Str,
}

/// Ids of many records, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Numbers.
    U64(Vec<u64>),
    /// Strings.
    Str(Vec<String>),
}

impl Ids {
    /// How many ids there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Ids::U64(ids) => ids.len(),
            Ids::Str(ids) => ids.len(),
        }
    }

    /// Whether there is no id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sort of the ids.
    #[must_use]
    pub fn kind(&self) -> IdKind {
        match self {
            Ids::U64(_) => IdKind::U64,
            Ids::Str(_) => IdKind::Str,
        }
    }
}

/// Consecutive records of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorBatch {
    /// Elements in each vector.
    pub dim: usize,
    /// The vectors, `rows() * dim` elements.
    pub elements: Elements,
    /// An id for each record, where the file gives them.
    pub ids: Option<Ids>,
    /// The metadata of each record, where any record of the batch has some. Each is a JSON object.
    pub metadata: Option<Vec<Option<serde_json::Value>>>,
    /// The number of the first record in the file, from 0.
    pub first_record: u64,
    /// The line of each record, from 1, where the file is a text.
    pub lines: Option<Vec<u64>>,
}

impl VectorBatch {
    /// How many records there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.elements.len().checked_div(self.dim).unwrap_or(0)
    }
}

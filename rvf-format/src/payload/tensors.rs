//! GRAPH, OVERLAY and POLICY_KERNEL: what was learned, as tensors by name. What a name stands for is the reader's to know.
//!
//! ```text
//! | ENTRIES: one a tensor, by name | NAMES, one after another | VALUES: binary32, one tensor after another |
//! ```

use crate::build::Draft;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result, layout};
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{F32, U32, U64};

layout! {
    /// A tensor.
    pub struct TensorEntry = "tensor-entry", 32 bytes {
        /// Its first value among all.
        0x00 first: "u64" U64,
        /// End of its name in the names.
        0x08 name_end: "u32" U32,
        /// Axes, 1 to 4.
        0x0C axes: "u32" U32,
        /// Length of the first axis.
        0x10 axis_0: "u32" U32,
        /// Of the second, 0 if there is none.
        0x14 axis_1: "u32" U32,
        /// Of the third.
        0x18 axis_2: "u32" U32,
        /// Of the fourth.
        0x1C axis_3: "u32" U32,
    }
}

const TAG_ENTRIES: u32 = 1;
const TAG_NAMES: u32 = 2;
const TAG_VALUES: u32 = 3;

/// Most axes of a tensor.
pub const MOST_AXES: usize = 4;
/// Longest name of a tensor, bytes.
pub const LONGEST_NAME: usize = 128;

/// A tensor: its name, the lengths of its axes, its values, row-major.
pub type Named<'a> = (&'a str, &'a [u32], &'a [f32]);

/// A draft of a GRAPH, an OVERLAY or a POLICY_KERNEL with these tensors, by ascending name. The caller keeps to TNS-1.
pub fn draft<'a>(kind: Kind, tensors: impl IntoIterator<Item = Named<'a>>) -> Draft<'static> {
    let (mut entries, mut names, mut values) = (Vec::<TensorEntry>::new(), Vec::new(), Vec::<u8>::new());
    for (name, shape, numbers) in tensors {
        let mut entry = TensorEntry::zeroed();
        entry.first.set(values.len() as u64 / 4);
        names.extend_from_slice(name.as_bytes());
        entry.name_end.set(names.len() as u32);
        entry.axes.set(shape.len() as u32);
        let axes = [&mut entry.axis_0, &mut entry.axis_1, &mut entry.axis_2, &mut entry.axis_3];
        axes.into_iter().zip(shape).for_each(|(axis, length)| axis.set(*length));
        values.extend(numbers.iter().flat_map(|value| value.to_le_bytes()));
        entries.push(entry);
    }
    Draft::new(kind, 1)
        .section(TAG_ENTRIES, entries.as_bytes().to_vec())
        .section(TAG_NAMES, names)
        .section(TAG_VALUES, values)
}

/// A GRAPH, an OVERLAY or a POLICY_KERNEL in place, checked.
#[derive(Clone, Debug)]
pub struct TensorsView {
    entries: Bytes,
    names: Bytes,
    values: Bytes,
}

impl TensorsView {
    /// Parses the segment of `kind` at file offset `at` and checks all of it.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, TNS-1.
    pub fn parse(segment: Bytes, at: u64, kind: Kind) -> Result<Self> {
        let payload = Payload::parse(segment, at, kind, &[1])?;
        let section = |tag, size: usize| {
            let bytes = payload.required(tag)?;
            match bytes.len() % size {
                0 => Ok(bytes),
                _ => Err(Error::corrupt(Clause::Pay6, payload.place_of(tag), "not a whole number of structures")),
            }
        };
        let view = Self {
            entries: section(TAG_ENTRIES, size_of::<TensorEntry>())?,
            names: section(TAG_NAMES, 1)?,
            values: section(TAG_VALUES, 4)?,
        };
        view.check().map_err(|what| Error::corrupt(Clause::Tns1, at, what))?;
        Ok(view)
    }

    fn check(&self) -> core::result::Result<(), &'static str> {
        let (mut end, mut name_end, mut last) = (0u64, 0usize, "");
        for (entry, name) in self.entries().iter().zip(self.names()) {
            let name = name.ok_or("the name of a tensor is malformed")?;
            if name <= last || name.len() > LONGEST_NAME {
                return Err("names of tensors are out of order, empty or too long");
            }
            let count = count(entry).ok_or("the axes of a tensor are malformed")?;
            if entry.first.get() != end {
                return Err("the values of a tensor do not follow those of the one before");
            }
            end = end.checked_add(count).ok_or("a tensor is too large")?;
            (last, name_end) = (name, entry.name_end.get() as usize);
        }
        if end != self.values.len() as u64 / 4 || name_end != self.names.len() {
            return Err("names or values belong to no tensor");
        }
        let is_finite = self.numbers().iter().all(|value| value.get().is_finite());
        if is_finite { Ok(()) } else { Err("a value of a tensor is not finite") }
    }

    fn entries(&self) -> &[TensorEntry] {
        self.entries.as_slice().unwrap_or_default()
    }

    fn numbers(&self) -> &[F32] {
        self.values.as_slice().unwrap_or_default()
    }

    fn names(&self) -> impl Iterator<Item = Option<&str>> {
        let mut start = 0;
        self.entries().iter().map(move |entry| {
            let end = entry.name_end.get() as usize;
            let name = self.names.get(start..end).and_then(|bytes| core::str::from_utf8(bytes).ok());
            start = end;
            name
        })
    }

    /// Name, lengths of the axes and values of each tensor, by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, Vec<u32>, Vec<f32>)> {
        self.entries().iter().zip(self.names()).map(|(entry, name)| {
            let shape: Vec<u32> = axes(entry).into_iter().take(entry.axes.get() as usize).collect();
            let first = entry.first.get() as usize;
            let end = first.saturating_add(count(entry).unwrap_or(0) as usize);
            let values = self.numbers().get(first..end).unwrap_or_default();
            (name.unwrap_or_default(), shape, values.iter().map(|value| value.get()).collect())
        })
    }
}

fn axes(entry: &TensorEntry) -> [u32; MOST_AXES] {
    [entry.axis_0.get(), entry.axis_1.get(), entry.axis_2.get(), entry.axis_3.get()]
}

/// Values of a tensor; `None` where its axes break TNS-1.
fn count(entry: &TensorEntry) -> Option<u64> {
    let all = axes(entry);
    let (own, rest) = all.split_at_checked(entry.axes.get() as usize)?;
    let is_whole = !own.is_empty() && own.iter().all(|length| *length > 0) && rest.iter().all(|length| *length == 0);
    let count = own.iter().try_fold(1u64, |product, length| product.checked_mul(u64::from(*length)))?;
    is_whole.then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(tensors: &[Named<'_>]) -> Result<TensorsView> {
        let bytes = draft(Kind::GRAPH, tensors.iter().copied()).encode(1, 0).unwrap();
        TensorsView::parse(Bytes::from(bytes), 0, Kind::GRAPH)
    }

    #[test]
    fn round_trip() {
        let tensors: [Named<'_>; 2] = [("a.b", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), ("c", &[1], &[7.0])];
        let view = parse(&tensors).unwrap();
        let read: Vec<_> = view.tensors().collect();
        assert_eq!(read, [("a.b", vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), ("c", vec![1], vec![7.0])]);
        assert_eq!(parse(&[]).unwrap().tensors().count(), 0);
    }

    #[test]
    fn what_breaks_the_rule_is_found() {
        let long = "n".repeat(LONGEST_NAME + 1);
        let wrong: [&[Named<'_>]; 9] = [
            &[("b", &[1], &[1.0]), ("a", &[1], &[1.0])],
            &[("a", &[1], &[1.0]), ("a", &[1], &[1.0])],
            &[("", &[1], &[1.0])],
            &[(&long, &[1], &[1.0])],
            &[("a", &[], &[1.0])],
            &[("a", &[0], &[])],
            &[("a", &[2], &[1.0])],
            &[("a", &[1], &[f32::NAN])],
            &[("a", &[u32::MAX, u32::MAX, u32::MAX, u32::MAX], &[])],
        ];
        for tensors in wrong {
            let error = parse(tensors).unwrap_err();
            assert_eq!(error.clause(), Some(Clause::Tns1), "{tensors:?}");
        }
        let section = |tag, length: usize| match tag {
            3 => Draft::new(Kind::OVERLAY, 1).section(1, vec![]).section(2, vec![]).section(3, vec![0; length]),
            _ => Draft::new(Kind::OVERLAY, 1).section(1, vec![0; length]).section(2, vec![]).section(3, vec![]),
        };
        for (tag, length, clause) in [(1, 31, Clause::Pay6), (3, 3, Clause::Pay6), (3, 4, Clause::Tns1)] {
            let bytes = section(tag, length).encode(1, 0).unwrap();
            let error = TensorsView::parse(Bytes::from(bytes), 0, Kind::OVERLAY).unwrap_err();
            assert_eq!(error.clause(), Some(clause));
        }
    }
}

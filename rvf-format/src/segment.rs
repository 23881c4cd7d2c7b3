//! A segment in memory: its header, its payload's prelude and section table, and views of its sections.
//!
//! ```text
//! 0      64       80              80 + 32 n                     length
//! | header | prelude | n section entries | 0.. section 0 ..0.. section 1 .. 0 |
//! ```
//! [`SegmentHeader::read`] and [`Payload::parse`] check the geometry once; behind them ranges are known to be inside the
//! segment.

use crate::layout;
use crate::limits::{HEADER_LEN, MAX_SECTIONS, MAX_SEGMENT, PAGE, PAGE_LEN, SECTION_ALIGN, SEGMENT_MAGIC};
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result};
use zerocopy::FromBytes;
use zerocopy::byteorder::little_endian::{U16, U32, U64};

layout! {
    /// The 64-byte header of every segment: the published RVF wire header, version 1.
    pub struct SegmentHeader = "segment-header", 64 bytes {
        /// 0x52564653.
        0x00 magic: "u32" U32,
        /// 1.
        0x04 version: "u8" u8,
        /// Code of the [`Kind`].
        0x05 kind: "u8" u8,
        /// 0.
        0x06 flags: "u16" U16,
        /// Unique in the file, ascending in the order of writing.
        0x08 segment_id: "u64" U64,
        /// Bytes after this header.
        0x10 payload_length: "u64" U64,
        /// Time of the commit, nanoseconds since 1970.
        0x18 timestamp_ns: "u64" U64,
        /// 1: XXH3-128.
        0x20 checksum_algorithm: "u8" u8,
        /// 0.
        0x21 compression: "u8" u8,
        /// 0.
        0x22 reserved_a: "u16" U16,
        /// 0.
        0x24 reserved_b: "u32" U32,
        /// XXH3-128 of the payload.
        0x28 content_hash: "[16]" [u8; 16],
        /// 0.
        0x38 uncompressed_length: "u32" U32,
        /// 0.
        0x3C alignment_pad: "u32" U32,
    }
}

layout! {
    /// The first bytes of every payload.
    pub struct PayloadPrelude = "payload-prelude", 16 bytes {
        /// Which of the kind's forms this is.
        0x00 form: "u16" U16,
        /// 1.
        0x02 version: "u16" U16,
        /// Entries of the section table that follows.
        0x04 section_count: "u32" U32,
        /// 0.
        0x08 reserved: "u64" U64,
    }
}

layout! {
    /// One entry of a payload's section table.
    pub struct SectionEntry = "section-entry", 32 bytes {
        /// What the section is; a kind's own numbering.
        0x00 tag: "u32" U32,
        /// 0, or the XOR mask of PAY-5.
        0x04 mask: "u32" U32,
        /// From the start of the segment, bytes.
        0x08 offset: "u64" U64,
        /// Bytes.
        0x10 length: "u64" U64,
        /// 0.
        0x18 reserved: "u64" U64,
    }
}

/// Where the section table starts in a segment.
pub const TABLE_START: usize = HEADER_LEN + 16;

impl SegmentHeader {
    /// Reads and checks the header at the start of `bytes`, which stands at file offset `at`; the segment must end at or
    /// before `limit`.
    ///
    /// # Errors
    /// SEG-1, SEG-2, SEG-3.
    pub fn read(bytes: &[u8], at: u64, limit: u64) -> Result<Self> {
        let Ok((header, _)) = Self::read_from_prefix(bytes) else {
            return Err(Error::corrupt(Clause::Seg1, at, "too few bytes for a segment header"));
        };
        if header.magic.get() != SEGMENT_MAGIC || header.version != 1 || !at.is_multiple_of(PAGE) {
            return Err(Error::corrupt(Clause::Seg1, at, "no segment header where one must be"));
        }
        header.check_length(at, limit)?;
        header.check_unused(at)?;
        Ok(header)
    }

    fn check_length(&self, at: u64, limit: u64) -> Result<()> {
        let length = self.payload_length.get().checked_add(HEADER_LEN as u64);
        let end = length.and_then(|length| at.checked_add(length));
        let fits = matches!((length, end), (Some(length), Some(end))
            if length % PAGE == 0 && length <= MAX_SEGMENT && end <= limit);
        if fits { Ok(()) } else { Err(Error::corrupt(Clause::Seg2, at + 0x10, "the segment's length is impossible")) }
    }

    fn check_unused(&self, at: u64) -> Result<()> {
        let zero = self.flags.get() == 0
            && self.compression == 0
            && self.reserved_a.get() == 0
            && self.reserved_b.get() == 0
            && self.uncompressed_length.get() == 0
            && self.alignment_pad.get() == 0;
        if zero && self.checksum_algorithm == 1 {
            return Ok(());
        }
        Err(Error::corrupt(Clause::Seg3, at, "an unused field of the segment header is set"))
    }

    /// Header and payload, bytes.
    pub fn length(&self) -> u64 {
        self.payload_length.get().saturating_add(HEADER_LEN as u64)
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        Kind(self.kind)
    }
}

/// A payload whose geometry has been checked: prelude and section table of one segment.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The whole segment, header included.
    pub segment: Bytes,
    /// File offset of the segment.
    pub at: u64,
    /// Form of the payload.
    pub form: u16,
    entries: Vec<SectionEntry>,
    end: usize,
}

impl Payload {
    /// Parses the payload of `segment`, which stands at file offset `at`. `forms` are the forms that the caller knows.
    /// A MANIFEST's last page, the root, is left out.
    ///
    /// # Errors
    /// PAY-1, PAY-2.
    pub fn parse(segment: Bytes, at: u64, kind: Kind, forms: &[u16]) -> Result<Self> {
        let end = if kind == Kind::MANIFEST { segment.len().saturating_sub(PAGE_LEN) } else { segment.len() };
        let place = at + HEADER_LEN as u64;
        let prelude_bytes = segment.get(HEADER_LEN..).unwrap_or_default();
        let Ok((prelude, rest)) = PayloadPrelude::read_from_prefix(prelude_bytes) else {
            return Err(Error::corrupt(Clause::Pay1, place, "the segment is too short for a payload"));
        };
        let count = prelude.section_count.get();
        if !forms.contains(&prelude.form.get()) || prelude.version.get() != 1 || prelude.reserved.get() != 0 {
            return Err(Error::corrupt(Clause::Pay1, place, "unknown form or version of the payload"));
        }
        if count > MAX_SECTIONS {
            return Err(Error::corrupt(Clause::Pay1, place + 4, "more than 64 sections"));
        }
        let Ok((table, _)) = <[SectionEntry]>::ref_from_prefix_with_elems(rest, count as usize) else {
            return Err(Error::corrupt(Clause::Pay2, place, "the section table is longer than the segment"));
        };
        let entries = table.to_vec();
        check_table(&entries, end, at)?;
        Ok(Self { segment, at, form: prelude.form.get(), entries, end })
    }

    /// The section table.
    pub fn entries(&self) -> &[SectionEntry] {
        &self.entries
    }

    /// The bytes of a section, unmasked. Only a masked section is copied.
    pub fn section(&self, tag: u32) -> Option<Bytes> {
        let entry = self.entries.iter().find(|entry| entry.tag.get() == tag)?;
        let start = entry.offset.get() as usize;
        let bytes = self.segment.slice(start, entry.length.get() as usize)?;
        match entry.mask.get() {
            0 => Some(bytes),
            mask => Some(Bytes::copied(&bytes, |copy| apply_mask(copy, mask))),
        }
    }

    /// The bytes of a section that the kind requires.
    ///
    /// # Errors
    /// PAY-6 if it is missing.
    pub fn required(&self, tag: u32) -> Result<Bytes> {
        self.section(tag).ok_or(Error::corrupt(Clause::Pay6, self.at, "a required section is missing"))
    }

    /// A required section of exactly `length` bytes.
    ///
    /// # Errors
    /// PAY-6.
    pub fn required_exact(&self, tag: u32, length: u64) -> Result<Bytes> {
        let bytes = self.required(tag)?;
        if bytes.len() as u64 != length {
            return Err(Error::corrupt(
                Clause::Pay6,
                self.place_of(tag),
                "a section has not the length that its facts give",
            ));
        }
        Ok(bytes)
    }

    /// The structure that a required section holds, and nothing else.
    ///
    /// # Errors
    /// PAY-6.
    pub fn facts<T: FromBytes>(&self, tag: u32) -> Result<T> {
        let bytes = self.required_exact(tag, size_of::<T>() as u64)?;
        T::read_from_bytes(&bytes).map_err(|_| Error::corrupt(Clause::Pay6, self.at, "a section has the wrong length"))
    }

    /// File offset of a section; of the segment if it has no such section.
    pub fn place_of(&self, tag: u32) -> u64 {
        let entry = self.entries.iter().find(|entry| entry.tag.get() == tag);
        self.at + entry.map_or(0, |entry| entry.offset.get())
    }

    /// The first byte outside prelude, table, sections and root page that is not zero, as a file offset (PAY-3).
    pub fn first_stray_byte(&self) -> Option<u64> {
        let mut from = TABLE_START + self.entries.len() * size_of::<SectionEntry>();
        let ends = self.entries.iter().map(|entry| (entry.offset.get() as usize, entry.length.get() as usize));
        for (start, length) in ends.chain([(self.end, 0)]) {
            let gap = self.segment.get(from..start).unwrap_or_default();
            if let Some(stray) = gap.iter().position(|byte| *byte != 0) {
                return Some(self.at + (from + stray) as u64);
            }
            from = start + length;
        }
        None
    }
}

/// XORs `bytes` with the mask of PAY-5; the same again undoes it.
pub(crate) fn apply_mask(bytes: &mut [u8], mask: u32) {
    if mask != 0 {
        for (byte, key) in bytes.iter_mut().zip(mask.to_le_bytes().into_iter().cycle()) {
            *byte ^= key;
        }
    }
}

fn check_table(entries: &[SectionEntry], end: usize, at: u64) -> Result<()> {
    let wrong = |what| Err(Error::corrupt(Clause::Pay2, at + TABLE_START as u64, what));
    let mut from = (TABLE_START + std::mem::size_of_val(entries)) as u64;
    let mut last_tag = None;
    for entry in entries {
        let (offset, length) = (entry.offset.get(), entry.length.get());
        let section_end = offset.checked_add(length);
        if offset % SECTION_ALIGN as u64 != 0 || offset < from || section_end.is_none_or(|e| e > end as u64) {
            return wrong("a section lies outside its segment or over another");
        }
        if last_tag.is_some_and(|last| last >= entry.tag.get()) || entry.reserved.get() != 0 {
            return wrong("section tags do not ascend, or a reserved field is set");
        }
        last_tag = Some(entry.tag.get());
        from = offset + length;
    }
    Ok(())
}

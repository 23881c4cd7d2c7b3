//! Builds segments: lays sections out, keeps pages from looking like roots, seals the content hash.
//!
//! Layout rules are PAY-2 (64-byte sections), PAY-5 (no page begins with the root magic) and PAY-7 (large sections on huge
//! pages of the file).

use crate::limits::{
    HEADER_LEN, LARGE_ALIGN, LARGE_SECTION, MAX_SEGMENT, PAGE, PAGE_LEN, ROOT_MAGIC, SECTION_ALIGN, SEGMENT_MAGIC,
    align_up,
};
use crate::segment::{PayloadPrelude, SectionEntry, SegmentHeader, TABLE_START, apply_mask};
use crate::{Error, Kind, Result, digest};
use std::borrow::Cow;
use zerocopy::IntoBytes;

/// A segment before it has an id and a place: kind, form and sections by ascending tag.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Kind of the segment.
    pub kind: Kind,
    /// Form of the payload.
    pub form: u16,
    /// Vector space.
    pub space: u32,
    /// First row (or first entry) that the manifest will name.
    pub base_row: u64,
    /// Number of rows (or entries).
    pub rows: u32,
    sections: Vec<(u32, Cow<'a, [u8]>)>,
}

impl<'a> Draft<'a> {
    /// An empty draft without rows.
    pub fn new(kind: Kind, form: u16) -> Self {
        Self { kind, form, space: 0, base_row: 0, rows: 0, sections: Vec::new() }
    }

    /// Adds a section. Tags must ascend; the caller's tags are constants of the kind.
    pub fn section(mut self, tag: u32, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        debug_assert!(self.sections.last().is_none_or(|last| last.0 < tag));
        self.sections.push((tag, bytes.into()));
        self
    }

    /// Sets the rows that the manifest will name.
    pub fn rows(mut self, base_row: u64, rows: u32) -> Self {
        (self.base_row, self.rows) = (base_row, rows);
        self
    }

    /// The same draft, owning its bytes.
    pub fn into_owned(self) -> Draft<'static> {
        let sections = self.sections.into_iter().map(|(tag, bytes)| (tag, Cow::Owned(bytes.into_owned()))).collect();
        Draft {
            kind: self.kind,
            form: self.form,
            space: self.space,
            base_row: self.base_row,
            rows: self.rows,
            sections,
        }
    }

    /// The bytes of the draft's sections together, an upper bound on what building it copies.
    pub fn content_len(&self) -> usize {
        self.sections.iter().map(|section| section.1.len()).sum()
    }

    /// The first file offset at or after `cursor` where the segment may start: its first large section lands on a huge page.
    ///
    /// # Errors
    /// [`Error::SegmentTooLarge`].
    pub fn place(&self, cursor: u64) -> Result<u64> {
        let plan = Plan::new(&self.sections, &vec![Evasion::default(); self.sections.len()])?;
        let Some(lead) = plan.first_large else { return Ok(cursor) };
        let aligned = cursor.checked_add(lead).and_then(|at| align_up(at, LARGE_ALIGN));
        aligned.map(|at| at - lead).ok_or(Error::SegmentTooLarge)
    }

    /// The whole segment, sealed. Deterministic.
    ///
    /// # Errors
    /// [`Error::SegmentTooLarge`].
    pub fn encode(&self, segment_id: u64, timestamp_ns: u64) -> Result<Vec<u8>> {
        let mut bytes = self.encode_unsealed(segment_id, timestamp_ns, 0)?;
        seal(&mut bytes);
        Ok(bytes)
    }

    /// The segment with `tail_pages` zero pages at its end and no content hash yet.
    ///
    /// # Errors
    /// [`Error::SegmentTooLarge`].
    pub fn encode_unsealed(&self, segment_id: u64, timestamp_ns: u64, tail_pages: usize) -> Result<Vec<u8>> {
        let mut evasions = vec![Evasion::default(); self.sections.len()];
        loop {
            let plan = Plan::new(&self.sections, &evasions)?;
            let bytes = self.fill(&plan, &evasions, segment_id, timestamp_ns, tail_pages)?;
            let Some(page) = first_false_root(&bytes) else { return Ok(bytes) };
            let Some(section) = plan.section_at(page * PAGE_LEN, &self.sections) else {
                return Err(Error::SegmentTooLarge);
            };
            evasions[section].next(plan.offsets[section], &self.sections[section].1);
        }
    }

    fn fill(
        &self,
        plan: &Plan,
        evasions: &[Evasion],
        segment_id: u64,
        timestamp_ns: u64,
        tail_pages: usize,
    ) -> Result<Vec<u8>> {
        let pages = plan.end.div_ceil(PAGE_LEN) + tail_pages;
        let length = pages * PAGE_LEN;
        if length as u64 > MAX_SEGMENT {
            return Err(Error::SegmentTooLarge);
        }
        let mut bytes = vec![0; length];
        let header = self.header(segment_id, timestamp_ns, length);
        bytes[..HEADER_LEN].copy_from_slice(header.as_bytes());
        let mut prelude = PayloadPrelude::zeroed();
        prelude.form.set(self.form);
        prelude.version.set(1);
        prelude.section_count.set(self.sections.len() as u32);
        bytes[HEADER_LEN..TABLE_START].copy_from_slice(prelude.as_bytes());
        for (index, (tag, content)) in self.sections.iter().enumerate() {
            let mut entry = SectionEntry::zeroed();
            entry.tag.set(*tag);
            entry.mask.set(evasions[index].mask);
            entry.offset.set(plan.offsets[index] as u64);
            entry.length.set(content.len() as u64);
            let row = TABLE_START + index * size_of::<SectionEntry>();
            bytes[row..row + size_of::<SectionEntry>()].copy_from_slice(entry.as_bytes());
            let target = &mut bytes[plan.offsets[index]..plan.offsets[index] + content.len()];
            target.copy_from_slice(content);
            apply_mask(target, evasions[index].mask);
        }
        Ok(bytes)
    }

    fn header(&self, segment_id: u64, timestamp_ns: u64, length: usize) -> SegmentHeader {
        let mut header = SegmentHeader::zeroed();
        header.magic.set(SEGMENT_MAGIC);
        header.version = 1;
        header.kind = self.kind.0;
        header.segment_id.set(segment_id);
        header.payload_length.set((length - HEADER_LEN) as u64);
        header.timestamp_ns.set(timestamp_ns);
        header.checksum_algorithm = 1;
        header
    }
}

/// A FILLER segment of `length` bytes (a positive multiple of the page).
///
/// # Errors
/// [`Error::SegmentTooLarge`].
pub fn filler(segment_id: u64, timestamp_ns: u64, length: u64) -> Result<Vec<u8>> {
    let tail = (length / PAGE).saturating_sub(1) as usize;
    let mut bytes = Draft::new(Kind::FILLER, 1).encode_unsealed(segment_id, timestamp_ns, tail)?;
    seal(&mut bytes);
    Ok(bytes)
}

/// Writes the content hash of a complete segment into its header.
pub fn seal(segment: &mut [u8]) {
    let hash = digest::xxh3_128(segment.get(HEADER_LEN..).unwrap_or_default());
    if let Some(field) = segment.get_mut(0x28..0x38) {
        field.copy_from_slice(&hash);
    }
}

/// Index of the first page of `segment` that begins with the root magic.
pub fn first_false_root(segment: &[u8]) -> Option<usize> {
    segment.chunks(PAGE_LEN).position(|page| page.starts_with(&ROOT_MAGIC.to_le_bytes()))
}

/// How a section keeps out of the way of PAY-4: moved by `shift` steps of 64 bytes, or masked.
#[derive(Clone, Copy, Default)]
struct Evasion {
    shift: usize,
    mask: u32,
}

impl Evasion {
    /// The next way to try, for a section that stands at `offset` now.
    fn next(&mut self, offset: usize, content: &[u8]) {
        if self.shift < 63 {
            self.shift += 1;
            return;
        }
        let unmoved = offset - self.shift * SECTION_ALIGN;
        self.shift = 0;
        self.mask = smallest_mask(unmoved, content);
    }
}

/// The smallest mask above 0 under which no page within the section begins with the root magic.
fn smallest_mask(offset: usize, content: &[u8]) -> u32 {
    let first = offset.div_ceil(PAGE_LEN) * PAGE_LEN - offset;
    let mut taken: Vec<u32> = (first..content.len())
        .step_by(PAGE_LEN)
        .map(|at| {
            let mut word = [0; 4];
            let part = &content[at..content.len().min(at + 4)];
            word[..part.len()].copy_from_slice(part);
            u32::from_le_bytes(word) ^ ROOT_MAGIC
        })
        .collect();
    taken.sort_unstable();
    let mut mask = 1;
    for used in taken {
        if used == mask {
            mask += 1;
        }
    }
    mask
}

/// Where sections go, relative to the segment.
struct Plan {
    offsets: Vec<usize>,
    end: usize,
    first_large: Option<u64>,
}

impl Plan {
    fn new(sections: &[(u32, Cow<'_, [u8]>)], evasions: &[Evasion]) -> Result<Self> {
        let mut end = TABLE_START + sections.len() * size_of::<SectionEntry>();
        let mut offsets = Vec::with_capacity(sections.len());
        let mut first_large = None;
        for ((_, content), evasion) in sections.iter().zip(evasions) {
            let mut offset = end.next_multiple_of(SECTION_ALIGN);
            if content.len() >= LARGE_SECTION {
                offset = match first_large {
                    None => offset.next_multiple_of(PAGE_LEN),
                    Some(first) => first as usize + (offset - first as usize).next_multiple_of(LARGE_ALIGN as usize),
                };
                first_large = first_large.or(Some(offset as u64));
            }
            offset += evasion.shift * SECTION_ALIGN;
            offsets.push(offset);
            end = offset.checked_add(content.len()).ok_or(Error::SegmentTooLarge)?;
        }
        Ok(Self { offsets, end, first_large })
    }

    /// The section whose bytes stand at `offset`.
    fn section_at(&self, offset: usize, sections: &[(u32, Cow<'_, [u8]>)]) -> Option<usize> {
        let mut found = sections.iter().zip(&self.offsets).enumerate();
        found
            .find(|(_, ((_, content), start))| (**start..**start + content.len()).contains(&offset))
            .map(|found| found.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Payload;
    use crate::storage::Bytes;

    fn round_trip(content: &[u8]) -> (Vec<u8>, Payload) {
        let draft = Draft::new(Kind::META, 1).section(1, content).section(7, &b"behind"[..]);
        let bytes = draft.encode(3, 9).unwrap();
        let header = SegmentHeader::read(&bytes, 0, bytes.len() as u64).unwrap();
        assert_eq!((header.segment_id.get(), header.length()), (3, bytes.len() as u64));
        let payload = Payload::parse(Bytes::from(bytes.clone()), 0, Kind::META, &[1]).unwrap();
        assert_eq!(payload.first_stray_byte(), None);
        assert_eq!(&payload.section(1).unwrap()[..], content);
        assert_eq!(&payload.section(7).unwrap()[..], b"behind");
        (bytes, payload)
    }

    #[test]
    fn chance_magic_shifts_a_section() {
        let mut content = vec![7; 3 * PAGE_LEN];
        let page_in_section = PAGE_LEN - (TABLE_START + 64).next_multiple_of(64);
        content[page_in_section..page_in_section + 4].copy_from_slice(&ROOT_MAGIC.to_le_bytes());
        let (bytes, payload) = round_trip(&content);
        assert_eq!(first_false_root(&bytes), None);
        assert_eq!((payload.entries()[0].mask.get(), payload.entries()[0].offset.get()), (0, 192 + 64));
    }

    #[test]
    fn constant_magic_is_masked() {
        let content: Vec<u8> = ROOT_MAGIC.to_le_bytes().into_iter().cycle().take(5 * PAGE_LEN + 3).collect();
        let (bytes, payload) = round_trip(&content);
        assert_eq!(first_false_root(&bytes), None);
        assert_eq!(payload.entries()[0].mask.get(), 1);
    }

    #[test]
    fn smallest_mask_skips_words_that_would_become_the_magic() {
        let mut content = vec![0; 2 * PAGE_LEN];
        content[..4].copy_from_slice(&(ROOT_MAGIC ^ 1).to_le_bytes());
        content[PAGE_LEN..PAGE_LEN + 4].copy_from_slice(&(ROOT_MAGIC ^ 2).to_le_bytes());
        assert_eq!(smallest_mask(0, &content), 3);
    }

    #[test]
    fn large_sections_land_on_huge_pages() {
        let draft = Draft::new(Kind::VEC, 1)
            .section(1, vec![1; 32])
            .section(2, vec![2; LARGE_SECTION])
            .section(3, vec![3; LARGE_SECTION]);
        let start = draft.place(5 * PAGE).unwrap();
        let bytes = draft.encode(1, 0).unwrap();
        let payload = Payload::parse(Bytes::from(bytes), start, Kind::VEC, &[1]).unwrap();
        assert_eq!(start % PAGE, 0);
        assert_eq!(payload.place_of(2) % LARGE_ALIGN, 0);
        assert_eq!(payload.place_of(3) % LARGE_ALIGN, 0);
    }

    #[test]
    fn filler_has_the_length_asked_for() {
        let bytes = filler(4, 0, 3 * PAGE).unwrap();
        assert_eq!(bytes.len() as u64, 3 * PAGE);
        assert!(SegmentHeader::read(&bytes, 0, 3 * PAGE).is_ok());
    }
}

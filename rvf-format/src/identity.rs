//! The FILE segment: page 0, three copies of who this file is.

use crate::build::seal;
use crate::limits::{FORMAT_VERSION, HEADER_LEN, PAGE, PAGE_LEN, SEGMENT_MAGIC};
use crate::segment::{PayloadPrelude, SectionEntry, SegmentHeader, TABLE_START};
use crate::{Clause, Error, Kind, Result, digest, layout};
use zerocopy::byteorder::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

layout! {
    /// Who a file is. Three copies stand in page 0.
    pub struct FileIdentity = "file-identity", 64 bytes {
        /// [`IDENTITY_MAGIC`].
        0x00 magic: "[16]" [u8; 16],
        /// 1.
        0x10 format_version: "u32" U32,
        /// 4,096.
        0x14 page_size: "u32" U32,
        /// Random, chosen at creation.
        0x18 file_id: "[16]" [u8; 16],
        /// 0.
        0x28 reserved: "[20]" [u8; 20],
        /// CRC-32 of the bytes before it.
        0x3C checksum: "u32" U32,
    }
}

/// First bytes of each copy.
pub const IDENTITY_MAGIC: [u8; 16] = *b"RVF single-file\0";
/// File offsets of the three copies.
pub const COPIES: [usize; 3] = [0x100, 0x800, 0xF00];

/// What the first bytes of a file say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// Ours, with this file id from the first whole copy; `None` where no copy is whole.
    Ours(Option<[u8; 16]>),
    /// A file of the published crates.
    Published,
    /// Neither.
    Unknown,
}

impl FileIdentity {
    /// The identity of a new file.
    pub fn new(file_id: [u8; 16]) -> Self {
        let mut identity = Self::zeroed();
        identity.magic = IDENTITY_MAGIC;
        identity.format_version.set(FORMAT_VERSION);
        identity.page_size.set(PAGE as u32);
        identity.file_id = file_id;
        identity.checksum.set(digest::crc32(&identity.as_bytes()[..0x3C]));
        identity
    }

    /// Magic and checksum are right.
    pub fn is_whole(&self) -> bool {
        self.magic == IDENTITY_MAGIC && self.checksum.get() == digest::crc32(&self.as_bytes()[..0x3C])
    }
}

/// The FILE segment of a new file: exactly one page.
pub fn encode_file_segment(file_id: [u8; 16], timestamp_ns: u64) -> Vec<u8> {
    let mut page = vec![0; PAGE_LEN];
    let mut header = SegmentHeader::zeroed();
    header.magic.set(SEGMENT_MAGIC);
    header.version = 1;
    header.kind = Kind::FILE.0;
    header.payload_length.set((PAGE_LEN - HEADER_LEN) as u64);
    header.timestamp_ns.set(timestamp_ns);
    header.checksum_algorithm = 1;
    page[..HEADER_LEN].copy_from_slice(header.as_bytes());
    let mut prelude = PayloadPrelude::zeroed();
    prelude.form.set(1);
    prelude.version.set(1);
    prelude.section_count.set(COPIES.len() as u32);
    page[HEADER_LEN..TABLE_START].copy_from_slice(prelude.as_bytes());
    let identity = FileIdentity::new(file_id);
    for (index, offset) in COPIES.into_iter().enumerate() {
        let mut entry = SectionEntry::zeroed();
        entry.tag.set(index as u32 + 1);
        entry.offset.set(offset as u64);
        entry.length.set(size_of::<FileIdentity>() as u64);
        let row = TABLE_START + index * size_of::<SectionEntry>();
        page[row..row + size_of::<SectionEntry>()].copy_from_slice(entry.as_bytes());
        page[offset..offset + size_of::<FileIdentity>()].copy_from_slice(identity.as_bytes());
    }
    seal(&mut page);
    page
}

/// The copies of the identity in `file`'s first page that are there, whole or not.
pub fn copies(file: &[u8]) -> impl Iterator<Item = (usize, FileIdentity)> + '_ {
    COPIES.into_iter().filter_map(|offset| {
        let bytes = file.get(offset..offset + size_of::<FileIdentity>())?;
        FileIdentity::read_from_bytes(bytes).ok().map(|identity| (offset, identity))
    })
}

/// Recognises a file by its first page (FILE-5).
pub fn recognise(file: &[u8]) -> Recognised {
    if let Some((_, whole)) = copies(file).find(|(_, copy)| copy.is_whole()) {
        return Recognised::Ours(Some(whole.file_id));
    }
    let magic = file.get(..4).is_some_and(|bytes| bytes == SEGMENT_MAGIC.to_le_bytes());
    let file_kind = file.get(5).is_some_and(|kind| *kind == Kind::FILE.0);
    if (magic && file_kind) || copies(file).any(|(_, copy)| copy.magic == IDENTITY_MAGIC) {
        return Recognised::Ours(None);
    }
    if magic { Recognised::Published } else { Recognised::Unknown }
}

/// The file id, if the file is ours and of a version that we read.
///
/// # Errors
/// [`Error::NotRvf`], [`Error::PublishedRvf`], [`Error::Newer`], FILE-2 if no copy is whole, FILE-4.
pub fn open_identity(file: &[u8]) -> Result<[u8; 16]> {
    match recognise(file) {
        Recognised::Published => return Err(Error::PublishedRvf),
        Recognised::Unknown => return Err(Error::NotRvf),
        Recognised::Ours(_) => {}
    }
    let Some((offset, identity)) = copies(file).find(|(_, copy)| copy.is_whole()) else {
        return Err(Error::corrupt(Clause::File2, COPIES[0] as u64, "no copy of the file's identity is whole"));
    };
    if identity.format_version.get() > FORMAT_VERSION {
        return Err(Error::Newer { clause: Clause::File3, at: offset as u64 + 0x10 });
    }
    if identity.page_size.get() != PAGE as u32 {
        return Err(Error::corrupt(Clause::File4, offset as u64 + 0x14, "the page size is not 4,096"));
    }
    Ok(identity.file_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_whole_copy_is_enough() {
        let mut page = encode_file_segment([7; 16], 1);
        page[..0xF00].fill(0xAA);
        assert_eq!(open_identity(&page).unwrap(), [7; 16]);
        page[0xF20] ^= 1;
        assert!(matches!(open_identity(&page), Err(Error::Corrupt { clause: Clause::File2, .. })));
        page[0xF00] ^= 1;
        assert!(matches!(open_identity(&page), Err(Error::NotRvf)));
    }

    #[test]
    fn published_files_and_noise_are_told_apart() {
        let mut page = encode_file_segment([7; 16], 1);
        page[0x100..].fill(0);
        assert_eq!(recognise(&page), Recognised::Ours(None));
        page[5] = Kind::VEC.0;
        assert_eq!(recognise(&page), Recognised::Published);
        assert_eq!(recognise(b"no"), Recognised::Unknown);
    }
}

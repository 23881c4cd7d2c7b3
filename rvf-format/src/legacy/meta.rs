//! Owns META payloads: the fields of records, replayed from the newest full snapshot on.
//!
//! ```text
//! "RVFMETA\0" | version u16 | flags u16 (bit 0: snapshot) | generation u64 | base u64 | schemas u32 | files u32 | records u32
//! schemas x (field u16, type u8, nullable u8, length u16, name)                    the name is always field.N
//! files   x (length u16, key, value)                                               of the file as a whole
//! records x (id u64, operation u8, fields u32, fields x (field u16, value))        0 sets fields, 1 deletes the record
//! "RVFDONE\0" | SHA-256 of all before                                              40 bytes
//! value: tag u8, then 0 null | 1 text, 2 bytes (length u32) | 3 i64 | 4 u64 | 5 f64 | 6 bool u8 | 7 no field any more
//! ```
//!
//! Metadata that cannot be read does not keep vectors from being read: what is readable up to there counts, and a warning says so,
//! as the published crates do it. The table holds places of values, which stay in the file.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::error::{Fault, LegacyError};
use super::header::{Header, SegmentKind};
use super::locate::Located;
use super::manifest::{Entry, Manifest};
use super::report::{MetaSegment, Skipped, Warning, Why};
use super::survey::{header_of, prove, skip};

/// Most changes after a snapshot, and most bytes of them together: those of the published crates.
const MAX_DELTAS: usize = 64;
const MAX_BYTES: u64 = 256 << 20;
const FOOTER_MAGIC: &[u8; 8] = b"RVFDONE\0";
const FOOTER_LEN: usize = 40;

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawMeta {
    magic: [u8; 8],
    version: U16,
    flags: U16,
    generation: U64,
    base_generation: U64,
    schema_count: U32,
    file_count: U32,
    record_count: U32,
}
const _: () = assert!(size_of::<RawMeta>() == 40);

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawRecord {
    id: U64,
    operation: u8,
    fields: U32,
}
const _: () = assert!(size_of::<RawRecord>() == 13);

/// The value of a field of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetaValue<'a> {
    /// No value.
    Null,
    /// Text.
    Str(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A whole number.
    I64(i64),
    /// A whole number that is not negative.
    U64(u64),
    /// A finite number.
    F64(f64),
    /// True or false.
    Bool(bool),
}

/// What the META segments of one file say.
#[derive(Debug, Default)]
pub(super) struct Meta {
    /// Where the value of a field of an id lies in the file.
    values: BTreeMap<(u64, u16), usize>,
    /// Keys of what is said of the file as a whole.
    pub(super) file_keys: BTreeSet<String>,
    pub(super) read: Vec<Header>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) warning: Option<Warning>,
}

impl Meta {
    /// The fields of an id, ascending by their number. `bytes` are those of the file.
    pub(super) fn fields<'a>(&self, bytes: &'a [u8], id: u64) -> Vec<(u16, MetaValue<'a>)> {
        let values = self.values.range((id, 0)..=(id, u16::MAX));
        let value = |at: usize| Reader { bytes: bytes.get(at..)? }.value().ok().flatten();
        values.filter_map(|(&(_, field), &at)| Some((field, value(at)?))).collect()
    }

    /// Replays a payload that starts at `at`.
    fn apply(&mut self, payload: &[u8], at: usize) -> Result<(), Fault> {
        let body = payload.len().checked_sub(FOOTER_LEN).and_then(|end| payload.split_at_checked(end));
        let (body, footer) = body.ok_or(Fault::Short("the footer"))?;
        if footer.get(..8) != Some(FOOTER_MAGIC) || footer.get(8..) != Some(Sha256::digest(body).as_slice()) {
            return Err(Fault::Disagree("the footer's digest"));
        }
        let mut reader = Reader { bytes: body };
        let head: &RawMeta = reader.one("the fixed fields")?;
        for _ in 0..head.schema_count.get() {
            reader.take(4, "a schema")?;
            let name_len: &U16 = reader.one("the name of a field")?;
            reader.take(name_len.get().into(), "the name of a field")?;
        }
        for _ in 0..head.file_count.get() {
            let key_len: &U16 = reader.one("a key of the file")?;
            let key = text(reader.take(key_len.get().into(), "a key of the file")?)?;
            match reader.value()? {
                Some(_) => self.file_keys.insert(key.to_owned()),
                None => self.file_keys.remove(key),
            };
        }
        for _ in 0..head.record_count.get() {
            self.record(&mut reader, at + body.len())?;
        }
        match reader.bytes.len() {
            0 => Ok(()),
            more => Err(Fault::Trailing(more as u64)),
        }
    }

    /// Replays a record; `end` is where the bytes of the reader end in the file.
    fn record(&mut self, reader: &mut Reader<'_>, end: usize) -> Result<(), Fault> {
        let record: &RawRecord = reader.one("a record")?;
        let id = record.id.get();
        match (record.operation, record.fields.get()) {
            (0, _) => {}
            (1, 0) => {
                let gone: Vec<_> = self.values.range((id, 0)..=(id, u16::MAX)).map(|(key, _)| *key).collect();
                for key in gone {
                    self.values.remove(&key);
                }
            }
            (operation, _) => return Err(Fault::Field { name: "operation of a record", value: operation.into() }),
        }
        for _ in 0..record.fields.get() {
            let field: &U16 = reader.one("a field")?;
            let key = (id, field.get());
            let place = end - reader.bytes.len();
            match reader.value()? {
                Some(_) => self.values.insert(key, place),
                None => self.values.remove(&key),
            };
        }
        Ok(())
    }
}

/// The bytes of a payload that were not read yet.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn one<T: FromBytes + KnownLayout + Immutable + Unaligned>(&mut self, what: &'static str) -> Result<&'a T, Fault> {
        let (value, rest) = T::ref_from_prefix(self.bytes).map_err(|_| Fault::Short(what))?;
        self.bytes = rest;
        Ok(value)
    }

    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(Fault::Short(what))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// The next value; `None` for one that takes the field away.
    fn value(&mut self) -> Result<Option<MetaValue<'a>>, Fault> {
        const WHAT: &str = "a value";
        let number = |reader: &mut Self| Ok::<_, Fault>(reader.one::<U64>(WHAT)?.get());
        let string = |reader: &mut Self| {
            let len: &U32 = reader.one(WHAT)?;
            reader.take(usize::try_from(len.get()).map_err(|_| Fault::Short(WHAT))?, WHAT)
        };
        Ok(Some(match self.one::<u8>(WHAT)? {
            0 => MetaValue::Null,
            1 => MetaValue::Str(text(string(self)?)?),
            2 => MetaValue::Bytes(string(self)?),
            3 => MetaValue::I64(number(self)?.cast_signed()),
            4 => MetaValue::U64(number(self)?),
            5 => match f64::from_bits(number(self)?) {
                float if float.is_finite() => MetaValue::F64(float),
                odd => return Err(Fault::Field { name: "f64", value: odd.to_bits() }),
            },
            6 => match self.one::<u8>(WHAT)? {
                0 => MetaValue::Bool(false),
                1 => MetaValue::Bool(true),
                odd => return Err(Fault::Field { name: "bool", value: (*odd).into() }),
            },
            7 => return Ok(None),
            tag => return Err(Fault::Field { name: "tag of a value", value: (*tag).into() }),
        }))
    }
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    core::str::from_utf8(bytes).map_err(|_| Fault::NotText)
}

/// The first fields of a META segment.
fn describe(header: &Header, payload: &[u8]) -> Option<MetaSegment> {
    let (raw, _) = RawMeta::ref_from_prefix(payload).ok()?;
    (raw.magic == *b"RVFMETA\0" && raw.version.get() == 1).then(|| MetaSegment {
        segment_id: header.segment_id,
        offset: header.at as u64,
        full: raw.flags.get() & 1 == 1,
        generation: raw.generation.get(),
        base: raw.base_generation.get(),
        records: raw.record_count.get(),
    })
}

/// The META segments of the directory, as their first fields describe them.
pub(super) fn segments(file: &Located<'_>, manifest: &Manifest) -> Vec<MetaSegment> {
    let of = |entry: &Entry| {
        let header = header_of(file, entry)?;
        describe(&header, header.payload(file.body)?)
    };
    entries(manifest).filter_map(of).collect()
}

fn entries(manifest: &Manifest) -> impl DoubleEndedIterator<Item = &Entry> {
    manifest.directory.iter().filter(|entry| entry.kind == SegmentKind::Meta)
}

/// Replays the META segments that the directory names: the newest snapshot, and the changes after it as far as each can be read and
/// follows the one before.
pub(super) fn read(file: &Located<'_>, manifest: &Manifest) -> Meta {
    let mut meta = Meta::default();
    let mut damaged = None;
    let mut chain: Vec<(MetaSegment, Header, &[u8])> = Vec::new();
    let (mut bytes, mut whole) = (0, false);
    for entry in entries(manifest).rev() {
        let there = header_of(file, entry).is_some();
        if whole || !there {
            meta.skipped.push(skip(entry, if there { Why::Superseded } else { Why::NotThere }));
            damaged = damaged.or((!whole).then_some(entry.at));
        } else {
            bytes += entry.payload_len;
            let fits = chain.len() <= MAX_DELTAS && bytes <= MAX_BYTES;
            let proved = if fits { prove(file, manifest, entry).ok() } else { None };
            match proved.and_then(|(header, payload)| Some((describe(&header, payload)?, header, payload))) {
                Some(one) => {
                    whole = one.0.full;
                    chain.push(one);
                }
                None => {
                    meta.skipped.push(skip(entry, Why::MetadataUnreadable));
                    damaged = Some(entry.at);
                }
            }
        }
    }
    chain.reverse();
    let mut before: Option<MetaSegment> = None;
    for (segment, header, payload) in chain {
        let follows = match before {
            None => segment.full,
            Some(before) => {
                before.generation.checked_add(1) == Some(segment.generation) && segment.base == before.generation
            }
        };
        let unbroken = before.is_some() || meta.read.is_empty();
        let applied = follows && unbroken && meta.try_apply(&header, payload).is_ok();
        if applied {
            before = Some(segment);
            meta.read.push(header);
        } else {
            // What follows a gap is about records that are not known: it is left as well.
            before = None;
            damaged = Some(damaged.map_or(segment.offset, |at: u64| at.min(segment.offset)));
            let (kind, segment_id, offset) = (header.kind, header.segment_id, segment.offset);
            meta.skipped.push(Skipped { kind, segment_id, offset, why: Why::MetadataUnreadable });
        }
    }
    meta.warning = damaged.map(|offset| Warning::MetadataDamaged { offset });
    meta
}

impl Meta {
    /// [`Meta::apply`] that leaves the table as it was where the payload is malformed.
    fn try_apply(&mut self, header: &Header, payload: &[u8]) -> Result<(), LegacyError> {
        let mut check = Meta::default();
        check.apply(payload, header.payload_at()).map_err(|fault| header.malformed(fault))?;
        self.apply(payload, header.payload_at()).map_err(|fault| header.malformed(fault))
    }
}

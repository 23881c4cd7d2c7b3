//! QUANT: codes for the nodes of an INDEX: a signed byte a component (SQ8), or four bits a component of a projection (SQ4).
//!
//! ```text
//! | FACTS | CODES: count x stride | OFFSETS, if not all 0 | MAP, for SQ4: 2 stride x dimension |
//! ```
//! Geometry is checked by [`QuantView::parse`]; what CODES hold is judged against the rows by deep verification only.

use crate::build::Draft;
use crate::manifest::ManifestEntry;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Dtype, Error, Kind, Metric, Result, Schema, layout};
use std::borrow::Cow;
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{F32, U32};

layout! {
    /// Facts of a QUANT segment.
    pub struct QuantFacts = "quant-facts", 32 bytes {
        /// Components of a vector.
        0x00 dimension: "u32" U32,
        /// Bytes from code row to code row.
        0x04 stride: "u32" U32,
        /// Code rows.
        0x08 count: "u32" U32,
        /// [`CODE_SQ8`] or [`CODE_SQ4`].
        0x0C code: "u8" u8,
        /// 0.
        0x0D reserved_a: "[3]" [u8; 3],
        /// Bits of the binary32 between two codes.
        0x10 step: "u32" U32,
        /// 0.
        0x14 reserved_b: "[12]" [u8; 12],
    }
}

/// Section of [`QuantFacts`].
pub const TAG_FACTS: u32 = 1;
/// Section of the code rows.
pub const TAG_CODES: u32 = 2;
/// Section of the offsets, one a component.
pub const TAG_OFFSETS: u32 = 3;

/// Section of the projection, a row of signed bytes a projected component.
pub const TAG_MAP: u32 = 4;

/// A signed byte a component.
pub const CODE_SQ8: u8 = 1;
/// Four bits a projected component, two to a byte.
pub const CODE_SQ4: u8 = 2;
/// Bytes of the longest code row of [`CODE_SQ4`].
pub const MOST_SQ4_STRIDE: u32 = 32_768;

/// What a QUANT to be written holds.
#[derive(Clone, Debug)]
pub struct QuantParts<'a> {
    /// Facts.
    pub facts: QuantFacts,
    /// `count` x `stride` bytes.
    pub codes: Cow<'a, [u8]>,
    /// One a component, for metric l2 only; empty: all 0, and the section is left out.
    pub offsets: Cow<'a, [f32]>,
    /// 2 `stride` x `dimension` signed bytes for [`CODE_SQ4`], else empty.
    pub map: Cow<'a, [u8]>,
    /// `base_row` of the INDEX.
    pub base_row: u64,
}

/// A draft of a QUANT segment. The caller has made the parts fit each other.
pub fn draft<'a>(parts: QuantParts<'a>) -> Draft<'a> {
    let draft = Draft::new(Kind::QUANT, 1)
        .rows(parts.base_row, parts.facts.count.get())
        .section(TAG_FACTS, parts.facts.as_bytes().to_vec())
        .section(TAG_CODES, parts.codes);
    let draft = match &parts.offsets[..] {
        [] => draft,
        offsets => {
            draft.section(TAG_OFFSETS, offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect::<Vec<u8>>())
        }
    };
    if parts.facts.code == CODE_SQ4 { draft.section(TAG_MAP, parts.map) } else { draft }
}

/// A QUANT segment in place.
#[derive(Clone, Debug)]
pub struct QuantView {
    facts: QuantFacts,
    codes: Bytes,
    offsets: Option<Bytes>,
    map: Bytes,
}

impl QuantView {
    /// Parses the QUANT segment of `entry`. Reads facts and offsets, nothing a row.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, QNT-1.
    pub fn parse(segment: Bytes, entry: &ManifestEntry, schema: &Schema) -> Result<Self> {
        let payload = Payload::parse(segment, entry.offset.get(), Kind::QUANT, &[1])?;
        let facts: QuantFacts = payload.facts(TAG_FACTS)?;
        let wrong = |tag, what| Err(Error::corrupt(Clause::Qnt1, payload.place_of(tag), what));
        if let Err(what) = check_facts(&facts, entry, schema) {
            return wrong(TAG_FACTS, what);
        }
        let [count, stride, dimension] = [facts.count, facts.stride, facts.dimension].map(|fact| u64::from(fact.get()));
        let codes = payload.required_exact(TAG_CODES, count.saturating_mul(stride))?;
        let offsets = match payload.section(TAG_OFFSETS) {
            Some(_) => Some(payload.required_exact(TAG_OFFSETS, dimension * 4)?),
            None => None,
        };
        let map = match facts.code {
            CODE_SQ4 => payload.required_exact(TAG_MAP, (2 * stride).saturating_mul(dimension))?,
            _ => Bytes::from(&[][..]),
        };
        let view = Self { facts, codes, offsets, map };
        if view.offsets.is_some() && schema.metric != Metric::L2 {
            return wrong(TAG_OFFSETS, "offsets stand under another metric than l2");
        }
        if facts.code != CODE_SQ4 && payload.section(TAG_MAP).is_some() {
            return wrong(TAG_MAP, "a map stands beside codes of no projection");
        }
        if view.offsets().iter().any(|offset| !offset.is_finite()) {
            return wrong(TAG_OFFSETS, "an offset is not a finite number");
        }
        Ok(view)
    }

    /// The facts.
    pub fn facts(&self) -> &QuantFacts {
        &self.facts
    }

    /// All code rows, `stride` bytes each, aligned to 64 bytes.
    pub fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// The code row of a node; empty for one that is not there.
    pub fn row(&self, node: u32) -> &[u8] {
        let stride = self.facts.stride.get() as usize;
        let start = (node as usize).saturating_mul(stride);
        self.codes.get(start..start.saturating_add(stride)).unwrap_or_default()
    }

    /// The offsets, one a component; empty where all are 0.
    pub fn offsets(&self) -> Vec<f32> {
        let offsets = self.offsets.as_ref().and_then(|bytes| bytes.as_slice::<F32>()).unwrap_or_default();
        offsets.iter().map(|offset| offset.get()).collect()
    }

    /// The offsets as the bytes of binary32, aligned to 64 bytes; empty where all are 0.
    pub fn offset_bytes(&self) -> &[u8] {
        self.offsets.as_deref().unwrap_or_default()
    }

    /// The projection of [`CODE_SQ4`]: 2 `stride` rows of `dimension` signed bytes; else empty.
    pub fn map(&self) -> &Bytes {
        &self.map
    }

    /// What lies between two codes; finite and above 0.
    pub fn step(&self) -> f32 {
        f32::from_bits(self.facts.step.get())
    }
}

fn check_facts(facts: &QuantFacts, entry: &ManifestEntry, schema: &Schema) -> core::result::Result<(), &'static str> {
    let fits = facts.dimension.get() == schema.dimension
        && facts.count.get() == entry.rows.get()
        && walk_rows_fit(facts.code, facts.stride.get(), schema)
        && facts.reserved_a == [0; 3]
        && facts.reserved_b == [0; 12];
    if !fits {
        return Err("a QUANT segment does not fit the schema or its entry");
    }
    let step = f32::from_bits(facts.step.get());
    if !step.is_finite() || step <= 0.0 {
        return Err("the step of a QUANT is not a finite number above 0");
    }
    Ok(())
}

/// Whether rows of `code` with this stride stand for rows of the schema.
pub(super) fn walk_rows_fit(code: u8, stride: u32, schema: &Schema) -> bool {
    match code {
        CODE_SQ8 => matches!(schema.dtype, Dtype::F32 | Dtype::F16) && stride >= schema.dimension,
        CODE_SQ4 => schema.dtype != Dtype::Binary && (1..=MOST_SQ4_STRIDE).contains(&stride),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Schema = Schema::new(3, Metric::L2);

    fn parts() -> QuantParts<'static> {
        let mut facts = QuantFacts::zeroed();
        (facts.dimension, facts.stride, facts.count) = (3.into(), 4.into(), 2.into());
        (facts.code, facts.step) = (CODE_SQ8, 0.5f32.to_bits().into());
        QuantParts {
            facts,
            codes: vec![1, 2, 255, 0, 4, 5, 6, 0].into(),
            offsets: vec![0.25, -1.0, 9.0].into(),
            map: Cow::Borrowed(&[]),
            base_row: 40,
        }
    }

    fn parse_as(draft: &Draft<'_>, schema: &Schema) -> Result<QuantView> {
        let mut entry = ManifestEntry::zeroed();
        entry.base_row.set(40);
        entry.rows.set(2);
        QuantView::parse(Bytes::from(draft.encode(2, 0).unwrap()), &entry, schema)
    }

    fn clause(change: impl FnOnce(&mut QuantParts<'static>), schema: &Schema) -> Option<Clause> {
        let mut parts = parts();
        change(&mut parts);
        parse_as(&draft(parts), schema).err().and_then(|error| error.clause())
    }

    #[test]
    fn round_trip() {
        let draft = draft(parts());
        assert_eq!((draft.kind, draft.base_row, draft.rows), (Kind::QUANT, 40, 2));
        let view = parse_as(&draft, &SCHEMA).unwrap();
        assert_eq!((*view.facts(), view.codes()), (parts().facts, &*parts().codes));
        assert_eq!((view.step(), view.offsets()), (0.5, vec![0.25, -1.0, 9.0]));
        assert_eq!((view.row(1), view.row(2), view.row(u32::MAX)), (&[4, 5, 6, 0][..], &[][..], &[][..]));
    }

    #[test]
    fn facts_fit_schema_and_entry() {
        let breaks: [fn(&mut QuantFacts); 11] = [
            |facts| facts.dimension = 4.into(),
            |facts| facts.stride = 2.into(),
            |facts| facts.stride = 0.into(),
            |facts| facts.count = 3.into(),
            |facts| facts.code = 0,
            |facts| facts.reserved_a[0] = 1,
            |facts| facts.reserved_b[11] = 1,
            |facts| facts.step = 0.into(),
            |facts| facts.step = (-1.0f32).to_bits().into(),
            |facts| facts.step = f32::INFINITY.to_bits().into(),
            |facts| facts.step = f32::NAN.to_bits().into(),
        ];
        for (index, change) in breaks.into_iter().enumerate() {
            assert_eq!(clause(|parts| change(&mut parts.facts), &SCHEMA), Some(Clause::Qnt1), "{index}");
        }
        let schema = |dtype, metric| Schema { dtype, metric, ..SCHEMA };
        assert_eq!(clause(|_| {}, &schema(Dtype::I8, Metric::L2)), Some(Clause::Qnt1));
        assert_eq!(clause(|_| {}, &schema(Dtype::F16, Metric::L2)), None);
        assert_eq!(clause(|_| {}, &schema(Dtype::F32, Metric::Dot)), Some(Clause::Qnt1), "offsets of dot");
        assert_eq!(clause(|parts| parts.offsets = Cow::Borrowed(&[]), &schema(Dtype::F32, Metric::Dot)), None);
        assert_eq!(clause(|parts| parts.offsets.to_mut()[2] = f32::NAN, &SCHEMA), Some(Clause::Qnt1));
    }

    /// Two components in two codes of half a byte.
    fn nibbles(parts: &mut QuantParts<'static>) {
        (parts.facts.code, parts.facts.stride) = (CODE_SQ4, 1.into());
        (parts.codes, parts.map) = (vec![0x21, 0xF0].into(), vec![1, 2, 3, 4, 5, 255].into());
    }

    #[test]
    fn codes_of_four_bits_have_a_map() {
        let schema = |dtype| Schema { dtype, ..SCHEMA };
        for dtype in [Dtype::F32, Dtype::F16, Dtype::I8, Dtype::U8] {
            assert_eq!(clause(nibbles, &schema(dtype)), None, "{dtype:?}");
        }
        let mut parts = parts();
        nibbles(&mut parts);
        let view = parse_as(&draft(parts), &SCHEMA).unwrap();
        assert_eq!((&view.map()[..], view.row(1)), (&[1, 2, 3, 4, 5, 255][..], &[0xF0][..]));
        assert_eq!(view.offset_bytes().len(), 12);
        let changed = |change: fn(&mut QuantParts<'static>)| {
            clause(
                |parts| {
                    nibbles(parts);
                    change(parts);
                },
                &SCHEMA,
            )
        };
        assert_eq!(changed(|parts| parts.map.to_mut().truncate(5)), Some(Clause::Pay6));
        assert_eq!(changed(|parts| parts.facts.stride = 0.into()), Some(Clause::Qnt1));
        assert_eq!(changed(|parts| parts.facts.stride = (MOST_SQ4_STRIDE + 1).into()), Some(Clause::Qnt1));
        let binary = Schema { dtype: Dtype::Binary, metric: Metric::Hamming, ..SCHEMA };
        assert_eq!(clause(nibbles, &binary), Some(Clause::Qnt1));
        // A map beside codes of bytes.
        let stray = draft(self::parts()).section(TAG_MAP, vec![0; 6]);
        assert_eq!(parse_as(&stray, &SCHEMA).unwrap_err().clause(), Some(Clause::Qnt1));
    }

    #[test]
    fn sections_have_the_lengths_of_the_facts() {
        assert_eq!(clause(|parts| parts.codes = vec![0; 7].into(), &SCHEMA), Some(Clause::Pay6));
        assert_eq!(clause(|parts| parts.facts.stride = u32::MAX.into(), &SCHEMA), Some(Clause::Pay6));
        assert_eq!(clause(|parts| parts.offsets = vec![0.0; 4].into(), &SCHEMA), Some(Clause::Pay6));
        let facts = parts().facts.as_bytes().to_vec();
        let no_codes = Draft::new(Kind::QUANT, 1).section(TAG_FACTS, facts);
        assert_eq!(parse_as(&no_codes, &SCHEMA).unwrap_err().clause(), Some(Clause::Pay6));
        let no_facts = Draft::new(Kind::QUANT, 1).section(TAG_CODES, vec![0; 8]);
        assert_eq!(parse_as(&no_facts, &SCHEMA).unwrap_err().clause(), Some(Clause::Pay6));
    }
}

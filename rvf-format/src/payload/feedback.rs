//! FEEDBACK: what was shown for queries, and what of it was chosen.
//!
//! ```text
//! | FACTS | EVENTS | QUERIES: binary32 | SHOWN, CHOSEN: places in the ids | IDS (u64) or ID_OFFSETS + ID_BYTES (string) |
//! ```

use super::vec::{IdColumn, IdRef};
use crate::build::Draft;
use crate::limits::MAX_ID_LEN;
use crate::manifest::ManifestEntry;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, IdType, Kind, Metric, Result, Schema, layout};
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{F32, U32, U64};

layout! {
    /// Facts of a FEEDBACK segment.
    pub struct FeedbackFacts = "feedback-facts", 16 bytes {
        /// Elements of a query.
        0x00 dimension: "u32" U32,
        /// Code of the id type.
        0x04 id_type: "u8" u8,
        /// 0.
        0x05 reserved: "[3]" [u8; 3],
        /// Number of the first event.
        0x08 first: "u64" U64,
    }
}

layout! {
    /// A query and what became of it.
    pub struct FeedbackEvent = "feedback-event", 32 bytes {
        /// When, nanoseconds since 1970-01-01 UTC.
        0x00 time_ns: "u64" U64,
        /// How much it counts, bits of a binary32.
        0x08 weight: "u32" U32,
        /// Results before the first that was shown.
        0x0C first_place: "u32" U32,
        /// End of what was shown in SHOWN.
        0x10 shown_end: "u32" U32,
        /// End of what was chosen in CHOSEN.
        0x14 chosen_end: "u32" U32,
        /// 0.
        0x18 reserved: "u64" U64,
    }
}

/// Section of [`FeedbackFacts`].
pub const TAG_FACTS: u32 = 1;
/// Section of [`FeedbackEvent`]s.
pub const TAG_EVENTS: u32 = 2;
const TAG_QUERIES: u32 = 3;
const TAG_SHOWN: u32 = 4;
const TAG_CHOSEN: u32 = 5;
const TAG_IDS: u32 = 6;
const TAG_ID_OFFSETS: u32 = 7;
const TAG_ID_BYTES: u32 = 8;

/// Events to be written: all columns of a FEEDBACK segment.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// One a query.
    pub events: Vec<FeedbackEvent>,
    /// `dimension` numbers an event.
    pub queries: Vec<f32>,
    /// Places among the ids of what was shown, event by event, in the order of the results.
    pub shown: Vec<u32>,
    /// Places among the ids of what was chosen.
    pub chosen: Vec<u32>,
}

/// A draft of a FEEDBACK segment of events from number `first` on. `ids` ascend strictly. The caller keeps to FBK-1.
pub fn draft(schema: &Schema, first: u64, columns: &Columns, ids: IdColumn<'_>) -> Draft<'static> {
    let mut facts = FeedbackFacts::zeroed();
    facts.dimension.set(schema.dimension);
    facts.id_type = schema.id_type.code();
    facts.first.set(first);
    let numbers = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let draft = Draft::new(Kind::FEEDBACK, 1)
        .rows(first, columns.events.len() as u32)
        .section(TAG_FACTS, facts.as_bytes().to_vec())
        .section(TAG_EVENTS, columns.events.as_bytes().to_vec())
        .section(TAG_QUERIES, columns.queries.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
        .section(TAG_SHOWN, numbers(&columns.shown))
        .section(TAG_CHOSEN, numbers(&columns.chosen));
    match ids {
        IdColumn::U64(ids) => draft.section(TAG_IDS, ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>()),
        IdColumn::Str(texts) => {
            let ends = texts.iter().scan(0, |end, text| {
                *end += text.len() as u32;
                Some(*end)
            });
            let offsets: Vec<u32> = core::iter::once(0).chain(ends).collect();
            draft.section(TAG_ID_OFFSETS, numbers(&offsets)).section(TAG_ID_BYTES, texts.concat().into_bytes())
        }
    }
}

/// A FEEDBACK segment in place, checked.
#[derive(Clone, Debug)]
pub struct FeedbackView {
    dimension: usize,
    events: Bytes,
    queries: Bytes,
    shown: Bytes,
    chosen: Bytes,
    ids: Ids,
}

#[derive(Clone, Debug)]
enum Ids {
    U64(Bytes),
    Str { offsets: Bytes, text: Bytes },
}

/// One event of a FEEDBACK segment.
#[derive(Clone, Debug)]
pub struct Event<'v> {
    /// When, how much it counts, where the first result stood.
    pub facts: &'v FeedbackEvent,
    /// The query.
    pub query: Vec<f32>,
    /// What was shown, in its order.
    pub shown: Vec<IdRef<'v>>,
    /// What was chosen.
    pub chosen: Vec<IdRef<'v>>,
}

impl FeedbackView {
    /// Parses the FEEDBACK segment of `entry` and checks all of it.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, FBK-1.
    pub fn parse(segment: Bytes, entry: &ManifestEntry, schema: &Schema) -> Result<Self> {
        let at = entry.offset.get();
        let payload = Payload::parse(segment, at, Kind::FEEDBACK, &[1])?;
        let wrong = |what| Error::corrupt(Clause::Fbk1, at, what);
        let facts: FeedbackFacts = payload.facts(TAG_FACTS)?;
        let is_of_the_file = facts.dimension.get() == schema.dimension && facts.id_type == schema.id_type.code();
        let is_first = facts.first.get() == entry.base_row.get();
        if !is_of_the_file || !is_first || facts.reserved != [0; 3] || schema.metric == Metric::Hamming {
            return Err(wrong("the facts of a FEEDBACK segment do not fit the file"));
        }
        let events = u64::from(entry.rows.get());
        let dimension = schema.dimension as usize;
        let ids = match schema.id_type {
            IdType::U64 => Ids::U64(whole(&payload, TAG_IDS, 8)?),
            IdType::Str => {
                Ids::Str { offsets: whole(&payload, TAG_ID_OFFSETS, 4)?, text: payload.required(TAG_ID_BYTES)? }
            }
        };
        let view = Self {
            dimension,
            events: payload.required_exact(TAG_EVENTS, events * size_of::<FeedbackEvent>() as u64)?,
            queries: payload.required_exact(TAG_QUERIES, events * dimension as u64 * 4)?,
            shown: whole(&payload, TAG_SHOWN, 4)?,
            chosen: whole(&payload, TAG_CHOSEN, 4)?,
            ids,
        };
        view.check().map_err(wrong)?;
        Ok(view)
    }

    fn check(&self) -> core::result::Result<(), &'static str> {
        self.check_ids()?;
        let (mut shown, mut chosen) = (0, 0);
        for event in self.facts() {
            let weight = f32::from_bits(event.weight.get());
            if !(weight.is_finite() && weight > 0.0) || event.reserved.get() != 0 {
                return Err("the weight of an event is not above 0, or its reserved field is set");
            }
            let ends = (event.shown_end.get() as usize, event.chosen_end.get() as usize);
            self.check_list(&self.shown, shown, ends.0)?;
            self.check_list(&self.chosen, chosen, ends.1)?;
            (shown, chosen) = ends;
        }
        if shown * 4 != self.shown.len() || chosen * 4 != self.chosen.len() {
            return Err("ids belong to no event");
        }
        let queries: &[F32] = self.queries.as_slice().unwrap_or_default();
        let is_finite = queries.iter().all(|x| x.get().is_finite());
        if is_finite { Ok(()) } else { Err("a component of a query is not finite") }
    }

    fn check_ids(&self) -> core::result::Result<(), &'static str> {
        let wrong = "ids of a FEEDBACK segment are malformed or do not ascend";
        if let Ids::Str { offsets, text } = &self.ids {
            let offsets: &[U32] = offsets.as_slice().unwrap_or_default();
            let (first, last) = (offsets.first().ok_or(wrong)?, offsets.last().ok_or(wrong)?);
            let fits = offsets.windows(2).all(|pair| {
                let length = (pair[1].get() as usize).checked_sub(pair[0].get() as usize);
                length.is_some_and(|length| (1..=MAX_ID_LEN).contains(&length))
            });
            if first.get() != 0 || last.get() as usize != text.len() || !fits {
                return Err(wrong);
            }
        }
        let mut before = None;
        for place in 0..self.count_of_ids() {
            let id = self.id(place as u32).ok_or(wrong)?;
            let is_no_id = id == IdRef::U64(u64::MAX) || matches!(id, IdRef::Str(text) if text.contains('\0'));
            if before.is_some_and(|before| before >= id) || is_no_id {
                return Err(wrong);
            }
            before = Some(id);
        }
        Ok(())
    }

    /// Places among the ids that are there, none twice.
    fn check_list(&self, list: &Bytes, start: usize, end: usize) -> core::result::Result<(), &'static str> {
        let list: &[U32] = list.as_slice().unwrap_or_default();
        let list = list.get(start..end).ok_or("the ends of events do not ascend to the end of the ids")?;
        let mut places: Vec<u32> = list.iter().map(|place| place.get()).collect();
        places.sort_unstable();
        let is_apart = places.windows(2).all(|pair| pair[0] != pair[1]);
        let is_there = places.last().is_none_or(|last| (*last as usize) < self.count_of_ids());
        if is_apart && is_there { Ok(()) } else { Err("an event names an id twice, or one that is not there") }
    }

    fn count_of_ids(&self) -> usize {
        match &self.ids {
            Ids::U64(ids) => ids.len() / 8,
            Ids::Str { offsets, .. } => (offsets.len() / 4).saturating_sub(1),
        }
    }

    fn id(&self, place: u32) -> Option<IdRef<'_>> {
        match &self.ids {
            Ids::U64(ids) => ids.as_slice::<U64>()?.get(place as usize).map(|id| IdRef::U64(id.get())),
            Ids::Str { offsets, text } => {
                let offsets: &[U32] = offsets.as_slice()?;
                let start = offsets.get(place as usize)?.get() as usize;
                let end = offsets.get(place as usize + 1)?.get() as usize;
                core::str::from_utf8(text.get(start..end)?).ok().map(IdRef::Str)
            }
        }
    }

    fn facts(&self) -> &[FeedbackEvent] {
        self.events.as_slice().unwrap_or_default()
    }

    /// The events, in their order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        let (mut shown, mut chosen) = (0, 0);
        let queries: &[F32] = self.queries.as_slice().unwrap_or_default();
        self.facts().iter().zip(queries.chunks(self.dimension)).map(move |(facts, query)| {
            let ends = (facts.shown_end.get() as usize, facts.chosen_end.get() as usize);
            let event = Event {
                facts,
                query: query.iter().map(|x| x.get()).collect(),
                shown: self.ids_of(&self.shown, shown, ends.0),
                chosen: self.ids_of(&self.chosen, chosen, ends.1),
            };
            (shown, chosen) = ends;
            event
        })
    }

    fn ids_of(&self, list: &Bytes, start: usize, end: usize) -> Vec<IdRef<'_>> {
        let list: &[U32] = list.as_slice().unwrap_or_default();
        list.get(start..end).unwrap_or_default().iter().filter_map(|place| self.id(place.get())).collect()
    }
}

fn whole(payload: &Payload, tag: u32, size: usize) -> Result<Bytes> {
    let bytes = payload.required(tag)?;
    if bytes.len() % size != 0 {
        let place = payload.place_of(tag);
        return Err(Error::corrupt(Clause::Pay6, place, "a section is not a whole number of its structures"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(shown_end: u32, chosen_end: u32) -> FeedbackEvent {
        let mut event = FeedbackEvent::zeroed();
        event.weight.set(1f32.to_bits());
        event.shown_end.set(shown_end);
        event.chosen_end.set(chosen_end);
        event
    }

    fn columns() -> Columns {
        Columns {
            events: vec![event(2, 1), event(3, 1)],
            queries: vec![1.0, 2.0, 3.0, 4.0],
            shown: vec![1, 0, 2],
            chosen: vec![2],
        }
    }

    fn schema(id_type: IdType) -> Schema {
        Schema { id_type, ..Schema::new(2, Metric::Cosine) }
    }

    fn parse(columns: &Columns, ids: IdColumn<'_>) -> Result<FeedbackView> {
        let id_type = if matches!(ids, IdColumn::U64(_)) { IdType::U64 } else { IdType::Str };
        let bytes = draft(&schema(id_type), 5, columns, ids).encode(1, 0).unwrap();
        let mut entry = ManifestEntry::zeroed();
        entry.base_row.set(5);
        entry.rows.set(columns.events.len() as u32);
        FeedbackView::parse(Bytes::from(bytes), &entry, &schema(id_type))
    }

    #[test]
    fn round_trip() {
        let view = parse(&columns(), IdColumn::U64(&[7, 8, 9])).unwrap();
        let events: Vec<_> = view.events().collect();
        assert_eq!((&events[0].query[..], &events[1].query[..]), (&[1.0, 2.0][..], &[3.0, 4.0][..]));
        assert_eq!(events[0].shown, [IdRef::U64(8), IdRef::U64(7)]);
        assert_eq!((&events[0].chosen[..], &events[1].shown[..]), (&[IdRef::U64(9)][..], &[IdRef::U64(9)][..]));
        assert!(events[1].chosen.is_empty());
        let view = parse(&columns(), IdColumn::Str(&["a", "bc", "d"])).unwrap();
        assert_eq!(view.events().next().unwrap().shown, [IdRef::Str("bc"), IdRef::Str("a")]);
    }

    #[test]
    fn what_breaks_the_rule_is_found() {
        let change = |change: &dyn Fn(&mut Columns)| {
            let mut columns = columns();
            change(&mut columns);
            columns
        };
        let wrong = [
            change(&|columns| columns.shown = vec![1, 1, 2]),
            change(&|columns| columns.shown = vec![1, 0, 3]),
            change(&|columns| columns.shown = vec![1, 0, 2, 2]),
            change(&|columns| columns.events[0].shown_end.set(4)),
            change(&|columns| columns.events[1].chosen_end.set(0)),
            change(&|columns| columns.events[1].weight.set(0)),
            change(&|columns| columns.events[1].weight.set(f32::NAN.to_bits())),
            change(&|columns| columns.events[0].reserved.set(1)),
            change(&|columns| columns.queries[3] = f32::INFINITY),
        ];
        for columns in wrong {
            let error = parse(&columns, IdColumn::U64(&[7, 8, 9])).unwrap_err();
            assert_eq!(error.clause(), Some(Clause::Fbk1), "{columns:?}");
        }
        let malformed = [IdColumn::U64(&[7, 7, 9]), IdColumn::U64(&[7, 8, u64::MAX]), IdColumn::Str(&["b", "a", "c"])];
        for ids in malformed.into_iter().chain([IdColumn::Str(&["", "a", "c"]), IdColumn::Str(&["a", "b", "c\0"])]) {
            assert_eq!(parse(&columns(), ids).unwrap_err().clause(), Some(Clause::Fbk1), "{ids:?}");
        }
        let mut other = ManifestEntry::zeroed();
        other.rows.set(2);
        let bytes = draft(&schema(IdType::U64), 5, &columns(), IdColumn::U64(&[7, 8, 9])).encode(1, 0).unwrap();
        let error = FeedbackView::parse(Bytes::from(bytes), &other, &schema(IdType::U64)).unwrap_err();
        assert_eq!(error.clause(), Some(Clause::Fbk1));
        let cut = change(&|columns| columns.queries.truncate(3));
        assert_eq!(parse(&cut, IdColumn::U64(&[7, 8, 9])).unwrap_err().clause(), Some(Clause::Pay6));
    }
}

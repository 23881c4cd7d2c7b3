//! [`Event`]: feedback as a file keeps it, in FEEDBACK segments; what of it counts.

use super::id::Id;
use super::snapshot::Snapshot;
use crate::Result;
use rvf_format::build::Draft;
use rvf_format::limits::TREE_MIN;
use rvf_format::manifest::{ManifestEntry, first_feedback};
use rvf_format::payload::feedback::{self, Columns, FeedbackEvent, FeedbackView};
use rvf_format::payload::vec::{IdColumn, IdRef};
use rvf_format::{IdType, Kind};
use std::collections::BTreeMap;
use zerocopy::byteorder::little_endian::{U32, U64};

/// A query, what was shown for it and what of that, or else, was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When, nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// The query: `dimension` finite numbers.
    pub query: Vec<f32>,
    /// Results in the order in which they were shown; none twice. Empty where choices were made without a list.
    pub shown: Vec<Id>,
    /// What was chosen, shown or not; none twice.
    pub chosen: Vec<Id>,
    /// How much it counts; above 0.
    pub weight: f32,
    /// How many results stood before the first of `shown`.
    pub first_place: u32,
}

/// Small segments that are merged when a full manifest is due: as many at least.
const FEWEST_MERGED: usize = 4;

/// A draft of a FEEDBACK segment with these events, the first of which has the number `first`.
pub(crate) fn draft(snapshot: &Snapshot, first: u64, events: &[Event]) -> Draft<'static> {
    let listed = || events.iter().flat_map(|event| event.shown.iter().chain(&event.chosen));
    let mut places: BTreeMap<&Id, u32> = listed().map(|id| (id, 0)).collect();
    places.values_mut().zip(0..).for_each(|(place, at)| *place = at);
    let place = |id: &Id| places.get(id).copied().unwrap_or(0);
    let mut columns = Columns::default();
    for event in events {
        columns.queries.extend_from_slice(&event.query);
        columns.shown.extend(event.shown.iter().map(place));
        columns.chosen.extend(event.chosen.iter().map(place));
        columns.events.push(FeedbackEvent {
            time_ns: U64::new(event.time_ns),
            weight: U32::new(event.weight.to_bits()),
            first_place: U32::new(event.first_place),
            shown_end: U32::new(columns.shown.len() as u32),
            chosen_end: U32::new(columns.chosen.len() as u32),
            reserved: U64::ZERO,
        });
    }
    let (mut numbers, mut texts): (Vec<u64>, Vec<&str>) = Default::default();
    for id in places.keys() {
        match id.as_ref() {
            IdRef::U64(number) => numbers.push(number),
            IdRef::Str(text) => texts.push(text),
        }
    }
    let ids = match snapshot.schema().id_type {
        IdType::U64 => IdColumn::U64(&numbers),
        IdType::Str => IdColumn::Str(&texts),
    };
    feedback::draft(snapshot.schema(), first, &columns, ids)
}

impl Snapshot {
    /// The feedback that counts, oldest first: that of the parents before the file's own.
    ///
    /// # Errors
    /// Corruption of FEEDBACK segments, which are held against their hashes.
    pub fn feedback(&self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        let result = self.first_that_counts().and_then(|first| self.read_feedback(first, &mut events));
        self.settle(result.map(|()| events))
    }

    /// The number of the first event that is there and counts; 0 if none is.
    ///
    /// # Errors
    /// MAN-9.
    pub(crate) fn oldest_feedback(&self) -> Result<u64> {
        let mut first = self.first_that_counts()?;
        let mut oldest = None;
        for layer in self.chain() {
            first = first.max(layer.first_that_counts()?);
            let own = layer.own_feedback();
            let counted =
                own.iter().filter(|entry| entry.end_row() > first).map(|entry| entry.base_row.get().max(first));
            oldest = counted.min().or(oldest);
        }
        Ok(oldest.unwrap_or(0))
    }

    fn first_that_counts(&self) -> Result<u64> {
        Ok(first_feedback(&self.state().facts, self.root().manifest_offset.get())?)
    }

    fn read_feedback(&self, first: u64, events: &mut Vec<Event>) -> Result<()> {
        if let Some(parent) = self.parent() {
            let inherited = parent.first_that_counts().map(|own| own.max(first));
            let read = inherited.and_then(|first| parent.read_feedback(first, events));
            read.map_err(|error| parent.blame(error))?;
        }
        for entry in self.own_feedback() {
            let skipped = first.saturating_sub(entry.base_row.get());
            let own = self.events_of(&entry)?;
            events.extend(own.into_iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX)));
        }
        Ok(())
    }

    fn events_of(&self, entry: &ManifestEntry) -> Result<Vec<Event>> {
        let view = FeedbackView::parse(self.intact(entry)?, entry, self.schema())?;
        let ids = |ids: Vec<IdRef<'_>>| ids.into_iter().map(Id::from).collect();
        let event = |event: feedback::Event<'_>| Event {
            time_ns: event.facts.time_ns.get(),
            query: event.query,
            shown: ids(event.shown),
            chosen: ids(event.chosen),
            weight: f32::from_bits(event.facts.weight.get()),
            first_place: event.facts.first_place.get(),
        };
        Ok(view.events().map(event).collect())
    }

    /// FEEDBACK segments of the file itself, by their first event.
    pub(crate) fn own_feedback(&self) -> Vec<ManifestEntry> {
        let mut own: Vec<ManifestEntry> = self.state().of_kind(Kind::FEEDBACK).copied().collect();
        own.sort_by_key(|entry| entry.base_row.get());
        own
    }

    /// The number that the next event gets.
    pub(crate) fn next_feedback(&self) -> u64 {
        let own = self.own_feedback().last().map_or(0, ManifestEntry::end_row);
        let first = self.first_that_counts().unwrap_or(0);
        own.max(first).max(self.parent().map_or(0, |parent| parent.next_feedback()))
    }

    /// FEEDBACK segments at the end whose events are best made one segment: each at most as large as all behind it together, so that an event
    /// is written anew a few times only. And the draft of that segment.
    ///
    /// # Errors
    /// Corruption of these segments.
    pub(crate) fn merged_feedback(&self, all: bool) -> Result<Option<(Vec<ManifestEntry>, Draft<'static>)>> {
        let own = self.own_feedback();
        let (mut bytes, mut first) = (0, own.len());
        for (at, entry) in own.iter().enumerate().rev() {
            let adjoins = own.get(at + 1).is_none_or(|next| next.base_row.get() == entry.end_row());
            let is_small = all || entry.length.get() <= (2 * bytes).max(0x4000);
            if !adjoins || !is_small || entry.length.get() + bytes >= TREE_MIN * 64 {
                break;
            }
            (bytes, first) = (bytes + entry.length.get(), at);
        }
        let group = own.get(first..).unwrap_or_default().to_vec();
        if group.len() < if all { 2 } else { FEWEST_MERGED } {
            return Ok(None);
        }
        let mut events = Vec::new();
        for entry in &group {
            events.extend(self.events_of(entry)?);
        }
        let start = group.first().map_or(0, |entry| entry.base_row.get());
        Ok(Some((group, draft(self, start, &events))))
    }
}

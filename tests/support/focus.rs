//! What a fuzz target is about: which samples it changes, which of their structures, and where the fields of those lie.

use crate::reseal::{header_at, roots, sections, segments};
use crate::samples;
use rvf_format::Kind;
use rvf_format::identity::{COPIES, FileIdentity};
use rvf_format::layout::Layout;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::feedback::{FeedbackEvent, FeedbackFacts};
use rvf_format::payload::index::{EffortPoint, IndexFacts, IndexRun};
use rvf_format::payload::journal::JournalWord;
use rvf_format::payload::meta::MetaItem;
use rvf_format::payload::quant::QuantFacts;
use rvf_format::payload::refcount::BranchEntry;
use rvf_format::payload::tensors::TensorEntry;
use rvf_format::payload::tree::TreeFacts;
use rvf_format::payload::vec::VecFacts;
use rvf_format::payload::witness::WitnessEntry;
use rvf_format::root::RootPage;
use rvf_format::segment::{PayloadPrelude, SectionEntry, SegmentHeader};
use std::ops::Range;

/// Words of an unstructured section that are offered as fields, from its start and from its end.
const WORDS: usize = 6;

/// Numbers that choose the signed sample.
pub const SIGNED: Range<u8> = 230..240;

/// Numbers that choose the sample that has learned.
pub const LEARNED: Range<u8> = 220..230;

/// Numbers that choose the branch.
pub const BRANCH: Range<u8> = 240..250;

/// What a script may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// Everything.
    Whole,
    /// Root pages, manifests and their entries, sealed audit entries.
    Roots,
    /// Segments that are no manifests: headers, section tables, order, facts.
    Segments,
    /// Graphs: INDEX segments but for their headers, so that the rows stay as they were.
    Index,
    /// Codes: QUANT segments, and the codes of pivots in INDEX segments; headers stay.
    Codes,
}

/// Where a structure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Area {
    Identity,
    Header(Kind),
    Table(Kind),
    Content(Kind, u32),
    Root,
}

impl Focus {
    /// The sample that a number chooses; large ones are chosen seldom. Ten numbers choose the branch, ten
    /// the signed sample and ten the one that has learned, where there are no graphs to change.
    pub fn sample(self, choice: u8) -> &'static [u8] {
        if BRANCH.contains(&choice) && !matches!(self, Focus::Index | Focus::Codes) {
            return &samples::lineage().branch;
        }
        let all = samples::all();
        if SIGNED.contains(&choice) && !matches!(self, Focus::Index | Focus::Codes) {
            return &all[9];
        }
        if LEARNED.contains(&choice) && !matches!(self, Focus::Index | Focus::Codes) {
            return &all[10];
        }
        let (often, seldom): (&[usize], &[usize]) = match self {
            // Six and seven are large.
            Focus::Whole => (&[0, 1, 2, 3, 4, 5, 8], &[2, 3, 4, 5, 6, 7]),
            Focus::Roots => (&[0, 1, 2, 3], &[4, 7]),
            Focus::Segments => (&[0, 1, 2, 3, 8], &[4, 6, 7]),
            Focus::Index => (&[4, 5], &[4, 5]),
            Focus::Codes => (&[4], &[4]),
        };
        let choice = usize::from(choice);
        let index = if choice >= 250 { seldom[choice % seldom.len()] } else { often[choice % often.len()] };
        &all[index]
    }

    fn holds(self, area: Area) -> bool {
        match self {
            Focus::Whole => true,
            Focus::Roots => match area {
                Area::Root => true,
                Area::Header(kind) | Area::Table(kind) => kind == Kind::MANIFEST,
                Area::Content(kind, _) => kind == Kind::MANIFEST || kind == Kind::WITNESS,
                Area::Identity => false,
            },
            Focus::Segments => match area {
                Area::Root => false,
                Area::Header(kind) | Area::Table(kind) | Area::Content(kind, _) => kind != Kind::MANIFEST,
                Area::Identity => true,
            },
            Focus::Index => matches!(area, Area::Table(Kind::INDEX) | Area::Content(Kind::INDEX, _)),
            Focus::Codes => match area {
                Area::Table(kind) => kind == Kind::QUANT,
                Area::Content(kind, tag) => kind == Kind::QUANT || (kind == Kind::INDEX && tag == 1),
                _ => false,
            },
        }
    }

    /// The kinds of segments whose sections may be filled with numbers or exchanged.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Focus::Whole | Focus::Index => &[Kind::INDEX, Kind::INDEX, Kind::INDEX, Kind::QUANT],
            Focus::Codes => &[Kind::QUANT, Kind::QUANT, Kind::QUANT, Kind::INDEX],
            Focus::Roots => &[Kind::MANIFEST, Kind::MANIFEST, Kind::MANIFEST, Kind::WITNESS],
            Focus::Segments => {
                &[Kind::VEC, Kind::JOURNAL, Kind::META, Kind::META_IDX, Kind::CRYPTO, Kind::FEEDBACK, Kind::GRAPH]
            }
        }
    }
}

/// Fields of the structures of a file that a focus is about: one list of ranges a structure.
pub fn structures(file: &[u8], focus: Focus) -> Vec<Vec<Range<usize>>> {
    let mut found = Found { focus, fields: Vec::new() };
    for at in COPIES {
        found.add(Area::Identity, fields(&FileIdentity::LAYOUT, at));
    }
    for segment in segments(file, 0, file.len()) {
        let kind = header_at(file, segment.start).map_or(Kind(0), |header| header.kind());
        found.add(Area::Header(kind), fields(&SegmentHeader::LAYOUT, segment.start));
        found.add(Area::Table(kind), fields(&PayloadPrelude::LAYOUT, segment.start + 64));
        for (index, (tag, section)) in sections(file, &segment).into_iter().enumerate() {
            found.add(Area::Table(kind), fields(&SectionEntry::LAYOUT, segment.start + 80 + index * 32));
            found.content(kind, tag, section);
        }
    }
    for root in roots(file) {
        // Twice: everything hangs on it.
        found.add(Area::Root, fields(&RootPage::LAYOUT, root.offset));
        found.add(Area::Root, fields(&RootPage::LAYOUT, root.offset));
    }
    found.fields.retain(|fields| fields.last().is_some_and(|last| last.end <= file.len()));
    found.fields
}

struct Found {
    focus: Focus,
    fields: Vec<Vec<Range<usize>>>,
}

impl Found {
    fn add(&mut self, area: Area, fields: Vec<Range<usize>>) {
        if self.focus.holds(area) {
            self.fields.push(fields);
        }
    }

    fn content(&mut self, kind: Kind, tag: u32, section: Range<usize>) {
        let area = Area::Content(kind, tag);
        let layout = match (kind, tag) {
            (Kind::MANIFEST, 1) => &ManifestEntry::LAYOUT,
            (Kind::MANIFEST, 3) | (Kind::WITNESS, 1) => &WitnessEntry::LAYOUT,
            (Kind::VEC, 1) => &VecFacts::LAYOUT,
            (Kind::JOURNAL, 1) => &JournalWord::LAYOUT,
            (Kind::META, 1) => &MetaItem::LAYOUT,
            (Kind::REFCOUNT, 1) => &BranchEntry::LAYOUT,
            (Kind::FEEDBACK, 1) => &FeedbackFacts::LAYOUT,
            (Kind::FEEDBACK, 2) => &FeedbackEvent::LAYOUT,
            (Kind::GRAPH | Kind::POLICY_KERNEL, 1) => &TensorEntry::LAYOUT,
            (Kind::TREE, 1) => &TreeFacts::LAYOUT,
            (Kind::INDEX, 1) => &IndexFacts::LAYOUT,
            (Kind::INDEX, 2) => &IndexRun::LAYOUT,
            (Kind::INDEX, 7) => &EffortPoint::LAYOUT,
            (Kind::QUANT, 1) => &QuantFacts::LAYOUT,
            _ => {
                let words = section.len() / 4;
                let kept = (0..words).filter(|word| *word < WORDS || word + WORDS >= words);
                self.add(area, kept.map(|word| section.start + word * 4..section.start + word * 4 + 4).collect());
                return;
            }
        };
        let starts = section.clone().step_by(layout.size).filter(|start| start + layout.size <= section.end);
        // What a walk trusts is seldom among so many others.
        let times = if matches!((kind, tag), (Kind::INDEX | Kind::QUANT, 1)) { 5 } else { 1 };
        for start in starts.take(80) {
            (0..times).for_each(|_| self.add(area, fields(layout, start)));
        }
    }
}

fn fields(layout: &Layout, at: usize) -> Vec<Range<usize>> {
    layout.fields.iter().map(|field| at + field.offset..at + field.offset + field.length).collect()
}

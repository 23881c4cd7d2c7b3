//! Changes to a valid file, told by bytes: the structure-aware half of fuzzing.
//!
//! ```text
//! script:  which file | what to repair | change | change | ...      (a script that ends goes on as zeros)
//! ```
//! A change picks a field of a structure of the format, or a place, and a value that is likely to be wrong. Then
//! [`reseal`] makes hashes right again, so that the change reaches the code behind them.

use crate::reseal::{Repair, header_at, reseal, roots, sections, segments};
use rvf_format::Kind;
use rvf_format::identity::{COPIES, FileIdentity};
use rvf_format::layout::Layout;
use rvf_format::limits::PAGE_LEN;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::index::{self, EffortPoint, IndexFacts, IndexRun};
use rvf_format::payload::journal::JournalWord;
use rvf_format::payload::meta::MetaItem;
use rvf_format::payload::quant::{self, QuantFacts};
use rvf_format::payload::tree::TreeFacts;
use rvf_format::payload::vec::VecFacts;
use rvf_format::payload::witness::WitnessEntry;
use rvf_format::root::RootPage;
use rvf_format::segment::{PayloadPrelude, SectionEntry, SegmentHeader, TABLE_START};
use std::ops::Range;

/// Most changes of one script.
const MOST_CHANGES: usize = 8;

/// Words of an unstructured section that are offered as fields, from its start and from its end.
const WORDS: usize = 6;

/// Bytes that are read as numbers; zeros when they end.
pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    /// A script.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.rest.split_first().map_or((0, self.rest), |(first, rest)| (*first, rest));
        self.rest = rest;
        first
    }

    /// The next four bytes as a number.
    pub fn number(&mut self) -> usize {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]) as usize
    }

    /// A number below `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.number() % bound.max(1)
    }
}

/// A file made from one of `samples` as `script` tells.
pub fn mutate(samples: &[Vec<u8>], script: &[u8]) -> Vec<u8> {
    let mut script = Script::new(script);
    let choice = usize::from(script.byte());
    // The last two samples are large: they are taken seldom.
    let small = samples.len().saturating_sub(2).max(1);
    let index = if choice >= 250 { choice % samples.len().max(1) } else { choice % small };
    let mut file = samples.get(index).cloned().unwrap_or_default();
    let repair = repair(script.byte());
    let structures = structures(&file);
    for _ in 0..MOST_CHANGES {
        change(&mut file, &structures, &mut script);
        if script.is_empty() {
            break;
        }
    }
    reseal(&mut file, &repair);
    file
}

/// Mostly everything is repaired, or all but one thing.
fn repair(choice: u8) -> Repair {
    let mut repair = Repair::ALL;
    match choice {
        0xC0 => repair.content_hashes = false,
        0xC1 => repair.trees = false,
        0xC2 => repair.entry_lengths = false,
        0xC3 => repair.entry_hashes = false,
        0xC4 => repair.state_hash = false,
        0xC5 => repair.witness_entry = false,
        0xC6 => repair.sealed_entries = false,
        0xC7 => repair.witness_head = false,
        0xC8 => repair.manifest_hash = false,
        0xC9 => repair.root_checksum = false,
        0xCA => repair.identity = false,
        // The lengths that the entries say reach the reader.
        0x80.. => repair.entry_lengths = choice.is_multiple_of(2),
        _ => {}
    }
    repair
}

/// Fields of the structures of a file: one list of ranges a structure.
pub fn structures(file: &[u8]) -> Vec<Vec<Range<usize>>> {
    let mut found = Vec::new();
    for at in COPIES {
        found.push(fields(&FileIdentity::LAYOUT, at));
    }
    for segment in segments(file, 0, file.len()) {
        let kind = header_at(file, segment.start).map_or(Kind(0), |header| header.kind());
        found.push(fields(&SegmentHeader::LAYOUT, segment.start));
        found.push(fields(&PayloadPrelude::LAYOUT, segment.start + 64));
        for (index, (tag, section)) in sections(file, &segment).into_iter().enumerate() {
            found.push(fields(&SectionEntry::LAYOUT, segment.start + 80 + index * 32));
            content(kind, tag, section, &mut found);
        }
    }
    for root in roots(file) {
        // Twice: everything hangs on it.
        found.push(fields(&RootPage::LAYOUT, root.offset));
        found.push(fields(&RootPage::LAYOUT, root.offset));
    }
    found.retain(|fields| fields.last().is_some_and(|last| last.end <= file.len()));
    found
}

fn content(kind: Kind, tag: u32, section: Range<usize>, found: &mut Vec<Vec<Range<usize>>>) {
    let layout = match (kind, tag) {
        (Kind::MANIFEST, 1) => &ManifestEntry::LAYOUT,
        (Kind::MANIFEST, 3) | (Kind::WITNESS, 1) => &WitnessEntry::LAYOUT,
        (Kind::VEC, 1) => &VecFacts::LAYOUT,
        (Kind::JOURNAL, 1) => &JournalWord::LAYOUT,
        (Kind::META, 1) => &MetaItem::LAYOUT,
        (Kind::TREE, 1) => &TreeFacts::LAYOUT,
        (Kind::INDEX, 1) => &IndexFacts::LAYOUT,
        (Kind::INDEX, 2) => &IndexRun::LAYOUT,
        (Kind::INDEX, 7) => &EffortPoint::LAYOUT,
        (Kind::QUANT, 1) => &QuantFacts::LAYOUT,
        _ => {
            let words = section.len() / 4;
            let kept = (0..words).filter(|word| *word < WORDS || word + WORDS >= words);
            found.push(kept.map(|word| section.start + word * 4..section.start + word * 4 + 4).collect());
            return;
        }
    };
    let starts = section.clone().step_by(layout.size).filter(|start| start + layout.size <= section.end);
    // What a walk trusts is seldom among so many others.
    let times = if matches!((kind, tag), (Kind::INDEX | Kind::QUANT, 1)) { 5 } else { 1 };
    for start in starts.take(80) {
        found.extend(std::iter::repeat_n(fields(layout, start), times));
    }
}

fn fields(layout: &Layout, at: usize) -> Vec<Range<usize>> {
    layout.fields.iter().map(|field| at + field.offset..at + field.offset + field.length).collect()
}

fn change(file: &mut Vec<u8>, structures: &[Vec<Range<usize>>], script: &mut Script<'_>) {
    match script.byte() {
        0..=0xCF => {
            let structure = structures.get(script.below(structures.len()));
            let field = structure.and_then(|fields| fields.get(script.below(fields.len())));
            let Some(field) = field.filter(|field| field.end <= file.len()).cloned() else { return };
            let length = file.len() as u64;
            edit(&mut file[field], length, script);
        }
        0xD0..=0xDF => {
            let at = script.below(file.len());
            let value = script.byte();
            file.iter_mut().skip(at).take(1).for_each(|byte| *byte = value);
        }
        0xE0..=0xE7 => swap_segments(file, script),
        0xE8..=0xEF => copy_page(file, script),
        0xF0..=0xF5 => {
            let page = script.below(file.len() / PAGE_LEN + 1);
            let odd = if script.byte() < 0xC0 { 0 } else { script.below(PAGE_LEN) };
            file.truncate(page * PAGE_LEN + odd);
        }
        0xF6..=0xF7 => fill(file, script),
        0xF8 => narrow(file, script.byte() < 0x80, script.below(16)),
        0xF9..=0xFA => {
            let pages = 1 + script.below(3);
            let value = script.byte();
            file.resize(file.len() + pages * PAGE_LEN, value);
        }
        _ => append_pages(file, script),
    }
}

/// Sets a field to a value that is likely to be wrong.
fn edit(field: &mut [u8], file_len: u64, script: &mut Script<'_>) {
    let width = field.len().min(8);
    let mut word = [0; 8];
    word[..width].copy_from_slice(&field[..width]);
    let old = u64::from_le_bytes(word);
    let interesting = [
        0,
        1,
        2,
        63,
        64,
        0xFF,
        0xFFF,
        4096,
        0x7FFF,
        0xFFFF,
        0x7FFF_FFFF,
        0xFFFF_FFFF,
        1 << 32,
        u64::MAX >> 1,
        u64::MAX - 4095,
        u64::MAX - 63,
        u64::MAX,
        file_len,
        file_len - file_len.min(4096),
        file_len.saturating_mul(64),
    ];
    let new = match script.byte() {
        0..=0x5F => interesting[script.below(interesting.len())],
        0x60..=0x8F => old.wrapping_add(1 + script.below(64) as u64),
        0x90..=0xBF => old.wrapping_sub(1 + script.below(64) as u64),
        0xC0..=0xDF => old ^ 1 << script.below(width * 8),
        0xE0..=0xEF => old.wrapping_add((script.below(64) * PAGE_LEN) as u64),
        _ => script.number() as u64 | (script.number() as u64) << 32,
    };
    field[..width].copy_from_slice(&new.to_le_bytes()[..width]);
    if field.len() > width && script.byte() < 64 {
        let value = script.byte();
        field.iter_mut().for_each(|byte| *byte = value);
    }
}

/// Where each section of each segment of a kind lies: tag, range.
fn sections_of(file: &[u8], kind: Kind) -> Vec<(u32, Range<usize>)> {
    let of_kind = |segment: &Range<usize>| header_at(file, segment.start).is_some_and(|header| header.kind() == kind);
    let found = segments(file, 0, file.len()).into_iter().filter(of_kind);
    found.flat_map(|segment| sections(file, &segment)).collect()
}

/// Words of a section of an INDEX or QUANT all become one number, or numbers that lead anywhere.
fn fill(file: &mut [u8], script: &mut Script<'_>) {
    let kind = if script.byte() < 0xC0 { Kind::INDEX } else { Kind::QUANT };
    let all = sections_of(file, kind);
    let Some((_, section)) = all.get(script.below(all.len())) else { return };
    let words = section.len() / 4;
    let first = script.below(words);
    let count = if script.byte() < 0x80 { words } else { 1 + script.below(64) };
    let (way, mut number) = (script.byte(), script.number() as u32);
    for word in file[section.clone()].chunks_exact_mut(4).skip(first).take(count) {
        let value = match way {
            0..=0x3F => number % 1100,
            0x40..=0x7F => number,
            // Any node, or mostly so.
            0x80..=0xDF => number >> 8 & 0x3FF,
            _ => u32::MAX - (number >> 30),
        };
        word.copy_from_slice(&value.to_le_bytes());
        if way >= 0x80 {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        }
    }
}

/// An INDEX and its QUANT with shorter rows, consistent in all else but hashes: fewer links a node, or shorter code rows.
pub fn narrow(file: &mut [u8], links: bool, by: usize) {
    if links {
        repack(file, Kind::INDEX, 0x04, index::TAG_LINKS, 4, by);
    } else {
        repack(file, Kind::INDEX, 0x10, index::TAG_PIVOT_ROWS, 1, by);
        repack(file, Kind::QUANT, 0x04, quant::TAG_CODES, 1, by);
    }
}

/// Cuts rows of a section of the last segment of a kind, and says so at `field` of the facts and in the section table.
fn repack(file: &mut [u8], kind: Kind, field: usize, tag: u32, unit: usize, by: usize) {
    let of_kind = |segment: &Range<usize>| header_at(file, segment.start).is_some_and(|header| header.kind() == kind);
    let Some(segment) = segments(file, 0, file.len()).into_iter().rfind(of_kind) else { return };
    let all = sections(file, &segment);
    let place = |wanted: u32| all.iter().position(|(tag, _)| *tag == wanted);
    let (Some(facts), Some(entry)) = (place(1), place(tag)) else { return };
    let (fact, section) = (all[facts].1.start + field, all[entry].1.clone());
    let Some(old) = file.get(fact..).and_then(|bytes| bytes.first_chunk::<4>()) else { return };
    let old = u32::from_le_bytes(*old) as usize;
    if old == 0 || old.saturating_mul(unit) > section.len() {
        return;
    }
    let new = old.saturating_sub(by).max(1);
    let rows = section.len() / (old * unit);
    for row in 0..rows {
        let from = section.start + row * old * unit;
        file.copy_within(from..from + new * unit, section.start + row * new * unit);
    }
    let length = rows * new * unit;
    file[section.start + length..section.end].fill(0);
    file[fact..fact + 4].copy_from_slice(&(new as u32).to_le_bytes());
    let table = segment.start + TABLE_START + entry * size_of::<SectionEntry>() + 0x10;
    file[table..table + 8].copy_from_slice(&(length as u64).to_le_bytes());
}

/// Two segments of one length change places.
fn swap_segments(file: &mut [u8], script: &mut Script<'_>) {
    let all = segments(file, 0, file.len());
    let (one, other) = (script.below(all.len()), script.below(all.len()));
    let (Some(first), Some(second)) = (all.get(one.min(other)), all.get(one.max(other))) else { return };
    if one != other && first.len() == second.len() {
        let (head, tail) = file.split_at_mut(second.start);
        head[first.clone()].swap_with_slice(&mut tail[..second.len()]);
    }
}

fn copy_page(file: &mut [u8], script: &mut Script<'_>) {
    let pages = file.len() / PAGE_LEN;
    let (from, to) = (script.below(pages) * PAGE_LEN, script.below(pages) * PAGE_LEN);
    if from.max(to) + PAGE_LEN <= file.len() {
        file.copy_within(from..from + PAGE_LEN, to);
    }
}

/// Pages of the file once more at its end; a root among them may learn its new place.
fn append_pages(file: &mut Vec<u8>, script: &mut Script<'_>) {
    let pages = file.len() / PAGE_LEN;
    let from = script.below(pages) * PAGE_LEN;
    let to = (from + (1 + script.below(4)) * PAGE_LEN).min(file.len());
    let moved = file.len() - from;
    let tail = file.get(from..to).unwrap_or_default().to_vec();
    let start = file.len().next_multiple_of(PAGE_LEN);
    file.resize(start, 0);
    file.extend_from_slice(&tail);
    if script.byte() < 0x80 {
        return;
    }
    for root in roots(file).into_iter().filter(|root| root.offset >= start) {
        for field in [0x008, 0x100] {
            let place = root.offset + field..root.offset + field + 8;
            let Some(bytes) = file.get_mut(place).and_then(|bytes| bytes.first_chunk_mut::<8>()) else { continue };
            *bytes = u64::from_le_bytes(*bytes).wrapping_add(moved as u64).to_le_bytes();
        }
    }
}

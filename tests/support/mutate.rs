//! Changes to a valid file, told by bytes: the structure-aware half of fuzzing.
//!
//! ```text
//! script:  which file | what to repair | change | change | ...      (a script that ends goes on as zeros)
//! ```
//! A change picks a field of a structure of the format, or a place, and a value that is likely to be wrong. Then
//! [`reseal`] makes hashes right again, so that the change reaches the code behind them. What is changed is the [`Focus`].

use crate::focus::{Focus, structures};
use crate::reseal::{Repair, header_at, reseal, roots, sections, segments};
use crate::script::{Script, edit};
use rvf_format::Kind;
use rvf_format::limits::PAGE_LEN;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::{index, quant};
use rvf_format::segment::{SectionEntry, TABLE_START};
use std::ops::Range;

/// Most changes of one script.
const MOST_CHANGES: usize = 8;

/// A file made from a sample as `script` tells.
pub fn mutate(focus: Focus, script: &[u8]) -> Vec<u8> {
    let mut script = Script::new(script);
    let mut file = focus.sample(script.byte()).to_vec();
    let repair = repair(script.byte());
    let structures = structures(&file, focus);
    for _ in 0..MOST_CHANGES {
        if script.is_empty() {
            break;
        }
        match focus {
            Focus::Whole => change_any(&mut file, &structures, &mut script),
            Focus::Roots => change_roots(&mut file, &structures, &mut script),
            Focus::Segments => change_segments(&mut file, &structures, &mut script),
            Focus::Index | Focus::Codes => change_within(&mut file, &structures, focus, &mut script),
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

/// Fields of structures, one list a structure.
type Structures = [Vec<Range<usize>>];

fn change_any(file: &mut Vec<u8>, structures: &Structures, script: &mut Script<'_>) {
    match script.byte() {
        0..=0xCF => change_field(file, structures, script),
        0xD0..=0xDF => change_byte(file, script),
        0xE0..=0xE7 => swap_segments(file, script),
        0xE8..=0xEF => copy_page(file, script),
        0xF0..=0xF5 => cut(file, script),
        0xF6..=0xF7 => fill(file, Focus::Whole, script),
        0xF8 => narrow(file, script.byte() < 0x80, script.below(16)),
        0xF9..=0xFA => lengthen(file, script),
        _ => append_pages(file, script),
    }
}

fn change_roots(file: &mut Vec<u8>, structures: &Structures, script: &mut Script<'_>) {
    match script.byte() {
        0..=0xA7 => change_field(file, structures, script),
        0xA8..=0xBF => move_entry(file, script),
        0xC0..=0xCF => move_root(file, script),
        0xD0..=0xD7 => change_byte(file, script),
        0xD8..=0xDF => move_table_row(file, Focus::Roots, script),
        0xE0..=0xE7 => copy_page(file, script),
        0xE8..=0xEF => cut(file, script),
        0xF0..=0xF3 => lengthen(file, script),
        _ => append_pages(file, script),
    }
}

fn change_segments(file: &mut Vec<u8>, structures: &Structures, script: &mut Script<'_>) {
    match script.byte() {
        0..=0xA7 => change_field(file, structures, script),
        0xA8..=0xBF => swap_segments(file, script),
        0xC0..=0xCF => move_table_row(file, Focus::Segments, script),
        0xD0..=0xD7 => change_byte(file, script),
        0xD8..=0xE7 => fill(file, Focus::Segments, script),
        0xE8..=0xEF => copy_page(file, script),
        0xF0..=0xF7 => cut(file, script),
        _ => append_pages(file, script),
    }
}

/// Changes inside sections and section tables only: nothing moves, and no other segment is touched.
fn change_within(file: &mut [u8], structures: &Structures, focus: Focus, script: &mut Script<'_>) {
    match script.byte() {
        0..=0xA7 => change_field(file, structures, script),
        0xA8..=0xDF => fill(file, focus, script),
        0xE0..=0xEF => narrow(file, script.byte() < 0x80, script.below(16)),
        _ => move_table_row(file, focus, script),
    }
}

fn change_field(file: &mut [u8], structures: &Structures, script: &mut Script<'_>) {
    let structure = structures.get(script.below(structures.len()));
    let field = structure.and_then(|fields| fields.get(script.below(fields.len())));
    let Some(field) = field.filter(|field| field.end <= file.len()).cloned() else { return };
    let length = file.len() as u64;
    edit(&mut file[field], length, script);
}

fn change_byte(file: &mut [u8], script: &mut Script<'_>) {
    let at = script.below(file.len());
    let value = script.byte();
    file.iter_mut().skip(at).take(1).for_each(|byte| *byte = value);
}

fn cut(file: &mut Vec<u8>, script: &mut Script<'_>) {
    let page = script.below(file.len() / PAGE_LEN + 1);
    let odd = if script.byte() < 0xC0 { 0 } else { script.below(PAGE_LEN) };
    file.truncate(page * PAGE_LEN + odd);
}

fn lengthen(file: &mut Vec<u8>, script: &mut Script<'_>) {
    let pages = 1 + script.below(3);
    let value = script.byte();
    file.resize(file.len() + pages * PAGE_LEN, value);
}

/// Two ranges of one length: they change places, or the first is copied over the second.
fn exchange(file: &mut [u8], from: Range<usize>, to: Range<usize>, swap: bool) {
    if from.len() != to.len() || from.end.max(to.end) > file.len() {
        return;
    }
    let (first, second) = (file[from.clone()].to_vec(), file[to.clone()].to_vec());
    file[to].copy_from_slice(&first);
    if swap {
        file[from].copy_from_slice(&second);
    }
}

/// An entry of a manifest takes the place of another, of that manifest or another one.
fn move_entry(file: &mut [u8], script: &mut Script<'_>) {
    let added = sections_of(file, Kind::MANIFEST).into_iter().filter(|(tag, _)| *tag == 1);
    let size = size_of::<ManifestEntry>();
    let entries: Vec<_> = added.flat_map(|(_, section)| section.step_by(size)).collect();
    let (Some(from), Some(to)) = (entries.get(script.below(entries.len())), entries.get(script.below(entries.len())))
    else {
        return;
    };
    exchange(file, *from..from + size, *to..to + size, script.byte() < 0x80);
}

/// A root page takes the place of another; it may learn its own offset.
fn move_root(file: &mut [u8], script: &mut Script<'_>) {
    let all = roots(file);
    let (Some(from), Some(to)) = (all.get(script.below(all.len())), all.get(script.below(all.len()))) else { return };
    let (from, to) = (from.offset, to.offset);
    let way = script.byte();
    exchange(file, from..from + PAGE_LEN, to..to + PAGE_LEN, way < 0x80);
    if way.is_multiple_of(2) {
        for at in [from, to] {
            file[at + 0x100..at + 0x108].copy_from_slice(&(at as u64).to_le_bytes());
        }
    }
}

/// A row of a section table takes the place of another row, or its place and length become those of another section.
fn move_table_row(file: &mut [u8], focus: Focus, script: &mut Script<'_>) {
    let kinds = focus.kinds();
    let kind = kinds[script.below(kinds.len())];
    let of_kind = |segment: &Range<usize>| header_at(file, segment.start).is_some_and(|header| header.kind() == kind);
    let all: Vec<_> = segments(file, 0, file.len()).into_iter().filter(of_kind).collect();
    let Some(segment) = all.get(script.below(all.len())) else { return };
    let rows = sections(file, segment).len();
    let row = |index: usize| segment.start + TABLE_START + index * size_of::<SectionEntry>();
    let (from, to) = (row(script.below(rows)), row(script.below(rows)));
    let way = script.byte();
    // Tag and alignment stand first, place and length behind them.
    let part = if way.is_multiple_of(2) { 0..32 } else { 8..32 };
    let range = |start: usize| start + part.start..start + part.end;
    exchange(file, range(from), range(to), way < 0x80);
}

/// Where each section of each segment of a kind lies: tag, range.
fn sections_of(file: &[u8], kind: Kind) -> Vec<(u32, Range<usize>)> {
    let of_kind = |segment: &Range<usize>| header_at(file, segment.start).is_some_and(|header| header.kind() == kind);
    let found = segments(file, 0, file.len()).into_iter().filter(of_kind);
    found.flat_map(|segment| sections(file, &segment)).collect()
}

/// Words of a section all become one number, or numbers that lead anywhere.
fn fill(file: &mut [u8], focus: Focus, script: &mut Script<'_>) {
    let kind = focus.kinds()[usize::from(script.byte() / 64)];
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

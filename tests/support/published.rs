//! Changes to a file of the published crates, told by bytes, and its hashes made right again. No library code.
//!
//! ```text
//! script:  which file | what to repair | change | change | ...      (a script that ends goes on as zeros)
//! ```

use crate::script::{Script, edit};
use rvf_format::digest;
use std::ops::Range;

/// Most changes of one script.
const MOST_CHANGES: usize = 8;

/// The parent of the sample that is a branch.
pub const PARENT: &[u8] = include_bytes!("../../fixtures/published/branch_parent_400x32.rvf");
/// The name by which its branch asks for it.
pub const PARENT_NAME: &str = "branch_parent_400x32.rvf";

const SAMPLES: [&[u8]; 9] = [
    include_bytes!("../../fixtures/published/plain_l2_10x4.rvf"),
    include_bytes!("../../fixtures/published/branch_child.rvf"),
    include_bytes!("../../fixtures/published/legacy_020_50x8.rvf"),
    include_bytes!("../../fixtures/published/signed_100x8.rvf"),
    include_bytes!("../../fixtures/published/compacted_300x16.rvf"),
    include_bytes!("../../fixtures/published/deletes_300x16.rvf"),
    include_bytes!("../../fixtures/published/empty_l2_16.rvf"),
    include_bytes!("../../fixtures/published/metadata_250x16.rvf"),
    include_bytes!("../../fixtures/published/cosine_200x24.rvf"),
];

const MAGIC: &[u8] = b"SFVR\x01";
const HEADER_LEN: usize = 64;
const PAGE_LEN: usize = 4096;

/// Widths of the fields of a header, of the head of each payload, of a manifest's entry, of a root page.
const HEADER: &[usize] = &[4, 1, 1, 2, 8, 8, 8, 1, 1, 6, 16, 4, 4];
const VECTORS: &[usize] = &[2, 4, 8, 4, 4];
const MANIFEST: &[usize] = &[4, 2, 8, 4, 1, 1, 2];
const ENTRY: &[usize] = &[8, 8, 8, 1];
const COW_MAP: &[usize] = &[4, 2, 2, 4, 4, 16, 32, 8, 1, 4, 4, 8, 8, 8];
const MEMBERSHIP: &[usize] = &[4, 2, 1, 1, 8, 8, 8, 4, 4, 32, 24, 8, 8];
const META: &[usize] = &[8, 2, 2, 8, 8, 4, 4, 4];
const PAGE: &[usize] = &[4, 2, 2, 8, 8, 8, 2, 1, 1, 4];

/// A file made from a sample as `script` tells.
pub fn mutate(script: &[u8]) -> Vec<u8> {
    let mut script = Script::new(script);
    let mut file = SAMPLES[usize::from(script.byte()) % SAMPLES.len()].to_vec();
    let repair = script.byte();
    let structures = structures(&file);
    for _ in 0..MOST_CHANGES {
        if script.is_empty() {
            break;
        }
        change(&mut file, &structures, &mut script);
    }
    // Seldom nothing is repaired, sometimes all but the manifest's directory.
    if repair < 0xF0 {
        reseal(&mut file, repair < 0x80);
    }
    file
}

/// Where segments start: a header whose payload lies in the file.
fn segments(file: &[u8]) -> Vec<usize> {
    let starts = file.windows(MAGIC.len()).enumerate().filter(|(_, bytes)| *bytes == MAGIC);
    starts.map(|(at, _)| at).filter(|at| payload(file, *at).is_some()).collect()
}

fn number(file: &[u8], at: usize, width: usize) -> Option<u64> {
    let mut word = [0; 8];
    word[..width].copy_from_slice(file.get(at..at.checked_add(width)?)?);
    Some(u64::from_le_bytes(word))
}

fn payload(file: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + HEADER_LEN;
    let end = start.checked_add(usize::try_from(number(file, at + 0x10, 8)?).ok()?)?;
    (end <= file.len()).then_some(start..end)
}

/// Where a root page starts, if the file ends with one.
fn page(file: &[u8]) -> Option<usize> {
    let at = file.len().checked_sub(PAGE_LEN)?;
    file[at..].starts_with(b"0MVR").then_some(at)
}

fn structures(file: &[u8]) -> Vec<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut add = |at: usize, widths: &[usize]| {
        let starts = widths.iter().scan(at, |end, width| {
            *end += width;
            Some(*end - width..*end)
        });
        found.push(starts.filter(|field| field.end <= file.len()).collect());
    };
    for at in segments(file) {
        add(at, HEADER);
        let Some(payload) = payload(file, at) else { continue };
        match file[at + 5] {
            0x01 => add(payload.start, VECTORS),
            0x05 => {
                add(payload.start, MANIFEST);
                let entries = payload.start + 22..payload.end;
                entries.clone().step_by(25).take(16).for_each(|entry| add(entry, ENTRY));
                // Counts and lists behind the directory.
                (entries.start..entries.end)
                    .rev()
                    .step_by(8)
                    .take(12)
                    .for_each(|word| add(word.saturating_sub(7), &[8]));
            }
            0x20 => add(payload.start, COW_MAP),
            0x22 => add(payload.start, MEMBERSHIP),
            0x07 => add(payload.start, META),
            _ => {}
        }
    }
    if let Some(at) = page(file) {
        add(at, PAGE);
        add(at + 0xF00, &[16, 16, 32, 4]);
        add(at + 0xFD0, &[16, 16, 8, 4, 4]);
    }
    found
}

fn change(file: &mut Vec<u8>, structures: &[Vec<Range<usize>>], script: &mut Script<'_>) {
    match script.byte() {
        0..=0xA7 => {
            let structure = structures.get(script.below(structures.len()));
            let field = structure.and_then(|fields| fields.get(script.below(fields.len())));
            let Some(field) = field.filter(|field| field.end <= file.len()).cloned() else { return };
            let length = file.len() as u64;
            edit(&mut file[field], length, script);
        }
        0xA8..=0xC7 => {
            let at = script.below(file.len());
            let value = script.byte();
            file.iter_mut().skip(at).take(1).for_each(|byte| *byte = value);
        }
        0xC8..=0xD7 => copy_segment(file, script),
        0xD8..=0xE3 => {
            let length = script.below(file.len() + 1);
            file.truncate(length / 64 * 64 + if script.byte() < 0xC0 { 0 } else { length % 64 });
        }
        0xE4..=0xEF => {
            // Bytes that come or go in the middle move all that follows.
            let at = script.below(file.len() + 1);
            let count = (1 + script.below(128)).min(file.len() - at);
            match script.byte() < 0x80 {
                true => drop(file.splice(at..at, std::iter::repeat_n(0, count))),
                false => drop(file.drain(at..at + count)),
            }
        }
        _ => {
            let from = script.below(file.len() + 1);
            let to = (from + script.below(PAGE_LEN)).min(file.len());
            file.extend_from_within(from..to);
        }
    }
}

/// A segment once more, behind the file or over another one.
fn copy_segment(file: &mut Vec<u8>, script: &mut Script<'_>) {
    let all = segments(file);
    let (Some(from), Some(to)) = (all.get(script.below(all.len())), all.get(script.below(all.len()))) else { return };
    let Some(end) = payload(file, *from).map(|payload| payload.end) else { return };
    if script.byte() < 0x80 {
        file.resize(file.len().next_multiple_of(HEADER_LEN), 0);
        file.extend_from_within(*from..end);
    } else if to + (end - from) <= file.len() {
        file.copy_within(*from..end, *to);
    }
}

/// Makes hashes right, manifests last; with `directory` their entries say what the headers say.
fn reseal(file: &mut [u8], directory: bool) {
    let all = segments(file);
    let (manifests, others): (Vec<usize>, Vec<usize>) = all.iter().partition(|at| file[**at + 5] == 0x05);
    for at in &others {
        let Some(payload) = payload(file, *at) else { continue };
        if file[at + 5] == 0x22 && payload.len() > 96 {
            let bits = payload.start + 96..payload.end;
            let fold = fold(&file[bits]);
            file[payload.start + 40..payload.start + 72].copy_from_slice(&fold);
        }
        content_hash(file, *at, payload);
    }
    for at in &manifests {
        let Some(payload) = payload(file, *at) else { continue };
        if directory {
            entries(file, &payload, &all);
        }
        hash_list(file, &payload, &all);
        content_hash(file, *at, payload);
    }
    if let Some(page) = page(file) {
        seal_page(file, page, &all);
    }
}

fn content_hash(file: &mut [u8], at: usize, payload: Range<usize>) {
    let bytes = &file[payload];
    let hash = match file[at + 0x20] {
        0 => {
            let crc = digest::crc32(bytes);
            [0, 8, 16, 24].map(|turn| crc.rotate_left(turn).to_le_bytes()).concat()
        }
        2 => digest::shake256(bytes)[..16].to_vec(),
        _ => digest::xxh3_128(bytes).to_vec(),
    };
    file[at + 0x28..at + 0x38].copy_from_slice(&hash);
}

fn entries(file: &mut [u8], manifest: &Range<usize>, all: &[usize]) {
    let count = number(file, manifest.start + 14, 4).unwrap_or_default() as usize;
    for entry in (manifest.start + 22..manifest.end).step_by(25).take(count).filter(|entry| entry + 25 <= manifest.end)
    {
        let id = number(file, entry, 8);
        let Some(at) = all.iter().find(|at| number(file, **at + 8, 8) == id) else { continue };
        let (length, kind) = (file[at + 0x10..at + 0x18].to_vec(), file[at + 5]);
        file[entry + 8..entry + 16].copy_from_slice(&(*at as u64).to_le_bytes());
        file[entry + 16..entry + 24].copy_from_slice(&length);
        file[entry + 24] = kind;
    }
}

/// The list of hashes at the end of a signed file's manifest.
fn hash_list(file: &mut [u8], manifest: &Range<usize>, all: &[usize]) {
    let Some(found) = file[manifest.clone()].windows(4).position(|bytes| bytes == b"SHDG") else { return };
    let first = manifest.start + found + 8;
    for row in (first..manifest.end).step_by(24).filter(|row| row + 24 <= manifest.end) {
        let id = number(file, row, 8);
        let Some(at) = all.iter().find(|at| number(file, **at + 8, 8) == id) else { continue };
        file.copy_within(at + 0x28..at + 0x38, row + 8);
    }
}

fn seal_page(file: &mut [u8], page: usize, all: &[usize]) {
    if let Some(at) = all.iter().rfind(|at| file[**at + 5] == 0x05)
        && let Some(payload) = payload(file, *at)
    {
        let hash = digest::shake256(&file[payload]);
        file[page + 0xFD0..page + 0xFE0].copy_from_slice(&hash[..16]);
    }
    let crc = crc32c(&file[page..page + PAGE_LEN - 4]);
    file[page + PAGE_LEN - 4..page + PAGE_LEN].copy_from_slice(&crc.to_le_bytes());
}

/// CRC-32C (Castagnoli), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// The 32 running sums over the bits of a MEMBERSHIP.
fn fold(bytes: &[u8]) -> [u8; 32] {
    let mut sums = [0u8; 32];
    for (place, byte) in bytes.iter().enumerate() {
        let (near, far) = (place % 32, (place + 13) % 32);
        sums[near] = sums[near].wrapping_add(*byte);
        sums[far] = sums[far].wrapping_add(sums[near].rotate_left(3));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Were a hash worked out wrongly, no change would get past it.
    #[test]
    fn a_sound_file_is_left_as_it_is() {
        for (index, sample) in SAMPLES.iter().enumerate() {
            let mut file = sample.to_vec();
            reseal(&mut file, true);
            assert!(!segments(&file).is_empty() && file == *sample, "sample {index}");
        }
    }
}

//! Inputs for the fuzz targets, at random: what a seed and a number stand for is always the same.

use crate::properties::Target;
use crate::samples;
use crate::script::Script;
use rvf_format::digest;

/// Random numbers: hashes of seed, execution and a counter.
pub struct Random([u64; 3]);

impl Random {
    /// The numbers of execution `at` of a seed.
    pub fn new(seed: u64, at: u64) -> Self {
        Self([seed, at, 0])
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0[2] += 1;
        let [low, high] = *digest::xxh3_128(&self.0.map(u64::to_le_bytes).concat()).as_chunks::<8>().0 else {
            return 0;
        };
        u64::from_le_bytes(low) ^ u64::from_le_bytes(high)
    }

    /// A number below `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// So many random bytes.
    pub fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.draw() as u8).collect()
    }
}

/// An input of a target: a file for those that take one, made of a valid one or of `corpus`; else a script.
pub fn input(target: &Target, corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let length = 2 + random.below(90);
    let script = random.bytes(length);
    match target.name {
        "open" if random.below(4) == 0 => noise(&script, random),
        "open" => scattered(&script),
        "importers" | "filters" | "note" | "proof" | "key_file" => havoc(corpus, random),
        // Half of the scripts carry on from one that is worth to be kept.
        _ if random.below(2) == 0 => havoc(corpus, random),
        _ => script,
    }
}

/// A sample with bytes changed anywhere and nothing repaired.
fn scattered(script: &[u8]) -> Vec<u8> {
    let mut script = Script::new(script);
    let all = samples::all();
    // Small ones, the signed one among them.
    let mut file = all.get([0, 1, 2, 3, 4, 5, 9][script.below(7)]).cloned().unwrap_or_default();
    while !script.is_empty() {
        let page = script.below(file.len() / 4096) * 4096;
        // Most of a page is padding; its first bytes matter.
        let within = if script.byte() < 0xC0 { script.below(512) } else { script.below(4096) };
        let value = script.byte();
        file.iter_mut().skip(page + within).take(1).for_each(|byte| *byte ^= value);
    }
    if file.first().is_some_and(|first| first % 4 == 3) {
        file.truncate(script.below(file.len()));
    }
    file
}

/// Random bytes behind a magic that a reader looks for.
fn noise(script: &[u8], random: &mut Random) -> Vec<u8> {
    let length = random.below(3 * 4096);
    let mut file = random.bytes(length);
    let starts: [&[u8]; 4] = [b"SFVR\x01\x40", b"SFVR\x01\x05", b"0MVR\x02\0", b"RVF single-file\0"];
    let start = starts[script.len() % starts.len()];
    let place = if script.len().is_multiple_of(3) { 0x100 } else { 0 };
    for (target, byte) in file.iter_mut().skip(place).zip(start) {
        *target = *byte;
    }
    file
}

/// A saved input with bytes changed, added, taken out, repeated, or with the end of another one.
fn havoc(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick =
        |random: &mut Random| corpus.get(random.below(corpus.len() as u64) as usize).cloned().unwrap_or_default();
    let mut input = pick(random);
    for _ in 0..1 + random.below(6) {
        let at = random.below(input.len() as u64 + 1) as usize;
        let count = (1 + random.below(8) as usize).min(input.len() - at);
        match random.below(8) {
            0 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (at % 8)),
            1 | 2 => input[at..at + count].iter_mut().for_each(|byte| *byte = random.draw() as u8),
            3 => input[at..at + count].fill([0, 0xFF, b'0', b'9'][at % 4]),
            4 => drop(input.splice(at..at, random.bytes(count as u64))),
            5 => drop(input.drain(at..at + count)),
            6 => {
                let part = input[at..at + count].to_vec();
                input.splice(at..at, part);
            }
            _ => {
                let other = pick(random);
                input.truncate(at);
                input.extend_from_slice(other.get(at..).unwrap_or_default());
            }
        }
    }
    input
}

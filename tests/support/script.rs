//! A script: bytes that are read as numbers, by which a fuzzer tells what to do to a valid file. What is done is told elsewhere.

use rvf_format::limits::PAGE_LEN;

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

/// Sets a field to a value that is likely to be wrong.
pub fn edit(field: &mut [u8], file_len: u64, script: &mut Script<'_>) {
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

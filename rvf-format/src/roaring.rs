//! Sets of numbers below 2^32 in the portable Roaring format (Lemire, Kai, Kaser: "Consistently faster and smaller compressed bitmaps
//! with Roaring", 2016; the byte layout is that of the RoaringFormatSpec), read in place.
//!
//! ```text
//! | cookie, number of containers | a bit a container: runs? | key, cardinality - 1 of each | offsets | containers |
//! container: up to 4,096 sorted u16 | 1,024 words of bits | number of runs, then (first, length - 1) of each
//! ```
//! [`RoaringView::parse`] checks the geometry, [`RoaringView::check`] what the containers hold.

/// Low half of the first word where a container may hold runs.
const COOKIE_RUNS: u32 = 12_347;
/// First word where none does.
const COOKIE_PLAIN: u32 = 12_346;
/// With runs and fewer containers than this there are no offsets.
const OFFSETS_FROM: usize = 4;
/// The most numbers that stand as a list.
const MOST_LISTED: usize = 4096;
/// Bytes of a container of bits.
const BITS_LEN: usize = 8192;

/// A set in place.
#[derive(Clone, Copy, Debug)]
pub struct RoaringView<'a> {
    bytes: &'a [u8],
    containers: usize,
    /// Where the flags of runs stand, if there are any.
    flags: Option<usize>,
    /// Where keys and cardinalities stand.
    heads: usize,
    /// Where the first container stands.
    first: usize,
}

/// The numbers of a container, as they stand.
#[derive(Clone, Copy, Debug)]
enum Container<'a> {
    List(&'a [[u8; 2]]),
    Bits(&'a [[u8; 8]]),
    Runs(&'a [[u8; 4]]),
}

impl<'a> RoaringView<'a> {
    /// The set at the start of `bytes`, which may go on behind it. `None` if its head is not whole.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let cookie = u32_at(bytes, 0)?;
        let (containers, flags, heads) = match cookie {
            COOKIE_PLAIN => (u32_at(bytes, 4)? as usize, None, 8),
            _ if cookie & 0xFFFF == COOKIE_RUNS => {
                let containers = (cookie >> 16) as usize + 1;
                (containers, Some(4), 4 + containers.div_ceil(8))
            }
            _ => return None,
        };
        let has_offsets = flags.is_none() || containers >= OFFSETS_FROM;
        let first = heads + containers.checked_mul(if has_offsets { 8 } else { 4 })?;
        (containers <= 1 << 16 && first <= bytes.len()).then_some(Self { bytes, containers, flags, heads, first })
    }

    /// How many numbers there are, by what the heads say.
    pub fn len(&self) -> u64 {
        (0..self.containers).map(|at| self.cardinality(at) as u64).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.containers == 0
    }

    /// Sets the bit of each number below 64 `words.len()`. Of a damaged set, those that can be read.
    pub fn insert_into(&self, words: &mut [u64]) {
        for (key, container) in self.iter() {
            let base = usize::from(key) << 10;
            let Some(words) = words.get_mut(base..) else { return };
            match container {
                Container::List(list) => list.iter().for_each(|low| set(words, u16::from_le_bytes(*low))),
                Container::Bits(bits) => {
                    words.iter_mut().zip(bits).for_each(|(word, bits)| *word |= u64::from_le_bytes(*bits))
                }
                Container::Runs(runs) => {
                    for (first, last) in runs.iter().map(run) {
                        set_range(words, usize::from(first), usize::from(last));
                    }
                }
            }
        }
    }

    /// Whether the set is well-formed and ends where `bytes` does, but for less than four zero bytes: keys and numbers ascend, runs
    /// do not touch, cardinalities and offsets are right.
    pub fn check(&self) -> bool {
        self.sound_end().is_some_and(|end| is_padding(self.bytes.get(end..)))
    }

    /// Where the set ends in `bytes`, if it is well-formed.
    pub(crate) fn sound_end(&self) -> Option<usize> {
        let mut end = self.first;
        let mut last_key = None;
        for at in 0..self.containers {
            let (key, container, length) = self.container(at, end)?;
            let offset = self.offset(at).is_none_or(|offset| offset == end);
            if last_key.is_some_and(|last| last >= key) || !offset || container.count() != Some(self.cardinality(at)) {
                return None;
            }
            last_key = Some(key);
            end += length;
        }
        Some(end)
    }

    /// Where the set ends in `bytes` by what its heads say; `None` if a container leads out of them.
    pub(crate) fn end(&self) -> Option<usize> {
        (0..self.containers).try_fold(self.first, |place, at| Some(place + self.container(at, place)?.2))
    }

    /// The numbers as stretches, first and last, ascending in a well-formed set; two may touch. Of a damaged set, those that can be
    /// read.
    pub(crate) fn stretches(self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        self.iter().flat_map(|(key, container)| {
            let base = u32::from(key) << 16;
            container.stretches().map(move |(first, last)| (base | u32::from(first), base | u32::from(last)))
        })
    }

    fn iter(self) -> impl Iterator<Item = (u16, Container<'a>)> + use<'a> {
        let mut place = self.first;
        (0..self.containers).map_while(move |at| {
            let (key, container, length) = self.container(at, place)?;
            place += length;
            Some((key, container))
        })
    }

    /// Key, numbers and length of a container that stands at `place`.
    fn container(&self, at: usize, place: usize) -> Option<(u16, Container<'a>, usize)> {
        let key = u16_at(self.bytes, self.heads + at * 4)?;
        let rest = self.bytes.get(place..)?;
        let has_runs =
            self.flags.and_then(|flags| self.bytes.get(flags + at / 8)).is_some_and(|f| f >> (at % 8) & 1 == 1);
        let cardinality = self.cardinality(at);
        let (container, length) = if has_runs {
            let length = usize::from(u16_at(rest, 0)?) * 4;
            (Container::Runs(rest.get(2..2 + length)?.as_chunks().0), 2 + length)
        } else if cardinality <= MOST_LISTED {
            (Container::List(rest.get(..cardinality * 2)?.as_chunks().0), cardinality * 2)
        } else {
            (Container::Bits(rest.get(..BITS_LEN)?.as_chunks().0), BITS_LEN)
        };
        Some((key, container, length))
    }

    fn cardinality(&self, at: usize) -> usize {
        u16_at(self.bytes, self.heads + at * 4 + 2).map_or(0, |less| usize::from(less) + 1)
    }

    fn offset(&self, at: usize) -> Option<usize> {
        let offsets = self.heads + self.containers * 4;
        (offsets < self.first).then(|| u32_at(self.bytes, offsets + at * 4).unwrap_or_default() as usize)
    }
}

impl<'a> Container<'a> {
    /// First and last number of each stretch.
    fn stretches(self) -> impl Iterator<Item = (u16, u16)> + use<'a> {
        type Parts<'a> = (&'a [[u8; 2]], &'a [[u8; 8]], &'a [[u8; 4]]);
        let (list, bits, runs): Parts<'a> = match self {
            Container::List(list) => (list, &[], &[]),
            Container::Bits(bits) => (&[], bits, &[]),
            Container::Runs(runs) => (&[], &[], runs),
        };
        let single = list.iter().map(|low| (u16::from_le_bytes(*low), u16::from_le_bytes(*low)));
        let words = bits.iter().zip((0u16..).step_by(64));
        single
            .chain(words.flat_map(|(word, base)| stretches_of(u64::from_le_bytes(*word), base)))
            .chain(runs.iter().map(run))
    }

    /// How many numbers there are; `None` if they do not ascend.
    fn count(&self) -> Option<usize> {
        match self {
            Container::List(list) => {
                let ascend = list.windows(2).all(|two| u16::from_le_bytes(two[0]) < u16::from_le_bytes(two[1]));
                ascend.then_some(list.len())
            }
            Container::Bits(bits) => {
                Some(bits.iter().map(|word| u64::from_le_bytes(*word).count_ones() as usize).sum())
            }
            Container::Runs(runs) => {
                let fit = runs.iter().all(|four| u16_of(four, 0).checked_add(u16_of(four, 2)).is_some());
                let apart = runs.windows(2).all(|two| usize::from(run(&two[0]).1) + 1 < usize::from(run(&two[1]).0));
                let count = || runs.iter().map(|four| usize::from(u16_of(four, 2)) + 1).sum();
                (fit && apart).then(count)
            }
        }
    }
}

/// The set of `numbers`, which ascend strictly, each container in its shortest form.
pub fn encode(numbers: &[u32]) -> Vec<u8> {
    let containers: Vec<&[u32]> = numbers.chunk_by(|a, b| a >> 16 == b >> 16).collect();
    let runs: Vec<usize> = containers.iter().map(|numbers| count_runs(numbers)).collect();
    let shorter = |at: usize| 2 + runs[at] * 4 < plain_len(containers[at].len());
    let with_runs = (0..containers.len()).any(shorter);
    let mut bytes = Vec::new();
    if with_runs {
        bytes.extend_from_slice(&(COOKIE_RUNS | ((containers.len() as u32 - 1) << 16)).to_le_bytes());
        let mut flags = vec![0u8; containers.len().div_ceil(8)];
        (0..containers.len()).filter(|at| shorter(*at)).for_each(|at| flags[at / 8] |= 1 << (at % 8));
        bytes.extend_from_slice(&flags);
    } else {
        bytes.extend_from_slice(&COOKIE_PLAIN.to_le_bytes());
        bytes.extend_from_slice(&(containers.len() as u32).to_le_bytes());
    }
    for numbers in &containers {
        bytes.extend_from_slice(&((numbers[0] >> 16) as u16).to_le_bytes());
        bytes.extend_from_slice(&((numbers.len() - 1) as u16).to_le_bytes());
    }
    let offsets = bytes.len();
    if !with_runs || containers.len() >= OFFSETS_FROM {
        bytes.resize(offsets + containers.len() * 4, 0);
    }
    let has_offsets = bytes.len() > offsets;
    for (at, numbers) in containers.iter().enumerate() {
        if has_offsets {
            let place = (bytes.len() as u32).to_le_bytes();
            bytes[offsets + at * 4..][..4].copy_from_slice(&place);
        }
        encode_container(numbers, with_runs && shorter(at), runs[at], &mut bytes);
    }
    bytes
}

fn encode_container(numbers: &[u32], as_runs: bool, runs: usize, bytes: &mut Vec<u8>) {
    if as_runs {
        bytes.extend_from_slice(&(runs as u16).to_le_bytes());
        for run in numbers.chunk_by(|a, b| a + 1 == *b) {
            bytes.extend_from_slice(&(run[0] as u16).to_le_bytes());
            bytes.extend_from_slice(&((run.len() - 1) as u16).to_le_bytes());
        }
    } else if numbers.len() <= MOST_LISTED {
        bytes.extend(numbers.iter().flat_map(|number| (*number as u16).to_le_bytes()));
    } else {
        let mut words = vec![0u64; BITS_LEN / 8];
        numbers.iter().for_each(|number| set(&mut words, *number as u16));
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
}

fn count_runs(numbers: &[u32]) -> usize {
    numbers.chunk_by(|a, b| a + 1 == *b).count()
}

/// Bytes of a container without runs.
fn plain_len(count: usize) -> usize {
    if count <= MOST_LISTED { count * 2 } else { BITS_LEN }
}

fn set(words: &mut [u64], low: u16) {
    if let Some(word) = words.get_mut(usize::from(low) / 64) {
        *word |= 1 << (low % 64);
    }
}

/// Sets bits `first` to `last`, both included.
fn set_range(words: &mut [u64], first: usize, last: usize) {
    for at in first / 64..=last / 64 {
        let Some(word) = words.get_mut(at) else { return };
        let from = first.saturating_sub(at * 64).min(63);
        let to = (last - at * 64).min(63);
        *word |= (u64::MAX << from) & (u64::MAX >> (63 - to));
    }
}

/// First and last number of each stretch of bits in a word whose lowest bit is the number `base`.
fn stretches_of(mut word: u64, base: u16) -> impl Iterator<Item = (u16, u16)> {
    std::iter::from_fn(move || {
        let first = (word != 0).then(|| word.trailing_zeros() as u16)?;
        let length = (word >> first).trailing_ones() as u16;
        // The carry runs through the lowest stretch and clears it.
        word &= word.wrapping_add(1 << first);
        Some((base + first, base + first + (length - 1)))
    })
}

/// Whether bytes behind a set only fill up: fewer than four, all zero.
pub(crate) fn is_padding(rest: Option<&[u8]>) -> bool {
    rest.is_some_and(|rest| rest.len() < 4 && rest.iter().all(|byte| *byte == 0))
}

/// First and last number of a run; a run that would end beyond the container ends with it.
fn run(four: &[u8; 4]) -> (u16, u16) {
    let first = u16_of(four, 0);
    (first, first.saturating_add(u16_of(four, 2)))
}

fn u16_of(four: &[u8; 4], at: usize) -> u16 {
    u16::from_le_bytes([four[at], four[at + 1]])
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roaring::RoaringBitmap;

    fn words_of(numbers: impl IntoIterator<Item = u32>, len: usize) -> Vec<u64> {
        let mut words = vec![0; len];
        numbers.into_iter().for_each(|number| words[number as usize / 64] |= 1 << (number % 64));
        words
    }

    /// Numbers that make containers of every form.
    fn numbers() -> impl Strategy<Value = Vec<u32>> {
        let most = if cfg!(miri) { 60 } else { 9000 };
        let stretch = (0u32..300_000, 1u32..most, 1u32..9)
            .prop_map(|(first, length, step)| (first..first + length).step_by(step as usize).collect::<Vec<u32>>());
        proptest::collection::vec(stretch, 0..6).prop_map(|stretches| {
            let mut all: Vec<u32> = stretches.concat();
            all.sort_unstable();
            all.dedup();
            all
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 64 }))]
        #[test]
        fn sets_are_those_of_the_reference(numbers in numbers()) {
            let bytes = encode(&numbers);
            let view = RoaringView::parse(&bytes).unwrap();
            prop_assert!(view.check());
            prop_assert_eq!(view.len(), numbers.len() as u64);
            let words = 320_000 / 64;
            let mut found = vec![0; words];
            view.insert_into(&mut found);
            prop_assert_eq!(&found, &words_of(numbers.iter().copied(), words));
            // Read by the reference, and written by it.
            let theirs = RoaringBitmap::deserialize_from(&bytes[..]).unwrap();
            prop_assert!(theirs.iter().eq(numbers.iter().copied()));
            let mut written = Vec::new();
            theirs.serialize_into(&mut written).unwrap();
            let view = RoaringView::parse(&written).unwrap();
            prop_assert!(view.check());
            let mut found = vec![0; words];
            view.insert_into(&mut found);
            prop_assert_eq!(found, words_of(numbers, words));
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            cookie in prop_oneof![Just(COOKIE_PLAIN), (0u32..9).prop_map(|n| COOKIE_RUNS | n << 16)],
        ) {
            bytes.splice(0..0, cookie.to_le_bytes());
            if let Some(view) = RoaringView::parse(&bytes) {
                view.insert_into(&mut [0; 100]);
                let _ = (view.check(), view.len());
            }
        }
    }

    #[test]
    fn what_is_out_of_order_is_found() {
        let bytes = encode(&[1, 5, 9, 70_000]);
        assert!(RoaringView::parse(&bytes).unwrap().check());
        for (at, value) in [(bytes.len() - 2, 9u8), (bytes.len() - 8, 9), (8, 1), (10, 3), (16, 1)] {
            let mut bytes = bytes.clone();
            let before = std::mem::replace(&mut bytes[at], value);
            let sound = RoaringView::parse(&bytes).is_some_and(|view| view.check());
            // The last number of a container may be any.
            assert_eq!(sound, at == bytes.len() - 2 || before == value, "byte {at}");
        }
        let runs = encode(&(5..500).chain(501..900).collect::<Vec<u32>>());
        assert!(RoaringView::parse(&runs).unwrap().check());
        let mut touching = runs.clone();
        touching[11 + 4] = 0xF4;
        assert!(!RoaringView::parse(&touching).unwrap().check());
    }
}

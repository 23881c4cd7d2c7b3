//! Golden Roaring sets, `fixtures/v1/roaring.json`: a container of every form, on both sides of every limit between forms. A META_IDX
//! with some of them would need more records than a golden file should have.

use rvf_format::roaring;
use serde_json::{Value, json};

/// Numbers by first, last and step; ascending.
type Stretch = (u32, u32, u32);

/// All sets: name, numbers.
const SETS: [(&str, &[Stretch]); 13] = [
    ("one list", &[(1, 3, 2)]),
    ("one run", &[(11, 15, 1)]),
    // 2 + 4 bytes a run, 2 a number.
    ("three numbers in a row, which are as short as a run", &[(7, 9, 1)]),
    ("two runs", &[(5, 499, 1), (501, 900, 1)]),
    ("the longest list", &[(0, 8190, 2)]),
    ("the fewest bits", &[(0, 8192, 2)]),
    ("a run over more than one container", &[(65_000, 140_000, 1)]),
    ("three containers, one of runs: no offsets", &[(9, 9, 1), (65_536, 65_600, 1), (200_000, 200_004, 2)]),
    (
        "four containers, one of runs: offsets",
        &[(9, 9, 1), (65_536, 65_600, 1), (131_072, 131_074, 2), (200_000, 200_004, 2)],
    ),
    ("two lists: offsets", &[(0, 65_536, 65_536)]),
    ("runs, bits and a list", &[(0, 65_535, 1), (65_536, 131_070, 2), (131_073, 131_077, 4)]),
    ("ten containers, the last of runs: two bytes of flags", &[(3, 524_291, 65_536), (600_000, 600_009, 1)]),
    ("containers far from the first", &[(16_777_214, 16_777_218, 2)]),
];

/// The sets as the fixture has them.
pub fn roaring_sets() -> Value {
    let set = |(name, stretches): &(&str, &[Stretch])| {
        let bytes = roaring::encode(&numbers(stretches));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"name": name, "stretches": stretches, "bytes": hex})
    };
    SETS.iter().map(set).collect()
}

/// The numbers of stretches.
pub fn numbers(stretches: &[Stretch]) -> Vec<u32> {
    stretches.iter().flat_map(|(first, last, step)| (*first..=*last).step_by(*step as usize)).collect()
}

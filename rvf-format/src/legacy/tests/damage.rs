//! Samples that were cut or changed. Whatever happens to a file, its reader gives the true content, refuses with a
//! reason, or says that something is left at the end. Where the dialect cannot tell, the test says so.

use proptest::prelude::*;

use super::super::{LegacyError, LegacyFile, Warning};
use super::made::rehash;
use super::{content, open, sample};

/// Whether the reader owned up to having left something.
fn admits(file: &LegacyFile<Vec<u8>>) -> bool {
    file.report().warnings.iter().any(|warning| matches!(warning, Warning::UncommittedTail { .. }))
}

fn check(name: &str, place: usize, truth: &LegacyFile<Vec<u8>>, found: Result<LegacyFile<Vec<u8>>, LegacyError>) {
    match found {
        Ok(file) => assert!(content(&file) == content(truth) || admits(&file), "{name} at {place}"),
        Err(error) => assert!(!error.to_string().is_empty() && error.clause().starts_with("PUB-")),
    }
}

/// Flips bits of a sample, and counts how many flips were refused.
fn flips(name: &str, places: impl Iterator<Item = (usize, u8)>) -> usize {
    let mut bytes = sample(name);
    let truth = open(&bytes).unwrap();
    let mut refused = 0;
    for (place, bit) in places {
        bytes[place] ^= 1 << bit;
        let found = open(&bytes);
        refused += usize::from(found.is_err());
        check(name, place, &truth, found);
        bytes[place] ^= 1 << bit;
    }
    refused
}

fn all_bits(range: core::ops::Range<usize>) -> impl Iterator<Item = (usize, u8)> {
    range.flat_map(|place| (0..8).map(move |bit| (place, bit)))
}

#[test]
fn every_flip_of_a_small_file() {
    let refused = flips("plain_l2_10x4.rvf", all_bits(0..768));
    // At least every bit of the VEC payload and of the last manifest's.
    assert!(refused >= (246 + 148) * 8, "{refused}");
}

#[test]
fn every_flip_of_a_byte_granular_file() {
    let refused = flips("legacy_020_50x8.rvf", all_bits(0..3753));
    assert!(refused >= (1006 * 2 + 339) * 8, "{refused}");
}

#[test]
fn every_flip_of_a_live_manifest() {
    for name in ["cosine_200x24.rvf", "deletes_300x16.rvf", "compacted_300x16.rvf", "branch_child.rvf"] {
        let bytes = sample(name);
        let at = open(&bytes).unwrap().report().manifest_at as usize;
        flips(name, all_bits(at..bytes.len()));
    }
}

#[test]
fn a_flip_of_every_byte_of_a_branch_and_a_signed_file() {
    let varied = |range: core::ops::Range<usize>| range.map(|place| (place, (place % 8) as u8));
    flips("branch_child.rvf", varied(0..4608));
    flips("signed_100x8.rvf", varied(0..9728));
    let refused = flips("signed_100x8.rvf", all_bits(9728 - 4096..9728 - 4092));
    assert_eq!(refused, 0, "without its magic the page is a tail, and the manifest still stands");
    assert_eq!(flips("signed_100x8.rvf", varied(9728 - 4092..9728)), 4092);
}

/// Cuts at every length. A file cut at the end of an older commit is that older file, and nothing tells.
#[test]
fn every_cut() {
    for name in ["plain_l2_10x4.rvf", "legacy_020_50x8.rvf", "branch_child.rvf", "signed_100x8.rvf"] {
        let bytes = sample(name);
        let truth = open(&bytes).unwrap();
        let padded = |end: usize| {
            if name.starts_with("legacy") { end } else { end.next_multiple_of(64) }
        };
        let commits: Vec<_> = manifests(&bytes).map(|(_, end)| end..=padded(end)).collect();
        for length in 0..bytes.len() {
            let found = open(&bytes[..length]);
            if !commits.iter().any(|commit| commit.contains(&length)) {
                check(name, length, &truth, found);
            } else {
                assert!(found.is_ok(), "{name} cut at {length} is a whole older file");
            }
        }
    }
}

/// Start and end of every manifest, found by its first bytes.
fn manifests(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    (0..bytes.len().saturating_sub(64)).filter(|&at| bytes[at..].starts_with(b"SFVR\x01\x05")).map(|at| {
        let len = u64::from_le_bytes(bytes[at + 16..at + 24].try_into().unwrap()) as usize;
        (at, at + 64 + len)
    })
}

/// What hides the last manifest shows the commit before, with a warning.
#[test]
fn a_hidden_manifest_is_admitted() {
    let mut bytes = sample("plain_l2_10x4.rvf");
    bytes[512] ^= 1;
    let file = open(&bytes).unwrap();
    assert_eq!((file.live_count(), file.report().epoch), (0, 0));
    assert!(file.report().warnings.contains(&Warning::UncommittedTail { offset: 192, bytes: 576 }));
    assert_eq!(file.report().uncommitted_bytes, 576);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn random_mutations(
        name in prop::sample::select(vec!["plain_l2_10x4.rvf", "legacy_020_50x8.rvf", "branch_child.rvf"]),
        writes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        more in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut bytes = sample(name);
        let truth = open(&bytes).unwrap();
        for (place, value) in &writes {
            let place = place.index(bytes.len());
            bytes[place] = *value;
        }
        bytes.extend(more);
        check(name, 0, &truth, open(&bytes));
    }

    /// A writer who makes the hash true again may say anything; the reader must still hold together.
    #[test]
    fn random_manifests_with_true_hashes(
        name in prop::sample::select(vec!["plain_l2_10x4.rvf", "deletes_300x16.rvf", "branch_child.rvf"]),
        writes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = sample(name);
        let (at, end) = manifests(&bytes).last().unwrap();
        for (place, value) in &writes {
            bytes[at + 64 + place.index(end - at - 64)] = *value;
        }
        rehash(&mut bytes, at);
        if let Ok(file) = open(&bytes) {
            let rows: Vec<_> = file.rows().collect();
            prop_assert!(rows.windows(2).all(|pair| pair[0].id < pair[1].id));
            let length = usize::from(file.report().dimension) * 4;
            prop_assert!(rows.iter().all(|row| row.vector.len() == length));
        }
    }
}

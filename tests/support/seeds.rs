//! The inputs that a corpus of each fuzz target begins with: named, small, each about something else.

use crate::focus::{BRANCH, SIGNED};
use crate::inputs::Random;
use crate::samples;
use crate::signed::{self, key, note, public_file, statement};
use rvf_engine::trust::EntryProof;
use rvf_engine::{Note, SignatureLine};
use rvf_format::key_file::{PublicKeyFile, SecretKeyFile};
use std::ops::Range;
use zerocopy::IntoBytes;

/// A name and an input.
pub type Seed = (String, Vec<u8>);

/// The first inputs of a target.
pub fn seeds(target: &str) -> Vec<Seed> {
    match target {
        "open" => files(),
        "importers" => imports(),
        "filters" => filters(),
        "note" => notes(),
        "proof" => proofs(),
        "key_file" => key_files(),
        "legacy" => scripts(0..9, &[]),
        "index_search" => [scripts(0..2, &[]), scripts(0..2, &[0xA8, 0xC0, 0xE0, 0xF0])].concat(),
        "codes" => [scripts(0..1, &[]), scripts(0..1, &[0xA8, 0xC0, 0xE0, 0xF0])].concat(),
        // The samples with graphs too, with sections filled or made narrower.
        "open_fixed" => [scripts(0..6, &[]), scripts(0..6, &[0xF6, 0xF8]), special(&[0x20, 0x60, 0xE0, 0xF0])].concat(),
        _ => [scripts(0..4, &[]), scripts(0..4, &[0xA8, 0xC0, 0xF0]), special(&[0xA8, 0xC0, 0xF0])].concat(),
    }
}

/// Notes with more and fewer signatures, short ones too: changes seldom meet the text of a long one.
fn notes() -> Vec<Seed> {
    let signed = note();
    let [first, second] = [0, 1].map(|at| signed.signatures()[at].clone());
    let witness = key(2).sign(&statement(7)).unwrap().signatures()[0].clone();
    let short = SignatureLine { name: "w".into(), hash: [1, 2, 3, 4], signature: vec![5] };
    let of = |lines: &[_]| Note::new(statement(7), lines.to_vec()).unwrap().render().into_bytes();
    let text = signed.text().as_bytes().to_vec();
    let found = [
        ("signed", of(&[first.clone(), second.clone()])),
        ("witnessed", of(&[first.clone(), second.clone(), witness.clone()])),
        ("swapped", of(&[second, first.clone()])),
        ("ed25519-only", of(&[first.clone(), witness])),
        ("short", of(std::slice::from_ref(&short))),
        ("sixteen", of(&vec![short; 16])),
        ("statement-only", text.clone()),
        ("no-signature", [&text[..], b"\n"].concat()),
        ("largest-numbers", largest(&of(&[first]))),
    ];
    found.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// The note with the largest numbers that it can hold.
fn largest(note: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(note);
    let most = u64::MAX.to_string();
    text.replace("\n12\n", &format!("\n{most}\n")).replace("epoch 11\n", &format!("epoch {most}\n")).into_bytes()
}

/// Proofs that hold, and such that do not: of another entry, cut, longer, with numbers that no tree has.
fn proofs() -> Vec<Seed> {
    let (first, last) = (&signed::proofs()[0], &signed::proofs()[1]);
    let with = |change: &dyn Fn(&mut EntryProof)| {
        let mut proof = last.clone();
        change(&mut proof);
        proof.to_json().into_bytes()
    };
    let text = last.to_json();
    let found = [
        ("first", first.to_json().into_bytes()),
        ("last", text.clone().into_bytes()),
        ("another-entry", with(&|proof| proof.entry.clone_from(&first.entry))),
        ("another-path", with(&|proof| proof.path.clone_from(&first.path))),
        ("short-path", with(&|proof| proof.path.truncate(proof.path.len() - 1))),
        ("long-path", with(&|proof| proof.path.extend([[0; 32]; 64]))),
        ("large-index", with(&|proof| proof.index = u64::MAX)),
        ("no-entry", with(&|proof| proof.entry.clear())),
        ("twice", text.replacen('{', "{\"index\": 0,", 1).into_bytes()),
        ("unknown", text.replacen('{', "{\"x\": [[[[0]]]],", 1).into_bytes()),
    ];
    found.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// Secret and public keys, among them public ones that must not load.
fn key_files() -> Vec<Seed> {
    let [ed25519, ml_dsa] = signed::seeds(1);
    let secret = SecretKeyFile::new(&ed25519, &ml_dsa, key(1).public().id().0);
    let public = |y: u8| PublicKeyFile::new(&[y; 32], &[y; 1952]).as_bytes().to_vec();
    let found = [
        ("secret", secret.as_bytes().to_vec()),
        ("secret-of-another-id", SecretKeyFile::new(&ml_dsa, &ed25519, [7; 16]).as_bytes().to_vec()),
        ("secret-cut", secret.as_bytes()[..100].to_vec()),
        ("public", public_file(&key(1))),
        ("public-longer", [public_file(&key(2)), vec![0]].concat()),
        ("public-zero", public(0)),
        ("public-largest", public(0xFF)),
    ];
    found.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// Filters of every form, right and wrong.
fn filters() -> Vec<Seed> {
    let texts = [
        "word = 'word 7' AND number >= 40 AND (word IN ('word 1','word 2') OR flag IS NULL)",
        "NOT word LIKE 'word 1%' OR tags CONTAINS 'b' AND id BETWEEN 5 AND 900",
        "flag AND NOT (number != 3) OR \"ratio\" < -0.5e0 OR id = 18446744073709551614",
        "word = \"word\"",
        "number = 'x'",
        "((((number = 9007199254740993))))",
        "word LIKE '%a%a%a%a%_\\%' AND word > 'it''s wörd 7'",
        "TRUE OR FALSE AND unknown = 1 AND number NOT BETWEEN -9223372036854775808 AND 9223372036854775807",
    ];
    let named = texts.iter().enumerate();
    named.map(|(at, text)| (format!("filter-{at}"), text.as_bytes().to_vec())).collect()
}

/// Scripts that change the branch and the signed sample.
fn special(changes: &[u8]) -> Vec<Seed> {
    let of = |first: u8| [scripts(first..first + 2, &[]), scripts(first..first + 2, changes)].concat();
    [of(BRANCH.start), of(SIGNED.start)].concat()
}

/// For each of these samples: a script that changes nothing, and one for each first change of `changes`.
fn scripts(samples: Range<u8>, changes: &[u8]) -> Vec<Seed> {
    let mut found = Vec::new();
    for sample in samples {
        if changes.is_empty() {
            found.push((format!("unchanged-{sample}"), vec![sample, 0]));
            let mut random = Random::new(7, u64::from(sample));
            found.push((format!("script-{sample}"), [vec![sample, 0], random.bytes(60)].concat()));
        }
        for change in changes {
            let mut random = Random::new(u64::from(*change), u64::from(sample));
            let script = [vec![sample, 1, *change], random.bytes(40)].concat();
            found.push((format!("change-{sample}-{change:02x}"), script));
        }
    }
    found
}

fn files() -> Vec<Seed> {
    let bits = samples::bits();
    let files: [(&str, Vec<u8>); 11] = [
        ("empty", Vec::new()),
        ("noise", b"not a vector store".to_vec()),
        ("bits", bits.clone()),
        ("strings", samples::strings()),
        ("signed", samples::signed()),
        ("branch", samples::lineage().branch.clone()),
        ("identity-only", bits[..4096].to_vec()),
        ("first-header-only", bits[..64].to_vec()),
        ("cut-in-last-root", bits[..bits.len() - 100].to_vec()),
        ("no-first-page", [&[0; 4096], &bits[4096..]].concat()),
        ("root-only", bits[bits.len() - 4096..].to_vec()),
    ];
    files.map(|(name, bytes)| (name.to_owned(), bytes)).to_vec()
}

/// Numbers of the formats and flags in the first byte: see `properties/imports.rs`.
const FVECS: u8 = 1;
const BVECS: u8 = 2;
const JSONL: u8 = 3;
const IDS: u8 = 4;
const COSINE: u8 = 10;
const HAMMING: u8 = 15;
const ONE_BY_ONE: u8 = 20;
const SKIP: u8 = 40;
const HALF: u8 = 80;

fn imports() -> Vec<Seed> {
    let floats: Vec<u8> = [1.0f32, 0.5, -2.0, 0.0, 0.0, 0.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let row = |dimension: i32, bytes: &[u8]| [&dimension.to_le_bytes()[..], bytes].concat();
    let fvecs = [row(3, &floats[..12]), row(3, &floats[12..])].concat();
    let text =
        |id: &str| format!("{{\"id\":{id},\"vector\":[1,0.25,-3e1],\"metadata\":{{\"a\":[null,\"\\u00e4\"]}}}}\n");
    let ids: Vec<u8> = [7u64, 1, 9].iter().flat_map(|id| id.to_le_bytes()).collect();
    let wide: Vec<u8> = "zaäb".chars().flat_map(|letter| u32::from(letter).to_le_bytes()).collect();
    let found = [
        ("npy-f4", 0, npy(1, "<f4", "(2, 3)", &floats)),
        ("npy-f4-cosine", COSINE + SKIP, npy(1, "<f4", "(2, 3)", &floats)),
        ("npy-f4-half", HALF, npy(2, "<f4", "(2, 3)", &floats)),
        ("npy-f2", ONE_BY_ONE, npy(1, "<f2", "(6, 2)", &floats)),
        ("npy-i1", 0, npy(3, "|i1", "(4, 6)", &floats)),
        ("npy-u1-bits", HAMMING, npy(1, "|u1", "(8, 3)", &floats)),
        ("fvecs", FVECS, fvecs.clone()),
        ("fvecs-cut", FVECS + ONE_BY_ONE, fvecs[..fvecs.len() - 3].to_vec()),
        ("bvecs", BVECS, [row(2, &[1, 2]), row(2, &[3, 4])].concat()),
        ("bvecs-bits", BVECS + HAMMING, row(2, &[0xF0, 0x0F])),
        ("jsonl-numbers", JSONL, [text("5"), text("5"), text("0")].concat().into_bytes()),
        ("jsonl-strings", JSONL + COSINE, [text("\"a\""), text("\"\\ud83d\\ude00\"")].concat().into_bytes()),
        ("jsonl-bits", JSONL + HAMMING, b"\xef\xbb\xbf{\"vector\":[1,0,1]}\n\n{\"vector\":[0,0,1]}".to_vec()),
        ("ids-u8", IDS, npy(1, "<u8", "(3,)", &ids)),
        ("ids-i4", IDS + ONE_BY_ONE, npy(1, "<i4", "(6,)", &ids)),
        ("ids-utf32", IDS, npy(1, "<U2", "(2,)", &wide)),
        ("ids-utf8", IDS, npy(1, "|S4", "(2,)", b"ab\0\0zebr")),
        ("ids-table", IDS, npy(1, "<u4", "(3, 2)", &ids)),
    ];
    found.into_iter().map(|(name, first, file)| (name.to_owned(), [vec![first], file].concat())).collect()
}

fn npy(version: u8, descr: &str, shape: &str, payload: &[u8]) -> Vec<u8> {
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let width = if version == 1 { 2 } else { 4 };
    let length = (dictionary.len() as u32).to_le_bytes();
    [b"\x93NUMPY", &[version, 0][..], &length[..width], dictionary.as_bytes(), payload].concat()
}

//! One signed note, changed in every way: what it is refused for.

use super::from_hex;
use curve25519_dalek::Scalar;
use curve25519_dalek::scalar::clamp_integer;
use rvf_engine::Algorithm::{Ed25519, MlDsa65};
use rvf_engine::SignatureFault::{Missing, NoLine, Order, Repeated, Wrong};
use rvf_engine::{Note, NoteFault, PublicKey, SignatureFault, SignatureLine};
use rvf_format::note::key_hash;
use rvf_tests::signed::{key, note, public_file, seeds, statement};
use sha2::{Digest, Sha512};

/// What a note is refused for, by its parser or by its signatures.
#[derive(Debug, PartialEq)]
enum Refused {
    Text(usize, NoteFault),
    Signature(SignatureFault),
}

fn judge(note: &[u8], key: &PublicKey) -> Result<(), Refused> {
    let note = Note::parse(note).map_err(|error| Refused::Text(error.line, error.fault))?;
    key.verify(&note).map_err(Refused::Signature)
}

/// The statement of the note, signed by another key.
fn foreign() -> Note {
    key(2).sign(&statement(7)).unwrap()
}

#[test]
fn other_signatures_are_told_apart() {
    let other = key(2).public().name();
    let [first, second] = [0, 1].map(|at| foreign().signatures()[at].clone());
    let earlier = key(1).sign(&statement(8)).unwrap();
    type Lines = Vec<SignatureLine>;
    type Change<'a> = &'a dyn Fn(&mut Lines);
    let cases: [(&str, Change, Result<(), SignatureFault>); 24] = [
        ("untouched", &|_| {}, Ok(())),
        ("a witness behind", &|all| all.push(first.clone()), Ok(())),
        ("a witness before", &|all| all.insert(0, second.clone()), Ok(())),
        ("14 witnesses", &|all| all.extend(vec![first.clone(); 14]), Ok(())),
        ("ML-DSA stripped", &|all| drop(all.pop()), Err(Missing(MlDsa65))),
        ("Ed25519 stripped", &|all| drop(all.remove(0)), Err(Missing(Ed25519))),
        ("ML-DSA exchanged for a witness", &|all| all[1] = second.clone(), Err(Missing(MlDsa65))),
        ("swapped", &|all| all.swap(0, 1), Err(Order)),
        ("Ed25519 twice", &|all| all.insert(0, all[0].clone()), Err(Repeated(Ed25519))),
        ("ML-DSA twice", &|all| all.push(all[1].clone()), Err(Repeated(MlDsa65))),
        ("key hash of Ed25519", &|all| all[0].hash[0] ^= 1, Err(Missing(Ed25519))),
        ("key hash of ML-DSA", &|all| all[1].hash[3] ^= 1, Err(Missing(MlDsa65))),
        ("another name", &|all| all.iter_mut().for_each(|line| line.name.clone_from(&other)), Err(NoLine)),
        ("another name of one", &|all| all[1].name.clone_from(&other), Err(Missing(MlDsa65))),
        ("another key's lines", &|all| *all = foreign().signatures().to_vec(), Err(NoLine)),
        ("another key's Ed25519", &|all| all[0].signature.clone_from(&first.signature), Err(Wrong(Ed25519))),
        ("another key's ML-DSA", &|all| all[1].signature.clone_from(&second.signature), Err(Wrong(MlDsa65))),
        ("another text's Ed25519", &|all| all[0] = earlier.signatures()[0].clone(), Err(Wrong(Ed25519))),
        ("another text's ML-DSA", &|all| all[1] = earlier.signatures()[1].clone(), Err(Wrong(MlDsa65))),
        ("S + L", &|all| add_order(&mut all[0].signature), Err(Wrong(Ed25519))),
        ("R of small order", &|all| all[0].signature = with_neutral_point(), Err(Wrong(Ed25519))),
        ("Ed25519 longer", &|all| all[0].signature.push(0), Err(Wrong(Ed25519))),
        ("ML-DSA longer", &|all| all[1].signature.push(0), Err(Wrong(MlDsa65))),
        ("ML-DSA shorter", &|all| all[1].signature.truncate(3308), Err(Wrong(MlDsa65))),
    ];
    for (what, change, expected) in cases {
        let mut lines = note().signatures().to_vec();
        change(&mut lines);
        let changed = Note::new(statement(7), lines).unwrap().render();
        assert_eq!(judge(changed.as_bytes(), key(1).public()), expected.map_err(Refused::Signature), "{what}");
    }
}

/// L, the order of the group, added to S: the same equation holds (RFC 8032, 5.1.7, forbids it).
fn add_order(signature: &mut [u8]) {
    let order = from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    for (byte, more) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
}

/// A signature of the note's text whose R is the neutral element: the equation holds, and only strict judging refuses it.
/// Made by the owner of the key, who could say later that it proves nothing.
fn with_neutral_point() -> Vec<u8> {
    let (note, mut point) = (note(), [0; 32]);
    point[0] = 1;
    let half = Sha512::digest(seeds(1)[0]).first_chunk::<32>().copied().unwrap();
    let secret = Scalar::from_bytes_mod_order(clamp_integer(half));
    let hash = Sha512::new().chain_update(point).chain_update(&public_file(&key(1))[0x10..0x30]);
    let hash = hash.chain_update(note.text()).finalize();
    let s = Scalar::from_bytes_mod_order_wide(&hash.into()) * secret;
    [point, s.to_bytes()].concat()
}

/// Two keys' names and hashes exchanged: lines that claim to be of the key, made by another one, and the other way round.
#[test]
fn a_line_is_of_the_key_that_its_hash_says() {
    let own = key(1);
    let file = public_file(&key(2));
    let mut lines = foreign().signatures().to_vec();
    for (line, (code, at)) in lines.iter_mut().zip([(&b"\x01"[..], 0x10..0x30), (b"\xFFrvf.ml-dsa-65", 0x30..0x7D0)]) {
        line.name = own.public().name();
        // As a note's reader without a key would expect it of this name and the other key.
        line.hash = key_hash(&line.name, code, &file[at]);
    }
    let confused = Note::new(statement(7), lines).unwrap();
    assert_eq!(own.public().verify(&confused), Err(Missing(Ed25519)));
    assert_eq!(key(2).public().verify(&confused), Err(NoLine));
}

#[test]
fn other_texts_are_told_apart() {
    use NoteFault::*;
    let text = note().render();
    type Change<'a> = &'a dyn Fn(&mut Vec<String>);
    let signature = |fault| Err(Refused::Signature(fault));
    let refused = |line, fault| Err(Refused::Text(line, fault));
    let cases: [(&str, Change, Result<(), Refused>); 22] = [
        ("untouched", &|_| {}, Ok(())),
        ("file", &|all| all[0] = format!("rvf/{}\n", "08".repeat(16)), signature(Wrong(Ed25519))),
        ("size", &|all| all[1] = "11\n".into(), signature(Wrong(Ed25519))),
        ("epoch", &|all| all[3] = "epoch 12\n".into(), signature(Wrong(Ed25519))),
        ("previous", &|all| all[5] = "previous 4\n".into(), signature(Wrong(Ed25519))),
        ("policy", &|all| all[6] = "policy ed25519\n".into(), refused(7, Policy)),
        ("no policy", &|all| drop(all.remove(6)), refused(7, Policy)),
        ("both stripped", &|all| all.truncate(8), refused(9, Cut)),
        ("no statement", &|all| drop(all.drain(..7)), refused(1, Origin)),
        ("unused bits of base64", &|all| all[8] = unused_bit(&all[8]), refused(9, Signature)),
        ("no padding", &|all| all[8] = all[8].replace('=', ""), refused(9, Signature)),
        ("more padding", &|all| all[8] = all[8].replace('=', "==="), refused(9, Signature)),
        ("another alphabet", &|all| all[9] = all[9].replace('+', "-"), refused(10, Signature)),
        ("two spaces", &|all| all[8] = all[8].replacen(' ', "  ", 1), refused(9, Name)),
        ("another dash", &|all| all[8] = all[8].replace('\u{2014}', "-"), refused(9, Form)),
        ("trailing bytes", &|all| all.push("x".into()), refused(11, Cut)),
        ("trailing zero", &|all| all.push("\0".into()), refused(11, Cut)),
        ("trailing line", &|all| all.push("\n".into()), refused(11, Form)),
        ("no last line end", &|all| all[9] = all[9].trim_end().into(), refused(10, Cut)),
        ("CRLF", &|all| all.iter_mut().for_each(|line| *line = line.replace('\n', "\r\n")), refused(1, Origin)),
        ("oversize", &|all| all.push("x".repeat(64 << 10)), refused(1, TooLong)),
        ("17 lines", &|all| all.extend(vec!["\u{2014} w AAAAAAAA\n".to_owned(); 15]), refused(25, TooMany)),
    ];
    for (what, change, expected) in cases {
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        assert_eq!(lines.len(), 10);
        change(&mut lines);
        assert_eq!(judge(lines.concat().as_bytes(), key(1).public()), expected, "{what}");
    }
}

/// The line with one of the bits set that padding leaves unused.
fn unused_bit(line: &str) -> String {
    // 68 bytes: two digits more than whole groups have, and one `=`.
    let digit = line.as_bytes()[line.len() - 3];
    assert!(line.ends_with("=\n") && !line.ends_with("==\n"));
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = alphabet.iter().position(|letter| *letter == digit).unwrap();
    assert_eq!(value % 4, 0);
    format!("{}{}=\n", &line[..line.len() - 3], char::from(alphabet[value | 1]))
}

/// What is in a note is signed, or is looked at: nothing of it may be changed.
#[test]
fn every_byte_of_a_note_matters() {
    let own = key(1);
    let sound = note().render().into_bytes();
    for at in 0..sound.len() {
        // One bit of each byte, another one from byte to byte: judging ML-DSA takes its time.
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(judge(&bytes, own.public()).is_err(), "byte {at}");
    }
}

/// The key hashes and the key id of the specification, put together by hand.
#[test]
fn lines_carry_the_hashes_of_the_specification() {
    let (own, note) = (key(1), note());
    let file = public_file(&own);
    let name = format!("rvf-{}", own.public().id());
    let mut word = b"rvf key id v1".to_vec();
    word.resize(32, 0);
    assert_eq!(blake3::hash(&[&word[..], &file[0x10..0x7D0]].concat()).as_bytes()[..16], own.public().id().0);
    let hash = |code: &[u8], public: &[u8]| {
        let all = [name.as_bytes(), b"\n", code, public].concat();
        sha2::Sha256::digest(all).first_chunk::<4>().copied().unwrap()
    };
    let lines = note.signatures();
    let hashes = [hash(b"\x01", &file[0x10..0x30]), hash(b"\xFFrvf.ml-dsa-65", &file[0x30..0x7D0])];
    assert_eq!([lines[0].hash, lines[1].hash], hashes);
    assert!(lines.len() == 2 && lines.iter().all(|line| line.name == name));
    assert_eq!([lines[0].signature.len(), lines[1].signature.len()], [64, 3309]);
    assert_eq!(own.sign(&statement(7)).unwrap(), note, "deterministic");
}

//! Notes have one form: what is read is written again the same, and nothing else is read.

use super::*;
use proptest::prelude::*;

fn statement() -> Statement {
    Statement {
        file_id: [0xA7; 16],
        size: 12,
        root: [0x5C; 32],
        epoch: 11,
        state_hash: [0x0B; 32],
        previous: 0,
        policy: Policy::Ed25519AndMlDsa65,
    }
}

fn line(name: &str, length: usize) -> SignatureLine {
    SignatureLine { name: name.to_owned(), hash: [1, 2, 3, 4], signature: vec![9; length] }
}

fn note() -> Note {
    Note::new(statement(), vec![line("rvf-a7", 64), line("witness.example/w1", 5)]).unwrap()
}

/// The text of the specification, letter by letter.
#[test]
fn a_note_is_written_as_specified() {
    let a7 = "a7".repeat(16);
    let root = "XFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFw=";
    let state = "0b".repeat(32);
    let text = format!("rvf/{a7}\n12\n{root}\nepoch 11\nstate {state}\nprevious 0\npolicy ed25519+ml-dsa-65\n");
    assert_eq!(note().text(), text);
    assert_eq!(statement().render(), text);
    assert_eq!(Statement::parse(&text), Ok(statement()));
    let lines = note().render();
    let lines = lines.strip_prefix(&format!("{text}\n\u{2014} rvf-a7 AQIDBAkJ")).unwrap();
    assert!(lines.ends_with("\n\u{2014} witness.example/w1 AQIDBAkJCQkJ\n"), "{lines}");
}

/// Any other form of a note that says the same, or nothing, has its fault and its line.
#[test]
fn other_forms_are_refused() {
    let sound = note().render();
    let changed = |from: &str, to: &str| {
        assert_eq!(sound.matches(from).count(), 1, "{from:?}");
        sound.replace(from, to).into_bytes()
    };
    let twice = |line: usize| {
        let mut lines: Vec<&str> = sound.split_inclusive('\n').collect();
        lines.insert(line, lines[line - 1]);
        lines.concat().into_bytes()
    };
    let cases: [(Vec<u8>, usize, NoteFault); 32] = [
        (Vec::new(), 1, NoteFault::Cut),
        (changed("rvf/", "RVF/"), 1, NoteFault::Origin),
        (changed(&"a7".repeat(16), &"A7".repeat(16)), 1, NoteFault::Origin),
        (changed(&"a7".repeat(16), &"a7".repeat(15)), 1, NoteFault::Origin),
        (changed(&"a7".repeat(16), &"a7".repeat(17)), 1, NoteFault::Origin),
        (changed("\n12\n", "\n012\n"), 2, NoteFault::Size),
        (changed("\n12\n", "\n+12\n"), 2, NoteFault::Size),
        (changed("\n12\n", "\n\n"), 2, NoteFault::Size),
        (changed("\n12\n", "\n18446744073709551616\n"), 2, NoteFault::Size),
        (changed("\n12\n", "\n12\r\n"), 2, NoteFault::Size),
        (changed("XFw=", "XFx="), 3, NoteFault::Root),
        (changed("XFw=", "XFxc"), 3, NoteFault::Root),
        (changed("XFw=", "XFw"), 3, NoteFault::Root),
        (changed("epoch 11", "epoch  11"), 4, NoteFault::Epoch),
        (changed("epoch 11", "epoch 011"), 4, NoteFault::Epoch),
        (changed("state 0b", "state 0B"), 5, NoteFault::State),
        (changed("previous 0", "previous 00"), 6, NoteFault::Previous),
        (changed("previous 0", "previous -1"), 6, NoteFault::Previous),
        (changed("+ml-dsa-65", ""), 7, NoteFault::Policy),
        (changed("ml-dsa-65", "ml-dsa-65 "), 7, NoteFault::Policy),
        (changed("-65\n\n", "-65\nextension\n\n"), 8, NoteFault::NotEmpty),
        (changed("-65\n\n", "-65\n"), 8, NoteFault::NotEmpty),
        (twice(8), 9, NoteFault::Form),
        (changed("\u{2014} rvf", "- rvf"), 9, NoteFault::Form),
        (changed(" rvf-a7 ", " rvf-a7"), 9, NoteFault::Form),
        (changed(" rvf-a7 ", " rvf-a7  "), 9, NoteFault::Signature),
        (changed(" rvf-a7 ", "  rvf-a7 "), 9, NoteFault::Name),
        (changed(" rvf-a7 ", " rvf+a7 "), 9, NoteFault::Name),
        (changed(" rvf-a7 ", " rvf\ta7 "), 9, NoteFault::Name),
        (changed("w1 AQIDBAkJCQkJ\n", "w1 AQIDBAkJCQkJ \n"), 10, NoteFault::Signature),
        (changed("w1 AQIDBAkJCQkJ\n", "w1 AQIDBA==\n"), 10, NoteFault::Signature),
        (changed("\n12\n", "\n12"), 2, NoteFault::Size),
    ];
    for (at, (bytes, line, fault)) in cases.into_iter().enumerate() {
        let found = Note::parse(&bytes).unwrap_err();
        assert_eq!(found, NoteError { line, fault }, "case {at}: {}", String::from_utf8_lossy(&bytes));
        assert!(found.to_string().starts_with("line "));
    }
}

#[test]
fn a_note_cut_anywhere_between_lines_or_in_them_is_refused() {
    let sound = note().render();
    let ends: Vec<usize> = sound.match_indices('\n').map(|(at, _)| at + 1).collect();
    for end in (0..sound.len()).step_by(if cfg!(miri) { 29 } else { 1 }) {
        let one_signature = end == ends[8];
        assert_eq!(Note::parse(&sound.as_bytes()[..end]).is_ok(), one_signature, "cut at {end}");
    }
    let longer = Note::parse(format!("{sound}\n").as_bytes()).unwrap_err();
    assert_eq!(longer, NoteError { line: 11, fault: NoteFault::Form });
}

#[test]
#[cfg_attr(miri, ignore = "64 KiB of text take minutes")]
fn limits_hold_to_the_byte_and_the_line() {
    let lines = |count: usize| vec![line("w", 40); count];
    assert_eq!(Note::new(statement(), lines(16)).unwrap().signatures().len(), 16);
    let found = Note::new(statement(), lines(17)).unwrap_err();
    assert_eq!(found, NoteError { line: 25, fault: NoteFault::TooMany });
    assert_eq!(Note::new(statement(), Vec::new()).unwrap_err(), NoteError { line: 9, fault: NoteFault::Cut });
    // The name fills up what base64 leaves.
    let room = MAX_NOTE - Note::new(statement(), vec![line("w", 40_001)]).unwrap().render().len();
    let longest = Note::new(statement(), vec![line(&"w".repeat(room + 1), 40_001)]).unwrap();
    assert_eq!(longest.render().len(), MAX_NOTE);
    let found = Note::new(statement(), vec![line(&"w".repeat(room + 2), 40_001)]).unwrap_err();
    assert_eq!(found.fault, NoteFault::TooLong);
}

#[test]
fn signatures_that_no_note_holds_make_none() {
    for (name, length, fault) in [
        ("", 4, NoteFault::Name),
        ("a b", 4, NoteFault::Signature),
        ("a\nb", 4, NoteFault::Form),
        ("a", 0, NoteFault::Signature),
    ] {
        let found = Note::new(statement(), vec![line(name, length)]).unwrap_err();
        assert_eq!(found, NoteError { line: 9, fault }, "{name:?}");
    }
}

/// Two notes that differ in a byte never say the same: no byte of a note is free.
#[test]
fn every_changed_byte_is_refused_or_says_something_else() {
    let (sound, parsed) = (note().render().into_bytes(), note());
    let (step, values) = if cfg!(miri) { (97, 95..99) } else { (1, 0..256) };
    for at in (0..sound.len()).step_by(step) {
        for value in values.clone() {
            let value = value as u8;
            let mut bytes = sound.clone();
            bytes[at] = value;
            if bytes == sound {
                continue;
            }
            if let Ok(other) = Note::parse(&bytes) {
                assert_ne!(other, parsed, "byte {at} as {value:#04x}");
                assert_eq!(other.render().into_bytes(), bytes, "byte {at} as {value:#04x}");
            }
        }
    }
}

/// As C2SP's signed-note has it: SHA-256 of name, line feed, byte of the algorithm, public key.
#[test]
fn key_hashes_are_those_of_signed_notes() {
    let mut key = [0; 32];
    key[31] = 1;
    let expected = Sha256::digest([b"rvf-a\n\x01".as_slice(), &key].concat());
    assert_eq!(key_hash("rvf-a", &[1], &key), expected[..4]);
    assert_eq!(signer_name(&[0x1F; 16]), format!("rvf-{}", "1f".repeat(16)));
}

fn any_line() -> impl Strategy<Value = SignatureLine> {
    let signature = proptest::collection::vec(any::<u8>(), 1..200);
    ("[!-*,-~é—]{1,20}", any::<[u8; 4]>(), signature).prop_map(|(name, hash, signature)| SignatureLine {
        name,
        hash,
        signature,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 256 }))]

    #[test]
    fn notes_come_back(
        (file_id, size, root) in any::<([u8; 16], u64, [u8; 32])>(),
        (epoch, state_hash, previous) in any::<(u64, [u8; 32], u64)>(),
        lines in proptest::collection::vec(any_line(), 1..=if cfg!(miri) { 2 } else { MAX_SIGNATURES }),
    ) {
        let policy = Policy::Ed25519AndMlDsa65;
        let statement = Statement { file_id, size, root, epoch, state_hash, previous, policy };
        let note = Note::new(statement.clone(), lines.clone()).unwrap();
        prop_assert_eq!(note.statement(), &statement);
        prop_assert_eq!(note.signatures(), lines.as_slice());
        prop_assert_eq!(Note::parse(note.render().as_bytes()).unwrap(), note);
    }

    #[test]
    fn what_is_read_is_written_the_same(at in 0..300usize, part in "\\PC{0,4}|[0-9=\n ]{0,4}", cut in 0..6usize) {
        let sound = note().render();
        let (from, to) = (sound.floor_char_boundary(at), sound.floor_char_boundary(at + cut));
        let text = format!("{}{part}{}", &sound[..from], &sound[to..]);
        if let Ok(note) = Note::parse(text.as_bytes()) {
            prop_assert_eq!(note.render(), text);
        }
    }
}

//! Attacks on the signed history: each is detected, and told as what it is; honest files never are.

use rvf_engine::trust::{Freshness, Trust, TrustFolder, TrustReport, judge};
use rvf_engine::{
    Clock, CompactOptions, Db, KeyId, Note, OpenOptions, PublicKey, Report, SecretKey, SignatureLine, Signer, Statement,
};
use rvf_format::Clause;
use rvf_format::limits::PAGE_LEN;
use rvf_format::note::MAX_NOTE;
use rvf_format::storage::{Bytes, MemoryPlace, Place};
use rvf_format::verify::verify;
use rvf_tests::corrupt_audit::{bytes, other_key, signed, store};
use rvf_tests::golden::signing_key;
use rvf_tests::reseal::{Repair, reseal, roots};
use std::path::Path;
use std::sync::Arc;

const PATH: &str = "audit.rvf";

fn verified(bytes: &[u8]) -> Report {
    verify(&Bytes::from(bytes), &mut |_, _| {}).unwrap()
}

fn key() -> PublicKey {
    signing_key().public().clone()
}

fn by_key() -> Trust {
    Trust { keys: vec![key()], ..Trust::default() }
}

fn having_seen(note: Note) -> Trust {
    Trust { checkpoint: Some(note), ..by_key() }
}

fn newest_note(bytes: &[u8]) -> Note {
    verified(bytes).notes.pop().unwrap()
}

/// What verifying and judging find: clause and words.
fn found(bytes: &[u8], trust: &Trust) -> (Vec<(Clause, String)>, TrustReport) {
    let report = verified(bytes);
    let judged = judge(&report, trust).unwrap();
    let all = report.findings.iter().chain(&judged.findings);
    (all.map(|finding| (finding.clause, finding.message.clone())).collect(), judged)
}

#[track_caller]
fn detected(bytes: &[u8], trust: &Trust, clause: Clause, words: &str) -> TrustReport {
    let (findings, judged) = found(bytes, trust);
    let is_told = findings.iter().any(|(found, message)| *found == clause && message.contains(words));
    assert!(is_told, "{clause} with \"{words}\" is not among {findings:#?}");
    judged
}

#[track_caller]
fn honest(bytes: &[u8], trust: &Trust) -> TrustReport {
    let (findings, judged) = found(bytes, trust);
    assert_eq!(findings, []);
    assert!(
        judged.signatures.iter().all(|signature| signature.judged != Some(Err(rvf_engine::SignatureFault::NoLine)))
    );
    judged
}

/// Signs as a forger likes.
struct Forger(SecretKey, fn(&SecretKey, &Statement) -> Note);

impl std::fmt::Debug for Forger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forger")
    }
}

impl Signer for Forger {
    fn sign(&self, statement: &Statement) -> rvf_engine::Result<Note> {
        Ok((self.1)(&self.0, statement))
    }

    fn key_id(&self) -> KeyId {
        self.0.public().id()
    }
}

fn forged(forge: fn(&SecretKey, &Statement) -> Note) -> Vec<u8> {
    let place = MemoryPlace::default();
    let mut db = store(&place, Some(Arc::new(Forger(signing_key(), forge))));
    db.add(&[1.0f32, 2.0]).unwrap();
    bytes(&place)
}

fn with_lines(note: &Note, change: impl FnOnce(&mut Vec<SignatureLine>)) -> Note {
    let mut lines = note.signatures().to_vec();
    change(&mut lines);
    Note::new(note.statement().clone(), lines).unwrap()
}

fn lied(lie: fn(&mut Statement)) -> Vec<u8> {
    let place = MemoryPlace::default();
    let mut db = store(&place, Some(Arc::new(rvf_tests::corrupt_audit::Liar::new(lie))));
    db.add(&[1.0f32, 2.0]).unwrap();
    bytes(&place)
}

/// Changes the audit entry of the commit of the root at place `nth`, and makes all hashes and trees fresh.
fn rewritten(mut file: Vec<u8>, nth: usize) -> Vec<u8> {
    let root = roots(&file)[nth].clone();
    let manifest = root.manifest.unwrap();
    let sections = rvf_tests::reseal::sections(&file, &manifest);
    let witness = sections.iter().find(|(tag, _)| *tag == rvf_format::manifest::TAG_WITNESS).unwrap().1.clone();
    file[witness.start + 0x78] ^= 1;
    reseal(&mut file, &Repair::ALL);
    file
}

#[test]
fn signed_files_are_honest() {
    for file in signed() {
        let judged = honest(&file, &by_key());
        assert!(judged.signatures.iter().all(rvf_engine::trust::SignatureReport::is_valid), "{judged:?}");
        assert_eq!(judged.freshness, Freshness::Unknown);
    }
}

#[test]
fn rollback_truncation_fork_and_rewrite_are_named() {
    let [first, second, third] = signed();
    let seen = newest_note(&third);
    // A file cut back behind an earlier root is the older file.
    for older in [&first, &second] {
        let judged = detected(older, &having_seen(seen.clone()), Clause::Sig5, "rollback");
        assert_eq!(judged.freshness, Freshness::Stale);
    }
    let cut = &third[..third.len() - PAGE_LEN];
    assert_eq!(detected(cut, &having_seen(seen.clone()), Clause::Sig5, "truncation").freshness, Freshness::Stale);
    // Two histories from one commit, both signed: a backup that went on.
    let place = MemoryPlace::default();
    place.put(Path::new(PATH), second.clone());
    let open =
        OpenOptions { clock: Clock::Fixed(1 << 60), signer: Some(Arc::new(signing_key())), ..Default::default() };
    Db::open_with(Arc::new(place.clone()), PATH, &open).unwrap().add(&[7.0f32, 8.0]).unwrap();
    let fork = bytes(&place);
    honest(&fork, &having_seen(newest_note(&second)));
    detected(&fork, &having_seen(seen.clone()), Clause::Sig5, "fork");
    // The newest commit as it was, what was recorded before it not.
    let changed = rewritten(third.clone(), 0);
    detected(&changed, &having_seen(seen.clone()), Clause::Sig5, "rewrite");
    detected(&changed, &by_key(), Clause::Sig2, "does not state what the audit entries say");
    assert_eq!(honest(&third, &having_seen(newest_note(&first))).freshness, Freshness::Current);
    assert_eq!(honest(&third, &having_seen(seen)).freshness, Freshness::Current);
}

#[test]
fn entries_that_are_edited_dropped_or_swapped_are_found() {
    let [.., third] = signed();
    let (edited, rewritten_all) = (rewritten(third.clone(), 2), rewritten(third.clone(), 1));
    for file in [&edited, &rewritten_all] {
        detected(file, &by_key(), Clause::Sig2, "does not state");
    }
    // The count of entries, made small or zero, with fresh checksums.
    for size in [0u64, 1] {
        let mut file = third.clone();
        let root = roots(&file).last().unwrap().offset;
        file[root + 0x188..root + 0x190].copy_from_slice(&size.to_le_bytes());
        reseal(&mut file, &Repair { witness_tree: false, ..Repair::ALL });
        let clauses: Vec<Clause> = found(&file, &by_key()).0.into_iter().map(|found| found.0).collect();
        assert!(clauses.contains(&Clause::Wit2) || clauses.contains(&Clause::Wit3), "{clauses:?}");
    }
    // Two entries of a WITNESS segment, in each other's place.
    let place = MemoryPlace::default();
    let mut db = store(&place, Some(Arc::new(signing_key())));
    db.add(&[1.0f32, 2.0]).unwrap();
    db.delete(&[0.into()]).unwrap();
    db.compact(&CompactOptions { keep: 1, output: None }).unwrap();
    let sound = bytes(&place);
    honest(&sound, &by_key());
    let mut swapped = sound;
    let snapshot = rvf_engine::Snapshot::newest(Bytes::from(swapped.clone())).unwrap();
    let witness = *snapshot.state().of_kind(rvf_format::Kind::WITNESS).next().unwrap();
    let range = witness.offset.get() as usize..witness.end() as usize;
    let (_, entries) = rvf_tests::reseal::sections(&swapped, &range)[0].clone();
    let one = swapped[entries.clone()][..168].to_vec();
    let other = swapped[entries.start + 168..entries.start + 336].to_vec();
    swapped[entries.start..entries.start + 168].copy_from_slice(&other);
    swapped[entries.start + 168..entries.start + 336].copy_from_slice(&one);
    reseal(&mut swapped, &Repair { sealed_entries: false, ..Repair::ALL });
    detected(&swapped, &by_key(), Clause::Wit2, "audit entr");
}

#[test]
fn signatures_that_are_stripped_forged_or_confused_are_found() {
    let unsigned = {
        let place = MemoryPlace::default();
        store(&place, None).add(&[1.0f32, 2.0]).unwrap();
        bytes(&place)
    };
    detected(&unsigned, &by_key(), Clause::Sig4, "is not signed by a key that was given");
    let one_line = |keep: usize| -> Vec<u8> {
        match keep {
            0 => forged(|key, statement| with_lines(&key.sign(statement).unwrap(), |lines| drop(lines.pop()))),
            _ => forged(|key, statement| with_lines(&key.sign(statement).unwrap(), |lines| drop(lines.remove(0)))),
        }
    };
    for keep in [0, 1] {
        detected(&one_line(keep), &by_key(), Clause::Sig1, "two signature lines");
    }
    let twice = forged(|key, statement| {
        with_lines(&key.sign(statement).unwrap(), |lines| {
            lines.pop();
            lines.push(lines[0].clone());
        })
    });
    detected(&twice, &by_key(), Clause::Sig4, "more than once");
    let swapped = forged(|key, statement| with_lines(&key.sign(statement).unwrap(), |lines| lines.reverse()));
    detected(&swapped, &by_key(), Clause::Sig4, "wrong order");
    // Signed anew by another key, in its own name, and in that of the key.
    let place = MemoryPlace::default();
    store(&place, Some(Arc::new(other_key()))).add(&[1.0f32, 2.0]).unwrap();
    detected(&bytes(&place), &by_key(), Clause::Sig4, "none of the keys that were given");
    let confused = forged(|key, statement| {
        let own = key.sign(statement).unwrap();
        let others = other_key().sign(statement).unwrap();
        with_lines(&own, |lines| {
            for (line, other) in lines.iter_mut().zip(others.signatures()) {
                line.signature.clone_from(&other.signature);
            }
        })
    });
    detected(&confused, &by_key(), Clause::Sig4, "the ed25519 signature of this key is wrong");
    // One of the two is right, the other of another text.
    let half = |at: usize| match at {
        0 => forged(|key, statement| replaced(key, statement, 0)),
        _ => forged(|key, statement| replaced(key, statement, 1)),
    };
    detected(&half(0), &by_key(), Clause::Sig4, "the ed25519 signature of this key is wrong");
    let judged = detected(&half(1), &by_key(), Clause::Sig4, "the ml-dsa-65 signature of this key is wrong");
    assert!(judged.signatures.iter().all(|signature| signature.right == Some([true, false])), "{judged:?}");
    // Ed25519 with S + L: the same signature to whoever does not look.
    let malleable = forged(|key, statement| {
        with_lines(&key.sign(statement).unwrap(), |lines| add_order(&mut lines[0].signature[32..]))
    });
    detected(&malleable, &by_key(), Clause::Sig4, "the ed25519 signature of this key is wrong");
}

fn replaced(key: &SecretKey, statement: &Statement, at: usize) -> Note {
    let other = key.sign(&Statement { size: statement.size + 1, ..statement.clone() }).unwrap();
    with_lines(&key.sign(statement).unwrap(), |lines| lines[at] = other.signatures()[at].clone())
}

/// Adds the order of the curve's group to a number of 32 bytes, little-endian.
fn add_order(number: &mut [u8]) {
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0u16;
    for (to, add) in number.iter_mut().zip(order) {
        let sum = u16::from(*to) + u16::from(add) + carry;
        (*to, carry) = (sum as u8, sum >> 8);
    }
}

#[test]
fn notes_that_state_something_else_are_found() {
    detected(&lied(|statement| statement.file_id[3] ^= 1), &by_key(), Clause::Sig1, "another file");
    detected(&lied(|statement| statement.root[3] ^= 1), &by_key(), Clause::Sig2, "does not state");
    detected(&lied(|statement| statement.state_hash[3] ^= 1), &by_key(), Clause::Sig2, "does not state");
    detected(&lied(|statement| statement.size += 9), &by_key(), Clause::Sig2, "which there are not");
    detected(&lied(|statement| statement.size = 1), &by_key(), Clause::Sig2, "does not state");
    // An epoch twice, and a signed one left out.
    detected(&lied(|statement| statement.epoch = 1), &by_key(), Clause::Sig2, "does not follow");
    detected(&lied(|statement| statement.previous = 0), &by_key(), Clause::Sig2, "does not follow");
}

#[test]
fn policies_cannot_be_taken_back_unseen() {
    let place = MemoryPlace::default();
    let mut db = store(&place, None);
    db.sign(Arc::new(signing_key())).unwrap();
    db.add(&[1.0f32, 2.0]).unwrap();
    let file = bytes(&place);
    let anybody = Trust::default();
    detected(&file, &anybody, Clause::Sig3, "is not signed, though the file asks for signatures");
    detected(&file, &by_key(), Clause::Sig4, "the newest that a given key signed is epoch 2");
    // Taken back in a commit that is sound in all else, by whoever has no key: the fact's tag becomes one that nobody knows.
    let place = MemoryPlace::default();
    place.put(Path::new(PATH), signed()[1].clone());
    let mut db = Db::open_with(Arc::new(place.clone()), PATH, &OpenOptions::default()).unwrap();
    db.compact(&CompactOptions { keep: 1, output: None }).unwrap();
    let mut gone = bytes(&place);
    let manifest = roots(&gone)[0].manifest.clone().unwrap();
    let entry =
        (0..8).map(|row| manifest.start + 80 + 32 * row).find(|at| gone[*at..*at + 4] == [19, 0, 0, 0]).unwrap();
    gone[entry] = 99;
    reseal(&mut gone, &Repair::ALL);
    detected(&gone, &anybody, Clause::Sig3, "does not ask for signatures");
    // Another policy in the manifest, with fresh hashes.
    let [.., mut third] = signed();
    let manifest = roots(&third)[0].manifest.clone().unwrap();
    let sections = rvf_tests::reseal::sections(&third, &manifest);
    let policy = sections.iter().find(|(tag, _)| *tag == rvf_format::manifest::FACT_POLICY).unwrap().1.clone();
    third[policy.start] = 2;
    reseal(&mut third, &Repair::ALL);
    detected(&third, &by_key(), Clause::Man9, "policy");
    detected(&third, &by_key(), Clause::Sig2, "does not state");
}

#[test]
fn bytes_that_are_moved_hidden_or_added_are_found() {
    let [_, second, third] = signed();
    // The root of the commit before, again.
    let mut replayed = third.clone();
    let manifest = roots(&second).last().unwrap().manifest.clone().unwrap();
    replayed.extend_from_slice(&second[manifest]);
    let clauses: Vec<Clause> = found(&replayed, &by_key()).0.into_iter().map(|found| found.0).collect();
    assert!(clauses.contains(&Clause::Tail1) || clauses.contains(&Clause::Root3), "{clauses:?}");
    // A segment of another file of the same shape in the place of one, with fresh hashes.
    let other = {
        let place = MemoryPlace::default();
        let mut db = store(&place, Some(Arc::new(signing_key())));
        db.add(&[9.0f32, 9.0, 9.0, 9.0]).unwrap();
        bytes(&place)
    };
    let vec_of = |file: &[u8]| {
        let snapshot = rvf_engine::Snapshot::newest(Bytes::from(file)).unwrap();
        let entry = *snapshot.state().of_kind(rvf_format::Kind::VEC).next().unwrap();
        entry.offset.get() as usize..entry.end() as usize
    };
    let (from, to) = (vec_of(&other), vec_of(&second));
    assert_eq!(from.len(), to.len());
    let mut spliced = second.clone();
    spliced[to].copy_from_slice(&other[from]);
    reseal(&mut spliced, &Repair::ALL);
    detected(&spliced, &by_key(), Clause::Sig2, "does not state");
    // A segment that no manifest lists, in front of the newest commit's own.
    for file in ["MAN-8", "PAY-3"] {
        let stored = std::fs::read(rvf_tests::fixtures().join(format!("corrupt/{file}.rvf"))).unwrap();
        let clause = *Clause::ALL.iter().find(|clause| clause.id() == file).unwrap();
        detected(&stored, &Trust::default(), clause, "");
    }
    // Padding with fresh hashes, in a signed file.
    let mut padded = third.clone();
    let vec = vec_of(&padded);
    padded[vec.end - 1] = 1;
    reseal(&mut padded, &Repair::ALL);
    detected(&padded, &by_key(), Clause::Pay3, "");
    detected(&padded, &by_key(), Clause::Sig2, "does not state");
}

#[test]
fn time_that_goes_backwards_is_reported_and_no_finding() {
    let place = MemoryPlace::default();
    drop(store(&place, None));
    let open =
        OpenOptions { clock: Clock::Fixed(1 << 59), signer: Some(Arc::new(signing_key())), ..Default::default() };
    Db::open_with(Arc::new(place.clone()), PATH, &open).unwrap().add(&[7.0f32, 8.0]).unwrap();
    assert_eq!(honest(&bytes(&place), &by_key()).backwards, [2]);
}

#[test]
fn checkpoints_of_others_prove_nothing() {
    let [.., third] = signed();
    let other_file = signing_key().sign(&Statement { file_id: [9; 16], ..newest_note(&third).statement().clone() });
    detected(&third, &having_seen(other_file.unwrap()), Clause::Sig5, "other file");
    let by_other = other_key().sign(newest_note(&third).statement()).unwrap();
    detected(&third, &having_seen(by_other), Clause::Sig5, "is not signed by a key that was given");
    assert!(Note::parse(&vec![b'a'; MAX_NOTE + 1]).is_err());
}

#[test]
fn the_trust_folder_remembers_and_is_not_believed_blindly() {
    let home = tempfile::tempdir().unwrap();
    let trust = || Trust { folder: Some(TrustFolder::at(home.path().join("trust"))), ..by_key() };
    let [first, second, third] = signed();
    let judged = honest(&second, &trust());
    assert_eq!((judged.freshness, judged.remembered.len()), (Freshness::Unknown, 1));
    assert_eq!(honest(&second, &trust()).freshness, Freshness::Current);
    assert_eq!(detected(&first, &trust(), Clause::Sig5, "rollback").freshness, Freshness::Stale);
    assert_eq!(honest(&third, &trust()).freshness, Freshness::Current);
    detected(&second, &trust(), Clause::Sig5, "rollback");
    // Without a key nothing is read and nothing written.
    let keyless = Trust { keys: Vec::new(), ..trust() };
    assert_eq!(honest(&first, &keyless).freshness, Freshness::Unknown);
    // Poisoned: each is told, none is written over, and nothing is taken for fresh.
    let file = std::fs::read_dir(home.path().join("trust")).unwrap().next().unwrap().unwrap().path();
    let statement = newest_note(&third).statement().clone();
    let poisons = [
        vec![b'x'; MAX_NOTE + 1],
        b"rvf/no\n".to_vec(),
        other_key().sign(&statement).unwrap().render().into_bytes(),
        signing_key().sign(&Statement { file_id: [9; 16], ..statement }).unwrap().render().into_bytes(),
    ];
    for poison in poisons {
        std::fs::write(&file, &poison).unwrap();
        let judged = detected(&third, &trust(), Clause::Sig5, "not to be believed");
        assert_eq!((judged.freshness, judged.remembered.len()), (Freshness::Unknown, 0));
        assert!(std::fs::read(&file).unwrap() == poison);
    }
    // A damaged file is never remembered.
    std::fs::remove_file(&file).unwrap();
    let [.., mut damaged] = signed();
    let at = damaged.len() / 2;
    damaged[at] ^= 1;
    let (findings, judged) = found(&damaged, &trust());
    assert!(!findings.is_empty() && judged.remembered.is_empty() && !file.exists());
}

/// Every bit of a signed file counts: whatever is flipped is a finding, or makes the file none of ours.
#[test]
fn every_bit_of_a_signed_file_is_detected() {
    let place = MemoryPlace::default();
    store(&place, Some(Arc::new(signing_key())));
    let mut file = bytes(&place);
    assert!(file.len() <= 32 << 10, "{}", file.len());
    for bit in 0..file.len() * 8 {
        file[bit / 8] ^= 1 << (bit % 8);
        let detected = match verify(&Bytes::from(&file[..]), &mut |_, _| {}) {
            Err(_) => true,
            Ok(report) => !report.findings.is_empty() || !judge(&report, &by_key()).unwrap().findings.is_empty(),
        };
        assert!(detected, "bit {bit}");
        file[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Honest work under every kind of commit, judged after each against all that was seen before.
#[test]
fn honest_histories_are_never_suspected() {
    let place = MemoryPlace::default();
    let home = tempfile::tempdir().unwrap();
    let trust = Trust { folder: Some(TrustFolder::at(home.path())), ..by_key() };
    let mut db = store(&place, Some(Arc::new(signing_key())));
    let mut seen: Vec<Note> = Vec::new();
    for step in 0..150u64 {
        match step % 50 {
            20 => drop(db.compact(&CompactOptions { keep: 3, output: None }).unwrap()),
            33 => drop(db.delete(&[(step / 2).into()]).unwrap()),
            40 => drop(
                db.branch("child.rvf", &rvf_engine::BranchOptions::default())
                    .map(|_| place.remove(Path::new("child.rvf"))),
            ),
            _ => drop(db.add(&[step as f32, 1.0]).unwrap()),
        }
        let file = bytes(&place);
        let judged = honest(&file, &trust);
        assert_eq!(judged.freshness, if step == 0 { Freshness::Unknown } else { Freshness::Current }, "step {step}");
        seen.push(newest_note(&file));
        for note in [&seen[0], &seen[seen.len() / 2]] {
            honest(&file, &having_seen(note.clone()));
        }
    }
    assert_eq!(db.snapshot().notes().unwrap().len() as u64, db.snapshot().epoch());
}

/// A branch's signature covers which state of its parent it stands on; another file in the parent's place is refused.
#[test]
fn a_parent_that_is_swapped_is_refused() {
    let place = MemoryPlace::default();
    let mut db = store(&place, Some(Arc::new(signing_key())));
    db.add(&[1.0f32, 2.0]).unwrap();
    let options = rvf_engine::BranchOptions::default();
    db.branch("child.rvf", &options).unwrap();
    drop(db);
    let other = MemoryPlace::default();
    store(&other, Some(Arc::new(signing_key()))).add(&[3.0f32, 4.0]).unwrap();
    place.put(Path::new(PATH), bytes(&other));
    let opened = rvf_engine::Reader::open_with(Arc::new(place), "child.rvf", rvf_engine::ReadMode::Mapped);
    assert!(matches!(opened.map(drop), Err(rvf_engine::Error::Parent(_))));
}

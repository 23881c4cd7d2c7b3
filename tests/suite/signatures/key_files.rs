//! Key files: damaged, exchanged, exposed, none at all. Nothing of them is taken for a key.

use rvf_engine::{Error, KeyFault, KeyId, PublicKey, SecretKey};
use rvf_format::key_file::{KeyFileFault, PublicKeyFile, SecretKeyFile};
use rvf_tests::signed::{key, seeds};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zerocopy::IntoBytes;

/// Files of a key pair in a folder of their own: the secret one, the public one.
fn saved(number: u8) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (secret, public) = key(number).save(&folder.path().join("a")).unwrap();
    (folder, secret, public)
}

/// Reads a key file of the kind that its name says.
fn load(path: &Path) -> Result<KeyId, Error> {
    match path.extension().unwrap() == "key" {
        true => SecretKey::load(path).map(|key| key.public().id()),
        false => PublicKey::load(path).map(|key| key.id()),
    }
}

fn fault(path: &Path) -> KeyFileFault {
    let error = load(path).unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), ("key_file", 4), "{error}");
    match error {
        Error::Key(error) => match error.fault {
            KeyFault::File(fault) => fault,
            other => panic!("{other:?}"),
        },
        other => panic!("{other}"),
    }
}

/// Replaces a file's bytes; its permissions stay.
fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn every_bit_matters() {
    let (_folder, secret, public) = saved(3);
    for path in [&secret, &public] {
        let sound = std::fs::read(path).unwrap();
        // In place: replacing the whole file takes a hundred times as long.
        let mut file = File::options().write(true).open(path).unwrap();
        let mut put = |at: usize, byte: u8| {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&[byte]).unwrap();
        };
        for (at, byte) in sound.iter().enumerate() {
            let expected = match at {
                0..8 => KeyFileFault::NotAKey,
                8..10 => KeyFileFault::Version,
                _ => KeyFileFault::Checksum,
            };
            for bit in 0..8 {
                put(at, byte ^ 1 << bit);
                assert_eq!(fault(path), expected, "byte {at}, bit {bit}");
            }
            put(at, *byte);
        }
        assert_eq!(load(path).unwrap(), key(3).public().id());
    }
}

#[test]
fn every_length_matters() {
    let (_folder, secret, public) = saved(3);
    for path in [&secret, &public] {
        let sound = std::fs::read(path).unwrap();
        let wrong = KeyFileFault::Length { expected: sound.len() };
        let file = File::options().write(true).open(path).unwrap();
        for length in (0..sound.len()).rev() {
            file.set_len(length as u64).unwrap();
            assert_eq!(fault(path), if length < 8 { KeyFileFault::NotAKey } else { wrong }, "length {length}");
        }
        for more in [&b"\n"[..], &[0; 1 << 20]] {
            overwrite(path, &[&sound[..], more].concat());
            assert_eq!(fault(path), wrong);
        }
    }
}

/// With right checksums, files still have to be those of one key pair.
#[test]
fn files_of_one_kind_or_key_are_not_taken_for_another() {
    let (_folder, secret, public) = saved(3);
    let [first, second] = seeds(3);
    let confused = SecretKeyFile::new(&first, &second, key(4).public().id().0);
    overwrite(&secret, confused.as_bytes());
    assert_eq!(fault(&secret), KeyFileFault::KeyId);
    let exchanged = SecretKeyFile::new(&second, &first, key(3).public().id().0);
    overwrite(&secret, exchanged.as_bytes());
    assert_eq!(fault(&secret), KeyFileFault::KeyId);
    overwrite(&secret, &std::fs::read(&public).unwrap());
    assert_eq!(fault(&secret), KeyFileFault::IsPublic);
    overwrite(&public, confused.as_bytes());
    assert_eq!(fault(&public), KeyFileFault::IsSecret);
    overwrite(&public, b"-----BEGIN PUBLIC KEY-----\n");
    assert_eq!(fault(&public), KeyFileFault::NotAKey);
}

/// Of a key of small order everyone makes signatures, and one key must have one form: such files do not load.
#[test]
fn public_keys_that_prove_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    // The coordinate y, little-endian, and the sign of x in the last bit; p is 2^255 - 19.
    let small = |y: u8| {
        let mut key = [0; 32];
        key[0] = y;
        key
    };
    let beyond_p = |more: u8| {
        let mut key = [0xFF; 32];
        (key[0], key[31]) = (0xED + more, 0x7F);
        key
    };
    let keys = [
        ("neutral element", small(1)),
        ("neutral element, not reduced", beyond_p(1)),
        ("of order 4", small(0)),
        ("no point", small(2)),
        ("of large order, not reduced", beyond_p(3)),
    ];
    let path = folder.path().join("a.pub");
    for (what, key) in keys {
        overwrite(&path, PublicKeyFile::new(&key, &[7; 1952]).as_bytes());
        assert_eq!(fault(&path), KeyFileFault::WeakKey, "{what}");
    }
    overwrite(&path, PublicKeyFile::new(&small(3), &[7; 1952]).as_bytes());
    load(&path).expect("3 is a point of large order");
}

#[test]
fn saving_writes_both_files_or_none_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let names = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for taken in ["v1.2.key", "v1.2.pub"] {
        let path = folder.path().join(taken);
        overwrite(&path, b"mine");
        let error = key(1).save(&folder.path().join("v1.2")).unwrap_err();
        assert!(matches!(&error, Error::Exists { path } if path.ends_with(taken)), "{error}");
        assert_eq!(names(), [taken]);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        std::fs::remove_file(path).unwrap();
    }
    key(1).save(&folder.path().join("v1.2")).unwrap();
    assert_eq!(names(), ["v1.2.key", "v1.2.pub"]);
    assert!(matches!(key(1).save(&folder.path().join("no/folder")), Err(Error::Io { .. })));
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!("{:?} {:#?}", key(1), key(1));
    assert_eq!(printed, format!("SecretKey({0}) SecretKey({0})", key(1).public().id()));
}

#[cfg(unix)]
#[test]
fn a_secret_key_is_for_its_owner_only() {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    let (_folder, secret, public) = saved(1);
    assert_eq!(metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    for open in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777] {
        set_permissions(&secret, Permissions::from_mode(open)).unwrap();
        let error = load(&secret).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), ("key_exposed", 4), "mode {open:o}");
        assert!(error.hint().contains("chmod 600"), "{}", error.hint());
    }
    set_permissions(&secret, Permissions::from_mode(0o400)).unwrap();
    load(&secret).unwrap();
    set_permissions(&public, Permissions::from_mode(0o644)).unwrap();
    load(&public).unwrap();
}

/// A pipe that nobody writes to keeps who opens it waiting: it is not opened.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_at_once() {
    use std::sync::mpsc::channel;
    use std::time::Duration;
    let folder = tempfile::tempdir().unwrap();
    for name in ["folder.key", "folder.pub", "pipe.key", "pipe.pub"] {
        let path = folder.path().join(name);
        let command = if name.starts_with("pipe") { "mkfifo" } else { "mkdir" };
        assert!(std::process::Command::new(command).arg(&path).status().unwrap().success());
        let (send, receive) = channel();
        // Not joined: where this test fails, it waits forever.
        std::thread::spawn(move || send.send(load(&path)));
        let answer = receive.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("{name} hangs"));
        let error = answer.unwrap_err();
        assert!(matches!(&error, Error::Io { path, .. } if path.ends_with(name)), "{error}");
    }
}

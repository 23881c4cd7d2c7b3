//! Published vectors (`fixtures/vectors`, of Wycheproof, under the licence beside them; RFC 8032), and another implementation.

use super::from_hex;
use fips204::ml_dsa_65;
use fips204::traits::{KeyGen, SerDes, Signer, Verifier};
use rvf_engine::sign::algorithm::{Ed25519Public, Ed25519Secret, MlDsa65Public, MlDsa65Secret};
use rvf_engine::{Algorithm, Note, SignatureFault};
use rvf_tests::signed::{key, public_file, seeds, statement};
use serde_json::Value;
use std::cell::Cell;

const CONTEXT: &[u8] = b"rvf-checkpoint-v1";

/// Bytes of a case; `None` where it has none of this name.
fn bytes(case: &Value, name: &str) -> Option<Vec<u8>> {
    case[name].as_str().map(from_hex)
}

fn file(name: &str) -> Value {
    let path = rvf_tests::fixtures().join("vectors").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Every case of a file of Wycheproof's, with its group: `judge` says whether it passes, and must be right each time.
/// `valid` and `invalid` are how many there are: none is skipped.
fn wycheproof(name: &str, [valid, invalid]: [usize; 2], judge: impl Fn(&Value, &Value) -> bool) {
    let file = file(name);
    let mut judged = [0; 2];
    for group in file["testGroups"].as_array().unwrap() {
        for case in group["tests"].as_array().unwrap() {
            let expected = case["result"] == "valid";
            assert!(expected || case["result"] == "invalid", "{}", case["result"]);
            assert_eq!(judge(group, case), expected, "{name}, case {}: {}", case["tcId"], case["comment"]);
            judged[usize::from(!expected)] += 1;
        }
    }
    assert_eq!(judged, [valid, invalid], "{name}");
    assert_eq!(file["numberOfTests"].as_u64(), Some((valid + invalid) as u64), "{name}");
}

#[test]
fn ml_dsa_65_verifies_as_wycheproof_says() {
    wycheproof("mldsa_65_verify_test.json", [79, 131], |group, case| {
        // A key of another length is refused by its type.
        let Ok(key) = bytes(group, "publicKey").unwrap().try_into() else { return false };
        let context = bytes(case, "ctx").unwrap_or_default();
        let (message, signature) = (bytes(case, "msg").unwrap(), bytes(case, "sig").unwrap());
        MlDsa65Public::from_bytes(&key).verify(&message, &context, &signature)
    });
}

/// 17 cases give no message, only a hash of it (`mu`), one gives randomness: both go to the crate itself, since the engine signs
/// messages and is deterministic. Every signature, the randomized one too, is verified by the engine where it has a message.
#[test]
fn ml_dsa_65_signs_as_wycheproof_says() {
    let inner = Cell::new(0);
    wycheproof("mldsa_65_sign_seed_test.json", [101, 4], |group, case| {
        // A seed of another length is refused by its type.
        let Ok(seed) = <[u8; 32]>::try_from(bytes(group, "privateSeed").unwrap()) else { return false };
        let key = MlDsa65Secret::from_seed(&seed);
        assert_eq!(key.public().to_bytes().to_vec(), bytes(group, "publicKey").unwrap(), "case {}", case["tcId"]);
        let context = bytes(case, "ctx").unwrap_or_default();
        let made = match (bytes(case, "msg"), bytes(case, "rnd")) {
            (Some(message), None) => key.sign(&message, &context),
            (message, random) => {
                inner.set(inner.get() + 1);
                Some(sign_inside(&seed, case, message, random))
            }
        };
        let Some(made) = made else { return false };
        if let Some(message) = bytes(case, "msg") {
            assert!(key.public().verify(&message, &context, &made), "case {}", case["tcId"]);
        }
        made == bytes(case, "sig").unwrap()
    });
    assert_eq!(inner.get(), 18);
}

/// Signs a message with given randomness and no context, or a given `mu` without randomness.
fn sign_inside(seed: &[u8; 32], case: &Value, message: Option<Vec<u8>>, random: Option<Vec<u8>>) -> Vec<u8> {
    let key = ml_dsa::ExpandedSigningKey::<ml_dsa::MlDsa65>::from_seed(&(*seed).into());
    let signature = match (message, random) {
        (Some(message), Some(random)) => {
            let random: [u8; 32] = random.try_into().unwrap();
            // FIPS 204, algorithm 2: 0 for the pure variant, 0 for the length of the context.
            key.sign_internal(&[&[0, 0], &message], &random.into())
        }
        _ => {
            let mu: [u8; 64] = bytes(case, "mu").unwrap().try_into().unwrap();
            key.sign_mu_deterministic(&mu.into())
        }
    };
    signature.encode().to_vec()
}

#[test]
fn ed25519_verifies_as_wycheproof_says() {
    wycheproof("ed25519_test.json", [88, 63], |group, case| {
        let key = bytes(&group["publicKey"], "pk").unwrap().try_into().unwrap();
        let Some(key) = Ed25519Public::from_bytes(&key) else { return false };
        key.verify(&bytes(case, "msg").unwrap(), &bytes(case, "sig").unwrap())
    });
}

/// The message of 1023 bytes of RFC 8032 stands in Wycheproof's file, too.
fn message_1024() -> Vec<u8> {
    let file = file("ed25519_test.json");
    let cases = file["testGroups"].as_array().unwrap().iter().flat_map(|group| group["tests"].as_array().unwrap());
    let mut found = cases.filter(|case| case["comment"].as_str().unwrap().ends_with(": Test 1024"));
    bytes(found.next().unwrap(), "msg").unwrap()
}

/// RFC 8032, section 7.1: seed, public key, message, signature.
#[test]
fn ed25519_signs_as_the_rfc_says() {
    let cases = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
        [
            "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
            "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
            &rvf_format::digest::hex(&message_1024()),
            "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03",
        ],
        [
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ],
    ];
    for [seed, public, message, signature] in cases {
        let key = Ed25519Secret::from_seed(&from_hex(seed).try_into().unwrap());
        assert_eq!(rvf_format::digest::hex(&key.public().to_bytes()), public);
        assert_eq!(key.sign(&from_hex(message)), from_hex(signature));
        assert!(key.public().verify(&from_hex(message), &from_hex(signature)));
    }
}

/// What one implementation signs the other verifies, under the same context string and no other.
#[test]
fn another_implementation_agrees() {
    for number in 0..20 {
        let [_, seed] = seeds(number);
        let (public, secret) = ml_dsa_65::KG::keygen_from_seed(&seed);
        let own = key(number);
        let note = own.sign(&statement(number)).unwrap();
        let text = note.text().as_bytes();
        let ours = note.signatures()[1].signature.as_slice().try_into().unwrap();
        assert!(public.verify(text, &ours, CONTEXT), "key {number}");
        assert!(!public.verify(text, &ours, b""), "key {number}");
        let judged = |context: &[u8]| {
            let theirs = secret.try_sign_with_seed(&[number; 32], text, context).unwrap();
            let mut lines = note.signatures().to_vec();
            // Without randomness there is one signature only, which both find.
            assert_eq!(lines[1].signature == theirs, number == 0 && context == CONTEXT, "key {number}");
            lines[1].signature = theirs.to_vec();
            own.public().verify(&Note::new(statement(number), lines).unwrap())
        };
        assert_eq!(judged(CONTEXT), Ok(()), "key {number}");
        assert_eq!(judged(b""), Err(SignatureFault::Wrong(Algorithm::MlDsa65)), "key {number}");
        assert_eq!(judged(b"rvf-checkpoint-v2"), Err(SignatureFault::Wrong(Algorithm::MlDsa65)), "key {number}");
        assert_eq!(public_file(&own)[0x30..0x7D0], public.into_bytes(), "key {number}");
    }
}

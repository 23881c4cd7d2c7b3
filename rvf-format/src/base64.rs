//! Base64 as signed notes use it (RFC 4648, section 4): the standard alphabet, padded, one text for one sequence of bytes.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes `bytes` at the end of `text`.
pub fn encode_into(text: &mut String, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let word = group.iter().enumerate().fold(0, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= group.len() { char::from(digit) } else { '=' });
        }
    }
}

/// The bytes of a text that [`encode_into`] writes; `None` for any other text: another length, alphabet or padding, bits set that
/// no byte has.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let (groups, rest) = text.as_bytes().as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(groups.len() * 3);
    let Some((last, before)) = groups.split_last() else { return Some(bytes) };
    for group in before {
        bytes.extend_from_slice(&word(group)?.to_be_bytes()[1..]);
    }
    let padding = last.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let mut digits = *last;
    digits[4 - padding..].fill(b'A');
    let [_, three @ ..] = word(&digits)?.to_be_bytes();
    let (kept, cut) = three.split_at(3 - padding);
    bytes.extend_from_slice(kept);
    cut.iter().all(|byte| *byte == 0).then_some(bytes)
}

/// The 24 bits of four digits.
fn word(digits: &[u8; 4]) -> Option<u32> {
    digits.iter().try_fold(0, |word, digit| Some(word << 6 | value(*digit)?))
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(bytes: &[u8]) -> String {
        let mut text = String::new();
        encode_into(&mut text, bytes);
        text
    }

    /// RFC 4648, section 10.
    #[test]
    fn published_pairs() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(encode(&[0xFB, 0xFF, 0xBF]), "+/+/");
    }

    #[test]
    fn other_texts_of_the_same_bytes_are_refused() {
        for text in [
            "Zh==", "Zm9=", "Zg", "Zg=", "Zg===", "Z===", "====", "Zg==Zg==", "Zm9v=", "Zm9v\n", " Zg==", "-_-_",
            "Zgé=",
        ] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        #[test]
        fn bytes_come_back(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "[A-Ca-c/+=]{0,13}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}

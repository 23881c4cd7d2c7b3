//! CRYPTO: signed notes about commits of the file (`spec/audit.md`). Whether a signature is right is not judged here.

use crate::build::Draft;
use crate::manifest::ManifestEntry;
use crate::note::Note;
use crate::segment::Payload;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result};
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::U32;

/// Section of the notes, one after another.
const TAG_NOTES: u32 = 1;
/// Section of their ends, u32 from the start of the notes.
const TAG_ENDS: u32 = 2;

/// Signature lines of a stored note: one of each algorithm.
const LINES: usize = 2;

/// A draft of a CRYPTO segment with notes by ascending epoch; its manifest entry will name the epoch of the last, and how many they are.
pub fn draft(notes: &[Note]) -> Draft<'static> {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for note in notes {
        bytes.extend_from_slice(note.render().as_bytes());
        ends.push(U32::new(bytes.len() as u32));
    }
    let newest = notes.last().map_or(0, |note| note.statement().epoch);
    Draft::new(Kind::CRYPTO, 1)
        .rows(newest, notes.len() as u32)
        .section(TAG_NOTES, bytes)
        .section(TAG_ENDS, ends.as_bytes().to_vec())
}

/// The notes of a CRYPTO segment.
///
/// # Errors
/// PAY-1, PAY-2, PAY-6, SIG-1.
pub fn parse(segment: Bytes, entry: &ManifestEntry) -> Result<Vec<Note>> {
    let at = entry.offset.get();
    let payload = Payload::parse(segment, at, Kind::CRYPTO, &[1])?;
    let (notes, ends) = (payload.required(TAG_NOTES)?, payload.required(TAG_ENDS)?);
    let place = payload.place_of(TAG_NOTES);
    let wrong = |at: usize, what| Error::corrupt(Clause::Sig1, place + at as u64, what);
    let cut = "the ends of notes do not ascend to the end of the notes";
    let ends: &[U32] = ends.as_slice().filter(|ends: &&[U32]| !ends.is_empty()).ok_or(wrong(0, cut))?;
    if ends.last().map(|end| end.get() as usize) != Some(notes.len()) {
        return Err(wrong(0, cut));
    }
    let mut found: Vec<Note> = Vec::new();
    let mut start = 0;
    for end in ends {
        let end = end.get() as usize;
        let bytes = notes.get(start..end).filter(|bytes| !bytes.is_empty()).ok_or(wrong(start, cut))?;
        let note = Note::parse(bytes).map_err(|_| wrong(start, "a signed note is malformed"))?;
        check(&note).map_err(|what| wrong(start, what))?;
        if found.last().is_some_and(|last| last.statement().epoch >= note.statement().epoch) {
            return Err(wrong(start, "the epochs of notes do not ascend"));
        }
        found.push(note);
        start = end;
    }
    let newest = found.last().map_or(0, |note| note.statement().epoch);
    if (entry.base_row.get(), entry.rows.get() as usize) != (newest, found.len()) {
        return Err(wrong(0, "a CRYPTO segment holds other notes than its manifest entry names"));
    }
    Ok(found)
}

/// A note in a file has two signature lines, of one signer.
fn check(note: &Note) -> core::result::Result<(), &'static str> {
    match note.signatures() {
        lines if lines.len() != LINES => Err("a signed note has not the two signature lines of its policy"),
        [first, second] if first.name != second.name => Err("the signature lines of a note are of two signers"),
        _ => Ok(()),
    }
}

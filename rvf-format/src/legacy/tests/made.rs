//! Writes small files in the published dialect, sound unless a field says otherwise.

use super::super::hash::{fold, tail_fold, xxh3};

/// A file under construction: segments one after the other, each padded to 64.
#[derive(Clone, Default)]
pub(super) struct Made {
    pub(super) bytes: Vec<u8>,
    pub(super) directory: Vec<(u64, u64, u64, u8)>,
}

/// The fields of a manifest, all of them free to lie.
#[derive(Clone)]
pub(super) struct ManifestFields {
    pub(super) dimension: u16,
    pub(super) metric: u8,
    pub(super) total: u64,
    /// Overrides the length of the directory.
    pub(super) segments: Option<u32>,
    pub(super) deleted: Vec<u64>,
    /// Overrides the length of the list of deleted ids.
    pub(super) deletions: Option<u32>,
    pub(super) file_id: [u8; 16],
    pub(super) parent_id: [u8; 16],
    pub(super) after: Vec<u8>,
}

impl ManifestFields {
    pub(super) fn new(dimension: u16, total: u64) -> Self {
        Self {
            dimension,
            metric: 0,
            total,
            segments: None,
            deleted: Vec::new(),
            deletions: None,
            file_id: [1; 16],
            parent_id: [0; 16],
            after: Vec::new(),
        }
    }
}

impl Made {
    /// Appends a segment with a true hash, and names it in the directory.
    pub(super) fn segment(&mut self, kind: u8, payload: &[u8]) -> &mut Self {
        let at = self.raw(kind, payload);
        self.directory.push((at.1, at.0, payload.len() as u64, kind));
        self
    }

    /// Appends a segment without naming it; gives its offset and id.
    pub(super) fn raw(&mut self, kind: u8, payload: &[u8]) -> (u64, u64) {
        let (at, id) = (self.bytes.len(), self.directory.len() as u64 + 1);
        let mut header = [0; 64];
        header[..5].copy_from_slice(b"SFVR\x01");
        header[5] = kind;
        header[8..16].copy_from_slice(&id.to_le_bytes());
        header[16..24].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        header[32] = 1;
        header[40..56].copy_from_slice(&xxh3(payload));
        self.bytes.extend(header);
        self.bytes.extend(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(64), 0);
        (at as u64, id)
    }

    /// Appends a VEC whose vectors hold one value throughout.
    pub(super) fn vectors(&mut self, dimension: u16, rows: &[(u64, f32)]) -> &mut Self {
        self.segment(1, &vectors(dimension, rows.len() as u32, rows))
    }

    /// Ends the file with a manifest.
    pub(super) fn manifest(&mut self, fields: &ManifestFields) -> Vec<u8> {
        let mut payload = 3u32.to_le_bytes().to_vec();
        payload.extend(fields.dimension.to_le_bytes());
        payload.extend(fields.total.to_le_bytes());
        payload.extend(fields.segments.unwrap_or(self.directory.len() as u32).to_le_bytes());
        payload.extend([0, fields.metric, 0, 0]);
        for (id, at, len, kind) in &self.directory {
            [id, at, len].iter().for_each(|number| payload.extend(number.to_le_bytes()));
            payload.push(*kind);
        }
        payload.extend(fields.deletions.unwrap_or(fields.deleted.len() as u32).to_le_bytes());
        fields.deleted.iter().for_each(|id| payload.extend(id.to_le_bytes()));
        payload.extend(b"IDIF");
        payload.extend(fields.file_id);
        payload.extend(fields.parent_id);
        payload.extend([0; 36]);
        payload.extend(&fields.after);
        self.raw(5, &payload);
        self.bytes.clone()
    }
}

/// A VEC payload that claims `count` rows.
pub(super) fn vectors(dimension: u16, count: u32, rows: &[(u64, f32)]) -> Vec<u8> {
    let mut payload = dimension.to_le_bytes().to_vec();
    payload.extend(count.to_le_bytes());
    for (id, value) in rows {
        payload.extend(id.to_le_bytes());
        (0..dimension).for_each(|_| payload.extend(value.to_le_bytes()));
    }
    payload
}

/// A COW_MAP payload with one cluster.
pub(super) fn cow_map(path: &str, parent_id: [u8; 16], parent: &[u8], tag: u8) -> Vec<u8> {
    let mut payload = b"MCVR\x01\0\0\0".to_vec();
    payload.extend([0; 8]);
    payload.extend(parent_id);
    payload.extend(tail_fold(parent));
    payload.extend([0; 9]);
    payload.extend((path.len() as u32).to_le_bytes());
    payload.extend(14u32.to_le_bytes());
    payload.extend(path.as_bytes());
    payload.extend([0, 1, 0, 0, 0, tag, 0, 0, 0, 0, 0, 0, 0, 0]);
    payload
}

/// A MEMBERSHIP payload over ids below 64.
pub(super) fn membership(mode: u8, vector_count: u64, bits: u64) -> Vec<u8> {
    let mut payload = b"BMVR\x01\0\0".to_vec();
    payload.push(mode);
    payload.extend(vector_count.to_le_bytes());
    payload.extend(u64::from(bits.count_ones()).to_le_bytes());
    payload.extend(96u64.to_le_bytes());
    payload.extend(8u32.to_le_bytes());
    payload.extend([0; 4]);
    payload.extend(fold(&bits.to_le_bytes()));
    payload.extend([0; 24]);
    payload.extend(bits.to_le_bytes());
    payload
}

/// Makes the hash of the segment at `at` true again.
pub(super) fn rehash(bytes: &mut [u8], at: usize) {
    let len = u64::from_le_bytes(bytes[at + 16..at + 24].try_into().unwrap()) as usize;
    let hash = xxh3(&bytes[at + 64..at + 64 + len]);
    bytes[at + 40..at + 56].copy_from_slice(&hash);
}

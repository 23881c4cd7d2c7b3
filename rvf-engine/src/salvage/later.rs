//! What was written behind the newest commit that can be proven: segments whose own hashes are right, live or not.
//!
//! Between two roots all segments were committed, so the deletions among them hold. Behind the newest root they count only if a
//! MANIFEST stands there, and deletions do not: whether that commit was ever complete cannot be told (TAIL-2). The metadata of a
//! segment's rows is the META that stands directly behind it: nothing else tells whose it is.

use super::Loss;
use super::ground::{Found, Ground};
use super::prove::Proof;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::vec::{TAG_FACTS, VecFacts};
use rvf_format::segment::Payload;
use rvf_format::{Dtype, IdType, Kind, Metric, Schema};
use std::collections::BTreeMap;

/// Segments behind the newest proven commit, apart from each other and from what is live there.
pub(super) struct Later {
    /// Those that undamaged manifests list.
    pub(super) listed: Vec<ManifestEntry>,
    /// Others whose content hashes are right; of DELTA, damaged ones too, with a hash that none has, and without rows.
    pub(super) found: Vec<ManifestEntry>,
    /// META of VEC segments among those, by the offset of the VEC. Damaged ones have a hash that none has.
    pub(super) metas: Vec<(u64, ManifestEntry)>,
    /// Offsets of VEC and JOURNAL segments whose content hashes are wrong.
    damaged: Vec<(u64, u64, &'static str)>,
    /// From where on nothing is proven.
    start: u64,
    end: u64,
    /// Whether bytes behind the newest root are taken for a commit.
    tail: bool,
}

impl Later {
    pub(super) fn find(ground: &Ground, proof: Option<&Proof>) -> Self {
        let start = proof.map_or(0, |proof| proof.state.root.end());
        let behind = proof.map_or(0, |proof| proof.mark + 1);
        let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
        let live = proof.map_or(&[][..], |proof| &proof.state.live);
        taken.extend(live.iter().map(|entry| (entry.offset.get(), entry.end())));
        let mut listed = Vec::new();
        for mark in ground.marks.get(behind..).unwrap_or_default() {
            let added = mark.commit.iter().flat_map(|commit| &commit.manifest.added);
            listed.extend(added.filter(|entry| of_rows(entry.kind())).filter(|entry| take(&mut taken, entry)));
        }
        let file_end = ground.file.len() as u64;
        let tail = ground.marks.is_empty() || ground.holds_manifest(ground.end(), file_end);
        let (found, metas, damaged) = Default::default();
        let mut later = Self { listed, found, metas, damaged, start, end: ground.end(), tail };
        later.search(ground, proof, &mut taken);
        later
    }

    /// Segments that no undamaged manifest lists.
    fn search(&mut self, ground: &Ground, proof: Option<&Proof>, taken: &mut BTreeMap<u64, u64>) {
        let mut next_row = proof.map_or(0, |proof| proof.state.root.next_row.get());
        let mut marks = ground.marks.iter().peekable();
        // The VEC segment that the next one may belong to, and where that one would stand.
        let (mut vectors, mut behind) = (None, 0);
        for found in ground.between(self.start, u64::MAX) {
            while let Some(mark) = marks.next_if(|mark| mark.root.own_offset.get() < found.at) {
                next_row = next_row.max(mark.root.next_row.get());
            }
            let (kind, is_tail) = (found.header.kind(), found.at >= self.end);
            let before: Option<ManifestEntry> = vectors.take().filter(|_| found.at == behind);
            behind = found.at + found.header.length();
            if matches!(kind, Kind::TREE | Kind::FILLER) {
                vectors = before;
            }
            let wanted = matches!(kind, Kind::VEC | Kind::META | Kind::DELTA) || (kind == Kind::JOURNAL && !is_tail);
            if !wanted || taken.contains_key(&found.at) || (is_tail && !self.tail) {
                continue;
            }
            match ground.derive(found, &mut next_row) {
                // One of form 1 is about the file.
                Some(entry) if kind == Kind::META && entry.rows.get() == 0 => {}
                Some(entry) if kind == Kind::META => self.take_meta(before, entry, taken),
                Some(entry) if take(taken, &entry) => {
                    self.found.push(entry);
                    vectors = (kind == Kind::VEC).then_some(entry);
                }
                Some(_) => {}
                None if kind == Kind::META => self.take_meta(before, damaged(found), taken),
                None if kind == Kind::DELTA => {
                    self.found.extend(Some(damaged(found)).filter(|entry| take(taken, entry)))
                }
                None => {
                    self.damaged.push((found.header.segment_id.get(), found.at, kind.name().unwrap_or("UNKNOWN")));
                }
            }
        }
    }

    /// Takes a META that stands directly behind a VEC segment, if it is one of as many rows, or damaged.
    fn take_meta(&mut self, vectors: Option<ManifestEntry>, mut meta: ManifestEntry, taken: &mut BTreeMap<u64, u64>) {
        let Some(vectors) = vectors.filter(|vectors| [0, vectors.rows.get()].contains(&meta.rows.get())) else {
            return;
        };
        meta.base_row = vectors.base_row;
        if take(taken, &meta) {
            self.metas.push((vectors.offset.get(), meta));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.found.is_empty()
    }

    /// What vectors are like, where no root tells: as the first segment of them says.
    pub(super) fn schema(&self, ground: &Ground) -> Option<Schema> {
        let entry = self.found.iter().find(|entry| entry.kind() == Kind::VEC)?;
        let bytes = ground.bytes(entry.offset.get(), entry.length.get())?;
        let facts: VecFacts = Payload::parse(bytes, entry.offset.get(), Kind::VEC, &[1]).ok()?.facts(TAG_FACTS).ok()?;
        let dtype = Dtype::from_code(facts.dtype)?;
        let metric = if dtype == Dtype::Binary { Metric::Hamming } else { Metric::L2 };
        let id_type = IdType::from_code(facts.id_type)?;
        let schema = Schema { dimension: facts.dimension.get(), dtype, metric, id_type };
        schema.check().is_ok().then_some(schema)
    }

    /// Says what is not known of commits behind the newest proven one.
    pub(super) fn explain(&self, ground: &Ground, proof: Option<&Proof>, lost: &mut Vec<Loss>) {
        for (segment, at, kind) in &self.damaged {
            let message = match *kind {
                "VEC" => "bytes are damaged, and no manifest or hash tree tells which: its rows are lost",
                _ => "the deletions recorded in it are unknown: some of the records written may have been deleted",
            };
            lost.push(Loss { segment: Some(*segment), ..Loss::at(kind, *at, message) });
        }
        let proven = proof.map(|proof| proof.state.root.epoch());
        let newest = ground.marks.last().map(|mark| mark.root.epoch());
        if newest.is_none() {
            let message = "no root is whole, so no commit can be proven: records are written by the hashes of their \
                           segments; some of them may be old versions or deleted, and so may their metadata";
            lost.push(Loss::at("ROOT", 0, message));
        } else if newest != proven {
            let (first, last) = (proven.map_or(1, |epoch| epoch + 1), newest.unwrap_or_default());
            let message = format!(
                "manifests are damaged: what was live at epochs {first} to {last} cannot be proven. Records from them whose own \
                 hashes are right are written; some of them may be old versions or deleted, and so may their metadata"
            );
            lost.push(Loss::at("MANIFEST", self.start, message));
        }
        self.explain_tail(ground, lost);
    }

    fn explain_tail(&self, ground: &Ground, lost: &mut Vec<Loss>) {
        let length = (ground.file.len() as u64).saturating_sub(self.end);
        if length == 0 || ground.marks.is_empty() {
            return;
        }
        let message = match self.tail {
            true => format!(
                "{length} bytes behind the newest root hold a manifest: a commit was interrupted in its last step, or its root is \
                 damaged. Its records whose hashes are right are written, its deletions are not applied"
            ),
            false => format!(
                "{length} bytes behind the newest root are no commit and are left out: one was interrupted, or the file is cut"
            ),
        };
        lost.push(Loss::at("TAIL", self.end, message));
    }
}

fn of_rows(kind: Kind) -> bool {
    matches!(kind, Kind::VEC | Kind::JOURNAL | Kind::META | Kind::DELTA | Kind::TREE)
}

/// The entry of a segment whose content hash is wrong: with a hash that none has.
fn damaged(found: &Found) -> ManifestEntry {
    let mut entry = ManifestEntry::zeroed();
    (entry.segment_id, entry.kind) = (found.header.segment_id, found.header.kind);
    entry.offset.set(found.at);
    entry.length.set(found.header.length());
    entry
}

/// Takes the bytes of a segment, unless another one has some of them: work on all of them is bounded by the file's length.
fn take(taken: &mut BTreeMap<u64, u64>, entry: &ManifestEntry) -> bool {
    let (start, end) = (entry.offset.get(), entry.end());
    let before = taken.range(..=start).next_back().is_some_and(|(_, other)| *other > start);
    let after = taken.range(start..).next().is_some_and(|(other, _)| *other < end);
    let free = !before && !after && start < end;
    if free {
        taken.insert(start, end);
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_once() {
        let mut taken = BTreeMap::new();
        let mut entry = ManifestEntry::zeroed();
        for (start, length, free) in
            [(8, 8, true), (8, 8, false), (12, 2, false), (4, 5, false), (4, 4, true), (16, 0, false)]
        {
            entry.offset.set(start);
            entry.length.set(length);
            assert_eq!(take(&mut taken, &entry), free, "{start} {length}");
        }
    }
}

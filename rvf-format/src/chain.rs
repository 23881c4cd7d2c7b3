//! From a root to what is live at it: the chain of manifests back to a full one, and the history of roots.

use crate::limits::{FULL_EVERY, PAGE};
use crate::manifest::{Facts, ManifestEntry};
use crate::recover::{Commit, commit_at, root_at};
use crate::root::RootPage;
use crate::state::state_hash;
use crate::storage::Bytes;
use crate::{Clause, Error, Kind, Result, Schema};
use std::collections::BTreeMap;

/// Everything that a root says, with its live segments.
#[derive(Clone, Debug)]
pub struct State {
    /// The root.
    pub root: RootPage,
    /// Its schema.
    pub schema: Schema,
    /// Live segments by ascending segment id.
    pub live: Vec<ManifestEntry>,
    /// Facts by tag.
    pub facts: Facts,
}

/// Live segments and facts while manifests are applied one after another.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Live segments by id.
    pub live: BTreeMap<u64, ManifestEntry>,
    /// Facts by tag.
    pub facts: Facts,
}

impl State {
    /// The state of `commit`: its manifest and those before it, back to a full one, at most 64.
    ///
    /// # Errors
    /// ROOT-5, ROOT-6, MAN-1 to MAN-4, MAN-6, MAN-7.
    pub fn open(file: &Bytes, commit: Commit) -> Result<Self> {
        let schema = commit.root.schema()?;
        let root = commit.root;
        let mut chain = vec![commit];
        while let Some(last) = chain.last().filter(|last| !last.manifest.full) {
            let before = previous(file, last)?;
            if chain.len() as u32 >= FULL_EVERY {
                return Err(Error::corrupt(
                    Clause::Man2,
                    root.own_offset.get(),
                    "no full manifest among the newest 64",
                ));
            }
            chain.push(before);
        }
        let mut replay = Replay::default();
        for commit in chain.iter().rev() {
            replay.apply(commit)?;
        }
        Self::of_replay(root, schema, replay)
    }

    /// The state of `root`, whose live segments and facts the caller has found: right, if the root's state hash says so.
    ///
    /// # Errors
    /// MAN-4, MAN-6, MAN-7.
    pub fn of_replay(root: RootPage, schema: Schema, replay: Replay) -> Result<Self> {
        let state = Self { root, schema, live: replay.live.into_values().collect(), facts: replay.facts };
        state.check()?;
        Ok(state)
    }

    fn check(&self) -> Result<()> {
        check_apart(&self.live)?;
        check_rows(&self.live)?;
        if state_hash(&self.root, &self.facts, &self.live) != self.root.state_hash {
            let place = self.root.own_offset.get() + 0x150;
            return Err(Error::corrupt(
                Clause::Man7,
                place,
                "the live segments are not those of the root's state hash",
            ));
        }
        Ok(())
    }

    /// Live segments of a kind in space 0, by ascending id. What other spaces hold is for later versions.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &ManifestEntry> {
        self.live.iter().filter(move |entry| entry.kind() == kind && entry.space.get() == 0)
    }
}

impl Replay {
    /// Applies a manifest on top.
    ///
    /// # Errors
    /// MAN-2, MAN-3, MAN-4 (places only).
    pub fn apply(&mut self, commit: &Commit) -> Result<()> {
        let (root, manifest) = (&commit.root, &commit.manifest);
        let at = root.manifest_offset.get();
        if manifest.full != (root.since_full.get() == 0) || root.since_full.get() >= FULL_EVERY {
            return Err(Error::corrupt(
                Clause::Man2,
                root.own_offset.get() + 0x1D8,
                "a manifest is not what its root says it is",
            ));
        }
        if manifest.full {
            *self = Self::default();
        }
        for id in &manifest.removed {
            if self.live.remove(id).is_none() {
                return Err(Error::corrupt(Clause::Man3, at, "a manifest removes a segment that is not live"));
            }
        }
        for entry in &manifest.added {
            check_place(entry, root)?;
            if self.live.insert(entry.segment_id.get(), *entry).is_some() {
                return Err(Error::corrupt(Clause::Man3, at, "a manifest adds a segment that is live already"));
            }
        }
        for (tag, value) in &manifest.facts {
            match value.is_empty() {
                true => self.facts.remove(tag),
                false => self.facts.insert(*tag, value.clone()),
            };
        }
        Ok(())
    }
}

/// An entry lies on pages before its manifest.
fn check_place(entry: &ManifestEntry, root: &RootPage) -> Result<()> {
    let (offset, length) = (entry.offset.get(), entry.length.get());
    let end = offset.checked_add(length);
    let fits = offset % PAGE == 0
        && length % PAGE == 0
        && length >= PAGE
        && end.is_some_and(|end| end <= root.manifest_offset.get())
        && entry.kind() != Kind::MANIFEST;
    if fits {
        return Ok(());
    }
    Err(Error::corrupt(Clause::Man4, root.manifest_offset.get(), "a listed segment does not lie before its manifest"))
}

/// Listed segments do not share bytes: work on all of them is bounded by the file's length.
fn check_apart(live: &[ManifestEntry]) -> Result<()> {
    let mut ranges: Vec<(u64, u64)> = live.iter().map(|entry| (entry.offset.get(), entry.end())).collect();
    ranges.sort_unstable();
    match ranges.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        Some(pair) => Err(Error::corrupt(Clause::Man4, pair[1].0, "listed segments overlap")),
        None => Ok(()),
    }
}

/// Row ranges of VEC segments of one space are apart.
pub(crate) fn check_rows(live: &[ManifestEntry]) -> Result<()> {
    let mut ranges: Vec<_> = live
        .iter()
        .filter(|entry| entry.kind() == Kind::VEC)
        .map(|entry| (entry.space.get(), entry.base_row.get(), entry.end_row(), entry.offset.get()))
        .collect();
    ranges.sort_unstable();
    match ranges.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].2 > pair[1].1) {
        Some(pair) => Err(Error::corrupt(Clause::Man6, pair[1].3, "row ranges of two VEC segments overlap")),
        None => Ok(()),
    }
}

/// The commit before `commit`.
///
/// # Errors
/// ROOT-6 if there is none or it is not earlier, older and whole; MAN-2.
pub fn previous(file: &Bytes, commit: &Commit) -> Result<Commit> {
    let root = &commit.root;
    let place = root.own_offset.get() + 0x108;
    let broken = |what| Error::corrupt(Clause::Root6, place, what);
    let offset = root.previous_root.get();
    if offset == 0 {
        return Err(broken("an incremental manifest without a root before it"));
    }
    check_earlier(root)?;
    let before = commit_at(file, offset, root.file_id).map_err(|_| broken("the root before it is not whole"))?;
    if before.root.epoch() >= root.epoch() {
        return Err(broken("the root before it is not older"));
    }
    if !commit.manifest.full && before.root.since_full.get().checked_add(1) != Some(root.since_full.get()) {
        return Err(Error::corrupt(
            Clause::Man2,
            root.own_offset.get() + 0x1D8,
            "a manifest does not follow the one before",
        ));
    }
    Ok(before)
}

fn check_earlier(root: &RootPage) -> Result<()> {
    let end = root.previous_root.get().checked_add(PAGE);
    if end.is_some_and(|end| end <= root.manifest_offset.get()) {
        return Ok(());
    }
    Err(Error::corrupt(Clause::Root6, root.own_offset.get() + 0x108, "the root before it does not stand before it"))
}

/// Root pages from `root` back to the oldest kept, `root` first.
pub fn roots<'a>(file: &'a Bytes, root: &RootPage) -> impl Iterator<Item = Result<RootPage>> + 'a {
    let mut next = Some(Ok(*root));
    std::iter::from_fn(move || {
        let current = next.take()?;
        if let Ok(root) = &current {
            let (offset, epoch) = (root.previous_root.get(), root.epoch());
            if offset != 0 {
                next = Some(check_earlier(root).and_then(|()| older(file, offset, root.file_id, epoch)));
            }
        }
        Some(current)
    })
}

fn older(file: &Bytes, offset: u64, file_id: [u8; 16], epoch: u64) -> Result<RootPage> {
    let root = root_at(file, offset, file_id)?;
    if root.epoch() >= epoch {
        return Err(Error::corrupt(Clause::Root6, offset, "a root that is not older than the one after it"));
    }
    Ok(root)
}

/// The commit of `epoch`, looked for from `newest` back.
///
/// # Errors
/// [`Error::NoEpoch`]; those of reading roots and manifests.
pub fn at_epoch(file: &Bytes, newest: &RootPage, epoch: u64) -> Result<Commit> {
    for root in roots(file, newest) {
        let root = root?;
        if root.epoch() == epoch {
            return commit_at(file, root.own_offset.get(), root.file_id);
        }
        if root.epoch() < epoch {
            break;
        }
    }
    let oldest = roots(file, newest).map_while(Result::ok).last().map_or(newest.epoch(), |root| root.epoch());
    Err(Error::NoEpoch { epoch, oldest, newest: newest.epoch() })
}

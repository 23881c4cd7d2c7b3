//! What a medium holds after a log of operations, and every folder that a power failure may leave of it.
//!
//! What is assumed of the medium, no more:
//! - what a successful sync of a file covered is there: data and length;
//! - a later write is there or not, whole or torn at sectors of 512 bytes, in any order; the length that it gave the file is
//!   there or not on its own: a file may end in zeros where data is missing, data past the end is lost;
//! - what a failed sync covered may be there or not, and no later sync changes that: only writing it anew does;
//! - a created name, a rename, a removal is there or not, each on its own until the folder is synced; a rename is atomic. A sync of
//!   a file says nothing about its name.

use crate::oracle::Rng;
use rvf_format::digest;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that are written whole or not at all.
pub const SECTOR: usize = 512;

/// One thing that was asked of the place and done, or a note of the driver.
#[derive(Clone, Debug)]
pub enum Op<N> {
    /// A new file.
    Create { path: PathBuf, inode: usize },
    /// Bytes; `grows` is the length of the file after it where that is new.
    Write { inode: usize, at: u64, bytes: Arc<[u8]>, grows: Option<u64> },
    /// A new length.
    SetLen { inode: usize, length: u64 },
    /// Everything of the file so far is on the medium.
    Sync { inode: usize },
    /// The sync failed: what it covered is never written again.
    SyncFailed { inode: usize },
    /// A file got another name, in the place of what had it.
    Rename { from: PathBuf, to: PathBuf, inode: usize },
    /// A name is gone.
    Remove { path: PathBuf, inode: usize },
    /// All names so far are on the medium.
    SyncDir,
    /// What the driver notes between operations.
    Note(N),
}

/// The bytes of a file and their hash.
#[derive(Debug)]
pub struct Blob {
    /// All bytes.
    pub bytes: Vec<u8>,
    hash: [u8; 16],
}

impl Blob {
    /// Takes the bytes of a file.
    pub fn new(bytes: Vec<u8>) -> Arc<Self> {
        let hash = digest::xxh3_128(&bytes);
        Arc::new(Self { bytes, hash })
    }
}

/// A folder: files by their paths.
#[derive(Clone, Debug, Default)]
pub struct Folder(pub BTreeMap<PathBuf, Arc<Blob>>);

impl Folder {
    /// Equal for folders with the same names and bytes, and only then.
    pub fn hash(&self) -> [u8; 16] {
        let mut text = Vec::new();
        for (path, blob) in &self.0 {
            text.extend_from_slice(path.as_os_str().as_encoded_bytes());
            text.push(0);
            text.extend_from_slice(&blob.hash);
        }
        digest::xxh3_128(&text)
    }
}

/// Something that a power failure may leave undone.
#[derive(Clone, Debug)]
enum Change {
    Data { inode: usize, at: usize, bytes: Arc<[u8]> },
    Length { inode: usize, length: usize },
    Name { path: PathBuf, inode: usize },
    Rename { from: PathBuf, to: PathBuf, inode: usize },
    Remove { path: PathBuf, inode: usize },
}

impl Change {
    /// The file whose sync settles it; `None` where that is the folder's.
    fn inode(&self) -> Option<usize> {
        match self {
            Change::Data { inode, .. } | Change::Length { inode, .. } => Some(*inode),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// A sync will settle it.
    Pending,
    /// A sync over it failed: no later one settles it.
    Doubtful,
    /// There, but not yet folded into its file: something doubtful came before.
    Durable,
}

/// What is there of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Nothing.
    Nothing,
    /// All of it.
    Whole,
    /// Some sectors; the seed says which.
    Torn(u64),
}

/// What is on the medium for certain, and what may be.
#[derive(Clone, Debug, Default)]
pub struct Medium {
    files: Vec<Arc<Blob>>,
    names: BTreeMap<PathBuf, usize>,
    changes: Vec<(Change, Fate)>,
}

/// A file while an image is put together.
struct Growing {
    physical: Vec<u8>,
    length: usize,
}

impl Growing {
    fn apply(&mut self, change: &Change, take: Take) {
        match change {
            Change::Data { at, bytes, .. } => self.write(*at, bytes, take),
            Change::Length { length, .. } => {
                match *length < self.length {
                    true => self.physical.truncate(*length),
                    false => self.physical.resize(self.physical.len().max(*length), 0),
                }
                self.length = *length;
            }
            _ => {}
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8], take: Take) {
        let end = at + bytes.len();
        self.physical.resize(self.physical.len().max(end), 0);
        let Take::Torn(seed) = take else { return self.physical[at..end].copy_from_slice(bytes) };
        for sector in torn(seed, bytes.len().div_ceil(SECTOR)) {
            let from = sector * SECTOR;
            let to = (from + SECTOR).min(bytes.len());
            self.physical[at + from..at + to].copy_from_slice(&bytes[from..to]);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.physical.resize(self.length, 0);
        self.physical
    }
}

/// Sectors of `count` that were written: the first ones, the last ones, or any; at least one is missing and one there.
fn torn(seed: u64, count: usize) -> Vec<usize> {
    let mut rng = Rng(seed);
    let cut = 1 + rng.below(count as u64 - 1) as usize;
    match rng.below(4) {
        0 => (0..cut).collect(),
        1 => (cut..count).collect(),
        _ => {
            let mut some: Vec<usize> = (0..count).filter(|_| rng.below(2) == 0).collect();
            if some.is_empty() {
                some.push(cut);
            } else if some.len() == count {
                some.remove(cut);
            }
            some
        }
    }
}

impl Medium {
    /// A folder that is all there.
    pub fn holding(folder: &Folder) -> Self {
        let names = folder.0.keys().enumerate().map(|(inode, path)| (path.clone(), inode)).collect();
        Self { files: folder.0.values().cloned().collect(), names, changes: Vec::new() }
    }

    /// Takes the next operation of a log.
    pub fn apply<N>(&mut self, op: &Op<N>) {
        match op {
            Op::Create { path, inode } => {
                assert_eq!(*inode, self.files.len(), "files are numbered in the order of their creation");
                self.files.push(Blob::new(Vec::new()));
                self.may(Change::Name { path: path.clone(), inode: *inode });
            }
            Op::Write { inode, at, bytes, grows } => {
                self.may(Change::Data { inode: *inode, at: *at as usize, bytes: bytes.clone() });
                if let Some(length) = grows {
                    self.may(Change::Length { inode: *inode, length: *length as usize });
                }
            }
            Op::SetLen { inode, length } => self.may(Change::Length { inode: *inode, length: *length as usize }),
            Op::Sync { inode } => self.settle(*inode),
            Op::SyncFailed { inode } => self.doubt(*inode),
            Op::Rename { from, to, inode } => {
                self.may(Change::Rename { from: from.clone(), to: to.clone(), inode: *inode })
            }
            Op::Remove { path, inode } => self.may(Change::Remove { path: path.clone(), inode: *inode }),
            Op::SyncDir => self.settle_names(),
            Op::Note(_) => {}
        }
    }

    fn may(&mut self, change: Change) {
        self.changes.push((change, Fate::Pending));
    }

    fn doubt(&mut self, inode: usize) {
        for (change, fate) in &mut self.changes {
            if change.inode() == Some(inode) && *fate == Fate::Pending {
                *fate = Fate::Doubtful;
            }
        }
    }

    /// A sync of a file: folds what is now certain into its bytes, up to the first change that stays doubtful.
    fn settle(&mut self, inode: usize) {
        let mut file = Growing { physical: self.files[inode].bytes.clone(), length: self.files[inode].bytes.len() };
        let (mut folds, mut folded) = (true, false);
        self.changes.retain_mut(|(change, fate)| {
            if change.inode() != Some(inode) {
                return true;
            }
            folds &= *fate != Fate::Doubtful;
            if folds {
                file.apply(change, Take::Whole);
                folded = true;
            } else if *fate == Fate::Pending {
                *fate = Fate::Durable;
            }
            !folds
        });
        if folded {
            self.files[inode] = Blob::new(file.finish());
        }
    }

    fn settle_names(&mut self) {
        let names = &mut self.names;
        self.changes.retain(|(change, _)| {
            apply_name(names, change);
            change.inode().is_some()
        });
    }

    /// How many changes a power failure may leave undone.
    pub fn open_changes(&self) -> usize {
        self.changes.iter().filter(|(_, fate)| *fate != Fate::Durable).count()
    }

    /// Which of them are writes of several sectors.
    pub fn tearable(&self) -> Vec<bool> {
        let open = self.changes.iter().filter(|(_, fate)| *fate != Fate::Durable);
        open.map(|(change, _)| matches!(change, Change::Data { bytes, .. } if bytes.len() > SECTOR)).collect()
    }

    /// The folder with so much of each open change.
    pub fn image(&self, takes: &[Take]) -> Folder {
        let mut names = self.names.clone();
        let mut changed: HashMap<usize, Growing> = HashMap::new();
        let mut takes = takes.iter();
        for (change, fate) in &self.changes {
            let take = if *fate == Fate::Durable { Take::Whole } else { *takes.next().unwrap() };
            if take == Take::Nothing {
                continue;
            }
            match change.inode() {
                None => apply_name(&mut names, change),
                Some(inode) => {
                    let base = &self.files[inode].bytes;
                    let fresh = || Growing { physical: base.clone(), length: base.len() };
                    changed.entry(inode).or_insert_with(fresh).apply(change, take);
                }
            }
        }
        let mut files = self.files.clone();
        for (inode, file) in changed {
            files[inode] = Blob::new(file.finish());
        }
        Folder(names.into_iter().map(|(path, inode)| (path, files[inode].clone())).collect())
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, usize>, change: &Change) {
    let mut forget = |path: &PathBuf, inode: usize| {
        if names.get(path) == Some(&inode) {
            names.remove(path);
        }
    };
    match change {
        Change::Name { path, inode } => drop(names.insert(path.clone(), *inode)),
        Change::Remove { path, inode } => forget(path, *inode),
        Change::Rename { from, to, inode } => {
            forget(from, *inode);
            names.insert(to.clone(), *inode);
        }
        _ => {}
    }
}

//! The files of a lineage that lie in some folders: for the tree that `rvf log --all` draws.

use crate::store::{CommitId, Opening, Snapshot};
use rvf_format::lineage::ParentRef;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file of a lineage.
#[derive(Clone, Debug)]
pub struct Relative {
    /// Where it is.
    pub path: PathBuf,
    /// Its newest commit.
    pub newest: CommitId,
    /// What it is a branch of.
    pub parent: Option<ParentRef>,
    /// Records that it sees.
    pub count: u64,
    /// Whether it takes no further commits.
    pub frozen: bool,
}

/// Most files of a folder that are looked at.
const MOST_FILES: usize = 4096;

/// Files that share an ancestor with `of`, `of` included, in the order of their paths: those in its folder, in `folders`, and those that
/// it builds on. A file that cannot be read is none of them.
pub fn family(
    place: &dyn rvf_format::storage::Place,
    path: &Path,
    of: &Snapshot,
    folders: &[PathBuf],
) -> Vec<Relative> {
    let opening = Opening { place, folders, verified: false };
    let beside = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut paths: BTreeSet<PathBuf> = of.chain().filter_map(|layer| layer.found_at().cloned()).collect();
    paths.insert(path.to_owned());
    for folder in std::iter::once(&beside).chain(folders) {
        let files = place.list(folder).unwrap_or_default().into_iter();
        let stores = files.filter(|file| file.extension().is_some_and(|extension| extension == "rvf"));
        paths.extend(stores.map(|file| file.strip_prefix(".").map(Path::to_owned).unwrap_or(file)).take(MOST_FILES));
    }
    let mut all: Vec<Relative> = paths.into_iter().filter_map(|path| relative(&opening, path)).collect();
    let mut seen = BTreeSet::new();
    // A link or two spellings of a path lead to one file.
    all.retain(|file| place.identity(&file.path).is_ok_and(|identity| seen.insert(identity)));
    let mut related: BTreeSet<[u8; 16]> = of.chain().map(|layer| layer.root().file_id).collect();
    related.extend(of.parent_ref().ok().flatten().map(|parent| parent.file_id));
    loop {
        let before = related.len();
        for file in &all {
            if file.parent.as_ref().is_some_and(|parent| related.contains(&parent.file_id)) {
                related.insert(file.newest.file_id);
            }
        }
        if related.len() == before {
            break;
        }
    }
    all.retain(|file| related.contains(&file.newest.file_id));
    all
}

fn relative(opening: &Opening<'_>, path: PathBuf) -> Option<Relative> {
    let (_, snapshot) = opening.alone(&path).ok()?;
    let parent = snapshot.parent_ref().ok()?;
    let (newest, count, frozen) = (snapshot.commit_id(), snapshot.count(), snapshot.root().is_frozen());
    Some(Relative { path, newest, parent, count, frozen })
}

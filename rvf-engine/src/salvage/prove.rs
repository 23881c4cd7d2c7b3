//! Which segments were live at a root: its manifests, and where some are damaged, guesses that its state hash proves.
//!
//! ```text
//! | full manifest + root | .. | damaged manifest or root | .. | manifest + root | segments behind it
//!   the walk back ends       a gap: its segments tell       the root to prove
//! ```
//! A state hash covers kind, rows and BLAKE3 of every live segment: a guess that has it is the truth. What a gap added stands in it;
//! what it removed is known where its manifest can still be read.

use super::ground::{Ground, Mark};
use rvf_format::Kind;
use rvf_format::chain::{Replay, State};
use rvf_format::manifest::{FACT_POLICY, Manifest, ManifestEntry, policy_fact};
use rvf_format::note::Policy;
use rvf_format::root::RootPage;
use rvf_format::state::state_hash;
use std::collections::BTreeMap;

/// Most manifests and gaps between a root and the full manifest that it rests on: twice what undamaged files have.
const MOST_LINKS: usize = 130;
/// Most guesses that are followed at a time.
const MOST_GUESSES: usize = 12;
/// Memory for guesses, bytes.
const GUESS_MEMORY: usize = 32 << 20;

/// A state that is proven.
pub(super) struct Proof {
    pub(super) state: State,
    /// Its place among the marks.
    pub(super) mark: usize,
    /// Where manifests or roots had to be guessed: file offsets.
    pub(super) gaps: Vec<u64>,
}

/// A step from one root to the next.
enum Link<'g> {
    /// A manifest as it was committed.
    Whole(&'g Mark),
    /// Commits whose manifests or roots are damaged.
    Gap(Gap<'g>),
}

struct Gap<'g> {
    from: u64,
    to: u64,
    /// Row number that the first new row took.
    next_row: u64,
    /// The root at its end, if only the manifest is damaged.
    root: Option<&'g RootPage>,
}

/// The newest root whose state can be proven.
pub(super) fn newest(ground: &Ground) -> Option<Proof> {
    // Hostile files could make every root fail after much work: what all attempts may cost grows with the file only.
    let mut work = (1 << 22) + ground.file.len() as u64 / 32;
    (0..ground.marks.len()).rev().find_map(|mark| prove(ground, mark, &mut work))
}

fn prove(ground: &Ground, mark: usize, work: &mut u64) -> Option<Proof> {
    let root = &ground.marks.get(mark)?.root;
    let schema = root.schema().ok()?;
    let links = chain(ground, mark)?;
    let mut guesses = vec![Replay::default()];
    let mut gaps = Vec::new();
    for link in links.iter().rev() {
        let cost = guesses.iter().map(|guess| guess.live.len() as u64 + 64).sum();
        *work = work.checked_sub(cost)?;
        match link {
            Link::Whole(mark) => {
                let commit = mark.commit.as_deref()?;
                guesses.retain_mut(|guess| guess.apply(commit).is_ok());
                *work = work.checked_sub(commit.manifest.added.len() as u64)?;
                if guesses.len() > 1 {
                    settle(&mut guesses, &commit.root, work)?;
                }
            }
            Link::Gap(gap) => {
                gaps.push(gap.root.map_or(gap.from, |root| root.manifest_offset.get()));
                guesses = guesses.iter().flat_map(|guess| fill(ground, gap, guess)).collect();
                guesses.truncate(MOST_GUESSES);
                if let Some(root) = gap.root {
                    settle(&mut guesses, root, work)?;
                }
            }
        }
    }
    settle(&mut guesses, root, work)?;
    let state = State::of_replay(**root, schema, guesses.pop()?).ok()?;
    Some(Proof { state, mark, gaps })
}

/// Leaves the guess that has the root's state hash; `None` if there is none.
fn settle(guesses: &mut Vec<Replay>, root: &RootPage, work: &mut u64) -> Option<()> {
    let mut proven = None;
    for mut guess in guesses.drain(..) {
        *work = work.checked_sub(2 * guess.live.len() as u64)?;
        let is_right = |guess: &Replay| state_hash(root, &guess.facts, guess.live.values()) == root.state_hash;
        let mut is_proven = is_right(&guess);
        if !is_proven {
            // A damaged manifest may have held the policy, of which there is one: it is tried.
            guess.facts.insert(FACT_POLICY, policy_fact(Policy::Ed25519AndMlDsa65).to_vec());
            is_proven = is_right(&guess);
        }
        if is_proven {
            proven = Some(guess);
            break;
        }
    }
    guesses.push(proven?);
    Some(())
}

/// The way back from a root to a full manifest, newest first.
fn chain(ground: &Ground, mark: usize) -> Option<Vec<Link<'_>>> {
    let mut links = Vec::new();
    let mut at = mark;
    while links.len() < MOST_LINKS {
        let mark = ground.marks.get(at)?;
        let named = mark.root.previous_root.get();
        // The mark at the place that the root names, or the one before it.
        let before = ground.marks.get(..at)?.partition_point(|mark| mark.root.own_offset.get() <= named);
        let before = before.checked_sub(1).filter(|_| named != 0);
        let earlier = before.and_then(|before| ground.marks.get(before)).map(|mark| &mark.root);
        let from = earlier.map_or(0, |root| root.end());
        let next_row = earlier.map_or(0, |root| root.next_row.get());
        let gap = |to, root| Link::Gap(Gap { from, to, next_row, root });
        match &mark.commit {
            Some(commit) => {
                links.push(Link::Whole(mark));
                if commit.manifest.full {
                    return Some(links);
                }
                if earlier.is_none_or(|root| root.own_offset.get() != named) {
                    links.push(gap(mark.root.manifest_offset.get(), None));
                }
            }
            None => links.push(gap(mark.root.own_offset.get(), Some(&*mark.root))),
        }
        match before {
            Some(before) => at = before,
            None => return Some(links),
        }
    }
    None
}

/// What the live segments may have been behind a gap.
fn fill(ground: &Ground, gap: &Gap<'_>, before: &Replay) -> Vec<Replay> {
    let manifests = manifests(ground, gap);
    let derived = derived(ground, gap);
    let mut guesses: Vec<Replay> = Vec::new();
    let affordable = GUESS_MEMORY / (160 * (before.live.len() + derived.len() + 1));
    // The state hash covers neither the places of segments nor their ids, by which changes of metadata follow each other: first as set
    // right.
    for added in [Added::Mended, Added::Read, Added::Derived] {
        for (removed, facts) in [(true, true), (false, true), (true, false), (false, false)] {
            let useful = !manifests.is_empty() || (added == Added::Derived && !removed && !facts);
            if !useful || guesses.len() > affordable {
                continue;
            }
            let mut guess = before.clone();
            for manifest in &manifests {
                follow(&mut guess, manifest, &derived, (added, removed, facts));
            }
            if added == Added::Derived {
                guess.live.extend(derived.iter().map(|entry| (entry.segment_id.get(), *entry)));
            }
            if !removed {
                drop_replaced(&mut guess.live);
            }
            guesses.push(guess);
        }
    }
    guesses
}

/// Drops what commits remove though no list says so: of what was learned there is one segment of a kind, and a new one takes its place.
fn drop_replaced(live: &mut BTreeMap<u64, ManifestEntry>) {
    for kind in [Kind::GRAPH, Kind::OVERLAY, Kind::POLICY_KERNEL] {
        let is_one = |entry: &ManifestEntry| entry.kind() == kind && entry.space.get() == 0;
        let newest = live.iter().rev().find(|(_, entry)| is_one(entry)).map(|(id, _)| *id);
        live.retain(|id, entry| !is_one(entry) || Some(*id) == newest);
    }
}

/// Where the entries of what a gap added come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Added {
    /// From its manifests as they are.
    Read,
    /// From its manifests, set right by what is known of their segments.
    Mended,
    /// From its segments.
    Derived,
}

/// The manifests of a gap that can be parsed, whatever their hashes.
fn manifests(ground: &Ground, gap: &Gap<'_>) -> Vec<Manifest> {
    let found = ground.between(gap.from, gap.to).iter();
    let mut places: BTreeMap<u64, u64> = found
        .filter(|found| found.header.kind() == Kind::MANIFEST)
        .map(|found| (found.at, found.header.length()))
        .collect();
    // A root tells where its manifest starts though the header there is damaged.
    places.extend(gap.root.map(|root| (root.manifest_offset.get(), root.manifest_length.get())));
    let parse = |(at, length)| Manifest::read_unproven(ground.bytes(at, length)?, at).ok();
    places.into_iter().filter_map(parse).collect()
}

/// Entries for the segments of a gap, as commits would have made them.
fn derived(ground: &Ground, gap: &Gap<'_>) -> Vec<ManifestEntry> {
    let (mut next_row, mut graph, mut vectors) = (gap.next_row, 0, 0);
    let mut entries = Vec::new();
    for found in ground.between(gap.from, gap.to).iter().filter(|found| found.header.kind() != Kind::MANIFEST) {
        let Some(mut entry) = ground.derive(found, &mut next_row) else { continue };
        match entry.kind() {
            Kind::INDEX => graph = entry.base_row.get(),
            Kind::QUANT => entry.base_row.set(graph),
            Kind::VEC => vectors = entry.base_row.get(),
            Kind::META | Kind::META_IDX if entry.rows.get() > 0 => entry.base_row.set(vectors),
            _ => {}
        }
        entries.push(entry);
    }
    entries
}

/// Applies a manifest of which something is damaged.
fn follow(
    guess: &mut Replay,
    manifest: &Manifest,
    derived: &[ManifestEntry],
    (added, removed, facts): (Added, bool, bool),
) {
    if removed {
        for id in &manifest.removed {
            guess.live.remove(id);
        }
    }
    if added != Added::Derived {
        let known: BTreeMap<u64, ManifestEntry> = match added {
            Added::Mended => guess.live.values().chain(derived).map(|entry| (entry.offset.get(), *entry)).collect(),
            _ => BTreeMap::new(),
        };
        let live = if manifest.full { std::mem::take(&mut guess.live) } else { BTreeMap::new() };
        for entry in &manifest.added {
            let entry = if added == Added::Mended { mend(entry, &known, &live, derived) } else { *entry };
            guess.live.insert(entry.segment_id.get(), entry);
        }
    }
    if facts {
        if manifest.full {
            guess.facts.clear();
        }
        guess.facts.extend(manifest.facts.iter().map(|(tag, value)| (*tag, value.clone())));
        guess.facts.retain(|_, value| !value.is_empty());
    }
}

/// An entry of which a field may be damaged: found by its place or its id, it keeps nothing but the first row of a new segment.
fn mend(
    entry: &ManifestEntry,
    known: &BTreeMap<u64, ManifestEntry>,
    live: &BTreeMap<u64, ManifestEntry>,
    derived: &[ManifestEntry],
) -> ManifestEntry {
    let by_id = || {
        let new = derived.binary_search_by_key(&entry.segment_id.get(), |entry| entry.segment_id.get());
        live.get(&entry.segment_id.get()).or_else(|| derived.get(new.ok()?)).copied()
    };
    let Some(mut mended) = known.get(&entry.offset.get()).copied().or_else(by_id) else { return *entry };
    let id = mended.segment_id.get();
    if !live.contains_key(&id) {
        mended.base_row = entry.base_row;
    }
    mended
}

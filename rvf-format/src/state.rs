//! The state hash: what a commit holds, whatever its place in the file (`spec/commit.md`, "State hash").

use crate::digest::Hash;
use crate::manifest::{Facts, ManifestEntry};
use crate::root::RootPage;

const DOMAIN: &[u8; 16] = b"RVF-STATE-1\0\0\0\0\0";

/// The state hash of the schema and facts in `root`, the facts of the manifests, and the live segments.
pub fn state_hash<'a>(root: &RootPage, facts: &Facts, live: impl IntoIterator<Item = &'a ManifestEntry>) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(&root.epoch().to_le_bytes());
    hasher.update(&u32::from(root.dimension.get()).to_le_bytes());
    hasher.update(&[root.dtype, root.metric, root.id_type, root.flags.get() as u8]);
    for number in [
        &root.features_compatible,
        &root.features_read_only,
        &root.features_incompatible,
        &root.next_row,
        &root.next_id,
        &root.created_ns,
    ] {
        hasher.update(&number.get().to_le_bytes());
    }
    hasher.update(&root.parent_id).update(&root.parent_hash);
    hasher.update(&root.parent_epoch.get().to_le_bytes());
    hasher.update(&root.lineage_depth.get().to_le_bytes()).update(&[0; 4]);
    hasher.update(&(facts.len() as u64).to_le_bytes());
    for (tag, value) in facts {
        hasher.update(&tag.to_le_bytes()).update(&[0; 4]);
        hasher.update(&(value.len() as u64).to_le_bytes()).update(value);
    }
    let mut segments: Vec<&ManifestEntry> = live.into_iter().filter(|entry| entry.kind().in_state()).collect();
    segments.sort_by_key(|entry| (entry.kind, entry.space.get(), entry.base_row.get(), entry.rows.get(), entry.hash));
    hasher.update(&(segments.len() as u64).to_le_bytes());
    for entry in segments {
        hasher.update(&u32::from(entry.kind).to_le_bytes());
        hasher.update(&entry.space.get().to_le_bytes());
        hasher.update(&entry.base_row.get().to_le_bytes());
        hasher.update(&u64::from(entry.rows.get()).to_le_bytes());
        hasher.update(&entry.hash);
    }
    *hasher.finalize().as_bytes()
}

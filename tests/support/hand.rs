//! Files put together by hand: any drafts, facts and root fields, without what the engine would refuse to write.
//!
//! ```
//! use rvf_engine::{Metric, Schema};
//! use rvf_tests::hand::Hand;
//! let mut hand = Hand::new(&Schema::new(4, Metric::L2), [7; 16]);
//! hand.commit(&[]);
//! let report = rvf_format::verify::verify(&hand.sealed().into(), &mut |_, _| {}).unwrap();
//! assert!(report.findings.is_empty());
//! ```

use crate::reseal::{Repair, reseal};
use rvf_engine::Schema;
use rvf_format::build::Draft;
use rvf_format::identity;
use rvf_format::manifest::{Facts, Manifest, ManifestEntry};
use rvf_format::payload::witness::{Entry, Operation, WitnessEntry};
use rvf_format::root::RootPage;
use rvf_format::{Kind, digest};

const TIME_NS: u64 = 1_700_000_000_000_000_000;

/// A file while it is put together. What is public can be set to anything before the next commit.
pub struct Hand {
    /// The root of the next commit, but for what [`Hand::commit`] sets: epoch, places, numbers of segments and audit entries.
    pub root: RootPage,
    /// Facts of the next commit.
    pub facts: Facts,
    bytes: Vec<u8>,
    listed: Vec<ManifestEntry>,
    next_segment_id: u64,
}

impl Hand {
    /// A file without a commit.
    pub fn new(schema: &Schema, file_id: [u8; 16]) -> Self {
        let mut root = RootPage::new();
        root.set_schema(schema);
        root.file_id = file_id;
        root.created_ns.set(TIME_NS);
        root.modified_ns.set(TIME_NS);
        let mut hand = Self { root, facts: Facts::new(), bytes: Vec::new(), listed: Vec::new(), next_segment_id: 0 };
        hand.append(&identity::encode_file_segment(file_id, TIME_NS), &Draft::new(Kind::FILE, 1));
        hand
    }

    /// Adds a commit with these segments. Its manifest is a full one.
    pub fn commit(&mut self, drafts: &[Draft<'_>]) {
        for draft in drafts {
            self.append(&draft.encode(self.next_segment_id, TIME_NS).unwrap(), draft);
        }
        let id = self.next_segment_id;
        self.next_segment_id += 1;
        let root = &mut self.root;
        root.previous_root.set(root.own_offset.get());
        root.set_epoch(root.epoch() + 1);
        root.next_segment_id.set(self.next_segment_id);
        let mut fixed = WitnessEntry::zeroed();
        fixed.operation.set(Operation::BRANCH.0);
        fixed.index.set(root.witness_size.get());
        root.witness_size.set(root.witness_size.get() + 1);
        let manifest = Manifest {
            full: true,
            added: self.listed.clone(),
            witness: Entry { fixed, actor: "hand".to_owned() }.encode(),
            facts: self.facts.clone(),
            ..Manifest::default()
        };
        self.bytes.extend(manifest.encode(self.bytes.len() as u64, id, root).unwrap());
    }

    /// The file, its hashes and checksums made right.
    pub fn sealed(mut self) -> Vec<u8> {
        reseal(&mut self.bytes, &Repair::ALL);
        self.bytes
    }

    fn append(&mut self, segment: &[u8], draft: &Draft<'_>) {
        let mut entry = ManifestEntry::zeroed();
        entry.segment_id.set(self.next_segment_id);
        entry.offset.set(self.bytes.len() as u64);
        entry.length.set(segment.len() as u64);
        entry.kind = draft.kind.0;
        entry.space.set(draft.space);
        entry.base_row.set(draft.base_row);
        entry.rows.set(draft.rows);
        entry.epoch.set(self.root.epoch() + 1);
        entry.hash = digest::blake3(segment);
        self.listed.push(entry);
        self.next_segment_id += 1;
        self.bytes.extend(segment);
    }
}

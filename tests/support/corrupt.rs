//! A broken file for each clause: `fixtures/corrupt/CLAUSE.rvf` breaks that sentence of the specification and, as far as it can
//! be had, no other. Each starts from a sound file, is changed in one place, and is made consistent everywhere else.

use crate::golden::{Model, index_in_runs, lively};
use crate::reseal::{Repair, reseal, roots};
use crate::{corrupt_audit, corrupt_branch};
use rvf_engine::store::Edit;
use rvf_engine::{Dtype, Id, IdType, Kind, Metric, Schema, SegmentInfo, Snapshot, Value};
use rvf_format::build::{Draft, seal};
use rvf_format::identity::COPIES;
use rvf_format::limits::{PAGE_LEN, ROOT_MAGIC};
use rvf_format::manifest::{FACT_PINS, TAG_ADDED, TAG_WITNESS};
use rvf_format::payload::witness::Operation;
use rvf_format::payload::{index, quant, tree, vec};
use rvf_format::segment::Payload;
use rvf_format::storage::Bytes;
use rvf_format::{Clause, digest};

/// The broken file of a clause.
pub fn fixture(clause: Clause) -> Vec<u8> {
    match clause {
        Clause::Seg1 | Clause::Seg2 | Clause::Seg3 | Clause::Seg4 | Clause::Seg5 => segment(clause),
        Clause::File1 | Clause::File2 | Clause::File3 | Clause::File4 => file(clause),
        Clause::Pay1 | Clause::Pay2 | Clause::Pay3 | Clause::Pay4 | Clause::Pay6 => payload(clause),
        Clause::Tree1 | Clause::Tree2 => hash_tree(clause),
        Clause::Vec1 | Clause::Vec2 | Clause::Vec3 | Clause::Vec4 | Clause::Vec5 => vectors(clause),
        Clause::Jnl1 | Clause::Meta1 | Clause::Fill1 => small_payload(clause),
        Clause::Fbk1 | Clause::Tns1 => learned(clause),
        Clause::Meta2 | Clause::Meta3 | Clause::Meta4 | Clause::Meta5 | Clause::Mix1 | Clause::Mix2 => metadata(clause),
        Clause::Wit1 | Clause::Wit2 | Clause::Wit3 => audit(clause),
        Clause::Aud1 => {
            let file = Broken::lively();
            let at = file.root() + 0x1B0;
            file.flip(at).sealed_but(|repair| repair.witness_tree = false)
        }
        Clause::Sig1 | Clause::Sig2 | Clause::Sig3 | Clause::Sig4 | Clause::Sig5 => corrupt_audit::fixture(clause),
        Clause::Root1 | Clause::Root2 | Clause::Root3 | Clause::Root4 | Clause::Ver1 => root_page(clause),
        Clause::Root5 | Clause::Root6 | Clause::Root7 | Clause::Root8 => root_meaning(clause),
        Clause::Man1 | Clause::Man2 | Clause::Man3 | Clause::Man4 | Clause::Man5 => manifest(clause),
        Clause::Man6 | Clause::Man7 | Clause::Man8 | Clause::Man9 => manifest_meaning(clause),
        Clause::Tail1 | Clause::Tail2 => tail(clause),
        Clause::Idx1 | Clause::Idx2 | Clause::Idx3 | Clause::Idx4 | Clause::Idx5 => graph(clause),
        Clause::Qnt1 | Clause::Qnt2 => codes(clause),
        Clause::Brn1 | Clause::Brn2 | Clause::Cow1 | Clause::Ref1 => corrupt_branch::fixture(clause),
    }
}

/// The clauses that verification reports for the fixture of `clause`: itself, and what cannot be kept apart from it.
pub fn expected(clause: Clause) -> Vec<Clause> {
    match clause {
        // The only root is no root any more.
        Clause::Root2 | Clause::Root3 | Clause::Man1 => vec![clause, Clause::Tail1],
        Clause::Tail2 => vec![Clause::Tail1, Clause::Tail2],
        // Sound: what is wrong shows beside a key, or beside what was seen before.
        Clause::Sig4 | Clause::Sig5 => vec![],
        other => vec![other],
    }
}

/// Whether only deep verification sees it.
pub fn is_deep(clause: Clause) -> bool {
    matches!(clause, Clause::Idx4 | Clause::Idx5 | Clause::Qnt2)
}

/// A file while it is being broken.
struct Broken {
    bytes: Vec<u8>,
    segments: Vec<SegmentInfo>,
}

impl Broken {
    fn new(model: &Model) -> Self {
        let bytes = model.bytes();
        let segments = Snapshot::newest(Bytes::from(bytes.clone())).unwrap().segments().unwrap();
        Self { bytes, segments }
    }

    /// One commit, all kinds of it in few pages: FILE, META, VEC with ORDER, WITNESS, MANIFEST.
    fn compacted(schema: Schema) -> Self {
        let mut model = lively(schema, 77);
        model.compact(1);
        Self::new(&model)
    }

    fn lively() -> Self {
        Self::new(&lively(Schema::new(4, Metric::L2), 78))
    }

    /// Offset of the last segment of a kind.
    fn at(&self, kind: Kind) -> usize {
        self.segments.iter().rfind(|segment| segment.kind == kind).unwrap().offset as usize
    }

    /// Offset of a section of the last segment of a kind.
    fn section(&self, kind: Kind, tag: u32) -> usize {
        let segment = self.segments.iter().rfind(|segment| segment.kind == kind).unwrap();
        let bytes = Bytes::from(&self.bytes[segment.offset as usize..(segment.offset + segment.length) as usize]);
        let payload = Payload::parse(bytes, segment.offset, kind, &[1, 2, 9]).unwrap();
        payload.place_of(tag) as usize
    }

    /// Offset of the section table's entry of the last segment of a kind.
    fn table(&self, kind: Kind, index: usize) -> usize {
        self.at(kind) + 80 + 32 * index
    }

    /// Offset of the newest root.
    fn root(&self) -> usize {
        roots(&self.bytes).last().unwrap().offset
    }

    /// Offset, in the newest manifest, of the entry of the last segment of a kind.
    fn entry(&self, kind: Kind) -> usize {
        let id = self.segments.iter().rfind(|segment| segment.kind == kind).unwrap().id;
        let added = self.section(Kind::MANIFEST, TAG_ADDED);
        let entries = (added..).step_by(96);
        entries.into_iter().find(|at| self.bytes[*at..*at + 8] == id.to_le_bytes()).unwrap()
    }

    /// The little-endian numbers of a section of the last segment of a kind.
    fn numbers(&self, kind: Kind, tag: u32, count: usize) -> Vec<u32> {
        let numbers = self.bytes[self.section(kind, tag)..].as_chunks::<4>().0.iter().take(count);
        numbers.map(|bytes| u32::from_le_bytes(*bytes)).collect()
    }

    fn flip(mut self, at: usize) -> Self {
        self.bytes[at] ^= 1;
        self
    }

    fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Makes everything consistent.
    fn sealed(self) -> Vec<u8> {
        self.sealed_but(|_| {})
    }

    /// Makes everything consistent but what `leave` switches off.
    fn sealed_but(mut self, leave: impl FnOnce(&mut Repair)) -> Vec<u8> {
        let mut repair = Repair::ALL;
        leave(&mut repair);
        reseal(&mut self.bytes, &repair);
        self.bytes
    }
}

fn small() -> Schema {
    Schema::new(4, Metric::L2)
}

fn segment(clause: Clause) -> Vec<u8> {
    let broken = Broken::compacted(small());
    let at = broken.at(Kind::VEC);
    match clause {
        Clause::Seg1 => broken.flip(at).bytes,
        Clause::Seg2 => broken.flip(at + 0x10).bytes,
        Clause::Seg3 => broken.flip(at + 0x06).sealed(),
        Clause::Seg4 => broken.flip(at + 0x28).sealed_but(|repair| repair.content_hashes = false),
        _ => {
            let manifest = broken.at(Kind::MANIFEST);
            broken.put(manifest + 8, &1u64.to_le_bytes()).sealed()
        }
    }
}

fn file(clause: Clause) -> Vec<u8> {
    let broken = Broken::compacted(small());
    match clause {
        Clause::File1 => {
            let entry = broken.entry(Kind::FILE);
            broken.put(5, &[Kind::HOT.0]).put(entry + 0x18, &[Kind::HOT.0]).sealed()
        }
        Clause::File2 => broken.flip(COPIES[1] + 0x20).sealed_but(|repair| repair.identity = false),
        Clause::File3 => COPIES.iter().fold(broken, |broken, at| broken.put(at + 0x10, &[2])).sealed(),
        _ => COPIES.iter().fold(broken, |broken, at| broken.put(at + 0x14, &8192u32.to_le_bytes())).sealed(),
    }
}

fn payload(clause: Clause) -> Vec<u8> {
    let broken = Broken::compacted(small());
    let at = broken.at(Kind::VEC);
    match clause {
        Clause::Pay1 => broken.put(at + 64, &[9]).sealed(),
        Clause::Pay2 => {
            let table = broken.table(Kind::VEC, 1);
            broken.flip(table + 8).sealed()
        }
        Clause::Pay3 => broken.flip(at + PAGE_LEN - 1).sealed(),
        Clause::Pay4 => {
            let mut model = Model::new(small(), 79);
            let mut edit = Edit::new(Operation(999));
            edit.drafts.push(Draft::new(Kind(0x7F), 9).section(1, vec![1; 2 * PAGE_LEN]));
            model.commit_raw(&edit);
            let broken = Broken::new(&model);
            let page = broken.at(Kind(0x7F)) + PAGE_LEN;
            let mut broken = broken.put(page, &ROOT_MAGIC.to_le_bytes());
            // The page looks like a root, and ends a commit for `reseal`: its segment is made consistent here.
            let checksum = digest::crc32(&broken.bytes[page..page + 0xFFC]);
            broken = broken.put(page + 0xFFC, &checksum.to_le_bytes());
            let segment = page - PAGE_LEN..page + 2 * PAGE_LEN;
            seal(&mut broken.bytes[segment.clone()]);
            let hash = digest::blake3(&broken.bytes[segment]);
            let entry = broken.entry(Kind(0x7F));
            broken.put(entry + 0x40, &hash).sealed()
        }
        _ => {
            let table = broken.table(Kind::VEC, 2);
            broken.put(table, &[vec::TAG_ID_BYTES as u8]).sealed()
        }
    }
}

/// A VEC segment of a few groups, and `trees` hash trees of it.
fn with_trees(trees: usize) -> Model {
    let mut model = Model::new(Schema { dtype: Dtype::U8, ..Schema::new(256, Metric::L2) }, 80);
    model.put(0..200);
    let snapshot = model.db.snapshot();
    let segment = snapshot.segments().unwrap().into_iter().rfind(|segment| segment.kind == Kind::VEC).unwrap();
    let bytes = &snapshot.file()[segment.offset as usize..(segment.offset + segment.length) as usize];
    let mut edit = Edit::new(Operation(999));
    for _ in 0..trees {
        edit.drafts.push(tree::draft(segment.id, segment.length, &digest::group_tree(bytes)));
    }
    model.commit_raw(&edit);
    model
}

fn hash_tree(clause: Clause) -> Vec<u8> {
    if clause == Clause::Tree2 {
        return Broken::new(&with_trees(2)).bytes;
    }
    let broken = Broken::new(&with_trees(1));
    let nodes = broken.section(Kind::TREE, 2);
    broken.flip(nodes + 40).sealed_but(|repair| repair.trees = false)
}

fn vectors(clause: Clause) -> Vec<u8> {
    let broken = Broken::compacted(small());
    match clause {
        Clause::Vec1 => {
            let facts = broken.section(Kind::VEC, vec::TAG_FACTS);
            broken.flip(facts + 8).sealed()
        }
        Clause::Vec2 => {
            let rows = broken.section(Kind::VEC, vec::TAG_VECTORS);
            broken.put(rows + 4, &f32::NAN.to_le_bytes()).sealed()
        }
        Clause::Vec3 => {
            let order = broken.section(Kind::VEC, vec::TAG_ORDER);
            let swapped: Vec<u8> = broken.bytes[order..order + 8].iter().copied().cycle().skip(4).take(8).collect();
            broken.put(order, &swapped).sealed()
        }
        Clause::Vec4 => {
            let broken = Broken::compacted(Schema { id_type: IdType::Str, ..small() });
            let text = broken.section(Kind::VEC, vec::TAG_ID_BYTES);
            broken.put(text + 3, &[0xFF]).sealed()
        }
        _ => {
            let mut model = Model::new(small(), 81);
            model.put(0..8);
            model.put([5]);
            let broken = Broken::new(&model);
            let words = broken.section(Kind::JOURNAL, 1);
            broken.put(words + 8, &[1 << 6]).sealed()
        }
    }
}

fn small_payload(clause: Clause) -> Vec<u8> {
    match clause {
        Clause::Jnl1 => {
            let broken = Broken::lively();
            let words = broken.section(Kind::JOURNAL, 1);
            broken.put(words + 8, &[0; 8]).sealed()
        }
        Clause::Meta1 => {
            let broken = Broken::compacted(small());
            let items = broken.section(Kind::META, 1);
            broken.flip(items + 2).sealed()
        }
        _ => {
            let mut model = Model::new(small(), 82);
            let mut edit = Edit::new(Operation(999));
            edit.drafts.push(Draft::new(Kind::FILLER, 1).section(1, &b"not zero"[..]));
            model.commit_raw(&edit);
            Broken::new(&model).bytes
        }
    }
}

/// An event that counts for nothing; a value that is no number.
fn learned(clause: Clause) -> Vec<u8> {
    let broken = Broken::new(&crate::golden_learned::model());
    match clause {
        Clause::Fbk1 => {
            let events = broken.section(Kind::FEEDBACK, 2);
            broken.put(events + 8, &[0; 4]).sealed()
        }
        _ => {
            let values = broken.section(Kind::GRAPH, 3);
            broken.put(values, &f32::NAN.to_le_bytes()).sealed()
        }
    }
}

fn audit(clause: Clause) -> Vec<u8> {
    let broken = Broken::compacted(small());
    match clause {
        Clause::Wit1 => {
            let entry = broken.section(Kind::MANIFEST, TAG_WITNESS);
            broken.flip(entry + 0x9A).sealed()
        }
        Clause::Wit2 => {
            let entries = broken.section(Kind::WITNESS, 1);
            broken.flip(entries + 0x38).sealed_but(|repair| repair.sealed_entries = false)
        }
        _ => {
            let root = broken.root();
            broken.flip(root + 0x190).sealed_but(|repair| repair.witness_head = false)
        }
    }
}

fn root_page(clause: Clause) -> Vec<u8> {
    let broken = Broken::compacted(small());
    let root = broken.root();
    match clause {
        Clause::Root1 => broken.put(root + 4, &[3]).sealed(),
        Clause::Root2 => broken.flip(root + 0xFFC).sealed_but(|repair| repair.root_checksum = false),
        Clause::Root3 => broken.put(root + 0x100, &1u64.to_le_bytes()).sealed(),
        Clause::Root4 => broken.flip(root + 0xA00).sealed(),
        _ => broken.put(root + 0x129, &[2]).sealed(),
    }
}

fn root_meaning(clause: Clause) -> Vec<u8> {
    let broken = if clause == Clause::Root5 { Broken::compacted(small()) } else { Broken::lively() };
    let root = broken.root();
    match clause {
        Clause::Root5 => broken.put(root + 0x114, &[9]).sealed(),
        Clause::Root6 => broken.put(root + 0x108, &(PAGE_LEN as u64).to_le_bytes()).sealed(),
        Clause::Root7 => broken.flip(root + 0x18).sealed(),
        _ => broken.flip(root + 0x28).sealed(),
    }
}

fn manifest(clause: Clause) -> Vec<u8> {
    let broken = Broken::compacted(small());
    let root = broken.root();
    match clause {
        Clause::Man1 => broken.flip(root + 0x130).sealed_but(|repair| repair.manifest_hash = false),
        Clause::Man2 => broken.put(root + 0x1D8, &[5]).sealed(),
        Clause::Man3 => {
            let entry = broken.entry(Kind::META);
            broken.flip(entry + 0x2C).sealed()
        }
        Clause::Man4 => {
            let entry = broken.entry(Kind::META);
            broken.put(entry + 0x18, &[Kind::HOT.0]).sealed()
        }
        _ => {
            let entry = broken.entry(Kind::META);
            broken.flip(entry + 0x40).sealed_but(|repair| repair.entry_hashes = false)
        }
    }
}

fn manifest_meaning(clause: Clause) -> Vec<u8> {
    let mut model = Model::new(small(), 83);
    match clause {
        Clause::Man6 => {
            model.put(0..8);
            model.put(8..16);
            let broken = Broken::new(&model);
            let entry = broken.entry(Kind::VEC);
            broken.put(entry + 0x20, &[3]).sealed()
        }
        Clause::Man7 => {
            let broken = Broken::new(&model);
            let root = broken.root();
            broken.flip(root + 0x150).sealed_but(|repair| repair.state_hash = false)
        }
        Clause::Man8 => {
            let mut edit = Edit::new(Operation(999));
            edit.drafts.push(Draft::new(Kind(0x7F), 9).section(1, &b"hidden"[..]));
            model.commit_raw(&edit);
            let broken = Broken::new(&model);
            let (entry, table) = (broken.entry(Kind(0x7F)), broken.table(Kind::MANIFEST, 0));
            broken.put(entry, &[0; 96]).put(table + 0x10, &[0]).sealed()
        }
        _ => {
            let mut edit = Edit::new(Operation(6));
            edit.facts.insert(FACT_PINS, 99u64.to_le_bytes().to_vec());
            model.commit_raw(&edit);
            Broken::new(&model).bytes
        }
    }
}

/// As few rows as get a graph, which walks on them as they are stored.
fn stored_walk() -> Model {
    let mut model = Model::new(Schema { dtype: Dtype::U8, ..small() }, 85);
    model.put(0..GRAPH_ROWS);
    model.index(2);
    model
}

/// A store of more than 1,000 live rows gets a graph.
const GRAPH_ROWS: u64 = 1001;

fn graph(clause: Clause) -> Vec<u8> {
    if clause == Clause::Idx2 {
        return split_run();
    }
    let broken = Broken::new(&stored_walk());
    let facts = broken.section(Kind::INDEX, index::TAG_FACTS);
    let rows = u32::try_from(GRAPH_ROWS).unwrap();
    match clause {
        // More nodes linked than there are.
        Clause::Idx1 => broken.put(facts + 0x28, &(rows + 1).to_le_bytes()).sealed(),
        // The first slot that was empty names a node that is not there: no reader loses a link by it.
        Clause::Idx3 => {
            let links = broken.section(Kind::INDEX, index::TAG_LINKS);
            let slots = broken.numbers(Kind::INDEX, index::TAG_LINKS, 4 * GRAPH_ROWS as usize);
            let empty = slots.iter().position(|slot| *slot == index::NO_LINK).unwrap();
            broken.put(links + 4 * empty, &rows.to_le_bytes()).sealed()
        }
        Clause::Idx4 => {
            let rows = broken.section(Kind::INDEX, index::TAG_PIVOT_ROWS);
            broken.flip(rows).sealed()
        }
        _ => broken.put(facts + 0x28, &(rows - 1).to_le_bytes()).sealed(),
    }
}

/// The one run of a graph as two, neither of them a whole VEC segment. All else is as it was.
fn split_run() -> Vec<u8> {
    let mut model = stored_walk();
    let mut edit = Edit::new(Operation(5));
    let snapshot = model.db.snapshot();
    edit.removed.push(snapshot.graphs()[0].entry.segment_id.get());
    edit.drafts.push(index_in_runs(&snapshot, &[(0, 500), (500, GRAPH_ROWS as u32 - 500)]));
    drop(snapshot);
    model.commit_raw(&edit);
    Broken::new(&model).bytes
}

fn codes(clause: Clause) -> Vec<u8> {
    let mut model = Model::new(Schema { dtype: Dtype::F16, ..Schema::new(12, Metric::L2) }, 86);
    model.put(0..GRAPH_ROWS);
    model.index(2);
    let broken = Broken::new(&model);
    if clause == Clause::Qnt1 {
        let facts = broken.section(Kind::QUANT, quant::TAG_FACTS);
        return broken.put(facts + 0x10, &0u32.to_le_bytes()).sealed();
    }
    // A node that is no pivot, or the row of the pivot would be another, too.
    let facts = broken.numbers(Kind::INDEX, index::TAG_FACTS, 5);
    let (pivots, stride) = (broken.numbers(Kind::INDEX, index::TAG_PIVOTS, facts[2] as usize), facts[4] as usize);
    let node = (0..).find(|node| !pivots.contains(node)).unwrap() as usize;
    let code = broken.section(Kind::QUANT, quant::TAG_CODES) + node * stride;
    let wrong = broken.bytes[code].cast_signed().signum().wrapping_mul(-100);
    broken.put(code, &[wrong.cast_unsigned()]).sealed()
}

fn tail(clause: Clause) -> Vec<u8> {
    let mut model = Model::new(small(), 84);
    model.put(0..3);
    let committed = model.bytes();
    model.put_vectors(vec![(Id::U64(9), vec![1.0; 4])]);
    let longer = model.bytes();
    match clause {
        Clause::Tail1 => longer[..committed.len() + 1000].to_vec(),
        _ => longer[..longer.len() - PAGE_LEN].to_vec(),
    }
}

/// 1,200 records with a word and a number each, and an index of them; one is changed afterwards.
fn with_metadata(changed: bool) -> Broken {
    let mut model = Model::new(Schema::new(1, Metric::L2), 81);
    model.put_fields((0..1200).map(|id| (id, fields(id))));
    if changed {
        model.update([(7, vec![("word".to_owned(), Value::from("changed"))])]);
    }
    Broken::new(&model)
}

fn fields(id: u64) -> Vec<(String, Value)> {
    vec![("number".to_owned(), Value::I64((id % 50) as i64)), ("word".to_owned(), format!("word {}", id % 90).into())]
}

fn metadata(clause: Clause) -> Vec<u8> {
    const FACTS: u32 = 1;
    const FIELDS: u32 = 3;
    const DATA: u32 = 5;
    let broken = with_metadata(matches!(clause, Clause::Meta3 | Clause::Meta5));
    let broken = match clause {
        Clause::Meta2 => {
            // A reserved field.
            let at = broken.section(Kind::META, FACTS) + 8;
            broken.flip(at)
        }
        Clause::Meta3 => {
            // A number beyond i64.
            let base = broken.section(Kind::DELTA, FIELDS) + 0x10;
            let above = broken.section(Kind::DELTA, DATA);
            broken.put(base, &i64::MAX.to_le_bytes()).put(above, &[1])
        }
        Clause::Meta4 => {
            let base_row = broken.entry(Kind::META) + 0x20;
            let broken = broken.put(base_row, &5000u64.to_le_bytes());
            let lookup = broken.entry(Kind::META_IDX) + 0x20;
            broken.put(lookup, &5000u64.to_le_bytes())
        }
        Clause::Meta5 => {
            // The number of the changed record becomes a bool.
            let kind = broken.section(Kind::DELTA, FIELDS) + 6;
            broken.put(kind, &[1, 0])
        }
        Clause::Mix1 => {
            let rows = broken.entry(Kind::META_IDX) + 0x20;
            broken.put(rows, &1u64.to_le_bytes())
        }
        _ => {
            let data = broken.section(Kind::META_IDX, 3);
            broken.flip(data)
        }
    };
    broken.sealed()
}

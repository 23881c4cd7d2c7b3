//! Stores with an index, the records that they should hold, and how much of the truth a search finds.

use crate::oracle::{self, Records, Rng};
use rvf_engine::ingest::door::{IdsRef, Rounding, Vectors, row_elements};
use rvf_engine::{
    Clock, CompactOptions, CreateOptions, Db, Dtype, Effort, Hit, Id, IdType, IndexOptions, Metric, OpenOptions,
    Schema, Snapshot, Trace,
};
use rvf_format::payload::witness::Operation;
use rvf_format::storage::{Bytes, MemoryPlace, Place};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

const PATH: &str = "indexed.rvf";

/// Neighbours that recall is measured over.
pub const K: usize = 10;

/// Options of a handle with this many threads for the index.
pub fn options(threads: usize) -> OpenOptions {
    let index = IndexOptions { threads: Some(threads), ..IndexOptions::default() };
    OpenOptions { clock: Clock::Fixed(1_767_323_045_000_000_000), index, ..OpenOptions::default() }
}

/// A schema with numbers for ids.
pub fn schema(dimension: u32, dtype: Dtype, metric: Metric) -> Schema {
    Schema { dimension, dtype, metric, id_type: IdType::U64 }
}

/// Searches `snapshot`, whatever its elements are.
pub fn search(snapshot: &Snapshot, query: &[f32], k: usize, effort: Effort) -> (Vec<Hit>, Trace) {
    let bytes: Vec<u8>;
    let search = if snapshot.schema().dtype == Dtype::Binary {
        bytes = query.iter().map(|value| *value as u8).collect();
        snapshot.search(&bytes[..])
    } else {
        snapshot.search(query)
    };
    search.k(k).effort(effort).run_traced().unwrap()
}

/// Vectors around centers. All are on a grid on which sums in binary64 are exact, so that distances have one value.
#[derive(Clone, Debug)]
pub struct Clusters {
    schema: Schema,
    centers: Vec<Vec<f32>>,
    spread: f64,
}

impl Clusters {
    /// So many random centers; `spread` is the size of a cluster as a share of the range of the numbers.
    pub fn new(schema: &Schema, count: usize, spread: f64, rng: &mut Rng) -> Self {
        let centers = (0..count).map(|_| rng.vector(schema)).collect();
        Self { schema: *schema, centers, spread }
    }

    /// A vector of any cluster.
    pub fn draw(&self, rng: &mut Rng) -> Vec<f32> {
        let cluster = rng.below(self.centers.len() as u64);
        self.draw_from(cluster as usize, rng)
    }

    /// A vector of one cluster.
    pub fn draw_from(&self, cluster: usize, rng: &mut Rng) -> Vec<f32> {
        let (least, most, scale) = match self.schema.dtype {
            Dtype::F32 => (-1e6, 1e6, 65536.0),
            Dtype::F16 => (-1024.0, 1024.0, 256.0),
            Dtype::I8 => (-128.0, 127.0, 1.0),
            Dtype::U8 => (0.0, 255.0, 1.0),
            Dtype::Binary => return self.flipped(cluster, rng),
        };
        let mut vector: Vec<f32> = self.centers[cluster]
            .iter()
            .map(|center| {
                // Three uniform numbers: about normal.
                let noise: f64 = (0..3).map(|_| rng.below(1 << 20) as f64 / f64::from(1 << 19) - 1.0).sum();
                let value = f64::from(*center) * scale + noise * self.spread * (most - least) / 2.0;
                (value.round().clamp(least, most) / scale) as f32
            })
            .collect();
        if vector.iter().all(|value| *value == 0.0) {
            vector[0] = 1.0;
        }
        vector
    }

    fn flipped(&self, cluster: usize, rng: &mut Rng) -> Vec<f32> {
        let mut vector = self.centers[cluster].clone();
        for bit in 0..self.schema.dimension as usize {
            if (rng.below(1 << 20) as f64) < self.spread * f64::from(1 << 20) {
                vector[bit / 8] = f32::from(vector[bit / 8] as u8 ^ 0x80 >> (bit % 8));
            }
        }
        vector
    }

    /// So many vectors of any cluster.
    pub fn many(&self, count: usize, rng: &mut Rng) -> Vec<Vec<f32>> {
        (0..count).map(|_| self.draw(rng)).collect()
    }
}

/// A store in memory, and what it should hold.
pub struct Indexed {
    place: MemoryPlace,
    open: Option<Db>,
    options: OpenOptions,
    schema: Schema,
    /// What it should hold.
    pub records: Records,
    next_id: u64,
}

/// What searches found of the truth.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// Hits that are right, as a share of those that there could be.
    pub recall: f64,
    /// Searches that walked.
    pub walked: usize,
}

impl Indexed {
    /// A new store.
    pub fn new(schema: Schema, options: OpenOptions) -> Self {
        let place = MemoryPlace::default();
        let create = CreateOptions { model: None, file_id: Some([7; 16]), open: options.clone() };
        let db = Db::create_with(Arc::new(place.clone()), PATH, &schema, &create).unwrap();
        Self { place, open: Some(db), options, schema, records: Records::new(), next_id: 0 }
    }

    /// A new store that holds `records` and one graph over them.
    pub fn fresh(schema: Schema, records: &Records) -> Self {
        let mut store = Self::new(schema, OpenOptions { manual_index: true, ..options(1) });
        store.put(records.iter().map(|(id, vector)| (id.clone(), vector.clone())).collect());
        store.index();
        store
    }

    /// The open store.
    pub fn db(&mut self) -> &mut Db {
        self.open.as_mut().unwrap()
    }

    /// The newest commit.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.open.as_ref().unwrap().snapshot()
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        self.place.bytes(Path::new(PATH)).unwrap()
    }

    /// Removes another file of the same place.
    pub fn remove(&self, path: &Path) {
        self.place.remove(path).unwrap();
    }

    /// The id that a number stands for.
    pub fn id(&self, number: u64) -> Id {
        match self.schema.id_type {
            IdType::U64 => Id::U64(number),
            IdType::Str => Id::Str(format!("record-{number}")),
        }
    }

    /// Stores vectors under new ids, in one commit.
    pub fn add(&mut self, vectors: Vec<Vec<f32>>) -> Vec<Id> {
        let first = self.next_id;
        self.next_id += vectors.len() as u64;
        let ids: Vec<Id> = (first..self.next_id).map(|number| self.id(number)).collect();
        self.put(ids.iter().cloned().zip(vectors).collect());
        ids
    }

    /// Stores records in one commit.
    pub fn put(&mut self, records: Vec<(Id, Vec<f32>)>) {
        let flat: Vec<f32> = records.iter().flat_map(|(_, vector)| vector).copied().collect();
        let bytes: Vec<u8> = flat.iter().map(|value| *value as u8).collect();
        let vectors = if self.schema.dtype == Dtype::Binary { Vectors::U8(&bytes) } else { Vectors::F32(&flat) };
        assert_eq!(flat.len(), records.len() * row_elements(&self.schema));
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for (id, _) in &records {
            match id {
                Id::U64(number) => numbers.push(*number),
                Id::Str(text) => texts.push(text.clone()),
            }
        }
        let ids = if texts.is_empty() { IdsRef::U64(&numbers) } else { IdsRef::Str(&texts) };
        self.db().import(vectors, Some(ids), Rounding::Refuse, Operation::IMPORT, "").unwrap();
        self.records.extend(records);
        self.settled();
    }

    /// Deletes records in one commit.
    pub fn delete(&mut self, ids: &[Id]) {
        self.db().delete(ids).unwrap();
        ids.iter().for_each(|id| drop(self.records.remove(id)));
        self.settled();
    }

    fn settled(&mut self) {
        assert!(self.db().index_error().is_none(), "{:?}", self.db().index_error());
        assert_eq!(self.snapshot().count(), self.records.len() as u64);
    }

    /// Puts all rows under one graph.
    pub fn index(&mut self) -> rvf_engine::Indexed {
        let options = self.options.index;
        self.db().index(&options, &mut |_, _| ControlFlow::Continue(())).unwrap()
    }

    /// Compacts.
    pub fn compact(&mut self, keep: u64) {
        self.db().compact(&CompactOptions { keep, output: None }).unwrap();
        self.settled();
    }

    /// Closes and opens again.
    pub fn reopen(&mut self) {
        self.open = None;
        let db = Db::open_with(Arc::new(self.place.clone()), PATH, &self.options).unwrap();
        assert!(db.tail_report().is_none());
        self.open = Some(db);
    }

    /// Flips a bit of the file behind the store's back.
    pub fn damage(&mut self, at: usize) {
        self.open = None;
        let mut bytes = self.bytes();
        bytes[at] ^= 1;
        self.place.put(Path::new(PATH), bytes);
        self.reopen();
    }

    /// Ids drawn from those that are there; the same one may come twice.
    pub fn some_ids(&self, count: usize, rng: &mut Rng) -> Vec<Id> {
        let ids: Vec<&Id> = self.records.keys().collect();
        let mut some: Vec<Id> =
            (0..count.min(ids.len())).map(|_| ids[rng.below(ids.len() as u64) as usize].clone()).collect();
        some.sort();
        some.dedup();
        some
    }

    /// The file is sound, also to the deep clauses.
    pub fn verify(&self, what: &str) {
        let options = rvf_format::verify::Options { deep: true };
        let report = rvf_format::verify::verify_with(&Bytes::from(self.bytes()), &options, &mut |_, _| {}).unwrap();
        assert_eq!(report.findings, [], "{what}");
        assert!(report.sound, "{what}");
    }

    /// Searches the newest commit: see [`found`].
    pub fn found(&self, queries: &[Vec<f32>], k: usize, effort: Effort, what: &str) -> Found {
        found(&self.snapshot(), &self.records, queries, k, effort, what)
    }
}

/// Searches for each query, and checks all that must hold of any answer: as many hits as there can be, sorted, each of them a
/// record that is there with its true distance. The scan's answer must be the truth itself.
pub fn found(
    snapshot: &Snapshot,
    records: &Records,
    queries: &[Vec<f32>],
    k: usize,
    effort: Effort,
    what: &str,
) -> Found {
    let schema = snapshot.schema();
    let wanted = k.min(records.len());
    let (mut right, mut all, mut walked) = (0, 0, 0);
    for (number, query) in queries.iter().enumerate() {
        let what = format!("{what}, query {number}, {effort:?}");
        let (exact, _) = search(snapshot, query, k, Effort::Exact);
        let (hits, trace) = search(snapshot, query, k, effort);
        assert_eq!((exact.len(), hits.len()), (wanted, wanted), "{what}");
        walked += usize::from(trace.ef > 0);
        let truth = |id: &Id| {
            let vector = records.get(id).unwrap_or_else(|| panic!("{what}: {id} is dead or foreign"));
            oracle::distance(schema, query, vector).clamp(f32::MIN, f32::MAX) + 0.0
        };
        for hits in [&exact, &hits] {
            let sorted =
                hits.is_sorted_by(|a, b| a.distance.total_cmp(&b.distance).then_with(|| a.id.cmp(&b.id)).is_lt());
            assert!(sorted, "{what}: {hits:?}");
            for hit in hits {
                let truth = truth(&hit.id);
                assert_eq!(hit.distance.to_bits(), truth.to_bits(), "{what}: {hit:?}, not {truth}");
            }
        }
        if number % 8 == 0 {
            let mut distances: Vec<f32> = records.keys().map(truth).collect();
            distances.sort_by(f32::total_cmp);
            let same = exact.iter().zip(&distances).all(|(hit, distance)| hit.distance == *distance);
            assert!(same, "{what}: the scan is not the truth: {exact:?}");
        }
        let Some(last) = exact.last().map(|hit| hit.distance) else { continue };
        let near = f64::from(last) + 1e-6 * f64::from(last).abs();
        right += hits.iter().filter(|hit| f64::from(hit.distance) <= near).count();
        all += wanted;
    }
    Found { recall: if all == 0 { 1.0 } else { right as f64 / all as f64 }, walked }
}

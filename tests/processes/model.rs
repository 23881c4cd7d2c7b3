//! What a store holds after batch n: a pure function of seed and n, so that whoever reads the counter knows every record.
//!
//! Batch 1 puts all ids of the window. Each later batch touches one of its blocks, in turn: most records of it are replaced, the
//! others deleted. It also puts one id that was never there, deletes the one put a lap before, and puts the counter. Of the block that
//! was touched half a lap before, it changes the metadata of some records without their vectors.

use rvf_engine::{Effort, Id, Metadata, Snapshot};
use rvf_tests::fields;
use rvf_tests::oracle::Rng;
use std::collections::BTreeMap;

/// Components of a vector. All are small whole numbers: squared distances are exact in binary32.
pub(crate) const DIMENSION: u32 = 8;
const BLOCKS: u64 = 32;
/// Ids 1 to this: more than the 1,000 below which no graph is built.
const WINDOW: u64 = 1_300;
/// Ids that are put once and deleted a lap later are above.
const FRESH: u64 = 1_000_000;
/// The id of the record whose vector says n.
const COUNTER: u64 = 0;
/// Digits of the counter have this base.
const BASE: u64 = 64;

type Vector = [f32; DIMENSION as usize];
type Records = BTreeMap<u64, Vector>;
type Fields = BTreeMap<u64, Metadata>;

/// Whole numbers to one, well mixed.
fn mix(words: &[u64]) -> u64 {
    words.iter().fold(0x9E37_79B9_7F4A_7C15, |state, word| {
        let mut z = (state ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

/// Random numbers from a seed.
pub(crate) struct Random {
    seed: u64,
    count: u64,
}

impl Random {
    pub(crate) fn new(words: &[u64]) -> Self {
        Self { seed: mix(words), count: 0 }
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.count += 1;
        mix(&[self.seed, self.count]) % bound.max(1)
    }

    /// A number of an exponential distribution with mean 1, at most 5.
    pub(crate) fn exponential(&mut self) -> f64 {
        let uniform = (self.below(1 << 32) as f64 + 1.0) / (1u64 << 32) as f64;
        (-uniform.ln()).min(5.0)
    }

    pub(crate) fn vector(&mut self) -> Vector {
        vector(&[self.seed, self.below(u64::MAX)])
    }
}

/// Components from -64 to 64.
fn vector(words: &[u64]) -> Vector {
    let base = mix(words);
    std::array::from_fn(|component| (mix(&[base, component as u64]) % 129) as f32 - 64.0)
}

/// What one batch does.
pub(crate) struct Change {
    pub(crate) puts: Vec<(u64, Vector, Metadata)>,
    /// Changes of metadata; null fields are taken away.
    pub(crate) updates: Vec<(u64, Metadata)>,
    pub(crate) deletes: Vec<u64>,
}

/// The content of a store, by its seed.
#[derive(Clone, Copy)]
pub(crate) struct Model {
    pub(crate) seed: u64,
}

impl Model {
    /// What batch `n` does; n is at least 1.
    pub(crate) fn change(&self, n: u64) -> Change {
        let fresh = (FRESH + n, self.vector(FRESH + n, n), self.metadata(FRESH + n, n));
        let puts = vec![(COUNTER, digits(n), stamp(n)), fresh];
        let mut change = Change { puts, updates: Vec::new(), deletes: Vec::new() };
        if n > BLOCKS {
            change.deletes.push(FRESH + n - BLOCKS);
        }
        for id in (1..=WINDOW).filter(|id| self.touched(*id, n) == n) {
            match self.puts(id, n) {
                true => change.puts.push((id, self.vector(id, n), self.metadata(id, n))),
                false => change.deletes.push(id),
            }
        }
        let live = (1..=WINDOW).filter(|id| self.puts(*id, self.touched(*id, n)));
        change.updates.extend(live.filter_map(|id| Some((id, self.update(id, n).filter(|(at, _)| *at == n)?.1))));
        change
    }

    /// All records after batch `n`; none after batch 0.
    fn records(&self, n: u64) -> Records {
        let mut records = Records::new();
        if n == 0 {
            return records;
        }
        records.insert(COUNTER, digits(n));
        let fresh = n.saturating_sub(BLOCKS) + 1..=n;
        records.extend(fresh.map(|batch| (FRESH + batch, self.vector(FRESH + batch, batch))));
        let window = (1..=WINDOW).map(|id| (id, self.touched(id, n)));
        records.extend(
            window.filter(|(id, batch)| self.puts(*id, *batch)).map(|(id, batch)| (id, self.vector(id, batch))),
        );
        records
    }

    /// The metadata of all records after batch `n`, of those that have any.
    fn fields(&self, n: u64) -> Fields {
        let of = |id: &u64| {
            if *id == COUNTER {
                return stamp(n);
            }
            let put = if *id > FRESH { *id - FRESH } else { self.touched(*id, n) };
            let mut metadata = self.metadata(*id, put);
            if let Some((_, change)) = self.update(*id, n).filter(|_| *id < FRESH) {
                fields::change(&mut metadata, &change);
            }
            fields::told(metadata)
        };
        let all = self.records(n).into_keys().map(|id| (id, of(&id)));
        all.filter(|(_, metadata)| !metadata.is_empty()).collect()
    }

    /// What batch `batch` gives a record that it puts.
    fn metadata(&self, id: u64, batch: u64) -> Metadata {
        fields::draw(&mut Rng(mix(&[self.seed, id, batch, 2])))
    }

    /// The last change of a record's metadata since it was put, if it had one by batch `n`: the batch, and what it changed. There is
    /// at most one, half a lap behind each put.
    fn update(&self, id: u64, n: u64) -> Option<(u64, Metadata)> {
        let put = self.touched(id, n.checked_sub(BLOCKS / 2).filter(|before| *before > 0)?);
        let mut random = Rng(mix(&[self.seed, id, put, 3]));
        let is_due = self.touched(id, n) == put && random.below(3) == 0;
        is_due.then(|| (put + BLOCKS / 2, fields::draw_change(&mut random)))
    }

    /// The last batch up to `n` that touched an id of the window.
    fn touched(&self, id: u64, n: u64) -> u64 {
        let block = mix(&[self.seed, id]) % BLOCKS;
        n.saturating_sub((n + BLOCKS - block) % BLOCKS).max(1)
    }

    fn puts(&self, id: u64, batch: u64) -> bool {
        batch == 1 || !mix(&[self.seed, id, batch, 1]).is_multiple_of(8)
    }

    fn vector(&self, id: u64, batch: u64) -> Vector {
        vector(&[self.seed, id, batch])
    }

    /// Checks that a snapshot holds exactly what some n says, and returns this n.
    pub(crate) fn check(&self, snapshot: &Snapshot) -> Result<u64, String> {
        let n = counter(snapshot)?;
        let (mut found, mut found_fields) = (Records::new(), Fields::new());
        for record in snapshot.records().map_err(text)? {
            let record = record.map_err(text)?;
            let (Id::U64(id), Ok(vector)) = (&record.id, Vector::try_from(record.vector.as_slice())) else {
                return Err(format!("a record of another kind: {record:?}"));
            };
            if found.insert(*id, vector).is_some() {
                return Err(format!("two records with id {id} at n = {n}"));
            }
            if !record.metadata.is_empty() {
                found_fields.insert(*id, fields::told(record.metadata));
            }
        }
        let expected = self.records(n);
        if found == expected && snapshot.count() == expected.len() as u64 {
            return self.check_fields(&found_fields, n).map(|()| n);
        }
        let of = |a: &Records, b: &Records| {
            let ids = a.iter().filter(|(id, vector)| b.get(id) != Some(vector)).map(|(id, _)| *id);
            ids.take(9).collect::<Vec<u64>>()
        };
        let (lost, foreign) = (of(&expected, &found), of(&found, &expected));
        let (epoch, count) = (snapshot.epoch(), snapshot.count());
        Err(format!(
            "epoch {epoch} with counter {n} and count {count} is not what batch {n} left ({} records): missing or other: {lost:?}, \
             not to be there: {foreign:?}",
            expected.len()
        ))
    }

    fn check_fields(&self, found: &Fields, n: u64) -> Result<(), String> {
        let expected = self.fields(n);
        let ids = expected.keys().chain(found.keys());
        match ids.into_iter().find(|id| expected.get(id) != found.get(id)) {
            None => Ok(()),
            Some(id) => Err(format!("metadata of {id} at n = {n}: {:?}, not {:?}", found.get(id), expected.get(id))),
        }
    }

    /// Searches exactly and by walk, and compares with all records. Says whether a graph was walked.
    pub(crate) fn check_search(&self, snapshot: &Snapshot, n: u64, random: &mut Random) -> Result<bool, String> {
        const K: usize = 5;
        let (query, records) = (random.vector(), self.records(n));
        let mut nearest: Vec<f32> = records.values().map(|vector| distance(&query, vector)).collect();
        nearest.sort_by(f32::total_cmp);
        nearest.truncate(K);
        let exact = snapshot.search(&query).k(K).effort(Effort::Exact).run().map_err(text)?;
        let (walked, trace) = snapshot.search(&query).k(K).effort(Effort::Ef(32)).run_traced().map_err(text)?;
        for hits in [&exact, &walked] {
            let mut ids: Vec<&Id> = hits.iter().map(|hit| &hit.id).collect();
            ids.sort_unstable();
            ids.dedup();
            let true_distance = |id: &Id| match id {
                Id::U64(id) => records.get(id).map(|vector| distance(&query, vector)),
                Id::Str(_) => None,
            };
            let right = hits.iter().all(|hit| true_distance(&hit.id) == Some(hit.distance));
            if ids.len() != nearest.len() || !right || !hits.is_sorted_by(|a, b| a.distance <= b.distance) {
                return Err(format!(
                    "{} hits at n = {n}, not all of them right: {hits:?}, nearest: {nearest:?}",
                    hits.len()
                ));
            }
        }
        if exact.iter().map(|hit| hit.distance).ne(nearest.iter().copied()) {
            return Err(format!("an exact search at n = {n} found {exact:?}, not {nearest:?}"));
        }
        Ok(!trace.exact)
    }
}

/// The n that the counter says; 0 for a store that was only created.
pub(crate) fn counter(snapshot: &Snapshot) -> Result<u64, String> {
    match snapshot.get(&Id::U64(COUNTER)).map_err(text)? {
        Some(record) => Ok(record.vector.iter().rev().fold(0, |n, digit| n * BASE + *digit as u64)),
        None if snapshot.count() == 0 => Ok(0),
        None => Err(format!("no counter among {} records of epoch {}", snapshot.count(), snapshot.epoch())),
    }
}

/// The metadata of the counter.
fn stamp(n: u64) -> Metadata {
    Metadata::from([("n".to_owned(), (n as i64).into())])
}

fn digits(n: u64) -> Vector {
    std::array::from_fn(|place| (n / BASE.pow(place as u32) % BASE) as f32)
}

fn distance(a: &Vector, b: &Vector) -> f32 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

//! [`Driver`]: a program that writes a store in a simulated place and notes each commit before and after.

use super::medium::Folder;
use super::place::SimPlace;
use super::states::{Note, State};
use crate::fields::{self, Fields};
use crate::oracle::{Records, Rng};
use crate::samples;
use rvf_engine::{
    CompactOptions, CreateOptions, Db, Dtype, Error, Id, Metadata, Metric, OpenOptions, ReadMode, Reader, Result,
    Schema, SecretKey,
};
use rvf_format::storage::Place;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The store.
pub const MAIN: &str = "s.rvf";
/// What it is exported to.
pub const COPY: &str = "copy.rvf";

/// Records and their metadata.
type Content = (Records, Fields);

/// A program and what it knows.
pub struct Driver {
    /// Where it works.
    pub place: SimPlace,
    /// The open store.
    pub db: Option<Db>,
    /// The last commit that returned; none before creation has.
    pub state: Option<Arc<State>>,
    /// Its random numbers.
    pub rng: Rng,
    schema: Schema,
}

/// Options that make a handle deterministic; the index is renewed and space given back when a driver says so.
pub fn options() -> OpenOptions {
    OpenOptions { manual_index: true, manual_compaction: true, ..samples::open_options() }
}

/// Its signatures are the same each time. Made once: making the key takes longer than a commit.
fn signer() -> Arc<SecretKey> {
    static KEY: OnceLock<Arc<SecretKey>> = OnceLock::new();
    KEY.get_or_init(|| Arc::new(crate::golden::signing_key())).clone()
}

impl Driver {
    /// A program that knows what its store holds.
    pub fn new(place: SimPlace, seed: u64, state: Option<Arc<State>>) -> Self {
        let schema = Schema::new(4, Metric::L2);
        let mut driver = Self { place, db: None, state, rng: Rng(seed), schema };
        let row = driver.state.as_ref().and_then(|state| state.records.values().next());
        if let Some(length) = row.map(Vec::len) {
            driver.set_dimension(length as u32);
        }
        driver
    }

    /// Rows of another length, as bytes where they are long.
    pub fn set_dimension(&mut self, dimension: u32) {
        let dtype = if dimension > 100 { Dtype::U8 } else { Dtype::F32 };
        self.schema = Schema { dtype, ..Schema::new(dimension, Metric::L2) };
    }

    pub(super) fn shared(&self) -> Arc<dyn Place> {
        Arc::new(self.place.clone())
    }

    /// Creates the store.
    pub fn create(&mut self) -> Result<()> {
        let options = CreateOptions { model: None, file_id: Some([7; 16]), open: options() };
        let state = State::new(MAIN, 1, Records::new(), Fields::new());
        self.place.note(Note::Begun(state.clone()));
        self.db = Some(Db::create_with(self.shared(), MAIN, &self.schema, &options)?);
        self.place.note(Note::Returned(state.clone()));
        self.state = Some(state);
        Ok(())
    }

    /// Opens the store for writing; it must be where this program knows it to be.
    pub fn open(&mut self) -> Result<()> {
        let db = self.open_db()?;
        assert_eq!(Some(db.snapshot().epoch()), self.state.as_ref().map(|state| state.epoch), "epoch at opening");
        self.db = Some(db);
        Ok(())
    }

    /// Opens the store for writing, whichever commit it is at.
    pub fn adopt(&mut self) -> Result<Arc<State>> {
        let db = self.open_db()?;
        let state = State::of(MAIN, &db.snapshot())?;
        (self.db, self.state) = (Some(db), Some(state.clone()));
        Ok(state)
    }

    /// Who works on a store that is signed signs.
    fn open_db(&self) -> Result<Db> {
        let db = Db::open_with(self.shared(), MAIN, &options())?;
        if db.snapshot().policy()?.is_none() {
            return Ok(db);
        }
        drop(db);
        Db::open_with(self.shared(), MAIN, &OpenOptions { signer: Some(signer()), ..options() })
    }

    /// Signs the newest commit.
    pub fn sign(&mut self) -> Result<()> {
        let content = self.content();
        self.commit(content, |db| db.sign(signer()).map(drop))
    }

    /// Closes the store.
    pub fn close(&mut self) {
        self.db = None;
    }

    /// The program dies.
    pub fn die(self) -> Folder {
        drop(self.db);
        self.place.folder()
    }

    fn commit(&mut self, (records, fields): Content, act: impl FnOnce(&mut Db) -> Result<()>) -> Result<()> {
        let epoch = self.state.as_ref().map_or(0, |state| state.epoch) + 1;
        let state = State::new(MAIN, epoch, records, fields);
        self.place.note(Note::Begun(state.clone()));
        let db = self.db.as_mut().unwrap();
        let done = act(db);
        if matches!(done, Err(Error::Poisoned)) {
            self.place.note(Note::Refused(state));
            return done;
        }
        done?;
        assert_eq!(db.snapshot().epoch(), state.epoch, "epoch of the commit that returned");
        self.place.note(Note::Returned(state.clone()));
        self.state = Some(state);
        Ok(())
    }

    fn content(&self) -> Content {
        self.state.as_ref().map(|state| (state.records.clone(), state.fields.clone())).unwrap_or_default()
    }

    /// Stores random vectors under these ids in one commit.
    pub fn put(&mut self, ids: impl IntoIterator<Item = u64>) -> Result<()> {
        self.put_rows(ids, |_| Metadata::new())
    }

    /// [`Driver::put`] with random metadata.
    pub fn put_fields(&mut self, ids: impl IntoIterator<Item = u64>) -> Result<()> {
        self.put_rows(ids, fields::draw)
    }

    fn put_rows(&mut self, ids: impl IntoIterator<Item = u64>, draw: impl Fn(&mut Rng) -> Metadata) -> Result<()> {
        let schema = self.schema;
        let row = |id| (Id::U64(id), self.rng.vector(&schema), draw(&mut self.rng));
        let rows: Vec<(Id, Vec<f32>, Metadata)> = ids.into_iter().map(row).collect();
        let (mut records, mut fields) = self.content();
        for (id, vector, metadata) in &rows {
            records.insert(id.clone(), vector.clone());
            set_fields(&mut fields, id, metadata.clone());
        }
        self.commit((records, fields), |db| {
            let mut batch = db.batch();
            for (id, vector, metadata) in &rows {
                batch.put_with(id.clone(), vector, metadata.clone())?;
            }
            batch.commit().map(drop)
        })
    }

    /// Changes metadata of these records, which must be there, in one commit. Something changes in each of them.
    pub fn update(&mut self, ids: impl IntoIterator<Item = u64>) -> Result<()> {
        let (records, mut fields) = self.content();
        let mut changes = Vec::new();
        for id in ids {
            let mut change = fields::draw_change(&mut self.rng);
            let stamp = self.state.as_ref().map_or(0, |state| state.epoch);
            change.insert("changed".into(), (stamp as i64).into());
            let id = Id::U64(id);
            let mut metadata = fields.get(&id).cloned().unwrap_or_default();
            fields::change(&mut metadata, &change);
            set_fields(&mut fields, &id, metadata);
            changes.push((id, change));
        }
        self.commit((records, fields), |db| {
            let mut batch = db.batch();
            for (id, change) in &changes {
                batch.update(id.clone(), change.clone())?;
            }
            batch.commit().map(drop)
        })
    }

    /// Deletes these ids, which must be there, in one commit.
    pub fn delete(&mut self, ids: impl IntoIterator<Item = u64>) -> Result<()> {
        let ids: Vec<Id> = ids.into_iter().map(Id::U64).collect();
        let (mut records, mut fields) = self.content();
        records.retain(|id, _| !ids.contains(id));
        fields.retain(|id, _| !ids.contains(id));
        self.commit((records, fields), |db| db.delete(&ids).map(drop))
    }

    /// Brings all records under one graph.
    pub fn index(&mut self) -> Result<()> {
        self.commit(self.content(), |db| {
            db.index(&samples::INDEX_OPTIONS, &mut |_, _| ControlFlow::Continue(())).map(drop)
        })
    }

    /// A random vector with random metadata.
    pub(super) fn row(&mut self) -> (Vec<f32>, Metadata) {
        (self.rng.vector(&self.schema), fields::draw(&mut self.rng))
    }

    /// Makes the store one that takes no further commits.
    pub fn freeze(&mut self) -> Result<()> {
        self.commit(self.content(), |db| db.freeze().map(drop))
    }

    /// Compacts the store.
    pub fn compact(&mut self, keep: u64) -> Result<()> {
        self.commit(self.content(), |db| db.compact(&CompactOptions { keep, output: None }).map(drop))
    }

    /// Compacts the store as a commit does, which must be due.
    pub fn reclaim(&mut self) -> Result<()> {
        self.commit(self.content(), |db| {
            let done = db.compact_if_due(&mut |_, _| ControlFlow::Continue(()))?;
            assert!(done.is_some(), "no compaction is due");
            Ok(())
        })
    }

    /// A second writer is told that it is one.
    pub fn open_again(&mut self) -> Result<()> {
        match Db::open_with(self.shared(), MAIN, &options()) {
            Ok(_) => panic!("two writers have the store"),
            Err(Error::Locked { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Opens a reader, which must see the last commit that returned.
    pub fn read(&self) -> Result<Reader> {
        let reader = Reader::open_with(self.shared(), MAIN, ReadMode::Mapped)?;
        self.check(&reader.snapshot(), self.state.as_deref().unwrap())?;
        Ok(reader)
    }

    /// A snapshot must hold a commit.
    pub fn check(&self, snapshot: &rvf_engine::Snapshot, state: &State) -> Result<()> {
        let found = State::of(MAIN, snapshot)?;
        assert!(found.is(state), "a reader sees epoch {}, not {} as committed", found.epoch, state.epoch);
        Ok(())
    }

    /// Writes what a reader sees to another file.
    pub fn export(&mut self, reader: &Reader, keep: u64) -> Result<()> {
        let seen = State::of(COPY, reader)?;
        let state = State::new(COPY, seen.epoch + 1, seen.records.clone(), seen.fields.clone());
        self.place.note(Note::Begun(state.clone()));
        reader.compact_to(Path::new(COPY), keep, &options())?;
        self.place.note(Note::Returned(state));
        Ok(())
    }

    /// Ids of records.
    pub fn ids(&self) -> Vec<u64> {
        let records = self.state.iter().flat_map(|state| state.records.keys());
        let number = |id: &Id| match id {
            Id::U64(number) => *number,
            Id::Str(_) => unreachable!("drivers number their records"),
        };
        records.map(number).collect()
    }
}

pub(super) fn set_fields(fields: &mut Fields, id: &Id, metadata: Metadata) {
    match metadata.is_empty() {
        true => drop(fields.remove(id)),
        false => drop(fields.insert(id.clone(), fields::told(metadata))),
    }
}

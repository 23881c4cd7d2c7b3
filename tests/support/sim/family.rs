//! [`Child`]: a branch of the store that a driver writes, and its commits, noted before and after like the driver's own.
//!
//! ```text
//! begun: the parent's pin, the branch -> branch -> returned: both -> commits of either, merged at the end
//! ```

use super::driver::{Driver, options, set_fields};
use super::states::{Note, State};
use rvf_engine::{BranchOptions, Db, Id, Metadata, Resolve, Result};
use std::sync::Arc;

/// The branch.
pub const CHILD: &str = "child.rvf";

/// A record, or that there is none.
type Record = Option<(Vec<f32>, Metadata)>;

/// An open branch.
pub struct Child {
    db: Db,
    state: Arc<State>,
    /// What it did since it was made.
    changes: Vec<(Id, Record)>,
}

fn change(state: &State, epoch: u64, file: &'static str, changes: &[(Id, Record)]) -> Arc<State> {
    let (mut records, mut fields) = (state.records.clone(), state.fields.clone());
    for (id, record) in changes {
        match record {
            Some((vector, metadata)) => {
                records.insert(id.clone(), vector.clone());
                set_fields(&mut fields, id, metadata.clone());
            }
            None => {
                records.remove(id);
                fields.remove(id);
            }
        }
    }
    State::new(file, epoch, records, fields)
}

impl Child {
    /// Makes the branch of the driver's open store.
    pub fn of(driver: &mut Driver) -> Result<Self> {
        let parent = driver.state.clone().unwrap();
        let pinned = change(&parent, parent.epoch + 1, parent.file, &[]);
        let state = change(&parent, 1, CHILD, &[]);
        driver.place.note(Note::Begun(pinned.clone()));
        driver.place.note(Note::Begun(state.clone()));
        let made = BranchOptions { file_id: Some([8; 16]), open: options(), ..BranchOptions::default() };
        driver.db.as_mut().unwrap().branch(CHILD, &made)?;
        driver.place.note(Note::Returned(pinned.clone()));
        driver.place.note(Note::Returned(state.clone()));
        driver.state = Some(pinned);
        let db = Db::open_with(driver.shared(), CHILD, &options())?;
        Ok(Self { db, state, changes: Vec::new() })
    }

    fn commit(&mut self, driver: &Driver, changes: Vec<(Id, Record)>) -> Result<()> {
        let state = change(&self.state, self.state.epoch + 1, CHILD, &changes);
        driver.place.note(Note::Begun(state.clone()));
        let mut batch = self.db.batch();
        for (id, record) in &changes {
            match record {
                Some((vector, metadata)) => batch.put_with(id.clone(), vector, metadata.clone())?,
                None => batch.delete(id.clone())?,
            }
        }
        batch.commit()?;
        driver.place.note(Note::Returned(state.clone()));
        self.state = state;
        self.changes.extend(changes);
        Ok(())
    }

    /// Stores random records in one commit of the branch.
    pub fn put(&mut self, driver: &mut Driver, ids: impl IntoIterator<Item = u64>) -> Result<()> {
        let rows = ids.into_iter().map(|id| (Id::U64(id), Some(driver.row()))).collect();
        self.commit(driver, rows)
    }

    /// Deletes records, which must be there, in one commit of the branch.
    pub fn delete(&mut self, driver: &Driver, ids: impl IntoIterator<Item = u64>) -> Result<()> {
        self.commit(driver, ids.into_iter().map(|id| (Id::U64(id), None)).collect())
    }

    /// Compacts the branch.
    pub fn compact(&mut self, driver: &Driver) -> Result<()> {
        let state = change(&self.state, self.state.epoch + 1, CHILD, &[]);
        driver.place.note(Note::Begun(state.clone()));
        self.db.compact(&Default::default())?;
        driver.place.note(Note::Returned(state.clone()));
        self.state = state;
        Ok(())
    }

    /// Merges what the branch did into the driver's store, which did nothing to the same records.
    pub fn merge_into(&self, driver: &mut Driver) -> Result<()> {
        let parent = driver.state.clone().unwrap();
        let state = change(&parent, parent.epoch + 1, parent.file, &self.changes);
        driver.place.note(Note::Begun(state.clone()));
        let done = driver.db.as_mut().unwrap().merge(&self.db.snapshot(), &Resolve::default())?;
        assert_eq!((done.epoch, done.conflicts.len()), (state.epoch, 0), "a merge that returned");
        driver.place.note(Note::Returned(state.clone()));
        driver.state = Some(state);
        Ok(())
    }
}

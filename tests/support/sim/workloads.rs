//! The workloads: what stands before them, and what they do.

use super::driver::{Driver, MAIN};
use super::family::Child;
use super::medium::{Blob, Folder};
use super::place::SimPlace;
use super::states::State;
use rvf_engine::Result;
use rvf_format::limits::PAGE_LEN;
use std::path::PathBuf;
use std::sync::Arc;

/// A short life of a store.
#[derive(Clone, Copy)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    before: fn(&mut Driver) -> Result<()>,
    damage: fn(&mut Folder),
    run: fn(&mut Driver) -> Result<()>,
}

/// Names of the workloads whose images are megabytes: they are left out where many are made.
pub const LARGE: [&str; 2] = ["large", "reclaim"];

/// Names of the workloads of a store and a branch of it: two files that are opened together.
pub const BRANCHES: [&str; 2] = ["branch", "branch-long"];

/// All workloads.
pub const ALL: [Workload; 21] = [
    workload("create", |_| Ok(()), create),
    workload("import", |driver| store(driver, 0), import),
    workload("replace", |driver| store(driver, 10), replace),
    workload("delete", |driver| store(driver, 12), delete),
    workload("fold", |driver| store(driver, 1004), fold),
    workload("compact", history, compact),
    workload("grow", long_history, grow),
    Workload { damage: tear_last_root, ..workload("recover", |driver| store(driver, 5), recover) },
    workload("turns", |driver| store(driver, 5), turns),
    workload("export", |driver| store(driver, 9), export),
    workload("travel", |driver| store(driver, 6), travel),
    workload("mixed", |driver| store(driver, 20), mixed),
    workload("fields", |driver| fields_store(driver, 6), fields),
    workload("fields-grow", fields_history, fields_grow),
    workload("fields-compact", |driver| fields_store(driver, 5), fields_compact),
    workload("fields-fold", |driver| fields_store(driver, 1030), fields_fold),
    workload("large", large_rows, large),
    workload("reclaim", replaced_rows, reclaim),
    workload("signed", |driver| store(driver, 4), signed),
    workload("branch", |driver| fields_store(driver, 8), branch),
    workload("branch-long", long_history, branch_long),
];

const fn workload(
    name: &'static str,
    before: fn(&mut Driver) -> Result<()>,
    run: fn(&mut Driver) -> Result<()>,
) -> Workload {
    Workload { name, before, damage: |_| {}, run }
}

/// A folder that is all on the medium, and the last commit in it.
#[derive(Clone)]
pub struct Start {
    /// The folder.
    pub folder: Folder,
    /// The last commit.
    pub state: Option<Arc<State>>,
}

impl Workload {
    /// The workload of this name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|workload| workload.name == name)
    }

    /// What stands before it.
    pub fn start(&self, seed: u64) -> Start {
        let mut driver = Driver::new(SimPlace::default(), seed, None);
        (self.before)(&mut driver).unwrap();
        let state = driver.state.clone();
        let mut folder = driver.die();
        (self.damage)(&mut folder);
        Start { folder, state }
    }

    /// Runs it.
    ///
    /// # Errors
    /// The first error of the engine.
    pub fn run(&self, driver: &mut Driver) -> Result<()> {
        (self.run)(driver)
    }
}

/// A store with this many records, if any.
fn store(driver: &mut Driver, records: u64) -> Result<()> {
    driver.create()?;
    if records > 0 {
        driver.put(0..records)?;
    }
    driver.close();
    Ok(())
}

/// Ten commits, some of which replace and delete.
fn history(driver: &mut Driver) -> Result<()> {
    store(driver, 9)?;
    driver.open()?;
    for round in 0..3 {
        driver.put([round, 100 + round])?;
        driver.delete([round + 4])?;
    }
    driver.close();
    Ok(())
}

/// Two commits before a full manifest is due.
fn long_history(driver: &mut Driver) -> Result<()> {
    driver.create()?;
    for round in 0..61 {
        driver.put([round])?;
    }
    driver.close();
    Ok(())
}

/// A store with this many records, most of which have metadata.
fn fields_store(driver: &mut Driver, records: u64) -> Result<()> {
    driver.create()?;
    driver.put_fields(0..records)?;
    driver.close();
    Ok(())
}

/// Two commits before a full manifest is due: enough segments of rows to be merged with their metadata, and of changes to it.
fn fields_history(driver: &mut Driver) -> Result<()> {
    driver.create()?;
    for round in 0..17 {
        driver.put_fields([round])?;
    }
    for round in 0..44 {
        driver.update([round * 5 % 17])?;
    }
    driver.close();
    Ok(())
}

fn large_rows(driver: &mut Driver) -> Result<()> {
    driver.set_dimension(4096);
    store(driver, 1)
}

/// Rows of 64 KiB, all of them replaced: a compaction is due.
fn replaced_rows(driver: &mut Driver) -> Result<()> {
    driver.set_dimension(65_535);
    store(driver, 18)?;
    driver.open()?;
    driver.put(0..18)?;
    driver.close();
    Ok(())
}

/// Makes a commit after the last, and tears its root: a tail that holds a manifest.
fn tear_last_root(folder: &mut Folder) {
    let place = SimPlace::holding(folder);
    let mut driver = Driver::new(place, 99, None);
    driver.adopt().unwrap();
    driver.put([700, 701]).unwrap();
    let path = PathBuf::from(MAIN);
    let mut bytes = driver.die().0[&path].bytes.clone();
    let root = bytes.len() - PAGE_LEN;
    bytes[root + 512..root + 1024].fill(0xEE);
    folder.0.insert(path, Blob::new(bytes));
}

fn create(driver: &mut Driver) -> Result<()> {
    driver.create()?;
    driver.put(0..5)?;
    driver.close();
    Ok(())
}

fn import(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    for batch in 0..4 {
        driver.put(batch * 5..batch * 5 + 5)?;
    }
    driver.close();
    Ok(())
}

fn replace(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.put([3])?;
    driver.put([3, 4, 20])?;
    driver.put(0..10)?;
    driver.close();
    Ok(())
}

fn delete(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.delete([5])?;
    driver.delete([0, 11, 3])?;
    let rest = driver.ids();
    driver.delete(rest)?;
    driver.put([5])?;
    driver.close();
    Ok(())
}

/// A graph, and one that takes its place when much of it died.
fn fold(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.index()?;
    driver.delete([1, 2, 3])?;
    driver.put([2000])?;
    driver.close();
    Ok(())
}

fn compact(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.compact(3)?;
    driver.put([50])?;
    driver.delete([100, 50])?;
    driver.compact(1)?;
    driver.put([51])?;
    driver.close();
    Ok(())
}

/// Over the step to a full manifest, which seals and merges.
fn grow(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.put([100])?;
    driver.delete([7])?;
    driver.put([101])?;
    driver.put([102, 3])?;
    driver.close();
    Ok(())
}

/// A segment that is large enough for a hash tree.
fn large(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.put(1000..1257)?;
    driver.close();
    Ok(())
}

/// A commit, and the compaction that follows it.
fn reclaim(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.delete([5])?;
    driver.reclaim()?;
    driver.put([3])?;
    driver.close();
    Ok(())
}

/// Opens what a crash left: a tail that holds a manifest.
fn recover(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.put([40, 41])?;
    driver.close();
    driver.open()?;
    driver.delete([40])?;
    driver.close();
    Ok(())
}

fn turns(driver: &mut Driver) -> Result<()> {
    for turn in 0..3 {
        driver.open()?;
        driver.open_again()?;
        driver.put([turn, 30 + turn])?;
        driver.read()?;
        driver.close();
    }
    driver.open()?;
    driver.compact(1)?;
    driver.open_again()?;
    driver.close();
    driver.open()?;
    driver.delete([30])?;
    driver.close();
    Ok(())
}

fn signed(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.sign()?;
    driver.close();
    driver.open()?;
    driver.put([2, 40])?;
    driver.compact(1)?;
    driver.delete([40])?;
    driver.close();
    Ok(())
}

fn export(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    let reader = driver.read()?;
    driver.put([60, 61])?;
    driver.export(&reader, 2)?;
    driver.delete([60])?;
    driver.close();
    Ok(())
}

fn travel(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    let mut past = vec![driver.state.clone().unwrap()];
    let mut reader = driver.read()?;
    for round in 0..4 {
        match round % 2 {
            0 => driver.put([round, 70 + round])?,
            _ => driver.delete([round])?,
        }
        let before = past.last().cloned().unwrap();
        driver.check(&reader.snapshot(), &before)?;
        reader.refresh()?;
        past.push(driver.state.clone().unwrap());
        for state in &past {
            driver.check(&reader.at_epoch(state.epoch)?, state)?;
        }
    }
    driver.close();
    Ok(())
}

/// Metadata beside new, replaced and deleted records, and changed without them; some fields appear on the way.
fn fields(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.put_fields([2, 10, 11])?;
    driver.update([0, 10])?;
    driver.put([0])?;
    driver.update([0, 1, 10])?;
    driver.delete([1])?;
    driver.update([3])?;
    driver.close();
    Ok(())
}

/// Over the step to a full manifest, which merges changes and rows with their metadata.
fn fields_grow(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.update([16])?;
    driver.put_fields([100, 3])?;
    driver.update([3, 5])?;
    driver.delete([5, 6])?;
    driver.close();
    Ok(())
}

/// Changed metadata goes into the segments that compaction makes.
fn fields_compact(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.update([1, 4])?;
    driver.put_fields([1, 20])?;
    driver.compact(2)?;
    driver.update([20, 0])?;
    driver.delete([4])?;
    driver.compact(1)?;
    driver.update([0])?;
    driver.close();
    Ok(())
}

/// A graph, and one that takes its place, over rows with an index of their metadata.
fn fields_fold(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.index()?;
    driver.update([7, 1029])?;
    driver.delete([1, 2])?;
    driver.put_fields([2000, 7])?;
    driver.close();
    Ok(())
}

/// A branch is made, edited and merged back; its parent is compacted and frozen meanwhile.
fn branch(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    let mut child = Child::of(driver)?;
    child.put(driver, [2, 50])?;
    driver.put_fields([60])?;
    child.delete(driver, [3, 50])?;
    driver.compact(1)?;
    child.put(driver, [51])?;
    child.compact(driver)?;
    child.merge_into(driver)?;
    driver.freeze()?;
    child.put(driver, [4])?;
    driver.close();
    Ok(())
}

/// A branch whose pin is in a full manifest of its parent.
fn branch_long(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    driver.put([5])?;
    let mut child = Child::of(driver)?;
    driver.delete([7])?;
    child.delete(driver, [5, 9])?;
    driver.put([101])?;
    child.merge_into(driver)?;
    driver.close();
    Ok(())
}

fn mixed(driver: &mut Driver) -> Result<()> {
    driver.open()?;
    for _ in 0..9 {
        let ids = driver.ids();
        let some = |driver: &mut Driver| ids.get(driver.rng.below(ids.len() as u64) as usize).copied();
        match driver.rng.below(8) {
            0 | 1 => {
                let first = driver.rng.below(40);
                let count = 1 + driver.rng.below(9);
                driver.put(first..first + count)?;
            }
            2 => {
                let id = driver.rng.below(9);
                driver.put([id, 90])?;
            }
            3 | 4 => {
                if let Some(id) = some(driver) {
                    driver.delete([id])?;
                }
            }
            5 => {
                let keep = 1 + driver.rng.below(3);
                driver.compact(keep)?;
            }
            6 => {
                driver.close();
                driver.open()?;
            }
            _ => drop(driver.read()?),
        }
    }
    driver.close();
    Ok(())
}

//! Every image of a log: cut points, subsets and samples of what may be undone, torn writes; and crashes of the recovery.
//!
//! Images of a cut are numbered: `base x (1 + torn) + variant`. A base says which open changes are there: all subsets where they are
//! few, else seeded samples, the first of which are "none" and "all". Variant 0 has them whole, the others tear some.

use super::driver::Driver;
use super::medium::{Folder, Medium, Op, Take};
use super::oracle::Oracle;
use super::place::{Call, SimPlace};
use super::states::{Allowed, Note};
use super::workloads::{Start, Workload};
use crate::oracle::Rng;
use std::collections::HashSet;
use std::fmt;

/// How many images are made of one cut.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Up to so many open changes, all subsets.
    pub subsets: u32,
    /// Samples where there are more.
    pub samples: u64,
    /// Torn variants of each.
    pub torn: u64,
    /// Up to so many open changes, more torn variants: there are few subsets.
    pub few: u32,
    /// Torn variants of each of those.
    pub torn_few: u64,
}

/// What the issue asks for.
pub const FULL: Limits = Limits { subsets: 10, samples: 1000, torn: 2, few: 5, torn_few: 40 };
/// Where a crash comes on top of another failure.
pub const FEW: Limits = Limits { subsets: 5, samples: 32, torn: 1, few: 2, torn_few: 4 };

/// Which image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// Operations of the log that were asked for before the power failed.
    pub cut: usize,
    /// Number of the image.
    pub image: u64,
}

/// How many images there were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Cut points.
    pub cuts: u64,
    /// Images.
    pub images: u64,
    /// Those that no earlier one equals: each was opened and judged.
    pub distinct: u64,
    /// Images of crashed recoveries.
    pub nested: u64,
    /// Those that no earlier one equals.
    pub nested_distinct: u64,
    /// Images after a process died, another went on, and the power failed then.
    pub killed: u64,
    /// Those that no earlier one equals.
    pub killed_distinct: u64,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: &Counts) {
        self.cuts += other.cuts;
        self.images += other.images;
        self.distinct += other.distinct;
        self.nested += other.nested;
        self.nested_distinct += other.nested_distinct;
        self.killed += other.killed;
        self.killed_distinct += other.killed_distinct;
    }

    /// All images.
    pub fn total(&self) -> u64 {
        self.images + self.nested + self.killed
    }

    /// All that were opened and judged.
    pub fn judged(&self) -> u64 {
        self.distinct + self.nested_distinct + self.killed_distinct
    }
}

/// An image that breaks a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The workload.
    pub workload: &'static str,
    /// Its seed.
    pub seed: u64,
    /// Where a process died first, if one did: operations of its log.
    pub killed: Option<usize>,
    /// The image.
    pub at: At,
    /// The image of its recovery, where that was crashed too.
    pub then: Option<At>,
    /// What does not hold.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { workload, seed, at, .. } = self;
        write!(f, "{}\n  cargo run -p rvf-tests --example crash -- --workload {workload} --seed {seed}", self.why)?;
        if let Some(killed) = self.killed {
            write!(f, " --killed {killed}")?;
        }
        write!(f, " --cut {} --image {}", at.cut, at.image)?;
        match self.then {
            Some(then) => write!(f, " --then-cut {} --then-image {}", then.cut, then.image),
            None => Ok(()),
        }
    }
}

/// The images that a power failure may leave now.
pub struct Images<'m> {
    medium: &'m Medium,
    limits: Limits,
    seed: u64,
    tearable: Vec<bool>,
    torn: u64,
}

impl<'m> Images<'m> {
    /// Those of a medium after `cut` operations.
    pub fn of(medium: &'m Medium, limits: Limits, seed: u64, cut: usize) -> Self {
        let seed = Rng(seed ^ ((cut as u64) << 32)).draw();
        let tearable = medium.tearable();
        let torn = if tearable.len() as u32 <= limits.few { limits.torn_few } else { limits.torn };
        Self { medium, limits, seed, tearable, torn }
    }

    /// One more than the largest number of an image.
    pub fn end(&self) -> u64 {
        let open = self.medium.open_changes() as u32;
        let bases = if open <= self.limits.subsets { 1 << open } else { self.limits.samples };
        bases * (1 + self.torn)
    }

    /// The image of this number; `None` for a torn variant without a write that can be torn.
    pub fn get(&self, number: u64) -> Option<Folder> {
        let (base, variant) = (number / (1 + self.torn), number % (1 + self.torn));
        let mut takes = self.base(base);
        if variant > 0 {
            let mut rng = Rng(self.seed ^ (number + 1));
            let can: Vec<usize> =
                (0..takes.len()).filter(|at| self.tearable[*at] && takes[*at] == Take::Whole).collect();
            let first = *can.get(rng.below(can.len() as u64) as usize)?;
            for at in can {
                if at == first || rng.below(2) == 0 {
                    takes[at] = Take::Torn(rng.draw());
                }
            }
        }
        Some(self.medium.image(&takes))
    }

    fn base(&self, base: u64) -> Vec<Take> {
        let count = self.tearable.len();
        let take = |there: bool| if there { Take::Whole } else { Take::Nothing };
        if count as u32 <= self.limits.subsets {
            return (0..count).map(|at| take(base >> at & 1 == 1)).collect();
        }
        let mut rng = Rng(self.seed ^ (base << 8));
        let eighths = match base {
            0 => 0,
            1 => 8,
            _ => 1 + rng.below(7),
        };
        (0..count).map(|_| take(rng.below(8) < eighths)).collect()
    }
}

/// An image, and what does not hold of it.
pub type Judged = (Folder, Result<(), String>);

/// Goes through the images of workloads.
pub struct Explorer {
    workload: Workload,
    seed: u64,
    start: Start,
    oracle: Oracle,
    seen: HashSet<[u8; 32]>,
    seen_nested: HashSet<[u8; 32]>,
    /// What the place lies about: nothing but where the checks are checked.
    pub lie: Option<Call>,
    /// How many there were so far.
    pub counts: Counts,
}

fn key(image: &Folder, allowed: &[u8; 16]) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&image.hash());
    key[16..].copy_from_slice(allowed);
    key
}

/// The state of the medium at each cut of a log from `from` on, and what is allowed there.
fn cuts<E>(
    start: &Folder,
    mut allowed: Allowed,
    log: &[Op<Note>],
    from: usize,
    mut each: impl FnMut(usize, &Medium, &Allowed) -> Result<(), E>,
) -> Result<(), E> {
    let mut medium = Medium::holding(start);
    for cut in 0..=log.len() {
        if cut >= from {
            each(cut, &medium, &allowed)?;
        }
        let Some(op) = log.get(cut) else { break };
        medium.apply(op);
        if let Op::Note(note) = op {
            allowed.take(note);
        }
    }
    Ok(())
}

impl Explorer {
    /// For one workload with one seed.
    pub fn new(workload: Workload, seed: u64) -> Self {
        let start = workload.start(seed);
        let (seen, seen_nested) = Default::default();
        Self {
            workload,
            seed,
            start,
            oracle: Oracle::default(),
            seen,
            seen_nested,
            lie: None,
            counts: Counts::default(),
        }
    }

    /// What stands before the workload.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// What is allowed before the workload.
    pub fn allowed(&self) -> Allowed {
        Allowed::returned(self.start.state.as_ref())
    }

    fn failure(&self, killed: Option<usize>, at: At, then: Option<At>, why: String) -> Box<Failure> {
        let (workload, seed) = (self.workload.name, self.seed);
        Box::new(Failure { workload, seed, killed, at, then, why })
    }

    /// The workload.
    pub fn workload(&self) -> Workload {
        self.workload
    }

    /// Its seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The log of the undisturbed workload.
    pub fn log(&self) -> Vec<Op<Note>> {
        let place = SimPlace::holding(&self.start.folder);
        place.lie(self.lie);
        let mut driver = Driver::new(place.clone(), self.seed, self.start.state.clone());
        self.workload.run(&mut driver).unwrap();
        drop(driver);
        place.log()
    }

    /// The log of a workload that died after `killed` operations, and of the program that went on: it opened the file, or created
    /// it, and made a commit.
    ///
    /// # Errors
    /// That of the program that went on.
    pub fn log_of_killed(&self, log: &[Op<Note>], killed: usize) -> Result<Vec<Op<Note>>, String> {
        let place = SimPlace::after(&self.start.folder, &log[..killed]);
        go_on(&place, self.seed).map_err(|error| format!("the next writer: {error}"))?;
        Ok(place.log())
    }

    /// All images of the workload.
    ///
    /// # Errors
    /// The first image that breaks a promise.
    pub fn power_failures(&mut self, limits: Limits) -> Result<(), Box<Failure>> {
        let log = self.log();
        self.explore(&log, 0, None, limits)
    }

    /// Lets the program die after each operation and another go on, and takes the images from there.
    ///
    /// # Errors
    /// The first image that breaks a promise.
    pub fn kills(&mut self, limits: Limits) -> Result<(), Box<Failure>> {
        let log = self.log();
        for killed in 0..=log.len() {
            let at = At { cut: killed, image: 0 };
            let longer = self.log_of_killed(&log, killed).map_err(|why| self.failure(Some(killed), at, None, why))?;
            self.explore(&longer, killed, Some(killed), limits)?;
        }
        Ok(())
    }

    /// All images of a log from `from` on.
    ///
    /// # Errors
    /// The first image that breaks a promise.
    pub fn explore(
        &mut self,
        log: &[Op<Note>],
        from: usize,
        killed: Option<usize>,
        limits: Limits,
    ) -> Result<(), Box<Failure>> {
        let start = self.start.folder.clone();
        let seed = self.seed;
        cuts(&start, self.allowed(), log, from, |cut, medium, allowed| {
            self.counts.cuts += 1;
            let images = Images::of(medium, limits, seed, cut);
            let hash = allowed.hash();
            for image in 0..images.end() {
                let Some(folder) = images.get(image) else { continue };
                let new = self.seen.insert(key(&folder, &hash));
                self.count(killed.is_some(), new);
                if new {
                    self.judge(&folder, allowed, killed, At { cut, image })?;
                }
            }
            Ok(())
        })
    }

    fn count(&mut self, killed: bool, new: bool) {
        let Counts { images, distinct, killed: after, killed_distinct, .. } = &mut self.counts;
        let (all, distinct) = if killed { (after, killed_distinct) } else { (images, distinct) };
        *all += 1;
        *distinct += u64::from(new);
    }

    fn judge(&mut self, image: &Folder, allowed: &Allowed, killed: Option<usize>, at: At) -> Result<(), Box<Failure>> {
        let recovered = self.oracle.judge(image, allowed).map_err(|why| self.failure(killed, at, None, why))?;
        if recovered.log.is_empty() {
            return Ok(());
        }
        let seed = self.seed;
        cuts(image, allowed.clone(), &recovered.log, 0, |cut, medium, allowed| {
            let (images, hash) = (Images::of(medium, FEW, seed, cut), allowed.hash());
            for number in 0..images.end() {
                let Some(folder) = images.get(number) else { continue };
                self.counts.nested += 1;
                let key = key(&folder, &hash);
                if !self.seen.contains(&key) && self.seen_nested.insert(key) {
                    self.counts.nested_distinct += 1;
                    let then = Some(At { cut, image: number });
                    self.oracle.judge(&folder, allowed).map_err(|why| self.failure(killed, at, then, why))?;
                }
            }
            Ok(())
        })
    }

    /// One image, judged: the folder, and what does not hold of it.
    pub fn reproduce(&mut self, killed: Option<usize>, at: At, then: Option<At>) -> Option<Judged> {
        self.reproduce_with(killed, at, then, if killed.is_some() { FEW } else { FULL })
    }

    /// [`Explorer::reproduce`] of an image that was numbered within other limits.
    pub fn reproduce_with(
        &mut self,
        killed: Option<usize>,
        at: At,
        then: Option<At>,
        limits: Limits,
    ) -> Option<Judged> {
        let mut log = self.log();
        if let Some(killed) = killed {
            log = match self.log_of_killed(&log, killed) {
                Ok(log) => log,
                Err(why) => return Some((self.start.folder.clone(), Err(why))),
            };
        }
        let (image, allowed) = pick(&self.start.folder, self.allowed(), &log, at, limits, self.seed)?;
        let Some(then) = then else {
            let verdict = self.oracle.judge(&image, &allowed).map(drop);
            return Some((image, verdict));
        };
        let recovered = match self.oracle.judge(&image, &allowed) {
            Ok(recovered) => recovered,
            Err(why) => return Some((image, Err(why))),
        };
        let (image, allowed) = pick(&image, allowed, &recovered.log, then, FEW, self.seed)?;
        let verdict = self.oracle.judge(&image, &allowed).map(drop);
        Some((image, verdict))
    }
}

/// One image of a log, and what is allowed of it.
fn pick(
    start: &Folder,
    allowed: Allowed,
    log: &[Op<Note>],
    at: At,
    limits: Limits,
    seed: u64,
) -> Option<(Folder, Allowed)> {
    let found = cuts(start, allowed, log, at.cut, |cut, medium, allowed| {
        let images = Images::of(medium, limits, seed, cut);
        let image = if at.image < images.end() { images.get(at.image) } else { None };
        Err(image.map(|image| (image, allowed.clone())))
    });
    found.err().flatten()
}

/// The next program: opens the file at whichever commit it is, or creates it, and makes a commit.
///
/// # Errors
/// The first error of the engine.
pub fn go_on(place: &SimPlace, seed: u64) -> rvf_engine::Result<()> {
    let mut driver = Driver::new(place.clone(), seed ^ 0xD1ED, None);
    let there = place.inode(std::path::Path::new(super::driver::MAIN)).is_some();
    match there {
        true => drop(driver.adopt()?),
        false => driver.create()?,
    }
    let length = driver.db.as_ref().map_or(4, |db| db.snapshot().schema().dimension);
    driver.set_dimension(length);
    if driver.db.as_ref().is_some_and(|db| db.snapshot().root().is_frozen()) {
        return Ok(());
    }
    driver.put([8888])
}

//! The controller: starts writers and readers, kills them at random moments, looks at what they left.

use crate::Options;
use crate::child::Child;
use crate::model::{Model, Random, text};
use crate::reader::open_and_count;
use crate::site::Site;
use crate::tally::Tally;
use rvf_engine::{Db, verify_path};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How many times as long as asked a slow machine may take for the kills asked for.
const PATIENCE: u32 = 4;
/// How long a second writer waits for the first, where it waits, seconds.
const WAIT: u64 = 10;

struct Controller<'o> {
    options: &'o Options,
    site: Site,
    model: Model,
    random: Random,
    tally: Tally,
    writers: Vec<Child>,
    readers: Vec<Child>,
    /// Number that the next child gets.
    next: u64,
}

/// Runs the whole test and prints what happened.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let temporary = tempfile::tempdir().map_err(text)?;
    let folder = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut controller = Controller {
        options,
        site: Site::create(&folder)?,
        model: Model { seed: options.seed },
        random: Random::new(&[options.seed, 0]),
        tally: Tally::default(),
        writers: Vec::new(),
        readers: Vec::new(),
        next: 0,
    };
    let start = Instant::now();
    let outcome = controller.run(start).and_then(|()| controller.tally.check(options.kills));
    controller.writers.clear();
    controller.readers.clear();
    controller.tally.print();
    let (kills, seconds) = (controller.tally.kills(), start.elapsed().as_secs());
    println!("{kills} kills in {seconds} s, seed {}", options.seed);
    let Err(error) = outcome else { return Ok(ExitCode::SUCCESS) };
    let kept = temporary.keep();
    println!("{error}\nkept: {}", options.dir.as_ref().unwrap_or(&kept).display());
    Ok(ExitCode::FAILURE)
}

impl Controller<'_> {
    fn run(&mut self, start: Instant) -> Result<(), String> {
        let asked = Duration::from_secs(self.options.seconds);
        // Other work than waiting takes about half of the time.
        let mean = asked.div_f64(2.0 * self.options.kills.max(1) as f64);
        self.begin()?;
        while start.elapsed() < asked || (self.tally.kills() < self.options.kills && start.elapsed() < asked * PATIENCE)
        {
            self.fill()?;
            std::thread::sleep(mean.mul_f64(self.random.exponential()));
            self.reap()?;
            match self.random.below(12) {
                0 => self.creation()?,
                1..4 => self.kill_reader()?,
                _ => self.kill_writer()?,
            }
        }
        self.end()
    }

    /// The first writers make the store; readers follow when it is there.
    fn begin(&mut self) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(WAIT);
        while !self.site.store().exists() {
            if self.writers.is_empty() {
                self.start_writer(WAIT)?;
            }
            if Instant::now() > until {
                return Err("the first writer made no store".into());
            }
            std::thread::sleep(Duration::from_millis(5));
            self.reap()?;
        }
        Ok(())
    }

    fn start(&mut self, role: &'static str, wait: u64) -> Result<Child, String> {
        self.next += 1;
        Child::start(&self.site, role, self.options.seed, self.next, wait)
    }

    fn start_writer(&mut self, wait: u64) -> Result<(), String> {
        let writer = self.start("writer", wait)?;
        self.writers.push(writer);
        Ok(())
    }

    /// At least one writer and all readers run. Now and then there is a second writer, which waits or is told that it is one.
    fn fill(&mut self) -> Result<(), String> {
        if self.writers.is_empty() {
            self.start_writer(WAIT)?;
        }
        if self.writers.len() == 1 && self.random.below(4) == 0 {
            let wait = self.random.below(2) * WAIT;
            self.start_writer(wait)?;
        }
        while (self.readers.len() as u64) < self.options.readers {
            let reader = self.start("reader", 0)?;
            self.readers.push(reader);
        }
        Ok(())
    }

    /// Children that ended by themselves.
    fn reap(&mut self) -> Result<(), String> {
        for children in [&mut self.writers, &mut self.readers] {
            let mut at = 0;
            while let Some(child) = children.get_mut(at) {
                match child.has_ended(&mut self.tally)? {
                    true => drop(children.swap_remove(at)),
                    false => at += 1,
                }
            }
        }
        Ok(())
    }

    fn kill_reader(&mut self) -> Result<(), String> {
        let victim = self.random.below(self.readers.len() as u64) as usize;
        if victim < self.readers.len() && self.readers.swap_remove(victim).kill(&mut self.tally)? {
            self.tally.count("readers killed");
        }
        Ok(())
    }

    fn kill_writer(&mut self) -> Result<(), String> {
        if self.writers.is_empty() {
            return Ok(());
        }
        let victim = self.random.below(self.writers.len() as u64) as usize;
        if self.writers.swap_remove(victim).kill(&mut self.tally)? {
            self.tally.count("writers killed");
        }
        if self.writers.is_empty() { self.inspect() } else { Ok(()) }
    }

    /// What a killed writer left, before another one touches it.
    fn inspect(&mut self) -> Result<(), String> {
        let progress = self.site.progress()?;
        let (snapshot, n) = open_and_count(&self.site)?;
        if n < progress.acknowledged || n > progress.begun || progress.begun > progress.acknowledged + 1 {
            return Err(format!("a killed writer left n = {n}, but {progress:?}"));
        }
        if progress.begun > progress.acknowledged {
            self.tally.count("killed in a commit");
            self.tally.count(if n == progress.begun { "in flight, there" } else { "in flight, gone" });
        }
        if snapshot.tail().is_some() {
            self.tally.count("tails left");
        }
        self.site.check_names(&[".compact-tmp"])?;
        if self.random.below(4) == 0 {
            self.verify(&self.site.clone())?;
        }
        Ok(())
    }

    fn verify(&mut self, site: &Site) -> Result<(), String> {
        let report = verify_path(site.store(), &mut |_, _| {}).map_err(text)?;
        if !report.sound {
            return Err(format!("not sound: {:?}", report.findings));
        }
        self.model.check(&open_and_count(site)?.0)?;
        self.tally.count("verified");
        Ok(())
    }

    /// One or two writers of a store of their own are killed while they make it. What they leave blocks nobody.
    fn creation(&mut self) -> Result<(), String> {
        self.next += 1;
        let site = Site::create(&self.site.folder.join(format!("creation-{}", self.next)))?;
        let writers = 1 + self.random.below(2);
        let mut makers = Vec::new();
        for number in 0..writers {
            makers.push(Child::start(&site, "writer", self.options.seed, number, 0)?);
        }
        std::thread::sleep(Duration::from_micros(self.random.below(20_000)));
        for mut maker in makers {
            if !maker.has_ended(&mut self.tally)? && maker.kill(&mut self.tally)? {
                self.tally.count("creations killed");
            }
        }
        if site.store().exists() {
            self.verify(&site)?;
        } else {
            site.check_names(&[".new-tmp"])?;
        }
        let last = Child::start(&site, "writer", self.options.seed, writers, 0)?;
        std::thread::sleep(Duration::from_millis(50));
        last.kill(&mut self.tally)?;
        site.check_names(&[".new-tmp", ".compact-tmp"])?;
        std::fs::remove_dir_all(&site.folder).map_err(text)
    }

    /// Kills all, and opens the store for writing a last time: nothing stays behind but the store and saved tails.
    fn end(&mut self) -> Result<(), String> {
        while let Some(writer) = self.writers.pop() {
            writer.kill(&mut self.tally)?;
        }
        self.inspect()?;
        drop(Db::open(self.site.store()).map_err(text)?);
        self.site.check_names(&[])?;
        let report = verify_path(self.site.store(), &mut |_, _| {}).map_err(text)?;
        if !report.findings.is_empty() {
            return Err(format!("found after the last writer: {:?}", report.findings));
        }
        while let Some(reader) = self.readers.pop() {
            reader.kill(&mut self.tally)?;
        }
        self.verify(&self.site.clone())
    }
}

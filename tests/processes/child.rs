//! Children of the controller: starting one, killing it, judging how it ended.

use crate::model::text;
use crate::site::Site;
use crate::tally::Tally;
use crate::{LOCKED, WRONG};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A child that has said nothing for so long hangs.
const MOST_SILENCE: Duration = Duration::from_secs(60);

/// A process that the controller started.
pub(crate) struct Child {
    role: &'static str,
    number: u64,
    process: Process,
    /// What it says, a line an event, and where it complains.
    said: PathBuf,
    complained: PathBuf,
    length: u64,
    since: Instant,
}

impl Child {
    pub(crate) fn start(site: &Site, role: &'static str, seed: u64, number: u64, wait: u64) -> Result<Self, String> {
        let said = site.folder.join(format!("{role}-{number}.out"));
        let complained = site.folder.join(format!("{role}-{number}.err"));
        let mut command = Command::new(std::env::current_exe().map_err(text)?);
        let numbers = [("--seed", seed), ("--number", number), ("--wait", wait)];
        command.args(["--role", role]).arg("--dir").arg(&site.folder);
        command.args(numbers.iter().flat_map(|(name, value)| [name.to_string(), value.to_string()]));
        command.stdin(Stdio::piped());
        command.stdout(File::create(&said).map_err(text)?).stderr(File::create(&complained).map_err(text)?);
        let process = command.spawn().map_err(text)?;
        Ok(Self { role, number, process, said, complained, length: 0, since: Instant::now() })
    }

    /// Whether it ended by itself, which must have been in order.
    pub(crate) fn has_ended(&mut self, tally: &mut Tally) -> Result<bool, String> {
        if let Some(status) = self.process.try_wait().map_err(text)? {
            self.judge(status, false, tally)?;
            return Ok(true);
        }
        let length = fs::metadata(&self.said).map_err(text)?.len();
        if length != self.length {
            (self.length, self.since) = (length, Instant::now());
        }
        match self.since.elapsed() > MOST_SILENCE {
            true => Err(format!("{} {} hangs", self.role, self.number)),
            false => Ok(false),
        }
    }

    /// Kills it; says whether it was killed, rather than having ended just before.
    pub(crate) fn kill(mut self, tally: &mut Tally) -> Result<bool, String> {
        self.process.kill().map_err(text)?;
        let status = self.process.wait().map_err(text)?;
        let killed = was_killed(status);
        self.judge(status, killed, tally)?;
        Ok(killed)
    }

    fn judge(&self, status: ExitStatus, killed: bool, tally: &mut Tally) -> Result<(), String> {
        let code = status.code();
        let locked = self.role == "writer" && code == Some(i32::from(LOCKED));
        let clean = self.role == "writer" && code == Some(0);
        if !killed && !locked && !clean {
            let complaint = fs::read_to_string(&self.complained).map_err(text)?;
            let found = if code == Some(i32::from(WRONG)) { "found" } else { "crashed" };
            return Err(format!("{} {} {found} ({status}):\n{complaint}", self.role, self.number));
        }
        for line in fs::read_to_string(&self.said).map_err(text)?.lines() {
            tally.count(line);
        }
        if locked {
            tally.count("told that the file is locked");
        }
        fs::remove_file(&self.said).and_then(|()| fs::remove_file(&self.complained)).map_err(text)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Nothing to be done about one that is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}

/// [`Process::kill`] makes a process end with 1, which no child does by itself.
#[cfg(not(unix))]
fn was_killed(status: ExitStatus) -> bool {
    status.code() == Some(1)
}

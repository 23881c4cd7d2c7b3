//! Where a run takes place: the folder of the store, which holds nothing else, and the progress that outlives killed writers.

use crate::model::text;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A folder with the store's own folder in it, and beside that what belongs to the test.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) folder: PathBuf,
}

/// How far writers came. Written by the one that holds the lock; what it wrote stays when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The last batch whose commit was begun.
    pub(crate) begun: u64,
    /// The last batch whose commit returned: it is told to the world and may not be lost.
    pub(crate) acknowledged: u64,
}

impl Site {
    /// Makes the folders.
    pub(crate) fn create(folder: &Path) -> Result<Self, String> {
        let site = Self { folder: folder.to_owned() };
        fs::create_dir_all(site.store_folder()).map_err(text)?;
        fs::write(site.progress_path(), [0; 16]).map_err(text)?;
        Ok(site)
    }

    fn store_folder(&self) -> PathBuf {
        self.folder.join("store")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.store_folder().join("a.rvf")
    }

    fn progress_path(&self) -> PathBuf {
        self.folder.join("progress")
    }

    pub(crate) fn progress(&self) -> Result<Progress, String> {
        let bytes = fs::read(self.progress_path()).map_err(text)?;
        let [begun, acknowledged] = bytes.as_chunks::<8>().0 else { return Err("the progress file is damaged".into()) };
        Ok(Progress { begun: u64::from_le_bytes(*begun), acknowledged: u64::from_le_bytes(*acknowledged) })
    }

    pub(crate) fn begin(&self, n: u64) -> Result<(), String> {
        self.note(0, n)
    }

    pub(crate) fn acknowledge(&self, n: u64) -> Result<(), String> {
        self.note(8, n)
    }

    fn note(&self, at: u64, n: u64) -> Result<(), String> {
        let mut file = File::options().write(true).open(self.progress_path()).map_err(text)?;
        file.seek(SeekFrom::Start(at)).map_err(text)?;
        file.write_all(&n.to_le_bytes()).map_err(text)
    }

    /// Checks that the store's folder holds only the store, tails that were saved, and files with one of the suffixes given.
    pub(crate) fn check_names(&self, suffixes: &[&str]) -> Result<(), String> {
        for entry in fs::read_dir(self.store_folder()).map_err(text)? {
            let name = entry.map_err(text)?.file_name().to_string_lossy().into_owned();
            let rest = name.strip_prefix("a.rvf").unwrap_or(&name);
            let tail = rest.strip_prefix(".tail-").is_some_and(|epoch| epoch.starts_with(|c: char| c.is_ascii_digit()));
            if !rest.is_empty() && !tail && !suffixes.contains(&rest) {
                return Err(format!("{name} was left behind"));
            }
        }
        Ok(())
    }
}

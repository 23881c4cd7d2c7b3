//! [`TrustFolder`]: what was seen of files before, kept outside them: the newest signed note, by file and key.
//!
//! A note is written only after its signature was found right by a key that the user gave, under a temporary name first; and never in the place
//! of one that saw more.

use crate::sign::PublicKey;
use crate::{Error, Result};
use rvf_format::digest::hex;
use rvf_format::note::{MAX_NOTE, Note};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A folder of notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustFolder {
    path: PathBuf,
}

impl TrustFolder {
    /// The folder at a path; it is made when something is to be remembered.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// That of the user: `RVF_TRUST_DIR`, else `rvf/trust` in `XDG_CONFIG_HOME` or `~/.config`. `None` without any of them.
    pub fn of_user() -> Option<Self> {
        let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = named("RVF_TRUST_DIR") {
            return Some(Self { path });
        }
        let base = named("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        let base = base.or_else(|| named("HOME").map(|home| home.join(".config")))?;
        Some(Self { path: base.join("rvf").join("trust") })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, file_id: [u8; 16], key: &PublicKey) -> PathBuf {
        self.path.join(format!("{}-{}.checkpoint", hex(&file_id), key.id()))
    }

    /// The newest note by a key that was seen of a file: `None` if there is none; the inner error says why what is there is not to be
    /// believed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn recall(&self, file_id: [u8; 16], key: &PublicKey) -> Result<Option<std::result::Result<Note, String>>> {
        let path = self.file(file_id, key);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::io("reading", &path, error)),
        };
        let refused = |why: String| {
            Ok(Some(Err(format!("what was remembered of the file is not to be believed ({}): {why}", path.display()))))
        };
        let note = match Note::parse(&bytes) {
            Ok(note) => note,
            Err(error) => return refused(error.to_string()),
        };
        if let Err(fault) = key.verify(&note) {
            return refused(fault.to_string());
        }
        if note.statement().file_id != file_id {
            return refused("it is about another file".to_owned());
        }
        Ok(Some(Ok(note)))
    }

    /// Remembers a note, which is right by the key, unless one is there that saw as much; says whether it was written.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn remember(&self, key: &PublicKey, note: &Note) -> Result<bool> {
        let file_id = note.statement().file_id;
        // Of two that verify at once the one that saw less must not come last.
        let _lock = self.lock()?;
        if let Some(Ok(known)) = self.recall(file_id, key)?
            && known.statement().size >= note.statement().size
        {
            return Ok(false);
        }
        let path = self.file(file_id, key);
        let wrong = |error| Error::io("remembering the checkpoint in", &path, error);
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let written = write(&temporary, note.render().as_bytes()).and_then(|()| fs::rename(&temporary, &path));
        written.inspect_err(|_| drop(fs::remove_file(&temporary))).map_err(wrong)?;
        Ok(true)
    }
}

impl TrustFolder {
    /// Makes the folder, and keeps others from writing to it while the file is held.
    fn lock(&self) -> Result<File> {
        let wrong = |error| Error::io("making the folder of what was seen,", &self.path, error);
        fs::create_dir_all(&self.path).map_err(wrong)?;
        let path = self.path.join(".lock");
        let wrong = |error| Error::io("locking the folder of what was seen by", &path, error);
        if path.exists() {
            refuse_special(&path).map_err(wrong)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(wrong)?;
        file.lock().map_err(wrong)?;
        Ok(file)
    }
}

/// A pipe would keep whoever opens it waiting.
fn refuse_special(path: &Path) -> io::Result<()> {
    match fs::metadata(path)?.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// At most one byte more than a note may have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    refuse_special(path)?;
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_NOTE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

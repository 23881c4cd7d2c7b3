//! Why a key file cannot be used.

use core::fmt;
use rvf_format::key_file::KeyFileFault;
use std::path::PathBuf;

/// A key file that is refused.
#[derive(Debug)]
pub struct KeyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: KeyFault,
}

/// What is wrong with a key file.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyFault {
    /// What it holds.
    File(KeyFileFault),
    /// Others than its owner may read or write it.
    Exposed {
        /// Its permissions.
        mode: u32,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            KeyFault::File(fault) => fault.fmt(f),
            KeyFault::Exposed { mode } => {
                write!(f, "the secret key is open to others than its owner (mode {mode:04o})")
            }
        }
    }
}

impl KeyError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match &self.fault {
            KeyFault::File(KeyFileFault::IsPublic) => "name the secret key, the file that ends in .key".into(),
            KeyFault::File(KeyFileFault::IsSecret) => {
                "name the public key, the file that ends in .pub; give the secret one to nobody".into()
            }
            KeyFault::File(KeyFileFault::NotAKey) => "check the path; `rvf key new PREFIX` makes a pair of keys".into(),
            KeyFault::File(KeyFileFault::Version) => "use a newer rvf, or get the file anew from where it came".into(),
            KeyFault::File(_) => "restore the key file from a copy".into(),
            KeyFault::Exposed { .. } => {
                format!("if nobody else has read it, run `chmod 600 {}`; else make a new pair", self.path.display())
            }
        }
    }
}

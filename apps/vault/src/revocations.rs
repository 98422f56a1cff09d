//! Revocations that came while the keys were locked: the log cannot be written then, and nothing is signed. They are kept in a file of the user's side,
//! and carried out when the keys are opened, before anything is signed.
//!
//! ```text
//! revocations = *( statement (32) )
//! ```

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use semper_core::hash::Digest;
use semper_core::ids::StatementId;

/// The file's name in [`USER_DIR`](crate::wire::USER_DIR).
const FILE: &str = "revocations";
/// Most that wait.
const REVOCATIONS_MAX: usize = 1024;
const NAME_LEN: usize = 32;

/// The revocations that wait in a directory.
#[derive(Debug)]
pub struct Revocations {
    path: PathBuf,
}

impl Revocations {
    /// Those of the user's side in `dir`.
    pub fn of(dir: &Path) -> Self {
        Self { path: dir.join(FILE) }
    }

    /// Which wait.
    pub(crate) fn waiting(&self) -> io::Result<Vec<StatementId>> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let (names, _) = bytes.as_chunks::<NAME_LEN>();
        Ok(names.iter().map(|name| StatementId::from_digest(Digest::from_array(*name))).collect())
    }

    /// Keeps one, durably. Keeping it again changes nothing.
    ///
    /// # Errors
    /// The file cannot be read or written, or too many wait; it is not kept.
    pub fn keep(&self, id: StatementId) -> io::Result<()> {
        let mut names = self.waiting()?;
        if names.contains(&id) {
            return Ok(());
        }
        if names.len() >= REVOCATIONS_MAX {
            return Err(io::Error::other("too many revocations wait; unlock the vault"));
        }
        names.push(id);
        let new = self.path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        names.iter().try_for_each(|name| file.write_all(name.as_bytes()))?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.sync_dir()
    }

    /// They are in the log now.
    pub(crate) fn carried_out(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Err(_) => Ok(()),
            Ok(()) => self.sync_dir(),
        }
    }

    fn sync_dir(&self) -> io::Result<()> {
        fs::File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

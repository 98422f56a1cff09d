//! A copy of the log while a vault may be writing it, for a backup.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aws_lc_rs::hmac;

use super::{FIRST, LogError, Reader};

/// A log as it was when the copy was begun, to be read once from its beginning.
///
/// The two heads are read first, in one piece. What lies before the end that the younger good one names was durable before that head was written, and never
/// changes; what is written meanwhile lies behind it, and is not in the copy.
#[derive(Debug)]
pub struct LogCopy {
    heads: Cursor<Vec<u8>>,
    entries: io::Take<File>,
    len: u64,
    number: u64,
}

impl LogCopy {
    /// Begins a copy of the log in a file, which another process may have open. Nothing is written.
    ///
    /// # Errors
    /// [`LogError`]: it cannot be read, or has no good head.
    pub fn of(path: &Path, key: &[u8; 32]) -> Result<Self, LogError> {
        let failed = |error| LogError::File { path: path.to_owned(), error };
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let mut file = File::open(path).map_err(failed)?;
        let mut heads = vec![0; usize::try_from(FIRST).expect("two heads are small")];
        file.read_exact_at(&mut heads, 0).map_err(failed)?;
        let head = Reader { path, key: &key, file: &file }.younger(&heads)?;
        file.seek(SeekFrom::Start(FIRST)).map_err(failed)?;
        Ok(Self {
            heads: Cursor::new(heads),
            entries: file.take(head.end.saturating_sub(FIRST)),
            len: head.end,
            number: head.number,
        })
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the log has no entries.
    pub fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// How many entries are in it.
    pub fn entries(&self) -> u64 {
        self.number
    }
}

impl Read for LogCopy {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.heads.read(out)? {
            0 => self.entries.read(out),
            read => Ok(read),
        }
    }
}

//! What the user knows the window by: a picture and a phrase, on every page of it and on nobody else's. They are made at random when the window
//! runs for the first time, and are the user's to change.
//!
//! They are kept in the window's directory, which a confined node cannot enter, and stand in the pages themselves: no address leads to them.
//!
//! ```text
//! us      = { 0: 1, 1: phrase, 2: kind of picture ("drawn", "png", "jpeg"), 3: seed or file, 4: alternative text, 5: known }
//! ```
//! Whether they help depends on the user: most people do not miss a picture that is not there. So nothing else relies on them.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_pages::words;
use semper_support::crypto::{CryptoError, Randomness};

use crate::picture::{self, SEED_LEN};

/// The file, in the window's directory.
const FILE: &str = "us";
/// Most bytes of a picture of the user's own.
pub(crate) const PICTURE_MAX: usize = 256 * 1024;
/// Longest phrase, in bytes.
pub(crate) const PHRASE_MAX: usize = 200;
/// Longest alternative text, in bytes.
pub(crate) const ALT_MAX: usize = 500;
/// Words of a phrase that nobody has changed.
const WORDS: usize = 4;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Us {
    pub(crate) phrase: String,
    pub(crate) picture: Picture,
    /// What the picture shows, in the user's words; empty if there are none.
    pub(crate) alt: String,
    /// Whether the user has been told what they are for.
    pub(crate) known: bool,
}

/// The picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    /// Drawn by us.
    Drawn([u8; SEED_LEN]),
    /// A file of the user's.
    Png(Vec<u8>),
    /// The same.
    Jpeg(Vec<u8>),
}

/// Why there is no picture to be shown. Another one in its place would teach the user to accept any.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsError {
    #[error("{0} cannot be used: {1}")]
    Io(String, io::Error),
    #[error(
        "{0} is damaged ({1}). Put it back from a backup; or remove it, and the window shows a new picture and a new phrase"
    )]
    Damaged(String, DecodeError),
    #[error(transparent)]
    Random(#[from] CryptoError),
}

impl Us {
    /// What is kept in the directory `dir`; fresh ones if there is nothing.
    pub(crate) fn open(dir: &Path, random: &dyn Randomness) -> Result<Self, UsError> {
        let path = dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => Self::from_bytes(&bytes).map_err(|error| UsError::Damaged(path.display().to_string(), error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut chosen = [0; 2 * WORDS];
                random.fill(&mut chosen)?;
                let phrase = words::phrase(&chosen);
                let us = Self { phrase, picture: Picture::fresh(random)?, alt: String::new(), known: false };
                us.store(dir).map_err(|error| UsError::Io(path.display().to_string(), error))?;
                Ok(us)
            }
            Err(error) => Err(UsError::Io(path.display().to_string(), error)),
        }
    }

    /// Keeps it, whole or not at all.
    pub(crate) fn store(&self, dir: &Path) -> io::Result<()> {
        let (path, new) = (dir.join(FILE), dir.join("us.new"));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&self.to_bytes())?;
        file.sync_all()?;
        fs::rename(new, path)?;
        fs::File::open(dir)?.sync_all()
    }
}

impl Picture {
    /// A new one, at random.
    pub(crate) fn fresh(random: &dyn Randomness) -> Result<Self, CryptoError> {
        let mut seed = [0; SEED_LEN];
        random.fill(&mut seed)?;
        Ok(Picture::Drawn(seed))
    }

    /// A file of the user's; nothing if it is neither PNG nor JPEG, or too long.
    pub(crate) fn of_file(bytes: Vec<u8>) -> Option<Self> {
        match bytes.as_slice() {
            long if long.len() > PICTURE_MAX => None,
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Picture::Png(bytes)),
            [0xff, 0xd8, 0xff, ..] => Some(Picture::Jpeg(bytes)),
            _ => None,
        }
    }

    /// It, with its media type.
    pub(crate) fn file(&self) -> (&'static str, Vec<u8>) {
        match self {
            Picture::Drawn(seed) => ("image/svg+xml", picture::draw(seed).into_bytes()),
            Picture::Png(bytes) => ("image/png", bytes.clone()),
            Picture::Jpeg(bytes) => ("image/jpeg", bytes.clone()),
        }
    }
}

impl Encode for Us {
    fn to_value(&self) -> Value {
        let (kind, bytes) = match &self.picture {
            Picture::Drawn(seed) => ("drawn", seed.as_slice()),
            Picture::Png(bytes) => ("png", bytes.as_slice()),
            Picture::Jpeg(bytes) => ("jpeg", bytes.as_slice()),
        };
        record()
            .put(0, 1_u64)
            .put(1, self.phrase.as_str())
            .put(2, kind)
            .put_bytes(3, bytes)
            .put(4, self.alt.as_str())
            .put(5, self.known)
            .build()
    }
}

impl Decode for Us {
    const BYTES_MAX: usize = PICTURE_MAX + 4096;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (phrase, kind) = (fields.text(1, "phrase", PHRASE_MAX)?, fields.text(2, "kind", 16)?);
        let bytes = fields.bytes(3, "picture", PICTURE_MAX)?;
        let picture = match kind.as_str() {
            "drawn" => bytes.try_into().ok().map(Picture::Drawn),
            "png" => Some(Picture::Png(bytes)),
            "jpeg" => Some(Picture::Jpeg(bytes)),
            _ => None,
        };
        let unknown = || DecodeError::field("kind", Problem::Unknown { what: "picture", found: kind.clone() });
        let picture = picture.ok_or_else(unknown)?;
        let us = Self {
            phrase,
            picture,
            alt: fields.text(4, "alternative text", ALT_MAX)?,
            known: fields.bool(5, "known")?,
        };
        fields.close()?;
        Ok(us)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use semper_crypto::SystemRandom;

    use super::*;

    #[test]
    fn picture_and_phrase_stay_until_they_are_changed() {
        let dir = tempfile::tempdir().unwrap();
        let first = Us::open(dir.path(), &SystemRandom).unwrap();
        assert_eq!(Us::open(dir.path(), &SystemRandom).unwrap(), first);
        assert_eq!((first.phrase.split(' ').count(), first.known), (WORDS, false));
        let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &[1; 100]].concat();
        let picture = Picture::of_file(png.clone()).unwrap();
        let own = Us { phrase: "mein Fahrrad ist blau".to_owned(), picture, alt: "my bicycle".to_owned(), known: true };
        own.store(dir.path()).unwrap();
        assert_eq!(Us::open(dir.path(), &SystemRandom).unwrap(), own);
        assert_eq!(own.picture.file(), ("image/png", png));
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(Us::open(elsewhere.path(), &SystemRandom).unwrap().picture, first.picture);
    }

    // A window that showed another picture without a word would teach its user that any will do.
    #[test]
    fn a_damaged_picture_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        Us::open(dir.path(), &SystemRandom).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(Us::open(dir.path(), &SystemRandom), Err(UsError::Damaged(..))));
        assert_eq!(fs::read(path).unwrap(), bytes);
    }

    #[test]
    fn what_is_no_picture_is_not_taken() {
        for bad in [b"".as_slice(), b"<svg onload=x>", b"GIF89a", b"\xff\xd8", &vec![0xff; PICTURE_MAX + 1]] {
            assert_eq!(Picture::of_file(bad.to_vec()), None);
        }
        assert!(Picture::of_file(vec![0xff, 0xd8, 0xff, 0xe0]).is_some());
    }
}

//! The seal of a backup file: a key of its own under the passphrase, and the content in pieces under that key.
//!
//! ```text
//! file  = "semper backup 1\n" ‖ length (4) ‖ key blob ‖ *piece
//! piece = AES-256-GCM(key, nonce, aad, at most 65536 bytes of the content) ‖ tag (16)
//! nonce = number of the piece (11 bytes) ‖ 1 if it is the last, else 0
//! aad   = SHA-256 of everything before the first piece
//! ```
//! Numbers are big-endian. Every piece but the last is full, and there is always a last one: what is cut off at the end of a piece is noticed like a
//! changed byte. Nothing of a piece is given on before all of it was checked. The construction is STREAM (Hoang, Reyhanitabar, Rogaway and Vizár 2015).

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_crypto::{PassphraseStore, SystemRandom};
use semper_support::crypto::{CryptoError, KeyStore as _, Randomness as _};
use zeroize::Zeroizing;

use super::BackupError;

const MAGIC: &[u8; 16] = b"semper backup 1\n";
/// Bytes of the content in one piece.
const PIECE: usize = 64 * 1024;
const TAG: usize = 16;
/// Longest key blob.
const BLOB_MAX: usize = 1024;

/// Writes the content of a backup file.
pub(super) struct Sealing<W: Write> {
    out: W,
    seal: Seal,
    piece: Zeroizing<Vec<u8>>,
}

/// Reads the content of a backup file. A piece that is not as it was written is an error, and so is an end that is not the end.
pub(super) struct Opening<R: Read> {
    from: R,
    seal: Seal,
    /// What was read and not opened yet: one byte more than a piece, to see whether it is the last.
    sealed: Vec<u8>,
    opened: Zeroizing<Vec<u8>>,
    given: usize,
    over: bool,
}

struct Seal {
    key: LessSafeKey,
    aad: [u8; 32],
    number: u64,
}

impl<W: Write> Sealing<W> {
    /// Begins a file under `passphrase`.
    pub(super) fn begin(mut out: W, passphrase: &[u8]) -> Result<Self, BackupError> {
        let mut key = Zeroizing::new([0; 32]);
        SystemRandom.fill(&mut *key)?;
        let blob = PassphraseStore::default().protect(passphrase, &label(), &*key)?;
        let len = u32::try_from(blob.len()).expect("a blob is small").to_be_bytes();
        let start = [MAGIC.as_slice(), &len, &blob].concat();
        out.write_all(&start).map_err(BackupError::Write)?;
        Ok(Self { out, seal: Seal::new(&key, &start), piece: Zeroizing::new(Vec::with_capacity(PIECE + TAG)) })
    }

    /// Writes the last piece, and gives the file back.
    pub(super) fn end(mut self) -> io::Result<W> {
        self.put(true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.seal.nonce(last);
        let sealed = self.seal.key.seal_in_place_append_tag(nonce, Aad::from(self.seal.aad), &mut *self.piece);
        sealed.map_err(|_| io::Error::other("a piece cannot be sealed"))?;
        self.out.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece is not the last one before it is known that something follows.
        if self.piece.len() == PIECE && !bytes.is_empty() {
            self.put(false)?;
        }
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Read> Opening<R> {
    /// Opens a file with its passphrase.
    ///
    /// # Errors
    /// `Foreign`, `WrongPassphrase`, `Damaged`.
    pub(super) fn begin(mut from: R, passphrase: &[u8]) -> Result<Self, BackupError> {
        let mut start = vec![0; MAGIC.len() + 4];
        from.read_exact(&mut start).map_err(|_| BackupError::Foreign)?;
        let (magic, len) = start.split_at(MAGIC.len());
        let len = u32::from_be_bytes(len.try_into().expect("four bytes")) as usize;
        if magic != MAGIC || len > BLOB_MAX {
            return Err(BackupError::Foreign);
        }
        let mut blob = vec![0; len];
        from.read_exact(&mut blob).map_err(|_| BackupError::Damaged("it ends in the middle"))?;
        let key = PassphraseStore::default().reveal(passphrase, &label(), &blob).map_err(|error| match error {
            CryptoError::WrongPassphrase => BackupError::WrongPassphrase,
            _ => BackupError::Damaged("its beginning is not readable"),
        })?;
        let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| BackupError::Damaged("its key is not one"))?;
        start.extend(blob);
        let seal = Seal::new(key, &start);
        Ok(Self { from, seal, sealed: Vec::new(), opened: Zeroizing::default(), given: 0, over: false })
    }

    fn next_piece(&mut self) -> io::Result<()> {
        let want = (PIECE + TAG + 1 - self.sealed.len()) as u64;
        self.from.by_ref().take(want).read_to_end(&mut self.sealed)?;
        let last = self.sealed.len() <= PIECE + TAG;
        let rest = if last { Vec::new() } else { self.sealed.split_off(PIECE + TAG) };
        let mut piece = Zeroizing::new(std::mem::replace(&mut self.sealed, rest));
        let nonce = self.seal.nonce(last);
        let opened = self.seal.key.open_in_place(nonce, Aad::from(self.seal.aad), &mut piece);
        let len = opened.map_err(|_| damaged())?.len();
        piece.truncate(len);
        (self.opened, self.given, self.over) = (piece, 0, last);
        Ok(())
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.opened.len() && !self.over {
            self.next_piece()?;
        }
        let left = &self.opened[self.given..];
        let taken = left.len().min(out.len());
        out[..taken].copy_from_slice(&left[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

impl Seal {
    fn new(key: &[u8; 32], start: &[u8]) -> Self {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes every 32 bytes"));
        Self { key, aad: digest(&SHA256, start).as_ref().try_into().expect("SHA-256 has 32 bytes"), number: 0 }
    }

    /// The nonce of the next piece.
    fn nonce(&mut self, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = last.into();
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

fn label() -> Digest {
    Digest::of(domain::KEY_STORE, b"semper backup")
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it was changed, or ends in the middle")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sealed(content: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::begin(Vec::new(), b"correct horse").unwrap();
        sealing.write_all(content).unwrap();
        sealing.end().unwrap()
    }

    fn opened(file: &[u8], passphrase: &[u8]) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        let mut opening = Opening::begin(file, passphrase).map_err(|error| error.to_string())?;
        opening.read_to_end(&mut content).map_err(|error| error.to_string())?;
        Ok(content)
    }

    // What could go wrong: the last byte of a piece is the last of the file, and something is lost or added there unseen.
    #[test]
    fn a_content_of_any_length_comes_back_and_no_other() {
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 9] {
            let content: Vec<u8> = (0..=250).cycle().take(len).collect();
            let file = sealed(&content);
            assert_eq!(opened(&file, b"correct horse").unwrap(), content, "{len}");
            for cut in [1, TAG, TAG + 1, PIECE + TAG] {
                if let Some(len) = file.len().checked_sub(cut) {
                    assert!(opened(&file[..len], b"correct horse").is_err(), "{cut} bytes less");
                }
            }
            assert!(opened(&[&file[..], &[0]].concat(), b"correct horse").is_err(), "a byte more");
        }
    }

    #[test]
    fn a_changed_byte_and_pieces_in_another_order_are_refused() {
        let file = sealed(&[7; 3 * PIECE]);
        assert!(opened(&file, b"wrong horse").unwrap_err().contains("passphrase"));
        for place in (0..file.len()).step_by(4099) {
            let mut bad = file.clone();
            bad[place] ^= 1;
            assert!(opened(&bad, b"correct horse").is_err(), "byte {place}");
        }
        let start = file.len() - 3 * (PIECE + TAG);
        let mut swapped = file.clone();
        let (first, second) = swapped[start..].split_at_mut(PIECE + TAG);
        first.swap_with_slice(&mut second[..PIECE + TAG]);
        assert!(opened(&swapped, b"correct horse").is_err());
    }
}

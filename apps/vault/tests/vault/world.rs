//! A party with a vault in this process, and raw frames for whoever does not keep to the protocol.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use semper_core::cbor::Encode as _;
use semper_core::container::{Attributes, Container, ContainerStatement, Information, Leaf, Node as Part};
use semper_core::cose::Statement as _;
use semper_core::ids::DealId;
use semper_core::party::KeySet;
use semper_support::approval::{Exhibit, SignRequest};
use semper_vault::client::{NodeSide, UserSide};
use semper_vault::keys::Secrets;
use semper_vault::process::bind;
use semper_vault::serve::{Serving, Settings};
use tempfile::TempDir;
use zeroize::Zeroizing;

pub const PASSPHRASE: &[u8] = b"correct horse";

/// A party's keys in a directory, and their vault, if it runs in this process.
pub struct World {
    serving: Option<Serving>,
    /// What nobody outside of the vault may ever see.
    pub secrets: Secrets,
    dir: TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::generate(Zeroizing::new(vec![1; 32])).unwrap();
        std::fs::write(dir.path().join("keys"), secrets.protect(PASSPHRASE).unwrap()).unwrap();
        Self { dir, secrets, serving: None }
    }

    /// One whose vault is served, and locked.
    pub fn locked(settings: Settings) -> Self {
        let mut world = Self::new();
        world.serving = Some(bind(world.path(), settings).unwrap().serve());
        world
    }

    /// One whose vault is open and has no policy.
    pub fn open() -> Self {
        let world = Self::locked(Settings::default());
        world.user().unlock(PASSPHRASE, None).unwrap();
        world
    }

    /// Ends the vault and serves it again, locked.
    pub fn restart(&mut self) {
        self.serving = None;
        self.serving = Some(bind(self.path(), Settings::default()).unwrap().serve());
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn log(&self) -> PathBuf {
        self.path().join("log")
    }

    pub fn user(&self) -> UserSide {
        UserSide::connect(self.path()).unwrap()
    }

    pub fn node(&self) -> NodeSide {
        NodeSide::connect(self.path()).unwrap()
    }

    pub fn key_set(&self) -> &KeySet {
        self.secrets.key_set()
    }

    pub fn raw(&self, side: &str) -> Raw {
        let stream = UnixStream::connect(self.path().join(side).join("socket")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Raw(stream)
    }
}

/// A letter that its sender is asked to sign.
pub fn letter(keys: &KeySet, number: u64) -> SignRequest {
    let words = format!("This is letter {number}.");
    let message = Information::new("message.txt", "text/plain", words.into_bytes()).unwrap();
    let nonce = (u128::from(number) + 1).to_be_bytes();
    let container = Container::new(nonce, Part::leaf(Attributes::default(), Leaf::Information(message))).unwrap();
    let draft = ContainerStatement { container: container.id() }.draft(keys.suite(), keys.id());
    let exhibit = Exhibit::Container { container: container.to_bytes() };
    SignRequest { deal: DealId::from_array(nonce), draft, exhibit }
}

/// A connection on which anything can be said.
pub struct Raw(UnixStream);

impl Raw {
    /// Says bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Asks a question and reads the answer: its outcome and its body.
    pub fn ask(&mut self, code: u8, body: &[u8]) -> io::Result<(u8, Vec<u8>)> {
        let len = u32::try_from(body.len() + 1).unwrap();
        self.write(&[len.to_be_bytes().as_slice(), &[code], body].concat())?;
        self.answer()
    }

    pub fn answer(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut len = [0; 4];
        self.0.read_exact(&mut len)?;
        let mut answer = vec![0; u32::from_be_bytes(len) as usize];
        self.0.read_exact(&mut answer)?;
        Ok((answer[0], answer.split_off(1)))
    }

    /// Whether the other side has hung up.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0)) || self.write(&[0]).is_err()
    }
}

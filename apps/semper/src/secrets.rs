//! The secret keys of one data directory, together in one file under the passphrase.
//!
//! ```text
//! secrets = { 0: 1, 1: signature keys, 2: inbox key, 3: transport keys, 4: certificate key (PKCS#8),
//!             5: secret of the answers (32 bytes), 6: seed of the money (32 bytes: 24 words) }
//! ```

use std::sync::Arc;

use anyhow::{Context, Result};
use semper_core::cbor::{Decode, DecodeError, Fields, Value, record};
use semper_core::cose::Statement;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::party::{KeySet, Suite};
use semper_crypto::{OpenKey, PassphraseStore, Sealer, SecretKeys, SystemRandom};
use semper_exchange::arbiter::rules_hash;
use semper_payment::account::payment::Level;
use semper_support::channel::InboxAddress;
use semper_support::crypto::{KemSuite, KeyStore as _, Open as _, Randomness as _, Signer as _};
use semper_transfer::payment::Module;
use semper_trust::card::{ContactCard, LockKey, SealingKey, Service};
use semper_trust::{CertificateKey, KeyType};
use zeroize::Zeroizing;

use crate::home::{Config, Role};
use crate::node::now;
use crate::stamp;

/// All secret keys of one party or third party.
pub struct Secrets {
    /// Signs what the party says.
    pub signer: SecretKeys,
    /// Opens what is sealed for the party.
    pub inbox: OpenKey,
    /// Signs the inbox's receipts.
    pub transport: SecretKeys,
    /// The key that certificates are about.
    pub certificate: CertificateKey,
    /// Opens the answers to the party's own messages.
    pub replies: Zeroizing<[u8; 32]>,
    /// Everything that a purse, a mint or a bank derives its secrets from.
    pub seed: Zeroizing<[u8; 32]>,
}

impl Secrets {
    /// Fresh keys: hybrid signatures, X-Wing for the inbox, Ed25519 for receipts, P-256 for the certificate.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<Self> {
        let (mut replies, mut seed) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        SystemRandom.fill(&mut *replies)?;
        SystemRandom.fill(&mut *seed)?;
        Ok(Self {
            replies,
            seed,
            signer: SecretKeys::generate(Suite::Hybrid)?,
            inbox: OpenKey::generate(KemSuite::XWing)?,
            transport: SecretKeys::generate(Suite::Ed25519)?,
            certificate: CertificateKey::generate(KeyType::P256, &SystemRandom)?,
        })
    }

    /// The keys as they are kept.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn protect(&self, passphrase: &[u8]) -> Result<Vec<u8>> {
        let plain = Zeroizing::new(
            record()
                .put(0, 1_u64)
                .put_bytes(1, &*self.signer.export())
                .put_bytes(2, &*self.inbox.export())
                .put_bytes(3, &*self.transport.export())
                .put_bytes(4, &*self.certificate.to_pkcs8())
                .put_bytes(5, *self.replies)
                .put_bytes(6, *self.seed)
                .build()
                .encode(),
        );
        Ok(PassphraseStore::default().protect(passphrase, &label(), &plain)?)
    }

    /// The keys from the form in which they are kept.
    ///
    /// # Errors
    /// The passphrase is wrong, or the file was changed.
    pub fn reveal(passphrase: &[u8], blob: &[u8]) -> Result<Self> {
        let plain = PassphraseStore::default().reveal(passphrase, &label(), blob)?;
        let stored = Stored::from_bytes(&plain).context("the key file is damaged")?;
        Ok(Self {
            signer: SecretKeys::import(&stored.signer)?,
            inbox: OpenKey::import(&stored.inbox)?,
            transport: SecretKeys::import(&stored.transport)?,
            certificate: CertificateKey::from_pkcs8(&stored.certificate)?,
            replies: stored.replies,
            seed: stored.seed,
        })
    }

    /// The public side of the signature keys.
    pub fn key_set(&self) -> &KeySet {
        self.signer.key_set()
    }

    /// The key that certificates are about.
    pub fn certificate_key(&self) -> &CertificateKey {
        &self.certificate
    }

    /// The contact card with an inbox and, if there is one, a certificate chain.
    ///
    /// # Errors
    /// A part does not fit on a card.
    pub fn card(&self, config: &Config, chain: &[Vec<u8>]) -> Result<String> {
        let (suite, public_key) = (self.inbox.suite(), self.inbox.public_key().to_vec());
        let mailbox = |relay: &String| semper_channel::mailbox_url(relay, &self.transport.key_set().id());
        let url = config.relay.as_ref().map_or_else(|| config.inbox_url(), mailbox);
        let inbox = InboxAddress { url, suite, public_key, agent: config.relay_agent()? };
        let services = match config.role {
            Role::Arbiter => {
                vec![Service::Arbiter { log: self.key_set().clone(), rules: rules_hash(), lock_keys: self.lock_keys() }]
            }
            Role::Tsa => vec![Service::TimeStamps { url: format!("{}{}", config.base_url(), stamp::PATH) }],
            _ => Vec::new(),
        };
        let inboxes = if matches!(config.role, Role::Party | Role::Arbiter) { vec![inbox] } else { Vec::new() };
        self.write_card(&config.name, inboxes, services, chain.to_vec())
    }

    /// The keys under which others lock money for this arbiter to decide over, one for each payment system.
    fn lock_keys(&self) -> Vec<LockKey> {
        let systems = semper_payment::all(&self.seed, Arc::new(Sealer), Level::Two);
        let key = |module: &dyn Module| LockKey {
            system: module.system().to_string(),
            key: module.arbiter_key(self.key_set()),
        };
        let mut keys: Vec<LockKey> = systems.iter().map(|module| key(&**module)).collect();
        keys.sort_by(|a, b| a.system.cmp(&b.system));
        keys
    }

    /// A contact card that says nothing but name and keys.
    ///
    /// # Errors
    /// The name does not fit on a card.
    pub fn bare_card(&self, name: &str) -> Result<String> {
        self.write_card(name, Vec::new(), Vec::new(), Vec::new())
    }

    fn write_card(
        &self,
        name: &str,
        inboxes: Vec<InboxAddress>,
        services: Vec<Service>,
        certificates: Vec<Vec<u8>>,
    ) -> Result<String> {
        let card = ContactCard {
            name: name.to_owned(),
            key_set: self.key_set().clone(),
            sealing_key: SealingKey { suite: self.inbox.suite(), public_key: self.inbox.public_key().to_vec() },
            inboxes,
            transport: self.transport.key_set().clone(),
            certificates,
            services,
            time: now(),
            replaces: None,
        };
        card.check()?;
        let key_set = self.key_set();
        let signed = self.signer.sign(card.draft(key_set.suite(), key_set.id()))?;
        Ok(ContactCard::to_text(&signed))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({:?})", self.key_set().id())
    }
}

fn label() -> Digest {
    Digest::of(domain::KEY_STORE, b"semper data directory")
}

struct Stored {
    signer: Zeroizing<Vec<u8>>,
    inbox: Zeroizing<Vec<u8>>,
    transport: Zeroizing<Vec<u8>>,
    certificate: Zeroizing<Vec<u8>>,
    replies: Zeroizing<[u8; 32]>,
    seed: Zeroizing<[u8; 32]>,
}

impl Decode for Stored {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let replies = Zeroizing::new(fields.exact(5, "answers")?);
        let seed = Zeroizing::new(fields.exact(6, "seed")?);
        let mut key = |place, name| fields.bytes(place, name, 8192).map(Zeroizing::new);
        let stored = Self {
            replies,
            seed,
            signer: key(1, "signature keys")?,
            inbox: key(2, "inbox key")?,
            transport: key(3, "transport keys")?,
            certificate: key(4, "certificate key")?,
        };
        fields.close()?;
        Ok(stored)
    }
}

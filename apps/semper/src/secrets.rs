//! What a party and third party makes of its secret keys outside of the vault: fresh ones, and the contact card over them.

use std::sync::Arc;

use anyhow::Result;
use semper_core::cose::Statement;
use semper_crypto::{Sealer, SecretKeys, SystemRandom};
use semper_exchange::arbiter::rules_hash;
use semper_payment::account::payment::Level;
use semper_support::channel::InboxAddress;
use semper_support::crypto::{Open as _, Signer as _};
use semper_transfer::payment::Module;
use semper_trust::card::{ContactCard, LockKey, SealingKey, Service};
use semper_trust::{CertificateKey, KeyType};

pub use semper_vault::keys::Secrets;

use crate::home::{ArbiterConfig, Config, Role};
use crate::node::now;
use crate::stamp;

/// Fresh keys, with P-256 for the certificate.
///
/// # Errors
/// The system gives no random numbers.
pub fn generate() -> Result<Secrets> {
    Ok(Secrets::generate(CertificateKey::generate(KeyType::P256, &SystemRandom)?.to_pkcs8())?)
}

/// Fresh keys as by [`generate`], beside signature keys that are there.
///
/// # Errors
/// The system gives no random numbers.
pub fn generate_beside(signer: SecretKeys) -> Result<Secrets> {
    Ok(Secrets::with_signer(signer, CertificateKey::generate(KeyType::P256, &SystemRandom)?.to_pkcs8())?)
}

/// The key that certificates are about.
///
/// # Errors
/// It is damaged.
pub fn certificate_key(secrets: &Secrets) -> Result<CertificateKey> {
    Ok(CertificateKey::from_pkcs8(&secrets.certificate)?)
}

/// The contact card with an inbox and, if there is one, a certificate chain.
///
/// # Errors
/// A part does not fit on a card.
pub fn card(secrets: &Secrets, config: &Config, chain: &[Vec<u8>]) -> Result<String> {
    let (suite, public_key) = (secrets.inbox.suite(), secrets.inbox.public_key().to_vec());
    let mailbox = |relay: &String| semper_channel::mailbox_url(relay, &secrets.transport.key_set().id());
    let url = config.relay.as_ref().map_or_else(|| config.inbox_url(), mailbox);
    let inbox = InboxAddress { url, suite, public_key, agent: config.relay_agent()? };
    let services = match config.role {
        Role::Arbiter => {
            let (log, lock_keys) = (secrets.key_set().clone(), lock_keys(secrets));
            let ArbiterConfig { issuers, in_line } = config.arbiter.clone().unwrap_or_default();
            let in_line = in_line.then_some(Service::InLine { issuers });
            [Service::Arbiter { log, rules: rules_hash(), lock_keys }].into_iter().chain(in_line).collect()
        }
        Role::Tsa => vec![Service::TimeStamps { url: format!("{}{}", config.base_url(), stamp::PATH) }],
        Role::Guarantor => vec![Service::Guarantor { url: config.base_url() }],
        _ => Vec::new(),
    };
    let inboxes = if matches!(config.role, Role::Party | Role::Arbiter) { vec![inbox] } else { Vec::new() };
    write_card(secrets, &config.name, inboxes, services, chain.to_vec())
}

/// The keys under which others lock money for this arbiter to decide over, one for each payment system.
fn lock_keys(secrets: &Secrets) -> Vec<LockKey> {
    let systems = semper_payment::all(&secrets.seed, Arc::new(Sealer), Level::Two);
    let key = |module: &dyn Module| LockKey {
        system: module.system().to_string(),
        key: module.arbiter_key(secrets.key_set()),
    };
    let mut keys: Vec<LockKey> = systems.iter().map(|module| key(&**module)).collect();
    keys.sort_by(|a, b| a.system.cmp(&b.system));
    keys
}

/// A contact card that says nothing but name and keys.
///
/// # Errors
/// The name does not fit on a card.
pub fn bare_card(secrets: &Secrets, name: &str) -> Result<String> {
    write_card(secrets, name, Vec::new(), Vec::new(), Vec::new())
}

fn write_card(
    secrets: &Secrets,
    name: &str,
    inboxes: Vec<InboxAddress>,
    services: Vec<Service>,
    certificates: Vec<Vec<u8>>,
) -> Result<String> {
    let card = ContactCard {
        name: name.to_owned(),
        key_set: secrets.key_set().clone(),
        sealing_key: SealingKey { suite: secrets.inbox.suite(), public_key: secrets.inbox.public_key().to_vec() },
        inboxes,
        transport: secrets.transport.key_set().clone(),
        certificates,
        services,
        time: now(),
        replaces: None,
    };
    card.check()?;
    let key_set = secrets.key_set();
    let signed = secrets.signer.sign(card.draft(key_set.suite(), key_set.id()))?;
    Ok(ContactCard::to_text(&signed))
}

//! The data directory of one party or third party.
//!
//! ```text
//! semper.toml          name, role, addresses; made by `semper init`, may be edited while no node runs
//! keys                 the secret keys of a third party, encrypted under the passphrase
//! vault/keys           those of a party
//! vault/log            what its vault was asked and has answered
//! vault/node/          the socket for its node
//! vault/user/          the socket for its user, and the token that opens it
//! vault/window/        its window: the user's picture and phrase, how commands reach it, what leads the user's browser to it
//! card.txt             the contact card, to be given to others
//! goods/               what is sold and bought
//! wanted/              where what is bought goes, for the user's side
//! archive/             everything that was received, sent, signed and decided
//! archive/copy/        a copy of it while a backup is made
//! backup.lock          locked while a backup is made
//! run/control.json     how to reach the running node; there while one runs
//! run/desk.html        leads the owner's browser to the desk; good for ten minutes
//! ```

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use semper_core::cbor::Decode as _;
use semper_core::ids::DealId;
use semper_core::party::KeySet;
use semper_vault::confine::NodePaths;
use semper_vault::keys::{self, Keyring, Token};
use semper_vault::wire::NODE_DIR;
use serde::{Deserialize, Serialize};

use crate::control::Endpoint;

/// A data directory.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
}

/// `semper.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the party calls itself.
    pub name: String,
    /// What this directory is for.
    pub role: Role,
    /// Where the inbox listens.
    pub listen: SocketAddr,
    /// The address under which others reach this process, if it is not the one above (behind a proxy, with a domain name); the inbox
    /// is at `/inbox` below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// A relay that keeps a mailbox for this party, for parties that others cannot reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// The keys with which that relay signs receipts, a key set in hexadecimal, as the relay's contact card names them. With them this party's card says
    /// that what this relay has was handed in for this party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_keys: Option<String>,
    /// TLS for the inbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// A file with the certification authorities, in PEM, whose certificates are accepted for `https` addresses; the system's if
    /// there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchors: Option<PathBuf>,
    /// A proxy for everything that is sent, such as `socks5h://127.0.0.1:9050` for Tor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// How long a message of the other party is waited for, in seconds, before a deal is ended with the arbiter's help.
    #[serde(default = "Config::patience")]
    pub patience: u64,
    /// The longest pause between two attempts to reach an inbox, in seconds.
    #[serde(default = "Config::retry_max")]
    pub retry_max: u64,
    /// The highest level of this party's account payments: 1 and 2 hide the payer from the payee; with 3 the payer, if it is certified,
    /// signs the order for the payee too, who can then prove who ordered the payment.
    #[serde(default = "Config::account_level")]
    pub account_level: u8,
    /// A PostgreSQL database in the place of `archive/`, for third parties with many users:
    /// `postgres://user:password@host/database?schema=mint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// What a mint needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mint: Option<MintConfig>,
    /// What a bank needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank: Option<BankConfig>,
    /// What an arbiter needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arbiter: Option<ArbiterConfig>,
    /// What a time-stamp authority needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsa: Option<TsaConfig>,
    /// Who dates what a party signs and keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<StampConfig>,
    /// What an issuer of credentials needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerConfig>,
    /// What a guarantor needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarantor: Option<GuarantorConfig>,
}

/// Who dates what a party signs and keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StampConfig {
    /// The address of a time-stamp authority's service, or a contact. Every deal that ends is dated by it as soon as it answers.
    pub tsa: String,
}

/// What a time-stamp authority needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TsaConfig {
    /// The policy under which it issues tokens, an object identifier of the operator's own. What is not said is "any policy" of RFC 5280,
    /// which promises nothing.
    #[serde(default = "TsaConfig::any_policy")]
    pub policy: String,
    /// By how many seconds its clock may be wrong; every token says so. 1 to 3600.
    #[serde(default = "TsaConfig::second")]
    pub accuracy: u64,
    /// How often clients may ask.
    #[serde(default)]
    pub rates: RatesConfig,
}

impl TsaConfig {
    fn any_policy() -> String {
        "2.5.29.32.0".to_owned()
    }

    const fn second() -> u64 {
        1
    }
}

impl Default for TsaConfig {
    fn default() -> Self {
        Self { policy: Self::any_policy(), accuracy: Self::second(), rates: RatesConfig::default() }
    }
}

/// What an issuer of credentials needs to know.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// How often clients may ask.
    #[serde(default)]
    pub rates: RatesConfig,
}

/// What a guarantor needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuarantorConfig {
    /// How long a customer has to answer a claim, in seconds; stands in every cover.
    #[serde(default = "GuarantorConfig::two_weeks")]
    pub answer: u64,
    /// How often clients may ask.
    #[serde(default)]
    pub rates: RatesConfig,
}

impl GuarantorConfig {
    const fn two_weeks() -> u64 {
        14 * 24 * 3600
    }
}

impl Default for GuarantorConfig {
    fn default() -> Self {
        Self { answer: Self::two_weeks(), rates: RatesConfig::default() }
    }
}

/// What an arbiter needs to know.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArbiterConfig {
    /// The mints and banks whose locks it decides over. With none, whoever makes a contract can have it ask an issuer of his choice,
    /// until it knows 32 of them.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// Whether money may go through its hands, for parties that agree to that: it then owes them what it has taken.
    #[serde(default)]
    pub in_line: bool,
}

/// What a mint needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintConfig {
    /// The bank where the mint has its account, in which the money behind the coins is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank: Option<String>,
    /// The currency of that account and of the coins that it backs.
    #[serde(default = "MintConfig::euro")]
    pub currency: String,
    /// Whether coins are also made of nothing, for tests. The mint says so to everybody.
    #[serde(default)]
    pub test_money: bool,
    /// What spending a coin costs, in thousandths of a minor unit.
    #[serde(default)]
    pub fee_ppk: u64,
    /// How often clients may ask.
    #[serde(default)]
    pub rates: RatesConfig,
}

impl MintConfig {
    fn euro() -> String {
        "EUR".to_owned()
    }
}

impl Default for MintConfig {
    fn default() -> Self {
        Self { bank: None, currency: Self::euro(), test_money: false, fee_ppk: 0, rates: RatesConfig::default() }
    }
}

/// What a bank needs to know.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankConfig {
    /// A file with the certification authority's certificate (DER): accounts are opened for names that it certifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
    /// A file with the authority's revocation list (DER), kept fresh by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<PathBuf>,
    /// Whether accounts are opened for anybody, for tests.
    #[serde(default)]
    pub anyone: bool,
    /// The currencies of its accounts.
    #[serde(default)]
    pub currencies: Vec<String>,
    /// How often clients may ask.
    #[serde(default)]
    pub rates: RatesConfig,
}

/// How often clients may ask a mint, a bank, an issuer, a guarantor or a time-stamp authority, in tokens: reading costs 1, what may move money or asks a bank 2, a new quote 20. A client is an
/// IPv4 address or the /64 of an IPv6 address. Behind a reverse proxy all clients have one address: give one the rate of all. What is not
/// said is as the role has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatesConfig {
    /// Tokens that one client can spend at once; at least 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Tokens that one client gets back in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<NonZeroU32>,
    /// Tokens that all clients together can spend at once; at least 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_of_all: Option<NonZeroU32>,
    /// Tokens that all clients together get back in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second_of_all: Option<NonZeroU32>,
    /// Most clients that are told apart; the rest are as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients_max: Option<usize>,
}

/// TLS for the inbox: files in PEM.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and the chain up to the authority.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Config {
    const fn patience() -> u64 {
        24 * 3600
    }

    const fn retry_max() -> u64 {
        300
    }

    const fn account_level() -> u8 {
        2
    }

    /// The configuration that `semper init` writes. That of a mint or bank is completed by its operator.
    pub fn new(name: String, role: Role, listen: SocketAddr, address: Option<String>, relay: Option<String>) -> Self {
        let (patience, retry_max) = (Self::patience(), Self::retry_max());
        let mint = (role == Role::Mint).then(MintConfig::default);
        let bank = BankConfig { currencies: vec!["EUR".to_owned(), "USD".to_owned()], ..BankConfig::default() };
        let bank = (role == Role::Bank).then_some(bank);
        Self {
            name,
            role,
            listen,
            address,
            relay,
            relay_keys: None,
            tls: None,
            anchors: None,
            proxy: None,
            patience,
            retry_max,
            account_level: Self::account_level(),
            database: None,
            mint,
            arbiter: None,
            issuer: None,
            guarantor: None,
            bank,
            tsa: (role == Role::Tsa).then(TsaConfig::default),
            stamp: None,
        }
    }

    /// Where others reach this process.
    pub fn base_url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let base = self.address.clone().unwrap_or_else(|| format!("{scheme}://{}", self.listen));
        base.trim_end_matches('/').to_owned()
    }

    /// Who takes messages in for this party, if it has a relay whose keys it knows.
    ///
    /// # Errors
    /// `relay_keys` is no key set, or there is no relay.
    pub fn relay_agent(&self) -> Result<Option<KeySet>> {
        let Some(keys) = &self.relay_keys else { return Ok(None) };
        anyhow::ensure!(self.relay.is_some(), "`relay_keys` in semper.toml needs `relay`");
        let bytes = HEXLOWER.decode(keys.as_bytes()).context("`relay_keys` in semper.toml is not hexadecimal")?;
        Ok(Some(KeySet::from_bytes(&bytes).context("`relay_keys` in semper.toml is no key set")?))
    }

    /// Where the inbox takes messages.
    pub fn inbox_url(&self) -> String {
        format!("{}/inbox", self.base_url())
    }
}

/// What a data directory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A party that makes deals.
    Party,
    /// An arbiter.
    Arbiter,
    /// A certification authority.
    Ca,
    /// A relay that keeps mailboxes for parties without an address.
    Relay,
    /// A mint of e-cash.
    Mint,
    /// A bank with accounts.
    Bank,
    /// A time-stamp authority.
    Tsa,
    /// An issuer of credentials.
    Issuer,
    /// A guarantor, who stands for its customers.
    Guarantor,
}

impl Role {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Role::Party => "party",
            Role::Arbiter => "arbiter",
            Role::Ca => "ca",
            Role::Relay => "relay",
            Role::Mint => "mint",
            Role::Bank => "bank",
            Role::Tsa => "tsa",
            Role::Issuer => "issuer",
            Role::Guarantor => "guarantor",
        }
    }
}

/// Where the desk of a party answers: the random part of its host name, and its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeskDoor {
    /// `desk-` and these in hexadecimal, `.localhost`.
    pub name: [u8; 8],
    /// On the loopback address.
    pub port: u16,
}

impl Home {
    /// The directory `dir`, or the one that belongs to the user.
    ///
    /// # Errors
    /// No directory was given and the user has no home directory.
    pub fn at(dir: Option<PathBuf>) -> Result<Self> {
        let dir = match dir {
            Some(dir) => dir,
            None => match std::env::var_os("XDG_DATA_HOME") {
                Some(data) => PathBuf::from(data).join("semper"),
                None => std::env::home_dir().context("no home directory; use --dir")?.join(".local/share/semper"),
            },
        };
        Ok(Self { dir })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The archive's directory.
    pub fn archive(&self) -> PathBuf {
        self.dir.join("archive")
    }

    /// Where a copy of the archive is while a backup is made.
    pub(crate) fn archive_copy(&self) -> PathBuf {
        self.archive().join("copy")
    }

    /// Where goods are kept that are sold and bought.
    pub fn goods(&self) -> PathBuf {
        self.dir.join("goods")
    }

    /// The file that says where the goods of a deal go: the user's side writes and reads it, and the node does not.
    pub(crate) fn wanted(&self, deal: DealId) -> PathBuf {
        self.dir.join("wanted").join(deal.to_string())
    }

    /// Writes down where the goods of a deal go.
    pub(crate) fn want(&self, deal: DealId, path: &str) -> Result<()> {
        make_private_dir(&self.dir.join("wanted"))?;
        write_private(&self.wanted(deal), path.as_bytes())
    }

    /// What a node of this directory reads and writes, and nothing else but the system's files. The directories that it writes to are made.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn node_paths(&self, config: &Config) -> Result<NodePaths> {
        let write = vec![self.archive(), self.goods(), self.dir.join("run")];
        write.iter().try_for_each(|dir| make_private_dir(dir))?;
        let mut read = vec![self.card_path(), self.config_path(), self.vault().join(NODE_DIR)];
        read.extend(config.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]));
        read.extend(config.anchors.clone());
        Ok(NodePaths { read, write })
    }

    fn config_path(&self) -> PathBuf {
        self.dir.join("semper.toml")
    }

    /// The directory of a party's vault.
    pub fn vault(&self) -> PathBuf {
        self.dir.join("vault")
    }

    /// Where the keys are: in the vault if there is one.
    pub(crate) fn keys_path(&self) -> PathBuf {
        let vault = self.vault();
        if vault.exists() { vault.join("keys") } else { self.dir.join("keys") }
    }

    /// The contact card's file.
    pub fn card_path(&self) -> PathBuf {
        self.dir.join("card.txt")
    }

    fn endpoint_path(&self) -> PathBuf {
        self.dir.join("run/control.json")
    }

    fn desk_door_path(&self) -> PathBuf {
        self.dir.join("run/desk-door")
    }

    /// Where the desk was when it last ran here.
    pub fn desk_door(&self) -> Option<DeskDoor> {
        let text = fs::read_to_string(self.desk_door_path()).ok()?;
        let (name, port) = text.trim().split_once(' ')?;
        Some(DeskDoor { name: HEXLOWER.decode(name.as_bytes()).ok()?.try_into().ok()?, port: port.parse().ok()? })
    }

    /// Remembers where the desk is, for its next start.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn set_desk_door(&self, DeskDoor { name, port }: DeskDoor) -> Result<()> {
        let path = self.desk_door_path();
        make_private_dir(&self.dir.join("run"))?;
        write_private(&path, format!("{} {port}\n", HEXLOWER.encode(&name)).as_bytes())
    }

    /// The page that leads to the desk.
    pub fn desk_path(&self) -> PathBuf {
        self.dir.join("run/desk.html")
    }

    /// Writes a page, readable by its owner only, that leads to `link`. The page's path.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn write_desk(&self, link: &str) -> Result<PathBuf> {
        write_way(self.desk_path(), link)
    }

    /// The same for the approval window, where a confined node does not see it.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn write_window(&self, link: &str) -> Result<PathBuf> {
        write_way(self.vault().join(semper_window::DIR).join("open.html"), link)
    }

    /// Makes the directory, readable by its owner only.
    ///
    /// # Errors
    /// It holds keys already, or cannot be written.
    pub fn create(&self, config: &Config, keys: &[u8], card: &str) -> Result<()> {
        self.ensure_unused()?;
        make_private_dir(&self.dir)?;
        if config.role == Role::Party {
            make_private_dir(&self.vault())?;
        }
        write_private(&self.card_path(), card.as_bytes())?;
        write_private(&self.config_path(), toml::to_string_pretty(config)?.as_bytes())?;
        // Last: a directory with keys is complete.
        write_private(&self.keys_path(), keys)
    }

    /// That nothing was made here yet.
    ///
    /// # Errors
    /// It holds keys already.
    pub fn ensure_unused(&self) -> Result<()> {
        if self.keys_path().exists() {
            bail!("{} is in use already; choose another directory with --dir", self.dir.display());
        }
        Ok(())
    }

    /// The configuration.
    ///
    /// # Errors
    /// There is none, or it is not usable.
    pub fn config(&self) -> Result<Config> {
        let path = self.config_path();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{} holds no Semper data; run `semper init` first", self.dir.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not usable", path.display()))
    }

    /// The encrypted keys.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn keys(&self) -> Result<Vec<u8>> {
        fs::read(self.keys_path()).with_context(|| format!("cannot read the keys in {}", self.dir.display()))
    }

    /// The security token that the keys are on, if they are on one.
    pub fn token(&self) -> Option<Token> {
        keys::token(&self.keys_path())
    }

    /// What opens the keys.
    ///
    /// # Errors
    /// They are on a security token whose module cannot be loaded.
    pub fn keyring(&self) -> Result<Box<dyn Keyring>> {
        Ok(keys::at(&self.keys_path())?)
    }

    /// The contact card.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn card(&self) -> Result<String> {
        fs::read_to_string(self.card_path()).with_context(|| format!("cannot read the card in {}", self.dir.display()))
    }

    /// Replaces the contact card.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_card(&self, card: &str) -> Result<()> {
        write_private(&self.card_path(), card.as_bytes())
    }

    /// Replaces the encrypted keys.
    ///
    /// # Errors
    /// They cannot be written; the former ones stand.
    pub fn set_keys(&self, keys: &[u8]) -> Result<()> {
        write_private(&self.keys_path(), keys)
    }

    /// How to reach the node that runs here, if one does.
    pub fn endpoint(&self) -> Option<Endpoint> {
        serde_json::from_slice(&fs::read(self.endpoint_path()).ok()?).ok()
    }

    /// Tells others of the same user how to reach this node. The file goes when the guard does.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn announce(&self, endpoint: &Endpoint) -> Result<Announced> {
        make_private_dir(&self.dir.join("run"))?;
        let path = self.endpoint_path();
        write_private(&path, &serde_json::to_vec(endpoint)?)?;
        Ok(Announced { path })
    }
}

/// Removes the announcement of a node when it stops.
#[derive(Debug)]
pub struct Announced {
    path: PathBuf,
}

impl Drop for Announced {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes a page, readable by its owner only, that leads to `link`: other users of this machine can read the arguments of a process, but not the page.
fn write_way(path: PathBuf, link: &str) -> Result<PathBuf> {
    make_private_dir(path.parent().unwrap_or(Path::new(".")))?;
    let page = format!("<!DOCTYPE html><title>Semper</title><meta http-equiv=\"refresh\" content=\"0;url={link}\">\n");
    write_private(&path, page.as_bytes())?;
    Ok(path)
}

/// Makes a directory that only its owner can enter.
pub(crate) fn make_private_dir(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(dir).with_context(|| format!("cannot make the directory {}", dir.display()))
}

/// Writes a new file that only its owner can read.
///
/// # Errors
/// There is a file of this name, or it cannot be written.
pub fn write_new_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let write = || -> std::io::Result<()> {
        let new = path.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

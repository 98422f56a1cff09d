//! A party or third party, put together from the layers and modules and kept running.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use data_encoding::HEXLOWER;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use semper_channel::{
    ClientOptions, Clock, HttpPost, InboxIdentity, Limits, Quota, Relay, RelayInbox, ReplySecret, Server,
    ServerOptions, ServiceClient, Transport, inbox,
};
use semper_core::ids::KeySetId;
use semper_core::time::Seconds;
use semper_crypto::{DecapsulationKey, Encapsulator, Sealer, SystemRandom, Verifier};
use semper_pages::doors::Doors;
use semper_payment::account::payment::Level;
use semper_store::{OpenError, PostgresArchive, PostgresOptions, SqliteArchive};
use semper_support::approval::KeyHolder;
use semper_support::archive::Archive;
use semper_support::channel::Inbox;
use semper_support::crypto::{Decapsulate as _, Open, Randomness as _, Signer};
use semper_transfer::payment::module::BODY_MAX;
use semper_trust::CertificateKey;
use semper_trust::card::ContactCard;
use semper_vault::client::NodeSide;
use semper_vault::keys::{Keyring as _, Pkcs11Keyring, Token};
use semper_vault::policy::Policy;
use semper_vault::rules::{Purpose, Vault};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::control::Endpoint;
use crate::control::backup::{Copied, backup_routes};
use crate::control::client::Client;
use crate::control::server::{Controlled, guarded, party_routes};
use crate::desk::{self, Desk};
use crate::home::{Announced, Config, DeskDoor, Home, Role};
use crate::node::goods::GoodsStore;
use crate::node::{Node, Parts, PaymentParts, Payments, Settings, Stamping, Systems, now};
use crate::roles;
use crate::roles::admit::throttle;
use crate::roles::arbiter::{Arbiter, ArbiterParts};
use crate::roles::ca::CaService;
use crate::roles::guarantor::{self, Guarantor, GuarantorParts};
use crate::roles::issuer::{self, Issuer, IssuerParts};
use crate::roles::tsa::{TsaParts, TsaService};
use crate::secrets::{self, Secrets};
use crate::stamp;
use crate::vault::{self, Gone, Held, Keys};

/// Shortest passphrase, in bytes.
pub const PASSPHRASE_MIN: usize = 8;
/// How long a node waits for a command that has started one of its own because none ran. Such a command ends as soon as what it began is on
/// its way.
pub const COMMANDS_END: Duration = Duration::from_secs(30);
/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a graceful stop may take.
const STOP_MAX: Duration = Duration::from_secs(5);
/// How often a relay removes what is too old.
const SWEEP: Duration = Duration::from_secs(3600);
/// Where Debian keeps the certification authorities that `https` addresses are checked against.
const SYSTEM_ANCHORS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Makes a data directory with fresh keys and a contact card. Port 0 of the configuration becomes a free one, which stays the directory's own.
///
/// # Errors
/// The directory is in use already, the passphrase is shorter than [`PASSPHRASE_MIN`], there is no such address here. Nothing was made.
pub fn create(home: &Home, config: Config, passphrase: &[u8]) -> Result<KeySetId> {
    anyhow::ensure!(
        passphrase.len() >= PASSPHRASE_MIN,
        "a passphrase has at least {PASSPHRASE_MIN} bytes; nothing was made"
    );
    let secrets = secrets::generate()?;
    create_with(home, config, &secrets, || Ok(secrets.protect(passphrase)?))
}

/// Makes a party's data directory as [`create`] does, with keys on a security token whose PIN is `passphrase`.
///
/// # Errors
/// As [`create`], and if the token is not there, does not take the PIN, or cannot make the keys. No directory was made; at worst a key stays on
/// the token that nobody uses.
pub fn create_on_token(home: &Home, config: Config, token: Token, passphrase: &[u8]) -> Result<KeySetId> {
    anyhow::ensure!(config.role == Role::Party, "only the keys of a party are on a token; nothing was made");
    home.ensure_unused()?;
    let (keyring, signer) = Pkcs11Keyring::make(&home.keys_path(), token, passphrase)?;
    let secrets = secrets::generate_beside(signer)?;
    create_with(home, config, &secrets, || Ok(keyring.protect(&secrets, passphrase)?))
}

fn create_with(
    home: &Home,
    mut config: Config,
    secrets: &Secrets,
    protected: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<KeySetId> {
    // Bound until the directory is made, so that two directories made at once get two ports.
    let listener = TcpListener::bind(config.listen).with_context(|| format!("cannot listen on {}", config.listen))?;
    config.listen = listener.local_addr()?;
    let card = secrets::card(secrets, &config, &[])?;
    home.create(&config, &protected()?, &card)?;
    Ok(secrets.key_set().id())
}

/// The card of a third party says what its configuration says: if that has changed, there is a new one.
fn keep_card(home: &Home, config: &Config, secrets: &Secrets) -> Result<()> {
    let stands = ContactCard::verify_text(&home.card()?, &Verifier)?;
    let stands = stands.statement();
    let text = secrets::card(secrets, config, &stands.certificates)?;
    let card = ContactCard::verify_text(&text, &Verifier)?;
    let same = ContactCard { time: stands.time, ..card.statement().clone() };
    if same == *stands { Ok(()) } else { home.set_card(&text) }
}

/// A running party or third party.
pub struct Running {
    store: Store,
    stop: watch::Sender<bool>,
    asked: Arc<Notify>,
    gone: Arc<Gone>,
    tasks: JoinSet<()>,
    servers: Vec<Server>,
    endpoint: Endpoint,
    party: Option<Party>,
    announced: Option<Announced>,
    home: Home,
}

/// A party's node, and its way to the vault.
struct Party {
    node: Arc<Node>,
    keys: Arc<Keys>,
    /// Ends with the node, after it.
    _vault: Held,
}

impl Running {
    /// Starts what the directory was made for. With `listen` it takes messages from others and can be found by other commands of
    /// the same user; without, it only sends. A party's vault is in this process.
    ///
    /// # Errors
    /// The passphrase is wrong, the archive is in use or damaged, or the port is taken.
    pub async fn start(home: &Home, passphrase: &[u8], policy: Option<Policy>, listen: bool) -> Result<Self> {
        let config = home.config()?;
        let patience = patience(listen);
        let secrets = match config.role {
            Role::Party => {
                let (home, passphrase) = (home.clone(), Zeroizing::new(passphrase.to_vec()));
                let held = move || {
                    vault::bring_over(&home, &passphrase)?;
                    Held::here(&home, &passphrase, policy.as_ref(), patience)
                };
                Holder::Vault(tokio::task::spawn_blocking(held).await??)
            }
            _ => {
                let secrets = unlock(home, passphrase)?;
                keep_card(home, &config, &secrets)?;
                Holder::Own(Box::new(secrets))
            }
        };
        Self::start_with(home, config, secrets, listen).await
    }

    /// Starts a party that listens, over a vault that is unlocked.
    ///
    /// # Errors
    /// As [`Running::start`].
    pub async fn start_beside(home: &Home, vault: Held) -> Result<Self> {
        Self::start_with(home, home.config()?, Holder::Vault(vault), true).await
    }

    async fn start_with(home: &Home, config: Config, holder: Holder, listen: bool) -> Result<Self> {
        let store = Store::open(home, &config, patience(listen)).await?;
        let archive = store.archive();
        let (stop, stopped) = watch::channel(false);
        let (asked, gone) = (Arc::new(Notify::new()), Arc::new(Gone::default()));
        let tasks = JoinSet::new();
        let (home_of, own, gone_of) = (home.clone(), store.own(), gone.clone());
        let mut starting = Starting { home: home_of, config, archive, own, stopped, tasks, gone: gone_of };
        let made = starting.role(holder, &home.card()?, listen).await?;
        let mut servers = Vec::new();
        if listen {
            servers.push(starting.public(made.public)?);
        }
        if let Some((listener, pages)) = made.desk {
            servers.push(Server::start(listener, pages, Transport::Plain, &ServerOptions::default())?);
        }
        let token = token()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = Endpoint { pid: std::process::id(), port: listener.local_addr()?.port(), token: token.clone() };
        let control = guarded(made.control, token, asked.clone());
        servers.push(Server::start(listener, control, Transport::Plain, &ServerOptions::default())?);
        let announced = if listen { Some(home.announce(&endpoint)?) } else { None };
        Ok(Self {
            store,
            stop,
            asked,
            gone,
            tasks: starting.tasks,
            servers,
            endpoint,
            party: made.party,
            announced,
            home: home.clone(),
        })
    }

    /// A connection to what has been started, as other processes of the same user have it.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(self.endpoint.clone(), self.home.clone())?)
    }

    /// Returns when it is to be stopped: somebody has asked for that through the control interface.
    ///
    /// # Errors
    /// The vault has ended by itself: nothing is signed and no message opened any more. Whatever was begun goes on after the next start.
    pub async fn asked_to_stop(&self) -> Result<()> {
        tokio::select! {
            () = self.asked.notified() => Ok(()),
            () = self.gone.wait() => anyhow::bail!(
                "the holder of your keys has ended: nothing can be signed and no message be opened. No money moved by that; `semper up` starts \
                 both again, and what was begun goes on"
            ),
        }
    }

    /// Stops: takes nothing new, finishes what is on its way, closes the archive.
    pub async fn stop(mut self) {
        self.announced.take();
        self.stop.send_replace(true);
        for server in self.servers {
            if let Err(error) = server.stop(STOP_MAX).await {
                tracing::error!(%error, "a server did not end well");
            }
        }
        let finish = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_MAX, finish).await.is_err() {
            tracing::warn!("some work did not finish in time; it goes on after the next start");
            self.tasks.shutdown().await;
        }
        self.store.close().await;
    }

    /// Whether something could be done now that is not done yet. Whoever stops waits with profit until nothing is.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub async fn is_busy(&self) -> Result<bool> {
        let Some(Party { node, keys, .. }) = &self.party else {
            return Ok(false);
        };
        // What goes from one of these into another while they are looked at was in neither: so nothing may have changed meanwhile, and a second
        // look must find the same.
        let before = *node.changes().borrow();
        for _ in 0..2 {
            let asks = node.questions().await? > keys.pending().await?.len();
            let busy = asks || node.payments().could_go_on().await? || node.has_errands().await?;
            if busy || node.has_mail_due().await? {
                return Ok(true);
            }
        }
        Ok(*node.changes().borrow() != before)
    }
}

/// The archive, and what closing it needs to know.
enum Store {
    Sqlite(Arc<SqliteArchive>),
    Postgres(Arc<PostgresArchive>),
}

impl Store {
    /// Opens the archive. Another process of the same user that has it gets some time to end.
    async fn open(home: &Home, config: &Config, patience: Duration) -> Result<Self> {
        Ok(match &config.database {
            None => Store::Sqlite(Arc::new(open_archive(home, patience).await?)),
            Some(_) if config.role == Role::Party => {
                anyhow::bail!("a party keeps its archive in its own directory: take `database` out of semper.toml")
            }
            Some(url) => Store::Postgres(Arc::new(PostgresArchive::open(url, PostgresOptions::default()).await?)),
        })
    }

    /// The archive of a party, and of a third party that has its own.
    fn own(&self) -> Option<Arc<SqliteArchive>> {
        match self {
            Store::Sqlite(archive) => Some(archive.clone()),
            Store::Postgres(_) => None,
        }
    }

    fn archive(&self) -> Arc<dyn Archive> {
        match self {
            Store::Sqlite(archive) => archive.clone(),
            Store::Postgres(archive) => archive.clone(),
        }
    }

    async fn close(&self) {
        match self {
            Store::Sqlite(archive) => {
                if let Err(error) = archive.close().await {
                    tracing::error!(%error, "the archive could not be closed");
                }
            }
            Store::Postgres(archive) => archive.close().await,
        }
    }
}

/// Opens the archive of a data directory. Another process of the same user that has it gets `patience` to end.
///
/// # Errors
/// It is in use, or damaged.
pub async fn open_archive(home: &Home, patience: Duration) -> Result<SqliteArchive, OpenError> {
    let until = Instant::now() + patience;
    loop {
        match SqliteArchive::open(home.archive()).await {
            Err(OpenError::InUse { .. }) if Instant::now() < until => sleep(LOOK_AGAIN).await,
            opened => return opened,
        }
    }
}

/// What a role is made of.
struct Made {
    public: Router,
    control: Router,
    party: Option<Party>,
    /// The desk of a party that listens, and the loopback port that is its own.
    desk: Option<(TcpListener, Router)>,
}

impl Made {
    /// A third party.
    fn service(public: Router, control: Router) -> Self {
        Self { public, control, party: None, desk: None }
    }
}

/// Who holds the keys.
enum Holder {
    /// A party's vault.
    Vault(Held),
    /// A third party's own process.
    Own(Box<Secrets>),
}

struct Starting {
    home: Home,
    config: Config,
    archive: Arc<dyn Archive>,
    /// The same, where it is a file of its own.
    own: Option<Arc<SqliteArchive>>,
    stopped: watch::Receiver<bool>,
    tasks: JoinSet<()>,
    gone: Arc<Gone>,
}

impl Starting {
    fn public(&self, router: Router) -> Result<Server> {
        let listen = self.config.listen;
        let busy = || format!("cannot listen on {listen}: is another node running?");
        let listener = TcpListener::bind(listen).with_context(busy)?;
        let transport = match &self.config.tls {
            None => Transport::Plain,
            Some(tls) => {
                let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
                Transport::from_pem(&read(&tls.certificate)?, &read(&tls.key)?)?
            }
        };
        Ok(Server::start(listener, router, transport, &ServerOptions::default())?)
    }

    async fn role(&mut self, holder: Holder, card: &str, listen: bool) -> Result<Made> {
        let archive = self.archive.clone();
        let secrets = match holder {
            Holder::Vault(vault) => return self.party(vault, card, listen),
            Holder::Own(secrets) => *secrets,
        };
        let Secrets { signer, inbox: opener, transport, certificate, replies: _, seed } = secrets;
        match self.config.role {
            Role::Party => anyhow::bail!("the keys of a party are in its vault"),
            Role::Arbiter => {
                let systems: Systems = semper_payment::all(&seed, Arc::new(Sealer), Level::Two).into();
                let vault = Vault::new(Box::new(signer), archive.clone(), Purpose::Arbiter, None, systems.clone());
                let vault: Arc<dyn KeyHolder> = Arc::new(vault);
                let payments = self.payments(systems, vault.clone(), card)?;
                self.tasks.spawn(payments.clone().run(None, self.stopped.clone()));
                // Deposits are made for the key on the card, which also opens what is sealed for the inbox.
                let deposits = DecapsulationKey::import(&opener.export())?;
                anyhow::ensure!(deposits.public_key() == opener.public_key(), "the inbox key opens no deposits");
                let settings = self.config.arbiter.clone().unwrap_or_default();
                let arbiter = Arc::new(Arbiter::new(ArbiterParts {
                    archive,
                    keys: vault,
                    verify: Arc::new(Verifier),
                    kem: Arc::new(Encapsulator),
                    deposits: Arc::new(deposits),
                    payments,
                    issuers: settings.issuers,
                    in_line: settings.in_line,
                    clock: clock(),
                }));
                let inbox = self.inbox(arbiter.clone(), Arc::new(opener), Arc::new(transport));
                Ok(Made::service(inbox.merge(arbiter.routes()), arbiter.operator_routes()))
            }
            Role::Ca => {
                let (verify, random) = (Arc::new(Verifier), Arc::new(SystemRandom));
                let base = self.config.base_url();
                let certificate = CertificateKey::from_pkcs8(&certificate)?;
                let service = CaService::open(archive, verify, random, certificate, &self.config.name, &base).await?;
                Ok(Made::service(service.routes(), service.operator_routes()))
            }
            Role::Mint => {
                let issuers = self.issuers()?;
                let opened =
                    roles::mint::open(&self.config, archive, &seed, signer, certificates_on(card)?, issuers).await?;
                let (mint, stop) = (opened.mint, stopped(self.stopped.clone()));
                self.tasks.spawn(async move { mint.run(stop).await });
                Ok(Made::service(opened.public, opened.control))
            }
            Role::Bank => {
                let opened = roles::bank::open(&self.config, archive, signer, opener).await?;
                self.tasks.spawn(roles::bank::run(opened.bank, stopped(self.stopped.clone())));
                Ok(Made::service(opened.public, opened.control))
            }
            Role::Tsa => {
                let settings = self.config.tsa.clone().unwrap_or_default();
                let parts = TsaParts {
                    archive,
                    key: CertificateKey::from_pkcs8(&certificate)?,
                    certificates: certificates_on(card)?,
                    name: self.config.name.clone(),
                    random: Arc::new(SystemRandom),
                    clock: clock(),
                };
                let service = TsaService::open(parts, &settings).await?;
                Ok(Made::service(service.routes(&settings)?, Router::new()))
            }
            Role::Issuer => {
                let issuer = Issuer::new(IssuerParts {
                    archive,
                    keys: Arc::new(signer),
                    verify: Arc::new(Verifier),
                    random: Arc::new(SystemRandom),
                    clock: clock(),
                    address: self.config.base_url(),
                });
                let rates = self.config.issuer.clone().unwrap_or_default().rates;
                let public = issuer.routes(&throttle(&rates, &issuer::USUAL)?);
                Ok(Made::service(public, issuer.operator_routes()))
            }
            Role::Guarantor => {
                let settings = self.config.guarantor.clone().unwrap_or_default();
                let guarantor = Guarantor::new(GuarantorParts {
                    archive,
                    keys: Arc::new(signer),
                    verify: Arc::new(Verifier),
                    clock: clock(),
                    address: self.config.base_url(),
                    answer: Seconds(settings.answer),
                });
                let public = guarantor.routes(&throttle(&settings.rates, &guarantor::USUAL)?);
                Ok(Made::service(public, guarantor.operator_routes()))
            }
            Role::Relay => {
                let (url, quota) = (format!("{}/mail", self.config.base_url()), Quota::default());
                let relay = Relay::open(archive, Arc::new(transport), Arc::new(Verifier), url, clock(), quota).await?;
                self.tasks.spawn(sweep(relay.clone(), self.stopped.clone()));
                let public = Router::new().nest("/mail", relay.router(Limits::default()));
                Ok(Made::service(public, Router::new()))
            }
        }
    }

    fn party(&mut self, vault: Held, card: &str, listen: bool) -> Result<Made> {
        let level = match self.config.account_level {
            1 => Level::One,
            2 => Level::Two,
            3 => Level::Three,
            other => anyhow::bail!("account_level in semper.toml is 1, 2 or 3, not {other}"),
        };
        let keys = vault.keys().clone();
        let gone = vault.is_ours().then(|| self.gone.clone());
        // Opens what is sealed for the party, and signs receipts.
        let side: Arc<NodeSide> = keys.side();
        let lent = side.lent()?;
        let systems: Systems = semper_payment::all(&lent.seed, Arc::new(Sealer), level).into();
        let replies = ReplySecret::from_array(*lent.replies);
        let options = self.client_options()?;
        let random = Arc::new(SystemRandom);
        let post = HttpPost::new(Arc::new(Sealer), Arc::new(Verifier), random.clone(), replies, &options)?;
        let settings =
            Settings { patience: Seconds(self.config.patience), retry_max: Duration::from_secs(self.config.retry_max) };
        let payments = self.payments(systems, keys.clone(), card)?;
        let goods = Arc::new(GoodsStore::new(self.home.goods()));
        let parts = Parts {
            certificates: certificates_on(card)?,
            name: self.config.name.clone(),
            archive: self.archive.clone(),
            keys: keys.clone(),
            verify: Arc::new(Verifier),
            post: Arc::new(post),
            random: random.clone(),
            issuers: Arc::new(self.issuers()?),
            goods: goods.clone(),
            card: card.to_owned(),
            payments,
            stamping: Stamping {
                services: Arc::new(ServiceClient::new(&ClientOptions {
                    answer_bytes_max: stamp::ANSWER_BYTES_MAX,
                    ..self.client_options()?
                })?),
                tsa: self.config.stamp.clone().map(|stamp| stamp.tsa),
            },
        };
        let node = Node::new(parts, settings);
        self.tasks.spawn(node.clone().run(self.stopped.clone()));
        self.tasks.spawn(keys.clone().watch(node.clone(), gone, self.stopped.clone()));
        if let (Some(relay), true) = (&self.config.relay, listen) {
            let url = semper_channel::mailbox_url(relay, &Signer::key_set(&*side).id());
            let (open, handler) = (side.clone(), node.clone());
            let mailbox = RelayInbox::new(url, side.clone(), open, handler, random, clock(), &options)?;
            self.tasks.spawn(mailbox.run(self.stopped.clone()));
        }
        let (desk, doors) = listen.then(|| self.desk(&node)).transpose()?.unzip();
        let own = self.own.clone().context("a party keeps its archive in its own directory")?;
        let copying = backup_routes(Copied { node: node.clone(), archive: own, home: self.home.clone() });
        let control = party_routes(Controlled { node: node.clone(), vault: keys.clone(), doors }).merge(copying);
        let shop = node.shop_routes().merge(goods.routes());
        let public = self.inbox(node.clone(), side.clone(), side).merge(shop);
        Ok(Made { public, control, party: Some(Party { node, keys, _vault: vault }), desk })
    }

    /// The desk of a party, with a port of its own, and the doors into it.
    fn desk(&self, node: &Arc<Node>) -> Result<((TcpListener, Router), Arc<Doors>)> {
        // The same address at every start, if nobody else has the port: a browser hands links to it.
        let door = self.home.desk_door();
        let before = door.and_then(|door| TcpListener::bind(("127.0.0.1", door.port)).ok());
        let listener = before.map_or_else(|| TcpListener::bind("127.0.0.1:0"), Ok)?;
        let port = listener.local_addr()?.port();
        let name = match door {
            Some(door) => door.name,
            None => random()?,
        };
        self.home.set_desk_door(DeskDoor { name, port })?;
        let doors = Arc::new(Doors::named(desk::HOUSE, name, port, Box::new(SystemRandom)));
        let desk = Desk::new(node.clone(), doors.clone(), self.home.clone(), self.config.base_url());
        Ok(((listener, desk.routes()), doors))
    }

    fn payments(&self, systems: Systems, keys: Arc<dyn KeyHolder>, card: &str) -> Result<Arc<Payments>> {
        Ok(Payments::new(PaymentParts {
            systems,
            issuers: Arc::new(self.issuers()?),
            archive: self.archive.clone(),
            keys,
            verify: Arc::new(Verifier),
            random: Arc::new(SystemRandom),
            certificates: certificates_on(card)?,
        }))
    }

    fn inbox(&self, handler: Arc<dyn Inbox>, open: Arc<dyn Open>, signer: Arc<dyn Signer>) -> Router {
        let identity = InboxIdentity { url: self.config.inbox_url(), open, signer, clock: clock() };
        Router::new().nest("/inbox", inbox(handler, identity, Limits::default()))
    }

    /// The way to mints and banks; their answers may be larger than a receipt.
    fn issuers(&self) -> Result<ServiceClient> {
        Ok(ServiceClient::new(&ClientOptions { answer_bytes_max: BODY_MAX, ..self.client_options()? })?)
    }

    fn client_options(&self) -> Result<ClientOptions> {
        client_options(&self.config)
    }
}

/// The way to services that answer everybody, for a command.
///
/// # Errors
/// The data directory is not usable, or the configured trust anchors are not.
pub fn services(home: &Home) -> Result<ServiceClient> {
    let options = client_options(&home.config()?)?;
    Ok(ServiceClient::new(&ClientOptions { answer_bytes_max: BODY_MAX, ..options })?)
}

/// The way to time-stamp authorities, for a command; it needs no data directory.
///
/// # Errors
/// The configuration is damaged, or the trust anchors are not usable.
pub fn stamp_services(home: &Home) -> Result<ServiceClient> {
    let options = if home.dir().exists() { client_options(&home.config()?)? } else { reach(None, None)? };
    Ok(ServiceClient::new(&ClientOptions { answer_bytes_max: stamp::ANSWER_BYTES_MAX, ..options })?)
}

fn client_options(config: &Config) -> Result<ClientOptions> {
    reach(config.anchors.clone(), config.proxy.clone())
}

/// How to reach others with these trust anchors, or those of the system, and this proxy.
fn reach(file: Option<PathBuf>, proxy: Option<String>) -> Result<ClientOptions> {
    let file = file.or_else(|| Some(SYSTEM_ANCHORS.into()).filter(|path: &PathBuf| path.exists()));
    let mut anchors = Vec::new();
    if let Some(file) = file {
        let unusable = || format!("{} holds no usable certificates", file.display());
        for anchor in CertificateDer::pem_file_iter(&file).with_context(unusable)? {
            anchors.push(anchor.with_context(unusable)?);
        }
    }
    Ok(ClientOptions { anchors, proxy, ..ClientOptions::default() })
}

/// The certificates on the card of the data directory.
fn certificates_on(card: &str) -> Result<Vec<Vec<u8>>> {
    let card =
        ContactCard::verify_text(card, &Verifier).context("the contact card in the data directory is damaged")?;
    Ok(card.statement().certificates.clone())
}

/// Ready when the process is to stop.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// How long another process of the same user is waited for that has the archive or the vault.
fn patience(listen: bool) -> Duration {
    if listen { COMMANDS_END } else { STOP_MAX }
}

fn clock() -> Clock {
    Arc::new(now)
}

async fn sweep(relay: Arc<Relay>, mut stopped: watch::Receiver<bool>) {
    loop {
        if let Err(error) = relay.sweep().await {
            tracing::error!(%error, "old mail could not be removed");
        }
        tokio::select! {
            () = sleep(SWEEP) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// A random token of the control interface.
fn token() -> Result<String> {
    Ok(HEXLOWER.encode(&random::<32>()?))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom.fill(&mut bytes)?;
    Ok(bytes)
}

/// The keys of a data directory.
///
/// # Errors
/// The passphrase is wrong, the file is damaged, or a token that has the keys is not there.
pub fn unlock(home: &Home, passphrase: &[u8]) -> Result<Secrets> {
    Ok(home.keyring()?.open(passphrase)?)
}

/// The connection to the node that runs on a data directory, if one does.
///
/// # Errors
/// The HTTP client cannot be made.
pub async fn running_client(home: &Home) -> Result<Option<Client>> {
    let Some(endpoint) = home.endpoint() else {
        return Ok(None);
    };
    let client = Client::new(endpoint, home.clone())?;
    Ok(if client.is_alive().await { Some(client) } else { None })
}

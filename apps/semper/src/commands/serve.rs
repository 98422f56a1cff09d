//! Running: a party's node, a third party.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use semper_core::amount::{Amount, Currency};
use semper_crypto::SystemRandom;
use semper_support::crypto::Randomness as _;
use semper_vault::confine;
use tokio::signal::unix::{SignalKind, signal};

use super::{Common, ask, backup, desk};
use crate::control::client::Client;
use crate::home::{Config, Home, Role};
use crate::party::{self, Running};
use crate::policy::Policy;
use crate::roles::mint::{AuditView, RotateOrder};
use crate::roles::{bank, ca};
use crate::secrets;
use crate::vault::{self, Held, Window};

/// What the operator of a mint, bank, issuer or time-stamp authority can say in `semper.toml` about those who ask too often.
const RATES: &str = "\
How often clients may ask a mint, bank, issuer, guarantor or time-stamp authority stands in [mint.rates], [bank.rates], [issuer.rates], [guarantor.rates] or
[tsa.rates] of semper.toml, in tokens: reading costs 1, what moves money, asks a bank, changes a credential or a cover, or dates something 2, a new quote 20. A client is an
IPv4 address, or the /64 of an IPv6 address; to a bank a mint is one client, and behind a reverse proxy all are one. What is not said:

                       mint    bank  issuer, guarantor     tsa
  burst                 400    5000                200     400    what one client can spend at once
  per_second             20     500                 10      20    what it gets back
  burst_of_all         4000   10000               2000    4000    the same for all clients together
  per_second_of_all     400    1000     200     400
  clients_max         10000   10000              10000   10000    how many clients are told apart

Who asks too often gets status 429 with Retry-After, and is counted in /metrics under \"too-many\".";

/// Run a party's node until it is stopped.
#[derive(Debug, Args)]
pub(super) struct Up {
    /// Sign without asking what the policy allows; everything else still waits for you
    #[arg(long, requires = "policy")]
    yes: bool,
    /// The policy file
    #[arg(long, value_name = "FILE", requires = "yes")]
    policy: Option<PathBuf>,
    /// Do not open the desk in the browser; `semper desk` does later
    #[arg(long)]
    no_browser: bool,
}

/// Run a third party until it is stopped.
#[derive(Debug, Args)]
#[command(after_help = RATES)]
pub(super) struct Serve {
    /// The role, which must be the one that the directory was made for; or several with commas between them, each with a directory of its
    /// name inside the data directory
    #[arg(long, value_enum, value_delimiter = ',', required = true)]
    role: Vec<Role>,
}

/// Certify that a name belongs to your keys.
#[derive(Debug, Args)]
pub(super) struct Certify {
    /// The certification authority's address
    #[arg(long, value_name = "URL")]
    ca: String,
    /// The code that the authority gave you
    #[arg(long)]
    code: String,
}

/// What a certification authority does.
#[derive(Debug, Subcommand)]
pub(super) enum Ca {
    /// Let somebody request a certificate in this name; prints a code for them
    Invite {
        /// The name that will stand in the certificate, as you have checked it
        name: String,
        /// The certificate is to be for signing time-stamps, and for nothing else: for a time-stamp authority
        #[arg(long)]
        time_stamps: bool,
    },
    /// Revoke a certificate
    Revoke {
        /// Its serial number in hexadecimal digits
        serial: String,
    },
    /// What was issued
    List,
    /// Get an authority's certificate and revocation list, for `--ca` and `--crl`; anybody can
    Fetch {
        /// The authority's address
        url: String,
        /// Where to write ca.crt and ca.crl
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
}

/// A node that is about to run: its vault is unlocked, and it has forgotten the passphrase.
pub(super) struct Begun {
    home: Home,
    config: Config,
    vault: Held,
    _window: Window,
}

impl Up {
    /// Unlocks the vault, in a process of its own.
    pub(super) fn begin(self, common: &Common) -> Result<Begun> {
        let home = common.home()?;
        let config = home.config()?;
        if config.role != Role::Party {
            bail!("this directory was made for the role {0}; use `semper serve --role {0}`", config.role.name());
        }
        let policy = self.policy.as_deref().map(Policy::read).transpose()?;
        let passphrase = ask::passphrase(common.passphrase_file.as_deref(), false)?;
        vault::bring_over(&home, &passphrase)?;
        let vault = Held::in_process(&home, &passphrase, policy.as_ref(), party::COMMANDS_END)?;
        let window = Window::begin(&home)?;
        if !self.no_browser {
            desk::open_when_up(&home)?;
        }
        // From here on this process is the node.
        let confinement = confine::node(&home.node_paths(&config)?)?;
        if !confinement.is_whole() {
            tracing::warn!(%confinement, "the node can do more than it needs");
        }
        Ok(Begun { home, config, vault, _window: window })
    }
}

impl Begun {
    pub(super) async fn run(self) -> Result<()> {
        let Self { home, config, vault, _window } = self;
        let running = Running::start_beside(&home, vault).await?;
        println!("{} runs; its inbox is {}. Stop it with Ctrl-C or `semper stop`.", config.name, config.inbox_url());
        let standing = running.client()?.backup().await?;
        for line in backup::unsettled(&standing).into_iter().chain(backup::notice(&standing)) {
            println!("{line}");
        }
        println!("What waits for your answer is in your approval window: `semper window` opens it.");
        until_stopped(vec![running]).await
    }
}

impl Serve {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let homes = common.homes(&self.role)?;
        let passphrase = ask::passphrase(common.passphrase_file.as_deref(), false)?;
        let mut running = Vec::new();
        for (role, home) in self.role.iter().zip(&homes) {
            let config = home.config()?;
            if config.role != *role {
                bail!("{} was made for the role {}, not {}", home.dir().display(), config.role.name(), role.name());
            }
            let card = home.card()?;
            running.push(Running::start(home, &passphrase, None, true).await?);
            let (name, role, listen) = (config.name, role.name(), config.listen);
            println!("{name} runs as {role} on {listen}. Stop it with Ctrl-C or `semper stop`.");
            if home.card()? != card {
                println!("Its card says what semper.toml says now: give {} out again.", home.card_path().display());
            }
        }
        until_stopped(running).await
    }
}

/// Runs until a signal comes, somebody asks one of them to stop, or one has lost its vault; then all end.
async fn until_stopped(running: Vec<Running>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut asked: FuturesUnordered<_> = running.iter().map(Running::asked_to_stop).collect();
    let ended = tokio::select! {
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = terminate.recv() => Ok(()),
        ended = asked.next() => ended.unwrap_or(Ok(())),
    };
    drop(asked);
    for running in running {
        running.stop().await;
    }
    ended
}

/// Stops the node that runs on a data directory.
pub(super) async fn stop(common: &Common) -> Result<()> {
    let home = common.home()?;
    match party::running_client(&home).await? {
        Some(client) => {
            client.stop().await?;
            println!("Stopped.");
        }
        None => println!("No node runs on {}.", home.dir().display()),
    }
    Ok(())
}

impl Certify {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let home = common.home()?;
        let passphrase = ask::passphrase(common.passphrase_file.as_deref(), false)?;
        let secrets = party::unlock(&home, &passphrase)?;
        let config = home.config()?;
        let chain = ca::enrol(&self.ca, &self.code, &config.name, &secrets).await?;
        home.set_card(&secrets::card(&secrets, &config, &chain)?)?;
        println!("Certified. Your card {} now carries the certificate; give it out again.", home.card_path().display());
        Ok(())
    }
}

impl Ca {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        if let Ca::Fetch { url, out } = self {
            return fetch(&url, &out).await;
        }
        let client = operator(common, Role::Ca).await?;
        match self {
            Ca::Invite { name, time_stamps } => {
                let invited = ca::InviteOrder { name, time_stamps };
                println!("{}", client.post::<String>("/ca/invitations", &invited).await?);
            }
            Ca::Revoke { serial } => {
                client.post::<()>("/ca/revocations", &serial).await?;
                println!("Revoked. The next revocation list names it.");
            }
            Ca::Fetch { .. } => {}
            Ca::List => {
                for issued in client.get::<Vec<ca::IssuedView>>("/ca/certificates").await? {
                    let state = if issued.revoked { "revoked" } else { "valid" };
                    println!("{}  {state:<7}  {}  key {}", issued.serial, issued.name, issued.key_set);
                }
            }
        }
        Ok(())
    }
}

async fn fetch(url: &str, out: &Path) -> Result<()> {
    let (certificate, crl) = ca::fetch(url).await?;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    for (name, bytes) in [("ca.crt", &certificate), ("ca.crl", &crl)] {
        let path = out.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate);
    println!("SHA-256 of the certificate, to compare with the authority:");
    println!("  {}", data_encoding::HEXUPPER.encode(digest.as_ref()));
    Ok(())
}

/// The running third party of this data directory, for its operator.
pub(super) async fn operator(common: &Common, role: Role) -> Result<Client> {
    let home = common.home()?;
    if home.config()?.role != role {
        bail!("{} does not belong to the role {}", home.dir().display(), role.name());
    }
    let client = party::running_client(&home).await?;
    client.with_context(|| format!("it does not run; start it with `semper serve --role {}`", role.name()))
}

/// What the operator of a bank does.
#[derive(Debug, Subcommand)]
pub(super) enum Bank {
    /// The accounts
    Accounts,
    /// Book money that was paid in by hand
    Credit(ByHand),
    /// Book money that was paid out by hand
    Debit(ByHand),
    /// Let no more money leave an account
    Freeze {
        /// The account
        account: String,
    },
    /// Let money leave an account again
    Thaw {
        /// The account
        account: String,
    },
    /// Whether the books balance, from every line of every account; the exit code is 1 if they do not
    Audit {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Money by hand.
#[derive(Debug, Args)]
pub(super) struct ByHand {
    /// The account
    account: String,
    /// How much, with the currency: "100.00 EUR"
    amount: String,
    /// What the account's owner recognises it by
    #[arg(long, default_value = "")]
    note: String,
}

impl Bank {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let client = operator(common, Role::Bank).await?;
        match self {
            Bank::Accounts => {
                for account in client.get::<Vec<bank::AccountLine>>("/bank/accounts").await? {
                    let frozen = if account.frozen { "  frozen" } else { "" };
                    let balance = shown(account.balance.into(), &account.currency);
                    println!("{}  {balance:>16}  {}{frozen}", account.number, account.owner);
                }
            }
            Bank::Credit(hand) => by_hand(&client, hand, true).await?,
            Bank::Debit(hand) => by_hand(&client, hand, false).await?,
            Bank::Freeze { account } => {
                client.post::<()>("/bank/freeze", &bank::FreezeOrder { account, frozen: true }).await?;
            }
            Bank::Thaw { account } => {
                client.post::<()>("/bank/freeze", &bank::FreezeOrder { account, frozen: false }).await?;
            }
            Bank::Audit { json } => {
                let audit: bank::AuditView = client.get("/bank/audit").await?;
                if json {
                    println!("{}", serde_json::to_string_pretty(&audit)?);
                } else {
                    println!("{} accounts, {} lines", audit.accounts, audit.lines);
                    for (currency, minor) in &audit.owed {
                        println!("owed to customers: {}", shown(*minor, currency));
                    }
                }
                if !audit.faults.is_empty() {
                    bail!("the books do not balance:\n{}", audit.faults.join("\n"));
                }
            }
        }
        Ok(())
    }
}

/// Minor units as people read them; a debt has a minus.
fn shown(minor: i128, currency: &str) -> String {
    let amount = || Amount::new(u64::try_from(minor.unsigned_abs()).ok()?, Currency::parse(currency)?).ok();
    let sign = if minor < 0 { "-" } else { "" };
    amount().map_or_else(|| format!("{minor} minor units {currency}"), |amount| format!("{sign}{amount}"))
}

async fn by_hand(client: &Client, hand: ByHand, comes_in: bool) -> Result<()> {
    let mut id = [0; 16];
    SystemRandom.fill(&mut id)?;
    let ByHand { account, amount, note } = hand;
    let id = data_encoding::HEXLOWER.encode(&id);
    client.post::<()>("/bank/by-hand", &bank::HandOrder { id, comes_in, account, amount, note }).await?;
    println!("Booked.");
    Ok(())
}

/// What the operator of a mint does.
#[derive(Debug, Subcommand)]
pub(super) enum Mint {
    /// What was issued, taken back, and is outstanding, added up from every coin
    Audit {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign with fresh keys from now on; coins of the former keys stay good
    Rotate {
        /// The currency
        currency: String,
        /// What spending a coin of the new keys costs, in thousandths of a minor unit
        #[arg(long, default_value_t = 0)]
        fee_ppk: u64,
    },
}

impl Mint {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let client = operator(common, Role::Mint).await?;
        match self {
            Mint::Audit { json } => {
                let audits: Vec<AuditView> = client.get("/mint/audit").await?;
                if json {
                    println!("{}", serde_json::to_string_pretty(&audits)?);
                    return Ok(());
                }
                for AuditView { keyset, currency, issued, redeemed, pending, outstanding } in audits {
                    let [issued, redeemed, pending] =
                        [issued, redeemed, pending].map(|minor| shown(minor.into(), &currency));
                    let outstanding = shown(outstanding, &currency);
                    println!(
                        "{keyset}  issued {issued}, taken back {redeemed}, in payments {pending}, outstanding {outstanding}"
                    );
                }
            }
            Mint::Rotate { currency, fee_ppk } => {
                let keyset: String = client.post("/mint/rotations", &RotateOrder { currency, fee_ppk }).await?;
                println!("{keyset} signs from now on.");
            }
        }
        Ok(())
    }
}

//! The bank's service and its operator's side. The bank itself is [`semper_payment::account::bank`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use semper_core::amount::{Amount, Currency};
use semper_core::ids::KeySetId;
use semper_core::time::Time;
use semper_crypto::{OpenKey, SecretKeys, Verifier};
use semper_payment::account::bank::operator::{Access, AccountView, Direction};
use semper_payment::account::bank::{Bank, Certify, LocalKeys, Opening, Parts, Rules, http};
use semper_payment::account::number::AccountNumber;
use semper_support::archive::Archive;
use semper_trust::path::{StaleCrl, Trust};
use serde::{Deserialize, Serialize};

use crate::home::{BankConfig, Config};
use crate::node::now;
use crate::roles::admit::{Usual, throttle};

/// How often clients may ask. A mint is one client, whatever number of wallets it serves: if all of those together ask as often as the mint lets
/// them, and each time the mint has to ask its bank, the bank still answers.
const USUAL: Usual = Usual { client: (5000, 500), all: (10_000, 1000) };

/// A bank that is ready to run.
pub struct Opened {
    /// The bank.
    pub bank: Arc<Bank>,
    /// The routes for everybody.
    pub public: Router,
    /// The routes for the operator; to be mounted behind the control token.
    pub control: Router,
}

/// An account, for the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountLine {
    /// The number.
    pub number: String,
    /// The certified name of the owner, or its key set.
    pub owner: String,
    /// The balance in minor units, what is held included.
    pub balance: i64,
    /// What is held, in minor units.
    pub held: u64,
    /// The currency.
    pub currency: String,
    /// Whether money may leave it.
    pub frozen: bool,
}

/// What the books amount to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditView {
    /// Accounts.
    pub accounts: usize,
    /// Lines of all accounts.
    pub lines: u64,
    /// What is owed to customers: currency and minor units.
    pub owed: Vec<(String, i128)>,
    /// What does not add up.
    pub faults: Vec<String>,
}

/// Money that comes in or goes out by the operator's hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HandOrder {
    /// Names the movement: 32 hexadecimal digits. The same again books nothing more.
    pub id: String,
    /// Whether it comes in.
    pub comes_in: bool,
    /// The account.
    pub account: String,
    /// How much.
    pub amount: String,
    /// What the account's owner recognises it by.
    pub note: String,
}

/// Freezes or thaws an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FreezeOrder {
    /// The account.
    pub account: String,
    /// Whether money may no longer leave it.
    pub frozen: bool,
}

/// Opens the bank of a data directory.
///
/// # Errors
/// The configuration does not say who may open an account, or the keys do not sign.
pub async fn open(config: &Config, archive: Arc<dyn Archive>, keys: SecretKeys, open: OpenKey) -> Result<Opened> {
    let settings = config.bank.clone().unwrap_or_default();
    let mut currencies = BTreeSet::new();
    for code in &settings.currencies {
        currencies.insert(Currency::parse(code).with_context(|| format!("{code:?} in [bank] is not a currency"))?);
    }
    let parts = Parts {
        archive,
        keys: Arc::new(LocalKeys(Arc::new(keys))),
        open: Arc::new(open),
        verify: Arc::new(Verifier),
        clock: Arc::new(now),
        opening: opening(&settings)?,
        admit: None,
    };
    let rules = Rules::new(config.base_url(), config.name.clone(), currencies);
    let bank = Bank::new(parts, rules).await?;
    let control = Router::new()
        .route("/bank/accounts", get(accounts))
        .route("/bank/audit", get(audit))
        .route("/bank/by-hand", post(by_hand))
        .route("/bank/freeze", post(freeze))
        .with_state(bank.clone());
    let public = http::routes(bank.clone(), &throttle(&settings.rates, &USUAL)?);
    Ok(Opened { public, control, bank })
}

fn opening(settings: &BankConfig) -> Result<Opening> {
    let certify = match (&settings.authority, &settings.crl) {
        (Some(authority), Some(crl)) => {
            let certify = Authority { authority: authority.clone(), crl: crl.clone() };
            certify.trust().map_err(anyhow::Error::msg)?;
            Some(Arc::new(certify) as Arc<dyn Certify>)
        }
        _ => None,
    };
    match (certify, settings.anyone) {
        (certify, true) => Ok(Opening::Anyone(certify)),
        (Some(certify), false) => Ok(Opening::Certified(certify)),
        (None, false) => bail!(
            "semper.toml does not say who may open an account: give authority and crl (files of `semper ca fetch`), or anyone = true, in [bank]"
        ),
    }
}

/// A certification authority, by its files; they are read each time, so that a new revocation list counts at once.
struct Authority {
    authority: PathBuf,
    crl: PathBuf,
}

impl Authority {
    fn trust(&self) -> Result<Trust, String> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let mut trust = Trust::new(StaleCrl::Refuse);
        trust.add_anchor(&read(&self.authority)?).map_err(|error| error.to_string())?;
        trust.add_crl(&read(&self.crl)?).map_err(|error| error.to_string())?;
        Ok(trust)
    }
}

impl Certify for Authority {
    fn certified(&self, chain: &[Vec<u8>], key_set: KeySetId, now: Time) -> Result<String, String> {
        let trust = self.trust().map_err(|error| {
            tracing::error!(%error, "the authority's files are not usable");
            "the bank cannot check certificates now".to_owned()
        })?;
        // Each may be the holder's own; the issuers of this authority are anchors.
        let named = chain.iter().map(|own| trust.verify(std::slice::from_ref(own), key_set, now));
        let mut refused = "no certificate was shown".to_owned();
        for named in named {
            match named {
                Ok(certified) => return Ok(certified.name().to_owned()),
                Err(error) => refused = error.to_string(),
            }
        }
        Err(refused)
    }
}

/// The longest that the bank sleeps without looking for holds whose time is over.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Closes holds when their time is over, until `stop` is ready.
pub async fn run(bank: Arc<Bank>, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    loop {
        if let Err(error) = bank.close_due().await {
            tracing::error!(%error, "holds whose time is over could not be closed");
        }
        let due = bank.next_due().await.ok().flatten();
        let span = due.map_or(LOOK_AGAIN, |due| Duration::from_secs(due.unix().saturating_sub(now().unix()).max(1)));
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(span.min(LOOK_AGAIN)) => {}
        }
    }
}

type Failure = (StatusCode, String);

fn refused(error: impl std::fmt::Display) -> Failure {
    (StatusCode::CONFLICT, error.to_string())
}

/// Accounts that are read at once.
const PAGE: usize = 500;

async fn accounts(State(bank): State<Arc<Bank>>) -> Result<Json<Vec<AccountLine>>, Failure> {
    let mut lines = Vec::new();
    let mut after = None;
    loop {
        let page = bank.accounts(after, PAGE).await.map_err(refused)?;
        let full = page.len() == PAGE;
        after = page.last().map(|account| account.number);
        lines.extend(page.iter().map(line));
        if !full {
            return Ok(Json(lines));
        }
    }
}

fn line(account: &AccountView) -> AccountLine {
    AccountLine {
        number: account.number.to_string(),
        owner: account.name.clone().unwrap_or_else(|| account.owner.to_string()),
        balance: account.balance,
        held: account.held,
        currency: account.currency.to_string(),
        frozen: account.access == Access::Frozen,
    }
}

async fn audit(State(bank): State<Arc<Bank>>) -> Result<Json<AuditView>, Failure> {
    let audit = bank.audit().await.map_err(refused)?;
    let owed = audit.owed.iter().map(|(currency, minor)| (currency.to_string(), *minor)).collect();
    Ok(Json(AuditView { accounts: audit.accounts, lines: audit.lines, owed, faults: audit.faults }))
}

fn number(text: &str) -> Result<AccountNumber, Failure> {
    AccountNumber::parse(text).ok_or_else(|| refused(format!("{text:?} is not an account number")))
}

async fn by_hand(State(bank): State<Arc<Bank>>, Json(order): Json<HandOrder>) -> Result<Json<()>, Failure> {
    let id = data_encoding::HEXLOWER.decode(order.id.as_bytes()).ok().and_then(|id| id.try_into().ok());
    let id = id.ok_or_else(|| refused("a movement's name has 32 hexadecimal digits"))?;
    let direction = if order.comes_in { Direction::In } else { Direction::Out };
    let amount = Amount::parse(&order.amount).map_err(refused)?;
    bank.by_hand(id, direction, number(&order.account)?, amount, &order.note).await.map_err(refused)?;
    Ok(Json(()))
}

async fn freeze(State(bank): State<Arc<Bank>>, Json(order): Json<FreezeOrder>) -> Result<Json<()>, Failure> {
    let access = if order.frozen { Access::Frozen } else { Access::Open };
    bank.set_access(number(&order.account)?, access).await.map_err(refused)?;
    Ok(Json(()))
}

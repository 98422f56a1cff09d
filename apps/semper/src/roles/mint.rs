//! The mint's service and its operator's side. The mint itself is [`semper_payment::ecash::mint`].

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use semper_channel::ServiceClient;
use semper_core::amount::Currency;
use semper_crypto::{Sealer, SecretKeys, Verifier};
use semper_payment::account::funding::{Call, Called, Till, TillParts};
use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::backend::{Backend, BackendError, Closing, Estimate, Invoice, Order, Outcome};
use semper_payment::ecash::mint::{Mint, Settings, TestBackend, routes};
use semper_support::archive::Archive;
use semper_transfer::payment::module::IssuerRequest;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::home::Config;
use crate::node::{Issuers, now};
use crate::roles::admit::{Usual, throttle};

/// How often clients may ask.
const USUAL: Usual = Usual { client: (400, 20), all: (4000, 400) };

/// A mint that is ready to run.
pub struct Opened {
    /// The mint.
    pub mint: Arc<Mint>,
    /// The routes for everybody.
    pub public: Router,
    /// The routes for the operator; to be mounted behind the control token.
    pub control: Router,
}

/// The sums of one keyset, for the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditView {
    /// The keyset.
    pub keyset: String,
    /// Its currency.
    pub currency: String,
    /// Signed, ever, in minor units.
    pub issued: u64,
    /// Taken back, ever.
    pub redeemed: u64,
    /// In payments that are not finished.
    pub pending: u64,
    /// What people hold.
    pub outstanding: i128,
}

/// New keys for a currency.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RotateOrder {
    /// The currency.
    pub currency: String,
    /// What spending a coin costs, in thousandths of a minor unit.
    pub fee_ppk: u64,
}

/// Opens the mint of a data directory.
///
/// # Errors
/// The configuration names no money behind the coins, or the stored mint does not open.
pub async fn open(
    config: &Config,
    archive: Arc<dyn Archive>,
    seed: &[u8; 32],
    keys: SecretKeys,
    certificates: Vec<Vec<u8>>,
    issuers: ServiceClient,
) -> Result<Opened> {
    let mint = config.mint.clone().unwrap_or_default();
    let mut backends: Vec<Arc<dyn Backend>> = Vec::new();
    if let Some(bank) = &mint.bank {
        let currency = Currency::parse(&mint.currency);
        let currency = currency.with_context(|| format!("{:?} in [mint] is not a currency", mint.currency))?;
        let parts = TillParts {
            issuer: bank.trim_end_matches('/').to_owned(),
            currency,
            signer: Arc::new(keys),
            certificates,
            seed: *seed,
            seal: Arc::new(Sealer),
            verify: Arc::new(Verifier),
            clock: Arc::new(now),
            call: call(Arc::new(issuers)),
        };
        backends.push(Arc::new(BankBackend::new(parts)?));
    }
    if mint.test_money {
        backends.push(Arc::new(TestBackend::worthless(Arc::new(now))));
    }
    if backends.is_empty() {
        bail!(
            "semper.toml names no money behind the coins: give a mint an account (bank = \"https://…\") or test_money = true in [mint]"
        );
    }
    let settings = Settings {
        name: config.name.clone(),
        urls: vec![config.base_url()],
        input_fee_ppk: mint.fee_ppk,
        ..Settings::default()
    };
    let admit = throttle(&mint.rates, &USUAL)?;
    let seed = Zeroizing::new(seed.to_vec());
    let mint = Mint::open(settings, archive, Arc::new(now), seed, backends).await.context("the mint does not open")?;
    let control =
        Router::new().route("/mint/audit", get(audit)).route("/mint/rotations", post(rotate)).with_state(mint.clone());
    Ok(Opened { public: routes(mint.clone(), &admit), control, mint })
}

fn call(issuers: Arc<ServiceClient>) -> Call {
    Arc::new(move |request: IssuerRequest| -> Called {
        let issuers = issuers.clone();
        Box::pin(async move { Issuers::ask(&*issuers, &request).await })
    })
}

/// The mint's account at a bank. It is opened when it is first needed, so that a mint starts while its bank is away: coins are
/// changed all the same.
struct BankBackend {
    parts: TillParts,
    units: Vec<Unit>,
    till: OnceCell<Till>,
}

/// Least and most of one payment in or out of the mint, in minor units; the bank may allow less.
const LIMITS: (u64, u64) = (1, 1_000_000_000_000);

impl BankBackend {
    fn new(parts: TillParts) -> Result<Self> {
        let unit = Unit::from_name(parts.currency.code());
        let unit = unit.with_context(|| format!("this mint makes no coins in {}", parts.currency))?;
        Ok(Self { parts, units: vec![unit], till: OnceCell::new() })
    }

    async fn till(&self) -> Result<&Till, BackendError> {
        let opened = self.till.get_or_try_init(|| Till::open(self.parts.clone())).await;
        opened.map_err(|error| BackendError::Unavailable(error.to_string()))
    }
}

#[async_trait]
impl Backend for BankBackend {
    fn method(&self) -> &str {
        semper_payment::account::SYSTEM
    }

    fn units(&self) -> &[Unit] {
        &self.units
    }

    fn limits(&self) -> (u64, u64) {
        LIMITS
    }

    async fn invoice(&self, quote: &str, amount: u64, unit: Unit) -> Result<Invoice, BackendError> {
        self.till().await?.invoice(quote, amount, unit).await
    }

    async fn paid(&self, quote: &str, amount: u64) -> Result<bool, BackendError> {
        self.till().await?.paid(quote, amount).await
    }

    async fn close(&self, quote: &str) -> Result<Closing, BackendError> {
        self.till().await?.close(quote).await
    }

    async fn quote_payment(&self, request: &str, unit: Unit) -> Result<Estimate, BackendError> {
        self.till().await?.quote_payment(request, unit).await
    }

    async fn pay(&self, order: &Order) -> Result<Outcome, BackendError> {
        Backend::pay(self.till().await?, order).await
    }
}

type Failure = (StatusCode, String);

async fn audit(State(mint): State<Arc<Mint>>) -> Result<Json<Vec<AuditView>>, Failure> {
    let audits = mint.audit().await.map_err(|e| (StatusCode::SERVICE_UNAVAILABLE, e.to_string()))?;
    let view = |audit: &semper_payment::ecash::mint::KeysetAudit| AuditView {
        keyset: audit.keyset.to_string(),
        currency: audit.unit.name().to_ascii_uppercase(),
        issued: audit.issued,
        redeemed: audit.redeemed,
        pending: audit.pending,
        outstanding: audit.outstanding(),
    };
    Ok(Json(audits.iter().map(view).collect()))
}

async fn rotate(State(mint): State<Arc<Mint>>, Json(order): Json<RotateOrder>) -> Result<Json<String>, Failure> {
    let unit = Unit::from_name(&order.currency);
    let unit = unit.ok_or_else(|| (StatusCode::UNPROCESSABLE_ENTITY, format!("no such unit: {}", order.currency)))?;
    let rotated = mint.rotate(unit, order.fee_ppk, None).await;
    rotated.map(|id| Json(id.to_string())).map_err(|e| (StatusCode::CONFLICT, e.to_string()))
}

//! The mint's service and its operator's side. The mint itself is [`semper_payment::ecash::mint`].

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use semper_channel::ServiceClient;
use semper_crypto::SecretKeys;
use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::backend::Backend;
use semper_payment::ecash::mint::{Mint, Settings, TestBackend, routes};
use semper_support::archive::Archive;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::home::Config;
use crate::node::now;

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
    /// The keyset and its unit.
    pub keyset: String,
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
    _keys: Arc<SecretKeys>,
    _issuers: ServiceClient,
) -> Result<Opened> {
    let mint = config.mint.clone().unwrap_or_default();
    let mut backends: Vec<Arc<dyn Backend>> = Vec::new();
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
    let seed = Zeroizing::new(seed.to_vec());
    let mint = Mint::open(settings, archive, Arc::new(now), seed, backends).await.context("the mint does not open")?;
    let control =
        Router::new().route("/mint/audit", get(audit)).route("/mint/rotations", post(rotate)).with_state(mint.clone());
    Ok(Opened { public: routes(mint.clone()), control, mint })
}

type Failure = (StatusCode, String);

async fn audit(State(mint): State<Arc<Mint>>) -> Result<Json<Vec<AuditView>>, Failure> {
    let audits = mint.audit().await.map_err(|e| (StatusCode::SERVICE_UNAVAILABLE, e.to_string()))?;
    let view = |audit: &semper_payment::ecash::mint::KeysetAudit| AuditView {
        keyset: format!("{} {}", audit.keyset, audit.unit.name()),
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

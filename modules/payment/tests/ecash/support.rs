//! A mint in a test's own world, and a wallet that keeps nothing.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cashu::{
    BlindSignature, BlindedMessage, Id, KeySet, MeltRequest, MintRequest, Proof, PublicKey, SecretKey, SwapRequest,
};
use semper_core::time::Time;
use semper_payment::ecash::crypto::hash_to_curve;
use semper_payment::ecash::keyset::{Unit, split};
use semper_payment::ecash::mint::backend::Backend;
use semper_payment::ecash::mint::{Clock, KeysetAudit, Mint, MintQuoteRequest, Refusal, Settings, TestBackend};
use semper_store::MemoryArchive;
use semper_support::archive::Archive;
use zeroize::Zeroizing;

/// When every world begins.
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const METHOD: &str = "bolt11";

pub(crate) struct World {
    pub(crate) mint: Arc<Mint>,
    pub(crate) money: Arc<TestBackend>,
    pub(crate) archive: Arc<dyn Archive>,
    time: Arc<AtomicU64>,
    settings: Settings,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(MemoryArchive::new()), 0).await
    }

    /// A world on an archive, with a fee.
    pub(crate) async fn on(archive: Arc<dyn Archive>, input_fee_ppk: u64) -> Self {
        Self::at(START, archive, input_fee_ppk).await
    }

    /// A world that begins now, for wallets with a clock of their own.
    pub(crate) async fn today(input_fee_ppk: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self::at(now, Arc::new(MemoryArchive::new()), input_fee_ppk).await
    }

    async fn at(start: u64, archive: Arc<dyn Archive>, input_fee_ppk: u64) -> Self {
        // A request that waits for a payment gives up at once: time passes only when a test says so.
        let settings = Settings { input_fee_ppk, melt_patience: Duration::ZERO, ..Settings::default() };
        let time = Arc::new(AtomicU64::new(start));
        let money = Arc::new(TestBackend::worthless(clock(&time)));
        let mint = open(&settings, &archive, &time, &money).await;
        Self { mint, money, archive, time, settings }
    }

    /// The mint after a crash and a restart. The payment system goes on.
    pub(crate) async fn restarted(&self) -> Arc<Mint> {
        open(&self.settings, &self.archive, &self.time, &self.money).await
    }

    pub(crate) fn later(&self, seconds: u64) {
        self.time.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_unix(self.time.load(Ordering::SeqCst))
    }

    pub(crate) fn active(&self, unit: Unit) -> KeySet {
        self.mint.keysets().active(unit).unwrap().published(true)
    }

    /// Coins of these amounts, bought.
    pub(crate) async fn coins(&self, unit: Unit, amounts: &[u64]) -> Vec<Proof> {
        self.locked(unit, amounts.iter().map(|amount| (*amount, plain())).collect()).await
    }

    /// Coins with these secrets, bought.
    pub(crate) async fn locked(&self, unit: Unit, secrets: Vec<(u64, String)>) -> Vec<Proof> {
        let total = secrets.iter().map(|(amount, _)| amount).sum();
        let quote = self.mint.mint_quote(METHOD, quote_request(total, unit)).await.unwrap();
        let wanted = Wanted::with_secrets(self.active(unit), secrets);
        let request = MintRequest { quote: quote.quote, outputs: wanted.outputs(), signature: None };
        let answer = self.mint.mint(METHOD, request).await.unwrap();
        wanted.coins(answer.signatures)
    }

    pub(crate) async fn audit(&self) -> Vec<KeysetAudit> {
        self.mint.audit().await.unwrap()
    }

    /// What people hold, all keysets together.
    pub(crate) async fn outstanding(&self) -> i128 {
        self.audit().await.iter().map(KeysetAudit::outstanding).sum()
    }
}

async fn open(
    settings: &Settings,
    archive: &Arc<dyn Archive>,
    time: &Arc<AtomicU64>,
    money: &Arc<TestBackend>,
) -> Arc<Mint> {
    let backends: Vec<Arc<dyn Backend>> = vec![money.clone()];
    let seed = Zeroizing::new(vec![7; 32]);
    Mint::open(settings.clone(), archive.clone(), clock(time), seed, backends).await.unwrap()
}

fn clock(time: &Arc<AtomicU64>) -> Clock {
    let time = time.clone();
    Arc::new(move || Time::from_unix(time.load(Ordering::SeqCst)))
}

pub(crate) fn quote_request(amount: u64, unit: Unit) -> MintQuoteRequest {
    MintQuoteRequest { amount, unit: unit.name().to_owned(), pubkey: None }
}

/// Coins that a wallet wants to have signed.
pub(crate) struct Wanted {
    keyset: KeySet,
    blanks: Vec<(u64, String, SecretKey, PublicKey)>,
}

impl Wanted {
    pub(crate) fn new(keyset: KeySet, amounts: &[u64]) -> Self {
        Self::with_secrets(keyset, amounts.iter().map(|amount| (*amount, plain())).collect())
    }

    pub(crate) fn with_secrets(keyset: KeySet, secrets: Vec<(u64, String)>) -> Self {
        let blind = |(amount, secret): (u64, String)| {
            let (blinded, r) = cashu::dhke::blind_message(secret.as_bytes(), None).unwrap();
            (amount, secret, r, blinded)
        };
        Self { keyset, blanks: secrets.into_iter().map(blind).collect() }
    }

    pub(crate) fn outputs(&self) -> Vec<BlindedMessage> {
        let output = |(amount, _, _, blinded): &(u64, String, SecretKey, PublicKey)| {
            BlindedMessage::new((*amount).into(), self.keyset.id, *blinded)
        };
        self.blanks.iter().map(output).collect()
    }

    /// The coins of these signatures; every proof of equality is checked.
    pub(crate) fn coins(&self, signatures: Vec<BlindSignature>) -> Vec<Proof> {
        let pairs = signatures.iter().zip(&self.blanks);
        for (signature, (_, _, _, blinded)) in pairs {
            let key = self.keyset.keys.amount_key(signature.amount).unwrap();
            signature.verify_dleq(key, *blinded).unwrap();
        }
        let used = self.blanks.iter().take(signatures.len());
        let rs = used.clone().map(|blank| blank.2.clone()).collect();
        let secrets = used.map(|blank| cashu::secret::Secret::new(blank.1.clone())).collect();
        cashu::dhke::construct_proofs(signatures, rs, secrets, &self.keyset.keys).unwrap()
    }
}

/// A swap of all these coins for as few as possible, less the fee.
pub(crate) fn swap_all(keyset: KeySet, coins: &[Proof], fee: u64) -> (SwapRequest, Wanted) {
    let amounts: Vec<u64> = split(total(coins) - fee).collect();
    let wanted = Wanted::new(keyset, &amounts);
    (SwapRequest::new(coins.to_vec(), wanted.outputs()), wanted)
}

pub(crate) fn total(coins: &[Proof]) -> u64 {
    coins.iter().map(|coin| coin.amount.to_u64()).sum()
}

/// Another random secret each time.
pub(crate) fn plain() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{:064x}", COUNT.fetch_add(1, Ordering::Relaxed) + 0x00ab_cdef_0000)
}

pub(crate) fn secret_key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).unwrap()
}

pub(crate) fn melt_request(quote: &str, coins: &[Proof], blanks: Option<&Wanted>) -> MeltRequest<String> {
    MeltRequest::new(quote.to_owned(), coins.to_vec(), blanks.map(Wanted::outputs))
}

/// How a coin stands.
pub(crate) async fn state_of(mint: &Mint, coin: &Proof) -> String {
    let ys = vec![hash_to_curve(coin.secret.as_bytes())];
    let states = mint.check_state(cashu::CheckStateRequest { ys }).await.unwrap();
    states.states[0].state.clone()
}

/// The code of a refusal.
pub(crate) fn code<T>(result: Result<T, Refusal>) -> u32 {
    match result {
        Ok(_) => panic!("granted"),
        Err(refusal) => refusal.code(),
    }
}

pub(crate) fn by_keyset(audit: &[KeysetAudit]) -> BTreeMap<Id, &KeysetAudit> {
    audit.iter().map(|one| (one.keyset, one)).collect()
}

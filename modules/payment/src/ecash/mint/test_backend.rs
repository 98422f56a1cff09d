//! A payment system without money, for tests, demonstrations and foreign wallets that are to be tried out.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::SecretKey;
use cashu::SECP256K1;
use cashu::lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder, PaymentSecret};
use data_encoding::HEXLOWER;
use semper_core::domain;
use semper_core::hash::Digest;

use super::Clock;
use super::backend::{Backend, BackendError, Closing, Estimate, Invoice, Order, Outcome};
use crate::ecash::keyset::Unit;

/// How long an invoice can be paid, in seconds.
const LIFETIME: u64 = 3600;
/// How long it is kept after that, in seconds.
const LATE: u64 = 600;
/// Most invoices and orders that it remembers.
const REMEMBERED_MAX: usize = 1_000_000;

/// Test money: invoices that count as paid though nobody paid, payments that count as made though nothing moved.
///
/// Its Lightning invoices are real in form, of a network for tests (`lnbcrt…`), one satoshi for a minor unit of any currency. It warns everybody:
/// a mint that has it says "TEST MONEY" in its name, description and message of the day. It forgets everything when it is dropped.
pub struct TestBackend {
    clock: Clock,
    node: SecretKey,
    kept: Mutex<Kept>,
}

/// How payments end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// At once, at this cost on top.
    Paid {
        /// In minor units.
        fee: u64,
    },
    /// Not yet.
    Pending,
    /// Not, and never.
    Failed,
    /// The system does not answer, and it is not known whether it paid.
    Silent,
}

struct Kept {
    invoices: BTreeMap<String, Bolt11Invoice>,
    by_hash: BTreeMap<[u8; 32], String>,
    paid: BTreeSet<String>,
    orders: BTreeMap<String, Outcome>,
    settled: BTreeSet<[u8; 32]>,
    answer: Answer,
    pays_itself: bool,
}

impl TestBackend {
    /// Test money whose invoices count as paid at once, and whose payments succeed at once and for nothing.
    pub fn worthless(clock: Clock) -> Self {
        let node = SecretKey::from_slice(&[0x42; 32]).expect("a small number is a key");
        let kept = Kept {
            invoices: BTreeMap::new(),
            by_hash: BTreeMap::new(),
            paid: BTreeSet::new(),
            orders: BTreeMap::new(),
            settled: BTreeSet::new(),
            answer: Answer::Paid { fee: 0 },
            pays_itself: true,
        };
        Self { clock, node, kept: Mutex::new(kept) }
    }

    /// From now on an invoice counts as paid only after [`TestBackend::settle`], or when an order paid it.
    pub fn wait_for_payers(&self) {
        self.kept().pays_itself = false;
    }

    /// Counts the invoice of a quote as paid; whether there is one, that is, it was not closed.
    pub fn settle(&self, quote: &str) -> bool {
        let mut kept = self.kept();
        let is_open = kept.invoices.contains_key(quote);
        if is_open {
            kept.paid.insert(quote.to_owned());
        }
        is_open
    }

    /// How orders end from now on, those that are pending too.
    pub fn answer(&self, answer: Answer) {
        self.kept().answer = answer;
    }

    /// What was paid for orders altogether, fees included, in minor units.
    pub fn spent(&self) -> u64 {
        let spent = |outcome: &Outcome| if let Outcome::Paid { spent, .. } = outcome { *spent } else { 0 };
        self.kept().orders.values().map(spent).sum()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The preimage of a quote's invoice.
    fn preimage(&self, quote: &str) -> [u8; 32] {
        *Digest::of_parts(domain::OPERATION, &[self.node.as_ref(), quote.as_bytes()]).as_bytes()
    }

    fn make(&self, quote: &str, amount: u64) -> Option<Bolt11Invoice> {
        let hash = sha256::Hash::hash(&self.preimage(quote));
        InvoiceBuilder::new(Currency::Regtest)
            .description("test money: worthless".to_owned())
            .payment_hash(hash)
            .payment_secret(PaymentSecret(*hash.as_byte_array()))
            .duration_since_epoch(Duration::from_secs((self.clock)().unix()))
            .expiry_time(Duration::from_secs(LIFETIME))
            .min_final_cltv_expiry_delta(144)
            .amount_milli_satoshis(amount.checked_mul(1000)?)
            .build_signed(|message| SECP256K1.sign_ecdsa_recoverable(message, &self.node))
            .ok()
    }
}

#[async_trait]
impl Backend for TestBackend {
    fn method(&self) -> &str {
        "bolt11"
    }

    fn units(&self) -> &[Unit] {
        &Unit::ALL
    }

    fn limits(&self) -> (u64, u64) {
        (1, 1_000_000_000)
    }

    fn warning(&self) -> Option<&'static str> {
        Some("TEST MONEY, worthless")
    }

    async fn invoice(&self, quote: &str, amount: u64, _unit: Unit) -> Result<Invoice, BackendError> {
        let known = self.kept().invoices.get(quote).cloned();
        let invoice = match known {
            Some(invoice) => invoice,
            None => self.make(quote, amount).ok_or_else(|| BackendError::Refused("no such invoice".to_owned()))?,
        };
        let mut kept = self.kept();
        if kept.invoices.len() >= REMEMBERED_MAX {
            return Err(BackendError::Unavailable("too many invoices".to_owned()));
        }
        kept.by_hash.insert(hash(&invoice), quote.to_owned());
        kept.invoices.insert(quote.to_owned(), invoice.clone());
        Ok(Invoice { request: invoice.to_string(), lifetime: LIFETIME, late: LATE })
    }

    async fn paid(&self, quote: &str, _amount: u64) -> Result<bool, BackendError> {
        let kept = self.kept();
        Ok(kept.pays_itself || kept.paid.contains(quote))
    }

    /// Money that counts as paid though nobody paid it is nobody's loss.
    async fn close(&self, quote: &str) -> Result<Closing, BackendError> {
        let mut kept = self.kept();
        if kept.paid.contains(quote) {
            return Ok(Closing::Paid);
        }
        if let Some(invoice) = kept.invoices.remove(quote) {
            kept.by_hash.remove(&hash(&invoice));
        }
        Ok(Closing::Closed)
    }

    async fn quote_payment(&self, request: &str, _unit: Unit) -> Result<Estimate, BackendError> {
        let invoice = parse(request)?;
        let amount = invoice.amount_milli_satoshis().ok_or(BackendError::Amountless)?.div_ceil(1000);
        if self.kept().settled.contains(&hash(&invoice)) {
            return Err(BackendError::AlreadyPaid);
        }
        Ok(Estimate { amount, fee_reserve: amount.div_ceil(100) })
    }

    async fn pay(&self, order: &Order) -> Result<Outcome, BackendError> {
        let hash = hash(&parse(&order.request)?);
        let mut kept = self.kept();
        if let Some(ended @ (Outcome::Paid { .. } | Outcome::Failed { .. })) = kept.orders.get(&order.id) {
            return Ok(ended.clone());
        }
        if kept.orders.len() >= REMEMBERED_MAX {
            return Err(BackendError::Unavailable("too many orders".to_owned()));
        }
        let outcome = match kept.answer {
            _ if kept.settled.contains(&hash) => Outcome::Failed { reason: "paid already".to_owned() },
            Answer::Failed => Outcome::Failed { reason: "no route".to_owned() },
            Answer::Pending => Outcome::Pending,
            Answer::Silent => return Err(BackendError::Unavailable("silent".to_owned())),
            Answer::Paid { fee } => {
                let quote = kept.by_hash.get(&hash).cloned();
                kept.settled.insert(hash);
                kept.paid.extend(quote.clone());
                let proof = quote.map(|quote| HEXLOWER.encode(&self.preimage(&quote)));
                Outcome::Paid { spent: order.amount + fee.min(order.fee_max), proof }
            }
        };
        kept.orders.insert(order.id.clone(), outcome.clone());
        Ok(outcome)
    }
}

fn parse(request: &str) -> Result<Bolt11Invoice, BackendError> {
    Bolt11Invoice::from_str(request).map_err(|_| BackendError::Refused("this is no Lightning invoice".to_owned()))
}

fn hash(invoice: &Bolt11Invoice) -> [u8; 32] {
    *AsRef::<[u8; 32]>::as_ref(invoice.payment_hash())
}

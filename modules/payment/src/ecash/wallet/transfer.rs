//! Money out: the mint pays somebody, for coins (NUT-05), and gives back what was too much (NUT-08).
//!
//! ```text
//! quoting ─▶ melting ──paid──▶ (change restored) ─▶ done
//!               └─anything else─▶ polling ──paid──▶ as above
//!                                    └─unpaid─▶ checking the coins ─▶ failed, with the coins back
//! ```

use cashu::Proof;
use cashu::nuts::{BlindSignature, MeltRequest};
use semper_core::amount::Amount;
use semper_core::machine::Fault;
use semper_core::time::Time;
use semper_transfer::payment::module::{Event, IssuerReply, Next, Step};
use semper_transfer::payment::operation::{Failure, HANDOVER_MAX};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::deposit::is_quote;
use super::exchange::{self, Answered, Exchange, Refusal, back_off, get, post};
use super::money;
use super::records::{AwayState, Changes as _};
use super::seed::Output;
use super::stage::{Run, Stage, Stop, unwanted};

/// How often an unreadable answer about a payment is asked for again.
const TRIES_MAX: u32 = 20;
/// The largest reserve for fees: a tenth of the amount, and this much.
const RESERVE: u64 = 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Transfer {
    Quoting { method: String, request: String, minor: u64 },
    Melting(Melt),
    Polling { melt: Melt, why: Option<Refusal>, tries: u32, rest: Option<u64> },
    Change { melt: Melt, exchange: Exchange, proof: String },
    Checking { melt: Melt, exchange: Exchange },
}

/// A payment by the mint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Melt {
    method: String,
    quote: String,
    minor: u64,
    inputs: Vec<Proof>,
    /// For what is too much.
    blanks: Vec<Output>,
}

#[derive(Deserialize)]
struct Answer {
    quote: Option<String>,
    amount: Option<u64>,
    unit: Option<String>,
    fee_reserve: Option<u64>,
    state: Option<String>,
    paid: Option<bool>,
    payment_preimage: Option<String>,
    change: Option<Vec<BlindSignature>>,
}

/// The method of the mint that understands an address.
fn method(address: &str) -> Option<(&'static str, &str)> {
    let lower = address.to_ascii_lowercase();
    if lower.starts_with("account:") {
        Some(("account", address))
    } else if lower.starts_with("lightning:") {
        Some(("bolt11", &address["lightning:".len()..]))
    } else {
        lower.starts_with("ln").then_some(("bolt11", address))
    }
}

impl Run<'_> {
    pub(super) fn transfer(&self, amount: Amount, address: &str) -> Result<Step, Stop> {
        let minor = self.minor(amount)?;
        let (method, request) = method(address).ok_or_else(|| Stop::misuse("this address is not understood"))?;
        let mut offered = self.held.info.iter().flat_map(|info| &info.transfer);
        if !offered.any(|offered| offered.name == method) {
            return Err(Stop::misuse("the mint does not pay to such addresses"));
        }
        money::choose(&self.spendable(), &self.held.keysets, minor)?;
        let (method, request) = (method.to_owned(), request.to_owned());
        Ok(self.to(Stage::Transfer(Transfer::Quoting { method, request, minor })))
    }

    fn melt(&self, method: String, quote: String, minor: u64, reserve: u64) -> Result<Step, Stop> {
        let needed = minor.checked_add(reserve).ok_or_else(|| Stop::issuer("the mint's fee is too high"))?;
        let inputs = money::choose(&self.spendable(), &self.held.keysets, needed)?;
        let worth = money::worth(&inputs, &self.held.keysets).unwrap_or(0);
        let keyset = self.active()?;
        // As many powers of two as the largest change has.
        let blanks = usize::try_from(u64::BITS - worth.saturating_sub(minor).leading_zeros()).unwrap_or(0);
        let (blanks, counter) = self.own(keyset.id, &vec![0; blanks])?;
        let melt = Melt { method, quote, minor, inputs: inputs.clone(), blanks };
        let step = self.to(Stage::Transfer(Transfer::Melting(melt))).put_counter(&keyset.id, counter);
        Ok(step.take_coins(&inputs).put_away(self.id(), AwayState::Spending, &inputs))
    }
}

impl Transfer {
    pub(super) fn next(&self, run: &Run<'_>) -> Next {
        match self {
            Transfer::Quoting { method, request, minor } => {
                let mut body = json!({ "request": request, "unit": run.unit() });
                if method != "bolt11" {
                    body["amount"] = (*minor).into();
                }
                Next::Ask(post(run.issuer(), &format!("melt/quote/{method}"), &body))
            }
            Transfer::Melting(melt) => {
                let blanks: Vec<_> = melt.blanks.iter().map(|output| output.message.clone()).collect();
                let blanks = (!blanks.is_empty()).then_some(blanks);
                let request = MeltRequest::new(melt.quote.clone(), exchange::bare(&melt.inputs), blanks);
                Next::Ask(post(run.issuer(), &format!("melt/{}", melt.method), &request))
            }
            Transfer::Polling { rest: Some(until), .. } => Next::Wait(Time::from_unix(*until)),
            Transfer::Polling { melt, .. } => {
                Next::Ask(get(run.issuer(), &format!("melt/quote/{}/{}", melt.method, melt.quote)))
            }
            Transfer::Change { exchange, .. } | Transfer::Checking { exchange, .. } => {
                Next::Ask(exchange.request(run.issuer()))
            }
        }
    }

    pub(super) fn on(self, run: &Run<'_>, event: Event) -> Option<Step> {
        match (self, event) {
            (Transfer::Quoting { method, minor, .. }, Event::Reply(reply)) => Some(quoted(run, method, minor, &reply)),
            (Transfer::Melting(melt), Event::Reply(reply)) => Some(match exchange::read::<Answer>(&reply) {
                Ok(answer) => melt.answered(run, answer, 0),
                Err(why) => run.to(Stage::Transfer(Transfer::Polling { melt, why: Some(why), tries: 0, rest: None })),
            }),
            (Transfer::Polling { melt, why, tries, .. }, Event::Due) => {
                Some(run.to(Stage::Transfer(Transfer::Polling { melt, why, tries, rest: None })))
            }
            (Transfer::Polling { melt, why, tries, .. }, Event::Reply(reply)) => {
                Some(match exchange::read::<Answer>(&reply) {
                    Ok(answer) if answer.is("UNPAID") => {
                        let detail = "the payment failed".to_owned();
                        melt.checked(run, why.unwrap_or(Refusal { code: 0, detail }))
                    }
                    Ok(answer) => melt.answered(run, answer, tries.saturating_add(1)),
                    Err(why) if tries >= TRIES_MAX => melt.lost(run, &why),
                    Err(_) => melt.later(run, why, tries),
                })
            }
            (Transfer::Change { melt, exchange, proof }, Event::Reply(reply)) => {
                Some(match exchange.answered(&run.held.keysets, &reply) {
                    Answered::Again(exchange) | Answered::Later(exchange) => {
                        run.to(Stage::Transfer(Transfer::Change { melt, exchange, proof }))
                    }
                    Answered::Coins(change) => melt.paid(run, &change, &proof),
                    Answered::Refused(_) => melt.paid(run, &[], &proof),
                })
            }
            (Transfer::Checking { melt, exchange }, Event::Reply(reply)) => {
                Some(match exchange.answered(&run.held.keysets, &reply) {
                    Answered::Refused(refused) => run.returned(&refused),
                    _ => run.to(Stage::Transfer(Transfer::Melting(melt))),
                })
            }
            _ => None,
        }
    }

    pub(super) fn give_up(self, run: &Run<'_>) -> Step {
        match self {
            Transfer::Quoting { .. } => Step::failed(unwanted()),
            paying => run.to(Stage::Transfer(paying)),
        }
    }
}

impl Answer {
    fn is(&self, state: &str) -> bool {
        match &self.state {
            Some(found) => found == state,
            // Mints before there were states.
            None => self.paid == Some(state == "PAID"),
        }
    }
}

fn quoted(run: &Run<'_>, method: String, minor: u64, reply: &IssuerReply) -> Step {
    let refuse = |reason: String| Step::failed(Failure::unmoved(Fault::ThirdParty, reason));
    let answer = match exchange::read::<Answer>(reply) {
        Ok(answer) => answer,
        Err(why) => return refuse(format!("the mint does not pay: {}", why.words())),
    };
    let Some(quote) = answer.quote.filter(|quote| is_quote(quote)) else {
        return refuse("the mint makes no quote".to_owned());
    };
    if answer.amount != Some(minor) || answer.unit.is_some_and(|unit| !unit.eq_ignore_ascii_case(&run.unit())) {
        let asked = answer.amount.map_or_else(|| "nothing".to_owned(), |asked| run.amount(asked).to_string());
        return refuse(format!("the address asks for {asked}, not for {}", run.amount(minor)));
    }
    let reserve = answer.fee_reserve.unwrap_or(0);
    if reserve > minor / 10 + RESERVE {
        return refuse(format!("the mint wants up to {} for the payment", run.amount(reserve)));
    }
    match run.melt(method, quote, minor, reserve) {
        Ok(step) => step,
        Err(Stop::Failed(failure)) => Step::failed(failure),
        Err(Stop::Unknown) => refuse("the mint has no active keyset".to_owned()),
    }
}

impl Melt {
    fn answered(self, run: &Run<'_>, answer: Answer, tries: u32) -> Step {
        if !answer.is("PAID") {
            return self.later(run, None, tries);
        }
        let proof = answer.payment_preimage.unwrap_or_default();
        let signatures = answer.change.unwrap_or_default();
        let pairs = self.blanks.iter().zip(&signatures);
        let change = pairs.map(|(blank, signature)| exchange::coin(blank, signature, &run.held.keysets));
        match change.collect::<Result<Vec<_>, _>>() {
            Ok(change) if signatures.len() <= self.blanks.len() && (!change.is_empty() || self.blanks.is_empty()) => {
                self.paid(run, &change, &proof)
            }
            _ if self.blanks.is_empty() => self.paid(run, &[], &proof),
            _ => {
                let exchange = Exchange::change(self.blanks.clone());
                run.to(Stage::Transfer(Transfer::Change { melt: self, exchange, proof }))
            }
        }
    }

    fn later(self, run: &Run<'_>, why: Option<Refusal>, tries: u32) -> Step {
        let rest = Some(back_off(run.now(), tries).unix());
        run.to(Stage::Transfer(Transfer::Polling { melt: self, why, tries: tries.saturating_add(1), rest }))
    }

    fn checked(self, run: &Run<'_>, why: Refusal) -> Step {
        let exchange = Exchange::check(self.inputs.clone(), why);
        run.to(Stage::Transfer(Transfer::Checking { melt: self, exchange }))
    }

    fn lost(self, run: &Run<'_>, why: &Refusal) -> Step {
        let reason = format!("the mint does not say what became of the payment: {}", why.words());
        let step = Step::failed(Failure::unknown(Fault::ThirdParty, reason));
        step.put_away(run.id(), AwayState::Lost, &self.inputs)
    }

    fn paid(self, run: &Run<'_>, change: &[Proof], proof: &str) -> Step {
        let spent = money::sum(&self.inputs).unwrap_or(0).saturating_sub(money::sum(change).unwrap_or(0));
        let proof = proof.bytes().take(HANDOVER_MAX).collect();
        let next = run.outcome(self.minor, spent.saturating_sub(self.minor), proof);
        Step::to(Vec::new(), next).drop_away(run.id()).put_coins(change)
    }
}

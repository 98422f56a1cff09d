//! Money in: a quote says what to pay, somebody pays it, coins are signed against it (NUT-04, NUT-20).

use cashu::nuts::PublicKey;
use semper_core::amount::Amount;
use semper_core::machine::Fault;
use semper_core::time::{Seconds, Time};
use semper_transfer::payment::module::{Event, Funding, IssuerReply, Next, Step};
use semper_transfer::payment::operation::{ADDRESS_MAX, Failure, Money};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::exchange::{self, Answered, Exchange, Refusal, back_off, get, post};
use super::learn::Learn;
use super::money;
use super::records::Changes as _;
use super::seed::{KeyUse, Output};
use super::stage::{Run, Stage, Stop, unwanted};

/// How long after a quote's end its payment is still waited for: what was sent in time may arrive late.
const LATE: Seconds = Seconds(3600);
/// How long a quote without an end is waited for.
const WAIT: Seconds = Seconds(7 * 24 * 3600);
/// Longest identifier of a quote, in bytes.
const QUOTE_MAX: usize = 200;
/// The mint's code for a quote that is not paid.
const UNPAID: u32 = 20001;
/// The mint's code for a keyset that signs no more.
const INACTIVE: u32 = 12002;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Deposit {
    /// The mint is asked for a quote.
    Quoting { method: String, minor: u64 },
    /// The money is asked for.
    Funding(Quote),
    /// It was sent; the mint is asked whether it has come, again after `rest`.
    Paying { quote: Quote, tries: u32, rest: Option<u64> },
    /// The coins are asked for.
    Minting { quote: Quote, exchange: Exchange, rest: Option<u64> },
}

/// What to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Quote {
    method: String,
    minor: u64,
    id: String,
    request: String,
    /// After this second nobody waits for it any more.
    until: u64,
    /// Whether our key must sign when it is used.
    locked: bool,
}

#[derive(Deserialize)]
struct Answer {
    quote: String,
    request: String,
    amount: Option<u64>,
    unit: Option<String>,
    state: Option<String>,
    amount_paid: Option<u64>,
    expiry: Option<u64>,
    pubkey: Option<PublicKey>,
}

impl Run<'_> {
    pub(super) fn deposit(&self, amount: Amount, method: &str) -> Result<Step, Stop> {
        let minor = self.minor(amount)?;
        self.active()?;
        let methods = self.held.info.iter().flat_map(|info| &info.deposit);
        let offered = methods.into_iter().find(|offered| offered.name == method);
        let offered = offered.ok_or_else(|| Stop::misuse("the mint takes no money in this way"))?;
        if offered.least.is_some_and(|least| minor < least) || offered.most.is_some_and(|most| minor > most) {
            return Err(Stop::misuse("the amount is outside of what the mint takes in this way"));
        }
        Ok(self.to(Stage::Deposit(Deposit::Quoting { method: method.to_owned(), minor })))
    }

    fn minting(&self, quote: Quote) -> Result<Step, Stop> {
        let keyset = self.active()?;
        let amounts = money::spread(keyset, quote.minor, &self.held.coins);
        let amounts = amounts.ok_or_else(|| Stop::misuse("the mint has no coins for this amount"))?;
        let (outputs, counter) = self.own(keyset.id, &amounts)?;
        let signature = if quote.locked { self.signature(&quote.id, &outputs) } else { None };
        let exchange = Exchange::mint(quote.method.clone(), quote.id.clone(), signature, outputs);
        let step = self.to(Stage::Deposit(Deposit::Minting { quote, exchange, rest: None }));
        Ok(step.put_counter(&keyset.id, counter))
    }

    /// The signature that uses a locked quote, as the text of NUT-20 has it.
    fn signature(&self, quote: &str, outputs: &[Output]) -> Option<String> {
        let mut message = quote.to_owned();
        outputs.iter().for_each(|output| message.push_str(&output.message.blinded_secret.to_hex()));
        let key = self.seed.key(KeyUse::Quote, self.id());
        key.sign(message.as_bytes()).ok().map(|signature| signature.to_string())
    }
}

impl Deposit {
    pub(super) fn next(&self, run: &Run<'_>) -> Next {
        match self {
            Deposit::Quoting { method, minor } => {
                let mut request = json!({ "amount": minor, "unit": run.unit() });
                if run.held.info.as_ref().is_some_and(|info| info.nuts.contains(&20)) {
                    request["pubkey"] = run.seed.key(KeyUse::Quote, run.id()).public_key().to_hex().into();
                }
                Next::Ask(post(run.issuer(), &format!("mint/quote/{method}"), &request))
            }
            Deposit::Funding(quote) => Next::Fund(Funding {
                method: quote.method.clone(),
                address: quote.request.clone(),
                amount: run.amount(quote.minor),
            }),
            Deposit::Paying { rest: Some(until), .. } | Deposit::Minting { rest: Some(until), .. } => {
                Next::Wait(Time::from_unix(*until))
            }
            Deposit::Paying { quote, .. } => {
                Next::Ask(get(run.issuer(), &format!("mint/quote/{}/{}", quote.method, quote.id)))
            }
            Deposit::Minting { exchange, .. } => Next::Ask(exchange.request(run.issuer())),
        }
    }

    pub(super) fn on(self, run: &Run<'_>, event: Event) -> Option<Step> {
        let to = |deposit| run.to(Stage::Deposit(deposit));
        match (self, event) {
            (Deposit::Quoting { method, minor }, Event::Reply(reply)) => Some(quoted(run, method, minor, &reply)),
            (Deposit::Funding(quote), Event::Funded(_)) => Some(to(Deposit::Paying { quote, tries: 0, rest: None })),
            (Deposit::Funding(_), Event::NotFunded(failure)) => Some(Step::failed(failure)),
            (Deposit::Paying { quote, tries, .. }, Event::Due) => {
                Some(to(Deposit::Paying { quote, tries, rest: None }))
            }
            (Deposit::Paying { quote, tries, .. }, Event::Reply(reply)) => Some(polled(run, quote, tries, &reply)),
            (Deposit::Minting { quote, exchange, .. }, Event::Due) => {
                Some(to(Deposit::Minting { quote, exchange, rest: None }))
            }
            (Deposit::Minting { quote, exchange, .. }, Event::Reply(reply)) => {
                Some(minted(run, quote, exchange, &reply))
            }
            _ => None,
        }
    }

    /// Before the money was sent nothing is lost. Afterwards the mint has it, and owes coins.
    pub(super) fn give_up(self, run: &Run<'_>) -> Step {
        match self {
            Deposit::Quoting { .. } | Deposit::Funding(_) => Step::failed(unwanted()),
            waiting => run.to(Stage::Deposit(waiting)),
        }
    }

    /// The failure when the operation cannot go on.
    pub(super) fn unfinished(&self, why: &str) -> Failure {
        match self {
            Deposit::Quoting { .. } | Deposit::Funding(_) => Failure::unmoved(Fault::ThirdParty, why),
            Deposit::Paying { quote, .. } | Deposit::Minting { quote, .. } => quote.lost(why),
        }
    }
}

impl Quote {
    fn lost(&self, why: &str) -> Failure {
        Failure::unknown(Fault::ThirdParty, format!("the mint owes coins for its quote {}: {why}", self.id))
    }
}

fn quoted(run: &Run<'_>, method: String, minor: u64, reply: &IssuerReply) -> Step {
    let failed = |why: &Refusal| {
        Step::failed(Failure::unmoved(Fault::ThirdParty, format!("the mint makes no quote: {}", why.words())))
    };
    let answer = match exchange::read::<Answer>(reply) {
        Ok(answer) => answer,
        Err(why) => return failed(&why),
    };
    if answer.amount.is_some_and(|amount| amount != minor)
        || answer.unit.as_ref().is_some_and(|unit| !unit.eq_ignore_ascii_case(&run.unit()))
        || !is_quote(&answer.quote)
        || answer.request.len() > ADDRESS_MAX
    {
        return failed(&exchange::misunderstood("a quote for something else than was asked for"));
    }
    let end = answer.expiry.filter(|expiry| *expiry != 0);
    let until = end.map_or(run.now().after(WAIT), |end| Time::from_unix(end).after(LATE)).unix();
    let locked = answer.pubkey == Some(run.seed.key(KeyUse::Quote, run.id()).public_key());
    let quote = Quote { method, minor, id: answer.quote, request: answer.request, until, locked };
    run.to(Stage::Deposit(Deposit::Funding(quote)))
}

fn polled(run: &Run<'_>, quote: Quote, tries: u32, reply: &IssuerReply) -> Step {
    let paid = exchange::read::<Answer>(reply).is_ok_and(|answer| match answer.state.as_deref() {
        Some(state) => matches!(state, "PAID" | "ISSUED"),
        None => answer.amount_paid.is_some_and(|paid| paid >= quote.minor),
    });
    if paid {
        let failed = quote.clone();
        return run.minting(quote).unwrap_or_else(|stop| match stop {
            Stop::Failed(failure) => Step::failed(failed.lost(&failure.reason)),
            Stop::Unknown => Step::failed(failed.lost("it has no active keyset")),
        });
    }
    if run.now().unix() > quote.until {
        let reason = "the money that was sent has not arrived at the mint";
        return Step::failed(Failure { money: Money::Unknown, ..Failure::unmoved(Fault::ThirdParty, reason) });
    }
    let rest = Some(back_off(run.now(), tries).unix());
    run.to(Stage::Deposit(Deposit::Paying { quote, tries: tries.saturating_add(1), rest }))
}

fn minted(run: &Run<'_>, quote: Quote, exchange: Exchange, reply: &IssuerReply) -> Step {
    match exchange.answered(&run.held.keysets, reply) {
        Answered::Again(exchange) => run.to(Stage::Deposit(Deposit::Minting { quote, exchange, rest: None })),
        Answered::Later(exchange) => {
            let rest = Some(back_off(run.now(), 2).unix());
            run.to(Stage::Deposit(Deposit::Minting { quote, exchange, rest }))
        }
        Answered::Coins(coins) => Step::to(Vec::new(), run.outcome(quote.minor, 0, Vec::new())).put_coins(&coins),
        Answered::Refused(refused) => match refused.why.code {
            UNPAID if run.now().unix() <= quote.until => {
                let rest = Some(back_off(run.now(), 2).unix());
                run.to(Stage::Deposit(Deposit::Paying { quote, tries: 3, rest }))
            }
            // The mint has turned to another keyset since the last refresh.
            INACTIVE => {
                let then = Stage::Deposit(Deposit::Paying { quote, tries: 3, rest: None });
                run.to(Stage::Learn(Learn::new(Some(then))))
            }
            _ => Step::failed(quote.lost(&refused.why.words())),
        },
    }
}

/// Whether an identifier can stand in a path.
pub(super) fn is_quote(id: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !id.is_empty() && id.len() <= QUOTE_MAX && id.bytes().all(good) && !id.bytes().all(|byte| byte == b'.')
}

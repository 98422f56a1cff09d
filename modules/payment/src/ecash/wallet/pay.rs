//! Payments between two parties of a request: paid by the payer, taken by the payee, taken back.
//!
//! The payer's coins are locked to a key of the payee that only this request names. Whoever sees them on the way cannot take them, and when the
//! payee takes them, the mint keeps the payee's signature: the payer's proof of the payment. An hour after the request has expired the payer
//! can take them back too.

use cashu::Proof;
use cashu::nuts::State;
use semper_core::cbor::{Decode as _, Encode as _, record};
use semper_core::cose::{Signed, Statement as _};
use semper_core::machine::Fault;
use semper_core::signature::{answers, verify};
use semper_core::time::{Seconds, Time};
use semper_support::engine::EvidenceKind;
use semper_transfer::payment::module::{Event, IssuerReply, Next, Step};
use semper_transfer::payment::operation::{Failure, Money, OperationId, Task};
use semper_transfer::payment::statement::{PaymentOrder, PaymentRequest, instruction_hash, order_hash};
use serde::{Deserialize, Serialize};

use super::SYSTEM;
use super::details::Details;
use super::exchange::{self, CoinState, Exchange, Refusal, back_off};
use super::hand::{Back, Handed, plan};
use super::judge;
use super::money;
use super::records::{self, Changes as _};
use super::seed::KeyUse;
use super::stage::{Run, Stage, Stop, order_draft, unwanted};
use super::take::{Take, open};
use super::token::{Coins, same_issuer};
use crate::ecash::condition::{Condition, Later, Quorum, Scope};

/// How long after a request's end the payer can take its coins back.
const GRACE: Seconds = Seconds(3600);
/// How long before that date the payee does not take them any more: the mint's clock may be ahead.
const MARGIN: Seconds = Seconds(600);
/// How often the mint is asked again for coins that it does not give back.
const TRIES_MAX: u32 = 10;

/// A payment request, read.
pub(super) fn asked(request: &Signed) -> Result<PaymentRequest, Stop> {
    if request.kind() != PaymentRequest::KIND {
        return Err(Stop::peer("this is no payment request"));
    }
    let asked = PaymentRequest::from_bytes(request.payload());
    asked.map_err(|error| Stop::peer(format!("the payment request is malformed: {error}")))
}

impl Run<'_> {
    /// A request for this purse, and its payee.
    fn request(&self, request: &Signed) -> Result<(PaymentRequest, Details), Stop> {
        let asked = asked(request)?;
        if asked.system.as_str() != SYSTEM || !same_issuer(&asked.issuer, self.issuer()) {
            return Err(Stop::misuse("the request is for another means of payment than this purse"));
        }
        self.minor(asked.amount)?;
        let details = Details::from_bytes(&asked.details)
            .map_err(|error| Stop::peer(format!("the request does not say where to pay: {error}")))?;
        verify::<PaymentRequest>(self.context.verify, &details.party, request)
            .map_err(|error| Stop::peer(format!("the payment request is not acceptable: {error}")))?;
        Ok((asked, details))
    }

    /// Payer: asks for the user's approval.
    pub(super) fn order(&self, request: &Signed, salt: &[u8; 32]) -> Result<Step, Stop> {
        let (asked, details) = self.payable(request)?;
        let minor = self.minor(asked.amount)?;
        plan(&self.spendable(), &self.held.keysets, self.active()?, minor, true)?;
        let secret = self.seed.key(KeyUse::Order, self.id());
        let instruction = record()
            .put(0, self.issuer())
            .put_bytes(1, details.key.to_bytes())
            .put_item(2, &asked.amount)
            .put_bytes(3, secret.to_secret_bytes())
            .build();
        let order = PaymentOrder {
            order: order_hash(request.id(), salt),
            amount: asked.amount,
            system: asked.system,
            issuer: asked.issuer,
            instruction: instruction_hash(&instruction.encode()),
            time: self.now(),
        };
        Ok(self.to(Stage::Order { payload: order.to_bytes() }))
    }

    fn payable(&self, request: &Signed) -> Result<(PaymentRequest, Details), Stop> {
        let (asked, details) = self.request(request)?;
        if asked.expires < self.now() {
            return Err(Stop::Failed(Failure::unmoved(Fault::PeerRefused, "the payment request has expired")));
        }
        let locks = self.held.info.as_ref().is_some_and(|info| [10, 11].iter().all(|nut| info.nuts.contains(nut)));
        if !locks {
            return Err(Stop::issuer("the mint cannot lock coins to a payee"));
        }
        Ok((asked, details))
    }

    /// Payer: the user has answered. `None` if the event is another one.
    pub(super) fn ordered(&self, payload: Vec<u8>, event: Event) -> Option<Step> {
        let signed = match event {
            Event::Signed(signed) => signed,
            Event::Declined => return Some(Step::failed(unwanted())),
            _ => return None,
        };
        let draft = order_draft(self, payload);
        if !answers(self.context.verify, self.context.me, &draft, &signed) {
            return None;
        }
        let paid = self.pay().map(|step| step.keep(EvidenceKind::Statement, signed.bytes().to_vec()));
        Some(match paid {
            Ok(step) => step,
            Err(Stop::Failed(failure)) => Step::failed(failure),
            Err(Stop::Unknown) => Step::failed(Failure::unmoved(Fault::ThirdParty, "the mint has no active keyset")),
        })
    }

    fn pay(&self) -> Result<Step, Stop> {
        let Task::Pay { request, .. } = &self.operation.task else {
            return Err(Stop::misuse("only a payment has an order"));
        };
        let (asked, details) = self.payable(request)?;
        let after = asked.expires.after(GRACE);
        let name = *self.id();
        let refund = self.seed.key(KeyUse::Refund, &name).public_key();
        let condition = Condition::to_key(details.key, Some((refund, after)));
        let back = Back { after: after.unix(), name, what: KeyUse::Refund, request: Some(request.bytes().to_vec()) };
        self.hand_locked(asked.amount.minor(), &condition, name, back)
    }

    /// Payee: takes a payer's coins.
    pub(super) fn receive(&self, request: &Signed, token: &[u8]) -> Result<Step, Stop> {
        let (asked, details) = self.request(request)?;
        let secret = self.secret(&details);
        let secret = secret.ok_or_else(|| Stop::misuse("the request was not made by this purse"))?;
        if details.party != *self.context.me {
            return Err(Stop::misuse("the request was not made by this party"));
        }
        let inputs = self.coins(token)?;
        for coin in &inputs {
            self.check_lock(coin, &details)?;
        }
        let fee = money::fee(&inputs, &self.held.keysets).ok_or(Stop::Unknown)?;
        let worth = money::worth(&inputs, &self.held.keysets).unwrap_or(0);
        if worth < asked.amount.minor() {
            let reason = format!("the token is worth {}, not {}", self.amount(worth), asked.amount);
            return Err(Stop::peer(reason));
        }
        let (outputs, counter) = self.fresh(worth)?;
        let id = outputs[0].message.keyset_id;
        let inputs = open(inputs, &outputs, &[secret], self.now())?;
        let evidence = judge::proof(self, request, &inputs);
        let take = Take::new(Exchange::swap(inputs, outputs), worth, fee).proving(evidence);
        Ok(self.to(Stage::Take(take)).put_counter(&id, counter))
    }

    /// Coins that came as bytes, for this purse, each signed by the mint.
    pub(super) fn coins(&self, token: &[u8]) -> Result<Vec<Proof>, Stop> {
        let coins = self.unchecked(token)?;
        self.check_proofs(&coins, true)?;
        Ok(coins)
    }

    /// Coins that came as bytes, for this purse, as they say.
    pub(super) fn unchecked(&self, token: &[u8]) -> Result<Vec<Proof>, Stop> {
        let token = Coins::from_bytes(token).map_err(|error| Stop::peer(format!("the token is malformed: {error}")))?;
        if !same_issuer(&token.issuer, self.issuer()) || token.unit != self.unit() {
            return Err(Stop::peer("the token is of another mint or in another unit"));
        }
        Ok(token.coins)
    }

    /// A coin must be locked to the payee's key alone, and not be the payer's again too soon.
    fn check_lock(&self, coin: &Proof, details: &Details) -> Result<(), Stop> {
        let condition = Condition::read(&coin.secret.to_string());
        let Ok(Condition::Keys { signers, later, scope: Scope::Coin }) = condition else {
            return Err(Stop::peer("a coin is not locked as it should be"));
        };
        if signers != Quorum::one(details.key) {
            return Err(Stop::peer("a coin is locked to another key"));
        }
        match later {
            Later::Never => Ok(()),
            Later::Refund { after, .. } if after >= self.now().after(MARGIN) => Ok(()),
            Later::Refund { .. } => Err(Stop::peer("the payer can soon take the coins back: too late to take them")),
            Later::Anybody { .. } => Err(Stop::peer("anybody could take the coins")),
        }
    }
}

/// Taking back what was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reclaim {
    /// What the other operation handed out is looked up.
    Looking([u8; 32]),
    /// The mint is asked how the coins stand.
    Checking {
        handed: Handed,
        tries: u32,
    },
    Waiting {
        handed: Handed,
        tries: u32,
        until: u64,
    },
    Taking {
        handed: Handed,
        tries: u32,
        take: Box<Take>,
    },
}

impl Reclaim {
    pub(super) fn next(&self, run: &Run<'_>) -> Next {
        match self {
            Reclaim::Looking(other) => Next::Look(OperationId::from_array(*other)),
            Reclaim::Checking { handed, .. } => Next::Ask(exchange::check_states(run.issuer(), &handed.coins)),
            Reclaim::Waiting { until, .. } => Next::Wait(Time::from_unix(*until)),
            Reclaim::Taking { take, .. } => take.next(run),
        }
    }

    pub(super) fn on(self, run: &Run<'_>, event: Event) -> Option<Step> {
        match (self, event) {
            (Reclaim::Looking(_), Event::Stage(bytes)) => Some(match records::parse(&bytes) {
                Some(Stage::Handed(handed)) => run.to(Stage::Reclaim(Reclaim::Checking { handed, tries: 0 })),
                _ => Step::failed(Failure::unmoved(Fault::Misuse, "that operation handed nothing out")),
            }),
            (Reclaim::Checking { handed, tries }, Event::Reply(reply)) => {
                Some(match exchange::states_of(&handed.coins, &reply) {
                    Ok(states) => run.reclaim(handed, tries, &states),
                    Err(why) => run.later(handed, tries, &why),
                })
            }
            (Reclaim::Waiting { handed, tries, .. }, Event::Due) => {
                Some(run.to(Stage::Reclaim(Reclaim::Checking { handed, tries })))
            }
            (Reclaim::Taking { handed, tries, take }, Event::Due) => {
                Some(run.to(Stage::Reclaim(Reclaim::Taking { handed, tries, take: Box::new(take.again()) })))
            }
            (Reclaim::Taking { handed, tries, take }, Event::Reply(reply)) => {
                Some(run.taking(handed, tries, take, &reply))
            }
            _ => None,
        }
    }

    pub(super) fn give_up(self, run: &Run<'_>) -> Step {
        match self {
            Reclaim::Looking(_) => Step::failed(unwanted()),
            Reclaim::Waiting { handed, .. } | Reclaim::Checking { handed, .. } => {
                let until =
                    handed.back.map_or_else(String::new, |back| format!(" until {}", Time::from_unix(back.after)));
                let reason =
                    format!("the other side can take the coins{until}; what it has not taken then can be taken back");
                Step::failed(Failure::unknown(Fault::PeerRefused, reason))
            }
            taking @ Reclaim::Taking { .. } => run.to(Stage::Reclaim(taking)),
        }
    }
}

impl Run<'_> {
    /// Goes on with what the mint says of the coins.
    fn reclaim(&self, handed: Handed, tries: u32, states: &[CoinState]) -> Step {
        let those = |wanted: State| -> Vec<Proof> {
            let found = handed.coins.iter().zip(states).filter(|(_, state)| state.state == wanted);
            found.map(|(coin, _)| coin.clone()).collect()
        };
        let free = those(State::Unspent);
        if !those(State::Pending).is_empty() {
            let until = back_off(self.now(), tries).unix();
            return self.to(Stage::Reclaim(Reclaim::Waiting { handed, tries: tries.saturating_add(1), until }));
        }
        if free.is_empty() {
            return self.taken(&handed, states);
        }
        if let Some(back) = handed.back.as_ref().filter(|back| back.after >= self.now().unix()) {
            let until = back.after + 1;
            return self.to(Stage::Reclaim(Reclaim::Waiting { handed, tries, until }));
        }
        match self.take_back(&handed, free, tries) {
            Ok(step) => step,
            Err(Stop::Failed(failure)) => Step::failed(Failure { money: Money::Unknown, ..failure }),
            Err(Stop::Unknown) => Step::failed(Failure::unknown(Fault::ThirdParty, "the mint has no active keyset")),
        }
    }

    fn take_back(&self, handed: &Handed, coins: Vec<Proof>, tries: u32) -> Result<Step, Stop> {
        let fee = money::fee(&coins, &self.held.keysets).ok_or(Stop::Unknown)?;
        let worth = money::worth(&coins, &self.held.keysets).filter(|worth| *worth > 0);
        let worth = worth.ok_or_else(|| Stop::misuse("the coins are worth no more than the fee for them"))?;
        let (outputs, counter) = self.fresh(worth)?;
        let id = outputs[0].message.keyset_id;
        let key = handed.back.as_ref().map(|back| self.seed.key(back.what, &back.name));
        let inputs = open(coins, &outputs, key.as_slice(), self.now())?;
        let take = Take::new(Exchange::swap(inputs, outputs), worth, fee).settling(handed.key);
        let stage = Stage::Reclaim(Reclaim::Taking { handed: handed.clone(), tries, take: Box::new(take) });
        Ok(self.to(stage).put_counter(&id, counter))
    }

    /// The other side has taken all: its signature at the mint is the proof that it was paid.
    fn taken(&self, handed: &Handed, states: &[CoinState]) -> Step {
        let step = |shown| Step::to(Vec::new(), self.outcome(0, 0, shown)).drop_away(&handed.key);
        let request = handed.back.as_ref().and_then(|back| back.request.as_deref());
        let Some(request) = request.and_then(|bytes| Signed::from_bytes(bytes).ok()) else { return step(Vec::new()) };
        let shown = handed.coins.iter().zip(states).filter_map(|(coin, state)| Some((coin, state.witness()?)));
        let coins: Vec<Proof> = shown.map(|(coin, witness)| Proof { witness: Some(witness), ..coin.clone() }).collect();
        if coins.is_empty() {
            return step(Vec::new());
        }
        let proof = judge::proof(self, &request, &coins);
        step(proof.clone()).keep(EvidenceKind::Payment, proof)
    }

    fn taking(&self, handed: Handed, tries: u32, take: Box<Take>, reply: &IssuerReply) -> Step {
        match take.advance(self, reply) {
            Ok(step) => match records::parse(&step.stage) {
                Some(Stage::Take(take)) => {
                    let take = Box::new(take);
                    let Step { stage, next, .. } = self.to(Stage::Reclaim(Reclaim::Taking { handed, tries, take }));
                    Step { stage, next, ..step }
                }
                _ => step,
            },
            Err(refused) => self.later(handed, tries, &refused.why),
        }
    }

    fn later(&self, handed: Handed, tries: u32, why: &Refusal) -> Step {
        if tries >= TRIES_MAX {
            let reason = format!("the mint does not give the coins back: {}", why.words());
            return Step::failed(Failure::unknown(Fault::ThirdParty, reason));
        }
        let until = back_off(self.now(), tries).unix();
        self.to(Stage::Reclaim(Reclaim::Waiting { handed, tries: tries + 1, until }))
    }
}

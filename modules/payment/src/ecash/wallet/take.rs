//! Coins come in: somebody's token, a payment, a lock that is opened, or what is taken back.

use cashu::nut10::SpendingConditionVerification as _;
use cashu::nuts::{P2PKWitness, State, SwapRequest};
use cashu::{Proof, SecretKey, Witness};
use semper_core::machine::Fault;
use semper_core::time::Time;
use semper_support::engine::EvidenceKind;
use semper_transfer::payment::means::LockKind;
use semper_transfer::payment::module::{IssuerReply, Next, Step};
use semper_transfer::payment::operation::{Failure, Money, Task};
use semper_transfer::payment::statement::Side;
use serde::{Deserialize, Serialize};

use super::exchange::{Answered, Exchange, Refused, back_off};
use super::money;
use super::records::Changes as _;
use super::seed::Output;
use super::stage::{Run, Stage, Stop};
use super::token::{Coins, TokenError};
use crate::ecash::condition::{Condition, Scope, add_signatures};

/// Coins that are exchanged for coins of this purse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Take {
    exchange: Exchange,
    moved: u64,
    fee: u64,
    /// What is dropped from the records when the coins are here.
    away: Option<[u8; 32]>,
    /// The proof of payment that is kept then.
    evidence: Option<Vec<u8>>,
    /// The payout that the coins are, which another operation may take first.
    #[serde(default)]
    payout: Option<Vec<u8>>,
    /// It was given up: the mint is only asked whether it has happened.
    #[serde(default)]
    withdrawn: bool,
    rest: Option<u64>,
    tries: u32,
}

impl Run<'_> {
    pub(super) fn accept(&self, text: &str) -> Result<Step, Stop> {
        let token = Coins::from_text(text, self.issuer(), &self.unit(), &self.held.keysets).map_err(token_error)?;
        self.check_proofs(&token.coins, false)?;
        let (inputs, keys) = (token.coins, [self.seed.receiving()]);
        let fee = money::fee(&inputs, &self.held.keysets).ok_or(Stop::Unknown)?;
        let worth = money::worth(&inputs, &self.held.keysets).filter(|worth| *worth > 0);
        let worth = worth.ok_or_else(|| Stop::peer("the token is worth no more than the fee for taking it"))?;
        let (outputs, counter) = self.fresh(worth)?;
        let id = outputs[0].message.keyset_id;
        let inputs = open(inputs, &outputs, &keys, self.now())?;
        let take = Take::new(Exchange::swap(inputs, outputs), worth, fee);
        Ok(self.to(Stage::Take(take)).put_counter(&id, counter))
    }

    /// Outputs of the purse's own that are worth `minor`, and the counter after them.
    pub(super) fn fresh(&self, minor: u64) -> Result<(Vec<Output>, u32), Stop> {
        let keyset = self.active()?;
        let amounts = money::spread(keyset, minor, &self.held.coins).filter(|amounts| !amounts.is_empty());
        let amounts = amounts.ok_or_else(|| Stop::misuse("the mint has no coins for this amount"))?;
        self.own(keyset.id, &amounts)
    }

    /// Checks that coins are of known keysets that are not about to expire, are all different, and were signed by the mint. Coins without
    /// the mint's proof pass if `needed` is false: the mint is going to be asked.
    pub(super) fn check_proofs(&self, coins: &[Proof], needed: bool) -> Result<(), Stop> {
        let unit = self.unit();
        let mut secrets = std::collections::BTreeSet::new();
        for coin in coins {
            let keyset = self.held.keysets.get(&coin.keyset_id).ok_or(Stop::Unknown)?;
            if keyset.unit.to_string() != unit || super::stage::expired(keyset, self.now()) {
                return Err(Stop::peer("a coin is of another unit, or has expired"));
            }
            if !secrets.insert(coin.secret.to_string()) {
                return Err(Stop::peer("a coin stands twice in the token"));
            }
            let key = keyset.keys.amount_key(coin.amount);
            let key = key.ok_or_else(|| Stop::peer("a coin has an amount that its keyset has not"))?;
            match coin.verify_dleq(key) {
                Ok(()) => {}
                Err(_) if coin.dleq.is_none() && !needed => {}
                Err(_) => return Err(Stop::peer("a coin was not signed by the mint")),
            }
        }
        Ok(())
    }
}

pub(super) fn token_error(error: TokenError) -> Stop {
    match error {
        TokenError::UnknownKeyset => Stop::Unknown,
        TokenError::OtherMint(_) | TokenError::OtherUnit(_) => Stop::misuse(&error.to_string()),
        _ => Stop::peer(error.to_string()),
    }
}

/// Gives the inputs of a request what their conditions demand, as far as these keys can.
pub(super) fn open(inputs: Vec<Proof>, outputs: &[Output], keys: &[SecretKey], now: Time) -> Result<Vec<Proof>, Stop> {
    let mut inputs: Vec<Proof> = inputs.into_iter().map(|input| Proof { witness: None, ..input }).collect();
    let conditions =
        inputs.iter().map(|input| Condition::read(&input.secret.to_string())).collect::<Result<Vec<_>, _>>();
    let conditions = conditions.map_err(|error| Stop::peer(format!("a coin cannot be spent: {error}")))?;
    if conditions.iter().any(|condition| condition.scope() == Scope::Request) {
        let signatures = signatures(keys, message(&inputs, outputs).as_bytes());
        if let Some(first) = inputs.first_mut() {
            add_signatures(first, signatures);
        }
    } else {
        for (input, condition) in inputs.iter_mut().zip(&conditions) {
            if *condition != Condition::Bearer {
                let signatures = signatures(keys, input.secret.to_string().as_bytes());
                add_signatures(input, signatures);
            }
        }
    }
    let message = message(&inputs, outputs);
    crate::ecash::condition::check_inputs(&inputs, now, || message)
        .map_err(|error| Stop::peer(format!("the coins are locked, not to this purse: {error}")))?;
    Ok(inputs)
}

fn signatures(keys: &[SecretKey], message: &[u8]) -> Vec<String> {
    keys.iter().filter_map(|key| key.sign(message).ok()).map(|signature| signature.to_string()).collect()
}

/// What signatures of a whole request are over.
pub(super) fn message(inputs: &[Proof], outputs: &[Output]) -> String {
    let messages = outputs.iter().map(|output| output.message.clone()).collect();
    SwapRequest::new(inputs.to_vec(), messages).sig_all_msg_to_sign()
}

/// A witness of signatures.
pub(super) fn witness(signatures: Vec<String>) -> Witness {
    Witness::P2PKWitness(P2PKWitness { signatures })
}

impl Take {
    pub(super) fn new(exchange: Exchange, moved: u64, fee: u64) -> Self {
        Self { exchange, moved, fee, away: None, evidence: None, payout: None, withdrawn: false, rest: None, tries: 0 }
    }

    /// Takes the coins of a lock's payout, once: they may be spent when a second operation hears of them.
    pub(super) fn once(self, payout: Vec<u8>) -> Self {
        Self { payout: Some(payout), ..self }
    }

    /// Drops what the records know of these coins when they have come.
    pub(super) fn settling(self, away: [u8; 32]) -> Self {
        Self { away: Some(away), ..self }
    }

    /// Keeps a proof of payment when the coins have come.
    pub(super) fn proving(self, evidence: Vec<u8>) -> Self {
        Self { evidence: Some(evidence), ..self }
    }

    pub(super) fn next(&self, run: &Run<'_>) -> Next {
        match self.rest {
            Some(until) => Next::Wait(Time::from_unix(until)),
            None => Next::Ask(self.exchange.request(run.issuer())),
        }
    }

    pub(super) fn again(self) -> Self {
        Self { rest: None, ..self }
    }

    /// Goes on, because whoever stops here loses coins that the mint may have given already; but a preimage that the
    /// mint has not seen yet is not shown to it any more.
    pub(super) fn give_up(self, run: &Run<'_>) -> Step {
        let shows_preimage = matches!(
            &run.operation.task,
            Task::Redeem { lock, to: Side::Payee, .. } if lock.kind == LockKind::Hash
        );
        let take = if shows_preimage && self.exchange.is_asked() { self.withdrawn() } else { self };
        run.to(Stage::Take(take))
    }

    fn withdrawn(self) -> Self {
        Self { exchange: self.exchange.withdrawn(), withdrawn: true, rest: None, ..self }
    }

    pub(super) fn on(self, run: &Run<'_>, reply: &IssuerReply) -> Step {
        let of_lock = self.payout.is_some();
        match self.advance(run, reply) {
            Ok(step) => step,
            Err(refused) => Step::failed(failure(&refused, of_lock)),
        }
    }

    /// The next step; `Err` if the coins were not exchanged.
    pub(super) fn advance(self, run: &Run<'_>, reply: &IssuerReply) -> Result<Step, Refused> {
        let (rest, tries) = (Some(back_off(run.now(), self.tries).unix()), self.tries.saturating_add(1));
        let given_up = self.withdrawn.then(|| self.exchange.clone().withdrawn());
        match self.exchange.answered(&run.held.keysets, reply) {
            Answered::Again(exchange) => Ok(run.to(Stage::Take(Self { exchange, ..self }))),
            Answered::Later(exchange) => Ok(run.to(Stage::Take(Self { exchange, rest, tries, ..self }))),
            Answered::Coins(_) if self.payout.as_ref().is_some_and(|payout| run.held.taken.contains(payout)) => {
                Ok(Step::to(Vec::new(), run.outcome(0, 0, Vec::new())))
            }
            Answered::Coins(coins) => {
                let mut step = Step::to(Vec::new(), run.outcome(self.moved, self.fee, Vec::new())).put_coins(&coins);
                if let Some(payout) = &self.payout {
                    step = step.put_taken(payout);
                }
                if let Some(away) = &self.away {
                    step = step.drop_away(away);
                }
                Ok(match self.evidence {
                    Some(evidence) => step.keep(EvidenceKind::Payment, evidence),
                    None => step,
                })
            }
            // The request that was given up may be the one that is not finished.
            Answered::Refused(refused) => match given_up.filter(|_| !refused.those(State::Pending).is_empty()) {
                Some(exchange) => Ok(run.to(Stage::Take(Self { exchange, rest, tries, ..self }))),
                None => Err(refused),
            },
        }
    }
}

/// The failure when somebody else's coins could not be taken. No money of this purse has moved, unless the mint keeps what became of the
/// coins to itself. Coins of a lock may be spent: the other side had a right to them too.
fn failure(refused: &Refused, of_lock: bool) -> Failure {
    let why = refused.why.words();
    if !refused.those(State::Spent).is_empty() {
        let fault = if of_lock { Fault::PeerRefused } else { Fault::PeerMisbehaved };
        return Failure::unmoved(fault, format!("the coins were spent before: {why}"));
    }
    let reason = format!("the mint does not take the coins: {why}");
    match refused.states {
        Some(_) => Failure::unmoved(Fault::ThirdParty, reason),
        None => Failure { money: Money::Unknown, ..Failure::unmoved(Fault::ThirdParty, reason) },
    }
}

//! A request for coins, until it is known what became of it.
//!
//! ```text
//!   asked ──signatures──▶ coins
//!     └──refused, or not understood──▶ restoring ──signatures──▶ coins         (the mint had done it, and forgot its answer)
//!                                         └──none──▶ checking ──▶ refused, with the state of each input
//! ```
//! A request that was stored may have reached the mint before, whatever the mint says now. So no refusal is believed before the mint was asked
//! for the signatures of the same outputs (NUT-09) and for the state of the same inputs (NUT-07).
//!
//! Coins are made only from signatures whose proof (NUT-12) holds under the keys of a keyset that was checked when it came.

use cashu::dhke::unblind_message;
use cashu::nuts::{
    BlindSignature, CheckStateRequest, MintRequest, ProofDleq, RestoreRequest, RestoreResponse, State, SwapRequest,
    SwapResponse,
};
use cashu::{Proof, PublicKey, Witness};
use semper_core::machine::Fault;
use semper_core::time::Time;
use semper_transfer::payment::module::{IssuerReply, IssuerRequest};
use semper_transfer::payment::operation::{Failure, Money};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::money::Keysets;
use super::seed::Output;
use super::token::read_witness;
use crate::ecash::crypto::hash_to_curve;

/// The mint's code for coins that are in an unfinished request.
const INPUTS_PENDING: u32 = 11002;
/// The mint's code for outputs that are in an unfinished request.
const OUTPUTS_PENDING: u32 = 11004;

/// What a mint answers instead of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    /// The protocol's code; 0 where there is none.
    pub(super) code: u32,
    /// In words.
    pub(super) detail: String,
}

/// A request for coins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exchange {
    verb: Verb,
    /// With witnesses, as they go out.
    pub(super) inputs: Vec<Proof>,
    pub(super) outputs: Vec<Output>,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Verb {
    /// Coins for coins (NUT-03).
    Swap,
    /// Coins for a quote that was paid (NUT-04).
    Mint { method: String, quote: String, signature: Option<String> },
    /// What was too much for a payment (NUT-08): asked for elsewhere, restored here. Not every output is signed.
    Change,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Asked,
    Restoring(Refusal),
    Checking(Refusal),
}

/// What an answer leads to.
pub(super) enum Answered {
    /// Another question, at once.
    Again(Exchange),
    /// The same question, later.
    Later(Exchange),
    /// Coins, in the order of the outputs.
    Coins(Vec<Proof>),
    /// Nothing was exchanged.
    Refused(Refused),
}

/// An exchange that was refused.
pub(super) struct Refused {
    pub(super) why: Refusal,
    pub(super) inputs: Vec<Proof>,
    /// The state of each input; `None` if the mint does not say.
    pub(super) states: Option<Vec<CoinState>>,
}

/// How a coin stands (NUT-07).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct CoinState {
    #[serde(rename = "Y")]
    y: PublicKey,
    pub(super) state: State,
    /// What it was spent with. Whoever spent it wrote this, and not every mint looks at all of it: that it cannot be
    /// read must not hide the state.
    #[serde(default)]
    witness: serde_json::Value,
}

impl CoinState {
    /// What the coin was spent with, as it was written.
    pub(super) fn witness_text(&self) -> Option<&str> {
        self.witness.as_str()
    }

    /// What the coin was spent with, if that can be read.
    pub(super) fn witness(&self) -> Option<Witness> {
        read_witness(self.witness_text()?)
    }
}

impl Exchange {
    /// Coins for coins. The inputs carry their witnesses.
    pub(super) fn swap(inputs: Vec<Proof>, outputs: Vec<Output>) -> Self {
        Self { verb: Verb::Swap, inputs, outputs, phase: Phase::Asked }
    }

    /// Coins for a quote that was paid.
    pub(super) fn mint(method: String, quote: String, signature: Option<String>, outputs: Vec<Output>) -> Self {
        Self { verb: Verb::Mint { method, quote, signature }, inputs: Vec::new(), outputs, phase: Phase::Asked }
    }

    /// The change of a payment that was made.
    pub(super) fn change(outputs: Vec<Output>) -> Self {
        let why = Refusal { code: 0, detail: "the mint gives no change".to_owned() };
        Self { verb: Verb::Change, inputs: Vec::new(), outputs, phase: Phase::Restoring(why) }
    }

    /// Only asks what became of coins of a request that was refused elsewhere.
    pub(super) fn check(inputs: Vec<Proof>, why: Refusal) -> Self {
        Self { verb: Verb::Swap, inputs, outputs: Vec::new(), phase: Phase::Checking(why) }
    }

    /// Whether the exchange itself is still asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.phase == Phase::Asked
    }

    /// Asks no more for the exchange, only whether it was granted.
    pub(super) fn withdrawn(self) -> Self {
        let why = Refusal { code: 0, detail: "it was given up before an answer came".to_owned() };
        Self { phase: Phase::Restoring(why), ..self }
    }

    /// The question that is open. The same bytes whenever it is asked.
    pub(super) fn request(&self, issuer: &str) -> IssuerRequest {
        let messages = || self.outputs.iter().map(|output| output.message.clone()).collect();
        match (&self.phase, &self.verb) {
            (Phase::Asked, Verb::Mint { method, quote, signature }) => {
                let request = MintRequest { quote: quote.clone(), outputs: messages(), signature: signature.clone() };
                post(issuer, &format!("mint/{method}"), &request)
            }
            (Phase::Asked, Verb::Swap | Verb::Change) => {
                post(issuer, "swap", &SwapRequest::new(bare(&self.inputs), messages()))
            }
            (Phase::Restoring(_), _) => post(issuer, "restore", &RestoreRequest { outputs: messages() }),
            (Phase::Checking(_), _) => check_states(issuer, &self.inputs),
        }
    }

    pub(super) fn answered(self, keysets: &Keysets, reply: &IssuerReply) -> Answered {
        match &self.phase {
            Phase::Asked => self.granted(keysets, reply),
            Phase::Restoring(why) => {
                let why = why.clone();
                self.restored(keysets, reply, why)
            }
            Phase::Checking(why) => {
                let why = why.clone();
                let states = states_of(&self.inputs, reply).ok();
                Answered::Refused(Refused { why, inputs: self.inputs, states })
            }
        }
    }

    fn granted(self, keysets: &Keysets, reply: &IssuerReply) -> Answered {
        let coins = read::<SwapResponse>(reply).and_then(|answer| coins(&self.outputs, &answer.signatures, keysets));
        match coins {
            Ok(coins) => Answered::Coins(coins),
            Err(why) if matches!(why.code, INPUTS_PENDING | OUTPUTS_PENDING) => Answered::Later(self),
            Err(why) => Answered::Again(Self { phase: Phase::Restoring(why), ..self }),
        }
    }

    fn restored(self, keysets: &Keysets, reply: &IssuerReply, why: Refusal) -> Answered {
        let found = read::<RestoreResponse>(reply).and_then(|answer| restored(&self.outputs, &answer, keysets));
        match found {
            Ok(found) if found.len() == self.outputs.len() || self.verb == Verb::Change => Answered::Coins(found),
            // An honest mint signs all of a request or nothing.
            Ok(found) if !found.is_empty() => {
                let detail = format!("{}; it signed only a part of a request", why.detail);
                Answered::Refused(Refused { why: Refusal { detail, ..why }, inputs: self.inputs, states: None })
            }
            Ok(_) if self.inputs.is_empty() => {
                Answered::Refused(Refused { why, inputs: Vec::new(), states: Some(Vec::new()) })
            }
            Err(_) if self.inputs.is_empty() => Answered::Refused(Refused { why, inputs: Vec::new(), states: None }),
            _ => Answered::Again(Self { phase: Phase::Checking(why), ..self }),
        }
    }
}

impl Refused {
    /// The inputs in a state; none where the mint does not say.
    pub(super) fn those(&self, state: State) -> Vec<Proof> {
        let states = self.states.as_deref().unwrap_or_default();
        let with = self.inputs.iter().zip(states).filter(|(_, found)| found.state == state);
        with.map(|(coin, _)| coin.clone()).collect()
    }

    /// Whether every input is certainly as it was.
    pub(super) fn is_harmless(&self) -> bool {
        let free = |found: &CoinState| found.state == State::Unspent;
        self.states.as_ref().is_some_and(|states| states.iter().all(free))
    }

    /// The failure of an operation that spent coins of its own purse.
    pub(super) fn failure(&self) -> Failure {
        let money = if self.is_harmless() { Money::NotMoved } else { Money::Unknown };
        let gone = match &self.states {
            None => "; it does not say what became of the coins",
            Some(_) if money == Money::Unknown => "; it says that coins of this purse were spent before",
            Some(_) => "",
        };
        let reason = format!("the mint refuses: {}{gone}", self.why.words());
        Failure { money, ..Failure::unmoved(Fault::ThirdParty, reason) }
    }
}

impl Refusal {
    /// For people.
    pub(super) fn words(&self) -> String {
        match self.code {
            0 => self.detail.clone(),
            12002 => "its keyset signs no more; refresh the purse and try again".to_owned(),
            code => format!("{} ({code})", self.detail),
        }
    }
}

/// A question with a body.
pub(super) fn post<T: Serialize>(issuer: &str, path: &str, body: &T) -> IssuerRequest {
    let body = serde_json::to_vec(body).expect("requests are written into memory");
    IssuerRequest::json(url(issuer, path), body)
}

/// A question without a body.
pub(super) fn get(issuer: &str, path: &str) -> IssuerRequest {
    IssuerRequest::get(url(issuer, path))
}

fn url(issuer: &str, path: &str) -> String {
    format!("{}/v1/{path}", issuer.trim_end_matches('/'))
}

/// Asks how coins stand (NUT-07).
pub(super) fn check_states(issuer: &str, coins: &[Proof]) -> IssuerRequest {
    let ys = coins.iter().map(|coin| hash_to_curve(coin.secret.as_bytes())).collect();
    post(issuer, "checkstate", &CheckStateRequest { ys })
}

/// How coins stand, in their order.
pub(super) fn states_of(coins: &[Proof], reply: &IssuerReply) -> Result<Vec<CoinState>, Refusal> {
    #[derive(Deserialize)]
    struct Answer {
        states: Vec<CoinState>,
    }
    let states = read::<Answer>(reply)?.states;
    let in_order = coins.iter().zip(&states).all(|(coin, state)| state.y == hash_to_curve(coin.secret.as_bytes()));
    let known = states.iter().all(|state| matches!(state.state, State::Unspent | State::Pending | State::Spent));
    if states.len() == coins.len() && in_order && known {
        Ok(states)
    } else {
        Err(misunderstood("states of other coins than were asked for"))
    }
}

/// Reads an answer.
pub(super) fn read<T: DeserializeOwned>(reply: &IssuerReply) -> Result<T, Refusal> {
    if reply.status == 200 {
        return serde_json::from_slice(&reply.body).map_err(|_| misunderstood("something else than the protocol says"));
    }
    #[derive(Deserialize)]
    struct Problem {
        detail: Option<serde_json::Value>,
        code: Option<u32>,
    }
    let problem = serde_json::from_slice(&reply.body).unwrap_or(Problem { detail: None, code: None });
    let detail = match problem.detail {
        Some(serde_json::Value::String(text)) => text,
        _ => format!("status {}", reply.status),
    };
    let detail = detail.chars().filter(|c| !c.is_control()).take(200).collect();
    Err(Refusal { code: problem.code.unwrap_or(0), detail })
}

/// The refusal that stands for an answer that is none.
pub(super) fn misunderstood(what: &str) -> Refusal {
    Refusal { code: 0, detail: format!("it answers {what}") }
}

/// The coins of a request: each output has its signature, of its amount and keyset, with a proof that holds.
pub(super) fn coins(
    outputs: &[Output],
    signatures: &[BlindSignature],
    keysets: &Keysets,
) -> Result<Vec<Proof>, Refusal> {
    if outputs.len() != signatures.len() {
        return Err(misunderstood("with another number of signatures than were asked for"));
    }
    outputs.iter().zip(signatures).map(|(output, signature)| coin(output, signature, keysets)).collect()
}

/// The coin of an output. An output of amount 0 is a blank, whose amount is the signature's.
pub(super) fn coin(output: &Output, signature: &BlindSignature, keysets: &Keysets) -> Result<Proof, Refusal> {
    let asked = &output.message;
    let blank = asked.amount.to_u64() == 0;
    if signature.keyset_id != asked.keyset_id || !(blank || signature.amount == asked.amount) {
        return Err(misunderstood("with signatures for another keyset or amount"));
    }
    let key = keysets.get(&asked.keyset_id).and_then(|keyset| keyset.keys.amount_key(signature.amount));
    let key: PublicKey = key.ok_or_else(|| misunderstood("with an amount that its keyset has not"))?;
    let dleq = signature.dleq.as_ref().ok_or_else(|| misunderstood("without the proofs of its signatures"))?;
    signature
        .verify_dleq(key, asked.blinded_secret)
        .map_err(|_| misunderstood("with signatures that are not of its published keys"))?;
    let c = unblind_message(&signature.c, &output.r, &key).map_err(|_| misunderstood("with an unusable signature"))?;
    let dleq = ProofDleq::new(dleq.e.clone(), dleq.s.clone(), output.r.clone());
    Ok(Proof { dleq: Some(dleq), ..Proof::new(signature.amount, asked.keyset_id, output.secret.clone(), c) })
}

/// The coins of those outputs that were signed before, in the order of the outputs. Each output has its own amount or is a blank.
pub(super) fn restored(outputs: &[Output], answer: &RestoreResponse, keysets: &Keysets) -> Result<Vec<Proof>, Refusal> {
    if answer.outputs.len() != answer.signatures.len() || answer.outputs.len() > outputs.len() {
        return Err(misunderstood("with another number of signatures than outputs"));
    }
    let mut found = Vec::new();
    for output in outputs {
        let same = |message: &cashu::BlindedMessage| message.blinded_secret == output.message.blinded_secret;
        if let Some(place) = answer.outputs.iter().position(same) {
            found.push(coin(output, &answer.signatures[place], keysets)?);
        }
    }
    Ok(found)
}

/// Inputs as they go out: without the proofs, which would show the mint the blinding.
pub(super) fn bare(coins: &[Proof]) -> Vec<Proof> {
    coins.iter().map(|coin| Proof { dleq: None, ..coin.clone() }).collect()
}

/// How long to wait before asking the same again, the `tries`-th time: 2 s, doubling, at most 5 minutes.
pub(super) fn back_off(now: Time, tries: u32) -> Time {
    now.after(semper_core::time::Seconds(2_u64.saturating_pow(tries.saturating_add(1)).min(300)))
}

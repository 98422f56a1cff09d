//! Learns the preimage with which the payee has taken the money of a hash lock (NUT-07, NUT-14).
//!
//! A preimage proves itself: what hashes to the lock's hash is it, and nothing else that the mint says is believed. Nor
//! need anything else be in order: the keyset of the coins may have expired, and the payee may have written around the
//! preimage what it liked. Mints keep that text as it came, and what one reader of JSON takes another refuses. So it is
//! not read, but searched.

use std::str::FromStr as _;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::schnorr::Signature;
use cashu::nuts::State;
use cashu::{Proof, PublicKey};
use data_encoding::HEXLOWER_PERMISSIVE;
use semper_core::machine::Fault;
use semper_core::time::Time;
use semper_transfer::payment::means::LockKind;
use semper_transfer::payment::module::{IssuerReply, Next, Step};
use semper_transfer::payment::operation::{Failure, Lock};
use serde::{Deserialize, Serialize};

use super::exchange::{self, CoinState, back_off};
use super::lock::Terms;
use super::stage::{Run, Stage, Stop};

/// Digits of a preimage.
const DIGITS: usize = 64;

/// A lock whose preimage is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asking {
    coins: Vec<Proof>,
    hash: [u8; 32],
    /// Who may take the money back.
    payer: PublicKey,
    /// Until when the mint is left alone, and how often it was.
    rest: Option<u64>,
    tries: u32,
}

impl Run<'_> {
    /// Payer: asks for the preimage.
    pub(super) fn preimage(&self, lock: &Lock, token: &[u8]) -> Result<Step, Stop> {
        let (LockKind::Hash, Some(hash)) = (lock.kind, lock.hash) else {
            return Err(Stop::misuse("only a hash lock is opened with a preimage"));
        };
        let terms = Terms::of(lock).map_err(Stop::peer)?;
        if self.secret(&terms.payer).is_none() {
            return Err(Stop::misuse("the lock is not of this purse's payer"));
        }
        let coins = self.unchecked(token)?;
        terms.check(&coins).map_err(Stop::peer)?;
        Ok(self.to(Stage::Preimage(Asking { coins, hash, payer: terms.payer.key, rest: None, tries: 0 })))
    }
}

impl Asking {
    pub(super) fn next(&self, run: &Run<'_>) -> Next {
        match self.rest {
            Some(until) => Next::Wait(Time::from_unix(until)),
            None => Next::Ask(exchange::check_states(run.issuer(), &self.coins)),
        }
    }

    /// After a rest.
    pub(super) fn again(self) -> Self {
        Self { rest: None, ..self }
    }

    pub(super) fn on(self, run: &Run<'_>, reply: &IssuerReply) -> Step {
        let failed = |fault, reason: &str| Step::failed(Failure::unmoved(fault, reason));
        let states = match exchange::states_of(&self.coins, reply) {
            Ok(states) => states,
            Err(why) => {
                let reason = format!("the mint does not say how the lock stands: {}", why.words());
                return failed(Fault::ThirdParty, &reason);
            }
        };
        // One coin is enough: all have one hash.
        let shown = states.iter().filter_map(CoinState::witness_text).find_map(|text| preimage_in(text, &self.hash));
        if let Some(preimage) = shown {
            return Step::to(Vec::new(), run.outcome(0, 0, preimage.to_vec()));
        }
        if states.iter().any(|state| state.state == State::Pending) {
            let rest = Some(back_off(run.now(), self.tries).unix());
            return run.to(Stage::Preimage(Self { rest, tries: self.tries.saturating_add(1), ..self }));
        }
        let spent = |state: &CoinState| state.state == State::Spent;
        if self.coins.iter().zip(&states).any(|(coin, state)| spent(state) && !self.took_back(coin, state)) {
            return failed(Fault::ThirdParty, "the mint shows no preimage for money that it says has been taken");
        }
        if !states.iter().all(spent) {
            return failed(Fault::PeerRefused, "the payee has not taken the money of the lock");
        }
        failed(Fault::Misuse, "the payer has taken the money of the lock back itself")
    }

    /// Whether a spent coin was taken back by the payer, whose signature nobody else can make.
    fn took_back(&self, coin: &Proof, state: &CoinState) -> bool {
        let signatures = state.witness().and_then(|witness| witness.signatures()).unwrap_or_default();
        let mut signatures = signatures.iter().filter_map(|text| Signature::from_str(text).ok());
        signatures.any(|signature| self.payer.verify(coin.secret.as_bytes(), &signature).is_ok())
    }
}

/// The preimage of a hash, if it stands in a text: in digits, which JSON allows to be written as `\u00XX` each.
fn preimage_in(text: &str, hash: &[u8; 32]) -> Option<[u8; 32]> {
    let plain = unescaped(text.as_bytes());
    let digits = plain.split(|byte| !byte.is_ascii_hexdigit());
    let mut candidates = digits.flat_map(|run| run.windows(DIGITS));
    candidates.find_map(|candidate| {
        let mut preimage = [0; 32];
        HEXLOWER_PERMISSIVE.decode_mut(candidate, &mut preimage).ok()?;
        (sha256::Hash::hash(&preimage).as_byte_array() == hash).then_some(preimage)
    })
}

/// A text with its characters of the form `\u00XX` as single bytes.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, others)) = rest.split_first() {
        let escaped = rest.strip_prefix(b"\\u00").and_then(|code| code.split_first_chunk::<2>());
        let escaped = escaped.and_then(|(code, after)| Some((HEXLOWER_PERMISSIVE.decode(code).ok()?, after)));
        match escaped {
            Some((byte, after)) => {
                plain.extend(byte);
                rest = after;
            }
            None => {
                plain.push(*first);
                rest = others;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    // A payee that writes the preimage so that the mint reads it and the payer does not would have the money for
    // nothing.
    #[test]
    fn a_preimage_is_found_however_it_is_written() {
        let preimage = [0xab; 32];
        let hash = sha256::Hash::hash(&preimage).to_byte_array();
        let small = "ab".repeat(32);
        let escaped = "\\u0061\\u0062".repeat(32);
        let hidden = [
            format!(r#"{{"preimage":"{small}","signatures":[]}}"#),
            format!(r#"{{"preimage":"{}"}}"#, small.to_uppercase()),
            format!(r#"{{"preimage":"{escaped}"}}"#),
            format!(r#"{{"x":NaN,"preimage":"{}","preimage":"{escaped}"}}"#, "00".repeat(32)),
            format!("c{small}c"),
        ];
        for text in hidden {
            assert_eq!(preimage_in(&text, &hash), Some(preimage), "{text}");
        }
        for text in
            ["", "\\u00", "\\u006", &small[..63], &"00".repeat(32), &format!("{} {}", &small[..32], &small[32..])]
        {
            assert_eq!(preimage_in(text, &hash), None, "{text}");
        }
    }
}

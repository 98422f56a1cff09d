//! What the mint remembers: write-once facts, and one versioned state per payment. Layout: `spec/ecash.md` §4.
//!
//! A request is granted by one commit. Each coin that it spends and each message that it signs is a fact, so of two requests that want one
//! coin one is stored, whatever number of servers takes them in. The fact names the request: the same request, sent again, finds itself
//! and is answered again.
//!
//! A coin that was given to a payment which definitely failed is free again, though its fact stands: the fact names the attempt, and the
//! payment's state counts the attempts that failed. It is spent again under the same key with the next *generation* behind it.

use std::sync::Arc;

use cashu::{Id, Proof, PublicKey, Witness};
use semper_core::cbor::{Decode, DecodeError};
use semper_core::hash::Digest;
use semper_support::archive::{Archive, Commit, CommitError, Fact, ReadError};

use super::melt::{self, MeltState};
use super::refusal::Refusal;
use crate::ecash::crypto::hash_to_curve;

/// How often a commit whose outcome is unknown is sent again before the client has to.
const UNKNOWN_MAX: u32 = 3;
/// How often one coin may come back from failed payments; then it must be swapped. Bounds the work of looking it up.
pub(super) const RETURNS_MAX: u8 = 32;

/// The first byte of a fact's value that names a request by its digest.
const BY_REQUEST: u8 = 1;
/// The first byte of a fact's value that names a payment.
const BY_MELT: u8 = 2;

/// Space of spent coins of a keyset: its short identifier, 8 bytes, is behind it in hexadecimal digits.
pub(super) fn spent_space(keyset: &Id) -> String {
    space("ecash-spent/", keyset)
}

/// Space of signed messages of a keyset.
pub(super) fn signed_space(keyset: &Id) -> String {
    space("ecash-signed/", keyset)
}

fn space(prefix: &str, keyset: &Id) -> String {
    let mut space = keyset.to_string();
    space.truncate(16);
    space.insert_str(0, prefix);
    space
}

/// Whether two keysets would share their spaces.
pub(super) fn same_space(a: &Id, b: &Id) -> bool {
    spent_space(a) == spent_space(b)
}

/// A coin to be spent.
pub(super) struct Coin {
    space: String,
    y: PublicKey,
    exponent: u8,
    witness: Vec<u8>,
}

impl Coin {
    /// A coin whose amount was checked to be a power of two. The witness is kept if the coin has a condition, because others may want to
    /// read the preimage in it.
    pub(super) fn new(proof: &Proof) -> Self {
        let conditional = proof.secret.as_bytes().trim_ascii_start().starts_with(b"[");
        let witness = proof.witness.as_ref().filter(|_| conditional);
        Self {
            space: spent_space(&proof.keyset_id),
            y: hash_to_curve(proof.secret.as_bytes()),
            exponent: exponent(proof.amount.to_u64()),
            witness: witness.map(witness_json).unwrap_or_default(),
        }
    }

    /// The point of its secret.
    pub(super) fn y(&self) -> &PublicKey {
        &self.y
    }
}

/// A message to be signed.
pub(super) struct Output {
    space: String,
    key: [u8; 33],
    exponent: u8,
}

impl Output {
    /// A message for an amount that was checked to be a power of two.
    pub(super) fn new(keyset: &Id, blinded: &PublicKey, amount: u64) -> Self {
        Self { space: signed_space(keyset), key: blinded.to_bytes(), exponent: exponent(amount) }
    }
}

fn exponent(amount: u64) -> u8 {
    u8::try_from(amount.trailing_zeros()).unwrap_or(u8::MAX)
}

/// Who spends coins.
#[derive(Clone)]
pub(super) enum Spender {
    /// The request with this digest.
    Request(Digest),
    /// An attempt to pay a melt quote.
    Melt { quote: String, attempt: u8 },
}

/// Why a coin is not free, or what signed a message.
pub(super) enum Standing {
    /// Spent for good.
    Spent {
        /// The witness in JSON, empty if there was none.
        witness: Vec<u8>,
    },
    /// In a payment that is not finished.
    Pending,
    /// Free.
    Free,
}

/// The value of a spent coin.
/// `[1][exponent][digest: 32][witness]` or `[2][exponent][attempt][len][quote: len][witness]`.
pub(super) enum SpentBy {
    Request { exponent: u8, witness: Vec<u8> },
    Melt { exponent: u8, attempt: u8, quote: String, witness: Vec<u8> },
}

impl SpentBy {
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        match value {
            [BY_REQUEST, exponent, rest @ ..] => {
                Some(Self::Request { exponent: *exponent, witness: rest.get(Digest::LEN..)?.to_vec() })
            }
            [BY_MELT, exponent, attempt, len, rest @ ..] => {
                let (quote, witness) = rest.split_at_checked(usize::from(*len))?;
                let quote = String::from_utf8(quote.to_vec()).ok()?;
                Some(Self::Melt { exponent: *exponent, attempt: *attempt, quote, witness: witness.to_vec() })
            }
            _ => None,
        }
    }

    pub(super) fn amount(&self) -> u64 {
        let (Self::Request { exponent, .. } | Self::Melt { exponent, .. }) = self;
        1_u64.checked_shl(u32::from(*exponent)).unwrap_or(0)
    }
}

/// The value of a signed message: `[1][exponent]`, or `[2][place][len][quote: len]` for the change of a payment, whose amounts are in the
/// payment's state.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SignedFor {
    Amount(u64),
    Change { quote: String, place: u8 },
}

impl SignedFor {
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        match value {
            [BY_REQUEST, exponent] => Some(Self::Amount(1_u64.checked_shl(u32::from(*exponent))?)),
            [BY_MELT, place, len, quote @ ..] if quote.len() == usize::from(*len) => {
                Some(Self::Change { quote: String::from_utf8(quote.to_vec()).ok()?, place: *place })
            }
            _ => None,
        }
    }
}

/// How a commit ended.
pub(super) enum Granted {
    /// It is stored.
    Now,
    /// The same request was stored before; nothing is stored now.
    Before,
    /// A state was changed meanwhile, or a fact that is neither coin nor message stands with another value.
    Conflict,
}

/// What a request wants to be stored, as far as it is known what stands.
struct Wish<'a> {
    spender: &'a Spender,
    coins: &'a [Coin],
    outputs: &'a [Output],
    /// How often each coin came back.
    returns: Vec<u8>,
    /// Which outputs are promised to this payment already.
    ours: Vec<bool>,
}

impl Wish<'_> {
    fn facts(&self) -> impl Iterator<Item = Fact> {
        let spent = self.coins.iter().zip(&self.returns).map(|(coin, returns)| coin.fact(self.spender, *returns));
        let new = self.outputs.iter().enumerate().filter(|(place, _)| !self.ours[*place]);
        spent.chain(new.map(|(place, output)| output.fact(self.spender, place)))
    }

    fn coin_at(&self, fact: &Fact) -> Option<usize> {
        let mut coins = self.coins.iter().zip(&self.returns);
        coins.position(|(coin, returns)| coin.space == fact.space && generation(&coin.y, *returns) == fact.key)
    }

    fn output_at(&self, fact: &Fact) -> Option<usize> {
        self.outputs.iter().position(|output| output.space == fact.space && output.key.as_slice() == fact.key)
    }
}

/// The mint's memory.
#[derive(Clone)]
pub(super) struct Ledger {
    pub(super) archive: Arc<dyn Archive>,
}

impl Ledger {
    /// Stores what a request changes: `with`, the coins as spent, the messages as signed; all or nothing.
    pub(super) async fn grant(
        &self,
        spender: &Spender,
        coins: &[Coin],
        outputs: &[Output],
        with: Commit,
    ) -> Result<Granted, Refusal> {
        let mut wish =
            Wish { spender, coins, outputs, returns: vec![0; coins.len()], ours: vec![false; outputs.len()] };
        let mut unknown = 0;
        loop {
            let mut commit = with.clone();
            commit.facts.extend(wish.facts());
            let ended = match self.archive.commit(commit).await {
                Ok(()) => Some(Granted::Now),
                Err(CommitError::Stale { .. }) => Some(Granted::Conflict),
                Err(CommitError::Taken { stands }) => self.in_the_way(&mut wish, &with, &stands).await?,
                Err(CommitError::Unknown(error)) if unknown < UNKNOWN_MAX => {
                    tracing::warn!(%error, "the outcome of a commit is unknown");
                    unknown += 1;
                    None
                }
                Err(error) => return Err(storage(&error)),
            };
            if let Some(granted) = ended {
                return Ok(granted);
            }
        }
    }

    /// What a fact that stands already means for a request; `None`: it is to be tried again, with the wish as it is now.
    async fn in_the_way(&self, wish: &mut Wish<'_>, with: &Commit, stands: &Fact) -> Result<Option<Granted>, Refusal> {
        if let Some(place) = wish.coin_at(stands) {
            self.coin_in_the_way(wish, place, &stands.value).await
        } else if let Some(place) = wish.output_at(stands) {
            self.output_in_the_way(wish, place, &stands.value).await
        } else {
            Ok(Some(if with.facts.contains(stands) { Granted::Before } else { Granted::Conflict }))
        }
    }

    async fn coin_in_the_way(
        &self,
        wish: &mut Wish<'_>,
        place: usize,
        value: &[u8],
    ) -> Result<Option<Granted>, Refusal> {
        let is_melt = matches!(wish.spender, Spender::Melt { .. });
        if value.starts_with(&wish.coins[place].value_head(wish.spender)) {
            // A payment's own coins: its state says how far it is.
            return Ok(Some(if is_melt { Granted::Conflict } else { Granted::Before }));
        }
        let returns = &mut wish.returns[place];
        match self.standing(value).await? {
            Standing::Spent { .. } => Err(Refusal::Spent),
            Standing::Pending => Err(Refusal::InputsPending),
            Standing::Free if *returns + u8::from(is_melt) < RETURNS_MAX => {
                *returns += 1;
                Ok(None)
            }
            // The last generation is left for a swap.
            Standing::Free if is_melt => Err(Refusal::TooManyReturns),
            Standing::Free => Err(Refusal::Spent),
        }
    }

    async fn output_in_the_way(
        &self,
        wish: &mut Wish<'_>,
        place: usize,
        value: &[u8],
    ) -> Result<Option<Granted>, Refusal> {
        match (wish.spender, SignedFor::read(value).ok_or_else(|| damaged("a signed message"))?) {
            // An attempt before this one failed; its blank outputs are still this payment's.
            (Spender::Melt { quote, .. }, SignedFor::Change { quote: other, place: at })
                if *quote == other && place == usize::from(at) =>
            {
                wish.ours[place] = true;
                Ok(None)
            }
            (_, SignedFor::Change { quote, .. }) if self.melt(&quote).await?.0.is_pending() => {
                Err(Refusal::OutputsPending)
            }
            _ => Err(Refusal::Signed),
        }
    }

    /// Whether the request with this digest spent the coin: then all of it was granted, for a request is stored as a whole.
    pub(super) async fn was_granted(&self, coin: &Coin, request: Digest) -> Result<bool, Refusal> {
        let spender = Spender::Request(request);
        for returns in 0..=RETURNS_MAX {
            let Some(value) = self.fact(&coin.space, &generation(&coin.y, returns)).await? else { return Ok(false) };
            if value.starts_with(&coin.value_head(&spender)) {
                return Ok(true);
            }
            if !matches!(self.standing(&value).await?, Standing::Free) {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// How a coin stands in one keyset.
    pub(super) async fn coin(&self, keyset: &Id, y: &PublicKey) -> Result<Standing, Refusal> {
        let space = spent_space(keyset);
        for returns in 0..=RETURNS_MAX {
            let Some(value) = self.fact(&space, &generation(y, returns)).await? else { break };
            match self.standing(&value).await? {
                Standing::Free => {}
                taken => return Ok(taken),
            }
        }
        Ok(Standing::Free)
    }

    /// What a message was signed for: its amount; `None` if it was not signed, or is blank.
    pub(super) async fn signed(&self, keyset: &Id, blinded: &PublicKey) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.fact(&signed_space(keyset), &blinded.to_bytes()).await? else { return Ok(None) };
        match SignedFor::read(&value).ok_or_else(|| damaged("a signed message"))? {
            SignedFor::Amount(amount) => Ok(Some(amount)),
            SignedFor::Change { quote, place } => Ok(self.melt(&quote).await?.0.change_at(place)),
        }
    }

    /// The state of a payment and its version; 0 if nothing is stored.
    pub(super) async fn melt(&self, quote: &str) -> Result<(MeltState, u64), Refusal> {
        let stored = self.archive.state(&melt::key(quote)).await.map_err(|error| reading(&error))?;
        let Some(stored) = stored else { return Ok((MeltState::default(), 0)) };
        let state = MeltState::from_bytes(&stored.bytes).map_err(|error| undecodable("a payment", &error))?;
        Ok((state, stored.version))
    }

    pub(super) async fn fact(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        self.archive.fact(space, key).await.map_err(|error| reading(&error))
    }

    /// How a coin stands whose fact has this value.
    pub(super) async fn standing(&self, value: &[u8]) -> Result<Standing, Refusal> {
        match SpentBy::read(value).ok_or_else(|| damaged("a spent coin"))? {
            SpentBy::Request { witness, .. } => Ok(Standing::Spent { witness }),
            SpentBy::Melt { attempt, quote, witness, .. } => {
                let (state, _) = self.melt(&quote).await?;
                Ok(match state {
                    state if attempt < state.failed() => Standing::Free,
                    state if state.is_pending() => Standing::Pending,
                    _ => Standing::Spent { witness },
                })
            }
        }
    }
}

impl Coin {
    fn fact(&self, spender: &Spender, returns: u8) -> Fact {
        let mut value = self.value_head(spender);
        value.extend_from_slice(&self.witness);
        Fact { space: self.space.clone(), key: generation(&self.y, returns), value }
    }

    /// The value without the witness: signatures may be made anew when a request is sent again.
    fn value_head(&self, spender: &Spender) -> Vec<u8> {
        match spender {
            Spender::Request(digest) => [&[BY_REQUEST, self.exponent], digest.as_bytes().as_slice()].concat(),
            Spender::Melt { quote, attempt } => {
                let len = u8::try_from(quote.len()).unwrap_or(u8::MAX);
                [&[BY_MELT, self.exponent, *attempt, len], quote.as_bytes()].concat()
            }
        }
    }
}

impl Output {
    fn fact(&self, spender: &Spender, place: usize) -> Fact {
        let value = match spender {
            Spender::Request(_) => vec![BY_REQUEST, self.exponent],
            Spender::Melt { quote, .. } => {
                let (place, len) =
                    (u8::try_from(place).unwrap_or(u8::MAX), u8::try_from(quote.len()).unwrap_or(u8::MAX));
                [&[BY_MELT, place, len], quote.as_bytes()].concat()
            }
        };
        Fact { space: self.space.clone(), key: self.key.to_vec(), value }
    }
}

fn generation(y: &PublicKey, returns: u8) -> Vec<u8> {
    let mut key = y.to_bytes().to_vec();
    if returns > 0 {
        key.push(returns);
    }
    key
}

fn witness_json(witness: &Witness) -> Vec<u8> {
    let json = match witness {
        Witness::P2PKWitness(witness) => serde_json::to_vec(witness),
        Witness::HTLCWitness(witness) => serde_json::to_vec(witness),
    };
    json.expect("a witness is text")
}

/// A commit that stored nothing.
pub(super) fn storage(error: &CommitError) -> Refusal {
    tracing::error!(%error, "the mint cannot store");
    match error {
        CommitError::Unknown(_) => Refusal::Unsure,
        _ => Refusal::Busy("storage failed"),
    }
}

pub(super) fn reading(error: &ReadError) -> Refusal {
    tracing::error!(%error, "the mint cannot read");
    Refusal::Busy("storage failed")
}

pub(super) fn undecodable(what: &str, error: &DecodeError) -> Refusal {
    tracing::error!(what, %error, "a stored record is not readable");
    Refusal::Busy("storage failed")
}

pub(super) fn damaged(what: &str) -> Refusal {
    tracing::error!(what, "a stored value is not readable");
    Refusal::Busy("storage failed")
}

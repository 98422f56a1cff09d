//! What the parties' half keeps in its purse and in an operation's stage, and how it talks to the bank.
//!
//! ```text
//! record "terms"           the bank's signed terms
//! record "account"         { 0: number, 1: balance, 2: held, 3: highest level }           ; as the bank said last, and what was done since
//! record "out/" ‖ hold     { 0: amount and fee in minor units, 1: authorise before }      ; tokens that the bank has not seen yet
//! record "settled/" ‖ hold nothing                                                         ; locks whose money an operation has been told of
//! stage = { 0: phase, ? 1: purpose, ? 2: payload or signed request, ? 3: payment, ? 4: round, ? 5: hold }
//! payment = { 0: handover, 1: amount, 2: fee, 3: until, ? 4: signed request, 5: level }
//! handover = { 0: token, ? 1: salt }              ; the payee gets the salt, the bank does not
//! ```

use aws_lc_rs::hkdf;
use data_encoding::BASE64;
use semper_core::amount::{Amount, Currency};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Record, Value, record};
use semper_core::cose::{Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::machine::Fault;
use semper_core::signature::{Verified, Verify, verify};
use semper_core::time::Time;
use semper_transfer::payment::means::Fees;
use semper_transfer::payment::module::{BODY_MAX, IssuerReply, IssuerRequest, Purse};
use semper_transfer::payment::operation::{Failure, HANDOVER_MAX, Money};
use zeroize::Zeroizing;

use super::answer::{AccountStatement, BankTerms, int};
use super::number::AccountNumber;
use super::payment::{Level, TOKEN_MAX, Token};
use super::problem::{ProblemKind, Refusal};

pub(super) const TERMS: &[u8] = b"terms";
pub(super) const ACCOUNT: &[u8] = b"account";
pub(super) const OUT: &[u8] = b"out/";
const SETTLED: &[u8] = b"settled/";

/// What is known of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) number: AccountNumber,
    pub(super) balance: i64,
    pub(super) held: u64,
    pub(super) level: Level,
}

/// A token that the bank has not seen yet, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Out {
    pub(super) minor: u64,
    pub(super) before: Time,
}

/// Where an operation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The bank's terms are awaited.
    Terms,
    /// The party's signature under a request is awaited.
    Sign { asking: Asking, payload: Vec<u8> },
    /// The bank's answer is awaited.
    Ask { asking: Asking, request: Signed },
    /// The user's word on an order is awaited.
    Order(Box<Made>),
    /// The party's signature under a release is awaited.
    Release(Vec<u8>),
    /// The end of another operation is awaited.
    Look,
    /// The time is awaited at which the payer can take back what the payee has not taken.
    Wait(Asking),
    /// The token was handed out.
    Paid(Box<Made>),
    /// It has ended otherwise.
    Ended,
}

/// Why a request goes to the bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    pub(super) purpose: Purpose,
    /// How many requests the operation has made before.
    pub(super) round: u64,
    /// The payment of another operation that this one takes back.
    pub(super) made: Option<Box<Made>>,
}

/// What a request to the bank is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Opening the account.
    Open,
    /// Reading the balance.
    Balance,
    /// What became of a token.
    Fate(Digest),
    /// What the operation itself is about.
    Main,
    /// Taking an unused token back.
    Revoke,
    /// The booking of what was taken.
    Proof,
    /// Where a lock stands that the other side has settled.
    Settled,
}

/// A payment that was made ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) handover: Handover,
    pub(super) amount: Amount,
    pub(super) fee: Amount,
    /// Until when the payee can use it.
    pub(super) until: Time,
    /// What it pays for; nothing for a lock.
    pub(super) request: Option<Signed>,
    pub(super) level: Level,
}

/// What the payer hands to the payee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handover {
    pub(super) token: Token,
    pub(super) salt: Option<[u8; 32]>,
}

/// The key of the MACs of one purse, and the id under which its account is opened: derived from the owner's seed, so that the
/// account is found again from it.
pub(super) struct Derived {
    pub(super) mac_key: Zeroizing<[u8; 32]>,
    pub(super) open_id: [u8; 16],
}

struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// `HKDF-SHA-256(seed, info = "semper/purse/1" ‖ "account" ‖ 0 ‖ issuer ‖ 0 ‖ currency)`: 32 bytes of key, 16 of id.
pub(super) fn derive(seed: &[u8; 32], issuer: &str, currency: Currency) -> Derived {
    let key = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(seed);
    let code = currency.to_string();
    let info = [domain::PURSE.as_bytes(), b"account\0", issuer.as_bytes(), &[0], code.as_bytes()];
    let mut out = Zeroizing::new([0; 48]);
    let okm = key.expand(&info, Len(48)).expect("48 bytes are within the bound of HKDF");
    okm.fill(&mut *out).expect("the length is the one that was asked for");
    let mut mac_key = Zeroizing::new([0; 32]);
    mac_key.copy_from_slice(&out[..32]);
    let mut open_id = [0; 16];
    open_id.copy_from_slice(&out[32..]);
    Derived { mac_key, open_id }
}

/// The bank's terms, if they are known.
pub(super) fn terms(purse: &Purse) -> Option<BankTerms> {
    let signed = Signed::from_bytes(purse.records.get(TERMS)?).ok()?;
    BankTerms::from_bytes(signed.payload()).ok()
}

/// What is known of the account, if it was opened.
pub(super) fn known(purse: &Purse) -> Option<Known> {
    Known::from_bytes(purse.records.get(ACCOUNT)?).ok()
}

/// Tokens that the bank has not seen yet.
pub(super) fn outs(purse: &Purse) -> impl Iterator<Item = (Digest, Out)> {
    purse.under(OUT).filter_map(|(key, value)| {
        let hold = Digest::from_array(key.try_into().ok()?);
        Some((hold, Out::from_bytes(value).ok()?))
    })
}

pub(super) fn settled_key(hold: &Digest) -> Vec<u8> {
    [SETTLED, hold.as_bytes()].concat()
}

pub(super) fn out_key(hold: &Digest) -> Vec<u8> {
    [OUT, hold.as_bytes()].concat()
}

/// The terms in a bank's answer, signed by the key that they name; a bank whose key was seen before must still have it.
pub(super) fn read_terms(
    verifier: &dyn Verify,
    purse: &Purse,
    reply: &IssuerReply,
) -> Result<(Signed, BankTerms), Failure> {
    let bad = |why: &str| Failure::unmoved(Fault::ThirdParty, format!("the bank's terms are not acceptable: {why}"));
    let document: serde_json::Value = match reply.status {
        200 => serde_json::from_slice(&reply.body).map_err(|_| bad("not JSON"))?,
        other => return Err(bad(&format!("status {other}"))),
    };
    let signed = document.get("signed").and_then(serde_json::Value::as_str).ok_or_else(|| bad("not signed"))?;
    let signed = BASE64.decode(signed.as_bytes()).map_err(|_| bad("not base64"))?;
    let signed = Signed::from_bytes(&signed).map_err(|e| bad(&e.to_string()))?;
    let terms = BankTerms::from_bytes(signed.payload()).map_err(|e| bad(&e.to_string()))?;
    verify::<BankTerms>(verifier, &terms.key_set, &signed).map_err(|e| bad(&e.to_string()))?;
    if terms.issuer != purse.issuer {
        return Err(bad("they are those of another address"));
    }
    if !terms.currencies.contains(&purse.currency) {
        return Err(bad(&format!("it keeps no accounts in {}", purse.currency)));
    }
    match self::terms(purse) {
        Some(before) if before.key_set != terms.key_set => {
            Err(bad("it shows other keys than before; ask the bank before you trust them"))
        }
        _ => Ok((signed, terms)),
    }
}

/// The bank's refusal in a reply; `None` if it is no refusal.
pub(super) fn refusal(reply: &IssuerReply) -> Option<Refusal> {
    if reply.status == 200 { None } else { Refusal::from_json(&reply.body) }
}

/// The signed statement in a reply.
pub(super) fn read<T: Statement>(
    verifier: &dyn Verify,
    terms: &BankTerms,
    reply: &IssuerReply,
) -> Result<Verified<T>, Failure> {
    if let Some(refusal) = refusal(reply) {
        return Err(failure(&refusal));
    }
    let strange =
        |why: String| Failure::unknown(Fault::ThirdParty, format!("the bank's answer is not acceptable: {why}"));
    if reply.status != 200 {
        return Err(strange(format!("status {}", reply.status)));
    }
    let signed = Signed::from_bytes(&reply.body).map_err(|e| strange(e.to_string()))?;
    verify::<T>(verifier, &terms.key_set, &signed).map_err(|e| strange(e.to_string()))
}

/// An answer that is well signed but answers something else.
pub(super) fn mismatch() -> Failure {
    Failure::unknown(Fault::ThirdParty, "the bank's answer does not answer what was asked")
}

/// A bank's refusal as the end of an operation.
pub(super) fn failure(refusal: &Refusal) -> Failure {
    let fault = match refusal.kind {
        ProblemKind::BadToken | ProblemKind::TokenUsed | ProblemKind::BadRelease => Fault::PeerMisbehaved,
        ProblemKind::Declined | ProblemKind::TokenExpired | ProblemKind::NotHeld => Fault::PeerRefused,
        ProblemKind::Malformed | ProblemKind::WrongBank | ProblemKind::Conflict | ProblemKind::TooLarge => {
            Fault::Misuse
        }
        _ => Fault::ThirdParty,
    };
    let reason = format!("the bank refuses: {refusal}. {}", refusal.kind.advice());
    let mut failure = Failure::unmoved(fault, reason);
    if refusal.kind.fate() == super::problem::Fate::Again {
        failure.money = Money::Unknown;
    }
    failure
}

/// The address for requests, and the address of the terms.
pub(super) fn requests_url(issuer: &str) -> String {
    format!("{}/v1/requests", issuer.trim_end_matches('/'))
}

pub(super) fn terms_url(issuer: &str) -> String {
    format!("{}/v1/bank", issuer.trim_end_matches('/'))
}

pub(super) fn post(issuer: &str, request: &Signed) -> IssuerRequest {
    let body = Some(("application/cose".to_owned(), request.bytes().to_vec()));
    IssuerRequest { url: requests_url(issuer), body }
}

impl Known {
    pub(super) fn of(statement: &AccountStatement) -> Self {
        let (number, balance) = (statement.account, statement.balance);
        Self { number, balance, held: statement.held, level: statement.level }
    }

    /// After money has come or gone, until the bank says it itself.
    pub(super) fn changed_by(self, change: i64) -> Self {
        Self { balance: self.balance.saturating_add(change), ..self }
    }
}

/// What a payment costs under these terms.
///
/// # Errors
/// The amount is too large to be counted.
pub(super) fn fee(fees: Fees, amount: Amount) -> Result<Amount, Failure> {
    fees.of(amount).map_err(|e| Failure::unmoved(Fault::Misuse, e.to_string()))
}

impl Handover {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let bad = |e: DecodeError| Failure::unmoved(Fault::PeerMisbehaved, format!("the payer's token: {e}"));
        Self::from_bytes(bytes).map_err(bad)
    }
}

impl Encode for Known {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.number).put(1, self.balance).put(2, self.held).put_item(3, &self.level).build()
    }
}

impl Decode for Known {
    const BYTES_MAX: usize = 128;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        let (number, balance) = (f.item(0, "number")?, int(&mut f, 1, "balance")?);
        let known = Self { number, balance, held: f.uint(2, "held")?, level: f.item(3, "level")? };
        f.close()?;
        Ok(known)
    }
}

impl Encode for Out {
    fn to_value(&self) -> Value {
        record().put(0, self.minor).put_item(1, &self.before).build()
    }
}

impl Decode for Out {
    const BYTES_MAX: usize = 64;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        let out = Self { minor: f.uint(0, "minor")?, before: f.item(1, "before")? };
        f.close()?;
        Ok(out)
    }
}

impl Encode for Handover {
    fn to_value(&self) -> Value {
        record().put_bytes(0, self.token.to_bytes()).put_some(1, self.salt.map(Value::bytes)).build()
    }
}

impl Decode for Handover {
    const BYTES_MAX: usize = TOKEN_MAX + 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        let token = Token::from_bytes(&f.bytes(0, "token", TOKEN_MAX)?).map_err(|e| e.within("token"))?;
        let salt = f.optional_item::<Digest>(1, "salt")?.map(|salt| *salt.as_bytes());
        f.close()?;
        Ok(Self { token, salt })
    }
}

impl Encode for Made {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.handover)
            .put_item(1, &self.amount)
            .put_item(2, &self.fee)
            .put_item(3, &self.until)
            .put_some(4, self.request.as_ref().map(Encode::to_value))
            .put_item(5, &self.level)
            .build()
    }
}

impl Decode for Made {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        let (handover, amount) = (f.item(0, "handover")?, f.item(1, "amount")?);
        let (fee, until) = (f.item(2, "fee")?, f.item(3, "until")?);
        let request = f.optional_item(4, "request")?;
        let made = Self { handover, amount, fee, until, request, level: f.item(5, "level")? };
        f.close()?;
        Ok(made)
    }
}

impl Purpose {
    fn number(self) -> u64 {
        match self {
            Purpose::Open => 0,
            Purpose::Balance => 1,
            Purpose::Fate(_) => 2,
            Purpose::Main => 3,
            Purpose::Revoke => 4,
            Purpose::Proof => 5,
            Purpose::Settled => 6,
        }
    }
}

impl Asking {
    /// The next request of the same operation.
    pub(super) fn then(self, purpose: Purpose) -> Self {
        Self { purpose, round: self.round + 1, made: self.made }
    }

    fn write(&self, phase: &str) -> Record {
        let hold = if let Purpose::Fate(hold) = self.purpose { Some(hold.to_value()) } else { None };
        record()
            .put(0, phase)
            .put(1, self.purpose.number())
            .put_some(3, self.made.as_ref().map(|made| made.to_value()))
            .put(4, self.round)
            .put_some(5, hold)
    }

    fn read(f: &mut Fields) -> Result<Self, DecodeError> {
        let number = f.uint(1, "purpose")?;
        let hold: Option<Digest> = f.optional_item(5, "hold")?;
        let purpose = match (number, hold) {
            (0, None) => Purpose::Open,
            (1, None) => Purpose::Balance,
            (2, Some(hold)) => Purpose::Fate(hold),
            (3, None) => Purpose::Main,
            (4, None) => Purpose::Revoke,
            (5, None) => Purpose::Proof,
            (6, None) => Purpose::Settled,
            _ => {
                let problem = Problem::Unknown { what: "purpose", found: number.to_string() };
                return Err(DecodeError::field("purpose", problem));
            }
        };
        let made = f.optional_item(3, "payment")?.map(Box::new);
        Ok(Self { purpose, round: f.uint(4, "round")?, made })
    }
}

impl Encode for Stage {
    fn to_value(&self) -> Value {
        match self {
            Stage::Terms => record().put(0, "terms"),
            Stage::Sign { asking, payload } => asking.write("sign").put_bytes(2, payload),
            Stage::Ask { asking, request } => asking.write("ask").put_item(2, request),
            Stage::Order(made) => record().put(0, "order").put_item(3, &**made),
            Stage::Release(payload) => record().put(0, "release").put_bytes(2, payload),
            Stage::Look => record().put(0, "look"),
            Stage::Wait(asking) => asking.write("wait"),
            Stage::Paid(made) => record().put(0, "paid").put_item(3, &**made),
            Stage::Ended => record().put(0, "ended"),
        }
        .build()
    }
}

impl Decode for Stage {
    const BYTES_MAX: usize = BODY_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        let phase = f.text(0, "phase", 16)?;
        let stage = match phase.as_str() {
            "terms" => Stage::Terms,
            "sign" => Stage::Sign { asking: Asking::read(&mut f)?, payload: f.bytes(2, "payload", HANDOVER_MAX)? },
            "ask" => Stage::Ask { asking: Asking::read(&mut f)?, request: f.item(2, "request")? },
            "order" => Stage::Order(Box::new(f.item(3, "payment")?)),
            "release" => Stage::Release(f.bytes(2, "payload", HANDOVER_MAX)?),
            "look" => Stage::Look,
            "wait" => Stage::Wait(Asking::read(&mut f)?),
            "paid" => Stage::Paid(Box::new(f.item(3, "payment")?)),
            "ended" => Stage::Ended,
            _ => return Err(DecodeError::field("phase", Problem::Unknown { what: "phase", found: phase })),
        };
        f.close()?;
        Ok(stage)
    }
}

//! What an account holder asks its bank: one signed statement, one route, each asked as often as needed and done once.
//!
//! ```text
//! account-request = { 0: 1, 1: issuer, 2: bank's key set id, 3: id (16 bytes), ? 4: account, 5: expires, 6: action }   ; 4 but for "open"
//! action = { 0: "open",      1: currency, 2: key set, 3: [* certificate (DER)], 4: sealed MAC key }
//!        / { 0: "transfer",  5: amount, 6: account, 7: reference, 8: most fee }
//!        / { 0: "authorise", 9: token, ? 5: amount to capture }
//!        / { 0: "capture",   10: hold, 5: amount, 11: "keep" / "release" }
//!        / { 0: "void",      10: hold }
//!        / { 0: "settle",    10: hold, 12: signed release }
//!        / { 0: "revoke",    10: hold }
//!        / { 0: "refund",    10: hold, 5: amount }
//!        / { 0: "statement", 13: from line, 14: most lines }
//!        / { 0: "find",      7: reference, 13: from line, 14: most lines }
//!        / { 0: "hold",      10: hold }
//!        / { 0: "booking",   10: hold, 13: number }
//!        / { 0: "status",    15: id of an earlier request }
//! ```
//! The MAC key is sealed with the context `"semper/purse/1" ‖ bank's key set id`. The last five only ask; the others are decided
//! once under the signer's key set and the id, and the answer stands for ever.

use std::fmt::Write as _;

use semper_core::amount::{Amount, Currency};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::party::KeySet;
use semper_core::text::escape;
use semper_core::time::Time;
use semper_transfer::payment::means::ISSUER_MAX;

use super::number::{AccountNumber, REFERENCE_MAX, is_reference};
use super::payment::{TOKEN_MAX, Token};

/// Largest signed request, in bytes.
pub const REQUEST_MAX: usize = 128 * 1024;
/// Most certificates in a request.
pub const CHAIN_MAX: usize = 5;
/// Largest certificate, in bytes.
pub const CERTIFICATE_MAX: usize = 8 * 1024;
/// Most lines of one statement of account.
pub const LINES_MAX: u64 = 100;

/// The name of a request: 16 bytes that its signer uses once.
pub type RequestId = [u8; 16];

/// What an account holder asks its bank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountRequest {
    /// The bank's address.
    pub issuer: String,
    /// The bank's key set: the request is good nowhere else.
    pub bank: KeySetId,
    /// The name of the request.
    pub id: RequestId,
    /// The account that it is about; `None` to open one.
    pub account: Option<AccountNumber>,
    /// When the bank no longer takes it.
    pub expires: Time,
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Open an account for the signer. Answer: a statement of account.
    Open {
        /// Its currency.
        currency: Currency,
        /// The signer's key set, which owns the account.
        key_set: KeySet,
        /// Certificates of the key set (DER), its own first.
        certificates: Vec<Vec<u8>>,
        /// The key of the MACs that authenticate payments, sealed for the bank.
        verifier: Vec<u8>,
    },
    /// Move money to another account of the bank. Answer: a booking.
    Transfer {
        /// How much arrives.
        amount: Amount,
        /// Where.
        to: AccountNumber,
        /// What the payee recognises it by.
        reference: String,
        /// Most fee on top.
        fee_most: Amount,
    },
    /// Payee: hold a payer's money and, if an amount is given, take it at once and let the rest go. Answer: an authorisation, or a
    /// booking of what was taken.
    Authorise {
        /// The payer's token.
        token: Token,
        /// What to take at once.
        capture: Option<Amount>,
    },
    /// Payee: take money that is held. Answer: a booking.
    Capture {
        /// The hold.
        hold: Digest,
        /// How much.
        amount: Amount,
        /// What becomes of the rest.
        rest: Rest,
    },
    /// Payee: let held money go. Answer: an authorisation.
    Void {
        /// The hold.
        hold: Digest,
    },
    /// Either side of a conditional hold: have a release carried out. Answer: a booking of what the payee gets, or an authorisation
    /// if it gets nothing.
    Settle {
        /// The hold.
        hold: Digest,
        /// The signed [`Release`](semper_transfer::payment::statement::Release).
        release: Signed,
    },
    /// Payer: take back an instruction that the payee has not handed in. Answer: an authorisation.
    Revoke {
        /// The hold that it would become.
        hold: Digest,
    },
    /// Payee: give back money that was taken. Answer: a booking.
    Refund {
        /// The hold.
        hold: Digest,
        /// How much.
        amount: Amount,
    },
    /// Lines of the account. Answer: a statement of account.
    Statement {
        /// From which line on, from 0.
        from: u64,
        /// At most how many.
        most: u64,
    },
    /// Lines with a reference. Answer: a statement of account.
    Find {
        /// The reference.
        reference: String,
        /// From which line of the account on, from 0.
        from: u64,
        /// At most how many.
        most: u64,
    },
    /// Where a hold stands. Answer: an authorisation.
    Hold {
        /// The hold.
        hold: Digest,
    },
    /// A booking of a hold. Answer: the booking as it was made.
    Booking {
        /// The hold.
        hold: Digest,
        /// Which, from 0.
        number: u64,
    },
    /// What was answered to an earlier request. Answer: the same again.
    Status {
        /// The request.
        request: RequestId,
    },
}

/// What becomes of held money that a capture leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rest {
    /// It stays held.
    Keep,
    /// It goes back to the payer.
    Release,
}

impl Action {
    /// The verb, as it is encoded and counted.
    pub const fn verb(&self) -> &'static str {
        match self {
            Action::Open { .. } => "open",
            Action::Transfer { .. } => "transfer",
            Action::Authorise { .. } => "authorise",
            Action::Capture { .. } => "capture",
            Action::Void { .. } => "void",
            Action::Settle { .. } => "settle",
            Action::Revoke { .. } => "revoke",
            Action::Refund { .. } => "refund",
            Action::Statement { .. } => "statement",
            Action::Find { .. } => "find",
            Action::Hold { .. } => "hold",
            Action::Booking { .. } => "booking",
            Action::Status { .. } => "status",
        }
    }

    /// Whether the account ends with less than it has or is to get. Listed one by one, so that a new action has to be judged.
    pub const fn gives_up_money(&self) -> bool {
        match self {
            Action::Transfer { .. } | Action::Void { .. } | Action::Refund { .. } => true,
            Action::Open { .. }
            | Action::Authorise { .. }
            | Action::Capture { .. }
            | Action::Settle { .. }
            | Action::Revoke { .. }
            | Action::Statement { .. }
            | Action::Find { .. }
            | Action::Hold { .. }
            | Action::Booking { .. }
            | Action::Status { .. } => false,
        }
    }

    /// The most that the account can lose by it, with the fee, as far as the request itself says it.
    pub fn most(&self) -> Option<Amount> {
        match self {
            Action::Transfer { amount, fee_most, .. } => amount.plus(*fee_most).ok(),
            Action::Refund { amount, .. } => Some(*amount),
            _ => None,
        }
    }

    /// What [`semper_support::crypto::Seal`] and `Open` are given as context for the key of the MACs.
    pub fn verifier_context(bank: KeySetId) -> Vec<u8> {
        [domain::PURSE.as_bytes(), bank.as_bytes()].concat()
    }

    fn describe(&self) -> String {
        match self {
            Action::Open { currency, .. } => format!("open an account in {currency}"),
            Action::Transfer { amount, to, reference, fee_most } => format!(
                "transfer {amount} to account {to}, reference \"{}\"; it may cost at most {fee_most} on top",
                escape(reference, 0)
            ),
            Action::Authorise { token, capture: Some(amount) } => {
                format!("take {amount} of the {} that a payer has ordered to be paid to you", token.order.amount)
            }
            Action::Authorise { token, capture: None } => {
                format!("hold the {} that a payer has ordered to be paid to you", token.order.amount)
            }
            Action::Capture { amount, .. } => format!("take {amount} that is held for you"),
            Action::Void { .. } => "let money go that is held for you".to_owned(),
            Action::Settle { .. } => "carry out a release of money that is held on a condition".to_owned(),
            Action::Revoke { .. } => "take back an order to pay that was not used".to_owned(),
            Action::Refund { amount, .. } => format!("give {amount} back that was paid to you"),
            Action::Statement { .. } => "show lines of the account".to_owned(),
            Action::Find { reference, .. } => format!("look for the reference \"{}\"", escape(reference, 0)),
            Action::Hold { .. } | Action::Booking { .. } => "say what became of a payment".to_owned(),
            Action::Status { .. } => "say what became of an earlier request".to_owned(),
        }
    }
}

impl AccountRequest {
    /// Whether the bank decides something about it, or only looks something up.
    pub const fn is_question(&self) -> bool {
        use Action::{Booking, Find, Hold, Statement, Status};
        matches!(self.action, Statement { .. } | Find { .. } | Hold { .. } | Booking { .. } | Status { .. })
    }

    /// What the signer agrees to, in plain words: who, what, how much, until when.
    pub fn describe(&self) -> String {
        let mut text = format!("Request to the bank {}\n", escape(&self.issuer, 0));
        if let Some(account) = self.account {
            let _ = writeln!(text, "for account {account}");
        }
        let _ = writeln!(text, "to {}.", self.action.describe());
        let _ = write!(text, "The bank takes it until {}.", self.expires);
        text
    }
}

impl Statement for AccountRequest {
    const KIND: Kind = Kind::AccountRequest;
}

impl Encode for AccountRequest {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.issuer.as_str())
            .put_item(2, &self.bank)
            .put_bytes(3, self.id)
            .put_some(4, self.account.map(|account| account.to_value()))
            .put_item(5, &self.expires)
            .put_item(6, &self.action)
            .build()
    }
}

impl Decode for AccountRequest {
    const BYTES_MAX: usize = REQUEST_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let request = Self {
            issuer: fields.text(1, "issuer", ISSUER_MAX)?,
            bank: fields.item(2, "bank")?,
            id: fields.exact(3, "id")?,
            account: fields.optional_item(4, "account")?,
            expires: fields.item(5, "expires")?,
            action: fields.item(6, "action")?,
        };
        fields.close()?;
        if request.account.is_none() != matches!(request.action, Action::Open { .. }) {
            return Err(DecodeError::field(
                "account",
                Problem::OutOfRange("every request but \"open\" names an account"),
            ));
        }
        Ok(request)
    }
}

impl Encode for Action {
    fn to_value(&self) -> Value {
        let action = record().put(0, self.verb());
        match self {
            Action::Open { currency, key_set, certificates, verifier } => {
                action.put(1, currency.code()).put_item(2, key_set).put_list(3, certificates).put_bytes(4, verifier)
            }
            Action::Transfer { amount, to, reference, fee_most } => {
                action.put_item(5, amount).put_item(6, to).put(7, reference.as_str()).put_item(8, fee_most)
            }
            Action::Authorise { token, capture } => {
                action.put_bytes(9, token.to_bytes()).put_some(5, capture.map(|amount| amount.to_value()))
            }
            Action::Capture { hold, amount, rest } => action.put_item(10, hold).put_item(5, amount).put_item(11, rest),
            Action::Void { hold } | Action::Revoke { hold } | Action::Hold { hold } => action.put_item(10, hold),
            Action::Settle { hold, release } => action.put_item(10, hold).put_item(12, release),
            Action::Refund { hold, amount } => action.put_item(10, hold).put_item(5, amount),
            Action::Statement { from, most } => action.put(13, *from).put(14, *most),
            Action::Find { reference, from, most } => action.put(7, reference.as_str()).put(13, *from).put(14, *most),
            Action::Booking { hold, number } => action.put_item(10, hold).put(13, *number),
            Action::Status { request } => action.put_bytes(15, request),
        }
        .build()
    }
}

impl Decode for Action {
    const BYTES_MAX: usize = REQUEST_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let verb = fields.text(0, "verb", 16)?;
        let f = &mut fields;
        let action = match verb.as_str() {
            "open" => Action::Open {
                currency: currency(f, 1)?,
                key_set: f.item(2, "key set")?,
                certificates: certificates(f)?,
                verifier: f.bytes(4, "verifier", 2048)?,
            },
            "transfer" => Action::Transfer {
                amount: f.item(5, "amount")?,
                to: f.item(6, "to")?,
                reference: reference(f)?,
                fee_most: f.item(8, "most fee")?,
            },
            "authorise" => Action::Authorise {
                token: Token::from_bytes(&f.bytes(9, "token", TOKEN_MAX)?).map_err(|e| e.within("token"))?,
                capture: f.optional_item(5, "amount")?,
            },
            "capture" => Action::Capture { hold: hold(f)?, amount: f.item(5, "amount")?, rest: f.item(11, "rest")? },
            "void" => Action::Void { hold: hold(f)? },
            "settle" => Action::Settle { hold: hold(f)?, release: f.item(12, "release")? },
            "revoke" => Action::Revoke { hold: hold(f)? },
            "refund" => Action::Refund { hold: hold(f)?, amount: f.item(5, "amount")? },
            "statement" => Action::Statement { from: f.uint(13, "from")?, most: most(f)? },
            "find" => Action::Find { reference: reference(f)?, from: f.uint(13, "from")?, most: most(f)? },
            "hold" => Action::Hold { hold: hold(f)? },
            "booking" => Action::Booking { hold: hold(f)?, number: f.uint(13, "number")? },
            "status" => Action::Status { request: f.exact(15, "request")? },
            _ => return Err(DecodeError::field("verb", Problem::Unknown { what: "verb", found: verb })),
        };
        fields.close()?;
        Ok(action)
    }
}

fn hold(fields: &mut Fields) -> Result<Digest, DecodeError> {
    fields.item(10, "hold")
}

fn most(fields: &mut Fields) -> Result<u64, DecodeError> {
    let most = fields.uint(14, "most")?;
    let problem = Problem::OutOfRange("a statement has 1 to 100 lines");
    if (1..=LINES_MAX).contains(&most) { Ok(most) } else { Err(DecodeError::field("most", problem)) }
}

/// Takes a reference; see [`is_reference`].
pub(super) fn reference(fields: &mut Fields) -> Result<String, DecodeError> {
    let text = fields.text(7, "reference", REFERENCE_MAX)?;
    let problem = Problem::OutOfRange("a reference is one short line of printed characters");
    if is_reference(&text) { Ok(text) } else { Err(DecodeError::field("reference", problem)) }
}

/// Takes a currency.
pub(super) fn currency(fields: &mut Fields, key: u64) -> Result<Currency, DecodeError> {
    let capitals = Problem::OutOfRange("a currency is three capital letters");
    Currency::parse(&fields.text(key, "currency", 3)?).ok_or_else(|| DecodeError::field("currency", capitals))
}

fn certificates(fields: &mut Fields) -> Result<Vec<Vec<u8>>, DecodeError> {
    let chain: Vec<Vec<u8>> = fields.list(3, "certificates", CHAIN_MAX)?;
    if chain.iter().any(|der| der.len() > CERTIFICATE_MAX) {
        return Err(DecodeError::field("certificates", Problem::Oversized { limit: CERTIFICATE_MAX }));
    }
    Ok(chain)
}

impl Encode for Rest {
    fn to_value(&self) -> Value {
        match self {
            Rest::Keep => "keep".into(),
            Rest::Release => "release".into(),
        }
    }
}

impl Decode for Rest {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        match String::from_value(value)?.as_str() {
            "keep" => Ok(Rest::Keep),
            "release" => Ok(Rest::Release),
            other => Err(DecodeError::field("", Problem::Unknown { what: "rest", found: other.to_owned() })),
        }
    }
}

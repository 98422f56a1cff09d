//! Refusals of a bank: RFC 9457 problem documents that say what is wrong, what happened to the money, and what to do.
//!
//! ```text
//! { "type": "urn:semper:problem:bank:NAME", "title": …, "status": …, "detail": …, "money": …, "advice": …, "retry": true / false }
//! ```
//! A refusal that was *decided* is stored under the request's id and given again for ever; nothing can be booked under that id any
//! more. The others may be tried again with the same bytes.

use std::fmt;

use serde_json::json;

/// Content type of a refusal.
pub const PROBLEM_TYPE: &str = "application/problem+json";
/// Begins the `type` of every refusal of a bank.
pub const URN: &str = "urn:semper:problem:bank:";
/// Longest detail that is believed and shown, in characters.
const DETAIL_CHARS_MAX: usize = 300;

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $fate:ident, $title:literal, $advice:literal;)*) => {
        /// What a refusal is about. The name in its `type` never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ProblemKind { $($(#[$doc])* $name,)* }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: &'static [ProblemKind] = &[$(ProblemKind::$name),*];

            /// The name, without [`URN`].
            pub const fn name(self) -> &'static str {
                match self { $(ProblemKind::$name => $text,)* }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(ProblemKind::$name => $status,)* }
            }

            /// What it means for the request.
            pub const fn fate(self) -> Fate {
                match self { $(ProblemKind::$name => Fate::$fate,)* }
            }

            /// What is wrong, in plain words.
            pub const fn title(self) -> &'static str {
                match self { $(ProblemKind::$name => $title,)* }
            }

            /// What the asker should do.
            pub const fn advice(self) -> &'static str {
                match self { $(ProblemKind::$name => $advice,)* }
            }
        }
    };
}

/// What a refusal means for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// The bank could not even tell whose request it is. No money moved.
    Unheard,
    /// Decided, for ever. No money moved, and none will under this id.
    Decided,
    /// Try again with the same bytes: nobody knows yet.
    Again,
}

problems! {
    /// The body is not a signed account request.
    Malformed = "malformed", 400, Unheard,
        "the request is malformed", "Do not send it again; look for a newer version of your program.";
    /// Made for another bank.
    WrongBank = "wrong-bank", 400, Unheard,
        "the request is made for another bank", "Fetch the terms of this bank and make a new request.";
    /// No such account, or not signed by its owner.
    NotOwner = "not-owner", 403, Unheard,
        "no such account, or the request is not signed by its owner", "Check the account number, and sign with the keys of its owner.";
    /// The request came too late.
    Expired = "expired", 410, Unheard,
        "the request has expired", "Make a new request; this one was not carried out before and cannot be any more.";
    /// The id was used for another request.
    Conflict = "conflict", 409, Unheard,
        "the id of the request was used for another one", "Make a new request with a new id.";
    /// No such earlier request.
    UnknownRequest = "unknown-request", 404, Unheard,
        "there is no such request", "Send the request itself.";
    /// No certificate that the bank accepts.
    NotCertified = "not-certified", 403, Decided,
        "the bank opens accounts by certificate only", "Have your name certified by an authority that the bank trusts.";
    /// The account is frozen.
    Frozen = "frozen", 403, Decided,
        "the account is frozen", "Ask the operator of the bank.";
    /// No such account to pay to, or the payer's own.
    UnknownPayee = "unknown-payee", 404, Decided,
        "there is no such account to pay to", "Check the number that the payee gave.";
    /// Another currency than the account's.
    WrongCurrency = "wrong-currency", 422, Decided,
        "the account is kept in another currency", "Use an account in the currency of the amount.";
    /// The account has too little.
    Insufficient = "insufficient-funds", 402, Decided,
        "there is too little money on the account", "Pay in, then make a new request.";
    /// More or less than one payment may be, or nothing.
    Limits = "limits", 422, Decided,
        "the amount is outside of the bank's limits", "See the bank's terms.";
    /// It costs more than the request allows.
    Fee = "fee", 422, Decided,
        "it costs more than the request allows", "Fetch the bank's terms and make a new request.";
    /// The token does not open, or its parts do not fit together or to the asker.
    BadToken = "bad-token", 422, Decided,
        "the token is not good for this payee at this bank", "Ask the payer for another one.";
    /// The payer's account does not allow it; the payee is told no more.
    Declined = "declined", 402, Decided,
        "the payer's bank declines", "Ask the payer to pay in another way.";
    /// The bank, or somebody's certificate, does not allow the level.
    LevelRefused = "level", 403, Decided,
        "a party of the payment lacks the certificate that its level demands", "Agree on a lower level, or have the name certified.";
    /// The token was used before.
    TokenUsed = "token-used", 409, Decided,
        "the token was used before", "Ask what became of it: see the hold.";
    /// The instruction's time is over.
    TokenExpired = "token-expired", 410, Decided,
        "the payer's order has expired", "Ask the payer for another one.";
    /// No such hold of this account.
    UnknownHold = "unknown-hold", 404, Decided,
        "there is no such hold for this account", "Check which payment you mean.";
    /// The hold is over: captured, void, expired or revoked.
    NotHeld = "not-held", 409, Decided,
        "nothing is held any more", "Ask where the hold stands.";
    /// The payee has handed it in: the payer alone cannot take it back before its time.
    StillHeld = "still-held", 409, Decided,
        "the money is held for the payee", "Wait until the hold expires, or ask the payee to void it.";
    /// The hold depends on releases.
    Conditional = "conditional", 409, Decided,
        "this hold is moved by signed releases only", "Settle it with a release of the other side or of the arbiter.";
    /// The release does not decide over this hold.
    BadRelease = "bad-release", 422, Decided,
        "the release does not decide over this hold", "It must be signed by the other side or the arbiter and name this lock and bank.";
    /// More than is held, or than can be refunded.
    TooMuch = "too-much", 422, Decided,
        "more than there is for it", "Ask for less.";
    /// The time for refunds is over.
    RefundOver = "refund-over", 410, Decided,
        "the time for refunds is over", "Transfer the money instead.";
    /// The body is larger than the limit.
    TooLarge = "too-large", 413, Unheard,
        "the request is too large", "Send less.";
    /// Another content type.
    WrongType = "wrong-type", 415, Unheard,
        "the content type is not taken here", "Send application/cose.";
    /// There is no such path.
    NotFound = "not-found", 404, Unheard,
        "there is nothing at this path", "See the description of the bank's interface.";
    /// Another method.
    WrongMethod = "wrong-method", 405, Unheard,
        "the method is not taken here", "See the description of the bank's interface.";
    /// Too many requests of this account.
    TooMany = "too-many", 429, Again,
        "too many requests", "Wait as long as Retry-After says, then send it again.";
    /// Storage or keys do not answer, or too much happens at once.
    Busy = "busy", 503, Again,
        "the bank cannot decide now", "Send the same request again: it is carried out at most once.";
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", kind.title())]
pub struct Refusal {
    /// What it is about.
    pub kind: ProblemKind,
    /// More, for people.
    pub detail: String,
}

impl ProblemKind {
    /// The kind with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// A refusal of this kind.
    pub fn because(self, detail: impl fmt::Display) -> Refusal {
        Refusal { kind: self, detail: detail.to_string() }
    }
}

impl Fate {
    /// What happened to the money, in plain words.
    pub const fn money(self) -> &'static str {
        match self {
            Fate::Unheard => "no money moved",
            Fate::Decided => "no money moved, and none will for this request",
            Fate::Again => "not known before the request is sent again",
        }
    }
}

impl Refusal {
    /// The problem document.
    pub fn to_json(&self) -> String {
        let kind = self.kind;
        json!({
            "type": format!("{URN}{}", kind.name()),
            "title": kind.title(),
            "status": kind.status(),
            "detail": self.detail,
            "money": kind.fate().money(),
            "advice": kind.advice(),
            "retry": kind.fate() == Fate::Again,
        })
        .to_string()
    }

    /// Reads a problem document of a bank; `None` for anything else. Nothing in the detail moves a cursor or fills a screen.
    pub fn from_json(body: &[u8]) -> Option<Self> {
        let document: serde_json::Value = serde_json::from_slice(body).ok()?;
        let kind = ProblemKind::from_name(document.get("type")?.as_str()?.strip_prefix(URN)?)?;
        let detail = document.get("detail").and_then(serde_json::Value::as_str).unwrap_or_default();
        Some(kind.because(detail.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect::<String>()))
    }
}

//! Mandates: what the keys of a party may sign without asking, within limits that the party has signed.
//!
//! ```text
//! mandate = { 0: 1, 1: matter, ? 2: peer, ? 3: arbiter, ? 4: process, ? 5: per deal, ? 6: total, ? 7: uses, 8: from, 9: until, 10: issued }
//! ```
//! A mandate is for one [`Matter`]. Whatever it does not name is not limited; what it names and an act does not have, the act is not covered by.
//! [`Mandate::admit`] says whether an act is within the limits after all that was counted before, and what is counted then. It decides nothing
//! about revocation, which whoever keeps the counts has to know.
//!
//! Source: `spec/mandate.md`.

use std::fmt;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Statement};
use semper_core::ids::KeySetId;
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};

/// Longest time between the day on which a mandate was issued and its end: a year and some days.
pub const SPAN_MAX: Seconds = Seconds(400 * 24 * 3600);
/// Longest name of a process, in bytes.
const PROCESS_MAX: usize = 64;

/// What kind of thing a mandate allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matter {
    /// A contract by which our user gives neither money nor a right.
    Contract,
    /// A contract by which our user pays for what it buys, under an arbiter.
    Purchase,
    /// A payment: as such, for a receipt, or of the one who asks for other money.
    Payment,
    /// Money that our user's bank is told to move.
    Account,
    /// An offer to anybody, and with it the contracts that follow from it.
    Offer,
    /// Something that is sent, signed.
    Mail,
    /// That something was received.
    Acknowledgement,
}

impl Matter {
    /// Everything that a mandate can be for.
    pub const ALL: [Self; 7] =
        [Self::Contract, Self::Purchase, Self::Payment, Self::Account, Self::Offer, Self::Mail, Self::Acknowledgement];

    /// The name, in files and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::Purchase => "purchase",
            Self::Payment => "payment",
            Self::Account => "account",
            Self::Offer => "offer",
            Self::Mail => "mail",
            Self::Acknowledgement => "acknowledgement",
        }
    }

    /// The matter of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|matter| matter.name() == name)
    }

    /// Whether it moves money of our user: then it needs a limit.
    pub const fn moves_money(self) -> bool {
        matches!(self, Self::Purchase | Self::Payment | Self::Account)
    }

    /// Whether the other party can be named: else the statement does not say who it is.
    const fn has_peer(self) -> bool {
        matches!(self, Self::Contract | Self::Purchase | Self::Payment)
    }

    /// What is allowed, as its user reads it.
    const fn words(self) -> &'static str {
        match self {
            Self::Contract => "contracts by which you give no money and no right",
            Self::Purchase => "purchases under an arbiter",
            Self::Payment => "payments",
            Self::Account => "orders to your bank to move money, to any account",
            Self::Offer => "offers to anybody, and the contracts that follow from them",
            Self::Mail => "letters and files that are sent, signed by you",
            Self::Acknowledgement => "receipts for what is sent to you",
        }
    }
}

impl fmt::Display for Matter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is to be signed, as far as a mandate looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// What kind of thing it is.
    pub matter: Matter,
    /// The other party, if it is one and known.
    pub peer: Option<KeySetId>,
    /// The arbiter of a contract.
    pub arbiter: Option<KeySetId>,
    /// The process of a contract, by the name and version of its template: `buy/1`.
    pub process: Option<String>,
    /// The money that our user gives; what an issuer charges comes on top.
    pub amount: Option<Amount>,
}

impl Act {
    /// One of which nothing else is known.
    pub fn of(matter: Matter) -> Self {
        Self { matter, peer: None, arbiter: None, process: None, amount: None }
    }
}

/// Which acts are covered, one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What kind of thing.
    pub matter: Matter,
    /// With whom only.
    pub peer: Option<KeySetId>,
    /// Under which arbiter only.
    pub arbiter: Option<KeySetId>,
    /// By which process only: `buy/1`.
    pub process: Option<String>,
    /// Most money of one act. It is there exactly if the matter moves money.
    pub per_deal: Option<Amount>,
}

/// "My keys may sign this without asking me." By the party whose keys they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mandate {
    /// Which acts.
    pub scope: Scope,
    /// Most money of all acts together. It is there exactly if the matter moves money.
    pub total: Option<Amount>,
    /// How many acts; any number if it is not said.
    pub uses: Option<u64>,
    /// From when on.
    pub from: Time,
    /// The first moment at which it is over.
    pub until: Time,
    /// When it was written.
    pub issued: Time,
}

/// What was counted under a mandate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many acts.
    pub uses: u64,
    /// Their money; none if none moved money.
    pub spent: Option<Amount>,
}

/// Why a mandate does not cover an act. The words follow "the mandate …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Uncovered {
    /// Another matter.
    #[error("is for another matter: {0}")]
    Matter(Matter),
    /// Another party, or one that the statement does not name.
    #[error("is for deals with {0} only")]
    Peer(KeySetId),
    /// Another arbiter, or none.
    #[error("is for deals under the arbiter {0} only")]
    Arbiter(KeySetId),
    /// Another process, or none.
    #[error("is for the process {0} only")]
    Process(String),
    /// The act moves money and does not say how much.
    #[error("is for known amounts only")]
    Unknown,
    /// Money that it does not allow at all.
    #[error("allows amounts in {} and none in {}", .limit.currency(), .amount.currency())]
    Currency {
        /// What it allows.
        limit: Amount,
        /// What is asked.
        amount: Amount,
    },
    /// More than one act may cost.
    #[error("allows {limit} at once, and this is {amount}")]
    PerDeal {
        /// What it allows.
        limit: Amount,
        /// What is asked.
        amount: Amount,
    },
    /// More than is left.
    #[error("has {left} left of {total}, and this is {amount}")]
    Total {
        /// What it allows.
        total: Amount,
        /// What of that is not counted yet.
        left: Amount,
        /// What is asked.
        amount: Amount,
    },
    /// It was used as often as it may be.
    #[error("was used {0} times, as often as it allows")]
    Uses(u64),
    /// It has not begun.
    #[error("begins at {0}")]
    NotYet(Time),
    /// It is over.
    #[error("was over at {0}")]
    Over(Time),
    /// It was revoked.
    #[error("was revoked")]
    Revoked,
}

impl Scope {
    /// All acts of a matter, up to `per_deal` if it moves money.
    pub fn of(matter: Matter, per_deal: Option<Amount>) -> Self {
        Self { matter, peer: None, arbiter: None, process: None, per_deal }
    }

    /// What is wrong with it, in words.
    ///
    /// # Errors
    /// It moves money without a limit, has a limit and moves none, or names what its matter does not have.
    pub fn check(&self) -> Result<(), &'static str> {
        let named = self.peer.is_some() || self.arbiter.is_some() || self.process.is_some();
        match self.per_deal {
            None if self.matter.moves_money() => Err("what moves money needs a most amount for each deal"),
            Some(_) if !self.matter.moves_money() => Err("a most amount is for purchases, payments and accounts"),
            Some(most) if most.minor() == 0 => Err("a most amount of nothing allows nothing"),
            _ if named && !self.matter.has_peer() => {
                Err("a party, an arbiter or a process can be named for contracts, purchases and payments")
            }
            _ => Ok(()),
        }
    }

    /// Whether it covers an act.
    ///
    /// # Errors
    /// [`Uncovered`].
    pub fn covers(&self, act: &Act) -> Result<(), Uncovered> {
        if self.matter != act.matter {
            return Err(Uncovered::Matter(self.matter));
        }
        if let Some(peer) = self.peer.filter(|peer| act.peer != Some(*peer)) {
            return Err(Uncovered::Peer(peer));
        }
        if let Some(arbiter) = self.arbiter.filter(|arbiter| act.arbiter != Some(*arbiter)) {
            return Err(Uncovered::Arbiter(arbiter));
        }
        if let Some(process) = self.process.as_ref().filter(|process| act.process.as_ref() != Some(process)) {
            return Err(Uncovered::Process(process.clone()));
        }
        let Some(limit) = self.per_deal else { return Ok(()) };
        let amount = act.amount.ok_or(Uncovered::Unknown)?;
        if amount.currency() != limit.currency() {
            return Err(Uncovered::Currency { limit, amount });
        }
        if amount.minor() > limit.minor() {
            return Err(Uncovered::PerDeal { limit, amount });
        }
        Ok(())
    }
}

impl Mandate {
    /// What is wrong with it, in words.
    ///
    /// # Errors
    /// Its limits contradict one another, or one that it needs is missing.
    pub fn check(&self) -> Result<(), &'static str> {
        self.scope.check()?;
        match (self.scope.per_deal, self.total) {
            (None, None) => {}
            (Some(each), Some(total)) if each.currency() != total.currency() => {
                return Err("the total is in another currency than the amount for each deal");
            }
            (Some(each), Some(total)) if total.minor() < each.minor() => {
                return Err("the total is less than one deal may cost");
            }
            (Some(_), Some(_)) => {}
            _ => return Err("what moves money, and nothing else, has a most amount in total"),
        }
        if self.uses == Some(0) {
            return Err("a mandate that may be used no time allows nothing");
        }
        if self.until <= self.from || self.until <= self.issued {
            return Err("it ends before it begins");
        }
        if self.until > self.issued.after(SPAN_MAX) {
            return Err("a mandate lasts 400 days at most");
        }
        Ok(())
    }

    /// Whether an act is within the limits at `now`, after what was counted before; and what is counted with it.
    ///
    /// # Errors
    /// [`Uncovered`]: nothing is counted.
    pub fn admit(&self, act: &Act, before: Counted, now: Time) -> Result<Counted, Uncovered> {
        self.scope.covers(act)?;
        if now < self.from {
            return Err(Uncovered::NotYet(self.from));
        }
        if now >= self.until {
            return Err(Uncovered::Over(self.until));
        }
        if let Some(uses) = self.uses.filter(|uses| before.uses >= *uses) {
            return Err(Uncovered::Uses(uses));
        }
        let spent = match (self.total, act.amount) {
            (None, _) => before.spent,
            (Some(_), None) => return Err(Uncovered::Unknown),
            (Some(total), Some(amount)) => {
                let spent = before.spent.map_or(Ok(amount), |spent| spent.plus(amount));
                let left = before.spent.map_or(Ok(total), |spent| total.minus(spent));
                match (spent, left) {
                    (Ok(spent), Ok(_)) if total.minus(spent).is_ok() => Some(spent),
                    (_, Ok(left)) => return Err(Uncovered::Total { total, left, amount }),
                    _ => return Err(Uncovered::Currency { limit: total, amount }),
                }
            }
        };
        Ok(Counted { uses: before.uses.saturating_add(1), spent })
    }

    /// Every limit in words: what its user reads before it is signed, and whoever is shown it after that.
    pub fn describe(&self) -> String {
        let Self { scope, total, uses, from, until, .. } = self;
        let someone = |key_set: &Option<KeySetId>, any: &str| key_set.map_or(any.to_owned(), |id| id.to_string());
        let amount = |amount: Option<Amount>| amount.map_or("no money".to_owned(), |amount| amount.to_string());
        let (with, under) = match scope.matter.has_peer() {
            true => (someone(&scope.peer, "anybody"), someone(&scope.arbiter, "any arbiter")),
            false => ("anybody".to_owned(), "no arbiter is needed".to_owned()),
        };
        let mut text = format!(
            "Sign without asking\n\n  what      {what}\n  with      {with}\n  arbiter   {under}\n  process   {process}\n  \
             each      {each}\n  in total  {total}\n  how often {uses}\n  from      {from}\n  until     {until}\n",
            what = scope.matter.words(),
            process = scope.process.as_deref().map_or("any".to_owned(), |process| escape(process, 12)),
            each = scope.per_deal.map_or("no money".to_owned(), |each| format!("at most {each}")),
            total = amount(*total),
            uses = uses.map_or("any number of times".to_owned(), |uses| format!("{uses} times at most")),
        );
        text.push_str(
            "\nWhat is within these limits is signed in your name and not shown to you before: also words that the other side writes.\n\
             What was counted stays counted, also if a deal comes to nothing. Fees of mints and banks come on top.\n\
             You can revoke it at any moment; what was signed by then stays signed.\n",
        );
        text
    }
}

impl Statement for Mandate {
    const KIND: Kind = Kind::Mandate;
}

impl Encode for Matter {
    fn to_value(&self) -> Value {
        self.name().into()
    }
}

impl Decode for Matter {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let name = String::from_value(value)?;
        Self::parse(&name).ok_or_else(|| DecodeError::field("", Problem::Unknown { what: "matter", found: name }))
    }
}

impl Encode for Mandate {
    fn to_value(&self) -> Value {
        let Self { scope, total, uses, from, until, issued } = self;
        record()
            .put(0, 1_u64)
            .put_item(1, &scope.matter)
            .put_some(2, scope.peer.as_ref().map(Encode::to_value))
            .put_some(3, scope.arbiter.as_ref().map(Encode::to_value))
            .put_some(4, scope.process.as_deref())
            .put_some(5, scope.per_deal.as_ref().map(Encode::to_value))
            .put_some(6, total.as_ref().map(Encode::to_value))
            .put_some(7, *uses)
            .put_item(8, from)
            .put_item(9, until)
            .put_item(10, issued)
            .build()
    }
}

impl Decode for Mandate {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let matter = fields.item(1, "matter")?;
        let (peer, arbiter) = (fields.optional_item(2, "peer")?, fields.optional_item(3, "arbiter")?);
        let process: Option<String> = fields.optional_item(4, "process")?;
        if process.as_ref().is_some_and(|process| process.is_empty() || process.len() > PROCESS_MAX) {
            return Err(DecodeError::field("process", Problem::OutOfRange("1 to 64 bytes")));
        }
        let per_deal = fields.optional_item(5, "per deal")?;
        let mandate = Self {
            scope: Scope { matter, peer, arbiter, process, per_deal },
            total: fields.optional_item(6, "total")?,
            uses: fields.optional_item(7, "uses")?,
            from: fields.item(8, "from")?,
            until: fields.item(9, "until")?,
            issued: fields.item(10, "issued")?,
        };
        fields.close()?;
        mandate.check().map_err(|wrong| DecodeError::field("mandate", Problem::OutOfRange(wrong)))?;
        Ok(mandate)
    }
}

#[cfg(test)]
mod tests;

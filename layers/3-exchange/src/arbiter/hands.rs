//! The arbiter's side of exchanges that go through its hands ([`crate::ix`]).
//!
//! For each such contract the arbiter keeps [`Hands`]: what has come of either deposit, how the contract was decided, and which payments it has begun.
//! Each party pays the arbiter, which pays both on if it has both deposits in time, and back what has come if not. [`rule`] is the whole decision.
//!
//! ```text
//! deposit = { 0: 1, 1: cid, 2: role, 3: hash of the token }              ; hash: H("semper/token/1" ‖ token)
//! answer  = { 0: 1, 1: [2 signed payment requests], 2: [* signed payment receipt], ? 3: signed verdict or status, ? 4: log receipt, 5: token,
//!             6: statement id of the question }
//! hands   = { 0: 1, 1: [2 details], 2: [2 holdings], ? 3: "resolved" / "aborted", 4: [2 * attempts], 5: time }
//! holding = { 0: "nothing" } / { 0: "taking" / "refused", 1: hash of the token, 2: try } / { 0: "taken", 3: time }
//! ```
//! A question comes as a [`Request`] with both promises. With a deposit comes the token, in the place of the token of its maker's promise. 1 of an answer are
//! the arbiter's own requests, by which it takes the part of the one who is paid: that it has signed them is its promise to take part. 5 is the arbiter's
//! payment to whoever asks; empty if none is due.
//!
//! Nothing here waits for a date to be safe: a deposit that comes late is paid back, and so is one that comes while the arbiter aborts.
//!
//! Source: `spec/ix.md` §3 (design/exchange.md §3.4.4).

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::{Core, Profile};
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, Slot, StatementId};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{Verified, verify};
use semper_core::time::Time;
use semper_support::flaws::{self, Flaw};
use semper_transfer::payment::operation::{HANDOVER_MAX, OperationId, Task};
use semper_transfer::payment::statement::{DETAILS_MAX, PaymentReceipt, PaymentRequest};

use super::log::LogReceipt;
use super::request::{Abort, Court, Inquiry, Request, RequestError, check_promise};
use super::verdict::{ClosedUnused, Outcome, Verdict};
use crate::gx::{Handed, Leg, place};

/// How often a party may hand in another token after one that its issuer has refused.
pub const TRIES_MAX: u8 = 8;

/// "I hand you this money for the contract." By a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deposit {
    /// The contract.
    pub cid: Cid,
    /// Who pays.
    pub role: Role,
    /// [`token_hash`] of the token.
    pub token: Digest,
}

/// A question whose every part was checked. Only [`Court::check_hands`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    core: Core,
    cid: Cid,
    by: Role,
    asked: Asked,
    basis: Vec<StatementId>,
    legs: [Handed; 2],
}

/// What a party asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// How it stands. Asked first, it is the wish that the arbiter take part.
    Inquire,
    /// To take this token.
    Deposit(Vec<u8>),
    /// To let everybody off, if it has not both deposits.
    Abort,
}

/// What the arbiter keeps of an exchange that goes through its hands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hands {
    /// Where the originator and the responder pay to.
    pub details: [Vec<u8>; 2],
    /// What has come of their deposits.
    pub holdings: [Holding; 2],
    /// How the contract was decided, if it was: resolved or aborted.
    pub outcome: Option<Outcome>,
    /// How often a payment to the originator and to the responder was begun.
    pub attempts: [u8; 2],
    /// The latest time that was written into it. It never goes back, whatever a clock does.
    pub time: Time,
}

/// What has come of a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holding {
    /// Nothing was handed in.
    Nothing,
    /// A token is being taken at its issuer; the tries count from 0.
    Taking(Digest, u8),
    /// It was not good.
    Refused(Digest, u8),
    /// The arbiter has the money. It says so since this time.
    Taken(Time),
}

/// What happens to a contract that goes through the arbiter's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A party asks.
    Asked(Role, Asked),
    /// A party's token was taken.
    Taken(Role),
    /// A party's token was not good: its issuer has refused it, and no money moved.
    Refused(Role),
    /// A payment to a party has failed, and its money is in the arbiter's purse.
    Unpaid(Role),
}

/// What the arbiter does about it: to be stored as a whole, with the verdict, then done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What is kept from now on.
    pub hands: Hands,
    /// The verdict that is to be signed, if this decides the contract.
    pub outcome: Option<Outcome>,
    /// The payment operations that begin with it.
    pub begin: Vec<Duty>,
}

/// A payment operation of the arbiter's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Duty {
    /// Takes a party's token.
    Take(Role, Vec<u8>),
    /// Pays a party.
    Pay(Role),
}

/// What the arbiter answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The arbiter's requests for the originator's and the responder's deposits; nothing where it has taken no part.
    pub requests: Vec<Signed>,
    /// A signed [`PaymentReceipt`] for each deposit that it has.
    pub receipts: Vec<Signed>,
    /// A signed [`Verdict`], once there is one; or a [`ClosedUnused`] where it has taken no part and never will.
    pub statement: Option<Signed>,
    /// Proof that the verdict stands in the arbiter's log.
    pub log: Option<LogReceipt>,
    /// Its payment to the party that asks.
    pub token: Vec<u8>,
    /// What this answers. An answer that has no verdict in it is read together with its question.
    pub question: StatementId,
}

/// What the arbiter takes for whoever pays it: everything but the details is in the contract.
pub fn deposit_request(core: &Core, owner: Role, handed: &Handed, details: Vec<u8>) -> PaymentRequest {
    PaymentRequest {
        purpose: format!("deposit of the {owner} under the contract {}", core.cid()),
        details,
        expires: core.terms.deadlines.not_after,
        ..handed.asked.clone()
    }
}

/// The hash by which a deposit names its token.
pub fn token_hash(token: &[u8]) -> Digest {
    Digest::of(domain::TOKEN, token)
}

/// The register's key of such a contract: `cid ‖ 0 (2 bytes)`.
pub fn cell_key(cid: Cid) -> Vec<u8> {
    [cid.as_bytes().as_slice(), &Slot::default().0.to_be_bytes()].concat()
}

/// Whether a request is about a contract that goes through the arbiter's hands.
pub fn is_meant(request: &Request) -> bool {
    request.core.terms.profile == Profile::Ix
}

/// Rules on what has happened. `not_after` is the contract's.
///
/// The first decision stands. Deposits count from when they are written down here: one that was taken in time and is seen too late is paid back like any
/// other that came too late.
pub fn rule(hands: &Hands, event: Event, not_after: Time, now: Time) -> Ruling {
    let now = now.max(hands.time);
    let ruling = Ruling { hands: Hands { time: now, ..hands.clone() }, outcome: None, begin: Vec::new() };
    let in_time = now <= not_after || flaws::active(Flaw::LateDeposit);
    match event {
        Event::Taken(by) => ruling.take(by, now, in_time),
        Event::Refused(by) => ruling.refuse(by),
        Event::Unpaid(to) => ruling.pay(to),
        Event::Asked(..) if hands.outcome.is_none() && !in_time => ruling.decide(Outcome::Aborted),
        Event::Asked(_, Asked::Abort) if hands.outcome.is_none() || flaws::active(Flaw::PaidBackAnyway) => {
            ruling.decide(Outcome::Aborted)
        }
        Event::Asked(by, Asked::Deposit(token)) if hands.outcome.is_none() => ruling.hand_in(by, token),
        Event::Asked(..) => ruling,
    }
}

impl Ruling {
    fn hand_in(mut self, by: Role, token: Vec<u8>) -> Self {
        let hash = token_hash(&token);
        let holding = &mut self.hands.holdings[place(by)];
        let attempt = match *holding {
            Holding::Nothing => 0,
            Holding::Refused(other, attempt) if other != hash && attempt + 1 < TRIES_MAX => attempt + 1,
            // It is being taken, or was; or it was refused, and is the same again.
            Holding::Refused(..) | Holding::Taking(..) | Holding::Taken(_) => return self,
        };
        *holding = Holding::Taking(hash, attempt);
        self.begin.push(Duty::Take(by, token));
        self
    }

    fn take(mut self, by: Role, now: Time, in_time: bool) -> Self {
        self.hands.holdings[place(by)] = Holding::Taken(now);
        match self.hands.outcome {
            Some(Outcome::Aborted) => self.pay(by),
            None if in_time && (self.hands.has_both() || flaws::active(Flaw::OneDeposit)) => {
                self.decide(Outcome::Resolved)
            }
            _ => self,
        }
    }

    fn refuse(mut self, by: Role) -> Self {
        let holding = &mut self.hands.holdings[place(by)];
        if let Holding::Taking(token, attempt) = *holding {
            *holding = Holding::Refused(token, attempt);
        }
        self
    }

    fn decide(mut self, outcome: Outcome) -> Self {
        self.hands.outcome = Some(outcome);
        self.outcome = Some(outcome);
        let due = |party: &Role| self.hands.is_due(*party);
        let due: Vec<_> = [Role::ORIGINATOR, Role::RESPONDER].into_iter().filter(due).collect();
        due.into_iter().fold(self, Self::pay)
    }

    fn pay(mut self, to: Role) -> Self {
        let attempts = &mut self.hands.attempts[place(to)];
        if let Some(next) = attempts.checked_add(1) {
            *attempts = next;
            self.begin.push(Duty::Pay(to));
        }
        self
    }
}

impl Hands {
    /// Of an exchange in which the arbiter takes part: so the parties pay it.
    pub fn new(details: [Vec<u8>; 2], now: Time) -> Self {
        Self { details, holdings: [Holding::Nothing; 2], outcome: None, attempts: [0; 2], time: now }
    }

    fn has_both(&self) -> bool {
        self.holdings.iter().all(|holding| matches!(holding, Holding::Taken(_)))
    }

    /// What has come of a party's deposit.
    pub fn holding(&self, by: Role) -> Holding {
        self.holdings[place(by)]
    }

    /// Whether the arbiter is to pay a party, or has.
    pub fn is_due(&self, to: Role) -> bool {
        match self.outcome {
            Some(Outcome::Resolved) => true,
            Some(Outcome::Aborted) => matches!(self.holding(to), Holding::Taken(_)),
            _ => false,
        }
    }

    /// Whether nothing can come any more: no token is being taken, and the contract is decided or its time is over.
    pub fn is_over(&self, not_after: Time, now: Time) -> bool {
        let taking = self.holdings.iter().any(|holding| matches!(holding, Holding::Taking(..)));
        !taking && (self.outcome.is_some() || now.max(self.time) > not_after)
    }

    /// Whether the answer to a party must wait: for an issuer that is asked about its token, or, if it asks how it stands and has paid, for a decision.
    /// Where a payment to it is due, the answer waits for the payment besides.
    pub fn is_awaited(&self, by: Role, asked: &Asked) -> bool {
        match self.holding(by) {
            Holding::Taking(..) => true,
            Holding::Taken(_) => *asked == Asked::Inquire && self.outcome.is_none(),
            Holding::Nothing | Holding::Refused(..) => false,
        }
    }

    /// The operation that takes a party's token, if one is being taken.
    pub fn taking(&self, cid: Cid, by: Role) -> Option<OperationId> {
        match self.holding(by) {
            Holding::Taking(_, attempt) => Some(OperationId::of_case(cid, "take", by.to_string().as_bytes(), attempt)),
            _ => None,
        }
    }

    /// The operations that may have taken a party's token: the last of them that was begun has ended well, if the arbiter has the deposit.
    pub fn takings(cid: Cid, by: Role) -> impl Iterator<Item = OperationId> {
        (0..TRIES_MAX).map(move |attempt| OperationId::of_case(cid, "take", by.to_string().as_bytes(), attempt))
    }

    /// The last operation that pays a party, if one was begun.
    pub fn paying(&self, cid: Cid, to: Role) -> Option<OperationId> {
        let attempt = self.attempts[place(to)].checked_sub(1)?;
        Some(OperationId::of_case(cid, "pay", to.to_string().as_bytes(), attempt))
    }
}

impl Case {
    /// The contract.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The contract's identifier.
    pub fn cid(&self) -> Cid {
        self.cid
    }

    /// Who asks.
    pub fn by(&self) -> Role {
        self.by
    }

    /// What is asked.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The question.
    pub fn question(&self) -> StatementId {
        self.basis[0]
    }

    /// What a party gives.
    pub fn gives(&self, owner: Role) -> &Handed {
        &self.legs[place(owner)]
    }

    /// The arbiter's request for a party's deposit.
    pub fn request(&self, hands: &Hands, owner: Role, arbiter: &KeySet) -> Draft {
        let details = hands.details[place(owner)].clone();
        deposit_request(&self.core, owner, self.gives(owner), details).draft(arbiter.suite(), arbiter.id())
    }

    /// The arbiter's receipt for a party's deposit, if it has it.
    pub fn receipt(&self, hands: &Hands, owner: Role, arbiter: &KeySet) -> Option<Draft> {
        let Holding::Taken(time) = hands.holding(owner) else { return None };
        let PaymentRequest { deal, amount, .. } = self.gives(owner).asked.clone();
        let request = self.request(hands, owner, arbiter).id();
        Some(PaymentReceipt { deal, request, amount, time }.draft(arbiter.suite(), arbiter.id()))
    }

    /// The verdict that a ruling makes.
    pub fn verdict(&self, ruling: &Ruling, arbiter: &KeySet, log_index: u64) -> Option<Draft> {
        let outcome = ruling.outcome?;
        let (cid, slot, time) = (self.cid, Slot::default(), ruling.hands.time);
        let verdict = Verdict { cid, slot, outcome, basis: self.basis.clone(), prior: Vec::new(), time, log_index };
        Some(verdict.draft(arbiter.suite(), arbiter.id()))
    }

    /// What is said to a party that comes after the contract's time, where the arbiter has taken no part.
    pub fn unused(&self, arbiter: &KeySet, now: Time) -> Draft {
        let status = ClosedUnused { cid: self.cid, slot: Slot::default(), request: self.question(), time: now };
        status.draft(arbiter.suite(), arbiter.id())
    }

    /// How a party is paid, once that is decided: what its peer has given, or its own.
    pub fn payment(&self, hands: &Hands, to: Role) -> Option<Task> {
        let (request, salt) = match hands.outcome.filter(|_| hands.is_due(to))? {
            Outcome::Resolved => (&self.gives(to.peer()).onward, self.gives(to.peer()).salt),
            _ => (&self.gives(to).back, self.gives(to).salt),
        };
        Some(Task::Pay { request: request.clone(), salt })
    }
}

impl Court<'_> {
    /// Checks a question about a contract that goes through the arbiter's hands.
    ///
    /// # Errors
    /// [`RequestError`]: the request is not valid. Nothing may be decided from it.
    pub fn check_hands(&self, request: &Request) -> Result<Case, RequestError> {
        let core = &request.core;
        self.admits(core)?;
        let [originator, responder] = &request.key_sets;
        if originator.shares_a_key_with(responder) {
            return Err(RequestError::SelfDeal);
        }
        let sides = [(Role::ORIGINATOR, originator), (Role::RESPONDER, responder)];
        for (role, key_set) in sides {
            if core.party(role) != Some(key_set.id()) {
                return Err(RequestError::WrongKeySet(role));
            }
        }
        let legs = Leg::of(core).map_err(RequestError::Items)?;
        let [Leg::Handed(first), Leg::Handed(second)] = legs else { return Err(RequestError::OtherProfile) };
        let legs = [*first, *second];
        for (owner, _) in sides {
            let Handed { onward, back, .. } = &legs[place(owner)];
            for (request, payee) in [(onward, owner.peer()), (back, owner)] {
                let key_set = sides[place(payee)].1;
                verify::<PaymentRequest>(self.verify, key_set, request)
                    .map_err(|error| RequestError::Signature { part: "payment request", error })?;
            }
        }
        let cid = core.cid();
        let [first, second] = request.promises.as_slice() else { return Err(RequestError::Promises) };
        let first_id = check_promise(self.verify, originator, &first.promise, cid, Role::ORIGINATOR, None)?.id();
        let second_id =
            check_promise(self.verify, responder, &second.promise, cid, Role::RESPONDER, Some(first_id))?.id();
        let by = sides.into_iter().find(|(_, key_set)| key_set.id() == request.question.signer());
        let (by, asker) = by.ok_or(RequestError::Foreign("question"))?;
        let ours = [first_id, second_id][place(by)];
        let (asked, question) = self.asked_of_hands(request, (cid, by), asker, ours)?;
        Ok(Case { core: core.clone(), cid, by, asked, basis: vec![question, first_id, second_id], legs })
    }

    fn asked_of_hands(
        &self,
        request: &Request,
        (cid, role): (Cid, Role),
        asker: &KeySet,
        ours: StatementId,
    ) -> Result<(Asked, StatementId), RequestError> {
        let wrong = |error| RequestError::Signature { part: "question", error };
        let slot = Slot::default();
        let (asked, id, fits) = match request.question.kind() {
            Kind::Inquiry => {
                let said: Verified<Inquiry> = verify(self.verify, asker, &request.question).map_err(wrong)?;
                (Asked::Inquire, said.id(), *said.statement() == Inquiry { cid, slot, role })
            }
            Kind::Abort => {
                let said: Verified<Abort> = verify(self.verify, asker, &request.question).map_err(wrong)?;
                (Asked::Abort, said.id(), *said.statement() == Abort { cid, slot, promise: ours })
            }
            Kind::Deposit => {
                let said: Verified<Deposit> = verify(self.verify, asker, &request.question).map_err(wrong)?;
                let token = request.promises[place(role)].token.clone();
                let expected = Deposit { cid, role, token: token_hash(&token) };
                (Asked::Deposit(token), said.id(), *said.statement() == expected)
            }
            _ => return Err(RequestError::OtherProfile),
        };
        if fits { Ok((asked, id)) } else { Err(RequestError::Foreign("question")) }
    }
}

impl Statement for Deposit {
    const KIND: Kind = Kind::Deposit;
}

impl Encode for Deposit {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.cid).put_item(2, &self.role).put_item(3, &self.token).build()
    }
}

impl Decode for Deposit {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let deposit =
            Self { cid: fields.item(1, "cid")?, role: fields.item(2, "role")?, token: fields.item(3, "token")? };
        fields.close()?;
        Ok(deposit)
    }
}

impl Encode for Answer {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_list(1, &self.requests)
            .put_list(2, &self.receipts)
            .put_some(3, self.statement.as_ref().map(Encode::to_value))
            .put_some(4, self.log.as_ref().map(Encode::to_value))
            .put_bytes(5, &self.token)
            .put_item(6, &self.question)
            .build()
    }
}

impl Decode for Answer {
    const BYTES_MAX: usize = 2 * HANDOVER_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let answer = Self {
            requests: fields.list(1, "requests", 2)?,
            receipts: fields.list(2, "receipts", 2)?,
            statement: fields.optional_item(3, "statement")?,
            log: fields.optional_item(4, "log receipt")?,
            token: fields.bytes(5, "token", HANDOVER_MAX)?,
            question: fields.item(6, "question")?,
        };
        fields.close()?;
        Ok(answer)
    }
}

impl Encode for Hands {
    fn to_value(&self) -> Value {
        let outcome = self.outcome.map(|outcome| if outcome == Outcome::Resolved { "resolved" } else { "aborted" });
        let attempts = self.attempts.map(u64::from);
        record()
            .put(0, 1_u64)
            .put_list(1, &self.details)
            .put_list(2, &self.holdings)
            .put_some(3, outcome)
            .put_list(4, &attempts)
            .put_item(5, &self.time)
            .build()
    }
}

impl Decode for Hands {
    const BYTES_MAX: usize = 2 * DETAILS_MAX + 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let details: Vec<Vec<u8>> = fields.list(1, "details", 2)?;
        let holdings: Vec<Holding> = fields.list(2, "holdings", 2)?;
        let outcome = match fields.optional_item::<String>(3, "outcome")?.as_deref() {
            None => None,
            Some("resolved") => Some(Outcome::Resolved),
            Some("aborted") => Some(Outcome::Aborted),
            Some(other) => {
                let found = other.to_owned();
                return Err(DecodeError::field("outcome", Problem::Unknown { what: "outcome", found }));
            }
        };
        let attempts: Vec<u64> = fields.list(4, "attempts", 2)?;
        let time = fields.item(5, "time")?;
        fields.close()?;
        let two = || DecodeError::field("hands", Problem::OutOfRange("one of each for either party"));
        let attempts: Result<Vec<u8>, _> = attempts.into_iter().map(u8::try_from).collect();
        Ok(Self {
            details: details.try_into().map_err(|_| two())?,
            holdings: holdings.try_into().map_err(|_| two())?,
            outcome,
            attempts: attempts.ok().and_then(|attempts| attempts.try_into().ok()).ok_or_else(two)?,
            time,
        })
    }
}

impl Encode for Holding {
    fn to_value(&self) -> Value {
        match self {
            Holding::Nothing => record().put(0, "nothing"),
            Holding::Taking(token, attempt) => record().put(0, "taking").put_item(1, token).put(2, u64::from(*attempt)),
            Holding::Refused(token, attempt) => {
                record().put(0, "refused").put_item(1, token).put(2, u64::from(*attempt))
            }
            Holding::Taken(time) => record().put(0, "taken").put_item(3, time),
        }
        .build()
    }
}

impl Decode for Holding {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let name = fields.text(0, "holding", 16)?;
        let holding = match name.as_str() {
            "nothing" => Holding::Nothing,
            "taking" => Holding::Taking(fields.item(1, "token")?, fields.small(2, "try")?),
            "refused" => Holding::Refused(fields.item(1, "token")?, fields.small(2, "try")?),
            "taken" => Holding::Taken(fields.item(3, "time")?),
            _ => return Err(DecodeError::field("holding", Problem::Unknown { what: "holding", found: name })),
        };
        fields.close()?;
        Ok(holding)
    }
}

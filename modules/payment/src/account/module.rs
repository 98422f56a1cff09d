//! The parties' half: a purse is one account at a bank.
//!
//! It computes; whoever drives it stores, signs and asks. Every request is named after its operation, so that asking again is asking for
//! the same. The user is asked for orders to pay and for transfers; what takes money in, or only looks, follows from what was approved.
//!
//! | task | at the bank | |
//! |---|---|---|
//! | refresh | terms; open; hold, statement | finds the account again from the seed |
//! | expect, prepare | – | who is paid, and at which bank |
//! | pay, lock | – | a token that the payee hands in |
//! | receive | authorise with capture | |
//! | verify-lock | authorise | by payee or arbiter; the money is held from then on |
//! | authorise | – | a signed release |
//! | redeem | settle; revoke after the date, or if nobody has handed the token in | |
//! | reclaim | revoke; booking | waits for the end of a hold if it must |
//! | transfer | transfer | |
//!
//! Source: `spec/account.md` §5.

use std::collections::BTreeSet;
use std::sync::Arc;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::hash::Digest;
use semper_core::machine::Fault;
use semper_core::party::KeySet;
use semper_core::signature::{Verify, answers};
use semper_core::time::{Seconds, Time};
use semper_support::crypto::Seal;
use semper_support::engine::{Consent, EvidenceKind};
use semper_transfer::payment::claim::{Claim, Finding, Proof};
use semper_transfer::payment::means::{LockKind, Means, PayerAnonymity, ReceiptKind, Reversal, System};
use semper_transfer::payment::module::{
    Balance, Context, Event, IssuerReply, IssuerRequest, Module, Next, Purse, Quote, Step, StepError, Wording,
};
use semper_transfer::payment::operation::{Failure, Lock, Money, Operation, Outcome, Task};
use semper_transfer::payment::statement::{PaymentOrder, PaymentRequest, Release, Side, instruction_hash, order_hash};
use zeroize::Zeroizing;

use super::SYSTEM;
use super::answer::{AccountStatement, Authorisation, BankTerms, Booking, HoldState, What};
use super::client::{
    ACCOUNT, Asking, Handover, Known, Made, Out, Purpose, Stage, TERMS, derive, fee, known, mismatch, out_key, outs,
    post, read, read_terms, refusal, settled_key, terms, terms_url,
};
use super::number::Address;
use super::payment::{Capture, Condition, Details, Instruction, Level, Token};
use super::problem::ProblemKind;
use super::proof::{Shown, judge, proof};
use super::request::{AccountRequest, Action};
use super::taken::{self, Taken};

/// How long the bank takes a request.
const REQUEST_LIFETIME: Seconds = Seconds(86_400);
/// How long a payment takes when everybody answers.
const LATENCY: Seconds = Seconds(5);
/// Tokens whose fate is asked for in one refresh.
const FATES_MAX: u64 = 32;
/// How long is waited before asking again for money that should be free by now.
const PAUSE: Seconds = Seconds(60);
/// Why there are no hash locks.
const ARBITER_ONLY: &str = "an account locks money for an arbiter only";

/// The parties' half of the payment system `account`.
pub struct AccountModule {
    system: System,
    seed: Zeroizing<[u8; 32]>,
    seal: Arc<dyn Seal>,
    level: Level,
}

/// What one step of an operation works with.
struct At<'a> {
    module: &'a AccountModule,
    context: &'a Context<'a>,
    purse: &'a Purse,
    operation: &'a Operation,
}

type Stepped = Result<Step, Failure>;

impl AccountModule {
    /// The module for the owner of a seed. `level` is the highest at which it pays: with `Level::Three` payees learn its key set, and
    /// can prove that it ordered the payment.
    pub fn new(seed: [u8; 32], seal: Arc<dyn Seal>, level: Level) -> Self {
        let system = System::parse(SYSTEM).expect("the name is one of a system");
        Self { system, seed: Zeroizing::new(seed), seal, level }
    }
}

impl Module for AccountModule {
    fn system(&self) -> System {
        self.system.clone()
    }

    fn means(&self, purse: &Purse) -> Option<Means> {
        let terms = terms(purse)?;
        Some(Means {
            system: self.system.clone(),
            issuer: purse.issuer.clone(),
            currency: purse.currency,
            anonymity: if self.level == Level::Three { PayerAnonymity::None } else { PayerAnonymity::FromPayee },
            reversal: Reversal::ByPayee(terms.refund_window),
            locks: BTreeSet::from([LockKind::Arbiter]),
            receipt: ReceiptKind::Issuer,
            fees: terms.fees,
            limits: terms.limits,
            latency: LATENCY,
        })
    }

    fn arbiter_key(&self, me: &KeySet) -> Vec<u8> {
        me.to_bytes()
    }

    fn balance(&self, purse: &Purse) -> Balance {
        let (has, held) = known(purse).map_or((0, 0), |account| (account.balance.max(0).unsigned_abs(), account.held));
        let out = outs(purse).fold(0_u64, |sum, (_, out)| sum.saturating_add(out.minor));
        let pending = held.saturating_add(out).min(has);
        let amount = |minor: u64| Amount::new(minor, purse.currency).expect("a balance fits into the signed integers");
        Balance { available: amount(has - pending), pending: amount(pending) }
    }

    fn quote(&self, purse: &Purse, task: &Task) -> Result<Quote, Failure> {
        let terms = terms(purse).ok_or_else(not_open)?;
        let free = |amount: Amount| Quote { amount, fee: nothing(purse) };
        let costs = |amount: Amount| -> Result<Quote, Failure> {
            let fee = fee(terms.fees, amount)?;
            self.affordable(purse, &terms, amount, fee)?;
            Ok(Quote { amount, fee })
        };
        match task {
            Task::Pay { request, .. } => costs(request_of(request)?.amount),
            Task::Lock(lock) => costs(lock.amount),
            Task::Transfer { amount, .. } => costs(*amount),
            Task::Expect(amount) | Task::Prepare(amount) => Ok(free(*amount)),
            Task::Receive { request, .. } => Ok(free(request_of(request)?.amount)),
            Task::VerifyLock { lock, .. }
            | Task::Authorise { lock, .. }
            | Task::Payout { lock, .. }
            | Task::Redeem { lock, .. } => Ok(free(lock.amount)),
            Task::Reclaim(_) | Task::Refresh => Ok(free(nothing(purse))),
            Task::Learn { .. } | Task::Deposit { .. } | Task::Send(_) | Task::Accept(_) | Task::Restore => {
                Err(impossible(purse, task))
            }
        }
    }

    fn step(
        &self,
        context: &Context<'_>,
        purse: &Purse,
        operation: &Operation,
        stage: &[u8],
        event: Event,
    ) -> Result<Step, StepError> {
        let at = At { module: self, context, purse, operation };
        let wrong = StepError { event: event.name(), verb: operation.task.verb() };
        let stepped = if stage.is_empty() {
            match event {
                Event::Begin => at.begin(),
                Event::GiveUp | Event::Declined => Err(unwanted()),
                _ => return Err(wrong),
            }
        } else {
            let stage = Stage::from_bytes(stage).map_err(|_| wrong.clone())?;
            at.go_on(stage, event).ok_or(wrong)?
        };
        Ok(stepped.unwrap_or_else(|failure| Step::to(Stage::Ended.to_bytes(), Next::Failed(failure))))
    }

    fn judge(&self, verify: &dyn Verify, claim: &Claim, proof: &Proof) -> Finding {
        judge(verify, claim, proof)
    }

    fn judge_lock(&self, verify: &dyn Verify, lock: &Lock, shown: &[u8]) -> Option<Side> {
        let (_, condition) = condition(lock).ok()?;
        taken::judge(verify, lock, &condition, shown)
    }

    fn wording(&self, draft: &Draft) -> Wording {
        if draft.kind != Kind::AccountRequest {
            return Wording::Foreign;
        }
        match AccountRequest::from_bytes(&draft.payload) {
            Err(_) => Wording::Foreign,
            Ok(request) if request.action.gives_up_money() => {
                Wording::Binding { text: request.describe(), most: request.action.most() }
            }
            Ok(_) => Wording::Harmless,
        }
    }

    fn address(&self, purse: &Purse, reference: &str, amount: Option<Amount>) -> Option<String> {
        let number = known(purse)?.number;
        let (issuer, reference) = (purse.issuer.clone(), reference.to_owned());
        Some(Address { number, issuer, reference, amount }.to_string())
    }
}

impl AccountModule {
    /// Whether the purse has enough, within the bank's limits.
    fn affordable(&self, purse: &Purse, terms: &BankTerms, amount: Amount, fee: Amount) -> Result<(), Failure> {
        if amount.currency() != purse.currency {
            return Err(Failure::unmoved(Fault::Misuse, format!("this account is in {}", purse.currency)));
        }
        let limits = terms.limits;
        if amount.minor() == 0 || !(limits.least..=limits.most).contains(&amount.minor()) {
            let reason = format!("the bank takes {} to {} minor units at once", limits.least, limits.most);
            return Err(Failure::unmoved(Fault::ThirdParty, reason));
        }
        let needed = amount.plus(fee).map_err(|e| Failure::unmoved(Fault::Misuse, e.to_string()))?;
        let available = self.balance(purse).available;
        if available.minor() < needed.minor() {
            let reason = format!("{needed} are needed, {available} are available");
            return Err(Failure::unmoved(Fault::Environment, reason));
        }
        Ok(())
    }
}

impl At<'_> {
    fn begin(&self) -> Stepped {
        match &self.operation.task {
            Task::Refresh => {
                let ask = Next::Ask(IssuerRequest::get(terms_url(&self.purse.issuer)));
                Ok(Step::to(Stage::Terms.to_bytes(), ask))
            }
            Task::Expect(_) | Task::Prepare(_) => self.done(nothing(self.purse), self.details()?.to_bytes()),
            Task::Pay { request, salt } => self.pay(request, salt),
            Task::Receive { request, token } => self.receive(request, token),
            Task::Reclaim(other) => Ok(Step::to(Stage::Look.to_bytes(), Next::Look(*other))),
            Task::Lock(lock) => self.lock(lock),
            Task::VerifyLock { lock, token } => self.verify_lock(lock, token),
            Task::Authorise { lock, payout, to, .. } => self.authorise(lock, payout, *to),
            Task::Payout { lock, to, .. } => {
                let (tag, issuer, amount) = (lock.tag, self.purse.issuer.clone(), lock.amount);
                self.done(nothing(self.purse), Release { tag, issuer, to: *to, amount }.to_bytes())
            }
            Task::Redeem { lock, token, to, authorisation } => self.redeem(lock, token, *to, authorisation),
            Task::Transfer { amount, address } => self.transfer(*amount, address),
            task @ (Task::Learn { .. } | Task::Deposit { .. } | Task::Send(_) | Task::Accept(_) | Task::Restore) => {
                Err(impossible(self.purse, task))
            }
        }
    }

    /// `None`: the event does not fit the stage.
    fn go_on(&self, stage: Stage, event: Event) -> Option<Stepped> {
        match (stage, event) {
            (Stage::Terms, Event::Reply(reply)) => Some(self.learn_terms(&reply)),
            (Stage::Sign { asking, payload }, Event::Signed(signed)) => Some(self.ask(asking, payload, signed)),
            (Stage::Order(made), Event::Signed(signed)) => Some(self.ordered(*made, signed)),
            (Stage::Release(payload), Event::Signed(signed)) => {
                let draft = self.release_draft(payload);
                Some(self.check(&draft, &signed).and_then(|()| {
                    let bytes = signed.bytes().to_vec();
                    Ok(self.done(nothing(self.purse), bytes.clone())?.keep(EvidenceKind::Statement, bytes))
                }))
            }
            (Stage::Ask { asking, request }, Event::Reply(reply)) => Some(self.answered(asking, &request, &reply)),
            // It may have arrived: whoever stops here does not know what became of it.
            (Stage::Ask { asking, request }, Event::GiveUp) => {
                let next = Next::Ask(post(&self.purse.issuer, &request));
                Some(Ok(Step::to(Stage::Ask { asking, request }.to_bytes(), next)))
            }
            (Stage::Look, Event::Stage(other)) => Some(self.reclaim(&other)),
            (Stage::Wait(asking), Event::Due) => Some(self.revoke(asking)),
            (Stage::Wait(_), Event::GiveUp) => Some(Err(Failure::unknown(
                Fault::UserDeclined,
                "the payee can still take the money; what it does not take is free again by itself",
            ))),
            (
                Stage::Terms | Stage::Sign { .. } | Stage::Order(_) | Stage::Release(_) | Stage::Look,
                Event::GiveUp | Event::Declined,
            ) => Some(Err(unwanted())),
            _ => None,
        }
    }

    fn learn_terms(&self, reply: &IssuerReply) -> Stepped {
        let (signed, terms) = read_terms(self.context.verify, self.purse, reply)?;
        let step = match known(self.purse) {
            Some(account) => {
                self.refresh(&terms, account, Asking { purpose: Purpose::Balance, round: 0, made: None })?
            }
            None => self.open(&terms)?,
        };
        Ok(step.put(TERMS.to_vec(), signed.bytes().to_vec()))
    }

    fn open(&self, terms: &BankTerms) -> Stepped {
        let derived = derive(&self.module.seed, &self.purse.issuer, self.purse.currency);
        let context = Action::verifier_context(terms.key_set.id());
        let seal = &self.module.seal;
        let verifier = seal.seal(terms.sealing_suite, &terms.sealing_key, &context, &*derived.mac_key);
        let verifier =
            verifier.map_err(|e| Failure::unmoved(Fault::ThirdParty, format!("the bank's sealing key: {e}")))?;
        let action = Action::Open {
            currency: self.purse.currency,
            key_set: self.context.me.clone(),
            certificates: self.context.certificates.to_vec(),
            verifier,
        };
        let request = AccountRequest {
            issuer: self.purse.issuer.clone(),
            bank: terms.key_set.id(),
            id: derived.open_id,
            account: None,
            expires: self.context.now.after(REQUEST_LIFETIME),
            action,
        };
        Ok(self.sign(Asking { purpose: Purpose::Open, round: 0, made: None }, &request, Consent::Implied))
    }

    /// The next question of a refresh: tokens first, so that the balance that is read last counts them.
    fn refresh(&self, terms: &BankTerms, account: Known, asking: Asking) -> Stepped {
        let after = match asking.purpose {
            Purpose::Fate(hold) => Some(hold),
            _ => None,
        };
        let next = outs(self.purse).map(|(hold, _)| hold).find(|hold| after.is_none_or(|after| *hold > after));
        let (purpose, action) = match next {
            Some(hold) if asking.round < FATES_MAX => (Purpose::Fate(hold), Action::Hold { hold }),
            _ => (Purpose::Balance, Action::Statement { from: u64::MAX, most: 1 }),
        };
        self.request_at(terms, account, asking.then(purpose), action, Consent::Implied)
    }

    fn details(&self) -> Result<Details, Failure> {
        let (terms, account) = self.opened()?;
        Ok(Details { bank: terms.key_set.id(), owner: self.context.me.clone(), level: account.level })
    }

    fn opened(&self) -> Result<(BankTerms, Known), Failure> {
        Ok((terms(self.purse).ok_or_else(not_open)?, known(self.purse).ok_or_else(not_open)?))
    }

    fn pay(&self, signed: &Signed, salt: &[u8; 32]) -> Stepped {
        let request = request_of(signed)?;
        let peer = |why: &str| Failure::unmoved(Fault::PeerMisbehaved, format!("the payment request: {why}"));
        if request.system != self.module.system || request.issuer != self.purse.issuer {
            return Err(Failure::unmoved(Fault::Misuse, "the request is for another system or bank"));
        }
        if self.context.now >= request.expires {
            return Err(Failure::unmoved(Fault::PeerRefused, format!("the request expired on {}", request.expires)));
        }
        let details = Details::from_bytes(&request.details).map_err(|e| peer(&e.to_string()))?;
        if details.owner.id() != signed.signer() {
            return Err(peer("somebody else is to be paid than who signed it"));
        }
        let order = order_hash(signed.id(), salt);
        let handover = |token| Handover { token, salt: Some(*salt) };
        self.order(&details, request.amount, order, request.expires, None, Some(signed.clone()), &handover)
    }

    fn lock(&self, lock: &Lock) -> Stepped {
        let (payee, condition) = condition(lock)?;
        let handover = |token| Handover { token, salt: None };
        self.order(&payee, lock.amount, lock.tag, lock.refund_after, Some(condition), None, &handover)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one order")]
    fn order(
        &self,
        payee: &Details,
        amount: Amount,
        order: Digest,
        until: Time,
        condition: Option<Condition>,
        request: Option<Signed>,
        handover: &dyn Fn(Token) -> Handover,
    ) -> Stepped {
        let (terms, account) = self.opened()?;
        if payee.bank != terms.key_set.id() {
            return Err(Failure::unmoved(Fault::PeerMisbehaved, "the payee names other keys of the bank"));
        }
        let fee = fee(terms.fees, amount)?;
        self.module.affordable(self.purse, &terms, amount, fee)?;
        let level = self.level(payee.level, account.level, &terms)?;
        let instruction = Instruction {
            account: account.number,
            payee: payee.owner.id(),
            amount,
            order,
            nonce: *self.context.entropy,
            authorise_before: until,
            held_until: until,
            level,
            fee_most: fee,
            // Of a payment a part is none: what its payee owes for it, it owes for the whole.
            capture: if condition.is_none() { Capture::Whole } else { Capture::Parts },
            condition,
        };
        let derived = derive(&self.module.seed, &self.purse.issuer, self.purse.currency);
        let context = Instruction::context(terms.key_set.id());
        let plain = Zeroizing::new(instruction.authenticated(&derived.mac_key));
        let sealed = self.module.seal.seal(terms.sealing_suite, &terms.sealing_key, &context, &plain);
        let sealed = sealed.map_err(|e| Failure::unmoved(Fault::ThirdParty, format!("the bank's sealing key: {e}")))?;
        let order = PaymentOrder {
            order,
            amount,
            system: self.module.system.clone(),
            issuer: self.purse.issuer.clone(),
            instruction: instruction_hash(&sealed),
            time: self.context.now,
        };
        let draft = self.draft(&order);
        let handover = handover(Token { sealed, order, signature: None });
        let made = Made { handover, amount, fee, until, request, level };
        let stage = Stage::Order(Box::new(made));
        Ok(Step::to(stage.to_bytes(), Next::Sign { draft, consent: Consent::Ask }))
    }

    /// The level of a payment: the highest that everybody's certificates and wishes allow.
    fn level(&self, payee: Level, own: Level, terms: &BankTerms) -> Result<Level, Failure> {
        let highest = match (payee, own) {
            (Level::One, _) => Level::One,
            (_, Level::One) => Level::Two,
            _ => Level::Three,
        };
        let highest = highest.min(self.module.level);
        let allowed = terms.levels.iter().copied().filter(|level| *level <= highest).max();
        let reason = "the bank takes no payment at a level that both sides' certificates allow";
        allowed.ok_or_else(|| Failure::unmoved(Fault::ThirdParty, reason))
    }

    /// The user has approved an order: the token is good from now on. Its signature goes along in level 3 only; below, nothing that the
    /// payee gets says who pays.
    fn ordered(&self, mut made: Made, signed: Signed) -> Stepped {
        self.check(&self.draft(&made.handover.token.order), &signed)?;
        if made.level == Level::Three {
            made.handover.token.signature = Some(signed.clone());
        }
        let hold = made.handover.token.hold();
        let minor = made.amount.plus(made.fee).map_err(|e| Failure::unmoved(Fault::Misuse, e.to_string()))?.minor();
        let out = Out { minor, before: made.until };
        let outcome = Outcome { moved: made.amount, fee: made.fee, handover: made.handover.to_bytes() };
        let step = Step::to(Stage::Paid(Box::new(made)).to_bytes(), Next::Done(outcome));
        Ok(step.put(out_key(&hold), out.to_bytes()).keep(EvidenceKind::Statement, signed.bytes().to_vec()))
    }

    fn receive(&self, signed: &Signed, token: &[u8]) -> Stepped {
        let (terms, account) = self.opened()?;
        let request = request_of(signed)?;
        if signed.signer() != self.context.me.id() {
            return Err(Failure::unmoved(Fault::Misuse, "the request is not this party's"));
        }
        let Handover { token, salt } = Handover::read(token)?;
        let peer = |why: &str| Failure::unmoved(Fault::PeerMisbehaved, format!("the payer's token: {why}"));
        let order = &token.order;
        if order.system != self.module.system || order.issuer != self.purse.issuer {
            return Err(peer("it is for another system or bank"));
        }
        if order.amount != request.amount {
            return Err(peer(&format!("it is worth {}, not {}", order.amount, request.amount)));
        }
        let salt = salt.ok_or_else(|| peer("it lacks the salt of the order"))?;
        if order_hash(signed.id(), &salt) != order.order {
            return Err(peer("it is for something else than the request"));
        }
        let capture = Some(request.amount);
        let asking = Asking { purpose: Purpose::Main, round: 0, made: None };
        self.request_at(&terms, account, asking, Action::Authorise { token, capture }, Consent::Implied)
    }

    fn verify_lock(&self, lock: &Lock, token: &[u8]) -> Stepped {
        let (terms, account) = self.opened()?;
        let (_, condition) = condition(lock)?;
        if ![condition.payee.id(), condition.arbiter.id()].contains(&self.context.me.id()) {
            return Err(Failure::unmoved(Fault::Misuse, "this party is neither payee nor arbiter of the lock"));
        }
        let Handover { token, .. } = Handover::read(token)?;
        let agreed = token.order.order == lock.tag
            && token.order.amount == lock.amount
            && token.order.issuer == self.purse.issuer;
        if !agreed {
            return Err(not_agreed());
        }
        let asking = Asking { purpose: Purpose::Main, round: 0, made: None };
        self.request_at(&terms, account, asking, Action::Authorise { token, capture: None }, Consent::Implied)
    }

    fn authorise(&self, lock: &Lock, payout: &[u8], to: Side) -> Stepped {
        let release = Release::from_bytes(payout);
        let release = release.map_err(|e| Failure::unmoved(Fault::PeerMisbehaved, format!("the payout: {e}")))?;
        let (_, condition) = condition(lock)?;
        let other = match to {
            Side::Payee => &condition.payer,
            Side::Payer => &condition.payee,
        };
        if ![other.id(), condition.arbiter.id()].contains(&self.context.me.id()) {
            return Err(Failure::unmoved(Fault::Misuse, "this party does not decide this way over the lock"));
        }
        let (issuer, amount) = (self.purse.issuer.clone(), lock.amount);
        if release != (Release { tag: lock.tag, issuer, to, amount }) {
            return Err(Failure::unmoved(Fault::PeerMisbehaved, "the payout is for another lock, amount or side"));
        }
        let payload = release.to_bytes();
        let draft = self.release_draft(payload.clone());
        Ok(Step::to(Stage::Release(payload).to_bytes(), Next::Sign { draft, consent: Consent::Implied }))
    }

    fn release_draft(&self, payload: Vec<u8>) -> Draft {
        Draft { kind: Kind::Release, suite: self.context.me.suite(), signer: self.context.me.id(), payload }
    }

    fn redeem(&self, lock: &Lock, token: &[u8], to: Side, authorisation: &[u8]) -> Stepped {
        let (terms, account) = self.opened()?;
        let hold = Handover::read(token)?.token.hold();
        let asking = Asking { purpose: Purpose::Main, round: 0, made: None };
        let action = if !authorisation.is_empty() {
            let release = Signed::from_bytes(authorisation);
            let release = release.map_err(|e| Failure::unmoved(Fault::PeerMisbehaved, format!("the release: {e}")))?;
            Action::Settle { hold, release }
        } else if to == Side::Payer && self.context.now >= lock.refund_after {
            Action::Revoke { hold }
        } else {
            let reason = format!("the money is locked until {}; a release is needed before", lock.refund_after);
            return Err(Failure::unmoved(Fault::PeerRefused, reason));
        };
        self.request_at(&terms, account, asking, action, Consent::Implied)
    }

    fn transfer(&self, amount: Amount, address: &str) -> Stepped {
        let (terms, account) = self.opened()?;
        let bad = |why: &str| Failure::unmoved(Fault::Misuse, why);
        let address =
            Address::parse(address).ok_or_else(|| bad("not an address of an account (account:NUMBER@BANK)"))?;
        if address.issuer != self.purse.issuer {
            return Err(bad("the account is at another bank; this bank sends money to its own accounts only"));
        }
        if address.amount.is_some_and(|wanted| wanted != amount) {
            return Err(bad("the address asks for another amount"));
        }
        let fee_most = fee(terms.fees, amount)?;
        self.module.affordable(self.purse, &terms, amount, fee_most)?;
        let action = Action::Transfer { amount, to: address.number, reference: address.reference, fee_most };
        let asking = Asking { purpose: Purpose::Main, round: 0, made: None };
        self.request_at(&terms, account, asking, action, Consent::Ask)
    }

    /// Takes back what another operation has paid, as far as the payee has not taken it.
    fn reclaim(&self, stage: &[u8]) -> Stepped {
        match Stage::from_bytes(stage) {
            Ok(Stage::Paid(made)) => self.revoke(Asking { purpose: Purpose::Revoke, round: 0, made: Some(made) }),
            _ => self.done(nothing(self.purse), Vec::new()),
        }
    }

    fn revoke(&self, asking: Asking) -> Stepped {
        let (terms, account) = self.opened()?;
        let hold = asking.made.as_ref().map(|made| made.handover.token.hold());
        let hold = hold.ok_or_else(|| Failure::unmoved(Fault::Misuse, "nothing to take back"))?;
        let asking = asking.then(Purpose::Revoke);
        self.request_at(&terms, account, asking, Action::Revoke { hold }, Consent::Implied)
    }

    /// Has a request to the bank signed.
    fn request_at(
        &self,
        terms: &BankTerms,
        account: Known,
        asking: Asking,
        action: Action,
        consent: Consent,
    ) -> Stepped {
        let mut id = [0; 16];
        let name = self.operation.id.child(&format!("account/{}", asking.round));
        id.copy_from_slice(&name.as_bytes()[..16]);
        let request = AccountRequest {
            issuer: self.purse.issuer.clone(),
            bank: terms.key_set.id(),
            id,
            account: Some(account.number),
            expires: self.context.now.after(REQUEST_LIFETIME),
            action,
        };
        Ok(self.sign(asking, &request, consent))
    }

    fn sign(&self, asking: Asking, request: &AccountRequest, consent: Consent) -> Step {
        let draft = self.draft(request);
        let stage = Stage::Sign { asking, payload: draft.payload.clone() };
        Step::to(stage.to_bytes(), Next::Sign { draft, consent })
    }

    fn ask(&self, asking: Asking, payload: Vec<u8>, signed: Signed) -> Stepped {
        let (suite, signer) = (self.context.me.suite(), self.context.me.id());
        self.check(&Draft { kind: Kind::AccountRequest, suite, signer, payload }, &signed)?;
        let next = Next::Ask(post(&self.purse.issuer, &signed));
        Ok(Step::to(Stage::Ask { asking, request: signed }.to_bytes(), next))
    }

    fn check(&self, draft: &Draft, signed: &Signed) -> Result<(), Failure> {
        if answers(self.context.verify, self.context.me, draft, signed) {
            return Ok(());
        }
        Err(Failure::unmoved(Fault::Misuse, "the key holder signed something else"))
    }

    /// The bank has answered.
    fn answered(&self, asking: Asking, request: &Signed, reply: &IssuerReply) -> Stepped {
        let terms = terms(self.purse).ok_or_else(not_open)?;
        match asking.purpose {
            Purpose::Open | Purpose::Balance => {
                let statement = read::<AccountStatement>(self.context.verify, &terms, reply)?;
                let statement = statement.statement();
                if statement.currency != self.purse.currency || statement.issuer != self.purse.issuer {
                    return Err(mismatch());
                }
                let account = Known::of(statement);
                if asking.purpose == Purpose::Open {
                    // What was found again under the seed may be older than the account is now.
                    let step = self.refresh(&terms, account, asking)?;
                    return Ok(step.put(ACCOUNT.to_vec(), account.to_bytes()));
                }
                if known(self.purse).is_some_and(|known| known.number != statement.account) {
                    return Err(mismatch());
                }
                Ok(self.done(nothing(self.purse), Vec::new())?.put(ACCOUNT.to_vec(), account.to_bytes()))
            }
            Purpose::Fate(hold) => self.fate(&terms, asking, hold, reply),
            Purpose::Main => self.main(&terms, asking, request, reply),
            Purpose::Revoke => self.revoked(&terms, asking, reply),
            Purpose::Proof => self.proven(&terms, asking, reply),
            Purpose::Settled => self.settled_once(&terms, asking, reply),
        }
    }

    /// A token that the bank knows is in the bank's figures, one that has expired unseen is worth nothing: either way it is no longer out.
    fn fate(&self, terms: &BankTerms, asking: Asking, hold: Digest, reply: &IssuerReply) -> Stepped {
        let (_, account) = self.opened()?;
        let unknown = refusal(reply).is_some_and(|refusal| refusal.kind == ProblemKind::UnknownHold);
        let out = outs(self.purse).find(|(id, _)| *id == hold).map(|(_, out)| out);
        let settled = if unknown {
            // A minute for clocks that differ: the bank's decides.
            out.is_some_and(|out| self.context.now > out.before.after(PAUSE))
        } else {
            self.about(terms, reply, hold).map(|_| true)?
        };
        let step = self.refresh(terms, account, asking)?;
        Ok(if settled { step.remove(out_key(&hold)) } else { step })
    }

    fn about(&self, terms: &BankTerms, reply: &IssuerReply, hold: Digest) -> Result<Authorisation, Failure> {
        let authorisation = read::<Authorisation>(self.context.verify, terms, reply)?.statement().clone();
        if authorisation.hold == hold && authorisation.issuer == self.purse.issuer {
            Ok(authorisation)
        } else {
            Err(mismatch())
        }
    }

    /// The answer to what the operation is about.
    fn main(&self, terms: &BankTerms, asking: Asking, request: &Signed, reply: &IssuerReply) -> Stepped {
        match &self.operation.task {
            Task::Receive { request: asked, token } => {
                let Handover { token, salt } = Handover::read(token)?;
                let booking = read::<Booking>(self.context.verify, terms, reply)?;
                let said = booking.statement();
                let good = said.hold == Some(token.hold())
                    && said.order == Some(token.order.order)
                    && said.amount == token.order.amount
                    && said.payee == self.context.me.id()
                    && said.what == What::Payment;
                if !good {
                    return Err(mismatch());
                }
                let (bank, booking) = (terms.key_set.clone(), booking.signed().clone());
                let salt = salt.ok_or_else(mismatch)?;
                let proof = self.proof(asked, Shown::Booking { bank, booking, salt })?;
                let step = self.gained(token.order.amount)?.keep(EvidenceKind::Payment, proof.to_bytes());
                // In level 3 the bank has checked that the payer signed it.
                Ok(match token.signature {
                    Some(order) => step.keep(EvidenceKind::Statement, order.bytes().to_vec()),
                    None => step,
                })
            }
            Task::VerifyLock { lock, token } => {
                let (_, condition) = condition(lock)?;
                let hold = Handover::read(token)?.token.hold();
                let said = self.about(terms, reply, hold)?;
                // What the sides have settled before the date, they have settled together: the payee has what it let go of.
                let stands = match said.state {
                    HoldState::Held => said.captured == 0,
                    HoldState::Captured | HoldState::Void => self.context.me.id() == condition.arbiter.id(),
                    HoldState::Expired | HoldState::Revoked => false,
                };
                let agreed = stands
                    && said.order == lock.tag
                    && said.amount == lock.amount
                    && said.payee == condition.payee.id()
                    && said.expires == lock.refund_after
                    && said.condition == Some(condition.hash());
                if !agreed {
                    return Err(not_agreed());
                }
                let step = self.done(nothing(self.purse), Vec::new())?;
                Ok(step.keep(EvidenceKind::Statement, reply.body.clone()))
            }
            Task::Redeem { token, to, .. } => {
                let hold = Handover::read(token)?.token.hold();
                let instead = match refusal(reply).map(|refusal| refusal.kind) {
                    // The other side was first: its settlement stands.
                    Some(ProblemKind::NotHeld) => Some(Action::Hold { hold }),
                    // Nobody has handed the token in: from now on nobody can.
                    Some(ProblemKind::UnknownHold) if *to == Side::Payer => Some(Action::Revoke { hold }),
                    _ => None,
                };
                match instead {
                    Some(action) => {
                        let (_, account) = self.opened()?;
                        self.request_at(terms, account, asking.then(Purpose::Settled), action, Consent::Implied)
                    }
                    None => self.settled_once(terms, asking, reply),
                }
            }
            Task::Transfer { amount, .. } => {
                let booking = read::<Booking>(self.context.verify, terms, reply)?;
                let said = booking.statement();
                if said.entry != *request.id().digest() || said.amount != *amount || said.what != What::Transfer {
                    return Err(mismatch());
                }
                let fee = fee(terms.fees, *amount)?;
                let step = self.lost(*amount, fee, reply.body.clone())?;
                Ok(step.keep(EvidenceKind::Statement, reply.body.clone()))
            }
            _ => Err(Failure::unknown(Fault::Misuse, "this task asks the bank nothing")),
        }
    }

    /// What this side gets of a lock; nothing, if another operation was told of it before.
    fn settled_once(&self, terms: &BankTerms, asking: Asking, reply: &IssuerReply) -> Stepped {
        let step = self.settled(terms, asking, reply)?;
        let (Task::Redeem { token, .. }, Next::Done(_)) = (&self.operation.task, &step.next) else { return Ok(step) };
        let key = settled_key(&Handover::read(token)?.token.hold());
        if !self.purse.records.contains_key(&key) {
            return Ok(step.put(key, Vec::new()));
        }
        let nothing_more = self.done(nothing(self.purse), Vec::new())?;
        Ok(Step { evidence: step.evidence, ..nothing_more })
    }

    /// How a lock was settled: what this side gets of it.
    fn settled(&self, terms: &BankTerms, asking: Asking, reply: &IssuerReply) -> Stepped {
        let Task::Redeem { lock, token, to, authorisation } = &self.operation.task else {
            return Err(Failure::unknown(Fault::Misuse, "only a lock is settled"));
        };
        let hold = Handover::read(token)?.token.hold();
        // The token was handed in just before it was taken back: now there is something to settle.
        let overtaken = refusal(reply).is_some_and(|refusal| refusal.kind == ProblemKind::StillHeld);
        if overtaken && asking.purpose == Purpose::Settled && asking.round == 1 {
            let release = Signed::from_bytes(authorisation).map_err(|_| mismatch())?;
            let (_, account) = self.opened()?;
            let asking = asking.then(Purpose::Main);
            return self.request_at(terms, account, asking, Action::Settle { hold, release }, Consent::Implied);
        }
        let is_booking = Signed::from_bytes(&reply.body).is_ok_and(|signed| signed.kind() == Kind::Booking);
        let to_payee = if is_booking {
            let booking = read::<Booking>(self.context.verify, terms, reply)?;
            let said = booking.statement();
            if said.hold != Some(hold) || said.amount.currency() != lock.amount.currency() {
                return Err(mismatch());
            }
            said.amount.minor()
        } else {
            let said = self.about(terms, reply, hold)?;
            match said.state {
                HoldState::Held => return Err(mismatch()),
                HoldState::Revoked | HoldState::Void | HoldState::Expired => 0,
                HoldState::Captured => said.captured,
            }
        };
        let mine = match to {
            Side::Payee => to_payee,
            Side::Payer => lock.amount.minor().checked_sub(to_payee).ok_or_else(mismatch)?,
        };
        if mine == 0 {
            return Err(Failure::unmoved(Fault::PeerRefused, "the money of this lock went to the other side"));
        }
        let moved = Amount::new(mine, lock.amount.currency()).map_err(|_| mismatch())?;
        let step = match to {
            Side::Payee => self.gained(moved)?,
            Side::Payer => self.done(moved, Vec::new())?.remove(out_key(&hold)),
        };
        let said = Signed::from_bytes(&reply.body).map_err(|_| mismatch())?;
        let shown = Taken { bank: terms.key_set.clone(), said }.to_bytes();
        Ok(step.keep(EvidenceKind::Statement, reply.body.clone()).keep(EvidenceKind::Redemption, shown))
    }

    /// What taking a token back has found.
    fn revoked(&self, terms: &BankTerms, asking: Asking, reply: &IssuerReply) -> Stepped {
        let made = asking.made.as_ref().ok_or_else(mismatch)?;
        let hold = made.handover.token.hold();
        if refusal(reply).is_some_and(|refusal| refusal.kind == ProblemKind::StillHeld) {
            let until = made.until.max(self.context.now.after(PAUSE));
            return Ok(Step::to(Stage::Wait(asking).to_bytes(), Next::Wait(until)));
        }
        let said = self.about(terms, reply, hold)?;
        if said.captured == 0 {
            let moved = made.amount;
            let step = self.done(moved, Vec::new())?.remove(out_key(&hold));
            return Ok(step.keep(EvidenceKind::Statement, reply.body.clone()));
        }
        let (_, account) = self.opened()?;
        let asking = asking.then(Purpose::Proof);
        self.request_at(terms, account, asking, Action::Booking { hold, number: 0 }, Consent::Implied)
    }

    /// The booking of what the payee has taken of a payment that was to be taken back.
    fn proven(&self, terms: &BankTerms, asking: Asking, reply: &IssuerReply) -> Stepped {
        let made = asking.made.ok_or_else(mismatch)?;
        let hold = made.handover.token.hold();
        let booking = read::<Booking>(self.context.verify, terms, reply)?;
        let said = booking.statement();
        if said.hold != Some(hold) || said.order != Some(made.handover.token.order.order) {
            return Err(mismatch());
        }
        let rest = made.amount.minus(said.amount).map_err(|_| mismatch())?;
        let (request, salt) = (made.request.as_ref(), made.handover.salt);
        let proof = request.zip(salt).map(|(request, salt)| {
            let (bank, booking) = (terms.key_set.clone(), booking.signed().clone());
            self.proof(request, Shown::Booking { bank, booking, salt })
        });
        let proof = proof.transpose()?.map(|proof| proof.to_bytes());
        let mut step = self.done(rest, proof.clone().unwrap_or_default())?;
        if outs(self.purse).any(|(id, _)| id == hold) {
            // The balance that is known is from before the bank saw the token.
            let (_, account) = self.opened()?;
            let paid = said.amount.minor().saturating_add(fee(terms.fees, said.amount)?.minor());
            let account = account.changed_by(-i64::try_from(paid).unwrap_or(i64::MAX));
            step = step.put(ACCOUNT.to_vec(), account.to_bytes()).remove(out_key(&hold));
        }
        Ok(match proof {
            Some(proof) => step.keep(EvidenceKind::Payment, proof),
            None => step.keep(EvidenceKind::Statement, reply.body.clone()),
        })
    }

    fn proof(&self, request: &Signed, shown: Shown) -> Result<Proof, Failure> {
        let details = Details::from_bytes(&request_of(request)?.details).map_err(|_| mismatch())?;
        Ok(proof(&self.purse.issuer, request.clone(), details.owner, shown))
    }

    fn gained(&self, amount: Amount) -> Stepped {
        let (_, account) = self.opened()?;
        let account = account.changed_by(i64::try_from(amount.minor()).unwrap_or(i64::MAX));
        Ok(self.done(amount, Vec::new())?.put(ACCOUNT.to_vec(), account.to_bytes()))
    }

    fn lost(&self, amount: Amount, fee: Amount, handover: Vec<u8>) -> Stepped {
        let (_, account) = self.opened()?;
        let minor = amount.minor().saturating_add(fee.minor());
        let account = account.changed_by(-i64::try_from(minor).unwrap_or(i64::MAX));
        let outcome = Outcome { moved: amount, fee, handover };
        let step = Step::to(Stage::Ended.to_bytes(), Next::Done(outcome));
        Ok(step.put(ACCOUNT.to_vec(), account.to_bytes()))
    }

    fn done(&self, moved: Amount, handover: Vec<u8>) -> Stepped {
        let outcome = Outcome { moved, fee: nothing(self.purse), handover };
        Ok(Step::to(Stage::Ended.to_bytes(), Next::Done(outcome)))
    }

    fn draft(&self, statement: &impl Statement) -> Draft {
        statement.draft(self.context.me.suite(), self.context.me.id())
    }
}

fn request_of(signed: &Signed) -> Result<PaymentRequest, Failure> {
    let bad = |e: &dyn std::fmt::Display| Failure::unmoved(Fault::PeerMisbehaved, format!("the payment request: {e}"));
    if signed.kind() != Kind::PaymentRequest {
        return Err(bad(&"a statement of another kind"));
    }
    PaymentRequest::from_bytes(signed.payload()).map_err(|e| bad(&e))
}

fn nothing(purse: &Purse) -> Amount {
    Amount::new(0, purse.currency).expect("zero is small enough")
}

fn not_open() -> Failure {
    Failure::unmoved(Fault::Environment, "the account is not open yet: refresh the purse")
}

fn unwanted() -> Failure {
    Failure { fault: Fault::UserDeclined, money: Money::NotMoved, reason: "it was not wanted any more".to_owned() }
}

fn not_agreed() -> Failure {
    Failure::unmoved(Fault::PeerMisbehaved, "the payer's lock is not the one that was agreed")
}

/// Why a task is none of an account's.
fn impossible(purse: &Purse, task: &Task) -> Failure {
    let reason = match task {
        Task::Deposit { .. } => {
            let to = known(purse).map_or_else(String::new, |account| format!(" to account {}", account.number));
            format!("money comes onto an account by a transfer{to} or through the bank's operator")
        }
        Task::Send(_) | Task::Accept(_) => {
            "an account holds no tokens that can be handed to anybody; use a transfer".to_owned()
        }
        Task::Learn { .. } => ARBITER_ONLY.to_owned(),
        _ => "the bank keeps the account; a refresh finds it again".to_owned(),
    };
    Failure::unmoved(Fault::Misuse, reason)
}

/// The condition of a lock, as both sides compute it, and the payee's details.
fn condition(lock: &Lock) -> Result<(Details, Condition), Failure> {
    let bad = |what: &str| Failure::unmoved(Fault::PeerMisbehaved, format!("the lock's {what} is not readable"));
    if lock.kind != LockKind::Arbiter {
        return Err(Failure::unmoved(Fault::Misuse, ARBITER_ONLY));
    }
    let payer = Details::from_bytes(&lock.payer).map_err(|_| bad("payer"))?;
    let payee = Details::from_bytes(&lock.payee).map_err(|_| bad("payee"))?;
    let arbiter = KeySet::from_bytes(&lock.arbiter).map_err(|_| bad("arbiter"))?;
    let condition = Condition { tag: lock.tag, payer: payer.owner, payee: payee.owner.clone(), arbiter };
    Ok((payee, condition))
}

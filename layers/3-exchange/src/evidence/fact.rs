//! Facts: what the pieces of evidence in one or more folders show, one by one, each with what shows it.
//!
//! A fact says what happened and never what follows from it: that is for the rules of [`claims`](crate::claims).

use semper_core::amount::Currency;
use semper_core::cbor::{Decode, Encode};
use semper_core::contract::{Core, Final, Profile, Promise, Quittance};
use semper_core::cose::Signed;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, ContainerId, KeySetId, Slot, StatementId};
use semper_core::party::Role;
use semper_core::signature::Verify;
use semper_core::time::Time;
use semper_transfer::payment::claim::Proof;
use semper_transfer::payment::statement::{PaymentReceipt, PaymentRequest, Side};

use super::report::Finding;
use super::right::Said;
use super::verify::{Checks, Pool};
use super::{cover, many};
use crate::arbiter::hands::{Deposit, deposit_request};
use crate::arbiter::request::{Abort, Complaint, Resolve, Settlement};
use crate::arbiter::verdict::{ClosedUnused, Closing, ClosingOutcome, Outcome, Verdict};
use crate::goods::{Disclosure, Good, Judge, KeyAttestation, NotOpened, Pom};
use crate::gx::{self, Leg, Transfer, is_paid};
use crate::notice::Sort;

/// Something that a case proves to have happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    /// What it is about.
    pub about: Subject,
    /// What happened.
    pub what: What,
    /// When, if it says so.
    pub dated: Option<Dated>,
    /// The pieces of evidence: identifiers of statements and of signers that nothing else names, hashes of everything else. In order.
    pub evidence: Vec<Digest>,
}

/// What a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A contract.
    Contract(Cid),
    /// A part of a contract with several recipients: the originator and one of them, as the contract between these two.
    Part(Cid, Slot),
    /// A transfer of a container.
    Transfer(ContainerId),
    /// A payment, by its payee's request.
    Payment(StatementId),
}

/// When something happened, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dated {
    /// When.
    pub time: Time,
    /// Who says so.
    pub source: Source,
}

/// Who says when something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The signer of the evidence, by its own clock.
    Claimed,
    /// The arbiter's log, in which the evidence has its place.
    Log,
    /// A time-stamp authority: it happened before, and nobody says how long before. Whether its word counts is for whoever judges, so no fact
    /// carries such a date; it is found among the time-stamps of the report.
    Stamp,
}

impl Source {
    /// The word in claims; the signer's own needs none.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Source::Claimed => None,
            Source::Log => Some("log"),
            Source::Stamp => Some("stamp"),
        }
    }

    /// The source with a word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Source::Log, Source::Stamp].into_iter().find(|source| source.name() == Some(name))
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A party promised; among many, it signed the first round.
    Promised(Role),
    /// Among many: all have signed the last round.
    SignedByAll,
    /// Among many: the arbiter let a party off.
    LetOff(Role),
    /// A party completed the contract, on both promises.
    Completed(Role),
    /// A party's promise was handed in for its peer.
    SubmittedPromise(Role),
    /// A party's final was handed in for its peer.
    SubmittedFinal(Role),
    /// A container was handed in, for the party with this key set.
    SubmittedContainer(KeySetId),
    /// The issuer of the right that a party shows keeps a use for this contract, or says that it may be used freely and is good for it.
    RightKept(Role),
    /// The issuer of that right says that it took the use for this contract.
    RightTaken(Role),
    /// A party asked the arbiter to abort.
    AskedAbort(Role),
    /// A party asked the arbiter to complete the contract.
    AskedResolve(Role),
    /// A party complained to the arbiter.
    Complained(Role),
    /// A party asked the arbiter for the locked money, as its payer or payee.
    AskedMoney(Role, Side),
    /// A party took locked money, with the word of somebody who may decide over it: as its payee the peer's, as its payer its own back.
    Took(Role, Side),
    /// A party said that the money which its peer gives has come to it.
    Quitted(Role),
    /// The arbiter aborted the contract.
    Aborted,
    /// The arbiter had the right called back that was passed on under the contract: nobody is bound.
    Revoked,
    /// The arbiter completed the contract, on both promises.
    Resolved,
    /// The arbiter found this party's item not to be what was promised, by its verdict or its closing.
    Faulted(Role),
    /// The arbiter closed the contract without fault: the money was let go to the payee.
    Closed,
    /// The arbiter said that the contract's time is over and that nobody had asked.
    Unused,
    /// A party gave the seed of its deposit. Whether it opens the deposit is not known here.
    Disclosed(Role),
    /// A party gave the seed of its deposit, and it opens it.
    Opened(Role),
    /// The arbiter gave the key to a party's information in its place.
    Attested(Role),
    /// A proof that what a party gave is not what was promised, and the proof holds.
    Misbehaved(Role),
    /// The same, with the key as the arbiter attests it.
    MisbehavedAttested(Role),
    /// The payee of a plain transfer was paid all of it, for its request in the contract.
    Transferred,
    /// The arbiter said that it has a party's deposit, which goes through its hands.
    Deposited(Role),
    /// The payment system's own proof that the arbiter was paid a party's deposit, for its request.
    DepositShown(Role),
    /// The payment system's own proof that a party was paid what its peer had given, as it asks in the contract. Who paid it shows nowhere.
    PaidOn(Role),
    /// The payment system's own proof that a party was paid its own money back, as it asks in the contract.
    PaidBack(Role),
    /// The preimage that opens everything that a contract without an arbiter exchanges is known: its originator has let go of it.
    Preimage,
    /// A guarantor, with this key set, stands for a party with so much, in minor units.
    Covered(Role, KeySetId, Currency, u64),
    /// A party told the other one something about the contract, under its signature.
    Told(Sort, Role),
    /// What a party told was handed in for the other one.
    ToldHandedIn(Sort, Role),
    /// The other party signed that it has what a party told.
    ToldTaken(Sort, Role),
    /// A party put a container under its name.
    Sent(KeySetId),
    /// A party signed that it took a container.
    Accepted(KeySetId),
    /// A party signed that it has a container and did not take it.
    Refused(KeySetId),
    /// A payee asked for a payment.
    Requested(KeySetId),
    /// A payee gave a receipt.
    Receipted(KeySetId),
    /// The payment system's own proof that a payee was paid.
    Shown(KeySetId),
}

impl Subject {
    /// A part of a contract: the whole contract, unless it has several recipients.
    pub fn of_part(core: &Core, part: Slot) -> Self {
        let cid = core.cid();
        if gx::parts(core) > 1 { Subject::Part(cid, part) } else { Subject::Contract(cid) }
    }

    /// The identifier as a hash.
    pub fn digest(&self) -> &Digest {
        match self {
            Subject::Contract(cid) | Subject::Part(cid, _) => cid.digest(),
            Subject::Transfer(container) => container.digest(),
            Subject::Payment(request) => request.digest(),
        }
    }
}

impl What {
    /// Whether this rests on the arbiter's word.
    pub fn is_by_arbiter(&self) -> bool {
        use What::{
            Aborted, Attested, Closed, Deposited, Faulted, LetOff, MisbehavedAttested, Resolved, Revoked, Unused,
        };
        let ruled = matches!(self, Aborted | Revoked | LetOff(_) | Resolved | Faulted(_) | Closed | Unused);
        ruled || matches!(self, Attested(_) | MisbehavedAttested(_) | Deposited(_))
    }

    /// Whose word this is, where nothing but the evidence itself says whose it should be.
    pub fn signer(&self) -> Option<KeySetId> {
        use What::{Accepted, Covered, Receipted, Refused, Requested, Sent, Shown, SubmittedContainer};
        match self {
            Sent(by) | Accepted(by) | Refused(by) | Requested(by) | Receipted(by) | Shown(by) => Some(*by),
            Covered(_, guarantor, ..) => Some(*guarantor),
            // The recipient's own card says whose receipt counts.
            SubmittedContainer(recipient) => Some(*recipient),
            _ => None,
        }
    }
}

/// The facts of one contract. All that is read here is marked as belonging to it.
///
/// A part of a contract with several recipients is told as a contract between two: its recipient is the responder, whatever its role in the whole.
pub(super) fn of_contract(checks: &Checks<'_>, pool: &mut Pool, core: &Core) -> Vec<Fact> {
    if core.terms.profile == Profile::Cn {
        return many::facts(checks, pool, core);
    }
    (0..gx::parts(core)).map(Slot).flat_map(|part| of_part(checks, pool, core, part)).collect()
}

fn of_part(checks: &Checks<'_>, pool: &mut Pool, core: &Core, part: Slot) -> Vec<Fact> {
    let roles = [Role::ORIGINATOR, gx::responder(part)];
    let [Some(originator), Some(responder)] = roles.map(|role| core.party(role)) else { return Vec::new() };
    let parties = [originator, responder];
    let about = Subject::of_part(core, part);
    let mut facts = Facts { about, cid: core.cid(), part, core, roles, parties, found: Vec::new() };
    let promises = facts.promises(pool);
    facts.requests(pool);
    facts.hands(checks, pool);
    facts.rulings(checks, pool, promises);
    facts.information(checks, pool);
    facts.money(checks, pool);
    facts.preimage(pool);
    facts.right(checks, pool);
    facts.covers(pool);
    facts.found
}

/// The sides of a part, as its facts name them.
const SIDES: [Role; 2] = [Role::ORIGINATOR, Role::RESPONDER];

/// The promises of originator and responder, where they were made.
type Promises = [Option<StatementId>; 2];

struct Facts<'a> {
    about: Subject,
    cid: Cid,
    part: Slot,
    core: &'a Core,
    /// The roles in the contract of the two sides.
    roles: [Role; 2],
    parties: [KeySetId; 2],
    found: Vec<Fact>,
}

impl Facts<'_> {
    fn add(&mut self, what: What, dated: Option<Dated>, evidence: impl IntoIterator<Item = Digest>) {
        let mut evidence: Vec<_> = evidence.into_iter().collect();
        evidence.sort_unstable();
        evidence.dedup();
        self.found.push(Fact { about: self.about, what, dated, evidence });
    }

    /// The side that has a role in the contract.
    fn side(&self, role: Role) -> Option<Role> {
        self.roles.iter().position(|has| *has == role).map(|place| SIDES[place])
    }

    fn promises(&mut self, pool: &mut Pool) -> Promises {
        let (cid, parties, roles) = (self.cid, self.parties, self.roles);
        let mut promised: Promises = [None, None];
        for (place, side) in SIDES.into_iter().enumerate() {
            let role = roles[place];
            let expected = Promise { cid, role, answers: promised[0].filter(|_| place == 1) };
            if place == 1 && promised[0].is_none() {
                break;
            }
            let made = pool.said(parties[place], |promise: &Promise| *promise == expected);
            promised[place] = made.first().map(|(id, _)| *id);
            if let Some(id) = promised[place] {
                self.add(What::Promised(side), None, [*id.digest()]);
                self.handed_in(pool, What::SubmittedPromise(side), id, parties[1 - place]);
            }
        }
        if let [Some(first), Some(second)] = promised {
            for (place, side) in SIDES.into_iter().enumerate() {
                let expected = Final { cid, role: roles[place], promises: [first, second], slot: self.part };
                for (id, _) in pool.said(parties[place], |completion: &Final| *completion == expected) {
                    self.add(What::Completed(side), None, [*id.digest(), *first.digest(), *second.digest()]);
                    self.handed_in(pool, What::SubmittedFinal(side), id, parties[1 - place]);
                }
            }
        }
        promised
    }

    /// A statement was handed in for the peer.
    fn handed_in(&mut self, pool: &Pool, what: What, statement: StatementId, peer: KeySetId) {
        for (dated, evidence) in pool.handed_in(statement, peer) {
            self.add(what, Some(dated), evidence);
        }
    }

    fn requests(&mut self, pool: &mut Pool) {
        let (cid, part) = (self.cid, self.part);
        for (place, side) in SIDES.into_iter().enumerate() {
            let (party, role) = (self.parties[place], self.roles[place]);
            let asked = (cid, part, role);
            for (id, _) in pool.said(party, |said: &Quittance| (said.cid, said.role) == (cid, role)) {
                self.add(What::Quitted(side), None, [*id.digest()]);
            }
            for (id, _) in pool.said(party, |said: &Abort| (said.cid, said.slot) == (cid, part)) {
                self.add(What::AskedAbort(side), None, [*id.digest()]);
            }
            for (id, _) in pool.said(party, |said: &Resolve| (said.cid, said.slot, said.role) == asked) {
                self.add(What::AskedResolve(side), None, [*id.digest()]);
            }
            for (id, _) in pool.said(party, |said: &Complaint| (said.cid, said.slot, said.role) == asked) {
                self.add(What::Complained(side), None, [*id.digest()]);
            }
            for (id, said) in pool.said(party, |said: &Settlement| (said.cid, said.slot, said.role) == asked) {
                self.add(What::AskedMoney(side, said.side), None, [*id.digest()]);
            }
        }
    }

    fn rulings(&mut self, checks: &Checks<'_>, pool: &mut Pool, promises: Promises) {
        let (cid, slot, arbiter) = (self.cid, self.part, self.core.arbiter());
        let dated = |pool: &Pool, core: &Core, id, time| Some(pool.dated(checks.verify, core, id, time));
        for (id, verdict) in pool.said(arbiter, |verdict: &Verdict| (verdict.cid, verdict.slot) == (cid, slot)) {
            let dated = dated(pool, self.core, id, verdict.time);
            if self.contradicts_hands(&verdict) {
                pool.findings.push(Finding::WrongVerdict { cid, role: None });
                pool.wrong.insert(id);
                continue;
            }
            match verdict.outcome {
                Outcome::Aborted => self.add(What::Aborted, dated, [*id.digest()]),
                Outcome::Revoked if self.may_be_revoked(verdict.time) => self.add(What::Revoked, dated, [*id.digest()]),
                Outcome::Revoked => {
                    pool.findings.push(Finding::WrongVerdict { cid, role: None });
                    pool.wrong.insert(id);
                }
                Outcome::Fault(role) => {
                    let side = self.side(role);
                    side.into_iter().for_each(|side| self.add(What::Faulted(side), dated, [*id.digest()]));
                }
                Outcome::Resolved => {
                    if !self.rests_on_payment(checks, pool, &verdict) {
                        pool.findings.push(Finding::WrongVerdict { cid, role: None });
                        pool.wrong.insert(id);
                        continue;
                    }
                    let [Some(first), Some(second)] = promises else { continue };
                    if verdict.basis.get(1..) == Some(&[first, second]) {
                        self.add(What::Resolved, dated, [*id.digest(), *first.digest(), *second.digest()]);
                    }
                }
            }
        }
        for (id, closing) in pool.said(arbiter, |closing: &Closing| (closing.cid, closing.slot) == (cid, slot)) {
            let dated = dated(pool, self.core, id, closing.time);
            match closing.outcome {
                ClosingOutcome::Completed => self.add(What::Closed, dated, [*id.digest()]),
                ClosingOutcome::Fault(role) => {
                    let side = self.side(role);
                    side.into_iter().for_each(|side| self.add(What::Faulted(side), dated, [*id.digest()]));
                }
            }
        }
        for (id, status) in pool.said(arbiter, |status: &ClosedUnused| (status.cid, status.slot) == (cid, slot)) {
            let dated = Some(Dated { time: status.time, source: Source::Claimed });
            self.add(What::Unused, dated, [*id.digest()]);
        }
    }

    fn information(&mut self, checks: &Checks<'_>, pool: &mut Pool) {
        let (cid, core) = (self.cid, self.core);
        let Ok(legs) = Leg::in_part(core, self.part) else { return };
        let arbiter = core.arbiter();
        let parties = self.parties;
        for ((leg, owner), seller) in legs.iter().zip(SIDES).zip(parties) {
            let Leg::Information(slot) = leg else { continue };
            let key = core.terms.arbiter.and_then(|arbiter| arbiter.deposit_key);
            let good = Good::of(core, *slot, key.and_then(|id| pool.deposit_keys.get(&id))).ok();
            for (id, said) in pool.said(seller, |said: &Disclosure| (said.cid, said.slot) == (cid, *slot)) {
                let opened = good.as_ref().zip(checks.kem).map(|(good, kem)| good.open(kem, &said.seed));
                let what = match opened {
                    Some(Ok(_)) => What::Opened(owner),
                    Some(Err(NotOpened::WrongSeed)) => What::Misbehaved(owner),
                    Some(Err(NotOpened::MalformedKey)) | None => What::Disclosed(owner),
                };
                self.add(what, None, [*id.digest()]);
            }
            for (id, _) in pool.said(arbiter, |said: &KeyAttestation| (said.cid, said.slot) == (cid, *slot)) {
                self.add(What::Attested(owner), None, [*id.digest()]);
            }
            let arbiter_keys = arbiter.and_then(|arbiter| pool.key_sets.get(&arbiter));
            let (Some(good), Some(kem), Some(owner_keys)) = (good, checks.kem, pool.key_sets.get(&seller)) else {
                continue;
            };
            let judge = Judge { verify: checks.verify, kem, owner: owner_keys, arbiter: arbiter_keys };
            let holds = |pom: &&Pom| judge.check(&good, pom).is_ok();
            for pom in pool.proofs_of_misbehaviour.iter().filter(holds) {
                let what = if pom.is_attested() { What::MisbehavedAttested(owner) } else { What::Misbehaved(owner) };
                self.add(what, None, [Digest::of(domain::MISBEHAVIOUR, &pom.to_bytes())]);
            }
        }
    }

    /// What went through the hands of the arbiter: what it asked for, what came, and what was paid for it.
    fn hands(&mut self, checks: &Checks<'_>, pool: &mut Pool) {
        let (cid, core, arbiter) = (self.cid, self.core, self.core.arbiter());
        let Ok([Leg::Handed(first), Leg::Handed(second)]) = Leg::of(core) else { return };
        let mut asked = false;
        for (owner, handed) in SIDES.into_iter().zip([&first, &second]) {
            for said in self.parties {
                pool.said(said, |deposit: &Deposit| deposit.cid == cid);
            }
            let fits =
                |request: &PaymentRequest| *request == deposit_request(core, owner, handed, request.details.clone());
            for (id, request) in pool.said(arbiter, fits) {
                asked = true;
                let of_it = |receipt: &PaymentReceipt| {
                    (receipt.request, receipt.deal, receipt.amount) == (id, request.deal, request.amount)
                };
                for (receipt, said) in pool.said(arbiter, of_it) {
                    let dated = Dated { time: said.time, source: Source::Claimed };
                    self.add(What::Deposited(owner), Some(dated), [*id.digest(), *receipt.digest()]);
                }
                if let (Some(arbiter), Some(request)) = (arbiter, pool.statements.get(&id).cloned()) {
                    self.paid(checks, pool, What::DepositShown(owner), &request, arbiter);
                }
            }
            let parties = self.parties;
            let [ours, theirs] = [owner, owner.peer()].map(|role| parties[usize::from(role.number())]);
            self.paid(checks, pool, What::PaidOn(owner.peer()), &handed.onward, theirs);
            self.paid(checks, pool, What::PaidBack(owner), &handed.back, ours);
        }
        // Whoever has asked for deposits takes part, and cannot say that nobody had asked in time.
        let unused = pool.said(arbiter, |status: &ClosedUnused| status.cid == cid);
        if asked && !unused.is_empty() {
            pool.findings.push(Finding::ArbiterEquivocated { cid });
        }
    }

    /// What a payment system shows for a request.
    fn paid(&mut self, checks: &Checks<'_>, pool: &Pool, what: What, request: &Signed, payee: KeySetId) {
        let Some(payee) = pool.key_sets.get(&payee) else { return };
        let holds = |proof: &&Proof| is_paid(checks.verify, checks.systems, payee, request, proof).is_ok();
        for proof in pool.proofs().filter(holds) {
            self.add(what, None, [Digest::of(domain::PROOF, &proof.to_bytes())]);
        }
    }

    /// Whether the arbiter aborts what goes through its hands although it had said before, in time, that it has both deposits; or completes it too late.
    fn contradicts_hands(&self, verdict: &Verdict) -> bool {
        if self.core.terms.profile != Profile::Ix {
            return false;
        }
        let not_after = self.core.terms.deadlines.not_after;
        let said = |owner| {
            let times = self.found.iter().filter(|fact| fact.what == What::Deposited(owner));
            times.filter_map(|fact| fact.dated.map(|dated| dated.time)).min()
        };
        match verdict.outcome {
            Outcome::Resolved => verdict.time > not_after,
            // In the same second it may have aborted first.
            Outcome::Aborted => {
                SIDES.into_iter().all(|owner| said(owner).is_some_and(|time| time < verdict.time && time <= not_after))
            }
            Outcome::Fault(_) | Outcome::Revoked => true,
        }
    }

    /// What the preimage of a contract without an arbiter shows: its originator alone knew it, and has let go of it.
    fn preimage(&mut self, pool: &Pool) {
        if let Some(known) = hash_of(self.core).and_then(|hash| pool.preimage_of(hash)) {
            self.add(What::Preimage, None, [Digest::of(domain::PROOF, &known)]);
        }
    }

    /// Whether the arbiter may have had the right of this contract called back at `time`.
    fn may_be_revoked(&self, time: Time) -> bool {
        let sold = matches!(Leg::of(self.core), Ok([Leg::Right(_), _]));
        sold && time > gx::revoke_from(&self.core.terms.deadlines)
    }

    /// What the issuer of the right says that the responder shows.
    fn right(&mut self, checks: &Checks<'_>, pool: &mut Pool) {
        let Some(said) = Said::of(pool, self.core, self.cid) else { return };
        for evidence in said.kept(checks.verify, pool, self.core) {
            self.add(What::RightKept(Role::RESPONDER), None, evidence);
        }
        for (id, spend) in said.taken() {
            let dated = Dated { time: spend.time, source: Source::Claimed };
            self.add(What::RightTaken(Role::RESPONDER), Some(dated), [*id.digest()]);
        }
    }

    /// Whether a contract over money by plain transfer was completed for its payer, on a proof of payment that holds. What the folder does not hold is
    /// left to the arbiter's word.
    fn rests_on_payment(&self, checks: &Checks<'_>, pool: &Pool, verdict: &Verdict) -> bool {
        let Ok(legs) = Leg::of(self.core) else { return true };
        let paid = legs.iter().zip(SIDES).find_map(|(leg, payer)| Some((leg.transfer()?, payer)));
        let Some((transfer, payer)) = paid else { return true };
        let question = verdict.basis.first().and_then(|question| pool.statements.get(question));
        let Some(question) = question else { return true };
        let asked = Resolve::from_bytes(question.payload()).ok();
        let named = asked.filter(|asked| asked.role == payer).and_then(|asked| asked.proof);
        let Some(named) = named else { return false };
        let is_named = |proof: &&Proof| Digest::of(domain::PROOF, &proof.to_bytes()) == named;
        let proof = pool.proofs().find(is_named);
        let payee = self.core.party(payer.peer()).and_then(|payee| pool.key_sets.get(&payee));
        let holds = |(proof, payee)| transfer.is_proven(checks.verify, checks.systems, payee, proof);
        proof.zip(payee).is_none_or(|both| holds(both).is_ok())
    }

    /// What proves to the arbiter that money by plain transfer was paid, proves it here.
    fn transfer(&mut self, checks: &Checks<'_>, pool: &Pool, transfer: &Transfer, payer: Role) {
        let payee = self.core.party(payer.peer()).and_then(|payee| pool.key_sets.get(&payee));
        let Some(payee) = payee else { return };
        let holds = |proof: &&Proof| transfer.is_proven(checks.verify, checks.systems, payee, proof).is_ok();
        for proof in pool.proofs().filter(holds) {
            self.add(What::Transferred, None, [Digest::of(domain::PROOF, &proof.to_bytes())]);
        }
    }

    /// Who stands for a party under the contract. Its guarantor is named with it: nothing else says who it should be.
    fn covers(&mut self, pool: &mut Pool) {
        for covered in cover::of(pool, self.core) {
            let Some(side) = self.side(covered.subject) else { continue };
            let dated = Dated { time: covered.time, source: Source::Claimed };
            let what = What::Covered(side, covered.guarantor, covered.amount.currency(), covered.amount.minor());
            self.add(what, Some(dated), [*covered.guarantor.digest(), *covered.statement.digest()]);
        }
    }

    fn money(&mut self, checks: &Checks<'_>, pool: &Pool) {
        let Ok(legs) = Leg::in_part(self.core, self.part) else { return };
        for (leg, owner) in legs.iter().zip(SIDES) {
            if let Leg::Transfer(transfer) = leg {
                self.transfer(checks, pool, transfer, owner);
            }
            let Some(lock) = leg.lock() else { continue };
            for shown in &pool.redemptions {
                let mut sides =
                    checks.systems.iter().filter_map(|system| system.judge_lock(checks.verify, lock, shown));
                if let Some(side) = sides.next() {
                    let by = if side == Side::Payer { owner } else { owner.peer() };
                    self.add(What::Took(by, side), None, [Digest::of(domain::PROOF, shown)]);
                }
            }
        }
    }
}

impl Pool {
    /// When the arbiter has said something, and whether its log says so too.
    pub(super) fn dated(&self, verifier: &dyn Verify, core: &Core, id: StatementId, time: Time) -> Dated {
        let source = if self.is_logged(verifier, core, id) { Source::Log } else { Source::Claimed };
        Dated { time, source }
    }

    /// Whether a receipt of the contract's log shows a place for this statement.
    fn is_logged(&self, verifier: &dyn Verify, core: &Core, id: StatementId) -> bool {
        let log = core.terms.arbiter.and_then(|arbiter| self.key_sets.get(&arbiter.log));
        let (Some(log), Some(signed)) = (log, self.statements.get(&id)) else { return false };
        self.receipts.iter().any(|(_, receipt)| receipt.check(verifier, log, signed).is_ok())
    }
}

/// The hash that locks what the parties of a contract without an arbiter give.
pub(super) fn hash_of(core: &Core) -> Option<[u8; 32]> {
    let [_, second] = Leg::of(core).ok()?;
    second.lock()?.hash
}

/// A fact that one signed statement shows. Its signer is named with it: nothing else says who it should be.
pub(super) fn signed(about: Subject, what: What, time: Option<Time>, id: StatementId) -> Fact {
    let dated = time.map(|time| Dated { time, source: Source::Claimed });
    let mut evidence: Vec<_> = what.signer().iter().map(|by| *by.digest()).chain([*id.digest()]).collect();
    evidence.sort_unstable();
    Fact { about, what, dated, evidence }
}

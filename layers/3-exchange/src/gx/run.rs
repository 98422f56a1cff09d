//! What a party knows before the first message.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::{Core, Final, Promise, Quittance};
use semper_core::cose::{Draft, Signed, Statement};
use semper_core::ids::{Cid, DealId, Slot, StatementId};
use semper_core::machine::Env;
use semper_core::party::{KeySet, Role};
use semper_core::signature::{answers as signed_answers, verify};
use semper_core::time::{Seconds, Time};
use semper_support::archive::Fact;
use semper_support::engine::Effect;
use semper_support::flaws::{self, Flaw};
use semper_transfer::credential::{Bundle, Credential, Errand, Submission};
use semper_transfer::payment::operation::{Operation, OperationId, PurseId, Task};
use semper_transfer::payment::statement::{PaymentRequest, Side};

use super::items::{
    ItemsError, Leg, Transfer, complaints_until, last_payment, pay_until, responder as responder_of, revoke_from,
};
use super::right::{self, Right};
use super::show::Show;
use super::{GxError, Promised, REFUND, RUN_SPACE};
use crate::arbiter::request::{RequestError, check_promise};
use crate::arbiter::rules_hash;
use crate::goods::{Disclosure, Seed, preimage_hash};

/// One party's side of one contract: the contract, the keys, its own role and patience.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    core: Core,
    cid: Cid,
    /// Originator or responder of this run; see [`Run::stated`].
    role: Role,
    part: Slot,
    legs: [Leg; 2],
    key_sets: [KeySet; 2],
    arbiter: Option<KeySet>,
    patience: Seconds,
    own: Own,
}

/// What only this party knows of its run. Empty where only signatures are exchanged.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Own {
    /// The deal that payment operations are done for, and this party's purse.
    pub purse: Option<(DealId, PurseId)>,
    /// The purse that money comes to, where it is another one.
    pub comes_to: Option<PurseId>,
    /// The seed of the deposit of the information that this party gives ([`crate::goods::Seed`]). Without an arbiter: the preimage of the
    /// hash that locks everything, if this party is the originator.
    pub seed: Vec<u8>,
    /// The credential that this party shows or passes on, as an encoded [`Bundle`] without a reservation.
    pub shows: Vec<u8>,
}

/// Why a contract cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The contract is not between these two key sets.
    #[error("the contract is not between the two parties whose keys are given")]
    Parties,
    /// Both parties hold the same key: somebody plays both sides.
    #[error("both parties hold the same key")]
    SelfDeal,
    /// The contract names another arbiter.
    #[error("the contract names another arbiter than the one that is trusted here")]
    Arbiter,
    /// The contract names rules that this program does not know.
    #[error("the contract names arbiter's rules that this program does not know")]
    Rules,
    /// This party is not named in the contract.
    #[error("this party is not named in the contract")]
    NotMine,
    /// The items cannot be exchanged.
    #[error("{0}")]
    Items(#[from] ItemsError),
    /// Money is exchanged and this party named no purse, or it gives information and has nothing to open it with.
    #[error("{0} is needed for this exchange")]
    Own(&'static str),
}

impl Run {
    /// Prepares a run of `core` by the party with key set `me`.
    ///
    /// `arbiter` is the arbiter's key set, which the caller trusts for this contract; that is a decision of the user, taken before. None for a
    /// contract without an arbiter.
    /// `patience` is how long the party waits for each message before it ends the run with the arbiter's help.
    ///
    /// # Errors
    /// [`RunError`]: the contract must not be signed with these keys.
    pub fn new(
        core: Core,
        me: &KeySet,
        key_sets: [KeySet; 2],
        arbiter: Option<KeySet>,
        patience: Seconds,
        own: Own,
    ) -> Result<Self, RunError> {
        let [originator, responder] = &key_sets;
        if originator.shares_a_key_with(responder) {
            return Err(RunError::SelfDeal);
        }
        let part = core.role_of(responder.id()).and_then(|role| role.number().checked_sub(1));
        let part = part.filter(|_| core.party(Role::ORIGINATOR) == Some(originator.id()));
        let part = Slot(part.ok_or(RunError::Parties)?.into());
        if core.arbiter() != arbiter.as_ref().map(KeySet::id) {
            return Err(RunError::Arbiter);
        }
        if core.terms.arbiter.is_some_and(|arbiter| arbiter.rules != rules_hash()) {
            return Err(RunError::Rules);
        }
        let place_of = key_sets.iter().position(|key_set| key_set.id() == me.id());
        let role = if place_of.ok_or(RunError::NotMine)? == 0 { Role::ORIGINATOR } else { Role::RESPONDER };
        let legs = Leg::in_part(&core, part)?;
        let gives = &legs[place(role)];
        if legs.iter().any(Leg::is_money) && own.purse.is_none() {
            return Err(RunError::Own("a purse"));
        }
        if matches!(gives, Leg::Information(_)) && own.seed.is_empty() {
            return Err(RunError::Own("the key to the goods"));
        }
        if matches!(gives, Leg::Show(_) | Leg::Right(_)) && Bundle::from_bytes(&own.shows).is_err() {
            return Err(RunError::Own("the credential"));
        }
        let hash = legs[1].lock().and_then(|lock| lock.hash).filter(|_| role == Role::ORIGINATOR);
        if hash.is_some_and(|hash| own.seed.len() != 32 || preimage_hash(&own.seed) != hash) {
            return Err(RunError::Own("the preimage of the hash that locks everything"));
        }
        let cid = core.cid();
        Ok(Self { core, cid, role, part, legs, key_sets, arbiter, patience, own })
    }

    /// The contract.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The contract's identifier.
    pub fn cid(&self) -> Cid {
        self.cid
    }

    /// This party's role in the run: originator or responder.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The part of the contract that is run.
    pub fn part(&self) -> Slot {
        self.part
    }

    /// The role in the contract of a side of this run.
    pub fn stated(&self, side: Role) -> Role {
        if side == Role::ORIGINATOR { side } else { responder_of(self.part) }
    }

    /// Whether this party's promise is one for several parts: whoever of their recipients has it can have the arbiter complete its own.
    pub(super) fn shares_promise(&self) -> bool {
        let several = self.core.terms.parties.len() > 2 && !flaws::active(Flaw::ForgottenPart);
        self.role == Role::ORIGINATOR && several
    }

    /// How long the originator's user is asked for its promise. Where that is one for several parts, until by every honest clock the arbiter completes
    /// none of them any more.
    pub(super) fn question_until(&self) -> Time {
        let deadlines = &self.core.terms.deadlines;
        let past = deadlines.not_after.after(Seconds(deadlines.sigma.0.saturating_mul(2)));
        if self.shares_promise() { past } else { self.last_step() }
    }

    /// The key set of a side of this run.
    pub fn key_set(&self, role: Role) -> &KeySet {
        &self.key_sets[place(role)]
    }

    /// What this party gives.
    pub fn gives(&self) -> &Leg {
        &self.legs[place(self.role)]
    }

    /// What this party gets.
    pub fn gets(&self) -> &Leg {
        &self.legs[place(self.role.peer())]
    }

    /// Whether this party may complain about what it gets, and has its own money back if it is right.
    pub fn may_complain(&self) -> bool {
        let covered = self.core.terms.deadlines.complaints.is_some() && self.gives().lock().is_some();
        covered && matches!(self.gets(), Leg::Information(_))
    }

    /// Until when information that is exchanged for money can be complained about.
    pub(super) fn complaints_until(&self) -> Option<Time> {
        complaints_until(&self.core, &self.legs)
    }

    /// When no party can complain any more, by any honest clock, where one can.
    pub(super) fn complaints_end(&self) -> Option<Time> {
        let sigma = self.core.terms.deadlines.sigma.0;
        self.complaints_until().map(|until| until.after(Seconds(2 * sigma)))
    }

    /// What opens the information that this party gives: to be signed when it is given.
    pub(super) fn disclosure(&self) -> Option<Draft> {
        let Leg::Information(slot) = *self.gives() else { return None };
        Some(self.draft(&Disclosure { cid: self.cid, slot, seed: Seed::new(self.own.seed.clone()) }))
    }

    /// The identifier of a payment operation of this run.
    pub(crate) fn operation(&self, verb: &str) -> Option<OperationId> {
        self.own.purse.map(|(deal, _)| OperationId::of(deal, Slot::default(), verb))
    }

    /// Asks for a payment operation: of the purse that money comes to, if it is about the peer's lock. Runs in which money moves have a purse.
    pub(crate) fn operate(&self, verb: &str, task: Task) -> Option<Effect> {
        let (deal, purse) = self.own.purse?;
        let comes = match &task {
            Task::VerifyLock { .. } => true,
            Task::Payout { to, .. } | Task::Redeem { to, .. } => *to == Side::Payee,
            // The arbiter's payment of the peer's money; its payment back is of our own.
            Task::Receive { request, .. } => self.gets().handed().is_some_and(|handed| handed.onward == *request),
            _ => false,
        };
        let purse = self.own.comes_to.filter(|_| comes).unwrap_or(purse);
        let id = OperationId::of(deal, Slot::default(), verb);
        Some(Effect::Operate(Operation { id, purse, deal: Some(deal), task }.to_bytes()))
    }

    /// Both key sets.
    pub fn key_sets(&self) -> &[KeySet; 2] {
        &self.key_sets
    }

    /// The arbiter's key set; none if the contract has no arbiter.
    pub fn arbiter(&self) -> Option<&KeySet> {
        self.arbiter.as_ref()
    }

    /// The hash that locks everything, if the contract has no arbiter.
    pub fn hash(&self) -> Option<[u8; 32]> {
        self.legs[1].lock().and_then(|lock| lock.hash)
    }

    /// What opens everything, if this party is the originator of a contract without an arbiter.
    pub(crate) fn preimage(&self) -> Option<[u8; 32]> {
        self.hash().filter(|_| self.role == Role::ORIGINATOR).and_then(|_| self.own.seed.as_slice().try_into().ok())
    }

    /// How long this party waits for each message.
    pub fn patience(&self) -> Seconds {
        self.patience
    }

    /// This party's promise; `answers` is the originator's promise, in the responder's.
    pub(crate) fn promise(&self, answers: Option<StatementId>) -> Draft {
        self.draft(&Promise { cid: self.cid, role: self.stated(self.role), answers })
    }

    /// This party's final.
    pub(super) fn completion(&self, promises: [StatementId; 2]) -> Draft {
        self.draft(&Final { cid: self.cid, role: self.stated(self.role), promises, slot: self.part })
    }

    /// Whether money is paid by plain transfer, and this party is the one that pays it.
    pub(super) fn transfers(&self) -> bool {
        self.gives().transfer().is_some()
    }

    /// Whether money is paid by plain transfer, and this party is the one that gets it.
    pub(super) fn is_transferred(&self) -> bool {
        self.gets().transfer().is_some()
    }

    /// What is paid by plain transfer, and by whom.
    fn transfer(&self) -> Option<(Role, &Transfer)> {
        let [first, second] = self.legs.each_ref().map(Leg::transfer);
        first.map(|first| (Role::ORIGINATOR, first)).or_else(|| second.map(|second| (Role::RESPONDER, second)))
    }

    /// Whether this party passes a right on.
    pub(super) fn sells_right(&self) -> bool {
        matches!(self.gives(), Leg::Right(_))
    }

    /// Whether this party pays for a right that is passed on to it.
    pub(super) fn buys_right(&self) -> bool {
        matches!(self.gets(), Leg::Right(_))
    }

    /// The right that is passed on.
    pub(super) fn right(&self) -> Option<&Right> {
        match &self.legs[0] {
            Leg::Right(right) => Some(right),
            _ => None,
        }
    }

    /// What this party asks the issuer of its right: to pass it on.
    pub(super) fn passing(&self) -> Option<Draft> {
        let right = self.right().filter(|_| self.sells_right())?;
        right.request(&self.core).map(|request| self.draft(&request))
    }

    /// The payee's request for money by plain transfer, which must be signed by it, and be for this deal: else nobody could prove what is paid.
    pub(super) fn requested(&self, env: &Env<'_>) -> Result<Option<Effect>, GxError> {
        let Some((payer, transfer)) = self.transfer() else { return Ok(None) };
        verify::<PaymentRequest>(env.verify, self.key_set(payer.peer()), &transfer.request)
            .map_err(|error| GxError::PeerSignature { what: "payment request", error })?;
        match self.own.purse {
            Some((deal, _)) if deal == transfer.asked.deal => Ok(Some(Effect::keep(&transfer.request))),
            _ => Err(GxError::PeerMismatch("payment request")),
        }
    }

    /// What both ask the arbiter for, where money goes through its hands: signed by whoever is to be paid, and for this deal.
    pub(crate) fn asked_of_arbiter(&self, env: &Env<'_>) -> Result<Vec<Effect>, GxError> {
        let mut kept = Vec::new();
        for (leg, owner) in self.legs.iter().zip([Role::ORIGINATOR, Role::RESPONDER]) {
            let Some(handed) = leg.handed() else { return Err(GxError::PeerMismatch("payment request")) };
            if self.own.purse.is_none_or(|(deal, _)| deal != handed.asked.deal) {
                return Err(GxError::PeerMismatch("payment request"));
            }
            for (request, payee) in [(&handed.onward, owner.peer()), (&handed.back, owner)] {
                verify::<PaymentRequest>(env.verify, self.key_set(payee), request)
                    .map_err(|error| GxError::PeerSignature { what: "payment request", error })?;
                kept.push(Effect::keep(request));
            }
        }
        Ok(kept)
    }

    /// The last instant at which this party promises, and the originator begins to give.
    pub(crate) fn last_step(&self) -> Time {
        let deadlines = &self.core.terms.deadlines;
        if self.transfer().is_some() { last_payment(deadlines) } else { deadlines.last_step() }
    }

    /// When this party ends the run with the arbiter's help, once both have promised. Who pays by plain transfer asks its issuer first, as soon as by
    /// every honest clock the payee can take nothing more.
    pub(super) fn asks_at(&self) -> Time {
        if self.transfers() { self.taken_by() } else { self.core.terms.deadlines.last_step() }
    }

    /// When by every honest clock money by plain transfer can be taken no more.
    pub(super) fn taken_by(&self) -> Time {
        let deadlines = &self.core.terms.deadlines;
        pay_until(deadlines).after(deadlines.sigma)
    }

    /// When by every honest clock the arbiter takes no first request any more: from then on it says what became of the contract.
    /// Of a right that was passed on: when by every honest clock the arbiter has it called back.
    pub(crate) fn closed_at(&self) -> Time {
        let deadlines = &self.core.terms.deadlines;
        let from = if self.right().is_some() { revoke_from(deadlines) } else { deadlines.not_after };
        from.after(Seconds(deadlines.sigma.0.saturating_add(1)))
    }

    /// Refuses to begin a run that could not be defended before the arbiter any more, or whose locks could not be opened in time.
    pub(crate) fn in_time(&self, env: &Env<'_>) -> Result<(), GxError> {
        if env.now > self.last_step() { Err(GxError::TooLate) } else { Ok(()) }
    }

    /// A part of a contract is run once, ever: the fact and the first state are one commit.
    pub(crate) fn once(&self) -> Option<Effect> {
        if flaws::active(Flaw::NoDedup) || flaws::active(Flaw::UnboundFinal) {
            return None;
        }
        let key = [self.cid.as_bytes().as_slice(), &self.part.0.to_be_bytes()].concat();
        Some(Effect::Once(Fact { space: RUN_SPACE.to_owned(), key, value: Vec::new() }))
    }

    /// The peer's promise must be of this contract, and come with a token if money is due and without if not.
    pub(crate) fn peer_promise(
        &self,
        env: &Env<'_>,
        theirs: &Promised,
        answers: Option<StatementId>,
    ) -> Result<(), GxError> {
        let role = self.role.peer();
        match check_promise(env.verify, self.key_set(role), &theirs.promise, self.cid, self.stated(role), answers) {
            Ok(_) => {}
            Err(RequestError::Signature { error, .. }) => {
                return Err(GxError::PeerSignature { what: "promise", error });
            }
            Err(_) => return Err(GxError::PeerMismatch("promise")),
        }
        if let Leg::Show(show) = self.gets() {
            return match show.check(env.verify, &self.core, &theirs.token) {
                Ok(_) => Ok(()),
                Err(error) => Err(GxError::NotShown(error)),
            };
        }
        if let Leg::Right(right) = self.gets() {
            let offered = right.check_offered(env.verify, &self.core, &theirs.token);
            return offered.map(drop).map_err(GxError::NotShown);
        }
        if theirs.token.is_empty() == self.gets().lock().is_some() {
            return Err(GxError::PeerMismatch("token"));
        }
        Ok(())
    }

    /// Checks what the key holder returned: just the statement that was asked for, validly signed.
    pub(crate) fn own(&self, env: &Env<'_>, draft: Draft, signed: Signed) -> Result<Signed, GxError> {
        let mine = self.key_set(self.role);
        if signed_answers(env.verify, mine, &draft, &signed) { Ok(signed) } else { Err(GxError::WrongSignature) }
    }

    /// The right that one of the parties shows.
    pub(super) fn show(&self) -> Option<&Show> {
        self.legs.iter().find_map(|leg| match leg {
            Leg::Show(show) => Some(&**show),
            _ => None,
        })
    }

    /// What a stranger checks the right with that came with a promise.
    pub(super) fn shown(&self, env: &Env<'_>, promised: &Promised) -> Vec<Effect> {
        if let Leg::Right(right) = self.gets() {
            let offered = right.check_offered(env.verify, &self.core, &promised.token);
            return offered.map(|bundle| right::evidence(&bundle).into()).unwrap_or_default();
        }
        let kept = self.show().and_then(|show| show.check(env.verify, &self.core, &promised.token).ok());
        kept.map(|kept| kept.evidence().into()).unwrap_or_default()
    }

    /// What this party asks the issuer of its credential to keep for this contract.
    pub(super) fn reservation(&self) -> Option<Draft> {
        let Leg::Show(show) = self.gives() else { return None };
        show.request(&self.core).map(|request| self.draft(&request))
    }

    /// The credential that this party shows or passes on.
    pub(super) fn shows(&self) -> Option<Bundle> {
        Bundle::from_bytes(&self.own.shows).ok()
    }

    /// The token of this party's promise, where it passes a right on; else empty.
    pub(super) fn offered(&self) -> Vec<u8> {
        if self.sells_right() { self.own.shows.clone() } else { Vec::new() }
    }

    /// Sends a request of this party to the issuer of the credential that it shows or passes on.
    pub(super) fn submit(&self, statement: Signed) -> Option<Effect> {
        let issuer = Credential::from_bytes(self.shows()?.credential.payload()).ok()?.issuer;
        let submission = Submission { statement, signer: self.key_set(self.role).clone(), kept: None };
        Some(Effect::Submit(Errand { issuer, submission }.to_bytes()))
    }

    /// From when on our money can be taken back, by every honest clock.
    pub(crate) fn refund_timer(&self) -> Option<Effect> {
        let sigma = self.core.terms.deadlines.sigma;
        let due = self.gives().lock()?.refund_after.after(Seconds(sigma.0.saturating_add(1)));
        Some(Effect::SetTimer { name: REFUND, due })
    }

    /// A payment operation is no longer wanted.
    pub(crate) fn abandon(&self, verb: &str) -> Option<Effect> {
        self.operation(verb).map(|id| Effect::Abandon(*id.as_bytes()))
    }

    /// This party's word that the peer's money has come.
    pub(crate) fn quittance(&self) -> Draft {
        self.draft(&Quittance { cid: self.cid(), role: self.role })
    }

    /// A statement of this party.
    pub(crate) fn draft(&self, statement: &impl Statement) -> Draft {
        let mine = self.key_set(self.role);
        statement.draft(mine.suite(), mine.id())
    }
}

/// Longest seed of a deposit, in bytes.
const SEED_MAX: usize = 64;

/// The place of a role in lists of both.
pub(crate) fn place(role: Role) -> usize {
    usize::from(role == Role::RESPONDER)
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").field("purse", &self.purse).field("comes_to", &self.comes_to).finish_non_exhaustive()
    }
}

/// ```text
/// own = { ? 0: deal, ? 1: purse, 2: seed, ? 3: purse that money comes to, ? 4: credential }
/// ```
impl Encode for Own {
    fn to_value(&self) -> Value {
        record()
            .put_some(0, self.purse.map(|(deal, _)| deal.to_value()))
            .put_some(1, self.purse.map(|(_, purse)| purse.to_value()))
            .put_bytes(2, &self.seed)
            .put_some(3, self.comes_to.map(|purse| purse.to_value()))
            .put_some(
                4,
                Some(&self.shows).filter(|shows| !shows.is_empty()).map(|shows| Value::bytes(shows.as_slice())),
            )
            .build()
    }
}

impl Decode for Own {
    const BYTES_MAX: usize = Bundle::BYTES_MAX + 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let purse = fields.optional_item(0, "deal")?.zip(fields.optional_item(1, "purse")?);
        let own = Self {
            purse,
            comes_to: fields.optional_item(3, "other purse")?,
            seed: fields.bytes(2, "seed", SEED_MAX)?,
            shows: fields.optional_item::<Vec<u8>>(4, "credential")?.unwrap_or_default(),
        };
        fields.close()?;
        Ok(own)
    }
}

impl Encode for Run {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.core)
            .put_item(1, &self.role)
            .put_list(2, &self.key_sets)
            .put_some(3, self.arbiter.as_ref().map(Encode::to_value))
            .put_item(4, &self.patience)
            .put_item(5, &self.own)
            .build()
    }
}

impl Decode for Run {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (core, role): (Core, Role) = (fields.item(0, "core")?, fields.item(1, "role")?);
        let key_sets: Vec<KeySet> = fields.list(2, "key sets", 2)?;
        let (arbiter, patience) = (fields.optional_item(3, "arbiter")?, fields.item(4, "patience")?);
        let own = fields.item(5, "own")?;
        fields.close()?;
        let broken = |rule| DecodeError::field("run", Problem::OutOfRange(rule));
        let key_sets: [KeySet; 2] = key_sets.try_into().map_err(|_| broken("two key sets are needed"))?;
        if role != Role::ORIGINATOR && role != Role::RESPONDER {
            return Err(broken("a run has an originator and a responder"));
        }
        let me = key_sets[place(role)].clone();
        Self::new(core, &me, key_sets, arbiter, patience, own)
            .map_err(|_| broken("the stored run contradicts its contract"))
    }
}

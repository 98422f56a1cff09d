//! A right that is passed on for money by plain transfer, in the model: its issuer, and what malicious parties have it do.
//!
//! The issuer answers within a tick, by its own clock, with the real rules. A malicious seller passes its right on under any condition, to anybody, and has called
//! back whatever the arbiter's verdicts, or its own, call back. A malicious buyer tries to pass the right on before it has paid.

use semper_core::cbor::{Decode, Encode};
use semper_core::contract::Quittance;
use semper_core::cose::{Kind, Signed};
use semper_core::ids::Slot;
use semper_core::party::{KeySet, Role};
use semper_core::time::Time;
use semper_exchange::arbiter::verdict::{Outcome, Verdict};
use semper_exchange::gx::{Leg, Message, Right};
use semper_support::crypto::Signer;
use semper_support::engine::Input;
use semper_transfer::credential::{Bundle, Condition, Credential, CredentialTransfer, Errand, Reply, Submission};

use super::{Action, ROLES, State, World, show};
use crate::deal::Deal;
use crate::issuer::{self, Issued};
use crate::scenario::Cast;

/// What the issuer says, or why not.
pub(super) type Said = Result<Option<Signed>, String>;

/// The right that is sold.
fn right(deal: &Deal) -> Option<Right> {
    match Leg::of(&deal.core).ok()? {
        [Leg::Right(right), _] => Some(*right),
        _ => None,
    }
}

/// What the issuer may have said of the right that is passed on: as the contract says, and with an arbiter of the seller's own.
fn passed(cast: &Cast, deal: &Deal) -> Option<[Credential; 2]> {
    let (right, sold) = (right(deal)?, deal.credential.clone()?);
    let CredentialTransfer { to, condition, .. } = right.request(&deal.core)?;
    let puppet = condition.map(|condition| Condition { arbiter: cast.key_sets()[0].id(), ..condition });
    let (serial, holder) = (issuer::serial(1), to);
    Some([condition, puppet].map(|condition| Credential { serial, holder, condition, ..sold.clone() }))
}

/// What a malicious seller can give, or pretend to give.
pub(super) fn releases(cast: &Cast, deal: &Deal) -> Vec<Vec<u8>> {
    let passed = passed(cast, deal).into_iter().flatten();
    let said = passed.map(|credential| issuer::say(cast, &credential).bytes().to_vec());
    said.chain([b"nothing".to_vec()]).collect()
}

/// What a malicious seller can show before it promises.
pub(super) fn tokens(cast: &Cast, deal: &Deal) -> Vec<Vec<u8>> {
    let offered = deal.credential.as_ref().map(|credential| {
        let credential = issuer::say(cast, credential);
        Bundle { issuer: issuer::hand(cast).key_set().clone(), credential, reservation: None }.to_bytes()
    });
    offered.into_iter().chain([Vec::new()]).collect()
}

/// What a malicious party asks the issuer without having heard anything.
fn unheard(cast: &Cast, deal: &Deal, role: Role) -> Vec<Submission> {
    let Some(right) = right(deal) else { return Vec::new() };
    let cid = deal.core.cid();
    let of = |statement| Submission { statement, signer: cast.hand(role).key_set().clone(), kept: None };
    let kept = Some((issuer::serial(1), right.salt));
    let quittance = Submission { kept, ..of(cast.say(role, &Quittance { cid, role }, 0)) };
    let me = cast.hand(role).key_set().id();
    let gift = |place, to| CredentialTransfer { serial: issuer::serial(place), to, condition: None };
    if role == Role::RESPONDER {
        return vec![quittance, of(cast.say(role, &gift(1, cast.arbiter.key_set().id()), 0))];
    }
    let Some(good) = right.request(&deal.core) else { return Vec::new() };
    let condition = good.condition.map(|condition| Condition { arbiter: me, ..condition });
    let puppet = CredentialTransfer { condition, ..good };
    let (slot, time) = (Slot::default(), Time::from_unix(0));
    let own =
        Verdict { cid, slot, outcome: Outcome::Revoked, basis: Vec::new(), prior: Vec::new(), time, log_index: 0 };
    let asks = [good, puppet, gift(0, me)].map(|asked| of(cast.say(role, &asked, 0)));
    asks.into_iter().chain([quittance, Submission { kept, ..of(cast.say(role, &own, 0)) }]).collect()
}

impl World {
    /// What a malicious party asks the issuer on its own.
    pub(super) fn submissions(cast: &Cast, deal: &Deal, role: Role) -> Vec<Vec<u8>> {
        unheard(cast, deal, role).iter().chain(&show::unheard(cast, deal, role)).map(Encode::to_bytes).collect()
    }

    /// The issuer does what a run has asked for.
    pub(super) fn submitted(&self, state: &mut State, errand: &[u8]) -> Input {
        let errand = Errand::from_bytes(errand).expect("a machine writes what it reads");
        let to = errand.submission.statement.id();
        let number = self.submitted.number(errand.submission.to_bytes());
        let (issued, said) = self.issue(state, number);
        state.issued = issued;
        Input::Said(Reply { to, said }.to_bytes())
    }

    /// What the issuer has stored after a submission, and what it says.
    fn issue(&self, state: &State, submission: u32) -> (u32, Said) {
        let now = self.mints_time(state);
        self.answers.get((state.issued, submission, now), || {
            let asked = Submission::from_bytes(&self.submitted.thing(submission)).expect("the model makes good ones");
            let mut issued = (*self.issued.thing(state.issued)).clone();
            let said = issued.submit(&self.cast, &asked, now);
            (self.issued.number(issued), said)
        })
    }

    /// Whether a malicious party can have what it would say: a credential or a use that is kept only if the issuer has said so.
    pub(super) fn can_say(&self, state: &State, message: u32) -> bool {
        let credential = self.released.get(message, || {
            let Input::Message(bytes) = &*self.inputs.thing(message) else { return None };
            match Message::from_bytes(bytes).ok()? {
                Message::Final(last) => {
                    Signed::from_bytes(&last.release).ok().filter(|signed| signed.kind() == Kind::Credential)
                }
                Message::Promise(promised) => show::reservation(&promised.token),
                _ => None,
            }
        });
        credential.is_none_or(|credential| self.issued.thing(state.issued).said().any(|said| *said == credential))
    }

    /// What a malicious party can ask the issuer: on its own, and with what the arbiter has said to anybody.
    pub(super) fn submission_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.wanted.is_some() {
            let heard = state.answers.iter().filter_map(|answer| self.stored(answer)).map(|answer| answer.statement);
            let verdicts = heard.filter(|said| said.kind() == Kind::Verdict).filter_map(|said| self.told_of(said));
            let submissions = self.unheard.iter().copied().chain(self.seen_shows(state)).chain(verdicts);
            actions.extend(submissions.map(|submission| Action::Submit { submission }));
        }
        let Some(right) = right(&self.deal) else { return };
        let heard = state.answers.iter().filter_map(|answer| self.stored(answer)).map(|answer| answer.statement);
        let verdicts = heard.filter(|said| said.kind() == Kind::Verdict).map(|statement| {
            let signer: KeySet = self.cast.arbiter.key_set().clone();
            let kept = Some((issuer::serial(1), right.salt));
            self.submitted.number(Submission { statement, signer, kept }.to_bytes())
        });
        let submissions = self.unheard.iter().copied().chain(verdicts);
        actions.extend(submissions.map(|submission| Action::Submit { submission }));
    }

    /// A malicious party asks the issuer.
    pub(super) fn hostile_submit(&self, last: &State, submission: u32) -> Option<State> {
        let (issued, _) = self.issue(last, submission);
        let state = State { issued, ..last.clone() };
        (state != *last).then_some(state)
    }

    /// Whether the issuer takes a use, or has taken it, when it is told so.
    pub(super) fn is_taken(&self, state: &State, told: u32) -> bool {
        matches!(self.issue(state, told), (_, Ok(Some(_))))
    }

    /// Whether the right is the party's, by what its issuer has stored.
    pub(super) fn holds_right(&self, state: &State, role: Role) -> bool {
        let holder = self.cast.hand(role).key_set().id();
        self.issued.thing(state.issued).standing().any(|credential| credential.holder == holder)
    }

    /// Whether the right was ever the buyer's.
    pub(super) fn was_passed_on(&self, state: &State) -> bool {
        let holder = self.cast.hand(ROLES[1]).key_set().id();
        self.issued.thing(state.issued).made().any(|credential| credential.holder == holder)
    }

    /// What the issuer has stored before anything happens.
    pub(super) fn first_issue(&self) -> u32 {
        self.issued.number(self.deal.credential.clone().map(Issued::new).unwrap_or_default())
    }
}

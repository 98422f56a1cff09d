//! A right that is shown for information, in the model: what its issuer keeps, takes and frees, and what malicious parties have it do.
//!
//! The issuer answers within a tick, by its own clock, with the real rules. A malicious holder has its only use kept for another contract, or under an arbiter of its
//! own that frees it, passes the credential on, and shows whatever the issuer has said. Either tells the issuer of every final and verdict that it has seen.

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Kind, Signed};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::Slot;
use semper_core::party::Role;
use semper_core::time::Time;
use semper_exchange::arbiter::verdict::{Outcome, Verdict};
use semper_exchange::gx::{Leg, Message, Show};
use semper_support::crypto::Signer;
use semper_support::engine::Input;
use semper_transfer::credential::{Bundle, CredentialTransfer, Reservation, ReservationRequest, Submission};

use super::{Mark, ROLES, State, World};
use crate::deal::Deal;
use crate::issuer;
use crate::scenario::Cast;

/// The right that is shown.
pub(super) fn show(deal: &Deal) -> Option<Show> {
    match Leg::of(&deal.core).ok()? {
        [_, Leg::Show(show)] => Some(*show),
        _ => None,
    }
}

/// What a malicious holder can ask the issuer to keep: its use as the contract wants it, and under an arbiter of its own.
fn asks(cast: &Cast, deal: &Deal) -> Option<[ReservationRequest; 2]> {
    let good = show(deal)?.request(&deal.core)?;
    Some([good, ReservationRequest { arbiter: cast.hand(ROLES[1]).key_set().id(), ..good }])
}

/// What a malicious holder can show before it promises: whatever the issuer may have kept for it, or nothing.
pub(super) fn tokens(cast: &Cast, deal: &Deal) -> Vec<Vec<u8>> {
    let Some(credential) = deal.credential.as_ref().map(|credential| issuer::say(cast, credential)) else {
        return Vec::new();
    };
    let kept = asks(cast, deal).into_iter().flatten().map(|asked| {
        let ReservationRequest { serial, tag, arbiter, until } = asked;
        Some(issuer::say(cast, &Reservation { serial, tag, arbiter, until, number: Some(1) }))
    });
    let issuer = issuer::hand(cast).key_set().clone();
    let bundle = |reservation| Bundle { issuer: issuer.clone(), credential: credential.clone(), reservation };
    kept.chain([None]).map(|reservation| bundle(reservation).to_bytes()).collect()
}

/// What a malicious party asks the issuer without having heard anything.
pub(super) fn unheard(cast: &Cast, deal: &Deal, role: Role) -> Vec<Submission> {
    let (Some(show), Some([good, puppet])) = (show(deal), asks(cast, deal)) else { return Vec::new() };
    let of = |statement| Submission { statement, signer: cast.hand(role).key_set().clone(), kept: None };
    let cid = deal.core.cid();
    let (slot, time) = (Slot::default(), Time::from_unix(0));
    let own =
        Verdict { cid, slot, outcome: Outcome::Aborted, basis: Vec::new(), prior: Vec::new(), time, log_index: 0 };
    let own = Submission { kept: Some((show.serial, show.salt)), ..of(cast.say(role, &own, 0)) };
    if role == Role::ORIGINATOR {
        return vec![own];
    }
    let other = ReservationRequest { tag: Digest::of(domain::USE_TAG, b"another contract"), ..good };
    let gift = CredentialTransfer { serial: show.serial, to: cast.arbiter.key_set().id(), condition: None };
    let asks = [good, puppet, other].map(|asked| of(cast.say(role, &asked, 0)));
    asks.into_iter().chain([of(cast.say(role, &gift, 0)), own]).collect()
}

/// What the issuer keeps, if a token says so.
pub(super) fn reservation(token: &[u8]) -> Option<Signed> {
    Bundle::from_bytes(token).ok()?.reservation
}

impl World {
    /// The honest holder's finals that are out, and the verdicts that complete the contract.
    fn shows(&self, state: &State) -> Vec<Signed> {
        let finals = state.network.iter().filter(|message| self.mark(*message) == Mark::Final(ROLES[1]));
        let finals = finals.filter_map(|message| match &*self.inputs.thing(message) {
            Input::Message(bytes) => match Message::from_bytes(bytes) {
                Ok(Message::Final(completed)) => Some(completed.completion),
                _ => None,
            },
            _ => None,
        });
        let answers = state.answers.iter().filter(|answer| self.mark(*answer) == Mark::Verdict(Outcome::Resolved));
        finals.chain(answers.filter_map(|answer| Some(self.stored(answer)?.statement))).collect()
    }

    /// A final or verdict, as the issuer of the right is told of it.
    pub(super) fn told_of(&self, statement: Signed) -> Option<u32> {
        let (Show { serial, salt, .. }, _) = self.wanted.as_ref()?;
        let signer = match statement.kind() {
            Kind::Verdict => self.cast.arbiter.key_set().clone(),
            _ => self.cast.hand(ROLES[1]).key_set().clone(),
        };
        let submission = Submission { statement, signer, kept: Some((*serial, *salt)) };
        Some(self.submitted.number(submission.to_bytes()))
    }

    /// What a malicious party can tell the issuer because it has seen it.
    pub(super) fn seen_shows(&self, state: &State) -> Vec<u32> {
        self.shows(state).into_iter().filter_map(|statement| self.told_of(statement)).collect()
    }

    /// Whether the use is gone for the contract.
    pub(super) fn is_spent(&self, state: &State) -> bool {
        self.wanted.is_some() && self.issued.thing(state.issued).left() == Some(0)
    }

    /// Whether the use was kept for the contract, and can be kept for something else again.
    pub(super) fn is_free_again(&self, state: &State) -> bool {
        let none_is_kept = self.issued.thing(state.issued).kept(self.mints_time(state)) == 0;
        self.keeps_use(state) && none_is_kept && !self.is_spent(state)
    }

    /// Whether whoever has given something for the show, and has these finals, has the use, or can have it taken now.
    pub(super) fn show_counts(&self, state: &State, finals: impl Iterator<Item = Signed>) -> bool {
        let told = finals.filter_map(|completion| self.told_of(completion));
        told.chain(self.seen_shows(state)).any(|told| self.is_taken(state, told))
    }

    /// Whether the issuer keeps a use for the contract, as the contract wants it.
    pub(super) fn keeps_use(&self, state: &State) -> bool {
        let Some((_, wanted)) = &self.wanted else { return false };
        let kept = self.issued.thing(state.issued);
        let said = kept.said().filter(|said| said.kind() == Kind::Reservation);
        said.filter_map(|said| Reservation::from_bytes(said.payload()).ok())
            .any(|said| (said.tag, said.arbiter) == (wanted.tag, wanted.arbiter))
    }

    /// Whether whoever asks the arbiter can have the tokens that it brings: what the issuer keeps only if it has said so.
    pub(super) fn can_show(&self, state: &State, request: u32) -> bool {
        let asking = self.asking(request);
        let said = self.issued.thing(state.issued);
        asking.kept.iter().all(|kept| said.said().any(|said| said == kept))
    }
}

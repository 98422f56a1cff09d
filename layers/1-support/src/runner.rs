//! The order in which a driver stores and acts.
//!
//! [`Turn`] is the whole discipline of crash safety in one place: a step is committed first, facts that must be new with it, then
//! its effects are performed, and performed again after a crash. The production node and the model checker both take their work
//! from here, so that what is checked is what runs.
//!
//! Invariant: no effect is performed before the commit that holds it is durable (`design/exchange.md` §12, flaws F4 and F5).

use std::collections::VecDeque;

use semper_core::time::Time;

use crate::archive::{Commit, NewEvidence, SetTimer};
use crate::engine::Effect;
use crate::flaws::{self, Flaw};

/// What a driver does next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work<S> {
    /// Store the state, the consumed input and all effects in one commit. It fails as a whole if a fact in it is not new.
    Commit {
        /// The state to store.
        state: S,
        /// Everything that belongs to the commit, in order.
        effects: Vec<Effect>,
    },
    /// Perform an effect. It is performed again after a crash, until it is acknowledged.
    Perform(Effect),
}

/// The work that one step makes, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Turn<S> {
    work: VecDeque<Work<S>>,
}

impl<S> Turn<S> {
    /// Orders the work of a step: commit first, then the effects as they stand.
    pub fn new(state: S, effects: Vec<Effect>) -> Self {
        let (stored, after): (Vec<_>, Vec<_>) = effects
            .iter()
            .cloned()
            .partition(|effect| !(matches!(effect, Effect::Once(_)) && flaws::active(Flaw::DedupNotAtomic)));
        let outward = effects.into_iter().filter(is_outward).map(Work::Perform);
        let mut work: VecDeque<_> = outward.collect();
        let commit = Work::Commit { state, effects: stored };
        if flaws::active(Flaw::SendBeforeStore) || flaws::active(Flaw::AnswerBeforeStore) {
            work.push_back(commit);
        } else {
            work.push_front(commit);
        }
        work.extend(after.into_iter().map(Work::Perform));
        Self { work }
    }

    /// The work after a restart: what the store says is not acknowledged yet, again.
    pub fn recovered(unacknowledged: Vec<Effect>) -> Self {
        if flaws::active(Flaw::NoResend) {
            return Self { work: VecDeque::new() };
        }
        Self { work: unacknowledged.into_iter().filter(is_outward).map(Work::Perform).collect() }
    }
}

/// Adds to a commit what an effect stores under the state's own key: timers, evidence, facts. How any other effect is stored
/// is for the driver: nothing is added for it here.
///
/// Of a timer that one step both sets and cancels, the later of the two counts.
pub fn store(commit: &mut Commit, key: &[u8], effect: Effect, now: Time) {
    match effect {
        Effect::SetTimer { name, due } => {
            commit.timers_done.retain(|(_, done)| done != name);
            commit.timers.push(SetTimer { key: key.to_vec(), name: name.to_owned(), due });
        }
        Effect::CancelTimer(name) => {
            commit.timers.retain(|timer| timer.name != name);
            commit.timers_done.push((key.to_vec(), name.to_owned()));
        }
        Effect::Keep { kind, bytes } => {
            commit.evidence.push(NewEvidence { key: key.to_vec(), kind: kind.name().to_owned(), bytes, time: now });
        }
        Effect::Once(fact) => commit.facts.push(fact),
        Effect::Send(_) | Effect::AskArbiter(_) | Effect::Sign { .. } | Effect::Ended(_) => {}
        Effect::Operate(_) | Effect::Abandon(_) | Effect::Examine(_) | Effect::Submit(_) => {}
    }
}

/// Whether an effect leaves this process: everything else is complete with the commit.
pub fn is_outward(effect: &Effect) -> bool {
    use Effect::{Abandon, AskArbiter, Examine, Operate, Send, Sign, Submit};
    matches!(effect, Send(_) | AskArbiter(_) | Sign { .. } | Operate(_) | Abandon(_) | Examine(_) | Submit(_))
}

impl<S> Iterator for Turn<S> {
    type Item = Work<S>;

    fn next(&mut self) -> Option<Self::Item> {
        self.work.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: Time = Time::from_unix(9);

    fn stored(effects: [Effect; 2]) -> Commit {
        let mut commit = Commit::default();
        for effect in effects {
            store(&mut commit, b"deal", effect, DUE);
        }
        commit
    }

    // A timer that is lost or that fires after it was cancelled moves a machine that waits for something else.
    #[test]
    fn of_setting_and_cancelling_a_timer_the_later_counts() {
        let set = Effect::SetTimer { name: "patience", due: DUE };
        let kept = stored([Effect::CancelTimer("patience"), set.clone()]);
        assert_eq!((kept.timers.len(), kept.timers_done.len()), (1, 0));
        let gone = stored([set, Effect::CancelTimer("patience")]);
        assert_eq!((gone.timers.len(), gone.timers_done.len()), (0, 1));
    }
}

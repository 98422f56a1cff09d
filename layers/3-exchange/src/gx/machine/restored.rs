//! A run whose state comes from a backup.
//!
//! Since the backup this party may have promised, given its item, signed its final, or asked for an abort, and the state does not know. So it goes on by
//! the arbiter's word alone: it asks for what cannot contradict anything that it may have signed. To resolve is open to whoever holds both promises,
//! whatever came after them; to inquire is open always and decides nothing. It must never ask for an abort from here: its final may be out.
//!
//! Source: `spec/backup.md` §4 (design/exchange.md §12, rule 8).

use semper_core::machine::Step;

use super::super::{Gx, Promised, Question, Run, State};
use super::moves::prove;
use super::ruling::ask;
use super::to;

impl Gx {
    /// Asks what became of the run. Once it is asked, or where only what others have said is being carried out, this changes nothing.
    pub(super) fn restored(self) -> Step<Self> {
        let Gx { run, state } = self;
        match state {
            // What is being locked goes out with the promise, or comes to nothing: then it is asked.
            State::Depositing { .. } if run.gives().lock().is_some() => to(run, state),
            State::Ready
            | State::AwaitPromiseSignature { .. }
            | State::Depositing { .. }
            | State::Checking { ours: None, .. } => ask(run, Question::Inquire, Vec::new()),
            State::AwaitPeerPromise { ours } => ask(run, Question::Inquire, vec![ours]),
            State::Checking { ours: Some(ours), theirs } => go_on(run, [ours, theirs]),
            State::Releasing { promises, .. }
            | State::AwaitFinalSignature { promises, .. }
            | State::AwaitPeerFinal { promises } => go_on(run, promises),
            // The keys do not sign it any more. If they had signed it before, its answer comes to this question too.
            State::Asking { question: Question::Abort | Question::Revoke, promises } => {
                ask(run, Question::Inquire, promises)
            }
            asked_or_on_its_way_or_ended => to(run, asked_or_on_its_way_or_ended),
        }
    }
}

/// Both promises are here: whoever may have the contract completed does so, and whoever may have paid asks its issuer.
fn go_on(run: Run, promises: [Promised; 2]) -> Step<Gx> {
    if run.transfers() {
        return prove(run, promises);
    }
    // Money may be on its way to it, or its right be passed on: such a party completes nothing.
    let question = if run.is_transferred() || run.sells_right() {
        Question::Inquire
    } else {
        Question::Resolve { proof: Vec::new() }
    };
    ask(run, question, promises.into())
}

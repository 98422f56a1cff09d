//! The contract between protocol roles and whoever drives them.
//!
//! A role is a value. It is handed the time, a message, an answer of the user; it gives back its next state and a list of
//! effects, and does nothing itself. The driver stores state, consumed input, effects and evidence in one commit and only then
//! performs the effects, again and again until each is acknowledged. The same machines run in production, in the simulator and
//! in the model checker.

use crate::signature::Verify;
use crate::time::Time;

/// A protocol role as a value.
pub trait Machine: Sized {
    /// What can happen to it.
    type Input;
    /// What it wants done.
    type Effect;
    /// Why an input was not accepted.
    type Error: Blame;

    /// Takes one step.
    ///
    /// # Errors
    /// The input was not accepted: the stored state stands, as if the input had not come. The machine itself is consumed, so the
    /// driver goes on from what it has stored.
    fn handle(self, env: &Env<'_>, input: Self::Input) -> Result<Step<Self>, Self::Error>;
}

/// What a machine may look at besides its state and the input.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// The present time.
    pub now: Time,
    /// Signature verification.
    pub verify: &'a dyn Verify,
}

impl std::fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Env({})", self.now)
    }
}

/// The outcome of one step: to be stored as a whole, then performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<M: Machine> {
    /// The next state.
    pub state: M,
    /// What is to be done once the state is stored, in this order.
    pub effects: Vec<M::Effect>,
}

impl<M: Machine> Step<M> {
    /// A step to a state, with nothing to do.
    pub fn to(state: M) -> Self {
        Self { state, effects: Vec::new() }
    }

    /// Adds something to do.
    #[must_use]
    pub fn with(mut self, effect: M::Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// Adds several things to do, in their order.
    #[must_use]
    pub fn with_all(mut self, effects: impl IntoIterator<Item = M::Effect>) -> Self {
        self.effects.extend(effects);
        self
    }

    /// Puts other things to do before those of the step.
    #[must_use]
    pub fn after(mut self, first: impl IntoIterator<Item = M::Effect>) -> Self {
        self.effects.splice(..0, first);
        self
    }
}

/// Who is at fault for an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The other party sent what it must never send. Kept as evidence where it is signed.
    PeerMisbehaved,
    /// The other party said no, as it may.
    PeerRefused,
    /// An arbiter, an authority, a mint, a bank, a relay.
    ThirdParty,
    /// Our user said no.
    UserDeclined,
    /// The disk, the network, the clock.
    Environment,
    /// This program: a bug, or a call that must not be made in this state.
    Misuse,
}

/// An error that says who is at fault.
pub trait Blame: std::error::Error {
    /// Who is at fault.
    fn fault(&self) -> Fault;
}

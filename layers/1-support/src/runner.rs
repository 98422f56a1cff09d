//! The order in which a driver stores and acts.
//!
//! [`Turn`] is the whole discipline of crash safety in one place: a step is first committed, then its effects are performed. The
//! production node and the model checker both take their work from here, so that what is checked is what runs.
//!
//! Invariant: no effect is performed before the commit that holds it is durable (`design/exchange.md` §12, flaws F4 and F5).

/// What a driver does next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work<S, E> {
    /// Store the state, the consumed input and all effects in one commit.
    Commit {
        /// The state to store.
        state: S,
        /// Everything that is to be performed after the commit; stored with it, so that a crash repeats them.
        effects: Vec<E>,
    },
    /// Perform an effect. It is performed again after a crash, until it is acknowledged.
    Perform(E),
}

/// The work that one step makes, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Turn<S, E> {
    work: std::collections::VecDeque<Work<S, E>>,
}

impl<S, E: Clone> Turn<S, E> {
    /// Orders the work of a step: commit first, then the effects as they stand.
    pub fn new(state: S, effects: Vec<E>) -> Self {
        let mut work = std::collections::VecDeque::with_capacity(effects.len() + 1);
        work.push_back(Work::Commit { state, effects: effects.clone() });
        work.extend(effects.into_iter().map(Work::Perform));
        Self { work }
    }

    /// The work after a restart: the stored effects, again.
    pub fn recovered(effects: Vec<E>) -> Self {
        Self { work: effects.into_iter().map(Work::Perform).collect() }
    }
}

impl<S, E> Iterator for Turn<S, E> {
    type Item = Work<S, E>;

    fn next(&mut self) -> Option<Self::Item> {
        self.work.pop_front()
    }
}

//! Finds coins again that belong to the seed (NUT-09, NUT-13): keyset by keyset, in batches, until some are empty. The coins that are here are put aside
//! first, and come back when the mint has said that they are not spent (NUT-07): whoever restores comes from somewhere else, where they may have been spent.

use std::collections::BTreeSet;

use cashu::nuts::{RestoreRequest, RestoreResponse, State};
use cashu::{Id, Proof};
use semper_core::machine::Fault;
use semper_transfer::payment::module::{IssuerReply, IssuerRequest, Step};
use semper_transfer::payment::operation::Failure;
use serde::{Deserialize, Serialize};

use super::exchange::{self, post};
use super::money;
use super::records::{Away, AwayState, Changes as _};
use super::seed::{COUNTER_MAX, Output};
use super::stage::{Run, Stage, Stop};

/// Counters in one request.
const BATCH: u32 = 100;
/// After how many empty batches a keyset is done.
const EMPTY: u32 = 3;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Restore {
    /// Keysets that are not done, the present one last. None: what was put aside is asked for.
    todo: Vec<Id>,
    /// The first counter of the batch.
    from: u32,
    /// Empty batches so far.
    empty: u32,
    /// Coins of the batch, whose state is asked for.
    coins: Option<Vec<Proof>>,
    /// What was found.
    found: u64,
}

impl Run<'_> {
    pub(super) fn restore(&self) -> Result<Step, Stop> {
        let todo: Vec<Id> = self.held.keysets.keys().copied().collect();
        if todo.is_empty() {
            return Err(Stop::Unknown);
        }
        let here = self.spendable();
        let step = self.to(Stage::Restore(Restore { todo, from: 0, empty: 0, coins: None, found: 0 }));
        Ok(step.take_coins(&here).put_away(self.id(), AwayState::Lost, &here))
    }
}

impl Restore {
    pub(super) fn request(&self, run: &Run<'_>) -> IssuerRequest {
        match &self.coins {
            Some(coins) => exchange::check_states(run.issuer(), coins),
            None if self.todo.is_empty() => {
                exchange::check_states(run.issuer(), run.aside().map_or(&[], |aside| &aside.coins))
            }
            None => {
                let outputs = self.outputs(run).into_iter().map(|output| output.message).collect();
                post(run.issuer(), "restore", &RestoreRequest { outputs })
            }
        }
    }

    fn outputs(&self, run: &Run<'_>) -> Vec<Output> {
        let Some(id) = self.todo.last() else { return Vec::new() };
        (self.from..self.end()).map(|counter| run.seed.output(*id, counter, 0)).collect()
    }

    fn end(&self) -> u32 {
        self.from.saturating_add(BATCH).min(COUNTER_MAX)
    }

    pub(super) fn on(self, run: &Run<'_>, reply: &IssuerReply) -> Step {
        let failed = |why: &exchange::Refusal| {
            Step::failed(Failure::unmoved(Fault::ThirdParty, format!("the mint does not restore: {}", why.words())))
        };
        match self.coins.clone() {
            None if self.todo.is_empty() => run.settled(run.id(), reply, self.done(run)),
            None => {
                let outputs = self.outputs(run);
                let found = exchange::read::<RestoreResponse>(reply)
                    .and_then(|answer| exchange::restored(&outputs, &answer, &run.held.keysets));
                match found {
                    Ok(found) => self.signed(run, &outputs, found),
                    Err(why) => failed(&why),
                }
            }
            Some(coins) => match exchange::states_of(&coins, reply) {
                Ok(states) => {
                    let known: BTreeSet<String> = run.known();
                    let free = coins.into_iter().zip(states).filter(|(coin, state)| {
                        state.state == State::Unspent && !known.contains(&coin.secret.to_string())
                    });
                    let free: Vec<Proof> = free.map(|(coin, _)| coin).collect();
                    let found = self.found.saturating_add(money::sum(&free).unwrap_or(0));
                    Self { coins: None, from: self.end(), found, ..self }.go_on(run).put_coins(&free)
                }
                Err(why) => failed(&why),
            },
        }
    }

    /// Signatures of a batch have come.
    fn signed(self, run: &Run<'_>, outputs: &[Output], found: Vec<Proof>) -> Step {
        let Some(last) = found.last() else {
            return Self { from: self.end(), empty: self.empty + 1, ..self }.go_on(run);
        };
        // Counters up to the last that was used are not used again.
        let place = outputs.iter().position(|output| output.secret == last.secret).unwrap_or(0);
        let next = self.from.saturating_add(u32::try_from(place).unwrap_or(BATCH)).saturating_add(1);
        let id = last.keyset_id;
        let known = run.held.counters.get(&id).copied().unwrap_or(0);
        let step = run.to(Stage::Restore(Self { coins: Some(found), empty: 0, ..self }));
        step.put_counter(&id, next.max(known))
    }

    /// The next batch, the next keyset, or the end.
    fn go_on(mut self, run: &Run<'_>) -> Step {
        if self.empty >= EMPTY || self.from >= COUNTER_MAX {
            self.todo.pop();
            (self.from, self.empty) = (0, 0);
        }
        if self.todo.is_empty() && run.aside().is_none() {
            return self.done(run);
        }
        run.to(Stage::Restore(self))
    }

    fn done(&self, run: &Run<'_>) -> Step {
        Step::to(Vec::new(), run.outcome(self.found, 0, Vec::new()))
    }
}

impl Run<'_> {
    /// What was put aside at the beginning.
    fn aside(&self) -> Option<&Away> {
        self.held.away.get(self.id().as_slice())
    }

    /// Secrets of coins that the records know already.
    fn known(&self) -> BTreeSet<String> {
        let away = self.held.away.values().flat_map(|away| &away.coins);
        self.held.coins.iter().chain(away).map(|coin| coin.secret.to_string()).collect()
    }
}

//! Asks the mint what it can do (NUT-06) and what became of coins that left; joins small coins.

use std::collections::BTreeSet;

use cashu::Proof;
use cashu::nuts::State;
use semper_core::machine::Fault;
use semper_transfer::payment::module::{IssuerReply, Next, Step};
use semper_transfer::payment::operation::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exchange::{self, Exchange, get};
use super::hand::Hand;
use super::learn::Learn;
use super::money::{self, COINS_MAX};
use super::records::{AwayState, Changes as _, Info, Method};
use super::stage::{Run, Stage};

/// Above how many coins small ones are joined.
const MANY: usize = 100;
/// Most methods that are remembered.
const METHODS_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refresh {
    Info,
    /// What became of the coins that left under these names, the last one first.
    States(Vec<Vec<u8>>),
}

impl Refresh {
    pub(super) fn next(&self, run: &Run<'_>) -> Next {
        match self {
            Refresh::Info => Next::Ask(get(run.issuer(), "info")),
            Refresh::States(todo) => match todo.last().and_then(|key| run.held.away.get(key)) {
                Some(away) => Next::Ask(exchange::check_states(run.issuer(), &away.coins)),
                None => run.outcome(0, 0, Vec::new()),
            },
        }
    }

    pub(super) fn on(self, run: &Run<'_>, reply: &IssuerReply) -> Step {
        match self {
            Refresh::Info => match exchange::read::<Value>(reply) {
                Ok(answer) => {
                    let info = info(&answer, &run.unit());
                    let learn = Learn::new(Some(Stage::Refresh(Refresh::States(run.to_check(&info)))));
                    run.to(Stage::Learn(learn)).put_info(&info)
                }
                Err(problem) => {
                    let reason = format!("the mint's terms: {}", problem.words());
                    Step::failed(Failure::unmoved(Fault::ThirdParty, reason))
                }
            },
            Refresh::States(mut todo) => match todo.pop() {
                Some(key) => run.settled(&key, reply, run.checking(todo)),
                None => run.join(),
            },
        }
    }
}

impl Run<'_> {
    /// Goes on asking what became of coins, or ends.
    pub(super) fn checking(&self, todo: Vec<Vec<u8>>) -> Step {
        if todo.is_empty() { self.join() } else { self.to(Stage::Refresh(Refresh::States(todo))) }
    }

    fn to_check(&self, info: &Info) -> Vec<Vec<u8>> {
        if !info.nuts.contains(&7) {
            return Vec::new();
        }
        let away = self.held.away.iter().filter(|(_, away)| away.state != AwayState::Spending);
        away.map(|(key, _)| key.clone()).collect()
    }

    /// What is spent has gone for good; what the mint had not taken after all is back.
    pub(super) fn settled(&self, key: &[u8], reply: &IssuerReply, step: Step) -> Step {
        let (Some(away), Ok(name)) = (self.held.away.get(key), <[u8; 32]>::try_from(key)) else { return step };
        let Ok(states) = exchange::states_of(&away.coins, reply) else { return step };
        let those = |wanted: &[State]| -> Vec<Proof> {
            let found = away.coins.iter().zip(&states).filter(|(_, state)| wanted.contains(&state.state));
            found.map(|(coin, _)| coin.clone()).collect()
        };
        if away.state == AwayState::Lost {
            let back = those(&[State::Unspent]);
            return step.put_away(&name, AwayState::Lost, &those(&[State::Pending])).put_coins(&back);
        }
        step.put_away(&name, away.state, &those(&[State::Unspent, State::Pending]))
    }

    /// Joins small coins if there are many; else the refresh is done.
    fn join(&self) -> Step {
        let done = || Step::to(Vec::new(), self.outcome(0, 0, Vec::new()));
        let mut coins = self.spendable();
        if coins.len() <= MANY {
            return done();
        }
        coins.sort_by_key(|coin| coin.amount);
        coins.truncate(COINS_MAX);
        let joined = || -> Option<Step> {
            let keyset = self.active().ok()?;
            let fee = money::fee(&coins, &self.held.keysets)?;
            let rest = money::sum(&coins)?.checked_sub(fee).filter(|rest| *rest > 0)?;
            let amounts = money::spread(keyset, rest, &self.held.coins[..0])?;
            let (outputs, counter) = self.own(keyset.id, &amounts).ok()?;
            let hand = Hand::joining(Exchange::swap(coins.clone(), outputs), fee);
            let step = self.to(Stage::Hand(hand)).take_coins(&coins);
            Some(step.put_counter(&keyset.id, counter).put_away(self.id(), AwayState::Spending, &coins))
        };
        joined().unwrap_or_else(done)
    }
}

/// What matters of a mint's information: it is read leniently, since every mint adds something.
fn info(answer: &Value, unit: &str) -> Info {
    let nuts = answer.get("nuts").and_then(Value::as_object);
    let supported = |value: &Value| {
        let flag = value.get("supported");
        flag.is_none_or(|flag| flag.as_bool() == Some(true) || flag.as_array().is_some_and(|list| !list.is_empty()))
    };
    let numbers: BTreeSet<u16> = nuts
        .into_iter()
        .flatten()
        .filter(|(_, value)| supported(value))
        .filter_map(|(number, _)| number.parse().ok())
        .collect();
    let methods = |nut: &str| -> Vec<Method> {
        let section = nuts.and_then(|nuts| nuts.get(nut));
        if section.and_then(|section| section.get("disabled")).and_then(Value::as_bool) == Some(true) {
            return Vec::new();
        }
        let listed = section.and_then(|section| section.get("methods")).and_then(Value::as_array);
        let method = |value: &Value| {
            let same = value.get("unit")?.as_str()?.eq_ignore_ascii_case(unit);
            let limit = |name: &str| value.get(name).and_then(Value::as_u64);
            let name = value.get("method")?.as_str().filter(|name| is_method(name))?.to_owned();
            same.then_some(Method { name, least: limit("min_amount"), most: limit("max_amount") })
        };
        listed.into_iter().flatten().filter_map(method).take(METHODS_MAX).collect()
    };
    Info { nuts: numbers, deposit: methods("4"), transfer: methods("5") }
}

/// Whether a name can stand in a path.
fn is_method(name: &str) -> bool {
    let good = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    !name.is_empty() && name.len() <= 32 && name.bytes().all(good)
}

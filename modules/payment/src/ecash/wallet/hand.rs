//! Coins of this purse go out: to be joined, as a token for anybody, or locked to somebody.

use cashu::Proof;
use cashu::nuts::{KeySet, State};
use semper_core::amount::Amount;
use semper_core::cbor::Encode as _;
use semper_core::time::Time;
use semper_transfer::payment::module::{IssuerReply, Next, Step};
use serde::{Deserialize, Serialize};

use super::exchange::{Answered, Exchange, Refused, back_off};
use super::money::{self, Keysets, Short};
use super::records::{AwayState, Changes as _};
use super::seed::{KeyUse, Output};
use super::stage::{Run, Stage, Stop};
use super::token::Coins;
use crate::ecash::condition::Condition;

/// Coins that are exchanged for some that go out and some that stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hand {
    exchange: Exchange,
    /// Which of the outputs go out; the others stay. They are sorted by amount: the mint cannot tell them apart by their places.
    out: Vec<bool>,
    handing: Handing,
    moved: u64,
    fee: u64,
    /// Until when the mint is left alone, and how often it was.
    rest: Option<u64>,
    tries: u32,
}

/// What is done with the coins that go out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Handing {
    /// There are none.
    Nothing,
    /// A token that anybody can take.
    Text,
    /// Coins under a lock; `key` names them in the records.
    Locked { key: [u8; 32], back: Back },
}

/// How coins that were handed out come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Back {
    /// After this second.
    pub(super) after: u64,
    /// With the key that belongs to this name.
    pub(super) name: [u8; 32],
    pub(super) what: KeyUse,
    /// The payee's signed request that they were handed out for.
    pub(super) request: Option<Vec<u8>>,
}

/// Coins that were handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handed {
    pub(super) key: [u8; 32],
    pub(super) coins: Vec<Proof>,
    /// `None`: whoever has them can take them.
    pub(super) back: Option<Back>,
}

/// Which coins are spent to hand an amount out.
pub(super) struct Plan {
    /// Coins that are spent, or handed out as they are.
    pub(super) coins: Vec<Proof>,
    /// What goes out.
    pub(super) out: Vec<u64>,
    /// What stays of what is spent; `None`: nothing need be exchanged.
    pub(super) stays: Option<u64>,
}

impl Plan {
    /// What it costs to let `amount` arrive.
    pub(super) fn fee(&self, amount: u64) -> u64 {
        let spent = match self.stays {
            Some(stays) => money::sum(&self.coins).unwrap_or(0).saturating_sub(stays),
            None => self.out.iter().sum(),
        };
        spent.saturating_sub(amount)
    }
}

/// Plans to hand out coins of which exactly `amount` arrives. `always`: they must be new ones.
pub(super) fn plan(
    coins: &[Proof],
    keysets: &Keysets,
    keyset: &KeySet,
    amount: u64,
    always: bool,
) -> Result<Plan, Stop> {
    let out = money::parcel(keyset, amount).ok_or_else(|| Stop::misuse("the mint has no coins for this amount"))?;
    if !always && let Some(coins) = exactly(coins, keyset, &out) {
        return Ok(Plan { coins, out, stays: None });
    }
    let needed = out.iter().try_fold(0_u64, |sum, one| sum.checked_add(*one)).ok_or(Short::Money)?;
    let coins = money::choose(coins, keysets, needed)?;
    let stays = money::worth(&coins, keysets).and_then(|worth| worth.checked_sub(needed)).ok_or(Short::Money)?;
    Ok(Plan { coins, out, stays: Some(stays) })
}

/// Coins of exactly these amounts, if there are.
fn exactly(coins: &[Proof], keyset: &KeySet, amounts: &[u64]) -> Option<Vec<Proof>> {
    let mut left: Vec<&Proof> =
        coins.iter().filter(|coin| coin.keyset_id == keyset.id && coin.dleq.is_some()).collect();
    let mut found = Vec::new();
    for amount in amounts {
        let place = left.iter().position(|coin| coin.amount.to_u64() == *amount)?;
        found.push(left.swap_remove(place).clone());
    }
    Some(found)
}

impl Run<'_> {
    pub(super) fn send(&self, amount: Amount) -> Result<Step, Stop> {
        let minor = self.minor(amount)?;
        let keyset = self.active()?;
        let plan = plan(&self.spendable(), &self.held.keysets, keyset, minor, false)?;
        if plan.stays.is_none() {
            let fee = plan.fee(minor);
            let step = self.handed(&Handing::Text, plan.coins.clone(), minor, fee);
            return Ok(step.take_coins(&plan.coins));
        }
        let (outputs, counter) = self.own(keyset.id, &plan.out)?;
        self.hand(plan, Some(counter), outputs, Handing::Text, minor)
    }

    /// Hands coins out under a lock.
    pub(super) fn hand_locked(
        &self,
        minor: u64,
        condition: &Condition,
        key: [u8; 32],
        back: Back,
    ) -> Result<Step, Stop> {
        let keyset = self.active()?;
        let plan = plan(&self.spendable(), &self.held.keysets, keyset, minor, true)?;
        let locked = |(place, amount): (usize, &u64)| self.seed.locked(condition, keyset.id, *amount, self.id(), place);
        let outputs = plan.out.iter().enumerate().map(locked).collect();
        self.hand(plan, None, outputs, Handing::Locked { key, back }, minor)
    }

    /// `counter` is the one after those that `outputs` have used up, if they have.
    fn hand(
        &self,
        plan: Plan,
        counter: Option<u32>,
        outputs: Vec<Output>,
        handing: Handing,
        moved: u64,
    ) -> Result<Step, Stop> {
        let keyset = self.active()?;
        let (first, fee) = (outputs.len(), plan.fee(moved));
        let kept: Vec<Proof> = self.held.coins.iter().filter(|coin| !plan.coins.contains(coin)).cloned().collect();
        let stays = money::spread(keyset, plan.stays.unwrap_or(0), &kept);
        let stays = stays.ok_or_else(|| Stop::misuse("the mint has no coins for the change"))?;
        let (change, next) = match counter {
            None => self.own(keyset.id, &stays)?,
            // The outputs that go out have used the first counters.
            Some(_) => {
                let amounts: Vec<u64> = plan.out.iter().chain(&stays).copied().collect();
                let (all, next) = self.own(keyset.id, &amounts)?;
                (all[first..].to_vec(), next)
            }
        };
        let change = change.into_iter().map(|output| (output, false));
        let mut all: Vec<(Output, bool)> = outputs.into_iter().map(|output| (output, true)).chain(change).collect();
        all.sort_by_key(|(output, _)| output.amount());
        let (outputs, out) = all.into_iter().unzip();
        let exchange = Exchange::swap(plan.coins.clone(), outputs);
        let hand = Hand { exchange, out, handing, moved, fee, rest: None, tries: 0 };
        let step = self.to(Stage::Hand(hand)).take_coins(&plan.coins).put_counter(&keyset.id, next);
        Ok(step.put_away(self.id(), AwayState::Spending, &plan.coins))
    }

    /// The end: coins are handed out.
    fn handed(&self, handing: &Handing, coins: Vec<Proof>, moved: u64, fee: u64) -> Step {
        let token = Coins { issuer: self.issuer().to_owned(), unit: self.unit(), coins };
        let Some(key) = handing.key(self.id()) else {
            return Step::to(Vec::new(), self.outcome(moved, fee, Vec::new()));
        };
        let (back, handover) = match handing {
            Handing::Locked { back, .. } => (Some(back.clone()), token.to_bytes()),
            Handing::Nothing | Handing::Text => (None, token.to_text().into_bytes()),
        };
        let handed = Handed { key, coins: token.coins, back };
        let next = self.outcome(moved, fee, handover);
        let step = Step::to(Vec::new(), next).put_away(&key, AwayState::Handed, &handed.coins);
        Step { stage: super::records::write(&Stage::Handed(handed)), ..step }
    }
}

impl Handing {
    /// The name in the records of what goes out.
    fn key(&self, operation: &[u8; 32]) -> Option<[u8; 32]> {
        match self {
            Handing::Nothing => None,
            Handing::Text => Some(*operation),
            Handing::Locked { key, .. } => Some(*key),
        }
    }
}

impl Hand {
    /// Coins of this purse for fewer.
    pub(super) fn joining(exchange: Exchange, fee: u64) -> Self {
        Self {
            out: vec![false; exchange.outputs.len()],
            exchange,
            handing: Handing::Nothing,
            moved: 0,
            fee,
            rest: None,
            tries: 0,
        }
    }

    pub(super) fn next(&self, run: &Run<'_>) -> Next {
        match self.rest {
            Some(until) => Next::Wait(Time::from_unix(until)),
            None => Next::Ask(self.exchange.request(run.issuer())),
        }
    }

    /// After a rest.
    pub(super) fn again(self) -> Self {
        Self { rest: None, ..self }
    }

    pub(super) fn on(self, run: &Run<'_>, reply: &IssuerReply) -> Step {
        match self.exchange.answered(&run.held.keysets, reply) {
            Answered::Again(exchange) => run.to(Stage::Hand(Self { exchange, ..self })),
            Answered::Later(exchange) => {
                let rest = Some(back_off(run.now(), self.tries).unix());
                run.to(Stage::Hand(Self { exchange, rest, tries: self.tries.saturating_add(1), ..self }))
            }
            Answered::Coins(coins) => {
                let (out, stay): (Vec<_>, Vec<_>) = coins.into_iter().zip(&self.out).partition(|(_, out)| **out);
                let coins = |pairs: Vec<(Proof, &bool)>| pairs.into_iter().map(|(coin, _)| coin).collect::<Vec<_>>();
                let step = run.handed(&self.handing, coins(out), self.moved, self.fee).put_coins(&coins(stay));
                // What is handed out under the operation's own name replaces what was being spent under it.
                if self.handing.key(run.id()) == Some(*run.id()) { step } else { step.drop_away(run.id()) }
            }
            Answered::Refused(refused) => run.returned(&refused),
        }
    }
}

impl Run<'_> {
    /// A failure that leaves coins of this purse where the mint says that they are.
    pub(super) fn returned(&self, refused: &Refused) -> Step {
        let free = refused.those(State::Unspent);
        let unsure = if refused.states.is_some() { refused.those(State::Pending) } else { refused.inputs.clone() };
        let step = Step::failed(refused.failure());
        step.put_away(self.id(), AwayState::Lost, &unsure).put_coins(&free)
    }
}

//! What a purse remembers.
//!
//! | key | value |
//! |---|---|
//! | `info` | what the mint says it can do ([`Info`]) |
//! | `keyset/` ‖ identifier | a keyset of the purse's unit, as in NUT-01 and NUT-02, with `active` |
//! | `counter/` ‖ identifier | the next counter of NUT-13 |
//! | `coin/` ‖ point `Y` | a coin that can be spent, as in NUT-00, with the proof of NUT-12 |
//! | `away/` ‖ operation, or tag of a lock | coins that have left and may come back ([`Away`]) |
//! | `payout/` ‖ tag of a lock ‖ side | outputs that a lock is to be paid out to |
//! | `taken/` ‖ tag of a lock ‖ side | `true`: a lock has been paid out to that side, and its coins came here |
//!
//! Each value is `[version = 1: u8]` and JSON. A counter advances in the commit that stores the request that uses it; a coin leaves `coin/` in
//! the commit that stores the request that spends it.

use std::collections::{BTreeMap, BTreeSet};

use cashu::nuts::KeySet;
use cashu::{Id, Proof};
use semper_transfer::payment::module::{Purse, Step};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::money::{Keysets, sum};
use super::seed::Output;
use crate::ecash::crypto::hash_to_curve;

const VERSION: u8 = 1;
const INFO: &[u8] = b"info";
const KEYSET: &[u8] = b"keyset/";
const COUNTER: &[u8] = b"counter/";
const COIN: &[u8] = b"coin/";
const AWAY: &[u8] = b"away/";
const PAYOUT: &[u8] = b"payout/";
const TAKEN: &[u8] = b"taken/";

/// What the mint says it can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Info {
    /// NUTs that it supports.
    pub(super) nuts: BTreeSet<u16>,
    /// Ways to put money in, for the purse's unit.
    pub(super) deposit: Vec<Method>,
    /// Ways to pay out.
    pub(super) transfer: Vec<Method>,
}

/// A payment method of the mint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Method {
    pub(super) name: String,
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
}

/// Coins that have left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Away {
    pub(super) state: AwayState,
    pub(super) coins: Vec<Proof>,
}

/// Why coins are away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum AwayState {
    /// An operation is spending them, and knows what becomes of them.
    Spending,
    /// They were handed to somebody.
    Handed,
    /// The mint did not say what became of them.
    Lost,
}

/// The records of a purse, read.
pub(super) struct Held {
    pub(super) info: Option<Info>,
    pub(super) keysets: Keysets,
    pub(super) counters: BTreeMap<Id, u32>,
    pub(super) coins: Vec<Proof>,
    pub(super) away: BTreeMap<Vec<u8>, Away>,
    pub(super) payouts: BTreeMap<Vec<u8>, Vec<Output>>,
    /// The payouts whose coins have come.
    pub(super) taken: BTreeSet<Vec<u8>>,
    /// Whether there was a record that cannot be read.
    pub(super) damaged: bool,
}

impl Held {
    pub(super) fn read(purse: &Purse) -> Self {
        let mut damaged = false;
        let info = purse.records.get(INFO).and_then(|bytes| read(bytes, &mut damaged));
        let keysets: Vec<KeySet> = values(purse, KEYSET, &mut damaged);
        let counters =
            under(purse, COUNTER, &mut damaged).filter_map(|(key, value)| Some((Id::from_bytes(&key).ok()?, value)));
        let counters = counters.collect();
        Self {
            info,
            keysets: keysets.into_iter().map(|keyset| (keyset.id, keyset)).collect(),
            counters,
            coins: values(purse, COIN, &mut damaged),
            away: under(purse, AWAY, &mut damaged).collect(),
            payouts: under(purse, PAYOUT, &mut damaged).collect(),
            taken: under::<bool>(purse, TAKEN, &mut damaged).map(|(payout, _)| payout).collect(),
            damaged,
        }
    }

    /// What can be spent, and what is away.
    pub(super) fn sums(&self) -> (u64, u64) {
        let away = self.away.values().filter_map(|away| sum(&away.coins));
        (sum(&self.coins).unwrap_or(u64::MAX), away.fold(0, u64::saturating_add))
    }
}

fn under<T: DeserializeOwned>(purse: &Purse, prefix: &[u8], damaged: &mut bool) -> impl Iterator<Item = (Vec<u8>, T)> {
    let mut found = Vec::new();
    for (key, value) in purse.under(prefix) {
        found.extend(read(value, damaged).map(|value| (key.to_vec(), value)));
    }
    found.into_iter()
}

fn values<T: DeserializeOwned>(purse: &Purse, prefix: &[u8], damaged: &mut bool) -> Vec<T> {
    under(purse, prefix, damaged).map(|(_, value)| value).collect()
}

/// Writes a value as it is stored.
pub(super) fn write<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, value).expect("values of this module are written into memory");
    bytes
}

fn read<T: DeserializeOwned>(bytes: &[u8], damaged: &mut bool) -> Option<T> {
    let value = parse(bytes);
    *damaged |= value.is_none();
    value
}

/// Reads a stored value; `None` if it is damaged.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (version, json) = bytes.split_first()?;
    if *version == VERSION { serde_json::from_slice(json).ok() } else { None }
}

/// Changes of a purse's records, as a step takes them.
pub(super) trait Changes: Sized {
    fn with(self, change: (Vec<u8>, Option<Vec<u8>>)) -> Self;

    fn put_coins(self, coins: &[Proof]) -> Self {
        coins.iter().fold(self, |step, coin| step.with((coin_key(coin), Some(write(coin)))))
    }

    fn take_coins(self, coins: &[Proof]) -> Self {
        coins.iter().fold(self, |step, coin| step.with((coin_key(coin), None)))
    }

    fn put_away(self, key: &[u8; 32], state: AwayState, coins: &[Proof]) -> Self {
        let away = Away { state, coins: coins.to_vec() };
        let value = (!away.coins.is_empty()).then(|| write(&away));
        self.with(([AWAY, key].concat(), value))
    }

    fn drop_away(self, key: &[u8; 32]) -> Self {
        self.with(([AWAY, key].concat(), None))
    }

    fn put_counter(self, id: &Id, next: u32) -> Self {
        self.with(([COUNTER, &id.to_bytes()].concat(), Some(write(&next))))
    }

    fn put_info(self, info: &Info) -> Self {
        self.with((INFO.to_vec(), Some(write(info))))
    }

    fn put_keyset(self, keyset: &KeySet) -> Self {
        self.with(([KEYSET, &keyset.id.to_bytes()].concat(), Some(write(keyset))))
    }

    fn put_payout(self, key: &[u8], outputs: &[Output]) -> Self {
        self.with(([PAYOUT, key].concat(), Some(write(&outputs))))
    }

    fn put_taken(self, key: &[u8]) -> Self {
        self.with(([TAKEN, key].concat(), Some(write(&true))))
    }
}

impl Changes for Step {
    fn with(mut self, change: (Vec<u8>, Option<Vec<u8>>)) -> Self {
        self.changes.push(change);
        self
    }
}

fn coin_key(coin: &Proof) -> Vec<u8> {
    [COIN, hash_to_curve(coin.secret.as_bytes()).to_bytes().as_slice()].concat()
}

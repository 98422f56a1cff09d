//! Which coins: what an amount is split into, what arrives after fees, which coins are spent.

use std::collections::BTreeMap;

use cashu::nuts::KeySet;
use cashu::{Id, Proof};

use crate::ecash::keyset::input_fee;

/// Most coins in one request. Mints take more; a purse with more small coins is consolidated first.
pub(super) const COINS_MAX: usize = 400;
/// How many coins of an amount are useful to have, where coins cost nothing.
const USEFUL: usize = 2;

/// The keysets of a purse.
pub(super) type Keysets = BTreeMap<Id, KeySet>;

/// The amounts that `amount` is split into: as few coins as possible, smallest first. `None` if the keyset lacks small amounts.
pub(super) fn split(keyset: &KeySet, amount: u64) -> Option<Vec<u64>> {
    let mut rest = amount;
    let mut amounts = Vec::new();
    for one in keyset.keys.keys().keys().rev().map(|one| one.to_u64()) {
        while one > 0 && one <= rest {
            rest -= one;
            amounts.push(one);
            if amounts.len() > COINS_MAX {
                return None;
            }
        }
    }
    amounts.reverse();
    (rest == 0).then_some(amounts)
}

/// [`split`] for money that stays here: small coins are made first, until there are some of each, so that later payments find what they
/// need; where coins cost something, few are better.
pub(super) fn spread(keyset: &KeySet, amount: u64, held: &[Proof]) -> Option<Vec<u64>> {
    if keyset.input_fee_ppk > 0 {
        return split(keyset, amount);
    }
    let mut rest = amount;
    let mut amounts = Vec::new();
    for one in keyset.keys.keys().keys().map(|one| one.to_u64()) {
        let mut have = held.iter().filter(|coin| coin.amount.to_u64() == one).count();
        while have < USEFUL && one <= rest {
            have += 1;
            rest -= one;
            amounts.push(one);
        }
    }
    amounts.extend(split(keyset, rest)?);
    amounts.sort_unstable();
    Some(amounts)
}

/// Coins of which exactly `amount` arrives after whoever takes them has paid for spending them. The fee is their sum less `amount`.
pub(super) fn parcel(keyset: &KeySet, amount: u64) -> Option<Vec<u64>> {
    (1..=COINS_MAX).find_map(|count| {
        let fee = fee_of_count(keyset, count)?;
        let mut amounts = split(keyset, amount.checked_add(fee)?)?;
        // A fee that begins anew with one more coin can leave no sum that fits; one coin in two halves makes it fit.
        while amounts.len() < count {
            let largest = amounts.pop().filter(|largest| *largest > 1)?;
            let halves = split(keyset, largest / 2)?;
            amounts.extend(halves.iter().chain(&halves));
            amounts.extend((largest % 2 == 1).then_some(1));
            amounts.sort_unstable();
        }
        (amounts.len() == count).then_some(amounts)
    })
}

fn fee_of_count(keyset: &KeySet, count: usize) -> Option<u64> {
    input_fee(std::iter::repeat_n(keyset.input_fee_ppk, count))
}

/// What the mint takes for spending coins; `None` if a keyset is not known.
pub(super) fn fee(coins: &[Proof], keysets: &Keysets) -> Option<u64> {
    let fees: Option<Vec<u64>> = coins.iter().map(|coin| Some(keysets.get(&coin.keyset_id)?.input_fee_ppk)).collect();
    input_fee(fees?)
}

/// What coins are worth, before fees; `None` on overflow, which no honest mint lets happen.
pub(super) fn sum(coins: &[Proof]) -> Option<u64> {
    coins.iter().try_fold(0_u64, |sum, coin| sum.checked_add(coin.amount.to_u64()))
}

/// What coins are worth after the fee for spending them.
pub(super) fn worth(coins: &[Proof], keysets: &Keysets) -> Option<u64> {
    sum(coins)?.checked_sub(fee(coins, keysets)?)
}

/// Why coins could not be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// There is too little.
    Money,
    /// There is enough, in too many small coins.
    SmallCoins,
}

/// Chooses coins that are worth at least `amount` after the fee for spending them.
///
/// Those of keysets that sign no more go first, since they may expire. Then few coins: the smallest that covers the rest, else the largest.
pub(super) fn choose(coins: &[Proof], keysets: &Keysets, amount: u64) -> Result<Vec<Proof>, Short> {
    let active = |coin: &Proof| keysets.get(&coin.keyset_id).is_some_and(|keyset| keyset.active == Some(true));
    let (mut pool, mut old): (Vec<&Proof>, Vec<&Proof>) = coins.iter().partition(|coin| active(coin));
    pool.sort_by_key(|coin| coin.amount);
    old.sort_by_key(|coin| coin.amount);
    let fee_of = |coin: &Proof| keysets.get(&coin.keyset_id).map_or(u64::MAX, |keyset| keyset.input_fee_ppk);
    let enough = |sum: u64, fees: u64| sum.checked_sub(fees.div_ceil(1000)).is_some_and(|worth| worth >= amount);
    let (mut sum, mut fees) = (0_u64, 0_u64);
    let mut chosen: Vec<Proof> = Vec::new();
    while chosen.is_empty() || !enough(sum, fees) {
        if chosen.len() == COINS_MAX {
            return Err(Short::SmallCoins);
        }
        let from = if old.is_empty() { &mut pool } else { &mut old };
        let with = |coin: &Proof| (sum.saturating_add(coin.amount.to_u64()), fees.saturating_add(fee_of(coin)));
        let covers = from.partition_point(|coin| {
            let (sum, fees) = with(coin);
            !enough(sum, fees)
        });
        let Some(last) = from.len().checked_sub(1) else { return Err(Short::Money) };
        let coin = from.remove(covers.min(last));
        (sum, fees) = with(coin);
        chosen.push(coin.clone());
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::ecash::keyset::{Keyset, KeysetTerms, Unit};

    fn keyset(index: u32, fee: u64, active: bool) -> KeySet {
        let terms = KeysetTerms { unit: Unit::Eur, index, input_fee_ppk: fee, final_expiry: None, legacy_id: false };
        Keyset::derive(&[7; 32], terms).unwrap().published(active)
    }

    fn coin(keyset: &KeySet, amount: u64, name: &str) -> Proof {
        let c = *keyset.keys.keys().values().next().unwrap();
        Proof::new(amount.into(), keyset.id, cashu::secret::Secret::new(name), c)
    }

    // Too little would be refused by the payee, too much would be given away.
    #[test]
    fn exactly_the_amount_arrives_whatever_the_fee() {
        for fee in [0, 1, 100, 500, 999, 1000, 1001, 2000, 3700] {
            let keyset = keyset(0, fee, true);
            let keysets = Keysets::from([(keyset.id, keyset.clone())]);
            for amount in (1..400).chain([1023, 1024, 999_999, (1 << 40) - 1]) {
                let parcel = parcel(&keyset, amount).unwrap();
                let coins: Vec<Proof> =
                    parcel.iter().enumerate().map(|(i, one)| coin(&keyset, *one, &i.to_string())).collect();
                assert_eq!(worth(&coins, &keysets), Some(amount), "{amount} at {fee}");
            }
        }
    }

    #[test]
    fn coins_are_few_and_old_ones_go_first() {
        let (new, old) = (keyset(1, 0, true), keyset(0, 0, false));
        let keysets = Keysets::from([(new.id, new.clone()), (old.id, old.clone())]);
        let mut coins: Vec<Proof> = [1, 2, 4, 64, 128].iter().map(|a| coin(&new, *a, &a.to_string())).collect();
        let amounts = |chosen: Vec<Proof>| chosen.iter().map(|coin| coin.amount.to_u64()).collect::<Vec<_>>();
        assert_eq!(amounts(choose(&coins, &keysets, 50).unwrap()), [64]);
        assert_eq!(amounts(choose(&coins, &keysets, 130).unwrap()), [128, 2]);
        assert_eq!(choose(&coins, &keysets, 200), Err(Short::Money));
        coins.push(coin(&old, 8, "old"));
        assert_eq!(amounts(choose(&coins, &keysets, 50).unwrap()), [8, 64]);
        assert_eq!(amounts(choose(&coins, &keysets, 3).unwrap()), [8]);
        let dust: Vec<Proof> = (0..=COINS_MAX).map(|i| coin(&new, 1, &format!("dust {i}"))).collect();
        assert_eq!(choose(&dust, &keysets, dust.len() as u64), Err(Short::SmallCoins));
    }

    // A coin whose fee is above its amount must not count as money.
    #[test]
    fn fees_are_covered() {
        let dear = keyset(0, 1000, true);
        let keysets = Keysets::from([(dear.id, dear.clone())]);
        let coins: Vec<Proof> = [8, 8, 8].iter().enumerate().map(|(i, a)| coin(&dear, *a, &i.to_string())).collect();
        assert_eq!(choose(&coins, &keysets, 21).unwrap().len(), 3);
        assert_eq!(choose(&coins, &keysets, 22), Err(Short::Money));
        assert_eq!(choose(&coins[..1], &keysets, 7).unwrap().len(), 1);
    }

    #[test]
    fn money_that_stays_is_spread_where_coins_cost_nothing() {
        let (free, dear) = (keyset(0, 0, true), keyset(0, 100, true));
        assert_eq!(spread(&free, 14, &[]).unwrap(), [1, 1, 2, 2, 4, 4]);
        assert_eq!(spread(&dear, 14, &[]).unwrap(), [2, 4, 8]);
        for amount in 0..300 {
            assert_eq!(spread(&free, amount, &[]).unwrap().iter().sum::<u64>(), amount);
        }
    }
}

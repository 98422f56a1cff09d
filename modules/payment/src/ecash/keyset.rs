//! Keysets: a mint's keys for the amounts 1, 2, 4 … of one unit, derived from its seed, so that only the seed need be kept safe.
//!
//! A keyset is what its [`KeysetTerms`] say; the same seed and terms give the same keys and the same [`Id`], for ever. Rotation makes a
//! keyset with the next index of the unit; the keyset with the highest index of its unit is the active one, all others only take coins
//! back, until their final expiry.
//!
//! Source: NUT-01, NUT-02.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr as _;

use bitcoin::bip32::{ChildNumber, DerivationPath};
use cashu::nut02::KeySetVersion;
use cashu::{Amount, CurrencyUnit, Id, KeySet, KeySetInfo, Keys, MintKeySet, SECP256K1};
use serde::{Deserialize, Serialize};

use super::crypto::AmountKey;

/// How many amounts a keyset has: 1, 2, 4 … 2^40 minor units (over ten thousand million euros).
pub const AMOUNTS: u32 = 41;
/// The largest fee per coin, in thousandths of a minor unit: a thousand minor units.
pub const FEE_PPK_MAX: u64 = 1_000_000;
/// The highest index of a keyset in its unit.
pub const INDEX_MAX: u32 = (1 << 31) - 1;

/// A unit in which a mint counts: minor units of a currency, or satoshi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Cents of the euro.
    Eur,
    /// Cents of the US dollar.
    Usd,
    /// Satoshi.
    Sat,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Self; 3] = [Self::Eur, Self::Usd, Self::Sat];

    /// The name on the wire: `eur`, `usd`, `sat`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eur => "eur",
            Self::Usd => "usd",
            Self::Sat => "sat",
        }
    }

    /// The unit with a name, in letters of either case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Unit> for CurrencyUnit {
    fn from(unit: Unit) -> Self {
        CurrencyUnit::from_str(unit.name()).unwrap_or_default()
    }
}

/// What a keyset is, apart from the seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysetTerms {
    /// The unit of its coins.
    pub unit: Unit,
    /// Its number in the unit, from 0, at most [`INDEX_MAX`].
    pub index: u32,
    /// What spending one of its coins costs, in thousandths of a minor unit, at most [`FEE_PPK_MAX`]; the sum over a request is rounded up.
    pub input_fee_ppk: u64,
    /// When its coins lose their value, in seconds since 1970; `None`: never.
    pub final_expiry: Option<u64>,
    /// The form of its identifier: `false` for version 01, which binds unit, fee and expiry to it; `true` for the older 00, to carry on a
    /// mint that has such keysets.
    #[serde(default)]
    pub legacy_id: bool,
}

/// Why a keyset cannot be derived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysetError {
    /// The index is above [`INDEX_MAX`].
    #[error("a keyset's index must be below 2^31")]
    Index,
    /// The fee is above [`FEE_PPK_MAX`].
    #[error("the fee for a coin must be at most 1000 minor units")]
    Fee,
}

/// A keyset with its secret keys.
pub struct Keyset {
    terms: KeysetTerms,
    id: Id,
    keys: Vec<AmountKey>,
}

impl Keyset {
    /// Derives a keyset. `seed` is the mint's, at least 32 random bytes.
    ///
    /// Keys are those of BIP 32 at `m/0'/unit'/index'/i'`, `i` the amount's exponent, as other mints of this protocol derive them.
    ///
    /// # Errors
    /// [`KeysetError`]: the terms are out of range.
    pub fn derive(seed: &[u8], terms: KeysetTerms) -> Result<Self, KeysetError> {
        if terms.input_fee_ppk > FEE_PPK_MAX {
            return Err(KeysetError::Fee);
        }
        let unit = CurrencyUnit::from(terms.unit);
        let child = |index| ChildNumber::from_hardened_idx(index).map_err(|_| KeysetError::Index);
        let path = DerivationPath::from(vec![child(0)?, child(unit.hashed_derivation_index())?, child(terms.index)?]);
        let version = if terms.legacy_id { KeySetVersion::Version00 } else { KeySetVersion::Version01 };
        let amounts: Vec<u64> = (0..AMOUNTS).map(|exponent| 1 << exponent).collect();
        let derived = MintKeySet::generate_from_seed(
            &SECP256K1,
            seed,
            &amounts,
            unit,
            path,
            terms.input_fee_ppk,
            terms.final_expiry,
            version,
        );
        let keys = derived.keys.values().map(|pair| AmountKey::new(pair.secret_key.clone())).collect();
        Ok(Self { terms, id: derived.id, keys })
    }

    /// Its identifier.
    pub fn id(&self) -> Id {
        self.id
    }

    /// What it is.
    pub fn terms(&self) -> &KeysetTerms {
        &self.terms
    }

    /// The key for an amount; `None` if it is no power of two or too large.
    pub fn key(&self, amount: u64) -> Option<&AmountKey> {
        amount.is_power_of_two().then(|| self.keys.get(amount.trailing_zeros() as usize)).flatten()
    }

    /// Whether coins of this keyset have lost their value at `now` (seconds since 1970).
    pub fn expired(&self, now: u64) -> bool {
        self.terms.final_expiry.is_some_and(|expiry| expiry <= now)
    }

    /// The public keys, as a wallet gets them.
    pub fn published(&self, active: bool) -> KeySet {
        let amounts = (0..AMOUNTS).map(|exponent| Amount::from(1 << exponent));
        let keys: BTreeMap<_, _> = amounts.zip(self.keys.iter().map(AmountKey::public)).collect();
        KeySet {
            id: self.id,
            unit: self.terms.unit.into(),
            active: Some(active),
            keys: Keys::new(keys),
            input_fee_ppk: self.terms.input_fee_ppk,
            final_expiry: self.terms.final_expiry,
        }
    }

    /// What a wallet sees in the list of keysets.
    pub fn info(&self, active: bool) -> KeySetInfo {
        KeySetInfo {
            id: self.id,
            unit: self.terms.unit.into(),
            active,
            input_fee_ppk: self.terms.input_fee_ppk,
            final_expiry: self.terms.final_expiry,
        }
    }
}

/// The fee for spending coins, in minor units: the sum of the fees of their keysets, rounded up. `None` on overflow.
///
/// Source: NUT-02.
pub fn input_fee(fees_ppk: impl IntoIterator<Item = u64>) -> Option<u64> {
    let sum = fees_ppk.into_iter().try_fold(0_u64, u64::checked_add)?;
    Some(sum.div_ceil(1000))
}

/// The powers of two that add up to `amount`, smallest first.
pub fn split(amount: u64) -> impl DoubleEndedIterator<Item = u64> {
    (0..u64::BITS).map(|exponent| 1 << exponent).filter(move |power| amount & power != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn terms(unit: Unit, index: u32) -> KeysetTerms {
        KeysetTerms { unit, index, input_fee_ppk: 100, final_expiry: Some(2_000_000_000), legacy_id: false }
    }

    // A mint that restarts with other keys has lost everybody's money.
    #[test]
    fn the_same_seed_and_terms_give_the_same_keyset() {
        let keyset = Keyset::derive(&[1; 32], terms(Unit::Eur, 3)).unwrap();
        assert_eq!(keyset.id(), Keyset::derive(&[1; 32], terms(Unit::Eur, 3)).unwrap().id());
        assert_eq!(
            keyset.id().to_string(),
            "01337c5e6092e3f8f3240b0077df663fb6ec3502475b85296504477f27e095cdaa",
            "a literal value: the derivation must not change between releases"
        );
        let others = [(2, terms(Unit::Eur, 3)), (1, terms(Unit::Eur, 4)), (1, terms(Unit::Usd, 3))];
        for (seed, other) in others {
            assert_ne!(keyset.id(), Keyset::derive(&[seed; 32], other).unwrap().id());
        }
        keyset.published(true).verify_id().unwrap();
    }

    #[test]
    fn the_identifier_binds_fee_and_expiry_in_version_01_only() {
        let (plain, mut dear) = (terms(Unit::Sat, 0), terms(Unit::Sat, 0));
        dear.input_fee_ppk = 200;
        let id = |terms: &KeysetTerms| Keyset::derive(&[1; 32], terms.clone()).unwrap().id();
        assert_ne!(id(&plain), id(&dear));
        let legacy = |terms: &KeysetTerms| KeysetTerms { legacy_id: true, ..terms.clone() };
        assert_eq!(id(&legacy(&plain)), id(&legacy(&dear)));
        assert!(id(&legacy(&plain)).to_string().starts_with("00") && id(&plain).to_string().starts_with("01"));
    }

    #[test]
    fn an_amount_has_a_key_if_it_is_a_power_of_two() {
        let keyset = Keyset::derive(&[1; 32], terms(Unit::Sat, 0)).unwrap();
        assert!(keyset.key(1).is_some() && keyset.key(1 << 40).is_some());
        for none in [0, 3, 1 << 41, u64::MAX] {
            assert!(keyset.key(none).is_none(), "{none}");
        }
        assert!(matches!(Keyset::derive(&[1; 32], terms(Unit::Sat, 1 << 31)), Err(KeysetError::Index)));
        let dear = KeysetTerms { input_fee_ppk: FEE_PPK_MAX + 1, ..terms(Unit::Sat, 0) };
        assert!(matches!(Keyset::derive(&[1; 32], dear), Err(KeysetError::Fee)));
    }

    #[test]
    fn fees_are_rounded_up_once() {
        assert_eq!(input_fee([]), Some(0));
        assert_eq!(input_fee([100; 3]), Some(1));
        assert_eq!(input_fee([100; 10]), Some(1));
        assert_eq!(input_fee([100; 11]), Some(2));
        assert_eq!(input_fee([u64::MAX, 1]), None);
    }

    #[test]
    fn a_split_adds_up() {
        assert_eq!(split(900).collect::<Vec<_>>(), [4, 128, 256, 512]);
        assert_eq!(split(0).count(), 0);
        assert_eq!(split(u64::MAX).count(), 64);
    }
}

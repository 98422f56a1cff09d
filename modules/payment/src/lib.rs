//! Modules of the payment block ([`semper_transfer::payment`]): payment systems, a folder each, both halves of each in one folder.
//!
//! | system | parties' half | third party's half |
//! |---|---|---|
//! | [`ecash`] | wallet | mint |
//! | [`account`] | payer and payee | bank |
//!
//! The parties' half is a [`semper_transfer::payment::Module`]: it computes, and touches neither network nor disk. The third
//! party's half decides over an archive and answers HTTP.
//!
//! Everything that a party's purses derive comes from one seed of 32 bytes, which is written down as 24 [`words`].

pub mod account;
#[cfg(feature = "services")]
pub mod admit;
pub mod ecash;

use std::sync::Arc;

use bip39::Mnemonic;
use semper_support::crypto::Seal;
use semper_transfer::payment::Module;
use zeroize::Zeroizing;

use crate::account::module::AccountModule;
use crate::account::payment::Level;
use crate::ecash::wallet::{EcashModule, seed_of_words};

/// Every payment system, for a party with this seed. `seal` seals instructions for banks; `level` is the highest at which account
/// payments are made.
pub fn all(seed: &[u8; 32], seal: Arc<dyn Seal>, level: Level) -> Vec<Box<dyn Module>> {
    let coins = seed_of_words(&words(seed)).expect("words that were just made are words");
    vec![Box::new(EcashModule::new(coins)), Box::new(AccountModule::new(*seed, seal, level))]
}

/// Every payment system, for somebody who has no money and only judges the payments of others.
pub fn judges(seal: Arc<dyn Seal>) -> Vec<Box<dyn Module>> {
    all(&[0; 32], seal, Level::Two)
}

/// A seed in 24 words (BIP-39, English).
pub fn words(seed: &[u8; 32]) -> Zeroizing<String> {
    let mnemonic = Mnemonic::from_entropy(seed).expect("BIP-39 takes 32 bytes");
    Zeroizing::new(mnemonic.to_string())
}

/// The seed that was written down as [`words`].
///
/// # Errors
/// A word is none of the list, there are not 24, or the check sum is wrong.
pub fn seed_of(words: &str) -> Result<Zeroizing<[u8; 32]>, bip39::Error> {
    let mnemonic = Mnemonic::parse(words)?;
    let (entropy, length) = mnemonic.to_entropy_array();
    let mut seed = Zeroizing::new([0; 32]);
    if length != seed.len() {
        return Err(bip39::Error::BadWordCount(mnemonic.word_count()));
    }
    seed.copy_from_slice(&entropy[..length]);
    Ok(seed)
}

//! E-cash: coins that a mint signs blindly and takes back once (Cashu).
//!
//! | file | what |
//! |---|---|
//! | [`crypto`] | the mint's operations on points; keys of locks |
//! | [`keyset`] | keysets, derived from the mint's seed |
//! | [`condition`] | what a coin demands of whoever spends it, checked and made |
//! | [`mint`] | the mint: decisions over an archive, and its HTTP |
//! | [`wallet`] | the wallet, for every mint of this protocol |
//!
//! Types on the wire are those of the crate [`cashu`]. Source: the NUTs of the Cashu protocol, `spec/ecash.md`.

pub mod condition;
pub mod crypto;
pub mod keyset;
#[cfg(feature = "services")]
pub mod mint;
pub mod wallet;

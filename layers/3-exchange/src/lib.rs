//! Layer 3 of Semper: fair exchange. Both or neither, and a third party only when something goes wrong.
//!
//! ```text
//!    apps        semper (node, CLI, third parties) · semper-vault
//!    4 commerce  terms of business, deals
//!  ▸ 3 exchange  fair exchange, arbiter, evidence
//!    2 transfer  statements, certificates, payments; containers
//!    1 support   ports: cryptography, archive, channel, approval
//!    0 core      parties, amounts, ids, documents, containers, encoding, the Machine contract
//! ```
//!
//! Engines are pure [`Machine`](semper_core::machine::Machine)s: [`gx`] exchanges two items between two parties, or signs a contract; [`cn`] signs one among
//! three parties or more; [`lx`] does without an arbiter, and in [`ix`] everything goes through its hands. [`arbiter`] decides where they disagree, once per contract and for ever. [`evidence`] is what a stranger concludes from what a party kept. [`goods`] is
//! information as an item of a contract: what the buyer gets is what was described, or the seller is provably at fault. [`claims`] is what people say about a deal, and whether
//! the evidence proves it; a [`notice`] says it to the other party. [`cover`] is a guarantor's word that it stands for somebody under one contract.

pub mod arbiter;
pub mod claims;
pub mod cn;
pub mod cover;
pub mod evidence;
pub mod goods;
pub mod gx;
pub mod ix;
pub mod lx;
pub mod notice;
pub mod planner;
#[cfg(test)]
mod testing;

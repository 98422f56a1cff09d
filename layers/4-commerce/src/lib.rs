//! Layer 4 of Semper: commerce. Terms of business, and the deals that are made under them.
//!
//! ```text
//!    apps        semper (node, CLI, third parties) · semper-vault
//!  ▸ 4 commerce  terms of business, deals
//!    3 exchange  fair exchange, arbiter, evidence
//!    2 transfer  statements, certificates, payments; containers
//!    1 support   ports: cryptography, archive, channel, approval
//!    0 core      parties, amounts, ids, documents, containers, encoding, the Machine contract
//! ```
//!
//! A [`plan`] says which steps a kind of deal has; [`deal::Deal`] is the machine that takes them one after the other, each with an
//! engine of a lower layer. A [`proposal`] is what one party suggests that all sign; [`contract_file`] makes one over any file,
//! [`purchase`] makes one from an [`offer`] and an [`order`], [`letter`] one over certified mail,
//! [`trade`] one over money for a receipt or for other money, [`swap`] one over
//! information for information, [`access`] one over information for the show of a right, [`right`] one over a right that is passed on for money. A [`mandate`] says what a party's keys
//! may sign without asking.

pub mod access;
pub mod contract_file;
pub mod deal;
#[cfg(test)]
mod fixtures;
pub mod letter;
pub mod mandate;
pub mod offer;
pub mod order;
pub mod plan;
pub mod proposal;
pub mod purchase;
pub mod right;
pub mod swap;
pub mod terms;
pub mod trade;
pub mod words;

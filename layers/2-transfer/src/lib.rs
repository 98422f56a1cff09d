//! Layer 2 of Semper: transfer. Something for nothing, with evidence but without fairness.
//!
//! ```text
//!    apps        semper (node, CLI, third parties) · semper-vault
//!    4 commerce  terms of business, deals
//!    3 exchange  fair exchange, arbiter, evidence
//!  ▸ 2 transfer  statements, certificates, payments; containers
//!    1 support   ports: cryptography, archive, channel, approval
//!    0 core      parties, amounts, ids, documents, containers, encoding, the Machine contract
//! ```
//!
//! [`tx`] sends a container from one party to another, signed by its sender and acknowledged by its receiver if its attributes ask
//! for it. [`payment`] is the payment block, [`credential`] the block of issued statements that give their holder a right; the other
//! blocks of the papers get a folder each beside them when they come.

pub mod credential;
pub mod payment;
pub mod tx;

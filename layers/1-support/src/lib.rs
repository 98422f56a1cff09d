//! Layer 1 of Semper: the ports and policies of the supporting services.
//!
//! ```text
//!    apps        semper (node, CLI, third parties) · semper-vault
//!    4 commerce  terms of business, deals
//!    3 exchange  fair exchange, arbiter, evidence
//!    2 transfer  statements, certificates, payments; containers
//!  ▸ 1 support   ports: cryptography, archive, channel, approval
//!    0 core      parties, amounts, ids, documents, containers, encoding, the Machine contract
//! ```
//!
//! A port is a trait here and modules in `modules/`: [`crypto`] (`modules/crypto`), [`archive`] (`modules/store`), [`channel`]
//! (`modules/channel`), [`stamp`] (`modules/trust`), [`submission`] (joined in `apps/semper`). [`approval`] is the way to the user and to the secret keys. [`runner`] is the order in which a driver
//! stores and acts. Nothing here does I/O itself.

pub mod approval;
pub mod archive;
pub mod channel;
pub mod crypto;
pub mod engine;
pub mod flaws;
pub mod runner;
pub mod stamp;
pub mod submission;

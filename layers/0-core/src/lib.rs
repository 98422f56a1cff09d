//! Layer 0 of Semper: what everything else is made of.
//!
//! ```text
//!    apps        semper (node, CLI, third parties) · semper-vault
//!    4 commerce  terms of business, deals
//!    3 exchange  fair exchange, arbiter, evidence
//!    2 transfer  statements, certificates, payments; containers
//!    1 support   ports: cryptography, archive, channel, approval
//!  ▸ 0 core      parties, amounts, ids, documents, containers, encoding, the Machine contract
//! ```
//!
//! Nothing here does I/O, reads a clock or draws a random number. Start reading at [`cbor`] (the one encoding), then [`cose`] (the
//! one form of a signed statement), [`template`] and [`document`] (what is signed is what was shown), [`contract`] (what two
//! parties agree on) and [`machine`] (how protocol roles run).
//!
//! ```
//! use semper_core::amount::Amount;
//! use semper_core::cbor::{Decode, Encode};
//!
//! let price = Amount::parse("12.00 EUR").unwrap();
//! let bytes = price.to_bytes();
//! assert_eq!(Amount::from_bytes(&bytes).unwrap(), price);
//! // The same amount in another, longer encoding is refused: there is only one.
//! assert!(Amount::from_bytes(&[0xa2, 0x00, 0x1a, 0, 0, 0x04, 0xb0, 0x01, 0x63, b'E', b'U', b'R']).is_err());
//! ```

pub mod amount;
pub mod cbor;
pub mod container;
pub mod contract;
pub mod cose;
pub mod document;
pub mod domain;
pub mod hash;
pub mod ids;
pub mod imprint;
pub mod machine;
pub mod merkle;
pub mod party;
pub mod signature;
pub mod template;
pub mod text;
pub mod time;

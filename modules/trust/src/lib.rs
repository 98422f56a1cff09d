//! Module: who is who. Certificates that link a name to a key set, and the contact cards that parties give to each other.
//!
//! Inside the protocols a party is its key set and nothing else. This module answers the question that a person asks: *whose* key
//! set is that? A contact card is what the party itself says, a certificate is what an authority says about it. It must never
//! report a name that no trusted authority vouches for, and never a name for another key set than the one that was asked about.
//!
//! Start reading at [`card`], then [`request`] and [`authority`] (how a certificate comes into being), then [`path`] (how it is
//! checked). [`timestamp`] is about when something was said, not who said it.
//!
//! Source: `spec/certificates.md`, `spec/timestamp.md`.

pub mod armour;
pub mod authority;
pub mod card;
mod key;
mod name;
pub mod path;
pub mod register;
pub mod request;
pub mod timestamp;

pub use key::{CertificateKey, KeyError, KeyType};
pub use name::{NAME_CHARS_MAX, NameError, key_set_uri};

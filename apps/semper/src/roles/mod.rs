//! Third parties: roles of the same binary.

pub mod admit;
pub mod arbiter;
pub mod bank;
pub mod ca;
pub mod guarantor;
pub mod issuer;
pub mod mint;
pub mod tsa;

//! Third parties: roles of the same binary.

pub mod arbiter;
pub mod ca;
pub mod mint;

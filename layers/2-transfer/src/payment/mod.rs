//! The payment block: one interface to every payment system.
//!
//! ```text
//!            applications, engines
//!                     │  Task                    ▲ Outcome / Failure
//!   negotiation ── manager ── journal (intent → result, in the archive)
//!                     │  Event                   ▲ Step
//!          modules: ecash, account, …        Ask │ answer
//!                     └──────────────────────────┴── issuers: mints, banks
//! ```
//! An application names *what* it wants ([`operation::Task`]); which means of payment does it is negotiated from what both sides
//! have and prefer ([`negotiation`]) and what each means can promise ([`means`]). A payment system is a [`Module`]; every
//! one passes the kit `contract` (feature of the same name).
//!
//! Start reading at [`module`]. Source: `spec/payment.md`; DESIGN §7; the generic payment service of SEMPER.

pub mod claim;
#[cfg(feature = "contract")]
pub mod contract;
pub mod journal;
pub mod means;
pub mod module;
pub mod negotiation;
pub mod operation;
pub mod pay;
pub mod statement;

pub use module::Module;

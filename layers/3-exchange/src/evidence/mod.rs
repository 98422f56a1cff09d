//! Evidence: what a party keeps, and what a stranger concludes from it.
//!
//! [`Folder`] is the file; [`verify`] is a pure function from a folder to a [`Report`]: what happened, who signed what, what is
//! proven, what is missing. It needs no network and trusts nothing in the folder but signatures. Whose key a key set is, is another
//! question: it is answered by certificates (`modules/trust`) or by knowing the key.
//!
//! Source: `spec/evidence.md` (design/exchange.md §2).

mod cover;
mod fact;
mod folder;
mod many;
mod notice;
mod report;
mod right;
mod submission;
mod verify;

pub use fact::{Dated, Fact, Source, Subject, What};
pub use folder::{Folder, ITEMS_MAX, Item};
pub use report::{
    Contract, Enclosed, Finding, HandedIn, PassedOn, Payment, Receipt, Report, Shown, Stamped, Standing, Told, Transfer,
};
pub use verify::{Checks, examine, verify};

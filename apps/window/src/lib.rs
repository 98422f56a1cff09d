//! The approval window: the user's side of the vault as pages in the user's browser.
//!
//! It is a process of its own. It speaks to the vault over the user's socket, as `semper approve` does, and holds no key: a fault in what reads
//! HTTP gives nobody one. The vault renders what is signed, and takes an answer only with the hash of that text.
//!
//! What keeps others out of it:
//! - a loopback port, a host name that is made anew at every start, a session from a link that opens once ([`semper_pages::doors`]);
//! - its user opens it: nothing that others can do opens it, and what is asked waits with the vault until the user looks;
//! - every page shows the user's own picture and phrase (`us`), which no page of somebody else can get;
//! - an answer is taken only from a page that was served a second ago or longer (`arming`).
//!
//! ```text
//!   process   what runs, and what it gives up        link      how the user's commands get a link
//!   window    routes, and what all pages share       keys      the passphrase
//!   answer    one question and its answer            history   the vault's log
//!   us        picture and phrase                     picture   how a picture is drawn
//! ```

mod answer;
mod arming;
mod history;
mod keys;
pub mod link;
mod picture;
pub mod process;
mod us;
mod window;

/// The window's own directory, in the vault's.
pub const DIR: &str = "window";

//! Module of the channel port ([`semper_support::channel`]): sealed messages over HTTP(S).
//!
//! - [`inbox()`]: takes sealed messages, hands them to the node and answers with a signed receipt.
//! - [`HttpPost`]: seals, sends, checks the receipt.
//! - [`Relay`] and [`RelayInbox`]: a mailbox for a party that has no address, and the party's side of it.
//! - [`Server`]: a router on a socket, plain or TLS.
//! - [`Throttle`]: how often an address may ask, for any router.
//! - [`backoff`]: how long to wait before trying again.
//!
//! Nothing here decides what a message means, and nothing here reads a clock or draws a random number of its own: both are handed
//! in. A message is opened in memory only; what must last is stored by the node behind [`Inbox`](semper_support::channel::Inbox)
//! before a receipt is signed.
//!
//! Start reading at `envelope.rs` (what travels), then `inbox.rs` and `post.rs`.
//!
//! Source: DESIGN §5 and §12, `spec/channel.md`.

use std::sync::Arc;

use semper_core::time::Time;

pub mod backoff;
mod client;
mod envelope;
mod inbox;
mod intake;
mod post;
mod problem;
mod rate;
mod relay;
mod reply;
mod server;
mod service;

pub use client::ClientOptions;
pub use envelope::{ANSWER_TYPE, SEALED_TYPE, SealedAgain};
pub use inbox::{InboxIdentity, inbox};
pub use intake::Limits;
pub use post::HttpPost;
pub use problem::{PROBLEM_TYPE, ProblemKind};
pub use rate::{Rate, Rates, Scope, Throttle, TooMany};
pub use relay::{
    Admission, MAIL_TYPE, MAILBOX_REQUEST_TYPE, MailboxRequest, Polled, Quota, Relay, RelayInbox, SignedRequest,
    mailbox_url,
};
pub use reply::ReplySecret;
pub use server::{ServeError, Server, ServerOptions, Transport};
pub use service::{ServiceAnswer, ServiceClient};

/// Where the time comes from: the system's clock in production, a hand-set one in tests.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

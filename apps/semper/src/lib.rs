//! Semper: fair deals between parties who do not trust each other, with proof that a stranger can check.
//!
//! ```text
//!   apps        this crate: a party's node, its command line, every third party as a role
//!   4 commerce  what a deal is: plans, offers, proposals, the deal machine
//!   3 exchange  both or neither: engines, the arbiter's rules, goods, evidence
//!   2 transfer  something for nothing: delivery, payments
//!   1 support   ports: cryptography, archive, channel, approval
//!   0 core      encoding, signed statements, templates, contracts, the Machine contract
//! ```
//! A program that makes deals needs three things of this crate: a data directory ([`home`]), what runs on it ([`party`]), and a connection to
//! that ([`control`]), which is the same whether it runs in this process or in another of the same user. What a seller and a buyer do
//! before they give an order to their node is in [`sale`].
//!
//! ```
//! use semper::home::{Config, Home, Role};
//! use semper::party::{self, Running};
//!
//! # async fn run() -> anyhow::Result<()> {
//! let dir = tempfile::tempdir()?;
//! let (home, passphrase) = (Home::at(Some(dir.path().join("alice")))?, b"only for an example");
//! let config = Config::new("Alice".to_owned(), Role::Party, "127.0.0.1:0".parse()?, None, None);
//! party::create(&home, config, passphrase)?;
//!
//! let alice = Running::start(&home, passphrase, None, true).await?;
//! println!("{}", home.card()?); // What Alice gives to those she deals with.
//! assert!(alice.client()?.deals().await?.is_empty());
//! alice.stop().await;
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
//! ```
//! A whole purchase and the signing of a contract are in `examples/`.

#![expect(unreachable_pub, reason = "`pub` marks what other rooms of the house use")]

pub mod backup;
pub mod bench;
pub mod control;
mod covers;
mod credentials;
mod desk;
pub mod home;
mod node;
mod notices;
mod orders;
pub mod party;
pub mod roles;
pub mod sale;
pub mod secrets;
mod shop;
pub mod stamp;
mod submission;
mod trade;
pub mod vault;
mod wallet;

pub use node::now;
pub use semper_vault::policy;

// The seeded mistakes of the model checks must never be in a binary.
const _: () = assert!(!semper_support::flaws::COMPILED_IN, "build semper without the feature `flaws`");

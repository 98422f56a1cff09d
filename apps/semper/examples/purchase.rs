//! Bob sells a file to Alice, whom he does not know. Both, an arbiter and a mint run in this process, each on a data directory and a port
//! of its own; in life they run on different machines, and nothing below changes but the addresses.
//!
//! `cargo run -p semper --example purchase`

use std::path::Path;

use anyhow::{Context, Result, ensure};
use semper::control::{ContactOrder, OfferOrder, PurseOrder, TaskOrder};
use semper::home::{Config, Home, Role};
use semper::party::{self, Running};
use semper::policy::Policy;
use semper::sale::{self, Found};

const PASSPHRASE: &[u8] = b"only for an example";

/// Makes a data directory and starts what it is for.
async fn start(dir: &Path, name: &str, role: Role, policy: Option<Policy>) -> Result<(Home, Running)> {
    let home = Home::at(Some(dir.join(name)))?;
    let mut config = Config::new(name.to_owned(), role, "127.0.0.1:0".parse()?, None, None);
    if let Some(mint) = &mut config.mint {
        mint.test_money = true; // It asks nobody for euros before it issues coins.
    }
    party::create(&home, config, PASSPHRASE)?;
    let running = Running::start(&home, PASSPHRASE, policy, true).await?;
    Ok((home, running))
}

#[tokio::main]
async fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // What Bob signs without a question: his offers. What follows from an offer he signs anyway. Alice is asked for everything.
    let rules = Policy::parse("[[allow]]\nwhat = \"offer\"")?;
    let (arbiter_home, arbiter) = start(dir.path(), "Carol", Role::Arbiter, None).await?;
    let (mint_home, mint) = start(dir.path(), "Mint", Role::Mint, None).await?;
    let (bob_home, bob) = start(dir.path(), "Bob", Role::Party, Some(rules)).await?;
    let (alice_home, alice) = start(dir.path(), "Alice", Role::Party, None).await?;

    // Both accept Carol, and have a purse at the mint. Alice has twenty euros in hers.
    let mint_url = mint_home.config()?.base_url();
    for party in [&alice, &bob] {
        let card = arbiter_home.card()?;
        let (system, issuer, currency) = ("ecash".to_owned(), mint_url.clone(), "EUR".to_owned());
        let purse = PurseOrder { system, issuer, currency };
        party.client()?.add_contact(&ContactOrder { card, name: String::new(), arbiter: true }).await?;
        party.client()?.open_purse(&purse).await?;
    }
    let (alice, bob) = ((alice.client()?, alice), (bob.client()?, bob));
    let (amount, method) = ("20.00 EUR".to_owned(), "bolt11".to_owned());
    let withdrawn = alice.0.begin(&TaskOrder::Withdraw { amount, purse: String::new(), method }).await?;
    alice.0.operation_ended(&withdrawn.operation).await?;

    // Bob offers a file; the link goes to whoever wants to buy.
    let file = dir.path().join("data.csv");
    std::fs::write(&file, "day,celsius\n".repeat(10_000))?;
    let goods = sale::prepare(&bob_home, &file, "data.csv", "all measurements", |_| {}).await?;
    let offer = bob.0.sell(&OfferOrder { price: "12.00 EUR".to_owned(), ..goods }).await?;
    let link = sale::link(&bob_home.config()?.base_url(), &offer.id);

    // Alice fetches the ciphertext, orders, reads the contract, signs it; then she has the file, and Bob the money.
    let found = Found::at(&alice_home, &link).await?;
    found.fetch(|_| {}).await?;
    let bought = dir.path().join("bought.csv");
    let deal = alice.0.buy(&found.order(&bought)?).await?.deal;
    let question = alice.0.question(&deal).await?.context("the purchase ended without a question")?;
    println!("{}", question.text);
    alice.0.answer(&question.id, &question.answered(true)).await?;
    let ended = alice.0.ended(&deal).await?;
    ensure!(ended.ending.as_deref() == Some("success"), "it ended as {ended:?}");
    ensure!(std::fs::read(&bought)? == std::fs::read(&file)?, "another file arrived");
    bob.0.ended(&deal).await?;
    println!("Alice has {}, Bob has {}.", bought.display(), bob.0.purses().await?[0].available);
    for running in [alice.1, bob.1, arbiter, mint] {
        running.stop().await;
    }
    Ok(())
}

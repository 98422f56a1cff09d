//! Alice and Bob sign a contract over a file. The arbiter, whom both accept, hears nothing of it unless one of them goes silent. All run in
//! this process, each on a data directory and a port of its own.
//!
//! `cargo run -p semper --example contract`

use std::path::Path;

use anyhow::{Context, Result, ensure};
use semper::control::{ContactOrder, FileOrder, SignOrder};
use semper::home::{Config, Home, Role};
use semper::party::{self, Running};

const PASSPHRASE: &[u8] = b"only for an example";

/// Makes a data directory and starts what it is for. Gives the contact card, too.
async fn start(dir: &Path, name: &str, role: Role) -> Result<(Running, String)> {
    let home = Home::at(Some(dir.join(name)))?;
    party::create(&home, Config::new(name.to_owned(), role, "127.0.0.1:0".parse()?, None, None), PASSPHRASE)?;
    Ok((Running::start(&home, PASSPHRASE, None, true).await?, home.card()?))
}

#[tokio::main]
async fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (carol, carols_card) = start(dir.path(), "Carol", Role::Arbiter).await?;
    let (alice, alices_card) = start(dir.path(), "Alice", Role::Party).await?;
    let (bob, bobs_card) = start(dir.path(), "Bob", Role::Party).await?;
    let (alices, bobs) = (alice.client()?, bob.client()?);
    for (client, other) in [(&alices, bobs_card), (&bobs, alices_card)] {
        client.add_contact(&ContactOrder { card: other, name: String::new(), arbiter: false }).await?;
        client.add_contact(&ContactOrder { card: carols_card.clone(), name: String::new(), arbiter: true }).await?;
    }

    let file = FileOrder::new("bicycle.txt", "text/plain", b"Alice sells Bob one bicycle, blue, used, for 120.00 EUR.");
    let deal = alices.sign(&SignOrder::new("Bob", vec![file])).await?.deal;
    // Each reads the same text and answers. What else has to be signed follows from that answer.
    for client in [&alices, &bobs] {
        // To Bob the proposal is still on its way.
        let mut changes = None;
        while client.deals().await?.is_empty() {
            changes = Some(client.changes(changes).await?);
        }
        let question = client.question(&deal).await?.context("nobody was asked")?;
        println!("{}", question.text);
        client.answer(&question.id, &question.answered(true)).await?;
    }
    for client in [&alices, &bobs] {
        ensure!(client.ended(&deal).await?.ending.as_deref() == Some("success"), "not signed");
    }
    // What Alice can show to anybody: `semper verify` checks it without keys and without a network.
    println!("Signed. Alice's proof has {} bytes.", alices.folder(&deal).await?.len());
    for running in [alice, bob, carol] {
        running.stop().await;
    }
    Ok(())
}

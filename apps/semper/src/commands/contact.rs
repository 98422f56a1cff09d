//! The contact book.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;

use super::Common;
use crate::control::{ContactOrder, ContactView};
use crate::party;

/// The contact book.
#[derive(Debug, Subcommand)]
pub(super) enum Contact {
    /// Add somebody by their contact card
    Add {
        /// The card's file; `-` for standard input
        card: PathBuf,
        /// What to call them [default: what they call themselves]
        #[arg(long)]
        name: Option<String>,
        /// Accept them as an arbiter
        #[arg(long)]
        arbiter: bool,
    },
    /// Everybody
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove somebody
    Remove {
        /// What you call them
        name: String,
    },
    /// Print your own card, to be given to others
    Card,
}

impl Contact {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let home = common.home()?;
        if let Contact::Card = self {
            print!("{}", home.card()?);
            return Ok(());
        }
        let session = party::connect(home, common.passphrase_file.as_deref(), false).await?;
        let client = session.client();
        match self {
            Contact::Add { card, name, arbiter } => {
                let order = ContactOrder { card: read(&card)?, name: name.unwrap_or_default(), arbiter };
                let contact = client.add_contact(&order).await?;
                println!("Added {}.", contact.name);
                println!("Compare the fingerprint with them, by voice or in person:\n  {}", contact.fingerprint);
            }
            Contact::List { json } => list(&client.contacts().await?, json)?,
            Contact::Remove { name } => {
                client.remove_contact(&name).await?;
                println!("Removed {name}. Deals with them stay.");
            }
            Contact::Card => {}
        }
        Ok(())
    }
}

fn read(path: &std::path::Path) -> Result<String> {
    let mut text = String::new();
    let limit = 256 * 1024;
    if path.as_os_str() == "-" {
        std::io::stdin().take(limit).read_to_string(&mut text)?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read the card {}", path.display()))?;
        file.take(limit)
            .read_to_string(&mut text)
            .with_context(|| format!("{} is not a contact card", path.display()))?;
    }
    Ok(text)
}

fn list(contacts: &[ContactView], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(contacts)?);
        return Ok(());
    }
    if contacts.is_empty() {
        println!("The contact book is empty. Add somebody with `semper contact add CARD`.");
    }
    for contact in contacts {
        let arbiter = if contact.arbiter { "  [accepted as arbiter]" } else { "" };
        println!("{}{arbiter}", contact.name);
        println!("  key          {}", contact.key_set);
        println!("  fingerprint  {}", contact.fingerprint);
        println!("  inbox        {}", contact.inbox.as_deref().unwrap_or("none"));
    }
    Ok(())
}

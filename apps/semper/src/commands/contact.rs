//! The contact book.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;

use semper_crypto::Verifier;
use semper_trust::card::ContactCard;

use super::trust::Trusted;
use super::{Common, session};
use crate::control::{AcceptOrder, ContactOrder, ContactView};
use crate::now;

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
        #[command(flatten)]
        trusted: Trusted,
    },
    /// Everybody
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Accept somebody as an arbiter, or no longer
    Arbiter {
        /// What you call them
        name: String,
        /// No longer: nothing new is signed under them; contracts that name them go on
        #[arg(long)]
        no_longer: bool,
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
        let session = session::connect(home, common.passphrase_file.as_deref(), false).await?;
        let client = session.client();
        match self {
            Contact::Add { card, name, arbiter, trusted } => {
                let card = read(&card)?;
                let vouched = vouched_for(&trusted, &card)?;
                let order = ContactOrder { card, name: name.unwrap_or_default(), arbiter };
                let contact = client.add_contact(&order).await?;
                println!("Added {}.", contact.name);
                println!("{vouched}");
                println!("Compare the fingerprint with them, by voice or in person:\n  {}", contact.fingerprint);
            }
            Contact::List { json } => list(&client.contacts().await?, json)?,
            Contact::Arbiter { name, no_longer } => {
                let contact = client.accept(&name, AcceptOrder { arbiter: !no_longer }).await?;
                let now = if contact.arbiter { "accepted as an arbiter" } else { "no longer accepted as an arbiter" };
                println!("{} is {now}.", contact.name);
            }
            Contact::Remove { name } => {
                client.remove_contact(&name).await?;
                println!("Removed {name}. Deals with them stay.");
            }
            Contact::Card => {}
        }
        session.end().await
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

/// Who vouches for the name on a card, in words.
///
/// # Errors
/// An authority was named that does not vouch for it: then the contact is not added.
fn vouched_for(trusted: &Trusted, card: &str) -> Result<String> {
    let Some(trust) = trusted.read()? else {
        return Ok("Nobody vouches for the name: it is what they call themselves.".to_owned());
    };
    let card = ContactCard::verify_text(card, &Verifier)?;
    let certified = card.statement().certified(&trust, now()).context("the name on the card is not certified")?;
    let issuers = certified.issuers().join(", ");
    Ok(format!("{issuers} certifies that this key belongs to {}, until {}.", certified.name(), certified.valid_until()))
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

//! Making a data directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use data_encoding::HEXLOWER;
use semper_core::cbor::Encode as _;
use semper_crypto::Verifier;
use semper_trust::card::ContactCard;

use super::{Common, ask};
use crate::home::{Config, Home, Role};
use crate::party;

/// Make a data directory with fresh keys.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// What you call yourself; others see it on your card
    #[arg(long)]
    name: String,
    /// What the directory is for; or several third parties with commas between them, each in a directory of its name inside it
    #[arg(long, value_enum, default_value = "party", value_delimiter = ',')]
    role: Vec<Role>,
    /// Where the inbox listens; port 0 takes a free port and keeps it
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The address under which others reach you, if it is another one (behind a proxy, with a domain name)
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// The address of a relay's mailboxes, if others cannot reach you at all
    #[arg(long, value_name = "URL")]
    relay: Option<String>,
    /// That relay's contact card: with it, others can prove that they have handed something in for you
    #[arg(long, value_name = "FILE", requires = "relay")]
    relay_card: Option<PathBuf>,
}

impl Init {
    pub(super) fn run(self, common: &Common) -> Result<()> {
        if self.name.trim().is_empty() || self.name.len() > 200 {
            bail!("a name has 1 to 200 bytes");
        }
        let homes = common.homes(&self.role)?;
        for home in &homes {
            if home.config().is_ok() {
                bail!("{} is in use already; choose another directory with --dir", home.dir().display());
            }
        }
        let passphrase = ask::passphrase(common.passphrase_file.as_deref(), true)?;
        for (role, home) in self.role.iter().zip(&homes) {
            self.make(*role, home, &passphrase)?;
        }
        println!("There is no way to recover a lost passphrase: keep it, and keep a copy of the directory.");
        Ok(())
    }

    fn make(&self, role: Role, home: &Home, passphrase: &[u8]) -> Result<()> {
        let mut config = Config::new(self.name.clone(), role, self.listen, self.address.clone(), self.relay.clone());
        config.relay_keys = self.relay_card.as_deref().map(relay_keys).transpose()?;
        let key_set = party::create(home, config, passphrase)?;
        println!("Made {} for {} ({}).", home.dir().display(), self.name, role.name());
        println!("Your key: {key_set}");
        println!("Your card: {}. Give it to those you deal with.", home.card_path().display());
        Ok(())
    }
}

/// The keys of a relay's receipts, as its card names them.
fn relay_keys(card: &Path) -> Result<String> {
    let text = std::fs::read_to_string(card).with_context(|| format!("cannot read {}", card.display()))?;
    let card = ContactCard::verify_text(&text, &Verifier)?;
    Ok(HEXLOWER.encode(&card.statement().transport.to_bytes()))
}

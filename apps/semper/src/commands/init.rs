//! Making a data directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use data_encoding::HEXLOWER;
use semper_core::cbor::Encode as _;
use semper_crypto::Verifier;
use semper_trust::card::ContactCard;
use semper_vault::keys::Token;

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
    /// Make the keys on a security token: the path of its PKCS #11 module. Its PIN is then the passphrase
    #[arg(long, value_name = "MODULE", requires = "token_label")]
    token: Option<PathBuf>,
    /// The label of that token
    #[arg(long, value_name = "LABEL", requires = "token")]
    token_label: Option<String>,
    /// A file or directory that the module must reach while the vault runs, such as where SoftHSM keeps its tokens; may be given again
    #[arg(long, value_name = "PATH", requires = "token")]
    token_needs: Vec<PathBuf>,
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
        if self.token.is_some() && self.role != [Role::Party] {
            bail!("only the keys of a party are on a token; nothing was made");
        }
        let passphrase = match &self.token_label {
            None => ask::passphrase(common.passphrase_file.as_deref(), true)?,
            Some(label) => ask::pin(common.passphrase_file.as_deref(), label)?,
        };
        for (role, home) in self.role.iter().zip(&homes) {
            self.make(*role, home, &passphrase)?;
        }
        match &self.token_label {
            None => {
                println!("There is no way to recover a lost passphrase: keep it.");
                if self.role == [Role::Party] {
                    println!("Keep what this machine could lose, too: `semper backup FILE`, now and then.");
                } else {
                    println!("Keep a copy of the directory, made while nothing runs.");
                }
            }
            Some(label) => {
                println!("The keys are on the token {label:?} and cannot be copied; its PIN is the passphrase.");
                println!(
                    "What was signed stays good without it, but nothing more is signed, and nothing that is sealed for you opens."
                );
                println!("E-cash needs its words then: `semper wallet backup`.");
            }
        }
        Ok(())
    }

    fn make(&self, role: Role, home: &Home, passphrase: &[u8]) -> Result<()> {
        let mut config = Config::new(self.name.clone(), role, self.listen, self.address.clone(), self.relay.clone());
        config.relay_keys = self.relay_card.as_deref().map(relay_keys).transpose()?;
        let key_set = match self.token()? {
            None => party::create(home, config, passphrase)?,
            Some(token) => party::create_on_token(home, config, token, passphrase)?,
        };
        println!("Made {} for {} ({}).", home.dir().display(), self.name, role.name());
        println!("Your key: {key_set}");
        println!("Your card: {}. Give it to those you deal with.", home.card_path().display());
        Ok(())
    }

    fn token(&self) -> Result<Option<Token>> {
        let (Some(module), Some(label)) = (&self.token, &self.token_label) else { return Ok(None) };
        // The vault is started from anywhere.
        let whole = |path: &PathBuf| path.canonicalize().with_context(|| format!("there is no {}", path.display()));
        let needs = self.token_needs.iter().map(whole).collect::<Result<_>>()?;
        Ok(Some(Token { module: whole(module)?, needs, label: label.clone() }))
    }
}

/// The keys of a relay's receipts, as its card names them.
fn relay_keys(card: &Path) -> Result<String> {
    let text = std::fs::read_to_string(card).with_context(|| format!("cannot read {}", card.display()))?;
    let card = ContactCard::verify_text(&text, &Verifier)?;
    Ok(HEXLOWER.encode(&card.statement().transport.to_bytes()))
}

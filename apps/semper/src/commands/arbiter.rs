//! What the operator of an arbiter sees of the money in its hands, and its purses.

use anyhow::Result;
use clap::Subcommand;
use semper_core::time::Time;

use super::serve::operator;
use super::{Common, wallet};
use crate::control::client::Client;
use crate::control::{PurseOrder, PurseView};
use crate::home::Role;
use crate::roles::arbiter::owes::{HandsPage, HandsView, MoneyView, PartyView};

/// How an arbiter comes to take money into its hands.
const HOW: &str = "\
An arbiter takes money into its hands if semper.toml says so:

  [arbiter]
  in_line = true
  issuers = [\"https://bank.example\"]     the banks at which it does; any if none is named

Its card then says so too: it writes a new one when it starts, and whoever has the old one needs the new one. A purse at each bank opens by itself
when a contract names the bank; `semper arbiter open` opens it before. A bank that opens accounts for certified names only wants a certificate
first (`semper certify`). What a bank takes for a payment the arbiter pays itself: pay some money into its account, at the address that
`semper arbiter purses` shows. It pays by itself, also after a crash. What an issuer has refused is paid again when its payee asks; what is
`owed` for long, and what is said to need you, look after.";

/// What the operator of an arbiter does, through whose hands money goes.
#[derive(Debug, Subcommand)]
#[command(after_help = HOW)]
pub(super) enum Arbiter {
    /// Money in the arbiter's hands, from whom, and what it owes to whom; what is paid is not listed
    Owes {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Its purses: what they hold, and where the money for what issuers charge is paid in
    Purses {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Open a purse at a bank, before parties need it: the bank may want a certificate first (`semper certify`)
    Open {
        /// The address of the bank
        issuer: String,
        /// The payment system
        #[arg(long, default_value = "account")]
        system: String,
        /// The currency
        #[arg(long, default_value = "EUR")]
        currency: String,
    },
}

impl Arbiter {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let client = operator(common, Role::Arbiter).await?;
        match self {
            Self::Owes { json } => owes(&client, json).await,
            Self::Purses { json } => wallet::balance(&client.get::<Vec<PurseView>>("/arbiter/purses").await?, json),
            Self::Open { issuer, system, currency } => {
                client.post::<()>("/arbiter/purses", &PurseOrder { system, issuer, currency }).await?;
                println!("Open. `semper arbiter purses` shows where money for it comes in.");
                Ok(())
            }
        }
    }
}

async fn owes(client: &Client, json: bool) -> Result<()> {
    let mut contracts = Vec::new();
    let mut path = "/arbiter/hands".to_owned();
    loop {
        let page: HandsPage = client.get(&path).await?;
        contracts.extend(page.contracts);
        match page.next {
            Some(next) => path = format!("/arbiter/hands?after={next}"),
            None => break,
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&contracts)?);
        return Ok(());
    }
    if contracts.is_empty() {
        println!("Nothing is in the arbiter's hands, and it owes nothing.");
    }
    contracts.iter().for_each(show);
    Ok(())
}

fn show(contract: &HandsView) {
    let HandsView { cid, closes, outcome, parties } = contract;
    println!("{cid}  {outcome}, closes on {}", Time::from_unix(*closes));
    for PartyView { role, holds, owes, payment, stuck } in parties {
        let detail = if payment.is_empty() { String::new() } else { format!(" ({payment})") };
        for (word, money) in [("has from", holds), ("owes", owes)] {
            if let Some(MoneyView { amount, issuer }) = money {
                println!("  {word} {role}: {amount} at {issuer}{detail}");
            }
        }
        if *stuck {
            println!(
                "  look at the account at this bank yourself: nothing is paid again before it is known what became of this payment"
            );
        }
    }
}

//! What the operator of a guarantor does.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use semper_core::cbor::Decode as _;
use semper_core::time::Time;
use semper_exchange::cover::Submission;
use semper_exchange::cover::statement::FILE_MAX;
use semper_trust::armour;
use serde::Serialize;

use super::Common;
use super::credential::read;
use super::serve::operator;
use crate::control::client::Client;
use crate::home::Role;
use crate::roles::guarantor::{AccountView, BookingOrder, CoverView};

/// How a guarantor works.
const HOW: &str = "\
A guarantor answers requests, releases and claims by itself. What it owes to claimants `semper guarantor owes` lists; pay it by whatever means, and book it with
`semper guarantor paid`. How long a customer has to answer a claim stands in semper.toml, in seconds, and in every cover:

  [guarantor]
  answer = 1209600";

/// What the operator of a guarantor does.
#[derive(Debug, Subcommand)]
#[command(after_help = HOW)]
pub(super) enum Guarantor {
    /// Take the liability agreement that a customer has signed: from now on it can ask for covers
    Accept {
        /// Its file; `-` for standard input
        file: PathBuf,
        /// The customer's key, as you have it from the customer: an agreement with another key is not taken
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// The customers: limits, what is reserved, claimed and paid for them, what is left
    Accounts {
        /// As JSON, with the covers
        #[arg(long)]
        json: bool,
    },
    /// Claims that wait for their customer's answer
    Claims {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What is to be paid to claimants, and what customers have to repay
    Owes {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a customer no new cover: it has reported its keys as lost or stolen. What was given stays good
    Revoke {
        /// The beginning of the customer's key
        customer: String,
    },
    /// Book that a claimant was paid
    Paid {
        /// The cover
        cover: String,
    },
    /// Book that a customer has repaid what was paid for it
    Repaid {
        /// The cover
        cover: String,
    },
}

/// A cover, and whose it is.
#[derive(Serialize)]
struct Line<'a> {
    customer: &'a str,
    #[serde(flatten)]
    cover: &'a CoverView,
}

impl Guarantor {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let client = operator(common, Role::Guarantor).await?;
        match self {
            Guarantor::Accept { file, key } => {
                let text = read(&file, FILE_MAX)?;
                if let Some(key) = key {
                    let signer = signer(&text).context("this is not the file of a liability agreement")?;
                    if signer != key {
                        bail!("it is signed by {signer}, not by {key}; nothing was taken");
                    }
                }
                let account: AccountView = client.post("/guarantor/accounts", &text).await?;
                println!("Accepted: {} may be covered with {} at once.", account.customer, account.limit);
            }
            Guarantor::Accounts { json } => accounts(&all(&client).await?, json)?,
            Guarantor::Claims { json } => {
                covers(&all(&client).await?, json, "Nobody has claimed.", |cover| cover.state == "claimed")?;
            }
            Guarantor::Owes { json } => {
                covers(&all(&client).await?, json, "Nothing is owed.", |cover| cover.state == "paid")?;
            }
            Guarantor::Revoke { customer } => {
                let all = all(&client).await?;
                let mut fitting = all.iter().filter(|account| account.customer.starts_with(&customer));
                let (Some(only), None) = (fitting.next(), fitting.next()) else {
                    bail!("no single customer's key begins so; see `semper guarantor accounts`");
                };
                client.post::<AccountView>("/guarantor/revocations", &only.customer).await?;
                println!("No new cover for {}. What was given stays good.", only.customer);
            }
            Guarantor::Paid { cover } => book(&client, cover, false).await?,
            Guarantor::Repaid { cover } => book(&client, cover, true).await?,
        }
        Ok(())
    }
}

async fn all(client: &Client) -> Result<Vec<AccountView>> {
    let mut all: Vec<AccountView> = Vec::new();
    loop {
        let after = all.last().map_or_else(String::new, |last| format!("?after={}", last.customer));
        let page: Vec<AccountView> = client.get(&format!("/guarantor/accounts{after}")).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn accounts(all: &[AccountView], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(all)?);
        return Ok(());
    }
    if all.is_empty() {
        println!("No customers yet. `semper guarantor accept FILE` takes a signed agreement.");
    }
    for account in all {
        let AccountView { customer, limit, reserved, claimed, paid, left, revoked, .. } = account;
        let revoked = revoked.map_or_else(String::new, |since| format!("  revoked {}", Time::from_unix(since)));
        println!("{customer}{revoked}");
        println!("  limit {limit}: reserved {reserved}, claimed {claimed}, paid and not repaid {paid}, left {left}");
    }
    Ok(())
}

/// The covers of all accounts that are `wanted`.
fn covers(all: &[AccountView], json: bool, none: &str, wanted: impl Fn(&CoverView) -> bool) -> Result<()> {
    let of = |account: &AccountView| account.customer.clone();
    let lines: Vec<(String, &CoverView)> =
        all.iter().flat_map(|account| account.covers.iter().map(move |cover| (of(account), cover))).collect();
    let lines: Vec<_> = lines.iter().filter(|(_, cover)| wanted(cover)).collect();
    if json {
        let lines: Vec<_> = lines.iter().map(|(customer, cover)| Line { customer, cover }).collect();
        println!("{}", serde_json::to_string_pretty(&lines)?);
        return Ok(());
    }
    if lines.is_empty() {
        println!("{none}");
    }
    for (customer, cover) in lines {
        let amount = cover.claimed.as_deref().unwrap_or_default();
        let (to, by) = (cover.to.as_deref().unwrap_or_default(), cover.answer_by.map(Time::from_unix));
        println!("{}  {amount} to {to}", cover.cover);
        if let Some(by) = by.filter(|_| cover.state == "claimed") {
            println!("  its customer {customer} has until {by} to answer");
        } else {
            let booked =
                |done: bool, what: &str| if done { format!("{what} was booked") } else { format!("{what} is due") };
            println!("  {}; {} by {customer}", booked(cover.paid_out, "payment"), booked(cover.repaid, "repayment"));
        }
    }
    Ok(())
}

async fn book(client: &Client, cover: String, repaid: bool) -> Result<()> {
    let view: CoverView = client.post("/guarantor/bookings", &BookingOrder { cover, repaid }).await?;
    println!("Booked: {} is {}.", view.cover, view.state);
    Ok(())
}

/// Whose keys have signed an agreement, as its file says.
fn signer(text: &str) -> Result<String> {
    let bytes = armour::decode(armour::LIABILITY_AGREEMENT, text, FILE_MAX)?;
    Ok(Submission::from_bytes(&bytes)?.statement.signer().to_string())
}

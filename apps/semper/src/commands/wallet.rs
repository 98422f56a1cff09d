//! Purses: money at mints and banks.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use semper_transfer::payment::operation::OperationId;
use serde::{Deserialize, Serialize};

use super::{Common, approve, ask, backup, session};
use crate::control::client::Client;
use crate::control::{OperationView, PurseOrder, PurseView, TaskOrder};
use crate::party;

/// Your money: purses at mints (e-cash) and banks (accounts).
#[derive(Debug, Subcommand)]
pub(super) enum Wallet {
    /// What is in your purses
    Balance {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Ask the mints and banks first
        #[arg(long)]
        refresh: bool,
    },
    /// Open a purse at a mint, or an account at a bank
    Add {
        /// The address of the mint or bank
        issuer: String,
        /// An e-cash purse at a mint, or an account at a bank
        #[arg(long, value_parser = ["ecash", "account"])]
        system: String,
        /// The currency
        #[arg(long, default_value = "EUR")]
        currency: String,
    },
    /// Like a purse best: payments use it if the other side can
    Prefer {
        /// The beginning of its identifier, as `semper wallet balance` shows it
        purse: String,
    },
    /// Take money out of your account as e-cash
    Withdraw {
        /// How much, with the currency: "20.00 EUR"
        amount: String,
        /// The e-cash purse [default: the one that you like best]
        #[arg(long, default_value = "")]
        purse: String,
        /// How the mint is paid: from your account, or by a method of a foreign mint such as bolt11
        #[arg(long, default_value = "account")]
        method: String,
    },
    /// Put e-cash into your account
    Deposit {
        /// How much, with the currency
        amount: String,
        /// The e-cash purse [default: the one that you like best]
        #[arg(long, default_value = "")]
        purse: String,
    },
    /// Send money to an address: another account of your bank, an invoice that your mint pays
    Transfer {
        /// How much, with the currency
        amount: String,
        /// The address, as `semper wallet balance` shows it to its owner
        address: String,
        /// The purse [default: the one that you like best]
        #[arg(long, default_value = "")]
        purse: String,
    },
    /// Make a token of e-cash that you can hand to anybody; whoever has it has the money
    Send {
        /// How much, with the currency
        amount: String,
        /// The e-cash purse [default: the one that you like best]
        #[arg(long, default_value = "")]
        purse: String,
    },
    /// Take a token of e-cash that somebody handed to you
    Receive {
        /// The token: cashuB…
        token: String,
        /// The e-cash purse at the same mint [default: the only one]
        #[arg(long, default_value = "")]
        purse: String,
    },
    /// What was done with your purses
    History {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End something that does not go on, as soon as that loses no money
    GiveUp {
        /// The beginning of its identifier, as `semper wallet history` shows it
        operation: String,
    },
    /// Write down the seed words and the list of your purses; whoever reads the file has the e-cash
    Backup {
        /// The file to write
        file: PathBuf,
    },
    /// Find the e-cash of a backup again, in a data directory whose own purses are empty
    Restore {
        /// The file that `semper wallet backup` has written
        file: PathBuf,
    },
}

/// A backup of the wallet.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    /// The seed in words (BIP-39).
    words: String,
    /// The purses.
    purses: Vec<BackedUp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackedUp {
    system: String,
    issuer: String,
    currency: String,
}

impl Wallet {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        if let Wallet::Restore { file } = &self {
            return restore(common, file).await;
        }
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), false).await?;
        let client = session.client();
        let mut code = ExitCode::SUCCESS;
        match self {
            Wallet::Balance { json, refresh } => {
                if refresh {
                    refresh_all(client).await?;
                }
                balance(&client.purses().await?, json)?;
                let standing = client.backup().await?;
                if let (Some(line), false) = (backup::notice(&standing), json) {
                    println!("{line}");
                }
            }
            Wallet::Add { issuer, system, currency } => {
                let order = PurseOrder { system, issuer, currency };
                let operation = client.open_purse(&order).await?.operation;
                code = follow(client, &operation).await?;
                balance(&client.purses().await?, false)?;
            }
            Wallet::Prefer { purse } => client.prefer_purse(&purse).await?,
            Wallet::History { json } => history(&client.operations().await?, json)?,
            Wallet::GiveUp { operation } => {
                let operation = operation_id(client, &operation).await?;
                client.abandon_operation(&operation).await?;
                code = follow(client, &operation).await?;
            }
            Wallet::Backup { file } => write_words(common, client, &file).await?,
            Wallet::Withdraw { amount, purse, method } => {
                code = run(client, TaskOrder::Withdraw { amount, purse, method }).await?;
            }
            Wallet::Deposit { amount, purse } => code = run(client, TaskOrder::Deposit { amount, purse }).await?,
            Wallet::Transfer { amount, address, purse } => {
                code = run(client, TaskOrder::Transfer { amount, purse, address }).await?;
            }
            Wallet::Send { amount, purse } => code = run(client, TaskOrder::Send { amount, purse }).await?,
            Wallet::Receive { token, purse } => code = run(client, TaskOrder::Receive { token, purse }).await?,
            Wallet::Restore { .. } => {}
        }
        session.end().await?;
        Ok(code)
    }
}

async fn run(client: &Client, order: TaskOrder) -> Result<ExitCode> {
    let operation = client.begin(&order).await?.operation;
    follow(client, &operation).await
}

/// Shows how an operation goes on, puts its questions to the user, and says how it ended: the exit code is 0 if well, 2 if not.
async fn follow(client: &Client, id: &str) -> Result<ExitCode> {
    let mut last = String::new();
    // What brings the money that it waits for may be asked about too.
    let funding = OperationId::parse(id).map(|id| id.funding().to_string());
    loop {
        let view = client.wait_operation(id).await?;
        for approval in client.approvals().await? {
            if [Some(id), funding.as_deref()].into_iter().flatten().any(|id| id.starts_with(&approval.deal)) {
                approve::put(client, &approval).await?;
            }
        }
        let line = sentence(&view);
        if line != last && !(last.is_empty() && view.ended && view.handover.is_some()) {
            eprintln!("{line}");
        }
        last = line;
        if view.ended {
            if let Some(token) = &view.handover {
                println!("{token}");
            }
            return Ok(if view.reason.is_none() { ExitCode::SUCCESS } else { ExitCode::from(2) });
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// Where an operation stands, in one sentence.
fn sentence(view: &OperationView) -> String {
    let what = match (&view.reason, &view.moved) {
        (Some(reason), _) => format!("failed: {reason}"),
        (None, Some(_)) if ["refresh", "expect", "prepare"].contains(&view.verb.as_str()) => "done".to_owned(),
        (None, Some(moved)) => match view.fee.as_deref() {
            Some(fee) if !fee.starts_with("0 ") && !fee.starts_with("0.00 ") => format!("{moved}, and {fee} of fees"),
            _ => moved.clone(),
        },
        (None, None) => view.state.clone(),
    };
    let address = view.address.as_ref().map(|address| format!("; pay to {address}")).unwrap_or_default();
    let trouble = view.trouble.as_ref().map(|trouble| format!(" [{trouble}]")).unwrap_or_default();
    format!("{}: {what}{address}{trouble}", view.verb)
}

pub(super) fn balance(purses: &[PurseView], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(purses)?);
        return Ok(());
    }
    if purses.is_empty() {
        println!(
            "No purses yet. Open one with `semper wallet add ADDRESS --system ecash` (a mint) or account (a bank)."
        );
    }
    for purse in purses {
        let unseen = if purse.unseen { "; from a backup: its issuer has not said yet what is in it" } else { "" };
        let pending = if purse.pending.starts_with("0 ") || purse.pending.starts_with("0.00 ") {
            String::new()
        } else {
            format!(" (and {} on the way)", purse.pending)
        };
        println!("{}  {:<8}  {:>14}{pending}{unseen}  {}", &purse.id[..8], purse.system, purse.available, purse.issuer);
        if let Some(address) = &purse.address {
            println!("          money for it comes in at {address}");
        }
    }
    Ok(())
}

fn history(operations: &[OperationView], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(operations)?);
        return Ok(());
    }
    for view in operations {
        let begun = semper_core::time::Time::from_unix(view.begun);
        println!("{}  {begun}  {}  {}", &view.id[..12], &view.purse[..8], sentence(view));
    }
    Ok(())
}

async fn operation_id(client: &Client, start: &str) -> Result<String> {
    let operations = client.operations().await?;
    let mut fitting = operations.into_iter().filter(|view| view.id.starts_with(start));
    match (fitting.next(), fitting.next()) {
        (Some(view), None) => Ok(view.id),
        (None, _) => bail!("nothing begins with {start:?}; see `semper wallet history`"),
        (Some(_), Some(_)) => bail!("more than one begins with {start:?}; give more of its identifier"),
    }
}

async fn refresh_all(client: &Client) -> Result<()> {
    for purse in client.purses().await? {
        run(client, TaskOrder::Refresh { purse: purse.id }).await?;
    }
    Ok(())
}

async fn write_words(common: &Common, client: &Client, file: &std::path::Path) -> Result<()> {
    let home = common.home()?;
    let passphrase = ask::passphrase(common.passphrase_file.as_deref(), false)?;
    let secrets = party::unlock(&home, &passphrase)?;
    let purses = client.purses().await?.into_iter();
    let purses =
        purses.map(|PurseView { system, issuer, currency, .. }| BackedUp { system, issuer, currency }).collect();
    let words = semper_payment::words(&secrets.seed);
    let text = toml::to_string_pretty(&Backup { words: words.to_string(), purses })?;
    crate::home::write_new_private(file, text.as_bytes())?;
    println!("{}: whoever reads this file has the e-cash. Keep it where nobody else does.", file.display());
    Ok(())
}

async fn restore(common: &Common, file: &std::path::Path) -> Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let backup: Backup = toml::from_str(&text).with_context(|| format!("{} is no backup", file.display()))?;
    let seed = semper_payment::seed_of(&backup.words).context("the words are not a seed")?;
    let home = common.home()?;
    if party::running_client(&home).await?.is_some() {
        bail!("stop the node of {} first; nothing was changed", home.dir().display());
    }
    let passphrase = ask::passphrase(common.passphrase_file.as_deref(), false)?;
    let keyring = home.keyring()?;
    // The keys are let go before a node of this command opens them.
    let is_other = *keyring.open(&passphrase)?.seed != *seed;
    if is_other {
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), false).await?;
        let purses = session.client().purses().await?;
        session.end().await?;
        if !purses.is_empty() {
            bail!("this directory has purses of its own seed; restore into a new one. Nothing was changed");
        }
        let mut secrets = keyring.open(&passphrase)?;
        secrets.seed = seed;
        home.set_keys(&keyring.protect(&secrets, &passphrase)?)?;
    }
    let session = session::connect(common.home()?, common.passphrase_file.as_deref(), false).await?;
    let client = session.client();
    let mut code = ExitCode::SUCCESS;
    for BackedUp { system, issuer, currency } in backup.purses {
        println!("{system} at {issuer} in {currency}");
        let order = PurseOrder { system: system.clone(), issuer: issuer.clone(), currency: currency.clone() };
        let opened = client.open_purse(&order).await?.operation;
        code = follow(client, &opened).await?;
        let purses = client.purses().await?;
        let purse =
            purses.iter().find(|purse| purse.system == system && purse.issuer == issuer && purse.currency == currency);
        if let Some(purse) = purse.filter(|purse| purse.system == "ecash") {
            code = run(client, TaskOrder::Restore { purse: purse.id.clone() }).await?;
        }
    }
    balance(&client.purses().await?, false)?;
    session.end().await?;
    Ok(code)
}

//! Paying somebody.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{Common, approve, deals, session};
use crate::control::PayOrder;
use crate::control::client::Client;

/// Pay somebody, by the means that both of you have and like best.
#[derive(Debug, Args)]
#[command(after_help = "Example: semper pay Bob \"5.00 EUR\" --for \"a coffee\" --anonymous")]
pub(super) struct Pay {
    /// The payee, as your contact book calls them
    #[arg(value_name = "CONTACT")]
    to: String,
    /// How much, with the currency: "12.00 EUR"
    amount: String,
    /// What for, in one line; the payee signs it with the request
    #[arg(long = "for", value_name = "TEXT", default_value = "")]
    purpose: String,
    /// Only by means under which nobody but the payee learns who pays
    #[arg(long)]
    anonymous: bool,
    /// How long to wait for each message before the payment is ended, in seconds
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    patience: u64,
    /// Do not wait for the end of the payment
    #[arg(long)]
    no_wait: bool,
    /// Do not ask here: leave the question among the approvals, where a policy or `semper approve` answers it
    #[arg(long)]
    no_ask: bool,
}

impl Pay {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let Self { to, amount, purpose, anonymous, patience, no_wait, no_ask } = self;
        let order = PayOrder { to, amount, purpose, anonymous, patience };
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), !no_wait).await?;
        let deal = session.client().pay(&order).await?.deal;
        println!("Deal {deal}");
        if !no_ask {
            approve_when_asked(session.client(), &deal).await?;
        }
        let code = if no_wait {
            session.remind();
            ExitCode::SUCCESS
        } else {
            deals::finish(session.client(), &deal).await?
        };
        session.end().await?;
        Ok(code)
    }
}

/// Waits for the payee's request, and puts it to the user.
async fn approve_when_asked(client: &Client, deal: &str) -> Result<()> {
    loop {
        let view = client.wait(deal).await?;
        let mut approvals = client.approvals().await?;
        approvals.retain(|approval| approval.deal == deal);
        for approval in &approvals {
            approve::put(client, approval).await?;
        }
        if view.ending.is_some() || !approvals.is_empty() || view.state == "await-receipt" {
            return Ok(());
        }
        println!("{}", deals::sentence(&view));
    }
}

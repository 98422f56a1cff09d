//! Following the deals that a command has begun: their questions are put to the user, their end is waited for.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::session::{self, Session};
use super::{Common, approve, deals};
use crate::control::DealView;
use crate::control::client::Client;

/// How far a command follows what it begins.
#[derive(Debug, Args)]
pub(super) struct Manner {
    /// Do not wait for the end of the deal
    #[arg(long)]
    no_wait: bool,
    /// Do not ask here: leave the question among the approvals, where a policy or `semper approve` answers it
    #[arg(long)]
    no_ask: bool,
}

impl Manner {
    /// Whether questions are put to the user here.
    pub(super) fn asks(&self) -> bool {
        !self.no_ask
    }

    /// Whether the end is waited for.
    pub(super) fn waits(&self) -> bool {
        !self.no_wait
    }

    /// Connects to the node; one of the command's own listens if the end is waited for, or a question that comes with the other party's answer.
    ///
    /// # Errors
    /// As [`session::connect`].
    pub(super) async fn connect(&self, common: &Common) -> Result<Session> {
        session::connect(common.home()?, common.passphrase_file.as_deref(), !(self.no_wait && self.no_ask)).await
    }

    /// Puts the questions of deals that were begun together to the user and waits for their ends, as far as the user wants that. The exit
    /// code is that of the first that did not succeed.
    ///
    /// # Errors
    /// The node does not answer, or the user's answer cannot be read. The deals go on.
    pub(super) async fn follow(&self, session: Session, deals: &[String]) -> Result<ExitCode> {
        for deal in deals {
            println!("Deal {deal}");
        }
        // One answer is enough for all deals over one contract.
        if let Some(first) = deals.first().filter(|_| !self.no_ask) {
            answer(session.client(), first).await?;
        }
        let mut code = ExitCode::SUCCESS;
        if self.no_wait {
            session.remind();
        } else {
            for deal in deals {
                let ended = deals::finish(session.client(), deal).await?;
                code = if code == ExitCode::SUCCESS { ended } else { code };
            }
        }
        session.end().await?;
        Ok(code)
    }
}

/// Puts to the user what a deal asks first.
///
/// # Errors
/// The node does not answer, or the user's answer cannot be read.
pub(super) async fn answer(client: &Client, deal: &str) -> Result<()> {
    loop {
        let view = client.wait(deal).await?;
        let mut approvals = client.approvals().await?;
        approvals.retain(|approval| approval.deal == deal);
        for approval in &approvals {
            approve::put(client, approval).await?;
        }
        if view.ending.is_some() || !approvals.is_empty() || !asks_later(&view) {
            return Ok(());
        }
        println!("{}", deals::sentence(&view));
    }
}

/// Whether a deal that asks nothing now is still to ask. Whoever proposes is asked at once; whoever orders or pays, when the other party has
/// answered.
fn asks_later(view: &DealView) -> bool {
    match view.step.as_str() {
        "order" => true,
        "exchange" => view.waits_for == "us",
        "pay" => view.state != "await-receipt",
        _ => false,
    }
}

//! Answering what waits.

use anyhow::{Result, bail};
use clap::Args;
use semper_core::text::escape;
use semper_vault::wire::Code;

use super::{Common, ask, session};
use crate::control::client::{Client, ClientError};
use crate::control::{AnswerOrder, ApprovalView};

/// List what waits for your answer.
#[derive(Debug, Args)]
pub(super) struct Approvals {
    /// As JSON, with the texts
    #[arg(long)]
    json: bool,
}

/// Read something that waits for your answer, and answer.
#[derive(Debug, Args)]
pub(super) struct Approve {
    /// Which one, as `semper approvals` lists it; the only one if left out
    id: Option<String>,
}

/// Say no to something that waits for your answer.
#[derive(Debug, Args)]
pub(super) struct Decline {
    /// Which one, as `semper approvals` lists it
    id: String,
}

impl Approve {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), false).await?;
        let approval = find(session.client(), self.id.as_deref()).await?;
        put(session.client(), &approval).await?;
        session.remind();
        session.end().await
    }
}

impl Decline {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), false).await?;
        let approval = find(session.client(), Some(&self.id)).await?;
        let order = AnswerOrder { approve: false, seen: String::new() };
        session.client().answer(&approval.id, &order).await?;
        println!("Declined. Nothing was signed.");
        session.end().await
    }
}

impl Approvals {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), false).await?;
        let approvals = session.client().approvals().await?;
        if self.json {
            println!("{:#}", serde_json::to_value(&approvals)?);
        } else if approvals.is_empty() {
            println!("Nothing waits for your answer.");
        } else {
            for approval in approvals {
                println!("{}  {}  (deal {})", &approval.id[..12], approval.title, &approval.deal[..12]);
            }
        }
        session.end().await
    }
}

/// Shows the text and takes a typed answer.
pub(super) async fn put(client: &Client, approval: &ApprovalView) -> Result<()> {
    println!("{}\n", approval.title);
    println!("{}\n", frame(&approval.text));
    if let Some(uncovered) = &approval.uncovered {
        println!("You are asked because");
        println!("{}\n", uncovered.lines().map(|why| format!("  - {}", escape(why, 4))).collect::<Vec<_>>().join("\n"));
    }
    for who in &approval.who {
        let first = if who.met { "" } else { ", for the first time" };
        println!("{}: key {}{first}", who.part, who.words);
    }
    if let Some(words) = &approval.check_words {
        println!("Check words, the same for the other side: {words}");
    }
    // Whoever gives money types how much: a hand that says yes by habit pays nothing.
    let yes = approval.gives.as_deref().unwrap_or("sign");
    let approve = ask::typed(&format!("Type `{yes}` to sign it, `no` to decline: "), yes)?;
    let answer = approval.answered(approve);
    match client.answer(&approval.id, &answer).await {
        // They were away for so long that somebody else may sit there now.
        Err(ClientError::Vault(error)) if error.code() == Some(Code::Idle) => {
            client.vault()?.unlock(&ask::passphrase(None, false)?, None)?;
            client.answer(&approval.id, &answer).await?;
        }
        answered => answered?,
    }
    println!("{}", if approve { "Signed." } else { "Declined. Nothing was signed." });
    Ok(())
}

/// The signed text, set apart from what the program says itself.
fn frame(text: &str) -> String {
    text.lines().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

async fn find(client: &Client, start: Option<&str>) -> Result<ApprovalView> {
    let mut fitting = client.approvals().await?;
    fitting.retain(|approval| start.is_none_or(|start| approval.id.starts_with(start)));
    match (fitting.pop(), fitting.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => bail!("nothing like that waits for your answer; see `semper approvals`"),
        (Some(_), false) => bail!("more than one fits; give more of its name, see `semper approvals`"),
    }
}

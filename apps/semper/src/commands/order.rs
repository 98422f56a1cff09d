//! Beginning a deal.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use semper_core::container::CONTENT_MAX;

use super::{Common, approve, deals, session};
use crate::control::client::Client;
use crate::control::{FileOrder, MailOrder, SignOrder, media_type};

/// Propose a contract over files, and sign it together with one other party or with several, up to seven: all or none.
#[derive(Debug, Args)]
pub(super) struct Sign {
    /// The files to sign: any files, together at most 16 MiB
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Another party, as your contact book calls them; once for each
    #[arg(long, value_name = "CONTACT", required = true)]
    with: Vec<String>,
    /// The arbiter, as your contact book calls them [default: the only one that you accept]
    #[arg(long, value_name = "CONTACT")]
    arbiter: Option<String>,
    /// Terms in words, shown and signed with the files
    #[arg(long, value_name = "TEXT")]
    terms: Option<String>,
    /// A file with the terms in words
    #[arg(long, value_name = "FILE", conflicts_with = "terms")]
    terms_file: Option<PathBuf>,
    /// The law that applies, in words
    #[arg(long, value_name = "TEXT")]
    law: Option<String>,
    /// The language of the contract: en or de
    #[arg(long, default_value = "en")]
    language: String,
    /// How long to wait for each message before the arbiter is asked, in seconds
    #[arg(long, default_value_t = 24 * 3600, value_name = "SECONDS")]
    patience: u64,
    /// How long the arbiter can be asked, in days
    #[arg(long, default_value_t = 14, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..3650))]
    valid_for: u64,
    #[command(flatten)]
    manner: Manner,
}

/// Send files, signed and acknowledged if you wish.
#[derive(Debug, Args)]
pub(super) struct Mail {
    /// The files to send, together at most 16 MiB
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A message in words
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// The receiver, as your contact book calls them
    #[arg(long, value_name = "CONTACT")]
    to: String,
    /// Sign that it is from you
    #[arg(long)]
    signed: bool,
    /// Ask the receiver to sign that they have it
    #[arg(long)]
    ack: bool,
    #[command(flatten)]
    manner: Manner,
}

/// How the command goes about it.
#[derive(Debug, Args)]
struct Manner {
    /// Do not wait for the end of the deal
    #[arg(long)]
    no_wait: bool,
    /// Do not ask here: leave the question among the approvals, where a policy or `semper approve` answers it
    #[arg(long)]
    no_ask: bool,
}

impl Sign {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let terms = match (self.terms, self.terms_file) {
            (Some(terms), _) => terms,
            (None, Some(file)) => {
                std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?
            }
            (None, None) => String::new(),
        };
        let order = SignOrder {
            with: self.with,
            arbiter: self.arbiter.unwrap_or_default(),
            files: read_all(&self.files)?,
            terms,
            law: self.law.unwrap_or_default(),
            locale: self.language,
            patience: self.patience,
            valid_for: self.valid_for * 24 * 3600,
        };
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), !self.manner.no_wait).await?;
        let deal = session.client().sign(&order).await?.deal;
        follow(session, &deal, &self.manner).await
    }
}

impl Mail {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let mut files = read_all(&self.files)?;
        if let Some(message) = self.message {
            files.push(FileOrder::new("message.txt", "text/plain", message.as_bytes()));
        }
        if files.is_empty() {
            bail!("there is nothing to send: give a file or --message");
        }
        let order = MailOrder { to: self.to, files, signed: self.signed, acknowledged: self.ack };
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), !self.manner.no_wait).await?;
        let deal = session.client().mail(&order).await?.deal;
        follow(session, &deal, &self.manner).await
    }
}

/// Puts the deal's questions to the user and waits for its end, as far as the user wants that.
async fn follow(session: session::Session, deal: &str, manner: &Manner) -> Result<ExitCode> {
    println!("Deal {deal}");
    if !manner.no_ask {
        answer(session.client(), deal).await?;
    }
    let code = if manner.no_wait {
        session.remind();
        ExitCode::SUCCESS
    } else {
        deals::finish(session.client(), deal).await?
    };
    session.end().await?;
    Ok(code)
}

/// Puts what this deal asks of its own user first.
async fn answer(client: &Client, deal: &str) -> Result<()> {
    let view = client.wait(deal).await?;
    if view.waits_for != "us" {
        return Ok(());
    }
    for approval in client.approvals().await?.iter().filter(|approval| approval.deal == deal) {
        approve::put(client, approval).await?;
    }
    Ok(())
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<FileOrder>> {
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<FileOrder> {
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if size > CONTENT_MAX as u64 {
        bail!("{} has {size} bytes; at most {CONTENT_MAX} fit into one message", path.display());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("{} has no usable name", path.display()))?;
    Ok(FileOrder::new(name, media_type(path), &bytes))
}

//! Beginning a deal.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use semper_core::container::CONTENT_MAX;

use super::Common;
use super::follow::Manner;
use crate::control::{FileOrder, MailOrder, SendOrder, SignOrder, media_type};

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
    /// Keep what proves later that what you send was handed in, to the others or who takes messages in for them
    #[arg(long)]
    submission: bool,
    #[command(flatten)]
    manner: Manner,
}

/// Send files, signed and acknowledged if you wish.
#[derive(Debug, Args)]
pub(super) struct Send {
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
    /// Keep what proves later that what you send was handed in, to the receiver or who takes messages in for them
    #[arg(long)]
    submission: bool,
    #[command(flatten)]
    manner: Manner,
}

/// Certified mail: a sealed letter that can be read only by whoever signs its receipt.
///
/// Each recipient reads what the receipt says and signs it, or not; only then can the letter be read. You have a receipt from just those who
/// can read it: if the other side falls silent half-way, the arbiter completes both, or neither.
#[derive(Debug, Args)]
#[command(after_help = "Example: semper mail notice.pdf --to Bob --to Carol --subject \"your lease\"")]
pub(super) struct Mail {
    /// The files in the letter, together at most 15 MiB
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A message in words
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// A recipient, as your contact book calls them; may be repeated. Each sees who else gets the letter
    #[arg(long, value_name = "CONTACT", required = true)]
    to: Vec<String>,
    /// What the recipients see of the letter before they sign [default: nothing]
    #[arg(long, value_name = "TEXT", default_value = "")]
    subject: String,
    /// The arbiter, as your contact book calls it [default: the only one that you accept]
    #[arg(long, value_name = "CONTACT", default_value = "")]
    arbiter: String,
    /// The language of the receipt: en or de
    #[arg(long, default_value = "en")]
    language: String,
    /// How long to wait for each answer before the arbiter is asked, in seconds
    #[arg(long, default_value_t = 3 * 24 * 3600, value_name = "SECONDS")]
    patience: u64,
    /// How long the arbiter can be asked, in days
    #[arg(long, default_value_t = 14, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..3650))]
    valid_for: u64,
    /// Keep what proves later that what you send was handed in, to the recipients or who takes messages in for them
    #[arg(long)]
    submission: bool,
    #[command(flatten)]
    manner: Manner,
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
            submission: self.submission,
        };
        let session = self.manner.connect(common).await?;
        let deal = session.client().sign(&order).await?.deal;
        self.manner.follow(session, &[deal]).await
    }
}

impl Mail {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let order = MailOrder {
            to: self.to,
            files: with_message(&self.files, self.message)?,
            subject: self.subject,
            arbiter: self.arbiter,
            locale: self.language,
            patience: self.patience,
            valid_for: self.valid_for * 24 * 3600,
            submission: self.submission,
        };
        let session = self.manner.connect(common).await?;
        let deals = session.client().mail(&order).await?.deals;
        self.manner.follow(session, &deals).await
    }
}

impl Send {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let files = with_message(&self.files, self.message)?;
        let (to, submission) = (self.to, self.submission);
        let order = SendOrder { to, files, signed: self.signed, acknowledged: self.ack, submission };
        let session = self.manner.connect(common).await?;
        let deal = session.client().send(&order).await?.deal;
        self.manner.follow(session, &[deal]).await
    }
}

/// Files, and a message in words among them.
fn with_message(paths: &[PathBuf], message: Option<String>) -> Result<Vec<FileOrder>> {
    let mut files = read_all(paths)?;
    if let Some(message) = message {
        files.push(FileOrder::new("message.txt", "text/plain", message.as_bytes()));
    }
    if files.is_empty() {
        bail!("there is nothing to send: give a file or --message");
    }
    Ok(files)
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<FileOrder>> {
    paths.iter().map(|path| read(path)).collect()
}

/// A file as an order carries it.
///
/// # Errors
/// It cannot be read, is too large for one message, or has no usable name.
pub(super) fn read(path: &Path) -> Result<FileOrder> {
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if size > CONTENT_MAX as u64 {
        bail!("{} has {size} bytes; at most {CONTENT_MAX} fit into one message", path.display());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(FileOrder::new(file_name(path)?, media_type(path), &bytes))
}

/// What a file is called.
///
/// # Errors
/// The path ends in no name, or the name is not Unicode.
pub(super) fn file_name(path: &Path) -> Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.with_context(|| format!("{} has no usable name", path.display()))
}

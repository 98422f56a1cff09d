//! Liability covers: what whoever is covered does, and whom a cover is for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_exchange::cover::statement::FILE_MAX;

use super::credential::{moment, read};
use super::session;
use super::{Common, approve};
use crate::control::client::{Client, ClientError};
use crate::control::{AgreeOrder, CheckOrder, CoverLine, CoverOrder, CoverSaid, ShownOrder};
use crate::home::write_new_private;
use crate::now;

/// A guarantor that stands for somebody under one contract: if they do not pay, it does.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "A cover is for contracts that promise money in words, as with `semper sign`: deliver now, pay later. Where `semper buy` or `semper exchange` moves the money, nobody has to stand for anybody."
)]
pub(super) enum Cover {
    /// Agree to be covered, up to a limit; writes a file for the guarantor
    Agree(Agree),
    /// Ask a guarantor to stand for you under a deal's contract; writes a file for the other side
    Request(Request),
    /// Go on with a request that was not answered, and write its file
    Get {
        /// The cover, as `semper cover list` names it
        cover: String,
        /// Where the file goes
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Look at a cover that the other side has shown, before you sign; asks nobody. If it is good it is kept with the deal
    Check(Check),
    /// Say that nothing is owed any more: as whom a cover is for, or as who is covered, with the deal's evidence
    Release {
        /// The file of the cover; `-` for standard input
        file: PathBuf,
    },
    /// Ask the guarantor to pay, as whom a cover is for; the same again says what has become of it
    Claim {
        /// The file of the cover; `-` for standard input
        file: PathBuf,
        /// How much [default: all that it is for]
        #[arg(long)]
        amount: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The covers that you have asked for, what their guarantors say of them, and those that you were shown
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Agree to be covered.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: semper cover agree --guarantor Insurance --limit \"500.00 EUR\" --per-deal \"200.00 EUR\" --until 2027-12-31"
)]
pub(super) struct Agree {
    /// The guarantor, as your contact book calls it
    #[arg(long, value_name = "CONTACT")]
    guarantor: String,
    /// Most that it stands for at once
    #[arg(long, value_name = "AMOUNT")]
    limit: String,
    /// Most of that for one deal [default: all]
    #[arg(long, value_name = "AMOUNT")]
    per_deal: Option<String>,
    /// Until when: to the end of a day like 2026-12-31, or to a moment like 2026-12-31T12:00:00Z
    #[arg(long, value_name = "DATE")]
    until: String,
    /// Where the agreement goes, for the guarantor
    #[arg(long, value_name = "FILE", default_value = "agreement.semper-liability")]
    out: PathBuf,
}

/// Ask for a cover.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: semper cover request --deal DEAL --amount \"120.00 EUR\" --guarantor Insurance --out lease.semper-cover"
)]
pub(super) struct Request {
    /// The deal, as `semper deals list` names it
    #[arg(long)]
    deal: String,
    /// How much the guarantor is to pay at most
    #[arg(long)]
    amount: String,
    /// The guarantor, as your contact book calls it
    #[arg(long, value_name = "CONTACT")]
    guarantor: String,
    /// How long the other side has to accept it, in hours
    #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=8760))]
    accept: u64,
    /// Until when it can be claimed, a day or a moment [default: two weeks after the contract is decided at the latest]
    #[arg(long, value_name = "DATE")]
    claim_by: Option<String>,
    /// Where the cover goes, for the other side
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Do not ask here: leave the question among the approvals; `semper cover get` goes on when it is answered
    #[arg(long)]
    no_ask: bool,
}

/// Look at a cover.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file of the cover; `-` for standard input
    file: PathBuf,
    /// The deal, as `semper deals list` names it
    #[arg(long)]
    deal: String,
    /// The only guarantor that you accept, as your contact book calls it [default: every contact that is one]
    #[arg(long, value_name = "CONTACT")]
    guarantor: Option<String>,
    /// How much it must be good for [default: whatever it says]
    #[arg(long)]
    amount: Option<String>,
    /// Until when it must be possible to claim it: a day or a moment, such as when the money is due and some days
    #[arg(long, value_name = "DATE")]
    claim_by: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Cover {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), false).await?;
        let client = session.client();
        match self {
            Cover::Agree(agree) => agree.run(client).await?,
            Cover::Request(request) => request.run(client).await?,
            Cover::Get { cover, out } => {
                let said = asked(client, false, async || client.go_on_with_cover(&cover).await).await?;
                given(&said, &out)?;
            }
            Cover::Check(check) => check.run(client).await?,
            Cover::Release { file } => {
                let order = ShownOrder { file: read(&file, FILE_MAX)?, amount: None };
                ruled(&asked(client, false, async || client.release_cover(&order).await).await?, false)?;
            }
            Cover::Claim { file, amount, json } => {
                let order = ShownOrder { file: read(&file, FILE_MAX)?, amount };
                ruled(&asked(client, false, async || client.claim_cover(&order).await).await?, json)?;
            }
            Cover::List { json: true } => println!("{}", serde_json::to_string_pretty(&client.covers().await?)?),
            Cover::List { json: false } => list(&client.covers().await?),
        }
        session.end().await
    }
}

impl Agree {
    async fn run(self, client: &Client) -> Result<()> {
        free(&self.out)?;
        let order = AgreeOrder {
            guarantor: self.guarantor,
            per_deal: self.per_deal.unwrap_or_else(|| self.limit.clone()),
            limit: self.limit,
            until: moment(&self.until, "T23:59:59Z")?.unix(),
            issued: now().unix(),
        };
        let said = asked(client, false, async || client.agree(&order).await).await?;
        let file = said.file.context("it waits for your approval; give this command again and answer here")?;
        write_new_private(&self.out, file.as_bytes())?;
        println!(
            "Agreed. Give {} to {}; nothing is covered before it has accepted.",
            self.out.display(),
            order.guarantor
        );
        Ok(())
    }
}

impl Request {
    async fn run(self, client: &Client) -> Result<()> {
        free(&self.out)?;
        let claim_by = self.claim_by.as_deref().map(|text| moment(text, "T23:59:59Z")).transpose()?;
        let order = CoverOrder {
            deal: self.deal,
            guarantor: self.guarantor,
            amount: self.amount,
            accept_before: now().after(Seconds(self.accept * 3600)).unix(),
            claim_by: claim_by.map(Time::unix),
        };
        let begun = client.request_cover(&order).await?;
        let cover = begun.cover.clone().context("the node has named no cover")?;
        let mut first = Some(begun);
        let said = asked(client, self.no_ask, async || match first.take() {
            Some(begun) => Ok(begun),
            None => client.go_on_with_cover(&cover).await,
        });
        given(&said.await?, &self.out)
    }
}

impl Check {
    async fn run(self, client: &Client) -> Result<()> {
        let order = CheckOrder {
            file: read(&self.file, FILE_MAX)?,
            deal: self.deal,
            guarantor: self.guarantor,
            amount: self.amount,
            claim_by: self.claim_by.as_deref().map(|text| moment(text, "T23:59:59Z")).transpose()?.map(Time::unix),
        };
        let line = client.check_cover(&order).await?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&line)?);
            return Ok(());
        }
        println!("Good: it is for this contract and the other side, up to {}.", line.amount);
        println!("  claims until  {}", Time::from_unix(line.claim_by));
        println!(
            "It is kept with the deal. If you are not paid: `semper cover claim FILE`; once you are: `semper cover release FILE`."
        );
        Ok(())
    }
}

/// Does something that has to be signed; puts the question here if it waits, unless `no_ask`.
async fn asked(
    client: &Client,
    no_ask: bool,
    mut order: impl AsyncFnMut() -> Result<CoverSaid, ClientError>,
) -> Result<CoverSaid> {
    let said = order().await?;
    let Some(id) = said.approval.as_ref().filter(|_| !no_ask) else { return Ok(said) };
    let approvals = client.approvals().await?;
    let approval = approvals.iter().find(|approval| approval.id == *id).context("the question is gone")?;
    approve::put(client, approval).await?;
    Ok(order().await?)
}

/// Writes the file of a cover, if it was given.
fn given(said: &CoverSaid, out: &Path) -> Result<()> {
    let cover = said.cover.as_deref().unwrap_or_default();
    match &said.file {
        None => println!(
            "It waits for your approval (`semper approvals`). Then: semper cover get {cover} --out {}",
            out.display()
        ),
        Some(file) => {
            free(out)?;
            write_new_private(out, file.as_bytes())?;
            println!("Cover {cover}: {}. Give it to the other side, and to nobody else.", out.display());
        }
    }
    Ok(())
}

fn ruled(said: &CoverSaid, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(said)?);
        return Ok(());
    }
    let amount = said.amount.as_deref().unwrap_or_default();
    match (said.ruling.as_deref(), said.answer_by) {
        (Some("claimed"), Some(until)) => println!(
            "Claimed: {amount}. The guarantor asks its customer, and pays if it has not shown by {} that nothing is owed. Give this command again then.",
            Time::from_unix(until)
        ),
        (Some("paid"), _) => println!("The guarantor pays you {amount}. It has signed that."),
        (Some("released"), _) => println!("Released: nothing is owed any more under this cover."),
        (Some("rejected"), _) => println!("Rejected: the guarantor's customer has shown that nothing is owed."),
        (Some(other), _) => println!("The guarantor says: {}", escape(other, 0)),
        (None, _) => println!("It waits for your approval (`semper approvals`). Then give this command again."),
    }
    Ok(())
}

fn list(all: &[CoverLine]) {
    if all.is_empty() {
        println!("No covers yet. Agree with a guarantor with `semper cover agree`.");
    }
    for line in all {
        let until = Time::from_unix(line.claim_by);
        println!("{}  {:<8}  {:>16}  deal {}  claims until {until}", line.cover, line.state, line.amount, line.deal);
        if let Some(until) = line.answer_by.filter(|_| line.state == "claimed").map(Time::from_unix) {
            println!(
                "  the other side says that you have not paid; if you have: `semper cover release FILE` until {until}"
            );
        }
    }
}

fn free(out: &Path) -> Result<()> {
    if out.exists() {
        bail!("{} exists already; give another name with --out", out.display());
    }
    Ok(())
}

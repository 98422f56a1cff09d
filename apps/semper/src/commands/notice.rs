//! Notices about a deal's contract: withdrawing from it, disputing, answering; each with a signed receipt.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_exchange::claims;
use tokio::time::Instant;

use super::Common;
use super::follow::{self, Manner};
use super::session::Session;
use crate::control::client::Client;
use crate::control::{Concern, DealView, DisputeOrder, NoticeView, ReplyOrder, WithdrawOrder};
use crate::now;

/// How long a command waits for the receipt of the other party's inbox before it says that the notice goes on without it.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the other party has for its answer if nobody says otherwise.
pub(crate) const ANSWER_DAYS: u64 = 14;
const DAY: u64 = 86_400;

/// Withdraw from the contract of a deal.
///
/// You sign the withdrawal, and the other party's inbox signs when it has come. Semper proves that you said it and when; whether it has effect, the law
/// says. An exchange that runs goes on, or is ended with `semper deals give-up`.
#[derive(Debug, Args)]
pub(super) struct Withdraw {
    /// The beginning of the deal's identifier
    id: String,
    /// Your own words
    #[arg(long, value_name = "TEXT", default_value = "")]
    words: String,
    /// Where the other party is to acknowledge it, in words, for example an e-mail address [default: your inbox]
    #[arg(long, value_name = "TEXT", default_value = "")]
    channel: String,
    #[command(flatten)]
    manner: Manner,
}

/// Open a dispute about the contract of a deal: say what you claim and what you want.
///
/// Nobody decides by that. The other party has until a date to acknowledge it, to deny it, or not to contest it. What you can prove goes along.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: semper deals dispute 1f3a --claim \"faulted(originator)\" --words \"the file is empty\" --amount \"12.00 EUR\""
)]
pub(super) struct Dispute {
    /// The beginning of the deal's identifier
    id: String,
    /// What you claim, as `semper judge --claim` understands it; may be repeated
    #[arg(long = "claim", value_name = "TEXT")]
    claims: Vec<String>,
    /// Your own words
    #[arg(long, value_name = "TEXT", default_value = "")]
    words: String,
    /// What you want, in words
    #[arg(long, value_name = "TEXT", default_value = "")]
    relief: String,
    /// How much money you want
    #[arg(long, value_name = "AMOUNT", default_value = "")]
    amount: String,
    /// Until when you expect an answer, like 2026-12-06 or 2026-12-06T12:00:00Z [default: in 14 days]
    #[arg(long, value_name = "DATE")]
    answer_by: Option<String>,
    /// Do not send along what you can prove
    #[arg(long)]
    no_evidence: bool,
    #[command(flatten)]
    manner: Manner,
}

/// Answer the other party's dispute.
#[derive(Debug, Args)]
pub(super) struct Answer {
    /// The beginning of the deal's identifier
    id: String,
    /// What is claimed is so
    #[arg(long, group = "how")]
    acknowledge: bool,
    /// What is claimed is not so; what you can prove goes along
    #[arg(long, group = "how")]
    deny: bool,
    /// You do not say whether it is so, and do not contest it
    #[arg(long, group = "how")]
    no_contest: bool,
    /// Your own words
    #[arg(long, value_name = "TEXT", default_value = "")]
    words: String,
    /// Send along what you can prove, also with another answer than --deny
    #[arg(long, conflicts_with = "no_evidence")]
    evidence: bool,
    /// Do not send along what you can prove
    #[arg(long)]
    no_evidence: bool,
    #[command(flatten)]
    manner: Manner,
}

impl Withdraw {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let session = self.manner.connect(common).await?;
        let about = session.client().deal_id(&self.id).await?;
        let order = WithdrawOrder { words: self.words, channel: self.channel };
        let carrier = session.client().withdraw(&about, &order).await?.deal;
        follow(session, &self.manner, &about, &carrier).await
    }
}

impl Dispute {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let answer_by = match &self.answer_by {
            Some(text) => date(text)?,
            None => now().after(Seconds(ANSWER_DAYS * DAY)),
        };
        if answer_by <= now() {
            bail!("the answer is to come by {answer_by}, which is over; nothing was sent");
        }
        let session = self.manner.connect(common).await?;
        let about = session.client().deal_id(&self.id).await?;
        let order = DisputeOrder {
            claims: self.claims,
            words: self.words,
            relief: self.relief,
            amount: self.amount,
            answer_by: answer_by.unix(),
            evidence: !self.no_evidence,
        };
        let carrier = session.client().dispute(&about, &order).await?.deal;
        follow(session, &self.manner, &about, &carrier).await
    }
}

impl Answer {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let how = match (self.acknowledge, self.deny, self.no_contest) {
            (true, ..) => "acknowledge",
            (_, true, _) => "deny",
            (_, _, true) => "no-contest",
            _ => bail!("say how: --acknowledge, --deny or --no-contest; nothing was sent"),
        };
        let evidence = !self.no_evidence && (self.evidence || self.deny);
        let session = self.manner.connect(common).await?;
        let about = session.client().deal_id(&self.id).await?;
        let order = ReplyOrder { how: how.to_owned(), words: self.words, evidence };
        let carrier = session.client().answer_dispute(&about, &order).await?.deal;
        follow(session, &self.manner, &about, &carrier).await
    }
}

/// The end of a day, or an instant.
fn date(text: &str) -> Result<Time> {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T23:59:59Z") };
    claims::time(&whole)
        .with_context(|| format!("{text:?} is no date; write it like 2026-12-06 or 2026-12-06T12:00:00Z"))
}

/// Puts the question to the user and waits for the receipt, as far as the user wants that. The exit code is 0 if the receipt is there, or was not
/// waited for.
async fn follow(session: Session, manner: &Manner, about: &str, carrier: &str) -> Result<ExitCode> {
    println!("Deal {carrier}");
    if manner.asks() {
        follow::answer(session.client(), carrier).await?;
    }
    let code = if manner.waits() {
        receipt(session.client(), about, carrier).await?
    } else {
        session.remind();
        ExitCode::SUCCESS
    };
    session.end().await?;
    Ok(code)
}

/// Waits until the other party's inbox has the notice, and says when; or why not yet.
async fn receipt(client: &Client, about: &str, carrier: &str) -> Result<ExitCode> {
    let (mut until, mut count) = (None, None);
    loop {
        let deal = client.deal(about).await?;
        let Some(notice) = deal.notices.iter().find(|notice| notice.carrier == carrier) else {
            println!("Not signed: nothing was sent.");
            return Ok(ExitCode::from(2));
        };
        match notice.state.as_str() {
            "asks" => {
                if until.is_none() && count.is_none() {
                    println!("It waits for your signature (see `semper approvals`).");
                }
            }
            "on-its-way" => {
                let until = *until.get_or_insert_with(|| Instant::now() + PATIENCE);
                if Instant::now() >= until {
                    println!(
                        "Signed and kept. {}'s inbox has not taken it yet; your node sends it again until it does, as long as it runs (`semper up`). The \
                         receipt then stands in `semper deals show {}`.",
                        escape(&deal.peer, 0),
                        &about[..12]
                    );
                    return Ok(ExitCode::from(2));
                }
            }
            "given-up" => {
                println!("{}", sentence(notice, &deal));
                return Ok(ExitCode::from(2));
            }
            _ => {
                println!("{}", sentence(notice, &deal));
                println!(
                    "The signed receipt is in the deal folder: `semper deals export {}` saves it, and anybody can check it with `semper verify`.",
                    &about[..12]
                );
                return Ok(ExitCode::SUCCESS);
            }
        }
        // A question may wait for as long as the user likes; an inbox that cannot be reached changes nothing that could be noticed.
        if notice.state == "asks" {
            count = Some(client.changes(count).await?);
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What was said, and what shows that it has come.
pub(super) fn sentence(notice: &NoticeView, deal: &DealView) -> String {
    let (peer, written) = (escape(&deal.peer, 0), Time::from_unix(notice.written));
    if notice.ours && notice.state == "asks" {
        return format!("Your {}, written on {written}, waits for your signature", notice.saying);
    }
    let who = if notice.ours { "You" } else { peer.as_str() };
    let said = match (notice.saying.as_str(), notice.how.as_deref()) {
        ("withdrawal", _) => "withdrew from the contract",
        ("dispute", _) => "opened a dispute",
        (_, Some("acknowledge")) => "acknowledged what is claimed",
        (_, Some("deny")) => "denied what is claimed",
        _ => "did not contest what is claimed",
    };
    let receipt = if notice.ours { receipt_of_ours(notice, &peer) } else { receipt_of_theirs(notice) };
    format!("{who} {said}, on {written}; {receipt}")
}

fn receipt_of_ours(notice: &NoticeView, peer: &str) -> String {
    match notice.state.as_str() {
        "on-its-way" => format!("{peer}'s inbox has not taken it yet"),
        "given-up" => "it was given up before it was delivered".to_owned(),
        _ => {
            let came = notice.delivered.map(Time::from_unix);
            let came = came.map(|time| format!("{peer}'s inbox confirms the receipt on {time}"));
            let signed = notice.acknowledged.map(Time::from_unix);
            let signed = signed.map(|time| format!("{peer} signed for it on {time}"));
            came.into_iter().chain(signed).collect::<Vec<_>>().join("; ")
        }
    }
}

fn receipt_of_theirs(notice: &NoticeView) -> String {
    match notice.acknowledged.map(Time::from_unix) {
        Some(time) => format!("you signed for it on {time}"),
        None => "you have not signed for it".to_owned(),
    }
}

/// A notice with everything that it says.
pub(super) fn show(notice: &NoticeView, deal: &DealView) {
    println!("  notice    {}", sentence(notice, deal));
    let line = |name: &str, text: &str| println!("            {name}: {}", escape(text, 0));
    notice.claims.iter().for_each(|claim| line("claim", claim));
    notice.relief.iter().flat_map(|relief| relief.lines()).for_each(|relief| line("wanted", relief));
    notice.amount.iter().for_each(|amount| line("wanted", amount));
    notice.answer_by.iter().for_each(|by| line("answer by", &Time::from_unix(*by).to_string()));
    notice.channel.iter().for_each(|channel| line("acknowledge to", channel));
    notice.words.lines().for_each(|words| line("words", words));
    for file in &notice.enclosed {
        line("evidence", &format!("{} ({} bytes; `semper deals files` writes it)", file.name, file.size));
    }
}

/// What the notices about a deal mean for it now, in words; empty if there are none.
pub(super) fn concerns(deal: &DealView) -> String {
    let words = |concern: &Concern<'_>| {
        let (peer, time) = (escape(&deal.peer, 0), |unix: u64| Time::from_unix(unix));
        match *concern {
            Concern::Asks(saying) => format!("your {saying} waits for your signature"),
            Concern::Withdrawn(Some(at)) => format!("you have withdrawn, received on {}", time(at)),
            Concern::Withdrawn(None) => "you have withdrawn; no receipt yet".to_owned(),
            Concern::WithdrawnByPeer(at) => format!("{peer} has withdrawn, on {}", time(at)),
            Concern::AnswerDue(by) => format!("disputed; your answer is due by {}", time(by)),
            Concern::AnswerOverdue(by) => format!("disputed; your answer was due by {}", time(by)),
            Concern::AwaitsAnswer(by) => format!("disputed by you; {peer}'s answer is due by {}", time(by)),
            Concern::Silent(by) => format!("disputed by you; {peer} has not answered by {}", time(by)),
            Concern::Answered(how) => format!("disputed; you have answered: {how}"),
            Concern::AnsweredByPeer(how) => format!("disputed by you; {peer} has answered: {how}"),
        }
    };
    Concern::all(deal, now().unix()).iter().map(words).collect::<Vec<_>>().join("; ")
}

/// What a deal is called that carries a notice.
pub(super) fn title(deal: &DealView) -> String {
    match &deal.told {
        None => deal.title.clone(),
        Some(told) if told.about.is_none() => {
            format!("{} (it is about no contract of yours with {}, and is mail like any other)", deal.title, deal.peer)
        }
        Some(told) => match told.saying.as_str() {
            "withdrawal" => format!("withdrawal from {}", deal.title),
            "dispute" => format!("dispute about {}", deal.title),
            _ => format!("answer about {}", deal.title),
        },
    }
}

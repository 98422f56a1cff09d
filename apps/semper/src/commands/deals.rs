//! Looking at deals.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;
use semper_core::cbor::Decode as _;
use semper_core::ids::Cid;
use semper_core::text::escape;
use semper_core::time::Time;
use semper_crypto::Verifier;
use semper_exchange::claims::Positions;
use semper_exchange::evidence::Folder;
use semper_pages::words::check_words;
use semper_trust::card::ContactCard;

use super::{Common, notice, session};
use crate::bench::Bench;
use crate::control::client::Client;
use crate::control::{DealView, Standing};
use crate::home::Home;
use crate::now;

/// Your deals.
#[derive(Debug, Subcommand)]
pub(super) enum Deals {
    /// All of them, the youngest first
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One of them
    Show {
        /// The beginning of its identifier
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write everything you can prove with into one file
    Export {
        /// The beginning of its identifier
        id: String,
        /// The file [default: the deal's identifier with .semper]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Write the files that belong to a deal into a folder
    Files {
        /// The beginning of its identifier
        id: String,
        /// The folder
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
    /// Tell of every change of a deal, until Ctrl-C
    Watch {
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Withdraw from the contract of a deal
    Withdraw(notice::Withdraw),
    /// Open a dispute about the contract of a deal: say what you claim and what you want
    Dispute(notice::Dispute),
    /// Answer the other party's dispute
    Answer(notice::Answer),
    /// Wait until a deal has ended
    Wait {
        /// The beginning of its identifier
        id: String,
    },
    /// End a deal now, with what you can do alone
    GiveUp {
        /// The beginning of its identifier
        id: String,
        /// Do not wait for its end; your node goes on
        #[arg(long)]
        no_wait: bool,
    },
}

impl Deals {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        match self {
            Deals::Withdraw(withdraw) => withdraw.run(common).await,
            Deals::Dispute(dispute) => dispute.run(common).await,
            Deals::Answer(answer) => answer.run(common).await,
            look => look.look(common).await,
        }
    }

    async fn look(self, common: &Common) -> Result<ExitCode> {
        // Whoever waits for the other party has to hear it.
        let listen = matches!(self, Deals::Wait { .. } | Deals::Watch { .. });
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), listen).await?;
        let client = session.client();
        let mut code = ExitCode::SUCCESS;
        match self {
            Deals::List { json } => list(client, json).await?,
            Deals::Show { id, json } => {
                let deal = client.deal(&id).await?;
                show(&deal, json)?;
                if !json {
                    show_positions(client, &deal.id, &common.home()?).await?;
                }
            }
            Deals::Export { id, out } => export(client, &id, out).await?,
            Deals::Files { id, out } => files(client, &id, &out).await?,
            Deals::Watch { json } => tokio::select! {
                watched = watch(client, json) => watched?,
                interrupted = tokio::signal::ctrl_c() => interrupted?,
            },
            Deals::Withdraw(_) | Deals::Dispute(_) | Deals::Answer(_) => unreachable!("they have their own way"),
            Deals::Wait { id } => code = finish(client, &client.deal_id(&id).await?).await?,
            Deals::GiveUp { id, no_wait } => {
                let id = client.deal_id(&id).await?;
                client.give_up(&id).await?;
                if !no_wait {
                    code = finish(client, &id).await?;
                }
            }
        }
        session.end().await?;
        Ok(code)
    }
}

/// Prints the deals that have not ended, and then every deal that changes.
async fn watch(client: &Client, json: bool) -> Result<()> {
    let mut known = HashMap::new();
    let mut count = client.changes(None).await?;
    let mut first = true;
    loop {
        let mut deals = client.deals().await?;
        deals.reverse();
        for deal in deals {
            let line = sentence(&deal);
            let news = known.insert(deal.id.clone(), line.clone()).as_ref() != Some(&line);
            if !news || first && deal.ending.is_some() {
                continue;
            }
            if json {
                println!("{}", serde_json::to_string(&deal)?);
            } else {
                println!("{}  {}  {:<20}  {line}", now(), &deal.id[..12], deal.peer);
            }
        }
        first = false;
        count = client.changes(Some(count)).await?;
    }
}

/// Waits until a deal has ended and says how; the exit code is 0 for success, 2 for any other end.
pub(super) async fn finish(client: &Client, id: &str) -> Result<ExitCode> {
    let mut last = String::new();
    loop {
        let deal = client.wait(id).await?;
        let line = sentence(&deal);
        if line != last {
            println!("{line}");
            last = line;
        }
        match deal.ending.as_deref() {
            Some("success") => {
                deal.saved_as.iter().for_each(|path| println!("Saved as {path}"));
                return Ok(ExitCode::SUCCESS);
            }
            Some(_) => return Ok(ExitCode::from(2)),
            None => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

/// Where a deal stands, in one sentence.
pub(super) fn sentence(deal: &DealView) -> String {
    let short = &deal.id[..12];
    let what = match Standing::of(deal) {
        Standing::Signed => "signed: the contract binds both".to_owned(),
        Standing::SignedByAll => "signed: the contract binds all".to_owned(),
        Standing::Delivered => "delivered: you have the receipt".to_owned(),
        Standing::Received => format!("received; `semper deals files {short}` writes what is in it"),
        Standing::Receipted => "paid: you have the receipt".to_owned(),
        Standing::BeenPaid => "you have been paid".to_owned(),
        Standing::Exchanged => "exchanged: you have the other party's money".to_owned(),
        Standing::Swapped => format!("swapped; `semper deals files {short}` writes the file that you got"),
        Standing::Bought => "bought: the right is yours, and nobody calls it back any more (`semper credential list`)".to_owned(),
        Standing::Sold => "sold: you have the money".to_owned(),
        Standing::Remark(words) | Standing::Ended(words) => words.to_owned(),
        Standing::Done => "done".to_owned(),
        Standing::Aborted => "aborted: nobody is bound".to_owned(),
        Standing::PaidWithoutReceipt => {
            "you have paid, and the arbiter was reached too late for the receipt; the proof of the payment is kept"
                .to_owned()
        }
        Standing::PaidUnconfirmed => {
            "you have paid, and nobody has confirmed it in time: the right may be called back; the proof of the payment is kept"
                .to_owned()
        }
        Standing::NothingPaid => "ended: no money moved, and nobody is bound".to_owned(),
        Standing::Lapsed => "ended before anything was signed: nobody is bound".to_owned(),
        Standing::Unacknowledged => "sent, but not acknowledged; it may have arrived".to_owned(),
        Standing::Refunded => "ended: your money is back".to_owned(),
        Standing::Recalled => "ended: you were not paid, and the right is yours again".to_owned(),
        Standing::Unrecalled => {
            "ended: you were not paid, and the right could not be called back in time; what proves it is kept (`semper deals export`)"
                .to_owned()
        }
        Standing::Defective => {
            "the goods are not what was promised; the proof is in the deal folder (`semper deals export`)".to_owned()
        }
        Standing::Faulted => "the arbiter found that your goods are not what was promised".to_owned(),
        Standing::Unsettled => {
            "money is due to you, and its issuer does not give it; what proves it is kept (`semper deals export`)"
                .to_owned()
        }
        Standing::Asks => "waits for your answer (see `semper approvals`)".to_owned(),
        Standing::Missing(names) => format!("waits for {}", names.join(", ")),
        Standing::PeerOrRefund(date) => {
            let date = Time::from_unix(date);
            format!("waits for {}; if nothing comes, your money comes back after {date}", deal.peer)
        }
        Standing::PeerOrRecall(date) => {
            let date = Time::from_unix(date);
            format!("waits for {}; if no money comes, the right is called back after {date}", deal.peer)
        }
        Standing::Peer => format!("waits for {}", deal.peer),
        Standing::Refunding(Some(date)) => {
            format!("not done; your money comes back after {}", Time::from_unix(date))
        }
        Standing::Refunding(None) => "not done; your money comes back".to_owned(),
        Standing::Paying => "the money is on its way (see `semper approvals` if you are asked)".to_owned(),
        Standing::Issuer => "waits for the issuer of the right".to_owned(),
        Standing::Decided(date) => format!(
            "the arbiter has decided for you; your money comes when the time for complaints is over, on {}",
            Time::from_unix(date)
        ),
        Standing::InHand(amount) => format!("the arbiter has your money, {amount}, and waits for the other party's"),
        Standing::Untaken => "not done; your money comes back from its issuer".to_owned(),
        Standing::Arbiter => "waits for the arbiter".to_owned(),
        Standing::Paused(from) => format!(
            "paused since the restore: it comes from the backup of {}, and nothing is signed for it before its arbiter has said what became of it",
            Time::from_unix(from)
        ),
        Standing::UnknownSince(from) => format!(
            "ended as far as the arbiter knows; what you signed after the backup of {} is not known here, and the other party may hold a complete contract",
            Time::from_unix(from)
        ),
    };
    let trouble = deal.trouble.as_ref().map(|trouble| format!(" [{trouble}]"));
    format!("{}: {what}{}", notice::title(deal), trouble.unwrap_or_default())
}

async fn list(client: &Client, json: bool) -> Result<()> {
    let deals = client.deals().await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&deals)?);
        return Ok(());
    }
    if deals.is_empty() {
        println!("No deals yet. Begin one with `semper sign FILE --with CONTACT`.");
    }
    for deal in deals {
        let concerns = Some(notice::concerns(&deal)).filter(|words| !words.is_empty());
        let concerns = concerns.map(|words| format!(" ({words})")).unwrap_or_default();
        println!("{}  {:<11}  {:<20}  {}{concerns}", &deal.id[..12], deal.plan, deal.peer, sentence(&deal));
    }
    Ok(())
}

fn show(deal: &DealView, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(deal)?);
        return Ok(());
    }
    println!("{}", sentence(deal));
    println!("  deal      {}", deal.id);
    let article = if deal.role.starts_with("signer") { "" } else { "the " };
    println!("  with      {} (we are {article}{})", deal.peer, deal.role);
    println!("  opened    {}", Time::from_unix(deal.opened));
    println!("  step      {} ({})", deal.step, deal.state);
    if let Some(cid) = &deal.cid {
        println!("  contract  {cid}");
        if let Some(cid) = Cid::parse(cid) {
            println!("  words     {} (the same for the other side)", check_words(cid.digest()));
        }
    }
    if let Some(right) = &deal.right {
        println!("  right     {}", escape(right, 0));
    }
    if let Some(amount) = &deal.in_hand {
        println!("  in hand   {amount}, which the arbiter has of yours");
    }
    for file in &deal.files {
        println!("  file      {} ({} bytes, hash {})", file.name, file.size, file.hash);
    }
    if let Some(about) = deal.told.as_ref().and_then(|told| told.about.as_ref()) {
        println!("  about     deal {about}");
    }
    deal.notices.iter().for_each(|told| notice::show(told, deal));
    let concerns = notice::concerns(deal);
    if !concerns.is_empty() {
        println!("  now       {concerns}");
    }
    if let Some(trouble) = &deal.trouble {
        println!("  trouble   {trouble}");
    }
    Ok(())
}

/// What can be proven about a deal now: for us, and for the other party.
async fn show_positions(client: &Client, id: &str, home: &Home) -> Result<()> {
    let me = ContactCard::verify_text(&home.card()?, &Verifier)?.signer();
    let folder = Folder::from_bytes(&client.folder(id).await?)?;
    let (_, Positions { ours, theirs }) = Bench::default().positions(folder, me)?;
    for (title, list) in [("you can prove now:", ours), ("what you hold proves for the other party:", theirs)] {
        println!("  {title}{}", if list.is_empty() { " nothing" } else { "" });
        for position in list {
            println!("    {}", position.words);
        }
    }
    Ok(())
}

async fn export(client: &Client, id: &str, out: Option<PathBuf>) -> Result<()> {
    let id = client.deal_id(id).await?;
    let folder = client.folder(&id).await?;
    let out = out.unwrap_or_else(|| PathBuf::from(format!("{}.semper", &id[..12])));
    std::fs::write(&out, &folder).with_context(|| format!("cannot write {}", out.display()))?;
    println!("{} ({} bytes). Anybody can check it with `semper verify`.", out.display(), folder.len());
    Ok(())
}

async fn files(client: &Client, id: &str, out: &std::path::Path) -> Result<()> {
    let deal = client.deal(id).await?;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    for file in &deal.files {
        let bytes = client.file(&deal.id, &file.hash).await?;
        let path = free_path(out, &file.name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

/// A path in `dir` that no file has yet: nothing of the user's is overwritten.
fn free_path(dir: &std::path::Path, name: &str) -> PathBuf {
    let mut path = dir.join(name);
    let mut count = 1;
    while path.exists() {
        count += 1;
        path = dir.join(format!("{count}-{name}"));
    }
    path
}

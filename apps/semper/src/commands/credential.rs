//! Credentials: what their holder and their issuer do with them.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use semper_commerce::right::RightOffer;
use semper_core::amount::Amount;
use semper_core::ids::KeySetId;
use semper_core::text::escape;
use semper_core::time::Time;
use semper_crypto::{SystemRandom, Verifier};
use semper_support::crypto::Randomness as _;
use semper_transfer::credential::FILE_MAX;
use semper_trust::card::ContactCard;

use super::serve::operator;
use super::session::{self, Session};
use super::{Common, approve, sell};
use crate::control::client::Client;
use crate::control::{CredentialView, RightOfferOrder};
use crate::home::{Role, write_new_private};
use crate::now;
use crate::roles::issuer::{IssueOrder, StandingView};
use crate::sale::STANDS;

/// Rights that somebody has given to you: tickets, subscriptions, memberships.
#[derive(Debug, Subcommand)]
pub(super) enum Credential {
    /// Keep one that was issued to you
    Add {
        /// Its file; `-` for standard input
        file: PathBuf,
    },
    /// All of them
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One of them
    Show {
        /// The beginning of its serial number
        serial: String,
    },
    /// Pass one on: it is worth nothing to you any more, and its issuer makes a new one for them
    Transfer {
        /// The beginning of its serial number
        serial: String,
        /// Who gets it, as your contact book calls them
        #[arg(long, value_name = "CONTACT")]
        to: String,
        /// Where the new credential goes, for you to give to them [default: SERIAL.semper-credential of the old one, here]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Do not ask here: leave the question among the approvals; give the same command again when it is answered
        #[arg(long)]
        no_ask: bool,
    },
    /// Sell one to anybody: signs an offer, prints a link and serves it
    Sell(Sell),
}

/// Sell a credential.
#[derive(Debug, Args)]
#[command(after_help = "Example: semper credential sell 3f5a --price \"12.00 EUR\"\n\n\
                  Whoever buys it with `semper buy LINK` gets it first and pays then, by plain transfer. If the money does not come, the arbiter has it called\n\
                  back, and it is yours again: your node must be on line for that.")]
pub(super) struct Sell {
    /// The beginning of its serial number
    serial: String,
    /// What it costs, with the currency: "12.00 EUR"
    #[arg(long)]
    price: String,
    /// Terms in words, shown and signed with the sale
    #[arg(long, value_name = "TEXT", default_value = "")]
    terms: String,
    /// The law that applies, in words
    #[arg(long, value_name = "TEXT", default_value = "")]
    law: String,
    /// Accept this arbiter only; may be repeated [default: all that you accept]
    #[arg(long = "arbiter", value_name = "CONTACT")]
    arbiters: Vec<String>,
    /// How long the offer stands, in days
    #[arg(long, default_value_t = STANDS / 86_400, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..3650))]
    days: u64,
    /// How long after an order the sale can be completed, in seconds; after that the right is called back if no money has come
    #[arg(long, default_value_t = RightOffer::PACE.valid_for.0, value_name = "SECONDS")]
    valid_for: u64,
    /// How long a message to an arbiter or issuer takes at most, in seconds
    #[arg(long, default_value_t = RightOffer::PACE.delta.0, value_name = "SECONDS", hide = true)]
    delta: u64,
    /// By how many seconds clocks may differ
    #[arg(long, default_value_t = RightOffer::PACE.sigma.0, value_name = "SECONDS", hide = true)]
    sigma: u64,
    /// Do not ask here: leave the offer among the approvals, where a policy or `semper approve` answers it
    #[arg(long)]
    no_ask: bool,
    /// Print the link only, for a script
    #[arg(long)]
    json: bool,
}

/// What the operator of an issuer does.
#[derive(Debug, Subcommand)]
pub(super) enum Issuer {
    /// Issue a credential; prints it, to be given to its holder
    Issue(Issue),
    /// What was issued, and what is left of it
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Issue a credential.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: semper issuer issue --to alice.txt --right \"one visit to the archive\" --uses 3 --until 2027-12-31"
)]
pub(super) struct Issue {
    /// Whose it is: their contact card, or the identifier of their key
    #[arg(long, value_name = "CARD|KEY")]
    to: String,
    /// The right, in one line
    #[arg(long, value_name = "TEXT")]
    right: String,
    /// How often it can be used [default: as often as its holder likes]
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=1000))]
    uses: Option<u32>,
    /// Who honours it: a contact card or the identifier of a key; may be repeated [default: anybody]
    #[arg(long = "honoured-by", value_name = "CARD|KEY")]
    audience: Vec<String>,
    /// It may not be passed on
    #[arg(long)]
    not_transferable: bool,
    /// From when on it is valid, like 2026-11-21 or 2026-11-21T12:00:00Z [default: now]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Until when it is valid: to the end of a day like 2026-12-31, or to a moment like 2026-12-31T12:00:00Z
    #[arg(long, value_name = "DATE")]
    until: String,
    /// Where it goes [default: it is printed]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Credential {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let home = common.home()?;
        let base_url = home.config()?.base_url();
        // Whoever sells serves the offer.
        let listen = matches!(self, Credential::Sell(_));
        let session = session::connect(home, common.passphrase_file.as_deref(), listen).await?;
        let client = session.client();
        match self {
            Credential::Sell(sell) => sell.run(&session, &base_url).await?,
            Credential::Add { file } => {
                let view = client.add_credential(&read(&file, FILE_MAX)?).await?;
                println!("Kept. Nobody has checked the issuer's key but you, if you have it in your contact book:");
                show(&view);
            }
            Credential::List { json: true } => {
                println!("{}", serde_json::to_string_pretty(&client.credentials().await?)?);
            }
            Credential::List { json: false } => {
                let all = client.credentials().await?;
                if all.is_empty() {
                    println!("No credentials yet. Keep one that was issued to you with `semper credential add FILE`.");
                }
                for view in &all {
                    println!("{}  {:<11}  {}", view.serial, view.state, escape(&view.right, 0));
                }
            }
            Credential::Show { serial } => show(&find(client, &serial).await?),
            Credential::Transfer { serial, to, out, no_ask } => {
                let view = find(client, &serial).await?;
                let out = out.unwrap_or_else(|| format!("{}.semper-credential", view.serial).into());
                transfer(client, &view, &to, &out, no_ask).await?;
            }
        }
        session.end().await
    }
}

impl Sell {
    async fn run(self, session: &Session, base_url: &str) -> Result<()> {
        Amount::parse(&self.price).with_context(|| format!("{:?} is no price", self.price))?;
        let view = find(session.client(), &self.serial).await?;
        let (no_ask, json) = (self.no_ask, self.json);
        let order = RightOfferOrder {
            price: self.price,
            arbiters: self.arbiters,
            terms: self.terms,
            law: self.law,
            until: now().unix() + self.days * 86_400,
            valid_for: self.valid_for,
            delta: self.delta,
            sigma: self.sigma,
        };
        let offered =
            sell::signed(session.client(), no_ask, async |client| Ok(client.sell_right(&view.serial, &order).await?));
        sell::show(&offered.await?, base_url, session, json).await
    }
}

async fn transfer(client: &Client, view: &CredentialView, to: &str, out: &Path, no_ask: bool) -> Result<()> {
    if out.exists() {
        bail!("{} exists already; give another name with --out", out.display());
    }
    let mut passed = client.pass_on(&view.serial, to).await?;
    if let Some(id) = passed.approval.as_ref().filter(|_| !no_ask) {
        let approvals = client.approvals().await?;
        let approval = approvals.iter().find(|approval| approval.id == *id).context("the question is gone")?;
        approve::put(client, approval).await?;
        passed = client.pass_on(&view.serial, to).await?;
    }
    match passed.file {
        None => println!("It waits for your approval (`semper approvals`). Then give this command again."),
        Some(file) => {
            write_new_private(out, file.as_bytes())?;
            println!("Passed on to {to}. Their credential is in {}; give it to them:", out.display());
            println!("  semper send {} --to {to}", out.display());
        }
    }
    Ok(())
}

async fn find(client: &Client, start: &str) -> Result<CredentialView> {
    let mut fitting = client.credentials().await?.into_iter().filter(|view| view.serial.starts_with(start));
    match (fitting.next(), fitting.next()) {
        (Some(view), None) => Ok(view),
        (None, _) => bail!("there is no credential that begins with {start:?}; see `semper credential list`"),
        (Some(_), Some(_)) => bail!("more than one credential begins with {start:?}; give more of its serial number"),
    }
}

fn show(view: &CredentialView) {
    println!("{}", escape(&view.right, 0));
    println!("  serial number  {}", view.serial);
    println!(
        "  issued by      {}",
        view.issuer.as_deref().map_or("nobody in your contact book".to_owned(), |name| escape(name, 0))
    );
    println!("  issuer's key   {}", view.issuer_key);
    println!("  issuer at      {}", escape(&view.address, 0));
    println!(
        "  can be used    {}",
        view.uses.map_or("freely".to_owned(), |uses| format!("{uses} times, as it was issued"))
    );
    match view.audience.as_slice() {
        [] => println!("  honoured by    anybody"),
        audience => audience.iter().for_each(|key| println!("  honoured by    {key}")),
    }
    println!("  passed on      {}", if view.transferable { "may be" } else { "may not be" });
    println!("  valid          from {} until {}", Time::from_unix(view.from), Time::from_unix(view.until));
    if let Some(until) = view.callable_until.map(Time::from_unix) {
        println!(
            "  called back    by the verdict of an arbiter until {until}, if it is not paid: until its sale has ended it cannot be passed on, nor used if its uses \
             are counted"
        );
    }
    println!("  state          {}", view.state);
}

impl Issuer {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let client = operator(common, Role::Issuer).await?;
        match self {
            Issuer::Issue(issue) => issue.run(&client).await,
            Issuer::List { json } => {
                let mut all: Vec<StandingView> = Vec::new();
                loop {
                    let after = all.last().map_or_else(String::new, |last| format!("?after={}", last.serial));
                    let page: Vec<StandingView> = client.get(&format!("/issuer/credentials{after}")).await?;
                    if page.is_empty() {
                        break;
                    }
                    all.extend(page);
                }
                if json {
                    println!("{}", serde_json::to_string_pretty(&all)?);
                    return Ok(());
                }
                for StandingView { serial, holder, right, state, left, kept, .. } in all {
                    let left = left.map_or("freely".to_owned(), |left| format!("{left} left, {kept} kept"));
                    println!("{serial}  {state:<9}  {left}  {}  key {holder}", escape(&right, 0));
                }
                Ok(())
            }
        }
    }
}

impl Issue {
    async fn run(self, client: &Client) -> Result<()> {
        let mut serial = [0; 16];
        SystemRandom.fill(&mut serial)?;
        let order = IssueOrder {
            serial: data_encoding::HEXLOWER.encode(&serial),
            holder: key(&self.to)?.to_string(),
            right: self.right,
            audience: self.audience.iter().map(|who| Ok(key(who)?.to_string())).collect::<Result<_>>()?,
            uses: self.uses,
            transferable: !self.not_transferable,
            from: self.from.as_deref().map_or_else(|| Ok(now()), |text| moment(text, "T00:00:00Z"))?.unix(),
            until: moment(&self.until, "T23:59:59Z")?.unix(),
        };
        let credential: String = client.post("/issuer/credentials", &order).await?;
        match &self.out {
            None => print!("{credential}"),
            Some(out) => {
                write_new_private(out, credential.as_bytes())?;
                println!("Issued {}: {}", order.serial, out.display());
            }
        }
        Ok(())
    }
}

/// The key set of somebody: as the identifier says, or on the card in a file.
fn key(who: &str) -> Result<KeySetId> {
    if let Some(id) = KeySetId::parse(who) {
        return Ok(id);
    }
    let card = read(Path::new(who), 256 * 1024)?;
    let card = ContactCard::verify_text(&card, &Verifier).with_context(|| format!("{who} is not a contact card"))?;
    Ok(card.statement().key_set.id())
}

/// A date or a moment.
pub(super) fn moment(text: &str, time_of_day: &str) -> Result<Time> {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}{time_of_day}") };
    semper_exchange::claims::time(&whole).with_context(|| format!("{text:?} is no date; write one like 2026-12-31"))
}

/// The text of a file, or of standard input.
pub(super) fn read(path: &Path, limit: usize) -> Result<String> {
    let mut text = String::new();
    let limit = u64::try_from(limit)?;
    if path.as_os_str() == "-" {
        std::io::stdin().take(limit).read_to_string(&mut text)?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        file.take(limit).read_to_string(&mut text).with_context(|| format!("{} is not text", path.display()))?;
    }
    Ok(text)
}

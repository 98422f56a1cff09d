//! Selling and buying goods.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use semper_commerce::access::AccessOffer;
use semper_commerce::offer::Pace;
use semper_commerce::right::RightOffer;
use semper_core::amount::Amount;
use semper_core::text::escape;

use super::offers::show_qr_code;
use super::order::{file_name, read};
use super::session::{self, Session};
use super::{Common, approve, follow};
use crate::control::client::Client;
use crate::control::{BuyOrder, OfferOrder, OfferView, RightOrder, SwapOrder, WantedOrder};
use crate::now;
use crate::sale::{self, Found, FoundAccess, FoundRight, FoundSwap, Linked, Offering, Page, STANDS, link};

/// How often progress is shown.
const EVERY: Duration = Duration::from_millis(200);

/// Sell a file to anybody: encrypts it, signs an offer, prints a link and serves it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: semper sell data.csv --price \"12.00 EUR\" --text \"all measurements of 2025\"\n          \
                        semper sell data.csv --for-file-hash 9c56… --for-file-name other.csv\n          \
                        semper sell data.csv --for-credential \"one visit\" --issuer club"
)]
#[command(group = clap::ArgGroup::new("for").required(true))]
pub(super) struct Sell {
    /// The file
    file: PathBuf,
    /// What it costs, with the currency: "12.00 EUR"
    #[arg(long, group = "for")]
    price: Option<String>,
    /// The hash of the file that you want for it, as contracts and folders name files
    #[arg(long, value_name = "HEX", group = "for")]
    for_file_hash: Option<String>,
    /// The right that is to be shown for it, word for word as its issuer writes it
    #[arg(long, value_name = "RIGHT", group = "for", requires = "issuer", conflicts_with_all = ["no_arbiter", "complaints", "terms", "law"])]
    for_credential: Option<String>,
    /// Who must have issued that right, as your contact book calls them
    #[arg(long, value_name = "CONTACT", requires = "for_credential")]
    issuer: Option<String>,
    /// What that file is called
    #[arg(long, value_name = "NAME", default_value = "", requires = "for_file_hash")]
    for_file_name: String,
    /// Its size
    #[arg(long, value_name = "BYTES", requires = "for_file_hash")]
    for_file_size: Option<u64>,
    /// What it is called, if not like the file
    #[arg(long, value_name = "NAME")]
    title: Option<String>,
    /// What it is, in words that a machine cannot check
    #[arg(long, value_name = "TEXT", default_value = "")]
    text: String,
    /// Terms in words, shown and signed with every sale
    #[arg(long, value_name = "TEXT", default_value = "")]
    terms: String,
    /// The law that applies, in words
    #[arg(long, value_name = "TEXT", default_value = "")]
    law: String,
    /// Accept this arbiter only; may be repeated [default: all that you accept]
    #[arg(long = "arbiter", value_name = "CONTACT")]
    arbiters: Vec<String>,
    /// Sell without an arbiter: you take the e-cash by showing what opens the goods. Nobody decides about complaints, so buyers must trust you
    /// that the goods are good; and you must be on line when they pay
    #[arg(long, conflicts_with_all = ["arbiters", "for_file_hash", "complaints"])]
    no_arbiter: bool,
    /// How long the offer stands, in days
    #[arg(long, default_value_t = STANDS / 86_400, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..3650))]
    days: u64,
    /// How long after an order the arbiter can be asked, in seconds; without an arbiter, how long you can take the money [default: two weeks, or
    /// two hours without an arbiter]
    #[arg(long, value_name = "SECONDS")]
    valid_for: Option<u64>,
    /// How long complaints are possible after that, in seconds [default: three days]
    #[arg(long, value_name = "SECONDS")]
    complaints: Option<u64>,
    /// How long a message to the arbiter or to an issuer takes at most, in seconds
    #[arg(long, value_name = "SECONDS", hide = true)]
    delta: Option<u64>,
    /// By how many seconds clocks may differ
    #[arg(long, value_name = "SECONDS", hide = true)]
    sigma: Option<u64>,
    /// Do not ask here: leave the offer among the approvals, where a policy or `semper approve` answers it
    #[arg(long)]
    no_ask: bool,
    /// Print the link only, for a script
    #[arg(long)]
    json: bool,
}

/// Buy what a link offers, goods or a right: shows the contract, pays, checks what comes and saves it.
#[derive(Debug, Args)]
#[command(after_help = "Example: semper buy https://shop.example/offers/3f5a… --save-as data.csv")]
#[command(mut_arg("no_wait", |arg| arg.help("Do not wait for the end of the purchase")))]
pub(super) struct Buy {
    /// The link that the seller printed
    link: String,
    /// Take up an offer that has no arbiter: nobody gives your money back if the goods are not what was promised
    #[arg(long, conflicts_with = "arbiter")]
    no_arbiter: bool,
    /// The credential that you show where a right is the price: the beginning of its serial number [default: the one that ends first]
    #[arg(long, value_name = "SERIAL", default_value = "", hide_default_value = true)]
    credential: String,
    #[command(flatten)]
    taking: Taking,
}

/// Give a file for one that a link offers: both change hands, or neither.
#[derive(Debug, Args)]
#[command(after_help = "Example: semper swap mine.csv --for https://bob.example/offers/3f5a… --save-as theirs.csv")]
#[command(mut_arg("save_as", |arg| arg.help("Where the other file goes [default: a file of its name, here]")))]
#[command(mut_arg("no_wait", |arg| arg.help("Do not wait for the end of the swap")))]
pub(super) struct Swap {
    /// The file that you give, at most 4 MiB
    file: PathBuf,
    /// The link that the other party printed
    #[arg(long = "for", value_name = "LINK")]
    link: String,
    #[command(flatten)]
    taking: Taking,
}

/// How an offer is taken up.
#[derive(Debug, Args)]
struct Taking {
    /// Where the goods go [default: a file of their name, here]
    #[arg(long, value_name = "FILE")]
    save_as: Option<PathBuf>,
    /// The arbiter, as your contact book calls it [default: the first that both of you accept]
    #[arg(long, value_name = "CONTACT", default_value = "")]
    arbiter: String,
    /// The language of the contract: en or de
    #[arg(long, default_value = "en")]
    language: String,
    /// How long to wait for each message before the arbiter is asked, in seconds
    #[arg(long, default_value_t = sale::PATIENCE, value_name = "SECONDS")]
    patience: u64,
    #[command(flatten)]
    manner: follow::Manner,
}

impl Sell {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let home = common.home()?;
        let config = home.config()?;
        if let Some(price) = &self.price {
            Amount::parse(price).with_context(|| format!("{price:?} is no price"))?;
        }
        let (name_of_file, size) = (self.for_file_name, self.for_file_size);
        let wants = self.for_file_hash.map(|hash| WantedOrder { hash, name: name_of_file, size });
        let name = match &self.title {
            Some(title) => title,
            None => file_name(&self.file)?,
        };
        let total =
            std::fs::metadata(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?.len();
        let mut progress = Progress::new("Encrypting", total);
        let prepared = sale::prepare(&home, &self.file, name, &self.text, move |done| progress.show(done)).await?;
        let pace = if self.no_arbiter { Pace::WITHOUT_ARBITER } else { Pace::default() };
        let order = OfferOrder {
            price: self.price.unwrap_or_default(),
            wants,
            right: self.for_credential.zip(self.issuer).map(|(right, issuer)| RightOrder { right, issuer }),
            arbiters: self.arbiters,
            no_arbiter: self.no_arbiter,
            terms: self.terms,
            law: self.law,
            until: now().unix() + self.days * 86_400,
            valid_for: self.valid_for.unwrap_or(pace.valid_for.0),
            complaints: self.complaints.unwrap_or(pace.complaints.0),
            delta: self.delta.unwrap_or(pace.delta.0),
            sigma: self.sigma.unwrap_or(pace.sigma.0),
            ..prepared
        };
        let session = session::connect(home, common.passphrase_file.as_deref(), true).await?;
        let offered = signed(session.client(), self.no_ask, async |client| Ok(client.sell(&order).await?)).await?;
        show(&offered, &config.base_url(), &session, self.json).await?;
        session.end().await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Has an offer signed: it is asked for again when the user has answered.
pub(super) async fn signed(
    client: &Client,
    no_ask: bool,
    offer: impl AsyncFn(&Client) -> Result<OfferView>,
) -> Result<OfferView> {
    let offered = offer(client).await?;
    let Some(id) = offered.approval.as_ref().filter(|_| !no_ask) else { return Ok(offered) };
    let approvals = client.approvals().await?;
    let approval = approvals.iter().find(|approval| approval.id == *id).context("the question is gone")?;
    approve::put(client, approval).await?;
    offer(client).await
}

/// Prints the link of an offer, and serves the offer if no other process of the user does.
pub(super) async fn show(offered: &OfferView, base_url: &str, session: &Session, json: bool) -> Result<()> {
    let link = link(base_url, &offered.id);
    if json {
        println!("{}", serde_json::json!({ "offer": offered.id, "link": link, "approval": offered.approval }));
        return Ok(());
    }
    if offered.approval.is_some() {
        println!("The offer waits for your approval (`semper approvals`). Its link will be\n{link}");
    } else {
        println!("{} for {}:\n{link}", escape(&offered.name, 0), offered.price);
        show_qr_code(&link)?;
    }
    if session.is_own() {
        println!("This command serves the offer until you press Ctrl-C; `semper up` serves all your offers.");
        tokio::signal::ctrl_c().await?;
    }
    Ok(())
}

impl Buy {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let home = common.home()?;
        let page = Page::at(&home, &self.link).await?;
        if page.is::<AccessOffer>() {
            return self.show(common, &page.read()?).await;
        }
        if page.is::<RightOffer>() {
            return self.buy_right(common, &page.read()?).await;
        }
        let found: Found = page.read()?;
        let offer = found.offer.statement();
        println!("{} sells {} for {}", escape(&offer.seller, 0), escape(offer.goods.name(), 0), offer.price);
        println!("The seller's key: {}", found.seller.id());
        let Taking { save_as, arbiter, language, patience, manner } = self.taking;
        let save_as = fetch(&found, save_as.as_deref()).await?;
        let no_arbiter = self.no_arbiter;
        let order = BuyOrder { arbiter, no_arbiter, locale: language, patience, ..found.order(&save_as)? };
        let session = manner.connect(common).await?;
        let deal = session.client().buy(&order).await?.deal;
        manner.follow(session, &[deal]).await
    }
}

impl Buy {
    /// Buys a right.
    async fn buy_right(self, common: &Common, found: &FoundRight) -> Result<ExitCode> {
        let offer = found.offer.statement();
        let credential = offer.credential()?;
        println!("{} sells a right for {}", escape(&offer.seller, 0), offer.price);
        println!(
            "The right: {}, issued by {} (key {})",
            escape(&credential.right, 0),
            escape(&offer.issuer_name, 0),
            offer.bundle.issuer.id()
        );
        println!("It can be used {}, until {}", offer.uses, credential.until);
        println!("The seller's key: {}", found.seller.id());
        let Taking { save_as, arbiter, language, patience, manner } = self.taking;
        if save_as.is_some() {
            bail!("a right is no file: it is kept with your credentials; leave --save-as out");
        }
        let no_arbiter = self.no_arbiter;
        let order = BuyOrder { arbiter, no_arbiter, locale: language, patience, ..found.order() };
        let session = manner.connect(common).await?;
        let deal = session.client().buy(&order).await?.deal;
        manner.follow(session, &[deal]).await
    }

    /// Shows a right for what is offered.
    async fn show(self, common: &Common, found: &FoundAccess) -> Result<ExitCode> {
        let offer = found.offer.statement();
        println!("{} gives {} to whoever shows a right", escape(&offer.owner, 0), escape(offer.goods.name(), 0));
        println!(
            "The right: {}, issued by {} (key {})",
            escape(&offer.right, 0),
            escape(&offer.issuer_name, 0),
            offer.issuer
        );
        println!("The giver's key: {}", found.seller.id());
        let Taking { save_as, arbiter, language, patience, manner } = self.taking;
        let save_as = fetch(found, save_as.as_deref()).await?;
        let order = BuyOrder { arbiter, locale: language, patience, ..found.order(&save_as, &self.credential)? };
        let session = manner.connect(common).await?;
        let deal = session.client().buy(&order).await?.deal;
        manner.follow(session, &[deal]).await
    }
}

impl Swap {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let home = common.home()?;
        let file = read(&self.file)?;
        let found = FoundSwap::at(&home, &self.link).await?;
        let offer = found.offer.statement();
        println!("{} gives {} for another file", escape(&offer.owner, 0), escape(offer.goods.name(), 0));
        println!("The owner's key: {}", found.seller.id());
        let Taking { save_as, arbiter, language, patience, manner } = self.taking;
        let save_as = fetch(&found, save_as.as_deref()).await?;
        let order = SwapOrder { arbiter, locale: language, patience, ..found.order(file, &save_as)? };
        let session = manner.connect(common).await?;
        let deal = session.client().swap(&order).await?.deal;
        manner.follow(session, &[deal]).await
    }
}

/// Fetches the goods, and says where they are to be saved.
async fn fetch<T: Offering>(found: &Linked<T>, save_as: Option<&Path>) -> Result<PathBuf> {
    let save_as = match save_as {
        Some(path) => std::path::absolute(path)?,
        None => std::path::absolute(found.file_name()?)?,
    };
    if save_as.exists() {
        bail!("{} exists already; give another name with --save-as", save_as.display());
    }
    let mut progress = Progress::new("Fetching", found.offer.statement().goods().size().bytes());
    found.fetch(|done| progress.show(done)).await?;
    Ok(save_as)
}

/// Progress on long work, for people only.
struct Progress {
    what: &'static str,
    total: u64,
    last: Option<Instant>,
    shown: bool,
}

impl Progress {
    fn new(what: &'static str, total: u64) -> Self {
        Self { what, total, last: None, shown: std::io::stderr().is_terminal() && total > 4 * 1024 * 1024 }
    }

    fn show(&mut self, done: u64) {
        let due = done >= self.total || self.last.is_none_or(|last| last.elapsed() >= EVERY);
        if !self.shown || !due {
            return;
        }
        self.last = Some(Instant::now());
        let percent = done.saturating_mul(100) / self.total.max(1);
        eprint!("\r{} {percent} % of {} MiB", self.what, self.total / (1024 * 1024));
        if done >= self.total {
            eprintln!();
        }
        let _ = std::io::stderr().flush();
    }
}

//! The heart of the demonstration: Alice buys a file from Bob, and everything goes wrong that can.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use semper_core::amount::Amount;
use semper_core::cbor::Encode as _;
use semper_exchange::goods::{ArticleKey, CHUNK_LEN, ChunkIndex, Descriptor, Encoder, Index, Leaves, Side};

use super::stage::{Stage, moment, shown};
use super::{Exhibit, Proves, say, title};
use crate::control::OfferOrder;
use crate::control::client::Client;
use crate::home::Home;
use crate::now;

/// What is sold, as what, and for how much.
pub(super) struct Article {
    pub file: PathBuf,
    pub price: Amount,
    name: String,
    text: &'static str,
}

/// Dates of an offer that let the end of a dispute be seen within a minute. The default of `semper sell` is two weeks and three days.
const QUICK: [&str; 8] = ["--valid-for", "40", "--complaints", "6", "--delta", "1", "--sigma", "1"];

impl Article {
    /// The user's file and price, or a data set of measurements for 12.00 EUR.
    pub fn new(dir: &Path, file: Option<PathBuf>, price: &str) -> Result<Self> {
        let price = Amount::parse(price).with_context(|| format!("{price:?} is no price"))?;
        ensure!(price.currency().code() == "EUR", "the demonstration's bank and mint keep euros: give a price in EUR");
        let (file, text) = match file {
            Some(file) => (file, "the file of whoever runs this demonstration"),
            None => (measurements(dir)?, "all measurements of 2025"),
        };
        let size = file.metadata().with_context(|| format!("cannot read {}", file.display()))?.len();
        ensure!(size > 0, "{} is empty", file.display());
        let name = file.file_name().context("the file has no name")?.to_string_lossy().into_owned();
        Ok(Self { file, price, name, text })
    }
}

/// A data set that somebody could want to buy.
fn measurements(dir: &Path) -> Result<PathBuf> {
    let row = |i: u32| {
        let (month, day, celsius) = (1 + i / 1680 % 12, 1 + i / 60 % 28, 10 + i % 17);
        format!("2025-{month:02}-{day:02},{},{celsius}.{:03}\n", i % 60, i.wrapping_mul(7919) % 1000)
    };
    let file = dir.join("measurements.csv");
    std::fs::write(&file, format!("day,sensor,celsius\n{}", (0..20_000).map(row).collect::<String>()))?;
    Ok(file)
}

impl Stage {
    /// Gives the folders of the purchases, and those of which Bob has the money only when the time for complaints has run out.
    pub(super) fn sales(&self, article: &Article) -> Result<(Vec<Exhibit>, [String; 2])> {
        let mut folders = vec![self.sale(article)?, self.garbage(article)?];
        let silent_seller = self.silent_seller(article, &mut folders)?;
        let silent_buyer = self.silent_buyer(article, &mut folders)?;
        folders.push(self.power_cut(article)?);
        Ok((folders, [silent_seller, silent_buyer]))
    }

    /// Bob offers the file; the link.
    fn sell(&self, article: &Article, pace: &[&str]) -> Result<String> {
        let (file, price) = (shown(&article.file), article.price.to_string());
        let args = ["sell", &file, "--price", &price, "--text", article.text, "--json", "--no-ask"];
        let offered = self.json("bob", &[args.as_slice(), pace].concat())?;
        Ok(offered["link"].as_str().context("no link")?.to_owned())
    }

    /// Alice takes up an offer; the deal, and where the goods go.
    fn buy(&self, link: &str, name: &str, more: &[&str]) -> Result<(String, PathBuf)> {
        let out = self.dir.join("alice").join(name);
        let to = shown(&out);
        let deal = self.begin("alice", &[["buy", link, "--save-as", &to].as_slice(), more].concat())?;
        Ok((deal, out))
    }

    fn sale(&self, article: &Article) -> Result<Exhibit> {
        let size = article.file.metadata()?.len();
        title(&format!("1. Alice buys a file of {size} bytes from Bob for {}; both are honest", article.price));
        let link = self.sell(article, &[])?;
        say(&format!("Bob encrypts it, signs an offer, and has a link: {link}"));
        let begun = Instant::now();
        let (deal, out) = self.buy(&link, "1-bought", &[])?;
        self.ended("alice", &deal, "success")?;
        self.ended("bob", &deal, "success")?;
        self.same(&article.file, &out)?;
        say("she fetches the encrypted file, both sign a contract made for this sale, she locks e-cash for him,");
        say("he gives the key, she checks every byte and lets go of the money: nobody asked the arbiter");
        say(&format!(
            "{} ms from her order to the file on her disk and the money in his purse",
            begun.elapsed().as_millis()
        ));
        self.can_prove("alice", &deal, "the buyer (you) gave the money")?;
        say("he signs that the money is there, so that she can prove it");
        Ok((self.export("alice", &deal, "1-purchase")?, Proves::Binding))
    }

    fn same(&self, sold: &Path, bought: &Path) -> Result<()> {
        let same = std::fs::read(sold)? == std::fs::read(bought).context("the goods did not arrive")?;
        ensure!(same, "{} is not what was sold", bought.display());
        Ok(())
    }

    fn garbage(&self, article: &Article) -> Result<Exhibit> {
        title("2. Bob cheats: he describes the same file, and encrypts garbage");
        let before = self.coins("alice")?;
        let link = self.sell_garbage(article)?;
        let (deal, out) = self.buy(&link, "2-garbage", &[])?;
        self.ended("alice", &deal, "refunded")?;
        ensure!(!out.exists(), "garbage was saved");
        ensure!(self.coins("alice")? == before, "Alice's money is not back");
        say("Alice's program finds a chunk that is not what the contract says, and sends a proof of it to Carol;");
        say(
            "Carol checks the proof, rules that Bob is at fault, and signs the way back for the money: Alice has lost nothing",
        );
        self.impatient("bob", &deal)?;
        self.ended("bob", &deal, "faulted")?;
        say("Bob, who waits for his money in vain, asks Carol and gets the same ruling");
        Ok((self.export("alice", &deal, "2-garbage")?, Proves::Fault))
    }

    /// What a cheating Bob does: he offers the true file's description with the key of something else. His own program does not do this
    /// for him, so its store is filled by hand.
    fn sell_garbage(&self, article: &Article) -> Result<String> {
        let true_bytes = std::fs::read(&article.file)?;
        let mut garbage = true_bytes.clone();
        let last = garbage.len() - 1 - (garbage.len() - 1) % CHUNK_LEN;
        garbage[last] ^= 1;
        let mut key = [0; ArticleKey::LEN];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("no randomness"))?;
        let encode = |bytes: &[u8]| -> Result<_> {
            let (mut encoder, mut cipher) = (Encoder::new(ArticleKey::from_array(key)), Vec::new());
            encoder.push(bytes, &mut cipher)?;
            Ok((encoder.finish(&mut cipher)?, cipher))
        };
        let ((told, _), (given, cipher)) = (encode(&true_bytes)?, encode(&garbage)?);
        let leaves = (0..told.index.chunks()).map(ChunkIndex).filter_map(|place| {
            let (given, told) = (given.index.leaves(place)?, told.index.leaves(place)?);
            Some(Leaves { cipher: given.cipher, plain: told.plain })
        });
        let index = Index::new(leaves.collect())?;
        let store = self.dir.join("bob/goods").join(given.cipher_root.to_hex());
        std::fs::create_dir_all(&store)?;
        std::fs::write(store.join("cipher"), cipher)?;
        std::fs::write(store.join("index"), index.to_bytes())?;
        let goods = Descriptor::new(
            &article.name,
            "application/octet-stream",
            told.size,
            index.root(Side::Plain),
            article.text,
        )?;
        let order = OfferOrder {
            no_arbiter: false,
            goods: BASE64.encode(&goods.to_bytes()),
            key: BASE64.encode(&key),
            cipher_root: given.cipher_root.to_hex(),
            price: article.price.to_string(),
            wants: None,
            right: None,
            arbiters: Vec::new(),
            terms: String::new(),
            law: String::new(),
            until: now().unix() + 86_400,
            valid_for: 3600,
            complaints: 3600,
            delta: 60,
            sigma: 10,
        };
        let endpoint = std::fs::read(self.dir.join("bob/run/control.json"))?;
        let client = Client::new(serde_json::from_slice(&endpoint)?, Home::at(Some(self.dir.join("bob")))?)?;
        let offered = tokio::runtime::Handle::current().block_on(client.sell(&order))?;
        Ok(format!("{}/offers/{}", self.address("bob")?, offered.id))
    }

    fn silent_seller(&self, article: &Article, folders: &mut Vec<Exhibit>) -> Result<String> {
        title("3. Bob goes silent when Alice's money is locked");
        let link = self.sell(article, &QUICK)?;
        self.up_asking("alice")?;
        let (deal, out) = self.buy(&link, "3-bought", &[])?;
        let question = self.question("alice", &deal)?;
        self.kill("bob");
        self.type_in("alice", &["approve", &question], &format!("{}\n", article.price))?;
        self.until("alice", &deal, "waiting for Bob", |view| view["state"] == "await-peer-final")?;
        self.impatient("alice", &deal)?;
        self.ended("alice", &deal, "success")?;
        self.same(&article.file, &out)?;
        folders.push((self.export("alice", &deal, "3-silent-seller")?, Proves::Resolved));
        say("she loses patience; her program asks Carol, who opens the key that Bob has deposited in the contract:");
        say("Alice has the file. Bob will have his money when the time for complaints is over");
        self.up("bob")?;
        self.up("alice")?;
        Ok(deal)
    }

    fn silent_buyer(&self, article: &Article, folders: &mut Vec<Exhibit>) -> Result<String> {
        title("4. Alice goes silent when Bob has given the key");
        let link = self.sell(article, &QUICK)?;
        self.up_asking("alice")?;
        let (deal, _) = self.buy(&link, "4-bought", &[])?;
        let question = self.question("alice", &deal)?;
        self.kill("alice");
        // She answers while her node is off: her promise and the locked money go out, nothing comes in any more.
        self.type_in("alice", &["approve", &question], &format!("{}\n", article.price))?;
        self.until("bob", &deal, "waiting for Alice", |view| view["state"] == "await-peer-final")?;
        self.impatient("bob", &deal)?;
        self.until("bob", &deal, "Carol's ruling", |view| view["state"] == "await-window")?;
        say("Bob shows Carol the contract and the key; the money will be his when the time for complaints is over");
        folders.push((self.export("bob", &deal, "4-silent-buyer")?, Proves::Resolved));
        self.up("alice")?;
        self.ended("alice", &deal, "success")?;
        self.same(&article.file, &self.dir.join("alice/4-bought"))?;
        say("Alice comes back: her file is waiting for her");
        Ok(deal)
    }

    fn power_cut(&self, article: &Article) -> Result<Exhibit> {
        title("5. The power fails in the middle: Alice, Bob, the mint and Carol are killed at once");
        let link = self.sell(article, &[])?;
        let (deal, out) = self.buy(&link, "5-bought", &[])?;
        let moment = moment()?;
        std::thread::sleep(moment);
        for party in ["alice", "bob", "mint", "arbiter"] {
            self.kill(party);
        }
        self.serve("mint")?;
        self.serve("arbiter")?;
        self.up("bob")?;
        self.up("alice")?;
        self.ended("alice", &deal, "success")?;
        self.ended("bob", &deal, "success")?;
        self.same(&article.file, &out)?;
        say(&format!(
            "{} ms after the order; they come back and go on where they were: file and money are where they belong",
            moment.as_millis()
        ));
        Ok((self.export("bob", &deal, "5-power-cut")?, Proves::Binding))
    }

    /// Waits for the money that Bob has only when the time for complaints is over.
    pub(super) fn late_money(&self, pending: &[String; 2]) -> Result<()> {
        title("8. The time for complaints about 3 and 4 runs out");
        pending.iter().try_for_each(|deal| self.ended("bob", deal, "success"))?;
        say("Carol signs the way of both locked sums to Bob, and he has his money");
        Ok(())
    }

    /// A party waits no longer: its node asks the arbiter.
    fn impatient(&self, party: &str, deal: &str) -> Result<()> {
        self.good(party, &["deals", "give-up", deal, "--no-wait"])?;
        Ok(())
    }

    /// The question that a party's node puts to its user about a deal.
    fn question(&self, party: &str, deal: &str) -> Result<String> {
        let begun = Instant::now();
        loop {
            let waiting = self.json(party, &["approvals", "--json"])?;
            let found = waiting.as_array().into_iter().flatten().find(|approval| approval["deal"] == deal);
            if let Some(id) = found.and_then(|approval| approval["id"].as_str()) {
                return Ok(id.to_owned());
            }
            ensure!(begun.elapsed() < Duration::from_secs(60), "{party} was never asked about {deal}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

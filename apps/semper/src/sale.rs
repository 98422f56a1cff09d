//! What a seller and a buyer do before anything goes to their node: goods are encrypted, offers are looked at, ciphertext is fetched.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use data_encoding::BASE64;
use semper_channel::ServiceClient;
use semper_commerce::access::AccessOffer;
use semper_commerce::contract_file::safe_name;
use semper_commerce::offer::{Offer, Pace};
use semper_commerce::right::RightOffer;
use semper_commerce::swap::FileOffer;
use semper_core::cbor::Encode as _;
use semper_core::cose::Statement;
use semper_core::hash::Digest;
use semper_core::party::KeySet;
use semper_core::signature::Verified;
use semper_crypto::SystemRandom;
use semper_exchange::goods::{ArticleKey, Descriptor};
use semper_support::crypto::Randomness as _;

use crate::control::{BuyOrder, FileOrder, OfferOrder, SwapOrder, media_type};
use crate::home::Home;
use crate::node::goods::GoodsStore;
use crate::{now, party, shop};

/// How long an offer stands if nobody says otherwise, in seconds: thirty days.
pub const STANDS: u64 = 30 * 86_400;
/// How long each message is waited for if nobody says otherwise, in seconds.
pub const PATIENCE: u64 = 3600;

/// Encrypts a file into a data directory, in constant memory; `progress` hears how many bytes are done. The answer is the order for an
/// offer of it, in which only the price is missing; its dates can be changed.
///
/// # Errors
/// The file cannot be read, is empty or too large, or has a name that no receiver could use; the disk is full. What was written then
/// stays as a file that nobody needs.
pub async fn prepare(
    home: &Home,
    file: &Path,
    name: &str,
    text: &str,
    mut progress: impl FnMut(u64) + Send + 'static,
) -> Result<OfferOrder> {
    let mut key = [0; ArticleKey::LEN];
    SystemRandom.fill(&mut key)?;
    let key = ArticleKey::from_array(key);
    let store = GoodsStore::new(home.goods());
    let (source, article_key) = (file.to_owned(), key.clone());
    let encoding = tokio::task::spawn_blocking(move || store.add(&source, article_key, &mut progress));
    let article = encoding.await.context("encrypting was stopped")??;
    let goods = Descriptor::new(name, media_type(file), article.size, article.plain_root, text)?;
    let pace = Pace::default();
    Ok(OfferOrder {
        goods: BASE64.encode(&goods.to_bytes()),
        key: BASE64.encode(key.as_bytes()),
        cipher_root: article.cipher_root.to_hex(),
        price: String::new(),
        wants: None,
        right: None,
        arbiters: Vec::new(),
        no_arbiter: false,
        terms: String::new(),
        law: String::new(),
        until: now().unix() + STANDS,
        valid_for: pace.valid_for.0,
        complaints: pace.complaints.0,
        delta: pace.delta.0,
        sigma: pace.sigma.0,
    })
}

/// The link of an offer of a party with this base address.
pub fn link(base_url: &str, offer: &str) -> String {
    format!("{base_url}/offers/{offer}")
}

/// The scheme by which a browser hands a link to the desk (HTML, 8.3.1.3: custom scheme handlers).
const HANDED: &str = "web+semper:";

/// A link as a page in the web has it, so that whoever follows it gets to the desk.
pub fn handed(link: &str) -> String {
    format!("{HANDED}{link}")
}

/// The link in one that was handed over; `None` if it is none of those.
pub fn unhanded(handed: &str) -> Option<&str> {
    handed.trim().strip_prefix(HANDED)
}

/// Whether a text has the form of a link to an offer.
pub fn is_offer(link: &str) -> bool {
    let web = link.starts_with("http://") || link.starts_with("https://");
    web && link.contains("/offers/") && !link.contains(char::is_whitespace)
}

/// An offer of goods for money that was fetched.
pub type Found = Linked<Offer>;
/// An offer of goods for the show of a right that was fetched.
pub type FoundAccess = Linked<AccessOffer>;
/// An offer of goods for a file that was fetched.
pub type FoundSwap = Linked<FileOffer>;
/// An offer of a right that was fetched.
pub type FoundRight = Linked<RightOffer>;

/// What a link has led to: an offer of any kind, not checked.
pub struct Page {
    bytes: Vec<u8>,
    base: String,
    name: String,
    services: ServiceClient,
    goods: PathBuf,
}

/// An offer that a link has led to, and that its seller has signed.
pub struct Linked<T> {
    /// The offer.
    pub offer: Verified<T>,
    /// Who offers it.
    pub seller: KeySet,
    page: Page,
}

/// What every offer says about its goods.
pub trait Offering: Statement {
    /// What is given.
    fn goods(&self) -> &Descriptor;

    /// The root over its ciphertext.
    fn cipher_root(&self) -> Digest;
}

impl Offering for Offer {
    fn goods(&self) -> &Descriptor {
        &self.goods
    }

    fn cipher_root(&self) -> Digest {
        self.cipher_root
    }
}

impl Offering for FileOffer {
    fn goods(&self) -> &Descriptor {
        &self.goods
    }

    fn cipher_root(&self) -> Digest {
        self.cipher_root
    }
}

impl Offering for AccessOffer {
    fn goods(&self) -> &Descriptor {
        &self.goods
    }

    fn cipher_root(&self) -> Digest {
        self.cipher_root
    }
}

impl Page {
    /// Fetches what a link leads to, for the party of a data directory.
    ///
    /// # Errors
    /// It is no link, nobody answers there, or there is no such offer.
    pub async fn at(home: &Home, link: &str) -> Result<Self> {
        let link = unhanded(link).unwrap_or(link);
        let (base, name) = link.rsplit_once("/offers/").context("a link to an offer ends in /offers/ and its name")?;
        let services = party::services(home)?;
        let answer = services.ask(link, None).await?;
        if answer.status != 200 {
            bail!("there is no such offer (status {})", answer.status);
        }
        let (base, name) = (base.to_owned(), name.to_owned());
        Ok(Self { bytes: answer.body, base, name, services, goods: home.goods() })
    }

    /// Whether it is an offer of this kind.
    pub fn is<T: Statement>(&self) -> bool {
        shop::read::<T>(&self.bytes).is_ok()
    }

    /// The offer.
    ///
    /// # Errors
    /// It is not the offer that the link names, or none of this kind.
    pub fn read<T: Statement>(self) -> Result<Linked<T>> {
        let (offer, seller, _) = shop::read(&self.bytes)?;
        if self.name != offer.id().to_string() {
            bail!("the seller's server gives another offer than the link names");
        }
        Ok(Linked { offer, seller, page: self })
    }

    fn order(&self) -> BuyOrder {
        BuyOrder {
            page: BASE64.encode(&self.bytes),
            save_as: String::new(),
            arbiter: String::new(),
            no_arbiter: false,
            locale: "en".to_owned(),
            patience: PATIENCE,
            credential: String::new(),
            issuer: String::new(),
        }
    }
}

impl<T: Statement> Linked<T> {
    /// Looks at what a link offers, for the party of a data directory.
    ///
    /// # Errors
    /// It is no link, nobody answers there, or what comes is not the offer that the link names.
    pub async fn at(home: &Home, link: &str) -> Result<Self> {
        Page::at(home, link).await?.read()
    }
}

impl<T: Offering> Linked<T> {
    /// Fetches the ciphertext, as far as it is not here yet; `progress` hears how many bytes are here. It opens nothing without the key
    /// that is paid for.
    ///
    /// # Errors
    /// The seller's server does not answer, or gives something else; the disk is full. What has come stays, and the next call goes on.
    pub async fn fetch(&self, progress: impl FnMut(u64)) -> Result<()> {
        let Page { base, services, goods, .. } = &self.page;
        let (offer, store) = (self.offer.statement(), GoodsStore::new(goods.clone()));
        Ok(store.fetch(services, base, offer.goods(), offer.cipher_root(), progress).await?)
    }

    /// The goods' name, made safe to create a file with.
    ///
    /// # Errors
    /// There is no such file name.
    pub fn file_name(&self) -> Result<String> {
        Ok(safe_name(self.offer.statement().goods().name())?)
    }
}

impl Found {
    /// An order of it, to be saved as a file of this absolute path.
    ///
    /// # Errors
    /// The path is not Unicode.
    pub fn order(&self, save_as: &Path) -> Result<BuyOrder> {
        Ok(BuyOrder { save_as: absolute(save_as)?, ..self.page.order() })
    }
}

impl FoundAccess {
    /// An order of it, to be saved as a file of this absolute path, with the credential whose serial number begins so.
    ///
    /// # Errors
    /// The path is not Unicode.
    pub fn order(&self, save_as: &Path, credential: &str) -> Result<BuyOrder> {
        Ok(BuyOrder { save_as: absolute(save_as)?, credential: credential.to_owned(), ..self.page.order() })
    }
}

impl FoundRight {
    /// An order of it. The credential that comes is kept with the others.
    pub fn order(&self) -> BuyOrder {
        self.page.order()
    }
}

impl FoundSwap {
    /// An order of it for a file, to be saved as a file of this absolute path.
    ///
    /// # Errors
    /// The path is not Unicode.
    pub fn order(&self, file: FileOrder, save_as: &Path) -> Result<SwapOrder> {
        Ok(SwapOrder {
            page: BASE64.encode(&self.page.bytes),
            file,
            save_as: absolute(save_as)?,
            arbiter: String::new(),
            locale: "en".to_owned(),
            patience: PATIENCE,
        })
    }
}

fn absolute(save_as: &Path) -> Result<String> {
    Ok(save_as.to_str().context("the file's name is not Unicode")?.to_owned())
}

//! What this party offers: articles, offers that stand or stood, and those that wait for their signature.
//!
//! ```text
//! record "article"       cipher root → { 0: descriptor, 1: key }                             not for a right: what is sold is the credential
//! record "offer"         offer       → { 0: signed offer, 1: whether it stands }
//! record "offer-asked"   offer       → { ? 0: article, 1: question }        until the user has answered, or its time is over
//! ```
//! What is to be offered is stored before the question is put: the answer may come days later, after a crash, and nobody has to ask again.

use semper_commerce::access::AccessOffer;
use semper_commerce::offer::Offer;
use semper_commerce::right::RightOffer;
use semper_commerce::swap::FileOffer;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::cose::{Draft, Signed};
use semper_core::hash::Digest;
use semper_core::ids::{DealId, StatementId};
use semper_core::time::Time;
use semper_exchange::goods::{ArticleKey, Descriptor};
use semper_support::approval::{Answer, ApprovalError, Exhibit, SignRequest};
use semper_support::archive::{Commit, ReadError};
use semper_support::engine::Consent;

use super::entry::Ask;
use super::{Node, NodeError, now};

const ARTICLES: &str = "article";
const OFFERS: &str = "offer";
const ASKED: &str = "offer-asked";
/// Most offers that are listed.
const OFFERS_MAX: usize = 1000;

/// An article that is sold.
#[derive(Clone)]
pub struct Article {
    /// What it is.
    pub goods: Descriptor,
    /// What opens it.
    pub key: ArticleKey,
}

/// An offer of this party.
pub struct OwnOffer {
    /// The offer.
    pub offer: Stated,
    /// As it was signed.
    pub signed: Signed,
    /// Whether orders are still taken.
    pub stands: bool,
}

/// An offer that waits for its user's signature. Nobody else sees it.
pub struct AskedOffer {
    /// The offer.
    pub offer: Stated,
    article: Option<Article>,
    question: Ask,
}

/// What has become of something that was to be offered.
pub enum Offering {
    /// It is offered.
    Offered(Box<OwnOffer>),
    /// The user has not answered yet.
    Waiting,
    /// The user has said no.
    Declined,
    /// Its time was over before it was signed.
    Ended,
}

/// What an offer states.
pub enum Stated {
    /// Something is given for money.
    Sale(Offer),
    /// Something is given for a file.
    Swap(FileOffer),
    /// Something is given for the show of a right.
    Access(AccessOffer),
    /// A right is passed on for money.
    Right(RightOffer),
}

impl Stated {
    fn read(payload: &[u8]) -> Result<Self, DecodeError> {
        let sale = Offer::from_bytes(payload).map(Stated::Sale);
        let swap = || FileOffer::from_bytes(payload).map(Stated::Swap);
        let access = || AccessOffer::from_bytes(payload).map(Stated::Access);
        let right = || RightOffer::from_bytes(payload).map(Stated::Right);
        sale.or_else(|error| swap().or_else(|_| access()).or_else(|_| right()).map_err(|_| error))
    }

    /// The root of the ciphertext of its goods; a right has none.
    fn cipher_root(&self) -> Option<Digest> {
        match self {
            Stated::Sale(offer) => Some(offer.cipher_root),
            Stated::Swap(offer) => Some(offer.cipher_root),
            Stated::Access(offer) => Some(offer.cipher_root),
            Stated::Right(_) => None,
        }
    }

    /// How long it stands.
    pub fn until(&self) -> Time {
        match self {
            Stated::Sale(offer) => offer.until,
            Stated::Swap(offer) => offer.until,
            Stated::Access(offer) => offer.until,
            Stated::Right(offer) => offer.until,
        }
    }
}

impl AskedOffer {
    /// Its identifier, and that of the question.
    pub fn id(&self) -> StatementId {
        self.question.draft.id()
    }
}

impl Node {
    /// Has an offer signed, and offers it as soon as it is: at once, or when the user has answered. Asked again for the same offer, it gives what
    /// has become of it. What is offered is kept with it, if it is not a right.
    ///
    /// # Errors
    /// `Approval`: it is not signed, or cannot be now. Storage failed. Nothing is offered.
    pub async fn offer_when_signed(&self, article: Option<Article>, draft: Draft) -> Result<Offering, NodeError> {
        let id = draft.id();
        if let Some(own) = self.offer(id).await? {
            return Ok(Offering::Offered(Box::new(own)));
        }
        let offer = Stated::read(&draft.payload).map_err(|error| damaged("offer", &error))?;
        let asked = AskedOffer { offer, article, question: Ask { draft, consent: Consent::Ask } };
        let records = vec![(ASKED.to_owned(), id.as_bytes().to_vec(), Some(asked.to_bytes()))];
        self.archive.commit(Commit { records, ..Commit::default() }).await.map_err(NodeError::Commit)?;
        let answered = self.put_offer(asked).await;
        if answered.is_err() {
            // Whoever asked hears of it now, and is not to be asked later.
            self.forget_asked(id, Vec::new()).await?;
        }
        answered
    }

    /// Puts the question about every offer that waits for its signature, and offers what was signed.
    pub(super) async fn ask_offers(&self) -> Result<(), NodeError> {
        for asked in self.offers_asked().await? {
            let id = asked.id();
            match self.put_offer(asked).await {
                Ok(_) => {}
                // The keys are locked or too much waits: later.
                Err(NodeError::Approval(ApprovalError::Unavailable(_) | ApprovalError::TooMany)) => {}
                Err(NodeError::Approval(error)) => {
                    tracing::error!(%error, "an offer is not signed");
                    self.forget_asked(id, Vec::new()).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn put_offer(&self, asked: AskedOffer) -> Result<Offering, NodeError> {
        let id = asked.id();
        if asked.offer.until() < now() {
            self.keys.withdraw(id).await?;
            self.forget_asked(id, Vec::new()).await?;
            return Ok(Offering::Ended);
        }
        let deal = DealId::from_array(std::array::from_fn(|place| id.as_bytes()[place]));
        let request = SignRequest { deal, draft: asked.question.draft, exhibit: Exhibit::Statement };
        match self.keys.request(request).await? {
            Answer::Waiting => {
                self.changed.send_modify(|count| *count += 1);
                Ok(Offering::Waiting)
            }
            Answer::Declined => {
                self.forget_asked(id, Vec::new()).await?;
                Ok(Offering::Declined)
            }
            Answer::Signed(signed) => {
                let own = OwnOffer { offer: asked.offer, signed, stands: true };
                let article = own.offer.cipher_root().zip(asked.article);
                let article = article
                    .map(|(root, article)| (ARTICLES.to_owned(), root.as_bytes().to_vec(), Some(article.to_bytes())));
                let offer = (OFFERS.to_owned(), id.as_bytes().to_vec(), Some(own.to_bytes()));
                self.forget_asked(id, [offer].into_iter().chain(article).collect()).await?;
                Ok(Offering::Offered(Box::new(own)))
            }
        }
    }

    async fn forget_asked(
        &self,
        id: StatementId,
        mut with: Vec<(String, Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), NodeError> {
        with.push((ASKED.to_owned(), id.as_bytes().to_vec(), None));
        self.archive.commit(Commit { records: with, ..Commit::default() }).await.map_err(NodeError::Commit)?;
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Offers that wait for the user's signature; the holder of the keys lets no more than a few hundred wait.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn offers_asked(&self) -> Result<Vec<AskedOffer>, NodeError> {
        let records = self.archive.records(ASKED, None, OFFERS_MAX).await?;
        records.iter().map(|(_, bytes)| AskedOffer::from_bytes(bytes).map_err(|e| damaged("offer", &e))).collect()
    }

    /// Offers of this party, those that have ended too; at most a thousand.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn offers(&self) -> Result<Vec<OwnOffer>, NodeError> {
        let mut offers = Vec::new();
        for (_, bytes) in self.archive.records(OFFERS, None, OFFERS_MAX).await? {
            offers.push(self.read_offer(&bytes).await?);
        }
        Ok(offers)
    }

    /// An offer of this party.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn offer(&self, id: StatementId) -> Result<Option<OwnOffer>, NodeError> {
        match self.archive.record(OFFERS, id.as_bytes()).await? {
            Some(bytes) => self.read_offer(&bytes).await.map(Some),
            None => Ok(None),
        }
    }

    /// A stored offer. One of a right that is ours no more stands no more.
    async fn read_offer(&self, bytes: &[u8]) -> Result<OwnOffer, NodeError> {
        let own = OwnOffer::from_bytes(bytes).map_err(|error| damaged("offer", &error))?;
        let Stated::Right(offer) = &own.offer else { return Ok(own) };
        let serial = offer.credential().map_err(|error| damaged("offer", &error))?.serial;
        let stands = own.stands && self.has(serial).await?;
        Ok(OwnOffer { stands, ..own })
    }

    /// Takes orders for an offer no more, or again. Deals that have begun go on.
    ///
    /// # Errors
    /// `NoSuchOffer`. Storage failed; nothing has changed.
    pub async fn set_offer(&self, id: StatementId, stands: bool) -> Result<OwnOffer, NodeError> {
        let offer = self.offer(id).await?.ok_or(NodeError::NoSuchOffer(id))?;
        let offer = OwnOffer { stands, ..offer };
        let records = vec![(OFFERS.to_owned(), id.as_bytes().to_vec(), Some(offer.to_bytes()))];
        self.archive.commit(Commit { records, ..Commit::default() }).await.map_err(NodeError::Commit)?;
        self.read_offer(&offer.to_bytes()).await
    }

    pub(super) async fn article(&self, cipher_root: &Digest) -> Result<Option<Article>, NodeError> {
        let record = self.archive.record(ARTICLES, cipher_root.as_bytes()).await?;
        record.map(|bytes| Article::from_bytes(&bytes).map_err(|e| damaged("article", &e))).transpose()
    }
}

fn damaged(what: &str, error: &DecodeError) -> NodeError {
    NodeError::Read(ReadError(format!("a stored {what} is not readable: {error}")))
}

impl Encode for Article {
    fn to_value(&self) -> Value {
        record().put_bytes(0, self.goods.to_bytes()).put_bytes(1, self.key.as_bytes()).build()
    }
}

impl Decode for Article {
    const BYTES_MAX: usize = 8192;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let goods = Descriptor::from_bytes(&fields.bytes(0, "goods", 4096)?)?;
        let key = ArticleKey::from_array(fields.exact(1, "key")?);
        fields.close()?;
        Ok(Self { goods, key })
    }
}

impl OwnOffer {
    fn to_bytes(&self) -> Vec<u8> {
        record().put_item(0, &self.signed).put(1, self.stands).build().encode()
    }
}

impl Decode for OwnOffer {
    const BYTES_MAX: usize = 128 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (signed, stands): (Signed, bool) = (fields.item(0, "offer")?, fields.bool(1, "stands")?);
        fields.close()?;
        // Signed here, so it is not checked again.
        let offer = Stated::read(signed.payload())?;
        Ok(Self { offer, signed, stands })
    }
}

impl AskedOffer {
    fn to_bytes(&self) -> Vec<u8> {
        let article = self.article.as_ref().map(Encode::to_value);
        record().put_some(0, article).put_item(1, &self.question).build().encode()
    }
}

impl Decode for AskedOffer {
    const BYTES_MAX: usize = 128 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (article, question): (_, Ask) = (fields.optional_item(0, "article")?, fields.item(1, "question")?);
        fields.close()?;
        let offer = Stated::read(&question.draft.payload)?;
        Ok(Self { offer, article, question })
    }
}

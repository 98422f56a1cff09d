//! Notices: what the parties of a contract formally tell each other about it. A notice travels as signed mail does, in a deal of its own, its
//! *carrier*; here it is attached to the deal that it is about.
//!
//! What comes is attached only if it was signed by the other party of that contract. Anything else is mail, and says so.

use semper_commerce::deal::Deal;
use semper_commerce::plan::SEND;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::container::{AckWanted, Attributes, Container, Information, Leaf, Node as Part};
use semper_core::contract::Core;
use semper_core::cose::{Kind, Signed};
use semper_core::ids::{ContainerId, DealId, KeySetId};
use semper_core::party::Role;
use semper_core::text::{is_plain_line, is_visible};
use semper_core::time::Time;
use semper_exchange::notice::{FOLDER_MEDIA_TYPE, LINE_MAX, Notice, Saying, is_notice, part_between};
use semper_support::archive::{Evidence, ReadError};
use semper_support::engine::{Ending, EvidenceKind};
use semper_transfer::tx;

use super::deals::Beginning;
use super::entry::{Entry, Handing, Told};
use super::many::Record;
use super::{BookError, Contact, Node, NodeError};

/// Record space of the notices: deal that it is about and carrier → [`Given`].
const NOTICES: &str = "notice";
/// Most notices about one deal, of both sides together. What comes beyond is mail.
const NOTICES_MAX: usize = 64;
const PAGE: usize = 256;
/// Most evidence that goes with a notice, in bytes.
const EVIDENCE_MAX: usize = 8 * 1024 * 1024;

/// Who has given a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This party.
    Us,
    /// The other one.
    Peer,
}

/// A notice that is attached to a deal.
///
/// ```text
/// given = { 0: 1, 1: notice, 2: container id, 3: whether it is ours }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The deal by which it travels.
    pub carrier: DealId,
    /// What it says.
    pub notice: Notice,
    /// The container in which it is.
    pub container: ContainerId,
    /// Who has given it.
    pub by: Side,
}

/// Why no notice was given. Nothing was signed or sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoticeError {
    /// The deal has no contract.
    #[error("this deal has no contract: there is nothing to withdraw from or to dispute")]
    NoContract,
    /// The contract has more than two parties.
    #[error(
        "this contract is among more than two parties, to whom notices cannot be given: write to each with `semper send --signed --ack --submission`"
    )]
    Many,
    /// We have signed nothing.
    #[error(
        "you have not signed this contract: there is nothing to withdraw from; decline it, or end the deal with `semper deals give-up`"
    )]
    NotSigned,
    /// Nobody is bound.
    #[error("this deal has ended without binding anybody: there is nothing to withdraw from")]
    NobodyBound,
    /// It was said before.
    #[error("you have withdrawn from this contract already, on {0}; see `semper deals show`")]
    Withdrawn(Time),
    /// A dispute of ours waits for its answer.
    #[error("you have opened a dispute about this contract already; its answer is due by {0}")]
    Disputed(Time),
    /// No dispute of the other party waits for our answer.
    #[error("the other party has no dispute with you about this contract that waits for an answer")]
    NothingToAnswer,
    /// There are too many.
    #[error("there are {NOTICES_MAX} notices about this contract, and no more are taken")]
    TooMany,
    /// A claim is not one of the language.
    #[error("{0:?} is no claim: {1}")]
    Claim(String, String),
    /// An amount cannot be read.
    #[error("{0:?} is no amount like `12.00 EUR`: {1}")]
    Amount(String, String),
    /// There is no such answer.
    #[error("{0:?} is no answer: acknowledge, deny or no-contest")]
    Answer(String),
    /// A text is too long or cannot be shown as it stands.
    #[error("the notice is not usable: {0}")]
    Unusable(DecodeError),
    /// The evidence is too large to be sent along.
    #[error(
        "the evidence has {0} bytes, at most {EVIDENCE_MAX} are sent along; leave it out, and hand over the folder in another way"
    )]
    TooLarge(usize),
    /// The node cannot.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<ReadError> for NoticeError {
    fn from(error: ReadError) -> Self {
        Self::Node(NodeError::Read(error))
    }
}

impl Node {
    /// Tells the other party of a deal's contract something about it. `say` is what, once it is known which dispute waits for our answer. With
    /// `evidence` what this party can prove of the deal goes along. The carrier; it waits for the user's signature.
    ///
    /// # Errors
    /// [`NoticeError`]: nothing was stored.
    pub async fn give_notice(
        &self,
        about: DealId,
        say: impl FnOnce(Option<ContainerId>) -> Option<Saying> + Send,
        words: String,
        evidence: bool,
    ) -> Result<DealId, NoticeError> {
        // One after the other: of two withdrawals at once the second finds the first.
        let _one_at_a_time = self.lock_of(&about).lock().await;
        let entry = self.entry(about).await?;
        let given = self.notices(about).await?;
        if given.len() >= NOTICES_MAX {
            return Err(NoticeError::TooMany);
        }
        let waiting = unanswered(&given, Side::Peer).map(|dispute| dispute.container);
        let saying = say(waiting).ok_or(NoticeError::NothingToAnswer)?;
        self.check(&entry, &given, &saying).await?;
        let core = &entry.deal.agreement().ok_or(NoticeError::NoContract)?.core;
        let (me, peer) = (self.keys.key_set(), entry.deal.sides().peer.clone());
        let part = part_between(core, me.id(), peer.id()).ok_or(NoticeError::Many)?;
        let (cid, title, time) = (core.cid(), plain(&entry.title, "the contract"), super::now());
        let notice = Notice { deal: about, cid, part, to: peer.id(), title, time, saying, words };
        let mut files = vec![notice.information().map_err(NoticeError::Unusable)?];
        if evidence {
            let name = format!("evidence-{}.semper", notice.saying.name());
            files.push(self.evidence_for_peer(about, &name).await?);
        }
        let container = signed_mail(self.random().map_err(NodeError::Crypto)?, files).map_err(NoticeError::Unusable)?;
        let carrier = DealId::from_array(self.random().map_err(NodeError::Crypto)?);
        // Somebody with whom we have made a deal need not be a contact.
        let known = self.party(&about, peer.id(), &[]).await?.card_text();
        let (_, card) = self.met(&carrier, peer.id(), &known).await.map_err(NodeError::Book)?;
        let (container_id, by) = (container.id(), Side::Us);
        let told = Told { saying: notice.saying.name().to_owned(), about: Some(about) };
        let given = Given { carrier, notice, container: container_id, by };
        let deal = Deal::send(carrier, me, peer, container);
        let records = [given.record()].into_iter().chain(card).collect();
        let beginning = Beginning::new(deal, entry.title, entry.peer, Handing::Provable);
        self.begin_all(vec![Beginning { records, told: Some(told), ..beginning }]).await?;
        Ok(carrier)
    }

    /// Whether this may be said now.
    async fn check(&self, entry: &Entry, given: &[Given], saying: &Saying) -> Result<(), NoticeError> {
        if entry.deal.agreement().is_none() {
            return Err(NoticeError::NoContract);
        }
        match saying {
            Saying::Withdrawal { .. } => self.check_withdrawal(entry, given).await,
            Saying::Dispute { .. } => self.check_dispute(given).await,
            Saying::Answer { .. } => Ok(()),
        }
    }

    async fn check_withdrawal(&self, entry: &Entry, given: &[Given]) -> Result<(), NoticeError> {
        let ours = |before: &&Given| before.by == Side::Us && matches!(before.notice.saying, Saying::Withdrawal { .. });
        for before in given.iter().filter(ours) {
            if self.has_effect(before).await? {
                return Err(NoticeError::Withdrawn(before.notice.time));
            }
        }
        if matches!(entry.deal.ending(), Some(Ending::Aborted | Ending::Lapsed | Ending::Recalled)) {
            return Err(NoticeError::NobodyBound);
        }
        let mine = self.keys.key_set().id();
        let is_ours = |signed: Signed| matches!(signed.kind(), Kind::Promise | Kind::Round) && signed.signer() == mine;
        let evidence = self.kept_of(entry.deal.id()).await?;
        let signed = evidence.iter().filter_map(signed_in).any(is_ours);
        if signed { Ok(()) } else { Err(NoticeError::NotSigned) }
    }

    async fn check_dispute(&self, given: &[Given]) -> Result<(), NoticeError> {
        let Some(before) = unanswered(given, Side::Us) else { return Ok(()) };
        match before.notice.saying {
            Saying::Dispute { answer_by, .. } if answer_by >= super::now() && self.has_effect(before).await? => {
                Err(NoticeError::Disputed(answer_by))
            }
            _ => Ok(()),
        }
    }

    /// Whether a notice of ours goes its way or has come: what its user has given up before it was delivered may be said again.
    async fn has_effect(&self, given: &Given) -> Result<bool, NoticeError> {
        let carrier = self.entry(given.carrier).await?;
        if carrier.deal.ending() != Some(Ending::Unconfirmed) {
            return Ok(true);
        }
        let evidence = self.archive.evidence(&Entry::key(&given.carrier)).await?;
        Ok(evidence.iter().any(|item| item.item.kind == EvidenceKind::Receipt.name()))
    }

    /// The notices about a deal, in the order in which they were written.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn notices(&self, about: DealId) -> Result<Vec<Given>, ReadError> {
        let mut given = Vec::new();
        // Twice as many as are taken at most: those of both sides may come at the same moment.
        for (key, value) in self.archive.records(NOTICES, Some(about.as_bytes()), 2 * NOTICES_MAX).await? {
            let Some((of, given_here)) = Given::read(&key, &value)? else { continue };
            if of != about {
                break;
            }
            given.push(given_here);
        }
        given.sort_by_key(|given| given.notice.time);
        Ok(given)
    }

    /// Every notice, with the deal that it is about.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn all_notices(&self) -> Result<Vec<(DealId, Given)>, ReadError> {
        let (mut all, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let page = self.archive.records(NOTICES, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, value) in &page {
                all.extend(Given::read(key, value)?);
            }
        }
        all.sort_by_key(|(_, given)| given.notice.time);
        Ok(all)
    }

    /// What the carrier of a notice has kept.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn kept_of(&self, carrier: DealId) -> Result<Vec<Evidence>, ReadError> {
        self.archive.evidence(&Entry::key(&carrier)).await
    }

    /// Attaches a notice that somebody has sent to the deal that it is about, if it was sent by the other party of its contract. A container that
    /// a deal of ours sends is not looked at: its notice was attached when it began.
    pub(super) async fn heard(&self, entry: &mut Entry, container: &[u8]) -> Result<Option<Record>, NodeError> {
        if *entry.deal.plan() != SEND || entry.deal.sides().role == Role::ORIGINATOR || entry.told.is_some() {
            return Ok(None);
        }
        let Ok(container) = Container::from_bytes(container) else { return Ok(None) };
        let Some(saying) = claimed(&container) else { return Ok(None) };
        let found = self.belongs(entry, &container).await?;
        let about = found.as_ref().map(|(about, _)| about.deal.id());
        entry.told = Some(Told { saying, about });
        Ok(found.map(|(about, given)| {
            entry.title = about.title;
            given.record()
        }))
    }

    /// The deal that a notice is about, if its sender is the other party of that contract and the notice was signed.
    async fn belongs(&self, carrier: &Entry, container: &Container) -> Result<Option<(Entry, Given)>, NodeError> {
        let Ok(Some(notice)) = Notice::of(container) else { return Ok(None) };
        let about = match self.entry(notice.deal).await {
            Ok(about) => about,
            Err(NodeError::NoSuchDeal(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (peer, me) = (carrier.deal.sides().peer.id(), self.keys.key_set().id());
        let agreed = about.deal.agreement().map(|agreement| &agreement.core);
        let fits = |core: &Core| notice.to == me && notice.sender_in(core, peer).is_some();
        // The machine of the carrier has checked the signature that the container asks for.
        let good = container.asks_for_origin() && about.deal.sides().peer.id() == peer && agreed.is_some_and(fits);
        let before = self.notices(notice.deal).await?;
        if !good || before.len() >= NOTICES_MAX || !answers(&before, &notice) {
            return Ok(None);
        }
        let given = Given { carrier: carrier.deal.id(), notice, container: container.id(), by: Side::Peer };
        Ok(Some((about, given)))
    }

    /// Who opens a deal to give a notice about one that we have made with them: they need not be a contact.
    pub(super) async fn told_by(
        &self,
        carrier: DealId,
        from: KeySetId,
        message: &[u8],
    ) -> Result<(Contact, Option<Record>), NodeError> {
        let unknown = || NodeError::Book(BookError::Unknown(from));
        let Ok(tx::Message::Container { container, .. }) = tx::Message::from_bytes(message) else {
            return Err(unknown());
        };
        let container = Container::from_bytes(&container).map_err(|_| unknown())?;
        let notice = Notice::of(&container).ok().flatten().ok_or_else(unknown)?;
        let about = self.entry(notice.deal).await.map_err(|error| match error {
            NodeError::NoSuchDeal(_) => unknown(),
            error => error,
        })?;
        if about.deal.sides().peer.id() != from {
            return Err(unknown());
        }
        let card = self.party(&notice.deal, from, &[]).await?.card_text();
        Ok(self.met(&carrier, from, &card).await?)
    }

    /// What this party can prove of a deal, for the other party to see.
    async fn evidence_for_peer(&self, about: DealId, name: &str) -> Result<Information, NoticeError> {
        let bytes = self.folder_for_peer(about).await?.to_bytes();
        if bytes.len() > EVIDENCE_MAX {
            return Err(NoticeError::TooLarge(bytes.len()));
        }
        Information::new(name, FOLDER_MEDIA_TYPE, bytes).map_err(NoticeError::Unusable)
    }
}

/// The last dispute of a side that its other side has not answered.
pub(super) fn unanswered(given: &[Given], by: Side) -> Option<&Given> {
    let answered = |dispute: &Given| {
        let answers = |other: &Given| {
            other.by != by && matches!(other.notice.saying, Saying::Answer { to, .. } if to == dispute.container)
        };
        given.iter().any(answers)
    };
    let disputes = given.iter().filter(|given| matches!(given.notice.saying, Saying::Dispute { .. }));
    disputes.filter(|dispute| dispute.by == by).rfind(|dispute| !answered(dispute))
}

/// Whether an answer of the other party answers a dispute of ours; anything else need not.
fn answers(given: &[Given], notice: &Notice) -> bool {
    let Saying::Answer { to, .. } = notice.saying else { return true };
    let asked = |given: &Given| given.by == Side::Us && matches!(given.notice.saying, Saying::Dispute { .. });
    given.iter().any(|given| asked(given) && given.container == to)
}

/// A notice that its user did not sign was never given.
pub(super) fn taken_back(carrier: &Entry, ending: Ending) -> Option<Record> {
    let about = carrier.told.as_ref()?.about.filter(|_| ending == Ending::Lapsed)?;
    Some((NOTICES.to_owned(), key(about, carrier.deal.id()), None))
}

/// What a container says that it is, if it says that it is a notice.
fn claimed(container: &Container) -> Option<String> {
    let is = |leaf: &Leaf| matches!(leaf, Leaf::Information(file) if is_notice(file));
    if !container.leaves().iter().any(|(_, leaf)| is(leaf)) {
        return None;
    }
    let saying = Notice::of(container).ok().flatten().map(|notice| notice.saying.name());
    Some(saying.unwrap_or("unreadable").to_owned())
}

/// Files for the other party, signed, to be acknowledged under its signature.
fn signed_mail(nonce: [u8; 16], files: Vec<Information>) -> Result<Container, DecodeError> {
    let (origin, ack) = (true, AckWanted::Signed);
    let attributes = Attributes { confidential: true, origin, ack, submission: true, ..Attributes::default() };
    let parts = files.into_iter().map(|file| Part::leaf(Attributes::default(), Leaf::Information(file))).collect();
    Container::new(nonce, Part::branch(attributes, parts))
}

/// Foreign words as one line that is shown as it stands; `else_` if nothing is left of them.
pub(crate) fn plain(text: &str, else_: &str) -> String {
    let seen = |c: char| if is_visible(c) && c != '\\' { c } else { ' ' };
    let mut line = text.chars().map(seen).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(LINE_MAX));
    let line = line.trim_end();
    if is_plain_line(line) { line.to_owned() } else { else_.to_owned() }
}

/// The statement that an item of evidence is.
pub(super) fn signed_in(item: &Evidence) -> Option<Signed> {
    let is_statement = item.item.kind == EvidenceKind::Statement.name();
    is_statement.then(|| Signed::from_bytes(&item.item.bytes).ok()).flatten()
}

fn key(about: DealId, carrier: DealId) -> Vec<u8> {
    [about.as_bytes().as_slice(), carrier.as_bytes()].concat()
}

impl Given {
    fn record(&self) -> Record {
        let value = record().put(0, 1_u64).put_item(1, &self.notice).put_item(2, &self.container);
        let value = value.put(3, self.by == Side::Us).build().encode();
        (NOTICES.to_owned(), key(self.notice.deal, self.carrier), Some(value))
    }

    /// A stored notice, and the deal that it is about.
    fn read(key: &[u8], value: &[u8]) -> Result<Option<(DealId, Self)>, ReadError> {
        let Some((about, carrier)) = key.split_first_chunk::<16>() else { return Ok(None) };
        let Ok(carrier) = carrier.try_into().map(DealId::from_array) else { return Ok(None) };
        let stored = Stored::from_bytes(value).map_err(|error| ReadError(format!("a stored notice: {error}")))?;
        let Stored { notice, container, by } = stored;
        Ok(Some((DealId::from_array(*about), Self { carrier, notice, container, by })))
    }
}

struct Stored {
    notice: Notice,
    container: ContainerId,
    by: Side,
}

impl Decode for Stored {
    const BYTES_MAX: usize = Notice::BYTES_MAX + 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (notice, container) = (fields.item(1, "notice")?, fields.item(2, "container")?);
        let by = if fields.bool(3, "ours")? { Side::Us } else { Side::Peer };
        fields.close()?;
        Ok(Self { notice, container, by })
    }
}

//! From what the user asks for to a deal, and from a deal to what the user sees.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use semper_commerce::contract_file::{self, Draft, DraftError};
use semper_commerce::deal::{Deal, DealError, WaitsFor};
use semper_commerce::letter::{Letter, LetterError};
use semper_commerce::proposal::{Proposal, ProposalError};
use semper_commerce::right;
use semper_commerce::terms::Named;
use semper_core::cbor::{Decode, DecodeError, Encode as _};
use semper_core::container::{AckWanted, Attributes, Container, Information, Leaf, Node as Part, information_hash};
use semper_core::document::Document;
use semper_core::ids::DealId;
use semper_core::time::{Seconds, Time};
use semper_crypto::Encapsulator;
use semper_exchange::arbiter::rules_hash;
use semper_exchange::cn::SIGNERS_MAX;
use semper_exchange::evidence::Folder;
use semper_exchange::goods::{ArticleKey, Sealed, Seed};
use semper_exchange::gx::Own;
use semper_exchange::notice::is_notice;
use semper_support::crypto::Encapsulate as _;
use semper_support::engine::{Ending, EvidenceKind};
use semper_support::submission::LETTER_BYTES_MAX;

use crate::control::{
    ContactView, DealView, FileOrder, FileView, MailOrder, SendOrder, SettingOrder, SettingsView, SignOrder, ToldView,
};
use crate::node::{Beginning, BookError, Contact, Entry, Handing, Node, NodeError, PreferenceError, now, shop};

/// Why an order is not usable. Nothing was stored or sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// A contact is not known.
    #[error(transparent)]
    Book(#[from] BookError),
    /// No arbiter was named, and there is not exactly one accepted.
    #[error("name an arbiter with --arbiter; accepted are: {0}")]
    WhichArbiter(String),
    /// The arbiter that was named is not accepted as one.
    #[error("{0} is not accepted as an arbiter; see `semper contact add --arbiter`")]
    NotAnArbiter(String),
    /// A file is not usable.
    #[error("the file {name:?} is not usable: {error}")]
    File {
        /// Its name.
        name: String,
        /// What is wrong.
        error: DecodeError,
    },
    /// A file's bytes are not base64.
    #[error("the bytes of the file {0:?} are not base64")]
    Base64(String),
    /// Too few sign, or too many.
    #[error("two to {SIGNERS_MAX} parties sign a contract, yourself among them, not {0}")]
    Signers(usize),
    /// Somebody is to sign twice.
    #[error("{0} is named twice among the signers")]
    Twice(String),
    /// No file was given.
    #[error("there is nothing to sign or send")]
    Nothing,
    /// The files are too large together.
    #[error("too much for one message: {0}")]
    TooLarge(DecodeError),
    /// The contract cannot be written.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// The letter cannot be written.
    #[error(transparent)]
    Letter(#[from] LetterError),
    /// Nobody could tell whose receipt it is.
    #[error(
        "the contact card of {0} does not say who takes its messages in, so that a submission to it cannot be proven; ask for a newer card, or leave \
         out --submission. Nothing was sent"
    )]
    NoAgent(String),
    /// A proof of submission would be too large.
    #[error(
        "{size} bytes are too much to prove their submission: at most {SENT_MAX}; leave out --submission, or use `semper mail --submission`. Nothing was \
         sent"
    )]
    TooLargeToProve {
        /// The size of the container.
        size: usize,
    },
    /// A proposal contradicts itself.
    #[error(transparent)]
    Proposal(#[from] ProposalError),
    /// The deal cannot be made.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// No randomness.
    #[error(transparent)]
    Crypto(#[from] semper_support::crypto::CryptoError),
}

/// Largest container whose submission can be proven, in bytes: with the signature of its sender it has to fit into the letter of a proof.
const SENT_MAX: usize = LETTER_BYTES_MAX - 64 * 1024;

/// What an order says about proof of submission.
pub fn handing(submission: bool) -> Handing {
    if submission { Handing::Provable } else { Handing::Unproven }
}

/// Whether a proof could be had: whoever orders one must not find out when it is needed that there is none.
fn check_provable<'a>(submission: bool, recipients: impl IntoIterator<Item = &'a Contact>) -> Result<(), OrderError> {
    for recipient in recipients.into_iter().filter(|_| submission) {
        recipient.agent()?.ok_or_else(|| OrderError::NoAgent(recipient.name.clone()))?;
    }
    Ok(())
}

/// A deal in which all sign over files. Returns the deal, its title, and the others' names.
///
/// # Errors
/// [`OrderError`].
pub async fn sign(node: &Node, order: SignOrder) -> Result<(Deal, String, Vec<String>), OrderError> {
    let mut others = Vec::new();
    for name in &order.with {
        others.push(node.book().by_name(name).await?);
    }
    check_provable(order.submission, &others)?;
    let arbiter = arbiter(node, &order.arbiter).await?;
    let files = files_of(&order.files)?;
    let title = title(&files);
    let names = others.iter().map(|other| other.name.clone()).collect();
    let me = node.keys().key_set();
    let signers = [Named { name: node.name().to_owned(), key_set: me.id() }].into_iter();
    let signers: Vec<_> = signers.chain(others.iter().map(named)).collect();
    if !(2..=SIGNERS_MAX).contains(&signers.len()) {
        return Err(OrderError::Signers(signers.len()));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = signers.iter().find(|signer| !seen.insert(signer.key_set)) {
        return Err(OrderError::Twice(twice.name.clone()));
    }
    let draft = Draft {
        signers,
        arbiter: named(&arbiter),
        log: arbiter.log().ok_or_else(|| OrderError::NotAnArbiter(arbiter.name.clone()))?.id(),
        rules: rules_hash(),
        closes: now().after(Seconds(order.valid_for)),
        files,
        terms: order.terms,
        law: order.law,
        locale: order.locale,
        nonce: node.random()?,
    };
    let proposal = draft.propose(node.random()?)?;
    let (id, patience) = (DealId::from_array(node.random()?), Seconds(order.patience));
    // Each of many gets the cards of all the others, so that it can reach them.
    let cards = if others.len() > 1 { others.iter().map(Contact::card_text).collect() } else { Vec::new() };
    let others = others.iter().map(|other| other.key_set().clone()).collect();
    let deal = Deal::sign(id, me, others, arbiter.key_set().clone(), patience, &proposal, &cards)?;
    Ok((deal, title, names))
}

fn named(contact: &Contact) -> Named {
    Named { name: contact.name.clone(), key_set: contact.key_set().id() }
}

/// A deal that sends files.
///
/// # Errors
/// [`OrderError`].
pub async fn send(node: &Node, order: SendOrder) -> Result<Beginning, OrderError> {
    let peer = node.book().by_name(&order.to).await?;
    check_provable(order.submission, [&peer])?;
    let files = files_of(&order.files)?;
    let title = title(&files);
    let ack = if order.acknowledged { AckWanted::Signed } else { AckWanted::Transport };
    let (origin, submission) = (order.signed, order.submission);
    let attributes = Attributes { confidential: true, origin, ack, submission, ..Attributes::default() };
    let parts = files.into_iter().map(|file| Part::leaf(Attributes::default(), Leaf::Information(file))).collect();
    let container = Container::new(node.random()?, Part::branch(attributes, parts)).map_err(OrderError::TooLarge)?;
    let size = container.to_bytes().len();
    if order.submission && size > SENT_MAX {
        return Err(OrderError::TooLargeToProve { size });
    }
    let id = DealId::from_array(node.random()?);
    let deal = Deal::send(id, node.keys().key_set(), peer.key_set().clone(), container);
    Ok(Beginning::new(deal, title, peer.name, handing(order.submission)))
}

/// Certified mail: a deal for each recipient, all over one contract.
///
/// # Errors
/// [`OrderError`].
pub async fn mail(node: &Node, order: MailOrder) -> Result<Vec<Beginning>, OrderError> {
    let files = files_of(&order.files)?;
    let title = if order.subject.is_empty() { title(&files) } else { order.subject.clone() };
    let contact = arbiter(node, &order.arbiter).await?;
    let referee = shop::referee(&contact).ok_or_else(|| OrderError::NotAnArbiter(contact.name.clone()))?;
    let mut recipients = Vec::new();
    for name in &order.to {
        let recipient = node.book().by_name(name).await?;
        let seed = Seed::new(node.random_bytes(Encapsulator.seed_len(referee.deposit_key.suite))?);
        recipients.push((recipient, seed));
    }
    check_provable(order.submission, recipients.iter().map(|(recipient, _)| recipient))?;
    let parts = files.into_iter().map(|file| Part::leaf(Attributes::default(), Leaf::Information(file))).collect();
    let contents = Container::new(node.random()?, Part::branch(Attributes::default(), parts));
    let contents = contents.map_err(OrderError::TooLarge)?;
    let (me, key) = (node.keys().key_set(), ArticleKey::from_array(node.random()?));
    let letter = Letter {
        sender: Named { name: node.name().to_owned(), key_set: me.id() },
        recipients: recipients.iter().map(|(contact, seed)| (named(contact), seed.clone())).collect(),
        arbiter: &referee,
        arbiter_name: contact.name.clone(),
        contents: &contents,
        key: &key,
        subject: order.subject,
        now: now(),
        closes: now().after(Seconds(order.valid_for)),
        locale: order.locale,
        nonce: node.random()?,
    };
    let proposal = letter.propose(&Encapsulator, node.random()?)?;
    let mut prepared = Vec::new();
    for (recipient, seed) in recipients {
        let container = Proposal { nonce: node.random()?, ..proposal.clone() }.to_container()?;
        let own = Own { seed: seed.as_bytes().to_vec(), ..Own::default() };
        let (id, to) = (DealId::from_array(node.random()?), recipient.key_set().clone());
        let (by, patience) = (contact.key_set().clone(), Seconds(order.patience));
        let deal = Deal::mail(id, me.clone(), to, by, patience, container, own);
        let evidence = vec![(EvidenceKind::Key, key.as_bytes().to_vec())];
        let beginning = Beginning::new(deal, title.clone(), recipient.name, handing(order.submission));
        prepared.push(Beginning { evidence, ..beginning });
    }
    Ok(prepared)
}

async fn arbiter(node: &Node, name: &str) -> Result<Contact, OrderError> {
    if !name.is_empty() {
        let contact = node.book().by_name(name).await?;
        return if contact.arbiter { Ok(contact) } else { Err(OrderError::NotAnArbiter(contact.name)) };
    }
    let mut accepted = node.book().arbiters_named(&[]).await?;
    match (accepted.pop(), accepted.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => {
            let names: Vec<_> = accepted.into_iter().chain(last).map(|contact| contact.name).collect();
            Err(OrderError::WhichArbiter(if names.is_empty() { "none".to_owned() } else { names.join(", ") }))
        }
    }
}

fn files_of(orders: &[FileOrder]) -> Result<Vec<Information>, OrderError> {
    if orders.is_empty() {
        return Err(OrderError::Nothing);
    }
    let file = |order: &FileOrder| {
        let bytes = BASE64.decode(order.base64.as_bytes()).map_err(|_| OrderError::Base64(order.name.clone()))?;
        let information = Information::new(&order.name, &order.media_type, bytes);
        information.map_err(|error| OrderError::File { name: order.name.clone(), error })
    };
    orders.iter().map(file).collect()
}

fn title(files: &[Information]) -> String {
    crate::node::title(files.iter().map(Information::name))
}

/// A deal, for the screen; without its files.
pub fn view(entry: &Entry) -> DealView {
    let deal = &entry.deal;
    let (step, state) = deal.position();
    let waits_for = match deal.waits_for() {
        WaitsFor::Us => "us",
        WaitsFor::Peer => "peer",
        WaitsFor::Arbiter => "arbiter",
        WaitsFor::Payment => "payment",
        WaitsFor::Issuer => "issuer",
        WaitsFor::Nothing => "nothing",
    };
    let missing = deal.missing().into_iter().filter_map(|party| entry.called(party)).map(str::to_owned).collect();
    DealView {
        missing,
        id: deal.id().to_string(),
        plan: deal.plan().name.to_owned(),
        title: entry.title.clone(),
        peer: entry.peer.clone(),
        role: deal.sides().role.among(1 + deal.sides().others().count()).trim_start_matches("the ").to_owned(),
        step: step.to_owned(),
        state: state.to_owned(),
        waits_for: waits_for.to_owned(),
        until: deal.waits_until().map(Time::unix),
        ending: deal.ending().map(Ending::name).map(str::to_owned),
        opened: entry.opened.unix(),
        cid: deal.agreement().map(|agreement| agreement.core.cid().to_string()),
        remark: deal.remark().map(str::to_owned),
        trouble: entry.trouble.clone(),
        files: Vec::new(),
        saved_as: None,
        in_hand: deal.in_hand().map(|amount| amount.to_string()),
        restored: entry.restored.map(Time::unix),
        right: deal.agreement().and_then(|agreement| Some(right::sold(&agreement.core).ok()?.0.right)),
        notices: Vec::new(),
        told: entry
            .told
            .as_ref()
            .map(|told| ToldView { saying: told.saying.clone(), about: told.about.map(|about| about.to_string()) }),
    }
}

/// Where the goods are that were bought in a deal; nothing before it has succeeded.
///
/// # Errors
/// Storage failed.
pub async fn saved_as(node: &Node, entry: &Entry) -> Result<Option<String>, NodeError> {
    if entry.deal.ending() != Some(Ending::Success) {
        return Ok(None);
    }
    Ok(node.saved_as(entry.deal.id()).await?.map(|path| path.display().to_string()))
}

/// A contact, for the screen.
pub fn contact_view(contact: &Contact) -> ContactView {
    ContactView {
        time_stamps: contact.time_stamps().ok().map(str::to_owned),
        offers_to_arbitrate: contact.log().is_some(),
        name: contact.name.clone(),
        key_set: contact.key_set().id().to_string(),
        fingerprint: contact.card().fingerprint().to_string(),
        inbox: contact.inbox().ok().map(|inbox| inbox.url.clone()),
        arbiter: contact.arbiter,
        certificates: contact.card().certificates.len(),
    }
}

/// Accepts a contact as an arbiter, or does so no longer.
///
/// # Errors
/// `Book`; nothing was changed.
pub async fn accept(node: &Node, name: &str, arbiter: bool) -> Result<Contact, NodeError> {
    let contact = node.book().accept(name, arbiter).await?;
    // What waited for an arbiter to be accepted can be asked; nothing more is signed under one that is not.
    node.look_at_asks();
    Ok(contact)
}

/// What the user can set.
///
/// # Errors
/// Storage.
pub async fn settings(node: &Node) -> Result<SettingsView, NodeError> {
    let (patience, dated_by) = (node.patience().await?, node.dated_by().await?);
    Ok(SettingsView {
        patience: patience.value.0,
        patience_is_set: patience.is_set,
        dated_by: dated_by.value,
        dated_by_is_set: dated_by.is_set,
    })
}

/// Sets something.
///
/// # Errors
/// [`PreferenceError`]; what was set before holds.
pub async fn set(node: &Node, order: &SettingOrder) -> Result<(), PreferenceError> {
    match order {
        SettingOrder::Patience(seconds) => node.set_patience(seconds.map(Seconds)).await,
        SettingOrder::DatedBy(by) => node.set_dated_by(by.as_deref()).await,
    }
}

/// The files in a folder: those that a contract names and those in a container.
pub fn files(folder: &Folder) -> Vec<FileView> {
    let names = contract_names(folder);
    all_files(folder, |hash| names.iter().find(|(_, named)| *named == hash).map(|(name, _)| name.clone()))
        .into_iter()
        .map(|(name, bytes)| FileView { name, hash: information_hash(&bytes).to_string(), size: bytes.len() })
        .collect()
}

/// The file with a hash.
pub fn file(folder: &Folder, hash: &str) -> Option<Vec<u8>> {
    let found = all_files(folder, |_| None).into_iter().find(|(_, bytes)| information_hash(bytes).to_string() == hash);
    found.map(|(_, bytes)| bytes)
}

fn all_files(folder: &Folder, name: impl Fn(semper_core::hash::Digest) -> Option<String>) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let keys = folder.items.iter().filter(|item| item.kind == EvidenceKind::Key);
    let keys: Vec<_> =
        keys.filter_map(|item| Some(ArticleKey::from_array(item.bytes.as_slice().try_into().ok()?))).collect();
    for item in &folder.items {
        match item.kind {
            EvidenceKind::Attachment => {
                let hash = information_hash(&item.bytes);
                files.push((name(hash).unwrap_or_else(|| format!("{hash}.bin")), item.bytes.clone()));
            }
            EvidenceKind::Container => files.extend(contained(&item.bytes)),
            // A letter that has been opened.
            EvidenceKind::Sealed => {
                let sealed = Sealed::from_bytes(&item.bytes).ok();
                let plain = sealed.and_then(|sealed| keys.iter().find_map(|key| sealed.open(key)));
                files.extend(plain.map(|plain| contained(&plain)).unwrap_or_default());
            }
            _ => {}
        }
    }
    files
}

/// The files in a container; a notice is shown in words.
fn contained(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let Ok(container) = Container::from_bytes(bytes) else { return Vec::new() };
    let files = container.leaves().into_iter().filter_map(|(_, leaf)| match leaf {
        Leaf::Information(file) if is_notice(file) => None,
        Leaf::Information(file) => Some((file.name().to_owned(), file.bytes().to_vec())),
        Leaf::Statement(_) | Leaf::Credential(_) | Leaf::Money(_) => None,
    });
    files.collect()
}

fn contract_names(folder: &Folder) -> Vec<(String, semper_core::hash::Digest)> {
    let documents = folder.items.iter().filter(|item| item.kind == EvidenceKind::Document);
    let documents = documents.filter_map(|item| Document::from_bytes(&item.bytes).ok());
    let names = documents.flat_map(|document| contract_file::file_names(&document));
    // The names come from the other party: what could leave its folder is shown by its hash instead.
    names.filter_map(|(name, hash)| Some((contract_file::safe_name(&name).ok()?, hash))).collect()
}

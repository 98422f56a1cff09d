//! Liability covers of this party: those that a guarantor has given it for its contracts, and those that others have shown to it.
//!
//! ```text
//! record "cover"        cover → { 0: deal, 1: cover-request, 2: opening, 3: guarantor's key set, 4: its address, ? 5: signed cover }
//! record "cover-shown"  cover → { 0: deal, 1: cover-file }
//! ```
//! Whatever is said to a guarantor binds its signer, so it is shown and asked for. Once it is signed it goes to the guarantor, which answers the same request in the
//! same way: whoever loses the answer, or the power, gives the same order again. A request is stored with its opening before anything is asked.

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::contract::Core;
use semper_core::cose::{Draft, Signed, Statement};
use semper_core::ids::DealId;
use semper_core::party::KeySet;
use semper_core::signature::{SignatureError, Verified, verify};
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_crypto::Verifier;
use semper_exchange::cover::statement::FILE_MAX;
use semper_exchange::cover::{
    Agreement, Cover, CoverClaim, CoverFile, CoverId, CoverRelease, CoverRequest, CoverRuling, Demand, NotCovered,
    Opened, Outcome, Submission, Unopened, check, cover_tag,
};
use semper_exchange::evidence::{Folder, Item};
use semper_support::approval::{Answer, ApprovalError, Exhibit, SignRequest};
use semper_support::archive::{Commit, CommitError, NewEvidence, ReadError};
use semper_support::crypto::CryptoError;
use semper_support::engine::EvidenceKind;
use semper_trust::armour::{self, ArmourError};

use crate::control::{AgreeOrder, CheckOrder, CoverLine, CoverOrder, CoverSaid, ShownOrder};
use crate::node::{BookError, Entry, Node, NodeError, now};
use crate::roles::guarantor::CoverView;

/// Record space of the covers that were asked for.
const ASKED: &str = "cover";
/// Record space of the covers that others have shown.
const SHOWN: &str = "cover-shown";
/// Most covers of each kind.
const COVERS_MAX: usize = 10_000;
/// Most covers of which a list asks their guarantors.
const LOOKED_AT: usize = 64;
/// Longest word for what has become of a cover, in bytes.
const STATE_MAX: usize = 16;
/// How old a guarantor's word on its customer's keys may be.
const FRESH: Seconds = Seconds(24 * 3600);

/// Why something cannot be done with a cover. Nothing was done, unless `Silent` says that it may have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoverError {
    /// The file holds no cover.
    #[error("this is not the file of a cover: {0}")]
    File(#[from] ArmourError),
    /// It is malformed.
    #[error("the cover is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// Not signed by whom it should be.
    #[error("what the guarantor says is not signed by its keys: {0}")]
    Unsigned(#[from] SignatureError),
    /// An amount, a date or a limit is not usable.
    #[error("{0}")]
    Order(String),
    /// The deal has no contract.
    #[error("this deal has no contract that somebody could stand for; it has to be proposed first")]
    NoContract,
    /// There is no such cover here.
    #[error("there is no cover {0:?} here; see `semper cover list`")]
    Unknown(String),
    /// It was asked for before.
    #[error("this guarantor was asked for a cover for this deal before; `semper cover get {0}` goes on with it")]
    Before(String),
    /// Nobody stands for such a contract.
    #[error(transparent)]
    Unopened(#[from] Unopened),
    /// It is not good enough.
    #[error("do not rely on this cover: {0}")]
    NotCovered(#[from] NotCovered),
    /// Too many.
    #[error("no more than {COVERS_MAX} covers are kept")]
    Full,
    /// The user said no.
    #[error("you have declined; nothing was said to the guarantor")]
    Declined,
    /// The guarantor did not answer: it may have done what it was asked to.
    #[error("the guarantor {0} does not answer, so it may or may not have heard it: give the same order again ({1})")]
    Silent(String, String),
    /// The guarantor refuses.
    #[error("the guarantor refuses: {0}")]
    Refused(String),
    /// The guarantor answers something else.
    #[error("the guarantor's answer is not about what it was asked")]
    OtherAnswer,
    /// The deal.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The contact book.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The holder of the keys.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// No randomness.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Storage failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A cover that was asked for.
struct Asked {
    deal: DealId,
    request: CoverRequest,
    opening: [u8; 32],
    guarantor: KeySet,
    address: String,
    cover: Option<Signed>,
}

/// A cover that somebody has shown.
struct Shown {
    deal: DealId,
    file: CoverFile,
}

/// Signs a liability agreement with a guarantor; its file, for the guarantor. The same order again gives the same one.
///
/// # Errors
/// [`CoverError`].
pub async fn agree(node: &Node, order: &AgreeOrder) -> Result<CoverSaid, CoverError> {
    let contact = node.book().by_name(&order.guarantor).await?;
    contact.guarantor()?;
    let agreement = Agreement {
        guarantor: contact.key_set().id(),
        limit: amount(&order.limit)?,
        per_deal: amount(&order.per_deal)?,
        until: Time::from_unix(order.until),
        issued: Time::from_unix(order.issued),
    };
    agreement.check().map_err(|rule| CoverError::Order(rule.to_owned()))?;
    let me = node.keys().key_set();
    let draft = agreement.draft(me.suite(), me.id());
    let deal = DealId::from_array(first_bytes(&draft));
    Ok(match said(node, deal, draft).await? {
        Ok(statement) => {
            let file = Submission { statement, signer: me, opened: None };
            let text = armour::encode(armour::LIABILITY_AGREEMENT, &file.to_bytes());
            CoverSaid { file: Some(text), ..CoverSaid::default() }
        }
        Err(approval) => CoverSaid { approval: Some(approval), ..CoverSaid::default() },
    })
}

/// Asks a guarantor to stand for this party under the contract of a deal. [`go_on`] with the cover's name says what has become of it.
///
/// # Errors
/// [`CoverError`].
pub async fn request(node: &Node, order: &CoverOrder) -> Result<CoverSaid, CoverError> {
    let contact = node.book().by_name(&order.guarantor).await?;
    let (address, guarantor) = (contact.guarantor()?.to_owned(), contact.key_set().clone());
    let deal = deal_id(&order.deal)?;
    let core = core_of(&node.folder(deal).await?).ok_or(CoverError::NoContract)?;
    let all = node.archive().records(ASKED, None, COVERS_MAX).await?;
    let all: Vec<Asked> = all.iter().map(|(_, bytes)| Asked::from_bytes(bytes)).collect::<Result<_, _>>()?;
    let before = all.iter().find(|asked| asked.deal == deal && asked.request.guarantor == guarantor.id());
    if let Some(before) = before {
        return Err(CoverError::Before(before.request.cover.to_string()));
    }
    if all.len() >= COVERS_MAX {
        return Err(CoverError::Full);
    }
    let opening: [u8; 32] = node.random()?;
    let id = CoverId::from_array(node.random()?);
    let decided = decided(&core);
    let request = CoverRequest {
        cover: id,
        guarantor: guarantor.id(),
        tag: cover_tag(core.cid(), &opening),
        amount: amount(&order.amount)?,
        subject: node.keys().key_set().id(),
        accept_before: Time::from_unix(order.accept_before),
        claim_by: order.claim_by.map_or_else(|| decided.after(Seconds(14 * 24 * 3600)), Time::from_unix),
    };
    // What the other side would refuse need not be asked for.
    let cover = certified(&request);
    Opened::of(&cover, &opening, &core)?;
    if request.claim_by < decided {
        return Err(CoverError::Order(format!("the contract is decided at {decided} only: claims need more time")));
    }
    let asked = Asked { deal, request, opening, guarantor, address, cover: None };
    put(node, &asked).await?;
    go_on_with(node, asked).await
}

/// What has become of a request for a cover: its question, or its file.
///
/// # Errors
/// [`CoverError`].
pub async fn go_on(node: &Node, id: &str) -> Result<CoverSaid, CoverError> {
    let unknown = || CoverError::Unknown(id.to_owned());
    let cover = CoverId::parse(id).ok_or_else(unknown)?;
    let record = node.archive().record(ASKED, cover.as_bytes()).await?.ok_or_else(unknown)?;
    go_on_with(node, Asked::from_bytes(&record)?).await
}

async fn go_on_with(node: &Node, asked: Asked) -> Result<CoverSaid, CoverError> {
    let cover = Some(asked.request.cover.to_string());
    if asked.cover.is_some() {
        return Ok(CoverSaid { cover, file: asked.file(), ..CoverSaid::default() });
    }
    let me = node.keys().key_set();
    let statement = match said(node, asked.deal, asked.request.draft(me.suite(), me.id())).await? {
        Ok(statement) => statement,
        Err(approval) => return Ok(CoverSaid { cover, approval: Some(approval), ..CoverSaid::default() }),
    };
    let submission = Submission { statement, signer: me, opened: None };
    let answer = match submit(node, &asked.address, &submission).await {
        // Nothing was given: the user may ask for something else.
        Err(CoverError::Refused(reason)) => {
            let record = (ASKED.to_owned(), asked.request.cover.as_bytes().to_vec(), None);
            node.archive().commit(Commit { records: vec![record], ..Commit::default() }).await?;
            return Err(CoverError::Refused(reason));
        }
        answer => answer?,
    };
    let checked: Verified<Cover> = verify(&Verifier, &asked.guarantor, &answer)?;
    let CoverRequest { cover: id, tag, amount, subject, claim_by, .. } = asked.request;
    let said = checked.statement();
    if (said.cover, said.tag, said.amount, said.subject, said.claim_by) != (id, tag, amount, subject, claim_by) {
        return Err(CoverError::OtherAnswer);
    }
    let asked = Asked { cover: Some(answer), ..asked };
    put(node, &asked).await?;
    Ok(CoverSaid { cover, file: asked.file(), ..CoverSaid::default() })
}

/// Looks at a cover that the other side of a deal has shown, without asking anybody. If it is good, it is kept with the deal.
///
/// # Errors
/// `NotCovered`: why it is not good. Else [`CoverError`].
pub async fn look_at(node: &Node, order: &CheckOrder) -> Result<CoverLine, CoverError> {
    let file = read(&order.file)?;
    let deal = deal_id(&order.deal)?;
    let core = core_of(&node.folder(deal).await?).ok_or(CoverError::NoContract)?;
    let accepted = match &order.guarantor {
        Some(name) => vec![node.book().by_name(name).await?.key_set().id()],
        None => {
            let all = node.book().all().await?;
            all.iter().filter(|contact| contact.guarantor().is_ok()).map(|contact| contact.key_set().id()).collect()
        }
    };
    let cover = Cover::from_bytes(file.cover.payload())?;
    let demand = Demand {
        core: &core,
        me: node.keys().key_set().id(),
        guarantors: &accepted,
        amount: order.amount.as_deref().map_or(Ok(cover.amount), amount)?,
        claim_by: order.claim_by.map_or_else(now, Time::from_unix),
        fresh: FRESH,
    };
    check(&Verifier, &file, &demand, now())?;
    let known = node.archive().record(SHOWN, cover.cover.as_bytes()).await?;
    if known.is_none() {
        if node.archive().records(SHOWN, None, COVERS_MAX).await?.len() >= COVERS_MAX {
            return Err(CoverError::Full);
        }
        let evidence = NewEvidence {
            key: Entry::key(&deal),
            kind: EvidenceKind::Cover.name().to_owned(),
            bytes: file.to_bytes(),
            time: now(),
        };
        let shown = Shown { deal, file: file.clone() };
        let record = (SHOWN.to_owned(), cover.cover.as_bytes().to_vec(), Some(shown.to_bytes()));
        let commit = Commit { records: vec![record], evidence: vec![evidence], ..Commit::default() };
        node.archive().commit(commit).await?;
    }
    Ok(line(&cover, deal, "shown"))
}

/// Says to the guarantor that nothing is owed any more: as whom the cover is for, or as its customer with the folder of the deal.
///
/// # Errors
/// [`CoverError`].
pub async fn release(node: &Node, order: &ShownOrder) -> Result<CoverSaid, CoverError> {
    let (file, cover, deal) = shown(node, order).await?;
    let (folder, core) = opened(node, deal, &file, &cover).await?;
    let statement = CoverRelease { cover: cover.cover, cid: core.cid() };
    tell(node, deal, &statement, &file, &cover, folder).await
}

/// Asks the guarantor to pay, as whom the cover is for. The same order again says what has become of it.
///
/// # Errors
/// [`CoverError`].
pub async fn claim(node: &Node, order: &ShownOrder) -> Result<CoverSaid, CoverError> {
    let (file, cover, deal) = shown(node, order).await?;
    let (folder, core) = opened(node, deal, &file, &cover).await?;
    let amount = order.amount.as_deref().map_or(Ok(cover.amount), amount)?;
    let statement = CoverClaim { cover: cover.cover, cid: core.cid(), amount };
    tell(node, deal, &statement, &file, &cover, folder).await
}

/// Every cover that was asked for or shown. Guarantors are asked what has become of those that they have given: a claim wants an answer.
///
/// # Errors
/// Storage.
pub async fn list(node: &Node) -> Result<Vec<CoverLine>, CoverError> {
    let (mut lines, mut looked_at) = (Vec::new(), 0);
    for (_, bytes) in node.archive().records(ASKED, None, COVERS_MAX).await? {
        let asked = Asked::from_bytes(&bytes)?;
        let state = if asked.cover.is_some() { "given" } else { "asked" };
        let mut line = line(&certified(&asked.request), asked.deal, state);
        if state == "given" && looked_at < LOOKED_AT {
            looked_at += 1;
            if let Some(found) = standing(node, &asked).await {
                (line.state, line.answer_by) = (found.state, found.answer_by);
            }
        }
        lines.push(line);
    }
    for (_, bytes) in node.archive().records(SHOWN, None, COVERS_MAX).await? {
        let Shown { deal, file } = Shown::from_bytes(&bytes)?;
        lines.push(line(&Cover::from_bytes(file.cover.payload())?, deal, "shown"));
    }
    Ok(lines)
}

/// What the guarantor says of a cover that it has given; nothing if it does not answer.
async fn standing(node: &Node, asked: &Asked) -> Option<CoverView> {
    let url = format!("{}/v1/covers/{}", asked.address.trim_end_matches('/'), asked.request.cover);
    let answer = node.ask_service(&url, None).await.ok().filter(|answer| answer.status == 200)?;
    let view: CoverView = serde_json::from_slice(&answer.body).ok()?;
    (view.state.len() <= STATE_MAX).then(|| CoverView { state: escape(&view.state, 0), ..view })
}

/// The statement, signed; or the question that waits.
async fn said(node: &Node, deal: DealId, draft: Draft) -> Result<Result<Signed, String>, CoverError> {
    let id = draft.id();
    match node.keys().request(SignRequest { deal, draft, exhibit: Exhibit::Statement }).await? {
        Answer::Signed(signed) => Ok(Ok(signed)),
        Answer::Waiting => Ok(Err(id.to_string())),
        Answer::Declined => Err(CoverError::Declined),
    }
}

/// Says something about a cover to its guarantor; its ruling.
async fn tell(
    node: &Node,
    deal: DealId,
    statement: &impl Statement,
    file: &CoverFile,
    cover: &Cover,
    folder: Folder,
) -> Result<CoverSaid, CoverError> {
    let me = node.keys().key_set();
    let said = match said(node, deal, statement.draft(me.suite(), me.id())).await? {
        Ok(said) => said,
        Err(approval) => return Ok(CoverSaid { approval: Some(approval), ..CoverSaid::default() }),
    };
    let submission = Submission { statement: said, signer: me, opened: Some((file.opening, folder.to_bytes())) };
    let answer = submit(node, &cover.address, &submission).await?;
    let ruling = *verify::<CoverRuling>(&Verifier, &file.guarantor, &answer)?.statement();
    if ruling.cover != cover.cover {
        return Err(CoverError::OtherAnswer);
    }
    let (amount, answer_by) = match ruling.outcome {
        Outcome::Claimed { amount, answer_by, .. } => (Some(amount), Some(answer_by)),
        Outcome::Paid { amount, .. } => (Some(amount), None),
        Outcome::Released | Outcome::Rejected => (None, None),
    };
    Ok(CoverSaid {
        cover: Some(cover.cover.to_string()),
        ruling: Some(ruling.outcome.name().to_owned()),
        amount: amount.map(|amount| amount.to_string()),
        answer_by: answer_by.map(Time::unix),
        ..CoverSaid::default()
    })
}

/// Sends a submission to a guarantor; its answer.
async fn submit(node: &Node, address: &str, submission: &Submission) -> Result<Signed, CoverError> {
    let silent = |why: String| CoverError::Silent(escape(address, 0), why);
    let url = format!("{}/v1/requests", address.trim_end_matches('/'));
    let answer = node.ask_service(&url, Some(("application/cbor", submission.to_bytes()))).await.map_err(silent)?;
    match answer.status {
        200 => Signed::from_bytes(&answer.body).map_err(|error| silent(error.to_string())),
        400..=428 => Err(CoverError::Refused(crate::credentials::detail(&answer.body))),
        status => Err(silent(format!("status {status}"))),
    }
}

fn read(text: &str) -> Result<CoverFile, CoverError> {
    Ok(CoverFile::from_bytes(&armour::decode(armour::COVER, text, FILE_MAX)?)?)
}

/// The cover in a file, and the deal that it belongs to here.
async fn shown(node: &Node, order: &ShownOrder) -> Result<(CoverFile, Cover, DealId), CoverError> {
    let file = read(&order.file)?;
    let cover: Cover = verify::<Cover>(&Verifier, &file.guarantor, &file.cover)?.statement().clone();
    let id = cover.cover;
    let deal = match node.archive().record(SHOWN, id.as_bytes()).await? {
        Some(bytes) => Shown::from_bytes(&bytes)?.deal,
        None => {
            let asked = node.archive().record(ASKED, id.as_bytes()).await?;
            Asked::from_bytes(&asked.ok_or_else(|| CoverError::Unknown(id.to_string()))?)?.deal
        }
    };
    Ok((file, cover, deal))
}

/// What a guarantor is shown of a deal: what proves that its contract binds, and no texts, files or goods.
async fn opened(node: &Node, deal: DealId, file: &CoverFile, cover: &Cover) -> Result<(Folder, Core), CoverError> {
    let Folder { deal, items } = node.folder(deal).await?;
    let core = core_of(&Folder { deal, items: items.clone() }).ok_or(CoverError::NoContract)?;
    Opened::of(cover, &file.opening, &core)?;
    let items: Vec<Item> = items.into_iter().filter(|item| proves_a_debt(item.kind)).collect();
    Ok((Folder { deal, items }, core))
}

fn proves_a_debt(kind: EvidenceKind) -> bool {
    matches!(
        kind,
        EvidenceKind::Core
            | EvidenceKind::KeySet
            | EvidenceKind::Statement
            | EvidenceKind::Late
            | EvidenceKind::LogReceipt
    )
}

/// The contract of a deal, if it has one.
fn core_of(folder: &Folder) -> Option<Core> {
    let mut cores = folder.items.iter().filter(|item| item.kind == EvidenceKind::Core);
    Core::from_bytes(&cores.next_back()?.bytes).ok()
}

/// When it is known at the latest whether a contract binds.
fn decided(core: &Core) -> Time {
    let deadlines = core.terms.deadlines;
    let complaints = deadlines.complaints.unwrap_or(Seconds(0));
    deadlines.not_after.after(complaints).after(deadlines.delta).after(deadlines.sigma)
}

/// What a guarantor certifies if it grants a request, as far as the request says it.
fn certified(request: &CoverRequest) -> Cover {
    let CoverRequest { cover, tag, amount, subject, accept_before, claim_by, .. } = *request;
    let (address, not_revoked_at, answer) = (String::new(), Time::from_unix(0), Seconds(0));
    Cover { cover, address, tag, amount, subject, not_revoked_at, accept_before, claim_by, answer }
}

fn line(cover: &Cover, deal: DealId, state: &str) -> CoverLine {
    CoverLine {
        cover: cover.cover.to_string(),
        deal: deal.to_string(),
        amount: cover.amount.to_string(),
        accept_before: cover.accept_before.unix(),
        claim_by: cover.claim_by.unix(),
        state: state.to_owned(),
        answer_by: None,
    }
}

fn amount(text: impl AsRef<str>) -> Result<Amount, CoverError> {
    let text = text.as_ref();
    Amount::parse(text).map_err(|error| CoverError::Order(format!("{text:?} is no amount: {error}")))
}

fn deal_id(text: &str) -> Result<DealId, CoverError> {
    DealId::parse(text).ok_or_else(|| CoverError::Order(format!("{text:?} is no deal")))
}

/// Questions are put in the name of a deal; an agreement belongs to none.
fn first_bytes(draft: &Draft) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&draft.id().as_bytes()[..16]);
    bytes
}

async fn put(node: &Node, asked: &Asked) -> Result<(), CoverError> {
    let record = (ASKED.to_owned(), asked.request.cover.as_bytes().to_vec(), Some(asked.to_bytes()));
    Ok(node.archive().commit(Commit { records: vec![record], ..Commit::default() }).await?)
}

impl Asked {
    fn file(&self) -> Option<String> {
        let file = CoverFile { guarantor: self.guarantor.clone(), cover: self.cover.clone()?, opening: self.opening };
        Some(armour::encode(armour::COVER, &file.to_bytes()))
    }

    fn to_bytes(&self) -> Vec<u8> {
        record()
            .put_item(0, &self.deal)
            .put_item(1, &self.request)
            .put_bytes(2, self.opening)
            .put_item(3, &self.guarantor)
            .put(4, self.address.as_str())
            .put_some(5, self.cover.as_ref().map(Encode::to_value))
            .build()
            .encode()
    }
}

impl Decode for Asked {
    const BYTES_MAX: usize = 64 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let asked = Self {
            deal: fields.item(0, "deal")?,
            request: fields.item(1, "request")?,
            opening: fields.exact(2, "opening")?,
            guarantor: fields.item(3, "guarantor")?,
            address: fields.text(4, "address", 2048)?,
            cover: fields.optional_item(5, "cover")?,
        };
        fields.close()?;
        Ok(asked)
    }
}

impl Shown {
    fn to_bytes(&self) -> Vec<u8> {
        record().put_item(0, &self.deal).put_item(1, &self.file).build().encode()
    }
}

impl Decode for Shown {
    const BYTES_MAX: usize = 64 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let shown = Self { deal: fields.item(0, "deal")?, file: fields.item(1, "file")? };
        fields.close()?;
        Ok(shown)
    }
}

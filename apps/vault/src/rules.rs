//! The rules under which a party's keys sign.
//!
//! Whatever is signed with a party's keys is signed here. A statement that binds the user is shown first: the text is rendered
//! here, from the document, and must be the one that the statement's contract names. What follows from an approved contract is
//! signed without asking, within rules that the vault keeps itself: no final for a contract that was to be aborted, no abort of
//! one whose final was signed; no payment to an arbiter but what it asks for under a contract that gives it money into its hands; no release of locked money and no passing on of a right but what the contract promises; no word that a right is to be called back
//! beside one that its money has come; among many signers, round after round
//! up to the question to the arbiter, and nothing after it. Every answer is stored before it is given, under the statement's identifier,
//! and is the same for ever.
//!
//! Third parties sign by rule, not by asking: their vault signs only the kinds that their role needs ([`Purpose`]).

mod deposit;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use semper_commerce::access::{self, AccessOffer};
use semper_commerce::offer::{Offer, Order};
use semper_commerce::proposal::{Agreement, ProposalError};
use semper_commerce::purchase;
use semper_commerce::right::{self, RightOffer};
use semper_commerce::swap::FileOffer;
use semper_commerce::trade::{
    EXCHANGE_IN_LINE_TEMPLATE, EXCHANGE_TEMPLATE, RECEIPT_TEMPLATE, RECEIPT_TRANSFER_TEMPLATE,
};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::container::{Ack, Container, ContainerStatement, Leaf};
use semper_core::contract::{Core, Final, Profile, Promise, Quittance};
use semper_core::cose::{Draft, Kind, Signed};
use semper_core::document::RENDERED_MAX;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, DealId, Slot, StatementId};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{Verified, verify};
use semper_core::text::escape;
use semper_core::time::Time;
use semper_crypto::Verifier;
use semper_exchange::arbiter::hands::Deposit as HandedIn;
use semper_exchange::arbiter::many::Ask;
use semper_exchange::arbiter::request::{Abort, Complaint, Inquiry, Resolve, Revocation, Settlement};
use semper_exchange::cn::Round;
use semper_exchange::goods::Disclosure;
use semper_exchange::gx::{Leg, Price, Transfer};
use semper_support::approval::{Answer, ApprovalError, Exhibit, KeyHolder, SignRequest};
use semper_support::archive::{CommitError, Fact, ReadError};
use semper_support::crypto::Signer;
use semper_transfer::credential::{Bundle, Credential, CredentialTransfer, ReservationRequest};
use semper_transfer::payment::Module;
use semper_transfer::payment::module::Wording;
use semper_transfer::payment::statement::{PaymentOrder, PaymentReceipt, PaymentRequest, Release, Side, order_hash};

use crate::decisions::{Decision, Decisions, Event, What};
use crate::now;
use crate::policy::{Policy, Subject};

pub use deposit::Deposit;

/// Fact space of an arbiter's own: the payments that its verdicts have made due, hash of the order → the payee's request. Its service writes it with the verdict.
pub const DUE_SPACE: &str = "hands-due";
/// Fact space of the answers: statement → signed statement, or nothing for a refusal.
const ANSWERS: &str = "vault-answer";
/// Fact space of the way a part of a contract went: cid and slot → `final` or `abort`; cid and round → whether we went on or asked the arbiter;
/// lock tag → the side that an arbiter gave its money to.
const WAYS: &str = "vault-way";
/// Fact space of the contracts that the user has approved: cid.
const APPROVED: &str = "vault-approved";
/// Fact space of the releases that approved contracts promise: lock tag → cid, then the release.
const RELEASES: &str = "vault-release";
/// Fact space of the orders that lock money or give it into an arbiter's hands: lock tag, or what is asked for → statement. One order for each.
const LOCKED: &str = "vault-locked";
/// Fact space of the rights that approved contracts show: tag → the request to keep a use.
const SHOWS: &str = "vault-shows";
/// Fact space of the rights that approved contracts pass on: tag → cid, then the request to pass it on.
const PASSES: &str = "vault-passes";
/// Fact space of the contracts under which a right was passed on: cid → the request, as it was signed.
const PASSED: &str = "vault-passed";
/// Fact space of what was said about the money for something: cid → whether it came, or not.
const MONEY: &str = "vault-money";
/// Fact space of the payment requests that were signed: statement. A receipt is signed for these only.
const REQUESTED: &str = "vault-requested";
/// Why what excludes an earlier statement is not signed.
const OTHER_WAY: &str = "the contract went the other way: a final excludes an abort, one side's money the other's";
/// Most approvals that wait at once.
pub const WAITING_MAX: usize = 256;

/// Puts statements of payment systems into words.
pub type Systems = Arc<[Box<dyn Module>]>;

/// The name of a text message in a container; its words are shown.
const MESSAGE_NAME: &str = "message.txt";

/// What a vault signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A party: it asks its user.
    Party,
    /// An arbiter: what its service has ruled, releases that follow from it, and what its purses ask of banks.
    Arbiter,
}

/// The keys of one party, and the rules under which they sign.
pub struct Vault<D: Decisions + ?Sized> {
    signer: Box<dyn Signer>,
    decisions: Arc<D>,
    purpose: Purpose,
    policy: Option<Policy>,
    systems: Systems,
}

/// Something that waits for the user's word.
///
/// ```text
/// approval = { 0: deal, 1: draft, 2: title, 3: text, 4: since, ? 5: cid, ? 6: release, ? 7: reservation request,
///              ? 8: credential transfer, ? 9: deposit }
/// ```
#[derive(Clone, Debug)]
pub struct Approval {
    /// The deal.
    pub deal: DealId,
    /// The statement.
    pub draft: Draft,
    /// What is asked, in one line.
    pub title: String,
    /// What is shown and signed.
    pub text: String,
    /// Since when it waits.
    pub since: Time,
    /// The contract that it approves, if it is a promise, and what follows from that.
    pub approves: Option<Approves>,
}

/// What the user says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAnswer {
    /// Sign it. The user has seen the text with this hash.
    Approve {
        /// [`Approval::text_hash`] of what was shown: what is approved is what was shown.
        seen: Digest,
    },
    /// Do not sign it, ever.
    Decline,
}

/// Why the user's answer was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// Nothing of this name waits.
    #[error("no such approval waits: {0}")]
    NotWaiting(StatementId),
    /// The user has seen another text.
    #[error("the text that was shown is not the one that is signed")]
    NotSeen,
    /// Signing failed.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What is to be done about a request.
enum Judgement {
    /// Show it to the user. If it approves a contract: which, and what follows from it.
    Ask { subject: Subject, text: String, contract: Option<Box<Approves>> },
    /// It follows from what was approved. The facts are stored with it; if one is taken by another value, it is refused.
    Sign(Vec<Fact>),
}

/// A contract that is approved, and what follows from that.
#[derive(Clone, Debug)]
pub struct Approves {
    /// The contract.
    pub cid: Cid,
    /// The release of locked money that it promises, if it promises money. Money by plain transfer goes by the hash of its order.
    pub release: Option<Release>,
    /// What the issuer of a right is asked to keep for it, if it shows one.
    pub shows: Option<ReservationRequest>,
    /// What the issuer of a right is asked to pass on under it, if it passes one on.
    pub passes: Option<CredentialTransfer>,
    /// What is paid to its arbiter, if money goes through the arbiter's hands.
    pub deposit: Option<Deposit>,
}

impl<D: Decisions + ?Sized> Vault<D> {
    /// A vault over `signer`'s keys that keeps what it decides in `decisions`. `policy` answers for the user where it fits.
    /// `systems` put statements of payment systems into words.
    pub fn new(
        signer: Box<dyn Signer>,
        decisions: Arc<D>,
        purpose: Purpose,
        policy: Option<Policy>,
        systems: Systems,
    ) -> Self {
        Self { signer, decisions, purpose, policy, systems }
    }

    /// What waits for the user, the oldest first.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn waiting(&self) -> Result<Vec<Approval>, VaultError> {
        let mut waiting = self.decisions.all_waiting(WAITING_MAX).await?;
        waiting.sort_by_key(|approval| approval.since);
        Ok(waiting)
    }

    /// Takes the user's answer. A second answer to the same question changes nothing.
    ///
    /// # Errors
    /// [`VaultError`]; nothing was signed.
    pub async fn answer(&self, id: StatementId, answer: UserAnswer) -> Result<(), VaultError> {
        let approval = self.decisions.waiting(id).await?.ok_or(VaultError::NotWaiting(id))?;
        let UserAnswer::Approve { seen } = answer else {
            let declined = Fact { space: ANSWERS.to_owned(), key: id.as_bytes().to_vec(), value: Vec::new() };
            let event = Event::of(What::Declined, &approval.draft);
            return Ok(self.store(event, declined, Vec::new()).await?);
        };
        if seen != approval.text_hash() {
            return Err(VaultError::NotSeen);
        }
        let event = Event { seen: Some(seen), ..Event::of(What::Approved, &approval.draft) };
        let with = approval.facts();
        self.sign(event, approval.draft, with).await?;
        Ok(())
    }

    /// The answer that stands, if there is one.
    async fn answered(&self, id: StatementId) -> Result<Option<Answer>, ApprovalError> {
        let Some(value) = self.decisions.fact(ANSWERS, id.as_bytes()).await.map_err(unavailable)? else {
            return Ok(None);
        };
        if value.is_empty() {
            return Ok(Some(Answer::Declined));
        }
        let signed =
            Signed::from_bytes(&value).map_err(|e| ApprovalError::Unavailable(format!("a stored signature: {e}")))?;
        Ok(Some(Answer::Signed(signed)))
    }

    /// Signs and stores; gives what stands if the same statement was answered meanwhile.
    async fn sign(&self, event: Event, draft: Draft, with: Vec<Fact>) -> Result<Answer, ApprovalError> {
        let id = draft.id();
        let signed = self.signer.sign(draft).map_err(|e| ApprovalError::Unavailable(e.to_string()))?;
        let answer = Fact { space: ANSWERS.to_owned(), key: id.as_bytes().to_vec(), value: signed.bytes().to_vec() };
        self.store(event, answer, with).await?;
        self.answered(id).await?.ok_or(ApprovalError::Unavailable("the signature was not stored".to_owned()))
    }

    /// Stores an answer with what follows from it; the question waits no more.
    async fn store(&self, event: Event, answer: Fact, with: Vec<Fact>) -> Result<(), ApprovalError> {
        let mut facts = vec![answer];
        for fact in with {
            // A fact that stands with the same value is fine: the contract was approved, or went this way, before.
            match self.decisions.fact(&fact.space, &fact.key).await.map_err(unavailable)? {
                Some(stands) if stands == fact.value => {}
                Some(_) => {
                    return Err(ApprovalError::Forbidden(OTHER_WAY.into()));
                }
                None => facts.push(fact),
            }
        }
        match self.decisions.decide(Decision { event, facts, question: None }).await {
            Ok(()) => Ok(()),
            Err(CommitError::Taken { stands }) if stands.space == ANSWERS => Ok(()),
            Err(CommitError::Taken { .. }) => Err(ApprovalError::Forbidden(OTHER_WAY.into())),
            Err(error) => Err(ApprovalError::Unavailable(error.to_string())),
        }
    }

    async fn judge(&self, request: &SignRequest) -> Result<Judgement, ApprovalError> {
        let draft = &request.draft;
        if self.purpose == Purpose::Arbiter {
            return self.judge_arbiter(request).await;
        }
        match (draft.kind, &request.exhibit) {
            (Kind::Promise | Kind::Round, Exhibit::Contract { core, document, template }) => {
                self.judge_contract(draft, [core, document, template], None)
            }
            (Kind::Promise, Exhibit::InLine { core, document, template, arbiter }) => {
                self.judge_contract(draft, [core, document, template], Some(arbiter))
            }
            (Kind::Round, Exhibit::Consequence) => {
                let Round { cid, round, .. } = read(draft)?;
                self.judge_round(cid, round).await
            }
            (Kind::Ask, Exhibit::Consequence) => {
                let Ask { cid, round, .. } = read(draft)?;
                self.judge_ask(cid, round).await
            }
            (Kind::Container | Kind::Ack, Exhibit::Container { container }) => judge_container(draft, container),
            (Kind::Final, Exhibit::Consequence) => {
                let Final { cid, slot, .. } = read(draft)?;
                self.follows(cid, vec![part_way(cid, slot, b"final")]).await
            }
            (Kind::Abort, Exhibit::Consequence) => {
                let Abort { cid, slot, .. } = read(draft)?;
                self.follows(cid, vec![part_way(cid, slot, b"abort")]).await
            }
            (Kind::Promise, Exhibit::Sale { core, document, template, order }) => {
                self.judge_sale(draft, core, document, template, order).await
            }
            (Kind::Offer, Exhibit::Statement) => {
                let (sale, swap, right) = (read::<Offer>(draft), read::<FileOffer>(draft), read::<RightOffer>(draft));
                let text = match (sale, swap, right) {
                    (Ok(offer), _, _) => offer.describe(),
                    (_, Ok(offer), _) => offer.describe(),
                    (_, _, Ok(offer)) => offer.describe(),
                    _ => read::<AccessOffer>(draft)?.describe(),
                };
                Ok(Judgement::Ask { subject: Subject { kind: "offer", ..Subject::default() }, text, contract: None })
            }
            (Kind::ReservationRequest, Exhibit::Consequence) => self.judge_reservation(draft).await,
            (Kind::CredentialTransfer, Exhibit::Credential { bundle }) => judge_transfer(draft, bundle),
            (Kind::CredentialTransfer, Exhibit::Consequence) => self.judge_passing(draft).await,
            (Kind::Revocation, Exhibit::Consequence) => {
                let Revocation { cid, .. } = read(draft)?;
                self.judge_revocation(cid).await
            }
            (Kind::Disclosure, Exhibit::Consequence) => self.follows(read::<Disclosure>(draft)?.cid, Vec::new()).await,
            (Kind::Quittance, Exhibit::Consequence) => {
                let Quittance { cid, .. } = read(draft)?;
                self.follows(cid, vec![fact(MONEY, cid, b"came")]).await
            }
            (Kind::Complaint, Exhibit::Consequence) => self.follows(read::<Complaint>(draft)?.cid, Vec::new()).await,
            (Kind::Settlement, Exhibit::Consequence) => self.follows(read::<Settlement>(draft)?.cid, Vec::new()).await,
            (Kind::Inquiry, Exhibit::Consequence) => self.follows(read::<Inquiry>(draft)?.cid, Vec::new()).await,
            (Kind::Deposit, Exhibit::Consequence) => self.follows(read::<HandedIn>(draft)?.cid, Vec::new()).await,
            (Kind::Resolve, Exhibit::Consequence) => self.follows(read::<Resolve>(draft)?.cid, Vec::new()).await,
            (Kind::Release, Exhibit::Consequence) => self.judge_release(draft).await,
            (Kind::PaymentOrder, Exhibit::Payment { request, salt }) => self.judge_pay(draft, request, salt).await,
            (Kind::PaymentOrder, Exhibit::Statement | Exhibit::Consequence) => self.judge_lock(draft).await,
            // To ask for money and to say that it came binds to nothing else; but a receipt is for what was asked for here.
            (Kind::PaymentRequest, Exhibit::Consequence) => {
                read::<PaymentRequest>(draft)?;
                let asked =
                    Fact { space: REQUESTED.to_owned(), key: draft.id().as_bytes().to_vec(), value: Vec::new() };
                Ok(Judgement::Sign(vec![asked]))
            }
            (Kind::PaymentReceipt, Exhibit::Consequence) => {
                let request = read::<PaymentReceipt>(draft)?.request;
                match self.decisions.fact(REQUESTED, request.as_bytes()).await.map_err(unavailable)? {
                    Some(_) => Ok(Judgement::Sign(Vec::new())),
                    None => Err(ApprovalError::Forbidden("no such payment was asked for here".into())),
                }
            }
            (Kind::AccountRequest, Exhibit::Statement | Exhibit::Consequence) => match self.wording(draft) {
                Wording::Harmless => Ok(Judgement::Sign(Vec::new())),
                Wording::Binding(text) => {
                    let subject = Subject { kind: "account", ..Subject::default() };
                    Ok(Judgement::Ask { subject, text, contract: None })
                }
                Wording::Foreign => {
                    Err(ApprovalError::Forbidden("a statement that nobody can put into words is not signed".into()))
                }
            },
            _ => Err(ApprovalError::Forbidden(
                "a statement of this kind is not signed here without showing what it is about".into(),
            )),
        }
    }

    /// What an arbiter's service has ruled. It gives the money of one lock to one side only.
    async fn judge_arbiter(&self, request: &SignRequest) -> Result<Judgement, ApprovalError> {
        let draft = &request.draft;
        match draft.kind {
            // What it asks for and says to have got goes through its hands.
            Kind::PaymentRequest | Kind::PaymentReceipt => Ok(Judgement::Sign(Vec::new())),
            Kind::PaymentOrder => self.judge_due(request).await,
            Kind::Verdict | Kind::Closing | Kind::Status | Kind::LogHead | Kind::KeyAttestation => {
                Ok(Judgement::Sign(Vec::new()))
            }
            Kind::Release => {
                let Release { tag, to, .. } = read(draft)?;
                let (space, key) = (WAYS.to_owned(), tag.as_bytes().to_vec());
                Ok(Judgement::Sign(vec![Fact { space, key, value: to.name().as_bytes().to_vec() }]))
            }
            Kind::AccountRequest if self.wording(draft) == Wording::Harmless => Ok(Judgement::Sign(Vec::new())),
            _ => Err(ApprovalError::Forbidden("an arbiter's keys sign what it rules and nothing else".into())),
        }
    }

    /// An arbiter's order to pay what has gone through its hands: exactly what a verdict of its own has made due.
    async fn judge_due(&self, request: &SignRequest) -> Result<Judgement, ApprovalError> {
        let Exhibit::Payment { request: asked, salt } = &request.exhibit else {
            return Err(ApprovalError::Forbidden("an arbiter pays for what was asked of it and nothing else".into()));
        };
        let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
        let asked = Signed::from_bytes(asked).map_err(|e| mismatch(&e))?;
        let (order, hash): (PaymentOrder, _) = (read(&request.draft)?, order_hash(asked.id(), salt));
        let wanted = PaymentRequest::from_bytes(asked.payload()).map_err(|e| mismatch(&e))?;
        let fits = (order.order, order.amount, &order.issuer) == (hash, wanted.amount, &wanted.issuer);
        let due = self.decisions.fact(DUE_SPACE, hash.as_bytes()).await.map_err(unavailable)?;
        if fits && due.as_deref() == Some(asked.id().as_bytes().as_slice()) {
            return Ok(Judgement::Sign(Vec::new()));
        }
        Err(ApprovalError::Forbidden("no verdict has made this payment due".into()))
    }

    /// A release of locked money: exactly what an approved contract promises, and no abort any more after it.
    async fn judge_release(&self, draft: &Draft) -> Result<Judgement, ApprovalError> {
        let release: Release = read(draft)?;
        match self.promised(release.tag).await?.filter(|(_, promised)| *promised == release) {
            // Contracts with money are between two: their only part is the first.
            Some((cid, _)) => self.follows(cid, vec![part_way(cid, Slot::default(), b"final")]).await,
            None => Err(ApprovalError::Forbidden("it releases other money than an approved contract promises".into())),
        }
    }

    /// An order that pays. One that an approved contract promises follows from it, once, and no abort of that contract any more, unless the arbiter is paid, which an abort
    /// has pay back; every other is asked.
    async fn judge_pay(&self, draft: &Draft, request: &[u8], salt: &[u8; 32]) -> Result<Judgement, ApprovalError> {
        let order: PaymentOrder = read(draft)?;
        let Some((cid, _)) = self.promised(order.order).await? else {
            let deposit = self.judge_deposit(draft, request, salt).await?;
            return deposit.map_or_else(|| judge_payment(draft, request, salt), Ok);
        };
        match self.judge_lock(draft).await? {
            Judgement::Sign(mut facts) => {
                facts.push(part_way(cid, Slot::default(), b"final"));
                Ok(Judgement::Sign(facts))
            }
            asked => Ok(asked),
        }
    }

    /// An order that locks money: exactly what an approved contract promises, and once.
    async fn judge_lock(&self, draft: &Draft) -> Result<Judgement, ApprovalError> {
        let order: PaymentOrder = read(draft)?;
        let expected = |release: &Release| {
            (release.tag, release.amount, &release.issuer) == (order.order, order.amount, &order.issuer)
        };
        match self.promised(order.order).await?.filter(|(_, release)| expected(release)) {
            Some((cid, _)) => {
                let (space, key) = (LOCKED.to_owned(), order.order.as_bytes().to_vec());
                self.follows(cid, vec![Fact { space, key, value: draft.id().as_bytes().to_vec() }]).await
            }
            None => Err(ApprovalError::Forbidden("it locks other money than an approved contract promises".into())),
        }
    }

    /// The approved contract that promises the money of a lock, and the release that it promises.
    async fn promised(&self, tag: Digest) -> Result<Option<(Cid, Release)>, ApprovalError> {
        let promised = self.decisions.fact(RELEASES, tag.as_bytes()).await.map_err(unavailable)?;
        Ok(promised.as_deref().and_then(|promised| {
            let (cid, release) = promised.split_first_chunk::<32>()?;
            Some((Cid::from_digest(Digest::from_array(*cid)), Release::from_bytes(release).ok()?))
        }))
    }

    /// A use of a right: exactly for an approved contract that shows it.
    async fn judge_reservation(&self, draft: &Draft) -> Result<Judgement, ApprovalError> {
        let request: ReservationRequest = read(draft)?;
        let promised = self.decisions.fact(SHOWS, request.tag.as_bytes()).await.map_err(unavailable)?;
        match promised {
            Some(promised) if promised == draft.payload => Ok(Judgement::Sign(Vec::new())),
            _ => Err(ApprovalError::Forbidden(
                "it keeps another right, or otherwise, than an approved contract shows".into(),
            )),
        }
    }

    /// A right that is passed on under a contract: exactly as an approved contract passes it on, and no abort of that contract any more.
    async fn judge_passing(&self, draft: &Draft) -> Result<Judgement, ApprovalError> {
        let transfer: CredentialTransfer = read(draft)?;
        let wrong =
            ApprovalError::Forbidden("it passes on another right, or otherwise, than an approved contract does".into());
        let Some(condition) = transfer.condition else { return Err(wrong) };
        let promised = self.decisions.fact(PASSES, condition.tag.as_bytes()).await.map_err(unavailable)?;
        match promised.as_deref().and_then(<[u8]>::split_first_chunk::<32>) {
            Some((cid, promised)) if promised == draft.payload => {
                let cid = Cid::from_digest(Digest::from_array(*cid));
                let passed = fact(PASSED, cid, draft.id().as_bytes());
                self.follows(cid, vec![part_way(cid, Slot::default(), b"final"), passed]).await
            }
            _ => Err(wrong),
        }
    }

    /// That a right is to be called back: one that was passed on under an approved contract, and of whose money nobody has said that it came.
    async fn judge_revocation(&self, cid: Cid) -> Result<Judgement, ApprovalError> {
        match self.decisions.fact(PASSED, cid.as_bytes()).await.map_err(unavailable)? {
            Some(_) => self.follows(cid, vec![fact(MONEY, cid, b"did not come")]).await,
            None => Err(ApprovalError::Forbidden("no right was passed on under this contract".into())),
        }
    }

    /// What the first payment system that knows the statement says of it.
    fn wording(&self, draft: &Draft) -> Wording {
        let mut wordings = self.systems.iter().map(|system| system.wording(draft));
        wordings.find(|wording| *wording != Wording::Foreign).unwrap_or(Wording::Foreign)
    }

    /// The next round of a contract of many: the one before is signed, and was not taken to the arbiter.
    async fn judge_round(&self, cid: Cid, round: u8) -> Result<Judgement, ApprovalError> {
        match round.checked_sub(1) {
            Some(before) if before > 0 => {
                self.has_signed(cid, before).await?;
                self.follows(cid, vec![way(cid, before, b"on")]).await
            }
            _ => Err(ApprovalError::Forbidden("the first round of a contract is not signed without asking".into())),
        }
    }

    /// The question to the arbiter in a round, which need not be signed: it may have begun too late for that. After it no later round is
    /// signed, and no other question.
    async fn judge_ask(&self, cid: Cid, round: u8) -> Result<Judgement, ApprovalError> {
        let mut facts = vec![way(cid, round, b"asked")];
        if let Some(before) = round.checked_sub(1).filter(|before| *before > 0) {
            self.has_signed(cid, before).await?;
            facts.push(way(cid, before, b"on"));
        }
        self.follows(cid, facts).await
    }

    async fn has_signed(&self, cid: Cid, round: u8) -> Result<(), ApprovalError> {
        let Some(before) = round.checked_sub(1).filter(|before| *before > 0) else { return Ok(()) };
        let Fact { space, key, value } = way(cid, before, b"on");
        match self.decisions.fact(&space, &key).await.map_err(unavailable)? {
            Some(found) if found == value => Ok(()),
            _ => Err(ApprovalError::Forbidden("the round before was not signed".into())),
        }
    }

    /// A contract. `arbiter` is the key set of its arbiter, where money goes through the arbiter's hands.
    fn judge_contract(
        &self,
        draft: &Draft,
        [core, document, template]: [&[u8]; 3],
        arbiter: Option<&[u8]>,
    ) -> Result<Judgement, ApprovalError> {
        let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
        let agreement = Agreement::from_parts(core, document, template).map_err(|e| mismatch(&e))?;
        let text = agreement.text().map_err(|e: ProposalError| mismatch(&e))?;
        let many = agreement.core.terms.profile == Profile::Cn;
        let (named, role) = match draft.kind {
            Kind::Round => {
                let Round { cid, role, round } = read(draft)?;
                if round != 1 {
                    return Err(mismatch(&"a contract is shown for its first round"));
                }
                (cid, role)
            }
            _ => {
                let Promise { cid, role, .. } = read(draft)?;
                (cid, role)
            }
        };
        let cid = agreement.core.cid();
        let mine = agreement.core.party(role) == Some(self.signer.key_set().id());
        if named != cid || !mine || many != (draft.kind == Kind::Round) {
            return Err(mismatch(&"the statement is about another contract or role"));
        }
        // A promise to several is to nobody in particular: a rule for one of them does not allow it.
        let alone = !many && (role != Role::ORIGINATOR || agreement.core.terms.parties.len() == 2);
        let peer = agreement.core.party(role.peer()).filter(|_| alone);
        let deposit = deposit::promised(&agreement, role, arbiter)?;
        let arbiter = agreement.core.arbiter();
        let (release, shows) = (promised_release(&agreement.core, role), shown_right(&agreement.core, role));
        let passes = passed_right(&agreement.core, role);
        let kind = match (&release, agreement.template.name()) {
            // What cannot be undone by anybody no rule allows.
            _ if arbiter.is_none() => "without arbiter",
            // A right may be worth more than money.
            _ if shows.is_some() || passes.is_some() => "right",
            // What is paid before it is known to be for good what it is paid for, its payer must run after: no rule decides that.
            (Some(_), RECEIPT_TRANSFER_TEMPLATE | right::TEMPLATE) => "transfer",
            // Whom one trusts with money no rule decides.
            (_, EXCHANGE_IN_LINE_TEMPLATE) => "in-line",
            // Whether the rate is good no rule can say.
            (Some(_), EXCHANGE_TEMPLATE) if role != Role::ORIGINATOR => "exchange",
            (Some(_), EXCHANGE_TEMPLATE | RECEIPT_TEMPLATE) => "payment",
            _ => "contract",
        };
        let amount = release.as_ref().map(|release| release.amount);
        let subject = Subject { kind, peer, arbiter, amount };
        // What a hash locks no signature of ours lets go of.
        let release = release.filter(|_| arbiter.is_some());
        Ok(Judgement::Ask {
            subject,
            text,
            contract: Some(Box::new(Approves { cid, release, shows, passes, deposit })),
        })
    }

    /// A seller's promise: signed without asking if its contract follows from an offer that the user has approved, which still stands.
    async fn judge_sale(
        &self,
        draft: &Draft,
        core: &[u8],
        document: &[u8],
        template: &[u8],
        order: &[u8],
    ) -> Result<Judgement, ApprovalError> {
        let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
        let order = Order::from_bytes(order).map_err(|e| mismatch(&e))?;
        let agreement = Agreement::from_parts(core, document, template).map_err(|e| mismatch(&e))?;
        let asked = self.judge_contract(draft, [core, document, template], None)?;
        let offer = match self.answered(order.offer).await? {
            Some(Answer::Signed(signed)) if signed.kind() == Kind::Offer => signed.payload().to_vec(),
            _ => return Ok(asked),
        };
        let seller = agreement.core.party(Role::ORIGINATOR) == Some(self.signer.key_set().id());
        let now = now();
        let follows = seller
            && match (AccessOffer::from_bytes(&offer), RightOffer::from_bytes(&offer)) {
                (Ok(offer), _) => {
                    offer.until >= now && access::follows(&Verifier, &agreement, &offer, &order, now).is_ok()
                }
                (_, Ok(offer)) => {
                    offer.until >= now && right::follows(&Verifier, &agreement, &offer, &order, now).is_ok()
                }
                _ => {
                    let offer = Offer::from_bytes(&offer).map_err(|e| mismatch(&e))?;
                    offer.until >= now && purchase::follows(&agreement, &offer, &order, now).is_ok()
                }
            };
        match asked {
            Judgement::Ask { contract: Some(contract), .. } if follows => Ok(Judgement::Sign(contract.facts())),
            asked => Ok(asked),
        }
    }

    /// A consequence of a contract that the user has approved.
    async fn follows(&self, cid: Cid, facts: Vec<Fact>) -> Result<Judgement, ApprovalError> {
        match self.decisions.fact(APPROVED, cid.as_bytes()).await.map_err(unavailable)? {
            Some(_) => Ok(Judgement::Sign(facts)),
            None => Err(ApprovalError::Forbidden("it follows from no contract that the user has approved".into())),
        }
    }

    async fn ask(&self, approval: Approval, subject: &Subject) -> Result<Answer, ApprovalError> {
        let with = approval.facts();
        if self.policy.as_ref().is_some_and(|policy| policy.allows(subject)) {
            let event = Event::by_rule(&approval.draft, approval.text_hash(), approval.text);
            return self.sign(event, approval.draft, with).await;
        }
        // What a user has to read is stored, and must be readable again. A contract is never longer; a message may be.
        if approval.text.len() > RENDERED_MAX {
            return Err(ApprovalError::Forbidden("the text is too long to be shown".into()));
        }
        let id = approval.draft.id();
        if self.decisions.waiting(id).await.map_err(unavailable)?.is_some() {
            return Ok(Answer::Waiting);
        }
        if self.decisions.all_waiting(WAITING_MAX).await.map_err(unavailable)?.len() >= WAITING_MAX {
            return Err(ApprovalError::TooMany);
        }
        let event = Event::of(What::Asked, &approval.draft);
        let decision = Decision { event, facts: Vec::new(), question: Some(approval) };
        self.decisions.decide(decision).await.map_err(|e| ApprovalError::Unavailable(e.to_string()))?;
        Ok(Answer::Waiting)
    }
}

#[async_trait]
impl<D: Decisions + ?Sized> KeyHolder for Vault<D> {
    fn key_set(&self) -> KeySet {
        self.signer.key_set().clone()
    }

    async fn withdraw(&self, request: StatementId) -> Result<(), ApprovalError> {
        let Some(approval) = self.decisions.waiting(request).await.map_err(unavailable)? else { return Ok(()) };
        let event = Event::of(What::Withdrawn, &approval.draft);
        let decision = Decision { event, facts: Vec::new(), question: None };
        self.decisions.decide(decision).await.map_err(|e| ApprovalError::Unavailable(e.to_string()))
    }

    async fn request(&self, request: SignRequest) -> Result<Answer, ApprovalError> {
        let mine = self.signer.key_set();
        if request.draft.signer != mine.id() || request.draft.suite != mine.suite() {
            return Err(ApprovalError::WrongSigner);
        }
        if let Some(answer) = self.answered(request.id()).await? {
            return Ok(answer);
        }
        match self.judge(&request).await? {
            Judgement::Sign(facts) => self.sign(Event::of(What::Followed, &request.draft), request.draft, facts).await,
            Judgement::Ask { subject, text, contract } => {
                let title = title(request.draft.kind);
                let SignRequest { deal, draft, .. } = request;
                let approves = contract.map(|contract| *contract);
                self.ask(Approval { deal, draft, title, text, since: now(), approves }, &subject).await
            }
        }
    }
}

fn title(kind: Kind) -> String {
    match kind {
        Kind::Promise | Kind::Round => "Sign this contract?",
        Kind::Offer => "Offer this to anybody?",
        Kind::Container => "Send this, signed by you?",
        Kind::Ack => "Sign that you have received this?",
        Kind::PaymentOrder => "Pay this?",
        Kind::AccountRequest => "Ask your bank for this?",
        Kind::CredentialTransfer => "Pass this right on?",
        _ => "Sign this?",
    }
    .to_owned()
}

/// A payment: the order must be for the request that is shown.
fn judge_payment(draft: &Draft, request: &[u8], salt: &[u8; 32]) -> Result<Judgement, ApprovalError> {
    let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
    let signed = Signed::from_bytes(request).map_err(|e| mismatch(&e))?;
    let asked = PaymentRequest::from_bytes(signed.payload()).map_err(|e| mismatch(&e))?;
    let order: PaymentOrder = read(draft)?;
    let same = (order.amount, &order.system, &order.issuer) == (asked.amount, &asked.system, &asked.issuer);
    if !same || signed.kind() != Kind::PaymentRequest || order.order != order_hash(signed.id(), salt) {
        return Err(mismatch(&"the order is for another payment than the request"));
    }
    let text = format!(
        "Pay to {payee}\n\n  amount   {amount}\n  for      {purpose}\n  by       {system} at {issuer}\n  until    {until}\n\n\
         A payment by {system} cannot be taken back once the payee has it, unless the payee gives it back.\n",
        payee = signed.signer(),
        amount = asked.amount,
        purpose = escape(&asked.purpose, 11),
        system = asked.system,
        issuer = escape(&asked.issuer, 11),
        until = asked.expires,
    );
    let subject =
        Subject { kind: "payment", peer: Some(signed.signer()), amount: Some(asked.amount), ..Subject::default() };
    Ok(Judgement::Ask { subject, text, contract: None })
}

/// What a party asks the issuer of its right to keep, if a contract shows one.
fn shown_right(core: &Core, role: Role) -> Option<ReservationRequest> {
    match Leg::of(core).ok()? {
        [_, Leg::Show(show)] if role == Role::RESPONDER => show.request(core),
        _ => None,
    }
}

/// What a party asks the issuer of its right to pass on, if a contract does.
fn passed_right(core: &Core, role: Role) -> Option<CredentialTransfer> {
    match Leg::of(core).ok()? {
        [Leg::Right(right), _] if role == Role::ORIGINATOR => right.request(core),
        _ => None,
    }
}

/// A credential that is passed on: the one that is shown. No rule allows it.
fn judge_transfer(draft: &Draft, bundle: &[u8]) -> Result<Judgement, ApprovalError> {
    let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
    let bundle = Bundle::from_bytes(bundle).map_err(|e| mismatch(&e))?;
    let checked: Verified<Credential> =
        verify(&Verifier, &bundle.issuer, &bundle.credential).map_err(|e| mismatch(&e))?;
    let (credential, transfer): (&Credential, CredentialTransfer) = (checked.statement(), read(draft)?);
    if transfer.serial != credential.serial || credential.holder != draft.signer {
        return Err(mismatch(&"it is another credential, or somebody else's"));
    }
    // What can be called back is a sale, and is shown as one.
    if transfer.condition.is_some() {
        return Err(mismatch(&"it is passed on under a contract"));
    }
    let text = format!(
        "Pass on to {to}\n\n  right          {right}\n  issued by      {issuer}\n  at             {at}\n  can be used    {uses}\n  \
         valid until    {until}\n  serial number  {serial}\n\n\
         It is worth nothing to you any more. Its issuer makes a new one for them, with the uses that are left.\n",
        to = transfer.to,
        right = escape(&credential.right, 0),
        issuer = bundle.issuer.id(),
        at = escape(&credential.issuer, 0),
        uses = credential.uses,
        until = credential.until,
        serial = credential.serial,
    );
    let subject = Subject { kind: "credential", peer: Some(transfer.to), ..Subject::default() };
    Ok(Judgement::Ask { subject, text, contract: None })
}

/// What a party lets go of with its final, if it promises money: all of it, to the other side. Money by plain transfer goes by the hash of its order.
fn promised_release(core: &Core, role: Role) -> Option<Release> {
    let item = core.terms.items.iter().position(|item| item.owner == role)?;
    let legs = Leg::of(core).ok()?;
    let leg = legs.get(item)?;
    let transferred = |transfer: &Transfer| order_hash(transfer.request.id(), &transfer.salt);
    let tag = leg.lock().map(|lock| lock.tag).or_else(|| leg.transfer().map(transferred))?;
    let price = Price::from_bytes(&core.terms.items[item].descriptor).ok()?;
    Some(Release { tag, issuer: price.issuer, to: Side::Payee, amount: price.amount })
}

fn judge_container(draft: &Draft, container: &[u8]) -> Result<Judgement, ApprovalError> {
    let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
    let container = Container::from_bytes(container).map_err(|e| mismatch(&e))?;
    let named = match draft.kind {
        Kind::Container => read::<ContainerStatement>(draft)?.container,
        _ => read::<Ack>(draft)?.container,
    };
    if named != container.id() {
        return Err(mismatch(&"the statement is about another container"));
    }
    let kind = if draft.kind == Kind::Ack { "acknowledgement" } else { "mail" };
    let subject = Subject { kind, ..Subject::default() };
    Ok(Judgement::Ask { subject, text: describe(&container), contract: None })
}

/// What a container holds, as it is shown: a line for each thing, and a text message in full.
fn describe(container: &Container) -> String {
    let mut text = format!("container {}\n", container.id());
    for (_, leaf) in container.leaves() {
        match leaf {
            Leaf::Information(file) => {
                let name = escape(file.name(), 0);
                let line =
                    format!("- {name}, {}, {} bytes\n  hash {}\n", file.media_type(), file.bytes().len(), file.hash());
                text.push_str(&line);
                if let (MESSAGE_NAME, Ok(message)) = (file.name(), std::str::from_utf8(file.bytes())) {
                    text.extend(message.lines().map(|line| format!("  | {}\n", escape(line, 8))));
                }
            }
            Leaf::Statement(signed) => text.push_str(&format!("- a signed {} by {}\n", signed.kind(), signed.signer())),
            Leaf::Credential(bytes) => text.push_str(&format!("- a credential, {} bytes\n", bytes.len())),
            Leaf::Money(bytes) => text.push_str(&format!("- money, {} bytes\n", bytes.len())),
        }
    }
    text
}

fn read<T: Decode>(draft: &Draft) -> Result<T, ApprovalError> {
    T::from_bytes(&draft.payload).map_err(|e| ApprovalError::Mismatch(e.to_string()))
}

fn way(cid: Cid, round: u8, to: &[u8]) -> Fact {
    Fact { space: WAYS.to_owned(), key: [cid.as_bytes().as_slice(), &[round]].concat(), value: to.to_vec() }
}

fn fact(space: &str, cid: Cid, value: &[u8]) -> Fact {
    Fact { space: space.to_owned(), key: cid.as_bytes().to_vec(), value: value.to_vec() }
}

/// The way that a part of a contract goes.
fn part_way(cid: Cid, part: Slot, value: &[u8]) -> Fact {
    let key = [cid.as_bytes().as_slice(), &part.0.to_be_bytes()].concat();
    Fact { space: WAYS.to_owned(), key, value: value.to_vec() }
}

fn unavailable(error: ReadError) -> ApprovalError {
    ApprovalError::Unavailable(error.to_string())
}

impl<D: Decisions + ?Sized> fmt::Debug for Vault<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({:?}, {:?})", self.signer.key_set().id(), self.purpose)
    }
}

impl Approves {
    /// What is stored when the contract is approved, for what follows from it.
    fn facts(&self) -> Vec<Fact> {
        let Self { cid, release, shows, passes, deposit } = self;
        let of_contract = |space: &str, key: Digest, promised: Vec<u8>| {
            let value = [cid.as_bytes().as_slice(), &promised].concat();
            Fact { space: space.to_owned(), key: key.as_bytes().to_vec(), value }
        };
        let shown = shows.map(|request| {
            let (space, key) = (SHOWS.to_owned(), request.tag.as_bytes().to_vec());
            Fact { space, key, value: request.to_bytes() }
        });
        let released = release.as_ref().map(|release| of_contract(RELEASES, release.tag, release.to_bytes()));
        let passed = passes.and_then(|transfer| {
            transfer.condition.map(|condition| of_contract(PASSES, condition.tag, transfer.to_bytes()))
        });
        let deposited = deposit.as_ref().map(|deposit| deposit.fact(*cid));
        [fact(APPROVED, *cid, b"")].into_iter().chain(released).chain(shown).chain(passed).chain(deposited).collect()
    }
}

impl Approval {
    /// What is stored with the signature, for what follows from it.
    fn facts(&self) -> Vec<Fact> {
        self.approves.as_ref().map_or_else(Vec::new, Approves::facts)
    }

    /// The hash of the shown text, which an answer must name.
    pub fn text_hash(&self) -> Digest {
        Digest::of(domain::RENDER, self.text.as_bytes())
    }
}

impl Encode for Approval {
    fn to_value(&self) -> Value {
        let approves = self.approves.as_ref();
        record()
            .put_item(0, &self.deal)
            .put_item(1, &self.draft)
            .put(2, self.title.as_str())
            .put(3, self.text.as_str())
            .put_item(4, &self.since)
            .put_some(5, approves.map(|approves| approves.cid.to_value()))
            .put_some(6, approves.and_then(|approves| Some(approves.release.as_ref()?.to_value())))
            .put_some(7, approves.and_then(|approves| Some(approves.shows?.to_value())))
            .put_some(8, approves.and_then(|approves| Some(approves.passes?.to_value())))
            .put_some(9, approves.and_then(|approves| Some(approves.deposit.as_ref()?.to_value())))
            .build()
    }
}

impl Decode for Approval {
    // The text, and the statement.
    const BYTES_MAX: usize = RENDERED_MAX + 128 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let deal = fields.item(0, "deal")?;
        let draft = fields.item(1, "draft")?;
        let (title, text) = (fields.text(2, "title", 1024)?, fields.text(3, "text", RENDERED_MAX)?);
        let since = fields.item(4, "since")?;
        let (release, shows) = (fields.optional_item(6, "release")?, fields.optional_item(7, "reservation request")?);
        let (passes, deposit) = (fields.optional_item(8, "credential transfer")?, fields.optional_item(9, "deposit")?);
        let cid: Option<Cid> = fields.optional_item(5, "cid")?;
        fields.close()?;
        let approves = cid.map(|cid| Approves { cid, release, shows, passes, deposit });
        Ok(Self { deal, draft, title, text, since, approves })
    }
}

#[cfg(test)]
mod tests;

//! The rules under which a party's keys sign.
//!
//! Whatever is signed with a party's keys is signed here. A statement that binds the user is shown first: the text is rendered
//! here, from the document, and must be the one that the statement's contract names. What follows from an approved contract is
//! signed without asking, within rules that the vault keeps itself: no final for a contract that was to be aborted, no abort of
//! one whose final was signed; no payment to an arbiter but what it asks for under a contract that gives it money into its hands; no release of locked money and no passing on of a right but what the contract promises; no word that a right is to be called back
//! beside one that its money has come; among many signers, round after round
//! up to the question to the arbiter, and nothing after it; for a contract of before a restore, nothing that excludes anything. What a mandate of the user covers is signed without asking too, and counted. Every answer is stored before it is given, under the statement's identifier,
//! and is the same for ever.
//!
//! Third parties sign by rule, not by asking: their vault signs only the kinds that their role needs ([`Purpose`]).

mod approval;
mod container;
mod contract;
mod cover;
mod deposit;
mod mandate;
mod money;
mod restored;
mod right;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use semper_commerce::access::AccessOffer;
use semper_commerce::mandate::{Act, Matter};
use semper_commerce::offer::Offer;
use semper_commerce::right::RightOffer;
use semper_commerce::swap::FileOffer;
use semper_core::cbor::Decode;
use semper_core::contract::{Final, Quittance};
use semper_core::cose::{Draft, Kind, Signed};
use semper_core::document::RENDERED_MAX;
use semper_core::ids::{Cid, Slot, StatementId};
use semper_core::party::KeySet;
use semper_exchange::arbiter::hands::Deposit as HandedIn;
use semper_exchange::arbiter::many::Ask;
use semper_exchange::arbiter::request::{Abort, Complaint, Inquiry, Resolve, Revocation, Settlement};
use semper_exchange::cn::Round;
use semper_exchange::goods::Disclosure;
use semper_support::approval::{Answer, ApprovalError, Exhibit, KeyHolder, SignRequest};
use semper_support::archive::{CommitError, Fact, ReadError};
use semper_support::crypto::Signer;
use semper_transfer::payment::Module;
use semper_transfer::payment::module::Wording;
use semper_transfer::payment::statement::{PaymentReceipt, PaymentRequest, Release};

use self::approval::title;
pub use self::approval::{Approval, Approves, UserAnswer};
use self::cover::judge_cover;
pub use self::deposit::Deposit;
pub(crate) use self::mandate::is_known;
pub use self::mandate::{ANEW_MAX, Granted, MANDATES_MAX, MandateUse};
pub use self::restored::{Restored, mark_restored};
use self::right::judge_transfer;
use crate::decisions::{Decision, Decisions, Event, What};
use crate::now;
use crate::policy::Policy;
use crate::sheet::Sheet;

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
/// Fact space of those with whom something was approved: part and key set.
const MET: &str = "vault-met";
/// Why what excludes an earlier statement is not signed.
const OTHER_WAY: &str = "the contract went the other way: a final excludes an abort, one side's money the other's";
/// Most approvals that wait at once.
pub const WAITING_MAX: usize = 256;

/// Puts statements of payment systems into words.
pub type Systems = Arc<[Box<dyn Module>]>;

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
    /// No mandate of this name was granted.
    #[error("no such mandate was granted: {0}")]
    NoMandate(StatementId),
    /// What is to be granted is no mandate.
    #[error("this is no mandate: {0}")]
    BadMandate(String),
    /// Signing failed.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What is to be done about a request.
enum Judgement {
    /// Show it to the user, unless a mandate covers the act; or why no mandate can. If it approves a contract: which, and what follows from it.
    Ask { act: Result<Act, &'static str>, text: String, contract: Option<Box<Approves>> },
    /// It follows from what was approved. The facts are stored with it; if one is taken by another value, it is refused.
    Sign(Vec<Fact>),
}

impl<D: Decisions + ?Sized> Vault<D> {
    /// A vault over `signer`'s keys that keeps what it decides in `decisions`. What `policy` covers is signed without asking.
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
        for who in waiting.iter_mut().flat_map(|approval| &mut approval.sheet.who) {
            who.met = self.decisions.fact(MET, &who.key()).await?.is_some();
        }
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
        let with = approval.facts().into_iter().chain(approval.met()).collect();
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
        loop {
            let mut facts = vec![answer.clone()];
            for fact in &with {
                // A fact that stands with the same value is fine: the contract was approved, or went this way, before.
                match self.decisions.fact(&fact.space, &fact.key).await.map_err(unavailable)? {
                    Some(stands) if stands == fact.value => {}
                    Some(_) => {
                        return Err(ApprovalError::Forbidden(OTHER_WAY.into()));
                    }
                    None => facts.push(fact.clone()),
                }
            }
            match self.decisions.decide(Decision { event: event.clone(), facts, question: None }).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Taken { stands }) if stands.space == ANSWERS => return Ok(()),
                // Another answer has stored the same in between; what stands does so for ever, so this ends.
                Err(CommitError::Taken { stands }) if with.contains(&stands) => {}
                Err(CommitError::Taken { .. }) => return Err(ApprovalError::Forbidden(OTHER_WAY.into())),
                Err(error) => return Err(ApprovalError::Unavailable(error.to_string())),
            }
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
            (Kind::Container | Kind::Ack, Exhibit::Container { container }) => {
                self.judge_container(draft, container).await
            }
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
                Ok(Judgement::Ask { act: Ok(Act::of(Matter::Offer)), text, contract: None })
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
            (Kind::Inquiry, Exhibit::Consequence) => self.judge_inquiry(read::<Inquiry>(draft)?.cid).await,
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
            (
                Kind::LiabilityAgreement | Kind::CoverRequest | Kind::CoverRelease | Kind::CoverClaim,
                Exhibit::Statement,
            ) => judge_cover(draft),
            (Kind::AccountRequest, Exhibit::Statement | Exhibit::Consequence) => match self.wording(draft) {
                Wording::Harmless => Ok(Judgement::Sign(Vec::new())),
                Wording::Binding { text, most } => {
                    let act = Act { amount: most, ..Act::of(Matter::Account) };
                    Ok(Judgement::Ask { act: Ok(act), text, contract: None })
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

    /// A consequence of a contract that the user has approved. `facts` are what it excludes from now on.
    async fn follows(&self, cid: Cid, facts: Vec<Fact>) -> Result<Judgement, ApprovalError> {
        self.goes_no_new_way(cid, &facts).await?;
        match self.decisions.fact(APPROVED, cid.as_bytes()).await.map_err(unavailable)? {
            Some(_) => Ok(Judgement::Sign(facts)),
            None => Err(ApprovalError::Forbidden("it follows from no contract that the user has approved".into())),
        }
    }

    /// Asks the user, unless a mandate covers the act.
    async fn ask(&self, mut approval: Approval, act: Result<Act, &'static str>) -> Result<Answer, ApprovalError> {
        approval.uncovered = match act {
            Ok(act) => match self.sign_covered(&approval, &act).await? {
                Ok(answer) => return Ok(answer),
                Err(whys) => whys,
            },
            Err(never) if self.has_mandates().await? => format!("no mandate can cover it: {never}"),
            Err(_) => String::new(),
        };
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
        // The user has asked for it, and nobody else takes it back.
        if approval.draft.kind == Kind::Mandate {
            return Err(ApprovalError::Forbidden("a mandate is its user's matter".into()));
        }
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
            Judgement::Ask { contract: Some(contract), .. } if self.is_from_before(contract.cid).await? => {
                Err(restored::forbidden())
            }
            Judgement::Sign(facts) => self.sign(Event::of(What::Followed, &request.draft), request.draft, facts).await,
            Judgement::Ask { act, text, contract } => {
                let mut sheet = Sheet::of(&request);
                // What a bank is told to move only its module can read: here it has.
                if let Ok(Act { matter: Matter::Account, amount: Some(most), .. }) = &act {
                    sheet.gives = Some(*most);
                }
                let title = title(request.draft.kind, sheet.verb);
                let SignRequest { deal, draft, .. } = request;
                let (approves, uncovered) = (contract.map(|contract| *contract), String::new());
                self.ask(Approval { deal, draft, title, text, since: now(), approves, uncovered, sheet }, act).await
            }
        }
    }
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

#[cfg(test)]
mod tests;

//! Port: the way to the user and to the secret keys.
//!
//! Whoever drives a deal asks for a signature here and nowhere else. Behind the port stands the holder of the keys: a process of its own,
//! or a third party's rules. It shows the text that belongs to the statement, asks, signs and keeps a log. A request is named by the statement it asks for, so that asking again after a crash gives the first answer and the user is
//! not asked twice.

use std::borrow::Cow;

use async_trait::async_trait;
use semper_core::cose::{Draft, Signed};
use semper_core::ids::{DealId, StatementId};
use semper_core::party::KeySet;

/// A request for a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignRequest {
    /// The deal it belongs to.
    pub deal: DealId,
    /// The statement to be signed.
    pub draft: Draft,
    /// What the user is shown. The holder of the keys checks that it belongs to the draft.
    pub exhibit: Exhibit,
}

impl SignRequest {
    /// The request's name.
    pub fn id(&self) -> StatementId {
        self.draft.id()
    }
}

/// What a statement is about, for the eyes of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exhibit {
    /// A contract: its encoded core, document and template. The document's rendered text is shown; the core binds its hash.
    Contract {
        /// The encoded contract core.
        core: Vec<u8>,
        /// The encoded document.
        document: Vec<u8>,
        /// The encoded template.
        template: Vec<u8>,
    },
    /// A contract that follows from an offer which the holder of the keys has signed, and from the order that takes it up.
    Sale {
        /// The encoded contract core.
        core: Vec<u8>,
        /// The encoded document.
        document: Vec<u8>,
        /// The encoded template.
        template: Vec<u8>,
        /// The encoded order, which names the offer.
        order: Vec<u8>,
    },
    /// A contract by which money goes through the hands of the arbiter, which is to be paid by nothing but its own request.
    InLine {
        /// The encoded contract core.
        core: Vec<u8>,
        /// The encoded document.
        document: Vec<u8>,
        /// The encoded template.
        template: Vec<u8>,
        /// The encoded key set of the arbiter.
        arbiter: Vec<u8>,
    },
    /// A container that is sent or acknowledged.
    Container {
        /// The encoded container.
        container: Vec<u8>,
    },
    /// A payment: the payee's signed request, and what opens the order's hash.
    Payment {
        /// The signed request.
        request: Vec<u8>,
        /// The salt of the hash.
        salt: [u8; 32],
    },
    /// A credential that is passed on.
    Credential {
        /// The encoded credential, with the keys of its issuer.
        bundle: Vec<u8>,
    },
    /// Nothing but the statement itself, which the holder of the keys puts into words.
    Statement,
    /// A step that follows from a contract the user has approved (final, abort, resolve): nothing new is asked.
    Consequence,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Signed.
    Signed(Signed),
    /// The user said no.
    Declined,
    /// The user has not answered yet.
    Waiting,
}

/// Why the holder of the keys refuses a request without asking.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// The draft is for another key set.
    #[error("asked to sign for another key set")]
    WrongSigner,
    /// The exhibit does not belong to the draft: what would be shown is not what would be signed.
    #[error("what would be shown is not what would be signed: {0}")]
    Mismatch(String),
    /// A rule of the holder forbids it (a final after an abort request, a consequence of nothing that was approved).
    #[error("refused by the key holder: {0}")]
    Forbidden(Cow<'static, str>),
    /// Too many requests wait for an answer.
    #[error("too many requests wait for an answer; answer or decline some first")]
    TooMany,
    /// The keys are locked, or their storage failed.
    #[error("the key holder is not available: {0}")]
    Unavailable(String),
}

/// The holder of a party's keys.
#[async_trait]
pub trait KeyHolder: Send + Sync {
    /// The public side of the keys.
    fn key_set(&self) -> KeySet;

    /// Asks for a signature. Idempotent: the same draft gets the answer that it got first.
    ///
    /// # Errors
    /// [`ApprovalError`]; nothing was signed.
    async fn request(&self, request: SignRequest) -> Result<Answer, ApprovalError>;

    /// Takes back a request that needs no answer any more: the user is not asked, nothing is signed for it. An answer that was given
    /// before stands.
    ///
    /// # Errors
    /// `Unavailable`: the request still waits.
    async fn withdraw(&self, request: StatementId) -> Result<(), ApprovalError>;
}

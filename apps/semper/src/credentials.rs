//! The credentials that this party holds: taken in, looked at, passed on.
//!
//! ```text
//! record "credential"   serial → { 0: bundle, ? 1: the credential in its place (signed), once it was passed on,
//!                                  ? 2: "kept" / "called-back", once the contract has ended that it was bought under }
//! ```
//! To pass one on binds its holder, so it is shown and asked for. Once it is signed, the request goes to the issuer, which answers the same
//! request in the same way for ever: whoever loses the answer, or the power, gives the same order again.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Signed, Statement as _};
use semper_core::ids::DealId;
use semper_core::party::KeySet;
use semper_core::signature::{SignatureError, Verified, verify};
use semper_core::text::escape;
use semper_core::time::Time;
use semper_crypto::Verifier;
use semper_support::approval::{Answer, ApprovalError, Exhibit, SignRequest};
use semper_support::archive::{Commit, CommitError, ReadError};
use semper_transfer::credential::{Bundle, Credential, CredentialTransfer, FILE_MAX, Serial, Submission, Uses};
use semper_trust::armour::{self, ArmourError};

use crate::control::{CredentialView, PassedView};
use crate::node::{BookError, Node, now};
use crate::roles::issuer::StandingView;

/// Record space of the credentials.
const HELD: &str = "credential";
/// Most credentials that a party holds.
const HELD_MAX: usize = 10_000;
const PAGE: usize = 256;

/// A credential of this party.
#[derive(Clone, Debug)]
pub struct Held {
    /// As it was issued, with the keys of its issuer.
    pub bundle: Bundle,
    /// What it says.
    pub credential: Credential,
    /// What was issued in its place when it was passed on.
    pub passed: Option<Signed>,
    /// What has become of it, once the contract has ended that it was bought under.
    pub fate: Option<Fate>,
}

/// What becomes of a credential that was bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was paid for: nobody calls it back any more.
    Kept,
    /// It was not paid for: it is called back, if that has not happened yet.
    CalledBack,
}

/// Why something cannot be done with a credential. Nothing was passed on, unless `PassedOrNot` says that it may have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The file holds no credential.
    #[error("this is not the file of a credential: {0}")]
    File(#[from] ArmourError),
    /// It is malformed.
    #[error("the credential is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// Its issuer has not signed it.
    #[error("the credential is not signed by its issuer: {0}")]
    Unsigned(#[from] SignatureError),
    /// It belongs to somebody else.
    #[error("this credential belongs to another key than yours")]
    Foreign,
    /// There is no such credential here.
    #[error("there is no credential with the serial number {0:?} here; see `semper credential list`")]
    Unknown(String),
    /// Too many.
    #[error("no more than {HELD_MAX} credentials are kept")]
    Full,
    /// It was not paid for.
    #[error("this right was not paid for, and goes back to its seller")]
    CalledBack,
    /// It cannot be passed on now, says its issuer.
    #[error("the issuer says of this credential that it cannot be passed on now: {0}")]
    NotNow(String),
    /// The user said no.
    #[error("you have declined to pass it on")]
    Declined,
    /// The issuer did not answer: it may have done what it was asked to.
    #[error("the issuer {0} does not answer now: {1}")]
    Silent(String, String),
    /// The issuer did not answer a transfer.
    #[error("the issuer {0} does not answer, so it may or may not be passed on: give the same order again ({1})")]
    PassedOrNot(String, String),
    /// The issuer refuses.
    #[error("the issuer refuses: {0}")]
    Refused(String),
    /// The contact book.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The holder of the keys.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Storage failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Takes in a credential that was issued to this party.
///
/// # Errors
/// [`CredentialError`]; nothing was kept.
pub async fn add(node: &Node, text: &str) -> Result<CredentialView, CredentialError> {
    let bundle = Bundle::from_bytes(&armour::decode(armour::CREDENTIAL, text, FILE_MAX)?)?;
    let checked: Verified<Credential> = verify(&Verifier, &bundle.issuer, &bundle.credential)?;
    let credential = checked.statement().clone();
    if credential.holder != node.keys().key_set().id() {
        return Err(CredentialError::Foreign);
    }
    if let Some(known) = held(node, credential.serial).await? {
        return view(node, &known).await;
    }
    has_room(node).await?;
    let held = Held { bundle: Bundle { reservation: None, ..bundle }, credential, passed: None, fate: None };
    put(node, &held).await?;
    view(node, &held).await
}

/// Whether another credential can be kept.
///
/// # Errors
/// `Full`, storage.
pub async fn has_room(node: &Node) -> Result<(), CredentialError> {
    let all = node.archive().records(HELD, None, HELD_MAX).await?;
    if all.len() >= HELD_MAX { Err(CredentialError::Full) } else { Ok(()) }
}

/// Every credential of this party.
///
/// # Errors
/// Storage.
pub async fn all(node: &Node) -> Result<Vec<Held>, CredentialError> {
    let mut all: Vec<Held> = Vec::new();
    loop {
        let after = all.last().map(|held| held.credential.serial);
        let page =
            node.archive().records(HELD, after.as_ref().map(|serial| serial.as_bytes().as_slice()), PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        for (_, bytes) in page {
            all.push(Held::from_bytes(&bytes)?);
        }
    }
}

/// Every credential of this party, for the screen.
///
/// # Errors
/// Storage.
pub async fn list(node: &Node) -> Result<Vec<CredentialView>, CredentialError> {
    let mut views = Vec::new();
    for held in all(node).await? {
        views.push(view(node, &held).await?);
    }
    Ok(views)
}

/// Passes a credential on. Asked again with the same order, it gives what has become of it.
///
/// # Errors
/// [`CredentialError`].
pub async fn transfer(node: &Node, serial: &str, to: &str) -> Result<PassedView, CredentialError> {
    let unknown = || CredentialError::Unknown(serial.to_owned());
    let held = held(node, Serial::parse(serial).ok_or_else(unknown)?).await?.ok_or_else(unknown)?;
    if held.fate == Some(Fate::CalledBack) {
        return Err(CredentialError::CalledBack);
    }
    let to = node.book().by_name(to).await?;
    let me = node.keys().key_set();
    let transfer = CredentialTransfer { serial: held.credential.serial, to: to.key_set().id(), condition: None };
    let draft = transfer.draft(me.suite(), me.id());
    let id = draft.id();
    let deal = DealId::from_array(*held.credential.serial.as_bytes());
    let exhibit = Exhibit::Credential { bundle: held.bundle.to_bytes() };
    let signed = match node.keys().request(SignRequest { deal, draft, exhibit }).await? {
        Answer::Signed(signed) => signed,
        Answer::Declined => return Err(CredentialError::Declined),
        Answer::Waiting => return Ok(PassedView { approval: Some(id.to_string()), file: None }),
    };
    let submission = Submission { statement: signed, signer: me, kept: None };
    let said = match submit(node, &held.credential.issuer, &submission).await {
        Ok(Some(said)) => said,
        Ok(None) => return Err(CredentialError::Refused("it answers nothing".to_owned())),
        Err(CredentialError::Silent(issuer, why)) => return Err(CredentialError::PassedOrNot(issuer, why)),
        Err(error) => return Err(error),
    };
    let checked: Verified<Credential> = verify(&Verifier, &held.bundle.issuer, &said)?;
    if checked.statement().holder != transfer.to || checked.statement().right != held.credential.right {
        return Err(CredentialError::Refused("its answer is not the credential that was asked for".to_owned()));
    }
    let file = Bundle { credential: said.clone(), ..held.bundle.clone() };
    put(node, &Held { passed: Some(said), ..held }).await?;
    Ok(PassedView { approval: None, file: Some(armour::encode(armour::CREDENTIAL, &file.to_bytes())) })
}

/// How often a credential can be used by whoever it is passed on to now, if its issuer says that its holder can pass it on: it was not passed on or called
/// back, nothing of it is kept for a contract, and nobody can call it back.
///
/// # Errors
/// `NotNow`: why not. `Silent`.
pub async fn left(node: &Node, credential: &Credential) -> Result<Uses, CredentialError> {
    let silent = |why: String| CredentialError::Silent(escape(&credential.issuer, 0), why);
    let url = format!("{}/v1/credentials/{}", credential.issuer.trim_end_matches('/'), credential.serial);
    let answer = node.ask_service(&url, None).await.map_err(silent)?;
    let not_now = |why: &str| Err(CredentialError::NotNow(why.to_owned()));
    let standing: StandingView = match answer.status {
        200 => serde_json::from_slice(&answer.body).map_err(|error| silent(error.to_string()))?,
        404 => return not_now("it was never issued"),
        status => return Err(silent(format!("status {status}"))),
    };
    match (standing.state.as_str(), standing.left) {
        _ if standing.holder != credential.holder.to_string() => not_now("it belongs to somebody else"),
        ("valid", _) if standing.kept > 0 => not_now("a use is kept for a contract that has not ended"),
        ("valid", _) if standing.callable_until.is_some() => {
            not_now("it was passed on under a contract that has not ended, and can be called back")
        }
        ("valid", None) => Ok(Uses::Unlimited),
        ("valid", Some(left)) => Ok(Uses::Counted(left)),
        ("passed-on", _) => not_now("it was passed on, or called back"),
        (state, _) => not_now(&format!("it is {}", escape(state, 0))),
    }
}

/// Sends a submission to an issuer; its statement, or nothing where it has nothing to say.
///
/// # Errors
/// `Silent`: it may have been done. `Refused`: it was not.
pub async fn submit(node: &Node, issuer: &str, submission: &Submission) -> Result<Option<Signed>, CredentialError> {
    let silent = |why: String| CredentialError::Silent(escape(issuer, 0), why);
    let url = format!("{}/v1/requests", issuer.trim_end_matches('/'));
    let answer = node.ask_service(&url, Some(("application/cbor", submission.to_bytes()))).await.map_err(silent)?;
    match answer.status {
        200 => Signed::from_bytes(&answer.body).map(Some).map_err(|error| silent(error.to_string())),
        204 => Ok(None),
        400..=428 => Err(CredentialError::Refused(detail(&answer.body))),
        status => Err(silent(format!("status {status}"))),
    }
}

/// What a problem document says.
pub(crate) fn detail(body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
    escape(detail.unwrap_or("it does not say why"), 0).chars().take(300).collect()
}

/// A credential of this party.
///
/// # Errors
/// Storage.
pub async fn held(node: &Node, serial: Serial) -> Result<Option<Held>, CredentialError> {
    let record = node.archive().record(HELD, serial.as_bytes()).await?;
    Ok(record.map(|bytes| Held::from_bytes(&bytes)).transpose()?)
}

async fn put(node: &Node, held: &Held) -> Result<(), CredentialError> {
    Ok(node.archive().commit(Commit { records: vec![held.record()], ..Commit::default() }).await?)
}

async fn view(node: &Node, held: &Held) -> Result<CredentialView, CredentialError> {
    let Credential { serial, right, issuer, audience, uses, transferable, from, until, condition, .. } =
        &held.credential;
    let named = |key_set: &KeySet| {
        let id = key_set.id();
        async move {
            match node.book().by_key_set(id).await {
                Ok(contact) => Ok(Some(contact.name)),
                Err(BookError::Unknown(_)) => Ok(None),
                Err(error) => Err(error),
            }
        }
    };
    Ok(CredentialView {
        serial: serial.to_string(),
        right: right.clone(),
        issuer: named(&held.bundle.issuer).await?,
        issuer_key: held.bundle.issuer.id().to_string(),
        address: issuer.clone(),
        audience: audience.iter().map(ToString::to_string).collect(),
        uses: match uses {
            Uses::Unlimited => None,
            Uses::Counted(uses) => Some(*uses),
        },
        transferable: *transferable,
        from: from.unix(),
        until: until.unix(),
        callable_until: condition.filter(|_| held.is_callable(now())).map(|condition| condition.until.unix()),
        state: held.state(now()).to_owned(),
    })
}

impl Held {
    /// What this party knows of it: `valid`, `not-yet`, `expired`, `passed-on`, `callable` as long as it can be called back, or `called-back`. Uses are
    /// counted by the issuer.
    fn state(&self, now: Time) -> &'static str {
        match () {
            () if self.passed.is_some() => "passed-on",
            () if self.fate == Some(Fate::CalledBack) => "called-back",
            () if now > self.credential.until => "expired",
            () if now < self.credential.from => "not-yet",
            () if self.is_callable(now) => "callable",
            () => "valid",
        }
    }

    /// Whether it is this party's, as far as it knows: it was not passed on or called back.
    pub fn is_ours(&self) -> bool {
        self.passed.is_none() && self.fate != Some(Fate::CalledBack)
    }

    /// Whether somebody can have it called back: it was bought under a contract that has not ended.
    pub fn is_callable(&self, now: Time) -> bool {
        self.fate.is_none() && self.credential.condition.is_some_and(|condition| now <= condition.until)
    }

    /// As it is stored.
    pub fn record(&self) -> (String, Vec<u8>, Option<Vec<u8>>) {
        (HELD.to_owned(), self.credential.serial.as_bytes().to_vec(), Some(self.to_bytes()))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let passed = self.passed.as_ref().map(Encode::to_value);
        let fate = self.fate.map(|fate| if fate == Fate::Kept { "kept" } else { "called-back" });
        record().put_item(0, &self.bundle).put_some(1, passed).put_some(2, fate).build().encode()
    }
}

impl Decode for Held {
    const BYTES_MAX: usize = 2 * Bundle::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (bundle, passed): (Bundle, _) = (fields.item(0, "bundle")?, fields.optional_item(1, "passed")?);
        let fate = match fields.optional_item::<String>(2, "fate")?.as_deref() {
            None => None,
            Some("kept") => Some(Fate::Kept),
            Some("called-back") => Some(Fate::CalledBack),
            Some(other) => {
                let problem = Problem::Unknown { what: "fate", found: other.to_owned() };
                return Err(DecodeError::field("fate", problem));
            }
        };
        fields.close()?;
        // Checked when it was taken in.
        let credential = Credential::from_bytes(bundle.credential.payload())?;
        Ok(Self { bundle, credential, passed, fate })
    }
}

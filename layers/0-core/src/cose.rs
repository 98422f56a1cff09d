//! Signed statements: COSE (RFC 9052) in exactly one shape per suite.
//!
//! A suite with one algorithm makes a `COSE_Sign1` (tag 18), the hybrid suite a `COSE_Sign` (tag 98) with both signatures
//! mandatory. The protected header names the kind of statement (`typ`, RFC 9596), the signer's key set (`kid`) and the suite,
//! which is critical; every signature covers it, so that no signature can be stripped, no suite downgraded and no statement used
//! as one of another kind. Nothing stands in an unprotected header. Signatures cover the received bytes, never a re-encoding.
//!
//! ```text
//! sign1 = #6.18([ protected: bstr .cbor header, {}, payload: bstr, signature: bstr ])
//! sign  = #6.98([ protected: bstr .cbor header, {}, payload: bstr, [2* [ bstr .cbor { 1: alg }, {}, bstr ]] ])
//! header = { ? 1: alg, 2: [-70001], 4: kid (32 bytes), 16: typ, -70001: suite }   ; 1 only in sign1
//! typ = "application/semper." kind "+cbor;v=1"
//! external_aad = "semper/signature/1"
//! ```
//! Start reading at [`Signed`]. Source: `spec/signing.md`.

use std::fmt;

use crate::cbor::{self, Decode, DecodeError, Encode, Map, Problem, Value};
use crate::domain;
use crate::hash::Digest;
use crate::ids::{KeySetId, StatementId};
use crate::imprint::Imprint;
use crate::party::{Algorithm, Suite};

const LABEL_ALG: u64 = 1;
const LABEL_CRIT: u64 = 2;
const LABEL_KID: u64 = 4;
const LABEL_TYP: u64 = 16;
/// Private-use header label of the suite.
const LABEL_SUITE: i64 = -70001;
const TAG_SIGN1: u64 = 18;
const TAG_SIGN: u64 = 98;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What a statement is. One kind is never accepted in the place of another.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            /// The name in the `typ` header.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// "I am bound to this contract if it is completed by finals or by the arbiter."
    Promise = "promise";
    /// "I complete this contract."
    Final = "final";
    /// A request to the arbiter to abort.
    Abort = "abort";
    /// A request to the arbiter to complete a contract from its promises.
    Resolve = "resolve";
    /// One round of a contract that three parties or more sign.
    Round = "round";
    /// A request to the arbiter by a party of such a contract that waits in vain.
    Ask = "ask";
    /// A request to the arbiter to find that an item is not what was promised.
    Complaint = "complaint";
    /// A request to the arbiter to let go of locked money, as its verdict says.
    Settlement = "settlement";
    /// A request to the arbiter to have a right called back that was passed on and not paid.
    Revocation = "revocation";
    /// A question to the arbiter what became of a contract.
    Inquiry = "inquiry";
    /// A party's word that it hands its money to the arbiter, which passes it on or gives it back.
    Deposit = "deposit";
    /// The arbiter's word on a contract whose time is over and whose cell is empty.
    Status = "status";
    /// The arbiter's decision.
    Verdict = "verdict";
    /// The seed of a deposit: its owner gives the information away.
    Disclosure = "disclosure";
    /// The arbiter's word on the key that a deposit holds.
    KeyAttestation = "key-attestation";
    /// A party's word that the money which its peer gives by a contract has come.
    Quittance = "quittance";
    /// The arbiter's last word on a contract that it has completed subject to complaints.
    Closing = "closing";
    /// What a judge found about claims.
    Decision = "decision";
    /// The head of an arbiter's log.
    LogHead = "log-head";
    /// A container, signed by its sender (non-repudiation of origin).
    Container = "container";
    /// The receiver's acknowledgement of a container (non-repudiation of receipt).
    Ack = "ack";
    /// An inbox's receipt for a sealed message (non-repudiation of submission).
    Receipt = "receipt";
    /// The owner of a mailbox asks its relay for messages.
    MailboxRequest = "mailbox-request";
    /// A party's contact card.
    ContactCard = "contact-card";
    /// A seller's offer to anybody.
    Offer = "offer";
    /// A payee's request to be paid.
    PaymentRequest = "payment-request";
    /// A payer's order to pay, as it was approved.
    PaymentOrder = "payment-order";
    /// A payee's receipt.
    PaymentReceipt = "payment-receipt";
    /// "The locked money goes there." By the payer, the payee or the arbiter of a lock.
    Release = "release";
    /// An account holder's request to its bank.
    AccountRequest = "account-request";
    /// A bank's word that money is held for a payee.
    Authorisation = "authorisation";
    /// A bank's confirmation of a booking.
    Booking = "booking";
    /// A bank's statement of account.
    AccountStatement = "account-statement";
    /// A bank's description of itself: its keys and its terms.
    BankTerms = "bank-terms";
    /// An issuer's word that its holder has a right.
    Credential = "credential";
    /// The holder of a credential passes it on.
    CredentialTransfer = "credential-transfer";
    /// The holder of a credential asks its issuer to keep a use of it for one contract.
    ReservationRequest = "reservation-request";
    /// The issuer keeps a use of a credential for one contract.
    Reservation = "reservation";
    /// The issuer has taken back a use of a credential.
    Spend = "spend";
    /// "My keys may sign this without asking me." By the party whose keys they are.
    Mandate = "mandate";
    /// "I owe you what you pay for me, up to these limits." By the customer of a guarantor.
    LiabilityAgreement = "liability-agreement";
    /// The customer of a guarantor asks it to stand for one contract.
    CoverRequest = "cover-request";
    /// A guarantor's word that it stands for somebody under one contract.
    Cover = "cover";
    /// "Nothing is owed any more under this cover." By whom it is for, or by the customer, who has to show it.
    CoverRelease = "cover-release";
    /// Whom a cover is for asks the guarantor to pay.
    CoverClaim = "cover-claim";
    /// The guarantor's word on what has become of a cover.
    CoverRuling = "cover-ruling";
}

impl Kind {
    fn typ(self) -> String {
        format!("application/semper.{}+cbor;v=1", self.name())
    }

    fn from_typ(typ: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.typ() == typ)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A payload that is signed as a statement of one kind.
pub trait Statement: Encode + Decode {
    /// The kind.
    const KIND: Kind;

    /// Prepares this statement for signing by a party.
    fn draft(&self, suite: Suite, signer: KeySetId) -> Draft {
        Draft { kind: Self::KIND, suite, signer, payload: self.to_bytes() }
    }
}

/// A statement that is not signed yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Draft {
    /// What kind of statement.
    pub kind: Kind,
    /// How it is to be signed.
    pub suite: Suite,
    /// Who is to sign it.
    pub signer: KeySetId,
    /// The encoded statement.
    pub payload: Vec<u8>,
}

/// ```text
/// draft = { 0: kind, 1: suite, 2: signer, 3: payload }
/// ```
impl Encode for Draft {
    fn to_value(&self) -> Value {
        self.fields().build()
    }
}

impl Decode for Draft {
    const BYTES_MAX: usize = Self::PAYLOAD_MAX + 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = cbor::Fields::open(value)?;
        let draft = Self::read(&mut fields)?;
        fields.close()?;
        Ok(draft)
    }
}

impl Draft {
    /// Most bytes of a payload in an encoded draft.
    pub const PAYLOAD_MAX: usize = 64 * 1024;

    /// Its fields 0 to 3, in a record that may have more.
    pub fn fields(&self) -> cbor::Record {
        cbor::record()
            .put(0, self.kind.name())
            .put_item(1, &self.suite)
            .put_item(2, &self.signer)
            .put_bytes(3, &self.payload)
    }

    /// Reads [`Draft::fields`] from a record that may have more.
    ///
    /// # Errors
    /// The field that is missing or malformed.
    pub fn read(fields: &mut cbor::Fields) -> Result<Self, DecodeError> {
        let name = fields.text(0, "kind", 64)?;
        let kind = Kind::ALL.iter().copied().find(|kind| kind.name() == name);
        Ok(Self {
            kind: kind.ok_or(DecodeError::field("kind", Problem::Unknown { what: "kind", found: name }))?,
            suite: fields.item(1, "suite")?,
            signer: fields.item(2, "signer")?,
            payload: fields.bytes(3, "payload", Self::PAYLOAD_MAX)?,
        })
    }

    /// The identifier that the signed statement will have.
    pub fn id(&self) -> StatementId {
        statement_id(self.kind, self.signer, &self.payload)
    }

    /// The bytes that `algorithm` signs: the `Sig_structure` of RFC 9052 §4.4.
    pub fn to_be_signed(&self, algorithm: Algorithm) -> Vec<u8> {
        to_be_signed(self.suite, &self.protected(), algorithm, &self.payload)
    }

    /// Joins the draft and its signatures, which stand in the order of [`Suite::algorithms`].
    ///
    /// # Errors
    /// `OutOfRange`, `WrongLength`: not one signature of the right length per algorithm. Whether they are good is not checked.
    pub fn assemble(self, signatures: Vec<Vec<u8>>) -> Result<Signed, DecodeError> {
        check_signatures(self.suite, &signatures)?;
        let protected = self.protected();
        let tag = if signatures.len() == 1 { TAG_SIGN1 } else { TAG_SIGN };
        let parts = vec![
            Value::Bytes(protected.clone()),
            Value::Map(Map::new()),
            Value::Bytes(self.payload.clone()),
            signature_field(self.suite, &signatures),
        ];
        let value = Value::Tag(tag, Box::new(Value::Array(parts)));
        Ok(Signed { draft: self, protected, signatures, bytes: value.encode() })
    }

    fn protected(&self) -> Vec<u8> {
        let mut header = Map::new();
        if let [algorithm] = self.suite.algorithms() {
            header.insert(LABEL_ALG, algorithm.cose());
        }
        header.insert(LABEL_CRIT, vec![Value::int(LABEL_SUITE)]);
        header.insert(LABEL_KID, Value::bytes(*self.signer.as_bytes()));
        header.insert(LABEL_TYP, self.kind.typ());
        header.insert(LABEL_SUITE, self.suite.code());
        Value::Map(header).encode()
    }
}

/// A statement with its signatures, as it was received or made. That they are good is known only of a
/// [`Verified`](crate::signature::Verified) one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Signed {
    draft: Draft,
    protected: Vec<u8>,
    signatures: Vec<Vec<u8>>,
    bytes: Vec<u8>,
}

impl Signed {
    /// Largest signed statement that is accepted, in bytes.
    pub const BYTES_MAX: usize = 24 * 1024 * 1024;

    /// Reads a signed statement. Its shape, header and lengths are checked here; its signatures by
    /// [`signature::verify`](crate::signature::verify).
    ///
    /// # Errors
    /// [`DecodeError`]: not deterministic CBOR, not one of the two COSE shapes, an unknown critical header, suite or kind, a
    /// missing or surplus signature.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let value = cbor::decode(bytes, Self::BYTES_MAX)?;
        let Value::Tag(tag, inner) = value else {
            return Err(malformed("expected a COSE_Sign1 (tag 18) or COSE_Sign (tag 98)"));
        };
        let Value::Array(items) = *inner else {
            return Err(malformed("a COSE message is an array"));
        };
        let [protected, unprotected, payload, signature]: [Value; 4] =
            items.try_into().map_err(|_| malformed("a COSE message has four parts"))?;
        let Value::Bytes(protected) = protected else {
            return Err(malformed("the protected header is a byte string"));
        };
        require_empty(&unprotected)?;
        let payload = Vec::<u8>::from_value(payload).map_err(|e| e.within("payload"))?;
        let (kind, suite, signer) = read_header(&protected)?;
        let signatures = match (tag, signature) {
            (TAG_SIGN1, Value::Bytes(signature)) => vec![signature],
            (TAG_SIGN, Value::Array(signers)) => {
                let mut signatures = Vec::new();
                for (i, signer) in signers.into_iter().enumerate() {
                    signatures.push(read_signer(suite, i, signer)?);
                }
                signatures
            }
            _ => return Err(malformed("expected a COSE_Sign1 (tag 18) or COSE_Sign (tag 98) with its signatures")),
        };
        check_signatures(suite, &signatures)?;
        let draft = Draft { kind, suite, signer, payload };
        // One shape only: what was read must be what we would write, tag and header included.
        let signed = draft.assemble(signatures)?;
        if signed.bytes != bytes {
            return Err(malformed("the COSE message or its header is not in the one form that this suite has"));
        }
        Ok(signed)
    }

    /// What kind of statement it claims to be.
    pub fn kind(&self) -> Kind {
        self.draft.kind
    }

    /// The suite that it claims.
    pub fn suite(&self) -> Suite {
        self.draft.suite
    }

    /// The key set that it claims to be signed by.
    pub fn signer(&self) -> KeySetId {
        self.draft.signer
    }

    /// The encoded statement.
    pub fn payload(&self) -> &[u8] {
        &self.draft.payload
    }

    /// The whole COSE message.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Who said what: `H("semper/statement/1" ‖ dCBOR([kind, signer, payload]))`.
    ///
    /// It does not cover the signature bytes: a statement that its signer signs twice (ML-DSA signatures are randomised) is one
    /// statement, and a reference to it holds with either.
    pub fn id(&self) -> StatementId {
        self.draft.id()
    }

    /// What a time-stamp of this statement's signature is about: SHA-256 over the encoded signature field of the COSE message, its head
    /// included. That is a byte string in a `COSE_Sign1`, the array of all `COSE_Signature`s in a `COSE_Sign`.
    ///
    /// Source: RFC 9921 §2.1 (COSE, then Timestamp).
    pub fn imprint(&self) -> Imprint {
        let field = signature_field(self.draft.suite, &self.signatures);
        Imprint::of(&field.encode())
    }

    /// The signatures with their algorithms and the bytes that each signs.
    pub fn signatures(&self) -> impl Iterator<Item = (Algorithm, Vec<u8>, &[u8])> {
        self.draft.suite.algorithms().iter().zip(&self.signatures).map(|(algorithm, signature)| {
            let message = to_be_signed(self.draft.suite, &self.protected, *algorithm, &self.draft.payload);
            (*algorithm, message, signature.as_slice())
        })
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({} by {:?}, {:?})", self.kind(), self.signer(), self.id())
    }
}

impl Encode for Signed {
    /// A statement inside another record stands there as a byte string, so that its bytes are kept as they are.
    fn to_value(&self) -> Value {
        Value::Bytes(self.bytes.clone())
    }
}

impl Decode for Signed {
    const BYTES_MAX: usize = Signed::BYTES_MAX + 16;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        Signed::from_bytes(&Vec::<u8>::from_value(value)?)
    }
}

/// The last part of a COSE message: the signature, or one `COSE_Signature` for each algorithm of the suite.
fn signature_field(suite: Suite, signatures: &[Vec<u8>]) -> Value {
    if let [signature] = signatures {
        return Value::Bytes(signature.clone());
    }
    let signers = suite.algorithms().iter().zip(signatures).map(|(algorithm, signature)| {
        let protected = Value::Bytes(signer_protected(*algorithm));
        Value::Array(vec![protected, Value::Map(Map::new()), Value::Bytes(signature.clone())])
    });
    Value::Array(signers.collect())
}

fn statement_id(kind: Kind, signer: KeySetId, payload: &[u8]) -> StatementId {
    let said = Value::Array(vec![kind.name().into(), signer.to_value(), Value::bytes(payload)]);
    StatementId::from_digest(Digest::of(domain::STATEMENT, &said.encode()))
}

fn to_be_signed(suite: Suite, protected: &[u8], algorithm: Algorithm, payload: &[u8]) -> Vec<u8> {
    let aad = Value::bytes(domain::SIGNATURE.as_bytes());
    let parts = if suite.algorithms().len() == 1 {
        vec!["Signature1".into(), Value::bytes(protected), aad, Value::bytes(payload)]
    } else {
        vec![
            "Signature".into(),
            Value::bytes(protected),
            Value::Bytes(signer_protected(algorithm)),
            aad,
            Value::bytes(payload),
        ]
    };
    Value::Array(parts).encode()
}

fn signer_protected(algorithm: Algorithm) -> Vec<u8> {
    let mut header = Map::new();
    header.insert(LABEL_ALG, algorithm.cose());
    Value::Map(header).encode()
}

/// Reads kind, suite and signer; whether the header holds more than it should shows when it is written again.
fn read_header(protected: &[u8]) -> Result<(Kind, Suite, KeySetId), DecodeError> {
    let inside = |e: DecodeError| e.within("protected header");
    let Value::Map(mut header) = cbor::decode(protected, 1024).map_err(inside)? else {
        return Err(malformed("the protected header is a map"));
    };
    match header.remove(LABEL_CRIT) {
        Some(Value::Array(labels)) => {
            if let Some(unknown) = labels.iter().find(|label| **label != Value::int(LABEL_SUITE)) {
                let found = match unknown {
                    Value::Uint(n) => n.to_string(),
                    Value::Nint(n) => format!("-{}", n.saturating_add(1)),
                    Value::Text(text) => format!("{text:?}"),
                    other => other.type_name().to_owned(),
                };
                return Err(DecodeError::field(
                    "protected header",
                    Problem::Unknown { what: "critical header", found },
                ));
            }
        }
        _ => return Err(DecodeError::field("protected header.crit", Problem::Missing)),
    }
    let mut take = |label: Value, name: &str| {
        header.remove(label).ok_or_else(|| DecodeError::field(format!("protected header.{name}"), Problem::Missing))
    };
    let suite = Suite::from_value(take(Value::int(LABEL_SUITE), "suite")?).map_err(|e| inside(e.within("suite")))?;
    let signer = KeySetId::from_value(take(LABEL_KID.into(), "kid")?).map_err(|e| inside(e.within("kid")))?;
    let typ = String::from_value(take(LABEL_TYP.into(), "typ")?).map_err(|e| inside(e.within("typ")))?;
    let kind = Kind::from_typ(&typ).ok_or_else(|| {
        DecodeError::field("protected header.typ", Problem::Unknown { what: "kind", found: format!("{typ:?}") })
    })?;
    Ok((kind, suite, signer))
}

fn read_signer(suite: Suite, index: usize, signer: Value) -> Result<Vec<u8>, DecodeError> {
    let Value::Array(parts) = signer else {
        return Err(malformed("a COSE_Signature is an array"));
    };
    let [protected, unprotected, signature]: [Value; 3] =
        parts.try_into().map_err(|_| malformed("a COSE_Signature has three parts"))?;
    require_empty(&unprotected)?;
    let algorithm =
        suite.algorithms().get(index).ok_or_else(|| malformed("more signatures than the suite has algorithms"))?;
    if protected != Value::Bytes(signer_protected(*algorithm)) {
        return Err(malformed("a signature is not by the algorithm that the suite has in this place"));
    }
    Vec::<u8>::from_value(signature).map_err(|e| e.within("signature"))
}

fn require_empty(unprotected: &Value) -> Result<(), DecodeError> {
    match unprotected {
        Value::Map(map) if map.is_empty() => Ok(()),
        _ => Err(malformed("the unprotected header must be empty")),
    }
}

fn check_signatures(suite: Suite, signatures: &[Vec<u8>]) -> Result<(), DecodeError> {
    let algorithms = suite.algorithms();
    if signatures.len() != algorithms.len() {
        return Err(malformed("one signature per algorithm of the suite is needed; one is missing or too many"));
    }
    for (algorithm, signature) in algorithms.iter().zip(signatures) {
        let expected = algorithm.signature_len();
        if signature.len() != expected {
            return Err(DecodeError::field("signature", Problem::WrongLength { expected, found: signature.len() }));
        }
    }
    Ok(())
}

fn malformed(rule: &'static str) -> DecodeError {
    DecodeError::field("signed statement", Problem::OutOfRange(rule))
}

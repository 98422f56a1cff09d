//! What goes to and fro: a request, and the reply to it.

use semper_core::imprint::Imprint;
use semper_support::crypto::{CryptoError, Randomness};
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{self, Encode as _, Tag, Tagged as _};

use super::der::{
    BIT_STRING, INTEGER, OCTET_STRING, Parts, SEQUENCE, SHA256, UTF8_STRING, algorithm, oid, tagged, value,
};
use super::token::{Token, TokenError};
use super::{REPLY_BYTES_MAX, REQUEST_BYTES_MAX};

/// Longest nonce, in bytes.
const NONCE_MAX: usize = 32;
/// Longest text of a refusal that is shown, in characters.
const TEXT_MAX: usize = 200;

/// A number that ties a reply to its request: the content of a DER INTEGER, 1 to 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// A fresh one of 63 random bits.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn random(randomness: &dyn Randomness) -> Result<Self, CryptoError> {
        let mut bytes = [0; 8];
        randomness.fill(&mut bytes)?;
        // Positive and never shorter, so that it is its own DER.
        bytes[0] = bytes[0] & 0x3f | 0x40;
        Ok(Self(bytes.to_vec()))
    }

    pub(super) fn read(part: AnyRef<'_>) -> der::Result<Option<Self>> {
        let bytes = Parts::integer(part)?;
        Ok((bytes.len() <= NONCE_MAX).then(|| Self(bytes.to_vec())))
    }

    pub(super) fn to_der(&self) -> Vec<u8> {
        value(INTEGER, &[&self.0])
    }
}

/// "Date this": `TimeStampReq` of RFC 3161 §2.4.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be dated.
    pub imprint: Imprint,
    /// The policy under which the token is to be issued. `None`: whichever the authority has.
    pub policy: Option<ObjectIdentifier>,
    /// Comes back in the token.
    pub nonce: Option<Nonce>,
    /// Whether the token is to hold the authority's certificate.
    pub certificates: bool,
}

/// Why an authority does not answer a request, with the failure that it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestProblem {
    /// Larger than [`REQUEST_BYTES_MAX`].
    #[error("the request is larger than {REQUEST_BYTES_MAX} bytes")]
    Oversized,
    /// Not the DER of a request of version 1, or a nonce of more than 32 bytes.
    #[error("the request is not a TimeStampReq of version 1 in DER")]
    Malformed,
    /// Another hash than SHA-256.
    #[error("only imprints by SHA-256 are dated")]
    Hash,
    /// It has extensions; none is known.
    #[error("the request has an extension; none is known here")]
    Extension,
}

impl RequestProblem {
    /// What the reply says.
    pub fn failure(&self) -> Failure {
        match self {
            RequestProblem::Oversized | RequestProblem::Malformed => Failure::BadDataFormat,
            RequestProblem::Hash => Failure::BadAlgorithm,
            RequestProblem::Extension => Failure::UnacceptedExtension,
        }
    }
}

impl Request {
    /// A request for a token that holds its certificate, with a fresh nonce.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn new(imprint: Imprint, randomness: &dyn Randomness) -> Result<Self, CryptoError> {
        Ok(Self { imprint, policy: None, nonce: Some(Nonce::random(randomness)?), certificates: true })
    }

    /// The DER.
    pub fn to_der(&self) -> Vec<u8> {
        let policy = self.policy.map(oid).unwrap_or_default();
        let nonce = self.nonce.as_ref().map(Nonce::to_der).unwrap_or_default();
        let certificates = if self.certificates { true.to_der().unwrap_or_default() } else { Vec::new() };
        value(SEQUENCE, &[&[INTEGER, 1, 1], &imprint_der(self.imprint), &policy, &nonce, &certificates])
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`RequestProblem`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, RequestProblem> {
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(RequestProblem::Oversized);
        }
        let (hash, request) = Self::read(bytes).map_err(|_| RequestProblem::Malformed)?;
        let (imprint, policy, nonce, certificates, extended) = request;
        if hash != SHA256 {
            return Err(RequestProblem::Hash);
        }
        if extended {
            return Err(RequestProblem::Extension);
        }
        let imprint = imprint.try_into().map_err(|_| RequestProblem::Malformed)?;
        // A nonce that cannot be said back is a request that cannot be answered.
        let nonce = nonce.map(|nonce| nonce.ok_or(RequestProblem::Malformed)).transpose()?;
        Ok(Self { imprint: Imprint::from_array(imprint), policy, nonce, certificates })
    }

    fn read(bytes: &[u8]) -> der::Result<(ObjectIdentifier, Fields<'_>)> {
        let mut parts = Parts::of_bytes(bytes, Tag::Sequence)?;
        if parts.number()? != 1 {
            return Err(der::ErrorKind::Failed.into());
        }
        let (hash, imprint) = read_imprint(&mut parts)?;
        let policy = parts.next_if(Tag::ObjectIdentifier)?.map(AnyRef::decode_as).transpose()?;
        let nonce = parts.next_if(Tag::Integer)?.map(Nonce::read).transpose()?;
        let certificates = parts.next_if(Tag::Boolean)?.map(AnyRef::decode_as::<bool>).transpose()?;
        let extended = parts.next_if(tagged(0))?.is_some();
        parts.end()?;
        // DER leaves out what is the default.
        if certificates == Some(false) {
            return Err(der::ErrorKind::Noncanonical { tag: Tag::Boolean }.into());
        }
        Ok((hash, (imprint, policy, nonce, certificates.is_some(), extended)))
    }
}

type Fields<'a> = (&'a [u8], Option<ObjectIdentifier>, Option<Option<Nonce>>, bool, bool);

pub(super) fn imprint_der(imprint: Imprint) -> Vec<u8> {
    value(SEQUENCE, &[&algorithm(SHA256), &value(OCTET_STRING, &[imprint.as_bytes()])])
}

/// `MessageImprint`: the algorithm and the hash.
pub(super) fn read_imprint<'a>(parts: &mut Parts<'a>) -> der::Result<(ObjectIdentifier, &'a [u8])> {
    let mut imprint = parts.open(Tag::Sequence)?;
    let hash = imprint.algorithm()?;
    let bytes = imprint.next()?;
    bytes.tag().assert_eq(Tag::OctetString)?;
    imprint.end()?;
    Ok((hash, bytes.value()))
}

/// Why an authority did not issue a token: `PKIFailureInfo` of RFC 3161 §2.4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// badAlg (0): the hash is not one that is dated here.
    BadAlgorithm,
    /// badRequest (2): not permitted or not supported.
    BadRequest,
    /// badDataFormat (5): the request is malformed.
    BadDataFormat,
    /// timeNotAvailable (14): the authority's clock is not to be relied on now.
    TimeNotAvailable,
    /// unacceptedPolicy (15).
    UnacceptedPolicy,
    /// unacceptedExtension (16).
    UnacceptedExtension,
    /// addInfoNotAvailable (17).
    InfoNotAvailable,
    /// systemFailure (25).
    SystemFailure,
}

impl Failure {
    /// Every failure.
    pub const ALL: [Self; 8] = [
        Failure::BadAlgorithm,
        Failure::BadRequest,
        Failure::BadDataFormat,
        Failure::TimeNotAvailable,
        Failure::UnacceptedPolicy,
        Failure::UnacceptedExtension,
        Failure::InfoNotAvailable,
        Failure::SystemFailure,
    ];

    /// Its bit in `PKIFailureInfo`.
    pub const fn bit(self) -> u8 {
        match self {
            Failure::BadAlgorithm => 0,
            Failure::BadRequest => 2,
            Failure::BadDataFormat => 5,
            Failure::TimeNotAvailable => 14,
            Failure::UnacceptedPolicy => 15,
            Failure::UnacceptedExtension => 16,
            Failure::InfoNotAvailable => 17,
            Failure::SystemFailure => 25,
        }
    }

    /// The name in RFC 3161.
    pub const fn name(self) -> &'static str {
        match self {
            Failure::BadAlgorithm => "badAlg",
            Failure::BadRequest => "badRequest",
            Failure::BadDataFormat => "badDataFormat",
            Failure::TimeNotAvailable => "timeNotAvailable",
            Failure::UnacceptedPolicy => "unacceptedPolicy",
            Failure::UnacceptedExtension => "unacceptedExtension",
            Failure::InfoNotAvailable => "addInfoNotAvailable",
            Failure::SystemFailure => "systemFailure",
        }
    }

    /// A DER BIT STRING with this bit only, without the zero bits behind it.
    fn to_der(self) -> Vec<u8> {
        let (byte, bit) = (usize::from(self.bit() / 8), self.bit() % 8);
        let mut bits = vec![0; byte + 1];
        bits[byte] = 0x80 >> bit;
        value(BIT_STRING, &[&[7 - bit], &bits])
    }

    fn read(part: AnyRef<'_>) -> Option<Self> {
        let bits = part.value().get(1..)?;
        let is_set = |failure: &Self| {
            let byte = bits.get(usize::from(failure.bit() / 8)).copied().unwrap_or_default();
            byte & (0x80 >> (failure.bit() % 8)) != 0
        };
        Self::ALL.into_iter().find(is_set)
    }
}

/// What an authority answers: `TimeStampResp` of RFC 3161 §2.4.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    der: Vec<u8>,
    answer: Result<Vec<u8>, Refused>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused {
    status: u32,
    failure: Option<Failure>,
    text: String,
}

/// Why a reply gives no token for a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Not a reply in DER, or larger than [`REPLY_BYTES_MAX`].
    #[error("the answer is not a TimeStampResp in DER of at most {REPLY_BYTES_MAX} bytes")]
    Malformed,
    /// The authority refuses.
    #[error("the time-stamp authority refuses (status {status}, {}): {text}", failure.map_or("no reason given", Failure::name))]
    Refused {
        /// `PKIStatus`: 2 rejection, 3 waiting, 4 and 5 about revocation.
        status: u32,
        /// Why, if it says so.
        failure: Option<Failure>,
        /// Why in its words, cut to what can be shown.
        text: String,
    },
    /// The token does not hold.
    #[error("the token in the answer is not good: {0}")]
    Token(#[from] TokenError),
    /// The token is about something else.
    #[error("the token dates something else than was asked for")]
    OtherImprint,
    /// The token does not say the nonce of the request: it may be an old one.
    #[error("the token does not say the nonce of the request: it may be an old one, sent again")]
    OtherNonce,
    /// The token was issued under another policy than was asked for.
    #[error("the token was issued under another policy than was asked for")]
    OtherPolicy,
}

impl Reply {
    /// Grants a token.
    pub(super) fn granted(token: &[u8]) -> Vec<u8> {
        let status = value(SEQUENCE, &[&[INTEGER, 1, 0]]);
        value(SEQUENCE, &[&status, token])
    }

    /// Refuses a request: the DER of a reply with status "rejection".
    pub fn refusal(failure: Failure, text: &str) -> Vec<u8> {
        let text = value(SEQUENCE, &[&value(UTF8_STRING, &[text.as_bytes()])]);
        let status = value(SEQUENCE, &[&[INTEGER, 1, 2], &text, &failure.to_der()]);
        value(SEQUENCE, &[&status])
    }

    /// Reads a reply. The token in it, if there is one, is checked by [`Reply::token`].
    ///
    /// # Errors
    /// `Malformed`.
    pub fn from_der(bytes: &[u8]) -> Result<Self, ReplyError> {
        if bytes.len() > REPLY_BYTES_MAX {
            return Err(ReplyError::Malformed);
        }
        let answer = Self::read(bytes).map_err(|_| ReplyError::Malformed)?;
        Ok(Self { der: bytes.to_vec(), answer })
    }

    fn read(bytes: &[u8]) -> der::Result<Result<Vec<u8>, Refused>> {
        let mut parts = Parts::of_bytes(bytes, Tag::Sequence)?;
        let mut status = parts.open(Tag::Sequence)?;
        let code = status.number()?;
        let mut text = String::new();
        if let Some(lines) = status.next_if(Tag::Sequence)? {
            let mut lines = Parts::of(lines, Tag::Sequence)?;
            while !lines.is_empty() {
                let line = lines.next()?;
                line.tag().assert_eq(Tag::Utf8String)?;
                text.push_str(&String::from_utf8_lossy(line.value()));
                text.push(' ');
            }
        }
        let failure = status.next_if(Tag::BitString)?.and_then(Failure::read);
        status.end()?;
        let token = if parts.is_empty() { None } else { Some(parts.next_bytes()?.to_vec()) };
        parts.end()?;
        // 0 granted, 1 granted with modifications; a token stands there if and only if it is one of them.
        match (code, token) {
            (0 | 1, Some(token)) => Ok(Ok(token)),
            (2.., None) => {
                let plain = |c: &char| !c.is_control();
                let text: String = text.trim().chars().filter(plain).take(TEXT_MAX).collect();
                Ok(Err(Refused { status: code, failure, text }))
            }
            _ => Err(der::ErrorKind::Failed.into()),
        }
    }

    /// The reply as it was received: what `openssl ts -verify -in` reads.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The token, if it is one for this request. Whether its authority is to be trusted is another question: [`Token::vouchers`].
    ///
    /// # Errors
    /// [`ReplyError`]; nothing was dated.
    pub fn token(&self, request: &Request) -> Result<Token, ReplyError> {
        let token = match &self.answer {
            Ok(token) => Token::from_der(token)?,
            Err(Refused { status, failure, text }) => {
                return Err(ReplyError::Refused { status: *status, failure: *failure, text: text.clone() });
            }
        };
        if token.imprint() != request.imprint {
            return Err(ReplyError::OtherImprint);
        }
        if token.nonce() != request.nonce.as_ref() {
            return Err(ReplyError::OtherNonce);
        }
        if request.policy.is_some_and(|policy| policy != token.policy()) {
            return Err(ReplyError::OtherPolicy);
        }
        Ok(token)
    }
}

//! The authority: its certificate, and the tokens that it signs.

use std::fmt;

use rcgen::SigningKey as _;
use semper_core::imprint::Imprint;
use semper_core::time::{Seconds, Time};
use semper_support::crypto::Randomness;
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{DateTime, Decode as _, Encode as _};

use super::der::{GENERALIZED_TIME, INTEGER, OCTET_STRING, SEQUENCE, SET, SHA256, algorithm, context, oid, value};
use super::message::{Failure, Nonce, Reply, Request, imprint_der};
use super::token::{
    CONTENT_TYPE, ECDSA_SHA256, MESSAGE_DIGEST, SIGNED_DATA, SIGNING_CERTIFICATE_V2, TST_INFO, check_use,
};
use super::{CERTIFICATES_MAX, TokenError};
use crate::authority::{self, AuthorityError};
use crate::key::{CertificateKey, KeyType};

/// The serial number of a token: 16 bytes, of which the first 8 are a count and the last 8 random.
///
/// The count makes it unique as long as whoever runs the authority never gives one out twice; the random half keeps tokens apart if an
/// authority is set up again from an old copy of its data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenSerial([u8; 16]);

impl TokenSerial {
    /// The serial with a count and a random part. The count is below 2^63.
    pub fn new(count: u64, random: [u8; 8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&count.to_be_bytes());
        bytes[8..].copy_from_slice(&random);
        Self(bytes)
    }

    /// As a DER INTEGER, in which zeros at the front are left out.
    fn to_der(self) -> Vec<u8> {
        let zeros = self.0.iter().take(15).take_while(|byte| **byte == 0).count();
        let bytes = &self.0[zeros..];
        let sign: &[u8] = if bytes[0] & 0x80 != 0 { &[0] } else { &[] };
        value(INTEGER, &[sign, bytes])
    }
}

impl fmt::Debug for TokenSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSerial({})", data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// Why an authority cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StamperError {
    /// The key is not P-256: other programs do not read tokens that are signed by Ed25519.
    #[error("tokens are signed with P-256 keys only")]
    KeyType,
    /// No certificate, or more than [`CERTIFICATES_MAX`].
    #[error("an authority has 1 to {CERTIFICATES_MAX} certificates")]
    Certificates,
    /// The certificate is of another key.
    #[error("the certificate for time-stamps is of another key")]
    OtherKey,
    /// The certificate is not for time-stamps.
    #[error(transparent)]
    Certificate(#[from] TokenError),
}

/// A time-stamp authority, ready to sign.
pub struct Stamper {
    key: CertificateKey,
    certificates: Vec<Vec<u8>>,
    policy: ObjectIdentifier,
    accuracy: Seconds,
    from: Time,
    until: Time,
}

impl Stamper {
    /// An authority with its key, its certificate and those of the issuers (DER, its own first), under `policy`. Tokens say that its clock
    /// is right within `accuracy`.
    ///
    /// # Errors
    /// [`StamperError`].
    pub fn new(
        key: CertificateKey,
        certificates: Vec<Vec<u8>>,
        policy: ObjectIdentifier,
        accuracy: Seconds,
    ) -> Result<Self, StamperError> {
        let own = certificates.first().filter(|_| certificates.len() <= CERTIFICATES_MAX);
        let own = own.ok_or(StamperError::Certificates)?;
        let malformed = |_| TokenError::Malformed("the authority's certificate");
        let certificate = Certificate::from_der(own).map_err(malformed)?;
        let tbs = certificate.tbs_certificate();
        if tbs.subject_public_key_info().to_der().map_err(malformed)? != key.public_key_info() {
            return Err(StamperError::OtherKey);
        }
        if key.key_type() != KeyType::P256 {
            return Err(StamperError::KeyType);
        }
        check_use(&certificate)?;
        let seconds = |time: x509_cert::time::Time| Time::from_unix(time.to_unix_duration().as_secs());
        let (from, until) = (seconds(tbs.validity().not_before), seconds(tbs.validity().not_after));
        Ok(Self { key, certificates, policy, accuracy, from, until })
    }

    /// The certificates, DER, the authority's own first.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The last second in which it issues tokens.
    pub fn until(&self) -> Time {
        self.until
    }

    /// Answers a request with a token of this serial number and time, or with a refusal; the DER of the reply.
    ///
    /// # Errors
    /// [`Failure`]: what [`Reply::refusal`] is to say. No token was made.
    pub fn answer(&self, request: &Request, serial: TokenSerial, now: Time) -> Result<Vec<u8>, Failure> {
        if request.policy.is_some_and(|policy| policy != self.policy) {
            return Err(Failure::UnacceptedPolicy);
        }
        // A token from outside the certificate's time would prove nothing.
        if now < self.from || now.after(self.accuracy) > self.until {
            return Err(Failure::TimeNotAvailable);
        }
        let info = self.info(request, serial, now)?;
        Ok(Reply::granted(&self.sign(&info, request.certificates)?))
    }

    /// `TSTInfo` of RFC 3161 §2.4.2. Who the authority is, the signature says.
    fn info(&self, request: &Request, serial: TokenSerial, now: Time) -> Result<Vec<u8>, Failure> {
        let accuracy = u32::try_from(self.accuracy.0).ok().and_then(|seconds| seconds.to_der().ok());
        let accuracy = accuracy.ok_or(Failure::InfoNotAvailable)?;
        let nonce = request.nonce.as_ref().map(Nonce::to_der).unwrap_or_default();
        Ok(value(
            SEQUENCE,
            &[
                &[INTEGER, 1, 1],
                &oid(self.policy),
                &imprint_der(request.imprint),
                &serial.to_der(),
                &value(GENERALIZED_TIME, &[&written(now)?]),
                &value(SEQUENCE, &[&accuracy]),
                &nonce,
            ],
        ))
    }

    /// A `ContentInfo` with a `SignedData` of version 3: the content is not plain data.
    fn sign(&self, info: &[u8], with_certificates: bool) -> Result<Vec<u8>, Failure> {
        let attributes = self.attributes(info);
        let signature = self.key.pair().sign(&value(SET, &[&attributes])).map_err(|_| Failure::SystemFailure)?;
        let signer = value(
            SEQUENCE,
            &[
                &[INTEGER, 1, 1],
                &self.issuer_and_serial()?,
                &algorithm(SHA256),
                &value(context(0), &[&attributes]),
                &algorithm(ECDSA_SHA256),
                &value(OCTET_STRING, &[&signature]),
            ],
        );
        let certificates =
            if with_certificates { value(context(0), &[&in_order(self.certificates.clone())]) } else { Vec::new() };
        let content = value(SEQUENCE, &[&oid(TST_INFO), &value(context(0), &[&value(OCTET_STRING, &[info])])]);
        let signed = value(
            SEQUENCE,
            &[&[INTEGER, 1, 3], &value(SET, &[&algorithm(SHA256)]), &content, &certificates, &value(SET, &[&signer])],
        );
        Ok(value(SEQUENCE, &[&oid(SIGNED_DATA), &value(context(0), &[&signed])]))
    }

    /// Content type, message digest and the hash of the certificate (RFC 5816), in the order of DER.
    fn attributes(&self, info: &[u8]) -> Vec<u8> {
        let attribute = |id, content: Vec<u8>| value(SEQUENCE, &[&oid(id), &value(SET, &[&content])]);
        let digest = value(OCTET_STRING, &[Imprint::of(info).as_bytes()]);
        let hash = value(OCTET_STRING, &[Imprint::of(&self.certificates[0]).as_bytes()]);
        let signing = value(SEQUENCE, &[&value(SEQUENCE, &[&value(SEQUENCE, &[&hash])])]);
        in_order(vec![
            attribute(CONTENT_TYPE, oid(TST_INFO)),
            attribute(MESSAGE_DIGEST, digest),
            attribute(SIGNING_CERTIFICATE_V2, signing),
        ])
    }

    fn issuer_and_serial(&self) -> Result<Vec<u8>, Failure> {
        let broken = |_| Failure::SystemFailure;
        let own = Certificate::from_der(&self.certificates[0]).map_err(broken)?;
        let tbs = own.tbs_certificate();
        let (issuer, serial) = (tbs.issuer().to_der().map_err(broken)?, tbs.serial_number().to_der().map_err(broken)?);
        Ok(value(SEQUENCE, &[&issuer, &serial]))
    }
}

/// A certificate for time-stamps that its own key has signed, DER: for networks without a certification authority, where it is handed round.
///
/// # Errors
/// `Name`, `Lifetime` (zero), `Randomness`, `NotSigned`.
pub fn own_certificate(
    key: &CertificateKey,
    name: &str,
    lifetime: Seconds,
    now: Time,
    randomness: &dyn Randomness,
) -> Result<Vec<u8>, AuthorityError> {
    authority::own_stamping_certificate(key, name, lifetime, now, randomness)
}

/// The members of a set, joined in the order of DER: by their bytes.
fn in_order(mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort_unstable();
    members.concat()
}

fn written(time: Time) -> Result<Vec<u8>, Failure> {
    let duration = std::time::Duration::from_secs(time.unix());
    let at = DateTime::from_unix_duration(duration).map_err(|_| Failure::TimeNotAvailable)?;
    let [year, month, day] = [at.year(), at.month().into(), at.day().into()];
    Ok(format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}Z", at.hour(), at.minutes(), at.seconds()).into_bytes())
}

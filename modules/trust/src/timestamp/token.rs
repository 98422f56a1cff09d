//! The token: `TSTInfo` inside a CMS `SignedData` (RFC 5652) with one signature.

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use semper_core::imprint::Imprint;
use semper_core::time::{Seconds, Time};
use semper_support::stamp::{CertificateId, ReadStamps, Stamp};
use webpki::EndEntityCert;
use webpki::aws_lc_rs as algorithms;
use x509_cert::Certificate;
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{self, DateTime, Decode as _, Encode as _, ErrorKind, Tag, Tagged as _};
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::der::{Parts, SET, SHA256, SHA384, SHA512, tagged, tagged_primitive, value};
use super::message::{Nonce, read_imprint};
use super::{CERTIFICATES_MAX, TOKEN_BYTES_MAX};
use crate::path::{self, CERTIFICATE_BYTES_MAX, PathError};

pub(super) const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
pub(super) const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
pub(super) const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
pub(super) const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
pub(super) const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
pub(super) const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// Most signed attributes.
const ATTRIBUTES_MAX: usize = 16;
/// Longest serial number, in bytes: 160 bits and a sign.
const SERIAL_MAX: usize = 21;
/// The most that an authority may claim its clock to be wrong by. What says more says nothing.
const ACCURACY_MAX: Seconds = Seconds(24 * 3600);

/// Why a token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Larger than [`TOKEN_BYTES_MAX`].
    #[error("the token is larger than {TOKEN_BYTES_MAX} bytes")]
    Oversized,
    /// Not the DER of what it should be.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// It dates an imprint by another hash than SHA-256.
    #[error("the token dates an imprint by another hash than SHA-256")]
    Hash,
    /// It has a critical extension.
    #[error("the token has a critical extension that is not understood")]
    Extension,
    /// Not exactly one signature.
    #[error("the token must be signed by one authority")]
    Signatures,
    /// It does not hold the certificate of its authority.
    #[error("the token does not hold the certificate that it names as its authority's")]
    CertificateMissing,
    /// A signature or digest algorithm that is not accepted, or that does not fit the certificate's key.
    #[error("the token is signed by an algorithm that is not accepted")]
    UnsupportedAlgorithm,
    /// What is signed is not what stands in the token.
    #[error("the token was changed: what is signed is the digest of something else")]
    OtherContent,
    /// The signature is wrong.
    #[error("the signature of the token is wrong")]
    BadSignature,
    /// The authority's certificate is not for time-stamps and nothing else, or does not say so critically.
    #[error("the certificate in the token is not one for time-stamps only")]
    NotForStamps,
    /// The token names an authority that its certificate does not.
    #[error("the token names another authority than its certificate")]
    OtherName,
    /// The certificate was not valid when the token was made.
    #[error("the authority's certificate was not valid when the token was made: {0}")]
    Path(#[from] PathError),
}

/// A time-stamp, checked as far as it can be without trusting anybody: it is what its certificate's key has signed, that certificate is
/// for time-stamps and was valid at that time. Whether its authority tells the truth is for whoever knows it ([`Token::vouchers`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    der: Vec<u8>,
    info: Info,
    /// The authority's own first.
    certificates: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Info {
    policy: ObjectIdentifier,
    imprint: Imprint,
    serial: Vec<u8>,
    /// Rounded up.
    time: Time,
    /// Rounded up.
    accuracy: Seconds,
    nonce: Option<Nonce>,
    /// `GeneralName` of the authority, if it says one.
    authority: Option<Vec<u8>>,
}

impl Token {
    /// Reads and checks a token: a `ContentInfo` in DER.
    ///
    /// # Errors
    /// [`TokenError`]; it proves nothing.
    pub fn from_der(bytes: &[u8]) -> Result<Self, TokenError> {
        if bytes.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Oversized);
        }
        let signed = SignedData::read(bytes)?;
        let info = Info::read(signed.content)?;
        let attributes = Attributes::read(signed.signer.attributes)?;
        let digest = digest_of(signed.signer.digest, signed.content)?;
        if attributes.message_digest != digest {
            return Err(TokenError::OtherContent);
        }
        let certificates = signed.certificates(&attributes)?;
        signed.signer.verify(&certificates[0])?;
        check_certificate(&certificates[0], &info)?;
        Ok(Self { der: bytes.to_vec(), info, certificates })
    }

    /// The token as it was received.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What is dated.
    pub fn imprint(&self) -> Imprint {
        self.info.imprint
    }

    /// The instant before which it existed, if the authority is right: its time, rounded up to whole seconds, and by how much it says
    /// that its clock may be wrong.
    pub fn before(&self) -> Time {
        self.info.time.after(self.info.accuracy)
    }

    /// The policy under which it was issued.
    pub fn policy(&self) -> ObjectIdentifier {
        self.info.policy
    }

    /// The nonce of the request.
    pub fn nonce(&self) -> Option<&Nonce> {
        self.info.nonce.as_ref()
    }

    /// The serial number: the content of a DER INTEGER. With the authority's certificate it names the token.
    pub fn serial(&self) -> &[u8] {
        &self.info.serial
    }

    /// The certificate of the authority, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificates[0]
    }

    /// The certificates in the token, the authority's first.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// What the authority's certificate calls it, for people; nobody may have checked that.
    pub fn name(&self) -> String {
        path::shown_subject(self.certificate())
    }

    /// The certificates, each of which vouches for this token: whoever trusts one of them has to believe it.
    ///
    /// The first is the authority's own. Then come those of issuers, in the token or among `others`, from which a path leads to it that was
    /// valid when the token was made. Revocation is not looked at: it is for whoever names a certificate as trusted.
    pub fn vouchers(&self, others: &[Vec<u8>]) -> Vec<CertificateId> {
        let mut vouchers = vec![CertificateId::of(self.certificate())];
        let candidates = self.certificates[1..].iter().chain(others).take(path::ANCHORS_MAX);
        for issuer in candidates {
            let id = CertificateId::of(issuer);
            if !vouchers.contains(&id) && path::vouches_for_stamps(issuer, &self.certificates, self.info.time).is_ok() {
                vouchers.push(id);
            }
        }
        vouchers
    }
}

/// Reads tokens of RFC 3161 for whoever checks evidence.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenReader;

impl ReadStamps for TokenReader {
    fn read(&self, token: &[u8], certificates: &[Vec<u8>]) -> Result<Stamp, String> {
        let token = Token::from_der(token).map_err(|error| error.to_string())?;
        let vouchers = token.vouchers(certificates);
        Ok(Stamp { imprint: token.imprint(), before: token.before(), name: token.name(), vouchers })
    }
}

/// What is read of a `SignedData`; nothing of it is checked.
struct SignedData<'a> {
    content: &'a [u8],
    certificates: Vec<&'a [u8]>,
    signer: SignerInfo<'a>,
}

struct SignerInfo<'a> {
    digest: ObjectIdentifier,
    /// The content of the set.
    attributes: &'a [u8],
    algorithm: ObjectIdentifier,
    signature: &'a [u8],
}

impl<'a> SignedData<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, TokenError> {
        let malformed = |_| TokenError::Malformed("no SignedData over a TSTInfo in DER");
        let (content, certificates, mut signers) = Self::read_outside(bytes).map_err(malformed)?;
        let signer = SignerInfo::read(&mut signers).map_err(|_| TokenError::Malformed("no SignerInfo in DER"))?;
        if !signers.is_empty() {
            return Err(TokenError::Signatures);
        }
        let certificates = match certificates {
            Some(set) => read_all(set, CERTIFICATES_MAX).map_err(|_| TokenError::Malformed("its certificates"))?,
            None => Vec::new(),
        };
        Ok(Self { content, certificates, signer })
    }

    fn read_outside(bytes: &'a [u8]) -> der::Result<(&'a [u8], Option<AnyRef<'a>>, Parts<'a>)> {
        let mut outside = Parts::of_bytes(bytes, Tag::Sequence)?;
        expect(outside.oid()? == SIGNED_DATA)?;
        let mut explicit = outside.open(tagged(0))?;
        outside.end()?;
        let mut signed = explicit.open(Tag::Sequence)?;
        explicit.end()?;
        expect(signed.number()? == 3)?;
        signed.open(Tag::Set)?;
        let mut content = signed.open(Tag::Sequence)?;
        expect(content.oid()? == TST_INFO)?;
        let mut explicit = content.open(tagged(0))?;
        content.end()?;
        let octets = explicit.next()?;
        octets.tag().assert_eq(Tag::OctetString)?;
        explicit.end()?;
        let certificates = signed.next_if(tagged(0))?;
        // Revocation lists in the token are nobody's whom we asked.
        signed.next_if(tagged(1))?;
        let signers = signed.open(Tag::Set)?;
        signed.end()?;
        Ok((octets.value(), certificates, signers))
    }

    /// The certificates, that of the signer first: the one whose hash is among the signed attributes.
    ///
    /// The name and number that stand beside the signature are under no signature and say nothing.
    fn certificates(&self, attributes: &Attributes<'_>) -> Result<Vec<Vec<u8>>, TokenError> {
        let mut certificates = Vec::new();
        for der in &self.certificates {
            let is_signer = digest_of(attributes.certificate_hash, der)? == attributes.certificate;
            let place = if is_signer { 0 } else { certificates.len() };
            certificates.insert(place, der.to_vec());
        }
        let named = certificates.first().map(|der| digest_of(attributes.certificate_hash, der)).transpose()?;
        if named.is_some_and(|named| named == attributes.certificate) {
            Ok(certificates)
        } else {
            Err(TokenError::CertificateMissing)
        }
    }
}

impl<'a> SignerInfo<'a> {
    fn read(signers: &mut Parts<'a>) -> der::Result<Self> {
        let mut signer = signers.open(Tag::Sequence)?;
        let version = signer.number()?;
        let identifier = signer.next()?;
        let expected = if identifier.tag() == Tag::Sequence { 1 } else { 3 };
        expect(version == expected)?;
        expect(matches!(identifier.tag(), Tag::Sequence) || identifier.tag() == tagged_primitive(0))?;
        let digest = signer.algorithm()?;
        let attributes = signer.next()?;
        attributes.tag().assert_eq(tagged(0))?;
        let algorithm = signer.algorithm()?;
        let signature = signer.next()?;
        signature.tag().assert_eq(Tag::OctetString)?;
        signer.next_if(tagged(1))?;
        signer.end()?;
        Ok(Self { digest, attributes: attributes.value(), algorithm, signature: signature.value() })
    }

    fn verify(&self, certificate: &[u8]) -> Result<(), TokenError> {
        let malformed = |_| TokenError::Malformed("the authority's certificate");
        let der = CertificateDer::from(certificate);
        let holder = EndEntityCert::try_from(&der).map_err(malformed)?;
        // Under the signature stands a SET, in the place of the tag that it has here (RFC 5652 §5.4).
        let signed = value(SET, &[self.attributes]);
        let mut error = TokenError::UnsupportedAlgorithm;
        for algorithm in verifiers(self.algorithm, self.digest) {
            match holder.verify_signature(algorithm, &signed, self.signature) {
                Ok(()) => return Ok(()),
                Err(webpki::Error::InvalidSignatureForPublicKey) => error = TokenError::BadSignature,
                // The key is of another algorithm or on another curve.
                Err(_) => {}
            }
        }
        Err(error)
    }
}

/// Which signatures an algorithm's name and that of the digest can mean.
fn verifiers(
    algorithm: ObjectIdentifier,
    digest: ObjectIdentifier,
) -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    match (algorithm, digest) {
        (ECDSA_SHA256, SHA256) => vec![algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256],
        (ECDSA_SHA384, SHA384) => vec![algorithms::ECDSA_P384_SHA384, algorithms::ECDSA_P256_SHA384],
        (ECDSA_SHA512, SHA512) => vec![algorithms::ECDSA_P521_SHA512],
        (RSA | RSA_SHA256, SHA256) => vec![algorithms::RSA_PKCS1_2048_8192_SHA256],
        (RSA | RSA_SHA384, SHA384) => vec![algorithms::RSA_PKCS1_2048_8192_SHA384],
        (RSA | RSA_SHA512, SHA512) => vec![algorithms::RSA_PKCS1_2048_8192_SHA512],
        _ => vec![],
    }
}

/// The signed attributes that a token needs; others are of no importance.
struct Attributes<'a> {
    message_digest: Vec<u8>,
    certificate_hash: ObjectIdentifier,
    certificate: &'a [u8],
}

impl<'a> Attributes<'a> {
    fn read(set: &'a [u8]) -> Result<Self, TokenError> {
        let read = || -> der::Result<Option<Self>> {
            let (mut content_type, mut digest, mut certificate) = (None, None, None);
            let set = AnyRef::new(Tag::Set, set)?;
            for attribute in read_all(set, ATTRIBUTES_MAX)? {
                let mut attribute = Parts::of_bytes(attribute, Tag::Sequence)?;
                let id = attribute.oid()?;
                let mut values = attribute.open(Tag::Set)?;
                attribute.end()?;
                let place = match id {
                    CONTENT_TYPE => &mut content_type,
                    MESSAGE_DIGEST => &mut digest,
                    SIGNING_CERTIFICATE_V2 => &mut certificate,
                    _ => continue,
                };
                // Each once, with one value.
                expect(place.replace(values.next()?).is_none())?;
                values.end()?;
            }
            let (Some(content_type), Some(digest), Some(certificate)) = (content_type, digest, certificate) else {
                return Ok(None);
            };
            expect(content_type.decode_as::<ObjectIdentifier>()? == TST_INFO)?;
            digest.tag().assert_eq(Tag::OctetString)?;
            let (certificate_hash, certificate) = read_certificate_id(certificate)?;
            Ok(Some(Self { message_digest: digest.value().to_vec(), certificate_hash, certificate }))
        };
        let missing =
            TokenError::Malformed("content type, message digest and certificate hash must be signed, each once");
        read().map_err(|_| TokenError::Malformed("its signed attributes"))?.ok_or(missing)
    }
}

/// The first `ESSCertIDv2` of a `SigningCertificateV2`: the signer's (RFC 5035 §3). Its hash and the algorithm of that.
fn read_certificate_id(part: AnyRef<'_>) -> der::Result<(ObjectIdentifier, &[u8])> {
    let mut signing = Parts::of(part, Tag::Sequence)?;
    let mut id = signing.open(Tag::Sequence)?.open(Tag::Sequence)?;
    // The default, SHA-256, is left out.
    let first = id.next()?;
    let (algorithm, hash) = match first.tag() {
        Tag::Sequence => (Parts::of(first, Tag::Sequence)?.oid()?, id.next()?),
        _ => (SHA256, first),
    };
    hash.tag().assert_eq(Tag::OctetString)?;
    Ok((algorithm, hash.value()))
}

impl Info {
    fn read(bytes: &[u8]) -> Result<Self, TokenError> {
        let read = |parts: &mut Parts<'_>| -> der::Result<Result<Self, TokenError>> {
            expect(parts.number()? == 1)?;
            let policy = parts.oid()?;
            let (hash, imprint) = read_imprint(parts)?;
            let serial = Parts::integer(parts.next()?)?;
            expect(serial.len() <= SERIAL_MAX)?;
            let time = read_time(parts.next()?)?;
            let accuracy = parts.next_if(Tag::Sequence)?.map(read_accuracy).transpose()?;
            let ordering = parts.next_if(Tag::Boolean)?.map(AnyRef::decode_as::<bool>).transpose()?;
            expect(ordering != Some(false))?;
            let nonce = parts.next_if(Tag::Integer)?.map(Nonce::read).transpose()?;
            let nonce = nonce.map(|nonce| nonce.ok_or(ErrorKind::Failed)).transpose()?;
            let authority = parts.next_if(tagged(0))?.map(|name| name.value().to_vec());
            if let Some(extensions) = parts.next_if(tagged(1))?
                && any_critical(extensions)?
            {
                return Ok(Err(TokenError::Extension));
            }
            if hash != SHA256 {
                return Ok(Err(TokenError::Hash));
            }
            let imprint = Imprint::from_array(imprint.try_into().map_err(|_| ErrorKind::Failed)?);
            let (serial, accuracy) = (serial.to_vec(), accuracy.unwrap_or_default());
            Ok(Ok(Self { policy, imprint, serial, time, accuracy, nonce, authority }))
        };
        let whole = || {
            let mut parts = Parts::of_bytes(bytes, Tag::Sequence)?;
            let info = read(&mut parts)?;
            parts.end()?;
            Ok(info)
        };
        whole().map_err(|_: der::Error| TokenError::Malformed("no TSTInfo of version 1 in DER"))?
    }
}

fn any_critical(extensions: AnyRef<'_>) -> der::Result<bool> {
    let mut extensions = Parts::of(extensions, tagged(1))?;
    while !extensions.is_empty() {
        let mut extension = extensions.open(Tag::Sequence)?;
        extension.oid()?;
        if extension.next_if(Tag::Boolean)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `YYYYMMDDhhmmss[.f…]Z`, rounded up to a whole second: what existed before it also existed before the next second.
fn read_time(part: AnyRef<'_>) -> der::Result<Time> {
    part.tag().assert_eq(Tag::GeneralizedTime)?;
    let noncanonical = || ErrorKind::Noncanonical { tag: Tag::GeneralizedTime };
    let text = part.value().strip_suffix(b"Z").ok_or_else(noncanonical)?;
    let (whole, fraction) = text.split_at_checked(14).ok_or_else(noncanonical)?;
    let fraction_is_good = match fraction {
        [] => true,
        [b'.', digits @ ..] => digits.iter().all(u8::is_ascii_digit) && digits.last().is_some_and(|last| *last != b'0'),
        _ => false,
    };
    expect(fraction_is_good && whole.iter().all(u8::is_ascii_digit))?;
    let number = |from: usize, len: usize| {
        whole[from..from + len].iter().fold(0_u16, |number, digit| number * 10 + u16::from(digit - b'0'))
    };
    let small = |from: usize| u8::try_from(number(from, 2)).unwrap_or(u8::MAX);
    let time = DateTime::new(number(0, 4), small(4), small(6), small(8), small(10), small(12))?;
    let time = Time::from_unix(time.unix_duration().as_secs());
    Ok(if fraction.is_empty() { time } else { time.after(Seconds(1)) })
}

/// Seconds, thousandths and millionths, rounded up to whole seconds.
fn read_accuracy(part: AnyRef<'_>) -> der::Result<Seconds> {
    let mut parts = Parts::of(part, Tag::Sequence)?;
    let seconds = parts.next_if(Tag::Integer)?.map(AnyRef::decode_as::<u32>).transpose()?.unwrap_or_default();
    let mut is_more = false;
    for n in [0, 1] {
        if let Some(part) = parts.next_if(tagged_primitive(n))? {
            let part = AnyRef::new(Tag::Integer, part.value())?.decode_as::<u16>()?;
            expect((1..=999).contains(&part))?;
            is_more = true;
        }
    }
    parts.end()?;
    let accuracy = Seconds(u64::from(seconds) + u64::from(is_more));
    expect(accuracy <= ACCURACY_MAX)?;
    Ok(accuracy)
}

/// Whether a certificate is for time-stamps and nothing else and says so critically (RFC 3161 §2.3), was valid, and is of that name.
fn check_certificate(der: &[u8], info: &Info) -> Result<(), TokenError> {
    let malformed = || TokenError::Malformed("the authority's certificate");
    let certificate = Certificate::from_der(der).map_err(|_| malformed())?;
    check_use(&certificate)?;
    path::check_validity(&certificate, info.time)?;
    // A directory name is [4] EXPLICIT; names of other kinds are for nobody to compare.
    if let Some(name) = info.authority.as_deref().and_then(|name| AnyRef::from_der(name).ok())
        && name.tag() == tagged(4)
        && certificate.tbs_certificate().subject().to_der().map_err(|_| malformed())? != name.value()
    {
        return Err(TokenError::OtherName);
    }
    Ok(())
}

pub(super) fn check_use(certificate: &Certificate) -> Result<(), TokenError> {
    let usage = certificate.tbs_certificate().get_extension::<ExtendedKeyUsage>();
    match usage.map_err(|_| TokenError::Malformed("the authority's certificate"))? {
        Some((true, usage)) if usage.0.as_slice() == [TIME_STAMPING] => Ok(()),
        _ => Err(TokenError::NotForStamps),
    }
}

fn digest_of(algorithm: ObjectIdentifier, bytes: &[u8]) -> Result<Vec<u8>, TokenError> {
    use aws_lc_rs::digest;
    let algorithm = match algorithm {
        SHA256 => &digest::SHA256,
        SHA384 => &digest::SHA384,
        SHA512 => &digest::SHA512,
        _ => return Err(TokenError::UnsupportedAlgorithm),
    };
    Ok(digest::digest(algorithm, bytes).as_ref().to_vec())
}

/// The parts of a set, each as it was received, at most `max`.
fn read_all(set: AnyRef<'_>, max: usize) -> der::Result<Vec<&[u8]>> {
    let mut parts = Parts::of(set, set.tag())?;
    let mut all = Vec::new();
    while !parts.is_empty() {
        let part = parts.next_bytes()?;
        expect(all.len() < max && part.len() <= CERTIFICATE_BYTES_MAX)?;
        all.push(part);
    }
    Ok(all)
}

fn expect(holds: bool) -> der::Result<()> {
    if holds { Ok(()) } else { Err(ErrorKind::Failed.into()) }
}

//! Certification requests (PKCS#10, RFC 2986): "certify that this name and this key set belong together".
//!
//! The request is signed by the certificate's key, so it proves possession of that key only. That the owner of the key set agrees
//! is proven by a contact card, which the authority asks for beside the request ([`crate::authority::Authority::issue`]).

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DistinguishedName, DnType, PublicKeyData, SanType, SignatureAlgorithm};
use rustls_pki_types::SignatureVerificationAlgorithm;
use semper_core::ids::KeySetId;
use x509_cert::der::oid::{AssociatedOid, ObjectIdentifier};
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::request::{CertReq, CertReqInfo, ExtensionReq};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::key::{CertificateKey, KeyType};
use crate::name::{self, NameError};

/// Largest request that is read, in bytes of DER.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Why a request was not made or not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Larger than [`REQUEST_BYTES_MAX`].
    #[error("the certification request is larger than {REQUEST_BYTES_MAX} bytes")]
    Oversized,
    /// Not the DER of a PKCS#10 request.
    #[error("the certification request is malformed")]
    Malformed,
    /// The key is not P-256 or Ed25519, or the signature is of another algorithm than the key.
    #[error("the certification request has a key or signature of an algorithm that is not accepted")]
    UnsupportedKey,
    /// The signature does not verify under the key in the request.
    #[error("the signature of the certification request is wrong")]
    BadSignature,
    /// It asks for something that certificates of this profile do not say.
    #[error("the certification request asks for more than a name, one e-mail address and one key set")]
    AsksForMore,
    /// A name is not acceptable.
    #[error("certification request: {0}")]
    Name(#[from] NameError),
}

/// Makes a request for a certificate that links `name` (and `email`) to `key_set`, as DER. `key` becomes the certificate's key.
///
/// # Errors
/// `Name`: a name that no authority may certify.
pub fn make(key: &CertificateKey, name: &str, email: Option<&str>, key_set: KeySetId) -> Result<Vec<u8>, RequestError> {
    let params = subject(name, email, key_set)?;
    let request = params.serialize_request(key.pair()).map_err(|_| RequestError::Malformed)?;
    Ok(request.der().to_vec())
}

/// The names of a certificate or request: one common name, one key set, perhaps an e-mail address.
pub(crate) fn subject(name: &str, email: Option<&str>, key_set: KeySetId) -> Result<CertificateParams, NameError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name::check_name(name)?);
    let uri = Ia5String::try_from(name::key_set_uri(key_set)).expect("the uri is ascii");
    params.subject_alt_names.push(SanType::URI(uri));
    if let Some(email) = email {
        let email = Ia5String::try_from(name::check_email(email)?).map_err(|_| NameError::BadEmail)?;
        params.subject_alt_names.push(SanType::Rfc822Name(email));
    }
    Ok(params)
}

/// A request whose signature and names were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRequest {
    name: String,
    email: Option<String>,
    key_set: KeySetId,
    public_key: PublicKey,
}

impl VerifiedRequest {
    /// Reads and checks a request: bounds, form, names, and the signature by the key that it is about.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::Oversized);
        }
        let request = CertReq::from_der(der).map_err(|_| RequestError::Malformed)?;
        let public_key = PublicKey::read(&request.info.public_key)?;
        verify_signature(der, &request, &public_key)?;
        let (email, key_set) = requested_names(&request.info)?;
        Ok(Self { name: name::read_common_name(only_name(&request.info)?)?, email, key_set, public_key })
    }

    /// The name that is to be certified.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The e-mail address that is to be certified.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The key set that the name is to be linked to.
    pub fn key_set(&self) -> KeySetId {
        self.key_set
    }

    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// The public key of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    key_type: KeyType,
    bytes: Vec<u8>,
}

impl PublicKey {
    fn read(info: &SubjectPublicKeyInfoOwned) -> Result<Self, RequestError> {
        let curve = info.algorithm.parameters.as_ref().map(x509_cert::der::Any::decode_as::<ObjectIdentifier>);
        let (key_type, len) = match (info.algorithm.oid, curve) {
            (EC_PUBLIC_KEY, Some(Ok(P256))) => (KeyType::P256, 65),
            (ED25519, None) => (KeyType::Ed25519, 32),
            _ => return Err(RequestError::UnsupportedKey),
        };
        let bytes = info.subject_public_key.as_bytes().filter(|bytes| bytes.len() == len);
        Ok(Self { key_type, bytes: bytes.ok_or(RequestError::UnsupportedKey)?.to_vec() })
    }

    fn accepts(&self, algorithm: &AlgorithmIdentifierOwned) -> bool {
        let expected = match self.key_type {
            KeyType::P256 => ECDSA_SHA256,
            KeyType::Ed25519 => ED25519,
        };
        algorithm.oid == expected && algorithm.parameters.is_none()
    }

    fn verifier(&self) -> &'static dyn SignatureVerificationAlgorithm {
        match self.key_type {
            KeyType::P256 => webpki::aws_lc_rs::ECDSA_P256_SHA256,
            KeyType::Ed25519 => webpki::aws_lc_rs::ED25519,
        }
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.key_type.algorithm()
    }
}

fn verify_signature(der: &[u8], request: &CertReq, public_key: &PublicKey) -> Result<(), RequestError> {
    if !public_key.accepts(&request.algorithm) {
        return Err(RequestError::UnsupportedKey);
    }
    let signature = request.signature.as_bytes().ok_or(RequestError::Malformed)?;
    let signed = signed_part(der).map_err(|_| RequestError::Malformed)?;
    public_key.verifier().verify_signature(&public_key.bytes, signed, signature).map_err(|_| RequestError::BadSignature)
}

/// The bytes under the signature as they were received, never as we would encode them.
fn signed_part(der: &[u8]) -> x509_cert::der::Result<&[u8]> {
    let mut reader = SliceReader::new(der)?;
    x509_cert::der::Header::decode(&mut reader)?;
    reader.tlv_bytes()
}

fn only_name(info: &CertReqInfo) -> Result<&x509_cert::name::Name, RequestError> {
    if info.subject.iter().count() == 1 { Ok(&info.subject) } else { Err(RequestError::AsksForMore) }
}

fn requested_names(info: &CertReqInfo) -> Result<(Option<String>, KeySetId), RequestError> {
    let extension = requested_extension(info)?;
    let names = SubjectAltName::from_der(extension.extn_value.as_bytes()).map_err(|_| RequestError::Malformed)?;
    let mut names = name::read_alt_names(&names.0)?;
    if names.others > 0 || names.emails.len() > 1 {
        return Err(RequestError::AsksForMore);
    }
    Ok((names.emails.pop(), names.key_set))
}

/// The one extension that may be asked for: subject alternative names.
fn requested_extension(info: &CertReqInfo) -> Result<Extension, RequestError> {
    let mut extensions = Vec::new();
    for attribute in info.attributes.iter() {
        if attribute.oid != ExtensionReq::OID {
            return Err(RequestError::AsksForMore);
        }
        for value in attribute.values.iter() {
            let bytes = value.to_der().map_err(|_| RequestError::Malformed)?;
            extensions.extend(ExtensionReq::from_der(&bytes).map_err(|_| RequestError::Malformed)?.0);
        }
    }
    let extension = extensions.pop().ok_or(NameError::NoKeySet)?;
    let only = extensions.is_empty() && extension.extn_id == SubjectAltName::OID;
    if only { Ok(extension) } else { Err(RequestError::AsksForMore) }
}

//! Path validation: is this certificate vouched for by an authority that is trusted, now, and does it name the key set that was
//! asked about?
//!
//! Signatures, validity, constraints and revocation are checked by `rustls-webpki`. Only after it has accepted a path are names
//! read out of the certificate. Anchors are certificates here, so what they say about themselves (validity, path length) holds too,
//! which RFC 5280 leaves open.

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use semper_core::ids::KeySetId;
use semper_core::time::Time;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};
use x509_cert::Certificate;
use x509_cert::certificate::TbsCertificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage as KeyUsageBits, SubjectAltName};

use crate::name::{self, NameError};
use crate::register::{Reason, Revocation};

/// Largest certificate that is read, in bytes of DER.
pub const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;
/// Largest revocation list that is read, in bytes of DER.
pub const CRL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most certificates in a chain, the holder's own included.
pub const CHAIN_MAX: usize = 5;
/// Most trust anchors, and most revocation lists.
pub const ANCHORS_MAX: usize = 64;

/// The extended key usage of certificates that this module issues: `id-kp-documentSigning` (RFC 9336).
pub(crate) const DOCUMENT_SIGNING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 36];
/// The same as the content of its DER.
const DOCUMENT_SIGNING_DER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 36];

/// `id-kp-timeStamping` (RFC 3161 §2.3) as the content of its DER.
const TIME_STAMPING_DER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];

/// What to do when the newest revocation list of an issuer is past its `nextUpdate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StaleCrl {
    /// Refuse: whoever holds back the newer list must not make a revoked certificate good again. The default.
    #[default]
    Refuse,
    /// Take the old list. What was revoked after it is not seen; the user must be told.
    Accept,
}

/// What was proven about a certificate. Only [`Trust::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    name: String,
    emails: Vec<String>,
    key_set: KeySetId,
    issuers: Vec<String>,
    valid_until: Time,
}

impl Certified {
    /// The certified name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The certified e-mail addresses.
    pub fn emails(&self) -> &[String] {
        &self.emails
    }

    /// The key set that has this name.
    pub fn key_set(&self) -> KeySetId {
        self.key_set
    }

    /// Who vouches for it: the name of the issuer, then of the issuer's issuer, and so on; the last is the trust anchor.
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// The last second in which all certificates of the path are valid. Whether they are revoked before is another question.
    pub fn valid_until(&self) -> Time {
        self.valid_until
    }
}

/// Why a certificate proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// No certificate, or more than [`CHAIN_MAX`].
    #[error("a chain has 1 to {CHAIN_MAX} certificates, found {0}")]
    ChainLength(usize),
    /// A certificate or revocation list that is too large, not DER, or breaks RFC 5280.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// A certificate of the path has expired.
    #[error("the certificate expired on {until}")]
    Expired {
        /// The last second in which it was valid.
        until: Time,
    },
    /// A certificate of the path is not valid yet.
    #[error("the certificate is valid only from {from}")]
    NotYetValid {
        /// The first second in which it is valid.
        from: Time,
    },
    /// A certificate of the path was revoked. For a statement from before `since` the caller may decide otherwise.
    #[error("the certificate was revoked on {}: {}", .0.since, .0.reason)]
    Revoked(Revocation),
    /// No path leads to a trust anchor.
    #[error("no trusted authority vouches for the certificate")]
    UnknownIssuer,
    /// A signature in the path, or of a revocation list, does not verify.
    #[error("a signature of the certificate, its issuers or the revocation list is wrong")]
    BadSignature,
    /// A signature algorithm that is not accepted.
    #[error("a signature is of an algorithm that is not accepted")]
    UnsupportedAlgorithm,
    /// An issuer in the path, or an anchor, may not issue certificates or revocation lists, or the holder's certificate is an
    /// authority's.
    #[error("a certificate is used as an authority's that is not one, or the other way round")]
    NotAnAuthority,
    /// More authorities follow each other than one of them allows.
    #[error("the path is longer than an authority in it allows")]
    PathTooLong,
    /// A certificate of the path is for another purpose, or an authority may not certify this name.
    #[error("the certificate is not for this purpose")]
    WrongUse,
    /// Good, but for another key set.
    #[error("the certificate is for key set {found}, not {expected}")]
    WrongKeySet {
        /// The key set that was asked about.
        expected: KeySetId,
        /// The one that the certificate names.
        found: KeySetId,
    },
    /// The names in the certificate cannot be relied on.
    #[error("certificate: {0}")]
    Name(#[from] NameError),
    /// There is no revocation list of an issuer in the path.
    #[error("there is no revocation list of the issuer")]
    CrlMissing,
    /// The newest revocation list of an issuer is too old.
    #[error("the issuer's revocation list expired on {since}; fetch a new one")]
    CrlExpired {
        /// When a newer list should have come.
        since: Time,
    },
    /// A critical extension or another feature that is not understood.
    #[error("the certificate or revocation list has a critical part that is not understood")]
    Unsupported,
    /// More than [`ANCHORS_MAX`] anchors or lists.
    #[error("more than {ANCHORS_MAX} trust anchors or revocation lists")]
    TooMany,
}

/// Whom the user trusts to certify names, and what is known about revocation.
#[derive(Debug, Default)]
pub struct Trust {
    /// In the same order as `limits`.
    anchors: Vec<TrustAnchor<'static>>,
    limits: Vec<AnchorLimits>,
    /// Newest first.
    lists: Vec<(Time, CertRevocationList<'static>)>,
    stale: StaleCrl,
}

/// What an anchor's certificate says about itself.
#[derive(Clone, Debug)]
struct AnchorLimits {
    name: String,
    from: Time,
    until: Time,
    intermediates_max: Option<u8>,
}

impl Trust {
    /// Trusts nobody.
    pub fn new(stale: StaleCrl) -> Self {
        Self { stale, ..Self::default() }
    }

    /// Trusts an authority's certificate, given as DER. That it is the right one must be known from elsewhere.
    ///
    /// # Errors
    /// `Malformed`, `NotAnAuthority`, `Name`, `TooMany`; nothing was changed.
    pub fn add_anchor(&mut self, der: &[u8]) -> Result<(), PathError> {
        if self.anchors.len() >= ANCHORS_MAX {
            return Err(PathError::TooMany);
        }
        let certificate = parse(der, "certificate of an authority")?;
        let limits = AnchorLimits::read(certificate.tbs_certificate())?;
        let der = CertificateDer::from(der);
        let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|e| path_error(&e))?.to_owned();
        self.anchors.push(anchor);
        self.limits.push(limits);
        Ok(())
    }

    /// Adds a revocation list, given as DER. Of the lists of one issuer, the newest decides.
    ///
    /// Its signature is checked when a path uses it: a forged list makes that path fail, never succeed. So try a fetched list on a
    /// path that was good before it replaces a stored one.
    ///
    /// # Errors
    /// `Malformed`, `Unsupported`, `TooMany`; nothing was changed.
    pub fn add_crl(&mut self, der: &[u8]) -> Result<(), PathError> {
        if self.lists.len() >= ANCHORS_MAX {
            return Err(PathError::TooMany);
        }
        let malformed = PathError::Malformed("revocation list");
        if der.len() > CRL_BYTES_MAX {
            return Err(malformed);
        }
        let made = <CertificateList>::from_der(der).map_err(|_| malformed)?.tbs_cert_list.this_update;
        let list = OwnedCertRevocationList::from_der(der).map_err(|e| path_error(&e))?;
        let made = Time::from_unix(made.to_unix_duration().as_secs());
        let place = self.lists.partition_point(|(other, _)| *other > made);
        self.lists.insert(place, (made, list.into()));
        Ok(())
    }

    /// Proves at `now` that `chain` names the owner of `key_set`. `chain` holds DER certificates: the holder's first, then those
    /// of issuers that are not anchors, in any order.
    ///
    /// # Errors
    /// [`PathError`]; nothing in the chain may be believed.
    pub fn verify(&self, chain: &[Vec<u8>], key_set: KeySetId, now: Time) -> Result<Certified, PathError> {
        let Some((holder, issuers)) = chain.split_first().filter(|_| chain.len() <= CHAIN_MAX) else {
            return Err(PathError::ChainLength(chain.len()));
        };
        let parsed = parse(holder, "certificate")?;
        for issuer in issuers {
            parse(issuer, "certificate of an issuer")?;
        }
        let valid = self.verify_path(chain, now)?;
        let names = read_names(parsed.tbs_certificate())?;
        if names.key_set != key_set {
            return Err(PathError::WrongKeySet { expected: key_set, found: names.key_set });
        }
        Ok(Certified {
            name: name::read_common_name(parsed.tbs_certificate().subject())?,
            emails: names.emails,
            key_set,
            issuers: valid.issuers,
            valid_until: valid.until,
        })
    }

    fn verify_path(&self, chain: &[Vec<u8>], now: Time) -> Result<ValidPath, PathError> {
        let certificates: Vec<CertificateDer<'_>> =
            chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let holder = EndEntityCert::try_from(&certificates[0]).map_err(|e| path_error(&e))?;
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().map(|(_, list)| list).collect();
        let obeys_anchor = |path: &VerifiedPath<'_>| self.limits_of(path.anchor()).check(path, now);
        let path = holder
            .verify_for_usage(
                &accepted_algorithms(),
                &self.anchors,
                &certificates[1..],
                unix_time(now),
                KeyUsage::required_if_present(DOCUMENT_SIGNING_DER),
                self.revocation(&lists),
                Some(&obeys_anchor),
            )
            .map_err(|e| self.explain(&e, &certificates))?;
        if lists.is_empty() {
            return Err(PathError::CrlMissing);
        }
        self.describe(&path)
    }

    fn revocation<'a>(&self, lists: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
        let expiration = match self.stale {
            StaleCrl::Refuse => ExpirationPolicy::Enforce,
            StaleCrl::Accept => ExpirationPolicy::Ignore,
        };
        let builder = RevocationOptionsBuilder::new(lists).ok()?;
        let builder = builder.with_depth(RevocationCheckDepth::Chain).with_status_policy(UnknownStatusPolicy::Deny);
        Some(builder.with_expiration_policy(expiration).build())
    }

    fn limits_of(&self, anchor: &TrustAnchor<'_>) -> &AnchorLimits {
        let place = self.anchors.iter().position(|other| std::ptr::eq(other, anchor) || other == anchor);
        &self.limits[place.expect("the anchor of a path is one of those that were given")]
    }

    fn describe(&self, path: &VerifiedPath<'_>) -> Result<ValidPath, PathError> {
        let anchor = self.limits_of(path.anchor());
        let mut until = anchor.until.min(expiry(&parse(path.end_entity().der().as_ref(), "certificate")?));
        let mut issuers = Vec::new();
        for issuer in path.intermediate_certificates() {
            let issuer = parse(issuer.der().as_ref(), "certificate of an issuer")?;
            until = until.min(expiry(&issuer));
            issuers.push(name::read_common_name(issuer.tbs_certificate().subject())?);
        }
        issuers.push(anchor.name.clone());
        Ok(ValidPath { issuers, until })
    }

    fn explain(&self, error: &webpki::Error, chain: &[CertificateDer<'_>]) -> PathError {
        match error {
            webpki::Error::CertRevoked => self.find_revocation(chain),
            error => path_error(error),
        }
    }

    /// Why a certificate of the chain is revoked; the same lists are looked at as in path validation.
    fn find_revocation(&self, chain: &[CertificateDer<'_>]) -> PathError {
        let found = chain.iter().find_map(|der| {
            let certificate = EndEntityCert::try_from(der).ok()?;
            let (_, list) = self.lists.iter().find(|(_, list)| list.issuer() == certificate.issuer())?;
            let entry = list.find_serial(certificate.serial()).ok()??;
            let code = entry.reason_code.map_or(0, |reason| u64::from(reason as u8));
            let reason = Reason::from_code(code).unwrap_or(Reason::Unspecified);
            Some(Revocation { since: time(entry.revocation_date), reason })
        });
        found.map_or(PathError::Malformed("revocation list"), PathError::Revoked)
    }
}

/// Whether `issuer` vouches for the time-stamp authority whose certificate is the first of `chain`, by a path that was valid at `at`.
/// Revocation is not looked at.
pub(crate) fn vouches_for_stamps(issuer: &[u8], chain: &[Vec<u8>], at: Time) -> Result<(), PathError> {
    let mut trust = Trust::new(StaleCrl::Refuse);
    trust.add_anchor(issuer)?;
    let certificates: Vec<CertificateDer<'_>> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let holder = certificates.first().ok_or(PathError::ChainLength(0))?;
    let holder = EndEntityCert::try_from(holder).map_err(|e| path_error(&e))?;
    let obeys_anchor = |path: &VerifiedPath<'_>| trust.limits_of(path.anchor()).check(path, at);
    let usage = KeyUsage::required(TIME_STAMPING_DER);
    holder
        .verify_for_usage(
            &accepted_algorithms(),
            &trust.anchors,
            &certificates[1..],
            unix_time(at),
            usage,
            None,
            Some(&obeys_anchor),
        )
        .map(drop)
        .map_err(|e| path_error(&e))
}

/// Whether these bytes are a certificate that is small enough to be read.
pub fn is_certificate(der: &[u8]) -> bool {
    parse(der, "certificate").is_ok()
}

/// Whether a certificate is valid at a time by what it says itself.
pub(crate) fn check_validity(certificate: &Certificate, at: Time) -> Result<(), PathError> {
    let from = certificate.tbs_certificate().validity().not_before.to_unix_duration().as_secs();
    let (from, until) = (Time::from_unix(from), expiry(certificate));
    if at < from {
        return Err(PathError::NotYetValid { from });
    }
    if at > until { Err(PathError::Expired { until }) } else { Ok(()) }
}

/// What a certificate calls its holder, for people: its common name if that can be shown, else that it has none. Nothing is checked.
pub(crate) fn shown_subject(der: &[u8]) -> String {
    let name = parse(der, "certificate").ok().and_then(|c| name::read_common_name(c.tbs_certificate().subject()).ok());
    name.unwrap_or_else(|| "without a name that can be shown".to_owned())
}

struct ValidPath {
    issuers: Vec<String>,
    until: Time,
}

impl AnchorLimits {
    fn read(tbs: &TbsCertificate) -> Result<Self, PathError> {
        let constraints = tbs.get_extension::<BasicConstraints>();
        let constraints = constraints.map_err(|_| PathError::Malformed("certificate of an authority"))?;
        let (_, constraints) = constraints.filter(|(_, c)| c.ca).ok_or(PathError::NotAnAuthority)?;
        if !has_authority_usage(tbs) {
            return Err(PathError::NotAnAuthority);
        }
        Ok(Self {
            name: name::read_common_name(tbs.subject())?,
            from: Time::from_unix(tbs.validity().not_before.to_unix_duration().as_secs()),
            until: Time::from_unix(tbs.validity().not_after.to_unix_duration().as_secs()),
            intermediates_max: constraints.path_len_constraint,
        })
    }

    fn check(&self, path: &VerifiedPath<'_>, now: Time) -> Result<(), webpki::Error> {
        let time = unix_time(now);
        if now < self.from {
            return Err(webpki::Error::CertNotValidYet { time, not_before: unix_time(self.from) });
        }
        if now > self.until {
            return Err(webpki::Error::CertExpired { time, not_after: unix_time(self.until) });
        }
        let intermediates = path.intermediate_certificates().count();
        if !path.intermediate_certificates().all(|issuer| may_certify(issuer.der().as_ref())) {
            return Err(webpki::Error::EndEntityUsedAsCa);
        }
        if self.intermediates_max.is_some_and(|max| intermediates > usize::from(max)) {
            return Err(webpki::Error::PathLenConstraintViolated);
        }
        Ok(())
    }
}

/// What the library leaves out: it takes every certificate with CA:TRUE for one that may sign certificates, and every anchor for
/// one that may sign revocation lists.
fn may_certify(issuer: &[u8]) -> bool {
    parse(issuer, "certificate of an issuer").is_ok_and(|issuer| has_authority_usage(issuer.tbs_certificate()))
}

/// Whether a certificate has no key usage, or one that includes keyCertSign and cRLSign: every issuer here must do both.
fn has_authority_usage(tbs: &TbsCertificate) -> bool {
    match tbs.get_extension::<KeyUsageBits>() {
        Ok(usage) => usage.is_none_or(|(_, usage)| usage.key_cert_sign() && usage.crl_sign()),
        Err(_) => false,
    }
}

/// Everything that the library knows is at least 2048-bit RSA or a 256-bit curve, with SHA-256 or better.
fn accepted_algorithms() -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    webpki::ALL_VERIFICATION_ALGS.to_vec()
}

fn read_names(tbs: &TbsCertificate) -> Result<name::AltNames, PathError> {
    let extension = tbs.get_extension::<SubjectAltName>().map_err(|_| PathError::Malformed("certificate"))?;
    let (_, names) = extension.ok_or(NameError::NoKeySet)?;
    Ok(name::read_alt_names(&names.0)?)
}

fn parse(der: &[u8], what: &'static str) -> Result<Certificate, PathError> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(PathError::Malformed(what));
    }
    Certificate::from_der(der).map_err(|_| PathError::Malformed(what))
}

fn expiry(certificate: &Certificate) -> Time {
    Time::from_unix(certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs())
}

fn unix_time(time: Time) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(time.unix()))
}

fn time(time: UnixTime) -> Time {
    Time::from_unix(time.as_secs())
}

fn path_error(error: &webpki::Error) -> PathError {
    use webpki::Error as E;
    match error {
        E::CertExpired { not_after, .. } => PathError::Expired { until: time(*not_after) },
        E::CertNotValidYet { not_before, .. } => PathError::NotYetValid { from: time(*not_before) },
        E::CrlExpired { next_update, .. } => PathError::CrlExpired { since: time(*next_update) },
        E::UnknownRevocationStatus => PathError::CrlMissing,
        E::UnknownIssuer => PathError::UnknownIssuer,
        E::InvalidSignatureForPublicKey | E::InvalidCrlSignatureForPublicKey => PathError::BadSignature,
        E::SignatureAlgorithmMismatch
        | E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | E::UnsupportedCrlSignatureAlgorithmContext(_)
        | E::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => PathError::UnsupportedAlgorithm,
        E::CaUsedAsEndEntity | E::EndEntityUsedAsCa | E::IssuerNotCrlSigner => PathError::NotAnAuthority,
        E::PathLenConstraintViolated
        | E::MaximumPathDepthExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumSignatureChecksExceeded => PathError::PathTooLong,
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension | E::NameConstraintViolation => PathError::WrongUse,
        E::UnsupportedCriticalExtension
        | E::UnsupportedCertVersion
        | E::UnsupportedCrlVersion
        | E::UnsupportedDeltaCrl
        | E::UnsupportedIndirectCrl
        | E::UnsupportedCrlIssuingDistributionPoint
        | E::UnsupportedRevocationReason
        | E::UnsupportedRevocationReasonsPartitioning => PathError::Unsupported,
        _ => PathError::Malformed("certificate or revocation list"),
    }
}

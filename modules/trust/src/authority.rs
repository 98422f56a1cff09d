//! A certification authority: its self-signed root, the certificates it issues, the revocation lists it signs.
//!
//! It never certifies a name for a key set unless the owner of that key set has said in a signed contact card that this is its
//! name. Otherwise anybody could have his own name linked to somebody else's key set, and claim what the other one signed.
//!
//! Every step changes the [`Register`]. The caller stores the register first and hands out the certificate or list afterwards: a
//! certificate that the register does not know cannot be revoked.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint, CustomExtension,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevocationReason, RevokedCertParams, SerialNumber,
};
use semper_core::signature::Verified;
use semper_core::time::{Seconds, Time};
use semper_support::crypto::{CryptoError, Randomness};
use time::OffsetDateTime;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

use crate::card::ContactCard;
use crate::key::CertificateKey;
use crate::name::{self, NameError};
use crate::path::DOCUMENT_SIGNING;
use crate::register::{ISSUED_MAX, Issued, Reason, Register, Revocation, Rules, Serial};
use crate::request::{self, VerifiedRequest};

/// Certificates and revocation lists are valid from this much before they are made, because clocks differ.
const CLOCK_SKEW: Seconds = Seconds(300);
/// The extension `extKeyUsage` of RFC 5280 §4.2.1.12.
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
/// Its content for `id-kp-timeStamping` alone, DER.
const TIME_STAMPING_USAGE: &[u8] = &[0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8];

/// Why an authority did not do what it was asked to. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A name or URL is not acceptable.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The contact card is of another key set than the request.
    #[error("the request names another key set than the contact card")]
    OtherKeySet,
    /// The contact card says another name than the request.
    #[error("the request asks for another name than the contact card says")]
    OtherName,
    /// A lifetime of zero, or longer than the rules allow.
    #[error("the lifetime must be at least one second and at most {} seconds", max.0)]
    Lifetime {
        /// The longest that is allowed.
        max: Seconds,
    },
    /// The certificate would be valid after the authority's own has expired.
    #[error("the certificate would outlive the authority, which expires on {until}")]
    OutlivesAuthority {
        /// When the authority expires.
        until: Time,
    },
    /// The register is full.
    #[error("the register holds {ISSUED_MAX} certificates; open another authority")]
    Full,
    /// No certificate with this serial number was issued.
    #[error("no certificate with serial number {0} was issued")]
    UnknownSerial(Serial),
    /// The private key does not belong to the register's certificate.
    #[error("the private key does not belong to the authority's certificate")]
    OtherKey,
    /// The register's certificate is not one that an authority made for itself.
    #[error("the authority's certificate is malformed")]
    Malformed,
    /// The random numbers failed.
    #[error(transparent)]
    Randomness(#[from] CryptoError),
    /// Signing failed in the cryptographic library.
    #[error("the signature could not be made")]
    NotSigned,
}

/// What a certificate is good for. No certificate is good for both: whoever dates things says nothing else with that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Linking a name to a key set that signs statements.
    Documents,
    /// Signing time-stamps (RFC 3161 §2.3).
    TimeStamps,
}

impl Purpose {
    fn write(self, params: &mut CertificateParams) {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        match self {
            Purpose::Documents => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(DOCUMENT_SIGNING.to_vec())];
            }
            // The library writes this extension as one that is not critical; for time-stamps it must be.
            Purpose::TimeStamps => {
                let mut usage = CustomExtension::from_oid_content(EXTENDED_KEY_USAGE, TIME_STAMPING_USAGE.to_vec());
                usage.set_criticality(true);
                params.custom_extensions.push(usage);
            }
        }
    }
}

/// A certificate for time-stamps that its own key has signed; see [`crate::timestamp::own_certificate`].
pub(crate) fn own_stamping_certificate(
    key: &CertificateKey,
    name: &str,
    lifetime: Seconds,
    now: Time,
    randomness: &dyn Randomness,
) -> Result<Vec<u8>, AuthorityError> {
    if lifetime.0 == 0 {
        return Err(AuthorityError::Lifetime { max: Seconds(u64::MAX) });
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name::check_name(name)?);
    params.serial_number = Some(serial_number(draw_serial(randomness)?));
    params.not_before = date_time(now.before(CLOCK_SKEW));
    params.not_after = date_time(now.after(lifetime));
    Purpose::TimeStamps.write(&mut params);
    Ok(params.self_signed(key.pair()).map_err(|_| AuthorityError::NotSigned)?.der().to_vec())
}

/// A certification authority, ready to sign.
pub struct Authority {
    key: CertificateKey,
    register: Register,
    name: String,
    valid_from: Time,
    valid_until: Time,
}

impl Authority {
    /// Opens a new authority with a self-signed certificate that is valid for `lifetime`.
    ///
    /// # Errors
    /// `Name`, `Lifetime` (zero), `Randomness`, `NotSigned`.
    pub fn create(
        key: CertificateKey,
        name: &str,
        rules: Rules,
        lifetime: Seconds,
        now: Time,
        randomness: &dyn Randomness,
    ) -> Result<Self, AuthorityError> {
        name::check_url(&rules.crl_url)?;
        if lifetime.0 == 0 || rules.lifetime_max.0 == 0 || rules.crl_lifetime.0 == 0 {
            return Err(AuthorityError::Lifetime { max: rules.lifetime_max });
        }
        let mut params = authority_params(name::check_name(name)?);
        let serial = draw_serial(randomness)?;
        params.serial_number = Some(serial_number(serial));
        params.not_before = date_time(now.before(CLOCK_SKEW));
        params.not_after = date_time(now.after(lifetime));
        let certificate = params.self_signed(key.pair()).map_err(|_| AuthorityError::NotSigned)?.der().to_vec();
        Self::open(key, Register { certificate, rules, next_crl: 1, issued: [].into() })
    }

    /// Opens an authority from its stored register and private key.
    ///
    /// # Errors
    /// `OtherKey`, `Malformed`.
    pub fn open(key: CertificateKey, register: Register) -> Result<Self, AuthorityError> {
        let certificate = Certificate::from_der(&register.certificate).map_err(|_| AuthorityError::Malformed)?;
        let tbs = certificate.tbs_certificate();
        let public_key = tbs.subject_public_key_info().to_der().map_err(|_| AuthorityError::Malformed)?;
        if public_key != key.public_key_info() {
            return Err(AuthorityError::OtherKey);
        }
        let name = name::read_common_name(tbs.subject())?;
        let valid_from = Time::from_unix(tbs.validity().not_before.to_unix_duration().as_secs());
        let valid_until = Time::from_unix(tbs.validity().not_after.to_unix_duration().as_secs());
        Ok(Self { key, register, name, valid_from, valid_until })
    }

    /// What is to be stored after every step.
    pub fn register(&self) -> &Register {
        &self.register
    }

    /// The private key, to be stored under a passphrase.
    pub fn key(&self) -> &CertificateKey {
        &self.key
    }

    /// The authority's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Issues a certificate, as DER. `holder` is the contact card of the key set that the request names.
    ///
    /// That the holder *is* the person or organisation of that name must have been established by whoever calls this: a card
    /// proves what the holder calls itself, not that it is true.
    ///
    /// # Errors
    /// `OtherKeySet`, `OtherName`, `Lifetime`, `OutlivesAuthority`, `Full`, `Randomness`, `NotSigned`.
    pub fn issue(
        &mut self,
        request: &VerifiedRequest,
        holder: &Verified<ContactCard>,
        lifetime: Seconds,
        now: Time,
        randomness: &dyn Randomness,
    ) -> Result<Vec<u8>, AuthorityError> {
        self.issue_for(Purpose::Documents, request, holder, lifetime, now, randomness)
    }

    /// The same for what the certificate is to be good for.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_for(
        &mut self,
        purpose: Purpose,
        request: &VerifiedRequest,
        holder: &Verified<ContactCard>,
        lifetime: Seconds,
        now: Time,
        randomness: &dyn Randomness,
    ) -> Result<Vec<u8>, AuthorityError> {
        self.check(request, holder.statement(), lifetime, now)?;
        let serial = draw_serial(randomness)?;
        let valid_until = now.after(lifetime);
        let mut params = request::subject(request.name(), request.email(), request.key_set())?;
        params.serial_number = Some(serial_number(serial));
        params.not_before = date_time(now.before(CLOCK_SKEW).max(self.valid_from));
        params.not_after = date_time(valid_until);
        purpose.write(&mut params);
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![self.register.rules.crl_url.clone()] }];
        params.use_authority_key_identifier_extension = true;
        let certificate =
            params.signed_by(request.public_key(), &self.issuer()).map_err(|_| AuthorityError::NotSigned)?;
        let issued = Issued {
            serial,
            name: request.name().to_owned(),
            email: request.email().map(str::to_owned),
            key_set: request.key_set(),
            valid_until,
            revoked: None,
        };
        self.register.issued.insert(serial, issued);
        Ok(certificate.der().to_vec())
    }

    /// Revokes a certificate for ever and makes a revocation list that says so, as DER. Revoking again keeps the first time and
    /// reason.
    ///
    /// # Errors
    /// `UnknownSerial`, `NotSigned` (then the certificate is revoked, but the list is still to be made by [`Authority::crl`]).
    pub fn revoke(&mut self, serial: Serial, reason: Reason, now: Time) -> Result<Vec<u8>, AuthorityError> {
        let issued = self.register.issued.get_mut(&serial).ok_or(AuthorityError::UnknownSerial(serial))?;
        issued.revoked.get_or_insert(Revocation { since: now, reason });
        self.crl(now)
    }

    /// Makes a new revocation list, as DER. Revoked certificates stay on it after they have expired: evidence lasts longer.
    ///
    /// # Errors
    /// `NotSigned`.
    pub fn crl(&mut self, now: Time) -> Result<Vec<u8>, AuthorityError> {
        let revoked = self.register.issued.values().filter_map(|issued| Some((issued.serial, issued.revoked?)));
        let list = CertificateRevocationListParams {
            this_update: date_time(now.before(CLOCK_SKEW)),
            next_update: date_time(now.after(self.register.rules.crl_lifetime)),
            crl_number: SerialNumber::from(self.register.next_crl),
            issuing_distribution_point: None,
            revoked_certs: revoked.map(|(serial, revocation)| revoked_entry(serial, revocation)).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = list.signed_by(&self.issuer()).map_err(|_| AuthorityError::NotSigned)?;
        self.register.next_crl += 1;
        Ok(crl.der().to_vec())
    }

    fn check(
        &self,
        request: &VerifiedRequest,
        holder: &ContactCard,
        lifetime: Seconds,
        now: Time,
    ) -> Result<(), AuthorityError> {
        let max = self.register.rules.lifetime_max;
        if request.key_set() != holder.key_set.id() {
            return Err(AuthorityError::OtherKeySet);
        }
        if request.name() != holder.name {
            return Err(AuthorityError::OtherName);
        }
        if lifetime.0 == 0 || lifetime > max {
            return Err(AuthorityError::Lifetime { max });
        }
        if now.after(lifetime) > self.valid_until {
            return Err(AuthorityError::OutlivesAuthority { until: self.valid_until });
        }
        if self.register.issued.len() >= ISSUED_MAX { Err(AuthorityError::Full) } else { Ok(()) }
    }

    fn issuer(&self) -> Issuer<'static, &KeyPair> {
        Issuer::new(authority_params(&self.name), self.key.pair())
    }
}

/// What is the same in the root certificate and in everything that it signs.
fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

fn revoked_entry(serial: Serial, revocation: Revocation) -> RevokedCertParams {
    let reason_code = match revocation.reason {
        // RFC 5280 §5.3.1: the extension is left out rather than saying "unspecified".
        Reason::Unspecified => None,
        Reason::KeyCompromise => Some(RevocationReason::KeyCompromise),
        Reason::AuthorityCompromise => Some(RevocationReason::CaCompromise),
        Reason::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
        Reason::Superseded => Some(RevocationReason::Superseded),
        Reason::Ceased => Some(RevocationReason::CessationOfOperation),
        Reason::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
    };
    RevokedCertParams {
        serial_number: serial_number(serial),
        revocation_time: date_time(revocation.since),
        reason_code,
        invalidity_date: None,
    }
}

fn draw_serial(randomness: &dyn Randomness) -> Result<Serial, CryptoError> {
    let mut bytes = [0; Serial::LEN];
    randomness.fill(&mut bytes)?;
    Ok(Serial::from_random(bytes))
}

fn serial_number(serial: Serial) -> SerialNumber {
    SerialNumber::from_slice(serial.as_bytes())
}

/// The same instant in the type of the certificate library.
fn date_time(time: Time) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::from_secs(time.unix())
}

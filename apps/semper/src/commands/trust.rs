//! Whom the user trusts to say whose key a key is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use semper_core::ids::KeySetId;
use semper_trust::armour::{CERTIFICATE, decode_all};
use semper_trust::path::{Certified, StaleCrl, Trust, is_certificate};
use semper_trust::timestamp::CERTIFICATES_MAX;

use crate::now;

/// Which certification authority to believe.
#[derive(Debug, Args)]
pub(super) struct Trusted {
    /// The certificate of a certification authority whose word on names you take (DER; see `semper ca fetch`)
    #[arg(long, value_name = "FILE", requires = "crl")]
    ca: Option<PathBuf>,
    /// The authority's revocation list (DER)
    #[arg(long, value_name = "FILE", requires = "ca")]
    crl: Option<PathBuf>,
}

impl Trusted {
    /// The trusted authority, if one was given.
    ///
    /// # Errors
    /// A file cannot be read or is not what it should be.
    pub(super) fn read(&self) -> Result<Option<Trust>> {
        let (Some(ca), Some(crl)) = (&self.ca, &self.crl) else {
            return Ok(None);
        };
        let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let mut trust = Trust::new(StaleCrl::Refuse);
        trust.add_anchor(&read(ca)?).with_context(|| format!("{} is not usable", ca.display()))?;
        trust.add_crl(&read(crl)?).with_context(|| format!("{} is not usable", crl.display()))?;
        Ok(Some(trust))
    }
}

/// Whose word on times to believe.
#[derive(Debug, Args)]
pub(super) struct Stampers {
    /// A certificate whose word on times you take: of a time-stamp authority, or of who certified it (PEM or DER); may be given several times
    #[arg(long = "trust", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Stampers {
    /// The certificates, DER.
    ///
    /// # Errors
    /// A file cannot be read or is not what it should be.
    pub(super) fn read(&self) -> Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for file in &self.files {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let der = match std::str::from_utf8(&bytes) {
                // Of a file with a chain, such as an authority gives out, the first is its own: that one is meant, and no other.
                Ok(text) => decode_all(CERTIFICATE, text, 64 * 1024, CERTIFICATES_MAX)
                    .with_context(|| format!("{} is not usable", file.display()))?
                    .swap_remove(0),
                Err(_) => bytes,
            };
            anyhow::ensure!(is_certificate(&der), "{} is no certificate", file.display());
            all.push(der);
        }
        Ok(all)
    }
}

/// What the authority says about a key set, from a pile of certificates in which its own may be.
pub(super) fn name_of(trust: &Trust, certificates: &[Vec<u8>], key_set: KeySetId) -> Option<Certified> {
    // Each may be the holder's own; the issuers of this small authority are anchors.
    certificates.iter().find_map(|own| trust.verify(std::slice::from_ref(own), key_set, now()).ok())
}

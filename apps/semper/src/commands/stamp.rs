//! Having something dated.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use semper_core::imprint::Imprint;
use semper_crypto::SystemRandom;
use semper_support::stamp::CertificateId;

use super::{Common, session};
use crate::control::StampOrder;
use crate::party;
use crate::stamp::{self, StampError};

/// Largest file that is dated, in bytes: it is read into memory.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Have a file, or every signature of a deal, dated by a time-stamp authority (RFC 3161).
///
/// The authority sees a hash and nothing else. It proves that what it dates existed before that time, not who made it.
#[derive(Debug, Args)]
pub(super) struct Stamp {
    /// The file
    #[arg(required_unless_present = "deal", conflicts_with = "deal")]
    file: Option<PathBuf>,
    /// The deal whose signatures are dated, by the beginning of its identifier; the tokens go into its folder
    #[arg(long)]
    deal: Option<String>,
    /// The authority: the address of its service, or a contact [default: tsa in [stamp] of semper.toml]
    #[arg(long, value_name = "URL|CONTACT")]
    tsa: Option<String>,
    /// Where to write the reply with the token, for `openssl ts -verify -in` [default: the file's name with .tsr]
    #[arg(long, value_name = "FILE", conflicts_with = "deal")]
    out: Option<PathBuf>,
    /// Date signatures again that were dated before
    #[arg(long, requires = "deal")]
    again: bool,
}

impl Stamp {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        match (&self.deal, &self.file) {
            (Some(deal), _) => self.stamp_deal(common, deal).await,
            (None, Some(file)) => self.stamp_file(common, file).await,
            (None, None) => bail!("name a file, or a deal with --deal"),
        }
    }

    async fn stamp_deal(&self, common: &Common, deal: &str) -> Result<()> {
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), false).await?;
        let client = session.client();
        let id = client.deal_id(deal).await?;
        let dated = client.stamp(&id, &StampOrder { tsa: self.tsa.clone(), again: self.again }).await?;
        println!("Dated {} signatures of deal {id}; {} had been dated before.", dated.now, dated.before);
        println!("`semper deals export` writes the tokens into the folder.");
        session.end().await
    }

    async fn stamp_file(&self, common: &Common, file: &Path) -> Result<()> {
        let out = match &self.out {
            Some(out) => out.clone(),
            None => PathBuf::from(format!("{}.tsr", file.display())),
        };
        let unreadable = || format!("cannot read {}", file.display());
        if std::fs::metadata(file).with_context(unreadable)?.len() > FILE_BYTES_MAX {
            bail!("{} is larger than {FILE_BYTES_MAX} bytes", file.display());
        }
        let imprint = Imprint::of(&std::fs::read(file).with_context(unreadable)?);
        let home = common.home()?;
        let url = self.url(common).await?;
        let services = party::stamp_services(&home)?;
        let (reply, token) = stamp::ask(&services, &url, imprint, &SystemRandom).await?;
        std::fs::write(&out, reply.der()).with_context(|| format!("cannot write {}", out.display()))?;
        println!("{} existed before {}, says {}.", file.display(), token.before(), token.name());
        println!("SHA-256 of its certificate: {}", CertificateId::of(token.certificate()));
        println!("{}", out.display());
        Ok(())
    }

    /// The address of the authority's service: as it is given, or from the contact book, for which a node is needed.
    async fn url(&self, common: &Common) -> Result<String> {
        let home = common.home()?;
        let configured = || home.config().ok().and_then(|config| config.stamp).map(|stamp| stamp.tsa);
        let tsa = self.tsa.clone().or_else(configured).ok_or(StampError::NoAuthority)?;
        if stamp::is_url(&tsa) {
            return Ok(tsa);
        }
        let session = session::connect(home, common.passphrase_file.as_deref(), false).await?;
        let contacts = session.client().contacts().await?;
        session.end().await?;
        let contact = contacts.into_iter().find(|contact| contact.name == tsa);
        let contact = contact.with_context(|| format!("there is no contact {tsa:?}; see `semper contact list`"))?;
        contact.time_stamps.with_context(|| format!("{tsa} is no time-stamp authority, by its card; give an address"))
    }
}

//! Mandates: what is signed without asking, within limits.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use semper_commerce::mandate::{Mandate, Matter, Scope};
use semper_core::amount::Amount;
use semper_core::cbor::Decode as _;
use semper_core::ids::{KeySetId, StatementId};
use semper_core::text::escape;
use semper_vault::client::{Revoked, UserSide};
use semper_vault::rules::Granted;
use semper_vault::wire::Condition;

use super::credential::moment;
use super::session::Session;
use super::{Common, approve, session};
use crate::control::ApprovalView;
use crate::control::client::Client;
use crate::now;

/// Digits of a mandate's name that are printed where nobody has to type all.
const SHORT: usize = 12;

/// What your keys may sign without asking you: limits that you have signed yourself.
#[derive(Debug, Subcommand)]
pub(super) enum Mandates {
    /// Grant one: shows every limit, and takes your answer
    Add(Box<Add>),
    /// Those in force, what was counted under them, and those that ended in the last 30 days
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The limits of one, as you have signed them
    Show {
        /// Which one, as `semper mandate list` names it
        id: String,
        /// Write the signed statement to a file, for whoever asks what you have allowed
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// End one at once. A vault that runs asks for no passphrase, locked or not
    Revoke {
        /// Which one, as `semper mandate list` names it; its whole name while the vault is locked
        id: String,
    },
}

/// Grant a mandate.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: semper mandate add --what purchase --with bob --process buy/1 --per-deal \"20.00 EUR\" --total \"100.00 EUR\" --until 2026-12-31"
)]
pub(super) struct Add {
    /// What may be signed
    #[arg(long, value_parser = Matter::ALL.map(Matter::name))]
    what: String,
    /// With whom, as your contact book calls them, or the identifier of their key [default: anybody]
    #[arg(long, value_name = "NAME|KEY")]
    with: Option<String>,
    /// Under which arbiter, as your contact book calls them, or the identifier of their key [default: any]
    #[arg(long, value_name = "NAME|KEY")]
    arbiter: Option<String>,
    /// By which process: buy/1, sign/1 … [default: any]
    #[arg(long)]
    process: Option<String>,
    /// Most money for each deal; needed for purchases, payments and accounts
    #[arg(long, value_name = "AMOUNT")]
    per_deal: Option<String>,
    /// Most money in total; needed for purchases, payments and accounts
    #[arg(long, value_name = "AMOUNT")]
    total: Option<String>,
    /// How often at most [default: any number of times]
    #[arg(long, value_name = "TIMES")]
    uses: Option<u64>,
    /// From when on, like 2026-11-21 or 2026-11-21T12:00:00Z [default: now]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Until when: to the end of a day like 2026-12-31, or to a moment like 2026-12-31T12:00:00Z
    #[arg(long, value_name = "DATE")]
    until: String,
    /// Do not ask here: leave the question among the approvals
    #[arg(long)]
    no_ask: bool,
}

impl Mandates {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        // A node is asked for names only; the vault does the rest, and may run alone, or locked.
        let (user, session) = match (&self, UserSide::connect(&common.home()?.vault())) {
            (Mandates::Add(_), _) | (_, Err(_)) => {
                let session = session::connect(common.home()?, common.passphrase_file.as_deref(), false).await?;
                (session.client().vault()?, Some(session))
            }
            (_, Ok(user)) => (user, None),
        };
        match self {
            Mandates::Add(add) => {
                let node = session.as_ref().map(Session::client).context("no node to ask for names")?;
                add.run(node, &user).await?;
            }
            Mandates::List { json: true } => {
                let all: Vec<_> = user.mandates()?.iter().map(json_of).collect();
                println!("{}", serde_json::to_string_pretty(&all)?);
            }
            Mandates::List { json: false } => list(&user.mandates()?),
            Mandates::Show { id, out } => show(&user, &id, out)?,
            Mandates::Revoke { id } => revoke(&user, &id)?,
        }
        match session {
            Some(session) => session.end().await,
            None => Ok(()),
        }
    }
}

impl Add {
    async fn run(self, client: &Client, user: &UserSide) -> Result<()> {
        let no_ask = self.no_ask;
        let mandate = self.mandate(client).await?;
        let id = user.propose(&mandate)?;
        if no_ask {
            println!("Asked: {id}. Answer with `semper approve`; nothing is allowed before that.");
            return Ok(());
        }
        let waits = |approval: &ApprovalView| approval.id == id.to_string();
        if let Some(approval) = client.approvals().await?.into_iter().find(waits) {
            approve::put(client, &approval).await?;
        }
        if user.mandate(id).is_ok() {
            println!("Mandate {id}");
        }
        Ok(())
    }

    async fn mandate(self, client: &Client) -> Result<Mandate> {
        let amount = |text: Option<String>| -> Result<Option<Amount>> {
            text.map(|text| Amount::parse(&text).with_context(|| format!("{text:?}"))).transpose()
        };
        let matter = Matter::parse(&self.what).context("nothing of this name can be allowed")?;
        let peer = key_set(client, self.with).await?;
        let arbiter = key_set(client, self.arbiter).await?;
        let scope = Scope { matter, peer, arbiter, process: self.process, per_deal: amount(self.per_deal)? };
        let (issued, until) = (now(), moment(&self.until, "T23:59:59Z")?);
        let from = self.from.map(|from| moment(&from, "T00:00:00Z")).transpose()?.unwrap_or(issued);
        Ok(Mandate { scope, total: amount(self.total)?, uses: self.uses, from, until, issued })
    }
}

/// The key set that a name or an identifier stands for.
async fn key_set(client: &Client, name: Option<String>) -> Result<Option<KeySetId>> {
    let Some(name) = name else { return Ok(None) };
    if let Some(key_set) = KeySetId::parse(&name) {
        return Ok(Some(key_set));
    }
    let contact = client.contacts().await?.into_iter().find(|contact| contact.name == name);
    let contact = contact.with_context(|| format!("nobody in your contact book is called {name:?}"))?;
    println!("{name} has the key {}", contact.key_set);
    Ok(KeySetId::parse(&contact.key_set))
}

fn list(all: &[Granted]) {
    if all.is_empty() {
        println!("No mandates: whatever binds you is put to you.");
    }
    for granted in all {
        let Granted { id, mandate, counted, .. } = granted;
        let money = mandate.total.map_or_else(String::new, |total| {
            let spent = counted.spent.map_or("nothing".to_owned(), |spent| spent.to_string());
            format!(", {spent} of {total}")
        });
        let times = mandate.uses.map_or_else(String::new, |uses| format!(" of {uses}"));
        println!(
            "{}  {:<9}  {:<15}  {} uses{times}{money}",
            &id.to_string()[..SHORT],
            granted.standing(),
            mandate.scope.matter.name(),
            counted.uses
        );
        let with = mandate.scope.peer.map_or("anybody".to_owned(), |peer| peer.to_string()[..SHORT].to_owned());
        println!("{:SHORT$}  with {with}, until {}", "", mandate.until);
    }
}

fn show(user: &UserSide, start: &str, out: Option<PathBuf>) -> Result<()> {
    let id = find(user, start)?;
    let signed = user.mandate(id)?;
    let mandate = Mandate::from_bytes(signed.payload())?;
    println!("Mandate {id}\n\n{}", mandate.describe());
    if let Some(granted) = user.mandates()?.iter().find(|granted| granted.id == id) {
        let spent = granted.counted.spent.map_or_else(String::new, |spent| format!(", {spent}"));
        println!("Now: {}; counted: {} uses{spent}", granted.standing(), granted.counted.uses);
    }
    if let Some(out) = out {
        std::fs::write(&out, signed.bytes()).with_context(|| format!("cannot write {}", out.display()))?;
        println!("Signed by your key {}: {}", signed.signer(), out.display());
    }
    Ok(())
}

fn revoke(user: &UserSide, start: &str) -> Result<()> {
    let id = find(user, start)?;
    match user.revoke(id)? {
        Revoked::InTheLog => println!("Revoked. What was signed before stays signed."),
        Revoked::WhenUnlocked => {
            println!("The vault is locked: nothing is signed now, and this is done before anything is signed again.");
        }
    }
    Ok(())
}

/// The mandate whose name begins so. While the vault is locked it tells no names.
fn find(user: &UserSide, start: &str) -> Result<StatementId> {
    if let Some(id) = StatementId::parse(start) {
        return Ok(id);
    }
    if user.state()?.condition == Condition::Locked {
        bail!(
            "the vault is locked and lists nothing: give the mandate's whole name, 64 digits, or `semper vault unlock` first"
        );
    }
    let all = user.mandates()?;
    let fitting: Vec<_> = all.iter().filter(|granted| granted.id.to_string().starts_with(start)).collect();
    match fitting.as_slice() {
        [only] => Ok(only.id),
        [] => bail!("no mandate is called {}; see `semper mandate list`", escape(start, 0)),
        _ => bail!("more than one fits; give more of its name, see `semper mandate list`"),
    }
}

fn json_of(granted: &Granted) -> serde_json::Value {
    let Granted { id, mandate, counted, .. } = granted;
    let Mandate { scope, total, uses, from, until, issued } = mandate;
    serde_json::json!({
        "id": id.to_string(),
        "state": granted.standing(),
        "what": scope.matter.name(),
        "with": scope.peer.map(|peer| peer.to_string()),
        "arbiter": scope.arbiter.map(|arbiter| arbiter.to_string()),
        "process": scope.process,
        "per_deal": scope.per_deal.map(|amount| amount.to_string()),
        "total": total.map(|amount| amount.to_string()),
        "uses": uses,
        "from": from.unix(),
        "until": until.unix(),
        "issued": issued.unix(),
        "used": counted.uses,
        "spent": counted.spent.map(|amount| amount.to_string()),
    })
}

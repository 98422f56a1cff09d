//! Backups: made, checked, restored.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use semper_core::time::Time;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Common, ask, session};
use crate::backup::{self, COUNTED_MAX, Found, Goods, Manifest, Taking, Turn};
use crate::control::{BackedOrder, BackupView};
use crate::home::{Home, Role};
use crate::party;

/// Write everything of yours into one file, or check such a file.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write, or with --check to look into
    #[arg(required_unless_present = "status")]
    file: Option<PathBuf>,
    /// Say when the last backup was made, what would be lost with this machine now, and what is not settled after a restore
    #[arg(long, conflicts_with_all = ["file", "check", "with_goods"])]
    status: bool,
    /// Open the file, check all of it, and say what is in it; nothing is changed
    #[arg(long, conflicts_with = "with_goods")]
    check: bool,
    /// What --check or --status says as JSON
    #[arg(long)]
    json: bool,
    /// The goods that you sell and have bought too, which may be large
    #[arg(long)]
    with_goods: bool,
    /// A file with another passphrase for the backup than your own
    #[arg(long, value_name = "FILE")]
    file_passphrase: Option<PathBuf>,
}

/// Make a new data directory from a backup.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The file that `semper backup` has written; --dir says which directory is made
    file: PathBuf,
    /// A file with the backup's passphrase, if it has another one than yours
    #[arg(long, value_name = "FILE")]
    file_passphrase: Option<PathBuf>,
}

impl Backup {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let secret = self.file_passphrase.as_deref().or(common.passphrase_file.as_deref());
        let Some(file) = &self.file else { return status(common, self.json).await };
        if self.check {
            let found = backup::check(file, &ask::passphrase(secret, false)?, &mut progress()).await?;
            return show(&found, self.json);
        }
        let home = common.home()?;
        if home.config()?.role != Role::Party {
            bail!("only a party is backed up so; a third party keeps copies of its directory and its database");
        }
        let own = ask::passphrase(common.passphrase_file.as_deref(), false)?;
        let passphrase = match (&self.file_passphrase, home.token()) {
            (Some(file), _) => long_enough(ask::passphrase(Some(file), false)?)?,
            (None, None) => own.clone(),
            (None, Some(_)) => bail!(
                "your passphrase is the PIN of a token, which protects nothing without the token: give the backup a passphrase of its own with \
                 --file-passphrase. Nothing was written"
            ),
        };
        let found = self.take(file, &home, &own, &passphrase).await?;
        show(&found, self.json)?;
        if !self.json {
            let file = file.display();
            println!("{file} is written and checked. Keep it on another machine, and the passphrase elsewhere.");
        }
        Ok(())
    }

    async fn take(&self, file: &Path, home: &Home, own: &[u8], passphrase: &[u8]) -> Result<Found> {
        if file.exists() {
            return Err(backup::BackupError::Exists(file.to_owned()).into());
        }
        // The passphrase is right, and the keys are let go at once.
        let (key_set, log_key) = {
            let secrets = party::unlock(home, own)?;
            (secrets.key_set().id(), secrets.log_key())
        };
        let turn = Turn::take(home)?;
        let goods = if self.with_goods { Goods::Held } else { Goods::Left };
        let taking = Taking { file, passphrase, key_set, log_key, goods };
        match party::running_client(home).await? {
            Some(client) => {
                client.copy_archive().await?;
                let found = backup::take(&turn, &taking, &mut progress()).await?;
                let purses = found.counts.purse_ids.iter().map(ToString::to_string).collect();
                let (time, deals) = (found.manifest.time.unix(), found.counts.deals);
                client.note_backup(&BackedOrder { time, purses, deals }).await?;
                Ok(found)
            }
            None => {
                let archive = party::open_archive(home, party::COMMANDS_END).await?;
                backup::copy_archive(&archive, home).await?;
                let found = backup::take(&turn, &taking, &mut progress()).await?;
                backup::note(&archive, &found).await?;
                archive.close().await?;
                Ok(found)
            }
        }
    }
}

impl Restore {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let home = common.home()?;
        let secret = self.file_passphrase.as_deref().or(common.passphrase_file.as_deref());
        let passphrase = ask::passphrase(secret, false)?;
        let restored = backup::restore(&self.file, &passphrase, home.dir(), &mut progress()).await?;
        let Manifest { name, time, token, left, .. } = &restored.manifest;
        println!("{name} is restored into {}, as it was on {time}.", home.dir().display());
        if restored.counts.open > 0 {
            println!(
                "{} had not ended. Nothing new is signed for what was agreed before; `semper up` asks the arbiter what became of it.",
                deals(usize::try_from(restored.counts.open).unwrap_or(COUNTED_MAX))
            );
        }
        if restored.vault.declined > 0 {
            println!(
                "{} waited for your answer and is declined: you may have answered since. Order it again.",
                questions(restored.vault.declined)
            );
        }
        if !restored.vault.mandates.is_empty() {
            println!("Your mandates are revoked: nobody knows what they were used for since. Grant them again.");
        }
        if restored.counts.purses > 0 {
            println!(
                "Your purses count again when their mints and banks have said what is in them: `semper up`, then `semper wallet balance`."
            );
        }
        if let Some(token) = token {
            println!("One of your keys is on the token {token:?} and not in the backup: nothing is signed without it.");
        }
        if !left.is_empty() {
            println!("{} of goods were not in the backup.", files(left.len()));
        }
        println!(
            "Never start the directory that the backup was made from again: two that sign for one party contradict each other."
        );
        Ok(())
    }
}

/// What a backup holds, for programs.
#[derive(Serialize)]
struct FoundView<'a> {
    name: &'a str,
    key_set: String,
    /// In seconds since 1970.
    time: u64,
    deals: u64,
    open_deals: u64,
    purses: u64,
    log_entries: u64,
    token: Option<&'a str>,
    parts: Vec<PartView<'a>>,
    left_out: Vec<PartView<'a>>,
}

#[derive(Serialize)]
struct PartView<'a> {
    name: &'a str,
    bytes: u64,
}

fn show(found: &Found, json: bool) -> Result<()> {
    let manifest = &found.manifest;
    let Manifest { name, key_set, time, held, left, entries, token, .. } = manifest;
    if json {
        let view = FoundView {
            name,
            key_set: key_set.to_string(),
            time: time.unix(),
            deals: found.counts.deals,
            open_deals: found.counts.open,
            purses: found.counts.purses,
            log_entries: *entries,
            token: token.as_deref(),
            parts: held.iter().map(|part| PartView { name: &part.name, bytes: part.len }).collect(),
            left_out: left.iter().map(|left| PartView { name: &left.name, bytes: left.len }).collect(),
        };
        println!("{}", serde_json::to_string_pretty(&view)?);
        return Ok(());
    }
    println!("A backup of {name}, made on {time}; the key is {key_set}.");
    println!("  deals            {} ({} had not ended)", found.counts.deals, found.counts.open);
    println!("  purses           {}", found.counts.purses);
    println!("  log of the keys  {entries} entries");
    println!("  parts            {}, every byte as it was written", held.len());
    if !left.is_empty() {
        let bytes: u64 = left.iter().map(|left| left.len).sum();
        println!("  not in it        {} of goods, {bytes} bytes (--with-goods takes them too)", files(left.len()));
    }
    if let Some(token) = token {
        println!("  not in it        the key that is on the token {token:?}");
    }
    Ok(())
}

/// When the last backup was made, what would be lost now, what is not settled after a restore.
async fn status(common: &Common, json: bool) -> Result<()> {
    let session = session::connect(common.home()?, common.passphrase_file.as_deref(), false).await?;
    let standing = session.client().backup().await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&standing)?);
    } else {
        match standing.last {
            Some(last) => println!("The last backup was made on {}.", Time::from_unix(last)),
            None => println!("No backup was ever made."),
        }
        let lines = notice(&standing).into_iter().chain(unsettled(&standing));
        lines.for_each(|line| println!("{line}"));
    }
    session.end().await
}

/// What would be lost with this machine, in one line; nothing if nothing would, or it is not known.
pub(super) fn notice(view: &BackupView) -> Option<String> {
    if !view.is_at_risk() {
        return None;
    }
    let lost = (view.deals > 0).then(|| deals(view.deals)).into_iter().chain(view.money.iter().cloned());
    let lost = lost.collect::<Vec<_>>().join(" and ");
    let since = match view.last {
        None => "Not backed up".to_owned(),
        Some(last) => format!("Not backed up since {}", Time::from_unix(last)),
    };
    Some(format!("{since}: {lost} would be lost with this machine. `semper backup FILE` makes a backup."))
}

/// What is not settled after a restore, in one line.
pub(super) fn unsettled(view: &BackupView) -> Option<String> {
    let restored = view.restored.as_ref()?;
    let from = Time::from_unix(restored.from);
    Some(format!(
        "Restored from the backup of {from}: {} paused until the arbiter has answered (`semper deals list`), {} purses not looked through yet.",
        deals(restored.deals),
        restored.purses
    ))
}

fn deals(count: usize) -> String {
    match count {
        1 => "1 deal".to_owned(),
        COUNTED_MAX.. => format!("{COUNTED_MAX} deals or more"),
        count => format!("{count} deals"),
    }
}

fn questions(count: usize) -> String {
    if count == 1 { "1 question".to_owned() } else { format!("{count} questions") }
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// A passphrase of the backup's own.
fn long_enough(passphrase: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>> {
    let least = party::PASSPHRASE_MIN;
    if passphrase.len() < least {
        bail!("a passphrase has at least {least} bytes; nothing was written");
    }
    Ok(passphrase)
}

/// Says on the terminal how far long work is.
fn progress() -> impl FnMut(&str, u64) {
    let told = std::io::stderr().is_terminal();
    move |part, bytes| {
        if told {
            let part = if part.is_empty() { "checking" } else { part };
            eprintln!("{part}: {} MiB", bytes / (1024 * 1024));
        }
    }
}

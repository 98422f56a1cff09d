//! The holder of the keys, as its user sees it.

use anyhow::{Result, bail};
use clap::Subcommand;
use semper_core::text::escape;
use semper_vault::client::UserSide;
use semper_vault::decisions::{Event, What};
use semper_vault::keys::Token;
use semper_vault::log::LogEntry;
use semper_vault::rules::MandateUse;
use semper_vault::wire::{Condition, State};

use super::{Common, ask};

/// Entries of the log that are asked for at once.
const PAGE: u64 = 64;

/// The holder of your keys: what it was asked and has signed, and whether it does.
#[derive(Debug, Subcommand)]
pub(super) enum Vault {
    /// Whether it signs and takes answers
    State {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give the passphrase: after a long silence, after `lock`, or to a vault that was started by itself
    Unlock,
    /// Forget the keys: nothing is signed and no message is opened before the passphrase is given again. Deals whose time runs out meanwhile
    /// may end badly
    Lock,
    /// What was asked and answered, what was signed, and why; the oldest first
    Log {
        /// As JSON, with the texts
        #[arg(long)]
        json: bool,
    },
}

impl Vault {
    pub(super) fn run(self, common: &Common) -> Result<()> {
        let home = common.home()?;
        home.config()?;
        let Ok(user) = UserSide::connect(&home.vault()) else {
            bail!("no vault runs here; it runs with `semper up`");
        };
        match self {
            Vault::State { json } => say(&user.state()?, home.token().as_ref(), json),
            Vault::Unlock => {
                user.unlock(&ask::passphrase(common.passphrase_file.as_deref(), false)?, None)?;
                println!("Unlocked.");
            }
            Vault::Lock => {
                user.lock()?;
                println!("Locked. `semper vault unlock` opens it again.");
            }
            Vault::Log { json } => return log(&user, json),
        }
        Ok(())
    }
}

fn say(state: &State, token: Option<&Token>, json: bool) {
    let key_set = state.key_set.as_ref().map(|key_set| key_set.id().to_string());
    let label = token.map(|token| &token.label);
    if json {
        let (condition, process) = (state.condition.name(), state.pid);
        println!("{}", serde_json::json!({ "state": condition, "process": process, "key": key_set, "token": label }));
        return;
    }
    match state.condition {
        Condition::Locked => println!("Locked: nothing is signed before `semper vault unlock`."),
        Condition::Idle => {
            println!("Open, but you were away for long: `semper vault unlock` before your next answer.");
            println!("What follows from what you have approved, and what your mandates cover, is signed meanwhile.");
        }
        Condition::Open => println!("Open: it takes your answers."),
    }
    key_set.iter().for_each(|key_set| println!("Key: {key_set}"));
    label.iter().for_each(|label| println!("On the security token {}; its PIN is the passphrase.", escape(label, 0)));
    println!("Process: {}", state.pid);
}

fn log(user: &UserSide, json: bool) -> Result<()> {
    let mut skip = 0;
    loop {
        let page = user.history(skip, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        skip = last.number + 1;
        for entry in &page {
            if json {
                println!("{}", json_of(entry));
            } else {
                println!("{}  {}  {}", entry.number, entry.time, sentence(entry));
            }
        }
    }
}

fn sentence(entry: &LogEntry) -> String {
    let Event { what, statement, text, .. } = &entry.decision.event;
    let about = statement.map_or_else(String::new, |(id, kind)| format!(" {kind} {}", &id.to_string()[..12]));
    let verb = match what {
        What::Asked => "asked about",
        What::Approved => "you approved, signed",
        What::Declined => "you declined",
        What::ByRule => "a rule of your policy covers, signed",
        What::ByMandate => "a mandate of yours covers, signed",
        What::Revoked => "you revoked",
        What::Followed => "follows from what you approved, signed",
        What::Withdrawn => "needed no more",
        What::Unlocked if text.is_empty() => return "unlocked".to_owned(),
        What::Unlocked => return "unlocked, with a policy".to_owned(),
        What::Restored => return format!("restored {text}"),
        What::BroughtOver => return "answers from before the vault had a log".to_owned(),
    };
    let title = entry.decision.question.as_ref().map(|question| format!(": {}", escape(&question.title, 0)));
    let under = used(entry).map(|used| under(&used));
    format!("{verb}{about}{}{}", title.unwrap_or_default(), under.unwrap_or_default())
}

/// The use of a mandate that an entry is.
fn used(entry: &LogEntry) -> Option<MandateUse> {
    entry.decision.facts.iter().find_map(MandateUse::read)
}

/// Which mandate was used, how far, and the limits that were in force.
fn under(used: &MandateUse) -> String {
    let MandateUse { mandate, number, amount, spent, per_deal, total, uses, until, .. } = used;
    let times = uses.map_or_else(String::new, |uses| format!(" of {uses}"));
    let money = match (amount, spent, per_deal, total) {
        (Some(amount), Some(spent), Some(each), Some(total)) => {
            format!(", {amount} of at most {each}; {spent} of {total} are counted")
        }
        _ => String::new(),
    };
    format!(": mandate {}, use {number}{times}{money}, until {until}", &mandate.to_string()[..12])
}

fn json_of(entry: &LogEntry) -> serde_json::Value {
    let Event { what, statement, seen, text } = &entry.decision.event;
    let question = entry.decision.question.as_ref();
    let shown = question.map(|question| question.text.as_str()).or((!text.is_empty()).then_some(text));
    serde_json::json!({
        "number": entry.number,
        "time": entry.time.unix(),
        "what": what.name(),
        "statement": statement.map(|(id, _)| id.to_string()),
        "kind": statement.map(|(_, kind)| kind.name()),
        "deal": question.map(|question| question.deal.to_string()),
        "seen": seen.map(|seen| seen.to_hex()),
        "text": shown,
        "mandate": used(entry).map(|used| serde_json::json!({
            "id": used.mandate.to_string(),
            "use": used.number,
            "amount": used.amount.map(|amount| amount.to_string()),
            "spent": used.spent.map(|amount| amount.to_string()),
            "left": used.left().map(|amount| amount.to_string()),
            "per_deal": used.per_deal.map(|amount| amount.to_string()),
            "total": used.total.map(|amount| amount.to_string()),
            "uses": used.uses,
            "until": used.until.unix(),
        })),
    })
}

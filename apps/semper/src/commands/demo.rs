//! The demonstration: six parties as separate processes, a real file, and what goes wrong.
//!
//! What a user can do is done by the same commands that a user types, run as processes of their own. Only cheating is not: no command
//! does it.

mod contracts;
mod money;
mod sales;
mod stage;
mod stranger;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use sales::Article;
use stage::Stage;

/// See everything at work on this machine, with separate processes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  semper demo\n  semper demo --file thesis.pdf --price \"15.00 EUR\" --dir /tmp/demo"
)]
pub(super) struct Demo {
    /// Keep every party's data and the deal folders in this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The file that is sold [default: a data set made for the purpose]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// What it costs, in EUR
    #[arg(long, value_name = "AMOUNT", default_value = "12.00 EUR")]
    price: String,
}

/// A deal folder that the demonstration leaves, and what it must prove.
type Exhibit = (PathBuf, Proves);

/// What a folder proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proves {
    /// A contract binds both, completed by both or by the arbiter.
    Binding,
    /// A contract binds both, completed by the arbiter.
    Resolved,
    /// The arbiter has aborted a contract.
    Aborted,
    /// The arbiter has found that what the seller gave is not what was promised.
    Fault,
    /// A transfer has an origin and a receipt.
    Mail,
    /// A payment was made.
    Payment,
}

impl Demo {
    pub(super) async fn run(self) -> Result<()> {
        tokio::task::spawn_blocking(move || self.play()).await?
    }

    fn play(self) -> Result<()> {
        let kept = self.dir.is_some();
        let temporary = tempfile::tempdir()?;
        let dir = self.dir.unwrap_or_else(|| temporary.path().to_owned());
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        ensure!(std::fs::read_dir(&dir)?.next().is_none(), "{} is not empty; choose another directory", dir.display());
        let article = Article::new(&dir, self.file, &self.price)?;
        let begun = Instant::now();
        let stage = Stage::set(&dir, article.price)?;
        let paid_in = stage.fund(article.price)?;
        let (mut folders, pending) = stage.sales(&article)?;
        folders.extend(stage.payments()?);
        folders.extend(stage.contracts()?);
        stage.late_money(&pending)?;
        stage.books(paid_in)?;
        stage.stop()?;
        stage.stranger(&folders)?;
        say(&format!("Done in {} s.", begun.elapsed().as_secs()));
        if kept {
            say(&format!("Everything is in {}: a directory for each party, the folders in folders/.", dir.display()));
        }
        Ok(())
    }
}

fn title(text: &str) {
    println!("\n== {text}");
}

fn say(text: &str) {
    println!("   {text}");
}

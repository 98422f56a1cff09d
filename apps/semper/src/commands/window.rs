//! Opening the approval window.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use semper_vault::client::UserSide;
use semper_window::link::{self, LinkError};

use super::Common;
use crate::home::Home;
use crate::vault;

/// Open your approval window in the browser: read what waits for your answer, and answer.
///
/// It runs beside the node with `semper up`. Where only the vault runs, it runs until this command is ended.
#[derive(Debug, Args)]
pub(super) struct Window {
    /// Only print the link; it works once, within ten minutes
    #[arg(long)]
    no_browser: bool,
}

/// How long a window may take until it gives links.
const BEGIN_TIME: Duration = Duration::from_secs(10);
/// How often it is asked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Window {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let home = common.home()?;
        home.config()?;
        UserSide::connect(&home.vault()).context("there is nothing to be approved here")?;
        let (link, own) = open(&home).await?;
        if self.no_browser {
            println!("{link}");
        } else {
            let page = home.write_window(&link)?;
            open::that_detached(&page).context("no browser could be started")?;
            println!("Opened in your browser. If nothing appears there, open {}", page.display());
        }
        if own.is_some() {
            eprintln!("The window stays open until you press Ctrl-C.");
            tokio::signal::ctrl_c().await?;
        }
        Ok(())
    }
}

/// A link into the window that runs; into one of our own if none does.
async fn open(home: &Home) -> Result<(String, Option<vault::Window>)> {
    let until = Instant::now() + BEGIN_TIME;
    let mut own: Option<vault::Window> = None;
    loop {
        match link::ask(&home.vault()) {
            Ok(link) => return Ok((link, own)),
            // One that has ended has found another one, which is about to begin or to end.
            Err(LinkError::NotRunning(_)) if own.as_mut().is_none_or(vault::Window::has_ended) => {
                own = Some(vault::Window::begin(home)?);
            }
            Err(error) => ensure!(Instant::now() < until, error),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

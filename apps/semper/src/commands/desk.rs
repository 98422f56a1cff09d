//! Opening the desk.

use std::io::IsTerminal as _;

use anyhow::{Context, Result};
use clap::Args;

use super::Common;
use crate::control::client::Client;
use crate::home::Home;
use crate::party;

/// Open your desk in the browser: deals, money, offers, contacts.
#[derive(Debug, Args)]
pub(super) struct Desk {
    /// Only print the link; it works once, within ten minutes
    #[arg(long)]
    no_browser: bool,
}

impl Desk {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let home = common.home()?;
        let running = party::running_client(&home).await?;
        let client = running.context("no node runs here; start one with `semper up`, which opens the desk as well")?;
        let link = link(&client).await?;
        if self.no_browser {
            println!("{link}");
            return Ok(());
        }
        browse(&home, &link)?;
        println!("Opened in your browser. If nothing appears there, open {}", home.desk_path().display());
        Ok(())
    }
}

/// Opens the desk for whoever sits before a terminal, and says so.
pub(super) async fn open_for_people(home: &Home, client: &Client) -> Result<()> {
    if !std::io::stdout().is_terminal() {
        return Ok(());
    }
    let link = link(client).await?;
    match browse(home, &link) {
        Ok(()) => println!("Your desk opens in the browser; `semper desk` opens it again."),
        Err(error) => println!("The desk could not be opened in a browser ({error}). Open this link yourself: {link}"),
    }
    Ok(())
}

async fn link(client: &Client) -> Result<String> {
    let view: crate::control::DeskView = client.post("/desk", &()).await?;
    Ok(view.link)
}

/// Opens a page in the data directory that leads to the link: other users of this machine can read the arguments of a process, but not the page.
fn browse(home: &Home, link: &str) -> Result<()> {
    let page = home.write_desk(link)?;
    open::that_detached(&page).context("no browser could be started")
}

//! Opening the desk.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

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
    /// Wait until the node runs
    #[arg(long, hide = true)]
    when_up: bool,
}

/// How long a node may take until it runs.
const UP_TIME: Duration = Duration::from_secs(60);

impl Desk {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let home = common.home()?;
        let mut running = party::running_client(&home).await?;
        let until = Instant::now() + UP_TIME;
        while self.when_up && running.is_none() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(50)).await;
            running = party::running_client(&home).await?;
        }
        let client = running.context("no node runs here; start one with `semper up`, which opens the desk as well")?;
        let link = link(&client).await?;
        if self.no_browser {
            println!("{link}");
            return Ok(());
        }
        match browse(&home, &link) {
            Ok(()) if self.when_up => println!("Your desk opens in the browser; `semper desk` opens it again."),
            Ok(()) => println!("Opened in your browser. If nothing appears there, open {}", home.desk_path().display()),
            Err(error) if self.when_up => {
                println!("The desk could not be opened in a browser ({error}). Open this link yourself: {link}");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Has the desk opened as soon as the node runs, for whoever sits before a terminal. A process of its own does it: a node starts no program.
pub(super) fn open_when_up(home: &Home) -> Result<()> {
    if !std::io::stdout().is_terminal() {
        return Ok(());
    }
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.arg("--dir").arg(home.dir()).args(["desk", "--when-up"]).stdin(std::process::Stdio::null());
    command.spawn().context("the desk cannot be opened")?;
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

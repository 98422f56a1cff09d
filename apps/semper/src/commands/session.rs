//! How a command reaches its party: the node that runs, or one of its own.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use zeroize::Zeroizing;

use super::ask;
use crate::control::client::Client;
use crate::home::{Home, Role};
use crate::party::{self, Running};

/// How long a command waits until what it began is on its way. What waits for somebody who does not answer is not waited for.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// A command's way to the node: the one that runs, or one of its own for as long as the command lasts.
pub(super) struct Session {
    client: Client,
    own: Option<Running>,
}

impl Session {
    /// The connection.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the node is the command's own.
    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Ends the command's own node, if it has one, as soon as what it began is on its way.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub(super) async fn end(self) -> Result<()> {
        let Some(running) = self.own else {
            return Ok(());
        };
        let until = tokio::time::Instant::now() + SETTLE_MAX;
        while running.is_busy().await? && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        running.stop().await;
        Ok(())
    }

    /// Tells the user, before the end, that nothing more comes in if the node is the command's own.
    pub(super) fn remind(&self) {
        if self.own.is_some() {
            println!("No node runs here: what others send waits until you start one with `semper up`.");
        }
    }
}

/// Connects a command to the node of its data directory; starts one for the command if none runs. With `listen` that one takes
/// messages from others.
///
/// # Errors
/// The data directory is not usable, or the passphrase is wrong.
pub(super) async fn connect(home: Home, passphrase_file: Option<&Path>, listen: bool) -> Result<Session> {
    if let Some(client) = party::running_client(&home).await? {
        return Ok(Session { client, own: None });
    }
    let config = home.config()?;
    anyhow::ensure!(
        config.role == Role::Party,
        "this directory belongs to the role {}; it makes no deals",
        config.role.name()
    );
    let passphrase: Zeroizing<Vec<u8>> = ask::passphrase(passphrase_file, false)?;
    let running = Running::start(&home, &passphrase, None, listen).await?;
    let client = running.client()?;
    Ok(Session { client, own: Some(running) })
}

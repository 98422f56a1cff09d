//! How the user's commands get a link into a running window: over a socket beside its pages, for whoever shows the token of the user's side.
//!
//! A node that was taken over may reach the socket, but cannot read the token; so it gets no link, and no session.
//!
//! ```text
//! question = token of the user's side (32)        answer = the link, until the end; nothing for anybody else
//! ```

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use semper_pages::doors::Doors;
use semper_vault::client::{self, CallError};
use semper_vault::serve::is_same_user;
use semper_vault::wire::{TOKEN_LEN, socket_path};
use zeroize::Zeroizing;

use crate::DIR;

/// How long a caller may take. Callers wait for each other.
const CALL_TIME: Duration = Duration::from_secs(1);
/// How long the answer may take, with others before us.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Longest link, in bytes.
const LINK_MAX: u64 = 1024;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// No window runs over this vault.
    #[error("no approval window runs ({0})")]
    NotRunning(#[source] io::Error),
    /// The vault's token cannot be read: no vault runs.
    #[error(transparent)]
    Vault(#[from] CallError),
    /// The window does not know the token: the vault was started anew in between.
    #[error("the approval window gives no link; try again")]
    Refused,
}

/// A link into the window over the vault in `dir`. It opens once, within ten minutes.
///
/// # Errors
/// [`LinkError`].
pub fn ask(dir: &Path) -> Result<String, LinkError> {
    let token = client::token(dir)?;
    let call = || -> io::Result<String> {
        let (path, _dir) = socket_path(&dir.join(DIR))?;
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(ANSWER_TIME))?;
        stream.write_all(&token)?;
        let mut link = String::new();
        stream.take(LINK_MAX).read_to_string(&mut link)?;
        Ok(link)
    };
    let link = call().map_err(LinkError::NotRunning)?;
    if link.is_empty() { Err(LinkError::Refused) } else { Ok(link) }
}

/// Gives links to whoever shows the token of the vault in `dir`, for ever.
pub(crate) fn serve(listener: &UnixListener, dir: &Path, doors: &Arc<Doors>) {
    loop {
        match listener.accept() {
            // Whatever ends a call, the caller sees it.
            Ok((stream, _)) if is_same_user(&stream) => drop(answer(stream, dir, doors)),
            Ok(_) => {}
            // No descriptors left, or something like that.
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn answer(mut stream: UnixStream, dir: &Path, doors: &Doors) -> io::Result<()> {
    stream.set_read_timeout(Some(CALL_TIME))?;
    stream.set_write_timeout(Some(CALL_TIME))?;
    let mut shown = Zeroizing::new([0; TOKEN_LEN]);
    stream.read_exact(&mut *shown)?;
    // It changes with every start of the vault.
    let token = client::token(dir).map_err(io::Error::other)?;
    if verify_slices_are_equal(&*shown, &token).is_err() {
        return Ok(());
    }
    stream.write_all(doors.link().map_err(io::Error::other)?.as_bytes())
}

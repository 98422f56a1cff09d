//! The window as a process: a hidden command of `semper`, always the same program as the one that starts it.
//!
//! ```text
//! semper window-process VAULT
//! ```
//! `VAULT` is the directory of a vault, whose user it serves. It ends when its standard input is closed: by whoever has started it, or by that
//! one's end, whatever brought it. It keeps nothing but picture and phrase; it can be killed at any moment.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use semper_channel::{Server, ServerOptions, Transport};
use semper_crypto::SystemRandom;
use semper_pages::doors::{Doors, House};
use semper_support::crypto::CryptoError;
use semper_vault::confine;
use semper_vault::process::wait_for_the_end_of_input;
use semper_vault::serve::{listen, private_dir};

use crate::us::{Us, UsError};
use crate::window::Window;
use crate::{DIR, link};

/// The command of `semper` that runs it.
pub const COMMAND: &str = "window-process";
/// The exit code that says that another window runs over this vault.
pub const IN_USE: u8 = 4;
/// The exit code that says that the window cannot run.
const ENVIRONMENT: u8 = 3;
/// The exit code that says that the arguments are none.
const BAD_INPUT: u8 = 2;
/// The file that is locked while a window runs.
const LOCK: &str = "lock";

/// Whose doors the window's are.
const HOUSE: House = House {
    name: "window",
    command: "semper window",
    opening: "window-opening",
    first: "window-first",
    closed: "window-closed",
};

/// Why a window does not run.
#[derive(Debug, thiserror::Error)]
enum ProcessError {
    #[error("another window runs over this vault")]
    InUse,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Us(#[from] UsError),
    #[error(transparent)]
    Random(#[from] CryptoError),
    #[error(transparent)]
    Confine(#[from] confine::ConfineError),
    #[error(transparent)]
    Serve(#[from] semper_channel::ServeError),
}

/// Runs a window until the process ends. `arguments` are those after the command.
pub fn main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (Some(vault), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: semper {COMMAND} VAULT");
        return BAD_INPUT.into();
    };
    match run(&PathBuf::from(vault)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever starts a window looks for the one that runs.
        Err(ProcessError::InUse) => IN_USE.into(),
        Err(error) => {
            eprintln!("semper: the approval window cannot run: {error}");
            ENVIRONMENT.into()
        }
    }
}

fn run(vault: &Path) -> Result<(), ProcessError> {
    let dir = vault.join(DIR);
    private_dir(&dir)?;
    let lock = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(ProcessError::InUse),
        Err(fs::TryLockError::Error(error)) => return Err(error.into()),
    }
    let (pages, links) = (TcpListener::bind("127.0.0.1:0")?, listen(&dir)?);
    // Threads that run already would keep what is given up here.
    let confinement = confine::window(vault, &dir)?;
    if !confinement.is_whole() {
        eprintln!("semper: the approval window can do more than it needs: {confinement}");
    }
    let us = Us::open(&dir, &SystemRandom)?;
    let doors = Arc::new(Doors::new(HOUSE, pages.local_addr()?.port(), Box::new(SystemRandom))?);
    let window = Window::new(vault.to_owned(), us, doors.clone(), &SystemRandom)?;
    let (watching, vault) = (window.clone(), vault.to_owned());
    std::thread::spawn(move || watching.watch());
    std::thread::spawn(move || link::serve(&links, &vault, &doors));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _entered = runtime.enter();
    let _server = Server::start(pages, window.routes(), Transport::Plain, &ServerOptions::default())?;
    wait_for_the_end_of_input();
    runtime.shutdown_background();
    Ok(())
}

//! The vault as a process: `semper-vault`, or a hidden command of `semper` where that program is not installed.
//!
//! ```text
//! semper-vault --vault DIR [--for-one-process] [--idle SECONDS]
//! semper-vault --build
//! ```
//! It starts locked; `semper up` or `semper vault unlock` brings the passphrase. `--for-one-process` ends it when its standard input is
//! closed: by whoever has started it, or by that one's end, whatever brought it. It can be killed at any moment: what was answered is in
//! the log.

use std::io::{self, Read as _};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use semper_crypto::Sealer;

use crate::serve::{Bound, ServeError, Settings, Span};
use crate::{confine, keys};

/// What this program is built from, in one word: version and hash of the sources. Two programs with the same one sign by the same rules.
pub const BUILD: &str = env!("SEMPER_VAULT_BUILD");
/// The argument that asks for it.
pub const BUILD_ARGUMENT: &str = "--build";
/// The exit code that says that another process serves the vault.
pub const IN_USE: u8 = 4;
/// The exit code that says that the vault cannot be served.
const ENVIRONMENT: u8 = 3;
/// The exit code that says that the arguments are none.
const BAD_INPUT: u8 = 2;
/// The name of the key file in the vault's directory.
const KEYS: &str = "keys";

const USAGE: &str = "\
semper-vault holds the keys of a party: it shows what is to be signed, asks, signs, and keeps a log.

usage: semper-vault --vault DIR [--for-one-process] [--idle SECONDS]
       semper-vault --build

  --vault DIR          the directory `vault` in a party's data directory
  --for-one-process    end when the standard input is closed
  --idle SECONDS       how long after the passphrase or an answer the next answer needs no passphrase [default: 900]
  --build              say what it is built from

It starts locked. `semper vault unlock` brings the passphrase, `semper approve` the answers.";

/// What the process is told on its command line.
#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    dir: PathBuf,
    idle: Duration,
    span: Span,
}

/// The vault over the key file in `dir`, bound and not served yet.
///
/// # Errors
/// [`ServeError`].
pub fn bind(dir: &Path, settings: Settings) -> Result<Bound, ServeError> {
    let systems = semper_payment::judges(Arc::new(Sealer)).into();
    Bound::at(dir, keys::at(&dir.join(KEYS))?, systems, settings)
}

/// Serves a vault until the process ends. `arguments` are those after the program's name.
pub fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if arguments == [BUILD_ARGUMENT] {
        println!("{BUILD}");
        return ExitCode::SUCCESS;
    }
    let Some(arguments) = Arguments::read(arguments) else {
        eprintln!("{USAGE}");
        return BAD_INPUT.into();
    };
    let owner = match arguments.span {
        Span::OneProcess => parent_id(),
        Span::Lasting => std::process::id(),
    };
    let bound = match bind(&arguments.dir, Settings { idle: arguments.idle, span: arguments.span, owner }) {
        Ok(bound) => bound,
        Err(error @ ServeError::InUse(_)) => {
            // Whoever starts a vault for itself tries again.
            if arguments.span == Span::Lasting {
                eprintln!("semper-vault: {error}");
            }
            return IN_USE.into();
        }
        Err(error) => {
            eprintln!("semper-vault: {error}");
            return ENVIRONMENT.into();
        }
    };
    match confine::vault(&arguments.dir, bound.needs()) {
        Ok(confinement) if confinement.is_whole() => {}
        Ok(confinement) => eprintln!("semper-vault: {confinement}"),
        Err(error) => {
            eprintln!("semper-vault: {error}");
            return ENVIRONMENT.into();
        }
    }
    let _serving = bound.serve();
    match arguments.span {
        Span::OneProcess => wait_for_the_end_of_input(),
        Span::Lasting => loop {
            std::thread::park();
        },
    }
    ExitCode::SUCCESS
}

/// Returns when standard input ends, or cannot be read: the process that started this one has gone. What arrives is dropped.
pub fn wait_for_the_end_of_input() {
    let mut input = io::stdin().lock();
    let mut dropped = [0; 64];
    loop {
        match input.read(&mut dropped) {
            Ok(0) => return,
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
            _ => {}
        }
    }
}

impl Arguments {
    fn read(arguments: Vec<String>) -> Option<Self> {
        let (mut dir, mut settings) = (None, Settings { span: Span::Lasting, ..Settings::default() });
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--vault" => dir = Some(PathBuf::from(arguments.next()?)),
                "--idle" => settings.idle = Duration::from_secs(arguments.next()?.parse().ok()?),
                "--for-one-process" => settings.span = Span::OneProcess,
                _ => return None,
            }
        }
        Some(Self { dir: dir?, idle: settings.idle, span: settings.span })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(line: &str) -> Option<Arguments> {
        Arguments::read(line.split_whitespace().map(str::to_owned).collect())
    }

    // A misread argument would serve another vault, or one that never goes idle.
    #[test]
    fn arguments_are_read_or_refused() {
        let told = read("--vault /a/b --idle 60 --for-one-process").unwrap();
        let expected = Arguments { dir: "/a/b".into(), idle: Duration::from_secs(60), span: Span::OneProcess };
        assert_eq!(told, expected);
        let usual = read("--vault /a/b").unwrap();
        assert_eq!((usual.span, usual.idle), (Span::Lasting, Duration::from_secs(900)));
        for bad in ["", "--vault", "--idle 5", "--vault /a --idle x", "--vault /a --idel 5", "/a"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}

//! Asking in the terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::{Context, Result, bail};
use zeroize::Zeroizing;

/// Asks until the user types `yes` or `no` in full; the end of the input is no answer.
///
/// # Errors
/// The input ended: nothing was decided.
pub(super) fn typed(question: &str, yes: &str) -> Result<bool> {
    let mut lines = std::io::stdin().lock().lines();
    loop {
        print!("{question}");
        std::io::stdout().flush()?;
        let Some(line) = lines.next() else {
            bail!("no answer was given; nothing was signed, and the question still waits (see `semper approvals`)");
        };
        match line?.trim() {
            answer if answer.eq_ignore_ascii_case(yes) => return Ok(true),
            answer if answer.eq_ignore_ascii_case("no") => return Ok(false),
            _ => {}
        }
    }
}

/// The passphrase, from a file or the terminal. `fresh` asks twice.
///
/// # Errors
/// The file cannot be read, there is no terminal, or the two do not agree.
pub(super) fn passphrase(file: Option<&Path>, fresh: bool) -> Result<Zeroizing<Vec<u8>>> {
    let first = secret(file, "Passphrase: ")?;
    if fresh && file.is_none() {
        let second = Zeroizing::new(rpassword::prompt_password("Once more: ")?);
        if *first != second.as_bytes() {
            bail!("the two passphrases differ; nothing was made");
        }
    }
    Ok(first)
}

/// The PIN of a security token, which it has already, from a file or the terminal.
///
/// # Errors
/// As [`passphrase`].
pub(super) fn pin(file: Option<&Path>, label: &str) -> Result<Zeroizing<Vec<u8>>> {
    secret(file, &format!("PIN of the token {label:?}: "))
}

fn secret(file: Option<&Path>, prompt: &str) -> Result<Zeroizing<Vec<u8>>> {
    if let Some(file) = file {
        let mut text = Zeroizing::new(std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
        while text.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            text.pop();
        }
        return Ok(text);
    }
    if !std::io::stdin().is_terminal() {
        bail!("a passphrase is needed: give its file with --passphrase-file or SEMPER_PASSPHRASE_FILE");
    }
    let typed = Zeroizing::new(rpassword::prompt_password(prompt)?);
    Ok(Zeroizing::new(typed.as_bytes().to_vec()))
}

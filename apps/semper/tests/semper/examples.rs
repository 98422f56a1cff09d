//! The examples run as they stand.

use std::path::Path;
use std::process::Command;

/// Runs an example as `cargo test` has built it. Asking cargo here would build everything once more, for other features.
fn run(name: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_semper")).parent().unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is not built: run `cargo build -p semper --examples`", program.display());
    let output = Command::new(program).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {text}");
    text
}

#[test]
fn a_contract_is_signed() {
    let text = run("contract");
    // Both have read the contract, which names the file.
    assert_eq!(text.matches("bicycle.txt").count(), 2, "{text}");
    assert!(text.contains("Signed. Alice's proof has"), "{text}");
}

#[test]
fn a_file_is_sold() {
    let text = run("purchase");
    assert!(text.contains("Bob has 12.00 EUR."), "{text}");
}

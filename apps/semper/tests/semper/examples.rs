//! The examples run as they stand.

use std::process::Command;

fn run(name: &str) -> String {
    let output =
        Command::new(env!("CARGO")).args(["run", "--quiet", "--package", "semper", "--example", name]).output();
    let output = output.unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {text}");
    text
}

#[test]
fn a_contract_is_signed() {
    let text = run("contract");
    assert!(text.contains("one bicycle") || text.contains("bicycle.txt"), "{text}");
    assert!(text.contains("Signed. Alice's proof has"), "{text}");
}

#[test]
fn a_file_is_sold() {
    let text = run("purchase");
    assert!(text.contains("Bob has 12.00 EUR."), "{text}");
}

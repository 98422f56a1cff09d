#![allow(clippy::unwrap_used)]

use std::path::Path;

use clap::CommandFactory as _;

use super::*;

/// What stands before a command that somebody is told to type; or it begins a line.
const BEFORE: [&str; 5] = ["`", "Example:", "Examples:", "\\n", "&&"];
/// What ends it. A `\` goes before a line's end and before a quotation mark, in a string of a program.
const AFTER: [&str; 4] = ["`", "#", "&&", "\\n"];

/// The commands that a text names, from the word after `semper` on, each with the number of its line.
fn commands(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for (place, name) in line.match_indices("semper ") {
            let before = line[..place].trim_end();
            if before.is_empty() || BEFORE.iter().any(|mark| before.ends_with(mark)) {
                let rest = &line[place + name.len()..];
                let end = AFTER.iter().filter_map(|mark| rest.find(mark)).min().unwrap_or(rest.len());
                found.push((number, &rest[..end]));
            }
        }
    }
    found
}

/// What is wrong with a command: a word or an option that is none.
fn fault(root: &clap::Command, command: &str) -> Option<String> {
    let mut words = command.split_whitespace();
    let mut at = root;
    while at.has_subcommands() {
        let word = words.next().unwrap_or_default();
        match at.find_subcommand(word) {
            Some(next) => at = next,
            None if !at.is_subcommand_required_set() => break,
            None => return Some(format!("{} has no command {word:?}", at.get_name())),
        }
    }
    let known = |name: &str| root.get_arguments().chain(at.get_arguments()).any(|arg| arg.get_long() == Some(name));
    let options = words.filter_map(|word| word.strip_prefix("--"));
    let mut names = options.map(|option| option.trim_end_matches(|c: char| !c.is_ascii_lowercase()));
    names.find(|name| !known(name)).map(|name| format!("{} has no option --{name}", at.get_name()))
}

fn files(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
}

// What could go wrong: a message advises a command that was renamed, and its reader learns that there is none. Commands that are put together
// from parts are not seen here.
#[test]
fn every_command_that_is_named_exists() {
    let root = Cli::command();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = vec![here.join("../../README.md")];
    files(&here.join("src"), "rs", &mut all);
    files(&here.join("../../docs"), "md", &mut all);
    let (mut seen, mut faults) = (0, Vec::new());
    // Here are some that do not exist.
    for path in all.iter().filter(|path| !path.ends_with("commands/tests.rs")) {
        let text = std::fs::read_to_string(path).unwrap();
        for (line, command) in commands(&text) {
            seen += 1;
            faults.extend(fault(&root, command).map(|fault| format!("{}:{line}: {fault}", path.display())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 100, "only {seen} commands were found");
}

// The twin that must fail: a command and an option that there are not, in each place where one is read.
#[test]
fn a_command_that_does_not_exist_is_found() {
    let root = Cli::command();
    let faults =
        |text: &str| commands(text).iter().filter_map(|(_, command)| fault(&root, command)).collect::<Vec<_>>();
    for good in ["add one with `semper wallet add`", "semper up", "Example: semper sell a.csv --price \\\"1.00 EUR\\\""]
    {
        assert_eq!(commands(good).len(), 1, "{good}");
        assert!(faults(good).is_empty(), "{good}");
    }
    for bad in [
        "open one with `semper wallet open`",
        "semper down",
        "a && semper wallet",
        "Example: semper sell --prize",
        "Examples:\\n  semper demo --no-such-option",
    ] {
        assert_eq!(faults(bad).len(), 1, "{bad}");
    }
}

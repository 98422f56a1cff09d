//! The demonstration runs through and leaves what it promises.

use std::path::Path;

use crate::world::World;

/// What is usually asked about a deal, each question by its most telling word: Proven, Refuted or Undecided.
fn answers(world: &World, folder: &Path) -> String {
    let words = ["bind", "deliver", "get", "promised", "pay", "paid", "back"];
    let answer = |(question, outcome): (String, String)| {
        let asked = |word: &&&str| question.split(|c: char| !c.is_alphabetic()).any(|part| part == **word);
        let word = words.iter().find(asked).unwrap_or_else(|| panic!("{question}"));
        format!("{word} {}", outcome[..1].to_uppercase())
    };
    world.answers(&[folder]).into_iter().map(answer).collect::<Vec<_>>().join(", ")
}

// The demonstration is the first thing that a user sees. It checks itself; here: that it ends well, that all its folders are there
// and pass a second look without the authority, and that it never writes into a directory that holds something.
#[test]
fn it_runs_once_into_one_directory() {
    let world = World::new();
    let dir = world.path("demo");
    let stage = dir.display().to_string();
    let text = world.run("nobody", &["demo", "--dir", &stage]).good();
    assert!(text.contains("Done in"), "{text}");
    for (name, expected) in [
        ("1-purchase", "bind P, deliver P, get P, promised P, pay P"),
        ("2-garbage", "bind R, deliver R, get U, promised R, pay R, back P"),
        ("3-silent-seller", "bind P, deliver P, get P, promised U, pay U"),
        ("4-silent-buyer", "bind P, deliver P, get U, promised U, pay U"),
        ("5-power-cut", "bind P, deliver P, get P, promised P, pay P"),
        ("6-ecash", "paid P"),
        ("7-account", "paid P"),
        ("8-contract", "bind P"),
        ("9-contract-silent", "bind P"),
        ("10-contract-aborted", "bind R"),
        ("11-contract-killed", "bind P"),
        ("12-mail", "get P"),
    ] {
        let folder = dir.join(format!("folders/{name}.semper"));
        assert_eq!(world.report(&folder)["sound"], true, "{name}");
        assert_eq!(answers(&world, &folder), expected, "{name}");
    }
    world.verify(&dir.join("folders/altered.semper")).failed_with(&["REFUSED"]);
    world.run("nobody", &["demo", "--dir", &stage]).failed_with(&["is not empty; choose another directory"]);
}

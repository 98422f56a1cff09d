//! The demonstration runs through and leaves what it promises.

use crate::world::World;

// The demonstration is the first thing that a user sees. It checks itself; here: that it ends well, that all its folders are there
// and pass a second look without the authority, and that it never writes into a directory that holds something.
#[test]
fn it_runs_once_into_one_directory() {
    let world = World::new();
    let dir = world.path("demo");
    let stage = dir.display().to_string();
    let text = world.run("nobody", &["demo", "--dir", &stage]).good();
    assert!(text.contains("Done in"), "{text}");
    for name in [
        "1-purchase",
        "2-garbage",
        "3-silent-seller",
        "4-silent-buyer",
        "5-power-cut",
        "6-ecash",
        "7-account",
        "8-contract",
        "9-contract-silent",
        "10-contract-aborted",
        "11-contract-killed",
        "12-mail",
    ] {
        let folder = dir.join(format!("folders/{name}.semper"));
        assert_eq!(world.report(&folder)["sound"], true, "{name}");
    }
    world.verify(&dir.join("folders/altered.semper")).failed_with(&["REFUSED"]);
    world.run("nobody", &["demo", "--dir", &stage]).failed_with(&["is not empty; choose another directory"]);
}

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
    for name in ["1-honest", "2-silent", "3-aborted", "4-killed", "5-mail"] {
        let folder = dir.join(format!("folders/{name}.semper"));
        assert_eq!(world.report(&folder)["sound"], true, "{name}");
    }
    world.verify(&dir.join("folders/altered.semper")).failed_with(&["REFUSED"]);
    world.run("nobody", &["demo", "--dir", &stage]).failed_with(&["is not empty; choose another directory"]);
}

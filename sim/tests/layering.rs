//! The arrows between crates: a lower layer never sees a higher one, a module never another module, nothing sees `apps` or `sim`,
//! and no I/O stands below `modules/`.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// What a layer must not see, directly or through others: runtimes, sockets, files, clocks.
const IO: &[&str] = &["tokio", "sqlx", "reqwest", "axum", "hyper", "rustls", "mio", "rusqlite", "socket2", "aws-lc-rs"];

/// Where a crate stands in the house, by its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Layer(u8),
    Module,
    /// Holds the keys: the program above it sees it, it sees no program.
    Vault,
    /// Shows what the vault asks: it sees the vault, and not the node.
    Window,
    App,
    Sim,
}

fn place(package: &Package, root: &str) -> Place {
    let path = package.manifest_path.as_str().strip_prefix(root).unwrap().trim_start_matches('/');
    match path.split('/').collect::<Vec<_>>()[..] {
        ["layers", layer, ..] => Place::Layer(layer.as_bytes()[0] - b'0'),
        ["modules", ..] => Place::Module,
        ["apps", "vault", ..] => Place::Vault,
        ["apps", "window", ..] => Place::Window,
        ["apps", ..] => Place::App,
        ["sim", ..] => Place::Sim,
        _ => panic!("{path} stands in no room of the house"),
    }
}

fn may_see(from: Place, to: Place) -> bool {
    match (from, to) {
        (Place::Layer(from), Place::Layer(to)) => to < from,
        (Place::Module, Place::Layer(_)) => true,
        (Place::Vault, Place::Layer(_) | Place::Module) => true,
        (Place::Window, Place::Layer(_) | Place::Module | Place::Vault) => true,
        (Place::App, Place::Layer(_) | Place::Module | Place::Vault | Place::Window) => true,
        (Place::Sim, to) => !matches!(to, Place::App | Place::Vault | Place::Window),
        _ => false,
    }
}

#[test]
fn arrows_point_down() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let root = metadata.workspace_root.as_str();
    let places: BTreeMap<_, _> = metadata.packages.iter().map(|p| (p.name.to_string(), place(p, root))).collect();
    assert!(places.values().filter(|place| matches!(place, Place::Layer(_))).count() >= 5, "{places:?}");
    for package in &metadata.packages {
        let from = places[&package.name.to_string()];
        for dependency in &package.dependencies {
            // Tests of a module may use another module; what ships may not.
            let Some(to) = places.get(&dependency.name).filter(|_| dependency.kind == DependencyKind::Normal) else {
                continue;
            };
            assert!(may_see(from, *to), "{} ({from:?}) must not see {} ({to:?})", package.name, dependency.name);
        }
    }
}

// Attack 18: under an AEAD that does not commit to its key, one ciphertext opens to two contents under two keys, and nobody can say which was sold.
// Content is therefore enciphered without one, and hashed; what could bring one back is kept out of the room.
#[test]
fn non_committing_aead() {
    const AEADS: &[&str] =
        &["aead", "aes-gcm", "chacha20poly1305", "aes-gcm-siv", "ascon-aead", "aws-lc-rs", "hpke", "age"];
    let metadata = MetadataCommand::new().exec().unwrap();
    let sees = |name: &str| {
        let package = metadata.packages.iter().find(|package| package.name.as_str() == name).unwrap();
        shipped(&metadata, &package.id).into_iter().filter(|name| AEADS.contains(&name.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(sees("semper-exchange"), Vec::<String>::new());
    assert!(!sees("semper-crypto").is_empty(), "the search finds none anywhere");
}

#[test]
fn no_io_below_the_modules() {
    let metadata = MetadataCommand::new().exec().unwrap();
    let root = metadata.workspace_root.as_str();
    let layers = metadata.workspace_packages().into_iter().filter(|p| matches!(place(p, root), Place::Layer(_)));
    for layer in layers {
        for name in shipped(&metadata, &layer.id) {
            assert!(!IO.contains(&name.as_str()), "{} must not see {name}, directly or through others", layer.name);
        }
    }
}

/// What ships with a crate: it and all that it needs, directly or through others, and not for its tests alone.
fn shipped(metadata: &Metadata, of: &PackageId) -> BTreeSet<String> {
    let nodes: BTreeMap<_, _> = metadata.resolve.as_ref().unwrap().nodes.iter().map(|n| (&n.id, n)).collect();
    let (mut seen, mut open) = (BTreeSet::new(), vec![of]);
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let normal = nodes[id].deps.iter().filter(|d| d.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal));
            open.extend(normal.map(|dependency| &dependency.pkg));
        }
    }
    seen.into_iter().map(|id| metadata[id].name.to_string()).collect()
}

// Whoever holds the keys reads no HTTP, has no runtime and no database: there is less in it that can be made to do something else. Asked of
// Cargo as it builds that one program, not the whole workspace, where others want more of the same crates.
#[test]
fn the_vault_reads_no_network() {
    const KEPT_OUT: &[&str] = &["axum", "http", "hyper", "reqwest", "rustls", "sqlx", "tokio", "tower"];
    let of = |package: &str| {
        let mut command = std::process::Command::new(env!("CARGO"));
        command.args(["tree", "--locked", "--prefix", "none", "--edges", "normal", "--package", package]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let names = text.lines().filter_map(|line| line.split(' ').next());
        names.filter(|name| KEPT_OUT.contains(name)).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(of("semper-vault"), BTreeSet::new());
    assert_eq!(of("semper").len(), KEPT_OUT.len(), "the search does not find them where they are");
}

// The rules must be able to fail.
#[test]
fn a_forbidden_arrow_is_noticed() {
    assert!(!may_see(Place::Layer(1), Place::Layer(3)));
    assert!(!may_see(Place::Layer(3), Place::Module));
    assert!(!may_see(Place::Module, Place::Module));
    assert!(!may_see(Place::Module, Place::App));
    assert!(!may_see(Place::Vault, Place::App));
    assert!(!may_see(Place::Vault, Place::Window));
    assert!(!may_see(Place::Window, Place::App));
    assert!(!may_see(Place::App, Place::Sim));
}

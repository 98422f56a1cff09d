//! Gives the vault a name for the sources that it is built from: two programs that hold keys by the same rules have the same one.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher as _;
use std::path::Path;

/// What decides about a signature, and about what is shown before: seen from this folder.
const SOURCES: [&str; 5] = ["src", "../../layers", "../../modules/crypto", "../../modules/payment", "../../services"];

fn main() {
    let mut hasher = DefaultHasher::new();
    for folder in SOURCES {
        println!("cargo::rerun-if-changed={folder}");
        add(&mut hasher, Path::new(folder));
    }
    println!("cargo::rustc-env=SEMPER_VAULT_BUILD={}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish());
}

/// Adds the files under a path, in the order of their names. What cannot be read is left out, and makes another name.
fn add(hasher: &mut DefaultHasher, path: &Path) {
    if let Ok(entries) = fs::read_dir(path) {
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths.iter().for_each(|path| add(hasher, path));
    } else if let Ok(bytes) = fs::read(path) {
        hasher.write(path.as_os_str().as_encoded_bytes());
        hasher.write(&bytes);
    }
}

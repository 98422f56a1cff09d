//! What could go wrong: a directory from before loses what its keys have signed when it gets a vault, or gets half a vault.
#![allow(clippy::unwrap_used)]

use semper_core::hash::Digest;
use semper_core::ids::Cid;
use semper_support::archive::{Commit, Fact};

use super::*;
use crate::home::{Config, Role};
use crate::party;

const PASSPHRASE: &[u8] = b"only for tests";

fn fact(space: &str, byte: u8, len: usize) -> Fact {
    Fact { space: space.to_owned(), key: vec![byte; 32], value: vec![byte; len] }
}

/// A party's directory as it was before there were vaults, with as many facts of each kind.
async fn former(dir: &Path, each: u8) -> Home {
    let home = Home::at(Some(dir.join("alice"))).unwrap();
    let config = Config::new("Alice".to_owned(), Role::Party, "127.0.0.1:0".parse().unwrap(), None, None);
    party::create(&home, config, PASSPHRASE).unwrap();
    std::fs::rename(home.vault().join("keys"), home.dir().join("keys")).unwrap();
    std::fs::remove_dir(home.vault()).unwrap();
    let archive = SqliteArchive::open(home.archive()).await.unwrap();
    let facts = (0..each).flat_map(|byte| FORMER_SPACES.map(|space| fact(space, byte, 4000))).collect();
    let foreign = vec![fact("verdict", 1, 1)];
    archive.commit(Commit { facts: [facts, foreign].concat(), ..Commit::default() }).await.unwrap();
    archive.close().await.unwrap();
    home
}

async fn check(home: &Home, each: u8) {
    let secrets = Secrets::reveal(PASSPHRASE, &home.keys().unwrap()).unwrap();
    let log = Log::open(&home.vault().join("log"), &secrets.log_key()).unwrap();
    for space in FORMER_SPACES {
        for byte in 0..each {
            assert_eq!(log.fact(space, &[byte; 32]).await.unwrap(), Some(vec![byte; 4000]), "{space} {byte}");
        }
    }
    assert_eq!(log.fact("verdict", &[1; 32]).await.unwrap(), None, "that is the node's");
    let history = log.history(0, 1000).unwrap();
    let facts: usize = history.iter().map(|entry| entry.decision.facts.len()).sum();
    assert_eq!(facts, FORMER_SPACES.len() * usize::from(each), "something is there twice");
    assert!(!home.dir().join("keys").exists(), "the keys are in two places");
}

async fn bring(home: &Home, passphrase: &'static [u8]) -> Result<()> {
    let home = home.clone();
    tokio::task::spawn_blocking(move || bring_over(&home, passphrase)).await.unwrap()
}

#[tokio::test]
async fn a_directory_from_before_gets_its_vault_once() {
    let dir = tempfile::tempdir().unwrap();
    // More than are read at once.
    let each = u8::try_from(PAGE).unwrap() + 3;
    let home = former(dir.path(), each).await;
    assert!(bring(&home, b"wrong passphrase").await.is_err());
    assert!(home.dir().join("keys").exists() && !home.vault().exists(), "it is as it was");
    for _ in 0..2 {
        bring(&home, PASSPHRASE).await.unwrap();
        check(&home, each).await;
    }
}

// The power fails in the middle: before the vault has its name, and between that and the removal of the former keys.
#[tokio::test]
async fn a_power_failure_leaves_no_half_a_vault() {
    let dir = tempfile::tempdir().unwrap();
    let home = former(dir.path(), 3).await;
    let new = home.dir().join("vault.new");
    std::fs::create_dir(&new).unwrap();
    std::fs::write(new.join("log"), b"half a log").unwrap();
    std::fs::write(new.join("keys"), b"half the keys").unwrap();
    let keys = std::fs::read(home.dir().join("keys")).unwrap();
    bring(&home, PASSPHRASE).await.unwrap();
    check(&home, 3).await;
    std::fs::write(home.dir().join("keys"), keys).unwrap();
    bring(&home, PASSPHRASE).await.unwrap();
    check(&home, 3).await;
}

// What was approved before is approved after: the vault goes on with the contract.
#[tokio::test]
async fn a_vault_knows_what_was_approved_before() {
    let dir = tempfile::tempdir().unwrap();
    let home = former(dir.path(), 2).await;
    let held = {
        let home = home.clone();
        let held = move || {
            bring_over(&home, PASSPHRASE)?;
            Held::here(&home, PASSPHRASE, None, Duration::ZERO)
        };
        tokio::task::spawn_blocking(held).await.unwrap().unwrap()
    };
    let keys = held.keys().key_set();
    let abort = |byte| {
        let promise = StatementId::from_digest(Digest::from_array([9; 32]));
        let cid = Cid::from_digest(Digest::from_array([byte; 32]));
        let abort = semper_exchange::arbiter::request::Abort { cid, slot: semper_core::ids::Slot::default(), promise };
        let draft = semper_core::cose::Statement::draft(&abort, keys.suite(), keys.id());
        let deal = semper_core::ids::DealId::from_array([byte; 16]);
        SignRequest { deal, draft, exhibit: semper_support::approval::Exhibit::Consequence }
    };
    assert!(matches!(held.keys().request(abort(1)).await.unwrap(), Answer::Signed(_)));
    assert!(matches!(held.keys().request(abort(7)).await, Err(ApprovalError::Forbidden(_))), "nobody approved that");
}

//! An inbox over `https`, with a certificate of an authority of the user's own.

use std::net::TcpListener;

use crate::world::World;

/// Bob's inbox is at an `https` address. Alice believes the authority in `anchors`.
fn world(anchors: impl Fn(&str) -> String) -> World {
    let world = World::new();
    world.init("arbiter", &["--role", "arbiter"]);
    world.init("alice", &[]);
    let listen = TcpListener::bind((world.ip(), 0)).unwrap().local_addr().unwrap().to_string();
    world.init("bob", &["--listen", &listen, "--address", &format!("https://{listen}")]);
    let own = rcgen::generate_simple_self_signed([world.ip().to_owned()]).unwrap();
    let certificate = world.file("bob.pem", own.cert.pem());
    let key = world.file("bob.key", own.signing_key.serialize_pem());
    let anchors = world.file("anchors.pem", anchors(&own.cert.pem()));
    world.configure("bob", |config| {
        let tls = [("certificate".to_owned(), certificate.into()), ("key".to_owned(), key.into())];
        config.insert("tls".to_owned(), toml::Table::from_iter(tls).into());
    });
    world.configure("alice", |config| {
        config.insert("anchors".to_owned(), anchors.into());
        config.insert("retry_max".to_owned(), 1.into());
    });
    world.acquaint();
    world
}

#[test]
fn an_inbox_with_a_certificate_takes_messages() {
    let world = world(str::to_owned);
    let (_alice, _bob) = (world.up("alice"), world.up("bob"));
    let deal = world.propose(&[]);
    assert_eq!(world.ending("alice", &deal), "success");
    assert_eq!(world.ending("bob", &deal), "success");
}

// Twin: if any certificate were taken, whoever sits in between could stand in for the inbox.
#[test]
fn a_certificate_of_a_foreign_authority_is_not_believed() {
    let foreign = |_: &str| rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.pem();
    let world = world(foreign);
    let (_alice, _bob) = (world.up("alice"), world.up("bob"));
    let deal = world.propose(&[]);
    let view = world.wait("alice", &deal, "trouble", |view| view["trouble"].is_string());
    let trouble = view["trouble"].as_str().unwrap();
    assert!(trouble.contains("certificate"), "{trouble}");
    assert!(view["ending"].is_null(), "{view:#}");
    assert!(world.deal("bob", &deal).is_null(), "Bob got it");
}

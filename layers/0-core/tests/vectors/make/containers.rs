//! Containers and their acknowledgements.

use super::*;

pub(super) fn containers() -> Vec<Json> {
    let none = Attributes::default;
    let parties = |ns: &[u8]| ns.iter().map(|n| key_set(*n).id()).collect::<BTreeSet<KeySetId>>();
    let message = Container::message([1; 16], "Grüße", none()).unwrap();
    let file = Information::new("data set.csv", "text/csv", b"a,b\n1,2\n".to_vec()).unwrap();
    let file_hash = file.hash();
    let outer = Attributes {
        confidential: true,
        anonymity: Anonymity::Sender,
        fairness: Fairness::Strong,
        third_parties: parties(&[3, 4]),
        ..none()
    };
    let inner = Attributes {
        anonymity: Anonymity::Both,
        origin: true,
        ack: AckWanted::Signed,
        submission: true,
        time_stamp: true,
        third_parties: parties(&[3]),
        ..none()
    };
    let leaves = vec![
        Node::leaf(inner, Leaf::Information(file)),
        Node::leaf(none(), Leaf::Statement(sign(1, &promise(None)))),
        Node::branch(
            none(),
            vec![Node::leaf(none(), Leaf::Credential(vec![0x30, 0])), Node::leaf(none(), Leaf::Money(vec![1, 2]))],
        ),
    ];
    let tree = Container::new([2; 16], Node::branch(outer, leaves)).unwrap();
    let signed = Attributes { origin: true, ack: AckWanted::Signed, ..none() };
    let signed = Container::message([3; 16], "please confirm", signed).unwrap();
    let facts = |container: &Container| json!({ "id": container.id().to_string() });
    let statement = ContainerStatement { container: signed.id() }.to_bytes();
    let taken =
        Ack { container: signed.id(), disposition: Disposition::Accepted, time: Time::from_unix(1_795_246_200) };
    let refused = Ack { disposition: Disposition::Refused("too late".to_owned()), ..taken.clone() }.to_bytes();
    let taken = taken.to_bytes();
    let (message_bytes, signed_bytes) = (message.to_bytes(), signed.to_bytes());
    let leaf = |key: u64, value: Value| {
        inside(&message_bytes, 2, |node| {
            let Some(Value::Map(mut leaf)) = node.remove(2_u64) else { panic!("no leaf") };
            leaf.insert(key, value);
            node.insert(2_u64, leaf);
        })
    };
    let named = |name: &str| leaf(2, Value::text(name));
    let asked = |key: u64, value: Value| {
        inside(&signed_bytes, 2, |node| {
            let Some(Value::Map(mut attributes)) = node.remove(0_u64) else { panic!("no attributes") };
            attributes.insert(key, value);
            node.insert(0_u64, attributes);
        })
    };
    let mut tower = message.root().clone();
    for _ in 0..6 {
        tower = Node::branch(none(), vec![tower]);
    }
    let id = |n: u8| Value::bytes([n; 32]);
    vec![
        good_with(
            "container-message",
            "container",
            "one text message that asks for nothing",
            &message_bytes,
            facts(&message),
        ),
        good_with(
            "container-signed",
            "container",
            "a message that asks for origin and a signed acknowledgement",
            &signed_bytes,
            facts(&signed),
        ),
        good_with(
            "container-tree",
            "container",
            "a tree with every kind of leaf and attribute",
            &tree.to_bytes(),
            json!({ "id": tree.id().to_string(), "information": file_hash.to_hex() }),
        ),
        good("container-statement", "container-statement", "\"I sent this container\"", &statement),
        good("ack-accepted", "ack", "\"I took this container\"", &taken),
        good("ack-refused", "ack", "\"I did not take this container\"", &refused),
        bad("container-wrong-version", "container", "version 2", &with(&message_bytes, 0, 2_u64)),
        bad("container-unknown-field", "container", "field 3", &with(&message_bytes, 3, true)),
        bad("container-nonce", "container", "a nonce of 15 bytes", &with(&message_bytes, 1, Value::bytes([1; 15]))),
        bad("container-path", "container", "a file name that is a path", &named("../x")),
        bad("container-backslash", "container", "a file name that is a path on Windows", &named("..\\x")),
        bad("container-drive", "container", "a file name that names a drive or stream on Windows", &named("c:x")),
        bad("container-dots", "container", "the file name ..", &named("..")),
        bad("container-no-name", "container", "an empty file name", &named("")),
        bad("container-control", "container", "a line break in a file name", &named("a\nb")),
        bad("container-bidi", "container", "a file name that turns the reading direction", &named("txt.\u{202e}exe")),
        bad("container-long-name", "container", "a file name of 256 bytes", &named(&"x".repeat(256))),
        bad("container-media-type", "container", "not a media type", &leaf(3, Value::text("text"))),
        bad("container-leaf-kind", "container", "a kind of leaf that there is not", &leaf(0, Value::text("goods"))),
        bad(
            "container-empty-attributes",
            "container",
            "attributes that ask for nothing are written",
            &inside(&message_bytes, 2, |n| n.insert(0_u64, Map::new())),
        ),
        bad("container-false", "container", "a flag that is false is written", &asked(0, Value::Bool(false))),
        bad("container-ack-0", "container", "a code for the default is written", &asked(3, Value::Uint(0))),
        bad("container-ack-3", "container", "a code that there is not", &asked(3, Value::Uint(3))),
        bad(
            "container-no-parties",
            "container",
            "an empty list of third parties is written",
            &asked(7, Value::Array(Vec::new())),
        ),
        bad(
            "container-party-order",
            "container",
            "third parties out of order",
            &asked(7, Value::Array(vec![id(2), id(1)])),
        ),
        bad(
            "container-empty-branch",
            "container",
            "a branch without nodes",
            &inside(&message_bytes, 2, |node| {
                node.remove(2_u64);
                node.insert(1_u64, Vec::new());
            }),
        ),
        bad(
            "container-branch-and-leaf",
            "container",
            "a node that is branch and leaf",
            &inside(&message_bytes, 2, |node| node.insert(1_u64, Vec::new())),
        ),
        bad("container-deep", "container", "seven levels", &with(&message_bytes, 2, tower.to_value())),
        bad("ack-disposition", "ack", "neither accepted nor refused", &with(&taken, 2, "perhaps")),
        bad("ack-reason", "ack", "accepted, with a reason for refusing", &with(&taken, 3, "but")),
    ]
}

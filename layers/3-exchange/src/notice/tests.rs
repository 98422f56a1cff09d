//! What could go wrong: a notice is read otherwise than it was written, says nothing, deceives whoever reads it, or is taken for one about a
//! contract that its signer has no part in.
#![allow(clippy::unwrap_used)]

use semper_core::container::{Attributes, Node};
use semper_core::hash::Digest;

use super::*;

fn withdrawal() -> Saying {
    Saying::Withdrawal { name: "Alice".to_owned(), channel: "alice@example.org".to_owned() }
}

fn dispute() -> Saying {
    Saying::Dispute {
        claims: vec!["faulted(originator)".parse().unwrap()],
        relief: "my money back".to_owned(),
        amount: Some(Amount::parse("12.00 EUR").unwrap()),
        answer_by: Time::from_unix(2000),
    }
}

fn answer(how: How) -> Saying {
    Saying::Answer { to: ContainerId::from_digest(Digest::from_array([9; 32])), how }
}

fn notice(saying: Saying) -> Notice {
    Notice {
        deal: DealId::from_array([1; 16]),
        cid: Cid::from_digest(Digest::from_array([2; 32])),
        part: Slot(0),
        to: KeySetId::from_digest(Digest::from_array([3; 32])),
        title: "one bicycle".to_owned(),
        time: Time::from_unix(1000),
        saying,
        words: "I have changed my mind.\nThank you.".to_owned(),
    }
}

fn sayings() -> Vec<Saying> {
    How::ALL.into_iter().map(answer).chain([withdrawal(), dispute()]).collect()
}

fn container(files: Vec<Information>) -> Container {
    let parts = files.into_iter().map(|file| Node::leaf(Attributes::default(), Leaf::Information(file)));
    Container::new([7; 16], Node::branch(Attributes::default(), parts.collect())).unwrap()
}

#[test]
fn a_notice_is_read_as_it_was_written() {
    for saying in sayings() {
        for (part, words) in [(0, "words"), (3, "")] {
            let notice = Notice { part: Slot(part), words: words.to_owned(), ..notice(saying.clone()) };
            assert_eq!(Notice::from_bytes(&notice.to_bytes()).unwrap(), notice);
            let file = notice.information().unwrap();
            assert_eq!(Notice::of(&container(vec![file])), Ok(Some(notice)));
        }
    }
}

// A field that nobody reads, a text that is not what it seems, a dispute without content, an answer that is due before the question.
#[test]
fn what_is_not_in_order_is_refused() {
    let good = notice(dispute());
    let with = |saying| Notice { saying, ..good.clone() };
    let due = |time| Saying::Dispute {
        claims: Vec::new(),
        relief: "x".to_owned(),
        amount: None,
        answer_by: Time::from_unix(time),
    };
    let empty =
        Saying::Dispute { claims: Vec::new(), relief: String::new(), amount: None, answer_by: Time::from_unix(2000) };
    let many = Saying::Dispute {
        claims: vec!["faulted(originator)".parse().unwrap(); CLAIMS_MAX + 1],
        relief: String::new(),
        amount: None,
        answer_by: Time::from_unix(2000),
    };
    let named = |name: &str| Saying::Withdrawal { name: name.to_owned(), channel: String::new() };
    for (why, bad) in [
        ("no title", Notice { title: String::new(), ..good.clone() }),
        ("a title that turns round", Notice { title: "a\u{202e}b".to_owned(), ..good.clone() }),
        ("a title of two lines", Notice { title: "a\nb".to_owned(), ..good.clone() }),
        ("a long title", Notice { title: "x".repeat(LINE_MAX + 1), ..good.clone() }),
        ("long words", Notice { words: "x".repeat(WORDS_MAX + 1), ..good.clone() }),
        ("no name", with(named(""))),
        ("a name of two lines", with(named("a\nb"))),
        ("due at once", with(due(1000))),
        ("nothing claimed or wanted", Notice { words: String::new(), saying: empty, ..good.clone() }),
        ("too many claims", with(many)),
    ] {
        assert!(bad.check().is_err(), "{why}");
        assert!(bad.information().is_err(), "{why}");
        assert!(Notice::from_bytes(&bad.to_bytes()).is_err(), "{why}");
    }
    assert!(with(due(1001)).check().is_ok());
    let Value::Map(mut map) = good.to_value() else { panic!("a notice is a map") };
    map.insert(99_u64, true);
    assert!(Notice::from_value(Value::Map(map)).is_err());
}

#[test]
fn a_container_holds_one_notice_at_most() {
    let file = notice(withdrawal()).information().unwrap();
    let other = Information::new("a.txt", "text/plain", b"a".to_vec()).unwrap();
    let broken = Information::new("notice.cbor", MEDIA_TYPE, b"a".to_vec()).unwrap();
    assert_eq!(Notice::of(&container(vec![other.clone()])), Ok(None));
    assert!(Notice::of(&container(vec![other, file.clone()])).unwrap().is_some());
    assert!(Notice::of(&container(vec![file.clone(), file])).is_err());
    assert!(Notice::of(&container(vec![broken])).is_err());
}

// Whoever reads it must see every word of it, and no line that it does not have.
#[test]
fn everything_in_a_notice_is_shown() {
    let words = "first\n  contract    0000\u{202e}";
    let shown = Notice { words: words.to_owned(), ..notice(dispute()) }.to_string();
    for part in
        ["dispute", "one bicycle", "faulted(originator)", "my money back", "12.00 EUR", "1970-01-01 00:33:20 UTC"]
    {
        assert!(shown.contains(part), "{part:?} is not in: {shown}");
    }
    assert!(shown.contains("| first") && shown.contains("0000\\u{202e}"), "{shown}");
    let withdrawn = notice(withdrawal()).to_string();
    assert!(withdrawn.contains("I withdraw") && withdrawn.contains("alice@example.org"), "{withdrawn}");
}

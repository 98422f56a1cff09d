//! Notices about contracts, before they are signed. What could go wrong: somebody withdraws without having read so, or the policy for mail signs it.

use semper_core::container::{Ack, Disposition};
use semper_exchange::notice::{MEDIA_TYPE, Notice, Saying};

use super::*;
use crate::sheet::Verb;

/// A notice about the contract [`cid`] in a container, and what else is in it.
fn told(saying: Saying, more: Option<Information>) -> Container {
    let to = KeySetId::from_digest(Digest::from_array([3; 32]));
    let (title, words) = ("one bicycle".to_owned(), "for good\n  known  yes".to_owned());
    let (deal, time) = (DealId::from_array([1; 16]), Time::from_unix(1000));
    let notice = Notice { deal, cid: cid(), part: Slot(0), to, title, time, saying, words };
    let files = [notice.information().unwrap()].into_iter().chain(more);
    let leaf = |file| Part::leaf(Attributes::default(), Leaf::Information(file));
    Container::new([1; 16], Part::branch(Attributes::default(), files.map(leaf).collect())).unwrap()
}

// Whoever signs that it withdraws must read that, and from what, and with whom; nothing may sign it unasked, whatever the policy says of mail.
#[tokio::test]
async fn a_notice_is_shown_in_words_and_never_signed_unasked() {
    let policy = Policy::parse("[[allow]]\nwhat = \"mail\"\n\n[[allow]]\nwhat = \"acknowledgement\"\n").unwrap();
    let (vault, archive) = vault_with(Purpose::Party, Some(policy));
    let me = vault.key_set();
    let asked = |container: &Container, ack: bool| {
        let id = container.id();
        let draft = match ack {
            true => Ack { container: id, disposition: Disposition::Accepted, time: Time::from_unix(9) }
                .draft(me.suite(), me.id()),
            false => ContainerStatement { container: id }.draft(me.suite(), me.id()),
        };
        let exhibit = Exhibit::Container { container: container.to_bytes() };
        vault.request(SignRequest { deal: DealId::from_array([2; 16]), draft, exhibit })
    };
    let withdrawal = || Saying::Withdrawal { name: "Alice".to_owned(), channel: String::new() };
    let withdrawn = told(withdrawal(), None);
    assert_eq!(asked(&withdrawn, false).await.unwrap(), Answer::Waiting);
    let question = vault.waiting().await.unwrap().remove(0);
    for part in [
        "I withdraw from the contract: one bicycle",
        &cid().to_string(),
        "YOU HAVE NOT SIGNED this contract",
        "| for good",
        "Whether it ends the contract, the law says.",
    ] {
        assert!(question.text.contains(part), "{part:?} is not in: {}", question.text);
    }
    assert_eq!(question.text.matches("\n  known ").count(), 1, "its words pass for ours: {}", question.text);
    let sheet = &question.sheet;
    assert_eq!(
        (sheet.verb, sheet.what.as_str(), sheet.checked),
        (Verb::Withdraw, "one bicycle", Some(*cid().digest()))
    );
    assert_eq!(sheet.who.len(), 1);
    assert_eq!(question.title, "Withdraw from this contract?");
    // That it has come may be signed as the policy says; mail that tells nothing, too.
    assert!(matches!(asked(&withdrawn, true).await.unwrap(), Answer::Signed(_)));
    let file = || Information::new("a.txt", "text/plain", b"a".to_vec()).unwrap();
    let plain = Part::leaf(Attributes::default(), Leaf::Information(file()));
    assert!(matches!(asked(&Container::new([2; 16], plain).unwrap(), false).await.unwrap(), Answer::Signed(_)));
    // A contract that these keys have signed.
    archive.commit(Commit { facts: vec![fact(APPROVED, cid(), b"")], ..Commit::default() }).await.unwrap();
    let dispute = Saying::Dispute {
        claims: Vec::new(),
        relief: "my money back".to_owned(),
        amount: None,
        answer_by: Time::from_unix(2000),
    };
    assert_eq!(asked(&told(dispute, Some(file())), false).await.unwrap(), Answer::Waiting);
    let waiting = vault.waiting().await.unwrap();
    let disputed = waiting.iter().find(|question| question.sheet.verb == Verb::Dispute).unwrap();
    assert!(
        disputed.text.contains("you have signed this contract") && disputed.text.contains("- a.txt"),
        "{}",
        disputed.text
    );
    assert_eq!(disputed.sheet.until, Some(Time::from_unix(2000)));
    // What only says that it is a notice is signed by nobody as one.
    let broken = Information::new("notice.cbor", MEDIA_TYPE, b"a".to_vec()).unwrap();
    let broken = Container::new([3; 16], Part::leaf(Attributes::default(), Leaf::Information(broken))).unwrap();
    assert!(matches!(asked(&broken, false).await, Err(ApprovalError::Mismatch(_))));
    assert!(matches!(asked(&broken, true).await.unwrap(), Answer::Signed(_)));
}

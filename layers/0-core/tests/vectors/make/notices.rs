//! What a party of a contract tells the other one about it.

use semper_core::ids::ContainerId;

use super::*;

/// Notices from party 1 to party 2 and back, about one contract.
pub(super) fn notices() -> Vec<Json> {
    let cid = Cid::from_digest(Digest::from_array([2; 32]));
    let container = ContainerId::from_digest(Digest::from_array([9; 32]));
    let written = Time::from_unix(1_795_240_000);
    let due = Time::from_unix(1_796_449_600);
    let euros = Amount::new(1200, Currency::parse("EUR").unwrap()).unwrap();
    let notice = |to: u8, saying: Value| {
        record()
            .put(0, 1_u64)
            .put_item(1, &DealId::from_array([1; 16]))
            .put_item(2, &cid)
            .put_item(4, &key_set(to).id())
            .put(5, "measurements.csv")
            .put_item(6, &written)
            .put(7, saying)
    };
    let withdrawal = record().put(0, "withdrawal").put(1, "Alice").put(2, "by post").build();
    let withdrawal = notice(2, withdrawal).put(8, "I have changed my mind.").build().encode();
    // "faulted(originator)"
    let claim = record().put(0, "did").put(1, "originator").put(2, "faulted").build();
    let dispute = record().put(0, "dispute").put(1, vec![claim]).put(2, "my money back");
    let dispute = dispute.put_item(3, &euros).put_item(4, &due).build();
    let dispute = notice(2, dispute).put(3, 2_u64).build().encode();
    let answer = record().put(0, "answer").put_item(1, &container).put(2, "deny").build();
    let answer = notice(1, answer).build().encode();
    vec![
        good("notice-withdrawal", "notice", "the sender withdraws, and wants that acknowledged by post", &withdrawal),
        good(
            "notice-dispute",
            "notice",
            "the file is not what was promised; about the third part of a contract",
            &dispute,
        ),
        good("notice-answer", "notice", "the answer to a dispute denies it", &answer),
    ]
}

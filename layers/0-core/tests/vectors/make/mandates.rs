//! What a party lets its keys sign without asking.

use super::*;

/// Mandates of party 2: for purchases from party 1 under party 3, and for receipts.
pub(super) fn mandates() -> Vec<Json> {
    const HOLDER: u8 = 2;
    let euros = |minor| Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap();
    let (from, until) = (Time::from_unix(1_795_240_000), Time::from_unix(1_798_800_000));
    let dated = |record: Record| record.put_item(8, &from).put_item(9, &until).put_item(10, &from).build().encode();
    let purchase = record()
        .put(0, 1_u64)
        .put(1, "purchase")
        .put_item(2, &key_set(1).id())
        .put_item(3, &key_set(3).id())
        .put(4, "buy/1")
        .put_item(5, &euros(200))
        .put_item(6, &euros(400))
        .put(7, 10_u64);
    let purchase = dated(purchase);
    let receipts = dated(record().put(0, 1_u64).put(1, "acknowledgement"));
    let draft = |payload: &[u8]| Draft {
        kind: Kind::Mandate,
        suite: Suite::Ed25519,
        signer: key_set(HOLDER).id(),
        payload: payload.to_vec(),
    };
    let signed = assemble(HOLDER, draft(&purchase));
    vec![
        good_with(
            "mandate-purchase",
            "mandate",
            "purchases from one party under one arbiter, 2 euros each, 4 in total, 10 times at most",
            &purchase,
            json!({ "statement": draft(&purchase).id().to_string() }),
        ),
        good("mandate-receipts", "mandate", "receipts for whatever comes, any number of times", &receipts),
        good("mandate-signed", "signed", "the first of them, signed", signed.bytes()),
    ]
}

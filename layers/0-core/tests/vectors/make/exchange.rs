//! Messages of transfer and exchange, requests to arbiters and their answers.

use super::*;

/// Messages of the layers above, as their encoders write them.
pub(super) fn exchange() -> Vec<Json> {
    let core = contract();
    let (cid, slot) = (core.cid(), Slot::default());
    let first = sign(1, &promise(None));
    let second = sign(2, &promise(Some(first.id())));
    let promises = [first.id(), second.id()];
    let container =
        Container::message([3; 16], "please confirm", Attributes { origin: true, ..Attributes::default() }).unwrap();
    let origin = sign(1, &ContainerStatement { container: container.id() });
    let ack = sign(
        2,
        &Ack { container: container.id(), disposition: Disposition::Accepted, time: Time::from_unix(1_795_246_200) },
    );
    let start = || record().put(0, 1_u64);
    let with = |signed: &Signed, handed: &[u8], payout: &[u8]| {
        record().put_item(0, signed).put_bytes(1, handed).put_bytes(2, payout).build()
    };
    let promised = || vec![with(&first, &[], &[]), with(&second, &[], &[])];
    let about = || start().put_item(1, &cid).put_item(2, &slot);
    let time = Time::from_unix(1_795_240_000);
    let abort = about().put_item(3, &first.id()).build().encode();
    let resolve = about().put_list(3, &promises).put_item(4, &Role::RESPONDER).build().encode();
    let raw = |party: u8, kind: Kind, payload: &[u8]| {
        assemble(party, Draft { kind, suite: Suite::Ed25519, signer: key_set(party).id(), payload: payload.to_vec() })
    };
    let question = raw(2, Kind::Resolve, &resolve);
    let verdict = about()
        .put(3, "resolved")
        .put_list(4, &[question.id(), first.id(), second.id()])
        .put(5, Vec::new())
        .put_item(6, &time)
        .put(7, 0_u64)
        .build()
        .encode();
    let revoked = about()
        .put(3, "revoked")
        .put_list(4, &[question.id(), first.id(), second.id()])
        .put(5, Vec::new())
        .put_item(6, &time)
        .put(7, 0_u64)
        .build()
        .encode();
    let condition = || {
        record()
            .put_item(0, &Digest::from_array([7; 32]))
            .put_item(1, &key_set(3).id())
            .put_item(2, &Time::from_unix(1_797_832_000))
            .put_item(3, &key_set(1).id())
            .build()
    };
    let closed = about().put(3, "closed-unused").put_item(4, &question.id()).put_item(6, &time).build().encode();
    let request = start()
        .put_item(1, &core)
        .put_list(2, &[key_set(1), key_set(2)])
        .put(3, promised())
        .put_item(4, &question)
        .put_bytes(5, [])
        .put_bytes(6, [])
        .build()
        .encode();
    let said = raw(3, Kind::Verdict, &verdict);
    let answer = |said: &Signed, promises: Vec<Value>| start().put_item(1, said).put(2, promises);
    let resolved = answer(&said, promised()).put_bytes(7, []).build().encode();
    let silent = answer(&raw(3, Kind::Status, &closed), Vec::new()).put_bytes(7, []).build().encode();
    let authorised = answer(&said, promised()).put_bytes(7, [0xa0]).build().encode();
    let complaint = about().put_item(3, &Role::RESPONDER).put_item(4, &Digest::from_array([5; 32])).build().encode();
    let settlement = about()
        .put_item(3, &Role::ORIGINATOR)
        .put(4, "payee")
        .put_item(5, &Digest::from_array([6; 32]))
        .build()
        .encode();
    let closing = about()
        .put(3, "fault")
        .put_list(4, &[question.id()])
        .put_item(5, &said.id())
        .put_item(6, &time)
        .put(7, 1_u64)
        .put_item(8, &Role::ORIGINATOR)
        .build()
        .encode();
    let fault = about()
        .put(3, "fault")
        .put_list(4, &[question.id(), first.id(), second.id()])
        .put(5, Vec::new())
        .put_item(6, &time)
        .put(7, 0_u64)
        .put_item(8, &Role::ORIGINATOR)
        .build()
        .encode();
    let piece = record().put(0, "core").put_bytes(1, core.to_bytes()).put_item(2, &time).build();
    let contents = || {
        record()
            .put(0, "semper-folder")
            .put(1, 1_u64)
            .put_item(2, &DealId::from_array([1; 16]))
            .put(3, vec![piece.clone()])
    };
    let hash = Digest::of(semper_core::domain::FOLDER, &contents().build().encode());
    let folder = contents().put_item(4, &hash).build().encode();
    let last = sign(1, &Final { cid, role: Role::ORIGINATOR, promises, slot: Slot::default() });
    let quittance = sign(1, &Quittance { cid, role: Role::ORIGINATOR });
    let gx = |kind: &str, what: Value| start().put(1, kind).put(2, what).build().encode();
    vec![
        good(
            "tx-container",
            "tx-message",
            "a container with the sender's statement",
            &start().put(1, "container").put_bytes(2, container.to_bytes()).put_item(3, &origin).build().encode(),
        ),
        good("tx-ack", "tx-message", "its acknowledgement", &start().put(1, "ack").put_item(3, &ack).build().encode()),
        good(
            "gx-promise",
            "gx-message",
            "message 1 where signatures are exchanged",
            &gx("promise", with(&first, &[], &[])),
        ),
        good(
            "gx-promise-money",
            "gx-message",
            "message 2 with a token",
            &gx("promise", with(&second, &[0xa1, 0xa2], &[])),
        ),
        good("gx-final", "gx-message", "message 3 where signatures are exchanged", &gx("final", with(&last, &[], &[]))),
        good(
            "gx-final-item",
            "gx-message",
            "message 3 with an item",
            &gx("final", with(&last, &[0xa1, 0xa2], &[0xa3])),
        ),
        good(
            "gx-quittance",
            "gx-message",
            "the originator has the money",
            &start().put(1, "quittance").put_item(4, &quittance).build().encode(),
        ),
        good(
            "gx-decline",
            "gx-message",
            "a refusal to sign",
            &start().put(1, "decline").put(3, "too expensive").build().encode(),
        ),
        good(
            "lx-promise",
            "lx-message",
            "a promise where one hash locks what is exchanged",
            &gx("promise", with(&first, &[0xa1, 0xa2], &[])),
        ),
        good(
            "lx-preimage",
            "lx-message",
            "message 3: the preimage",
            &start().put(1, "preimage").put_bytes(4, PREIMAGE).build().encode(),
        ),
        good(
            "lx-decline",
            "lx-message",
            "a refusal to go on",
            &start().put(1, "decline").put(3, "too expensive").build().encode(),
        ),
        good("price-arbiter", "price", "money that an arbiter decides over", &price("arbiter")),
        good("price-hash", "price", "money that a hash decides over", &price("hash")),
        good(
            "price-transfer",
            "price",
            "money that is paid by plain transfer",
            &record()
                .put(0, 1_u64)
                .put_item(1, &amount("12.00 EUR"))
                .put(2, "account")
                .put(3, "https://bank.example")
                .build()
                .encode(),
        ),
        good(
            "transfer-deposit",
            "transfer-deposit",
            "its deposit, with a request that nobody can read",
            &start().put_item(1, &raw(2, Kind::PaymentRequest, &[0xa0])).put_bytes(2, [0x2e; 32]).build().encode(),
        ),
        good(
            "hands-deposit",
            "hands-deposit",
            "the deposit of money through the arbiter's hands, with requests that nobody can read",
            &start()
                .put_item(1, &raw(2, Kind::PaymentRequest, &[0xa0]))
                .put_item(2, &raw(1, Kind::PaymentRequest, &[0xa0]))
                .put_bytes(3, [0x2e; 32])
                .build()
                .encode(),
        ),
        good(
            "money-deposit",
            "money-deposit",
            "the payload of a deposit: the token a1 a2",
            &start()
                .put_item(1, &cid)
                .put_item(2, &Role::RESPONDER)
                .put_item(3, &Digest::of(semper_core::domain::TOKEN, &[0xa1, 0xa2]))
                .build()
                .encode(),
        ),
        good(
            "hands-answer",
            "hands-answer",
            "the arbiter's answer to the resolve request in the place of an inquiry, with a request and a receipt that nobody can read",
            &start()
                .put_list(1, &[raw(3, Kind::PaymentRequest, &[0xa0]), raw(3, Kind::PaymentRequest, &[0xa1, 0, 0])])
                .put_list(2, &[raw(3, Kind::PaymentReceipt, &[0xa0])])
                .put_item(3, &raw(3, Kind::Verdict, &verdict))
                .put_bytes(5, [0xa1, 0xa2])
                .put_item(6, &question.id())
                .build()
                .encode(),
        ),
        good(
            "lock-deposit-arbiter",
            "lock-deposit",
            "its deposit, with the arbiter's key",
            &lock_deposit().put_bytes(3, [0xa3]).build().encode(),
        ),
        good(
            "lock-deposit-hash",
            "lock-deposit",
            "its deposit, with the hash of 32 bytes 2b",
            &lock_deposit().put_bytes(5, Sha256::digest(PREIMAGE)).build().encode(),
        ),
        good("arbiter-abort", "abort", "the payload of a request to abort", &abort),
        good("arbiter-resolve", "resolve", "the payload of a request to resolve", &resolve),
        good(
            "arbiter-resolve-paid",
            "resolve",
            "the same by who has paid by plain transfer",
            &about()
                .put_list(3, &[first.id(), second.id()])
                .put_item(4, &Role::ORIGINATOR)
                .put_item(5, &Digest::from_array([7; 32]))
                .build()
                .encode(),
        ),
        good(
            "arbiter-inquiry",
            "inquiry",
            "the payload of a question what became of a contract",
            &about().put_item(3, &Role::RESPONDER).build().encode(),
        ),
        good(
            "arbiter-revocation",
            "revocation",
            "the payload of a request to have a right called back",
            &about().put_list(3, &promises).build().encode(),
        ),
        good(
            "right",
            "right",
            "a right that is passed on, with two uses left at least",
            &start()
                .put_bytes(1, [0x51; 16])
                .put_item(2, &key_set(3).id())
                .put(3, "one visit")
                .put_item(4, &first.id())
                .put_bytes(5, [0x2e; 32])
                .put(6, 2_u64)
                .build()
                .encode(),
        ),
        good(
            "credential-transfer-condition",
            "credential-transfer",
            "the payload of a request to pass a right on under a contract",
            &start().put_bytes(1, [0x51; 16]).put_item(2, &key_set(2).id()).put(3, condition()).build().encode(),
        ),
        good(
            "credential-condition",
            "credential",
            "the payload of the credential that was made by it",
            &start()
                .put_bytes(1, [0x52; 16])
                .put(2, "https://issuer.example")
                .put_item(3, &key_set(2).id())
                .put(4, "one visit")
                .put(5, Vec::new())
                .put(6, 2_u64)
                .put(7, true)
                .put_item(8, &time)
                .put_item(9, &Time::from_unix(1_826_776_000))
                .put(10, condition())
                .build()
                .encode(),
        ),
        good("arbiter-complaint", "complaint", "the payload of a complaint", &complaint),
        good("arbiter-settlement", "settlement", "the payload of a request to let go of money", &settlement),
        good("arbiter-request", "request", "a whole request to resolve", &request),
        good("arbiter-verdict", "verdict", "the payload of the verdict", &verdict),
        good("arbiter-verdict-revoked", "verdict", "the payload of a verdict that a right is called back", &revoked),
        good("arbiter-verdict-fault", "verdict", "the payload of a verdict about somebody's fault", &fault),
        good("arbiter-closing", "closing", "the payload of a closing", &closing),
        good(
            "arbiter-closed-unused",
            "closed-unused",
            "the payload of the answer to a first request after the end",
            &closed,
        ),
        good("arbiter-answer-verdict", "arbiter-answer", "the signed verdict with both promises", &resolved),
        good("arbiter-answer-money", "arbiter-answer", "the verdict with an authorisation", &authorised),
        good("arbiter-answer-status", "arbiter-answer", "the signed status", &silent),
        good("folder", "folder", "a deal folder that holds a contract", &folder),
    ]
}

//! What three who sign one contract say.

use super::*;

/// What three who sign one contract say, and what their arbiter answers. The second was refused in round 1, the third has the contract
/// completed in round 3.
pub(super) fn signers() -> Vec<Json> {
    const SIGNERS: [u8; 3] = [1, 2, 5];
    let mut core = contract();
    core.terms.profile = Profile::Cn;
    core.terms.items.clear();
    core.terms.parties = (0..)
        .zip(SIGNERS)
        .map(|(number, key)| PartyRef { role: Role::numbered(number), key_set: key_set(key).id() })
        .collect();
    let (cid, time) = (core.cid(), Time::from_unix(1_795_240_000));
    let start = || record().put(0, 1_u64);
    let payload = |place: u8, round: u64| {
        start().put_item(1, &cid).put_item(2, &Role::numbered(place)).put(3, round).build().encode()
    };
    let raw = |party: u8, kind: Kind, payload: &[u8]| {
        assemble(party, Draft { kind, suite: Suite::Ed25519, signer: key_set(party).id(), payload: payload.to_vec() })
    };
    let said = |kind, place: u8, round| raw(SIGNERS[usize::from(place)], kind, &payload(place, round));
    let sheet: Vec<_> = (0..3).map(|place| said(Kind::Round, place, 2)).collect();
    let (refused, question) = (said(Kind::Ask, 1, 1), said(Kind::Ask, 2, 3));
    let request = start()
        .put_item(1, &core)
        .put_list(2, &SIGNERS.map(key_set))
        .put_list(3, &sheet)
        .put_item(4, &question)
        .build()
        .encode();
    let basis: Vec<_> = [&question].into_iter().chain(&sheet).map(Signed::id).collect();
    let asker = Value::Array(vec![Role::RESPONDER.to_value(), 1_u64.into()]);
    let verdict = start()
        .put_item(1, &cid)
        .put_item(2, &Slot(2))
        .put(3, "resolved")
        .put_list(4, &basis)
        .put(5, vec![asker])
        .put_item(6, &time)
        .put(7, 1_u64)
        .build()
        .encode();
    let answer = start()
        .put_item(1, &raw(3, Kind::Verdict, &verdict))
        .put_list(2, &sheet)
        .put_list(3, &[refused])
        .build()
        .encode();
    let message = |kind: &str| start().put(1, kind);
    vec![
        good("signers-round", "round", "the payload of a signature on a round", &payload(0, 1)),
        good(
            "signers-message",
            "cn-message",
            "a signature on a round, as it is sent",
            &message("round").put_item(2, &sheet[0]).build().encode(),
        ),
        good(
            "signers-decline",
            "cn-message",
            "a refusal to sign",
            &message("decline").put(3, "too expensive").build().encode(),
        ),
        good("signers-ask", "ask", "the payload of a question to the arbiter", &payload(2, 3)),
        good("signers-request", "cn-request", "a whole request, with all signatures on round 2", &request),
        good("signers-verdict", "verdict", "the payload of a verdict that overturns a refusal", &verdict),
        good("signers-answer", "cn-answer", "the signed verdict, and what it rests on", &answer),
    ]
}

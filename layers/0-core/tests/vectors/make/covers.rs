//! A guarantor that stands for a party under one contract.

use super::*;

const CUSTOMER: u8 = 1;
const BENEFICIARY: u8 = 2;
const GUARANTOR: u8 = 5;
const OPENING: [u8; 32] = [0x0d; 32];

/// Party 5 stands for party 1 with 120 euros under a contract with party 2.
pub(super) fn covers() -> Vec<Json> {
    let euros = |minor| Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap();
    let at = |seconds: u64| Time::from_unix(1_795_240_000 + seconds);
    let (cid, id) = (Cid::from_digest(Digest::from_array([0x11; 32])), [0x0c; 16]);
    let tag = Digest::of_parts(semper_core::domain::COVER_TAG, &[&OPENING, cid.as_bytes()]);
    let [customer, beneficiary, guarantor] = [CUSTOMER, BENEFICIARY, GUARANTOR].map(|party| key_set(party).id());
    let begin = || record().put(0, 1_u64);
    let agreement = begin()
        .put_item(1, &guarantor)
        .put_item(2, &euros(50_000))
        .put_item(3, &euros(20_000))
        .put_item(4, &at(31_536_000))
        .put_item(5, &at(0));
    let request = begin()
        .put_bytes(1, id)
        .put_item(2, &guarantor)
        .put_item(3, &tag)
        .put_item(4, &euros(12_000))
        .put_item(5, &customer)
        .put_item(6, &at(86_400))
        .put_item(7, &at(2_592_000));
    let cover = begin()
        .put_bytes(1, id)
        .put(2, "https://guarantor.example")
        .put_item(3, &tag)
        .put_item(4, &euros(12_000))
        .put_item(5, &customer)
        .put_item(6, &at(60))
        .put_item(7, &at(86_400))
        .put_item(8, &at(2_592_000))
        .put_item(9, &Seconds(1_209_600));
    let release = begin().put_bytes(1, id).put_item(2, &cid);
    let claim = begin().put_bytes(1, id).put_item(2, &cid).put_item(3, &euros(12_000));
    let released = begin().put_bytes(1, id).put(2, "released").put_item(3, &at(3_600));
    let to = |outcome: &str, time| {
        begin()
            .put_bytes(1, id)
            .put(2, outcome)
            .put_item(3, &time)
            .put_item(4, &euros(12_000))
            .put_item(5, &beneficiary)
    };
    let claimed = to("claimed", at(7_200)).put_item(6, &at(1_216_800));
    let paid = to("paid", at(1_216_800));
    let [agreement, request, cover, release, claim, released, claimed, paid] =
        [agreement, request, cover, release, claim, released, claimed, paid].map(|record| record.build().encode());
    let said = |by: u8, kind, payload: &[u8]| {
        assemble(by, Draft { kind, suite: Suite::Ed25519, signer: key_set(by).id(), payload: payload.to_vec() })
    };
    let file = begin()
        .put_item(1, &key_set(GUARANTOR))
        .put_item(2, &said(GUARANTOR, Kind::Cover, &cover))
        .put_bytes(3, OPENING)
        .build()
        .encode();
    let submission = begin()
        .put_item(1, &said(CUSTOMER, Kind::CoverRequest, &request))
        .put_item(2, &key_set(CUSTOMER))
        .build()
        .encode();
    let opened = json!({ "cid": cid.to_string(), "opening": HEXLOWER.encode(&OPENING), "tag": tag.to_hex() });
    vec![
        good("liability-agreement", "liability-agreement", "500 euros at once, 200 for each deal", &agreement),
        good("cover-request", "cover-request", "120 euros under one contract", &request),
        good_with("cover", "cover", "what the guarantor certifies", &cover, opened),
        good("cover-release", "cover-release", "nothing is owed any more", &release),
        good("cover-claim", "cover-claim", "all of it is claimed", &claim),
        good("cover-ruling-released", "cover-ruling", "it was given up", &released),
        good("cover-ruling-claimed", "cover-ruling", "the customer has two weeks for an answer", &claimed),
        good("cover-ruling-paid", "cover-ruling", "nobody has answered", &paid),
        good("cover-file", "cover-file", "the cover with what opens it", &file),
        good("cover-submission", "cover-submission", "the request on its way", &submission),
    ]
}

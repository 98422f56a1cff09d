//! What the issuer of a right says, and what it is sent.

use super::*;

/// A credential of party 3 for party 2 with three uses, and what is said of the second of them; contract and arbiter are those of the other vectors.
pub(super) fn credentials() -> Vec<Json> {
    const ISSUER: u8 = 3;
    const HOLDER: u8 = 2;
    let core = contract();
    let (from, until) = (Time::from_unix(1_795_240_000), Time::from_unix(1_798_800_000));
    let (serial, salt) = ([0x5e; 16], [0x5a; 32]);
    let tag = Digest::of_parts(semper_core::domain::USE_TAG, &[&salt, core.cid().as_bytes()]);
    let arbiter = core.arbiter().unwrap();
    let start = || record().put(0, 1_u64).put_bytes(1, serial);
    let credential = |audience: &[u8], uses: Option<u64>, transferable: bool| {
        let audience: Vec<_> = audience.iter().map(|party| key_set(*party).id()).collect();
        start()
            .put(2, "https://issuer.example")
            .put_item(3, &key_set(HOLDER).id())
            .put(4, "one visit to the archive")
            .put_list(5, &audience)
            .put_some(6, uses)
            .put(7, transferable)
            .put_item(8, &from)
            .put_item(9, &until)
            .build()
            .encode()
    };
    let raw = |party: u8, kind: Kind, payload: &[u8]| {
        assemble(party, Draft { kind, suite: Suite::Ed25519, signer: key_set(party).id(), payload: payload.to_vec() })
    };
    let counted = credential(&[1], Some(3), true);
    let free = credential(&[], None, false);
    let passed_on = start().put_item(2, &key_set(1).id()).build().encode();
    let about = || start().put_item(2, &tag).put_item(3, &arbiter).put_item(4, &until);
    let request = about().build().encode();
    let kept = about().put(5, 2_u64).build().encode();
    let spent = start().put_item(2, &tag).put(3, 2_u64).put_item(4, &from).build().encode();
    let bundle = |reservation: Option<&Signed>| {
        let credential = raw(ISSUER, Kind::Credential, &counted);
        let bundle = record().put(0, 1_u64).put_item(1, &key_set(ISSUER)).put_item(2, &credential);
        bundle.put_some(3, reservation.map(Encode::to_value)).build().encode()
    };
    let sent = |statement: &Signed| record().put(0, 1_u64).put_item(1, statement).put_item(2, &key_set(HOLDER));
    let promises = [sign(1, &promise(None)).id(), sign(2, &promise(None)).id()];
    let show = sign(HOLDER, &Final { cid: core.cid(), role: Role::RESPONDER, promises, slot: Slot::default() });
    vec![
        good(
            "credential-counted",
            "credential",
            "a right that can be used three times, honoured by one party",
            &counted,
        ),
        good("credential-free", "credential", "a right that can be used freely, honoured by anybody", &free),
        good("credential-transfer", "credential-transfer", "its holder passes it on", &passed_on),
        good(
            "reservation-request",
            "reservation-request",
            "its holder asks for a use to be kept for a contract",
            &request,
        ),
        good_with(
            "reservation-counted",
            "reservation",
            "its issuer keeps the second use",
            &kept,
            json!({ "cid": core.cid().to_string(), "salt": HEXLOWER.encode(&salt), "tag": tag.to_string() }),
        ),
        good("reservation-free", "reservation", "a right that can be used freely is good for a contract", &request),
        good("spend", "spend", "its issuer has taken that use", &spent),
        good("credential-bundle", "credential-bundle", "a credential as it is kept in a file", &bundle(None)),
        good(
            "credential-bundle-kept",
            "credential-bundle",
            "a credential with the use that is kept, as it is shown",
            &bundle(Some(&raw(ISSUER, Kind::Reservation, &kept))),
        ),
        good(
            "submission-request",
            "submission",
            "what is posted to the issuer to keep a use",
            &sent(&raw(HOLDER, Kind::ReservationRequest, &request)).build().encode(),
        ),
        good(
            "submission-show",
            "submission",
            "what is posted to the issuer to take it: the holder's final",
            &sent(&show).put_bytes(3, serial).put_bytes(4, salt).build().encode(),
        ),
    ]
}

//! A sealed message made again, to show what was in it.

use semper_channel::{Limits, SealedAgain};
use semper_core::cbor::Decode as _;
use semper_core::cose::Signed;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_crypto::{OpenKey, Sealer};
use semper_support::channel::{InboxAddress, Post as _, Receipt, SealOpening};
use semper_support::crypto::{KemSuite, Open as _};

use crate::support::{Bed, Node, frame, limits, post, within};

const SUITES: [KemSuite; 3] = [KemSuite::X25519, KemSuite::MlKem768, KemSuite::XWing];

// A sender that cannot give the bytes of the receipt again proves nothing; one that can give other contents for them proves what it likes.
#[tokio::test]
async fn what_was_taken_can_be_sealed_again_and_nothing_else_gives_its_receipt() {
    for suite in SUITES {
        let node = Node::willing();
        let bed = Bed::with(&node, Limits { ..limits() }, suite);
        let (sealed, opening) = post().seal_openly(&bed.address, &frame(3, b"a promise")).unwrap();
        let posted = within(post().post(&bed.address.url, &sealed)).await.unwrap();
        assert_eq!(node.frames(), [frame(3, b"a promise")], "{suite:?}: the recipient reads it like any other");
        let signed = Signed::from_bytes(&posted.receipt).unwrap();
        let receipt = Receipt::from_bytes(signed.payload()).unwrap();
        let again = SealedAgain::of(&Sealer, &bed.address, &opening).unwrap();
        assert_eq!(again, SealedAgain { digest: receipt.sealed, frame: frame(3, b"a promise") }, "{suite:?}");
        assert_eq!(again.digest, Digest::of(domain::SEALED, &sealed));
        assert_eq!(SealOpening::from_bytes(&semper_core::cbor::Encode::to_bytes(&opening)).unwrap(), opening);

        // For somebody else, with another randomness or nonce, or over another message, these are other bytes.
        let differs = |to: &InboxAddress, opening: &SealOpening| {
            let other = SealedAgain::of(&Sealer, to, opening);
            assert!(other.is_err() || other.is_ok_and(|other| other.digest != receipt.sealed), "{suite:?}");
        };
        let stranger = OpenKey::generate(suite).unwrap();
        differs(&InboxAddress { public_key: stranger.public_key().to_vec(), ..bed.address.clone() }, &opening);
        for other in SUITES.into_iter().filter(|other| *other != suite) {
            differs(&InboxAddress { suite: other, ..bed.address.clone() }, &opening);
        }
        for place in 0..opening.seed.len() {
            let mut changed = opening.clone();
            changed.seed[place] ^= 0x10;
            differs(&bed.address, &changed);
        }
        for place in 0..opening.nonce.len() {
            let mut changed = opening.clone();
            changed.nonce[place] ^= 1;
            differs(&bed.address, &changed);
        }
        for place in 0..opening.letter.len() {
            let mut changed = opening.clone();
            changed.letter[place] ^= 1;
            differs(&bed.address, &changed);
        }
    }
}

// What is sealed without an order can be opened by its recipient alone: two seals of one message have nothing in common.
#[test]
fn each_seal_has_a_randomness_of_its_own() {
    let open = OpenKey::generate(KemSuite::XWing).unwrap();
    let (suite, public_key) = (KemSuite::XWing, open.public_key().to_vec());
    let to = InboxAddress { url: "http://127.0.0.1:1/inbox".to_owned(), suite, public_key, agent: None };
    let [(first, opened), (second, again)] = [1, 2].map(|_| post().seal_openly(&to, &frame(1, b"x")).unwrap());
    assert!(first != second && opened.seed != again.seed && opened.nonce != again.nonce);
    assert_eq!(opened.seed.len(), 64);
    assert_eq!(format!("{opened:?}"), format!("SealOpening({} bytes)", opened.letter.len()), "no secret is logged");
}

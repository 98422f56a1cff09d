//! What the tests of this layer share: key sets, signatures and a text, enough where nobody forges and nobody reads.
#![allow(clippy::unwrap_used)]

use semper_core::contract::TextRef;
use semper_core::cose::{Draft, Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::TemplateId;
use semper_core::party::{Algorithm, KeySet, Suite};
use semper_core::signature::Verify;

/// A signature is the signer's key, then a hash of the message.
pub(crate) struct Tags;

impl Verify for Tags {
    fn verify(&self, _: Algorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        signature == tag(public_key, message)
    }
}

fn tag(public_key: &[u8], message: &[u8]) -> Vec<u8> {
    [public_key, Digest::of(domain::INPUT, message).as_bytes()].concat()
}

pub(crate) fn key_set(number: u8) -> KeySet {
    KeySet::new(Suite::Ed25519, vec![vec![number; 32]]).unwrap()
}

pub(crate) fn sign(by: &KeySet, draft: Draft) -> Signed {
    let signatures = by.keys().map(|(algorithm, key)| tag(key, &draft.to_be_signed(algorithm))).collect();
    draft.assemble(signatures).unwrap()
}

pub(crate) fn say(by: &KeySet, statement: &impl Statement) -> Signed {
    sign(by, statement.draft(by.suite(), by.id()))
}

/// A text that nobody has written.
pub(crate) fn text() -> TextRef {
    TextRef {
        template: TemplateId::from_digest(Digest::of(domain::TEMPLATE, b"")),
        fields: Digest::of(domain::FIELDS, b""),
        locale: "en".to_owned(),
        render: Digest::of(domain::RENDER, b""),
    }
}

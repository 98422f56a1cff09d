//! Proofs of submission, read: the recipient's card, the envelope and the deal's message are formats of three rooms, joined here.

use semper_channel::SealedAgain;
use semper_commerce::deal::Message;
use semper_core::cbor::Decode as _;
use semper_core::cose::Signed;
use semper_core::hash::Digest;
use semper_core::party::KeySet;
use semper_core::signature;
use semper_crypto::{Sealer, Verifier};
use semper_support::channel::{InboxAddress, Receipt};
use semper_support::submission::{Handed, ReadSubmissions, SubmissionProof, Submitted};
use semper_trust::card::ContactCard;

use crate::node::FRAME_DEAL;

/// Reads proofs of submission with the real cryptography.
#[derive(Clone, Copy, Debug)]
pub struct SubmissionReader;

impl ReadSubmissions for SubmissionReader {
    fn read(&self, submission: &[u8], receipts: &[Vec<u8>]) -> Result<Submitted, String> {
        let SubmissionProof { card, inbox, opening } =
            SubmissionProof::from_bytes(submission).map_err(|e| e.to_string())?;
        let card = ContactCard::verify(&card, &Verifier).map_err(|error| error.to_string())?;
        let address = card.statement().inboxes.get(usize::from(inbox));
        let address = address.ok_or("the contact card has no such inbox")?;
        let SealedAgain { digest, frame } = SealedAgain::of(&Sealer, address, &opening)?;
        if frame.kind != FRAME_DEAL {
            return Err(format!("a message of the kind {:?} belongs to no deal", frame.kind));
        }
        let message = Message::from_bytes(&frame.body).map_err(|error| format!("the message: {error}"))?.body;
        let agent = agent_of(card.statement(), address);
        let receipts = receipts.iter().filter_map(|receipt| taken(receipt, agent, address, digest));
        let handed =
            receipts.min_by_key(|(receipt, signed)| (receipt.time, signed.id())).map(|(receipt, signed)| Handed {
                agent: agent.id(),
                time: receipt.time,
                receipt: signed.id(),
                card: card.id(),
                suites: [signed.suite(), card.signed().suite()],
            });
        Ok(Submitted { recipient: card.signer(), deal: frame.deal, message, handed })
    }
}

/// Whose receipts count for an inbox on a card.
pub(crate) fn agent_of<'a>(card: &'a ContactCard, inbox: &'a InboxAddress) -> &'a KeySet {
    inbox.agent.as_ref().unwrap_or(&card.transport)
}

/// A receipt, if it is the agent's, for this message at this inbox.
fn taken(receipt: &[u8], agent: &KeySet, inbox: &InboxAddress, sealed: Digest) -> Option<(Receipt, Signed)> {
    let signed = Signed::from_bytes(receipt).ok()?;
    // What is cheap comes first: a folder may hold thousands.
    let receipt = Receipt::from_bytes(signed.payload()).ok()?;
    if receipt.sealed != sealed || receipt.inbox != inbox.url {
        return None;
    }
    signature::verify::<Receipt>(&Verifier, agent, &signed).ok()?;
    Some((receipt, signed))
}

#[cfg(test)]
mod tests;

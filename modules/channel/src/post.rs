//! The sending side: seals a frame, posts it, and believes nothing of the answer that it has not checked.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use semper_core::cbor::{Decode, Encode};
use semper_core::signature::{self, Verify};
use semper_support::channel::{Frame, InboxAddress, MESSAGE_BYTES_MAX, Post, PostError, Posted, Receipt, SealOpening};
use semper_support::crypto::{CryptoError, Randomness, Seal};
use zeroize::Zeroizing;

use crate::client::{Client, ClientOptions, misbehaved, unusable};
use crate::envelope::{ANSWER_TYPE, Answer, Envelope, Letter, SEALED_TYPE};
use crate::reply::ReplySecret;

/// Posts over HTTP(S): to inboxes, and to mailboxes at relays, which answer alike.
pub struct HttpPost {
    client: Client,
    seal: Arc<dyn Seal>,
    verify: Arc<dyn Verify>,
    random: Arc<dyn Randomness>,
    replies: ReplySecret,
}

impl HttpPost {
    /// A sender. Messages that were sealed by an earlier one with the same `replies` can be posted by this one.
    ///
    /// # Errors
    /// `Unusable`: a trust anchor or the proxy address is malformed.
    pub fn new(
        seal: Arc<dyn Seal>,
        verify: Arc<dyn Verify>,
        random: Arc<dyn Randomness>,
        replies: ReplySecret,
        options: &ClientOptions,
    ) -> Result<Self, PostError> {
        Ok(Self { client: Client::new(options)?, seal, verify, random, replies })
    }

    /// A frame as it goes under the seal, and the nonce of its envelope.
    fn letter(&self, frame: &Frame) -> Result<([u8; 16], Letter), PostError> {
        let mut nonce = [0; 16];
        self.random.fill(&mut nonce).map_err(|error| unusable(error.to_string()))?;
        Ok((nonce, Letter { frame: frame.clone(), reply_key: self.replies.key_for(&nonce) }))
    }

    /// Checks the answer to an envelope: a receipt for exactly these bytes, by this inbox, with a good signature.
    ///
    /// Whose key signed is handed to the caller, who knows from the contact card whose it should be.
    fn check(&self, url: &str, envelope: &[u8], nonce: &[u8; 16], answer: &[u8]) -> Result<Posted, PostError> {
        let answer =
            Answer::from_bytes(answer).map_err(|error| misbehaved(format!("the answer is malformed: {error}")))?;
        let receipt = signature::verify::<Receipt>(&*self.verify, &answer.keys, &answer.receipt)
            .map_err(|error| misbehaved(format!("the receipt is not good: {error}")))?;
        let sealed = Envelope::digest(envelope);
        if receipt.statement().sealed != sealed {
            return Err(misbehaved("the receipt is for another message"));
        }
        if receipt.statement().inbox != url {
            return Err(misbehaved("the receipt is from another inbox"));
        }
        let open = |reply: Vec<u8>| self.replies.key_for(nonce).open(&sealed, &reply);
        let reply = answer.reply.map(open).transpose().map_err(|error| misbehaved(format!("the reply: {error}")))?;
        Ok(Posted { receipt: answer.receipt.bytes().to_vec(), receipt_signer: receipt.signer(), reply })
    }
}

#[async_trait]
impl Post for HttpPost {
    fn seal(&self, to: &InboxAddress, frame: &Frame) -> Result<Vec<u8>, PostError> {
        let (nonce, letter) = self.letter(frame)?;
        encoded(Envelope::seal(&*self.seal, to, nonce, &letter))
    }

    fn seal_openly(&self, to: &InboxAddress, frame: &Frame) -> Result<(Vec<u8>, SealOpening), PostError> {
        let (nonce, letter) = self.letter(frame)?;
        let mut seed = Zeroizing::new(vec![0; self.seal.seal_seed_len(to.suite)]);
        self.random.fill(&mut seed).map_err(|error| unusable(error.to_string()))?;
        let opening = SealOpening { nonce, seed, letter: letter.to_bytes() };
        Ok((encoded(Envelope::seal_from(&*self.seal, to, &opening))?, opening))
    }

    async fn post(&self, url: &str, sealed: &[u8]) -> Result<Posted, PostError> {
        let Envelope { nonce, .. } =
            Envelope::from_bytes(sealed).map_err(|error| unusable(format!("not a sealed message: {error}")))?;
        let answer = self.client.post(url, SEALED_TYPE, sealed.to_vec(), ANSWER_TYPE, Duration::ZERO).await;
        self.check(url, sealed, &nonce, &answer.map_err(|failed| failed.error)?)
    }
}

/// An envelope as it goes over the wire.
fn encoded(sealed: Result<Envelope, CryptoError>) -> Result<Vec<u8>, PostError> {
    let envelope = sealed.map_err(|error| unusable(error.to_string()))?.to_bytes();
    if envelope.len() > MESSAGE_BYTES_MAX {
        return Err(unusable(format!("the sealed message is larger than {MESSAGE_BYTES_MAX} bytes")));
    }
    Ok(envelope)
}

//! Containers: what is sent, and what was received. A notice about a contract is shown in its words, and no mandate covers it.

use std::fmt;

use semper_commerce::mandate::{Act, Matter};
use semper_core::cbor::Decode as _;
use semper_core::container::{Ack, Container, ContainerStatement, Information, Leaf};
use semper_core::cose::{Draft, Kind};
use semper_core::ids::Cid;
use semper_core::text::escape;
use semper_exchange::notice::{Notice, Saying, is_notice};
use semper_support::approval::ApprovalError;

use super::{APPROVED, Judgement, Vault, read, unavailable};
use crate::decisions::Decisions;

/// The name of a text message in a container; its words are shown.
pub(super) const MESSAGE_NAME: &str = "message.txt";

impl<D: Decisions + ?Sized> Vault<D> {
    pub(super) async fn judge_container(&self, draft: &Draft, container: &[u8]) -> Result<Judgement, ApprovalError> {
        let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
        let container = Container::from_bytes(container).map_err(|e| mismatch(&e))?;
        let named = match draft.kind {
            Kind::Container => read::<ContainerStatement>(draft)?.container,
            _ => read::<Ack>(draft)?.container,
        };
        if named != container.id() {
            return Err(mismatch(&"the statement is about another container"));
        }
        let (act, head) = match (Notice::of(&container), draft.kind) {
            (Ok(None), Kind::Ack) => (Ok(Act::of(Matter::Acknowledgement)), String::new()),
            (Ok(None), _) => (Ok(Act::of(Matter::Mail)), String::new()),
            (Ok(Some(notice)), Kind::Ack) => (Ok(Act::of(Matter::Acknowledgement)), come(&notice)),
            (Ok(Some(notice)), _) => (
                Err("what is said about a contract its party says itself"),
                given(&notice, self.has_approved(notice.cid).await?),
            ),
            // What comes need not be in order; that it has come may be said all the same.
            (Err(_), Kind::Ack) => (Ok(Act::of(Matter::Acknowledgement)), String::new()),
            (Err(error), _) => return Err(mismatch(&error)),
        };
        Ok(Judgement::Ask { act, text: format!("{head}{}", describe(&container)), contract: None })
    }

    async fn has_approved(&self, cid: Cid) -> Result<bool, ApprovalError> {
        Ok(self.decisions.fact(APPROVED, cid.as_bytes()).await.map_err(unavailable)?.is_some())
    }
}

/// A notice of our user's: what it says, and what that binds to.
fn given(notice: &Notice, approved: bool) -> String {
    let known = match approved {
        true => "you have signed this contract with these keys",
        false => "YOU HAVE NOT SIGNED this contract with these keys",
    };
    let binds = match notice.saying {
        Saying::Withdrawal { .. } => {
            "With your signature you declare that you withdraw. The other party can prove that you said it, and you that it has come.\n\
             Whether it ends the contract, the law says. An exchange that runs goes on."
        }
        Saying::Dispute { .. } => {
            "With your signature you say to the other party what you claim and want. Nobody decides by that; an exchange that runs goes on."
        }
        Saying::Answer { .. } => {
            "With your signature you answer the dispute. The other party can prove to everybody that this is your answer."
        }
    };
    format!("{notice}\n  known       {known}\n{binds}\n\n")
}

/// A notice of the other party's.
fn come(notice: &Notice) -> String {
    format!("You are told:\n{notice}\nYou sign that you have received it, and not that you agree.\n\n")
}

/// What a container holds, as it is shown: a line for each thing, and a text message in full.
fn describe(container: &Container) -> String {
    let mut text = format!("container {}\n", container.id());
    for (_, leaf) in container.leaves() {
        match leaf {
            Leaf::Information(file) => text.push_str(&describe_file(file)),
            Leaf::Statement(signed) => text.push_str(&format!("- a signed {} by {}\n", signed.kind(), signed.signer())),
            Leaf::Credential(bytes) => text.push_str(&format!("- a credential, {} bytes\n", bytes.len())),
            Leaf::Money(bytes) => text.push_str(&format!("- money, {} bytes\n", bytes.len())),
        }
    }
    text
}

fn describe_file(file: &Information) -> String {
    let (name, size, hash) = (escape(file.name(), 0), file.bytes().len(), file.hash());
    let unread = if is_notice(file) && Notice::from_bytes(file.bytes()).is_err() {
        "  it says to be a notice about a contract, and cannot be read as one\n"
    } else {
        ""
    };
    let mut text = format!("- {name}, {}, {size} bytes\n  hash {hash}\n{unread}", file.media_type());
    if let (MESSAGE_NAME, Ok(message)) = (file.name(), std::str::from_utf8(file.bytes())) {
        text.extend(message.lines().map(|line| format!("  | {}\n", escape(line, 8))));
    }
    text
}

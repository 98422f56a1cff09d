//! Containers: what is sent, and what was received.

use std::fmt;

use semper_commerce::mandate::{Act, Matter};
use semper_core::cbor::Decode as _;
use semper_core::container::{Ack, Container, ContainerStatement, Leaf};
use semper_core::cose::{Draft, Kind};
use semper_core::text::escape;
use semper_support::approval::ApprovalError;

use super::{Judgement, read};

/// The name of a text message in a container; its words are shown.
pub(super) const MESSAGE_NAME: &str = "message.txt";

pub(super) fn judge_container(draft: &Draft, container: &[u8]) -> Result<Judgement, ApprovalError> {
    let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
    let container = Container::from_bytes(container).map_err(|e| mismatch(&e))?;
    let named = match draft.kind {
        Kind::Container => read::<ContainerStatement>(draft)?.container,
        _ => read::<Ack>(draft)?.container,
    };
    if named != container.id() {
        return Err(mismatch(&"the statement is about another container"));
    }
    let matter = if draft.kind == Kind::Ack { Matter::Acknowledgement } else { Matter::Mail };
    Ok(Judgement::Ask { act: Ok(Act::of(matter)), text: describe(&container), contract: None })
}

/// What a container holds, as it is shown: a line for each thing, and a text message in full.
fn describe(container: &Container) -> String {
    let mut text = format!("container {}\n", container.id());
    for (_, leaf) in container.leaves() {
        match leaf {
            Leaf::Information(file) => {
                let name = escape(file.name(), 0);
                let line =
                    format!("- {name}, {}, {} bytes\n  hash {}\n", file.media_type(), file.bytes().len(), file.hash());
                text.push_str(&line);
                if let (MESSAGE_NAME, Ok(message)) = (file.name(), std::str::from_utf8(file.bytes())) {
                    text.extend(message.lines().map(|line| format!("  | {}\n", escape(line, 8))));
                }
            }
            Leaf::Statement(signed) => text.push_str(&format!("- a signed {} by {}\n", signed.kind(), signed.signer())),
            Leaf::Credential(bytes) => text.push_str(&format!("- a credential, {} bytes\n", bytes.len())),
            Leaf::Money(bytes) => text.push_str(&format!("- money, {} bytes\n", bytes.len())),
        }
    }
    text
}

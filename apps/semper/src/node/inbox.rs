//! The receiving side: what comes through the channel goes to its deal.

use async_trait::async_trait;
use semper_core::machine::{Blame, Fault};
use semper_support::channel::{Delivered, Frame, Inbox, Refusal};

use super::deals::FRAME_DEAL;
use super::{BookError, Node, NodeError};

#[async_trait]
impl Inbox for Node {
    async fn deliver(&self, frame: Frame) -> Result<Delivered, Refusal> {
        if frame.kind != FRAME_DEAL {
            return Err(Refusal::Unwanted(format!("this inbox takes no messages of kind {:?}", frame.kind)));
        }
        match self.message(frame.deal, frame.body).await {
            Ok(()) => Ok(Delivered::default()),
            Err(error) => {
                tracing::info!(deal = %frame.deal, %error, "a message was not taken");
                Err(refusal(&error))
            }
        }
    }
}

fn refusal(error: &NodeError) -> Refusal {
    let text = error.to_string();
    match error {
        // The message that opens the deal is still on its way.
        NodeError::NoSuchDeal(_) => Refusal::Busy("this deal is not known here yet".to_owned()),
        NodeError::Deal(deal) => match deal.fault() {
            Fault::Environment => Refusal::Busy(text),
            _ => Refusal::Malformed(text),
        },
        NodeError::Book(BookError::Unknown(_)) => {
            Refusal::Unwanted("the sender is not in this party's contact book".to_owned())
        }
        NodeError::TooManyMessages
        | NodeError::TooManyUnproven
        | NodeError::RunBefore
        | NodeError::NotAmongThem
        | NodeError::NoCard(_)
        | NodeError::Book(BookError::Card(_)) => Refusal::Unwanted(text),
        _ => Refusal::Busy("the message could not be stored now".to_owned()),
    }
}

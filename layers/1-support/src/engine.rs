//! The vocabulary between protocol engines and whoever drives them.
//!
//! Every engine of the transfer and exchange layers is a [`Machine`](semper_core::machine::Machine) with these inputs and
//! effects, so that one driver runs them all.

use semper_core::cbor::{Decode, DecodeError, Encode, Problem, Value};
use semper_core::cose::{Draft, Signed};
use semper_core::ids::StatementId;
use semper_core::time::Time;

use crate::archive::Fact;

/// What can happen to an engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The run begins. Given once.
    Begin,
    /// A message of the peer.
    Message(Vec<u8>),
    /// The key holder signed what was asked for with [`Effect::Sign`].
    Signed(Signed),
    /// The user declined to sign.
    Declined {
        /// The statement that was asked for.
        statement: StatementId,
    },
    /// The arbiter answered [`Effect::AskArbiter`].
    ArbiterSays(Vec<u8>),
    /// The peer's inbox has stored a message of this engine: its receipt is kept by the driver.
    Delivered,
    /// A payment operation that was asked for with [`Effect::Operate`] has ended: an encoded answer of the payment block.
    Operated(Vec<u8>),
    /// Information that was to be tried with [`Effect::Examine`] has been: an encoded answer of the exchange layer.
    Examined(Vec<u8>),
    /// The issuer of a credential has answered [`Effect::Submit`]: an encoded reply of the credential block.
    Said(Vec<u8>),
    /// A timer fired.
    Timer(&'static str),
    /// The user, or the patience that the user has set, wants the run to end now. Allowed at any moment.
    GiveUp,
    /// The state comes from a backup: this party may have gone further since, and have signed what the state does not know of. Given again and
    /// again until the run has ended; where there is nobody to ask it changes nothing.
    Restored,
}

/// What an engine wants done. Stored with the state that asks for it, performed afterwards, repeated until acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Send a message to the peer.
    Send(Vec<u8>),
    /// Send a request to the arbiter; its answer comes back as [`Input::ArbiterSays`].
    AskArbiter(Vec<u8>),
    /// Have a statement signed; the answer comes back as [`Input::Signed`] or [`Input::Declined`].
    Sign {
        /// The statement.
        draft: Draft,
        /// Whether the user is to be asked.
        consent: Consent,
    },
    /// Have a payment operation done: an encoded operation of the payment block, stored as an intent. Its end comes back as
    /// [`Input::Operated`].
    Operate(Vec<u8>),
    /// A payment operation is no longer wanted, by its 32-byte identifier. It still ends with [`Input::Operated`], as soon as that
    /// loses no money.
    Abandon([u8; 32]),
    /// Try a key on information that this party has: an encoded examination of the exchange layer. What was found comes back as
    /// [`Input::Examined`].
    Examine(Vec<u8>),
    /// Send something to the issuer of a credential, until it answers: an encoded errand of the credential block. The answer comes back as
    /// [`Input::Said`], also when the run has ended.
    Submit(Vec<u8>),
    /// Set a timer, or move it.
    SetTimer {
        /// Its name.
        name: &'static str,
        /// When it fires.
        due: Time,
    },
    /// Remove a timer.
    CancelTimer(&'static str),
    /// Keep a piece of evidence.
    Keep {
        /// What it is.
        kind: EvidenceKind,
        /// The bytes as they were received or made.
        bytes: Vec<u8>,
    },
    /// A fact that must be new: the commit fails as a whole if it is not.
    Once(Fact),
    /// The run has ended.
    Ended(Ending),
}

impl Effect {
    /// Keeps a signed statement as evidence.
    pub fn keep(signed: &Signed) -> Self {
        Effect::Keep { kind: EvidenceKind::Statement, bytes: signed.bytes().to_vec() }
    }
}

/// Whether a signature needs the user's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Consent {
    /// The user is shown the text and answers.
    Ask,
    /// It follows from what the user has approved already.
    Implied,
}

/// How a run ended for this party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// This party has what it was to get, or the evidence that stands for it.
    Success,
    /// Nobody is bound: the arbiter has aborted the run.
    Aborted,
    /// Nobody is bound: nothing was sent, or the time ran out unused.
    Lapsed,
    /// A transfer was given up before it was acknowledged. It may have arrived.
    Unconfirmed,
    /// This party's money is back: the peer's item was provably not what was promised, the arbiter did not answer, or nobody opened the lock
    /// until its date.
    Refunded,
    /// The peer's item was provably not what was promised. Nothing could be taken back; the proof is kept.
    Defective,
    /// The arbiter has found that this party's item was not what was promised.
    Faulted,
    /// Money is due to this party, by the arbiter's ruling or by the preimage that opens its lock, and could not be taken from its issuer.
    /// The ruling or the preimage is kept. Or a right was passed on, is not paid, and could not be called back.
    Unsettled,
    /// The right that this party has passed on is its own again: nobody has paid for it.
    Recalled,
}

const ENDINGS: [(Ending, &str); 9] = [
    (Ending::Success, "success"),
    (Ending::Aborted, "aborted"),
    (Ending::Lapsed, "lapsed"),
    (Ending::Unconfirmed, "unconfirmed"),
    (Ending::Refunded, "refunded"),
    (Ending::Defective, "defective"),
    (Ending::Faulted, "faulted"),
    (Ending::Unsettled, "unsettled"),
    (Ending::Recalled, "recalled"),
];

impl Ending {
    /// The name in stored states.
    pub fn name(self) -> &'static str {
        ENDINGS[self as usize].1
    }
}

impl Encode for Ending {
    fn to_value(&self) -> Value {
        self.name().into()
    }
}

impl Decode for Ending {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let name = String::from_value(value)?;
        let found = ENDINGS.iter().find(|(_, text)| *text == name).map(|(ending, _)| *ending);
        found.ok_or(DecodeError::field("", Problem::Unknown { what: "ending", found: name }))
    }
}

macro_rules! evidence_kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What a piece of evidence is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EvidenceKind { $($(#[$doc])* $name,)* }

        impl EvidenceKind {
            /// Every kind.
            pub const ALL: &'static [EvidenceKind] = &[$(EvidenceKind::$name),*];

            /// The name in the archive and in deal folders.
            pub const fn name(self) -> &'static str {
                match self { $(EvidenceKind::$name => $text,)* }
            }

            /// The kind with a name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.name() == name)
            }
        }
    };
}

evidence_kinds! {
    /// An encoded contract core.
    Core = "core";
    /// An encoded document.
    Document = "document";
    /// An encoded template.
    Template = "template";
    /// An encoded key set.
    KeySet = "key-set";
    /// A signed statement of any kind.
    Statement = "statement";
    /// A statement or message that came too late or contradicts another; it decides nothing, but may show who misbehaved.
    Late = "late";
    /// An encoded container.
    Container = "container";
    /// A file that belongs to the deal.
    Attachment = "attachment";
    /// A certificate (DER).
    Certificate = "certificate";
    /// An inbox's receipt.
    Receipt = "receipt";
    /// A receipt of the arbiter's log.
    LogReceipt = "log-receipt";
    /// What a payment system shows for a payment.
    Payment = "payment";
    /// A proof that an item is not what was promised.
    Misbehaviour = "misbehaviour";
    /// What a payment system shows for locked money that was taken.
    Redemption = "redemption";
    /// The key to which information was deposited with the arbiter: with it a disclosed seed can be tried.
    DepositKey = "deposit-key";
    /// Ciphertext of information that a contract exchanges, with its index.
    Sealed = "sealed";
    /// A key that opens it; whoever has both sees whether they fit.
    Key = "key";
    /// The preimage of the hash that locks what a contract exchanges: 32 bytes.
    Preimage = "preimage";
    /// A time-stamp of the signature of a statement (DER).
    TimeStamp = "time-stamp";
    /// A guarantor's cover for a contract, with what opens it.
    Cover = "cover";
    /// What shows, with a receipt, that a message was handed in for its recipient.
    Submission = "submission";
}

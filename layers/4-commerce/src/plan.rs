//! What a deal does, step by step, as data.
//!
//! This table is the only place where the order of a deal's steps stands. Later it is made from a process text; then a process
//! names its own plan, and this table goes.

use semper_core::cbor::{Decode, DecodeError, Encode, Problem, Value};

/// The steps of one kind of deal, in order.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// The name on the wire, with a version.
    pub name: &'static str,
    /// The steps.
    pub steps: &'static [PlanStep],
}

/// One step of a plan.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PlanStep {
    /// What the step is called on the screen.
    pub name: &'static str,
    /// What happens.
    pub action: Action,
}

/// What happens in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The originator sends the proposal of a contract; it binds nobody.
    Propose,
    /// Both sign the proposed contract, both or neither (GX with signatures).
    Sign,
    /// All sign the proposed contract, all or none (CN).
    SignAll,
    /// The originator sends a container for the responder to keep (TX).
    Deliver,
    /// The originator pays the responder (PAY).
    Pay,
    /// The originator takes up an offer of the responder or asks for an exchange, and the responder answers with the contract (ORDER).
    Order,
    /// Both exchange what the contract says, both or neither (GX).
    Exchange,
}

/// Sign a contract.
pub const SIGN: Plan = Plan {
    name: "sign/1",
    steps: &[PlanStep { name: "propose", action: Action::Propose }, PlanStep { name: "sign", action: Action::Sign }],
};

/// Sign a contract among three to eight parties.
pub const SIGN_MANY: Plan = Plan {
    name: "sign-many/1",
    steps: &[PlanStep { name: "propose", action: Action::Propose }, PlanStep { name: "sign", action: Action::SignAll }],
};

/// Send something and have it acknowledged, if the receiver likes.
pub const SEND: Plan = Plan { name: "send/1", steps: &[PlanStep { name: "deliver", action: Action::Deliver }] };

/// Certified mail: a sealed letter for a signed receipt.
pub const MAIL: Plan = Plan {
    name: "mail/1",
    steps: &[
        PlanStep { name: "propose", action: Action::Propose },
        PlanStep { name: "exchange", action: Action::Exchange },
    ],
};

/// Pay somebody.
pub const PAY: Plan = Plan { name: "pay/1", steps: &[PlanStep { name: "pay", action: Action::Pay }] };

/// Buy what somebody offers.
pub const BUY: Plan = Plan { name: "buy/1", steps: ASK_AND_EXCHANGE };

/// Pay somebody, for a receipt.
pub const RECEIPT: Plan = Plan { name: "receipt/1", steps: ASK_AND_EXCHANGE };

/// Exchange money for other money.
pub const EXCHANGE: Plan = Plan { name: "exchange/1", steps: ASK_AND_EXCHANGE };

/// Exchange files.
pub const SWAP: Plan = Plan { name: "swap/1", steps: ASK_AND_EXCHANGE };

const ASK_AND_EXCHANGE: &[PlanStep] =
    &[PlanStep { name: "order", action: Action::Order }, PlanStep { name: "exchange", action: Action::Exchange }];

/// Every plan that this version knows.
pub const ALL: &[&Plan] = &[&SIGN, &SIGN_MANY, &SEND, &MAIL, &PAY, &BUY, &RECEIPT, &EXCHANGE, &SWAP];

impl Encode for &'static Plan {
    fn to_value(&self) -> Value {
        self.name.into()
    }
}

impl Decode for &'static Plan {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let name = String::from_value(value)?;
        let found = ALL.iter().copied().find(|plan| plan.name == name);
        found.ok_or(DecodeError::field("", Problem::Unknown { what: "plan", found: name }))
    }
}

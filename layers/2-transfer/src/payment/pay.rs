//! PAY: one party pays another; nothing is exchanged for it.
//!
//! ```text
//! 1 payer→payee  offer: amount, purpose, the payer's means in the order of its preference
//! 2 payee→payer  request, signed: the chosen means and where to pay; or a refusal
//!   payer        approves the order; its means makes a token
//! 3 payer→payee  payment: the token, and the salt of the order's hash
//!   payee        its means takes the money from the token
//! 4 payee→payer  receipt, signed
//! ```
//! Not fair: the payee can take the money and say nothing. The payer then has what its means proves (an issuer's confirmation, the
//! payee's key on the coins), or takes back what was not taken. Who must have goods or a receipt for money uses an exchange.
//!
//! Source: `spec/payment.md` §8; `design/exchange.md` §5.1.

mod message;
#[cfg(test)]
mod tests;

pub use message::{Message, Offer};

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Signed, Statement};
use semper_core::ids::{DealId, Slot};
use semper_core::machine::{Blame, Env, Fault, Machine, Step};
use semper_core::party::KeySet;
use semper_core::signature::{SignatureError, Verified, answers, verify};
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_support::engine::{Consent, Effect, Ending, Input};

use super::means::{Means, PayerAnonymity};
use super::negotiation::{Demand, MEANS_MAX, negotiate};
use super::operation::{Answer, Failure, Money, Operation, OperationId, Outcome, PurseId, Task};
use super::statement::{PaymentReceipt, PaymentRequest};

/// Timer: how long a party waits for the other's next message.
pub const PATIENCE: &str = "pay-patience";

/// How long a payment request is honoured.
pub const REQUEST_LIFETIME: Seconds = Seconds(15 * 60);
/// Longest reason of a refusal, in bytes of UTF-8.
pub const REFUSAL_MAX: usize = 1024;

/// What does not change during a payment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    /// The deal.
    pub deal: DealId,
    /// The payer's key set.
    pub payer: KeySet,
    /// The payee's key set.
    pub payee: KeySet,
    /// This party's purses, the one it likes best first; at most [`MEANS_MAX`].
    pub purses: Vec<Offered>,
    /// How long this party waits for each message.
    pub patience: Seconds,
}

/// A purse and what its means promises.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offered {
    /// The purse.
    pub purse: PurseId,
    /// Its means.
    pub means: Means,
}

/// One party's side of a payment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pay {
    setting: Setting,
    state: State,
}

/// Where a payment stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Payer: the offer is ready to go.
    ToOffer { offer: Offer, salt: [u8; 32] },
    /// Payer: the request is awaited.
    AwaitRequest { offer: Offer, salt: [u8; 32] },
    /// Payer: its means makes the token.
    Paying { request: Signed, salt: [u8; 32] },
    /// Payer: the receipt is awaited.
    AwaitReceipt { request: Signed },
    /// Payer: its means takes back what was not taken.
    Reclaiming { request: Signed },
    /// Payee: the offer is awaited.
    AwaitOffer,
    /// Payee: its means makes ready to be paid.
    Expecting { offer: Offer, purse: PurseId, means: Box<Means> },
    /// Payee: the request is to be signed.
    AwaitRequestSignature { request: PaymentRequest, purse: PurseId },
    /// Payee: the payment is awaited.
    AwaitPayment { request: Signed, purse: PurseId },
    /// Payee: its means takes the money.
    Receiving { request: Signed, purse: PurseId },
    /// Payee: the receipt is to be signed.
    AwaitReceiptSignature { receipt: PaymentReceipt },
    /// It has ended.
    Ended { ending: Ending, why: String },
}

/// Why an input was not accepted. The stored state stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayError {
    /// The peer's message is malformed.
    #[error("the message is malformed: {0}")]
    Malformed(DecodeError),
    /// A statement of the peer is not validly signed.
    #[error("the peer's {what} is not acceptable: {error}")]
    PeerSignature {
        /// Which statement.
        what: &'static str,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// The peer asks for something else than was offered, or acknowledges something else than was paid.
    #[error("the peer's {what} does not fit: {why}")]
    PeerMismatch {
        /// Which statement.
        what: &'static str,
        /// What does not fit.
        why: &'static str,
    },
    /// The key holder returned something that was not asked for.
    #[error("the key holder returned a statement that was not asked for")]
    WrongSignature,
    /// The input cannot occur in this state: a bug of the driver.
    #[error("{input} cannot occur while the payment is in the state {state}")]
    OutOfPlace {
        /// The state.
        state: &'static str,
        /// The input.
        input: &'static str,
    },
}

impl Blame for PayError {
    fn fault(&self) -> Fault {
        match self {
            PayError::Malformed(_) | PayError::PeerSignature { .. } | PayError::PeerMismatch { .. } => {
                Fault::PeerMisbehaved
            }
            PayError::WrongSignature | PayError::OutOfPlace { .. } => Fault::Misuse,
        }
    }
}

impl Machine for Pay {
    type Input = Input;
    type Effect = Effect;
    type Error = PayError;

    fn handle(self, env: &Env<'_>, input: Input) -> Result<Step<Self>, PayError> {
        let Self { setting, state } = self;
        match (state, input) {
            (State::ToOffer { offer, salt }, Input::Begin) => Ok(setting.offer(env, offer, salt)),
            (State::AwaitRequest { offer, salt }, Input::Message(bytes)) => match read(&bytes)? {
                Message::Request { request, means } => setting.pay(env, &offer, salt, request, &means),
                Message::Refusal(reason) => {
                    // A stranger's words reach a terminal, and the stored state has a bound.
                    let reason: String = escape(&reason, 0).chars().take(REFUSAL_MAX / 4).collect();
                    Ok(setting.end(Ending::Lapsed, &format!("the payee refuses: {reason}")))
                }
                _ => Ok(setting.stay(State::AwaitRequest { offer, salt })),
            },
            (State::ToOffer { .. } | State::AwaitRequest { .. }, Input::GiveUp | Input::Timer(_)) => {
                Ok(setting.end(Ending::Lapsed, "nothing was paid"))
            }
            (State::Paying { request, salt }, Input::Operated(bytes)) => setting.paid(env, request, salt, &bytes),
            (state @ State::Paying { .. }, Input::GiveUp | Input::Timer(_)) => Ok(setting.abandon(state, "pay")),
            (state @ State::Reclaiming { .. }, Input::GiveUp) => Ok(setting.abandon(state, "reclaim")),
            (state @ State::Receiving { .. }, Input::GiveUp) => Ok(setting.abandon(state, "receive")),
            (State::AwaitReceipt { request }, Input::Message(bytes)) => match read(&bytes)? {
                Message::Receipt(receipt) => setting.received(env, &request, &receipt),
                _ => Ok(setting.stay(State::AwaitReceipt { request })),
            },
            (State::AwaitReceipt { request }, Input::GiveUp | Input::Timer(_)) => Ok(setting.reclaim(request)),
            // The receipt comes late: nothing need be taken back.
            (State::Reclaiming { request }, Input::Message(bytes)) => match read(&bytes)? {
                Message::Receipt(receipt) => {
                    let reclaim = Effect::Abandon(*setting.operation("reclaim").as_bytes());
                    Ok(setting.received(env, &request, &receipt)?.with(reclaim))
                }
                _ => Ok(setting.stay(State::Reclaiming { request })),
            },
            (State::Reclaiming { request }, Input::Operated(bytes)) => setting.reclaimed(request, &bytes),
            (State::AwaitOffer, Input::Message(bytes)) => match read(&bytes)? {
                Message::Offer(offer) => Ok(setting.choose(offer)),
                _ => Err(PayError::PeerMismatch { what: "message", why: "a payment begins with an offer" }),
            },
            (State::Expecting { offer, purse, means }, Input::Operated(bytes)) => {
                setting.request(env, offer, purse, means, &bytes)
            }
            (State::AwaitRequestSignature { request, purse }, Input::Signed(signed)) => {
                setting.send_request(env, &request, purse, signed)
            }
            (State::AwaitPayment { request, purse }, Input::Message(bytes)) => match read(&bytes)? {
                Message::Payment { token, .. } => Ok(setting.receive(request, purse, token)),
                _ => Ok(setting.stay(State::AwaitPayment { request, purse })),
            },
            (State::Receiving { request, purse }, Input::Operated(bytes)) => {
                setting.arrived(env, request, purse, &bytes)
            }
            (State::AwaitReceiptSignature { receipt }, Input::Signed(signed)) => {
                setting.send_receipt(env, &receipt, signed)
            }
            // The money has arrived; whoever gives no receipt still has it.
            (State::AwaitReceiptSignature { .. }, Input::Declined { .. } | Input::GiveUp | Input::Timer(_)) => {
                Ok(setting.end(Ending::Success, "paid, without a receipt"))
            }
            (
                State::AwaitOffer
                | State::Expecting { .. }
                | State::AwaitRequestSignature { .. }
                | State::AwaitPayment { .. },
                Input::GiveUp | Input::Timer(_) | Input::Declined { .. },
            ) => Ok(setting.end(Ending::Lapsed, "nothing was paid")),
            (state, Input::Begin) => Err(PayError::OutOfPlace { state: state.name(), input: "begin" }),
            (state, Input::ArbiterSays(_)) => Err(PayError::OutOfPlace { state: state.name(), input: "arbiter says" }),
            // Doubled, late, or overtaken.
            (state, _) => Ok(setting.stay(state)),
        }
    }
}

impl Pay {
    /// The payer's side of a payment that has not begun. `salt` is 32 random bytes.
    pub fn payer(setting: Setting, amount: Amount, purpose: String, anonymity: PayerAnonymity, salt: [u8; 32]) -> Self {
        let demand = Demand { amount, anonymity, lock: None };
        let fits = |offered: &&Offered| demand.misfit(&offered.means).is_none();
        let means = setting.purses.iter().filter(fits).map(|offered| offered.means.clone()).take(MEANS_MAX).collect();
        Self { setting, state: State::ToOffer { offer: Offer { amount, purpose, anonymity, means }, salt } }
    }

    /// The payee's side of a payment that somebody offers.
    pub fn payee(setting: Setting) -> Self {
        Self { setting, state: State::AwaitOffer }
    }

    /// How it ended, if it has, and why in words.
    pub fn ending(&self) -> Option<(Ending, &str)> {
        match &self.state {
            State::Ended { ending, why } => Some((*ending, why)),
            _ => None,
        }
    }

    /// The state's name, as it is stored and shown.
    pub fn state_name(&self) -> &'static str {
        self.state.name()
    }

    /// Whether a payer has offered to pay, and nothing more: no request of the payee's was taken up.
    pub fn awaits_request(&self) -> bool {
        matches!(self.state, State::ToOffer { .. } | State::AwaitRequest { .. })
    }

    /// Whether the next word is the peer's.
    pub fn waits_for_peer(&self) -> bool {
        matches!(
            self.state,
            State::AwaitRequest { .. } | State::AwaitReceipt { .. } | State::AwaitOffer | State::AwaitPayment { .. }
        )
    }

    /// The amount and the purpose, once they are known here.
    pub fn about(&self) -> Option<(Amount, String)> {
        let of = |request: &Signed| {
            let request = PaymentRequest::from_bytes(request.payload()).ok()?;
            Some((request.amount, request.purpose))
        };
        match &self.state {
            State::ToOffer { offer, .. } | State::AwaitRequest { offer, .. } | State::Expecting { offer, .. } => {
                Some((offer.amount, offer.purpose.clone()))
            }
            State::AwaitRequestSignature { request, .. } => Some((request.amount, request.purpose.clone())),
            State::Paying { request, .. }
            | State::AwaitReceipt { request }
            | State::Reclaiming { request }
            | State::AwaitPayment { request, .. }
            | State::Receiving { request, .. } => of(request),
            State::AwaitReceiptSignature { receipt } => Some((receipt.amount, String::new())),
            State::AwaitOffer | State::Ended { .. } => None,
        }
    }
}

impl Setting {
    fn stay(self, state: State) -> Step<Pay> {
        Step::to(Pay { setting: self, state })
    }

    /// The operation is no longer wanted: money on its way decides when it ends.
    fn abandon(self, state: State, verb: &str) -> Step<Pay> {
        let id = *self.operation(verb).as_bytes();
        self.stay(state).with(Effect::Abandon(id))
    }

    fn end(self, ending: Ending, why: &str) -> Step<Pay> {
        let state = State::Ended { ending, why: why.to_owned() };
        self.stay(state).with(Effect::CancelTimer(PATIENCE)).with(Effect::Ended(ending))
    }

    fn operation(&self, verb: &str) -> OperationId {
        OperationId::of(self.deal, Slot::default(), verb)
    }

    fn operate(&self, purse: PurseId, verb: &str, task: Task) -> Effect {
        let operation = Operation { id: self.operation(verb), purse, deal: Some(self.deal), task };
        Effect::Operate(operation.to_bytes())
    }

    fn patience(&self, now: Time) -> Effect {
        Effect::SetTimer { name: PATIENCE, due: now.after(self.patience) }
    }

    fn purse_of(&self, means: &Means) -> Option<PurseId> {
        self.purses.iter().find(|offered| offered.means == *means).map(|offered| offered.purse)
    }

    fn own_means(&self) -> Vec<Means> {
        self.purses.iter().map(|offered| offered.means.clone()).collect()
    }

    fn offer(self, env: &Env<'_>, offer: Offer, salt: [u8; 32]) -> Step<Pay> {
        if offer.means.is_empty() {
            return self.end(Ending::Lapsed, "no purse of yours fits this payment");
        }
        let patience = self.patience(env.now);
        let send = Effect::Send(Message::Offer(offer.clone()).to_bytes());
        self.stay(State::AwaitRequest { offer, salt }).with(send).with(patience)
    }

    /// Payer: takes the payee's request, if it is for what was offered and the choice is the one that both lists give.
    fn pay(
        self,
        env: &Env<'_>,
        offer: &Offer,
        salt: [u8; 32],
        request: Signed,
        their_means: &[Means],
    ) -> Result<Step<Pay>, PayError> {
        let misfit = |why| PayError::PeerMismatch { what: "payment request", why };
        let asked: Verified<PaymentRequest> = verify(env.verify, &self.payee, &request)
            .map_err(|error| PayError::PeerSignature { what: "payment request", error })?;
        let asked = asked.statement();
        if (asked.deal, asked.amount, &asked.purpose) != (self.deal, offer.amount, &offer.purpose) {
            return Err(misfit("it asks for another deal, amount or purpose than was offered"));
        }
        if asked.expires < env.now {
            return Ok(self.end(Ending::Lapsed, "the payment request had expired when it came"));
        }
        let negotiated = negotiate(&offer.demand(), &offer.means, their_means);
        let best = negotiated.fitting.first().ok_or(misfit("it names no means that both sides have"))?;
        if (&best.system, &best.issuer) != (&asked.system, &asked.issuer) {
            return Err(misfit("it names another means than the one that both sides like best"));
        }
        let purse = self.purse_of(best).ok_or(misfit("it names a means that was not offered"))?;
        let operate = self.operate(purse, "pay", Task::Pay { request: request.clone(), salt });
        let keep = Effect::keep(&request);
        let step = self.stay(State::Paying { request, salt });
        Ok(step.with(keep).with(Effect::CancelTimer(PATIENCE)).with(operate))
    }

    fn paid(self, env: &Env<'_>, request: Signed, salt: [u8; 32], bytes: &[u8]) -> Result<Step<Pay>, PayError> {
        match self.answer("pay", bytes)? {
            None => Ok(self.stay(State::Paying { request, salt })),
            Some(Err(failure)) => Ok(self.failed(&failure)),
            Some(Ok(outcome)) => {
                let send = Effect::Send(Message::Payment { token: outcome.handover, salt }.to_bytes());
                let patience = self.patience(env.now);
                Ok(self.stay(State::AwaitReceipt { request }).with(send).with(patience))
            }
        }
    }

    fn received(self, env: &Env<'_>, request: &Signed, signed: &Signed) -> Result<Step<Pay>, PayError> {
        let receipt: Verified<PaymentReceipt> = verify(env.verify, &self.payee, signed)
            .map_err(|error| PayError::PeerSignature { what: "receipt", error })?;
        let asked = PaymentRequest::from_bytes(request.payload()).map_err(PayError::Malformed)?;
        let receipt = receipt.statement();
        if (receipt.deal, receipt.request, receipt.amount) != (self.deal, request.id(), asked.amount) {
            return Err(PayError::PeerMismatch { what: "receipt", why: "it is for another request or amount" });
        }
        Ok(self.end(Ending::Success, "paid, with a receipt").with(Effect::keep(signed)))
    }

    /// Payer: no receipt came. Either the money was taken, which its means can show, or it comes back.
    fn reclaim(self, request: Signed) -> Step<Pay> {
        let asked = PaymentRequest::from_bytes(request.payload()).ok();
        let means = asked.and_then(|asked| {
            let fits = |offered: &&Offered| {
                let Means { system, issuer, currency, .. } = &offered.means;
                (system, issuer, *currency) == (&asked.system, &asked.issuer, asked.amount.currency())
            };
            self.purses.iter().find(fits).map(|offered| offered.purse)
        });
        let Some(purse) = means else {
            return self.end(Ending::Unconfirmed, "paid, without a receipt");
        };
        let operate = self.operate(purse, "reclaim", Task::Reclaim(self.operation("pay")));
        self.stay(State::Reclaiming { request }).with(operate)
    }

    fn reclaimed(self, request: Signed, bytes: &[u8]) -> Result<Step<Pay>, PayError> {
        match self.answer("reclaim", bytes)? {
            None => Ok(self.stay(State::Reclaiming { request })),
            Some(Ok(outcome)) if outcome.moved.minor() > 0 => {
                Ok(self.end(Ending::Aborted, "the payee did not take the money; it is back in your purse"))
            }
            Some(Ok(_)) => {
                Ok(self.end(Ending::Success, "the payee took the money and gave no receipt; the proof is kept"))
            }
            Some(Err(failure)) => {
                Ok(self.end(Ending::Unconfirmed, &format!("paid, without a receipt, and not taken back: {failure}")))
            }
        }
    }

    /// Payee: chooses the means and makes it ready, or says why none fits.
    fn choose(self, offer: Offer) -> Step<Pay> {
        let negotiated = negotiate(&offer.demand(), &offer.means, &self.own_means());
        let chosen = negotiated.fitting.first().and_then(|best| {
            let same = |offered: &&Offered| {
                let means = &offered.means;
                (&means.system, &means.issuer, means.currency) == (&best.system, &best.issuer, best.currency)
            };
            self.purses.iter().find(same).cloned()
        });
        let Some(Offered { purse, means }) = chosen else {
            let reason = refusal(&negotiated.left_out);
            let send = Effect::Send(Message::Refusal(reason.clone()).to_bytes());
            let step = self.end(Ending::Lapsed, &format!("no means of payment fits: {reason}"));
            return Step { state: step.state, effects: [vec![send], step.effects].concat() };
        };
        let operate = self.operate(purse, "expect", Task::Expect(offer.amount));
        self.stay(State::Expecting { offer, purse, means: Box::new(means) }).with(operate)
    }

    fn request(
        self,
        env: &Env<'_>,
        offer: Offer,
        purse: PurseId,
        means: Box<Means>,
        bytes: &[u8],
    ) -> Result<Step<Pay>, PayError> {
        let outcome = match self.answer("expect", bytes)? {
            None => return Ok(self.stay(State::Expecting { offer, purse, means })),
            Some(Ok(outcome)) => outcome,
            Some(Err(failure)) => {
                let send = Effect::Send(Message::Refusal("the payee cannot be paid now".to_owned()).to_bytes());
                let step = self.failed(&failure);
                return Ok(Step { state: step.state, effects: [vec![send], step.effects].concat() });
            }
        };
        let request = PaymentRequest {
            deal: self.deal,
            amount: offer.amount,
            purpose: offer.purpose,
            system: means.system,
            issuer: means.issuer,
            details: outcome.handover,
            expires: env.now.after(REQUEST_LIFETIME),
        };
        let draft = request.draft(self.payee.suite(), self.payee.id());
        let step = self.stay(State::AwaitRequestSignature { request, purse });
        Ok(step.with(Effect::Sign { draft, consent: Consent::Implied }))
    }

    fn send_request(
        self,
        env: &Env<'_>,
        request: &PaymentRequest,
        purse: PurseId,
        signed: Signed,
    ) -> Result<Step<Pay>, PayError> {
        if !answers(env.verify, &self.payee, &request.draft(self.payee.suite(), self.payee.id()), &signed) {
            return Err(PayError::WrongSignature);
        }
        let send = Effect::Send(Message::Request { request: signed.clone(), means: self.own_means() }.to_bytes());
        let expires = Effect::SetTimer { name: PATIENCE, due: request.expires };
        let keep = Effect::keep(&signed);
        Ok(self.stay(State::AwaitPayment { request: signed, purse }).with(keep).with(send).with(expires))
    }

    fn receive(self, request: Signed, purse: PurseId, token: Vec<u8>) -> Step<Pay> {
        let operate = self.operate(purse, "receive", Task::Receive { request: request.clone(), token });
        self.stay(State::Receiving { request, purse }).with(Effect::CancelTimer(PATIENCE)).with(operate)
    }

    fn arrived(self, env: &Env<'_>, request: Signed, purse: PurseId, bytes: &[u8]) -> Result<Step<Pay>, PayError> {
        let outcome = match self.answer("receive", bytes)? {
            None => return Ok(self.stay(State::Receiving { request, purse })),
            Some(Ok(outcome)) => outcome,
            Some(Err(failure)) => return Ok(self.failed(&failure)),
        };
        let receipt = PaymentReceipt { deal: self.deal, request: request.id(), amount: outcome.moved, time: env.now };
        let draft = receipt.draft(self.payee.suite(), self.payee.id());
        let step = self.stay(State::AwaitReceiptSignature { receipt });
        Ok(step.with(Effect::Sign { draft, consent: Consent::Implied }))
    }

    fn send_receipt(self, env: &Env<'_>, receipt: &PaymentReceipt, signed: Signed) -> Result<Step<Pay>, PayError> {
        if !answers(env.verify, &self.payee, &receipt.draft(self.payee.suite(), self.payee.id()), &signed) {
            return Err(PayError::WrongSignature);
        }
        let effects = [Effect::keep(&signed), Effect::Send(Message::Receipt(signed).to_bytes())];
        let step = self.end(Ending::Success, "paid, with a receipt");
        Ok(Step { state: step.state, effects: [effects.to_vec(), step.effects].concat() })
    }

    fn failed(self, failure: &Failure) -> Step<Pay> {
        let ending = match failure.money {
            Money::NotMoved | Money::Returned => Ending::Lapsed,
            Money::Unknown => Ending::Unconfirmed,
        };
        self.end(ending, &failure.to_string())
    }

    /// The end of the operation that is under way; nothing if it is that of an earlier one.
    fn answer(&self, verb: &str, bytes: &[u8]) -> Result<Option<Result<Outcome, Failure>>, PayError> {
        let answer = Answer::from_bytes(bytes).map_err(PayError::Malformed)?;
        Ok((answer.id == self.operation(verb)).then_some(answer.result))
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::ToOffer { .. } => "to-offer",
            State::AwaitRequest { .. } => "await-request",
            State::Paying { .. } => "paying",
            State::AwaitReceipt { .. } => "await-receipt",
            State::Reclaiming { .. } => "reclaiming",
            State::AwaitOffer => "await-offer",
            State::Expecting { .. } => "expecting",
            State::AwaitRequestSignature { .. } => "await-request-signature",
            State::AwaitPayment { .. } => "await-payment",
            State::Receiving { .. } => "receiving",
            State::AwaitReceiptSignature { .. } => "await-receipt-signature",
            State::Ended { .. } => "ended",
        }
    }
}

fn read(bytes: &[u8]) -> Result<Message, PayError> {
    Message::from_bytes(bytes).map_err(PayError::Malformed)
}

/// Why no means fits, in one line.
fn refusal(left_out: &[super::negotiation::LeftOut]) -> String {
    let mut reason: String = left_out
        .iter()
        .map(|left| format!("{} at {}: {}", left.means.system, left.means.issuer, left.reason))
        .collect::<Vec<_>>()
        .join("; ");
    if reason.is_empty() {
        reason.push_str("the payee has no purse");
    }
    reason.chars().filter(|c| !c.is_control()).take(REFUSAL_MAX / 4).collect()
}

impl Encode for Offered {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.purse).put_item(1, &self.means).build()
    }
}

impl Decode for Offered {
    const BYTES_MAX: usize = Means::BYTES_MAX + 64;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let offered = Self { purse: fields.item(0, "purse")?, means: fields.item(1, "means")? };
        fields.close()?;
        Ok(offered)
    }
}

/// ```text
/// pay = { 0: 1, 1: deal, 2: payer's key set, 3: payee's key set, 4: [* offered], 5: patience, 6: state name, ? 7: offer, ? 8: salt,
///         ? 9: signed request, ? 10: purse, ? 11: means, ? 12: request, ? 13: receipt, ? 14: ending, ? 15: why }
/// ```
impl Encode for Pay {
    fn to_value(&self) -> Value {
        let Setting { deal, payer, payee, purses, patience } = &self.setting;
        let pay = record()
            .put(0, 1_u64)
            .put_item(1, deal)
            .put_item(2, payer)
            .put_item(3, payee)
            .put_list(4, purses)
            .put_item(5, patience)
            .put(6, self.state.name());
        match &self.state {
            State::ToOffer { offer, salt } | State::AwaitRequest { offer, salt } => {
                pay.put_item(7, offer).put_bytes(8, salt)
            }
            State::Paying { request, salt } => pay.put_bytes(8, salt).put_item(9, request),
            State::AwaitReceipt { request } | State::Reclaiming { request } => pay.put_item(9, request),
            State::AwaitOffer => pay,
            State::Expecting { offer, purse, means } => {
                pay.put_item(7, offer).put_item(10, purse).put_item(11, &**means)
            }
            State::AwaitRequestSignature { request, purse } => pay.put_item(10, purse).put_item(12, request),
            State::AwaitPayment { request, purse } | State::Receiving { request, purse } => {
                pay.put_item(9, request).put_item(10, purse)
            }
            State::AwaitReceiptSignature { receipt } => pay.put_item(13, receipt),
            State::Ended { ending, why } => pay.put_item(14, ending).put(15, why.as_str()),
        }
        .build()
    }
}

impl Decode for Pay {
    const BYTES_MAX: usize = 256 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let setting = Setting {
            deal: fields.item(1, "deal")?,
            payer: fields.item(2, "payer")?,
            payee: fields.item(3, "payee")?,
            purses: fields.list(4, "purses", MEANS_MAX)?,
            patience: fields.item(5, "patience")?,
        };
        let name = fields.text(6, "state", 32)?;
        let f = &mut fields;
        let state = match name.as_str() {
            "to-offer" => State::ToOffer { offer: f.item(7, "offer")?, salt: f.exact(8, "salt")? },
            "await-request" => State::AwaitRequest { offer: f.item(7, "offer")?, salt: f.exact(8, "salt")? },
            "paying" => State::Paying { request: f.item(9, "request")?, salt: f.exact(8, "salt")? },
            "await-receipt" => State::AwaitReceipt { request: f.item(9, "request")? },
            "reclaiming" => State::Reclaiming { request: f.item(9, "request")? },
            "await-offer" => State::AwaitOffer,
            "expecting" => State::Expecting {
                offer: f.item(7, "offer")?,
                purse: f.item(10, "purse")?,
                means: Box::new(f.item(11, "means")?),
            },
            "await-request-signature" => {
                State::AwaitRequestSignature { request: f.item(12, "request")?, purse: f.item(10, "purse")? }
            }
            "await-payment" => State::AwaitPayment { request: f.item(9, "request")?, purse: f.item(10, "purse")? },
            "receiving" => State::Receiving { request: f.item(9, "request")?, purse: f.item(10, "purse")? },
            "await-receipt-signature" => State::AwaitReceiptSignature { receipt: f.item(13, "receipt")? },
            "ended" => State::Ended { ending: f.item(14, "ending")?, why: f.text(15, "why", 2 * REFUSAL_MAX)? },
            _ => return Err(DecodeError::field("state", Problem::Unknown { what: "state", found: name })),
        };
        fields.close()?;
        Ok(Self { setting, state })
    }
}

//! Money that goes through the arbiter's hands: its purses hold it for a while.
//!
//! The rule is [`semper_exchange::arbiter::hands`]. What it looks at is the record of the contract, a versioned state, and what became of the payment operations that the record says were begun. A
//! ruling is one commit: the record, the verdict with its place in the log, and the intents of all operations that follow. From then on the payment manager drives them, also after a
//! crash; whoever asks next brings the record up to what they came to. So there is nothing to recover, and nothing is begun that is not stored.

use semper_core::cose::{Signed, Statement as _};
use semper_core::ids::DealId;
use semper_core::party::{KeySet, Role};
use semper_core::time::Seconds;
use semper_exchange::arbiter::hands::{Answer, Case, Duty, Event, Hands, Ruling, rule};
use semper_exchange::arbiter::log::{self, LogReceipt};
use semper_exchange::arbiter::request::Request;
use semper_exchange::arbiter::verdict::ArbiterAnswer;
use semper_exchange::gx::{Handed, Price};
use semper_support::archive::Fact;
use semper_transfer::payment::journal::Entry;
use semper_transfer::payment::operation::{self, Operation, OperationId, Task};
use semper_transfer::payment::statement::{PaymentRequest, order_hash};
use semper_vault::rules::DUE_SPACE;
use tokio::time::Instant;

use super::money::{MoneyError, PATIENCE};
use super::register::{Decided, Written};
use super::{Arbiter, DecideError, TRIES};

/// How long after a payment has failed it is begun again, at the earliest.
const REST: Seconds = Seconds(60);

const ROLES: [Role; 2] = [Role::ORIGINATOR, Role::RESPONDER];

/// How an operation of the arbiter's stands.
enum Ended {
    /// It has not ended, or was never begun.
    Not,
    /// Well; what it hands over.
    Well(Vec<u8>),
    /// It has failed, and the money is where it was.
    Unmoved,
}

impl Arbiter {
    /// Decides a question about a contract that goes through the arbiter's hands, and says how it stands once everything is known that the asker waits for.
    pub(super) async fn decide_hands(
        &self,
        deal: DealId,
        request: &Request,
        bytes: &[u8],
    ) -> Result<Answer, DecideError> {
        if !self.parts.in_line {
            return Err(MoneyError::Refused("this arbiter takes no money into its hands".to_owned()).into());
        }
        let me = self.parts.keys.key_set();
        let case = self.court(&me, &[]).check_hands(request)?;
        let until = Instant::now() + PATIENCE;
        let mut heard = false;
        for _ in 0..TRIES {
            // Before what issuers have said is looked at: nothing that is seen later is written down as older than a verdict.
            let now = (self.parts.clock)();
            let not_after = case.core().terms.deadlines.not_after;
            let Some((hands, version)) = self.register.hands(case.cid()).await? else {
                if now > not_after {
                    let statement = Some(self.sign(deal, case.unused(&me, now)).await?);
                    let (requests, receipts, token) = (Vec::new(), Vec::new(), Vec::new());
                    return Ok(Answer { requests, receipts, statement, log: None, token, question: case.question() });
                }
                let opened = self.open(&case).await?;
                // Whoever was first has opened it: the details are those of one operation for each party.
                let opening = self.register.open_hands(case.cid(), &opened, not_after);
                opening.await.map_err(DecideError::Commit)?;
                continue;
            };
            let event = match self.news(&case, &hands).await? {
                Some(event) => event,
                None if !heard => Event::Asked(case.by(), case.asked().clone()),
                None => {
                    if let Some(answer) = self.said(deal, &case, &hands, &me).await? {
                        return Ok(answer);
                    }
                    if !self.is_under_way(&case, &hands, until).await? {
                        return Err(MoneyError::Awaited.into());
                    }
                    continue;
                }
            };
            let asked = matches!(event, Event::Asked(..));
            let ruling = rule(&hands, event, not_after, now);
            if asked && ruling.begin.is_empty() && ruling.outcome.is_none() {
                heard = true;
                continue;
            }
            if self.carry_out(deal, &case, (&ruling, version), bytes, &me).await? == Written::Stored {
                heard |= asked;
            }
        }
        Err(DecideError::Busy)
    }

    /// Makes both purses ready to be paid.
    async fn open(&self, case: &Case) -> Result<Hands, DecideError> {
        let mut details = Vec::new();
        for owner in ROLES {
            let asked = &case.gives(owner).asked;
            let (cid, about) = (case.cid(), owner.to_string());
            let made = self.money.perform(cid, &price(asked), &[about.as_bytes()], Task::Expect(asked.amount)).await?;
            details.push(made.handover);
        }
        let details = details.try_into().expect("one for each party");
        Ok(Hands::new(details, (self.parts.clock)()))
    }

    /// What became of an operation that the record says is under way.
    async fn news(&self, case: &Case, hands: &Hands) -> Result<Option<Event>, DecideError> {
        for role in ROLES {
            if let Some(taking) = hands.taking(case.cid(), role) {
                match self.ended(taking).await? {
                    Ended::Well(_) => return Ok(Some(Event::Taken(role))),
                    Ended::Unmoved => return Ok(Some(Event::Refused(role))),
                    Ended::Not => {}
                }
            }
            let Some(paying) = hands.paying(case.cid(), role) else { continue };
            if matches!(self.ended(paying).await?, Ended::Unmoved) && self.has_rested(paying).await? {
                return Ok(Some(Event::Unpaid(role)));
            }
        }
        Ok(None)
    }

    async fn ended(&self, id: OperationId) -> Result<Ended, DecideError> {
        let end = self.parts.payments.end_of(id, std::time::Duration::ZERO).await.map_err(MoneyError::from)?;
        Ok(match end.map(|answer| answer.result) {
            None => Ended::Not,
            Some(Ok(outcome)) => Ended::Well(outcome.handover),
            Some(Err(failure)) if failure.money == operation::Money::Unknown => {
                // Nothing here can tell whether money moved: trying again could pay twice.
                tracing::error!(operation = %id, %failure, "a payment through the arbiter's hands needs its operator");
                Ended::Not
            }
            Some(Err(failure)) => {
                tracing::warn!(operation = %id, %failure, "a payment through the arbiter's hands was refused");
                Ended::Unmoved
            }
        })
    }

    async fn has_rested(&self, id: OperationId) -> Result<bool, DecideError> {
        let view = self.parts.payments.operation(id).await.map_err(MoneyError::from)?;
        Ok(crate::node::now() >= view.entry.touched.after(REST))
    }

    /// Stores a ruling with all that follows from it, in one commit.
    async fn carry_out(
        &self,
        deal: DealId,
        case: &Case,
        (ruling, version): (&Ruling, u64),
        request: &[u8],
        me: &KeySet,
    ) -> Result<Written, DecideError> {
        let (mut log, replaces) = self.register.log().await?;
        let verdict = match case.verdict(ruling, me, log.size()) {
            Some(draft) => {
                let statement = self.sign(deal, draft).await?;
                let (head, inclusion) =
                    log::add(&mut log, &statement, ruling.hands.time).map_err(|_| DecideError::LogFull)?;
                let head = self.sign(deal, head.draft(me.suite(), me.id())).await?;
                let log = Some(LogReceipt { head, inclusion });
                Some(ArbiterAnswer { log, ..ArbiterAnswer::of(statement) })
            }
            None => None,
        };
        let mut intents = Vec::new();
        let mut due = Vec::new();
        for duty in &ruling.begin {
            let (operation, fact) = self.operation(deal, case, &ruling.hands, duty, me).await?;
            intents.push(Entry::intent(operation, None, crate::node::now()));
            due.extend(fact);
        }
        let decided = verdict.as_ref().map(|answer| Decided { log: (&log, replaces), request, answer });
        let hands = (&ruling.hands, version);
        let written = self.register.write_hands(case.cid(), hands, decided, &intents, due).await;
        let written = written.map_err(DecideError::Commit)?;
        if written == Written::Stored {
            tracing::info!(cid = %case.cid(), outcome = ?ruling.outcome, begun = intents.len(), "ruled on money in hand");
            self.parts.payments.look();
        }
        Ok(written)
    }

    /// The operation of a duty, with what lets its order be signed.
    async fn operation(
        &self,
        deal: DealId,
        case: &Case,
        hands: &Hands,
        duty: &Duty,
        me: &KeySet,
    ) -> Result<(Operation, Option<Fact>), DecideError> {
        let missing = || MoneyError::Refused("the record does not say what is paid".to_owned());
        let (id, asked, task, fact) = match duty {
            Duty::Take(by, token) => {
                let request = self.sign(deal, case.request(hands, *by, me)).await?;
                let task = Task::Receive { request, token: token.clone() };
                (hands.taking(case.cid(), *by), case.gives(*by).asked.clone(), task, None)
            }
            Duty::Pay(to) => {
                let task = case.payment(hands, *to).ok_or_else(missing)?;
                let Task::Pay { request, salt } = &task else { return Err(missing().into()) };
                let key = order_hash(request.id(), salt).as_bytes().to_vec();
                let fact = Fact { space: DUE_SPACE.to_owned(), key, value: request.id().as_bytes().to_vec() };
                let gives = [case.gives(*to), case.gives(to.peer())];
                let asked =
                    gives.into_iter().find(|handed: &&Handed| handed.back == *request || handed.onward == *request);
                let asked = asked.ok_or_else(missing)?.asked.clone();
                (hands.paying(case.cid(), *to), asked, task, Some(fact))
            }
        };
        let purse = self.money.purse(&price(&asked)).await?;
        Ok((Operation { id: id.ok_or_else(missing)?, purse, deal: None, task }, fact))
    }

    /// How it stands, unless the asker has to wait for a decision, an issuer or a payment.
    async fn said(&self, deal: DealId, case: &Case, hands: &Hands, me: &KeySet) -> Result<Option<Answer>, DecideError> {
        if hands.is_awaited(case.by(), case.asked()) {
            return Ok(None);
        }
        let token = match hands.paying(case.cid(), case.by()).filter(|_| hands.is_due(case.by())) {
            Some(paying) => match self.ended(paying).await? {
                Ended::Well(token) => token,
                Ended::Not | Ended::Unmoved => return Ok(None),
            },
            None => Vec::new(),
        };
        let (mut requests, mut receipts) = (Vec::new(), Vec::new());
        for owner in ROLES {
            requests.push(self.sign(deal, case.request(hands, owner, me)).await?);
            if let Some(receipt) = case.receipt(hands, owner, me) {
                receipts.push(self.sign(deal, receipt).await?);
            }
        }
        let verdict = self.register.verdict_of_hands(case.cid()).await?;
        let (statement, log): (Option<Signed>, _) = match verdict {
            Some(ArbiterAnswer { statement, log, .. }) => (Some(statement), log),
            None => (None, None),
        };
        Ok(Some(Answer { requests, receipts, statement, log, token, question: case.question() }))
    }

    /// Waits for an operation that the asker waits for. Whether there is one, and there was time.
    async fn is_under_way(&self, case: &Case, hands: &Hands, until: Instant) -> Result<bool, DecideError> {
        let (cid, by) = (case.cid(), case.by());
        let Some(id) = hands.taking(cid, by).or_else(|| hands.paying(cid, by)) else { return Ok(false) };
        let left = until.saturating_duration_since(Instant::now());
        let end = self.parts.payments.end_of(id, left).await.map_err(MoneyError::from)?;
        Ok(end.is_some_and(|answer| answer.result.is_ok() || hands.taking(cid, by).is_some()) && Instant::now() < until)
    }
}

/// At which issuer a request is paid.
fn price(asked: &PaymentRequest) -> Price {
    let PaymentRequest { amount, system, issuer, .. } = asked.clone();
    Price { amount, system, issuer, lock: None }
}

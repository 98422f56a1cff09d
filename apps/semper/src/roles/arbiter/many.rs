//! Contracts that many parties sign: one party's question at a time, each answered for ever.
//!
//! The rule is [`semper_exchange::arbiter::many`]. What it looks at is the record of the contract, a versioned state: of two questions
//! at once, one finds another record than it has looked at, and is decided again.

use semper_core::cbor::Decode as _;
use semper_core::cose::{Signed, Statement as _};
use semper_core::ids::DealId;
use semper_exchange::arbiter::log::{self, LogReceipt};
use semper_exchange::arbiter::many::{Answer, Case, Next, Record, Request, cell_key, decide};

use super::register::Written;
use super::{Arbiter, DecideError, TRIES};

impl Arbiter {
    /// Decides a party's question, or finds what was decided: the same bytes for ever.
    pub(super) async fn decide_many(&self, deal: DealId, bytes: &[u8]) -> Result<Answer, DecideError> {
        let request = Request::from_bytes(bytes)?;
        let me = self.parts.keys.key_set();
        let case = self.court(&me, &[]).check_many(&request)?;
        for _ in 0..TRIES {
            let (record, version) = self.register.record(case.cid()).await?;
            let (mut log, log_version) = self.register.log().await?;
            let (draft, after) = match decide(&record, &case, &me, log.size(), (self.parts.clock)()) {
                Next::AnswerStored(role) => {
                    let stands = self.register.answer_of_many(&cell_key(case.cid(), role)).await?;
                    return stands.ok_or(DecideError::Busy);
                }
                Next::SignAndAnswer(draft) => {
                    let statement = self.sign(deal, draft).await?;
                    return Ok(Answer { statement, sheet: Vec::new(), asks: Vec::new(), log: None });
                }
                Next::SignAndStore(draft, after) => (draft, after),
            };
            let asks = self.questions(&case, &record).await?;
            let statement = self.sign(deal, draft).await?;
            let (head, inclusion) =
                log::add(&mut log, &statement, (self.parts.clock)()).map_err(|_| DecideError::LogFull)?;
            let head = self.sign(deal, head.draft(me.suite(), me.id())).await?;
            let sheet = if after.resolved.is_some() { request.sheet.clone() } else { Vec::new() };
            let answer = Answer { statement, sheet, asks, log: Some(LogReceipt { head, inclusion }) };
            let cell = cell_key(case.cid(), case.by());
            let place = (case.cid(), cell.as_slice());
            match self.register.write_many(place, (&log, log_version), (&after, version), bytes, &answer).await {
                Ok(Written::Stored) => {
                    tracing::info!(cid = %case.cid(), by = %case.by(), round = case.round(), "decided");
                    return Ok(answer);
                }
                Ok(Written::Overtaken) => {}
                Err(error) => return Err(DecideError::Commit(error)),
            }
        }
        Err(DecideError::Busy)
    }

    /// The questions of those who were refused, for whoever is to follow the decision.
    async fn questions(&self, case: &Case, record: &Record) -> Result<Vec<Signed>, DecideError> {
        let mut questions = Vec::new();
        for asker in record.askers() {
            let request = self.register.request_of_many(&cell_key(case.cid(), asker.role)).await?;
            questions.push(request.ok_or(DecideError::Busy)?.question);
        }
        Ok(questions)
    }
}

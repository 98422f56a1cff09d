//! Notices about a deal's contract on the control interface: withdrawal, dispute, answer; and what they mean for the deal.

use serde::{Deserialize, Serialize};

use super::{DealView, FileView};

/// Our user withdraws from a deal's contract.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WithdrawOrder {
    /// Our user's words; empty if there are none.
    #[serde(default)]
    pub words: String,
    /// Where the withdrawal is to be acknowledged, in words; at our inbox if empty.
    #[serde(default)]
    pub channel: String,
}

/// Our user disputes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DisputeOrder {
    /// What is claimed, in the language of claims.
    #[serde(default)]
    pub claims: Vec<String>,
    /// Our user's words; empty if there are none.
    #[serde(default)]
    pub words: String,
    /// What is wanted, in words; empty if nothing is said.
    #[serde(default)]
    pub relief: String,
    /// How much money is wanted: `12.00 EUR`; empty if none is named.
    #[serde(default)]
    pub amount: String,
    /// Until when an answer is expected, in seconds since 1970.
    pub answer_by: u64,
    /// Whether what we can prove goes along.
    pub evidence: bool,
}

/// Our user answers the last dispute of the other party that has no answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplyOrder {
    /// What is answered: `acknowledge`, `deny`, `no-contest`.
    pub how: String,
    /// Our user's words; empty if there are none.
    #[serde(default)]
    pub words: String,
    /// Whether what we can prove goes along.
    pub evidence: bool,
}

/// What a deal that carries a notice is told about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldView {
    /// What it says: `withdrawal`, `dispute`, `answer`; `unreadable` if that cannot be read.
    pub saying: String,
    /// The deal that it is about; none if it is about no contract of ours with its sender, so that it is mail like any other.
    pub about: Option<String>,
}

/// A notice about a deal's contract, for the screen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NoticeView {
    /// The deal by which it travels.
    pub carrier: String,
    /// What it says: `withdrawal`, `dispute`, `answer`.
    pub saying: String,
    /// Whether it is ours.
    pub ours: bool,
    /// When it was written, by the clock of who wrote it, in seconds since 1970.
    pub written: u64,
    /// Where it stands: `asks` (our signature on it is awaited; or on its acknowledgement, if it is not ours), `on-its-way`, `delivered`,
    /// `acknowledged`, `given-up` (before it was delivered), `came`.
    pub state: String,
    /// When the other party's inbox took it, by that inbox's signed receipt, in seconds since 1970.
    pub delivered: Option<u64>,
    /// When the other party signed that it has it, or we did, in seconds since 1970.
    pub acknowledged: Option<u64>,
    /// The sender's words; empty if there are none.
    pub words: String,
    /// Of a withdrawal: the sender's name.
    pub name: Option<String>,
    /// Of a withdrawal: where it is to be acknowledged.
    pub channel: Option<String>,
    /// Of a dispute: what is claimed.
    pub claims: Vec<String>,
    /// Of a dispute: what is wanted.
    pub relief: Option<String>,
    /// Of a dispute: how much money is wanted.
    pub amount: Option<String>,
    /// Of a dispute: until when an answer is expected, in seconds since 1970.
    pub answer_by: Option<u64>,
    /// Of a dispute: what was answered, `acknowledge`, `deny`, `no-contest`. Of an answer: the same.
    pub how: Option<String>,
    /// The files that go along as evidence.
    pub enclosed: Vec<FileView>,
    /// Why it does not go on.
    pub trouble: Option<String>,
}

/// What the notices about a deal mean for it now. Times are in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern<'a> {
    /// A notice of ours waits for our signature.
    Asks(&'a str),
    /// We have withdrawn, and the other party's inbox has it since; or it is on its way.
    Withdrawn(Option<u64>),
    /// The other party has withdrawn.
    WithdrawnByPeer(u64),
    /// The other party disputes; our answer is due by this time.
    AnswerDue(u64),
    /// The other party disputes, and our answer was due by this time.
    AnswerOverdue(u64),
    /// We dispute; the other party's answer is due by this time.
    AwaitsAnswer(u64),
    /// We dispute, and the other party has not answered by this time.
    Silent(u64),
    /// We have answered the other party's dispute.
    Answered(&'a str),
    /// The other party has answered our dispute.
    AnsweredByPeer(&'a str),
}

impl<'a> Concern<'a> {
    /// What concerns a deal at a time: withdrawals, and the last dispute of each side.
    pub fn all(deal: &'a DealView, now: u64) -> Vec<Self> {
        let given = deal.notices.iter().filter(|notice| notice.state != "given-up");
        let asks = given.clone().filter(|notice| notice.ours && notice.state == "asks");
        let of = |saying: &'static str, ours: bool| {
            let is = move |notice: &&NoticeView| {
                notice.saying == saying && notice.ours == ours && !(ours && notice.state == "asks")
            };
            given.clone().rfind(is)
        };
        let withdrawn = of("withdrawal", true).map(|notice| Concern::Withdrawn(notice.delivered));
        let by_peer = of("withdrawal", false).map(|notice| Concern::WithdrawnByPeer(notice.written));
        let received = of("dispute", false).map(|notice| match (notice.how.as_deref(), notice.answer_by) {
            (Some(how), _) => Concern::Answered(how),
            (None, Some(by)) if by < now => Concern::AnswerOverdue(by),
            (None, by) => Concern::AnswerDue(by.unwrap_or(now)),
        });
        let opened = of("dispute", true).map(|notice| match (notice.how.as_deref(), notice.answer_by) {
            (Some(how), _) => Concern::AnsweredByPeer(how),
            (None, Some(by)) if by < now => Concern::Silent(by),
            (None, by) => Concern::AwaitsAnswer(by.unwrap_or(now)),
        });
        let asks = asks.map(|notice| Concern::Asks(&notice.saying));
        asks.chain(received).chain(opened).chain(withdrawn).chain(by_peer).collect()
    }
}

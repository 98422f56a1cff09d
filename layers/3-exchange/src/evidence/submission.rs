//! Proofs of submission in a case: which signed statements and containers were in a message that the recipient's agent has taken.

use semper_core::cbor::{Decode, DecodeError, Problem};
use semper_core::container::Container;
use semper_core::cose::Signed;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{ContainerId, DealId, KeySetId, StatementId};
use semper_core::signature::Verify;
use semper_support::submission::{Handed, ReadSubmissions, Submitted};
use semper_transfer::tx;

use super::fact::{Dated, Fact, Source, Subject, What};
use super::notice::notice_about;
use super::report::{Finding, HandedIn};
use super::verify::Pool;
use crate::{cn, gx, lx};

/// Most proofs of submission that are read of one case: each is a message that is sealed again.
const SUBMISSIONS_MAX: usize = 256;

impl Pool {
    /// Reads what was handed in. What proves nothing, whatever receipts there are, is a finding.
    pub(super) fn read_submissions(&mut self, verifier: &dyn Verify, reader: &dyn ReadSubmissions, deal: DealId) {
        for (place, (item, bytes)) in std::mem::take(&mut self.submissions).into_iter().enumerate() {
            let read = match place < SUBMISSIONS_MAX {
                true => reader.read(&bytes, &self.inbox_receipts),
                false => Err(format!("at most {SUBMISSIONS_MAX} are read")),
            };
            let proof = Digest::of(domain::PROOF, &bytes);
            match read.and_then(|submitted| self.submission(verifier, deal, submitted, proof)) {
                Ok(submission) if !self.submitted.contains(&submission) => self.submitted.push(submission),
                Ok(_) => {}
                Err(reason) => self.findings.push(Finding::Submission { item, reason }),
            }
        }
    }

    fn submission(
        &self,
        verifier: &dyn Verify,
        deal: DealId,
        submitted: Submitted,
        proof: Digest,
    ) -> Result<HandedIn, String> {
        let Submitted { recipient, deal: of, message, handed } = submitted;
        let Contents { statements, container } =
            Contents::of(&message).map_err(|error| format!("the recipient could not read the message: {error}"))?;
        // A notice about the deal travels in a deal of its own.
        let told = |have: &Container| Some(have.id()) == container && notice_about(have, deal).is_some();
        if of != deal && !self.containers.iter().any(told) {
            return Err(format!("the message belongs to the deal {of}"));
        }
        // What was handed in is the statement with its signature: one that does not hold is worth nothing to the recipient.
        if let Some(reason) = statements.iter().find_map(|signed| self.signature_problem(verifier, signed)) {
            return Err(reason);
        }
        let statements = statements.iter().map(|signed| (signed.id(), signed.kind())).collect();
        Ok(HandedIn { statements, container, recipient, handed, proof })
    }

    /// Every time that a statement was handed in for somebody, with what shows it.
    pub(super) fn handed_in(&self, statement: StatementId, recipient: KeySetId) -> Vec<(Dated, Vec<Digest>)> {
        let with_it = |s: &&HandedIn| s.recipient == recipient && s.statements.iter().any(|(id, _)| *id == statement);
        let shown = |s: &HandedIn| {
            let (dated, mut evidence) = shown_by(s, s.handed.as_ref()?);
            evidence.push(*statement.digest());
            Some((dated, evidence))
        };
        self.submitted.iter().filter(with_it).filter_map(shown).collect()
    }

    /// That a container was handed in, for whomever: no contract says who was to get it.
    pub(super) fn container_handed_in(&self, container: ContainerId) -> Vec<Fact> {
        let with_it = self.submitted.iter().filter(|submission| submission.container == Some(container));
        let handed = with_it.filter_map(|submission| {
            let (dated, mut evidence) = shown_by(submission, submission.handed.as_ref()?);
            let what = What::SubmittedContainer(submission.recipient);
            evidence.push(*submission.recipient.digest());
            evidence.sort_unstable();
            Some(Fact { about: Subject::Transfer(container), what, dated: Some(dated), evidence })
        });
        handed.collect()
    }
}

fn shown_by(submission: &HandedIn, handed: &Handed) -> (Dated, Vec<Digest>) {
    let dated = Dated { time: handed.time, source: Source::Claimed };
    (dated, vec![submission.proof, *handed.receipt.digest(), *handed.card.digest()])
}

/// What a message of a deal's engine holds, as far as somebody has signed it or it can be named.
struct Contents {
    statements: Vec<Signed>,
    container: Option<ContainerId>,
}

impl Contents {
    /// Reads a message as the engine does that it is for; the engines' messages cannot be taken for each other.
    fn of(message: &[u8]) -> Result<Self, DecodeError> {
        let signed = |statements: Vec<Signed>| Ok(Self { statements, container: None });
        if let Ok(message) = tx::Message::from_bytes(message) {
            return match message {
                tx::Message::Ack(ack) => signed(vec![ack]),
                tx::Message::Container { container, origin } => {
                    let container = Container::from_bytes(&container)?.id();
                    Ok(Self { statements: origin.into_iter().collect(), container: Some(container) })
                }
            };
        }
        if let Ok(message) = gx::Message::from_bytes(message) {
            return match message {
                gx::Message::Promise(promised) => signed(vec![promised.promise]),
                gx::Message::Final(completed) => signed(vec![completed.completion]),
                gx::Message::Quittance(quittance) => signed(vec![quittance]),
                gx::Message::Decline(_) => signed(Vec::new()),
            };
        }
        match (cn::Message::from_bytes(message), lx::Message::from_bytes(message)) {
            (Ok(cn::Message::Round(round)), _) => signed(vec![round]),
            (_, Ok(lx::Message::Promise(promised))) => signed(vec![promised.promise]),
            (Ok(cn::Message::Decline(_)), _) | (_, Ok(lx::Message::Preimage(_) | lx::Message::Decline(_))) => {
                signed(Vec::new())
            }
            (Err(_), Err(_)) => {
                Err(DecodeError::field("message", Problem::OutOfRange("a message of a known protocol")))
            }
        }
    }
}

//! Notices in a case: what the parties of a contract formally told each other about it, and what shows that it came.

use semper_core::container::{Ack, Container, ContainerStatement};
use semper_core::contract::Core;
use semper_core::ids::{ContainerId, DealId, KeySetId, StatementId};
use semper_core::party::Role;
use semper_core::time::Time;

use super::fact::{Dated, Fact, Source, Subject, What};
use super::report::Told;
use super::verify::Pool;
use crate::notice::{Notice, Saying};

/// A notice that counts: signed by one party of a contract of the case, for the other one.
struct Counted {
    container: ContainerId,
    notice: Notice,
    statement: StatementId,
    about: Subject,
    role: Role,
}

/// Finds the notices about the contracts of the case, with the facts that they show. A notice of anybody else, about another contract or deal, or an answer to
/// a dispute that is not there, proves nothing.
pub(super) fn told(pool: &mut Pool, cores: &[Core], deal: DealId) -> (Vec<Fact>, Vec<Told>) {
    let counted = counted(pool, cores, deal);
    let (mut facts, mut told) = (Vec::new(), Vec::new());
    for found in counted.iter().filter(|found| answers_something(found, &counted)) {
        let sort = found.notice.saying.sort();
        let mut fact = |what, dated, mut evidence: Vec<_>| {
            evidence.sort_unstable();
            evidence.dedup();
            facts.push(Fact { about: found.about, what, dated, evidence });
        };
        let statement = *found.statement.digest();
        fact(What::Told(sort, found.role), None, vec![statement]);
        let handed = pool.handed_in(found.statement, found.notice.to);
        let received = handed.iter().map(|(dated, _)| dated.time).min();
        for (dated, evidence) in handed {
            fact(What::ToldHandedIn(sort, found.role), Some(dated), evidence);
        }
        let mut acknowledged: Option<Time> = None;
        for (id, ack) in pool.said(found.notice.to, |ack: &Ack| ack.container == found.container) {
            let dated = Dated { time: ack.time, source: Source::Claimed };
            fact(What::ToldTaken(sort, found.role), Some(dated), vec![statement, *id.digest()]);
            acknowledged = Some(acknowledged.map_or(ack.time, |before| before.min(ack.time)));
        }
        let (container, notice, about, role) = (found.container, found.notice.clone(), found.about, found.role);
        told.push(Told { container, notice, about, role, received, acknowledged });
    }
    told.sort_by_key(|told| (told.notice.time, told.container));
    (facts, told)
}

fn counted(pool: &mut Pool, cores: &[Core], deal: DealId) -> Vec<Counted> {
    let mut counted = Vec::new();
    for container in pool.containers.clone() {
        let Some(notice) = notice_about(&container, deal) else { continue };
        let Some(core) = cores.iter().find(|core| core.cid() == notice.cid) else { continue };
        let parties: Vec<KeySetId> = core.terms.parties.iter().map(|party| party.key_set).collect();
        let container = container.id();
        for party in parties {
            let Some(role) = notice.sender_in(core, party) else { continue };
            for (statement, _) in pool.said(party, |said: &ContainerStatement| said.container == container) {
                let about = Subject::of_part(core, notice.part);
                counted.push(Counted { container, notice: notice.clone(), statement, about, role });
            }
        }
    }
    counted
}

/// The notice about a deal in a container.
pub(super) fn notice_about(container: &Container, deal: DealId) -> Option<Notice> {
    Notice::of(container).ok().flatten().filter(|notice| notice.deal == deal)
}

/// Whether an answer is to a dispute of the other party; anything else need not be.
fn answers_something(found: &Counted, all: &[Counted]) -> bool {
    let Saying::Answer { to, .. } = found.notice.saying else { return true };
    let asked = |other: &Counted| {
        let dispute = matches!(other.notice.saying, Saying::Dispute { .. });
        dispute && other.container == to && other.about == found.about && other.role == found.role.peer()
    };
    all.iter().any(asked)
}

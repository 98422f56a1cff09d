//! What a folder proves about a contract that many parties sign (`spec/cn.md` §§2, 4).

use semper_core::contract::Core;
use semper_core::ids::{Cid, StatementId};
use semper_core::party::{KeySet, Role};

use super::fact::{Dated, Fact, Source, Subject, What};
use super::report::{Finding, Standing};
use super::verify::{Checks, Pool};
use crate::arbiter::many::{Ask, Asker, check_verdict, slot_of};
use crate::arbiter::verdict::{ClosedUnused, Outcome, Verdict};
use crate::cn::{Circle, Round};

/// Where a contract of many parties stands. Misconduct that shows is noted in the pool.
pub(super) fn standing(pool: &mut Pool, core: &Core, cid: Cid) -> Standing {
    let Some(circle) = circle(pool, core) else {
        return Standing::Rounds { complete: 0, of: 0 };
    };
    for role in circle.roles() {
        said_by_party(pool, &circle, role);
    }
    let arbiter = core.arbiter();
    pool.said(arbiter, |status: &ClosedUnused| status.cid == cid);
    let verdicts: Vec<_> =
        pool.said(arbiter, |verdict: &Verdict| verdict.cid == cid).into_iter().map(|v| v.1).collect();
    judge_arbiter(pool, &circle, &verdicts);
    let complete = (1..=circle.rounds()).rev().find(|round| pool.holds(&circle.sheet_ids(*round))).unwrap_or(0);
    // An earlier refusal never refutes a complete contract.
    if complete == circle.rounds() {
        return Standing::Signed { parties: circle.parties() };
    }
    let resolved = verdicts
        .iter()
        .find(|verdict| verdict.outcome == Outcome::Resolved && rests_on_a_sheet(pool, &circle, verdict));
    if let Some(verdict) = resolved {
        return Standing::Resolved { time: verdict.time };
    }
    let refused = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Aborted).min_by_key(|v| v.log_index);
    let refused = refused.and_then(|verdict| Some((role_of(&circle, verdict)?, verdict.time)));
    match refused {
        Some((role, time)) => Standing::LetOff { role, time },
        None => Standing::Rounds { complete, of: circle.rounds() },
    }
}

/// The facts of a contract that many sign.
pub(super) fn facts(checks: &Checks<'_>, pool: &mut Pool, core: &Core) -> Vec<Fact> {
    let Some(circle) = circle(pool, core) else { return Vec::new() };
    let (cid, arbiter) = (circle.cid(), core.arbiter());
    let fact = |what, dated, evidence: &[StatementId]| {
        let mut evidence: Vec<_> = evidence.iter().map(|id| *id.digest()).collect();
        evidence.sort_unstable();
        evidence.dedup();
        Fact { about: Subject::Contract(cid), what, dated, evidence }
    };
    let mut facts = Vec::new();
    for (role, first) in circle.roles().zip(circle.sheet_ids(1)) {
        facts.extend(pool.holds(&[first]).then(|| fact(What::Promised(role), None, &[first])));
    }
    let last = circle.sheet_ids(circle.rounds());
    facts.extend(pool.holds(&last).then(|| fact(What::SignedByAll, None, &last)));
    for (id, verdict) in pool.said(arbiter, |verdict: &Verdict| verdict.cid == cid) {
        let dated = Some(pool.dated(checks.verify, core, id, verdict.time));
        match (verdict.outcome, role_of(&circle, &verdict)) {
            (Outcome::Resolved, _) if rests_on_a_sheet(pool, &circle, &verdict) => {
                let shown = verdict.basis.get(1..).unwrap_or_default();
                facts.push(fact(What::Resolved, dated, &[&[id], shown].concat()));
            }
            (Outcome::Aborted, Some(role)) => facts.push(fact(What::LetOff(role), dated, &[id])),
            _ => {}
        }
    }
    for (id, status) in pool.said(arbiter, |status: &ClosedUnused| status.cid == cid) {
        let dated = Some(Dated { time: status.time, source: Source::Claimed });
        facts.push(fact(What::Unused, dated, &[id]));
    }
    facts
}

/// Whether a verdict names the signatures of all on one round, and they are here.
fn rests_on_a_sheet(pool: &Pool, circle: &Circle, verdict: &Verdict) -> bool {
    let sheet = verdict.basis.get(1..).unwrap_or_default();
    pool.holds(sheet) && (1..=circle.rounds()).any(|round| circle.sheet_ids(round) == sheet)
}

/// Who signs, if the folder holds all their key sets.
fn circle(pool: &Pool, core: &Core) -> Option<Circle> {
    let key_sets: Option<Vec<KeySet>> =
        core.terms.parties.iter().map(|party| pool.key_sets.get(&party.key_set).cloned()).collect();
    Circle::new(core.clone(), key_sets?).ok()
}

/// Takes in what a party has said, and notes what it must not have said together.
fn said_by_party(pool: &mut Pool, circle: &Circle, role: Role) {
    let (cid, Some(key_set)) = (circle.cid(), circle.key_set(role).map(KeySet::id)) else { return };
    let signed = pool.said(key_set, |round: &Round| (round.cid, round.role) == (cid, role));
    let asked = pool.said(key_set, |ask: &Ask| (ask.cid, ask.role) == (cid, role));
    let last = signed.iter().map(|(_, round)| round.round).max();
    let first = asked.iter().map(|(_, ask)| ask.round).min();
    if first.is_some_and(|first| last > Some(first)) {
        pool.findings.push(Finding::SignedAfterAsking { cid, role });
    }
    if asked.len() > 1 {
        pool.findings.push(Finding::AskedTwice { cid, role });
    }
}

/// Notes what is wrong with the arbiter's verdicts, each by itself and all together.
fn judge_arbiter(pool: &mut Pool, circle: &Circle, verdicts: &[Verdict]) {
    let cid = circle.cid();
    let doubled =
        |(place, verdict): (usize, &Verdict)| verdicts[..place].iter().any(|other| other.slot == verdict.slot);
    let resolved = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Resolved);
    if verdicts.iter().enumerate().any(doubled) || resolved.count() > 1 {
        pool.findings.push(Finding::ArbiterEquivocated { cid });
    }
    for verdict in verdicts {
        let Some(role) = role_of(circle, verdict) else {
            pool.findings.push(Finding::WrongVerdict { cid, role: None });
            continue;
        };
        let follows = check_verdict(circle, verdict).is_ok();
        if !follows || verdicts.iter().any(|earlier| is_passed_over(circle, earlier, verdict)) {
            pool.findings.push(Finding::WrongVerdict { cid, role: Some(role) });
        }
    }
}

/// Whether `verdict` should have counted with `earlier`, which stands before it in the log, and did not.
fn is_passed_over(circle: &Circle, earlier: &Verdict, verdict: &Verdict) -> bool {
    if earlier.log_index >= verdict.log_index || earlier.slot == verdict.slot {
        return false;
    }
    match earlier.outcome {
        // Whoever asks after that gets this verdict, and no other is written.
        Outcome::Resolved => true,
        // One that names no question of its party is wrong by itself.
        Outcome::Aborted => check_verdict(circle, earlier).is_ok_and(|asker: Asker| !verdict.prior.contains(&asker)),
        Outcome::Fault(_) | Outcome::Revoked => false,
    }
}

fn role_of(circle: &Circle, verdict: &Verdict) -> Option<Role> {
    circle.roles().find(|role| slot_of(*role) == verdict.slot)
}

impl Pool {
    /// Whether all of these statements are here, validly signed.
    fn holds(&self, statements: &[StatementId]) -> bool {
        statements.iter().all(|id| self.statements.contains_key(id))
    }
}

//! A party that is lost and comes back from a backup: an older state, told so, and keys that sign nothing which excludes anything but what their log holds.
//!
//! What cannot be had back is what only the lost state knew: a restored party may end without a contract that its peer holds. What must not be is a
//! contradiction: nobody ever holds a final and an abort of it.

use std::collections::BTreeSet;

use rand::RngExt;
use semper_core::cbor::Encode;
use semper_core::cose::Kind;
use semper_core::ids::{DealId, StatementId};
use semper_exchange::arbiter::verdict::Outcome;
use semper_exchange::evidence::{self, Finding, Folder, Item};
use semper_exchange::gx::Gx;
use semper_store::MemoryArchive;
use semper_support::archive::{Archive, Commit};
use semper_support::crypto::Signer;
use semper_support::engine::{Ending, EvidenceKind};

use super::{Event, MACHINE, World, outcome, ready};

/// The party that is lost, and its backup.
pub(super) struct Rollback {
    who: usize,
    copy: Option<MemoryArchive>,
    /// What its keys have signed before the backup, which their log holds.
    log: BTreeSet<StatementId>,
    /// What the lost archive held.
    lost: Option<MemoryArchive>,
}

impl World {
    /// An honest party is backed up at some moment and lost at a later one.
    pub(super) fn lose_somebody(&mut self) {
        let who = self.cheat.map_or_else(|| self.rng.random_range(0..2), |cheat| 1 - cheat);
        self.rollback = Some(Rollback { who, copy: None, log: BTreeSet::new(), lost: None });
        let (backup, later) = (self.rng.random_range(0..200), self.rng.random_range(1..1200));
        self.at(backup, Event::BackUp);
        self.at(backup + later, Event::Lose);
    }

    /// The archive is copied first, then the log of the keys: here both at once.
    pub(super) fn back_up(&mut self) -> Result<(), String> {
        let Some(rollback) = &mut self.rollback else { return Ok(()) };
        let copy = MemoryArchive::new();
        copy.copy_from(&self.parties[rollback.who].store);
        rollback.copy = Some(copy);
        self.note("a backup is made");
        Ok(())
    }

    pub(super) fn lose(&mut self) -> Result<(), String> {
        let Some(rollback) = &mut self.rollback else { return Ok(()) };
        let Some(copy) = &rollback.copy else { return Ok(()) };
        let (store, lost) = (&self.parties[rollback.who].store, MemoryArchive::new());
        lost.copy_from(store);
        store.copy_from(copy);
        rollback.lost = Some(lost);
        // What went out of the outbox since is in it again, and what was asked of the arbiter since is not.
        self.note("a party is lost and restored");
        Ok(())
    }

    pub(super) fn is_restored(&self, who: usize) -> bool {
        self.rollback.as_ref().is_some_and(|rollback| rollback.who == who && rollback.lost.is_some())
    }

    /// Whether the keys of a party sign it: after a restore, what excludes anything only if it stands in their log.
    pub(super) fn signs(&self, who: usize, kind: Kind, id: StatementId) -> bool {
        let excludes = matches!(kind, Kind::Promise | Kind::Final | Kind::Abort);
        let known = self.rollback.as_ref().is_some_and(|rollback| rollback.log.contains(&id));
        !excludes || known || !self.is_restored(who)
    }

    pub(super) fn was_signed(&mut self, who: usize, id: StatementId) {
        let before = |rollback: &&mut Rollback| rollback.who == who && rollback.copy.is_none();
        if let Some(rollback) = self.rollback.as_mut().filter(before) {
            rollback.log.insert(id);
        }
    }

    pub(super) fn forget_question(&mut self, who: usize, id: StatementId) -> Result<(), String> {
        let commit = Commit { sent: vec![*id.digest()], ..Commit::default() };
        ready(self.parties[who].store.commit(commit)).map_err(|e| e.to_string())
    }

    /// What must hold at the end of a run with a party that was restored.
    pub(super) fn judge_restored(&self) -> Result<([Option<Ending>; 2], Option<Outcome>), String> {
        let Some(rollback) = self.rollback.as_ref().filter(|rollback| rollback.lost.is_some()) else {
            return self.judge();
        };
        if self.verdicts.len() > 1 {
            return Err("S1: the arbiter has given two verdicts".to_owned());
        }
        let verdict = self.verdicts.first().map(|bytes| outcome(bytes)).transpose()?;
        let mut endings = [None, None];
        for (who, ending) in endings.iter_mut().enumerate().filter(|(who, _)| self.cheat != Some(*who)) {
            let machine = self.machine(who).map(|(machine, _)| machine);
            let ended = machine.as_ref().and_then(Gx::ending);
            let role = self.parties[who].role;
            let ended = ended.ok_or_else(|| format!("S8: the {role} has not ended: {machine:?}"))?;
            // A peer that has asked for an abort and sent its final all the same hands in later what makes the contract complete, with the final that only the
            // lost state knew: then the evidence convicts the peer, and says more than the restored party knows.
            if self.cheat.is_none() || who != rollback.who {
                self.proves(who, ended)?;
            }
            *ending = Some(ended);
        }
        let (restored, other) = (endings[rollback.who], endings[1 - rollback.who]);
        match (restored, other) {
            (Some(Ending::Success), Some(other)) if other != Ending::Success => {
                Err(format!("S3: the restored party has a contract, its honest peer has none: {endings:?}"))
            }
            (Some(Ending::Aborted), Some(Ending::Success)) => {
                Err(format!("S3: aborted for the restored party, complete for its peer: {endings:?}"))
            }
            _ => self.contradicts_nothing(rollback).map(|()| (endings, verdict)),
        }
    }

    /// Everything that the party has ever said, before and after its loss, shows no contradiction of its own.
    fn contradicts_nothing(&self, rollback: &Rollback) -> Result<(), String> {
        let item = |kind, bytes| Item { kind, time: self.now, bytes };
        let mut items = vec![item(EvidenceKind::Core, self.core.to_bytes())];
        let [originator, responder] = self.cast.key_sets();
        let key_sets = [&originator, &responder, Signer::key_set(&self.cast.arbiter)];
        items.extend(key_sets.map(|key_set| item(EvidenceKind::KeySet, key_set.to_bytes())));
        for store in self.parties.iter().map(|party| &party.store).chain(&rollback.lost) {
            for kept in ready(store.evidence(MACHINE)).map_err(|e| e.to_string())? {
                let kind = EvidenceKind::from_name(&kept.item.kind).ok_or("an unknown kind of evidence")?;
                items.push(item(kind, kept.item.bytes));
            }
        }
        let report = evidence::verify(&self.cast.oracle, &[], &Folder { deal: DealId::from_array([0; 16]), items });
        let role = self.parties[rollback.who].role;
        let of_ours =
            |finding: &&Finding| matches!(finding, Finding::CompletedAfterAbort { role: found, .. } if *found == role);
        match report.findings.iter().find(of_ours) {
            Some(finding) => Err(format!("the restored party contradicts itself: {finding:?}")),
            None => Ok(()),
        }
    }
}

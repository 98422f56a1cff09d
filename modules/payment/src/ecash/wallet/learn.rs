//! Learns the mint's keysets (NUT-01, NUT-02), and believes none of them unchecked.
//!
//! An identifier is computed again from the keys. That binds the keys only as far as the identifier is long: one of version 00 has 56 bits, for
//! which a mint can make two sets of keys. So the keys of keysets in use are asked for each time and compared with the known ones: a mint that
//! changes them could mark coins, and is left.

use std::collections::{BTreeMap, BTreeSet};

use cashu::Id;
use cashu::nuts::{KeySet, KeySetInfo};
use semper_core::machine::Fault;
use semper_transfer::payment::module::{IssuerReply, IssuerRequest, Step};
use semper_transfer::payment::operation::Failure;
use serde::{Deserialize, Serialize};

use super::exchange::{self, Refusal, get};
use super::stage::{Run, Stage, unwanted};
use crate::ecash::keyset::FEE_PPK_MAX;

/// Most keysets of a purse's unit.
const KEYSETS_MAX: usize = 128;
/// Most amounts of a keyset.
const AMOUNTS_MAX: usize = 64;

/// What was learnt so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Learn {
    /// The mint's list, once it came.
    list: Option<Vec<KeySetInfo>>,
    /// Whose keys are still to be asked for.
    todo: Vec<Id>,
    /// Keysets that came and were checked.
    got: Vec<KeySet>,
    /// Where the operation goes on; `None`: at its beginning.
    then: Option<Box<Stage>>,
}

#[derive(Deserialize)]
struct List {
    keysets: Vec<serde_json::Value>,
}

impl Learn {
    pub(super) fn new(then: Option<Stage>) -> Self {
        Self { list: None, todo: Vec::new(), got: Vec::new(), then: then.map(Box::new) }
    }

    pub(super) fn request(&self, issuer: &str) -> IssuerRequest {
        match self.todo.last() {
            Some(id) if self.list.is_some() => get(issuer, &format!("keys/{id}")),
            _ => get(issuer, "keysets"),
        }
    }

    pub(super) fn on(mut self, run: &mut Run<'_>, reply: &IssuerReply) -> Step {
        let learnt = if self.list.is_none() { self.take_list(run, reply) } else { self.take_keys(run, reply) };
        match learnt {
            Err(problem) => self.failed(&problem),
            Ok(()) if self.todo.is_empty() => self.finish(run),
            Ok(()) => run.to(Stage::Learn(self)),
        }
    }

    /// Ends an operation that has not begun otherwise.
    pub(super) fn give_up(self, run: &Run<'_>) -> Step {
        if self.then.is_none() { Step::failed(unwanted()) } else { run.to(Stage::Learn(self)) }
    }

    /// Takes the list of keysets. Those of other units, and of kinds that are not understood, are none of this purse's business.
    fn take_list(&mut self, run: &Run<'_>, reply: &IssuerReply) -> Result<(), Refusal> {
        let unit = run.unit();
        let listed = exchange::read::<List>(reply)?.keysets;
        if listed.len() > 16 * KEYSETS_MAX {
            return Err(exchange::misunderstood("with too many keysets"));
        }
        let listed = listed.into_iter().filter_map(|one| serde_json::from_value::<KeySetInfo>(one).ok());
        let list: Vec<KeySetInfo> = listed.filter(|one| one.unit.to_string() == unit).collect();
        if list.len() > KEYSETS_MAX || list.iter().any(|one| one.input_fee_ppk > FEE_PPK_MAX) {
            return Err(exchange::misunderstood("with too many keysets, or too high fees"));
        }
        let short = |id: &Id| id.to_bytes()[..8].to_vec();
        let known = run.held.keysets.keys();
        let ids: BTreeSet<Id> = list.iter().map(|one| one.id).chain(known.copied()).collect();
        if ids.iter().map(short).collect::<BTreeSet<_>>().len() != ids.len() {
            return Err(exchange::misunderstood("with keysets whose short identifiers are the same"));
        }
        let wanted = |one: &&KeySetInfo| one.active || !run.held.keysets.contains_key(&one.id);
        self.todo = list.iter().filter(wanted).map(|one| one.id).collect();
        self.list = Some(list);
        Ok(())
    }

    fn take_keys(&mut self, run: &Run<'_>, reply: &IssuerReply) -> Result<(), Refusal> {
        let Some(id) = self.todo.pop() else { return Ok(()) };
        let listed = self.list.iter().flatten().find(|one| one.id == id);
        let Some(listed) = listed else { return Ok(()) };
        let answered = exchange::read::<List>(reply)?.keysets;
        let mut sets = answered.into_iter().filter_map(|one| serde_json::from_value::<KeySet>(one).ok());
        let mut keyset =
            sets.find(|one| one.id == id).ok_or_else(|| exchange::misunderstood("without the keys of a keyset"))?;
        keyset.active = Some(listed.active);
        keyset.input_fee_ppk = listed.input_fee_ppk;
        keyset.final_expiry = listed.final_expiry;
        if keyset.keys.len() > AMOUNTS_MAX || keyset.unit != listed.unit {
            return Err(exchange::misunderstood("with a keyset of another unit or with too many keys"));
        }
        keyset.verify_id().map_err(|_| exchange::misunderstood("with keys that are not those of their keyset"))?;
        if run.held.keysets.get(&id).is_some_and(|known| known.keys != keyset.keys) {
            let detail = format!("it has changed the keys of keyset {id}: do not use it any more");
            return Err(Refusal { code: 0, detail });
        }
        self.got.push(keyset);
        Ok(())
    }

    /// Goes on with what was learnt. Keysets that the mint lists no more sign no more.
    fn finish(self, run: &mut Run<'_>) -> Step {
        let listed: BTreeMap<Id, KeySetInfo> = self.list.into_iter().flatten().map(|one| (one.id, one)).collect();
        let mut changed = self.got;
        for known in run.held.keysets.values() {
            if changed.iter().any(|one| one.id == known.id) {
                continue;
            }
            let listed = listed.get(&known.id);
            let active = Some(listed.is_some_and(|one| one.active));
            let fee = listed.map_or(known.input_fee_ppk, |one| one.input_fee_ppk);
            if known.active != active || known.input_fee_ppk != fee {
                changed.push(KeySet { active, input_fee_ppk: fee, ..known.clone() });
            }
        }
        run.held.keysets.extend(changed.iter().map(|keyset| (keyset.id, keyset.clone())));
        let step = match self.then {
            Some(stage) => stage.go_on(run),
            None => run.begin(false),
        };
        changed.iter().fold(step, super::records::Changes::put_keyset)
    }

    /// An operation that was begun has money on the way, and goes on without what could not be learnt.
    fn failed(self, problem: &Refusal) -> Step {
        let failure = Failure::unmoved(Fault::ThirdParty, format!("the mint's keysets: {}", problem.words()));
        match self.then.as_deref() {
            Some(Stage::Deposit(deposit)) => Step::failed(deposit.unfinished(&failure.reason)),
            _ => Step::failed(failure),
        }
    }
}

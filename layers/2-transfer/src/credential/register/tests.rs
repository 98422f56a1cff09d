//! What could go wrong: a right is used more often than its issuer has granted, because it was passed on, because two contracts share a use, or
//! because a use was freed that somebody still relies on. Or whoever relies on a use that is kept cannot have it taken. The last test tries every order
//! of requests; it does not see storage or networks, which the issuer's service is tested with.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;

const NOW: Time = Time::from_unix(10_000);
const LATER: Time = Time::from_unix(20_000);
const AFTER: Time = Time::from_unix(30_000);

const fn named(byte: u8) -> KeySetId {
    KeySetId::from_digest(Digest::from_array([byte; 32]))
}

fn key(byte: u8) -> KeySetId {
    named(byte)
}

const HOLDER: u8 = 1;
const NEXT: u8 = 2;
const ARBITER: u8 = 7;
const PUPPET: u8 = 8;

fn credential(uses: Uses) -> Credential {
    Credential {
        serial: Serial::from_array([1; 16]),
        issuer: "https://issuer.example".to_owned(),
        holder: key(HOLDER),
        right: "one visit".to_owned(),
        audience: Vec::new(),
        uses,
        transferable: true,
        from: NOW,
        until: AFTER,
        condition: None,
    }
}

fn entry(uses: u32) -> Entry {
    Entry::new(credential(Uses::Counted(uses)))
}

fn tag(byte: u8) -> Digest {
    Digest::from_array([byte; 32])
}

fn request(of: u8, until: Time) -> ReservationRequest {
    ReservationRequest { serial: Serial::from_array([1; 16]), tag: tag(of), arbiter: key(ARBITER), until }
}

fn reserve(entry: &Entry, of: u8, now: Time) -> Result<(Entry, Reservation), Refusal> {
    entry.reserve(key(HOLDER), &request(of, LATER), now)
}

fn transfer(entry: &Entry, by: u8, now: Time) -> Result<(Entry, Entry), Refusal> {
    let serial = Serial::from_array([2; 16]);
    let asked = CredentialTransfer { serial: entry.credential.serial, to: key(NEXT), condition: None };
    entry.transfer(key(by), &asked, serial, now)
}

fn settle(entry: &Entry, tag: Digest, word: Word, now: Time) -> Result<(Entry, Option<Spend>), Refusal> {
    let settled = entry.settle(tag, word, Serial::from_array([3; 16]), now)?;
    assert_eq!(settled.back, None);
    Ok((settled.entry, settled.spend))
}

/// Under contract 5, until `LATER`.
const SALE: Condition =
    Condition { tag: Digest::from_array([5; 32]), arbiter: named(ARBITER), until: LATER, giver: named(HOLDER) };

fn sell(entry: &Entry) -> Result<(Entry, Entry), Refusal> {
    let asked = CredentialTransfer { serial: entry.credential.serial, to: key(NEXT), condition: Some(SALE) };
    entry.transfer(key(HOLDER), &asked, Serial::from_array([2; 16]), NOW)
}

fn call_back(entry: &Entry, word: Word, now: Time) -> Result<(Entry, Entry), Refusal> {
    let settled = entry.settle(SALE.tag, word, Serial::from_array([3; 16]), now)?;
    assert_eq!(settled.spend, None);
    Ok((settled.entry, settled.back.expect("it was called back")))
}

const REVOKED: Word = Word::Revoked(named(ARBITER));

// Who does not pay does not keep it: the seller has again what it had when it passed it on, and the buyer has nothing.
#[test]
fn what_was_not_paid_comes_back_as_it_was() {
    let (kept, _) = reserve(&entry(3), 1, NOW).unwrap();
    let (spent, _) = settle(&kept, tag(1), Word::Shown(key(HOLDER)), NOW).unwrap();
    for sold in [spent, Entry::new(credential(Uses::Unlimited))] {
        let (retired, passed) = sell(&sold).unwrap();
        assert_eq!((passed.credential().holder, passed.credential().condition), (key(NEXT), Some(SALE)));
        assert_eq!(passed.callable_until(LATER), Some(LATER));
        let (gone, back) = call_back(&passed, REVOKED, LATER).unwrap();
        assert_eq!((back.credential().holder, back.credential().condition), (key(HOLDER), None));
        assert_eq!(back.left(), sold.left());
        assert_eq!(gone.successor(), Some(back.credential().serial));
        // Neither holder has anything else, and it is called back once.
        let to = CredentialTransfer { serial: gone.credential.serial, to: key(9), condition: None };
        assert_eq!(gone.transfer(key(NEXT), &to, Serial::from_array([4; 16]), LATER).map(drop), Err(Refusal::Retired));
        assert_eq!(transfer(&retired, HOLDER, NOW).map(drop), Err(Refusal::Retired));
        assert_eq!(call_back(&gone, REVOKED, LATER).map(drop), Err(Refusal::Retired));
        // Whoever has let it be called back cannot have it kept as well.
        for word in [Word::Paid(key(HOLDER)), Word::Resolved(key(ARBITER))] {
            assert_eq!(settle(&gone, SALE.tag, word, LATER).map(drop), Err(Refusal::Retired));
        }
    }
}

// Who has paid keeps it: by the seller's word, by the arbiter's, and by the date.
#[test]
fn what_was_paid_is_not_called_back() {
    let (_, passed) = sell(&entry(3)).unwrap();
    for word in [Word::Paid(key(HOLDER)), Word::Resolved(key(ARBITER))] {
        let (settled, said) = settle(&passed, SALE.tag, word, NOW).unwrap();
        assert_eq!((settled.callable_until(NOW), said), (None, None));
        assert_eq!(call_back(&settled, REVOKED, NOW).map(drop), Err(Refusal::Settled));
        assert_eq!(settle(&settled, SALE.tag, word, LATER).unwrap().0, settled, "said twice it is the same");
    }
    let past = LATER.after(Seconds(1));
    assert_eq!(call_back(&passed, REVOKED, past).map(drop), Err(Refusal::Date));
    assert!(call_back(&passed, REVOKED, LATER).is_ok());
}

#[test]
fn nobody_else_decides_over_what_was_passed_on() {
    let (_, passed) = sell(&entry(3)).unwrap();
    let strangers = [
        Word::Revoked(key(PUPPET)),
        Word::Resolved(key(PUPPET)),
        Word::Aborted(key(ARBITER)),
        Word::Paid(key(NEXT)),
        Word::Shown(key(NEXT)),
    ];
    for word in strangers {
        let settled = passed.settle(SALE.tag, word, Serial::from_array([3; 16]), NOW);
        assert_eq!(settled.map(drop), Err(Refusal::NoSay), "{word:?}");
    }
    // The arbiter's word about another contract.
    let other = passed.settle(tag(6), REVOKED, Serial::from_array([3; 16]), NOW);
    assert_eq!(other.map(drop), Err(Refusal::NotKept));
    // Whoever has it called back is whoever passes it on, until a date that is not over.
    let asks = |condition| {
        let asked =
            CredentialTransfer { serial: Serial::from_array([1; 16]), to: key(NEXT), condition: Some(condition) };
        entry(3).transfer(key(HOLDER), &asked, Serial::from_array([2; 16]), NOW).map(drop)
    };
    assert_eq!(asks(SALE), Ok(()));
    assert_eq!(asks(Condition { giver: key(PUPPET), ..SALE }), Err(Refusal::NotHolder));
    assert_eq!(asks(Condition { until: NOW.before(Seconds(1)), ..SALE }), Err(Refusal::Date));
    assert_eq!(asks(Condition { until: NOW.after(Seconds(KEPT_MAX.0 + 1)), ..SALE }), Err(Refusal::Date));
}

// What can be called back is not passed on to somebody who would lose it, and a use that was taken could not be called back.
#[test]
fn what_can_be_called_back_stays_where_it_is() {
    let next = |entry: &Entry, now| {
        let asked = CredentialTransfer { serial: entry.credential.serial, to: key(9), condition: None };
        entry.transfer(key(NEXT), &asked, Serial::from_array([4; 16]), now).map(drop)
    };
    let uses = |entry: &Entry, now| entry.reserve(key(NEXT), &request(1, AFTER), now).map(drop);
    let past = LATER.after(Seconds(1));
    for (of, at_once) in [(Uses::Counted(3), Err(Refusal::Pending)), (Uses::Unlimited, Ok(()))] {
        let (_, passed) = sell(&Entry::new(credential(of))).unwrap();
        assert_eq!((next(&passed, LATER), uses(&passed, LATER)), (Err(Refusal::Pending), at_once));
        assert_eq!((next(&passed, past), uses(&passed, past)), (Ok(()), Ok(())));
        let (settled, _) = settle(&passed, SALE.tag, Word::Paid(key(HOLDER)), NOW).unwrap();
        assert_eq!((next(&settled, NOW), uses(&settled, NOW)), (Ok(()), Ok(())));
        assert_eq!(Entry::from_bytes(&settled.to_bytes()).unwrap(), settled);
    }
}

#[test]
fn a_credential_that_was_passed_on_is_worth_nothing() {
    let (retired, next) = transfer(&entry(3), HOLDER, NOW).unwrap();
    assert_eq!(retired.successor(), Some(next.credential().serial));
    assert_eq!((next.credential().holder, next.left()), (key(NEXT), Some(3)));
    assert_eq!(transfer(&retired, HOLDER, NOW).map(drop), Err(Refusal::Retired));
    assert_eq!(reserve(&retired, 1, NOW).map(drop), Err(Refusal::Retired));
    assert_eq!(transfer(&entry(3), NEXT, NOW).map(drop), Err(Refusal::NotHolder));
    let fixed = Entry::new(Credential { transferable: false, ..credential(Uses::Unlimited) });
    assert_eq!(transfer(&fixed, HOLDER, NOW).map(drop), Err(Refusal::NotTransferable));
}

#[test]
fn what_was_used_is_not_passed_on_and_what_is_kept_stays() {
    let (kept, _) = reserve(&entry(2), 1, NOW).unwrap();
    assert_eq!(transfer(&kept, HOLDER, NOW).map(drop), Err(Refusal::Kept));
    let (spent, said) = settle(&kept, tag(1), Word::Resolved(key(ARBITER)), NOW).unwrap();
    assert_eq!(said.unwrap().number, 1);
    let (_, next) = transfer(&spent, HOLDER, NOW).unwrap();
    assert_eq!(next.left(), Some(1));
    let (kept, _) = reserve(&entry(1), 1, NOW).unwrap();
    let (spent, _) = settle(&kept, tag(1), Word::Shown(key(HOLDER)), NOW).unwrap();
    assert_eq!(transfer(&spent, HOLDER, NOW).map(drop), Err(Refusal::UsedUp));
}

#[test]
fn of_two_contracts_one_gets_the_last_use() {
    let (kept, first) = reserve(&entry(1), 1, NOW).unwrap();
    assert_eq!(reserve(&kept, 2, NOW).map(drop), Err(Refusal::Kept));
    // The same contract again is no second use.
    let (again, said) = reserve(&kept, 1, NOW).unwrap();
    assert_eq!((again, said), (kept.clone(), first));
    let (spent, _) = settle(&kept, tag(1), Word::Shown(key(HOLDER)), NOW).unwrap();
    assert_eq!(reserve(&spent, 2, LATER).map(drop), Err(Refusal::UsedUp));
    assert_eq!(reserve(&spent, 1, NOW).map(drop), Err(Refusal::Conflict));
}

#[test]
fn a_use_is_free_again_after_an_abort_or_its_date() {
    let (kept, _) = reserve(&entry(1), 1, NOW).unwrap();
    let (free, said) = settle(&kept, tag(1), Word::Aborted(key(ARBITER)), NOW).unwrap();
    assert_eq!((said, reserve(&free, 2, NOW).is_ok()), (None, true));
    let past = LATER.after(Seconds(1));
    let later = ReservationRequest { until: AFTER, ..request(2, LATER) };
    assert!(kept.reserve(key(HOLDER), &later, LATER).is_err());
    let (other, _) = kept.reserve(key(HOLDER), &later, past).unwrap();
    assert_eq!(settle(&other, tag(1), Word::Resolved(key(ARBITER)), past).map(drop), Err(Refusal::NotKept));
    // Late, but nobody else has it.
    assert!(settle(&kept, tag(1), Word::Resolved(key(ARBITER)), past).unwrap().1.is_some());
}

// A holder who names an arbiter of its own could have that one free the use that the seller relies on.
#[test]
fn nobody_else_decides_over_a_use() {
    let (kept, _) = reserve(&entry(1), 1, NOW).unwrap();
    let puppets = ReservationRequest { arbiter: key(PUPPET), ..request(1, LATER) };
    assert_eq!(kept.reserve(key(HOLDER), &puppets, NOW).map(drop), Err(Refusal::Conflict));
    for word in [Word::Aborted(key(PUPPET)), Word::Resolved(key(PUPPET)), Word::Shown(key(NEXT))] {
        assert_eq!(settle(&kept, tag(1), word, NOW).map(drop), Err(Refusal::NoSay), "{word:?}");
    }
    assert_eq!(settle(&kept, tag(2), Word::Shown(key(HOLDER)), NOW).map(drop), Err(Refusal::NotKept));
}

#[test]
fn dates_are_kept() {
    assert_eq!(reserve(&entry(1), 1, NOW.before(Seconds(1))).map(drop), Err(Refusal::NotYet));
    let past = AFTER.after(Seconds(1));
    assert_eq!(reserve(&entry(1), 1, past).map(drop), Err(Refusal::Expired));
    assert_eq!(transfer(&entry(1), HOLDER, past).map(drop), Err(Refusal::Expired));
    assert!(transfer(&entry(1), HOLDER, AFTER).is_ok());
    let far = request(1, NOW.after(Seconds(KEPT_MAX.0 + 1)));
    assert_eq!(entry(1).reserve(key(HOLDER), &far, NOW).map(drop), Err(Refusal::Date));
    let over = request(1, NOW.before(Seconds(1)));
    assert_eq!(entry(1).reserve(key(HOLDER), &over, NOW).map(drop), Err(Refusal::Date));
}

#[test]
fn what_may_be_used_freely_has_no_numbers() {
    let free = Entry::new(credential(Uses::Unlimited));
    let (after, said) = reserve(&free, 1, NOW).unwrap();
    assert_eq!((after == free, said.number), (true, None));
    let (retired, _) = transfer(&free, HOLDER, NOW).unwrap();
    assert_eq!(reserve(&retired, 1, NOW).map(drop), Err(Refusal::Retired));
}

#[test]
fn an_entry_is_stored_as_it_is() {
    let (kept, _) = reserve(&entry(3), 1, NOW).unwrap();
    let (kept, _) = reserve(&kept, 2, NOW).unwrap();
    let (spent, _) = settle(&kept, tag(1), Word::Shown(key(HOLDER)), NOW).unwrap();
    let (retired, _) = transfer(&entry(1), HOLDER, NOW).unwrap();
    for entry in [kept, spent, retired] {
        assert_eq!(Entry::from_bytes(&entry.to_bytes()).unwrap(), entry);
    }
}

/// What can happen between two answers of the issuer.
#[derive(Clone, Copy, Debug)]
enum Event {
    Reserve(u8),
    Shown(u8),
    Resolved(u8),
    Aborted(u8),
    Transfer,
    Date,
}

/// One credential under every order of events, with what was promised about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    now: Time,
    /// The stored entry, and that of the credential in its place.
    entry: Vec<u8>,
    next: Option<Vec<u8>>,
    /// The contracts for which the issuer has said that a use is kept, and until when.
    relied: BTreeSet<(u8, Time)>,
    /// The uses that were taken, each for a contract.
    taken: BTreeSet<(u32, u8)>,
}

fn happen(world: &World, event: Event) -> Option<World> {
    let mut after = world.clone();
    let entry = Entry::from_bytes(&world.entry).unwrap();
    match event {
        Event::Reserve(of) => {
            let (next, said) = entry.reserve(key(HOLDER), &request(of, world.now.after(Seconds(5))), world.now).ok()?;
            after.entry = next.to_bytes();
            after.relied.insert((of, said.until));
        }
        Event::Shown(of) | Event::Resolved(of) => {
            let word =
                if matches!(event, Event::Shown(_)) { Word::Shown(key(HOLDER)) } else { Word::Resolved(key(ARBITER)) };
            let settled = settle(&entry, tag(of), word, world.now);
            let relied = world.relied.iter().any(|(contract, until)| *contract == of && world.now <= *until);
            // What the seller relies on holds until its date.
            assert!(settled.is_ok() || !relied, "{event:?} was refused: {settled:?} in {world:?}");
            let (next, said) = settled.ok()?;
            after.entry = next.to_bytes();
            after.taken.insert((said.unwrap().number, of));
        }
        Event::Aborted(of) => {
            let (next, _) = settle(&entry, tag(of), Word::Aborted(key(ARBITER)), world.now).ok()?;
            after.entry = next.to_bytes();
            // One verdict, for ever: nobody relies on an aborted contract.
            after.relied.retain(|(contract, _)| *contract != of);
        }
        Event::Transfer => {
            let (retired, next) = transfer(&entry, HOLDER, world.now).ok()?;
            after.entry = retired.to_bytes();
            after.next = Some(next.to_bytes());
        }
        Event::Date => after.now = world.now.after(Seconds(6)),
    }
    Some(after)
}

// Attack 35. A use is taken for one contract only, never more of them than were granted, and what was said to be kept is there. Every order of requests for two
// contracts and a transfer, with dates that pass between them, over one and over two uses.
#[test]
fn one_show_credential_in_two_contracts() {
    use Event::{Aborted, Date, Reserve, Resolved, Shown, Transfer};
    for uses in [1, 2] {
        let mut open = vec![World {
            now: NOW,
            entry: entry(uses).to_bytes(),
            next: None,
            relied: BTreeSet::new(),
            taken: BTreeSet::new(),
        }];
        let mut seen = BTreeSet::new();
        let (mut full, mut passed) = (0, 0);
        while let Some(world) = open.pop() {
            if world.now.unix() > NOW.unix() + 20 || !seen.insert(world.clone()) {
                continue;
            }
            let numbers: BTreeSet<_> = world.taken.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers.len(), world.taken.len(), "one use was taken for two contracts: {world:?}");
            let passed_on = world.next.as_ref().map(|next| Entry::from_bytes(next).unwrap().left().unwrap());
            let taken = u32::try_from(numbers.len()).unwrap();
            let granted = taken + passed_on.unwrap_or_default();
            assert!(granted <= uses, "more uses than were granted: {world:?}");
            full += usize::from(taken == uses);
            passed += usize::from(passed_on.is_some() && !numbers.is_empty());
            for of in [1, 2] {
                let events = [Reserve(of), Shown(of), Resolved(of), Aborted(of), Transfer, Date];
                open.extend(events.into_iter().filter_map(|event| happen(&world, event)));
            }
        }
        assert!(full > 0, "no run has used everything");
        assert!(uses == 1 || passed > 0, "no run has passed on what was left");
    }
}

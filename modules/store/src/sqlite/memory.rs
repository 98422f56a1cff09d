//! What the archive remembers, so that most reads ask no database: states, whole spaces with few records, and when the next timer or message
//! is due. Whoever drives deals looks at these after every step, and a question to SQLite costs two changes of threads.
//!
//! Nothing but this archive writes to its database: the directory is locked. So what is remembered changes only by what the writer stores, and
//! the writer tells it ([`Memory::stored`]) before it answers. What a reader finds is remembered only if the writer has stored nothing about it
//! since the reader began ([`Look`]).
//!
//! Invariant: what is remembered is what the database says of every commit that was answered.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use semper_core::time::Time;
use semper_support::archive::{Commit, StoredState};

/// Most bytes that are remembered. Beyond them everything is forgotten, and read again.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most records of a space that is remembered.
pub(super) const RECORDS_MAX: usize = 256;
/// Most bytes of the records of a space that is remembered.
const SPACE_BYTES_MAX: usize = 1024 * 1024;
/// What an entry takes beside its bytes, roughly.
const ENTRY_BYTES: usize = 128;

/// What is remembered of an archive. Empty at first.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Remembered>);

/// Something that can be remembered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Thing {
    /// The state of the machine with this key.
    State(Vec<u8>),
    /// The records of the space of this name.
    Space(String),
    /// When the next timer or message is due.
    Due,
}

/// What is remembered of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The state, if there is one.
    State(Option<StoredState>),
    /// All records of a space, by their keys.
    Records(BTreeMap<Vec<u8>, Vec<u8>>),
    /// The space has too many records to remember.
    TooLarge,
    /// The time, if anything is due at any time.
    Due(Option<Time>),
}

/// What [`Memory::recall`] comes to.
pub(super) enum Recalled<'a, T> {
    /// This is known.
    Known(T),
    /// The database has to be asked; with a look, what it says may be remembered.
    Ask(Option<Look<'a>>),
}

/// Somebody reads something that is not known. When this is dropped without an answer, nothing was read.
#[derive(Debug)]
pub(super) struct Look<'a> {
    memory: &'a Memory,
    thing: Thing,
    number: u64,
}

#[derive(Debug, Default)]
struct Remembered {
    slots: HashMap<Thing, Slot>,
    bytes: usize,
    looks: u64,
}

#[derive(Debug)]
enum Slot {
    /// The look with this number reads it.
    Read(u64),
    Known(Known),
}

impl Memory {
    /// What `pick` finds in what is known of a thing; a space that is too large is not known. The first who asks in vain may remember.
    pub(super) fn recall<T>(&self, thing: Thing, pick: impl FnOnce(&Known) -> T) -> Recalled<'_, T> {
        let mut remembered = self.lock();
        match remembered.slots.get(&thing) {
            Some(Slot::Known(Known::TooLarge) | Slot::Read(_)) => Recalled::Ask(None),
            Some(Slot::Known(known)) => Recalled::Known(pick(known)),
            None => {
                remembered.looks += 1;
                let number = remembered.looks;
                remembered.put(thing.clone(), Slot::Read(number));
                Recalled::Ask(Some(Look { memory: self, thing, number }))
            }
        }
    }

    /// The writer has stored a commit and has not answered it yet.
    pub(super) fn stored(&self, commit: &Commit) {
        let Commit { states, outbox, sent, timers, timers_done, records, .. } = commit;
        let is_timed = !(outbox.is_empty() && sent.is_empty() && timers.is_empty() && timers_done.is_empty());
        if states.is_empty() && records.is_empty() && !is_timed {
            return;
        }
        let mut remembered = self.lock();
        for put in states {
            let (key, bytes) = (put.key.clone(), put.bytes.clone());
            let state = StoredState { key, version: put.replaces.saturating_add(1), bytes };
            remembered.put(Thing::State(put.key.clone()), Slot::Known(Known::State(Some(state))));
        }
        for (space, key, value) in records {
            remembered.put_record(space, key, value.as_deref());
        }
        if is_timed {
            remembered.forget(&Thing::Due);
        }
    }

    /// The writer has stored that a message is due at another time, and has not answered yet.
    pub(super) fn postponed(&self) {
        self.lock().forget(&Thing::Due);
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            // Whoever has panicked may have done things by half.
            let mut remembered = poisoned.into_inner();
            *remembered = Remembered::default();
            remembered
        })
    }
}

impl Look<'_> {
    /// Remembers what the database said, unless the writer has stored something about it meanwhile.
    pub(super) fn found(self, known: Known) {
        let mut remembered = self.memory.lock();
        if remembered.is_read_by(&self) {
            let known = if known.is_small() { known } else { Known::TooLarge };
            remembered.put(self.thing.clone(), Slot::Known(known));
        }
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        let mut remembered = self.memory.lock();
        if remembered.is_read_by(self) {
            remembered.forget(&self.thing);
        }
    }
}

impl Known {
    pub(super) fn is_small(&self) -> bool {
        match self {
            Known::Records(records) => records.len() <= RECORDS_MAX && self.bytes() <= SPACE_BYTES_MAX,
            Known::State(_) | Known::TooLarge | Known::Due(_) => true,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Known::State(state) => state.as_ref().map_or(0, |state| state.key.len() + state.bytes.len()),
            Known::Records(records) => records.iter().map(|(key, value)| ENTRY_BYTES + key.len() + value.len()).sum(),
            Known::TooLarge | Known::Due(_) => 0,
        }
    }
}

impl Remembered {
    fn is_read_by(&self, look: &Look<'_>) -> bool {
        matches!(self.slots.get(&look.thing), Some(Slot::Read(number)) if *number == look.number)
    }

    fn put(&mut self, thing: Thing, slot: Slot) {
        self.forget(&thing);
        self.bytes += bytes(&thing, &slot);
        self.slots.insert(thing, slot);
        if self.bytes > BYTES_MAX {
            self.slots.clear();
            self.bytes = 0;
        }
    }

    fn forget(&mut self, thing: &Thing) {
        if let Some(slot) = self.slots.remove(thing) {
            self.bytes -= bytes(thing, &slot);
        }
    }

    fn put_record(&mut self, space: &str, key: &[u8], value: Option<&[u8]>) {
        let thing = Thing::Space(space.to_owned());
        match self.slots.remove_entry(&thing) {
            Some((_, slot @ Slot::Known(Known::TooLarge))) => {
                self.slots.insert(thing, slot);
            }
            Some((_, slot)) => {
                self.bytes -= bytes(&thing, &slot);
                let Slot::Known(Known::Records(mut records)) = slot else { return };
                match value {
                    Some(value) => records.insert(key.to_vec(), value.to_vec()),
                    None => records.remove(key),
                };
                let known = Known::Records(records);
                let known = if known.is_small() { known } else { Known::TooLarge };
                self.put(thing, Slot::Known(known));
            }
            None => {}
        }
    }
}

fn bytes(thing: &Thing, slot: &Slot) -> usize {
    let name = match thing {
        Thing::State(key) => key.len(),
        Thing::Space(name) => name.len(),
        Thing::Due => 0,
    };
    let known = if let Slot::Known(known) = slot { known.bytes() } else { 0 };
    ENTRY_BYTES + name + known
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use semper_support::archive::PutState;

    use super::*;

    fn put(version: u64) -> Commit {
        let state = PutState { key: b"deal/1".to_vec(), replaces: version - 1, bytes: vec![7; 10] };
        Commit { states: vec![state], ..Commit::default() }
    }

    fn record(key: u32, value: Option<&[u8]>) -> Commit {
        let record = ("space".to_owned(), key.to_be_bytes().to_vec(), value.map(<[u8]>::to_vec));
        Commit { records: vec![record], ..Commit::default() }
    }

    fn state(version: u64) -> Known {
        Known::State(Some(StoredState { key: b"deal/1".to_vec(), version, bytes: vec![7; 10] }))
    }

    /// What is known; or the look with which it may be remembered.
    fn ask(memory: &Memory, thing: Thing) -> Result<Known, Option<Look<'_>>> {
        match memory.recall(thing, Clone::clone) {
            Recalled::Known(known) => Ok(known),
            Recalled::Ask(look) => Err(look),
        }
    }

    fn the_state() -> Thing {
        Thing::State(b"deal/1".to_vec())
    }

    fn the_space() -> Thing {
        Thing::Space("space".to_owned())
    }

    // A reader that was slow has read what was overwritten meanwhile: nobody may be told that again.
    #[test]
    fn what_was_stored_meanwhile_is_not_overwritten_by_a_look() {
        let memory = Memory::default();
        let slow = ask(&memory, the_state()).unwrap_err().unwrap();
        assert!(ask(&memory, the_state()).unwrap_err().is_none(), "one look at a time may remember");
        memory.stored(&put(2));
        slow.found(state(1));
        assert_eq!(ask(&memory, the_state()).unwrap(), state(2));

        let slow = ask(&memory, the_space()).unwrap_err().unwrap();
        memory.stored(&record(1, Some(b"new")));
        slow.found(Known::Records(BTreeMap::new()));
        let again = ask(&memory, the_space()).unwrap_err().unwrap();
        again.found(Known::Records(BTreeMap::new()));
        memory.stored(&record(2, Some(b"newer")));
        memory.stored(&record(3, Some(b"gone")));
        memory.stored(&record(3, None));
        let expected = BTreeMap::from([(2_u32.to_be_bytes().to_vec(), b"newer".to_vec())]);
        assert_eq!(ask(&memory, the_space()).unwrap(), Known::Records(expected));

        let slow = ask(&memory, Thing::Due).unwrap_err().unwrap();
        memory.postponed();
        slow.found(Known::Due(None));
        assert!(ask(&memory, Thing::Due).is_err());
    }

    // Whoever stops reading, because the database fails or its caller has gone, leaves the place to the next.
    #[test]
    fn a_look_that_finds_nothing_leaves_nothing() {
        let memory = Memory::default();
        drop(ask(&memory, the_state()).unwrap_err().unwrap());
        ask(&memory, the_state()).unwrap_err().unwrap().found(Known::State(None));
        assert_eq!(ask(&memory, the_state()).unwrap(), Known::State(None));
    }

    #[test]
    fn a_space_that_grows_too_large_is_asked_for() {
        let memory = Memory::default();
        ask(&memory, the_space()).unwrap_err().unwrap().found(Known::Records(BTreeMap::new()));
        for key in 0..u32::try_from(RECORDS_MAX).unwrap() {
            memory.stored(&record(key, Some(b"value")));
            assert!(ask(&memory, the_space()).is_ok());
        }
        memory.stored(&record(u32::MAX, Some(b"value")));
        assert!(ask(&memory, the_space()).unwrap_err().is_none(), "nobody reads all of it again");
        memory.stored(&record(u32::MAX, None));
        assert!(ask(&memory, the_space()).unwrap_err().is_none());
    }

    // Strangers choose what is asked for: it may not fill the memory, and what is counted must be what is there.
    #[test]
    fn the_memory_is_bounded() {
        let memory = Memory::default();
        for machine in 0..1000_u32 {
            let key = machine.to_be_bytes().to_vec();
            let look = ask(&memory, Thing::State(key.clone())).unwrap_err().unwrap();
            let found = StoredState { key, version: 1, bytes: vec![0; 100_000] };
            look.found(Known::State(Some(found)));
            let remembered = memory.lock();
            let counted: usize = remembered.slots.iter().map(|(thing, slot)| bytes(thing, slot)).sum();
            assert_eq!(remembered.bytes, counted);
            assert!(counted <= BYTES_MAX);
        }
        memory.stored(&put(1));
        memory.stored(&put(2));
        let remembered = memory.lock();
        assert_eq!(remembered.bytes, remembered.slots.iter().map(|(thing, slot)| bytes(thing, slot)).sum());
    }
}

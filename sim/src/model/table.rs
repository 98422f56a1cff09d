//! Numbers for things. A state of the model holds numbers; what they stand for is kept here, once.
//!
//! Numbers are given in the order in which things are first met and never change while a model lives, so equal states have equal
//! numbers. Steps of machines are pure, so their results are kept too: a million states then cost a few hundred steps.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Things and their numbers.
#[derive(Debug)]
pub(super) struct Table<T> {
    known: Mutex<Known<T>>,
}

#[derive(Debug)]
struct Known<T> {
    numbers: HashMap<Arc<T>, u32>,
    things: Vec<Arc<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { known: Mutex::new(Known { numbers: HashMap::new(), things: Vec::new() }) }
    }
}

impl<T: Eq + Hash> Table<T> {
    /// The number of a thing, which is new if the thing is.
    pub(super) fn number(&self, thing: T) -> u32 {
        let Known { numbers, things } = &mut *open(&self.known);
        if let Some(number) = numbers.get(&thing) {
            return *number;
        }
        let thing = Arc::new(thing);
        let number = u32::try_from(things.len()).expect("a model meets less than 2^32 things");
        things.push(thing.clone());
        numbers.insert(thing, number);
        number
    }

    /// The thing with a number.
    pub(super) fn thing(&self, number: u32) -> Arc<T> {
        open(&self.known).things[number as usize].clone()
    }
}

/// Results of a pure function.
#[derive(Debug)]
pub(super) struct Memo<K, V> {
    known: Mutex<HashMap<K, V>>,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// The result for `key`, computed once.
    pub(super) fn get(&self, key: K, compute: impl FnOnce() -> V) -> V {
        if let Some(value) = open(&self.known).get(&key) {
            return value.clone();
        }
        let value = compute();
        open(&self.known).insert(key, value.clone());
        value
    }
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A set of small numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Set([u64; 16]);

impl Set {
    /// Whether a number is in the set.
    pub fn has(self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Adds a number.
    ///
    /// # Panics
    /// If the number is 1024 or more: the model has grown beyond what it was made for.
    pub fn add(&mut self, number: u32) {
        assert!(number < 1024, "a model has at most 1024 distinct messages");
        self.0[number as usize / 64] |= 1 << (number % 64);
    }

    /// The numbers, ascending.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..).zip(self.0).flat_map(|(place, mut word)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros())?;
                word &= word - 1;
                Some(place * 64 + bit)
            })
        })
    }

    /// How many numbers there are.
    pub fn len(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

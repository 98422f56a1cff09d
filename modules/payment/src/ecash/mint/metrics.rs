//! Counters since the start, in the text format of Prometheus. What is outstanding is not counted here: `Mint::audit` adds it up exactly.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use cashu::Id;

#[derive(Default)]
pub(super) struct Metrics {
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    requests: BTreeMap<(&'static str, &'static str), u64>,
    issued: BTreeMap<Id, u64>,
    redeemed: BTreeMap<Id, u64>,
}

impl Metrics {
    /// Counts a request by what it was for and how it ended (`granted` or the name of a refusal).
    pub(super) fn request(&self, operation: &'static str, outcome: &'static str) {
        *self.lock().requests.entry((operation, outcome)).or_default() += 1;
    }

    pub(super) fn issued(&self, parts: impl IntoIterator<Item = (Id, u64)>) {
        add(&mut self.lock().issued, parts);
    }

    pub(super) fn redeemed(&self, parts: impl IntoIterator<Item = (Id, u64)>) {
        add(&mut self.lock().redeemed, parts);
    }

    pub(super) fn text(&self) -> String {
        let counted = self.lock();
        let mut text = String::from(
            "# HELP semper_mint_requests_total Requests by operation and outcome.\n# TYPE semper_mint_requests_total counter\n",
        );
        for ((operation, outcome), count) in &counted.requests {
            let labels = format!("operation=\"{operation}\",outcome=\"{outcome}\"");
            write_line(&mut text, "semper_mint_requests_total", &labels, *count);
        }
        let sums = [
            ("semper_mint_issued_minor_total", "Signed since the start, in minor units.", &counted.issued),
            ("semper_mint_redeemed_minor_total", "Taken back since the start, in minor units.", &counted.redeemed),
        ];
        for (name, help, sums) in sums {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n"));
            for (keyset, sum) in sums {
                write_line(&mut text, name, &format!("keyset=\"{keyset}\""), *sum);
            }
        }
        text
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(sums: &mut BTreeMap<Id, u64>, parts: impl IntoIterator<Item = (Id, u64)>) {
    for (keyset, amount) in parts {
        let sum = sums.entry(keyset).or_default();
        *sum = sum.saturating_add(amount);
    }
}

fn write_line(text: &mut String, name: &str, labels: &str, value: u64) {
    writeln!(text, "{name}{{{labels}}} {value}").expect("a string takes everything");
}

//! Counters since the start, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use semper_core::cbor::Decode;
use semper_core::cose::{Kind, Signed};
use semper_exchange::arbiter::many;
use semper_exchange::arbiter::request::Request;
use semper_exchange::arbiter::verdict::{Outcome, Verdict};

/// Requests by question and outcome.
#[derive(Default)]
pub(super) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Metrics {
    /// Counts a request by what it asks and how it was answered: by which statement, and whether money was let go.
    pub(super) fn count(&self, request: &[u8], answered: Result<(Option<&Signed>, bool), &'static str>) {
        let outcome = answered.map_or_else(|error| error, outcome);
        *self.lock().entry((question(request), outcome)).or_default() += 1;
    }

    pub(super) fn text(&self) -> String {
        let name = "semper_arbiter_requests_total";
        let mut text = format!("# HELP {name} Requests by question and outcome.\n# TYPE {name} counter\n");
        for ((question, outcome), count) in &*self.lock() {
            writeln!(text, "{name}{{question=\"{question}\",outcome=\"{outcome}\"}} {count}")
                .expect("a string takes everything");
        }
        text
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(&'static str, &'static str), u64>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn question(request: &[u8]) -> &'static str {
    if many::Request::is_meant(request) {
        return "ask";
    }
    match Request::from_bytes(request).map(|request| request.question.kind()) {
        Ok(Kind::Abort) => "abort",
        Ok(Kind::Resolve) => "resolve",
        Ok(Kind::Complaint) => "complaint",
        Ok(Kind::Settlement) => "settlement",
        Ok(Kind::Revocation) => "revocation",
        Ok(Kind::Inquiry) => "inquiry",
        Ok(Kind::Deposit) => "deposit",
        Ok(_) | Err(_) => "unread",
    }
}

fn outcome((statement, paid): (Option<&Signed>, bool)) -> &'static str {
    let Some(statement) = statement else { return "undecided" };
    match Verdict::from_bytes(statement.payload()).map(|verdict| verdict.outcome) {
        _ if paid => "let-go",
        Ok(Outcome::Aborted) => "aborted",
        Ok(Outcome::Resolved) => "resolved",
        Ok(Outcome::Fault(_)) => "fault",
        Ok(Outcome::Revoked) => "revoked",
        Err(_) => "unused",
    }
}

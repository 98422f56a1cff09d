//! Refusals: RFC 9457 problem documents that say what is wrong, what the sender should do and whether trying again makes sense.
//!
//! ```text
//! { "type": "urn:semper:problem:NAME", "title": …, "status": …, "detail": …, "advice": …, "retry": true / false, ? "last": … }
//! ```

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Content type of a refusal.
pub const PROBLEM_TYPE: &str = "application/problem+json";
/// Begins the `type` of every refusal of this module.
const URN: &str = "urn:semper:problem:";
/// Longest text of a refusal that is believed and shown, in characters.
const DETAIL_CHARS_MAX: usize = 500;

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:ident, $retry:literal, $title:literal, $advice:literal;)*) => {
        /// What a refusal is about. The name in its `type` never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemKind { $($(#[$doc])* $name,)* }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: &'static [ProblemKind] = &[$(ProblemKind::$name),*];

            /// The name, without `urn:semper:problem:`.
            pub const fn name(self) -> &'static str {
                match self { $(ProblemKind::$name => $text,)* }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(ProblemKind::$name => StatusCode::$status.as_u16(),)* }
            }

            /// Whether the same message may be taken later.
            pub const fn retry(self) -> bool {
                match self { $(ProblemKind::$name => $retry,)* }
            }

            /// What is wrong, in plain words.
            pub const fn title(self) -> &'static str {
                match self { $(ProblemKind::$name => $title,)* }
            }

            /// What the sender should do.
            pub const fn advice(self) -> &'static str {
                match self { $(ProblemKind::$name => $advice,)* }
            }
        }
    };
}

problems! {
    /// The body is not what its content type says, or breaks the protocol.
    Malformed = "malformed", BAD_REQUEST, false,
        "the message is malformed", "Do not send it again; look for a newer version of your program.";
    /// The seal does not open here.
    CannotOpen = "cannot-open", UNPROCESSABLE_ENTITY, false,
        "the message cannot be opened here", "Fetch the recipient's current contact card and seal for the key in it.";
    /// The receiver does not want the message.
    Unwanted = "unwanted", FORBIDDEN, false,
        "the message is not wanted here", "Do not send it again; ask the recipient in another way.";
    /// Another content type, or a compressed body.
    WrongType = "wrong-type", UNSUPPORTED_MEDIA_TYPE, false,
        "the content type is not taken here", "Send the content type that the detail names, without a content encoding.";
    /// Another method than POST.
    WrongMethod = "wrong-method", METHOD_NOT_ALLOWED, false,
        "only POST is taken here", "Send the message with POST.";
    /// The body is larger than the limit.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, false,
        "the message is too large", "Send less, or send the parts one by one.";
    /// The body did not arrive in time.
    TooSlow = "too-slow", REQUEST_TIMEOUT, true,
        "the message did not arrive in time", "Send it again over a faster connection.";
    /// Too many messages from one address, or from everybody.
    TooMany = "too-many", TOO_MANY_REQUESTS, true,
        "too many messages", "Wait as long as Retry-After says, then send it again.";
    /// The receiver is overloaded, or its storage failed.
    Busy = "busy", SERVICE_UNAVAILABLE, true,
        "the inbox is busy", "Send it again later.";
    /// No such mailbox at this relay, or not any more.
    NoMailbox = "no-mailbox", NOT_FOUND, true,
        "there is no such mailbox", "Send it again later, when its owner has opened it; if that never comes, fetch the recipient's current contact card.";
    /// The mailbox or the relay is full.
    MailboxFull = "mailbox-full", INSUFFICIENT_STORAGE, true,
        "the mailbox is full", "Send it again when the owner has fetched messages.";
    /// A mailbox request that its owner did not sign, or that is meant for another mailbox.
    NotOwner = "not-owner", FORBIDDEN, false,
        "only the owner of a mailbox may fetch from it", "Sign the request with the key that the mailbox is named after.";
    /// A mailbox request whose number was used before.
    Stale = "stale", CONFLICT, false,
        "the request was used before", "Sign a new request with a number above the one in `last`.";
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    pub(crate) detail: String,
    retry_after: Option<Duration>,
    /// The last number that a mailbox took, with `Stale`.
    pub(crate) last: Option<u64>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, last: None }
    }

    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(crate) fn stale(last: u64) -> Self {
        Self { last: Some(last), ..Self::new(ProblemKind::Stale, format!("numbers up to {last} were used")) }
    }

    pub(crate) fn busy(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Busy, detail).retry_after(Duration::from_secs(5))
    }

    /// Reads a refusal of this module; anything else is `None`.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let document: serde_json::Value = serde_json::from_slice(body).ok()?;
        let name = document.get("type")?.as_str()?.strip_prefix(URN)?;
        let kind = *ProblemKind::ALL.iter().find(|kind| kind.name() == name)?;
        let detail = document.get("detail").and_then(serde_json::Value::as_str).unwrap_or(kind.title());
        // The text goes to a log or a terminal: nothing in it may move the cursor or be longer than a paragraph.
        let detail = detail.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect();
        let last = document.get("last").and_then(serde_json::Value::as_u64);
        Some(Self { kind, detail, retry_after: None, last })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = self.kind;
        let mut document = json!({
            "type": format!("{URN}{}", kind.name()),
            "title": kind.title(),
            "status": kind.status(),
            "detail": self.detail,
            "advice": kind.advice(),
            "retry": kind.retry(),
        });
        if let Some(last) = self.last {
            document["last"] = last.into();
        }
        let mut response = Response::new(Body::from(document.to_string()));
        *response.status_mut() = StatusCode::from_u16(kind.status()).expect("a constant of StatusCode");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if kind == ProblemKind::WrongMethod {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

/// Whole seconds, rounded up and at least 1: a sender that comes back after them is not early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    // A text from the network that reaches a terminal unfiltered can rewrite what the user reads.
    #[test]
    fn a_refusal_from_the_network_is_shortened_and_cleaned() {
        let long = format!("\u{1b}[2J{}", "x".repeat(5000));
        let body = json!({ "type": "urn:semper:problem:busy", "detail": long }).to_string();
        let problem = Problem::parse(body.as_bytes()).unwrap();
        assert_eq!(problem.detail.len(), DETAIL_CHARS_MAX);
        assert!(problem.detail.starts_with("[2Jx"));
    }

    // Only a refusal in our own words ends a deal: an error page of some proxy must not be taken for one.
    #[test]
    fn other_documents_are_no_refusals() {
        for body in
            ["", "<html>404</html>", "{}", r#"{"type":"about:blank"}"#, r#"{"type":"urn:semper:problem:odd"}"#, "[1]"]
        {
            assert_eq!(Problem::parse(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn waits_are_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}

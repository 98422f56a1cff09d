//! Who may look at the desk: whoever has opened a link of ours, in the browser in which it was opened.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use maud::html;
use semper_crypto::SystemRandom;
use semper_pages::Language;
use semper_pages::frame::{Frame, POLICY};
use semper_support::crypto::{CryptoError, Randomness as _};

use super::{Desk, document, language};

/// The cookie of a session.
const SESSION: &str = "semper-desk";
/// How long a link can be opened.
const LINK_TIME: Duration = Duration::from_secs(600);
/// How long a session lasts in which nothing is asked.
const SESSION_TIME: Duration = Duration::from_secs(12 * 3600);
/// Most links and sessions at once; the oldest go first.
const MOST: usize = 16;

/// The ways into the desk. Secrets are kept as hashes: looking one up tells nothing about the others.
#[derive(Debug)]
pub struct Doors {
    /// The authority under which the desk answers: `desk-….localhost:PORT`.
    host: String,
    links: Mutex<Kept>,
    sessions: Mutex<Kept>,
}

/// What is kept of a secret: its SHA-256.
type Hash = [u8; 32];

/// Secrets with the time when each was used last.
#[derive(Debug, Default)]
struct Kept(HashMap<Hash, Instant>);

impl Doors {
    /// The doors of a desk that listens on `port` of the loopback address.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(port: u16) -> Result<Self, CryptoError> {
        let mut name = [0; 8];
        SystemRandom.fill(&mut name)?;
        let host = format!("desk-{}.localhost:{port}", HEXLOWER.encode(&name));
        Ok(Self { host, links: Mutex::default(), sessions: Mutex::default() })
    }

    /// A link that opens the desk once, within ten minutes.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn link(&self) -> Result<String, CryptoError> {
        let token = secret()?;
        lock(&self.links).keep(hash(&token));
        Ok(format!("http://{}/enter/{token}", self.host))
    }

    fn enter(&self, token: &str) -> Result<Option<String>, CryptoError> {
        if !lock(&self.links).take(&hash(token), LINK_TIME) {
            return Ok(None);
        }
        let session = secret()?;
        lock(&self.sessions).keep(hash(&session));
        Ok(Some(session))
    }

    fn is_inside(&self, session: &str) -> bool {
        let (mut sessions, session) = (lock(&self.sessions), hash(session));
        let inside = sessions.take(&session, SESSION_TIME);
        if inside {
            sessions.keep(session);
        }
        inside
    }

    /// Whether a request was meant for the desk, and does not come from a page of somebody else.
    fn is_ours(&self, method: &Method, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let for_us = text("host") == Some(self.host.as_str());
        let own_origin = text("origin").and_then(|origin| origin.strip_prefix("http://")) == Some(self.host.as_str());
        // Every browser of today names the origin of a form that it sends. What only reads changes nothing, and its answer is
        // readable to no other origin.
        for_us && (own_origin || (text("origin").is_none() && matches!(*method, Method::GET | Method::HEAD)))
    }
}

impl Kept {
    fn keep(&mut self, secret: Hash) {
        if self.0.len() >= MOST
            && let Some(oldest) = self.0.iter().min_by_key(|(_, since)| **since).map(|(secret, _)| *secret)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(secret, Instant::now());
    }

    /// Takes a secret out. Whether it was there and is not older than `most`.
    fn take(&mut self, secret: &Hash, most: Duration) -> bool {
        self.0.remove(secret).is_some_and(|since| since.elapsed() <= most)
    }
}

fn lock(kept: &Mutex<Kept>) -> std::sync::MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn secret() -> Result<String, CryptoError> {
    let mut bytes = [0; 32];
    SystemRandom.fill(&mut bytes)?;
    Ok(HEXLOWER.encode(&bytes))
}

fn hash(secret: &str) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    hash
}

/// A cookie of a request.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(named, _)| *named == name).map(|(_, value)| value)
}

/// Refuses what is not meant for the desk, and says with every answer what a browser may do with it.
pub(super) async fn guard(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let mut response = if desk.doors.is_ours(request.method(), request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "This is not the desk's address, or another page has sent this. Nothing was done.\n")
            .into_response()
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With "no-referrer" a browser would not name the origin of our own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets in whoever has a session.
pub(super) async fn inside(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let inside = cookie(request.headers(), SESSION).is_some_and(|session| desk.doors.is_inside(session));
    if inside { next.run(request).await } else { closed(request.headers()) }
}

/// Opens a session for whoever brings a link that nobody has used.
pub(super) async fn enter(State(desk): State<Arc<Desk>>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let Ok(Some(session)) = desk.doors.enter(&token) else { return closed(&headers) };
    let cookie = format!("{SESSION}={session}; Path=/; HttpOnly; SameSite=Strict");
    let Ok(cookie) = HeaderValue::from_str(&cookie) else { return closed(&headers) };
    // The link was opened by a page in a file, which is another site: a redirect of its request would not carry the cookie (SameSite). So this
    // page goes on by itself.
    let language = language(&headers);
    let title = language.text("opening");
    let content = html! { p { a href="/" { (language.text("back-to-deals")) } } };
    let mut response = document(StatusCode::OK, &alone(language, &title).around(&content));
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response.headers_mut().insert(header::REFRESH, HeaderValue::from_static("0;url=/"));
    response
}

/// What everybody else sees.
fn closed(headers: &HeaderMap) -> Response {
    let language = language(headers);
    let title = language.text("closed-title");
    let content = html! {
        p { (language.text("closed-why")) }
        p { code { "semper desk" } }
    };
    document(StatusCode::UNAUTHORIZED, &alone(language, &title).around(&content))
}

/// The frame of a page that belongs to no place of the desk. A change of language leads to its beginning.
pub(super) fn alone(language: Language, title: &str) -> Frame<'_> {
    Frame { language, title, owner: "", places: &[], here: "", path: "/", live: false }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    // A link that is seen over a shoulder, or left in a history, must open nothing.
    #[test]
    fn a_link_opens_once() {
        let doors = Doors::new(4711).unwrap();
        let link = doors.link().unwrap();
        let token = link.rsplit('/').next().unwrap();
        let session = doors.enter(token).unwrap().unwrap();
        assert!(doors.enter(token).unwrap().is_none());
        assert!(doors.is_inside(&session) && doors.is_inside(&session) && !doors.is_inside(token));
    }

    #[test]
    fn links_and_sessions_are_bounded() {
        let doors = Doors::new(4711).unwrap();
        let first = doors.link().unwrap();
        for _ in 0..MOST {
            doors.link().unwrap();
        }
        assert!(doors.enter(first.rsplit('/').next().unwrap()).unwrap().is_none());
        assert_eq!(lock(&doors.links).0.len(), MOST);
    }

    // Another page, another name for the same port (DNS rebinding), a form from a frame without an origin: refused.
    #[test]
    fn requests_of_others_are_refused() {
        let doors = Doors::new(4711).unwrap();
        let (host, origin) = (doors.host.clone(), format!("http://{}", doors.host));
        let ours = |method, pairs: &[(&'static str, &str)]| doors.is_ours(&method, &headers(pairs));
        assert!(ours(Method::GET, &[("host", &host)]));
        assert!(ours(Method::POST, &[("host", &host), ("origin", &origin)]));
        for bad in ["http://127.0.0.1:4711", "http://evil.example", "null", "https://desk"] {
            assert!(!ours(Method::POST, &[("host", &host), ("origin", bad)]), "{bad}");
            assert!(!ours(Method::GET, &[("host", &host), ("origin", bad)]), "{bad}");
        }
        assert!(!ours(Method::POST, &[("host", &host)]));
        for bad in ["127.0.0.1:4711", "localhost:4711", "evil.example:4711"] {
            assert!(!ours(Method::GET, &[("host", bad)]), "{bad}");
        }
        assert!(!ours(Method::GET, &[]));
    }

    #[test]
    fn cookies_are_read_by_name() {
        let read = headers(&[("cookie", "a=1; semper-desk=xyz; semper-desk2=no")]);
        assert_eq!((cookie(&read, SESSION), cookie(&read, "b")), (Some("xyz"), None));
    }
}

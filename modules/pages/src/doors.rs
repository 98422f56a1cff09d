//! Who may look at pages of ours: whoever has opened a link of ours, in the browser in which it was opened.
//!
//! The pages answer on a loopback port of their own, under a host name that is made at random (`desk-….localhost`). A page of
//! somebody else knows neither, and the cookie of a session goes to nobody else's port: cookies are kept apart by host, not by port. Every
//! request must name that host (DNS rebinding), and what it changes must come from a page of it (forgery). Nothing here reads a page's content.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use data_encoding::HEXLOWER;
use maud::html;
use semper_support::crypto::{CryptoError, Randomness};
use sha2::{Digest as _, Sha256};

use crate::frame::{Frame, POLICY, SCRIPT, STYLE};
use crate::reader::{cookie, document, language, set_language};

/// How long a link can be opened.
const LINK_TIME: Duration = Duration::from_secs(600);
/// How long a session lasts in which nothing is asked.
const SESSION_TIME: Duration = Duration::from_secs(12 * 3600);
/// Most links and sessions at once; the oldest go first.
const MOST: usize = 16;

/// Whose doors they are, and what is said at them.
#[derive(Clone, Copy, Debug)]
pub struct House {
    /// The word that host name and cookie begin with.
    pub name: &'static str,
    /// The command that gives a new link.
    pub command: &'static str,
    /// The text that is shown while a link opens.
    pub opening: &'static str,
    /// The text of the link to the first page.
    pub first: &'static str,
    /// The title of what everybody else sees.
    pub closed: &'static str,
}

/// The ways into pages of ours. Secrets are kept as hashes: looking one up tells nothing about the others.
pub struct Doors {
    house: House,
    /// The authority under which the pages answer: `desk-….localhost:PORT`.
    host: String,
    /// The cookie of a session.
    session: String,
    random: Box<dyn Randomness>,
    links: Mutex<Kept>,
    sessions: Mutex<Kept>,
}

/// What is kept of a secret: its SHA-256.
type Hash = [u8; 32];

/// Secrets with the time when each was used last.
#[derive(Debug, Default)]
struct Kept(HashMap<Hash, Instant>);

impl Doors {
    /// The doors of pages that listen on `port` of the loopback address. `random` makes host name, links and sessions.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(house: House, port: u16, random: Box<dyn Randomness>) -> Result<Self, CryptoError> {
        let mut name = [0; 8];
        random.fill(&mut name)?;
        Ok(Self::named(house, name, port, random))
    }

    /// The same under a host name that was made at random before, and that nobody else knows.
    pub fn named(house: House, name: [u8; 8], port: u16, random: Box<dyn Randomness>) -> Self {
        let host = format!("{}-{}.localhost:{port}", house.name, HEXLOWER.encode(&name));
        let session = format!("semper-{}", house.name);
        Self { house, host, session, random, links: Mutex::default(), sessions: Mutex::default() }
    }

    /// A link that opens the pages once, within ten minutes.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn link(&self) -> Result<String, CryptoError> {
        let token = self.secret()?;
        lock(&self.links).keep(hash(&token));
        Ok(format!("http://{}/enter/{token}", self.host))
    }

    /// Ends every session, and takes back every link.
    pub fn close(&self) {
        lock(&self.links).0.clear();
        lock(&self.sessions).0.clear();
    }

    /// Puts `pages` behind the doors: whoever has no session sees none of them, and no request that is not meant for them gets to them.
    /// Style, script and the choice of a language are before the doors; so is `open`, which shows nothing of its owner's. Forms have at most
    /// `form_max` bytes where a page says nothing else.
    pub fn before(self: &Arc<Self>, open: Router, pages: Router, form_max: usize) -> Router {
        Router::new()
            .route("/style.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)))
            .route("/live.js", get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)))
            .route("/enter/{token}", get(enter))
            .route("/language", post(set_language))
            .with_state(self.clone())
            .merge(open)
            .merge(pages.layer(from_fn_with_state(self.clone(), inside)))
            .layer(DefaultBodyLimit::max(form_max))
            .layer(from_fn_with_state(self.clone(), guard))
    }

    fn enter(&self, token: &str) -> Result<Option<String>, CryptoError> {
        if !lock(&self.links).take(&hash(token), LINK_TIME) {
            return Ok(None);
        }
        let session = self.secret()?;
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

    /// Whether a request was meant for these pages, and does not come from a page of somebody else.
    fn is_ours(&self, method: &Method, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let for_us = text("host") == Some(self.host.as_str());
        let own_origin = text("origin").and_then(|origin| origin.strip_prefix("http://")) == Some(self.host.as_str());
        // Every browser of today names the origin of a form that it sends. What only reads changes nothing, and its answer is
        // readable to no other origin.
        for_us && (own_origin || (text("origin").is_none() && matches!(*method, Method::GET | Method::HEAD)))
    }

    fn secret(&self) -> Result<String, CryptoError> {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes)?;
        Ok(HEXLOWER.encode(&bytes))
    }

    /// What everybody else sees.
    fn closed(&self, headers: &HeaderMap) -> Response {
        let language = language(headers);
        let title = language.text(self.house.closed);
        let content = html! {
            p { (language.text("closed-why")) }
            p { code { (self.house.command) } }
        };
        document(StatusCode::UNAUTHORIZED, &Frame::alone(language, &title).around(&content))
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

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// Refuses what is not meant for these pages, and says with every answer what a browser may do with it.
async fn guard(State(doors): State<Arc<Doors>>, request: Request, next: Next) -> Response {
    let mut response = if doors.is_ours(request.method(), request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "This is another address, or another page has sent this. Nothing was done.\n")
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
async fn inside(State(doors): State<Arc<Doors>>, request: Request, next: Next) -> Response {
    let inside = cookie(request.headers(), &doors.session).is_some_and(|session| doors.is_inside(session));
    if inside { next.run(request).await } else { doors.closed(request.headers()) }
}

/// Opens a session for whoever brings a link that nobody has used.
async fn enter(State(doors): State<Arc<Doors>>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let Ok(Some(session)) = doors.enter(&token) else { return doors.closed(&headers) };
    let cookie = format!("{}={session}; Path=/; HttpOnly; SameSite=Strict", doors.session);
    let Ok(cookie) = HeaderValue::from_str(&cookie) else { return doors.closed(&headers) };
    // The link was opened by a page in a file, which is another site: a redirect of its request would not carry the cookie (SameSite). So this
    // page goes on by itself.
    let language = language(&headers);
    let title = language.text(doors.house.opening);
    let content = html! { p { a href="/" { (language.text(doors.house.first)) } } };
    let mut response = document(StatusCode::OK, &Frame::alone(language, &title).around(&content));
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response.headers_mut().insert(header::REFRESH, HeaderValue::from_static("0;url=/"));
    response
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Doors({})", self.host)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    /// Each time other bytes.
    #[derive(Default)]
    struct Counter(AtomicU8);

    impl Randomness for Counter {
        fn fill(&self, out: &mut [u8]) -> Result<(), CryptoError> {
            out.fill(self.0.fetch_add(1, Ordering::Relaxed));
            Ok(())
        }
    }

    fn doors() -> Doors {
        let house = House { name: "desk", command: "semper desk", opening: "", first: "", closed: "" };
        Doors::new(house, 4711, Box::new(Counter::default())).unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    // A link that is seen over a shoulder, or left in a history, must open nothing.
    #[test]
    fn a_link_opens_once() {
        let doors = doors();
        let link = doors.link().unwrap();
        let token = link.rsplit('/').next().unwrap();
        let session = doors.enter(token).unwrap().unwrap();
        assert!(doors.enter(token).unwrap().is_none());
        assert!(doors.is_inside(&session) && doors.is_inside(&session) && !doors.is_inside(token));
    }

    #[test]
    fn closed_doors_let_nobody_in() {
        let doors = doors();
        let (link, other) = (doors.link().unwrap(), doors.link().unwrap());
        let session = doors.enter(link.rsplit('/').next().unwrap()).unwrap().unwrap();
        doors.close();
        assert!(!doors.is_inside(&session));
        assert!(doors.enter(other.rsplit('/').next().unwrap()).unwrap().is_none());
    }

    #[test]
    fn links_and_sessions_are_bounded() {
        let doors = doors();
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
        let doors = doors();
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
}

//! The desk: the node's own pages in a browser of its user. Deals, what can be proven about them, money, contacts, offers.
//!
//! It answers on a loopback port of its own, under a host name that was made at random (`desk-….localhost`): a page of somebody
//! else knows neither, and the cookie of a session goes to nobody else's port. Who may look has opened a link that `semper desk` has
//! printed; it works once. The desk never asks for a signature: what has to be approved waits with the holder of the keys.
//!
//! ```text
//!   deals     the deal browser         deal    one deal: time line, what is proven, files
//!   notices   withdraw, dispute, answer
//!   wallet    purses and operations    people  contacts          shop    offers
//!   settings  whose word decides, how deals go
//!   buy       what a link offers       sell    a file and a price         open  what other pages lead here with
//!   backup    whether there is one
//! ```
//! Every page is a function from the views of [`crate::control`] to HTML; what can be done is done by the functions that the control
//! interface calls.

mod backup;
mod buy;
mod deal;
mod deals;
mod notices;
mod open;
mod people;
mod sell;
mod settings;
mod shop;
mod wallet;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use maud::{Markup, html};
use semper_pages::doors::{Doors, House};
use semper_pages::frame::{Frame, Place};
use semper_pages::{Reader, document};
use tokio::sync::watch;

use crate::bench::Bench;
use crate::home::Home;
use crate::node::{Node, NodeError};

/// Whose doors the desk's are.
pub const HOUSE: House =
    House { name: "desk", command: "semper desk", opening: "opening", first: "back-to-deals", closed: "closed-title" };
/// Largest form: a contact card is the largest thing that is pasted.
const FORM_MAX: usize = 256 * 1024;
/// How often a silent stream of changes says that it is still there; a connection may be silent for 90 s.
const STILL_HERE: Duration = Duration::from_secs(30);

/// What the desk shows.
pub struct Desk {
    node: Arc<Node>,
    bench: Arc<Bench>,
    doors: Arc<Doors>,
    /// Where offers are fetched: the address that others know.
    base: String,
    home: Home,
    baskets: buy::Baskets,
    /// A number that grows while something that takes long goes on.
    progress: watch::Sender<u64>,
}

impl Desk {
    /// The desk of the node of a data directory. `base` is the address under which others reach it.
    pub fn new(node: Arc<Node>, doors: Arc<Doors>, home: Home, base: String) -> Arc<Self> {
        let (bench, baskets, progress) = (Arc::default(), buy::Baskets::default(), watch::Sender::default());
        Arc::new(Self { node, bench, doors, base, home, baskets, progress })
    }

    /// Its pages.
    pub fn routes(self: &Arc<Self>) -> Router {
        let inside = Router::new()
            .route("/", get(deals::browse))
            .route("/deals/{id}", get(deal::show))
            .route("/deals/{id}/folder", get(deal::folder))
            .route("/deals/{id}/goods", get(deal::goods))
            .route("/deals/{id}/files/{hash}", get(deal::file))
            .route("/deals/{id}/give-up", get(deal::ask_give_up).post(deal::give_up))
            .route("/deals/{id}/withdraw", get(notices::ask_withdraw).post(notices::withdraw))
            .route("/deals/{id}/dispute", get(notices::ask_dispute).post(notices::dispute))
            .route("/deals/{id}/answer", get(notices::ask_answer).post(notices::answer))
            .route("/backup", get(backup::show))
            .route("/wallet", get(wallet::show))
            .route("/wallet/begin", post(wallet::begin))
            .route("/wallet/operations/{id}", get(wallet::operation))
            .route("/contacts", get(people::show).post(people::add))
            .route("/contacts/remove", get(people::ask_remove).post(people::remove))
            .route("/settings", get(settings::show).post(settings::set))
            .route("/settings/arbiters", post(settings::accept))
            .route("/offers", get(shop::show))
            .route("/offers/{id}", post(shop::set))
            .route("/buy", get(buy::look))
            .route("/buy/{offer}", get(buy::show).post(buy::order))
            .route("/sell", get(sell::ask).post(sell::sell).layer(DefaultBodyLimit::max(sell::UPLOAD_MAX)))
            .route("/live", get(live))
            .fallback(missing)
            .with_state(self.clone());
        // What other pages lead to. A session's cookie does not come with that, whoever leads there.
        let open = Router::new().route("/open", get(open::ask)).route(
            "/open.js",
            get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], open::SCRIPT)),
        );
        self.doors.before(open, inside, FORM_MAX)
    }

    /// A page of the desk.
    async fn page(
        &self,
        reader: &Reader,
        here: &'static str,
        title: &str,
        content: &Markup,
    ) -> Result<Response, Failure> {
        let language = reader.language;
        let waiting = self.node.questions().await.map_err(NodeError::Read)?;
        let offers = self.node.offers_asked().await?.len();
        let place = |path, key, waiting| Place { path, name: language.text(key), waiting };
        let places = [
            place("/", "deals", waiting),
            place("/wallet", "wallet", 0),
            place("/offers", "offers", offers),
            place("/contacts", "contacts", 0),
            place("/settings", "settings", 0),
            place("/backup", "backup", 0),
        ];
        let notice = self.backup_notice(language, here).await?;
        let frame = Frame {
            language,
            title,
            owner: self.node.name(),
            places: &places,
            here,
            path: &reader.path,
            live: Some("connection-lost"),
            mark: None,
        };
        Ok(document(StatusCode::OK, &frame.around(&html! { (notice) (content) })))
    }
}

/// Tells an open page of every change.
async fn live(State(desk): State<Arc<Desk>>) -> Sse<impl Stream<Item = Result<Event, std::convert::Infallible>>> {
    let watched = (desk.node.changes(), desk.progress.subscribe());
    let told = stream::unfold(watched, async |(mut changes, mut progress)| {
        tokio::select! {
            changed = changes.changed() => changed.ok()?,
            changed = progress.changed() => changed.ok()?,
        }
        let count = *changes.borrow_and_update() + *progress.borrow_and_update();
        Some((Ok(Event::default().data(count.to_string())), (changes, progress)))
    });
    Sse::new(told).keep_alive(KeepAlive::new().interval(STILL_HERE))
}

async fn missing(reader: Reader) -> Response {
    Failure::missing("no-such-page", String::new()).page(&reader)
}

/// Why a page cannot be shown, or why something was not done.
struct Failure {
    status: StatusCode,
    /// What happened, as a text of the pages.
    what: &'static str,
    /// The details, as the node words them: in English.
    detail: String,
}

impl Failure {
    fn missing(what: &'static str, detail: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, what, detail }
    }

    fn refused(what: &'static str, detail: impl ToString) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, what, detail: detail.to_string() }
    }

    fn page(&self, reader: &Reader) -> Response {
        let language = reader.language;
        let (title, what) = (language.text("error-title"), language.text(self.what));
        let content = html! {
            p.error role="alert" { (what) }
            @if !self.detail.is_empty() {
                p lang="en" { (semper_core::text::escape(&self.detail, 0)) }
            }
            p { a href="/" { (language.text("back-to-deals")) } }
        };
        document(self.status, &Frame::alone(language, &title).around(&content))
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::NoSuchDeal(_) => Self::missing("no-such-deal", String::new()),
            error => Self { status: StatusCode::SERVICE_UNAVAILABLE, what: "error-storage", detail: error.to_string() },
        }
    }
}

type Page = Response;

/// The page, or the one that says why there is none.
fn shown(reader: &Reader, result: Result<Response, Failure>) -> Page {
    result.unwrap_or_else(|failure| failure.page(reader))
}

//! What all pages of the window share: routes, frame, the way to the vault, and what they tell of changes.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use data_encoding::BASE64;
use futures_util::stream;
use maud::{Markup, html};
use semper_core::text::escape;
use semper_pages::doors::Doors;
use semper_pages::frame::{Frame, Place};
use semper_pages::{Reader, document};
use semper_support::crypto::{CryptoError, Randomness};
use semper_vault::client::{CallError, UserSide};
use semper_vault::rules::Approval;
use semper_vault::wire::{Code, Condition, State as VaultState};
use tokio::sync::watch;

use crate::arming::Arming;
use crate::us::Us;
use crate::{DIR, answer, history, keys};

/// Largest form: a picture, and what belongs to it.
const FORM_MAX: usize = crate::us::PICTURE_MAX + 64 * 1024;
/// How often a silent stream of changes says that it is still there; a connection may be silent for 90 s.
const STILL_HERE: Duration = Duration::from_secs(30);
/// How long the vault is asked for changes at once.
const WATCH_SECONDS: u8 = 20;
/// How long a vault that does not answer is left alone.
const AGAIN: Duration = Duration::from_secs(1);

/// The script that shows the pause before an answer.
const ARM: &str = include_str!("arm.js");

/// The window over one vault.
pub(crate) struct Window {
    vault: PathBuf,
    doors: Arc<Doors>,
    us: Mutex<Us>,
    pub(crate) arming: Arming,
    pub(crate) random: &'static dyn Randomness,
    /// How often something has changed, and whether the vault answers.
    changes: watch::Sender<(u64, bool)>,
}

impl Window {
    pub(crate) fn new(
        vault: PathBuf,
        us: Us,
        doors: Arc<Doors>,
        random: &'static dyn Randomness,
    ) -> Result<Arc<Self>, CryptoError> {
        let (arming, changes) = (Arming::new(random)?, watch::Sender::new((0, true)));
        Ok(Arc::new(Self { vault, doors, us: Mutex::new(us), arming, random, changes }))
    }

    pub(crate) fn routes(self: &Arc<Self>) -> Router {
        let pages = Router::new()
            .route("/", get(answer::list))
            .route("/approvals/{id}", get(answer::show).post(answer::answer))
            .route("/approvals/{id}/{piece}", get(answer::piece))
            .route("/unlock", post(keys::unlock))
            .route("/lock", post(keys::lock))
            .route("/log", get(history::show))
            .route("/us", get(keys::us).post(keys::change_us))
            .route("/us/known", post(keys::know_us))
            .route("/arm.js", get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], ARM)))
            .route("/live", get(live))
            .fallback(missing)
            .with_state(self.clone());
        self.doors.before(Router::new(), pages, FORM_MAX)
    }

    /// Tells open pages of every change at the vault, for ever. Whoever is inside when the keys are locked, or when the vault ends, is inside no
    /// more: picture and phrase are not for those who sit down there next.
    pub(crate) fn watch(&self) {
        let mut was = None;
        loop {
            let ended = UserSide::connect(&self.vault).and_then(|user| -> Result<Infallible, CallError> {
                let mut known = user.watch(0, 0)?;
                loop {
                    let condition = user.state()?.condition;
                    if condition == Condition::Locked && was.is_some_and(|was| was != Condition::Locked) {
                        self.doors.close();
                    }
                    was = Some(condition);
                    self.changed(true);
                    known = loop {
                        match user.watch(known, WATCH_SECONDS)? {
                            now if now == known => {}
                            now => break now,
                        }
                    };
                }
            });
            let Err(_gone) = ended;
            if was.take().is_some() {
                self.doors.close();
                self.changed(false);
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn changed(&self, answers: bool) {
        self.changes.send_modify(|(count, lives)| (*count, *lives) = (*count + 1, answers));
    }

    pub(crate) fn us(&self) -> Us {
        self.us.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes picture or phrase; they stay as they were if they cannot be kept.
    pub(crate) fn set_us(&self, change: impl FnOnce(&mut Us)) -> std::io::Result<()> {
        let mut us = self.us.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = us.clone();
        change(&mut new);
        new.store(&self.vault.join(DIR))?;
        *us = new;
        Ok(())
    }

    /// Asks the vault, on a thread that may wait. A connection for each question: the vault may have been started anew since the last one.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&UserSide) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let dir = self.vault.clone();
        let asked = tokio::task::spawn_blocking(move || question(&UserSide::connect(&dir)?)).await;
        asked.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// How the vault is, and what waits; what waits is known to an open vault only.
    pub(crate) async fn look(&self) -> Result<(VaultState, Vec<Approval>), CallError> {
        self.ask(|user| {
            let state = user.state()?;
            let waiting = if state.condition == Condition::Locked { Vec::new() } else { user.waiting()? };
            Ok((state, waiting))
        })
        .await
    }

    /// The page that was asked for, once its reader knows picture and phrase; or the one that says why there is none.
    pub(crate) async fn shown(
        &self,
        reader: &Reader,
        page: impl Future<Output = Result<Response, CallError>>,
    ) -> Response {
        if !self.us().known {
            return self.introduce(reader);
        }
        match page.await {
            Ok(page) => page,
            Err(error) if error.code() == Some(Code::Locked) => self.ask_passphrase(reader, None),
            Err(error) => self.failed(reader, &error),
        }
    }

    /// A page of the window. `waiting` is how much waits for an answer.
    pub(crate) fn page(
        &self,
        reader: &Reader,
        here: &'static str,
        title: &str,
        waiting: usize,
        content: &Markup,
    ) -> Response {
        self.page_as(StatusCode::OK, reader, here, title, waiting, content)
    }

    /// The same, for what went otherwise than was asked.
    pub(crate) fn page_as(
        &self,
        status: StatusCode,
        reader: &Reader,
        here: &'static str,
        title: &str,
        waiting: usize,
        content: &Markup,
    ) -> Response {
        let language = reader.language;
        let place = |path, key, waiting| Place { path, name: language.text(key), waiting };
        let places = [place("/", "approvals", waiting), place("/log", "window-log", 0), place("/us", "window-us", 0)];
        let (owner, mark) = (language.text("window-name"), self.mark(reader));
        let frame = Frame {
            language,
            title,
            owner: &owner,
            places: &places,
            here,
            path: &reader.path,
            live: Some("window-lost"),
            mark: Some(&mark),
        };
        document(status, &frame.around(content))
    }

    /// Picture and phrase, as they stand above every page. The picture is in the page itself: it has no address that somebody else could name.
    fn mark(&self, reader: &Reader) -> Markup {
        let Us { phrase, alt, picture, .. } = self.us();
        let (media_type, bytes) = picture.file();
        let picture = format!("data:{media_type};base64,{}", BASE64.encode(&bytes));
        let alt = if alt.is_empty() { reader.language.text("picture-alt") } else { alt };
        html! {
            aside.mark aria-label=(reader.language.text("mark")) {
                img src=(picture) alt=(alt) width="72" height="72";
                p { bdi { (escape(&phrase, 0)) } }
            }
        }
    }

    /// What the vault says about why not, at full width and in words.
    pub(crate) fn failed(&self, reader: &Reader, error: &CallError) -> Response {
        let language = reader.language;
        let (status, what) = match error {
            CallError::Silent(_) => (StatusCode::SERVICE_UNAVAILABLE, "vault-silent"),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, "vault-refused"),
        };
        let content = html! {
            p.error role="alert" { (language.text(what)) }
            p lang="en" { (escape(&error.to_string(), 0)) }
            p { a href="/" { (language.text("window-first")) } }
        };
        self.page_as(status, reader, "", &language.text("error-title"), 0, &content)
    }
}

/// Tells an open page of every change; it ends when the vault does not answer any more.
async fn live(State(window): State<Arc<Window>>) -> Response {
    let changes = window.changes.subscribe();
    if !changes.borrow().1 {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let told = stream::unfold(changes, async |mut changes| {
        changes.changed().await.ok()?;
        let (count, answers) = *changes.borrow_and_update();
        answers.then(|| (Ok::<_, Infallible>(Event::default().data(count.to_string())), changes))
    });
    Sse::new(told).keep_alive(KeepAlive::new().interval(STILL_HERE)).into_response()
}

async fn missing(State(window): State<Arc<Window>>, reader: Reader) -> Response {
    let language = reader.language;
    let content = html! { p { a href="/" { (language.text("window-first")) } } };
    window.page_as(StatusCode::NOT_FOUND, &reader, "", &language.text("no-such-page"), 0, &content)
}

//! The passphrase, and what its reader sees before it is asked for: picture and phrase.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use semper_core::text::escape;
use semper_pages::Reader;
use semper_vault::client::{CallError, UserSide};
use semper_vault::wire::{Code, Condition};
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use crate::us::{ALT_MAX, PHRASE_MAX, PICTURE_MAX, Picture, Us};
use crate::window::Window;

#[derive(Deserialize)]
struct UnlockForm {
    passphrase: String,
    #[serde(default)]
    back: String,
}

/// Takes the passphrase: opens the keys, or has answers taken again.
pub(crate) async fn unlock(State(window): State<Arc<Window>>, reader: Reader, body: Bytes) -> Response {
    let form = serde_urlencoded::from_bytes::<UnlockForm>(&body);
    // What was read is wiped here. What the server has read it into is not ours; it is given back and written over by what comes next.
    if let Ok(mut body) = body.try_into_mut() {
        body.zeroize();
    }
    let Ok(UnlockForm { passphrase, back }) = form else { return Redirect::to("/").into_response() };
    let passphrase = Zeroizing::new(passphrase);
    // Only to a question, or to the beginning.
    let back = if back.starts_with("/approvals/") { back } else { "/".to_owned() };
    window
        .shown(&reader, async {
            match window.ask(move |user| user.unlock(passphrase.as_bytes(), None)).await {
                Ok(()) => Ok(Redirect::to(&back).into_response()),
                Err(error) if matches!(error.code(), Some(Code::WrongPassphrase | Code::TooOften)) => {
                    Ok(window.ask_passphrase(&reader, Some((&error, &back))))
                }
                Err(error) => Err(error),
            }
        })
        .await
}

/// Forgets the keys, and ends every session.
pub(crate) async fn lock(State(window): State<Arc<Window>>, reader: Reader) -> Response {
    let language = reader.language;
    window
        .shown(&reader, async {
            window.ask(UserSide::lock).await?;
            let content = html! {
                p.notice role="status" { (language.text("locked-now")) }
                p { code { "semper window" } }
            };
            Ok(window.page(&reader, "", &language.text("locked-title"), 0, &content))
        })
        .await
}

/// The form for the passphrase.
pub(crate) fn passphrase_form(reader: &Reader, back: &str, verb: &str) -> Markup {
    let language = reader.language;
    html! {
        form.line method="post" action="/unlock" {
            input type="hidden" name="back" value=(back);
            div {
                label for="passphrase" { (language.text("passphrase")) }
                input #passphrase name="passphrase" type="password" autocomplete="current-password" required
                    aria-describedby="passphrase-hint";
            }
            button { (language.text(verb)) }
        }
        p #passphrase-hint .soft { (language.text("passphrase-hint")) }
    }
}

impl Window {
    /// The page of a locked vault; `refused` is why the last passphrase was not taken, and where it was to lead.
    pub(crate) fn ask_passphrase(&self, reader: &Reader, refused: Option<(&CallError, &str)>) -> Response {
        let language = reader.language;
        let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let content = html! {
            @if let Some((error, _)) = refused {
                p.error role="alert" {
                    @if error.code() == Some(Code::TooOften) { (language.text("passphrase-too-often")) }
                    @else { (language.text("passphrase-wrong")) }
                }
                @if error.code() == Some(Code::TooOften) { p lang="en" { (escape(&error.to_string(), 0)) } }
            }
            p { (language.text("locked-look")) }
            (passphrase_form(reader, refused.map_or("/", |(_, back)| back), "unlock"))
        };
        self.page_as(status, reader, "/", &language.text("locked-title"), 0, &content)
    }

    /// What is said when picture and phrase are new.
    pub(crate) fn introduce(&self, reader: &Reader) -> Response {
        let language = reader.language;
        let content = html! {
            p.notice { strong { (language.text("us-rule")) } }
            p { (language.text("us-what")) }
            ul {
                li { (language.text("us-opened-by-you")) }
                li { (language.text("us-not-alone")) }
                li { (language.text("us-change")) }
            }
            form method="post" action="/us/known" { button { (language.text("us-known")) } }
        };
        self.page(reader, "", &language.text("us-first"), 0, &content)
    }

    /// The page on which picture and phrase are changed.
    fn show_us(&self, reader: &Reader, refused: Option<&str>) -> Response {
        let language = reader.language;
        let Us { phrase, alt, .. } = self.us();
        let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let content = html! {
            @if let Some(refused) = refused { p.error role="alert" { (language.text(refused)) } }
            p { strong { (language.text("us-rule")) } }
            p { (language.text("us-not-alone")) }
            form method="post" action="/us" enctype="multipart/form-data" {
                label for="phrase" { (language.text("phrase")) }
                input #phrase name="phrase" value=(phrase) maxlength=(PHRASE_MAX) required autocomplete="off";
                label for="own" { (language.text("picture-own")) }
                input #own type="file" name="picture" accept="image/png,image/jpeg" aria-describedby="own-hint";
                p #own-hint .soft { (language.text_with("picture-hint", &[("size", language.size(PICTURE_MAX as u64).into())])) }
                label for="alt" { (language.text("alt")) }
                input #alt name="alt" value=(alt) maxlength=(ALT_MAX) autocomplete="off";
                div.actions {
                    button name="do" value="keep" { (language.text("us-keep")) }
                    button name="do" value="draw" { (language.text("us-draw")) }
                }
            }
        };
        self.page_as(status, reader, "/us", &language.text("window-us"), 0, &content)
    }

    /// Reads the form with picture and phrase; the text that says why it is not taken else.
    async fn read_us(&self, mut form: Multipart) -> Result<(), &'static str> {
        let (mut phrase, mut alt, mut file, mut draw) = (None, None, None, false);
        // More fields than there are is no form of ours.
        for _ in 0..8 {
            let Some(field) = form.next_field().await.map_err(|_| "us-too-long")? else { break };
            let name = field.name().unwrap_or_default().to_owned();
            let bytes = field.bytes().await.map_err(|_| "us-too-long")?;
            let text =
                || String::from_utf8(bytes.to_vec()).map(|text| text.trim().to_owned()).map_err(|_| "us-too-long");
            match name.as_str() {
                "phrase" => phrase = Some(text()?),
                "alt" => alt = Some(text()?),
                "do" => draw = bytes.as_ref() == b"draw",
                "picture" if !bytes.is_empty() => file = Some(bytes.to_vec()),
                _ => {}
            }
        }
        let (phrase, alt) = (phrase.unwrap_or_default(), alt.unwrap_or_default());
        if phrase.is_empty() || phrase.len() > PHRASE_MAX || alt.len() > ALT_MAX {
            return Err("us-too-long");
        }
        let picture = match (draw, file) {
            (true, _) => Some(Picture::fresh(self.random).map_err(|_| "us-not-kept")?),
            (false, Some(file)) => Some(Picture::of_file(file).ok_or("us-no-picture")?),
            (false, None) => None,
        };
        let change = move |us: &mut Us| {
            // Words that nobody has changed are not about another picture.
            let stale = picture.is_some() && us.alt == alt;
            (us.phrase, us.alt) = (phrase, if stale { String::new() } else { alt });
            if let Some(picture) = picture {
                us.picture = picture;
            }
        };
        self.set_us(change).map_err(|_| "us-not-kept")
    }
}

pub(crate) async fn us(State(window): State<Arc<Window>>, reader: Reader) -> Response {
    window.shown(&reader, async { Ok(window.show_us(&reader, None)) }).await
}

/// Changes picture and phrase, for whoever may answer too: nobody who sits down there.
pub(crate) async fn change_us(State(window): State<Arc<Window>>, reader: Reader, form: Multipart) -> Response {
    window
        .shown(&reader, async {
            if window.ask(UserSide::state).await?.condition != Condition::Open {
                return Ok(window.ask_passphrase(&reader, None));
            }
            Ok(match window.read_us(form).await {
                Ok(()) => Redirect::to("/us").into_response(),
                Err(refused) => window.show_us(&reader, Some(refused)),
            })
        })
        .await
}

/// The reader knows them.
pub(crate) async fn know_us(State(window): State<Arc<Window>>, reader: Reader) -> Response {
    match window.set_us(|us| us.known = true) {
        Ok(()) => Redirect::to("/").into_response(),
        Err(_) => window.show_us(&reader, Some("us-not-kept")),
    }
}

//! Contacts: with whom deals are made, and who may decide about them.

use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use semper_core::text::escape;
use semper_pages::{Language, names};
use serde::Deserialize;

use super::{Desk, Failure, Page, Reader, shown};
use crate::control::ContactView;
use crate::node::BookError;
use crate::orders;

impl From<BookError> for Failure {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Unknown(_) => Self::missing("no-such-contact", error.to_string()),
            error => Self::refused("error-contact", error),
        }
    }
}

/// A contact that is to be added.
#[derive(Deserialize)]
pub(super) struct CardForm {
    card: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    arbiter: Option<String>,
}

/// A contact that is meant.
#[derive(Deserialize)]
pub(super) struct Named {
    name: String,
}

pub(super) async fn show(State(desk): State<Arc<Desk>>, reader: Reader) -> Page {
    shown(&reader, desk.show_people(&reader).await)
}

pub(super) async fn add(State(desk): State<Arc<Desk>>, reader: Reader, Form(form): Form<CardForm>) -> Page {
    let added = async {
        desk.node.book().add(form.card.trim(), form.name.trim(), form.arbiter.is_some()).await?;
        Ok(Redirect::to("/contacts").into_response())
    };
    shown(&reader, added.await)
}

pub(super) async fn ask_remove(
    State(desk): State<Arc<Desk>>,
    reader: Reader,
    Query(Named { name }): Query<Named>,
) -> Page {
    shown(&reader, desk.ask_remove(&reader, &name).await)
}

pub(super) async fn remove(State(desk): State<Arc<Desk>>, reader: Reader, Form(Named { name }): Form<Named>) -> Page {
    let removed = async {
        desk.node.book().remove(&name).await?;
        // Nothing more is signed under an arbiter that is not known.
        desk.node.look_at_asks();
        Ok(Redirect::to("/contacts").into_response())
    };
    shown(&reader, removed.await)
}

impl Desk {
    async fn show_people(&self, reader: &Reader) -> Result<Response, Failure> {
        let language = reader.language;
        let contacts: Vec<_> = self.node.book().all().await?.iter().map(orders::contact_view).collect();
        let content = html! {
            section #people data-live="" {
                @if contacts.is_empty() { p { (language.text("no-contacts")) } }
                ul.cards { @for contact in &contacts { li { (card(language, contact, &contacts)) } } }
            }
            h2 { (language.text("add-contact")) }
            form method="post" {
                p {
                    label for="card" { (language.text("card-label")) }
                    textarea #card name="card" required spellcheck="false" aria-describedby="card-hint" {}
                    span.soft #card-hint { (language.text("card-hint")) }
                }
                p {
                    label for="name" { (language.text("name-label")) }
                    input #name name="name" autocomplete="off" aria-describedby="name-hint";
                    span.soft #name-hint { (language.text("name-hint")) }
                }
                div.choice {
                    input #arbiter type="checkbox" name="arbiter" value="yes" aria-describedby="arbiter-hint";
                    label for="arbiter" { (language.text("arbiter-label")) }
                }
                p.soft #arbiter-hint { (language.text("arbiter-hint")) }
                p { button { (language.text("add-contact")) } }
            }
            h2 { (language.text("own-card")) }
            p { (language.text("own-card-hint")) }
            details #own-card {
                summary { (language.text("own-card-show")) }
                pre { (escape_lines(self.node.card())) }
            }
        };
        self.page(reader, "/contacts", &language.text("contacts"), &content).await
    }

    async fn ask_remove(&self, reader: &Reader, name: &str) -> Result<Response, Failure> {
        let language = reader.language;
        let contact = orders::contact_view(&self.node.book().by_name(name).await?);
        let content = html! {
            p { (names::show(language, &contact.name)) " " span.code { (contact.fingerprint) } }
            p { (language.text("remove-means")) }
            form.actions method="post" {
                input type="hidden" name="name" value=(contact.name);
                a.button href="/contacts" { (language.text("remove-no")) }
                button { (language.text("remove-yes")) }
            }
        };
        self.page(reader, "/contacts", &language.text("remove-title"), &content).await
    }
}

fn card(language: Language, contact: &ContactView, all: &[ContactView]) -> Markup {
    let alike: Vec<_> = all.iter().filter(|other| names::look_alike(&contact.name, &other.name)).collect();
    let remove = serde_urlencoded::to_string([("name", &contact.name)]).unwrap_or_default();
    html! {
        h2 { (names::show(language, &contact.name)) }
        @if !alike.is_empty() { p.warning-box { (language.text("name-looks-alike")) } }
        p.code { (contact.fingerprint) }
        @if contact.arbiter { p { (language.text("is-arbiter")) } }
        @if contact.time_stamps.is_some() { p { (language.text("is-time-stamper")) } }
        @if let Some(inbox) = &contact.inbox { p.soft { bdi { (escape(inbox, 0)) } } }
        p.soft { (language.text_with("certificates", &[("count", contact.certificates.into())])) }
        p { a href={ "/contacts/remove?" (remove) } { (language.text("remove")) " " span.unseen { (escape(&contact.name, 0)) } } }
    }
}

/// Text of several lines, each with nothing hidden.
fn escape_lines(text: &str) -> String {
    text.lines().map(|line| escape(line, 0)).collect::<Vec<_>>().join("\n")
}

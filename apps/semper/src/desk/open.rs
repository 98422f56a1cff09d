//! What another page or program leads here with: a link `web+semper:…`. It is shown, and nothing is fetched before the user says so.
//!
//! A browser asks for this page without the cookie of the session, because another site has led to it. So it shows nothing but the link, and the
//! way on is a page of our own.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use maud::html;
use semper_core::text::escape;
use semper_pages::frame::Frame;
use semper_pages::{Reader, document};
use serde::Deserialize;

use super::deal::percent;
use crate::sale;

/// Registers the desk for such links with the browser, when its user asks for that.
pub(super) const SCRIPT: &str = include_str!("open.js");

#[derive(Deserialize)]
pub(super) struct Handed {
    link: String,
}

pub(super) async fn ask(reader: Reader, Query(Handed { link }): Query<Handed>) -> Response {
    let language = reader.language;
    let link = sale::unhanded(&link).filter(|link| sale::is_offer(link));
    let content = html! {
        @match link {
            Some(link) => {
                p { (language.text("open-why")) }
                p.code { (escape(link, 0)) }
                p { a.button href={ "/buy?link=" (percent(link)) } { (language.text("open-look")) } }
            }
            None => p.error role="alert" { (language.text("error-link")) }
        }
    };
    let status = if link.is_some() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    document(status, &Frame::alone(language, &language.text("open-title")).around(&content))
}

//! Who reads a page: the language, and the page as a response.

use std::convert::Infallible;

use axum::extract::{Form, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;
use serde::Deserialize;

use crate::Language;

/// The cookie of the language that the reader has chosen.
const LANGUAGE: &str = "semper-language";

/// Who reads a page.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The language.
    pub language: Language,
    /// The path and query of the page.
    pub path: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { language: language(&parts.headers), path })
    }
}

/// A page as a response.
pub fn document(status: StatusCode, page: &Markup) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.0.clone()).into_response()
}

/// The language that the reader has chosen, or the one that the browser asks for.
pub(crate) fn language(headers: &HeaderMap) -> Language {
    let chosen = cookie(headers, LANGUAGE).and_then(Language::with_tag);
    let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    chosen.unwrap_or_else(|| asked.map_or_else(Language::default, Language::accepted))
}

/// A cookie of a request.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(named, _)| *named == name).map(|(_, value)| value)
}

#[derive(Deserialize)]
pub(crate) struct LanguageForm {
    language: String,
    back: String,
}

/// Remembers the language that the reader has chosen, and goes back to the page where that was done.
pub(crate) async fn set_language(Form(form): Form<LanguageForm>) -> Response {
    let mut response = Redirect::to(own_path(&form.back)).into_response();
    let cookie = Language::with_tag(&form.language).and_then(|language| {
        HeaderValue::from_str(&format!("{LANGUAGE}={}; Path=/; SameSite=Strict", language.tag())).ok()
    });
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// A path of these pages; nothing else is gone to.
fn own_path(path: &str) -> &str {
    let own = path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n']);
    if own { path } else { "/" }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn cookies_are_read_by_name() {
        let pairs = [("cookie", "a=1; semper-desk=xyz; semper-desk2=no")];
        let read = pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect();
        assert_eq!((cookie(&read, "semper-desk"), cookie(&read, "b")), (Some("xyz"), None));
    }

    // A choice of language must not lead to another site.
    #[test]
    fn only_own_paths_are_gone_to() {
        for (path, to) in [("/deals?q=1", "/deals?q=1"), ("//evil.example", "/"), ("/\\evil", "/"), ("http://x", "/")] {
            assert_eq!(own_path(path), to);
        }
    }
}

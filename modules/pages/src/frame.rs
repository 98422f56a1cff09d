//! The page around the content.

use maud::{DOCTYPE, Markup, html};

use crate::Language;

/// The one style sheet.
pub const STYLE: &str = include_str!("style.css");
/// The one script: it keeps an open page up to date. Without it everything can be read and done, by loading pages again.
pub const SCRIPT: &str = include_str!("live.js");
/// What a browser may do with a page: show it, with its own style and script, and send forms to where it came from. Nothing else is
/// loaded, nobody may put the page into a frame (Content Security Policy Level 3).
pub const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                          form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A place that a page leads to.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its path.
    pub path: &'static str,
    /// What it is called.
    pub name: String,
    /// Something there waits for the reader: how many.
    pub waiting: usize,
}

/// What all pages of a window have in common.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// The reader's language.
    pub language: Language,
    /// What the page is called; the window's name follows it.
    pub title: &'a str,
    /// Whose window it is.
    pub owner: &'a str,
    /// The places of the window.
    pub places: &'a [Place],
    /// The path of the place that the page belongs to.
    pub here: &'a str,
    /// The path of the page itself: where a change of language leads back to.
    pub path: &'a str,
    /// The text that is shown when the connection is lost, of a page that stays up to date while it is open.
    pub live: Option<&'a str>,
    /// What tells the reader that it is this window and no imitation, above everything else.
    pub mark: Option<&'a Markup>,
}

impl<'a> Frame<'a> {
    /// The frame of a page that belongs to no place. A change of language leads to the beginning.
    pub fn alone(language: Language, title: &'a str) -> Self {
        Self { language, title, owner: "", places: &[], here: "", path: "/", live: None, mark: None }
    }

    /// The page with its content.
    pub fn around(&self, content: &Markup) -> Markup {
        let language = self.language;
        let waiting: usize = self.places.iter().map(|place| place.waiting).sum();
        html! {
            (DOCTYPE)
            html lang=(language.tag()) dir=(language.direction()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { @if waiting > 0 { "(" (waiting) ") " } (self.title) " – Semper" }
                    link rel="stylesheet" href="/style.css";
                    link rel="icon" href="data:,";
                    @if self.live.is_some() { script src="/live.js" defer {} }
                }
                body {
                    a.skip href="#content" { (language.text("skip-to-content")) }
                    @if let Some(mark) = self.mark { (mark) }
                    header {
                        p.brand { "Semper " bdi.owner { (self.owner) } }
                        nav aria-label=(language.text("places")) {
                            ul #places data-live="" {
                                @for place in self.places {
                                    li {
                                        a href=(place.path) aria-current=[(place.path == self.here).then_some("page")] {
                                            (place.name)
                                            @if place.waiting > 0 {
                                                " " span.badge {
                                                    (place.waiting)
                                                    span.unseen { " " (language.text("waiting")) }
                                                }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                    p #connection role="status" data-lost=[self.live.map(|lost| language.text(lost))] {}
                    main #content tabindex="-1" {
                        h1 { (self.title) }
                        (content)
                    }
                    footer {
                        form method="post" action="/language" {
                            input type="hidden" name="back" value=(self.path);
                            @for other in Language::ALL.into_iter().filter(|other| *other != language) {
                                button.plain name="language" value=(other.tag()) lang=(other.tag()) { (other.own_name()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A title that somebody else chose must not become markup.
    #[test]
    fn nothing_that_others_wrote_becomes_markup() {
        let places = [Place { path: "/", name: "<i>".to_owned(), waiting: 2 }];
        let frame = Frame {
            language: Language::English,
            title: "<script>alert(1)</script>",
            owner: "<b>Bob",
            places: &places,
            here: "/",
            path: "/\"><x",
            live: Some("connection-lost"),
            mark: None,
        };
        let page = frame.around(&html! { p { "content" } }).into_string();
        for markup in ["<script>alert", "<b>", "<i>", "<x"] {
            assert!(!page.contains(markup), "{markup} in {page}");
        }
        assert!(page.contains("aria-current=\"page\""), "{page}");
    }
}

//! What this party offers: links and codes to give away, and whether orders are taken.

use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, PreEscaped, html};
use qrcode::QrCode;
use qrcode::render::svg::Color;
use semper_core::ids::StatementId;
use semper_core::text::escape;
use semper_pages::{Language, names};
use serde::Deserialize;

use super::{Desk, Failure, Page, Reader, shown};
use crate::control::OfferView;
use crate::sale::{handed, link};
use crate::{now, shop};

pub(super) async fn show(State(desk): State<Arc<Desk>>, reader: Reader) -> Page {
    shown(&reader, desk.show_offers(&reader).await)
}

#[derive(Deserialize)]
pub(super) struct StandsForm {
    stands: bool,
}

pub(super) async fn set(
    State(desk): State<Arc<Desk>>,
    reader: Reader,
    Path(id): Path<String>,
    Form(form): Form<StandsForm>,
) -> Page {
    let set = async {
        let id = StatementId::parse(&id).ok_or_else(|| Failure::missing("no-such-offer", String::new()))?;
        desk.node.set_offer(id, form.stands).await?;
        Ok(Redirect::to("/offers").into_response())
    };
    shown(&reader, set.await)
}

impl Desk {
    async fn show_offers(&self, reader: &Reader) -> Result<Response, Failure> {
        let language = reader.language;
        let offers = shop::offers(&self.node).await?;
        let content = html! {
            h2 { (language.text("buy-title")) }
            form.line action="/buy" {
                div { label for="link" { (language.text("buy-link")) } input id="link" name="link" size="48" required autocomplete="off" placeholder="https://…/offers/…"; }
                button { (language.text("buy-look")) }
            }
            div {
                button #handler type="button" hidden data-said=(language.text("handler-said")) aria-describedby="handler-hint" {
                    (language.text("handler"))
                }
                p #handler-hint .soft { (language.text("handler-hint")) }
                p #handler-said role="status" {}
            }
            script src="/open.js" defer {}
            h2 { (language.text("own-offers")) }
            p { a.button href="/sell" { (language.text("sell-title")) } }
            section #offers data-live="" {
                @if offers.is_empty() { p { (language.text("no-offers")) } }
                ul.cards { @for offer in &offers { li { (card(language, offer, &link(&self.base, &offer.id))) } } }
            }
        };
        self.page(reader, "/offers", &language.text("offers"), &content).await
    }
}

fn card(language: Language, offer: &OfferView, link: &str) -> Markup {
    let ended = offer.until < now().unix();
    let short = &offer.id[..12];
    html! {
        h2 { (names::show(language, &offer.name)) }
        p {
            strong { (language.money(&offer.price)) }
            " "
            span.soft {
                @match offer.size { Some(size) => (language.size(size)), None => (language.text("offer-of-right")) }
            }
        }
        p {
            @if offer.approval.is_some() { span.turn { (language.text("offer-asks")) } }
            @else if !offer.stands { (language.text("offer-withdrawn")) }
            @else if ended { (language.text("offer-ended")) " " (language.time(offer.until)) }
            @else { span.good { (language.text("offer-stands")) } " " (language.time(offer.until)) }
        }
        @if offer.stands && !ended && offer.approval.is_none() {
            p.code { (link) }
            details id={ "page-" (short) } {
                summary { (language.text("link-for-pages")) }
                p.code { (handed(link)) }
            }
            details id={ "code-" (short) } {
                summary { (language.text("qr-code")) }
                (qr_code(language, link))
            }
        }
        form.actions method="post" action={ "/offers/" (offer.id) } {
            @if offer.stands {
                button name="stands" value="false" { (language.text("withdraw-offer")) " " span.unseen { (escape(&offer.name, 0)) } }
            } @else if !ended && offer.approval.is_none() {
                button name="stands" value="true" { (language.text("renew-offer")) " " span.unseen { (escape(&offer.name, 0)) } }
            }
        }
    }
}

/// A link as a picture for a camera: always black on white, or a camera in the dark does not read it. The link stands beside it as text.
fn qr_code(language: Language, link: &str) -> Markup {
    let drawn = QrCode::new(link).map(|code| {
        code.render::<Color<'_>>().min_dimensions(240, 240).dark_color(Color("#000")).light_color(Color("#fff")).build()
    });
    // Without the declaration that an SVG file begins with. Nothing that others wrote stands in it: a code has no text.
    let svg = drawn.ok().and_then(|svg| svg.find("<svg").map(|begin| svg[begin..].to_owned()));
    html! {
        @match svg {
            Some(svg) => div role="img" aria-label=(language.text("qr-code-of-link")) { (PreEscaped(svg)) },
            None => p { (language.text("qr-code-too-long")) },
        }
    }
}

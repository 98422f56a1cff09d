//! The deal browser: every deal, also those that came to nothing, with where it stands and whose turn it is.

use std::sync::Arc;

use axum::extract::{Query, State};
use maud::{Markup, html};
use semper_core::ids::DealId;
use semper_core::text::escape;
use semper_pages::{Language, names};
use serde::{Deserialize, Serialize};

use super::{Desk, Failure, Page, Reader, notices, shown};
use crate::control::{DealView, Standing};
use crate::orders;

/// Deals that are read from the archive at once.
const BATCH: usize = 200;
/// Most deals that are looked through for one page. If there are more, the page says so.
const SEARCHED: usize = 20_000;
/// Deals on a page.
const PAGE: usize = 50;

/// What is asked of the deal browser.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Asked {
    /// Words that title, party or identifier contain.
    q: String,
    show: Show,
    /// From 0.
    page: usize,
}

/// Which deals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Show {
    #[default]
    All,
    /// Our own answer is awaited.
    Turn,
    Open,
    /// Ended as it was meant to.
    Good,
    /// Ended in another way.
    Other,
    /// One of the parties disputes.
    Disputed,
}

impl Show {
    const ALL: [(Show, &str, &str); 6] = [
        (Show::All, "all", "show-all"),
        (Show::Turn, "turn", "show-turn"),
        (Show::Open, "open", "show-open"),
        (Show::Good, "good", "show-good"),
        (Show::Other, "other", "show-other"),
        (Show::Disputed, "disputed", "show-disputed"),
    ];

    fn takes(self, deal: &DealView) -> bool {
        match self {
            Show::All => true,
            Show::Turn => deal.ending.is_none() && deal.waits_for == "us",
            Show::Open => deal.ending.is_none(),
            Show::Good => deal.ending.as_deref() == Some("success"),
            Show::Other => deal.ending.as_deref().is_some_and(|ending| ending != "success"),
            Show::Disputed => notices::is_disputed(deal),
        }
    }
}

/// The deals that were asked for.
struct Found {
    deals: Vec<DealView>,
    /// Whether there are more that were not looked at.
    cut: bool,
}

pub(super) async fn browse(State(desk): State<Arc<Desk>>, reader: Reader, Query(asked): Query<Asked>) -> Page {
    shown(&reader, desk.browse(&reader, &asked).await)
}

impl Desk {
    async fn browse(&self, reader: &Reader, asked: &Asked) -> Result<axum::response::Response, Failure> {
        let language = reader.language;
        let Found { deals: found, cut } = self.found(asked).await?;
        let pages = found.len().div_ceil(PAGE).max(1);
        let page = asked.page.min(pages - 1);
        let here = found.iter().skip(page * PAGE).take(PAGE);
        let content = html! {
            (search(language, asked))
            div #deals data-live="" {
                p.soft { (language.text_with("deals-found", &[("count", found.len().into())])) }
                @if cut { p.warning-box { (language.text("deals-cut")) } }
                @if found.is_empty() && asked.q.is_empty() && asked.show == Show::All {
                    p { (language.text("no-deals-yet")) }
                    pre { "semper sell FILE --price \"12.00 EUR\"\nsemper buy LINK\nsemper sign FILE --with CONTACT" }
                }
                ul.cards { @for deal in here { li { (card(language, deal)) } } }
                @if pages > 1 {
                    nav aria-label=(language.text("pages")) {
                        ul {
                            @if page > 0 { li { a href=(link(asked, page - 1)) { (language.text("page-before")) } } }
                            li { (language.text_with("page-of", &[("page", (page + 1).into()), ("pages", pages.into())])) }
                            @if page + 1 < pages { li { a href=(link(asked, page + 1)) { (language.text("page-after")) } } }
                        }
                    }
                }
            }
        };
        self.page(reader, "/", &language.text("deals"), &content).await
    }

    /// The deals that were asked for, the youngest first.
    async fn found(&self, asked: &Asked) -> Result<Found, Failure> {
        let wanted = asked.q.trim().to_lowercase();
        let (mut deals, mut after, mut looked) = (Vec::new(), None::<DealId>, 0);
        let mut given = crate::notices::all(&self.node).await?;
        let cut = loop {
            if looked >= SEARCHED {
                break true;
            }
            let batch = self.node.entries(after, BATCH).await?;
            looked += batch.len();
            let views = batch.iter().map(|entry| {
                let view = orders::view(entry);
                DealView { notices: given.remove(&view.id).unwrap_or_default(), ..view }
            });
            deals.extend(views.filter(|deal| asked.show.takes(deal) && is_about(deal, &wanted)));
            match batch.last() {
                Some(last) if batch.len() == BATCH => after = Some(last.deal.id()),
                _ => break false,
            }
        };
        deals.sort_by_key(|deal| std::cmp::Reverse(deal.opened));
        Ok(Found { deals, cut })
    }
}

fn is_about(deal: &DealView, wanted: &str) -> bool {
    [&deal.title, &deal.peer, &deal.id].into_iter().any(|text| text.to_lowercase().contains(wanted))
}

fn link(asked: &Asked, page: usize) -> String {
    let query = serde_urlencoded::to_string(Asked { page, ..asked.clone() }).unwrap_or_default();
    format!("/?{query}")
}

fn search(language: Language, asked: &Asked) -> Markup {
    html! {
        form.line role="search" method="get" action="/" {
            div {
                label for="q" { (language.text("search-label")) }
                input #q type="search" name="q" value=(asked.q);
            }
            div {
                label for="show" { (language.text("show-label")) }
                select #show name="show" {
                    @for (show, value, key) in Show::ALL {
                        option value=(value) selected[show == asked.show] { (language.text(key)) }
                    }
                }
            }
            button { (language.text("search")) }
        }
    }
}

fn card(language: Language, deal: &DealView) -> Markup {
    html! {
        h2 { a href={ "/deals/" (deal.id) } { (notices::heading(language, deal)) } }
        p { (state(language, deal)) }
        (notices::concerns(language, deal))
        p.soft {
            (language.text("with")) " " (names::show(language, &deal.peer)) " · " (language.time(deal.opened))
        }
        (trouble(language, deal))
    }
}

/// Where a deal stands, with a mark that does not need colour.
pub(super) fn state(language: Language, deal: &DealView) -> Markup {
    let words = standing(language, deal);
    let class = match (deal.ending.as_deref(), deal.waits_for.as_str()) {
        (Some("success"), _) => "good",
        (Some("defective" | "faulted" | "unsettled"), _) => "bad",
        (None, "us") => "turn",
        _ => "",
    };
    let mark = match class {
        "good" => "✓ ",
        "bad" => "✕ ",
        "turn" => "→ ",
        _ => "",
    };
    html! { span class=(class) { span aria-hidden="true" { (mark) } (words) } }
}

/// What went wrong last, as the node words it.
pub(super) fn trouble(language: Language, deal: &DealView) -> Markup {
    html! {
        @if let Some(trouble) = &deal.trouble {
            p.warning-box { (language.text("trouble")) " " span lang="en" { (escape(trouble, 0)) } }
        }
    }
}

/// Where a deal stands, in one sentence.
fn standing(language: Language, deal: &DealView) -> String {
    let text = |key| language.text(key);
    let dated = |key, unix: u64| language.text_with(key, &[("date", language.date(unix).into())]);
    let peer = escape(&deal.peer, 0);
    match Standing::of(deal) {
        Standing::Signed => text("state-signed"),
        Standing::SignedByAll => text("state-signed-by-all"),
        Standing::Delivered => text("state-delivered"),
        Standing::Received => text("state-received"),
        Standing::Receipted => text("state-receipted"),
        Standing::BeenPaid => text("state-been-paid"),
        Standing::Exchanged => text("state-exchanged"),
        Standing::Swapped => text("state-swapped"),
        Standing::Bought => text("state-bought"),
        Standing::Sold => text("state-sold"),
        Standing::Remark(words) | Standing::Ended(words) => {
            language.text_with("state-ended", &[("words", words.into())])
        }
        Standing::Done => text("state-done"),
        Standing::Aborted => text("state-aborted"),
        Standing::PaidWithoutReceipt => text("state-paid-without-receipt"),
        Standing::PaidUnconfirmed => text("state-paid-unconfirmed"),
        Standing::NothingPaid => text("state-nothing-paid"),
        Standing::Lapsed => text("state-lapsed"),
        Standing::Unacknowledged => text("state-unacknowledged"),
        Standing::Refunded => text("state-refunded"),
        Standing::Recalled => text("state-recalled"),
        Standing::Unrecalled => text("state-unrecalled"),
        Standing::Defective => text("state-defective"),
        Standing::Faulted => text("state-faulted"),
        Standing::Unsettled => text("state-unsettled"),
        Standing::Asks => text("state-asks"),
        Standing::Missing(names) => {
            let names: Vec<_> = names.iter().map(|name| escape(name, 0)).collect();
            language.text_with("state-missing", &[("names", names.join(", ").into())])
        }
        Standing::PeerOrRefund(date) => {
            let args = [("peer", peer.into()), ("date", language.date(date).into())];
            language.text_with("state-peer-or-refund", &args)
        }
        Standing::PeerOrRecall(date) => {
            let args = [("peer", peer.into()), ("date", language.date(date).into())];
            language.text_with("state-peer-or-recall", &args)
        }
        Standing::Peer => language.text_with("state-peer", &[("peer", peer.into())]),
        Standing::Refunding(Some(date)) => dated("state-refunding-after", date),
        Standing::Refunding(None) => text("state-refunding"),
        Standing::Paying => text("state-paying"),
        Standing::Issuer => text("state-issuer"),
        Standing::Decided(date) => dated("state-decided", date),
        Standing::InHand(amount) => language.text_with("state-in-hand", &[("amount", amount.into())]),
        Standing::Untaken => text("state-untaken"),
        Standing::Arbiter => text("state-arbiter"),
        Standing::Paused(from) => dated("state-paused", from),
        Standing::UnknownSince(from) => dated("state-unknown-since", from),
    }
}

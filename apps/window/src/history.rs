//! The vault's log: what was shown and answered, the youngest first.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use semper_core::amount::Amount;
use semper_pages::{Language, Reader};
use semper_vault::client::{CallError, UserSide};
use semper_vault::decisions::{Event, What};
use semper_vault::log::LogEntry;
use semper_vault::rules::MandateUse;
use serde::Deserialize;

use crate::answer::question;
use crate::window::Window;

/// Entries on a page.
const PAGE: u64 = 20;

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    page: u64,
}

pub(crate) async fn show(State(window): State<Arc<Window>>, reader: Reader, Query(asked): Query<Asked>) -> Response {
    let language = reader.language;
    window
        .shown(&reader, async {
            let (state, waiting) = window.look().await?;
            let pages = state.entries.div_ceil(PAGE).max(1);
            let page = asked.page.min(pages - 1);
            let end = state.entries.saturating_sub(page * PAGE);
            let entries = window.ask(move |user| last(user, end, PAGE)).await?;
            let content = html! {
                p { (language.text("log-what")) }
                ol #log .steps data-live="" {
                    @for entry in entries.iter().rev() { li { (line(language, entry)) } }
                }
                nav.actions aria-label=(language.text("pages")) {
                    @if page > 0 { a href={ "/log?page=" (page - 1) } { (language.text("page-before")) } }
                    span { (language.text_with("page-of", &[("page", (page + 1).into()), ("pages", pages.into())])) }
                    @if page + 1 < pages { a href={ "/log?page=" (page + 1) } { (language.text("page-after")) } }
                }
            };
            Ok(window.page(&reader, "/log", &language.text("window-log"), waiting.len(), &content))
        })
        .await
}

/// The `count` entries before the one with the number `end`, in their order. What does not go into one answer is asked for again.
pub(crate) fn last(user: &UserSide, end: u64, count: u64) -> Result<Vec<LogEntry>, CallError> {
    let mut skip = end.saturating_sub(count);
    let mut entries = Vec::new();
    while skip < end {
        let page = user.history(skip, end - skip)?;
        let Some(youngest) = page.last() else { break };
        skip = youngest.number + 1;
        entries.extend(page);
    }
    Ok(entries)
}

/// What was done, in words.
pub(crate) fn verb(language: Language, what: What) -> String {
    language.text(match what {
        What::Asked => "log-asked",
        What::Approved => "log-approved",
        What::Declined => "log-declined",
        What::ByRule => "log-by-rule",
        What::ByMandate => "log-by-mandate",
        What::Revoked => "log-revoked",
        What::Followed => "log-followed",
        What::Withdrawn => "log-withdrawn",
        What::Unlocked => "log-unlocked",
        What::BroughtOver => "log-brought-over",
        What::Restored => "log-restored",
    })
}

/// Which use of a mandate it was, and the limits that were in force.
fn limits(language: Language, used: &MandateUse) -> Markup {
    let MandateUse { mandate, number, amount, spent, per_deal, total, uses, until, .. } = used;
    let money = |amount: &Amount| language.money(&amount.to_string());
    html! {
        dl.facts {
            dt { (language.text("mandate")) }
            dd { code { (mandate.to_string()[..12]) } }
            dt { (language.text("mandate-use")) }
            dd { (number) @if let Some(uses) = uses { " / " (uses) } }
            @if let (Some(amount), Some(each)) = (amount, per_deal) {
                dt { (language.text("mandate-each")) }
                dd { (money(amount)) " / " (money(each)) }
            }
            @if let (Some(spent), Some(total)) = (spent, total) {
                dt { (language.text("in-total")) }
                dd { (money(spent)) " / " (money(total)) }
            }
            dt { (language.text("until")) }
            dd { (language.time(until.unix())) }
        }
    }
}

fn line(language: Language, entry: &LogEntry) -> Markup {
    let Event { what, statement, text, .. } = &entry.decision.event;
    let asked = entry.decision.question.as_ref();
    let shown = asked.map(|asked| asked.text.as_str()).or((!text.is_empty()).then_some(text));
    html! {
        p { (language.time(entry.time.unix())) " · " strong { (verb(language, *what)) } }
        @if let Some((id, kind)) = statement {
            p {
                @if let Some(asked) = asked {
                    (question(language, asked.sheet.verb)) " "
                    @if !asked.sheet.what.is_empty() { bdi { (asked.sheet.what) } " " }
                }
                span.soft { (kind.name()) " " code { (id.to_string()[..12]) } }
            }
        }
        @if let Some(used) = entry.decision.facts.iter().find_map(MandateUse::read) { (limits(language, &used)) }
        @if let Some(shown) = shown {
            details #{ "entry-" (entry.number) } {
                summary { (language.text("log-text")) }
                pre lang=[asked.map(|asked| asked.sheet.locale.as_str())] { (shown) }
            }
        }
    }
}

//! What waits, one question, and its answer. The order of a question is always the same: who, what, how much, until when, the text that is signed,
//! its check words and bytes, the answer.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Form, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use data_encoding::HEXLOWER;
use maud::{Markup, html};
use semper_core::hash::Digest;
use semper_core::ids::StatementId;
use semper_core::text::escape;
use semper_pages::names::{look_alike, show as show_name};
use semper_pages::words::check_words;
use semper_pages::{Language, Reader};
use semper_vault::client::CallError;
use semper_vault::decisions::What;
use semper_vault::rules::{Approval, UserAnswer};
use semper_vault::sheet::{Part, Piece, Sheet, Verb, Who};
use semper_vault::wire::{Code, Condition};
use serde::Deserialize;

use crate::arming::Ticket;
use crate::history;
use crate::keys::passphrase_form;
use crate::window::Window;

/// Texts with more lines or bytes may not fit on a screen together with picture and answer: the page does not jump to the answer by itself.
const SHORT: (usize, usize) = (8, 600);
/// How far back the log is searched for what has become of a question.
const SEARCHED: u64 = 256;
/// Pieces up to this length are shown in the page, longer ones can be saved.
const BYTES_SHOWN: usize = 1024;

/// What waits.
pub(crate) async fn list(State(window): State<Arc<Window>>, reader: Reader) -> Response {
    let language = reader.language;
    window
        .shown(&reader, async {
            let (state, waiting) = window.look().await?;
            if state.condition == Condition::Locked {
                return Ok(window.ask_passphrase(&reader, None));
            }
            let content = html! {
                section #waiting data-live="" aria-label=(language.text("approvals")) {
                    @if waiting.is_empty() { p { (language.text("nothing-waits")) } }
                    ul.cards { @for approval in &waiting { li { (card(language, approval)) } } }
                }
                form method="post" action="/lock" {
                    button aria-describedby="lock-hint" { (language.text("lock")) }
                    p #lock-hint .soft { (language.text("lock-hint")) }
                }
            };
            Ok(window.page(&reader, "/", &language.text("approvals"), waiting.len(), &content))
        })
        .await
}

/// One question.
pub(crate) async fn show(State(window): State<Arc<Window>>, reader: Reader, Path(id): Path<String>) -> Response {
    window.shown(&reader, window.question(&reader, &id, None)).await
}

#[derive(Deserialize)]
pub(crate) struct AnswerForm {
    answer: String,
    seen: String,
    ticket: String,
}

/// Takes an answer.
pub(crate) async fn answer(
    State(window): State<Arc<Window>>,
    reader: Reader,
    Path(id): Path<String>,
    Form(form): Form<AnswerForm>,
) -> Response {
    window.shown(&reader, window.take(&reader, &id, form)).await
}

/// The bytes of a piece, to be saved.
pub(crate) async fn piece(
    State(window): State<Arc<Window>>,
    reader: Reader,
    Path((id, name)): Path<(String, String)>,
) -> Response {
    window
        .shown(&reader, async {
            let (_, waiting) = window.look().await?;
            let found = waiting.into_iter().find(|approval| approval.draft.id().to_string() == id);
            let pieces = found.map(|approval| approval.sheet.pieces).unwrap_or_default();
            let bytes = pieces.into_iter().find(|piece| piece.name == name).and_then(|piece| piece.bytes);
            let Some(bytes) = bytes else { return Ok(Redirect::to("/").into_response()) };
            let mut response = bytes.into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            let saved = HeaderValue::from_str(&format!("attachment; filename=\"{name}.cbor\""));
            let saved = saved.unwrap_or(HeaderValue::from_static("attachment"));
            response.headers_mut().insert(header::CONTENT_DISPOSITION, saved);
            Ok(response)
        })
        .await
}

impl Window {
    /// The page of a question; `refused` is why an answer to it was not taken.
    async fn question(&self, reader: &Reader, id: &str, refused: Option<&str>) -> Result<Response, CallError> {
        let language = reader.language;
        let (state, waiting) = self.look().await?;
        if state.condition == Condition::Locked {
            return Ok(self.ask_passphrase(reader, None));
        }
        let Some(approval) = waiting.iter().find(|approval| approval.draft.id().to_string() == id) else {
            return self.no_question(reader, id, waiting.len()).await;
        };
        let seen = approval.text_hash();
        let long = approval.text.lines().count() > SHORT.0 || approval.text.len() > SHORT.1;
        let ticket = self.arming.ticket(approval.draft.id(), &seen);
        let content = html! {
            @if let Some(refused) = refused { p.error role="alert" { (language.text(refused)) } }
            // Says so if the question is answered elsewhere while the page is open.
            div #still data-live="" {}
            @if long { p { a href="#answer" { (language.text("skip-to-answer")) } } }
            (facts(language, approval))
            @if !approval.uncovered.is_empty() {
                section #uncovered {
                    h2 { (language.text("uncovered")) }
                    ul lang="en" { @for why in approval.uncovered.lines() { li { (escape(why, 0)) } } }
                }
            }
            section #text {
                h2 { (language.text("signed-text")) }
                pre lang=(approval.sheet.locale) { (approval.text) }
            }
            (bytes(language, approval))
            section #answer aria-label=(language.text("answer")) {
                @if state.condition == Condition::Idle {
                    p.warning-box { (language.text("idle-look")) }
                    (passphrase_form(reader, &reader.path, "go-on"))
                } @else {
                    form.actions method="post" action={ "/approvals/" (id) } autocomplete="off" {
                        input type="hidden" name="seen" value=(seen.to_hex());
                        input type="hidden" name="ticket" value=(ticket);
                        button.answer name="answer" value="refuse" autofocus[!long] { (language.text("refuse")) }
                        button.answer name="answer" value="approve" { (button(language, &approval.sheet)) }
                    }
                    p.soft { (language.text("answer-hint")) }
                }
            }
            script src="/arm.js" defer {}
        };
        let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let title = question(language, approval.sheet.verb);
        Ok(self.page_as(status, reader, "/", &title, waiting.len(), &content))
    }

    async fn take(&self, reader: &Reader, id: &str, form: AnswerForm) -> Result<Response, CallError> {
        let (Some(statement), Some(seen)) = (StatementId::parse(id), Digest::from_hex(&form.seen)) else {
            return self.question(reader, id, Some("answer-foreign")).await;
        };
        match self.arming.check(&form.ticket, statement, &seen) {
            Ticket::Good => {}
            Ticket::TooEarly => return self.question(reader, id, Some("answer-too-early")).await,
            Ticket::Foreign => return self.question(reader, id, Some("answer-foreign")).await,
        }
        let (answer, done) = match form.answer.as_str() {
            "approve" => (UserAnswer::Approve { seen }, "answer-approved"),
            "refuse" => (UserAnswer::Decline, "answer-refused"),
            _ => return self.question(reader, id, Some("answer-foreign")).await,
        };
        match self.ask(move |user| user.answer(statement, answer)).await {
            Ok(()) => {
                let language = reader.language;
                let (_, waiting) = self.look().await?;
                let content = html! {
                    p.notice role="status" { (language.text(done)) }
                    p { a href="/" { (language.text("window-first")) } }
                };
                Ok(self.page(reader, "/", &language.text("answered-title"), waiting.len(), &content))
            }
            Err(error) => match error.code() {
                Some(Code::Idle) => self.question(reader, id, Some("answer-idle")).await,
                Some(Code::NotSeen) => self.question(reader, id, Some("answer-foreign")).await,
                Some(Code::NotWaiting) => self.question(reader, id, None).await,
                _ => Err(error),
            },
        }
    }

    /// What has become of a question that does not wait.
    async fn no_question(&self, reader: &Reader, id: &str, waiting: usize) -> Result<Response, CallError> {
        let language = reader.language;
        let asked = StatementId::parse(id);
        let found = self.ask(move |user| {
            let entries = history::last(user, user.state()?.entries, SEARCHED)?;
            let about = entries
                .into_iter()
                .rev()
                .find(|entry| entry.decision.event.statement.is_some_and(|(other, _)| Some(other) == asked));
            Ok(about.map(|entry| (entry.decision.event.what, entry.time)))
        });
        let found = found.await?;
        let content = html! {
            div #still data-live="" {
                p.warning-box role="alert" { (language.text("not-waiting")) }
                @if let Some((what, time)) = found {
                    p { (language.time(time.unix())) " · " strong { (history::verb(language, what)) } }
                    @if what == What::Declined { p { (language.text("answer-refused")) } }
                }
            }
            p { a href="/" { (language.text("window-first")) } }
        };
        let title = language.text("not-waiting-title");
        Ok(self.page(reader, "/", &title, waiting, &content))
    }
}

/// A question in the list.
fn card(language: Language, approval: &Approval) -> Markup {
    let Approval { sheet, since, .. } = approval;
    html! {
        h2 { a href={ "/approvals/" (approval.draft.id()) } { (question(language, sheet.verb)) } }
        @if !sheet.what.is_empty() { p { bdi { (sheet.what) } } }
        @if let Some(gives) = sheet.gives { p { (language.text(given(sheet.verb))) " " strong { (language.money(&gives.to_string())) } } }
        @if let Some(gets) = sheet.gets { p { (language.text("gets")) " " strong { (language.money(&gets.to_string())) } } }
        p.soft { (language.text("waits-since")) " " (language.time(since.unix())) }
    }
}

/// Who, what, how much, until when; and the words by which two people know that they see the same.
fn facts(language: Language, approval: &Approval) -> Markup {
    let sheet = &approval.sheet;
    html! {
        dl #facts .facts {
            @for who in &sheet.who {
                dt { (language.text(part(who.part))) }
                dd { (person(language, who, &sheet.who)) }
            }
            @if !sheet.what.is_empty() {
                dt { (language.text("what-about")) }
                dd { bdi { (sheet.what) } }
            }
            @if let Some(gives) = sheet.gives {
                dt { (language.text(given(sheet.verb))) }
                dd { strong { (language.money(&gives.to_string())) } }
            }
            @if let Some(gets) = sheet.gets {
                dt { (language.text("gets")) }
                dd { (language.money(&gets.to_string())) }
            }
            @if let Some(until) = sheet.until {
                dt { (language.text("until")) }
                dd { (language.time(until.unix())) }
            }
            @if let Some(checked) = &sheet.checked {
                dt { (language.text("check-words")) }
                dd {
                    strong #check-words lang="en" { (check_words(checked)) }
                    p.soft { (language.text("check-words-hint")) }
                }
            }
        }
    }
}

fn person(language: Language, who: &Who, all: &[Who]) -> Markup {
    let alike = |name: &str| all.iter().filter_map(|other| other.name.as_deref()).any(|other| look_alike(name, other));
    html! {
        @if let Some(name) = &who.name {
            (show_name(language, name)) " " span.soft { (language.text("name-by-contract")) }
            @if alike(name) { " " span.warning { (language.text("name-alike-here")) } }
            br;
        }
        (language.text("key-words")) " " span lang="en" { (check_words(who.key_set.digest())) }
        br;
        @if who.met { span { (language.text("met")) } }
        @else { span.warning { (language.text("first-time")) } }
    }
}

/// The bytes that are signed, and those that they name.
fn bytes(language: Language, approval: &Approval) -> Markup {
    let id = approval.draft.id();
    html! {
        details #bytes {
            summary { (language.text("signed-bytes")) }
            dl.facts {
                dt { (language.text("statement")) }
                dd { code { (id) } }
                dt { (language.text("text-hash")) }
                dd { code { (approval.text_hash().to_hex()) } }
                @if let Some(checked) = &approval.sheet.checked {
                    dt { (language.text("checked-hash")) }
                    dd { code { (checked.to_hex()) } }
                }
                @for piece in &approval.sheet.pieces {
                    dt { code { (piece.name) } }
                    dd { (piece_line(language, id, piece)) }
                }
            }
        }
    }
}

fn piece_line(language: Language, id: StatementId, piece: &Piece) -> Markup {
    html! {
        (language.size(piece.len))
        @match &piece.bytes {
            Some(bytes) => {
                ", SHA-256 " code { (HEXLOWER.encode(digest(&SHA256, bytes).as_ref())) } " "
                a href={ "/approvals/" (id) "/" (piece.name) } { (language.text("piece-save")) }
                @if bytes.len() <= BYTES_SHOWN { pre { (HEXLOWER.encode(bytes)) } }
            }
            None => { " " (language.text("piece-long")) }
        }
    }
}

/// What is asked, in one line.
pub(crate) fn question(language: Language, verb: Verb) -> String {
    language.text(match verb {
        Verb::Contract => "ask-contract",
        Verb::ContractAndPay => "ask-contract-and-pay",
        Verb::Offer => "ask-offer",
        Verb::Send => "ask-send",
        Verb::Acknowledge => "ask-acknowledge",
        Verb::Pay => "ask-pay",
        Verb::AskBank => "ask-bank",
        Verb::PassOn => "ask-pass-on",
        Verb::Grant => "ask-grant",
        Verb::Agree => "ask-agree",
        Verb::BeCovered => "ask-be-covered",
        Verb::ReleaseCover => "ask-release-cover",
        Verb::ClaimCover => "ask-claim-cover",
        Verb::Withdraw => "ask-withdraw",
        Verb::Dispute => "ask-dispute",
        Verb::Answer => "ask-answer",
        Verb::Sign => "ask-sign",
    })
}

/// What the button says: what is done, and how much.
fn button(language: Language, sheet: &Sheet) -> String {
    let amount = sheet.gives.or(sheet.gets).map(|amount| language.money(&amount.to_string()));
    match (sheet.verb, amount) {
        (Verb::ContractAndPay, Some(amount)) => language.text_with("do-contract-and-pay", &[("amount", amount.into())]),
        (Verb::Pay, Some(amount)) => language.text_with("do-pay", &[("amount", amount.into())]),
        (Verb::AskBank, Some(amount)) => language.text_with("do-ask-bank-up-to", &[("amount", amount.into())]),
        (Verb::Grant, Some(amount)) => language.text_with("do-grant-up-to", &[("amount", amount.into())]),
        (Verb::Agree, Some(amount)) => language.text_with("do-agree-up-to", &[("amount", amount.into())]),
        (Verb::BeCovered, Some(amount)) => language.text_with("do-be-covered-with", &[("amount", amount.into())]),
        (Verb::ClaimCover, Some(amount)) => language.text_with("do-claim-cover", &[("amount", amount.into())]),
        (Verb::Offer, Some(amount)) => language.text_with("do-offer-for", &[("amount", amount.into())]),
        (verb, _) => language.text(match verb {
            Verb::Contract | Verb::ContractAndPay => "do-contract",
            Verb::Offer => "do-offer",
            Verb::Send => "do-send",
            Verb::Acknowledge => "do-acknowledge",
            Verb::AskBank => "do-ask-bank",
            Verb::PassOn => "do-pass-on",
            Verb::Grant => "do-grant",
            Verb::ReleaseCover => "do-release-cover",
            Verb::Withdraw => "do-withdraw",
            Verb::Dispute => "do-dispute",
            Verb::Answer => "do-answer",
            Verb::Pay | Verb::Agree | Verb::BeCovered | Verb::ClaimCover | Verb::Sign => "do-sign",
        }),
    }
}

/// What money is that our user gives: a mandate or an agreement gives none, and says the most of all together.
fn given(verb: Verb) -> &'static str {
    if matches!(verb, Verb::Grant | Verb::Agree | Verb::BeCovered) { "in-total" } else { "gives" }
}

fn part(part: Part) -> &'static str {
    match part {
        Part::Peer => "part-peer",
        Part::Arbiter => "part-arbiter",
        Part::Payee => "part-payee",
        Part::Recipient => "part-recipient",
        Part::Issuer => "part-issuer",
        Part::Guarantor => "part-guarantor",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use semper_core::amount::Amount;
    use semper_core::cose::{Draft, Kind};
    use semper_core::ids::KeySetId;
    use semper_core::party::Suite;

    use super::*;

    fn sheet(verb: Verb, amount: &str) -> Sheet {
        let signer = KeySetId::from_digest(Digest::from_array([1; 32]));
        let draft = Draft { kind: Kind::Promise, suite: Suite::Hybrid, signer, payload: Vec::new() };
        Sheet { verb, gives: Amount::parse(amount).ok(), ..Sheet::of_draft(&draft) }
    }

    // A button that says "OK" has been pressed before it was read; one that does not fit a telephone is not read either.
    #[test]
    fn a_button_says_what_it_does_in_few_words() {
        for language in Language::ALL {
            for verb in Verb::ALL {
                for amount in ["1234.00 EUR", ""] {
                    let sheet = sheet(verb, amount);
                    let (says, asks) = (button(language, &sheet), question(language, verb));
                    assert!(says.chars().count() <= 38 && asks.ends_with('?'), "{says}, {asks}");
                    let with_amount = [
                        Verb::Pay,
                        Verb::ContractAndPay,
                        Verb::Offer,
                        Verb::Grant,
                        Verb::AskBank,
                        Verb::Agree,
                        Verb::BeCovered,
                        Verb::ClaimCover,
                    ];
                    let pays = with_amount.contains(&verb) && !amount.is_empty();
                    assert_eq!(says.contains("EUR"), pays, "{says}");
                }
            }
        }
        let pays = button(Language::English, &sheet(Verb::Pay, "12.00 EUR"));
        assert_eq!(pays, "Pay \u{2068}12.00\u{a0}EUR\u{2069}", "the amount is kept apart from its surroundings");
    }

    // Two names that look the same, one of them in other letters; a name that turns its surroundings round.
    #[test]
    fn names_that_deceive_are_pointed_out() {
        let who = |byte, name: &str| Who {
            part: Part::Peer,
            key_set: KeySetId::from_digest(Digest::from_array([byte; 32])),
            name: Some(name.to_owned()),
            met: byte == 1,
        };
        let all = [who(1, "pay"), who(2, "\u{440}\u{430}\u{443}"), who(3, "Bob\u{202e}<b>")];
        let drawn = all.each_ref().map(|who| person(Language::English, who, &all).into_string());
        let alike = Language::English.text("name-alike-here");
        assert_eq!(drawn.each_ref().map(|drawn| drawn.contains(&alike)), [true, true, false]);
        assert!(drawn[2].contains("Bob\\u{202e}&lt;b&gt;"), "{}", drawn[2]);
        let first = Language::English.text("first-time");
        assert_eq!(drawn.each_ref().map(|drawn| drawn.contains(&first)), [false, true, true]);
    }
}

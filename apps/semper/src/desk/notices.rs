//! Withdrawing from a contract, disputes and answers: a form, then a page that shows what will be sent, then it waits with the holder of the keys.
//!
//! Every page works without JavaScript. Nothing is sent by the first form; the second one carries what was filled in.

use std::sync::Arc;

use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use semper_core::ids::{Cid, DealId};
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_exchange::claims;
use semper_exchange::gx::Leg;
use semper_exchange::notice::part_between;
use semper_pages::words::check_words;
use semper_pages::{Language, names};
use serde::Deserialize;

use super::deal::deal_id;
use super::{Desk, Failure, Page, Reader, shown};
use crate::control::{Concern, DealView, DisputeOrder, NoticeView, ReplyOrder, WithdrawOrder};
use crate::node::{Entry, NoticeError};
use crate::{notices, now, orders};

/// How long the other party has for its answer if nobody says otherwise: 14 days.
const ANSWER: Seconds = Seconds(14 * 86_400);

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Withdraw,
    Dispute,
    Answer,
}

impl Act {
    /// The key of a text about it.
    fn key(self, part: &str) -> String {
        let act = match self {
            Act::Withdraw => "withdraw",
            Act::Dispute => "dispute",
            Act::Answer => "answer",
        };
        format!("{act}-{part}")
    }
}

/// What the user has filled in. A form has the fields of its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Filled {
    /// `send` on the page that shows what will be sent.
    step: String,
    words: String,
    channel: String,
    /// One of the usual claims, in the language of claims.
    usual: String,
    /// A claim in the user's own words of that language.
    claim: String,
    relief: String,
    amount: String,
    /// A date like 2026-12-06.
    answer_by: String,
    how: String,
    evidence: String,
}

impl Filled {
    fn claims(&self) -> Vec<String> {
        let said = [&self.usual, &self.claim].map(|claim| claim.trim().to_owned());
        said.into_iter().filter(|claim| !claim.is_empty()).collect()
    }

    fn answer_by(&self) -> Option<Time> {
        claims::time(&format!("{}T23:59:59Z", self.answer_by.trim()))
    }

    fn has_evidence(&self) -> bool {
        self.evidence == "yes"
    }
}

pub(super) async fn ask_withdraw(State(desk): State<Arc<Desk>>, reader: Reader, Path(id): Path<String>) -> Page {
    shown(&reader, desk.ask(&reader, &id, Act::Withdraw, &Filled::default()).await)
}

pub(super) async fn ask_dispute(State(desk): State<Arc<Desk>>, reader: Reader, Path(id): Path<String>) -> Page {
    shown(&reader, desk.ask(&reader, &id, Act::Dispute, &Filled::default()).await)
}

pub(super) async fn ask_answer(
    State(desk): State<Arc<Desk>>,
    reader: Reader,
    Path(id): Path<String>,
    Query(filled): Query<Filled>,
) -> Page {
    shown(&reader, desk.ask(&reader, &id, Act::Answer, &filled).await)
}

pub(super) async fn withdraw(
    State(desk): State<Arc<Desk>>,
    reader: Reader,
    Path(id): Path<String>,
    Form(filled): Form<Filled>,
) -> Page {
    shown(&reader, desk.take(&reader, &id, Act::Withdraw, filled).await)
}

pub(super) async fn dispute(
    State(desk): State<Arc<Desk>>,
    reader: Reader,
    Path(id): Path<String>,
    Form(filled): Form<Filled>,
) -> Page {
    shown(&reader, desk.take(&reader, &id, Act::Dispute, filled).await)
}

pub(super) async fn answer(
    State(desk): State<Arc<Desk>>,
    reader: Reader,
    Path(id): Path<String>,
    Form(filled): Form<Filled>,
) -> Page {
    shown(&reader, desk.take(&reader, &id, Act::Answer, filled).await)
}

impl Desk {
    /// The form.
    async fn ask(&self, reader: &Reader, id: &str, act: Act, filled: &Filled) -> Result<Response, Failure> {
        let (id, language) = (deal_id(id)?, reader.language);
        let entry = self.node.entry(id).await?;
        let mut deal = orders::view(&entry);
        notices::show(&self.node, id, &mut deal).await?;
        let asked = deal.notices.iter().rfind(|notice| is_due(notice));
        if act == Act::Answer && asked.is_none() {
            return Err(Failure::refused("error-notice", NoticeError::NothingToAnswer));
        }
        let content = html! {
            p { (language.text(&act.key("means"))) }
            (contract(language, &deal))
            @if let Some(asked) = asked.filter(|_| act == Act::Answer) { (details(language, asked)) }
            form method="post" {
                @match act {
                    Act::Withdraw => (withdraw_fields(language, self.node.name())),
                    Act::Dispute => (dispute_fields(language, &usual(&entry, self.node.keys().key_set().id()))),
                    Act::Answer => (answer_fields(language, filled)),
                }
                p {
                    label for="words" { (language.text(&act.key("words"))) }
                    textarea #words name="words" maxlength="4000" {}
                }
                @if act != Act::Withdraw { (evidence_field(language, act == Act::Dispute || filled.how == "deny")) }
                p.actions {
                    a.button href={ "/deals/" (deal.id) } { (language.text("notice-back")) }
                    button { (language.text("notice-look")) }
                }
            }
        };
        self.page(reader, "/", &language.text(&act.key("title")), &content).await
    }

    /// Shows what will be sent, or has it signed and sent.
    async fn take(&self, reader: &Reader, id: &str, act: Act, filled: Filled) -> Result<Response, Failure> {
        let id = deal_id(id)?;
        if filled.step != "send" {
            return self.confirm(reader, id, act, &filled).await;
        }
        let said = match act {
            Act::Withdraw => {
                let order = WithdrawOrder { words: filled.words, channel: filled.channel };
                notices::withdraw(&self.node, id, order).await
            }
            Act::Dispute => {
                let late = || Failure::refused("error-notice", "the answer is due on no date that there is");
                let order = DisputeOrder {
                    claims: filled.claims(),
                    answer_by: filled.answer_by().ok_or_else(late)?.unix(),
                    evidence: filled.has_evidence(),
                    words: filled.words,
                    relief: filled.relief,
                    amount: filled.amount,
                };
                notices::dispute(&self.node, id, order).await
            }
            Act::Answer => {
                let evidence = filled.has_evidence();
                notices::answer(&self.node, id, ReplyOrder { how: filled.how, words: filled.words, evidence }).await
            }
        };
        said.map_err(|error| match error {
            NoticeError::Node(error) => error.into(),
            error => Failure::refused("error-notice", error),
        })?;
        Ok(Redirect::to(&format!("/deals/{id}")).into_response())
    }

    /// What will be sent, before it is.
    async fn confirm(&self, reader: &Reader, id: DealId, act: Act, filled: &Filled) -> Result<Response, Failure> {
        let language = reader.language;
        let deal = orders::view(&self.node.entry(id).await?);
        let hidden = [
            ("words", &filled.words),
            ("channel", &filled.channel),
            ("usual", &filled.usual),
            ("claim", &filled.claim),
            ("relief", &filled.relief),
            ("amount", &filled.amount),
            ("answer-by", &filled.answer_by),
            ("how", &filled.how),
            ("evidence", &filled.evidence),
        ];
        let row = |key: &str, text: &str| {
            html! { @if !text.trim().is_empty() { dt { (language.text(key)) } dd { (lines(text)) } } }
        };
        let content = html! {
            p { (language.text(&act.key("will-be-sent"))) }
            (contract(language, &deal))
            dl.facts {
                @if act == Act::Withdraw { (row("notice-name", self.node.name())) }
                (row("notice-channel", &filled.channel))
                @if act == Act::Answer { dt { (language.text("notice-answer")) } dd { (language.text(&how(&filled.how))) } }
                @for claim in filled.claims() { dt { (language.text("notice-claim")) } dd.code lang="en" { (escape(&claim, 0)) } }
                (row("notice-relief", &filled.relief))
                (row("notice-amount", &filled.amount))
                @if let Some(by) = filled.answer_by() { dt { (language.text("notice-answer-by")) } dd { (language.time(by.unix())) } }
                (row("notice-words", &filled.words))
                @if act != Act::Withdraw {
                    dt { (language.text("notice-evidence")) }
                    dd { (language.text(if filled.has_evidence() { "notice-evidence-yes" } else { "notice-evidence-no" })) }
                }
            }
            p.soft { (language.text(&act.key("effect"))) }
            form.actions method="post" {
                @for (name, value) in hidden { @if !value.is_empty() { input type="hidden" name=(name) value=(value); } }
                a.button href={ "/deals/" (deal.id) } { (language.text("notice-back")) }
                button name="step" value="send" { (language.text(&act.key("confirm"))) }
            }
            p.notice { (language.text("notice-then-signed")) " " code { "semper window" } }
        };
        self.page(reader, "/", &language.text(&act.key("check-title")), &content).await
    }
}

/// What can be done about a deal's contract.
pub(super) fn actions(language: Language, deal: &DealView) -> Markup {
    let among_two = deal.cid.is_some() && deal.plan != "sign-many/1";
    let bound = !matches!(deal.ending.as_deref(), Some("aborted" | "lapsed" | "recalled"));
    let ours = |notice: &NoticeView| notice.ours && notice.saying == "withdrawal" && notice.state != "given-up";
    let withdrawn = deal.notices.iter().any(ours);
    html! {
        @if among_two && bound && !withdrawn {
            a.button href={ "/deals/" (deal.id) "/withdraw" } { (language.text("withdraw-here")) }
        }
        @if among_two { a.button href={ "/deals/" (deal.id) "/dispute" } { (language.text("dispute-open")) } }
    }
}

/// The notices about a deal's contract, each with its receipt and what can be done about it.
pub(super) fn given(language: Language, deal: &DealView) -> Markup {
    html! {
        @if !deal.notices.is_empty() {
            h2 { (language.text("notices")) }
            ul.cards {
                @for notice in &deal.notices {
                    li {
                        h3 { (headline(language, deal, notice)) }
                        (receipt(language, deal, notice))
                        (details(language, notice))
                        @if is_due(notice) {
                            p.actions {
                                @for how_ in ["acknowledge", "deny", "no-contest"] {
                                    a.button href={ "/deals/" (deal.id) "/answer?how=" (how_) } { (language.text(&format!("answer-{how_}"))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whether our answer to it is awaited.
fn is_due(notice: &NoticeView) -> bool {
    notice.saying == "dispute" && !notice.ours && notice.how.is_none()
}

/// What was said, by whom.
pub(super) fn headline(language: Language, deal: &DealView, notice: &NoticeView) -> String {
    if notice.ours && notice.state == "asks" {
        return language.text(&format!("unsigned-{}", notice.saying));
    }
    let key = match (notice.saying.as_str(), notice.how.as_deref()) {
        ("withdrawal", _) => "said-withdrawal",
        ("dispute", _) => "said-dispute",
        (_, Some("acknowledge")) => "said-acknowledge",
        (_, Some("deny")) => "said-deny",
        _ => "said-no-contest",
    };
    let mine = if notice.ours { "yes" } else { "no" };
    language.text_with(key, &[("mine", mine.into()), ("who", escape(&deal.peer, 0).into())])
}

/// What shows that it has come, with date and time.
fn receipt(language: Language, deal: &DealView, notice: &NoticeView) -> Markup {
    let peer = || escape(&deal.peer, 0);
    let dated = |key: &str, unix: u64| {
        html! { p { (language.text_with(key, &[("who", peer().into())])) " " (language.time(unix)) } }
    };
    html! {
        p.soft { (language.text("notice-written")) " " (language.time(notice.written)) }
        @match (notice.ours, notice.state.as_str()) {
            (true, "asks") => p.notice { (language.text("asks-where")) " " code { "semper window" } },
            (true, "on-its-way") => p { (language.text_with("notice-on-its-way", &[("who", peer().into())])) },
            (true, "given-up") => p.warning-box { (language.text("notice-given-up")) },
            (false, "asks") => p.notice { (language.text("notice-to-acknowledge")) " " code { "semper window" } },
            _ => {}
        }
        @if let Some(at) = notice.delivered { (dated("notice-delivered", at)) }
        @match (notice.acknowledged, notice.ours) {
            (Some(at), true) => (dated("notice-acknowledged", at)),
            (Some(at), false) => (dated("notice-acknowledged-by-us", at)),
            (None, _) => {},
        }
        @if notice.delivered.is_some() {
            p { a.button href={ "/deals/" (deal.id) "/folder" } { (language.text("notice-save-receipt")) } }
        }
    }
}

/// What a notice says beyond its headline.
fn details(language: Language, notice: &NoticeView) -> Markup {
    let row = |key: &str, text: Option<&str>| {
        html! { @if let Some(text) = text { dt { (language.text(key)) } dd { (lines(text)) } } }
    };
    html! {
        dl.facts {
            (row("notice-name", notice.name.as_deref()))
            (row("notice-channel", notice.channel.as_deref()))
            @for claim in &notice.claims { dt { (language.text("notice-claim")) } dd.code lang="en" { (escape(claim, 0)) } }
            (row("notice-relief", notice.relief.as_deref()))
            @if let Some(amount) = &notice.amount { dt { (language.text("notice-amount")) } dd { (language.money(amount)) } }
            @if let Some(by) = notice.answer_by { dt { (language.text("notice-answer-by")) } dd { (language.time(by)) } }
            (row("notice-words", Some(notice.words.as_str()).filter(|words| !words.is_empty())))
            @if !notice.enclosed.is_empty() {
                dt { (language.text("notice-evidence")) }
                dd { @for file in &notice.enclosed { bdi { (escape(&file.name, 0)) } " " span.soft { (language.size(file.size as u64)) } " " } }
            }
        }
    }
}

/// What the notices about a deal mean for it now.
pub(super) fn concerns(language: Language, deal: &DealView) -> Markup {
    let peer = escape(&deal.peer, 0);
    let words = |concern: &Concern<'_>| {
        let dated = |key: &str, at: u64| {
            let class = if key == "concern-answer-due" || key == "concern-answer-overdue" { "turn" } else { "" };
            let args = [("who", peer.clone().into()), ("date", language.date(at).into())];
            (class, language.text_with(key, &args))
        };
        let how = |key: &str, how: &str| {
            let args = [("who", peer.clone().into()), ("how", how.to_owned().into())];
            ("", language.text_with(key, &args))
        };
        match *concern {
            Concern::Asks(saying) => ("turn", language.text(&format!("concern-asks-{saying}"))),
            Concern::Withdrawn(Some(at)) => dated("concern-withdrawn", at),
            Concern::Withdrawn(None) => ("", language.text("concern-withdrawn-unreceived")),
            Concern::WithdrawnByPeer(at) => dated("concern-withdrawn-by-peer", at),
            Concern::AnswerDue(by) => dated("concern-answer-due", by),
            Concern::AnswerOverdue(by) => dated("concern-answer-overdue", by),
            Concern::AwaitsAnswer(by) => dated("concern-awaits-answer", by),
            Concern::Silent(by) => dated("concern-silent", by),
            Concern::Answered(said) => how("concern-answered", said),
            Concern::AnsweredByPeer(said) => how("concern-answered-by-peer", said),
        }
    };
    html! {
        @for (class, words) in Concern::all(deal, now().unix()).iter().map(words) {
            p { span class=(class) { @if class == "turn" { span aria-hidden="true" { "→ " } } (words) } }
        }
    }
}

/// Whether a dispute concerns a deal.
pub(super) fn is_disputed(deal: &DealView) -> bool {
    deal.notices.iter().any(|notice| notice.saying == "dispute" && notice.state != "given-up")
}

/// What a deal is called; one that carries a notice after that.
pub(super) fn title(language: Language, deal: &DealView) -> String {
    let saying = deal.told.as_ref().filter(|told| told.about.is_some()).map(|told| told.saying.as_str());
    let titled = |key| language.text_with(key, &[("title", escape(&deal.title, 0).into())]);
    match saying {
        Some("withdrawal") => titled("title-withdrawal"),
        Some("dispute") => titled("title-dispute"),
        Some(_) => titled("title-answer"),
        None => escape(&deal.title, 0),
    }
}

/// As [`title`], as a heading among others.
pub(super) fn heading(language: Language, deal: &DealView) -> Markup {
    match &deal.told {
        Some(_) => html! { (title(language, deal)) },
        None => names::show(language, &deal.title),
    }
}

/// Of a deal that carries a notice, where that belongs.
pub(super) fn belongs(language: Language, deal: &DealView) -> Markup {
    html! {
        @match deal.told.as_ref().map(|told| told.about.as_deref()) {
            Some(Some(about)) => p { a href={ "/deals/" (about) } { (language.text("notice-to-its-deal")) } },
            Some(None) => p.warning-box { (language.text("notice-is-mail")) },
            None => {},
        }
    }
}

/// Which contract it is about.
fn contract(language: Language, deal: &DealView) -> Markup {
    html! {
        dl.facts {
            dt { (language.text("notice-contract")) } dd { (names::show(language, &deal.title)) }
            dt { (language.text("notice-with")) } dd { (names::show(language, &deal.peer)) }
            dt { (language.text("detail-opened")) } dd { (language.time(deal.opened)) }
            @if let Some(cid) = deal.cid.as_deref().and_then(Cid::parse) {
                dt { (language.text("check-words")) } dd lang="en" { (check_words(cid.digest())) }
            }
        }
    }
}

fn withdraw_fields(language: Language, name: &str) -> Markup {
    html! {
        dl.facts { dt { (language.text("notice-name")) } dd { bdi { (escape(name, 0)) } } }
        p {
            label for="channel" { (language.text("notice-channel")) }
            input #channel name="channel" maxlength="250" autocomplete="email" aria-describedby="channel-hint";
            span.soft #channel-hint { (language.text("notice-channel-hint")) }
        }
    }
}

fn dispute_fields(language: Language, usual: &[(&'static str, String)]) -> Markup {
    let due = now().after(ANSWER).to_string();
    html! {
        @if !usual.is_empty() {
            p {
                label for="usual" { (language.text("dispute-about")) }
                select #usual name="usual" {
                    option value="" { (language.text("dispute-other")) }
                    @for (key, claim) in usual { option value=(claim) { (language.text(key)) } }
                }
            }
        }
        p {
            label for="relief" { (language.text("notice-relief")) }
            input #relief name="relief" maxlength="1000" autocomplete="off";
        }
        p {
            label for="amount" { (language.text("notice-amount")) }
            input #amount name="amount" placeholder="12.00 EUR" autocomplete="off";
        }
        p {
            label for="answer-by" { (language.text("notice-answer-by")) }
            input #answer-by name="answer-by" type="date" required value=(&due[..10]);
        }
        details #more {
            summary { (language.text("dispute-more")) }
            p {
                label for="claim" { (language.text("dispute-claim")) }
                input #claim name="claim" maxlength="1000" autocomplete="off" spellcheck="false" placeholder="faulted(originator)";
            }
        }
    }
}

fn answer_fields(language: Language, filled: &Filled) -> Markup {
    html! {
        fieldset {
            legend { (language.text("notice-answer")) }
            @for name in ["acknowledge", "deny", "no-contest"] {
                div.choice {
                    input id=(name) type="radio" name="how" value=(name) required checked[filled.how == name];
                    label for=(name) { (language.text(&how(name))) }
                }
            }
        }
    }
}

fn evidence_field(language: Language, checked: bool) -> Markup {
    html! {
        div.choice {
            input #evidence type="checkbox" name="evidence" value="yes" checked[checked] aria-describedby="evidence-hint";
            label for="evidence" { (language.text("notice-evidence-send")) }
        }
        p.soft #evidence-hint { (language.text("notice-evidence-hint")) }
    }
}

/// The text for an answer; one that there is not is refused when it is sent.
fn how(name: &str) -> String {
    let known = ["acknowledge", "deny", "no-contest"].into_iter().find(|known| *known == name);
    format!("answer-{}", known.unwrap_or("none"))
}

/// What is usually disputed about a contract like this one: the text, and the claim.
fn usual(entry: &Entry, me: semper_core::ids::KeySetId) -> Vec<(&'static str, String)> {
    let Some(core) = entry.deal.agreement().map(|agreement| &agreement.core) else { return Vec::new() };
    let Some(part) = part_between(core, me, entry.deal.sides().peer.id()) else { return Vec::new() };
    let Ok([first, second]) = Leg::in_part(core, part) else { return Vec::new() };
    let (theirs, role) = match core.role_of(me) {
        Some(semper_core::party::Role::ORIGINATOR) => (second, "responder"),
        _ => (first, "originator"),
    };
    match theirs {
        Leg::Information(_) => vec![
            ("dispute-faulted", format!("faulted({role})")),
            ("dispute-undelivered", format!("not(delivered({role}))")),
        ],
        leg if leg.is_money() => vec![("dispute-unpaid", format!("not(paid({role}))"))],
        _ => Vec::new(),
    }
}

/// Words of several lines, each with nothing hidden.
fn lines(text: &str) -> Markup {
    html! { @for (place, line) in text.lines().enumerate() { @if place > 0 { br; } bdi { (escape(line, 0)) } } }
}

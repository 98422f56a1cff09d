//! Money: what is where, what has happened to it, and what can be done with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use semper_core::amount::Amount;
use semper_core::text::escape;
use semper_pages::Language;
use semper_transfer::payment::operation::OperationId;
use serde::Deserialize;

use super::{Desk, Failure, Page, Reader, shown};
use crate::control::{OperationView, PurseView, TaskOrder};
use crate::wallet::{self, WalletError};

/// Operations that are listed.
const HISTORY: usize = 100;

impl From<WalletError> for Failure {
    fn from(error: WalletError) -> Self {
        Self::refused("error-wallet", error)
    }
}

pub(super) async fn show(State(desk): State<Arc<Desk>>, reader: Reader) -> Page {
    shown(&reader, desk.show_wallet(&reader).await)
}

/// What the owner wants of a purse, as a form sends it. Fields that a task does not need are empty.
#[derive(Deserialize)]
pub(super) struct TaskForm {
    task: String,
    #[serde(default)]
    purse: String,
    #[serde(default)]
    amount: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    address: String,
}

impl TaskForm {
    fn order(self) -> Result<TaskOrder, Failure> {
        let Self { task, purse, amount, token, address } = self;
        let (token, address) = (token.trim().to_owned(), address.trim().to_owned());
        Ok(match task.as_str() {
            "withdraw" => TaskOrder::Withdraw { amount, purse, method: "account".to_owned() },
            "deposit" => TaskOrder::Deposit { amount, purse },
            "transfer" => TaskOrder::Transfer { amount, purse, address },
            "send" => TaskOrder::Send { amount, purse },
            "receive" => TaskOrder::Receive { token, purse },
            "refresh" => TaskOrder::Refresh { purse },
            _ => return Err(Failure::missing("no-such-page", String::new())),
        })
    }
}

pub(super) async fn begin(State(desk): State<Arc<Desk>>, reader: Reader, Form(form): Form<TaskForm>) -> Page {
    let begun = async {
        let operation = wallet::begin(&desk.node, form.order()?).await?;
        Ok(Redirect::to(&format!("/wallet/operations/{operation}")).into_response())
    };
    shown(&reader, begun.await)
}

pub(super) async fn operation(State(desk): State<Arc<Desk>>, reader: Reader, Path(id): Path<String>) -> Page {
    shown(&reader, desk.show_operation(&reader, &id).await)
}

impl Desk {
    async fn show_wallet(&self, reader: &Reader) -> Result<Response, Failure> {
        let language = reader.language;
        let purses = wallet::purses(self.node.payments()).await?;
        let history = self.node.payments().history(HISTORY).await.map_err(WalletError::Payment)?;
        let history: Vec<_> = history.iter().map(wallet::view).collect();
        let content = html! {
            section #balances data-live="" {
                @if purses.is_empty() {
                    p { (language.text("no-purses")) }
                    pre { "semper wallet add ecash URL EUR\nsemper wallet add account URL EUR" }
                } @else { (totals(language, &purses)) }
            }
            section #purses data-live="" {
                @if !purses.is_empty() { h2 { (language.text("purses")) } }
                ul.cards { @for purse in &purses { li { (card(language, purse)) } } }
            }
            section #tasks { @for purse in &purses { (tasks(language, purse)) } }
            section #history data-live="" { (list(language, &history)) }
        };
        self.page(reader, "/wallet", &language.text("wallet"), &content).await
    }

    async fn show_operation(&self, reader: &Reader, id: &str) -> Result<Response, Failure> {
        let language = reader.language;
        let id = OperationId::parse(id).ok_or_else(|| Failure::missing("no-such-operation", String::new()))?;
        let found = self.node.payments().operation(id).await;
        let found = found.map_err(|error| Failure::missing("no-such-operation", error.to_string()))?;
        let operation = wallet::view(&found);
        let content = html! {
            section #operation data-live="" aria-live="polite" {
                p { (state(language, &operation)) }
                dl.facts {
                    @if let Some(moved) = &operation.moved { dt { (language.text("moved")) } dd { (language.money(moved)) } }
                    @if let Some(fee) = &operation.fee { dt { (language.text("fee")) } dd { (language.money(fee)) } }
                    dt { (language.text("begun")) } dd { (language.time(operation.begun)) }
                    dt { (language.text("operation")) } dd.code { (operation.id) }
                }
                @if let Some(address) = &operation.address {
                    p { (language.text("pay-to")) }
                    pre { (escape(address, 0)) }
                }
                @if let Some(token) = &operation.handover {
                    p.warning-box { (language.text("token-is-money")) }
                    pre { (escape(token, 0)) }
                }
            }
            p { a href="/wallet" { (language.text("back-to-wallet")) } }
        };
        self.page(reader, "/wallet", &title(language, &operation), &content).await
    }
}

/// What there is in each currency, in all purses together.
fn totals(language: Language, purses: &[PurseView]) -> Markup {
    let mut totals: BTreeMap<&str, Option<Amount>> = BTreeMap::new();
    for purse in purses {
        let available = Amount::parse(&purse.available).ok();
        let sum = |total: Option<Amount>| total.zip(available).and_then(|(total, more)| total.plus(more).ok());
        totals.entry(&purse.currency).and_modify(|total| *total = sum(*total)).or_insert(available);
    }
    html! {
        dl.facts {
            @for (currency, total) in totals {
                dt { (language.text_with("total-in", &[("currency", currency.into())])) }
                dd { @match total { Some(total) => (language.money(&total.to_string())), None => (language.text("unknown")) } }
            }
        }
    }
}

fn card(language: Language, purse: &PurseView) -> Markup {
    html! {
        h3 { (system(language, &purse.system)) " · " (purse.currency) }
        p { strong { (language.money(&purse.available)) } }
        @if Amount::parse(&purse.pending).is_ok_and(|pending| pending.minor() > 0) {
            p { (language.text("pending")) " " (language.money(&purse.pending)) }
        }
        p.soft { (language.text("at")) " " bdi { (escape(&purse.issuer, 0)) } }
        @if let Some(means) = &purse.means {
            p.soft lang="en" {
                "payer hidden from " (means.payer_hidden_from) "; can be taken back: " (means.can_be_taken_back) "; proof: " (means.proof)
            }
        } @else { p.soft { (language.text("terms-not-known")) } }
        @if let Some(address) = &purse.address {
            p.soft { (language.text("receives-at")) " " bdi.code { (escape(address, 0)) } }
        }
    }
}

/// The system's name in words.
pub(super) fn system(language: Language, name: &str) -> String {
    match name {
        "ecash" => language.text("system-ecash"),
        "account" => language.text("system-account"),
        other => other.to_owned(),
    }
}

/// What can be done with purses of a system, each with the fields that it needs.
fn tasks_of(system: &str) -> &'static [(&'static str, &'static [&'static str])] {
    match system {
        "ecash" => &[
            ("withdraw", &["amount"]),
            ("deposit", &["amount"]),
            ("send", &["amount"]),
            ("receive", &["token"]),
            ("refresh", &[]),
        ],
        _ => &[("transfer", &["amount", "address"]), ("refresh", &[])],
    }
}

fn tasks(language: Language, purse: &PurseView) -> Markup {
    let short = &purse.id[..12];
    let example = |field: &str| match field {
        "amount" => format!("10.00 {}", purse.currency),
        "token" => "cashuB…".to_owned(),
        _ => String::new(),
    };
    html! {
        details id={ "tasks-" (short) } {
            summary {
                (language.text("do-something")) ": " (system(language, &purse.system)) " · " (purse.currency) " · " bdi { (escape(&purse.issuer, 0)) }
            }
            @for (task, fields) in tasks_of(&purse.system) {
                form.line method="post" action="/wallet/begin" {
                    input type="hidden" name="task" value=(task);
                    input type="hidden" name="purse" value=(purse.id);
                    @for field in *fields {
                        div {
                            label for={ (task) "-" (field) "-" (short) } { (language.text(field)) }
                            input id={ (task) "-" (field) "-" (short) } name=(field) placeholder=(example(field)) required autocomplete="off";
                        }
                    }
                    button { (language.text(&format!("task-{task}"))) }
                }
            }
        }
    }
}

fn list(language: Language, history: &[OperationView]) -> Markup {
    html! {
        h2 { (language.text("history")) }
        @if history.is_empty() { p { (language.text("nothing")) } }
        @else {
            table {
                caption.unseen { (language.text("history")) }
                thead {
                    tr {
                        th scope="col" { (language.text("what")) }
                        th scope="col" { (language.text("state")) }
                        th.amount scope="col" { (language.text("moved")) }
                        th scope="col" { (language.text("begun")) }
                    }
                }
                tbody {
                    @for operation in history {
                        tr {
                            td data-label=(language.text("what")) {
                                a href={ "/wallet/operations/" (operation.id) } { (title(language, operation)) }
                            }
                            td data-label=(language.text("state")) { (state(language, operation)) }
                            td.amount data-label=(language.text("moved")) {
                                @if let Some(moved) = &operation.moved { (language.money(moved)) }
                            }
                            td data-label=(language.text("begun")) { (language.time(operation.begun)) }
                        }
                    }
                }
            }
        }
    }
}

/// What is done, in a word or two.
fn title(language: Language, operation: &OperationView) -> String {
    language.text_with("verb", &[("verb", operation.verb.as_str().into())])
}

/// Where it stands, what became of the money, and what keeps it.
fn state(language: Language, operation: &OperationView) -> Markup {
    let key = match (operation.state.as_str(), operation.money.as_deref()) {
        ("done", _) => "operation-done",
        ("failed", Some("not-moved")) => "operation-failed-not-moved",
        ("failed", Some("returned")) => "operation-failed-returned",
        ("failed", _) => "operation-failed-unknown",
        ("waiting for you to approve", _) => "operation-asks",
        ("waiting for its money", _) => "operation-fund",
        _ => "operation-goes-on",
    };
    let class = match operation.state.as_str() {
        "done" => "good",
        "failed" => "bad",
        _ => "",
    };
    html! {
        span class=(class) { (language.text(key)) }
        @for words in operation.reason.iter().chain(&operation.trouble) {
            " " span.soft lang="en" { (escape(words, 0)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A form without words, or one that the desk does not understand, would be found by whoever needs its money.
    #[test]
    fn every_task_has_words_and_is_understood() {
        for (task, fields) in ["ecash", "account"].into_iter().flat_map(tasks_of) {
            for language in Language::ALL {
                assert!(!language.text(&format!("task-{task}")).is_empty());
                assert!(fields.iter().all(|field| !language.text(field).is_empty()));
            }
            let form = TaskForm {
                task: (*task).to_owned(),
                purse: String::new(),
                amount: String::new(),
                token: String::new(),
                address: String::new(),
            };
            assert!(form.order().is_ok(), "{task}");
        }
    }
}

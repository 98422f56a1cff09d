//! Settings and trust: whose word decides for this party, how its node goes about deals, what is signed without asking, and how the node is reached.
//!
//! Nothing here gives the keys to anybody: what is signed unasked is between the user and the vault, and this page only says where.

use std::sync::Arc;

use axum::extract::{Form, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use semper_core::text::escape;
use semper_pages::{Language, names};
use serde::Deserialize;

use super::{Desk, Failure, Page, Reader, shown};
use crate::control::{ContactView, PurseView, SettingOrder, SettingsView};
use crate::home::Config;
use crate::node::PreferenceError;
use crate::{orders, wallet};

/// The patiences that the page offers, in seconds.
const PATIENCES: [u64; 5] = [600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600];
/// The value of a field that stands for what `semper.toml` says.
const DEFAULT: &str = "default";
/// The value that stands for nobody.
const NOBODY: &str = "nobody";

impl From<PreferenceError> for Failure {
    fn from(error: PreferenceError) -> Self {
        Self::refused("error-settings", error)
    }
}

/// Whether a contact is accepted as an arbiter from now on.
#[derive(Deserialize)]
pub(super) struct AcceptForm {
    name: String,
    arbiter: bool,
}

/// What the user sets, as the page's form sends it.
#[derive(Deserialize)]
pub(super) struct SettingsForm {
    patience: String,
    dated_by: String,
    #[serde(default)]
    dated_by_address: String,
}

pub(super) async fn show(State(desk): State<Arc<Desk>>, reader: Reader) -> Page {
    shown(&reader, desk.show_settings(&reader).await)
}

pub(super) async fn accept(State(desk): State<Arc<Desk>>, reader: Reader, Form(form): Form<AcceptForm>) -> Page {
    let accepted = async {
        orders::accept(&desk.node, &form.name, form.arbiter).await?;
        Ok(Redirect::to("/settings").into_response())
    };
    shown(&reader, accepted.await)
}

pub(super) async fn set(State(desk): State<Arc<Desk>>, reader: Reader, Form(form): Form<SettingsForm>) -> Page {
    let set = async {
        // Who dates deals comes first: it is what can be refused.
        for order in [form.dated_by(), form.patience()?] {
            orders::set(&desk.node, &order).await?;
        }
        Ok(Redirect::to("/settings").into_response())
    };
    shown(&reader, set.await)
}

impl SettingsForm {
    fn patience(&self) -> Result<SettingOrder, Failure> {
        if self.patience == DEFAULT {
            return Ok(SettingOrder::Patience(None));
        }
        let seconds = self.patience.parse().map_err(|_| Failure::refused("error-settings", &self.patience))?;
        Ok(SettingOrder::Patience(Some(seconds)))
    }

    /// An address that was written down counts more than what was chosen.
    fn dated_by(&self) -> SettingOrder {
        match (self.dated_by_address.trim(), self.dated_by.as_str()) {
            ("", DEFAULT) => SettingOrder::DatedBy(None),
            ("", NOBODY) => SettingOrder::DatedBy(Some(String::new())),
            ("", contact) => SettingOrder::DatedBy(contact.strip_prefix('=').map(str::to_owned)),
            (address, _) => SettingOrder::DatedBy(Some(address.to_owned())),
        }
    }
}

impl Desk {
    async fn show_settings(&self, reader: &Reader) -> Result<Response, Failure> {
        let language = reader.language;
        let contacts: Vec<_> = self.node.book().all().await?.iter().map(orders::contact_view).collect();
        let purses = wallet::purses(self.node.payments()).await?;
        let settings = orders::settings(&self.node).await?;
        let config = self.home.config().map_err(|error| Failure::refused("error-storage", error))?;
        let content = html! {
            section #trust data-live="" { (trust(language, &contacts, &purses)) }
            h2 { (language.text("settings-deals")) }
            (deals(language, &settings, &contacts, config.patience))
            h2 { (language.text("settings-unasked")) }
            p { (language.text("settings-unasked-hint")) }
            p { code { "semper mandate list" } " · " code { "semper window" } }
            h2 { (language.text("settings-node")) }
            (node(language, &config, &self.home.dir().display().to_string()))
        };
        self.page(reader, "/settings", &language.text("settings"), &content).await
    }
}

/// Whose word decides for this party, and about what.
fn trust(language: Language, contacts: &[ContactView], purses: &[PurseView]) -> Markup {
    let arbiters: Vec<_> = contacts.iter().filter(|contact| contact.offers_to_arbitrate || contact.arbiter).collect();
    let stampers: Vec<_> = contacts.iter().filter(|contact| contact.time_stamps.is_some()).collect();
    html! {
        h2 { (language.text("trust")) }
        p { (language.text("trust-hint")) }
        h3 { (language.text("trust-arbiters")) }
        p.soft { (language.text("arbiter-hint")) }
        @if arbiters.is_empty() { p { (language.text("trust-no-arbiters")) } }
        ul.cards { @for contact in arbiters { li { (arbiter(language, contact)) } } }
        h3 { (language.text("trust-stampers")) }
        p.soft { (language.text("trust-stampers-hint")) }
        @if stampers.is_empty() { p { (language.text("trust-no-stampers")) } }
        @else { ul { @for contact in stampers { li { (names::show(language, &contact.name)) " " span.code { (contact.fingerprint) } } } } }
        h3 { (language.text("trust-issuers")) }
        p.soft { (language.text("trust-issuers-hint")) }
        @if purses.is_empty() { p { (language.text("trust-no-issuers")) } }
        @else {
            ul { @for purse in purses { li { (purse.system) " · " (purse.currency) " · " bdi.code { (escape(&purse.issuer, 0)) } } } }
        }
        p { a href="/contacts" { (language.text("contacts")) } " · " a href="/wallet" { (language.text("wallet")) } }
    }
}

fn arbiter(language: Language, contact: &ContactView) -> Markup {
    let (state, change) = if contact.arbiter { ("is-arbiter", "trust-stop") } else { ("is-no-arbiter", "trust-start") };
    html! {
        p { strong { (names::show(language, &contact.name)) } " " span.code { (contact.fingerprint) } }
        form.actions method="post" action="/settings/arbiters" {
            span { (language.text(state)) }
            input type="hidden" name="name" value=(contact.name);
            button name="arbiter" value=(!contact.arbiter) {
                (language.text(change)) " " span.unseen { (escape(&contact.name, 0)) }
            }
        }
    }
}

/// What can be set.
fn deals(language: Language, settings: &SettingsView, contacts: &[ContactView], file: u64) -> Markup {
    let chosen = settings.patience_is_set.then_some(settings.patience);
    let mut patiences = PATIENCES.to_vec();
    patiences.extend(chosen.filter(|chosen| !PATIENCES.contains(chosen)));
    patiences.sort_unstable();
    let by = settings.dated_by.as_deref().filter(|_| settings.dated_by_is_set);
    let stampers: Vec<_> = contacts.iter().filter(|contact| contact.time_stamps.is_some()).collect();
    let address = by.filter(|by| !stampers.iter().any(|contact| contact.name == **by));
    html! {
        form method="post" {
            p {
                label for="patience" { (language.text("settings-patience")) }
                select #patience name="patience" aria-describedby="patience-hint" {
                    option value=(DEFAULT) selected[chosen.is_none()] { (language.text_with("settings-default", &[("value", span(language, file).into())])) }
                    @for seconds in patiences {
                        option value=(seconds) selected[chosen == Some(seconds)] { (span(language, seconds)) }
                    }
                }
                span.soft #patience-hint { (language.text("settings-patience-hint")) }
            }
            p {
                label for="dated_by" { (language.text("settings-dated-by")) }
                select #dated_by name="dated_by" aria-describedby="dated-by-hint" {
                    option value=(DEFAULT) selected[!settings.dated_by_is_set] { (language.text("settings-as-file")) }
                    option value=(NOBODY) selected[settings.dated_by_is_set && by.is_none()] { (language.text("settings-nobody")) }
                    @for contact in stampers {
                        option value={ "=" (contact.name) } selected[by == Some(contact.name.as_str())] { (escape(&contact.name, 0)) }
                    }
                }
                span.soft #dated-by-hint { (language.text("settings-dated-by-hint")) }
            }
            p {
                label for="dated_by_address" { (language.text("settings-dated-by-address")) }
                input #dated_by_address name="dated_by_address" type="url" size="48" autocomplete="off" placeholder="https://…/tsa" value=[address];
            }
            p { button { (language.text("settings-keep")) } }
        }
    }
}

/// A span of time in the largest unit that it is a whole number of.
fn span(language: Language, seconds: u64) -> String {
    let units = [("span-days", 86_400), ("span-hours", 3600), ("span-minutes", 60)];
    let unit = units.into_iter().find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (key, unit) = unit.unwrap_or(("span-seconds", 1));
    language.text_with(key, &[("count", (seconds / unit).into())])
}

/// How the node is reached, and where things are.
fn node(language: Language, config: &Config, dir: &str) -> Markup {
    let facts = [
        ("settings-name", Some(config.name.clone())),
        ("settings-address", Some(config.base_url())),
        ("settings-relay", config.relay.clone()),
        ("settings-proxy", config.proxy.clone()),
        ("settings-dir", Some(dir.to_owned())),
    ];
    html! {
        dl.facts {
            @for (key, value) in facts {
                dt { (language.text(key)) }
                dd { @match value { Some(value) => bdi { (escape(&value, 0)) }, None => (language.text("settings-none")) } }
            }
        }
        p.soft { (language.text("settings-file-hint")) " " code { "semper.toml" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(dated_by: &str, address: &str) -> SettingsForm {
        let (dated_by, dated_by_address) = (dated_by.to_owned(), address.to_owned());
        SettingsForm { patience: "3600".to_owned(), dated_by, dated_by_address }
    }

    // A contact may be called what stands for something else here.
    #[test]
    fn a_contact_is_told_from_the_words_of_the_form() {
        let by = |form: &SettingsForm| match form.dated_by() {
            SettingOrder::DatedBy(by) => by,
            SettingOrder::Patience(_) => None,
        };
        assert_eq!(by(&form("default", "")), None);
        assert_eq!(by(&form("nobody", "")).as_deref(), Some(""));
        assert_eq!(by(&form("=nobody", "")).as_deref(), Some("nobody"));
        assert_eq!(by(&form("nobody", " https://stamps.example ")).as_deref(), Some("https://stamps.example"));
    }

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        for (seconds, words) in
            [(1, "1 second"), (90, "90 seconds"), (600, "10 minutes"), (3600, "1 hour"), (172_800, "2 days")]
        {
            assert_eq!(span(Language::English, seconds).replace(['\u{2068}', '\u{2069}'], ""), words);
        }
    }
}

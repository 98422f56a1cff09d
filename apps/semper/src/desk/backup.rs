//! Whether there is a backup: what every page says if there is none, and the page that explains.
//!
//! The desk makes no backup. Its process is the node, which has no way to the keys and to the vault's log, and is not to get one; so the page shows the
//! command. It never says that all is well while the mark of a restore is there.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use semper_pages::Language;

use super::{Desk, Failure, Page, Reader, shown};
use crate::control::{BackupView, RestoredView, backup};
use crate::node::NodeError;

pub(super) async fn show(State(desk): State<Arc<Desk>>, reader: Reader) -> Page {
    shown(&reader, desk.show_backup(&reader).await)
}

impl Desk {
    /// What would be lost, and what is not settled, as every page says it.
    pub(super) async fn backup_notice(&self, language: Language, here: &str) -> Result<Markup, Failure> {
        let view = backup::view(&self.node).await.map_err(NodeError::Read)?;
        let link = html! { a href="/backup" { (language.text("backup-how")) } };
        Ok(html! {
            #backup-notice data-live="" {
                @if here != "/backup" {
                    @if let Some(restored) = &view.restored {
                        p.warning-box { (unsettled(language, restored)) " " (link) }
                    }
                    @if view.is_at_risk() { p.warning-box { (at_risk(language, &view)) " " (link) } }
                }
            }
        })
    }

    async fn show_backup(&self, reader: &Reader) -> Result<Response, Failure> {
        let language = reader.language;
        let view = backup::view(&self.node).await.map_err(NodeError::Read)?;
        let text = |key| language.text(key);
        let content = html! {
            section #standing data-live="" {
                @if let Some(restored) = &view.restored {
                    p.warning-box { (unsettled(language, restored)) }
                    p { (text("restored-what")) }
                    @if restored.deals > 0 { p { a href="/" { (text("restored-deals")) } } }
                }
                @if view.is_at_risk() { p.warning-box { (at_risk(language, &view)) } } @else { p.notice { (text("backup-all-in")) } }
                dl.facts {
                    dt { (text("backup-last")) }
                    dd { @match view.last { Some(last) => (language.time(last)), None => (text("backup-never")) } }
                }
            }
            section {
                h2 { (text("backup-make")) }
                p { (text("backup-command")) }
                pre { "semper backup FILE" }
                p { (text("backup-why-command")) }
            }
            section {
                h2 { (text("backup-what")) }
                ul { @for key in ["backup-in-keys", "backup-in-deals", "backup-in-log", "backup-in-money"] { li { (text(key)) } } }
                p { (text("backup-not-in")) }
            }
            section {
                h2 { (text("backup-restore")) }
                pre { "semper backup --check FILE\nsemper restore FILE --dir NEW" }
                p { (text("backup-after")) }
            }
        };
        self.page(reader, "/backup", &text("backup"), &content).await
    }
}

fn at_risk(language: Language, view: &BackupView) -> String {
    let deals = language.text_with("backup-deals", &[("count", view.deals.into())]);
    let money = view.money.iter().map(|amount| language.money(amount));
    let lost = (view.deals > 0).then_some(deals).into_iter().chain(money).collect::<Vec<_>>();
    let lost = lost.join(&format!(" {} ", language.text("and")));
    match view.last {
        None => language.text_with("backup-none", &[("lost", lost.into())]),
        Some(last) => {
            language.text_with("backup-since", &[("lost", lost.into()), ("date", language.date(last).into())])
        }
    }
}

fn unsettled(language: Language, restored: &RestoredView) -> String {
    let (deals, purses) = (restored.deals, restored.purses);
    let args = [("date", language.date(restored.from).into()), ("deals", deals.into()), ("purses", purses.into())];
    language.text_with("restored-notice", &args)
}

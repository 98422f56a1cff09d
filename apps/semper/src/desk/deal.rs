//! One deal: where it stands, what has happened, what can be proven by whom, its files, what can be done.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::stream;
use maud::{Markup, html};
use semper_core::cbor::{Decode as _, Encode as _};
use semper_core::container::{Ack, ContainerStatement};
use semper_core::cose::{Kind, Signed};
use semper_core::ids::{ContainerId, DealId, KeySetId};
use semper_core::text::escape;
use semper_exchange::claims::{Position, Positions};
use semper_exchange::evidence::{Folder, Item, Report};
use semper_pages::{Language, names};
use semper_support::engine::{EvidenceKind, Input};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::deals::{state, trouble};
use super::{Desk, Failure, Page, Reader, notices, shown};
use crate::control::{DealView, NoticeView};
use crate::node::{Entry, NodeError};
use crate::orders;

/// Bytes of a file that are read at once.
const PART: usize = 64 * 1024;

pub(super) async fn show(State(desk): State<Arc<Desk>>, reader: Reader, Path(id): Path<String>) -> Page {
    shown(&reader, desk.show_deal(&reader, &id).await)
}

pub(super) async fn folder(State(desk): State<Arc<Desk>>, reader: Reader, Path(id): Path<String>) -> Page {
    let read = async {
        let id = deal_id(&id)?;
        let folder = desk.node.folder(id).await?.to_bytes();
        Ok(download(&format!("{}.semper", &id.to_string()[..12]), folder))
    };
    shown(&reader, read.await)
}

pub(super) async fn file(
    State(desk): State<Arc<Desk>>,
    reader: Reader,
    Path((id, hash)): Path<(String, String)>,
) -> Page {
    let read = async {
        let folder = desk.node.folder(deal_id(&id)?).await?;
        let named = orders::files(&folder).into_iter().find(|file| file.hash == hash);
        let found = named.zip(orders::file(&folder, &hash));
        let (file, bytes) = found.ok_or_else(|| Failure::missing("no-such-file", String::new()))?;
        Ok(download(&file.name, bytes))
    };
    shown(&reader, read.await)
}

/// What was bought, as it lies on this machine.
pub(super) async fn goods(State(desk): State<Arc<Desk>>, reader: Reader, Path(id): Path<String>) -> Page {
    let read = async {
        let missing = || Failure::missing("no-such-file", String::new());
        let entry = desk.node.entry(deal_id(&id)?).await?;
        let path = orders::saved_as(&desk.node, &entry).await?.map(PathBuf::from);
        let path = path.filter(|path| desk.keeps(path)).ok_or_else(missing)?;
        let file = File::open(&path).await.map_err(|error| Failure { detail: error.to_string(), ..missing() })?;
        let size = file.metadata().await.map(|data| data.len()).map_err(|_| missing())?;
        let parts = stream::try_unfold(file, async |mut file| {
            let mut part = vec![0; PART];
            let read = file.read(&mut part).await?;
            part.truncate(read);
            Ok::<_, io::Error>((read > 0).then_some((part, file)))
        });
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut response = download(&name, Body::from_stream(parts));
        response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
        Ok(response)
    };
    shown(&reader, read.await)
}

/// A file that is saved and never shown in the browser: what others wrote must not run here.
fn download(name: &str, bytes: impl Into<Body>) -> Response {
    // RFC 6266 §4.1 with RFC 8187: names of all scripts.
    let named = format!("attachment; filename*=UTF-8''{}", percent(name));
    let disposition = HeaderValue::from_str(&named).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    (StatusCode::OK, headers, bytes.into()).into_response()
}

/// Percent-encoding of everything but the unreserved characters of RFC 3986.
pub(super) fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

pub(super) async fn ask_give_up(State(desk): State<Arc<Desk>>, reader: Reader, Path(id): Path<String>) -> Page {
    shown(&reader, desk.ask_give_up(&reader, &id).await)
}

pub(super) async fn give_up(State(desk): State<Arc<Desk>>, reader: Reader, Path(id): Path<String>) -> Page {
    let done = async {
        let id = deal_id(&id)?;
        desk.node.step(id, Input::GiveUp.into()).await?;
        Ok(Redirect::to(&format!("/deals/{id}")).into_response())
    };
    shown(&reader, done.await)
}

impl Desk {
    async fn show_deal(&self, reader: &Reader, id: &str) -> Result<Response, Failure> {
        let (id, language) = (deal_id(id)?, reader.language);
        let entry = self.node.entry(id).await?;
        let folder = self.node.folder(id).await?;
        let (mut deal, files) = (orders::view(&entry), orders::files(&folder));
        crate::notices::show(&self.node, id, &mut deal).await?;
        let saved_as = orders::saved_as(&self.node, &entry).await?;
        let events = self.events(language, &entry, &folder, &deal).await?;
        let (report, Positions { ours, theirs }) = self.examined(folder.clone()).await?;
        let content = html! {
            section #standing data-live="" aria-live="polite" { (standing(language, &deal)) }
            section #notices data-live="" aria-live="polite" { (notices::given(language, &deal)) }
            section #timeline data-live="" {
                h2 { (language.text("timeline")) }
                ol.steps { @for event in &events { li { p { (event.words) } p.soft { (language.time(event.time)) } } } }
            }
            section #proofs data-live="" {
                h2 { (language.text("we-can-prove")) }
                (positions(language, &ours))
                h2 { (language.text("they-can-prove")) }
                p.soft { (language.text("they-can-prove-hint")) }
                (positions(language, &theirs))
            }
            section #files data-live="" {
                @if let Some(path) = &saved_as {
                    h2 { (language.text("goods")) }
                    p { (language.text("saved-as")) " " bdi.code { (escape(path, 0)) } }
                    @if self.keeps(FilePath::new(path)) {
                        p { a.button href={ "/deals/" (deal.id) "/goods" } { (language.text("goods-save")) } }
                    }
                }
                @if !files.is_empty() {
                    h2 { (language.text("files")) }
                    ul.cards {
                        @for file in &files {
                            li {
                                a href={ "/deals/" (deal.id) "/files/" (file.hash) } { (names::show(language, &file.name)) }
                                " " span.soft { (language.size(file.size as u64)) }
                            }
                        }
                    }
                }
            }
            section #evidence data-live="" { (evidence(language, &deal, &folder, &report)) }
            section #details data-live="" { (details(language, &deal)) }
        };
        self.page(reader, "/", &notices::title(language, &deal), &content).await
    }

    /// Whether a file is among the goods of the data directory. What its owner has taken away the node does not read.
    fn keeps(&self, path: &FilePath) -> bool {
        path.starts_with(self.home.goods())
    }

    /// What a folder shows. Its signatures are checked beside everything else that the node does.
    async fn examined(&self, folder: Folder) -> Result<(Report, Positions), Failure> {
        let (bench, me) = (self.bench.clone(), self.node.keys().key_set().id());
        let examined = tokio::task::spawn_blocking(move || bench.positions(folder, me)).await;
        let examined = examined.map_err(|error| Failure::refused("error-folder", error))?;
        examined.map_err(|error| Failure::refused("error-folder", error))
    }

    async fn ask_give_up(&self, reader: &Reader, id: &str) -> Result<Response, Failure> {
        let (id, language) = (deal_id(id)?, reader.language);
        let deal = orders::view(&self.node.entry(id).await?);
        let content = html! {
            p { (names::show(language, &deal.title)) " – " (language.text("with")) " " (names::show(language, &deal.peer)) }
            p { (language.text("give-up-means")) }
            form.actions method="post" {
                a.button href={ "/deals/" (deal.id) } { (language.text("give-up-no")) }
                button { (language.text("give-up-yes")) }
            }
        };
        self.page(reader, "/", &language.text("give-up-title"), &content).await
    }

    /// What has happened, the first first.
    async fn events(
        &self,
        language: Language,
        entry: &Entry,
        folder: &Folder,
        deal: &DealView,
    ) -> Result<Vec<Happened>, Failure> {
        let opened = Happened { time: entry.opened.unix(), words: language.text("event-opened") };
        let mut events = vec![opened];
        let given = self.node.notices(entry.deal.id()).await.map_err(NodeError::Read)?;
        let told: BTreeSet<_> = given.iter().map(|given| given.container).collect();
        events.extend(deal.notices.iter().flat_map(|notice| told_events(language, deal, notice)));
        for item in folder.items.iter().filter(|item| !container_of(item).is_some_and(|of| told.contains(&of))) {
            let Some((key, signer)) = event_of(item) else { continue };
            let who = match signer {
                Some(signer) => self.called(language, entry, signer).await,
                None => String::new(),
            };
            let mine = if signer == Some(self.node.keys().key_set().id()) { "yes" } else { "no" };
            let words = language.text_with(&key, &[("mine", mine.into()), ("who", who.into())]);
            events.push(Happened { time: item.time.unix(), words });
        }
        // What came in one message was kept in one second; it stays in the order in which it was kept.
        events.sort_by_key(|event| event.time);
        events.dedup_by(|later, earlier| later.words == earlier.words);
        Ok(events)
    }

    /// What a key set is called in this deal.
    async fn called(&self, language: Language, entry: &Entry, party: KeySetId) -> String {
        if let Some(name) = entry.called(party) {
            return escape(name, 0);
        }
        if entry.deal.sides().peer.id() == party {
            return escape(&entry.peer, 0);
        }
        match self.node.book().by_key_set(party).await {
            Ok(contact) => escape(&contact.name, 0),
            Err(_) => language.text_with("somebody", &[("key", party.to_string()[..12].to_owned().into())]),
        }
    }
}

/// Something that has happened.
struct Happened {
    time: u64,
    words: String,
}

/// The container that a statement is about.
fn container_of(item: &Item) -> Option<ContainerId> {
    let signed = Signed::from_bytes(&item.bytes).ok().filter(|_| item.kind == EvidenceKind::Statement)?;
    match signed.kind() {
        Kind::Container => ContainerStatement::from_bytes(signed.payload()).ok().map(|said| said.container),
        Kind::Ack => Ack::from_bytes(signed.payload()).ok().map(|ack| ack.container),
        _ => None,
    }
}

/// What has happened with a notice: it was given, it has come, that was signed.
fn told_events(language: Language, deal: &DealView, notice: &NoticeView) -> Vec<Happened> {
    if notice.ours && notice.state == "asks" {
        return Vec::new();
    }
    let (who, what) = (escape(&deal.peer, 0), notices::headline(language, deal, notice));
    let mine = if notice.ours { "no" } else { "yes" };
    let args = [("mine", mine.into()), ("who", who.into()), ("what", what.clone().into())];
    let happened = |time: Option<u64>, key| Some(Happened { time: time?, words: language.text_with(key, &args) });
    let received = happened(notice.delivered, "event-notice-received");
    let acknowledged = happened(notice.acknowledged, "event-notice-acknowledged");
    [Some(Happened { time: notice.written, words: what }), received, acknowledged].into_iter().flatten().collect()
}

/// The text that tells of an item, and who signed it; nothing if it tells of no event of its own.
fn event_of(item: &Item) -> Option<(String, Option<KeySetId>)> {
    match item.kind {
        EvidenceKind::Statement => {
            let signed = Signed::from_bytes(&item.bytes).ok()?;
            is_told(signed.kind()).then(|| (format!("event-{}", signed.kind()), Some(signed.signer())))
        }
        EvidenceKind::Late => Some(("event-late".to_owned(), None)),
        EvidenceKind::Payment => Some(("event-payment".to_owned(), None)),
        EvidenceKind::Redemption => Some(("event-redemption".to_owned(), None)),
        EvidenceKind::Misbehaviour => Some(("event-misbehaviour".to_owned(), None)),
        EvidenceKind::Preimage => Some(("event-preimage".to_owned(), None)),
        EvidenceKind::TimeStamp => Some(("event-time-stamp".to_owned(), None)),
        EvidenceKind::Cover => Some(("event-cover".to_owned(), None)),
        // What an event is about, and by what it is checked.
        EvidenceKind::Core
        | EvidenceKind::Document
        | EvidenceKind::Template
        | EvidenceKind::KeySet
        | EvidenceKind::Container
        | EvidenceKind::Attachment
        | EvidenceKind::Certificate
        | EvidenceKind::Receipt
        | EvidenceKind::Submission
        | EvidenceKind::LogReceipt
        | EvidenceKind::DepositKey
        | EvidenceKind::Sealed
        | EvidenceKind::Key => None,
    }
}

/// Whether a statement of this kind is an event of a deal.
fn is_told(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::LogHead
            | Kind::Receipt
            | Kind::MailboxRequest
            | Kind::ContactCard
            | Kind::BankTerms
            | Kind::AccountStatement
            | Kind::AccountRequest
            | Kind::Decision
            | Kind::Mandate
            // What is shown of a cover is an item of its own.
            | Kind::LiabilityAgreement
            | Kind::CoverRequest
            | Kind::Cover
            | Kind::CoverRelease
            | Kind::CoverClaim
            | Kind::CoverRuling
    )
}

fn standing(language: Language, deal: &DealView) -> Markup {
    html! {
        p { (state(language, deal)) }
        (notices::concerns(language, deal))
        (notices::belongs(language, deal))
        @if deal.ending.is_none() && deal.waits_for == "us" {
            p.notice { (language.text("asks-where")) " " code { "semper window" } }
        }
        (trouble(language, deal))
        p.actions {
            a.button href={ "/deals/" (deal.id) "/folder" } { (language.text("export")) }
            @if deal.ending.is_none() {
                a.button href={ "/deals/" (deal.id) "/give-up" } { (language.text("give-up")) }
            }
            (notices::actions(language, deal))
        }
    }
}

/// What can be proven. The words are those of the rules of evidence, which are English.
fn positions(language: Language, list: &[Position]) -> Markup {
    html! {
        @if list.is_empty() { p { (language.text("nothing")) } }
        @else { ul lang="en" { @for position in list { li { (position.words) } } } }
    }
}

fn evidence(language: Language, deal: &DealView, folder: &Folder, report: &Report) -> Markup {
    let faults: Vec<_> = report.findings.iter().filter(|finding| finding.is_fault()).collect();
    html! {
        h2 { (language.text("evidence")) }
        p {
            @if faults.is_empty() {
                span.good { span aria-hidden="true" { "✓ " } (language.text("evidence-sound")) }
            } @else {
                span.bad { span aria-hidden="true" { "✕ " } (language.text("evidence-faults")) }
            }
        }
        @if !report.findings.is_empty() {
            ul lang="en" { @for finding in &report.findings { li { (finding) } } }
        }
        p { (language.text("evidence-check")) }
        pre { "semper verify " (&deal.id[..12]) ".semper\nsemper judge " (&deal.id[..12]) ".semper" }
        details #evidence-list {
            summary { (language.text_with("evidence-list", &[("count", folder.items.len().into())])) }
            table {
                caption.unseen { (language.text("evidence")) }
                thead {
                    tr {
                        th scope="col" { (language.text("evidence-kind")) }
                        th scope="col" { (language.text("evidence-kept")) }
                        th.amount scope="col" { (language.text("size")) }
                    }
                }
                tbody {
                    @for item in &folder.items {
                        tr {
                            td data-label=(language.text("evidence-kind")) lang="en" { (kind(item)) }
                            td data-label=(language.text("evidence-kept")) { (language.time(item.time.unix())) }
                            td.amount data-label=(language.text("size")) { (language.size(item.bytes.len() as u64)) }
                        }
                    }
                }
            }
        }
    }
}

/// What an item is, by its names in the specification.
fn kind(item: &Item) -> String {
    match Signed::from_bytes(&item.bytes) {
        Ok(signed) if item.kind == EvidenceKind::Statement => format!("{} {}", item.kind.name(), signed.kind()),
        _ => item.kind.name().to_owned(),
    }
}

fn details(language: Language, deal: &DealView) -> Markup {
    html! {
        details #technical {
            summary { (language.text("details")) }
            dl.facts {
                dt { (language.text("detail-deal")) } dd.code { (deal.id) }
                @if let Some(cid) = &deal.cid { dt { (language.text("detail-contract")) } dd.code { (cid) } }
                dt { (language.text("detail-plan")) } dd.code { (deal.plan) }
                dt { (language.text("detail-role")) } dd.code { (deal.role) }
                dt { (language.text("detail-step")) } dd.code { (deal.step) " (" (deal.state) ")" }
                dt { (language.text("detail-opened")) } dd { (language.time(deal.opened)) }
            }
        }
    }
}

pub(super) fn deal_id(text: &str) -> Result<DealId, Failure> {
    DealId::parse(text).ok_or_else(|| Failure::missing("no-such-deal", String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // A name with a quotation mark or a line break would end the header, or begin another.
    #[test]
    fn names_of_files_stay_inside_their_header() {
        assert_eq!(percent("a b\"\r\nSet-Cookie: x=ü.txt"), "a%20b%22%0D%0ASet-Cookie%3A%20x%3D%C3%BC.txt");
    }

    // An event without words would end the program at the first deal that has one.
    #[test]
    fn every_event_has_words_in_every_language() {
        let statements = Kind::ALL.iter().filter(|kind| is_told(**kind)).map(|kind| format!("event-{kind}"));
        let others = ["late", "payment", "redemption", "misbehaviour", "preimage", "time-stamp", "cover"];
        for key in statements.chain(others.map(|name| format!("event-{name}"))) {
            for language in Language::ALL {
                for mine in ["yes", "no"] {
                    let words = language.text_with(&key, &[("mine", mine.into()), ("who", "Bob".into())]);
                    assert!(!words.is_empty(), "{key}");
                }
            }
        }
    }
}

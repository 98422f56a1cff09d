//! Notices from what the user orders to what goes out, and from what is kept to what the user sees.

use std::collections::BTreeMap;

use semper_commerce::deal::WaitsFor;
use semper_core::amount::Amount;
use semper_core::cbor::Decode as _;
use semper_core::container::{Ack, Container, Leaf};
use semper_core::cose::{Kind, Signed};
use semper_core::ids::DealId;
use semper_core::time::Time;
use semper_exchange::claims::{Claim, bind};
use semper_exchange::notice::{How, Saying, is_notice};
use semper_support::archive::Evidence;
use semper_support::channel::Receipt;
use semper_support::engine::{Ending, EvidenceKind};

use crate::bench::Bench;
use crate::control::{DealView, DisputeOrder, FileView, NoticeView, ReplyOrder, WithdrawOrder};
use crate::node::{Entry, Given, Node, NodeError, NoticeError, Side, plain};

/// Withdraws from the contract of a deal: the deal by which the withdrawal goes.
///
/// # Errors
/// [`NoticeError`]: nothing was signed or sent.
pub async fn withdraw(node: &Node, deal: DealId, order: WithdrawOrder) -> Result<DealId, NoticeError> {
    let name = plain(node.name(), "the sender");
    let saying = Saying::Withdrawal { name, channel: order.channel.trim().to_owned() };
    node.give_notice(deal, |_| Some(saying), order.words, false).await
}

/// Opens a dispute about the contract of a deal: the deal by which it goes.
///
/// # Errors
/// [`NoticeError`]: nothing was signed or sent.
pub async fn dispute(node: &Node, deal: DealId, order: DisputeOrder) -> Result<DealId, NoticeError> {
    let amount = match order.amount.trim() {
        "" => None,
        text => Some(Amount::parse(text).map_err(|error| NoticeError::Amount(text.to_owned(), error.to_string()))?),
    };
    let claims = claims(node, deal, &order.claims).await?;
    let answer_by = Time::from_unix(order.answer_by);
    let saying = Saying::Dispute { claims, relief: order.relief.trim().to_owned(), amount, answer_by };
    node.give_notice(deal, |_| Some(saying), order.words, order.evidence).await
}

/// Answers the last dispute of the other party that has no answer: the deal by which the answer goes.
///
/// # Errors
/// [`NoticeError`]: nothing was signed or sent.
pub async fn answer(node: &Node, deal: DealId, order: ReplyOrder) -> Result<DealId, NoticeError> {
    let how = How::from_name(&order.how).ok_or_else(|| NoticeError::Answer(order.how.clone()))?;
    let saying = |waiting: Option<_>| waiting.map(|to| Saying::Answer { to, how });
    node.give_notice(deal, saying, order.words, order.evidence).await
}

/// Claims from their texts, each about the one thing of the deal that it can mean.
async fn claims(node: &Node, deal: DealId, texts: &[String]) -> Result<Vec<Claim>, NoticeError> {
    let read =
        |text: &String| text.parse::<Claim>().map_err(|error| NoticeError::Claim(text.clone(), error.to_string()));
    let claims = texts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if claims.is_empty() {
        return Ok(claims);
    }
    let (folder, me) = (node.folder(deal).await?, node.keys().key_set().id());
    let examined = tokio::task::spawn_blocking(move || Bench::default().positions(folder, me)).await;
    let report = examined.ok().and_then(Result::ok).map(|(report, _)| report);
    Ok(claims.into_iter().map(|claim| report.as_ref().map_or(claim.clone(), |report| bind(report, &claim))).collect())
}

/// Adds the notices about a deal to what is shown of it.
///
/// # Errors
/// Storage failed.
pub async fn show(node: &Node, deal: DealId, view: &mut DealView) -> Result<(), NodeError> {
    view.notices = views(node, node.notices(deal).await?).await?;
    Ok(())
}

/// The notices of every deal that has some.
///
/// # Errors
/// Storage failed.
pub async fn all(node: &Node) -> Result<BTreeMap<String, Vec<NoticeView>>, NodeError> {
    let mut given: BTreeMap<DealId, Vec<Given>> = BTreeMap::new();
    for (about, notice) in node.all_notices().await? {
        given.entry(about).or_default().push(notice);
    }
    let mut all = BTreeMap::new();
    for (about, given) in given {
        all.insert(about.to_string(), views(node, given).await?);
    }
    Ok(all)
}

async fn views(node: &Node, given: Vec<Given>) -> Result<Vec<NoticeView>, NodeError> {
    let mut views = Vec::new();
    for notice in &given {
        let carrier = match node.entry(notice.carrier).await {
            Ok(carrier) => carrier,
            // It was taken back in this moment.
            Err(NodeError::NoSuchDeal(_)) => continue,
            Err(error) => return Err(error),
        };
        let kept = node.kept_of(notice.carrier).await?;
        views.push(NoticeView { how: answer_to(&given, notice), ..view(notice, &carrier, &kept) });
    }
    Ok(views)
}

/// What was answered to a dispute, or by an answer.
fn answer_to(given: &[Given], notice: &Given) -> Option<String> {
    let answered = given.iter().filter(|other| other.by != notice.by).find_map(|other| match other.notice.saying {
        Saying::Answer { to, how } if to == notice.container => Some(how),
        _ => None,
    });
    match notice.notice.saying {
        Saying::Answer { how, .. } => Some(how),
        _ => answered,
    }
    .map(|how| how.name().to_owned())
}

fn view(given: &Given, carrier: &Entry, kept: &[Evidence]) -> NoticeView {
    let notice = &given.notice;
    let acknowledged = kept.iter().find_map(acknowledged);
    let delivered = kept.iter().filter_map(received).min();
    let mut view = NoticeView {
        carrier: given.carrier.to_string(),
        saying: notice.saying.name().to_owned(),
        ours: given.by == Side::Us,
        written: notice.time.unix(),
        state: state(given.by, carrier, delivered, acknowledged).to_owned(),
        // The receipt for our acknowledgement says nothing about the notice.
        delivered: delivered.filter(|_| given.by == Side::Us).map(Time::unix),
        acknowledged: acknowledged.map(Time::unix),
        words: notice.words.clone(),
        name: None,
        channel: None,
        claims: Vec::new(),
        relief: None,
        amount: None,
        answer_by: None,
        how: None,
        enclosed: kept.iter().flat_map(enclosed).collect(),
        trouble: carrier.trouble.clone(),
    };
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    match &notice.saying {
        Saying::Withdrawal { name, channel } => (view.name, view.channel) = (some(name), some(channel)),
        Saying::Dispute { claims, relief, amount, answer_by } => {
            view.claims = claims.iter().map(ToString::to_string).collect();
            (view.relief, view.amount) = (some(relief), amount.map(|amount| amount.to_string()));
            view.answer_by = Some(answer_by.unix());
        }
        Saying::Answer { .. } => {}
    }
    view
}

fn state(by: Side, carrier: &Entry, delivered: Option<Time>, acknowledged: Option<Time>) -> &'static str {
    let asks = carrier.deal.waits_for() == WaitsFor::Us;
    match by {
        _ if acknowledged.is_some() => "acknowledged",
        _ if asks => "asks",
        Side::Peer => "came",
        Side::Us if delivered.is_some() => "delivered",
        Side::Us if carrier.deal.ending() == Some(Ending::Unconfirmed) => "given-up",
        Side::Us => "on-its-way",
    }
}

fn acknowledged(item: &Evidence) -> Option<Time> {
    let signed = Signed::from_bytes(&item.item.bytes).ok().filter(|signed| signed.kind() == Kind::Ack)?;
    Ack::from_bytes(signed.payload()).ok().map(|ack| ack.time)
}

fn received(item: &Evidence) -> Option<Time> {
    if item.item.kind != EvidenceKind::Receipt.name() {
        return None;
    }
    Receipt::from_bytes(Signed::from_bytes(&item.item.bytes).ok()?.payload()).ok().map(|receipt| receipt.time)
}

/// The files that go with a notice.
fn enclosed(item: &Evidence) -> Vec<FileView> {
    if item.item.kind != EvidenceKind::Container.name() {
        return Vec::new();
    }
    let Ok(container) = Container::from_bytes(&item.item.bytes) else { return Vec::new() };
    let files = container.leaves().into_iter().filter_map(|(_, leaf)| match leaf {
        Leaf::Information(file) if !is_notice(file) => {
            Some(FileView { name: file.name().to_owned(), hash: file.hash().to_string(), size: file.bytes().len() })
        }
        _ => None,
    });
    files.collect()
}

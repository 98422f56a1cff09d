//! The serving side of the control interface.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use semper_core::cbor::Encode;
use semper_core::ids::{DealId, StatementId};
use semper_pages::doors::Doors;
use semper_support::channel::MESSAGE_BYTES_MAX;
use semper_support::engine::Input;
use semper_transfer::payment::operation::OperationId;
use semper_vault::client::CallError;
use serde::Deserialize;
use tokio::sync::Notify;

use super::{
    AcceptOrder, AgreeOrder, AllOpened, Begun, BuyOrder, CheckOrder, ContactOrder, ContactView, CoverLine, CoverOrder,
    CoverSaid, CredentialView, DealView, DeskView, DisputeOrder, MailOrder, OfferOrder, OfferView, Opened,
    OperationView, PassOrder, PassedView, PayOrder, Problem, PurseOrder, PurseView, ReplyOrder, RightOfferOrder,
    SendOrder, SettingOrder, SettingsView, ShownOrder, SignOrder, StampOrder, StampView, StandsOrder, SwapOrder,
    TaskOrder, TradeOrder, WithdrawOrder,
};
use crate::covers::{self, CoverError};
use crate::credentials::{self, CredentialError};
use crate::node::{Beginning, Node, NodeError, NoticeError, PreferenceError};
use crate::shop::{self, ShopError};
use crate::trade::{self, TradeError};
use crate::vault::Keys;
use crate::wallet;
use crate::{notices, orders};

/// What the control interface controls.
#[derive(Clone)]
pub struct Controlled {
    /// The node.
    pub node: Arc<Node>,
    /// The way to the vault, which says what waits for the user.
    pub vault: Arc<Keys>,
    /// The doors into the desk, if there is one: this process listens.
    pub doors: Option<Arc<Doors>>,
}

/// `routes` and what every running process has: `GET /alive` and `POST /stop`. Every request must carry `token` and name a loopback
/// host, so that neither another user nor a web page can reach them.
pub fn guarded(routes: Router, token: String, stop: Arc<Notify>) -> Router {
    let token: Arc<str> = token.into();
    let stop = move || async move {
        stop.notify_one();
        Json(())
    };
    routes
        .route("/alive", get(async || Json(())))
        .route("/stop", post(stop))
        .layer(middleware::from_fn_with_state(token, authorised))
}

/// The routes of a party's node.
pub fn party_routes(controlled: Controlled) -> Router {
    Router::new()
        .route("/changes", get(changes))
        .route("/desk", post(open_desk))
        .route("/deals", get(deals))
        .route("/deals/{id}", get(deal))
        .route("/deals/{id}/wait", get(wait))
        .route("/deals/{id}/folder", get(folder))
        .route("/deals/{id}/files/{hash}", get(file))
        .route("/deals/{id}/give-up", post(give_up))
        .route("/deals/{id}/withdraw", post(withdraw))
        .route("/deals/{id}/dispute", post(dispute))
        .route("/deals/{id}/answer", post(answer))
        .route("/deals/{id}/taken", post(taken))
        .route("/deals/{id}/stamps", post(stamp))
        .route("/contacts", get(contacts).post(add_contact))
        .route("/contacts/{name}", delete(remove_contact))
        .route("/contacts/{name}/arbiter", post(accept))
        .route("/settings", get(settings).post(set))
        .route("/sign", post(sign))
        .route("/send", post(send))
        .route("/mail", post(mail))
        .route("/pay", post(pay))
        .route("/trade", post(trade))
        .route("/swap", post(swap))
        .route("/offers", get(offers).post(sell))
        .route("/offers/{id}", post(set_offer))
        .route("/buy", post(buy))
        .route("/purses", get(purses).post(open_purse))
        .route("/purses/{id}/prefer", post(prefer_purse))
        .route("/operations", get(operations).post(begin))
        .route("/operations/{id}", get(operation))
        .route("/operations/{id}/wait", get(wait_operation))
        .route("/operations/{id}/give-up", post(abandon))
        .route("/credentials", get(list_credentials).post(add_credential))
        .route("/credentials/{serial}/transfer", post(pass_on))
        .route("/credentials/{serial}/offer", post(sell_right))
        .route("/covers", get(list_covers).post(request_cover))
        .route("/covers/{id}", post(go_on_with_cover))
        .route("/covers-shown", post(check_cover))
        .route("/covers-shown/release", post(release_cover))
        .route("/covers-shown/claim", post(claim_cover))
        .route("/liability-agreements", post(agree))
        .layer(DefaultBodyLimit::max(2 * MESSAGE_BYTES_MAX))
        .with_state(controlled)
}

async fn authorised(State(token): State<Arc<str>>, request: Request, next: Next) -> Response {
    if is_authorised(&token, request.headers()) {
        return next.run(request).await;
    }
    Failure::new(StatusCode::UNAUTHORIZED, "not allowed", "the control token is missing or wrong").into_response()
}

fn is_authorised(token: &str, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let local = text(header::HOST).is_some_and(|host| host.starts_with("127.0.0.1:") || host.starts_with("[::1]:"));
    let given = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    local && given.is_some_and(|given| verify_slices_are_equal(given.as_bytes(), token.as_bytes()).is_ok())
}

/// An error, as the caller sees it.
pub struct Failure(Problem);

impl Failure {
    pub(super) fn new(status: StatusCode, title: &str, detail: impl ToString) -> Self {
        Self(Problem { title: title.to_owned(), status: status.as_u16(), detail: detail.to_string() })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(self.0)).into_response()
    }
}

impl From<ShopError> for Failure {
    fn from(error: ShopError) -> Self {
        match error {
            ShopError::Node(error) => error.into(),
            error => Self::new(StatusCode::CONFLICT, "not possible; no money moved", error),
        }
    }
}

impl From<TradeError> for Failure {
    fn from(error: TradeError) -> Self {
        match error {
            TradeError::Node(error) => error.into(),
            TradeError::Wallet(error) => error.into(),
            error => Self::new(StatusCode::CONFLICT, "not possible; no money moved", error),
        }
    }
}

impl From<CredentialError> for Failure {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Silent(..) | CredentialError::PassedOrNot(..) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "not known whether it was done", error)
            }
            error => Self::new(StatusCode::CONFLICT, "not possible; nothing was passed on", error),
        }
    }
}

impl From<CoverError> for Failure {
    fn from(error: CoverError) -> Self {
        match error {
            CoverError::Node(error) => error.into(),
            CoverError::Silent(..) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "not known whether it was done; no money moved", error)
            }
            error => Self::new(StatusCode::CONFLICT, "not possible; no money moved", error),
        }
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let (status, title) = match &error {
            NodeError::NoSuchDeal(_) => (StatusCode::NOT_FOUND, "no such deal"),
            NodeError::Commit(_) | NodeError::Read(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "storage failed; nothing was changed")
            }
            NodeError::Stamp(_) => (StatusCode::BAD_GATEWAY, "not everything could be dated; what was dated stays"),
            _ => (StatusCode::CONFLICT, "not possible; nothing was changed"),
        };
        Self::new(status, title, error)
    }
}

impl From<NoticeError> for Failure {
    fn from(error: NoticeError) -> Self {
        match error {
            NoticeError::Node(error) => error.into(),
            error => Self::new(StatusCode::CONFLICT, "not possible; nothing was signed or sent", error),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the vault does not say what waits; nothing was changed", error)
    }
}

impl From<orders::OrderError> for Failure {
    fn from(error: orders::OrderError) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "the order is not usable; nothing was sent", error)
    }
}

impl From<wallet::WalletError> for Failure {
    fn from(error: wallet::WalletError) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "the order is not usable; no money moved", error)
    }
}

impl From<PreferenceError> for Failure {
    fn from(error: PreferenceError) -> Self {
        match error {
            PreferenceError::Node(error) => error.into(),
            error => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not possible; nothing was changed", error),
        }
    }
}

type Reply<T> = Result<Json<T>, Failure>;

/// Deals that are listed at once.
const PAGE: usize = 200;

/// A link that opens the desk.
async fn open_desk(State(on): State<Controlled>) -> Reply<DeskView> {
    let closed = |detail: &str| Failure::new(StatusCode::CONFLICT, "the desk is not open", detail);
    let doors = on.doors.ok_or_else(|| closed("only a node that runs with `semper up` has a desk"))?;
    let link = doors.link().map_err(|error| closed(&error.to_string()))?;
    Ok(Json(DeskView { link }))
}

#[derive(Deserialize)]
struct After {
    after: Option<String>,
}

async fn deals(State(on): State<Controlled>, Query(After { after }): Query<After>) -> Reply<Vec<DealView>> {
    let after = after.map(|text| deal_id(&text)).transpose()?;
    let mut entries = on.node.entries(after, PAGE).await?;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.opened));
    let mut notices = notices::all(&on.node).await?;
    let view = |entry| {
        let view = orders::view(entry);
        DealView { notices: notices.remove(&view.id).unwrap_or_default(), ..view }
    };
    Ok(Json(entries.iter().map(view).collect()))
}

async fn deal(State(on): State<Controlled>, Path(id): Path<String>) -> Reply<DealView> {
    let id = deal_id(&id)?;
    let entry = on.node.entry(id).await?;
    let mut view = orders::view(&entry);
    view.files = orders::files(&on.node.folder(id).await?);
    view.saved_as = orders::saved_as(&on.node, &entry).await?;
    notices::show(&on.node, id, &mut view).await?;
    Ok(Json(view))
}

/// How long a request waits for a change before it answers with what is.
const LONG_POLL: std::time::Duration = std::time::Duration::from_secs(20);

/// Answers when the deal has ended or something about it needs the user, at the latest after [`LONG_POLL`].
async fn wait(State(on): State<Controlled>, Path(id): Path<String>) -> Reply<DealView> {
    let id = deal_id(&id)?;
    let mut changes = on.node.changes();
    let until = tokio::time::Instant::now() + LONG_POLL;
    loop {
        let entry = on.node.entry(id).await?;
        let asked = on.vault.pending().await?.iter().any(|approval| approval.deal == id);
        if entry.deal.ending().is_some() || asked || tokio::time::timeout_at(until, changes.changed()).await.is_err() {
            let mut view = orders::view(&entry);
            view.saved_as = orders::saved_as(&on.node, &entry).await?;
            return Ok(Json(view));
        }
    }
}

/// What [`changes`] is asked.
#[derive(Deserialize)]
struct Since {
    /// The last answer, if there was one.
    since: Option<u64>,
}

/// A number that grows with every change of a deal or of an operation. Answers when it is another than the caller knows, at the latest
/// after [`LONG_POLL`].
async fn changes(State(on): State<Controlled>, Query(asked): Query<Since>) -> Json<u64> {
    let mut changes = on.node.changes();
    let news = changes.wait_for(|count| asked.since != Some(*count));
    // After the time without a change the caller gets the number that it knows.
    let _ = tokio::time::timeout(LONG_POLL, news).await;
    Json(*changes.borrow())
}

async fn folder(State(on): State<Controlled>, Path(id): Path<String>) -> Result<Bytes, Failure> {
    Ok(on.node.folder(deal_id(&id)?).await?.to_bytes().into())
}

async fn file(State(on): State<Controlled>, Path((id, hash)): Path<(String, String)>) -> Result<Bytes, Failure> {
    let folder = on.node.folder(deal_id(&id)?).await?;
    orders::file(&folder, &hash)
        .map(Bytes::from)
        .ok_or_else(|| Failure::new(StatusCode::NOT_FOUND, "no such file", "the deal has no file with this hash"))
}

async fn give_up(State(on): State<Controlled>, Path(id): Path<String>) -> Reply<DealView> {
    let id = deal_id(&id)?;
    on.node.step(id, Input::GiveUp.into()).await?;
    Ok(Json(orders::view(&on.node.entry(id).await?)))
}

/// Withdraws from a deal's contract: the deal by which the withdrawal goes.
async fn withdraw(
    State(on): State<Controlled>,
    Path(id): Path<String>,
    Json(order): Json<WithdrawOrder>,
) -> Reply<Opened> {
    given(notices::withdraw(&on.node, deal_id(&id)?, order).await)
}

async fn dispute(
    State(on): State<Controlled>,
    Path(id): Path<String>,
    Json(order): Json<DisputeOrder>,
) -> Reply<Opened> {
    given(notices::dispute(&on.node, deal_id(&id)?, order).await)
}

async fn answer(State(on): State<Controlled>, Path(id): Path<String>, Json(order): Json<ReplyOrder>) -> Reply<Opened> {
    given(notices::answer(&on.node, deal_id(&id)?, order).await)
}

fn given(carrier: Result<DealId, NoticeError>) -> Reply<Opened> {
    Ok(Json(Opened { deal: carrier?.to_string() }))
}

/// Where the user's side has taken the goods of a deal.
async fn taken(State(on): State<Controlled>, Path(id): Path<String>, Json(path): Json<String>) -> Reply<()> {
    on.node.save_as(deal_id(&id)?, std::path::Path::new(&path)).await?;
    Ok(Json(()))
}

async fn stamp(
    State(on): State<Controlled>,
    Path(id): Path<String>,
    Json(order): Json<StampOrder>,
) -> Reply<StampView> {
    let dated = on.node.stamp_deal(deal_id(&id)?, order.tsa.as_deref(), order.again).await?;
    Ok(Json(StampView { now: dated.now, before: dated.before }))
}

async fn contacts(State(on): State<Controlled>) -> Reply<Vec<ContactView>> {
    let contacts = on.node.book().all().await.map_err(NodeError::Book)?;
    Ok(Json(contacts.iter().map(orders::contact_view).collect()))
}

async fn add_contact(State(on): State<Controlled>, Json(order): Json<ContactOrder>) -> Reply<ContactView> {
    let contact = on.node.book().add(&order.card, &order.name, order.arbiter).await.map_err(NodeError::Book)?;
    Ok(Json(orders::contact_view(&contact)))
}

async fn remove_contact(State(on): State<Controlled>, Path(name): Path<String>) -> Reply<()> {
    on.node.book().remove(&name).await.map_err(NodeError::Book)?;
    // Nothing more is signed under an arbiter that is not known.
    on.node.look_at_asks();
    Ok(Json(()))
}

async fn accept(
    State(on): State<Controlled>,
    Path(name): Path<String>,
    Json(order): Json<AcceptOrder>,
) -> Reply<ContactView> {
    Ok(Json(orders::contact_view(&orders::accept(&on.node, &name, order.arbiter).await?)))
}

async fn settings(State(on): State<Controlled>) -> Reply<SettingsView> {
    Ok(Json(orders::settings(&on.node).await?))
}

async fn set(State(on): State<Controlled>, Json(order): Json<SettingOrder>) -> Reply<SettingsView> {
    orders::set(&on.node, &order).await?;
    Ok(Json(orders::settings(&on.node).await?))
}

async fn sign(State(on): State<Controlled>, Json(order): Json<SignOrder>) -> Reply<Opened> {
    let handing = orders::handing(order.submission);
    let (deal, title, mut others) = orders::sign(&on.node, order).await?;
    match others.as_mut_slice() {
        [only] => open(&on, Beginning::new(deal, title, std::mem::take(only), handing)).await,
        _ => {
            let id = on.node.begin_among(deal, title, others, handing).await?;
            Ok(Json(Opened { deal: id.to_string() }))
        }
    }
}

async fn send(State(on): State<Controlled>, Json(order): Json<SendOrder>) -> Reply<Opened> {
    open(&on, orders::send(&on.node, order).await?).await
}

async fn mail(State(on): State<Controlled>, Json(order): Json<MailOrder>) -> Reply<AllOpened> {
    let prepared = orders::mail(&on.node, order).await?;
    let deals = prepared.iter().map(|beginning| beginning.deal.id().to_string()).collect();
    on.node.begin_all(prepared).await?;
    Ok(Json(AllOpened { deals }))
}

async fn pay(State(on): State<Controlled>, Json(order): Json<PayOrder>) -> Reply<Opened> {
    let (deal, title, peer) = wallet::pay(&on.node, order).await?;
    let id = on.node.begin(deal, title, peer).await?;
    Ok(Json(Opened { deal: id.to_string() }))
}

async fn trade(State(on): State<Controlled>, Json(order): Json<TradeOrder>) -> Reply<Opened> {
    let (deal, title, peer) = trade::trade(&on.node, order).await?;
    let id = on.node.begin(deal, title, peer).await?;
    Ok(Json(Opened { deal: id.to_string() }))
}

async fn swap(State(on): State<Controlled>, Json(order): Json<SwapOrder>) -> Reply<Opened> {
    open(&on, shop::swap(&on.node, order).await?).await
}

async fn open(on: &Controlled, beginning: Beginning) -> Reply<Opened> {
    let deal = beginning.deal.id().to_string();
    on.node.begin_all(vec![beginning]).await?;
    Ok(Json(Opened { deal }))
}

async fn sell(State(on): State<Controlled>, Json(order): Json<OfferOrder>) -> Reply<OfferView> {
    Ok(Json(shop::sell(&on.node, order).await?))
}

async fn offers(State(on): State<Controlled>) -> Reply<Vec<OfferView>> {
    Ok(Json(shop::offers(&on.node).await?))
}

async fn set_offer(
    State(on): State<Controlled>,
    Path(id): Path<String>,
    Json(order): Json<StandsOrder>,
) -> Reply<OfferView> {
    let bad = || Failure::new(StatusCode::BAD_REQUEST, "not an offer", "its name has 64 hexadecimal digits");
    let own = on.node.set_offer(StatementId::parse(&id).ok_or_else(bad)?, order.stands).await?;
    Ok(Json(OfferView::own(&own)))
}

async fn buy(State(on): State<Controlled>, Json(order): Json<BuyOrder>) -> Reply<Opened> {
    open(&on, shop::buy(&on.node, order).await?).await
}

async fn purses(State(on): State<Controlled>) -> Reply<Vec<PurseView>> {
    Ok(Json(wallet::purses(on.node.payments()).await?))
}

async fn open_purse(State(on): State<Controlled>, Json(order): Json<PurseOrder>) -> Reply<Begun> {
    let operation = wallet::open(&on.node, &order).await?.to_string();
    Ok(Json(Begun { operation }))
}

async fn prefer_purse(State(on): State<Controlled>, Path(id): Path<String>) -> Reply<()> {
    let id = wallet::purse_id(&on.node, &id).await?;
    on.node.payments().prefer_purse(id).await.map_err(wallet::WalletError::Payment)?;
    Ok(Json(()))
}

async fn list_credentials(State(on): State<Controlled>) -> Reply<Vec<CredentialView>> {
    Ok(Json(credentials::list(&on.node).await?))
}

async fn add_credential(State(on): State<Controlled>, Json(text): Json<String>) -> Reply<CredentialView> {
    Ok(Json(credentials::add(&on.node, &text).await?))
}

async fn pass_on(
    State(on): State<Controlled>,
    Path(serial): Path<String>,
    Json(order): Json<PassOrder>,
) -> Reply<PassedView> {
    Ok(Json(credentials::transfer(&on.node, &serial, &order.to).await?))
}

async fn list_covers(State(on): State<Controlled>) -> Reply<Vec<CoverLine>> {
    Ok(Json(covers::list(&on.node).await?))
}

async fn request_cover(State(on): State<Controlled>, Json(order): Json<CoverOrder>) -> Reply<CoverSaid> {
    Ok(Json(covers::request(&on.node, &order).await?))
}

async fn go_on_with_cover(State(on): State<Controlled>, Path(id): Path<String>) -> Reply<CoverSaid> {
    Ok(Json(covers::go_on(&on.node, &id).await?))
}

async fn check_cover(State(on): State<Controlled>, Json(order): Json<CheckOrder>) -> Reply<CoverLine> {
    Ok(Json(covers::look_at(&on.node, &order).await?))
}

async fn release_cover(State(on): State<Controlled>, Json(order): Json<ShownOrder>) -> Reply<CoverSaid> {
    Ok(Json(covers::release(&on.node, &order).await?))
}

async fn claim_cover(State(on): State<Controlled>, Json(order): Json<ShownOrder>) -> Reply<CoverSaid> {
    Ok(Json(covers::claim(&on.node, &order).await?))
}

async fn agree(State(on): State<Controlled>, Json(order): Json<AgreeOrder>) -> Reply<CoverSaid> {
    Ok(Json(covers::agree(&on.node, &order).await?))
}

async fn sell_right(
    State(on): State<Controlled>,
    Path(serial): Path<String>,
    Json(order): Json<RightOfferOrder>,
) -> Reply<OfferView> {
    Ok(Json(shop::sell_right(&on.node, &serial, order).await?))
}

/// Operations that are listed at once.
const HISTORY: usize = 200;

async fn operations(State(on): State<Controlled>) -> Reply<Vec<OperationView>> {
    let history = on.node.payments().history(HISTORY).await.map_err(wallet::WalletError::Payment)?;
    Ok(Json(history.iter().map(wallet::view).collect()))
}

async fn begin(State(on): State<Controlled>, Json(order): Json<TaskOrder>) -> Reply<Begun> {
    let operation = wallet::begin(&on.node, order).await?.to_string();
    Ok(Json(Begun { operation }))
}

async fn operation(State(on): State<Controlled>, Path(id): Path<String>) -> Reply<OperationView> {
    let operation = on.node.payments().operation(operation_id(&id)?).await.map_err(wallet::WalletError::Payment)?;
    Ok(Json(wallet::view(&operation)))
}

/// Answers when the operation has ended or needs the user, at the latest after [`LONG_POLL`].
async fn wait_operation(State(on): State<Controlled>, Path(id): Path<String>) -> Reply<OperationView> {
    let id = operation_id(&id)?;
    let mut changes = on.node.changes();
    let until = tokio::time::Instant::now() + LONG_POLL;
    loop {
        let operation = on.node.payments().operation(id).await.map_err(wallet::WalletError::Payment)?;
        let view = wallet::view(&operation);
        let asked = on.vault.pending().await?.iter().any(|approval| view.id.starts_with(&approval.deal.to_string()));
        let wants_user = asked || view.address.is_some() || view.trouble.is_some();
        if view.ended || wants_user || tokio::time::timeout_at(until, changes.changed()).await.is_err() {
            return Ok(Json(view));
        }
    }
}

async fn abandon(State(on): State<Controlled>, Path(id): Path<String>) -> Reply<()> {
    on.node.payments().abandon_operation(operation_id(&id)?).await.map_err(wallet::WalletError::Payment)?;
    Ok(Json(()))
}

fn operation_id(text: &str) -> Result<OperationId, Failure> {
    let bad = || Failure::new(StatusCode::BAD_REQUEST, "not an operation", "its name has 64 hexadecimal digits");
    OperationId::parse(text).ok_or_else(bad)
}

fn deal_id(text: &str) -> Result<DealId, Failure> {
    let bad = || Failure::new(StatusCode::BAD_REQUEST, "not a deal", "a deal's name has 32 hexadecimal digits");
    DealId::parse(text).ok_or_else(bad)
}

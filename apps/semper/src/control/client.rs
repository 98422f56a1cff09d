//! The calling side of the control interface.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, Response};
use semper_core::ids::{DealId, StatementId};
use semper_vault::client::{CallError, UserSide};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::home::Home;
use crate::node::goods::{self, GoodsError};

use super::{
    AcceptOrder, AgreeOrder, AllOpened, AnswerOrder, ApprovalView, BackedOrder, BackupView, Begun, BuyOrder,
    CheckOrder, ContactOrder, ContactView, CoverLine, CoverOrder, CoverSaid, CredentialView, DealView, DisputeOrder,
    Endpoint, MailOrder, OfferOrder, OfferView, Opened, OperationView, PassOrder, PassedView, PayOrder, Problem,
    PurseOrder, PurseView, ReplyOrder, RightOfferOrder, SendOrder, SettingOrder, SettingsView, ShownOrder, SignOrder,
    StampOrder, StampView, StandsOrder, SwapOrder, TaskOrder, TradeOrder, WithdrawOrder,
};

/// Why a call has no answer. Whatever the node has begun it goes on with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The node says why not. What was asked for was not done.
    #[error("{0}")]
    Refused(Problem),
    /// The node does not answer: it does not run, or it was stopped in the middle. What was asked for may have been done.
    #[error("{}", silence(.0))]
    Silent(#[source] reqwest::Error),
    /// The answer is not what this version understands: another program, or another version. What was asked for may have been done.
    #[error("the node's answer is not readable")]
    Unreadable(#[source] reqwest::Error),
    /// Nothing begins with these characters.
    #[error("there is no deal that begins with {0:?}; see `semper deals list`")]
    NoSuchDeal(String),
    /// More than one deal begins with these characters.
    #[error("more than one deal begins with {0:?}; give more of its identifier")]
    Ambiguous(String),
    /// Goods have come and cannot be taken to where they are wanted. They are in the data directory.
    #[error(
        "the goods have come, but cannot be taken to where they are wanted ({0}); they are in `goods/bought` of the data directory"
    )]
    Goods(#[from] GoodsError),
    /// Where goods are wanted cannot be written down. They will stay in the data directory.
    #[error("where the goods go cannot be written down ({0:#}); they will be in `goods/bought` of the data directory")]
    Wanted(anyhow::Error),
    /// The vault does not take it, and says why. Nothing was signed.
    #[error(transparent)]
    Vault(#[from] CallError),
    /// The name of an approval, or the hash of its text, is none.
    #[error("an approval's name and the hash of its text have 64 hexadecimal digits each")]
    NotAnApproval,
}

/// Whether anything can have been done by a node that is silent.
fn silence(error: &reqwest::Error) -> &'static str {
    if error.is_connect() {
        return "the node does not answer";
    }
    "the node does not answer any more; what was asked for may have been begun: see `semper deals list` and `semper wallet history`"
}

/// What a call gives.
pub type Result<T> = std::result::Result<T, ClientError>;

/// A connection to a running node.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    home: Home,
}

#[expect(clippy::missing_errors_doc, reason = "what an error means stands at `ClientError`")]
impl Client {
    /// A client for the node that `endpoint` describes, and for the vault, if it is a party's; both are of the data directory `home`.
    pub fn new(endpoint: Endpoint, home: Home) -> Result<Self> {
        // The node is on this machine, without TLS: to read the machine's certificates would take longer than a call.
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(60)).build();
        Ok(Self { http: http.map_err(ClientError::Silent)?, endpoint, home })
    }

    /// Whether the node answers.
    pub async fn is_alive(&self) -> bool {
        self.get::<()>("/alive").await.is_ok()
    }

    async fn call(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Response> {
        let url = format!("http://127.0.0.1:{}{path}", self.endpoint.port);
        let mut request = self.http.request(method, url).bearer_auth(&self.endpoint.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(ClientError::Silent)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        Err(ClientError::Refused(response.json().await.unwrap_or_else(|_| Problem {
            title: "refused".to_owned(),
            status: status.as_u16(),
            detail: format!("the node answered {status}"),
        })))
    }

    /// What a route of the control interface says.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None::<&()>).await?.json().await.map_err(ClientError::Unreadable)
    }

    /// What a route of the control interface answers to `body`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.call(Method::POST, path, Some(body)).await?.json().await.map_err(ClientError::Unreadable)
    }

    /// A number that grows with every change of a deal or of an operation, as soon as it is another than `since`; after some seconds in
    /// any case.
    pub async fn changes(&self, since: Option<u64>) -> Result<u64> {
        self.get(&since.map_or("/changes".to_owned(), |since| format!("/changes?since={since}"))).await
    }

    /// All deals, the youngest first.
    pub async fn deals(&self) -> Result<Vec<DealView>> {
        let mut all: Vec<DealView> = Vec::new();
        loop {
            let after = all.iter().map(|deal| deal.id.clone()).max();
            let path = after.map_or("/deals".to_owned(), |after| format!("/deals?after={after}"));
            let page: Vec<DealView> = self.get(&path).await?;
            if page.is_empty() {
                all.sort_by_key(|deal| std::cmp::Reverse(deal.opened));
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// One deal. `id` may be the beginning of its identifier if only one deal begins so. Goods that have come are taken to where their order
    /// wants them, as with [`Client::wait`].
    pub async fn deal(&self, id: &str) -> Result<DealView> {
        let id = self.deal_id(id).await?;
        self.take_goods(self.get(&format!("/deals/{id}")).await?).await
    }

    /// Withdraws from the contract of a deal; by which deal the withdrawal goes.
    pub async fn withdraw(&self, deal: &str, order: &WithdrawOrder) -> Result<Opened> {
        self.post(&format!("/deals/{deal}/withdraw"), order).await
    }

    /// Opens a dispute about the contract of a deal; by which deal it goes.
    pub async fn dispute(&self, deal: &str, order: &DisputeOrder) -> Result<Opened> {
        self.post(&format!("/deals/{deal}/dispute"), order).await
    }

    /// Answers the other party's dispute about the contract of a deal; by which deal the answer goes.
    pub async fn answer_dispute(&self, deal: &str, order: &ReplyOrder) -> Result<Opened> {
        self.post(&format!("/deals/{deal}/answer"), order).await
    }

    /// The whole identifier of the deal that begins with `start`.
    pub async fn deal_id(&self, start: &str) -> Result<String> {
        if start.len() == 32 {
            return Ok(start.to_owned());
        }
        let deals = self.deals().await?;
        let mut fitting = deals.into_iter().filter(|deal| deal.id.starts_with(start));
        match (fitting.next(), fitting.next()) {
            (Some(deal), None) => Ok(deal.id),
            (None, _) => Err(ClientError::NoSuchDeal(start.to_owned())),
            (Some(_), Some(_)) => Err(ClientError::Ambiguous(start.to_owned())),
        }
    }

    /// The deal, as soon as it has ended or waits for the user, or after some seconds.
    pub async fn wait(&self, id: &str) -> Result<DealView> {
        self.take_goods(self.get(&format!("/deals/{id}/wait")).await?).await
    }

    /// Takes what a deal has bought to where its order wants it, and tells the node.
    async fn take_goods(&self, mut view: DealView) -> Result<DealView> {
        let Some(deal) = DealId::parse(&view.id).filter(|_| view.ending.as_deref() == Some("success")) else {
            return Ok(view);
        };
        let Ok(wanted) = std::fs::read_to_string(self.home.wanted(deal)) else { return Ok(view) };
        let from = self.home.goods();
        let copying = tokio::task::spawn_blocking(move || goods::copy(&from, deal, Path::new(&wanted)));
        if let Some(copied) = copying.await.map_err(|_| GoodsError::Stopped)?? {
            let path = copied.to.display().to_string();
            self.post::<()>(&format!("/deals/{}/taken", view.id), &path).await?;
            // Only now: if the power fails before, the next look copies to the same place and tells the node again.
            copied.done()?;
            view.saved_as = Some(path);
        }
        Ok(view)
    }

    /// Remembers where the goods of a deal go. If the power fails before, they stay in the data directory, and the deal says where.
    fn want(&self, opened: Opened, save_as: &str) -> Result<Opened> {
        if let Some(deal) = DealId::parse(&opened.deal).filter(|_| !save_as.is_empty()) {
            self.home.want(deal, save_as).map_err(ClientError::Wanted)?;
        }
        Ok(opened)
    }

    /// The deal, when it has ended. Whoever has to answer a question meanwhile is not asked here: see [`Client::approvals`].
    pub async fn ended(&self, id: &str) -> Result<DealView> {
        loop {
            let deal = self.wait(id).await?;
            if deal.ending.is_some() {
                return Ok(deal);
            }
            // The node answers at once while a question waits.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a deal asks its user next; `None` if it ends without a question.
    pub async fn question(&self, id: &str) -> Result<Option<ApprovalView>> {
        loop {
            let deal = self.wait(id).await?;
            let asked = self.approvals().await?.into_iter().find(|approval| approval.deal == deal.id);
            if asked.is_some() || deal.ending.is_some() {
                return Ok(asked);
            }
        }
    }

    /// The deal's folder, as its file holds it.
    pub async fn folder(&self, id: &str) -> Result<Vec<u8>> {
        Ok(self
            .call(Method::GET, &format!("/deals/{id}/folder"), None::<&()>)
            .await?
            .bytes()
            .await
            .map_err(ClientError::Unreadable)?
            .to_vec())
    }

    /// A file of a deal.
    pub async fn file(&self, id: &str, hash: &str) -> Result<Vec<u8>> {
        let path = format!("/deals/{id}/files/{hash}");
        Ok(self.call(Method::GET, &path, None::<&()>).await?.bytes().await.map_err(ClientError::Unreadable)?.to_vec())
    }

    /// Ends a deal with what this party can do alone.
    pub async fn give_up(&self, id: &str) -> Result<DealView> {
        self.post(&format!("/deals/{id}/give-up"), &()).await
    }

    /// Has every signature of a deal dated.
    pub async fn stamp(&self, id: &str, order: &StampOrder) -> Result<StampView> {
        self.post(&format!("/deals/{id}/stamps"), order).await
    }

    /// What waits for the user's word. The vault itself is asked, not the node.
    pub async fn approvals(&self) -> Result<Vec<ApprovalView>> {
        Ok(self.vault()?.waiting()?.into_iter().map(ApprovalView::from).collect())
    }

    /// Answers, to the vault.
    pub async fn answer(&self, id: &str, order: &AnswerOrder) -> Result<()> {
        let id = StatementId::parse(id).ok_or(ClientError::NotAnApproval)?;
        Ok(self.vault()?.answer(id, order.answer().ok_or(ClientError::NotAnApproval)?)?)
    }

    /// The user's way to the party's vault.
    pub fn vault(&self) -> Result<UserSide> {
        Ok(UserSide::connect(&self.home.vault())?)
    }

    /// The contact book.
    pub async fn contacts(&self) -> Result<Vec<ContactView>> {
        self.get("/contacts").await
    }

    /// Adds a contact.
    pub async fn add_contact(&self, order: &ContactOrder) -> Result<ContactView> {
        self.post("/contacts", order).await
    }

    /// Removes a contact.
    pub async fn remove_contact(&self, name: &str) -> Result<()> {
        self.call(Method::DELETE, &contact_path(name), None::<&()>).await.map(drop)
    }

    /// Accepts a contact as an arbiter, or does so no longer.
    pub async fn accept(&self, name: &str, order: AcceptOrder) -> Result<ContactView> {
        self.post(&format!("{}/arbiter", contact_path(name)), &order).await
    }

    /// What the user can set.
    pub async fn settings(&self) -> Result<SettingsView> {
        self.get("/settings").await
    }

    /// Sets something; what holds then.
    pub async fn set(&self, order: &SettingOrder) -> Result<SettingsView> {
        self.post("/settings", order).await
    }

    /// Proposes a contract.
    pub async fn sign(&self, order: &SignOrder) -> Result<Opened> {
        self.post("/sign", order).await
    }

    /// Sends a container.
    pub async fn send(&self, order: &SendOrder) -> Result<Opened> {
        self.post("/send", order).await
    }

    /// Sends a letter for receipts.
    pub async fn mail(&self, order: &MailOrder) -> Result<AllOpened> {
        self.post("/mail", order).await
    }

    /// Pays somebody.
    pub async fn pay(&self, order: &PayOrder) -> Result<Opened> {
        self.post("/pay", order).await
    }

    /// Gives money for a receipt or for other money.
    pub async fn trade(&self, order: &TradeOrder) -> Result<Opened> {
        self.post("/trade", order).await
    }

    /// Offers goods; asked again, what has become of it.
    pub async fn sell(&self, order: &OfferOrder) -> Result<OfferView> {
        self.post("/offers", order).await
    }

    /// Gives a file for one that somebody offers.
    pub async fn swap(&self, order: &SwapOrder) -> Result<Opened> {
        let opened = self.post("/swap", &SwapOrder { save_as: String::new(), ..order.clone() }).await?;
        self.want(opened, &order.save_as)
    }

    /// What this party offers.
    pub async fn offers(&self) -> Result<Vec<OfferView>> {
        self.get("/offers").await
    }

    /// Takes orders for an offer no more, or again.
    pub async fn set_offer(&self, id: &str, order: &StandsOrder) -> Result<OfferView> {
        self.post(&format!("/offers/{id}"), order).await
    }

    /// Takes up an offer.
    pub async fn buy(&self, order: &BuyOrder) -> Result<Opened> {
        let opened = self.post("/buy", &BuyOrder { save_as: String::new(), ..order.clone() }).await?;
        self.want(opened, &order.save_as)
    }

    /// Keeps a credential, from the text of its file.
    pub async fn add_credential(&self, text: &str) -> Result<CredentialView> {
        self.post("/credentials", &text).await
    }

    /// Every credential of this party.
    pub async fn credentials(&self) -> Result<Vec<CredentialView>> {
        self.get("/credentials").await
    }

    /// Signs a liability agreement; asked again, the same one.
    pub async fn agree(&self, order: &AgreeOrder) -> Result<CoverSaid> {
        self.post("/liability-agreements", order).await
    }

    /// Asks a guarantor for a cover.
    pub async fn request_cover(&self, order: &CoverOrder) -> Result<CoverSaid> {
        self.post("/covers", order).await
    }

    /// What has become of a request for a cover.
    pub async fn go_on_with_cover(&self, id: &str) -> Result<CoverSaid> {
        self.post(&format!("/covers/{id}"), &()).await
    }

    /// Every cover that this party has asked for or was shown.
    pub async fn covers(&self) -> Result<Vec<CoverLine>> {
        self.get("/covers").await
    }

    /// Looks at a cover, and keeps it if it is good.
    pub async fn check_cover(&self, order: &CheckOrder) -> Result<CoverLine> {
        self.post("/covers-shown", order).await
    }

    /// Says that nothing is owed any more under a cover.
    pub async fn release_cover(&self, order: &ShownOrder) -> Result<CoverSaid> {
        self.post("/covers-shown/release", order).await
    }

    /// Asks a guarantor to pay.
    pub async fn claim_cover(&self, order: &ShownOrder) -> Result<CoverSaid> {
        self.post("/covers-shown/claim", order).await
    }

    /// Passes a credential on; asked again, it says what has become of it.
    pub async fn pass_on(&self, serial: &str, to: &str) -> Result<PassedView> {
        self.post(&format!("/credentials/{serial}/transfer"), &PassOrder { to: to.to_owned() }).await
    }

    /// Offers a credential; asked again, what has become of it.
    pub async fn sell_right(&self, serial: &str, order: &RightOfferOrder) -> Result<OfferView> {
        self.post(&format!("/credentials/{serial}/offer"), order).await
    }

    /// The purses, the one that is liked best first.
    pub async fn purses(&self) -> Result<Vec<PurseView>> {
        self.get("/purses").await
    }

    /// Opens a purse.
    pub async fn open_purse(&self, order: &PurseOrder) -> Result<Begun> {
        self.post("/purses", order).await
    }

    /// Makes a purse the one that is liked best.
    pub async fn prefer_purse(&self, id: &str) -> Result<()> {
        self.post(&format!("/purses/{id}/prefer"), &()).await
    }

    /// The last payment operations.
    pub async fn operations(&self) -> Result<Vec<OperationView>> {
        self.get("/operations").await
    }

    /// Begins something with a purse.
    pub async fn begin(&self, order: &TaskOrder) -> Result<Begun> {
        self.post("/operations", order).await
    }

    /// The operation, as soon as it has ended or needs the user, or after some seconds.
    pub async fn wait_operation(&self, id: &str) -> Result<OperationView> {
        self.get(&format!("/operations/{id}/wait")).await
    }

    /// A payment operation, when it has ended, well or not.
    pub async fn operation_ended(&self, id: &str) -> Result<OperationView> {
        loop {
            let operation = self.wait_operation(id).await?;
            if operation.ended {
                return Ok(operation);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Tells an operation that it is no longer wanted.
    pub async fn abandon_operation(&self, id: &str) -> Result<()> {
        self.post(&format!("/operations/{id}/give-up"), &()).await
    }

    /// When the last backup was made, and what would be lost with this machine.
    pub async fn backup(&self) -> Result<BackupView> {
        self.get("/backup").await
    }

    /// Has the node copy its archive, for a backup.
    pub async fn copy_archive(&self) -> Result<()> {
        self.post("/backup/copy", &()).await
    }

    /// Tells the node that a backup was made and checked.
    pub async fn note_backup(&self, order: &BackedOrder) -> Result<()> {
        self.post("/backup", order).await
    }

    /// Stops the node.
    pub async fn stop(&self) -> Result<()> {
        self.post("/stop", &()).await
    }
}

/// The path of a contact, whose name may hold what ends a path.
fn contact_path(name: &str) -> String {
    let mut path = "/contacts/".to_owned();
    for byte in name.bytes() {
        write!(path, "%{byte:02X}").expect("writing to a string cannot fail");
    }
    path
}

//! The control interface of a running node: HTTP with JSON on a loopback port, for the same user only.
//!
//! A node writes its port and a random token to `run/control.json` in its data directory, which only its owner can read. Every
//! request carries the token. The command line has no other way to a node: where none runs, it starts one for itself.

pub(crate) mod backup;
pub mod client;
mod notice;
pub(crate) mod server;
mod standing;

use std::fmt;
use std::path::Path;

use data_encoding::BASE64;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_pages::words::check_words;
use semper_vault::rules::{Approval, UserAnswer};
use semper_vault::sheet::Who;
use serde::{Deserialize, Serialize};

pub use notice::{Concern, DisputeOrder, NoticeView, ReplyOrder, ToldView, WithdrawOrder};
pub use standing::Standing;

/// What `run/control.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// The process.
    pub pid: u32,
    /// The loopback port.
    pub port: u16,
    /// The token, 64 hexadecimal digits.
    pub token: String,
}

/// The way into the desk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeskView {
    /// A link that opens it once, within ten minutes.
    pub link: String,
}

/// When the last backup was made, what would be lost with this machine, and what is not settled after a restore. Times are in seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupView {
    /// When the last backup was made and checked, if there is one.
    pub last: Option<u64>,
    /// Deals that are not in it; 1000 stands for more.
    pub deals: usize,
    /// Money in purses that are not in it, an amount for each currency.
    pub money: Vec<String>,
    /// What is not settled after a restore.
    pub restored: Option<RestoredView>,
}

/// What is not settled after a restore.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoredView {
    /// When the backup was made.
    pub from: u64,
    /// When it was restored.
    pub at: u64,
    /// Deals that have not ended.
    pub deals: usize,
    /// Purses whose issuer was not asked yet.
    pub purses: usize,
}

/// A backup that was made and checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackedOrder {
    /// When.
    pub time: u64,
    /// The purses in it.
    pub purses: Vec<String>,
    /// How many deals are in it.
    pub deals: u64,
}

impl BackupView {
    /// Whether anything would be lost with this machine.
    pub fn is_at_risk(&self) -> bool {
        self.deals > 0 || !self.money.is_empty()
    }
}

/// A deal, for the screen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DealView {
    /// Its identifier.
    pub id: String,
    /// Its plan.
    pub plan: String,
    /// What it is about.
    pub title: String,
    /// The other party, as the contact book calls it; of many, all the others.
    pub peer: String,
    /// Whose signature is awaited, of many others.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Our role.
    pub role: String,
    /// The step that it is at.
    pub step: String,
    /// The state within the step.
    pub state: String,
    /// Who is waited for: `us`, `peer`, `arbiter`, `payment`, `issuer` (of a right), `nothing`.
    pub waits_for: String,
    /// When the money comes that the arbiter has found to be due to us, or our right is called back if no money comes, in seconds since 1970.
    pub until: Option<u64>,
    /// How it ended: `success`, `aborted`, `lapsed`, `unconfirmed`, `refunded`, `recalled`, `defective`, `faulted`, `unsettled`.
    pub ending: Option<String>,
    /// When it was opened here, in seconds since 1970.
    pub opened: u64,
    /// The contract's identifier, if there is one.
    pub cid: Option<String>,
    /// How it ended, in words, where there is more to say.
    pub remark: Option<String>,
    /// The last thing that went wrong.
    pub trouble: Option<String>,
    /// The files that belong to it.
    pub files: Vec<FileView>,
    /// Where the goods are that were bought in it.
    #[serde(default)]
    pub saved_as: Option<String>,
    /// The right that is sold in it, if one is.
    #[serde(default)]
    pub right: Option<String>,
    /// What the arbiter has of ours, through whose hands it goes: `12.00 EUR`.
    #[serde(default)]
    pub in_hand: Option<String>,
    /// The notices about its contract, in the order in which they were written.
    #[serde(default)]
    pub notices: Vec<NoticeView>,
    /// What notice it carries, if it carries one.
    #[serde(default)]
    pub told: Option<ToldView>,
    /// The time of the backup that it comes from, if it had not ended then, in seconds since 1970. While it has not ended it is paused: nothing new is signed
    /// for it until its arbiter has said what became of it.
    #[serde(default)]
    pub restored: Option<u64>,
}

/// A file of a deal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileView {
    /// Its name.
    pub name: String,
    /// Its hash.
    pub hash: String,
    /// Its size in bytes.
    pub size: usize,
}

/// Something that waits for the user's word.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApprovalView {
    /// Its identifier: the statement's.
    pub id: String,
    /// The deal.
    pub deal: String,
    /// What is asked, in one line.
    pub title: String,
    /// The text that is signed, as it is shown.
    pub text: String,
    /// Since when it waits, in seconds since 1970.
    pub since: u64,
    /// Why no mandate covers it, a line for each; nothing if there are no mandates. It is not signed.
    #[serde(default)]
    pub uncovered: Option<String>,
    /// What is done by approving: `contract`, `contract-and-pay`, `offer`, `send`, `acknowledge`, `pay`, `ask-bank`, `pass-on`, `grant`, `withdraw`,
    /// `dispute`, `answer`, `sign`.
    pub verb: String,
    /// Whom else it concerns.
    pub who: Vec<WhoView>,
    /// What it is about, in one line; empty if the text alone says it.
    pub what: String,
    /// Money that we give.
    pub gives: Option<String>,
    /// Money that we get.
    pub gets: Option<String>,
    /// Until when it can do something, in seconds since 1970.
    pub until: Option<u64>,
    /// Six words that everybody sees who is asked about the same thing; none if nobody else is asked.
    pub check_words: Option<String>,
}

/// Somebody whom a question concerns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WhoView {
    /// As what: `peer`, `arbiter`, `payee`, `recipient`, `issuer`.
    pub part: String,
    /// Their key set.
    pub key_set: String,
    /// Its words.
    pub words: String,
    /// What the document calls them; nobody has checked it.
    pub name: Option<String>,
    /// Whether something that concerned these keys in the same part was approved before.
    pub met: bool,
}

impl From<Approval> for ApprovalView {
    fn from(approval: Approval) -> Self {
        Self {
            id: approval.draft.id().to_string(),
            deal: approval.deal.to_string(),
            title: approval.title,
            text: approval.text,
            since: approval.since.unix(),
            uncovered: Some(approval.uncovered).filter(|uncovered| !uncovered.is_empty()),
            verb: approval.sheet.verb.name().to_owned(),
            who: approval.sheet.who.into_iter().map(WhoView::from).collect(),
            what: approval.sheet.what,
            gives: approval.sheet.gives.map(|amount| amount.to_string()),
            gets: approval.sheet.gets.map(|amount| amount.to_string()),
            until: approval.sheet.until.map(Time::unix),
            check_words: approval.sheet.checked.as_ref().map(check_words),
        }
    }
}

impl From<Who> for WhoView {
    fn from(who: Who) -> Self {
        Self {
            part: who.part.name().to_owned(),
            key_set: who.key_set.to_string(),
            words: check_words(who.key_set.digest()),
            name: who.name,
            met: who.met,
        }
    }
}

impl ApprovalView {
    /// The answer of a user who has read the text.
    pub fn answered(&self, approve: bool) -> AnswerOrder {
        AnswerOrder { approve, seen: Digest::of(domain::RENDER, self.text.as_bytes()).to_hex() }
    }
}

/// The user's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnswerOrder {
    /// Yes or no.
    pub approve: bool,
    /// The hash of the text that the user has seen: what is approved is what was shown.
    pub seen: String,
}

impl AnswerOrder {
    /// The answer, if the hash of an approval is one.
    pub(crate) fn answer(&self) -> Option<UserAnswer> {
        match self.approve {
            true => Some(UserAnswer::Approve { seen: Digest::from_hex(&self.seen)? }),
            false => Some(UserAnswer::Decline),
        }
    }
}

/// A contact, for the screen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContactView {
    /// What we call it.
    pub name: String,
    /// Its key set.
    pub key_set: String,
    /// The fingerprint in groups, to compare over the telephone.
    pub fingerprint: String,
    /// Where its inbox is.
    pub inbox: Option<String>,
    /// Where it dates things, if it is a time-stamp authority.
    #[serde(default)]
    pub time_stamps: Option<String>,
    /// Whether we accept it as an arbiter.
    pub arbiter: bool,
    /// Whether it offers to be one, under the rules that this program knows.
    #[serde(default)]
    pub offers_to_arbitrate: bool,
    /// Names that certificates give to the key set.
    pub certificates: usize,
}

/// A deal is to be dated.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StampOrder {
    /// By whom: the address of a time-stamp authority's service, or a contact. `None`: the one in the configuration.
    #[serde(default)]
    pub tsa: Option<String>,
    /// Whether signatures are dated again that were dated before.
    #[serde(default)]
    pub again: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StampView {
    /// Signatures that were dated now.
    pub now: usize,
    /// Signatures that had been dated before.
    pub before: usize,
}

/// Whether a contact is accepted as an arbiter.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct AcceptOrder {
    /// Whether it is from now on.
    pub arbiter: bool,
}

/// What the user can set of how the node goes about things.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SettingsView {
    /// How long a message of the other party is waited for, in seconds, in what somebody else begins.
    pub patience: u64,
    /// Whether that was set here; else it is as `semper.toml` says.
    pub patience_is_set: bool,
    /// Who dates every deal that ends: a contact, or the address of a time-stamp authority's service; nobody if there is nothing.
    pub dated_by: Option<String>,
    /// Whether that was set here; else it is as `semper.toml` says.
    pub dated_by_is_set: bool,
}

/// Something is set, or is to be as `semper.toml` says again (`None`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingOrder {
    /// The patience, in seconds.
    Patience(Option<u64>),
    /// Who dates deals; empty: nobody.
    DatedBy(Option<String>),
}

/// A new contact.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContactOrder {
    /// The contact card, as its file holds it.
    pub card: String,
    /// What to call it; its own name for itself if empty.
    #[serde(default)]
    pub name: String,
    /// Whether to accept it as an arbiter.
    #[serde(default)]
    pub arbiter: bool,
}

/// A file that travels through the control interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileOrder {
    /// Its name, without a path.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its bytes in base64.
    pub base64: String,
}

impl FileOrder {
    /// A file of these bytes.
    pub fn new(name: &str, media_type: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), media_type: media_type.to_owned(), base64: BASE64.encode(bytes) }
    }
}

/// A contract to be proposed and signed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignOrder {
    /// The other parties, by their names in the contact book: one, or two and more for a contract of many.
    pub with: Vec<String>,
    /// The arbiter, by its name in the contact book; the only accepted one if empty.
    #[serde(default)]
    pub arbiter: String,
    /// The files.
    pub files: Vec<FileOrder>,
    /// Terms in words.
    #[serde(default)]
    pub terms: String,
    /// The law that applies, in words.
    #[serde(default)]
    pub law: String,
    /// The language, `en` or `de`.
    pub locale: String,
    /// How long each message is waited for, in seconds.
    pub patience: u64,
    /// How long from now the arbiter can be asked, in seconds.
    pub valid_for: u64,
    /// Whether we want to prove that what we send was handed in.
    #[serde(default)]
    pub submission: bool,
}

impl SignOrder {
    /// A contract with one other over files, in English, under the only arbiter that is accepted, with a day to answer and two weeks to
    /// ask the arbiter.
    pub fn new(with: &str, files: Vec<FileOrder>) -> Self {
        Self {
            with: vec![with.to_owned()],
            arbiter: String::new(),
            files,
            terms: String::new(),
            law: String::new(),
            locale: "en".to_owned(),
            patience: 86_400,
            valid_for: 14 * 86_400,
            submission: false,
        }
    }
}

/// A container to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendOrder {
    /// The receiver, by its name in the contact book.
    pub to: String,
    /// The files.
    pub files: Vec<FileOrder>,
    /// Whether we sign that it is from us.
    pub signed: bool,
    /// Whether the receiver is asked to sign that it has it.
    pub acknowledged: bool,
    /// Whether we want to prove that it was handed in.
    #[serde(default)]
    pub submission: bool,
}

/// Certified mail: a sealed letter for receipts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MailOrder {
    /// The recipients, by their names in the contact book.
    pub to: Vec<String>,
    /// The files in the letter.
    pub files: Vec<FileOrder>,
    /// What the recipients see of it before they sign; nothing if empty.
    #[serde(default)]
    pub subject: String,
    /// The arbiter, by its name in the contact book; the only accepted one if empty.
    #[serde(default)]
    pub arbiter: String,
    /// The language of the receipt, `en` or `de`.
    pub locale: String,
    /// How long each message is waited for, in seconds.
    pub patience: u64,
    /// How long from now the arbiter can be asked, in seconds.
    pub valid_for: u64,
    /// Whether we want to prove that it was handed in.
    #[serde(default)]
    pub submission: bool,
}

/// A payment to somebody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PayOrder {
    /// The payee, by its name in the contact book.
    pub to: String,
    /// How much: `12.00 EUR`.
    pub amount: String,
    /// What for, in one line.
    #[serde(default)]
    pub purpose: String,
    /// Whether nobody but the payee may learn who pays.
    #[serde(default)]
    pub anonymous: bool,
    /// How long each message is waited for, in seconds.
    pub patience: u64,
}

/// Money for a receipt, or for other money.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TradeOrder {
    /// The other party, by its name in the contact book.
    pub with: String,
    /// What is given: `12.00 EUR`.
    pub gives: String,
    /// What is wanted for it; a receipt if it is no money.
    #[serde(default)]
    pub wants: Option<String>,
    /// What it is for, in one line.
    #[serde(default)]
    pub purpose: String,
    /// The arbiter, by its name in the contact book; the first that both accept if empty.
    #[serde(default)]
    pub arbiter: String,
    /// How the money is put into the exchange.
    #[serde(default)]
    pub manner: TradeManner,
    /// The language of the contract, `en` or `de`.
    pub locale: String,
    /// How long each message is waited for, in seconds.
    pub patience: u64,
    /// How long from now the arbiter can be asked, in seconds; without one, how long the other party can open the locks.
    pub valid_for: u64,
}

/// How money is put into a trade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TradeManner {
    /// Under locks that an arbiter decides over. A receipt is paid for by plain transfer where none of our purses has money that can be locked.
    #[default]
    Locked,
    /// Under locks that one hash opens, without an arbiter.
    NoArbiter,
    /// By plain transfer, for a receipt.
    Transfer,
    /// Through the hands of the arbiter, for other money.
    InLine,
}

/// Goods to be offered. They are encoded and in the node's goods directory already.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfferOrder {
    /// The encoded descriptor, in base64.
    pub goods: String,
    /// The key of the article, in base64.
    pub key: String,
    /// The root of the ciphertext, in hexadecimal digits.
    pub cipher_root: String,
    /// What it costs: `12.00 EUR`. Empty if a file is wanted for it.
    #[serde(default)]
    pub price: String,
    /// The file that is wanted for it, in the place of money.
    #[serde(default)]
    pub wants: Option<WantedOrder>,
    /// The right that is to be shown for it, in the place of money.
    #[serde(default)]
    pub right: Option<RightOrder>,
    /// The arbiters, by their names in the contact book; all accepted ones if empty.
    #[serde(default)]
    pub arbiters: Vec<String>,
    /// That there is to be no arbiter: a hash locks the money and the goods, and nobody decides about complaints.
    #[serde(default)]
    pub no_arbiter: bool,
    /// Terms in words.
    #[serde(default)]
    pub terms: String,
    /// The law that applies, in words.
    #[serde(default)]
    pub law: String,
    /// How long the offer stands, in seconds since 1970.
    pub until: u64,
    /// How long after an order the arbiter can be asked, in seconds; without an arbiter, how long the money can be taken.
    pub valid_for: u64,
    /// How long complaints are possible after that, in seconds; none without an arbiter.
    pub complaints: u64,
    /// How long a message to the arbiter takes at most, in seconds.
    pub delta: u64,
    /// By how many seconds clocks may differ.
    pub sigma: u64,
}

/// A right that is to be shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RightOrder {
    /// The right, word for word.
    pub right: String,
    /// Its issuer, as the contact book calls it.
    pub issuer: String,
}

/// A credential to be offered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RightOfferOrder {
    /// What it costs: `12.00 EUR`.
    pub price: String,
    /// The arbiters, by their names in the contact book; all accepted ones if empty.
    #[serde(default)]
    pub arbiters: Vec<String>,
    /// Terms in words.
    #[serde(default)]
    pub terms: String,
    /// The law that applies, in words.
    #[serde(default)]
    pub law: String,
    /// How long the offer stands, in seconds since 1970.
    pub until: u64,
    /// How long after an order the arbiter completes the sale; after that it has the right called back, in seconds.
    pub valid_for: u64,
    /// How long a message to an arbiter or issuer takes at most, in seconds.
    pub delta: u64,
    /// By how many seconds clocks may differ.
    pub sigma: u64,
}

/// An offer, for the screen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfferView {
    /// Its identifier.
    pub id: String,
    /// What is sold.
    pub name: String,
    /// Its size in bytes; none of a right.
    pub size: Option<u64>,
    /// What it costs.
    pub price: String,
    /// How long it stands, in seconds since 1970.
    pub until: u64,
    /// The approval that it waits for; it is not offered before.
    pub approval: Option<String>,
    /// Whether orders are taken.
    pub stands: bool,
}

/// Whether an offer is to be taken up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StandsOrder {
    /// Whether orders are taken from now on.
    pub stands: bool,
}

/// Something to be bought. Its ciphertext is in the node's goods directory already.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BuyOrder {
    /// The offer as it was fetched, in base64.
    pub page: String,
    /// Where the goods go. The node does not learn it: [`client::Client::deal`] and others take them there once they have come. They stay
    /// in the data directory if empty.
    #[serde(default)]
    pub save_as: String,
    /// The arbiter, by its name in the contact book; the first that both accept if empty.
    #[serde(default)]
    pub arbiter: String,
    /// That the user takes up an offer that has no arbiter. Others are refused then, as are those that have none if this is not set.
    #[serde(default)]
    pub no_arbiter: bool,
    /// The language of the contract, `en` or `de`.
    pub locale: String,
    /// How long each message is waited for, in seconds.
    pub patience: u64,
    /// The beginning of the serial number of the credential that is shown, where a right is the price; the one that ends first if empty.
    #[serde(default)]
    pub credential: String,
    /// The issuer of a right that is bought, as the contact book calls it, if the seller calls it otherwise.
    #[serde(default)]
    pub issuer: String,
}

/// A file that is wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WantedOrder {
    /// Its hash, in hexadecimal digits, as contracts and folders name files.
    pub hash: String,
    /// What it is called; not said if empty.
    #[serde(default)]
    pub name: String,
    /// Its size in bytes, if that is known.
    #[serde(default)]
    pub size: Option<u64>,
}

/// A file to be given for another one, whose ciphertext is in the node's goods directory already.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SwapOrder {
    /// The offer as it was fetched, in base64.
    pub page: String,
    /// The file that is given.
    pub file: FileOrder,
    /// Where the other one goes, as in [`BuyOrder::save_as`].
    #[serde(default)]
    pub save_as: String,
    /// The arbiter, by its name in the contact book; the first that both accept if empty.
    #[serde(default)]
    pub arbiter: String,
    /// The language of the contract, `en` or `de`.
    pub locale: String,
    /// How long each message is waited for, in seconds.
    pub patience: u64,
}

/// A purse to be opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PurseOrder {
    /// The payment system: `ecash`, `account`.
    pub system: String,
    /// The address of the mint or bank.
    pub issuer: String,
    /// The currency.
    pub currency: String,
}

/// Something to be done with a purse. `purse` is the beginning of its identifier; the one that is liked best if empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
pub enum TaskOrder {
    /// Money from an account (or from outside) into e-cash.
    Withdraw {
        /// How much.
        amount: String,
        /// The e-cash purse.
        purse: String,
        /// How the mint is paid: `account`, or a method of a foreign mint.
        method: String,
    },
    /// E-cash into the party's own account.
    Deposit {
        /// How much.
        amount: String,
        /// The e-cash purse.
        purse: String,
    },
    /// Money to an address.
    Transfer {
        /// How much.
        amount: String,
        /// The purse.
        purse: String,
        /// Where to, as the issuer understands it.
        address: String,
    },
    /// Money as a token that can be handed to anybody.
    Send {
        /// How much.
        amount: String,
        /// The e-cash purse.
        purse: String,
    },
    /// A token into a purse.
    Receive {
        /// The token.
        token: String,
        /// The purse.
        purse: String,
    },
    /// Money that belongs to the purse's seed words, found again.
    Restore {
        /// The purse.
        purse: String,
    },
    /// The issuer's terms and the state of the money, asked again.
    Refresh {
        /// The purse.
        purse: String,
    },
}

/// A purse, for the screen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PurseView {
    /// Its identifier.
    pub id: String,
    /// The payment system.
    pub system: String,
    /// The mint or bank.
    pub issuer: String,
    /// The currency.
    pub currency: String,
    /// What can be spent now.
    pub available: String,
    /// What has left and may come back; of a purse that comes from a backup all of it, until its issuer has said what is there.
    pub pending: String,
    /// Whether it comes from a backup and its issuer was not asked yet what is in it.
    #[serde(default)]
    pub unseen: bool,
    /// Where money can be sent to, if it can.
    pub address: Option<String>,
    /// What payments with it promise; nothing before the issuer's terms are known.
    pub means: Option<MeansView>,
}

/// What a means of payment promises.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MeansView {
    /// Who does not learn who pays.
    pub payer_hidden_from: String,
    /// Whether, by whom and for how long a payment can be taken back.
    pub can_be_taken_back: String,
    /// How its money can be locked for an exchange.
    pub locks: Vec<String>,
    /// What proves a payment.
    pub proof: String,
    /// Fee of each payment, in minor units.
    pub fee_fixed_minor: u64,
    /// Fee in millionths of the amount.
    pub fee_per_million: u32,
    /// Least of one payment, in minor units.
    pub least_minor: u64,
    /// Most of one payment, in minor units.
    pub most_minor: u64,
    /// How long a payment takes when everybody answers, in seconds.
    pub seconds: u64,
}

/// A payment operation, for the screen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OperationView {
    /// Its identifier.
    pub id: String,
    /// What is done.
    pub verb: String,
    /// With which purse.
    pub purse: String,
    /// For which deal, if for one.
    pub deal: Option<String>,
    /// Where it stands.
    pub state: String,
    /// Whether it has ended.
    pub ended: bool,
    /// The money that moved.
    pub moved: Option<String>,
    /// What it cost on top.
    pub fee: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// What became of the money if it failed: `not-moved`, `returned`, `unknown`.
    pub money: Option<String>,
    /// What it made: a token.
    pub handover: Option<String>,
    /// Why it does not go on.
    pub trouble: Option<String>,
    /// Where money is waited for.
    pub address: Option<String>,
    /// When it was begun, in seconds since 1970.
    pub begun: u64,
}

/// A payment operation was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// Its identifier.
    pub operation: String,
}

/// A credential of this party, for the screen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CredentialView {
    /// Its serial number.
    pub serial: String,
    /// The right.
    pub right: String,
    /// What the contact book calls its issuer, if it knows it.
    pub issuer: Option<String>,
    /// The issuer's key set.
    pub issuer_key: String,
    /// Where the issuer answers.
    pub address: String,
    /// The key sets that honour it; anybody if empty.
    pub audience: Vec<String>,
    /// How often it could be used when it was issued; freely if there is none.
    pub uses: Option<u32>,
    /// Whether it may be passed on.
    pub transferable: bool,
    /// From when on it is valid, in seconds since 1970.
    pub from: u64,
    /// The last second in which it is valid, in seconds since 1970.
    pub until: u64,
    /// Until when it can be called back, in seconds since 1970, if it was bought under a contract that has not ended.
    pub callable_until: Option<u64>,
    /// What this party knows of it: `valid`, `not-yet`, `expired`, `passed-on`, `callable` as long as it can be called back, `called-back`.
    pub state: String,
}

/// Somebody is to get a credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PassOrder {
    /// Who, as the contact book calls them.
    pub to: String,
}

/// What has become of an order to pass a credential on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PassedView {
    /// The question to the user, if it waits for the answer.
    pub approval: Option<String>,
    /// The file of the credential that was issued in its place, for the new holder.
    pub file: Option<String>,
}

/// A liability agreement to be signed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgreeOrder {
    /// The guarantor, as the contact book calls it.
    pub guarantor: String,
    /// Most at once, with the currency.
    pub limit: String,
    /// Most of that for one deal.
    pub per_deal: String,
    /// The last second in which a cover can be asked for, in seconds since 1970.
    pub until: u64,
    /// When it was written, in seconds since 1970.
    pub issued: u64,
}

/// A cover to be asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CoverOrder {
    /// The deal.
    pub deal: String,
    /// The guarantor, as the contact book calls it.
    pub guarantor: String,
    /// How much it is to pay at most, with the currency.
    pub amount: String,
    /// The last second in which it is to be accepted, in seconds since 1970.
    pub accept_before: u64,
    /// The last second in which it can be claimed; two weeks after the contract is decided if none is said.
    pub claim_by: Option<u64>,
}

/// A cover to be looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckOrder {
    /// Its file.
    pub file: String,
    /// The deal.
    pub deal: String,
    /// The guarantor that is accepted, as the contact book calls it; every contact that is one if none is named.
    pub guarantor: Option<String>,
    /// How much it must be good for; what it says if nothing is asked.
    pub amount: Option<String>,
    /// Until when it must be possible to claim it, in seconds since 1970.
    pub claim_by: Option<u64>,
}

/// Something to be said about a cover whose file is at hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShownOrder {
    /// Its file.
    pub file: String,
    /// How much is claimed; all of it if nothing is said.
    pub amount: Option<String>,
}

/// What has become of something that was said to a guarantor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CoverSaid {
    /// The cover.
    pub cover: Option<String>,
    /// The question to the user, if it waits for the answer.
    pub approval: Option<String>,
    /// The file of the agreement, for the guarantor; or of the cover, for the other side.
    pub file: Option<String>,
    /// What the guarantor says: `released`, `rejected`, `claimed` or `paid`.
    pub ruling: Option<String>,
    /// How much is claimed or paid.
    pub amount: Option<String>,
    /// Until when the customer can answer, in seconds since 1970.
    pub answer_by: Option<u64>,
}

/// A cover that this party has asked for, or was shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CoverLine {
    /// Its name.
    pub cover: String,
    /// The deal.
    pub deal: String,
    /// For how much it is at most.
    pub amount: String,
    /// The last second in which it is accepted, in seconds since 1970.
    pub accept_before: u64,
    /// The last second in which it can be claimed, in seconds since 1970.
    pub claim_by: u64,
    /// `asked`, `given`, `shown` by the other side, or what the guarantor says of one that it has given: `claimed`, `paid`, …
    pub state: String,
    /// Until when this party can answer a claim, in seconds since 1970.
    pub answer_by: Option<u64>,
}

/// A deal was opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Opened {
    /// Its identifier.
    pub deal: String,
}

/// Deals were opened, one for each recipient, in the order in which they were named.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AllOpened {
    /// Their identifiers.
    pub deals: Vec<String>,
}

/// What went wrong, as RFC 9457 says it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of problem.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened.
    pub detail: String,
}

/// The media type that a file's name suggests. It is shown and signed, but nothing depends on it.
pub fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase().as_str() {
        "txt" | "md" => "text/plain",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "odt" => "application/vnd.oasis.opendocument.text",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        _ => "application/octet-stream",
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

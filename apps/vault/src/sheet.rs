//! What a screen shows of a question beside its text: who is on the other side, what it is about, how much, until when, and the bytes that are
//! signed. Everything comes from the statement and from what was shown with it, after the rules have found that the two belong together; the
//! node has no other way to say something here.
//!
//! A sheet helps to see at once what the text says. What is signed is the text: where a sheet has nothing to say, it says nothing.
//!
//! ```text
//! sheet = { 0: verb, 1: [* who], 2: what, ? 3: amount given, ? 4: amount got, ? 5: until, ? 6: hash of the check words, 7: [* piece], 8: language }
//! who   = { 0: part, 1: key set, ? 2: name, 3: met }
//! piece = { 0: name, 1: length, ? 2: bytes }
//! ```

use semper_commerce::access::AccessOffer;
use semper_commerce::mandate::Mandate;
use semper_commerce::offer::Offer;
use semper_commerce::proposal::Agreement;
use semper_commerce::right::RightOffer;
use semper_commerce::swap::FileOffer;
use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::container::{Container, Leaf};
use semper_core::contract::{Core, ItemKind, PARTIES_MAX};
use semper_core::cose::{Draft, Kind, Signed};
use semper_core::document::{Document, FieldValue};
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::template::Template;
use semper_core::text::escape;
use semper_core::time::Time;
use semper_exchange::cover::{self, CoverClaim, CoverRelease, CoverRequest};
use semper_exchange::gx::Price;
use semper_exchange::notice::{Notice, Saying};
use semper_support::approval::{Exhibit, SignRequest};
use semper_transfer::credential::{Bundle, Credential, CredentialTransfer};
use semper_transfer::payment::statement::PaymentRequest;

/// Longest subject, in bytes; what is longer ends there.
const WHAT_MAX: usize = 1024;
/// Longest name of a party in a document, in bytes.
const NAME_MAX: usize = 4096;
/// Most bytes of all pieces together that are kept with a question.
const PIECES_MAX: usize = 512 * 1024;
/// What the piece is called that is signed.
const STATEMENT: &str = "statement";
/// Most pieces.
const PIECES: usize = 8;
/// Most bytes of an encoded sheet.
pub(crate) const SHEET_MAX: usize = PIECES_MAX + 128 * 1024;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// What the user does by approving.
    pub verb: Verb,
    /// Who else it concerns, the other side first.
    pub who: Vec<Who>,
    /// What it is about, in one line that hides nothing; empty if the text alone says it.
    pub what: String,
    /// Money that our user gives.
    pub gives: Option<Amount>,
    /// Money that our user gets.
    pub gets: Option<Amount>,
    /// Until when the statement can do something: the arbiter can be asked, the payment can be taken, orders are accepted.
    pub until: Option<Time>,
    /// What the check words are made from, where others are asked about the same thing: a contract's identifier, a container's.
    pub checked: Option<Digest>,
    /// The bytes that are signed, and what they name.
    pub pieces: Vec<Piece>,
    /// The language of the text, as a BCP 47 tag.
    pub locale: String,
}

/// What the user does by approving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Signs a contract by which no money of the user's moves.
    Contract,
    /// Signs a contract by which the user pays.
    ContractAndPay,
    /// Offers something to anybody: orders of it are accepted without asking again.
    Offer,
    /// Sends something as its signer.
    Send,
    /// Says that something has come.
    Acknowledge,
    /// Pays.
    Pay,
    /// Asks a bank for something.
    AskBank,
    /// Passes a right on.
    PassOn,
    /// Lets the keys sign without asking, within limits.
    Grant,
    /// Agrees to owe a guarantor what it pays, up to a limit.
    Agree,
    /// Has a guarantor stand for it under a contract.
    BeCovered,
    /// Says that nothing is owed any more under a cover.
    ReleaseCover,
    /// Asks a guarantor to pay.
    ClaimCover,
    /// Declares that the user withdraws from a contract.
    Withdraw,
    /// Opens a dispute about a contract.
    Dispute,
    /// Answers a dispute.
    Answer,
    /// Signs something else.
    Sign,
}

/// Somebody whom a question concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// As what.
    pub part: Part,
    /// Their keys.
    pub key_set: KeySetId,
    /// What the document calls them. Whoever wrote it chose the name: nobody has checked it.
    pub name: Option<String>,
    /// Whether something that concerned these keys in the same part was approved here before.
    pub met: bool,
}

/// As what somebody is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The other side, or one of several.
    Peer,
    /// Decides if something goes wrong.
    Arbiter,
    /// Has asked to be paid.
    Payee,
    /// Gets a right.
    Recipient,
    /// Has issued a right.
    Issuer,
    /// Stands for somebody.
    Guarantor,
}

/// Bytes that are signed, or named by what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What they are: `statement`, `core`, `document`, `template`, `request`, `credential`.
    pub name: String,
    /// How many.
    pub len: u64,
    /// They, unless they are more than is kept with a question.
    pub bytes: Option<Vec<u8>>,
}

impl Verb {
    /// All of them.
    pub const ALL: [Verb; 17] = [
        Verb::Contract,
        Verb::ContractAndPay,
        Verb::Offer,
        Verb::Send,
        Verb::Acknowledge,
        Verb::Pay,
        Verb::AskBank,
        Verb::PassOn,
        Verb::Grant,
        Verb::Agree,
        Verb::BeCovered,
        Verb::ReleaseCover,
        Verb::ClaimCover,
        Verb::Withdraw,
        Verb::Dispute,
        Verb::Answer,
        Verb::Sign,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Verb::Contract => "contract",
            Verb::ContractAndPay => "contract-and-pay",
            Verb::Offer => "offer",
            Verb::Send => "send",
            Verb::Acknowledge => "acknowledge",
            Verb::Pay => "pay",
            Verb::AskBank => "ask-bank",
            Verb::PassOn => "pass-on",
            Verb::Grant => "grant",
            Verb::Agree => "agree",
            Verb::BeCovered => "be-covered",
            Verb::ReleaseCover => "release-cover",
            Verb::ClaimCover => "claim-cover",
            Verb::Withdraw => "withdraw",
            Verb::Dispute => "dispute",
            Verb::Answer => "answer",
            Verb::Sign => "sign",
        }
    }
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 6] = [Part::Peer, Part::Arbiter, Part::Payee, Part::Recipient, Part::Issuer, Part::Guarantor];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Peer => "peer",
            Part::Arbiter => "arbiter",
            Part::Payee => "payee",
            Part::Recipient => "recipient",
            Part::Issuer => "issuer",
            Part::Guarantor => "guarantor",
        }
    }
}

impl Sheet {
    /// The sheet of a request that the rules have found in order.
    pub fn of(request: &SignRequest) -> Self {
        let draft = &request.draft;
        let bare = Self::of_draft(draft);
        let drawn = match &request.exhibit {
            Exhibit::Contract { core, document, template }
            | Exhibit::Sale { core, document, template, .. }
            | Exhibit::InLine { core, document, template, .. } => {
                agreement(core, document, template).map(|agreement| bare.clone().contract(&agreement, draft.signer))
            }
            Exhibit::Container { container } => {
                Container::from_bytes(container).ok().map(|container| bare.clone().container(&container))
            }
            Exhibit::Payment { request, .. } => Signed::from_bytes(request).ok().and_then(|r| bare.clone().payment(&r)),
            Exhibit::Credential { bundle } => {
                Bundle::from_bytes(bundle).ok().and_then(|bundle| bare.clone().credential(&bundle, draft))
            }
            Exhibit::Statement if draft.kind == Kind::Offer => Some(bare.clone().offer(&draft.payload)),
            Exhibit::Statement => Some(bare.clone().cover(draft)),
            Exhibit::Consequence => None,
        };
        let mut sheet = drawn.unwrap_or(bare);
        sheet.pieces = pieces(request);
        sheet.what.truncate(sheet.what.floor_char_boundary(WHAT_MAX));
        sheet
    }

    /// What a statement alone says.
    pub fn of_draft(draft: &Draft) -> Self {
        let verb = match draft.kind {
            Kind::Promise | Kind::Round => Verb::Contract,
            Kind::Offer => Verb::Offer,
            Kind::Container => Verb::Send,
            Kind::Ack => Verb::Acknowledge,
            Kind::PaymentOrder => Verb::Pay,
            Kind::AccountRequest => Verb::AskBank,
            Kind::CredentialTransfer => Verb::PassOn,
            Kind::Mandate => Verb::Grant,
            Kind::LiabilityAgreement => Verb::Agree,
            Kind::CoverRequest => Verb::BeCovered,
            Kind::CoverRelease => Verb::ReleaseCover,
            Kind::CoverClaim => Verb::ClaimCover,
            _ => Verb::Sign,
        };
        Self {
            verb,
            who: Vec::new(),
            what: String::new(),
            gives: None,
            gets: None,
            until: None,
            checked: None,
            pieces: Vec::new(),
            locale: "en".to_owned(),
        }
    }

    /// The sheet of a mandate: whom it names, most money in total, its end.
    pub(crate) fn of_mandate(mandate: &Mandate, draft: &Draft) -> Self {
        let Mandate { scope, total, until, .. } = mandate;
        let who = |part, key_set| Who { part, key_set, name: None, met: false };
        let named = [(Part::Peer, scope.peer), (Part::Arbiter, scope.arbiter)];
        Self {
            who: named.into_iter().filter_map(|(part, key_set)| Some(who(part, key_set?))).collect(),
            gives: *total,
            until: Some(*until),
            pieces: vec![Piece {
                name: STATEMENT.to_owned(),
                len: draft.payload.len() as u64,
                bytes: Some(draft.payload.clone()),
            }],
            ..Self::of_draft(draft)
        }
    }

    fn contract(self, agreement: &Agreement, signer: KeySetId) -> Self {
        let Agreement { core, document, .. } = agreement;
        let mine = core.role_of(signer);
        let who = |part, key_set| Who { part, key_set, name: name_in(document, key_set), met: false };
        let peers = core.terms.parties.iter().filter(|party| Some(party.role) != mine);
        let peers = peers.map(|party| who(Part::Peer, party.key_set));
        let arbiter = core.arbiter().map(|key_set| who(Part::Arbiter, key_set));
        let money = |owned: bool| {
            let items = core.terms.items.iter().filter(|item| item.kind == ItemKind::Money);
            let mut prices = items.filter(|item| (Some(item.owner) == mine) == owned);
            // More than one of a side has no sum that could be shown: the text names each.
            match (prices.next(), prices.next()) {
                (Some(only), None) => Price::from_bytes(&only.descriptor).ok().map(|price| price.amount),
                _ => None,
            }
        };
        let (gives, gets) = (money(true), money(false));
        Self {
            verb: if gives.is_some() { Verb::ContractAndPay } else { Verb::Contract },
            who: peers.chain(arbiter).collect(),
            what: agreement.subject(),
            gives,
            gets,
            until: Some(core.terms.deadlines.not_after),
            checked: Some(*core.cid().digest()),
            locale: document.locale.clone(),
            ..self
        }
    }

    fn container(self, container: &Container) -> Self {
        if let Ok(Some(notice)) = Notice::of(container) {
            return self.notice(notice);
        }
        let names = container.leaves().into_iter().filter_map(|(_, leaf)| match leaf {
            Leaf::Information(file) => Some(escape(file.name(), 0)),
            _ => None,
        });
        let names: Vec<String> = names.take(4).collect();
        Self { what: names.join(", "), checked: Some(*container.id().digest()), ..self }
    }

    /// What its user is to do with a notice: to give it, or to say that it has come. It concerns the contract, by whose check words both know it.
    fn notice(self, notice: Notice) -> Self {
        let (what, checked) = (escape(&notice.title, 0), Some(*notice.cid.digest()));
        let until = match &notice.saying {
            Saying::Dispute { answer_by, .. } => Some(*answer_by),
            Saying::Withdrawal { .. } | Saying::Answer { .. } => None,
        };
        if self.verb != Verb::Send {
            return Self { what, checked, until, ..self };
        }
        let verb = match notice.saying {
            Saying::Withdrawal { .. } => Verb::Withdraw,
            Saying::Dispute { .. } => Verb::Dispute,
            Saying::Answer { .. } => Verb::Answer,
        };
        let who = vec![Who { part: Part::Peer, key_set: notice.to, name: None, met: false }];
        Self { verb, who, what, checked, until, ..self }
    }

    fn payment(self, request: &Signed) -> Option<Self> {
        let asked = PaymentRequest::from_bytes(request.payload()).ok()?;
        Some(Self {
            who: vec![Who { part: Part::Payee, key_set: request.signer(), name: None, met: false }],
            what: escape(&asked.purpose, 0),
            gives: Some(asked.amount),
            until: Some(asked.expires),
            ..self
        })
    }

    fn credential(self, bundle: &Bundle, draft: &Draft) -> Option<Self> {
        let credential = Credential::from_bytes(bundle.credential.payload()).ok()?;
        let to = CredentialTransfer::from_bytes(&draft.payload).ok()?.to;
        let who = |part, key_set| Who { part, key_set, name: None, met: false };
        Some(Self {
            who: vec![who(Part::Recipient, to), who(Part::Issuer, bundle.issuer.id())],
            what: escape(&credential.right, 0),
            until: Some(credential.until),
            ..self
        })
    }

    /// What a customer, or whom a cover is for, says to a guarantor. Whom it is said to stands in what binds the customer.
    fn cover(self, draft: &Draft) -> Self {
        let guarantor = |key_set| vec![Who { part: Part::Guarantor, key_set, name: None, met: false }];
        match draft.kind {
            Kind::LiabilityAgreement => match cover::Agreement::from_bytes(&draft.payload) {
                Ok(said) => {
                    let (who, gives, until) = (guarantor(said.guarantor), Some(said.limit), Some(said.until));
                    Self { who, gives, until, ..self }
                }
                Err(_) => self,
            },
            Kind::CoverRequest => match CoverRequest::from_bytes(&draft.payload) {
                Ok(said) => {
                    let (who, gives, until) = (guarantor(said.guarantor), Some(said.amount), Some(said.claim_by));
                    Self { who, gives, until, ..self }
                }
                Err(_) => self,
            },
            Kind::CoverRelease => match CoverRelease::from_bytes(&draft.payload) {
                Ok(said) => Self { checked: Some(*said.cid.digest()), ..self },
                Err(_) => self,
            },
            Kind::CoverClaim => match CoverClaim::from_bytes(&draft.payload) {
                Ok(said) => Self { gets: Some(said.amount), checked: Some(*said.cid.digest()), ..self },
                Err(_) => self,
            },
            _ => self,
        }
    }

    fn offer(self, payload: &[u8]) -> Self {
        if let Ok(offer) = Offer::from_bytes(payload) {
            let (what, gets, until) = (offer.goods.name().to_owned(), Some(offer.price), Some(offer.until));
            return Self { what: escape(&what, 0), gets, until, ..self };
        }
        if let Ok(offer) = RightOffer::from_bytes(payload) {
            let right = Credential::from_bytes(offer.bundle.credential.payload()).map(|credential| credential.right);
            let what = escape(&right.unwrap_or_default(), 0);
            return Self { what, gets: Some(offer.price), until: Some(offer.until), ..self };
        }
        if let Ok(offer) = FileOffer::from_bytes(payload) {
            return Self { what: escape(offer.goods.name(), 0), until: Some(offer.until), ..self };
        }
        match AccessOffer::from_bytes(payload) {
            Ok(offer) => Self { what: escape(offer.goods.name(), 0), until: Some(offer.until), ..self },
            Err(_) => self,
        }
    }
}

impl Who {
    /// Under which key it is kept that this one was met.
    pub(crate) fn key(&self) -> Vec<u8> {
        [self.part.name().as_bytes(), self.key_set.as_bytes()].concat()
    }
}

/// The parts of a contract, which the rules have found to belong together.
fn agreement(core: &[u8], document: &[u8], template: &[u8]) -> Option<Agreement> {
    let (core, document) = (Core::from_bytes(core).ok()?, Document::from_bytes(document).ok()?);
    Some(Agreement { core, document, template: Template::from_bytes(template).ok()? })
}

/// What a document calls the party with these keys: the text beside the field, or the cell, that holds the keys.
fn name_in(document: &Document, key_set: KeySetId) -> Option<String> {
    let is_it = |value: &FieldValue| *value == FieldValue::Party(key_set);
    let text = |value: Option<&FieldValue>| match value {
        Some(FieldValue::Text(name)) if name.len() <= NAME_MAX => Some(name.clone()),
        _ => None,
    };
    document.fields.iter().find_map(|(field, value)| match value {
        FieldValue::Table(rows) => {
            let row = rows.iter().find(|row| row.values().any(is_it))?;
            text(row.get("name"))
        }
        value if is_it(value) => text(document.fields.get(&format!("{field}_name"))),
        _ => None,
    })
}

/// The bytes that a request is about, the statement first. What goes beyond [`PIECES_MAX`] is named and not kept.
fn pieces(request: &SignRequest) -> Vec<Piece> {
    let shown: Vec<(&str, &[u8])> = match &request.exhibit {
        Exhibit::Contract { core, document, template }
        | Exhibit::Sale { core, document, template, .. }
        | Exhibit::InLine { core, document, template, .. } => {
            vec![("core", core), ("document", document), ("template", template)]
        }
        Exhibit::Container { container } => vec![("container", container)],
        Exhibit::Payment { request, .. } => vec![("request", request)],
        Exhibit::Credential { bundle } => vec![("credential", bundle)],
        Exhibit::Statement | Exhibit::Consequence => Vec::new(),
    };
    let mut left = PIECES_MAX;
    let all = [(STATEMENT, request.draft.payload.as_slice())].into_iter().chain(shown);
    let kept = all.map(|(name, bytes)| {
        let fits = bytes.len() <= left;
        left -= if fits { bytes.len() } else { 0 };
        Piece { name: name.to_owned(), len: bytes.len() as u64, bytes: fits.then(|| bytes.to_vec()) }
    });
    kept.collect()
}

impl Encode for Sheet {
    fn to_value(&self) -> Value {
        let amount = |amount: &Option<Amount>| amount.as_ref().map(Encode::to_value);
        record()
            .put(0, self.verb.name())
            .put_list(1, &self.who)
            .put(2, self.what.as_str())
            .put_some(3, amount(&self.gives))
            .put_some(4, amount(&self.gets))
            .put_some(5, self.until.as_ref().map(Encode::to_value))
            .put_some(6, self.checked.as_ref().map(Encode::to_value))
            .put_list(7, &self.pieces)
            .put(8, self.locale.as_str())
            .build()
    }
}

impl Decode for Sheet {
    const BYTES_MAX: usize = SHEET_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let verb = named(&mut fields, 0, "verb", &Verb::ALL, Verb::name)?;
        let sheet = Self {
            verb,
            who: fields.list(1, "who", PARTIES_MAX + 1)?,
            what: fields.text(2, "what", WHAT_MAX)?,
            gives: fields.optional_item(3, "amount given")?,
            gets: fields.optional_item(4, "amount got")?,
            until: fields.optional_item(5, "until")?,
            checked: fields.optional_item(6, "check words")?,
            pieces: fields.list(7, "pieces", PIECES)?,
            locale: fields.text(8, "language", 64)?,
        };
        fields.close()?;
        Ok(sheet)
    }
}

impl Encode for Who {
    fn to_value(&self) -> Value {
        record()
            .put(0, self.part.name())
            .put_item(1, &self.key_set)
            .put_some(2, self.name.as_deref())
            .put(3, self.met)
            .build()
    }
}

impl Decode for Who {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let part = named(&mut fields, 0, "part", &Part::ALL, Part::name)?;
        let (key_set, name) = (fields.item(1, "key set")?, fields.optional_item::<String>(2, "name")?);
        let who = Self { part, key_set, name, met: fields.bool(3, "met")? };
        fields.close()?;
        Ok(who)
    }
}

impl Encode for Piece {
    fn to_value(&self) -> Value {
        record().put(0, self.name.as_str()).put(1, self.len).put_some(2, self.bytes.clone().map(Value::bytes)).build()
    }
}

impl Decode for Piece {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (name, len) = (fields.text(0, "piece", 32)?, fields.uint(1, "length")?);
        let bytes = fields.optional_item::<Vec<u8>>(2, "bytes")?;
        fields.close()?;
        Ok(Self { name, len, bytes })
    }
}

/// One of `all`, by its name.
fn named<T: Copy>(
    fields: &mut Fields,
    place: u64,
    what: &'static str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, DecodeError> {
    let found = fields.text(place, what, 32)?;
    let known = all.iter().copied().find(|known| name(*known) == found);
    known.ok_or(DecodeError::field(what, Problem::Unknown { what, found }))
}

#[cfg(test)]
mod tests;

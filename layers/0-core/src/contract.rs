//! Contracts: the core that both parties commit to, and the two statements that complete it.
//!
//! Everything that a verdict can depend on stands under the contract's identifier, [`Core::cid`]: the parties' key sets, the
//! arbiter and its rules, the deadlines, the hash of the text that was shown. A promise binds its signer if the contract is
//! completed by finals or by the arbiter; a promise alone is not a contract. A complete contract is the core, both promises and
//! either both finals or the arbiter's verdict "resolved"; verifiers count contracts by identifier, never by pieces of evidence.
//!
//! ```text
//! core    = { 0: terms, 1: { * slot => deposit } }        ; a deposit for each item that is not a signature, and no other
//! terms   = { 0: "semper-core", 1: 1, 2: profile, 3: [2* party], ? 4: arbiter, 5: [* item], 6: deadlines, 7: text,
//!             8: [* link], 9: nonce (32 bytes) }                          ; 4 in every contract but those of the profile "lx/1"
//! party   = { 0: role, 1: key set id }
//! arbiter = { 0: key set id (verdicts), ? 1: hash of the key for deposits, 3: key set id (log), 4: rules hash }
//! item    = { 0: kind, 1: owner role, 2: recipient role, 3: descriptor, 5: slot }
//! deadlines = { 0: not after, ? 2: complaints (span), ? 3: refund after, 4: delta, 5: sigma }
//! text    = { 0: template id, 1: fields hash, 3: locale, 4: render hash }
//! link    = { 0: relation, 1: cid }
//! ```
//! Source: `spec/contract.md` (design/exchange.md §2, §13.4).

use std::collections::{BTreeMap, BTreeSet};

use crate::cbor::{Decode, DecodeError, Encode, Fields, Map, Problem, Value, record};
use crate::cose::{Kind, Statement};
use crate::domain;
use crate::hash::Digest;
use crate::ids::{Cid, KeySetId, Slot, StatementId, TemplateId};
use crate::party::Role;
use crate::time::{Seconds, Time};

/// Most parties in one contract.
pub const PARTIES_MAX: usize = 16;
/// Most items in one contract.
pub const ITEMS_MAX: usize = 64;
/// Longest descriptor of an item, in bytes.
pub const DESCRIPTOR_MAX: usize = 4096;
/// Longest deposit of an item, in bytes.
pub const DEPOSIT_MAX: usize = 48 * 1024;
/// Most links from one contract to others.
pub const LINKS_MAX: usize = 16;

/// What the parties agree on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Core {
    /// The terms.
    pub terms: Terms,
    /// For each item that is not a signature, by its slot: what the arbiter needs to give it in the place of its owner, or to send it
    /// back, in the form of its kind; at most [`DEPOSIT_MAX`]. Not part of the terms, because it is made for them: it is labelled with [`Core::tid`].
    pub deposits: BTreeMap<Slot, Vec<u8>>,
}

/// The terms of a contract.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The protocol that the contract runs under.
    pub profile: Profile,
    /// The parties, in the order of their roles.
    pub parties: Vec<PartyRef>,
    /// The arbiter; none in a contract that hash locks decide ([`Profile::Lx`]), and in no other.
    pub arbiter: Option<ArbiterRef>,
    /// What changes hands.
    pub items: Vec<Item>,
    /// Until when.
    pub deadlines: Deadlines,
    /// The text that was shown to the signers.
    pub text: TextRef,
    /// Earlier contracts that this one refers to.
    pub links: Vec<Link>,
    /// 32 random bytes, chosen by the originator: no two runs have the same identifier.
    pub nonce: [u8; 32],
}

/// The protocol that a contract runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Two-party contract signing (`design/exchange.md` §3.2).
    C2,
    /// Exchange of two items (`design/exchange.md` §3.4).
    Gx,
    /// Contract signing among three parties or more (`design/exchange.md` §3.3). Each gives its signature to all others: there are no items.
    Cn,
    /// Exchange of an item for money under a hash lock, without an arbiter (`design/exchange.md` §3.5, §5.4, §5.6).
    Lx,
    /// Exchange of money for money through the hands of the arbiter (`design/exchange.md` §3.4.4).
    Ix,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 5] = [Profile::C2, Profile::Gx, Profile::Cn, Profile::Lx, Profile::Ix];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::C2 => "c2/1",
            Profile::Gx => "gx/1",
            Profile::Cn => "cn/1",
            Profile::Lx => "lx/1",
            Profile::Ix => "ix/1",
        }
    }
}

/// A party of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartyRef {
    /// Its role.
    pub role: Role,
    /// Its key set.
    pub key_set: KeySetId,
}

/// The arbiter of a contract. Exactly one, for ever: two arbiters could decide differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArbiterRef {
    /// The key set that signs verdicts.
    pub key_set: KeySetId,
    /// Hash of the key to which deposits are encapsulated; none if the arbiter takes no deposits.
    pub deposit_key: Option<Digest>,
    /// The key set that signs the heads of its log.
    pub log: KeySetId,
    /// Hash of the rules by which it decides.
    pub rules: Digest,
}

/// Something that changes hands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    /// What kind of thing.
    pub kind: ItemKind,
    /// Who gives it.
    pub owner: Role,
    /// Who gets it.
    pub recipient: Role,
    /// What exactly, in the form of its kind; at most 4 KiB. Empty for a signature on this contract.
    pub descriptor: Vec<u8>,
    /// The part of the contract it belongs to.
    pub slot: Slot,
}

/// Kinds of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// The owner's signature on this contract.
    Signature,
    /// Information: a file, or whatever else is bytes. Each such item has a slot of its own, and a deposit.
    Information,
    /// Money by a means of payment. Each such item has a slot of its own, and a deposit.
    Money,
    /// A right that its holder has by the word of an issuer, and passes on there.
    Right,
}

impl ItemKind {
    /// Whether the contract holds a deposit for each item of this kind.
    pub const fn has_deposit(self) -> bool {
        matches!(self, ItemKind::Information | ItemKind::Money)
    }
}

const ITEM_KINDS: [(ItemKind, &str); 4] = [
    (ItemKind::Signature, "signature"),
    (ItemKind::Information, "information"),
    (ItemKind::Money, "money"),
    (ItemKind::Right, "right"),
];

/// The instants and spans that a contract depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deadlines {
    /// After this the arbiter refuses a first request. Without an arbiter: after this the originator does not open the locks any more.
    pub not_after: Time,
    /// How long after the arbiter has completed the contract the payer of information may prove that it is not what was promised.
    /// `None`: what the arbiter completes is complete.
    pub complaints: Option<Seconds>,
    /// From when on locked money can be taken back by its owner alone; without an arbiter, the responder's money. Of a right that is passed on: until
    /// when its issuer calls it back.
    pub refund_after: Option<Time>,
    /// The longest that a message to the arbiter or to an issuer takes, for parties that want to keep their rights near a deadline.
    pub delta: Seconds,
    /// The most by which two honest clocks differ.
    pub sigma: Seconds,
}

impl Deadlines {
    /// The last instant at which a step may be taken that its owner may have to defend before the arbiter.
    pub fn last_step(&self) -> Time {
        self.not_after.before(Seconds(self.delta.0.saturating_add(self.sigma.0)))
    }
}

/// The text that was shown to the signers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextRef {
    /// The template.
    pub template: TemplateId,
    /// Hash of the filled fields.
    pub fields: Digest,
    /// The language that was shown, as a BCP 47 tag.
    pub locale: String,
    /// Hash of the shown text.
    pub render: Digest,
}

/// A reference to an earlier contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// How the contracts are related.
    pub relation: Relation,
    /// The earlier contract.
    pub to: Cid,
}

/// How two contracts are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// This contract takes the place of the earlier one.
    Supersedes,
    /// This contract fulfils the earlier one.
    Fulfils,
    /// This contract changes the earlier one.
    Amends,
    /// This contract is a part of the earlier one.
    PartOf,
    /// This contract answers the earlier one.
    Answers,
}

const RELATIONS: [(Relation, &str); 5] = [
    (Relation::Supersedes, "supersedes"),
    (Relation::Fulfils, "fulfils"),
    (Relation::Amends, "amends"),
    (Relation::PartOf, "part-of"),
    (Relation::Answers, "answers"),
];

impl Core {
    /// The contract's identifier: `H("semper/cid/1" ‖ core)`.
    pub fn cid(&self) -> Cid {
        Cid::from_digest(Digest::of(domain::CID, &self.to_bytes()))
    }

    /// The identifier of the terms alone, for key derivations: `H("semper/tid/1" ‖ terms)`.
    pub fn tid(&self) -> Digest {
        Digest::of(domain::TID, &self.terms.to_bytes())
    }

    /// The key set of the arbiter, if the contract has one.
    pub fn arbiter(&self) -> Option<KeySetId> {
        self.terms.arbiter.map(|arbiter| arbiter.key_set)
    }

    /// The key set of a role.
    pub fn party(&self, role: Role) -> Option<KeySetId> {
        self.terms.parties.iter().find(|party| party.role == role).map(|party| party.key_set)
    }

    /// The role of a key set.
    pub fn role_of(&self, key_set: KeySetId) -> Option<Role> {
        self.terms.parties.iter().find(|party| party.key_set == key_set).map(|party| party.role)
    }
}

/// "I am bound to this contract if it is completed by finals or by the arbiter."
///
/// ```text
/// promise = { 0: 1, 1: cid, 2: role, ? 3: statement id of the peer's promise }    ; 3 in the responder's
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Promise {
    /// The contract.
    pub cid: Cid,
    /// The signer's role.
    pub role: Role,
    /// The promise that this one answers.
    pub answers: Option<StatementId>,
}

/// "I complete this contract." Binds both promises.
///
/// ```text
/// final = { 0: 1, 1: cid, 2: role, 3: [promise of the originator, promise of the responder], ? 4: slot }        ; 4 unless it is 0
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Final {
    /// The contract.
    pub cid: Cid,
    /// The signer's role.
    pub role: Role,
    /// The promises, in the order of the roles.
    pub promises: [StatementId; 2],
    /// The part of the contract.
    pub slot: Slot,
}

/// "The money that the other party gives by this contract has come to me." It says nothing new about the contract: it is the payer's proof.
///
/// ```text
/// quittance = { 0: 1, 1: cid, 2: role }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quittance {
    /// The contract.
    pub cid: Cid,
    /// The role of the signer, to whom the money has come.
    pub role: Role,
}

impl Statement for Quittance {
    const KIND: Kind = Kind::Quittance;
}

impl Encode for Quittance {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.cid).put_item(2, &self.role).build()
    }
}

impl Decode for Quittance {
    const BYTES_MAX: usize = 128;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let quittance = Self { cid: fields.item(1, "cid")?, role: fields.item(2, "role")? };
        fields.close()?;
        Ok(quittance)
    }
}

impl Statement for Promise {
    const KIND: Kind = Kind::Promise;
}

impl Statement for Final {
    const KIND: Kind = Kind::Final;
}

impl Encode for Promise {
    fn to_value(&self) -> Value {
        let answers = self.answers.map(|id| id.to_value());
        record().put(0, 1_u64).put_item(1, &self.cid).put_item(2, &self.role).put_some(3, answers).build()
    }
}

impl Decode for Promise {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (cid, role) = (fields.item(1, "cid")?, fields.item(2, "role")?);
        let answers = fields.optional_item(3, "answers")?;
        fields.close()?;
        Ok(Self { cid, role, answers })
    }
}

impl Encode for Final {
    fn to_value(&self) -> Value {
        let slot = Some(self.slot).filter(|slot| *slot != Slot::default()).map(|slot| slot.to_value());
        let stored = record().put(0, 1_u64).put_item(1, &self.cid).put_item(2, &self.role);
        stored.put_list(3, &self.promises).put_some(4, slot).build()
    }
}

impl Decode for Final {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (cid, role) = (fields.item(1, "cid")?, fields.item(2, "role")?);
        let promises = promise_pair(&mut fields, 3)?;
        let slot = match fields.optional_item(4, "slot")? {
            Some(slot) if slot == Slot::default() => {
                return Err(DecodeError::field("slot", Problem::OutOfRange("left out if it is 0")));
            }
            slot => slot.unwrap_or_default(),
        };
        fields.close()?;
        Ok(Self { cid, role, promises, slot })
    }
}

/// Reads the two promises that a statement binds.
///
/// # Errors
/// `Missing`, `WrongType`, `OutOfRange`: not exactly two identifiers.
pub fn promise_pair(fields: &mut Fields, key: u64) -> Result<[StatementId; 2], DecodeError> {
    let promises: Vec<StatementId> = fields.list(key, "promises", 2)?;
    promises.try_into().map_err(|_| DecodeError::field("promises", Problem::OutOfRange("two promises are needed")))
}

impl Encode for Core {
    fn to_value(&self) -> Value {
        let mut deposits = Map::new();
        for (slot, deposit) in &self.deposits {
            deposits.insert(slot.to_value(), Value::bytes(deposit.as_slice()));
        }
        record().put_item(0, &self.terms).put(1, deposits).build()
    }
}

impl Decode for Core {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let terms: Terms = fields.item(0, "terms")?;
        let deposits = deposits(fields.value(1, "deposits")?).map_err(|e| e.within("deposits"))?;
        fields.close()?;
        let deposited = terms.items.iter().filter(|item| item.kind.has_deposit());
        let slots: Vec<_> = deposited.map(|item| item.slot).collect();
        // As many slots as items: no two items share a deposit.
        if slots.len() != deposits.len()
            || slots.into_iter().collect::<BTreeSet<_>>() != deposits.keys().copied().collect()
        {
            let rule = "one deposit for each item of information or money, which has a slot of its own, and no other";
            return Err(DecodeError::field("deposits", Problem::OutOfRange(rule)));
        }
        Ok(Self { terms, deposits })
    }
}

fn deposits(value: Value) -> Result<BTreeMap<Slot, Vec<u8>>, DecodeError> {
    let Value::Map(map) = value else {
        return Err(DecodeError::field("", Problem::WrongType { expected: "a map", found: value.type_name() }));
    };
    if map.len() > ITEMS_MAX {
        return Err(DecodeError::field("", Problem::Oversized { limit: ITEMS_MAX }));
    }
    let deposit = |(slot, deposit)| {
        let (slot, deposit) = (Slot::from_value(slot)?, Vec::<u8>::from_value(deposit)?);
        if deposit.len() > DEPOSIT_MAX {
            return Err(DecodeError::field(slot.0.to_string(), Problem::Oversized { limit: DEPOSIT_MAX }));
        }
        Ok((slot, deposit))
    };
    map.into_iter().map(deposit).collect()
}

impl Encode for Terms {
    fn to_value(&self) -> Value {
        record()
            .put(0, "semper-core")
            .put(1, 1_u64)
            .put(2, self.profile.name())
            .put_list(3, &self.parties)
            .put_some(4, self.arbiter.map(|arbiter| arbiter.to_value()))
            .put_list(5, &self.items)
            .put_item(6, &self.deadlines)
            .put_item(7, &self.text)
            .put_list(8, &self.links)
            .put_bytes(9, self.nonce)
            .build()
    }
}

impl Decode for Terms {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        if fields.text(0, "name", 32)? != "semper-core" {
            return Err(DecodeError::field("name", Problem::OutOfRange("not a Semper contract")));
        }
        fields.version(1, 1)?;
        let profile = fields.text(2, "profile", 32)?;
        let known = Profile::ALL.into_iter().find(|known| known.name() == profile);
        let profile =
            known.ok_or(DecodeError::field("profile", Problem::Unknown { what: "profile", found: profile }))?;
        let terms = Self {
            profile,
            parties: fields.list(3, "parties", PARTIES_MAX)?,
            arbiter: fields.optional_item(4, "arbiter")?,
            items: fields.list(5, "items", ITEMS_MAX)?,
            deadlines: fields.item(6, "deadlines")?,
            text: fields.item(7, "text")?,
            links: fields.list(8, "links", LINKS_MAX)?,
            nonce: fields.exact(9, "nonce")?,
        };
        fields.close()?;
        if terms.arbiter.is_none() != (terms.profile == Profile::Lx) {
            let rule = "an arbiter stands in every contract but those that hash locks decide";
            return Err(DecodeError::field("arbiter", Problem::OutOfRange(rule)));
        }
        let in_order = terms.parties.iter().enumerate().all(|(i, party)| usize::from(party.role.number()) == i);
        if terms.parties.len() < 2 || !in_order {
            return Err(DecodeError::field(
                "parties",
                Problem::OutOfRange("at least two parties, in the order of their roles"),
            ));
        }
        Ok(terms)
    }
}

impl Encode for PartyRef {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.role).put_item(1, &self.key_set).build()
    }
}

impl Decode for PartyRef {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let party = Self { role: fields.item(0, "role")?, key_set: fields.item(1, "key set")? };
        fields.close()?;
        Ok(party)
    }
}

impl Encode for ArbiterRef {
    fn to_value(&self) -> Value {
        let deposit_key = self.deposit_key.map(|key| key.to_value());
        record()
            .put_item(0, &self.key_set)
            .put_some(1, deposit_key)
            .put_item(3, &self.log)
            .put_item(4, &self.rules)
            .build()
    }
}

impl Decode for ArbiterRef {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let arbiter = Self {
            key_set: fields.item(0, "key set")?,
            deposit_key: fields.optional_item(1, "deposit key")?,
            log: fields.item(3, "log")?,
            rules: fields.item(4, "rules")?,
        };
        fields.close()?;
        Ok(arbiter)
    }
}

impl Encode for Item {
    fn to_value(&self) -> Value {
        let (_, kind) = ITEM_KINDS[self.kind as usize];
        record()
            .put(0, kind)
            .put_item(1, &self.owner)
            .put_item(2, &self.recipient)
            .put_bytes(3, &self.descriptor)
            .put_item(5, &self.slot)
            .build()
    }
}

impl Decode for Item {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let name = fields.text(0, "kind", 32)?;
        let Some((kind, _)) = ITEM_KINDS.into_iter().find(|(_, text)| *text == name) else {
            return Err(DecodeError::field("kind", Problem::Unknown { what: "kind of item", found: name }));
        };
        let item = Self {
            kind,
            owner: fields.item(1, "owner")?,
            recipient: fields.item(2, "recipient")?,
            descriptor: fields.bytes(3, "descriptor", DESCRIPTOR_MAX)?,
            slot: fields.item(5, "slot")?,
        };
        fields.close()?;
        Ok(item)
    }
}

impl Encode for Deadlines {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.not_after)
            .put_some(2, self.complaints.map(|span| span.to_value()))
            .put_some(3, self.refund_after.map(|date| date.to_value()))
            .put_item(4, &self.delta)
            .put_item(5, &self.sigma)
            .build()
    }
}

impl Decode for Deadlines {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let deadlines = Self {
            not_after: fields.item(0, "not after")?,
            complaints: fields.optional_item(2, "complaints")?,
            refund_after: fields.optional_item(3, "refund after")?,
            delta: fields.item(4, "delta")?,
            sigma: fields.item(5, "sigma")?,
        };
        fields.close()?;
        Ok(deadlines)
    }
}

impl Encode for TextRef {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.template)
            .put_item(1, &self.fields)
            .put(3, self.locale.as_str())
            .put_item(4, &self.render)
            .build()
    }
}

impl Decode for TextRef {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let text = Self {
            template: fields.item(0, "template")?,
            fields: fields.item(1, "fields")?,
            locale: fields.text(3, "locale", 35)?,
            render: fields.item(4, "render")?,
        };
        fields.close()?;
        Ok(text)
    }
}

impl Encode for Link {
    fn to_value(&self) -> Value {
        let (_, name) = RELATIONS[self.relation as usize];
        record().put(0, name).put_item(1, &self.to).build()
    }
}

impl Decode for Link {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let name = fields.text(0, "relation", 32)?;
        let to = fields.item(1, "to")?;
        fields.close()?;
        let relation = RELATIONS.iter().find(|(_, text)| *text == name).map(|(relation, _)| *relation);
        let relation =
            relation.ok_or(DecodeError::field("relation", Problem::Unknown { what: "relation", found: name }))?;
        Ok(Self { relation, to })
    }
}

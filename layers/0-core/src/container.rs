//! Containers: a tree of things that one party sends to another, each node with the protection that it asks for.
//!
//! The transfer layer opens a container and sends each leaf through its block; the receiver rebuilds the tree. A node's
//! attributes hold for everything below it; nodes further down may ask for more, never for less. Every container carries a nonce,
//! so that sending the same thing twice makes two containers, and receiving the same container twice is one.
//!
//! ```text
//! container  = { 0: 1, 1: nonce (16 bytes), 2: node }
//! node       = { ? 0: attributes, 1: [+ node] } / { ? 0: attributes, 2: leaf }
//! attributes = { ? 0: true (confidential), ? 1: anonymity (1-3), ? 2: true (origin), ? 3: acknowledgement (1-2),
//!                ? 4: true (submission), ? 5: true (time-stamp), ? 6: fairness (1-2), ? 7: [+ key set id] }
//! leaf       = { 0: "statement", 1: signed } / { 0: "information", 1: bytes, 2: name, 3: media type }
//!            / { 0: "credential", 1: bytes } / { 0: "money", 1: bytes }
//! ```
//! Source: `spec/documents.md` §6.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;

use crate::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use crate::cose::{Kind, Signed, Statement};
use crate::domain;
use crate::hash::Digest;
use crate::ids::{ContainerId, KeySetId};
use crate::text;
use crate::time::Time;

/// Most bytes of content in one container, all leaves together: 16 MiB.
pub const CONTENT_MAX: usize = 16 * 1024 * 1024;
/// Most nodes in one container.
pub const NODES_MAX: usize = 1024;
/// Most nodes on the way from the root to a leaf, both counted.
pub const LEVELS_MAX: usize = 6;
/// Most third parties named by one node.
pub const THIRD_PARTIES_MAX: usize = 8;
/// Longest file name, in bytes of UTF-8.
pub const NAME_MAX: usize = 255;
/// Longest reason for refusing a container, in bytes of UTF-8.
pub const REASON_MAX: usize = 1024;
const MEDIA_TYPE_MAX: usize = 127;

/// A tree of things to send. Holds to every bound of this module: [`Container::new`] and decoding check them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Container {
    nonce: [u8; 16],
    root: Node,
}

/// A node of a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// What this node asks for, on top of what the nodes above it ask for.
    pub attributes: Attributes,
    /// What is in it.
    pub content: Content,
}

/// What is in a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Further nodes; at least one.
    Branch(Vec<Node>),
    /// One thing.
    Leaf(Leaf),
}

/// One thing in a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// A signed statement.
    Statement(Signed),
    /// A file or a message.
    Information(Information),
    /// A certificate or another credential (DER).
    Credential(Vec<u8>),
    /// Money, in the form of its payment system.
    Money(Vec<u8>),
}

/// A file or a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Information {
    name: String,
    media_type: String,
    bytes: Vec<u8>,
}

/// What a node asks for. The default asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// Nobody but the receiver may read it.
    pub confidential: bool,
    /// Who stays unknown.
    pub anonymity: Anonymity,
    /// The sender signs that it sent this (non-repudiation of origin).
    pub origin: bool,
    /// What the receiver is asked to answer.
    pub ack: AckWanted,
    /// The sender gets a receipt that it handed this over to an inbox (non-repudiation of submission).
    pub submission: bool,
    /// A time-stamp authority dates it.
    pub time_stamp: bool,
    /// What is guaranteed if this is exchanged for something.
    pub fairness: Fairness,
    /// The third parties that the sender trusts for that; empty means no wish. Nodes further down may only narrow the choice.
    pub third_parties: BTreeSet<KeySetId>,
}

/// Who stays unknown to the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Anonymity {
    /// Nobody.
    #[default]
    None,
    /// The sender.
    Sender,
    /// The receiver.
    Receiver,
    /// Sender and receiver.
    Both,
}

/// What the receiver of a container is asked to answer; the later ones are stronger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AckWanted {
    /// Nothing.
    #[default]
    None,
    /// That the transport delivered it; proves nothing to others.
    Transport,
    /// A signed [`Ack`].
    Signed,
}

/// What an exchange guarantees; the later ones are stronger (`spec/exchange.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fairness {
    /// Nothing.
    #[default]
    None,
    /// Whoever is cheated can prove it.
    Weak,
    /// Both sides get what they expect, or neither does.
    Strong,
}

/// Hash of a file or another piece of information: `H("semper/information/1" ‖ bytes)`.
pub fn information_hash(bytes: &[u8]) -> Digest {
    Digest::of(domain::INFORMATION, bytes)
}

impl Container {
    /// A container with 16 fresh random bytes.
    ///
    /// # Errors
    /// `Oversized`, `OutOfRange`: a bound of this module is exceeded, a branch is empty, or a node names a third party that a node
    /// above it does not allow.
    pub fn new(nonce: [u8; 16], root: Node) -> Result<Self, DecodeError> {
        let mut totals = Totals::default();
        totals.add(&root, 1, &BTreeSet::new())?;
        Ok(Self { nonce, root })
    }

    /// A container with one file.
    ///
    /// # Errors
    /// `Oversized`: the file, or the list of third parties, is too long.
    pub fn file(nonce: [u8; 16], file: Information, attributes: Attributes) -> Result<Self, DecodeError> {
        Self::new(nonce, Node { attributes, content: Content::Leaf(Leaf::Information(file)) })
    }

    /// A container with one text message (`message.txt`, `text/plain` in UTF-8).
    ///
    /// # Errors
    /// `Oversized`: the text, or the list of third parties, is too long.
    pub fn message(nonce: [u8; 16], text: &str, attributes: Attributes) -> Result<Self, DecodeError> {
        Self::file(nonce, Information::new("message.txt", "text/plain", text.as_bytes().to_vec())?, attributes)
    }

    /// The identifier: `H("semper/container/1" ‖ container)`.
    pub fn id(&self) -> ContainerId {
        ContainerId::from_digest(Digest::of(domain::CONTAINER, &self.to_bytes()))
    }

    /// The random bytes that make it unique.
    pub fn nonce(&self) -> &[u8; 16] {
        &self.nonce
    }

    /// The top of the tree.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// The leaves from first to last, each with everything that is asked for it.
    pub fn leaves(&self) -> Vec<(Attributes, &Leaf)> {
        let mut leaves = Vec::new();
        collect(&self.root, &Attributes::default(), &mut leaves);
        leaves
    }

    /// Whether any part asks for the sender's signature. The signature covers the whole container.
    pub fn asks_for_origin(&self) -> bool {
        self.leaves().iter().any(|(attributes, _)| attributes.origin)
    }

    /// The strongest acknowledgement that any part asks for. It covers the whole container.
    pub fn asks_for_ack(&self) -> AckWanted {
        self.leaves().iter().map(|(attributes, _)| attributes.ack).max().unwrap_or_default()
    }
}

impl Node {
    /// A node with further nodes.
    pub fn branch(attributes: Attributes, nodes: Vec<Node>) -> Self {
        Self { attributes, content: Content::Branch(nodes) }
    }

    /// A node with one thing.
    pub fn leaf(attributes: Attributes, leaf: Leaf) -> Self {
        Self { attributes, content: Content::Leaf(leaf) }
    }
}

impl Leaf {
    /// The bytes that count as content.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Leaf::Statement(signed) => signed.bytes(),
            Leaf::Information(information) => &information.bytes,
            Leaf::Credential(bytes) | Leaf::Money(bytes) => bytes,
        }
    }
}

impl Information {
    /// A file or a message. `name` is a bare file name, safe to create in any folder; `media_type` is like `text/plain`.
    ///
    /// # Errors
    /// `OutOfRange`, `Oversized`: the name could leave its folder or deceive its reader, the media type is none, or there are more
    /// than [`CONTENT_MAX`] bytes.
    pub fn new(name: &str, media_type: &str, bytes: Vec<u8>) -> Result<Self, DecodeError> {
        if bytes.len() > CONTENT_MAX {
            return Err(DecodeError::field("information", Problem::Oversized { limit: CONTENT_MAX }));
        }
        let name: String = name.nfc().collect();
        check_file_name(&name).map_err(|problem| DecodeError::field("name", problem))?;
        if !is_media_type(media_type) {
            return Err(DecodeError::field("media type", Problem::OutOfRange("not a media type such as text/plain")));
        }
        Ok(Self { name, media_type: media_type.to_owned(), bytes })
    }

    /// The file name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The media type.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The hash by which documents name it.
    pub fn hash(&self) -> Digest {
        information_hash(&self.bytes)
    }
}

impl Attributes {
    /// What is asked for a node below one that asks for `self` and itself asks for `inner`.
    #[must_use]
    pub fn strengthened(&self, inner: &Self) -> Self {
        let narrower = if inner.third_parties.is_empty() { &self.third_parties } else { &inner.third_parties };
        Self {
            confidential: self.confidential || inner.confidential,
            anonymity: self.anonymity.joined(inner.anonymity),
            origin: self.origin || inner.origin,
            ack: self.ack.max(inner.ack),
            submission: self.submission || inner.submission,
            time_stamp: self.time_stamp || inner.time_stamp,
            fairness: self.fairness.max(inner.fairness),
            third_parties: narrower.clone(),
        }
    }
}

impl Anonymity {
    /// Both wishes together.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Anonymity::None, joined) | (joined, Anonymity::None) => joined,
            (a, b) if a == b => a,
            _ => Anonymity::Both,
        }
    }
}

/// "I sent this container."
///
/// ```text
/// container-statement = { 0: 1, 1: container id }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContainerStatement {
    /// The container.
    pub container: ContainerId,
}

/// "I received this container."
///
/// ```text
/// ack = { 0: 1, 1: container id, 2: "accepted", 4: time } / { 0: 1, 1: container id, 2: "refused", 3: reason, 4: time }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ack {
    /// The container.
    pub container: ContainerId,
    /// What the receiver did with it.
    pub disposition: Disposition,
    /// When, by the receiver's clock.
    pub time: Time,
}

/// What a receiver did with a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// It was taken.
    Accepted,
    /// It was received but not taken; the reason is for people, NFC, at most [`REASON_MAX`] bytes.
    Refused(String),
}

impl Statement for ContainerStatement {
    const KIND: Kind = Kind::Container;
}

impl Statement for Ack {
    const KIND: Kind = Kind::Ack;
}

/// What a walk over the tree has counted.
#[derive(Default)]
struct Totals {
    nodes: usize,
    bytes: usize,
}

impl Totals {
    fn add(&mut self, node: &Node, level: usize, allowed: &BTreeSet<KeySetId>) -> Result<(), DecodeError> {
        let too_many = |name: &str, limit| Err(DecodeError::field(name, Problem::Oversized { limit }));
        let wrong = |name: &str, rule| Err(DecodeError::field(name, Problem::OutOfRange(rule)));
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return too_many("nodes", NODES_MAX);
        }
        if level > LEVELS_MAX {
            return too_many("levels", LEVELS_MAX);
        }
        let named = &node.attributes.third_parties;
        if named.len() > THIRD_PARTIES_MAX {
            return too_many("third parties", THIRD_PARTIES_MAX);
        }
        if !allowed.is_empty() && !named.is_subset(allowed) {
            return wrong("third parties", "a node names a third party that a node above it does not allow");
        }
        match &node.content {
            Content::Branch(nodes) if nodes.is_empty() => wrong("node", "a branch holds at least one node"),
            Content::Branch(nodes) => {
                let allowed = if named.is_empty() { allowed } else { named };
                nodes.iter().try_for_each(|node| self.add(node, level + 1, allowed))
            }
            Content::Leaf(leaf) => {
                self.bytes = self.bytes.saturating_add(leaf.bytes().len());
                if self.bytes > CONTENT_MAX { too_many("content", CONTENT_MAX) } else { Ok(()) }
            }
        }
    }
}

fn collect<'a>(node: &'a Node, above: &Attributes, leaves: &mut Vec<(Attributes, &'a Leaf)>) {
    let asked = above.strengthened(&node.attributes);
    match &node.content {
        Content::Branch(nodes) => nodes.iter().for_each(|node| collect(node, &asked, leaves)),
        Content::Leaf(leaf) => leaves.push((asked, leaf)),
    }
}

/// A name that is one file in one folder on every system, and reads as what it is. The colon would name a drive or a stream on
/// Windows.
fn check_file_name(name: &str) -> Result<(), Problem> {
    if name.len() > NAME_MAX {
        return Err(Problem::Oversized { limit: NAME_MAX });
    }
    if matches!(name, "" | "." | "..") || name.contains(['/', '\\', ':']) {
        return Err(Problem::OutOfRange("a file name is not empty, not a path and holds no colon"));
    }
    if !name.chars().all(|c| c == ' ' || text::is_visible(c)) || name.starts_with(' ') || name.ends_with(' ') {
        return Err(Problem::OutOfRange("a file name holds no control or invisible characters and no outer spaces"));
    }
    Ok(())
}

/// `type/subtype` in the characters of RFC 6838 §4.2.
fn is_media_type(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    text.len() <= MEDIA_TYPE_MAX && text.split_once('/').is_some_and(|(kind, subtype)| part(kind) && part(subtype))
}

impl Encode for Container {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_bytes(1, self.nonce).put_item(2, &self.root).build()
    }
}

impl Decode for Container {
    /// The content and 1 MiB for everything around it.
    const BYTES_MAX: usize = CONTENT_MAX + 1024 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (nonce, root) = (fields.exact(1, "nonce")?, fields.item(2, "node")?);
        fields.close()?;
        Self::new(nonce, root)
    }
}

impl Encode for Node {
    fn to_value(&self) -> Value {
        let attributes = (self.attributes != Attributes::default()).then(|| self.attributes.to_value());
        let node = record().put_some(0, attributes);
        match &self.content {
            Content::Branch(nodes) => node.put_list(1, nodes),
            Content::Leaf(leaf) => node.put_item(2, leaf),
        }
        .build()
    }
}

impl Decode for Node {
    const BYTES_MAX: usize = Container::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let attributes: Option<Attributes> = fields.optional_item(0, "attributes")?;
        if attributes.as_ref() == Some(&Attributes::default()) {
            return Err(DecodeError::field("attributes", LEFT_OUT));
        }
        let content = match fields.optional_item(2, "leaf")? {
            Some(leaf) => Content::Leaf(leaf),
            None => Content::Branch(fields.list(1, "nodes", NODES_MAX)?),
        };
        fields.close()?;
        Ok(Self { attributes: attributes.unwrap_or_default(), content })
    }
}

impl Encode for Attributes {
    fn to_value(&self) -> Value {
        let flag = |asked: bool| asked.then_some(true);
        let code = |code: u64| (code != 0).then_some(code);
        let third_parties: Vec<Value> = self.third_parties.iter().map(Encode::to_value).collect();
        record()
            .put_some(0, flag(self.confidential))
            .put_some(1, code(self.anonymity as u64))
            .put_some(2, flag(self.origin))
            .put_some(3, code(self.ack as u64))
            .put_some(4, flag(self.submission))
            .put_some(5, flag(self.time_stamp))
            .put_some(6, code(self.fairness as u64))
            .put_some(7, (!third_parties.is_empty()).then_some(third_parties))
            .build()
    }
}

impl Decode for Attributes {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let attributes = Self {
            confidential: read_flag(&mut fields, 0, "confidential")?,
            anonymity: read_code(
                &mut fields,
                1,
                "anonymity",
                &[Anonymity::Sender, Anonymity::Receiver, Anonymity::Both],
            )?,
            origin: read_flag(&mut fields, 2, "origin")?,
            ack: read_code(&mut fields, 3, "acknowledgement", &[AckWanted::Transport, AckWanted::Signed])?,
            submission: read_flag(&mut fields, 4, "submission")?,
            time_stamp: read_flag(&mut fields, 5, "time-stamp")?,
            fairness: read_code(&mut fields, 6, "fairness", &[Fairness::Weak, Fairness::Strong])?,
            third_parties: read_third_parties(&mut fields)?,
        };
        fields.close()?;
        Ok(attributes)
    }
}

const LEFT_OUT: Problem = Problem::OutOfRange("what asks for nothing is left out");

fn read_flag(fields: &mut Fields, key: u64, name: &str) -> Result<bool, DecodeError> {
    match fields.optional(key) {
        None => Ok(false),
        Some(Value::Bool(true)) => Ok(true),
        Some(_) => Err(DecodeError::field(name, LEFT_OUT)),
    }
}

/// Reads a code from 1; the default has none.
fn read_code<T: Copy + Default>(
    fields: &mut Fields,
    key: u64,
    name: &'static str,
    values: &[T],
) -> Result<T, DecodeError> {
    let Some(code) = fields.optional_item::<u64>(key, name)? else {
        return Ok(T::default());
    };
    if code == 0 {
        return Err(DecodeError::field(name, LEFT_OUT));
    }
    let found = usize::try_from(code - 1).ok().and_then(|place| values.get(place)).copied();
    found.ok_or_else(|| DecodeError::field(name, Problem::Unknown { what: name, found: code.to_string() }))
}

fn read_third_parties(fields: &mut Fields) -> Result<BTreeSet<KeySetId>, DecodeError> {
    let Some(value) = fields.optional(7) else {
        return Ok(BTreeSet::new());
    };
    let wrong = |problem| DecodeError::field("third parties", problem);
    let Value::Array(items) = value else {
        return Err(wrong(Problem::WrongType { expected: "an array", found: value.type_name() }));
    };
    if items.is_empty() {
        return Err(wrong(LEFT_OUT));
    }
    if items.len() > THIRD_PARTIES_MAX {
        return Err(wrong(Problem::Oversized { limit: THIRD_PARTIES_MAX }));
    }
    let mut set = BTreeSet::new();
    for item in items {
        let id = KeySetId::from_value(item).map_err(|e| e.within("third parties"))?;
        if set.last().is_some_and(|last| *last >= id) {
            return Err(wrong(Problem::OutOfRange("third parties stand in ascending order, each once")));
        }
        set.insert(id);
    }
    Ok(set)
}

impl Encode for Leaf {
    fn to_value(&self) -> Value {
        match self {
            Leaf::Statement(signed) => record().put(0, "statement").put_item(1, signed),
            Leaf::Information(Information { name, media_type, bytes }) => {
                record().put(0, "information").put_bytes(1, bytes).put(2, name.as_str()).put(3, media_type.as_str())
            }
            Leaf::Credential(bytes) => record().put(0, "credential").put_bytes(1, bytes),
            Leaf::Money(bytes) => record().put(0, "money").put_bytes(1, bytes),
        }
        .build()
    }
}

impl Decode for Leaf {
    const BYTES_MAX: usize = Container::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let kind = fields.text(0, "kind", 16)?;
        let leaf = match kind.as_str() {
            "statement" => Leaf::Statement(fields.item(1, "statement")?),
            "information" => {
                let bytes = fields.bytes(1, "information", CONTENT_MAX)?;
                let name = fields.text(2, "name", NAME_MAX)?;
                Leaf::Information(Information::new(&name, &fields.text(3, "media type", MEDIA_TYPE_MAX)?, bytes)?)
            }
            "credential" => Leaf::Credential(fields.bytes(1, "credential", CONTENT_MAX)?),
            "money" => Leaf::Money(fields.bytes(1, "money", CONTENT_MAX)?),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "kind of leaf", found: kind })),
        };
        fields.close()?;
        Ok(leaf)
    }
}

impl Encode for ContainerStatement {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.container).build()
    }
}

impl Decode for ContainerStatement {
    const BYTES_MAX: usize = 64;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let container = fields.item(1, "container")?;
        fields.close()?;
        Ok(Self { container })
    }
}

impl Encode for Ack {
    fn to_value(&self) -> Value {
        let ack = record().put(0, 1_u64).put_item(1, &self.container);
        match &self.disposition {
            Disposition::Accepted => ack.put(2, "accepted"),
            Disposition::Refused(reason) => ack.put(2, "refused").put(3, reason.as_str()),
        }
        .put_item(4, &self.time)
        .build()
    }
}

impl Decode for Ack {
    const BYTES_MAX: usize = REASON_MAX + 128;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let container = fields.item(1, "container")?;
        let word = fields.text(2, "disposition", 16)?;
        let disposition = match word.as_str() {
            "accepted" => Disposition::Accepted,
            "refused" => Disposition::Refused(fields.text(3, "reason", REASON_MAX)?),
            _ => return Err(DecodeError::field("disposition", Problem::Unknown { what: "disposition", found: word })),
        };
        let time = fields.item(4, "time")?;
        fields.close()?;
        Ok(Self { container, disposition, time })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(name: &str) -> Result<Information, DecodeError> {
        Information::new(name, "text/plain", b"x".to_vec())
    }

    fn money(attributes: Attributes) -> Node {
        Node::leaf(attributes, Leaf::Money(vec![1]))
    }

    // A file name that leaves its folder, or looks like another one, overwrites or deceives.
    #[test]
    fn names_that_leave_their_folder_or_deceive_are_refused() {
        let long = "x".repeat(256);
        for name in ["", ".", "..", "a/b", "a\\b", "C:x", "a\0", "a\nb", "txt.\u{202e}exe", " a", "a ", &long] {
            assert!(file(name).is_err(), "{name:?}");
        }
        for name in ["a", "...", ".hidden", "Käse  2.txt", &long[..255]] {
            assert!(file(name).is_ok(), "{name:?}");
        }
        for media_type in ["", "text", "text/", "/plain", "text/pl ain", "text/plain;x=1", "te\u{fc}t/plain"] {
            assert!(Information::new("a", media_type, Vec::new()).is_err(), "{media_type:?}");
        }
    }

    // What one part asks for holds for the whole container, and a node cannot ask for less than the nodes above it.
    #[test]
    fn inner_nodes_strengthen() {
        let id = |n| KeySetId::from_digest(Digest::from_array([n; 32]));
        let parties = |ns: &[u8]| ns.iter().map(|n| id(*n)).collect::<BTreeSet<_>>();
        let outer = Attributes {
            confidential: true,
            anonymity: Anonymity::Sender,
            fairness: Fairness::Weak,
            third_parties: parties(&[1, 2]),
            ..Attributes::default()
        };
        let inner = Attributes {
            anonymity: Anonymity::Receiver,
            origin: true,
            ack: AckWanted::Signed,
            third_parties: parties(&[2]),
            ..Attributes::default()
        };
        let nodes = vec![money(Attributes::default()), money(inner.clone())];
        let container = Container::new([0; 16], Node::branch(outer.clone(), nodes)).unwrap();
        let leaves = container.leaves();
        assert_eq!(leaves[0].0, outer);
        assert_eq!(
            leaves[1].0,
            Attributes {
                confidential: true,
                anonymity: Anonymity::Both,
                origin: true,
                ack: AckWanted::Signed,
                fairness: Fairness::Weak,
                third_parties: parties(&[2]),
                ..Attributes::default()
            }
        );
        assert!(container.asks_for_origin());
        assert_eq!(container.asks_for_ack(), AckWanted::Signed);
        assert_eq!(Container::from_bytes(&container.to_bytes()), Ok(container));

        let wider = Attributes { third_parties: parties(&[3]), ..Attributes::default() };
        let middle = Node::branch(Attributes::default(), vec![money(wider)]);
        assert!(Container::new([0; 16], Node::branch(outer, vec![middle])).is_err());
    }

    #[test]
    fn the_bounds_of_a_tree_hold() {
        let none = Attributes::default;
        let tower = |levels| (1..levels).fold(money(none()), |node, _| Node::branch(none(), vec![node]));
        let highest = Container::new([0; 16], tower(LEVELS_MAX)).unwrap();
        assert_eq!(Container::from_bytes(&highest.to_bytes()), Ok(highest));
        assert!(Container::new([0; 16], tower(LEVELS_MAX + 1)).is_err());
        assert!(Container::new([0; 16], Node::branch(none(), Vec::new())).is_err());
        let wide = |nodes| Node::branch(none(), vec![money(none()); nodes]);
        assert!(Container::new([0; 16], wide(NODES_MAX - 1)).is_ok());
        assert!(Container::new([0; 16], wide(NODES_MAX)).is_err());
        let half = Leaf::Money(vec![0; CONTENT_MAX / 2 + 1]);
        let one = Node::leaf(none(), half);
        let whole = Container::new([0; 16], one.clone()).unwrap();
        assert_eq!(Container::from_bytes(&whole.to_bytes()), Ok(whole));
        assert!(Container::new([0; 16], Node::branch(none(), vec![one.clone(), one])).is_err());
    }

    // An acknowledgement that can be read in two ways proves nothing.
    #[test]
    fn acknowledgements_are_read_as_written() {
        let container = Container::message([7; 16], "hello", Attributes::default()).unwrap().id();
        for disposition in [Disposition::Accepted, Disposition::Refused("too big".to_owned())] {
            let ack = Ack { container, disposition, time: Time::from_unix(9) };
            assert_eq!(Ack::from_bytes(&ack.to_bytes()), Ok(ack));
        }
        let twice =
            record().put(0, 1_u64).put_item(1, &container).put(2, "accepted").put(3, "but").put(4, 9_u64).build();
        assert_eq!(Ack::from_value(twice).unwrap_err().problem(), &Problem::UnknownField);
    }
}

//! A proposal: what one party suggests that both sign. The contract, its text, and the files that the text names.
//!
//! It travels as a container of files with the media types below; nothing in it is signed yet. [`Proposal::from_container`] accepts
//! it only if the parts agree: the text is the one that the contract names, the parties, the arbiter and the deadline that are shown
//! are those of the contract, and every file is named by its hash and present.

use std::collections::BTreeSet;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::container::{Attributes, Container, Information, Leaf, Node};
use semper_core::contract::Core;
use semper_core::document::{Document, DocumentError};
use semper_core::hash::Digest;
use semper_core::ids::TemplateId;
use semper_core::party::KeySet;
use semper_core::template::Template;
use semper_core::text::escape;
use semper_exchange::goods::plain_roots;
use semper_support::approval::Exhibit;
use semper_support::engine::{Effect, EvidenceKind};

use crate::letter::MEDIA_SEALED;
use crate::offer::Order;
use crate::{access, contract_file, letter, purchase, right, swap, trade};

const MEDIA_CORE: &str = "application/vnd.semper.core";
const MEDIA_DOCUMENT: &str = "application/vnd.semper.document";
const MEDIA_TEMPLATE: &str = "application/vnd.semper.template";
/// The card of a party whom the others may not know.
const MEDIA_CARD: &str = "application/vnd.semper.contact-card";
/// Longest contact card, in bytes of its text form.
const CARD_MAX: usize = 256 * 1024;

/// The contracts that this version knows the words of, each with the check that its words say what it does.
type Check = fn(&Agreement) -> Result<(), &'static str>;
const CONTRACTS: [(fn() -> Template, Check); 14] = [
    (contract_file::template, contract_file::check),
    (contract_file::template_of_many, contract_file::check_of_many),
    (purchase::template, purchase::check),
    (purchase::locked_template, purchase::check),
    (letter::template, letter::check),
    (trade::receipt_template, trade::check),
    (trade::exchange_template, trade::check),
    (swap::template, swap::check),
    (access::template, access::check),
    (trade::receipt_locked_template, trade::check),
    (trade::exchange_locked_template, trade::check),
    (trade::receipt_transfer_template, trade::check),
    (right::template, right::check),
    (trade::exchange_in_line_template, trade::check),
];

/// What is to be signed: the contract and the text that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The contract.
    pub core: Core,
    /// The filled-in text.
    pub document: Document,
    /// The template of the text.
    pub template: Template,
}

/// An agreement and its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What is to be signed.
    pub agreement: Agreement,
    /// The files that the text names.
    pub files: Vec<Information>,
    /// Random bytes: the same proposal, sent twice, is two.
    pub nonce: [u8; 16],
}

/// Why a proposal is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProposalError {
    /// A part is malformed.
    #[error("the {part} is malformed: {error}")]
    Malformed {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// A part is missing or there twice.
    #[error("the {0} is missing, or there more than once")]
    Parts(&'static str),
    /// The text is not the one that the contract names.
    #[error("the text does not belong to the contract: {0}")]
    Text(DocumentError),
    /// The words are not ones that this version knows: nobody has checked that they say what the contract does.
    #[error("the contract uses the unknown template {0}")]
    UnknownTemplate(TemplateId),
    /// What the text says about a party, the arbiter or the deadline is not what the contract says.
    #[error("the text and the contract differ in {0:?}")]
    Contradiction(&'static str),
    /// A file that the text does not name.
    #[error("the file {0:?} is not named in the contract")]
    StrayFile(String),
    /// A file that the text names and that is not there.
    #[error("the contract names a file with hash {0} that was not sent")]
    MissingFile(Digest),
}

impl Agreement {
    /// Joins the encoded parts and checks that they belong together.
    ///
    /// # Errors
    /// `Malformed`, `Text`.
    pub fn from_parts(core: &[u8], document: &[u8], template: &[u8]) -> Result<Self, ProposalError> {
        let malformed = |part| move |error| ProposalError::Malformed { part, error };
        let agreement = Self {
            core: Core::from_bytes(core).map_err(malformed("contract"))?,
            document: Document::from_bytes(document).map_err(malformed("document"))?,
            template: Template::from_bytes(template).map_err(malformed("template"))?,
        };
        agreement.text()?;
        let known = CONTRACTS.iter().find(|(template, _)| agreement.template == template());
        let (_, check) = known.ok_or_else(|| ProposalError::UnknownTemplate(agreement.template.id()))?;
        check(&agreement).map_err(ProposalError::Contradiction)?;
        Ok(agreement)
    }

    /// The text that is shown and signed.
    ///
    /// # Errors
    /// `Text`: it is not the one that the contract names.
    pub fn text(&self) -> Result<String, ProposalError> {
        let rendered =
            self.document.check_text_ref(&self.template, &self.core.terms.text).map_err(ProposalError::Text)?;
        Ok(rendered.text)
    }

    /// What the user is shown for a signature on it.
    pub fn exhibit(&self) -> Exhibit {
        let [core, document, template] = self.encoded();
        Exhibit::Contract { core, document, template }
    }

    /// What the key holder is shown for a signature on it by the seller, whose offer `order` takes up.
    pub fn sale(&self, order: &Order) -> Exhibit {
        let [core, document, template] = self.encoded();
        Exhibit::Sale { core, document, template, order: order.to_bytes() }
    }

    /// What the user is shown for a signature by which money goes through the hands of `arbiter`.
    pub fn in_line(&self, arbiter: &KeySet) -> Exhibit {
        let [core, document, template] = self.encoded();
        Exhibit::InLine { core, document, template, arbiter: arbiter.to_bytes() }
    }

    /// The process that its template stands for, with the version: `buy/1`.
    pub fn process(&self) -> String {
        process_of(&self.template)
    }

    /// What it is about, in a few words.
    pub fn subject(&self) -> String {
        let titles = [letter::title, trade::title, swap::title, right::title];
        if let Some(title) = titles.iter().find_map(|title| title(self)) {
            return title;
        }
        let access = access::given(&self.core).map(|(goods, _)| goods);
        match access.or_else(|_| purchase::sold(&self.core).map(|(goods, _)| goods)) {
            Ok(goods) => escape(goods.name(), 0),
            Err(_) => {
                let names = contract_file::file_names(&self.document);
                match names.as_slice() {
                    [] => "nothing".to_owned(),
                    [(only, _)] => escape(only, 0),
                    [(first, _), more @ ..] => format!("{} and {} more", escape(first, 0), more.len()),
                }
            }
        }
    }

    fn encoded(&self) -> [Vec<u8>; 3] {
        [self.core.to_bytes(), self.document.to_bytes(), self.template.to_bytes()]
    }
}

/// The processes that this version knows, as [`Agreement::process`] names them.
pub fn processes() -> impl Iterator<Item = String> {
    CONTRACTS.iter().map(|(template, _)| process_of(&template()))
}

fn process_of(template: &Template) -> String {
    format!("{}/{}", template.name(), template.version())
}

impl Proposal {
    /// The proposal as it travels.
    ///
    /// # Errors
    /// `Malformed`: the files are too large together.
    pub fn to_container(&self) -> Result<Container, ProposalError> {
        self.to_container_with(&[])
    }

    /// The same, with the contact cards of its parties in their text form.
    ///
    /// # Errors
    /// `Malformed`: the files are too large together.
    pub fn to_container_with(&self, cards: &[String]) -> Result<Container, ProposalError> {
        let malformed = |error| ProposalError::Malformed { part: "proposal", error };
        let [core, document, template] = self.agreement.encoded();
        let parts = [
            ("core", MEDIA_CORE, core),
            ("document", MEDIA_DOCUMENT, document),
            ("template", MEDIA_TEMPLATE, template),
        ];
        let mut leaves = Vec::new();
        for (name, media_type, bytes) in parts {
            leaves.push(Information::new(name, media_type, bytes).map_err(malformed)?);
        }
        for card in cards {
            leaves.push(Information::new("card", MEDIA_CARD, card.clone().into_bytes()).map_err(malformed)?);
        }
        leaves.extend(self.files.iter().cloned());
        let nodes = leaves.into_iter().map(|leaf| Node::leaf(Attributes::default(), Leaf::Information(leaf))).collect();
        let confidential = Attributes { confidential: true, ..Attributes::default() };
        Container::new(self.nonce, Node::branch(confidential, nodes)).map_err(malformed)
    }

    /// Reads a proposal and checks that its parts agree.
    ///
    /// # Errors
    /// [`ProposalError`] says which do not.
    pub fn from_container(container: &Container) -> Result<Self, ProposalError> {
        let mut leaves = Vec::new();
        for (_, leaf) in container.leaves() {
            let Leaf::Information(information) = leaf else {
                return Err(ProposalError::Parts("information"));
            };
            leaves.push(information);
        }
        let part = |name, media_type| {
            let mut found = leaves.iter().filter(|leaf| leaf.media_type() == media_type);
            match (found.next(), found.next()) {
                (Some(part), None) => Ok(part.bytes()),
                _ => Err(ProposalError::Parts(name)),
            }
        };
        let (core, document) = (part("contract", MEDIA_CORE)?, part("document", MEDIA_DOCUMENT)?);
        let agreement = Agreement::from_parts(core, document, part("template", MEDIA_TEMPLATE)?)?;
        let own = [MEDIA_CORE, MEDIA_DOCUMENT, MEDIA_TEMPLATE, MEDIA_CARD];
        let files =
            leaves.iter().filter(|leaf| !own.contains(&leaf.media_type())).map(|leaf| (*leaf).clone()).collect();
        let proposal = Self { agreement, files, nonce: *container.nonce() };
        proposal.check_files()?;
        Ok(proposal)
    }

    /// The contact cards that came with a proposal, in their text form; nothing in them was checked.
    ///
    /// # Errors
    /// `Parts`: one is too long, or no text.
    pub fn cards(container: &Container) -> Result<Vec<String>, ProposalError> {
        let leaves = container.leaves().into_iter().filter_map(|(_, leaf)| match leaf {
            Leaf::Information(file) if file.media_type() == MEDIA_CARD => Some(file.bytes()),
            _ => None,
        });
        let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) if bytes.len() <= CARD_MAX => Ok(text.to_owned()),
            _ => Err(ProposalError::Parts("contact card")),
        };
        leaves.map(text).collect()
    }

    fn check_files(&self) -> Result<(), ProposalError> {
        let sold = plain_roots(&self.agreement.core);
        let named: BTreeSet<_> =
            self.agreement.document.digests().into_iter().filter(|digest| !sold.contains(digest)).collect();
        let is_sealed = |file: &&Information| file.media_type() == MEDIA_SEALED;
        let sealed: Vec<_> = self.files.iter().filter(is_sealed).collect();
        let core = &self.agreement.core;
        let (encloses, enclosed) = match self.agreement.template.name() {
            letter::TEMPLATE => (1, sealed.iter().all(|file| letter::is_enclosed(core, file.bytes()))),
            swap::TEMPLATE => (1, sealed.iter().all(|file| swap::is_enclosed(core, file.bytes()))),
            _ => (0, true),
        };
        if sealed.len() != encloses || !enclosed {
            return Err(ProposalError::Parts("letter"));
        }
        let files = || self.files.iter().filter(|file| !is_sealed(file));
        let present: BTreeSet<_> = files().map(Information::hash).collect();
        if let Some(stray) = files().find(|file| !named.contains(&file.hash())) {
            return Err(ProposalError::StrayFile(stray.name().to_owned()));
        }
        match named.difference(&present).next() {
            Some(missing) => Err(ProposalError::MissingFile(*missing)),
            None => Ok(()),
        }
    }

    /// The parts as evidence.
    pub fn evidence(&self) -> impl Iterator<Item = Effect> {
        let [core, document, template] = self.agreement.encoded();
        let parts =
            [(EvidenceKind::Core, core), (EvidenceKind::Document, document), (EvidenceKind::Template, template)];
        let kind = |file: &Information| match file.media_type() {
            MEDIA_SEALED => EvidenceKind::Sealed,
            _ => EvidenceKind::Attachment,
        };
        let files = self.files.iter().map(move |file| (kind(file), file.bytes().to_vec()));
        parts.into_iter().chain(files).map(|(kind, bytes)| Effect::Keep { kind, bytes })
    }

    /// The agreement without the files.
    pub fn into_agreement(self) -> Agreement {
        self.agreement
    }
}

/// ```text
/// agreement = { 0: core, 1: document, 2: template }      ; each as its encoding
/// ```
impl Encode for Agreement {
    fn to_value(&self) -> Value {
        let [core, document, template] = self.encoded();
        record().put_bytes(0, core).put_bytes(1, document).put_bytes(2, template).build()
    }
}

impl Decode for Agreement {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let bytes = |fields: &mut Fields, key, name| fields.bytes(key, name, Container::BYTES_MAX);
        let core = Core::from_bytes(&bytes(&mut fields, 0, "core")?)?;
        let document = Document::from_bytes(&bytes(&mut fields, 1, "document")?)?;
        let template = Template::from_bytes(&bytes(&mut fields, 2, "template")?)?;
        fields.close()?;
        Ok(Self { core, document, template })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contracts name their template by its hash: another word, or a field in another place, and nobody takes those already proposed.
    #[test]
    fn the_shipped_templates_stay_what_they_are() {
        let expected = [
            ("sign", "a95a12d2b5a4c2be0291b466788c2078115f103fa7cf60f9ebacefe26cdf1cb4"),
            ("sign-many", "181fbf8a1114c458db41269ddb70b574b2549f7f628755b36ff96b502dfe89c4"),
            ("buy", "75400b1159567dce21cf34ff1c0f46dfa1ad5727e6eadc9436687d0054b98105"),
            ("buy-locked", "702b2c783773978f2635041a3bf605b52bf9ce9fa9760294769f5861e317c7b9"),
            ("mail", "5e4ac8b1f09075ff506780acb5186e058460ef46b6f1adcb6b420855b878b3b5"),
            ("receipt", "44b784e983c84f6f58e279161b464f81bc015fe888d1b6a7314988ae285905a5"),
            ("exchange", "ffebfd612d517432acd92b3aa908e2500cdbf9dd6b0c707d6854021775799e15"),
            ("swap", "0b3fe66f0968f4a8c89f9ce5ddf29aecb36aee088fe9f8033b982475e11aaf6b"),
            ("access", "94e3e909fd135e43ebfaa94894c73dc50cc317fdf8b6f32734a418eb88c53f2d"),
            ("receipt-locked", "7dbe0033e0050142a61994c139429c7743b23df4ea59b51706da95a43146d75b"),
            ("exchange-locked", "c9204f7f6be71061b38ce4a79ea4f3c5c06aa54348098190a44ac0051a9c5339"),
            ("receipt-transfer", "61f9c52dc02f470be453bf301488a96a9de6e5dac902aa74084cc083f7e92da3"),
            ("right-transfer", "5f431319cea5e804cbb61e84c7a25208b71741926fa96dc3de7d4ecdab00d022"),
            ("exchange-in-line", "7f48d8c698edefd29d9442405e6298d13157102c035bd31c3748cd212fb7e462"),
        ];
        let shipped = CONTRACTS.map(|(template, _)| (template().name().to_owned(), template().id().to_string()));
        assert_eq!(shipped, expected.map(|(name, id)| (name.to_owned(), id.to_owned())));
    }
}

//! A contract over files: both sign that these files, exactly as they are, are what they agree on.
//!
//! The words are in `services/sign/`, one file per language.

use std::collections::BTreeMap;

use semper_core::cbor::DecodeError;
use semper_core::container::Information;
use semper_core::contract::{ArbiterRef, Core, Deadlines, Item, ItemKind, PartyRef, Profile, Terms};
use semper_core::document::{Document, DocumentError, FieldValue, Row};
use semper_core::hash::Digest;
use semper_core::ids::{KeySetId, Slot};
use semper_core::party::Role;
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::time::{Seconds, Time};

use crate::proposal::{Agreement, Proposal};

/// The languages in which the contract can be shown.
pub const LOCALES: [&str; 2] = ["en", "de"];
/// The longest that a message to the arbiter takes, for parties that want to keep their rights near the deadline.
pub const DELTA: Seconds = Seconds(3600);
/// The most by which two honest clocks differ.
pub const SIGMA: Seconds = Seconds(120);

/// Somebody, and what the originator calls them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The key set.
    pub key_set: KeySetId,
}

/// What is to stand in the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Who proposes it.
    pub originator: Named,
    /// The other party.
    pub responder: Named,
    /// Who decides if something goes wrong.
    pub arbiter: Named,
    /// The key set that signs the heads of the arbiter's log.
    pub log: KeySetId,
    /// Hash of the arbiter's rules.
    pub rules: Digest,
    /// Until when the arbiter takes a first request.
    pub closes: Time,
    /// The files; at least one.
    pub files: Vec<Information>,
    /// Terms in words; none if empty.
    pub terms: String,
    /// The law that applies, in words; none if empty.
    pub law: String,
    /// The language in which it is shown, one of [`LOCALES`].
    pub locale: String,
    /// Random bytes that make this contract unique.
    pub nonce: [u8; 32],
}

/// Why a contract cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// A field does not fit the template.
    #[error("the contract cannot be written: {0}")]
    Document(#[from] DocumentError),
    /// There is no file to sign.
    #[error("the contract names no file")]
    NoFile,
}

impl Draft {
    /// The proposal of this contract. `nonce` makes its transfer unique.
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn propose(self, nonce: [u8; 16]) -> Result<Proposal, DraftError> {
        if self.files.is_empty() {
            return Err(DraftError::NoFile);
        }
        let template = template();
        let document = self.document(&template);
        let party = |role, named: &Named| PartyRef { role, key_set: named.key_set };
        let signature = |owner: Role| {
            let (recipient, slot) = (owner.peer(), Slot::default());
            Item { kind: ItemKind::Signature, owner, recipient, descriptor: Vec::new(), slot }
        };
        let terms = Terms {
            profile: Profile::C2,
            parties: vec![party(Role::ORIGINATOR, &self.originator), party(Role::RESPONDER, &self.responder)],
            arbiter: ArbiterRef { key_set: self.arbiter.key_set, deposit_key: None, log: self.log, rules: self.rules },
            items: vec![signature(Role::ORIGINATOR), signature(Role::RESPONDER)],
            deadlines: Deadlines {
                not_after: self.closes,
                complaints: None,
                refund_after: None,
                delta: DELTA,
                sigma: SIGMA,
            },
            text: document.text_ref(&template)?,
            links: Vec::new(),
            nonce: self.nonce,
        };
        let agreement = Agreement { core: Core { terms, deposits: BTreeMap::new() }, document, template };
        Ok(Proposal { agreement, files: self.files, nonce })
    }

    fn document(&self, template: &Template) -> Document {
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let party = |named: &Named| FieldValue::Party(named.key_set);
        let mut document = Document::new(template, self.locale.as_str())
            .with("originator_name", text(&self.originator.name))
            .with("originator", party(&self.originator))
            .with("responder_name", text(&self.responder.name))
            .with("responder", party(&self.responder))
            .with("arbiter_name", text(&self.arbiter.name))
            .with("arbiter", party(&self.arbiter))
            .with("closes", FieldValue::Time(self.closes))
            .with("files", FieldValue::Table(self.files.iter().map(file_row).collect()));
        if !self.terms.is_empty() {
            document = document.with("terms", FieldValue::LongText(self.terms.clone()));
        }
        if !self.law.is_empty() {
            document = document.with("law", text(&self.law));
        }
        document
    }
}

/// A file as a row of the table of files.
pub(crate) fn file_row(file: &Information) -> Row {
    Row::from([
        ("name".to_owned(), FieldValue::Text(file.name().to_owned())),
        ("media_type".to_owned(), FieldValue::Text(file.media_type().to_owned())),
        ("size".to_owned(), FieldValue::Uint(file.bytes().len() as u64)),
        ("hash".to_owned(), FieldValue::Digest(file.hash())),
    ])
}

/// The columns of the table of files.
pub(crate) fn file_columns() -> Vec<FieldDef> {
    let required = |name, kind, en, de| FieldDef::required(name, kind).label("en", en).label("de", de);
    vec![
        required("name", FieldKind::Text, "name", "Name"),
        required("media_type", FieldKind::Text, "media type", "Medientyp"),
        required("size", FieldKind::Uint, "size in bytes", "Größe in Bytes"),
        required("hash", FieldKind::Digest, "hash", "Hash"),
    ]
}

/// The template of a contract over files.
pub fn template() -> Template {
    let required = |name, kind, en, de| FieldDef::required(name, kind).label("en", en).label("de", de);
    let optional = |name, kind, en, de| FieldDef::optional(name, kind).label("en", en).label("de", de);
    let fields = vec![
        required("originator_name", FieldKind::Text, "originator", "Antragsteller"),
        required("originator", FieldKind::Party, "originator's key", "Schlüssel des Antragstellers"),
        required("responder_name", FieldKind::Text, "responder", "Gegenseite"),
        required("responder", FieldKind::Party, "responder's key", "Schlüssel der Gegenseite"),
        required("arbiter_name", FieldKind::Text, "arbiter", "Schiedsrichter"),
        required("arbiter", FieldKind::Party, "arbiter's key", "Schlüssel des Schiedsrichters"),
        required(
            "closes",
            FieldKind::Time,
            "the arbiter can be asked until",
            "der Schiedsrichter kann angerufen werden bis",
        ),
        required("files", FieldKind::Table(file_columns()), "files", "Dateien"),
        optional("terms", FieldKind::LongText, "Terms", "Bedingungen"),
        optional("law", FieldKind::Text, "Applicable law", "Anwendbares Recht"),
    ];
    let texts =
        [("en", include_str!("../../../services/sign/en.txt")), ("de", include_str!("../../../services/sign/de.txt"))];
    let texts = texts.map(|(locale, text)| (locale.to_owned(), text.to_owned())).into();
    Template::new("sign", 1, fields, texts).expect("the shipped template passes its own test")
}

/// What a contract over files says about who signs, who decides, and until when must be what its core says.
///
/// # Errors
/// The field that differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    let terms = &agreement.core.terms;
    if terms.profile != Profile::C2 {
        return Err("profile");
    }
    let field = |name: &str| agreement.document.fields.get(name);
    let party = |role| agreement.core.party(role).map(FieldValue::Party);
    let same = |name, expected: Option<FieldValue>| if field(name) == expected.as_ref() { Ok(()) } else { Err(name) };
    same("originator", party(Role::ORIGINATOR))?;
    same("responder", party(Role::RESPONDER))?;
    same("arbiter", Some(FieldValue::Party(terms.arbiter.key_set)))?;
    same("closes", Some(FieldValue::Time(terms.deadlines.not_after)))
}

/// The files that a contract over files names: name and hash.
pub fn file_names(document: &Document) -> Vec<(String, Digest)> {
    let Some(FieldValue::Table(rows)) = document.fields.get("files") else {
        return Vec::new();
    };
    let named = |row: &Row| match (row.get("name"), row.get("hash")) {
        (Some(FieldValue::Text(name)), Some(FieldValue::Digest(hash))) => Some((name.clone(), *hash)),
        _ => None,
    };
    rows.iter().filter_map(named).collect()
}

/// A file name that came from a document, made safe to create: the same rules as for the files of a container.
///
/// # Errors
/// The name could leave its folder or deceive its reader.
pub fn safe_name(name: &str) -> Result<String, DecodeError> {
    Information::new(name, "application/octet-stream", Vec::new()).map(|information| information.name().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn named(name: &str, byte: u8) -> Named {
        Named { name: name.to_owned(), key_set: KeySetId::from_digest(Digest::from_array([byte; 32])) }
    }

    fn draft(locale: &str) -> Draft {
        Draft {
            originator: named("Alice", 1),
            responder: named("Bob", 2),
            arbiter: named("Arbiter", 3),
            log: named("", 3).key_set,
            rules: Digest::from_array([4; 32]),
            closes: Time::from_unix(1_800_000_000),
            files: vec![Information::new("offer.txt", "text/plain", b"one bicycle".to_vec()).unwrap()],
            terms: "Paid on delivery.\nNo returns.".to_owned(),
            law: "Swiss law".to_owned(),
            locale: locale.to_owned(),
            nonce: [5; 32],
        }
    }

    #[test]
    fn the_contract_can_be_shown_in_every_language_and_survives_the_wire() {
        for locale in LOCALES {
            let proposal = draft(locale).propose([6; 16]).unwrap();
            let text = proposal.agreement.text().unwrap();
            for part in ["Alice", "Bob", "offer.txt", "11", "| No returns.", "Swiss law", "2027-01-15"] {
                assert!(text.contains(part), "{locale}: {part} is missing in\n{text}");
            }
            assert_eq!(check(&proposal.agreement), Ok(()));
            let container = proposal.to_container().unwrap();
            assert_eq!(Proposal::from_container(&container), Ok(proposal));
        }
    }

    // A text that names one arbiter and a core that names another would have the user agree to what was not shown.
    #[test]
    fn rendered_text_differs_from_core() {
        let mut proposal = draft("en").propose([6; 16]).unwrap();
        proposal.agreement.core.terms.arbiter.key_set = named("", 9).key_set;
        assert_eq!(check(&proposal.agreement), Err("arbiter"));
        let mut proposal = draft("en").propose([6; 16]).unwrap();
        proposal.agreement.core.terms.deadlines.not_after = Time::from_unix(1);
        assert_eq!(check(&proposal.agreement), Err("closes"));
    }

    // A file that the text does not name, or a named one that is missing, is not what the signers agree on.
    #[test]
    fn files_and_text_must_agree() {
        let mut proposal = draft("en").propose([6; 16]).unwrap();
        let file = std::mem::take(&mut proposal.files);
        let without = proposal.to_container().unwrap();
        assert!(Proposal::from_container(&without).is_err());
        proposal.files = file;
        proposal.files.push(Information::new("more.txt", "text/plain", b"stray".to_vec()).unwrap());
        assert!(Proposal::from_container(&proposal.to_container().unwrap()).is_err());
    }
}

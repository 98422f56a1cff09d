//! A contract over files: all sign that these files, exactly as they are, are what they agree on.
//!
//! The words are in `services/sign/` for two parties and in `services/sign-many/` for three to eight, one file per language.

use std::collections::BTreeMap;

use semper_core::cbor::DecodeError;
use semper_core::container::Information;
use semper_core::contract::{ArbiterRef, Core, ItemKind, Profile, Terms};
use semper_core::document::{Document, DocumentError, FieldValue, Row};
use semper_core::hash::Digest;
use semper_core::ids::{KeySetId, Slot};
use semper_core::party::Role;
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::time::Time;

use crate::proposal::{Agreement, Proposal};
use crate::terms::{Named, arbiter, deadlines, item, pair, parties};
use crate::words::{self, required, text, texts};

/// What is to stand in the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Who signs, 2 to 8 parties; the first proposes it.
    pub signers: Vec<Named>,
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
    /// The language in which it is shown, one of [`words::LOCALES`].
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
        let signature = |owner| item(ItemKind::Signature, owner, Vec::new(), Slot::default());
        let (profile, template, items) = match self.signers.len() {
            2 => (Profile::C2, template(), vec![signature(Role::ORIGINATOR), signature(Role::RESPONDER)]),
            _ => (Profile::Cn, template_of_many(), Vec::new()),
        };
        let document = self.document(&template);
        let terms = Terms {
            profile,
            parties: parties(self.signers.iter().map(|signer| signer.key_set)),
            arbiter: Some(ArbiterRef {
                key_set: self.arbiter.key_set,
                deposit_key: None,
                log: self.log,
                rules: self.rules,
            }),
            items,
            deadlines: deadlines(self.closes),
            text: document.text_ref(&template)?,
            links: Vec::new(),
            nonce: self.nonce,
        };
        let agreement = Agreement { core: Core { terms, deposits: BTreeMap::new() }, document, template };
        Ok(Proposal { agreement, files: self.files, nonce })
    }

    fn document(&self, template: &Template) -> Document {
        let signers = match self.signers.as_slice() {
            [originator, responder] => vec![
                ("originator_name", text(&originator.name)),
                ("originator", FieldValue::Party(originator.key_set)),
                ("responder_name", text(&responder.name)),
                ("responder", FieldValue::Party(responder.key_set)),
            ],
            many => vec![("signers", words::parties(many))],
        };
        let files = FieldValue::Table(self.files.iter().map(file_row).collect());
        let facts = signers.into_iter().chain([("arbiter_name", text(&self.arbiter.name)), ("files", files)]);
        let facts = facts.chain(words::arbiter_facts(self.arbiter.key_set, self.closes));
        words::fill(template, &self.locale, facts.chain(words::terms_facts(&self.terms, &self.law)))
    }
}

/// A file as a row of the table of files.
fn file_row(file: &Information) -> Row {
    Row::from([
        ("name".to_owned(), text(file.name())),
        ("media_type".to_owned(), text(file.media_type())),
        ("size".to_owned(), FieldValue::Uint(file.bytes().len() as u64)),
        ("hash".to_owned(), FieldValue::Digest(file.hash())),
    ])
}

/// The template of a contract over files between two.
pub fn template() -> Template {
    let mut fields = vec![
        required("originator_name", FieldKind::Text, "originator", "Antragsteller"),
        required("originator", FieldKind::Party, "originator's key", "Schlüssel des Antragstellers"),
        required("responder_name", FieldKind::Text, "responder", "Gegenseite"),
        required("responder", FieldKind::Party, "responder's key", "Schlüssel der Gegenseite"),
    ];
    fields.extend(other_fields());
    words::template("sign", fields, texts!("sign"))
}

/// The template of a contract over files among many.
pub fn template_of_many() -> Template {
    let mut fields = vec![words::parties_field("signers", "parties", "Beteiligte")];
    fields.extend(other_fields());
    words::template("sign-many", fields, texts!("sign-many"))
}

/// What both templates have beside the signers.
fn other_fields() -> impl Iterator<Item = FieldDef> {
    let files = FieldKind::Table(words::file_fields("name", "name", "Name").into());
    let fields = words::arbiter_fields().into_iter().chain([required("files", files, "files", "Dateien")]);
    fields.chain(words::terms_fields())
}

/// What a contract over files between two says about who signs, who decides, and until when must be what its core says.
///
/// # Errors
/// The field that differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    if agreement.core.terms.profile != Profile::C2 {
        return Err("profile");
    }
    let [originator, responder] = pair(&agreement.core)?.map(FieldValue::Party);
    words::agree(&agreement.document, [("originator", originator), ("responder", responder)])?;
    check_arbiter(agreement)
}

/// The same for a contract over files among many.
///
/// # Errors
/// What differs.
pub fn check_of_many(agreement: &Agreement) -> Result<(), &'static str> {
    let terms = &agreement.core.terms;
    if terms.profile != Profile::Cn {
        return Err("profile");
    }
    words::agree_on(&agreement.document, "signers", &terms.parties)?;
    check_arbiter(agreement)
}

fn check_arbiter(agreement: &Agreement) -> Result<(), &'static str> {
    let (core, closes) = (&agreement.core, agreement.core.terms.deadlines.not_after);
    words::agree(&agreement.document, words::arbiter_facts(arbiter(core)?, closes))
}

/// What a contract among many calls its parties, in the order of their roles.
pub fn signer_names(document: &Document) -> Vec<String> {
    let name = |row: &Row| match row.get("name") {
        Some(FieldValue::Text(name)) => name.clone(),
        _ => String::new(),
    };
    words::rows(document, "signers").iter().map(name).collect()
}

/// The files that a contract over files names: name and hash.
pub fn file_names(document: &Document) -> Vec<(String, Digest)> {
    let named = |row: &Row| match (row.get("name"), row.get("hash")) {
        (Some(FieldValue::Text(name)), Some(FieldValue::Digest(hash))) => Some((name.clone(), *hash)),
        _ => None,
    };
    words::rows(document, "files").iter().filter_map(named).collect()
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
    use crate::fixtures::{key_set, named};
    use crate::words::LOCALES;

    const TWO: [(&str, u8); 2] = [("Alice", 1), ("Bob", 2)];
    const THREE: [(&str, u8); 3] = [("Alice", 1), ("Bob", 2), ("Carol", 3)];

    fn proposal(signers: &[(&str, u8)], locale: &str) -> Proposal {
        let draft = Draft {
            signers: signers.iter().map(|(name, byte)| named(name, *byte)).collect(),
            arbiter: named("Arbiter", 9),
            log: key_set(9),
            rules: Digest::from_array([4; 32]),
            closes: Time::from_unix(1_800_000_000),
            files: vec![Information::new("offer.txt", "text/plain", b"one bicycle".to_vec()).unwrap()],
            terms: "Paid on delivery.\nNo returns.".to_owned(),
            law: "Swiss law".to_owned(),
            locale: locale.to_owned(),
            nonce: [5; 32],
        };
        draft.propose([6; 16]).unwrap()
    }

    #[test]
    fn the_contract_names_all_signers_in_every_language_and_survives_the_wire() {
        let cards = vec!["card of Bob".to_owned(), "card of Carol".to_owned()];
        for (signers, check, cards) in [(&TWO[..], check as fn(&_) -> _, vec![]), (&THREE[..], check_of_many, cards)] {
            for locale in LOCALES {
                let proposal = proposal(signers, locale);
                let text = proposal.agreement.text().unwrap();
                let parts = ["offer.txt", "11", "| No returns.", "Swiss law", "2027-01-15"];
                for part in signers.iter().map(|(name, _)| *name).chain(parts) {
                    assert!(text.contains(part), "{locale}: {part} is missing in\n{text}");
                }
                assert_eq!(check(&proposal.agreement), Ok(()));
                let container = proposal.to_container_with(&cards).unwrap();
                assert_eq!(Proposal::cards(&container).unwrap(), cards);
                assert_eq!(Proposal::from_container(&container), Ok(proposal));
            }
        }
        assert_eq!(signer_names(&proposal(&THREE, "en").agreement.document), ["Alice", "Bob", "Carol"]);
    }

    // A text that leaves out a signer, names another one or another arbiter would have the user agree to what was not shown.
    #[test]
    fn rendered_text_differs_from_core() {
        let changed = |signers: &[_], change: fn(&mut Terms)| {
            let mut agreement = proposal(signers, "en").agreement;
            change(&mut agreement.core.terms);
            if signers.len() == 2 { check(&agreement) } else { check_of_many(&agreement) }
        };
        for signers in [&TWO[..], &THREE] {
            assert_eq!(changed(signers, |terms| terms.arbiter.as_mut().unwrap().key_set = key_set(7)), Err("arbiter"));
            assert_eq!(changed(signers, |terms| terms.deadlines.not_after = Time::from_unix(1)), Err("closes"));
            assert_eq!(changed(signers, |_| {}), Ok(()));
        }
        assert_eq!(changed(&TWO, |terms| terms.parties[0].key_set = key_set(7)), Err("originator"));
        assert_eq!(changed(&TWO, |terms| terms.parties[1].key_set = key_set(7)), Err("responder"));
        assert_eq!(changed(&TWO, |terms| terms.profile = Profile::Cn), Err("profile"));
        assert_eq!(changed(&THREE, |terms| terms.parties.truncate(2)), Err("signers"));
        assert_eq!(changed(&THREE, |terms| terms.parties[2].key_set = key_set(7)), Err("signers"));
        assert_eq!(changed(&THREE, |terms| terms.parties.swap(1, 2)), Err("signers"));
        assert_eq!(changed(&THREE, |terms| terms.profile = Profile::C2), Err("profile"));
    }

    // The words for two, over a contract of three: they would not name the third.
    #[test]
    fn the_words_for_two_are_not_for_three() {
        let mut agreement = proposal(&THREE, "en").agreement;
        agreement.template = template();
        assert_eq!(check(&agreement), Err("profile"));
    }

    // A file that the text does not name, or a named one that is missing, is not what the signers agree on.
    #[test]
    fn files_and_text_must_agree() {
        let mut proposal = proposal(&TWO, "en");
        let file = std::mem::take(&mut proposal.files);
        let without = proposal.to_container().unwrap();
        assert!(Proposal::from_container(&without).is_err());
        proposal.files = file;
        proposal.files.push(Information::new("more.txt", "text/plain", b"stray".to_vec()).unwrap());
        assert!(Proposal::from_container(&proposal.to_container().unwrap()).is_err());
    }
}

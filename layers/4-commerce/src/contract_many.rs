//! A contract over files among three to eight parties: all sign that these files, exactly as they are, are what they agree on.
//!
//! The words are in `services/sign-many/`, one file per language.

use std::collections::BTreeMap;

use semper_core::container::Information;
use semper_core::contract::{ArbiterRef, Core, Deadlines, PartyRef, Profile, Terms};
use semper_core::document::{Document, FieldValue, Row};
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::party::Role;
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::time::Time;

use crate::contract_file::{DELTA, DraftError, Named, SIGMA, file_columns, file_row};
use crate::proposal::{Agreement, Proposal};

/// What is to stand in the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Who signs, 3 to 8 parties; the first proposes it.
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
    /// The language in which it is shown, one of [`crate::contract_file::LOCALES`].
    pub locale: String,
    /// Random bytes that make this contract unique.
    pub nonce: [u8; 32],
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
        let parties = (0..).zip(&self.signers);
        let parties = parties.map(|(number, named)| PartyRef { role: Role::numbered(number), key_set: named.key_set });
        let terms = Terms {
            profile: Profile::Cn,
            parties: parties.collect(),
            arbiter: ArbiterRef { key_set: self.arbiter.key_set, deposit_key: None, log: self.log, rules: self.rules },
            items: Vec::new(),
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
        let signer = |named: &Named| {
            Row::from([("name".to_owned(), text(&named.name)), ("key".to_owned(), FieldValue::Party(named.key_set))])
        };
        let mut document = Document::new(template, self.locale.as_str())
            .with("signers", FieldValue::Table(self.signers.iter().map(signer).collect()))
            .with("arbiter_name", text(&self.arbiter.name))
            .with("arbiter", FieldValue::Party(self.arbiter.key_set))
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

/// The template of a contract over files among many.
pub fn template() -> Template {
    let required = |name, kind, en, de| FieldDef::required(name, kind).label("en", en).label("de", de);
    let optional = |name, kind, en, de| FieldDef::optional(name, kind).label("en", en).label("de", de);
    let signer =
        vec![required("name", FieldKind::Text, "name", "Name"), required("key", FieldKind::Party, "key", "Schlüssel")];
    let fields = vec![
        required("signers", FieldKind::Table(signer), "parties", "Beteiligte"),
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
    let texts = [
        ("en", include_str!("../../../services/sign-many/en.txt")),
        ("de", include_str!("../../../services/sign-many/de.txt")),
    ];
    let texts = texts.map(|(locale, text)| (locale.to_owned(), text.to_owned())).into();
    Template::new("sign-many", 1, fields, texts).expect("the shipped template passes its own test")
}

/// What the contract says about who signs, who decides, and until when must be what its core says.
///
/// # Errors
/// What differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    let terms = &agreement.core.terms;
    if terms.profile != Profile::Cn {
        return Err("profile");
    }
    let field = |name: &str| agreement.document.fields.get(name);
    let same = |name, expected: FieldValue| if field(name) == Some(&expected) { Ok(()) } else { Err(name) };
    let shown = match field("signers") {
        Some(FieldValue::Table(rows)) => rows.iter().map(|row| row.get("key").cloned()).collect(),
        _ => Vec::new(),
    };
    let signers: Vec<_> = terms.parties.iter().map(|party| Some(FieldValue::Party(party.key_set))).collect();
    if shown != signers {
        return Err("signers");
    }
    same("arbiter", FieldValue::Party(terms.arbiter.key_set))?;
    same("closes", FieldValue::Time(terms.deadlines.not_after))
}

/// What the contract calls its parties, in the order of their roles.
pub fn signer_names(document: &Document) -> Vec<String> {
    let Some(FieldValue::Table(rows)) = document.fields.get("signers") else {
        return Vec::new();
    };
    let name = |row: &Row| match row.get("name") {
        Some(FieldValue::Text(name)) => name.clone(),
        _ => String::new(),
    };
    rows.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::contract_file::{self, LOCALES};

    fn named(name: &str, byte: u8) -> Named {
        Named { name: name.to_owned(), key_set: KeySetId::from_digest(Digest::from_array([byte; 32])) }
    }

    fn draft(locale: &str) -> Draft {
        Draft {
            signers: vec![named("Alice", 1), named("Bob", 2), named("Carol", 3)],
            arbiter: named("Arbiter", 9),
            log: named("", 9).key_set,
            rules: Digest::from_array([4; 32]),
            closes: Time::from_unix(1_800_000_000),
            files: vec![Information::new("offer.txt", "text/plain", b"one bicycle".to_vec()).unwrap()],
            terms: "Paid on delivery.".to_owned(),
            law: String::new(),
            locale: locale.to_owned(),
            nonce: [5; 32],
        }
    }

    #[test]
    fn the_contract_names_all_signers_and_survives_the_wire() {
        for locale in LOCALES {
            let proposal = draft(locale).propose([6; 16]).unwrap();
            let text = proposal.agreement.text().unwrap();
            for part in ["Alice", "Bob", "Carol", "offer.txt", "Paid on delivery.", "2027-01-15"] {
                assert!(text.contains(part), "{locale}: {part} is missing in\n{text}");
            }
            assert_eq!(check(&proposal.agreement), Ok(()));
            assert_eq!(signer_names(&proposal.agreement.document), ["Alice", "Bob", "Carol"]);
            let cards = vec!["card of Bob".to_owned(), "card of Carol".to_owned()];
            let container = proposal.to_container_with(&cards).unwrap();
            assert_eq!(Proposal::cards(&container).unwrap(), cards);
            assert_eq!(Proposal::from_container(&container), Ok(proposal));
        }
    }

    // A text that leaves out a signer, names another one or another arbiter would have the user agree to what was not shown.
    #[test]
    fn rendered_text_differs_from_core() {
        let changed = |change: fn(&mut Terms)| {
            let mut agreement = draft("en").propose([6; 16]).unwrap().agreement;
            change(&mut agreement.core.terms);
            check(&agreement)
        };
        assert_eq!(changed(|terms| terms.parties.truncate(2)), Err("signers"));
        assert_eq!(changed(|terms| terms.parties[2].key_set = named("", 7).key_set), Err("signers"));
        assert_eq!(changed(|terms| terms.parties.swap(1, 2)), Err("signers"));
        assert_eq!(changed(|terms| terms.arbiter.key_set = named("", 7).key_set), Err("arbiter"));
        assert_eq!(changed(|terms| terms.deadlines.not_after = Time::from_unix(1)), Err("closes"));
        assert_eq!(changed(|terms| terms.profile = Profile::C2), Err("profile"));
        assert_eq!(changed(|_| {}), Ok(()));
    }

    // The words for two, over a contract of three: they would not name the third.
    #[test]
    fn the_words_for_two_are_not_for_three() {
        let mut agreement = draft("en").propose([6; 16]).unwrap().agreement;
        agreement.template = contract_file::template();
        assert_eq!(contract_file::check(&agreement), Err("profile"));
    }
}

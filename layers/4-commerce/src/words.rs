//! What the texts of all contracts share: their languages, the fields that each has, and that a text says what its contract says.
//!
//! A template is known by a hash over its fields in their order, their labels and its texts: what changes here changes every contract.

use semper_core::contract::PartyRef;
use semper_core::document::{Document, FieldValue, Row};
use semper_core::ids::KeySetId;
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::time::Time;
use semper_exchange::goods::Descriptor;
use semper_exchange::gx::Price;

use crate::terms::Named;

/// The languages in which every contract can be shown.
pub const LOCALES: [&str; 2] = ["en", "de"];

/// A field of a text, and what stands in it.
pub(crate) type Fact = (&'static str, FieldValue);

/// The texts in a folder of `services/`, in the order of [`LOCALES`].
macro_rules! texts {
    ($folder:literal) => {
        [
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../services/", $folder, "/en.txt")),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../services/", $folder, "/de.txt")),
        ]
    };
}
pub(crate) use texts;

/// A shipped template.
pub(crate) fn template(name: &str, fields: Vec<FieldDef>, texts: [&str; 2]) -> Template {
    let texts = LOCALES.map(str::to_owned).into_iter().zip(texts.map(str::to_owned)).collect();
    Template::new(name, 1, fields, texts).expect("the shipped template passes its own test")
}

pub(crate) fn required(name: &str, kind: FieldKind, en: &str, de: &str) -> FieldDef {
    FieldDef::required(name, kind).label("en", en).label("de", de)
}

pub(crate) fn optional(name: &str, kind: FieldKind, en: &str, de: &str) -> FieldDef {
    FieldDef::optional(name, kind).label("en", en).label("de", de)
}

/// Who decides, and until when it can be asked.
pub(crate) fn arbiter_fields() -> [FieldDef; 3] {
    let (closes, schließt) = ("the arbiter can be asked until", "der Schiedsrichter kann angerufen werden bis");
    [
        required("arbiter_name", FieldKind::Text, "arbiter", "Schiedsrichter"),
        required("arbiter", FieldKind::Party, "arbiter's key", "Schlüssel des Schiedsrichters"),
        required("closes", FieldKind::Time, closes, schließt),
    ]
}

/// Until when money is locked.
pub(crate) fn refund_field() -> FieldDef {
    required("refund_after", FieldKind::Time, "the money is locked until", "das Geld ist gesperrt bis")
}

/// Terms and law, in words.
pub(crate) fn terms_fields() -> [FieldDef; 2] {
    [
        optional("terms", FieldKind::LongText, "Terms", "Bedingungen"),
        optional("law", FieldKind::Text, "Applicable law", "Anwendbares Recht"),
    ]
}

/// A file: what it is called, in a field with this name and these labels, its media type, size and hash.
pub(crate) fn file_fields(name: &str, en: &str, de: &str) -> [FieldDef; 4] {
    let [size, hash] = bytes_fields();
    let media_type = required("media_type", FieldKind::Text, "media type", "Medientyp");
    [required(name, FieldKind::Text, en, de), media_type, size, hash]
}

/// The size and the hash of a file.
pub(crate) fn bytes_fields() -> [FieldDef; 2] {
    [
        required("size", FieldKind::Uint, "size in bytes", "Größe in Bytes"),
        required("hash", FieldKind::Digest, "hash", "Hash"),
    ]
}

/// A table of named parties.
pub(crate) fn parties_field(name: &str, en: &str, de: &str) -> FieldDef {
    let columns =
        vec![required("name", FieldKind::Text, "name", "Name"), required("key", FieldKind::Party, "key", "Schlüssel")];
    required(name, FieldKind::Table(columns), en, de)
}

pub(crate) fn text(text: &str) -> FieldValue {
    FieldValue::Text(text.to_owned())
}

/// A field that is left out if there is nothing to say.
pub(crate) fn unless_empty(name: &'static str, said: &str, kind: fn(String) -> FieldValue) -> Option<Fact> {
    (!said.is_empty()).then(|| (name, kind(said.to_owned())))
}

pub(crate) fn arbiter_facts(arbiter: KeySetId, closes: Time) -> [Fact; 2] {
    [("arbiter", FieldValue::Party(arbiter)), ("closes", FieldValue::Time(closes))]
}

pub(crate) fn terms_facts(terms: &str, law: &str) -> impl Iterator<Item = Fact> {
    let terms = unless_empty("terms", terms, FieldValue::LongText);
    terms.into_iter().chain(unless_empty("law", law, FieldValue::Text))
}

/// What stands in the fields of a file that is exchanged, called `goods`.
pub(crate) fn goods_facts(goods: &Descriptor) -> [Fact; 4] {
    let [size, hash] = bytes_facts(goods);
    [("goods", text(goods.name())), ("media_type", text(goods.media_type())), size, hash]
}

pub(crate) fn bytes_facts(goods: &Descriptor) -> [Fact; 2] {
    [("size", FieldValue::Uint(goods.size().bytes())), ("hash", FieldValue::Digest(goods.plain_root()))]
}

/// How a price is paid, in words.
pub(crate) fn means(price: &Price) -> FieldValue {
    FieldValue::Text(format!("{} ({})", price.system.as_str(), price.issuer))
}

/// What stands in a table of named parties.
pub(crate) fn parties<'a>(named: impl IntoIterator<Item = &'a Named>) -> FieldValue {
    let row = |named: &Named| {
        Row::from([("name".to_owned(), text(&named.name)), ("key".to_owned(), FieldValue::Party(named.key_set))])
    };
    FieldValue::Table(named.into_iter().map(row).collect())
}

/// The rows of a table; none if the text does not have it.
pub(crate) fn rows<'a>(document: &'a Document, table: &str) -> &'a [Row] {
    match document.fields.get(table) {
        Some(FieldValue::Table(rows)) => rows,
        _ => &[],
    }
}

/// The text with all its fields.
pub(crate) fn fill(template: &Template, locale: &str, facts: impl IntoIterator<Item = Fact>) -> Document {
    facts.into_iter().fold(Document::new(template, locale), |document, (name, value)| document.with(name, value))
}

/// The text must say what the contract says. The error is the first field that differs.
pub(crate) fn agree(document: &Document, facts: impl IntoIterator<Item = Fact>) -> Result<(), &'static str> {
    let differs = facts.into_iter().find(|(name, value)| document.fields.get(*name) != Some(value));
    differs.map_or(Ok(()), |(name, _)| Err(name))
}

/// A table of named parties must have just these, in this order. The error is the table's name.
pub(crate) fn agree_on(document: &Document, table: &'static str, parties: &[PartyRef]) -> Result<(), &'static str> {
    let shown = rows(document, table).iter().map(|row| row.get("key").cloned());
    let same = shown.eq(parties.iter().map(|party| Some(FieldValue::Party(party.key_set))));
    if same { Ok(()) } else { Err(table) }
}

/// Whether a text is the expected one, or is left out where nothing is expected.
pub(crate) fn said(document: &Document, name: &str, expected: &str) -> bool {
    match document.fields.get(name) {
        Some(FieldValue::Text(found) | FieldValue::LongText(found)) => found == expected,
        Some(_) => false,
        None => expected.is_empty(),
    }
}

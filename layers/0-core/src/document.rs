//! Documents: the filled fields of a template, and the one text that they make in a language. What is signed is what was shown.
//!
//! The text is made without any locale library and is the same on every machine for ever. Nothing that is signed is invisible:
//! fields that the template's text does not show, and fields that the template does not know, follow under "Further fields".
//! Values cannot imitate the template's words: see [`text::escape`](crate::text::escape); lines of a long text begin with `| `.
//!
//! ```text
//! document = { 0: 1, 1: template id, 2: locale, 3: { * name => value } }
//! value    = [ "text", tstr ] / [ "long-text", tstr ] / [ "uint", uint ] / [ "amount", amount ] / [ "time", time ]
//!          / [ "digest", bstr ] / [ "party", key set id ] / [ "bytes", bstr ] / [ "choice", tstr ]
//!          / [ "table", [+ { + name => value }] ]
//! ```
//! Start reading at [`Document::render`]. Source: `spec/documents.md` §2-5.

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization;

use crate::amount::Amount;
use crate::cbor::{Decode, DecodeError, Encode, Fields, Map, Problem, Value, record};
use crate::contract::TextRef;
use crate::domain;
use crate::hash::Digest;
use crate::ids::{KeySetId, TemplateId};
use crate::template::{self, Block, FieldDef, FieldKind, LOCALE_MAX, Line, Part, Presence, Template};
use crate::text::escape;
use crate::time::Time;

/// Most fields of a document.
pub const FIELDS_MAX: usize = template::FIELDS_MAX;
/// Longest value of a text or choice, in bytes of UTF-8.
pub const TEXT_MAX: usize = 4096;
/// Longest value of a long text, in bytes of UTF-8.
pub const LONG_TEXT_MAX: usize = 64 * 1024;
/// Longest value of a field of bytes.
pub const VALUE_BYTES_MAX: usize = 1024;
/// Most rows of a table.
pub const ROWS_MAX: usize = 1000;
/// Longest text that is shown, in bytes of UTF-8.
pub const RENDERED_MAX: usize = 4 * 1024 * 1024;
/// Most spaces at the beginning of a line of a long text that are shown as they are.
const INDENT_MAX: usize = 8;

/// Filled fields of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Document {
    /// The template.
    pub template: TemplateId,
    /// The language in which it is shown, as a tag that the template has a text for.
    pub locale: String,
    /// The fields by name.
    pub fields: BTreeMap<String, FieldValue>,
}

/// The content of a field. Texts count in Unicode form NFC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FieldValue {
    /// One line of text.
    Text(String),
    /// Text of several lines, divided by `\n`.
    LongText(String),
    /// A number.
    Uint(u64),
    /// An amount of money.
    Amount(Amount),
    /// A point in time.
    Time(Time),
    /// A hash.
    Digest(Digest),
    /// A party.
    Party(KeySetId),
    /// Bytes.
    Bytes(Vec<u8>),
    /// One of the options of the field.
    Choice(String),
    /// At least one row.
    Table(Vec<Row>),
}

/// A row of a table: at least one cell, by column. A cell is no long text and no table.
pub type Row = BTreeMap<String, FieldValue>;

/// A document as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rendered {
    /// The text; every line ends with `\n`.
    pub text: String,
    /// `H("semper/render/1" ‖ text in UTF-8)`.
    pub hash: Digest,
}

/// Why a document cannot be shown, or is not what was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The document was filled for another template.
    #[error("the document is for template {expected}, not for {found}")]
    OtherTemplate {
        /// The template that the document names.
        expected: TemplateId,
        /// The one that was given.
        found: TemplateId,
    },
    /// The template has no text in the document's language.
    #[error("the template has no text in the language {0:?}")]
    UnknownLocale(String),
    /// A required field or column is not filled.
    #[error("{0}: required, but not filled")]
    Missing(String),
    /// A field holds another kind of value than the template says.
    #[error("{field}: expected {expected}, found {found}")]
    WrongKind {
        /// The field.
        field: String,
        /// The kind that the template says.
        expected: &'static str,
        /// The kind that was found.
        found: &'static str,
    },
    /// A choice is none of the options.
    #[error("{0}: not one of the options")]
    NotAnOption(String),
    /// A field breaks a rule that holds for every document.
    #[error("the document is malformed: {0}")]
    Malformed(DecodeError),
    /// The text would be longer than [`RENDERED_MAX`].
    #[error("the text is longer than {RENDERED_MAX} bytes")]
    TooLong,
    /// The signed reference is to something else.
    #[error("the {0} is not the signed one")]
    NotSigned(&'static str),
}

impl Document {
    /// An empty document for a template, to be shown in a language.
    pub fn new(template: &Template, locale: impl Into<String>) -> Self {
        Self { template: template.id(), locale: locale.into(), fields: BTreeMap::new() }
    }

    /// The same document with one field filled.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: FieldValue) -> Self {
        self.fields.insert(name.into(), value);
        self
    }

    /// Checks the document against its template. Fields that the template does not know are allowed: they are shown.
    ///
    /// # Errors
    /// [`DocumentError`]: another template or language; a field that is missing, of the wrong kind or malformed.
    pub fn check(&self, template: &Template) -> Result<(), DocumentError> {
        if template.id() != self.template {
            return Err(DocumentError::OtherTemplate { expected: self.template, found: template.id() });
        }
        if !template.texts().contains_key(&self.locale) {
            return Err(DocumentError::UnknownLocale(self.locale.clone()));
        }
        check_shape(&self.fields).map_err(DocumentError::Malformed)?;
        if self.to_bytes().len() > Self::BYTES_MAX {
            let problem = Problem::Oversized { limit: Self::BYTES_MAX };
            return Err(DocumentError::Malformed(DecodeError::field("document", problem)));
        }
        check_fields(template.fields(), &self.fields)
    }

    /// `H("semper/fields/1" ‖ the map of the fields)`: the same in every language.
    pub fn fields_hash(&self) -> Digest {
        Digest::of(domain::FIELDS, &Value::Map(fields_to_map(&self.fields)).encode())
    }

    /// The hashes that the document names, such as those of files that belong to it.
    pub fn digests(&self) -> Vec<Digest> {
        let cells = self.fields.values().flat_map(|value| match value {
            FieldValue::Table(rows) => rows.iter().flat_map(BTreeMap::values).collect(),
            value => vec![value],
        });
        cells.filter_map(|value| if let FieldValue::Digest(digest) = value { Some(*digest) } else { None }).collect()
    }

    /// The text that people read and sign.
    ///
    /// # Errors
    /// What [`Document::check`] refuses; `TooLong`.
    pub fn render(&self, template: &Template) -> Result<Rendered, DocumentError> {
        self.check(template)?;
        let blocks = template.blocks(&self.locale).ok_or_else(|| DocumentError::UnknownLocale(self.locale.clone()))?;
        let mut page = Page::default();
        for block in &blocks {
            match block {
                Block::Line(line) => page.line(line, &self.fields)?,
                Block::Rows { table, lines } => {
                    let Some(FieldValue::Table(rows)) = self.fields.get(*table) else { continue };
                    for row in rows {
                        lines.iter().try_for_each(|line| page.line(line, row))?;
                    }
                }
            }
        }
        self.further_fields(template, &Shown::by(&blocks), &mut page)?;
        let hash = Digest::of(domain::RENDER, page.text.as_bytes());
        Ok(Rendered { text: page.text, hash })
    }

    /// What a contract says about this document.
    ///
    /// # Errors
    /// As [`Document::render`].
    pub fn text_ref(&self, template: &Template) -> Result<TextRef, DocumentError> {
        let render = self.render(template)?.hash;
        Ok(TextRef { template: self.template, fields: self.fields_hash(), locale: self.locale.clone(), render })
    }

    /// Checks that this document and template are what a contract refers to, and gives the text that was shown.
    ///
    /// # Errors
    /// As [`Document::render`]; `NotSigned` names the part that differs.
    pub fn check_text_ref(&self, template: &Template, signed: &TextRef) -> Result<Rendered, DocumentError> {
        let rendered = self.render(template)?;
        let same = |same: bool, part| if same { Ok(()) } else { Err(DocumentError::NotSigned(part)) };
        same(signed.template == self.template, "template")?;
        same(signed.fields == self.fields_hash(), "content")?;
        same(signed.locale == self.locale, "language")?;
        same(signed.render == rendered.hash, "text")?;
        Ok(rendered)
    }

    /// Shows what the template's text does not: one field or cell a line, under a heading.
    fn further_fields(&self, template: &Template, shown: &Shown<'_>, page: &mut Page) -> Result<(), DocumentError> {
        let mut heading = Some("\nFurther fields:\n");
        for (name, value) in in_order(template.fields(), &self.fields) {
            let def = template.field(name);
            let title = title(def, name, &self.locale);
            match value {
                FieldValue::Table(rows) => {
                    let columns = def.map_or(&[][..], |def| def.kind.columns());
                    for (i, row) in rows.iter().enumerate() {
                        for (column, cell) in in_order(columns, row).filter(|(column, _)| !shown.column(name, column)) {
                            let def = columns.iter().find(|def| def.name == *column);
                            let title = format!("{title}, row {}, {}", i + 1, self::title(def, column, &self.locale));
                            page.push(heading.take().unwrap_or_default())?;
                            page.push(&format!("- {title}: {}\n", cell.shown()))?;
                        }
                    }
                }
                _ if shown.field(name) => {}
                FieldValue::LongText(text) => {
                    page.push(heading.take().unwrap_or_default())?;
                    page.push(&format!("- {title}:\n"))?;
                    page.long_text(text)?;
                }
                value => {
                    page.push(heading.take().unwrap_or_default())?;
                    page.push(&format!("- {title}: {}\n", value.shown()))?;
                }
            }
        }
        Ok(())
    }
}

impl FieldValue {
    /// The name of its kind, as [`FieldKind::name`].
    pub const fn kind_name(&self) -> &'static str {
        match self {
            FieldValue::Text(_) => "text",
            FieldValue::LongText(_) => "long-text",
            FieldValue::Uint(_) => "uint",
            FieldValue::Amount(_) => "amount",
            FieldValue::Time(_) => "time",
            FieldValue::Digest(_) => "digest",
            FieldValue::Party(_) => "party",
            FieldValue::Bytes(_) => "bytes",
            FieldValue::Choice(_) => "choice",
            FieldValue::Table(_) => "table",
        }
    }

    /// The value in one line. A backslash before a letter cannot come from a text: there it is doubled.
    fn shown(&self) -> String {
        let line = match self {
            FieldValue::Text(text) | FieldValue::LongText(text) | FieldValue::Choice(text) => escape(text, 0),
            FieldValue::Uint(n) => n.to_string(),
            FieldValue::Amount(amount) => amount.to_string(),
            FieldValue::Time(time) => time.to_string(),
            FieldValue::Digest(digest) => digest.to_hex(),
            FieldValue::Party(party) => party.to_string(),
            FieldValue::Bytes(bytes) => data_encoding::HEXLOWER.encode(bytes),
            FieldValue::Table(_) => unreachable!("tables are shown row by row, and cells are no tables"),
        };
        if line.is_empty() { "\\empty".to_owned() } else { line }
    }
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &Line<'_>, fields: &BTreeMap<String, FieldValue>) -> Result<(), DocumentError> {
        for part in line {
            match part {
                Part::Words(words) => self.push(words)?,
                Part::Field(name) => match fields.get(*name) {
                    None => self.push("\\none")?,
                    // Alone in its line, and ends it itself.
                    Some(FieldValue::LongText(text)) => return self.long_text(text),
                    Some(value) => self.push(&value.shown())?,
                },
            }
        }
        self.push("\n")
    }

    fn long_text(&mut self, text: &str) -> Result<(), DocumentError> {
        text.split('\n').try_for_each(|line| self.push(&format!("| {}\n", escape(line, INDENT_MAX))))
    }

    fn push(&mut self, text: &str) -> Result<(), DocumentError> {
        if self.text.len() + text.len() > RENDERED_MAX {
            return Err(DocumentError::TooLong);
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// The fields, and the columns of tables, that a template's text shows.
struct Shown<'a>(BTreeSet<(&'a str, Option<&'a str>)>);

impl<'a> Shown<'a> {
    fn by(blocks: &[Block<'a>]) -> Self {
        let names = |line: &Line<'a>| {
            line.iter()
                .filter_map(|part| if let Part::Field(name) = part { Some(*name) } else { None })
                .collect::<Vec<_>>()
        };
        Self(
            blocks
                .iter()
                .flat_map(|block| match block {
                    Block::Line(line) => names(line).into_iter().map(|name| (name, None)).collect::<Vec<_>>(),
                    Block::Rows { table, lines } => {
                        lines.iter().flat_map(names).map(|column| (*table, Some(column))).collect()
                    }
                })
                .collect(),
        )
    }

    fn field(&self, name: &str) -> bool {
        self.0.contains(&(name, None))
    }

    fn column(&self, table: &str, column: &str) -> bool {
        self.0.contains(&(table, Some(column)))
    }
}

/// The fields that are there: first as the template orders them, then the ones that it does not know, by name.
fn in_order<'a>(
    defs: &'a [FieldDef],
    fields: &'a BTreeMap<String, FieldValue>,
) -> impl Iterator<Item = (&'a String, &'a FieldValue)> {
    let known = defs.iter().filter_map(|def| fields.get_key_value(&def.name));
    known.chain(fields.iter().filter(|(name, _)| !defs.iter().any(|def| def.name == **name)))
}

/// `Label (name)`, or the name alone where the template does not know it.
fn title(def: Option<&FieldDef>, name: &str, locale: &str) -> String {
    match def.and_then(|def| def.labels.get(locale)) {
        Some(label) => format!("{label} ({name})"),
        None => name.to_owned(),
    }
}

fn check_fields(defs: &[FieldDef], fields: &BTreeMap<String, FieldValue>) -> Result<(), DocumentError> {
    for def in defs {
        let field = || def.name.clone();
        match (fields.get(&def.name), &def.kind) {
            (None, _) if def.presence == Presence::Required => return Err(DocumentError::Missing(field())),
            (None, _) => {}
            (Some(value), kind) if value.kind_name() != kind.name() => {
                let (expected, found) = (kind.name(), value.kind_name());
                return Err(DocumentError::WrongKind { field: field(), expected, found });
            }
            (Some(FieldValue::Choice(choice)), FieldKind::Choice(options)) if !options.contains(choice) => {
                return Err(DocumentError::NotAnOption(field()));
            }
            (Some(FieldValue::Table(rows)), FieldKind::Table(columns)) => {
                rows.iter().try_for_each(|row| check_fields(columns, row))?;
            }
            (Some(_), _) => {}
        }
    }
    Ok(())
}

/// The rules that hold for every document, whatever its template.
fn check_shape(fields: &BTreeMap<String, FieldValue>) -> Result<(), DecodeError> {
    if fields.len() > FIELDS_MAX {
        return Err(DecodeError::field("fields", Problem::Oversized { limit: FIELDS_MAX }));
    }
    for (name, value) in fields {
        if !template::is_name(name) {
            return Err(DecodeError::field(format!("fields.{name:?}"), Problem::OutOfRange("not the name of a field")));
        }
        check_value(value).map_err(|problem| DecodeError::field(format!("fields.{name}"), problem))?;
    }
    Ok(())
}

fn check_value(value: &FieldValue) -> Result<(), Problem> {
    let limit = |found: usize, limit| if found > limit { Err(Problem::Oversized { limit }) } else { Ok(()) };
    // What counts is the form that is encoded; it can be longer than the one that was typed.
    let length = |text: &str| text.nfc().map(char::len_utf8).sum();
    match value {
        FieldValue::Text(text) | FieldValue::Choice(text) => limit(length(text), TEXT_MAX),
        FieldValue::LongText(text) => limit(length(text), LONG_TEXT_MAX),
        FieldValue::Bytes(bytes) => limit(bytes.len(), VALUE_BYTES_MAX),
        FieldValue::Table(rows) => {
            limit(rows.len(), ROWS_MAX)?;
            if rows.is_empty() || rows.iter().any(BTreeMap::is_empty) {
                return Err(Problem::OutOfRange("a table has rows and a row has cells; what is empty is left out"));
            }
            rows.iter().try_for_each(check_row)
        }
        _ => Ok(()),
    }
}

fn check_row(row: &Row) -> Result<(), Problem> {
    if row.len() > template::COLUMNS_MAX {
        return Err(Problem::Oversized { limit: template::COLUMNS_MAX });
    }
    for (column, cell) in row {
        if !template::is_name(column) {
            return Err(Problem::OutOfRange("not the name of a column"));
        }
        if matches!(cell, FieldValue::LongText(_) | FieldValue::Table(_)) {
            return Err(Problem::OutOfRange("a cell of a table is no long text and no table"));
        }
        check_value(cell)?;
    }
    Ok(())
}

impl Encode for Document {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.template)
            .put(2, self.locale.as_str())
            .put(3, fields_to_map(&self.fields))
            .build()
    }
}

impl Decode for Document {
    const BYTES_MAX: usize = 1024 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (template, locale) = (fields.item(1, "template")?, fields.text(2, "locale", LOCALE_MAX)?);
        if !template::is_locale(&locale) {
            return Err(DecodeError::field("locale", Problem::OutOfRange("not a language tag such as en or de-AT")));
        }
        let values = read_fields(fields.value(3, "fields")?).map_err(|e| e.within("fields"))?;
        fields.close()?;
        check_shape(&values)?;
        Ok(Self { template, locale, fields: values })
    }
}

fn fields_to_map(fields: &BTreeMap<String, FieldValue>) -> Map {
    let mut map = Map::new();
    for (name, value) in fields {
        map.insert(name.as_str(), value.to_value());
    }
    map
}

fn read_fields(value: Value) -> Result<BTreeMap<String, FieldValue>, DecodeError> {
    let Value::Map(map) = value else {
        return Err(DecodeError::field("", Problem::WrongType { expected: "a map", found: value.type_name() }));
    };
    map.into_iter()
        .map(|(name, value)| {
            let name = String::from_value(name)?;
            let value = FieldValue::from_value(value).map_err(|e| e.within(&name))?;
            Ok((name, value))
        })
        .collect()
}

impl Encode for FieldValue {
    fn to_value(&self) -> Value {
        let value = match self {
            FieldValue::Text(text) | FieldValue::LongText(text) | FieldValue::Choice(text) => text.as_str().into(),
            FieldValue::Uint(n) => Value::Uint(*n),
            FieldValue::Amount(amount) => amount.to_value(),
            FieldValue::Time(time) => time.to_value(),
            FieldValue::Digest(digest) => digest.to_value(),
            FieldValue::Party(party) => party.to_value(),
            FieldValue::Bytes(bytes) => Value::bytes(bytes.as_slice()),
            FieldValue::Table(rows) => rows.iter().map(|row| Value::Map(fields_to_map(row))).collect::<Vec<_>>().into(),
        };
        Value::Array(vec![self.kind_name().into(), value])
    }
}

impl Decode for FieldValue {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let malformed = || DecodeError::field("", Problem::OutOfRange("a value is its kind and its content"));
        let Value::Array(parts) = value else { return Err(malformed()) };
        let [kind, content]: [Value; 2] = parts.try_into().map_err(|_| malformed())?;
        let kind = String::from_value(kind)?;
        Ok(match kind.as_str() {
            "text" => FieldValue::Text(String::from_value(content)?),
            "long-text" => FieldValue::LongText(String::from_value(content)?),
            "uint" => FieldValue::Uint(u64::from_value(content)?),
            "amount" => FieldValue::Amount(Amount::from_value(content)?),
            "time" => FieldValue::Time(Time::from_value(content)?),
            "digest" => FieldValue::Digest(Digest::from_value(content)?),
            "party" => FieldValue::Party(KeySetId::from_value(content)?),
            "bytes" => FieldValue::Bytes(Vec::from_value(content)?),
            "choice" => FieldValue::Choice(String::from_value(content)?),
            "table" => match content {
                Value::Array(rows) => FieldValue::Table(rows.into_iter().map(read_fields).collect::<Result<_, _>>()?),
                _ => return Err(malformed()),
            },
            _ => return Err(DecodeError::field("", Problem::Unknown { what: "kind of field", found: kind })),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn template() -> Template {
        let label = |def: FieldDef, en: &str, de: &str| def.label("en", en).label("de", de);
        let columns = vec![
            label(FieldDef::required("article", FieldKind::Text), "Article", "Artikel"),
            label(FieldDef::optional("price", FieldKind::Amount), "Price", "Preis"),
            label(FieldDef::optional("file", FieldKind::Digest), "File", "Datei"),
        ];
        let options = FieldKind::Choice(vec!["consumer".to_owned(), "enterprise".to_owned()]);
        let fields = vec![
            label(FieldDef::required("seller", FieldKind::Party), "Seller", "Verkäufer"),
            label(FieldDef::required("buyer", FieldKind::Text), "Buyer", "Käufer"),
            label(FieldDef::required("items", FieldKind::Table(columns)), "Items", "Posten"),
            label(FieldDef::optional("until", FieldKind::Time), "Until", "Bis"),
            label(FieldDef::optional("status", options), "Status", "Status"),
            label(FieldDef::optional("remarks", FieldKind::LongText), "Remarks", "Bemerkungen"),
            label(FieldDef::optional("vat-id", FieldKind::Text), "VAT id", "UID"),
        ];
        let en = "{seller} sells to {buyer} ({status}) {{x}\n{#items}\n- {article}: {price}\n{/items}\nRemarks:\n{remarks}\n\
                  Until {until}.\n";
        let de = "{seller} verkauft an {buyer}:\n{#items}\n- {article}, {price}\n{/items}\n";
        let texts = BTreeMap::from([("en".to_owned(), en.to_owned()), ("de".to_owned(), de.to_owned())]);
        Template::new("test.order", 1, fields, texts).unwrap()
    }

    fn row(article: &str) -> Row {
        let price = FieldValue::Amount(Amount::parse("12.00 EUR").unwrap());
        Row::from([("article".to_owned(), FieldValue::Text(article.to_owned())), ("price".to_owned(), price)])
    }

    fn document() -> Document {
        Document::new(&template(), "en")
            .with("seller", FieldValue::Party(KeySetId::from_digest(Digest::from_array([0xab; 32]))))
            .with("buyer", FieldValue::Text("Alice".to_owned()))
            .with("items", FieldValue::Table(vec![row("Data")]))
    }

    // The text is signed: every byte of it is fixed.
    #[test]
    fn the_text_is_exactly_this() {
        let full = document()
            .with(
                "items",
                FieldValue::Table(vec![row("Data"), {
                    let mut row = row("More");
                    row.remove("price");
                    row.insert("file".to_owned(), FieldValue::Digest(Digest::from_array([1; 32])));
                    row
                }]),
            )
            .with("until", FieldValue::Time(Time::from_unix(1_795_246_200)))
            .with("status", FieldValue::Choice("consumer".to_owned()))
            .with("remarks", FieldValue::LongText("first\n  second {buyer}\n".to_owned()))
            .with("vat-id", FieldValue::Text(String::new()))
            .with("zip", FieldValue::Uint(1010));
        let seller = "ab".repeat(32);
        let file = "01".repeat(32);
        assert_eq!(
            full.render(&template()).unwrap().text,
            format!(
                "{seller} sells to Alice (consumer) {{x}}\n- Data: 12.00 EUR\n- More: \\none\nRemarks:\n| first\n|   second {{buyer}}\n\
                 | \nUntil 2026-11-21 07:30:00 UTC.\n\nFurther fields:\n- Items (items), row 2, File (file): {file}\n\
                 - VAT id (vat-id): \\empty\n- zip: 1010\n"
            )
        );
        let mut german = full.clone();
        german.locale = "de".to_owned();
        assert_eq!(
            german.render(&template()).unwrap().text,
            format!(
                "{seller} verkauft an Alice:\n- Data, 12.00 EUR\n- More, \\none\n\nFurther fields:\n\
                 - Posten (items), row 2, Datei (file): {file}\n- Bis (until): 2026-11-21 07:30:00 UTC\n- Status (status): consumer\n\
                 - Bemerkungen (remarks):\n| first\n|   second {{buyer}}\n| \n- UID (vat-id): \\empty\n- zip: 1010\n"
            )
        );
        assert_eq!(full.fields_hash(), german.fields_hash());
        assert_eq!(full.digests(), [Digest::from_array([1; 32])]);
        assert_eq!(Document::from_bytes(&full.to_bytes()), Ok(full));
    }

    // A value that opens a line of its own, or hides, could add words that its reader takes for the template's.
    #[test]
    fn a_value_cannot_imitate_the_template() {
        let evil = document()
            .with("buyer", FieldValue::Text("Eve\nUntil never.\u{202e} \\none".to_owned()))
            .with("remarks", FieldValue::LongText("x\nUntil never.\u{2028}y\n{until}".to_owned()));
        let text = evil.render(&template()).unwrap().text;
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].ends_with("sells to Eve\\u{a}Until never.\\u{202e} \\\\none (\\none) {x}"), "{text}");
        assert_eq!(lines[3..6], ["| x", "| Until never.\\u{2028}y", "| {until}"]);
        assert_eq!(lines.len(), 7);
    }

    #[test]
    fn what_the_template_does_not_allow_is_refused() {
        let template = template();
        let refused = |document: Document| document.check(&template).unwrap_err().to_string();
        let mut missing = document();
        missing.fields.remove("buyer");
        let mut cell_missing = row("x");
        cell_missing.remove("article");
        let mut other_locale = document();
        other_locale.locale = "fr".to_owned();
        let other_template = Document { template: TemplateId::from_digest(Digest::from_array([0; 32])), ..document() };
        let nested = Row::from([("article".to_owned(), FieldValue::Table(vec![row("x")]))]);
        for (document, words) in [
            (missing, "buyer: required"),
            (document().with("items", FieldValue::Table(vec![cell_missing])), "article: required"),
            (other_locale, "language"),
            (other_template, "is for template"),
            (document().with("buyer", FieldValue::Uint(1)), "expected text, found uint"),
            (document().with("status", FieldValue::Choice("x".to_owned())), "not one of the options"),
            (document().with("items", FieldValue::Table(Vec::new())), "a table has rows"),
            (document().with("items", FieldValue::Table(vec![Row::new()])), "a row has cells"),
            (document().with("items", FieldValue::Table(vec![nested])), "no long text and no table"),
            (document().with("Bad Name", FieldValue::Uint(1)), "not the name of a field"),
            (document().with("buyer", FieldValue::Text("x".repeat(TEXT_MAX + 1))), "limit"),
            // Three bytes here are six in NFC.
            (document().with("buyer", FieldValue::Text("\u{fb2c}".repeat(TEXT_MAX / 6 + 1))), "limit"),
            (
                (0..17)
                    .fold(document(), |d, i| d.with(format!("x{i}"), FieldValue::LongText("x".repeat(LONG_TEXT_MAX)))),
                "limit",
            ),
        ] {
            let error = refused(document);
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn a_text_that_grows_without_measure_is_refused() {
        let fields = vec![FieldDef::required("a", FieldKind::LongText).label("en", "A")];
        let texts = BTreeMap::from([("en".to_owned(), "{a}\n\n".repeat(1000))]);
        let template = Template::new("long", 1, fields, texts).unwrap();
        let document = Document::new(&template, "en").with("a", FieldValue::LongText("\0".repeat(LONG_TEXT_MAX)));
        assert_eq!(document.render(&template), Err(DocumentError::TooLong));
    }

    // What is signed is what was shown: change any part, and the reference does not hold.
    #[test]
    fn a_text_ref_holds_for_exactly_one_text() {
        let (template, document) = (template(), document());
        let signed = document.text_ref(&template).unwrap();
        assert_eq!(document.check_text_ref(&template, &signed).unwrap(), document.render(&template).unwrap());
        let other = Digest::from_array([9; 32]);
        for (signed, part) in [
            (TextRef { template: TemplateId::from_digest(other), ..signed.clone() }, "template"),
            (TextRef { fields: other, ..signed.clone() }, "content"),
            (TextRef { locale: "de".to_owned(), ..signed.clone() }, "language"),
            (TextRef { render: other, ..signed.clone() }, "text"),
        ] {
            assert_eq!(document.check_text_ref(&template, &signed), Err(DocumentError::NotSigned(part)));
        }
        let changed = document.with("buyer", FieldValue::Text("Mallory".to_owned()));
        assert_eq!(changed.check_text_ref(&template, &signed), Err(DocumentError::NotSigned("content")));
    }
}

//! Templates: which fields a document has, and the words around them that people read and sign.
//!
//! A template is data: typed fields with labels, and one plain text per language in which the fields are named. It is known by the
//! hash of its encoding and is checked whenever one is made or read, so that every [`Template`] shows every required field in
//! every language. How a filled document is shown: [`crate::document`].
//!
//! ```text
//! template = { 0: 1, 1: name, 2: version, 3: [* field], 4: { + locale => text } }
//! field    = { 0: name, 1: kind, 2: required, 3: { + locale => label }, ? 4: [+ option], ? 5: [+ field (column)] }
//! ```
//! A text consists of lines. `{field}` stands for a field, `{{` for a brace. A table is a block of lines between a line `{#table}`
//! and a line `{/table}`; the block is repeated for each row, and `{column}` in it stands for a cell. A long text stands alone in
//! its line:
//! ```text
//! {seller} sells to {buyer}:
//! {#items}
//! - {quantity} x {article} at {price}
//! {/items}
//! Remarks:
//! {remarks}
//! ```
//! Source: `spec/documents.md` §1.

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::char::is_combining_mark;
use unicode_normalization::is_nfc;

use crate::cbor::{Decode, DecodeError, Encode, Fields, Map, Problem, Value, record};
use crate::domain;
use crate::hash::Digest;
use crate::ids::TemplateId;
use crate::text;

/// Most fields of a template.
pub const FIELDS_MAX: usize = 128;
/// Most columns of a table.
pub const COLUMNS_MAX: usize = 16;
/// Most options of a choice.
pub const OPTIONS_MAX: usize = 64;
/// Most languages of a template.
pub const LOCALES_MAX: usize = 16;
/// Longest text of a template in one language, in bytes of UTF-8.
pub const TEXT_MAX: usize = 64 * 1024;
/// Longest name of a template or field, in bytes.
pub const NAME_MAX: usize = 64;
/// Longest label or option, in bytes of UTF-8.
pub const LABEL_MAX: usize = 256;
/// Longest language tag, in bytes.
pub const LOCALE_MAX: usize = 35;

/// The fields and words of one kind of document. Every value of this type has passed every check of this module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    name: String,
    version: u64,
    fields: Vec<FieldDef>,
    texts: BTreeMap<String, String>,
}

/// A field of a template, or a column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldDef {
    /// The name: a lower-case letter, then lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether a document may leave it out.
    pub presence: Presence,
    /// What people call it, in each language of the template.
    pub labels: BTreeMap<String, String>,
}

/// Whether a document may leave a field out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// It must be filled, and every text shows it.
    Required,
    /// It may be left out.
    Optional,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// One line of text.
    Text,
    /// Text of several lines.
    LongText,
    /// A number from 0 to 2^64 - 1.
    Uint,
    /// An amount of money.
    Amount,
    /// A point in time.
    Time,
    /// A hash, for example of a file that belongs to the document.
    Digest,
    /// A party, by its key set.
    Party,
    /// Bytes.
    Bytes,
    /// One of these texts.
    Choice(Vec<String>),
    /// Rows with these columns; a column is no long text and no table.
    Table(Vec<FieldDef>),
}

impl Template {
    /// A template. `name` follows the rule for names of fields, dots allowed; `texts` has one text per language tag.
    ///
    /// # Errors
    /// The place and the rule that is broken: a bound of this module; a name, language tag, label or option that is malformed or
    /// would deceive; a name that is taken twice; a label that is missing in one of the languages; a text that names a field that
    /// is not there, does not show a required one, nests tables, or holds characters that a reader cannot see.
    pub fn new(
        name: impl Into<String>,
        version: u64,
        fields: Vec<FieldDef>,
        texts: BTreeMap<String, String>,
    ) -> Result<Self, DecodeError> {
        let template = Self { name: name.into(), version, fields, texts };
        template.check()?;
        if template.to_bytes().len() > Self::BYTES_MAX {
            return Err(DecodeError::field("template", Problem::Oversized { limit: Self::BYTES_MAX }));
        }
        Ok(template)
    }

    /// The identifier: `H("semper/template/1" ‖ template)`.
    pub fn id(&self) -> TemplateId {
        TemplateId::from_digest(Digest::of(domain::TEMPLATE, &self.to_bytes()))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version; templates of one name and different versions are different templates.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The fields, in the order in which forms show them.
    pub fn fields(&self) -> &[FieldDef] {
        &self.fields
    }

    /// The field with a name.
    pub fn field(&self, name: &str) -> Option<&FieldDef> {
        find(&self.fields, name)
    }

    /// The texts by language tag.
    pub fn texts(&self) -> &BTreeMap<String, String> {
        &self.texts
    }

    /// The text in one language, taken apart.
    pub(crate) fn blocks(&self, locale: &str) -> Option<Vec<Block<'_>>> {
        let text = self.texts.get(locale)?;
        Some(parse(text).expect("the text was parsed when the template was checked"))
    }

    fn check(&self) -> Result<(), DecodeError> {
        if !is_name(&self.name.replace('.', "-")) {
            return Err(wrong("name", "a template's name is lower-case letters, digits, '-', '_' and '.', at most 64"));
        }
        limit("texts", self.texts.len(), LOCALES_MAX)?;
        if self.texts.is_empty() {
            return Err(wrong("texts", "a template has a text in at least one language"));
        }
        if let Some(locale) = self.texts.keys().find(|locale| !is_locale(locale)) {
            return Err(wrong(&format!("texts.{locale:?}"), "not a language tag such as en or de-AT"));
        }
        limit("fields", self.fields.len(), FIELDS_MAX)?;
        check_fields(&self.fields, &self.texts)?;
        self.texts.iter().try_for_each(|(locale, text)| {
            limit("text", text.len(), TEXT_MAX)
                .and_then(|()| check_text(&self.fields, text))
                .map_err(|e| e.within(&format!("texts.{locale}")))
        })
    }
}

impl FieldDef {
    /// A field that must be filled. Labels are added with [`FieldDef::label`].
    pub fn required(name: impl Into<String>, kind: FieldKind) -> Self {
        Self { name: name.into(), kind, presence: Presence::Required, labels: BTreeMap::new() }
    }

    /// A field that may be left out. Labels are added with [`FieldDef::label`].
    pub fn optional(name: impl Into<String>, kind: FieldKind) -> Self {
        Self { name: name.into(), kind, presence: Presence::Optional, labels: BTreeMap::new() }
    }

    /// The same field with a label in one more language.
    #[must_use]
    pub fn label(mut self, locale: impl Into<String>, label: impl Into<String>) -> Self {
        self.labels.insert(locale.into(), label.into());
        self
    }
}

impl FieldKind {
    /// The name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            FieldKind::Text => "text",
            FieldKind::LongText => "long-text",
            FieldKind::Uint => "uint",
            FieldKind::Amount => "amount",
            FieldKind::Time => "time",
            FieldKind::Digest => "digest",
            FieldKind::Party => "party",
            FieldKind::Bytes => "bytes",
            FieldKind::Choice(_) => "choice",
            FieldKind::Table(_) => "table",
        }
    }

    /// The columns of a table; of another kind, nothing.
    pub fn columns(&self) -> &[FieldDef] {
        match self {
            FieldKind::Table(columns) => columns,
            _ => &[],
        }
    }
}

/// Whether `name` can be the name of a field.
pub fn is_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// A part of a text: lines that are shown once, or for each row of a table.
#[derive(Debug)]
pub(crate) enum Block<'a> {
    Line(Line<'a>),
    Rows { table: &'a str, lines: Vec<Line<'a>> },
}

/// One line of a text.
pub(crate) type Line<'a> = Vec<Part<'a>>;

/// A part of a line.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    Words(&'a str),
    Field(&'a str),
}

/// Takes a text apart. Which fields there are is not looked at.
fn parse(text: &str) -> Result<Vec<Block<'_>>, DecodeError> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, Vec<Line<'_>>)> = None;
    for (i, line) in text.strip_suffix('\n').unwrap_or(text).split('\n').enumerate() {
        let at = |rule| wrong(&format!("line {}", i + 1), rule);
        let mark = |sign| line.strip_prefix(sign).and_then(|rest| rest.strip_suffix('}')).filter(|name| is_name(name));
        if let Some(table) = mark("{#") {
            if open.replace((table, Vec::new())).is_some() {
                return Err(at("a table stands inside another"));
            }
        } else if let Some(table) = mark("{/") {
            let (opened, lines) = open.take().ok_or_else(|| at("a table ends that has not begun"))?;
            if opened != table {
                return Err(at("another table ends than has begun"));
            }
            blocks.push(Block::Rows { table, lines });
        } else {
            let line = parse_line(line).map_err(at)?;
            match &mut open {
                Some((_, lines)) => lines.push(line),
                None => blocks.push(Block::Line(line)),
            }
        }
    }
    match open {
        Some((table, _)) => Err(wrong(table, "the table does not end")),
        None => Ok(blocks),
    }
}

fn parse_line(line: &str) -> Result<Line<'_>, &'static str> {
    let mut parts = Vec::new();
    let mut rest = line;
    while let Some(brace) = rest.find('{') {
        let (words, after) = rest.split_at(brace);
        if let Some(after) = after.strip_prefix("{{") {
            // The first brace is shown, the second is not.
            parts.push(Part::Words(&rest[..=brace]));
            rest = after;
            continue;
        }
        if !words.is_empty() {
            parts.push(Part::Words(words));
        }
        let (name, after) = after[1..].split_once('}').ok_or("a brace is not closed; write {{ for a brace")?;
        if !is_name(name) {
            return Err("not the name of a field; a table's marks stand alone in their line, a brace is written {{");
        }
        if let Some(Part::Field(_)) = parts.last() {
            return Err("two fields need words between them");
        }
        parts.push(Part::Field(name));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Words(rest));
    }
    match parts.first() {
        Some(Part::Words(words)) if words.starts_with('|') => {
            Err("a line begins with '|', which marks the lines of long texts")
        }
        _ if parts.iter().any(|part| matches!(part, Part::Words(words) if !is_plain(words))) => {
            Err("a backslash, or a character that a reader cannot see")
        }
        _ => Ok(parts),
    }
}

/// Words that are shown as they stand and do not act on a value before them.
fn is_plain(words: &str) -> bool {
    let mut before = ' ';
    words.chars().all(|c| {
        let based = !is_combining_mark(c) || before != ' ';
        before = c;
        based && (c == ' ' || text::is_visible(c))
    })
}

fn check_text(fields: &[FieldDef], text: &str) -> Result<(), DecodeError> {
    if !is_nfc(text) {
        return Err(DecodeError::field("text", Problem::NotNfc));
    }
    let mut shown = BTreeSet::new();
    let mut after_long_text = false;
    for block in parse(text)? {
        let is_long_text = match block {
            Block::Line(line) => check_line(fields, &line, &mut shown)?,
            Block::Rows { table, lines } => {
                let field = find(fields, table).filter(|field| matches!(field.kind, FieldKind::Table(_)));
                let columns = field.ok_or_else(|| wrong(table, "there is no table of this name"))?.kind.columns();
                let mut shown_columns = BTreeSet::new();
                for line in &lines {
                    check_line(columns, line, &mut shown_columns).map_err(|e| e.within(table))?;
                }
                check_all_shown(columns, &shown_columns).map_err(|e| e.within(table))?;
                shown.insert(table);
                false
            }
        };
        if is_long_text && after_long_text {
            return Err(wrong("text", "two long texts need a line between them"));
        }
        after_long_text = is_long_text;
    }
    check_all_shown(fields, &shown)
}

/// Checks the fields that a line names, and says whether it is that of a long text.
fn check_line<'a>(fields: &[FieldDef], line: &[Part<'a>], shown: &mut BTreeSet<&'a str>) -> Result<bool, DecodeError> {
    let mut is_long_text = false;
    for part in line {
        let Part::Field(name) = part else { continue };
        match &find(fields, name).ok_or_else(|| wrong(name, "there is no field of this name"))?.kind {
            FieldKind::Table(_) => return Err(wrong(name, "a table is shown by a block of lines")),
            FieldKind::LongText if line.len() > 1 => return Err(wrong(name, "a long text stands alone in its line")),
            kind => is_long_text = *kind == FieldKind::LongText,
        }
        shown.insert(name);
    }
    Ok(is_long_text && line.len() == 1)
}

fn check_all_shown(fields: &[FieldDef], shown: &BTreeSet<&str>) -> Result<(), DecodeError> {
    let missing = fields.iter().find(|f| f.presence == Presence::Required && !shown.contains(f.name.as_str()));
    missing.map_or(Ok(()), |field| Err(wrong(&field.name, "a required field is not shown")))
}

fn check_fields(fields: &[FieldDef], texts: &BTreeMap<String, String>) -> Result<(), DecodeError> {
    let mut names = BTreeSet::new();
    for field in fields {
        check_field(field, texts).map_err(|e| e.within(&format!("fields.{:?}", field.name)))?;
        if !names.insert(&field.name) {
            return Err(wrong(&format!("fields.{}", field.name), "the name is taken twice"));
        }
    }
    Ok(())
}

fn check_field(field: &FieldDef, texts: &BTreeMap<String, String>) -> Result<(), DecodeError> {
    if !is_name(&field.name) {
        return Err(wrong("name", "a field's name is lower-case letters, digits, '-' and '_', at most 64"));
    }
    if !field.labels.keys().eq(texts.keys()) {
        return Err(wrong("labels", "a field has a label in each language of the texts, and in no other"));
    }
    field.labels.values().try_for_each(|label| check_words("labels", label))?;
    match &field.kind {
        FieldKind::Choice(options) => {
            limit("options", options.len(), OPTIONS_MAX)?;
            options.iter().try_for_each(|option| check_words("options", option))?;
            if options.is_empty() || options.iter().collect::<BTreeSet<_>>().len() != options.len() {
                return Err(wrong("options", "a choice has at least one option, and each once"));
            }
        }
        FieldKind::Table(columns) => {
            limit("columns", columns.len(), COLUMNS_MAX)?;
            let is_line = |column: &FieldDef| !matches!(column.kind, FieldKind::Table(_) | FieldKind::LongText);
            if columns.is_empty() || !columns.iter().all(is_line) {
                return Err(wrong("columns", "a table has columns, none of them a long text or a table"));
            }
            check_fields(columns, texts)?;
        }
        _ => {}
    }
    Ok(())
}

fn check_words(place: &str, words: &str) -> Result<(), DecodeError> {
    limit(place, words.len(), LABEL_MAX)?;
    if text::is_plain_line(words) {
        return Ok(());
    }
    Err(wrong(place, "empty, or not one line of visible characters in NFC"))
}

/// A language tag by its shape (BCP 47); whether it is registered is not checked.
pub(crate) fn is_locale(locale: &str) -> bool {
    let subtag = |subtag: &str| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric());
    locale.len() <= LOCALE_MAX && locale.split('-').all(subtag) && locale.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn find<'a>(fields: &'a [FieldDef], name: &str) -> Option<&'a FieldDef> {
    fields.iter().find(|field| field.name == name)
}

fn limit(place: &str, found: usize, limit: usize) -> Result<(), DecodeError> {
    if found > limit { Err(DecodeError::field(place, Problem::Oversized { limit })) } else { Ok(()) }
}

fn wrong(place: &str, rule: &'static str) -> DecodeError {
    DecodeError::field(place, Problem::OutOfRange(rule))
}

impl Encode for Template {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.name.as_str())
            .put(2, self.version)
            .put_list(3, &self.fields)
            .put(4, by_locale(&self.texts))
            .build()
    }
}

impl Decode for Template {
    const BYTES_MAX: usize = 2 * 1024 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (name, version) = (fields.text(1, "name", NAME_MAX)?, fields.uint(2, "version")?);
        let defs = fields.list(3, "fields", FIELDS_MAX)?;
        let texts = read_by_locale(&mut fields, 4, "texts", TEXT_MAX)?;
        fields.close()?;
        Self::new(name, version, defs, texts)
    }
}

impl Encode for FieldDef {
    fn to_value(&self) -> Value {
        let field = record()
            .put(0, self.name.as_str())
            .put(1, self.kind.name())
            .put(2, self.presence == Presence::Required)
            .put(3, by_locale(&self.labels));
        match &self.kind {
            FieldKind::Choice(options) => field.put_list(4, options),
            FieldKind::Table(columns) => field.put_list(5, columns),
            _ => field,
        }
        .build()
    }
}

impl Decode for FieldDef {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let name = fields.text(0, "name", NAME_MAX)?;
        let kind = fields.text(1, "kind", 16)?;
        let presence = if fields.bool(2, "required")? { Presence::Required } else { Presence::Optional };
        let labels = read_by_locale(&mut fields, 3, "labels", LABEL_MAX)?;
        let kind = match kind.as_str() {
            "text" => FieldKind::Text,
            "long-text" => FieldKind::LongText,
            "uint" => FieldKind::Uint,
            "amount" => FieldKind::Amount,
            "time" => FieldKind::Time,
            "digest" => FieldKind::Digest,
            "party" => FieldKind::Party,
            "bytes" => FieldKind::Bytes,
            "choice" => FieldKind::Choice(fields.list(4, "options", OPTIONS_MAX)?),
            "table" => FieldKind::Table(fields.list(5, "columns", COLUMNS_MAX)?),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "kind of field", found: kind })),
        };
        fields.close()?;
        Ok(Self { name, kind, presence, labels })
    }
}

fn by_locale(texts: &BTreeMap<String, String>) -> Map {
    let mut map = Map::new();
    for (locale, text) in texts {
        map.insert(locale.as_str(), text.as_str());
    }
    map
}

fn read_by_locale(
    fields: &mut Fields,
    key: u64,
    name: &str,
    bytes_max: usize,
) -> Result<BTreeMap<String, String>, DecodeError> {
    let Value::Map(map) = fields.value(key, name)? else {
        return Err(wrong(name, "one text per language tag is needed"));
    };
    limit(name, map.len(), LOCALES_MAX)?;
    let mut texts = BTreeMap::new();
    for (locale, text) in map {
        let (locale, text) = String::from_value(locale)
            .and_then(|locale| String::from_value(text).map(|text| (locale, text)))
            .map_err(|e| e.within(name))?;
        limit(name, text.len(), bytes_max)?;
        texts.insert(locale, text);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn template(text: &str) -> Result<Template, DecodeError> {
        let columns = vec![
            FieldDef::required("article", FieldKind::Text).label("en", "Article"),
            FieldDef::optional("price", FieldKind::Amount).label("en", "Price"),
        ];
        let fields = vec![
            FieldDef::required("seller", FieldKind::Party).label("en", "Seller"),
            FieldDef::optional("buyer", FieldKind::Party).label("en", "Buyer"),
            FieldDef::optional("remarks", FieldKind::LongText).label("en", "Remarks"),
            FieldDef::optional("notes", FieldKind::LongText).label("en", "Notes"),
            FieldDef::optional("items", FieldKind::Table(columns)).label("en", "Items"),
        ];
        Template::new("test", 1, fields, BTreeMap::from([("en".to_owned(), text.to_owned())]))
    }

    #[test]
    fn a_good_text_is_accepted_and_read_back() {
        for text in [
            "{seller}",
            "Seller: {seller}\n",
            "{{braces} and {seller} }",
            "{seller} sells\n{#items}\n- {article} at {price}\n{/items}\n\n{remarks}\nAnd:\n{notes}\n",
        ] {
            let template = template(text).expect(text);
            assert_eq!(Template::from_bytes(&template.to_bytes()), Ok(template));
        }
    }

    // A template that hides a required field, or whose words could be mistaken for a value, cheats whoever signs.
    #[test]
    fn a_text_that_hides_or_confuses_is_refused() {
        for (text, rule) in [
            ("nothing", "a required field is not shown"),
            ("{seller} {unknown}", "there is no field"),
            ("{seller} {buyer", "a brace is not closed"),
            ("{seller}{buyer}", "two fields need words between them"),
            ("{seller} {}", "not the name of a field"),
            ("{seller} {#items}", "not the name of a field"),
            ("{seller}\n{items}", "a table is shown by a block"),
            ("{seller}\n{#buyer}\n{/buyer}", "there is no table"),
            ("{seller}\n{#items}\n{price}\n{/items}", "a required field is not shown"),
            ("{seller}\n{#items}\n{seller} {article}\n{/items}", "there is no field"),
            ("{seller}\n{#items}\n{article}", "the table does not end"),
            ("{seller}\n{/items}", "a table ends that has not begun"),
            ("{seller}\n{#items}\n{#items}\n{/items}", "a table stands inside another"),
            ("{seller}\nRemarks: {remarks}", "a long text stands alone"),
            ("{seller}\n{remarks}\n{notes}", "two long texts need a line"),
            ("{seller}\n| words", "a line begins with '|'"),
            ("{seller} a\\b", "a backslash"),
            ("{seller} \u{202e}", "a character that a reader cannot see"),
            ("{seller}\u{338}", "a character that a reader cannot see"),
            ("{seller} e\u{301}", "NFC"),
            ("{seller}\r\n", "a character that a reader cannot see"),
        ] {
            let error = template(text).expect_err(text).to_string();
            assert!(error.contains(rule), "{text:?}: {error}");
        }
    }

    #[test]
    fn fields_that_are_malformed_are_refused() {
        let refused = |fields: Vec<FieldDef>| {
            Template::new("test", 1, fields, BTreeMap::from([("en".to_owned(), "x".to_owned())]))
                .unwrap_err()
                .to_string()
        };
        let field = |name: &str, kind| FieldDef::optional(name, kind).label("en", "Label");
        for (fields, rule) in [
            (vec![field("A", FieldKind::Text)], "name"),
            (vec![field("", FieldKind::Text)], "name"),
            (vec![field("a", FieldKind::Text), field("a", FieldKind::Uint)], "taken twice"),
            (vec![FieldDef::optional("a", FieldKind::Text)], "a label in each language"),
            (vec![field("a", FieldKind::Text).label("de", "A")], "a label in each language"),
            (vec![field("a", FieldKind::Text).label("en", "\u{200b}")], "visible"),
            (vec![field("a", FieldKind::Choice(vec![]))], "at least one option"),
            (vec![field("a", FieldKind::Choice(vec!["x".to_owned(); 2]))], "each once"),
            (vec![field("a", FieldKind::Table(vec![]))], "a table has columns"),
            (vec![field("a", FieldKind::Table(vec![field("b", FieldKind::LongText)]))], "none of them a long text"),
            (vec![field("a", FieldKind::Text); FIELDS_MAX + 1], "limit"),
        ] {
            let error = refused(fields);
            assert!(error.contains(rule), "{rule}: {error}");
        }
        let none = Template::new("test", 1, Vec::new(), BTreeMap::new());
        assert!(none.unwrap_err().to_string().contains("at least one language"));
        let bad = Template::new("test", 1, Vec::new(), BTreeMap::from([("e n".to_owned(), "x".to_owned())]));
        assert!(bad.unwrap_err().to_string().contains("language tag"));
    }
}

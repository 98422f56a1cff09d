//! Documents and templates.

use super::*;

pub(super) fn documents() -> Vec<Json> {
    let template = template();
    let template_bytes = template.to_bytes();
    let shown = |locale: &str| {
        let document = document(locale);
        let rendered = document.render(&template).unwrap();
        let facts = json!({
            "fields": document.fields_hash().to_hex(), "text": rendered.text, "render": rendered.hash.to_hex(),
        });
        (document.to_bytes(), facts)
    };
    let (english, english_facts) = shown("en");
    let (german, german_facts) = shown("de");
    let empty = Template::new("empty", 0, Vec::new(), BTreeMap::from([("en".to_owned(), String::new())])).unwrap();
    let id = |template: &Template| json!({ "id": template.id().to_string() });
    let text = |text: &str| inside(&template_bytes, 4, |texts| texts.insert("de", text));
    let fields_text = "{seller} {buyer} {status} {until}\n{#items}\n{quantity} {article} {price}\n{/items}\n";
    let value = |name: &str, kind: &str, content: Value| {
        inside(&english, 3, |fields| fields.insert(name, vec![kind.into(), content]))
    };
    let nested = Value::Array(vec![Value::Map({
        let mut row = Map::new();
        row.insert("a", vec!["long-text".into(), Value::text("x")]);
        row
    })]);
    vec![
        good_with("template", "template", "an order, in English and German", &template_bytes, id(&template)),
        good_with("template-empty", "template", "no fields, no words", &empty.to_bytes(), id(&empty)),
        good_with("document-en", "document", "a filled order with values that try to deceive", &english, english_facts),
        good_with("document-de", "document", "the same order in German", &german, german_facts),
        bad("template-wrong-version", "template", "version 2 of the form", &with(&template_bytes, 0, 2_u64)),
        bad("template-unknown-field", "template", "field 9", &with(&template_bytes, 9, true)),
        bad("template-name", "template", "a name in capitals", &with(&template_bytes, 1, "ORDER")),
        bad("template-no-text", "template", "no language at all", &with(&template_bytes, 4, Map::new())),
        bad(
            "template-locale",
            "template",
            "not a language tag",
            &inside(&template_bytes, 4, |texts| texts.insert("d e", "x")),
        ),
        bad("template-hides", "template", "the German text shows no required field", &text("nichts")),
        bad(
            "template-unknown-name",
            "template",
            "a field that is not there",
            &text(&format!("{fields_text}{{other}}")),
        ),
        bad("template-open-brace", "template", "a brace that is not closed", &text(&format!("{fields_text}{{seller"))),
        bad(
            "template-bidi",
            "template",
            "a character that turns the reading direction",
            &text(&format!("{fields_text}\u{202e}x")),
        ),
        bad("template-backslash", "template", "a backslash", &text(&format!("{fields_text}\\none"))),
        bad(
            "template-bar",
            "template",
            "a line that looks like one of a long text",
            &text(&format!("{fields_text}| x")),
        ),
        bad(
            "template-nested",
            "template",
            "a table in a table",
            &text(&format!("{fields_text}{{#items}}\n{{#items}}\n{{/items}}\n")),
        ),
        bad(
            "template-long-text",
            "template",
            "a long text inside a line",
            &text(&format!("{fields_text}x {{remarks}}")),
        ),
        bad(
            "template-neighbours",
            "template",
            "two fields with nothing between",
            &text(&format!("{fields_text}{{seller}}{{buyer}}")),
        ),
        bad("document-wrong-version", "document", "version 2", &with(&english, 0, 2_u64)),
        bad("document-unknown-field", "document", "field 4", &with(&english, 4, 0_u64)),
        bad("document-locale", "document", "not a language tag", &with(&english, 2, "e_n")),
        bad("document-name", "document", "a field with a name in capitals", &value("Name", "uint", Value::Uint(1))),
        bad("document-kind", "document", "a kind of value that there is not", &value("x", "float", Value::Uint(1))),
        bad("document-type", "document", "text where a number must be", &value("x", "uint", Value::text("1"))),
        bad("document-empty-table", "document", "a table without rows", &value("x", "table", Value::Array(Vec::new()))),
        bad("document-cell", "document", "a long text in a cell", &value("x", "table", nested)),
    ]
}

//! The texts of trades: a template for each way in which money is given for a receipt or for other money.

use semper_core::template::{FieldDef, FieldKind, Template};

use crate::words::{self, optional, required, texts};

/// The name of the template of a payment with receipt.
pub const RECEIPT_TEMPLATE: &str = "receipt";
/// The name of the template of an exchange of money.
pub const EXCHANGE_TEMPLATE: &str = "exchange";
/// The name of the template of a payment with receipt without an arbiter.
pub const RECEIPT_LOCKED_TEMPLATE: &str = "receipt-locked";
/// The name of the template of an exchange of money without an arbiter.
pub const EXCHANGE_LOCKED_TEMPLATE: &str = "exchange-locked";
/// The name of the template of a payment with receipt by plain transfer.
pub const RECEIPT_TRANSFER_TEMPLATE: &str = "receipt-transfer";
/// The name of the template of an exchange of money through the hands of the arbiter.
pub const EXCHANGE_IN_LINE_TEMPLATE: &str = "exchange-in-line";

/// The template of a payment with receipt.
pub fn receipt_template() -> Template {
    words::template(RECEIPT_TEMPLATE, arbitrated(PAYMENT), texts!("receipt"))
}

/// The template of an exchange of money.
pub fn exchange_template() -> Template {
    let mut fields = arbitrated(PARTIES);
    fields.extend(other_money());
    words::template(EXCHANGE_TEMPLATE, fields, texts!("exchange"))
}

/// The template of a payment with receipt by plain transfer.
pub fn receipt_transfer_template() -> Template {
    let mut all = fields(PAYMENT);
    all.extend(words::arbiter_fields());
    let (en, de) = ("the payee can take the money until", "der Empfänger kann das Geld nehmen bis");
    all.push(required("pay_until", FieldKind::Time, en, de));
    words::template(RECEIPT_TRANSFER_TEMPLATE, all, texts!("receipt-transfer"))
}

/// The template of a payment with receipt without an arbiter.
pub fn receipt_locked_template() -> Template {
    words::template(RECEIPT_LOCKED_TEMPLATE, locked_fields(PAYMENT), texts!("receipt-locked"))
}

/// The template of an exchange of money without an arbiter.
pub fn exchange_locked_template() -> Template {
    let mut fields = locked_fields(PARTIES);
    fields.extend(other_money());
    let (en, de) = ("the second party's money is locked until", "das Geld der zweiten Partei ist gesperrt bis");
    fields.push(required("other_refund_after", FieldKind::Time, en, de));
    words::template(EXCHANGE_LOCKED_TEMPLATE, fields, texts!("exchange-locked"))
}

/// The template of an exchange of money through the hands of the arbiter.
pub fn exchange_in_line_template() -> Template {
    let mut fields = fields(PARTIES);
    fields.extend(words::arbiter_fields());
    fields.extend(other_money());
    let (en, de) =
        ("the arbiter's payments can be taken until", "die Zahlungen des Schiedsrichters können genommen werden bis");
    fields.push(required("take_by", FieldKind::Time, en, de));
    words::template(EXCHANGE_IN_LINE_TEMPLATE, fields, texts!("exchange-in-line"))
}

/// What the two are called, in the order of [`LOCALES`].
const PAYMENT: [&str; 4] = ["payer", "payee", "Zahler", "Empfänger"];
const PARTIES: [&str; 4] = ["first party", "second party", "erste Partei", "zweite Partei"];

fn arbitrated(called: [&str; 4]) -> Vec<FieldDef> {
    let mut fields = fields(called);
    fields.extend(words::arbiter_fields());
    fields.push(words::refund_field());
    fields
}

fn locked_fields(called: [&str; 4]) -> Vec<FieldDef> {
    let mut fields = fields(called);
    let (en, de) = ("the money can be taken until", "das Geld kann genommen werden bis");
    fields.push(required("closes", FieldKind::Time, en, de));
    fields.push(words::refund_field());
    fields
}

fn other_money() -> [FieldDef; 2] {
    let (en, de) = ("the second party's means of payment", "Zahlungsmittel der zweiten Partei");
    [
        required("other_amount", FieldKind::Amount, "the second party's amount", "Betrag der zweiten Partei"),
        required("other_means", FieldKind::Text, en, de),
    ]
}

fn fields([first_en, second_en, first_de, second_de]: [&str; 4]) -> Vec<FieldDef> {
    let (key_of, schlüssel) = ("key of the ", "Schlüssel: ");
    vec![
        required("first_name", FieldKind::Text, first_en, first_de),
        required("first", FieldKind::Party, &format!("{key_of}{first_en}"), &format!("{schlüssel}{first_de}")),
        required("second_name", FieldKind::Text, second_en, second_de),
        required("second", FieldKind::Party, &format!("{key_of}{second_en}"), &format!("{schlüssel}{second_de}")),
        required("amount", FieldKind::Amount, "amount", "Betrag"),
        required("means", FieldKind::Text, "means of payment", "Zahlungsmittel"),
        optional("purpose", FieldKind::Text, "For", "Wofür"),
    ]
}

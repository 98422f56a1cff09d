//! Selling: a file and a price come in, an offer goes out as soon as it is signed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::multipart::Field;
use axum::extract::{Multipart, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::html;
use semper_commerce::contract_file::safe_name;
use semper_commerce::offer::Pace;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::{Desk, Failure, Page, Reader, shown};
use crate::control::OfferOrder;
use crate::{now, sale, shop};

/// Largest form with a file: larger goods are offered on the command line.
pub(super) const UPLOAD_MAX: usize = 4 << 30;
/// Longest value of a field that is no file, in bytes.
const TEXT_MAX: usize = 64 * 1024;
/// The fields of the form that are no file, in its order. The file comes last.
const FIELDS: [&str; 7] = ["price", "title", "text", "terms", "law", "days", "no-arbiter"];
const DAY: u64 = 86_400;

pub(super) async fn ask(State(desk): State<Arc<Desk>>, reader: Reader) -> Page {
    shown(&reader, desk.ask_sale(&reader).await)
}

pub(super) async fn sell(State(desk): State<Arc<Desk>>, reader: Reader, form: Multipart) -> Page {
    shown(&reader, desk.sell(form).await)
}

/// What the seller has filled in.
#[derive(Default)]
struct Filled {
    values: [String; FIELDS.len()],
    file: Option<PathBuf>,
}

impl Filled {
    fn value(&self, name: &str) -> &str {
        let place = FIELDS.iter().position(|field| *field == name);
        place.map_or("", |place| self.values[place].trim())
    }
}

impl Desk {
    async fn ask_sale(&self, reader: &Reader) -> Result<Response, Failure> {
        let language = reader.language;
        let arbiters = self.node.book().arbiters_named(&[]).await?;
        let content = html! {
            p { (language.text("sell-what-happens")) }
            @if arbiters.is_empty() { p.warning-box { (language.text("sell-no-arbiter-known")) } }
            form method="post" enctype="multipart/form-data" {
                p {
                    label for="price" { (language.text("price")) }
                    input id="price" name="price" placeholder="12.00 EUR" required autocomplete="off";
                }
                p { label for="title" { (language.text("sell-name")) } input id="title" name="title"; }
                p { label for="text" { (language.text("sell-text")) } textarea id="text" name="text" {} }
                details #more {
                    summary { (language.text("sell-more")) }
                    p { label for="terms" { (language.text("terms")) } textarea id="terms" name="terms" {} }
                    p { label for="law" { (language.text("law")) } input id="law" name="law"; }
                    p {
                        label for="days" { (language.text("sell-days")) }
                        input id="days" name="days" type="number" min="1" max="3650" value=(sale::STANDS / DAY);
                    }
                    div.choice {
                        input type="checkbox" id="no-arbiter" name="no-arbiter" value="yes" aria-describedby="no-arbiter-hint";
                        label for="no-arbiter" { (language.text("sell-no-arbiter")) }
                    }
                    p.soft #no-arbiter-hint { (language.text("sell-no-arbiter-hint")) }
                }
                p { label for="file" { (language.text("sell-file")) } input type="file" id="file" name="file" required; }
                p.actions {
                    a.button href="/offers" { (language.text("sell-no")) }
                    button { (language.text("sell-yes")) }
                }
            }
        };
        self.page(reader, "/offers", &language.text("sell-title"), &content).await
    }

    /// Takes the file in, encrypts it, and has the offer signed. The file itself is not kept.
    async fn sell(&self, form: Multipart) -> Result<Response, Failure> {
        let refused = |error: anyhow::Error| Failure::refused("error-sell", format!("{error:#}"));
        let goods = self.home.goods();
        std::fs::create_dir_all(&goods).map_err(|error| refused(error.into()))?;
        let room = tempfile::tempdir_in(&goods).map_err(|error| refused(error.into()))?;
        let filled = filled(form, room.path()).await?;
        let file = filled.file.as_ref().ok_or_else(|| Failure::refused("error-sell", "there is no file"))?;
        let name = match filled.value("title") {
            "" => file.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
            title => title,
        };
        let no_arbiter = !filled.value("no-arbiter").is_empty();
        let pace = if no_arbiter { Pace::WITHOUT_ARBITER } else { Pace::default() };
        let days: u64 = filled.value("days").parse().unwrap_or(sale::STANDS / DAY);
        let prepared = sale::prepare(&self.home, file, name, filled.value("text"), |_| {}).await.map_err(refused)?;
        let order = OfferOrder {
            price: filled.value("price").to_owned(),
            no_arbiter,
            terms: filled.value("terms").to_owned(),
            law: filled.value("law").to_owned(),
            until: now().unix() + days.clamp(1, 3650) * DAY,
            valid_for: pace.valid_for.0,
            complaints: pace.complaints.0,
            delta: pace.delta.0,
            sigma: pace.sigma.0,
            ..prepared
        };
        shop::sell(&self.node, order).await.map_err(|error| Failure::refused("error-sell", error))?;
        Ok(Redirect::to("/offers").into_response())
    }
}

/// Reads the form as it comes; the file goes to disk.
async fn filled(mut form: Multipart, room: &Path) -> Result<Filled, Failure> {
    let broken = |error: &dyn std::fmt::Display| Failure::refused("error-sell", error);
    let mut filled = Filled::default();
    while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        if let Some(place) = FIELDS.iter().position(|known| *known == name) {
            filled.values[place] = text(field).await?;
        } else if name == "file" {
            filled.file = Some(keep(field, room).await?);
        }
    }
    Ok(filled)
}

async fn text(mut field: Field<'_>) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    while let Some(part) = field.chunk().await.map_err(|error| Failure::refused("error-sell", error))? {
        bytes.extend_from_slice(&part);
        if bytes.len() > TEXT_MAX {
            return Err(Failure::refused("error-sell", format!("a text has more than {TEXT_MAX} bytes")));
        }
    }
    String::from_utf8(bytes).map_err(|error| Failure::refused("error-sell", error))
}

async fn keep(mut field: Field<'_>, room: &Path) -> Result<PathBuf, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::refused("error-sell", error);
    // Browsers give the name without its folders; others may not.
    let given = field.file_name().unwrap_or_default();
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let path = room.join(safe_name(name).map_err(|error| refused(&error))?);
    let mut file = File::create(&path).await.map_err(|error| refused(&error))?;
    while let Some(part) = field.chunk().await.map_err(|error| refused(&error))? {
        file.write_all(&part).await.map_err(|error| refused(&error))?;
    }
    file.flush().await.map_err(|error| refused(&error))?;
    Ok(path)
}

//! What this party offers.

use std::io::IsTerminal as _;

use anyhow::{Result, bail};
use clap::Subcommand;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use semper_core::text::escape;
use semper_core::time::Time;

use super::{Common, session};
use crate::control::client::Client;
use crate::control::{OfferView, StandsOrder};
use crate::now;
use crate::sale::link;

/// What you offer.
#[derive(Debug, Subcommand)]
pub(super) enum Offers {
    /// All of them, with their links
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The link of one, and as a QR code
    Show {
        /// The beginning of its identifier
        id: String,
    },
    /// Take no orders for it any more; sales that have begun go on
    Withdraw {
        /// The beginning of its identifier
        id: String,
    },
    /// Take orders again for one that was withdrawn
    Renew {
        /// The beginning of its identifier
        id: String,
    },
}

impl Offers {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let home = common.home()?;
        let base = home.config()?.base_url();
        let session = session::connect(home, common.passphrase_file.as_deref(), false).await?;
        let client = session.client();
        match self {
            Offers::List { json } => list(client, &base, json).await?,
            Offers::Show { id } => {
                let offer = find(client, &id).await?;
                println!("{}", line(&offer));
                println!("{}", link(&base, &offer.id));
                println!("{}", qr_code(&link(&base, &offer.id))?);
            }
            Offers::Withdraw { id } => {
                let offer = set(client, &id, false).await?;
                println!("Withdrawn: {}", line(&offer));
                println!("Undo it with `semper offers renew {}`.", &offer.id[..12]);
            }
            Offers::Renew { id } => println!("{}", line(&set(client, &id, true).await?)),
        }
        session.end().await
    }
}

async fn list(client: &Client, base: &str, json: bool) -> Result<()> {
    let offers = client.offers().await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&offers)?);
        return Ok(());
    }
    if offers.is_empty() {
        println!("No offers yet. Make one with `semper sell FILE --price \"12.00 EUR\"`.");
    }
    for offer in &offers {
        println!("{}", line(offer));
        println!("              {}", link(base, &offer.id));
    }
    Ok(())
}

async fn set(client: &Client, start: &str, stands: bool) -> Result<OfferView> {
    let offer = find(client, start).await?;
    if let Some(approval) = &offer.approval {
        bail!("this offer waits for your answer; give it with `semper approve {}`", &approval[..12]);
    }
    if stands && Time::from_unix(offer.until) < now() {
        bail!("this offer has ended on {}; offer the file again with `semper sell`", Time::from_unix(offer.until));
    }
    Ok(client.set_offer(&offer.id, &StandsOrder { stands }).await?)
}

async fn find(client: &Client, start: &str) -> Result<OfferView> {
    let mut fitting = client.offers().await?.into_iter().filter(|offer| offer.id.starts_with(start));
    match (fitting.next(), fitting.next()) {
        (Some(offer), None) => Ok(offer),
        (None, _) => bail!("there is no offer that begins with {start:?}; see `semper offers list`"),
        (Some(_), Some(_)) => bail!("more than one offer begins with {start:?}; give more of its identifier"),
    }
}

fn line(offer: &OfferView) -> String {
    let until = Time::from_unix(offer.until);
    let state = match (offer.stands, until < now()) {
        _ if offer.approval.is_some() => "waits for your approval".to_owned(),
        (false, _) => "withdrawn".to_owned(),
        (true, true) => format!("ended on {until}"),
        (true, false) => format!("until {until}"),
    };
    let size = offer.size.map_or_else(|| "a right".to_owned(), |size| format!("{size} bytes"));
    format!("{}  {:>14}  {}, {size}, {state}", &offer.id[..12], offer.price, escape(&offer.name, 0))
}

/// A link as a QR code of characters, for a terminal with a dark background.
fn qr_code(link: &str) -> Result<String> {
    let code = QrCode::new(link)?;
    Ok(code.render().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// Shows a link as a QR code to somebody who sits before a terminal.
pub(super) fn show_qr_code(link: &str) -> Result<()> {
    if std::io::stdout().is_terminal() {
        println!("{}", qr_code(link)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    // What could go wrong: light and dark exchanged, lines lost, no quiet zone: a camera reads nothing.
    #[test]
    fn a_reader_reads_the_code() {
        let link = link("https://shop.example:7411", &"3f".repeat(32));
        let text = qr_code(&link).unwrap();
        let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
        // Two modules above each other make a character; what is drawn is light, on a dark terminal.
        let light = |x: usize, y: usize| match rows[y / 2][x] {
            '█' => true,
            '▀' => y.is_multiple_of(2),
            '▄' => !y.is_multiple_of(2),
            _ => false,
        };
        let (width, height) = (rows[0].len(), 2 * rows.len());
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(4 * width, 4 * height, |x, y| {
            if light(x / 4, y / 4) { 255 } else { 0 }
        });
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1, "{text}");
        assert_eq!(grids[0].decode().unwrap().1, link);
    }
}

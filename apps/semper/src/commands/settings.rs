//! What the user can set of how the node goes about things, while it runs.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use semper_core::text::escape;

use super::{Common, session};
use crate::control::{SettingOrder, SettingsView};

/// How your node goes about things.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  semper settings                        what holds\n  semper settings patience 12h\n  \
                        semper settings dated-by https://stamps.example/tsa\n  semper settings dated-by --nobody"
)]
pub(super) struct Settings {
    #[command(subcommand)]
    change: Option<Change>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// How long a message of the other party is waited for, in what somebody else begins
    Patience {
        /// Such as 90s, 30m, 12h, 7d; without it, as semper.toml says
        span: Option<String>,
    },
    /// Who dates every deal that ends
    DatedBy {
        /// A contact, or the address of a time-stamp authority's service; without it, as semper.toml says
        authority: Option<String>,
        /// Nobody
        #[arg(long, conflicts_with = "authority")]
        nobody: bool,
    },
}

impl Settings {
    pub(super) async fn run(self, common: &Common) -> Result<()> {
        let session = session::connect(common.home()?, common.passphrase_file.as_deref(), false).await?;
        let settings = match self.change {
            None => session.client().settings().await?,
            Some(change) => session.client().set(&change.order()?).await?,
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&settings)?);
        } else {
            show(&settings);
        }
        session.end().await
    }
}

impl Change {
    fn order(self) -> Result<SettingOrder> {
        Ok(match self {
            Change::Patience { span } => SettingOrder::Patience(span.as_deref().map(seconds).transpose()?),
            Change::DatedBy { nobody: true, .. } => SettingOrder::DatedBy(Some(String::new())),
            Change::DatedBy { authority, .. } if authority.as_deref() == Some("") => {
                bail!("nobody is called \"\"; for nobody say --nobody")
            }
            Change::DatedBy { authority, .. } => SettingOrder::DatedBy(authority),
        })
    }
}

fn show(settings: &SettingsView) {
    let SettingsView { patience, patience_is_set, dated_by, dated_by_is_set } = settings;
    let by_whom = dated_by.as_deref().map_or("nobody".to_owned(), |by| escape(by, 0));
    println!("patience  {patience} s{}", from(*patience_is_set));
    println!("dated by  {by_whom}{}", from(*dated_by_is_set));
}

/// Where a value comes from, if the user has not set it.
fn from(is_set: bool) -> &'static str {
    if is_set { "" } else { "  (as semper.toml says)" }
}

/// A span of time such as `90s`, `30m`, `12h` or `7d`, in seconds; a number alone is seconds.
fn seconds(span: &str) -> Result<u64> {
    let wrong = || format!("{span:?} is no span of time; write 90s, 30m, 12h or 7d");
    let (number, unit) = match span.char_indices().next_back().with_context(wrong)? {
        (_, '0'..='9') => (span, 1),
        (end, unit) => {
            let factors = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
            let factor = factors.into_iter().find(|(letter, _)| *letter == unit).with_context(wrong)?;
            (&span[..end], factor.1)
        }
    };
    number.parse().ok().and_then(|number: u64| number.checked_mul(unit)).with_context(wrong)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn spans_of_time_are_read() {
        for (span, read) in [("90", 90), ("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(seconds(span).unwrap(), read, "{span}");
        }
        for span in ["", "h", "1w", "-1s", "1.5h", "99999999999999999999", "999999999999999999d", "ä"] {
            assert!(seconds(span).is_err(), "{span}");
        }
    }
}

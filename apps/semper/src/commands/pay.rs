//! Paying somebody, and exchanging money.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap::builder::ArgPredicate;

use super::Common;
use super::follow::Manner;
use crate::control::{PayOrder, TradeManner, TradeOrder};

/// Pay somebody, by the means that both of you have and like best.
#[derive(Debug, Args)]
#[command(after_help = "Examples: semper pay Bob \"5.00 EUR\" --for \"a coffee\" --anonymous\n          \
                        semper pay Bob \"900.00 EUR\" --receipt --for \"rent for May\"\n          \
                        semper pay Bob \"5.00 EUR\" --receipt --by-transfer\n          \
                        semper pay Bob \"5.00 EUR\" --receipt --no-arbiter")]
#[command(mut_arg("no_arbiter", |arg| arg.requires("receipt")))]
#[command(mut_arg("no_wait", |arg| arg.help("Do not wait for the end")))]
pub(super) struct Pay {
    /// The payee, as your contact book calls them
    #[arg(value_name = "CONTACT")]
    to: String,
    /// How much, with the currency: "12.00 EUR"
    amount: String,
    /// What for, in one line; the payee signs it
    #[arg(long = "for", value_name = "TEXT", default_value = "")]
    purpose: String,
    /// Only by means under which nobody but the payee learns who pays
    #[arg(long, conflicts_with = "receipt")]
    anonymous: bool,
    /// Pay only for the payee's signed receipt: both change hands, or neither
    #[arg(long)]
    receipt: bool,
    /// Do not lock the money first: the payee takes it as in any payment, and the arbiter completes the receipt on the bank's proof of that. You must
    /// reach bank and arbiter in time, or you have paid and have that proof only. Chosen by itself where your money cannot be locked
    #[arg(long, requires = "receipt", conflicts_with = "no_arbiter")]
    by_transfer: bool,
    #[command(flatten)]
    fairly: Fairly,
    #[command(flatten)]
    manner: Manner,
}

/// Exchange money for other money: both amounts change hands, or neither.
///
/// The other party reads the contract and answers. If one of you falls silent half-way, the arbiter gives each the other's money, or sends both
/// amounts back. With --no-arbiter nobody does: one hash locks both amounts. With --in-line nothing is locked: both of you pay the arbiter.
#[derive(Debug, Args)]
#[command(after_help = "Examples: semper exchange \"10.00 EUR\" --for \"11.00 USD\" --with Bob\n          \
                        semper exchange \"10.00 EUR\" --for \"11.00 USD\" --with Bob --in-line --arbiter Carol")]
#[command(mut_arg("no_wait", |arg| arg.help("Do not wait for the end")))]
pub(super) struct Exchange {
    /// What you give, with the currency: "10.00 EUR"
    gives: String,
    /// What you want for it, with the currency: "11.00 USD"
    #[arg(long = "for", value_name = "AMOUNT")]
    wants: String,
    /// The other party, as your contact book calls them
    #[arg(long, value_name = "CONTACT")]
    with: String,
    /// Lock nothing: both of you pay the arbiter first, which pays each the other's money, or both back. You trust it with the money, which it
    /// could keep. For bank accounts that cannot be locked for you, with an arbiter that takes money into its hands
    #[arg(long, conflicts_with = "no_arbiter")]
    in_line: bool,
    #[command(flatten)]
    fairly: Fairly,
    #[command(flatten)]
    manner: Manner,
}

/// How an exchange is made fair, and how long it may take.
#[derive(Debug, Args)]
struct Fairly {
    /// The arbiter, as your contact book calls it [default: the first that both of you accept]
    #[arg(long, value_name = "CONTACT", default_value = "")]
    arbiter: String,
    /// No arbiter: one hash locks what both give. Nobody decides, and nobody gives money back before its date; both of you must be on line
    /// around it, or may lose. E-cash only
    #[arg(long, conflicts_with = "arbiter")]
    no_arbiter: bool,
    /// The language of the contract: en or de
    #[arg(long, default_value = "en")]
    language: String,
    /// How long the arbiter can be asked, in days; with --no-arbiter, how long the other party can take your money, which lies locked so long
    /// if it does not [default with --no-arbiter: 1]
    #[arg(long, default_value_t = 14, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..3650))]
    #[arg(default_value_if("no_arbiter", ArgPredicate::Equals("true".into()), "1"))]
    valid_for: u64,
    /// How long to wait for each message, in seconds; then the payment is ended, or the arbiter asked
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    patience: u64,
}

impl Pay {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let Self { to, amount, purpose, anonymous, receipt, by_transfer, fairly, manner } = self;
        if receipt {
            let mut order = fairly.order(to, amount, None, purpose);
            if by_transfer {
                order.manner = TradeManner::Transfer;
            }
            return trade(common, &order, &manner).await;
        }
        let order = PayOrder { to, amount, purpose, anonymous, patience: fairly.patience };
        let session = manner.connect(common).await?;
        let deal = session.client().pay(&order).await?.deal;
        manner.follow(session, &[deal]).await
    }
}

impl Exchange {
    pub(super) async fn run(self, common: &Common) -> Result<ExitCode> {
        let Self { gives, wants, with, in_line, fairly, manner } = self;
        let mut order = fairly.order(with, gives, Some(wants), String::new());
        if in_line {
            order.manner = TradeManner::InLine;
        }
        trade(common, &order, &manner).await
    }
}

impl Fairly {
    fn order(self, with: String, gives: String, wants: Option<String>, purpose: String) -> TradeOrder {
        let Self { arbiter, no_arbiter, language, valid_for, patience } = self;
        let manner = if no_arbiter { TradeManner::NoArbiter } else { TradeManner::Locked };
        let valid_for = valid_for * 24 * 3600;
        TradeOrder { with, gives, wants, purpose, arbiter, manner, locale: language, patience, valid_for }
    }
}

async fn trade(common: &Common, order: &TradeOrder, manner: &Manner) -> Result<ExitCode> {
    let session = manner.connect(common).await?;
    let deal = session.client().trade(order).await?.deal;
    manner.follow(session, &[deal]).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser as _;

    use super::super::{Cli, Command};

    // A flag that is not given has a value too: the short time of an exchange without an arbiter would hold for all.
    #[test]
    fn only_without_an_arbiter_the_time_is_short() {
        for (flags, days) in [(vec![], 14), (vec!["--in-line"], 14), (vec!["--no-arbiter"], 1)] {
            let words =
                ["semper", "exchange", "1.00 EUR", "--for", "1.00 USD", "--with", "Bob"].into_iter().chain(flags);
            let Command::Exchange(exchange) = Cli::try_parse_from(words).unwrap().command else { panic!() };
            assert_eq!(exchange.fairly.valid_for, days);
        }
    }
}

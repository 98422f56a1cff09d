//! The part of the demonstration that is about money alone: e-cash and account payments, issuers killed on the way, and the books.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use semper_core::amount::Amount;
use serde_json::Value;

use super::stage::Stage;
use super::{Exhibit, Proves, say, title};

impl Stage {
    /// Gives Alice and Bob purses, and Alice money in both: enough for five purchases at `price` and the payments after them. The cents
    /// that were paid in: all the money that there is.
    pub(super) fn fund(&self, price: Amount) -> Result<u64> {
        for party in ["alice", "bob"] {
            for (issuer, system) in [("mint", "ecash"), ("bank", "account")] {
                self.good(party, &["wallet", "add", &self.address(issuer)?, "--system", system])?;
            }
        }
        let cash =
            price.minor().checked_mul(5).and_then(|cents| cents.checked_add(2_000)).context("the price is too high")?;
        let paid_in = cash.checked_add(2_000).context("the price is too high")?;
        let (cash, account) = (euros(cash), self.account("alice")?);
        self.good("bank", &["bank", "credit", &account, &euros(paid_in), "--note", "pay day"])?;
        self.good("alice", &["wallet", "balance", "--refresh"])?;
        self.good("alice", &["wallet", "withdraw", &cash])?;
        say(&format!("Alice has {} in her account at the bank, and takes {cash} out as e-cash", euros(paid_in)));
        Ok(paid_in)
    }

    /// Gives the folders of both payments.
    pub(super) fn payments(&self) -> Result<Vec<Exhibit>> {
        title("6. Money alone: Alice pays Bob anonymously, Bob deposits; then she pays by account");
        let pay = |amount: &str, what: &str, more: &[&str]| {
            self.begin("alice", &[["pay", "Bob", amount, "--for", what].as_slice(), more].concat())
        };
        let deal = pay("12.34 EUR", "a ticket", &["--anonymous"])?;
        std::thread::sleep(Duration::from_millis(120));
        self.serve("mint")?;
        self.ended("alice", &deal, "success")?;
        self.ended("bob", &deal, "success")?;
        say("12.34 EUR of e-cash: neither mint nor bank learns who pays; the mint is killed on the way and comes back");
        let ecash = (self.export("alice", &deal, "6-ecash")?, Proves::Payment);
        self.good("bob", &["wallet", "deposit", "12.34 EUR"])?;
        say("Bob puts it into his account; the mint cannot tell from whom it was");
        for party in ["alice", "bob"] {
            self.good(party, &["wallet", "prefer", &self.purse(party, "account", "id")?])?;
        }
        let deal = pay("5.00 EUR", "a coffee and cake", &[])?;
        std::thread::sleep(Duration::from_millis(80));
        self.serve("bank")?;
        self.ended("alice", &deal, "success")?;
        self.ended("bob", &deal, "success")?;
        say("5.00 EUR by account, which both like best now; the bank is killed on the way and comes back");
        Ok(vec![ecash, (self.export("bob", &deal, "7-account")?, Proves::Payment)])
    }

    /// The e-cash that a party has.
    pub(super) fn coins(&self, party: &str) -> Result<String> {
        self.purse(party, "ecash", "available")
    }

    /// One field of a party's purse with a payment system.
    fn purse(&self, party: &str, system: &str, field: &str) -> Result<String> {
        let purses = self.json(party, &["wallet", "balance", "--refresh", "--json"])?;
        let purse = purses.as_array().into_iter().flatten().find(|purse| purse["system"] == system);
        let value = purse.and_then(|purse| purse[field].as_str());
        Ok(value.with_context(|| format!("{party} has no {field} in {system}: {purses:#}"))?.to_owned())
    }

    fn account(&self, party: &str) -> Result<String> {
        let address = self.purse(party, "account", "address")?;
        let number = address.strip_prefix("account:").and_then(|rest| rest.split('@').next());
        Ok(number.with_context(|| format!("{address} is not an account"))?.to_owned())
    }

    /// Adds up all the money there is and compares it with what was paid in.
    pub(super) fn books(&self, paid_in: u64) -> Result<()> {
        title("9. The books");
        let bank = self.json("bank", &["bank", "audit", "--json"])?;
        let owed = bank["owed"][0][1].as_u64().context("the bank owes nothing")?;
        let mint = self.json("mint", &["mint", "audit", "--json"])?;
        let outstanding = |keyset: &Value| keyset["outstanding"].as_u64();
        let coins: u64 = mint.as_array().into_iter().flatten().filter_map(outstanding).sum();
        let (mut accounts, mut purses) = (0, 0);
        for party in ["alice", "bob"] {
            for (system, sum) in [("account", &mut accounts), ("ecash", &mut purses)] {
                let has = Amount::parse(&self.purse(party, system, "available")?)?;
                say(&format!("{party:<6} {system:<8} {:>12}", has.to_string()));
                *sum += has.minor();
            }
        }
        ensure!(owed == paid_in, "the bank owes {owed} cents, {paid_in} were paid in");
        ensure!(purses == coins, "the mint owes {coins} cents, the purses hold {purses}");
        ensure!(
            accounts + coins == owed,
            "accounts {accounts} and coins {coins} are not the {owed} cents that the bank owes"
        );
        say(&format!(
            "they balance: {} at the bank = {} in the accounts of Alice and Bob + {} behind the mint's coins",
            euros(owed),
            euros(accounts),
            euros(coins)
        ));
        Ok(())
    }
}

fn euros(cents: u64) -> String {
    format!("{}.{:02} EUR", cents / 100, cents % 100)
}

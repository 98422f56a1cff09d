//! The part of the demonstration that is about money: a bank and a mint, e-cash and account payments, and both killed on the way.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Process, Stage, address, checked, say, start, text, title};

/// What is paid into Alice's account at the beginning, in cents: all the money that there is.
const PAID_IN: i64 = 10_000;

/// The issuers' processes.
struct Issuers<'a> {
    stage: &'a Stage,
    bank: Option<Process>,
    mint: Option<Process>,
}

impl Stage {
    /// Gives the folders of both payments.
    pub(super) fn money(&self) -> Result<Vec<(PathBuf, &'static str)>> {
        title("6. Money: Alice withdraws e-cash, pays Bob anonymously, Bob deposits; then she pays by account");
        let mut issuers = Issuers::open(self)?;
        for (party, name) in [("alice", "Alice"), ("bob", "Bob")] {
            for (issuer, system) in [("bank", "account"), ("mint", "ecash")] {
                checked(self.run(party, &["wallet", "add", &address(&self.dir, issuer)?, "--system", system])?)?;
            }
            say(&format!("{name} has an account, opened with a certificate, and an e-cash purse"));
        }
        checked(self.run("bank", &["bank", "credit", &self.account("alice")?, "100.00 EUR", "--note", "pay day"])?)?;
        checked(self.run("alice", &["wallet", "balance", "--refresh"])?)?;
        checked(self.run("alice", &["wallet", "withdraw", "40.00 EUR"])?)?;
        say("Alice has 100.00 EUR in her account and takes 40.00 EUR out as e-cash");

        let deal = self.pay(&["pay", "Bob", "12.34 EUR", "--for", "a ticket", "--anonymous"])?;
        std::thread::sleep(Duration::from_millis(120));
        issuers.kill_mint()?;
        self.ended("alice", &deal, "success")?;
        self.ended("bob", &deal, "success")?;
        say("12.34 EUR of e-cash: neither mint nor bank learns who pays; the mint was killed on the way and came back");
        let ecash = (self.export("alice", &deal, "6-ecash")?, "payment");
        checked(self.run("bob", &["wallet", "deposit", "12.34 EUR"])?)?;
        say("Bob puts it into his account; the mint cannot tell from whom it was");

        for party in ["alice", "bob"] {
            let account = self.purse(party, "account")?;
            checked(self.run(party, &["wallet", "prefer", &account])?)?;
        }
        let deal = self.pay(&["pay", "Bob", "5.00 EUR", "--for", "a coffee and cake"])?;
        std::thread::sleep(Duration::from_millis(80));
        issuers.kill_bank()?;
        self.ended("alice", &deal, "success")?;
        self.ended("bob", &deal, "success")?;
        say("5.00 EUR by account, which both like best now; the bank was killed on the way and came back");
        let account = (self.export("bob", &deal, "7-account")?, "payment");
        issuers.books()?;
        for issuer in ["mint", "bank"] {
            checked(self.run(issuer, &["stop"])?)?;
        }
        Ok(vec![ecash, account])
    }

    /// Begins a payment of Alice; the deal.
    fn pay(&self, args: &[&str]) -> Result<String> {
        let output = checked(self.run("alice", &[args, &["--no-ask", "--no-wait"]].concat())?)?;
        let deal = output.lines().find_map(|line| line.strip_prefix("Deal ")).context("no payment was begun")?;
        Ok(deal.trim().to_owned())
    }

    fn purses(&self, party: &str) -> Result<Value> {
        let output = self.run(party, &["wallet", "balance", "--refresh", "--json"])?;
        serde_json::from_slice(&output.stdout).with_context(|| text(&output))
    }

    /// A purse of a party by its payment system: one field of it.
    fn field(&self, party: &str, system: &str, field: &str) -> Result<String> {
        let purses = self.purses(party)?;
        let purse = purses.as_array().into_iter().flatten().find(|purse| purse["system"] == system);
        let value = purse.and_then(|purse| purse[field].as_str());
        Ok(value.with_context(|| format!("{party} has no {field} in {system}: {purses:#}"))?.to_owned())
    }

    fn purse(&self, party: &str, system: &str) -> Result<String> {
        self.field(party, system, "id")
    }

    fn account(&self, party: &str) -> Result<String> {
        let address = self.field(party, "account", "address")?;
        let number = address.strip_prefix("account:").and_then(|rest| rest.split('@').next());
        Ok(number.with_context(|| format!("{address} is not an account"))?.to_owned())
    }
}

impl<'a> Issuers<'a> {
    fn open(stage: &'a Stage) -> Result<Self> {
        let dir = &stage.dir;
        for (issuer, name) in [("bank", "Demo Bank"), ("mint", "Demo Mint")] {
            checked(stage.run(issuer, &["init", "--name", name, "--role", issuer])?)?;
        }
        let file = |name: &str| dir.join("folders").join(name).display().to_string();
        stage.configure("bank", "bank", &[("authority", file("ca.crt")), ("crl", file("ca.crl"))])?;
        stage.configure("mint", "mint", &[("bank", address(dir, "bank")?)])?;
        let code = checked(stage.run("ca", &["ca", "invite", "Demo Mint"])?)?;
        checked(stage.run("mint", &["certify", "--ca", &address(dir, "ca")?, "--code", code.trim()])?)?;
        let mut issuers = Self { stage, bank: None, mint: None };
        issuers.bank = Some(issuers.serve("bank")?);
        issuers.mint = Some(issuers.serve("mint")?);
        say(
            "a bank and a mint run as processes of their own; the mint keeps the money behind its coins in an account at the bank",
        );
        Ok(issuers)
    }

    fn serve(&self, role: &str) -> Result<Process> {
        start(&self.stage.dir, &self.stage.passphrase, role, &["serve", "--role", role])
    }

    fn kill_mint(&mut self) -> Result<()> {
        drop(self.mint.take());
        self.mint = Some(self.serve("mint")?);
        Ok(())
    }

    fn kill_bank(&mut self) -> Result<()> {
        drop(self.bank.take());
        self.bank = Some(self.serve("bank")?);
        Ok(())
    }

    /// Adds up all the money there is and compares it with what was paid in.
    fn books(&self) -> Result<()> {
        let stage = self.stage;
        let ask = |issuer: &str, args: &[&str]| -> Result<Value> {
            serde_json::from_str(&checked(stage.run(issuer, args)?)?).context("the books are not readable")
        };
        let bank = ask("bank", &["bank", "audit", "--json"])?;
        let owed = bank["owed"][0][1].as_i64().context("the bank owes nothing")?;
        let mint = ask("mint", &["mint", "audit", "--json"])?;
        let coins: i64 =
            mint.as_array().into_iter().flatten().filter_map(|keyset| keyset["outstanding"].as_i64()).sum();
        let mut held = Vec::new();
        for party in ["alice", "bob"] {
            for system in ["account", "ecash"] {
                held.push((party, system, cents(&stage.field(party, system, "available")?)?));
            }
        }
        for (party, system, minor) in &held {
            say(&format!("{party:>5} {system:<8} {:>4}.{:02} EUR", minor / 100, minor % 100));
        }
        let accounts: i64 = held.iter().filter(|(_, system, _)| *system == "account").map(|(_, _, minor)| minor).sum();
        let purses: i64 = held.iter().filter(|(_, system, _)| *system == "ecash").map(|(_, _, minor)| minor).sum();
        ensure!(owed == PAID_IN, "the bank owes {owed} cents, {PAID_IN} were paid in");
        ensure!(purses == coins, "the mint owes {coins} cents, the purses hold {purses}");
        ensure!(
            accounts + coins == owed,
            "accounts {accounts} and coins {coins} are not the {owed} cents that the bank owes"
        );
        say(&format!(
            "the books balance: {owed} cents at the bank = {accounts} in the accounts of Alice and Bob + {coins} behind the mint's coins"
        ));
        Ok(())
    }
}

/// The cents of an amount like `12.34 EUR`.
fn cents(text: &str) -> Result<i64> {
    let amount = semper_core::amount::Amount::parse(text)?;
    Ok(i64::try_from(amount.minor())?)
}

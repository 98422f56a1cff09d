//! Standing answers: a file that says what may be signed without asking.
//!
//! ```toml
//! # What `semper up --yes --policy FILE` may sign. What no rule allows still waits for the user.
//! [[allow]]
//! what = "contract"                  # "contract", "mail", "acknowledgement", "payment", "account" or "offer"
//! peer = "5f3c…"                     # key set of the other party; any if left out
//! arbiter = "09ab…"                  # key set of the arbiter; any if left out
//!
//! [[allow]]
//! what = "payment"
//! up_to = "20.00 EUR"                # each payment, also one for a receipt or for other money; needed for payments
//! ```

use std::path::Path;

use anyhow::{Context, Result, bail};
use semper_core::amount::Amount;
use semper_core::ids::KeySetId;
use serde::Deserialize;

/// What is to be signed, as far as a policy looks at it.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// `contract`, `mail`, `acknowledgement`, `payment`, `account` (a request to a bank) or `offer`. No rule allows `exchange`, somebody's wish to
    /// exchange money, `transfer`, money that our user gives for a receipt or a right by plain transfer, `in-line`, money that goes through an
    /// arbiter's hands, `right`, a right that our user shows or passes on,
    /// `credential`, one that is passed on as a gift, and `without arbiter`, a contract that nobody decides about.
    pub kind: &'static str,
    /// The other party of a contract or payment.
    pub peer: Option<KeySetId>,
    /// The arbiter of a contract.
    pub arbiter: Option<KeySetId>,
    /// The amount of a payment, or the money that our user gives in a contract.
    pub amount: Option<Amount>,
}

/// Rules under which the user is not asked.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    text: String,
}

#[derive(Clone, Debug)]
struct Rule {
    what: String,
    peer: Option<KeySetId>,
    arbiter: Option<KeySetId>,
    up_to: Option<Amount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    allow: Vec<FileRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    what: String,
    peer: Option<String>,
    arbiter: Option<String>,
    up_to: Option<String>,
}

const KINDS: [&str; 6] = ["contract", "mail", "acknowledgement", "payment", "account", "offer"];

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// The file cannot be read, or a rule in it is not one.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the policy {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("the policy {} is not usable", path.display()))
    }

    /// Reads the text of a policy.
    ///
    /// # Errors
    /// A rule in it is not one.
    pub fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let key_set = |text: Option<String>| -> Result<Option<KeySetId>> {
            let parse = |text: String| KeySetId::parse(&text).with_context(|| format!("{text:?} is not a key set"));
            text.map(parse).transpose()
        };
        let mut rules = Vec::new();
        for rule in file.allow {
            if !KINDS.contains(&rule.what.as_str()) {
                bail!("a rule allows {:?}; known are {}", rule.what, KINDS.join(", "));
            }
            if (rule.what == "payment") != rule.up_to.is_some() {
                bail!("a rule for payments, and no other, says up to which amount: up_to = \"20.00 EUR\"");
            }
            let up_to = rule.up_to.map(|text| Amount::parse(&text).with_context(|| format!("{text:?}"))).transpose()?;
            let (peer, arbiter) = (key_set(rule.peer)?, key_set(rule.arbiter)?);
            rules.push(Rule { what: rule.what, peer, arbiter, up_to });
        }
        Ok(Self { rules, text: text.to_owned() })
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a rule allows it. A rule that names a peer or an arbiter allows nothing whose peer or arbiter is unknown.
    pub fn allows(&self, subject: &Subject) -> bool {
        self.rules.iter().any(|rule| {
            rule.what == subject.kind
                && (rule.peer.is_none() || rule.peer == subject.peer)
                && (rule.arbiter.is_none() || rule.arbiter == subject.arbiter)
                && rule.up_to.is_none_or(|most| subject.amount.is_some_and(|amount| most.minus(amount).is_ok()))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use semper_core::hash::Digest;

    fn key_set(byte: u8) -> KeySetId {
        KeySetId::from_digest(Digest::from_array([byte; 32]))
    }

    // A rule that were read more widely than it is written would sign what its user did not allow.
    #[test]
    fn a_rule_allows_just_what_it_says() {
        let text = format!("[[allow]]\nwhat = \"contract\"\npeer = \"{}\"\n", key_set(1));
        let policy = Policy::parse(&text).unwrap();
        let subject = |kind, peer| Subject { kind, peer, ..Subject::default() };
        assert!(policy.allows(&subject("contract", Some(key_set(1)))));
        assert!(!policy.allows(&subject("contract", Some(key_set(2)))));
        assert!(!policy.allows(&subject("contract", None)));
        assert!(!policy.allows(&subject("mail", Some(key_set(1)))));
    }

    // A limit that is not applied spends what its user did not allow.
    #[test]
    fn a_payment_rule_has_a_limit() {
        let policy = Policy::parse("[[allow]]\nwhat = \"payment\"\nup_to = \"20.00 EUR\"").unwrap();
        let subject = |text| Subject { kind: "payment", amount: Amount::parse(text).ok(), ..Subject::default() };
        assert!(policy.allows(&subject("20.00 EUR")));
        for amount in ["20.01 EUR", "1.00 USD", "nothing"] {
            assert!(!policy.allows(&subject(amount)), "{amount}");
        }
        assert!(Policy::parse("[[allow]]\nwhat = \"payment\"").is_err());
    }

    // A misspelt key would otherwise silently widen the rule to any peer.
    #[test]
    fn a_misspelt_rule_is_refused() {
        for text in [
            "[[allow]]\nwhat = \"contract\"\npeers = \"x\"",
            "[[allow]]\nwhat = \"all\"",
            "[[allow]]\nwhat = \"mail\"\npeer = \"12\"",
        ] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
    }
}

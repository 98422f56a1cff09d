//! What may be signed without asking for as long as the keys are unlocked: a file that is given together with the passphrase.
//!
//! ```toml
//! # What `semper up --yes --policy FILE` may sign. What no rule allows still waits for the user.
//! [[allow]]
//! what = "contract"                  # "contract", "purchase", "payment", "account", "offer", "mail" or "acknowledgement"
//! peer = "5f3c…"                     # key set of the other party; any if left out
//! arbiter = "09ab…"                  # key set of the arbiter; any if left out
//! process = "sign/1"                 # how the contract comes about; any if left out
//!
//! [[allow]]
//! what = "payment"
//! up_to = "20.00 EUR"                # each; needed for purchases, payments and accounts
//! ```
//! A rule is the scope of a mandate. It ends when the keys are locked and begins anew with each start, so nothing is counted under it and nobody
//! signs it: what is to hold in total, or until a date, is a mandate.

use std::path::Path;

use anyhow::{Context, Result, bail};
use semper_commerce::mandate::{Act, Matter, Scope, Uncovered};
use semper_core::amount::Amount;
use semper_core::ids::KeySetId;
use serde::Deserialize;

use crate::rules::is_known;

/// Rules under which the user is not asked.
#[derive(Clone, Debug)]
pub struct Policy {
    scopes: Vec<Scope>,
    text: String,
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
    process: Option<String>,
    up_to: Option<String>,
}

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
        let scopes = file.allow.into_iter().map(scope).collect::<Result<_>>()?;
        Ok(Self { scopes, text: text.to_owned() })
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a rule covers an act.
    ///
    /// # Errors
    /// Why each rule does not that is for the same matter.
    pub fn covers(&self, act: &Act) -> Result<(), Vec<Uncovered>> {
        let mut whys = Vec::new();
        for scope in self.scopes.iter().filter(|scope| scope.matter == act.matter) {
            match scope.covers(act) {
                Ok(()) => return Ok(()),
                Err(why) => whys.push(why),
            }
        }
        Err(whys)
    }
}

fn scope(rule: FileRule) -> Result<Scope> {
    let FileRule { what, peer, arbiter, process, up_to } = rule;
    let Some(matter) = Matter::parse(&what) else {
        let known = Matter::ALL.map(Matter::name);
        bail!("a rule allows {what:?}; known are {}", known.join(", "));
    };
    let key_set = |text: Option<String>| -> Result<Option<KeySetId>> {
        let parse = |text: String| KeySetId::parse(&text).with_context(|| format!("{text:?} is not a key set"));
        text.map(parse).transpose()
    };
    process.as_deref().map_or(Ok(()), is_known).map_err(anyhow::Error::msg)?;
    let per_deal = up_to.map(|text| Amount::parse(&text).with_context(|| format!("{text:?}"))).transpose()?;
    let scope = Scope { matter, peer: key_set(peer)?, arbiter: key_set(arbiter)?, process, per_deal };
    match scope.check() {
        Ok(()) => Ok(scope),
        Err(_) if matter.moves_money() && per_deal.is_none() => {
            bail!("a rule for {what} says up to which amount each may be: up_to = \"20.00 EUR\"")
        }
        Err(wrong) => bail!("a rule for {what} is none: {wrong}"),
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
        let text = format!("[[allow]]\nwhat = \"contract\"\npeer = \"{}\"\nprocess = \"sign/1\"\n", key_set(1));
        let policy = Policy::parse(&text).unwrap();
        let act = |matter, peer| Act { peer, process: Some("sign/1".to_owned()), ..Act::of(matter) };
        assert!(policy.covers(&act(Matter::Contract, Some(key_set(1)))).is_ok());
        assert!(policy.covers(&act(Matter::Contract, Some(key_set(2)))).is_err());
        assert!(policy.covers(&act(Matter::Contract, None)).is_err());
        assert!(policy.covers(&act(Matter::Purchase, Some(key_set(1)))).is_err());
        let other = Act { process: Some("buy/1".to_owned()), ..act(Matter::Contract, Some(key_set(1))) };
        assert!(policy.covers(&other).is_err());
    }

    // A limit that is not applied spends what its user did not allow.
    #[test]
    fn what_moves_money_has_a_limit() {
        for what in ["purchase", "payment", "account"] {
            let policy = Policy::parse(&format!("[[allow]]\nwhat = \"{what}\"\nup_to = \"20.00 EUR\"")).unwrap();
            let act = |text| Act { amount: Amount::parse(text).ok(), ..Act::of(Matter::parse(what).unwrap()) };
            assert!(policy.covers(&act("20.00 EUR")).is_ok());
            for amount in ["20.01 EUR", "1.00 USD", "nothing"] {
                assert!(policy.covers(&act(amount)).is_err(), "{amount}");
            }
            assert!(Policy::parse(&format!("[[allow]]\nwhat = \"{what}\"")).is_err());
        }
    }

    // A misspelt key would otherwise silently widen the rule to any peer.
    #[test]
    fn a_misspelt_rule_is_refused() {
        for text in [
            "[[allow]]\nwhat = \"contract\"\npeers = \"x\"",
            "[[allow]]\nwhat = \"all\"",
            "[[allow]]\nwhat = \"contract\"\npeer = \"12\"",
            "[[allow]]\nwhat = \"contract\"\nup_to = \"1.00 EUR\"",
            "[[allow]]\nwhat = \"mail\"\nprocess = \"mail/1\"",
            "[[allow]]\nwhat = \"contract\"\nprocess = \"sing/1\"",
        ] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
    }
}

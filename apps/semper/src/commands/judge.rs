//! Judging a deal by its folders: what is proven, and for whom. Needs no node and no network, and a key only to sign.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use semper_core::cbor::{Decode, Encode};
use semper_core::cose::Statement as _;
use semper_core::ids::KeySetId;
use semper_core::party::Algorithm;
use semper_exchange::claims::{
    self, Case, Claim, Decision, Outcome, Policy, Question, Revocation, Ruling, SignedDecision, Sunset, bind, decide,
    questions, rules,
};
use semper_exchange::evidence::{Checks, Folder, Report, Subject, What};
use semper_support::crypto::Signer as _;
use semper_support::stamp::CertificateId;
use serde_json::{Value, json};

use super::trust::{Stampers, Trusted};
use super::verify::Names;
use super::{Common, ask};
use crate::bench::Bench;
use crate::now;
use crate::party::unlock;

/// Judge a deal by its folders: does it bind both, was it paid, was it delivered? Each answer with its proof.
///
/// Give your own folder, or those of both parties: what one left out the other may hold. The exit code is 0 if everything that was asked is
/// proven, 1 if not, 2 if the input is not usable.
#[derive(Debug, Args)]
pub(super) struct Judge {
    /// The folders of one deal: *.semper files
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// A claim to judge instead of the usual questions, for example "paid(payer, >= 20.00 EUR, before 2026-11-21T12:00:00Z)"
    #[arg(long = "claim", value_name = "TEXT", conflicts_with = "check")]
    claims: Vec<String>,
    /// Believe this arbiter and no other that is not named: the identifier of its key [default: whom the parties chose]
    #[arg(long = "arbiter", value_name = "KEY", conflicts_with = "check")]
    arbiters: Vec<String>,
    /// For payments and messages, count what this key signed and no other that is not named [default: any key; the answer names it]
    #[arg(long = "signer", value_name = "KEY", conflicts_with = "check")]
    signers: Vec<String>,
    /// Judge as of this moment, like 2026-11-21T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", conflicts_with = "check")]
    at: Option<String>,
    /// Write the decision into a file, signed with the keys of the data directory
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    sign: Option<PathBuf>,
    /// Check somebody's signed decision by judging again
    #[arg(long, value_name = "DECISION")]
    check: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Hold signatures of an algorithm to prove nothing from a moment on, unless a time-stamp shows that they are older; for example
    /// "Ed25519=2040-01-01T00:00:00Z" (also ES256, ML-DSA-65). A signature of two algorithms stands while one of them does
    #[arg(long = "sunset", value_name = "ALGORITHM=TIME", conflicts_with = "check")]
    sunsets: Vec<String>,
    /// Hold signatures of a key to prove nothing from a moment on, because it was stolen or lost, unless a time-stamp shows that they are older; for
    /// example "5f3c…=2026-11-21T12:00:00Z"
    #[arg(long = "revoked", value_name = "KEY=TIME", conflicts_with = "check")]
    revoked: Vec<String>,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    stampers: Stampers,
}

impl Judge {
    pub(super) fn run(self, common: &Common) -> ExitCode {
        match self.judged(common) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("semper: {error:#}");
                ExitCode::from(2)
            }
        }
    }

    /// Whether everything that was asked is proven.
    fn judged(&self, common: &Common) -> Result<bool> {
        let folders = self.folders.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
        let case = Case::of(&folders)?;
        let bench = Bench::default();
        let systems = bench.systems();
        let checks = bench.checks(&systems);
        if let Some(path) = &self.check {
            return check(&checks, &case, path, self.json);
        }
        let report = case.examine(&checks);
        let questions = self.questions(&report)?;
        match questions.len() {
            0 => bail!(
                "these folders hold no contract between two, transfer or payment: there is nothing to judge (see `semper verify`)"
            ),
            1..=claims::CLAIMS_MAX => {}
            _ => bail!("that is more than {} questions: ask with --claim", claims::CLAIMS_MAX),
        }
        let asked: Vec<_> = questions.iter().map(|question| question.claim.clone()).collect();
        let decision = decide(&report, &case, &asked, &self.policy()?);
        if self.json {
            println!("{:#}", to_json(&decision, &questions));
        } else {
            let items = folders.iter().flat_map(|folder| &folder.items);
            print(&report, &decision, &questions, &Names::read(&self.trusted, items, &report)?);
        }
        if let Some(path) = &self.sign {
            sign(common, &decision, path)?;
        }
        Ok(decision.rulings.iter().all(|ruling| ruling.outcome == Outcome::Proven))
    }

    fn questions(&self, report: &Report) -> Result<Vec<Question>> {
        if self.claims.is_empty() {
            return Ok(questions(report));
        }
        let question = |text: &String| {
            let claim: Claim = text.parse()?;
            Ok(Question { words: text.clone(), ..Question::about(report, bind(report, &claim)) })
        };
        self.claims.iter().map(question).collect()
    }

    fn policy(&self) -> Result<Policy> {
        let wrong = |text: &str| anyhow!("{text:?} is no time; write it like 2026-11-21T12:00:00Z");
        let at = self.at.as_ref().map(|text| claims::time(text).ok_or_else(|| wrong(text))).transpose()?;
        let (arbiters, signers) = (keys(&self.arbiters)?, keys(&self.signers)?);
        let stampers = self.stampers.read()?.iter().map(|der| CertificateId::of(der)).collect();
        let sunsets = self.sunsets.iter().map(|text| sunset(text)).collect::<Result<_>>()?;
        let revoked = self.revoked.iter().map(|text| revocation(text)).collect::<Result<_>>()?;
        Ok(Policy { arbiters, signers, stampers, sunsets, revoked, ..Policy::at(at.unwrap_or_else(now)) })
    }
}

const ALGORITHMS: [(&str, Algorithm); 3] =
    [("ed25519", Algorithm::Ed25519), ("es256", Algorithm::Es256), ("ml-dsa-65", Algorithm::MlDsa65)];

fn sunset(text: &str) -> Result<Sunset> {
    let wrong = || anyhow!("{text:?} is no sunset; write it like Ed25519=2040-01-01T00:00:00Z");
    let (name, time) = text.split_once('=').ok_or_else(wrong)?;
    let algorithm = ALGORITHMS.iter().find(|(known, _)| *known == name.to_ascii_lowercase());
    let (_, algorithm) = algorithm.ok_or_else(wrong)?;
    Ok(Sunset { algorithm: *algorithm, from: claims::time(time).ok_or_else(wrong)? })
}

fn revocation(text: &str) -> Result<Revocation> {
    let wrong =
        || anyhow!("{text:?} revokes no key; write it like 5f3c…=2026-11-21T12:00:00Z, with all 64 digits of the key");
    let (key_set, time) = text.split_once('=').ok_or_else(wrong)?;
    let key_set = KeySetId::parse(key_set).ok_or_else(wrong)?;
    Ok(Revocation { key_set, from: claims::time(time).ok_or_else(wrong)? })
}

/// The keys that were named, if any were.
fn keys(texts: &[String]) -> Result<Option<Vec<KeySetId>>> {
    let read = |text: &String| {
        KeySetId::parse(text)
            .ok_or_else(|| anyhow!("{text:?} is no identifier of a key: those have 64 hexadecimal digits"))
    };
    let keys = texts.iter().map(read).collect::<Result<BTreeSet<_>>>()?;
    Ok((!keys.is_empty()).then(|| keys.into_iter().collect()))
}

fn read(path: &Path) -> Result<Folder> {
    Folder::from_bytes(&bytes(path, Folder::BYTES_MAX)?).with_context(|| path.display().to_string())
}

fn bytes(path: &Path, most: usize) -> Result<Vec<u8>> {
    let name = path.display();
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {name}"))?.len();
    if size > most as u64 {
        bail!("{name} has {size} bytes; at most {most} are read");
    }
    std::fs::read(path).with_context(|| format!("cannot read {name}"))
}

fn sign(common: &Common, decision: &Decision, path: &Path) -> Result<()> {
    let home = common.home()?;
    let secrets = unlock(&home, &ask::passphrase(common.passphrase_file.as_deref(), false)?)?;
    let judge = secrets.key_set().clone();
    let signed = secrets.signer.sign(decision.draft(judge.suite(), judge.id()))?;
    let file = SignedDecision { signed, judge };
    let bytes = file.to_bytes();
    if bytes.len() > SignedDecision::BYTES_MAX {
        bail!("the decision is too large: ask less at once");
    }
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("{}: signed. Anybody can check it with `semper judge --check`.", path.display());
    Ok(())
}

/// Judges again what a signed decision is about. Whether the decision is right.
fn check(checks: &Checks<'_>, case: &Case, path: &Path, json: bool) -> Result<bool> {
    let file = SignedDecision::from_bytes(&bytes(path, SignedDecision::BYTES_MAX)?);
    let file = file.with_context(|| path.display().to_string())?;
    let verified = file.read(checks.verify).with_context(|| format!("{}: not validly signed", path.display()))?;
    let decision = verified.statement();
    let again = decision.again(checks, case)?;
    let judge = verified.signer();
    let right = again == *decision;
    let wrong = decision.rulings.iter().zip(&again.rulings).filter(|(said, found)| said != found);
    if json {
        let wrong: Vec<_> =
            wrong.map(|(said, found)| json!({ "said": ruling_json(said), "found": ruling_json(found) })).collect();
        println!("{:#}", json!({ "right": right, "judge": judge.to_string(), "wrong": wrong }));
        return Ok(right);
    }
    println!("{}  the decision of key {judge}", if right { "RIGHT" } else { "WRONG" });
    for (said, found) in wrong {
        println!("  {}: it says {}, the evidence says {}", said.claim, said.outcome.name(), found.outcome.name());
    }
    if decision.misconduct != again.misconduct {
        println!("  it leaves out misconduct that the evidence proves, or invents some");
    }
    Ok(right)
}

fn print(report: &Report, decision: &Decision, questions: &[Question], names: &Names) {
    println!("Deal {}, as of {}", report.deal, decision.policy.at);
    let mut about = None;
    for (question, ruling) in questions.iter().zip(&decision.rulings) {
        let object = question.claim.statements().first().and_then(|did| did.object);
        if about != Some(object) {
            about = Some(object);
            println!();
            object.iter().for_each(|object| introduce(report, object, names));
        }
        println!("{}", answer(report, question, ruling));
    }
    if !decision.misconduct.is_empty() {
        println!();
    }
    for misconduct in &decision.misconduct {
        println!("NOTE  {misconduct}");
    }
    let faults = report.findings.iter().filter(|finding| finding.is_fault()).count();
    if faults > 0 {
        println!("\n{faults} pieces did not count or are missing (see `semper verify`).");
    }
}

/// What the next answers are about, and who is who in it: whoever reads them must know whose keys these are.
fn introduce(report: &Report, object: &Subject, names: &Names) {
    println!("{object}");
    if let Some(contract) = report.contracts.iter().find(|contract| *object == contract.subject()) {
        for (role, party) in contract.sides() {
            println!("  {:<10}  {}", claims::called(contract, role), names.show(party));
        }
        if let Some(arbiter) = contract.core.arbiter() {
            println!("  arbiter     {}", names.show(arbiter));
        }
    }
    let of_this = report.facts.iter().filter(|fact| fact.about == *object);
    let signers: BTreeSet<_> = of_this.filter_map(|fact| Some((did_what(fact.what)?, fact.what.signer()?))).collect();
    for (did, signer) in signers {
        println!("  {did:<10}  {}", names.show(signer));
    }
}

/// What somebody did whose key nothing but its own signature names.
fn did_what(what: What) -> Option<&'static str> {
    match what {
        What::Sent(_) => Some("sent by"),
        What::Accepted(_) => Some("taken by"),
        What::Refused(_) => Some("refused by"),
        What::Requested(_) => Some("payee"),
        _ => None,
    }
}

/// The answer in one sentence, with the proof and for whom it speaks.
fn answer(report: &Report, question: &Question, ruling: &Ruling) -> String {
    let Question { words, speaks_for, .. } = question;
    let proof = proof(report, ruling);
    match (ruling.outcome, speaks_for) {
        (Outcome::Proven, Some(name)) => format!("{words} Yes: {proof}. It speaks for the {name}."),
        (Outcome::Proven, None) => format!("{words} Yes: {proof}. It speaks for both."),
        (Outcome::Refuted, Some(name)) => format!("{words} No: {proof}. It speaks against the {name}."),
        (Outcome::Refuted, None) => format!("{words} No: {proof}."),
        (Outcome::Undecided, _) => {
            let missing: Vec<_> = ruling.missing.iter().map(|words| plain(report, ruling, words)).collect();
            let missing = match missing.as_slice() {
                [one] => format!("Missing is: {one}."),
                several => format!("One of these is missing: {}.", several.join(" / ")),
            };
            let instead = ruling.instead.as_ref().map(|claim| format!(" Proven is: {claim}.")).unwrap_or_default();
            format!("{words} Not proven{}. {missing}{instead}", default(ruling))
        }
    }
}

/// Who bears it if nothing is proven, where one statement is asked about.
fn default(ruling: &Ruling) -> String {
    match ruling.claim.statements().as_slice() {
        [did] => format!(": {}", rules::chapter(did.verb).default),
        _ => String::new(),
    }
}

fn proof(report: &Report, ruling: &Ruling) -> String {
    // Several pieces may complete the same line.
    let mut lines: Vec<_> = ruling.grounds.iter().map(|ground| ground.rule.as_str()).collect();
    lines.dedup();
    let words = |id: &str| {
        let evidence = rules::rule(id).map(|rule| rule.evidence().collect::<Vec<_>>().join(", ")).unwrap_or_default();
        format!("{} ({id})", plain(report, ruling, &evidence))
    };
    lines.into_iter().map(words).collect::<Vec<_>>().join("; ")
}

/// Words of the rules with the names of those whom the claim is about, where it is about one actor.
fn plain(report: &Report, ruling: &Ruling, words: &str) -> String {
    match ruling.claim.statements().as_slice() {
        [did] => {
            let [actor, peer] = claims::called_in(report, did);
            words.replace("the actor", &format!("the {actor}")).replace("the peer", &format!("the {peer}"))
        }
        _ => words.to_owned(),
    }
}

fn to_json(decision: &Decision, questions: &[Question]) -> Value {
    let answers = questions.iter().zip(&decision.rulings).map(|(question, ruling)| {
        let mut answer = ruling_json(ruling);
        answer["question"] = question.words.clone().into();
        answer["speaks_for"] = question.speaks_for.clone().into();
        answer
    });
    json!({
        "case": decision.case.to_string(),
        "rules": decision.rules.to_string(),
        "at": decision.policy.at.unix(),
        "proven": decision.rulings.iter().all(|ruling| ruling.outcome == Outcome::Proven),
        "answers": answers.collect::<Vec<_>>(),
        "misconduct": decision.misconduct.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn ruling_json(ruling: &Ruling) -> Value {
    let ground = |ground: &claims::Ground| {
        let evidence: Vec<_> = ground.evidence.iter().map(ToString::to_string).collect();
        json!({ "rule": ground.rule, "words": rules::rule(&ground.rule).map(|rule| rule.words), "evidence": evidence })
    };
    json!({
        "claim": ruling.claim.to_string(),
        "outcome": ruling.outcome.name(),
        "grounds": ruling.grounds.iter().map(ground).collect::<Vec<_>>(),
        "proven_instead": ruling.instead.as_ref().map(ToString::to_string),
        "missing": ruling.missing,
    })
}

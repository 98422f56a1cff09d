//! Checking a deal folder. Needs no node, no key and no network.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use semper_core::cbor::Decode;
use semper_core::container::Disposition;
use semper_core::contract::Profile;
use semper_core::ids::KeySetId;
use semper_core::party::Role;
use semper_core::text::escape;
use semper_core::time::Time;
use semper_exchange::evidence::{
    Contract, Folder, HandedIn, Item, PassedOn, Payment, Receipt, Report, Shown, Stamped, Standing, Told, Transfer,
    examine,
};
use semper_exchange::gx::responder;
use semper_exchange::notice::{How, Saying};
use semper_support::engine::EvidenceKind;
use semper_support::stamp::CertificateId;
use semper_transfer::payment::statement::PaymentRequest;
use semper_trust::path::Certified;
use serde_json::{Value, json};

use super::trust::{Stampers, Trusted, name_of};
use crate::bench::Bench;

/// Check a deal folder: what happened, who signed what, what is proven.
///
/// The exit code is 0 if the folder is sound, 1 if it is damaged, altered or incomplete.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The folder: a *.semper file
    folder: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    stampers: Stampers,
}

impl Verify {
    pub(super) fn run(self) -> Result<ExitCode> {
        let name = self.folder.display();
        let size = std::fs::metadata(&self.folder).with_context(|| format!("cannot read {name}"))?.len();
        if size > Folder::BYTES_MAX as u64 {
            anyhow::bail!("{name} has {size} bytes; a deal folder has at most {}", Folder::BYTES_MAX);
        }
        let bytes = std::fs::read(&self.folder).with_context(|| format!("cannot read {name}"))?;
        let folder = match Folder::from_bytes(&bytes) {
            Ok(folder) => folder,
            Err(error) => {
                if self.json {
                    println!("{:#}", json!({ "sound": false, "error": error.to_string() }));
                } else {
                    println!("REFUSED  {name}: {error}");
                }
                return Ok(ExitCode::FAILURE);
            }
        };
        let bench = Bench::default();
        let systems = bench.systems();
        let checks = bench.checks(&systems);
        // Certificates of issuers need not be in a token. Who brings one trusts it.
        let believed = Believed::of(&self.stampers.read()?);
        let report = examine(&checks, folder.deal, folder.items.iter().chain(&believed.items));
        let names = Names::read(&self.trusted, &folder.items, &report)?;
        if self.json {
            println!("{:#}", to_json(&report, &names, &believed));
        } else {
            print(&report, &names, &believed);
        }
        Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Whose word on times is taken.
struct Believed {
    ids: Vec<CertificateId>,
    items: Vec<Item>,
}

impl Believed {
    fn of(certificates: &[Vec<u8>]) -> Self {
        let item = |der: &Vec<u8>| Item { kind: EvidenceKind::Certificate, bytes: der.clone(), time: Time::MAX };
        Self {
            ids: certificates.iter().map(|der| CertificateId::of(der)).collect(),
            items: certificates.iter().map(item).collect(),
        }
    }

    fn is_trusted(&self, stamp: &Stamped) -> bool {
        stamp.vouchers.iter().any(|voucher| self.ids.contains(voucher))
    }
}

/// The certified names of the key sets in folders.
pub(super) struct Names(BTreeMap<KeySetId, Certified>);

impl Names {
    pub(super) fn read<'a>(
        trusted: &Trusted,
        items: impl IntoIterator<Item = &'a Item>,
        report: &Report,
    ) -> Result<Self> {
        let Some(trust) = trusted.read()? else {
            return Ok(Self(BTreeMap::new()));
        };
        let certificates = items.into_iter().filter(|item| item.kind == EvidenceKind::Certificate);
        let certificates: Vec<_> = certificates.map(|item| item.bytes.clone()).collect();
        let named = |id| Some((id, name_of(&trust, &certificates, id)?));
        Ok(Self(report.key_sets.iter().filter_map(|key_set| named(key_set.id())).collect()))
    }

    /// A key set as it is shown: with the name that the authority vouches for, if it does.
    pub(super) fn show(&self, key_set: KeySetId) -> String {
        match self.0.get(&key_set) {
            Some(known) => format!("key {key_set} ({}, certified by {})", known.name(), known.issuers().join(", ")),
            None => format!("key {key_set}"),
        }
    }
}

fn print(report: &Report, names: &Names, believed: &Believed) {
    println!("{}  deal {}", if report.is_sound() { "SOUND" } else { "NOT SOUND" }, report.deal);
    for contract in &report.contracts {
        println!("\nContract {}", contract.cid);
        println!("  {}", contract.standing);
        if let Some(place) = contract.logged {
            println!("  the verdict stands in the arbiter's log, place {place}");
        }
        let parties = &contract.core.terms.parties;
        if contract.core.terms.profile == Profile::Gx && parties.len() > 2 {
            let (part, recipients) = (u32::from(contract.part.0) + 1, parties.len() - 1);
            println!("  about the recipient {part} of {recipients}, and no other");
        }
        for party in parties {
            let called = party.role.among(parties.len());
            println!("  {:<10}  {}", called.trim_start_matches("the "), names.show(party.key_set));
        }
        match contract.core.arbiter() {
            Some(arbiter) => println!("  arbiter     {}", names.show(arbiter)),
            None => println!("  arbiter     none: one hash locks what both give"),
        }
        for (hash, size) in &contract.files {
            match size {
                Some(size) => println!("  file        {hash}, {size} bytes, in the folder, matches"),
                None => println!("  file        {hash}, not in the folder"),
            }
        }
        for file in contract.contents.iter().flatten() {
            let (name, hash, size) = (escape(&file.name, 0), file.hash, file.size);
            println!("  in the letter, which opens to what the contract says: {name}, {size} bytes, hash {hash}");
        }
        if let Some(shown) = &contract.right {
            print_right(shown, names);
        }
        if let Some(passed) = &contract.passed {
            print_passed(passed, names);
        }
        for line in contract.text.iter().flat_map(|text| text.lines()) {
            println!("  | {line}");
        }
    }
    report.notices.iter().for_each(|told| print_notice(report, told, names));
    for transfer in &report.transfers {
        println!("\nTransfer of container {}", transfer.container);
        for (name, hash, size) in &transfer.files {
            println!("  file        {}, {size} bytes, hash {hash}", escape(name, 0));
        }
        match transfer.origin {
            Some(origin) => println!("  sent by {}: proven by its signature", names.show(origin)),
            None => println!("  who sent it is not proven"),
        }
        match &transfer.receipt {
            Some(receipt) => println!("  {}: proven by its signature", receipt_sentence(receipt, names)),
            None => println!("  that it was received is not proven"),
        }
    }
    for payment in &report.payments {
        let PaymentRequest { amount, purpose, system, issuer, .. } = &payment.request;
        println!("\nPayment of {amount}");
        if !purpose.is_empty() {
            println!("  for         {}", escape(purpose, 0));
        }
        println!("  payee       {}", names.show(payment.payee));
        println!("  by          {system} at {}", escape(issuer, 0));
        match payment.receipt {
            Some(time) => println!("  the payee's signed receipt of {time} proves that it was made"),
            None => println!("  the payee has given no receipt"),
        }
        match &payment.proof {
            Some(by) => println!("  proven by {by}"),
            None => println!("  the payment system shows no proof of its own"),
        }
    }
    for submission in &report.submissions {
        print_submission(submission, names);
    }
    for stamp in &report.stamps {
        let Stamped { statement, kind, signer, before, name, .. } = stamp;
        println!("\nTime-stamp of {kind} {statement}");
        println!("  signed by   {}", names.show(*signer));
        println!("  its signature existed before {before}");
        let certificate = stamp.vouchers.first().map(ToString::to_string).unwrap_or_default();
        println!("  by the word of {} (certificate {certificate})", escape(name, 0));
        if !believed.is_trusted(stamp) {
            println!("  that is the word of an authority that you have not said to trust: see --trust");
        }
    }
    if report.contracts.is_empty() && report.transfers.is_empty() && report.payments.is_empty() {
        println!("\nThe folder holds no contract, transfer or payment: it proves nothing.");
    }
    if !report.findings.is_empty() {
        println!();
    }
    for finding in &report.findings {
        println!("{} {finding}", if finding.is_fault() { "FAULT" } else { "NOTE " });
    }
}

/// What one party of a contract told the other about it, and what shows that it came.
fn print_notice(report: &Report, told: &Told, names: &Names) {
    let Told { notice, about, role, received, acknowledged, .. } = told;
    let contract = report.contracts.iter().find(|contract| contract.subject() == *about);
    let side = |wanted: Role| {
        let key = contract.and_then(|contract| contract.sides().find(|(role, _)| *role == wanted));
        key.map_or_else(|| format!("the {wanted}"), |(role, key)| format!("the {role} ({})", names.show(key)))
    };
    let (by, peer) = (side(*role), side(role.peer()));
    let said = match &notice.saying {
        Saying::Withdrawal { .. } => "withdrew from the contract",
        Saying::Dispute { .. } => "disputes",
        Saying::Answer { how: How::Acknowledge, .. } => "acknowledges what is claimed in the dispute",
        Saying::Answer { how: How::Deny, .. } => "denies what is claimed in the dispute",
        Saying::Answer { how: How::NoContest, .. } => "does not contest what is claimed in the dispute",
    };
    println!("\nNotice about contract {}", notice.cid);
    println!("  {by} {said}: proven by its signature");
    println!("  written     {}, by its own clock", notice.time);
    for line in notice.to_string().lines().skip(1) {
        println!("  | {}", line.trim_start());
    }
    match received {
        Some(time) => println!("  {peer} was handed it before {time}, by the receipt of whom its contact card names"),
        None => println!("  that it was handed in is not proven"),
    }
    match acknowledged {
        Some(time) => println!("  {peer} has it since {time}: proven by its signature"),
        None => println!("  that it was acknowledged is not proven"),
    }
    if let Saying::Dispute { answer_by, .. } = &notice.saying {
        let answered = report
            .notices
            .iter()
            .any(|other| matches!(other.notice.saying, Saying::Answer { to, .. } if to == told.container));
        if !answered {
            println!("  an answer was expected by {answer_by}; there is none in the folder");
        }
    }
}

/// What was handed in for whom, and who has it.
fn print_submission(submission: &HandedIn, names: &Names) {
    let HandedIn { statements, container, recipient, handed, .. } = submission;
    println!("\nSubmission for {}", names.show(*recipient));
    if let Some(container) = container {
        println!("  of          container {container}");
    }
    for (statement, kind) in statements {
        println!("  of          {kind} {statement}");
    }
    if container.is_none() && statements.is_empty() {
        println!("  of          a message that holds nothing signed");
    }
    match handed {
        Some(handed) => {
            println!("  handed in before {}, by the receipt of {}", handed.time, names.show(handed.agent));
            println!(
                "  whom the recipient's own contact card names for that; whether the recipient has read it, this does not show"
            );
        }
        None => println!("  no receipt shows that it was handed in"),
    }
}

/// The right that a contract shows, and what its issuer says of it.
fn print_right(shown: &Shown, names: &Names) {
    let Shown { right, issuer, credential, kept, number, spent } = shown;
    println!("  right       {}", escape(right, 0));
    println!("  issued by   {}", names.show(*issuer));
    if !credential {
        println!("  the credential is not in the folder");
    }
    match (kept, number) {
        (Some(until), Some(number)) => println!("  its issuer kept the use {number} for this contract until {until}"),
        (Some(_), None) => println!("  its issuer says that it was good for this contract; it may be used freely"),
        (None, _) => println!("  that its issuer kept it for this contract is not shown"),
    }
    if let Some(time) = spent {
        println!("  its issuer took that use on {time}");
    }
}

fn print_passed(passed: &PassedOn, names: &Names) {
    let PassedOn { right, issuer, offered, passed, back } = passed;
    println!("  right       {}", escape(right, 0));
    println!("  issued by   {}", names.show(*issuer));
    if !offered {
        println!("  the seller's credential is not in the folder");
    }
    match (passed, back) {
        (_, true) => println!("  its issuer has called it back: it is the seller's again"),
        (true, false) => println!("  its issuer has passed it on to the buyer under this contract"),
        (false, false) => println!("  that its issuer has passed it on to the buyer is not shown"),
    }
}

fn receipt_sentence(receipt: &Receipt, names: &Names) -> String {
    let by = names.show(receipt.by);
    match &receipt.disposition {
        Disposition::Accepted => format!("received by {by} on {}", receipt.time),
        Disposition::Refused(reason) => format!("refused by {by} on {} ({})", receipt.time, escape(reason, 0)),
    }
}

fn to_json(report: &Report, names: &Names, believed: &Believed) -> Value {
    let key_set =
        |id: KeySetId| json!({ "id": id.to_string(), "certified_name": names.0.get(&id).map(Certified::name) });
    json!({
        "sound": report.is_sound(),
        "deal": report.deal.to_string(),
        "contracts": report.contracts.iter().map(contract_json).collect::<Vec<_>>(),
        "notices": report.notices.iter().map(notice_json).collect::<Vec<_>>(),
        "transfers": report.transfers.iter().map(transfer_json).collect::<Vec<_>>(),
        "payments": report.payments.iter().map(payment_json).collect::<Vec<_>>(),
        "submissions": report.submissions.iter().map(submission_json).collect::<Vec<_>>(),
        "time_stamps": report.stamps.iter().map(|stamp| stamp_json(stamp, believed)).collect::<Vec<_>>(),
        "key_sets": report.key_sets.iter().map(|known| key_set(known.id())).collect::<Vec<_>>(),
        "findings": report.findings.iter()
            .map(|finding| json!({ "fault": finding.is_fault(), "text": finding.to_string() })).collect::<Vec<_>>(),
    })
}

fn contract_json(contract: &Contract) -> Value {
    let party = |role| contract.core.party(role).as_ref().map(KeySetId::to_string);
    let (standing, time) = match contract.standing {
        Standing::Complete | Standing::Signed { .. } => ("complete", None),
        Standing::Resolved { time } => ("resolved", Some(time.unix())),
        Standing::Fault { time, .. } => ("fault", Some(time.unix())),
        Standing::Aborted { time } => ("aborted", Some(time.unix())),
        Standing::Revoked { time } => ("revoked", Some(time.unix())),
        Standing::LetOff { time, .. } => ("let-off", Some(time.unix())),
        Standing::Opened => ("opened", None),
        Standing::Open { .. } | Standing::Unopened { .. } | Standing::Rounds { .. } => ("open", None),
    };
    json!({
        "cid": contract.cid.to_string(),
        "part": contract.part.0,
        "contents": contract.contents.as_ref().map(|contents| contents.iter()
            .map(|file| json!({ "name": file.name, "hash": file.hash.to_string(), "bytes": file.size })).collect::<Vec<_>>()),
        "standing": standing,
        "standing_text": contract.standing.to_string(),
        "binding": contract.standing.is_binding(),
        "verdict_time": time,
        "verdict_log_place": contract.logged,
        "originator": party(Role::ORIGINATOR),
        "responder": party(responder(contract.part)),
        "parties": contract.core.terms.parties.iter().map(|party| party.key_set.to_string()).collect::<Vec<_>>(),
        "arbiter": contract.core.arbiter().as_ref().map(KeySetId::to_string),
        "text": contract.text,
        "right": contract.right.as_ref().map(|shown| json!({
            "right": shown.right,
            "issuer": shown.issuer.to_string(),
            "credential": shown.credential,
            "kept_until": shown.kept.map(Time::unix),
            "use": shown.number,
            "spent": shown.spent.map(Time::unix),
        })),
        "passed": contract.passed.as_ref().map(|passed| json!({
            "right": passed.right,
            "issuer": passed.issuer.to_string(),
            "credential": passed.offered,
            "passed": passed.passed,
            "called_back": passed.back,
        })),
        "files": contract.files.iter().map(|(hash, size)| json!({ "hash": hash.to_string(), "bytes": size })).collect::<Vec<_>>(),
    })
}

fn notice_json(told: &Told) -> Value {
    let Told { container, notice, role, received, acknowledged, .. } = told;
    let mut json = json!({
        "container": container.to_string(),
        "cid": notice.cid.to_string(),
        "saying": notice.saying.name(),
        "by": role.to_string(),
        "written": notice.time.unix(),
        "words": notice.words,
        "text": notice.to_string(),
        "received": received.map(Time::unix),
        "acknowledged": acknowledged.map(Time::unix),
    });
    match &notice.saying {
        Saying::Withdrawal { .. } => {}
        Saying::Dispute { claims, relief, amount, answer_by } => {
            json["claims"] = claims.iter().map(ToString::to_string).collect::<Vec<_>>().into();
            json["relief"] = relief.clone().into();
            json["amount"] = amount.map(|amount| amount.to_string()).into();
            json["answer_by"] = answer_by.unix().into();
        }
        Saying::Answer { to, how } => {
            json["answers"] = to.to_string().into();
            json["how"] = how.name().into();
        }
    }
    json
}

fn submission_json(submission: &HandedIn) -> Value {
    json!({
        "statements": submission.statements.iter()
            .map(|(id, kind)| json!({ "id": id.to_string(), "kind": kind.to_string() })).collect::<Vec<_>>(),
        "container": submission.container.as_ref().map(ToString::to_string),
        "recipient": submission.recipient.to_string(),
        "agent": submission.handed.as_ref().map(|handed| handed.agent.to_string()),
        "time": submission.handed.as_ref().map(|handed| handed.time.unix()),
    })
}

fn stamp_json(stamp: &Stamped, believed: &Believed) -> Value {
    json!({
        "statement": stamp.statement.to_string(),
        "kind": stamp.kind.to_string(),
        "signer": stamp.signer.to_string(),
        "before": stamp.before.unix(),
        "authority": stamp.name,
        "vouchers": stamp.vouchers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "trusted": believed.is_trusted(stamp),
    })
}

fn payment_json(payment: &Payment) -> Value {
    json!({
        "amount": payment.request.amount.to_string(),
        "purpose": payment.request.purpose,
        "payee": payment.payee.to_string(),
        "system": payment.request.system.as_str(),
        "issuer": payment.request.issuer,
        "proven": payment.is_proven(),
        "receipt": payment.receipt.map(Time::unix),
        "proof": payment.proof,
    })
}

fn transfer_json(transfer: &Transfer) -> Value {
    json!({
        "container": transfer.container.to_string(),
        "files": transfer.files.iter()
            .map(|(name, hash, size)| json!({ "name": name, "hash": hash.to_string(), "bytes": size })).collect::<Vec<_>>(),
        "origin": transfer.origin.map(|origin| origin.to_string()),
        "receipt": transfer.receipt.as_ref().map(|receipt| json!({
            "by": receipt.by.to_string(),
            "time": receipt.time.unix(),
            "accepted": receipt.disposition == Disposition::Accepted,
        })),
    })
}

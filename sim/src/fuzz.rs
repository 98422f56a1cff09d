//! The bodies of the fuzz targets: one for each decoder that reads bytes from outside.
//!
//! A target must return for all input whatsoever, in bounded time and memory; and what it accepts must be *the* encoding of what was
//! read. `sim/fuzz` runs them under libFuzzer, `tests/fuzz_replay.rs` over the committed corpus.

use std::sync::LazyLock;

use semper_core::cbor::{self, Decode, Encode};
use semper_core::container::Container;
use semper_core::contract::Core;
use semper_core::cose::Signed;
use semper_core::document::Document;
use semper_core::party::KeySet;
use semper_core::template::Template;
use semper_core::time::Time;
use semper_exchange::arbiter::hands::{self, Hands};
use semper_exchange::arbiter::many;
use semper_exchange::arbiter::request::Request;
use semper_exchange::arbiter::verdict::ArbiterAnswer;
use semper_exchange::claims::{CLAIMS_MAX, Case, Claim, Decision, Policy, judge, questions};
use semper_exchange::cn::{self, Cn};
use semper_exchange::evidence::{self, Checks, Folder};
use semper_exchange::goods::{Deposit, Descriptor, Index, Pom};
use semper_exchange::gx::{self, Examination, Examined, Gx, HandsDeposit, LockDeposit, Price, Right};
use semper_exchange::ix::Ix;
use semper_exchange::lx::{self, Lx};
use semper_exchange::notice::Notice;
use semper_support::channel::Frame;
use semper_support::submission::SubmissionProof;
use semper_transfer::credential::{
    Bundle, Credential, CredentialTransfer, Reservation, ReservationRequest, Spend, Submission,
};
use semper_transfer::payment::journal::Entry;
use semper_transfer::payment::operation::Operation;
use semper_transfer::payment::pay::{self, Pay};
use semper_transfer::tx;
use semper_trust::timestamp::{self, Reply, Token};

use crate::scenario::{Cast, Sale};
use crate::symbolic::Oracle;

/// A fuzz target: its name, and its body, which says whether the input was accepted.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name: of the target in `sim/fuzz` and of its corpus' folder.
    pub name: &'static str,
    /// Reads the input. Panics if something is accepted that is not the encoding of what was read.
    pub run: fn(&[u8]) -> bool,
}

/// Largest input that generic CBOR is tried with, in bytes.
const CBOR_MAX: usize = 1 << 20;

/// Every target.
pub const TARGETS: [Target; 50] = [
    Target { name: "time_stamp", run: time_stamp },
    Target { name: "cbor", run: generic },
    Target { name: "signed", run: signed },
    Target { name: "core", run: again::<Core> },
    Target { name: "key_set", run: again::<KeySet> },
    Target { name: "request", run: again::<Request> },
    Target { name: "arbiter_answer", run: again::<ArbiterAnswer> },
    Target { name: "gx_message", run: again::<gx::Message> },
    Target { name: "gx_state", run: again::<Gx> },
    Target { name: "lx_message", run: again::<lx::Message> },
    Target { name: "lx_state", run: again::<Lx> },
    Target { name: "ix_state", run: again::<Ix> },
    Target { name: "hands", run: again::<Hands> },
    Target { name: "hands_answer", run: again::<hands::Answer> },
    Target { name: "hands_deposit", run: again::<HandsDeposit> },
    Target { name: "price", run: again::<Price> },
    Target { name: "right", run: again::<Right> },
    Target { name: "lock_deposit", run: again::<LockDeposit> },
    Target { name: "cn_message", run: again::<cn::Message> },
    Target { name: "cn_state", run: again::<Cn> },
    Target { name: "cn_request", run: again::<many::Request> },
    Target { name: "cn_answer", run: again::<many::Answer> },
    Target { name: "examination", run: again::<Examination> },
    Target { name: "examined", run: again::<Examined> },
    Target { name: "tx_message", run: again::<tx::Message> },
    Target { name: "pay_message", run: again::<pay::Message> },
    Target { name: "pay_state", run: again::<Pay> },
    Target { name: "operation", run: again::<Operation> },
    Target { name: "operation_entry", run: again::<Entry> },
    Target { name: "container", run: again::<Container> },
    Target { name: "document", run: again::<Document> },
    Target { name: "template", run: again::<Template> },
    Target { name: "frame", run: again::<Frame> },
    Target { name: "folder", run: folder },
    Target { name: "descriptor", run: again::<Descriptor> },
    Target { name: "deposit", run: again::<Deposit> },
    Target { name: "index", run: index },
    Target { name: "pom", run: pom },
    Target { name: "claim", run: again::<Claim> },
    Target { name: "claim_text", run: claim_text },
    Target { name: "decision", run: again::<Decision> },
    Target { name: "credential", run: again::<Credential> },
    Target { name: "credential_transfer", run: again::<CredentialTransfer> },
    Target { name: "reservation_request", run: again::<ReservationRequest> },
    Target { name: "reservation", run: again::<Reservation> },
    Target { name: "spend", run: again::<Spend> },
    Target { name: "credential_bundle", run: again::<Bundle> },
    Target { name: "submission", run: again::<Submission> },
    Target { name: "notice", run: again::<Notice> },
    Target { name: "submission_proof", run: again::<SubmissionProof> },
];

/// Runs the target with a name.
///
/// # Panics
/// If there is no such target, or if the target finds a mistake.
pub fn run(name: &str, input: &[u8]) -> bool {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(input)
}

fn generic(input: &[u8]) -> bool {
    let Ok(value) = cbor::decode(input, CBOR_MAX) else { return false };
    assert_eq!(value.encode(), input, "two encodings of one value");
    true
}

fn signed(input: &[u8]) -> bool {
    let Ok(signed) = Signed::from_bytes(input) else { return false };
    assert_eq!(signed.bytes(), input);
    // What is signed and what it is called must be computable for everything that is read.
    assert_eq!(signed.signatures().count(), signed.suite().algorithms().len());
    let _ = signed.id();
    true
}

fn again<T: Decode + Encode>(input: &[u8]) -> bool {
    let Ok(read) = T::from_bytes(input) else { return false };
    assert_eq!(read.to_bytes(), input, "two encodings of one record");
    true
}

/// A folder is judged as well, with all that is usually asked about it: whatever a stranger is sent, the judgement ends.
fn folder(input: &[u8]) -> bool {
    let Ok(folder) = Folder::from_bytes(input) else { return false };
    assert_eq!(folder.to_bytes(), input, "two encodings of one folder");
    let oracle = Oracle::new([0; 32]);
    let _ = evidence::verify(&oracle, &[], &folder);
    let case = Case::of(&[folder]).expect("one folder is a case");
    let checks = Checks { verify: &oracle, kem: Some(&oracle), systems: &[], stamps: None, submissions: None };
    let report = case.examine(&checks);
    let asked: Vec<_> = questions(&report).into_iter().map(|question| question.claim).collect();
    let decision = judge(&checks, &case, &asked, &Policy::at(Time::from_unix(1)));
    if asked.len() <= CLAIMS_MAX {
        assert_eq!(Decision::from_bytes(&decision.to_bytes()).as_ref(), Ok(&decision), "a decision is not readable");
    }
    true
}

/// What is written of a claim that was read is read as the same claim, and so are its bytes.
fn claim_text(input: &[u8]) -> bool {
    let Some(claim) = std::str::from_utf8(input).ok().and_then(|text| text.parse::<Claim>().ok()) else { return false };
    assert_eq!(claim.to_string().parse().as_ref(), Ok(&claim), "the text of a claim says another one");
    assert_eq!(Claim::from_bytes(&claim.to_bytes()).as_ref(), Ok(&claim), "the bytes of a claim say another one");
    true
}

fn index(input: &[u8]) -> bool {
    let Ok(index) = Index::from_bytes(input) else { return false };
    assert_eq!(index.to_bytes(), input, "two encodings of one index");
    true
}

/// A proof is judged as well, also under the name of an honest seller's contract: it never holds against one.
fn pom(input: &[u8]) -> bool {
    static HONEST: LazyLock<(Cast, Sale)> = LazyLock::new(|| {
        let cast = Cast::default();
        let sale = cast.sale(1, &[7; 40_000]);
        (cast, sale)
    });
    let Ok(pom) = Pom::from_bytes(input) else { return false };
    assert_eq!(pom.to_bytes(), input, "two encodings of one proof");
    let (cast, Sale { good, .. }) = &*HONEST;
    for pom in [Pom { cid: good.cid(), slot: good.slot(), ..pom.clone() }, pom] {
        assert!(cast.judge().check(good, &pom).is_err(), "an honest seller is found guilty: {:?}", pom.claim);
    }
    true
}

/// What comes from or goes to a time-stamp authority. A request that is read says the same when it is written and read again.
fn time_stamp(bytes: &[u8]) -> bool {
    let request = timestamp::Request::from_der(bytes);
    if let Ok(request) = &request {
        assert_eq!(timestamp::Request::from_der(&request.to_der()).as_ref(), Ok(request));
    }
    let token = Token::from_der(bytes);
    if let Ok(token) = &token {
        assert_eq!(token.der(), bytes);
        assert!(!token.vouchers(&[]).is_empty());
    }
    Reply::from_der(bytes).is_ok() || request.is_ok() || token.is_ok()
}

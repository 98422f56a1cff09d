//! The fuzz targets without a fuzzer: over the committed corpus, and over a fixed number of random mutations of it. What could go
//! wrong: a decoder panics, loops, or accepts two encodings of one meaning. What this cannot find is whatever needs hours and coverage
//! feedback: `sim/fuzz/README.md`.
//!
//! After a format has changed: `UPDATE_CORPUS=1 cargo test -p semper-sim --test fuzz_replay the_corpus_is_read` writes the corpus
//! again, from the good encodings in `spec/vectors/` and of `scenario`, and mutations of them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Encode;
use semper_core::cose::Statement as _;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, Slot};
use semper_core::party::{Role, Suite};
use semper_core::time::{Seconds, Time};
use semper_exchange::arbiter::hands::{self, Hands, Holding, token_hash};
use semper_exchange::arbiter::verdict::{self, ArbiterAnswer};
use semper_exchange::claims::{self, Case, Policy, judge};
use semper_exchange::cn::{self, Cn, Round};
use semper_exchange::evidence::{Checks, Folder, Item, Subject};
use semper_exchange::goods::{self, BadChunk, BadShape, ChunkIndex, Claim, KeyEvidence, Pom};
use semper_exchange::gx::{Completed, Examination, Examined, Found, Gx, Message, Promised, Question, State};
use semper_exchange::ix::{self, Ix, Stake};
use semper_exchange::lx::{self, Lx};
use semper_sim::deal::{CHANGE, Deal, PREIMAGE, PURCHASE, SALE, Thing};
use semper_sim::fuzz::{TARGETS, Target};
use semper_sim::scenario::Cast;
use semper_sim::symbolic::Hand;
use semper_support::channel::Frame;
use semper_support::crypto::Signer as _;
use semper_support::engine::{Ending, EvidenceKind};
use semper_transfer::payment::journal::Entry;
use semper_transfer::payment::means::{Fees, Limits, LockKind, Means, PayerAnonymity, ReceiptKind, Reversal, System};
use semper_transfer::payment::module::{IssuerRequest, Next};
use semper_transfer::payment::operation::{Lock, Operation, OperationId, Outcome, PurseId, Task};
use semper_transfer::payment::pay::{Message as PayMessage, Offer, Offered, Pay, Setting};
use semper_transfer::payment::statement::{PaymentRequest, Side};

/// Random mutations of each target in a test run.
const MUTATIONS: usize = 2000;
/// Good and mutated inputs of each target in the corpus.
const GOOD_MAX: usize = 12;
const BAD: usize = 24;
/// Largest file of the corpus, in bytes.
const FILE_MAX: usize = 8 * 1024;

fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

fn read(target: &Target) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = std::fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[test]
fn the_corpus_is_read_without_surprises() {
    if std::env::var_os("UPDATE_CORPUS").is_some() {
        TARGETS.iter().for_each(write);
    }
    for target in &TARGETS {
        let inputs = read(target);
        let accepted = inputs.iter().filter(|input| (target.run)(input)).count();
        println!("{}: {accepted} of {} accepted", target.name, inputs.len());
        assert!(accepted > 0, "{}: nothing of the corpus is accepted: it is out of date", target.name);
        assert!(accepted < inputs.len(), "{}: nothing of the corpus is refused", target.name);
    }
}

#[test]
fn mutations_of_the_corpus_are_read_without_surprises() {
    for target in &TARGETS {
        let inputs = read(target);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..MUTATIONS {
            let input = inputs[rng.random_range(0..inputs.len())].clone();
            (target.run)(&mutated(&mut rng, input));
        }
    }
}

/// Flips, overwrites, inserts, removes and cuts, a few at a time.
fn mutated(rng: &mut ChaCha8Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..rng.random_range(1..4) {
        if bytes.is_empty() {
            bytes.push(0);
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..6) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random_range(0..=255),
            2 => bytes.insert(at, rng.random_range(0..=255)),
            3 => {
                bytes.remove(at);
            }
            4 => bytes.truncate(at),
            // The head of a long item.
            _ => bytes[at] = [0x5b, 0x7b, 0x9b, 0xbb, 0x5f, 0x9f, 0xff, 0xf9][rng.random_range(0..8_usize)],
        }
    }
    bytes
}

fn write(target: &Target) {
    let folder = corpus(target);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let fits = |bytes: &Vec<u8>| bytes.len() <= FILE_MAX && (target.run)(bytes);
    let good: Vec<_> = good_encodings().into_iter().filter(fits).take(GOOD_MAX).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let bad: Vec<_> = (0..BAD).map(|i| mutated(&mut rng, good[i % good.len()].clone())).collect();
    for (kind, inputs) in [("good", good), ("mutated", bad)] {
        for (i, input) in inputs.iter().enumerate() {
            std::fs::write(folder.join(format!("{kind}-{i:02}")), input).unwrap();
        }
    }
}

/// One of everything, as far as it can be made here; each target takes what it accepts.
fn good_encodings() -> BTreeSet<Vec<u8>> {
    let mut all: BTreeSet<_> = [Suite::Ed25519, Suite::Hybrid].into_iter().flat_map(exchange_encodings).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors");
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        collect(&json, &mut all);
    }
    let containers: Vec<_> = all.iter().filter(|bytes| semper_sim::fuzz::run("container", bytes)).cloned().collect();
    for container in containers {
        all.insert(semper_transfer::tx::Message::Container { container, origin: None }.to_bytes());
    }
    all
}

fn collect(json: &serde_json::Value, all: &mut BTreeSet<Vec<u8>>) {
    match json {
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, all)),
        serde_json::Value::Object(fields) => fields.values().for_each(|field| collect(field, all)),
        serde_json::Value::String(text) => all.extend(data_encoding::HEXLOWER.decode(text.as_bytes())),
        _ => {}
    }
}

fn exchange_encodings(suite: Suite) -> Vec<Vec<u8>> {
    let cast = Cast::new(suite);
    let core = cast.core(1);
    let [o, r] = [Role::ORIGINATOR, Role::RESPONDER];
    let promises = cast.promised(&core);
    let (run, fin) = (cast.run(&core, o), cast.completion(&core, o));
    let resolve = cast.resolve(&core, r, promises.clone());
    let answer = ArbiterAnswer { promises: promises.to_vec(), ..ArbiterAnswer::of(fin.clone()) };
    let item = |kind, bytes| Item { kind, time: Time::from_unix(1), bytes };
    let items = vec![
        item(EvidenceKind::Core, core.to_bytes()),
        item(EvidenceKind::KeySet, cast.key_sets()[0].to_bytes()),
        item(EvidenceKind::Statement, fin.bytes().to_vec()),
    ];
    let examination = Examination { core: core.clone(), slot: Slot(1), release: vec![4] };
    let examined = |found| Examined { slot: Slot(1), release: vec![4], found }.to_bytes();
    let asked = promises[0].promise.id();
    let asked =
        State::AwaitVerdict { question: Question::Complain { proof: vec![5] }, asked, promises: promises.to_vec() };
    let mut all = vec![
        fin.bytes().to_vec(),
        core.to_bytes(),
        cast.key_sets()[0].to_bytes(),
        cast.abort(&core).to_bytes(),
        resolve.to_bytes(),
        answer.to_bytes(),
        Message::Promise(promises[0].clone()).to_bytes(),
        Message::Promise(Promised { token: vec![1, 2], payout: vec![3], ..promises[1].clone() }).to_bytes(),
        Message::Final(Completed { completion: fin, release: vec![4], payout: Vec::new() }).to_bytes(),
        examination.to_bytes(),
        Message::Decline("no".to_owned()).to_bytes(),
        Gx::new(run.clone()).to_bytes(),
        Gx::at(run.clone(), State::AwaitPeerFinal { promises: promises.clone() }).to_bytes(),
        Gx::at(run, asked).to_bytes(),
        Folder { deal: DealId::from_array([7; 16]), items }.to_bytes(),
    ];
    all.extend([Found::Good, Found::Bad(vec![5]), Found::Useless].map(examined));
    all.extend(payment_encodings(&cast));
    all.extend(goods_encodings());
    all.extend(signers_encodings(&cast, suite));
    if suite == Suite::Ed25519 {
        all.extend(locks_encodings(&cast));
        all.extend(right_encodings(&cast));
        all.extend(hands_encodings(&cast));
    }
    all.extend(claim_encodings(&cast));
    let body = all[0].clone();
    all.push(
        Frame { kind: "gx".to_owned(), deal: DealId::from_array([7; 16]), slot: Slot::default(), seq: 1, body }
            .to_bytes(),
    );
    all
}

/// States of both sides of the sale of a right.
fn right_encodings(cast: &Cast) -> Vec<Vec<u8>> {
    let deal = Deal::new(cast, SALE, None);
    let promises = cast.promised(&deal.core);
    let [seller, buyer] = [Role::ORIGINATOR, Role::RESPONDER].map(|role| deal.run(cast, role).unwrap());
    let verdict = promises[0].promise.id();
    let question = Question::Revoke;
    vec![
        Gx::at(seller.clone(), State::Releasing { promises: promises.clone(), payout: Vec::new() }).to_bytes(),
        Gx::at(seller.clone(), State::Asking { question, promises: promises.to_vec() }).to_bytes(),
        Gx::at(seller, State::Recalling { verdict }).to_bytes(),
        Gx::at(buyer, State::AwaitQuittance { promises }).to_bytes(),
        deal.core.to_bytes(),
    ]
}

/// States of both sides of an exchange through the hands of the arbiter, and of the arbiter.
fn hands_encodings(cast: &Cast) -> Vec<Vec<u8>> {
    let deal = Deal::through_hands(cast);
    let promises = cast.promised(&deal.core);
    let (asked, request) = (promises[0].promise.id(), Some(promises[0].promise.clone()));
    let stake = Stake { promises: promises.clone(), request, taken: true, tries: 3 };
    let states = [
        ix::State::Ready,
        ix::State::AwaitPromiseSignature { theirs: None },
        ix::State::AwaitPeerPromise { ours: promises[0].clone() },
        ix::State::Asking { question: ix::Question::Abort, stake: stake.clone() },
        ix::State::AwaitAnswer { question: ix::Question::Deposit, asked, stake: stake.clone() },
        ix::State::Paying { stake: Stake { request: None, taken: false, ..stake.clone() } },
        ix::State::Receiving { stake: stake.clone(), ending: Ending::Aborted },
        ix::State::Reclaiming { stake: stake.clone() },
        ix::State::Resting { stake },
        ix::State::Ended { ending: Ending::Success },
    ];
    let run = deal.run(cast, Role::ORIGINATOR).unwrap();
    let mut all: Vec<_> = states.into_iter().map(|state| Ix::at(run.clone(), state).to_bytes()).collect();
    let (now, token) = (Time::from_unix(1), token_hash(b"t"));
    let open = Hands::new([vec![1], vec![2]], now);
    let holdings = [Holding::Taking(token, 0), Holding::Taken(now)];
    let outcome = Some(verdict::Outcome::Aborted);
    let refused = [Holding::Refused(token, 7), Holding::Nothing];
    all.extend([
        Hands { holdings, attempts: [0, 2], ..open.clone() }.to_bytes(),
        Hands { holdings: refused, outcome, ..open.clone() }.to_bytes(),
        Hands { outcome: Some(verdict::Outcome::Resolved), ..open }.to_bytes(),
    ]);
    all.extend(deal.core.deposits.values().cloned());
    let said = cast.promise(&deal.core, Role::ORIGINATOR, 0);
    let (requests, receipts) = (vec![said.clone(), said.clone()], vec![said.clone()]);
    let answer = hands::Answer { requests, receipts, statement: None, log: None, token: vec![1], question: asked };
    all.push(hands::Answer { statement: Some(said), ..answer.clone() }.to_bytes());
    all.push(answer.to_bytes());
    all
}

/// States and messages of both sides of exchanges under one hash.
fn locks_encodings(cast: &Cast) -> Vec<Vec<u8>> {
    let roles = [Role::ORIGINATOR, Role::RESPONDER];
    let mut all = vec![lx::Message::Preimage(PREIMAGE).to_bytes(), lx::Message::decline("no").to_bytes()];
    for things in [CHANGE, PURCHASE] {
        let deal = Deal::under_hash(cast, things);
        let promised = |role: Role| {
            let token = if things[usize::from(role.number())] == Thing::Money { vec![1, 2] } else { Vec::new() };
            Promised { token, ..Promised::bare(cast.promise(&deal.core, role, 0)) }
        };
        let promises = roles.map(promised);
        let [theirs, ours] = promises.clone();
        let promise = ours.promise.clone();
        let states = [
            lx::State::Ready,
            lx::State::Checking { ours: None, theirs: theirs.clone() },
            lx::State::Checking { ours: Some(theirs.clone()), theirs: ours.clone() },
            lx::State::AwaitPromiseSignature { theirs: Some(theirs.clone()) },
            lx::State::Locking { promise, theirs: Some(theirs.clone()) },
            lx::State::AwaitPeerPromise { ours: theirs.clone() },
            lx::State::Opening { promises: promises.clone() },
            lx::State::AwaitRefund { ours: theirs },
            lx::State::AwaitPreimage { promises: promises.clone(), asked: 3 },
            lx::State::Learning { promises: promises.clone(), asked: 4, gone: true },
            lx::State::Reclaiming { promises: promises.to_vec(), asked: 0, preimage: Some(PREIMAGE) },
            lx::State::Taking { preimage: PREIMAGE },
            lx::State::Ended { ending: Ending::Success },
        ];
        let runs = roles.map(|role| deal.run(cast, role).unwrap());
        all.extend(promises.map(|promised| lx::Message::Promise(promised).to_bytes()));
        let each = states.into_iter().zip(runs.iter().cycle());
        all.extend(each.map(|(state, run)| Lx::at(run.clone(), state).to_bytes()));
        all.push(deal.core.to_bytes());
    }
    all
}

/// States of one of three signers.
fn signers_encodings(cast: &Cast, suite: Suite) -> Vec<Vec<u8>> {
    let hands: Vec<_> = (1..=3).map(|number| cast.oracle.hand(suite, number)).collect();
    let key_sets: Vec<_> = hands.iter().map(|hand| hand.key_set().clone()).collect();
    let arbiter = cast.arbiter.key_set();
    let core = semper_sim::model::cn::contract(&key_sets, arbiter);
    let run = cn::Run::new(core.clone(), hands[1].key_set(), key_sets, arbiter.clone(), Seconds(60)).unwrap();
    let signed = |(number, hand): (u8, &Hand)| {
        let round = Round { cid: core.cid(), role: Role::numbered(number), round: 1 };
        hand.sign(round.draft(suite, hand.key_set().id())).unwrap()
    };
    let sheet: Vec<_> = (0..).zip(&hands).map(signed).collect();
    let asked = sheet[0].id();
    let states = [
        cn::State::Ready { heard: sheet[..1].to_vec() },
        cn::State::AwaitRound {
            round: 2,
            last: sheet.clone(),
            heard: sheet[..1].to_vec(),
            ahead: sheet[1..2].to_vec(),
        },
        cn::State::Asking { round: 2, last: sheet },
        cn::State::AwaitVerdict { round: 2, asked },
        cn::State::Ended { ending: Ending::Aborted },
    ];
    states.into_iter().map(|state| Cn::at(run.clone(), state).to_bytes()).collect()
}

/// What the buyer of the honest sale in the target `pom` could show, although nothing is wrong.
fn goods_encodings() -> Vec<Vec<u8>> {
    let sale = Cast::default().sale(1, &[7; 40_000]);
    let last = ChunkIndex(sale.article.size.chunks() - 1);
    let len = sale.article.size.chunk_len(last).unwrap();
    let chunk = sale.ciphertext[sale.ciphertext.len() - len..].to_vec();
    let [cipher, plain] =
        [goods::Side::Cipher, goods::Side::Plain].map(|side| sale.article.index.prove(side, last).unwrap());
    let shape = BadShape { index: last, chunk: chunk.clone(), key: None, inclusion: cipher.clone() };
    let content = BadChunk {
        index: last,
        chunk,
        cipher_path: cipher.path,
        key: KeyEvidence::Seed(sale.seed),
        plain_leaf: sale.article.index.leaves(last).unwrap().plain,
        plain_path: plain.path,
    };
    let claims = [Claim::BadShape(shape), Claim::BadChunk(content), Claim::NoKey];
    claims.map(|claim| Pom { cid: sale.good.cid(), slot: sale.good.slot(), claim }.to_bytes()).to_vec()
}

fn claim_encodings(cast: &Cast) -> Vec<Vec<u8>> {
    let texts = [
        "paid(payer, >= 20.00 EUR <= 30.00 EUR, after 2026-11-20T12:00:00Z before 2026-11-21T12:00:00Z by log)",
        "and(agreed(originator), or(delivered(sender), not(aborted(arbiter))))",
        "received(receiver)",
        "refunded(signer-3, <= 7 JPY)",
    ];
    let claims: Vec<claims::Claim> = texts.iter().map(|text| text.parse().unwrap()).collect();
    let oracle = &cast.oracle;
    let checks = Checks { verify: oracle, kem: Some(oracle), systems: &[], stamps: None, submissions: None };
    let core = cast.core(1);
    let object = Subject::Contract(core.cid());
    let bound = claims.iter().map(|claim| claim.map(&|did| did.about(object)));
    let claims: Vec<_> = claims.iter().cloned().chain(bound).collect();
    let [promised, other] = cast.promised(&core).map(|promised| promised.promise.bytes().to_vec());
    let item = |kind, bytes| Item { kind, time: Time::from_unix(1), bytes };
    let mut items: Vec<_> = cast.key_sets().iter().map(|keys| item(EvidenceKind::KeySet, keys.to_bytes())).collect();
    items.push(item(EvidenceKind::Core, core.to_bytes()));
    let finals = [Role::ORIGINATOR, Role::RESPONDER].map(|role| cast.completion(&core, role).bytes().to_vec());
    items.extend([promised, other].into_iter().chain(finals).map(|bytes| item(EvidenceKind::Statement, bytes)));
    let case = Case::of(&[Folder { deal: DealId::from_array([7; 16]), items }]).unwrap();
    let policy = Policy { arbiters: core.arbiter().map(|arbiter| vec![arbiter]), ..Policy::at(Time::from_unix(9)) };
    let decision = judge(&checks, &case, &claims, &policy);
    let bytes = claims.iter().map(Encode::to_bytes);
    let texts = claims.iter().map(|claim| claim.to_string().into_bytes());
    bytes.chain(texts).chain([decision.to_bytes()]).collect()
}

fn payment_encodings(cast: &Cast) -> Vec<Vec<u8>> {
    let [payer, payee] = cast.key_sets();
    let amount = Amount::parse("12.34 EUR").unwrap();
    let means = Means {
        system: System::parse("ecash").unwrap(),
        issuer: "https://mint.example".to_owned(),
        currency: Currency::parse("EUR").unwrap(),
        anonymity: PayerAnonymity::FromAll,
        reversal: Reversal::ByPayee(Seconds(60)),
        locks: BTreeSet::from([LockKind::Arbiter, LockKind::Hash]),
        receipt: ReceiptKind::Witness,
        fees: Fees { fixed: 1, per_million: 2 },
        limits: Limits { least: 1, most: 1000 },
        latency: Seconds(5),
    };
    let deal = DealId::from_array([7; 16]);
    let request = PaymentRequest {
        deal,
        amount,
        purpose: "a ticket".to_owned(),
        system: means.system.clone(),
        issuer: means.issuer.clone(),
        details: vec![1, 2, 3],
        expires: Time::from_unix(1000),
    };
    let draft = request.draft(payee.suite(), payee.id());
    let lengths = payee.suite().algorithms().iter().map(|algorithm| vec![9; algorithm.signature_len()]);
    let request = draft.assemble(lengths.collect()).unwrap();
    let purse = PurseId::from_array([3; 16]);
    let lock = Lock {
        tag: Digest::from_array([4; 32]),
        amount,
        refund_after: Time::from_unix(2000),
        kind: LockKind::Hash,
        payer: vec![1],
        payee: vec![2],
        arbiter: Vec::new(),
        hash: Some([5; 32]),
    };
    let tasks = [
        Task::Expect(amount),
        Task::Pay { request: request.clone(), salt: [6; 32] },
        Task::Redeem { lock, token: vec![1], to: Side::Payee, authorisation: vec![2] },
        Task::Deposit { amount, method: "account".to_owned() },
        Task::Refresh,
    ];
    let operation = |task| Operation { id: OperationId::of_owner([8; 16]), purse, deal: Some(deal), task };
    let entry = |next| Entry { next: Some(next), ..Entry::intent(operation(Task::Restore), None, Time::from_unix(1)) };
    let outcome = Outcome { moved: amount, fee: amount, handover: vec![1] };
    let setting = Setting {
        deal,
        payer: payer.clone(),
        payee: payee.clone(),
        purses: vec![Offered { purse, means: means.clone() }],
        patience: Seconds(60),
    };
    let offer =
        Offer { amount, purpose: "a ticket".to_owned(), anonymity: PayerAnonymity::None, means: vec![means.clone()] };
    let mut all: Vec<_> = tasks.into_iter().map(|task| operation(task).to_bytes()).collect();
    all.extend([
        entry(Next::Ask(IssuerRequest::get("https://mint.example/v1/info".to_owned()))).to_bytes(),
        entry(Next::Wait(Time::from_unix(5))).to_bytes(),
        entry(Next::Done(outcome)).to_bytes(),
        PayMessage::Offer(offer).to_bytes(),
        PayMessage::Request { request: request.clone(), means: vec![means] }.to_bytes(),
        PayMessage::Payment { token: vec![1, 2], salt: [6; 32] }.to_bytes(),
        PayMessage::Receipt(request).to_bytes(),
        Pay::payee(setting.clone()).to_bytes(),
        Pay::payer(setting, amount, "a ticket".to_owned(), PayerAnonymity::None, [1; 32]).to_bytes(),
    ]);
    all
}

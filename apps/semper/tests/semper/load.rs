//! A mint and a bank that are killed with SIGKILL while many clients ask them for all they can. What could go wrong: something that was
//! acknowledged is gone after the crash; something is done by half; a request that is sent again is done again; a coin is spent twice.
//!
//! Every client remembers what it was told. A request that got no answer is first asked after and then sent again byte for byte. What
//! this cannot see is a loss of power: what a killed process wrote, the operating system still has.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cashu::dhke::construct_proofs;
use cashu::secret::Secret;
use cashu::{
    BlindSignature, CheckStateRequest, CurrencyUnit, KeySet, KeysResponse, MintRequest, PreMintSecrets, Proof,
    RestoreRequest, RestoreResponse, SwapRequest, SwapResponse,
};
use data_encoding::BASE64;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Decode;
use semper_core::cose::{Signed, Statement};
use semper_core::hash::Digest;
use semper_core::party::Suite;
use semper_core::signature::verify;
use semper_core::time::Time;
use semper_crypto::{Sealer, SecretKeys, Verifier};
use semper_payment::account::answer::{AccountStatement, BankTerms, Booking, Line, What};
use semper_payment::account::bank::http::COSE;
use semper_payment::account::number::AccountNumber;
use semper_payment::account::problem::{ProblemKind, Refusal};
use semper_payment::account::request::{AccountRequest, Action, LINES_MAX, RequestId};
use semper_payment::ecash::keyset::split;
use semper_payment::ecash::mint::{CoinStates, MintQuote};
use semper_support::crypto::{Seal as _, Signer as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::world::{Process, World, random, until};

const CLIENTS: usize = 8;
const ROUNDS: usize = 5;
/// How long a client works at most before somebody must have killed its issuer.
const WORK_MAX: Duration = Duration::from_secs(60);
/// One of so many requests is left alone by its sender, so that some are in every state when the issuer is killed.
const LEAVES: u32 = 16;
/// How long such a sender stays at most.
const STAY_MS: u64 = 40;

#[test]
fn a_mint_killed_under_load_loses_and_doubles_nothing() {
    let mut random = random();
    let world = World::new();
    world.init("mint", &["--role", "mint"]);
    world.configure("mint", |config| {
        let mint = config["mint"].as_table_mut().unwrap();
        mint.insert("test_money".to_owned(), true.into());
        mint.insert("rates".to_owned(), unbounded().into());
    });
    let mut mint = world.serve("mint");
    let mut purses: Vec<Purse> = (0..CLIENTS).map(|_| Purse::new(&world.url("mint"), &mut random)).collect();
    for round in 0..ROUNDS {
        kill_at_work(mint, &mut random, &mut purses, Purse::work);
        mint = world.serve("mint");
        together(&mut purses, Purse::settle);
        together(&mut purses, Purse::check);
        audit_mint(&world, &purses);
        println!("round {round}: {}", Seen::sum(purses.iter().map(|purse| &purse.seen)));
    }
    Seen::sum(purses.iter().map(|purse| &purse.seen)).check();
    // Coins are worth something only if the mint still takes them.
    together(&mut purses, Purse::renew);
    together(&mut purses, Purse::check);
    audit_mint(&world, &purses);
    drop(mint);
}

#[test]
fn a_bank_killed_under_load_loses_and_doubles_nothing() {
    let mut random = random();
    let world = World::new();
    world.init("bank", &["--role", "bank"]);
    world.configure("bank", |config| {
        let bank = config["bank"].as_table_mut().unwrap();
        bank.insert("anyone".to_owned(), true.into());
        bank.insert("rates".to_owned(), unbounded().into());
    });
    let mut bank = world.serve("bank");
    let mut customers: Vec<Customer> = (0..CLIENTS).map(|_| Customer::new(&world.url("bank"), &mut random)).collect();
    let numbers: Vec<AccountNumber> = customers.iter().map(|customer| customer.number).collect();
    for customer in &mut customers {
        customer.payees = numbers.iter().copied().filter(|number| *number != customer.number).collect();
        world.run("bank", &["bank", "credit", &customer.number.digits(), "100.00 EUR"]).good();
    }
    for round in 0..ROUNDS {
        kill_at_work(bank, &mut random, &mut customers, Customer::work);
        bank = world.serve("bank");
        together(&mut customers, Customer::settle);
        audit_bank(&world, &mut customers);
        println!("round {round}: {}", Seen::sum(customers.iter().map(|customer| &customer.seen)));
    }
    Seen::sum(customers.iter().map(|customer| &customer.seen)).check();
    together(&mut customers, Customer::ask_everything_again);
    audit_bank(&world, &mut customers);
    drop(bank);
}

/// All clients at once, each to its end.
fn together<C: Send>(clients: &mut [C], act: fn(&mut C)) {
    thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || act(client));
        }
    });
}

/// Kills the issuer while all clients work. The moment of the crash is what is tested: this is no wait for something to happen.
fn kill_at_work<C: Send>(issuer: Process, random: &mut ChaCha8Rng, clients: &mut [C], work: fn(&mut C)) {
    let moment = Duration::from_millis(random.random_range(200..=1000));
    thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || work(client));
        }
        thread::sleep(moment);
        drop(issuer);
    });
    println!("killed after {} ms", moment.as_millis());
}

/// What the clients met, to know that the crashes hit what they should.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Requests that were answered at once.
    answered: u32,
    /// Requests without an answer that had been carried out.
    done: u32,
    /// Requests without an answer that had not.
    undone: u32,
    /// Repetitions and double spendings that were answered as they should.
    repeated: u32,
}

impl Seen {
    fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            answered: sum.answered + one.answered,
            done: sum.done + one.done,
            undone: sum.undone + one.undone,
            repeated: sum.repeated + one.repeated,
        })
    }

    /// A crash that hits nothing tests nothing.
    fn check(&self) {
        assert!(self.answered >= 50 && self.repeated >= 1, "there was no load: {self}");
        assert!(self.done >= 1, "no answer of something done was lost: {self}");
        assert!(self.undone >= 1, "no request was lost: {self}");
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answered, done, undone, repeated } = self;
        write!(f, "{answered} answered, {done} done without an answer, {undone} not done, {repeated} repeated")
    }
}

/// One client's way to its issuer.
struct Wire {
    runtime: Runtime,
    client: Client,
    url: String,
}

/// Status and body.
type Answer = (u16, Vec<u8>);

/// No answer came, because the issuer was killed.
#[derive(Debug)]
struct Silence;

impl Wire {
    fn new(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = Client::builder().no_proxy().timeout(WORK_MAX).build().unwrap();
        Self { runtime, client, url: url.to_owned() }
    }

    /// Asks as long as the issuer has no time.
    fn post(&self, path: &str, media_type: &str, body: &[u8]) -> Result<Answer, Silence> {
        let request =
            || self.client.post(format!("{}{path}", self.url)).header(CONTENT_TYPE, media_type).body(body.to_vec());
        let answered = until(|| match self.runtime.block_on(answer(request())) {
            Ok((503, _)) => None,
            other => Some(other),
        });
        answered.unwrap_or_else(|| panic!("{path} is never answered"))
    }

    /// Sends a request and does not stay for the answer; how much of it the issuer does, nobody knows.
    fn post_and_leave(&self, path: &str, media_type: &str, body: &[u8], stay: Duration) {
        let request = self.client.post(format!("{}{path}", self.url)).header(CONTENT_TYPE, media_type);
        let _ = self.runtime.block_on(async { tokio::time::timeout(stay, request.body(body.to_vec()).send()).await });
    }

    fn post_json<T: Serialize>(&self, path: &str, body: &T) -> Result<Answer, Silence> {
        self.post(path, "application/json", &serde_json::to_vec(body).unwrap())
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.runtime.block_on(answer(self.client.get(format!("{}{path}", self.url)))).unwrap();
        read(path, (status, body))
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, Silence> {
    let silence = |error: reqwest::Error| {
        assert!(!error.is_timeout(), "the issuer lives and does not answer: {error}");
        Silence
    };
    let response = request.send().await.map_err(silence)?;
    let status = response.status().as_u16();
    Ok((status, response.bytes().await.map_err(silence)?.to_vec()))
}

/// What was granted.
#[track_caller]
fn read<T: DeserializeOwned>(path: &str, (status, body): Answer) -> T {
    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

/// A client of the mint.
struct Purse {
    wire: Wire,
    random: ChaCha8Rng,
    keyset: KeySet,
    /// What it holds.
    coins: Vec<Proof>,
    /// What the mint has acknowledged to be spent.
    spent: Vec<Proof>,
    /// Requests that got no answer.
    pending: Vec<Wanted>,
    seen: Seen,
}

/// Coins that are asked for.
struct Wanted {
    path: &'static str,
    body: Vec<u8>,
    inputs: Vec<Proof>,
    outputs: PreMintSecrets,
}

/// With fewer coins than this a purse buys some.
const COINS_FEW: usize = 12;
/// Most coins of one swap.
const INPUTS_MAX: usize = 6;
/// Coins whose state is asked for at once.
const STATES_MAX: usize = 500;

impl Purse {
    fn new(url: &str, random: &mut ChaCha8Rng) -> Self {
        let wire = Wire::new(url);
        let keysets: KeysResponse = wire.get("/v1/keys");
        let keyset = keysets.keysets.into_iter().find(|keyset| keyset.unit == CurrencyUnit::Eur).unwrap();
        let random = ChaCha8Rng::seed_from_u64(random.next_u64());
        Self { wire, random, keyset, coins: Vec::new(), spent: Vec::new(), pending: Vec::new(), seen: Seen::default() }
    }

    /// Buys coins, changes them and tries to spend old ones again, until the mint is killed.
    fn work(&mut self) {
        let begun = Instant::now();
        while self.step().is_ok() {
            assert!(begun.elapsed() < WORK_MAX, "nobody killed the mint");
        }
    }

    fn step(&mut self) -> Result<(), Silence> {
        let wanted = if self.coins.len() < COINS_FEW {
            self.purchase()?
        } else if self.random.random_ratio(1, 8) {
            return self.spend_again();
        } else {
            self.swap()
        };
        if self.random.random_ratio(1, LEAVES) {
            let stay = Duration::from_millis(self.random.random_range(0..STAY_MS));
            self.wire.post_and_leave(wanted.path, "application/json", &wanted.body, stay);
            self.pending.push(wanted);
            return Ok(());
        }
        self.ask(wanted)
    }

    fn purchase(&mut self) -> Result<Wanted, Silence> {
        let amount = self.random.random_range(500..5000);
        let asked = self.wire.post_json("/v1/mint/quote/bolt11", &json!({ "amount": amount, "unit": "eur" }))?;
        let quote: MintQuote = read("quote", asked);
        let outputs = self.blanks(split(amount).collect());
        let request = MintRequest { quote: quote.quote, outputs: outputs.blinded_messages(), signature: None };
        let body = serde_json::to_vec(&request).unwrap();
        Ok(Wanted { path: "/v1/mint/bolt11", body, inputs: Vec::new(), outputs })
    }

    /// A swap of some coins, which are set aside.
    fn swap(&mut self) -> Wanted {
        let count = self.random.random_range(1..=INPUTS_MAX);
        let inputs: Vec<Proof> =
            (0..count).map(|_| self.coins.swap_remove(self.random.random_range(0..self.coins.len()))).collect();
        self.swap_of(inputs)
    }

    /// A swap of these coins for as much, cut at a random place.
    fn swap_of(&mut self, inputs: Vec<Proof>) -> Wanted {
        let total = sum(&inputs);
        let part = self.random.random_range(0..=total);
        let outputs = self.blanks(split(part).chain(split(total - part)).collect());
        let body = serde_json::to_vec(&SwapRequest::new(inputs.clone(), outputs.blinded_messages())).unwrap();
        Wanted { path: "/v1/swap", body, inputs, outputs }
    }

    fn blanks(&self, amounts: Vec<u64>) -> PreMintSecrets {
        let secrets = amounts.iter().map(|_| Secret::generate()).collect();
        let amounts = amounts.into_iter().map(Into::into).collect();
        PreMintSecrets::from_secrets(self.keyset.id, amounts, secrets).unwrap()
    }

    fn ask(&mut self, wanted: Wanted) -> Result<(), Silence> {
        match self.wire.post(wanted.path, "application/json", &wanted.body) {
            Ok(answer) => {
                self.seen.answered += 1;
                self.accept(wanted, answer);
                Ok(())
            }
            Err(silence) => {
                self.pending.push(wanted);
                Err(silence)
            }
        }
    }

    /// Takes the coins, each with the mint's proof that it signed with its published key.
    fn accept(&mut self, wanted: Wanted, answer: Answer) {
        let signatures = read::<SwapResponse>(wanted.path, answer).signatures;
        let Wanted { inputs, outputs, .. } = wanted;
        assert_eq!(signatures.len(), outputs.len());
        for (signature, blank) in signatures.iter().zip(&outputs.secrets) {
            let key = self.keyset.keys.amount_key(blank.amount).unwrap();
            signature.verify_dleq(key, blank.blinded_message.blinded_secret).unwrap();
        }
        let coins = construct_proofs(signatures, outputs.rs(), outputs.secrets(), &self.keyset.keys).unwrap();
        self.coins.extend(coins);
        self.spent.extend(inputs);
    }

    fn spend_again(&mut self) -> Result<(), Silence> {
        match self.spent.choose(&mut self.random).cloned() {
            Some(old) => self.refuses(vec![old]),
            None => Ok(()),
        }
    }

    /// The mint takes these coins for nothing new.
    fn refuses(&mut self, spent: Vec<Proof>) -> Result<(), Silence> {
        let again = self.swap_of(spent);
        let (status, body) = self.wire.post(again.path, "application/json", &again.body)?;
        let refusal: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &refusal["code"]), (400, &json!(11001)), "a coin was spent twice: {refusal}");
        self.seen.repeated += 1;
        Ok(())
    }

    /// Asks what became of each request that got no answer, and sends it again.
    fn settle(&mut self) {
        for wanted in std::mem::take(&mut self.pending) {
            self.settle_one(wanted);
        }
    }

    /// The request was carried out wholly or not at all, and is carried out once.
    fn settle_one(&mut self, wanted: Wanted) {
        let signed = self.signed(&wanted.outputs);
        let done = !signed.is_empty();
        self.expect(&wanted.inputs, if done { "SPENT" } else { "UNSPENT" });
        if done && !wanted.inputs.is_empty() {
            self.refuses(wanted.inputs.clone()).unwrap();
        }
        let ask = || self.wire.post(wanted.path, "application/json", &wanted.body).unwrap();
        let (answer, again) = (ask(), ask());
        assert!(answer == again, "another answer to the same request");
        if done {
            assert_eq!(read::<SwapResponse>(wanted.path, again).signatures, signed);
            self.seen.done += 1;
        } else {
            self.seen.undone += 1;
        }
        self.accept(wanted, answer);
    }

    /// The signatures that the mint has given on these outputs: on all or on none.
    fn signed(&self, outputs: &PreMintSecrets) -> Vec<BlindSignature> {
        let request = RestoreRequest { outputs: outputs.blinded_messages() };
        let restored: RestoreResponse = read("restore", self.wire.post_json("/v1/restore", &request).unwrap());
        assert!([0, outputs.len()].contains(&restored.signatures.len()), "signed by half: {restored:?}");
        restored.signatures
    }

    /// What it has is there, and what it has spent is gone.
    fn check(&mut self) {
        self.expect(&self.coins, "UNSPENT");
        self.expect(&self.spent, "SPENT");
    }

    fn expect(&self, coins: &[Proof], state: &str) {
        for coins in coins.chunks(STATES_MAX) {
            let ys = coins.iter().map(|coin| coin.y().unwrap()).collect();
            let asked = self.wire.post_json("/v1/checkstate", &CheckStateRequest { ys }).unwrap();
            let states: CoinStates = read("states", asked);
            assert_eq!(states.states.len(), coins.len());
            let wrong = states.states.iter().filter(|found| found.state != state).count();
            assert_eq!(wrong, 0, "of {} coins that must be {state}", coins.len());
        }
    }

    /// Changes every coin.
    fn renew(&mut self) {
        let inputs = std::mem::take(&mut self.coins);
        let wanted = self.swap_of(inputs);
        self.ask(wanted).unwrap();
    }
}

fn sum(coins: &[Proof]) -> u64 {
    coins.iter().map(|coin| coin.amount.to_u64()).sum()
}

/// The mint's own sums are those of its clients.
#[track_caller]
fn audit_mint(world: &World, purses: &[Purse]) {
    let audit = world.json("mint", &["mint", "audit", "--json"]);
    let total = |field: &str| -> u64 { audit.as_array().unwrap().iter().map(|one| one[field].as_u64().unwrap()).sum() };
    let held: u64 = purses.iter().map(|purse| sum(&purse.coins)).sum();
    let spent: u64 = purses.iter().map(|purse| sum(&purse.spent)).sum();
    assert_eq!((total("outstanding"), total("redeemed"), total("pending")), (held, spent, 0), "{audit:#}");
}

/// A client of the bank.
struct Customer {
    wire: Wire,
    random: ChaCha8Rng,
    terms: BankTerms,
    keys: SecretKeys,
    number: AccountNumber,
    payees: Vec<AccountNumber>,
    /// What the bank said to each request that it decided.
    decided: Vec<(Transfer, Answer)>,
    /// Transfers that the bank has acknowledged.
    booked: Vec<Booking>,
    /// Requests that got no answer.
    pending: Vec<Transfer>,
    seen: Seen,
}

struct Transfer {
    id: RequestId,
    body: Vec<u8>,
    amount: Amount,
    to: AccountNumber,
}

/// What each account is credited with, in minor units.
const CREDIT: i64 = 10_000;

impl Customer {
    fn new(url: &str, random: &mut ChaCha8Rng) -> Self {
        let wire = Wire::new(url);
        let mut random = ChaCha8Rng::seed_from_u64(random.next_u64());
        let terms = terms(&wire.get("/v1/bank"));
        let keys = SecretKeys::generate(Suite::Ed25519).unwrap();
        let context = Action::verifier_context(terms.key_set.id());
        let action = Action::Open {
            currency: Currency::parse("EUR").unwrap(),
            key_set: keys.key_set().clone(),
            certificates: Vec::new(),
            verifier: Sealer
                .seal(terms.sealing_suite, &terms.sealing_key, &context, &random.random::<[u8; 32]>())
                .unwrap(),
        };
        let (_, body) = request(&terms, &keys, None, action, &mut random);
        let opened = wire.post("/v1/requests", COSE, &body).unwrap();
        let number = said::<AccountStatement>(&terms, &opened).account;
        let (payees, decided, booked) = (Vec::new(), Vec::new(), Vec::new());
        Self { wire, random, terms, keys, number, payees, decided, booked, pending: Vec::new(), seen: Seen::default() }
    }

    /// Transfers money and sends earlier requests again, until the bank is killed.
    fn work(&mut self) {
        let begun = Instant::now();
        while self.step().is_ok() {
            assert!(begun.elapsed() < WORK_MAX, "nobody killed the bank");
        }
    }

    fn step(&mut self) -> Result<(), Silence> {
        if !self.decided.is_empty() && self.random.random_ratio(1, 8) {
            let place = self.random.random_range(0..self.decided.len());
            return self.ask_again(place);
        }
        let transfer = self.transfer();
        if self.random.random_ratio(1, LEAVES) {
            let stay = Duration::from_millis(self.random.random_range(0..STAY_MS));
            self.wire.post_and_leave("/v1/requests", COSE, &transfer.body, stay);
            self.pending.push(transfer);
            return Ok(());
        }
        match self.wire.post("/v1/requests", COSE, &transfer.body) {
            Ok(answer) => {
                self.seen.answered += 1;
                self.accept(transfer, answer);
                Ok(())
            }
            Err(silence) => {
                self.pending.push(transfer);
                Err(silence)
            }
        }
    }

    /// A transfer that the account may be too poor for.
    fn transfer(&mut self) -> Transfer {
        let to = *self.payees.choose(&mut self.random).unwrap();
        let amount = eur(self.random.random_range(1..=6_000));
        let action = Action::Transfer { amount, to, reference: "under load".to_owned(), fee_most: eur(0) };
        let (id, body) = request(&self.terms, &self.keys, Some(self.number), action, &mut self.random);
        Transfer { id, body, amount, to }
    }

    fn accept(&mut self, transfer: Transfer, answer: Answer) {
        if answer.0 == 200 {
            let booking: Booking = said(&self.terms, &answer);
            let facts = (booking.what, booking.amount, booking.account);
            assert_eq!(facts, (What::Transfer, transfer.amount, Some(transfer.to)));
            self.booked.push(booking);
        } else {
            let refusal = Refusal::from_json(&answer.1).unwrap();
            assert_eq!(refusal.kind, ProblemKind::Insufficient, "{refusal}");
        }
        self.decided.push((transfer, answer));
    }

    /// Sends a decided request again; the answer is the same for ever, whatever the account holds now.
    fn ask_again(&mut self, place: usize) -> Result<(), Silence> {
        let (transfer, before) = &self.decided[place];
        let again = self.wire.post("/v1/requests", COSE, &transfer.body)?;
        assert!(again == *before, "another answer to the same request");
        self.seen.repeated += 1;
        Ok(())
    }

    fn ask_everything_again(&mut self) {
        for place in 0..self.decided.len() {
            self.ask_again(place).unwrap();
        }
    }

    /// Asks what became of each request that got no answer, and sends it again.
    fn settle(&mut self) {
        for transfer in std::mem::take(&mut self.pending) {
            self.settle_one(transfer);
        }
    }

    fn settle_one(&mut self, transfer: Transfer) {
        let status = self.ask(Action::Status { request: transfer.id });
        let ask = || self.wire.post("/v1/requests", COSE, &transfer.body).unwrap();
        let (answer, again) = (ask(), ask());
        assert!(answer == again, "another answer to the same request");
        if Refusal::from_json(&status.1).is_some_and(|refusal| refusal.kind == ProblemKind::UnknownRequest) {
            self.seen.undone += 1;
        } else {
            assert!(answer == status, "decided twice");
            self.seen.done += 1;
        }
        self.accept(transfer, answer);
    }

    fn ask(&mut self, action: Action) -> Answer {
        let (_, body) = request(&self.terms, &self.keys, Some(self.number), action, &mut self.random);
        self.wire.post("/v1/requests", COSE, &body).unwrap()
    }

    /// Every line of the account, and the balance.
    fn lines(&mut self) -> (Vec<Line>, i64) {
        let mut lines = Vec::new();
        loop {
            let answer = self.ask(Action::Statement { from: lines.len() as u64, most: LINES_MAX });
            let statement: AccountStatement = said(&self.terms, &answer);
            lines.extend(statement.lines);
            if statement.next.is_none() {
                assert_eq!((lines.len() as u64, statement.closing), (statement.total, statement.balance));
                return (lines, statement.balance);
            }
        }
    }
}

fn eur(minor: u64) -> Amount {
    Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

/// The bank's signed terms.
fn terms(document: &Value) -> BankTerms {
    let signed = BASE64.decode(document["signed"].as_str().unwrap().as_bytes()).unwrap();
    let signed = Signed::from_bytes(&signed).unwrap();
    let terms = BankTerms::from_bytes(signed.payload()).unwrap();
    verify::<BankTerms>(&Verifier, &terms.key_set, &signed).unwrap();
    terms
}

/// A signed request, and its name.
fn request(
    terms: &BankTerms,
    keys: &SecretKeys,
    account: Option<AccountNumber>,
    action: Action,
    random: &mut ChaCha8Rng,
) -> (RequestId, Vec<u8>) {
    let id = random.random();
    let hour = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(3600);
    let expires = Time::from_unix(hour.as_secs());
    let request =
        AccountRequest { issuer: terms.issuer.clone(), bank: terms.key_set.id(), id, account, expires, action };
    let signed = keys.sign(request.draft(keys.key_set().suite(), keys.key_set().id())).unwrap();
    (id, signed.bytes().to_vec())
}

/// What the bank said, with the keys that it had from the beginning.
#[track_caller]
fn said<T: Statement>(terms: &BankTerms, (status, body): &Answer) -> T {
    assert_eq!(*status, 200, "{}", String::from_utf8_lossy(body));
    let signed = Signed::from_bytes(body).unwrap();
    verify::<T>(&Verifier, &terms.key_set, &signed).unwrap();
    T::from_bytes(signed.payload()).unwrap()
}

/// Each account has the lines that the clients were told of, each once, and nothing else; the bank's own sums agree.
#[track_caller]
fn audit_bank(world: &World, customers: &mut [Customer]) {
    let mut expected: BTreeMap<AccountNumber, BTreeMap<Digest, i64>> = BTreeMap::new();
    for customer in &*customers {
        for booking in &customer.booked {
            let minor = i64::try_from(booking.amount.minor()).unwrap();
            for (account, change) in [(customer.number, -minor), (booking.account.unwrap(), minor)] {
                let doubled = expected.entry(account).or_default().insert(booking.entry, change);
                assert_eq!(doubled, None, "two requests have one booking: {booking:?}");
            }
        }
    }
    for customer in &mut *customers {
        let expected = expected.remove(&customer.number).unwrap_or_default();
        let (lines, balance) = customer.lines();
        let (paid_in, transfers): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.what == What::Operator);
        assert_eq!(paid_in.iter().map(|line| line.change).collect::<Vec<_>>(), [CREDIT]);
        let booked: BTreeMap<Digest, i64> = transfers.iter().map(|line| (line.entry, line.change)).collect();
        assert_eq!(booked.len(), transfers.len(), "one booking stands twice on {}", customer.number);
        assert_eq!(booked, expected, "on {}", customer.number);
        assert_eq!(balance, CREDIT + expected.values().sum::<i64>(), "on {}", customer.number);
    }
    let audit = world.json("bank", &["bank", "audit", "--json"]);
    assert_eq!(audit["faults"], json!([]), "{audit:#}");
    assert_eq!(audit["owed"], json!([["EUR", CREDIT * i64::try_from(CLIENTS).unwrap()]]), "{audit:#}");
}

/// All clients have one address here: rates that they do not meet.
fn unbounded() -> toml::Table {
    let keys = ["burst", "per_second", "burst_of_all", "per_second_of_all"];
    keys.into_iter().map(|key| (key.to_owned(), 1_000_000_000.into())).collect()
}

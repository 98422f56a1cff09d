//! A bank and customers who speak to it directly, without the parties' half: so that a test can say what an honest client never says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Decode;
use semper_core::cose::{Signed, Statement};
use semper_core::hash::Digest;
use semper_core::ids::{DealId, KeySetId};
use semper_core::party::{KeySet, Suite};
use semper_core::signature::verify;
use semper_core::time::{Seconds, Time};
use semper_crypto::{OpenKey, Sealer, SecretKeys, Verifier};
use semper_payment::account::answer::{AccountStatement, Authorisation, BankTerms, Booking};
use semper_payment::account::bank::operator::{Audit, Direction};
use semper_payment::account::bank::{Bank, Certify, LocalKeys, Opening, Parts, Rules};
use semper_payment::account::number::AccountNumber;
use semper_payment::account::payment::{Capture, Condition, Instruction, Level, Token};
use semper_payment::account::problem::{ProblemKind, Refusal};
use semper_payment::account::request::{AccountRequest, Action};
use semper_store::MemoryArchive;
use semper_support::archive::Archive;
use semper_support::crypto::{KemSuite, Seal, Signer};
use semper_transfer::payment::means::{Fees, System};
use semper_transfer::payment::statement::{PaymentOrder, Release, Side, instruction_hash};

pub(crate) const ISSUER: &str = "https://bank.example";
pub(crate) const START: u64 = 1_800_000_000;

/// Accepts one certificate, `b"certificate"`, for every key set.
pub(crate) struct OneCertificate;

impl Certify for OneCertificate {
    fn certified(&self, chain: &[Vec<u8>], _: KeySetId, _: Time) -> Result<String, String> {
        match chain {
            [one] if one == b"certificate" => Ok("Alice Example".to_owned()),
            _ => Err("no authority vouches for it".to_owned()),
        }
    }
}

pub(crate) struct World {
    pub(crate) archive: Arc<dyn Archive>,
    pub(crate) bank: Arc<Bank>,
    pub(crate) parts: Parts,
    pub(crate) rules: Rules,
    pub(crate) clock: Arc<AtomicU64>,
    ids: AtomicU64,
}

pub(crate) struct Customer {
    pub(crate) keys: SecretKeys,
    pub(crate) mac_key: [u8; 32],
    pub(crate) number: AccountNumber,
}

/// What a payer says; a test changes what it wants to be wrong.
pub(crate) struct Said {
    pub(crate) instruction: Instruction,
    pub(crate) order: Digest,
    pub(crate) amount: Amount,
}

pub(crate) fn eur(minor: u64) -> Amount {
    Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

pub(crate) fn digest(n: u64) -> Digest {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Digest::from_array(bytes)
}

pub(crate) fn rules() -> Rules {
    let currencies = BTreeSet::from([Currency::parse("EUR").unwrap(), Currency::parse("USD").unwrap()]);
    Rules::new(ISSUER.to_owned(), "Test Bank".to_owned(), currencies)
}

pub(crate) fn parts(archive: Arc<dyn Archive>, clock: &Arc<AtomicU64>, suite: Suite) -> Parts {
    let clock = clock.clone();
    Parts {
        archive,
        keys: Arc::new(LocalKeys(Arc::new(SecretKeys::generate(suite).unwrap()))),
        open: Arc::new(OpenKey::generate(KemSuite::X25519).unwrap()),
        verify: Arc::new(Verifier),
        clock: Arc::new(move || Time::from_unix(clock.load(Ordering::SeqCst))),
        opening: Opening::Anyone(Some(Arc::new(OneCertificate))),
        admit: None,
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(MemoryArchive::new()), rules()).await
    }

    pub(crate) async fn with_fees() -> Self {
        let rules = Rules { fees: Fees { fixed: 2, per_million: 10_000 }, ..rules() };
        Self::with(Arc::new(MemoryArchive::new()), rules).await
    }

    pub(crate) async fn with(archive: Arc<dyn Archive>, rules: Rules) -> Self {
        let clock = Arc::new(AtomicU64::new(START));
        let parts = parts(archive.clone(), &clock, Suite::Ed25519);
        Self::of(parts, rules, clock).await
    }

    pub(crate) async fn of(parts: Parts, rules: Rules, clock: Arc<AtomicU64>) -> Self {
        let bank = Bank::new(parts.clone(), rules.clone()).await.unwrap();
        Self { archive: parts.archive.clone(), bank, parts, rules, clock, ids: AtomicU64::new(1) }
    }

    /// The bank after a crash: a new process over the same books and keys.
    pub(crate) async fn restart(&mut self) {
        self.bank = Bank::new(self.parts.clone(), self.rules.clone()).await.unwrap();
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_unix(self.clock.load(Ordering::SeqCst))
    }

    pub(crate) fn set_time(&self, time: Time) {
        self.clock.store(time.unix(), Ordering::SeqCst);
    }

    pub(crate) fn terms(&self) -> BankTerms {
        BankTerms::from_bytes(self.bank.terms().payload()).unwrap()
    }

    pub(crate) fn fresh(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn id(&self) -> [u8; 16] {
        let mut id = [7; 16];
        id[..8].copy_from_slice(&self.fresh().to_be_bytes());
        id
    }

    /// A request, signed by `keys`.
    pub(crate) fn request(&self, keys: &SecretKeys, account: Option<AccountNumber>, action: Action) -> Signed {
        let request = AccountRequest {
            issuer: ISSUER.to_owned(),
            bank: self.terms().key_set.id(),
            id: self.id(),
            account,
            expires: self.now().after(Seconds(3600)),
            action,
        };
        sign(keys, &request)
    }

    pub(crate) fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let terms = self.terms();
        Sealer.seal(terms.sealing_suite, &terms.sealing_key, context, plain).unwrap()
    }

    pub(crate) fn open_request(&self, keys: &SecretKeys, code: &str, chain: Vec<Vec<u8>>, mac_key: [u8; 32]) -> Signed {
        let context = Action::verifier_context(self.terms().key_set.id());
        let action = Action::Open {
            currency: Currency::parse(code).unwrap(),
            key_set: keys.key_set().clone(),
            certificates: chain,
            verifier: self.seal(&context, &mac_key),
        };
        self.request(keys, None, action)
    }

    /// A customer with a certificate.
    pub(crate) async fn customer(&self, minor: u64) -> Customer {
        self.customer_in("EUR", minor, vec![b"certificate".to_vec()]).await
    }

    pub(crate) async fn customer_in(&self, code: &str, minor: u64, chain: Vec<Vec<u8>>) -> Customer {
        let keys = SecretKeys::generate(Suite::Ed25519).unwrap();
        let mut mac_key = [9; 32];
        mac_key[..8].copy_from_slice(&self.fresh().to_be_bytes());
        let answer = self.bank.request(self.open_request(&keys, code, chain, mac_key).bytes()).await.unwrap();
        let number = self.read::<AccountStatement>(&answer).account;
        if minor > 0 {
            let amount = Amount::new(minor, Currency::parse(code).unwrap()).unwrap();
            self.bank.by_hand(self.id(), Direction::In, number, amount, "cash").await.unwrap();
        }
        Customer { keys, mac_key, number }
    }

    /// What the bank said, if its signature is good.
    pub(crate) fn read<T: Statement>(&self, bytes: &[u8]) -> T {
        let signed = Signed::from_bytes(bytes).unwrap();
        verify::<T>(&Verifier, &self.terms().key_set, &signed).unwrap();
        <T as Decode>::from_bytes(signed.payload()).unwrap()
    }

    pub(crate) async fn ask(&self, customer: &Customer, action: Action) -> Result<Vec<u8>, Refusal> {
        self.bank.request(self.request(&customer.keys, Some(customer.number), action).bytes()).await
    }

    /// Asks and expects a refusal of one kind, which changes nothing.
    pub(crate) async fn refused(&self, customer: &Customer, action: Action, kind: ProblemKind) {
        let before = self.audit().await;
        let refusal = self.ask(customer, action).await.unwrap_err();
        assert_eq!(refusal.kind, kind, "{refusal}");
        assert_eq!(self.audit().await, before);
    }

    pub(crate) async fn booked(&self, customer: &Customer, action: Action) -> Booking {
        self.read(&self.ask(customer, action).await.unwrap())
    }

    pub(crate) async fn authorised(&self, customer: &Customer, action: Action) -> Authorisation {
        self.read(&self.ask(customer, action).await.unwrap())
    }

    pub(crate) async fn statement(&self, customer: &Customer, from: u64, most: u64) -> AccountStatement {
        self.read(&self.ask(customer, Action::Statement { from, most }).await.unwrap())
    }

    /// Balance and what is held of it.
    pub(crate) async fn money(&self, customer: &Customer) -> (i64, u64) {
        let statement = self.statement(customer, 0, 1).await;
        (statement.balance, statement.held)
    }

    /// The audit, without faults.
    pub(crate) async fn audit(&self) -> Audit {
        let audit = self.bank.audit().await.unwrap();
        assert_eq!(audit.faults, Vec::<String>::new());
        audit
    }

    /// What `payer` would say to pay `payee`, held for an hour.
    pub(crate) fn said(&self, payer: &Customer, payee: &Customer, minor: u64, level: Level) -> Said {
        let amount = eur(minor);
        let n = self.fresh();
        let until = self.now().after(Seconds(3600));
        let instruction = Instruction {
            account: payer.number,
            payee: payee.keys.key_set().id(),
            amount,
            order: digest(n),
            nonce: *digest(n + 1_000_000).as_bytes(),
            authorise_before: until,
            held_until: until,
            level,
            fee_most: eur(1_000_000),
            condition: None,
            capture: Capture::Parts,
        };
        Said { order: instruction.order, amount, instruction }
    }

    pub(crate) fn token(&self, payer: &Customer, said: &Said) -> Token {
        let context = Instruction::context(self.terms().key_set.id());
        let sealed = self.seal(&context, &said.instruction.authenticated(&payer.mac_key));
        self.token_of(payer, said, sealed)
    }

    pub(crate) fn token_of(&self, payer: &Customer, said: &Said, sealed: Vec<u8>) -> Token {
        let order = PaymentOrder {
            order: said.order,
            amount: said.amount,
            system: System::parse("account").unwrap(),
            issuer: ISSUER.to_owned(),
            instruction: instruction_hash(&sealed),
            time: self.now(),
        };
        let signature = (said.instruction.level == Level::Three).then(|| sign(&payer.keys, &order));
        Token { sealed, order, signature }
    }

    /// A good token of level 2.
    pub(crate) fn pays(&self, payer: &Customer, payee: &Customer, minor: u64) -> Token {
        self.token(payer, &self.said(payer, payee, minor, Level::Two))
    }

    /// A hold that depends on releases, by `arbiter` among others.
    pub(crate) fn locks(&self, payer: &Customer, payee: &Customer, arbiter: &SecretKeys, minor: u64) -> Token {
        let mut said = self.said(payer, payee, minor, Level::Two);
        said.instruction.condition = Some(Condition {
            tag: said.order,
            payer: payer.keys.key_set().clone(),
            payee: payee.keys.key_set().clone(),
            arbiter: arbiter.key_set().clone(),
        });
        self.token(payer, &said)
    }
}

pub(crate) fn sign<T: Statement>(keys: &SecretKeys, statement: &T) -> Signed {
    let public: &KeySet = keys.key_set();
    keys.sign(statement.draft(public.suite(), public.id())).unwrap()
}

pub(crate) fn release(keys: &SecretKeys, tag: Digest, to: Side, minor: u64) -> Signed {
    sign(keys, &Release { tag, issuer: ISSUER.to_owned(), to, amount: eur(minor) })
}

pub(crate) fn takes(token: Token, minor: u64) -> Action {
    Action::Authorise { token, capture: Some(eur(minor)) }
}

pub(crate) fn deal(n: u8) -> DealId {
    DealId::from_array([n; 16])
}

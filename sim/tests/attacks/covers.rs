//! Attacks on liability covers (design/exchange.md §14.6).

use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Decode as _;
use semper_core::contract::Quittance;
use semper_core::cose::Statement as _;
use semper_core::party::KeySet;
use semper_core::time::Seconds;
use semper_exchange::cover::debt::Debt;
use semper_exchange::cover::register::{CLOCKS, Step};
use semper_exchange::cover::{
    Account, Agreement, Cover, CoverFile, CoverId, CoverRequest, Demand, NotCovered, Opened, Refusal, Unopened, check,
    cover_tag,
};
use semper_exchange::evidence::Checks;
use semper_sim::scenario::NOT_AFTER;
use semper_sim::symbolic::Hand;
use semper_store::MemoryArchive;
use semper_support::archive::{Archive, Commit, CommitError, PutState};

use super::*;

const OPENING: [u8; 32] = [6; 32];
const ACCEPT_BEFORE: Time = NOW.after(Seconds(500));

fn money(minor: u64) -> Amount {
    Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

fn guarantor(cast: &Cast) -> Hand {
    cast.oracle.hand(cast.arbiter.key_set().suite(), 7)
}

/// The originator's account, and its request for a cover of `minor` under `core`.
fn of_customer(cast: &Cast) -> Account {
    let agreement = Agreement {
        guarantor: guarantor(cast).key_set().id(),
        limit: money(100),
        per_deal: money(60),
        until: NOT_AFTER,
        issued: NOW,
    };
    Account::new(cast.hand(O).key_set().id(), agreement)
}

fn asked(cast: &Cast, core: &Core, number: u8, minor: u64) -> CoverRequest {
    CoverRequest {
        cover: CoverId::from_array([number; 16]),
        guarantor: guarantor(cast).key_set().id(),
        tag: cover_tag(core.cid(), &OPENING),
        amount: money(minor),
        subject: cast.hand(O).key_set().id(),
        accept_before: ACCEPT_BEFORE,
        claim_by: NOT_AFTER.after(Seconds(10_000)),
    }
}

fn certified(cast: &Cast, core: &Core) -> (Account, Cover, CoverFile) {
    let asked = asked(cast, core, 1, 60);
    let (Step { account, .. }, cover) = of_customer(cast).reserve(&asked, "there", Seconds(60), NOW).unwrap();
    let keys: KeySet = guarantor(cast).key_set().clone();
    let draft = cover.draft(keys.suite(), keys.id());
    let signed = guarantor(cast).sign(draft).unwrap();
    (account, cover, CoverFile { guarantor: keys, cover: signed, opening: OPENING })
}

/// What the seller says of a cover.
fn looked_at(cast: &Cast, file: &CoverFile, core: &Core, now: Time) -> Result<(), NotCovered> {
    let guarantors = [guarantor(cast).key_set().id()];
    let (me, amount, fresh) = (cast.hand(R).key_set().id(), money(60), Seconds(3_600));
    let demand = Demand { core, me, guarantors: &guarantors, amount, claim_by: NOW, fresh };
    check(&cast.oracle, file, &demand, now).map(drop)
}

/// What a folder of a contract shows.
fn debt(cast: &Cast, cover: &Cover, core: &Core, statements: &[Signed]) -> Result<Debt, Unopened> {
    let opened = Opened::of(cover, &OPENING, core)?;
    let item = |kind, bytes| Item { kind, time: NOW, bytes };
    let [o, r] = cast.key_sets();
    let mut items = vec![item(EvidenceKind::Core, core.to_bytes())];
    items.extend([&o, &r, cast.arbiter.key_set()].map(|keys| item(EvidenceKind::KeySet, keys.to_bytes())));
    items.extend(statements.iter().map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec())));
    let folder = Folder { deal: DealId::from_array([0; 16]), items };
    let checks = Checks { verify: &cast.oracle, kem: None, systems: &[], stamps: None, submissions: None };
    Ok(opened.debt(&checks, &[folder], NOW))
}

fn complete(cast: &Cast, core: &Core) -> Vec<Signed> {
    promises(cast, core).into_iter().chain([O, R].map(|role| cast.completion(core, role))).collect()
}

// The customer shows one cover to two sellers, or has a second one made for the same contract; a seller claims with the contract of another one.
#[test]
fn cover_used_for_two_contracts() {
    let cast = Cast::default();
    let (first, second) = (cast.core(1), cast.core(2));
    let (account, cover, file) = certified(&cast, &first);
    let other = Err(NotCovered::Contract(Unopened::OtherContract));
    assert_eq!(looked_at(&cast, &file, &second, NOW), other);
    assert_eq!(looked_at(&cast, &CoverFile { opening: [9; 32], ..file.clone() }, &second, NOW), other);
    let shown = debt(&cast, &cover, &second, &complete(&cast, &second));
    assert_eq!(shown, Err(Unopened::OtherContract));
    let again = account.reserve(&asked(&cast, &first, 2, 10), "there", Seconds(60), NOW).map(drop);
    assert_eq!(again, Err(Refusal::Taken));

    assert_eq!(looked_at(&cast, &file, &first, NOW), Ok(()), "the twin: for its own contract it is good");
    assert_eq!(debt(&cast, &cover, &first, &complete(&cast, &first)), Ok(Debt::Owed));
    assert!(account.reserve(&asked(&cast, &second, 2, 10), "there", Seconds(60), NOW).is_ok());
}

// Two servers of one guarantor decide on two requests at once, each from the account as it was before the other.
#[tokio::test]
async fn cover_over_limit_race() {
    let cast = Cast::default();
    let archive = MemoryArchive::new();
    let put = |replaces, account: &Account| {
        let state = PutState { key: b"account".to_vec(), replaces, bytes: account.to_bytes() };
        archive.commit(Commit { states: vec![state], ..Commit::default() })
    };
    let before = of_customer(&cast);
    put(0, &before).await.unwrap();
    let read = archive.state(b"account").await.unwrap().unwrap();
    let decide = |account: &Account, number: u8| {
        account.reserve(&asked(&cast, &cast.core(number), number, 60), "there", Seconds(60), NOW)
    };
    let (one, other) = (decide(&before, 1).unwrap().0, decide(&before, 2).unwrap().0);
    put(read.version, &one.account).await.unwrap();
    let late = put(read.version, &other.account).await;
    assert!(matches!(late, Err(CommitError::Stale { .. })), "{late:?}");
    // The second one is decided again, from what is stored now.
    let stands = Account::from_bytes(&archive.state(b"account").await.unwrap().unwrap().bytes).unwrap();
    assert_eq!(decide(&stands, 2).map(drop), Err(Refusal::Limit { limit: money(100), left: money(40) }));
    assert_eq!(stands.totals().sum(), 60);

    let fits = asked(&cast, &cast.core(2), 2, 40);
    assert!(stands.reserve(&fits, "there", Seconds(60), NOW).is_ok(), "the twin: what fits is certified");
}

// The customer keeps a cover until its keys are revoked, or its contract is long over, and shows it then.
#[test]
fn cover_stale_accept_before() {
    let cast = Cast::default();
    let core = cast.core(1);
    let (account, cover, file) = certified(&cast, &core);
    let sigma = core.terms.deadlines.sigma;
    let late = ACCEPT_BEFORE.before(sigma).after(Seconds(1));
    assert_eq!(looked_at(&cast, &file, &core, late), Err(NotCovered::Stale(ACCEPT_BEFORE)));
    let free = cover.claim_by.after(CLOCKS).after(Seconds(1));
    assert_eq!(account.claim(cover.cover, money(60), cover.subject, Debt::Owed, free).map(drop), Err(Refusal::Ended));

    assert_eq!(looked_at(&cast, &file, &core, ACCEPT_BEFORE.before(sigma)), Ok(()), "the twin: in time it is good");
    let revoked = account.revoke(NOW);
    let late = cover.claim_by.after(CLOCKS);
    let claimed = revoked.claim(cover.cover, money(60), cover.subject, Debt::Owed, late);
    assert!(claimed.is_ok(), "what was accepted in time is claimed until its date, whatever becomes of the keys");
}

// A seller claims for a contract that binds nobody, that the customer alone has signed, or that was paid.
#[test]
fn cover_claimed_without_a_debt() {
    let cast = Cast::default();
    let core = cast.core(1);
    let (_, cover, _) = certified(&cast, &core);
    let shown = |statements: &[Signed]| debt(&cast, &cover, &core, statements).unwrap();
    assert_eq!(shown(&[]), Debt::NotShown);
    assert_eq!(shown(&promises(&cast, &core)), Debt::NotShown, "a promise alone is no contract");
    let aborted = rule_on(&cast, &cast.abort(&core)).statement;
    let promised = promises(&cast, &core);
    assert_eq!(shown(&[promised[0].clone(), aborted]), Debt::Nothing);
    let quittance = cast.say(R, &Quittance { cid: core.cid(), role: R }, 0);
    assert_eq!(shown(&[complete(&cast, &core), vec![quittance]].concat()), Debt::Nothing);
    // The customer's own word that it was paid for is worth nothing.
    let own = cast.say(O, &Quittance { cid: core.cid(), role: O }, 0);
    assert_eq!(shown(&[complete(&cast, &core), vec![own]].concat()), Debt::Owed);

    assert_eq!(shown(&complete(&cast, &core)), Debt::Owed, "the twin: a contract that binds both is a debt");
    let resolved = rule_on(&cast, &cast.resolve(&core, R, cast.promised(&core))).statement;
    assert_eq!(shown(&[promises(&cast, &core).to_vec(), vec![resolved]].concat()), Debt::Owed);
}

//! The model checker's world for liability covers: the real rules of a guarantor, every order of events.
//!
//! One customer asks for three covers of which not all fit into its limit; each is for another contract with the same seller. Two servers work on one store: each reads
//! the account, decides, and commits in the place of what it has read, or finds that somebody was faster and forgets. Each answer arrives or is lost, so either
//! may crash between its decision and its answer; every request, claim and release may come again at any time. The customer's keys may be revoked. Time is
//! discrete, a tick is as much as honest clocks differ by, and the seller's clock is right, or ahead or behind by a tick.
//!
//! The seller accepts what it is shown in time by its clock, claims what it has not been paid as long as its clock allows it, or says that it was paid; then, and
//! only then, it or the customer has the cover released.
//!
//! Not seen here: what folders show, which is judged by the rules of evidence, and signatures.
//!
//! Source: design/exchange.md §10, §14.6.

use std::collections::BTreeMap;

use semper_core::amount::{Amount, Currency};
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::time::{Seconds, Time};
use semper_exchange::cover::debt::Debt;
use semper_exchange::cover::register::{Account, Booking, CLOCKS, End, Open, Standing, Step, Word};
use semper_exchange::cover::{Agreement, Cover, CoverId, CoverRequest, Refusal};
use stateright::{Model, Property};

use super::search;

/// The covers that are asked for: amount, the last tick to accept it, the last tick to claim it.
const ASKED: [(u64, u64, u64); 3] = [(60, 1, 1), (50, 1, 2), (40, 5, 5)];
const LIMIT: u64 = 100;
/// The last tick.
const LAST: u8 = 7;

/// What can happen in a configuration of the model.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// By how many ticks the seller's clock is behind the guarantor's: -1, 0 or 1.
    pub behind: i8,
    /// States that must be reached: names of `sometimes` properties.
    pub reaches: &'static [&'static str],
}

/// A guarantor, a customer and a seller.
pub struct World {
    setup: Setup,
}

/// What a server is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Job {
    /// The customer asks for a cover.
    Request(usize),
    /// The seller claims one.
    Claim(usize),
    /// The seller gives one up.
    Release(usize),
    /// The customer shows that the seller was paid.
    Answer(usize),
    /// The operator books both sides of what was paid.
    Book(usize),
    /// The operator revokes the customer's keys.
    Revoke,
}

/// What a server has decided and not stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pending {
    job: Job,
    version: u8,
    step: Decided,
}

/// A decision: the account, what is over, and the cover that is certified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Decided {
    account: Account,
    closed: Vec<(usize, End)>,
    cover: Option<Cover>,
}

/// One state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    tick: u8,
    account: Account,
    version: u8,
    /// How the covers ended that are over.
    closed: BTreeMap<usize, End>,
    /// What was certified, by the request.
    said: BTreeMap<usize, Cover>,
    servers: [Option<Pending>; 2],
    /// What the seller was shown and has accepted, what it has heard to be claimed, and what it was paid for.
    accepted: [bool; 3],
    claimed: [bool; 3],
    quitted: [bool; 3],
    /// Whether a server has found that the other one was faster, and whether a request was too much for the limit.
    raced: bool,
    refused: bool,
}

/// Something that must be reached: its name, and whether it is.
type Sometimes = (&'static str, fn(&World, &State) -> bool);

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Action {
    /// A tick passes.
    Tick,
    /// A server reads and decides.
    Decide { server: usize, job: Job },
    /// It stores what it has decided, and its answer arrives or is lost.
    Commit { server: usize, arrives: bool },
    /// A cover that was certified is said again, and reaches the seller, who accepts it.
    Accept { cover: usize },
    /// The seller is paid.
    Pay { cover: usize },
}

fn money(minor: u64) -> Amount {
    let euro = Currency::parse("EUR").expect("a currency");
    Amount::new(minor, euro).expect("a small amount")
}

const fn key(byte: u8) -> KeySetId {
    KeySetId::from_digest(Digest::from_array([byte; 32]))
}

fn id(cover: usize) -> CoverId {
    CoverId::from_array([u8::try_from(cover).unwrap_or(u8::MAX); 16])
}

/// The time of a tick, far enough from zero that clocks can be behind.
fn moment(tick: u64) -> Time {
    Time::from_unix(1_000_000 + tick * CLOCKS.0)
}

fn asked(cover: usize) -> CoverRequest {
    let (amount, accept, claim) = ASKED[cover];
    CoverRequest {
        cover: id(cover),
        guarantor: key(7),
        tag: Digest::from_array([u8::try_from(cover).unwrap_or(u8::MAX); 32]),
        amount: money(amount),
        subject: key(1),
        accept_before: moment(accept),
        claim_by: moment(claim),
    }
}

impl State {
    fn now(&self) -> Time {
        moment(self.tick.into())
    }

    /// What a server decides; `None` if it refuses, or finds nothing to do.
    fn decide(&self, job: Job) -> Result<Decided, Refusal> {
        let (now, account) = (self.now(), &self.account);
        let amount = |cover: usize| money(ASKED[cover].0);
        let mut certified = None;
        let Step { account, closed } = match job {
            Job::Request(cover) => {
                let (step, said) = account.reserve(&asked(cover), "", CLOCKS, now)?;
                certified = Some(said);
                step
            }
            Job::Claim(cover) => account.claim(id(cover), amount(cover), key(2), Debt::Owed, now)?,
            Job::Release(cover) => account.release(id(cover), Word::Beneficiary, now)?,
            Job::Answer(cover) => account.release(id(cover), Word::Customer(Debt::Nothing), now)?,
            Job::Book(cover) => {
                let out = account.book(id(cover), Booking::PaidOut, now)?;
                let both = out.account.book(id(cover), Booking::Repaid, now)?;
                Step { closed: out.closed.into_iter().chain(both.closed).collect(), account: both.account }
            }
            Job::Revoke => {
                let Step { account, closed } = account.at(now);
                Step { account: account.revoke(now), closed }
            }
        };
        let place = |id: CoverId| usize::from(id.as_bytes()[0]);
        let closed = closed.into_iter().map(|over| (place(over.cover.cover), over.end)).collect();
        Ok(Decided { account, closed, cover: certified })
    }

    /// Whether the seller relies on a cover: it has accepted it, and was not paid.
    fn relies(&self, cover: usize) -> bool {
        self.accepted[cover] && !self.quitted[cover]
    }
}

impl World {
    /// The world of a configuration.
    pub fn new(setup: Setup) -> Self {
        Self { setup }
    }

    /// The seller's clock.
    fn seller(&self, state: &State) -> Time {
        let tick = 10 + i64::from(state.tick) - i64::from(self.setup.behind);
        moment(tick.try_into().unwrap_or(0)).before(Seconds(10 * CLOCKS.0))
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let (limit, per_deal) = (money(LIMIT), money(60));
        let agreement =
            Agreement { guarantor: key(7), limit, per_deal, until: moment(LAST.into()), issued: Time::from_unix(0) };
        vec![State {
            tick: 0,
            account: Account::new(key(1), agreement),
            version: 0,
            closed: BTreeMap::new(),
            said: BTreeMap::new(),
            servers: [None, None],
            accepted: [false; 3],
            claimed: [false; 3],
            quitted: [false; 3],
            raced: false,
            refused: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.tick < LAST {
            actions.push(Action::Tick);
        }
        let seller = self.seller(state);
        let mut jobs = vec![Job::Revoke];
        for cover in 0..ASKED.len() {
            if !state.said.contains_key(&cover) {
                jobs.push(Job::Request(cover));
                continue;
            }
            let CoverRequest { accept_before, claim_by, .. } = asked(cover);
            if !state.accepted[cover] && seller.after(CLOCKS) <= accept_before {
                actions.push(Action::Accept { cover });
            }
            if state.relies(cover) {
                actions.push(Action::Pay { cover });
            }
            // Whoever has heard nothing asks again.
            if state.relies(cover) && (seller <= claim_by || state.claimed[cover]) {
                jobs.push(Job::Claim(cover));
            }
            if state.quitted[cover] {
                jobs.extend([Job::Release(cover), Job::Answer(cover)]);
            }
            jobs.push(Job::Book(cover));
        }
        for server in 0..state.servers.len() {
            match &state.servers[server] {
                // The servers are alike: the second one has work only while the first one is busy.
                None if server == 1 && state.servers[0].is_none() => {}
                None => actions.extend(jobs.iter().map(|job| Action::Decide { server, job: *job })),
                Some(_) => actions.extend([true, false].map(|arrives| Action::Commit { server, arrives })),
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.tick += 1,
            Action::Accept { cover } => state.accepted[cover] = true,
            Action::Pay { cover } => state.quitted[cover] = true,
            Action::Decide { server, job } => match last.decide(job) {
                Ok(step) => {
                    let idle = step.account == last.account && !matches!(job, Job::Claim(_));
                    if idle {
                        return None;
                    }
                    state.servers[server] = Some(Pending { job, version: last.version, step });
                }
                Err(Refusal::Limit { .. }) => state.refused = true,
                Err(_) => return None,
            },
            Action::Commit { server, arrives } => {
                let Pending { job, version, step } = state.servers[server].take()?;
                if version != last.version {
                    state.raced = true;
                    return Some(state);
                }
                let Decided { account, closed, cover } = step;
                if account != state.account {
                    state.version = state.version.wrapping_add(1);
                }
                state.account = account;
                state.closed.extend(closed);
                if let (Job::Request(place), Some(cover)) = (job, cover) {
                    state.said.insert(place, cover);
                }
                if let Job::Claim(place) = job
                    && arrives
                {
                    state.claimed[place] = true;
                }
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always("S1 the guarantor stands for no more than the limit", |_, state| {
                // Not what the account says of itself, but what was certified and is not over.
                let open = state.said.iter().filter(|(place, _)| !state.closed.contains_key(place));
                open.map(|(_, cover)| cover.amount.minor()).sum::<u64>() <= LIMIT
                    && state.account.totals().sum() <= LIMIT
            }),
            Property::<Self>::always(
                "S2 what the seller has accepted is paid or given up, never lost",
                |world, state| {
                    let seller = world.seller(state);
                    (0..ASKED.len()).filter(|cover| state.relies(*cover)).all(|cover| {
                        let mut stands = state.account.open().map(|open| (open.cover.cover, open.standing));
                        let standing = stands.find(|(name, _)| *name == id(cover)).map(|(_, standing)| standing);
                        match (state.claimed[cover], standing) {
                            (true, Some(Standing::Claimed(_) | Standing::Paid { .. })) | (false, Some(_)) => true,
                            (_, None) if matches!(state.closed.get(&cover), Some(End::Repaid(_))) => true,
                            (false, None) => seller > asked(cover).claim_by,
                            (true, _) => false,
                        }
                    })
                },
            ),
            Property::<Self>::always("S3 nothing is certified after a revocation", |_, state| {
                let since = state.account.revoked();
                state.said.values().all(|cover| since.is_none_or(|since| cover.not_revoked_at <= since))
            }),
            Property::<Self>::always("S4 only what nobody is owed any more is released or rejected", |_, state| {
                let ended = |end: &End| matches!(end, End::Released | End::Rejected);
                state.closed.iter().all(|(cover, end)| !ended(end) || state.quitted[*cover])
            }),
        ];
        let sometimes: [Sometimes; 7] = [
            ("paid", |_, state| state.closed.values().any(|end| matches!(end, End::Repaid(_)))),
            ("released", |_, state| state.closed.values().any(|end| *end == End::Released)),
            ("rejected", |_, state| state.closed.values().any(|end| *end == End::Rejected)),
            ("expired", |_, state| state.closed.values().any(|end| *end == End::Expired)),
            ("too much is refused", |_, state| state.refused),
            ("one server is faster", |_, state| state.raced),
            ("revoked with a cover that is claimed after it", |_, state| {
                let claimed = |open: &Open| match open.standing {
                    Standing::Claimed(claim) => state.account.revoked().is_some_and(|since| claim.since > since),
                    _ => false,
                };
                state.account.open().any(claimed)
            }),
        ];
        let reached = sometimes.into_iter().filter(|(name, _)| self.setup.reaches.contains(name));
        properties.extend(reached.map(|(name, holds)| Property::sometimes(name, holds)));
        properties
    }
}

impl search::World for World {}

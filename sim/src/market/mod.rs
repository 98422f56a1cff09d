//! The simulator with money and goods: one purchase, one seed, everything that can go wrong on the way.
//!
//! A seller and a buyer, with an arbiter or with one hash that locks what both give ([`Trial::lock`]), run the real machines ([`semper_commerce::deal::Deal`], the arbiter's rules, the journal of payments and
//! the payment modules) over archives in memory; a real mint or bank answers them in this process. Signatures, encapsulation and sealing
//! are symbolic, coins are not. The seed decides what is lost, doubled, delayed and reordered, where processes crash and commits fail,
//! who is unreachable when, how clocks differ and jump, when users decline or give up, and who cheats how ([`Plot`]). The same seed
//! gives the same run. At the end the money is counted, and it is judged whether everybody got what it was promised.
//!
//! | file | what |
//! |---|---|
//! | [`self`] | the seed, the events, the clock |
//! | `fair` | the issuer, and everybody's purses before the purchase |
//! | `goods` | what is sold |
//! | `node` | a party: the order in which it stores and acts is that of the program `semper` |
//! | `till` | a party's payment operations |
//! | `court` | the arbiter |
//! | `plot` | how parties cheat |
//! | `judge` | what must hold at the end |
//!
//! Start at [`simulate`]. Source: design/exchange.md §14.7.

mod court;
mod fair;
mod goods;
mod judge;
mod node;
mod plot;
mod till;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use semper_core::cose::Signed;
use semper_core::ids::{DealId, StatementId};
use semper_core::party::KeySet;
use semper_core::time::{Seconds, Time};
use semper_exchange::arbiter::verdict::{ClosingOutcome, Outcome};
use semper_store::MemoryArchive;
use semper_support::archive::OutgoingId;
use semper_support::crypto::Signer as _;
use semper_support::engine::Ending;
use semper_transfer::payment::means::LockKind;
use semper_transfer::payment::module::{IssuerReply, IssuerRequest};
use semper_transfer::payment::operation::OperationId;

use fair::{Fair, Fate, OPENED};
use goods::Fetched;
use node::Said;

pub use fair::Means;
pub use plot::Plot;

use crate::scenario::Cast;
use crate::symbolic::Hand;

/// The seller's place: the contract's originator.
const SELLER: usize = 0;
/// The buyer's place.
const BUYER: usize = 1;
/// The arbiter's place.
const ARBITER: usize = 2;

/// The longest that a message to the arbiter takes.
const DELTA: Seconds = Seconds(3600);
/// The most by which two honest clocks differ.
const SIGMA: Seconds = Seconds(120);
/// From the order until the arbiter takes no first request.
const VALID_FOR: Seconds = Seconds(6 * 3600);
/// For complaints.
const COMPLAINTS: Seconds = Seconds(3 * 3600);
/// When all dates of a contract are over, and everybody has had time enough for what is left.
const OVER: Seconds = Seconds(48 * 3600);
/// How long a third party is unreachable at most. Longer, and it breaks the assumption that the contract states.
const OUTAGE_MAX: u64 = DELTA.0 / 4;
/// How long an issuer is unreachable at most, in seconds, while there is time enough left afterwards: what was locked then is not taken before
/// the time for complaints is over.
const ISSUER_OUT_MAX: u64 = 5 * 3600;
/// When such a time begins at the latest, in seconds from the order.
const ISSUER_OUT_FROM: u64 = 3 * 3600;
/// Most events of one run.
const EVENTS_MAX: usize = 20_000;

/// A mistake in what drives the machines, made on purpose: a simulator that does not find it is blind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The issuer's disk says now and then that it has stored what it has not.
    PretendedCommit,
    /// The arbiter rules without asking the issuer about the token.
    UnconfirmedToken,
    /// The arbiter lets go of the money to whoever asks.
    EarlySettlement,
    /// What a party was about to send is forgotten in a crash.
    ForgetfulOutbox,
    /// The end of a payment operation is stored before the step of the deal that waits for it, not with it.
    SplitEnd,
    /// The buyer takes goods for good without looking.
    UnexaminedGoods,
}

impl Break {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::PretendedCommit,
        Self::UnconfirmedToken,
        Self::EarlySettlement,
        Self::ForgetfulOutbox,
        Self::SplitEnd,
        Self::UnexaminedGoods,
    ];
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Whether an arbiter decides who gets the money, or whoever shows a preimage has it. Only coins can be locked to a hash.
    pub lock: LockKind,
    /// What decides everything else.
    pub seed: u64,
    /// A mistake, if there is to be one.
    pub broken: Option<Break>,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomes {
    /// How it was paid.
    pub means: Means,
    /// Who cheated, and how.
    pub plot: Plot,
    /// How the seller's and the buyer's deal ended; `None` where there was none, or of a cheating party that has not ended.
    pub endings: [Option<Ending>; 2],
    /// What the arbiter decided, if it did.
    pub verdict: Option<(Outcome, Option<ClosingOutcome>)>,
    /// Whether the buyer has the goods that were promised.
    pub delivered: bool,
    /// What the seller has in the end, in minor units.
    pub paid: u64,
    /// How often a process crashed or a commit failed.
    pub crashes: u32,
    /// How many events there were.
    pub events: usize,
}

/// Runs a trial.
///
/// # Errors
/// What was violated, the trace of events that led there, and how to repeat it.
pub fn simulate(trial: Trial) -> Result<Outcomes, String> {
    let Trial { lock, seed, broken } = trial;
    with_world(trial, false, |world| world.run().and_then(|()| world.judge())).map_err(|violation| {
        let mistake = broken.map_or(String::new(), |broken| format!("SEMPER_MISTAKE={broken:?} "));
        let which = if lock == LockKind::Hash { "purchases_without" } else { "every_purchase" };
        let test = format!("cargo test -p semper-sim --test purchases {which} -- --nocapture");
        // Writing the events takes as long as the run: it is done when somebody wants to read them.
        format!("seed {seed}: {violation}\n{}\nagain: {mistake}SEMPER_PURCHASE={seed} {test}", trace(trial))
    })
}

/// The events of a trial, one a line, whatever it comes to.
pub fn trace(trial: Trial) -> String {
    with_world(trial, true, |world| {
        let result = world.run().and_then(|()| world.judge());
        format!("{}{result:?}", world.trace)
    })
}

thread_local! {
    static FAIRS: RefCell<BTreeMap<Means, Fair>> = const { RefCell::new(BTreeMap::new()) };
}

fn with_world<T>(trial: Trial, traced: bool, then: impl FnOnce(&mut World<'_>) -> T) -> T {
    let mut rng = ChaCha8Rng::seed_from_u64(trial.seed);
    let by_coins = trial.lock == LockKind::Hash || rng.random_range(0..100) < ECASH_SHARE;
    let means = if by_coins { Means::Ecash } else { Means::Account };
    FAIRS.with_borrow_mut(|fairs| {
        let fair = fairs.entry(means).or_insert_with(|| Fair::open(means));
        then(&mut World::new(rng, fair, means, trial, traced))
    })
}

/// How many of a hundred purchases are paid with coins, which cost most of the time here.
const ECASH_SHARE: u32 = 20;

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    /// The buyer asks for the next part of the goods.
    Fetch,
    /// A part of the goods arrives.
    Part { part: Option<usize>, bytes: Vec<u8> },
    /// A message of the peer arrives.
    Deliver { to: usize, id: OutgoingId, bytes: Vec<u8> },
    /// The peer's inbox has taken a message.
    Receipt { to: usize, id: OutgoingId },
    /// The peer's inbox never will.
    Refusal { to: usize, id: OutgoingId },
    /// A request arrives at the arbiter.
    Request { from: usize, id: OutgoingId, bytes: Vec<u8> },
    /// The arbiter's answer arrives.
    Answer { to: usize, id: OutgoingId, bytes: Vec<u8> },
    /// The arbiter refuses for good.
    Rejected { to: usize, id: OutgoingId },
    /// A request arrives at the issuer.
    Ask { who: usize, operation: OperationId, attempt: u64, request: IssuerRequest },
    /// The issuer's answer arrives.
    Reply { who: usize, operation: OperationId, attempt: u64, reply: IssuerReply },
    /// A process starts, or looks at its archive.
    Wake { who: usize },
    /// A user gives up.
    GiveUp { who: usize },
    /// A clock jumps.
    Jump { who: usize, lead: i64 },
    /// A cheating party does something.
    Mischief,
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Event::Part { .. } => "a part of the goods",
            Event::Deliver { .. } => "a message",
            Event::Receipt { .. } | Event::Refusal { .. } => "a receipt",
            Event::Request { .. } => "a request to the arbiter",
            Event::Answer { .. } | Event::Rejected { .. } => "the arbiter's answer",
            Event::Ask { .. } => "a request to the issuer",
            Event::Reply { .. } => "the issuer's answer",
            _ => "nothing",
        }
    }
}

/// How likely mishaps are in this run, and how slow everybody is.
struct Weather {
    /// In percent.
    loss: u32,
    /// In percent.
    doubling: u32,
    /// In thousandths, at each place where a process can crash.
    crash: u32,
    /// In thousandths, for each commit.
    trouble: u32,
    /// In percent.
    decline: u32,
    /// Longest delay of a message, in seconds.
    delay: u64,
}

/// Times during which somebody is unreachable.
type Outage = (Time, Time);

/// A party, or the arbiter.
struct Node {
    hand: Hand,
    store: MemoryArchive,
    /// Its clock's lead, in seconds.
    lead: i64,
    /// Until when its process does not run.
    down: Time,
    /// When it looks at its archive next.
    wake: Option<Time>,
    /// The deal as it was read or stored last, and its version: gone in a crash.
    deal: Option<node::Stored>,
    /// Requests to the issuer that are on their way, each with its number, and until when it is waited for: gone in a crash.
    asking: BTreeMap<OperationId, (u64, Time)>,
    /// Operations that rest, and until when: gone in a crash.
    resting: BTreeMap<OperationId, Time>,
    /// What the user said, as the key holder has stored it.
    said: BTreeMap<StatementId, Option<Signed>>,
}

struct World<'a> {
    rng: ChaCha8Rng,
    fair: &'a Fair,
    cast: Cast,
    means: Means,
    lock: LockKind,
    plot: Plot,
    broken: Option<Break>,
    weather: Weather,
    nodes: [Node; 3],
    /// The clock of the issuer.
    issuer_lead: i64,
    /// Of the arbiter and of the issuer.
    outages: [Outage; 2],
    patience: Seconds,
    offer: node::Offered,
    deal: DealId,
    begun: Time,
    fetched: Fetched,
    now: Time,
    events: BTreeMap<(Time, u64), Event>,
    count: u64,
    attempts: u64,
    happened: usize,
    crashes: u32,
    /// The buyer has been told what opens the goods, whatever it does with it.
    told: bool,
    /// The buyer has opened the goods and found them good.
    opened: bool,
    /// Whoever looked has found a mistake while the run goes on.
    violation: Option<String>,
    /// What the parties have said to each other.
    heard: Vec<Said>,
    /// What opens the contracts that the seller has written.
    seeds: Vec<Vec<u8>>,
    /// What a cheating party has begun.
    pranks: BTreeSet<OperationId>,
    /// What the arbiter has given a cheating party to take money with.
    loot: Vec<Vec<u8>>,
    trace: String,
    traced: bool,
}

impl<'a> World<'a> {
    fn new(mut rng: ChaCha8Rng, fair: &'a Fair, means: Means, trial: Trial, traced: bool) -> Self {
        let Trial { lock, broken, .. } = trial;
        let cast = Cast::default();
        let calm = rng.random_range(0..10) == 0;
        let weather = if calm {
            Weather { loss: 0, doubling: 0, crash: 0, trouble: 0, decline: 0, delay: 2 }
        } else {
            Weather {
                loss: rng.random_range(0..50),
                doubling: rng.random_range(0..30),
                crash: [0, 10, 40][rng.random_range(0..3_usize)],
                trouble: [0, 10, 40][rng.random_range(0..3_usize)],
                decline: rng.random_range(0..8),
                delay: [3, 30, 300][rng.random_range(0..3_usize)],
            }
        };
        let plot = Plot::of(&mut rng, lock);
        let half = i64::try_from(SIGMA.0 / 2).expect("a small number");
        let mut lead = || rng.random_range(-half..=half);
        let (leads, issuer_lead) = ([lead(), lead(), lead()], lead());
        let now = OPENED.after(Seconds(100_000));
        let mut outage = || {
            let start = now.after(Seconds(rng.random_range(0..12 * 3600)));
            (start, start.after(Seconds(rng.random_range(0..OUTAGE_MAX))))
        };
        let (arbiter_out, mut issuer_out) = (outage(), outage());
        // Whoever does without an arbiter relies on reaching the issuer in time.
        if lock == LockKind::Arbiter && rng.random_range(0..10) == 0 {
            let start = now.after(Seconds(rng.random_range(0..ISSUER_OUT_FROM)));
            issuer_out = (start, start.after(Seconds(rng.random_range(0..ISSUER_OUT_MAX))));
        }
        let outages = [arbiter_out, issuer_out];
        let stores = fair.begin();
        let mut stores = stores.into_iter();
        let nodes = [SELLER, BUYER, ARBITER].map(|who| Node {
            hand: fair::hand(&cast, who),
            store: stores.next().expect("there are three"),
            lead: leads[who],
            down: now,
            wake: None,
            deal: None,
            asking: BTreeMap::new(),
            resting: BTreeMap::new(),
            said: BTreeMap::new(),
        });
        let patience = Seconds([120, 1200, 7200][rng.random_range(0..3_usize)]);
        let offer = node::Offered::new(&cast, fair, lock, plot, now);
        let deal = DealId::from_array(rng.random());
        Self {
            rng,
            fair,
            cast,
            means,
            lock,
            plot,
            broken,
            weather,
            nodes,
            issuer_lead,
            outages,
            patience,
            offer,
            deal,
            begun: now,
            fetched: Fetched::default(),
            now,
            events: BTreeMap::new(),
            count: 0,
            attempts: 0,
            happened: 0,
            crashes: 0,
            told: false,
            opened: false,
            violation: None,
            heard: Vec::new(),
            seeds: Vec::new(),
            pranks: BTreeSet::new(),
            loot: Vec::new(),
            trace: String::new(),
            traced,
        }
    }

    /// Until nothing is left to happen.
    fn run(&mut self) -> Result<(), String> {
        let (means, lock, plot) = (self.means, self.lock, self.plot);
        self.note(format_args!("{means:?}, {lock:?}, {plot:?}"));
        self.at(0, Event::Fetch);
        for who in [SELLER, BUYER] {
            if self.chance(30) {
                let patience = self.rng.random_range(0..10_000);
                self.at(patience, Event::GiveUp { who });
            }
        }
        for who in [SELLER, BUYER, ARBITER] {
            if self.chance(20) {
                let half = i64::try_from(SIGMA.0 / 2).expect("a small number");
                let (when, lead) = (self.rng.random_range(0..40_000), self.rng.random_range(-half..=half));
                self.at(when, Event::Jump { who, lead });
            }
        }
        if self.plot.cheat().is_some() {
            for _ in 0..self.plot.pranks() {
                let when = self.rng.random_range(0..60_000);
                self.at(when, Event::Mischief);
            }
        }
        while let Some(((time, _), event)) = self.events.pop_first() {
            self.now = time;
            self.happened += 1;
            if time > self.begun.after(OVER) {
                return Ok(());
            }
            if self.happened > EVENTS_MAX {
                return Err("the run does not come to rest".to_owned());
            }
            self.happen(event);
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Fetch => self.fetch(),
            Event::Part { part, bytes } => self.part(part, &bytes),
            Event::Deliver { to, id, bytes } => self.deliver(to, id, bytes),
            Event::Receipt { to, id } => self.receipt(to, id),
            Event::Refusal { to, id } => self.refused(to, id),
            Event::Request { from, id, bytes } => self.request(from, id, &bytes),
            Event::Answer { to, id, bytes } => self.answered(to, id, bytes),
            Event::Rejected { to, id } => self.rejected(to, id),
            Event::Ask { who, operation, attempt, request } => self.ask(who, operation, attempt, request),
            Event::Reply { who, operation, attempt, reply } => self.reply(who, operation, attempt, reply),
            Event::Wake { who } => self.wake(who),
            Event::GiveUp { who } => self.give_up(who),
            Event::Jump { who, lead } => {
                self.note(format_args!("the clock of {} jumps", Name(who)));
                self.nodes[who].lead = lead;
                self.rouse(who, 1);
            }
            Event::Mischief => self.mischief(),
        }
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.count += 1;
        self.events.insert((self.now.after(Seconds(delay)), self.count), event);
    }

    fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.rng.random_range(0..100) < percent
    }

    /// Something travels: lost, doubled, delayed.
    fn travel(&mut self, event: &Event) {
        self.travel_within(event, self.weather.delay);
    }

    fn travel_within(&mut self, event: &Event, longest: u64) {
        let copies = if self.chance(self.weather.doubling) { 2 } else { 1 };
        for _ in 0..copies {
            if self.chance(self.weather.loss) {
                self.note(format_args!("{} is lost", event.name()));
            } else {
                let delay = self.rng.random_range(1..=longest);
                self.at(delay, event.clone());
            }
        }
    }

    fn note(&mut self, line: impl fmt::Display) {
        if self.traced {
            let seconds = self.now.unix() - self.begun.unix();
            writeln!(self.trace, "{seconds:>6} {line}").expect("writing to a string does not fail");
        }
    }

    /// Something is wrong with the machines or modules themselves.
    fn violated(&mut self, what: impl fmt::Display) {
        self.note(format_args!("VIOLATED: {what}"));
        self.violation.get_or_insert_with(|| what.to_string());
    }

    fn clock(&self, who: usize) -> Time {
        self.led(self.nodes[who].lead)
    }

    fn led(&self, lead: i64) -> Time {
        let by = Seconds(lead.unsigned_abs());
        if lead < 0 { self.now.before(by) } else { self.now.after(by) }
    }

    fn is_out(&self, outage: usize) -> bool {
        let (from, until) = self.outages[outage];
        from <= self.now && self.now < until
    }

    fn is_up(&self, who: usize) -> bool {
        self.nodes[who].down <= self.now
    }

    fn cheats(&self, who: usize) -> bool {
        self.plot.cheat() == Some(who)
    }

    fn key_set(&self, who: usize) -> KeySet {
        self.nodes[who].hand.key_set().clone()
    }

    /// Whether the process stops here. What is only in its memory is gone.
    fn crashes(&mut self, who: usize) -> bool {
        let crashes = self.weather.crash > 0 && self.rng.random_range(0..1000) < self.weather.crash;
        if crashes {
            self.crash(who);
        }
        crashes
    }

    fn crash(&mut self, who: usize) {
        self.note(format_args!("{} crashes", Name(who)));
        self.crashes += 1;
        if who == BUYER && self.chance(50) {
            self.fetched.tear();
            self.at(60, Event::Fetch);
        }
        let pause = self.rng.random_range(1..200);
        let node = &mut self.nodes[who];
        node.deal = None;
        node.asking.clear();
        node.resting.clear();
        node.down = self.now.after(Seconds(pause));
        node.wake = None;
        if self.broken == Some(Break::ForgetfulOutbox) {
            self.forget_outbox(who);
        }
        self.rouse(who, pause);
    }

    /// Has a node look at its archive soon.
    fn rouse(&mut self, who: usize, delay: u64) {
        let when = self.now.after(Seconds(delay)).max(self.nodes[who].down);
        if self.nodes[who].wake.is_none_or(|wake| wake > when) {
            self.nodes[who].wake = Some(when);
            self.at(when.unix() - self.now.unix(), Event::Wake { who });
        }
    }

    /// What an issuer's next commit comes to.
    fn fate(&mut self) -> Fate {
        if self.broken == Some(Break::PretendedCommit) && self.chance(20) {
            return Fate::Pretended;
        }
        if self.weather.trouble == 0 || self.rng.random_range(0..1000) >= 3 * self.weather.trouble {
            return Fate::Stored;
        }
        [Fate::Refused, Fate::Lost, Fate::Unheard][self.rng.random_range(0..3_usize)]
    }
}

/// Who somebody is, in traces.
struct Name(usize);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["the seller", "the buyer", "the arbiter"][self.0])
    }
}

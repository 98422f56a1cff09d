//! One step of one deal: read, let the machine decide, commit, then act.

use async_trait::async_trait;
use semper_commerce::deal::{Accepts, Deal, DealError, Message, Opening};
use semper_commerce::order::{self, Asked};
use semper_commerce::plan::{Action, Plan, SEND, SIGN_MANY};
use semper_core::cbor::{Decode, Encode};
use semper_core::container::{Container, Leaf};
use semper_core::cose::Signed;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, KeySetId, Slot};
use semper_core::machine::{Env, Machine};
use semper_core::party::KeySet;
use semper_core::text::escape;
use semper_core::time::Time;
use semper_exchange::gx::Examination;
use semper_support::archive::{
    Commit, CommitError, Consumed, NewEvidence, NewOutgoing, OutgoingId, PutState, ReadError,
};
use semper_support::channel::Frame;
use semper_support::engine::{Effect, Ending, EvidenceKind, Input};
use semper_support::runner::{Turn, Work, store};
use semper_support::submission::{LETTER_BYTES_MAX, SubmissionProof};
use semper_transfer::credential::Errand;
use semper_transfer::payment::journal::Entry as PaymentEntry;
use semper_transfer::payment::operation::{Answer, Operation};

use super::entry::{ASK_SPACE, Ask, Entry, Handing, Told};
use super::many::Record;
use super::outbox::{Destination, is_to_peer};
use super::payments::{ABANDONED_SPACE, Waiting};
use super::{BookError, Contact, Node, NodeError, PaymentError, errands, examine, notices, now};

/// Something that happened to a deal, and what is to be stored with it.
#[derive(Debug)]
pub struct Event {
    /// What happened.
    pub input: Input,
    /// What else belongs to the same commit: a timer that fired, a question that was answered.
    pub with: Commit,
}

/// A deal that our user starts.
pub struct Beginning {
    /// The deal; it has not begun.
    pub deal: Deal,
    /// What it is about.
    pub title: String,
    /// What the peer is called.
    pub peer: String,
    /// What our user can prove from the beginning.
    pub evidence: Vec<(EvidenceKind, Vec<u8>)>,
    /// What else is to be stored with it: the card of a stranger, a notice that it carries.
    pub records: Vec<Record>,
    /// Whether our user wants to prove what was handed in.
    pub handing: Handing,
    /// The notice that it carries, if it carries one.
    pub told: Option<Told>,
}

impl Beginning {
    /// A deal with a contact, without anything that belongs to it already.
    pub fn new(deal: Deal, title: String, peer: String, handing: Handing) -> Self {
        Self { deal, title, peer, evidence: Vec::new(), records: Vec::new(), handing, told: None }
    }
}

impl From<Input> for Event {
    fn from(input: Input) -> Self {
        Self { input, with: Commit::default() }
    }
}

/// Record space of the deals that were opened in somebody's name without a good signature so far: key set → how many.
const UNPROVEN_SPACE: &str = "unproven";
/// Most of them for one key set.
const UNPROVEN_MAX: u32 = 100;

/// Largest frame whose submission can be proven: what else is in a letter is small.
const PROVABLE_BYTES_MAX: usize = LETTER_BYTES_MAX - 1024;

/// The frame kind of messages between the parties of a deal.
pub const FRAME_DEAL: &str = "deal";
/// The frame kind of requests to an arbiter.
pub const FRAME_ARBITER: &str = "arbiter";

impl Node {
    /// Stores a deal that our user starts and takes its first step. `title` says what it is about, `peer` with whom.
    ///
    /// # Errors
    /// [`NodeError`]; nothing was stored or sent.
    pub async fn begin(&self, deal: Deal, title: String, peer: String) -> Result<DealId, NodeError> {
        let id = deal.id();
        self.begin_all(vec![Beginning::new(deal, title, peer, Handing::Unproven)]).await?;
        Ok(id)
    }

    pub(super) async fn begin_entry(&self, entry: Entry) -> Result<DealId, NodeError> {
        let id = entry.deal.id();
        let _one_at_a_time = self.lock_of(&id).lock().await;
        self.take(entry, 0, Input::Begin.into()).await?;
        Ok(id)
    }

    /// Stores deals that our user starts together and takes their first steps: all of them or none.
    ///
    /// # Errors
    /// [`NodeError`]; nothing was stored or sent.
    pub async fn begin_all(&self, deals: Vec<Beginning>) -> Result<(), NodeError> {
        let env = Env { now: now(), verify: &*self.verify };
        let (mut all, mut afterwards) = (Commit::default(), Vec::new());
        for Beginning { deal, title, peer, evidence, records, handing, told } in deals {
            let key = Entry::key(&deal.id());
            let keep = |(kind, bytes): (EvidenceKind, _)| {
                let (key, kind) = (key.clone(), kind.name().to_owned());
                NewEvidence { key, kind, bytes, time: env.now }
            };
            let evidence = evidence.into_iter().map(keep).collect();
            let mut with = Commit { evidence, records, ..Commit::default() };
            let step = deal.handle(&env, Input::Begin)?;
            for work in Turn::new(step.state, step.effects) {
                match work {
                    Work::Commit { state, effects } => {
                        let (title, peer, told) = (title.clone(), peer.clone(), told.clone());
                        let entry = Entry { opened: env.now, handing, told, ..Entry::new(state, title, peer) };
                        let commit = self.commit(entry, 0, effects, std::mem::take(&mut with), env.now).await?;
                        join(&mut all, commit);
                    }
                    Work::Perform(effect) => afterwards.push(effect),
                }
            }
        }
        self.archive.commit(all).await.map_err(|error| match error {
            CommitError::Taken { .. } => NodeError::RunBefore,
            error => NodeError::Commit(error),
        })?;
        afterwards.iter().for_each(|effect| self.perform(effect));
        self.stepped();
        Ok(())
    }

    /// Whoever looks at deals looks again.
    fn stepped(&self) {
        self.timers.notify_one();
        // A step puts questions, and an end takes them back.
        self.asks.notify_one();
        self.changed.send_modify(|count| *count += 1);
    }

    /// Gives an event to a deal.
    ///
    /// # Errors
    /// [`NodeError`]: the stored state stands.
    pub async fn step(&self, id: DealId, event: Event) -> Result<(), NodeError> {
        let _one_at_a_time = self.lock_of(&id).lock().await;
        let stored = self.archive.state(&Entry::key(&id)).await?.ok_or(NodeError::NoSuchDeal(id))?;
        self.take(self.entries.read(&stored)?, stored.version, event).await
    }

    /// Gives a peer's message to its deal, which it may open. A double changes nothing.
    ///
    /// # Errors
    /// [`NodeError`]: the stored state stands.
    pub async fn message(&self, id: DealId, body: Vec<u8>) -> Result<(), NodeError> {
        let _one_at_a_time = self.lock_of(&id).lock().await;
        let key = Entry::key(&id);
        let digest = Digest::of(domain::INPUT, &body);
        let mut with = Commit::default();
        let _opening;
        let (mut entry, version) = match self.archive.state(&key).await? {
            Some(stored) => (self.entries.read(&stored)?, stored.version),
            None => {
                // Counted one after the other, until the deal is stored.
                _opening = self.opening.lock().await;
                let (entry, introduced) = self.opened(id, &body).await?;
                with.records.extend(introduced);
                with.records.push(self.one_more_unproven(entry.deal.sides().peer.id()).await?);
                (entry, 0)
            }
        };
        if self.archive.is_consumed(&key, &digest).await? {
            return Ok(());
        }
        if entry.is_full() {
            return Err(NodeError::TooManyMessages);
        }
        entry.messages += 1;
        with.consumed.push(Consumed { key, input: digest });
        self.take(entry, version, Event { input: Input::Message(body), with }).await
    }

    /// Counts a deal that somebody opens in the name of `peer`. Who it is shows with the first good signature, which sets the count
    /// back: until then anybody who knows the key set could fill this archive.
    async fn one_more_unproven(&self, peer: KeySetId) -> Result<(String, Vec<u8>, Option<Vec<u8>>), NodeError> {
        let stored = self.archive.record(UNPROVEN_SPACE, peer.as_bytes()).await?;
        let count = stored.and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?))).unwrap_or(0);
        if count >= UNPROVEN_MAX {
            return Err(NodeError::TooManyUnproven);
        }
        Ok((UNPROVEN_SPACE.to_owned(), peer.as_bytes().to_vec(), Some((count + 1).to_be_bytes().to_vec())))
    }

    /// A deal that a peer opens, and what is stored with it.
    async fn opened(&self, id: DealId, body: &[u8]) -> Result<(Entry, Vec<Record>), NodeError> {
        let message = Message::from_bytes(body).map_err(DealError::Malformed)?;
        let Some(Opening { plan, from }) = message.opening else {
            return Err(NodeError::NoSuchDeal(id));
        };
        let arbiters = self.book.arbiters().await?;
        if plan.steps[0].action == Action::Order {
            return self.ordered((id, plan), from, &message.body, arbiters).await;
        }
        if *plan == SIGN_MANY {
            return self.opened_among(id, from, &message).await;
        }
        let (peer, card) = match self.book.by_key_set(from).await {
            Err(BookError::Unknown(_)) if *plan == SEND => self.told_by(id, from, &message.body).await?,
            known => (known?, None),
        };
        let accepts =
            Accepts { arbiters, purses: self.payments.offered().await?, patience: self.patience().await?.value };
        let deal = Deal::opened(id, plan, self.keys.key_set(), peer.key_set().clone(), accepts);
        let (title, peer) = (plan.name.to_owned(), peer.name);
        Ok((Entry::new(deal, title, peer), card.into_iter().collect()))
    }

    /// A deal by which somebody, known or not, takes up an offer; or somebody known asks for a trade of money.
    async fn ordered(
        &self,
        (id, plan): (DealId, &'static Plan),
        from: KeySetId,
        body: &[u8],
        arbiters: Vec<KeySet>,
    ) -> Result<(Entry, Vec<Record>), NodeError> {
        let malformed = |error| NodeError::Deal(DealError::Malformed(error));
        let ((peer, card), asked) = match order::Message::from_bytes(body).map_err(malformed)? {
            order::Message::Order(order) => (self.met(&id, from, &order.card).await?, Asked::Order(order)),
            order::Message::Trade(trade) => ((self.book.by_key_set(from).await?, None), Asked::Trade(trade)),
            order::Message::Swap(swap) => (self.met(&id, from, &swap.card).await?, Asked::Swap(swap)),
            order::Message::Contract(_) | order::Message::Refusal(_) => return Err(NodeError::NoSuchDeal(id)),
        };
        if asked.plan() != plan {
            return Err(NodeError::NoSuchDeal(id));
        }
        let answer = self.answer(id, from, asked).await?;
        let (me, asker) = (self.keys.key_set(), peer.key_set().clone());
        let deal = Deal::asked(id, me, asker, arbiters, self.patience().await?.value, answer);
        let (title, peer) = (plan.name.to_owned(), peer.name);
        Ok((Entry::new(deal, title, peer), card.into_iter().collect()))
    }

    /// The step itself. The deal's lock is held.
    async fn take(&self, mut entry: Entry, version: u64, event: Event) -> Result<(), NodeError> {
        let env = Env { now: now(), verify: &*self.verify };
        let id = entry.deal.id();
        let recovered = event.input == Input::Delivered && entry.trouble.take().is_some();
        let step = entry.deal.clone().handle(&env, event.input)?;
        if step.effects.is_empty() && step.state == entry.deal && event.with.consumed.is_empty() && !recovered {
            if event.with == Commit::default() {
                return Ok(());
            }
            // That a message has arrived is kept; the deal, which is large, stays as it is stored.
            return self.archive.commit(event.with).await.map_err(NodeError::Commit);
        }
        let mut with = Some(event.with);
        for work in Turn::new(step.state, step.effects) {
            match work {
                Work::Commit { state, effects } => {
                    let entry = Entry { deal: state, ..entry.clone() };
                    let commit = self.commit(entry, version, effects, with.take().unwrap_or_default(), env.now).await?;
                    match self.archive.commit(commit).await {
                        Ok(()) => {}
                        // The same message came twice at once.
                        Err(CommitError::Doubled { .. }) => return Ok(()),
                        Err(CommitError::Taken { .. }) => return Err(NodeError::RunBefore),
                        Err(error) => return Err(NodeError::Commit(error)),
                    }
                }
                Work::Perform(effect) => self.perform(&effect),
            }
        }
        self.stepped();
        tracing::debug!(deal = %id, "step taken");
        Ok(())
    }

    /// Everything outward is in the archive already: whoever carries it out is told to look.
    fn perform(&self, effect: &Effect) {
        match effect {
            Effect::Send(_) | Effect::AskArbiter(_) => self.outbox.notify_one(),
            Effect::Operate(_) | Effect::Abandon(_) => self.payments.rouse(),
            Effect::Examine(_) => self.examinations.notify_one(),
            Effect::Submit(_) => self.errands.notify_one(),
            _ => {}
        }
    }

    async fn commit(
        &self,
        mut entry: Entry,
        version: u64,
        effects: Vec<Effect>,
        with: Commit,
        now: Time,
    ) -> Result<Commit, NodeError> {
        let id = entry.deal.id();
        let key = Entry::key(&id);
        let mut commit = with;
        commit.records.extend(self.held_after(&entry.deal, &effects).await?);
        // A deal that a peer opened is named after what it turns out to be about.
        if let Some(agreement) = entry.deal.agreement().filter(|_| entry.title == entry.deal.plan().name) {
            entry.title = agreement.subject();
        }
        if let Some((amount, purpose)) = entry.deal.payment().filter(|_| entry.title == entry.deal.plan().name) {
            entry.title = format!("{amount} {}", escape(&purpose, 0)).trim_end().to_owned();
        }
        for (index, effect) in effects.into_iter().enumerate() {
            match effect {
                Effect::Operate(operation) => {
                    let operation = Operation::from_bytes(&operation).map_err(|_| NodeError::BadOperation)?;
                    PaymentEntry::intent(operation, None, now).begin(&mut commit);
                }
                Effect::Abandon(operation) => {
                    commit.records.push((ABANDONED_SPACE.to_owned(), operation.to_vec(), Some(Vec::new())));
                }
                Effect::Send(body) => {
                    for (place, other) in (0_u64..).zip(entry.deal.sides().others().map(KeySet::id)) {
                        let contact = self.party(&id, other, &commit.records).await?;
                        let frame = framed(&id, version, FRAME_DEAL, body.clone());
                        let (bytes, proof) = self.sealed(entry.handing, &contact, &frame)?;
                        let kind = EvidenceKind::Submission.name();
                        let kept = |bytes| NewEvidence { key: key.clone(), kind: kind.to_owned(), bytes, time: now };
                        commit.evidence.extend(proof.map(kept));
                        let place = [version, index as u64, place];
                        let to = Destination::Peer(other).address(&contact.inbox()?.url);
                        commit.outbox.push(outgoing(&id, place, to, bytes, now));
                    }
                }
                Effect::AskArbiter(body) => {
                    let arbiter = self.book.by_key_set(arbiter_of(&entry.deal)?).await?;
                    let bytes = self.post.seal(arbiter.inbox()?, &framed(&id, version, FRAME_ARBITER, body))?;
                    let to = Destination::Arbiter.address(&arbiter.inbox()?.url);
                    commit.outbox.push(outgoing(&id, [version, index as u64, 0], to, bytes, now));
                }
                Effect::Sign { draft, consent } => {
                    let ask = Ask { draft, consent };
                    let record = (ASK_SPACE.to_owned(), Ask::key(&id, &ask.draft.id()), Some(ask.to_bytes()));
                    commit.records.push(record);
                }
                Effect::Keep { kind, bytes } => {
                    if kind == EvidenceKind::Statement && is_signed_by(&bytes, entry.deal.sides().peer.id()) {
                        let peer = entry.deal.sides().peer.id().as_bytes().to_vec();
                        commit.records.retain(|(space, _, _)| space != UNPROVEN_SPACE);
                        commit.records.push((UNPROVEN_SPACE.to_owned(), peer, None));
                    }
                    if kind == EvidenceKind::Container && entry.title == entry.deal.plan().name {
                        entry.title = container_title(&bytes).unwrap_or(entry.title);
                        commit.records.extend(self.heard(&mut entry, &bytes).await?);
                    }
                    store(&mut commit, &key, Effect::Keep { kind, bytes }, now);
                }
                inward @ (Effect::SetTimer { .. } | Effect::CancelTimer(_) | Effect::Once(_)) => {
                    store(&mut commit, &key, inward, now);
                }
                Effect::Examine(examination) => {
                    let examination = Examination::from_bytes(&examination).map_err(|_| NodeError::BadExamination)?;
                    commit.records.push(examine::wanted(&id, &examination));
                }
                Effect::Submit(errand) => {
                    let errand = Errand::from_bytes(&errand).map_err(|_| NodeError::BadErrand)?;
                    commit.records.push(errands::wanted(&id, &errand));
                }
                Effect::Ended(ending) => {
                    commit.records.extend(self.stamp_when_ended(&id, now).await?);
                    commit.records.extend(notices::taken_back(&entry, ending));
                    match ending {
                        Ending::Success => entry.trouble = None,
                        // Nobody is bound: what was not delivered yet has no purpose any more.
                        _ => commit.sent.extend(self.undelivered(&id, &commit.sent).await?),
                    }
                }
            }
        }
        commit.states.push(PutState { key, replaces: version, bytes: entry.to_bytes() });
        Ok(commit)
    }

    /// Messages to the peer that still wait, except those in `gone`.
    async fn undelivered(&self, deal: &DealId, gone: &[OutgoingId]) -> Result<Vec<OutgoingId>, NodeError> {
        let waiting = self.archive.outbox_of(&Entry::key(deal)).await?;
        let to_peer = waiting.iter().filter(|waiting| is_to_peer(&waiting.message.destination));
        Ok(to_peer.map(|waiting| waiting.message.id).filter(|id| !gone.contains(id)).collect())
    }

    /// Seals a message for another party. Where its submission is to be proven, what gives these bytes again comes with it, to be stored in the
    /// same commit; not of a message that is too large to be kept twice.
    fn sealed(&self, handing: Handing, to: &Contact, frame: &Frame) -> Result<(Vec<u8>, Option<Vec<u8>>), NodeError> {
        let inbox = to.inbox()?;
        if handing == Handing::Unproven || frame.to_bytes().len() > PROVABLE_BYTES_MAX {
            return Ok((self.post.seal(inbox, frame)?, None));
        }
        let (bytes, opening) = self.post.seal_openly(inbox, frame)?;
        // The best inbox is the first.
        let submission = SubmissionProof { card: to.card_bytes().to_vec(), inbox: 0, opening };
        Ok((bytes, Some(submission.to_bytes())))
    }

    /// A deal as it stands.
    ///
    /// # Errors
    /// `NoSuchDeal`, `Read`.
    pub async fn entry(&self, id: DealId) -> Result<Entry, NodeError> {
        let stored = self.archive.state(&Entry::key(&id)).await?.ok_or(NodeError::NoSuchDeal(id))?;
        Ok(self.entries.read(&stored)?)
    }

    /// The deals after `after`, in the order of their identifiers, at most `limit`.
    ///
    /// # Errors
    /// `Read`.
    pub async fn entries(&self, after: Option<DealId>, limit: usize) -> Result<Vec<Entry>, NodeError> {
        let after = after.map(|id| Entry::key(&id));
        let stored = self.archive.states(Entry::prefix(), after.as_deref(), limit).await?;
        stored.iter().map(Entry::read).collect::<Result<_, ReadError>>().map_err(NodeError::Read)
    }

    /// Notes what went wrong with a deal, or logs that it cannot: whoever drives many deals goes on with the next.
    pub(super) async fn try_to_note(&self, id: DealId, trouble: &NodeError) {
        if let Err(error) = self.note_trouble(id, trouble.to_string()).await {
            tracing::error!(deal = %id, %error, "what went wrong with a deal could not be noted");
        }
    }

    /// Notes what went wrong with a deal, for the user.
    pub(super) async fn note_trouble(&self, id: DealId, trouble: String) -> Result<(), NodeError> {
        let _one_at_a_time = self.lock_of(&id).lock().await;
        let key = Entry::key(&id);
        let Some(stored) = self.archive.state(&key).await? else {
            return Ok(());
        };
        let (mut entry, version) = (self.entries.read(&stored)?, stored.version);
        if entry.trouble.as_ref() == Some(&trouble) {
            return Ok(());
        }
        entry.trouble = Some(trouble);
        let state = PutState { key, replaces: version, bytes: entry.to_bytes() };
        self.archive.commit(Commit { states: vec![state], ..Commit::default() }).await.map_err(NodeError::Commit)?;
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }
}

#[async_trait]
impl Waiting for Node {
    /// A step that cannot be taken now (no address for the peer, a full disk) leaves the operation open, so that what it made is not
    /// lost. Only if the deal's machine refuses does it end alone.
    async fn ended(&self, deal: DealId, answer: Answer, commit: Commit) -> Result<(), PaymentError> {
        let input = Input::Operated(answer.to_bytes());
        let waiting = |error: NodeError| match error {
            NodeError::Commit(error) => PaymentError::Commit(error),
            error => PaymentError::Waiting(error.to_string()),
        };
        match self.step(deal, Event { input, with: commit.clone() }).await {
            Err(error @ (NodeError::Deal(_) | NodeError::NoSuchDeal(_))) => {
                tracing::error!(%deal, %error, "a deal does not take the end of its payment operation");
                self.archive.commit(commit).await?;
                self.note_trouble(deal, error.to_string()).await.map_err(waiting)
            }
            taken => taken.map_err(waiting),
        }
    }
}

/// Adds everything of a commit to another one.
fn join(all: &mut Commit, more: Commit) {
    let Commit { states, consumed, outbox, sent, timers, timers_done, evidence, facts, records } = more;
    all.states.extend(states);
    all.consumed.extend(consumed);
    all.outbox.extend(outbox);
    all.sent.extend(sent);
    all.timers.extend(timers);
    all.timers_done.extend(timers_done);
    all.evidence.extend(evidence);
    all.facts.extend(facts);
    all.records.extend(records);
}

/// A message as it goes under the seal. `seq` is the version of the deal that sends it.
fn framed(deal: &DealId, seq: u64, kind: &str, body: Vec<u8>) -> Frame {
    Frame { kind: kind.to_owned(), deal: *deal, slot: Slot::default(), seq, body }
}

/// A message as it waits in the outbox. `place` is the version of the deal that sends it, its number among the effects of that step, and
/// that of its receiver.
fn outgoing(deal: &DealId, place: [u64; 3], destination: Vec<u8>, bytes: Vec<u8>, due: Time) -> NewOutgoing {
    let place = place.map(u64::to_be_bytes).concat();
    let id = Digest::of_parts(domain::INPUT, &[deal.as_bytes(), &place]);
    NewOutgoing { id, key: Entry::key(deal), destination, bytes, due }
}

/// Whether a statement names `signer`; that its signatures are good was checked by the machine that wants it kept.
fn is_signed_by(statement: &[u8], signer: KeySetId) -> bool {
    Signed::from_bytes(statement).is_ok_and(|signed| signed.signer() == signer)
}

/// What files are called together.
pub fn title<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    let first = escape(names.next().unwrap_or("nothing"), 0);
    match names.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn container_title(bytes: &[u8]) -> Option<String> {
    let container = Container::from_bytes(bytes).ok()?;
    let leaves = container.leaves();
    let names = leaves.iter().filter_map(|(_, leaf)| match leaf {
        Leaf::Information(file) => Some(file.name()),
        Leaf::Statement(_) | Leaf::Credential(_) | Leaf::Money(_) => None,
    });
    Some(title(names))
}

fn arbiter_of(deal: &Deal) -> Result<KeySetId, NodeError> {
    let agreement = deal.agreement();
    let arbiter = agreement.and_then(|agreement| agreement.core.arbiter());
    arbiter.ok_or(NodeError::Deal(DealError::OutOfPlace("a question to an arbiter")))
}

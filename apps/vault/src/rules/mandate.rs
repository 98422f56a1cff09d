//! Mandates: granted by the user, used without asking, revoked at once.
//!
//! What becomes of a mandate is a chain of facts that are written once: its uses, by number, and its revocation, which takes the number of the use
//! that would come next. So of two uses that are decided at the same moment, or a use and the revocation, one is first, and the other one sees it; and
//! a use is in the entry that holds the signature, with all that was counted until then.

use semper_commerce::mandate::{Act, Counted, Mandate, Uncovered};
use semper_commerce::proposal::processes;
use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::cose::{Draft, Kind, Signed, Statement as _};
use semper_core::hash::Digest;
use semper_core::ids::{DealId, StatementId};
use semper_core::time::{Seconds, Time};
use semper_support::approval::{Answer, ApprovalError};
use semper_support::archive::{CommitError, Fact, ReadError};

use super::{Approval, Vault, VaultError, WAITING_MAX, title, unavailable};
use crate::decisions::{Decision, Decisions, Event, What};
use crate::sheet::{Sheet, Verb};

/// Fact space of the mandates that were granted: end (8, big-endian) and statement → the mandate.
const GRANTED: &str = "vault-mandate";
/// Fact space of what became of a mandate: statement and number (8, big-endian), from 1 → [`MandateUse`], or nothing for its revocation.
const USES: &str = "vault-mandate-use";
/// Most mandates that are in force, or were in the last 30 days.
pub const MANDATES_MAX: usize = 256;
/// How long after its end a mandate is still listed, and said to be over.
const TOLD: Seconds = Seconds(30 * 24 * 3600);
/// How often the same mandate can be declined and asked for again without a pause.
pub const ANEW_MAX: u64 = 16;
/// How often a use is tried whose number was taken meanwhile by another one.
const TRIES: usize = 64;
/// Most mandates of which a question says why they do not cover it.
const WHYS_MAX: usize = 8;

/// A mandate that was granted, and where it stands.
///
/// ```text
/// granted = { 0: statement, 1: mandate, 2: uses, ? 3: spent, 4: revoked, 5: time }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Its name: the signed statement's.
    pub id: StatementId,
    /// Its limits.
    pub mandate: Mandate,
    /// What was counted under it.
    pub counted: Counted,
    /// Whether it was revoked.
    pub revoked: bool,
    /// The time, as the vault knows it.
    pub now: Time,
}

/// One use of a mandate, in the log entry that holds the signature: what was counted, and the limits that were in force.
///
/// ```text
/// use = { 0: what was signed, ? 1: amount, ? 2: spent with it, ? 3: per deal, ? 4: total, ? 5: uses, 6: until }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MandateUse {
    /// The mandate.
    pub mandate: StatementId,
    /// Which use, from 1.
    pub number: u64,
    /// What was signed.
    pub signed: StatementId,
    /// What was counted, if it moves money.
    pub amount: Option<Amount>,
    /// All that was counted, with this.
    pub spent: Option<Amount>,
    /// Most for one deal.
    pub per_deal: Option<Amount>,
    /// Most in total.
    pub total: Option<Amount>,
    /// Most uses.
    pub uses: Option<u64>,
    /// When it is over.
    pub until: Time,
}

/// The end of a mandate's chain: what was counted, and whether it was revoked after that.
#[derive(Default)]
struct Chain {
    counted: Counted,
    revoked: bool,
}

/// What stands under one number of a chain.
enum Link {
    Use(MandateUse),
    Revoked,
}

/// A mandate that does not cover an act, and why.
type Miss = (StatementId, Uncovered);

impl<D: Decisions + ?Sized> Vault<D> {
    /// Asks the user whether a mandate is to be granted; its name. It is issued now, whatever it says, and covers nothing before the user approves.
    /// The same that waits, or was granted, within this second is not asked again; the same that was declined is, as of the next second.
    ///
    /// # Errors
    /// [`VaultError::BadMandate`]: it contradicts itself, names a process that nobody knows, is over already, was declined [`ANEW_MAX`] times in a row, or
    /// there are [`MANDATES_MAX`].
    pub async fn propose(&self, mandate: Mandate) -> Result<StatementId, VaultError> {
        let now = self.decisions.now();
        let mandate = Mandate { issued: now, ..mandate };
        if mandate.until <= now {
            return Err(VaultError::BadMandate(format!("it would be over, for the time of the vault is {now}")));
        }
        let (mandate, draft, known) = self.not_declined(mandate).await?;
        mandate.check().map_err(|wrong| VaultError::BadMandate(wrong.to_owned()))?;
        mandate.scope.process.as_deref().map_or(Ok(()), is_known).map_err(VaultError::BadMandate)?;
        if self.granted(now).await?.len() >= MANDATES_MAX {
            return Err(VaultError::BadMandate(format!("there are {MANDATES_MAX} already; wait until some are over")));
        }
        let id = draft.id();
        if known || self.decisions.waiting(id).await?.is_some() {
            return Ok(id);
        }
        if self.decisions.all_waiting(WAITING_MAX).await?.len() >= WAITING_MAX {
            return Err(ApprovalError::TooMany.into());
        }
        let event = Event::of(What::Asked, &draft);
        let (title, text) = (title(Kind::Mandate, Verb::Grant), mandate.describe());
        let (sheet, uncovered) = (Sheet::of_mandate(&mandate, &draft), String::new());
        let question = Approval { deal: no_deal(id), draft, title, text, since: now, approves: None, uncovered, sheet };
        let decision = Decision { event, facts: Vec::new(), question: Some(question) };
        self.decisions.decide(decision).await.map_err(|error| ApprovalError::Unavailable(error.to_string()))?;
        Ok(id)
    }

    /// The mandate as of the first second, from that of its issue on, of which nobody has declined it; and whether it is granted already. What was declined
    /// stays declined: a statement that says the same as of the same second is the same statement.
    async fn not_declined(&self, mandate: Mandate) -> Result<(Mandate, Draft, bool), VaultError> {
        let (keys, first) = (self.signer.key_set(), mandate.issued);
        let mut mandate = mandate;
        for later in 0..ANEW_MAX {
            mandate.issued = first.after(Seconds(later));
            let draft = mandate.draft(keys.suite(), keys.id());
            match self.answered(draft.id()).await? {
                Some(Answer::Declined) => {}
                answer => return Ok((mandate, draft, answer.is_some())),
            }
        }
        Err(VaultError::BadMandate(
            "you have declined the same again and again within these seconds; wait a little".to_owned(),
        ))
    }

    /// Ends a mandate: from here on it covers nothing, whatever is decided at this moment. Once more changes nothing.
    ///
    /// # Errors
    /// [`VaultError::NoMandate`]: none of this name was granted.
    pub async fn revoke(&self, id: StatementId) -> Result<(), VaultError> {
        self.mandate(id).await?;
        for _ in 0..TRIES {
            let Chain { counted, revoked } = self.chain(id).await?;
            if revoked {
                return Ok(());
            }
            let event = Event { statement: Some((id, Kind::Mandate)), ..Event::of_vault(What::Revoked, String::new()) };
            let facts = vec![Fact { space: USES.to_owned(), key: link(id, counted.uses + 1), value: Vec::new() }];
            match self.decisions.decide(Decision { event, facts, question: None }).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Taken { .. }) => {}
                Err(error) => return Err(ApprovalError::Unavailable(error.to_string()).into()),
            }
        }
        Err(busy().into())
    }

    /// The mandates that are in force, and those that ended in the last 30 days; what ends first comes first.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn mandates(&self) -> Result<Vec<Granted>, VaultError> {
        let now = self.decisions.now();
        let mut all = Vec::new();
        for (id, mandate) in self.granted(now).await? {
            let Chain { counted, revoked } = self.chain(id).await?;
            all.push(Granted { id, mandate, counted, revoked, now });
        }
        Ok(all)
    }

    /// A mandate as it was signed, whenever that was.
    ///
    /// # Errors
    /// [`VaultError::NoMandate`]: none of this name was granted.
    pub async fn mandate(&self, id: StatementId) -> Result<Signed, VaultError> {
        match self.answered(id).await? {
            Some(Answer::Signed(signed)) if signed.kind() == Kind::Mandate => Ok(signed),
            _ => Err(VaultError::NoMandate(id)),
        }
    }

    /// Signs if a rule of the policy or a mandate covers the act. If none does: why not.
    pub(super) async fn sign_covered(
        &self,
        approval: &Approval,
        act: &Act,
    ) -> Result<Result<Answer, String>, ApprovalError> {
        let mut whys = Vec::new();
        if let Some(policy) = &self.policy {
            match policy.covers(act) {
                Ok(()) => return self.sign_unasked(What::ByRule, approval, None).await.map(Ok),
                Err(missed) => whys.extend(missed.iter().map(|why| format!("a rule of your policy {why}"))),
            }
        }
        for _ in 0..TRIES {
            let (id, mandate, after) = match self.covering(act).await? {
                Ok(found) => found,
                Err(missed) => {
                    whys.extend(missed.iter().map(|(id, why)| format!("the mandate {} {why}", &id.to_string()[..12])));
                    whys.truncate(WHYS_MAX);
                    return Ok(Err(whys.join("\n")));
                }
            };
            let used = MandateUse::of(id, &mandate, approval.draft.id(), act.amount, after).fact();
            match self.sign_unasked(What::ByMandate, approval, Some(used.clone())).await {
                // Somebody else has taken this number: another use, or the revocation.
                Err(ApprovalError::Forbidden(why)) => {
                    let stands = self.decisions.fact(USES, &used.key).await.map_err(unavailable)?;
                    if stands.is_none_or(|stands| stands == used.value) {
                        return Err(ApprovalError::Forbidden(why));
                    }
                }
                signed => return signed.map(Ok),
            }
        }
        Err(busy())
    }

    async fn sign_unasked(&self, what: What, approval: &Approval, used: Option<Fact>) -> Result<Answer, ApprovalError> {
        let event = Event::unasked(what, &approval.draft, approval.text_hash(), approval.text.clone());
        self.sign(event, approval.draft.clone(), approval.facts().into_iter().chain(used).collect()).await
    }

    /// The mandate that covers an act, with what is counted then; of several the one that ends first. If none does: why each does not.
    async fn covering(&self, act: &Act) -> Result<Result<(StatementId, Mandate, Counted), Vec<Miss>>, ApprovalError> {
        let now = self.decisions.now();
        let mut missed = Vec::new();
        for (id, mandate) in self.granted(now).await? {
            if mandate.scope.matter != act.matter {
                continue;
            }
            let Chain { counted, revoked } = self.chain(id).await?;
            match mandate.admit(act, counted, now) {
                _ if revoked => missed.push((id, Uncovered::Revoked)),
                Ok(after) => return Ok(Ok((id, mandate, after))),
                Err(why) => missed.push((id, why)),
            }
        }
        Ok(Err(missed))
    }

    /// Whether any mandate can be in force, or was not long ago.
    pub(super) async fn has_mandates(&self) -> Result<bool, ApprovalError> {
        Ok(self.policy.is_some() || !self.granted(self.decisions.now()).await?.is_empty())
    }

    async fn granted(&self, now: Time) -> Result<Vec<(StatementId, Mandate)>, ApprovalError> {
        let after = now.before(TOLD).unix().to_be_bytes();
        let facts =
            self.decisions.facts(GRANTED, Some(&after), MANDATES_MAX + WAITING_MAX).await.map_err(unavailable)?;
        let read = |fact: Fact| {
            let id = fact.key.get(8..)?.try_into().ok()?;
            Some((StatementId::from_digest(Digest::from_array(id)), Mandate::from_bytes(&fact.value).ok()?))
        };
        let unreadable = || ApprovalError::Unavailable("a stored mandate is not readable".to_owned());
        facts.into_iter().map(|fact| read(fact).ok_or_else(unreadable)).collect()
    }

    /// Where a mandate stands. Its links have numbers without gaps: the last one is found by doubling and halving.
    async fn chain(&self, id: StatementId) -> Result<Chain, ApprovalError> {
        let (mut last, mut over) = (0, 1);
        while self.has_link(id, over).await? {
            last = over;
            over *= 2;
        }
        while over - last > 1 {
            let middle = last + (over - last) / 2;
            match self.has_link(id, middle).await? {
                true => last = middle,
                false => over = middle,
            }
        }
        let (uses, end, revoked) = match self.link(id, last).await? {
            Some(Link::Revoked) => (last - 1, self.link(id, last - 1).await?, true),
            end => (last, end, false),
        };
        let spent = match end {
            Some(Link::Use(used)) => used.spent,
            _ => None,
        };
        Ok(Chain { counted: Counted { uses, spent }, revoked })
    }

    async fn has_link(&self, id: StatementId, number: u64) -> Result<bool, ApprovalError> {
        Ok(self.decisions.fact(USES, &link(id, number)).await.map_err(unavailable)?.is_some())
    }

    async fn link(&self, id: StatementId, number: u64) -> Result<Option<Link>, ApprovalError> {
        let key = link(id, number);
        let Some(value) = self.decisions.fact(USES, &key).await.map_err(unavailable)? else { return Ok(None) };
        if value.is_empty() {
            return Ok(Some(Link::Revoked));
        }
        let used = MandateUse::read(&Fact { space: USES.to_owned(), key, value });
        let unreadable = || ApprovalError::Unavailable("a stored use is not readable".to_owned());
        used.map(|used| Some(Link::Use(used))).ok_or_else(unreadable)
    }
}

/// Whether a process of this name is known: what names another one would cover nothing.
///
/// # Errors
/// In words: it is not, and which are.
pub(crate) fn is_known(process: &str) -> Result<(), String> {
    if processes().any(|known| known == process) {
        return Ok(());
    }
    let known = processes().collect::<Vec<_>>().join(", ");
    Err(format!("no process is called {process:?}; known are {known}"))
}

/// Every mandate that was granted and may not be over.
///
/// # Errors
/// Storage failed.
pub(super) async fn mandates_of<D: Decisions + ?Sized>(decisions: &D) -> Result<Vec<StatementId>, ReadError> {
    let after = decisions.now().before(TOLD).unix().to_be_bytes();
    let facts = decisions.facts(GRANTED, Some(&after), MANDATES_MAX + WAITING_MAX).await?;
    let names = facts.iter().filter_map(|fact| fact.key.get(8..)?.try_into().ok());
    Ok(names.map(|name| StatementId::from_digest(Digest::from_array(name))).collect())
}

/// What is stored when a mandate is granted.
pub(super) fn granted(draft: &Draft) -> Option<Fact> {
    let mandate = (draft.kind == Kind::Mandate).then(|| Mandate::from_bytes(&draft.payload).ok())??;
    let key = [mandate.until.unix().to_be_bytes().as_slice(), draft.id().as_bytes()].concat();
    Some(Fact { space: GRANTED.to_owned(), key, value: draft.payload.clone() })
}

fn link(id: StatementId, number: u64) -> Vec<u8> {
    [id.as_bytes().as_slice(), &number.to_be_bytes()].concat()
}

/// A mandate belongs to no deal: a question about it has the beginning of its own name in that place.
fn no_deal(id: StatementId) -> DealId {
    let (start, _) = id.as_bytes().split_first_chunk().expect("a name has 32 bytes");
    DealId::from_array(*start)
}

fn busy() -> ApprovalError {
    ApprovalError::Unavailable("a mandate is used by very many at the same moment; ask again".to_owned())
}

impl Granted {
    /// Whether it covers anything at the moment, and if not, why: in one word or two.
    pub fn standing(&self) -> &'static str {
        let Self { mandate, counted, revoked, now, .. } = self;
        match () {
            () if *revoked => "revoked",
            () if *now >= mandate.until => "over",
            () if mandate.uses.is_some_and(|uses| counted.uses >= uses)
                || mandate.total == counted.spent && mandate.total.is_some() =>
            {
                "used up"
            }
            () if *now < mandate.from => "not begun",
            () => "in force",
        }
    }
}

impl MandateUse {
    fn of(id: StatementId, mandate: &Mandate, signed: StatementId, amount: Option<Amount>, after: Counted) -> Self {
        Self {
            mandate: id,
            number: after.uses,
            signed,
            amount: amount.filter(|_| mandate.total.is_some()),
            spent: after.spent,
            per_deal: mandate.scope.per_deal,
            total: mandate.total,
            uses: mandate.uses,
            until: mandate.until,
        }
    }

    /// What is left of the total.
    pub fn left(&self) -> Option<Amount> {
        self.total?.minus(self.spent?).ok()
    }

    /// The use that a log entry's fact is; nothing if it is another fact.
    pub fn read(fact: &Fact) -> Option<Self> {
        let (mandate, number) = fact.key.split_first_chunk::<32>()?;
        let number = u64::from_be_bytes(number.try_into().ok()?);
        let mandate = StatementId::from_digest(Digest::from_array(*mandate));
        let Stored(stored) = (fact.space == USES).then(|| Stored::from_bytes(&fact.value).ok())??;
        Some(Self { mandate, number, ..stored })
    }

    fn fact(&self) -> Fact {
        let amount = |amount: &Option<Amount>| amount.as_ref().map(Encode::to_value);
        let value = record()
            .put_item(0, &self.signed)
            .put_some(1, amount(&self.amount))
            .put_some(2, amount(&self.spent))
            .put_some(3, amount(&self.per_deal))
            .put_some(4, amount(&self.total))
            .put_some(5, self.uses)
            .put_item(6, &self.until)
            .build();
        Fact { space: USES.to_owned(), key: link(self.mandate, self.number), value: value.encode() }
    }
}

/// A use without what stands in its key.
struct Stored(MandateUse);

impl Decode for Stored {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let signed = fields.item(0, "signed")?;
        let used = MandateUse {
            mandate: signed,
            number: 0,
            signed,
            amount: fields.optional_item(1, "amount")?,
            spent: fields.optional_item(2, "spent")?,
            per_deal: fields.optional_item(3, "per deal")?,
            total: fields.optional_item(4, "total")?,
            uses: fields.optional_item(5, "uses")?,
            until: fields.item(6, "until")?,
        };
        fields.close()?;
        Ok(Self(used))
    }
}

impl Encode for Granted {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.id)
            .put_item(1, &self.mandate)
            .put(2, self.counted.uses)
            .put_some(3, self.counted.spent.as_ref().map(Encode::to_value))
            .put(4, self.revoked)
            .put_item(5, &self.now)
            .build()
    }
}

impl Decode for Granted {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (id, mandate) = (fields.item(0, "statement")?, fields.item(1, "mandate")?);
        let counted = Counted { uses: fields.uint(2, "uses")?, spent: fields.optional_item(3, "spent")? };
        let granted = Self { id, mandate, counted, revoked: fields.bool(4, "revoked")?, now: fields.item(5, "time")? };
        fields.close()?;
        Ok(granted)
    }
}

#[cfg(test)]
mod tests;

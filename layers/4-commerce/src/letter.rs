//! Certified mail: a sealed letter for a signed receipt, from one sender to one recipient or several.
//!
//! The words are in `services/mail/`, one file per language. The letter is a container; its ciphertext travels with the proposal, so that
//! nothing has to be fetched before the receipt is promised. With several recipients there is one contract, in which each recipient has a
//! part of its own: the same letter, its key wrapped once for each.
//!
//! Source: `spec/mail.md`.

use std::collections::BTreeMap;

use semper_core::cbor::{Decode, DecodeError, Encode};
use semper_core::container::{Container, Information};
use semper_core::contract::{Core, Item, ItemKind, PARTIES_MAX, Profile, Terms};
use semper_core::document::{Document, DocumentError, FieldValue};
use semper_core::hash::Digest;
use semper_core::ids::Slot;
use semper_core::party::Role;
use semper_core::template::{FieldKind, Template};
use semper_core::time::Time;
use semper_exchange::goods::{Article, ArticleKey, Deposit, Descriptor, Sealed, Seed, TooLarge};
use semper_exchange::gx::responder;
use semper_exchange::planner::{DatesError, Impossible, check_dates, plan_of};
use semper_support::crypto::{CryptoError, Encapsulate};

use crate::proposal::{Agreement, Proposal};
use crate::terms::{Arbiter, Named, arbiter, deadlines, pair, parties};
use crate::words::{self, required, text, texts};

/// The name of the template.
pub const TEMPLATE: &str = "mail";
/// Most recipients of one letter.
pub const RECIPIENTS_MAX: usize = PARTIES_MAX - 1;
/// Most bytes that one letter to several recipients has in all its copies.
pub const COPIES_MAX: usize = 4 * semper_exchange::goods::SEALED_MAX;
/// The ciphertext of a letter, which travels with its contract.
pub(crate) const MEDIA_SEALED: &str = "application/vnd.semper.sealed";
/// What a letter is called in its contract: what its files are called shows when it is open.
const NAME: &str = "letter";
/// What it is.
const MEDIA: &str = "application/vnd.semper.container";

/// A letter that is to be sent.
pub struct Letter<'a> {
    /// The sender.
    pub sender: Named,
    /// The recipients, each with the seed of its deposit: random, for this letter and recipient only.
    pub recipients: Vec<(Named, Seed)>,
    /// Who decides if something goes wrong.
    pub arbiter: &'a Arbiter,
    /// What the sender calls the arbiter.
    pub arbiter_name: String,
    /// What is in it.
    pub contents: &'a Container,
    /// A random key, for this letter only.
    pub key: &'a ArticleKey,
    /// What the recipients see of it before they sign; nothing if empty.
    pub subject: String,
    /// The present time.
    pub now: Time,
    /// Until when the arbiter takes a first request.
    pub closes: Time,
    /// The language in which the contract is shown, one of [`words::LOCALES`].
    pub locale: String,
    /// Random bytes that make the contract unique.
    pub nonce: [u8; 32],
}

/// Why a letter cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LetterError {
    /// Nobody is to get it, or too many.
    #[error("a letter has 1 to {RECIPIENTS_MAX} recipients")]
    Recipients,
    /// Somebody is named twice, or is the sender.
    #[error("a recipient is named twice, or is the sender")]
    Twice,
    /// It is too large.
    #[error("a letter holds at most {} bytes", semper_exchange::goods::SEALED_MAX)]
    Size(#[from] TooLarge),
    /// It is too large for so many recipients.
    #[error("a letter and its copies hold at most {COPIES_MAX} bytes together")]
    Copies,
    /// A field does not fit the template.
    #[error("the contract cannot be written: {0}")]
    Document(#[from] DocumentError),
    /// A part of the contract breaks its rule.
    #[error("the contract cannot be written: {0}")]
    Malformed(#[from] DecodeError),
    /// There is too little time.
    #[error("the contract's dates cannot be kept: {0}")]
    Dates(#[from] DatesError),
    /// The exchange would not be fair.
    #[error("this cannot be exchanged fairly: {0}")]
    Unfair(#[from] Impossible),
    /// The arbiter's key or a seed is malformed.
    #[error("the letter's key cannot be deposited: {0}")]
    Deposit(#[from] CryptoError),
}

impl Letter<'_> {
    /// The proposal of the contract, for all recipients; each gets it in a container with a nonce of its own.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn propose(&self, kem: &dyn Encapsulate, nonce: [u8; 16]) -> Result<Proposal, LetterError> {
        if self.recipients.is_empty() || self.recipients.len() > RECIPIENTS_MAX {
            return Err(LetterError::Recipients);
        }
        let mut keys: Vec<_> = self.recipients.iter().map(|(named, _)| named.key_set).collect();
        keys.push(self.sender.key_set);
        keys.sort_unstable();
        keys.dedup();
        if keys.len() != self.recipients.len() + 1 {
            return Err(LetterError::Twice);
        }
        let contents = self.contents.to_bytes();
        if contents.len().saturating_mul(self.recipients.len()) > COPIES_MAX {
            return Err(LetterError::Copies);
        }
        let (article, sealed) = Sealed::seal(&contents, self.key.clone())?;
        let letter = describe(&article, &self.subject)?;
        let deadlines = deadlines(self.closes);
        check_dates(&deadlines, self.now)?;
        let template = template();
        let document = self.document(&template, &letter);
        let senders = [self.sender.key_set].into_iter();
        let slots = (0..).map(Slot).take(self.recipients.len());
        let terms = Terms {
            profile: Profile::Gx,
            parties: parties(senders.chain(self.recipients.iter().map(|(named, _)| named.key_set))),
            arbiter: Some(self.arbiter.reference()),
            items: slots.flat_map(|slot| exchanged(slot, &letter)).collect(),
            deadlines,
            text: document.text_ref(&template)?,
            links: Vec::new(),
            nonce: self.nonce,
        };
        let mut core = Core { terms, deposits: BTreeMap::new() };
        plan_of(&core)?;
        let tid = core.tid();
        for (slot, (_, seed)) in (0..).map(Slot).zip(&self.recipients) {
            let deposit =
                Deposit::make(kem, &self.arbiter.deposit_key, seed, (tid, slot), self.key, article.cipher_root)?;
            core.deposits.insert(slot, deposit.to_bytes());
        }
        let files = vec![enclosure(sealed.to_bytes())?];
        Ok(Proposal { agreement: Agreement { core, document, template }, files, nonce })
    }

    fn document(&self, template: &Template, letter: &Descriptor) -> Document {
        let facts = [
            ("sender_name", text(&self.sender.name)),
            ("sender", FieldValue::Party(self.sender.key_set)),
            ("recipients", words::parties(self.recipients.iter().map(|(named, _)| named))),
            ("arbiter_name", text(&self.arbiter_name)),
        ];
        let facts = facts.into_iter().chain(words::arbiter_facts(self.arbiter.key_set, self.closes));
        words::fill(template, &self.locale, facts.chain(words::bytes_facts(letter)).chain(subject(letter)))
    }
}

/// A letter as its contract describes it. `subject` shows before it is open.
///
/// # Errors
/// The subject is too long.
pub(crate) fn describe(letter: &Article, subject: &str) -> Result<Descriptor, DecodeError> {
    Descriptor::new(NAME, MEDIA, letter.size, letter.plain_root, subject)
}

/// Whether a contract describes this as a letter.
pub(crate) fn is_letter(described: &Descriptor) -> bool {
    described.name() == NAME && described.media_type() == MEDIA
}

/// A sealed letter as a file of a proposal.
///
/// # Errors
/// It is too large.
pub(crate) fn enclosure(sealed: Vec<u8>) -> Result<Information, DecodeError> {
    Information::new("letter.sealed", MEDIA_SEALED, sealed)
}

/// Whether what travels with a contract is the letter that it describes, with the root over its ciphertext.
pub(crate) fn is_of(sealed: &[u8], described: Option<(Descriptor, Digest)>) -> bool {
    let sealed = Sealed::from_bytes(sealed).ok();
    sealed.zip(described).is_some_and(|(sealed, (letter, root))| sealed.is_of(&letter, root))
}

fn subject(letter: &Descriptor) -> Option<words::Fact> {
    words::unless_empty("subject", letter.text(), FieldValue::Text)
}

/// What a part of the contract exchanges.
fn exchanged(slot: Slot, letter: &Descriptor) -> [Item; 2] {
    let item = |kind, owner, recipient, descriptor| Item { kind, owner, recipient, descriptor, slot };
    let (sender, recipient) = (Role::ORIGINATOR, responder(slot));
    [
        item(ItemKind::Information, sender, recipient, letter.to_bytes()),
        item(ItemKind::Signature, recipient, sender, Vec::new()),
    ]
}

/// The template of certified mail.
pub fn template() -> Template {
    let mut fields = vec![
        required("sender_name", FieldKind::Text, "sender", "Absender"),
        required("sender", FieldKind::Party, "sender's key", "Schlüssel des Absenders"),
        words::parties_field("recipients", "recipients", "Empfänger"),
    ];
    fields.extend(words::bytes_fields());
    fields.push(words::optional("subject", FieldKind::Text, "Subject", "Betreff"));
    fields.extend(words::arbiter_fields());
    words::template(TEMPLATE, fields, texts!("mail"))
}

/// What the text of certified mail says must be what its core says, and every recipient must get the same letter.
///
/// # Errors
/// The field that differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    let terms = &agreement.core.terms;
    let document = &agreement.document;
    let (letter, _) = sealed_as(&agreement.core).ok_or("letter")?;
    let all = (0..).map(Slot).take(terms.parties.len() - 1).flat_map(|slot| exchanged(slot, &letter));
    if terms.profile != Profile::Gx || !all.eq(terms.items.iter().cloned()) || terms.deadlines.complaints.is_some() {
        return Err("items");
    }
    let [sender, _] = pair(&agreement.core)?;
    words::agree(document, [("sender", FieldValue::Party(sender))])?;
    words::agree_on(document, "recipients", &terms.parties[1..])?;
    words::agree(document, words::bytes_facts(&letter))?;
    if document.fields.get("subject") != subject(&letter).map(|(_, said)| said).as_ref() {
        return Err("subject");
    }
    words::agree(document, words::arbiter_facts(arbiter(&agreement.core)?, terms.deadlines.not_after))?;
    plan_of(&agreement.core).map(drop).map_err(|_| "plan")
}

/// The letter and the root of its ciphertext, if all recipients get the same.
fn sealed_as(core: &Core) -> Option<(Descriptor, Digest)> {
    let letter = Descriptor::from_bytes(&core.terms.items.first()?.descriptor).ok()?;
    let roots: Option<Vec<_>> =
        core.deposits.values().map(|deposit| Some(Deposit::from_bytes(deposit).ok()?.cipher_root)).collect();
    let (first, others) = roots?.split_first().map(|(first, others)| (*first, others.to_vec()))?;
    (is_letter(&letter) && others.iter().all(|other| *other == first)).then_some((letter, first))
}

/// Whether what travels with a proposal is the letter that its contract describes.
pub(crate) fn is_enclosed(core: &Core, sealed: &[u8]) -> bool {
    is_of(sealed, sealed_as(core))
}

/// What a letter is called on the screen, if the contract is one over a letter.
pub fn title(agreement: &Agreement) -> Option<String> {
    let of_mail = agreement.template.name() == TEMPLATE;
    let subject = sealed_as(&agreement.core).filter(|_| of_mail)?.0.text().to_owned();
    Some(if subject.is_empty() { "a sealed letter".to_owned() } else { semper_core::text::escape(&subject, 0) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fixtures::{NOW, Open, arbiter, named};
    use crate::proposal::ProposalError;

    fn written(recipients: &[(&str, u8)], subject: &str) -> Result<Proposal, LetterError> {
        let contents = Container::message([3; 16], "the lease ends", Default::default()).unwrap();
        let letter = Letter {
            sender: named("Alice", 1),
            recipients: recipients
                .iter()
                .map(|(name, byte)| (named(name, *byte), Seed::new(vec![*byte; 32])))
                .collect(),
            arbiter: &arbiter(),
            arbiter_name: "Ann".to_owned(),
            contents: &contents,
            key: &ArticleKey::from_array([4; ArticleKey::LEN]),
            subject: subject.to_owned(),
            now: NOW,
            closes: Time::from_unix(2_000_000),
            locale: "en".to_owned(),
            nonce: [6; 32],
        };
        letter.propose(&Open, [7; 16])
    }

    #[test]
    fn all_recipients_get_one_contract_and_the_letter() {
        let proposal = written(&[("Bob", 2), ("Carol", 3)], "your lease").unwrap();
        let read = Proposal::from_container(&proposal.to_container().unwrap()).unwrap();
        assert_eq!(read, proposal);
        assert_eq!(title(&read.agreement).as_deref(), Some("your lease"));
        let deposit = |slot| Deposit::from_bytes(&read.agreement.core.deposits[&Slot(slot)]).unwrap();
        assert_ne!(deposit(0).wrapped, deposit(1).wrapped);
        let text = read.agreement.text().unwrap();
        assert!(text.contains("Bob") && text.contains("Carol") && text.contains("your lease"), "{text}");
    }

    #[test]
    fn nobody_is_named_twice() {
        for (recipients, error) in [
            (&[][..], LetterError::Recipients),
            (&[("Bob", 2), ("Bob", 2)], LetterError::Twice),
            (&[("Alice", 1)], LetterError::Twice),
        ] {
            assert_eq!(written(recipients, "").map(drop), Err(error));
        }
    }

    // A recipient who signs for a letter that is not enclosed, or for one that only others get, signs for nothing.
    #[test]
    fn a_letter_that_is_not_the_one_of_the_contract_is_refused() {
        let good = written(&[("Bob", 2), ("Carol", 3)], "").unwrap();
        let read = |proposal: &Proposal| Proposal::from_container(&proposal.to_container().unwrap()).map(drop);
        let mut without = good.clone();
        without.files.clear();
        let mut twice = good.clone();
        twice.files.push(twice.files[0].clone());
        let (_, foreign) = Sealed::seal(b"something else", ArticleKey::from_array([4; ArticleKey::LEN])).unwrap();
        let mut other = good.clone();
        other.files = vec![enclosure(foreign.to_bytes()).unwrap()];
        for wrong in [&without, &twice, &other] {
            assert_eq!(read(wrong), Err(ProposalError::Parts("letter")));
        }
        assert_eq!(read(&good), Ok(()));
        let mut parts = good.agreement.clone();
        parts.core.terms.items.swap(0, 2);
        assert_eq!(check(&parts), Err("items"));
        let mut roots = good.agreement;
        let mut deposit = Deposit::from_bytes(&roots.core.deposits[&Slot(1)]).unwrap();
        deposit.cipher_root = Digest::from_array([0; 32]);
        roots.core.deposits.insert(Slot(1), deposit.to_bytes());
        assert_eq!(check(&roots), Err("letter"));
    }
}

//! Certified mail: a sealed letter for a signed receipt, from one sender to one recipient or several.
//!
//! The words are in `services/mail/`, one file per language. The letter is a container; its ciphertext travels with the proposal, so that
//! nothing has to be fetched before the receipt is promised. With several recipients there is one contract, in which each recipient has a
//! part of its own: the same letter, its key wrapped once for each.
//!
//! Source: `spec/mail.md`.

use std::collections::BTreeMap;

use semper_core::cbor::{Decode, Encode};
use semper_core::container::{Container, Information};
use semper_core::contract::{ArbiterRef, Core, Deadlines, Item, ItemKind, PARTIES_MAX, PartyRef, Profile, Terms};
use semper_core::document::{Document, DocumentError, FieldValue, Row};
use semper_core::hash::Digest;
use semper_core::ids::Slot;
use semper_core::party::Role;
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::time::Time;
use semper_exchange::goods::{ArticleKey, Deposit, Descriptor, Sealed, Seed, TooLarge};
use semper_exchange::gx::responder;
use semper_exchange::planner::{DatesError, Impossible, check_dates, plan_of};
use semper_support::crypto::{CryptoError, Encapsulate};

use crate::contract_file::{DELTA, Named, SIGMA};
use crate::proposal::{Agreement, MEDIA_SEALED, Proposal};
use crate::purchase::Arbiter;

/// The languages in which the contract can be shown.
pub const LOCALES: [&str; 2] = ["en", "de"];
/// The name of the template.
pub const TEMPLATE: &str = "mail";
/// Most recipients of one letter.
pub const RECIPIENTS_MAX: usize = PARTIES_MAX - 1;
/// Most bytes that one letter to several recipients has in all its copies.
pub const COPIES_MAX: usize = 4 * semper_exchange::goods::SEALED_MAX;
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
    /// The language in which the contract is shown, one of [`LOCALES`].
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
    Malformed(#[from] semper_core::cbor::DecodeError),
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
        let letter = Descriptor::new(NAME, MEDIA, article.size, article.plain_root, &self.subject)?;
        let deadlines =
            Deadlines { not_after: self.closes, complaints: None, refund_after: None, delta: DELTA, sigma: SIGMA };
        check_dates(&deadlines, self.now)?;
        let template = template();
        let document = self.document(&template, &letter);
        let party = |role, named: &Named| PartyRef { role, key_set: named.key_set };
        let mut parties = vec![party(Role::ORIGINATOR, &self.sender)];
        let mut items = Vec::new();
        for (slot, (recipient, _)) in (0..).map(Slot).zip(&self.recipients) {
            parties.push(party(responder(slot), recipient));
            items.extend(exchanged(slot, &letter));
        }
        let terms = Terms {
            profile: Profile::Gx,
            parties,
            arbiter: ArbiterRef {
                key_set: self.arbiter.key_set,
                deposit_key: Some(self.arbiter.deposit_key.id()),
                log: self.arbiter.log,
                rules: self.arbiter.rules,
            },
            items,
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
        let files = vec![Information::new("letter.sealed", MEDIA_SEALED, sealed.to_bytes())?];
        Ok(Proposal { agreement: Agreement { core, document, template }, files, nonce })
    }

    fn document(&self, template: &Template, letter: &Descriptor) -> Document {
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let row = |named: &Named| {
            Row::from([("name".to_owned(), text(&named.name)), ("key".to_owned(), FieldValue::Party(named.key_set))])
        };
        let recipients = self.recipients.iter().map(|(named, _)| row(named)).collect();
        let document = Document::new(template, self.locale.as_str())
            .with("sender_name", text(&self.sender.name))
            .with("sender", FieldValue::Party(self.sender.key_set))
            .with("recipients", FieldValue::Table(recipients))
            .with("arbiter_name", text(&self.arbiter_name))
            .with("arbiter", FieldValue::Party(self.arbiter.key_set))
            .with("size", FieldValue::Uint(letter.size().bytes()))
            .with("hash", FieldValue::Digest(letter.plain_root()))
            .with("closes", FieldValue::Time(self.closes));
        if self.subject.is_empty() { document } else { document.with("subject", text(&self.subject)) }
    }
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
    let required = |name, kind, en, de| FieldDef::required(name, kind).label("en", en).label("de", de);
    let optional = |name, kind, en, de| FieldDef::optional(name, kind).label("en", en).label("de", de);
    let columns =
        vec![required("name", FieldKind::Text, "name", "Name"), required("key", FieldKind::Party, "key", "Schlüssel")];
    let fields = vec![
        required("sender_name", FieldKind::Text, "sender", "Absender"),
        required("sender", FieldKind::Party, "sender's key", "Schlüssel des Absenders"),
        required("recipients", FieldKind::Table(columns), "recipients", "Empfänger"),
        required("size", FieldKind::Uint, "size in bytes", "Größe in Bytes"),
        required("hash", FieldKind::Digest, "hash", "Hash"),
        optional("subject", FieldKind::Text, "Subject", "Betreff"),
        required("arbiter_name", FieldKind::Text, "arbiter", "Schiedsrichter"),
        required("arbiter", FieldKind::Party, "arbiter's key", "Schlüssel des Schiedsrichters"),
        required(
            "closes",
            FieldKind::Time,
            "the arbiter can be asked until",
            "der Schiedsrichter kann angerufen werden bis",
        ),
    ];
    let texts =
        [("en", include_str!("../../../services/mail/en.txt")), ("de", include_str!("../../../services/mail/de.txt"))];
    let texts = texts.map(|(locale, text)| (locale.to_owned(), text.to_owned())).into();
    Template::new(TEMPLATE, 1, fields, texts).expect("the shipped template passes its own test")
}

/// What the text of certified mail says must be what its core says, and every recipient must get the same letter.
///
/// # Errors
/// The field that differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    let terms = &agreement.core.terms;
    let field = |name: &str| agreement.document.fields.get(name);
    let same = |name, expected: Option<FieldValue>| if field(name) == expected.as_ref() { Ok(()) } else { Err(name) };
    let (letter, _) = sealed_as(&agreement.core).ok_or("letter")?;
    let recipients = terms.parties.len() - 1;
    let all = (0_u16..).map(Slot).take(recipients).flat_map(|slot| exchanged(slot, &letter));
    if terms.profile != Profile::Gx || !all.eq(terms.items.iter().cloned()) || terms.deadlines.complaints.is_some() {
        return Err("items");
    }
    same("sender", agreement.core.party(Role::ORIGINATOR).map(FieldValue::Party))?;
    let Some(FieldValue::Table(rows)) = field("recipients") else { return Err("recipients") };
    let named = rows.iter().map(|row| row.get("key").cloned());
    if !named.eq(terms.parties.iter().skip(1).map(|party| Some(FieldValue::Party(party.key_set)))) {
        return Err("recipients");
    }
    same("size", Some(FieldValue::Uint(letter.size().bytes())))?;
    same("hash", Some(FieldValue::Digest(letter.plain_root())))?;
    same("subject", Some(letter.text()).filter(|text| !text.is_empty()).map(|text| FieldValue::Text(text.to_owned())))?;
    same("arbiter", Some(FieldValue::Party(terms.arbiter.key_set)))?;
    same("closes", Some(FieldValue::Time(terms.deadlines.not_after)))?;
    plan_of(&agreement.core).map(drop).map_err(|_| "plan")
}

/// The letter and the root of its ciphertext, if all recipients get the same.
fn sealed_as(core: &Core) -> Option<(Descriptor, Digest)> {
    let letter = Descriptor::from_bytes(&core.terms.items.first()?.descriptor).ok()?;
    let roots: Option<Vec<_>> =
        core.deposits.values().map(|deposit| Some(Deposit::from_bytes(deposit).ok()?.cipher_root)).collect();
    let (first, others) = roots?.split_first().map(|(first, others)| (*first, others.to_vec()))?;
    (letter.name() == NAME && letter.media_type() == MEDIA && others.iter().all(|other| *other == first))
        .then_some((letter, first))
}

/// Whether what travels with a proposal is the letter that its contract describes.
pub(crate) fn is_enclosed(core: &Core, sealed: &[u8]) -> bool {
    let sealed = Sealed::from_bytes(sealed).ok();
    sealed.zip(sealed_as(core)).is_some_and(|(sealed, (letter, root))| sealed.is_of(&letter, root))
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

    use semper_core::ids::KeySetId;
    use semper_exchange::goods::DepositKey;
    use semper_support::crypto::{KemSuite, Secret};

    use super::*;
    use crate::proposal::ProposalError;

    const NOW: Time = Time::from_unix(1_000_000);

    /// Hides nothing; enough to see what goes where.
    struct Open;

    impl Encapsulate for Open {
        fn seed_len(&self, _: KemSuite) -> usize {
            32
        }

        fn encapsulate(&self, _: KemSuite, _: &[u8], seed: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
            Ok((seed.to_vec(), Secret::new(seed.to_vec())))
        }

        fn can_be_opened(&self, _: KemSuite, _: &[u8]) -> bool {
            true
        }
    }

    fn named(name: &str, byte: u8) -> Named {
        Named { name: name.to_owned(), key_set: KeySetId::from_digest(Digest::from_array([byte; 32])) }
    }

    fn written(recipients: &[(&str, u8)], subject: &str) -> Result<Proposal, LetterError> {
        let deposit_key = DepositKey { suite: KemSuite::X25519, public_key: vec![1; 32] };
        let key_set = named("", 9).key_set;
        let rules = Digest::from_array([5; 32]);
        let arbiter = Arbiter { key_set, log: key_set, rules, deposit_key, lock_key: Vec::new() };
        let contents = Container::message([3; 16], "the lease ends", Default::default()).unwrap();
        let letter = Letter {
            sender: named("Alice", 1),
            recipients: recipients
                .iter()
                .map(|(name, byte)| (named(name, *byte), Seed::new(vec![*byte; 32])))
                .collect(),
            arbiter: &arbiter,
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
        other.files = vec![Information::new("letter.sealed", MEDIA_SEALED, foreign.to_bytes()).unwrap()];
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

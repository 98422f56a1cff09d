//! From a folder to a report.

use std::collections::{BTreeMap, BTreeSet};

use semper_core::cbor::{Decode, DecodeError, Encode, Problem};
use semper_core::container::{Ack, Container, ContainerStatement, Disposition, Leaf, information_hash};
use semper_core::contract::{Core, Final, ItemKind, Profile, Promise, Quittance};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::document::Document;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, DealId, KeySetId, Slot, StatementId, TemplateId};
use semper_core::imprint::Imprint;
use semper_core::party::{KeySet, Role};
use semper_core::signature::{Verify, verify as verify_statement};
use semper_core::template::Template;
use semper_support::crypto::Encapsulate;
use semper_support::engine::EvidenceKind;
use semper_support::stamp::{ReadStamps, Stamp};
use semper_support::submission::ReadSubmissions;
use semper_transfer::credential::{Credential, Reservation, Spend};
use semper_transfer::payment::Module;
use semper_transfer::payment::claim::{Claim, Finding as Judged, Proof};
use semper_transfer::payment::statement::{PaymentOrder, PaymentReceipt, PaymentRequest, Side};

use super::fact::{self, Fact, Subject, What};
use super::report::{self, Finding, Payment, Receipt, Report, Stamped, Standing, Transfer};
use super::right::Said;
use super::{Folder, Item, many, notice};
use crate::arbiter::hands;
use crate::arbiter::log::LogReceipt;
use crate::arbiter::many::Ask;
use crate::arbiter::request::{Abort, Complaint, Inquiry, Resolve, Revocation, Settlement};
use crate::arbiter::verdict::{ClosedUnused, Closing, ClosingOutcome, Outcome, Verdict};
use crate::cn::{self, Round};
use crate::cover::{Cover, CoverFile};
use crate::goods::{
    ArticleKey, Deposit, DepositKey, Descriptor, Disclosure, KeyAttestation, Pom, Sealed, plain_roots, preimage_hash,
};
use crate::gx::{self, Leg, responder as responder_of};
use crate::lx;

/// Most time-stamps that are read of one case: each costs the check of several signatures.
const STAMPS_MAX: usize = 256;

/// Concludes what a folder proves. The same folder gives the same report, on every machine and at every time.
///
/// `systems` are the payment systems whose proofs can be judged; the proof of another one is a finding. Time-stamps and submissions are left out of
/// account.
pub fn verify(verifier: &dyn Verify, systems: &[&dyn Module], folder: &Folder) -> Report {
    let checks = Checks { verify: verifier, kem: None, systems, stamps: None, submissions: None };
    examine(&checks, folder.deal, &folder.items)
}

/// With what folders are checked.
#[derive(Clone, Copy)]
pub struct Checks<'a> {
    /// Checks signatures.
    pub verify: &'a dyn Verify,
    /// Makes deposits again. `None`: what rests on them is not known.
    pub kem: Option<&'a dyn Encapsulate>,
    /// The payment systems whose proofs can be judged; the proof of another one is a finding.
    pub systems: &'a [&'a dyn Module],
    /// Reads time-stamps. `None`: they are left out of account.
    pub stamps: Option<&'a dyn ReadStamps>,
    /// Reads proofs of submission. `None`: they are left out of account.
    pub submissions: Option<&'a dyn ReadSubmissions>,
}

/// Concludes what items of one deal prove, whoever has kept them. [`verify`] is this for one folder.
pub fn examine<'a>(checks: &Checks<'_>, deal: DealId, items: impl IntoIterator<Item = &'a Item>) -> Report {
    let (verifier, systems) = (checks.verify, checks.systems);
    let mut pool = Pool::default();
    for (index, item) in items.into_iter().enumerate() {
        pool.take(index, item);
    }
    pool.check_signatures(verifier);
    let stamps = checks.stamps.map(|reader| pool.read_stamps(reader)).unwrap_or_default();
    if let Some(reader) = checks.submissions {
        pool.read_submissions(verifier, reader, deal);
    }
    let cores: Vec<_> = pool.cores.values().cloned().collect();
    for core in &cores {
        let facts = fact::of_contract(checks, &mut pool, core);
        pool.facts.extend(facts);
    }
    let contracts: Vec<_> =
        pool.cores.clone().into_values().flat_map(|core| contract(verifier, &mut pool, &core)).collect();
    let (facts, notices) = notice::told(&mut pool, &cores, deal);
    pool.facts.extend(facts);
    let transfers: Vec<_> =
        pool.containers.clone().into_iter().map(|container| transfer(&mut pool, &container)).collect();
    let payments = payments(verifier, systems, &mut pool);
    let strays = pool.statements.keys().filter(|id| !pool.used.contains(*id)).copied();
    let strays = strays.map(|statement| Finding::StrayStatement { statement });
    let named: BTreeSet<_> = contracts.iter().flat_map(|c| c.files.iter().map(|(file, _)| *file)).collect();
    let stray_files =
        pool.files.keys().filter(|file| !named.contains(file)).map(|file| Finding::StrayFile { file: *file });
    let letters = pool.sealed.iter().map(Sealed::cipher_root).filter(|root| !pool.fitting.contains(root));
    let stray_files = stray_files.chain(letters.map(|file| Finding::StrayFile { file }));
    let unfit = pool.receipts.iter().map(|(item, _)| Finding::LogReceipt { item: *item });
    let hashes: BTreeSet<_> = cores.iter().filter_map(fact::hash_of).collect();
    let stray_preimages = pool.kept_preimages.iter().filter(|(_, hash)| !hashes.contains(hash));
    let unfit = unfit.chain(stray_preimages.map(|(item, _)| Finding::StrayPreimage { item: *item }));
    let findings = pool.findings.into_iter().chain(unfit).chain(strays).chain(stray_files).collect();
    let handed =
        pool.submitted.iter().filter_map(|submission| Some((submission.handed.as_ref()?, submission.recipient)));
    let handed = handed.flat_map(|(handed, recipient)| {
        let [receipt, card] = handed.suites;
        [(handed.receipt, (receipt, handed.agent)), (handed.card, (card, recipient))]
    });
    let said = pool.statements.iter().map(|(id, signed)| (*id, (signed.suite(), signed.signer())));
    let signed = said.chain(handed).collect();
    let submissions = pool.submitted;
    let key_sets = pool.key_sets.into_values().collect();
    let facts = pool.facts.into_iter().collect();
    Report { deal, contracts, notices, transfers, payments, stamps, submissions, signed, key_sets, findings, facts }
}

/// What a folder holds, sorted; statements only if their signatures are good.
#[derive(Default)]
pub(super) struct Pool {
    cores: BTreeMap<Cid, Core>,
    documents: Vec<Document>,
    templates: BTreeMap<TemplateId, Template>,
    pub(super) key_sets: BTreeMap<KeySetId, KeySet>,
    claimed: Vec<(usize, Signed)>,
    pub(super) statements: BTreeMap<StatementId, Signed>,
    pub(super) used: BTreeSet<StatementId>,
    /// What opens covers.
    pub(super) openings: BTreeMap<StatementId, [u8; 32]>,
    pub(super) containers: Vec<Container>,
    files: BTreeMap<Digest, usize>,
    sealed: Vec<Sealed>,
    keys: Vec<ArticleKey>,
    /// Cipher roots of what belongs to a contract.
    fitting: BTreeSet<Digest>,
    pub(super) receipts: Vec<(usize, LogReceipt)>,
    proofs: Vec<(usize, Proof)>,
    pub(super) deposit_keys: BTreeMap<Digest, DepositKey>,
    pub(super) proofs_of_misbehaviour: Vec<Pom>,
    pub(super) redemptions: Vec<Vec<u8>>,
    /// By their hashes, also those that a peer said out of place.
    preimages: BTreeMap<[u8; 32], [u8; 32]>,
    /// The hashes of those that were kept as evidence.
    kept_preimages: Vec<(usize, [u8; 32])>,
    tokens: Vec<(usize, Vec<u8>)>,
    certificates: Vec<Vec<u8>>,
    pub(super) submissions: Vec<(usize, Vec<u8>)>,
    /// Receipts of inboxes and relays, signed; whose they have to be, a submission says.
    pub(super) inbox_receipts: Vec<Vec<u8>>,
    pub(super) submitted: Vec<report::HandedIn>,
    /// What a time-stamp of each well-signed statement would be about. A statement that its signer has signed twice stands here twice.
    imprints: BTreeMap<Imprint, StatementId>,
    facts: BTreeSet<Fact>,
    pub(super) findings: Vec<Finding>,
    /// Verdicts that do not follow from what they rest on.
    pub(super) wrong: BTreeSet<StatementId>,
}

impl Pool {
    fn take(&mut self, index: usize, item: &Item) {
        if let Err(error) = self.sort(index, item) {
            self.findings.push(Finding::Unreadable { item: index, kind: item.kind, reason: error.to_string() });
        }
    }

    fn sort(&mut self, index: usize, item: &Item) -> Result<(), DecodeError> {
        let bytes = &item.bytes;
        match item.kind {
            EvidenceKind::Core => {
                let core = Core::from_bytes(bytes)?;
                self.cores.insert(core.cid(), core);
            }
            EvidenceKind::Document => self.documents.push(Document::from_bytes(bytes)?),
            EvidenceKind::Template => {
                let template = Template::from_bytes(bytes)?;
                self.templates.insert(template.id(), template);
            }
            EvidenceKind::KeySet => {
                let key_set = KeySet::from_bytes(bytes)?;
                self.key_sets.insert(key_set.id(), key_set);
            }
            EvidenceKind::Statement => self.claimed.push((index, Signed::from_bytes(bytes)?)),
            // A late final is still a final.
            EvidenceKind::Late => match gx::Message::from_bytes(bytes) {
                Ok(gx::Message::Promise(promised)) => self.claimed.push((index, promised.promise)),
                Ok(gx::Message::Final(completed)) => self.claimed.push((index, completed.completion)),
                Ok(gx::Message::Decline(_) | gx::Message::Quittance(_)) => {}
                // A late signature on a round is one as well, and a late preimage opens what it opens.
                Err(_) => {
                    if let Ok(cn::Message::Round(signed)) = cn::Message::from_bytes(bytes) {
                        self.claimed.push((index, signed));
                    }
                    if let Ok(lx::Message::Preimage(preimage)) = lx::Message::from_bytes(bytes) {
                        self.preimages.insert(preimage_hash(&preimage), preimage);
                    }
                }
            },
            EvidenceKind::Container => {
                let container = Container::from_bytes(bytes)?;
                if !self.containers.iter().any(|have| have.id() == container.id()) {
                    self.containers.push(container);
                }
            }
            EvidenceKind::Attachment => {
                self.files.insert(information_hash(bytes), bytes.len());
            }
            EvidenceKind::Sealed => {
                let sealed = Sealed::from_bytes(bytes)?;
                if !self.sealed.contains(&sealed) {
                    self.sealed.push(sealed);
                }
            }
            EvidenceKind::Key => {
                let wrong = |_| DecodeError::field("key", Problem::OutOfRange("32 bytes"));
                self.keys.push(ArticleKey::from_array(bytes.as_slice().try_into().map_err(wrong)?));
            }
            EvidenceKind::Preimage => {
                let wrong = |_| DecodeError::field("preimage", Problem::OutOfRange("32 bytes"));
                let preimage: [u8; 32] = bytes.as_slice().try_into().map_err(wrong)?;
                let hash = preimage_hash(&preimage);
                self.preimages.insert(hash, preimage);
                self.kept_preimages.push((index, hash));
            }
            EvidenceKind::LogReceipt => self.receipts.push((index, LogReceipt::from_bytes(bytes)?)),
            EvidenceKind::Payment => self.proofs.push((index, Proof::from_bytes(bytes)?)),
            // Checked by whoever knows the authorities: not part of what the parties said.
            EvidenceKind::Certificate => self.certificates.push(bytes.clone()),
            EvidenceKind::Receipt => self.inbox_receipts.push(bytes.clone()),
            EvidenceKind::Submission => self.submissions.push((index, bytes.clone())),
            EvidenceKind::Cover => {
                let CoverFile { guarantor, cover, opening } = CoverFile::from_bytes(bytes)?;
                self.key_sets.insert(guarantor.id(), guarantor);
                self.openings.insert(cover.id(), opening);
                self.claimed.push((index, cover));
            }
            EvidenceKind::TimeStamp => self.tokens.push((index, bytes.clone())),
            EvidenceKind::DepositKey => {
                let key = DepositKey::from_bytes(bytes)?;
                self.deposit_keys.insert(key.id(), key);
            }
            EvidenceKind::Redemption => self.redemptions.push(bytes.clone()),
            EvidenceKind::Misbehaviour => self.proofs_of_misbehaviour.push(Pom::from_bytes(bytes)?),
        }
        Ok(())
    }

    /// The proofs of payments.
    pub(super) fn proofs(&self) -> impl Iterator<Item = &Proof> {
        self.proofs.iter().map(|(_, proof)| proof)
    }

    /// The preimage of a hash.
    pub(super) fn preimage_of(&self, hash: [u8; 32]) -> Option<[u8; 32]> {
        self.preimages.get(&hash).copied()
    }

    fn check_signatures(&mut self, verifier: &dyn Verify) {
        for (item, signed) in std::mem::take(&mut self.claimed) {
            if self.is_of_a_payment_system(&signed) {
                continue;
            }
            match self.signature_problem(verifier, &signed) {
                None => {
                    self.imprints.insert(signed.imprint(), signed.id());
                    self.statements.insert(signed.id(), signed);
                }
                Some(reason) => self.findings.push(Finding::NotSigned { item, reason }),
            }
        }
    }

    /// What was dated. A token that does not hold, or that dates nothing here, is a finding.
    fn read_stamps(&mut self, reader: &dyn ReadStamps) -> Vec<Stamped> {
        let mut stamps = Vec::new();
        for (item, token) in std::mem::take(&mut self.tokens) {
            let read = if stamps.len() < STAMPS_MAX {
                reader.read(&token, &self.certificates)
            } else {
                Err(format!("at most {STAMPS_MAX} are read"))
            };
            let reason = match read {
                Ok(Stamp { imprint, before, name, vouchers }) => match self.imprints.get(&imprint) {
                    Some(statement) => {
                        let signed = &self.statements[statement];
                        let (kind, signer) = (signed.kind(), signed.signer());
                        let token = Digest::of(domain::PROOF, &token);
                        stamps.push(Stamped { statement: *statement, kind, signer, before, name, vouchers, token });
                        continue;
                    }
                    None => "it dates the signature of no statement in this folder".to_owned(),
                },
                Err(reason) => reason,
            };
            self.findings.push(Finding::TimeStamp { item, reason });
        }
        stamps.sort_unstable();
        stamps.dedup();
        stamps
    }

    /// What issuers say, and what is said to them under other keys than the parties': a payment system's proof holds what counts of it.
    fn is_of_a_payment_system(&self, signed: &Signed) -> bool {
        use Kind::{AccountRequest, AccountStatement, Authorisation, BankTerms, Booking, Release};
        match signed.kind() {
            AccountRequest | AccountStatement | Authorisation | BankTerms | Booking | Release => true,
            Kind::PaymentOrder => !self.key_sets.contains_key(&signed.signer()),
            _ => false,
        }
    }

    pub(super) fn signature_problem(&self, verifier: &dyn Verify, signed: &Signed) -> Option<String> {
        let Some(key_set) = self.key_sets.get(&signed.signer()) else {
            return Some(format!(
                "the key set {} that signed this {} is not in the folder",
                signed.signer(),
                signed.kind()
            ));
        };
        let result = match signed.kind() {
            Kind::Promise => verify_statement::<Promise>(verifier, key_set, signed).map(drop),
            Kind::Final => verify_statement::<Final>(verifier, key_set, signed).map(drop),
            Kind::Quittance => verify_statement::<Quittance>(verifier, key_set, signed).map(drop),
            Kind::Abort => verify_statement::<Abort>(verifier, key_set, signed).map(drop),
            Kind::Resolve => verify_statement::<Resolve>(verifier, key_set, signed).map(drop),
            Kind::Round => verify_statement::<Round>(verifier, key_set, signed).map(drop),
            Kind::Ask => verify_statement::<Ask>(verifier, key_set, signed).map(drop),
            Kind::Complaint => verify_statement::<Complaint>(verifier, key_set, signed).map(drop),
            Kind::Settlement => verify_statement::<Settlement>(verifier, key_set, signed).map(drop),
            Kind::Revocation => verify_statement::<Revocation>(verifier, key_set, signed).map(drop),
            Kind::Deposit => verify_statement::<hands::Deposit>(verifier, key_set, signed).map(drop),
            Kind::Inquiry => verify_statement::<Inquiry>(verifier, key_set, signed).map(drop),
            Kind::Closing => verify_statement::<Closing>(verifier, key_set, signed).map(drop),
            Kind::Disclosure => verify_statement::<Disclosure>(verifier, key_set, signed).map(drop),
            Kind::KeyAttestation => verify_statement::<KeyAttestation>(verifier, key_set, signed).map(drop),
            Kind::Verdict => verify_statement::<Verdict>(verifier, key_set, signed).map(drop),
            Kind::Status => verify_statement::<ClosedUnused>(verifier, key_set, signed).map(drop),
            Kind::Container => verify_statement::<ContainerStatement>(verifier, key_set, signed).map(drop),
            Kind::Ack => verify_statement::<Ack>(verifier, key_set, signed).map(drop),
            Kind::PaymentRequest => verify_statement::<PaymentRequest>(verifier, key_set, signed).map(drop),
            Kind::PaymentOrder => verify_statement::<PaymentOrder>(verifier, key_set, signed).map(drop),
            Kind::PaymentReceipt => verify_statement::<PaymentReceipt>(verifier, key_set, signed).map(drop),
            Kind::Credential => verify_statement::<Credential>(verifier, key_set, signed).map(drop),
            Kind::Reservation => verify_statement::<Reservation>(verifier, key_set, signed).map(drop),
            Kind::Spend => verify_statement::<Spend>(verifier, key_set, signed).map(drop),
            Kind::Cover => verify_statement::<Cover>(verifier, key_set, signed).map(drop),
            kind => return Some(format!("a {kind} proves nothing about a deal")),
        };
        result.err().map(|error| error.to_string())
    }

    /// All statements of one kind by one signer that `fits`, as (id, statement); they are marked as used.
    pub(super) fn said<T: Statement>(
        &mut self,
        signer: impl Into<Option<KeySetId>>,
        fits: impl Fn(&T) -> bool,
    ) -> Vec<(StatementId, T)> {
        let signer = signer.into();
        let candidates =
            self.statements.values().filter(|signed| signed.kind() == T::KIND && Some(signed.signer()) == signer);
        let said: Vec<_> = candidates
            .filter_map(|signed| Some((signed.id(), T::from_bytes(signed.payload()).ok()?)))
            .filter(|(_, statement)| fits(statement))
            .collect();
        self.used.extend(said.iter().map(|(id, _)| *id));
        said
    }
}

/// A contract as far as the folder shows it: one for each part of which it shows anything, else one for each part.
fn contract(verifier: &dyn Verify, pool: &mut Pool, core: &Core) -> Vec<report::Contract> {
    let cid = core.cid();
    let whole = gx::parts(core) == 1;
    let standings: Vec<_> =
        (0..gx::parts(core)).map(Slot).map(|part| (part, standing(pool, core, cid, part))).collect();
    let shown = |standing: &Standing| !matches!(standing, Standing::Open { promised: [_, false] });
    let any = standings.iter().any(|(_, standing)| shown(standing));
    let logged = logged(verifier, pool, core, cid);
    let (text, files) = text(pool, core, cid);
    let files: Vec<_> = files.into_iter().map(|file| (file, pool.files.get(&file).copied())).collect();
    let missing = files.iter().filter(|(_, size)| size.is_none());
    pool.findings.extend(missing.map(|(file, _)| Finding::MissingFile { cid, file: *file }));
    let contents = contents(pool, core);
    let passed = passed(pool, core);
    let right = Said::of(pool, core, cid);
    if right.as_ref().is_some_and(Said::excludes_itself) {
        pool.findings.push(Finding::UseGivenTwice { cid });
    }
    let right = right.as_ref().map(Said::shown);
    let of_part = |(part, standing)| {
        let (core, text, contents) = (core.clone(), text.clone(), contents.clone());
        let (right, passed) = (right.clone(), passed.clone());
        let logged = logged.iter().filter(|(of, _)| whole || *of == part).map(|(_, place)| *place).min();
        report::Contract { cid, part, core, text, standing, logged, files: files.clone(), contents, right, passed }
    };
    standings.into_iter().filter(|(_, standing)| !any || shown(standing)).map(of_part).collect()
}

/// The right that is passed on under a contract, and to whom its issuer says that it was.
fn passed(pool: &mut Pool, core: &Core) -> Option<report::PassedOn> {
    let Ok([Leg::Right(right), _]) = Leg::of(core) else { return None };
    let condition = right.request(core)?.condition;
    let holders = [Role::ORIGINATOR, Role::RESPONDER].map(|role| core.party(role));
    let said = pool.said(right.issuer, |credential: &Credential| credential.right == right.right);
    let is = |holder, fits: &dyn Fn(StatementId, &Credential) -> bool| {
        said.iter().any(|(id, credential)| Some(credential.holder) == holder && fits(*id, credential))
    };
    Some(report::PassedOn {
        right: right.right.clone(),
        issuer: right.issuer,
        offered: is(holders[0], &|id, _| id == right.credential),
        passed: is(holders[1], &|_, credential| credential.condition == condition),
        back: is(holders[0], &|id, credential| id != right.credential && credential.condition.is_none()),
    })
}

/// The files in a letter that a contract delivers, if the folder holds it and a key that opens it.
fn contents(pool: &mut Pool, core: &Core) -> Option<Vec<report::Enclosed>> {
    let item = core.terms.items.iter().find(|item| item.kind == ItemKind::Information)?;
    let goods = Descriptor::from_bytes(&item.descriptor).ok()?;
    let root = Deposit::from_bytes(core.deposits.get(&item.slot)?).ok()?.cipher_root;
    let sealed = pool.sealed.iter().find(|sealed| sealed.is_of(&goods, root))?;
    pool.fitting.insert(root);
    let plain = pool.keys.iter().find_map(|key| sealed.open(key))?;
    let container = Container::from_bytes(&plain).ok()?;
    let enclosed = container.leaves().into_iter().filter_map(|(_, leaf)| match leaf {
        Leaf::Information(file) => {
            Some(report::Enclosed { name: file.name().to_owned(), hash: file.hash(), size: file.bytes().len() })
        }
        Leaf::Statement(_) | Leaf::Credential(_) | Leaf::Money(_) => None,
    });
    Some(enclosed.collect())
}

fn standing(pool: &mut Pool, core: &Core, cid: Cid, part: Slot) -> Standing {
    if core.terms.profile == Profile::Cn {
        return many::standing(pool, core, cid);
    }
    let second_role = responder_of(part);
    let (Some(originator), Some(responder)) = (core.party(Role::ORIGINATOR), core.party(second_role)) else {
        return Standing::Open { promised: [false, false] };
    };
    let first = pool.said(originator, |p: &Promise| *p == Promise { cid, role: Role::ORIGINATOR, answers: None });
    let first = first.first().map(|(id, _)| *id);
    let second =
        pool.said(responder, |p: &Promise| first.is_some() && *p == Promise { cid, role: second_role, answers: first });
    let second = second.first().map(|(id, _)| *id);
    let mut completes = |signer, role| {
        let promises = first.zip(second).map(|(first, second)| [first, second]);
        let completed = |f: &Final| promises.is_some_and(|promises| *f == Final { cid, role, promises, slot: part });
        !pool.said(signer, completed).is_empty()
    };
    let finals = [completes(originator, Role::ORIGINATOR), completes(responder, second_role)];
    let aborts = pool.said(originator, |abort: &Abort| (abort.cid, abort.slot) == (cid, part));
    pool.said(originator, |revocation: &Revocation| (revocation.cid, revocation.slot) == (cid, part));
    for party in [originator, responder] {
        pool.said(party, |resolve: &Resolve| (resolve.cid, resolve.slot) == (cid, part));
        // The information of a contract between two need not stand in the slot of its only part.
        pool.said(party, |disclosure: &Disclosure| disclosure.cid == cid);
        pool.said(party, |complaint: &Complaint| (complaint.cid, complaint.slot) == (cid, part));
        pool.said(party, |settlement: &Settlement| (settlement.cid, settlement.slot) == (cid, part));
        pool.said(party, |inquiry: &Inquiry| (inquiry.cid, inquiry.slot) == (cid, part));
        // What goes through the arbiter's hands either party may abort.
        pool.said(party, |abort: &Abort| core.terms.profile == Profile::Ix && abort.cid == cid);
    }
    if core.terms.profile == Profile::Lx {
        let opened = second.and(fact::hash_of(core)).and_then(|hash| pool.preimage_of(hash)).is_some();
        let taken = What::Took(Role::ORIGINATOR, Side::Payee);
        let took = |fact: &Fact| (fact.about, fact.what) == (Subject::Contract(cid), taken);
        return match opened {
            true if pool.facts.iter().any(took) => Standing::Complete,
            true => Standing::Opened,
            false => Standing::Unopened { promised: second.is_some() },
        };
    }
    let arbiter = core.arbiter();
    let unused = pool.said(arbiter, |status: &ClosedUnused| (status.cid, status.slot) == (cid, part));
    pool.said(arbiter, |attestation: &KeyAttestation| attestation.cid == cid);
    let closings = pool.said(arbiter, |closing: &Closing| (closing.cid, closing.slot) == (cid, part));
    let verdicts = pool.said(arbiter, |verdict: &Verdict| (verdict.cid, verdict.slot) == (cid, part));
    // A contract that nobody had asked about in time keeps its empty cell for ever.
    let emptied = !unused.is_empty() && !verdicts.is_empty();
    if verdicts.len() > 1 || closings.len() > 1 || emptied {
        pool.findings.push(Finding::ArbiterEquivocated { cid });
    }
    // The originator's final beside its own request to abort: it must never send both.
    if finals[0] && !aborts.is_empty() {
        pool.findings.push(Finding::CompletedAfterAbort { cid, role: Role::ORIGINATOR });
    }
    if finals == [true, true] && aborts.is_empty() && verdicts.iter().any(|(_, v)| v.outcome == Outcome::Aborted) {
        pool.findings.push(Finding::AbortedAfterCompletion { cid });
    }
    let fault = verdicts.iter().find_map(|(_, verdict)| match verdict.outcome {
        Outcome::Fault(role) => Some((role, verdict.time)),
        Outcome::Aborted | Outcome::Resolved | Outcome::Revoked => None,
    });
    let closed = closings.iter().find_map(|(_, closing)| match closing.outcome {
        ClosingOutcome::Fault(role) => Some((role, closing.time)),
        ClosingOutcome::Completed => None,
    });
    if let Some((role, time)) = fault.or(closed) {
        return Standing::Fault { role, time };
    }
    // The buyer's final says that it has paid, and is no proof of it.
    let revoked =
        |(id, verdict): &&(StatementId, Verdict)| verdict.outcome == Outcome::Revoked && !pool.wrong.contains(id);
    if let Some((_, verdict)) = verdicts.iter().find(revoked) {
        return Standing::Revoked { time: verdict.time };
    }
    // An abort verdict never refutes a full pair of finals.
    if finals == [true, true] {
        return Standing::Complete;
    }
    let resolved = verdicts.iter().find(|(id, verdict)| {
        let basis = verdict.basis.get(1..).unwrap_or_default();
        verdict.outcome == Outcome::Resolved
            && !pool.wrong.contains(id)
            && first.zip(second).is_some_and(|(first, second)| basis == [first, second])
    });
    if let Some((_, verdict)) = resolved {
        return Standing::Resolved { time: verdict.time };
    }
    let aborted =
        |(id, verdict): &&(StatementId, Verdict)| verdict.outcome == Outcome::Aborted && !pool.wrong.contains(id);
    match verdicts.iter().find(aborted) {
        Some((_, verdict)) => Standing::Aborted { time: verdict.time },
        None => Standing::Open { promised: [first.is_some(), second.is_some()] },
    }
}

/// The places in the arbiter's log of what it said about each part. Receipts that fit are taken out of the pool.
fn logged(verifier: &dyn Verify, pool: &mut Pool, core: &Core, cid: Cid) -> Vec<(Slot, u64)> {
    let named = core.terms.arbiter;
    let Some(log) = named.and_then(|arbiter| pool.key_sets.get(&arbiter.log)) else { return Vec::new() };
    let part_of = |signed: &Signed| {
        let (of, part) = match signed.kind() {
            Kind::Verdict => Verdict::from_bytes(signed.payload()).ok().map(|verdict| (verdict.cid, verdict.slot))?,
            Kind::Closing => Closing::from_bytes(signed.payload()).ok().map(|closing| (closing.cid, closing.slot))?,
            _ => return None,
        };
        (of == cid).then_some(part)
    };
    let said: Vec<_> = pool.statements.values().filter_map(|signed| Some((part_of(signed)?, signed))).collect();
    let mut places = Vec::new();
    pool.receipts.retain(|(_, receipt)| {
        let fits = said.iter().find(|(_, signed)| receipt.check(verifier, log, signed).is_ok());
        places.extend(fits.map(|(part, _)| (*part, receipt.inclusion.index)));
        fits.is_none()
    });
    places
}

/// The shown text, if it is the signed one, and the files that it names.
fn text(pool: &mut Pool, core: &Core, cid: Cid) -> (Option<String>, Vec<Digest>) {
    let signed = &core.terms.text;
    let template = pool.templates.get(&signed.template);
    let document = pool.documents.iter().find(|d| d.template == signed.template && d.fields_hash() == signed.fields);
    let result = match (template, document) {
        (None, _) => Err("the template is not in the folder".to_owned()),
        (_, None) => Err("the document is not in the folder".to_owned()),
        (Some(template), Some(document)) => document
            .check_text_ref(template, signed)
            .map(|rendered| (rendered.text, named_files(document, core)))
            .map_err(|e| e.to_string()),
    };
    match result {
        Ok((text, files)) => (Some(text), files),
        Err(reason) => {
            pool.findings.push(Finding::Text { cid, reason });
            (None, Vec::new())
        }
    }
}

/// The files that a text names. Goods are named by their plain root, and are not in the folder.
fn named_files(document: &Document, core: &Core) -> Vec<Digest> {
    let sold = plain_roots(core);
    document.digests().into_iter().filter(|digest| !sold.contains(digest)).collect()
}

/// The payments that somebody asked for, each with what proves that it was made.
fn payments(verifier: &dyn Verify, systems: &[&dyn Module], pool: &mut Pool) -> Vec<Payment> {
    let signers: Vec<_> = pool.key_sets.keys().copied().collect();
    // An order shows what its payer approved; what it is for is hidden in it by design.
    for signer in &signers {
        pool.said(*signer, |_: &PaymentOrder| true);
    }
    let mut payments = Vec::new();
    for payee in signers {
        for (id, request) in pool.said(payee, |_: &PaymentRequest| true) {
            let about = Subject::Payment(id);
            pool.facts.insert(fact::signed(about, What::Requested(payee), None, id));
            let fits = |r: &PaymentReceipt| (r.request, r.deal, r.amount) == (id, request.deal, request.amount);
            let receipts = pool.said(payee, fits);
            let said = receipts.iter().map(|(id, r)| fact::signed(about, What::Receipted(payee), Some(r.time), *id));
            pool.facts.extend(said);
            let receipt = receipts.first().map(|(_, receipt)| receipt.time);
            let claim = Claim { deal: request.deal, payee, amount: request.amount, before: None };
            let proof = proven(verifier, systems, pool, id, &claim);
            payments.push(Payment { id, request, payee, receipt, proof });
        }
    }
    let orphans = pool.proofs.drain(..).map(|(item, _)| Finding::PaymentProof {
        item,
        reason: "it is for no payment request in this folder".to_owned(),
    });
    pool.findings.extend(orphans);
    payments
}

/// What proves the payment that `request` asks for, in words. Its proofs are taken out of the pool.
fn proven(
    verifier: &dyn Verify,
    systems: &[&dyn Module],
    pool: &mut Pool,
    request: StatementId,
    claim: &Claim,
) -> Option<String> {
    let (of_request, others) = pool.proofs.drain(..).partition(|(_, proof)| proof.request.id() == request);
    pool.proofs = others;
    let of_request: Vec<(usize, Proof)> = of_request;
    let mut proven = None;
    for (item, proof) in of_request {
        let system = systems.iter().find(|system| system.system() == proof.system);
        let reason = match system.map(|system| system.judge(verifier, claim, &proof)) {
            Some(Judged::Proven { by }) => {
                let evidence = vec![Digest::of(domain::PROOF, &proof.to_bytes())];
                let (about, what) = (Subject::Payment(request), What::Shown(claim.payee));
                pool.facts.insert(Fact { about, what, dated: None, evidence });
                proven.get_or_insert(by);
                continue;
            }
            Some(Judged::Refuted { by }) => by,
            Some(Judged::Undecided { missing }) => missing,
            None => format!("the payment system {} is not known here", proof.system),
        };
        pool.findings.push(Finding::PaymentProof { item, reason });
    }
    proven
}

fn transfer(pool: &mut Pool, container: &Container) -> Transfer {
    let id = container.id();
    let signers: Vec<_> = pool.key_sets.keys().copied().collect();
    let about = Subject::Transfer(id);
    let (mut origin, mut receipt) = (None, None);
    for by in signers {
        for (statement, _) in pool.said(by, |s: &ContainerStatement| s.container == id) {
            pool.facts.insert(fact::signed(about, What::Sent(by), None, statement));
            origin.get_or_insert(by);
        }
        for (statement, ack) in pool.said(by, |ack: &Ack| ack.container == id) {
            let accepted = ack.disposition == Disposition::Accepted;
            let what = if accepted { What::Accepted(by) } else { What::Refused(by) };
            pool.facts.insert(fact::signed(about, what, Some(ack.time), statement));
            receipt.get_or_insert(Receipt { by, time: ack.time, disposition: ack.disposition });
        }
    }
    let leaves = container.leaves().into_iter();
    pool.facts.extend(pool.container_handed_in(id));
    let files = leaves.filter_map(|(_, leaf)| match leaf {
        Leaf::Information(file) => Some((file.name().to_owned(), file.hash(), file.bytes().len())),
        Leaf::Statement(_) | Leaf::Credential(_) | Leaf::Money(_) => None,
    });
    Transfer { container: id, files: files.collect(), origin, receipt }
}

//! What a verifier concludes from a deal folder.

use std::collections::BTreeMap;
use std::fmt;

use semper_core::container::Disposition;
use semper_core::contract::Core;
use semper_core::cose::Kind;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, ContainerId, DealId, KeySetId, Slot, StatementId};
use semper_core::party::{KeySet, Role, Suite};
use semper_core::time::Time;
use semper_support::engine::EvidenceKind;
use semper_support::stamp::CertificateId;
use semper_support::submission::Handed;
use semper_transfer::payment::statement::PaymentRequest;

use super::fact::{Fact, Subject};
use crate::cn::SIGNERS_MIN as MANY;
use crate::gx::responder;
use crate::notice::Notice;

/// What a folder proves, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The deal.
    pub deal: DealId,
    /// The contracts, counted by identifier and part.
    pub contracts: Vec<Contract>,
    /// What the parties of the contracts told each other about them, in the order in which they say that it was written.
    pub notices: Vec<Told>,
    /// The transfers, counted by container; notices are among them.
    pub transfers: Vec<Transfer>,
    /// The payments, counted by the payee's request.
    pub payments: Vec<Payment>,
    /// The statements whose signatures were dated, by whoever has vouched for that: in order, one for each token.
    pub stamps: Vec<Stamped>,
    /// What was handed in for its recipient, or was to be: one for each message of which this can be proven.
    pub submissions: Vec<HandedIn>,
    /// How and by whom the statements are signed, and receipts and cards that show that something was handed in.
    pub signed: BTreeMap<StatementId, (Suite, KeySetId)>,
    /// The key sets that appear, for whoever knows or certifies whose they are.
    pub key_sets: Vec<KeySet>,
    /// What is missing, does not fit, or shows misconduct.
    pub findings: Vec<Finding>,
    /// What happened, piece by piece, in order.
    pub facts: Vec<Fact>,
}

/// One contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Its identifier.
    pub cid: Cid,
    /// Which part of it: contracts with several recipients are counted by part.
    pub part: Slot,
    /// What the parties agreed on.
    pub core: Core,
    /// The text that was shown to the signers, if the folder holds it.
    pub text: Option<String>,
    /// Where it stands.
    pub standing: Standing,
    /// The place of the arbiter's verdict in its log, if there is one and a receipt proves it.
    pub logged: Option<u64>,
    /// Files that the text names by hash: the hash, and the file's size if the folder holds the file.
    pub files: Vec<(Digest, Option<usize>)>,
    /// What a letter that the contract delivers holds, if the folder has the letter and a key that opens it: what the contract promises, byte
    /// for byte.
    pub contents: Option<Vec<Enclosed>>,
    /// The right that the responder shows, if the contract is for one, and what its issuer says of it.
    pub right: Option<Shown>,
    /// The right that the originator passes on, if the contract is for one, and whose it is by its issuer's word.
    pub passed: Option<PassedOn>,
}

/// A right that is passed on under a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOn {
    /// The right.
    pub right: String,
    /// Whose word it is.
    pub issuer: KeySetId,
    /// Whether the folder holds the credential of the party that passes it on.
    pub offered: bool,
    /// Whether it holds the one that was made for the other party, under this contract.
    pub passed: bool,
    /// Whether it holds one that gives the right to the first party again.
    pub back: bool,
}

/// A right that is shown under a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The right.
    pub right: String,
    /// Whose word it is.
    pub issuer: KeySetId,
    /// Whether the folder holds the credential, of the party that shows it.
    pub credential: bool,
    /// Until when its issuer has kept a use for this contract, or said that it is good for it.
    pub kept: Option<Time>,
    /// Which use that is, if they are counted.
    pub number: Option<u32>,
    /// When its issuer has taken that use.
    pub spent: Option<Time>,
}

impl Contract {
    /// What claims about it are about.
    pub fn subject(&self) -> Subject {
        Subject::of_part(&self.core, self.part)
    }

    /// Who claims about it can be about: the parties by their roles, of a part its sender as the originator and its recipient as the responder.
    pub fn sides(&self) -> impl Iterator<Item = (Role, KeySetId)> {
        let recipient = matches!(self.subject(), Subject::Part(..)).then(|| responder(self.part));
        self.core.terms.parties.iter().filter_map(move |party| match recipient {
            Some(recipient) if party.role == recipient => Some((Role::RESPONDER, party.key_set)),
            Some(_) if party.role != Role::ORIGINATOR => None,
            _ => Some((party.role, party.key_set)),
        })
    }
}

/// A file in a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosed {
    /// Its name.
    pub name: String,
    /// Its hash.
    pub hash: Digest,
    /// Its size in bytes.
    pub size: usize,
}

/// Where a contract stands, as far as the folder proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Signed by both parties. Without an arbiter: promised by both, and the originator has taken the responder's money.
    Complete,
    /// Without an arbiter: promised by both, and the preimage is known, so the originator is bound. Whether it has taken the responder's money
    /// this folder does not show; if somebody else than the originator shows the preimage, it has.
    Opened,
    /// Without an arbiter: the preimage is not known, so nobody is bound.
    Unopened {
        /// Whether both have promised.
        promised: bool,
    },
    /// Signed by all of more than two parties.
    Signed {
        /// How many.
        parties: usize,
    },
    /// Completed by the arbiter, from both promises or from a round that all have signed. It binds as if both had signed.
    Resolved {
        /// When, by the arbiter's clock.
        time: Time,
    },
    /// The arbiter has aborted it: nobody is bound.
    Aborted {
        /// When, by the arbiter's clock.
        time: Time,
    },
    /// The arbiter has ruled that the right which was passed on goes back, since nobody has shown a payment: nobody is bound.
    Revoked {
        /// When, by the arbiter's clock.
        time: Time,
    },
    /// The arbiter has found that a party's item is not what was promised: its money goes back, and nobody else is bound.
    Fault {
        /// Whose item.
        role: Role,
        /// When, by the arbiter's clock.
        time: Time,
    },
    /// The arbiter has let off one of many parties. It is not bound unless it went on signing; whether others are, other folders show.
    LetOff {
        /// Whom.
        role: Role,
        /// When, by the arbiter's clock.
        time: Time,
    },
    /// Not completed by many parties, who sign in rounds. Only the last round binds.
    Rounds {
        /// The last round that all have signed; 0 if there is none.
        complete: u8,
        /// How many rounds there are; 0 if it is not known who signs.
        of: u8,
    },
    /// Not completed. A promise alone binds nobody.
    Open {
        /// Who has promised: originator, responder.
        promised: [bool; 2],
    },
}

/// A notice that one party of a contract has signed for the other one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The container in which it is.
    pub container: ContainerId,
    /// What it says.
    pub notice: Notice,
    /// The contract, or the part of it, that it is about.
    pub about: Subject,
    /// Who has signed it.
    pub role: Role,
    /// When it was handed in for the other party, by the receipt of whom its card names.
    pub received: Option<Time>,
    /// When the other party has signed that it has it, by its clock.
    pub acknowledged: Option<Time>,
}

/// One transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The container.
    pub container: ContainerId,
    /// The files and messages in it: name, hash, size in bytes.
    pub files: Vec<(String, Digest, usize)>,
    /// Who provably sent it.
    pub origin: Option<KeySetId>,
    /// Who provably received it.
    pub receipt: Option<Receipt>,
}

/// One payment, as its payee asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The request, by its identifier.
    pub id: StatementId,
    /// What was asked for.
    pub request: PaymentRequest,
    /// Who asked for it.
    pub payee: KeySetId,
    /// When the payee gave a receipt for exactly this, if it did.
    pub receipt: Option<Time>,
    /// What else proves that it was made, in words: the issuer's confirmation, the payee's key on the coins.
    pub proof: Option<String>,
}

/// A statement whose signature existed before a time, if somebody who vouches for that is trusted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamped {
    /// The statement.
    pub statement: StatementId,
    /// What kind of statement.
    pub kind: Kind,
    /// Who signed it.
    pub signer: KeySetId,
    /// The instant before which its signature existed.
    pub before: Time,
    /// What the time-stamp authority calls itself.
    pub name: String,
    /// Each certificate of which it is enough to trust one.
    pub vouchers: Vec<CertificateId>,
    /// Names the token as evidence.
    pub token: Digest,
}

/// A message that was sealed for somebody, and who has taken it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedIn {
    /// The signed statements in it.
    pub statements: Vec<(StatementId, Kind)>,
    /// The container in it.
    pub container: Option<ContainerId>,
    /// For whom.
    pub recipient: KeySetId,
    /// The receipt by the agent that the recipient's card names; `None` if the folder has none.
    pub handed: Option<Handed>,
    /// Names the proof as evidence.
    pub proof: Digest,
}

/// A signed acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who acknowledged.
    pub by: KeySetId,
    /// When, by its clock.
    pub time: Time,
    /// Accepted, or refused and why.
    pub disposition: Disposition,
}

/// Something that a verifier has to know besides the standing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// An item is not what it claims to be.
    Unreadable {
        /// Its place in the folder, from 0.
        item: usize,
        /// What it claims to be.
        kind: EvidenceKind,
        /// What is wrong.
        reason: String,
    },
    /// A statement is not validly signed. It was left out of account.
    NotSigned {
        /// Its place in the folder, from 0.
        item: usize,
        /// What is wrong.
        reason: String,
    },
    /// The text that goes with a contract is missing or is not the one that was signed.
    Text {
        /// The contract.
        cid: Cid,
        /// What is wrong.
        reason: String,
    },
    /// A receipt of the arbiter's log that proves nothing about a verdict in this folder.
    LogReceipt {
        /// Its place in the folder, from 0.
        item: usize,
    },
    /// A proof of payment that proves none of the payments in this folder.
    PaymentProof {
        /// Its place in the folder, from 0.
        item: usize,
        /// Why not.
        reason: String,
    },
    /// A time-stamp that does not hold, or that dates nothing in this folder.
    TimeStamp {
        /// Its place in the folder, from 0.
        item: usize,
        /// What is wrong.
        reason: String,
    },
    /// A proof of submission that proves nothing, whatever receipts there are.
    Submission {
        /// Its place in the folder, from 0.
        item: usize,
        /// What is wrong.
        reason: String,
    },
    /// A file that a contract names is not in the folder.
    MissingFile {
        /// The contract.
        cid: Cid,
        /// The file's hash.
        file: Digest,
    },
    /// A file in the folder that no contract or transfer names.
    StrayFile {
        /// Its hash.
        file: Digest,
    },
    /// A validly signed statement that belongs to nothing in this folder.
    StrayStatement {
        /// Which one.
        statement: StatementId,
    },
    /// A preimage that was kept and opens no contract in this folder.
    StrayPreimage {
        /// Its place in the folder, from 0.
        item: usize,
    },
    /// Misconduct of the arbiter: it gave two different verdicts on one contract, or one beside its word that nobody had asked in time. Both
    /// are in the folder.
    ArbiterEquivocated {
        /// The contract.
        cid: Cid,
    },
    /// Misconduct of the arbiter: a verdict does not follow from what it rests on (a proof of payment that does not hold), or passes over another.
    WrongVerdict {
        /// The contract.
        cid: Cid,
        /// Among many signers, to whom it was given; nobody if it is in no party's name.
        role: Option<Role>,
    },
    /// Misconduct of one of many parties: it asked the arbiter, and signed a later round all the same.
    SignedAfterAsking {
        /// The contract.
        cid: Cid,
        /// The party.
        role: Role,
    },
    /// Misconduct of one of many parties: it asked the arbiter in two rounds.
    AskedTwice {
        /// The contract.
        cid: Cid,
        /// The party.
        role: Role,
    },
    /// Misconduct of the arbiter, or of the originator, who alone can have asked for it: the contract was aborted, and both have
    /// completed it. The originator's request, which the arbiter has, shows whose.
    AbortedAfterCompletion {
        /// The contract.
        cid: Cid,
    },
    /// Misconduct of the issuer of the right that is shown: it gave one use to two contracts, or took two for one.
    UseGivenTwice {
        /// The contract.
        cid: Cid,
    },
    /// Misconduct of a party: it asked for an abort and completed the contract all the same.
    CompletedAfterAbort {
        /// The contract.
        cid: Cid,
        /// The party.
        role: Role,
    },
}

impl Finding {
    /// Whether the folder itself is faulty: somebody changed it, or left out what belongs into it. Misconduct that a sound folder
    /// proves is no fault of the folder.
    pub fn is_fault(&self) -> bool {
        !matches!(
            self,
            Finding::ArbiterEquivocated { .. }
                | Finding::AbortedAfterCompletion { .. }
                | Finding::CompletedAfterAbort { .. }
                | Finding::UseGivenTwice { .. }
                | Finding::WrongVerdict { .. }
                | Finding::SignedAfterAsking { .. }
                | Finding::AskedTwice { .. }
        )
    }
}

impl Report {
    /// Whether nothing is wrong with the folder itself.
    pub fn is_sound(&self) -> bool {
        !self.findings.iter().any(Finding::is_fault)
    }
}

impl Payment {
    /// Whether the folder proves that it was made.
    pub fn is_proven(&self) -> bool {
        self.receipt.is_some() || self.proof.is_some()
    }
}

impl Standing {
    /// Whether the contract is complete, so that it binds its parties.
    pub fn is_binding(&self) -> bool {
        matches!(self, Standing::Complete | Standing::Signed { .. } | Standing::Resolved { .. })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standing::Complete => write!(f, "complete: signed by both parties"),
            Standing::Opened => {
                write!(f, "opened: both have promised, and the originator has let go of the preimage, which binds it")
            }
            Standing::Unopened { promised: true } => {
                write!(f, "open: both have promised, and the originator has not opened the locks; nobody is bound")
            }
            Standing::Unopened { promised: false } => write!(f, "open: not both have promised; nobody is bound"),
            Standing::Signed { parties } => write!(f, "complete: signed by all {}", in_words(*parties)),
            Standing::Resolved { time } => write!(f, "complete: by the arbiter's verdict of {time}"),
            Standing::Aborted { time } => write!(f, "aborted by the arbiter on {time}: nobody is bound"),
            Standing::Revoked { time } => {
                write!(f, "revoked by the arbiter on {time}: the right goes back to its seller, and nobody is bound")
            }
            Standing::Fault { role, time } => {
                write!(f, "ended by the arbiter on {time}: what the {role} gave is provably not what was promised")
            }
            Standing::LetOff { role, time } => {
                write!(
                    f,
                    "not completed: the arbiter let off {} on {time}; it is not bound unless it signed on",
                    role.among(MANY)
                )
            }
            Standing::Rounds { complete: 0, .. } => write!(f, "open: not everybody has signed; nobody is bound"),
            Standing::Rounds { complete, of } => {
                write!(f, "open: all have signed round {complete} of {of}; the arbiter can complete it")
            }
            Standing::Open { promised: [false, false] } => write!(f, "open: nobody has promised anything"),
            Standing::Open { promised: [true, true] } => {
                write!(f, "open: both have promised; the arbiter would complete it")
            }
            Standing::Open { .. } => write!(f, "open: only one party has promised; nobody is bound"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Unreadable { item, kind, reason } => {
                write!(f, "item {item} ({}) is not readable: {reason}", kind.name())
            }
            Finding::NotSigned { item, reason } => write!(f, "item {item} was left out of account: {reason}"),
            Finding::Text { cid, reason } => write!(f, "the text of contract {cid}: {reason}"),
            Finding::LogReceipt { item } => {
                write!(f, "item {item} is a log receipt that fits no verdict in this folder")
            }
            Finding::PaymentProof { item, reason } => write!(f, "item {item} proves no payment: {reason}"),
            Finding::TimeStamp { item, reason } => {
                write!(f, "item {item} is a time-stamp that proves nothing: {reason}")
            }
            Finding::Submission { item, reason } => {
                write!(f, "item {item} does not show that anything was handed in: {reason}")
            }
            Finding::MissingFile { cid, file } => {
                write!(f, "the file with hash {file}, which contract {cid} names, is not in the folder")
            }
            Finding::StrayFile { file } => {
                write!(f, "the file with hash {file} is named by no contract or transfer in this folder")
            }
            Finding::StrayStatement { statement } => {
                write!(f, "statement {statement} belongs to nothing in this folder")
            }
            Finding::StrayPreimage { item } => {
                write!(f, "item {item} is a preimage that opens no contract in this folder")
            }
            Finding::ArbiterEquivocated { cid } => {
                write!(f, "misconduct of the arbiter: it signed two things on contract {cid} that exclude each other")
            }
            Finding::WrongVerdict { cid, role } => {
                write!(f, "misconduct of the arbiter: its verdict on contract {cid} ")?;
                if let Some(role) = role {
                    write!(f, "for {} ", role.among(MANY))?;
                }
                write!(f, "does not follow from what it rests on")
            }
            Finding::SignedAfterAsking { cid, role } => {
                write!(
                    f,
                    "misconduct of {}: it asked the arbiter about contract {cid} and went on signing",
                    role.among(MANY)
                )
            }
            Finding::AskedTwice { cid, role } => {
                write!(f, "misconduct of {}: it asked the arbiter about contract {cid} in two rounds", role.among(MANY))
            }
            Finding::AbortedAfterCompletion { cid } => {
                write!(
                    f,
                    "misconduct of the arbiter or the originator: contract {cid} was aborted and both have completed it"
                )
            }
            Finding::UseGivenTwice { cid } => {
                write!(
                    f,
                    "misconduct of the issuer of the right under contract {cid}: what it signed of its uses excludes itself"
                )
            }
            Finding::CompletedAfterAbort { cid, role } => {
                write!(
                    f,
                    "misconduct of the {role}: it asked the arbiter to abort contract {cid} and completed it all the same"
                )
            }
        }
    }
}

/// A number of parties as it is said.
fn in_words(parties: usize) -> String {
    const WORDS: [&str; 9] = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight"];
    WORDS.get(parties).map_or_else(|| parties.to_string(), |word| (*word).to_owned())
}

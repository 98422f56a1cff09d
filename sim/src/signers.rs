//! Three who sign one contract, and everything that they or their arbiter can say about it, true or not.

use semper_core::cbor::Encode as _;
use semper_core::contract::Core;
use semper_core::cose::{Signed, Statement};
use semper_core::ids::{DealId, Slot};
use semper_core::party::{Role, Suite};
use semper_core::time::Time;
use semper_exchange::arbiter::many::{Ask, Asker};
use semper_exchange::arbiter::verdict::{ClosedUnused, Outcome, Verdict};
use semper_exchange::cn::Round;
use semper_exchange::evidence::{Folder, Item};
use semper_support::crypto::Signer as _;
use semper_support::engine::EvidenceKind;

use crate::model::cn;
use crate::scenario::Cast;
use crate::symbolic::Hand;

/// When everything is said.
const NOW: Time = Time::from_unix(1000);

/// Three who sign, their arbiter, and what they say.
pub struct Three {
    /// Their arbiter, and the oracle that knows all signatures.
    pub cast: Cast,
    /// The signers.
    pub hands: Vec<Hand>,
    /// What they sign.
    pub core: Core,
}

impl Default for Three {
    fn default() -> Self {
        let cast = Cast::default();
        let hands: Vec<_> = (1..=3).map(|number| cast.oracle.hand(Suite::Ed25519, number)).collect();
        let key_sets: Vec<_> = hands.iter().map(|hand| hand.key_set().clone()).collect();
        let core = cn::contract(&key_sets, cast.arbiter.key_set());
        Self { cast, hands, core }
    }
}

impl Three {
    fn say(by: &Hand, statement: &impl Statement) -> Signed {
        by.sign(statement.draft(by.key_set().suite(), by.key_set().id())).expect("symbolic hands sign everything")
    }

    /// A party's signature on a round.
    pub fn round(&self, party: u8, round: u8) -> Signed {
        let said = Round { cid: self.core.cid(), role: Role::numbered(party), round };
        Self::say(&self.hands[usize::from(party)], &said)
    }

    /// A party's question to the arbiter in a round.
    pub fn ask(&self, party: u8, round: u8) -> Signed {
        let said = Ask { cid: self.core.cid(), role: Role::numbered(party), round };
        Self::say(&self.hands[usize::from(party)], &said)
    }

    /// The signatures of all on a round.
    pub fn sheet(&self, round: u8) -> Vec<Signed> {
        (0..3).map(|party| self.round(party, round)).collect()
    }

    /// A verdict for a party that asked in a round, with the sheet of the round before.
    pub fn verdict(&self, (party, round): (u8, u8), outcome: Outcome, refused: &[(u8, u8)], log_index: u64) -> Signed {
        let sheet = if round == 1 { Vec::new() } else { self.sheet(round - 1) };
        let basis = [self.ask(party, round)].iter().chain(&sheet).map(Signed::id).collect();
        let prior =
            refused.iter().map(|(party, round)| Asker { role: Role::numbered(*party), round: *round }).collect();
        let (cid, slot) = (self.core.cid(), Slot(u16::from(party)));
        let verdict = Verdict { cid, slot, outcome, basis, prior, time: NOW, log_index };
        Self::say(&self.cast.arbiter, &verdict)
    }

    /// That the arbiter was asked in a round when the contract's time was over.
    pub fn unused(&self, (party, round): (u8, u8)) -> Signed {
        let (cid, slot) = (self.core.cid(), Slot(u16::from(party)));
        let request = self.ask(party, round).id();
        Self::say(&self.cast.arbiter, &ClosedUnused { cid, slot, request, time: NOW })
    }

    /// A folder with the contract, all key sets, and what was said.
    pub fn folder(&self, statements: impl IntoIterator<Item = Signed>) -> Folder {
        let item = |kind, bytes| Item { kind, time: NOW, bytes };
        let keys = self.hands.iter().map(Hand::key_set).chain([self.cast.arbiter.key_set()]);
        let mut items = vec![item(EvidenceKind::Core, self.core.to_bytes())];
        items.extend(keys.map(|keys| item(EvidenceKind::KeySet, keys.to_bytes())));
        items.extend(statements.into_iter().map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec())));
        Folder { deal: DealId::from_array([0; 16]), items }
    }
}

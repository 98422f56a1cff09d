//! Contracts: the promise or the first round that the user is shown, what follows from an offer, the rounds among many signers.

use std::fmt;

use semper_commerce::access::{self, AccessOffer};
use semper_commerce::mandate::{Act, Matter};
use semper_commerce::offer::{Offer, Order};
use semper_commerce::proposal::{Agreement, ProposalError};
use semper_commerce::purchase;
use semper_commerce::right::{self, RightOffer};
use semper_commerce::trade::{
    EXCHANGE_IN_LINE_TEMPLATE, EXCHANGE_TEMPLATE, RECEIPT_TEMPLATE, RECEIPT_TRANSFER_TEMPLATE,
};
use semper_core::cbor::Decode as _;
use semper_core::contract::{Core, Profile, Promise};
use semper_core::cose::{Draft, Kind};
use semper_core::ids::Cid;
use semper_core::party::Role;
use semper_crypto::Verifier;
use semper_exchange::cn::Round;
use semper_exchange::gx::{Leg, Price, Transfer};
use semper_support::approval::{Answer, ApprovalError};
use semper_support::archive::Fact;
use semper_transfer::credential::{CredentialTransfer, ReservationRequest};
use semper_transfer::payment::statement::{Release, Side, order_hash};

use super::{Approves, Judgement, Vault, deposit, read, unavailable, way};
use crate::decisions::Decisions;
use crate::now;

impl<D: Decisions + ?Sized> Vault<D> {
    /// A contract. `arbiter` is the key set of its arbiter, where money goes through the arbiter's hands.
    pub(super) fn judge_contract(
        &self,
        draft: &Draft,
        [core, document, template]: [&[u8]; 3],
        arbiter: Option<&[u8]>,
    ) -> Result<Judgement, ApprovalError> {
        let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
        let agreement = Agreement::from_parts(core, document, template).map_err(|e| mismatch(&e))?;
        let text = agreement.text().map_err(|e: ProposalError| mismatch(&e))?;
        let many = agreement.core.terms.profile == Profile::Cn;
        let (named, role) = match draft.kind {
            Kind::Round => {
                let Round { cid, role, round } = read(draft)?;
                if round != 1 {
                    return Err(mismatch(&"a contract is shown for its first round"));
                }
                (cid, role)
            }
            _ => {
                let Promise { cid, role, .. } = read(draft)?;
                (cid, role)
            }
        };
        let cid = agreement.core.cid();
        let mine = agreement.core.party(role) == Some(self.signer.key_set().id());
        if named != cid || !mine || many != (draft.kind == Kind::Round) {
            return Err(mismatch(&"the statement is about another contract or role"));
        }
        // A promise to several is to nobody in particular: a mandate for one of them does not cover it.
        let alone = !many && (role != Role::ORIGINATOR || agreement.core.terms.parties.len() == 2);
        let peer = agreement.core.party(role.peer()).filter(|_| alone);
        let deposit = deposit::promised(&agreement, role, arbiter)?;
        let arbiter = agreement.core.arbiter();
        let (release, shows) = (promised_release(&agreement.core, role), shown_right(&agreement.core, role));
        let passes = passed_right(&agreement.core, role);
        let matter = match (&release, agreement.template.name()) {
            _ if arbiter.is_none() => Err("nobody could undo a mistake: there is no arbiter"),
            // It may be worth more than money.
            _ if shows.is_some() || passes.is_some() => Err("a right is used or given away"),
            (Some(_), RECEIPT_TRANSFER_TEMPLATE | right::TEMPLATE) => {
                Err("it is paid before it is known to be for good what it is paid for")
            }
            (_, EXCHANGE_IN_LINE_TEMPLATE) => Err("money goes through an arbiter's hands"),
            (Some(_), EXCHANGE_TEMPLATE) if role != Role::ORIGINATOR => {
                Err("whether the rate is good no limit can say")
            }
            (Some(_), EXCHANGE_TEMPLATE | RECEIPT_TEMPLATE) => Ok(Matter::Payment),
            (Some(_), purchase::TEMPLATE) => Ok(Matter::Purchase),
            (Some(_), _) => Err("money is given in a way that no limit knows"),
            (None, _) => Ok(Matter::Contract),
        };
        let amount = release.as_ref().map(|release| release.amount);
        let process = Some(agreement.process());
        let act = matter.map(|matter| Act { matter, peer, arbiter, process, amount });
        // What a hash locks no signature of ours lets go of.
        let release = release.filter(|_| arbiter.is_some());
        Ok(Judgement::Ask { act, text, contract: Some(Box::new(Approves { cid, release, shows, passes, deposit })) })
    }

    /// A seller's promise: signed without asking if its contract follows from an offer that the user has approved, which still stands.
    pub(super) async fn judge_sale(
        &self,
        draft: &Draft,
        core: &[u8],
        document: &[u8],
        template: &[u8],
        order: &[u8],
    ) -> Result<Judgement, ApprovalError> {
        let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
        let order = Order::from_bytes(order).map_err(|e| mismatch(&e))?;
        let agreement = Agreement::from_parts(core, document, template).map_err(|e| mismatch(&e))?;
        let asked = self.judge_contract(draft, [core, document, template], None)?;
        let offer = match self.answered(order.offer).await? {
            Some(Answer::Signed(signed)) if signed.kind() == Kind::Offer => signed.payload().to_vec(),
            _ => return Ok(asked),
        };
        let seller = agreement.core.party(Role::ORIGINATOR) == Some(self.signer.key_set().id());
        let now = now();
        let follows = seller
            && match (AccessOffer::from_bytes(&offer), RightOffer::from_bytes(&offer)) {
                (Ok(offer), _) => {
                    offer.until >= now && access::follows(&Verifier, &agreement, &offer, &order, now).is_ok()
                }
                (_, Ok(offer)) => {
                    offer.until >= now && right::follows(&Verifier, &agreement, &offer, &order, now).is_ok()
                }
                _ => {
                    let offer = Offer::from_bytes(&offer).map_err(|e| mismatch(&e))?;
                    offer.until >= now && purchase::follows(&agreement, &offer, &order, now).is_ok()
                }
            };
        match asked {
            Judgement::Ask { contract: Some(contract), .. } if follows => {
                self.goes_no_new_way(contract.cid, &contract.facts()).await?;
                Ok(Judgement::Sign(contract.facts()))
            }
            asked => Ok(asked),
        }
    }

    /// The next round of a contract of many: the one before is signed, and was not taken to the arbiter.
    pub(super) async fn judge_round(&self, cid: Cid, round: u8) -> Result<Judgement, ApprovalError> {
        match round.checked_sub(1) {
            Some(before) if before > 0 => {
                self.has_signed(cid, before).await?;
                self.follows(cid, vec![way(cid, before, b"on")]).await
            }
            _ => Err(ApprovalError::Forbidden("the first round of a contract is not signed without asking".into())),
        }
    }

    /// The question to the arbiter in a round, which need not be signed: it may have begun too late for that. After it no later round is
    /// signed, and no other question.
    pub(super) async fn judge_ask(&self, cid: Cid, round: u8) -> Result<Judgement, ApprovalError> {
        let mut facts = vec![way(cid, round, b"asked")];
        if let Some(before) = round.checked_sub(1).filter(|before| *before > 0) {
            self.has_signed(cid, before).await?;
            facts.push(way(cid, before, b"on"));
        }
        self.follows(cid, facts).await
    }

    async fn has_signed(&self, cid: Cid, round: u8) -> Result<(), ApprovalError> {
        let Some(before) = round.checked_sub(1).filter(|before| *before > 0) else { return Ok(()) };
        let Fact { space, key, value } = way(cid, before, b"on");
        match self.decisions.fact(&space, &key).await.map_err(unavailable)? {
            Some(found) if found == value => Ok(()),
            _ => Err(ApprovalError::Forbidden("the round before was not signed".into())),
        }
    }
}

/// What a party lets go of with its final, if it promises money: all of it, to the other side. Money by plain transfer goes by the hash of its order.
fn promised_release(core: &Core, role: Role) -> Option<Release> {
    let item = core.terms.items.iter().position(|item| item.owner == role)?;
    let legs = Leg::of(core).ok()?;
    let leg = legs.get(item)?;
    let transferred = |transfer: &Transfer| order_hash(transfer.request.id(), &transfer.salt);
    let tag = leg.lock().map(|lock| lock.tag).or_else(|| leg.transfer().map(transferred))?;
    let price = Price::from_bytes(&core.terms.items[item].descriptor).ok()?;
    Some(Release { tag, issuer: price.issuer, to: Side::Payee, amount: price.amount })
}

/// What a party asks the issuer of its right to keep, if a contract shows one.
fn shown_right(core: &Core, role: Role) -> Option<ReservationRequest> {
    match Leg::of(core).ok()? {
        [_, Leg::Show(show)] if role == Role::RESPONDER => show.request(core),
        _ => None,
    }
}

/// What a party asks the issuer of its right to pass on, if a contract does.
fn passed_right(core: &Core, role: Role) -> Option<CredentialTransfer> {
    match Leg::of(core).ok()? {
        [Leg::Right(right), _] if role == Role::ORIGINATOR => right.request(core),
        _ => None,
    }
}

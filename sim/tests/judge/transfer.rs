//! What a payment by plain transfer leaves behind that came too late to the arbiter. What could go wrong: whoever has paid cannot show it, because the contract was
//! not completed; or a proof of another payment counts for it.

use semper_core::cose::Statement as _;
use semper_exchange::arbiter::verdict::ClosedUnused;
use semper_sim::deal::{Deal, TRANSFER};
use semper_sim::mint;

use super::parties::DEAL;
use super::*;

/// The payer's folder: its proof of the payment, of this request or of another one, and the arbiter's word that nobody had asked in time.
pub(super) fn late(good: bool) -> (Cast, Folder) {
    let cast = Cast::default();
    let deal = Deal::new(&cast, TRANSFER, None);
    let proof = if good { deal.payment() } else { mint::other_proof(&deal).to_bytes() };
    let proof = Proof::from_bytes(&proof).unwrap();
    let request = proof.request.clone();
    let proof = Proof { body: PAID.to_vec(), ..proof };
    let (cid, slot) = (deal.core.cid(), Slot::default());
    let asked = cast.promise_ids(&deal.core)[0];
    let status = ClosedUnused { cid, slot, request: asked, time: deal.core.terms.deadlines.not_after };
    let arbiter = cast.arbiter.key_set();
    let status = cast.arbiter.sign(status.draft(arbiter.suite(), arbiter.id())).unwrap();
    let [o, r] = cast.key_sets();
    let keys = [&o, &r, arbiter].map(|keys| item(EvidenceKind::KeySet, keys.to_bytes()));
    let said = [request, status].map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec()));
    let mut items = vec![item(EvidenceKind::Core, deal.core.to_bytes()), item(EvidenceKind::Payment, proof.to_bytes())];
    items.extend(keys.into_iter().chain(said));
    (cast, Folder { deal: DEAL, items })
}

#[test]
fn what_was_paid_too_late_for_the_receipt_was_paid() {
    let (cast, folder) = late(true);
    let table = [
        ("paid(originator, >= 1.00 EUR)", Proven),
        ("received-money(responder)", Proven),
        ("agreed(responder)", Refuted),
    ];
    expect("a proof", &cast, &[folder], &table);
    // Of another payment: the contract was not paid.
    let (cast, folder) = late(false);
    let table = [("paid(originator)", Refuted), ("received-money(responder)", Refuted)];
    expect("another proof", &cast, &[folder], &table);
}

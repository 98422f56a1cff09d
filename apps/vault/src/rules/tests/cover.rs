//! Words to a guarantor. What could go wrong: what binds its user for hundreds of euros is signed without being shown, or by a rule for something else.

use semper_exchange::cover::{Agreement, CoverClaim, CoverId, CoverRelease, CoverRequest};

use super::*;
use crate::sheet::Verb;

fn money(minor: u64) -> Amount {
    Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_said_to_a_guarantor_is_shown_and_asked_for_each_time() {
    // Rules for everything that there are rules for.
    let rules = "[[allow]]\nwhat = \"contract\"\n[[allow]]\nwhat = \"payment\"\nup_to = \"900.00 EUR\"\n\
                 [[allow]]\nwhat = \"account\"\nup_to = \"900.00 EUR\"\n[[allow]]\nwhat = \"offer\"\n[[allow]]\nwhat = \"mail\"\n";
    let (vault, _) = vault_with(Purpose::Party, Some(Policy::parse(rules).unwrap()));
    let me = vault.key_set();
    let (guarantor, cover, cid) = (KeySetId::from_digest(digest(7)), CoverId::from_array([1; 16]), cid());
    let (until, issued) = (Time::from_unix(9_000), Time::from_unix(1));
    let agreement = Agreement { guarantor, limit: money(50_000), per_deal: money(20_000), until, issued };
    let (tag, subject) = (digest(5), me.id());
    let (accept_before, claim_by) = (Time::from_unix(2_000), Time::from_unix(8_000));
    let amount = money(12_000);
    let request = CoverRequest { cover, guarantor, tag, amount, subject, accept_before, claim_by };
    let (release, claim) = (CoverRelease { cover, cid }, CoverClaim { cover, cid, amount });
    let (suite, id) = (me.suite(), me.id());
    let drafts =
        [agreement.draft(suite, id), request.draft(suite, id), release.draft(suite, id), claim.draft(suite, id)];
    for draft in &drafts {
        let asked =
            SignRequest { deal: DealId::from_array([1; 16]), draft: draft.clone(), exhibit: Exhibit::Statement };
        assert_eq!(vault.request(asked).await.unwrap(), Answer::Waiting, "{}", draft.kind);
        let followed =
            SignRequest { deal: DealId::from_array([1; 16]), draft: draft.clone(), exhibit: Exhibit::Consequence };
        assert!(!matches!(vault.request(followed).await, Ok(Answer::Signed(_))), "{} follows from nothing", draft.kind);
    }
    let waiting = vault.waiting().await.unwrap();
    let of = |draft: &Draft| waiting.iter().find(|approval| approval.draft == *draft).unwrap().sheet.clone();
    let [agreed, asked, released, claimed] = drafts.each_ref().map(of);
    assert_eq!((agreed.verb, agreed.gives, agreed.who[0].key_set), (Verb::Agree, Some(money(50_000)), guarantor));
    assert_eq!((asked.verb, asked.gives, asked.who[0].key_set), (Verb::BeCovered, Some(amount), guarantor));
    assert_eq!((released.verb, released.gives, released.gets), (Verb::ReleaseCover, None, None));
    assert_eq!((claimed.verb, claimed.gets, claimed.checked), (Verb::ClaimCover, Some(amount), Some(*cid.digest())));
    // The twin: what was shown and approved is signed.
    let seen = Digest::of(domain::RENDER, agreement.describe().as_bytes());
    vault.answer(drafts[0].id(), UserAnswer::Approve { seen }).await.unwrap();
    let again =
        SignRequest { deal: DealId::from_array([1; 16]), draft: drafts[0].clone(), exhibit: Exhibit::Statement };
    assert!(matches!(vault.request(again).await.unwrap(), Answer::Signed(_)));
}

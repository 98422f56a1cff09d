//! Swap (NUT-03): coins in, as many signatures out, less the fee.

use cashu::nut10::SpendingConditionVerification as _;
use cashu::{Id, SwapRequest, SwapResponse};
use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_support::archive::Commit;

use super::keysets::Keysets;
use super::ledger::{Coin, Granted, Output, Spender, damaged};
use super::refusal::Refusal;
use super::{Mint, Sent, request};

/// A swap that was checked and computed, and waits to be stored.
struct Prepared {
    digest: Digest,
    coins: Vec<Coin>,
    outputs: Vec<Output>,
    answer: SwapResponse,
    spent: Vec<(Id, u64)>,
}

/// How the computation ended.
enum Computed {
    Granted(Prepared),
    /// Refused now; it may have been granted when it came first.
    Refused(Refusal, SwapRequest),
}

impl Mint {
    /// Swaps coins.
    ///
    /// The same request again gets the same answer, for ever.
    ///
    /// # Errors
    /// [`Refusal`]: nothing changed, save after `Unsure`.
    pub async fn swap(&self, request: impl Sent<SwapRequest>) -> Result<SwapResponse, Refusal> {
        let (now, limits, keysets) = (self.now(), self.settings.limits, self.keysets());
        let computed = self.compute_request(request, move |request| {
            let request = request.receive()?;
            request::inputs_shape(request.inputs(), &limits)?;
            request::outputs_shape(request.outputs(), &limits)?;
            Ok(match prepare(&request, &keysets, now) {
                Ok(prepared) => Computed::Granted(prepared),
                Err(refusal) => Computed::Refused(refusal, request),
            })
        });
        match computed.await? {
            Computed::Granted(prepared) => self.store_swap(prepared).await,
            Computed::Refused(refusal, request) => self.granted_before(refusal, request).await,
        }
    }

    async fn store_swap(&self, prepared: Prepared) -> Result<SwapResponse, Refusal> {
        let Prepared { digest, coins, outputs, answer, spent } = prepared;
        match self.ledger.grant(&Spender::Request(digest), &coins, &outputs, Commit::default()).await? {
            Granted::Now => {
                self.metrics.redeemed(spent);
                self.metrics.issued(answer.signatures.iter().map(|one| (one.keyset_id, one.amount.to_u64())));
                Ok(answer)
            }
            Granted::Before => Ok(answer),
            Granted::Conflict => Err(damaged("a swap")),
        }
    }

    /// A request that is refused now, because a keyset was rotated or has expired, may be the repetition of one that was granted.
    async fn granted_before(&self, refusal: Refusal, request: SwapRequest) -> Result<SwapResponse, Refusal> {
        let digest = request::digest("swap", "", request.inputs(), request.outputs());
        let Some(first) = request.inputs().first().map(Coin::new) else { return Err(refusal) };
        if !self.ledger.was_granted(&first, digest).await? {
            return Err(refusal);
        }
        let keysets = self.keysets();
        self.compute(move || Ok(SwapResponse::new(request::sign_outputs(request.outputs(), &keysets)))).await
    }
}

fn prepare(request: &SwapRequest, keysets: &Keysets, now: Time) -> Result<Prepared, Refusal> {
    let (inputs, outputs) = (request.inputs(), request.outputs());
    let paid = request::inputs_sum(inputs, keysets, now)?;
    let asked = request::outputs_sum(outputs, keysets, now)?;
    if paid.unit != asked.unit {
        return Err(Refusal::UnitMismatch);
    }
    if paid.amount.checked_sub(paid.fee) != Some(asked.amount) {
        return Err(Refusal::Unbalanced { inputs: paid.amount, fee: paid.fee, outputs: asked.amount });
    }
    let coins = request::prove(inputs, keysets, now, || request.sig_all_msg_to_sign())?;
    Ok(Prepared {
        digest: request::digest("swap", "", inputs, outputs),
        coins,
        outputs: request::facts(outputs),
        answer: SwapResponse::new(request::sign_outputs(outputs, keysets)),
        spent: inputs.iter().map(|input| (input.keyset_id, input.amount.to_u64())).collect(),
    })
}

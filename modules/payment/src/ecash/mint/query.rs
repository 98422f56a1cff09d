//! Questions: how coins stand (NUT-07), and signatures of outputs that were signed before (NUT-09).

use std::sync::Arc;

use cashu::{BlindedMessage, CheckStateRequest, PublicKey, RestoreRequest, RestoreResponse};
use serde::{Deserialize, Serialize};

use super::ledger::Standing;
use super::refusal::Refusal;
use super::{Mint, Sent, request};

/// The state of a coin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinState {
    /// The point of its secret.
    #[serde(rename = "Y")]
    pub y: PublicKey,
    /// `UNSPENT`, `PENDING` or `SPENT`.
    pub state: String,
    /// What it was spent with, in JSON, if it had a condition.
    pub witness: Option<String>,
}

/// The states of coins, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinStates {
    /// The states.
    pub states: Vec<CoinState>,
}

impl Mint {
    /// How coins stand. A point names a coin without its keyset, so every keyset is looked at; if coins of several keysets have one secret,
    /// the state is that of the one that is furthest spent.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn check_state(&self, request: impl Sent<CheckStateRequest>) -> Result<CoinStates, Refusal> {
        let request = self.compute(move || request.receive()).await?;
        if request.ys.len() > self.settings.limits.inputs_max {
            return Err(Refusal::TooManyInputs(self.settings.limits.inputs_max));
        }
        let mut states = Vec::with_capacity(request.ys.len());
        for y in request.ys {
            states.push(self.coin_state(y).await?);
        }
        Ok(CoinStates { states })
    }

    async fn coin_state(&self, y: PublicKey) -> Result<CoinState, Refusal> {
        let state = |state: &str, witness| CoinState { y, state: state.to_owned(), witness };
        let mut found = state("UNSPENT", None);
        for keyset in self.keysets().iter() {
            match self.ledger.coin(&keyset.id(), &y).await? {
                Standing::Free => {}
                Standing::Pending => found = state("PENDING", None),
                Standing::Spent { witness } => {
                    let witness = String::from_utf8(witness).ok().filter(|witness| !witness.is_empty());
                    return Ok(state("SPENT", witness));
                }
            }
        }
        Ok(found)
    }

    /// The signatures on those of the outputs that were signed, with the same bytes as the first time.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn restore(&self, request: impl Sent<RestoreRequest>) -> Result<RestoreResponse, Refusal> {
        let limits = self.settings.limits;
        let request = self.compute(move || {
            let request = request.receive()?;
            request::outputs_shape(&request.outputs, &limits)?;
            Ok(request)
        });
        let mut found: Vec<(BlindedMessage, u64)> = Vec::new();
        for output in request.await?.outputs {
            if let Some(amount) = self.ledger.signed(&output.keyset_id, &output.blinded_secret).await? {
                found.push((output, amount));
            }
        }
        let keysets = Arc::clone(&self.keysets());
        self.compute(move || {
            let known = found.into_iter().filter(|(output, _)| keysets.get(&output.keyset_id).is_some());
            let (outputs, amounts): (Vec<_>, Vec<_>) = known.unzip();
            let parts = outputs.iter().zip(amounts);
            let parts = parts.map(|(output, amount)| (&output.keyset_id, &output.blinded_secret, amount));
            let signatures = request::sign(parts, &keysets);
            Ok(RestoreResponse { outputs, signatures })
        })
        .await
    }
}

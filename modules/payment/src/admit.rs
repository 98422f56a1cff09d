//! Who may ask now: each request is put to whoever serves a mint, a bank or a time-stamp authority, with its address and its cost, before anything of it is read.
//!
//! How often an address may ask is not decided here; what a request costs is, because it depends on what the request makes the mint or bank do.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::MethodRouter;

/// Takes the cost of a request from what its address may still ask for; `None` if the server does not know addresses.
///
/// # Errors
/// The request comes too soon, and how much.
pub type Admit = Arc<dyn Fn(Option<IpAddr>, Cost) -> Result<(), Duration> + Send + Sync>;

/// Lets everybody ask as often as they like.
pub fn everybody() -> Admit {
    Arc::new(|_, _| Ok(()))
}

/// What a request costs the third party, and so its asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// It reads little: keys, terms, states.
    Read,
    /// It is computed on, and stored if money stands behind it; or a bank has to be asked.
    Write,
    /// It stores something for whoever asks, though no money stands behind it yet.
    Offer,
}

impl Cost {
    /// The highest of all costs, in tokens: a bucket that holds fewer is not a useful one.
    pub const MAX: NonZeroU32 = Cost::Offer.tokens();

    /// In tokens.
    pub const fn tokens(self) -> NonZeroU32 {
        let tokens = match self {
            Cost::Read => 1,
            Cost::Write => 2,
            Cost::Offer => 20,
        };
        NonZeroU32::new(tokens).expect("no cost is zero")
    }
}

/// A route whose requests are put to `admit`. `refuse` answers those that come too soon by the seconds to wait, rounded up.
pub fn admitted<S: Clone + Send + Sync + 'static>(
    handler: MethodRouter<S>,
    admit: &Admit,
    cost: Cost,
    refuse: impl Fn(u64) -> Response + Clone + Send + Sync + 'static,
) -> MethodRouter<S> {
    let admit = admit.clone();
    handler.layer(from_fn(move |request: Request, next: Next| {
        let source = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let refused = admit(source, cost).err().map(|wait| refuse(wait.as_secs().saturating_add(1)));
        async move {
            match refused {
                Some(response) => response,
                None => next.run(request).await,
            }
        }
    }))
}

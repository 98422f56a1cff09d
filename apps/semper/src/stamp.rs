//! Asking a time-stamp authority (RFC 3161 §3.4): one request, one reply, checked before anything rests on it.

use semper_channel::ServiceClient;
use semper_core::imprint::Imprint;
use semper_support::channel::PostError;
use semper_support::crypto::{CryptoError, Randomness};
use semper_trust::timestamp::{QUERY, REPLY_BYTES_MAX, Reply, ReplyError, Request, Token};

/// Where the service is, below the address of an authority of ours.
pub const PATH: &str = "/tsa";
/// Most bytes of an answer; whoever makes the client bounds it.
pub const ANSWER_BYTES_MAX: usize = REPLY_BYTES_MAX;

/// Why nothing was dated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StampError {
    /// The authority cannot be reached. Ask again.
    #[error("the time-stamp authority {url} does not answer: {error}; nothing was dated, ask again later")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why.
        error: PostError,
    },
    /// It answered with something else than a reply.
    #[error("the time-stamp authority {url} answered with status {status}; nothing was dated")]
    Status {
        /// Its address.
        url: String,
        /// The status of HTTP.
        status: u16,
    },
    /// Its reply gives no token for this.
    #[error("{url}: {error}; nothing was dated")]
    Reply {
        /// Its address.
        url: String,
        /// Why.
        error: ReplyError,
    },
    /// No authority was named.
    #[error("name a time-stamp authority with --tsa, or with `semper settings dated-by`; nothing was dated")]
    NoAuthority,
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] CryptoError),
}

impl StampError {
    /// Whether it is worth the while to ask again.
    pub fn is_temporary(&self) -> bool {
        match self {
            StampError::Unreachable { error, .. } => matches!(error, PostError::Unreachable(_)),
            StampError::Status { status, .. } => *status >= 500 || *status == 429,
            StampError::Reply { .. } | StampError::Randomness(_) => true,
            StampError::NoAuthority => false,
        }
    }
}

/// Has an imprint dated by the authority at `url`: its reply, and the token in it.
///
/// # Errors
/// [`StampError`].
pub async fn ask(
    services: &ServiceClient,
    url: &str,
    imprint: Imprint,
    random: &dyn Randomness,
) -> Result<(Reply, Token), StampError> {
    let url = || url.to_owned();
    let request = Request::new(imprint, random)?;
    let query = request.to_der();
    let answer = services.ask(&url(), Some((QUERY, &query))).await;
    let answer = answer.map_err(|error| StampError::Unreachable { url: url(), error })?;
    if answer.status != 200 {
        return Err(StampError::Status { url: url(), status: answer.status });
    }
    let reply = Reply::from_der(&answer.body).map_err(|error| StampError::Reply { url: url(), error })?;
    let token = reply.token(&request).map_err(|error| StampError::Reply { url: url(), error })?;
    Ok((reply, token))
}

/// Whether a text is an address and not the name of a contact.
pub fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

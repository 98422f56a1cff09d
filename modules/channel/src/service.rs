//! Requests to services that answer everybody in the open: mints and banks.

use semper_support::channel::PostError;

use crate::client::{Client, ClientOptions, check_url};

/// A client for services, with the same rules as messages have: plain HTTP only where nobody is on the way, no redirects, no proxy
/// but the configured one, bounded answers.
pub struct ServiceClient(Client);

/// A service's answer, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl ServiceClient {
    /// A client with options.
    ///
    /// # Errors
    /// `Unusable`: a trust anchor or the proxy is malformed.
    pub fn new(options: &ClientOptions) -> Result<Self, PostError> {
        Client::new(options).map(Self)
    }

    /// Asks once: `POST` with a media type and a body, `GET` without.
    ///
    /// # Errors
    /// `Unreachable`: no answer, or one that says to come again later; it may have been done. `Misbehaved`: the answer is too
    /// large. `Unusable`: the address or media type.
    pub async fn ask(&self, url: &str, body: Option<(&str, &[u8])>) -> Result<ServiceAnswer, PostError> {
        self.0.ask(url, body).await
    }

    /// Whether an address can be asked at all.
    ///
    /// # Errors
    /// `Unusable`: malformed, or plain HTTP over a network.
    pub fn check(url: &str) -> Result<(), PostError> {
        check_url(url).map(drop)
    }
}

impl std::fmt::Debug for ServiceClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServiceClient")
    }
}

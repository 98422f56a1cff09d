//! The way to mints and banks.

use async_trait::async_trait;
use semper_channel::ServiceClient;
use semper_transfer::payment::module::{IssuerReply, IssuerRequest};

/// Asks issuers of money.
#[async_trait]
pub trait Issuers: Send + Sync {
    /// Sends a request once; the issuer's answer.
    ///
    /// # Errors
    /// No answer that ends the matter, and why, in words. The request may have been done: repeat it as it is.
    async fn ask(&self, request: &IssuerRequest) -> Result<IssuerReply, String>;
}

#[async_trait]
impl Issuers for ServiceClient {
    async fn ask(&self, request: &IssuerRequest) -> Result<IssuerReply, String> {
        let body = request.body.as_ref().map(|(media_type, body)| (media_type.as_str(), body.as_slice()));
        let answer = ServiceClient::ask(self, &request.url, body).await.map_err(|error| error.to_string())?;
        Ok(IssuerReply { status: answer.status, body: answer.body })
    }
}

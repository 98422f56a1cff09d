//! The HTTP client under [`HttpPost`](crate::HttpPost) and [`RelayInbox`](crate::RelayInbox): one POST, and what may come back.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{NoProxy, Response, StatusCode, Url, redirect, retry};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore, version};
use rustls_pki_types::CertificateDer;
use semper_support::channel::PostError;

use crate::problem::{PROBLEM_TYPE, Problem, ProblemKind};
use crate::service::ServiceAnswer;

/// Largest refusal that is read, in bytes.
const PROBLEM_BYTES_MAX: usize = 16 * 1024;
/// How long an unused connection is kept: shorter than a server's silence, or posts would begin on connections that just end.
const POOL_IDLE: Duration = Duration::from_secs(45);
/// What is reached without the proxy: it would look for these on its own machine.
const NEVER_PROXIED: &str = "127.0.0.0/8,::1,localhost";
/// Longest address, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// How to reach others.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Certification authorities whose certificates are accepted for `https` addresses. None: only plain addresses work.
    pub anchors: Vec<CertificateDer<'static>>,
    /// A proxy for everything but loopback, `socks5h://127.0.0.1:9050` for Tor (with `socks5` names would be looked up in the clear).
    /// Without one, `.onion` addresses are refused.
    pub proxy: Option<String>,
    /// How long a connection may take to be made.
    pub connect_patience: Duration,
    /// How long a post may take from connecting to the last byte of its answer. A long poll has its waiting time on top.
    pub patience: Duration,
    /// Largest answer that is read, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for ClientOptions {
    /// No authority, no proxy; 10 s to connect, 2 minutes in all.
    fn default() -> Self {
        Self {
            anchors: Vec::new(),
            proxy: None,
            connect_patience: Duration::from_secs(10),
            patience: Duration::from_secs(120),
            answer_bytes_max: crate::envelope::ANSWER_BYTES_MAX,
        }
    }
}

pub(crate) struct Client {
    http: reqwest::Client,
    has_proxy: bool,
    patience: Duration,
    answer_bytes_max: usize,
}

/// Why there is no answer: the channel's error, and the refusal behind it if there was one.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: PostError,
    pub(crate) problem: Option<Problem>,
}

impl From<PostError> for Failed {
    fn from(error: PostError) -> Self {
        Self { error, problem: None }
    }
}

impl Client {
    pub(crate) fn new(options: &ClientOptions) -> Result<Self, PostError> {
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(&options.anchors)?)
            .connect_timeout(options.connect_patience)
            .pool_idle_timeout(POOL_IDLE)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false);
        let builder = match &options.proxy {
            // Without this the environment of the process would decide where messages go.
            None => builder.no_proxy(),
            Some(url) => {
                let proxy =
                    reqwest::Proxy::all(url).map_err(|error| unusable(format!("proxy: {}", describe(error))))?;
                builder.proxy(proxy.no_proxy(NoProxy::from_string(NEVER_PROXIED)))
            }
        };
        let http = builder.build().map_err(|error| unusable(describe(error)))?;
        let has_proxy = options.proxy.is_some();
        Ok(Self { http, has_proxy, patience: options.patience, answer_bytes_max: options.answer_bytes_max })
    }

    /// Posts `body` once and gives the body of an answer of the expected type. `longer` is added to the patience.
    pub(crate) async fn post(
        &self,
        url: &str,
        content_type: &'static str,
        body: Vec<u8>,
        expected: &'static str,
        longer: Duration,
    ) -> Result<Vec<u8>, Failed> {
        let url = self.reachable(url)?;
        let patience = self.patience.saturating_add(longer);
        let request = self.http.post(url).header(CONTENT_TYPE, content_type).timeout(patience).body(body);
        let response = request.send().await.map_err(not_sent)?;
        if response.status() != StatusCode::OK {
            return Err(refused(response).await);
        }
        if !has_type(&response, expected) {
            return Err(misbehaved(format!("answered with another content type than {expected}")).into());
        }
        read(response, self.answer_bytes_max).await.map_err(Failed::from)
    }

    /// Asks once and gives the answer, whatever it says; one that says to come again later is none.
    pub(crate) async fn ask(&self, url: &str, body: Option<(&str, &[u8])>) -> Result<ServiceAnswer, PostError> {
        let url = self.reachable(url)?;
        let request = match body {
            None => self.http.get(url),
            Some((media_type, body)) => self.http.post(url).header(CONTENT_TYPE, media_type).body(body.to_vec()),
        };
        let response = request.timeout(self.patience).send().await.map_err(|error| not_sent(error).error)?;
        let status = response.status();
        if is_temporary(status) {
            return Err(PostError::Unreachable(format!("the server answered {status}")));
        }
        Ok(ServiceAnswer { status: status.as_u16(), body: read(response, self.answer_bytes_max).await? })
    }

    fn reachable(&self, url: &str) -> Result<Url, PostError> {
        let url = check_url(url)?;
        if is_onion(&url) && !self.has_proxy {
            // Looking the name up would tell the resolver what nobody is to know.
            return Err(unusable("an .onion address is reached through a Tor proxy only"));
        }
        Ok(url)
    }
}

fn tls(anchors: &[CertificateDer<'static>]) -> Result<ClientConfig, PostError> {
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor.clone()).map_err(|error| unusable(format!("trust anchor: {error}")))?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Plain HTTP would show everybody on the way who talks to whom: it is used only where nobody is on the way, or Tor is.
pub(crate) fn check_url(text: &str) -> Result<Url, PostError> {
    if text.len() > URL_BYTES_MAX {
        return Err(unusable("the address is longer than 2048 bytes"));
    }
    let url = Url::parse(text).map_err(|error| unusable(format!("the address is malformed: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(unusable("the address holds a user name, a password or a fragment"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_private(&url) => Ok(url),
        "http" => Err(unusable("plain http is used for loopback and .onion addresses only")),
        _ => Err(unusable("the address is neither https nor http")),
    }
}

fn is_private(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    literal.is_ok_and(|ip| ip.is_loopback()) || host == "localhost" || is_onion(url)
}

fn is_onion(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host.ends_with(".onion"))
}

async fn read(mut response: Response, max: usize) -> Result<Vec<u8>, PostError> {
    let too_large = || misbehaved(format!("the answer is larger than {max} bytes"));
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| PostError::Unreachable(describe(error)))? {
        if chunk.len() > max - body.len() {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a status other than 200 means. Only a refusal in our own words is final: anything else may come from something in between.
async fn refused(response: Response) -> Failed {
    let status = response.status();
    if status.is_redirection() {
        return misbehaved(format!("answered with a redirect ({status})")).into();
    }
    let is_problem = has_type(&response, PROBLEM_TYPE);
    let body = if is_problem { read(response, PROBLEM_BYTES_MAX).await.unwrap_or_default() } else { Vec::new() };
    let problem = Problem::parse(&body);
    let error = match &problem {
        Some(problem) if problem.kind.retry() => PostError::Unreachable(problem.detail.clone()),
        Some(problem) => PostError::Refused(format!("{}: {}", problem.kind.title(), problem.detail)),
        None if is_temporary(status) => PostError::Unreachable(format!("the server answered {status}")),
        None => misbehaved(format!("answered {status} without a reason")),
    };
    Failed { error, problem }
}

fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

fn has_type(response: &Response, expected: &str) -> bool {
    let found = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    found.is_some_and(|found| found.trim().eq_ignore_ascii_case(expected))
}

fn not_sent(error: reqwest::Error) -> Failed {
    let is_ours = error.is_builder();
    let text = describe(error);
    if is_ours { unusable(text).into() } else { PostError::Unreachable(text).into() }
}

/// The error with its causes, without the address: callers know it, and logs need not.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

pub(crate) fn unusable(text: impl Into<String>) -> PostError {
    PostError::Unusable(text.into())
}

pub(crate) fn misbehaved(text: impl Into<String>) -> PostError {
    PostError::Misbehaved(text.into())
}

impl Failed {
    /// The last number that a mailbox took, if it refused a request as used before.
    pub(crate) fn stale(&self) -> Option<u64> {
        self.problem.as_ref().filter(|problem| problem.kind == ProblemKind::Stale)?.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A contact card is written by a stranger: it must not make this node talk in the clear over the network.
    #[test]
    fn plain_http_is_for_loopback_and_onion_only() {
        for good in [
            "https://bob.example/inbox",
            "https://203.0.113.7:8443/inbox",
            "http://127.0.0.1:7000/inbox",
            "http://127.8.8.8/inbox",
            "http://[::1]:7000/inbox",
            "http://localhost/inbox",
            "http://expyuzz4wqqyqhjn.onion/inbox",
        ] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://bob.example/inbox",
            "http://203.0.113.7/inbox",
            "http://localhost.evil.example/inbox",
            "http://127.0.0.1.evil.example/inbox",
            "http://onion/inbox",
            "http://0.0.0.0/inbox",
            "ftp://127.0.0.1/inbox",
            "file:///etc/passwd",
            "https://user@bob.example/inbox",
            "https://bob.example/inbox#part",
            "inbox",
            "",
        ] {
            assert!(matches!(check_url(bad), Err(PostError::Unusable(_))), "{bad}");
        }
        assert!(check_url(&format!("https://bob.example/{}", "x".repeat(URL_BYTES_MAX))).is_err());
    }
}

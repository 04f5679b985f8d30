//! Outbound HTTP of the guest: denied unless the host and port were allowed by name.
//!
//! Speaks plain HTTP/1.1 only. An origin behind TLS is reached through a local proxy; the host does
//! not carry a TLS stack.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::limits::{
    OUTBOUND_BODY_BYTES_MAX, OUTBOUND_CONNECT_TIMEOUT, OUTBOUND_FIRST_BYTE_TIMEOUT,
};

/// One entry of the allow list: `http://host:port`, `http://*.example.org`, `*://host:*`, or the
/// bare `host:port` and `host` (any scheme; any port).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    scheme: Option<String>,
    host: HostPattern,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Any,
    Under(String),
    Exactly(String),
}

/// An entry of the allow list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("outbound host {given:?} is not understood: write scheme://host:port, host:port or host")]
pub struct AllowedHostError {
    given: String,
}

impl FromStr for AllowedHost {
    type Err = AllowedHostError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let refused = || AllowedHostError {
            given: given.to_owned(),
        };
        let (scheme, rest) = match given.split_once("://") {
            Some(("*", rest)) => (None, rest),
            Some((scheme @ ("http" | "https"), rest)) => (Some(scheme.to_owned()), rest),
            Some(_) => return Err(refused()),
            None => (None, given),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // The last colon separates a port unless it is inside an IPv6 literal's brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let port = match port {
            Some("*") => None,
            Some(port) => Some(port.parse().map_err(|_| refused())?),
            None => scheme.as_deref().and_then(default_port),
        };
        let host = match host {
            "*" => HostPattern::Any,
            host => match host.strip_prefix("*.") {
                Some(domain) => HostPattern::Under(format!(".{}", domain.to_ascii_lowercase())),
                None => HostPattern::Exactly(host.to_ascii_lowercase()),
            },
        };
        match &host {
            HostPattern::Exactly(name) if name.is_empty() || name.contains(['/', '*', '@']) => {
                Err(refused())
            }
            _ => Ok(Self { scheme, host, port }),
        }
    }
}

impl AllowedHost {
    fn covers(&self, uri: &Uri) -> bool {
        let Some(host) = uri.host().map(str::to_ascii_lowercase) else {
            return false;
        };
        let scheme = uri.scheme_str().unwrap_or("http");
        let port = uri.port_u16().or_else(|| default_port(scheme));
        let host_fits = match &self.host {
            HostPattern::Any => true,
            HostPattern::Under(suffix) => host.ends_with(suffix.as_str()),
            HostPattern::Exactly(name) => *name == host,
        };
        host_fits
            && self.scheme.as_deref().is_none_or(|wanted| wanted == scheme)
            && self.port.is_none_or(|wanted| Some(wanted) == port)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// The guest's way out, shared by every instance.
#[derive(Clone)]
pub struct Outbound {
    allowed: Arc<[AllowedHost]>,
    client: Client<HttpConnector, WasiBody>,
}

impl Outbound {
    /// Allows exactly `allowed`; an empty list denies everything.
    pub fn new(allowed: Vec<AllowedHost>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(OUTBOUND_CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        Self {
            allowed: allowed.into(),
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Whether the guest may send anything there.
    pub(crate) fn reaches(&self, uri: &Uri) -> bool {
        uri.scheme() != Some(&Scheme::HTTPS) && self.allowed.iter().any(|entry| entry.covers(uri))
    }

    fn permit(&self, uri: &Uri) -> Result<(), Error> {
        if !self.allowed.iter().any(|entry| entry.covers(uri)) {
            tracing::warn!(host = uri.host(), "outbound request denied: not allowed");
            return Err(Error::HttpRequestDenied);
        }
        if uri.scheme() == Some(&Scheme::HTTPS) {
            return Err(Error::InternalError(Some(
                "this host speaks no TLS: reach the origin over http or through a local proxy"
                    .to_owned(),
            )));
        }
        Ok(())
    }

    pub(crate) async fn send(
        self,
        request: http::Request<WasiBody>,
        first_byte_timeout: Duration,
    ) -> Result<http::Response<WasiBody>, Error> {
        self.permit(request.uri())?;
        let answer = timeout(first_byte_timeout, self.client.request(request)).await;
        let response = match answer {
            Err(_) => return Err(Error::HttpResponseTimeout),
            Ok(Err(error)) if error.is_connect() => return Err(Error::ConnectionRefused),
            Ok(Err(error)) => return Err(Error::InternalError(Some(error.to_string()))),
            Ok(Ok(response)) => response,
        };
        Ok(response.map(|body| {
            Limited::new(body, OUTBOUND_BODY_BYTES_MAX)
                .map_err(|_| Error::HttpResponseIncomplete)
                .boxed_unsync()
        }))
    }
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Outbound {
    fn default_scheme(&mut self) -> Option<Scheme> {
        Some(Scheme::HTTP)
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Io,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send> {
        let limit = options
            .and_then(|options| options.first_byte_timeout)
            .map_or(OUTBOUND_FIRST_BYTE_TIMEOUT, |asked| {
                asked.min(OUTBOUND_FIRST_BYTE_TIMEOUT)
            });
        let outbound = self.clone();
        Box::new(async move {
            let response = outbound.send(request, limit).await?;
            let io: Io = Box::new(std::future::ready(Ok(())));
            Ok((response, io))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(entry: &str, uri: &str) -> bool {
        let entry: AllowedHost = entry.parse().unwrap();
        entry.covers(&uri.parse().unwrap())
    }

    #[test]
    fn an_entry_covers_its_scheme_host_and_port_only() {
        assert!(covers("http://origin:8080", "http://origin:8080/v1/events"));
        assert!(covers("http://origin:8080", "http://ORIGIN:8080/"));
        assert!(!covers("http://origin:8080", "http://origin:8081/"));
        assert!(!covers("http://origin:8080", "https://origin:8080/"));
        assert!(!covers("http://origin:8080", "http://origin.evil:8080/"));
        assert!(covers("http://origin", "http://origin/"));
        assert!(!covers("http://origin", "http://origin:8080/"));
    }

    #[test]
    fn wildcards_cover_what_they_say() {
        assert!(covers("http://*.example.org", "http://a.example.org/"));
        assert!(!covers("http://*.example.org", "http://example.org/"));
        assert!(!covers("http://*.example.org", "http://evilexample.org/"));
        assert!(covers("*://origin:*", "https://origin:9/"));
        assert!(covers("127.0.0.1:9", "http://127.0.0.1:9/"));
        assert!(covers("127.0.0.1", "http://127.0.0.1:9/"));
        assert!(covers("http://[::1]:9", "http://[::1]:9/"));
    }

    #[test]
    fn nonsense_is_refused_with_the_remedy() {
        for given in [
            "",
            "http://",
            "ftp://x",
            "http://a/b",
            "host:port",
            "u@h",
            "a*b",
        ] {
            let error = given.parse::<AllowedHost>().unwrap_err();
            assert!(error.to_string().contains("host:port"), "{given}");
        }
    }
}

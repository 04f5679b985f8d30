//! The listener: connections in, requests through the gate into an instance, answers out.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use wasmtime::PoolConcurrencyLimitError;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::{InstantiationError, ProxyHandler};

use crate::cpu::Epochs;
use crate::engine::{Ticker, engine};
use crate::guest::{Guests, Services};
use crate::limits::{
    ADMISSION_WAIT, CONNECTIONS_MAX, DRAIN, HEADER_READ_TIMEOUT, INSTANCE_RETRY, INSTANCE_WALL_MAX,
    REQUEST_BODY_BYTES_MAX, TAKEN_OVER_BYTES_MAX,
};
use crate::outbound::Outbound;
use crate::outbox::Outbox;
use crate::routes::{Missing, instead};
use crate::settings::Settings;
use crate::store::cache::CachedStore;
use crate::store::{Store, StoreError};
use crate::turns::{Awaited, Gate, Turn, turn};
use crate::variables::Variables;

/// Where Spin tells its components the peer's address.
const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("spin-client-addr");

/// After a failed accept (no file handles left), how long others get to close theirs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the host does not start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The component's file cannot be read.
    #[error("component {} cannot be read: build it first, or name another", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no component, or imports what this host does not offer.
    #[error("component {} cannot be served: {reason}", path.display())]
    Component {
        /// The file.
        path: PathBuf,
        /// What the engine says.
        reason: String,
    },
    /// The store's URL is not understood.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine does not start, usually for want of address space: ask for fewer in flight.
    #[error("engine does not start: {0}; try a smaller --in-flight")]
    Engine(String),
    /// The address is taken or not ours.
    #[error("address {address} cannot be bound: choose another, or port 0")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A host that is bound and compiled, but does not serve yet.
pub struct Host {
    listener: TcpListener,
    shared: Arc<Shared>,
    outbox: Option<Outbox>,
    _ticker: Ticker,
}

struct Shared {
    handler: ProxyHandler<Guests>,
    gate: Gate,
}

impl Host {
    /// Compiles the component and binds the address.
    ///
    /// # Errors
    /// [`HostError`], when a setting does not work out.
    pub async fn new(settings: &Settings) -> Result<Self, HostError> {
        let path = &settings.component;
        let wasm = tokio::fs::read(path)
            .await
            .map_err(|source| HostError::Read {
                path: path.clone(),
                source,
            })?;
        let store = CachedStore::new(Store::from_url(&settings.kv)?, settings.cache_policy());
        tracing::info!(store = %store.store(), "key-value store");
        let variables = Variables::new(settings.variables(environment()));
        let outbound = Outbound::new(settings.allow_outbound.clone());
        let outbox = Outbox::new(&variables, &outbound);
        let services = Services {
            store,
            variables,
            outbound,
            outbox: outbox.clone(),
        };
        let epochs = Epochs::default();
        let engine = engine(settings.in_flight, settings.guest_memory_bytes)
            .map_err(|error| HostError::Engine(format!("{error:#}")))?;
        let ticker = Ticker::start(&engine, &epochs)
            .map_err(|error| HostError::Engine(error.to_string()))?;
        let guests = Guests::new(
            &engine,
            &wasm,
            services,
            epochs,
            settings.guest_memory_bytes,
        )
        .map_err(|error| HostError::Component {
            path: path.clone(),
            reason: format!("{error:#}"),
        })?;
        let listener =
            TcpListener::bind(settings.listen)
                .await
                .map_err(|source| HostError::Bind {
                    address: settings.listen,
                    source,
                })?;
        Ok(Self {
            listener,
            shared: Arc::new(Shared {
                handler: ProxyHandler::new(guests),
                gate: Gate::new(settings.in_flight),
            }),
            outbox,
            _ticker: ticker,
        })
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` resolves, then lets open requests finish for up to [`DRAIN`].
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        let (finish, finished) = oneshot::channel::<()>();
        let sender = self.outbox.map(|outbox| {
            tokio::spawn(outbox.run(async {
                let _ = finished.await;
            }))
        });
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&self.listener, &places) => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let Some((stream, peer, place)) = accepted else {
                continue;
            };
            let (shared, stopped) = (self.shared.clone(), stopped.clone());
            connections.spawn(async move {
                let _place = place;
                connection(shared, stream, peer, stopped).await;
            });
        }
        drop(self.listener);
        stopping.send_replace(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("requests were still open at the end of the drain; cut off");
        }
        drop(finish);
        if let Some(sender) = sender {
            // It ends after what was left has been sent, or refused.
            let _ = sender.await;
        }
    }
}

/// The environment, as far as it is text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<Accepted> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            tracing::warn!(%error, "accept failed");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    mut stopped: watch::Receiver<bool>,
) {
    // Small answers must not wait for an acknowledgement; a failure here only costs latency.
    let _ = stream.set_nodelay(true);
    let peer = HeaderValue::from_str(&peer.to_string()).ok();
    let service = service_fn(move |request| {
        let (shared, peer) = (shared.clone(), peer.clone());
        async move { Ok::<_, std::convert::Infallible>(answer(&shared, request, peer).await) }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    let stopping = async {
        // The sender outlives every connection.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let served = tokio::select! {
        served = &mut connection => served,
        () = stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended early");
    }
}

async fn answer(
    shared: &Shared,
    request: Request<Incoming>,
    peer: Option<HeaderValue>,
) -> Response<WasiBody> {
    let Some(permit) = shared.gate.enter().await else {
        return instead(Missing::Busy);
    };
    let (turn, awaited) = turn(permit);
    let began = Instant::now();
    match handled(&shared.handler, turn, inward(request, peer)).await {
        Ok(response) => outward(response, awaited).await,
        Err(error) => {
            let late = began.elapsed() >= INSTANCE_WALL_MAX;
            let out_of_cpu = awaited.verdict().is_out_of_cpu();
            let missing = Missing::from_error(&error, out_of_cpu, late);
            tracing::warn!(?missing, %error, "request was not answered by the component");
            instead(missing)
        }
    }
}

/// The answer as it leaves. A small one of a known length is taken over at once: its instance is free while the
/// connection is still writing, and head and body leave in one call to the system.
async fn outward(response: Response<WasiBody>, awaited: Awaited) -> Response<WasiBody> {
    let (parts, body) = response.into_parts();
    let body = Outward { body, awaited };
    if length(&parts.headers).is_none_or(|bytes| bytes > TAKEN_OVER_BYTES_MAX) {
        return Response::from_parts(parts, body.boxed_unsync());
    }
    match body.collect().await {
        Ok(whole) => {
            let whole = Full::new(whole.to_bytes()).map_err(|never| match never {});
            Response::from_parts(parts, whole.boxed_unsync())
        }
        // Half an answer: what has been promised in the head is not sent at all.
        Err(error) => {
            tracing::warn!(%error, "the component broke off its answer");
            instead(Missing::Failed)
        }
    }
}

fn length(headers: &http::HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The component's answer, once there is an instance for the request.
async fn handled(
    handler: &ProxyHandler<Guests>,
    mut turn: Turn,
    mut request: Request<WasiBody>,
) -> Result<Response<WasiBody>, wasmtime::Error> {
    let began = Instant::now();
    loop {
        let error = match handler.handle(turn, request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let taken = error.downcast::<InstantiationError<Turn>>()?;
        if began.elapsed() >= ADMISSION_WAIT || !taken.error.is::<PoolConcurrencyLimitError>() {
            return Err(taken.into());
        }
        turn = taken.request_data;
        request = taken
            .request
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        tokio::time::sleep(INSTANCE_RETRY).await;
    }
}

/// The request as the component sees it: an absolute URI, a bounded body, the peer's address.
fn inward(request: Request<Incoming>, peer: Option<HeaderValue>) -> Request<WasiBody> {
    let (mut parts, body) = request.into_parts();
    let named = parts.headers.get(HOST).and_then(|host| {
        let host = Bytes::copy_from_slice(host.as_bytes());
        Authority::from_maybe_shared(host).ok()
    });
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = uri
        .authority
        .or(named)
        .or_else(|| Some(Authority::from_static("localhost")));
    if uri.path_and_query.is_none() {
        uri.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    }
    // Cannot fail: all three parts are there. A root path is the harmless answer if it did.
    parts.uri = Uri::from_parts(uri).unwrap_or_else(|_| Uri::from_static("http://localhost/"));
    parts.headers.remove(CLIENT_ADDRESS);
    if let Some(peer) = peer {
        parts.headers.insert(CLIENT_ADDRESS, peer);
    }
    let body = Limited::new(body, REQUEST_BODY_BYTES_MAX).map_err(|_| {
        wasmtime_wasi_http::Error::HttpRequestBodySize(Some(REQUEST_BODY_BYTES_MAX as u64))
    });
    Request::from_parts(parts, body.boxed_unsync())
}

/// An answer's body; when it has left or was dropped, the instance's turn is over.
struct Outward {
    body: WasiBody,
    #[expect(dead_code, reason = "held for its drop")]
    awaited: Awaited,
}

impl Body for Outward {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

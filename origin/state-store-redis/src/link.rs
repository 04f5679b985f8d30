//! The way to Redis: one server or a cluster behind one call, which reconnects by itself.

use std::sync::Arc;

use mediaflow_ports::{PortResult, Slot};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::Mutex;

use crate::config::RedisConfig;
use crate::fault;
use crate::keys::Keys;
use crate::limits::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT, RETRY_PAUSE, TRIES_MAX};

#[derive(Clone)]
pub(crate) struct Link {
    way: Way,
    keys: Keys,
    place: Arc<str>,
}

#[derive(Clone)]
enum Way {
    Server(ConnectionManager),
    Cluster {
        client: Arc<ClusterClient>,
        /// Made on first use; afterwards it follows the cluster by itself.
        connection: Arc<Mutex<Option<ClusterConnection>>>,
    },
}

impl Link {
    /// Prepares a connection that is made on first use.
    pub fn new(config: &RedisConfig) -> PortResult<Self> {
        let failed = |e| fault::answer(&config.place, "prepare a connection", e);
        let way = if config.cluster {
            let client = ClusterClientBuilder::new(config.nodes.clone())
                .connection_timeout(CONNECT_TIMEOUT)
                .response_timeout(RESPONSE_TIMEOUT)
                .retries(TRIES_MAX)
                .build()
                .map_err(failed)?;
            Way::Cluster {
                client: Arc::new(client),
                connection: Arc::default(),
            }
        } else {
            let settings = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(CONNECT_TIMEOUT))
                .set_response_timeout(Some(RESPONSE_TIMEOUT))
                .set_number_of_retries(1);
            let client = redis::Client::open(config.nodes[0].clone()).map_err(failed)?;
            Way::Server(ConnectionManager::new_lazy_with_config(client, settings).map_err(failed)?)
        };
        Ok(Self {
            way,
            keys: Keys::new(&config.prefix),
            place: config.place.as_str().into(),
        })
    }

    /// The uri without secrets.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether commands over several slots are refused.
    pub fn is_cluster(&self) -> bool {
        matches!(self.way, Way::Cluster { .. })
    }

    /// Sends a command to the node of a slot, again when the connection broke: only for commands that may run twice.
    pub async fn call<T: FromRedisValue>(
        &self,
        slot: Slot,
        doing: &str,
        command: &Cmd,
    ) -> PortResult<T> {
        let mut pause = RETRY_PAUSE;
        let mut tried = 1;
        loop {
            let error = match self.send(slot, command).await {
                Ok(value) => {
                    return T::from_redis_value(value)
                        .map_err(|_| fault::nonsense(&self.place, doing));
                }
                Err(error) => error,
            };
            if tried == TRIES_MAX || !may_pass(&error) {
                return Err(fault::answer(&self.place, doing, error));
            }
            tracing::debug!(%error, tried, doing, "trying redis again");
            tokio::time::sleep(pause).await;
            pause *= 2;
            tried += 1;
        }
    }

    /// Sends a command once.
    pub async fn send(&self, slot: Slot, command: &Cmd) -> RedisResult<Value> {
        match &self.way {
            Way::Server(connection) => command.query_async(&mut connection.clone()).await,
            Way::Cluster { client, connection } => {
                let mut connection = {
                    let mut known = connection.lock().await;
                    match &*known {
                        Some(connection) => connection.clone(),
                        None => known.insert(client.get_async_connection().await?).clone(),
                    }
                };
                let route = Route::with_key(self.keys.tag(slot).as_bytes(), SlotAddr::Master);
                let routing = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(route));
                // Unlike a server's, a cluster's answers hold refusals as values.
                let answer = connection.route_command(command.clone(), routing).await;
                answer.and_then(Value::extract_error).map_err(away)
            }
        }
    }
}

/// While a slot's node is away the client asks another one, which only says whose the slot is.
fn away(error: RedisError) -> RedisError {
    match error.code() {
        Some("MOVED" | "ASK") => RedisError::from((
            ErrorKind::ClusterConnectionNotFound,
            "the node of a slot is away",
            error.to_string(),
        )),
        _ => error,
    }
}

/// Whether the same command may succeed in a moment.
pub(crate) fn may_pass(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || matches!(
            error.kind(),
            ErrorKind::ClusterConnectionNotFound
                | ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                        | ServerErrorKind::TryAgain
                        | ServerErrorKind::ClusterDown
                        | ServerErrorKind::MasterDown
                )
        )
}

/// Whether the node does not know the script.
pub(crate) fn lacks_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

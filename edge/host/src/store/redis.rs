//! Redis: one multiplexed connection that reconnects by itself. Keys are used verbatim.

use bytes::Bytes;
use redis::AsyncCommands;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use super::StoreError;
use crate::limits::{KEYS_LISTED_MAX, STORE_TIMEOUT};

/// Keys asked for per `SCAN`: large enough to be few round trips, small enough not to stall the
/// server.
const SCAN_COUNT: usize = 1000;

/// A Redis server.
#[derive(Clone)]
pub struct Redis {
    address: String,
    connection: ConnectionManager,
}

impl Redis {
    /// Needs a running tokio runtime, but no running server.
    pub(super) fn new(url: &str) -> Result<Self, StoreError> {
        let refused = |error: redis::RedisError| StoreError::Url {
            // The URL may hold a password.
            url: "redis://…".to_owned(),
            reason: error.to_string(),
        };
        let client = redis::Client::open(url).map_err(refused)?;
        let address = client.get_connection_info().addr().to_string();
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(STORE_TIMEOUT))
            .set_response_timeout(Some(STORE_TIMEOUT));
        let connection =
            ConnectionManager::new_lazy_with_config(client, config).map_err(refused)?;
        Ok(Self {
            address,
            connection,
        })
    }

    pub(super) async fn read(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let value: Option<Vec<u8>> = self.connection.clone().get(key).await?;
        Ok(value.map(Bytes::from))
    }

    pub(super) async fn write(&self, key: &str, value: Bytes) -> Result<(), StoreError> {
        Ok(self.connection.clone().set(key, value.as_ref()).await?)
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        Ok(self.connection.clone().del(key).await?)
    }

    pub(super) async fn keys(&self) -> Result<Vec<String>, StoreError> {
        let mut connection = self.connection.clone();
        let mut keys = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let (next, mut batch): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("COUNT")
                .arg(SCAN_COUNT)
                .query_async(&mut connection)
                .await?;
            keys.append(&mut batch);
            if next == 0 || keys.len() >= KEYS_LISTED_MAX {
                // SCAN may return a key twice.
                keys.sort_unstable();
                keys.dedup();
                keys.truncate(KEYS_LISTED_MAX);
                return Ok(keys);
            }
            cursor = next;
        }
    }
}

impl From<redis::RedisError> for StoreError {
    fn from(error: redis::RedisError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl std::fmt::Display for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address)
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis")
            .field("address", &self.address)
            .finish()
    }
}

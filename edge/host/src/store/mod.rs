//! The key-value stores behind `spin:key-value`: Redis, an HTTP namespace, a folder.
//!
//! Keys and values pass verbatim, so the origin may write the blobs of all three. Every operation
//! ends within [`STORE_TIMEOUT`]; a fault is an error for the component, never for the host. In
//! front of them stands [`cache`]; nothing here decides what is cached.

pub mod cache;
mod folder;
mod namespace;
mod redis;

use bytes::Bytes;
use tokio::time::timeout;

use crate::limits::{KEY_BYTES_MAX, STORE_TIMEOUT, VALUE_BYTES_MAX};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The URL names no kind of store that is built in.
    #[error(
        "store {url:?} is not understood: give redis://host:port, http://host:port/path or a folder ({reason})"
    )]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is empty or longer than [`KEY_BYTES_MAX`].
    #[error("key of {bytes} bytes is refused: keys have 1 to {KEY_BYTES_MAX} bytes")]
    Key {
        /// Its length.
        bytes: usize,
    },
    /// The value is larger than [`VALUE_BYTES_MAX`].
    #[error("value of {key:?} is refused: values have at most {VALUE_BYTES_MAX} bytes")]
    Value {
        /// Its key.
        key: String,
    },
    /// No answer within [`STORE_TIMEOUT`].
    #[error("store gave no answer within {} ms", STORE_TIMEOUT.as_millis())]
    Slow,
    /// The store answered, but not with what was asked for.
    #[error("store failed: {0}")]
    Failed(String),
}

/// One of the stores that are built in.
#[derive(Debug, Clone)]
pub enum Store {
    /// A Redis server; keys are used verbatim, as Spin's own Redis store does.
    Redis(redis::Redis),
    /// A Workers KV namespace in the protocol workerd speaks, as the origin serves it.
    Namespace(namespace::Namespace),
    /// A folder with one file per key.
    Folder(folder::Folder),
}

impl Store {
    /// Chooses the store by the URL's scheme; without one it is a folder. Connects lazily, so a
    /// store that is down does not keep the host from starting.
    ///
    /// # Errors
    /// [`StoreError::Url`].
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        match url.split_once("://") {
            Some(("redis", _)) => redis::Redis::new(url).map(Self::Redis),
            Some(("http", _)) => namespace::Namespace::new(url).map(Self::Namespace),
            Some(("file", path)) => Ok(Self::Folder(folder::Folder::new(path))),
            Some((scheme, _)) => Err(StoreError::Url {
                // The rest may hold a password.
                url: format!("{scheme}://…"),
                reason: format!("scheme {scheme} is not built in"),
            }),
            None => Ok(Self::Folder(folder::Folder::new(url))),
        }
    }

    /// The value under `key`, `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError`], when the key is refused or the store does not answer as it should.
    pub async fn read(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        check_key(key)?;
        let value = within(async {
            match self {
                Self::Redis(store) => store.read(key).await,
                Self::Namespace(store) => store.read(key).await,
                Self::Folder(store) => store.read(key).await,
            }
        })
        .await?;
        match value {
            Some(value) if value.len() > VALUE_BYTES_MAX => Err(StoreError::Value {
                key: key.to_owned(),
            }),
            value => Ok(value),
        }
    }

    /// Writes `value` under `key`.
    ///
    /// # Errors
    /// As [`Store::read`], and [`StoreError::Value`] when it is too large.
    pub async fn write(&self, key: &str, value: Bytes) -> Result<(), StoreError> {
        check_key(key)?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(StoreError::Value {
                key: key.to_owned(),
            });
        }
        within(async {
            match self {
                Self::Redis(store) => store.write(key, value).await,
                Self::Namespace(store) => store.write(key, value).await,
                Self::Folder(store) => store.write(key, value).await,
            }
        })
        .await
    }

    /// Removes `key`; that it was not there is no error.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        check_key(key)?;
        within(async {
            match self {
                Self::Redis(store) => store.delete(key).await,
                Self::Namespace(store) => store.delete(key).await,
                Self::Folder(store) => store.delete(key).await,
            }
        })
        .await
    }

    /// Every key, in no order, at most [`crate::limits::KEYS_LISTED_MAX`] of them.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn keys(&self) -> Result<Vec<String>, StoreError> {
        within(async {
            match self {
                Self::Redis(store) => store.keys().await,
                Self::Namespace(store) => store.keys().await,
                Self::Folder(store) => store.keys().await,
            }
        })
        .await
    }
}

impl std::fmt::Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Redis(store) => write!(f, "redis at {store}"),
            Self::Namespace(store) => write!(f, "key-value namespace at {store}"),
            Self::Folder(store) => write!(f, "folder {store}"),
        }
    }
}

async fn within<T>(
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(STORE_TIMEOUT, operation)
        .await
        .unwrap_or(Err(StoreError::Slow))
}

fn check_key(key: &str) -> Result<(), StoreError> {
    match key.len() {
        1..=KEY_BYTES_MAX => Ok(()),
        bytes => Err(StoreError::Key { bytes }),
    }
}

/// `key` with every byte outside RFC 3986's unreserved set percent-encoded: one path segment, one
/// file name.
fn encoded(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 8);
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(byte.into()),
            // A dot is unreserved, but a key `..` must stay a name.
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The key `encoded` made this from, `None` when it did not.
fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&pair).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_key_is_one_path_segment_and_comes_back() {
        for key in ["f/daily/home", "..", "a%2Fb", "ключ", "r/x y?z#"] {
            let name = encoded(key);
            assert!(!name.contains(['/', '.', '?', '#', ' ']), "{name}");
            assert_eq!(decoded(&name).as_deref(), Some(key));
        }
    }

    #[test]
    fn a_name_that_was_not_encoded_is_no_key() {
        assert_eq!(decoded("a%2"), None);
        assert_eq!(decoded("%FF%FE"), None);
    }

    #[test]
    fn an_unknown_scheme_is_refused_with_what_is_built_in() {
        let error = Store::from_url("ftp://me:hush@x").unwrap_err().to_string();
        assert!(
            error.contains("ftp") && error.contains("redis://") && !error.contains("hush"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_empty_or_endless_key_is_refused_before_the_store_sees_it() {
        let store = Store::from_url("/nonexistent").unwrap();
        assert!(matches!(
            store.read("").await,
            Err(StoreError::Key { bytes: 0 })
        ));
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        assert!(matches!(
            store.delete(&long).await,
            Err(StoreError::Key { .. })
        ));
    }
}

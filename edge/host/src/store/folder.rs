//! A folder: one file per key, its name the percent-encoded key. For trying things out.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::fs;

use super::{StoreError, decoded, encoded};
use crate::limits::KEYS_LISTED_MAX;

/// Marks a file that is still being written; no encoded key contains a dot.
const UNFINISHED: &str = ".unfinished";

/// A folder of values.
#[derive(Debug, Clone)]
pub struct Folder {
    path: Arc<PathBuf>,
    writes: Arc<AtomicU64>,
}

impl Folder {
    pub(super) fn new(path: &str) -> Self {
        Self {
            path: Arc::new(PathBuf::from(path)),
            writes: Arc::default(),
        }
    }

    pub(super) async fn read(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        match fs::read(self.path.join(encoded(key))).await {
            Ok(value) => Ok(Some(value.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(super) async fn write(&self, key: &str, value: Bytes) -> Result<(), StoreError> {
        let name = encoded(key);
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.path.join(format!(
            "{name}.{}.{number}{UNFINISHED}",
            std::process::id()
        ));
        fs::create_dir_all(self.path.as_ref())
            .await
            .map_err(|e| self.failed(&e))?;
        fs::write(&unfinished, &value)
            .await
            .map_err(|e| self.failed(&e))?;
        fs::rename(&unfinished, self.path.join(name))
            .await
            .map_err(|e| self.failed(&e))
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match fs::remove_file(self.path.join(encoded(key))).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failed(&error)),
            _ => Ok(()),
        }
    }

    pub(super) async fn keys(&self) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        let mut files = match fs::read_dir(self.path.as_ref()).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(keys),
            files => files.map_err(|e| self.failed(&e))?,
        };
        while let Some(file) = files.next_entry().await.map_err(|e| self.failed(&e))? {
            let name = file.file_name();
            let name = name.to_str().filter(|name| !name.ends_with(UNFINISHED));
            keys.extend(name.and_then(decoded));
            if keys.len() == KEYS_LISTED_MAX {
                break;
            }
        }
        Ok(keys)
    }

    fn failed(&self, error: &std::io::Error) -> StoreError {
        StoreError::Failed(format!("{self}: {error}"))
    }
}

impl std::fmt::Display for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_is_read_listed_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::new(folder.path().to_str().unwrap());
        assert_eq!(store.read("f/a/b").await.unwrap(), None);
        store
            .write("f/a/b", Bytes::from_static(b"one"))
            .await
            .unwrap();
        store
            .write("f/a/b", Bytes::from_static(b"two"))
            .await
            .unwrap();
        assert_eq!(
            store.read("f/a/b").await.unwrap().as_deref(),
            Some(&b"two"[..])
        );
        assert_eq!(store.keys().await.unwrap(), ["f/a/b"]);
        store.delete("f/a/b").await.unwrap();
        store.delete("f/a/b").await.unwrap();
        assert!(store.keys().await.unwrap().is_empty());
    }
}

//! `spin:key-value`: the store labelled `default` over the cached store, and `outbox`, which only takes.

use bytes::Bytes;
use wasmtime::component::{
    Access, Accessor, FutureReader, HasData, Resource, ResourceTable, StreamReader,
};

use crate::bindings::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore};
use crate::limits::OPEN_STORES_MAX;
use crate::outbox::{self, Outbox};
use crate::store::StoreError;
use crate::store::cache::CachedStore;

/// The label of the store that can be read.
const LABEL: &str = "default";

/// What a guest's `store` resource stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenStore {
    /// The shared store.
    Default,
    /// The outbox.
    Outbox,
}

/// The instance's view: its resources, and the store they all share.
pub struct KeyValueView<'a> {
    /// Where the open stores are.
    pub table: &'a mut ResourceTable,
    /// The store behind them.
    pub store: &'a CachedStore,
    /// What takes records to be sent on, where there is anything.
    pub outbox: Option<&'a Outbox>,
    /// How many are open.
    pub open: &'a mut usize,
}

/// Ties [`KeyValueView`] to the bindings.
pub struct KeyValue;

impl HasData for KeyValue {
    type Data<'a> = KeyValueView<'a>;
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

impl Host for KeyValueView<'_> {}

impl HostStore for KeyValueView<'_> {
    fn drop(&mut self, store: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        *self.open -= 1;
        Ok(())
    }
}

impl<T: Send> HostStoreWithStore<T> for KeyValue {
    async fn open(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> wasmtime::Result<Result<Resource<OpenStore>, Error>> {
        accessor.with(|mut access| {
            let view = access.get();
            let store = match label.as_str() {
                LABEL => OpenStore::Default,
                outbox::LABEL if view.outbox.is_some() => OpenStore::Outbox,
                _ => return Ok(Err(Error::NoSuchStore)),
            };
            if *view.open >= OPEN_STORES_MAX {
                return Ok(Err(Error::StoreTableFull));
            }
            let store = view.table.push(store)?;
            *view.open += 1;
            Ok(Ok(store))
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let value = behind(accessor, &store)?.read(&key).await;
        Ok(value
            .map(|value| value.map(Into::into))
            .map_err(|error| reported(&key, error)))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        if let Some(outbox) = outbox_behind(accessor, &store)? {
            return Ok(outbox
                .add(&key, value)
                .map_err(|error| Error::Other(error.to_string())));
        }
        let store = behind(accessor, &store)?;
        let written = store.write(&key, Bytes::from(value)).await;
        Ok(written.map_err(|error| reported(&key, error)))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let deleted = behind(accessor, &store)?.delete(&key).await;
        Ok(deleted.map_err(|error| reported(&key, error)))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let value = behind(accessor, &store)?.read(&key).await;
        Ok(value
            .map(|value| value.is_some())
            .map_err(|error| reported(&key, error)))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let listed = behind(accessor, &store)?.store().keys().await;
        let (keys, end) = match listed {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(reported("", error))),
        };
        accessor.with(|mut access: Access<'_, T, Self>| {
            let keys = StreamReader::new(&mut access, keys)?;
            let end = FutureReader::new(&mut access, async move { wasmtime::error::Ok(end) })?;
            Ok((keys, end))
        })
    }
}

/// The outbox, if that is what the open store stands for.
fn outbox_behind<T: Send>(
    accessor: &Accessor<T, KeyValue>,
    store: &Resource<OpenStore>,
) -> wasmtime::Result<Option<Outbox>> {
    accessor.with(|mut access| {
        let view = access.get();
        let open = *view.table.get(store)?;
        Ok(view.outbox.filter(|_| open == OpenStore::Outbox).cloned())
    })
}

/// The store behind an open one; a resource the guest does not hold is a trap, and so is reading the outbox.
fn behind<T: Send>(
    accessor: &Accessor<T, KeyValue>,
    store: &Resource<OpenStore>,
) -> wasmtime::Result<CachedStore> {
    accessor.with(|mut access| {
        let view = access.get();
        if *view.table.get(store)? == OpenStore::Outbox {
            return Err(wasmtime::format_err!(
                "the outbox only takes: nothing can be read from it"
            ));
        }
        Ok(view.store.clone())
    })
}

fn reported(key: &str, error: StoreError) -> Error {
    tracing::warn!(key, %error, "key-value operation failed");
    error.into()
}

//! Instances of the component: what each one may use, and how they take turns.
//!
//! One instance answers one request at a time, up to [`REQUESTS_PER_INSTANCE`] of them, so that a
//! guest that traps or is stopped takes only its own request with it. (Work a guest left running
//! after its answer dies with its instance too.) Instances share nothing but the stores behind
//! the host's interfaces.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;
use wasmtime::component::{Component, GuestTaskId, Linker, ResourceTable};
use wasmtime::{Engine, Store, StoreContextMut, StoreLimits, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::bindings::spin;
use crate::cpu::{Epochs, Meter};
use crate::key_value::{KeyValue, KeyValueView};
use crate::limits::{INSTANCE_WALL_MAX, REQUESTS_PER_INSTANCE};
use crate::outbound::Outbound;
use crate::outbox::Outbox;
use crate::store::cache::CachedStore;
use crate::turns::{Turn, Turns};
use crate::variables::Variables;

/// What wasmtime calls a worker that was dropped before it ended.
const DROPPED: &str = "worker panicked";

/// What every instance may reach.
#[derive(Clone)]
pub struct Services {
    /// Behind `spin:key-value`.
    pub store: CachedStore,
    /// Behind `spin:variables`.
    pub variables: Variables,
    /// Behind `wasi:http/client`.
    pub outbound: Outbound,
    /// Behind the store `outbox`, where there is one.
    pub outbox: Option<Outbox>,
}

/// The data of one instance's store.
pub struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    limits: StoreLimits,
    services: Services,
    open_stores: usize,
    meter: Meter,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.services.outbound,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl Guest {
    fn key_value(&mut self) -> KeyValueView<'_> {
        KeyValueView {
            table: &mut self.table,
            store: &self.services.store,
            outbox: self.services.outbox.as_ref(),
            open: &mut self.open_stores,
        }
    }

    fn variables(&mut self) -> &mut Variables {
        &mut self.services.variables
    }
}

/// The component, linked and ready to be instantiated.
pub struct Guests {
    engine: Engine,
    component: ProxyPre<Guest>,
    services: Services,
    epochs: Epochs,
    memory_bytes_max: usize,
}

impl Guests {
    /// Compiles and links `wasm`.
    ///
    /// # Errors
    /// When it is no component, or imports what this host does not offer.
    pub fn new(
        engine: &Engine,
        wasm: &[u8],
        services: Services,
        epochs: Epochs,
        memory_bytes_max: usize,
    ) -> wasmtime::Result<Self> {
        let component = Component::new(engine, wasm)?;
        let mut linker = Linker::<Guest>::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        spin::key_value::key_value::add_to_linker::<_, KeyValue>(&mut linker, Guest::key_value)?;
        spin::variables::variables::add_to_linker::<_, Variables>(&mut linker, Guest::variables)?;
        let component = ServicePre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self {
            engine: engine.clone(),
            component: ProxyPre::P3(component),
            services,
            epochs,
            memory_bytes_max,
        })
    }

    fn store(&self) -> Store<Guest> {
        let guest = Guest {
            // No arguments, environment, folders or sockets; panics of the guest go to our stderr.
            wasi: WasiCtx::builder().inherit_stderr().build(),
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            limits: StoreLimitsBuilder::new()
                .memory_size(self.memory_bytes_max)
                .build(),
            services: self.services.clone(),
            open_stores: 0,
            meter: Meter::new(self.epochs.clone()),
        };
        let mut store = Store::new(&self.engine, guest);
        store.limiter(|guest| &mut guest.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| {
            let meter = &mut store.data_mut().meter;
            Ok(if meter.may_go_on() {
                UpdateDeadline::YieldCustom(1, Box::pin(meter.yield_once()))
            } else {
                UpdateDeadline::Interrupt
            })
        });
        store
    }
}

impl HandlerState for Guests {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiration, Worker>> {
        let mut store = self.store();
        let proxy = self.component.instantiate_async(&mut store).await?;
        let turns = Arc::new(Turns::default());
        Ok(Instance {
            store,
            proxy,
            view: Guest::http,
            expiration: Expiration {
                turns: turns.clone(),
                armed: Box::pin(tokio::time::sleep(INSTANCE_WALL_MAX)),
            },
            state: Worker { turns },
        })
    }
}

/// Decides which requests an instance takes.
pub struct Worker {
    turns: Arc<Turns>,
}

impl WorkerState for Worker {
    type StoreData = Guest;
    type RequestData = Turn;

    fn should_accept_request(&self, running: usize, answered: usize) -> ShouldAccept {
        if answered >= REQUESTS_PER_INSTANCE {
            ShouldAccept::Never
        } else if running > 0 || !self.turns.is_free() {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, Guest>,
        turn: Turn,
        _task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let (verdict, permit) = turn.enter(&self.turns);
        store.data_mut().meter.start(verdict);
        store.set_epoch_deadline(1);
        Box::pin(async move {
            // Kept until the guest is done, even if the reader has hung up by then: what counts
            // against the limit is the guest.
            let _permit = permit;
            // Expiry is enforced by `Expiration`, which works while the guest runs, too.
            std::future::pending().await
        })
    }

    fn drop(&self, _store: Store<Guest>, result: Result<(), wasmtime::Error>) {
        let Err(error) = result else { return };
        // Dropped with the runtime at the end of the program; wasmtime reports that as a panic too.
        if error.to_string() == DROPPED && !std::thread::panicking() {
            return;
        }
        tracing::warn!(error = %format!("{error:#}"), "instance ended early");
    }
}

/// Ends an instance that has stayed in one state for [`INSTANCE_WALL_MAX`].
pub struct Expiration {
    turns: Arc<Turns>,
    armed: Pin<Box<Sleep>>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        self.turns.wake_when_free(cx);
        // The timer is only moved when it fires, since states change with every request.
        while self.armed.as_mut().poll(cx).is_ready() {
            let deadline = start + INSTANCE_WALL_MAX;
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.armed.as_mut().reset(deadline.into());
        }
        Poll::Pending
    }
}

//! The engine: pooled instances that start in microseconds, and a ticker that interrupts loops.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use std::sync::Arc;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::cpu::Epochs;
use crate::limits::{
    CORE_INSTANCES_PER_COMPONENT, EPOCH_TICK, INSTANCES_PER_IN_FLIGHT, KEEP_RESIDENT_BYTES,
    TABLE_ELEMENTS_MAX,
};

/// An engine whose epochs advance as long as its [`Ticker`] lives.
pub fn engine(in_flight: usize, guest_memory_bytes: usize) -> wasmtime::Result<Engine> {
    let instances = u32::try_from(in_flight.saturating_mul(INSTANCES_PER_IN_FLIGHT))?;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(4))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(4))
        .total_stacks(instances)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(1)
        .max_tables_per_component(4)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_memory_size(guest_memory_bytes)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        // Which pages an instance touched is asked of the kernel, where it can tell.
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        // A trap is reported by its reason; a backtrace per trap would make traps an attack.
        .wasm_backtrace_max_frames(None);
    Engine::new(&config)
}

/// The thread that advances the epoch; it ends when this is dropped.
#[derive(Debug)]
pub struct Ticker {
    alive: Arc<AtomicBool>,
}

impl Ticker {
    /// Starts ticking for `engine`, counting along in `epochs`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(engine: &Engine, epochs: &Epochs) -> std::io::Result<Self> {
        let alive = Arc::new(AtomicBool::new(true));
        let (engine, epochs) = (engine.weak(), epochs.clone());
        let watched: Weak<AtomicBool> = Arc::downgrade(&alive);
        thread::Builder::new()
            .name("epochs".to_owned())
            .spawn(move || {
                while watched
                    .upgrade()
                    .is_some_and(|alive| alive.load(Ordering::Relaxed))
                {
                    thread::sleep(EPOCH_TICK);
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    epochs.fetch_add(1, Ordering::Relaxed);
                    engine.increment_epoch();
                }
            })?;
        Ok(Self { alive })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::Relaxed);
    }
}

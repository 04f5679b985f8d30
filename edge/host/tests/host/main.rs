//! The host with a guest that misbehaves: isolation, bounds, stores, faults.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod edge;
mod isolation;
mod program;
mod stores;
mod world;

//! The whole edge request against a platform in memory.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod adapters;
mod events;
mod feed;
mod ladder;
mod me;
mod page;
mod world;

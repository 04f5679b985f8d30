//! A host for the Spin component of the edge, on wasmtime: the way to serve MediaFlow's edge
//! outside Cloudflare, and the place where the component is tested.
//!
//! The path of a request: [`server`] accepts it, [`turns`] admits it or says when to come back,
//! [`guest`] runs it in a pooled instance that is metered by [`cpu`] and interrupted by
//! [`engine`]'s ticker, [`routes`] answers where the component could not. What the guest asks for
//! on the way goes to [`key_value`] (over [`store`], with memory in front), [`variables`],
//! [`outbound`] and [`outbox`]. Every bound is in [`limits`].
//!
//! It never looks into requests, values or answers: whatever MediaFlow means by them is decided
//! in the component. It is not Spin: it serves one component on all routes, offers
//! `spin:key-value` 3.0.0, `spin:variables` 3.0.0, WASI 0.2 and 0.3 and nothing else, reads flags
//! instead of `spin.toml`, and speaks neither TLS nor HTTP/2. A real `spin up` was not tried,
//! since Spin's binary is not in any package registry.

pub mod server;
pub mod settings;

pub mod turns;

pub mod cpu;
pub mod engine;
pub mod guest;

mod bindings;
pub mod key_value;
pub mod outbound;
pub mod outbox;
pub mod store;
pub mod variables;

pub mod limits;
pub mod routes;

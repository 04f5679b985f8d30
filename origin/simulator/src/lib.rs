//! A simulated publisher that speaks the real wire formats, and the readers of it.
//!
//! Data path: [`world`] makes the content of a day from a seed → [`serve`] shows it as twelve content systems over
//! HTTP (WordPress, Drupal, three of their own), as a clock runs → ingest reads them by [`config::sources_toml`].
//! [`readers`] invents people with hidden tastes and the model by which they click; [`drive`] sends them to a real
//! edge and reports the click-through rate of personalized against editorial feeds. [`stream`] makes events and
//! histories for load and size measurements without any server.
//!
//! Everything but the servers and the driver is pure: the same seed gives the same bytes. Never: a model of
//! MediaFlow's own ranking, an adapter, a service, a file.

pub mod brands;
pub mod client;
pub mod clock;
pub mod cms;
pub mod config;
pub mod drive;
pub mod error;
pub mod estimate;
pub mod limits;
pub mod raw;
pub mod readers;
pub mod rng;
pub mod serve;
pub mod stream;
pub mod text;
pub mod visits;
pub mod webhook;
pub mod words;
pub mod world;

pub use clock::Clock;
pub use drive::{DriveConfig, Report, Until, drive};
pub use error::SimulatorError;
pub use serve::{Running, Webhooks, serve};
pub use stream::{events, profiles};
pub use world::{World, world};

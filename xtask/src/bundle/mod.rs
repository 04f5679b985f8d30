//! What is deployed or published, from the compiler's output to the finished files.
//!
//! ```text
//! cargo (profile edge) ─► wasm-bindgen, as a library ─► wasm-opt ─► target/worker, target/npm
//! cargo (wasm32-wasip2) ─► the component, where spin.toml names it
//! ```
//!
//! Nothing is fetched here: wasm-bindgen is a crate, wasm-opt an npm package of `tests/js`.

mod component;
mod empty;
mod npm;
mod optimize;
mod size;
mod worker;

pub use component::{build_component, component_file};
pub use empty::build_empty_worker;
pub use npm::build_wasm;
pub use size::{bundle_size, file_size};
pub use worker::{WORKERD_CONFIG, build_worker};

/// The cargo profile of everything that runs as WebAssembly.
const PROFILE: &str = "edge";

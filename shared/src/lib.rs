//! Contracts and pure ranking logic of MediaFlow: the one crate that origin, edge and browser share.
//!
//! The path of data: [`content`] and [`event`] come in; the origin folds them into a [`profile`] blob per
//! reader, a [`front`] per brand and surface, [`rules`] and a [`model`]; [`rank`] turns those four into a
//! slate with reasons; [`feed`] writes it as JSON Feed; [`served`] records what was shown.
//!
//! Never here: IO, clocks, async, randomness, floats that decide an order. Everything is total: bad bytes
//! give `Err`, and the same input gives the same bits natively and in WebAssembly.

pub mod id;
mod text;
pub mod time;

pub mod topics;

pub mod content;
pub mod event;

pub mod wire;

pub mod front;
pub mod model;
pub mod profile;
pub mod rules;
pub mod served;
pub mod signals;

pub mod candidate;
pub mod classic;
pub mod feed;
pub mod rank;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

//! Values that are text on the wire, parsed where the text lies: `Cow` would copy each of them first.

use core::fmt;
use core::marker::PhantomData;
use serde::de::{Error, Visitor};

/// A visitor that hands the text to `parse`.
pub(crate) struct Parsed<T, E, F: FnOnce(&str) -> Result<T, E>> {
    what: &'static str,
    parse: F,
    of: PhantomData<(T, E)>,
}

impl<T, E, F: FnOnce(&str) -> Result<T, E>> Parsed<T, E, F> {
    /// `what` is expected, as a message says it.
    pub(crate) fn new(what: &'static str, parse: F) -> Self {
        Self {
            what,
            parse,
            of: PhantomData,
        }
    }
}

impl<T, E: fmt::Display, F: FnOnce(&str) -> Result<T, E>> Visitor<'_> for Parsed<T, E, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<D: Error>(self, text: &str) -> Result<T, D> {
        (self.parse)(text).map_err(D::custom)
    }
}

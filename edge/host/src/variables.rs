//! `spin:variables`: a fixed table of names and values, read at start.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::{Accessor, HasData};

use crate::bindings::spin::variables::variables::{Error, Host, HostWithStore};

/// The variables of the component. Cheap to clone; its `Debug` shows names only, since values may
/// be secrets.
#[derive(Clone)]
pub struct Variables(Arc<HashMap<String, String>>);

impl Variables {
    /// A table that does not change any more.
    pub fn new(variables: HashMap<String, String>) -> Self {
        Self(Arc::new(variables))
    }

    /// The value of a variable that is set and not empty.
    pub(crate) fn known(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    fn value(&self, name: &str) -> Result<String, Error> {
        if !is_name(name) {
            return Err(Error::InvalidName(name.to_owned()));
        }
        let value = self.0.get(name).cloned();
        value.ok_or_else(|| Error::Undefined(name.to_owned()))
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Spin's rule: lower-case ASCII letters and digits in words joined by single underscores, the
/// first a letter.
pub(crate) fn is_name(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.split('_').all(is_word)
}

impl HasData for Variables {
    type Data<'a> = &'a mut Variables;
}

impl Host for &mut Variables {}

impl<T: Send> HostWithStore<T> for Variables {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        accessor.with(|mut access| access.get().value(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_of_spin() {
        for name in ["a", "token_keys", "key2"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "_a", "a__b", "a_", "Key", "1a", "a-b"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn values_never_show_in_debug_output() {
        let table = HashMap::from([("edge_token".to_owned(), "hush".to_owned())]);
        let shown = format!("{:?}", Variables::new(table));
        assert!(
            shown.contains("edge_token") && !shown.contains("hush"),
            "{shown}"
        );
    }

    #[test]
    fn an_undefined_and_an_invalid_name_are_told_apart() {
        let variables = Variables::new(HashMap::new());
        assert!(matches!(variables.value("a"), Err(Error::Undefined(_))));
        assert!(matches!(variables.value("A"), Err(Error::InvalidName(_))));
    }
}

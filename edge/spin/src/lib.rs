//! Spin adapter of the edge: `edge/core` as a component for Spin 4.1 or newer (WASI 0.3), and for
//! `edge/host`.
//!
//! The path of a request: [`component`] turns it into the core's, the core answers through
//! [`platform`] (key-value store `default`, variables, the origin over HTTP, clocks, randomness), the
//! answer leaves, and what the core put off runs after it in the same instance. Spin starts a fresh
//! instance per request, so memory may be empty every time; nothing here relies on it.
//!
//! No decision about a feed is made here. For other targets than WebAssembly the crate is empty but
//! for [`variable`]. It was run in `edge/host`; a real `spin up` was not tried, since Spin's binary
//! is not in any package registry.

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
mod platform;

/// The Spin variable that holds what the core calls `name`: `MEDIAFLOW_TOKEN_KEYS` is `token_keys`.
pub fn variable(name: &str) -> String {
    name.strip_prefix("MEDIAFLOW_")
        .unwrap_or(name)
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_carry_the_names_of_the_environment_in_the_form_spin_allows() {
        assert_eq!(variable("MEDIAFLOW_TOKEN_KEYS"), "token_keys");
        assert_eq!(variable("ORIGIN_URL"), "origin_url");
    }

    #[test]
    fn the_manifest_passes_on_every_variable_of_the_core() {
        let manifest = include_str!("../../../spin.toml");
        for name in mediaflow_edge_core::config::VARIABLES.map(variable) {
            let passed = format!("\n{name} = \"{{{{ {name} }}}}\"\n");
            assert!(manifest.contains(&passed), "{name} is missing in spin.toml");
        }
    }
}

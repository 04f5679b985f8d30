//! What the host is told: flags, environment, and the checks on both.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::limits::{
    CACHE_BYTES_DEFAULT, GUEST_MEMORY_BYTES_DEFAULT, IN_FLIGHT_DEFAULT, SOFT_TTL_MS_DEFAULT,
};
use crate::outbound::AllowedHost;
use crate::store::cache::CachePolicy;

/// Environment variables that begin with this become Spin variables, lower-cased.
const VARIABLE_PREFIX: &str = "SPIN_VARIABLE_";

/// Serves a Spin component over HTTP. Not `Debug`, since variables may be secrets.
#[derive(Clone, Parser)]
#[command(
    name = "mediaflow-edge-host",
    version,
    about = "Serves MediaFlow's Spin component over HTTP",
    after_help = "Spin variables come from --variable and from SPIN_VARIABLE_<NAME> in the \
                  environment; secrets belong there, since flags show in process lists. \
                  Ready when one JSON line {\"event\":\"listening\",\"addr\":…} is printed; \
                  SIGTERM finishes open requests and stops."
)]
pub struct Settings {
    /// The component to serve (a .wasm file, WASI 0.3 `wasi:http/handler`)
    #[arg(long, env = "MEDIAFLOW_SPIN_COMPONENT", value_name = "FILE")]
    pub component: PathBuf,

    /// Address to listen on; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDR:PORT")]
    pub listen: std::net::SocketAddr,

    /// Key-value store: redis://host:port, http://host:port/path (Workers KV protocol) or a folder
    #[arg(long, env = "MEDIAFLOW_KV", hide_env_values = true, value_name = "URL")]
    pub kv: String,

    /// A Spin variable; wins over the environment
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub variables: Vec<(String, String)>,

    /// A host the component may reach: scheme://host:port, host:port or host; all others are denied
    #[arg(long = "allow-outbound", value_name = "HOST")]
    pub allow_outbound: Vec<AllowedHost>,

    /// Age in milliseconds after which a cached value is refreshed
    #[arg(long, default_value_t = SOFT_TTL_MS_DEFAULT, value_name = "MS")]
    pub kv_soft_ttl_ms: u64,

    /// Keys that begin with this are never cached
    #[arg(long, default_value = "u/", value_name = "PREFIX")]
    pub kv_uncached_prefix: String,

    /// Most bytes the key-value cache holds
    #[arg(long, default_value_t = CACHE_BYTES_DEFAULT, value_name = "BYTES")]
    pub kv_cache_bytes: usize,

    /// Requests inside the component at once; more wait shortly, then get 503
    #[arg(long, default_value_t = IN_FLIGHT_DEFAULT, value_parser = at_least_one, value_name = "N")]
    pub in_flight: usize,

    /// Most linear memory of one instance
    #[arg(long, default_value_t = GUEST_MEMORY_BYTES_DEFAULT, value_name = "BYTES")]
    pub guest_memory_bytes: usize,
}

impl Settings {
    /// Every Spin variable: those of `environment` named `SPIN_VARIABLE_…`, then the flags.
    pub fn variables(
        &self,
        environment: impl Iterator<Item = (String, String)>,
    ) -> HashMap<String, String> {
        let of_environment = environment.filter_map(|(name, value)| {
            let name = name.strip_prefix(VARIABLE_PREFIX)?;
            Some((name.to_ascii_lowercase(), value))
        });
        of_environment
            .chain(self.variables.iter().cloned())
            .collect()
    }

    /// How the key-value cache is to behave.
    pub fn cache_policy(&self) -> CachePolicy {
        CachePolicy {
            soft_ttl: Duration::from_millis(self.kv_soft_ttl_ms),
            bytes_max: self.kv_cache_bytes,
            uncached_prefix: self.kv_uncached_prefix.clone(),
        }
    }
}

fn name_and_value(given: &str) -> Result<(String, String), String> {
    let (name, value) = given
        .split_once('=')
        .ok_or_else(|| "write name=value".to_owned())?;
    if crate::variables::is_name(name) {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err(format!(
            "{name:?} is no variable name: use lower-case letters, digits and single underscores"
        ))
    }
}

fn at_least_one(given: &str) -> Result<usize, String> {
    match given.parse() {
        Ok(0) | Err(_) => Err("give a number of at least 1".to_owned()),
        Ok(n) => Ok(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
        let fixed = ["host", "--component", "x.wasm", "--kv", "var/kv"];
        Settings::try_parse_from(fixed.iter().chain(arguments))
    }

    #[test]
    fn a_flag_wins_over_the_environment() {
        let settings = parse(&["--variable", "origin_url=http://flag"]).unwrap();
        let environment = [
            ("SPIN_VARIABLE_ORIGIN_URL", "http://env"),
            ("SPIN_VARIABLE_EDGE_TOKEN", "secret"),
            ("HOME", "/root"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = settings.variables(environment.into_iter());
        assert_eq!(variables["origin_url"], "http://flag");
        assert_eq!(variables["edge_token"], "secret");
        assert_eq!(variables.len(), 2);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        assert!(parse(&["--variable", "novalue"]).is_err());
        assert!(parse(&["--variable", "Bad-Name=1"]).is_err());
        assert!(parse(&["--in-flight", "0"]).is_err());
        assert!(parse(&["--allow-outbound", "ftp://x"]).is_err());
    }
}

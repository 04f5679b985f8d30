//! What a `redis://` uri of the state store says.

use mediaflow_ports::{Layout, PortError, PortErrorKind, PortResult, PortUri};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo};

/// The environment variable with the password, if Redis wants one. Never part of a uri.
pub const PASSWORD_VARIABLE: &str = "MEDIAFLOW_REDIS_PASSWORD";

/// Keys of an installation begin with this unless its uri says otherwise.
const PREFIX: &str = "mf";

/// Where the state is and how it is laid out.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    pub(crate) nodes: Vec<ConnectionInfo>,
    pub(crate) cluster: bool,
    pub(crate) database: i64,
    pub(crate) prefix: String,
    pub(crate) layout: Layout,
    /// The uri without secrets.
    pub(crate) place: String,
}

impl RedisConfig {
    /// Reads `redis://[user@]host[:port][/database]` or `redis://host:port,host:port,…?cluster=true`, each with
    /// `?prefix=` where several installations share a server. `password` comes from [`PASSWORD_VARIABLE`].
    ///
    /// # Errors
    /// `Invalid`, naming what is wrong.
    pub fn new(uri: &PortUri, password: Option<&str>, layout: Layout) -> PortResult<Self> {
        let wrong = |why: &str| {
            let message = format!(
                "state_store = \"{uri}\" {why}; write it like redis://host:6379/0 or \
                 redis://host1:6379,host2:6379?cluster=true"
            );
            PortError::new(PortErrorKind::Invalid, message)
        };
        if uri.scheme() != "redis" {
            return Err(wrong("is not a redis uri (TLS is not built in)"));
        }
        let (address, query) = uri.rest().split_once('?').unwrap_or((uri.rest(), ""));
        let (mut cluster, mut prefix) = (false, PREFIX);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("cluster", "true")) => cluster = true,
                Some(("cluster", "false")) => cluster = false,
                Some(("prefix", name)) => prefix = name,
                _ => return Err(wrong("has an unknown option")),
            }
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if prefix.is_empty() || prefix.len() > 32 || !prefix.bytes().all(plain) {
            return Err(wrong("has a prefix that is not 1 to 32 of a-z 0-9 -"));
        }
        let (user, places) = match address.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => {
                return Err(wrong(
                    "holds a password; put it into MEDIAFLOW_REDIS_PASSWORD",
                ));
            }
            Some((user, places)) => (Some(user), places),
            None => (None, address),
        };
        let (hosts, database) = places.split_once('/').unwrap_or((places, ""));
        let database: i64 = match database {
            "" => 0,
            number => number
                .parse()
                .ok()
                .filter(|n| *n >= 0)
                .ok_or_else(|| wrong("names no database number"))?,
        };
        if cluster && database != 0 {
            return Err(wrong("names a database, but a cluster has only 0"));
        }
        let mut nodes = Vec::new();
        for host in hosts.split(',') {
            let (host, port) = address_of(host).ok_or_else(|| wrong("names no host"))?;
            let mut settings = RedisConnectionInfo::default().set_db(database);
            if let Some(user) = user {
                settings = settings.set_username(user);
            }
            if let Some(password) = password.filter(|p| !p.is_empty()) {
                settings = settings.set_password(password);
            }
            let info = ConnectionAddr::Tcp(host, port).into_connection_info();
            nodes.push(
                info.map_err(|e| wrong("names no host").with_source(e))?
                    .set_redis_settings(settings),
            );
        }
        if !cluster && nodes.len() > 1 {
            return Err(wrong("names several hosts; add ?cluster=true"));
        }
        Ok(Self {
            nodes,
            cluster,
            database,
            prefix: prefix.to_owned(),
            layout,
            place: uri.to_string(),
        })
    }
}

/// `host`, `host:port` or `[v6]:port`.
fn address_of(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port))
            if !host.ends_with(':') && (!host.contains(':') || host.ends_with(']')) =>
        {
            (host, port.parse().ok()?)
        }
        _ => (text, 6379),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str) -> PortResult<RedisConfig> {
        RedisConfig::new(&uri.parse().unwrap(), Some("hunter2"), Layout::new(8))
    }

    #[test]
    fn servers_and_clusters_are_told_apart() {
        let one = read("redis://host/3?prefix=staging").unwrap();
        assert_eq!(
            (one.cluster, one.database, one.prefix.as_str()),
            (false, 3, "staging")
        );
        assert_eq!(
            one.nodes[0].addr(),
            &ConnectionAddr::Tcp("host".into(), 6379)
        );
        let three = read("redis://ops@a:1,b:2,[::1]:3?cluster=true").unwrap();
        assert_eq!((three.cluster, three.nodes.len()), (true, 3));
        assert_eq!(three.nodes[2].addr(), &ConnectionAddr::Tcp("::1".into(), 3));
        assert_eq!(three.nodes[0].redis_settings().username(), Some("ops"));
    }

    #[test]
    fn uris_that_mean_something_else_are_refused_without_their_secrets() {
        for bad in [
            "redis://user:hunter2@host",
            "redis://a,b",
            "redis://host/x",
            "redis://host/1?cluster=true",
            "redis://host?tls=true",
            "redis://host?prefix=A{b}",
            "redis://:6379",
            "redis://host:x",
            "rediss://host",
        ] {
            let error = read(bad).unwrap_err();
            assert_eq!(error.kind(), PortErrorKind::Invalid, "{bad}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}

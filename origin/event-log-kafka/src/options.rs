//! What `kafka://host:9092,host2:9092/prefix?replication=3` says.

use mediaflow_ports::{PortError, PortErrorKind, PortResult, PortUri};

use crate::limits::{
    DELIVERY_TIMEOUT_MS, DELIVERY_TIMEOUT_MS_MIN, PREFIX_BYTES_MAX, SESSION_MS, SESSION_MS_MAX,
    SESSION_MS_MIN,
};

const PORT: u16 = 9_092;
const KNOWN: &str = "replication, compression, delivery_timeout_ms, session_ms, client_id";

/// A parsed URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `host:port`, joined by commas.
    pub brokers: String,
    /// In front of topic and group names, with a dot between; empty: none.
    pub prefix: String,
    /// Copies of each partition of topics that are created; `None`: as the broker is configured.
    pub replication: Option<i32>,
    /// `none`, `lz4`, `gzip` or `snappy`.
    pub compression: String,
    /// How long an append is retried, milliseconds.
    pub delivery_timeout_ms: u32,
    /// How long a silent member keeps its partitions, milliseconds.
    pub session_ms: u32,
    /// As which client the broker's metrics and quotas know this process.
    pub client_id: String,
}

impl Options {
    /// Reads the URI of `event_log`.
    ///
    /// # Errors
    /// `Invalid`, naming the part and what it may be.
    pub fn parse(uri: &PortUri) -> PortResult<Self> {
        let invalid = |why: String| {
            PortError::new(
                PortErrorKind::Invalid,
                format!(
                    "event_log = \"{uri}\": {why}; write it like \
                     `kafka://host:9092,host2:9092/prefix?replication=3`"
                ),
            )
        };
        let (place, query) = uri.rest().split_once('?').unwrap_or((uri.rest(), ""));
        let (hosts, prefix) = place.split_once('/').unwrap_or((place, ""));
        if hosts.contains('@') {
            return Err(invalid(
                "users and passwords are for SASL, which is not built in".into(),
            ));
        }
        let mut brokers = Vec::new();
        for host in hosts.split(',') {
            brokers.push(broker(host).map_err(invalid)?);
        }
        let prefix = prefix.trim_end_matches('/');
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if prefix.len() > PREFIX_BYTES_MAX || !prefix.bytes().all(named) {
            return Err(invalid(format!(
                "prefix \"{}\" is not a name of at most {PREFIX_BYTES_MAX} letters, digits, . _ -",
                prefix.escape_debug()
            )));
        }
        let mut options = Self {
            brokers: brokers.join(","),
            prefix: prefix.to_owned(),
            replication: None,
            compression: "lz4".into(),
            delivery_timeout_ms: DELIVERY_TIMEOUT_MS,
            session_ms: SESSION_MS,
            client_id: "mediaflow".into(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            options.set(name, value).map_err(invalid)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "replication" => self.replication = Some(number(name, value, 1, 9)? as i32),
            "compression" => {
                let known = ["none", "lz4", "gzip", "snappy"];
                if !known.contains(&value) {
                    return Err(format!(
                        "compression={value} is none of {}",
                        known.join(", ")
                    ));
                }
                self.compression = value.to_owned();
            }
            "delivery_timeout_ms" => {
                self.delivery_timeout_ms =
                    number(name, value, DELIVERY_TIMEOUT_MS_MIN, 24 * 3_600_000)?;
            }
            "session_ms" => self.session_ms = number(name, value, SESSION_MS_MIN, SESSION_MS_MAX)?,
            "client_id" if !value.is_empty() => self.client_id = value.to_owned(),
            _ => return Err(format!("`{name}` is none of {KNOWN}")),
        }
        Ok(())
    }

    /// The name Kafka knows a topic or group of ours by.
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }
}

fn number(name: &str, value: &str, min: u32, max: u32) -> Result<u32, String> {
    match value.parse() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        _ => Err(format!(
            "{name}={value} is not a number from {min} to {max}"
        )),
    }
}

fn broker(host: &str) -> Result<String, String> {
    let (name, port) = match host.rsplit_once(':') {
        // An IPv6 address without a port: `[::1]`.
        Some((name, _)) if name.starts_with('[') && !name.ends_with(']') => (host, None),
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(format!("\"{}\" names no broker", host.escape_debug()));
    }
    let port = match port {
        None => PORT,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(format!("port \"{text}\" of broker {name} is not a port")),
        },
    };
    Ok(format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PortResult<Options> {
        Options::parse(&text.parse().unwrap())
    }

    #[test]
    fn brokers_prefix_and_settings_are_read() {
        let o =
            parse("kafka://a,b:19092,[::1]:9/prod?replication=3&session_ms=2000&compression=none")
                .unwrap();
        assert_eq!(o.brokers, "a:9092,b:19092,[::1]:9");
        assert_eq!(o.named("events"), "prod.events");
        assert_eq!((o.replication, o.session_ms), (Some(3), 2_000));
        assert_eq!(o.compression, "none");
        assert_eq!(parse("kafka://h").unwrap().named("events"), "events");
        assert_eq!(parse("kafka://[::1]/").unwrap().brokers, "[::1]:9092");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (bad, named) in [
            ("kafka://h:0", "port \"0\""),
            ("kafka://h:x/p", "port \"x\""),
            ("kafka://a,,b", "names no broker"),
            ("kafka://h/a b", "prefix"),
            ("kafka://h/a/b", "prefix"),
            ("kafka://h?replication=0", "replication=0"),
            ("kafka://h?replicas=3", "`replicas` is none of replication"),
            ("kafka://h?compression=zip", "lz4"),
            ("kafka://h?session_ms=5", "from 1000"),
            ("kafka://u:hunter2@h", "SASL"),
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.kind(), PortErrorKind::Invalid, "{bad}");
            let text = error.to_string();
            assert!(text.contains(named), "{bad}: {text}");
            assert!(
                text.contains("kafka://host:9092") && !text.contains("hunter2"),
                "{text}"
            );
        }
    }
}

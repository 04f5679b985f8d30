//! From Kafka's errors and bad names to [`PortError`].

use mediaflow_ports::{PortError, PortErrorKind, PortResult};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::limits::{NAME_BYTES_MAX, RECORD_BYTES_MAX};

/// What the brokers answered while `doing` something.
pub(crate) fn answer(doing: &str, error: KafkaError) -> PortError {
    let told = match &error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    let (kind, remedy) = match told {
        Some(code) => meaning(code),
        None => (
            PortErrorKind::Invalid,
            "the client refuses its settings: check the uri",
        ),
    };
    PortError::new(kind, format!("kafka: cannot {doing}; {remedy}")).with_source(error)
}

/// As [`answer`], for a bare code.
pub(crate) fn code(doing: &str, code: Code) -> PortError {
    answer(doing, KafkaError::Global(code))
}

fn meaning(code: Code) -> (PortErrorKind, &'static str) {
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => (
            PortErrorKind::NotFound,
            "there is no such topic or partition: ensure it first",
        ),
        Code::QueueFull => (PortErrorKind::Full, "slow down, then retry"),
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => (
            PortErrorKind::TooLarge,
            "shorten the record, or raise the topic's max.message.bytes",
        ),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::Authentication
        | Code::SaslAuthenticationFailed => (
            PortErrorKind::Unauthorized,
            "allow this client in the brokers' ACLs",
        ),
        Code::InvalidReplicationFactor => (
            PortErrorKind::Invalid,
            "there are fewer brokers than `replication` asks for: start more or lower it",
        ),
        Code::InvalidTopic | Code::InvalidPartitions | Code::InvalidConfig => (
            PortErrorKind::Invalid,
            "the brokers refuse these settings: check the uri and the brokers' log",
        ),
        Code::InvalidRecord => (
            PortErrorKind::Invalid,
            "the topic does not take such a record: a compacted one wants a key",
        ),
        Code::InvalidMessage | Code::BadMessage | Code::BadCompression => {
            (PortErrorKind::Corrupt, "check the brokers' disks")
        }
        Code::InvalidSessionTimeout => (
            PortErrorKind::Invalid,
            "choose `session_ms` within the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms",
        ),
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => (
            PortErrorKind::Unavailable,
            "too few replicas are in step: check the brokers, then retry",
        ),
        _ => (
            PortErrorKind::Unavailable,
            "check that the brokers run, then retry",
        ),
    }
}

pub(crate) fn record_too_large(bytes: usize) -> PortError {
    PortError::new(
        PortErrorKind::TooLarge,
        format!("a record has {bytes} bytes, at most {RECORD_BYTES_MAX} are allowed; shorten it"),
    )
}

pub(crate) fn no_partition(topic: &str, partition: u32, has: u32) -> PortError {
    PortError::new(
        PortErrorKind::NotFound,
        format!("topic \"{topic}\" has no partition {partition}; it has {has}"),
    )
}

pub(crate) fn no_topic(topic: &str) -> PortError {
    PortError::new(
        PortErrorKind::NotFound,
        format!(
            "there is no topic \"{}\"; ensure it first",
            topic.escape_debug()
        ),
    )
}

/// Refuses names that Kafka does not take, and capitals, which the embedded log does not take.
pub(crate) fn check_name(what: &str, name: &str) -> PortResult<()> {
    let allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || matches!(name, "." | "..")
        || !name.bytes().all(allowed)
    {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        return Err(PortError::new(
            PortErrorKind::Invalid,
            format!(
                "{what} \"{}\" is not a name; use 1 to {NAME_BYTES_MAX} of a-z 0-9 . _ -",
                shown.escape_debug()
            ),
        ));
    }
    Ok(())
}

//! A seat in a group: Kafka's own protocol, with cooperative rebalancing, shares partitions among processes.
//!
//! The member consumes nothing: its partitions are paused, and records are read by offset as by everybody. Progress is
//! committed with the state, never to the brokers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use mediaflow_ports::{Membership, PortError, PortErrorKind, PortResult};
use rdkafka::Offset as At;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::watch;

use crate::client::{self, Voice};
use crate::fault;
use crate::limits::SEAT_POLL;
use crate::options::Options;

/// Hears what is given and taken.
struct Member {
    voice: Voice,
    group: String,
    assigned: watch::Sender<Arc<BTreeSet<u32>>>,
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.voice.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.voice.error(error, reason);
    }
}

impl ConsumerContext for Member {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let given = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let event = if given {
            Rebalance::Assign(list)
        } else {
            Rebalance::Revoke(list)
        };
        self.pre_rebalance(consumer, &event);
        let done = if given {
            // An explicit place spares looking for a committed one, of which there is none.
            list.set_all_offsets(At::End)
                .and_then(|()| consumer.incremental_assign(list))
                .and_then(|()| consumer.pause(list))
        } else {
            consumer.incremental_unassign(list)
        };
        if let Err(error) = done {
            self.voice.warn(
                "a change of a group's partitions failed",
                &error.to_string(),
            );
        }
        let event = if given {
            Rebalance::Assign(list)
        } else {
            Rebalance::Revoke(list)
        };
        self.post_rebalance(consumer, &event);
    }

    /// What is taken is given up before the brokers hear of it, so that the next owner starts after.
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, event: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = event {
            let gone = numbers(list);
            self.change(|own| own.retain(|p| !gone.contains(p)));
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, event: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = event {
            let new = numbers(list);
            self.change(|own| own.extend(new.iter().copied()));
        }
    }
}

impl Member {
    fn change(&self, how: impl FnOnce(&mut BTreeSet<u32>)) {
        let before = self.assigned.borrow().clone();
        let mut own = BTreeSet::clone(&before);
        how(&mut own);
        if own != *before {
            tracing::info!(group = self.group, partitions = ?own, "kafka: partitions of this process changed");
            self.assigned.send_replace(Arc::new(own));
        }
    }
}

fn numbers(list: &TopicPartitionList) -> BTreeSet<u32> {
    let number = |p: i32| u32::try_from(p).ok();
    list.elements()
        .iter()
        .filter_map(|e| number(e.partition()))
        .collect()
}

/// Dropped, the member leaves its group.
struct Seat {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Joins `group` for the topic the brokers call `full`. Partitions come once the group has agreed.
pub(crate) fn join(options: &Options, group: &str, full: &str) -> PortResult<Membership> {
    let failed = |e| fault::answer(&format!("join group \"{group}\""), e);
    let (sender, assigned) = watch::channel(Arc::default());
    let member = Member {
        voice: Voice::default(),
        group: group.to_owned(),
        assigned: sender,
    };
    let mut config = client::reading(options);
    config
        .set("group.id", options.named(group))
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", options.session_ms.to_string())
        .set(
            "heartbeat.interval.ms",
            (options.session_ms / 4).to_string(),
        )
        .set(
            "max.poll.interval.ms",
            options.session_ms.max(300_000).to_string(),
        )
        .set("enable.partition.eof", "false")
        .set("auto.offset.reset", "latest");
    let consumer: BaseConsumer<Member> = config.create_with_context(member).map_err(failed)?;
    consumer.subscribe(&[full]).map_err(failed)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (stopping, name) = (stop.clone(), group.to_owned());
    let thread = thread::Builder::new()
        .name("kafka-group".to_owned())
        .spawn(move || {
            while !stopping.load(Ordering::Acquire) {
                if let Some(Err(error)) = consumer.poll(SEAT_POLL) {
                    consumer
                        .context()
                        .voice
                        .warn(&format!("group {name}"), &error.to_string());
                }
            }
            // Dropping the consumer says goodbye to the group.
        })
        .map_err(|e| {
            PortError::new(
                PortErrorKind::Unavailable,
                "cannot start a thread for a group",
            )
            .with_source(e)
        })?;
    Ok(Membership::new(
        assigned,
        Box::new(Seat {
            stop,
            thread: Some(thread),
        }),
    ))
}

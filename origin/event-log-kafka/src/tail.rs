//! Wakes readers of what other processes append.
//!
//! A reader that waits at the end of a partition hears of new records from its own fetch. Whoever watches a topic without
//! reading it yet, or was away for long, is woken from here: one question per broker and round, for all partitions at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use mediaflow_ports::{PortError, PortErrorKind, PortResult};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset as At, TopicPartitionList};

use crate::limits::{ASK_TIMEOUT, TAIL_EVERY, TAIL_PAUSE};
use crate::topics::{Topic, Topics};

/// The thread that asks. Dropping it ends it.
pub(crate) struct Tail {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tail {
    pub fn start(topics: &Arc<Topics>) -> PortResult<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (topics, stopping) = (Arc::downgrade(topics), stop.clone());
        let thread = thread::Builder::new()
            .name("kafka-tail".to_owned())
            .spawn(move || run(&topics, &stopping))
            .map_err(|e| {
                PortError::new(
                    PortErrorKind::Unavailable,
                    "cannot start a thread for the log's ends",
                )
                .with_source(e)
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn run(topics: &Weak<Topics>, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        let Some(alive) = topics.upgrade() else {
            return;
        };
        let watched: Vec<_> = alive.all().into_iter().filter(|t| t.is_watched()).collect();
        let pause = if watched.is_empty() || ask(&alive, &watched) {
            TAIL_EVERY
        } else {
            TAIL_PAUSE
        };
        drop(alive);
        thread::park_timeout(pause);
    }
}

/// Asks for all ends; whether the brokers answered.
fn ask(topics: &Topics, watched: &[Arc<Topic>]) -> bool {
    let mut list = TopicPartitionList::new();
    for topic in watched {
        for partition in 0..topic.partitions.len() {
            // To the brokers the time −1 is the end; the type for it is an offset.
            if list
                .add_partition_offset(&topic.full, partition as i32, At::End)
                .is_err()
            {
                return false;
            }
        }
    }
    let Ok(ends) = topics.asker().offsets_for_times(list, ASK_TIMEOUT) else {
        return false;
    };
    for topic in watched {
        let mut news = false;
        for element in ends.elements_for_topic(&topic.full) {
            let known = usize::try_from(element.partition())
                .ok()
                .and_then(|p| topic.partitions.get(p));
            if let (Some(known), At::Offset(end), Ok(())) =
                (known, element.offset(), element.error())
            {
                news |= known.told(end);
            }
        }
        if news {
            topic.wake();
        }
    }
    true
}

//! Reads by offset, fetched ahead.
//!
//! A *lane* is one client of the brokers; it fetches every partition that somebody reads, each into a queue of its own. A
//! *cursor* is a reader's place in one partition on one lane: a read that goes on where an earlier one stopped takes its
//! cursor and finds records already there. Two readers of one partition have a cursor each, on different lanes. A read from
//! anywhere else takes a new cursor, or the one that was idle longest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mediaflow_ports::{Offset, PortError, PortErrorKind, PortResult, Record, StoredRecord};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset as At, TopicPartitionList};
use tokio::sync::Notify;

use crate::client::{self, Voice};
use crate::fault;
use crate::limits::{LANES_MAX, READ_TIMEOUT, SEAT_IDLE, TAKE_RECORDS};
use crate::options::Options;
use crate::topics::{Topic, Topics};

/// How often a lane serves what is not records: errors, mostly.
const LANE_POLL: Duration = Duration::from_millis(200);

/// Pause before a partition is looked at again after its broker answered with an error.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

type Fetcher = BaseConsumer<Voice>;
type Place = (String, u32);

pub(crate) struct Reader {
    options: Options,
    topics: Arc<Topics>,
    shelf: Mutex<Shelf>,
    /// Woken when a cursor comes back.
    returned: Notify,
}

#[derive(Default)]
struct Shelf {
    lanes: Vec<Arc<Lane>>,
    seats: HashMap<Place, Vec<Seat>>,
    swept: Option<Instant>,
}

/// A lane's place for one partition.
struct Seat {
    lane: usize,
    /// `None` while a read has it.
    cursor: Option<Cursor>,
    used: Instant,
}

/// A client that fetches, and the thread that serves it.
struct Lane {
    consumer: Arc<Fetcher>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Cursor {
    lane: usize,
    consumer: Arc<Fetcher>,
    queue: PartitionQueue<Voice>,
    /// Told by the client's own thread when the queue gets its first record.
    news: Arc<Notify>,
    /// The offset the next record will have at least.
    next: Offset,
    /// A read from here to `next` goes on with this cursor: there is nothing between.
    seen: Offset,
    /// Taken from the queue, but over a read's limit.
    kept: Option<StoredRecord>,
    /// The end when the cursor was placed: reaching the end tells that nothing lies before it.
    placed_end: Offset,
}

/// A cursor in use; it goes back to its seat when dropped.
struct Held<'a> {
    reader: &'a Reader,
    topic: &'a Topic,
    partition: u32,
    cursor: Option<Cursor>,
}

impl Held<'_> {
    /// Gives the cursor up instead.
    fn discard(mut self) {
        if let Some(cursor) = self.cursor.take() {
            self.reader.drop_cursor(self.topic, self.partition, cursor);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(cursor) = self.cursor.take() {
            self.reader.give_back(self.topic, self.partition, cursor);
        }
    }
}

/// Why a cursor is of no more use.
enum Broken {
    /// Its records were retained away.
    Gone,
    Error(KafkaError),
}

impl Reader {
    pub fn open(options: &Options, topics: &Arc<Topics>) -> Self {
        Self {
            options: options.clone(),
            topics: topics.clone(),
            shelf: Mutex::default(),
            returned: Notify::new(),
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Whole seats are added and taken, so a panicking holder leaves it usable.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`mediaflow_ports::EventLog::read`].
    pub async fn read(
        &self,
        topic: &Arc<Topic>,
        partition: u32,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> PortResult<Vec<StoredRecord>> {
        let known = topic.partition(partition)?;
        if max_records == 0 {
            return Ok(Vec::new());
        }
        let deadline = tokio::time::Instant::now() + READ_TIMEOUT;
        let mut from = from;
        loop {
            let Some(cursor) = self.take(topic, partition, from, deadline).await? else {
                return Ok(Vec::new());
            };
            // A caller that goes away in the middle leaves the cursor where it is.
            let mut held = Held {
                reader: self,
                topic,
                partition,
                cursor: Some(cursor),
            };
            let mut found = Found::new(max_records, max_bytes);
            let broken = loop {
                let Some(cursor) = &mut held.cursor else {
                    return Ok(found.records);
                };
                from = from.max(cursor.next);
                let news = cursor.news.clone();
                match cursor.drain(&mut found) {
                    Err(broken) => break broken,
                    Ok(Drained::Full) => return Ok(found.records),
                    // Others have their turn between two slices.
                    Ok(Drained::More) => tokio::task::yield_now().await,
                    Ok(Drained::Empty) => {
                        if !found.records.is_empty() || cursor.next >= known.known_end() {
                            return Ok(found.records);
                        }
                        // There are records that have not come yet; one that came since the last look has left its mark.
                        if tokio::time::timeout_at(deadline, news.notified())
                            .await
                            .is_err()
                        {
                            held.discard();
                            return Err(late(&topic.name, partition));
                        }
                    }
                }
            };
            held.discard();
            if !found.records.is_empty() {
                return Ok(found.records);
            }
            match broken {
                Broken::Error(error) if error_is_final(&error) => {
                    return Err(fault::answer(
                        &format!("read topic \"{}\"", topic.name),
                        error,
                    ));
                }
                // Retained away, or news of a broker: look again where the partition begins.
                Broken::Gone | Broken::Error(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(late(&topic.name, partition));
            }
        }
    }

    /// The cursor that stands at `from`, or one placed there; `None` when that is past the end.
    async fn take(
        &self,
        topic: &Arc<Topic>,
        partition: u32,
        from: Offset,
        deadline: tokio::time::Instant,
    ) -> PortResult<Option<Cursor>> {
        if let Some(cursor) = self.waiting(topic, partition, from) {
            return Ok(Some(cursor));
        }
        // Past the end as this process knows it, and far from any reader: no cursor is spent on it.
        let (begin, end) = self.topics.span(topic, partition).await?;
        if from > end {
            return Ok(None);
        }
        let at = from.max(begin);
        loop {
            let returned = self.returned.notified();
            if let Some((lane, number)) = self.free_lane(topic, partition)? {
                match Cursor::place(&lane, number, topic, partition, at, end) {
                    Ok(cursor) => {
                        return Ok(Some(Cursor {
                            seen: from,
                            ..cursor
                        }));
                    }
                    Err(error) => {
                        self.forget(topic, partition, number);
                        return Err(fault::answer(
                            &format!("read topic \"{}\"", topic.name),
                            error,
                        ));
                    }
                }
            }
            if tokio::time::timeout_at(deadline, returned).await.is_err() {
                return Err(PortError::new(
                    PortErrorKind::Full,
                    format!(
                        "kafka: {LANES_MAX} readers of topic \"{}\" partition {partition} are at work; retry",
                        topic.name
                    ),
                ));
            }
        }
    }

    fn waiting(&self, topic: &Topic, partition: u32, from: Offset) -> Option<Cursor> {
        let mut shelf = self.shelf();
        shelf.sweep();
        let seats = shelf.seats.get_mut(&(topic.full.clone(), partition))?;
        let here = |s: &&mut Seat| {
            let cursor = s.cursor.as_ref();
            cursor.is_some_and(|c| (c.seen..=c.next).contains(&from))
        };
        seats.iter_mut().find(here)?.cursor.take()
    }

    /// A lane on which nobody reads the partition, its seat taken; `None` when all are at work.
    fn free_lane(&self, topic: &Topic, partition: u32) -> PortResult<Option<(Arc<Lane>, usize)>> {
        let mut shelf = self.shelf();
        let place = (topic.full.clone(), partition);
        let used: Vec<usize> = shelf
            .seats
            .get(&place)
            .into_iter()
            .flatten()
            .map(|s| s.lane)
            .collect();
        let number = match (0..LANES_MAX).find(|n| !used.contains(n)) {
            Some(number) => number,
            None => match shelf.evict(&place) {
                Some(number) => number,
                None => return Ok(None),
            },
        };
        while shelf.lanes.len() <= number {
            let lane = Lane::open(&self.options)?;
            shelf.lanes.push(Arc::new(lane));
        }
        let lane = shelf.lanes[number].clone();
        shelf.seats.entry(place).or_default().push(Seat {
            lane: number,
            cursor: None,
            used: Instant::now(),
        });
        Ok(Some((lane, number)))
    }

    fn give_back(&self, topic: &Topic, partition: u32, cursor: Cursor) {
        let mut shelf = self.shelf();
        let seats = shelf.seats.get_mut(&(topic.full.clone(), partition));
        let seat = seats.and_then(|s| s.iter_mut().find(|s| s.lane == cursor.lane));
        if let Some(seat) = seat {
            seat.used = Instant::now();
            seat.cursor = Some(cursor);
        }
        drop(shelf);
        self.returned.notify_one();
    }

    fn drop_cursor(&self, topic: &Topic, partition: u32, cursor: Cursor) {
        let lane = cursor.lane;
        cursor.retire(&topic.full, partition);
        self.forget(topic, partition, lane);
    }

    fn forget(&self, topic: &Topic, partition: u32, lane: usize) {
        let mut shelf = self.shelf();
        if let Some(seats) = shelf.seats.get_mut(&(topic.full.clone(), partition)) {
            seats.retain(|s| s.lane != lane);
        }
        drop(shelf);
        self.returned.notify_one();
    }
}

impl Shelf {
    /// Gives up the cursor of this partition that was idle longest; answers its lane.
    fn evict(&mut self, place: &Place) -> Option<usize> {
        let seats = self.seats.get_mut(place)?;
        let idle = seats.iter().enumerate().filter(|(_, s)| s.cursor.is_some());
        let (index, _) = idle.min_by_key(|(_, s)| s.used)?;
        let seat = seats.swap_remove(index);
        if let Some(cursor) = seat.cursor {
            cursor.retire(&place.0, place.1);
        }
        Some(seat.lane)
    }

    /// Gives up cursors that nobody came back to, and what was fetched for them.
    fn sweep(&mut self) {
        let now = Instant::now();
        if self.swept.is_some_and(|at| now - at < SEAT_IDLE / 4) {
            return;
        }
        self.swept = Some(now);
        for (place, seats) in &mut self.seats {
            let old = |s: &Seat| s.cursor.is_some() && now - s.used > SEAT_IDLE;
            for seat in seats.extract_if(.., |s| old(s)) {
                if let Some(cursor) = seat.cursor {
                    cursor.retire(&place.0, place.1);
                }
            }
        }
    }
}

impl Lane {
    fn open(options: &Options) -> PortResult<Self> {
        let consumer: Fetcher = client::reading(options)
            .create_with_context(Voice::default())
            .map_err(|e| fault::answer("set up a reader", e))?;
        let consumer = Arc::new(consumer);
        let stop = Arc::new(AtomicBool::new(false));
        let (serving, stopping) = (consumer.clone(), stop.clone());
        let thread = thread::Builder::new()
            .name("kafka-lane".to_owned())
            .spawn(move || {
                while !stopping.load(Ordering::Acquire) {
                    // Records come through the partitions' own queues; here are only errors, which are news, not the end.
                    if let Some(Err(error)) = serving.poll(LANE_POLL) {
                        serving
                            .context()
                            .warn("reading is disturbed", &error.to_string());
                    }
                }
            })
            .map_err(|e| {
                PortError::new(
                    PortErrorKind::Unavailable,
                    "cannot start a thread for a reader",
                )
                .with_source(e)
            })?;
        Ok(Self {
            consumer,
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// What a slice of draining left.
enum Drained {
    Full,
    More,
    Empty,
}

/// The records of one read, and its limits.
struct Found {
    records: Vec<StoredRecord>,
    bytes: usize,
    max_records: usize,
    max_bytes: usize,
}

impl Found {
    fn new(max_records: usize, max_bytes: usize) -> Self {
        Self {
            records: Vec::new(),
            bytes: 0,
            max_records,
            max_bytes,
        }
    }

    /// Takes a record in, or gives it back when it is over a limit.
    fn push(&mut self, stored: StoredRecord) -> Option<StoredRecord> {
        let bytes = self.bytes + stored.record.size_bytes();
        if !self.records.is_empty() && bytes > self.max_bytes {
            return Some(stored);
        }
        self.bytes = bytes;
        self.records.push(stored);
        None
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.max_records
    }
}

impl Cursor {
    /// Starts fetching at `at` on a lane where the partition is not read.
    fn place(
        lane: &Lane,
        number: usize,
        topic: &Arc<Topic>,
        partition: u32,
        at: Offset,
        end: Offset,
    ) -> Result<Self, KafkaError> {
        let consumer = lane.consumer.clone();
        // Split before it is assigned, so that no record takes the way of the errors.
        let mut queue = consumer
            .split_partition_queue(&topic.full, partition as i32)
            .ok_or(KafkaError::MessageConsumption(Code::UnknownPartition))?;
        let news = Arc::new(Notify::new());
        let (told, woken) = (news.clone(), topic.clone());
        queue.set_nonempty_callback(move || {
            told.notify_one();
            woken.wake();
        });
        let mut list = TopicPartitionList::new();
        let offset = At::Offset(i64::try_from(at).unwrap_or(i64::MAX));
        list.add_partition_offset(&topic.full, partition as i32, offset)?;
        consumer.incremental_assign(&list)?;
        Ok(Self {
            lane: number,
            consumer,
            queue,
            news,
            next: at,
            seen: at,
            kept: None,
            placed_end: end,
        })
    }

    /// Stops fetching.
    fn retire(self, full: &str, partition: u32) {
        let mut list = TopicPartitionList::new();
        list.add_partition(full, partition as i32);
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            self.consumer
                .context()
                .warn("a partition was not let go", &error.to_string());
        }
    }

    fn delivered(&mut self, offset: Offset) {
        self.next = offset + 1;
        self.seen = self.next;
    }

    /// Takes what is there, for about a millisecond.
    fn drain(&mut self, found: &mut Found) -> Result<Drained, Broken> {
        if found.is_full() {
            return Ok(Drained::Full);
        }
        if let Some(kept) = self.kept.take() {
            let offset = kept.offset;
            if let Some(over) = found.push(kept) {
                self.kept = Some(over);
                return Ok(Drained::Full);
            }
            self.delivered(offset);
        }
        for _ in 0..TAKE_RECORDS {
            if found.is_full() {
                return Ok(Drained::Full);
            }
            match self.queue.poll(Duration::ZERO) {
                None => return Ok(Drained::Empty),
                Some(Ok(message)) => {
                    let stored = stored(&message);
                    // What was on its way from before this cursor was placed.
                    if stored.offset < self.next {
                        continue;
                    }
                    let offset = stored.offset;
                    if let Some(over) = found.push(stored) {
                        // `next` is where the reader goes on: at this very record, or in a gap before it.
                        self.kept = Some(over);
                        return Ok(Drained::Full);
                    }
                    self.delivered(offset);
                }
                // Nothing lies between here and the end as it was when the cursor was placed: compaction removed it.
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.next = self.next.max(self.placed_end);
                }
                Some(Err(error)) => {
                    return Err(match error.rdkafka_error_code() {
                        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Broken::Gone,
                        _ => Broken::Error(error),
                    });
                }
            }
        }
        Ok(Drained::More)
    }
}

fn stored(message: &BorrowedMessage<'_>) -> StoredRecord {
    let copy = |bytes: Option<&[u8]>| bytes.map_or_else(Bytes::new, Bytes::copy_from_slice);
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|h| (h.key.to_owned(), copy(h.value)))
            .collect()
    });
    StoredRecord {
        // A record that was stored has an offset of zero or more.
        offset: u64::try_from(message.offset()).unwrap_or(0),
        appended_ms: message.timestamp().to_millis().unwrap_or(0),
        record: Record {
            key: copy(message.key()),
            value: copy(message.payload()),
            headers,
        },
    }
}

/// Other errors are news of a broker: it is asked again until the read's own time is over.
fn error_is_final(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            code,
            Some(Code::TopicAuthorizationFailed | Code::UnknownTopicOrPartition | Code::BadMessage)
        )
}

fn late(topic: &str, partition: u32) -> PortError {
    PortError::new(
        PortErrorKind::Unavailable,
        format!(
            "kafka: topic \"{topic}\" partition {partition} holds more than its broker has sent within {} s; \
             check the brokers, then retry",
            READ_TIMEOUT.as_secs()
        ),
    )
}

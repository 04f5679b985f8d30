//! The state store: named views of keys and values, changed by atomic commits.

use async_trait::async_trait;
use bytes::Bytes;
use std::borrow::Cow;
use tokio::sync::watch;

use crate::{Offset, PortResult, Summary};

/// One change to a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The view (keyspace) by name, `[a-z0-9._-]{1,64}`; borrowed where it is a constant, as in a commit of thousands.
    pub view: Cow<'static, str>,
    /// The key within the view.
    pub key: Bytes,
    /// The new value; `None` deletes.
    pub value: Option<Bytes>,
    /// When the value stops being readable, milliseconds since the Unix epoch; `None` = never.
    pub expires_ms: Option<i64>,
}

/// How far a consumer got in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The consumer by name.
    pub consumer: String,
    /// The topic it reads.
    pub topic: String,
    /// The partition it reads.
    pub partition: u32,
    /// What must be stored now (0 before the first commit), else the commit is a replay.
    pub expected: Offset,
    /// What is stored afterwards: the offset of the next record to read.
    pub next: Offset,
}

/// Shuts out a predecessor that does not know it was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The fence by name, such as a consumer and partition.
    pub name: String,
    /// An older epoch than the stored one is refused, a newer one is adopted.
    pub epoch: u64,
}

/// What a key must hold for a commit to go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// No value, or an expired one.
    Absent,
    /// Exactly these bytes.
    Exactly(Bytes),
}

/// A precondition of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Require {
    /// The view by name.
    pub view: String,
    /// The key within the view.
    pub key: Bytes,
    /// What it must hold.
    pub expect: Expect,
}

/// Work to hand on, stored in the same commit as the state it follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The outbox by name.
    pub outbox: Cow<'static, str>,
    /// What the work is about.
    pub key: Bytes,
    /// The work itself.
    pub value: Bytes,
}

/// Work waiting in an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRecord {
    /// Ascending per outbox, never reused.
    pub id: u64,
    /// What the work is about.
    pub key: Bytes,
    /// The work itself.
    pub value: Bytes,
}

/// One atomic, durable change: everything in it holds afterwards, or nothing does.
///
/// Checked in this order: fence, progress, preconditions. Of two writes to one key the later wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    /// Changes to views.
    pub writes: Vec<Write>,
    /// How far the consumer got; `Conflict` when the stored offset is not the expected one.
    pub progress: Option<Progress>,
    /// `Fenced` when a newer epoch is stored.
    pub fence: Option<Fence>,
    /// `Conflict` when one does not hold.
    pub requires: Vec<Require>,
    /// Work appended to outboxes, in order.
    pub outbox: Vec<OutboxEntry>,
}

impl Commit {
    /// An empty commit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a value that does not expire.
    #[must_use]
    pub fn put(self, view: &str, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.write(view, key, Some(value.into()), None)
    }

    /// Writes a value readable until `expires_ms`.
    #[must_use]
    pub fn put_until(
        self,
        view: &str,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        expires_ms: i64,
    ) -> Self {
        self.write(view, key, Some(value.into()), Some(expires_ms))
    }

    /// Deletes a key; one that is absent is no error.
    #[must_use]
    pub fn delete(self, view: &str, key: impl Into<Bytes>) -> Self {
        self.write(view, key, None, None)
    }

    /// Requires a key to hold something before the commit.
    #[must_use]
    pub fn require(mut self, view: &str, key: impl Into<Bytes>, expect: Expect) -> Self {
        self.requires.push(Require {
            view: view.to_owned(),
            key: key.into(),
            expect,
        });
        self
    }

    /// Appends work to an outbox.
    #[must_use]
    pub fn emit(mut self, outbox: &str, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.outbox.push(OutboxEntry {
            outbox: outbox.to_owned().into(),
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// Moves a consumer on.
    #[must_use]
    pub fn advance(
        mut self,
        consumer: &str,
        topic: &str,
        partition: u32,
        expected: Offset,
        next: Offset,
    ) -> Self {
        let (consumer, topic) = (consumer.to_owned(), topic.to_owned());
        self.progress = Some(Progress {
            consumer,
            topic,
            partition,
            expected,
            next,
        });
        self
    }

    /// Commits only while no newer epoch owns the fence.
    #[must_use]
    pub fn fenced(mut self, name: &str, epoch: u64) -> Self {
        self.fence = Some(Fence {
            name: name.to_owned(),
            epoch,
        });
        self
    }

    fn write(
        mut self,
        view: &str,
        key: impl Into<Bytes>,
        value: Option<Bytes>,
        expires_ms: Option<i64>,
    ) -> Self {
        self.writes.push(Write {
            view: view.to_owned().into(),
            key: key.into(),
            value,
            expires_ms,
        });
        self
    }
}

/// A value found by a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key within the view.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// When it stops being readable, if ever.
    pub expires_ms: Option<i64>,
}

/// What a view takes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewUsage {
    /// The view by name.
    pub view: String,
    /// Its entries.
    pub entries: u64,
    /// Bytes it occupies in the store, overheads and indices included.
    pub bytes: u64,
    /// Whether both were estimated from a sample.
    pub estimated: bool,
}

/// Views, consumer progress and outboxes that change together.
///
/// A view exists once something was written to it; reading another one finds nothing. Expiry is
/// judged by the adapter's [`crate::Clock`]: a value is readable while `now < expires_ms`.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    /// The value of a key.
    async fn get(&self, view: &str, key: &[u8]) -> PortResult<Option<Bytes>>;

    /// The values of many keys, in their order, as of one moment.
    async fn multi_get(&self, view: &str, keys: &[Bytes]) -> PortResult<Vec<Option<Bytes>>>;

    /// At most `limit` entries whose keys begin with `prefix`, in byte order, after the key
    /// `after` (exclusive; pass the last key of the page before).
    async fn scan(
        &self,
        view: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<Vec<Entry>>;

    /// Applies a commit; durable once answered.
    ///
    /// # Errors
    /// `Fenced`, `Conflict` (nothing was changed), `TooLarge`, `Invalid` for a bad name.
    async fn commit(&self, commit: Commit) -> PortResult<()>;

    /// Changes a commit should hold at most, so that other clients are not held up meanwhile. More are taken all the
    /// same.
    fn commit_changes(&self) -> usize {
        usize::MAX
    }

    /// Takes a fence over: raises its stored epoch by one and answers it (1 the first time). From then on commits
    /// fenced with an older epoch are refused, so whoever starts to work on a partition claims it first.
    ///
    /// # Errors
    /// `Invalid` for a bad name.
    async fn claim(&self, fence: &str) -> PortResult<u64>;

    /// The offset a consumer reads next; 0 before its first commit.
    async fn progress(&self, consumer: &str, topic: &str, partition: u32) -> PortResult<Offset>;

    /// The oldest `max` entries of an outbox, in order. They stay until acknowledged.
    async fn outbox_read(&self, outbox: &str, max: usize) -> PortResult<Vec<OutboxRecord>>;

    /// Removes entries of an outbox; unknown ids are ignored.
    async fn outbox_ack(&self, outbox: &str, ids: &[u64]) -> PortResult<()>;

    /// A counter that changes after every commit that adds to `outbox`.
    fn outbox_watch(&self, outbox: &str) -> PortResult<watch::Receiver<u64>>;

    /// Looks at up to `max` entries from where the last call stopped, removes the expired ones
    /// and answers how many. A store that expires by itself answers 0.
    async fn sweep(&self, max: usize) -> PortResult<u64>;

    /// What each view holds, as well as the store can tell; nothing where it cannot.
    async fn usage(&self) -> PortResult<Vec<ViewUsage>> {
        Ok(Vec::new())
    }

    /// One line for the start-up log.
    fn summary(&self) -> Summary;
}

/// Batched reads of feature views, for whatever serves features.
#[async_trait]
pub trait OnlineStore: Send + Sync + 'static {
    /// The values of many entities of one feature view, in their order.
    async fn read_features(&self, view: &str, entities: &[Bytes])
    -> PortResult<Vec<Option<Bytes>>>;
}

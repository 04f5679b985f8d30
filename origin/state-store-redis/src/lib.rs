//! The state store on Redis or Redis Cluster: one fenced Lua script per commit.
//!
//! Data path: a commit is checked, placed ([`mediaflow_ports::Layout`]: all of it lies in one slot) and sent as one
//! script to the node of that slot ([`commit`]). The script refuses an older epoch, another progress or a broken
//! precondition before it writes anything, so state, offset and outbox change together or not at all. A commit
//! whose answer was lost is sent again under the same mark and takes effect once. Keys are named in [`keys`]; views
//! that are scanned keep an index ([`scan`]); outboxes are streams, one per slot ([`outbox`]); processes wake each
//! other through a channel ([`wake`]).
//!
//! Redis expires values by its own clock. What a replica had not yet received when its master died is lost from
//! state and progress *together*, so folding goes on from there and nothing counts twice.
//!
//! What it never does: commit over two slots, queue, evict, log a password, touch keys of another prefix.

mod advice;
mod commit;
mod config;
mod fault;
mod keys;
mod link;
mod outbox;
mod scan;
mod script;
mod usage;
mod wake;

pub mod limits;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use mediaflow_ports::{
    Commit, Entry, Layout, Offset, OnlineStore, OutboxRecord, PortError, PortErrorKind, PortResult,
    Slot, StateStore, Summary, ViewUsage, check_name,
};
use redis::cmd;
use tokio::sync::{Mutex, OnceCell, watch};

pub use config::{PASSWORD_VARIABLE, RedisConfig};

use crate::commit::{Order, verdict};
use crate::keys::{Keys, fence_field, progress_field};
use crate::link::Link;
use crate::scan::Question;
use crate::script::Scripts;
use crate::wake::{Listener, Wakes};

/// State in a Redis database or cluster.
pub struct RedisState {
    inner: Inner,
    wakes: Arc<Wakes>,
    _listener: Listener,
    summary: Summary,
}

pub(crate) struct Inner {
    link: Link,
    keys: Keys,
    layout: Layout,
    scripts: Scripts,
    channel: String,
    /// Set once the server was found to be the right one.
    known: OnceCell<()>,
    /// Where the next sweep goes on.
    swept: Mutex<Option<Swept>>,
}

/// A slot, a view of it, the last key looked at.
type Swept = (Slot, String, Option<Vec<u8>>);

impl RedisState {
    /// Connects. A server that is away is no error: it is waited for by whoever needs it.
    ///
    /// # Errors
    /// `Invalid` when the stored state was laid out otherwise (other partitions or placements: those keys would not
    /// be found), or the server is too old; `Unauthorized`.
    pub async fn open(config: RedisConfig) -> PortResult<Self> {
        let keys = Keys::new(&config.prefix);
        let channel = keys.channel(config.database);
        let link = Link::new(&config)?;
        let wakes = Arc::<Wakes>::default();
        let listener = Listener::start(&wakes, config.nodes, channel.clone());
        let inner = Inner {
            link,
            keys,
            layout: config.layout,
            scripts: Scripts::default(),
            channel,
            known: OnceCell::new(),
            swept: Mutex::default(),
        };
        let kind = if inner.link.is_cluster() {
            "cluster"
        } else {
            "server"
        };
        let about = format!(
            "state_store: {} ({kind}, {} partitions)",
            config.place,
            inner.layout.partitions()
        );
        let summary = match inner.known().await {
            Ok(()) => {
                let remarks: Vec<_> = advice::on(&inner.link, &inner.layout)
                    .await
                    .into_iter()
                    .collect();
                Summary {
                    warn: !remarks.is_empty(),
                    line: [vec![about.as_str()], remarks].concat().join("; "),
                }
            }
            Err(error) if error.is_retryable() => Summary {
                warn: true,
                line: format!("{about}; not reachable yet: {error}"),
            },
            Err(error) => return Err(error),
        };
        Ok(Self {
            inner,
            wakes,
            _listener: listener,
            summary,
        })
    }

    async fn ready(&self) -> PortResult<&Inner> {
        self.inner.known().await?;
        Ok(&self.inner)
    }
}

impl Inner {
    async fn known(&self) -> PortResult<()> {
        self.known.get_or_try_init(|| self.lay_out()).await.copied()
    }

    /// Notes the layout beside the state, or compares it with the one noted.
    async fn lay_out(&self) -> PortResult<()> {
        let (slot, doing) = (Slot::Global, "read how its state is laid out");
        let name = self.keys.layout();
        let wanted = keys::layout_fields(&self.layout);
        let stored: HashMap<String, String> = self
            .link
            .call(slot, doing, cmd("HGETALL").arg(&name))
            .await?;
        let mut write = cmd("HSET");
        write.arg(&name);
        let mut missing = 0;
        for (field, value) in &wanted {
            match stored.get(field) {
                Some(there) if there == value => {}
                Some(there) => return Err(self.laid_out_otherwise(field, there, value)),
                None => {
                    write.arg(field).arg(value);
                    missing += 1;
                }
            }
        }
        let ours: HashMap<_, _> = wanted.iter().cloned().collect();
        if let Some((field, there)) = stored.iter().find(|(field, _)| !ours.contains_key(*field)) {
            return Err(self.laid_out_otherwise(field, there, "not declared"));
        }
        if missing > 0 {
            self.link.call::<u64>(slot, doing, &write).await?;
        }
        Ok(())
    }

    fn laid_out_otherwise(&self, field: &str, there: &str, wanted: &str) -> PortError {
        let message = format!(
            "{}: its state was written with {field} = {there}, this process has {wanted}; use the same \
             configuration and release, or another ?prefix= and let the log rebuild it",
            self.link.place()
        );
        PortError::new(PortErrorKind::Invalid, message)
    }

    async fn multi_get(&self, view: &str, keys: &[Bytes]) -> PortResult<Vec<Option<Bytes>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut groups: HashMap<Slot, (redis::Cmd, Vec<usize>)> = HashMap::new();
        for (at, key) in keys.iter().enumerate() {
            let slot = self.layout.slot_of(view, key)?;
            // One server answers for all slots at once, hence as of one moment.
            let node = if self.link.is_cluster() {
                slot
            } else {
                Slot::Global
            };
            let (ask, places) = groups
                .entry(node)
                .or_insert_with(|| (cmd("MGET"), Vec::new()));
            ask.arg(self.keys.value(slot, view, key));
            places.push(at);
        }
        let mut all = vec![None; keys.len()];
        let answers = groups.into_iter().map(async |(slot, (ask, places))| {
            let values: Vec<Option<Vec<u8>>> = self.link.call(slot, "read a view", &ask).await?;
            Ok((places, values))
        });
        for (places, values) in try_join_all(answers).await? {
            for (at, value) in places.into_iter().zip(values) {
                all[at] = value.map(Bytes::from);
            }
        }
        Ok(all)
    }

    async fn commit(&self, commit: &Commit) -> PortResult<()> {
        let slot = self.layout.slot_of_commit(commit)?;
        let order = Order::new(
            commit,
            slot,
            &self.keys,
            &self.layout,
            mark()?,
            &self.channel,
        );
        let arguments = order.arguments(commit);
        let answer: Vec<String> = self
            .scripts
            .commit
            .run(&self.link, slot, "commit state", &order.keys, &arguments)
            .await?;
        let code = answer.first().and_then(|code| code.parse().ok());
        let code = code.ok_or_else(|| fault::nonsense(self.link.place(), "commit state"))?;
        verdict(commit, code, answer.get(1).map_or("", String::as_str))
    }
}

/// Tells one commit from every other: a later try of it is recognised.
fn mark() -> PortResult<[u8; 16]> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|e| {
        PortError::new(
            PortErrorKind::Unavailable,
            "the system gives no random bytes; retry",
        )
        .with_source(e)
    })?;
    Ok(id)
}

#[async_trait]
impl StateStore for RedisState {
    async fn get(&self, view: &str, key: &[u8]) -> PortResult<Option<Bytes>> {
        let all = self.multi_get(view, &[Bytes::copy_from_slice(key)]).await?;
        Ok(all.into_iter().next().flatten())
    }

    /// As of one moment on one server; on a cluster as of one moment per slot.
    async fn multi_get(&self, view: &str, keys: &[Bytes]) -> PortResult<Vec<Option<Bytes>>> {
        check_name("view", view)?;
        self.ready().await?.multi_get(view, keys).await
    }

    async fn scan(
        &self,
        view: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<Vec<Entry>> {
        check_name("view", view)?;
        let question = Question {
            view,
            prefix,
            after,
            limit,
        };
        self.ready().await?.scan(question).await
    }

    async fn commit(&self, commit: Commit) -> PortResult<()> {
        fault::check(&commit)?;
        self.ready().await?.commit(&commit).await?;
        // Those of this process need not wait for the message to come back.
        for entry in &commit.outbox {
            self.wakes.wake(&entry.outbox);
        }
        Ok(())
    }

    fn commit_changes(&self) -> usize {
        limits::COMMIT_CHANGES
    }

    async fn claim(&self, fence: &str) -> PortResult<u64> {
        check_name("fence", fence)?;
        let inner = self.ready().await?;
        let slot = inner.layout.slot_of_fence(fence)?;
        // A try whose answer was lost raised the epoch once more, which shuts out nobody who is still there.
        let mut raise = cmd("HINCRBY");
        raise
            .arg(inner.keys.facts(slot))
            .arg(fence_field(fence))
            .arg(1);
        inner.link.call(slot, "claim a fence", &raise).await
    }

    async fn progress(&self, consumer: &str, topic: &str, partition: u32) -> PortResult<Offset> {
        let inner = self.ready().await?;
        let slot = inner.layout.slot_of_progress(consumer, partition)?;
        let mut ask = cmd("HGET");
        ask.arg(inner.keys.facts(slot))
            .arg(progress_field(consumer, topic, partition));
        let stored: Option<Offset> = inner.link.call(slot, "read progress", &ask).await?;
        Ok(stored.unwrap_or(0))
    }

    async fn outbox_read(&self, outbox: &str, max: usize) -> PortResult<Vec<OutboxRecord>> {
        check_name("outbox", outbox)?;
        let inner = self.ready().await?;
        outbox::read(&inner.link, &inner.keys, &inner.layout, outbox, max).await
    }

    async fn outbox_ack(&self, outbox: &str, ids: &[u64]) -> PortResult<()> {
        check_name("outbox", outbox)?;
        let inner = self.ready().await?;
        outbox::ack(&inner.link, &inner.keys, &inner.layout, outbox, ids).await
    }

    fn outbox_watch(&self, outbox: &str) -> PortResult<watch::Receiver<u64>> {
        check_name("outbox", outbox)?;
        Ok(self.wakes.watch(outbox))
    }

    /// Values expire by themselves; this drops what indices still say of them.
    async fn sweep(&self, max: usize) -> PortResult<u64> {
        self.ready().await?.sweep(max).await
    }

    async fn usage(&self) -> PortResult<Vec<ViewUsage>> {
        let inner = self.ready().await?;
        // A flush took the layout with it.
        inner.lay_out().await?;
        usage::measure(&inner.link, &inner.keys, &inner.layout).await
    }

    fn summary(&self) -> Summary {
        self.summary.clone()
    }
}

#[async_trait]
impl OnlineStore for RedisState {
    async fn read_features(
        &self,
        view: &str,
        entities: &[Bytes],
    ) -> PortResult<Vec<Option<Bytes>>> {
        self.multi_get(view, entities).await
    }
}

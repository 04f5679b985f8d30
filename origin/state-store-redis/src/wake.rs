//! Who waits for an outbox: woken by commits of this process at once, by those of others through a Redis channel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::StreamExt as _;
use redis::{Client, ConnectionInfo};
use tokio::sync::watch;
use tokio::time::{interval, sleep, timeout};

use crate::limits::{CONNECT_TIMEOUT, SUBSCRIBE_PAUSE, WAKE_EVERY};

/// The watchers of one process.
#[derive(Default)]
pub(crate) struct Wakes {
    outboxes: Mutex<HashMap<String, watch::Sender<u64>>>,
}

impl Wakes {
    pub fn watch(&self, outbox: &str) -> watch::Receiver<u64> {
        let mut outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = outboxes
            .entry(outbox.to_owned())
            .or_insert_with(|| watch::Sender::new(0));
        sender.subscribe()
    }

    pub fn wake(&self, outbox: &str) {
        let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = outboxes.get(outbox) {
            sender.send_modify(|n| *n += 1);
        }
    }

    fn wake_all(&self) {
        let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in outboxes.values() {
            sender.send_modify(|n| *n += 1);
        }
    }
}

/// Listens until the watchers are gone. A node that goes away is replaced by the next; what was said meanwhile is
/// made up for by waking everybody.
pub(crate) async fn listen(wakes: Weak<Wakes>, nodes: Vec<ConnectionInfo>, channel: String) {
    for node in nodes.iter().cycle() {
        let Some(present) = wakes.upgrade() else {
            return;
        };
        present.wake_all();
        drop(present);
        if let Err(error) = subscribed(&wakes, node, &channel).await {
            tracing::debug!(%error, "not subscribed to outboxes; they are looked at every second");
        }
        sleep(SUBSCRIBE_PAUSE).await;
    }
}

async fn subscribed(
    wakes: &Weak<Wakes>,
    node: &ConnectionInfo,
    channel: &str,
) -> redis::RedisResult<()> {
    let gone = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    let client = Client::open(node.clone())?;
    let mut listener = timeout(CONNECT_TIMEOUT, client.get_async_pubsub())
        .await
        .map_err(|_| gone())??;
    timeout(CONNECT_TIMEOUT, listener.subscribe(channel))
        .await
        .map_err(|_| gone())??;
    let mut said = listener.on_message();
    let mut tick = interval(WAKE_EVERY);
    loop {
        let message = tokio::select! {
            message = said.next() => Some(message),
            _ = tick.tick() => None,
        };
        let Some(wakes) = wakes.upgrade() else {
            return Ok(());
        };
        match message {
            Some(Some(message)) => wakes.wake(&message.get_payload::<String>()?),
            Some(None) => return Ok(()),
            None => wakes.wake_all(),
        }
    }
}

/// A listener that ends with its owner.
pub(crate) struct Listener(tokio::task::JoinHandle<()>);

impl Listener {
    pub fn start(wakes: &Arc<Wakes>, nodes: Vec<ConnectionInfo>, channel: String) -> Self {
        Self(tokio::spawn(listen(Arc::downgrade(wakes), nodes, channel)))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

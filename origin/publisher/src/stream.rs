//! What the stream says about a brand's items: the partitions' counts, added up.

use bytes::Bytes;
use mediaflow_ports::PortErrorKind;
use mediaflow_shared::front::build::{Item, log_count};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::signals::{
    Counts, HalfLife, NEIGHBOURS_COUNTED_MAX, Neighbours, VIEW_NEIGHBOURS, VIEW_POPULARITY,
    brand_prefix, parse_key,
};
use mediaflow_shared::time::Minute;
use mediaflow_shared::wire::WireError;
use std::collections::HashMap;

use crate::PublisherDeps;
use crate::error::PublisherResult;
use crate::limits::PAGE;
use crate::push::retrying;

/// The topic whose partitions were counted.
const TOPIC_EVENTS: &str = "events";

/// Counts and neighbours by item.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    counts: HashMap<ContentId, Counts>,
    next: HashMap<ContentId, Neighbours>,
}

impl Signals {
    /// Reads and adds up everything counted for a brand.
    pub async fn read(deps: &PublisherDeps, brand: &str) -> PublisherResult<Self> {
        let partitions = match deps.log.partitions(TOPIC_EVENTS).await {
            Err(e) if e.kind() == PortErrorKind::NotFound => 0,
            other => other?,
        };
        let mut all = Self::default();
        for p in 0..partitions {
            let prefix = brand_prefix(p, brand);
            for view in [VIEW_POPULARITY, VIEW_NEIGHBOURS] {
                let mut after: Option<Bytes> = None;
                loop {
                    let page =
                        retrying(|| deps.state.scan(view, &prefix, after.as_deref(), PAGE)).await?;
                    for e in &page {
                        if let Err(error) = all.add(view, &e.key, &e.value) {
                            tracing::warn!(%error, view, "a signal cannot be read; counted as none");
                        }
                    }
                    match page.last() {
                        Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
                        _ => break,
                    }
                }
            }
        }
        Ok(all)
    }

    fn add(&mut self, view: &str, key: &[u8], value: &[u8]) -> Result<(), WireError> {
        let Some((_, content)) = parse_key(key) else {
            return Ok(());
        };
        if view == VIEW_POPULARITY {
            self.counts
                .entry(content)
                .or_default()
                .merge(&Counts::decode(value)?);
        } else {
            self.next
                .entry(content)
                .or_default()
                .merge(&Neighbours::decode(value)?);
        }
        Ok(())
    }

    /// Counts a click or read, as `features` does.
    pub fn click(&mut self, content: ContentId, at: Minute) {
        self.counts.entry(content).or_default().click(at);
    }

    /// Counts a reader who went on from one item to the next, as `features` does.
    pub fn follow(&mut self, from: ContentId, to: ContentId, at: Minute) {
        self.next.entry(from).or_default().follow(to, at);
    }

    /// Fills the columns that the stream decides.
    pub fn fill(&self, item: &mut Item, now: Minute) {
        if let Some(c) = self.counts.get(&item.content) {
            let whole = |q8: u64| log_count(q8.saturating_add(128) >> 8);
            item.clicks15 = log_count(c.clicks(now, 15));
            item.clicks60 = log_count(c.clicks(now, 60));
            item.decay_fast = whole(c.fast.at_q8(HalfLife::H1, now));
            item.decay_slow = whole(c.slow.at_q8(HalfLife::H24, now));
            item.active_min = Some(now.since(c.last));
        }
        if let Some(n) = self.next.get(&item.content) {
            // More than fit: those outside the front are dropped when it is written.
            item.neighbours = n.strongest(NEIGHBOURS_COUNTED_MAX, now);
        }
    }

    /// How popular an item is right now, for choosing candidates: an hour's decay with the last 15 minutes twice.
    pub fn heat(&self, content: ContentId, now: Minute) -> u64 {
        self.counts.get(&content).map_or(0, |c| {
            let recent = c.clicks(now, 15).saturating_mul(512);
            let slow = c.slow.at_q8(HalfLife::H24, now) / 16;
            c.fast
                .at_q8(HalfLife::H1, now)
                .saturating_add(recent)
                .saturating_add(slow)
        })
    }
}

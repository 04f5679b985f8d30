//! The folds of one partition without any IO: events in, one commit out.
//!
//! What changes is decided by the events, their order and their times alone, never by when a commit happens: a replay
//! from any commit gives the same bytes, but for the note which blob was handed on last.

use bytes::Bytes;
use datasketches::hll::Coupon;
use mediaflow_ports::{Commit, Entry, Offset, OutboxEntry, StoredRecord};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::signals::{OUTBOX_PROFILES, VIEW_READER, dirty_key};
use mediaflow_shared::wire::WireError;
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

use crate::FeatureConfig;
use crate::cache::{Cache, Map, Place, Sheet, Spare, WARM, Warm, read};
use crate::clock::{EventClock, Standing};
use crate::declare::{VIEW_AD, VIEW_BRAND, VIEW_CLOCK, VIEW_ITEM, VIEW_REACH, VIEW_SEEN, VIEW_TOP};
use crate::entity::{AdState, BrandCounts, ItemState, Reach, Stored};
use crate::error::FeatureError;
use crate::items::ItemFacts;
use crate::keys::{self, Brands};
use crate::limits::{
    ADS_HOT_MAX, BRANDS_MAX, COUNTS_HOT_MAX, ITEM_KEEP, REACH_KEEP, READER_KEEP, SKETCHES_HOT_MAX,
    TOP_KEEP,
};
use crate::metrics::{FeatureMetrics, bump};
use crate::popularity::Popularity;
use crate::reader::{Circumstances, ReaderState};
use crate::seen::Seen;
use crate::seen_before::SeenBefore;
use crate::sketch::{Top, coupon};

/// A reader in memory.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    pub state: ReaderState,
    forget: bool,
    /// Since the last commit an event told the profile something.
    told: bool,
    /// Of the last event.
    brand: Option<u16>,
}

impl Warm for Hot {
    fn warm(&self) -> u64 {
        self.state.warm()
    }
}

pub(crate) struct Folds {
    partition: u32,
    config: FeatureConfig,
    pub(crate) readers: Cache<Pseudonym, Hot>,
    pub(crate) items: Cache<u64, ItemState>,
    pub(crate) ads: Cache<u64, AdState>,
    pub(crate) brands: Cache<u16, BrandCounts>,
    /// By brand and day.
    pub(crate) reach: Cache<(u16, u32), Reach>,
    /// By brand and hour.
    pub(crate) tops: Cache<(u16, u32), Top>,
    pub(crate) names: Brands,
    popularity: Popularity,
    seen: SeenBefore,
    clock: EventClock,
    /// When the log took the newest record: the base of expiries.
    appended_ms: i64,
    spare: Spare,
}

/// A batch after parsing: new events of people, with the states they change.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    work: Vec<Work<'a>>,
    /// Items whose facts are needed.
    pub facts: HashSet<ContentId, foldhash::fast::RandomState>,
}

struct Work<'a> {
    e: Seen<'a>,
    /// Offset of the event, and one.
    version: u64,
    in_time: bool,
    reader: Option<Place>,
    item: Option<Place>,
    ad: Option<Place>,
    brand: Option<BrandPlaces>,
}

#[derive(Clone, Copy)]
struct BrandPlaces {
    brand: u16,
    counts: Place,
    reach: Option<Place>,
    top: Option<Place>,
}

/// States to be loaded before a batch can be folded.
pub(crate) struct Wanted {
    pub view: &'static str,
    pub keys: Vec<Bytes>,
    places: Vec<Place>,
}

impl Folds {
    pub fn new(partition: u32, config: FeatureConfig) -> Self {
        Self {
            partition,
            readers: Cache::new(config.readers_hot),
            items: Cache::new(COUNTS_HOT_MAX.max(config.readers_hot / 2)),
            ads: Cache::new(ADS_HOT_MAX.max(config.readers_hot / 8)),
            brands: Cache::new(BRANDS_MAX),
            reach: Cache::new(SKETCHES_HOT_MAX),
            tops: Cache::new(SKETCHES_HOT_MAX),
            names: Brands::default(),
            popularity: Popularity::new(partition),
            seen: SeenBefore::new(partition, config.seen_slots),
            clock: EventClock::default(),
            appended_ms: 0,
            spare: Spare::default(),
            config,
        }
    }

    /// Takes a stored value of a partition-wide view in.
    pub fn restore(&mut self, view: &str, entry: &Entry) -> Result<(), WireError> {
        match view {
            VIEW_SEEN => self.seen.restore(entry),
            VIEW_CLOCK => self.clock = EventClock::decode(&entry.value),
            _ => return self.popularity.restore(view, entry),
        }
        Ok(())
    }

    /// Parses records and drops what was seen before.
    pub fn admit<'a>(
        &mut self,
        records: &'a [StoredRecord],
        metrics: &FeatureMetrics,
    ) -> Batch<'a> {
        let mut batch = Batch::default();
        batch.work.reserve(records.len());
        for r in records {
            self.appended_ms = self.appended_ms.max(r.appended_ms);
            let Some(e) = Seen::of(r) else {
                bump(&metrics.unreadable);
                continue;
            };
            let minute = mediaflow_shared::time::Timestamp(r.appended_ms).minute().0;
            if !self.seen.insert(r.offset, minute, e.fingerprint) {
                bump(&metrics.duplicates);
                continue;
            }
            if e.bot {
                bump(&metrics.robots);
                continue;
            }
            let standing = self.clock.tick(e.at, &self.config.late);
            match standing {
                Standing::InTime => {}
                Standing::Late => bump(&metrics.late),
                Standing::TooLate => {
                    bump(&metrics.late);
                    bump(&metrics.dropped_late);
                }
            }
            if e.more.outliers > 0 {
                metrics.outliers.fetch_add(e.more.outliers.into(), Relaxed);
            }
            if e.reader.is_some() {
                batch.facts.extend(e.content.filter(|_| e.needs_facts()));
            }
            let in_time = standing != Standing::TooLate;
            let work = self.place(e, r.offset + 1, in_time);
            batch.work.push(work);
        }
        batch
    }

    /// Finds the states an event changes.
    fn place<'a>(&mut self, e: Seen<'a>, version: u64, in_time: bool) -> Work<'a> {
        let minute = e.at.minute().0;
        let brand = self.names.place(&e.brand).map(|brand| BrandPlaces {
            brand,
            counts: self.brands.want(brand),
            reach: e
                .reader
                .filter(|_| in_time)
                .map(|_| self.reach.want((brand, minute / 1440))),
            top: e
                .content
                .filter(|_| in_time && e.is_click())
                .map(|_| self.tops.want((brand, minute / 60))),
        });
        let about_item = e.more.ad.is_none();
        Work {
            reader: e.reader.map(|r| self.readers.want(r)),
            item: e
                .content
                .filter(|_| about_item)
                .map(|c| self.items.want(c.0)),
            ad: e.more.ad.as_ref().map(|a| self.ads.want(a.key)),
            brand,
            e,
            version,
            in_time,
        }
    }

    /// The newest event met.
    pub fn newest(&self) -> mediaflow_shared::time::Timestamp {
        self.clock.newest()
    }

    /// What must be loaded before the admitted batch can be folded.
    pub fn wanted(&mut self) -> Vec<Wanted> {
        let p = self.partition;
        let mut all = Vec::new();
        let mut ask = |view, places: Vec<Place>, key: &dyn Fn(Place) -> Vec<u8>| {
            if !places.is_empty() {
                all.push(Wanted {
                    view,
                    keys: places.iter().map(|n| key(*n).into()).collect(),
                    places,
                });
            }
        };
        let places = self.readers.take_wanted();
        ask(VIEW_READER, places, &|n| self.readers.key(n).0.to_vec());
        let places = self.items.take_wanted();
        ask(VIEW_ITEM, places, &|n| keys::number(p, self.items.key(n)));
        let places = self.ads.take_wanted();
        ask(VIEW_AD, places, &|n| keys::number(p, self.ads.key(n)));
        let names = &self.names;
        let places = self.brands.take_wanted();
        ask(VIEW_BRAND, places, &|n| {
            keys::brand(p, names.slug(self.brands.key(n)))
        });
        let places = self.reach.take_wanted();
        ask(VIEW_REACH, places, &|n| {
            let (brand, day) = self.reach.key(n);
            keys::brand_at(p, names.slug(brand), day)
        });
        let places = self.tops.take_wanted();
        ask(VIEW_TOP, places, &|n| {
            let (brand, hour) = self.tops.key(n);
            keys::brand_at(p, names.slug(brand), hour)
        });
        all
    }

    /// Takes what was loaded in; one value for each key that was wanted.
    pub fn supply(
        &mut self,
        wanted: &Wanted,
        values: &[Option<Bytes>],
    ) -> Result<(), FeatureError> {
        let view = wanted.view;
        for (place, stored) in wanted.places.iter().zip(values) {
            let (place, stored) = (*place, stored.as_deref());
            let supplied = match view {
                VIEW_READER => read(stored, ReaderState::decode).map(|state| {
                    let hot = Hot {
                        state,
                        ..Hot::default()
                    };
                    self.readers.supply(place, hot);
                }),
                VIEW_ITEM => read(stored, ItemState::decode).map(|s| self.items.supply(place, s)),
                VIEW_AD => read(stored, AdState::decode).map(|s| self.ads.supply(place, s)),
                VIEW_BRAND => {
                    read(stored, BrandCounts::decode).map(|s| self.brands.supply(place, s))
                }
                VIEW_REACH => read(stored, Reach::decode).map(|s| self.reach.supply(place, s)),
                _ => read(stored, Top::decode).map(|s| self.tops.supply(place, s)),
            };
            supplied.map_err(|source| FeatureError::State { view, source })?;
        }
        Ok(())
    }

    /// Folds a batch whose states were supplied.
    pub fn fold(
        &mut self,
        batch: &Batch<'_>,
        facts: &Map<ContentId, ItemFacts>,
        metrics: &FeatureMetrics,
    ) {
        metrics.events.fetch_add(batch.work.len() as u64, Relaxed);
        for some in batch.work.chunks(WARM) {
            self.readers.warm(some.iter().filter_map(|w| w.reader));
            for w in some {
                self.fold_one(w, facts);
            }
        }
    }

    fn fold_one(&mut self, w: &Work<'_>, facts: &Map<ContentId, ItemFacts>) {
        let (e, at) = (&w.e, w.e.at.minute());
        if let Some(content) = e.content.filter(|_| e.is_click()) {
            self.popularity.click(&e.brand, content, at);
        }
        let mut reached = 0;
        if let Some(reader) = w.reader {
            let hot = self.readers.change(reader);
            let item = e.content.and_then(|c| facts.get(&c));
            let circumstances = Circumstances {
                rule: self.config.session,
                in_time: w.in_time,
                version: w.version,
            };
            let effect = hot.state.fold(e, item, &circumstances);
            hot.forget |= effect.forget;
            hot.told |= effect.told;
            hot.brand = w.brand.map(|b| b.brand);
            reached = effect.reached;
            if let (Some(from), Some(to)) = (effect.came_from, e.content) {
                self.popularity.follow(&e.brand, from, to, at);
            }
        }
        let reader: Option<Coupon> = e.reader.map(coupon);
        if let Some(item) = w.item {
            let item = self.items.change(item);
            item.fold(e, reader, reached, w.version, w.in_time);
        }
        if let (Some(place), Some(ad)) = (w.ad, &e.more.ad) {
            let state = self.ads.change(place);
            state.fold(e, ad, reader, w.version, w.in_time);
        }
        if let Some(b) = w.brand {
            self.brands.change(b.counts).fold(e, w.version, w.in_time);
            if let (Some(day), Some(reader)) = (b.reach, reader) {
                self.reach.change(day).insert(reader);
            }
            if let (Some(hour), Some(content)) = (b.top, e.content) {
                self.tops.change(hour).count(content);
            }
        }
    }

    /// Everything that changed since the last call, as one commit that moves from `expected` to `next`.
    pub fn changes(
        &mut self,
        (expected, next): (Offset, Offset),
        metrics: &FeatureMetrics,
    ) -> Commit {
        let p = self.partition;
        let until = |keep: std::time::Duration| {
            let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
            Some(self.appended_ms.saturating_add(keep_ms))
        };
        let (reader_until, item_until) = (until(READER_KEEP), until(ITEM_KEEP));
        let (reach_until, top_until) = (until(REACH_KEEP), until(TOP_KEEP));
        let mut sheet = Sheet::reusing(&mut self.spare);
        let mut outbox = Vec::new();
        let names = &self.names;
        self.readers.each_changed(|reader, hot| {
            let brand = hot.brand.map_or("", |b| names.slug(b));
            let mut emit = |blob: Bytes| {
                outbox.push(OutboxEntry {
                    outbox: OUTBOX_PROFILES.into(),
                    key: dirty_key(*reader, brand).into(),
                    value: blob,
                });
            };
            let told = std::mem::take(&mut hot.told);
            let blob = told.then(|| hot.state.changed_blob()).flatten();
            if std::mem::take(&mut hot.forget) {
                bump(&metrics.deletions);
                emit(Bytes::new());
            }
            if let Some(blob) = blob {
                bump(&metrics.profiles);
                emit(blob.into());
            }
            let until = hot.state.closed_until_ms().or(reader_until);
            sheet.put(VIEW_READER, &reader.0, until, |o| hot.state.encode_into(o));
        });
        self.items.each_changed(|id, s| {
            let key = keys::number(p, *id);
            sheet.put(VIEW_ITEM, &key, item_until, |o| s.encode_into(o));
        });
        self.ads.each_changed(|id, s| {
            let key = keys::number(p, *id);
            sheet.put(VIEW_AD, &key, item_until, |o| s.encode_into(o));
        });
        self.brands.each_changed(|brand, s| {
            let key = keys::brand(p, names.slug(*brand));
            sheet.put(VIEW_BRAND, &key, None, |o| s.encode_into(o));
        });
        self.reach.each_changed(|(brand, day), s| {
            let key = keys::brand_at(p, names.slug(*brand), *day);
            sheet.put(VIEW_REACH, &key, reach_until, |o| s.encode_into(o));
        });
        self.tops.each_changed(|(brand, hour), s| {
            let key = keys::brand_at(p, names.slug(*brand), *hour);
            sheet.put(VIEW_TOP, &key, top_until, |o| s.encode_into(o));
        });
        self.popularity.writes(&mut sheet);
        self.seen.writes(&mut sheet);
        let clock = self.clock.encode();
        sheet.put(VIEW_CLOCK, &p.to_be_bytes(), None, |o| {
            o.extend_from_slice(&clock);
        });
        self.cool();
        self.report(metrics, sheet.value_bytes());
        let mut commit =
            Commit::new().advance(crate::CONSUMER, crate::TOPIC_EVENTS, p, expected, next);
        commit.writes = sheet.into_writes(&mut self.spare);
        commit.outbox = outbox;
        commit
    }

    /// Forgets in memory what was not used for longest. Nothing may have changed since the last commit.
    fn cool(&mut self) {
        self.readers.cool();
        self.items.cool();
        self.ads.cool();
        self.brands.cool();
        self.reach.cool();
        self.tops.cool();
    }

    fn report(&self, metrics: &FeatureMetrics, value_bytes: usize) {
        metrics.state_bytes.fetch_add(value_bytes as u64, Relaxed);
        if let Some(p) = metrics.partition(self.partition) {
            p.newest_ms.store(self.clock.newest().0, Relaxed);
            let watermark = self.clock.watermark(&self.config.late);
            p.watermark_ms.store(watermark.0, Relaxed);
            p.seen_reach_min
                .store(self.seen.reach_min().into(), Relaxed);
        }
    }
}

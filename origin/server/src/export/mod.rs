//! What services count as plain numbers, as metrics; and what nobody counts but can be seen from outside ([`lag`]).
//!
//! Numbers are copied when somebody scrapes. Labels are closed sets: lanes, views, tiers, partitions, outcomes, brands
//! of the configuration. docs/observability.md lists every family.

mod databases;
mod lag;
mod views;

use mediaflow_features::FeatureMetrics;
use mediaflow_features::declare::{Entity, Tier, VIEW_AD, VIEW_BRAND, VIEW_ITEM};
use mediaflow_http::Metrics;
use mediaflow_http::metrics::{IntCounter, clamped, raise};
use mediaflow_ingest::Collector;
use mediaflow_publisher::{PublisherMetrics, PublisherSnapshot};
use mediaflow_shared::signals::{VIEW_NEIGHBOURS, VIEW_POPULARITY, VIEW_READER};
use std::collections::BTreeSet;
use std::sync::Arc;

pub use databases::databases;
pub use lag::watch as watch_lag;
pub use views::views;

/// What the folds keep, view and tier: what is declared, and what only fronts read. One commit brings all of a partition
/// up to date.
fn folded_views() -> BTreeSet<(&'static str, &'static str)> {
    let declared = mediaflow_features::all().iter().filter_map(|d| {
        let view = match d.entity {
            Entity::Reader | Entity::Session => VIEW_READER,
            Entity::Content => VIEW_ITEM,
            Entity::Ad => VIEW_AD,
            Entity::Brand => VIEW_BRAND,
        };
        // What depends on the moment it is read in is never old.
        (d.tier != Tier::Contextual).then(|| (view, d.tier.slug()))
    });
    let fronts = [VIEW_POPULARITY, VIEW_NEIGHBOURS].map(|view| (view, Tier::RealTime.slug()));
    declared.chain(fronts).collect()
}

fn counter(metrics: &Metrics, name: &str, help: &str) -> IntCounter {
    metrics
        .counter(name, help, &[])
        .with_label_values::<&str>(&[])
}

#[expect(clippy::cast_precision_loss, reason = "a time of this century")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

/// `mediaflow_features_*` and `mediaflow_feature_newest_event_timestamp_seconds`.
pub fn features(metrics: &Metrics, source: Arc<FeatureMetrics>) {
    let count = |name: &str, help: &str| counter(metrics, name, help);
    let events = count("features_events_total", "Events folded.");
    let duplicates = count(
        "features_duplicates_total",
        "Events met again and not folded again.",
    );
    let late = count(
        "features_late_total",
        "Events older than the newest of their partition by more than the allowed lateness.",
    );
    let unreadable = count("features_unreadable_total", "Records that are no event.");
    let robots = count("features_robots_total", "Events of robots, not folded.");
    let commits = count(
        "features_commits_total",
        "Commits of state and offset together.",
    );
    let retries = count(
        "features_retries_total",
        "Times a store or the log had to be asked again.",
    );
    let loads = count(
        "features_reader_loads_total",
        "Readers read from the store because they were not in memory.",
    );
    let profiles = metrics.counter(
        "features_profiles_total",
        "Profiles handed to the publisher, changed or deleted.",
        &["change"],
    );
    let changed = profiles.with_label_values(&["changed"]);
    let deleted = profiles.with_label_values(&["deleted"]);
    let newest = metrics.level(
        "feature_newest_event_timestamp_seconds",
        "Event time of the newest event in a view of features, seconds since the epoch; absent before the first.",
        &["view", "tier"],
    );
    let dropped = count(
        "features_dropped_late_total",
        "Late events too late for windows and sessions; among the late ones.",
    );
    let outliers = count(
        "features_outliers_total",
        "Values left out because the collector called them outliers.",
    );
    let fenced = count(
        "features_fenced_total",
        "Times another process had claimed a partition.",
    );
    let state_bytes = count(
        "features_state_bytes_total",
        "Bytes of state handed to the store.",
    );
    let partitions = metrics
        .gauge(
            "features_partitions",
            "Partitions that this process folds.",
            &[],
        )
        .with_label_values::<&str>(&[]);
    let watermark = metrics.level(
        "features_watermark_timestamp_seconds",
        "Event time up to which all busy partitions of this process are complete, seconds since the epoch; absent before.",
        &[],
    );
    let reach = metrics
        .gauge(
            "features_dedupe_reach_seconds",
            "How far back folded events are remembered, of the partition that remembers least.",
            &[],
        )
        .with_label_values::<&str>(&[]);
    let views = folded_views();
    metrics.on_scrape(move || {
        let s = source.snapshot();
        raise(&events, s.events);
        raise(&duplicates, s.duplicates);
        raise(&late, s.late);
        raise(&unreadable, s.unreadable);
        raise(&robots, s.robots);
        raise(&commits, s.commits);
        raise(&retries, s.retries);
        raise(&loads, s.reader_loads);
        raise(&changed, s.profiles);
        raise(&deleted, s.deletions);
        raise(&dropped, s.dropped_late);
        raise(&outliers, s.outliers);
        raise(&fenced, s.fenced);
        raise(&state_bytes, s.state_bytes);
        partitions.set(clamped(s.partitions_assigned));
        reach.set(clamped(s.seen_reach_min.saturating_mul(60)));
        if s.newest_ms > 0 {
            for (view, tier) in &views {
                newest
                    .with_label_values(&[view, tier])
                    .set(seconds(s.newest_ms));
            }
        }
        if let Some(at) = s.watermark_ms.filter(|at| *at > 0) {
            watermark.with_label_values::<&str>(&[]).set(seconds(at));
        }
    });
}

/// `mediaflow_ingest_dedupe_*`.
pub fn collector(metrics: &Metrics, source: Arc<Collector>) {
    let shortened = counter(
        metrics,
        "ingest_dedupe_shortened_total",
        "Times deduplication forgot early because it was full.",
    );
    let reach = metrics
        .gauge(
            "ingest_dedupe_reach_seconds",
            "How far back the collector remembers events, at most since it started.",
            &[],
        )
        .with_label_values::<&str>(&[]);
    metrics.on_scrape(move || {
        raise(&shortened, source.window_shortened());
        reach.set(source.window_reach_ms() / 1000);
    });
}

/// `mediaflow_publisher_*`.
pub fn publisher(metrics: &Metrics, source: Arc<PublisherMetrics>) {
    let values = metrics.counter(
        "publisher_values_total",
        "Values by what became of them, by lane.",
        &["lane", "outcome"],
    );
    let retries = metrics.counter(
        "publisher_retries_total",
        "Batches tried again, by lane.",
        &["lane"],
    );
    let bytes = metrics.counter(
        "publisher_bytes_total",
        "Bytes of the values written, by lane.",
        &["lane"],
    );
    let last = metrics.level(
        "publisher_last_write_timestamp_seconds",
        "When a lane last wrote a value, seconds since the epoch; absent before the first.",
        &["lane"],
    );
    let refused = counter(
        metrics,
        "publisher_refused_total",
        "Work that could not be understood or will never be taken; dropped.",
    );
    let candidates = metrics
        .gauge("publisher_candidates", "Items in all fronts.", &[])
        .with_label_values::<&str>(&[]);
    let oldest = metrics.level(
        "publisher_oldest_front_timestamp_seconds",
        "When the front that was not renewed for longest was built, seconds since the epoch; absent before the first.",
        &[],
    );
    let profiles = profiles(metrics);
    metrics.on_scrape(move || {
        let s = source.snapshot();
        profiles(&s);
        let outcome = |lane: &str, outcome: &str, n| {
            raise(&values.with_label_values(&[lane, outcome]), n);
        };
        for (lane, l) in &s.lanes {
            outcome(lane, "written", l.written);
            outcome(lane, "deleted", l.deleted);
            outcome(lane, "failed", l.failed);
            raise(&retries.with_label_values(&[*lane]), l.retries);
            raise(&bytes.with_label_values(&[*lane]), l.bytes);
            if l.last_ms > 0 {
                last.with_label_values(&[*lane]).set(seconds(l.last_ms));
            }
        }
        outcome("fronts", "unchanged", s.fronts_unchanged);
        outcome("profiles", "unchanged", s.profiles_unchanged);
        raise(&refused, s.refused);
        candidates.set(clamped(s.candidates));
        if s.oldest_front_ms > 0 {
            oldest
                .with_label_values::<&str>(&[])
                .set(seconds(s.oldest_front_ms));
        }
    });
}

/// What publishing profiles does and costs, by brand; `none` stands for readers of no configured one.
fn profiles(metrics: &Metrics) -> impl Fn(&PublisherSnapshot) + Send + Sync + 'static {
    let writes = metrics.counter(
        "publisher_writes_total",
        "KV writes of profiles.",
        &["brand", "policy", "outcome"],
    );
    let decisions = metrics.counter(
        "publisher_decisions_total",
        "Why the write of a changed profile was wanted, or that it waits.",
        &["decision"],
    );
    let dollars = metrics.amount(
        "publisher_dollars_total",
        "What a brand's profile writes cost since the start.",
        &["brand"],
    );
    let left = metrics.level(
        "publisher_budget_left",
        "Profile writes a brand can pay for now, debts negative; absent without a budget.",
        &["brand"],
    );
    let waiting = metrics.gauge(
        "publisher_profiles_waiting",
        "Readers whose changed profile waits: ready for money, parked for a change of rank.",
        &["brand", "state"],
    );
    let distance = metrics.level(
        "publisher_rank_distance",
        "Mean distance of the top k by what edges had from the true one, 0 to 1, over all that the gate compared.",
        &[],
    );
    move |s| {
        for (decision, n) in &s.decisions {
            raise(&decisions.with_label_values(&[*decision]), *n);
        }
        distance.with_label_values::<&str>(&[]).set(s.distance_mean);
        for (slug, b) in &s.brands {
            let brand = if slug.is_empty() { "none" } else { slug };
            for (outcome, n) in [
                ("written", b.written),
                ("deleted", b.deleted),
                ("failed", b.failed),
            ] {
                raise(&writes.with_label_values(&[brand, b.policy, outcome]), n);
            }
            let spent = dollars.with_label_values(&[brand]);
            spent.inc_by((b.dollars - spent.get()).max(0.0));
            if let Some(writes) = b.budget_left {
                left.with_label_values(&[brand]).set(writes);
            }
            for (state, n) in [("ready", b.ready), ("parked", b.parked)] {
                waiting.with_label_values(&[brand, state]).set(clamped(n));
            }
        }
    }
}

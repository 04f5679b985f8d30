//! What two scrapes say, as lines to read: rates between them, levels of the later one.

use super::scrape::Scrape;
use std::collections::BTreeMap;

/// Whether a person should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As it should be.
    Good,
    /// Worth a look.
    Odd,
    /// An alert will say so too.
    Bad,
}

/// One line: what, how much, and more.
#[derive(Debug, Clone)]
pub struct Row {
    /// What.
    pub name: String,
    /// How much.
    pub value: String,
    /// How it is.
    pub mood: Mood,
}

/// Lines that belong together.
#[derive(Debug, Clone)]
pub struct Section {
    /// Their title.
    pub title: &'static str,
    /// The lines.
    pub rows: Vec<Row>,
}

/// Lag beyond which it is odd and bad, seconds: the alerts' own limits (ops/alerts.yml).
const LAG_S: (f64, f64) = (10.0, 60.0);
/// Age of the oldest front, seconds: rebuilt at least every 5 minutes.
const FRONT_AGE_S: (f64, f64) = (300.0, 900.0);

/// Everything the screen shows.
pub struct Board {
    /// In reading order.
    pub sections: Vec<Section>,
    /// Events accepted a second.
    pub events_per_s: f64,
    /// The largest lag in records.
    pub lag_records: f64,
}

impl Board {
    /// What happened between two scrapes, at `now_s` seconds since the epoch.
    pub fn of(before: &Scrape, after: &Scrape, now_s: f64) -> Self {
        let view = View {
            before,
            after,
            now_s,
        };
        let lag = after.max_by("mediaflow_events_lag_records", "partition");
        Self {
            events_per_s: view
                .rates("mediaflow_ingest_events_total", "outcome")
                .get("accepted")
                .copied()
                .unwrap_or(0.0),
            lag_records: lag.values().copied().fold(0.0, f64::max),
            sections: vec![
                view.origins(),
                view.collect(),
                view.lag(),
                view.fold(),
                view.publish(),
                view.serve(),
            ],
        }
    }

    /// As plain text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for s in &self.sections {
            out.push_str(s.title);
            out.push('\n');
            for r in &s.rows {
                let mark = match r.mood {
                    Mood::Good => ' ',
                    Mood::Odd => '?',
                    Mood::Bad => '!',
                };
                out.push_str(&format!("{mark} {:<34} {}\n", r.name, r.value));
            }
        }
        out
    }
}

struct View<'a> {
    before: &'a Scrape,
    after: &'a Scrape,
    now_s: f64,
}

fn row(name: impl Into<String>, value: impl Into<String>, mood: Mood) -> Row {
    Row {
        name: name.into(),
        value: value.into(),
        mood,
    }
}

fn mood(value: f64, (odd, bad): (f64, f64)) -> Mood {
    if value >= bad {
        Mood::Bad
    } else if value >= odd {
        Mood::Odd
    } else {
        Mood::Good
    }
}

/// Some is odd.
fn none_wanted(value: f64) -> Mood {
    if value > 0.0 { Mood::Odd } else { Mood::Good }
}

impl View<'_> {
    fn seconds(&self) -> f64 {
        let apart = self.after.at.duration_since(self.before.at).as_secs_f64();
        apart.max(0.001)
    }

    /// Per second, by a label. A counter that fell began anew.
    fn rates(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let before = self.before.sum_by(name, label);
        let mut rates = self.after.sum_by(name, label);
        for (key, value) in &mut rates {
            let was = before.get(key).copied().unwrap_or(0.0);
            let grown = if was > *value { *value } else { *value - was };
            *value = grown / self.seconds();
        }
        rates
    }

    fn rate(&self, name: &str) -> f64 {
        self.rates(name, "").values().sum()
    }

    /// A quantile of what a histogram saw between the scrapes, by the usual interpolation.
    fn quantile(&self, name: &str, label: (&str, &str), q: f64) -> Option<f64> {
        let bucket = format!("{name}_bucket");
        let count = |s: &Scrape| -> Vec<(f64, f64)> {
            let mut by: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
            for s in s.named(&bucket) {
                if label.0.is_empty() || s.labels.get(label.0).is_some_and(|v| v == label.1) {
                    let le = s.labels.get("le").map(String::as_str).unwrap_or("+Inf");
                    let le: f64 = le.parse().unwrap_or(f64::INFINITY);
                    let entry = by.entry(le.to_bits()).or_insert((le, 0.0));
                    entry.1 += s.value;
                }
            }
            by.into_values().collect()
        };
        let before: BTreeMap<u64, f64> = count(self.before)
            .into_iter()
            .map(|(le, n)| (le.to_bits(), n))
            .collect();
        let buckets: Vec<(f64, f64)> = count(self.after)
            .into_iter()
            .map(|(le, n)| (le, n - before.get(&le.to_bits()).copied().unwrap_or(0.0)))
            .collect();
        let total = buckets.last()?.1;
        if total <= 0.0 {
            return None;
        }
        let (mut low, mut below) = (0.0, 0.0);
        for (le, n) in buckets {
            if n >= q * total {
                if le.is_infinite() {
                    return Some(low);
                }
                let share = (q * total - below) / (n - below).max(1e-9);
                return Some(low + (le - low) * share);
            }
            (low, below) = (le, n);
        }
        None
    }

    fn age(&self, timestamp_s: f64) -> f64 {
        (self.now_s - timestamp_s).max(0.0)
    }

    fn origins(&self) -> Section {
        let mut rows = Vec::new();
        for (i, a) in self.after.answers.iter().enumerate() {
            let Ok(samples) = &a.samples else {
                rows.push(row(&a.origin, "no answer", Mood::Bad));
                continue;
            };
            let of = |samples: &[super::scrape::Sample], name: &str| {
                samples.iter().find(|s| s.name == name).map(|s| s.value)
            };
            let cpu = |n: &[super::scrape::Sample]| of(n, "process_cpu_seconds_total");
            let before = self
                .before
                .answers
                .get(i)
                .and_then(|b| b.samples.as_ref().ok());
            let cores = match (before.and_then(|b| cpu(b)), cpu(samples)) {
                (Some(was), Some(is)) => (is - was).max(0.0) / self.seconds(),
                _ => 0.0,
            };
            let memory = of(samples, "process_resident_memory_bytes").unwrap_or(0.0);
            let up = of(samples, "process_start_time_seconds").map_or(0.0, |t| self.age(t));
            let value = format!(
                "{} resident, {:.2} cores, up {}",
                bytes(memory),
                cores,
                time(up)
            );
            rows.push(row(&a.origin, value, Mood::Good));
        }
        Section {
            title: "Origins",
            rows,
        }
    }

    fn collect(&self) -> Section {
        let mut rows = Vec::new();
        for (outcome, rate) in self.rates("mediaflow_ingest_events_total", "outcome") {
            let mood = match outcome.as_str() {
                "accepted" | "duplicate" => Mood::Good,
                _ => none_wanted(rate),
            };
            rows.push(row(format!("events {outcome}"), per_s(rate), mood));
        }
        let p = |q| self.quantile("mediaflow_http_request_seconds", ("route", "/v1/events"), q);
        if let (Some(p50), Some(p99)) = (p(0.5), p(0.99)) {
            let value = format!("p50 {}  p99 {}", time(p50), time(p99));
            rows.push(row("acknowledged after", value, mood(p99, (0.1, 1.0))));
        }
        let dead = self.after.max_by("mediaflow_dead_letter_records", "");
        if let Some(dead) = dead.into_values().reduce(f64::max) {
            rows.push(row("dead letters kept", number(dead), none_wanted(dead)));
        }
        if let Some(records) = self.after.sum("mediaflow_spool_records") {
            let size = self.after.sum("mediaflow_spool_bytes").unwrap_or(0.0);
            let oldest = self.after.max_by("mediaflow_spool_oldest_seconds", "");
            let oldest = oldest.values().copied().fold(0.0, f64::max);
            let value = format!(
                "{} records, {}, oldest {}",
                number(records),
                bytes(size),
                time(oldest)
            );
            rows.push(row("spool", value, mood(oldest, (1.0, 60.0))));
        }
        Section {
            title: "Collect",
            rows,
        }
    }

    fn lag(&self) -> Section {
        let records = self
            .after
            .max_by("mediaflow_events_lag_records", "partition");
        let seconds = self
            .after
            .max_by("mediaflow_events_lag_seconds", "partition");
        let mut rows: Vec<(u32, Row)> = records
            .iter()
            .map(|(p, n)| {
                let waits = seconds.get(p).copied().unwrap_or(0.0);
                let value = format!("{} records, {}", number(*n), time(waits));
                (
                    p.parse().unwrap_or(u32::MAX),
                    row(format!("partition {p}"), value, mood(waits, LAG_S)),
                )
            })
            .collect();
        rows.sort_by_key(|(p, _)| *p);
        Section {
            title: "Lag",
            rows: rows.into_iter().map(|(_, r)| r).collect(),
        }
    }

    fn fold(&self) -> Section {
        let mut rows = Vec::new();
        for (name, series, odd) in [
            ("folded", "mediaflow_features_events_total", false),
            ("met again", "mediaflow_features_duplicates_total", false),
            ("late", "mediaflow_features_late_total", false),
            ("of robots", "mediaflow_features_robots_total", false),
            ("commits", "mediaflow_features_commits_total", false),
            ("asked again", "mediaflow_features_retries_total", true),
        ] {
            if self.after.sum(series).is_some() {
                let rate = self.rate(series);
                let mood = if odd { none_wanted(rate) } else { Mood::Good };
                rows.push(row(name, per_s(rate), mood));
            }
        }
        let mut newest: BTreeMap<String, f64> = BTreeMap::new();
        for s in self
            .after
            .named("mediaflow_feature_newest_event_timestamp_seconds")
        {
            let label = |n: &str| s.labels.get(n).cloned().unwrap_or_default();
            let key = format!("{} ({})", label("view"), label("tier"));
            let at = newest.entry(key).or_insert(0.0);
            *at = at.max(s.value);
        }
        for (view, at) in newest {
            let value = format!("newest event {} ago", time(self.age(at)));
            rows.push(row(view, value, Mood::Good));
        }
        Section {
            title: "Features",
            rows,
        }
    }

    fn publish(&self) -> Section {
        let mut rows = Vec::new();
        let last = self
            .after
            .max_by("mediaflow_publisher_last_write_timestamp_seconds", "lane");
        let mut lanes: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for (scrape, sign) in [(self.after, 1.0), (self.before, -1.0)] {
            for s in scrape.named("mediaflow_publisher_values_total") {
                let label = |n: &str| s.labels.get(n).map_or("", String::as_str);
                let lane = lanes.entry(label("lane").to_owned()).or_default();
                match label("outcome") {
                    "written" => lane.0 += sign * s.value,
                    "failed" => lane.1 += sign * s.value,
                    _ => {}
                }
            }
        }
        for (lane, (written, failed)) in lanes {
            let seconds = self.seconds();
            let ago = last.get(&lane).map_or_else(
                || "never".to_owned(),
                |t| format!("{} ago", time(self.age(*t))),
            );
            let value = format!(
                "{}, {} failed, last {ago}",
                per_s(written / seconds),
                per_s(failed / seconds)
            );
            rows.push(row(lane, value, none_wanted(failed)));
        }
        let oldest = self
            .after
            .max_by("mediaflow_publisher_oldest_front_timestamp_seconds", "");
        if let Some(at) = oldest.values().copied().reduce(f64::min) {
            let age = self.age(at);
            rows.push(row("oldest front", time(age), mood(age, FRONT_AGE_S)));
        }
        let dollars = self
            .after
            .sum_by("mediaflow_publisher_dollars_total", "brand");
        for (brand, left) in self
            .after
            .max_by("mediaflow_publisher_budget_left", "brand")
        {
            let spent = dollars.get(&brand).copied().unwrap_or(0.0);
            let value = format!("{} writes left, {spent:.4} $ spent", number(left));
            let mood = if left <= 0.0 { Mood::Bad } else { Mood::Good };
            rows.push(row(format!("budget of {brand}"), value, mood));
        }
        Section {
            title: "Publish",
            rows,
        }
    }

    fn serve(&self) -> Section {
        let mut rows = Vec::new();
        let was = rungs(self.before);
        for (brand, is) in rungs(self.after) {
            let was = was.get(&brand).copied().unwrap_or_default();
            let new: Vec<f64> = is
                .iter()
                .zip(was)
                .map(|(is, was)| (is - was).max(0.0))
                .collect();
            let total: f64 = new.iter().sum();
            // Edges report in batches: between two of them, the shares since the start.
            let shown = if total > 0.0 { &new[..] } else { &is[..] };
            let all: f64 = shown.iter().sum();
            let share = |n: f64| 100.0 * n / all.max(1.0);
            let shares: Vec<String> = shown
                .iter()
                .enumerate()
                .map(|(i, n)| format!("{i}:{:.0} %", share(*n)))
                .collect();
            let value = format!(
                "{}  rungs {}",
                per_s(total / self.seconds()),
                shares.join(" ")
            );
            let low: f64 = shown.iter().skip(3).sum();
            let mood = mood(share(low), (1.0, 10.0));
            rows.push(row(format!("feeds of {brand}"), value, mood));
        }
        let p = |q| self.quantile("mediaflow_feed_seconds", ("", ""), q);
        if let (Some(p50), Some(p99)) = (p(0.5), p(0.99)) {
            let value = format!("p50 {}  p99 {}", time(p50), time(p99));
            rows.push(row(
                "native edge answered after",
                value,
                mood(p99, (0.05, 0.25)),
            ));
        }
        Section {
            title: "Serve",
            rows,
        }
    }
}

/// Feeds by brand and rung.
fn rungs(scrape: &Scrape) -> BTreeMap<String, [f64; 5]> {
    let mut brands: BTreeMap<String, [f64; 5]> = BTreeMap::new();
    for s in scrape.named("mediaflow_feeds_served_total") {
        let label = |n: &str| s.labels.get(n).map_or("", String::as_str);
        let rung: usize = label("rung").parse().unwrap_or(4);
        let brand = brands.entry(label("brand").to_owned()).or_default();
        if let Some(n) = brand.get_mut(rung) {
            *n += s.value;
        }
    }
    brands
}

fn per_s(rate: f64) -> String {
    format!("{}/s", number(rate))
}

fn number(n: f64) -> String {
    match n.abs() {
        a if a >= 1e9 => format!("{:.2} G", n / 1e9),
        a if a >= 1e6 => format!("{:.2} M", n / 1e6),
        a if a >= 1e4 => format!("{:.1} k", n / 1e3),
        a if a >= 10.0 || n.fract() == 0.0 => format!("{n:.0}"),
        _ => format!("{n:.2}"),
    }
}

fn bytes(n: f64) -> String {
    match n {
        n if n >= 1e9 => format!("{:.2} GB", n / 1e9),
        n if n >= 1e6 => format!("{:.1} MB", n / 1e6),
        n if n >= 1e3 => format!("{:.1} kB", n / 1e3),
        n => format!("{n:.0} B"),
    }
}

fn time(s: f64) -> String {
    match s {
        s if s <= 0.0 => "0 s".to_owned(),
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scrape::{Answer, parse};
    use super::*;
    use std::time::{Duration, Instant};

    fn scrape(at: Instant, text: &str) -> Scrape {
        Scrape {
            at,
            answers: vec![Answer {
                origin: "http://o".into(),
                samples: Ok(parse(text)),
            }],
        }
    }

    #[test]
    fn rates_are_between_two_scrapes_and_levels_of_the_later() {
        let start = Instant::now();
        let before = scrape(
            start,
            "mediaflow_ingest_events_total{outcome=\"accepted\"} 100\nmediaflow_events_lag_records{partition=\"0\"} 9\n",
        );
        let after = scrape(
            start + Duration::from_secs(2),
            "mediaflow_ingest_events_total{outcome=\"accepted\"} 500\nmediaflow_events_lag_records{partition=\"0\"} 7\nmediaflow_events_lag_seconds{partition=\"0\"} 61\n",
        );
        let board = Board::of(&before, &after, 0.0);
        assert!((board.events_per_s - 200.0).abs() < 1.0);
        let text = board.text();
        assert!(
            text.contains("events accepted                    200/s"),
            "{text}"
        );
        assert!(
            text.contains("! partition 0                        7 records, 61.0 s"),
            "{text}"
        );
    }

    #[test]
    fn a_counter_that_fell_began_anew() {
        let start = Instant::now();
        let name = "mediaflow_features_events_total";
        let before = scrape(start, &format!("{name} 1000\n"));
        let after = scrape(start + Duration::from_secs(1), &format!("{name} 50\n"));
        let text = Board::of(&before, &after, 0.0).text();
        assert!(
            text.contains("folded                             50/s"),
            "{text}"
        );
    }
}

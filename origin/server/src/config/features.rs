//! `[features]`: where sessions are cut, what is late, and the memory of the folds.

use anyhow::{Result, ensure};
use mediaflow_features::limits::{
    LATENESS_MS, LATENESS_S, READERS_HOT_MAX, SEEN_SLOTS, SEEN_SLOTS_MIN,
};
use mediaflow_features::{FeatureConfig, LateRule, SessionRule, WhenChanged};
use serde::Deserialize;

/// Bytes of a word of [`FeatureConfig::seen_slots`].
const SLOT_BYTES: usize = 8;
/// Largest memory of one partition's events: an hour at 100,000 events/s in one partition.
const SEEN_BYTES_MOST: usize = 8 << 30;

/// `[features]` as it is by default, for a file that somebody will change.
pub const SAMPLE: &str = "\
# [features]                             # how events become features
# session_gap_s = 1800                   # a session ends after this long without an event
# session_cap_s = 43200                  # and is never longer
# session_midnight_utc_offset_min = 60   # it ends at midnight of clocks so far ahead of UTC; absent: it goes on
# late_after_s = 300                     # behind the newest event by more, an event is late, and counted all the same
# lateness_s = 172800                    # later still, it enters no window and no session
# readers_hot_max = 16384                # readers in memory, each partition, 2 KB each
# seen_bytes_max = 33554432              # memory of events already folded, each partition, an hour at most
# when_changed = \"refuse\"               # states folded under other rules: refuse, rebuild (from the log), keep
";

/// `[features]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Features {
    /// A session ends after so many seconds without an event.
    pub session_gap_s: u32,
    /// A session is never longer, seconds.
    pub session_cap_s: u32,
    /// Absent: sessions go on over midnight. Else they end there: minutes that clocks are ahead of UTC.
    pub session_midnight_utc_offset_min: Option<i16>,
    /// Seconds behind the newest event of its partition from which an event is late.
    pub late_after_s: u32,
    /// Seconds that a late event may be late and still enter windows and sessions.
    pub lateness_s: u32,
    /// Readers kept in memory by each partition, about 2 KB each.
    pub readers_hot_max: usize,
    /// Bytes in which each partition remembers which events it folded, for an hour at most.
    pub seen_bytes_max: usize,
    /// What becomes of states that were folded under other rules: `refuse`, `rebuild`, `keep`.
    pub when_changed: WhenChanged,
}

impl Default for Features {
    fn default() -> Self {
        let (session, late) = (SessionRule::default(), LateRule::default());
        let seconds = |ms: i64| u32::try_from(ms / 1000).unwrap_or(u32::MAX);
        Self {
            session_gap_s: session.gap_s,
            session_cap_s: session.cap_s,
            session_midnight_utc_offset_min: session.midnight_utc_offset_min,
            late_after_s: seconds(late.late_ms),
            lateness_s: seconds(late.lateness_ms),
            readers_hot_max: READERS_HOT_MAX,
            seen_bytes_max: SEEN_SLOTS * SLOT_BYTES,
            when_changed: WhenChanged::default(),
        }
    }
}

impl Features {
    /// Refuses what cannot be kept.
    ///
    /// # Errors
    /// The key, its value, the reason and what to set.
    pub fn check(&self) -> Result<()> {
        let lateness_s_max = u32::try_from(LATENESS_MS / 1000).unwrap_or(u32::MAX);
        ensure!(
            (10..=28_800).contains(&self.session_gap_s),
            "features.session_gap_s = {}: shorter pauses are reading, longer ones are visits of another day part; set 10 to \
             28800, 1800 is usual",
            self.session_gap_s
        );
        ensure!(
            (self.session_gap_s..=172_800).contains(&self.session_cap_s),
            "features.session_cap_s = {}: a session holds at least one gap, and sessions are kept for two days; set {} \
             (session_gap_s) to 172800, 43200 is usual",
            self.session_cap_s,
            self.session_gap_s
        );
        if let Some(offset) = self.session_midnight_utc_offset_min {
            ensure!(
                (-720..=840).contains(&offset),
                "features.session_midnight_utc_offset_min = {offset}: clocks are at most 720 min behind and 840 min ahead of \
                 UTC; set the offset of your readers, 60 for Central Europe, or leave the key out for sessions over midnight"
            );
        }
        ensure!(
            self.lateness_s <= lateness_s_max,
            "features.lateness_s = {}: states that late events change are kept for two days; set 0 to {lateness_s_max}",
            self.lateness_s
        );
        ensure!(
            self.late_after_s <= LATENESS_S - self.lateness_s,
            "features.late_after_s = {}: with lateness_s = {} events would change states that are no longer kept; set at most \
             {}, or a smaller lateness_s",
            self.late_after_s,
            self.lateness_s,
            LATENESS_S - self.lateness_s
        );
        ensure!(
            (1_024..=16_777_216).contains(&self.readers_hot_max),
            "features.readers_hot_max = {}: each partition needs its readers of the moment in memory, 2 KB each; set 1024 to \
             16777216, {READERS_HOT_MAX} (32 MB) is usual",
            self.readers_hot_max
        );
        let least = SEEN_SLOTS_MIN * SLOT_BYTES;
        ensure!(
            (least..=SEEN_BYTES_MOST).contains(&self.seen_bytes_max),
            "features.seen_bytes_max = {}: each partition remembers events in 8 to 16 bytes each; set {least} to \
             {SEEN_BYTES_MOST}, 33554432 is usual",
            self.seen_bytes_max
        );
        Ok(())
    }

    /// What the folds take.
    #[must_use]
    pub fn folds(&self) -> FeatureConfig {
        let words = (self.seen_bytes_max / SLOT_BYTES).max(1);
        FeatureConfig {
            session: SessionRule {
                gap_s: self.session_gap_s,
                cap_s: self.session_cap_s,
                midnight_utc_offset_min: self.session_midnight_utc_offset_min,
            },
            late: LateRule {
                late_ms: i64::from(self.late_after_s) * 1000,
                lateness_ms: i64::from(self.lateness_s) * 1000,
            },
            readers_hot: self.readers_hot_max,
            // The table is a power of two: the largest that fits.
            seen_slots: 1 << words.ilog2(),
            when_changed: self.when_changed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Features {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn nothing_said_is_what_the_folds_do_by_themselves() {
        let said_nothing = of("");
        said_nothing.check().unwrap();
        assert_eq!(said_nothing.folds(), FeatureConfig::default());
    }

    #[test]
    fn the_sample_says_what_holds_without_it() {
        let lines = SAMPLE.lines().map(|l| l.trim_start_matches("# "));
        let lines = lines.filter(|l| !l.starts_with('[') && !l.starts_with("session_midnight"));
        let sample = of(&lines.collect::<Vec<_>>().join("\n"));
        assert_eq!(sample.folds(), FeatureConfig::default());
        let keys = SAMPLE.lines().filter(|l| l.contains(" = ")).count();
        let all = format!("{sample:?}").matches(": ").count();
        assert_eq!(keys, all, "every key is in the sample");
    }

    #[test]
    fn what_is_said_reaches_the_folds() {
        let f = of(
            "session_gap_s = 600\nsession_cap_s = 7200\nsession_midnight_utc_offset_min = 60\nlate_after_s = 60\n\
                    lateness_s = 3600\nreaders_hot_max = 2048\nseen_bytes_max = 100000000\nwhen_changed = \"rebuild\"",
        );
        f.check().unwrap();
        let c = f.folds();
        let s = c.session;
        assert_eq!(
            (s.gap_s, s.cap_s, s.midnight_utc_offset_min),
            (600, 7200, Some(60))
        );
        assert_eq!((c.late.late_ms, c.late.lateness_ms), (60_000, 3_600_000));
        assert_eq!(
            (c.readers_hot, c.when_changed),
            (2048, WhenChanged::Rebuild)
        );
        assert_eq!(c.seen_slots, 1 << 23, "64 MiB is the power of two below");
    }

    #[test]
    fn impossible_rules_are_refused_with_key_value_and_remedy() {
        for (text, key, remedy) in [
            ("session_gap_s = 5", "features.session_gap_s = 5", "1800"),
            (
                "session_gap_s = 90000",
                "features.session_gap_s = 90000",
                "28800",
            ),
            ("session_cap_s = 60", "features.session_cap_s = 60", "43200"),
            (
                "session_midnight_utc_offset_min = 900",
                "features.session_midnight_utc_offset_min = 900",
                "leave the key out",
            ),
            (
                "lateness_s = 172801",
                "features.lateness_s = 172801",
                "0 to 172800",
            ),
            (
                "late_after_s = 301",
                "features.late_after_s = 301",
                "at most 300",
            ),
            (
                "readers_hot_max = 1",
                "features.readers_hot_max = 1",
                "16384",
            ),
            (
                "seen_bytes_max = 1",
                "features.seen_bytes_max = 1",
                "33554432",
            ),
        ] {
            let e = of(text).check().unwrap_err().to_string();
            assert!(e.starts_with(key) && e.contains(remedy), "{e}");
        }
        let e = toml::from_str::<Features>("when_changed = \"ignore\"").unwrap_err();
        assert!(e.to_string().contains("rebuild"), "{e}");
        // Less lateness leaves room for a watermark that follows later.
        of("lateness_s = 3600\nlate_after_s = 3600")
            .check()
            .unwrap();
    }
}

//! Under which rules a partition's states were folded, kept beside them: sessions, lateness, and the version of each
//! view's fold.
//!
//! States of two rules do not add up, and nothing in them tells. So a partition that opens under other rules than its
//! states were folded under stops, unless its operator said what to do ([`WhenChanged`]). The rules are not part of a
//! feature's definition: a definition has a version to raise, a configuration has none.

use bytes::Bytes;
use mediaflow_ports::{Commit, Entry, Offset, PortResult, Write, partition_of};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::declare::{Placement, VIEW_FOLDS, VIEWS};
use crate::error::FeatureError;
use crate::limits::ERASE_PAGE;
use crate::partition::{fence, retrying};
use crate::{CONSUMER, FeatureConfig, FeatureDeps, TOPIC_EVENTS};

/// What becomes of states that were folded under other rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenChanged {
    /// The process does not start, and says what changed.
    #[default]
    Refuse,
    /// They are deleted and folded again from the log: exact, but what the log no longer holds is lost.
    Rebuild,
    /// They are gone on with: what was counted stays as it was, what comes is counted by the new rules.
    Keep,
}

/// Stands in place of the rules while states are deleted: neither old nor new ones fit.
const REBUILDING: &[u8] = b"rebuilding\n";

/// The rules of a configuration and of this release, a line each.
fn text(config: &FeatureConfig) -> String {
    let (s, l) = (&config.session, &config.late);
    let midnight = s
        .midnight_utc_offset_min
        .map_or_else(|| "none".to_owned(), |m| m.to_string());
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(out, "session_gap_s {}", s.gap_s);
    let _ = writeln!(out, "session_cap_s {}", s.cap_s);
    let _ = writeln!(out, "session_midnight_utc_offset_min {midnight}");
    let _ = writeln!(out, "late_after_s {}", l.late_ms / 1000);
    let _ = writeln!(out, "lateness_s {}", l.lateness_ms / 1000);
    for v in VIEWS.iter().filter(|v| v.placement != Placement::Global) {
        let _ = writeln!(out, "fold:{} {}", v.name, v.fold_version);
    }
    out
}

fn lines(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|l| l.split_once(' ')).collect()
}

/// What releases that wrote no rules down folded by: the value of any rule they did not name.
fn unwritten(rule: &str) -> Option<String> {
    if rule.starts_with("fold:") {
        return Some("1".to_owned());
    }
    let text = text(&FeatureConfig::default());
    lines(&text).get(rule).map(|v| (*v).to_owned())
}

/// What differs, for people: `session_gap_s was 1800 and is 600`. A rule that is not stored had its first value.
fn changes(stored: &str, ours: &str) -> Vec<String> {
    let stored = lines(stored);
    let differs = |(rule, is): (&str, &str)| {
        let was = stored.get(rule).map(|v| (*v).to_owned());
        let was = was.or_else(|| unwritten(rule)).filter(|was| was != is)?;
        Some(format!("{rule} was {was} and is {is}"))
    };
    lines(ours).into_iter().filter_map(differs).collect()
}

/// What a partition's first commit writes beside its states: the two are stored, and lost, together.
pub(crate) fn entry(partition: u32, config: &FeatureConfig) -> Write {
    Write {
        view: VIEW_FOLDS.into(),
        key: Bytes::copy_from_slice(&partition.to_be_bytes()),
        value: Some(text(config).into()),
        expires_ms: None,
    }
}

/// Holds a partition's states, folded up to `committed`, against the rules of this process, and writes those down where
/// there are states ([`entry`] does it for the first). Answers how far states are folded then: 0 when they are to be folded anew.
///
/// # Errors
/// [`FeatureError::Rules`] when they were folded under others; [`FeatureError::Port`] when the store refuses.
pub(crate) async fn hold(
    deps: &FeatureDeps,
    partition: u32,
    epoch: u64,
    committed: Offset,
) -> Result<Offset, FeatureError> {
    let (state, key) = (&deps.state, partition.to_be_bytes());
    let ours = text(&deps.config);
    let stored = retrying(deps, || state.get(VIEW_FOLDS, &key)).await?;
    let begun = stored.as_deref() == Some(REBUILDING);
    let stored = stored.map(|s| String::from_utf8_lossy(&s).into_owned());
    let changes = match &stored {
        _ if begun => vec!["they were being deleted".to_owned()],
        None if committed == 0 => return Ok(committed),
        stored => changes(stored.as_deref().unwrap_or_default(), &ours),
    };
    let mut write = Commit::new();
    let mut folded = committed;
    if !changes.is_empty() {
        let changes = changes.join(", ");
        match deps.config.when_changed {
            WhenChanged::Keep if !begun => {
                tracing::warn!(partition, changes, "states of other rules are gone on with");
            }
            WhenChanged::Refuse if !begun => {
                return Err(FeatureError::Rules { partition, changes });
            }
            _ => {
                tracing::warn!(
                    partition,
                    changes,
                    "states are deleted and folded again from the log"
                );
                erase(deps, partition, epoch).await?;
                write = write.advance(CONSUMER, TOPIC_EVENTS, partition, committed, 0);
                folded = 0;
            }
        }
    }
    if stored.as_deref() != Some(ours.as_str()) {
        let write =
            write
                .fenced(&fence(partition), epoch)
                .put(VIEW_FOLDS, key.to_vec(), ours.into_bytes());
        retrying(deps, || state.commit(write.clone())).await?;
    }
    Ok(folded)
}

/// Deletes a partition's states. A process that dies meanwhile, or is fenced, leaves a mark for the next.
async fn erase(deps: &FeatureDeps, partition: u32, epoch: u64) -> PortResult<()> {
    let (state, prefix) = (&deps.state, partition.to_be_bytes());
    let partitions = retrying(deps, || deps.log.partitions(TOPIC_EVENTS)).await?;
    let ours = || Commit::new().fenced(&fence(partition), epoch);
    let mark = ours().put(VIEW_FOLDS, prefix.to_vec(), REBUILDING);
    retrying(deps, || state.commit(mark.clone())).await?;
    for view in VIEWS.iter().filter(|v| v.name != VIEW_FOLDS) {
        let prefix: &[u8] = match view.placement {
            Placement::Global => continue,
            Placement::PartitionPrefix => &prefix,
            Placement::ReaderKey => b"",
        };
        let lies_here = |e: &&Entry| {
            view.placement != Placement::ReaderKey || partition_of(&e.key, partitions) == partition
        };
        let mut after: Option<Bytes> = None;
        loop {
            let page = retrying(deps, || {
                state.scan(view.name, prefix, after.as_deref(), ERASE_PAGE)
            })
            .await?;
            let mut commit = ours();
            for entry in page.iter().filter(lies_here) {
                commit = commit.delete(view.name, entry.key.clone());
            }
            if !commit.writes.is_empty() {
                retrying(deps, || state.commit(commit.clone())).await?;
            }
            match page.last() {
                Some(last) if page.len() == ERASE_PAGE => after = Some(last.key.clone()),
                _ => break,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_rule_is_named_with_both_values() {
        let was = FeatureConfig::default();
        let mut is = was;
        is.session.gap_s = 600;
        is.session.midnight_utc_offset_min = Some(60);
        let changed = [
            "session_gap_s was 1800 and is 600",
            "session_midnight_utc_offset_min was none and is 60",
        ];
        assert_eq!(changes(&text(&was), &text(&is)), changed);
        assert_eq!(changes(&text(&is), &text(&is)), [""; 0]);
        // A release that wrote nothing down folded by the first versions and the default rules.
        assert_eq!(changes("", &text(&was)), [""; 0]);
        assert_eq!(changes("", &text(&is)), changed);
        let other = text(&was).replace("fold:features.ad 1", "fold:features.ad 2");
        assert_eq!(
            changes(&text(&was), &other),
            ["fold:features.ad was 1 and is 2"]
        );
        assert_eq!(changes("", &other), ["fold:features.ad was 1 and is 2"]);
    }

    #[test]
    fn memory_is_no_rule() {
        let config = FeatureConfig {
            readers_hot: 1,
            seen_slots: 1,
            ..FeatureConfig::default()
        };
        assert_eq!(text(&config), text(&FeatureConfig::default()));
    }
}

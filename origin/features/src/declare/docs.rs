//! The definitions as a page: `docs/features.md`.

use std::fmt::Write;

use super::{Entity, all, of};
use crate::FeatureConfig;

/// The page. A test holds `docs/features.md` against it; `UPDATE_DOCS=1 cargo test -p mediaflow-features docs` writes
/// it.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Features\n\nGenerated from the definitions in `origin/features/src/declare`; a test holds the two together. \
         Values are whole numbers in the\nunit of their type (ratios and money in millionths), so that two evaluations can be \
         compared for equality. Windows end with the moment\nthey are asked for; their tail is rounded down to a whole tile \
         (ADR 0009).\n",
    );
    out.push_str(&settings());
    out.push_str(PREFERENCES);
    // Writing to a String does not fail.
    let _ = writeln!(out, "\n{} features.", all().len());
    for entity in Entity::ALL {
        let rows = of(entity);
        let _ = writeln!(
            out,
            "\n## {} ({})\n\n| name | type | tier | what it says | read by |\n|---|---|---|---|---|",
            entity.slug(),
            rows.len()
        );
        for d in rows {
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {} | {} |",
                d.name,
                d.kind.slug(),
                d.tier.slug(),
                d.description,
                d.read_by().join(", ")
            );
        }
    }
    out
}

/// The older shape of a reader's taste.
const PREFERENCES: &str = r#"
## Preferences

`GET /features/user/{id}/preferences?brand=…` answers `{ratings: {count, mean}, genres: [{name, value}], actors: [{name, value}]}`
(S2-08). Actors are the people that content names as its `cast`, four an item, met in what was read, watched or liked; the twelve met
last are kept. A cast comes from `cast` of a mapping, the WordPress taxonomies `cast`, `actor`, `actors` and `people`, the Drupal fields
`field_cast`, `field_actors`, `field_actor` and `field_people` (name them in the source's `include`), `cast` or `actors` of Metarank's
items, and `cast` of imported items. Feeds have none. Names are kept by hash (32 bits) in states and in the feature `actors`.
"#;

/// What an operator may set, with what holds by default.
fn settings() -> String {
    let FeatureConfig {
        session,
        late,
        readers_hot,
        seen_slots,
        ..
    } = FeatureConfig::default();
    let (late_s, lateness_s) = (late.late_ms / 1000, late.lateness_ms / 1000);
    let seen_bytes = seen_slots * 8;
    format!(
        r#"
## Settings

`[features]` of `mediaflow.toml`; these values hold where nothing is said. What cannot be kept is refused at the start, with its key,
value, reason and remedy.

```toml
[features]
session_gap_s = {}        # 10 to 28800: a session ends after this long without an event
session_cap_s = {}       # session_gap_s to 172800: it is never longer
# session_midnight_utc_offset_min = 60   # -720 to 840: it ends at midnight of clocks so far ahead of UTC; absent: it goes on
late_after_s = {late_s}          # behind the newest event of its partition by more, an event is late, and counted all the same
lateness_s = {lateness_s}         # 0 to 172800: later than that, it enters no window and no session
readers_hot_max = {readers_hot}     # readers in memory, each partition, 2 KB each
seen_bytes_max = {seen_bytes}   # memory of events already folded, each partition; a power of two of it is used
when_changed = "refuse"     # "rebuild", "keep"
```

* **Memory of repetitions.** 8 bytes an event in a table at most three quarters full, an hour of events at most: the default is an
  hour at 7,000 events/s over eight partitions. An hour at 50,000 takes `seen_bytes_max = 268435456` (2.1 GB over eight).
  `mediaflow_features_dedupe_reach_seconds` tells how far it reaches. A smaller collector's window stands before it
  (`[collect] dedupe_bytes_max`).
* **Changed rules.** A partition's states say under which sessions, lateness and versions of folds they were made
  (`features.folds`). Under others the process does not start, and names each rule with both values. `when_changed = "rebuild"` deletes
  the states and folds the log again: exact, but what the log no longer holds (`retain_h`) is lost. `"keep"` goes on: what was
  counted stays, `mediaflow parity` will differ until the log begins after the change. Memory may change at any time.
* The profile blob's own session (its depth, and which item led to the next) ends after 30 minutes whatever is set: edges count it
  as well.
"#,
        session.gap_s, session.cap_s
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_of_the_features_are_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/features.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page(),
            "docs/features.md is old: UPDATE_DOCS=1 cargo test -p mediaflow-features docs"
        );
    }
}

//! Counts of tests, read from what the runners print.

use std::ops::AddAssign;

/// What happened to a number of tests, or of steps that count as one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ran and held.
    pub passed: u64,
    /// Ran and did not hold, or could not run.
    pub failed: u64,
    /// Left out, by name, for want of something on this machine.
    pub skipped: u64,
}

impl Tally {
    /// One item that held.
    pub const PASSED: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    /// One item that did not.
    pub const FAILED: Self = Self {
        passed: 0,
        failed: 1,
        skipped: 0,
    };
    /// One item left out.
    pub const SKIPPED: Self = Self {
        passed: 0,
        failed: 0,
        skipped: 1,
    };
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// Sums the `test result:` lines of `cargo test`, and the tests that say `SKIPPED: …` themselves.
///
/// Returns the names of the latter too. They count as passed for the test harness, which knows
/// nothing of skipping, and are moved here.
pub fn of_cargo(output: &str) -> (Tally, Vec<String>) {
    let mut tally = Tally::default();
    let mut skipped = Vec::new();
    for line in output.lines() {
        if let Some(result) = line.strip_prefix("test result:") {
            tally += Tally {
                passed: before(result, " passed"),
                failed: before(result, " failed"),
                skipped: before(result, " ignored"),
            };
        } else if let Some(name) = line.trim_start().strip_prefix("SKIPPED:") {
            skipped.push(name.trim().to_owned());
        }
    }
    let moved = (skipped.len() as u64).min(tally.passed);
    tally.passed -= moved;
    tally.skipped += moved;
    (tally, skipped)
}

/// The sums at the end of `node --test`'s TAP, and the names of skipped tests.
pub fn of_node(output: &str) -> (Tally, Vec<String>) {
    let mut tally = Tally::default();
    let mut skipped = Vec::new();
    for line in output.lines() {
        let number = |prefix: &str| -> u64 {
            line.strip_prefix(prefix)
                .and_then(|rest| rest.trim().parse().ok())
                .unwrap_or(0)
        };
        tally += Tally {
            passed: number("# pass "),
            failed: number("# fail ") + number("# cancelled "),
            skipped: number("# skipped ") + number("# todo "),
        };
        let test = line.trim_start();
        if let (true, Some((name, reason))) = (test.starts_with("ok "), test.split_once(" # SKIP"))
        {
            let name = name.split_once(" - ").map_or(name, |(_, name)| name);
            skipped.push(format!("{name}: {}", reason.trim()));
        }
    }
    (tally, skipped)
}

/// The number that stands before a word: `7` of ` ok. 7 passed; …`.
fn before(line: &str, word: &str) -> u64 {
    line.split(';')
        .filter_map(|part| part.split_once(word))
        .filter_map(|(number, _)| number.rsplit(' ').next())
        .find_map(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_results_are_summed_over_binaries() {
        let output = "test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                      test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered\n";
        let (tally, skipped) = of_cargo(output);
        assert_eq!(tally.to_string(), "19 passed, 3 failed, 1 skipped");
        assert!(skipped.is_empty());
    }

    #[test]
    fn a_test_that_says_it_is_skipped_does_not_count_as_passed() {
        let output = "SKIPPED: feedparser suite: ../shared/data is absent\n\
                      test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let (tally, skipped) = of_cargo(output);
        assert_eq!(tally.to_string(), "1 passed, 0 failed, 1 skipped");
        assert_eq!(skipped, ["feedparser suite: ../shared/data is absent"]);
    }

    #[test]
    fn node_sums_are_read_from_tap() {
        let output = "ok 1 - works\nok 2 - in a browser # SKIP no chromium\n# tests 4\n# pass 1\n\
                      # fail 1\n# cancelled 1\n# skipped 1\n# todo 0\n";
        let (tally, skipped) = of_node(output);
        assert_eq!(tally.to_string(), "1 passed, 2 failed, 1 skipped");
        assert_eq!(skipped, ["in a browser: no chromium"]);
    }
}

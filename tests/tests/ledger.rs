//! The short version of `cargo xtask faults`: what the test command has time for.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mediaflow_tests::faults::{Plan, run};

fn nothing_is_lost_under(fault: &str) {
    let plan = Plan {
        kills: 10,
        ..Plan::default()
    };
    let outcome = run(fault, plan).unwrap();
    println!("{}", outcome.json());
    if let Some(why) = &outcome.skipped {
        return mediaflow_tests::skip(fault, why);
    }
    assert!(outcome.holds(), "{}", outcome.json());
    assert!(outcome.acknowledged > 50, "{}", outcome.json());
}

#[test]
fn nothing_is_lost_or_doubled_over_ten_kills() {
    nothing_is_lost_under("kill-origin");
}

#[test]
fn nothing_is_lost_or_doubled_when_it_ends_at_a_named_point() {
    nothing_is_lost_under("kill-points");
}

#[test]
fn nothing_is_lost_or_doubled_under_poison_duplicates_and_100_mb() {
    nothing_is_lost_under("hostile-input");
}

#[test]
fn nothing_is_lost_or_doubled_when_the_disk_is_full() {
    nothing_is_lost_under("disk-full");
}

//! kill -9 at random moments: what was acknowledged is there exactly once, and state, progress
//! and outbox agree. The test runs itself again as the process that is killed.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use mediaflow_embedded::Embedded;
use mediaflow_ports::{Commit, EventLog, PortErrorKind, Record, StateStore};
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

const CHILD_FOLDER: &str = "MEDIAFLOW_CRASH_TEST_FOLDER";
const CHILD_ROUND: &str = "MEDIAFLOW_CRASH_TEST_ROUND";
const PARTITIONS: u32 = 2;
const PRODUCERS: u32 = 8;
const ROUNDS: u32 = 8;

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() {
    if let Ok(folder) = std::env::var(CHILD_FOLDER) {
        let round = std::env::var(CHILD_ROUND).unwrap();
        write_until_killed(Path::new(&folder), &round);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut random = Pcg32::new(2026, 11);
    let mut acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        let mut child = start(folder.path(), round);
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || stdout.lines().map_while(Result::ok).collect());
        std::thread::sleep(Duration::from_millis(
            150 + u64::from(random.next_u32() % 350),
        ));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.take(reader.join().unwrap());
        check(folder.path(), &acknowledged);
    }
    let appends = acknowledged.records.len();
    assert!(
        appends > 100,
        "the child was killed before it did anything: {appends} appends"
    );
    assert!(
        acknowledged.folded > 10,
        "hardly any commit: {}",
        acknowledged.folded
    );
    println!(
        "{ROUNDS} kills, {appends} acknowledged appends, {} commits",
        acknowledged.folded
    );
}

#[test]
fn a_second_process_is_refused_with_the_path_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let first = Embedded::open(folder.path()).unwrap();
    let Err(error) = Embedded::open(folder.path()) else {
        panic!("opened twice")
    };
    assert_eq!(error.kind(), PortErrorKind::Locked);
    let message = error.to_string();
    assert!(
        message.contains(&folder.path().display().to_string()),
        "{message}"
    );
    assert!(message.contains("stop that process"), "{message}");
    drop(first);
    Embedded::open(folder.path()).unwrap();
}

#[derive(Default)]
struct Acknowledged {
    /// Values, each with its partition and offset.
    records: BTreeMap<String, (u32, u64)>,
    /// The highest count whose commit was acknowledged.
    folded: u64,
}

impl Acknowledged {
    fn take(&mut self, lines: Vec<String>) {
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["append", value, partition, offset] => {
                    let place = (partition.parse().unwrap(), offset.parse().unwrap());
                    assert_eq!(self.records.insert(value.to_owned(), place), None);
                }
                ["commit", n] => self.folded = n.parse().unwrap(),
                // The test harness talks on the same stream.
                _ => {}
            }
        }
    }
}

fn start(folder: &Path, round: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "nothing_acknowledged_is_lost_or_doubled_by_kill_9",
            "--nocapture",
        ])
        .env(CHILD_FOLDER, folder)
        .env(CHILD_ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// The child: appends and commits as fast as it can, and says what was acknowledged.
fn write_until_killed(folder: &Path, round: &str) -> ! {
    let database = Embedded::open(folder).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let log = database.log();
        log.ensure_topic("events", PARTITIONS).await.unwrap();
        for producer in 0..PRODUCERS {
            let (log, round) = (log.clone(), round.to_owned());
            tokio::spawn(async move {
                for n in 0.. {
                    let values: Vec<_> = (0..1 + n % 3)
                        .map(|i| format!("{round}/{producer}/{n}/{i}"))
                        .collect();
                    let records = values.iter().map(|v| Record::new("", v.clone())).collect();
                    let partition = producer % PARTITIONS;
                    let offsets = log.append("events", partition, records).await.unwrap();
                    let lines: String = values
                        .iter()
                        .zip(offsets)
                        .map(|(value, offset)| format!("append {value} {partition} {offset}\n"))
                        .collect();
                    say(&lines);
                }
            });
        }
        let state = database.state();
        loop {
            let n = state.progress("fold", "events", 0).await.unwrap();
            let next = (n + 1).to_string();
            let commit = Commit::new()
                .advance("fold", "events", 0, n, n + 1)
                .put("folded", "n", next.clone())
                .emit("folded", "n", next.clone());
            state.commit(commit).await.unwrap();
            say(&format!("commit {next}\n"));
        }
    })
}

/// One write per acknowledgement, so that a kill cuts between lines.
fn say(lines: &str) {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(lines.as_bytes()).unwrap();
    stdout.flush().unwrap();
}

fn check(folder: &Path, acknowledged: &Acknowledged) {
    let database = Embedded::open(folder).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        every_record_is_there_once(&*database.log(), acknowledged).await;
        state_progress_and_outbox_agree(&*database.state(), acknowledged).await;
    });
}

async fn every_record_is_there_once(log: &dyn EventLog, acknowledged: &Acknowledged) {
    let mut seen = BTreeSet::new();
    let mut places = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let found = log
            .read("events", partition, 0, usize::MAX, usize::MAX)
            .await
            .unwrap();
        assert!(
            found.iter().map(|r| r.offset).eq(0..found.len() as u64),
            "offsets are dense"
        );
        assert_eq!(
            log.end("events", partition).await.unwrap(),
            found.len() as u64
        );
        for stored in found {
            let value = String::from_utf8(stored.record.value.to_vec()).unwrap();
            assert!(seen.insert(value.clone()), "{value} is doubled");
            places.insert(value, (partition, stored.offset));
        }
    }
    for (value, place) in &acknowledged.records {
        assert_eq!(places.get(value), Some(place), "{value} was acknowledged");
    }
}

async fn state_progress_and_outbox_agree(state: &dyn StateStore, acknowledged: &Acknowledged) {
    let progress = state.progress("fold", "events", 0).await.unwrap();
    assert!(
        progress >= acknowledged.folded,
        "{progress} of {}",
        acknowledged.folded
    );
    assert!(
        progress <= acknowledged.folded + 1,
        "at most the commit under way was not answered"
    );
    let counted = state.get("folded", b"n").await.unwrap();
    let expected = (progress > 0).then(|| Bytes::from(progress.to_string()));
    assert_eq!(counted, expected, "state and progress agree");
    let work = state.outbox_read("folded", usize::MAX).await.unwrap();
    let numbers: Vec<_> = work.iter().map(|w| w.value.clone()).collect();
    let expected: Vec<_> = (1..=progress).map(|n| Bytes::from(n.to_string())).collect();
    assert_eq!(numbers, expected, "every commit left its work, once");
}

//! Figures of the Redis state store on this machine: `cargo run --release -p mediaflow-state-store-redis --example figures`.
//!
//! Prints one JSON object a line. Rates tell of the machine and what else it does; processor time per update does not.
//! The servers run on loopback with `appendfsync always`, beside the load on the same cores.
#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a measurement stops at the first surprise"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mediaflow_ports::{Commit, Layout, StateStore, ViewPlan, partition_of};
use mediaflow_state_store_redis::{RedisConfig, RedisState};
use mediaflow_test_servers::redis::{Redis, RedisCluster, present};

const PARTITIONS: u32 = 8;
const RUN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    if !present("figures") {
        return;
    }
    for (updates, bytes) in [(200, 1_000), (1_000, 1_000), (5_000, 1_000), (200, 300)] {
        let server = Redis::start(&[]);
        let store = open(&server.uri("")).await;
        commits("server", &[&server], store, (updates, bytes), false).await;
    }
    let server = Redis::start(&[]);
    let store = open(&server.uri("")).await;
    commits("server, with outbox", &[&server], store, (200, 1_000), true).await;
    drop(server);
    let cluster = RedisCluster::start();
    let store = open(&cluster.uri("")).await;
    let nodes: Vec<&Redis> = cluster.nodes.iter().collect();
    commits("cluster of 3", &nodes, store, (200, 1_000), false).await;
    drop(cluster);
    for bytes in [300, 640, 1_000] {
        memory("plain", bytes).await;
    }
    memory("indexed", 300).await;
}

async fn open(uri: &str) -> Arc<RedisState> {
    let layout = Layout::new(PARTITIONS)
        .views(&[
            ViewPlan::by_key("plain").unscanned(),
            ViewPlan::by_key("indexed"),
        ])
        .partitioned("fold");
    let config = RedisConfig::new(&uri.parse().unwrap(), None, layout).unwrap();
    Arc::new(RedisState::open(config).await.unwrap())
}

/// Readers' keys of one partition.
fn readers(partition: u32, count: usize) -> Vec<Bytes> {
    (0_u64..)
        .map(|n| {
            Bytes::from(
                [
                    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes(),
                    n.to_be_bytes(),
                ]
                .concat(),
            )
        })
        .filter(|key| partition_of(key, PARTITIONS) == partition)
        .take(count)
        .collect()
}

/// Processor time of the servers so far, seconds.
fn server_cpu_s(servers: &[&Redis]) -> f64 {
    let of = |server: &&Redis| -> f64 {
        let info = server.cli(&["info", "cpu"]);
        let used = info.lines().filter_map(|line| line.split_once(':'));
        let own = used.filter(|(name, _)| matches!(*name, "used_cpu_user" | "used_cpu_sys"));
        own.filter_map(|(_, s)| s.trim().parse::<f64>().ok()).sum()
    };
    servers.iter().map(of).sum()
}

/// Processor time of this process so far, seconds.
fn own_cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    // utime and stime in ticks of a hundredth.
    fields[11..13]
        .iter()
        .map(|t| t.parse::<f64>().unwrap() / 100.0)
        .sum()
}

/// Every partition commits as fast as it is answered.
async fn commits(
    what: &str,
    servers: &[&Redis],
    store: Arc<RedisState>,
    (updates, bytes): (usize, usize),
    outbox: bool,
) {
    let (served, own) = (server_cpu_s(servers), own_cpu_s());
    let begun = Instant::now();
    let work = (0..PARTITIONS).map(|partition| {
        let store = store.clone();
        tokio::spawn(async move {
            let keys = readers(partition, 12_500);
            let value = Bytes::from(vec![0x5a; bytes]);
            let expires_ms = 4_000_000_000_000;
            let fence = format!("fold.events.{partition}");
            let epoch = store.claim(&fence).await.unwrap();
            let (mut took, mut at, mut next) = (Vec::new(), 0, 0);
            while begun.elapsed() < RUN {
                let mut commit = Commit::new().fenced(&fence, epoch).advance(
                    "fold",
                    "events",
                    partition,
                    next,
                    next + 1,
                );
                for _ in 0..updates {
                    let key = keys[at % keys.len()].clone();
                    if outbox {
                        commit = commit.emit("dirty", key.clone(), value.slice(..256));
                    }
                    commit = commit.put_until("plain", key, value.clone(), expires_ms);
                    at += 1;
                }
                let sent = Instant::now();
                store.commit(commit).await.unwrap();
                took.push(sent.elapsed());
                next += 1;
            }
            took
        })
    });
    let mut took = Vec::new();
    for done in work.collect::<Vec<_>>() {
        took.extend(done.await.unwrap());
    }
    took.sort_unstable();
    let seconds = begun.elapsed().as_secs_f64();
    let each = |cpu_s: f64| cpu_s * 1e6 / (took.len() * updates) as f64;
    let (served, own) = (
        each(server_cpu_s(servers) - served),
        each(own_cpu_s() - own),
    );
    let ms = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{{\"figure\":\"commits\",\"on\":\"{what}\",\"updates\":{updates},\"bytes\":{bytes},\"commits_per_s\":{:.0},\
         \"updates_per_s\":{:.0},\"ms_p50\":{:.1},\"ms_p99\":{:.1},\"ms_max\":{:.1},\
         \"server_cpu_us_per_update\":{served:.1},\"client_cpu_us_per_update\":{own:.1}}}",
        took.len() as f64 / seconds,
        (took.len() * updates) as f64 / seconds,
        ms(0.5),
        ms(0.99),
        ms(1.0)
    );
}

/// What Redis takes for a reader whose state expires.
async fn memory(view: &str, bytes: usize) {
    const READERS: usize = 200_000;
    let server = Redis::start(&["--appendonly", "no"]);
    let store = open(&server.uri("")).await;
    let used = || -> u64 {
        let info = server.cli(&["info", "memory"]);
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"))
            .unwrap();
        line.trim().parse().unwrap()
    };
    let before = used();
    let value = Bytes::from(vec![0x5a; bytes]);
    let share = READERS / PARTITIONS as usize;
    let mut written = 0;
    for partition in 0..PARTITIONS {
        for keys in readers(partition, share).chunks(1_000) {
            let mut commit = Commit::new();
            for key in keys {
                commit = commit.put_until(view, key.clone(), value.clone(), 4_000_000_000_000);
            }
            store.commit(commit).await.unwrap();
            written += keys.len();
        }
    }
    let each = (used() - before) as f64 / written as f64;
    println!(
        "{{\"figure\":\"memory\",\"view\":\"{view}\",\"readers\":{written},\"value_bytes\":{bytes},\
         \"bytes_per_reader\":{each:.0},\"overhead_bytes\":{:.0}}}",
        each - bytes as f64
    );
}

//! What an operator sees: metrics that the documents name, alerts and dashboards that a real Prometheus takes, traces
//! that follow one event.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mediaflow_shared::event::EventType;
use mediaflow_tests::{Origin, Setup, TOKEN, content_id, event, skip, stories, until};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Families that only show once something happened which these tests do not do.
const RARE: [&str; 4] = [
    // A source that is polled.
    "mediaflow_ingest_polls_total",
    // Of a collector with a spool, and of a publisher with a budget.
    "mediaflow_spool_*",
    "mediaflow_publisher_writes_total",
    "mediaflow_publisher_budget_left",
];
const RARE_TOO: [&str; 3] = [
    // Measured every 30 s.
    "mediaflow_state_view_bytes",
    "mediaflow_publisher_dollars_total",
    // Until the first front.
    "mediaflow_publisher_oldest_front_timestamp_seconds",
];

fn is_rare(name: &str) -> bool {
    RARE.iter()
        .chain(&RARE_TOO)
        .any(|r| match r.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *r,
        })
}

fn ops() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops")
}

fn text(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Whether a program is there.
fn installed(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// An origin that has seen articles, readers, a duplicate and a letter that is dead.
async fn busy(dir: &Path) -> Origin {
    let origin = Origin::start(dir);
    origin.import(&stories("o", 40)).await;
    let post = |body: Value| {
        reqwest::Client::new()
            .post(format!("{}/v1/events", origin.url))
            .json(&body)
            .send()
    };
    for n in 0..20 {
        let e = event(
            &format!("e-{n}"),
            EventType::Read,
            content_id(&format!("o-{n}")),
            Some("ann"),
        );
        assert_eq!(post(json!([e, e])).await.unwrap().status(), 202);
    }
    assert_eq!(post(json!([{"id": 7}])).await.unwrap().status(), 400);
    until("a feed", Duration::from_secs(30), || async {
        let url = format!("{}/v1/feed/daily/home", origin.edge);
        let feed: Value = reqwest::get(url).await.ok()?.json().await.ok()?;
        (!feed["items"].as_array()?.is_empty()).then_some(())
    })
    .await;
    until("everything counted", Duration::from_secs(30), || async {
        let m = scrape(&origin).await;
        [
            "mediaflow_dead_letter_records 1",
            "mediaflow_feeds_served_total{",
            "mediaflow_publisher_oldest_front_timestamp_seconds ",
            "mediaflow_feature_newest_event_timestamp_seconds{",
        ]
        .iter()
        .all(|n| m.contains(n))
        .then_some(())
    })
    .await;
    origin
}

async fn scrape(origin: &Origin) -> String {
    let url = format!("{}/metrics", origin.url);
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// Name and kind of every family.
fn families(metrics: &str) -> Vec<(String, String)> {
    let typed = metrics.lines().filter_map(|l| l.strip_prefix("# TYPE "));
    typed
        .filter_map(|l| l.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

/// Our metrics that a query reads, as names of families.
fn names_in(query: &str) -> BTreeSet<String> {
    query
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|w| w.starts_with("mediaflow_") || w.starts_with("process_"))
        .map(|w| {
            ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|s| w.strip_suffix(s))
                .unwrap_or(w)
                .to_owned()
        })
        .collect()
}

/// `alert`, `expr` and `runbook` of every rule, as written.
fn alerts() -> Vec<(String, String, String)> {
    let rules = text(ops().join("alerts.yml"));
    let field = |rule: &str, name: &str| {
        let line = rule.lines().find_map(|l| l.trim().strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {rule}")).trim();
        line.trim_matches('\'').replace("''", "'")
    };
    rules
        .split("- alert: ")
        .skip(1)
        .map(|rule| {
            let name = rule.lines().next().unwrap_or_default().to_owned();
            (name, field(rule, "expr:"), field(rule, "runbook:"))
        })
        .collect()
}

/// Dashboard, panel and query.
fn dashboard_queries() -> Vec<(String, String)> {
    let mut out = Vec::new();
    for file in std::fs::read_dir(ops().join("dashboards")).unwrap() {
        let path = file.unwrap().path();
        let board: Value = serde_json::from_str(&text(&path)).unwrap();
        assert!(
            board["uid"]
                .as_str()
                .is_some_and(|u| u.starts_with("mediaflow-"))
        );
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let place = format!("{}: {}", path.display(), panel["title"]);
                out.push((place, target["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    assert!(out.len() > 40, "{}", out.len());
    out
}

#[test]
fn every_alert_has_its_section_of_the_runbook_and_no_section_is_left_over() {
    let runbook = text(ops().join("RUNBOOK.md"));
    let sections: Vec<&str> = runbook
        .lines()
        .filter_map(|l| l.strip_prefix("## "))
        .collect();
    let named: Vec<String> = alerts().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(sections, named);
    for (name, _, link) in alerts() {
        assert_eq!(link, format!("ops/RUNBOOK.md#{}", name.to_lowercase()));
    }
}

#[test]
fn the_rules_pass_promtool_and_their_unit_tests() {
    const NAME: &str = "the_rules_pass_promtool_and_their_unit_tests";
    if !installed("promtool") {
        return skip(NAME, "promtool is not installed (Debian: prometheus)");
    }
    for args in [
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts.test.yml"],
    ] {
        let out = Command::new("promtool")
            .args(args)
            .current_dir(ops())
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&out.stdout)
        );
    }
    let tests = text(ops().join("alerts.test.yml"));
    for (name, ..) in alerts() {
        assert!(
            tests.contains(&format!("alertname: {name}\n")),
            "no test of {name}"
        );
    }
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_follow_one_rule_and_the_documents_and_queries_name_only_what_exists() {
    let dir = tempfile::tempdir().unwrap();
    let origin = busy(dir.path()).await;
    let metrics = scrape(&origin).await;
    let families = families(&metrics);
    let docs = text(ops().join("../docs/observability.md"));
    for (name, kind) in &families {
        assert!(
            name.starts_with("mediaflow_") || name.starts_with("process_"),
            "{name}"
        );
        assert_eq!(
            kind == "counter",
            name.ends_with("_total"),
            "{name} is a {kind}"
        );
        assert!(
            !name.ends_with("_s") && !name.ends_with("_ms"),
            "{name}: base units, written out"
        );
        assert!(
            docs.contains(&format!("`{name}")),
            "docs/observability.md does not list {name}"
        );
    }
    // No id, no address, nothing a client wrote: labels are short words.
    for line in metrics.lines().filter(|l| !l.starts_with('#')) {
        for value in line.split('"').skip(1).step_by(2) {
            assert!(value.len() <= 48, "{line}");
        }
    }
    assert!(!metrics.contains("ann"), "a reader's id is in the metrics");
    // The sum of the series of a family that have this label.
    let value = |family: &str, label: &str| -> f64 {
        let lines = metrics.lines().filter(|l| {
            l.strip_prefix(family)
                .is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
        });
        lines
            .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    };
    assert!((value("mediaflow_ingest_events_total", "=\"duplicate\"") - 20.0).abs() < 0.5);
    assert!(value("mediaflow_ingest_events_total", "=\"accepted\"") >= 20.0);
    assert!((value("mediaflow_dead_letter_records", "") - 1.0).abs() < 0.5);
    assert!(value("process_resident_memory_bytes", "") > 5e6);

    let known: BTreeSet<&str> = families.iter().map(|(n, _)| n.as_str()).collect();
    let alerts = alerts().into_iter().map(|(name, expr, _)| (name, expr));
    let queries: Vec<(String, String)> = alerts.chain(dashboard_queries()).collect();
    for (place, query) in &queries {
        for name in names_in(query) {
            assert!(
                known.contains(name.as_str()) || is_rare(&name),
                "{place} reads {name}, which no process has"
            );
        }
    }

    const NAME: &str = "a real Prometheus takes the rules and answers every query";
    if !installed("prometheus") {
        return skip(NAME, "prometheus is not installed (Debian: prometheus)");
    }
    let target = origin.url.trim_start_matches("http://");
    let config = text(ops().join("prometheus.yml"))
        .replace("127.0.0.1:8080", target)
        .replace("15s", "1s");
    std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    std::fs::copy(ops().join("alerts.yml"), dir.path().join("alerts.yml")).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let at = format!("http://127.0.0.1:{port}");
    let _prometheus = Ended(
        Command::new("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--storage.tsdb.path=tsdb")
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let client = reqwest::Client::new();
    let ask = |path: &str, query: &str| {
        let url =
            reqwest::Url::parse_with_params(&format!("{at}{path}"), [("query", query)]).unwrap();
        let request = client.get(url);
        async move { request.send().await.ok()?.json::<Value>().await.ok() }
    };
    until("a scrape", Duration::from_secs(30), || async {
        let up = ask("/api/v1/query", "up{job=\"mediaflow\"}").await?;
        (up["data"]["result"][0]["value"][1] == "1").then_some(())
    })
    .await;
    let rules = ask("/api/v1/rules", "").await.unwrap();
    let loaded = rules["data"]["groups"][0]["rules"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(loaded, queries.len() - dashboard_queries().len());
    for (place, query) in &queries {
        let answer = ask("/api/v1/query", query).await.unwrap();
        assert_eq!(answer["status"], "success", "{place}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trace_of_an_event_goes_from_the_collector_to_what_is_published() {
    let (receiver, spans) = receiver().await;
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup {
        variables: vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver),
            ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
            // Only what brings a sampled trace is traced.
            ("OTEL_TRACES_SAMPLER_ARG", "0".to_owned()),
        ],
        ..Setup::default()
    };
    let origin = setup.start(dir.path());
    origin.import(&stories("t", 5)).await;
    let by_header = "0af7651916cd43dd8448eb211c80319c";
    let by_event = "4bf92f3577b34da6a3ce929d0e0e4736";
    let unsampled = "deadbeefdeadbeefdeadbeefdeadbeef";
    let send = async |id: &str, own: Option<String>, header: String| {
        let mut e = event(id, EventType::Read, content_id("t-1"), Some("bob"));
        e.traceparent = own;
        let sent = reqwest::Client::new()
            .post(format!("{}/v1/events", origin.url))
            .header("traceparent", header)
            .bearer_auth(TOKEN)
            .json(&e)
            .send();
        assert_eq!(sent.await.unwrap().status(), 202);
    };
    let parent = |trace: &str, flag: &str| format!("00-{trace}-b7ad6b7169203331-{flag}");
    send("h", None, parent(by_header, "01")).await;
    send("e", Some(parent(by_event, "01")), parent(unsampled, "00")).await;
    let wanted = [
        (by_header, "POST /v1/events"),
        (by_header, "fold"),
        (by_header, "commit"),
        (by_event, "collect"),
        (by_event, "fold"),
        (by_event, "commit"),
        (by_event, "publish"),
    ];
    until(
        "the spans of both traces",
        Duration::from_secs(30),
        || async {
            let spans = spans.lock().unwrap();
            let seen = |(trace, name): &(&str, &str)| {
                spans.iter().any(|s| s.trace == *trace && s.name == *name)
            };
            wanted.iter().all(seen).then_some(())
        },
    )
    .await;
    let spans = spans.lock().unwrap();
    assert!(
        spans.iter().all(|s| s.trace != unsampled),
        "what nobody sampled is not exported"
    );
    assert!(
        spans
            .iter()
            .all(|s| s.trace == by_header || s.trace == by_event),
        "at a ratio of 0 nothing starts a trace: {spans:?}"
    );
    let request = spans.iter().find(|s| s.name == "POST /v1/events").unwrap();
    assert_eq!(request.parent, "b7ad6b7169203331");
    let fold = spans
        .iter()
        .find(|s| s.trace == by_header && s.name == "fold")
        .unwrap();
    assert_eq!(
        fold.parent, request.span,
        "the fold is a child of the collector's span"
    );
}

#[derive(Debug)]
struct Span {
    trace: String,
    span: String,
    parent: String,
    name: String,
}

/// A collector of OpenTelemetry that remembers: its address and what it got.
async fn receiver() -> (String, Arc<Mutex<Vec<Span>>>) {
    let got: Arc<Mutex<Vec<Span>>> = Arc::default();
    let remember = got.clone();
    let hex = |b: &[u8]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let take = move |body: axum::body::Bytes| {
        let batch = ExportTraceServiceRequest::decode(body).unwrap();
        let spans = batch
            .resource_spans
            .into_iter()
            .flat_map(|r| r.scope_spans)
            .flat_map(|s| s.spans);
        remember.lock().unwrap().extend(spans.map(|s| Span {
            trace: hex(&s.trace_id),
            span: hex(&s.span_id),
            parent: hex(&s.parent_span_id),
            name: s.name,
        }));
        std::future::ready(())
    };
    let app = axum::Router::new().route("/v1/traces", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (at, got)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn top_prints_what_runs_and_fails_where_nothing_does() {
    let dir = tempfile::tempdir().unwrap();
    let origin = busy(dir.path()).await;
    let top = |origins: &str| {
        mediaflow_tests::command(&["top", "--once", "--every-s", "0.5", "--origin", origins])
            .output()
            .unwrap()
    };
    let out = top(&origin.url);
    let printed = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{printed}");
    for line in [
        "Origins",
        "events accepted",
        "partition 3",
        "features.reader (real-time)",
        "fronts",
        "feeds of daily",
        "dead letters kept",
    ] {
        assert!(printed.contains(line), "{line} is not in\n{printed}");
    }
    let out = top("http://127.0.0.1:1");
    assert!(!out.status.success());
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(
        said.contains("is `mediaflow serve` running there?"),
        "{said}"
    );
}

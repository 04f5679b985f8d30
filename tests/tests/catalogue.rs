//! The feature catalogue over a real process: lineage, values with freshness, values as of a moment, parity.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mediaflow_shared::event::{Event, EventType};
use mediaflow_shared::time::Timestamp;
use mediaflow_tests::{
    EDGE_TOKEN, EDITOR, Origin, TOKEN, content_id, event, now_ms, stories, until,
};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const READERS: usize = 40;
const STORIES: usize = 12;

async fn collect(origin: &Origin, events: &[Event]) {
    let r = Client::new()
        .post(format!("{}/v1/events", origin.url))
        .bearer_auth(EDGE_TOKEN)
        .json(events)
        .send()
        .await
        .unwrap();
    assert_eq!(r.status(), StatusCode::ACCEPTED);
}

async fn get(origin: &Origin, path: &str) -> Value {
    let (status, answer) = origin.admin(TOKEN, Method::GET, path, Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{path}: {answer}");
    answer
}

/// Impressions and reads of many readers, and one reader's ratings.
fn traffic(round: usize) -> Vec<Event> {
    let mut all = Vec::new();
    for r in 0..READERS {
        let reader = format!("reader-{r}");
        for s in 0..STORIES {
            let story = content_id(&format!("s-{s}"));
            let id = |what: &str| format!("{what}-{round}-{r}-{s}");
            all.push(event(&id("i"), EventType::Impression, story, Some(&reader)));
            if (r + s) % 3 == 0 {
                let mut read = event(&id("r"), EventType::Read, story, Some(&reader));
                read.data.dwell_s = Some(30.0 + s as f64);
                read.data.device = Some("mobile".into());
                all.push(read);
            }
        }
    }
    let mut rated = event(
        &format!("rate-{round}"),
        EventType::Rating,
        content_id("s-0"),
        Some("reader-0"),
    );
    rated.data.rating = Some(4.0);
    all.push(rated);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_is_what_the_log_says() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    let mut items = stories("s", STORIES);
    for (i, item) in items.iter_mut().enumerate() {
        item["cast"] = json!([format!("Player {}", i % 3), "Ada Lead"]);
    }
    origin.import(&items).await;
    // Events of items that are not known yet teach nothing of topics, and a replay would know them.
    until("the stories are known", Duration::from_secs(20), || async {
        for s in 0..STORIES {
            let url = format!(
                "{}/v1/content/{}",
                origin.url,
                content_id(&format!("s-{s}"))
            );
            let known = reqwest::get(url)
                .await
                .is_ok_and(|r| r.status().is_success());
            if !known {
                return None;
            }
        }
        Some(())
    })
    .await;
    let first = traffic(0);
    for batch in first.chunks(200) {
        collect(&origin, batch).await;
    }
    let user = "/features/user/reader-0?brand=daily";
    let reads_of = |answer: &Value| answer["features"]["reads_total"]["value"].as_i64();
    let answer = until("the reads are folded", Duration::from_secs(20), || async {
        let answer = get(&origin, user).await;
        (reads_of(&answer) == Some(4)).then_some(answer)
    })
    .await;
    assert_eq!(answer["known"], true);
    assert!(answer["age_s"].as_i64().unwrap() < 60, "{answer}");
    let reader = answer["id"].as_str().unwrap().to_owned();
    assert_eq!(
        reader.len(),
        32,
        "a pseudonym, not the id that was asked for"
    );
    let item = format!("/features/content/{}", content_id("s-0"));
    until(
        "all partitions are folded",
        Duration::from_secs(20),
        || async {
            let shown = &get(&origin, &item).await["features"]["impressions_total"]["value"];
            (*shown == READERS as i64).then_some(())
        },
    )
    .await;
    let preferences = get(&origin, "/features/user/reader-0/preferences?brand=daily").await;
    assert_eq!(preferences["ratings"], json!({"count": 1, "mean": 4.0}));
    // Read: stories 0, 3, 6 and 9.
    let actors = json!([{"name": "Ada Lead", "value": 4}, {"name": "Player 0", "value": 4}]);
    let mut met = preferences["actors"].as_array().unwrap().clone();
    met.sort_by_key(|m| m["name"].to_string());
    assert_eq!(json!(met), actors);

    // Values as they were now, asked for after more has happened.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let then = Timestamp(now_ms());
    tokio::time::sleep(Duration::from_millis(20)).await;
    for batch in traffic(1).chunks(200) {
        collect(&origin, batch).await;
    }
    until("more reads are folded", Duration::from_secs(20), || async {
        (reads_of(&get(&origin, user).await) == Some(8)).then_some(())
    })
    .await;
    let at = |at: Timestamp| json!([{"entity": "reader", "id": reader, "at": at}]);
    for (moment, reads) in [(then, 4), (Timestamp(now_ms()), 8)] {
        let (status, answer) = origin
            .admin(TOKEN, Method::POST, "/features/replay", at(moment))
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let row = &answer["rows"][0]["features"];
        assert_eq!(row["reads_total"]["value"], reads, "{row}");
    }

    let out = origin.client(&["parity", "--json"]);
    let report: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}\n{report}");
    assert_eq!(report["differ"], 0);
    assert!(report["compared"].as_u64().unwrap() > 5_000, "{report}");
    assert_eq!(report["left_out"], 0);
    publishing_is_priced_on_the_log(&origin, dir.path(), 2 * first.len()).await;
}

/// `publish --plan` of what the log took, and the rows of its table.
fn priced(origin: &Origin, args: &[&str]) -> Vec<Value> {
    let out = origin.client(&[&["publish", "--plan", "--json"], args].concat());
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{args:?}: {said}");
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

async fn publishing_is_priced_on_the_log(origin: &Origin, dir: &Path, events: usize) {
    let rows = priced(origin, &["--log", "--since", "1h"]);
    let traffic = &rows.last().unwrap()["traffic"];
    assert_eq!(traffic["events"], events, "{traffic}");
    assert_eq!(traffic["readers"], READERS, "{traffic}");
    let on_change = rows.iter().find(|r| r["policy"] == "on_change").unwrap();
    assert!(on_change["writes"].as_u64().unwrap() >= READERS as u64);

    // The same from what anybody may save of it.
    let mut saved = Vec::new();
    for name in ["events", "content"] {
        let answer = Client::new()
            .get(format!("{}/admin/v1/{name}", origin.url))
            .bearer_auth(TOKEN)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        if name == "events" {
            let most = answer.headers()["mediaflow-records"].to_str().unwrap();
            assert_eq!(most, events.to_string());
        }
        let file = dir.join(format!("{name}.jsonl"));
        std::fs::write(&file, answer.bytes().await.unwrap()).unwrap();
        saved.push(file.to_str().unwrap().to_owned());
    }
    let text = std::fs::read_to_string(&saved[0]).unwrap();
    assert!(!text.contains("readerid"), "pseudonyms only");
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), events);
    let id = lines[0]["data"]["reader"].as_str().unwrap();
    assert_eq!(id.len(), 32);
    let articles = std::fs::read_to_string(&saved[1]).unwrap();
    assert_eq!(articles.lines().count(), STORIES);
    let again = priced(origin, &["--events", &saved[0], "--articles", &saved[1]]);
    assert_eq!(again, rows);

    let path = "/admin/v1/events?limit=3";
    let answer = Client::new().get(format!("{}{path}", origin.url));
    let three = answer.bearer_auth(TOKEN).send().await.unwrap();
    assert!(text.starts_with(&three.text().await.unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_bounds_of_the_log_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    for (path, input) in [
        ("events?since=yesterday", "query `since`"),
        ("events?until=5", "query `until`"),
        ("events?limit=0", "query `limit`"),
        ("events?limt=3", "query"),
        (
            "events?since=2026-11-21T08:00:00Z&until=2026-11-20T08:00:00Z",
            "query `since`",
        ),
    ] {
        let path = format!("/admin/v1/{path}");
        let (status, problem) = origin.admin(TOKEN, Method::GET, &path, Value::Null).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(problem["input"], input, "{path}: {problem}");
        let said = |member: &str| problem[member].as_str().is_some_and(|t| !t.is_empty());
        assert!(said("reason") && said("remedy"), "{path}: {problem}");
    }
    for path in ["/admin/v1/events", "/admin/v1/content"] {
        let (status, _) = origin.admin("no", Method::GET, path, Value::Null).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        let (status, _) = origin.admin(EDITOR, Method::GET, path, Value::Null).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    for (args, words) in [
        (&["--log", "--since", "soon"][..], "--since soon"),
        (&["--log", "--until", "48h"], "is not before --until"),
        (&["--log"], "took no events"),
        (
            &["--log", "--origin", "http://127.0.0.1:1"],
            "is `mediaflow serve` running there?",
        ),
        (&["--log", "--token", "no"], "401"),
        (&["--log", "--simulate", "5"], "cannot be used with"),
        (&["--simulate", "5", "--since", "1h"], "--log"),
        (&["--log", "--policies", "hourly"], "no policy"),
    ] {
        let out = origin.client(&[&["publish", "--plan"], args].concat());
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success(), "{args:?}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_is_searched_and_guarded() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    let all = get(&origin, "/features").await;
    assert!(all["total"].as_u64().unwrap() > 150, "{}", all["total"]);
    let blob = get(&origin, "/features?read_by=profile+blob").await;
    let found = blob["features"].as_array().unwrap();
    assert!(!found.is_empty());
    for f in found {
        assert!(!f["fed_by"].as_array().unwrap().is_empty(), "{f}");
        assert!(f["owner"].is_string() && f["version"].is_u64(), "{f}");
    }
    let client = Client::new();
    let page = client
        .get(format!("{}/features?q=session&entity=", origin.url))
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert!(page.text().await.unwrap().contains("<table>"));
    let nobody = client
        .get(format!("{}/features/brand/daily", origin.url))
        .send()
        .await
        .unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    for (path, names) in [
        ("/features/nothing/x", "nothing"),
        ("/features/reader/x", "32 hexadecimal"),
        ("/features/brand/daily?names=no_such", "no_such"),
        ("/features/user/x", "brand"),
        ("/features?entity=x", "x"),
    ] {
        let (status, problem) = origin.admin(TOKEN, Method::GET, path, Value::Null).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(problem.to_string().contains(names), "{path}: {problem}");
    }
    let many: Vec<Value> = vec![json!({"entity": "brand", "id": "daily"}); 1_001];
    let (status, _) = origin
        .admin(
            TOKEN,
            Method::POST,
            "/features/batch",
            json!({"entities": many}),
        )
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, answer) = origin
        .admin(
            TOKEN,
            Method::POST,
            "/features/batch",
            json!({"entities": &many[..2], "names": ["impressions_total"]}),
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["entities"][1]["known"], false);
}

//! Public data beside the checkout, through the commands an operator uses: nothing lost, nothing doubled.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use flate2::read::GzDecoder;
use mediaflow_embedded::Embedded;
use mediaflow_http::Secret;
use mediaflow_ingest::collector::pseudonym;
use mediaflow_shared::content::{Content, Status};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::profile::{Profile, blob};
use mediaflow_tests::{Origin, Reader, data, now_ms, skip, until, words};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

const MEMORY_MAX: u64 = 512 << 20;

/// Runs an import and answers how many were new and how many there before.
fn import(origin: &Origin, args: &[&str]) -> (u64, u64) {
    let all: Vec<&str> = ["import"].iter().chain(args).copied().collect();
    let out = origin.client(&all);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{args:?}: {said} {err}");
    let n = |i: usize| said.split_whitespace().nth(i).unwrap().parse().unwrap();
    assert!(said.contains("new,") && said.contains("there before"));
    (n(0), n(2))
}

fn sources(dir: &Path, kind: &str, more: &str) -> String {
    let path = dir.join("sources.toml");
    let text = format!("[[source]]\nslug = \"cms\"\nbrand = \"daily\"\nkind = \"{kind}\"\n{more}");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Every record of a topic as JSON.
async fn records(db: &Embedded, topic: &str) -> Vec<Value> {
    let log = db.log();
    let mut all = Vec::new();
    for p in 0..log.partitions(topic).await.unwrap() {
        let mut from = 0;
        loop {
            let page = log.read(topic, p, from, 1000, 8 << 20).await.unwrap();
            let Some(last) = page.last() else { break };
            from = last.offset + 1;
            all.extend(
                page.iter()
                    .map(|r| serde_json::from_slice::<Value>(&r.record.value).unwrap()),
            );
        }
    }
    all
}

/// Every article the origin holds, by original id.
async fn articles(db: &Embedded) -> BTreeMap<String, Content> {
    let state = db.state();
    let mut all = BTreeMap::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = state
            .scan("content", b"", after.as_deref(), 500)
            .await
            .unwrap();
        let Some(last) = page.last() else { return all };
        after = Some(last.key.to_vec());
        for e in &page {
            let c: Content = serde_json::from_slice(&e.value).unwrap();
            assert!(all.insert(c.original_id.clone(), c).is_none());
        }
    }
}

fn count_by<'a>(values: &'a [Value], field: &str) -> BTreeMap<&'a str, u32> {
    let mut n = BTreeMap::new();
    for v in values {
        *n.entry(v[field].as_str().unwrap()).or_default() += 1;
    }
    n
}

/// Waits until so many deliveries became articles, then stops the origin and opens what it leaves.
async fn settled(mut origin: Origin, dir: &Path, deliveries: u64) -> Embedded {
    let url = format!("{}/metrics", origin.url);
    until("enrichment", Duration::from_secs(60), || async {
        let text = reqwest::get(&url).await.ok()?.text().await.ok()?;
        let handled: f64 = text
            .lines()
            .filter(|l| l.starts_with("enrich_items_total{") || l.contains("_enrich_items_total{"))
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        (handled as u64 >= deliveries).then_some(())
    })
    .await;
    assert!(
        origin.resident_bytes() < MEMORY_MAX,
        "{}",
        origin.resident_bytes()
    );
    assert!(origin.stop(Duration::from_secs(20)).is_some());
    Embedded::open(dir.join("var/db")).unwrap()
}

/// A field of a WXR item, in CDATA or not. Read apart from the connector, which must not judge itself.
fn wxr_field<'a>(item: &'a str, name: &str) -> &'a str {
    let open = format!("<{name}>");
    let Some(at) = item.find(&open) else {
        return "";
    };
    let rest = &item[at + open.len()..];
    let text = &rest[..rest.find("</").unwrap()];
    text.trim_start_matches("<![CDATA[")
        .trim_end_matches("]]>")
        .trim()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_published_post_of_the_wordpress_export_arrives_once() {
    let Some(folder) = data("wordpress") else {
        return skip(
            "every_published_post_of_the_wordpress_export_arrives_once",
            "../shared/data/wordpress is absent",
        );
    };
    let file = folder.join("themeunittestdata.wordpress.xml");
    let xml = std::fs::read_to_string(&file).unwrap();
    let posts: Vec<&str> = xml
        .split("<item>")
        .skip(1)
        .filter(|i| wxr_field(i, "wp:post_type") == "post")
        .collect();
    let published: BTreeSet<&str> = posts
        .iter()
        .filter(|i| {
            wxr_field(i, "wp:status") == "publish" && wxr_field(i, "wp:post_password").is_empty()
        })
        .map(|i| wxr_field(i, "wp:post_id"))
        .collect();
    assert!(published.len() > 40, "{}", published.len());

    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    let list = sources(dir.path(), "wordpress", "");
    let path = file.display().to_string();
    let args = [
        "content",
        "--format",
        "wxr",
        &path,
        "--source",
        "cms",
        "--sources",
        &list,
    ];
    let n = posts.len() as u64;
    assert_eq!(import(&origin, &args), (n, 0));
    assert_eq!(import(&origin, &args), (0, n));
    let db = settled(origin, dir.path(), n).await;
    let raw = records(&db, "content.raw").await;
    assert!(count_by(&raw, "original_id").values().all(|n| *n == 1));
    let all = articles(&db).await;
    for id in &published {
        let a = all.get(*id).unwrap_or_else(|| panic!("post {id} is lost"));
        assert_eq!(a.status, Status::Published, "post {id}");
    }
    let shown: BTreeSet<&str> = all
        .values()
        .filter(|a| a.status == Status::Published && a.embargo_until.is_none())
        .map(|a| a.original_id.as_str())
        .collect();
    assert_eq!(shown, published, "and no draft, page or locked post");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answers_of_wordpress_rest_become_articles() {
    let Some(folder) = data("wordpress") else {
        return skip(
            "the_answers_of_wordpress_rest_become_articles",
            "../shared/data/wordpress is absent",
        );
    };
    let text = std::fs::read(folder.join("rest_responses.json")).unwrap();
    let answers: Value = serde_json::from_slice(&text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    let list = sources(dir.path(), "wordpress", "");
    let mut new = 0;
    // Pages and media are no posts.
    for (name, items) in [
        ("PostsCollection", 1),
        ("PostModel", 1),
        ("PagesCollection", 0),
        ("MediaCollection", 0),
    ] {
        let path = dir.path().join(format!("{name}.json"));
        std::fs::write(&path, answers[name].to_string()).unwrap();
        let path = path.display().to_string();
        let args = [
            "content",
            "--format",
            "wordpress-json",
            &path,
            "--source",
            "cms",
            "--sources",
            &list,
        ];
        let first = import(&origin, &args);
        assert_eq!(first.0 + first.1, items, "{name}");
        assert_eq!(import(&origin, &args), (0, items), "{name} again");
        new += first.0;
    }
    let db = settled(origin, dir.path(), new).await;
    let all = articles(&db).await;
    assert_eq!(all.keys().collect::<Vec<_>>(), ["4"]);
    assert_eq!(all["4"].title, "REST API Client Fixture: Post");
    assert_eq!(all["4"].body, "Updated post content.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_umami_articles_and_recipes_become_articles() {
    let Some(folder) = data("drupal_umami") else {
        return skip(
            "the_umami_articles_and_recipes_become_articles",
            "../shared/data/drupal_umami is absent",
        );
    };
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    let list = sources(dir.path(), "drupal", "");
    let path = folder.join("en").display().to_string();
    let args = [
        "content",
        "--format",
        "umami",
        &path,
        "--source",
        "cms",
        "--sources",
        &list,
    ];
    assert_eq!(import(&origin, &args), (18, 0));
    // Every item is there for readers.
    let feed = Reader::new(&origin).filled(18).await;
    let titles = feed.body.to_string();
    assert!(titles.contains("Give it a go and grow your own herbs"));
    let again = import(&origin, &args);
    assert_eq!(again, (0, 18), "nothing new the second time");
    let db = settled(origin, dir.path(), 18).await;
    let all = articles(&db).await;
    assert_eq!(all.len(), 18);
    assert!(
        all.values()
            .all(|a| !a.title.is_empty() && !a.body.is_empty())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_thousand_news_titles_become_content() {
    let Some(folder) = data("ag_news") else {
        return skip(
            "four_thousand_news_titles_become_content",
            "../shared/data/ag_news is absent",
        );
    };
    let rows: Vec<Value> = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(folder.join("sample.csv"))
        .unwrap()
        .records()
        .enumerate()
        .map(|(i, r)| {
            let r = r.unwrap();
            // Minutes apart, so that none is too old for a front.
            let at = now_ms() / 1000 - 60 * (10 + i as i64);
            json!({"uid": i, "headline": &r[1], "text": &r[2], "at": at})
        })
        .collect();
    let n = rows.len() as u64;
    assert!(n >= 4000);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("news.json");
    std::fs::write(&file, json!({"data": {"items": rows}}).to_string()).unwrap();
    let list = sources(
        dir.path(),
        "custom",
        "[source.mapping]\nformat = \"json\"\nitems = \"/data/items\"\nid = \"/uid\"\n\
         title = \"/headline\"\nbody = \"/text\"\npublished = \"/at\"\nlanguage = { value = \"en\" }\n",
    );
    let origin = Origin::start(dir.path());
    let path = file.display().to_string();
    let args = [
        "content",
        "--format",
        "json",
        &path,
        "--source",
        "cms",
        "--sources",
        &list,
    ];
    assert_eq!(import(&origin, &args), (n, 0));
    assert_eq!(import(&origin, &args), (0, n));
    Reader::new(&origin).filled(100).await;
    let db = settled(origin, dir.path(), n).await;
    let all = articles(&db).await;
    assert_eq!(all.len() as u64, n);
    let raw = records(&db, "content.raw").await;
    assert_eq!(raw.len() as u64, n);
    assert!(all.values().all(|a| !a.title.trim().is_empty()));
}

/// One interaction of DeskDrop, its time moved.
struct Row {
    at_s: i64,
    kind: String,
    content: String,
    reader: String,
}

impl Row {
    fn min(&self) -> i64 {
        self.at_s / 60
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deskdrops_events_are_counted_once_and_its_readers_are_known() {
    let Some(folder) = data("deskdrop") else {
        return skip(
            "deskdrops_events_are_counted_once_and_its_readers_are_known",
            "../shared/data/deskdrop is absent",
        );
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.csv");
    let rows = moved(&folder.join("interactions.csv.gz"), &file);
    assert!(rows.len() >= 57_000);

    // The data names no articles: those last interacted with are the newest, so that the front holds what readers read.
    let mut newest_first: Vec<&str> = Vec::new();
    let mut known = BTreeSet::new();
    for r in rows.iter().rev() {
        if known.insert(r.content.as_str()) {
            newest_first.push(&r.content);
        }
    }
    let items: Vec<Value> = newest_first
        .iter()
        .enumerate()
        .map(|(i, id)| {
            json!({
                "version": 1, "source": "deskdrop", "source_cms": "custom", "original_id": id, "brand": "daily",
                "title": format!("Article {i}"), "body": format!("<p>{}</p>", words(i)),
                "published": now_ms() - 60_000 * (2 + i as i64), "url": format!("https://daily.example/{id}"),
                "ingested_at": mediaflow_shared::time::Timestamp(now_ms()),
            })
        })
        .collect();
    let mapping = dir.path().join("mapping.toml");
    std::fs::write(&mapping, MAPPING).unwrap();
    // Every change is looked for below, not only those that move a place.
    let on_change = "publish = { policy = \"on_change\" }";
    let mut origin = mediaflow_tests::Setup::default()
        .head(on_change)
        .start(dir.path());
    origin.import(&items).await;
    let (path, mapping) = (file.display().to_string(), mapping.display().to_string());
    let args = ["events", &path, "--mapping", &mapping];
    let n = rows.len() as u64;
    assert_eq!(import(&origin, &args), (n, 0));
    assert!(
        origin.resident_bytes() < MEMORY_MAX,
        "{}",
        origin.resident_bytes()
    );
    assert_eq!(import(&origin, &args), (0, n));
    assert!(
        origin.resident_bytes() < MEMORY_MAX,
        "{}",
        origin.resident_bytes()
    );

    // Everything is folded when every reader's profile is as of their last event.
    let mut of: HashMap<&str, Vec<&Row>> = HashMap::new();
    for r in &rows {
        of.entry(&r.reader).or_default().push(r);
    }
    // Readers of late are those whose reads are in the front.
    let mut late: Vec<&str> = of
        .iter()
        .filter(|(_, rows)| rows.len() > 200)
        .map(|(reader, _)| *reader)
        .collect();
    late.sort_by_key(|r| (-of[r].last().unwrap().at_s, r.to_owned()));
    late.truncate(6);
    for reader in &late {
        let as_of = of[reader]
            .iter()
            .filter(|r| r.kind != "FOLLOW")
            .map(|r| r.min())
            .max();
        let profile = until("a reader's profile", Duration::from_secs(60), || async {
            let p = profile(&origin, reader).await?;
            (Some(i64::from(p.as_of.0)) == as_of).then_some(p)
        })
        .await;
        let (reads, depth) = history(&of[reader]);
        let stored: BTreeSet<u32> = profile.reads.as_slice().iter().map(|r| r.short).collect();
        let expected: BTreeSet<u32> = reads.iter().map(|id| id.short()).collect();
        assert_eq!(stored, expected, "the last reads of {reader}");
        let habits = profile.habits.unwrap();
        assert_eq!(habits.session_depth, depth, "the session of {reader}");
        assert!(habits.session_min > 0, "usual length of a session");
    }
    // What everybody gets is what these readers would get, were it not for what they read.
    let everybody = until("a full feed", Duration::from_secs(30), || async {
        let ids: BTreeSet<String> = Reader::new(&origin).all_ids().await.into_iter().collect();
        (ids.len() >= 150).then_some(ids)
    })
    .await;
    let mut held_back = 0;
    for reader in &late {
        let (reads, _) = history(&of[reader]);
        let device = Reader::new(&origin);
        device.consent().await;
        device.link(reader).await;
        let ids: BTreeSet<String> = device.all_ids().await.into_iter().collect();
        assert!(ids.len() >= 150, "{}", ids.len());
        for id in reads.iter().map(ContentId::to_string) {
            held_back += usize::from(everybody.contains(&id));
            assert!(
                !ids.contains(&id),
                "{reader} gets {id} again, which they read"
            );
        }
    }
    println!(
        "{held_back} reads of {} readers are in everybody's feed and in none of theirs",
        late.len()
    );
    assert!(held_back >= 20, "{held_back} reads say too little");

    assert!(origin.stop(Duration::from_secs(20)).is_some());
    let db = Embedded::open(dir.path().join("var/db")).unwrap();
    let events = records(&db, "events").await;
    let ids: BTreeSet<&str> = events
        .iter()
        .filter(|e| e["source"] == "import:deskdrop")
        .map(|e| e["id"].as_str().unwrap())
        .collect();
    let imported = events.iter().filter(|e| e["source"] == "import:deskdrop");
    assert_eq!((ids.len(), imported.count()), (rows.len(), rows.len()));
    assert!(records(&db, "dead-letters").await.is_empty());
    let times: BTreeSet<i64> = rows.iter().map(|r| r.at_s).collect();
    for e in events.iter().filter(|e| e["source"] == "import:deskdrop") {
        let at = mediaflow_shared::time::Timestamp::parse(e["time"].as_str().unwrap()).unwrap();
        assert!(times.contains(&(at.0 / 1000)), "a time was changed: {e}");
    }
}

const MAPPING: &str = r#"
format = "csv"
source = "import:deskdrop"
brand = "daily"
content_source = "deskdrop"
[columns]
time = "timestamp"
type = "eventType"
content = "contentId"
reader = "personId"
session = "sessionId"
user_agent = "userAgent"
country = "userCountry"
[types]
VIEW = "read"
LIKE = "like"
BOOKMARK = "like"
"COMMENT CREATED" = "read"
FOLLOW = "view"
"#;

/// The interactions with their times moved so that the last was an hour ago, written to `to`. An origin believes an
/// import's old times, but a profile of 2016 would rightly be stale and its readers forgotten.
fn moved(from: &Path, to: &Path) -> Vec<Row> {
    let gz = GzDecoder::new(std::fs::File::open(from).unwrap());
    let mut reader = csv::Reader::from_reader(gz);
    let header = reader.headers().unwrap().clone();
    let all: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let time = |r: &csv::StringRecord| r[0].parse::<i64>().unwrap();
    let shift = now_ms() / 1000 - 3600 - all.iter().map(time).max().unwrap();
    let mut out = csv::Writer::from_path(to).unwrap();
    out.write_record(&header).unwrap();
    let rows = all.iter().map(|r| {
        let at_s = time(r) + shift;
        let fields = std::iter::once(at_s.to_string()).chain(r.iter().skip(1).map(str::to_owned));
        out.write_record(fields).unwrap();
        Row {
            at_s,
            kind: r[1].to_owned(),
            content: r[2].to_owned(),
            reader: r[3].to_owned(),
        }
    });
    let rows = rows.collect();
    out.flush().unwrap();
    rows
}

/// A reader's last 16 items and how many there were in the last session, counted anew from the rows.
fn history(rows: &[&Row]) -> (Vec<ContentId>, u8) {
    let (mut reads, mut depth, mut last): (Vec<(ContentId, i64)>, u8, i64) = (Vec::new(), 0, 0);
    for r in rows {
        if r.min() > last + 30 {
            depth = 0;
        }
        last = r.min();
        if r.kind == "FOLLOW" {
            continue;
        }
        let id = ContentId::of("deskdrop", &r.content);
        let known = reads.iter().any(|(k, _)| *k == id);
        let like = r.kind == "LIKE" || r.kind == "BOOKMARK";
        if like || !known {
            depth = depth.saturating_add(1);
        }
        reads.retain(|(k, _)| *k != id);
        reads.insert(0, (id, r.min()));
        reads.truncate(16);
    }
    (reads.into_iter().map(|(id, _)| id).collect(), depth)
}

async fn blob_of(origin: &Origin, key: &str) -> Option<Vec<u8>> {
    let key = key.replace('/', "%2F");
    let r = reqwest::get(format!("{}/{key}?urlencoded=true", origin.kv))
        .await
        .ok()?;
    let r = r.error_for_status().ok()?;
    Some(r.bytes().await.ok()?.to_vec())
}

async fn profile(origin: &Origin, reader: &str) -> Option<Profile> {
    let who = pseudonym(&Secret::new([0x22; 32]), "daily", reader);
    blob::decode(&blob_of(origin, &format!("u/{who}")).await?).ok()
}

//! Real input from public sets, where present: MEDIAFLOW_DATA, else `../shared/data` beside the
//! checkout. Absent data is skipped by name.

mod feedparser;
mod python;

use crate::collector::{Collector, CollectorConfig, TOPIC_EVENTS, exposure_check};
use crate::fakes::{Stores, raw_items, source};
use crate::import;
use crate::import::events::EventMapping;
use mediaflow_http::Secret;
use mediaflow_shared::content::{Kind, RawItem, RawTime, Status};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) fn data(test: &str, file: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MEDIAFLOW_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let path = root.join(file);
    if path.exists() {
        return Some(path);
    }
    println!("SKIPPED: {test}: ../shared/data absent");
    None
}

#[tokio::test]
async fn every_post_of_the_wordpress_export_arrives_once() {
    let test = "every_post_of_the_wordpress_export_arrives_once";
    let Some(path) = data(test, "wordpress/themeunittestdata.wordpress.xml") else {
        return;
    };
    let s = Stores::new();
    let door = s.intake().await;
    let src = source("wordpress");
    let mut last = import::Progress::default();
    let first = import::wxr(&path, &src, &door, |p| last = p).await.unwrap();
    assert_eq!(last.bytes_done, last.bytes_total);
    let again = import::wxr(&path, &src, &door, |_| {}).await.unwrap();
    let items = raw_items(&s).await;
    let count = |status: Status| items.iter().filter(|i| i.status == status).count();
    println!(
        "WXR: {} posts, {} published, {} drafts, {} withheld; again: {} new, {} known",
        first.new,
        count(Status::Published),
        count(Status::Draft),
        count(Status::Unpublished),
        again.new,
        again.duplicates
    );
    // 51 posts by `grep post_type` over the file; one is a draft, one has a password.
    assert_eq!((first.new, again.new, again.duplicates), (51, 0, 51));
    let ids: HashSet<&str> = items.iter().map(|i| i.original_id.as_str()).collect();
    assert_eq!((ids.len(), items.len()), (51, 51));
    let text = std::fs::read_to_string(&path).unwrap();
    for id in published_posts(&text) {
        let item = items.iter().find(|i| i.original_id == id);
        let item = item.unwrap_or_else(|| panic!("post {id} is missing"));
        assert!(
            matches!(item.status, Status::Published | Status::Unpublished),
            "post {id}"
        );
        assert_ne!(item.published, RawTime::Missing, "post {id}");
    }
    let by_title = |t: &str| items.iter().find(|i| i.title.contains(t)).unwrap();
    assert_eq!(
        by_title("Template: Sticky").author.as_deref(),
        Some("Theme Buster")
    );
    assert!(
        items.iter().any(|i| !i.images.is_empty()),
        "attachments become media"
    );
    assert!(items.iter().any(|i| i.categories.len() > 3));
    assert!(items.iter().any(|i| i.tags.len() > 3));
    assert!(
        items.iter().any(|i| i.kind == Kind::Video) && items.iter().any(|i| i.kind == Kind::Audio)
    );
}

/// The ids of published posts, found without an XML parser.
fn published_posts(text: &str) -> Vec<String> {
    let bare = text.replace("<![CDATA[", "").replace("]]>", "");
    let items = bare
        .split("<item>")
        .skip(1)
        .map(|i| i.split("</item>").next().unwrap());
    let posts = items.filter(|i| {
        i.contains("<wp:post_type>post</wp:post_type>")
            && i.contains("<wp:status>publish</wp:status>")
    });
    let id = |i: &str| {
        i.split("<wp:post_id>")
            .nth(1)
            .unwrap()
            .split('<')
            .next()
            .unwrap()
            .to_owned()
    };
    posts.map(id).collect()
}

#[test]
fn rest_responses_of_wordpress_become_posts_only() {
    let test = "rest_responses_of_wordpress_become_posts_only";
    let Some(path) = data(test, "wordpress/rest_responses.json") else {
        return;
    };
    let all: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let src = source("wordpress");
    let now = mediaflow_shared::time::Timestamp(1);
    let of = |name: &str| -> Vec<RawItem> {
        let list = match &all[name] {
            serde_json::Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        };
        list.iter()
            .filter_map(|p| crate::wordpress::post::item(p, &src, now))
            .collect()
    };
    let posts = of("PostsCollection");
    assert_eq!(
        posts.len(),
        all["PostsCollection"].as_array().unwrap().len()
    );
    assert_eq!(posts[0].title, "REST API Client Fixture: Post");
    assert_eq!(posts[0].body, "<p>Updated post content.</p>\n");
    assert_eq!(
        posts[0].modified,
        RawTime::Text("2017-02-14T00:00:00".into())
    );
    assert_eq!(of("PostModel"), posts[..1]);
    for other in ["PagesCollection", "MediaCollection", "MediaModel"] {
        assert!(of(other).is_empty(), "{other}");
    }
}

#[tokio::test]
async fn the_umami_content_arrives_with_bodies_tags_and_images() {
    let test = "the_umami_content_arrives_with_bodies_tags_and_images";
    let Some(dir) = data(test, "drupal_umami/en") else {
        return;
    };
    let s = Stores::new();
    let door = s.intake().await;
    let src = source("drupal");
    assert_eq!(
        import::umami(&dir, &src, &door, |_| {}).await.unwrap().new,
        18
    );
    assert_eq!(
        import::umami(&dir, &src, &door, |_| {}).await.unwrap().new,
        0
    );
    let items = raw_items(&s).await;
    assert_eq!(items.iter().filter(|i| i.kind == Kind::Recipe).count(), 10);
    assert_eq!(items.iter().filter(|i| !i.tags.is_empty()).count(), 16);
    for i in &items {
        assert!(i.body.len() > 200 && i.images.len() == 1, "{i:?}");
        assert!(i.url.starts_with("https://umami.example/") && i.language.as_deref() == Some("en"));
    }
}

const DESKDROP: &str = r#"
    format = "csv"
    source = "import:deskdrop"
    brand = "deskdrop"
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
    FOLLOW = "like"
    "COMMENT CREATED" = "like"
"#;

#[tokio::test]
async fn every_deskdrop_event_arrives_once() {
    let test = "every_deskdrop_event_arrives_once";
    let Some(path) = data(test, "deskdrop/interactions.csv.gz") else {
        return;
    };
    let s = Stores::new();
    let config = CollectorConfig {
        brands: HashMap::new(),
        reader_key: Secret::new([1; 32]).into(),
        edge_token: Secret::new("edge"),
        exposure: exposure_check([1; 16]),
        collect: Arc::default(),
    };
    let c = Collector::open(s.log.clone(), s.clock.clone(), config, &s.metrics)
        .await
        .unwrap();
    let c = Arc::new(c);
    let mapping = EventMapping::parse(DESKDROP).unwrap();
    let started = std::time::Instant::now();
    let first = import::events::import(&path, mapping.clone(), &c, |_| {})
        .await
        .unwrap();
    let took_s = started.elapsed().as_secs_f64();
    let again = import::events::import(&path, mapping, &c, |_| {})
        .await
        .unwrap();
    println!(
        "DeskDrop: {} events in {took_s:.2} s, again {} known",
        first.accepted, again.duplicates
    );
    assert_eq!(
        (first.accepted, first.duplicates, first.rejected),
        (57_849, 0, 0)
    );
    assert_eq!((again.accepted, again.duplicates), (0, 57_849));
    assert_eq!(s.records(TOPIC_EVENTS).await.len(), 57_849);
}

/// A user agent that a pattern of crawler-user-agents matches, where the pattern is plain text.
fn plain(pattern: &str) -> Option<String> {
    let text = pattern
        .replace("\\/", "/")
        .replace("\\.", ".")
        .replace("\\-", "-");
    let text = text.trim_start_matches('^').trim_end_matches('$');
    let odd = |c: char| "\\[](){}|*+?^$".contains(c);
    (!text.contains(odd)).then(|| format!("Mozilla/5.0 (compatible; {text}/1.0)"))
}

#[test]
fn most_crawlers_are_flagged_by_their_name_alone() {
    let test = "most_crawlers_are_flagged_by_their_name_alone";
    let Some(path) = data(test, "crawler-user-agents/patterns.json") else {
        return;
    };
    let patterns: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let agents = crate::collector::Agents::default();
    let crawlers: Vec<String> = patterns
        .iter()
        .filter_map(|p| plain(p["pattern"].as_str()?))
        .collect();
    let missed: Vec<&String> = crawlers.iter().filter(|a| !agents.facts(a).bot).collect();
    println!(
        "crawlers: {} of {} flagged; missed, for example: {:?}",
        crawlers.len() - missed.len(),
        crawlers.len(),
        &missed[..missed.len().min(8)]
    );
    assert!(crawlers.len() > 1_000, "{}", crawlers.len());
    // 958 of 1,466 by name; most real ones carry an address or "bot" beside it, which is judged as well.
    assert!(missed.len() * 100 <= crawlers.len() * 36);
}

#[test]
fn operating_systems_are_told_as_uap_core_says() {
    let test = "operating_systems_are_told_as_uap_core_says";
    let Some(path) = data(test, "uap-core/test_os.yaml") else {
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let value = |line: &str, name: &str| {
        let v = line
            .trim()
            .strip_prefix("- ")
            .unwrap_or(line.trim())
            .strip_prefix(name)?;
        Some(v.trim().trim_matches(['\'', '"']).to_owned())
    };
    let agents = crate::collector::Agents::default();
    let (mut agent, mut right, mut all) = (String::new(), 0, 0);
    for line in text.lines() {
        if let Some(a) = value(line, "user_agent_string:") {
            agent = a;
        } else if let Some(family) = value(line, "family:") {
            // Other is what the library calls nothing.
            let told = agents
                .facts(&agent)
                .os
                .clone()
                .unwrap_or_else(|| "Other".to_owned());
            all += 1;
            right += usize::from(told == family || agent.len() > crate::limits::AGENT_BYTES_MAX);
        }
    }
    println!("operating systems: {right} of {all}");
    assert!(all > 400 && right * 100 >= all * 97, "{right} of {all}");
}

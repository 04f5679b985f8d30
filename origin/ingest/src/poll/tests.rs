//! Polling against local servers that behave as the real ones.

use super::*;
use crate::fakes::{Stores, raw_items};
use crate::source::parse_sources;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use mediaflow_shared::time::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use url::Url;

/// What a CMS holds, and what it was asked.
#[derive(Default)]
struct Cms {
    /// (id, seconds of its last change)
    posts: Mutex<Vec<(u32, i64)>>,
    asked: Mutex<Vec<String>>,
    /// Refuse this many requests.
    down: Mutex<u32>,
}

type Shared = Arc<Cms>;

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn poller(s: &Stores, door: &Arc<Intake>, kind: &str, url: &str, more: &str) -> Poller {
    let text =
        format!("[[source]]\nslug='src'\nbrand='daily'\nkind='{kind}'\nbase_url='{url}'\n{more}");
    let source = parse_sources(&text).unwrap().remove(0);
    Poller::new(
        source,
        door.clone(),
        s.state.clone(),
        Some("Basic abc".to_owned()),
    )
    .unwrap()
}

fn query(uri: &Uri) -> HashMap<String, String> {
    let url = Url::parse(&format!("http://x{}", uri)).unwrap();
    url.query_pairs().into_owned().collect()
}

fn rfc3339(s: i64) -> String {
    Timestamp::from_s(s)
        .to_string()
        .trim_end_matches('Z')
        .to_owned()
}

/// `wp/v2/posts`: `modified_after` excludes its own second, pages beyond the last answer 400.
async fn wordpress(State(cms): State<Shared>, uri: Uri, headers: HeaderMap) -> Response {
    assert_eq!(headers["authorization"], "Basic abc");
    cms.asked.lock().unwrap().push(uri.to_string());
    let mut down = cms.down.lock().unwrap();
    if *down > 0 {
        *down -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response();
    }
    let q = query(&uri);
    let after = q
        .get("modified_after")
        .map_or(i64::MIN, |t| Timestamp::parse(t).unwrap().0 / 1_000);
    let mut posts: Vec<_> = cms
        .posts
        .lock()
        .unwrap()
        .iter()
        .copied()
        .filter(|p| p.1 > after)
        .collect();
    posts.sort_by_key(|p| (p.1, p.0));
    let (page, size): (usize, usize) = (q["page"].parse().unwrap(), q["per_page"].parse().unwrap());
    let list: Vec<Value> = posts
        .iter()
        .skip((page - 1) * size)
        .take(size)
        .map(|(id, s)| json!({"id": id, "status": "publish", "modified_gmt": rfc3339(*s)}))
        .collect();
    if list.is_empty() && page > 1 {
        return StatusCode::BAD_REQUEST.into_response();
    }
    axum::Json(list).into_response()
}

#[tokio::test]
async fn wordpress_is_read_page_by_page_and_then_from_the_cursor() {
    let cms = Shared::default();
    // 150 of the posts share one second: pages must be turned within it.
    let posts = (0..350).map(|i| {
        (
            i,
            if i < 150 {
                1_795_000_000
            } else {
                1_795_000_000 + i64::from(i)
            },
        )
    });
    *cms.posts.lock().unwrap() = posts.collect();
    let url = serve(
        Router::new()
            .route("/wp-json/wp/v2/posts", get(wordpress))
            .with_state(cms.clone()),
    )
    .await;
    let s = Stores::new();
    let door = s.intake().await;
    let p = poller(&s, &door, "wordpress", &url, "");
    assert_eq!(p.poll().await.unwrap().new, 350);
    cms.posts.lock().unwrap().push((999, 1_795_000_900));
    cms.asked.lock().unwrap().clear();
    let p = poller(&s, &door, "wordpress", &url, "");
    assert_eq!(
        p.poll().await.unwrap().new,
        1,
        "the cursor outlives the poller"
    );
    assert_eq!(cms.asked.lock().unwrap().len(), 1);
    assert_eq!(raw_items(&s).await.len(), 351);
}

#[tokio::test]
async fn a_source_that_is_down_is_asked_again_and_counted() {
    let cms = Shared::default();
    *cms.posts.lock().unwrap() = vec![(1, 1_795_000_000)];
    *cms.down.lock().unwrap() = 1;
    let url = serve(
        Router::new()
            .route("/wp-json/wp/v2/posts", get(wordpress))
            .with_state(cms.clone()),
    )
    .await;
    let s = Stores::new();
    let door = s.intake().await;
    let p = poller(&s, &door, "wordpress", &url, "");
    let e = p.poll().await.unwrap_err().to_string();
    assert!(e.contains("src") && e.contains("503"), "{e}");
    *cms.down.lock().unwrap() = 1;
    let (tx, rx) = watch::channel(false);
    let metrics = s.metrics.clone();
    let task = tokio::spawn(async move { run(p, &metrics, rx).await });
    for _ in 0..400 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        if !raw_items(&s).await.is_empty() {
            break;
        }
    }
    tx.send_replace(true);
    task.await.unwrap();
    assert_eq!(raw_items(&s).await.len(), 1);
    let text = s.metrics.render();
    assert!(
        text.contains(r#"ingest_polls_total{outcome="failed",source="src"} 1"#),
        "{text}"
    );
}

/// `jsonapi/node/article`: two nodes a page, `links.next` until the end.
async fn drupal(State(cms): State<Shared>, uri: Uri) -> Response {
    cms.asked.lock().unwrap().push(uri.to_string());
    let q = query(&uri);
    let since: i64 = q
        .get("filter[since][condition][value]")
        .map_or(0, |v| v.parse().unwrap());
    let offset: usize = q.get("page[offset]").map_or(0, |v| v.parse().unwrap());
    let mut posts: Vec<_> = cms
        .posts
        .lock()
        .unwrap()
        .iter()
        .copied()
        .filter(|p| p.1 >= since)
        .collect();
    posts.sort_by_key(|p| p.1);
    let data: Vec<Value> = posts
        .iter()
        .skip(offset)
        .take(2)
        .map(|(id, s)| {
            let changed = format!("{}+00:00", rfc3339(*s));
            json!({"type": "node--article", "id": id.to_string(), "attributes": {"title": "t", "changed": changed}})
        })
        .collect();
    let mut page = json!({ "data": data });
    if offset + 2 < posts.len() {
        let next = format!(
            "/jsonapi/node/article?page[offset]={}&filter[since][condition][value]={since}",
            offset + 2
        );
        page["links"] = json!({"next": {"href": next}});
    }
    axum::Json(page).into_response()
}

#[tokio::test]
async fn drupal_is_followed_to_the_last_page_and_then_from_the_cursor() {
    let cms = Shared::default();
    *cms.posts.lock().unwrap() = (0..5)
        .map(|i| (i, 1_795_000_000 + 100 * i64::from(i)))
        .collect();
    let url = serve(
        Router::new()
            .route("/jsonapi/node/article", get(drupal))
            .with_state(cms.clone()),
    )
    .await;
    let s = Stores::new();
    let door = s.intake().await;
    let p = poller(&s, &door, "drupal", &url, "");
    assert_eq!(p.poll().await.unwrap().new, 5);
    assert_eq!(cms.asked.lock().unwrap().len(), 3);
    cms.posts.lock().unwrap().push((9, 1_795_009_000));
    let taken = p.poll().await.unwrap();
    assert_eq!((taken.new, taken.duplicates), (1, 1));
}

async fn rss(State(cms): State<Shared>, headers: HeaderMap) -> Response {
    let known = headers
        .get("if-none-match")
        .and_then(|v| v.to_str().ok())
        .unwrap_or("")
        .to_owned();
    cms.asked.lock().unwrap().push(known.clone());
    if known == "\"v1\"" {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let text = "<rss version='2.0'><channel><title>F</title><item><guid>g1</guid><title>One</title>\
                <link>https://f.example/1</link><pubDate>Sat, 21 Nov 2026 08:00:00 GMT</pubDate></item></channel></rss>";
    (
        [("etag", "\"v1\""), ("content-type", "application/rss+xml")],
        text,
    )
        .into_response()
}

#[tokio::test]
async fn a_feed_that_did_not_change_is_not_read_again() {
    let cms = Shared::default();
    let url = serve(
        Router::new()
            .route("/feed", get(rss))
            .with_state(cms.clone()),
    )
    .await;
    let s = Stores::new();
    let door = s.intake().await;
    let p = poller(&s, &door, "feed", &format!("{url}/feed"), "");
    assert_eq!(p.poll().await.unwrap().new, 1);
    assert_eq!(p.poll().await.unwrap(), Taken::default());
    assert_eq!(*cms.asked.lock().unwrap(), ["", "\"v1\""]);
    let item = &raw_items(&s).await[0];
    assert_eq!(
        (item.original_id.as_str(), item.url.as_str()),
        ("g1", "https://f.example/1")
    );
}

async fn custom(State(cms): State<Shared>, uri: Uri) -> Response {
    let q = query(&uri);
    cms.asked.lock().unwrap().push(uri.to_string());
    let page = match (
        q.get("since").map(String::as_str),
        q.get("page").map(String::as_str),
    ) {
        (None, None) => {
            json!({"items": [{"id": 1}, {"id": 2}], "next": "/api?page=2", "cursor": "a"})
        }
        (None, Some(_)) => json!({"items": [{"id": 3}], "cursor": "b"}),
        (Some("b"), _) => json!({"items": [{"id": 4}], "cursor": "c"}),
        _ => json!({"items": [], "next": "https://elsewhere.example/api"}),
    };
    axum::Json(page).into_response()
}

#[tokio::test]
async fn a_custom_cms_is_read_by_its_mapping_and_never_elsewhere() {
    let cms = Shared::default();
    let url = serve(
        Router::new()
            .route("/api", get(custom))
            .with_state(cms.clone()),
    )
    .await;
    let s = Stores::new();
    let door = s.intake().await;
    let mapping = "[source.mapping]\nitems='/items'\nid='/id'\nnext='/next'\ncursor={param='since',at='/cursor'}";
    let p = poller(&s, &door, "custom", &format!("{url}/api"), mapping);
    assert_eq!(p.poll().await.unwrap().new, 3);
    assert_eq!(p.poll().await.unwrap().new, 1);
    let e = p.poll().await.unwrap_err().to_string();
    assert!(e.contains("another host"), "{e}");
}

#[tokio::test]
async fn a_page_of_html_is_refused_with_a_hint() {
    let url = serve(Router::new().route(
        "/wp-json/wp/v2/posts",
        get(|| async { "<html>login</html>" }),
    ))
    .await;
    let s = Stores::new();
    let door = s.intake().await;
    let e = poller(&s, &door, "wordpress", &url, "")
        .poll()
        .await
        .unwrap_err()
        .to_string();
    assert!(e.contains("base_url"), "{e}");
}

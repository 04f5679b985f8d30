use super::*;
use crate::collector::{
    Caller, Collect, Collector, CollectorConfig, Report, SenderConfig, Senders, TOPIC_DEAD,
    TOPIC_EVENTS, exposure_check, parse_write_keys, routes,
};
use crate::fakes::{NOW_MS, Stores, raw_items};
use axum::body::Body as HttpBody;
use axum::http::Request;
use mediaflow_http::Secret;
use mediaflow_shared::id::ContentId;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use tower::ServiceExt;

const RECEIVED: &str = "2026-11-21T08:00:00Z";

async fn collector_with(s: &Stores, collect: Collect, brands: &[&str]) -> Arc<Collector> {
    let config = CollectorConfig {
        brands: brands
            .iter()
            .map(|b| ((*b).to_owned(), (*b).to_owned()))
            .collect(),
        reader_key: Secret::new([7; 32]).into(),
        edge_token: Secret::new("edge"),
        exposure: exposure_check([9; 16]),
        collect: Arc::new(collect),
    };
    let c = Collector::open(s.log.clone(), s.clock.clone(), config, &s.metrics).await;
    Arc::new(c.unwrap())
}

async fn collector(s: &Stores) -> Arc<Collector> {
    let intake = Some(s.intake().await);
    collector_with(
        s,
        Collect {
            items: intake,
            ..Collect::default()
        },
        &["daily", "metro"],
    )
    .await
}

/// A server that is believed, for the brand `daily` whose items come from `cms`.
async fn send(c: &Arc<Collector>, envelope: Envelope, body: &str) -> Report {
    let sender = Sender::of_brand("daily", Some("cms"));
    let caller = Caller {
        edge: true,
        ..Caller::default()
    };
    c.collect_from(envelope, body, &sender, &caller)
        .await
        .unwrap()
}

/// What `events` holds, by id, without what is the same for all.
async fn rows(s: &Stores) -> Value {
    let mut rows: Vec<Value> = s
        .records(TOPIC_EVENTS)
        .await
        .iter()
        .map(|r| serde_json::from_slice(&r.record.value).unwrap())
        .collect();
    rows.sort_by_key(|r| r["id"].as_str().unwrap().to_owned());
    for r in &mut rows {
        let o = r.as_object_mut().unwrap();
        assert_eq!(o.remove("specversion"), Some(json!("1.0")));
        assert_eq!(o.remove("receivedtime"), Some(json!(RECEIVED)));
        assert_eq!(
            o["data"].as_object_mut().unwrap().remove("trainable"),
            Some(json!(false))
        );
    }
    Value::Array(rows)
}

fn item(raw: &str) -> String {
    ContentId::of("cms", raw).to_string()
}

fn reader(c: &Collector, raw: &str) -> String {
    c.config().pseudonym("daily", raw).to_string()
}

/// A batch in the shapes of Segment's spec: page, track, identify, a video, a call of no use.
fn segment_batch() -> String {
    json!({
        "sentAt": "2026-11-21T07:59:59.500Z",
        "context": {
            "ip": "203.0.113.9",
            "userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "page": {"url": "https://daily.example/a", "referrer": "https://www.google.com/"}
        },
        "batch": [
            {"type": "page", "messageId": "m1", "anonymousId": "anon-1", "timestamp": "2026-11-21T07:58:00Z",
             "properties": {"article_id": "42"}},
            {"type": "track", "event": "Article Clicked", "messageId": "m2", "userId": "u-1",
             "timestamp": "2026-11-21T07:58:30Z", "properties": {"content_id": "00000000000000ff", "slot": 3}},
            {"type": "identify", "messageId": "m3", "userId": "u-1", "timestamp": "2026-11-21T07:58:40Z",
             "traits": {"email": "u@example.org", "age": 37, "plan": "premium", "createdAt": "2025-01-02T03:04:05Z",
                        "address": {"country": "DE", "city": "Berlin"}, "language": "de-DE"}},
            {"type": "track", "event": "Video Content Playing", "messageId": "m4", "userId": "u-1",
             "timestamp": "2026-11-21T07:58:50Z",
             "properties": {"session_id": "v1", "asset_id": "clip-7", "position": 30, "total_length": 120, "quality": "hd1080"}},
            {"type": "group", "messageId": "m5", "userId": "u-1", "groupId": "g"}
        ]
    })
    .to_string()
}

#[tokio::test]
async fn segment_calls_become_our_events() {
    let s = Stores::new();
    let c = collector(&s).await;
    let report = send(&c, Envelope::Segment, &segment_batch()).await;
    assert_eq!(
        (report.accepted, report.ignored, report.rejected.len()),
        (4, 1, 0)
    );
    let data = |rest: Value| {
        let mut d = json!({"brand": "daily", "device": "mobile", "os": "iOS", "browser": "Mobile Safari", "referrer": "search"});
        d.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        d
    };
    let event = |id: &str, kind: &str, time: &str, rest: Value| {
        json!({"id": id, "source": "segment:daily", "type": format!("org.mediaflow.{kind}.v1"), "time": time,
               "senttime": "2026-11-21T07:59:59.500Z", "data": data(rest)})
    };
    let u = reader(&c, "u-1");
    assert_eq!(
        rows(&s).await,
        json!([
            event(
                "m1",
                "view",
                "2026-11-21T07:58:00Z",
                json!({"content_id": item("42"), "reader": reader(&c, "anon-1")})
            ),
            event(
                "m2",
                "click",
                "2026-11-21T07:58:30Z",
                json!({"content_id": "00000000000000ff", "slot": 3, "reader": u})
            ),
            event(
                "m3",
                "identify",
                "2026-11-21T07:58:40Z",
                json!({"reader": u, "traits": {"age_group": "35-44",
                "country": "DE", "subscription": "premium", "joined": "2025-01-02T03:04:05Z", "language": "de"}})
            ),
            event(
                "m4",
                "video_progress",
                "2026-11-21T07:58:50Z",
                json!({"reader": u, "content_id": item("clip-7"),
                "session": "v1", "position_s": 30.0, "duration_s": 120.0, "quality_level": "hd1080"})
            ),
        ])
    );
    assert_eq!(
        send(&c, Envelope::Segment, &segment_batch())
            .await
            .duplicates,
        4,
        "the batch again"
    );
}

#[tokio::test]
async fn segment_clocks_are_corrected_once_and_playlists_are_one_event_each() {
    let s = Stores::new();
    let c = collector(&s).await;
    // A clock an hour ahead; and a message that Segment corrected already.
    let body = json!([
        {"type": "track", "event": "Article Read", "messageId": "a", "anonymousId": "x", "sentAt": "2026-11-21T09:00:00Z",
         "originalTimestamp": "2026-11-21T08:59:00Z", "properties": {"content_id": "1", "dwell_s": 40}},
        {"type": "track", "event": "Video Playback Started", "messageId": "b", "anonymousId": "x",
         "sentAt": "2026-11-21T09:00:00Z", "originalTimestamp": "2026-11-21T08:59:00Z", "timestamp": "2026-11-21T07:59:00Z",
         "properties": {"content_asset_ids": ["p", "q"], "position": 0, "total_length": 10}}
    ]);
    assert_eq!(
        send(&c, Envelope::Segment, &body.to_string())
            .await
            .accepted,
        3
    );
    let rows = rows(&s).await;
    for (i, id) in ["a", "b", "b/1"].iter().enumerate() {
        assert_eq!(
            (&rows[i]["id"], &rows[i]["time"]),
            (&json!(id), &json!("2026-11-21T07:59:00Z"))
        );
        assert_eq!(rows[i]["rawtime"], "2026-11-21T08:59:00Z");
    }
    assert_eq!(rows[2]["data"]["content_id"], item("q"));
}

#[tokio::test]
async fn metarank_events_become_impressions_interactions_traits_and_items() {
    let s = Stores::new();
    let c = collector(&s).await;
    let body = json!([
        {"event": "item", "id": "i1", "timestamp": "1795247000000", "item": "story-1",
         "fields": [{"name": "title", "value": "Bridge reopens"}, {"name": "tags", "value": ["city", "traffic"]},
                    {"name": "actors", "value": ["Ann Actor", "Bob Star"]},
                    {"name": "body", "value": "The bridge is open again."}]},
        {"event": "user", "id": "u1", "timestamp": 1795247000000_i64, "user": "ann",
         "fields": [{"name": "age", "value": 22}, {"name": "gender", "value": "f"}]},
        {"event": "ranking", "id": "r1", "timestamp": 1795247900000_i64, "user": "ann", "session": "s1",
         "items": [{"id": "story-1", "relevancy": 2.0}, {"id": "story-2"}]},
        {"event": "interaction", "id": "x1", "ranking": "r1", "timestamp": "2026-11-21T07:59:00Z", "user": "ann",
         "session": "s1", "type": "click", "item": "story-2"},
    ]);
    let report = send(&c, Envelope::Metarank, &body.to_string()).await;
    assert_eq!(
        (report.accepted, report.items, report.rejected.len()),
        (4, 1, 0),
        "{report:?}"
    );
    let ann = reader(&c, "ann");
    let event = |id: &str, kind: &str, time: &str, data: Value| json!({"id": id, "source": "metarank:daily", "type": format!("org.mediaflow.{kind}.v1"), "time": time, "data": data});
    let shown = |slot: u16, raw: &str| json!({"brand": "daily", "content_id": item(raw), "slot": slot, "session": "s1", "reader": ann, "feed_id": "r1"});
    assert_eq!(
        rows(&s).await,
        json!([
            event(
                "r1/0",
                "impression",
                "2026-11-21T07:58:20Z",
                shown(0, "story-1")
            ),
            event(
                "r1/1",
                "impression",
                "2026-11-21T07:58:20Z",
                shown(1, "story-2")
            ),
            event(
                "u1",
                "identify",
                "2026-11-21T07:43:20Z",
                json!({"brand": "daily", "reader": ann, "traits": {"age_group": "18-24"}})
            ),
            event(
                "x1",
                "click",
                "2026-11-21T07:59:00Z",
                json!({"brand": "daily", "content_id": item("story-2"), "session": "s1", "reader": ann, "feed_id": "r1"})
            ),
        ])
    );
    let items = raw_items(&s).await;
    assert_eq!(
        (
            items[0].title.as_str(),
            items[0].tags.len(),
            &items[0].cast[..]
        ),
        (
            "Bridge reopens",
            2,
            &["Ann Actor".to_owned(), "Bob Star".to_owned()][..]
        )
    );
    assert_eq!(
        ContentId::of(&items[0].source, &items[0].original_id).to_string(),
        item("story-1")
    );
}

/// An enriched line with the given values.
fn enriched(values: &[(usize, &str)]) -> String {
    let mut line = vec![""; 131];
    for (at, v) in values {
        line[*at] = v;
    }
    line.join("\t")
}

#[tokio::test]
async fn snowplow_lines_become_our_events() {
    let s = Stores::new();
    let c = collector(&s).await;
    let common: Vec<(usize, &str)> = vec![
        (0, "daily-web"),
        (1, "web"),
        (3, "2026-11-21 07:59:00.000"),
        (4, "2026-11-21 10:59:00.000"),
        (12, ""),
        (13, "203.0.113.x"),
        (15, "dom-1"),
        (18, "US"),
        (19, "NY"),
        (20, "Brooklyn"),
        (29, "https://daily.example/s"),
        (44, "social"),
        (
            77,
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        (123, "sess-1"),
        (124, "2026-11-21 07:58:59.500"),
    ];
    let with = |more: &[(usize, &str)]| enriched(&[common.clone(), more.to_vec()].concat());
    let article = json!({"schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0",
        "data": [{"schema": "iglu:example/article/jsonschema/1-0-0", "data": {"article_id": "42"}}]}).to_string();
    let media = json!({"schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0",
        "data": [{"schema": "iglu:com.snowplowanalytics.snowplow/media_player/jsonschema/2-0-0", "data": {"currentTime": 12.5, "duration": 60, "label": "clip"}}]}).to_string();
    let ad = json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
        "data": {"schema": "iglu:com.snowplowanalytics.snowplow/ad_click/jsonschema/1-0-0",
                 "data": {"bannerId": "ban-1", "campaignId": "camp", "zoneId": "top", "cost": 0.25}}}).to_string();
    let body = [
        with(&[(5, "page_view"), (6, "e1"), (52, &article)]),
        with(&[
            (5, "struct"),
            (6, "e2"),
            (54, "read"),
            (56, "42"),
            (57, "33.5"),
        ]),
        with(&[(5, "unstruct"), (6, "e3"), (126, "ad_click"), (58, &ad)]),
        with(&[
            (5, "unstruct"),
            (6, "e4"),
            (126, "play_event"),
            (52, &media),
        ]),
        with(&[(5, "transaction"), (6, "e5"), (61, "19.99"), (108, "EUR")]),
        with(&[(5, "page_ping"), (6, "e6")]),
        "too\tshort".to_owned(),
    ]
    .join("\n");
    let report = send(&c, Envelope::Snowplow, &body).await;
    assert_eq!(
        (report.accepted, report.ignored, report.rejected.len()),
        (5, 1, 1),
        "{report:?}"
    );
    let dom = reader(&c, "dom-1");
    let event = |id: &str, kind: &str, rest: Value| {
        let mut d = json!({"brand": "daily", "reader": dom, "session": "sess-1", "country": "US", "region": "US-NY",
            "device": "desktop", "os": "Linux", "browser": "Firefox", "referrer": "social"});
        d.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        json!({"id": id, "source": "snowplow:daily", "type": format!("org.mediaflow.{kind}.v1"),
               "time": "2026-11-21T07:58:59.500Z", "rawtime": "2026-11-21T10:59:00Z", "data": d})
    };
    assert_eq!(
        rows(&s).await,
        json!([
            event("e1", "view", json!({"content_id": item("42")})),
            event(
                "e2",
                "read",
                json!({"content_id": item("42"), "dwell_s": 33.5})
            ),
            event(
                "e3",
                "ad_click",
                json!({"ad_id": "ban-1", "campaign_id": "camp", "placement": "top", "revenue_micros": 250_000})
            ),
            event(
                "e4",
                "video_progress",
                json!({"content_id": item("clip"), "position_s": 12.5, "duration_s": 60.0})
            ),
            event(
                "e5",
                "conversion",
                json!({"revenue_micros": 19_990_000, "currency": "EUR"})
            ),
        ])
    );
}

#[tokio::test]
async fn ga4_bodies_become_our_events() {
    let s = Stores::new();
    let c = collector(&s).await;
    let body = json!({
        "client_id": "123.456",
        "timestamp_micros": 1_795_247_940_000_000_i64,
        "user_location": {"country_id": "US", "region_id": "US-CA"},
        "device": {"category": "mobile", "operating_system": "Android", "browser": "Chrome"},
        "events": [
            {"name": "page_view", "params": {"session_id": "77", "page_location": "https://daily.example/?utm_medium=email", "content_id": "42"}},
            {"name": "user_engagement", "params": {"session_id": "77", "content_id": "42", "engagement_time_msec": "4200"}},
            {"name": "view_item_list", "params": {"items": [{"item_id": "42", "index": 1}, {"item_id": "43", "index": 2}]}},
            {"name": "purchase", "params": {"transaction_id": "t", "value": 9.5, "currency": "eur"}},
            {"name": "session_start", "params": {}},
            {"name": "levitate", "params": {}}
        ]
    })
    .to_string();
    let report = send(&c, Envelope::Ga4, &body).await;
    assert_eq!((report.accepted, report.ignored), (5, 1), "{report:?}");
    assert!(report.rejected[0].refusal.reason.contains("levitate"));
    let again = send(&c, Envelope::Ga4, &body).await;
    assert_eq!(
        (again.accepted, again.duplicates),
        (0, 5),
        "the same body is the same events"
    );
    let rows = rows(&s).await;
    let mut of: HashMap<String, &Value> = HashMap::new();
    for r in rows.as_array().unwrap() {
        assert_eq!(r["time"], "2026-11-21T07:59:00Z");
        let d = &r["data"];
        assert_eq!(
            (&d["os"], &d["region"], &d["reader"]),
            (
                &json!("Android"),
                &json!("US-CA"),
                &json!(reader(&c, "123.456"))
            )
        );
        of.insert(
            format!(
                "{}{}",
                r["type"].as_str().unwrap().split('.').nth(2).unwrap(),
                d["slot"].as_u64().unwrap_or(0)
            ),
            d,
        );
    }
    assert_eq!(
        (&of["view0"]["referrer"], &of["view0"]["content_id"]),
        (&json!("email"), &json!(item("42")))
    );
    assert_eq!(
        (&of["read0"]["dwell_s"], &of["read0"]["session"]),
        (&json!(4.2), &json!("77"))
    );
    assert_eq!(of["impression2"]["content_id"], item("43"));
    assert_eq!(
        (
            &of["conversion0"]["revenue_micros"],
            &of["conversion0"]["currency"]
        ),
        (&json!(9_500_000), &json!("EUR"))
    );
}

#[tokio::test]
async fn a_reader_who_denied_ga4_consent_stays_unknown_and_times_may_be_missing() {
    let s = Stores::new();
    let c = collector(&s).await;
    let body = json!({"client_id": "9", "consent": {"ad_personalization": "DENIED"}, "events": [{"name": "page_view"}]});
    send(&c, Envelope::Ga4, &body.to_string()).await;
    s.clock.advance(1_000);
    let report = send(&c, Envelope::Ga4, &body.to_string()).await;
    assert_eq!(
        report.accepted, 1,
        "without a time two equal bodies are two views"
    );
    for r in s.records(TOPIC_EVENTS).await {
        let e: Value = serde_json::from_slice(&r.record.value).unwrap();
        assert_eq!(
            (e["data"].get("reader"), &e["time"]),
            (None, &e["receivedtime"])
        );
    }
}

#[tokio::test]
async fn streaming_rows_are_read_from_json_and_csv_alike() {
    let csv = "event_id,user_id,content_id,timestamp,event_type,position_seconds,quality_level,device,network_quality,session_id,created_at\n\
        e1,ann,film-1,1795247940000,play,12,1080p,Smart TV,excellent,s1,2026-11-21 07:59:01\n\
        e2,ann,film-1,1795247950000,buffer,13,720p,Smart TV,poor,s1,2026-11-21 07:59:11\n\
        e3,bob,\"film, the\",1795247960000,like,,,mobile,,s2,2026-11-21 07:59:21\n\
        e4,bob,film-1\n";
    let json_rows = json!([
        {"event_id": "e1", "user_id": "ann", "content_id": "film-1", "timestamp": 1_795_247_940_000_i64, "event_type": "play",
         "position_seconds": 12, "quality_level": "1080p", "device": "Smart TV", "network_quality": "excellent", "session_id": "s1"},
        {"event_id": "e3", "user_id": "bob", "content_id": "film, the", "timestamp": 1_795_247_960_000_i64, "event_type": "like",
         "device": "mobile", "session_id": "s2"},
    ])
    .to_string();
    let (a, b) = (Stores::new(), Stores::new());
    let (ca, cb) = (collector(&a).await, collector(&b).await);
    let report = send(&ca, Envelope::Streaming, csv).await;
    assert_eq!(
        (report.accepted, report.ignored, report.rejected.len()),
        (2, 1, 1),
        "{report:?}"
    );
    assert!(report.rejected[0].refusal.reason.contains("3 columns"));
    assert_eq!(send(&cb, Envelope::Streaming, &json_rows).await.accepted, 2);
    let expected = json!([
        {"id": "e1", "source": "streaming:daily", "type": "org.mediaflow.video_progress.v1", "time": "2026-11-21T07:59:00Z",
         "data": {"brand": "daily", "content_id": item("film-1"), "reader": reader(&ca, "ann"), "session": "s1", "position_s": 12.0,
                  "device": "tv", "quality_level": "1080p", "network_quality": "excellent"}},
        {"id": "e3", "source": "streaming:daily", "type": "org.mediaflow.like.v1", "time": "2026-11-21T07:59:20Z",
         "data": {"brand": "daily", "content_id": item("film, the"), "reader": reader(&ca, "bob"), "session": "s2", "device": "mobile"}},
    ]);
    assert_eq!(rows(&a).await, expected);
    assert_eq!(rows(&b).await, expected);
}

#[tokio::test]
async fn an_ad_row_is_one_event_a_step_and_its_revenue_counts_once() {
    let s = Stores::new();
    let c = collector(&s).await;
    let csv = "event_id,user_id,ad_id,impression,click,conversion,revenue,currency,device,geo,timestamp,brand\n\
        r1,ann,ad-9,1,1,0,0.55,USD,mobile,US-NY,2026-11-21T07:59:00Z,metro\n\
        r2,ann,ad-9,0,0,0,0,USD,mobile,US,2026-11-21T07:59:00Z,metro\n";
    let report = send(&c, Envelope::AdStream, csv).await;
    assert_eq!(
        (report.accepted, report.rejected.len()),
        (2, 1),
        "{report:?}"
    );
    let ann = c.config().pseudonym("metro", "ann").to_string();
    let event = |id: &str, kind: &str, rest: Value| {
        let mut d = json!({"brand": "metro", "reader": ann, "ad_id": "ad-9", "device": "mobile", "country": "US", "region": "US-NY"});
        d.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        json!({"id": id, "source": "adstream:daily", "type": format!("org.mediaflow.{kind}.v1"), "time": "2026-11-21T07:59:00Z", "data": d})
    };
    assert_eq!(
        rows(&s).await,
        json!([
            event(
                "r1/click",
                "ad_click",
                json!({"revenue_micros": 550_000, "currency": "USD"})
            ),
            event("r1/impression", "ad_impression", json!({})),
        ])
    );
}

/// One message of every envelope that is wrong until `levitate` has a meaning or the brand `late` exists.
fn wrong_for_now() -> Vec<(Envelope, String)> {
    let line = |id: &str| {
        enriched(&[
            (3, "2026-11-21 07:59:00.000"),
            (5, "struct"),
            (6, id),
            (12, "ann@example.org"),
            (13, "203.0.113.9"),
            (54, "levitate"),
            (56, "42"),
            (
                77,
                "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
            ),
        ])
    };
    let at = "2026-11-21T07:59:00Z";
    vec![
        (Envelope::Segment, json!({"type": "track", "event": "Levitate!", "userId": "ann@example.org", "timestamp": at,
            "context": {"ip": "203.0.113.9", "userAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"},
            "properties": {"content_id": "42"}}).to_string()),
        (Envelope::Metarank, json!({"event": "interaction", "id": "1", "timestamp": at, "user": "ann@example.org", "type": "levitate", "item": "42"}).to_string()),
        (Envelope::Snowplow, line("s1")),
        // Without a time: the id and the time hang on the time of receipt.
        (Envelope::Ga4, json!({"user_id": "ann@example.org", "ip_override": "203.0.113.9", "events": [{"name": "levitate", "params": {"content_id": "42"}}]}).to_string()),
        (Envelope::Streaming, json!([{"user_id": "ann@example.org", "content_id": "42", "ts": 1_795_247_940_000_i64, "type": "levitate", "ip": "203.0.113.9"}]).to_string()),
        (Envelope::AdStream, "user_id,ad_id,click,brand,timestamp\nann@example.org,ad-9,1,late,2026-11-21T07:59:00Z\n".to_owned()),
    ]
}

/// Senders of every envelope, one that knows `levitate` or not.
fn senders(fixed: bool) -> Senders {
    let configs = Envelope::FOREIGN.iter().map(|e| SenderConfig {
        name: format!("from-{}", e.name()),
        envelope: *e,
        brand: "daily".into(),
        surface: None,
        content_source: Some("cms".into()),
        types: fixed
            .then(|| ("Levitate".to_owned(), "like".to_owned()))
            .into_iter()
            .collect(),
        open: false,
    });
    let keys: Vec<String> = Envelope::FOREIGN
        .iter()
        .map(|e| format!("from-{0}:0123456789ab-{0}", e.name()))
        .collect();
    Senders::new(
        configs.collect(),
        parse_write_keys(&keys.join(",")).unwrap(),
    )
    .unwrap()
}

async fn send_all(c: &Arc<Collector>, trusted: bool) -> (usize, usize) {
    let (mut accepted, mut rejected) = (0, 0);
    for (envelope, body) in wrong_for_now() {
        let key = format!("0123456789ab-{}", envelope.name());
        let shown = crate::collector::senders::Presented {
            key: Some(&key),
            ..Default::default()
        };
        let (sender, _) = c.config().collect.senders.of(envelope, shown).unwrap();
        let caller = Caller {
            edge: trusted,
            ..Caller::default()
        };
        let r = c
            .collect_from(envelope, &body, &sender, &caller)
            .await
            .unwrap();
        accepted += r.accepted;
        rejected += r.rejected.len();
    }
    (accepted, rejected)
}

#[tokio::test]
async fn a_replayed_dead_letter_gives_the_record_it_would_have_been_at_once() {
    for trusted in [true, false] {
        let (late, right) = (Stores::new(), Stores::new());
        let collect = |fixed| Collect {
            senders: senders(fixed),
            ..Collect::default()
        };
        let broken = collector_with(&late, collect(false), &["daily"]).await;
        assert_eq!(send_all(&broken, trusted).await, (0, 6));
        let letters = late.records(TOPIC_DEAD).await;
        assert_eq!(letters.len(), 6);
        for l in &letters {
            let text = String::from_utf8_lossy(&l.record.value);
            for personal in ["ann@example.org", "203.0.113.9", "Mozilla"] {
                assert!(!text.contains(personal), "{text}");
            }
            for name in [
                "envelope", "schema", "reason", "remedy", "received", "sender",
            ] {
                assert!(l.record.header(name).is_some(), "{name}");
            }
        }
        // Hours later, fixed by configuration.
        late.clock.advance(5 * 3_600_000);
        let fixed = collector_with(&late, collect(true), &["daily", "late"]).await;
        for l in &letters {
            let r = fixed.replay(&l.record).await.unwrap();
            assert_eq!((r.accepted, r.rejected.len()), (1, 0), "{r:?}");
            assert_eq!(
                fixed.replay(&l.record).await.unwrap().duplicates,
                1,
                "only once"
            );
        }
        let at_once = collector_with(&right, collect(true), &["daily", "late"]).await;
        assert_eq!(send_all(&at_once, trusted).await, (6, 0));
        let sorted = |records: Vec<mediaflow_ports::StoredRecord>| {
            let mut r: Vec<_> = records.into_iter().map(|r| r.record).collect();
            r.sort_by(|a, b| a.value.cmp(&b.value));
            r
        };
        assert_eq!(
            sorted(late.records(TOPIC_EVENTS).await),
            sorted(right.records(TOPIC_EVENTS).await)
        );
        assert_eq!(late.records(TOPIC_DEAD).await.len(), 6, "no second letter");
    }
}

#[tokio::test]
async fn our_own_events_are_replayed_the_same_way() {
    let body = r#"{"specversion":"1.0","id":"1","source":"web","type":"org.mediaflow.view.v1","time":"2020-01-01T00:00:00Z","readerid":"ann","data":{"brand":"late"}}"#;
    let agent = Caller {
        facts: Some(Arc::new(crate::collector::Facts {
            os: Some("Linux".into()),
            ..Default::default()
        })),
        ..Caller::default()
    };
    let (late, right) = (Stores::new(), Stores::new());
    let broken = collector_with(&late, Collect::default(), &["daily"]).await;
    assert_eq!(
        broken
            .collect(body, agent.clone())
            .await
            .unwrap()
            .rejected
            .len(),
        1
    );
    late.clock.advance(3_600_000);
    let fixed = collector_with(&late, Collect::default(), &["daily", "late"]).await;
    fixed
        .replay(&late.records(TOPIC_DEAD).await[0].record)
        .await
        .unwrap();
    let at_once = collector_with(&right, Collect::default(), &["daily", "late"]).await;
    at_once.collect(body, agent).await.unwrap();
    let record = |r: Vec<mediaflow_ports::StoredRecord>| r[0].record.clone();
    assert_eq!(
        record(late.records(TOPIC_EVENTS).await),
        record(right.records(TOPIC_EVENTS).await)
    );
}

#[tokio::test]
async fn a_forged_pseudonym_is_an_id_like_any_other() {
    let s = Stores::new();
    let c = collector(&s).await;
    let forged = format!("{PSEUDONYM}{}", reader(&c, "ann"));
    let body = json!({"type": "page", "messageId": "1", "userId": forged, "timestamp": RECEIVED});
    send(&c, Envelope::Segment, &body.to_string()).await;
    let row = &rows(&s).await[0];
    assert_eq!(row["data"]["reader"], reader(&c, &forged));
    assert_ne!(row["data"]["reader"], reader(&c, "ann"));
}

async fn post(
    c: &Arc<Collector>,
    uri: &str,
    headers: &[(&str, &str)],
    body: String,
) -> (u16, Value) {
    let mut req = Request::post(uri);
    for (k, v) in headers {
        req = req.header(*k, *v);
    }
    let answer = routes(c.clone())
        .oneshot(req.body(HttpBody::from(body)).unwrap())
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX)
        .await
        .unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn requests_find_their_sender_and_others_are_refused() {
    let s = Stores::new();
    let collect = Collect {
        senders: senders(true),
        ..Collect::default()
    };
    let c = collector_with(&s, collect, &["daily"]).await;
    let page = || json!({"messageId": "1", "anonymousId": "x"}).to_string();
    // base64 of "0123456789ab-segment:"
    let basic = [("authorization", "Basic MDEyMzQ1Njc4OWFiLXNlZ21lbnQ6")];
    assert_eq!(post(&c, "/v1/page", &basic, page()).await.0, 202);
    assert_eq!(
        post(&c, "/v1/batch", &basic, segment_batch()).await.1["accepted"],
        4
    );
    let ga4 = json!({"client_id": "1", "events": [{"name": "page_view"}]}).to_string();
    assert_eq!(
        post(
            &c,
            "/mp/collect?api_secret=0123456789ab-ga4&measurement_id=G-1",
            &[],
            ga4.clone()
        )
        .await
        .0,
        202
    );
    assert_eq!(
        post(&c, "/v1/events/ga4?brand=daily", &[], ga4.clone())
            .await
            .0,
        202,
        "as browsers may"
    );
    for (uri, status) in [
        ("/v1/events/ga4", 400),
        ("/v1/events/ga4?brand=No%20Slug", 400),
        ("/v1/events/ga4?sender=from-ga4", 401),
        ("/mp/collect?api_secret=0123456789ab-guess", 401),
        ("/mp/collect?api_secret=0123456789ab-segment", 403),
        ("/v1/events/amplitude?brand=daily", 404),
    ] {
        let (got, problem) = post(&c, uri, &[], ga4.clone()).await;
        assert_eq!(got, status, "{uri}: {problem}");
        assert!(
            problem["remedy"].as_str().is_some_and(|r| !r.is_empty()),
            "{problem}"
        );
    }
    let unknown_brand = post(&c, "/v1/events/ga4?brand=nobody", &[], ga4).await;
    assert_eq!(unknown_brand.0, 400, "{unknown_brand:?}");
    let robot = [(
        "user-agent",
        "Googlebot/2.1 (+http://www.google.com/bot.html)",
    )];
    post(
        &c,
        "/v1/page?brand=daily",
        &robot,
        json!({"messageId": "bot", "anonymousId": "x"}).to_string(),
    )
    .await;
    let rows = rows(&s).await;
    let bot = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["id"] == "bot")
        .unwrap();
    assert_eq!(bot["data"]["bot"], true);
}

#[tokio::test]
async fn a_full_house_asks_to_come_again() {
    let s = Stores::new();
    let big = Collect {
        inflight_bytes_max: 100,
        ..Collect::default()
    };
    let c2 = collector_with(&s, big, &["daily"]).await;
    let others = c2.inflight.clone().try_acquire_many_owned(60).unwrap();
    let body = || json!({"client_id": "1", "events": [{"name": "page_view"}]}).to_string();
    let length = body().len().to_string();
    let (status, problem) = post(
        &c2,
        "/v1/events/ga4?brand=daily",
        &[("content-length", &length)],
        body(),
    )
    .await;
    assert_eq!(
        (status, &problem["type"]),
        (503, &json!("tag:mediaflow.org,2026:problem/unavailable"))
    );
    drop(others);
    assert_eq!(
        post(
            &c2,
            "/v1/events/ga4?brand=daily",
            &[("content-length", &length)],
            body()
        )
        .await
        .0,
        202
    );
}

#[test]
fn arbitrary_json_is_mapped_or_refused() {
    let sender = Sender::of_brand("daily", None);
    let odd = [
        "{}",
        "[]",
        "[1]",
        "{\"events\":[]}",
        "{\"events\":[1]}",
        "{\"batch\":[]}",
        "{\"batch\":[null,{}]}",
        "null",
        "\"x\"",
        "a,b\n1,2",
        "\t\t",
        "{\"type\":\"track\",\"event\":[]}",
        "{\"event\":\"ranking\",\"id\":1,\"timestamp\":1,\"items\":[{}]}",
        "{\"events\":[{\"name\":\"view_item_list\",\"params\":{\"items\":{}}}]}",
        "{\"ad_id\":{},\"click\":1}",
    ];
    for envelope in Envelope::FOREIGN {
        for body in odd {
            for m in envelope.split(body).unwrap_or_default() {
                let c = Context {
                    envelope,
                    sender: &sender,
                    received: Timestamp(NOW_MS),
                    replayed: false,
                    digest: &m.digest,
                };
                let _ = envelope.map(&m, &c);
                let _ = envelope.hints(&m);
                let text = envelope.redacted(&m, "daily", &|_, _| "p".into());
                let _ = envelope.message(&text);
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_mapped_or_refused(text in "\\PC{0,120}") {
        for envelope in Envelope::FOREIGN {
            let _ = envelope.split(&text);
        }
    }
}

#[tokio::test]
async fn every_path_of_the_openapi_document_is_served() {
    let document: Value = serde_json::from_str(include_str!("../../../openapi.json")).unwrap();
    let s = Stores::new();
    let c = collector(&s).await;
    let paths = document["paths"].as_object().unwrap();
    for envelope in Envelope::FOREIGN {
        let path = format!("/v1/events/{}", envelope.name());
        assert!(paths.contains_key(&path), "{path} is not described");
    }
    for path in paths.keys() {
        let (status, _) = post(&c, path, &[], "{}".to_owned()).await;
        assert_eq!(status, 400, "{path}: neither sender nor brand, or no event");
    }
}

use super::*;
use crate::fakes::{NOW_MS, Stores};
use crate::limits::DEDUPE_WINDOW_MS;
use axum::body::Body;
use axum::http::Request;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Minute;
use serde_json::Value;
use tower::ServiceExt;

const KEY: [u8; 16] = [9; 16];
const ITEM: ContentId = ContentId(0xff);

async fn collector(s: &Stores) -> Arc<Collector> {
    let config = CollectorConfig {
        brands: [("daily", "group"), ("metro", "group")]
            .map(|(b, g)| (b.to_owned(), g.to_owned()))
            .into(),
        reader_key: Secret::new([7; 32]).into(),
        edge_token: Secret::new("edge"),
        exposure: exposure_check(KEY),
        collect: Arc::default(),
    };
    Arc::new(
        Collector::open(s.log.clone(), s.clock.clone(), config, &s.metrics)
            .await
            .unwrap(),
    )
}

fn event(id: &str, kind: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"https://daily.example","type":"org.mediaflow.{kind}.v1","time":"2026-11-21T07:59:00Z",{data}}}"#
    )
}

fn read(id: &str) -> String {
    event(
        id,
        "read",
        r#""data":{"brand":"daily","content_id":"00000000000000ff","dwell_s":30}"#,
    )
}

async fn post(c: &Arc<Collector>, body: impl Into<Body>, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut req = Request::post("/v1/events");
    for (k, v) in headers {
        req = req.header(*k, *v);
    }
    let response = routes(c.clone())
        .oneshot(req.body(body.into()).unwrap())
        .await
        .unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn stored(s: &Stores) -> Vec<Event> {
    let records = s.records(TOPIC_EVENTS).await;
    records
        .iter()
        .map(|r| serde_json::from_slice(&r.record.value).unwrap())
        .collect()
}

#[tokio::test]
async fn one_event_a_batch_and_a_beacon_are_taken() {
    let s = Stores::new();
    let c = collector(&s).await;
    let json = [("content-type", "application/cloudevents+json")];
    assert_eq!(post(&c, read("1"), &json).await.0, 202);
    let batch = format!("[{},{}]", read("2"), read("3"));
    let typed = [(
        "content-type",
        "application/cloudevents-batch+json; charset=utf-8",
    )];
    assert_eq!(post(&c, batch, &typed).await.1["accepted"], 2);
    assert_eq!(
        post(
            &c,
            read("4"),
            &[("content-type", "text/plain;charset=UTF-8")]
        )
        .await
        .0,
        202
    );
    assert_eq!(stored(&s).await.len(), 4);
    let e = &stored(&s).await[0];
    assert_eq!(e.receivedtime, Some(Timestamp(NOW_MS)));
}

#[tokio::test]
async fn one_bad_event_does_not_take_its_batch_with_it() {
    let s = Stores::new();
    let c = collector(&s).await;
    let unknown = event("9", "teleport", r#""data":{"brand":"daily"}"#);
    let no_item = event("8", "click", r#""data":{"brand":"daily"}"#);
    let no_brand = event("7", "view", r#""data":{}"#);
    let body = format!(
        "[{},{unknown},{},{no_item},7,{no_brand}]",
        read("1"),
        read("2")
    );
    let (status, report) = post(&c, body, &[]).await;
    assert_eq!((status, &report["accepted"]), (202, &Value::from(2)));
    let rejected = report["rejected"].as_array().unwrap();
    let indices: Vec<_> = rejected
        .iter()
        .map(|r| r["index"].as_u64().unwrap())
        .collect();
    assert_eq!(indices, [1, 3, 4, 5]);
    assert!(rejected[0]["reason"].as_str().unwrap().contains("teleport"));
    assert!(
        rejected[1]["reason"]
            .as_str()
            .unwrap()
            .contains("content_id")
    );
    let dead = s.records(TOPIC_DEAD).await;
    assert_eq!(dead.len(), 4);
    assert!(
        dead.iter()
            .any(|d| d.record.value == unknown && d.record.header("reason").is_some())
    );
}

#[tokio::test]
async fn a_body_of_only_bad_events_is_a_problem() {
    let s = Stores::new();
    let c = collector(&s).await;
    for body in ["[]", "nonsense", "7", r#"{"id":"1"}"#, r#"[{"id":"1"}]"#] {
        let (status, p) = post(&c, body, &[]).await;
        assert_eq!(status, 400, "{body}");
        assert!(p["reason"].as_str().is_some_and(|r| !r.is_empty()), "{p}");
        assert!(p["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{p}");
    }
    let many = format!("[{}]", vec![read("x"); 1_001].join(","));
    assert_eq!(post(&c, many, &[]).await.0, 400);
    assert_eq!(
        post(
            &c,
            "a=b",
            &[("content-type", "application/x-www-form-urlencoded")]
        )
        .await
        .0,
        415
    );
    assert_eq!(post(&c, vec![b'"', 0xff, b'"'], &[]).await.0, 400);
    assert_eq!(post(&c, " ".repeat(2 << 20), &[]).await.0, 413);
    let deep = event(
        "1",
        "view",
        &format!(
            r#""x":{}1{},"data":{{"brand":"daily"}}"#,
            "[".repeat(500),
            "]".repeat(500)
        ),
    );
    assert_eq!(post(&c, deep, &[]).await.0, 400);
    assert!(stored(&s).await.is_empty());
}

#[tokio::test]
async fn the_same_source_and_id_is_stored_once_also_after_a_restart() {
    let s = Stores::new();
    let c = collector(&s).await;
    let body = format!("[{},{}]", read("1"), read("1"));
    let (_, r) = post(&c, body, &[]).await;
    assert_eq!(
        (&r["accepted"], &r["duplicates"]),
        (&Value::from(1), &Value::from(1))
    );
    let (status, r) = post(&c, read("1"), &[]).await;
    assert_eq!((status, &r["duplicates"]), (202, &Value::from(1)));
    let restarted = collector(&s).await;
    assert_eq!(post(&restarted, read("1"), &[]).await.1["duplicates"], 1);
    assert_eq!(stored(&s).await.len(), 1);
    // Nor does a clock that stepped a day ahead or back make it new.
    for hours in [24, -48] {
        s.clock.advance(hours * DEDUPE_WINDOW_MS);
        let stepped = collector(&s).await;
        assert_eq!(post(&stepped, read("1"), &[]).await.1["duplicates"], 1);
    }
    assert_eq!(stored(&s).await.len(), 1);
}

#[tokio::test]
async fn a_failed_append_is_not_acknowledged_and_can_be_repeated() {
    let s = Stores::new();
    let c = collector(&s).await;
    s.log.fail_next_append();
    let (first, second) = tokio::join!(post(&c, read("1"), &[]), post(&c, read("1"), &[]));
    assert_eq!(
        (first.0, second.0),
        (503, 503),
        "the second must not be acknowledged on a promise"
    );
    assert_eq!(
        first.1["type"],
        "tag:mediaflow.org,2026:problem/unavailable"
    );
    assert_eq!(post(&c, read("1"), &[]).await.1["accepted"], 1);
    assert_eq!(stored(&s).await.len(), 1);
}

#[tokio::test]
async fn raw_reader_ids_never_reach_the_log() {
    let s = Stores::new();
    let c = collector(&s).await;
    let by = |id: &str, brand: &str| {
        let data = format!(r#""readerid":"alice","data":{{"brand":"{brand}"}}"#);
        event(id, "view", &data)
    };
    let bad = event(
        "3",
        "click",
        r#""readerid":"alice","data":{"brand":"daily"}"#,
    );
    let body = format!("[{},{},{bad}]", by("1", "daily"), by("2", "metro"));
    assert_eq!(post(&c, body, &[]).await.0, 202);
    for topic in [TOPIC_EVENTS, TOPIC_DEAD] {
        for r in s.records(topic).await {
            assert!(
                !String::from_utf8_lossy(&r.record.value).contains("alice"),
                "{topic}"
            );
        }
    }
    let events = stored(&s).await;
    assert!(events[0].data.reader.is_some());
    assert_eq!(
        events[0].data.reader, events[1].data.reader,
        "one person within a brand group"
    );
    assert_ne!(
        pseudonym(&Secret::new([7; 32]), "other", "alice"),
        events[0].data.reader.unwrap()
    );
    let dead: Value = serde_json::from_slice(&s.records(TOPIC_DEAD).await[0].record.value).unwrap();
    assert_eq!(
        dead["data"]["reader"],
        events[0].data.reader.unwrap().to_string()
    );
}

#[tokio::test]
async fn a_pseudonym_is_believed_from_an_edge_only() {
    let s = Stores::new();
    let c = collector(&s).await;
    let p = "000102030405060708090a0b0c0d0e0f";
    let by = |id: &str| {
        event(
            id,
            "view",
            &format!(r#""data":{{"brand":"daily","reader":"{p}"}}"#),
        )
    };
    post(&c, by("1"), &[]).await;
    post(&c, by("2"), &[("authorization", "Bearer wrong")]).await;
    post(&c, by("3"), &[("authorization", "Bearer edge")]).await;
    let mut events = stored(&s).await;
    events.sort_by(|a, b| a.id.cmp(&b.id));
    let readers: Vec<_> = events
        .iter()
        .map(|e| e.data.reader.map(|r| r.to_string()))
        .collect();
    assert_eq!(readers, [None, None, Some(p.to_owned())]);
}

#[tokio::test]
async fn only_a_valid_exposure_of_the_same_item_by_no_bot_is_trainable() {
    let s = Stores::new();
    let c = collector(&s).await;
    let now = Timestamp(NOW_MS).minute();
    let sealed = |content, key: &[u8; 16], expires: Minute| {
        Exposure {
            content,
            slot: 1,
            propensity: 1,
            expires,
            feed: 1,
        }
        .seal(key)
    };
    let good = sealed(ITEM, &KEY, Minute(now.0 + 10));
    let cases = [
        (
            "1",
            good.clone(),
            "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
            true,
            None,
        ),
        (
            "2",
            sealed(ContentId(1), &KEY, Minute(now.0 + 10)),
            "Mozilla/5.0",
            false,
            None,
        ),
        (
            "3",
            sealed(ITEM, &[1; 16], Minute(now.0 + 10)),
            "Mozilla/5.0",
            false,
            None,
        ),
        (
            "4",
            sealed(ITEM, &KEY, Minute(now.0 - 1)),
            "Mozilla/5.0",
            false,
            None,
        ),
        (
            "5",
            good,
            "Mozilla/5.0 (compatible; Googlebot/2.1)",
            false,
            Some(true),
        ),
        ("6", "rubbish".to_owned(), "Mozilla/5.0", false, None),
    ];
    for (id, exposure, agent, trainable, bot) in cases {
        let data = format!(
            r#""data":{{"brand":"daily","content_id":"{ITEM}","exposure":"{exposure}","trainable":true,"bot":true}}"#
        );
        assert_eq!(
            post(&c, event(id, "click", &data), &[("user-agent", agent)])
                .await
                .0,
            202
        );
        let e = stored(&s).await.into_iter().find(|e| e.id == id).unwrap();
        assert_eq!(
            (e.data.trainable, e.data.bot),
            (Some(trainable), bot),
            "case {id}"
        );
    }
}

#[tokio::test]
async fn wrong_clocks_and_outliers_are_corrected_or_refused() {
    let s = Stores::new();
    let c = collector(&s).await;
    let at = |id: &str, time: &str, rest: &str| {
        read(id)
            .replace("2026-11-21T07:59:00Z", time)
            .replace(r#""dwell_s":30"#, rest)
    };
    post(
        &c,
        at("1", "2031-01-01T00:00:00Z", r#""dwell_s":99999999"#),
        &[],
    )
    .await;
    post(
        &c,
        at(
            "2",
            "1970-01-01T00:00:00Z",
            r#""country":"de","device":"toaster""#,
        ),
        &[],
    )
    .await;
    let edge = [("authorization", "Bearer edge")];
    post(
        &c,
        at(
            "3",
            "2016-03-01T00:00:00Z",
            r#""position_s":9,"duration_s":5"#,
        ),
        &edge,
    )
    .await;
    let mut events = stored(&s).await;
    events.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(events[0].time, Some(Timestamp(NOW_MS)));
    assert_eq!(
        events[0].rawtime,
        Timestamp::parse("2031-01-01T00:00:00Z").ok()
    );
    assert_eq!(events[0].data.dwell_s, Some(99_999_999.0), "kept as sent");
    assert_eq!(events[0].data.outliers, Some(vec!["dwell_s".to_owned()]));
    assert_eq!(events[1].time, Some(Timestamp(NOW_MS)));
    assert_eq!(events[1].data.country.as_deref(), Some("DE"));
    assert_eq!(events[1].data.device.as_deref(), Some("other"));
    assert_eq!(
        events[2].time,
        Timestamp::parse("2016-03-01T00:00:00Z").ok(),
        "spools may be old"
    );
    assert_eq!(events[2].data.position_s, Some(9.0));
    assert_eq!(events[2].data.outliers, Some(vec!["position_s".to_owned()]));
    for bad in [
        r#""dwell_s":-1"#,
        r#""slot":1000"#,
        r#""surface":"No Slug""#,
    ] {
        assert_eq!(
            post(&c, at("9", "2026-11-21T07:59:00Z", bad), &[]).await.0,
            400,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn gzip_bodies_are_read_and_bombs_refused() {
    use std::io::Write;
    let gz = |bytes: &[u8]| {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        e.write_all(bytes).unwrap();
        e.finish().unwrap()
    };
    let s = Stores::new();
    let c = collector(&s).await;
    let gzip = [("content-encoding", "gzip")];
    assert_eq!(post(&c, gz(read("1").as_bytes()), &gzip).await.0, 202);
    assert_eq!(post(&c, gz(&vec![b' '; 64 << 20]), &gzip).await.0, 413);
}

#[tokio::test]
async fn served_records_need_the_edge_token_and_must_decode() {
    let s = Stores::new();
    let c = collector(&s).await;
    let send = |body: Vec<u8>, token: &'static str| {
        let r = Request::post("/v1/served")
            .header("authorization", token)
            .body(Body::from(body));
        let app = routes(c.clone());
        async move { app.oneshot(r.unwrap()).await.unwrap().status().as_u16() }
    };
    assert_eq!(send(vec![0x80], "Bearer nope").await, 401);
    assert_eq!(send(vec![0x80], "Bearer edge").await, 400);
    assert_eq!(send(b"rubbish".to_vec(), "Bearer edge").await, 400);
    assert!(s.records(TOPIC_SERVED).await.is_empty());
}

proptest::proptest! {
    #[test]
    fn any_text_is_an_event_or_a_refusal(text in "\\PC{0,200}") {
        let config = CollectorConfig {
            brands: HashMap::new(),
            reader_key: Secret::new([7; 32]).into(),
            edge_token: Secret::new(""),
            exposure: exposure_check(KEY),
            collect: Arc::default(),
        };
        let _ = check::read(&text, &config, &Caller::default(), Timestamp(NOW_MS));
        let _ = split(&text);
    }
}

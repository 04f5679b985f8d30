//! The simulated content systems answer like the real ones: paging, filters, errors, withdrawal.

#![expect(clippy::unwrap_used, reason = "a failed request is a failed test")]

use mediaflow_shared::time::Timestamp;
use mediaflow_simulator::brands::{BRANDS, Wire};
use mediaflow_simulator::world::{Change, DAY_MS};
use mediaflow_simulator::{Clock, Running, World, serve};
use serde_json::Value;
use std::collections::BTreeSet;

const DAY: u32 = 20_778;

/// A server over two whole days, seen at the end of the second.
async fn site() -> (Running, World) {
    let world = World::days(5, DAY, 2);
    let end = Timestamp(i64::from(DAY + 2) * DAY_MS - 1);
    let (clock, _) = Clock::by_hand(end);
    let running = serve(world.clone(), ([127, 0, 0, 1], 0).into(), clock, None)
        .await
        .unwrap();
    (running, world)
}

async fn json(url: &str) -> (u16, Value) {
    let r = reqwest::get(url).await.unwrap();
    (r.status().as_u16(), r.json().await.unwrap())
}

fn ids(v: &Value) -> Vec<u64> {
    v.as_array()
        .unwrap()
        .iter()
        .map(|p| p["id"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn wordpress_pages_through_every_live_post_once() {
    let (s, world) = site().await;
    let base = format!("{}/wp-harbor/wp-json/wp/v2/posts", s.url());
    let brand = BRANDS.iter().position(|b| b.source == "wp-harbor").unwrap();
    let now = Timestamp(i64::from(DAY + 2) * DAY_MS - 1);
    let expected: BTreeSet<u64> = world
        .items
        .iter()
        .filter(|i| i.brand == brand && i.state(now).is_some_and(|s| s.live))
        .map(|i| i.number)
        .collect();
    let (mut got, mut page) = (Vec::new(), 1);
    loop {
        let url = format!("{base}?per_page=100&page={page}&orderby=modified&order=asc&_embed=1");
        let r = reqwest::get(&url).await.unwrap();
        let header = |n: &str| r.headers()[n].to_str().unwrap().parse::<usize>().unwrap();
        let (total, pages) = (header("x-wp-total"), header("x-wp-totalpages"));
        assert_eq!(
            (total, pages),
            (expected.len(), expected.len().div_ceil(100))
        );
        let posts: Value = r.json().await.unwrap();
        got.extend(ids(&posts));
        let modified: Vec<_> = posts
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["modified_gmt"].as_str().unwrap().to_owned())
            .collect();
        assert!(modified.is_sorted());
        if page == pages {
            break;
        }
        page += 1;
    }
    assert_eq!(got.len(), expected.len(), "no post twice");
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), expected);
    let (status, body) = json(&format!("{base}?per_page=100&page={}", page + 1)).await;
    assert_eq!(
        (status, body["code"].as_str()),
        (400, Some("rest_post_invalid_page_number"))
    );
}

#[tokio::test]
async fn wordpress_filters_by_change_and_refuses_what_core_refuses() {
    let (s, _) = site().await;
    for source in ["wp-harbor", "wp-elbkurier"] {
        let base = format!("{}/{source}/wp-json/wp/v2/posts", s.url());
        let (_, all) = json(&format!("{base}?per_page=100&orderby=modified&order=desc")).await;
        let pivot = all[40]["modified_gmt"].as_str().unwrap();
        let local = all[40]["modified"].as_str().unwrap();
        let newer = all
            .as_array()
            .unwrap()
            .iter()
            .filter(|p| p["modified_gmt"].as_str() > Some(pivot))
            .count();
        for after in [format!("{pivot}Z"), local.to_owned()] {
            let (_, some) = json(&format!("{base}?per_page=100&modified_after={after}")).await;
            assert_eq!(some.as_array().unwrap().len(), newer, "{source} {after}");
        }
        assert_eq!(
            source == "wp-elbkurier",
            pivot != local,
            "the German site keeps its own time"
        );
    }
    let base = format!("{}/wp-harbor/wp-json/wp/v2/posts", s.url());
    for (query, param) in [
        ("per_page=101", "per_page"),
        ("modified_after=soon", "modified_after"),
        ("status=draft", "status"),
    ] {
        let (status, body) = json(&format!("{base}?{query}")).await;
        assert_eq!(
            (status, body["code"].as_str()),
            (400, Some("rest_invalid_param")),
            "{query}"
        );
        assert!(body["data"]["params"][param].is_string(), "{body}");
    }
    assert_eq!(
        json(&format!("{base}/1")).await.1["code"],
        "rest_post_invalid_id"
    );
}

#[tokio::test]
async fn a_wordpress_post_has_the_shape_of_the_rest_api() {
    let (s, _) = site().await;
    let base = format!("{}/wp-streamside/wp-json/wp/v2/posts", s.url());
    let (_, posts) = json(&format!("{base}?per_page=20&_embed=1")).await;
    let p = &posts[0];
    for field in [
        "id",
        "date",
        "date_gmt",
        "guid",
        "modified",
        "slug",
        "status",
        "type",
        "link",
        "title",
        "content",
        "excerpt",
        "author",
        "featured_media",
        "format",
        "categories",
        "tags",
        "_links",
    ] {
        assert!(!p[field].is_null(), "{field}");
    }
    assert!(p["title"]["rendered"].is_string() && p["content"]["protected"] == false);
    let e = &p["_embedded"];
    assert_eq!(e["wp:term"][0][0]["taxonomy"], "category");
    let picture = e["wp:featuredmedia"][0]["source_url"].as_str().unwrap();
    let svg = reqwest::get(picture).await.unwrap();
    assert_eq!(svg.headers()["content-type"], "image/svg+xml");
    let page = reqwest::get(p["link"].as_str().unwrap()).await.unwrap();
    assert!(
        page.text().await.unwrap().contains("<h1>"),
        "a story can be opened"
    );
    let (_, bare) = json(&base).await;
    assert!(bare[0]["_embedded"].is_null());
    assert_eq!(
        bare.as_array().unwrap().len(),
        10,
        "ten a page unless asked otherwise"
    );
}

#[tokio::test]
async fn drupal_follows_next_links_to_the_end() {
    let (s, world) = site().await;
    let brand = BRANDS
        .iter()
        .position(|b| b.source == "drupal-civic")
        .unwrap();
    let now = Timestamp(i64::from(DAY + 2) * DAY_MS - 1);
    let expected = world
        .items
        .iter()
        .filter(|i| i.brand == brand && i.state(now).is_some_and(|s| s.live))
        .count();
    let mut url = format!(
        "{}/drupal-civic/jsonapi/node/article?sort=changed&page[limit]=500&include=uid,field_image,field_tags,field_section,field_series",
        s.url()
    );
    let (mut seen, mut changed) = (BTreeSet::new(), Vec::new());
    loop {
        let (status, page) = json(&url).await;
        assert_eq!(status, 200);
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= 50, "Drupal never gives more than fifty");
        let included: BTreeSet<_> = page["included"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["id"].to_string())
            .collect();
        for n in data {
            assert!(seen.insert(n["id"].to_string()), "twice");
            changed.push(n["attributes"]["changed"].as_str().unwrap().to_owned());
            for r in n["relationships"]["field_section"]["data"]
                .as_array()
                .unwrap()
            {
                assert!(included.contains(&r["id"].to_string()));
            }
        }
        match page["links"]["next"]["href"].as_str() {
            Some(next) => url = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), expected);
    assert!(changed.is_sorted());
}

#[tokio::test]
async fn drupal_filters_in_both_notations_and_hides_what_is_unpublished() {
    let (s, _) = site().await;
    let base = format!("{}/drupal-faro/jsonapi/node/article", s.url());
    let (_, page) = json(&format!("{base}?sort=-changed")).await;
    let pivot =
        Timestamp::parse(page["data"][10]["attributes"]["changed"].as_str().unwrap()).unwrap();
    let s1 = pivot.0 / 1000;
    let long = format!(
        "{base}?filter[x][condition][path]=changed&filter[x][condition][operator]=%3E&filter[x][condition][value]={s1}"
    );
    let short = format!("{base}?filter[changed][value]={s1}&filter[changed][operator]=%3E");
    for url in [long, short] {
        let (_, newer) = json(&url).await;
        assert!(
            (1..=10).contains(&newer["data"].as_array().unwrap().len()),
            "{url}"
        );
    }
    let (status, body) = json(&format!("{base}?filter[colour]=1")).await;
    assert_eq!(status, 400);
    assert!(
        body["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("colour")
    );
    let (_, drafts) = json(&format!("{base}?filter[status]=0")).await;
    assert_eq!(drafts["data"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn the_house_systems_give_every_item_and_only_what_changed_since() {
    let (s, world) = site().await;
    let of = |source: &str| {
        let brand = BRANDS.iter().position(|b| b.source == source).unwrap();
        world.items.iter().filter(|i| i.brand == brand).count()
    };
    let mut n = 0;
    let mut url = Some(format!("{}/custom-signal/api/v2/stories?limit=90", s.url()));
    while let Some(u) = url {
        let (_, page) = json(&u).await;
        n += page["result"]["stories"].as_array().unwrap().len();
        url = page["result"]["meta"]["next"].as_str().map(str::to_owned);
    }
    assert_eq!(n, of("custom-signal"));

    let (mut seen, mut after) = (BTreeSet::new(), String::from("2000-01-01"));
    loop {
        let r = reqwest::get(format!(
            "{}/custom-plate/export.ndjson?limit=50&after={after}",
            s.url()
        ))
        .await
        .unwrap();
        let mark = r
            .headers()
            .get("x-watermark")
            .map(|m| m.to_str().unwrap().to_owned());
        for line in r.text().await.unwrap().lines() {
            let v: Value = serde_json::from_str(line).unwrap();
            assert!(seen.insert(v["post_id"].to_string()), "twice");
        }
        let Some(mark) = mark else { break };
        after = mark;
    }
    assert_eq!(seen.len(), of("custom-plate"));

    let feed = format!("{}/custom-afterglow/feed.json", s.url());
    let (_, all) = json(&feed).await;
    assert_eq!(
        all["count"].as_u64().map(|c| c as usize),
        Some(of("custom-afterglow"))
    );
    let since = all["posts"][150]["upd"].as_i64().unwrap();
    let (_, later) = json(&format!("{feed}?updated_since={since}")).await;
    assert_eq!(
        later["count"].as_u64().unwrap() + 150,
        all["count"].as_u64().unwrap()
    );
}

#[tokio::test]
async fn withdrawn_posts_vanish_for_the_public_and_turn_to_drafts_for_editors() {
    let mut world = World::days(5, DAY, 1);
    let brand = BRANDS
        .iter()
        .position(|b| b.wire == Wire::Wordpress)
        .unwrap();
    let item = world.items.iter_mut().find(|i| i.brand == brand).unwrap();
    item.changes = vec![(Timestamp(item.published.0 + 60_000), Change::Withdrawn)];
    let (number, published) = (item.number, item.published);
    let (clock, hand) = Clock::by_hand(Timestamp(published.0 - 1000));
    let s = serve(world, ([127, 0, 0, 1], 0).into(), clock, None)
        .await
        .unwrap();
    let url = format!(
        "{}/{}/wp-json/wp/v2/posts/{number}",
        s.url(),
        BRANDS[brand].source
    );
    let set = |t: i64| hand.store(t, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(json(&url).await.0, 404, "not there yet");
    set(published.0 + 1000);
    assert_eq!(json(&url).await.1["status"], "publish");
    set(published.0 + 61_000);
    assert_eq!(json(&url).await.0, 401);
    let r = reqwest::Client::new()
        .get(&url)
        .header("authorization", "Basic ZWRpdG9yOng=")
        .send()
        .await
        .unwrap();
    assert_eq!(r.json::<Value>().await.unwrap()["status"], "draft");
    s.stop().await;
}

#[tokio::test]
async fn new_days_appear_as_the_clock_runs_on() {
    let (clock, hand) = Clock::by_hand(Timestamp(i64::from(DAY) * DAY_MS + DAY_MS / 2));
    let s = serve(
        World::days(5, DAY, 1),
        ([127, 0, 0, 1], 0).into(),
        clock,
        None,
    )
    .await
    .unwrap();
    let count = || async { json(&s.url()).await.1["items"].as_u64().unwrap() };
    let noon = count().await;
    hand.store(
        i64::from(DAY + 1) * DAY_MS + DAY_MS - 1,
        std::sync::atomic::Ordering::SeqCst,
    );
    let later = count().await;
    assert!(
        noon > 500 && noon < 1500 && (3_800..=4_200).contains(&later),
        "{noon} {later}"
    );
}

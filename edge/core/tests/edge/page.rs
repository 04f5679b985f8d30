//! The reader page: complete without JavaScript, closed to injection, no open redirect.

use crate::world::{World, get, item_id, text, with};

#[test]
fn the_front_page_shows_the_feed_the_reasons_and_a_fair_question() {
    let mut w = World::new();
    let r = w.get("/r/daily");
    assert_eq!(r.status, 200);
    assert_eq!(r.first("content-type"), Some("text/html; charset=utf-8"));
    let html = text(&r);
    assert_eq!(
        html.matches("<li data-id").count() + html.matches("<li class=\"lead").count(),
        19
    );
    for part in [
        "lang=\"en\"",
        "<main id=\"main\"",
        "<nav",
        "<footer",
        "Skip to the stories",
        "Why this story?",
        "No, thanks",
        "Yes, remember",
        "/r/daily/me",
        "More stories",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(html.contains("Story 0 &lt;b&gt;&amp;") && !html.contains("Story 0 <b>"));
    assert!(
        !html.contains("style=") && !html.contains("onclick"),
        "the policy forbids inline code"
    );
    let csp = r.first("content-security-policy").unwrap();
    assert!(csp.contains("default-src 'none'") && !csp.contains("unsafe"));
    let size =
        html.len() + w.get("/assets/reader.css").body.len() + w.get("/assets/reader.js").body.len();
    assert!(size < 30_000, "{size}");
}

#[test]
fn less_and_mute_are_forms_that_lead_back() {
    let mut w = World::new();
    w.consent();
    let html = text(&w.get("/r/daily"));
    assert!(
        html.contains("Less of this") && html.contains("Mute Sport") && html.contains("Mute Ann")
    );
    assert!(!html.contains("May The Daily remember"));
    let body = format!("do=less:{}&back=/r/daily", item_id(0));
    let form = crate::world::post(
        "/v1/me?brand=daily",
        "application/x-www-form-urlencoded",
        body,
    );
    let r = w.send(with(form, "sec-fetch-site", "same-origin"));
    assert_eq!((r.status, r.first("location")), (303, Some("/r/daily")));
    assert!(!text(&w.get("/r/daily")).contains(&item_id(0).to_string()));
    let mute = crate::world::post(
        "/v1/me?brand=daily",
        "application/x-www-form-urlencoded",
        "do=mute:author:Ann+3",
    );
    assert_eq!(
        w.send(with(mute, "sec-fetch-site", "same-origin")).status,
        303
    );
    let me = text(&w.get("/r/daily/me"));
    assert!(
        me.contains("What is not held")
            && me.contains("Take back")
            && me.contains("Forget everything")
    );
}

#[test]
fn a_counted_link_leads_to_the_item_and_nowhere_else() {
    let mut w = World::new();
    w.consent();
    let (_, feed) = w.feed("/v1/feed/daily/home");
    let item = &feed["items"][0];
    let x = item["_mediaflow"]["exposure"].as_str().unwrap();
    let r = w.get(&format!("/go/daily?x={x}"));
    assert_eq!((r.status, r.first("location")), (303, item["url"].as_str()));
    let kinds: Vec<String> = w
        .events()
        .iter()
        .map(|e| e["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        &kinds[1..],
        ["org.mediaflow.click.v1", "org.mediaflow.read.v1"]
    );
    assert_eq!(w.events()[1]["data"]["exposure"], x);
    let (_, after) = w.feed("/v1/feed/daily/home");
    assert!(
        !crate::world::ids(&after).contains(&item["id"].as_str().unwrap().to_owned()),
        "read"
    );
    let forged = format!("{}AAAA", &x[..x.len() - 4]);
    for bad in ["", "https://evil.example", &forged] {
        let r = w.get(&format!("/go/daily?x={bad}"));
        assert_eq!((r.status, r.first("location")), (400, None), "{bad}");
    }
    let n = w.events().len();
    let r = w.send(with(
        get(&format!("/go/daily?x={x}")),
        "sec-fetch-site",
        "cross-site",
    ));
    assert_eq!(r.status, 303);
    assert_eq!(
        w.events().len(),
        n,
        "another site's page does not count in a reader's name"
    );
}

#[test]
fn an_article_has_a_page_until_it_is_taken_down() {
    let mut w = World::new();
    let url = format!("/r/daily/a/{}", item_id(4));
    let html = text(&w.get(&url));
    assert!(html.contains("Story 4") && html.contains("data-read"));
    let rules = mediaflow_shared::rules::Rules {
        revision: 2,
        published_at: mediaflow_shared::time::Timestamp(crate::world::NOW_MS + 5),
        takedowns: vec![item_id(4)],
        ..Default::default()
    };
    w.put("r/daily/home", rules.encode());
    w.restart_edge();
    assert_eq!(w.get(&url).status, 404);
    assert_eq!(w.get("/r/daily/a/0000000000000001").status, 404);
}

#[test]
fn the_page_stands_on_every_rung() {
    let mut w = World::empty();
    let html = text(&w.get("/r/daily"));
    assert!(html.contains("Built in"));
    assert!(text(&w.get("/r/other")).contains("nothing to read here yet"));
    assert_eq!(w.get("/r/nope").status, 404);
    let gpc = w.send(with(get("/r/daily"), "sec-gpc", "1"));
    assert!(
        !text(&gpc).contains("Yes, remember"),
        "the browser has answered already"
    );
}

//! What adapters rely on.

use crate::world::{World, get};

fn sendable<T: Send>(work: T) -> T {
    work
}

#[test]
fn with_a_platform_of_sendable_futures_the_request_is_sendable() {
    let w = World::new();
    let response = w
        .fake
        .run(sendable(w.edge.handle(&w.fake, get("/v1/feed/daily/home"))));
    assert_eq!(response.status, 200);
    for d in response.deferred {
        w.fake.run(sendable(w.edge.run_deferred(&w.fake, d)));
    }
    fn shared<T: Sync + Send>(_: &T) {}
    shared(&w.edge);
}

#[test]
fn health_says_ok_and_nothing_else_is_found() {
    let mut w = World::empty();
    assert_eq!(w.get("/healthz").status, 200);
    for nowhere in [
        "/nope",
        "/v1",
        "/v1/feed/daily",
        "//",
        "/a/b/c/d/e/f/g/h",
        "/r/daily/a/zz",
    ] {
        let r = w.get(nowhere);
        assert_eq!(r.status, 404, "{nowhere}");
        assert_eq!(r.first("content-type"), Some("application/problem+json"));
    }
}

mod any {
    use crate::world::{Fault, World, get, item_id};
    use mediaflow_edge_core::Request;
    use proptest::prelude::*;

    fn paths() -> impl Strategy<Value = String> {
        let known = prop::sample::select(vec![
            "/v1/feed/daily/home",
            "/v1/events",
            "/v1/me",
            "/r/daily",
            "/r/daily/me",
            "/go/daily",
            "/healthz",
        ]);
        prop_oneof![
            4 => known.prop_map(str::to_owned),
            1 => "(/[a-z0-9%.]{0,8}){0,6}",
            1 => Just(format!("/r/daily/a/{}", item_id(1))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Whatever comes in and whatever the store holds: an answer, and never a 5xx.
        #[test]
        fn input_gets_an_answer_below_500(
            method in prop::sample::select(vec!["GET", "POST", "HEAD", "OPTIONS", "PUT", "get", ""]),
            path in paths(),
            query in prop_oneof![Just(String::new()), ".{0,80}", "(limit|cursor|why|x|brand|lang|section)=[a-z0-9%]{0,40}"],
            cookie in prop_oneof![Just(None), ".{0,200}".prop_map(Some), "mf_daily=[A-Za-z0-9_-]{0,900}".prop_map(Some)],
            kind in prop::sample::select(vec!["application/json", "text/plain", "application/x-www-form-urlencoded", "x"]),
            body in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                r#"\{"action":"(less|mute|link)","[a-z]{1,9}":"[a-z0-9]{0,20}"\}"#.prop_map(String::into_bytes),
                r#"\[?\{"data":\{"brand":"daily","content_id":"[0-9a-f]{0,17}"\}\}\]?"#.prop_map(String::into_bytes),
            ],
            stored in prop::collection::vec(any::<u8>(), 0..400),
            fault in prop::sample::select(vec![Fault::None, Fault::Half, Fault::Failing, Fault::Flipped]),
        ) {
            let mut w = World::new();
            for key in ["f/daily/home", "r/daily/home", "m/daily"] {
                if stored.len() % 3 == 0 {
                    w.put(key, stored.clone());
                }
            }
            w.fault(fault);
            let mut request = Request { method: method.into(), body, ..get(&path) };
            request.query = query;
            request.headers.add("content-type", kind);
            request.headers.add("sec-fetch-site", "same-origin");
            if let Some(cookie) = cookie {
                request.headers.add("cookie", cookie);
            }
            let response = w.send(request);
            prop_assert!((200..500).contains(&response.status), "{}", response.status);
        }
    }
}

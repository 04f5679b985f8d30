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

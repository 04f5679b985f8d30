//! One bad request never hurts its neighbours, and no load takes more than its bounds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::world::world;

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_is_stopped_at_100_ms_and_its_neighbours_are_served() {
    let Some(world) = world("endless loop", &[]).await else {
        return;
    };
    let world = Arc::new(world);
    assert_eq!(world.get("/ok").await.ok(), "ok");
    let looping = {
        let world = world.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            (world.get("/loop").await, began.elapsed())
        })
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut served_meanwhile = 0;
    while !looping.is_finished() {
        assert_eq!(world.get("/ok").await.ok(), "ok");
        served_meanwhile += 1;
    }
    let (answer, took) = looping.await.unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("computing time"), "{answer:?}");
    assert!(took >= Duration::from_millis(90), "{took:?}");
    // Other tests share the two cores, so the upper bound is generous.
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(served_meanwhile >= 1);
    assert_eq!(world.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_loops_than_cores_all_end_and_the_host_serves_on() {
    let Some(world) = world("many loops", &[]).await else {
        return;
    };
    let world = Arc::new(world);
    let loops: Vec<_> = (0..12)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.get("/loop").await.status })
        })
        .collect();
    for one in loops {
        assert_eq!(one.await.unwrap(), 503);
    }
    assert_eq!(world.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_is_not_computing() {
    let Some(world) = world("waiting", &[]).await else {
        return;
    };
    assert_eq!(world.get("/sleep?400").await.ok(), "slept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_is_one_500_and_the_next_request_is_fine() {
    let Some(world) = world("trap", &[]).await else {
        return;
    };
    for _ in 0..5 {
        let answer = world.get("/trap").await;
        assert_eq!(answer.status, 500, "{answer:?}");
        assert!(answer.body.contains("component failed"), "{answer:?}");
        assert_eq!(world.get("/ok").await.ok(), "ok");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_beyond_the_limit_is_refused_to_that_guest_alone() {
    let Some(world) = world("memory", &["--guest-memory-bytes", "33554432"]).await else {
        return;
    };
    assert_eq!(world.get("/grow?8").await.ok(), "8388608");
    assert_eq!(world.get("/grow?64").await.status, 500);
    let hog = world.get("/hog").await.status;
    assert!(hog == 500 || hog == 503, "{hog}");
    assert_eq!(world.get("/grow?8").await.ok(), "8388608");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_reused_but_not_for_ever() {
    let Some(world) = world("reuse", &["--in-flight", "4"]).await else {
        return;
    };
    // Requests one after another: the guest counts what its instance has seen.
    let mut most = 0;
    for _ in 0..8_400 {
        most = most.max(world.seen("/ok").await);
    }
    assert!(most > 1, "no instance was used twice");
    assert!(most <= 8_192, "an instance answered {most} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_are_bounded_and_refused_politely() {
    let Some(world) = world("a thousand", &["--in-flight", "16"]).await else {
        return;
    };
    let world = Arc::new(world);
    let began = Instant::now();
    let requests: Vec<_> = (0..1000)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.get("/sleep?100").await })
        })
        .collect();
    let (mut served, mut refused) = (0, 0);
    for request in requests {
        let answer = request.await.unwrap();
        match answer.status {
            200 => served += 1,
            503 => {
                assert_eq!(answer.retry_after.as_deref(), Some("1"));
                refused += 1;
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert!(
        served >= 16 && refused >= 500,
        "{served} served, {refused} refused"
    );
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_not_allowed_is_never_reached() {
    let Some(world) = world("outbound denied", &[]).await else {
        return;
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = world
        .get(&format!("/out?http://{address}/"))
        .await
        .refused();
    assert!(error.contains("HttpRequestDenied"), "{error}");
    let reached = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(reached.is_err(), "the host connected to {address}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_allowed_is_reached() {
    let Some(origin) = world("outbound allowed: origin", &[]).await else {
        return;
    };
    let allowed = format!("http://{}", origin.address);
    let Some(world) = world("outbound allowed", &["--allow-outbound", &allowed]).await else {
        return;
    };
    assert_eq!(
        world.get(&format!("/out?{allowed}/ok")).await.ok(),
        "200 ok"
    );
    let tls = allowed.replace("http", "https");
    assert!(world.get(&format!("/out?{tls}/ok")).await.status == 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_after_the_answer_is_done() {
    let Some(world) = world("deferred work", &[]).await else {
        return;
    };
    assert_eq!(world.get("/after?u/late").await.ok(), "later");
    assert_eq!(world.get("/get?u/late").await.ok(), "none");
    tokio::time::sleep(Duration::from_millis(400)).await;
    let written = world.get("/get?u/late").await.ok();
    assert_eq!(written, "written after the response");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_pass_both_ways_and_oversized_ones_do_not() {
    let Some(world) = world("bodies", &[]).await else {
        return;
    };
    let text = "0123456789".repeat(50_000);
    assert_eq!(world.post("/echo", &text).await.ok(), text);
    assert_eq!(world.get("/body?2048").await.ok().len(), 2 << 20);
    let answer = world.put("/echo", &"x".repeat(5 << 20)).await;
    assert_ne!(answer.status, 200);
    assert_eq!(world.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_requests_finish_when_the_host_stops() {
    let Some(mut world) = world("graceful stop", &[]).await else {
        return;
    };
    let url = format!("http://{}/sleep?300", world.address);
    let open = {
        let client =
            hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
                .build_http::<http_body_util::Empty<bytes::Bytes>>();
        let url = url.parse().unwrap();
        tokio::spawn(async move { client.get(url).await.map(|answer| answer.status()) })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.stop();
    assert_eq!(open.await.unwrap().unwrap(), 200);
    let served = &mut world.served;
    tokio::time::timeout(Duration::from_secs(5), served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_beyond_the_permits_waits_its_turn_and_is_served() {
    let Some(world) = world("burst", &["--in-flight", "2"]).await else {
        return;
    };
    let world = Arc::new(world);
    // Enough to retire instances under way, which is when they are scarce.
    for _ in 0..20 {
        let burst: Vec<_> = (0..40)
            .map(|_| {
                let world = world.clone();
                tokio::spawn(async move { world.get("/ok").await })
            })
            .collect();
        for request in burst {
            assert_eq!(request.await.unwrap().ok(), "ok");
        }
    }
}

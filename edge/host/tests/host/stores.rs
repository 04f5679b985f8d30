//! The Spin interfaces over real stores: a Redis server, an HTTP namespace, a folder.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::world::{World, world, world_over};

async fn every_operation_works(world: &World) {
    assert_eq!(world.get("/get?f/brand/home").await.ok(), "none");
    assert_eq!(world.get("/exists?f/brand/home").await.ok(), "false");
    assert_eq!(world.put("/set?f/brand/home", "front").await.ok(), "set");
    assert_eq!(world.put("/set?u/1", "profile").await.ok(), "set");
    assert_eq!(world.get("/get?f/brand/home").await.ok(), "front");
    assert_eq!(world.get("/exists?f/brand/home").await.ok(), "true");
    assert_eq!(world.get("/keys").await.ok(), "f/brand/home,u/1");
    assert_eq!(world.get("/delete?f/brand/home").await.ok(), "deleted");
    assert_eq!(world.get("/delete?f/brand/home").await.ok(), "deleted");
    assert_eq!(world.get("/get?f/brand/home").await.ok(), "none");
    assert_eq!(world.get("/keys").await.ok(), "u/1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_a_store() {
    let Some(world) = world("folder", &[]).await else {
        return;
    };
    every_operation_works(&world).await;
    assert!(world.folder.path().join("u%2F1").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_name_does_not_exist() {
    let Some(world) = world("labels", &[]).await else {
        return;
    };
    assert_eq!(world.get("/store?default").await.ok(), "opened");
    let error = world.get("/store?secrets").await.refused();
    assert!(error.contains("NoSuchStore"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_are_those_that_were_given() {
    let flags = ["--variable", "origin_url=http://origin"];
    let Some(world) = world("variables", &flags).await else {
        return;
    };
    assert_eq!(world.get("/var?origin_url").await.ok(), "http://origin");
    assert!(
        world
            .get("/var?other")
            .await
            .refused()
            .contains("Undefined")
    );
    assert!(
        world
            .get("/var?Other")
            .await
            .refused()
            .contains("InvalidName")
    );
}

/// A Redis server on a free port; killed when dropped.
struct Redis {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn redis(test: &str) -> Option<Redis> {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let folder = tempfile::tempdir().unwrap();
    let spawned = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--port"])
        .arg(port.to_string())
        .arg("--dir")
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn();
    let Ok(child) = spawned else {
        eprintln!("skipped: {test}: redis-server is not installed");
        return None;
    };
    let redis = Redis {
        child,
        port,
        folder,
    };
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some(redis);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("redis-server did not listen on {port}: {:?}", redis.folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_server_is_a_store_and_its_death_is_the_components_error_only() {
    let Some(redis) = redis("redis").await else {
        return;
    };
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let folder = tempfile::tempdir().unwrap();
    let Some(world) = world_over("redis", &url, &[], folder).await else {
        return;
    };
    every_operation_works(&world).await;
    // What another process wrote under the verbatim key is what the component reads.
    let mut cli = redis::Client::open(url.as_str())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let blob = Bytes::from_static(b"pushed by the origin");
    let () = redis::AsyncCommands::set(&mut cli, "f/brand/pushed", blob.as_ref())
        .await
        .unwrap();
    assert_eq!(
        world.get("/get?f/brand/pushed").await.ok(),
        "pushed by the origin"
    );
    drop(redis);
    let error = world.get("/get?u/1").await.refused();
    assert!(error.contains("store"), "{error}");
    // Cached: the last good value stands in, now and after its soft time to live.
    assert_eq!(
        world.get("/get?f/brand/pushed").await.ok(),
        "pushed by the origin"
    );
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(
        world.get("/get?f/brand/pushed").await.ok(),
        "pushed by the origin"
    );
    assert_eq!(world.get("/ok").await.ok(), "ok");
}

/// How often the key that becomes slow was asked for.
static SLOWING: AtomicU32 = AtomicU32::new(0);

/// A namespace that has one good key, one that is missing, one that fails and one that is slow.
async fn namespace() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(namespace_answer)),
            );
        }
    });
    format!("http://{address}/kv")
}

async fn namespace_answer(
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let asked = request.uri().path_and_query().unwrap().as_str();
    let (status, body) = match (request.method(), asked) {
        (&Method::GET, "/kv/f%2Fgood%2Fhome?urlencoded=true") => (StatusCode::OK, "front"),
        (&Method::GET, "/kv/f%2Fbroken%2Fhome?urlencoded=true") => {
            (StatusCode::INTERNAL_SERVER_ERROR, "broken")
        }
        (&Method::GET, "/kv/f%2Fslowing%2Fhome?urlencoded=true") => {
            if SLOWING.fetch_add(1, Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            (StatusCode::OK, "front")
        }
        (&Method::GET, "/kv/f%2Fslow%2Fhome?urlencoded=true") => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            (StatusCode::OK, "late")
        }
        (&Method::GET, "/kv/?key_count_limit=1000") => (
            StatusCode::OK,
            r#"{"keys":[{"name":"a"}],"list_complete":false,"cursor":"c/1"}"#,
        ),
        (&Method::GET, "/kv/?key_count_limit=1000&cursor=c%2F1") => (
            StatusCode::OK,
            r#"{"keys":[{"name":"b"}],"list_complete":true}"#,
        ),
        (&Method::PUT, "/kv/f%2Fnew?urlencoded=true") => (StatusCode::OK, ""),
        _ => (StatusCode::NOT_FOUND, "no such key"),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    Ok(response)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_over_http_is_a_store_and_its_faults_are_errors() {
    let (url, folder) = (namespace().await, tempfile::tempdir().unwrap());
    let Some(world) = world_over("namespace", &url, &[], folder).await else {
        return;
    };
    assert_eq!(world.get("/get?f/good/home").await.ok(), "front");
    assert_eq!(world.get("/get?f/none/home").await.ok(), "none");
    assert_eq!(world.put("/set?f/new", "x").await.ok(), "set");
    assert_eq!(world.get("/keys").await.ok(), "a,b");
    let error = world.get("/get?f/broken/home").await.refused();
    assert!(error.contains("500"), "{error}");
    let began = Instant::now();
    let error = world.get("/get?f/slow/home").await.refused();
    assert!(error.contains("no answer within"), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.get("/get?f/good/home").await.ok(), "front");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_became_slow_costs_freshness_not_the_front() {
    let (url, folder) = (namespace().await, tempfile::tempdir().unwrap());
    let Some(world) = world_over("slow namespace", &url, &[], folder).await else {
        return;
    };
    assert_eq!(world.get("/get?f/slowing/home").await.ok(), "front");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let began = Instant::now();
    assert_eq!(world.get("/get?f/slowing/home").await.ok(), "front");
    let took = began.elapsed();
    assert!(took < Duration::from_millis(200), "{took:?}");
    assert!(SLOWING.load(Ordering::SeqCst) >= 2, "it was not refreshed");
}

//! Against a real `redis-server`: conformance, verbatim keys, reconnection, passwords.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mediaflow_blob_store_redis::RedisBlobs;
use mediaflow_ports::conformance::{self, BlobFixture, Pending};
use mediaflow_ports::{Blob, BlobStore, Lane, PortErrorKind, PortUri};

struct Server {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Server {
    /// `None`, with a line saying so, where `redis-server` is not installed.
    fn start(test: &str, arguments: &[&str]) -> Option<Self> {
        if Command::new("redis-server")
            .arg("--version")
            .output()
            .is_err()
        {
            println!("SKIPPED: {test}: redis-server absent");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let process = launch(port, folder.path(), &arguments);
        Some(Self {
            process,
            port,
            folder,
            arguments,
        })
    }

    fn restart(&mut self) {
        self.process = launch(self.port, self.folder.path(), &self.arguments);
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn uri(&self, user: &str) -> PortUri {
        format!("redis://{user}127.0.0.1:{}/0", self.port)
            .parse()
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn launch(port: u16, folder: &std::path::Path, arguments: &[String]) -> Child {
    let process = Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "redis-server does not listen"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    process
}

impl BlobFixture for Server {
    fn open(&self) -> Pending<'_, Arc<dyn BlobStore>> {
        Box::pin(async { Arc::new(RedisBlobs::open(&self.uri("")).unwrap()) as Arc<dyn BlobStore> })
    }
    fn advance(&self, ms: i64) -> Pending<'_, ()> {
        // Redis expires by its own clock.
        Box::pin(tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())))
    }
    fn keeps_metadata(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn the_redis_blob_store_conforms() {
    let Some(server) = Server::start("the_redis_blob_store_conforms", &[]) else {
        return;
    };
    conformance::blob_store(&server).await;
}

#[tokio::test]
async fn keys_and_values_are_verbatim_as_spin_reads_them() {
    let test = "keys_and_values_are_verbatim_as_spin_reads_them";
    let Some(server) = Server::start(test, &[]) else {
        return;
    };
    let store = server.open().await;
    let bytes: Vec<u8> = (0..=255).collect();
    let report = store
        .put_many(Lane::Fronts, vec![Blob::new("f/brand/home", bytes.clone())])
        .await;
    assert_eq!(report.unwrap().written, 1);
    // Spin's provider of type `redis` does exactly this.
    let client = redis::Client::open(server.uri("").to_secret_string()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let read: Vec<u8> = redis::cmd("GET")
        .arg("f/brand/home")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(read, bytes);
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let test = "a_restarted_server_is_found_again";
    let Some(mut server) = Server::start(test, &[]) else {
        return;
    };
    let store = server.open().await;
    let put = || store.put_many(Lane::Rules, vec![Blob::new("k", "v")]);
    assert_eq!(put().await.unwrap().written, 1);
    server.stop();
    let report = put().await.unwrap();
    assert_eq!((report.written, report.failed.len()), (0, 1));
    assert!(
        report.failed[0].reason.is_retryable(),
        "{}",
        report.failed[0].reason
    );
    assert_eq!(
        store.get("k").await.unwrap_err().kind(),
        PortErrorKind::Unavailable
    );
    server.restart();
    assert_eq!(
        put().await.unwrap().written,
        1,
        "no restart of ours is needed"
    );
    assert_eq!(store.get("k").await.unwrap().unwrap().value, "v");
}

#[tokio::test]
async fn a_wrong_password_is_named_but_never_shown() {
    let test = "a_wrong_password_is_named_but_never_shown";
    let Some(server) = Server::start(test, &["--requirepass", "right"]) else {
        return;
    };
    let wrong = RedisBlobs::open(&server.uri(":hunter2@")).unwrap();
    let error = wrong
        .put_many(Lane::Rules, vec![Blob::new("k", "v")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unauthorized, "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(!wrong.summary().line.contains("hunter2"));
    let right = RedisBlobs::open(&server.uri(":right@")).unwrap();
    assert_eq!(
        right
            .put_many(Lane::Rules, vec![Blob::new("k", "v")])
            .await
            .unwrap()
            .written,
        1
    );
}

#[tokio::test]
async fn a_server_out_of_memory_is_full() {
    let Some(server) = Server::start("a_server_out_of_memory_is_full", &["--maxmemory", "3mb"])
    else {
        return;
    };
    let store = server.open().await;
    let blobs = (0..20)
        .map(|n| Blob::new(format!("k{n}"), vec![7; 1 << 20]))
        .collect();
    let report = store.put_many(Lane::Profiles, blobs).await.unwrap();
    assert!(!report.failed.is_empty());
    assert!(
        report
            .failed
            .iter()
            .all(|f| f.reason.kind() == PortErrorKind::Full)
    );
}

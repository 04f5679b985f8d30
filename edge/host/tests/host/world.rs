//! A host on a free port around the `misbehaving` example of `edge/spin`, and a client for it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bytes::Bytes;
use clap::Parser;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mediaflow_edge_host::server::Host;
use mediaflow_edge_host::settings::Settings;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running host; it stops when this is dropped.
pub struct World {
    pub address: SocketAddr,
    pub folder: tempfile::TempDir,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: Option<oneshot::Sender<()>>,
    pub served: JoinHandle<()>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub retry_after: Option<String>,
}

/// The misbehaving guest: the one named by the environment, else built once. `None` with the
/// reason on stderr when it cannot be built here.
pub fn guest() -> Option<&'static Path> {
    static GUEST: OnceLock<Option<PathBuf>> = OnceLock::new();
    GUEST.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("MEDIAFLOW_MISBEHAVING_COMPONENT") {
        return Some(path.into());
    }
    build_guest(&["--example", "misbehaving"], "examples/misbehaving.wasm")
}

/// Builds one target of `edge/spin`; `file` is where cargo leaves it.
pub fn build_guest(target: &[&str], file: &str) -> Option<PathBuf> {
    // A folder of its own: the lock of the usual one may be held by whoever runs these tests.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()?
        .join("guest");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--package", "mediaflow-edge-spin"])
        .args(target)
        .args(["--target", "wasm32-wasip2", "--target-dir"])
        .arg(&folder)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    match built {
        Ok(output) if output.status.success() => {
            Some(folder.join("wasm32-wasip2/debug").join(file))
        }
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            eprintln!("the guest does not build (rustup target add wasm32-wasip2?): {stderr}");
            None
        }
        Err(error) => {
            eprintln!("cargo does not start: {error}");
            None
        }
    }
}

/// A world, or `None` after naming the skipped test.
pub async fn world(test: &str, flags: &[&str]) -> Option<World> {
    let folder = tempfile::tempdir().unwrap();
    let kv = folder.path().to_str().unwrap().to_owned();
    world_over(test, &kv, flags, folder).await
}

/// The same over a store of the caller's.
pub async fn world_over(
    test: &str,
    kv: &str,
    flags: &[&str],
    folder: tempfile::TempDir,
) -> Option<World> {
    let guest = tokio::task::spawn_blocking(guest).await.unwrap();
    let Some(guest) = guest else {
        eprintln!("skipped: {test}: the misbehaving guest could not be built");
        return None;
    };
    Some(serve(guest, kv, flags, folder).await)
}

/// Any component in a host on a free port.
pub async fn serve(component: &Path, kv: &str, flags: &[&str], folder: tempfile::TempDir) -> World {
    let component = component.to_str().unwrap();
    let fixed = ["host", "--component", component, "--kv", kv];
    let fixed = fixed.into_iter().chain(["--listen", "127.0.0.1:0"]);
    let settings = Settings::parse_from(fixed.chain(flags.iter().copied()));
    let host = Host::new(&settings).await.unwrap();
    let address = host.address().unwrap();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(host.serve(async {
        let _ = stopped.await;
    }));
    World {
        address,
        folder,
        client: Client::builder(TokioExecutor::new()).build_http(),
        stop: Some(stop),
        served,
    }
}

impl World {
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    pub async fn put(&self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, body).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, body).await
    }

    /// How many requests the answering instance has seen.
    pub async fn seen(&self, path: &str) -> usize {
        let url = format!("http://{}{path}", self.address);
        let request = Request::get(url).body(Full::default()).unwrap();
        let response = self.client.request(request).await.unwrap();
        let seen = response.headers()["x-seen"].to_str().unwrap().parse();
        response.into_body().collect().await.unwrap();
        seen.unwrap()
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let response = self.client.request(request).await.unwrap();
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer {
            status,
            body: String::from_utf8(body.to_vec()).unwrap(),
            retry_after,
        }
    }

    /// Asks the host to stop, as SIGTERM does.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Answer {
    /// The body of a 200.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.body
    }

    /// The guest's own complaint.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_eq!(self.status, 502, "{self:?}");
        self.body
    }
}

//! A guest that answers the digest over random ranking cases, as the component's target computes it:
//! equal digests of two targets mean the same bytes of every feed.
//!
//! `/{from}/{n}` answers 16 hex digits for the cases `from .. from + n`. The host stops a request
//! after 100 ms of CPU, so ask for a few hundred cases at a time.

#[cfg(target_arch = "wasm32")]
mod guest {
    use bytes::Bytes;
    use http_body_util::Full;
    use spin_sdk::http::{Request, StatusCode};
    use spin_sdk::http_service;

    #[http_service]
    async fn handle(request: Request) -> http::Response<Full<Bytes>> {
        let numbers = range(request.uri().path());
        let (status, text) = match numbers {
            Some((from, n)) => {
                let digest = mediaflow_shared::testing::digest(from, n);
                (StatusCode::OK, format!("{digest:016x}"))
            }
            None => (StatusCode::BAD_REQUEST, "ask for /from/n".to_owned()),
        };
        let mut response = http::Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response
    }

    fn range(path: &str) -> Option<(u64, u64)> {
        let (from, n) = path.strip_prefix('/')?.split_once('/')?;
        Some((from.parse().ok()?, n.parse().ok()?))
    }
}

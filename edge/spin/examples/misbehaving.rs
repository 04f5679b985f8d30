//! A guest that misbehaves on request: the component host's tests run it to prove that one bad
//! request never hurts its neighbours.
//!
//! The path names the behaviour, the query string is its one argument:
//! `/ok` · `/loop` · `/trap` · `/hog` · `/grow?mib` · `/sleep?ms` · `/echo` · `/get?key` · `/set?key` ·
//! `/delete?key` · `/exists?key` · `/keys` · `/var?name` · `/store?label` · `/out?url` ·
//! `/after?key` (writes the key after the response left) · `/body?chunks`.
//! It holds no state apart from a counter of the requests its instance has seen.

#[cfg(target_arch = "wasm32")]
mod guest {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::BodyExt;
    use spin_sdk::http::{Request, Response, StatusCode};
    use spin_sdk::http_service;
    use spin_sdk::key_value::Store;
    use spin_sdk::wasip3;

    type Answer = Result<String, String>;

    static REQUESTS: AtomicU32 = AtomicU32::new(0);

    #[http_service]
    async fn handle(request: Request) -> http::Response<http_body_util::Full<Bytes>> {
        let seen = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
        let path = request.uri().path().to_owned();
        let argument = request.uri().query().unwrap_or_default().to_owned();
        let answer = behave(&path, &argument, request).await;
        let (status, text) = match answer {
            Ok(text) => (StatusCode::OK, text),
            Err(reason) => (StatusCode::BAD_GATEWAY, reason),
        };
        let mut response = http::Response::new(http_body_util::Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert("x-seen", http::HeaderValue::from(seen));
        response
    }

    async fn behave(path: &str, argument: &str, request: Request) -> Answer {
        match path {
            "/ok" => Ok("ok".to_owned()),
            "/loop" => spin(),
            "/trap" => std::process::abort(),
            "/hog" => hog(),
            "/grow" => grow(argument),
            "/sleep" => sleep(argument).await,
            "/echo" => echo(request).await,
            "/body" => Ok("x".repeat(1024 * argument.parse::<usize>().unwrap_or(1))),
            "/var" => spin_sdk::variables::get(argument)
                .await
                .map_err(|e| e.to_string()),
            "/out" => out(argument).await,
            "/after" => {
                let key = argument.to_owned();
                wasip3::spawn(async move {
                    spin_sdk::time::sleep(Duration::from_millis(50)).await;
                    if let Ok(store) = Store::open_default().await {
                        let _ = store.set(&key, b"written after the response").await;
                    }
                });
                Ok("later".to_owned())
            }
            "/store" => Store::open(argument)
                .await
                .map(|_| "opened".to_owned())
                .map_err(|e| e.to_string()),
            _ => key_value(path, argument, request).await,
        }
    }

    async fn key_value(path: &str, key: &str, request: Request) -> Answer {
        let store = Store::open_default().await.map_err(|e| e.to_string())?;
        let answer = match path {
            "/get" => store.get(key).await.map(|value| match value {
                Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                None => "none".to_owned(),
            }),
            "/set" => {
                let value = echo(request).await?;
                store.set(key, value).await.map(|()| "set".to_owned())
            }
            "/delete" => store.delete(key).await.map(|()| "deleted".to_owned()),
            "/exists" => store.exists(key).await.map(|there| there.to_string()),
            "/keys" => store.get_keys().await.collect().await.map(|mut keys| {
                keys.sort();
                keys.join(",")
            }),
            _ => return Err(format!("no behaviour {path}")),
        };
        answer.map_err(|e| e.to_string())
    }

    fn spin() -> Answer {
        let mut n = 0_u64;
        loop {
            n = std::hint::black_box(n.wrapping_add(1));
        }
    }

    fn hog() -> Answer {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        loop {
            kept.push(std::hint::black_box(vec![1; 1 << 20]));
        }
    }

    fn grow(mib: &str) -> Answer {
        let bytes = std::hint::black_box(vec![1_u8; mib.parse::<usize>().unwrap_or(1) << 20]);
        Ok(bytes.len().to_string())
    }

    async fn sleep(ms: &str) -> Answer {
        let ms = ms.parse().map_err(|_| format!("not a number: {ms}"))?;
        spin_sdk::time::sleep(Duration::from_millis(ms)).await;
        Ok("slept".to_owned())
    }

    async fn echo(request: Request) -> Answer {
        let body = request.into_body().collect().await;
        let bytes = body.map_err(|e| e.to_string())?.to_bytes();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn out(url: &str) -> Answer {
        let response: Response = spin_sdk::http::get(url).await.map_err(|e| e.to_string())?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await;
        let bytes = body.map_err(|e| e.to_string())?.to_bytes();
        Ok(format!("{status} {}", String::from_utf8_lossy(&bytes)))
    }
}

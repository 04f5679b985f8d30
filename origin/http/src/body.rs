//! Bodies within limits: bytes on the wire, bytes after gzip, UTF-8, JSON.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use std::io::Read;
use std::time::Duration;

use crate::{Problem, limits};

/// How much of a body a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes as they arrive.
    pub wire_bytes_max: usize,
    /// Bytes after decompression.
    pub expanded_bytes_max: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            wire_bytes_max: limits::BODY_BYTES_MAX,
            expanded_bytes_max: limits::EXPANDED_BYTES_MAX,
        }
    }
}

/// Reads a body, decompressing `Content-Encoding: gzip`.
///
/// # Errors
/// 413 over a limit (a gzip bomb is stopped at the limit, not after it), 415 for another encoding,
/// 400 for a broken or too slow body.
pub async fn read_bytes(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<Vec<u8>, Problem> {
    let gzip = match headers.get(header::CONTENT_ENCODING).map(|v| v.as_bytes()) {
        None => false,
        Some(v) if v.eq_ignore_ascii_case(b"identity") => false,
        Some(v) if v.eq_ignore_ascii_case(b"gzip") || v.eq_ignore_ascii_case(b"x-gzip") => true,
        Some(v) => {
            let name = String::from_utf8_lossy(v);
            return Err(Problem::unsupported_media_type(
                format!("header `Content-Encoding: {name}`"),
                "send the body with `gzip` or without an encoding",
            ));
        }
    };
    let deadline = Duration::from_secs(limits::BODY_TIMEOUT_S);
    let raw = tokio::time::timeout(deadline, collect(body, limits.wire_bytes_max))
        .await
        .map_err(|_| {
            Problem::bad_request(
                "body",
                format!("did not arrive within {} s", deadline.as_secs()),
            )
        })??;
    if gzip {
        expand(&raw, limits.expanded_bytes_max)
    } else {
        Ok(raw)
    }
}

async fn collect(body: Body, max: usize) -> Result<Vec<u8>, Problem> {
    let mut stream = body.into_data_stream();
    let mut out = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::bad_request("body", "broke off before its end"))?;
        if out.len() + chunk.len() > max {
            return Err(Problem::too_large("body", max));
        }
        out.extend_from_slice(&chunk);
    }
    Ok(out)
}

fn expand(raw: &[u8], max: usize) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    // One byte more than allowed tells "full" from "over".
    let mut limited = MultiGzDecoder::new(raw).take(max as u64 + 1);
    limited.read_to_end(&mut out).map_err(|_| {
        Problem::bad_request(
            "body",
            "is not valid gzip although `Content-Encoding` says so",
        )
    })?;
    if out.len() > max {
        return Err(Problem::too_large("body after decompression", max));
    }
    Ok(out)
}

/// The body as text.
///
/// # Errors
/// 400 that says at which byte it stops being UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|e| {
        Problem::bad_request(
            "body",
            format!("is not UTF-8 from byte {} on", e.valid_up_to()),
        )
        .remedy("encode the body in UTF-8")
    })
}

/// Parses JSON, nested at most 128 deep (serde_json's limit, so that a body cannot use up the stack).
///
/// # Errors
/// 400 that names line and column and what was expected; never the value itself.
pub fn json<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    check_depth(text)?;
    serde_json::from_str(text).map_err(|e| json_problem(&e))
}

/// Refuses text that nests brackets more than 128 deep outside of strings. Parsers skip unknown
/// fields without counting, so the whole text is looked at first.
///
/// # Errors
/// 400.
pub fn check_depth(text: &str) -> Result<(), Problem> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for b in text.bytes() {
        if in_string {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match b {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limits::JSON_DEPTH_MAX {
            return Err(too_deep("body"));
        }
    }
    Ok(())
}

fn too_deep(input: impl AsRef<str>) -> Problem {
    Problem::bad_request(input, "JSON is nested more than 128 deep").remedy("send flatter JSON")
}

/// The problem behind a JSON error.
#[must_use]
pub fn json_problem(e: &serde_json::Error) -> Problem {
    let place = format!("body, line {} column {}", e.line(), e.column());
    let said = e.to_string();
    if said.starts_with("recursion limit") {
        return too_deep(place);
    }
    let why = match e.classify() {
        serde_json::error::Category::Eof => "JSON ends too early".to_owned(),
        serde_json::error::Category::Syntax => "is not valid JSON".to_owned(),
        // Serde's words name the field and the expected type; unknown values are quoted by it, so
        // only names of fields and types are kept.
        serde_json::error::Category::Data | serde_json::error::Category::Io => data_reason(&said),
    };
    Problem::bad_request(place, why)
}

/// What serde said without the value that it quotes: bodies may hold personal data.
fn data_reason(said: &str) -> String {
    if said.starts_with("missing field") || said.starts_with("unknown field") {
        return said.split(" at line ").next().unwrap_or(said).to_owned();
    }
    match said.find("expected ") {
        Some(at) => {
            let expected = said[at..].split(" at line ").next().unwrap_or("");
            format!("a value has the wrong type or content: {expected}")
        }
        None => "a value has the wrong type or content".to_owned(),
    }
}

/// A JSON body within the default limits, whose refusals are problem documents.
#[derive(Debug, Clone)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_bytes(&parts.headers, body, BodyLimits::default()).await?;
        json(utf8(&bytes)?).map(JsonBody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut e = GzEncoder::new(Vec::new(), Compression::best());
        e.write_all(bytes).unwrap();
        e.finish().unwrap()
    }

    fn gzip_headers() -> HeaderMap {
        let mut h = HeaderMap::new();
        h.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        h
    }

    const SMALL: BodyLimits = BodyLimits {
        wire_bytes_max: 2_000,
        expanded_bytes_max: 4_000,
    };

    #[tokio::test]
    async fn a_gzip_bomb_is_refused_at_the_limit() {
        let bomb = gz(&vec![0u8; 1_000_000]);
        assert!(bomb.len() < SMALL.wire_bytes_max);
        let p = read_bytes(&gzip_headers(), Body::from(bomb), SMALL)
            .await
            .unwrap_err();
        assert_eq!(p.status(), 413);
        let fits = gz(&vec![7u8; 4_000]);
        assert_eq!(
            read_bytes(&gzip_headers(), Body::from(fits), SMALL)
                .await
                .unwrap()
                .len(),
            4_000
        );
    }

    #[tokio::test]
    async fn oversized_broken_and_unknown_bodies_are_refused() {
        let none = HeaderMap::new();
        let p = read_bytes(&none, Body::from(vec![1; 2_001]), SMALL)
            .await
            .unwrap_err();
        assert_eq!(p.status(), 413);
        let p = read_bytes(&gzip_headers(), Body::from("no gzip"), SMALL)
            .await
            .unwrap_err();
        assert_eq!(p.status(), 400);
        let mut br = HeaderMap::new();
        br.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        assert_eq!(
            read_bytes(&br, Body::empty(), SMALL)
                .await
                .unwrap_err()
                .status(),
            415
        );
    }

    #[test]
    fn deep_json_and_foreign_bytes_are_refused_by_name() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let p = json::<serde_json::Value>(&deep).unwrap_err();
        assert!(p.to_string().contains("128 deep"), "{p}");
        #[derive(serde::Deserialize, Debug)]
        struct Empty {}
        let skipped = format!(r#"{{"unknown":{deep}}}"#);
        assert_eq!(json::<Empty>(&skipped).unwrap_err().status(), 400);
        let text = format!(r#"{{"s":"\"{}"}}"#, "[".repeat(200));
        assert!(
            json::<Empty>(&text).is_ok(),
            "brackets in a string are text"
        );
        assert!(
            utf8(&[b'a', 0xff])
                .unwrap_err()
                .to_string()
                .contains("byte 1")
        );
    }

    #[test]
    fn a_refused_value_is_not_repeated() {
        #[derive(serde::Deserialize, Debug)]
        struct T {
            #[expect(dead_code, reason = "only parsed")]
            n: u8,
        }
        let p = json::<T>(r#"{"n":"alice@example.org"}"#).unwrap_err();
        assert!(!p.to_string().contains("alice"), "{p}");
        assert!(p.to_string().contains("expected u8"), "{p}");
        assert!(
            json::<T>("{}")
                .unwrap_err()
                .to_string()
                .contains("missing field `n`")
        );
    }
}

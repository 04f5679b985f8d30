//! Cloudflare's JSON: bulk bodies out, envelopes in.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mediaflow_ports::{Blob, BlobEntry, BlobListing, PortError, PortErrorKind, PortResult};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::{
    BLOB_BYTES_MAX, BODY_BYTES_MAX, KEY_BYTES_MAX, METADATA_BYTES_MAX, PAIRS_MAX, TTL_S_MIN,
};

/// JSON around a pair: names, quotes, `base64`, a time to live.
const PAIR_FRAME_BYTES: usize = 96;

#[derive(Serialize)]
struct Pair<'a> {
    key: &'a str,
    value: String,
    /// Values are binary, and JSON strings are not.
    base64: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

/// The envelope of every JSON answer.
#[derive(Deserialize)]
pub(crate) struct Envelope<T> {
    pub success: bool,
    #[serde(default)]
    pub errors: Vec<Notice>,
    pub result: Option<T>,
    pub result_info: Option<ResultInfo>,
}

#[derive(Deserialize)]
pub(crate) struct Notice {
    #[serde(default)]
    pub code: i64,
    #[serde(default)]
    pub message: String,
}

#[derive(Deserialize)]
pub(crate) struct ResultInfo {
    #[serde(default)]
    cursor: Option<String>,
}

#[derive(Deserialize, Default)]
struct BulkResult {
    #[serde(default)]
    unsuccessful_keys: Option<HashSet<String>>,
}

#[derive(Deserialize)]
struct ListedKey {
    name: String,
    #[serde(default)]
    expiration: Option<f64>,
    #[serde(default)]
    metadata: Option<Box<RawValue>>,
}

pub(crate) fn bulk_write(blobs: &[&Blob]) -> PortResult<Bytes> {
    let pairs = blobs
        .iter()
        .map(|blob| {
            let metadata = blob
                .metadata
                .as_deref()
                .map(serde_json::from_str)
                .transpose();
            Ok(Pair {
                key: &blob.key,
                value: STANDARD.encode(&blob.value),
                base64: true,
                expiration_ttl: blob.ttl_s,
                metadata: metadata.map_err(|e| not_json(blob, e))?,
            })
        })
        .collect::<PortResult<Vec<_>>>()?;
    to_json(&pairs)
}

pub(crate) fn bulk_delete(keys: &[&str]) -> PortResult<Bytes> {
    to_json(&keys)
}

pub(crate) fn unsuccessful_keys(answer: &Bytes) -> PortResult<HashSet<String>> {
    let result: Option<BulkResult> = open(answer)?.result;
    Ok(result
        .unwrap_or_default()
        .unsuccessful_keys
        .unwrap_or_default())
}

pub(crate) fn metadata(answer: &Bytes) -> PortResult<Option<String>> {
    let result: Option<Box<RawValue>> = open(answer)?.result;
    Ok(result
        .map(|raw| raw.get().to_owned())
        .filter(|raw| raw != "null"))
}

/// A page of a listing: `limit` of the keys after the first `skip`.
pub(crate) fn listing(
    answer: &Bytes,
    skip: usize,
    cursor: &str,
    limit: usize,
) -> PortResult<BlobListing> {
    let envelope: Envelope<Vec<ListedKey>> = open(answer)?;
    let keys = envelope.result.unwrap_or_default();
    let next_cursor = envelope
        .result_info
        .and_then(|info| info.cursor)
        .unwrap_or_default();
    let next = if keys.len() > skip.saturating_add(limit) {
        Some(format!("{}:{cursor}", skip + limit))
    } else {
        Some(next_cursor)
            .filter(|next| !next.is_empty())
            .map(|next| format!("0:{next}"))
    };
    let entries = keys
        .into_iter()
        .skip(skip)
        .take(limit)
        .map(|key| BlobEntry {
            key: key.name,
            expires_s: key.expiration.map(|at| at as i64),
            metadata: key
                .metadata
                .map(|raw| raw.get().to_owned())
                .filter(|raw| raw != "null"),
        })
        .collect();
    Ok(BlobListing { entries, next })
}

/// Splits a batch into calls of bounded size; a value is at most 34 MB in base64, so one always fits.
pub(crate) fn groups(blobs: Vec<Blob>) -> Vec<Vec<Blob>> {
    let mut groups: Vec<Vec<Blob>> = Vec::new();
    let mut bytes = 0;
    for blob in blobs {
        // Control characters and quotes of a key take up to six bytes each.
        let size = PAIR_FRAME_BYTES
            + blob.key.len() * 6
            + blob.value.len().div_ceil(3) * 4
            + blob.metadata.as_ref().map_or(0, String::len);
        let full = groups.last().is_none_or(|group| group.len() == PAIRS_MAX);
        if full || bytes + size > BODY_BYTES_MAX {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(group) = groups.last_mut() {
            group.push(blob);
        }
    }
    groups
}

/// Refuses what Cloudflare would refuse, so that one bad blob never fails its call.
pub(crate) fn check(blob: &Blob) -> PortResult<()> {
    let invalid = |message: String| Err(PortError::new(PortErrorKind::Invalid, message));
    if matches!(blob.key.as_str(), "" | "." | "..") {
        return invalid(format!(
            "blob key \"{}\" is reserved; name it otherwise",
            blob.key
        ));
    }
    let metadata = blob.metadata.as_deref().unwrap_or("0");
    for (what, bytes, bytes_max) in [
        ("key", blob.key.len(), KEY_BYTES_MAX),
        ("value", blob.value.len(), BLOB_BYTES_MAX),
        ("metadata", metadata.len(), METADATA_BYTES_MAX),
    ] {
        if bytes > bytes_max {
            let message = format!(
                "a blob's {what} has {bytes} bytes, workers kv takes {bytes_max}; shorten it"
            );
            return Err(PortError::new(PortErrorKind::TooLarge, message));
        }
    }
    if let Some(ttl_s) = blob.ttl_s.filter(|ttl| *ttl < TTL_S_MIN) {
        return invalid(format!(
            "blob \"{}\" lives {ttl_s} s, workers kv takes {TTL_S_MIN} s and more; raise it",
            blob.key
        ));
    }
    serde_json::from_str::<&RawValue>(metadata)
        .map(|_| ())
        .map_err(|e| not_json(blob, e))
}

/// Percent-encodes everything but unreserved characters (RFC 3986).
pub(crate) fn encode_component(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn open<'a, T: Deserialize<'a>>(answer: &'a Bytes) -> PortResult<Envelope<T>> {
    serde_json::from_slice(answer).map_err(|e| {
        let message = "cloudflare answered something that is not its documented json; \
                       check the api base url, then retry";
        PortError::new(PortErrorKind::Corrupt, message).with_source(e)
    })
}

fn to_json(value: &impl Serialize) -> PortResult<Bytes> {
    let json = serde_json::to_vec(value).map_err(|e| {
        PortError::new(PortErrorKind::Invalid, "a batch cannot be written as json").with_source(e)
    })?;
    Ok(Bytes::from(json))
}

fn not_json(blob: &Blob, error: serde_json::Error) -> PortError {
    let message = format!(
        "the metadata of blob \"{}\" is not json; write it as json",
        blob.key
    );
    PortError::new(PortErrorKind::Invalid, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_stay_below_cloudflares_limits_and_lose_nothing() {
        let many: Vec<_> = (0..25_001).map(|n| Blob::new(n.to_string(), "x")).collect();
        let sizes: Vec<_> = groups(many).iter().map(Vec::len).collect();
        assert_eq!(sizes, [10_000, 10_000, 5_001]);
        let large: Vec<_> = (0..3)
            .map(|n| Blob::new(n.to_string(), vec![0; BLOB_BYTES_MAX]))
            .collect();
        for group in groups(large) {
            let body = bulk_write(&group.iter().collect::<Vec<_>>()).unwrap();
            assert!(body.len() <= BODY_BYTES_MAX, "{}", body.len());
        }
    }

    #[test]
    fn a_pair_is_written_as_documented() {
        let blob = Blob {
            ttl_s: Some(60),
            metadata: Some(r#"{"a":1}"#.to_owned()),
            ..Blob::new("u/1", vec![0xff, 0])
        };
        let body = bulk_write(&[&blob]).unwrap();
        let expected = r#"[{"key":"u/1","value":"/wA=","base64":true,"expiration_ttl":60,"metadata":{"a":1}}]"#;
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }

    #[test]
    fn a_small_page_of_a_larger_one_goes_on_where_it_stopped() {
        let answer = Bytes::from_static(
            br#"{"success":true,"result":[{"name":"a"},{"name":"b"},{"name":"c"}],"result_info":{"cursor":"N"}}"#,
        );
        let first = listing(&answer, 0, "", 2).unwrap();
        assert_eq!(
            (first.entries.len(), first.next.as_deref()),
            (2, Some("2:"))
        );
        let second = listing(&answer, 2, "", 2).unwrap();
        assert_eq!(
            (second.entries[0].key.as_str(), second.next.as_deref()),
            ("c", Some("0:N"))
        );
    }
}

//! Signed WordPress webhooks: what a publisher's plugin posts when an item appears, changes or goes.
//!
//! `X-MediaFlow-Signature: sha256=hex(HMAC-SHA256(secret, timestamp + "." + body))` with the timestamp in unix
//! seconds in `X-MediaFlow-Timestamp` and a unique id in `X-MediaFlow-Delivery`. The body is the post as the REST API
//! embeds it, so one parser serves both.

use crate::cms::{Shelf, wordpress};
use crate::world::{Item, State};
use hmac::{Hmac, KeyInit, Mac};
use mediaflow_shared::time::Timestamp;
use sha2::Sha256;

/// One delivery, ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// `X-MediaFlow-Signature`.
    pub signature: String,
    /// `X-MediaFlow-Timestamp`.
    pub timestamp: String,
    /// `X-MediaFlow-Delivery`.
    pub delivery: String,
    /// JSON body.
    pub body: String,
}

/// Signs a body as of `sent_s` (unix seconds): `sha256=` and 64 hex digits.
#[must_use]
pub fn sign(secret: &[u8], sent_s: i64, body: &str) -> String {
    // HMAC takes a key of any length; the error type exists for other MACs.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(sent_s.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let hex: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    format!("sha256={hex}")
}

/// The delivery for an item in a state. `root` is where the simulated CMS answers; `sent` is the real time.
#[must_use]
pub fn delivery(item: &Item, state: State, root: &str, secret: &[u8], sent: Timestamp) -> Delivery {
    let base = format!("{root}/{}", item.brand().source);
    let shelf = Shelf {
        base: &base,
        root,
        trusted: true,
        items: Vec::new(),
    };
    let body = wordpress::post(item, state, &shelf, true).to_string();
    let sent_s = sent.0.div_euclid(1000);
    Delivery {
        signature: sign(secret, sent_s, &body),
        timestamp: sent_s.to_string(),
        delivery: format!(
            "{}-{}-{}",
            item.content_id(),
            state.modified.0,
            u8::from(state.live)
        ),
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_openssl_says() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let expected = "sha256=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(sign(b"secret", 1_700_000_000, "{\"a\":1}"), expected);
    }
}

//! Configuration for tests.

use crate::config::{Brand, Config, Keys, TokenKey};

/// Fixed keys.
pub fn keys() -> Keys {
    Keys {
        tokens: vec![TokenKey {
            kid: 1,
            key: [5; 32],
        }],
        reader: [6; 32],
        exposure: [7; 16],
        login: [8; 32],
        edge_token: "edge-secret".into(),
    }
}

/// Two brands with two and one surfaces.
pub fn config() -> Config {
    Config::from_vars(|name| {
        let value = match name {
            "MEDIAFLOW_TOKEN_KEYS" => format!("1:{}", "05".repeat(32)),
            "MEDIAFLOW_READER_KEY" => "06".repeat(32),
            "MEDIAFLOW_EXPOSURE_KEY" => "07".repeat(16),
            "MEDIAFLOW_LOGIN_KEY" => "08".repeat(32),
            "MEDIAFLOW_EDGE_TOKEN" => "edge-secret".into(),
            "MEDIAFLOW_SECURE_COOKIES" => "off".into(),
            "MEDIAFLOW_BRANDS" => r#"[
                {"slug":"daily","title":"The Daily","home_url":"https://daily.example","languages":["en"],
                 "surfaces":["home","sport"],"origins":["https://daily.example"],
                 "default_feed":[{"title":"The Daily's front page","url":"https://daily.example/"}]},
                {"slug":"other","title":"The Other","surfaces":["home"]}]"#
                .into(),
            _ => return None,
        };
        Some(value)
    })
    .unwrap()
}

/// One of its brands.
pub fn brand(slug: &str) -> Brand {
    config().brand(slug).unwrap().clone()
}

//! Configuration under which MediaFlow reads the simulated publishers: brands, sources, webhook secrets.
//!
//! [`brands_toml`] is the `[[brand]]` part of `mediaflow.toml`, [`sources_toml`] the file of sources that ingest
//! reads, [`webhook_secrets`] what both sides of the webhooks share. Text only: nothing is written to disk here.

mod fields;

use crate::brands::{BRANDS, Brand, Wire};
use crate::rng::Rng;
use mediaflow_shared::topics;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A TOML basic string: JSON's escapes are among TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Sections of a brand besides its home page: its two strongest topics.
#[must_use]
pub fn sections(brand: &Brand) -> Vec<&'static topics::Topic> {
    let mut own: Vec<_> = brand.topics.iter().collect();
    own.sort_by(|a, b| b.1.total_cmp(&a.1));
    let found = own
        .iter()
        .filter_map(|(slug, _)| topics::index(slug).and_then(topics::topic));
    found.take(2).collect()
}

/// The twelve brands for `mediaflow.toml`: home page, two sections, and each CMS's category names mapped to ours.
#[must_use]
pub fn brands_toml() -> String {
    let mut out = String::new();
    for b in &BRANDS {
        let sections = sections(b).into_iter().map(|t| {
            let slug = quoted(t.slug);
            format!(
                "{{ slug = {slug}, title = {}, topic = {slug} }}",
                quoted(&b.section_title(t))
            )
        });
        let surfaces: Vec<String> = std::iter::once(String::from("\"home\""))
            .chain(sections)
            .collect();
        let _ = writeln!(
            out,
            "[[brand]]\nslug = {}\ntitle = {}\nhome_url = {}\nlanguages = [{}]\nsurfaces = [{}]\n\n[brand.taxonomy]",
            quoted(b.slug),
            quoted(b.name),
            quoted(b.site),
            quoted(b.language.code()),
            surfaces.join(", "),
        );
        for (name, topic) in b.taxonomy() {
            let slug = topics::topic(topic).map_or("", |t| t.slug);
            let _ = writeln!(out, "{} = {}", quoted(&name), quoted(slug));
        }
        out.push('\n');
    }
    out
}

/// The file of sources for ingest, with every system below `base_url` (the URL of [`crate::serve()`]'s server).
#[must_use]
pub fn sources_toml(base_url: &str, poll_s: u32) -> String {
    let base_url = base_url.trim_end_matches('/');
    let mut out = String::new();
    for b in &BRANDS {
        fields::source(&mut out, b, base_url, poll_s);
    }
    out
}

/// A webhook secret for each WordPress source, made from a seed: for simulations only.
#[must_use]
pub fn webhook_secrets(seed: u64) -> BTreeMap<String, Vec<u8>> {
    let sources = BRANDS
        .iter()
        .enumerate()
        .filter(|(_, b)| b.wire == Wire::Wordpress);
    let secret = |i: usize| {
        let mut r = Rng::of(seed, &[0x5ec2e7, i as u64]);
        (0..4).flat_map(|_| r.bits().to_be_bytes()).collect()
    };
    sources
        .map(|(i, b)| (b.source.to_owned(), secret(i)))
        .collect()
}

/// The secrets as `MEDIAFLOW_WEBHOOK_SECRETS` takes them: `source:hex,source:hex`.
#[must_use]
pub fn webhook_secrets_text(secrets: &BTreeMap<String, Vec<u8>>) -> String {
    let hex = |s: &[u8]| s.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let all: Vec<String> = secrets
        .iter()
        .map(|(source, s)| format!("{source}:{}", hex(s)))
        .collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mediaflow_shared::id::check_slug;

    #[test]
    fn every_brand_has_a_home_page_two_sections_and_a_taxonomy() {
        let all: toml::Table = toml::from_str(&brands_toml()).unwrap();
        let brands = all["brand"].as_array().unwrap();
        assert_eq!(brands.len(), 12);
        for b in brands {
            let surfaces = b["surfaces"].as_array().unwrap();
            assert_eq!((surfaces.len(), surfaces[0].as_str()), (3, Some("home")));
            for s in &surfaces[1..] {
                assert!(
                    topics::index(s["topic"].as_str().unwrap()).is_some() && s["title"].is_str()
                );
                assert!(check_slug(s["slug"].as_str().unwrap()).is_ok());
            }
            assert!(b["taxonomy"].as_table().unwrap().len() >= 12);
        }
    }

    #[test]
    fn every_source_is_listed_with_its_brand() {
        let all: toml::Table = toml::from_str(&sources_toml("http://127.0.0.1:9/", 30)).unwrap();
        let sources = all["source"].as_array().unwrap();
        assert_eq!(sources.len(), 12);
        assert!(sources.iter().all(|s| {
            s["base_url"]
                .as_str()
                .unwrap()
                .starts_with("http://127.0.0.1:9/")
        }));
    }

    #[test]
    fn five_sources_share_a_secret() {
        let secrets = webhook_secrets(1);
        assert_eq!(
            (
                secrets.len(),
                webhook_secrets_text(&secrets).split(',').count()
            ),
            (5, 5)
        );
        assert!(secrets.values().all(|s| s.len() == 32));
        assert_eq!(secrets, webhook_secrets(1));
    }
}

//! Drupal: nodes of JSON:API ([`node`]), polled by time of change, and the folder format of the Umami
//! demonstration content ([`umami`]).

pub mod node;
pub mod umami;

use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use crate::error::IngestResult;
use crate::intake::Taken;
use crate::limits::{CURSOR_OVERLAP_MS, DRUPAL_PAGE, PAGES_A_POLL};
use crate::poll::Poller;

/// Reads every node type from its own cursor on, following `links.next`, oldest change first.
pub(crate) async fn poll(p: &Poller) -> IngestResult<Taken> {
    let mut taken = Taken::default();
    for node_type in &p.source.node_types {
        taken += poll_type(p, node_type).await?;
    }
    Ok(taken)
}

async fn poll_type(p: &Poller, node_type: &str) -> IngestResult<Taken> {
    let mut cursor = p.cursor().await?;
    let mut taken = Taken::default();
    let seen_s = cursor.changed_s_of.get(node_type).copied();
    let since_s = seen_s.map(|s| s - CURSOR_OVERLAP_MS / 1_000);
    let base = p.source.url()?;
    let mut url = nodes_url(&base, node_type, since_s, &p.source.include);
    for _ in 0..PAGES_A_POLL {
        let answer = p
            .fetch
            .get(&url, "application/vnd.api+json", HeaderMap::new())
            .await?;
        let page: Value = p.fetch.json(&answer.body)?;
        let items = node::items(&page, &p.source, &base, p.intake.now());
        taken += p.intake.submit(items).await?;
        let changed = page
            .pointer("/data")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let newest_s = changed.filter_map(node::changed_s).max();
        if newest_s > cursor.changed_s_of.get(node_type).copied() {
            cursor
                .changed_s_of
                .extend(newest_s.map(|s| (node_type.to_owned(), s)));
            p.remember(&cursor).await?;
        }
        let next = page
            .pointer("/links/next/href")
            .or_else(|| page.pointer("/links/next"));
        let Some(next) = next.and_then(Value::as_str) else {
            break;
        };
        let next = base.join(next).ok().filter(|n| n.origin() == base.origin());
        url = next.ok_or_else(|| {
            p.fetch.error(
                "links.next leads to another host",
                "check the site's base URL",
                None,
            )
        })?;
    }
    Ok(taken)
}

fn nodes_url(base: &Url, node_type: &str, since_s: Option<i64>, include: &[String]) -> Url {
    let mut url = base.clone();
    let root = base.path().trim_end_matches('/');
    url.set_path(&format!("{root}/jsonapi/node/{node_type}"));
    {
        let mut q = url.query_pairs_mut();
        q.append_pair("sort", "changed");
        if let Some(since) = since_s {
            q.append_pair("filter[since][condition][path]", "changed");
            q.append_pair("filter[since][condition][operator]", ">=");
            q.append_pair("filter[since][condition][value]", &since.to_string());
        }
        if !include.is_empty() {
            q.append_pair("include", &include.join(","));
        }
        q.append_pair("page[limit]", &DRUPAL_PAGE.to_string());
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_that_of_json_api() {
        let base = Url::parse("https://umami.example").unwrap();
        let url = nodes_url(&base, "recipe", Some(1_795_248_000), &["uid".to_owned()]);
        let query: Vec<_> = url.query_pairs().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(url.path(), "/jsonapi/node/recipe");
        assert!(query.contains(&"filter[since][condition][value]=1795248000".to_owned()));
        assert!(query.contains(&"page[limit]=50".to_owned()), "{query:?}");
    }
}

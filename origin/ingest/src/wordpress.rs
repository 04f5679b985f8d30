//! WordPress: the REST API's posts ([`post`]), the export format WXR ([`wxr`]), polling by the time of
//! change. Deleted posts do not show in the public REST API: they come by webhook.

pub mod post;
pub mod wxr;

use jiff::Timestamp as Instant;
use mediaflow_shared::time::Timestamp;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use crate::error::IngestResult;
use crate::intake::Taken;
use crate::limits::{CURSOR_OVERLAP_MS, PAGES_A_POLL, WORDPRESS_PAGE};
use crate::poll::Poller;

/// Reads what changed since the cursor, oldest change first.
///
/// Each page asks anew from the last change seen instead of turning pages: a post that is saved
/// meanwhile moves to the end, and turning pages would then skip another. Pages are turned only
/// within one second.
pub(crate) async fn poll(p: &Poller) -> IngestResult<Taken> {
    let mut cursor = p.cursor().await?;
    let mut taken = Taken::default();
    let mut after_ms = cursor.changed_ms.map(|ms| ms - CURSOR_OVERLAP_MS);
    let mut page = 1;
    for _ in 0..PAGES_A_POLL {
        let url = posts_url(&p.source.url()?, after_ms, page);
        let answer = p
            .fetch
            .get(&url, "application/json", HeaderMap::new())
            .await?;
        let posts: Vec<Value> = p.fetch.json(&answer.body)?;
        let now = p.intake.now();
        let items: Vec<_> = posts
            .iter()
            .filter_map(|v| post::item(v, &p.source, now))
            .collect();
        taken += p.intake.submit(items).await?;
        let newest = posts.iter().filter_map(changed_ms).max();
        if let Some(newest) = newest.filter(|n| cursor.changed_ms.is_none_or(|c| *n > c)) {
            cursor.changed_ms = Some(newest);
            p.remember(&cursor).await?;
        }
        if posts.len() < WORDPRESS_PAGE {
            break;
        }
        // `modified_after` excludes its own second; one less includes it again.
        let next = newest.map(|n| n - 1_000);
        if next > after_ms {
            (after_ms, page) = (next, 1);
        } else {
            page += 1;
        }
    }
    Ok(taken)
}

fn changed_ms(post: &Value) -> Option<i64> {
    let text = post.get("modified_gmt")?.as_str()?;
    Timestamp::parse(text).ok().map(|t| t.0)
}

fn posts_url(base: &Url, after_ms: Option<i64>, page: usize) -> Url {
    let mut url = base.clone();
    let path = format!("{}/wp-json/wp/v2/posts", base.path().trim_end_matches('/'));
    url.set_path(&path);
    {
        let mut q = url.query_pairs_mut();
        if let Some(after) = after_ms.and_then(|ms| Instant::from_millisecond(ms).ok()) {
            q.append_pair(
                "modified_after",
                &after.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            );
        }
        q.append_pair("orderby", "modified");
        q.append_pair("order", "asc");
        q.append_pair("per_page", &WORDPRESS_PAGE.to_string());
        q.append_pair("page", &page.to_string());
        q.append_pair("_embed", "author,wp:term,wp:featuredmedia");
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_that_of_the_rest_api() {
        let base = Url::parse("https://daily.example/blog/").unwrap();
        let url = posts_url(&base, Some(1_795_248_000_000), 2);
        assert_eq!(
            url.as_str(),
            "https://daily.example/blog/wp-json/wp/v2/posts?modified_after=2026-11-21T08%3A00%3A00Z\
             &orderby=modified&order=asc&per_page=100&page=2&_embed=author%2Cwp%3Aterm%2Cwp%3Afeaturedmedia"
        );
    }
}

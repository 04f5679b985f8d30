//! An article, for tests that need one.

use crate::content::{
    CONTENT_VERSION, Content, Kind, MediaAsset, Metadata, Nlp, SourceCms, Status, TopicWeight,
};
use crate::id::ContentId;
use crate::time::Timestamp;

/// A German article about football with everything an article can have.
#[must_use]
pub fn article() -> Content {
    let at = Timestamp(1_795_248_000_000);
    Content {
        version: CONTENT_VERSION,
        content_id: ContentId::of("wp", "42"),
        title: "\"Größe\" <b>counts".into(),
        body: "Text of the article.".into(),
        summary: "What happened".into(),
        source_cms: SourceCms::Wordpress,
        source: "wp".into(),
        original_id: "42".into(),
        brand: "daily".into(),
        author: "Ann Author".into(),
        published_at: at,
        updated_at: at,
        embargo_until: None,
        expires_at: None,
        categories: vec!["Sport".into()],
        tags: vec!["one".into(), "two".into()],
        cast: vec!["Ada Actor".into()],
        media_assets: vec![MediaAsset {
            kind: "image".into(),
            url: "https://daily.example/i.jpg".into(),
            alt: String::new(),
        }],
        url: "https://daily.example/a?b=1&c=2".into(),
        series: Some("Cup".into()),
        kind: Kind::Article,
        status: Status::Published,
        metadata: Metadata {
            word_count: 640,
            reading_time_min: 3,
            language: "de".into(),
            ingested_at: at,
        },
        nlp: Nlp {
            topics: vec![
                TopicWeight {
                    topic: "football".into(),
                    weight: 120,
                },
                TopicWeight {
                    topic: "sport".into(),
                    weight: 50,
                },
            ],
            entities: vec!["Ajax".into()],
            sentiment: 0.25,
            readability: 9,
            language: "de".into(),
            embedding_id: "0".into(),
            simhash: ContentId(1),
        },
    }
}

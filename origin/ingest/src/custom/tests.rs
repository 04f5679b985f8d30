use super::*;
use crate::source::parse_sources;
use mediaflow_shared::content::{Kind, Status};

fn sample(name: &str) -> SourceConfig {
    let path = format!("{}/samples/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    parse_sources(&std::fs::read_to_string(path).unwrap())
        .unwrap()
        .remove(0)
}

#[test]
fn nested_json_with_local_times_is_read() {
    let doc = r#"{"data":{"cursor":"c9","items":[
        {"uid":17,"headline":"Börse","text":{"html":"<p>x</p>","teaser":"t"},"byline":{"first":"Eva","last":"Kern"},
         "pub":"21.11.2026 09:30","changed":"21.11.2026 10:00:05","sections":[{"name":"Wirtschaft"},{"name":"Geld"}],
         "keywords":"DAX, Zinsen,","credits":[{"name":"Ann Actor","role":"Lead"},{"name":"Bob Star"}],"pictures":[{"src":"https://k/i.jpg","caption":"i"}],"state":"live",
         "permalink":"https://k/17"},
        {"uid":18,"state":"killed"}, {"uid":19,"state":"odd"}, {"headline":"no id"}]}}"#;
    let (items, document) = items(doc.as_bytes(), &sample("custom-json"), Timestamp(1)).unwrap();
    assert_eq!(items.len(), 3);
    let i = &items[0];
    assert_eq!(
        (i.original_id.as_str(), i.author.as_deref()),
        ("17", Some("Eva Kern"))
    );
    assert_eq!(
        i.published,
        RawTime::Text("2026-11-21T08:30:00Z".into()),
        "Berlin is an hour ahead"
    );
    assert_eq!(i.modified, RawTime::Text("2026-11-21T09:00:05Z".into()));
    assert_eq!(
        (i.categories.len(), &i.tags[..]),
        (2, &["DAX".to_owned(), "Zinsen".to_owned()][..])
    );
    assert_eq!(i.cast, ["Ann Actor", "Bob Star"]);
    assert_eq!(
        (i.images[0].alt.as_str(), i.language.as_deref()),
        ("i", Some("de"))
    );
    let states: Vec<_> = items.iter().map(|i| i.status).collect();
    assert_eq!(
        states,
        [Status::Published, Status::Unpublished, Status::Draft]
    );
    assert_eq!(text_at(&document, "/data/cursor").as_deref(), Some("c9"));
}

#[test]
fn an_object_of_items_with_epoch_times_is_read() {
    let doc = r#"{"entries":{"a":{"sys":{"id":"a","firstPublishedAt":1795248000000,"updatedAt":1795248000,
        "contentType":"clip","archived":false},"fields":{"title":{"en-US":"T"},"tags":{"en-US":["x","y"]},
        "hero":{"en-US":{"url":"https://l/h.jpg","title":"h"}},"video":{"en-US":{"url":"https://l/v.mp4","contentType":"video/mp4"}},
        "course":{"en-US":"Maths"}}},"b":{"sys":{"id":"b","archived":true}}}}"#;
    let (items, _) = items(doc.as_bytes(), &sample("custom-keyed"), Timestamp(1)).unwrap();
    let a = &items[0];
    assert_eq!(
        (a.kind, a.series.as_deref(), a.tags.len()),
        (Kind::Video, Some("Maths"), 2)
    );
    assert_eq!(a.published, RawTime::Number(1_795_248_000_000.0));
    assert_eq!(
        (a.images.len(), a.media[0].kind.as_deref()),
        (1, Some("video/mp4"))
    );
    assert_eq!(items[1].status, Status::Unpublished);
}

#[test]
fn lines_of_json_are_read_and_pushed() {
    let doc = "{\"DOCID\":\"1\",\"HL\":\"H\",\"PD\":\"20261121\",\"SE\":\"2\",\"KW\":\"a;b\",\"IMG\":[\"https://t/1.jpg\"],\"ST\":\"P\"}\n\
               {\"DOCID\":\"2\",\"BY\":\"Ann\",\"ST\":\"L\"}\n";
    let source = sample("custom-jsonl");
    let (items, _) = items(doc.as_bytes(), &source, Timestamp(1)).unwrap();
    assert_eq!(
        items[0].published,
        RawTime::Text("2026-11-21T00:00:00Z".into())
    );
    assert_eq!(
        (
            items[0].categories[0].as_str(),
            items[0].images[0].url.as_str()
        ),
        ("biz", "https://t/1.jpg")
    );
    assert_eq!(items[0].author.as_deref(), Some("Tribune staff"));
    assert_eq!(items[1].status, Status::Takedown);
    let one = serde_json::json!({"DOCID": 3});
    assert_eq!(
        pushed(&one, &source, Timestamp(1))
            .unwrap()
            .unwrap()
            .original_id,
        "3"
    );
}

#[test]
fn a_document_of_another_shape_is_refused_by_name() {
    for doc in ["", "[]", "{\"data\":{\"items\":7}}", "<html>"] {
        let e = items(doc.as_bytes(), &sample("custom-json"), Timestamp(1))
            .unwrap_err()
            .to_string();
        assert!(e.contains("kurier-cms"), "{e}");
    }
}

#[test]
fn mappings_that_cannot_work_are_refused_at_start() {
    for (rules, why) in [
        ("id='uid'", "JSON pointer"),
        ("id='/uid'\nstatus={at='/s',map={a='gone'}}", "gone"),
        (
            "id='/uid'\npublished={at='/p',zone='Mars/Base'}",
            "Mars/Base",
        ),
        ("id='/uid'\nheadline='/h'", "headline"),
    ] {
        let text =
            format!("[[source]]\nslug='a'\nbrand='b'\nkind='custom'\n[source.mapping]\n{rules}");
        let e = parse_sources(&text).unwrap_err().to_string();
        assert!(e.contains(why), "{e}");
    }
}

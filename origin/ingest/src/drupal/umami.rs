//! The folder of the Umami demonstration content (`default_content/languages/xx`): CSV tables whose
//! bodies are HTML files beside them.

use mediaflow_shared::content::{CONTENT_VERSION, RawItem, RawMedia, SourceCms};
use mediaflow_shared::time::Timestamp;
use std::collections::HashMap;
use std::path::Path;

use super::node::kind;
use crate::error::{IngestError, IngestResult};
use crate::source::SourceConfig;

type Row = HashMap<String, String>;

/// The articles and recipes of the folder `dir`. The folder says no dates, so they are new now.
///
/// # Errors
/// [`IngestError`] naming the file that is missing or malformed.
pub fn read(dir: &Path, source: &SourceConfig, now: Timestamp) -> IngestResult<Vec<RawItem>> {
    let tags = terms(&dir.join("taxonomy_term/tags.csv"))?;
    let sections = terms(&dir.join("taxonomy_term/recipe_category.csv"))?;
    let images: HashMap<String, Row> = table(&dir.join("media/image.csv"))?
        .into_iter()
        .map(|r| (of(&r, "id"), r))
        .collect();
    let language = dir.file_name().map(|n| n.to_string_lossy().into_owned());
    let mut out = Vec::new();
    for (bundle, file, folder) in [
        ("article", "field_body", "article_body"),
        ("recipe", "recipe_instruction", "recipe_instructions"),
    ] {
        for row in table(&dir.join(format!("node/{bundle}.csv")))? {
            let path = dir.join(folder).join(of(&row, file));
            let mut body = std::fs::read_to_string(&path).map_err(|e| IngestError::io(&path, e))?;
            let ingredients = of(&row, "ingredients");
            if !ingredients.is_empty() {
                let rows = ingredients
                    .split(',')
                    .map(|i| format!("<li>{}</li>", i.trim()));
                body.push_str(&format!("<ul>{}</ul>", rows.collect::<String>()));
            }
            let named = |ids: &str, names: &HashMap<String, String>| -> Vec<String> {
                ids.split(',')
                    .filter_map(|id| names.get(id.trim()).cloned())
                    .collect()
            };
            let image = images.get(&of(&row, "image_reference"));
            out.push(RawItem {
                version: CONTENT_VERSION,
                source: source.slug.clone(),
                source_cms: SourceCms::Drupal,
                // Articles and recipes are numbered apart.
                original_id: format!("{bundle}/{}", of(&row, "id")),
                brand: source.brand.clone(),
                title: of(&row, "title"),
                body,
                summary: of(&row, "summary"),
                author: Some(of(&row, "author")),
                categories: named(&of(&row, "recipe_category"), &sections),
                tags: named(&of(&row, "tags"), &tags),
                images: image.into_iter().map(|i| media(i, source)).collect(),
                url: absolute(source, &of(&row, "slug")),
                language: language.clone(),
                kind: kind(bundle),
                ingested_at: now,
                ..RawItem::default()
            });
        }
    }
    Ok(out)
}

fn media(row: &Row, source: &SourceConfig) -> RawMedia {
    RawMedia {
        kind: None,
        url: absolute(source, &format!("sites/default/files/{}", of(row, "image"))),
        alt: of(row, "alt"),
    }
}

fn absolute(source: &SourceConfig, path: &str) -> String {
    source
        .url()
        .ok()
        .and_then(|b| b.join(path).ok())
        .map_or_else(String::new, String::from)
}

fn of(row: &Row, column: &str) -> String {
    row.get(column).cloned().unwrap_or_default()
}

fn terms(path: &Path) -> IngestResult<HashMap<String, String>> {
    Ok(table(path)?
        .into_iter()
        .map(|r| (of(&r, "id"), of(&r, "term")))
        .collect())
}

fn table(path: &Path) -> IngestResult<Vec<Row>> {
    let bad = |e: csv::Error| {
        IngestError::malformed(
            path.display().to_string(),
            e,
            "give a folder in Umami's format",
        )
    };
    let rows = csv::Reader::from_path(path)
        .map_err(bad)?
        .into_deserialize();
    rows.collect::<Result<_, _>>().map_err(bad)
}

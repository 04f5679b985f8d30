//! WordPress' export (WXR 1.0 to 1.2): RSS with the `wp:` vocabulary, read as a stream.
//!
//! Attachments and authors may stand behind the posts that use them, so a file is read twice: first for
//! attachments and authors, then for posts, of which only one is held at a time.

use mediaflow_shared::content::{CONTENT_VERSION, RawItem, RawMedia, RawTime, SourceCms, Status};
use mediaflow_shared::time::Timestamp;
use quick_xml::Reader;
use quick_xml::encoding::DecodingReader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;

use super::post::{CAST, kind_of, status_of};
use crate::error::{IngestError, IngestResult};
use crate::limits::FIELD_BYTES_MAX;
use crate::source::SourceConfig;

/// What the first reading finds.
#[derive(Debug, Default)]
struct Context {
    authors: HashMap<String, String>,
    attachments: HashMap<String, Attachment>,
    language: Option<String>,
}

#[derive(Debug, Clone)]
struct Attachment {
    parent: String,
    media: RawMedia,
}

/// One `<item>`, still in the words of the export.
#[derive(Debug, Default)]
struct Entry {
    fields: HashMap<String, String>,
    meta: HashMap<String, String>,
    categories: Vec<String>,
    tags: Vec<String>,
    cast: Vec<String>,
    format: String,
}

impl Entry {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |s| s.as_str())
    }
}

/// Reads the export at `path` and hands every post to `each` together with how many bytes of the file
/// are behind it. Pages, menus and attachments are not posts; attachments become media of their posts.
///
/// # Errors
/// [`IngestError::Io`], or [`IngestError::Malformed`] naming the byte where the XML breaks, or what
/// `each` answers.
pub fn read(
    path: &Path,
    source: &SourceConfig,
    now: Timestamp,
    mut each: impl FnMut(RawItem, u64) -> IngestResult<()>,
) -> IngestResult<()> {
    let mut file = File::open(path).map_err(|e| IngestError::io(path, e))?;
    let mut context = Context::default();
    scan(path, &mut file, |found, _| {
        context.learn(found);
        Ok(())
    })?;
    file.rewind().map_err(|e| IngestError::io(path, e))?;
    scan(path, &mut file, |found, at| match found {
        Found::Item(e) if e.field("wp:post_type") == "post" => {
            each(context.item(e, source, now), at)
        }
        _ => Ok(()),
    })
}

enum Found {
    Item(Entry),
    Author(HashMap<String, String>),
    Language(String),
}

impl Context {
    fn learn(&mut self, found: Found) {
        match found {
            Found::Author(f) => {
                let login = f.get("wp:author_login").cloned().unwrap_or_default();
                let name = f.get("wp:author_display_name").cloned().unwrap_or_default();
                self.authors.insert(login, name);
            }
            Found::Language(l) => self.language = Some(l),
            Found::Item(e) if e.field("wp:post_type") == "attachment" => {
                let media = RawMedia {
                    kind: None,
                    url: e.field("wp:attachment_url").to_owned(),
                    alt: e
                        .meta
                        .get("_wp_attachment_image_alt")
                        .cloned()
                        .unwrap_or_default(),
                };
                let media = RawMedia {
                    kind: kind_of_file(&media.url),
                    ..media
                };
                let parent = e.field("wp:post_parent").to_owned();
                self.attachments.insert(
                    e.field("wp:post_id").to_owned(),
                    Attachment { parent, media },
                );
            }
            Found::Item(_) => {}
        }
    }

    fn item(&self, e: Entry, source: &SourceConfig, now: Timestamp) -> RawItem {
        let status = e.field("wp:status");
        let published = time(&[
            e.field("wp:post_date_gmt"),
            e.field("pubDate"),
            e.field("wp:post_date"),
        ]);
        let locked = !e.field("wp:post_password").is_empty();
        let login = e.field("dc:creator");
        let author = self
            .authors
            .get(login)
            .filter(|n| !n.is_empty())
            .map_or(login, |n| n);
        RawItem {
            version: CONTENT_VERSION,
            source: source.slug.clone(),
            source_cms: SourceCms::Wordpress,
            original_id: e.field("wp:post_id").to_owned(),
            brand: source.brand.clone(),
            title: e.field("title").to_owned(),
            body: e.field("content:encoded").to_owned(),
            summary: e.field("excerpt:encoded").to_owned(),
            author: (!author.is_empty()).then(|| author.to_owned()),
            embargo_until: if status == "future" {
                published.clone()
            } else {
                RawTime::Missing
            },
            modified: match time(&[e.field("wp:post_modified_gmt")]) {
                // Exports before 5.7 do not say it; the publication orders them at least.
                RawTime::Missing => published.clone(),
                at => at,
            },
            published,
            images: self.images(&e),
            url: e.field("link").to_owned(),
            language: self.language.clone(),
            status: if locked {
                Status::Unpublished
            } else {
                status_of(status)
            },
            kind: kind_of(e.format.trim_start_matches("post-format-")),
            ingested_at: now,
            categories: e.categories,
            tags: e.tags,
            cast: e.cast,
            ..RawItem::default()
        }
    }

    /// The featured image first, then what was attached to the post, by id.
    fn images(&self, e: &Entry) -> Vec<RawMedia> {
        let featured = e
            .meta
            .get("_thumbnail_id")
            .and_then(|id| self.attachments.get(id));
        let id = e.field("wp:post_id");
        let mut own: Vec<_> = self
            .attachments
            .iter()
            .filter(|(_, a)| a.parent == id)
            .collect();
        own.sort_by_key(|(id, _)| id.parse::<u64>().unwrap_or(u64::MAX));
        let own = own.into_iter().map(|(_, a)| a);
        featured
            .into_iter()
            .chain(own)
            .map(|a| a.media.clone())
            .collect()
    }
}

fn kind_of_file(url: &str) -> Option<String> {
    let end = url.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
    let kind = match end.as_str() {
        "mp4" | "m4v" | "mov" | "webm" | "ogv" | "avi" | "wmv" => "video",
        "mp3" | "m4a" | "ogg" | "wav" | "flac" => "audio",
        "pdf" | "doc" | "docx" | "zip" | "xls" | "ppt" => "file",
        _ => return None,
    };
    Some(kind.to_owned())
}

/// The first that is a time; drafts carry `0000-00-00 00:00:00`.
fn time(candidates: &[&str]) -> RawTime {
    let given = candidates
        .iter()
        .find(|t| !t.is_empty() && !t.starts_with("0000"));
    given.map_or(RawTime::Missing, |t| RawTime::Text((*t).to_owned()))
}

fn scan(
    path: &Path,
    file: &mut File,
    found: impl FnMut(Found, u64) -> IngestResult<()>,
) -> IngestResult<()> {
    let counted = Counted {
        inner: file,
        bytes: 0,
    };
    let mut s = Scanner {
        path,
        found,
        reader: Reader::from_reader(DecodingReader::new(BufReader::new(counted))),
    };
    s.run()
}

struct Counted<'a> {
    inner: &'a mut File,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.bytes += n as u64;
        Ok(n)
    }
}

struct Scanner<'p, R, F> {
    path: &'p Path,
    found: F,
    reader: Reader<R>,
}

impl<R: BufRead, F: FnMut(Found, u64) -> IngestResult<()>> Scanner<'_, R, F> {
    fn run(&mut self) -> IngestResult<()> {
        let mut buf = Vec::new();
        let mut rss = false;
        loop {
            match self.next(&mut buf)? {
                Event::Start(e) => {
                    let name = name_of(&e);
                    match name.as_str() {
                        "rss" => rss = true,
                        "channel" => {}
                        "item" => {
                            let item = self.item()?;
                            let at = self.reader.buffer_position();
                            (self.found)(Found::Item(item), at)?;
                        }
                        "wp:author" => {
                            let author = self.children("wp:author")?;
                            (self.found)(Found::Author(author), 0)?;
                        }
                        "language" => {
                            let language = self.text("language")?;
                            (self.found)(Found::Language(language), 0)?;
                        }
                        // Anything else of the channel may hold elements of the same names.
                        other => {
                            self.text(other)?;
                        }
                    }
                }
                Event::Eof if rss => return Ok(()),
                Event::Eof => {
                    return Err(
                        self.malformed("holds no <rss>", "export it anew with Tools → Export")
                    );
                }
                _ => {}
            }
            buf.clear();
        }
    }

    fn item(&mut self) -> IngestResult<Entry> {
        let mut entry = Entry::default();
        let mut buf = Vec::new();
        loop {
            match self.next(&mut buf)? {
                Event::Start(e) => {
                    let name = name_of(&e);
                    let (domain, nicename) = (attribute(&e, "domain"), attribute(&e, "nicename"));
                    match name.as_str() {
                        "category" => {
                            let term = self.text("category")?;
                            match domain.as_str() {
                                "category" if nicename != "uncategorized" => {
                                    entry.categories.push(term)
                                }
                                "post_tag" | "tag" => entry.tags.push(term),
                                "post_format" => entry.format = nicename,
                                taxonomy if CAST.contains(&taxonomy) => entry.cast.push(term),
                                _ => {}
                            }
                        }
                        "wp:postmeta" => {
                            let mut meta = self.children("wp:postmeta")?;
                            if let Some(key) = meta.remove("wp:meta_key") {
                                entry
                                    .meta
                                    .insert(key, meta.remove("wp:meta_value").unwrap_or_default());
                            }
                        }
                        "wp:comment" => {
                            self.text("wp:comment")?;
                        }
                        _ => {
                            let text = self.text(&name)?;
                            entry.fields.insert(name, text);
                        }
                    }
                }
                Event::End(e) if e.name().as_ref() == "item" => return Ok(entry),
                Event::Eof => return Err(self.malformed("ends within an item", "export it anew")),
                _ => {}
            }
            buf.clear();
        }
    }

    /// The texts of the child elements of `parent`.
    fn children(&mut self, parent: &str) -> IngestResult<HashMap<String, String>> {
        let mut out = HashMap::new();
        let mut buf = Vec::new();
        loop {
            match self.next(&mut buf)? {
                Event::Start(e) => {
                    let name = name_of(&e);
                    let text = self.text(&name)?;
                    out.insert(name, text);
                }
                Event::End(e) if e.name().as_ref() == parent => return Ok(out),
                Event::Eof => return Err(self.malformed("ends too early", "export it anew")),
                _ => {}
            }
            buf.clear();
        }
    }

    /// All text up to the end of the element `name`, whatever elements stand in between.
    fn text(&mut self, name: &str) -> IngestResult<String> {
        let mut out = String::new();
        let mut depth = 1usize;
        let mut buf = Vec::new();
        while depth > 0 {
            match self.next(&mut buf)? {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                Event::Text(t) => out.push_str(&t.xml10_content()),
                Event::CData(t) => out.push_str(&t.xml10_content()),
                Event::GeneralRef(r) => push_reference(&mut out, &r),
                Event::Eof => {
                    return Err(self.malformed(&format!("ends within <{name}>"), "export it anew"));
                }
                _ => {}
            }
            if out.len() > FIELD_BYTES_MAX {
                return Err(
                    self.malformed(&format!("<{name}> is larger than 8 MB"), "split the post")
                );
            }
            buf.clear();
        }
        let trimmed = out.trim();
        Ok(if trimmed.len() == out.len() {
            out
        } else {
            trimmed.to_owned()
        })
    }

    fn next<'b>(&mut self, buf: &'b mut Vec<u8>) -> IngestResult<Event<'b>> {
        let event = self.reader.read_event_into(buf);
        event.map_err(|e| {
            let at = self.reader.error_position();
            IngestError::malformed(
                format!("{}, byte {at}", self.path.display()),
                e,
                "the file is not well-formed XML; export it anew",
            )
        })
    }

    fn malformed(&self, reason: &str, remedy: &str) -> IngestError {
        IngestError::malformed(self.path.display().to_string(), reason, remedy)
    }
}

fn name_of(e: &BytesStart<'_>) -> String {
    e.name().as_ref().to_owned()
}

fn attribute(e: &BytesStart<'_>, name: &str) -> String {
    let found = e.try_get_attribute(name).ok().flatten();
    found.map(|a| a.value.into_owned()).unwrap_or_default()
}

/// The five entities of XML and numbers; an unknown name stays as it was written.
fn push_reference(out: &mut String, r: &BytesRef<'_>) {
    if let Ok(Some(c)) = r.resolve_char_ref() {
        out.push(c);
        return;
    }
    let name = r.xml10_content();
    match &*name {
        "amp" => out.push('&'),
        "lt" => out.push('<'),
        "gt" => out.push('>'),
        "quot" => out.push('"'),
        "apos" => out.push('\''),
        other => {
            out.push('&');
            out.push_str(other);
            out.push(';');
        }
    }
}

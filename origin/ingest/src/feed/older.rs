//! Older dialects, rewritten into what the parser reads: Atom 0.3 into Atom 1.0, and the elements of
//! RSS items that say the same under other names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

const ATOM_0_3: &str = "http://purl.org/atom/ns#";
const ATOM_1_0: &str = "http://www.w3.org/2005/Atom";
const RDF_0_9: [&str; 2] = [
    "http://my.netscape.com/rdf/simple/0.9/",
    "http://channel.netscape.com/rdf/simple/0.9/",
];
const RSS_1_0: &str = "http://purl.org/rss/1.0/";
const RSS_2_0: [&str; 4] = [
    " xmlns=\"http://backend.userland.com/rss2\"",
    " xmlns=\"http://backend.userland.com/RSS2\"",
    " xmlns=\"http://blogs.law.harvard.edu/tech/rss\"",
    " xmlns=\"http://purl.org/rss/2.0/\"",
];
const CONTENT: &str = "http://purl.org/rss/1.0/modules/content/";

#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    Atom03,
    Rss,
}

/// The document in a dialect the parser knows. Anything that is not well-formed stays as it is: the
/// parser says what is wrong with it.
pub(super) fn modernised(text: &str) -> Option<String> {
    let dialect = match () {
        () if text.contains(ATOM_0_3) => Dialect::Atom03,
        () if text.contains("<rss") => Dialect::Rss,
        () if RDF_0_9.iter().any(|n| text.contains(n)) => {
            return Some(
                RDF_0_9
                    .iter()
                    .fold(text.to_owned(), |t, n| t.replace(n, RSS_1_0)),
            );
        }
        () => return None,
    };
    let text = match dialect {
        Dialect::Atom03 => text.replace(ATOM_0_3, ATOM_1_0),
        // Some feeds declare a namespace for RSS 2.0, which has none.
        Dialect::Rss => RSS_2_0
            .iter()
            .fold(text.to_owned(), |t, n| t.replace(n, "")),
    };
    rewrite(&text, dialect).ok()
}

type Failure = Box<dyn std::error::Error>;

fn rewrite(text: &str, dialect: Dialect) -> Result<String, Failure> {
    let mut reader = Reader::from_str(text);
    let mut writer = Writer::new(Vec::with_capacity(text.len() + text.len() / 8));
    let mut path: Vec<String> = Vec::new();
    // What each open element is called in the output.
    let mut open: Vec<String> = Vec::new();
    loop {
        match reader.read_event()? {
            Event::Start(e) => {
                let name = e.name().as_ref().to_owned();
                if dialect == Dialect::Rss && holds_markup(&path, &name) {
                    let inner = reader.read_text(e.to_end().to_owned().name())?;
                    write_content(&mut writer, &inner)?;
                    continue;
                }
                if dialect == Dialect::Atom03 && is_base64(&e) {
                    let new = renamed(dialect, &path, &e)?;
                    let inner = reader.read_text(e.to_end().to_owned().name())?;
                    let inner: String = inner.split_whitespace().collect();
                    let text = String::from_utf8_lossy(&STANDARD.decode(inner)?).into_owned();
                    let end = new.to_end().into_owned();
                    writer.write_event(Event::Start(new))?;
                    writer.write_event(Event::Text(BytesText::new(&text)))?;
                    writer.write_event(Event::End(end))?;
                    continue;
                }
                let new = renamed(dialect, &path, &e)?;
                open.push(new.name().as_ref().to_owned());
                path.push(name);
                writer.write_event(Event::Start(new))?;
            }
            Event::Empty(e) => {
                let new = renamed(dialect, &path, &e)?;
                writer.write_event(Event::Empty(new))?;
            }
            Event::End(_) => {
                path.pop();
                let name = open.pop().ok_or("an end without a start")?;
                writer.write_event(Event::End(BytesEnd::new(name)))?;
            }
            Event::Eof if open.is_empty() => break,
            Event::Eof => return Err("ends too early".into()),
            other => writer.write_event(other)?,
        }
    }
    Ok(String::from_utf8(writer.into_inner())?)
}

/// `<xhtml:body>` and `<fullitem>` hold the whole text of an RSS item.
fn holds_markup(path: &[String], name: &str) -> bool {
    path.last().is_some_and(|p| p == "item") && matches!(local(name), "body" | "fullitem")
}

fn write_content(writer: &mut Writer<Vec<u8>>, inner: &str) -> Result<(), Failure> {
    let mut start = BytesStart::new("content:encoded");
    start.push_attribute(("xmlns:content", CONTENT));
    writer.write_event(Event::Start(start))?;
    let escaped = !inner.contains('<') || inner.trim_start().starts_with("<![CDATA[");
    // Text that is escaped already says its markup; elements are escaped here.
    let text = if escaped {
        BytesText::from_escaped(inner)
    } else {
        BytesText::new(inner)
    };
    writer.write_event(Event::Text(text))?;
    writer.write_event(Event::End(BytesEnd::new("content:encoded")))?;
    Ok(())
}

fn is_base64(e: &BytesStart<'_>) -> bool {
    let mode = e.try_get_attribute("mode").ok().flatten();
    mode.is_some_and(|m| m.value.eq_ignore_ascii_case("base64"))
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn renamed<'a>(
    dialect: Dialect,
    path: &[String],
    e: &BytesStart<'a>,
) -> Result<BytesStart<'a>, Failure> {
    let name = e.name().as_ref().to_owned();
    match dialect {
        Dialect::Atom03 => atom(&name, path, e),
        Dialect::Rss => {
            let item = path.last().is_some_and(|p| p == "item");
            let new = match name.as_str() {
                "dc:subject" | "media:category" | "itunes:category" if item => "category",
                "dc:author" if item => "dc:creator",
                "dcterms:issued" | "dcterms:created" if item => "pubDate",
                "dcterms:modified" if item => "updated",
                "dc:description" | "abstract" if item => "description",
                "dc:title" if item => "title",
                "dc:language" if path.last().is_some_and(|p| p == "channel") => "language",
                _ => return Ok(e.to_owned()),
            };
            let mut out = e.to_owned();
            out.set_name(new);
            Ok(out)
        }
    }
}

/// Atom 0.3 named some elements otherwise and described text by `type` and `mode`.
fn atom<'a>(name: &str, path: &[String], e: &BytesStart<'a>) -> Result<BytesStart<'a>, Failure> {
    // Only the children of feed, entry and source are Atom's; deeper is content.
    let ours = path
        .last()
        .is_none_or(|p| matches!(local(p), "feed" | "entry" | "source"));
    if !ours {
        return Ok(e.to_owned());
    }
    let prefix = &name[..name.len() - local(name).len()];
    let new = match local(name) {
        "tagline" => "subtitle",
        "copyright" => "rights",
        "modified" => "updated",
        "issued" => "published",
        other => other,
    };
    let text = matches!(
        new,
        "title" | "subtitle" | "rights" | "summary" | "content" | "info"
    );
    let mut out = BytesStart::new(format!("{prefix}{new}"));
    let (mut kind, mut mode) = (String::new(), String::new());
    for a in e.attributes() {
        let a = a?;
        match a.key.as_ref() {
            "type" if text => kind = a.value.to_ascii_lowercase(),
            "mode" if text => mode = a.value.to_ascii_lowercase(),
            _ => out.push_attribute(a),
        }
    }
    if text {
        let html = kind.contains("html") || kind.is_empty();
        let kind = match mode.as_str() {
            "escaped" | "base64" if html => "html",
            "escaped" | "base64" => "text",
            _ if kind.contains("html") => "xhtml",
            _ => "text",
        };
        out.push_attribute(("type", kind));
    }
    Ok(out)
}

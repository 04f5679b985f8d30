//! feedparser's suite on the fields we use. `MEDIAFLOW_WRITE_DOCS=1` writes docs/feedparser.md.
//!
//! Fields with markup are compared by the text that is left after sanitising, since that is all the
//! pipeline keeps; times by the instant.

use ammonia::Builder;
use feed_rs::model::Feed;
use mediaflow_shared::content::{RawItem, RawTime};
use mediaflow_shared::time::Timestamp;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::data;
use super::python::{Step, Stop, Value, holds};
use crate::fakes::source;
use crate::feed;

/// What a file came to.
enum Verdict {
    Holds,
    Fails(&'static str),
    /// It asks for nothing that we read.
    Other,
}

struct Case {
    name: String,
    expect: String,
    verdict: Verdict,
}

#[test]
fn nine_in_ten_expectations_of_feedparser_hold() {
    let test = "nine_in_ten_expectations_of_feedparser_hold";
    let Some(root) = data(test, "feedparser") else {
        return;
    };
    let mut doc = String::from(HEAD);
    let mut share = 0.0;
    for folder in ["wellformed", "encoding", "entities", "illformed"] {
        let cases = run(&root, folder);
        let used: Vec<&Case> = cases
            .iter()
            .filter(|c| !matches!(c.verdict, Verdict::Other))
            .collect();
        let held = used
            .iter()
            .filter(|c| matches!(c.verdict, Verdict::Holds))
            .count();
        let part = held as f64 / used.len().max(1) as f64;
        println!(
            "feedparser {folder}: {held} of {} hold ({:.1} %), {} files",
            used.len(),
            part * 100.0,
            cases.len()
        );
        if folder == "wellformed" {
            share = part;
        }
        describe(&mut doc, folder, &cases, held, used.len());
    }
    if std::env::var_os("MEDIAFLOW_WRITE_DOCS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/feedparser.md");
        std::fs::write(path, doc).unwrap();
    }
    assert!(
        share >= 0.9,
        "only {:.1} % of the expectations on well-formed files hold",
        share * 100.0
    );
}

const HEAD: &str = "# feedparser's suite\n\nWhich expectations of [feedparser](https://github.com/kurtmckee/feedparser)'s \
public test files hold for our feed connector, on the fields it uses: entry title, link, id, author, times, summary, \
content, tags, enclosures; feed title and language. Expectations on other fields do not count. Fields with markup are \
compared by the text that sanitising leaves, times by the instant.\n\nWritten by \
`MEDIAFLOW_WRITE_DOCS=1 cargo test -p mediaflow-ingest feedparser`.\n";

fn describe(doc: &mut String, folder: &str, cases: &[Case], held: usize, used: usize) {
    let percent = held as f64 * 100.0 / used.max(1) as f64;
    let total = cases.len();
    let _ = writeln!(
        doc,
        "\n## {folder}: {held} of {used} hold ({percent:.1} %); {total} files\n"
    );
    let mut reasons: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for c in cases {
        if let Verdict::Fails(why) = c.verdict {
            reasons.entry(why).or_default().push(c);
        }
    }
    for (why, cases) in reasons {
        let _ = writeln!(doc, "**{why}** ({})\n", cases.len());
        for c in cases {
            let expect: String = c.expect.chars().take(110).collect();
            let _ = writeln!(doc, "- `{}`: `{}`", c.name, expect.replace('`', "'"));
        }
        doc.push('\n');
    }
}

fn run(root: &Path, folder: &str) -> Vec<Case> {
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    files.sort();
    files.iter().filter_map(|f| case(root, f)).collect()
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|e| e == "xml") {
            out.push(path);
        }
    }
}

fn case(root: &Path, path: &Path) -> Option<Case> {
    let bytes = std::fs::read(path).unwrap();
    let name = path.strip_prefix(root).unwrap().display().to_string();
    // Only the comment is read this way; the parser gets the bytes.
    let text = feed::prepare::to_utf8(&bytes, None);
    let expect = text
        .lines()
        .find_map(|l| l.split_once("Expect:"))
        .map(|(_, e)| e.trim().to_owned())?;
    let content_type = header(&text, "content-type");
    let base = header(&text, "content-location");
    let url = format!("http://127.0.0.1:8097/tests/{name}");
    let base = base
        .as_deref()
        .or(expect.contains("127.0.0.1").then_some(url.as_str()));
    let parsed = feed::parse(&bytes, content_type.as_deref(), base).map(|f| {
        let items = feed::items(
            &bytes,
            content_type.as_deref(),
            base,
            &source("feed"),
            Timestamp(1),
        );
        (f, items.unwrap_or_default())
    });
    let parsed = parsed.ok();
    let look = |steps: &[Step]| look(steps, parsed.as_ref());
    let verdict = match holds(&expect, &look, reduce) {
        Err(_) => Verdict::Other,
        Ok(true) => Verdict::Holds,
        Ok(false) => Verdict::Fails(reason(&expect, &text, parsed.as_ref().map(|(f, _)| f))),
    };
    Some(Case {
        name,
        expect,
        verdict,
    })
}

/// `Header: name: value` of the comment.
fn header(text: &str, name: &str) -> Option<String> {
    text.lines().take(12).find_map(|l| {
        let (_, rest) = l.trim().split_once("eader:")?;
        let (n, v) = rest.split_once(':')?;
        n.trim()
            .eq_ignore_ascii_case(name)
            .then(|| v.trim().to_owned())
    })
}

fn look(steps: &[Step], parsed: Option<&(Feed, Vec<RawItem>)>) -> Result<Value, Stop> {
    let unused = || Err(Stop::Unused(format!("{steps:?}")));
    let names: Vec<&str> = steps
        .iter()
        .map(|s| match s {
            Step::Name(n) => n.as_str(),
            Step::Index(_) => "#",
        })
        .collect();
    let html = |t: Option<&str>| Ok(Value::Html(t.unwrap_or("").to_owned()));
    match names[..] {
        ["bozo"] => return Ok(Value::Bool(parsed.is_none())),
        ["feed", "title"] | ["feed", "title_detail", "value"] => {
            let title = parsed.and_then(|(f, _)| f.title.as_ref());
            return html(title.map(|t| t.content.as_str()));
        }
        ["feed", "language"] => {
            let language = parsed.and_then(|(f, _)| f.language.clone());
            return Ok(language.map_or(Value::None, |l| Value::Text(l.to_lowercase())));
        }
        ["entries", "#", ..] => {}
        _ => return unused(),
    }
    let index = |at: usize| match steps.get(at) {
        Some(Step::Index(i)) => *i,
        _ => usize::MAX,
    };
    let missing = RawItem::default();
    let item = parsed
        .and_then(|(_, items)| items.get(index(1)))
        .unwrap_or(&missing);
    let body = if item.body.is_empty() {
        &item.content
    } else {
        &item.body
    };
    let teaser = if item.summary.is_empty() {
        body
    } else {
        &item.summary
    };
    match names[2..] {
        ["title"] | ["title_detail", "value"] => html(Some(&item.title)),
        ["link"] => Ok(Value::Text(item.url.clone())),
        ["id"] | ["guid"] => Ok(Value::Text(item.original_id.clone())),
        ["author"] | ["author_detail", "name"] => html(item.author.as_deref()),
        ["summary"] | ["description"] | ["summary_detail", "value"] => html(Some(teaser)),
        ["content", "#", "value"] if index(3) == 0 => html(Some(body)),
        ["tags", "#", "term" | "label"] => html(item.categories.get(index(3)).map(String::as_str)),
        ["category"] => html(item.categories.first().map(String::as_str)),
        ["tags"] => Ok(Value::Length(item.categories.len())),
        ["enclosures"] => Ok(Value::Length(item.media.len())),
        ["enclosures", "#", "url" | "href"] => {
            html(item.media.get(index(3)).map(|m| m.url.as_str()))
        }
        ["enclosures", "#", "type"] => {
            html(item.media.get(index(3)).and_then(|m| m.kind.as_deref()))
        }
        ["published" | "published_parsed"] => Ok(time(&item.published)),
        ["updated" | "updated_parsed"] => Ok(time(&item.modified)),
        ["date" | "date_parsed" | "modified" | "modified_parsed"] => {
            let changed = time(&item.modified);
            Ok(if changed == Value::Time(None) {
                time(&item.published)
            } else {
                changed
            })
        }
        _ => unused(),
    }
}

fn time(raw: &RawTime) -> Value {
    Value::Time(match raw {
        RawTime::Number(ms) => Some(Timestamp(*ms as i64)),
        RawTime::Text(t) => instant(t),
        RawTime::Missing => None,
    })
}

/// The instant of a text in one of the spellings the suite uses.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    static RFC2822: jiff::fmt::rfc2822::DateTimeParser =
        jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    let rfc2822 = || {
        RFC2822
            .parse_timestamp(text)
            .ok()
            .map(|t| Timestamp(t.as_millisecond()))
    };
    Timestamp::parse(text).ok().or_else(rfc2822)
}

static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut b = Builder::empty();
    b.clean_content_tags(HashSet::from(["script", "style", "head", "noscript"]));
    b
});

/// What readers see of a fragment: its text, on one line.
fn reduce(html: &str) -> String {
    let text = CLEANER.clean(html).to_string();
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", " ")
        .replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn reason(expect: &str, text: &str, feed: Option<&Feed>) -> &'static str {
    let root = |name: &str| text.contains(&format!("<{name}"));
    match () {
        () if expect.starts_with("bozo") => "the parser takes what feedparser calls ill-formed",
        () if feed.is_none()
            && (root("channel") && text.to_lowercase().contains(".cdf")
                || expect.contains("cdf")) =>
        {
            "CDF, a format of 1997, is not read"
        }
        () if feed.is_none() => "the parser refuses the document",
        () if feed.is_some_and(|f| f.entries.is_empty()) => "the parser finds no entry",
        () if expect.contains("author") => {
            "author is written another way (feedparser adds e-mail or role)"
        }
        () if expect.contains("_parsed")
            || expect.contains("updated")
            || expect.contains("published") =>
        {
            "a time in a spelling or element that is not read"
        }
        () if expect.contains("'link'") || expect.contains(".link") => {
            "link resolved or chosen otherwise"
        }
        () if expect.contains("language") => "language inherited or written otherwise",
        () if expect.contains("tags") || expect.contains("categor") => "tags from other elements",
        () if expect.contains("enclosures") => "enclosure in an element that is not read",
        () if expect.contains("'id'") || expect.contains("guid") => "id chosen otherwise",
        () => "text taken from another element or decoded otherwise",
    }
}

//! The page a person browses: one table per entity, a search form that works without scripts, and, for one entity,
//! its values. Light, no third-party request.

use std::fmt::Write as _;

use super::list::{Entry, Filter};
use super::read::Answer;
use crate::declare::Entity;

const STYLE: &str = "body{font:16px/1.45 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1rem;color:#1b1b1b;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #ddd}\
code{font:.92em ui-monospace,monospace}td.value{font-variant-numeric:tabular-nums;white-space:nowrap}\
small{color:#555}form{display:flex;flex-wrap:wrap;gap:.5rem;margin:1rem 0}input,select,button{font:inherit;padding:.3rem .5rem}\
.scroll{overflow-x:auto}@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}th,td{border-color:#444}small{color:#aaa}}";

/// Escapes text for HTML.
fn text(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
<title>{title}</title><style>{STYLE}</style><main>{body}</main></html>",
        title = text(title)
    )
}

/// The catalogue: the entries found, grouped by entity.
pub(super) fn catalogue(filter: &Filter, entries: &[Entry]) -> String {
    let mut body = String::from("<h1>Features</h1>");
    let q = text(filter.q.as_deref().unwrap_or_default());
    let _ = write!(
        body,
        "<form role=\"search\" action=\"/features\"><label for=\"q\">Search</label>\
<input id=\"q\" name=\"q\" type=\"search\" value=\"{q}\" placeholder=\"name, owner, event, reader\">\
<label for=\"entity\">Entity</label><select id=\"entity\" name=\"entity\"><option value=\"\">all</option>"
    );
    for e in Entity::ALL {
        let chosen = filter.entity.as_deref() == Some(e.slug());
        let _ = write!(
            body,
            "<option{}>{}</option>",
            if chosen { " selected" } else { "" },
            e.slug()
        );
    }
    let _ = write!(
        body,
        "</select><button>Show</button></form><p>{} of {} features.</p>",
        entries.len(),
        crate::declare::all().len()
    );
    for e in Entity::ALL {
        let of: Vec<&Entry> = entries.iter().filter(|x| x.entity == e.slug()).collect();
        if of.is_empty() {
            continue;
        }
        let _ = write!(
            body,
            "<h2 id=\"{0}\">{0}</h2><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Feature<th scope=\"col\">Says\
<th scope=\"col\">Type<th scope=\"col\">Window<th scope=\"col\">Tier<th scope=\"col\">Owner<th scope=\"col\">Fed by<th scope=\"col\">Read by</thead><tbody>",
            e.slug()
        );
        for f in of {
            let _ = write!(
                body,
                "<tr><th scope=\"row\"><code>{}</code><br><small>v{}</small><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}",
                text(&f.name),
                f.version,
                text(&f.description),
                f.kind,
                f.window.unwrap_or("–"),
                f.tier,
                text(f.owner),
                text(&or_dash(&f.fed_by)),
                text(&or_dash(&f.read_by)),
            );
        }
        body.push_str("</tbody></table></div>");
    }
    document("Features · MediaFlow", &body)
}

fn or_dash(names: &[String]) -> String {
    match names {
        [] => "–".to_owned(),
        names => names.join(", "),
    }
}

/// One entity's values.
pub(super) fn entity(answer: &Answer) -> String {
    let mut body = format!(
        "<p><a href=\"/features#{0}\">All features</a></p><h1>{0} <code>{1}</code></h1><p>",
        answer.entity,
        text(&answer.id)
    );
    let _ = match answer.age_s {
        Some(age) => write!(body, "Last event {age} s ago. "),
        None => write!(body, "Nothing is known of it: these are defaults. "),
    };
    let _ = write!(
        body,
        "As of {}, definitions {}.</p><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Feature<th scope=\"col\">Value<th scope=\"col\">Type<th scope=\"col\">Tier</thead><tbody>",
        answer.as_of, answer.version
    );
    for (name, v) in &answer.features {
        let _ = write!(
            body,
            "<tr><th scope=\"row\"><code>{}</code><td class=\"value\">{}<td>{}<td>{}",
            text(name),
            text(&shown(&v.value)),
            v.kind,
            v.tier,
        );
    }
    body.push_str("</tbody></table></div>");
    document(
        &format!("{} {} · Features", answer.entity, answer.id),
        &body,
    )
}

fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "–".to_owned(),
        serde_json::Value::String(s) => s.clone(),
        serde_json::Value::Array(rows) => {
            let row = |r: &serde_json::Value| {
                format!("{} {}", r["name"].as_str().unwrap_or_default(), r["value"])
            };
            rows.iter().map(row).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callers_search_for_is_shown_as_text() {
        let filter = Filter {
            q: Some("\"><script>alert(1)</script>".into()),
            ..Filter::default()
        };
        let html = catalogue(&filter, &[]);
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("&lt;script&gt;"));
    }
}

//! The definitions as a page: `docs/features.md`.

use std::fmt::Write;

use super::{Entity, all, of};

/// The page. A test holds `docs/features.md` against it; `UPDATE_DOCS=1 cargo test -p mediaflow-features docs` writes
/// it.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Features\n\nGenerated from the definitions in `origin/features/src/declare`; a test holds the two together. \
         Values are whole numbers in the\nunit of their type (ratios and money in millionths), so that two evaluations can be \
         compared for equality. Windows end with the moment\nthey are asked for; their tail is rounded down to a whole tile \
         (ADR 0009).\n",
    );
    // Writing to a String does not fail.
    let _ = writeln!(out, "\n{} features.", all().len());
    for entity in Entity::ALL {
        let rows = of(entity);
        let _ = writeln!(
            out,
            "\n## {} ({})\n\n| name | type | tier | what it says | read by |\n|---|---|---|---|---|",
            entity.slug(),
            rows.len()
        );
        for d in rows {
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {} | {} |",
                d.name,
                d.kind.slug(),
                d.tier.slug(),
                d.description,
                d.read_by().join(", ")
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_of_the_features_are_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/features.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page(),
            "docs/features.md is old: UPDATE_DOCS=1 cargo test -p mediaflow-features docs"
        );
    }
}

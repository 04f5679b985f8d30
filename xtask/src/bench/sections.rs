//! `docs/FIGURES.md`: a section per group, each of one run.

use std::fmt::Write as _;

use super::Figure;

const HEAD: &str = "# Figures\n\nMeasured by `cargo xtask bench` (`--json` for one object a line, `--only` for some groups), the load on the \
     same cores. A section is one run; times differ from machine to machine, ratios hold.\n";

/// The file with the section of one group (slug and name) written anew, in the order of the groups.
pub fn replace(
    file: &str,
    order: &[&str],
    (slug, name): (&str, &str),
    figures: &[Figure],
    machine: &str,
) -> String {
    let mut text = HEAD.to_owned();
    for group in order {
        if *group == slug {
            text.push_str(&section(slug, name, figures, machine));
        } else if let Some(old) = find(file, group) {
            text.push('\n');
            text.push_str(old.trim_end());
            text.push('\n');
        }
    }
    text
}

/// A group's section, heading included.
fn find<'a>(file: &'a str, slug: &str) -> Option<&'a str> {
    let begin = file.find(&format!("## {slug}: "))?;
    let rest = &file[begin..];
    let end = rest[2..].find("\n## ").map_or(rest.len(), |at| at + 2);
    Some(&rest[..end])
}

fn section(slug: &str, name: &str, figures: &[Figure], machine: &str) -> String {
    let mut text = format!(
        "\n## {slug}: {name}\n\n`cargo xtask bench --only {slug}` on {machine}.\n\n\
         | figure | measured | must | |\n|---|---|---|---|\n"
    );
    for figure in figures {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{}", figure.row());
    }
    let missed: Vec<_> = figures
        .iter()
        .filter(|figure| !figure.holds())
        .map(|figure| figure.name.as_str())
        .collect();
    if !missed.is_empty() {
        let _ = writeln!(text, "\nMissed: {}.", missed.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Must;

    #[test]
    fn a_section_names_what_was_missed_and_leaves_the_others() {
        let figures = [
            Figure::new("worker bundle, raw", 123.0, "KB", Must::AtMost(700.0)),
            Figure::new("feeds", 9000.0, "1/s", Must::AtLeast(12000.0)),
            Figure::new("memory", 61.0, "MB", Must::Nothing),
        ];
        let order = ["a", "b", "c"];
        let only_b = replace("", &order, ("b", "the second"), &figures, "a machine");
        for row in [
            "| worker bundle, raw | 123 KB | ≤ 700 KB | holds |",
            "| feeds | 9000 1/s | ≥ 12000 1/s | **missed** |",
            "| memory | 61 MB |  |  |",
            "\nMissed: feeds.\n",
        ] {
            assert!(only_b.contains(row), "{row}: {only_b}");
        }
        let with_c = replace(&only_b, &order, ("c", "the third"), &figures[..1], "it");
        let all = replace(&with_c, &order, ("a", "the first"), &figures[..1], "it");
        let headings: Vec<&str> = all.lines().filter(|l| l.starts_with("## ")).collect();
        assert_eq!(
            headings,
            ["## a: the first", "## b: the second", "## c: the third"]
        );
        assert!(all.contains(&only_b[HEAD.len()..]), "{all}");
        assert_eq!(
            all,
            replace(&all, &order, ("a", "the first"), &figures[..1], "it")
        );
    }
}

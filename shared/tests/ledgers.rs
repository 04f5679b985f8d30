//! The byte ledgers of the documentation against the code.

use mediaflow_shared::front::build::{Head, Item, encode};
use mediaflow_shared::front::{Front, NEIGHBOURS};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::profile::{
    AD_CAPS_MAX, AdCap, Affinity, Habits, Learned, MUTES_MAX, Mute, Profile, READS_MAX, Read, blob,
};
use mediaflow_shared::topics::LANES;

/// The number in this column of each row of a Markdown document's tables whose first cell begins with `name`.
fn cell(doc: &str, name: &str, column: usize) -> usize {
    let row = doc
        .lines()
        .find(|l| l.starts_with(&format!("| {name}")))
        .unwrap_or_else(|| panic!("no row {name}"));
    let cell = row.split('|').nth(column + 1).expect("a cell").trim();
    cell.parse().unwrap_or_else(|_| panic!("{cell:?} in {row}"))
}

/// A section's name in the ledger, and what puts it into a profile.
type Section = (&'static str, fn(&mut Profile));

#[test]
fn every_byte_of_the_blob_is_in_its_ledger() {
    let doc = include_str!("../../docs/blob.md");
    let empty = Profile::default();
    let base = blob::encode(&empty).len();
    assert_eq!(base, cell(doc, "header", 2) + cell(doc, "trailer", 2));
    let with = |change: fn(&mut Profile)| {
        let mut p = empty;
        change(&mut p);
        blob::encode(&p).len() - base
    };
    let sections: [Section; 6] = [
        ("affinity", |p| {
            p.affinity = Some(Affinity {
                lanes: [1; LANES],
                confidence: 1,
            });
        }),
        ("learned", |p| {
            p.learned = Some(Learned {
                lanes: [1; LANES],
                scale: 1,
            });
        }),
        ("reads", |p| {
            for short in 0..=READS_MAX as u32 {
                p.reads.push(Read { short, age: 0 });
            }
        }),
        ("habits", |p| {
            p.habits = Some(Habits {
                segment: 1,
                ..Habits::default()
            });
        }),
        ("ad caps", |p| {
            for campaign in 0..=AD_CAPS_MAX as u16 {
                p.ad_caps.push(AdCap { campaign, shown: 1 });
            }
        }),
        ("mutes", |p| {
            for a in 0..=MUTES_MAX as u32 {
                p.mutes.push(Mute::Author(a));
            }
        }),
    ];
    let mut sum = base;
    for (name, change) in sections {
        assert_eq!(with(change), cell(doc, name, 2), "{name}");
        sum += with(change);
    }
    assert!(doc.contains(&format!("Sum: {sum} bytes")), "{sum}");
    let mut full = empty;
    sections.iter().for_each(|(_, change)| change(&mut full));
    let full = blob::encode(&full);
    assert!(full.len() <= blob::BLOB_BYTES_MAX);
    let kept = blob::decode(&full).unwrap();
    let reads = kept.reads.as_slice().len();
    assert!(doc.contains(&format!("{reads} reads are what remains")));
    assert_eq!(kept.mutes.as_slice().len(), MUTES_MAX);
}

#[test]
fn every_byte_of_a_front_is_in_its_ledger() {
    let doc = include_str!("../../docs/front.md");
    let bytes = |n: u64, learned: bool, neighbours: bool| {
        let items = (0..n).map(|i| Item {
            content: ContentId(i),
            learned: learned.then(|| Box::new(([1; LANES], [1; LANES]))),
            neighbours: if neighbours {
                vec![(ContentId(1 - i.min(1)), 1); NEIGHBOURS]
            } else {
                Vec::new()
            },
            ..Item::default()
        });
        let bytes = encode(&Head::default(), items.collect()).unwrap();
        let len = bytes.len();
        assert!(Front::parse(bytes).is_ok());
        len
    };
    let fixed: usize = ["frame", "head", "first card offset"]
        .iter()
        .map(|row| cell(doc, row, 1))
        .sum();
    assert_eq!(bytes(0, false, false), fixed);
    let columns = |when: &str| -> usize {
        let rows = doc.split("Per item:").nth(1).expect("columns").lines();
        rows.filter(|l| l.ends_with(&format!("| {when} |")))
            .map(|l| {
                l.split('|')
                    .nth(2)
                    .unwrap()
                    .trim()
                    .parse::<usize>()
                    .unwrap()
            })
            .sum()
    };
    let (plain, learned, near) = (columns("always"), columns("learned"), columns("neighbours"));
    let each = |l, n| (bytes(12, l, n) - bytes(2, l, n)) / 10;
    assert_eq!(each(false, false), plain);
    assert_eq!(each(true, false), plain + learned);
    assert_eq!(each(false, true), plain + near);
    for (text, n) in [
        ("without neighbours", plain),
        ("with neighbours", plain + near),
        ("with both", plain + near + learned),
    ] {
        assert!(
            doc.contains(text) && doc.contains(&n.to_string()),
            "{text}: {n}"
        );
    }
}

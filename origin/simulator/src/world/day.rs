//! One day of one publisher group: how many items, when, about what, and what becomes of them.

use super::{AUTHORS, Change, DAY_MS, Item};
use crate::brands::{BRANDS, Brand};
use crate::limits::{
    BODY_WORDS, DAY_JITTER, EMBARGOED_SHARE, ITEMS_PER_DAY, SERIES_SHARE, SYNDICATED_SHARE,
    UNPUBLISHED_SHARE, UPDATED_SHARE,
};
use crate::rng::Rng;
use crate::text::Story;
use mediaflow_shared::content::Kind;
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics;
use std::collections::BTreeSet;

const MINUTE_MS: i64 = 60_000;

/// Relative number of publications in each hour (UTC): little at night, a morning and an evening peak.
const HOURS: [f64; 24] = [
    1.0, 0.7, 0.5, 0.5, 0.8, 2.0, 4.5, 6.5, 7.0, 6.5, 6.0, 5.5, 5.5, 5.0, 5.0, 5.5, 6.5, 7.0, 6.0,
    4.5, 3.5, 3.0, 2.2, 1.5,
];

fn instant(r: &mut Rng, day: u32) -> Timestamp {
    let hour = r.weighted(&HOURS) as i64;
    // Whole seconds: neither WordPress nor Drupal keeps more.
    let s = hour * 3600 + r.below(3600) as i64;
    Timestamp(i64::from(day) * DAY_MS + s * 1000)
}

fn topic_of(brand: &Brand, r: &mut Rng) -> u8 {
    let weights: Vec<f64> = brand.topics.iter().map(|t| t.1).collect();
    topics::index(brand.topics[r.weighted(&weights)].0).unwrap_or_default()
}

fn changes(r: &mut Rng, published: Timestamp) -> Vec<(Timestamp, Change)> {
    let mut all = Vec::new();
    if r.chance(UPDATED_SHARE) {
        all.push((
            Timestamp(published.0 + r.between(5, 360) as i64 * MINUTE_MS),
            Change::Edited,
        ));
        if r.chance(0.2) {
            all.push((
                Timestamp(published.0 + r.between(361, 720) as i64 * MINUTE_MS),
                Change::Edited,
            ));
        }
    }
    if r.chance(UNPUBLISHED_SHARE) {
        let after_ms = r.between(721, 1_400) as i64 * MINUTE_MS;
        all.push((Timestamp(published.0 + after_ms), Change::Withdrawn));
    }
    all
}

fn fresh(seed: u64, day: u32, brand: usize, i: u64) -> Item {
    let b = &BRANDS[brand];
    let mut r = Rng::of(seed, &[u64::from(day), brand as u64, i]);
    let published = instant(&mut r, day);
    let primary = topic_of(b, &mut r);
    let side = topic_of(b, &mut r);
    // Short pieces are the rule: the square skews lengths towards the lower end.
    let (short, long) = (BODY_WORDS.0 as f64, BODY_WORDS.1 as f64 - 60.0);
    let words = (short + (long - short) * r.unit().powi(2)) as u32;
    let kind = match r.unit() {
        x if x < 0.05 => Kind::Video,
        x if x < 0.08 => Kind::Gallery,
        x if x < 0.50 && topics::topic(primary).is_some_and(|t| t.slug == "food") => Kind::Recipe,
        _ => Kind::Article,
    };
    let embargo_min = r.between(30, 240) as i64;
    let series = r.below(b.series.len());
    Item {
        brand,
        number: 0,
        story: Story {
            seed: r.bits(),
            language: b.language,
            primary,
            secondary: (side != primary).then_some(side),
            words,
        },
        title: String::new(),
        // A few authors write most: the square favours low indices.
        author: (AUTHORS as f64 * r.unit().powi(2)) as usize,
        series: r.chance(SERIES_SHARE).then_some(series),
        kind,
        published,
        embargo_until: r
            .chance(EMBARGOED_SHARE)
            .then_some(Timestamp(published.0 + embargo_min * MINUTE_MS)),
        changes: changes(&mut r, published),
        quality: (1.0 + 0.2 * r.normal()).clamp(0.4, 1.6),
        syndicated_from: None,
    }
}

/// A sister brand's copy: same words, its own byline, section habits and time.
fn copy(original: &Item, brand: usize, day: u32, r: &mut Rng) -> Item {
    let end = Timestamp((i64::from(day) + 1) * DAY_MS - 1000);
    let later = Timestamp(original.published.0 + r.between(10, 120) as i64 * MINUTE_MS);
    Item {
        brand,
        author: r.below(AUTHORS),
        series: None,
        published: later.min(end),
        embargo_until: None,
        changes: Vec::new(),
        syndicated_from: Some((original.brand, original.number)),
        ..original.clone()
    }
}

/// The items of a day, by publication time.
pub(super) fn day_items(seed: u64, day: u32) -> Vec<Item> {
    let mut r = Rng::of(seed, &[u64::from(day)]);
    let spread = 1.0 + DAY_JITTER * (2.0 * r.unit() - 1.0);
    let total = (ITEMS_PER_DAY as f64 * spread).round();
    let copies = (total * SYNDICATED_SHARE).round() as usize;
    let own = total - copies as f64;
    let weight: f64 = BRANDS.iter().map(|b| b.weight).sum();
    let mut items = Vec::with_capacity(total as usize);
    for (i, b) in BRANDS.iter().enumerate() {
        let n = (own * b.weight / weight).round() as u64;
        items.extend((0..n).map(|k| fresh(seed, day, i, k)));
    }
    number(&mut items, day);
    headline(&mut items);
    let mut taken = Vec::with_capacity(copies);
    while taken.len() < copies {
        let original = r.pick(&items).clone();
        let to = r.below(BRANDS.len());
        let fits = to != original.brand && BRANDS[to].language == original.story.language;
        // An English brand always has sisters; the German and the Spanish one have none.
        if fits
            && !taken
                .iter()
                .any(|t: &Item| t.syndicated_from == Some((original.brand, original.number)))
        {
            taken.push(copy(&original, to, day, &mut r));
        }
    }
    number_from(&mut taken, day, 900);
    items.extend(taken);
    items.sort_by_key(|i| (i.published, i.brand, i.number));
    items
}

fn number(items: &mut [Item], day: u32) {
    items.sort_by_key(|i| (i.brand, i.published, i.story.seed));
    number_from(items, day, 0);
}

fn number_from(items: &mut [Item], day: u32, offset: u64) {
    let mut next: [u64; BRANDS.len()] = [offset; BRANDS.len()];
    for item in items {
        item.number = u64::from(day) * 1000 + next[item.brand];
        next[item.brand] += 1;
    }
}

/// Words the headlines so that no brand runs the same one twice on a day.
fn headline(items: &mut [Item]) {
    let mut seen: BTreeSet<(usize, String)> = BTreeSet::new();
    for item in items {
        for attempt in 0..8 {
            item.title = item.story.headline(attempt);
            if seen.insert((item.brand, item.title.clone())) {
                break;
            }
        }
    }
}

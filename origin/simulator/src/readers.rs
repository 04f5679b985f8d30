//! People with hidden tastes, and the model by which they click.
//!
//! A [`Reader`] is made from a seed and a number, so ten million of them cost nothing until asked for. A click is
//! *examination × attraction*: how likely a slot is looked at (position bias), and how well the item behind it suits
//! the reader (taste × freshness × length × the item's hidden quality). MediaFlow never sees any of these numbers.

use crate::brands::BRANDS;
use crate::limits::{NO_CONSENT_SHARE, SLOTS_SEEN_MAX};
use crate::rng::Rng;
use crate::world::{DAY_MS, Item};
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics;

const DEVICES: [(&str, f64); 4] = [
    ("mobile", 0.62),
    ("desktop", 0.28),
    ("tablet", 0.07),
    ("tv", 0.03),
];
const COUNTRIES: [(&str, f64); 8] = [
    ("GB", 0.3),
    ("US", 0.25),
    ("IE", 0.08),
    ("CA", 0.1),
    ("AU", 0.08),
    ("NL", 0.07),
    ("IN", 0.07),
    ("ZA", 0.05),
];

/// One simulated person.
#[derive(Debug, Clone, PartialEq)]
pub struct Reader {
    /// Number, from 0.
    pub index: u64,
    /// Brands read, as indices into [`BRANDS`]; the first is home.
    pub brands: Vec<usize>,
    /// Hidden: topics and how much each is liked, the strongest is 1.
    pub taste: Vec<(u8, f64)>,
    /// Sessions on an average day.
    pub sessions_per_day: f64,
    /// Hour of the day (UTC) around which most sessions fall.
    pub peak_hour: f64,
    /// Factor on Saturdays and Sundays.
    pub weekend: f64,
    /// `mobile`, `desktop`, `tablet`, `tv`.
    pub device: &'static str,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// Gives consent when asked.
    pub consents: bool,
    /// Preferred length in words.
    pub words: f64,
    /// Half-life of interest in a story, in hours: low is hungry for news.
    pub patience_h: f64,
    /// Exponent of the position bias.
    pub position_bias: f64,
    /// Chance of a like after a good read.
    pub likes: f64,
    /// Chance of "less of this" at a tasteless item that was looked at.
    pub hides: f64,
}

impl Reader {
    /// The reader of this number.
    #[must_use]
    pub fn new(seed: u64, index: u64) -> Self {
        let mut r = Rng::of(seed, &[0x4ead, index]);
        let brands = brands(&mut r);
        let home = &BRANDS[brands[0]];
        let country = match home.language.code() {
            "de" => *r.pick(&["DE", "DE", "DE", "AT", "CH"]),
            "es" => *r.pick(&["ES", "ES", "MX", "AR", "CO"]),
            _ => COUNTRIES[r.weighted(&COUNTRIES.map(|c| c.1))].0,
        };
        Self {
            index,
            taste: taste(&brands, &mut r),
            brands,
            // Heavy-tailed: most come a few times a week, some several times a day.
            sessions_per_day: (0.1 + (0.9 * r.normal()).exp() * 0.5).min(8.0),
            peak_hour: *r.pick(&[7.0, 8.0, 12.5, 17.5, 20.0, 21.5]) + r.normal(),
            weekend: 0.5 + r.unit(),
            device: DEVICES[r.weighted(&DEVICES.map(|d| d.1))].0,
            country,
            consents: !r.chance(NO_CONSENT_SHARE),
            words: 250.0 + 500.0 * r.unit(),
            patience_h: 6.0 + 42.0 * r.unit(),
            position_bias: 0.5 + 0.5 * r.unit(),
            likes: 0.08 * r.unit(),
            hides: 0.015 * r.unit(),
        }
    }

    /// How likely a session is at this instant, relative to this reader's other hours.
    #[must_use]
    pub fn activity(&self, at: Timestamp) -> f64 {
        let hour = at.0.rem_euclid(DAY_MS) as f64 / 3_600_000.0;
        let apart = (hour - self.peak_hour).rem_euclid(24.0);
        let apart = apart.min(24.0 - apart);
        // 1970-01-01 was a Thursday.
        let weekday = (at.0.div_euclid(DAY_MS) + 3).rem_euclid(7);
        let day = if weekday >= 5 { self.weekend } else { 1.0 };
        self.sessions_per_day * day * (0.08 + (-apart * apart / 12.0).exp())
    }

    /// How much a topic is liked, 0 to 1.
    #[must_use]
    pub fn likes_topic(&self, topic: u8) -> f64 {
        self.taste
            .iter()
            .find(|t| t.0 == topic)
            .map_or(0.0, |t| t.1)
    }

    /// How well an item matches the taste, 0 to 1.
    #[must_use]
    pub fn matches(&self, facts: &Facts) -> f64 {
        let main = self.likes_topic(facts.primary);
        facts
            .secondary
            .map_or(main, |s| 0.8 * main + 0.2 * self.likes_topic(s))
    }

    /// Slots looked at in a session: geometric, at least three.
    #[must_use]
    pub fn slots_seen(&self, r: &mut Rng) -> usize {
        let mut n = 3;
        while n < SLOTS_SEEN_MAX && r.chance(0.86) {
            n += 1;
        }
        n
    }

    /// Seconds spent on an item after a click.
    #[must_use]
    pub fn dwell_s(&self, facts: &Facts, r: &mut Rng) -> f64 {
        let full = f64::from(facts.words) / 230.0 * 60.0;
        let share = (0.15 + 0.75 * self.matches(facts) + 0.15 * r.normal()).clamp(0.03, 1.1);
        (full * share * 10.0).round() / 10.0
    }
}

/// What the click model knows of an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// Main topic.
    pub primary: u8,
    /// Side topic.
    pub secondary: Option<u8>,
    /// Length.
    pub words: u32,
    /// Hidden quality around 1.
    pub quality: f64,
    /// First publication.
    pub published: Timestamp,
}

impl From<&Item> for Facts {
    fn from(i: &Item) -> Self {
        Self {
            primary: i.story.primary,
            secondary: i.story.secondary,
            words: i.story.words,
            quality: i.quality,
            published: i.published,
        }
    }
}

/// The strength of each influence on a click.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClickModel {
    /// Attraction of an item that matches nothing.
    pub base: f64,
    /// Attraction added by a perfect match.
    pub taste: f64,
}

impl Default for ClickModel {
    /// Newest-first lists get about 5 % of what was looked at clicked, as news sites report.
    fn default() -> Self {
        Self {
            base: 0.02,
            taste: 0.5,
        }
    }
}

impl ClickModel {
    /// Chance that a slot (from 0) is looked at.
    #[must_use]
    pub fn examines(&self, reader: &Reader, slot: usize) -> f64 {
        (1.0 + slot as f64).powf(-0.5 * reader.position_bias)
    }

    /// Chance of a click on an item that is looked at.
    #[must_use]
    pub fn attracts(&self, reader: &Reader, facts: &Facts, now: Timestamp) -> f64 {
        let age_h = (now.0 - facts.published.0).max(0) as f64 / 3_600_000.0;
        let fresh = 0.5f64.powf(age_h / reader.patience_h);
        let length = (f64::from(facts.words.max(50)) / reader.words).ln();
        let length = (-length * length / 4.0).exp();
        let wanted = self.base + self.taste * reader.matches(facts);
        (wanted * fresh * length * facts.quality).clamp(0.0, 0.9)
    }

    /// Chance of a click on an item in a slot.
    #[must_use]
    pub fn clicks(&self, reader: &Reader, facts: &Facts, slot: usize, now: Timestamp) -> f64 {
        self.examines(reader, slot) * self.attracts(reader, facts, now)
    }
}

fn brands(r: &mut Rng) -> Vec<usize> {
    let home = r.weighted(&BRANDS.map(|b| b.weight));
    let mut all = vec![home];
    for p in [0.45, 0.2] {
        let other = r.weighted(&BRANDS.map(|b| b.weight));
        // A second language is rare; here everybody stays within one.
        if r.chance(p) && !all.contains(&other) && BRANDS[other].language == BRANDS[home].language {
            all.push(other);
        }
    }
    all
}

/// Two to five liked topics among those of the reader's brands, at least one of them from home.
fn taste(brands: &[usize], r: &mut Rng) -> Vec<(u8, f64)> {
    let mut all: Vec<(u8, f64)> = Vec::new();
    let wanted = r.between(2, 5);
    for i in 0..wanted * 3 {
        let brand = &BRANDS[brands[if i == 0 { 0 } else { r.below(brands.len()) }]];
        let weights: Vec<f64> = brand.topics.iter().map(|t| t.1).collect();
        let Some(topic) = topics::index(brand.topics[r.weighted(&weights)].0) else {
            continue;
        };
        if all.len() < wanted && !all.iter().any(|t| t.0 == topic) {
            all.push((topic, 1.0 / (1.0 + all.len() as f64 * (0.3 + r.unit()))));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    const DAY: u32 = 20_778;

    #[test]
    fn readers_are_repeatable_varied_and_fifteen_percent_refuse() {
        assert_eq!(Reader::new(1, 42), Reader::new(1, 42));
        assert_ne!(Reader::new(1, 42).taste, Reader::new(1, 43).taste);
        let all: Vec<_> = (0..4000).map(|i| Reader::new(1, i)).collect();
        let refuse = all.iter().filter(|r| !r.consents).count() as f64 / 4000.0;
        assert!((refuse - NO_CONSENT_SHARE).abs() < 0.02, "{refuse}");
        assert!(
            all.iter()
                .all(|r| (1..=5).contains(&r.taste.len()) && r.taste[0].1 == 1.0)
        );
        let homes: std::collections::BTreeSet<_> = all.iter().map(|r| r.brands[0]).collect();
        assert_eq!(homes.len(), BRANDS.len());
    }

    #[test]
    fn sessions_follow_the_hour() {
        let r = Reader {
            peak_hour: 8.0,
            weekend: 1.0,
            ..Reader::new(1, 1)
        };
        let at = |h: i64| r.activity(Timestamp(i64::from(DAY) * DAY_MS + h * 3_600_000));
        assert!(at(8) > 5.0 * at(20) && at(8) > at(11));
    }

    /// Expected clicks per looked-at slot when the brand's live items are ranked by `key`, highest first.
    fn expected_ctr(key: impl Fn(&Reader, &Facts, Timestamp) -> f64) -> f64 {
        let (world, now) = (
            World::days(9, DAY, 2),
            Timestamp(i64::from(DAY + 1) * DAY_MS + 20 * 3_600_000),
        );
        let model = ClickModel::default();
        let (mut clicks, mut slots) = (0.0, 0.0);
        for index in 0..300 {
            let r = Reader::new(9, index);
            let live = world
                .items
                .iter()
                .filter(|i| i.brand == r.brands[0] && i.state(now).is_some_and(|s| s.live));
            let mut facts: Vec<Facts> = live.map(Facts::from).collect();
            facts.sort_by(|a, b| key(&r, b, now).total_cmp(&key(&r, a, now)));
            for (slot, f) in facts.iter().take(10).enumerate() {
                clicks += model.clicks(&r, f, slot, now);
                slots += 1.0;
            }
        }
        clicks / slots
    }

    #[test]
    fn ranking_by_the_hidden_taste_beats_newest_first_by_far() {
        let editorial = expected_ctr(|_, f, _| f.published.0 as f64);
        let oracle = expected_ctr(|r, f, now| ClickModel::default().attracts(r, f, now));
        let topical = expected_ctr(|r, f, _| r.matches(f) * 1e15 + f.published.0 as f64);
        assert!((0.02..0.15).contains(&editorial), "{editorial}");
        assert!(oracle > 2.0 * editorial, "{oracle} against {editorial}");
        assert!(
            topical > 1.4 * editorial && topical <= oracle,
            "{topical} of {oracle}, against {editorial}"
        );
    }
}

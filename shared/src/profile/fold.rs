//! How one interaction changes a profile: the same fold at the edge (on the token) and at the origin.
//!
//! Integer arithmetic only. A read moves the affinity direction towards the item's topics, adds the item's read
//! vector P to the learned vector, and puts the item first among the reads.

use super::{Affinity, Habits, Learned, Length, Mute, Profile, Read, age_class};
use crate::time::Minute;
use crate::topics::{LANES, TOPICS};

/// Half-life of an affinity without new reads, in hours.
pub const AFFINITY_HALF_LIFE_H: u32 = 14 * 24;

/// What a fold needs to know of an item.
#[derive(Debug, Clone, Copy)]
pub struct ItemView<'a> {
    /// Low 32 bits of the content id.
    pub short: u32,
    /// Topic vector, L2 norm about 127; all zero when unknown.
    pub topics: &'a [i8],
    /// Read vector P and its Q8 scale, when a model was trained.
    pub read_vector: Option<(&'a [i8], u16)>,
    /// Model epoch of `read_vector`.
    pub epoch: u16,
    /// Reading time in minutes, 0 when unknown.
    pub reading_time_min: u8,
}

/// An interaction, as far as a profile cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interaction {
    /// Read or played: weight 1.
    Read,
    /// Liked: weight 2, remembered as a read.
    Like,
    /// Less of this: weight −2, remembered as a read so that it goes away.
    Less,
}

/// Applies one interaction at `now`. Interactions older than the profile count as if they happened at its time.
pub fn apply(p: &mut Profile, item: &ItemView<'_>, what: Interaction, now: Minute) {
    let now = Minute(now.0.max(p.as_of.0));
    age(p, now);
    let known = p.has_read(item.short);
    let weight = match what {
        Interaction::Read if known => 0,
        Interaction::Read => 1,
        Interaction::Like => 2,
        Interaction::Less => -2,
    };
    if weight != 0 {
        p.affinity = Some(turn(p.affinity, item.topics, weight));
        if weight > 0
            && let Some((vector, scale)) = item.read_vector
        {
            p.learned = add(p.learned.filter(|_| p.epoch == item.epoch), vector, scale);
            p.epoch = item.epoch;
        }
    }
    p.reads.retain(|r| r.short != item.short);
    p.reads.push_front(Read {
        short: item.short,
        age: 0,
    });
    if weight > 0 {
        let mut h = p.habits.unwrap_or_default();
        h.session_depth = h.session_depth.saturating_add(1);
        h.hours |= 1 << now.hour_utc();
        h.length = lean(h, item.reading_time_min);
        p.habits = Some(h);
    }
}

/// Remembers a mute once; a full list forgets its oldest.
pub fn mute(p: &mut Profile, what: Mute) {
    if what == Mute::None {
        return;
    }
    p.mutes.retain(|m| *m != what);
    p.mutes.push_front(what);
}

/// Takes a mute back.
pub fn unmute(p: &mut Profile, what: Mute) {
    p.mutes.retain(|m| *m != what);
}

/// Moves the profile's clock: read ages grow, confidence halves every [`AFFINITY_HALF_LIFE_H`].
pub fn age(p: &mut Profile, now: Minute) {
    let gone_min = now.since(p.as_of);
    if gone_min == 0 {
        return;
    }
    // An age class is a power of two: ageing by less than the class's own width leaves it.
    for r in p.reads.as_mut_slice() {
        let lower_bound_h = if r.age == 0 {
            0
        } else {
            1u32.checked_shl(u32::from(r.age) - 1).unwrap_or(u32::MAX)
        };
        r.age = r.age.max(age_class(
            lower_bound_h
                .saturating_add(gone_min / 60)
                .saturating_mul(60),
        ));
    }
    if let Some(a) = &mut p.affinity {
        let half_lives = gone_min / (AFFINITY_HALF_LIFE_H * 60);
        let rest = u64::from(gone_min % (AFFINITY_HALF_LIFE_H * 60));
        let halved = u64::from(a.confidence).checked_shr(half_lives).unwrap_or(0);
        // Linear between two halvings: within 6 % of the exponential, and exact at its ends.
        a.confidence = (halved - halved * rest / (2 * u64::from(AFFINITY_HALF_LIFE_H) * 60)) as u16;
    }
    p.as_of = now;
}

/// Evidence behind a confidence, in reads: `n = 5c / (1 − c)`, rounded: the confidence itself was rounded down.
fn evidence(confidence: u16) -> i64 {
    let c = i64::from(confidence);
    (5 * c + (65_536 - c) / 2) / (65_536 - c)
}

/// The direction after `weight` more reads of `topics`, and the confidence behind it.
fn turn(from: Option<Affinity>, topics: &[i8], weight: i64) -> Affinity {
    let a = from.unwrap_or(Affinity {
        lanes: [0; LANES],
        confidence: 0,
    });
    let n = evidence(a.confidence).min(40);
    let mut sum = [0i64; LANES];
    let held = n.max(i64::from(from.is_some()));
    for (i, s) in sum.iter_mut().take(TOPICS).enumerate() {
        let t = i64::from(topics.get(i).copied().unwrap_or(0));
        *s = i64::from(a.lanes[i]) * held + t * weight;
    }
    let n = (n + weight.abs()).min(1000);
    Affinity {
        lanes: normalise(&sum),
        confidence: (65_536 * n / (n + 5)).min(65_535) as u16,
    }
}

/// Scales to an L2 norm of 127.
#[must_use]
pub fn normalise(v: &[i64; LANES]) -> [i8; LANES] {
    let norm = v
        .iter()
        .map(|x| x * x)
        .sum::<i64>()
        .max(0)
        .cast_unsigned()
        .isqrt()
        .cast_signed();
    let mut out = [0; LANES];
    if norm > 0 {
        for (o, x) in out.iter_mut().zip(v) {
            let scaled = (x * 254 + norm * x.signum()) / (2 * norm);
            *o = scaled.clamp(-127, 127) as i8;
        }
    }
    out
}

/// `vector × scale` added to a learned vector, renormalised to the largest lane being 127.
fn add(to: Option<Learned>, vector: &[i8], scale: u16) -> Option<Learned> {
    let mut sum = [0i64; LANES];
    let mut largest = 0;
    for (i, s) in sum.iter_mut().enumerate() {
        *s = i64::from(vector.get(i).copied().unwrap_or(0)) * i64::from(scale)
            + to.map_or(0, |l| i64::from(l.lanes[i]) * i64::from(l.scale));
        largest = largest.max(s.abs());
    }
    if largest == 0 {
        return to;
    }
    let scale = ((largest + 126) / 127).min(65_535);
    let mut lanes = [0; LANES];
    for (lane, s) in lanes.iter_mut().zip(&sum) {
        *lane = ((s * 2 + scale * s.signum()) / (2 * scale)).clamp(-127, 127) as i8;
    }
    Some(Learned {
        lanes,
        scale: scale as u16,
    })
}

/// Leans the preferred length towards what was read: two steps of the same class move it.
fn lean(h: Habits, reading_time_min: u8) -> Length {
    if reading_time_min == 0 {
        return h.length;
    }
    let read = Length::of_minutes(reading_time_min);
    match (h.length, read) {
        (Length::Unknown, r) => r,
        (Length::Short, Length::Long) | (Length::Long, Length::Short) => Length::Medium,
        // One read of a neighbouring class moves only a reader who is early in the session.
        (_, r) if h.session_depth <= 1 => r,
        (l, _) => l,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sport() -> [i8; LANES] {
        let mut t = [0; LANES];
        t[47] = 127;
        t
    }

    fn item(short: u32, topics: &[i8]) -> ItemView<'_> {
        ItemView {
            short,
            topics,
            read_vector: None,
            epoch: 0,
            reading_time_min: 4,
        }
    }

    #[test]
    fn a_read_turns_the_affinity_and_is_remembered() {
        let mut p = Profile::default();
        apply(&mut p, &item(7, &sport()), Interaction::Read, Minute(1000));
        assert_eq!(p.top_topics(1), vec![(47, 127)]);
        assert!(p.has_read(7));
        assert_eq!(p.habits.unwrap().length, Length::Medium);
    }

    #[test]
    fn less_of_this_makes_a_topic_negative_and_hides_the_item() {
        let mut p = Profile::default();
        apply(&mut p, &item(7, &sport()), Interaction::Less, Minute(1000));
        assert!(p.affinity.unwrap().lanes[47] < 0);
        assert!(p.has_read(7));
    }

    #[test]
    fn reading_twice_counts_once() {
        let mut once = Profile::default();
        apply(
            &mut once,
            &item(7, &sport()),
            Interaction::Read,
            Minute(1000),
        );
        let mut twice = once;
        apply(
            &mut twice,
            &item(7, &sport()),
            Interaction::Read,
            Minute(1000),
        );
        assert_eq!(once.affinity, twice.affinity);
        assert_eq!(twice.reads.as_slice().len(), 1);
    }

    #[test]
    fn every_read_adds_to_the_evidence() {
        let mut p = Profile::default();
        for short in 1..=30u32 {
            apply(&mut p, &item(short, &sport()), Interaction::Read, Minute(5));
            let want = 65_536 * short / (short + 5);
            assert_eq!(p.affinity.unwrap().confidence, want as u16, "{short}");
        }
    }

    #[test]
    fn confidence_halves_in_two_weeks() {
        let mut p = Profile::default();
        apply(&mut p, &item(7, &sport()), Interaction::Read, Minute(0));
        let before = p.affinity.unwrap().confidence;
        age(&mut p, Minute(AFFINITY_HALF_LIFE_H * 60));
        assert_eq!(p.affinity.unwrap().confidence, before / 2);
        assert_eq!(
            p.reads.as_slice()[0].age,
            age_class(AFFINITY_HALF_LIFE_H * 60)
        );
    }

    #[test]
    fn a_new_epoch_starts_a_new_learned_vector() {
        let v = [10i8; LANES];
        let mut p = Profile::default();
        for (short, epoch) in [(1, 1), (2, 1), (3, 2)] {
            let view = ItemView {
                read_vector: Some((&v, 256)),
                epoch,
                ..item(short, &[])
            };
            apply(&mut p, &view, Interaction::Read, Minute(5));
        }
        assert_eq!(p.epoch, 2);
        let l = p.learned.unwrap();
        let real = i64::from(l.lanes[0]) * i64::from(l.scale);
        assert!((real - 2560).abs() <= i64::from(l.scale), "{real}");
    }

    proptest! {
        #[test]
        fn any_sequence_of_interactions_stays_in_bounds(
            steps in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<i8>(), 0..70), 0u8..3, any::<u32>(), any::<u16>()), 0..60)
        ) {
            let mut p = Profile::default();
            for (short, topics, what, now, scale) in &steps {
                let what = [Interaction::Read, Interaction::Like, Interaction::Less][usize::from(*what)];
                let view = ItemView { short: *short, topics, read_vector: Some((topics, *scale)), epoch: scale % 2, reading_time_min: *short as u8 };
                apply(&mut p, &view, what, Minute(*now));
                let bytes = super::super::blob::encode(&p);
                prop_assert!(bytes.len() <= super::super::blob::BLOB_BYTES_MAX);
                prop_assert!(super::super::blob::decode(&bytes).is_ok());
            }
        }
    }
}

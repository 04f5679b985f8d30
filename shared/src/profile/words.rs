//! A profile in sentences, for whoever wants to know what is held: no numbers that only a machine understands.

use super::{Length, Mute, Profile};
use crate::topics;

/// How many topics are named at most, of the liked and of the disliked ones.
const NAMED_MAX: usize = 5;

/// One sentence per thing that is held; empty when nothing is.
#[must_use]
pub fn describe(p: &Profile) -> Vec<String> {
    let mut out = Vec::new();
    let label = |t: u8| topics::topic(t).map_or("something", |t| t.label);
    let list = |topics: &[(u8, i8)]| -> String {
        let names: Vec<&str> = topics.iter().map(|(t, _)| label(*t)).collect();
        names.join(", ")
    };
    let liked = p.top_topics(NAMED_MAX);
    if !liked.is_empty() {
        out.push(format!("You read about {}", list(&liked)));
    }
    let mut disliked: Vec<(u8, i8)> = p.affinity.map_or_else(Vec::new, |a| {
        (0u8..).zip(a.lanes).filter(|(_, lane)| *lane < 0).collect()
    });
    disliked.sort_by_key(|(t, lane)| (*lane, *t));
    disliked.truncate(NAMED_MAX);
    if !disliked.is_empty() {
        out.push(format!("You want less of {}", list(&disliked)));
    }
    match p.reads.as_slice().len() {
        0 => {}
        1 => out.push("Your last read is remembered, so that it is not shown again".into()),
        n => out.push(format!(
            "Your last {n} reads are remembered, so that they are not shown again"
        )),
    }
    if let Some(h) = &p.habits {
        match h.length {
            Length::Unknown => {}
            Length::Short => out.push("You prefer short reads".into()),
            Length::Medium => out.push("You prefer reads of three to eight minutes".into()),
            Length::Long => out.push("You prefer long reads".into()),
        }
        let hours: Vec<String> = (0..24)
            .filter(|hour| h.hours >> hour & 1 == 1)
            .map(|hour: u32| hour.to_string())
            .collect();
        if !hours.is_empty() {
            out.push(format!("You usually read at {} h UTC", hours.join(", ")));
        }
        if h.session_min > 0 {
            out.push(format!(
                "A visit of yours takes about {} minutes",
                h.session_min
            ));
        }
    }
    for m in p.mutes.as_slice() {
        match *m {
            Mute::None => {}
            Mute::Topic(t) => out.push(format!("You muted the topic {}", label(t))),
            Mute::Author(a) => out.push(format!("You muted an author (number {a:06x})")),
        }
    }
    if p.learned.is_some() {
        out.push("A vector learned from your reads places you near similar articles".into());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Affinity, Habits, Read};
    use crate::topics::LANES;

    #[test]
    fn everything_held_is_said_and_nothing_else() {
        assert!(describe(&Profile::default()).is_empty());
        let mut lanes = [0; LANES];
        (lanes[48], lanes[0]) = (100, -20);
        let mut p = Profile {
            affinity: Some(Affinity {
                lanes,
                confidence: 1,
            }),
            habits: Some(Habits {
                length: Length::Short,
                hours: 1 << 7 | 1 << 21,
                ..Habits::default()
            }),
            ..Profile::default()
        };
        p.reads.push(Read { short: 1, age: 0 });
        p.mutes.push(Mute::Topic(9));
        assert_eq!(
            describe(&p),
            [
                "You read about Football",
                "You want less of Politics",
                "Your last read is remembered, so that it is not shown again",
                "You prefer short reads",
                "You usually read at 7, 21 h UTC",
                "You muted the topic Weather",
            ]
        );
    }
}

//! A profile in words a reader understands.

use crate::config::Brand;
use crate::limits::TOKEN_TTL_MIN;
use crate::visitor::{Consent, Known, Visitor};
use mediaflow_shared::front::Front;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::profile::fold::Interaction;
use mediaflow_shared::profile::{Length, Mute, Profile};
use mediaflow_shared::time::{Minute, Timestamp};
use mediaflow_shared::topics::{self, TOPICS};
use serde::{Deserialize, Serialize};

/// Everything held, and what is not.
#[derive(Debug, Serialize)]
pub struct About {
    /// Brand slug.
    pub brand: String,
    /// `given`, `none` or `gpc`.
    pub consent: &'static str,
    /// When it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent_since: Option<Timestamp>,
    /// When everything is forgotten unless it is given again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent_until: Option<Timestamp>,
    /// One sentence on the whole.
    pub summary: String,
    /// Interests, strongest first; dislikes last.
    pub topics: Vec<Interest>,
    /// Last things read, liked or waved away, newest first.
    pub last_reads: Vec<LastRead>,
    /// How many reads are remembered besides, as fingerprints that only tell "was read".
    pub reads_remembered: usize,
    /// What the reader muted.
    pub mutes: Vec<Muted>,
    /// Habits, one sentence each.
    pub habits: Vec<String>,
    /// What is not held.
    pub not_held: [&'static str; 5],
    /// What can be done: actions of `POST /v1/me`.
    pub actions: [&'static str; 7],
}

/// One interest.
#[derive(Debug, Serialize)]
pub struct Interest {
    /// Slug.
    pub topic: &'static str,
    /// Name.
    pub label: &'static str,
    /// In words.
    pub strength: &'static str,
}

/// One of the last reads.
#[derive(Debug, Serialize)]
pub struct LastRead {
    /// The item.
    pub content_id: ContentId,
    /// Its title, while it is on the front page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `read`, `liked`, `less of this`.
    pub what: &'static str,
    /// When.
    pub at: Timestamp,
}

/// One mute.
#[derive(Debug, Serialize)]
pub struct Muted {
    /// `topic` or `author`.
    pub kind: &'static str,
    /// Topic slug, or the author's hash as it is held.
    pub value: String,
    /// In words.
    pub label: String,
}

const NOT_HELD: [&str; 5] = [
    "your name, e-mail address or telephone number",
    "your IP address",
    "where you are, beyond the country your connection comes from",
    "what you read elsewhere",
    "a profile without your consent",
];
const ACTIONS: [&str; 7] = [
    "consent_on",
    "consent_off",
    "reset",
    "less",
    "mute",
    "unmute",
    "link",
];

/// What is held about this visitor.
#[must_use]
pub fn about(
    brand: &Brand,
    visitor: &Visitor,
    known: Option<&Known>,
    front: &Front,
    now: Minute,
) -> About {
    let mut about = About {
        brand: brand.slug.clone(),
        consent: visitor.consent.text(),
        consent_since: None,
        consent_until: None,
        summary: match visitor.consent {
            Consent::Gpc => {
                "Your browser asks not to be remembered, so nothing is read or kept.".into()
            }
            _ => "You have not agreed to be remembered, so nothing is kept about you.".into(),
        },
        topics: Vec::new(),
        last_reads: Vec::new(),
        reads_remembered: 0,
        mutes: Vec::new(),
        habits: Vec::new(),
        not_held: NOT_HELD,
        actions: ACTIONS,
    };
    let (Some(token), Some(known)) = (&visitor.token, known) else {
        return about;
    };
    let p = &known.profile;
    about.consent_since = Some(token.issued.start());
    about.consent_until = Some(Minute(token.issued.0 + TOKEN_TTL_MIN).start());
    about.topics = interests(p);
    about.last_reads = token
        .reads
        .iter()
        .map(|r| LastRead {
            content_id: r.content,
            title: title(front, r.content),
            what: match r.what {
                Interaction::Read => "read",
                Interaction::Like => "liked",
                Interaction::Less => "less of this",
            },
            at: r.minute.start(),
        })
        .collect();
    about.reads_remembered = p.reads.as_slice().len();
    about.mutes = p.mutes.as_slice().iter().filter_map(muted).collect();
    about.habits = habits(p, token.sessions);
    let days = now.since(token.issued) / (24 * 60);
    about.summary = format!(
        "A pseudonym known to {} only, made {}, with {} and {}. \
         It travels in your own cookie, sealed, and is {} bytes long. What you read, when, and on which kind of device \
         is kept behind it under the same pseudonym, until you have it forgotten or your consent ends.",
        brand.title,
        match days {
            0 => "today".to_owned(),
            1 => "yesterday".to_owned(),
            n => format!("{n} days ago"),
        },
        counted(about.topics.len(), "interest"),
        counted(about.reads_remembered, "remembered read"),
        known.blob.len(),
    );
    about
}

fn counted(n: usize, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}

fn interests(p: &Profile) -> Vec<Interest> {
    let Some(a) = &p.affinity else {
        return Vec::new();
    };
    let mut lanes: Vec<(usize, i8)> = (0..TOPICS)
        .map(|i| (i, a.lanes[i]))
        .filter(|(_, lane)| lane.unsigned_abs() >= 8)
        .collect();
    lanes.sort_by_key(|&(i, lane)| (core::cmp::Reverse(lane), i));
    // Below about three reads everything is a first impression.
    let sure = a.confidence > 24_000;
    lanes
        .into_iter()
        .filter_map(|(i, lane)| {
            let t = topics::topic(i as u8)?;
            let strength = match (lane, sure) {
                (..=-1, _) => "less of this",
                (64.., true) => "strong interest",
                (32.., true) => "clear interest",
                (_, true) => "some interest",
                (_, false) => "first impression",
            };
            Some(Interest {
                topic: t.slug,
                label: t.label,
                strength,
            })
        })
        .collect()
}

fn muted(mute: &Mute) -> Option<Muted> {
    match *mute {
        Mute::None => None,
        Mute::Topic(n) => topics::topic(n).map(|t| Muted {
            kind: "topic",
            value: t.slug.to_owned(),
            label: t.label.to_owned(),
        }),
        Mute::Author(hash) => Some(Muted {
            kind: "author",
            value: format!("{hash:08x}"),
            label: format!("an author (fingerprint {hash:06x})"),
        }),
    }
}

fn habits(p: &Profile, sessions: u16) -> Vec<String> {
    let visits = if sessions == 1 { "visit" } else { "visits" };
    let mut out = vec![format!("{sessions} {visits} on this device")];
    if p.learned.is_some() {
        out.push(
            "64 numbers that place your taste near that of others; nobody can read them".into(),
        );
    }
    let Some(h) = &p.habits else { return out };
    match h.length {
        Length::Unknown => {}
        Length::Short => out.push("prefers short reads, under 3 minutes".into()),
        Length::Medium => out.push("prefers reads of 3 to 8 minutes".into()),
        Length::Long => out.push("prefers long reads, over 8 minutes".into()),
    }
    let hours: Vec<String> = (0..24)
        .filter(|hour| h.hours & (1 << hour) != 0)
        .map(|hour: u32| hour.to_string())
        .collect();
    if !hours.is_empty() {
        out.push(format!("reads at these hours (UTC): {}", hours.join(", ")));
    }
    if h.session_min > 0 {
        out.push(format!("stays about {} minutes", h.session_min));
    }
    out
}

#[derive(Deserialize)]
struct Card {
    title: String,
}

/// The title of an item, while it is in the front.
fn title(front: &Front, content: ContentId) -> Option<String> {
    let card = front.card(front.row(content)?);
    crate::json::read::<Card>(&format!("{{{card}}}"))
        .ok()
        .map(|c| c.title)
}

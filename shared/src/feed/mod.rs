//! The feed: JSON Feed 1.1 with a `_mediaflow` object per feed and per item, written straight into a buffer.
//!
//! Cards are ready JSON fragments ([`card`] makes them at the origin) and are copied as they are; everything else is
//! integers and escaped text, so the same slate gives the same bytes everywhere. Affinities are never written.
//! <https://www.jsonfeed.org/version/1.1/>

mod card;
mod json;

pub use card::{CARD_BYTES_MAX, SUMMARY_CHARS_MAX, TAGS_MAX, TITLE_CHARS_MAX, card, is_card};

use crate::front::Front;
use crate::id::ContentId;
use crate::model::Q16;
use crate::rank::explain::Breakdown;
use crate::rank::slate::pinned_item;
use crate::rank::{Query, Slate, Slot, WhyNot};
use crate::served::{Arm, EXPOSURE_TTL_MIN, Exposure, FeedId};
use crate::time::Minute;
use json::{fraction, number, propensity, put, text_member};

/// Value of `version`.
pub const JSON_FEED_VERSION: &str = "https://jsonfeed.org/version/1.1";
/// Media type of a feed.
pub const MEDIA_TYPE: &str = "application/feed+json";

/// What a feed says about itself besides the slate.
#[derive(Debug, Clone, Copy)]
pub struct FeedHead<'a> {
    /// Title of the feed.
    pub title: &'a str,
    /// The brand's page.
    pub home_page_url: &'a str,
    /// This feed.
    pub feed_url: &'a str,
    /// The next page, when there is one.
    pub next_url: Option<&'a str>,
    /// BCP 47 tag of the feed.
    pub language: Option<&'a str>,
    /// Where `_mediaflow` is described.
    pub about: &'a str,
    /// Names every input.
    pub feed_id: &'a FeedId,
    /// Brand slug.
    pub brand: &'a str,
    /// Surface slug.
    pub surface: &'a str,
    /// Rung of the ladder, 0 to 4.
    pub rung: u8,
    /// Age of the profile, without one absent.
    pub profile_age_s: Option<u32>,
    /// Age of the front.
    pub front_age_s: u32,
}

/// Appends a feed to `out`. `slate` must be the answer to `query`; the exposures are signed with `exposure_key`.
pub fn write(
    out: &mut Vec<u8>,
    head: &FeedHead<'_>,
    slate: &Slate,
    query: &Query<'_>,
    exposure_key: &[u8; 16],
) {
    let feed_id = head.feed_id.text();
    text_member(out, "{\"version\":", JSON_FEED_VERSION);
    text_member(out, ",\"title\":", head.title);
    text_member(out, ",\"home_page_url\":", head.home_page_url);
    text_member(out, ",\"feed_url\":", head.feed_url);
    if let Some(url) = head.next_url {
        text_member(out, ",\"next_url\":", url);
    }
    if let Some(language) = head.language {
        text_member(out, ",\"language\":", language);
    }
    text_member(out, ",\"_mediaflow\":{\"about\":", head.about);
    text_member(out, ",\"feed_id\":", &feed_id);
    text_member(out, ",\"brand\":", head.brand);
    text_member(out, ",\"surface\":", head.surface);
    number(out, ",\"rung\":", head.rung);
    if let Some(age_s) = head.profile_age_s {
        number(out, ",\"profile_age_s\":", age_s);
    }
    number(out, ",\"front_age_s\":", head.front_age_s);
    if let Some(rules) = query.rules {
        number(out, ",\"rules_revision\":", rules.revision);
    }
    number(out, ",\"model\":", query.model.id);
    text_member(out, ",\"arm\":", arm_name(slate.arm));
    number(out, ",\"candidates\":", slate.candidates);
    number(out, ",\"eligible\":", slate.eligible);
    put(out, "},\"items\":[");
    let breakdown = query.request.explain.then(|| Breakdown::of(query));
    let seal = Seal {
        key: exposure_key,
        feed: head.feed_id.short(),
        expires: Minute(query.minute.0.saturating_add(EXPOSURE_TTL_MIN)),
    };
    for (i, slot) in slate.slots.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        item(out, slot, query, &seal, breakdown.as_ref());
    }
    put(out, "]}");
}

/// What the exposures of one feed have in common.
struct Seal<'a> {
    key: &'a [u8; 16],
    feed: u32,
    expires: Minute,
}

fn item(
    out: &mut Vec<u8>,
    slot: &Slot,
    query: &Query<'_>,
    seal: &Seal<'_>,
    breakdown: Option<&Breakdown<'_>>,
) {
    let card = match slot.row {
        Some(row) => query.front.card(row),
        None => pinned_item(query, slot.content).map_or("", |p| p.card.as_str()),
    };
    out.push(b'{');
    put(out, card);
    if !card.is_empty() {
        out.push(b',');
    }
    number(out, "\"_mediaflow\":{\"slot\":", slot.slot);
    let exposure = Exposure {
        content: slot.content,
        slot: u8::try_from(slot.slot).unwrap_or(u8::MAX),
        propensity: slot.propensity,
        expires: seal.expires,
        feed: seal.feed,
    };
    // base64url needs no escaping.
    put(out, ",\"exposure\":\"");
    out.extend_from_slice(&exposure.sealed(seal.key));
    put(out, "\",\"reasons\":[");
    for (i, reason) in slot.reasons.iter().enumerate() {
        put(
            out,
            if i > 0 {
                ",{\"code\":\""
            } else {
                "{\"code\":\""
            },
        );
        put(out, reason.code());
        let (sentence, name) = reason.words(query.rules);
        put(out, "\",\"text\":\"");
        // Our own sentences need no escaping; names are an editor's.
        put(out, sentence);
        json::escape(out, name);
        put(out, "\"}");
    }
    put(out, "],\"propensity\":");
    propensity(out, slot.propensity);
    if slot.pinned.is_some() {
        put(out, ",\"pinned\":true");
    }
    if slot.explored {
        put(out, ",\"explored\":true");
    }
    if let Some(b) = breakdown {
        account(out, slot, query, b);
    }
    put(out, "}}");
}

/// Score, contributions and adjustments of a slot, which add up exactly.
fn account(out: &mut Vec<u8>, slot: &Slot, query: &Query<'_>, breakdown: &Breakdown<'_>) {
    let c = breakdown.row(slot.row.unwrap_or(usize::MAX));
    put(out, ",\"score\":");
    fraction(out, slot.score, c.unit);
    put(out, ",\"contributions\":{");
    // A pinned item outside the front has nothing but its place.
    let terms = c.iter().filter(|_| slot.row.is_some());
    for (i, (name, value)) in terms.enumerate() {
        text_member(out, if i > 0 { "," } else { "" }, name);
        out.push(b':');
        fraction(out, value, c.unit);
    }
    put(out, "},\"adjustments\":{\"boost\":");
    fraction(out, slot.adjustments.boost, c.unit);
    put(out, ",\"diversity\":");
    fraction(out, slot.adjustments.diversity, c.unit);
    out.push(b'}');
    if let (Arm::Classic, Some(row)) = (query.arm(), slot.row) {
        let t = breakdown.classic(row);
        for (name, value) in [
            (",\"breakdown\":{\"topic\":", t.topic),
            (",\"recency\":", t.recency),
            (",\"engagement\":", t.engagement),
        ] {
            put(out, name);
            // Three decimals (S0-21).
            fraction(out, (value * 1000.0).round() as i32, 1000);
        }
        out.push(b'}');
    }
}

/// What became of one item, as the value of `why`.
pub fn write_why(out: &mut Vec<u8>, content: ContentId, why: &WhyNot, unit: u32) {
    text_member(out, "{\"content_id\":", &content.to_string());
    text_member(out, ",\"stage\":", why.stage());
    text_member(out, ",\"code\":", why.code());
    text_member(out, ",\"text\":", &why.text());
    match *why {
        WhyNot::Served {
            slot,
            pinned,
            explored,
            score,
        } => {
            number(out, ",\"slot\":", slot);
            if let Some(rule) = pinned {
                number(out, ",\"rule\":", rule);
            }
            if explored {
                put(out, ",\"explored\":true");
            }
            put(out, ",\"score\":");
            fraction(out, score, unit);
        }
        WhyNot::Dropped(crate::rank::Ineligible::HiddenByEditor(rule)) => {
            number(out, ",\"rule\":", rule);
        }
        WhyNot::NearDuplicate { of } => text_member(out, ",\"of\":", &of.to_string()),
        WhyNot::RankedOut {
            rank,
            of,
            score,
            last,
        } => {
            number(out, ",\"rank\":", rank);
            number(out, ",\"eligible\":", of);
            put(out, ",\"score\":");
            fraction(out, score, unit);
            put(out, ",\"last_score\":");
            fraction(out, last, unit);
        }
        WhyNot::Dropped(_) | WhyNot::NotACandidate => {}
    }
    out.push(b'}');
}

/// Name of an arm, as in [`Arm`]'s wire form.
#[must_use]
pub const fn arm_name(arm: Arm) -> &'static str {
    match arm {
        Arm::Personal => "personal",
        Arm::Editorial => "editorial",
        Arm::Classic => "classic",
    }
}

/// Parts of one in a score of this arm.
#[must_use]
pub const fn score_unit(arm: Arm) -> u32 {
    match arm {
        Arm::Personal => Q16 as u32,
        Arm::Editorial => 1,
        Arm::Classic => crate::classic::UNITS as u32,
    }
}

/// The card of a row or of a pinned item of this query; empty when there is none.
#[must_use]
pub fn card_of<'q>(query: &Query<'q>, content: ContentId) -> &'q str {
    let front: &'q Front = query.front;
    match front.row(content) {
        Some(row) => front.card(row),
        None => pinned_item(query, content).map_or("", |p| p.card.as_str()),
    }
}

#[cfg(test)]
mod tests;

//! Who asks: consent, token, and what is known of the reader.
//!
//! The profile comes from the token. Storage is asked only where the token cannot know: it was just linked, its blob
//! cannot be read, the front speaks a newer epoch, or the reader was away and may have used another device.

use crate::Edge;
use crate::config::Brand;
use crate::http::Headers;
use crate::limits::{ASKED_MS_MAX, IDLE_MS, PROFILE_STALE_MIN, SEEN_STEP_MS};
use crate::platform::{Level, Platform, within};
use crate::token::{Token, TokenError, TokenRead, cookie};
use mediaflow_shared::front::Front;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::profile::fold::{self, Interaction, ItemView};
use mediaflow_shared::profile::{Mute, Profile, blob, faded};
use mediaflow_shared::time::{Minute, Timestamp};
use mediaflow_shared::topics::LANES;
use xxhash_rust::xxh3::xxh3_64;

/// What the reader agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// The browser says `Sec-GPC: 1`: nothing is read or minted, whatever the cookie.
    Gpc,
    /// Not asked, declined, or the token was refused.
    None,
    /// By a valid token.
    Given,
}

impl Consent {
    /// Value of the header `MediaFlow-Consent`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Gpc => "gpc",
            Self::None => "none",
            Self::Given => "given",
        }
    }
}

/// A request's reader as far as the cookie tells.
#[derive(Debug)]
pub struct Visitor {
    /// Consent.
    pub consent: Consent,
    /// With consent only.
    pub token: Option<Token>,
    /// Why a cookie was treated as none.
    pub refused: Option<TokenError>,
    /// Whether the token must be sealed again.
    pub changed: bool,
    /// The reader said no on this device, and is not asked again.
    pub declined: bool,
}

impl Visitor {
    /// Opens the brand's cookie.
    #[must_use]
    pub fn of(
        edge: &Edge,
        brand: &Brand,
        headers: &Headers,
        now_ms: i64,
        valid_from: Minute,
    ) -> Self {
        let mut visitor = Self {
            consent: Consent::None,
            token: None,
            refused: None,
            changed: false,
            declined: false,
        };
        if headers.first("sec-gpc").is_some_and(|v| v.trim() == "1") {
            visitor.consent = Consent::Gpc;
            return visitor;
        }
        let config = edge.config();
        visitor.declined = headers
            .all("cookie")
            .any(|h| cookie::declined(h, config, brand));
        let Some(text) = headers
            .all("cookie")
            .find_map(|h| cookie::find(h, config, brand))
            .filter(|t| !t.is_empty())
        else {
            return visitor;
        };
        let opened = Token::open(text, &config.keys, brand).and_then(|t| {
            t.check(
                Timestamp(now_ms).minute(),
                valid_from,
                config.consent_version,
            )
            .map(|()| t)
        });
        match opened {
            Ok(token) => {
                visitor.consent = Consent::Given;
                visitor.token = Some(token);
            }
            Err(e) => visitor.refused = Some(e),
        }
        visitor
    }

    /// `Set-Cookie`, when the token changed or was refused.
    pub fn set_cookie<P: Platform>(
        &self,
        edge: &Edge,
        platform: &P,
        brand: &Brand,
        now: Minute,
    ) -> Option<String> {
        let config = edge.config();
        match &self.token {
            Some(token) if self.changed => {
                let mut nonce = [0; 24];
                if let Err(e) = platform.random(&mut nonce) {
                    platform.log(Level::Error, &format!("no token was sealed: {e}"));
                    return None;
                }
                let text = token.seal(&config.keys, brand, nonce)?;
                Some(cookie::set(config, brand, &text, token.ttl_s(now)))
            }
            None if self.refused.is_some() => Some(cookie::clear(config, brand)),
            _ => None,
        }
    }
}

/// What is known of a reader with consent.
#[derive(Debug)]
pub struct Known {
    /// Decoded from exactly `blob`.
    pub profile: Profile,
    /// As ranked.
    pub blob: Vec<u8>,
    /// False: a newer one may exist that could not be read, or it is old (rung 1).
    pub fresh: bool,
    /// Weight of personal scorers, Q16.
    pub personal: u32,
}

fn expires_day(token: &Token) -> u16 {
    ((token.issued.0 + crate::limits::TOKEN_TTL_MIN) / (24 * 60)) as u16
}

/// The token's profile, or an empty one.
#[must_use]
pub fn profile_of(token: &Token, now: Minute) -> Profile {
    blob::decode(&token.blob).unwrap_or_else(|_| Profile {
        as_of: now,
        consent: token.consent,
        expires_day: expires_day(token),
        ..Profile::default()
    })
}

/// Puts a profile into the token.
pub fn keep(token: &mut Token, mut profile: Profile) {
    profile.consent = token.consent;
    profile.expires_day = expires_day(token);
    token.blob = blob::encode(&profile);
}

/// What is known of this reader; asks storage where the token cannot know.
pub async fn known<P: Platform>(
    edge: &Edge,
    platform: &P,
    visitor: &mut Visitor,
    front: &Front,
) -> Option<Known> {
    let now_ms = platform.now_ms();
    let now = Timestamp(now_ms).minute();
    let token = visitor.token.as_mut()?;
    let held = blob::decode(&token.blob).ok();
    let away = now_ms - token.seen_ms > IDLE_MS || now_ms - token.asked_ms > ASKED_MS_MAX;
    let behind = held
        .as_ref()
        .is_some_and(|p| front.has_learned() && p.learned.is_some() && front.epoch() > p.epoch)
        && now_ms - token.asked_ms > IDLE_MS;
    let due = token.asked_ms == 0 || held.is_none() || away || behind;
    let mut confirmed = true;
    if due {
        match ask(edge, platform, token).await {
            Ok(slow) => {
                token.asked_ms = now_ms;
                if let Some((bytes, profile)) = slow {
                    adopt(token, &bytes, profile, front, now);
                }
                if token.blob.is_empty() || blob::decode(&token.blob).is_err() {
                    keep(token, profile_of(token, now));
                }
                visitor.changed = true;
            }
            Err(()) => confirmed = false,
        }
    }
    // A reader whose slow profile could not be read stays "away", so that the next request asks again.
    if confirmed && now_ms - token.seen_ms > SEEN_STEP_MS {
        token.touch(now_ms);
        visitor.changed = true;
    }
    let profile = blob::decode(&token.blob).ok()?;
    let age_min = now.since(profile.as_of);
    let fresh = confirmed && age_min < PROFILE_STALE_MIN;
    Some(Known {
        profile,
        blob: token.blob.clone(),
        fresh,
        personal: if fresh { ONE } else { faded(age_min) },
    })
}

const ONE: u32 = 65_536;

type Slow = Option<(Vec<u8>, Profile)>;

/// The slow profile: `Ok(None)` = storage has none.
async fn ask<P: Platform>(edge: &Edge, platform: &P, token: &Token) -> Result<Slow, ()> {
    let now_ms = platform.now_ms();
    let profiles = &edge.memory.profiles;
    let read = |bytes: Option<Vec<u8>>| match bytes {
        None => Ok(None),
        Some(bytes) => blob::decode(&bytes).map(|p| Some((bytes, p))),
    };
    if let Some(answer) = profiles.lately(token.reader, now_ms) {
        return read(answer).map_err(|_| ());
    }
    if profiles.failing(now_ms) {
        return Err(());
    }
    let key = format!("u/{}", token.reader);
    let deadline_ms = edge.config().kv_deadline_ms;
    let answer = within(platform, deadline_ms, platform.kv_get(&key)).await;
    let now_ms = platform.now_ms();
    // The key names a reader, so it is not in the log.
    let fail = |why: &dyn core::fmt::Display| {
        profiles.failed(now_ms);
        platform.log(Level::Warn, &format!("storage: a profile: {why}"));
    };
    match answer {
        Ok(bytes) => {
            let slow = read(bytes).map_err(|e| fail(&e))?;
            let copy = slow.as_ref().map(|(bytes, _)| bytes.clone());
            profiles.remember(token.reader, copy, now_ms);
            Ok(slow)
        }
        Err(e) => {
            fail(&e);
            Err(())
        }
    }
}

/// Takes the slow profile over if it is news, and applies again what it cannot know yet.
fn adopt(token: &mut Token, bytes: &[u8], slow: Profile, front: &Front, now: Minute) {
    let hash = xxh3_64(bytes) as u32;
    if slow.as_of < token.slow_as_of || hash == token.slow_hash {
        return;
    }
    let mut profile = slow;
    let mine = blob::decode(&token.blob).ok();
    for read in token.reads.iter().rev() {
        let counted = slow.has_read(read.content.short());
        let newer = read.minute > slow.as_of;
        if newer || (!counted && read.minute >= slow.as_of) {
            interact(&mut profile, front, read.content, read.what, read.minute);
        }
    }
    if let Some(mine) = mine
        && token.mutes_at >= slow.as_of
        && token.mutes_at.0 > 0
    {
        profile.mutes = mine.mutes;
    }
    // Bits of a slow profile that only mean something at its own time are brought to ours.
    fold::age(&mut profile, now);
    token.slow_as_of = slow.as_of;
    token.slow_hash = hash;
    keep(token, profile);
}

/// Applies an interaction with an item; one that is not in the front is remembered as read.
pub fn interact(
    profile: &mut Profile,
    front: &Front,
    content: ContentId,
    what: Interaction,
    at: Minute,
) {
    let mut topics = [0i8; LANES];
    let mut vector = [0i8; LANES];
    let mut view = ItemView {
        short: content.short(),
        topics: &[],
        read_vector: None,
        epoch: front.epoch(),
        reading_time_min: 0,
    };
    if let Some(row) = front.row(content) {
        copy(&mut topics, Front::lane_row(front.topics(), row));
        view.topics = &topics;
        view.reading_time_min = front.minutes(row);
        let p = Front::lane_row(front.p(), row);
        if !p.is_empty() {
            copy(&mut vector, p);
            view.read_vector = Some((&vector, front.p_scale()));
        }
    }
    fold::apply(profile, &view, what, at);
}

fn copy(to: &mut [i8; LANES], from: &[u8]) {
    for (t, f) in to.iter_mut().zip(from) {
        *t = f.cast_signed();
    }
}

/// Applies an interaction to a token: effective on the reader's next request.
pub fn note(
    visitor: &mut Visitor,
    front: &Front,
    content: ContentId,
    what: Interaction,
    now_ms: i64,
) {
    let Some(token) = visitor.token.as_mut() else {
        return;
    };
    let now = Timestamp(now_ms).minute();
    let mut profile = profile_of(token, now);
    interact(&mut profile, front, content, what, now);
    token.touch(now_ms);
    token.remember(TokenRead {
        content,
        minute: now,
        what,
    });
    keep(token, profile);
    visitor.changed = true;
}

/// Adds or takes back a mute.
pub fn note_mute(visitor: &mut Visitor, mute: Mute, on: bool, now_ms: i64) {
    let Some(token) = visitor.token.as_mut() else {
        return;
    };
    let now = Timestamp(now_ms).minute();
    let mut profile = profile_of(token, now);
    if on {
        fold::mute(&mut profile, mute);
    } else {
        fold::unmute(&mut profile, mute);
    }
    token.mutes_at = now;
    token.touch(now_ms);
    keep(token, profile);
    visitor.changed = true;
}

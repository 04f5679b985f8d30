//! What a reader can do about their profile.

use crate::Edge;
use crate::config::Brand;
use crate::deferred::Deferred;
use crate::events_route::hold;
use crate::http::Request;
use crate::json;
use crate::outbox::own;
use crate::params::Params;
use crate::platform::Platform;
use crate::problem::{Kind, Problem, echo};
use crate::token::{Token, cookie, reader};
use crate::visitor::{Consent, Visitor, keep, note, note_mute, profile_of};
use mediaflow_shared::event::MuteTarget;
use mediaflow_shared::front::Front;
use mediaflow_shared::id::{ContentId, Pseudonym, name_hash};
use mediaflow_shared::profile::Mute;
use mediaflow_shared::profile::fold::Interaction;
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics;
use serde::Deserialize;

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Agrees to being remembered.
    ConsentOn,
    /// Withdraws it: everything is forgotten.
    ConsentOff,
    /// Everything is forgotten, and the question asked again.
    Reset,
    /// "Less of this".
    Less(ContentId),
    /// Mutes a topic or an author.
    Mute(MuteTarget),
    /// Takes a mute back.
    Unmute(MuteTarget),
    /// Uses the profile of a reader who logged in at the publisher.
    Link(String),
}

impl Action {
    /// Name in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ConsentOn => "consent_on",
            Self::ConsentOff => "consent_off",
            Self::Reset => "reset",
            Self::Less(_) => "less",
            Self::Mute(_) => "mute",
            Self::Unmute(_) => "unmute",
            Self::Link(_) => "link",
        }
    }
}

/// What an action led to.
#[derive(Debug)]
pub struct Done {
    /// Consent afterwards.
    pub consent: Consent,
    /// `Set-Cookie`, each.
    pub cookies: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Text {
    #[serde(default)]
    action: String,
    brand: Option<String>,
    content: Option<String>,
    topic: Option<String>,
    author: Option<String>,
    assertion: Option<String>,
    mute: Option<MuteTarget>,
    back: Option<String>,
}

impl Text {
    /// A button says all in one value: `less:<id>`, `mute:topic:<slug>`, `unmute:author:<hash>`, `reset`.
    fn press(&mut self, value: &str) {
        let mut parts = value.splitn(3, ':');
        self.action = parts.next().unwrap_or("").to_owned();
        match (self.action.as_str(), parts.next(), parts.next()) {
            ("less", Some(id), None) => self.content = Some(id.to_owned()),
            (_, Some("topic"), Some(slug)) => self.topic = Some(slug.to_owned()),
            (_, Some("author"), Some(who)) => self.author = Some(who.to_owned()),
            _ => {}
        }
    }
}

/// Reads a body; answers the action, the brand it names and where a form goes back to.
///
/// # Errors
/// A [`Problem`] naming the field.
pub fn parse(body: &[u8], form: bool) -> Result<(Action, Option<String>, Option<String>), Problem> {
    let bad = |input: &str, reason: &str, remedy: &str| {
        Problem::new(Kind::BadRequest, input, reason, remedy)
    };
    let text =
        core::str::from_utf8(body).map_err(|_| bad("the body", "is not UTF-8", "send UTF-8"))?;
    let t: Text = if form {
        let p = Params::parse(text);
        let own = |name| p.first(name).map(str::to_owned);
        let mut t = Text {
            action: own("action").unwrap_or_default(),
            brand: own("brand"),
            content: own("content"),
            topic: own("topic"),
            author: own("author"),
            assertion: own("assertion"),
            mute: None,
            back: own("back"),
        };
        if let Some(pressed) = p.first("do") {
            t.press(pressed);
        }
        t
    } else {
        json::read(text).map_err(|e| {
            let reason = format!("is not an object with an action: {}", json::place(&e));
            bad("the body", &reason, "send {\"action\":\"consent_on\"}")
        })?
    };
    let content = || {
        let text = t.content.as_deref().unwrap_or("");
        ContentId::parse(text).map_err(|_| {
            bad(
                "field `content`",
                "is not 16 lower-case hexadecimal digits",
                "use the `id` of an item",
            )
        })
    };
    let action = match t.action.as_str() {
        "consent_on" => Action::ConsentOn,
        "consent_off" => Action::ConsentOff,
        "reset" => Action::Reset,
        "less" => Action::Less(content()?),
        "mute" => Action::Mute(target(&t)?),
        "unmute" => Action::Unmute(target(&t)?),
        "link" => Action::Link(t.assertion.clone().ok_or_else(|| {
            bad(
                "field `assertion`",
                "is missing",
                "send what the publisher's login made",
            )
        })?),
        other => {
            return Err(bad(
                "field `action`",
                &format!("{:?} is not an action", echo(other)),
                "use consent_on, consent_off, reset, less, mute, unmute or link",
            ));
        }
    };
    Ok((action, t.brand, t.back))
}

fn target(t: &Text) -> Result<MuteTarget, Problem> {
    let said = t
        .mute
        .clone()
        .or_else(|| t.topic.clone().map(MuteTarget::Topic))
        .or_else(|| t.author.clone().map(MuteTarget::Author));
    let target = match said {
        // A name is as good as its hash, for pages that only know the name.
        Some(MuteTarget::Author(a)) if u32::from_str_radix(&a, 16).is_err() || a.len() != 8 => {
            Some(MuteTarget::Author(format!("{:08x}", name_hash(&a))))
        }
        other => other,
    };
    target.filter(|m| mute_of(m).is_some()).ok_or_else(|| {
        Problem::new(
            Kind::BadRequest,
            "field `topic` or `author`",
            "is missing or not a topic's slug",
            "name a topic by its slug, or an author",
        )
    })
}

/// A mute as profiles hold it.
#[must_use]
pub fn mute_of(target: &MuteTarget) -> Option<Mute> {
    match target {
        MuteTarget::Topic(slug) => topics::index(slug).map(Mute::Topic),
        MuteTarget::Author(hex) if hex.len() == 8 => u32::from_str_radix(hex, 16)
            .ok()
            .map(|h| Mute::Author(h & 0x00ff_ffff)),
        MuteTarget::Author(_) => None,
    }
}

/// Where an action happens.
pub struct Desk<'a, P> {
    /// The edge.
    pub edge: &'a Edge,
    /// Its platform.
    pub platform: &'a P,
    /// The brand.
    pub brand: &'a Brand,
    /// The request.
    pub request: &'a Request,
}

impl<P: Platform> Desk<'_, P> {
    fn random_reader(&self) -> Result<Pseudonym, Problem> {
        let mut id = [0; 16];
        self.platform.random(&mut id).map_err(|e| {
            let reason = format!("there is no randomness to make a pseudonym from: {e}");
            Problem::new(Kind::Unavailable, "this edge", reason, "try again")
        })?;
        Ok(reader::pseudonym(&self.edge.config().keys, self.brand, &id))
    }

    /// The origin learns an action as an event. It waits in the retry queue, not the reader; where memory does not
    /// last, the reader waits, since a withdrawal must not be lost.
    async fn tell(
        &self,
        kind: &'static str,
        data: own::Said,
        later: &mut Vec<Deferred>,
    ) -> Result<(), Problem> {
        let unavailable = |reason: String| {
            Problem::new(
                Kind::Unavailable,
                "the event collector",
                reason,
                "try again later: nothing was changed",
            )
        };
        let batch = own::batch(self.platform, self.request, vec![(kind, data)])
            .map_err(|e| unavailable(e.to_string()))?;
        if !self.platform.keeps_memory() {
            return hold(self.edge, self.platform, batch, later)
                .await
                .map(|_| ());
        }
        let queue = &self.edge.outbox.events;
        queue.add(batch).map_err(|e| unavailable(e.to_string()))?;
        if !later.contains(&Deferred::Flush) {
            later.push(Deferred::Flush);
        }
        Ok(())
    }

    fn data(&self, reader: Option<Pseudonym>) -> own::Said {
        own::Said {
            brand: self.brand.slug.clone(),
            reader,
            ..own::Said::default()
        }
    }
}

/// Carries an action out.
///
/// # Errors
/// A [`Problem`]: no consent, a refused assertion, or the origin could not be told.
pub async fn act<P: Platform>(
    desk: &Desk<'_, P>,
    visitor: &mut Visitor,
    front: &Front,
    action: &Action,
    later: &mut Vec<Deferred>,
) -> Result<Done, Problem> {
    let now_ms = desk.platform.now_ms();
    let config = desk.edge.config();
    let reader = visitor.token.as_ref().map(|t| t.reader);
    let mut cookies = Vec::new();
    if visitor.consent == Consent::Gpc && !matches!(action, Action::ConsentOff | Action::Reset) {
        return Err(Problem::new(
            Kind::Forbidden,
            "header `Sec-GPC: 1`",
            "the browser asks not to be remembered",
            "switch Global Privacy Control off for this site first",
        ));
    }
    match action {
        Action::ConsentOn => {
            let reader = match reader {
                Some(known) => known,
                None => desk.random_reader()?,
            };
            start(visitor, reader, config.consent_version, now_ms, false);
            if visitor.declined {
                cookies.push(cookie::decline(config, desk.brand, false));
            }
            let data = own::Said {
                consent: Some(true),
                ..desk.data(Some(reader))
            };
            desk.tell("consent", data, later).await?;
        }
        Action::ConsentOff | Action::Reset => {
            return forget(desk, visitor, action, later).await;
        }
        Action::Less(content) => {
            let reader = consenting(reader)?;
            note(visitor, front, *content, Interaction::Less, now_ms);
            let data = own::Said {
                content: Some(*content),
                ..desk.data(Some(reader))
            };
            desk.tell("hide", data, later).await?;
        }
        Action::Mute(target) | Action::Unmute(target) => {
            let reader = consenting(reader)?;
            let on = matches!(action, Action::Mute(_));
            if let Some(mute) = mute_of(target) {
                note_mute(visitor, mute, on, now_ms);
            }
            let data = own::Said {
                mute: Some(target.clone()),
                ..desk.data(Some(reader))
            };
            let kind = if on { "mute" } else { "unmute" };
            desk.tell(kind, data, later).await?;
        }
        Action::Link(_) if visitor.declined && reader.is_none() => {
            return Err(Problem::new(
                Kind::Forbidden,
                "cookie of this brand",
                "the reader said no to being remembered on this device",
                "send the action consent_on first",
            ));
        }
        // A publisher makes assertions for readers with an account, whose consent it holds.
        Action::Link(assertion) => {
            let linked =
                reader::link(&config.keys, desk.brand, assertion, now_ms).map_err(|e| {
                    Problem::new(
                        Kind::Forbidden,
                        "field `assertion`",
                        e.to_string(),
                        "have the publisher's login make a new one",
                    )
                })?;
            if reader != Some(linked) {
                start(visitor, linked, config.consent_version, now_ms, true);
            }
        }
    }
    let now = Timestamp(now_ms).minute();
    cookies.extend(visitor.set_cookie(desk.edge, desk.platform, desk.brand, now));
    Ok(Done {
        consent: visitor.consent,
        cookies,
    })
}

/// Starts or renews a token. A linked reader's profile is still to be asked for.
fn start(visitor: &mut Visitor, reader: Pseudonym, consent: u8, now_ms: i64, linked: bool) {
    let mut token = Token::mint(reader, consent, now_ms);
    if let Some(old) = visitor.token.take().filter(|t| t.reader == reader) {
        token = Token {
            issued: token.issued,
            consent,
            ..old
        };
    }
    if !linked {
        if token.asked_ms == 0 {
            token.asked_ms = now_ms;
        }
        let profile = profile_of(&token, Timestamp(now_ms).minute());
        keep(&mut token, profile);
    }
    visitor.token = Some(token);
    visitor.consent = Consent::Given;
    visitor.refused = None;
    visitor.changed = true;
}

async fn forget<P: Platform>(
    desk: &Desk<'_, P>,
    visitor: &mut Visitor,
    action: &Action,
    later: &mut Vec<Deferred>,
) -> Result<Done, Problem> {
    let off = *action == Action::ConsentOff;
    if let Some(token) = visitor.token.take() {
        desk.edge.memory.profiles.forget(token.reader);
        let mut data = desk.data(Some(token.reader));
        let kind = if off {
            data.consent = Some(false);
            "consent"
        } else {
            "reset"
        };
        desk.tell(kind, data, later).await?;
    }
    if visitor.consent == Consent::Given {
        visitor.consent = Consent::None;
    }
    let config = desk.edge.config();
    let mut cookies = vec![cookie::clear(config, desk.brand)];
    if off {
        cookies.push(cookie::decline(config, desk.brand, true));
    }
    Ok(Done {
        consent: visitor.consent,
        cookies,
    })
}

fn consenting(reader: Option<Pseudonym>) -> Result<Pseudonym, Problem> {
    reader.ok_or_else(|| {
        Problem::new(
            Kind::Forbidden,
            "cookie of this brand",
            "there is no consent, so nothing can be remembered",
            "send the action consent_on first",
        )
    })
}

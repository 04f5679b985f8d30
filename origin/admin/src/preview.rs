//! What a slate would look like, before anybody sees it: the live front ranked with the draft for a given reader,
//! segment, country, device and time, beside what is served now, and what the change displaces.

use crate::api::{Displaced, Preview, PreviewAnswer, PreviewSlot};
use crate::limits;
use crate::store::{Store, StoreError, compile};
use mediaflow_ports::BlobStore;
use mediaflow_shared::front::Front;
use mediaflow_shared::id::Pseudonym;
use mediaflow_shared::model::{Model, Q16};
use mediaflow_shared::profile::{Affinity, Habits, Profile, blob, fold};
use mediaflow_shared::rank::{Query, Scratch, Slate, rank};
use mediaflow_shared::rules::Rules;
use mediaflow_shared::served::{Context, Request};
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics::{self, LANES, TOPICS};
use thiserror::Error;

/// Why there is no preview.
#[derive(Debug, Error)]
pub enum PreviewError {
    /// The stores or the draft.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A field of the question.
    #[error("{field}: {reason}; {remedy}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Nothing to rank yet.
    #[error("no front is published for this surface yet")]
    NoFront,
}

impl From<mediaflow_ports::PortError> for PreviewError {
    fn from(e: mediaflow_ports::PortError) -> Self {
        Self::Store(e.into())
    }
}

fn field<T>(
    field: &'static str,
    reason: impl Into<String>,
    remedy: &'static str,
) -> Result<T, PreviewError> {
    Err(PreviewError::Field {
        field,
        reason: reason.into(),
        remedy,
    })
}

/// Ranks the surface as it is and as it would be.
///
/// # Errors
/// [`PreviewError`].
pub async fn preview(
    store: &Store,
    blobs: &dyn BlobStore,
    (brand, surface): (&str, &str),
    ask: Preview,
    now: Timestamp,
) -> Result<PreviewAnswer, PreviewError> {
    let at = ask.at.unwrap_or(now);
    let live = store.surface(brand, surface).await?;
    let brand_state = store.brand(brand).await?;
    let mut planned = live.clone();
    planned.published = ask
        .document
        .clone()
        .or(live.draft.clone())
        .unwrap_or(live.published.clone());
    let without_pins = |s| compile(s, &brand_state, now).map_err(StoreError::from);
    let (mut before, mut after) = (without_pins(&live)?, without_pins(&planned)?);
    let served = blobs.get(&format!("r/{brand}/{surface}")).await?;
    // Cards of pins that have left the front were added by the publisher.
    let pinned = served
        .and_then(|b| Rules::decode(&b.value).ok())
        .map(|(r, _)| r.pinned)
        .unwrap_or_default();
    before.pinned.clone_from(&pinned);
    after.pinned = pinned;

    let front = blobs
        .get(&format!("f/{brand}/{surface}"))
        .await?
        .ok_or(PreviewError::NoFront)?;
    let front = Front::parse(front.value.to_vec()).map_err(|_| PreviewError::NoFront)?;
    let model = blobs
        .get(&format!("m/{brand}"))
        .await?
        .and_then(|b| Model::decode(&b.value).ok())
        .unwrap_or_default();
    let profile = reader(blobs, &ask, at).await?;
    let request = Request {
        limit: ask.limit.unwrap_or(20).clamp(1, limits::PREVIEW_SLOTS_MAX),
        context: context(&ask)?,
        personal: Q16.cast_unsigned(),
        // The exploration slot is left to the policy's favourite: a preview shows what most readers get.
        seed: 0,
        ..Request::default()
    };
    let model = Model {
        explore: mediaflow_shared::model::Exploration {
            epsilon: 0,
            ..model.explore
        },
        ..model
    };
    let run = |rules: &Rules| {
        let query = Query {
            profile: profile.as_ref(),
            front: &front,
            rules: Some(rules),
            model: &model,
            minute: at.minute(),
            request: &request,
        };
        slots(&rank(&query, &mut Scratch::default()), &front, rules)
    };
    let (now_slots, slots) = (run(&before), run(&after));
    let displaced = now_slots
        .iter()
        .filter_map(|was| {
            let to = slots
                .iter()
                .find(|s| s.content_id == was.content_id)
                .map(|s| s.slot);
            let moved = to.is_none_or(|t| t > was.slot);
            moved.then(|| Displaced {
                content_id: was.content_id,
                title: was.title.clone(),
                from: was.slot,
                to,
            })
        })
        .collect();
    let in_force = |r: &&mediaflow_shared::rules::Rule| {
        r.windows.is_empty()
            || r.windows
                .iter()
                .any(|w| w.from <= at.minute() && at.minute() < w.until)
    };
    let rules_in_force = after
        .rules
        .iter()
        .filter(in_force)
        .map(|r| r.label.clone())
        .collect();
    Ok(PreviewAnswer {
        slots,
        now: now_slots,
        displaced,
        rules_in_force,
    })
}

fn slots(slate: &Slate, front: &Front, rules: &Rules) -> Vec<PreviewSlot> {
    let one = |slot: &mediaflow_shared::rank::Slot| {
        let card = slot.row.map_or_else(
            || {
                rules
                    .pinned
                    .iter()
                    .find(|p| p.content == slot.content)
                    .map_or("", |p| p.card.as_str())
            },
            |row| front.card(row),
        );
        PreviewSlot {
            slot: usize::from(slot.slot),
            content_id: slot.content,
            title: title(card),
            score: slot.score,
            pinned_by: slot
                .pinned
                .and_then(|id| rules.rules.iter().find(|r| r.id == id))
                .map(|r| r.label.clone()),
            reasons: slot.reasons.iter().map(|r| r.text(Some(rules))).collect(),
        }
    };
    slate.slots.iter().map(one).collect()
}

/// The title in a card, which is a JSON object without its braces.
fn title(card: &str) -> String {
    let parsed: Result<serde_json::Value, _> = serde_json::from_str(&format!("{{{card}}}"));
    parsed
        .ok()
        .and_then(|v| v["title"].as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn context(ask: &Preview) -> Result<Context, PreviewError> {
    let country = match ask.country.as_deref().map(str::as_bytes) {
        None => 0,
        Some([a, b]) => u16::from_be_bytes([a.to_ascii_uppercase(), b.to_ascii_uppercase()]),
        Some(_) => {
            return field(
                "country",
                "is not two letters",
                "use ISO 3166-1, such as DE",
            );
        }
    };
    let section = TOPICS as u8;
    Ok(Context {
        device: ask.device.unwrap_or_default(),
        country,
        section,
        language: 0,
    })
}

async fn reader(
    blobs: &dyn BlobStore,
    ask: &Preview,
    at: Timestamp,
) -> Result<Option<Profile>, PreviewError> {
    let mut profile = match &ask.reader {
        None => None,
        Some(text) => {
            let Ok(p) = Pseudonym::parse(text) else {
                return field(
                    "reader",
                    "is not a pseudonym of 32 hex digits",
                    "take it from the audit or the served records",
                );
            };
            match blobs
                .get(&format!("u/{p}"))
                .await?
                .map(|b| blob::decode(&b.value))
            {
                Some(Ok(p)) => Some(p),
                _ => {
                    return field(
                        "reader",
                        "has no stored profile",
                        "leave it out and name topics instead",
                    );
                }
            }
        }
    };
    if !ask.topics.is_empty() {
        let mut sum = [0i64; LANES];
        for slug in &ask.topics {
            let Some(t) = topics::index(slug) else {
                return field(
                    "topics",
                    format!("no topic is called {slug:?}"),
                    "GET /admin/v1/topics lists them",
                );
            };
            sum[usize::from(t)] = 127;
        }
        let affinity = Affinity {
            lanes: fold::normalise(&sum),
            confidence: 52_429,
        };
        let p = profile.get_or_insert_with(|| Profile {
            as_of: at.minute(),
            ..Profile::default()
        });
        p.affinity = Some(affinity);
    }
    if let Some(segment) = ask.segment {
        let p = profile.get_or_insert_with(|| Profile {
            as_of: at.minute(),
            ..Profile::default()
        });
        p.habits = Some(Habits {
            segment,
            ..p.habits.unwrap_or_default()
        });
    }
    Ok(profile)
}

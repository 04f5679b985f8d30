//! What is asked of a ranking: everything it depends on, and nothing else.

use crate::front::Front;
use crate::model::Model;
use crate::profile::Profile;
use crate::rules::Rules;
use crate::served::{Arm, FeedId, Request};
use crate::time::Minute;
use core::hash::Hasher as _;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// One question to the ranking. The answer is a pure function of these six.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The reader, when there is consent and a readable profile.
    pub profile: Option<&'a Profile>,
    /// The candidates.
    pub front: &'a Front,
    /// What the editors decided; `None` when no rules could be read.
    pub rules: Option<&'a Rules>,
    /// The brand's weights.
    pub model: &'a Model,
    /// The ranking clock.
    pub minute: Minute,
    /// How many items, for which context, by which policy.
    pub request: &'a Request,
}

impl<'a> Query<'a> {
    /// The policy in force: the kill switch outranks the request.
    #[must_use]
    pub fn arm(&self) -> Arm {
        if self.rules.is_some_and(|r| r.editorial_only) {
            Arm::Editorial
        } else {
            self.request.arm
        }
    }

    /// The reader as far as the policy may look at them: the editorial arm does not.
    #[must_use]
    pub fn reader(&self) -> Option<&'a Profile> {
        self.profile.filter(|_| self.arm() != Arm::Editorial)
    }
}

/// Names every input of this feed. `rules_version` is the checksum that [`crate::rules::Rules::decode`] answers (0
/// without rules), `profile_blob` the very bytes that `query.profile` was decoded from (empty without a profile).
#[must_use]
pub fn feed_id(
    query: &Query<'_>,
    rules_version: u64,
    brand: &str,
    surface: &str,
    profile_blob: &[u8],
) -> FeedId {
    FeedId {
        minute: query.minute,
        front: query.front.id(),
        rules: rules_version,
        model: query.model.id,
        profile: if profile_blob.is_empty() {
            0
        } else {
            xxh3_64(profile_blob)
        },
        request: request_hash(brand, surface, query.request),
    }
}

/// Hash of brand, surface and every field of the request, in the order of their declaration.
#[must_use]
pub fn request_hash(brand: &str, surface: &str, request: &Request) -> u64 {
    // Destructured so that a new field cannot be forgotten here.
    let Request {
        limit,
        offset,
        context,
        seed,
        arm,
        explain,
        personal,
    } = *request;
    let mut h = Xxh3::new();
    for name in [brand, surface] {
        h.write(name.as_bytes());
        h.write(&[0]);
    }
    h.write(&limit.to_le_bytes());
    h.write(&offset.to_le_bytes());
    h.write(&[context.device as u8, context.section]);
    h.write(&context.country.to_le_bytes());
    h.write(&context.language.to_le_bytes());
    h.write(&seed.to_le_bytes());
    h.write(&[arm as u8, u8::from(explain)]);
    h.write(&personal.to_le_bytes());
    h.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::served::{Context, Device};

    #[test]
    fn every_field_of_a_request_changes_its_hash() {
        let base = Request::default();
        let c = Context::default();
        let changed = [
            Request { limit: 1, ..base },
            Request { offset: 1, ..base },
            Request { seed: 1, ..base },
            Request {
                arm: Arm::Classic,
                ..base
            },
            Request {
                explain: true,
                ..base
            },
            Request {
                personal: 1,
                ..base
            },
            Request {
                context: Context {
                    device: Device::Tv,
                    ..c
                },
                ..base
            },
            Request {
                context: Context { country: 1, ..c },
                ..base
            },
            Request {
                context: Context { section: 1, ..c },
                ..base
            },
            Request {
                context: Context { language: 1, ..c },
                ..base
            },
        ];
        let mut seen: Vec<u64> = changed
            .iter()
            .map(|r| request_hash("daily", "home", r))
            .collect();
        seen.push(request_hash("daily", "home", &base));
        seen.push(request_hash("dailyh", "ome", &base));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), changed.len() + 2);
    }
}

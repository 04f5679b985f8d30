//! What a reader's own device ranks with: its sealed token, kept as edges keep it (`edge/core/src/visitor.rs`).
//!
//! A token follows the reader on its device at once and learns of other devices from storage alone. Truths are
//! numbered; a token is *whole* while it equals one of them. One that lacks something holds the profile last taken over
//! and what was read here since, without what those readings teach of topics: a little less than edges keep.

use mediaflow_shared::id::ContentId;
use mediaflow_shared::profile::{Profile, Read, fold};
use mediaflow_shared::time::Minute;
use std::collections::VecDeque;

use super::Truth;

/// When edges ask storage again, and what they apply anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceSettings {
    /// Asked again after so long without activity, milliseconds.
    pub idle_ms: i64,
    /// However active the reader is, asked after so long, milliseconds.
    pub asked_ms_max: i64,
    /// Readings applied again onto a profile that is taken over.
    pub reads_max: usize,
}

/// A profile in storage and the number of the truth it was.
pub(super) type Stored<'a> = (u64, Option<&'a Profile>);

/// One device's token.
#[derive(Debug, Clone, Default)]
pub(super) struct Token {
    profile: Option<Profile>,
    /// The truth it equals.
    whole: Option<u64>,
    /// The truth last taken over from storage.
    adopted: u64,
    asked_ms: Option<i64>,
    pub seen_ms: i64,
    /// Read here, the newest last.
    reads: VecDeque<(ContentId, Minute)>,
}

impl Token {
    /// On a device that was not met before: storage is asked by the first request.
    pub fn new() -> Self {
        Self {
            whole: Some(0),
            ..Self::default()
        }
    }

    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// A request: asks storage where the token cannot know.
    pub fn request(&mut self, (number, stored): Stored<'_>, now_ms: i64, set: &DeviceSettings) {
        let due = now_ms - self.seen_ms > set.idle_ms
            || self
                .asked_ms
                .is_none_or(|asked| now_ms - asked > set.asked_ms_max);
        self.seen_ms = now_ms;
        if !due {
            return;
        }
        self.asked_ms = Some(now_ms);
        if let Some(stored) = stored.filter(|_| number > self.adopted) {
            self.adopted = number;
            self.adopt(number, stored, set.reads_max);
        }
    }

    fn adopt(&mut self, number: u64, stored: &Profile, reads_max: usize) {
        // What a whole token has beyond the copy happened here, so few changes are all applied again.
        if self
            .whole
            .is_some_and(|mine| mine >= number && mine - number <= reads_max as u64)
        {
            return;
        }
        // Edges also age what they take over; the ideal is not aged, so neither is this.
        let mut profile = *stored;
        let mut more = false;
        let first = self.reads.len().saturating_sub(reads_max);
        for &(content, at) in self.reads.iter().skip(first) {
            let counted = stored.has_read(content.short());
            if at > stored.as_of || (!counted && at >= stored.as_of) {
                remember(&mut profile, content, at);
                more = true;
            }
        }
        self.profile = Some(profile);
        self.whole = (!more).then_some(number);
    }

    /// An event here made the reader's profile `truth`; `read`: the item, when edges note such an event, too.
    pub fn event(&mut self, truth: &Truth, read: Option<ContentId>, told: bool, now: Minute) {
        if let Some(content) = read {
            self.reads.push_back((content, now));
            if self.reads.len() > READS_KEPT {
                self.reads.pop_front();
            }
        }
        if told && self.whole == Some(truth.number - 1) {
            self.profile = truth.profile;
            self.whole = Some(truth.number);
            return;
        }
        self.whole = None;
        if let Some(content) = read {
            let profile = self.profile.get_or_insert(Profile {
                as_of: now,
                ..Profile::default()
            });
            remember(profile, content, now);
        }
    }
}

/// As many as a profile lists; no setting applies more again.
const READS_KEPT: usize = mediaflow_shared::profile::READS_MAX;

/// Puts an item first among the reads; what it is about is not learned.
fn remember(profile: &mut Profile, content: ContentId, at: Minute) {
    fold::age(profile, Minute(at.0.max(profile.as_of.0)));
    let short = content.short();
    profile.reads.retain(|r| r.short != short);
    profile.reads.push_front(Read { short, age: 0 });
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const SET: DeviceSettings = DeviceSettings {
        idle_ms: 30_000,
        asked_ms_max: 300_000,
        reads_max: 2,
    };

    fn minute(m: u32) -> i64 {
        Minute(m).start().0
    }

    /// The truth after reading items 1 to `n`, one a minute.
    fn truth(n: u32) -> Truth {
        let mut profile = Profile::default();
        for i in 1..=n {
            remember(&mut profile, ContentId(i.into()), Minute(i));
        }
        Truth {
            number: n.into(),
            profile: Some(profile),
            blob: Bytes::new(),
            sampled: Minute(0),
            devices: Vec::new(),
        }
    }

    fn read(token: &mut Token, n: u32) {
        token.event(&truth(n), Some(ContentId(n.into())), true, Minute(n));
    }

    fn knows(token: &Token) -> Vec<u32> {
        let mut all: Vec<u32> = token
            .profile()
            .into_iter()
            .flat_map(|p| p.reads.as_slice().iter().map(|r| r.short))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn the_only_device_is_always_whole_without_storage() {
        let mut token = Token::new();
        for n in 1..=9 {
            token.request((0, None), minute(n), &SET);
            read(&mut token, n);
            assert_eq!(token.profile(), truth(n).profile.as_ref());
        }
    }

    #[test]
    fn another_devices_readings_come_from_storage_and_only_once_it_is_asked() {
        let mut token = Token::new();
        read(&mut token, 1);
        // Truth 2 happened elsewhere.
        let stored = truth(2);
        let stored = (2, stored.profile.as_ref());
        token.request((0, None), minute(1), &SET);
        token.request(stored, minute(1) + SET.idle_ms, &SET);
        assert_eq!(knows(&token), [1], "active: not asked");
        token.request(stored, minute(1) + 3 * SET.idle_ms, &SET);
        assert_eq!(knows(&token), [1, 2]);
        read(&mut token, 3);
        assert_eq!(token.profile(), truth(3).profile.as_ref());
    }

    #[test]
    fn an_active_reader_is_asked_for_every_few_minutes_all_the_same() {
        let mut token = Token::new();
        let stored = truth(2);
        let mut now_ms = minute(1);
        token.request((0, None), now_ms, &SET);
        let mut asked = 0;
        while knows(&token).is_empty() {
            now_ms += 20_000;
            asked += 20_000;
            token.request((2, stored.profile.as_ref()), now_ms, &SET);
        }
        assert!(asked > SET.asked_ms_max && asked <= SET.asked_ms_max + 20_000);
    }

    #[test]
    fn what_was_missed_stays_missing_until_storage_has_it() {
        let mut token = Token::new();
        read(&mut token, 1);
        read(&mut token, 3);
        assert_eq!(knows(&token), [1, 3], "2 was read elsewhere");
        let stored = truth(2);
        token.request((2, stored.profile.as_ref()), minute(9), &SET);
        assert_eq!(knows(&token), [1, 2, 3], "3 is applied again");
        read(&mut token, 4);
        assert_eq!(knows(&token), [1, 2, 3, 4]);
    }

    #[test]
    fn an_older_copy_costs_the_readings_beyond_what_is_applied_again() {
        let mut token = Token::new();
        for n in 1..=6 {
            read(&mut token, n);
        }
        let (fourth, third) = (truth(4), truth(3));
        let mut whole = token.clone();
        whole.request((4, fourth.profile.as_ref()), minute(9), &SET);
        assert_eq!(whole.profile(), truth(6).profile.as_ref());
        token.request((3, third.profile.as_ref()), minute(9), &SET);
        assert_eq!(
            knows(&token),
            [1, 2, 3, 5, 6],
            "4 is lost until storage has it"
        );
    }

    #[test]
    fn what_edges_do_not_note_is_missing() {
        let mut token = Token::new();
        read(&mut token, 1);
        token.event(&truth(2), None, false, Minute(2));
        assert_eq!(knows(&token), [1]);
        read(&mut token, 3);
        assert_eq!(knows(&token), [1, 3]);
    }
}

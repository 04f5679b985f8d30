//! From a [`Commit`] to the keys and arguments of its script, and from the script's answer to a refusal.

use std::collections::HashMap;

use mediaflow_ports::{Commit, Expect, Layout, PortError, PortErrorKind, Slot};

use crate::keys::{Keys, fence_field, progress_field};
use crate::limits::MARK_MS;

/// What the script takes. Values are borrowed from the commit by [`Order::arguments`].
pub(crate) struct Order {
    pub keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    /// Per argument from `arguments.len()` on: what is sent as it is.
    tail: Vec<Tail>,
}

enum Tail {
    Own(Vec<u8>),
    Value(usize),
    EntryKey(usize),
    EntryValue(usize),
}

impl Order {
    /// `id` marks this commit among all others.
    pub fn new(
        commit: &Commit,
        slot: Slot,
        keys: &Keys,
        layout: &Layout,
        id: [u8; 16],
        channel: &str,
    ) -> Self {
        let mut touched: Vec<Vec<u8>> = Vec::new();
        let mut positions: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut position = |name: String| {
            let name = name.into_bytes();
            *positions.entry(name).or_insert_with_key(|name| {
                touched.push(name.clone());
                touched.len()
            })
        };
        // Of two writes to one key the later wins; the script need not know of the earlier.
        let mut last: HashMap<(&str, &[u8]), usize> = HashMap::with_capacity(commit.writes.len());
        for (at, write) in commit.writes.iter().enumerate() {
            last.insert((&write.view, &write.key), at);
        }
        let mut written = Vec::with_capacity(last.len());
        let mut tail = Vec::with_capacity(3 * (last.len() + commit.outbox.len()));
        let mut index_of: HashMap<&str, usize> = HashMap::new();
        for (at, write) in commit.writes.iter().enumerate() {
            if last.get(&(&write.view, &write.key)) != Some(&at) {
                continue;
            }
            let index = *index_of.entry(&write.view).or_insert_with(|| {
                if layout.plan(&write.view).1 {
                    position(keys.index(slot, &write.view))
                } else {
                    0
                }
            });
            written.push(keys.value(slot, &write.view, &write.key));
            tail.push(Tail::Own(index.to_string().into_bytes()));
            let (expiry, value) = match (&write.value, write.expires_ms) {
                (None, _) => (b"-".to_vec(), Tail::Own(Vec::new())),
                // Redis takes no time before 1970; what is over is over.
                (Some(_), Some(ms)) if ms <= 0 => (b"-".to_vec(), Tail::Own(Vec::new())),
                (Some(_), Some(ms)) => (ms.to_string().into_bytes(), Tail::Value(at)),
                (Some(_), None) => (Vec::new(), Tail::Value(at)),
            };
            tail.push(Tail::Own(expiry));
            tail.push(value);
        }
        for (at, entry) in commit.outbox.iter().enumerate() {
            let stream = position(keys.outbox(slot, &entry.outbox));
            tail.push(Tail::Own(stream.to_string().into_bytes()));
            tail.push(Tail::EntryKey(at));
            tail.push(Tail::EntryValue(at));
        }
        let text = |n: &dyn ToString| n.to_string().into_bytes();
        let fence = commit.fence.as_ref();
        let progress = commit.progress.as_ref();
        let mut arguments = vec![
            text(&touched.len()),
            text(&commit.requires.len()),
            text(&written.len()),
            text(&commit.outbox.len()),
            fence.map_or_else(Vec::new, |f| fence_field(&f.name).into_bytes()),
            fence.map_or_else(Vec::new, |f| text(&f.epoch)),
            progress.map_or_else(Vec::new, |p| {
                progress_field(&p.consumer, &p.topic, p.partition).into_bytes()
            }),
            progress.map_or_else(Vec::new, |p| text(&p.expected)),
            progress.map_or_else(Vec::new, |p| text(&p.next)),
            text(&MARK_MS),
            channel.as_bytes().to_vec(),
            keys.tag(slot).into_bytes(),
        ];
        let mut all = vec![
            keys.facts(slot).into_bytes(),
            keys.mark(slot, &id),
            keys.names(slot).into_bytes(),
        ];
        all.append(&mut touched);
        for require in &commit.requires {
            all.push(keys.value(slot, &require.view, &require.key));
            arguments.push(match &require.expect {
                Expect::Absent => b"-".to_vec(),
                Expect::Exactly(bytes) => [b"=", &bytes[..]].concat(),
            });
        }
        all.append(&mut written);
        Self {
            keys: all,
            arguments,
            tail,
        }
    }

    /// The script's arguments.
    pub fn arguments<'a>(&'a self, commit: &'a Commit) -> Vec<&'a [u8]> {
        let mut all: Vec<&[u8]> = self.arguments.iter().map(Vec::as_slice).collect();
        all.extend(self.tail.iter().map(|tail| match tail {
            Tail::Own(bytes) => bytes.as_slice(),
            Tail::Value(at) => commit.writes[*at].value.as_deref().unwrap_or_default(),
            Tail::EntryKey(at) => &commit.outbox[*at].key[..],
            Tail::EntryValue(at) => &commit.outbox[*at].value[..],
        }));
        all
    }
}

/// What the script's answer means.
pub(crate) fn verdict(commit: &Commit, code: u32, detail: &str) -> Result<(), PortError> {
    let conflict = |message| Err(PortError::new(PortErrorKind::Conflict, message));
    match (code, &commit.fence, &commit.progress) {
        (0, ..) => Ok(()),
        (1, Some(fence), _) => Err(PortError::new(
            PortErrorKind::Fenced,
            format!(
                "fence \"{}\" is held by epoch {detail}, this is epoch {}; another worker took over: stop",
                fence.name, fence.epoch
            ),
        )),
        (2, _, Some(p)) => conflict(format!(
            "consumer \"{}\" of {}/{} is at {detail}, not {}; read on from {detail}",
            p.consumer, p.topic, p.partition, p.expected
        )),
        _ => {
            let failed = detail
                .parse::<usize>()
                .ok()
                .and_then(|n| commit.requires.get(n.checked_sub(1)?));
            conflict(failed.map_or_else(
                || "a precondition does not hold; load and decide anew".to_owned(),
                |require| {
                    format!(
                        "view \"{}\": key \"{}\" was changed by someone else; load it and decide anew",
                        require.view,
                        require.key.escape_ascii()
                    )
                },
            ))
        }
    }
}

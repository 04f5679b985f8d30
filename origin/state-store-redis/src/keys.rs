//! How state is named in Redis: every key of a slot carries the slot's hash tag, so a commit stays on one node.
//!
//! `{mf:p3}` or `{mf:g}`, then: `m` the slot's facts (a hash: `f|<fence>` epochs, `p|<consumer>|<topic>|<partition>`
//! offsets, `o|<outbox>` the last id) · `v|<view>|<key>` a value · `i|<view>` the index of a scanned view (a sorted
//! set whose scores are all 0) · `n` the names of indexed views (a set) · `o|<outbox>` a stream · `c|<16 bytes>` a
//! mark of a commit that went through. `{mf:g}l` holds the layout. Names never contain `|`.

use mediaflow_ports::{Layout, Slot};

/// The prefix of every key of an installation, and its database number for messages between processes.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The hash tag of a slot: what every key of it begins with.
    pub fn tag(&self, slot: Slot) -> String {
        match slot {
            Slot::Global => format!("{{{}:g}}", self.prefix),
            Slot::Partition(n) => format!("{{{}:p{n}}}", self.prefix),
        }
    }

    pub fn facts(&self, slot: Slot) -> String {
        format!("{}m", self.tag(slot))
    }

    pub fn layout(&self) -> String {
        format!("{}l", self.tag(Slot::Global))
    }

    pub fn mark(&self, slot: Slot, id: &[u8]) -> Vec<u8> {
        [format!("{}c|", self.tag(slot)).as_bytes(), id].concat()
    }

    pub fn names(&self, slot: Slot) -> String {
        format!("{}n", self.tag(slot))
    }

    /// What keys of a view's values begin with.
    pub fn values(&self, slot: Slot, view: &str) -> Vec<u8> {
        format!("{}v|{view}|", self.tag(slot)).into_bytes()
    }

    pub fn value(&self, slot: Slot, view: &str, key: &[u8]) -> Vec<u8> {
        let mut name = self.values(slot, view);
        name.extend_from_slice(key);
        name
    }

    pub fn index(&self, slot: Slot, view: &str) -> String {
        format!("{}i|{view}", self.tag(slot))
    }

    pub fn outbox(&self, slot: Slot, outbox: &str) -> String {
        format!("{}o|{outbox}", self.tag(slot))
    }

    /// Where processes tell each other that an outbox has work.
    pub fn channel(&self, database: i64) -> String {
        format!("{}:{database}:outbox", self.prefix)
    }

    /// The view of a value's key; `None` for another kind of key.
    pub fn view_of<'a>(&self, name: &'a [u8]) -> Option<&'a str> {
        let rest = name.strip_prefix(format!("{{{}:", self.prefix).as_bytes())?;
        let end = rest.iter().position(|b| *b == b'}')?;
        let rest = rest.get(end + 1..)?.strip_prefix(b"v|")?;
        let view = rest.get(..rest.iter().position(|b| *b == b'|')?)?;
        std::str::from_utf8(view).ok()
    }
}

pub(crate) fn fence_field(fence: &str) -> String {
    format!("f|{fence}")
}

pub(crate) fn progress_field(consumer: &str, topic: &str, partition: u32) -> String {
    format!("p|{consumer}|{topic}|{partition}")
}

/// Bits of an outbox id that count within a slot; those above tell the slot. 2^48 entries at 50,000 a second last
/// 178 years.
const COUNT_BITS: u32 = 48;

/// An entry's id over all slots: ascending within each slot.
pub(crate) fn outbox_id(slot: Slot, count: u64) -> u64 {
    let high = match slot {
        Slot::Global => 0,
        Slot::Partition(n) => u64::from(n) + 1,
    };
    high << COUNT_BITS | count
}

/// The slot of an id and its count there; `None` for an id of no slot.
pub(crate) fn of_outbox_id(id: u64, layout: &Layout) -> Option<(Slot, u64)> {
    let count = id & ((1 << COUNT_BITS) - 1);
    match u32::try_from(id >> COUNT_BITS).ok()? {
        0 => Some((Slot::Global, count)),
        high if high <= layout.partitions() => Some((Slot::Partition(high - 1), count)),
        _ => None,
    }
}

/// How a range over keys beginning with `prefix` and after `after` is written for `ZRANGEBYLEX`.
pub(crate) fn range(prefix: &[u8], after: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let first = match after {
        Some(after) if after >= prefix => [b"(", after].concat(),
        _ if prefix.is_empty() => b"-".to_vec(),
        _ => [b"[", prefix].concat(),
    };
    // The first key after all that begin with the prefix: its last byte that can grow, grown.
    let last = match prefix.iter().rposition(|b| *b != 0xff) {
        None => b"+".to_vec(),
        Some(at) => {
            let mut last = [b"(", prefix.get(..=at).unwrap_or_default()].concat();
            if let Some(byte) = last.last_mut() {
                *byte += 1;
            }
            last
        }
    };
    (first, last)
}

/// A glob that matches exactly the keys beginning with `prefix`.
pub(crate) fn pattern(prefix: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for byte in prefix {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'^' | b'-' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    pattern
}

/// What is noted of a layout beside the state: keys written with another would not be found.
pub(crate) fn layout_fields(layout: &Layout) -> Vec<(String, String)> {
    let mut fields = vec![("partitions".to_owned(), layout.partitions().to_string())];
    for plan in layout.plans() {
        let kept = if plan.scanned { "indexed" } else { "plain" };
        fields.push((
            format!("view {}", plan.view),
            format!("{:?} {kept}", plan.placement),
        ));
    }
    fields.extend(
        layout
            .consumers()
            .map(|name| (format!("consumer {name}"), "partitioned".to_owned())),
    );
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_their_slot_and_ascend_within_it() {
        let layout = Layout::new(8);
        for slot in layout.slots() {
            assert_eq!(of_outbox_id(outbox_id(slot, 7), &layout), Some((slot, 7)));
            assert!(outbox_id(slot, 7) < outbox_id(slot, 8));
        }
        assert_eq!(
            of_outbox_id(outbox_id(Slot::Partition(8), 1), &layout),
            None
        );
        assert_eq!(of_outbox_id(u64::MAX, &layout), None);
    }

    #[test]
    fn ranges_hold_exactly_a_prefix() {
        assert_eq!(range(b"", None), (b"-".to_vec(), b"+".to_vec()));
        assert_eq!(range(b"p/", None), (b"[p/".to_vec(), b"(p0".to_vec()));
        assert_eq!(
            range(b"p/", Some(b"p/07")),
            (b"(p/07".to_vec(), b"(p0".to_vec())
        );
        assert_eq!(range(b"p/", Some(b"a")), (b"[p/".to_vec(), b"(p0".to_vec()));
        assert_eq!(range(b"a\xff\xff", None).1, b"(b".to_vec());
        assert_eq!(range(b"\xff", None).1, b"+".to_vec());
    }

    #[test]
    fn a_key_tells_its_view_whatever_it_holds() {
        let keys = Keys::new("mf");
        let name = keys.value(Slot::Partition(3), "a:b/c", b"x|y}z");
        assert_eq!(keys.view_of(&name), Some("a:b/c"));
        assert_eq!(keys.view_of(keys.facts(Slot::Global).as_bytes()), None);
        assert_eq!(keys.view_of(b"\xff{}"), None);
    }

    #[test]
    fn a_prefix_is_matched_literally() {
        assert_eq!(
            pattern(b"{mf:g}v|[a]*?\\"),
            b"{mf:g}v|\\[a\\]\\*\\?\\\\*".to_vec()
        );
    }
}

//! Which of two versions of an article counts.

use mediaflow_shared::content::{Content, RawItem, Status};

/// What to do with a new version.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Store and announce this.
    Write(Box<Content>),
    /// The stored version stays: the new one is older, or the item was taken down.
    Keep,
}

/// Decides between what is stored and what `raw`, normalised to `new`, says.
///
/// A takedown stays, whatever comes later. An older change never overwrites a newer one. A delivery
/// that only withdraws (no title, no text) changes the state of what is stored and keeps the rest.
#[must_use]
pub fn decide(stored: Option<&Content>, raw: &RawItem, new: Content) -> Decision {
    let Some(old) = stored else {
        return Decision::Write(Box::new(new));
    };
    if old.status == Status::Takedown {
        return Decision::Keep;
    }
    let withdraws = new.title.is_empty() && new.body.is_empty() && new.status != Status::Published;
    if new.status == Status::Takedown || withdraws {
        // A takedown is not a change at the source, so it has no place in the order of changes.
        if new.status != Status::Takedown && new.updated_at < old.updated_at {
            return Decision::Keep;
        }
        let mut kept = old.clone();
        kept.status = new.status;
        kept.updated_at = new.updated_at.max(old.updated_at);
        kept.metadata.ingested_at = new.metadata.ingested_at;
        return changed(old, kept);
    }
    if new.updated_at < old.updated_at {
        return Decision::Keep;
    }
    let mut new = new;
    if crate::time::read(&raw.published) == crate::time::Read::Missing {
        // "Missing means now" holds for the first delivery; later ones do not move the publication.
        new.published_at = old.published_at;
    }
    changed(old, new)
}

/// A version that says the same is not announced again.
fn changed(old: &Content, new: Content) -> Decision {
    let mut same = new.clone();
    same.metadata.ingested_at = old.metadata.ingested_at;
    if same == *old {
        Decision::Keep
    } else {
        Decision::Write(Box::new(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Normalizer;
    use mediaflow_shared::content::RawTime;
    use mediaflow_shared::time::Timestamp;

    fn raw(title: &str, modified_s: i64, status: Status) -> RawItem {
        RawItem {
            source: "wp".into(),
            original_id: "1".into(),
            brand: "daily".into(),
            title: title.into(),
            modified: RawTime::Number(modified_s as f64),
            status,
            ingested_at: Timestamp::from_s(5_000_000),
            ..RawItem::default()
        }
    }

    fn apply(versions: &[RawItem]) -> Content {
        let n = Normalizer::default();
        let mut stored: Option<Content> = None;
        for raw in versions {
            if let Decision::Write(c) = decide(stored.as_ref(), raw, n.normalize(raw)) {
                stored = Some(*c);
            }
        }
        stored.unwrap()
    }

    #[test]
    fn the_newest_change_counts_in_any_order_of_arrival() {
        use Status::{Published, Unpublished};
        let a = raw("a", 100, Published);
        let b = raw("b", 200, Published);
        assert_eq!(apply(&[a.clone(), b.clone()]).title, "b");
        assert_eq!(apply(&[b.clone(), a.clone()]).title, "b");
        let gone = raw("", 300, Unpublished);
        for order in [[&a, &b, &gone], [&gone, &b, &a], [&b, &gone, &a]] {
            let c = apply(&order.map(Clone::clone));
            assert_eq!(
                c.status, Unpublished,
                "withdrawn stays withdrawn against older versions"
            );
        }
        let back = raw("c", 400, Published);
        assert_eq!(apply(&[a, gone, back]).status, Published);
    }

    #[test]
    fn a_withdrawal_keeps_what_was_known() {
        let c = apply(&[
            raw("a", 100, Status::Published),
            raw("", 200, Status::Unpublished),
        ]);
        assert_eq!((c.title.as_str(), c.status), ("a", Status::Unpublished));
    }

    #[test]
    fn a_takedown_wins_over_everything_and_stays() {
        let takedown = RawItem {
            takedown: true,
            ..raw("", 50, Status::Published)
        };
        let c = apply(&[
            raw("a", 100, Status::Published),
            takedown,
            raw("b", 900, Status::Published),
            raw("", 950, Status::Unpublished),
        ]);
        assert_eq!((c.title.as_str(), c.status), ("a", Status::Takedown));
    }

    #[test]
    fn the_same_again_is_not_news() {
        let n = Normalizer::default();
        let a = raw("a", 100, Status::Published);
        let stored = n.normalize(&a);
        let again = RawItem {
            ingested_at: Timestamp::from_s(6_000_000),
            ..a
        };
        assert_eq!(
            decide(Some(&stored), &again, n.normalize(&again)),
            Decision::Keep
        );
    }

    #[test]
    fn a_missing_publication_is_set_once() {
        let first = raw("a", 100, Status::Published);
        let mut second = raw("b", 200, Status::Published);
        second.ingested_at = Timestamp::from_s(9_000_000);
        assert_eq!(
            apply(&[first, second]).published_at,
            Timestamp::from_s(5_000_000)
        );
    }
}

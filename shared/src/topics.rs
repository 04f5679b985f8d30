//! The 50 topics: a fixed basis for affinities and topic vectors.
//!
//! Based on the IPTC Media Topics: the 17 top-level terms are the parents, the rest are their most used
//! narrower terms in publishing. The order is part of the wire format: never reorder, only append up to 64.

/// Number of topics in use; vectors are padded with zero lanes to [`LANES`].
pub const TOPICS: usize = 50;

/// Lanes of every int8 vector in a front or a profile.
pub const LANES: usize = 64;

/// One topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Stable name used in APIs and rules.
    pub slug: &'static str,
    /// What a reader sees in a reason.
    pub label: &'static str,
    /// The IPTC Media Topic under which it falls (top level).
    pub iptc: &'static str,
}

const fn t(slug: &'static str, label: &'static str, iptc: &'static str) -> Topic {
    Topic { slug, label, iptc }
}

/// The table, indexed by topic number.
pub const TABLE: [Topic; TOPICS] = [
    t("politics", "Politics", "medtop:11000000"),
    t("elections", "Elections", "medtop:11000000"),
    t("world", "World affairs", "medtop:11000000"),
    t("diplomacy", "Diplomacy", "medtop:11000000"),
    t("local", "Local news", "medtop:11000000"),
    t("conflict", "War and conflict", "medtop:16000000"),
    t("crime", "Crime", "medtop:02000000"),
    t("justice", "Law and justice", "medtop:02000000"),
    t("disaster", "Disasters and accidents", "medtop:03000000"),
    t("weather", "Weather", "medtop:17000000"),
    t("economy", "Economy", "medtop:04000000"),
    t("business", "Business", "medtop:04000000"),
    t("markets", "Markets", "medtop:04000000"),
    t("personal-finance", "Money", "medtop:04000000"),
    t("real-estate", "Property", "medtop:04000000"),
    t("energy", "Energy", "medtop:04000000"),
    t("transport", "Transport", "medtop:04000000"),
    t("labour", "Work and careers", "medtop:09000000"),
    t("education", "Education", "medtop:05000000"),
    t("higher-education", "Universities", "medtop:05000000"),
    t("environment", "Environment", "medtop:06000000"),
    t("climate", "Climate", "medtop:06000000"),
    t("animals", "Animals and nature", "medtop:06000000"),
    t("health", "Health", "medtop:07000000"),
    t("medicine", "Medicine", "medtop:07000000"),
    t("mental-health", "Mental health", "medtop:07000000"),
    t("fitness", "Fitness", "medtop:10000000"),
    t("science", "Science", "medtop:13000000"),
    t("space", "Space", "medtop:13000000"),
    t("technology", "Technology", "medtop:13000000"),
    t(
        "artificial-intelligence",
        "Artificial intelligence",
        "medtop:13000000",
    ),
    t("security", "Cybersecurity", "medtop:13000000"),
    t("gaming", "Gaming", "medtop:10000000"),
    t("entertainment", "Entertainment", "medtop:01000000"),
    t("film", "Film", "medtop:01000000"),
    t("television", "Television and streaming", "medtop:01000000"),
    t("music", "Music", "medtop:01000000"),
    t("books", "Books", "medtop:01000000"),
    t("arts", "Arts and culture", "medtop:01000000"),
    t("celebrity", "People", "medtop:08000000"),
    t("lifestyle", "Lifestyle", "medtop:10000000"),
    t("food", "Food and recipes", "medtop:10000000"),
    t("travel", "Travel", "medtop:10000000"),
    t("fashion", "Fashion", "medtop:10000000"),
    t("family", "Family", "medtop:14000000"),
    t("society", "Society", "medtop:14000000"),
    t("religion", "Religion", "medtop:12000000"),
    t("sport", "Sport", "medtop:15000000"),
    t("football", "Football", "medtop:15000000"),
    t("motorsport", "Motorsport", "medtop:15000000"),
];

/// The number of the topic with this slug.
#[must_use]
pub fn index(slug: &str) -> Option<u8> {
    TABLE
        .iter()
        .position(|t| t.slug == slug)
        .and_then(|i| u8::try_from(i).ok())
}

/// The topic of this number.
#[must_use]
pub fn topic(index: u8) -> Option<&'static Topic> {
    TABLE.get(usize::from(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_distinct_and_found() {
        for (i, t) in TABLE.iter().enumerate() {
            assert_eq!(index(t.slug).map(usize::from), Some(i), "{}", t.slug);
        }
        assert_eq!(index("no-such-topic"), None);
    }
}

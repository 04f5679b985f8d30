//! Every limit and rate of the simulator, with its reason.

/// Items the twelve brands publish in a day together (S0-01: "2,000+ items/day").
pub const ITEMS_PER_DAY: usize = 2_000;

/// How far a day may lie from [`ITEMS_PER_DAY`], as a fraction: news days differ.
pub const DAY_JITTER: f64 = 0.02;

/// Share of items that are edited after publication.
pub const UPDATED_SHARE: f64 = 0.03;

/// Share of items that are withdrawn after publication.
pub const UNPUBLISHED_SHARE: f64 = 0.005;

/// Share of items delivered under an embargo.
pub const EMBARGOED_SHARE: f64 = 0.01;

/// Share of items that a sister brand takes over (near-duplicates).
pub const SYNDICATED_SHARE: f64 = 0.03;

/// Share of items that belong to a series.
pub const SERIES_SHARE: f64 = 0.25;

/// Shortest and longest body, in words.
pub const BODY_WORDS: (usize, usize) = (200, 900);

/// Share of readers who never give consent.
pub const NO_CONSENT_SHARE: f64 = 0.15;

/// Largest page of the WordPress REST API (`per_page`, WordPress core).
pub const WORDPRESS_PAGE_MAX: usize = 100;

/// Page of the WordPress REST API when none is asked for.
pub const WORDPRESS_PAGE: usize = 10;

/// Largest page of Drupal's JSON:API (`OffsetPage::SIZE_MAX` in Drupal core).
pub const DRUPAL_PAGE_MAX: usize = 50;

/// Largest page of the custom sources.
pub const CUSTOM_PAGE_MAX: usize = 200;

/// Days of content a server holds at most; older items drop out, so a fast clock cannot fill the memory.
pub const DAYS_HELD_MAX: u32 = 30;

/// How often the webhook sender looks for changes.
pub const WEBHOOK_TICK_MS: u64 = 500;

/// Longest wait for any HTTP answer.
pub const HTTP_TIMEOUT_S: u64 = 10;

/// Slots a simulated reader looks at in one feed, at most.
pub const SLOTS_SEEN_MAX: usize = 20;

/// Sessions under way at once when the caller does not say.
pub const SESSIONS_AT_ONCE: usize = 8;

/// Interactions of a reader whose history is generated for blob measurements, at most.
pub const HISTORY_MAX: usize = 400;

/// Feeds of one session at most.
pub const PAGES_MAX: usize = 3;

/// Share of pages after which a topic is muted.
pub const MUTE_SHARE: f64 = 0.003;

/// Days of content whose hidden facts a drive knows, tomorrow included.
pub const CONTENT_DAYS_KNOWN: u32 = 9;

/// Latencies kept per kind of call: 8 MB; later ones are counted only.
pub const LATENCIES_MAX: usize = 1_000_000;

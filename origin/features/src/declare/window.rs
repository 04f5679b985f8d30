//! The windows features are counted over.

/// A stretch of event time that ends with the moment it is asked for (see [`crate::tiles`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Window {
    /// 5 seconds.
    S5,
    /// 5 minutes.
    Min5,
    /// 1 hour.
    H1,
    /// 24 hours.
    H24,
    /// 7 days.
    D7,
    /// 30 days.
    D30,
}

impl Window {
    /// From short to long.
    pub const ALL: [Self; 6] = [
        Self::S5,
        Self::Min5,
        Self::H1,
        Self::H24,
        Self::D7,
        Self::D30,
    ];

    /// As names end.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::S5 => "5s",
            Self::Min5 => "5m",
            Self::H1 => "1h",
            Self::H24 => "24h",
            Self::D7 => "7d",
            Self::D30 => "30d",
        }
    }

    /// As a person says it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::S5 => "5 seconds",
            Self::Min5 => "5 minutes",
            Self::H1 => "hour",
            Self::H24 => "24 hours",
            Self::D7 => "7 days",
            Self::D30 => "30 days",
        }
    }

    /// Milliseconds.
    #[must_use]
    pub const fn ms(self) -> i64 {
        match self {
            Self::S5 => 5_000,
            Self::Min5 => 300_000,
            Self::H1 => 3_600_000,
            Self::H24 => 86_400_000,
            Self::D7 => 7 * 86_400_000,
            Self::D30 => 30 * 86_400_000,
        }
    }

    /// Whole days, 0 for what is shorter.
    #[must_use]
    pub const fn days(self) -> u32 {
        (self.ms() / 86_400_000) as u32
    }

    /// The tier of tiles it is read from, and how many of them beside the running one.
    pub(crate) const fn read_from(self) -> (usize, u32) {
        match self {
            Self::S5 => (0, 1),
            Self::Min5 => (0, 60),
            Self::H1 => (1, 12),
            Self::H24 => (2, 24),
            Self::D7 => (3, 7),
            Self::D30 => (3, 30),
        }
    }
}

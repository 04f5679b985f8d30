//! What is kept of a user agent and an address: classes, never the texts themselves.

use mediaflow_shared::event::EventData;
use serde::{Deserialize, Serialize};

/// What a sender's headers tell of a reader. This, not the headers, goes into the log and into dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// `mobile`, `desktop`, `tablet`, `tv`, `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Family, such as `iOS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Family, such as `Firefox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// ISO 3166-2, such as `US-NY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A known robot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bot: bool,
}

impl Facts {
    /// Fills what the event does not say itself.
    pub(crate) fn fill(&self, d: &mut EventData) {
        for (mine, theirs) in [
            (&self.device, &mut d.device),
            (&self.os, &mut d.os),
            (&self.browser, &mut d.browser),
        ] {
            if theirs.is_none() {
                theirs.clone_from(mine);
            }
        }
        // A region belongs to its country: both from one place, or neither.
        if d.country.is_none() && d.region.is_none() {
            d.country.clone_from(&self.country);
            d.region.clone_from(&self.region);
        }
    }

    /// These facts, with those of `other` where these say nothing.
    #[must_use]
    pub(crate) fn or(mut self, other: &Self) -> Self {
        if self.device.is_none() && self.os.is_none() && self.browser.is_none() {
            self.device.clone_from(&other.device);
            self.os.clone_from(&other.os);
            self.browser.clone_from(&other.browser);
            self.bot |= other.bot;
        }
        if self.country.is_none() {
            self.country.clone_from(&other.country);
            self.region.clone_from(&other.region);
        }
        self
    }
}

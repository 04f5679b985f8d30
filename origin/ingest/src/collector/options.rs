//! What an operator sets for collection, ready to use.

use std::net::IpAddr;
use std::sync::Arc;

use super::check::agent::Agents;
use super::check::facts::Facts;
use super::check::outlier::OutlierRules;
use super::check::place::Places;
use super::dedupe::DedupeLimits;
use super::senders::Senders;
use crate::intake::Intake;
use crate::limits::INFLIGHT_BYTES_MAX;

/// Everything the collector needs beside keys and brands. The default takes our own CloudEvents and other envelopes
/// from anyone who names a brand, knows no geography and believes no proxy.
pub struct Collect {
    /// Who may send other envelopes, and how their names map to ours.
    pub senders: Senders,
    /// Bounds of the plausible.
    pub outliers: OutlierRules,
    /// The judge of user agents.
    pub agents: Agents,
    /// Countries of addresses; none without a database.
    pub places: Option<Places>,
    /// How many proxies of the operator's own stand before the collector and add themselves to `X-Forwarded-For`.
    /// 0: the header is not believed.
    pub proxies: usize,
    /// Bytes of request bodies held at once.
    pub inflight_bytes_max: usize,
    /// How long, and in how much memory, events are remembered to tell repetitions.
    pub dedupe: DedupeLimits,
    /// Where item metadata of envelopes goes; without it such messages are refused.
    pub items: Option<Arc<Intake>>,
}

impl Default for Collect {
    fn default() -> Self {
        Self {
            senders: Senders::default(),
            outliers: OutlierRules::default(),
            agents: Agents::default(),
            places: None,
            proxies: 0,
            inflight_bytes_max: INFLIGHT_BYTES_MAX,
            dedupe: DedupeLimits::default(),
            items: None,
        }
    }
}

impl Collect {
    /// What user agent and address tell; both are forgotten here.
    pub(crate) fn facts(&self, agent: Option<&str>, address: Option<IpAddr>) -> Facts {
        let mut facts = agent.map_or_else(Facts::default, |a| (*self.agents.facts(a)).clone());
        if let Some(place) = self.places.as_ref().zip(address).map(|(p, a)| p.facts(a)) {
            (facts.country, facts.region) = (place.country, place.region);
        }
        facts
    }
}

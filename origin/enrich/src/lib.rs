//! From raw content to the unified, enriched article

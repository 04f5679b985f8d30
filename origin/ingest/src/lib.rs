//! Content connectors and the event collector

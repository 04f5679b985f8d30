//! Builds and publishes fronts, profile blobs, rules and models

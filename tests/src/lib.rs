//! End-to-end tests over real processes: the harness.

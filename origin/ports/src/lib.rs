//! Ports of the origin and their conformance suites

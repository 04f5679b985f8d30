//! Spin adapter of the edge

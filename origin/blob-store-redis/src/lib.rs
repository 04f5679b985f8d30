//! Blob store adapter: Redis, read by the Spin edge

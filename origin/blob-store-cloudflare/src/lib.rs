//! Blob store adapter: the Cloudflare KV bulk API

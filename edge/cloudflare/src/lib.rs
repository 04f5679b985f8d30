//! Cloudflare Workers adapter of the edge

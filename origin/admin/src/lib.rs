//! The editors' API: rules, preview, receipts, audit

//! The edge request: token, profile, front, ladder, feed

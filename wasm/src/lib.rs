//! The JavaScript face of the shared ranking

//! Folds of reader events into profiles, popularity and neighbours

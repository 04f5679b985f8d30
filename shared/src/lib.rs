//! Contracts and pure ranking logic of MediaFlow

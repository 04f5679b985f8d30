//! The embedded adapter of every port, on one durable database

//! Problem details, authentication, limits, health and metrics of the origin

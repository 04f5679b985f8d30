//! A simulated publisher that speaks the real wire formats

//! The binary `mediaflow`.
fn main() {}

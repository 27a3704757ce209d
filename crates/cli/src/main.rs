//! The `pve` binary.

fn main() {}

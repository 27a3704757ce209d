//! The `pve` binary.

mod arguments;
mod render;
mod terraform_json;

fn main() {}

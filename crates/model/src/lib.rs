//! The vocabulary of `pve`: values, types, addresses, schemas, events, state and plans. Pure: no I/O, clock or randomness.

pub mod address;
pub mod codec;
pub mod event;
pub mod number;
pub mod path;
pub mod plan;
pub mod provisioner;
pub mod rules;
pub mod schema;
pub mod state;
pub mod types;
pub mod value;

pub use address::{InstanceAddress, InstanceKey, ModulePath, ResourceAddress, ResourceMode};
pub use number::Number;
pub use path::{Path, PathStep};
pub use types::Type;
pub use value::{Marks, Value, ValueKind};

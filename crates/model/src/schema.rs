//! Schemas of resource kinds, data sources and provider blocks, as Terraform's plugin protocol describes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::types::{AttributeType, Type};
use crate::value::Value;

/// The schema of one kind.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Raised whenever stored values need an upgrade.
    pub version: u64,
    /// Attributes and nested blocks.
    pub block: Block,
}

/// Attributes and nested blocks.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// By name.
    pub attributes: BTreeMap<Arc<str>, Attribute>,
    /// By name.
    pub blocks: BTreeMap<Arc<str>, NestedBlock>,
}

/// One attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Its type.
    pub ty: Type,
    /// It must be set.
    pub required: bool,
    /// It may be set.
    pub optional: bool,
    /// The provider sets it when the configuration does not.
    pub computed: bool,
    /// It is never shown.
    pub sensitive: bool,
    /// It is never stored.
    pub write_only: bool,
    /// What an absent value means; the planner fills it in.
    pub default: Option<Value>,
    /// A change of it replaces the resource.
    pub replace: bool,
    /// What to write instead, when it is deprecated.
    pub deprecated: Option<&'static str>,
    /// One or two sentences with units.
    pub description: &'static str,
}

/// How often a nested block may stand and how its values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// At most once; the value is an object or null.
    Single,
    /// A list of objects.
    List,
    /// A set of objects.
    Set,
}

/// A kind of nested block.
#[derive(Clone, Debug)]
pub struct NestedBlock {
    /// How often, and kept how.
    pub nesting: Nesting,
    /// What is inside.
    pub block: Block,
    /// Least number of blocks.
    pub min_items: u64,
    /// Greatest number of blocks; 0 for any.
    pub max_items: u64,
    /// A change in the number of blocks replaces the resource.
    pub replace: bool,
}

impl Default for Attribute {
    fn default() -> Attribute {
        Attribute {
            ty: Type::String,
            required: false,
            optional: false,
            computed: false,
            sensitive: false,
            write_only: false,
            default: None,
            replace: false,
            deprecated: None,
            description: "",
        }
    }
}

impl Block {
    /// The type of a value of this block: an object with every attribute and block.
    pub fn implied_type(&self) -> Type {
        let attributes = self.attributes.iter().map(|(name, a)| (name.clone(), a.ty.clone()));
        let blocks = self.blocks.iter().map(|(name, nested)| (name.clone(), nested.implied_type()));
        let all = attributes
            .chain(blocks)
            .map(|(name, ty)| (name, AttributeType { ty, optional: false }))
            .collect::<BTreeMap<_, _>>();
        Type::Object(Arc::new(all))
    }
}

impl NestedBlock {
    /// The type of all blocks of this kind together.
    pub fn implied_type(&self) -> Type {
        let inner = self.block.implied_type();
        match self.nesting {
            Nesting::Single => inner,
            Nesting::List => Type::list(inner),
            Nesting::Set => Type::set(inner),
        }
    }
}

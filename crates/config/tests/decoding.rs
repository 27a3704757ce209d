//! Bodies of blocks as values.

use pve_config::configuration::decode_body;
use pve_config::evaluate::{Resolved, Scope, ScopeError};
use pve_config::functions::Context;
use pve_config::syntax::{SourceId, parse_body};
use pve_model::schema::{Attribute, Block, NestedBlock, Nesting};
use pve_model::{Type, Value};

struct Functions(Context);

impl Scope for Functions {
    fn resolve(&self, root: &str, _steps: &[&str]) -> Result<Resolved, ScopeError> {
        Err(ScopeError { summary: "There is no such name".into(), detail: root.to_string(), hint: None })
    }

    fn functions(&self) -> &Context {
        &self.0
    }
}

fn nested(block: Block) -> NestedBlock {
    NestedBlock { block, nesting: Nesting::List, min_items: 0, max_items: 0, replace: false }
}

/// `disk { size, speed, limit { read } }`
fn schema() -> Block {
    let number = || Attribute { ty: Type::Number, optional: true, ..Attribute::default() };
    let mut limit = Block::default();
    limit.attributes.insert("read".into(), number());
    let mut disk = Block::default();
    disk.attributes.insert("size".into(), number());
    disk.attributes.insert("speed".into(), number());
    disk.blocks.insert("limit".into(), nested(limit));
    let mut schema = Block::default();
    schema.blocks.insert("disk".into(), nested(disk));
    schema
}

fn decode(text: &str) -> Value {
    let parsed = parse_body(SourceId(0), text);
    assert_eq!(parsed.diagnostics, []);
    let scope = Functions(Context::new(".", jiff::Timestamp::UNIX_EPOCH));
    let (value, found) = decode_body(&parsed.value, &schema(), &scope);
    assert_eq!(found, []);
    value
}

fn sensitive_paths(text: &str) -> Vec<String> {
    decode(text).sensitive_paths().iter().map(ToString::to_string).collect()
}

// The reference's plan of the same bodies has these marks.
#[test]
fn what_a_dynamic_block_writes_is_as_sensitive_as_what_it_goes_over() {
    let body = "dynamic \"disk\" {
        for_each = sensitive([1, 2])
        content {
            size = 8
            limit {
                read = 1
            }
        }
    }";
    assert_eq!(sensitive_paths(body), ["disk[0].size", "disk[1].size"]);
}

#[test]
fn no_block_is_no_secret() {
    let body = "dynamic \"disk\" {
        for_each = sensitive([])
        content {
            size = 8
        }
    }";
    assert_eq!(sensitive_paths(body), [""; 0]);
}

#[test]
fn a_sensitive_element_marks_what_is_made_of_it() {
    let body = "dynamic \"disk\" {
        for_each = [sensitive(8)]
        content {
            size  = disk.value
            speed = disk.key
        }
    }";
    assert_eq!(sensitive_paths(body), ["disk[0].size"]);
}

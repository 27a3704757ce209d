//! The blocks of a value, and which of a list is which before and after a change.

use pve_model::Value;
use pve_model::schema::Block;
use pve_planner::difference::same;
use similar::{Algorithm, DiffOp, capture_diff_slices};

/// Attributes that tell blocks of one list apart, the most telling first.
pub const KEYS: [&str; 4] = ["interface", "path", "device", "name"];

/// A block before and after, by their places: one that is added has no place before, one that is taken out none after.
pub type Pair = (Option<usize>, Option<usize>);

/// The blocks that a value stands for.
pub fn elements(value: Option<&Value>) -> Vec<Value> {
    match value {
        Some(value) if value.elements().is_some() => {
            value.elements().map(<[Value]>::to_vec).unwrap_or_default()
        }
        Some(value) if value.entries().is_some() => vec![value.clone()],
        _ => Vec::new(),
    }
}

/// Pairs the blocks by the key that all of them have, else those that say the same, and what is between these by place.
/// Those that are taken out stand where they were.
pub fn pair_blocks(block: Option<&Block>, before: &[Value], after: &[Value]) -> Vec<Pair> {
    match KEYS.iter().find_map(|name| Some((keys(before, name)?, keys(after, name)?))) {
        Some((before, after)) => by_key(&before, &after),
        None => by_sequence(&stated(block, before), &stated(block, after)),
    }
}

/// Whether a block has only moved: what differs cannot be configured and is a place, such as `pos` of a firewall rule.
pub fn has_only_moved(block: Option<&Block>, before: &Value, after: &Value) -> bool {
    let place = |value: &Value| value.get("pos").cloned();
    place(before) != place(after) && same(&stated_block(block, before), &stated_block(block, after))
}

fn stated(block: Option<&Block>, values: &[Value]) -> Vec<Value> {
    values.iter().map(|value| stated_block(block, value)).collect()
}

/// A block without what the cluster alone decides.
fn stated_block(block: Option<&Block>, value: &Value) -> Value {
    let (Some(block), Some(entries)) = (block, value.entries()) else { return value.clone() };
    let is_stated = |name: &str| {
        block.attributes.get(name).is_none_or(|attribute| attribute.optional || attribute.required)
    };
    let stated = entries.iter().filter(|(name, _)| is_stated(name));
    Value::object(stated.map(|(name, part)| (name.clone(), part.clone())).collect())
}

/// The note that counts blocks that say the same before and after, some of them at another place.
pub fn unchanged_note(name: &str, unchanged: usize, moved: usize, pairs: &[Pair]) -> String {
    let order = match moved {
        0 if is_reordered(pairs) => ", in another order".to_string(),
        0 => String::new(),
        moved => format!(", {moved} of them at another place"),
    };
    let plural = if unchanged == 1 { "" } else { "s" };
    format!("# ({unchanged} unchanged {name} block{plural}{order})")
}

/// Whether the blocks that stay stand in another order.
fn is_reordered(pairs: &[Pair]) -> bool {
    let places: Vec<usize> = pairs.iter().filter_map(|(old, new)| old.filter(|_| new.is_some())).collect();
    !places.is_sorted()
}

/// The key of each block; nothing if one has none or two have the same.
fn keys<'v>(blocks: &'v [Value], name: &str) -> Option<Vec<&'v str>> {
    let keys = blocks.iter().map(|block| block.get(name)?.as_str().filter(|key| !key.is_empty()));
    let keys: Vec<&str> = keys.collect::<Option<_>>()?;
    let distinct: std::collections::BTreeSet<&str> = keys.iter().copied().collect();
    (distinct.len() == keys.len()).then_some(keys)
}

fn by_key(before: &[&str], after: &[&str]) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut gone = (0..before.len()).filter(|old| !after.contains(&before[*old])).peekable();
    for (new, key) in after.iter().enumerate() {
        let old = before.iter().position(|old| old == key);
        while let Some(place) = gone.next_if(|place| old.is_some_and(|old| *place < old)) {
            pairs.push((Some(place), None));
        }
        pairs.push((old, Some(new)));
    }
    pairs.extend(gone.map(|place| (Some(place), None)));
    pairs
}

fn by_sequence(before: &[Value], after: &[Value]) -> Vec<Pair> {
    // Equal blocks have equal numbers: values have no order and no hash.
    let mut known: Vec<&Value> = Vec::new();
    let mut number = |value| match known.iter().position(|other| same(value, other)) {
        Some(number) => number,
        None => {
            known.push(value);
            known.len() - 1
        }
    };
    let old: Vec<usize> = before.iter().map(&mut number).collect();
    let new: Vec<usize> = after.iter().map(&mut number).collect();
    let mut pairs = Vec::new();
    for step in capture_diff_slices(Algorithm::Myers, &old, &new) {
        let (gone, come) = (step.old_range(), step.new_range());
        if matches!(step, DiffOp::Equal { .. }) {
            pairs.extend(gone.zip(come).map(|(old, new)| (Some(old), Some(new))));
            continue;
        }
        let both = gone.len().min(come.len());
        pairs.extend(gone.clone().zip(come.clone()).map(|(old, new)| (Some(old), Some(new))));
        pairs.extend(gone.skip(both).map(|old| (Some(old), None)));
        pairs.extend(come.skip(both).map(|new| (None, Some(new))));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(key: &str, texts: &[(&str, &str)]) -> Vec<Value> {
        let block = |(name, size): &(&str, &str)| {
            Value::object([(key.into(), Value::string(*name)), ("size".into(), Value::string(*size))].into())
        };
        texts.iter().map(block).collect()
    }

    #[test]
    fn blocks_with_a_key_are_paired_by_it_wherever_they_stand() {
        let before = blocks("path", &[("/a", "1"), ("/gone", "1"), ("/b", "2")]);
        let after = blocks("path", &[("/b", "3"), ("/new", "1"), ("/a", "1")]);
        let pairs = pair_blocks(None, &before, &after);
        assert_eq!(
            pairs,
            [(Some(1), None), (Some(2), Some(0)), (None, Some(1)), (Some(0), Some(2))],
            "the block that goes stands before the next that stays"
        );
        assert!(is_reordered(&pairs));
    }

    #[test]
    fn blocks_without_a_key_are_paired_where_they_are_equal() {
        let before = blocks("comment", &[("a", "1"), ("a", "1"), ("b", "2"), ("c", "3")]);
        let after = blocks("comment", &[("x", "0"), ("a", "1"), ("a", "1"), ("b", "9"), ("c", "3")]);
        let pairs = pair_blocks(None, &before, &after);
        let expected =
            [(None, Some(0)), (Some(0), Some(1)), (Some(1), Some(2)), (Some(2), Some(3)), (Some(3), Some(4))];
        assert_eq!(pairs, expected);
        assert!(!is_reordered(&pairs));
        assert_eq!(pair_blocks(None, &before[..1], &[]), [(Some(0), None)]);
    }

    #[test]
    fn what_the_cluster_alone_decides_tells_no_blocks_apart() {
        use pve_model::Type;
        use pve_model::schema::Attribute;
        let block = Block {
            attributes: [
                ("comment".into(), Attribute { ty: Type::String, optional: true, ..Attribute::default() }),
                ("pos".into(), Attribute { ty: Type::Number, computed: true, ..Attribute::default() }),
            ]
            .into(),
            ..Block::default()
        };
        let rule = |(comment, pos): &(&str, i64)| {
            Value::object(
                [("comment".into(), Value::string(*comment)), ("pos".into(), Value::number(*pos))].into(),
            )
        };
        let before: Vec<Value> = [("ssh", 0), ("web", 1)].iter().map(rule).collect();
        let after: Vec<Value> = [("ssh", 0), ("dns", 1), ("web", 2)].iter().map(rule).collect();
        let pairs = pair_blocks(Some(&block), &before, &after);
        assert_eq!(pairs, [(Some(0), Some(0)), (None, Some(1)), (Some(1), Some(2))]);
        assert!(has_only_moved(Some(&block), &before[1], &after[2]));
        assert!(!has_only_moved(Some(&block), &before[0], &after[0]), "it stands where it stood");
        assert!(!has_only_moved(Some(&block), &before[1], &after[1]), "it says something else");
    }

    // The pairs name every block once, whatever the lists are.
    #[test]
    fn no_block_is_left_out_or_named_twice() {
        let seed = 20_261_126;
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for round in 0..500 {
            let mut list = |key: &str| {
                let count = random.usize(..6);
                let texts: Vec<String> = (0..count).map(|_| random.u8(..5).to_string()).collect();
                let texts: Vec<(&str, &str)> = texts.iter().map(|text| (&**text, "1")).collect();
                blocks(key, &texts)
            };
            let key = if round % 2 == 0 { "path" } else { "comment" };
            let (before, after) = (list(key), list(key));
            let pairs = pair_blocks(None, &before, &after);
            let mut old: Vec<usize> = pairs.iter().filter_map(|(old, _)| *old).collect();
            let new: Vec<usize> = pairs.iter().filter_map(|(_, new)| *new).collect();
            old.sort_unstable();
            assert_eq!(old, (0..before.len()).collect::<Vec<_>>(), "round {round}");
            assert_eq!(new, (0..after.len()).collect::<Vec<_>>(), "round {round}");
        }
    }
}

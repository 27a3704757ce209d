//! The large parts of the state: maps that are cheap to copy and cheap to write again.
//!
//! Every task keeps the state from before to go back to it, and every change writes the whole state. So a copy of a
//! table shares its values until one is changed, and a value is turned into JSON once until it is changed.

use std::collections::BTreeMap;
use std::ops::Index;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// A map whose copies share their values.
#[derive(Debug, Clone)]
pub(crate) struct Table<K, V>(BTreeMap<K, Arc<Entry<V>>>);

#[derive(Debug)]
struct Entry<V> {
    value: V,
    json: OnceLock<Box<RawValue>>,
}

impl<V> Entry<V> {
    fn new(value: V) -> Arc<Self> {
        Arc::new(Entry { value, json: OnceLock::new() })
    }
}

impl<V: Clone> Clone for Entry<V> {
    /// A copy is made to be changed: it has no JSON yet.
    fn clone(&self) -> Self {
        Entry { value: self.value.clone(), json: OnceLock::new() }
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table(BTreeMap::new())
    }
}

impl<K: Ord, V> Table<K, V> {
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.get(key).map(|entry| &entry.value)
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, entry)| (key, &entry.value))
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.keys()
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.values().map(|entry| &entry.value)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn insert(&mut self, key: K, value: V) {
        self.0.insert(key, Entry::new(value));
    }
}

impl<K: Ord, V: Clone> Table<K, V> {
    /// The value, to change it; copies of the table keep the old one.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
    {
        let entry = Arc::make_mut(self.0.get_mut(key)?);
        entry.json = OnceLock::new();
        Some(&mut entry.value)
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.remove(key).map(|entry| entry.value.clone())
    }
}

impl<V: Clone> Table<u64, V> {
    /// Adds a value behind the others, and drops the oldest ones above `limit`.
    pub fn push(&mut self, value: V, limit: usize) {
        let next = self.0.last_key_value().map_or(0, |(last, _)| last + 1);
        self.insert(next, value);
        while self.len() > limit {
            self.0.pop_first();
        }
    }
}

impl<K: Ord, V> Index<&K> for Table<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        &self.0[key].value
    }
}

impl<K: Serialize, V: Serialize> Serialize for Table<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        for entry in self.0.values().filter(|entry| entry.json.get().is_none()) {
            let json = to_raw_value(&entry.value).map_err(serde::ser::Error::custom)?;
            entry.json.get_or_init(|| json);
        }
        serializer.collect_map(self.0.iter().map(|(key, entry)| (key, entry.json.get())))
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for Table<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let plain = BTreeMap::<K, V>::deserialize(deserializer)?;
        Ok(Table(plain.into_iter().map(|(key, value)| (key, Entry::new(value))).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_it_had() {
        let mut table = Table::default();
        table.insert(1_u32, "old".to_owned());
        let before = table.clone();
        *table.get_mut(&1).unwrap() = "new".to_owned();
        assert_eq!((before[&1].as_str(), table[&1].as_str()), ("old", "new"));
    }

    #[test]
    fn what_is_written_is_what_is_there() {
        let mut table = Table::default();
        table.insert(1_u32, "a".to_owned());
        assert_eq!(serde_json::to_string(&table).unwrap(), r#"{"1":"a"}"#);
        *table.get_mut(&1).unwrap() = "b".to_owned();
        table.insert(2, "c".to_owned());
        let text = serde_json::to_string(&table).unwrap();
        assert_eq!(text, r#"{"1":"b","2":"c"}"#);
        let read: Table<u32, String> = serde_json::from_str(&text).unwrap();
        assert_eq!(read.values().collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn the_oldest_go_first() {
        let mut table = Table::default();
        (0..5).for_each(|number| table.push(number, 3));
        assert_eq!(table.values().copied().collect::<Vec<_>>(), [2, 3, 4]);
    }
}

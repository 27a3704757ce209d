//! Where the objects of a log are. Keys are flat and of fixed width, and none is a folder of another: some stores keep
//! keys as files.

/// Keys under a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    prefix: String,
    /// How it is called where it is told of.
    name: String,
}

impl Layout {
    /// The layout under `prefix`, without a slash at its end.
    pub fn new(prefix: impl Into<String>) -> Layout {
        let prefix = prefix.into();
        Layout { name: prefix.clone(), prefix }
    }

    /// The same under this name.
    pub fn called(self, name: impl Into<String>) -> Layout {
        Layout { name: name.into(), ..self }
    }

    /// How it is called where it is told of: the prefix, unless it has a name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is put before every key.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The object that names the log and its format. Written once.
    pub fn format(&self) -> String {
        format!("{}/format", self.prefix)
    }

    /// The object by which a store shows that it keeps to conditions. Written once.
    pub fn probe(&self) -> String {
        format!("{}/probe", self.prefix)
    }

    /// The object that says how far the log went at least. Overwritten; a hint by which a cut off end is
    /// noticed and a snapshot found.
    pub fn head(&self) -> String {
        format!("{}/head", self.prefix)
    }

    /// What the keys of all snapshots begin with.
    pub fn snapshots(&self) -> String {
        format!("{}/snapshot/", self.prefix)
    }

    /// The snapshot of everything up to the event `last`. Written once.
    pub fn snapshot(&self, last: u64) -> String {
        format!("{}/snapshot/{last:020}", self.prefix)
    }

    /// What the keys of all keyrings begin with.
    pub fn keyrings(&self) -> String {
        format!("{}/keys/", self.prefix)
    }

    /// The keyring of a revision. Written once.
    pub fn keyring(&self, revision: u64) -> String {
        format!("{}/keys/{revision:020}", self.prefix)
    }

    /// The lease. Overwritten by compare-and-swap, never removed.
    pub fn lease(&self) -> String {
        format!("{}/lease", self.prefix)
    }

    /// What the keys of all batches begin with.
    pub fn batches(&self) -> String {
        format!("{}/log/", self.prefix)
    }

    /// The batch whose first event is `first`. Written once.
    pub fn batch(&self, first: u64) -> String {
        format!("{}/log/{first:020}", self.prefix)
    }

    /// The sequence of the first event in the batch with this key.
    pub fn first_of(&self, key: &str) -> Option<u64> {
        let digits = key.strip_prefix(&self.batches())?;
        if digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            digits.parse().ok()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_batches_sort_as_their_sequences() {
        let layout = Layout::new("team/prod");
        assert_eq!(layout.batch(42), "team/prod/log/00000000000000000042");
        let mut keys: Vec<String> = [1, 9, 10, 99, u64::MAX].map(|first| layout.batch(first)).to_vec();
        let sorted = keys.clone();
        keys.sort();
        assert_eq!(keys, sorted);
        assert_eq!(layout.first_of(&layout.batch(u64::MAX)), Some(u64::MAX));
        for foreign in
            ["team/prod/log/7", "team/prod/log/+0000000000000000042", "other/log/00000000000000000042"]
        {
            assert_eq!(layout.first_of(foreign), None, "{foreign}");
        }
    }
}

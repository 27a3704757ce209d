//! Property strings of the Proxmox VE API: `first,key=value,key=value`.

use std::fmt;

/// A property string, taken apart. The part without a key is the value of the format's default key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    first: Option<String>,
    pairs: Vec<(String, String)>,
}

impl Properties {
    /// Takes a text apart.
    pub(crate) fn parse(text: &str) -> Properties {
        let mut properties = Properties::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((key, value)) => properties.pairs.push((key.to_string(), value.to_string())),
                None => properties.first = Some(part.to_string()),
            }
        }
        properties
    }

    /// A property string that begins with a value of the default key.
    pub(crate) fn starting(first: impl Into<String>) -> Properties {
        Properties { first: Some(first.into()), pairs: Vec::new() }
    }

    /// Adds a pair, if there is a value.
    pub(crate) fn with(mut self, key: &str, value: Option<impl ToString>) -> Properties {
        if let Some(value) = value {
            self.pairs.push((key.to_string(), value.to_string()));
        }
        self
    }

    /// Adds a bool as 0 or 1, if there is one.
    pub(crate) fn with_flag(self, key: &str, value: Option<bool>) -> Properties {
        self.with(key, value.map(u8::from))
    }

    /// Puts a key to another value where it stands, or takes it out.
    pub(crate) fn changed(mut self, key: &str, value: Option<String>) -> Properties {
        match (self.pairs.iter().position(|(name, _)| name == key), value) {
            (Some(at), Some(value)) => self.pairs[at].1 = value,
            (Some(at), None) => {
                self.pairs.remove(at);
            }
            (None, value) => return self.with(key, value),
        }
        self
    }

    /// Adds the pairs of another one.
    pub(crate) fn joined(mut self, other: &Properties) -> Properties {
        self.pairs.extend(other.pairs.iter().cloned());
        self
    }

    /// The value of the default key, written without a key or with `key`.
    pub(crate) fn first_or(&self, key: &str) -> Option<&str> {
        self.first.as_deref().or_else(|| self.get(key))
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The bool of a key. The API takes words too.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        Some(is_true(self.get(key)?))
    }

    /// The pairs in order.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// Whether nothing was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.pairs.is_empty()
    }
}

/// The bool that a text of the API means.
pub(crate) fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "on" | "yes" | "true")
}

impl fmt::Display for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        if let Some(first) = &self.first {
            f.write_str(first)?;
            comma = ",";
        }
        for (key, value) in &self.pairs {
            write!(f, "{comma}{key}={value}")?;
            comma = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn property_strings_are_taken_apart_and_written_again() {
        for text in
            ["local-lvm:vm-100-disk-0,iothread=1,size=8G", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "1"]
        {
            assert_eq!(Properties::parse(text).to_string(), text);
        }
        let drive = Properties::parse("lab:100/vm-100-disk-0.raw,size=10G,ssd=yes");
        assert_eq!(drive.first_or("file"), Some("lab:100/vm-100-disk-0.raw"));
        assert_eq!((drive.get("size"), drive.flag("ssd"), drive.flag("x")), (Some("10G"), Some(true), None));
    }
}

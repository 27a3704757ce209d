//! Marks on values.

/// Marks that travel with a value through every operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Marks(u8);

impl Marks {
    /// No mark.
    pub const NONE: Marks = Marks(0);
    /// Never shown, logged or stored in plain text.
    pub const SENSITIVE: Marks = Marks(1);
    /// Never stored at all.
    pub const EPHEMERAL: Marks = Marks(2);

    /// All marks of both.
    pub fn union(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// These marks without those of `other`.
    pub fn without(self, other: Marks) -> Marks {
        Marks(self.0 & !other.0)
    }

    /// Whether there is no mark.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the value must not be shown.
    pub fn is_sensitive(self) -> bool {
        self.0 & Marks::SENSITIVE.0 != 0
    }

    /// Whether the value must not be stored.
    pub fn is_ephemeral(self) -> bool {
        self.0 & Marks::EPHEMERAL.0 != 0
    }
}

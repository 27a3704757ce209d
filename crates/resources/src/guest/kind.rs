//! Which of the two kinds of guests one is.

/// A VM or a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuestKind {
    Vm,
    Container,
}

impl GuestKind {
    /// The type in paths of the API.
    pub(crate) const fn api(self) -> &'static str {
        match self {
            GuestKind::Vm => "qemu",
            GuestKind::Container => "lxc",
        }
    }

    /// What one is called in messages.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            GuestKind::Vm => "vm",
            GuestKind::Container => "container",
        }
    }

    /// The blocks of its network devices.
    pub(crate) const fn network_blocks(self) -> &'static str {
        match self {
            GuestKind::Vm => "network_device",
            GuestKind::Container => "network_interface",
        }
    }
}

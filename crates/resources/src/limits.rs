//! Limits on single values: what the cluster takes, by what the values are of.

mod access;
mod addresses;
mod devices;
mod files;
mod keys;
mod names;
mod processors;
#[cfg(test)]
mod tests;
mod texts;
mod times;

pub(crate) use access::{acl_path, is_guest_id, realm, token_name};
pub(crate) use addresses::{
    address, host_in_file, host_in_network, interface_name, ip, mac_address, server, server_of_container,
    web_address,
};
pub(crate) use devices::{
    cdrom_interface, disk_interface, disk_serial, hotplug, media_interface, network_slot, pci_slot,
    serial_device,
};
pub(crate) use files::{absolute_path, file_id, file_mode, medium, mode, size, some_medium, wrong_file_name};
pub(crate) use keys::public_key;
pub(crate) use names::{config_id, firewall_name, guest_name, same_tag, tags};
pub(crate) use processors::{affinity, cpu_type, machine, numa_device, numa_range};
pub(crate) use texts::{
    command, comment, not_empty, part_of_property, same_service_state, without_control_characters,
};
pub(crate) use times::{date, duration, same_date};

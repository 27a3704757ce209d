//! What each limit takes and refuses.

use super::*;

#[test]
fn each_limit_takes_what_the_cluster_takes() {
    type Limit = fn(&str) -> Option<String>;
    let cases: &[(Limit, &[&str], &[&str])] = &[
        (duration, &["15m", "1h30m", "0", "500ms"], &["", "15", "m", "x", "1ms2"]),
        (affinity, &["0", "0,2-5", "0-3,"], &["", ",", "a", "0-", "0;1"]),
        (
            cpu_type,
            &[
                "host",
                "x86-64-v2-AES",
                "custom-mine",
                "SapphireRapids-v2",
                "GraniteRapids",
                "EPYC-Milan-v2",
                "EPYC-Turin-v2",
                "neoverse-n1",
            ],
            &["", "bogus", "custom-", "HOST", "x86-64", "EPYC-Foo", "EPYC-v"],
        ),
        (
            machine,
            &[
                "",
                "pc",
                "q35",
                "q35,viommu=intel",
                "pc-q35-9.2+pve1",
                "pc-i440fx-8.1",
                "virt-10.0",
                "pc-8.1.pxe",
            ],
            &["bogus", "q36", "pc-q35", "pc-q35-9", "q35,x=1", "q35,viommu"],
        ),
        (
            public_key,
            &[
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ000000000000000000000000000000000000000000",
                " ssh-ed25519  AAAAC3NzaC1lZDI1NTE5AAAAIJ000000000000000000000000000000000000000000 me@host\n\n",
                "no-pty,command=\"a b\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ000000000000000000000000000000000000000000",
            ],
            &[
                "ssh-ed25519",
                "ssh-ed25519 AAAA",
                "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJ000000000000000000000000000000000000000000",
                "# a remark",
                "-----BEGIN OPENSSH PRIVATE KEY-----",
            ],
        ),
        (without_control_characters, &["", "a\tb\n"], &["a\0", "\x1b[m", "\x7f"]),
        (command, &["/sbin/init", "/bin/sh -c\tx"], &["", "a\0"]),
        (medium, &["", "none", "cdrom", "local:iso/a.iso"], &["NONE", "a.iso"]),
        (numa_range, &["0-3", "0-3;8"], &["", "0,1"]),
        (numa_device, &["numa0", "numa7"], &["numa8", "numa", "0"]),
        (media_interface, &["", "ide2", "scsi30"], &["virtio0", "ide4"]),
        (cdrom_interface, &["ide2", "scsi30"], &["", "virtio0", "ide4"]),
        (disk_serial, &["12345678901234567890"], &["123456789012345678901"]),
        (hotplug, &["0", "network,disk,usb,cloudinit"], &["network,sound", "2"]),
        (serial_device, &["socket", "/dev/ttyS0"], &["ttyS0"]),
        (server, &["192.0.2.1", "2001:db8::1"], &["dns.example.test", "fe80::1%eth0"]),
        (
            server_of_container,
            &["192.0.2.1", "fe80::1", "fe80::1%eth0"],
            &["dns.example.test", "fe80::1%", "2001:db8::1%eth0", "192.0.2.1%eth0"],
        ),
        (file_id, &["", "local:snippets/u.yaml"], &["u.yaml", ":x"]),
        (absolute_path, &["/dev/fuse"], &["dev/fuse"]),
        (file_mode, &["0700", "755", "1"], &["", "0", "0888", "+7"]),
        (
            mac_address,
            &["BC:24:11:00:00:01", "bc:24:11:aa:bb:cc"],
            &["", "BC:24:11:00:00", "BC:24:11:00:00:+1"],
        ),
        (network_slot, &["net0", "net31"], &["net32", "net", "eth0"]),
        (some_medium, &["none", "local:iso/a.iso"], &["", "bogus"]),
        (mode, &["0660", "0777"], &["0888", "7", "660", "7777"]),
        (size, &["", "8G", "512M", "8.5g"], &["8X", "8 G"]),
        (firewall_name, &["ab", "a-b_1"], &["a", "1a", "a b"]),
        (config_id, &["ab", "a-b_1"], &["a", "a b", "1a", "a.b"]),
        (comment, &["a", "a b", "ü"], &["", " a", "a\n"]),
        (
            web_address,
            &["https://a.test/d", "http://a"],
            &["", "a.test", "ftp://a", "https:/a", "https://a\nb"],
        ),
        (
            interface_name,
            &["vmbr0", "eno1.30", "bond_lan", "eno1:0", "vlan1234567890123456"],
            &["", "a", "1a", "a b", "-x", "a.b", "eno1.", "eno1.3.4", "a/b", "vlan12345678901234567"],
        ),
        (
            acl_path,
            &["/", "/vms", "/vms/100", "/sdn/zones/a/b", "/mapping/pci/x", "/access/realm/pam"],
            &["vms", "/vms/", "/foo", "/vms/99", "/vms/0100", "/datastore/local"],
        ),
    ];
    for (limit, good, bad) in cases {
        for text in *good {
            assert_eq!(limit(text), None, "{text:?}");
        }
        for text in *bad {
            assert!(limit(text).is_some(), "{text:?}");
        }
    }
}

//! How fast a large file is parsed, and how much memory that takes: `cargo bench -p pve-config --bench parse`. Times are
//! the best of a few runs; the ratio tells whether time grows with the size.

#![expect(clippy::unwrap_used, reason = "what fails should end it")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use pve_config::syntax::{SourceId, parse_body};

const RUNS: usize = 5;

fn main() {
    let mut times = Vec::new();
    for megabytes in [5, 45] {
        let text = guests(megabytes * 1_000_000);
        let before = peak_memory();
        let time = (0..RUNS).map(|_| parse(&text)).min().unwrap_or_default();
        let speed = text.len() as f64 / 1e6 / time.as_secs_f64();
        print!("{megabytes} MB: {:.1} ms, {speed:.1} MB/s", time.as_secs_f64() * 1e3);
        if let (Some(before), Some(after)) = (before, peak_memory()) {
            print!(", peak memory {:.1} bytes per source byte", (after - before) as f64 / text.len() as f64);
        }
        println!();
        times.push(time.as_secs_f64());
    }
    println!("9 times the text takes {:.1} times as long", times[1] / times[0]);
}

fn parse(text: &str) -> Duration {
    let start = Instant::now();
    let before = clock(start);
    let parsed = parse_body(SourceId(0), text);
    let time = clock(start) - before;
    assert!(parsed.diagnostics.is_empty());
    time
}

/// How long this thread has run: the time of day also counts what other programs do. That is what is told elsewhere.
fn clock(start: Instant) -> Duration {
    let ran = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ran = ran.and_then(|text| text.split(' ').next()?.parse().ok());
    ran.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The most memory that this process ever had, in bytes; none where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// About as many bytes of guests with what real ones have: blocks, templates, calls, lists and comments.
fn guests(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 2_000);
    let mut index = 0;
    while text.len() < bytes {
        write!(text, "{}", GUEST.replace("INDEX", &index.to_string())).unwrap();
        index += 1;
    }
    text
}

const GUEST: &str = r#"resource "proxmox_virtual_environment_vm" "vm_INDEX" {
  name      = "node-${local.prefix}-INDEX"
  node_name = var.nodes[INDEX % 7]
  tags      = ["terraform", "env-${var.environment}", "role-INDEX"]
  cpu {
    cores = 4
    type  = "x86-64-v2-AES"
  }
  memory {
    dedicated = 1024 * 8 # megabytes
  }
  disk {
    datastore_id = var.datastores["fast"].id
    interface    = "scsi0"
    size         = max(20, var.disk_size + INDEX)
    iothread     = true
  }
  initialization {
    ip_config {
      ipv4 {
        address = "${cidrhost(var.network, INDEX)}/24"
        gateway = cidrhost(var.network, 1)
      }
    }
    user_account {
      keys     = [for key in var.keys : trimspace(key) if key != ""]
      username = var.user == null ? "admin" : var.user
    }
  }
  description = <<-EOT
    Machine INDEX of ${var.project}.
    %{ if var.backup }Backed up.%{ endif }
  EOT
}

"#;

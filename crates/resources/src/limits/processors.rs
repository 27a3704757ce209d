//! Limits on what a VM computes with: CPUs, their models, NUMA nodes, and the machine they are in.

use super::devices::numbered;

fn is_ranges(text: &str, separators: &[char]) -> bool {
    let number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    text.split(separators).all(|range| match range.split_once('-') {
        Some((first, last)) => number(first) && number(last),
        None => number(range),
    })
}

/// CPUs of the host: `0,2-5`.
pub(crate) fn affinity(text: &str) -> Option<String> {
    // A comma at the end separates nothing.
    let list = text.trim_end_matches(',');
    (!is_ranges(list, &[','])).then(|| format!("{text:?} is no list of CPUs such as 0,2-5"))
}

/// The CPU models that Proxmox VE or the reference takes (`PVE::QemuServer::CPUConfig`), beside those that a cluster
/// defines itself.
const CPU_TYPES: &str = "\
    486 Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS Cascadelake-Server Cascadelake-Server-noTSX \
    Cascadelake-Server-v2 Cascadelake-Server-v4 Cascadelake-Server-v5 ClearwaterForest \
    Conroe Cooperlake Cooperlake-v2 EPYC EPYC-Genoa EPYC-Genoa-v2 EPYC-IBPB EPYC-Milan EPYC-Milan-v2 \
    EPYC-Milan-v3 EPYC-Rome EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 EPYC-Rome-v5 EPYC-Turin EPYC-v3 \
    EPYC-v4 EPYC-v5 GraniteRapids GraniteRapids-v2 GraniteRapids-v3 Haswell Haswell-IBRS Haswell-noTSX \
    Haswell-noTSX-IBRS Icelake-Client Icelake-Client-noTSX Icelake-Server Icelake-Server-noTSX Icelake-Server-v3 \
    Icelake-Server-v4 Icelake-Server-v5 Icelake-Server-v6 Icelake-Server-v7 IvyBridge \
    IvyBridge-IBRS KnightsMill Nehalem Nehalem-IBRS Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 \
    Opteron_G5 Penryn SandyBridge SandyBridge-IBRS SapphireRapids SapphireRapids-v2 SapphireRapids-v3 \
    SapphireRapids-v4 SierraForest SierraForest-v2 SierraForest-v3 Skylake-Client Skylake-Client-IBRS \
    Skylake-Client-noTSX-IBRS Skylake-Client-v4 Skylake-Server Skylake-Server-IBRS Skylake-Server-noTSX-IBRS \
    Skylake-Server-v4 Skylake-Server-v5 Westmere Westmere-IBRS a64fx athlon core2duo coreduo \
    cortex-a35 cortex-a53 cortex-a55 cortex-a57 cortex-a710 cortex-a72 cortex-a76 host kvm32 kvm64 max \
    neoverse-n1 neoverse-n2 neoverse-v1 pentium pentium2 pentium3 phenom qemu32 qemu64 x86-64-v2 \
    x86-64-v2-AES x86-64-v3 x86-64-v4";

/// A CPU model. QEMU numbers the versions of one, and more come with each release: any number is taken.
pub(crate) fn cpu_type(text: &str) -> Option<String> {
    let own = text.strip_prefix("custom-").is_some_and(|name| !name.is_empty());
    let of_version = text.rsplit_once("-v").filter(|(_, version)| version.parse::<u8>().is_ok());
    let is_known = |name: &str| CPU_TYPES.split(' ').any(|known| known == name);
    (!own && !is_known(text) && !of_version.is_some_and(|(model, _)| is_known(model)))
        .then(|| format!("{text:?} is no CPU model such as x86-64-v2-AES or host, nor custom-NAME"))
}

/// A machine: `q35`, `pc-i440fx-9.2+pve1`, `virt-10.0`, with its options behind it (`qm.conf(5)`).
pub(crate) fn machine(text: &str) -> Option<String> {
    let mut parts = text.split(',');
    let kind = parts.next().unwrap_or_default();
    let is_version = |version: &str| {
        let version = version.strip_suffix(".pxe").unwrap_or(version);
        let (version, revision) = version.split_once("+pve").map_or((version, "0"), |parts| parts);
        let number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        version.contains('.') && version.split('.').all(number) && number(revision)
    };
    let families = ["pc-q35-", "pc-i440fx-", "pc-", "virt-"];
    let is_kind = matches!(kind, "" | "pc" | "q35" | "virt")
        || families.iter().any(|family| kind.strip_prefix(family).is_some_and(is_version));
    let keys = ["viommu", "enable-s3", "enable-s4", "aw-bits"];
    let are_options = parts.all(|part| part.split_once('=').is_some_and(|(key, _)| keys.contains(&key)));
    (!is_kind || !are_options).then(|| {
        format!("{text:?} is no machine such as q35, pc or pc-q35-9.2+pve1; options are {}", keys.join(", "))
    })
}

/// CPUs or nodes of a NUMA node: `0-3;8`.
pub(crate) fn numa_range(text: &str) -> Option<String> {
    (!is_ranges(text, &[';'])).then(|| format!("{text:?} is no list such as 0-3;8"))
}

/// `numa0` to `numa7`
pub(crate) fn numa_device(text: &str) -> Option<String> {
    numbered(text, "numa", 7)
}

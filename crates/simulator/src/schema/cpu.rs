//! CPU models and flags as a VM may have them (`PVE::QemuServer::CPUConfig`, `CPUFlags`).

const MODELS: &str = "\
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

/// Checks a model. Those that a cluster defines itself are not known here: see [`absent_model`].
pub(super) fn check_model(name: &str) -> Result<(), String> {
    let of_version = name.rsplit_once("-v").filter(|(_, version)| version.parse::<u8>().is_ok());
    let is_known = |name: &str| MODELS.split(' ').any(|known| known == name);
    // Versions of a model are QEMU's, and more come with each release.
    let known = is_known(name) || of_version.is_some_and(|(model, _)| is_known(model));
    if known || name.starts_with("custom-") {
        return Ok(());
    }
    Err(format!("Built-in cputype '{name}' is not defined (missing 'custom-' prefix?)"))
}

/// The refusal of a model that the cluster would have to define: the simulated one has none.
pub(super) fn absent_model(configuration: &str) -> Option<String> {
    let custom = model(configuration)?.strip_prefix("custom-")?;
    Some(format!("Custom cputype '{custom}' not found"))
}

/// Checks `MODEL[,flags=...]`.
pub(super) fn check_configuration(value: &str) -> Result<(), String> {
    if let Some(name) = model(value) {
        check_model(name)?;
    }
    match value.split(',').find_map(|part| part.strip_prefix("flags=")) {
        Some(flags) => check_flags(flags),
        None => Ok(()),
    }
}

fn model(configuration: &str) -> Option<&str> {
    let mut parts = configuration.split(',').filter(|part| !part.trim().is_empty());
    parts.find_map(|part| if part.contains('=') { part.strip_prefix("cputype=") } else { Some(part) })
}

fn check_flags(value: &str) -> Result<(), String> {
    let known = [
        "aes",
        "amd-no-ssb",
        "amd-ssbd",
        "hv-evmcs",
        "hv-tlbflush",
        "ibpb",
        "md-clear",
        "nested-virt",
        "pcid",
        "pdpe1gb",
        "spec-ctrl",
        "ssbd",
        "virt-ssbd",
    ];
    let valid =
        value.split(';').all(|flag| flag.strip_prefix(['+', '-']).is_some_and(|f| known.contains(&f)));
    if valid {
        Ok(())
    } else {
        Err(format!("VM-specific CPU flags must be a subset of: {}", known.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_every_maker_and_version_are_taken() {
        for name in "host max kvm64 x86-64-v2-AES EPYC-Turin EPYC-Milan-v2 GraniteRapids-v3 SapphireRapids-v2 \
            ClearwaterForest Opteron_G5 Cascadelake-Server-noTSX Skylake-Server-noTSX-IBRS Icelake-Client-noTSX cortex-a72 Skylake-Client-v4 EPYC-Turin-v2 custom-mine"
            .split_whitespace()
        {
            assert_eq!(check_configuration(&format!("{name},flags=+aes;-pcid")), Ok(()), "{name}");
        }
        for value in [
            "notacpu",
            "EPYC-Foo",
            "x86-64-v1",
            "hidden=1,nothing",
            "flags=+aes,cputype=x",
            "host,flags=+avx",
        ] {
            assert!(check_configuration(value).is_err(), "{value}");
        }
    }
}

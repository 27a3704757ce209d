//! Sizes as Proxmox VE writes them: `512M`, `8G`, plain numbers in bytes.

/// The size in bytes; `None` when the text is no size.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor: f64 = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1.0,
        "K" | "KB" | "KIB" => 1024.0,
        "M" | "MB" | "MIB" => 1024.0 * 1024.0,
        "G" | "GB" | "GIB" => 1024.0 * 1024.0 * 1024.0,
        "T" | "TB" | "TIB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((digits.parse::<f64>().ok()? * factor) as u64)
}

/// The size in gibibytes, rounded up: a disk of 2252M is reported as 3.
pub(crate) fn in_gibibytes(text: &str) -> Option<i64> {
    let bytes = parse_size(text)?;
    i64::try_from(bytes.div_ceil(1 << 30)).ok()
}

/// Whether two texts mean the same size.
pub(crate) fn same_size(a: &str, b: &str) -> bool {
    a == b || (parse_size(a).is_some() && parse_size(a) == parse_size(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_compared_by_what_they_mean() {
        assert!(same_size("4G", "4096M"));
        assert!(same_size("1T", "1024G"));
        assert!(!same_size("4G", "5G"));
        assert!(!same_size("x", "y"));
        assert_eq!(in_gibibytes("2252M"), Some(3));
        assert_eq!(in_gibibytes("8G"), Some(8));
        assert_eq!(in_gibibytes("541065217"), Some(1));
    }
}

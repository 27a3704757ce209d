//! Checks the parameters of a request, in the words of PVE::JSONSchema.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Format, Keys, Kind, Property, cluster_formats, cpu, formats, lookup, property_string};

/// A parameter as it came over the wire.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Raw {
    Text(String),
    List(Vec<String>),
    Hash,
    Undefined,
}

impl From<&Value> for Raw {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Raw::Undefined,
            Value::Bool(flag) => Raw::Text(if *flag { "1" } else { "0" }.to_owned()),
            Value::Number(number) => Raw::Text(match number.as_f64() {
                Some(float) if number.is_f64() => format!("{float}"),
                _ => number.to_string(),
            }),
            Value::String(text) => Raw::Text(text.clone()),
            Value::Array(items) => Raw::List(
                items
                    .iter()
                    .map(|item| match Raw::from(item) {
                        Raw::Text(text) => text,
                        _ => String::new(),
                    })
                    .collect(),
            ),
            Value::Object(_) => Raw::Hash,
        }
    }
}

/// Error texts by parameter.
pub(crate) type Errors = BTreeMap<String, String>;

/// Checks `raw` against the endpoint's parameters and returns plain texts (lists joined by a comma, or by a
/// NUL where the schema wants an array). Undefined values are left out; the caller refuses them where PVE does.
pub(crate) fn normalise(
    keys: &Keys,
    raw: &BTreeMap<String, Raw>,
) -> Result<BTreeMap<String, String>, Errors> {
    let mut errors = Errors::new();
    let mut values = BTreeMap::new();
    for (name, value) in raw {
        let Some(property) = lookup(keys, name) else {
            errors.insert(name.clone(), UNDEFINED_PROPERTY.to_owned());
            continue;
        };
        match value {
            Raw::Undefined => {}
            Raw::Hash => {
                errors.insert(name.clone(), type_error(property, "HASH"));
            }
            Raw::List(items) if property.kind == Kind::Array => {
                values.insert(name.clone(), items.join("\0"));
            }
            Raw::List(items) if is_list(property) => {
                values.insert(name.clone(), items.join(","));
            }
            Raw::List(_) => {
                errors.insert(name.clone(), type_error(property, "ARRAY"));
            }
            Raw::Text(text) => {
                values.insert(name.clone(), text.clone());
            }
        }
    }
    for (name, value) in &values {
        if let Some(property) = lookup(keys, name) {
            if let Some(required) = &property.requires
                && !raw.contains_key(required)
            {
                errors
                    .entry(required.clone())
                    .or_insert_with(|| format!("missing property required by '{name}'"));
            }
            if let Err(text) = check(name, property, value).and_then(|()| in_cluster(property, value)) {
                errors.insert(name.clone(), text);
            }
        }
    }
    missing(keys, |name| raw.contains_key(name), &mut errors);
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

/// What a format refuses by what the cluster has, so that another cluster may take it.
fn in_cluster(property: &Property, value: &str) -> Result<(), String> {
    match &property.format {
        Some(Format::Named(format)) if format == "pve-vm-cpu-conf" => {
            cpu::absent_model(value).map_or(Ok(()), |text| Err(format!("invalid format - {text}\n")))
        }
        _ => Ok(()),
    }
}

const UNDEFINED_PROPERTY: &str =
    "property is not defined in schema and the schema does not allow additional properties";

fn missing(keys: &Keys, present: impl Fn(&str) -> bool, errors: &mut Errors) {
    for (name, property) in keys {
        if !property.optional && property.alias.is_none() && !name.ends_with("[n]") && !present(name) {
            errors
                .entry(name.clone())
                .or_insert_with(|| "property is missing and it is not optional".to_owned());
        }
    }
}

fn is_list(property: &Property) -> bool {
    matches!(&property.format, Some(Format::Named(name)) if name.ends_with("-list"))
}

fn type_error(property: &Property, got: &str) -> String {
    format!("type check ('{}') failed - got {got}", property.kind.name())
}

/// Checks one value.
pub(crate) fn check(name: &str, property: &Property, value: &str) -> Result<(), String> {
    let bad_type = || Err(type_error(property, &format!("'{value}'")));
    match property.kind {
        Kind::Integer if !is_integer(value) => return bad_type(),
        Kind::Number if !is_number(value) => return bad_type(),
        Kind::Boolean if value != "0" && value != "1" => return bad_type(),
        _ => {}
    }
    if let Some(format) = &property.format {
        check_format(name, format, value)?;
        if let Format::Named(format) = format
            && let Some(standard) = cluster_formats::standard(format)
        {
            check(name, standard, value)?;
        }
    }
    if let Some(regex) = property.regex()
        && !regex.is_match(value)
    {
        return Err("value does not match the regex pattern".to_owned());
    }
    if !property.enumeration.is_empty() && !property.enumeration.iter().any(|item| item == value) {
        let all = property.enumeration.join(", ");
        return Err(format!("value '{value}' does not have a value in the enumeration '{all}'"));
    }
    check_bounds(property, value)
}

fn check_bounds(property: &Property, value: &str) -> Result<(), String> {
    if matches!(property.kind, Kind::Integer | Kind::Number) {
        let number: f64 = value.parse().unwrap_or(0.0);
        if let Some(minimum) = property.minimum.filter(|minimum| number < *minimum) {
            return Err(format!("value must have a minimum value of {minimum}"));
        }
        if let Some(maximum) = property.maximum.filter(|maximum| number > *maximum) {
            return Err(format!("value must have a maximum value of {maximum}"));
        }
        return Ok(());
    }
    let length = value.chars().count();
    if let Some(minimum) = property.minimum_length.filter(|minimum| length < *minimum) {
        return Err(format!("value must be at least {minimum} characters long"));
    }
    if let Some(maximum) = property.maximum_length.filter(|maximum| length > *maximum) {
        return Err(format!("value may only be {maximum} characters long"));
    }
    Ok(())
}

fn check_format(name: &str, format: &Format, value: &str) -> Result<(), String> {
    let inner = match format {
        Format::Keys(keys) => Some(keys),
        Format::Named(format_name) => super::named_keys(format_name),
    };
    let Some(keys) = inner else {
        let Format::Named(format_name) = format else { return Ok(()) };
        return formats::check(format_name, value).map_err(|text| format!("invalid format - {text}\n"));
    };
    if let Format::Named(format_name) = format {
        formats::check(format_name, value).map_err(|text| format!("invalid format - {text}\n"))?;
    }
    let values = property_string::parse(keys, value).map_err(|text| format!("invalid format - {text}\n"))?;
    let errors = check_keys(name, keys, &values);
    if errors.is_empty() {
        let Format::Named(format_name) = format else { return Ok(()) };
        return formats::check_together(format_name, &values)
            .map_err(|text| format!("invalid format - {text}\n"));
    }
    let lines: Vec<String> = errors.iter().map(|(key, text)| format!("{key}: {text}\n")).collect();
    Err(format!("invalid format - format error\n{}", lines.concat()))
}

/// Checks the keys of a property string; the errors carry the path (`net0.tag`).
pub(crate) fn check_keys(name: &str, keys: &Keys, values: &property_string::Values) -> Errors {
    let mut errors = Errors::new();
    for (key, value) in values {
        let path = format!("{name}.{key}");
        match keys.get(key).filter(|property| property.alias.is_none()) {
            None => {
                errors.insert(path, UNDEFINED_PROPERTY.to_owned());
            }
            Some(property) => {
                if let Some(required) = property.requires.as_ref().filter(|r| !values.contains_key(*r)) {
                    errors.insert(
                        format!("{name}.{required}"),
                        format!("missing property required by '{path}'"),
                    );
                }
                if let Err(text) = check(&path, property, value) {
                    errors.insert(path, text);
                }
            }
        }
    }
    let mut absent = Errors::new();
    missing(keys, |key| values.contains_key(key), &mut absent);
    errors.extend(absent.into_iter().map(|(key, text)| (format!("{name}.{key}"), text)));
    errors
}

fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(value: &str) -> bool {
    let ordinary = value.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    ordinary && value.bytes().any(|byte| byte.is_ascii_digit()) && value.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::virtual_machine;
    use super::*;

    fn error(name: &str, value: &str) -> String {
        check(name, lookup(virtual_machine(), name).unwrap(), value).unwrap_err()
    }

    #[test]
    fn keys_that_exclude_each_other_are_refused_together() {
        let fault = |name, value| crate::parameter_fault("POST", "/cluster/backup", name, value);
        for value in
            ["keep-all=1", "keep-last=3,keep-all=0", "keep-all=1,keep-last=0", "keep-daily=1,keep-yearly=2"]
        {
            assert_eq!(fault("prune-backups", value), None, "{value}");
        }
        assert_eq!(
            fault("prune-backups", "keep-all=1,keep-last=3").as_deref(),
            Some("invalid format - keep-all cannot be set together with other options.\n")
        );
        assert_eq!(fault("fleecing", "enabled=0"), None);
        assert_eq!(fault("fleecing", "1,storage=local"), None);
        assert!(fault("fleecing", "enabled=1").is_some());
    }

    #[test]
    fn devices_and_system_information_are_taken_as_qemu_server_takes_them() {
        let taken = [
            ("hostpci0", "10000:e1:00.0,pcie=1"),
            ("hostpci0", "01:00;0000:02:00.1,mdev=nvidia-35,vendor-id=0x10DE,driver=keep"),
            ("hostpci0", "mapping=gpu-1,romfile=vbios.bin"),
            ("smbios1", "uuid=7b9ee8f0-0c3a-4a3c-9d0a-1f2e3d4c5b6a,serial=QUJD,base64=1"),
            ("cpu", "host,hv-vendor-id=proxmox,phys-bits=host"),
            ("cpu", "host,phys-bits=64"),
        ];
        for (name, value) in taken {
            assert_eq!(check(name, lookup(virtual_machine(), name).unwrap(), value), Ok(()), "{value}");
        }
        let refused = [
            ("hostpci0", "pci7"),
            ("hostpci0", "01:00.0,vendor-id=10de"),
            ("hostpci0", "01:00.0,driver=nouveau"),
            ("smbios1", "serial=A-1"),
            ("cpu", "host,hv-vendor-id=thirteen-chars"),
            ("cpu", "host,phys-bits=7"),
        ];
        for (name, value) in refused {
            assert!(!error(name, value).is_empty(), "{value}");
        }
    }

    #[test]
    fn a_model_that_only_a_cluster_can_know_is_a_fault_of_the_request_and_not_of_the_value() {
        assert_eq!(crate::parameter_fault("PUT", "/nodes/{n}/qemu/{id}/config", "cpu", "custom-mine"), None);
        let raw = BTreeMap::from([("cpu".to_owned(), Raw::Text("cputype=custom-mine".to_owned()))]);
        let errors = normalise(virtual_machine(), &raw).unwrap_err();
        assert_eq!(errors["cpu"], "invalid format - Custom cputype 'mine' not found\n");
    }

    #[test]
    fn errors_use_the_words_of_the_real_api() {
        assert_eq!(
            error("net0", "virtio,bridge=vmbr0,tag=5000"),
            "invalid format - format error\nnet0.tag: value must have a maximum value of 4094\n"
        );
        assert_eq!(error("cores", "x"), "type check ('integer') failed - got 'x'");
        assert_eq!(
            error("memory", "8"),
            "invalid format - format error\nmemory.current: value must have a minimum value of 16\n"
        );
        assert_eq!(
            error("scsi0", "10"),
            "invalid format - format error\nscsi0.file: invalid format - unable to parse volume ID '10'\n\n"
        );
    }
}

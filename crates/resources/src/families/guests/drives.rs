//! Disks by the names of their slots.

use pve_model::Value;
use serde_json::{Map, Value as Json, json};

use super::slots::guided;
use crate::definition::{Fields, flag, number, text};
use crate::limits;
use crate::property::Properties;
use crate::size::parse_size;
use crate::values::{flag as flag_of, int, text as text_of};

const GIB: i64 = 1 << 30;

/// The attributes of a disk.
pub(super) fn disk() -> Fields {
    vec![
        ("aio", text()),
        ("backup", flag()),
        ("cache", text()),
        ("datastore_id", text()),
        ("discard", text()),
        ("file", text().checked(limits::not_empty)),
        ("format", text()),
        ("import_from", text()),
        ("iothread", flag()),
        ("media", text()),
        ("replicate", flag()),
        ("serial", text()),
        ("size_gb", number().range(1, 10_240).means("GiB")),
        ("ssd", flag()),
    ]
}

/// Options that texts stand for.
const TEXTS: &[&str] = &["aio", "cache", "discard", "media", "serial"];

/// Options that bools stand for, with what they are by their absence.
const FLAGS: &[(&str, bool)] = &[("backup", true), ("iothread", false), ("replicate", true), ("ssd", false)];

/// The option of a disk: a new volume where there is none, else the volume that is there, with whatever nobody stated.
pub(super) fn option(disk: &Value, before: Option<&Value>, current: Option<&str>) -> Properties {
    let option = match current {
        Some(current) => Properties::parse(current),
        None => Properties::starting(new_volume(disk))
            .with("import-from", text_of(disk, "import_from"))
            .with("format", text_of(disk, "format")),
    };
    let texts = TEXTS.iter().map(|name| (*name, text_of(disk, name).map(String::from)));
    let flags = FLAGS.iter().map(|(name, _)| (*name, flag_of(disk, name).map(|on| u8::from(on).to_string())));
    texts.chain(flags).fold(option, |option, (name, stated)| {
        let was_stated = before.and_then(|before| before.get(name)).is_some_and(|part| !part.is_null());
        if stated.is_some() || was_stated { option.changed(name, stated) } else { option }
    })
}

fn new_volume(disk: &Value) -> String {
    if let Some(file) = text_of(disk, "file") {
        return file.to_string();
    }
    let store = text_of(disk, "datastore_id").unwrap_or("local-lvm");
    match text_of(disk, "import_from") {
        Some(_) => format!("{store}:0"),
        None => format!("{store}:{}", int(disk, "size_gb").unwrap_or(8)),
    }
}

/// The size that a disk has to be grown to, in GiB.
pub(super) fn growth(disk: &Value, current: &str) -> Option<i64> {
    let wanted = int(disk, "size_gb")?;
    let now = Properties::parse(current).get("size").and_then(parse_size)?;
    (i128::from(wanted) * i128::from(GIB) > i128::from(now)).then_some(wanted)
}

/// The size of a disk, in whole GiB.
pub(super) fn size(option: &str) -> Option<i64> {
    let bytes = Properties::parse(option).get("size").and_then(parse_size)?;
    i64::try_from(i128::from(bytes) / i128::from(GIB)).ok()
}

/// The storage that a disk has to be moved to, and the format that it is to have there. One whose format is another than
/// planned is copied where it is.
pub(super) fn move_to<'d>(disk: &'d Value, current: &'d str) -> Option<(&'d str, Option<&'d str>)> {
    let (store, _) = current.split(',').next()?.split_once(':')?;
    let wanted = text_of(disk, "datastore_id").unwrap_or(store);
    let format = text_of(disk, "format");
    let is_other = format.is_some_and(|format| format_of(current).is_some_and(|now| now != format));
    (wanted != store || is_other).then_some((wanted, format))
}

/// The format of a volume that is a file. Volumes of other storages are what these have.
fn format_of(option: &str) -> Option<&str> {
    let (_, extension) = option.split(',').next()?.rsplit_once('.')?;
    ["qcow2", "raw", "vmdk"].into_iter().find(|format| *format == extension)
}

/// What a disk is said to have, in the attributes of `guide` that are set.
pub(super) fn read(option: &str, guide: Option<&Value>) -> Json {
    let (size, format) = (size(option), format_of(option));
    let option = Properties::parse(option);
    let volume = option.first_or("file");
    let mut read = Map::from_iter([
        (
            "datastore_id".to_string(),
            json!(volume.and_then(|volume| volume.split_once(':')).map(|(store, _)| store)),
        ),
        ("file".to_string(), json!(volume)),
        ("size_gb".to_string(), json!(size)),
    ]);
    read.extend(TEXTS.iter().map(|name| ((*name).to_string(), json!(option.get(name)))));
    let flags = FLAGS.iter().map(|(name, absent)| {
        let stated = guide.and_then(|guide| flag_of(guide, name)).is_some();
        ((*name).to_string(), json!(option.flag(name).or(stated.then_some(*absent))))
    });
    read.extend(flags);
    // How it was made cannot be read, but for the format of a file.
    let known = |name: &str| json!(guide.and_then(|guide| text_of(guide, name)));
    read.insert("import_from".into(), known("import_from"));
    let stated = guide.and_then(|guide| text_of(guide, "format"));
    read.insert("format".into(), json!(stated.map(|stated| format.unwrap_or(stated))));
    guided(read, guide)
}

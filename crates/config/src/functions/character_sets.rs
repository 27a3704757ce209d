//! Character sets by their IANA names.
//!
//! `character_sets.txt` has one a line: its names, and for those of one byte a character a tab and the characters of the
//! bytes from 0x80, or from 0 where there are 256, as hexadecimal code points. `61+9` are nine that follow each other, `-`
//! is a byte without a character, `-*3` three of them.

use std::sync::LazyLock;

static SETS: LazyLock<Vec<CharacterSet>> =
    LazyLock::new(|| include_str!("character_sets.txt").lines().map(CharacterSet::read).collect());

/// A way to write characters as bytes.
pub(super) struct CharacterSet {
    names: Vec<&'static str>,
    form: Form,
}

enum Form {
    /// One byte a character.
    Table(Vec<Option<char>>),
    Utf16 {
        to_bytes: fn(u16) -> [u8; 2],
        from_bytes: fn([u8; 2]) -> u16,
        /// Whether it begins with a mark of the order of bytes.
        marked: bool,
    },
    Library(&'static encoding_rs::Encoding),
    /// Known by name only.
    Missing,
}

impl CharacterSet {
    /// The set of this name in any case.
    pub fn find(name: &str) -> Option<&'static CharacterSet> {
        let has_name = |set: &&CharacterSet| set.names.iter().any(|known| known.eq_ignore_ascii_case(name));
        SETS.iter().find(has_name).filter(|set| !matches!(set.form, Form::Missing))
    }

    /// Its name in the register.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    fn read(line: &'static str) -> CharacterSet {
        let (names, table) = line.split_once('\t').unwrap_or((line, ""));
        let names: Vec<&str> = names.split(' ').collect();
        let utf16 = |to_bytes, from_bytes, marked| Form::Utf16 { to_bytes, from_bytes, marked };
        let form = match names.first().copied().unwrap_or_default() {
            _ if !table.is_empty() => Form::Table(read_table(table)),
            "UTF-16" => utf16(u16::to_be_bytes, u16::from_be_bytes, true),
            "UTF-16BE" => utf16(u16::to_be_bytes, u16::from_be_bytes, false),
            "UTF-16LE" => utf16(u16::to_le_bytes, u16::from_le_bytes, false),
            _ => {
                let label = |name: &&str| encoding_rs::Encoding::for_label_no_replacement(name.as_bytes());
                names.iter().find_map(label).map_or(Form::Missing, Form::Library)
            }
        };
        CharacterSet { names, form }
    }

    /// The bytes of a text; none if it has characters that the set lacks.
    pub fn encode(&self, text: &str) -> Option<Vec<u8>> {
        match &self.form {
            Form::Table(table) => text
                .chars()
                .map(|c| table.iter().position(|entry| *entry == Some(c)))
                .map(|place| place.and_then(|place| u8::try_from(place).ok()))
                .collect(),
            Form::Utf16 { to_bytes, marked, .. } => {
                let mark = marked.then_some('\u{feff}').into_iter();
                let text: String = mark.chain(text.chars()).collect();
                Some(text.encode_utf16().flat_map(to_bytes).collect())
            }
            Form::Library(encoding) => {
                let (bytes, _, lossy) = encoding.encode(text);
                (!lossy).then(|| bytes.into_owned())
            }
            Form::Missing => None,
        }
    }

    /// The text of bytes; none if they are no text in this set.
    pub fn decode(&self, bytes: &[u8]) -> Option<String> {
        match &self.form {
            Form::Table(table) => bytes.iter().map(|byte| table.get(usize::from(*byte)).copied()?).collect(),
            Form::Utf16 { from_bytes, marked, .. } => {
                let (rest, from_bytes) = match bytes {
                    [0xff, 0xfe, rest @ ..] if *marked => (rest, u16::from_le_bytes as fn([u8; 2]) -> u16),
                    [0xfe, 0xff, rest @ ..] if *marked => (rest, *from_bytes),
                    _ => (bytes, *from_bytes),
                };
                let units: Vec<u16> =
                    rest.chunks_exact(2).map(|pair| from_bytes([pair[0], pair[1]])).collect();
                String::from_utf16(&units).ok().filter(|_| rest.len() % 2 == 0)
            }
            Form::Library(encoding) => encoding
                .decode_without_bom_handling_and_without_replacement(bytes)
                .map(|text| text.into_owned())
                .filter(|text| !text.contains('\u{fffd}')),
            Form::Missing => None,
        }
    }
}

fn read_table(table: &str) -> Vec<Option<char>> {
    let mut listed = Vec::new();
    for entry in table.split(' ') {
        let count = |text: &str| text.parse::<u32>().unwrap_or(1);
        if let Some(times) = entry.strip_prefix('-') {
            let times = times.strip_prefix('*').map_or(1, count);
            listed.extend((0..times).map(|_| None));
            continue;
        }
        let (first, run) = entry.split_once('+').unwrap_or((entry, "1"));
        let first = u32::from_str_radix(first, 16).unwrap_or_default();
        listed.extend((0..count(run)).map(|offset| char::from_u32(first + offset)));
    }
    let below = (0..256 - listed.len() as u32).map(char::from_u32);
    below.chain(listed.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_256_places() {
        for set in SETS.iter() {
            if let Form::Table(table) = &set.form {
                assert_eq!(table.len(), 256, "{}", set.name());
            }
        }
        let missing: Vec<&str> =
            SETS.iter().filter(|set| matches!(set.form, Form::Missing)).map(CharacterSet::name).collect();
        assert_eq!(missing, ["HZ-GB-2312"]);
    }

    #[test]
    fn tables_agree_with_those_of_browsers() {
        // Two tables of independent origin; where browsers are lenient, the register is not.
        for name in
            ["ISO-8859-2", "ISO-8859-5", "ISO-8859-15", "KOI8-R", "windows-1251", "IBM866", "macintosh"]
        {
            let set = CharacterSet::find(name).unwrap();
            let other = encoding_rs::Encoding::for_label(name.as_bytes()).unwrap();
            for byte in 0..=255_u8 {
                let bytes = [byte];
                if let Some(ours) = set.decode(&bytes) {
                    let theirs = other.decode_without_bom_handling_and_without_replacement(&bytes);
                    assert_eq!(theirs.as_deref(), Some(ours.as_str()), "{name} {byte:#x}");
                    assert_eq!(set.encode(&ours), Some(vec![byte]), "{name} {byte:#x}");
                }
            }
        }
    }

    #[test]
    fn marks_of_byte_order_are_for_utf_16_alone() {
        let encode = |name: &str| CharacterSet::find(name).unwrap().encode("a").unwrap();
        assert_eq!(encode("utf-16"), [0xfe, 0xff, 0, b'a']);
        assert_eq!(encode("UTF-16LE"), [b'a', 0]);
        assert_eq!(
            CharacterSet::find("UTF-16").unwrap().decode(&[0xff, 0xfe, b'a', 0]).as_deref(),
            Some("a")
        );
    }
}

//! The identity file: what a person registered.

use std::{fmt, sync::Arc};

use toml::de::{DeTable, DeValue};

use super::value::{self, Value};
use crate::{ConfigError, event::Kind};

/// Registered identifiers, checked. `Debug` shows kinds and counts, never values.
#[derive(Clone, Default)]
pub struct Identity {
    /// In the order of [`Kind`], and in that of the file within a kind.
    values: Vec<Value>,
}

impl Identity {
    /// Reads an identity file (TOML, design 3). Checks every value for its kind; no error quotes a value.
    pub fn parse(file: &str, text: &str) -> Result<Identity, ConfigError> {
        let Reader {
            mut values, faults, ..
        } = Reader::read(file, text);
        if let Some(first) = faults.into_iter().next() {
            return Err(first);
        }
        values.sort_by(|a, b| a.kind.cmp(&b.kind));
        Ok(Identity { values })
    }

    /// Returns every fault of a file, in its order, where [`Identity::parse`] gives the first alone; none quotes a value.
    pub fn faults(file: &str, text: &str) -> Vec<ConfigError> {
        Reader::read(file, text).faults
    }

    /// Whether nothing is registered.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Number of registered values; a list of installed apps counts as one.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Kinds that have at least one value, each once, in order.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.values.iter().map(|value| value.kind.clone()).collect();
        kinds.dedup();
        kinds
    }

    /// How many values are registered of a kind.
    pub fn count(&self, kind: &Kind) -> usize {
        self.values
            .iter()
            .filter(|value| value.kind == *kind)
            .count()
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for kind in self.kinds() {
            let count = self
                .values
                .iter()
                .filter(|value| value.kind == kind)
                .count();
            map.entry(&format_args!("{kind}"), &count);
        }
        map.finish()
    }
}

/// Values that an identity may have: each costs about fifty spellings.
const MAX_VALUES: usize = 512;

struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    values: Vec<Value>,
    faults: Vec<ConfigError>,
}

impl<'t> Reader<'t> {
    fn read(file: &'t str, text: &'t str) -> Reader<'t> {
        let mut reader = Reader {
            file,
            text,
            values: Vec::new(),
            faults: Vec::new(),
        };
        match DeTable::parse(text) {
            Ok(document) => {
                for entry in in_file_order(document.get_ref()) {
                    let read = reader.entry(&entry);
                    reader.faults.extend(read.err());
                }
            }
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let fault = reader.error(offset, first_line(error.message()));
                reader.faults.push(fault);
            }
        }
        reader
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), ConfigError> {
        let &Entry {
            key,
            key_at,
            value,
            value_at: offset,
        } = entry;
        match Kind::from_name(key) {
            _ if key == "custom" => self.custom(value, key_at)?,
            Some(Kind::InstalledApps) => self.installed_apps(value, offset)?,
            Some(Kind::Location) => self.each(value, offset, Self::location)?,
            Some(kind @ (Kind::CellId | Kind::Tac | Kind::Imei | Kind::Imsi | Kind::Iccid)) => {
                self.each(value, offset, |reader, value, offset| {
                    reader.number_or_text(kind.clone(), value, offset)
                })?;
            }
            Some(kind) if !matches!(kind, Kind::Custom(_)) => {
                self.each(value, offset, |reader, value, offset| {
                    reader.string(kind.clone(), value, offset)
                })?;
            }
            _ => return Err(self.unknown(key, key_at)),
        }
        Ok(())
    }

    fn custom(&mut self, value: &DeValue<'_>, offset: usize) -> Result<(), ConfigError> {
        let Some(table) = value.as_table() else {
            return Err(self.error(offset, "[custom] is a table of name = value"));
        };
        for Entry {
            key: name,
            key_at,
            value,
            value_at,
        } in in_file_order(table)
        {
            let sound = (1..=32).contains(&name.len())
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            if !sound || !tells_nothing(name) {
                let fault = self.error(
                    key_at,
                    "the name of a custom value has 1 to 32 letters, digits, _ or -, \
                     at most 4 of them digits: it is shown in reports",
                );
                self.faults.push(fault);
                continue;
            }
            let kind = Kind::Custom(Arc::from(name));
            self.each(value, value_at, |reader, value, offset| {
                reader.number_or_text(kind.clone(), value, offset)
            })?;
        }
        Ok(())
    }

    /// Calls `one` for `value`, or for each item of it if it is a list.
    fn each(
        &mut self,
        value: &DeValue<'_>,
        offset: usize,
        one: impl Fn(&mut Self, &DeValue<'_>, usize) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let Some(list) = value.as_array() else {
            return one(self, value, offset);
        };
        for item in list.iter() {
            let read = one(self, item.get_ref(), item.span().start);
            self.faults.extend(read.err());
        }
        Ok(())
    }

    fn string(
        &mut self,
        kind: Kind,
        value: &DeValue<'_>,
        offset: usize,
    ) -> Result<(), ConfigError> {
        let Some(text) = value.as_str() else {
            let reason = format!(
                "{kind} takes a string or a list of strings, not {}",
                article(value)
            );
            return Err(self.error(offset, reason));
        };
        self.keep(Value::text(kind, text), offset)
    }

    fn number_or_text(
        &mut self,
        kind: Kind,
        value: &DeValue<'_>,
        offset: usize,
    ) -> Result<(), ConfigError> {
        match value.as_integer().filter(|number| number.radix() == 10) {
            Some(number) => self.keep(Value::text(kind, number.as_str()), offset),
            None => self.string(kind, value, offset),
        }
    }

    fn location(&mut self, value: &DeValue<'_>, offset: usize) -> Result<(), ConfigError> {
        let shape = "a location is a table { latitude = …, longitude = … } in degrees";
        let Some(table) = value.as_table() else {
            return Err(self.error(offset, shape));
        };
        let stray = in_file_order(table)
            .into_iter()
            .find(|entry| !matches!(entry.key, "latitude" | "longitude"));
        if let Some(stray) = stray {
            return Err(self.error(stray.key_at, shape));
        }
        match (degrees(table, "latitude"), degrees(table, "longitude")) {
            (Some(latitude), Some(longitude)) => {
                self.keep(Value::location(latitude, longitude), offset)
            }
            _ => Err(self.error(offset, shape)),
        }
    }

    fn installed_apps(&mut self, value: &DeValue<'_>, offset: usize) -> Result<(), ConfigError> {
        let Some(list) = value.as_array() else {
            return Err(self.error(offset, "installed_apps takes a list of package names"));
        };
        let mut names = Vec::with_capacity(list.len());
        for item in list.iter() {
            let offset = item.span().start;
            let Some(name) = item.get_ref().as_str() else {
                return Err(self.error(offset, "installed_apps takes a list of package names"));
            };
            value::package_name(name).map_err(|reason| self.error(offset, reason))?;
            names.push(name.into());
        }
        if names.is_empty() {
            return Ok(());
        }
        self.keep(Ok(Value::installed_apps(names)), offset)
    }

    fn keep(&mut self, value: Result<Value, String>, offset: usize) -> Result<(), ConfigError> {
        let value = value.map_err(|reason| self.error(offset, reason))?;
        let same = |known: &Value| known.kind == value.kind && known.form == value.form;
        if self.values.iter().any(same) {
            return Err(self.error(offset, format!("this {} is registered twice", value.kind)));
        }
        if self.values.len() == MAX_VALUES {
            return Err(self.error(offset, format!("more than {MAX_VALUES} values")));
        }
        self.values.push(value);
        Ok(())
    }

    fn unknown(&self, key: &str, offset: usize) -> ConfigError {
        let named = if tells_nothing(key) && key.len() <= 32 {
            format!("unknown key {key:?}")
        } else {
            "unknown key".to_owned()
        };
        let known: Vec<&str> = Kind::NAMED.iter().map(|(name, _)| *name).collect();
        self.error(
            offset,
            format!("{named}; known are {} and [custom]", known.join(", ")),
        )
    }

    fn error(&self, offset: usize, reason: impl Into<String>) -> ConfigError {
        ConfigError::at(self.file, self.text, offset, reason)
    }
}

/// Whether a key may be shown: one that a value was put in by mistake may not.
fn tells_nothing(key: &str) -> bool {
    key.bytes().filter(u8::is_ascii_digit).count() <= 4
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// One `key = value` of the file, with the byte offsets of both.
struct Entry<'t> {
    key: &'t str,
    key_at: usize,
    value: &'t DeValue<'t>,
    value_at: usize,
}

fn in_file_order<'t>(table: &'t DeTable<'_>) -> Vec<Entry<'t>> {
    let mut entries: Vec<Entry<'t>> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref(),
            key_at: key.span().start,
            value: value.get_ref(),
            value_at: value.span().start,
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_at);
    entries
}

fn degrees(table: &DeTable<'_>, key: &str) -> Option<f64> {
    let value = table.get(key)?.get_ref();
    let text = match (value.as_float(), value.as_integer()) {
        (Some(float), _) => float.as_str(),
        (None, Some(integer)) => integer.as_str(),
        (None, None) => return None,
    };
    text.parse().ok()
}

fn article(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    let vowel = name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {name}", if vowel { "an" } else { "a" })
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or("not valid TOML")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        match Identity::parse("id.toml", text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn reads_every_kind_as_one_value_or_a_list() {
        let text = r#"
            imei = [490154203237518, "4901542032375101", "35209900176148"]
            meid = "A10000009296F2"
            imsi = 242016000000000
            iccid = ["89470000000000000009F"]
            serial = "R58M12ABCDE"
            wifi_mac = ["02:00:5e:10:a4:7f", "02005e10a480"]
            bluetooth_mac = "00-00-5E-00-53-AF"
            android_id = "9774D56D682E549C"
            advertising_id = "{38400000-8cf0-11bd-b23e-10b96e40000d}"
            gsf_id = ["3fd81c0a5e7b2d94", "4600000000000000123"]
            phone = ["+47 912 34 567", "0047 912 34 568", "912 34 569", "+44 (0)20 7946 0123"]
            email = "kari@mail.example"
            account = "kari"
            cell_id = 137438953
            tac = "12345"
            ssid = "Æ"
            bssid = "0200.5eaa.bbcc"
            installed_apps = ["com.example.bank", "org.example.chess"]
            [[location]]
            latitude = 59.9
            longitude = 10
            [[location]]
            latitude = -33.5
            longitude = 151.25
            [custom]
            employee = ["EMP-0042-7731", "EMP-0042-7732"]
            locker = 12
        "#;
        let identity = Identity::parse("id.toml", text).expect("sound");
        let mut kinds: Vec<Kind> = Kind::NAMED.iter().map(|(_, kind)| kind.clone()).collect();
        kinds.extend(["employee", "locker"].map(|name| Kind::Custom(name.into())));
        assert_eq!(identity.kinds(), kinds);
        assert_eq!(identity.len(), 30);
        assert!(!identity.is_empty());
        assert!(
            Identity::parse("id.toml", "")
                .expect("empty is sound")
                .is_empty()
        );
    }

    #[test]
    fn refuses_a_wrong_value_with_place_and_reason() {
        let table = [
            (
                "imei = '490154203237519'",
                "1:8: the check digit of this IMEI is wrong (Luhn)",
            ),
            ("imei = '49015420323751'\nimei = '1'", "2:1: duplicate key"),
            ("imei = '49015420'", "1:8: 8 digits: an IMEI has 15"),
            ("imei = 'cafe'", "1:8: an IMEI has digits only"),
            ("imei = '000000000000000'", "1:8: all zeros: not an IMEI"),
            (
                "imei = true",
                "1:8: imei takes a string or a list of strings, not a boolean",
            ),
            (
                "imei = 0x1f",
                "1:8: imei takes a string or a list of strings, not an integer",
            ),
            (
                "imei = [\n '490154203237518',\n '490154203237519']",
                "3:2: the check digit",
            ),
            (
                "imei = ['490154203237518', '49-015420-323751-8']",
                "1:28: this imei is registered twice",
            ),
            (
                "meid = 'A10000009296F'",
                "1:8: 13 hex digits: a MEID has 14",
            ),
            (
                "imsi = '2420160000000'",
                "1:8: 13 digits: an IMSI has 14 to 15",
            ),
            (
                "iccid = '89470000000000000001'",
                "1:9: the check digit of this ICCID is wrong (Luhn)",
            ),
            (
                "wifi_mac = '02:00:00:00:00:00'",
                "1:12: a placeholder that devices share",
            ),
            (
                "bssid = '02:00:5e:10:a4'",
                "1:9: a MAC address has 12 hex digits",
            ),
            (
                "android_id = '9774d56d682e549'",
                "1:14: 15 hex digits: an Android ID has 16",
            ),
            (
                "android_id = '9774d56d682e549x'",
                "1:14: an Android ID has 16 hex digits and nothing else",
            ),
            (
                "advertising_id = '00000000-0000-0000-0000-000000000000'",
                "1:18: all zeros means",
            ),
            (
                "advertising_id = '384000008-cf0-11bd-b23e-10b96e40000d'",
                "1:18: an advertising id is a UUID",
            ),
            ("phone = '+47 9x2'", "1:9: a phone number has digits"),
            (
                "phone = '+0912345678'",
                "1:9: no country code begins with 0",
            ),
            (
                "phone = '1234'",
                "1:9: 4 digits: a phone number has 5 to 15",
            ),
            ("email = 'kari@mail'", "1:9: not an e-mail address"),
            ("email = 'ka ri@mail.example'", "1:9: not an e-mail address"),
            ("email = 'kari@@mail.example'", "1:9: not an e-mail address"),
            (
                "location = { latitude = 91.0, longitude = 1.0 }",
                "1:12: latitude must lie between",
            ),
            (
                "location = { latitude = 59.0, longitude = nan }",
                "1:12: longitude must lie between",
            ),
            (
                "location = { latitude = 59.0 }",
                "1:12: a location is a table",
            ),
            (
                "location = { latitude = 59.0, lon = 10.0 }",
                "1:31: a location is a table",
            ),
            ("location = '59.9,10.7'", "1:12: a location is a table"),
            (
                "cell_id = 'x'",
                "1:11: a cell id is a whole number from 1 to 68719476735",
            ),
            (
                "tac = 16777216",
                "1:7: a tracking area code is a whole number from 1 to 16777215",
            ),
            (
                "ssid = '123456789012345678901234567890123'",
                "1:8: 33 bytes: a network name has 1 to 32",
            ),
            (
                "installed_apps = 'com.example.bank'",
                "1:18: installed_apps takes a list",
            ),
            ("installed_apps = ['bank']", "1:19: not a package name"),
            ("custom = 'x'", "1:1: [custom] is a table"),
            (
                "[custom]\n490154203237518 = 'x'",
                "2:1: the name of a custom value",
            ),
            (
                "imie = '490154203237518'",
                "1:1: unknown key \"imie\"; known are imei, meid,",
            ),
            (
                "490154203237518 = 'imei'",
                "1:1: unknown key; known are imei,",
            ),
            ("imei = 490154203237518x", "1:8: "),
            ("imei", "1:5: "),
        ];
        for (text, expected) in table {
            let message = refusal(text);
            assert!(
                message.starts_with(&format!("id.toml:{expected}")),
                "{message}"
            );
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn never_quotes_a_value_it_refuses() {
        for (name, _) in Kind::NAMED {
            for secret in [
                "S3cret-9876543210987654",
                "\"S3cret-987654321",
                "S3cret-987654321",
            ] {
                let quoted = format!("{name} = \"{secret}\u{1f}\"");
                let stray = format!("{name} = '{secret}' {secret}");
                for text in [
                    quoted,
                    stray,
                    format!("{name} = {secret}"),
                    format!("{secret} = 1"),
                ] {
                    let message = refusal(&text);
                    assert!(!message.contains("S3cret"), "{message}");
                }
            }
        }
    }

    #[test]
    fn shows_kinds_and_counts_only() {
        let identity = Identity::parse(
            "id.toml",
            "serial = ['R58M12ABCDE', 'R58M12ABCDF']\nssid = 'Home'",
        );
        assert_eq!(
            format!("{:?}", identity.expect("sound")),
            "{serial: 2, ssid: 1}"
        );
    }

    #[test]
    fn every_fault_is_told_to_who_asks() {
        let text = "imei = [\"490154203237519\", \"490154203237518\", \"1\"]\nname = \"x\"\n\
            [custom]\n\"a b\" = \"x\"\nc = 1.5\n";
        let faults = Identity::faults("i.toml", text).into_iter();
        let places: Vec<_> = faults.map(|fault| (fault.line, fault.column)).collect();
        let at = |line, column| (Some(line), Some(column));
        assert_eq!(places, [at(1, 9), at(1, 47), at(2, 1), at(4, 1), at(5, 5)]);
        assert_eq!(Identity::faults("i.toml", "imei = \"490154203237518\""), []);
        assert_eq!(Identity::faults("i.toml", "imei = ").len(), 1);
    }
}

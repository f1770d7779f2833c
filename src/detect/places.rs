//! Places: how far two are from each other, and how a pair of coordinates is written.

use std::ops::Range;

/// Registered places, and what their coordinates look like in binary.
#[derive(Default)]
pub(super) struct Places {
    places: Vec<Place>,
    patterns: Vec<Pattern>,
}

/// A registered place.
pub(super) struct Place {
    latitude: f64,
    longitude: f64,
    /// Index of the registered value.
    pub(super) value: u32,
}

/// A coordinate in a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coordinate {
    /// In degrees.
    pub(super) degrees: f64,
    pub(super) range: Range<usize>,
    /// Whether it is written finely enough to tell a house: four decimals, 11 metres.
    pub(super) is_fine: bool,
    /// Whether the text ends with it, so that it may go on.
    pub(super) open: bool,
}

/// A pair that is near a registered place.
pub(super) struct Found {
    pub(super) place: u32,
    pub(super) exactly: bool,
    pub(super) first: usize,
    pub(super) last: Range<usize>,
    pub(super) open: bool,
}

impl Places {
    /// Adds a place. At most [`MOST_PLACES`] are looked for in binary.
    pub(super) fn add(&mut self, latitude: f64, longitude: f64, value: u32) {
        let index = self.places.len();
        self.places.push(Place {
            latitude,
            longitude,
            value,
        });
        if index < MOST_PLACES {
            self.patterns.extend(Pattern::of(latitude, index));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The registered place within [`NEAR`] metres, and whether it is the very one.
    pub(super) fn near(&self, latitude: f64, longitude: f64) -> Option<(&Place, bool)> {
        let near = |place: &&Place| place.distance(latitude, longitude) <= NEAR;
        let place = self.places.iter().find(near)?;
        let exactly = place.latitude == latitude && place.longitude == longitude;
        Some((place, exactly))
    }

    /// Whether a number may be one of a registered place's coordinates.
    pub(super) fn is_half(&self, degrees: f64) -> bool {
        self.places.iter().any(|place| {
            (place.latitude - degrees).abs() <= DEGREES
                || around(place.longitude - degrees).abs() * place.latitude.to_radians().cos()
                    <= DEGREES
        })
    }

    /// The pair that two numbers make, in either order, if it is near a registered place.
    pub(super) fn pair(&self, one: &Coordinate, other: &Coordinate) -> Option<Found> {
        let straight = self.near(one.degrees, other.degrees);
        let (place, exactly) = straight.or_else(|| self.near(other.degrees, one.degrees))?;
        Some(Found {
            place: place.value,
            exactly,
            first: one.range.start,
            last: other.range.clone(),
            open: other.open,
        })
    }

    /// Calls `found` with every pair of IEEE 754 numbers that is near a registered place: one behind the other, or a few
    /// bytes of a format between them. Returns how many bytes at the end may be the beginning of such a pair.
    pub(super) fn binary(&self, text: &[u8], from: usize, mut found: impl FnMut(Found)) -> usize {
        let mut unfinished = 0;
        for pattern in &self.patterns {
            for at in pattern.finder.find_iter(&text[from..]) {
                let Some(start) = (from + at).checked_sub(pattern.offset()) else {
                    continue;
                };
                let place = &self.places[pattern.place];
                let Some(latitude) = pattern.read(text, start) else {
                    continue;
                };
                if (latitude - place.latitude).abs() > DEGREES {
                    continue;
                }
                let width = pattern.width();
                let after = (0..=GAP).map(|gap| start + width + gap);
                let before = (0..=GAP).filter_map(|gap| start.checked_sub(width + gap));
                let other = after.chain(before).find(|other| {
                    pattern
                        .read(text, *other)
                        .is_some_and(|longitude| place.distance(latitude, longitude) <= NEAR)
                });
                match other {
                    Some(other) => found(Found {
                        place: place.value,
                        exactly: false,
                        first: start.min(other),
                        last: start.max(other)..start.max(other) + width,
                        open: false,
                    }),
                    None if text.len() - start < 2 * width + GAP => {
                        unfinished = unfinished.max(text.len() - start);
                    }
                    None => {}
                }
            }
        }
        unfinished
    }
}

impl Place {
    /// Metres on a sphere of the Earth's mean radius, as exact as a few hundred metres need it.
    fn distance(&self, latitude: f64, longitude: f64) -> f64 {
        let north = self.latitude - latitude;
        let east = around(self.longitude - longitude) * self.latitude.to_radians().cos();
        METRES_PER_DEGREE * north.hypot(east)
    }
}

impl Coordinate {
    /// The decimal number at the beginning of `text[start..]`, if it can be a coordinate.
    pub(super) fn decimal(text: &[u8], start: usize) -> Option<Coordinate> {
        let rest = text.get(start..text.len().min(start + LONGEST))?;
        let sign = usize::from(matches!(rest.first(), Some(b'-' | b'+')));
        let digits = |bytes: &[u8]| {
            bytes
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let whole = digits(&rest[sign..]);
        let point = sign + whole;
        if !(1..=3).contains(&whole) || rest.get(point) != Some(&b'.') {
            return None;
        }
        let decimals = digits(&rest[point + 1..]);
        let end = point + 1 + decimals;
        let goes_on = rest
            .get(end)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'.' || *byte == b'_');
        let degrees: f64 = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        (!goes_on && decimals > 0 && degrees.abs() <= 180.0).then_some(Coordinate {
            degrees,
            range: start..start + end,
            is_fine: decimals >= DECIMALS,
            open: start + end == text.len(),
        })
    }

    /// The decimal number around the point at `at`.
    pub(super) fn around_point(text: &[u8], at: usize) -> Option<Coordinate> {
        let decimals = text.get(at + 1..)?.iter().take(DECIMALS);
        if !decimals.clone().all(u8::is_ascii_digit) || decimals.len() == 0 {
            return None;
        }
        let whole = text[..at]
            .iter()
            .rev()
            .take(4)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let mut start = at.checked_sub(whole).filter(|_| whole > 0)?;
        let before = |start: usize| start.checked_sub(1).map(|at| text[at]);
        if before(start) == Some(b'-') {
            start -= 1;
        }
        let inside = before(start).is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
        if inside {
            None
        } else {
            Coordinate::decimal(text, start)
        }
    }

    /// A whole number that may be of a part of a degree; it is not divided yet.
    pub(super) fn whole(text: &[u8], range: Range<usize>, open: bool) -> Option<Coordinate> {
        let text = std::str::from_utf8(text.get(range.clone())?).ok()?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let fits = (6..=10).contains(&digits.len());
        let whole = fits && digits.bytes().all(|byte| byte.is_ascii_digit());
        Some(Coordinate {
            degrees: text.parse().ok().filter(|_| whole)?,
            range,
            is_fine: true,
            open,
        })
    }

    /// The pair of decimal numbers that begins at `start`: between them a comma or another separator, and a blank.
    pub(super) fn pair(text: &[u8], start: usize) -> Option<(Coordinate, Coordinate)> {
        let first = Coordinate::decimal(text, start)?;
        let mut at = first.range.end;
        if !matches!(text.get(at)?, b',' | b';' | b'|' | b' ' | b'/' | b':') {
            return None;
        }
        at += 1;
        at += text
            .get(at..)?
            .iter()
            .take(8)
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        Some((first, Coordinate::decimal(text, at)?))
    }
}

/// What the upper bytes of a registered latitude are in one binary format.
struct Pattern {
    place: usize,
    format: Format,
    finder: memchr::memmem::Finder<'static>,
}

#[derive(Clone, Copy)]
enum Format {
    F64Little,
    F64Big,
    F32Little,
    F32Big,
}

impl Pattern {
    /// The patterns of every latitude near one; none where it lies at the equator, whose neighbours have no bytes in common.
    fn of(latitude: f64, place: usize) -> Vec<Pattern> {
        use Format::{F32Big, F32Little, F64Big, F64Little};
        let mut patterns: Vec<Pattern> = Vec::new();
        for format in [F64Little, F64Big, F32Little, F32Big] {
            let mut seen: Vec<Vec<u8>> = Vec::new();
            for step in -64..=64i32 {
                let near = latitude + f64::from(step) / 64.0 * DEGREES;
                let upper = format.upper(near);
                if !seen.contains(&upper) {
                    seen.push(upper);
                }
            }
            if seen.len() <= MOST_PATTERNS {
                patterns.extend(seen.into_iter().map(|upper| Pattern {
                    place,
                    format,
                    finder: memchr::memmem::Finder::new(&upper).into_owned(),
                }));
            }
        }
        patterns
    }

    fn width(&self) -> usize {
        match self.format {
            Format::F64Little | Format::F64Big => 8,
            Format::F32Little | Format::F32Big => 4,
        }
    }

    /// Where in the number the pattern is.
    fn offset(&self) -> usize {
        match self.format {
            Format::F64Big | Format::F32Big => 0,
            Format::F64Little | Format::F32Little => self.width() - self.finder.needle().len(),
        }
    }

    fn read(&self, text: &[u8], at: usize) -> Option<f64> {
        let rest = text.get(at..)?;
        Some(match self.format {
            Format::F64Little => f64::from_le_bytes(*rest.first_chunk()?),
            Format::F64Big => f64::from_be_bytes(*rest.first_chunk()?),
            Format::F32Little => f32::from_le_bytes(*rest.first_chunk()?).into(),
            Format::F32Big => f32::from_be_bytes(*rest.first_chunk()?).into(),
        })
    }
}

impl Format {
    /// The bytes of a number that its neighbours share.
    fn upper(self, number: f64) -> Vec<u8> {
        match self {
            Format::F64Big => number.to_be_bytes()[..3].to_vec(),
            Format::F64Little => number.to_le_bytes()[5..].to_vec(),
            Format::F32Big => (number as f32).to_be_bytes()[..2].to_vec(),
            Format::F32Little => (number as f32).to_le_bytes()[2..].to_vec(),
        }
    }
}

/// The difference of two longitudes the short way around.
fn around(difference: f64) -> f64 {
    if difference.abs() > 180.0 {
        360.0 - difference.abs()
    } else {
        difference
    }
}

/// Metres within which a pair of coordinates is a registered place.
const NEAR: f64 = 200.0;
/// One degree of latitude on a sphere of the Earth's mean radius, 6,371.0088 km.
const METRES_PER_DEGREE: f64 = 111_195.08;
/// [`NEAR`] in degrees of latitude.
const DEGREES: f64 = NEAR / METRES_PER_DEGREE;
/// Decimals from which on a coordinate tells a place.
const DECIMALS: usize = 4;
/// Bytes of a decimal number that are read: sign, three digits, point, and more decimals than a double has.
const LONGEST: usize = 28;
/// Bytes that a format has between two numbers of a pair.
const GAP: usize = 9;
/// Patterns of one place in one format.
const MOST_PATTERNS: usize = 4;
/// Places that are looked for in binary: each costs a search of its own.
const MOST_PLACES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn oslo() -> Places {
        let mut places = Places::default();
        places.add(59.9139, 10.7522, 0);
        places
    }

    #[test]
    fn measures_two_hundred_metres() {
        let places = oslo();
        for (latitude, longitude, near) in [
            (59.9139, 10.7522, true),
            (59.9156, 10.7522, true),
            (59.9158, 10.7522, false),
            (59.9139, 10.7557, true),
            (59.9139, 10.7559, false),
            (10.7522, 59.9139, false),
        ] {
            assert_eq!(
                places.near(latitude, longitude).is_some(),
                near,
                "{latitude} {longitude}"
            );
        }
        let mut fiji = Places::default();
        fiji.add(-17.0, 179.9999, 0);
        assert!(fiji.near(-17.0, -179.9999).is_some());
    }

    #[test]
    fn reads_decimal_numbers_and_nothing_else() {
        let read =
            |text: &str| Coordinate::decimal(text.as_bytes(), 0).map(|c| (c.degrees, c.is_fine));
        assert_eq!(read("59.9139,"), Some((59.9139, true)));
        assert_eq!(read("-0.1234"), Some((-0.1234, true)));
        assert_eq!(read("59.91\""), Some((59.91, false)));
        for text in [
            "599139",
            "1.2.3.4",
            "59.",
            ".5",
            "181.0000",
            "59.9139e3",
            "1234.5678",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let text = b"v=59.9139&w=159.9139 1.59.9139";
        assert_eq!(
            Coordinate::around_point(text, 4).map(|c| c.range),
            Some(2..9)
        );
        assert_eq!(
            Coordinate::around_point(text, 15).map(|c| c.range),
            Some(12..20)
        );
        assert_eq!(Coordinate::around_point(text, 25), None);
    }

    #[test]
    fn finds_binary_pairs_in_either_order_and_any_format() {
        let places = oslo();
        let pair = |one: &[u8], gap: &[u8], other: &[u8]| {
            [b"\x08\x01\x11".as_slice(), one, gap, other, b"\x18"].concat()
        };
        let (lat, lng) = (59.91401f64, 10.75229f64);
        let (lat32, lng32) = (lat as f32, lng as f32);
        for text in [
            pair(&lat.to_le_bytes(), b"\x19", &lng.to_le_bytes()),
            pair(&lng.to_le_bytes(), b"", &lat.to_le_bytes()),
            pair(&lat.to_be_bytes(), b"", &lng.to_be_bytes()),
            pair(&lat32.to_le_bytes(), b"\x15", &lng32.to_le_bytes()),
            pair(&lat32.to_be_bytes(), b"\xca", &lng32.to_be_bytes()),
        ] {
            let mut found = Vec::new();
            places.binary(&text, 0, |pair| found.push((pair.first, pair.last.end)));
            assert_eq!(found, [(3, text.len() - 1)], "{}", text.escape_ascii());
        }
        let mut alone = 0;
        let text = pair(&lat.to_le_bytes(), &[0; 30], &lng.to_le_bytes());
        places.binary(&text, 0, |_| alone += 1);
        assert_eq!(alone, 0);
        assert_eq!(places.binary(&text[..11], 0, |_| alone += 1), 8);
    }
}

//! Places: two numbers that are one near each other.

use super::{PAIR, Search};
use crate::{
    detect::{
        fields::Token,
        names::LONGEST,
        places::{Coordinate, Found},
        value::Value,
    },
    event::Spelling,
};

/// Numbers of one text that may be half a place.
#[derive(Default)]
pub(super) struct Pairs {
    /// The last latitude and the last longitude that were named.
    named: [Option<Half>; 2],
    /// The last number that may be half a registered place.
    last: Option<Coordinate>,
}

/// Half a place under its name.
#[derive(Clone)]
struct Half {
    number: Coordinate,
    /// Whether it is a whole number, of a part of a degree.
    scaled: bool,
}

impl Search<'_> {
    /// Half a place under its name. `scaled`: the name says that it is a whole number of a part of a degree.
    pub(super) fn half(&mut self, which: usize, scaled: bool, token: Token) {
        let Some(half) = self.read_half(token) else {
            return;
        };
        let other = self.pairs.named[1 - which].take();
        let other = other.filter(|other| {
            token.end - other.number.range.start <= PAIR && other.scaled == half.scaled
        });
        let Some(other) = other else {
            self.pairs.named[which] = Some(half);
            return;
        };
        let (latitude, longitude) = match which {
            0 => (half.number.degrees, other.number.degrees),
            _ => (other.number.degrees, half.number.degrees),
        };
        let first = other.number.range.start;
        if !half.scaled {
            // A registered place is found by its numbers, whatever their names.
            let fine = half.number.is_fine && other.number.is_fine;
            if fine && self.named.places.near(latitude, longitude).is_none() {
                self.place_by_shape(latitude, longitude, first, token);
            }
            return;
        }
        let by_scale = SCALES.map(|scale| (latitude / scale, longitude / scale));
        let known = by_scale.iter().find_map(|(latitude, longitude)| {
            let (place, _) = self.named.places.near(*latitude, *longitude)?;
            Some(place.value)
        });
        match (
            known,
            by_scale
                .iter()
                .find(|(latitude, longitude)| is_place(*latitude, *longitude)),
        ) {
            (Some(place), _) => {
                let found = Found {
                    place,
                    exactly: false,
                    first,
                    last: token.range(),
                    open: !token.ended,
                };
                self.place(&found, Spelling::Scaled);
            }
            (None, Some((latitude, longitude))) if scaled => {
                self.place_by_shape(*latitude, *longitude, first, token);
            }
            (None, _) => {}
        }
    }

    fn read_half(&self, token: Token) -> Option<Half> {
        let decimal = Coordinate::decimal(self.text, token.start)
            .filter(|number| number.range.end == token.end);
        if let Some(number) = decimal {
            return Some(Half {
                number,
                scaled: false,
            });
        }
        let number = Coordinate::whole(self.text, token.range(), !token.ended)?;
        Some(Half {
            number,
            scaled: true,
        })
    }

    /// Both halves under one name.
    pub(super) fn coordinates(&mut self, token: Token, longitude_first: bool) {
        let Some((first, second)) = Coordinate::pair(self.text, token.start) else {
            return;
        };
        let (latitude, longitude) = if longitude_first {
            (&second, &first)
        } else {
            (&first, &second)
        };
        let fine = first.is_fine && second.is_fine;
        if fine && self.named.places.pair(&first, &second).is_none() {
            let last = Token {
                start: second.range.start,
                end: second.range.end,
                ended: !second.open,
                quoted: false,
            };
            self.place_by_shape(latitude.degrees, longitude.degrees, first.range.start, last);
        }
    }

    /// A number with a point, whatever it is called: half a registered place?
    pub(super) fn point(&mut self, at: usize) {
        let Some(number) = Coordinate::around_point(self.text, at) else {
            return;
        };
        if self.cut && number.range.start == 0 {
            return;
        }
        let rest = self.text.len() - number.range.start;
        let is_half = number.is_fine && self.named.places.is_half(number.degrees);
        // The other half may be coming, or this one may be getting its digits.
        let near_end = self.open && self.text.len() - number.range.end < LONGEST;
        if near_end && (is_half || number.open && self.pairs.last.is_some()) {
            self.hold = self.hold.max(rest);
        }
        if !is_half {
            return;
        }
        let before = self.pairs.last.replace(number.clone());
        let near = before.filter(|before| number.range.end - before.range.start <= PAIR);
        if let Some(found) = near.and_then(|before| self.named.places.pair(&before, &number)) {
            self.place(&found, Spelling::Rounded);
        }
    }

    /// Tells of a registered place.
    pub(super) fn place(&mut self, found: &Found, spelling: Spelling) {
        let mut sighting = self.named.sightings[found.place as usize].clone();
        if !found.exactly {
            sighting.spelling = spelling;
        }
        let last = Token {
            start: found.last.start,
            end: found.last.end,
            ended: !found.open,
            quoted: false,
        };
        self.tell(last, found.first, true, sighting);
    }

    fn place_by_shape(&mut self, latitude: f64, longitude: f64, start: usize, last: Token) {
        if is_place(latitude, longitude)
            && let Ok(value) = Value::location(latitude, longitude)
        {
            self.tell_shape(last, start, &value, Spelling::Plain);
        }
    }
}

/// Whether there is such a place, and it is not what programs say that do not know where they are.
fn is_place(latitude: f64, longitude: f64) -> bool {
    latitude.abs() <= 90.0 && longitude.abs() <= 180.0 && latitude != 0.0 && longitude != 0.0
}

/// Parts of a degree that whole numbers are of: ten-millionths, or millionths.
const SCALES: [f64; 2] = [1e7, 1e6];

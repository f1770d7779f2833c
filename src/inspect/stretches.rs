/// Where the bytes of a text stand on the wire, as stretches that are in one piece there.
///
/// Most texts stand in one stretch, and one more is kept elsewhere only when there is one.
#[derive(Default)]
pub(super) struct Stretches {
    last: Stretch,
    #[expect(clippy::box_collection, reason = "few texts have any")]
    earlier: Option<Box<Vec<Stretch>>>,
}

/// The text from a position on, and where that position is on the wire.
#[derive(Clone, Copy, Default)]
struct Stretch {
    from: u64,
    wire: u64,
}

impl Stretch {
    fn at(self, position: u64) -> u64 {
        self.wire + position.saturating_sub(self.from)
    }
}

impl Stretches {
    /// The text goes on at `position`, which stands at `wire`.
    pub(super) fn go_on(&mut self, position: u64, wire: u64) {
        if self.last.at(position) == wire {
            return;
        }
        let next = Stretch {
            from: position,
            wire,
        };
        let last = std::mem::replace(&mut self.last, next);
        if last.from < position {
            self.earlier.get_or_insert_default().push(last);
        }
    }

    /// Where a position of the text is, not before the first that is remembered.
    pub(super) fn wire(&self, position: u64) -> u64 {
        let earlier = self.earlier.as_deref().map_or(&[][..], Vec::as_slice);
        let stretch = match position < self.last.from {
            true => {
                let after = earlier.partition_point(|stretch| stretch.from <= position);
                let stretch = earlier.get(after.saturating_sub(1));
                stretch.copied().unwrap_or_default()
            }
            false => self.last,
        };
        stretch.at(position)
    }

    /// Nobody asks for positions before `position` any more.
    pub(super) fn forget(&mut self, position: u64) {
        let Some(earlier) = &mut self.earlier else {
            return;
        };
        if self.last.from <= position {
            earlier.clear();
        } else {
            let after = earlier.partition_point(|stretch| stretch.from <= position);
            earlier.drain(..after.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_found_in_their_stretches_until_they_are_forgotten() {
        let mut stretches = Stretches::default();
        stretches.go_on(0, 100);
        stretches.go_on(10, 110);
        assert!(stretches.earlier.is_none(), "it is one stretch");
        stretches.go_on(20, 300);
        stretches.go_on(30, 500);
        let wire = |stretches: &Stretches| [0, 15, 20, 29, 30, 45].map(|at| stretches.wire(at));
        let expected = [100, 115, 300, 309, 500, 515];
        assert_eq!(wire(&stretches), expected);
        stretches.forget(25);
        assert_eq!(wire(&stretches)[2..], expected[2..]);
        assert_eq!(stretches.earlier.as_ref().unwrap().len(), 1);
        stretches.forget(30);
        assert_eq!(wire(&stretches)[4..], expected[4..]);
        assert!(stretches.earlier.as_ref().unwrap().is_empty());
    }
}

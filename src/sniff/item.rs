use crate::event::Place;

/// What a framing of many units makes of the bytes that it is given, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The bytes from wire position `at` on belong to a unit, which begins here or goes on.
    Frame {
        /// Which unit: a number that no other unit has at the same time.
        unit: u32,
        /// Where the frame begins.
        at: u64,
    },
    /// More of a text of a unit, in order.
    Text {
        /// Which unit.
        unit: u32,
        /// Which of its texts.
        place: Place,
        /// The text itself, unmasked.
        bytes: &'a [u8],
        /// Where its first byte stands on the wire; the others follow.
        at: u64,
    },
    /// More of a text, from a string whose bytes are not on the wire as they are.
    Coded {
        /// Which unit.
        unit: u32,
        /// Which of its texts.
        place: Place,
        /// The text itself, decoded.
        bytes: &'a [u8],
        /// Where the string that it was decoded from begins on the wire.
        at: u64,
    },
    /// More of a unit's body, compressed as the messages of its connection are (RFC 7692), its end mark included.
    Deflated {
        /// Which unit.
        unit: u32,
        /// The compressed bytes.
        bytes: &'a [u8],
        /// Where the body begins on the wire.
        at: u64,
    },
    /// A text of a unit is whole; what comes of the same place is another text.
    Close {
        /// Which unit.
        unit: u32,
        /// Which of its texts.
        place: Place,
    },
    /// A destination that the sender names, as it writes it.
    Authority(&'a [u8]),
    /// The sender waits for a go-ahead before it sends the rest of the unit.
    Expect {
        /// Which unit.
        unit: u32,
    },
    /// The unit is whole.
    End {
        /// Which unit.
        unit: u32,
    },
    /// Something of a unit cannot be followed within its bounds: its bytes are shown as they are.
    Lost {
        /// Which unit.
        unit: u32,
    },
}

/// Where the framing ends: what follows is something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Wire position of the first byte that was not shown.
    pub at: u64,
}

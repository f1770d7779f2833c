//! RFC 9293 section 3.10.7: what each segment does in each state of the tun side of a connection.

mod phone;

use phone::*;
use untold::{
    engine::{Command, SocketEvent, SocketId},
    wire::Flags,
};

/// States of our end, as the app's kernel knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No connection.
    Closed,
    /// The SYN waits for the remote end: LISTEN, from where the app stands.
    Parked,
    SynReceived,
    Established,
    /// The app has closed its half.
    CloseWait,
    /// The remote end has closed its half, and the app has not acknowledged that.
    FinWait1,
    FinWait2,
    /// Both have closed, and the app has not acknowledged our FIN.
    LastAck,
    TimeWait,
}

use State::*;

const STATES: [State; 9] = [
    Closed,
    Parked,
    SynReceived,
    Established,
    CloseWait,
    FinWait1,
    FinWait2,
    LastAck,
    TimeWait,
];

/// A connection in one state, with the numbers that come next.
struct Scene {
    phone: Phone,
    socket: Option<SocketId>,
    /// The app's next sequence number, and ours.
    seq: u32,
    ack: u32,
}

impl Scene {
    fn new(state: State) -> Self {
        let mut scene = Scene {
            phone: Phone::new(""),
            socket: None,
            seq: ISS,
            ack: 0,
        };
        scene.lead_to(state);
        scene.phone.packets.clear();
        scene.phone.commands.clear();
        scene
    }

    fn lead_to(&mut self, state: State) {
        if state == Closed {
            return;
        }
        self.phone.tcp(ISS, 0, SYN, 5_000, b"");
        let (socket, _) = self.phone.connected_to()[0];
        (self.socket, self.seq) = (Some(socket), ISS + 1);
        if state == Parked {
            return;
        }
        self.phone.socket(socket, SocketEvent::Connected);
        self.ack = self.phone.only_segment().seq.wrapping_add(1);
        if state == SynReceived {
            return;
        }
        self.send(ACK);
        match state {
            CloseWait => self.app_closes(),
            FinWait1 => self.remote_closes(false),
            FinWait2 => self.remote_closes(true),
            LastAck => {
                self.app_closes();
                self.remote_closes(false);
            }
            TimeWait => {
                self.remote_closes(true);
                self.app_closes();
            }
            Closed | Parked | SynReceived | Established => {}
        }
    }

    fn app_closes(&mut self) {
        self.send(FIN);
        self.seq += 1;
        self.phone.drain();
    }

    /// Our FIN goes out, and is acknowledged if it is `heard`.
    fn remote_closes(&mut self, heard: bool) {
        let socket = self.socket.expect("a connection");
        self.phone.engine.recv_room(socket);
        let now = self.phone.clock();
        self.phone.engine.received(socket, Ok(0), now);
        self.phone.drain();
        if heard {
            self.ack = self.ack.wrapping_add(1);
            self.send(ACK);
        }
    }

    fn send(&mut self, flags: Flags) {
        self.phone.tcp(self.seq, self.ack, flags, 5_000, b"");
    }

    /// What a segment brings: an answer's flags, and whether the upstream connection was closed by it.
    fn say(mut self, case: Case) -> (Option<Flags>, bool) {
        let (seq, ack) = (self.seq, self.ack);
        let (seq, ack, flags, payload): (u32, u32, Flags, &[u8]) = match case {
            Case::Rst => (seq, 0, RST, b""),
            Case::RstInWindow => (seq + 10, 0, RST, b""),
            Case::RstOutside => (seq.wrapping_sub(100_000), 0, RST, b""),
            Case::Syn => (seq, 0, SYN, b""),
            Case::AckOfNothing => (seq, ack.wrapping_add(1_000), ACK, b""),
            Case::Old => (seq.wrapping_sub(1), ack, ACK, b"x"),
            Case::Beyond => (seq.wrapping_add(1 << 24), ack, ACK, b"x"),
            Case::WithoutAck => (seq, 0, Flags(0), b"x"),
            Case::Data => (seq, ack, ACK, b"x"),
        };
        self.phone.tcp(seq, ack, flags, 5_000, payload);
        let closed = self.phone.commands.iter().any(|command| {
            matches!(command, Command::Close { socket, .. } if Some(*socket) == self.socket)
        });
        let answers = self.phone.segments();
        assert!(answers.len() <= 1, "{case:?}: {answers:?}");
        (answers.first().map(|(segment, _)| segment.flags), closed)
    }
}

#[derive(Clone, Copy, Debug)]
enum Case {
    Rst,
    RstInWindow,
    RstOutside,
    Syn,
    AckOfNothing,
    Old,
    Beyond,
    WithoutAck,
    Data,
}

/// Rows: the segment. Columns: the states, in the order of [`STATES`]. `-` silence, `A` an acknowledgement, `S` SYN and
/// acknowledgement, `R` a reset, `*` the upstream connection ends.
const TABLE: [(Case, &str); 9] = [
    // A reset at the next byte ends the connection (3.10.7.4, first); one that finds all said and heard changes nothing.
    (Case::Rst, "- -* -* -* -* -* -* -* -"),
    // RFC 5961 section 3.2: elsewhere in the window it is challenged.
    (Case::RstInWindow, "- - A A A A A A -"),
    (Case::RstOutside, "- - - - - - - - -"),
    // RFC 9293 section 3.10.7.4, fourth, a SYN that is not the connection's own: the app has started anew.
    (Case::Syn, "- -* -* -* -* -* -* -* -"),
    // What acknowledges what was never sent is reset before the connection stands, and acknowledged after that.
    (Case::AckOfNothing, "R - R A A A A A A"),
    (Case::Old, "R - A A A A A A A"),
    (Case::Beyond, "R - A A A A A A A"),
    // Without an acknowledgement it is dropped (3.10.7.4, fifth); in TIME-WAIT, whatever comes is answered.
    (Case::WithoutAck, "R - - - - - - - A"),
    // New bytes are acknowledged, and bytes behind a FIN are not accepted.
    (Case::Data, "R - A A A A A A A"),
];

#[test]
fn every_segment_does_in_every_state_what_the_rfc_says() {
    let mut wrong = Vec::new();
    for (case, row) in TABLE {
        let cells: Vec<_> = row.split(' ').collect();
        assert_eq!(cells.len(), STATES.len());
        for (state, expected) in STATES.into_iter().zip(cells) {
            let (answer, closed) = Scene::new(state).say(case);
            let word = match answer {
                None => "-",
                Some(flags) if flags.contains(RST) => "R",
                Some(flags) if flags.contains(SYN) => "S",
                Some(_) => "A",
            };
            let got = format!("{word}{}", if closed { "*" } else { "" });
            if got != expected {
                wrong.push(format!("{case:?} in {state:?}: {got}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! Memory given back when the machine is short of it.

use super::{Engine, Now, out::Spare};
use crate::{decode::Scratch, policy::Limits};

/// How short of memory the machine is.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum MemoryPressure {
    /// Not at all: the policy's limits count.
    #[default]
    None,
    /// Buffers that nobody needs go; the limits on memory are a quarter of the policy's.
    Moderate,
    /// Also bytes that apps will send again anyway go, and sockets of idle UDP flows; the limits are a sixteenth.
    Critical,
}

impl MemoryPressure {
    /// What is left of the limits on memory. Holds of one flow stay as they are: what is found does not hang on memory.
    pub(super) fn apply(self, limits: &Limits) -> Limits {
        let shift = match self {
            MemoryPressure::None => 0,
            MemoryPressure::Moderate => 2,
            MemoryPressure::Critical => 4,
        };
        Limits {
            buffers_total: (limits.buffers_total >> shift).max(LEAST),
            hold_total: (limits.hold_total >> shift).max(limits.hold_per_flow),
            hold_per_app: (limits.hold_per_app >> shift).max(limits.hold_per_flow),
            ..*limits
        }
    }
}

/// What an engine has in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Flows, of every protocol.
    pub flows: usize,
    /// Sockets that the shell was told to open.
    pub sockets: usize,
    /// Bytes in buffers of flows and in buffers kept for them.
    pub buffers: usize,
    /// Packets dropped so far, for any reason, and whatever else is counted with them.
    pub drops: u64,
}

impl Engine {
    /// Sheds memory, and lowers the limits on it until the pressure is told to be gone. No accepted byte is lost.
    pub fn set_memory_pressure(&mut self, pressure: MemoryPressure, now: Now) {
        self.now = now;
        self.pressure = pressure;
        self.apply_limits();
        if pressure == MemoryPressure::None {
            return;
        }
        self.pool.shed();
        self.spare = Spare::default();
        self.control.shed();
        self.decoding = Scratch::default();
        for key in self.flows.keys() {
            if let Some(flow) = self.flows.get_mut(key) {
                flow.shed(pressure == MemoryPressure::Critical, &mut self.early);
            }
        }
        if pressure == MemoryPressure::Critical {
            self.close_idle_mappings();
        }
    }

    /// Brings the limits in force in line with the policy and the pressure.
    pub(super) fn apply_limits(&mut self) {
        if let Some(rules) = &self.rules {
            self.limits = self.pressure.apply(rules.policy.limits());
            self.pool.set_limit(self.limits.buffers_total);
        }
    }

    /// What is in use now.
    pub fn load(&self) -> Load {
        Load {
            flows: self.flows.len() + self.datagrams.flows(),
            sockets: self.sockets.open(),
            buffers: self.buffer_bytes(),
            drops: self.drops.values().sum(),
        }
    }

    /// Bytes in buffers of flows, and in those kept for use: what limits and pressure bear on.
    fn buffer_bytes(&self) -> usize {
        let flows = self.buffered + self.early + self.datagrams.held();
        flows + self.pool.bytes() + self.spare.bytes() + self.control.bytes()
    }
}

/// Below this nothing moves: sixteen chunks.
const LEAST: usize = 1 << 20;

//! Reassembly of captures.

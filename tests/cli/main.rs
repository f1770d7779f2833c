//! The command line as a person or a script meets it.

mod ask;
mod capture;
mod harness;
mod input;
mod live;
mod output;
mod recording;
mod tell;
mod terminal;

//! The command line as a person or a script meets it.

mod ask;
mod capture;
mod harness;
mod input;
mod live;
mod output;
mod tell;
mod terminal;

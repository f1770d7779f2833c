//! Medians, as Markdown.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    measure::{Cell, Sample},
    options::Options,
};

#[derive(Default)]
pub struct Table {
    samples: BTreeMap<(u32, String, Cell), Vec<Sample>>,
    failures: BTreeMap<(u32, String), String>,
    order: Vec<String>,
}

impl Table {
    pub fn add(&mut self, contender: &str, mtu: u32, cell: Cell, result: Result<Sample, String>) {
        self.remember(contender);
        match result {
            Ok(sample) => {
                let key = (mtu, contender.to_owned(), cell);
                self.samples.entry(key).or_default().push(sample);
            }
            Err(reason) => self.fail(contender, mtu, format!("{cell}: {reason}")),
        }
    }

    pub fn fail(&mut self, contender: &str, mtu: u32, reason: String) {
        self.remember(contender);
        self.failures.insert((mtu, contender.to_owned()), reason);
    }

    /// A table of streams and one of everything else; one row a contender and MTU.
    pub fn markdown(&self, options: &Options) -> String {
        let all: Vec<Cell> = Cell::all(options, true).into_iter().flatten().collect();
        let is_stream = |cell: &Cell| matches!(cell, Cell::Streams { .. });
        let (streams, others): (Vec<Cell>, Vec<Cell>) = all.into_iter().partition(is_stream);
        let mut text = String::new();
        self.rows(&mut text, &options.mtus, &streams);
        self.rows(&mut text, &options.mtus[..1], &others);
        let (rounds, seconds, queue) = (options.rounds, options.seconds, options.queue);
        writeln!(
            text,
            "Streams: Gbit/s · CPU-seconds of the relay per GB. Rates: a second · CPU-microseconds of the relay each. Idle: \
             bytes a flow · MiB resident · CPU-seconds per GB of an upload beside them. Medians of {rounds} interleaved \
             runs of {seconds} s; the tun queues {queue} packets."
        )
        .expect(INFALLIBLE);
        for ((mtu, contender), reason) in &self.failures {
            writeln!(text, "{contender} at {mtu}: {reason}").expect(INFALLIBLE);
        }
        text
    }

    fn rows(&self, text: &mut String, mtus: &[u32], cells: &[Cell]) {
        if cells.is_empty() {
            return;
        }
        text.push_str("| MTU | relay |");
        for cell in cells {
            write!(text, " {cell} |").expect(INFALLIBLE);
        }
        text.push_str("\n|---|---|");
        text.push_str(&"---|".repeat(cells.len()));
        for mtu in mtus {
            for contender in &self.order {
                write!(text, "\n| {mtu} | {contender} |").expect(INFALLIBLE);
                for &cell in cells {
                    let samples = self.samples.get(&(*mtu, contender.clone(), cell));
                    let figure =
                        samples.map_or("fails".into(), |samples| figures(cell, &medians(samples)));
                    write!(text, " {figure} |").expect(INFALLIBLE);
                }
            }
        }
        text.push_str("\n\n");
    }

    fn remember(&mut self, contender: &str) {
        if !self.order.iter().any(|known| known == contender) {
            self.order.push(contender.to_owned());
        }
    }
}

/// The figures of a cell with as many digits as they are worth.
pub fn figures(cell: Cell, sample: &[f64]) -> String {
    let digits: &[usize] = match cell {
        Cell::Streams { .. } => &[2, 2],
        Cell::FirstByte => &[0, 0],
        Cell::Connections | Cell::Dns { .. } | Cell::Udp { .. } => &[0, 1],
        Cell::Idle { .. } => &[0, 1, 2],
    };
    let figure = |(value, digits): (&f64, &usize)| format!("{value:.digits$}");
    let figures: Vec<String> = sample.iter().zip(digits).map(figure).collect();
    figures.join(" · ")
}

fn medians(samples: &[Sample]) -> Sample {
    let columns = samples.iter().map(Vec::len).min().unwrap_or_default();
    let column = |at: usize| samples.iter().map(|sample| sample[at]).collect();
    (0..columns).map(|at| median(column(at))).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const INFALLIBLE: &str = "a string takes everything";

//! Medians, as Markdown.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    measure::{Cell, Sample},
    options::Options,
};

#[derive(Default)]
pub struct Table {
    samples: BTreeMap<(u32, &'static str, Cell), Vec<Sample>>,
    failures: BTreeMap<(u32, &'static str), String>,
    order: Vec<&'static str>,
}

impl Table {
    pub fn add(
        &mut self,
        contender: &'static str,
        mtu: u32,
        cell: Cell,
        result: Result<Sample, String>,
    ) {
        self.remember(contender);
        match result {
            Ok(sample) => self
                .samples
                .entry((mtu, contender, cell))
                .or_default()
                .push(sample),
            Err(reason) => self.fail(contender, mtu, format!("{cell}: {reason}")),
        }
    }

    pub fn fail(&mut self, contender: &'static str, mtu: u32, reason: String) {
        self.remember(contender);
        self.failures.insert((mtu, contender), reason);
    }

    /// One row a contender and MTU; Gbit/s · CPU-seconds of the relay per GB (+ of the proxy behind it).
    pub fn markdown(&self, options: &Options) -> String {
        let cells: Vec<Cell> = Cell::all(options).collect();
        let mut text = String::from("| MTU | relay |");
        for cell in &cells {
            write!(text, " {cell} |").expect(INFALLIBLE);
        }
        text.push_str("\n|---|---|");
        text.push_str(&"---|".repeat(cells.len()));
        for mtu in &options.mtus {
            for contender in &self.order {
                write!(text, "\n| {mtu} | {contender} |").expect(INFALLIBLE);
                for cell in &cells {
                    let samples = self.samples.get(&(*mtu, *contender, *cell));
                    write!(
                        text,
                        " {} |",
                        samples.map_or_else(|| "fails".into(), |samples| figure(samples))
                    )
                    .expect(INFALLIBLE);
                }
            }
        }
        text.push_str("\n\nGbit/s · CPU-seconds of the relay per GB (+ those of the proxy behind it); medians of ");
        let (rounds, seconds, queue) = (options.rounds, options.seconds, options.queue);
        writeln!(
            text,
            "{rounds} interleaved runs of {seconds} s; the tun queues {queue} packets."
        )
        .expect(INFALLIBLE);
        for ((mtu, contender), reason) in &self.failures {
            writeln!(text, "{contender} at {mtu}: {reason}").expect(INFALLIBLE);
        }
        text
    }

    fn remember(&mut self, contender: &'static str) {
        if !self.order.contains(&contender) {
            self.order.push(contender);
        }
    }
}

fn figure(samples: &[Sample]) -> String {
    let speed = median(samples.iter().map(|sample| sample.gigabits));
    let cost = median(samples.iter().map(|sample| sample.seconds_per_gigabyte));
    let proxy = median(
        samples
            .iter()
            .map(|sample| sample.proxy_seconds_per_gigabyte),
    );
    match (cost > 0.0, proxy > 0.0) {
        (false, _) => format!("{speed:.1}"),
        (true, false) => format!("{speed:.2} · {cost:.2}"),
        (true, true) => format!("{speed:.2} · {cost:.2} (+{proxy:.2})"),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const INFALLIBLE: &str = "a string takes everything";

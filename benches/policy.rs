//! `cargo bench --bench policy`: judging with 1,000 rules, and looking names up in a list of a million.

use std::{hint::black_box, sync::LazyLock};

use divan::{Bencher, counter::ItemsCount};
use untold::{
    event::{Confidence, Kind, NameSource, Proto},
    policy::{Config, Facts, Policy},
};

const LISTED: u32 = 1_000_000;

static RULES: LazyLock<Policy> = LazyLock::new(|| policy(&thousand_rules(), Vec::new()));
static TEXT: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..LISTED).map(listed).collect::<String>().into_bytes());
static MILLION: LazyLock<Policy> = LazyLock::new(|| {
    policy(
        "[[list]]\nname = \"ads\"\nsource = \"ads.txt\"",
        vec![TEXT.clone()],
    )
});

fn main() {
    LazyLock::force(&RULES);
    let (names, bytes) = MILLION.listed();
    println!(
        "{names} names in {bytes} bytes: {:.2} MiB, {:.2} bytes a name",
        bytes as f64 / 1048576.0,
        bytes as f64 / names as f64
    );
    divan::main();
}

#[divan::bench(args = ["192.0.2.7 host77.shop.example", "198.51.100.9 nobody.knows.net", "10.1.1.1 -"])]
fn connection_with_1000_rules(bencher: Bencher<'_, '_>, flow: &str) {
    let facts = facts(flow);
    bencher.bench(|| RULES.connection(black_box(&facts)));
}

#[divan::bench]
fn leak_of_two_kinds_with_1000_rules(bencher: Bencher<'_, '_>) {
    let facts = facts("192.0.2.7 host77.shop.example");
    let found = [
        (Kind::Imei, Confidence::Exact),
        (Kind::Phone, Confidence::Shape),
    ];
    bencher.bench(|| RULES.leak(black_box(&facts), black_box(&found)));
}

/// 65,536 different names of three or four labels, one in ten listed.
#[divan::bench]
fn name_in_a_million(bencher: Bencher<'_, '_>) {
    let names: Vec<String> = (0..65_536u32)
        .map(|n| n.wrapping_mul(2_654_435_761) % LISTED)
        .map(|n| {
            if n % 10 == 0 {
                format!("www.{}", listed(n).trim_end())
            } else {
                format!("www.s{n}.unlisted{}.example", n % 9_973)
            }
        })
        .collect();
    bencher.counter(ItemsCount::new(names.len())).bench(|| {
        names
            .iter()
            .filter(|name| {
                MILLION
                    .name(&[], black_box(name), 0)
                    .rule
                    .starts_with("list")
            })
            .count()
    });
}

#[divan::bench(sample_count = 5)]
fn load_a_million_from_text(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(|| TEXT.clone())
        .bench_values(|text| policy("[[list]]\nname = \"ads\"\nsource = \"ads.txt\"", vec![text]));
}

fn policy(text: &str, lists: Vec<Vec<u8>>) -> Policy {
    let config = Config::parse("bench.toml", text).expect("the policy is sound");
    Policy::new(config, lists).expect("the lists are sound")
}

/// 400 rules on names, 200 on networks, 200 on apps, 200 with `sends`.
fn thousand_rules() -> String {
    (0..1000)
        .map(|n| match n % 5 {
            0 | 1 => format!("to = \"host{n}.shop.example\"\nport = 443\n"),
            2 => format!("to = \"10.{}.{}.0/24\"\n", n % 256, n / 256),
            3 => format!("app = \"com.example.app{n}\"\n"),
            _ => format!("to = \"d{n}.example\"\nsends = [\"phone\"]\n"),
        })
        .map(|fields| format!("[[rule]]\naction = \"block\"\n{fields}"))
        .collect()
}

fn listed(n: u32) -> String {
    format!(
        "t{:x}.tracker{}.example\n",
        n.wrapping_mul(2_654_435_761),
        n % 50_021
    )
}

fn facts(flow: &str) -> Facts {
    let (ip, name) = flow.split_once(' ').expect("an address and a name");
    Facts {
        app: vec!["com.example.unknown".into(), "uid:10123".into()],
        dst: (ip.parse::<std::net::IpAddr>().expect("an address"), 80).into(),
        proto: Proto::Tcp,
        names: if name == "-" {
            Vec::new()
        } else {
            vec![
                (name.into(), NameSource::Dns),
                (name.into(), NameSource::Http),
            ]
        },
        wall: 0,
    }
}

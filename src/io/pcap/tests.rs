use std::borrow::Cow;

use pcap_file::{
    DataLink, Endianness, TsResolution,
    pcap::{PcapHeader, PcapWriter, RawPcapPacket},
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::EnhancedPacketBlock,
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
            simple_packet::SimplePacketBlock,
        },
    },
};

use super::*;

const V4: &[u8] = &[0x45, 0, 0, 20, 0, 0];
const V6: &[u8] = &[0x60, 0, 0, 0, 0, 0];

fn pcap(
    link: u32,
    endianness: Endianness,
    ts_resolution: TsResolution,
    frames: &[Vec<u8>],
) -> Vec<u8> {
    let header = PcapHeader {
        datalink: DataLink::from(link),
        endianness,
        ts_resolution,
        ..Default::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for (at, frame) in frames.iter().enumerate() {
        let (incl_len, orig_len) = (frame.len() as u32, frame.len() as u32 + 1000);
        let packet = RawPcapPacket {
            ts_sec: 1_000,
            ts_frac: at as u32 + 7,
            incl_len,
            orig_len,
            data: Cow::Borrowed(frame),
        };
        writer.write_raw_packet(&packet).unwrap();
    }
    writer.into_writer()
}

fn pcapng(
    endianness: Endianness,
    resolution: Option<u8>,
    ticks: u64,
    frames: &[Vec<u8>],
) -> Vec<u8> {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), endianness).unwrap();
    let mut interface = InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0xffff);
    interface
        .options
        .extend(resolution.map(InterfaceDescriptionOption::IfTsResol));
    interface
        .options
        .push(InterfaceDescriptionOption::Comment("about".into()));
    writer.write_pcapng_block(interface).unwrap();
    for frame in frames {
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(ticks),
            original_len: frame.len() as u32,
            data: Cow::Borrowed(frame),
            options: Vec::new(),
        };
        writer.write_pcapng_block(block).unwrap();
    }
    writer.into_inner()
}

fn ethernet(tail: &[u8], ip: &[u8]) -> Vec<u8> {
    [&[0xee; 12], tail, ip].concat()
}

type All = (Vec<(Vec<u8>, Duration)>, Skipped, Option<CaptureError>);

fn all(file: &[u8]) -> All {
    let mut reader = match Reader::new("x.pcap", OneByOne(file)) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Skipped::default(), Some(error)),
    };
    let mut packets = Vec::new();
    loop {
        match reader.packet() {
            Ok(Some(packet)) => packets.push((packet.ip.to_vec(), packet.time)),
            Ok(None) => return (packets, reader.skipped(), None),
            Err(error) => {
                assert_eq!(reader.packet(), Ok(None));
                return (packets, reader.skipped(), Some(error));
            }
        }
    }
}

/// Reads come in pieces, as from a pipe.
struct OneByOne<'a>(&'a [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let len = out.len().min(3);
        self.0.read(&mut out[..len])
    }
}

#[test]
fn every_kind_of_classic_file_is_read() {
    for endianness in [Endianness::Big, Endianness::Little] {
        for (resolution, unit) in [
            (TsResolution::MicroSecond, 1_000u32),
            (TsResolution::NanoSecond, 1),
        ] {
            let file = pcap(101, endianness, resolution, &[V4.to_vec(), V6.to_vec()]);
            let (packets, skipped, error) = all(&file);
            let time = |at| Duration::new(1_000, at * unit);
            assert_eq!(packets, [(V4.to_vec(), time(7)), (V6.to_vec(), time(8))]);
            assert_eq!((skipped, error), (Skipped::default(), None));
        }
    }
}

#[test]
fn every_link_type_leads_to_the_ip_packet() {
    let cooked = |kind: [u8; 2]| [&[0; 14][..], &kind].concat();
    let cooked_v2 = |kind: [u8; 2]| [&kind[..], &[0; 18]].concat();
    for (link, prefix, ip) in [
        (1, ethernet(&[0x08, 0], &[]), V4),
        (1, ethernet(&[0x86, 0xdd], &[]), V6),
        (1, ethernet(&[0x81, 0, 0, 5, 0x08, 0], &[]), V4),
        (
            1,
            ethernet(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x86, 0xdd], &[]),
            V6,
        ),
        (
            1,
            ethernet(&[0x88, 0x64, 0x11, 0, 0, 1, 0, 8, 0, 0x21], &[]),
            V4,
        ),
        (12, vec![], V4),
        (14, vec![], V6),
        (101, vec![], V6),
        (228, vec![], V4),
        (229, vec![], V6),
        (113, cooked([0x08, 0]), V4),
        (113, [cooked([0x81, 0]), vec![0, 5, 0x08, 0]].concat(), V4),
        (276, cooked_v2([0x86, 0xdd]), V6),
        (0, vec![2, 0, 0, 0], V4),
        (0, vec![0, 0, 0, 30], V6),
        (108, vec![0, 0, 0, 2], V4),
    ] {
        let file = pcap(
            link,
            Endianness::Little,
            TsResolution::MicroSecond,
            &[[&prefix, ip].concat()],
        );
        let (packets, _, error) = all(&file);
        assert_eq!(
            (packets.first().map(|(ip, _)| &ip[..]), error),
            (Some(ip), None),
            "link type {link}"
        );
    }
}

#[test]
fn other_protocols_are_counted_and_unknown_link_types_refused() {
    let arp = ethernet(&[0x08, 0x06], &[0; 28]);
    let tags = ethernet(
        &[
            0x81, 0, 0, 0, 0x81, 0, 0, 0, 0x81, 0, 0, 0, 0x81, 0, 0, 0, 0x08, 0,
        ],
        V4,
    );
    let file = pcap(
        1,
        Endianness::Little,
        TsResolution::MicroSecond,
        &[arp, vec![], tags, ethernet(&[8, 0], V4)],
    );
    let (packets, skipped, error) = all(&file);
    assert_eq!((packets.len(), skipped.not_ip, error), (1, 3, None));
    let error = all(&pcap(
        127,
        Endianness::Little,
        TsResolution::MicroSecond,
        &[],
    ))
    .2
    .unwrap();
    assert!(
        error
            .to_string()
            .starts_with("x.pcap: byte 0: link type 127 is not supported"),
        "{error}"
    );
}

#[test]
fn pcapng_times_follow_the_resolution_of_the_interface() {
    for endianness in [Endianness::Big, Endianness::Little] {
        for (resolution, ticks, expect) in [
            (
                None,
                1_700_000_000_000_001,
                Duration::new(1_700_000_000, 1_000),
            ),
            (Some(6), 5_000_000, Duration::from_secs(5)),
            (Some(9), 5_000_000_001, Duration::new(5, 1)),
            (Some(0), 5, Duration::from_secs(5)),
            (Some(0x80 | 10), 1536, Duration::from_millis(1500)),
        ] {
            let file = pcapng(
                endianness,
                resolution,
                ticks,
                &[ethernet(&[8, 0], V4), ethernet(&[0x86, 0xdd], V6)],
            );
            let (packets, _, error) = all(&file);
            assert_eq!(
                packets,
                [(V4.to_vec(), expect), (V6.to_vec(), expect)],
                "{resolution:?}"
            );
            assert_eq!(error, None);
        }
    }
}

#[test]
fn pcapng_sections_and_simple_packets_are_read() {
    let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
    writer
        .write_pcapng_block(InterfaceDescriptionBlock::new(DataLink::RAW, 4))
        .unwrap();
    let simple = SimplePacketBlock {
        original_len: 900,
        data: Cow::Borrowed(&V4[..4]),
    };
    writer.write_pcapng_block(simple).unwrap();
    let first = writer.into_inner();
    let file = [
        first,
        pcapng(Endianness::Big, None, 0, &[ethernet(&[8, 0], V4)]),
    ]
    .concat();
    let (packets, _, error) = all(&file);
    assert_eq!(error, None);
    assert_eq!(
        packets.iter().map(|(ip, _)| &ip[..]).collect::<Vec<_>>(),
        [&V4[..4], V4]
    );
}

#[test]
fn interfaces_of_unknown_link_types_are_counted_and_alone_refused() {
    let one = |link, frame: &'static [u8]| {
        let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
        writer
            .write_pcapng_block(InterfaceDescriptionBlock::new(link, 0))
            .unwrap();
        let simple = SimplePacketBlock {
            original_len: frame.len() as u32,
            data: Cow::Borrowed(frame),
        };
        writer.write_pcapng_block(simple).unwrap();
        writer.into_inner()
    };
    let radio = one(DataLink::from(127), &[0; 8]);
    let (packets, skipped, error) = all(&[radio.clone(), one(DataLink::RAW, V4)].concat());
    assert_eq!((packets.len(), skipped.link_type, error), (1, 1, None));
    assert!(all(&radio).2.unwrap().reason.contains("link type"));
}

#[test]
fn a_truncated_file_gives_what_was_whole_and_then_says_where_it_ends() {
    let frames = [V4.to_vec(), V6.to_vec()];
    let classic = pcap(101, Endianness::Little, TsResolution::MicroSecond, &frames);
    let modern = pcapng(
        Endianness::Little,
        None,
        5,
        &[ethernet(&[8, 0], V4), ethernet(&[8, 0], V4)],
    );
    for (file, ends) in [(&classic, vec![24, 46, 68]), (&modern, vec![])] {
        for len in 0..file.len() {
            let (packets, _, error) = all(&file[..len]);
            match error {
                Some(error) => assert!(error.offset as usize <= len),
                None if ends.is_empty() => assert_eq!(len % 4, 0),
                None => assert!(ends.contains(&len), "{len}"),
            }
            assert!(packets.len() < 2);
        }
        assert_eq!(all(file).0.len(), 2);
    }
    let (packets, _, error) = all(&classic[..classic.len() - 1]);
    assert_eq!(packets.len(), 1);
    assert_eq!(
        error.unwrap().to_string(),
        "x.pcap: byte 46: the file ends within a packet, 5 of 6 bytes"
    );
}

#[test]
fn files_that_are_no_captures_are_refused_in_one_line() {
    for (file, reason) in [
        (&b""[..], "the file is empty"),
        (b"ab", NOT_A_CAPTURE),
        (b"#!/bin/sh\n", NOT_A_CAPTURE),
        (
            &[0xd4, 0xc3, 0xb2, 0xa1, 0, 0],
            "the file ends within its header",
        ),
        (
            &[0x0a, 0x0d, 0x0d, 0x0a, 0, 0],
            "the file ends within a section header",
        ),
    ] {
        assert_eq!(all(file).2.unwrap().reason, reason);
    }
}

#[test]
fn corruption_anywhere_never_panics_nor_runs_away() {
    let frames = [ethernet(&[0x81, 0, 0, 5, 8, 0], V4), ethernet(&[8, 0], V4)];
    let files = [
        pcap(1, Endianness::Big, TsResolution::NanoSecond, &frames),
        pcapng(Endianness::Little, Some(6), 5, &frames),
    ];
    for file in files {
        for at in 0..file.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut file = file.clone();
                file[at] = value;
                let mut reader = match Reader::new("x", &file[..]) {
                    Ok(reader) => reader,
                    Err(_) => continue,
                };
                let mut packets = 0;
                while let Ok(Some(_)) = reader.packet() {
                    packets += 1;
                }
                assert!(packets <= 2);
            }
        }
    }
}

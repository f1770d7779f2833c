//! What is held, for how long, and what is not.

use super::*;

#[test]
fn stops_a_value_before_its_last_character_however_slowly_it_comes() {
    let block = rules("block");
    for (pause, most) in [
        (Duration::from_millis(300), 12),
        (Duration::from_secs(6), 17),
    ] {
        let mut flow = Flow::new(Proto::Tcp, 9999, &block);
        for byte in format!("id={IMEI}\n").as_bytes() {
            if !flow.blocked() {
                flow.send(&[*byte]);
                flow.wait(pause);
            }
        }
        assert!(flow.blocked());
        assert!(flow.gone <= most, "{} of 18 bytes went", flow.gone);
    }
}

#[test]
fn holds_no_more_than_an_unfinished_value_for_five_seconds() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 9999, &block);
    flow.send(b"hello 490154203");
    assert_eq!(
        (flow.gone, flow.wake),
        (6, Some(flow.now + Duration::from_millis(250)))
    );
    flow.wait(Duration::from_millis(4_900));
    assert_eq!(flow.gone, 6);
    flow.wait(Duration::from_millis(200));
    assert_eq!((flow.gone, flow.wake), (15, None));
}

#[test]
fn sends_a_line_at_once() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 21, &block);
    for line in [
        "USER anonymous12345\r\n",
        "PASS abcdefghijklmnopqrstuvwxyz\r\n",
        "CWD /a/b/c/0123456789abcdef\r\n",
        "\r\n",
        "x",
        "{\"a\":\"b\\u00",
    ] {
        flow.send(line.as_bytes());
        assert!(flow.held.is_empty(), "{line:?}");
    }
}

#[test]
fn sends_a_head_that_waits_for_a_continue_and_holds_the_body() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 80, &block);
    let bytes = post(
        "Expect: 100-continue\r\n",
        format!("imei={IMEI}").as_bytes(),
    );
    let head = bytes.len() - 20;
    flow.send(&bytes[..head - 1]);
    assert_eq!(flow.gone, 0);
    flow.send(&bytes[head - 1..head]);
    assert_eq!((flow.gone, flow.wake), (head, None));
    flow.send(&bytes[head..head + 4]);
    assert_eq!(flow.gone, head);
    flow.send(&bytes[head + 4..]);
    assert!(flow.blocked());
    assert_eq!(flow.gone, head);
}

#[test]
fn streams_a_message_that_pauses() {
    let (allow, block) = (rules("allow"), rules("block"));
    let body = format!("{} imei={IMEI} tail", "x".repeat(100));
    let bytes = chunked(body.as_bytes(), 30);
    let mut flow = Flow::new(Proto::Tcp, 80, &block);
    flow.send(&bytes[..100]);
    assert_eq!(
        (flow.gone, flow.wake),
        (0, Some(flow.now + Duration::from_millis(250)))
    );
    flow.wait(Duration::from_millis(250));
    assert_eq!((flow.gone, flow.wake), (100, None));
    flow.send(&bytes[100..130]);
    assert_eq!((flow.gone, flow.wake), (130, None), "no further waits");
    flow.send(&bytes[130..]);
    assert!(flow.blocked());
    let whole = run(
        &Fixture {
            name: "",
            port: 80,
            bytes: bytes.clone(),
            expected: vec![],
            framed: true,
        },
        &[],
        &allow,
        Duration::ZERO,
    );
    assert_eq!(flow.findings(), whole.findings());
}

#[test]
fn streams_a_message_for_which_there_is_no_room() {
    let block = rules("block");
    for room in [0, 1000] {
        let mut flow = Flow::new(Proto::Tcp, 80, &block);
        flow.room = room;
        let body = [noise(5000), IMEI.as_bytes().to_vec(), noise(5000)].concat();
        let bytes = post("", &body);
        for piece in bytes.chunks(500) {
            if !flow.blocked() {
                flow.send(piece);
                assert!(
                    flow.blocked() || flow.held.len() < room.max(1),
                    "{} held",
                    flow.held.len()
                );
            }
        }
        assert!(flow.blocked());
        assert!(flow.gone >= 4500 && flow.gone < bytes.len() - 5000 - 7);
    }
}

#[test]
fn lets_a_large_body_through_in_bounded_room_and_time() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 80, &block);
    flow.room = 64 * 1024;
    let block_of_body = noise(1 << 16);
    let total = 64u64 << 20;
    flow.send(
        format!("PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {total}\r\n\r\n").as_bytes(),
    );
    for _ in 0..total >> 16 {
        flow.send(&block_of_body);
        assert!(flow.held.len() <= flow.room);
    }
    assert!(flow.held.is_empty() && flow.findings().is_empty());
    flow.send(b"GET / HTTP/1.1\r\n\r\n");
    assert!(flow.held.is_empty());
}

#[test]
fn lets_large_text_through_that_is_all_words() {
    let block = rules("block");
    let line = "{\"name\":\"screen_view\",\"path\":\"a\\/b%20c+d\",\"ts\":1700000000000}\n";
    let text = line.repeat((1 << 16) / line.len());
    let mut flow = Flow::new(Proto::Tcp, 9999, &block);
    for _ in 0..16 {
        flow.send(text.as_bytes());
        assert!(flow.held.is_empty());
    }
    assert_eq!(flow.notices, []);
}

#[test]
fn lets_the_clean_one_of_two_pipelined_requests_go() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 80, &block);
    let first = post("", b"nothing");
    flow.send(&[first.clone(), post("", IMEI.as_bytes())].concat());
    assert!(flow.blocked());
    assert_eq!(flow.gone, first.len());
}

#[test]
fn asks_once_and_goes_on_after_the_answer() {
    let ask = rules("ask");
    let mut flow = Flow::new(Proto::Tcp, 80, &ask);
    flow.can_ask = true;
    let bytes = post("", IMEI.as_bytes());
    flow.send(&bytes);
    assert!(matches!(&flow.gate, Gate::Ask(verdict) if &*verdict.rule == "default.leak"));
    flow.send(&bytes);
    assert!(matches!(flow.gate, Gate::Ask(_)));
    assert_eq!(flow.gone, 0);
    flow.call(|stream, held, cx| stream.answer(Action::Allow, held, cx));
    assert_eq!(
        (flow.gate.clone(), flow.gone),
        (Gate::Open, 2 * bytes.len()),
        "kinds let go are not asked about again"
    );
    flow.send(&post("", EMAIL.as_bytes()));
    assert!(matches!(flow.gate, Gate::Ask(_)), "another kind is");
    flow.call(|stream, held, cx| stream.answer(Action::Block, held, cx));
    assert!(flow.blocked());
    flow.send(b"more");
    assert!(flow.blocked());
    assert_eq!(flow.gone, 2 * bytes.len());
}

#[test]
fn falls_back_where_nobody_answers_and_names_the_rule() {
    let ask = rules("ask");
    let mut flow = Flow::new(Proto::Tcp, 80, &ask);
    flow.send(&post("", IMEI.as_bytes()));
    let Gate::Block(verdict) = &flow.gate else {
        panic!("{:?}", flow.gate)
    };
    assert_eq!(
        (verdict.action, &*verdict.rule, verdict.approved),
        (Action::Block, "default.leak", false)
    );
}

#[test]
fn judges_the_connection_again_when_the_host_is_known() {
    let config = "[[rule]]\nto = \"tracker.example\"\naction = \"block\"\n";
    let config = Config::parse("policy.toml", config).expect("the policy is valid");
    let rules = Rules {
        policy: Arc::new(Policy::new(config, Vec::new()).expect("no lists")),
        ..rules("allow")
    };
    let mut flow = Flow::new(Proto::Tcp, 80, &rules);
    flow.send(b"GET / HTTP/1.1\r\nHost: www.tracker.example\r\n\r\n");
    assert!(flow.blocked());
    assert_eq!(flow.gone, 0);
    assert_eq!(
        flow.notices,
        [Notice::Name {
            name: "www.tracker.example".into(),
            from: NameSource::Http
        }]
    );
    assert_eq!(
        flow.facts.names,
        [("www.tracker.example".into(), NameSource::Http)]
    );
}

#[test]
fn relays_tls_without_looking_and_says_so() {
    let block = rules("block");
    let mut flow = Flow::new(Proto::Tcp, 443, &block);
    flow.send(&tls());
    assert_eq!(flow.notices, [Notice::Opaque(Opaque::Tls)]);
    assert_eq!(
        (flow.held.len(), flow.stream.opaque()),
        (0, Some(Opaque::Tls))
    );
}

#[test]
fn holds_an_unfinished_value_behind_an_unfinished_escape() {
    let block = rules("block");
    for (write, width) in [(r"\u00", 6), ("%", 3)] {
        let value: String = EMAIL
            .bytes()
            .map(|byte| format!("{write}{byte:02x}"))
            .collect();
        let half = EMAIL.len() / 2 * width;
        for cut in half + width..value.len() {
            let mut flow = Flow::new(Proto::Tcp, 9999, &block);
            flow.send(&value.as_bytes()[..half]);
            flow.send(&value.as_bytes()[half..cut]);
            assert_eq!(flow.gone, half, "cut at {cut} of {value}");
        }
    }
}

//! HTTP by clients that others wrote: held units stall nobody.

use std::{fs, time::Duration};

use crate::{
    noise::{Noise, digest},
    ns::alone_with,
    peers::{curl, python},
    server::{self, Server},
    world::{Setup, World},
};

#[test]
fn curl_gets_and_posts() {
    alone_with(&["curl"], || {
        let world = World::new(Setup::default());
        for (address, host) in [
            ("203.0.113.9:80", "203.0.113.9"),
            ("[2001:db8::9]:80", "[2001:db8::9]"),
        ] {
            let server = Server::start(&world.server, address, server::http);
            assert_eq!(
                curl(&world.app, &[&format!("http://{host}/a?b=c")]),
                digest(b"")
            );
            let posted = curl(
                &world.app,
                &[
                    "--data",
                    "name=value&other=1",
                    &format!("http://{host}/form"),
                ],
            );
            assert_eq!(posted, digest(b"name=value&other=1"));
            let seen = String::from_utf8(server.bytes()).expect("heads and forms are text");
            assert!(seen.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{seen}");
            assert!(seen.ends_with("\r\n\r\nname=value&other=1"), "{seen}");
        }
    });
}

#[test]
fn curl_posts_a_body_larger_than_what_is_held() {
    alone_with(&["curl"], || {
        let world = World::new(Setup::default());
        let _server = Server::start(&world.server, "203.0.113.9:80", server::http);
        let body = Noise::new(11).bytes(64 << 20);
        fs::write("/run/body", &body).expect("/run is ours");
        let answer = curl(
            &world.app,
            &[
                "-H",
                "Expect:",
                "--data-binary",
                "@/run/body",
                "http://203.0.113.9/",
            ],
        );
        assert_eq!(answer, digest(&body));
    });
}

#[test]
fn a_head_that_expects_100_continue_is_sent_alone() {
    alone_with(&["curl"], || {
        let world = World::new(Setup::default());
        let server = Server::start(&world.server, "203.0.113.9:80", server::http);
        // Without the server's word curl waits 30 s here, longer than it may take in all.
        let words = [
            "--expect100-timeout",
            "30",
            "--max-time",
            "15",
            "-H",
            "Expect: 100-continue",
        ];
        let answer = curl(
            &world.app,
            &[&words[..], &["--data", "waited=yes", "http://203.0.113.9/"]].concat(),
        );
        assert_eq!(answer, digest(b"waited=yes"));
        let marks: Vec<_> = server.marks().into_iter().map(|(mark, _)| mark).collect();
        assert_eq!(marks, ["head", "continue", "body"]);
    });
}

#[test]
fn a_chunked_upload_that_pauses_goes_on() {
    alone_with(&["python3"], || {
        let world = World::new(Setup::default());
        let server = Server::start(&world.server, "203.0.113.9:80", server::http);
        let script = "
import http.client, time
def parts():
    for n in range(4):
        yield b'part %d of a slow upload' % n
        time.sleep(0.7)
c = http.client.HTTPConnection('203.0.113.9', timeout=30)
c.request('POST', '/', body=parts(), encode_chunked=True, headers={'Transfer-Encoding': 'chunked'})
print(c.getresponse().read().decode(), end='')";
        let parts: Vec<_> = (0..4)
            .map(|n| format!("part {n} of a slow upload"))
            .collect();
        assert_eq!(
            python(&world.app, script, &[]),
            digest(parts.concat().as_bytes())
        );
        let at: Vec<_> = server
            .marks()
            .into_iter()
            .filter(|(mark, _)| mark == "chunk")
            .map(|(_, at)| at)
            .collect();
        assert_eq!(at.len(), 4);
        let gaps = at
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .filter(|gap| *gap > Duration::from_millis(350));
        assert!(
            gaps.count() >= 2,
            "the chunks were kept until the last: {at:?}"
        );
    });
}

#[test]
fn pythons_client_reuses_a_connection() {
    alone_with(&["python3"], || {
        let world = World::new(Setup::default());
        let server = Server::start(&world.server, "203.0.113.9:80", server::http);
        let script = "
import http.client
c = http.client.HTTPConnection('203.0.113.9', timeout=30)
for n in range(50):
    c.request('POST', '/%d' % n, body=b'z' * n * 1000)
    print(c.getresponse().read().decode())";
        let said = python(&world.app, script, &[]);
        for (n, line) in said.lines().enumerate() {
            assert_eq!(line, digest(&vec![b'z'; n * 1000]), "request {n}");
        }
        assert_eq!((said.lines().count(), server.connections()), (50, 1));
    });
}

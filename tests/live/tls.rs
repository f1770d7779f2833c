//! TLS: recognised, told as opaque, relayed unread.

use std::{fs, process::Stdio};

use untold::event::{Action, Event, Opaque};

use crate::{
    noise::{Noise, digest},
    ns::{self, alone_with},
    peers::{at, python},
    server::eventually,
    world::{Setup, World},
};

#[test]
fn https_passes_unread_and_is_told_as_opaque() {
    alone_with(&["python3", "openssl"], || {
        let mut world = World::new(Setup::default());
        make_certificate();
        // The values inside are nobody's business: they are encrypted, and the firewall says that it cannot see.
        let body = [
            crate::registration::identity().into_bytes(),
            Noise::new(12).bytes(300_000),
        ]
        .concat();
        fs::write("/run/body", &body).expect("/run is ours");
        let mut server = world.server.command("python3");
        server.args(["-c", SERVER]).stdin(Stdio::null());
        let mut server = server.spawn().expect("python starts");
        let listens = || {
            world
                .server
                .run(|| std::net::TcpStream::connect("203.0.113.9:8443"))
                .is_ok()
        };
        assert!(eventually(listens), "the server does not listen");
        assert_eq!(python(&world.app, CLIENT, &[]).trim(), digest(&body));
        let _ = server.kill();
        let _ = server.wait();
        let events = world.stop();
        let flow = events.iter().find_map(|event| match event {
            Event::Flow(flow) if flow.dst == at("203.0.113.9:443") => Some(flow),
            _ => None,
        });
        let flow = flow.expect("a flow is told");
        assert_eq!(
            (flow.opaque, flow.verdict),
            (Some(Opaque::Tls), Action::Allow)
        );
        assert!(
            flow.bytes_out > 300_000,
            "{} bytes went out",
            flow.bytes_out
        );
        assert!(
            !events
                .iter()
                .any(|event| matches!(event, Event::Finding(_)))
        );
    });
}

fn make_certificate() {
    let words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=web.example -keyout /run/key.pem -out /run/cert.pem";
    ns::run("openssl", &words.split(' ').collect::<Vec<_>>());
}

const SERVER: &str = "
import hashlib, http.server, ssl, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        answer = hashlib.sha256(body).hexdigest().encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *words):
        pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('/run/cert.pem', '/run/key.pem')
server = http.server.HTTPServer(('203.0.113.9', 443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
ready = http.server.HTTPServer(('203.0.113.9', 8443), Handler)
server.serve_forever()";

const CLIENT: &str = "
import http.client, ssl
context = ssl._create_unverified_context()
c = http.client.HTTPSConnection('203.0.113.9', timeout=30, context=context)
c.request('POST', '/', body=open('/run/body', 'rb').read())
print(c.getresponse().read().decode())";

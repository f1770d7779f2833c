//! Echo requests.

use crate::{
    ns::alone_with,
    peers::says,
    world::{Setup, World},
};

#[test]
fn ping_is_answered_by_who_was_asked() {
    alone_with(&["ping"], || {
        let world = World::new(Setup::default());
        world.relay.set("net/ipv4/ping_group_range", "0 2147483647");
        for address in ["203.0.113.9", "2001:db8::9"] {
            let said = says(
                &world.app,
                "ping",
                &["-n", "-c", "3", "-i", "0.2", "-W", "5", address],
            );
            assert!(said.contains("3 received, 0% packet loss"), "{said}");
            assert!(!said.contains("DUP!"), "{said}");
        }
        let none = crate::peers::runs(
            &world.app,
            "ping",
            &["-n", "-c", "1", "-W", "1", "203.0.113.99"],
        );
        assert!(
            !none.status.success(),
            "nobody has that address, yet it answered"
        );
    });
}

/// What a router says of an echo request reaches whoever sent it.
#[test]
fn ping_is_told_that_a_host_cannot_be_reached() {
    alone_with(&["ping"], || {
        let world = World::new(Setup::default());
        world.relay.set("net/ipv4/ping_group_range", "0 2147483647");
        world.server.set("net/ipv4/ip_forward", "1");
        world.server.set("net/ipv6/conf/all/forwarding", "1");
        world.server.ip("route add unreachable 203.0.113.77/32");
        world.server.ip("-6 route add prohibit 2001:db8::77/128");
        for (address, told) in [
            ("203.0.113.77", "Destination Host Unreachable"),
            (
                "2001:db8::77",
                "Destination unreachable: Administratively prohibited",
            ),
        ] {
            let words = ["-n", "-c", "2", "-i", "0.3", "-W", "2", address];
            let ran = crate::peers::runs(&world.app, "ping", &words);
            let said = String::from_utf8_lossy(&ran.stdout).into_owned();
            assert!(said.contains(&format!("icmp_seq=1 {told}")), "{said}");
            assert!(said.contains("+2 errors"), "{said}");
        }
        let answered = says(
            &world.app,
            "ping",
            &["-n", "-c", "1", "-W", "5", "203.0.113.9"],
        );
        assert!(answered.contains("1 received"), "{answered}");
    });
}

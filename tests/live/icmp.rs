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

//! The relay against an independent TCP, over links and ends of every kind.

#[path = "../fuzz/src/tcp.rs"]
#[allow(dead_code, reason = "schedules are the fuzzer's")]
mod tcp;

use proptest::prelude::*;
use tcp::{Plan, World};

fn plan() -> impl Strategy<Value = Plan> {
    let sizes = prop_oneof![0usize..10, 10usize..3_000, 3_000usize..200_000];
    let link = (
        prop_oneof![Just(0u32), 1u32..100],
        prop_oneof![Just(0u32), 1u32..50],
        prop_oneof![Just(0u64), 1u64..60],
    );
    let ends = (
        prop_oneof![Just(1_280usize), Just(1_500), Just(9_000), Just(65_535)],
        600usize..100_000,
    );
    (
        any::<u64>(),
        ends,
        (sizes.clone(), sizes),
        link,
        1usize..20_000,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(
                seed,
                (mtu, app_window),
                (up, down),
                (loss, duplication, delay),
                gulp,
                slow,
                v6,
                offload,
            )| {
                Plan {
                    seed,
                    mtu,
                    app_window,
                    up,
                    down,
                    loss,
                    duplication,
                    delay,
                    gulp,
                    slow,
                    v6,
                    offload,
                    abort: None,
                    reset: None,
                    script: Vec::new(),
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_altered_whatever_the_link_does(plan in plan()) {
        World::new(plan).run().map_err(TestCaseError::fail)?;
    }
}

//! Names in events, without the identifiers that apps put into them.

use std::{ops::Range, sync::Arc};

use crate::{detect::Detector, event::Event};

/// Puts `*` in place of the labels of a name that hold a registered value: `*.tracker.example`. Rules still match the
/// name as it was.
pub(super) fn names(event: &mut Event, detector: &Detector) {
    let name = match event {
        Event::Flow(flow) => flow.name.as_mut(),
        Event::Finding(found) => found.name.as_mut(),
        Event::Ask(asked) => asked.name.as_mut(),
        Event::Name(told) => Some(&mut told.name),
        Event::Answer(_) | Event::Drop(_) | Event::Error(_) | Event::Health(_) => None,
    };
    if let Some(name) = name
        && let Some(masked) = masked(name, detector)
    {
        *name = masked;
    }
}

fn masked(name: &str, detector: &Detector) -> Option<Arc<str>> {
    let mut hits = Vec::new();
    detector.search(name.as_bytes(), 0, &mut hits);
    if hits.is_empty() {
        return None;
    }
    let holds = |label: &Range<usize>| {
        hits.iter()
            .any(|hit| hit.start < label.end && label.start < hit.end)
    };
    let mut labels: Vec<&str> = Vec::new();
    let mut start = 0;
    for label in name.split('.') {
        let range = start..start + label.len();
        start = range.end + 1;
        let shown = if holds(&range) { "*" } else { label };
        if shown != "*" || labels.last() != Some(&"*") {
            labels.push(shown);
        }
    }
    Some(labels.join(".").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Identity;

    #[test]
    fn labels_that_hold_a_value_are_not_shown() {
        let identity = "imei = \"490154203237518\"\nwifi_mac = \"02:00:5e:10:00:07\"\n";
        let identity = Identity::parse("identity.toml", identity).expect("good values");
        let detector = Detector::new(&identity, &[0; 32]);
        for (name, shown) in [
            ("490154203237518.tracker.example", Some("*.tracker.example")),
            (
                "v1.id-490154203237518.tracker.example",
                Some("v1.*.tracker.example"),
            ),
            (
                "02.00.5e.10.00.07.tracker.example",
                Some("*.tracker.example"),
            ),
            ("bank.example", None),
            ("", None),
        ] {
            assert_eq!(masked(name, &detector).as_deref(), shown, "{name}");
        }
    }
}

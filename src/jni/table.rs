use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jni::sys::jlong;

use super::trap::Fault;

/// What Kotlin holds by number. A number is never given twice, so an old one is an error and nothing worse.
pub(super) struct Table<T> {
    rows: Mutex<Rows<T>>,
}

struct Rows<T> {
    last: jlong,
    live: BTreeMap<jlong, Arc<T>>,
}

impl<T> Table<T> {
    pub(super) const fn new() -> Self {
        Table {
            rows: Mutex::new(Rows {
                last: 0,
                live: BTreeMap::new(),
            }),
        }
    }

    pub(super) fn insert(&self, value: T) -> jlong {
        let mut rows = self.lock();
        rows.last += 1;
        let handle = rows.last;
        rows.live.insert(handle, Arc::new(value));
        handle
    }

    pub(super) fn get(&self, handle: jlong) -> Result<Arc<T>, Fault> {
        self.lock().live.get(&handle).cloned().ok_or(CLOSED)
    }

    pub(super) fn remove(&self, handle: jlong) -> Result<Arc<T>, Fault> {
        self.lock().live.remove(&handle).ok_or(CLOSED)
    }

    fn lock(&self) -> MutexGuard<'_, Rows<T>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const CLOSED: Fault = Fault::State("closed");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_one_thing_for_ever() {
        let table = Table::new();
        let first = table.insert("first");
        assert_eq!(table.get(first).ok().as_deref(), Some(&"first"));
        assert!(table.remove(first).is_ok());
        let second = table.insert("second");
        assert_ne!(first, second);
        assert!(table.get(first).is_err() && table.remove(first).is_err());
        assert!(table.get(0).is_err());
    }
}

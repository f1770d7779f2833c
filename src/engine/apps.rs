//! What each app has of what all share.

use std::{collections::HashMap, sync::Arc};

use super::Seeded;
use crate::flow::{Key, Slab};

/// Tallies of the apps that have flows. Flows whose owner is unknown belong to none, and only the totals bound them.
pub(super) struct Apps {
    tallies: Slab<Tally>,
    by_name: HashMap<Arc<str>, Key, Seeded>,
}

/// One app's share.
pub(super) struct Tally {
    names: Vec<Arc<str>>,
    flows: usize,
    /// Connections whose SYN is not answered yet.
    pub(super) parked: usize,
    /// Bytes that inspection holds.
    pub(super) held: usize,
}

impl Apps {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            tallies: Slab::new(),
            by_name: HashMap::with_hasher(Seeded(seed)),
        }
    }

    /// Counts one more flow of the owner that goes by `names`; `None` where it is unknown. All flows of an app share its
    /// names.
    ///
    /// # Errors
    /// Where the app has `most` flows already.
    pub(super) fn join(
        &mut self,
        names: &mut Vec<Arc<str>>,
        most: usize,
    ) -> Result<Option<Key>, ()> {
        let Some(name) = names.first() else {
            return Ok(None);
        };
        let key = match self.by_name.get(name) {
            Some(&key) => key,
            None => {
                let key = self.tallies.insert(Tally {
                    names: names.clone(),
                    flows: 0,
                    parked: 0,
                    held: 0,
                });
                self.by_name.insert(name.clone(), key);
                key
            }
        };
        match self.tallies.get_mut(key) {
            Some(tally) if tally.flows < most => {
                tally.flows += 1;
                if tally.names == *names {
                    names.clone_from(&tally.names);
                }
                names.shrink_to_fit();
            }
            _ => return Err(()),
        }
        Ok(Some(key))
    }

    /// A flow has ended; an app without flows is forgotten.
    pub(super) fn leave(&mut self, app: Option<Key>) {
        let Some(key) = app else {
            return;
        };
        if let Some(tally) = self.tallies.get_mut(key) {
            tally.flows -= 1;
            if tally.flows == 0
                && let Some(tally) = self.tallies.remove(key)
                && let Some(name) = tally.names.first()
            {
                self.by_name.remove(name);
            }
        }
    }

    pub(super) fn get_mut(&mut self, app: Option<Key>) -> Option<&mut Tally> {
        self.tallies.get_mut(app?)
    }

    /// How much more an app may hold of `most` bytes.
    pub(super) fn room(&self, app: Option<Key>, most: usize) -> usize {
        let tally = app.and_then(|key| self.tallies.get(key));
        tally.map_or(usize::MAX, |tally| most.saturating_sub(tally.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_joins_up_to_its_limit_and_is_forgotten_with_its_last_flow() {
        let mut apps = Apps::new(1);
        let names = || vec![Arc::from("game"), Arc::from("uid:10123")];
        let mut owners = [names(), names()];
        let [first, second] = owners.each_mut().map(|names| apps.join(names, 2).unwrap());
        assert!(first.is_some() && first == second);
        assert!(
            Arc::ptr_eq(&owners[0][1], &owners[1][1]),
            "both flows share a name"
        );
        assert_eq!(apps.join(&mut names(), 2), Err(()));
        apps.get_mut(first).unwrap().held = 300;
        assert_eq!(
            (apps.room(first, 1_000), apps.room(None, 1_000)),
            (700, usize::MAX)
        );
        apps.leave(first);
        apps.leave(second);
        assert!(apps.by_name.is_empty() && apps.tallies.len() == 0);
        assert_eq!(
            apps.join(&mut Vec::new(), 0),
            Ok(None),
            "the unknown belong to none"
        );
    }
}

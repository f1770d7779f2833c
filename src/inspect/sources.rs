use std::sync::Arc;

use super::Rules;
use crate::{
    ConfigError,
    detect::{Detector, Identity},
    policy::{Config, Policy},
};

/// What a person wrote, as texts: for shells that read no files themselves. An empty text is a file that is not there.
#[derive(Clone, Default)]
pub struct Sources<'a> {
    /// The identity file.
    pub identity: &'a str,
    /// The policy file.
    pub policy: &'a str,
    /// The file of answers "always".
    pub answers: &'a str,
    /// The texts of the policy's lists, in its order.
    pub lists: Vec<Vec<u8>>,
}

impl Sources<'_> {
    /// Checks and compiles them; `hash_key` is what findings are hashed with.
    ///
    /// # Errors
    /// Names the file (`identity.toml`, `policy.toml`, `answers.toml`), line and column.
    pub fn rules(self, hash_key: &[u8; 32]) -> Result<Rules, ConfigError> {
        let identity = Identity::parse("identity.toml", self.identity)?;
        let config = match self.policy {
            "" => Config::default_policy(),
            text => Config::parse("policy.toml", text)?,
        };
        let config = match self.answers {
            "" => config,
            text => config.with_answers("answers.toml", text)?,
        };
        Ok(Rules {
            detector: Arc::new(Detector::new(&identity, hash_key)),
            policy: Arc::new(Policy::new(config, self.lists)?),
        })
    }
}

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
    /// The texts of the files that the policy names: those of its lists, in its order, then those of its proxies'
    /// passwords.
    pub files: Vec<Vec<u8>>,
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
        let mut lists = self.files;
        let passwords = lists.split_off(config.lists().len().min(lists.len()));
        Ok(Rules {
            detector: Arc::new(Detector::new(&identity, hash_key)),
            policy: Arc::new(Policy::new(with_passwords(config, passwords)?, lists)?),
        })
    }
}

fn with_passwords(config: Config, texts: Vec<Vec<u8>>) -> Result<Config, ConfigError> {
    let named = config.password_files().count();
    if texts.len() > named {
        let reason = format!(
            "{named} password files are named, {} were read",
            texts.len()
        );
        return Err(ConfigError::file("policy.toml", reason));
    }
    let texts: Vec<_> = config
        .password_files()
        .zip(texts)
        .map(|(file, text)| String::from_utf8(text).map_err(|_| file.error("it is not UTF-8 text")))
        .collect::<Result<_, _>>()?;
    config.with_passwords(&texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "[[list]]\nname = \"ads\"\nsource = \"ads.txt\"\nformat = \"domains\"\naction = \"block\"\n\
        [[proxy]]\nname = \"office\"\ntype = \"http\"\naddress = \"192.0.2.1:3128\"\nuser = \"ada\"\npassword_file = \"office.pass\"\n\
        [[rule]]\naction = \"allow\"\nvia = \"office\"\n";

    fn rules(files: &[&[u8]]) -> Result<Rules, ConfigError> {
        let files = files.iter().map(|file| file.to_vec()).collect();
        let sources = Sources {
            policy: POLICY,
            files,
            ..Sources::default()
        };
        sources.rules(&[0; 32])
    }

    #[test]
    fn passwords_follow_the_lists_and_what_is_missing_is_told_with_its_place() {
        let list: &[u8] = b"tracker.example\n";
        let rules_of = rules(&[list, b"hunter2\n"]).unwrap();
        let (proxy, _) = rules_of.policy.proxies().next().unwrap();
        assert_eq!(
            proxy.login,
            crate::egress::Login::new("ada", "hunter2").ok()
        );
        let unread = "the password was not read";
        let wrong = [
            (&[][..], None, "1 lists are named, 0 were read"),
            (&[list], Some(11), unread),
            (&[list, b"\xff"], Some(11), "it is not UTF-8 text"),
            (
                &[list, b"hunter2", b"more"],
                None,
                "1 password files are named, 2 were read",
            ),
        ];
        for (files, line, reason) in wrong {
            let error = rules(files).err().unwrap();
            assert_eq!(error.line, line, "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}

//! `[[proxy]]` and `via`: which way a connection goes.

use std::{net::SocketAddr, sync::Arc};

use serde::Deserialize;
use toml::Spanned;

use super::{
    config::{Password, PasswordFile, ProxyEntry, RuleEntry},
    document::{RuleTable, Source},
    field::{Field, Read, word},
    judge::{Cause, DefaultKey, Facts, Policy},
    nearest::offer,
    rules::Query,
};
use crate::{
    ConfigError,
    egress::{Login, Protocol, Proxy},
    event::{Action, NameSource, Verdict},
};

/// Keys of a `[[proxy]]`.
pub(super) const KEYS: &[&str] = &[
    "name",
    "type",
    "address",
    "user",
    "password",
    "password_file",
];
/// A policy names no more than this.
const MOST_PROXIES: usize = 256;

#[derive(Deserialize)]
pub(super) struct ProxyTable {
    name: Spanned<Read<String>>,
    #[serde(rename = "type")]
    protocol: Read<Protocol>,
    address: Read<SocketAddr>,
    user: Option<Spanned<Read<String>>>,
    password: Option<Spanned<Read<String>>>,
    password_file: Option<Spanned<Read<String>>>,
}

impl Field for Protocol {
    const EXPECTED: &str = "\"socks5\" or \"http\"";
    fn read(text: &str) -> Result<Self, String> {
        word(
            text,
            "type of proxy",
            &[("socks5", Protocol::Socks5), ("http", Protocol::Http)],
        )
    }
}

impl Field for SocketAddr {
    const EXPECTED: &str = "an address with a port, such as \"192.0.2.1:1080\"";
    fn read(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("bad address {text:?} of a proxy: {why}");
        let address: SocketAddr = text.parse().map_err(|_| {
            bad("an IP address with a port, such as \"192.0.2.1:1080\"; a name would be asked for outside of the proxy")
        })?;
        match address {
            address if address.port() == 0 => Err(bad("nothing listens at port 0")),
            address if address.ip().is_unspecified() || address.ip().is_multicast() => {
                Err(bad("nothing listens there"))
            }
            address => Ok(address),
        }
    }
}

impl Source<'_> {
    /// Checks the proxies of a policy.
    pub(super) fn proxies(
        &self,
        tables: Vec<Spanned<ProxyTable>>,
    ) -> Result<Vec<ProxyEntry>, ConfigError> {
        let mut proxies: Vec<ProxyEntry> = Vec::new();
        for table in tables {
            let table = table.into_inner();
            let (span, Read(name)) = (table.name.span(), table.name.get_ref());
            if proxies.iter().any(|other| *other.name == **name) {
                return Err(self.error(span, format!("a second proxy named {name:?}")));
            }
            if proxies.len() == MOST_PROXIES {
                return Err(self.error(span, format!("at most {MOST_PROXIES} proxies fit")));
            }
            let name = name.as_str().into();
            let protocol = table.protocol.0;
            let address = table.address.0;
            proxies.push(ProxyEntry {
                name,
                protocol,
                address,
                login: self.login(table)?,
            });
        }
        Ok(proxies)
    }

    fn login(&self, table: ProxyTable) -> Result<Option<(Arc<str>, Password)>, ConfigError> {
        let ProxyTable {
            user,
            password,
            password_file,
            ..
        } = table;
        let (user, password) = match (user, password, password_file) {
            (None, None, None) => return Ok(None),
            (Some(user), Some(password), None) => {
                let span = password.span();
                let login = Login::new(&user.get_ref().0, &password.get_ref().0)
                    .map_err(|reason| self.error(span, reason))?;
                (user, Password::Given(login))
            }
            (Some(user), None, Some(file)) => {
                // Whatever the password is, the user must be one that can be told.
                Login::new(&user.get_ref().0, "x")
                    .map_err(|reason| self.error(user.span(), reason))?;
                let at = self.error(file.span(), "");
                let file = PasswordFile {
                    path: file.into_inner().0,
                    file: self.file.clone(),
                    place: (at.line, at.column),
                };
                (user, Password::InFile(file))
            }
            (Some(user), None, None) => {
                let reason = "a user without a password: give `password` or `password_file`";
                return Err(self.error(user.span(), reason));
            }
            (_, Some(password), Some(_)) => {
                let reason = "`password` and `password_file`: give one of them";
                return Err(self.error(password.span(), reason));
            }
            (None, Some(given), None) | (None, None, Some(given)) => {
                return Err(self.error(given.span(), "a password without a `user`"));
            }
        };
        Ok(Some((user.into_inner().0.into(), password)))
    }

    /// Finds the proxy that a rule names.
    pub(super) fn via(
        &self,
        via: &Spanned<Read<String>>,
        rule: &RuleTable,
        proxies: Option<&[ProxyEntry]>,
    ) -> Result<Option<Arc<Proxy>>, ConfigError> {
        let reason = if rule.is_about_identifiers() {
            "`via` is about connections: a rule with `sends` opens none"
        } else if rule.action() == Action::Block {
            "what is blocked goes no way: leave `via` out"
        } else {
            let Some(proxies) = proxies else {
                return Ok(None);
            };
            let name = &via.get_ref().0;
            if let Some(proxy) = proxies.iter().find(|proxy| *proxy.name == **name) {
                return Ok(Some(proxy.proxy()));
            }
            let known: Vec<&str> = proxies.iter().map(|proxy| &*proxy.name).collect();
            let known = match known.as_slice() {
                [] => "add a [[proxy]] of that name".into(),
                known => offer(name, known),
            };
            return Err(self.error(via.span(), format!("no proxy is named {name:?}: {known}")));
        };
        Err(self.error(via.span(), reason))
    }
}

impl Policy {
    /// Returns the proxy that the connection goes through; none where it goes by itself.
    ///
    /// The rule that decides about the connection says so, by what is known when it begins: the address and the names that
    /// DNS gave. An answer of the person's allows and does not lead another way.
    pub fn route(&self, facts: &Facts) -> Option<&Arc<Proxy>> {
        if !self.has_routes() {
            return None;
        }
        let given: Vec<_> = facts
            .names
            .iter()
            .filter(|(_, source)| *source == NameSource::Dns)
            .cloned()
            .collect();
        let query = Query {
            answers: false,
            ..Query::of(facts)
        };
        match self.judge(&query, &given, DefaultKey::Connection) {
            Cause::Rule(position) => self.rules.all()[position].via.as_ref(),
            Cause::List(_) | Cause::Default(_) => None,
        }
    }

    /// Judges a flow by what it calls its destination: one that goes by `via` and whose name has a rule with another
    /// proxy is blocked, for it has begun to go another way.
    pub fn misled(&self, facts: &Facts, via: Option<&Arc<Proxy>>) -> Option<Verdict> {
        if !self.has_routes() {
            return None;
        }
        let query = Query {
            answers: false,
            ..Query::of(facts)
        };
        let claims = facts
            .names
            .iter()
            .filter(|(_, source)| *source != NameSource::Dns);
        claims
            .filter_map(|(claim, _)| self.rules.by_name(&query, claim))
            .find(|&position| {
                let other = self.rules.all()[position].via.as_ref();
                other.is_some() && other != via
            })
            .map(|position| Verdict {
                action: Action::Block,
                ..self.verdict(Cause::Rule(position), false)
            })
    }

    /// Returns the name under which a proxy may look the destination up itself: the one that DNS gave and the app asked
    /// for. None where a rule on addresses could be about the flow, for another address could then be judged otherwise.
    pub fn proxied_name<'f>(&self, facts: &'f Facts) -> Option<&'f Arc<str>> {
        let by_address = self
            .rules
            .all()
            .iter()
            .any(|rule| Query::of(facts).could_meet_at_an_address(rule));
        let asked = facts
            .names
            .iter()
            .find(|(_, source)| *source == NameSource::Dns);
        asked.map(|(name, _)| name).filter(|_| !by_address)
    }

    /// Returns every proxy of the policy with how many rules lead through it, in the order of the file.
    pub fn proxies(&self) -> impl Iterator<Item = (&Arc<Proxy>, usize)> {
        self.proxies.iter().map(|proxy| {
            let through = |rule: &&RuleEntry| rule.via.as_ref() == Some(proxy);
            (proxy, self.rules.all().iter().filter(through).count())
        })
    }

    fn has_routes(&self) -> bool {
        self.routes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Proto, policy::Config};

    const PROXIES: &str = "[[proxy]]\nname = \"tor\"\ntype = \"socks5\"\naddress = \"127.0.0.1:9050\"\n\
        [[proxy]]\nname = \"office\"\ntype = \"http\"\naddress = \"[2001:db8::1]:3128\"\nuser = \"me\"\npassword = \"secret\"\n";

    fn policy(rules: &str) -> Policy {
        let config = Config::parse("p.toml", &format!("{PROXIES}{rules}")).unwrap();
        Policy::new(config, Vec::new()).unwrap()
    }

    fn facts(dst: &str, names: &[(&str, NameSource)]) -> Facts {
        Facts {
            app: vec!["curl".into()],
            dst: dst.parse().unwrap(),
            proto: Proto::Tcp,
            names: names
                .iter()
                .map(|(name, source)| ((*name).into(), *source))
                .collect(),
            wall: 0,
        }
    }

    fn way(policy: &Policy, dst: &str, names: &[(&str, NameSource)]) -> Option<String> {
        policy
            .route(&facts(dst, names))
            .map(|proxy| proxy.name.to_string())
    }

    const RULES: &str = "[[rule]]\nto = \"a.example\"\naction = \"allow\"\nvia = \"tor\"\n\
        [[rule]]\nto = \"b.example\"\naction = \"ask\"\nvia = \"office\"\n\
        [[rule]]\nto = \"c.example\"\naction = \"allow\"\n\
        [[rule]]\napp = \"mail\"\naction = \"allow\"\nvia = \"tor\"\n";

    #[test]
    fn the_rule_that_decides_says_which_way() {
        let policy = policy(RULES);
        let at = "203.0.113.9:443";
        let dns = |name| (name, NameSource::Dns);
        assert_eq!(way(&policy, at, &[]), None);
        assert_eq!(way(&policy, at, &[dns("x.a.example")]), Some("tor".into()));
        assert_eq!(way(&policy, at, &[dns("b.example")]), Some("office".into()));
        assert_eq!(way(&policy, at, &[dns("c.example")]), None);
        // What the flow itself says comes too late to lead it anywhere.
        assert_eq!(way(&policy, at, &[("a.example", NameSource::Sni)]), None);
        let mail = Facts {
            app: vec!["mail".into()],
            ..facts(at, &[dns("c.example")])
        };
        assert_eq!(policy.route(&mail).map(|proxy| &*proxy.name), Some("tor"));
    }

    #[test]
    fn a_claim_that_a_rule_sends_another_way_is_stopped() {
        let policy = policy(RULES);
        let at = "203.0.113.9:443";
        let claims = [("a.example", NameSource::Sni)];
        let verdict = policy.misled(&facts(at, &claims), None).unwrap();
        assert_eq!((verdict.action, &*verdict.rule), (Action::Block, "rule.1"));
        let names = [("a.example", NameSource::Dns), claims[0]];
        let facts = facts(at, &names);
        let tor = policy.route(&facts).cloned();
        assert_eq!(policy.misled(&facts, tor.as_ref()), None);
        let other = [names[0], ("c.example", NameSource::Sni)];
        assert_eq!(policy.misled(&self::facts(at, &other), tor.as_ref()), None);
    }

    #[test]
    fn an_answer_allows_and_leads_nowhere_else() {
        let config = Config::parse("p.toml", &format!("{PROXIES}{RULES}")).unwrap();
        let answers = "[[rule]]\napp = \"curl\"\nto = \"=b.example\"\naction = \"allow\"\n";
        let config = config.with_answers("a.toml", answers).unwrap();
        let policy = Policy::new(config, Vec::new()).unwrap();
        let facts = facts("203.0.113.9:443", &[("b.example", NameSource::Dns)]);
        assert_eq!(policy.connection(&facts).action, Action::Allow);
        assert_eq!(
            policy.route(&facts).map(|proxy| &*proxy.name),
            Some("office")
        );
    }

    #[test]
    fn the_proxy_resolves_only_where_no_address_matters() {
        let names = [
            ("a.example", NameSource::Dns),
            ("cdn.example", NameSource::Dns),
        ];
        let facts = facts("203.0.113.9:443", &names);
        assert_eq!(
            policy(RULES).proxied_name(&facts).map(|name| &**name),
            Some("a.example")
        );
        for rule in [
            "to = \"10.0.0.0/8\"\naction = \"block\"\n",
            "to = \"lan\"\nsends = [\"imei\"]\naction = \"allow\"\n",
        ] {
            let policy = policy(&format!("{RULES}[[rule]]\n{rule}"));
            assert_eq!(policy.proxied_name(&facts), None, "{rule}");
        }
        let other = policy(&format!(
            "{RULES}[[rule]]\napp = \"mail\"\nto = \"lan\"\naction = \"block\"\n"
        ));
        assert!(other.proxied_name(&facts).is_some());
    }

    #[test]
    fn mistakes_are_told_with_line_and_column() {
        let table = [
            (
                "[[rule]]\naction = \"allow\"\nvia = \"tro\"\n",
                "p.toml:13:7: no proxy is named \"tro\": did you mean \"tor\"?",
            ),
            (
                "[[rule]]\naction = \"block\"\nvia = \"tor\"\n",
                "p.toml:13:7: what is blocked goes no way: leave `via` out",
            ),
            (
                "[[rule]]\naction = \"allow\"\nsends = [\"imei\"]\nvia = \"tor\"\n",
                "p.toml:14:7: `via` is about connections: a rule with `sends` opens none",
            ),
            (
                "[[proxy]]\nname = \"tor\"\ntype = \"http\"\naddress = \"192.0.2.1:1\"\n",
                "p.toml:12:8: a second proxy named \"tor\"",
            ),
            (
                "[[proxy]]\nname = \"x\"\ntype = \"socks4\"\naddress = \"192.0.2.1:1\"\n",
                "p.toml:13:8: unknown type of proxy \"socks4\"",
            ),
            (
                "[[proxy]]\nname = \"x\"\ntype = \"http\"\naddress = \"proxy.example:1\"\n",
                "p.toml:14:11: bad address",
            ),
            (
                "[[proxy]]\nname = \"x\"\ntype = \"http\"\naddress = \"192.0.2.1:1\"\nuser = \"u\"\n",
                "p.toml:15:8: a user without a password",
            ),
            (
                "[[proxy]]\nname = \"x\"\ntype = \"http\"\naddress = \"192.0.2.1:1\"\npassword = \"u\"\n",
                "p.toml:15:12: a password without a `user`",
            ),
        ];
        for (rules, expected) in table {
            let text = format!("{PROXIES}{rules}");
            let error = Config::parse("p.toml", &text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}\n{expected}");
            let faults = Config::faults("p.toml", &text);
            assert_eq!(faults[0].to_string(), error);
        }
        let error = Config::default_policy()
            .with_answers("a.toml", "[[rule]]\naction = \"allow\"\nvia = \"tor\"\n")
            .unwrap_err();
        assert_eq!((error.line, error.column), (Some(3), Some(7)));
    }

    #[test]
    fn a_password_from_a_file_is_the_proxys_once_it_is_read() {
        let text = "[[proxy]]\nname = \"x\"\ntype = \"http\"\naddress = \"192.0.2.1:1\"\nuser = \"u\"\npassword_file = \"secret\"\n\
            [[rule]]\naction = \"allow\"\nvia = \"x\"\n";
        let config = Config::parse("p.toml", text).unwrap();
        let paths: Vec<_> = config.password_files().map(|file| &*file.path).collect();
        assert_eq!(paths, ["secret"]);
        let unread = Policy::new(config.clone(), Vec::new()).err().unwrap();
        assert_eq!((unread.line, unread.column), (Some(6), Some(17)));
        let empty = config.clone().with_passwords(&["\n".into()]).unwrap_err();
        assert_eq!(empty.line, Some(6));
        let config = config.with_passwords(&["hunter2\n".into()]).unwrap();
        let policy = Policy::new(config, Vec::new()).unwrap();
        let proxy = policy.route(&facts("203.0.113.9:80", &[])).unwrap();
        assert_eq!(proxy.login, Login::new("u", "hunter2").ok());
    }
}

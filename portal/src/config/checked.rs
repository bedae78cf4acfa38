//! A configuration as the portal runs by it: checked, secrets read.

use super::{
    Config, ConfigError, GatewaysConfig, ScheduleConfig, TracingConfig, bounds,
    error::Warning,
    place::{self, Places},
    rest::{Gateways, Rest},
};
use crate::{
    breaker::Limits,
    jwt::{self, Secret},
    mode::Modes,
    policy::{Policy, Rules},
    soft_blocks::{SHORTEST, SoftBlockRule},
};
use baton_protocol::{GatewayId, NOBODY};
use baton_schedule::FollowerConfig;
use http::{Uri, uri::Authority};
use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

/// A checked configuration, secrets read.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) engine: SocketAddr,
    pub(crate) engine_secret: Secret,
    pub(crate) admin: SocketAddr,
    pub(crate) max_body: usize,
    pub(crate) fallback: Endpoint,
    pub(crate) fallback_timeout: Duration,
    pub(crate) validator: Option<CheckedValidator>,
    pub(crate) gateways: GatewaySettings,
    pub(crate) live: Live,
    pub(crate) debug: Option<SocketAddr>,
    pub(crate) max_head_age: Option<Duration>,
    pub(crate) collector: Option<Uri>,
    pub(crate) schedule: ScheduleSource,
    pub(crate) secrets: Secrets,
    /// What had better be otherwise.
    pub(crate) warnings: Vec<Warning>,
}

/// All secrets, by the keys that name them, for telling a changed one.
pub(crate) type Secrets = BTreeMap<String, Secret>;

/// The second validating execution client.
#[derive(Debug)]
pub(crate) struct CheckedValidator {
    pub(crate) endpoint: Endpoint,
    pub(crate) timeout: Duration,
    pub(crate) queue: usize,
}

/// Where the schedule comes from.
#[derive(Debug)]
pub(crate) enum ScheduleSource {
    Follower(FollowerConfig),
    Fixed(GatewayId),
}

/// What can change while the portal runs.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) payload_budget: Duration,
    pub(crate) modes: Modes,
    pub(crate) limits: Limits,
    pub(crate) rules: Rules,
    pub(crate) policies: Arc<Vec<Box<dyn Policy>>>,
    /// How long reads may wait for the scheduled gateway; `None`: reads and transactions are the fallback's alone.
    pub(crate) multiplex: Option<Duration>,
    pub(crate) warm_up_blocks: u64,
    pub(crate) soft_blocks: Option<SoftBlockRule>,
    /// Where to read gateways' feeds, for those for which that isn't as the registry has it.
    pub(crate) feeds: BTreeMap<GatewayId, Uri>,
}

/// Where and with which secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) uri: Uri,
    pub(crate) secret: Secret,
}

/// Where single gateways are instead of where the registry says, and their own secrets.
pub(super) type Overrides = BTreeMap<GatewayId, (Option<Uri>, Option<Secret>)>;

/// How gateways are reached.
#[derive(Clone, Debug)]
pub(crate) struct GatewaySettings {
    pub(crate) secret: Secret,
    pub(crate) overrides: Overrides,
    pub(crate) timeout: Duration,
    pub(crate) queue: usize,
    /// Where no gateway may be.
    pub(crate) places: Places,
}

impl GatewaySettings {
    /// Where to reach a gateway whose registry entry names a URL; `None` if nowhere, or where it can't be.
    pub(crate) fn endpoint(&self, id: GatewayId, registered: &str) -> Option<Endpoint> {
        let (uri, secret) = self.overrides.get(&id).cloned().unwrap_or_default();
        let uri = uri.or_else(|| http_uri(registered).filter(|uri| self.places.taken_by(uri).is_none()))?;
        Some(Endpoint { uri, secret: secret.unwrap_or_else(|| self.secret.clone()) })
    }

    /// What is at a registered URL already, by its key in the configuration, if that is why it isn't used.
    pub(crate) fn taken_by(&self, id: GatewayId, registered: &str) -> Option<&'static str> {
        if self.overrides.get(&id).is_some_and(|(uri, _)| uri.is_some()) {
            return None;
        }
        self.places.taken_by(&http_uri(registered)?)
    }
}

impl Config {
    /// Checks everything that can be checked without a network, and reads the secrets. Gives what can be used and had better be otherwise.
    pub fn check(&self) -> Result<Vec<Warning>, ConfigError> {
        self.checked().map(|checked| checked.warnings)
    }

    pub(crate) fn checked(&self) -> Result<Checked, ConfigError> {
        self.checked_beside(None)
    }

    /// The same where `[gateways]` is taken over by a portal that runs, the rest of which stays as it is.
    pub(crate) fn checked_beside(&self, running: Option<&Rest<'_>>) -> Result<Checked, ConfigError> {
        bounds::check(self)?;
        if self.gateways.soft_blocks.as_ref().is_some_and(|rule| rule.within_ms < SHORTEST) {
            return Err(ConfigError::NoTimeToSign);
        }
        let schedule = self.schedule.source()?;
        let engine_secret = secret("engine.jwt_secret_file", &self.engine.jwt_secret_file)?;
        let fallback = Endpoint {
            uri: uri("fallback.url", &self.fallback.url)?,
            secret: secret("fallback.jwt_secret_file", &self.fallback.jwt_secret_file)?,
        };
        let validator = self.validator.as_ref().map(|validator| {
            Ok::<_, ConfigError>(CheckedValidator {
                endpoint: Endpoint {
                    uri: uri("validator.url", &validator.url)?,
                    secret: secret("validator.jwt_secret_file", &validator.jwt_secret_file)?,
                },
                timeout: Duration::from_millis(validator.timeout_ms),
                queue: validator.queue,
            })
        });
        let validator = validator.transpose()?;
        let mut places = self.places(&fallback, validator.as_ref())?;
        let gateways_secret = secret("gateways.jwt_secret_file", &self.gateways.jwt_secret_file)?;
        let overrides = self.gateways.checked_overrides()?;
        let feeds = self.gateways.feeds()?;
        let own = [
            ("engine.jwt_secret_file", Some(&engine_secret)),
            ("fallback.jwt_secret_file", Some(&fallback.secret)),
            ("validator.jwt_secret_file", validator.as_ref().map(|validator| &validator.endpoint.secret)),
        ];
        let own = own.into_iter().filter_map(|(key, secret)| Some((key.to_owned(), secret?.clone())));
        let single = overrides.iter().filter_map(|(id, (_, secret))| Some((secret_of(*id), secret.clone()?)));
        let theirs = std::iter::once(("gateways.jwt_secret_file".to_owned(), gateways_secret.clone())).chain(single);
        let (mut secrets, theirs): (Secrets, Secrets) = (own.collect(), theirs.collect());
        let gateways = Gateways { written: &self.gateways, overrides: &overrides, feeds: &feeds, secrets: &theirs };
        let fixed = match schedule {
            ScheduleSource::Fixed(id) => Some(id),
            ScheduleSource::Follower(_) => None,
        };
        let mut shared = Rest { fixed, secrets: &secrets, places: &places }.fits(&gateways)?;
        if let Some(running) = running {
            let more = running.fits(&gateways).map_err(|error| ConfigError::BesideRunning(Box::new(error)))?;
            shared.extend(more);
            shared.sort_unstable();
            shared.dedup();
            places.extend(running.places);
        }
        let open = self.secret_files().filter_map(|(key, path)| {
            Some(Warning::OpenFile { key, path: path.to_owned(), mode: jwt::open_to_others(path)? })
        });
        let warnings = shared.into_iter().map(Warning::SharedSecret).chain(open).collect();
        secrets.extend(theirs);
        Ok(Checked {
            engine: self.engine.listen,
            engine_secret,
            admin: self.admin.listen,
            max_body: self.engine.max_body_mb << 20,
            fallback,
            fallback_timeout: Duration::from_millis(self.fallback.timeout_ms),
            gateways: GatewaySettings {
                secret: gateways_secret,
                overrides,
                timeout: Duration::from_millis(self.gateways.timeout_ms),
                queue: self.gateways.queue,
                places,
            },
            validator,
            live: self.gateways.live(feeds),
            debug: self.admin.debug_listen,
            max_head_age: self.fallback.max_head_age_s.filter(|age| *age != 0).map(Duration::from_secs),
            collector: self.tracing.collector()?,
            schedule,
            secrets,
            warnings,
        })
    }

    /// What is the operator's own, as far as addresses are known yet. No two of them are at the same place: an execution client at the engine port, for
    /// one, would be the portal itself.
    fn places(&self, fallback: &Endpoint, validator: Option<&CheckedValidator>) -> Result<Places, ConfigError> {
        let mut places = Places::default();
        let ports = [
            ("engine.listen", Some(self.engine.listen)),
            ("admin.listen", Some(self.admin.listen)),
            ("admin.debug_listen", self.admin.debug_listen),
        ];
        let ports: Vec<_> = ports.into_iter().filter_map(|(key, address)| Some((key, address?))).collect();
        for (index, (key, address)) in ports.iter().enumerate() {
            let other = ports[..index].iter().find(|(_, other)| bounds::collide(*address, *other));
            if let Some((other, _)) = other {
                return Err(ConfigError::SameAddress { field: key, other, address: *address });
            }
            places.add_port(key, *address);
        }
        let mut clients = vec![("fallback.url", &self.fallback.url, &fallback.uri)];
        if let Some((read, written)) = validator.zip(self.validator.as_ref()) {
            clients.push(("validator.url", &written.url, &read.endpoint.uri));
        }
        for (index, (key, written, uri)) in clients.iter().enumerate() {
            let port = ports.iter().find(|(_, address)| place::leads_to(uri, *address)).map(|(key, _)| *key);
            let client = clients[..index].iter().find(|(.., other)| place::same(uri, other)).map(|(key, ..)| *key);
            if let Some(taken_by) = port.or(client) {
                return Err(ConfigError::Taken { field: (*key).to_owned(), value: written.as_str().into(), taken_by });
            }
            places.add_client(key, uri);
        }
        Ok(places)
    }

    /// Where all secrets are, by the keys that name them.
    fn secret_files(&self) -> impl Iterator<Item = (String, &Path)> {
        let common = [
            ("engine.jwt_secret_file", Some(&self.engine.jwt_secret_file)),
            ("fallback.jwt_secret_file", Some(&self.fallback.jwt_secret_file)),
            ("validator.jwt_secret_file", self.validator.as_ref().map(|validator| &validator.jwt_secret_file)),
            ("gateways.jwt_secret_file", Some(&self.gateways.jwt_secret_file)),
        ];
        let common = common.into_iter().filter_map(|(key, path)| Some((key.to_owned(), path?.as_path())));
        let overrides = self.gateways.overrides.iter();
        common.chain(overrides.filter_map(|entry| Some((secret_of(entry.id), entry.jwt_secret_file.as_deref()?))))
    }
}

/// The key of one gateway's secret; entries have no order that means anything.
fn secret_of(id: GatewayId) -> String {
    format!("gateways.overrides(id {id}).jwt_secret_file")
}

impl TracingConfig {
    /// Where traces go (OTLP/HTTP: below the base URL); a query stays behind the path.
    fn collector(&self) -> Result<Option<Uri>, ConfigError> {
        const FIELD: &str = "tracing.otlp_url";
        let Some(url) = &self.otlp_url else { return Ok(None) };
        // Read first: it has no fragment then, in which the path would be lost.
        let base = uri(FIELD, url)?;
        let authority = base.authority().map_or("", Authority::as_str);
        let path = base.path().trim_end_matches('/');
        let query = base.query().map(|query| format!("?{query}")).unwrap_or_default();
        uri(FIELD, &format!("http://{authority}{path}/v1/traces{query}")).map(Some)
    }
}

impl GatewaysConfig {
    fn checked_overrides(&self) -> Result<Overrides, ConfigError> {
        let mut overrides = BTreeMap::new();
        for (index, entry) in self.overrides.iter().enumerate() {
            let field = |name: &str| format!("gateways.overrides[{index}].{name}");
            let uri = entry.url.as_deref().map(|url| uri(&field("url"), url)).transpose()?;
            let file = entry.jwt_secret_file.as_deref();
            let secret = file.map(|file| secret(&field("jwt_secret_file"), file)).transpose()?;
            if entry.id == NOBODY || overrides.insert(entry.id, (uri, secret)).is_some() {
                return Err(ConfigError::Override(entry.id));
            }
        }
        Ok(overrides)
    }

    /// The modes that are written down.
    pub(crate) fn modes(&self) -> Modes {
        let single = self.overrides.iter().map(|entry| (entry.id, entry.mode)).collect();
        Modes { global: self.mode, single }
    }

    fn feeds(&self) -> Result<BTreeMap<GatewayId, Uri>, ConfigError> {
        let mut feeds = BTreeMap::new();
        for (index, entry) in self.overrides.iter().enumerate() {
            let Some(feed) = &entry.feed else { continue };
            let field = format!("gateways.overrides[{index}].feed");
            let uri = feed_uri(feed).ok_or(ConfigError::Feed { field, value: feed.as_str().into() })?;
            feeds.insert(entry.id, uri);
        }
        Ok(feeds)
    }

    fn live(&self, feeds: BTreeMap<GatewayId, Uri>) -> Live {
        Live {
            payload_budget: Duration::from_millis(self.payload_budget_ms),
            modes: self.modes(),
            limits: self.breaker,
            rules: self.policy,
            policies: Arc::new(self.policy.policies()),
            multiplex: self.multiplex.then(|| Duration::from_millis(self.read_timeout_ms)),
            warm_up_blocks: self.warm_up_blocks,
            soft_blocks: self.soft_blocks.clone(),
            feeds,
        }
    }
}

impl ScheduleConfig {
    fn source(&self) -> Result<ScheduleSource, ConfigError> {
        if let Some(id) = self.fixed_gateway {
            let others = [
                ("schedule.registry", self.registry.is_some()),
                ("schedule.l1_urls", !self.l1_urls.is_empty()),
                ("schedule.clock", self.clock.is_some()),
                ("schedule.deployment_block", self.deployment_block != 0),
                ("schedule.log_span", self.log_span.is_some()),
                ("schedule.poll_interval_ms", self.poll_interval_ms.is_some()),
            ];
            return match others.into_iter().find(|(_, is_set)| *is_set) {
                Some((key, _)) => Err(ConfigError::TwoSchedules(key)),
                None => Ok(ScheduleSource::Fixed(id)),
            };
        }
        let registry = self.registry.ok_or(ConfigError::Missing("schedule.registry"))?;
        let clock = self.clock.ok_or(ConfigError::Missing("schedule.clock"))?;
        let mut follower = FollowerConfig::new(self.l1_urls.clone(), registry, clock);
        follower.deployment_block = self.deployment_block;
        if let Some(blocks) = self.log_span {
            follower.log_span = blocks;
        }
        if let Some(interval) = self.poll_interval_ms {
            follower.poll_interval = Duration::from_millis(interval);
        }
        follower.validate()?;
        if follower.poll_interval > follower.max_head_age {
            return Err(ConfigError::TooMuch {
                field: "schedule.poll_interval_ms",
                value: self.poll_interval_ms.unwrap_or_default(),
                most: u64::try_from(follower.max_head_age.as_millis()).unwrap_or(u64::MAX),
                why: "an L1 head that is eight slots old counts as stuck",
            });
        }
        Ok(ScheduleSource::Follower(follower))
    }
}

fn secret(field: &str, path: &Path) -> Result<Secret, ConfigError> {
    Secret::read(path).map_err(|source| ConfigError::Secret { field: field.to_owned(), source })
}

fn uri(field: &str, value: &str) -> Result<Uri, ConfigError> {
    http_uri(value).ok_or_else(|| ConfigError::Url { field: field.to_owned(), value: value.into() })
}

fn http_uri(value: &str) -> Option<Uri> {
    let uri: Uri = value.trim().parse().ok()?;
    let authority = uri.authority()?.as_str();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    // A port may be left away; one that is there must be one, or another than was meant would be dialled.
    let is_port = uri.host() == Some(address) || uri.port_u16().is_some_and(|port| port != 0);
    (uri.scheme_str() == Some("http") && is_port).then_some(uri)
}

/// Where a feed of soft blocks answers questions: the port on which it serves websockets. `None` if it can't be reached from here.
pub(crate) fn feed_uri(value: &str) -> Option<Uri> {
    http_uri(&value.trim().replacen("ws://", "http://", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_below_the_collectors_url() {
        let collector = |url: &str| {
            let tracing = TracingConfig { otlp_url: Some(url.to_owned()) };
            tracing.collector().expect("a collector").expect("set").to_string()
        };
        for (url, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            (" http://127.0.0.1:4318/ ", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/base/?key=a/b", "http://127.0.0.1:4318/base/v1/traces?key=a/b"),
            ("http://127.0.0.1:4318?key", "http://127.0.0.1:4318/v1/traces?key"),
            ("http://127.0.0.1:4318/base#part", "http://127.0.0.1:4318/base/v1/traces"),
            ("http://127.0.0.1:4318#part?key", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318?key#part", "http://127.0.0.1:4318/v1/traces?key"),
        ] {
            assert_eq!(collector(url), expected);
        }
    }

    #[test]
    fn an_override_comes_before_the_registry() {
        let secret = Secret::new([1; 32]);
        let uri: Uri = "http://override:1".parse().expect("a URI");
        let overrides = BTreeMap::from([(1, (Some(uri.clone()), None))]);
        let mut places = Places::default();
        places.add_port("engine.listen", ([127, 0, 0, 1], 8551).into());
        let settings = GatewaySettings { secret, overrides, timeout: Duration::from_secs(1), queue: 1, places };
        let uri_of = |id, registered| settings.endpoint(id, registered).map(|endpoint| endpoint.uri);
        assert_eq!(uri_of(1, "http://registered:1"), Some(uri));
        assert_eq!(uri_of(2, "http://registered:1"), Some(Uri::from_static("http://registered:1")));
        for unusable in ["", "https://registered", "ftp://x", "/path", "http://localhost:8551"] {
            assert_eq!(uri_of(2, unusable), None);
        }
        assert_eq!(settings.taken_by(2, "http://localhost:8551"), Some("engine.listen"));
        assert_eq!(settings.taken_by(1, "http://localhost:8551"), None);
    }
}

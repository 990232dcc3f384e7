//! What the environment and the configuration file say.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::networks::Network;

/// Path of the configuration file.
pub const CONFIG_VARIABLE: &str = "WSDIRECT_CONFIG";
/// The one provider to use: a name from the configuration, `shm`, `tcp` for none, or a library's path.
pub const PROVIDER_VARIABLE: &str = "WSDIRECT_PROVIDER";
/// How connections are made: `tcp-first` or `san-first`.
pub const CONNECT_VARIABLE: &str = "WSDIRECT_CONNECT";
/// Whether rings may lie in memory that both ends map: `yes` or `no`.
pub const MAP_VARIABLE: &str = "WSDIRECT_MAP";
/// File that gets one line per SPI call and up-call.
pub const TRACE_VARIABLE: &str = "WSDIRECT_TRACE";

/// One entry of the `providers` list: the "TCP on SAN" list of SW-012.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderEntry {
    /// Name, shown as the path of a connection.
    pub name: String,
    /// Shared library that exports WSPStartupEx; none for a built-in provider of that name.
    pub library: Option<PathBuf>,
}

/// Who makes a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connect {
    /// TCP; an established connection gets its companion in the background.
    #[default]
    TcpFirst,
    /// The SAN, and TCP where it cannot (SW-060..105).
    SanFirst,
}

/// The configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// In order of preference (SW-034).
    #[serde(default = "built_in")]
    pub providers: Vec<ProviderEntry>,
    /// Who makes a connection.
    #[serde(default)]
    pub connect: Connect,
    /// Whether rings may lie in memory that both ends map. A connection where they do cannot be given to another process.
    #[serde(default = "yes")]
    pub map: bool,
    /// Networks whose hosts are to be reached by providers that reach other hosts, besides those of the providers' own NICs.
    #[serde(default)]
    pub networks: Vec<Network>,
    /// How long a thread looks for bytes that are expected soon before it sleeps, at most.
    #[serde(default, rename = "spin_us")]
    pub spin: Spin,
}

/// Microseconds of spinning: at most 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Spin(u64);

impl Spin {
    pub(crate) fn nanoseconds(self) -> u64 {
        self.0 * 1000
    }
}

impl Default for Spin {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<u64> for Spin {
    type Error = String;

    fn try_from(micros: u64) -> Result<Self, String> {
        let fits = (micros <= 10_000).then_some(Self(micros));
        fits.ok_or_else(|| {
            format!("`spin_us` is at most 10000, not {micros}: it is for waits that are worth a processor")
        })
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}; check the path given with --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: wsd_os::Errno,
    },
    /// The file is not what it should be.
    #[error("the configuration {path} is not valid: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// No provider of that name.
    #[error(
        "unknown provider `{0}`: name one of the configuration's `providers`, `shm`, `tcp`, or a library's path"
    )]
    UnknownProvider(String),
    /// No way to connect of that name.
    #[error("unknown way to connect `{0}`: give `tcp-first` or `san-first`")]
    UnknownConnect(String),
    /// Neither yes nor no.
    #[error("whether memory is mapped is not `{0}`: give `yes` or `no`")]
    UnknownMap(String),
}

fn yes() -> bool {
    true
}

fn built_in() -> Vec<ProviderEntry> {
    vec![ProviderEntry { name: "shm".to_owned(), library: None }]
}

impl Default for Config {
    fn default() -> Self {
        Self {
            providers: built_in(),
            connect: Connect::default(),
            map: true,
            networks: Vec::new(),
            spin: Spin::default(),
        }
    }
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// The file cannot be read, or is not valid TOML of the known keys.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = wsd_os::file::read_to_string(path, 1 << 20)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|message| ConfigError::Parse { path: path.to_owned(), message })
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// From the environment variables: the file, then the choice of one provider.
    ///
    /// # Errors
    /// As [`Config::read`]; an unknown provider.
    pub fn from_environment(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut config = match get(CONFIG_VARIABLE) {
            Some(path) if !path.is_empty() => Self::read(Path::new(&path))?,
            _ => Self::default(),
        };
        match get(CONNECT_VARIABLE).as_deref() {
            None | Some("") => {}
            Some("tcp-first") => config.connect = Connect::TcpFirst,
            Some("san-first") => config.connect = Connect::SanFirst,
            Some(other) => return Err(ConfigError::UnknownConnect(other.to_owned())),
        }
        match get(MAP_VARIABLE).as_deref() {
            None | Some("") => {}
            Some("yes") => config.map = true,
            Some("no") => config.map = false,
            Some(other) => return Err(ConfigError::UnknownMap(other.to_owned())),
        }
        match get(PROVIDER_VARIABLE) {
            Some(name) if !name.is_empty() => config.only(&name),
            _ => Ok(config),
        }
    }

    /// Keeps one provider.
    ///
    /// # Errors
    /// Nobody has that name.
    pub fn only(self, name: &str) -> Result<Self, ConfigError> {
        if name == "tcp" {
            return Ok(Self { providers: Vec::new(), ..self });
        }
        if name.contains('/') {
            let path = PathBuf::from(name);
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let name = stem.strip_prefix("lib").unwrap_or(&stem).to_owned();
            return Ok(Self { providers: vec![ProviderEntry { name, library: Some(path) }], ..self });
        }
        let chosen = self.providers.iter().find(|entry| entry.name == name).cloned();
        let chosen = chosen.or_else(|| built_in().into_iter().find(|entry| entry.name == name));
        match chosen {
            Some(entry) => Ok(Self { providers: vec![entry], ..self }),
            None => Err(ConfigError::UnknownProvider(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_file_there_is_the_built_in_provider() {
        let config = Config::from_environment(|_| None).expect("nothing to go wrong");
        assert_eq!(config.providers, built_in());
    }

    #[test]
    fn a_library_is_named_by_its_path() {
        let config = Config::default().only("/opt/lib/libwsd_shm.so").expect("a path");
        assert_eq!(config.providers[0].name, "wsd_shm");
        assert_eq!(config.providers[0].library.as_deref(), Some(Path::new("/opt/lib/libwsd_shm.so")));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(Config::parse("providers = 3").is_err());
        assert!(Config::parse("unknown = 3").is_err());
        let error = Config::default().only("nonsense").expect_err("no such provider");
        assert!(error.to_string().contains("nonsense"));
        let missing = Config::read(Path::new("/nonexistent/wsdirect.toml")).expect_err("no such file");
        assert!(missing.to_string().contains("/nonexistent/wsdirect.toml"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1000), failure_persistence: None, ..ProptestConfig::default() })]

        /// Any file is a list of providers, or a mistake with words for it.
        #[test]
        fn any_text_is_a_configuration_or_a_mistake(
            parts in prop::collection::vec(prop_oneof![
                Just("providers".to_owned()), Just(" = [".to_owned()), Just("[[providers]]\n".to_owned()),
                Just("{ name = \"a\", library = \"/x.so\" }".to_owned()), Just("name = \"shm\"\n".to_owned()),
                Just("]".to_owned()), Just(", ".to_owned()), Just("\n".to_owned()), Just("[".repeat(200)), ".{0,6}",
            ], 0..12)
        ) {
            match Config::parse(&parts.concat()) {
                Ok(config) => {
                    let plain = |name: &str| name != "tcp" && !name.contains('/');
                    for entry in config.providers.iter().filter(|entry| plain(&entry.name)) {
                        let only = config.clone().only(&entry.name).expect("it is in the list");
                        prop_assert_eq!(&only.providers[0].name, &entry.name);
                    }
                }
                Err(message) => prop_assert!(!message.is_empty()),
            }
        }
    }

    #[test]
    fn the_environment_decides_who_connects() {
        let with = |value: &'static str| {
            Config::from_environment(move |name| (name == CONNECT_VARIABLE).then(|| value.to_owned()))
        };
        assert_eq!(with("san-first").expect("known").connect, Connect::SanFirst);
        assert_eq!(with("").expect("as the file says").connect, Connect::TcpFirst);
        assert!(with("tcp").expect_err("unknown").to_string().contains("san-first"));
        let map = |value: &'static str| {
            Config::from_environment(move |name| (name == MAP_VARIABLE).then(|| value.to_owned()))
        };
        assert!(map("").expect("as the file says").map && !map("no").expect("known").map);
        assert!(map("perhaps").expect_err("unknown").to_string().contains("perhaps"));
        let file = Config::parse("connect = \"san-first\"").expect("valid");
        assert_eq!(file.connect, Connect::SanFirst);
        assert_eq!(file.only("tcp").expect("no provider").connect, Connect::SanFirst);
        assert!(Config::parse("connect = \"first\"").is_err());
    }

    #[test]
    fn networks_are_named() {
        let config = Config::parse("networks = [\"10.9.0.0/24\", \"fd00:9::/64\"]").expect("valid");
        let peer = "10.9.0.7".parse().expect("an address");
        assert!(config.networks[0].contains(peer) && !config.networks[1].contains(peer));
        assert_eq!(config.clone().only("shm").expect("built in").networks, config.networks);
        let error = Config::parse("networks = [\"10.9.0.0\"]").expect_err("no prefix");
        assert!(error.contains("`10.9.0.0` is not a network"), "{error}");
    }

    #[test]
    fn spinning_is_bounded() {
        let spin = |text: &str| Config::parse(text).map(|config| config.spin.nanoseconds());
        assert_eq!(
            (spin(""), spin("spin_us = 0"), spin("spin_us = 10000")),
            (Ok(50_000), Ok(0), Ok(10_000_000))
        );
        assert!(spin("spin_us = 10001").expect_err("too long").contains("at most 10000"));
        assert!(spin("spin_us = -1").is_err());
    }

    #[test]
    fn the_list_keeps_its_order() {
        let config = Config::parse("providers = [{ name = \"a\", library = \"/x.so\" }, { name = \"shm\" }]");
        let names: Vec<_> = config.expect("valid").providers.into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["a", "shm"]);
    }
}

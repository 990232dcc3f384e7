//! What the environment and the configuration file say.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Path of the configuration file.
pub const CONFIG_VARIABLE: &str = "WSDIRECT_CONFIG";
/// The one provider to use: a name from the configuration, `shm`, `tcp` for none, or a library's path.
pub const PROVIDER_VARIABLE: &str = "WSDIRECT_PROVIDER";
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

/// The configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// In order of preference (SW-034).
    #[serde(default = "built_in")]
    pub providers: Vec<ProviderEntry>,
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
        source: rustix::io::Errno,
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
}

fn built_in() -> Vec<ProviderEntry> {
    vec![ProviderEntry { name: "shm".to_owned(), library: None }]
}

impl Default for Config {
    fn default() -> Self {
        Self { providers: built_in() }
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
        let config = match get(CONFIG_VARIABLE) {
            Some(path) if !path.is_empty() => Self::read(Path::new(&path))?,
            _ => Self::default(),
        };
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
            return Ok(Self { providers: Vec::new() });
        }
        if name.contains('/') {
            let path = PathBuf::from(name);
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let name = stem.strip_prefix("lib").unwrap_or(&stem).to_owned();
            return Ok(Self { providers: vec![ProviderEntry { name, library: Some(path) }] });
        }
        let chosen = self.providers.into_iter().find(|entry| entry.name == name);
        let chosen = chosen.or_else(|| built_in().into_iter().find(|entry| entry.name == name));
        match chosen {
            Some(entry) => Ok(Self { providers: vec![entry] }),
            None => Err(ConfigError::UnknownProvider(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn the_list_keeps_its_order() {
        let config = Config::parse("providers = [{ name = \"a\", library = \"/x.so\" }, { name = \"shm\" }]");
        let names: Vec<_> = config.expect("valid").providers.into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["a", "shm"]);
    }
}

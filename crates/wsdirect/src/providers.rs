//! `wsdirect providers`: which providers there are.

use std::io;

use serde::Serialize;
use wsd_switch::config::{Config, ConfigError};
use wsd_switch::registry::{self, BuiltIn};

use crate::{output, table};

/// A provider, as the registry knows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Provider {
    pub(crate) name: String,
    /// Its library; none if built in.
    pub(crate) library: Option<String>,
    /// What it says of itself.
    pub(crate) description: String,
    /// The addresses that it serves.
    pub(crate) addresses: Vec<String>,
    /// Extension functions that it has.
    pub(crate) extensions: Vec<&'static str>,
    /// Why it cannot be used.
    pub(crate) problem: Option<String>,
}

pub(crate) fn run(json: bool) -> Result<(), Error> {
    let providers = describe()?;
    let text = if json { serde_json::to_string_pretty(&providers)? } else { render(&providers) };
    Ok(output::print(&text)?)
}

fn describe() -> Result<Vec<Provider>, Error> {
    let config = Config::from_environment(|name| std::env::var(name).ok())?;
    let built_in = [BuiltIn { name: "shm", entry: wsd_shm::SAN_PROVIDER_ENTRY }];
    let described = registry::describe(&config, &built_in);
    Ok(described.into_iter().map(Provider::from).collect())
}

impl From<registry::Description> for Provider {
    fn from(seen: registry::Description) -> Self {
        Self {
            name: seen.name,
            library: seen.library,
            description: seen.description,
            addresses: seen.addresses,
            extensions: seen.extensions,
            problem: seen.problem,
        }
    }
}

fn render(providers: &[Provider]) -> String {
    let mut rows = table::new(&["PROVIDER", "LIBRARY", "SERVES", "STATE"]);
    for provider in providers {
        rows.add_row([
            provider.name.as_str(),
            provider.library.as_deref().unwrap_or("built in"),
            &provider.addresses.join(" "),
            provider.problem.as_deref().unwrap_or("usable"),
        ]);
    }
    rows.to_string()
}

/// Why the providers are not shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot print the providers: {0}")]
    Output(#[from] io::Error),
    #[error("cannot write the providers as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_built_in_and_what_is_broken() {
        let text = render(&[
            Provider {
                name: "shm".into(),
                library: None,
                description: String::new(),
                extensions: Vec::new(),
                addresses: vec!["127.0.0.0/8".into()],
                problem: None,
            },
            Provider {
                name: "other".into(),
                library: Some("/x.so".into()),
                description: String::new(),
                extensions: Vec::new(),
                addresses: Vec::new(),
                problem: Some("cannot be loaded".into()),
            },
        ]);
        for part in ["built in", "127.0.0.0/8", "usable", "/x.so", "cannot be loaded"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}

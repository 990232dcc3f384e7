//! What a guest's shell runs: the bed, then the command.

use super::Bed;
use super::guest::UP;
use crate::command::Failure;
use std::path::{Path, PathBuf};

/// A file that lives as long as this.
pub(super) struct Script(PathBuf);

impl Script {
    /// In that folder, for the host of that number.
    pub(super) fn new(folder: &Path, bed: Bed, host: u8, words: &[String]) -> Result<Self, Failure> {
        let here =
            std::env::current_dir().map_err(|error| Failure::new(format!("no current folder: {error}")))?;
        let path = folder.join(format!("command.{}.{host}.sh", std::process::id()));
        std::fs::write(&path, text(&here, bed, host, words))
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Nothing is lost if it stays.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn text(here: &Path, bed: Bed, host: u8, words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!(
        "echo {UP}\nhost={host}\n{}{}cd {} || exit 125\nexport WSD_HOST=\"$host\" WSD_ADDRESS=\"$own\" WSD_PEER=\"$peer\"\n$in {}\n",
        include_str!("bed.sh"),
        bed.script(),
        quote(&here.to_string_lossy()),
        quoted.join(" ")
    )
}

/// The word as the shell reads it back.
pub(super) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::command;
    use clap::ValueEnum;

    #[test]
    fn words_reach_the_guest_as_they_are() {
        for word in ["plain", "two words", "it's", "$HOME", ""] {
            let output =
                command("sh", &["-c", &format!("printf %s {}", quote(word))]).output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&output.stdout), word);
        }
    }

    #[test]
    fn shells_understand_every_bed() {
        for bed in Bed::value_variants() {
            let script = text(Path::new("/it's"), *bed, 1, &["true".to_owned()]);
            let read = command("sh", &["-n", "-c", &script]).status().expect("a shell");
            assert!(read.success(), "{script}");
        }
    }
}

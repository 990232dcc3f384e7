//! A copy of the checkout, in which code is broken. The checkout itself is never touched, so there is nothing to restore.

use crate::checks::tracked;
use crate::command::{Failure, root, target};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The copy, ours alone while this lives.
pub(crate) struct Tree {
    folder: PathBuf,
    _lock: File,
}

impl Tree {
    /// Make the copy, or bring it up to date: unchanged files keep their times, so that cargo builds little.
    pub(crate) fn make() -> Result<Self, Failure> {
        let folder = target().join("mutations/tree");
        std::fs::create_dir_all(&folder).map_err(|error| failure(&folder, &error))?;
        let path = target().join("mutations/lock");
        let lock = File::create(&path).map_err(|error| failure(&path, &error))?;
        lock.try_lock().map_err(|error| failure(&path, &format!("{error} (by another `mutations`)")))?;
        let tree = Self { folder, _lock: lock };
        let mut kept = BTreeSet::new();
        for source in tracked()? {
            let name = source.strip_prefix(root()).unwrap_or(&source).to_owned();
            if source.is_file() {
                tree.restore(&name)?;
                kept.insert(tree.path(&name));
            }
        }
        remove_others(&tree.folder, &kept)?;
        Ok(tree)
    }

    /// A file or folder of the copy.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// Give a file the text that it has in the checkout.
    pub(crate) fn restore(&self, name: impl AsRef<Path>) -> Result<(), Failure> {
        let (from, to) = (root().join(&name), self.path(&name));
        let wanted = std::fs::read(&from).map_err(|error| failure(&from, &error))?;
        if std::fs::read(&to).is_ok_and(|present| present == wanted) {
            return Ok(());
        }
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failure(parent, &error))?;
        }
        std::fs::copy(&from, &to).map(drop).map_err(|error| failure(&to, &error))
    }

    /// Give a file another text.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.path(name);
        std::fs::write(&path, text).map_err(|error| failure(&path, &error))
    }
}

/// What is not in the checkout any more goes.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| failure(folder, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| failure(folder, &error))?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            std::fs::remove_file(&path).map_err(|error| failure(&path, &error))?;
        }
    }
    Ok(())
}

fn failure(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

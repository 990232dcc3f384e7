//! Which requirements a commit draws: nobody chooses them.

use crate::command::{Failure, command};
use crate::spec::number::Number;

/// The full id of a commit.
pub(crate) fn commit(revision: &str) -> Result<String, Failure> {
    let object = format!("{revision}^{{commit}}");
    let output = command("git", &["rev-parse", "--verify", "--quiet", &object])
        .output()
        .map_err(|error| Failure::new(format!("git: {error}")))?;
    if !output.status.success() {
        return Err(Failure::of(output.status, format!("{revision} is no commit of this checkout")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// So many of them, by their hash together with the commit's id.
pub(crate) fn draw(mut all: Vec<Number>, commit: &str, count: usize) -> Vec<Number> {
    all.sort_by_cached_key(|number| hash(&format!("{commit} {number}")));
    all.truncate(count);
    all
}

/// FNV-1a with a finish that spreads the last letters over all bits. The same on every machine and for ever.
fn hash(text: &str) -> u64 {
    let sum = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (sum ^ (sum >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_commit_draws_its_own() {
        let names = ["SP-001", "SP-010", "SP-020", "SP-030", "SP-040", "SP-050", "SP-060", "SP-070"];
        let all: Vec<Number> = names.map(|name| name.parse().expect("a number")).into();
        assert_eq!(draw(all.clone(), "abc", 3), draw(all.clone(), "abc", 3));
        assert_eq!(draw(all.clone(), "abc", 30).len(), all.len());
        let commits: Vec<String> = (0..100).map(|n| format!("commit {n}")).collect();
        let seen: BTreeSet<Number> = commits.iter().flat_map(|commit| draw(all.clone(), commit, 1)).collect();
        assert_eq!(seen.len(), all.len(), "each is drawn by somebody");
    }
}

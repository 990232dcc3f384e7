//! `cargo xtask mutations`: tests that cite a requirement fail when it is broken.

mod draw;
pub(crate) mod store;
mod tree;
mod trial;

use crate::command::Failure;
use crate::spec::{self, number::Number};
use std::collections::BTreeSet;
use std::io::Write;
use std::time::Instant;
use store::{Mutation, Noticer, Store};
use tree::Tree;
use trial::Outcome;

/// Which mutations to run.
#[derive(clap::Args)]
pub(crate) struct Selection {
    /// Draw by the hash of this commit
    #[arg(long, value_name = "COMMIT", default_value = "HEAD")]
    draw: String,
    /// How many requirements are drawn
    #[arg(long, value_name = "N", default_value_t = 30)]
    count: usize,
    /// Run these alone
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["draw", "count"])]
    only: Vec<Number>,
    /// Run every recorded mutation
    #[arg(long, conflicts_with_all = ["draw", "count", "only"])]
    all: bool,
}

/// Run them, and fail unless every test notices its mutation.
pub(crate) fn run(selection: &Selection) -> Result<(), Failure> {
    let coverage = spec::coverage()?;
    let store = store::load()?;
    let faults = store::faults(&store, &coverage);
    if !faults.is_empty() {
        return Err(Failure::new(faults.join("\n       ")));
    }
    let tested: Vec<Number> = coverage.tested().map(|entry| entry.number).collect();
    let without = store::without(&store, &coverage);
    println!("{} of {} tested requirements have a mutation", tested.len() - without.len(), tested.len());
    if !without.is_empty() {
        println!("without: {}", without.iter().map(|it| it.to_string()).collect::<Vec<_>>().join(" "));
    }
    let chosen = choose(selection, tested, &store)?;
    let (mut kept, mut bad) = (0, Vec::new());
    let mut drawn = Vec::new();
    for number in chosen {
        match store.get(&number) {
            Some(mutation) => drawn.push((number, mutation)),
            None => bad.push(format!("{number} has no mutation")),
        }
    }
    bad.iter().for_each(|line| println!("{line}"));
    // Neighbours in this order share most of what has to be built.
    drawn.sort_by_key(|(_, it)| (it.file.as_str(), &it.noticer));
    let tree = Tree::make()?;
    let fails = fail_unbroken(&tree, &drawn)?;
    for (number, mutation) in drawn {
        let failing = fails
            .iter()
            .find(|(noticer, own, _)| *noticer == &mutation.noticer && own.is_none_or(|own| own == number));
        let result = match failing {
            Some((_, _, why)) => Err(why.clone()),
            None => noticed(&tree, number, mutation)?,
        };
        match result {
            Ok(()) => kept += 1,
            Err(why) => bad.push(format!("{number}: {why}")),
        }
    }
    println!("\n{kept} noticed, {} not", bad.len());
    if bad.is_empty() { Ok(()) } else { Err(Failure::new(bad.join("\n       "))) }
}

fn choose(selection: &Selection, tested: Vec<Number>, store: &Store) -> Result<Vec<Number>, Failure> {
    if selection.all {
        return Ok(store.keys().copied().collect());
    }
    if !selection.only.is_empty() {
        return Ok(selection.only.clone());
    }
    let commit = draw::commit(&selection.draw)?;
    println!("drawn by {commit}");
    Ok(draw::draw(tested, &commit, selection.count))
}

/// A test, for which requirement if it is told one, and what it says while nothing is broken.
type Failing<'a> = (&'a Noticer, Option<Number>, String);

/// The tests that fail without any mutation: they prove nothing.
fn fail_unbroken<'a>(tree: &Tree, drawn: &[(Number, &'a Mutation)]) -> Result<Vec<Failing<'a>>, Failure> {
    let (mut seen, mut failing) = (BTreeSet::new(), Vec::new());
    for (number, Mutation { noticer, .. }) in drawn {
        // The suite is run for one number at a time.
        let own = matches!(noticer, Noticer::Suite { .. }).then_some(*number);
        if seen.insert((noticer, own))
            && let Outcome::Failed(said) | Outcome::Neither(said) = trial::run(tree, noticer, *number)?
        {
            failing.push((noticer, own, format!("{noticer} without a mutation: {said}")));
        }
    }
    Ok(failing)
}

/// Break the copy, run the test, mend the copy.
fn noticed(tree: &Tree, number: Number, mutation: &Mutation) -> Result<Result<(), String>, Failure> {
    let begin = Instant::now();
    let noticer = &mutation.noticer;
    print!("{number} {noticer}: ");
    // Only for whoever watches.
    let _ = std::io::stdout().flush();
    let text = std::fs::read_to_string(tree.path(&mutation.file))
        .map_err(|error| Failure::new(format!("{}: {error}", mutation.file)))?;
    let broken = mutation.apply(&text).map_err(Failure::new)?;
    tree.write(&mutation.file, &broken)?;
    let outcome = trial::run(tree, noticer, number);
    tree.restore(&mutation.file)?;
    let result = match (outcome?, noticer) {
        (Outcome::Failed(said), Noticer::Suite { .. }) if !said.contains(&format!("{number} FAIL")) => {
            Err("the suite fails, but not because of this requirement".to_owned())
        }
        (Outcome::Failed(_), _) => Ok(()),
        (Outcome::Passed, _) => Err(format!("{noticer} passes although the requirement is broken")),
        (Outcome::Neither(why), _) => Err(why),
    };
    println!("{} ({} s)", result.as_ref().err().map_or("noticed", String::as_str), begin.elapsed().as_secs());
    Ok(result)
}

//! What a peer cannot have done by mistake.

use core::fmt;

/// The peer wrote something impossible into its words; the connection must be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// The ring begins at another offset than agreed.
    Start,
    /// The writer's cursor moved back.
    TailBack,
    /// The writer's cursor is further ahead of the reader's than the area in use can hold.
    TailAhead,
    /// The writer claims to have moved to the next area before bytes already announced in this one.
    Grow,
    /// The stream ends at an offset that was already passed.
    Fin,
    /// The reader's cursor moved back.
    HeadBack,
    /// The reader's cursor is ahead of the writer's.
    HeadAhead,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::Start => "ring begins at another offset than agreed",
            Violation::TailBack => "writer's cursor moved back",
            Violation::TailAhead => "writer's cursor is further ahead than the ring is large",
            Violation::Grow => "writer changed areas before bytes it had announced",
            Violation::Fin => "stream ends before bytes already passed",
            Violation::HeadBack => "reader's cursor moved back",
            Violation::HeadAhead => "reader's cursor is ahead of the writer's",
        })
    }
}

impl core::error::Error for Violation {}

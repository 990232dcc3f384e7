//! When the steps of promoting both directions together are due, and how long each may take (session protocol, section 10).
//! While an end has fixed its offset its program's writers wait, so every one of these times ends.

use wsd_os::clock;
use wsd_session::Session;

/// How long the peer's service thread may take to say its next word (nanoseconds).
const ANSWER_WITHIN: u64 = 2_000_000_000;
/// How long the program may read nothing of what TCP has for it (nanoseconds); doubled with each attempt, up to this many times.
const IDLE_WITHIN: u64 = 50_000_000;
const IDLE_DOUBLINGS: u32 = 2;
/// How long TCP may have nothing for it (nanoseconds): a lost segment takes a retransmission's time.
const STARVED_WITHIN: u64 = 1_000_000_000;
/// How long a writer may be in the kernel, which has no room for what it writes (nanoseconds).
const WRITERS_WITHIN: u64 = 250_000_000;
/// How often the peer is told that the program reads on (nanoseconds).
const TELL_AFTER: u64 = 250_000_000;
/// How long it may read on, if it looks like being done by then (nanoseconds).
const READ_WITHIN: u64 = TELL_AFTER * Session::READINGS as u64;
/// As above, while it wants to write, which it cannot meanwhile (nanoseconds).
const HURRIED_WITHIN: u64 = 500_000_000;
/// When the connecting end tries again (nanoseconds): doubled with each attempt, up to this many times.
const AGAIN_AFTER: u64 = 20_000_000;
const DOUBLINGS: u32 = 9;
/// Writers are not held for more of the time than one part of this many.
const HELD_SHARE: u64 = 5;

/// When the next step of a promotion is due.
#[derive(Default)]
pub(in super::super) struct Pace {
    /// The wait under way ends.
    until: Option<u64>,
    reader: Option<Reader>,
    /// When this end fixed its offset, in the attempt under way.
    held: Option<u64>,
    /// Nothing is fixed before.
    pub(super) after: u64,
    /// Attempts that came to nothing.
    failed: u32,
}

/// A program that has to read from TCP up to an offset.
struct Reader {
    /// When the wait began, and what the program had read by then.
    begun: u64,
    first: u64,
    /// What it had read when last looked at, and when that was new.
    read: u64,
    moved: u64,
    /// When the peer last learned of it.
    told: u64,
}

/// How far the program is.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// It has read up to here.
    pub(super) read: u64,
    /// It has to read up to here.
    pub(super) goal: u64,
    /// TCP has nothing for it just now.
    pub(super) starved: bool,
    /// It wants to write.
    pub(super) hurried: bool,
}

/// What becomes of the wait for a program that has not read enough yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It is looked at again at this moment at the latest.
    Until(u64),
    /// As above, and the peer is told.
    Tell(u64),
    /// It does not read, or too slowly.
    Over,
}

impl Pace {
    /// The end of the wait for the peer's next word, which begins now if it has not.
    pub(super) fn answer_by(&mut self) -> u64 {
        self.wait(ANSWER_WITHIN)
    }

    /// The end of the wait for the program's writers to leave the kernel's path, likewise.
    pub(super) fn writers_by(&mut self) -> u64 {
        self.wait(WRITERS_WITHIN)
    }

    /// The program has not read up to its goal yet.
    pub(super) fn await_reader(&mut self, reading: Reading, now: u64) -> Wait {
        let Reading { read, goal, starved, hurried } = reading;
        let idle_within =
            if starved { STARVED_WITHIN } else { IDLE_WITHIN << self.failed.min(IDLE_DOUBLINGS) };
        let reader =
            self.reader.get_or_insert(Reader { begun: now, first: read, read, moved: now, told: now });
        if reader.read != read {
            (reader.read, reader.moved) = (read, now);
        }
        if hurried && now >= reader.begun + HURRIED_WITHIN {
            return Wait::Over;
        }
        let look = (reader.moved + idle_within).min(reader.told + TELL_AFTER);
        if look > now {
            return Wait::Until(look);
        }
        if now >= reader.moved + idle_within || !reader.is_done_in_time(goal, now) {
            return Wait::Over;
        }
        reader.told = now;
        Wait::Tell((reader.moved + idle_within).min(now + TELL_AFTER))
    }

    /// This end has said its word, and the writers are held.
    pub(super) fn fixed(&mut self) {
        self.held.get_or_insert_with(clock::now_ns);
        self.next();
    }

    /// The wait under way is over; the next one begins when it is asked for.
    pub(super) fn next(&mut self) {
        self.until = None;
        self.reader = None;
    }

    /// The attempt has come to nothing: the moment of the next one.
    pub(super) fn put_off(&mut self) -> u64 {
        let now = clock::now_ns();
        let held = self.held.take().map_or(0, |since| now.saturating_sub(since));
        let pause = (AGAIN_AFTER << self.failed.min(DOUBLINGS)).max(held * (HELD_SHARE - 1));
        self.failed += 1;
        self.next();
        self.after = now + pause;
        self.after
    }

    fn wait(&mut self, time: u64) -> u64 {
        *self.until.get_or_insert_with(|| clock::now_ns() + time)
    }
}

impl Reader {
    /// Whether it may be, if it goes on as fast as until now.
    fn is_done_in_time(&self, goal: u64, now: u64) -> bool {
        let (done, rest) = (u128::from(self.read - self.first), u128::from(goal.saturating_sub(self.read)));
        let elapsed = now - self.begun;
        let left = READ_WITHIN.saturating_sub(elapsed);
        left > 0 && (done == 0 || u128::from(elapsed) * rest < u128::from(left) * done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// How a program reads.
    #[derive(Clone, Copy)]
    struct Program {
        /// Up to here.
        goal: u64,
        /// Bytes in a millisecond.
        speed: u64,
        starved: bool,
        hurried: bool,
    }

    const STEADY: Program = Program { goal: 5_000_000, speed: 3_300, starved: false, hurried: false };

    /// Looks at it whenever it is due: whether it was done, after how many milliseconds, and how often the peer was told.
    fn watch(pace: &mut Pace, program: Program) -> (bool, u64, u32) {
        let (mut now, mut told) = (1000, 0);
        loop {
            let read = (now - 1000) * program.speed;
            if read >= program.goal {
                return (true, now - 1000, told);
            }
            let Program { goal, starved, hurried, .. } = program;
            let look = match pace.await_reader(Reading { read, goal, starved, hurried }, now * MS) {
                Wait::Until(look) => look,
                Wait::Tell(look) => {
                    told += 1;
                    look
                }
                Wait::Over => return (false, now - 1000, told),
            };
            assert!(look > now * MS, "for ever");
            now = look / MS;
        }
    }

    #[test]
    fn reader_that_goes_on_is_waited_for() {
        assert_eq!(watch(&mut Pace::default(), Program { goal: 10, ..STEADY }), (true, 50, 0));
        let (done, time, told) = watch(&mut Pace::default(), STEADY);
        assert!(done && (1515..1600).contains(&time), "{time}");
        assert_eq!(told, 6);
    }

    #[test]
    fn reader_that_stops_is_not() {
        let mut pace = Pace::default();
        let stopped = Program { speed: 0, ..STEADY };
        assert_eq!(watch(&mut pace, stopped), (false, 50, 0));
        pace.put_off();
        assert_eq!(watch(&mut pace, stopped), (false, 100, 0), "longer next time");
    }

    /// A network that has lost a segment is not a program that does not read.
    #[test]
    fn starved_reader_is_waited_for() {
        let (done, time, told) = watch(&mut Pace::default(), Program { speed: 0, starved: true, ..STEADY });
        assert_eq!((done, time, told), (false, 1000, 3));
    }

    /// Who cannot be done in time holds the writers for a quarter of a second.
    #[test]
    fn slow_reader_is_given_up_soon() {
        assert_eq!(watch(&mut Pace::default(), Program { speed: 1000, ..STEADY }), (false, 250, 0));
    }

    #[test]
    fn program_that_wants_to_write_waits_for_half_a_second() {
        assert_eq!(watch(&mut Pace::default(), Program { hurried: true, ..STEADY }), (false, 500, 1));
    }

    /// Each time a little is missing: the wait ends all the same, before the session's limit is reached.
    #[test]
    fn wait_for_a_reader_ends() {
        let mut pace = Pace::default();
        let (mut now, mut told) = (1000 * MS, 0);
        for read in 0.. {
            let reading = Reading { read, goal: read + 1, starved: false, hurried: false };
            now = match pace.await_reader(reading, now) {
                Wait::Until(look) => look,
                Wait::Tell(look) => {
                    told += 1;
                    look
                }
                Wait::Over => break,
            };
        }
        assert!(now <= 1000 * MS + READ_WITHIN && told < Session::READINGS, "{now} {told}");
    }

    #[test]
    fn writers_are_held_for_a_fifth_of_the_time() {
        let mut pace = Pace { held: Some(clock::now_ns() - 1000 * MS), ..Pace::default() };
        assert!(pace.put_off() >= clock::now_ns() + 3900 * MS);
    }
}

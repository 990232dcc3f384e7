//! What one end knows of a stream's beginning: a running hash of a direction with checkpoints, from which two ends that are at
//! different offsets find the largest one that both have (section 9).

mod proof;

pub use proof::Digest;
pub(crate) use proof::{Claim, Names};

/// Bytes between the first checkpoints.
pub const FIRST_GRANULE: u64 = 16;
/// Checkpoints of a direction at most.
pub const CHECKPOINTS: usize = 64;
/// Bytes of a direction that are hashed at most.
pub const MOST: u64 = 4 << 20;
/// Fewest bytes, both directions together, that prove anything.
pub const FEWEST: u64 = 16;

/// Largest piece for one call of the hash, whose need of stack grows with it: it may run on a small signal stack.
const PIECE: usize = 16 << 10;

/// How far one end has hashed a direction: it has a checkpoint at every multiple of `granule` up to `length`, unless it kept
/// only the last one ([`Checkpoints::only`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    granule: u64,
    length: u64,
}

impl Mark {
    /// `None`: not a power of two, or below [`FIRST_GRANULE`].
    pub fn new(granule: u64, length: u64) -> Option<Self> {
        (granule.is_power_of_two() && granule >= FIRST_GRANULE).then_some(Self { granule, length })
    }

    /// Bytes between two checkpoints.
    pub fn granule(self) -> u64 {
        self.granule
    }

    /// Bytes that were hashed.
    pub fn length(self) -> u64 {
        self.length
    }

    /// The largest offset at which both ends have a checkpoint; 0 is always one.
    pub fn common(self, other: Self) -> u64 {
        let granule = self.granule.max(other.granule);
        self.length.min(other.length) & !(granule - 1)
    }
}

/// The marks of both directions: from the connecting companion, and from the listening one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks(pub [Mark; 2]);

impl Marks {
    /// The common offsets of both directions.
    pub fn common(self, other: Self) -> [u64; 2] {
        [self.0[0].common(other.0[0]), self.0[1].common(other.0[1])]
    }
}

/// The running hash of one direction. Neither allocates nor needs a destructor.
#[derive(Debug, Clone)]
pub struct StreamHash {
    hash: blake3::Hasher,
    mark: Mark,
    checkpoints: [Digest; CHECKPOINTS],
}

impl Default for StreamHash {
    fn default() -> Self {
        let mark = Mark { granule: FIRST_GRANULE, length: 0 };
        Self { hash: blake3::Hasher::new(), mark, checkpoints: [[0; 32]; CHECKPOINTS] }
    }
}

impl StreamHash {
    /// Bytes hashed so far, at most [`MOST`].
    pub fn length(&self) -> u64 {
        self.mark.length
    }

    /// Takes the next bytes of the direction; what lies beyond [`MOST`] is ignored.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while self.mark.length < MOST && !bytes.is_empty() {
            let to_checkpoint = self.mark.granule - self.mark.length % self.mark.granule;
            let to_checkpoint = usize::try_from(to_checkpoint).unwrap_or(usize::MAX);
            let (piece, rest) = bytes.split_at(bytes.len().min(PIECE).min(to_checkpoint));
            self.hash.update(piece);
            self.mark.length += piece.len() as u64;
            if piece.len() == to_checkpoint {
                self.check();
            }
            bytes = rest;
        }
    }

    /// A multiple of the granule is reached.
    fn check(&mut self) {
        let number = self.number();
        if let Some(place) = self.checkpoints.get_mut(number - 1) {
            *place = *self.hash.finalize().as_bytes();
            return;
        }
        for kept in 0..CHECKPOINTS / 2 {
            self.checkpoints[kept] = self.checkpoints[2 * kept + 1];
        }
        // This was an odd one of the old granule.
        self.mark.granule *= 2;
    }

    /// How many checkpoints there are.
    fn number(&self) -> usize {
        usize::try_from(self.mark.length / self.mark.granule).unwrap_or(usize::MAX)
    }

    /// The checkpoints as they are now.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints { mark: self.mark, last: self.checkpoints[..self.number()].to_vec() }
    }
}

/// The checkpoints of one direction at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoints {
    mark: Mark,
    /// The last ones, in order.
    last: Vec<Digest>,
}

impl Checkpoints {
    /// What the other end is told of them.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The hash of the direction's first `offset` bytes. `None`: there is no such checkpoint.
    pub fn at(&self, offset: u64) -> Option<Digest> {
        if offset == 0 {
            return Some(*blake3::hash(&[]).as_bytes());
        }
        if offset > self.mark.length || !offset.is_multiple_of(self.mark.granule) {
            return None;
        }
        let behind = (self.mark.length / self.mark.granule).checked_sub(offset / self.mark.granule)?;
        let place = self.last.len().checked_sub(1)?.checked_sub(usize::try_from(behind).ok()?)?;
        self.last.get(place).copied()
    }

    /// The checkpoint at `offset` alone, by which the same two ends can prove the connection again. `None`: there is none.
    pub fn only(&self, offset: u64) -> Option<Self> {
        let digest = self.at(offset)?;
        if offset == 0 {
            return Some(StreamHash::default().checkpoints());
        }
        let granule = 1 << offset.trailing_zeros();
        Some(Self { mark: Mark::new(granule, offset)?, last: vec![digest] })
    }
}

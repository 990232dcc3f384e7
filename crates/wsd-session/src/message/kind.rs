//! The type byte of a header.

use super::{DecodeError, Message};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Type of a message, the first byte of its header.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// All types in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }

        impl TryFrom<u8> for Kind {
            type Error = DecodeError;

            fn try_from(number: u8) -> Result<Self, DecodeError> {
                match number {
                    $($number => Ok(Self::$name),)*
                    _ => Err(DecodeError::UnknownType(number)),
                }
            }
        }
    };
}

kinds! {
    /// [`Message::Negotiate`].
    Negotiate = 1,
    /// [`Message::Answer`].
    Answer = 2,
    /// [`Message::Proven`].
    Proven = 3,
    /// [`Message::RingOffer`].
    RingOffer = 4,
    /// [`Message::RingReady`].
    RingReady = 5,
    /// [`Message::Propose`].
    Propose = 6,
    /// [`Message::Consent`].
    Consent = 7,
    /// [`Message::Refuse`].
    Refuse = 8,
    /// [`Message::Promoted`].
    Promoted = 9,
    /// [`Message::DemoteRequest`].
    DemoteRequest = 10,
    /// [`Message::Frozen`].
    Frozen = 11,
    /// [`Message::Demoted`].
    Demoted = 12,
    /// [`Message::Data`].
    Data = 13,
    /// [`Message::RdmaOffer`].
    RdmaOffer = 14,
    /// [`Message::RdmaDone`].
    RdmaDone = 15,
    /// [`Message::RdmaAnnounce`].
    RdmaAnnounce = 16,
    /// [`Message::RdmaTarget`].
    RdmaTarget = 17,
    /// [`Message::Fin`].
    Fin = 18,
    /// [`Message::Reset`].
    Reset = 19,
    /// [`Message::Urgent`].
    Urgent = 20,
    /// [`Message::Credit`].
    Credit = 21,
    /// [`Message::Bye`].
    Bye = 22,
    /// [`Message::Window`].
    Window = 23,
    /// [`Message::Suspend`].
    Suspend = 24,
    /// [`Message::Suspended`].
    Suspended = 25,
    /// [`Message::Resume`].
    Resume = 26,
    /// [`Message::StreamMarks`].
    StreamMarks = 27,
    /// [`Message::StreamProof`].
    StreamProof = 28,
    /// [`Message::Settled`].
    Settled = 29,
    /// [`Message::Reading`].
    Reading = 30,
}

impl Message<'_> {
    /// The type of this message.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Negotiate { .. } => Kind::Negotiate,
            Self::Answer { .. } => Kind::Answer,
            Self::Proven => Kind::Proven,
            Self::RingOffer { .. } => Kind::RingOffer,
            Self::RingReady { .. } => Kind::RingReady,
            Self::Propose { .. } => Kind::Propose,
            Self::Consent => Kind::Consent,
            Self::Refuse { .. } => Kind::Refuse,
            Self::Promoted { .. } => Kind::Promoted,
            Self::DemoteRequest { .. } => Kind::DemoteRequest,
            Self::Frozen { .. } => Kind::Frozen,
            Self::Demoted { .. } => Kind::Demoted,
            Self::Data { .. } => Kind::Data,
            Self::RdmaOffer { .. } => Kind::RdmaOffer,
            Self::RdmaDone { .. } => Kind::RdmaDone,
            Self::RdmaAnnounce { .. } => Kind::RdmaAnnounce,
            Self::RdmaTarget { .. } => Kind::RdmaTarget,
            Self::Fin { .. } => Kind::Fin,
            Self::Reset => Kind::Reset,
            Self::Urgent { .. } => Kind::Urgent,
            Self::Credit => Kind::Credit,
            Self::Bye => Kind::Bye,
            Self::Window { .. } => Kind::Window,
            Self::Suspend => Kind::Suspend,
            Self::Suspended => Kind::Suspended,
            Self::Resume { .. } => Kind::Resume,
            Self::StreamMarks(_) => Kind::StreamMarks,
            Self::StreamProof(_) => Kind::StreamProof,
            Self::Settled => Kind::Settled,
            Self::Reading => Kind::Reading,
        }
    }
}

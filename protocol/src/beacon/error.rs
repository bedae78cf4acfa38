use alloy::primitives::B256;

/// Why a beacon state's bytes, or what goes with them, can't be used. None of it goes away by trying again with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A fork whose state isn't known.
    #[error(
        "unknown consensus version {0:?}: states of fulu and gloas can be proven; a later fork needs a newer version of this program"
    )]
    UnknownFork(String),
    /// The bytes ended early.
    #[error("the state ends after {got} bytes, inside or before {field}: download it again")]
    Truncated {
        /// Field that is incomplete.
        field: &'static str,
        /// Bytes taken.
        got: u64,
    },
    /// More bytes than announced, or than the container can have.
    #[error("the state goes on after its {expected} bytes: is the length the one of this download?")]
    TooLong {
        /// Bytes expected.
        expected: u64,
    },
    /// The first offset has to point behind the fixed part.
    #[error(
        "offset of {field} is {offset}, but the fields of fixed length end at {expected}: is it a state of this fork?"
    )]
    FirstOffset {
        /// The first field of variable length.
        field: &'static str,
        /// Its offset.
        offset: u64,
        /// Length of the fixed part.
        expected: u64,
    },
    /// Offsets may only rise.
    #[error("offset of {field} is {offset}, below the previous one, {previous}")]
    OffsetsOutOfOrder {
        /// The field.
        field: &'static str,
        /// Its offset.
        offset: u64,
        /// Offset of the field of variable length before it.
        previous: u64,
    },
    /// An offset beyond the end.
    #[error("offset of {field} is {offset}, beyond the end at {end}")]
    OffsetBeyondEnd {
        /// The field.
        field: &'static str,
        /// Its offset.
        offset: u64,
        /// Length of what contains it.
        end: u64,
    },
    /// A list's length is no multiple of its elements'.
    #[error("{field} has {length} bytes, no multiple of its elements' {element}")]
    Uneven {
        /// The list.
        field: &'static str,
        /// Its length in bytes.
        length: u64,
        /// Bytes of an element.
        element: u64,
    },
    /// A list longer than the specification's limit.
    #[error("{field} has more than the {limit} elements that it may have")]
    ListTooLong {
        /// The list.
        field: &'static str,
        /// Elements allowed.
        limit: u64,
    },
    /// The block header belongs to another state.
    #[error(
        "the header of slot {header_slot} commits to state {header_state_root}, but the state of slot {slot} has root \
         {state_root}: ask for the state by the header's state root"
    )]
    HeaderMismatch {
        /// Slot of the header.
        header_slot: u64,
        /// Root that it commits to.
        header_state_root: B256,
        /// Slot of the state.
        slot: u64,
        /// Root of the state.
        state_root: B256,
    },
    /// The state isn't the one right after its latest block, so no block commits to it.
    #[error(
        "the state of slot {slot} is {block_slot}'s, advanced over empty slots: no block commits to it; ask for the state of a block"
    )]
    Advanced {
        /// Slot of the state.
        slot: u64,
        /// Slot of its latest block.
        block_slot: u64,
    },
    /// The registry is shorter.
    #[error("no validator has index {index}: there are {count}")]
    NoSuchValidator {
        /// Index asked for.
        index: u64,
        /// Validators that there are.
        count: u64,
    },
    /// The state was read without remembering this validator.
    #[error("validator {0} wasn't among those wanted when the state was read")]
    NotWanted(u64),
}

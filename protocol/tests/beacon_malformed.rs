//! States that are cut short, go on too long, or whose offsets lie: errors that name the field, never a panic.

mod beacon;

use baton_protocol::beacon::{Fork, ProvenState, StateError, StateProver};
use beacon::{FORKS, State};
use proptest::{prelude::*, sample::Index};

fn prove(fork: Fork, ssz: &[u8], length: Option<u64>) -> Result<ProvenState, StateError> {
    let mut prover = StateProver::new(fork, length, [0, 1]);
    prover.push(ssz)?;
    prover.finish()
}

/// Where the offsets of some fields stand: what comes before them is of fixed length.
const HISTORICAL_ROOTS: usize = 8 + 32 + 8 + 16 + 112 + 2 * 8192 * 32;
const ETH1_DATA_VOTES: usize = HISTORICAL_ROOTS + 4 + 72;
const VALIDATORS: usize = ETH1_DATA_VOTES + 4 + 8;
const BALANCES: usize = VALIDATORS + 4;

fn offset(ssz: &[u8], at: usize) -> u64 {
    u64::from(u32::from_le_bytes(ssz[at..at + 4].try_into().expect("four bytes")))
}

fn with_offset(ssz: &[u8], at: usize, offset: u64) -> Vec<u8> {
    let mut ssz = ssz.to_vec();
    ssz[at..at + 4].copy_from_slice(&u32::try_from(offset).expect("an offset").to_le_bytes());
    ssz
}

#[test]
fn offsets_have_to_be_in_order_and_within() {
    for fork in FORKS {
        let State { ssz, .. } = State::load(fork, "5");
        let end = ssz.len() as u64;
        let lengths = [None, Some(end)];
        let first = offset(&ssz, HISTORICAL_ROOTS);
        let (validators, balances) = (offset(&ssz, VALIDATORS), offset(&ssz, BALANCES));
        assert_eq!(balances - validators, 5 * 121);
        for (length, wrong) in
            lengths.into_iter().flat_map(|length| [first - 1, first + 1, 0].map(|wrong| (length, wrong)))
        {
            let error = StateError::FirstOffset { field: "historical_roots", offset: wrong, expected: first };
            assert_eq!(prove(fork, &with_offset(&ssz, HISTORICAL_ROOTS, wrong), length).err(), Some(error));
        }
        for length in lengths {
            let previous = offset(&ssz, ETH1_DATA_VOTES);
            let error = StateError::OffsetsOutOfOrder { field: "validators", offset: previous - 1, previous };
            assert_eq!(prove(fork, &with_offset(&ssz, VALIDATORS, previous - 1), length).err(), Some(error));
            let error = StateError::Uneven { field: "validators", length: 5 * 121 + 1, element: 121 };
            assert_eq!(prove(fork, &with_offset(&ssz, BALANCES, balances + 1), length).err(), Some(error));
        }
        let error = StateError::OffsetBeyondEnd { field: "validators", offset: end + 1, end };
        assert_eq!(prove(fork, &with_offset(&ssz, VALIDATORS, end + 1), Some(end)).err(), Some(error));
        let far = prove(fork, &with_offset(&ssz, BALANCES, 1 << 31), None);
        assert!(matches!(far, Err(StateError::OffsetsOutOfOrder { .. })), "{far:?}");
    }
}

#[test]
fn lists_have_limits() {
    // Fulu's votes are 2048 at most; behind them all offsets move along.
    let State { ssz, .. } = State::load(Fork::Fulu, "0");
    let votes = offset(&ssz, ETH1_DATA_VOTES);
    let limit = 2048 * 72;
    for (extra, fits) in [(limit, true), (limit + 72, false)] {
        let mut longer = ssz.clone();
        let at = usize::try_from(votes).expect("an offset");
        longer.splice(at..at, vec![0; usize::try_from(extra).expect("a length")]);
        // Every offset behind the votes': found as the ones that point behind them.
        let fixed = offset(&ssz, HISTORICAL_ROOTS);
        let mut moved = 0;
        for field in [
            VALIDATORS,
            BALANCES,
            BALANCES + 4 + 65536 * 32 + 8192 * 8,
            BALANCES + 8 + 65536 * 32 + 8192 * 8,
            BALANCES + 12 + 65536 * 32 + 8192 * 8 + 1 + 3 * 40,
        ] {
            let old = offset(&ssz, field);
            assert!(old >= fixed);
            longer = with_offset(&longer, field, old + extra);
            moved += 1;
        }
        assert_eq!(moved, 5);
        let after = BALANCES + 12 + 65536 * 32 + 8192 * 8 + 1 + 3 * 40 + 4 + 2 * 24624;
        for field in
            [after, after + 4 + 16, after + 4 + 16 + 4 + 6 * 8, after + 4 + 16 + 8 + 6 * 8, after + 4 + 16 + 12 + 6 * 8]
        {
            longer = with_offset(&longer, field, offset(&ssz, field) + extra);
        }
        let outcome = prove(Fork::Fulu, &longer, Some(longer.len() as u64));
        if fits {
            outcome.expect("as many as there may be");
        } else {
            assert_eq!(outcome.err(), Some(StateError::ListTooLong { field: "eth1_data_votes", limit: 2048 }));
        }
    }
}

#[test]
fn the_length_has_to_be_right() {
    for fork in FORKS {
        let State { ssz, header, .. } = State::load(fork, "5");
        let end = ssz.len() as u64;
        let longer = [ssz.clone(), vec![0]].concat();
        assert_eq!(prove(fork, &longer, Some(end)).err(), Some(StateError::TooLong { expected: end }));
        for short in [0, 1, 39, 300, HISTORICAL_ROOTS + 2, ssz.len() / 2, ssz.len() - 1] {
            let error = prove(fork, &ssz[..short], Some(end)).expect_err("truncated");
            assert!(matches!(error, StateError::Truncated { got, .. } if got == short as u64), "{error}");
        }
        // Of a length that nobody told, only whole elements of the last list can go missing unnoticed; the root tells.
        assert!(prove(fork, &ssz[..300], None).is_err());
        assert_eq!(prove(fork, &ssz, None).expect("whole").state_root, header.state_root);
        assert_eq!(prove(fork, &[], None).err(), Some(StateError::Truncated { field: "genesis_time", got: 0 }));
    }
}

#[test]
fn another_forks_state_is_refused() {
    for (fork, other) in [(Fork::Fulu, Fork::Gloas), (Fork::Gloas, Fork::Fulu)] {
        let State { ssz, .. } = State::load(other, "5");
        let error = prove(fork, &ssz, Some(ssz.len() as u64)).expect_err("another layout");
        assert!(matches!(error, StateError::FirstOffset { .. }), "{error}");
        assert!(error.to_string().contains("is it a state of this fork?"));
    }
}

#[test]
fn errors_stay() {
    let State { ssz, .. } = State::load(Fork::Fulu, "5");
    let mut prover = StateProver::new(Fork::Fulu, None, []);
    let error = prover.push(&with_offset(&ssz, HISTORICAL_ROOTS, 7)).expect_err("a wrong offset");
    assert_eq!(prover.push(&ssz), Err(error.clone()));
    assert_eq!(prover.finish().err(), Some(error));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever changes or goes missing: an error, or a root that no header has.
    #[test]
    fn garbled_states_never_pass(
        at in proptest::collection::vec((any::<Index>(), 1..=255u8), 0..4),
        offsets in proptest::collection::vec((0..10usize, any::<u32>()), 0..2),
        cut in proptest::option::of(any::<Index>()),
        known: bool,
        gloas: bool,
    ) {
        let state = State::load(FORKS[usize::from(gloas)], "22");
        let mut ssz = state.ssz.clone();
        for (index, flip) in at {
            let index = index.index(ssz.len());
            ssz[index] ^= flip;
        }
        for (which, value) in offsets {
            let field = [HISTORICAL_ROOTS, ETH1_DATA_VOTES, VALIDATORS, BALANCES][which % 4];
            let value = if which < 5 { value } else { value % (1 << 22) };
            ssz[field..field + 4].copy_from_slice(&value.to_le_bytes());
        }
        if let Some(cut) = cut {
            ssz.truncate(cut.index(ssz.len()));
        }
        prop_assume!(ssz != state.ssz);
        let outcome = prove(state.fork, &ssz, known.then_some(state.ssz.len() as u64));
        if let Ok(proven) = outcome {
            prop_assert_ne!(proven.state_root, state.header.state_root);
            prop_assert!(proven.prove_lookahead(state.header).is_err());
        }
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..5000), length in proptest::option::of(0..6000u64)) {
        for fork in FORKS {
            prop_assert!(prove(fork, &noise, length).is_err());
        }
    }
}

//! Proofs of beacon states against Lodestar's (`contracts/vectors/beacon.mjs`), which the Solidity suite reads too.

mod beacon;

use alloy::primitives::{Address, B256, FixedBytes};
use baton_protocol::beacon::{
    BeaconHeader, Fork, LookaheadProof, ProvenState, StateError, StateProver, ValidatorProof,
};
use beacon::{FORKS, State, branch, field, header, vectors};
use proptest::{prelude::*, sample::Index};
use sha2::{Digest, Sha256};

fn prove(state: &State, length: Option<u64>) -> ProvenState {
    let mut prover = StateProver::new(state.fork, length, state.validators.iter().map(|vector| field(vector, "index")));
    prover.push(&state.ssz).expect("a state");
    prover.finish().expect("all of a state")
}

fn lookahead_proof(state: &State) -> LookaheadProof {
    let chunks: Vec<B256> = branch(&state.vector, "chunks");
    LookaheadProof {
        header: state.header,
        chunks: chunks.try_into().expect("eight chunks"),
        branch: branch(&state.vector, "branch"),
    }
}

#[test]
fn states_are_proven_as_lodestar_does() {
    for fork in FORKS {
        for state in State::all(fork) {
            assert_eq!(B256::from_slice(&Sha256::digest(&state.ssz)), field::<B256>(&state.vector, "sszSha256"));
            let proven = prove(&state, Some(state.ssz.len() as u64));
            assert_eq!(proven.state_root, state.header.state_root, "{fork} {}", state.vector["validatorCount"]);
            assert_eq!(proven.slot, state.header.slot);
            assert_eq!(proven.validator_count, field::<u64>(&state.vector, "validatorCount"));
            assert_eq!(proven.fork(), fork);
            let lookahead: Vec<u64> = branch(&state.vector, "lookahead");
            assert_eq!(proven.lookahead.to_vec(), lookahead);

            let proof = proven.prove_lookahead(state.header).expect("the header is the state's");
            assert_eq!(proof, lookahead_proof(&state));
            assert_eq!(proof.proposers().to_vec(), lookahead[32..]);
            assert!(proof.holds(fork, state.block_root));

            for vector in &state.validators {
                let index = field(vector, "index");
                let proof = proven.prove_validator(state.header, index).expect("it is there");
                assert_eq!(proof, validator_proof(vector, state.header));
                assert!(proof.holds(fork, state.block_root));
                let validator = proven.validator(index).expect("it is there");
                assert_eq!(validator.pubkey, field::<FixedBytes<48>>(vector, "pubkey"));
            }
        }
    }
}

fn validator_proof(vector: &serde_json::Value, header: BeaconHeader) -> ValidatorProof {
    ValidatorProof {
        header,
        index: field(vector, "index"),
        pubkey_root: field(vector, "pubkeyRoot"),
        withdrawal_credentials: field(vector, "withdrawalCredentials"),
        branch: branch(vector, "branch"),
    }
}

#[test]
fn blocks_have_lodestars_roots() {
    for fork in FORKS {
        for state in State::all(fork) {
            assert_eq!(state.header.root(), state.block_root);
            assert_eq!(BeaconHeader::from_ssz(&state.header.to_ssz()), state.header);
        }
    }
}

/// Indices that no state could hold.
#[test]
fn generalized_indices_are_lodestars_whatever_the_index() {
    for fork in FORKS {
        let vectors = vectors(fork);
        assert_eq!(fork.lookahead_index(), field::<u128>(&vectors["generalizedIndices"], "nextLookahead"));
        for vector in vectors["virtual"].as_array().expect("a list") {
            let proof = validator_proof(vector, header(vector));
            assert_eq!(fork.validator_index(proof.index), Some(field(vector, "generalizedIndex")));
            let block_root = field(vector, "blockRoot");
            assert!(proof.holds(fork, block_root), "{fork} {}", proof.index);
            let moved = ValidatorProof { index: proof.index - 1, ..proof };
            assert!(!moved.holds(fork, block_root), "{fork} {}", moved.index);
        }
    }
    assert_eq!(Fork::Fulu.validator_index(1 << 40), None);
    assert!(Fork::Gloas.validator_index(u64::MAX).is_some());
}

#[test]
fn withdrawal_addresses_are_of_two_kinds() {
    let state = State::load(Fork::Fulu, "33");
    let proven = prove(&state, None);
    let address = |index| proven.validator(index).expect("it is there").withdrawal_address();
    let expected = |index: usize| {
        let credentials: B256 = field(&state.validators[index], "withdrawalCredentials");
        Address::from_slice(&credentials[12..])
    };
    assert_eq!(address(0), Some(expected(0)), "execution");
    assert_eq!(address(1), Some(expected(1)), "compounding");
    assert_eq!(address(2), None, "BLS");
    assert_eq!(address(3), None, "bytes before the address");
    assert_eq!(address(4), None, "an unknown kind");
}

#[test]
fn no_other_byte_holds() {
    for fork in FORKS {
        let state = State::load(fork, "5");
        let proof = lookahead_proof(&state);
        assert!(proof.holds(fork, state.block_root));
        assert!(!proof.holds(fork, B256::ZERO));
        for other in FORKS {
            assert_eq!(proof.holds(other, state.block_root), other == fork, "a {fork} proof under {other}");
        }
        let nodes = [proof.chunks.to_vec(), proof.branch.clone()].concat();
        for at in 0..nodes.len() * 32 {
            let mut garbled = proof.clone();
            let (node, byte) = (at / 32, at % 32);
            if node < 8 {
                garbled.chunks[node].0[byte] ^= 1
            } else {
                garbled.branch[node - 8].0[byte] ^= 1
            }
            assert!(!garbled.holds(fork, state.block_root), "node {node}, byte {byte}");
        }
        let header = proof.header.to_ssz();
        for at in 0..header.len() {
            let mut garbled = header;
            garbled[at] ^= 1;
            let proof = LookaheadProof { header: BeaconHeader::from_ssz(&garbled), ..proof.clone() };
            assert!(!proof.holds(fork, state.block_root), "byte {at} of the header");
        }
        let longer = LookaheadProof { branch: [proof.branch.clone(), vec![B256::ZERO]].concat(), ..proof.clone() };
        assert!(!longer.holds(fork, state.block_root));
        let shorter = LookaheadProof { branch: proof.branch[1..].to_vec(), ..proof.clone() };
        assert!(!shorter.holds(fork, state.block_root));

        let proof = validator_proof(&state.validators[4], state.header);
        assert!(!proof.holds(fork, B256::ZERO));
        for at in 0..header.len() {
            let mut garbled = header;
            garbled[at] ^= 1;
            let proof = ValidatorProof { header: BeaconHeader::from_ssz(&garbled), ..proof.clone() };
            assert!(!proof.holds(fork, state.block_root), "byte {at} of the header");
        }
        for other in 0..8 {
            let moved = ValidatorProof { index: other, ..proof.clone() };
            assert_eq!(moved.holds(fork, state.block_root), other == 4);
        }
        for at in 0..32 * (2 + proof.branch.len()) {
            let mut garbled = proof.clone();
            let byte = at % 32;
            match at / 32 {
                0 => garbled.pubkey_root.0[byte] ^= 1,
                1 => garbled.withdrawal_credentials.0[byte] ^= 1,
                node => garbled.branch[node - 2].0[byte] ^= 1,
            }
            assert!(!garbled.holds(fork, state.block_root));
        }
    }
}

#[test]
fn the_header_is_in_the_state_of_a_block() {
    for fork in FORKS {
        let state = State::load(fork, "22");
        let mut ssz = state.ssz.clone();
        // genesis_time, genesis_validators_root, slot, fork come before it.
        let latest = 8 + 32 + 8 + 16;
        let block = BeaconHeader { state_root: B256::ZERO, ..state.header };
        ssz[latest..latest + 112].copy_from_slice(&block.to_ssz());
        let proven = prove(&State { ssz: ssz.clone(), ..state }, None);
        let header = proven.header().expect("a block's state");
        assert_eq!(header, BeaconHeader { state_root: proven.state_root, ..block });
        assert!(proven.prove_lookahead(header).expect("its header").holds(fork, header.root()));

        // One empty slot later the slot has moved on and the header has got its root: either of them tells.
        for (slot, latest_header) in [(block.slot + 1, header), (block.slot + 1, block), (block.slot, header)] {
            let mut later = ssz.clone();
            later[40..48].copy_from_slice(&slot.to_le_bytes());
            later[latest..latest + 112].copy_from_slice(&latest_header.to_ssz());
            let advanced = prove(&State { ssz: later, ..State::load(fork, "22") }, None);
            assert_eq!(advanced.header(), Err(StateError::Advanced { slot, block_slot: block.slot }));
        }

        let other = BeaconHeader { state_root: B256::ZERO, ..header };
        let mismatch = StateError::HeaderMismatch {
            header_slot: block.slot,
            header_state_root: B256::ZERO,
            slot: block.slot,
            state_root: proven.state_root,
        };
        assert_eq!(proven.prove_lookahead(other), Err(mismatch.clone()));
        assert_eq!(proven.prove_validator(other, 0), Err(mismatch));
        assert!(proven.prove_lookahead(BeaconHeader { slot: header.slot + 1, ..header }).is_err());
    }
}

#[test]
fn validators_have_to_be_there_and_to_be_wanted() {
    for fork in FORKS {
        let state = State::load(fork, "5");
        let mut prover = StateProver::new(fork, None, [1, 5, 1 << 50]);
        prover.push(&state.ssz).expect("a state");
        let proven = prover.finish().expect("a state");
        assert!(proven.prove_validator(state.header, 1).is_ok());
        assert_eq!(proven.prove_validator(state.header, 2), Err(StateError::NotWanted(2)));
        assert_eq!(proven.validator(5), Err(StateError::NoSuchValidator { index: 5, count: 5 }));
        assert!(proven.validator(1 << 50).is_err());
    }
}

/// Portions that end inside every validator, at its border, and next to it.
#[test]
fn portions_may_split_validators() {
    for fork in FORKS {
        let state = State::load(fork, "22");
        for portion in [61, 120, 121, 122] {
            let mut prover = StateProver::new(fork, None, 0..22);
            for bytes in state.ssz.chunks(portion) {
                prover.push(bytes).expect("a state");
            }
            let proven = prover.finish().expect("a state");
            for vector in &state.validators {
                let proof = proven.prove_validator(state.header, field(vector, "index"));
                assert_eq!(proof, Ok(validator_proof(vector, state.header)), "in portions of {portion}");
            }
        }
    }
}

#[test]
fn forks_are_named_as_the_beacon_api_does() {
    for fork in FORKS {
        assert_eq!(fork.to_string().parse(), Ok(fork));
    }
    assert_eq!("electra".parse::<Fork>(), Err(StateError::UnknownFork("electra".into())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn cuts_make_no_difference(cuts in proptest::collection::vec(any::<Index>(), 0..12), small in 1..400usize, known: bool) {
        for fork in FORKS {
            let state = State::load(fork, "22");
            let length = state.ssz.len();
            // A stretch in small portions, where fields change, and cuts anywhere.
            let start = cuts.first().map_or(0, |cut| cut.index(length));
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(length)).collect();
            at.extend((start..length.min(start + 20 * small)).step_by(small));
            at.extend((0..3000).step_by(small));
            at.extend([0, length]);
            at.sort_unstable();
            let mut prover = StateProver::new(fork, known.then_some(length as u64), [0, 4, 5, 20, 21]);
            for pair in at.windows(2) {
                prover.push(&state.ssz[pair[0]..pair[1]]).expect("a state");
            }
            prop_assert_eq!(prover.progress(), (length as u64, known.then_some(length as u64)));
            let proven = prover.finish().expect("a state");
            prop_assert_eq!(proven.prove_lookahead(state.header), Ok(lookahead_proof(&state)));
            for vector in &state.validators {
                let index: u64 = field(vector, "index");
                if [0, 4, 5, 20, 21].contains(&index) {
                    prop_assert_eq!(proven.prove_validator(state.header, index), Ok(validator_proof(vector, state.header)));
                }
            }
        }
    }
}

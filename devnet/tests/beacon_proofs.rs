//! Proofs made in Rust against the contracts that judge them, on random states: what one calls true the other does, and what one refuses too.
//!
//! The states are Lodestar's fixtures with random bytes in random places, so that every field differs and none is made by our own writer. The
//! verifiers run on anvil.

use alloy::{
    primitives::{Address, B256, Bytes},
    providers::{Provider, ext::AnvilApi},
    sol_types::{SolCall, SolValue},
};
use baton_bindings::{IBeaconStateVerifier, IRegistry};
use baton_devnet::{l1::L1Node, toolchain::Toolchain};
use baton_protocol::beacon::{BeaconHeader, Fork, LookaheadProof, ProvenState, StateProver, ValidatorProof};
use eyre::{Result, WrapErr, eyre};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::io::Read;

/// States of each fork.
const CASES: u64 = 32;
/// Bytes of each that are replaced.
const CHANGES: usize = 40;
/// Registry sizes of the fixtures that are changed.
const VALIDATORS: [u64; 3] = [5, 33, 161];

/// A verifier that runs on a node.
struct Verifier {
    l1: L1Node,
    address: Address,
    fork: Fork,
}

impl Verifier {
    /// The compiled contract, put onto a fresh node.
    async fn start(toolchain: &Toolchain, fork: Fork, name: &str) -> Result<Self> {
        let path = toolchain.root().join(format!("out/{name}.sol/{name}.json"));
        let text = std::fs::read_to_string(&path).wrap_err("`forge build` makes it")?;
        let artefact: serde_json::Value = serde_json::from_str(&text)?;
        let code: Bytes = artefact["deployedBytecode"]["object"].as_str().ok_or_else(|| eyre!("no code"))?.parse()?;
        let l1 = L1Node::start(toolchain, 1).await?;
        let address = Address::repeat_byte(0xba);
        l1.provider().anvil_set_code(address, code).await?;
        Ok(Self { l1, address, fork })
    }

    /// Whether a call returns. The proofs' shapes are the same in every ABI.
    async fn accepts(&self, selector: [u8; 4], parameters: Vec<u8>) -> bool {
        let input = Bytes::from([selector.as_slice(), &parameters].concat());
        let request = alloy::rpc::types::TransactionRequest::default().to(self.address).input(input.into());
        self.l1.provider().call(request).await.is_ok()
    }

    /// Contract and Rust must agree on a lookahead's proof.
    async fn judge_lookahead(&self, root: B256, proof: &LookaheadProof) -> bool {
        let parameters = (root, IRegistry::LookaheadProof::from(proof.clone())).abi_encode_params();
        let accepted = self.accepts(IBeaconStateVerifier::verifyLookaheadCall::SELECTOR, parameters).await;
        assert_eq!(accepted, proof.holds(self.fork, root), "contract and Rust disagree about {proof:?}");
        accepted
    }

    /// Contract and Rust must agree on a validator's proof.
    async fn judge_validator(&self, root: B256, proof: &ValidatorProof) -> bool {
        let parameters = (root, IRegistry::ValidatorProof::from(proof.clone())).abi_encode_params();
        let accepted = self.accepts(IBeaconStateVerifier::verifyValidatorCall::SELECTOR, parameters).await;
        assert_eq!(accepted, proof.holds(self.fork, root), "contract and Rust disagree about {proof:?}");
        accepted
    }
}

/// A fixture with random bytes in random places; none if they hit what the rest hangs on, such as an offset.
fn random_state(fixture: &[u8], fork: Fork, wanted: u64, random: &mut StdRng) -> Option<ProvenState> {
    let mut state = fixture.to_vec();
    for _ in 0..CHANGES {
        // Most bytes are empty histories: half of the changes go to the lists at the end.
        let from = if random.random() { 0 } else { state.len() - state.len() / 64 };
        let place = random.random_range(from..state.len());
        state[place] = random.random();
    }
    let mut prover = StateProver::new(fork, Some(state.len() as u64), [wanted]);
    for portion in state.chunks(random.random_range(1_000..1_000_000)) {
        prover.push(portion).ok()?;
    }
    prover.finish().ok()
}

fn flip(bytes: &mut B256, random: &mut StdRng) {
    bytes[random.random_range(0..32)] ^= 1 << random.random_range(0..8);
}

async fn agree(fork: Fork, contract: &str) -> Result<()> {
    let toolchain = Toolchain::find()?;
    let verifier = Verifier::start(&toolchain, fork, contract).await?;
    let mut judged = 0;
    for seed in 0..CASES {
        let mut random = StdRng::seed_from_u64(seed);
        let count = VALIDATORS[random.random_range(0..VALIDATORS.len())];
        let file = toolchain.root().join(format!("contracts/vectors/beacon/{fork}-{count}.ssz.br"));
        let mut fixture = Vec::new();
        brotli::Decompressor::new(std::fs::File::open(file)?, 4096).read_to_end(&mut fixture)?;
        let index = random.random_range(0..count);
        let Some(state) = random_state(&fixture, fork, index, &mut random) else { continue };
        judged += 1;

        let header = BeaconHeader {
            slot: state.slot,
            proposer_index: random.random(),
            parent_root: B256::from(random.random::<[u8; 32]>()),
            state_root: state.state_root,
            body_root: B256::from(random.random::<[u8; 32]>()),
        };
        let root = header.root();
        let lookahead = state.prove_lookahead(header)?;
        let validator = state.prove_validator(header, index)?;
        assert!(verifier.judge_lookahead(root, &lookahead).await, "seed {seed}: a proof is refused");
        assert!(verifier.judge_validator(root, &validator).await, "seed {seed}: a proof is refused");

        let mut wrong = lookahead.clone();
        flip(&mut wrong.chunks[random.random_range(0..8)], &mut random);
        assert!(!verifier.judge_lookahead(root, &wrong).await, "seed {seed}: another proposer passes");
        let mut wrong = lookahead.clone();
        let place = random.random_range(0..wrong.branch.len());
        flip(&mut wrong.branch[place], &mut random);
        assert!(!verifier.judge_lookahead(root, &wrong).await, "seed {seed}: another branch passes");
        let mut wrong = lookahead.clone();
        wrong.header.slot ^= 1 << random.random_range(0..64);
        assert!(!verifier.judge_lookahead(root, &wrong).await, "seed {seed}: another slot passes");
        let mut wrong = lookahead;
        if random.random() {
            wrong.branch.pop();
        } else {
            wrong.branch.push(B256::ZERO);
        }
        assert!(!verifier.judge_lookahead(root, &wrong).await, "seed {seed}: another length passes");

        let mut wrong = validator.clone();
        flip(&mut wrong.withdrawal_credentials, &mut random);
        assert!(!verifier.judge_validator(root, &wrong).await, "seed {seed}: other credentials pass");
        let mut wrong = validator.clone();
        wrong.index ^= 1 << random.random_range(0..64);
        assert!(!verifier.judge_validator(root, &wrong).await, "seed {seed}: another index passes");
        let mut wrong = validator;
        let place = random.random_range(0..wrong.branch.len());
        flip(&mut wrong.branch[place], &mut random);
        assert!(!verifier.judge_validator(root, &wrong).await, "seed {seed}: another branch passes");
    }
    assert!(judged >= CASES / 2, "only {judged} of {CASES} states could be read");
    Ok(())
}

#[tokio::test]
async fn rust_and_solidity_agree_on_random_fulu_states() -> Result<()> {
    agree(Fork::Fulu, "FuluVerifier").await
}

#[tokio::test]
async fn rust_and_solidity_agree_on_random_gloas_states() -> Result<()> {
    agree(Fork::Gloas, "GloasVerifier").await
}

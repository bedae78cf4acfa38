//! Proofs made in Rust against the contracts that judge them, on random states: what one calls true the other does, and what one refuses too.
//!
//! The states are Lodestar's fixtures with random bytes in random places, so that every field differs and none is made by our own writer. The
//! contracts run on anvil.

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, FixedBytes, U256, address},
    providers::{Provider, ext::AnvilApi},
    rpc::types::{BlockOverrides, TransactionRequest},
    sol_types::{SolCall, SolError, SolValue},
};
use baton_bindings::{
    IBeaconStateVerifier,
    IRegistry::{self, RegistryParameters},
};
use baton_devnet::{l1::L1Node, toolchain::Toolchain};
use baton_protocol::{
    SLOTS_PER_EPOCH,
    beacon::{BeaconHeader, Fork, LookaheadProof, ProvenState, StateProver, ValidatorProof},
};
use eyre::{Result, WrapErr, ensure, eyre};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::io::Read;

/// States of each fork.
const CASES: u64 = 32;
/// Bytes of each that are replaced.
const CHANGES: usize = 40;
/// Where the field after a state's slot begins.
const AFTER_SLOT: usize = 48;
/// Registry sizes of the fixtures that are changed.
const VALIDATORS: [u64; 3] = [5, 33, 161];

/// Seconds of a slot.
const SLOT_LENGTH: u64 = 12;
/// EIP-4788's contract and the length of its ring.
const BEACON_ROOTS: Address = address!("000F3df6D732807Ef1319fB7B8bB8522d0Beac02");
const RING: u64 = 8191;

/// A registry with a fork's verifier, on a node.
struct Judge {
    l1: L1Node,
    registry: Address,
    verifier: Address,
    fork: Fork,
}

impl Judge {
    async fn start(toolchain: &Toolchain, fork: Fork, verifier: &str) -> Result<Self> {
        let l1 = L1Node::start(toolchain, 1).await?;
        let verifier = deploy(&l1, code(toolchain, verifier)?).await?;
        let parameters = RegistryParameters {
            l1GenesisTime: 0,
            slotLength: SLOT_LENGTH,
            l2BlockTime: 1,
            settlementDelay: 2,
            margin: 16,
            turn: 8,
            minChances: 3,
            evidenceHorizon: 256,
            exitDelay: 320,
            registrationFee: U256::ZERO,
            penaltyThreshold: U256::MAX,
            refundThreshold: U256::MAX,
            largeFault: U256::from(1),
            blockPrice: U256::from(1),
            operator: Address::repeat_byte(1),
            fallbackKey: Address::repeat_byte(2),
            inbox: Address::repeat_byte(3),
            genesisForkVersion: FixedBytes::ZERO,
            timelock: Address::repeat_byte(4),
            firstForkSlot: 0,
            firstVerifier: verifier,
        };
        let code = [code(toolchain, "Registry")?.as_ref(), &parameters.abi_encode()].concat();
        let registry = deploy(&l1, code.into()).await?;
        Ok(Self { l1, registry, verifier, fork })
    }

    /// Runs a call at a time and says whether it returns.
    async fn accepts(&self, to: Address, input: Vec<u8>, timestamp: u64) -> Result<bool> {
        let request = TransactionRequest::default().to(to).input(Bytes::from(input).into());
        let at = BlockOverrides { time: Some(timestamp), ..BlockOverrides::default() };
        let Err(error) = self.l1.provider().call(request).with_block_overrides(at).await else { return Ok(true) };
        let Some(data) = error.as_error_resp().and_then(|error| error.as_revert_data()) else {
            return Err(error.into());
        };
        // Refused for what the proof is to blame for, and for nothing else.
        let known = [
            IRegistry::WrongBlockRoot::SELECTOR,
            IRegistry::WrongStateRoot::SELECTOR,
            IRegistry::WrongBranchLength::SELECTOR,
            IRegistry::WrongEpoch::SELECTOR,
            IBeaconStateVerifier::ValidatorIndexTooLarge::SELECTOR,
        ];
        ensure!(known.iter().any(|known| data.starts_with(known)), "refused for another reason: {data}");
        Ok(false)
    }

    /// Contract and Rust must agree on a lookahead's proof, published in the epoch of `slot`.
    async fn judge_lookahead(&self, root: B256, slot: u64, proof: &LookaheadProof) -> Result<bool> {
        let epoch = slot / SLOTS_PER_EPOCH;
        let timestamp = (epoch * SLOTS_PER_EPOCH + 3) * SLOT_LENGTH;
        let provider = self.l1.provider();
        let place = timestamp % RING;
        provider.anvil_set_storage_at(BEACON_ROOTS, U256::from(place), U256::from(timestamp).into()).await?;
        provider.anvil_set_storage_at(BEACON_ROOTS, U256::from(place + RING), root).await?;
        let call = IRegistry::publishCall { epoch: epoch + 1, timestamp, proof: proof.clone().into() };
        let accepted = self.accepts(self.registry, call.abi_encode(), timestamp).await?;
        // That the slot lies in the epoch is the contract's question alone.
        let expected = proof.holds(self.fork, root) && proof.header.slot / SLOTS_PER_EPOCH == epoch;
        ensure!(accepted == expected, "contract and Rust disagree about {proof:?}");
        Ok(accepted)
    }

    /// Contract and Rust must agree on a validator's proof.
    async fn judge_validator(&self, root: B256, proof: &ValidatorProof) -> Result<bool> {
        // The proofs' shapes are the same in every ABI.
        let parameters = (root, IRegistry::ValidatorProof::from(proof.clone())).abi_encode_params();
        let input = [IBeaconStateVerifier::verifyValidatorCall::SELECTOR.as_slice(), &parameters].concat();
        let accepted = self.accepts(self.verifier, input, 1).await?;
        ensure!(accepted == proof.holds(self.fork, root), "contract and Rust disagree about {proof:?}");
        Ok(accepted)
    }
}

/// A compiled contract's creation code.
fn code(toolchain: &Toolchain, name: &str) -> Result<Bytes> {
    let path = toolchain.root().join(format!("out/{name}.sol/{name}.json"));
    let text = std::fs::read_to_string(&path).wrap_err("`forge build` makes it")?;
    let artefact: serde_json::Value = serde_json::from_str(&text)?;
    Ok(artefact["bytecode"]["object"].as_str().ok_or_else(|| eyre!("{name} has no code"))?.parse()?)
}

async fn deploy(l1: &L1Node, code: Bytes) -> Result<Address> {
    let provider = l1.provider();
    let account = provider.get_accounts().await?[0];
    let transaction = TransactionRequest::default().from(account).with_deploy_code(code);
    let hash = *provider.send_transaction(transaction).await?.tx_hash();
    provider.evm_mine(None).await?;
    let receipt = provider.get_transaction_receipt(hash).await?.ok_or_else(|| eyre!("not mined"))?;
    ensure!(receipt.status(), "the deployment reverted");
    receipt.contract_address.ok_or_else(|| eyre!("no contract"))
}

/// A fixture with random bytes in random places; none if they hit what the rest hangs on, such as an offset.
fn random_state(fixture: &[u8], fork: Fork, wanted: u64, random: &mut StdRng) -> Option<ProvenState> {
    let mut state = fixture.to_vec();
    for _ in 0..CHANGES {
        // Most bytes are empty histories: half of the changes go to the lists at the end.
        // The slot stays: times are made from it.
        let from = if random.random() { AFTER_SLOT } else { state.len() - state.len() / 64 };
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
    let judge = Judge::start(&toolchain, fork, contract).await?;
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
        let (root, slot) = (header.root(), state.slot);
        let lookahead = state.prove_lookahead(header)?;
        let validator = state.prove_validator(header, index)?;
        assert!(judge.judge_lookahead(root, slot, &lookahead).await?, "seed {seed}: a proof is refused");
        assert!(judge.judge_validator(root, &validator).await?, "seed {seed}: a proof is refused");

        let mut wrong = lookahead.clone();
        flip(&mut wrong.chunks[random.random_range(0..8)], &mut random);
        assert!(!judge.judge_lookahead(root, slot, &wrong).await?, "seed {seed}: another proposer passes");
        let mut wrong = lookahead.clone();
        let place = random.random_range(0..wrong.branch.len());
        flip(&mut wrong.branch[place], &mut random);
        assert!(!judge.judge_lookahead(root, slot, &wrong).await?, "seed {seed}: another branch passes");
        let mut wrong = lookahead.clone();
        wrong.header.slot ^= 1 << random.random_range(0..64);
        assert!(!judge.judge_lookahead(root, slot, &wrong).await?, "seed {seed}: another slot passes");
        let mut wrong = lookahead;
        if random.random() {
            wrong.branch.pop();
        } else {
            wrong.branch.push(B256::ZERO);
        }
        assert!(!judge.judge_lookahead(root, slot, &wrong).await?, "seed {seed}: another length passes");

        let mut wrong = validator.clone();
        flip(&mut wrong.withdrawal_credentials, &mut random);
        assert!(!judge.judge_validator(root, &wrong).await?, "seed {seed}: other credentials pass");
        let mut wrong = validator.clone();
        wrong.index ^= 1 << random.random_range(0..64);
        assert!(!judge.judge_validator(root, &wrong).await?, "seed {seed}: another index passes");
        let mut wrong = validator;
        let place = random.random_range(0..wrong.branch.len());
        flip(&mut wrong.branch[place], &mut random);
        assert!(!judge.judge_validator(root, &wrong).await?, "seed {seed}: another branch passes");
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

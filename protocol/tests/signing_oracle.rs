//! EIP-712 hashing and signing against ethers-signers, an implementation that shares no code with alloy.

use alloy::{
    primitives::{Address, B256, Signature},
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_protocol::{Domain, Receipt, SignatureError, SignedSoftBlock, SoftBlock};
use ethers_core::types::transaction::eip712::{Eip712, TypedData};
use ethers_signers::{LocalWallet, Signer};
use proptest::prelude::*;
use serde_json::{Value, json};

fn typed_data(domain: &Domain, primary: &str, fields: &[(&str, &str)], message: Value) -> TypedData {
    let fields: Vec<Value> = fields.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
    serde_json::from_value(json!({
        "types": {
            "EIP712Domain": [
                { "name": "name", "type": "string" },
                { "name": "version", "type": "string" },
                { "name": "chainId", "type": "uint256" },
                { "name": "verifyingContract", "type": "address" },
            ],
            primary: fields,
        },
        "primaryType": primary,
        "domain": {
            "name": "Baton",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": domain.inbox,
        },
        "message": message,
    }))
    .expect("well-formed typed data")
}

fn soft_block_typed(domain: &Domain, block: &SoftBlock) -> TypedData {
    let fields = [
        ("number", "uint64"),
        ("parentLink", "bytes32"),
        ("blockHash", "bytes32"),
        ("anchorNumber", "uint64"),
        ("anchorHash", "bytes32"),
    ];
    typed_data(domain, "SoftBlock", &fields, serde_json::to_value(block).expect("serialises"))
}

fn receipt_typed(domain: &Domain, receipt: &Receipt) -> TypedData {
    let fields = [
        ("number", "uint64"),
        ("parentLink", "bytes32"),
        ("txIndex", "uint32"),
        ("txHash", "bytes32"),
        ("payee", "address"),
        ("anchorNumber", "uint64"),
        ("anchorHash", "bytes32"),
    ];
    typed_data(domain, "Receipt", &fields, serde_json::to_value(receipt).expect("serialises"))
}

fn word() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::from)
}

fn domain() -> impl Strategy<Value = Domain> {
    (1u64..1 << 53, any::<[u8; 20]>()).prop_map(|(chain_id, inbox)| Domain { chain_id, inbox: Address::from(inbox) })
}

prop_compose! {
    fn soft_block()(number in 0u64..1 << 53, parent in word(), hash in word(), anchor in 0u64..1 << 53, anchor_hash in word()) -> SoftBlock {
        SoftBlock { number, parentLink: parent, blockHash: hash, anchorNumber: anchor, anchorHash: anchor_hash }
    }
}

prop_compose! {
    fn receipt()(block in soft_block(), index in any::<u32>(), payee in any::<[u8; 20]>()) -> Receipt {
        Receipt {
            number: block.number,
            parentLink: block.parentLink,
            txIndex: index,
            txHash: block.blockHash,
            payee: Address::from(payee),
            anchorNumber: block.anchorNumber,
            anchorHash: block.anchorHash,
        }
    }
}

fn key() -> impl Strategy<Value = B256> {
    word().prop_filter("a valid key", |key| PrivateKeySigner::from_bytes(key).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn soft_block_digests_agree(domain in domain(), block in soft_block()) {
        let theirs = soft_block_typed(&domain, &block).encode_eip712().expect("encodes");
        prop_assert_eq!(block.digest(&domain), B256::from(theirs));
    }

    #[test]
    fn receipt_digests_agree(domain in domain(), receipt in receipt()) {
        let theirs = receipt_typed(&domain, &receipt).encode_eip712().expect("encodes");
        prop_assert_eq!(receipt.digest(&domain), B256::from(theirs));
    }

    #[test]
    fn signatures_agree(domain in domain(), block in soft_block(), key in key()) {
        let ours = PrivateKeySigner::from_bytes(&key).expect("filtered");
        let theirs = LocalWallet::from_bytes(key.as_slice()).expect("the same key");
        let signature = ours.sign_hash_sync(&block.digest(&domain)).expect("signs");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let oracle = runtime.block_on(theirs.sign_typed_data(&soft_block_typed(&domain, &block))).expect("signs");
        // Both are deterministic (RFC 6979) and normalise s, so the bytes agree.
        prop_assert_eq!(signature.as_bytes().to_vec(), oracle.to_vec());
        let signed = SignedSoftBlock { soft_block: block, signature };
        prop_assert_eq!(signed.verify(&domain, ours.address()), Ok(()));
    }

    #[test]
    fn twins_and_strangers_bind_nobody(domain in domain(), block in soft_block(), key in key(), other in any::<[u8; 20]>()) {
        let signer = PrivateKeySigner::from_bytes(&key).expect("filtered");
        let signature = signer.sign_hash_sync(&block.digest(&domain)).expect("signs");
        // [L5]: the twin with n - s recovers to the same key, and is refused.
        let order = alloy::primitives::U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).expect("constant");
        let twin = Signature::new(signature.r(), order - signature.s(), !signature.v());
        let signed = |signature| SignedSoftBlock { soft_block: block.clone(), signature };
        prop_assert_eq!(signed(twin).verify(&domain, signer.address()), Err(SignatureError::HighS));
        let stranger = Address::from(other);
        prop_assume!(stranger != signer.address());
        prop_assert_eq!(
            signed(signature).verify(&domain, stranger),
            Err(SignatureError::WrongSigner { recovered: signer.address(), expected: stranger })
        );
        // Another inbox or chain is another domain.
        let elsewhere = Domain { chain_id: domain.chain_id + 1, ..domain };
        prop_assert!(signed(signature).verify(&elsewhere, signer.address()).is_err());
    }
}

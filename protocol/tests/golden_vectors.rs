//! The golden vectors that the Solidity suite reads too, made by a third implementation (`contracts/vectors/generate.mjs`).

use alloy::{
    primitives::{Address, B256, Signature},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::SolStruct,
};
use baton_protocol::{Domain, Link, Receipt, SignatureError, SoftBlock};
use serde_json::Value;
use std::path::Path;

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/vectors/eip712.json");
    let text = std::fs::read_to_string(path).expect("the vectors are there");
    serde_json::from_str(&text).expect("JSON")
}

fn field<T: std::str::FromStr<Err: std::fmt::Debug>>(vector: &Value, name: &str) -> T {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} is a string")).parse().expect(name)
}

fn domain(vectors: &Value) -> Domain {
    let domain = &vectors["domain"];
    assert_eq!(domain["name"], "Baton");
    assert_eq!(domain["version"], "1");
    Domain { chain_id: domain["chainId"].as_u64().expect("a number"), inbox: field(domain, "verifyingContract") }
}

fn soft_block(vector: &Value) -> SoftBlock {
    SoftBlock {
        number: field(vector, "number"),
        parentLink: field(vector, "parentLink"),
        blockHash: field(vector, "blockHash"),
        anchorNumber: field(vector, "anchorNumber"),
        anchorHash: field(vector, "anchorHash"),
    }
}

fn receipt(vector: &Value) -> Receipt {
    Receipt {
        number: field(vector, "number"),
        parentLink: field(vector, "parentLink"),
        txIndex: field(vector, "txIndex"),
        txHash: field(vector, "txHash"),
        payee: field(vector, "payee"),
        anchorNumber: field(vector, "anchorNumber"),
        anchorHash: field(vector, "anchorHash"),
    }
}

/// Digest, signature, and the refused twin of one signed struct.
fn check(vector: &Value, digest: B256, struct_hash: B256) {
    assert_eq!(struct_hash, field::<B256>(vector, "structHash"));
    assert_eq!(digest, field::<B256>(vector, "digest"));
    let signer: Address = field(vector, "signer");
    let key = PrivateKeySigner::from_bytes(&field(vector, "privateKey")).expect("a key");
    assert_eq!(key.address(), signer);
    let signature: Signature = field(vector, "signature");
    assert_eq!(key.sign_hash_sync(&digest).expect("signs"), signature);
    assert_eq!(Domain::verify(digest, &signature, signer), Ok(()));
    // [L5]
    let twin: Signature = field(vector, "highSignature");
    assert_eq!(Domain::verify(digest, &twin, signer), Err(SignatureError::HighS));
}

#[test]
fn domain_and_type_hashes_agree() {
    let vectors = vectors();
    assert_eq!(domain(&vectors).eip712().separator(), field::<B256>(&vectors["domain"], "separator"));
    let block = soft_block(&vectors["softBlocks"][0]);
    assert_eq!(block.eip712_type_hash(), field::<B256>(&vectors["typeHashes"], "SoftBlock"));
    let receipt = receipt(&vectors["receipts"][0]);
    assert_eq!(receipt.eip712_type_hash(), field::<B256>(&vectors["typeHashes"], "Receipt"));
}

#[test]
fn soft_blocks_agree() {
    let vectors = vectors();
    let domain = domain(&vectors);
    let list = vectors["softBlocks"].as_array().expect("a list");
    assert!(!list.is_empty());
    for vector in list {
        let block = soft_block(vector);
        check(vector, block.digest(&domain), block.eip712_hash_struct());
    }
}

#[test]
fn receipts_agree() {
    let vectors = vectors();
    let domain = domain(&vectors);
    let list = vectors["receipts"].as_array().expect("a list");
    assert!(!list.is_empty());
    for vector in list {
        let receipt = receipt(vector);
        check(vector, receipt.digest(&domain), receipt.eip712_hash_struct());
    }
}

#[test]
fn links_agree() {
    // [L1]
    let vectors = vectors();
    let chain = &vectors["chain"];
    let words = |name: &str| -> Vec<B256> { serde_json::from_value(chain[name].clone()).expect("words") };
    let links = words("links");
    let mut link = Link(field(chain, "genesisLink"));
    for (hash, expected) in words("blockHashes").into_iter().zip(&links) {
        link = link.then(hash);
        assert_eq!(link.0, *expected);
    }
    assert_eq!(Some(&link.0), links.last());
}

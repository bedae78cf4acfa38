//! Delegations and BLS signatures against noble, Lodestar, ethers and Commit-Boost (`contracts/vectors/bls.mjs`), which the
//! Solidity suite reads too.

use std::{path::Path, str::FromStr};

use alloy::primitives::{Address, B256, Bytes, FixedBytes};
use alloy_sol_types::SolStruct;
use baton_protocol::delegation::{
    BlsError, BlsPublicKey, BlsSecretKey, BlsSignature, Delegation, DelegationDomain, ProposerCommitment, SIGNING_ID,
    domain,
};
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).expect("the vectors are there")).expect("JSON")
}

fn list<'a>(vector: &'a Value, name: &str) -> &'a [Value] {
    let list = vector[name].as_array().unwrap_or_else(|| panic!("{name} is a list"));
    assert!(!list.is_empty());
    list
}

fn field<T: FromStr<Err: std::fmt::Debug>>(vector: &Value, name: &str) -> T {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} is a string")).parse().expect(name)
}

fn delegation(vector: &Value) -> Delegation {
    Delegation {
        validatorIndex: field(vector, "validatorIndex"),
        gateway: field(vector, "gateway"),
        nonce: field(vector, "nonce"),
        deadline: field(vector, "deadline"),
    }
}

fn delegation_domain(vector: &Value) -> DelegationDomain {
    DelegationDomain {
        chain_id: field(vector, "chainId"),
        registry: field::<Address>(vector, "registry"),
        genesis_fork_version: field(vector, "genesisForkVersion"),
    }
}

#[test]
fn delegations_are_signed_as_by_the_reference() {
    let vectors = vectors("delegations.json");
    assert_eq!(SIGNING_ID, field::<B256>(&vectors, "signingId"));
    for vector in list(&vectors, "delegations") {
        let (message, place) = (delegation(vector), delegation_domain(vector));
        assert_eq!(message.eip712_type_hash(), field::<B256>(&vectors, "typeHash"));
        assert_eq!(message.eip712_hash_struct(), field::<B256>(vector, "structHash"));
        assert_eq!(place.digest(&message), field::<B256>(vector, "digest"));
        assert_eq!(domain(place.genesis_fork_version), field::<B256>(vector, "domain"));
        assert_eq!(place.commitment(&message).root(), field::<B256>(vector, "objectRoot"));
        let root = place.signing_root(&message);
        assert_eq!(root, field::<B256>(vector, "signingRoot"));

        let key: BlsSecretKey = field(vector, "secretKey");
        let public = key.public_key();
        assert_eq!(public.to_compressed(), field::<FixedBytes<48>>(vector, "pubkey"));
        assert_eq!(public.root(), field::<B256>(vector, "pubkeyRoot"));
        assert_eq!(public.to_eip2537()[..], field::<Bytes>(vector, "pubkeyPoint")[..]);
        assert_eq!(BlsPublicKey::from_compressed(&public.to_compressed()), Ok(public));
        let signature = key.sign(root);
        assert_eq!(signature.to_compressed(), field::<FixedBytes<96>>(vector, "signature"));
        assert_eq!(signature.to_eip2537()[..], field::<Bytes>(vector, "signaturePoint")[..]);
        assert_eq!(BlsSignature::from_compressed(&signature.to_compressed()), Ok(signature));
        assert_eq!(signature.verify(root, &public), Ok(()));
    }
}

/// Every part of the message, and of where it holds, is in what is signed.
#[test]
fn nothing_can_be_changed_afterwards() {
    let vectors = vectors("delegations.json");
    let vector = &list(&vectors, "delegations")[2];
    let (message, place) = (delegation(vector), delegation_domain(vector));
    let key: BlsSecretKey = field(vector, "secretKey");
    let signature = key.sign(place.signing_root(&message));
    let others = [
        (Delegation { validatorIndex: 0, ..message.clone() }, place),
        (Delegation { gateway: 0, ..message.clone() }, place),
        (Delegation { nonce: 0, ..message.clone() }, place),
        (Delegation { deadline: 0, ..message.clone() }, place),
        (message.clone(), DelegationDomain { chain_id: 1, ..place }),
        (message.clone(), DelegationDomain { registry: Address::ZERO, ..place }),
        (message.clone(), DelegationDomain { genesis_fork_version: FixedBytes::ZERO, ..place }),
    ];
    for (message, place) in others {
        assert_eq!(
            signature.verify(place.signing_root(&message), &key.public_key()),
            Err(BlsError::Mismatch),
            "{message:?}"
        );
    }
    let other: BlsSecretKey = field(&list(&vectors, "delegations")[0], "secretKey");
    assert_eq!(signature.verify(place.signing_root(&message), &other.public_key()), Err(BlsError::Mismatch));
}

#[test]
fn commitments_are_wrapped_as_commit_boost_does() {
    let vector = &vectors("delegations.json")["commitBoost"];
    let commitment = ProposerCommitment {
        data: field(vector, "data"),
        signing_id: field(vector, "signingId"),
        nonce: field(vector, "nonce"),
        chain_id: field(vector, "chainId"),
    };
    let domain = domain(field(vector, "genesisForkVersion"));
    assert_eq!(domain, field::<B256>(vector, "domain"));
    assert_eq!(commitment.root(), field::<B256>(vector, "objectRoot"));
    assert_eq!(commitment.signing_root(domain), field::<B256>(vector, "signingRoot"));
}

#[test]
fn ethereums_bls_cases_come_out_as_they_should() {
    let vectors = vectors("bls.json");
    let mut valid = 0;
    for case in list(&vectors, "verify") {
        let name = case["name"].as_str().expect("a name");
        let key = BlsPublicKey::from_compressed(&field(case, "pubkey"));
        let signature = BlsSignature::from_compressed(&field(case, "signature"));
        let outcome =
            key.and_then(|key| signature.and_then(|signature| signature.verify(field(case, "message"), &key)));
        let refused = match name {
            "pubkey_outside_subgroup" | "pubkey_moved_out_of_subgroup" => Some(BlsError::PublicKey),
            "infinity_pubkey" | "infinity_pubkey_and_infinity_signature" => Some(BlsError::PublicKey),
            "signature_outside_subgroup" | "signature_moved_out_of_subgroup" | "infinity_signature" => {
                Some(BlsError::Signature)
            }
            _ if name.starts_with("tampered") => Some(BlsError::Signature),
            _ if name.starts_with("wrong") => Some(BlsError::Mismatch),
            _ => None,
        };
        assert_eq!(outcome.err(), refused, "{name}");
        assert_eq!(refused.is_none(), case["output"].as_bool().expect("an outcome"), "{name}");
        if let (Ok(key), Ok(signature), None) = (key, signature, refused) {
            assert_eq!(key.to_eip2537()[..], field::<Bytes>(case, "pubkeyPoint")[..], "{name}");
            assert_eq!(signature.to_eip2537()[..], field::<Bytes>(case, "signaturePoint")[..], "{name}");
            valid += 1;
        }
    }
    assert_eq!(valid, 10);
}

#[test]
fn secret_keys_are_checked_and_never_shown() {
    let key: BlsSecretKey = format!(" {}\n", "07".repeat(32)).parse().expect("a key");
    assert_eq!(format!("{key:?}"), "BlsSecretKey(..)");
    let order = "0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
    for wrong in ["", "07", "zz", order, &"00".repeat(32), &"07".repeat(33)] {
        let error = wrong.parse::<BlsSecretKey>().expect_err("not a key");
        assert_eq!(error, BlsError::SecretKey);
        assert!(wrong.len() < 4 || !error.to_string().contains(wrong));
    }
}

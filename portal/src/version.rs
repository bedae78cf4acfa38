//! The Engine API's payload calls by fork, as data: a fork that brings new versions is a new line here.

use std::fmt;

/// A payload call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// `engine_forkchoiceUpdated`
    ForkchoiceUpdated,
    /// `engine_getPayload`
    GetPayload,
    /// `engine_newPayload`
    NewPayload,
}

const NAMES: [(&str, Name); 3] = [
    ("engine_forkchoiceUpdatedV", Name::ForkchoiceUpdated),
    ("engine_getPayloadV", Name::GetPayload),
    ("engine_newPayloadV", Name::NewPayload),
];

/// Name and version of a payload call; `None` for any other method.
pub fn parse(method: &str) -> Option<(Name, u8)> {
    NAMES.iter().find_map(|(prefix, name)| {
        let version = method.strip_prefix(prefix)?;
        // No leading zeros and no sign: what isn't a version as the specification writes it is somebody else's method.
        let digits = !version.starts_with('0') && version.bytes().all(|byte| byte.is_ascii_digit());
        Some((*name, digits.then(|| version.parse().ok())??))
    })
}

/// A field of payloads that forks have added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `withdrawals`, from Canyon on. The attributes say whether a block has the list.
    Withdrawals,
    /// `blobGasUsed`, from Ecotone on.
    BlobGasUsed,
    /// `excessBlobGas`, from Ecotone on.
    ExcessBlobGas,
    /// `withdrawalsRoot`, from Isthmus on. op-geth writes it before that too.
    WithdrawalsRoot,
    /// `blockAccessList`, Amsterdam's as drafted.
    BlockAccessList,
    /// `slotNumber`, likewise.
    SlotNumber,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Withdrawals => "withdrawals",
            Self::BlobGasUsed => "blobGasUsed",
            Self::ExcessBlobGas => "excessBlobGas",
            Self::WithdrawalsRoot => "withdrawalsRoot",
            Self::BlockAccessList => "blockAccessList",
            Self::SlotNumber => "slotNumber",
        })
    }
}

/// Which of those fields a payload has, in the order of [`Field`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub [bool; 6]);

impl Fields {
    /// Whether it has one.
    pub const fn has(self, field: Field) -> bool {
        self.0[field as usize]
    }
}

/// Which versions a fork uses, what its `newPayload` takes beside the payload, and what it can't take a payload without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The OP Stack's name; for drafts, the L1 fork's.
    pub name: &'static str,
    /// Version of `forkchoiceUpdated` with attributes. Without them op-node sends V3 on every fork.
    pub forkchoice_updated: u8,
    /// Version of `getPayload`.
    pub get_payload: u8,
    /// Version of the `newPayload` that takes its payload.
    pub new_payload: u8,
    /// Whether envelope and `newPayload` carry the parent beacon block root (and blob hashes, none on the OP Stack).
    pub beacon_root: bool,
    /// Whether envelope and `newPayload` carry execution requests.
    pub requests: bool,
    /// The fields that its payloads can't lack. Drafted ones aren't among them: the OP Stack may take a fork without them.
    pub fields: &'static [Field],
}

const fn fork(name: &'static str, [fcu, get, new]: [u8; 3], beacon_root: bool, requests: bool) -> Fork {
    let fields: &[Field] = match new {
        ..=2 => &[],
        3 => &[Field::BlobGasUsed, Field::ExcessBlobGas],
        4.. => &[Field::BlobGasUsed, Field::ExcessBlobGas, Field::WithdrawalsRoot],
    };
    Fork { name, forkchoice_updated: fcu, get_payload: get, new_payload: new, beacon_root, requests, fields }
}

/// All forks with a payload call of their own, oldest first. Amsterdam is drafted on L1 (execution-apis) and not taken over by the OP Stack yet.
pub const FORKS: [Fork; 10] = [
    fork("canyon", [2, 2, 2], false, false),
    fork("delta", [2, 2, 2], false, false),
    fork("ecotone", [3, 3, 3], true, false),
    fork("fjord", [3, 3, 3], true, false),
    fork("granite", [3, 3, 3], true, false),
    fork("holocene", [3, 3, 3], true, false),
    fork("isthmus", [3, 4, 4], true, true),
    fork("jovian", [3, 4, 4], true, true),
    fork("karst", [3, 5, 4], true, true),
    fork("amsterdam", [4, 6, 5], true, true),
];

/// The fork whose payloads a `getPayload` version gives, the oldest of them; `None` if the version isn't known, so that only the fallback can serve it.
pub fn of_get_payload(version: u8) -> Option<&'static Fork> {
    FORKS.iter().find(|fork| fork.get_payload == version)
}

/// Methods that consensus clients expect beside the payload calls. The fallback answers them.
const OTHERS: [&str; 5] = [
    "engine_exchangeCapabilities",
    "engine_getClientVersionV1",
    "engine_getPayloadBodiesByHashV1",
    "engine_getPayloadBodiesByRangeV1",
    "engine_signalSuperchainV1",
];

/// What the portal can carry: its answer to `engine_exchangeCapabilities` if the fallback gives none, since consensus clients end without one.
pub fn capabilities() -> Vec<String> {
    let versions = |of: fn(&Fork) -> u8| {
        let mut versions: Vec<u8> = FORKS.iter().map(of).collect();
        versions.dedup();
        versions
    };
    let calls = [
        ("engine_forkchoiceUpdatedV", versions(|fork| fork.forkchoice_updated)),
        ("engine_getPayloadV", versions(|fork| fork.get_payload)),
        ("engine_newPayloadV", versions(|fork| fork.new_payload)),
    ];
    let calls =
        calls.iter().flat_map(|(name, versions)| versions.iter().map(move |version| format!("{name}{version}")));
    // By specification the call itself isn't in the list.
    calls.chain(OTHERS.iter().skip(1).map(|name| (*name).to_owned())).collect()
}

/// A method as metrics name it: few values, whatever callers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The method without its version.
    pub method: &'static str,
    /// The version; 0 for methods without.
    pub version: u8,
}

/// Prefixes that get a label of their own.
const PREFIXES: [&str; 11] = [
    "engine_exchangeCapabilities",
    "engine_getClientVersion",
    "engine_getPayloadBodies",
    "engine_signalSuperchain",
    "engine_",
    "eth_sendRawTransaction",
    "eth_",
    "miner_",
    "registry_",
    "debug_",
    "net_",
];

/// Names a method for metrics. Callers choose names and versions; labels must not be theirs to multiply.
pub fn label(method: &str) -> Label {
    if let Some((name, version)) = parse(method) {
        let known = FORKS.iter().any(|fork| {
            version
                == match name {
                    Name::ForkchoiceUpdated => fork.forkchoice_updated,
                    Name::GetPayload => fork.get_payload,
                    Name::NewPayload => fork.new_payload,
                }
        });
        let version = if known { version } else { 0 };
        return Label { method: name.method(), version };
    }
    Label { method: PREFIXES.into_iter().find(|prefix| method.starts_with(prefix)).unwrap_or("other"), version: 0 }
}

impl Name {
    /// The method's name without version.
    pub const fn method(self) -> &'static str {
        match self {
            Self::ForkchoiceUpdated => "engine_forkchoiceUpdated",
            Self::GetPayload => "engine_getPayload",
            Self::NewPayload => "engine_newPayload",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        assert_eq!(parse("engine_forkchoiceUpdatedV3"), Some((Name::ForkchoiceUpdated, 3)));
        assert_eq!(parse("engine_getPayloadV5"), Some((Name::GetPayload, 5)));
        assert_eq!(parse("engine_newPayloadV4"), Some((Name::NewPayload, 4)));
        for other in [
            "engine_getPayloadBodiesByHashV1",
            "engine_newPayloadV",
            "engine_newPayloadV04",
            "eth_chainId",
            "engine_newPayloadV+4",
            "engine_newPayloadV300",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn each_forks_payload_is_checked_with_its_own_version() {
        let with = |version| of_get_payload(version).map(|fork| (fork.new_payload, fork.beacon_root, fork.requests));
        assert_eq!(with(2), Some((2, false, false)));
        assert_eq!(with(3), Some((3, true, false)));
        assert_eq!(with(4), Some((4, true, true)));
        assert_eq!(with(5), Some((4, true, true)));
        assert_eq!(with(6), Some((5, true, true)));
        assert_eq!(with(1), None);
        assert_eq!(with(7), None);
    }

    #[test]
    fn each_forks_payload_has_its_fields() {
        let needs = |version| of_get_payload(version).map(|fork| fork.fields.iter().map(Field::to_string).collect());
        let ecotone = vec!["blobGasUsed".to_owned(), "excessBlobGas".to_owned()];
        let isthmus = [ecotone.clone(), vec!["withdrawalsRoot".to_owned()]].concat();
        assert_eq!([2, 3, 4, 5, 6].map(needs), [vec![], ecotone, isthmus.clone(), isthmus.clone(), isthmus].map(Some));
    }

    #[test]
    fn forks_of_one_version_agree_on_what_it_takes() {
        for one in FORKS {
            for other in FORKS.iter().filter(|other| other.get_payload == one.get_payload) {
                assert_eq!(Fork { name: one.name, ..*other }, one);
            }
        }
    }

    #[test]
    fn what_can_be_carried_is_listed_once() {
        let all = capabilities();
        for name in [
            "engine_forkchoiceUpdatedV2",
            "engine_forkchoiceUpdatedV4",
            "engine_getPayloadV5",
            "engine_newPayloadV4",
            "engine_getPayloadBodiesByHashV1",
            "engine_signalSuperchainV1",
        ] {
            assert_eq!(all.iter().filter(|known| *known == name).count(), 1, "{name} in {all:?}");
        }
        assert!(!all.iter().any(|name| name == "engine_exchangeCapabilities"));
    }

    #[test]
    fn labels_are_few() {
        assert_eq!(label("engine_newPayloadV4"), Label { method: "engine_newPayload", version: 4 });
        assert_eq!(label("engine_newPayloadV200"), Label { method: "engine_newPayload", version: 0 });
        assert_eq!(label("engine_getPayloadBodiesByHashV1").method, "engine_getPayloadBodies");
        assert_eq!(label("engine_new").method, "engine_");
        assert_eq!(label("eth_call").method, "eth_");
        assert_eq!(label("x").method, "other");
    }
}

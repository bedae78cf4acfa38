//! Versions of the Engine API's payload calls, as data: a fork that brings a new version is a new line here.

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

/// How a payload got with `getPayload` of a version is handed to `newPayload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validation {
    /// Version of `getPayload`.
    pub get_payload: u8,
    /// The `newPayload` that takes its payload.
    pub new_payload: &'static str,
    /// Whether it takes blob hashes (none on the OP Stack) and the parent beacon block root.
    pub beacon_root: bool,
    /// Whether it takes execution requests.
    pub requests: bool,
}

/// By OP Stack fork: Canyon and Delta use V2, Ecotone to Holocene V3, Isthmus and Jovian V4, Karst V5 with `newPayloadV4`.
pub const VALIDATIONS: [Validation; 4] = [
    Validation { get_payload: 2, new_payload: "engine_newPayloadV2", beacon_root: false, requests: false },
    Validation { get_payload: 3, new_payload: "engine_newPayloadV3", beacon_root: true, requests: false },
    Validation { get_payload: 4, new_payload: "engine_newPayloadV4", beacon_root: true, requests: true },
    Validation { get_payload: 5, new_payload: "engine_newPayloadV4", beacon_root: true, requests: true },
];

/// How to have a payload of a `getPayload` version checked; `None` if the version isn't known, so that only the fallback can serve it.
pub fn validation(get_payload: u8) -> Option<&'static Validation> {
    VALIDATIONS.iter().find(|line| line.get_payload == get_payload)
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
    fn each_fork_s_payload_is_checked_with_its_own_version() {
        let with = |version| validation(version).map(|line| line.new_payload);
        assert_eq!(with(2), Some("engine_newPayloadV2"));
        assert_eq!(with(3), Some("engine_newPayloadV3"));
        assert_eq!(with(4), Some("engine_newPayloadV4"));
        assert_eq!(with(5), Some("engine_newPayloadV4"));
        assert_eq!(with(1), None);
        assert_eq!(with(6), None);
    }
}

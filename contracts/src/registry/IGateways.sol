// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What a new gateway declares of itself.
struct Registration {
    /// Decides about keys, money and exit; may be a contract.
    address owner;
    /// The externally owned account that sends settlements.
    address settler;
    /// The address of the key that signs soft blocks and receipts.
    address sequencerKey;
    /// How much of the value sent becomes the penalty tranche, in wei. The rest, less the fee, becomes the refund tranche.
    uint256 penalty;
    /// Engine API, for portals.
    string endpoint;
    /// Feed of soft blocks, for other keepers.
    string feed;
}

/// @notice A gateway as of now.
struct Gateway {
    /// Decides about keys, money and exit.
    address owner;
    /// Who may accept ownership, or zero.
    address pendingOwner;
    /// The account that sends settlements.
    address settler;
    /// The key last set.
    address sequencerKey;
    /// The key before it, or zero.
    address previousKey;
    /// The first epoch in which `sequencerKey` counts.
    uint40 keyEpoch;
    /// The slot from which the gateway is ended, or zero, rule [C6].
    uint40 endedSlot;
    /// The slot from which its collateral can be withdrawn, or zero while it isn't exiting, rule [C7].
    uint40 withdrawableSlot;
    /// Whether it is in the eligible set now (which schedules it from two epochs later on).
    bool eligible;
}

/// @title The gateways
/// @notice Who the gateways are, rules [G1] to [G5].
interface IGateways {
    /// @notice A gateway registered.
    event GatewayRegistered(uint16 indexed id, address indexed owner, address settler, address sequencerKey);
    /// @notice A gateway's URLs are these from now on, rule [G2].
    event UrlsSet(uint16 indexed id, string endpoint, string feed);
    /// @notice A gateway settles from this account from now on.
    event SettlerSet(uint16 indexed id, address settler);
    /// @notice A gateway signs with this key from `epoch` on.
    event SequencerKeySet(uint16 indexed id, address key, uint256 epoch);
    /// @notice Ownership was offered.
    event OwnershipOffered(uint16 indexed id, address indexed to);
    /// @notice Ownership was accepted.
    event OwnershipAccepted(uint16 indexed id, address indexed owner);
    /// @notice A gateway was ended for good, rule [C6].
    event GatewayEnded(uint16 indexed id, uint256 slot);

    /// @notice No gateway has this id.
    error UnknownGateway(uint16 id);
    /// @notice The field must not be the zero address.
    error ZeroAddress(string field);
    /// @notice All ids are used up.
    error IdsExhausted();
    /// @notice The caller isn't the gateway's owner.
    error NotOwner(uint16 id, address caller);
    /// @notice The caller wasn't offered the gateway.
    error NotPendingOwner(uint16 id, address caller);
    /// @notice The value sent doesn't cover fee and penalty tranche.
    error ValueTooLow(uint256 sent, uint256 needed);
    /// @notice The key was changed too recently, rule [G3].
    /// @param epoch The first epoch in which it may be changed again.
    error KeyChangeTooSoon(uint256 epoch);
    /// @notice The rollup operator's entry, id 0, is no gateway, rule [G1].
    error NobodyIsNoGateway();

    /// @notice Registers a gateway, rule [G1]. The value sent is fee, penalty tranche and refund tranche.
    /// @param registration Who it is.
    /// @return id Its id, for good.
    function register(Registration calldata registration) external payable returns (uint16 id);

    /// @notice Sets the account that settles, in force at once, rule [G4]. Owner only.
    function setSettler(uint16 id, address settler) external;

    /// @notice Sets the key that signs soft blocks, in force two epochs later, rules [T6] and [G3]. Owner only. For id 0, the fallback key.
    function setSequencerKey(uint16 id, address key) external;

    /// @notice Sets both URLs. Owner only.
    function setUrls(uint16 id, string calldata endpoint, string calldata feed) external;

    /// @notice Offers the gateway to another owner, rule [G5]; zero takes the offer back. Owner only.
    function offerOwnership(uint16 id, address to) external;

    /// @notice Accepts the offer. Pending owner only.
    function acceptOwnership(uint16 id) external;

    /// @notice The gateway as of now.
    function gateway(uint16 id) external view returns (Gateway memory);

    /// @notice The owner of a gateway; zero if there is no such gateway.
    function ownerOf(uint16 id) external view returns (address);

    /// @notice The id that the next registration gets.
    function nextId() external view returns (uint16);

    /// @notice The sequencer key in force in an epoch, rule [T6]; zero if there was none yet.
    function sequencerKeyAt(uint16 id, uint256 epoch) external view returns (address);
}

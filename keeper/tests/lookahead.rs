//! Delegations and publications against the real registry: from states of the vectors to the schedule.

mod beacon_node;
mod l1_chain;

use alloy::{primitives::B256, signers::local::PrivateKeySigner};
use baton_devnet_l1::until;
use baton_keeper::{
    beacon::{BeaconClient, Progress},
    config::BeaconConfig,
    delegation::{self, ActError, SendingError, TransactionEnd, sign, standing},
    lookahead::{LookaheadDuty, OnceError, Origin, Published, publish_once, report},
    signing::Role,
    status::{LookaheadRecord, Publisher, Status, StatusBoard},
};
use baton_protocol::{
    GatewayId, Kind, SlotClock,
    beacon::Fork,
    delegation::{Delegation, DelegationDomain},
};
use baton_schedule::{Follower, FollowerConfig};
use beacon_node::{BeaconNode, Manners, VectorState};
use l1_chain::{RULES, SLOT, TestL1};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Validators of the state, some of which propose in the epoch.
const DELEGATED: [u64; 3] = [1, 14, 19];

/// A chain that has reached the fifth slot of the epoch before the one that is to be published, with two gateways, and a node that serves its state.
struct World {
    l1: TestL1,
    node: BeaconNode,
    state: VectorState,
    /// The epoch to publish.
    epoch: u64,
}

fn silent(_: Progress) {}

impl World {
    /// `on_the_way` is run two epochs earlier, early enough for what it delegates to count.
    async fn start(on_the_way: impl AsyncFnOnce(&Self)) -> Self {
        Self::with(VectorState::load(Fork::Fulu, 22), on_the_way).await
    }

    async fn with(state: VectorState, on_the_way: impl AsyncFnOnce(&Self)) -> Self {
        let epoch = SlotClock::epoch_of(state.header.slot) + 1;
        let before = SlotClock::epoch_start(epoch - 3);
        let l1 = TestL1::start(before, state.header.slot + 1).await;
        let older = VectorState::load(Fork::Fulu, 6);
        let node = BeaconNode::start(vec![state.clone(), older]).await;
        l1.register(1).await;
        l1.register(2).await;
        let world = Self { l1, node, state, epoch };
        on_the_way(&world).await;
        assert_eq!(SlotClock::epoch_of(world.l1.slot()), epoch - 3, "the world is made within an epoch");
        world
    }

    /// The epoch's first slots pass.
    async fn begin(&self) {
        self.l1.mine(self.state.header.slot + 1, self.state.root).await;
    }

    fn beacon(&self) -> BeaconClient {
        BeaconClient::new(&BeaconConfig { urls: vec![self.node.url()] }).expect("a good URL")
    }

    fn domain(&self) -> DelegationDomain {
        let genesis_fork_version = [0, 0, 0, 9].into();
        DelegationDomain { chain_id: 31337, registry: self.l1.registry(), genesis_fork_version }
    }

    async fn publisher(&self) -> PrivateKeySigner {
        let key = PrivateKeySigner::random();
        self.l1.fund(key.address()).await;
        key
    }

    /// Delegates validators to a gateway, all at once.
    async fn delegate(&self, validators: &[u64], gateway: GatewayId) -> Result<Vec<delegation::Sent>, ActError> {
        let (l1, beacon, domain) = (self.l1.l1(), self.beacon(), self.domain());
        self.l1.mine_next(self.state.root).await;
        let mut signed = Vec::new();
        for index in validators {
            let nonce = standing(&l1, *index).await.expect("read").nonce;
            let terms = Delegation { validatorIndex: *index, gateway, nonce, deadline: u64::MAX };
            signed.push(sign(&domain, &terms, &VectorState::secret(*index)));
        }
        let sender = self.l1.sender(self.l1.account().clone());
        let submitting = delegation::submit(&l1, &beacon, &sender, &domain, &signed, 0, SLOT, &silent);
        self.l1.mining(self.state.root, submitting).await
    }

    async fn kinds(&self) -> Vec<(GatewayId, Kind)> {
        let report = report(&self.l1.l1(), &self.l1.clock, Some(RULES), self.epoch).await.expect("read");
        report
            .windows
            .iter()
            .flat_map(|window| (window.first..window.end).map(|_| (window.gateway, window.kind)))
            .collect()
    }

    /// A keeper's duty. It ends with the token.
    async fn duty(&self, me: GatewayId, shutdown: &CancellationToken) -> Arc<StatusBoard> {
        let mut config = FollowerConfig::new(vec![self.l1.url.clone()], self.l1.registry(), self.l1.clock);
        config.poll_interval = Duration::from_millis(50);
        // The test mines when it likes.
        config.max_head_age = Duration::from_secs(1 << 40);
        config.past_epochs = 0;
        let mut schedule = Follower::spawn(config, shutdown.clone()).expect("a good configuration");
        schedule.known().await.expect("read");
        let board = Arc::new(StatusBoard::new(status(me)));
        let duty = LookaheadDuty {
            l1: self.l1.l1(),
            beacon: self.beacon(),
            sender: self.l1.sender(self.publisher().await),
            clock: self.l1.clock,
            rules: RULES,
            me,
            schedule,
            board: board.clone(),
            poll: Duration::from_millis(20),
        };
        tokio::spawn(duty.run(shutdown.clone()));
        board
    }
}

fn status(me: GatewayId) -> Status {
    Status {
        role: Role::Gateway,
        gateway: me,
        sequencer: Default::default(),
        settler: None,
        slot: 0,
        l1_head: None,
        l2_head: None,
        settled: None,
        unsettled: 0,
        last_signed: None,
        journal: 0,
        peers: BTreeMap::new(),
        last_batch: None,
        settlements: 0,
        lookahead: None,
        errors: BTreeMap::new(),
    }
}

fn record(board: &StatusBoard) -> Option<LookaheadRecord> {
    board.get().lookahead.and_then(|lookahead| lookahead.last)
}

fn by(board: &StatusBoard) -> Option<Publisher> {
    record(board).map(|record| record.by)
}

#[tokio::test]
async fn delegations_and_a_publication_make_a_proven_schedule() {
    let world = World::start(async |world| {
        let sent = world.delegate(&DELEGATED, 2).await.expect("sent");
        assert!(sent.iter().all(|sent| matches!(sent.end, TransactionEnd::Included { .. })), "{sent:?}");
        assert_eq!(world.node.states_served(), 1, "one download for all");
        // All in one block.
        let mut blocks = Vec::new();
        for sent in &sent {
            let receipt = world.l1.l1().node().clone();
            let receipt = alloy::providers::Provider::get_transaction_receipt(&receipt, sent.tx_hash.expect("sent"));
            blocks.push(receipt.await.expect("an answer").expect("mined").block_number);
        }
        blocks.dedup();
        assert_eq!(blocks.len(), 1);
        for index in DELEGATED {
            let standing = standing(&world.l1.l1(), index).await.expect("read");
            assert_eq!((standing.gateway, standing.nonce, standing.from_epoch), (2, 1, world.epoch - 1));
        }
    })
    .await;
    let (l1, beacon) = (world.l1.l1(), world.beacon());
    let sender = world.l1.sender(world.publisher().await);
    let clock = &world.l1.clock;
    // The newest block that can be proven is of an older epoch at first: the command waits for the next.
    let older = VectorState::load(Fork::Fulu, 6);
    world.l1.mine(world.state.header.slot, older.root).await;
    let publishing = publish_once(&l1, &beacon, &sender, clock, RULES, None, &silent);
    let next = async {
        until("a question for the older block", async || {
            world.node.asked().iter().any(|path| path.contains(&older.root.to_string()))
        })
        .await;
        world.begin().await;
        std::future::pending::<()>().await;
    };
    let published = tokio::select! {
        published = world.l1.mining(world.state.root, publishing) => published.expect("published"),
        () = next => unreachable!("it waits for ever"),
    };
    let Published::Now { prepared, receipt } = published else { panic!("{published:?}") };
    assert_eq!((prepared.epoch, prepared.header_slot), (world.epoch, world.state.header.slot));
    assert!(receipt.gas_used < 250_000, "{}", receipt.gas_used);

    // What the contract made of it: each delegated proposer's slot, and the vacant ones before it.
    let report = report(&l1, clock, Some(RULES), world.epoch).await.expect("read");
    let Origin::Published { publication: Some(publication) } = report.origin else { panic!("{report:?}") };
    assert_eq!(publication.header_slot, Some(world.state.header.slot));
    assert_eq!(publication.by, Some(sender.address()));
    let last = prepared.proposers.iter().rposition(|index| DELEGATED.contains(index)).expect("some propose");
    let kinds = world.kinds().await;
    assert_eq!(kinds.len(), 32);
    for (slot, (gateway, kind)) in kinds.into_iter().enumerate() {
        assert_eq!(kind, if slot <= last { Kind::Proven } else { Kind::Fallback }, "{slot}");
        assert!(slot > last || gateway == 2, "{slot}");
    }

    // Once is enough.
    let again = publish_once(&l1, &beacon, &sender, clock, RULES, Some(world.epoch), &silent).await.expect("an answer");
    assert!(matches!(again, Published::Before { epoch } if epoch == world.epoch));
    let early = publish_once(&l1, &beacon, &sender, clock, RULES, Some(world.epoch + 1), &silent).await;
    assert!(matches!(early, Err(OnceError::WrongTime { .. })), "{early:?}");
}

#[tokio::test]
async fn nothing_is_sent_if_anything_is_wrong() {
    let world = World::start(async |_| {}).await;
    let (l1, beacon, domain) = (world.l1.l1(), world.beacon(), world.domain());
    world.l1.mine_next(world.state.root).await;
    let owner = world.l1.sender(world.l1.account().clone());
    let stranger = world.l1.sender(world.publisher().await);
    let good = |index| {
        let terms = Delegation { validatorIndex: index, gateway: 1, nonce: 0, deadline: u64::MAX };
        sign(&domain, &terms, &VectorState::secret(index))
    };
    let count = async || {
        alloy::providers::Provider::get_transaction_count(&world.l1.provider, world.l1.account().address())
            .pending()
            .await
    };
    let before = count().await.expect("an answer");
    let submit = async |sender, signed: &[delegation::SignedDelegation]| {
        delegation::submit(&l1, &beacon, sender, &domain, signed, 1_000, SLOT, &silent).await.expect_err("refused")
    };
    // One bad among good ones.
    let mut bad = good(4);
    bad.gateway = 2;
    let error = submit(&owner, &[good(3), bad]).await;
    assert!(matches!(error, ActError::Signature(_)) && error.to_string().contains("validator 4"), "{error}");
    let error = submit(&owner, &[good(3), good(3)]).await;
    assert!(matches!(error, ActError::Twice(3)), "{error}");
    let error = submit(&stranger, &[good(3)]).await;
    assert!(matches!(error, ActError::NotOwner { gateway: 1, .. }), "{error}");
    let error = submit(&owner, &[delegation::SignedDelegation { gateway: 9, ..good(3) }]).await;
    assert!(matches!(error, ActError::UnknownGateway(9)), "{error}");
    let error = submit(&owner, &[good(22)]).await;
    assert!(error.to_string().contains("22"), "{error}");
    let expired = sign(&domain, &Delegation { deadline: 999, ..good(3).delegation() }, &VectorState::secret(3));
    let error = submit(&owner, &[expired]).await;
    assert!(error.to_string().contains("deadline"), "{error}");
    let error = delegation::accept(&l1, &owner, &[5], 1, SLOT).await.expect_err("refused");
    assert!(matches!(error, ActError::NoOffer { validator_index: 5, gateway: 1 }), "{error}");
    let error = delegation::renounce(&l1, &owner, &[5], SLOT).await.expect_err("refused");
    assert!(matches!(error, ActError::NotDelegated(5)), "{error}");
    let error = delegation::revoke(&l1, &beacon, &owner, &[5], SLOT, &silent).await.expect_err("refused");
    assert!(matches!(error, ActError::NotWithdrawalAddress { validator_index: 5, .. }), "{error}");
    assert_eq!(count().await.expect("an answer"), before);

    // The registry's own objection is told as well: the block's root is gone from the ring.
    let mut other = domain;
    other.genesis_fork_version = [0, 0, 0, 8].into();
    let wrongly = sign(&other, &good(3).delegation(), &VectorState::secret(3));
    let refused = delegation::submit(&l1, &beacon, &owner, &other, &[wrongly], 1_000, SLOT, &silent).await;
    let Err(ActError::Sending(SendingError::WouldRevert { validator_index: 3, revert })) = refused else {
        panic!("{refused:?}")
    };
    assert!(revert.to_string().contains("WrongSignature"), "{revert}");
    assert_eq!(count().await.expect("an answer"), before);
}

#[tokio::test]
async fn what_is_delegated_can_be_given_back() {
    let world = World::start(async |_| {}).await;
    world.delegate(&[3, 4], 1).await.expect("sent");
    let (l1, owner) = (world.l1.l1(), world.l1.sender(world.l1.account().clone()));
    let renouncing = delegation::renounce(&l1, &owner, &[3], SLOT);
    let sent = world.l1.mining(world.state.root, renouncing).await.expect("sent");
    assert!(sent[0].succeeded());
    // By the key: a delegation to nobody, which anybody may submit.
    world.delegate(&[4], 0).await.expect("sent");
    for index in [3, 4] {
        let standing = standing(&l1, index).await.expect("read");
        assert_eq!((standing.gateway, standing.nonce), (0, 2));
    }
}

#[tokio::test]
async fn a_withdrawal_address_offers_and_the_gateway_accepts() {
    let withdrawal = PrivateKeySigner::random();
    let state = VectorState::load(Fork::Fulu, 22).with_withdrawal_address(3, withdrawal.address());
    let world = World::with(state, async |_| {}).await;
    world.l1.fund(withdrawal.address()).await;
    world.l1.mine_next(world.state.root).await;
    let (l1, beacon, root) = (world.l1.l1(), world.beacon(), world.state.root);
    let (validator, owner) = (world.l1.sender(withdrawal), world.l1.sender(world.l1.account().clone()));
    let now = world.l1.clock.slot_start(world.l1.slot());
    let offering = delegation::offer(&l1, &beacon, &validator, &[3], 2, now + 10 * SLOT, SLOT, &silent);
    let sent = world.l1.mining(root, offering).await.expect("sent");
    assert!(sent[0].succeeded(), "{sent:?}");
    let offered = standing(&l1, 3).await.expect("read");
    assert_eq!((offered.gateway, offered.offer.map(|offer| offer.gateway)), (0, Some(2)));
    // To gateway 1 there is none.
    let other = delegation::accept(&l1, &owner, &[3], 1, SLOT).await.expect_err("refused");
    assert!(matches!(other, ActError::NoOffer { .. }), "{other}");
    let sent = world.l1.mining(root, delegation::accept(&l1, &owner, &[3], 2, SLOT)).await.expect("sent");
    assert!(sent[0].succeeded(), "{sent:?}");
    let accepted = standing(&l1, 3).await.expect("read");
    assert_eq!((accepted.gateway, accepted.nonce, accepted.offer), (2, 1, None));
    let revoking = delegation::revoke(&l1, &beacon, &validator, &[3], SLOT, &silent);
    let sent = world.l1.mining(root, revoking).await.expect("sent");
    assert!(sent[0].succeeded(), "{sent:?}");
    let revoked = standing(&l1, 3).await.expect("read");
    assert_eq!((revoked.gateway, revoked.nonce), (0, 2));
}

#[tokio::test]
async fn one_keeper_publishes_and_the_others_see_it() {
    let world = World::start(async |_| {}).await;
    let shutdown = CancellationToken::new();
    world.begin().await;
    // Whose turn is first goes round with the epochs.
    let first = if world.epoch % 2 == 0 { 1 } else { 2 };
    let (board, other) = (world.duty(first, &shutdown).await, world.duty(3 - first, &shutdown).await);
    until("a publication", async || world.l1.waiting().await > 0).await;
    let before = world.l1.transactions().await;
    world.l1.mine_next(world.state.root).await;
    until("the records", async || by(&board) == Some(Publisher::Own) && by(&other) == Some(Publisher::Other)).await;
    let own = record(&board).expect("recorded");
    assert_eq!(own.epoch, world.epoch);
    assert!(own.tx_hash.is_some());
    // The other's turn comes and goes. Whether it looks at each slot doesn't matter: it would look at the last one as well.
    for _ in 0..8 {
        world.l1.mine_next(world.state.root).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((world.l1.waiting().await, world.l1.transactions().await), (0, before + 1));
    assert_eq!((by(&board), by(&other)), (Some(Publisher::Own), Some(Publisher::Other)));
    assert_eq!((board.get().errors.len(), other.get().errors.len()), (0, 0), "{:?}", board.get().errors);
    assert_eq!(world.node.states_served(), 1, "the other never asked for the state");
    shutdown.cancel();
}

#[tokio::test]
async fn the_next_keeper_takes_over_and_a_transaction_that_is_passed_by_is_replaced() {
    let world = World::start(async |_| {}).await;
    let shutdown = CancellationToken::new();
    world.begin().await;
    let second = if world.epoch % 2 == 0 { 2 } else { 1 };
    // A beacon node that is down fails the duty and nothing else.
    world.node.behave(Manners { down: Some(503), ..Manners::default() });
    let board = world.duty(second, &shutdown).await;
    let turn = RULES.turn(world.epoch, 1, 2);
    while world.l1.slot() + 1 < turn - 1 {
        world.l1.mine_next(world.state.root).await;
    }
    // Nothing can be waited for that isn't to come.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.node.asked().is_empty(), "it isn't its turn yet");
    world.l1.mine_next(world.state.root).await;
    until("a failure", async || board.get().errors.contains_key("lookahead")).await;
    assert!(board.get().errors["lookahead"].contains(&world.node.address));
    world.node.behave(Manners::default());
    until("a publication", async || world.l1.waiting().await > 0).await;
    assert!(!board.get().errors.contains_key("lookahead") || board.get().lookahead.expect("shown").failures > 0);
    let pool = async || world.l1.anvil("txpool_content", serde_json::json!([])).await["pending"].to_string();
    let first = pool().await;
    // Two blocks leave it out.
    for _ in 0..2 {
        world.l1.mine_dear(world.state.root).await;
    }
    until("a replacement", async || world.l1.waiting().await > 0 && pool().await != first).await;
    world.l1.mine_next(world.state.root).await;
    until("the record", async || by(&board) == Some(Publisher::Own)).await;
    assert!(!board.get().errors.contains_key("lookahead"));
    shutdown.cancel();
}

#[tokio::test]
async fn past_the_deadline_nothing_is_sent_and_the_epoch_falls_back() {
    let world = World::start(async |_| {}).await;
    let shutdown = CancellationToken::new();
    world.l1.mine(RULES.deadline(world.epoch) - 1, world.state.root).await;
    let board = world.duty(if world.epoch % 2 == 0 { 1 } else { 2 }, &shutdown).await;
    until("the record", async || by(&board) == Some(Publisher::Nobody)).await;
    assert_eq!((world.l1.waiting().await, world.node.asked().len()), (0, 0));
    let sender = world.l1.sender(world.publisher().await);
    let late = publish_once(&world.l1.l1(), &world.beacon(), &sender, &world.l1.clock, RULES, None, &silent).await;
    assert!(matches!(late, Err(OnceError::WrongTime { .. })), "{late:?}");
    world.l1.mine(RULES.deadline(world.epoch), B256::repeat_byte(1)).await;
    let report = report(&world.l1.l1(), &world.l1.clock, Some(RULES), world.epoch).await.expect("read");
    assert_eq!(report.origin, Origin::Fallback);
    assert!(report.windows.iter().all(|window| window.kind == Kind::Fallback));
    shutdown.cancel();
}

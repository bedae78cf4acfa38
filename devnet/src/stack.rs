//! The whole devnet: L1, contracts, three engines, portal, keepers, driver and traffic.

use crate::{
    accounts::{Accounts, parameters},
    beacon::{self, BeaconApi, BeaconChain, BeaconConfig, BlobSource, Delegate, Validators},
    configuration::{KeeperConfig, PortalConfig},
    deployment::{Deployment, DeploymentParameters, NewGateway, Scripts, ether},
    driver::{Driver, DriverConfig, EngineClient},
    kona::{KonaConfig, KonaNode, RollupFacts},
    l1::{L1Node, L1Slots, SlotTicker},
    ports::free_ports,
    process::Process,
    proposers::KeeperCommands,
    sequencer::Sequencer,
    served_engine::ServedEngine,
    toolchain::Toolchain,
    traffic::Traffic,
    wallet_rpc,
};
use alloy::{
    network::EthereumWallet,
    primitives::Address,
    providers::{DynProvider, Provider, ProviderBuilder},
    signers::local::PrivateKeySigner,
};
use baton_devnet_engine::{Fork, JwtSecret, devnet_genesis};
use baton_protocol::{Link, SLOTS_PER_EPOCH, SlotClock};
use eyre::{Context, Result, bail, ensure, eyre};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The L2's chain id.
const L2_CHAIN_ID: u64 = 90_210;
/// Gas limit of L2 blocks.
const GAS_LIMIT: u64 = 30_000_000;
/// How long deployment and start-up may take before the L2 chain begins, seconds: at first, and when that wasn't enough.
const START_UPS: [u64; 3] = [12, 30, 60];

/// What a devnet is like.
#[derive(Clone, Copy, Debug)]
pub struct StackConfig {
    /// Seconds in an L1 slot, from 1 to 3.
    pub slot_length: u64,
    /// Seconds between L2 blocks.
    pub l2_block_time: u64,
    /// Slots of a turn.
    pub turn: u64,
    /// Slots until bounties can be collected.
    pub evidence_horizon: u64,
    /// Time between two transactions of the user.
    pub traffic_pause: Duration,
    /// Whether kona-node sequences, rather than the devnet's own driver. It must be installed, see [`Toolchain::peer`].
    pub kona: bool,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self {
            slot_length: 2,
            l2_block_time: 1,
            turn: 8,
            evidence_horizon: 16,
            traffic_pause: Duration::from_millis(400),
            kona: false,
        }
    }
}

/// A gateway's keeper and its accounts.
pub struct GatewayNode {
    /// `A`, `B`.
    pub name: &'static str,
    /// Its id in the registry.
    pub id: u16,
    /// Its owner's account.
    pub owner: PrivateKeySigner,
    /// The account that its keeper publishes lookaheads from.
    pub publisher: Address,
    /// Its execution engine.
    pub engine: ServedEngine,
    /// Its keeper.
    pub keeper: Process,
    /// The keeper's admin URL.
    pub admin_url: String,
    /// The keeper's feed URL.
    pub feed_url: String,
}

/// A running devnet. Dropping it ends every process.
pub struct Stack {
    /// The L1.
    pub l1: L1Node,
    /// Its slots.
    pub ticker: SlotTicker,
    /// Its beacon side's API.
    pub beacon: BeaconApi,
    /// The times.
    pub clock: SlotClock,
    /// What was deployed with which parameters.
    pub parameters: DeploymentParameters,
    /// Where the contracts are.
    pub deployment: Deployment,
    /// The operator's engine.
    pub fallback: ServedEngine,
    /// Gateways A and B.
    pub gateways: [GatewayNode; 2],
    /// The operator's keeper, which signs what its owner doesn't.
    pub operator: Process,
    /// The portal.
    pub portal: Process,
    /// The portal's Engine API.
    pub portal_url: String,
    /// The portal's admin URL.
    pub portal_admin_url: String,
    /// The L2 as wallets see it.
    pub wallet_url: String,
    /// An account with ether on L2, for people to play with.
    pub playground: PrivateKeySigner,
    /// Op-node's part.
    pub sequencer: Sequencer,
    /// The user.
    pub traffic: Traffic,
    /// Where logs and data are.
    pub folder: TempDir,
    jwt: JwtSecret,
    portal_file: PathBuf,
    shutdown: CancellationToken,
}

impl Stack {
    /// Starts everything. `say` is told what happens meanwhile.
    ///
    /// The L2 chain's beginning is part of the deployment, so it is chosen before anything runs. A machine that needs longer to start gets
    /// another devnet with a later beginning: nobody should owe blocks from before it was there.
    pub async fn start(config: StackConfig, mut say: impl FnMut(&str)) -> Result<Self> {
        let toolchain = Toolchain::find()?;
        say("compiling the contracts");
        toolchain.compile_contracts().await?;
        for start_up in START_UPS {
            let stack = Self::begin(config, &toolchain, start_up, &mut say).await?;
            if SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() <= stack.clock.l2_genesis_time {
                return Ok(stack);
            }
            say("that took too long: once more, with more time");
            stack.stop().await?;
        }
        bail!("this machine doesn't start a devnet in {} s", START_UPS[START_UPS.len() - 1])
    }

    async fn begin(
        config: StackConfig,
        toolchain: &Toolchain,
        start_up: u64,
        say: &mut impl FnMut(&str),
    ) -> Result<Self> {
        let (keeper_program, portal_program) = (toolchain.built("keeper")?, toolchain.built("portal")?);
        let shutdown = CancellationToken::new();
        let folder = tempfile::Builder::new().prefix("baton-devnet-").tempdir()?;
        let logs = folder.path().join("logs");
        std::fs::create_dir_all(&logs)?;

        // Epoch 0 lies two epochs back: what registers there is scheduled from epoch 2 on, which is when the L2 chain begins.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let l2_genesis_time = now + start_up;
        let delay = 2;
        let l1_genesis_time = l2_genesis_time - (2 * SLOTS_PER_EPOCH - delay) * config.slot_length;
        let times = BeaconConfig { genesis_time: l1_genesis_time, slot_length: config.slot_length };
        let clock = SlotClock {
            l1_genesis_time,
            slot_length: config.slot_length,
            l2_genesis_time,
            l2_block_time: config.l2_block_time,
            settlement_delay: delay,
        };
        clock.validate()?;

        say("starting anvil and three L2 execution engines");
        let l1 = L1Node::start(toolchain, l1_genesis_time).await?;
        let chain =
            Arc::new(BeaconChain::new(times, Validators::new().map_err(|error| eyre!("validators: {error:?}"))?)?);
        let slots = L1Slots::new(l1.provider().clone(), chain.clone());
        let blobs = BlobSource::new(l1.provider().clone(), l1.url());
        let beacon = beacon::serve(chain.clone(), blobs, shutdown.clone()).await?;
        let accounts = Accounts::new(&l1)?;
        let funded = [accounts.user.address(), accounts.playground.address()];
        let genesis = devnet_genesis(L2_CHAIN_ID, Fork::Isthmus, l2_genesis_time, funded, ether("1000"));
        let secret = |name: &str| -> Result<_> {
            let (secret, file) = (PrivateKeySigner::random().to_bytes(), folder.path().join(name));
            std::fs::write(&file, secret.to_string())?;
            Ok((JwtSecret::new(secret.0), file))
        };
        let ((jwt, jwt_file), (gateways_jwt, gateways_jwt_file)) = (secret("jwt.hex")?, secret("gateways-jwt.hex")?);
        let fallback = ServedEngine::start(&genesis, jwt.clone()).await?;
        let engines = [
            ServedEngine::start(&genesis, gateways_jwt.clone()).await?,
            ServedEngine::start(&genesis, gateways_jwt).await?,
        ];

        // Keepers name one another before any of them runs, so their ports are chosen here.
        let ports = free_ports::<8>()?;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let feeds = [url(ports[0]), url(ports[1])];
        let operator_feed = format!("ws://127.0.0.1:{}", ports[2]);

        say("deploying the contracts and registering gateways A and B with script/");
        let genesis_link = Link::default().then(fallback.engine.head().hash());
        let parameters = parameters(&config, &clock, genesis_link, &accounts);
        // Below the project, where foundry.toml lets scripts read and write; gone with this value, whatever happens.
        let deployments = toolchain.root().join("deployments");
        std::fs::create_dir_all(&deployments)?;
        let scripts_folder = tempfile::Builder::new().prefix("devnet-").tempdir_in(&deployments)?;
        let scripts = Scripts { toolchain, rpc_url: &l1.url(), folder: scripts_folder.path().to_owned() };
        let gateways: [NewGateway; 2] = std::array::from_fn(|i| NewGateway {
            owner: accounts.owners[i].clone(),
            settler: accounts.settlers[i].address(),
            sequencer_key: accounts.sequencers[i].address(),
            penalty: parameters.penalty_threshold,
            refund: parameters.refund_threshold,
            endpoint: engines[i].engine_url(),
            feed: format!("ws://127.0.0.1:{}", ports[i]),
        });
        let deploy = async {
            let deployment = scripts.deploy(&parameters, &accounts.deployer).await?;
            for gateway in &gateways {
                scripts.register(deployment.registry, gateway).await?;
            }
            Ok(deployment)
        };
        let deployment = slots.fast_forward(1, deploy).await?;
        drop(scripts_folder);

        say("delegating validators to A and B, and publishing the first lookahead, with the keeper's commands");
        let commands = KeeperCommands {
            program: &keeper_program,
            folder: folder.path(),
            l1_url: l1.url(),
            beacon_url: beacon.url().to_owned(),
            registry: deployment.registry,
        };
        let delegate = async {
            let validators = chain.validators();
            tokio::try_join!(
                commands.delegate(validators, Delegate::A, 1, &accounts.owners[0]),
                commands.delegate(validators, Delegate::B, 2, &accounts.owners[1]),
            )
        };
        let next = chain.head().map_or(0, |(header, _)| header.slot) + 1;
        slots.fast_forward(next, delegate).await?;
        let now = chain.head().map_or(0, |(header, _)| header.slot);
        ensure!(now < SLOTS_PER_EPOCH, "deployment and delegations took {now} slots, more than an epoch");
        // What counts for epoch 2 is what stood at the end of epoch 0. The second block of epoch 1 can prove the first.
        slots.mine(SLOTS_PER_EPOCH).await?;
        slots.mine(SLOTS_PER_EPOCH + 1).await?;
        slots.fast_forward(SLOTS_PER_EPOCH + 2, commands.publish(2, &accounts.deployer)).await?;
        let l1_start = l1.provider().get_block_number().await?;
        // From here on the schedule of the first L2 blocks is fixed. More blocks only come once everybody can act on them: a slot
        // without a block is nobody's fault, however long the start takes.
        slots.catch_up().await?;

        say("starting portal, keepers and the operator's signer");
        let portal_config = PortalConfig {
            listen: ports[3],
            admin: ports[4],
            jwt_file: jwt_file.clone(),
            gateways_jwt_file,
            fallback_url: fallback.engine_url(),
            l1_url: l1.url(),
            registry: deployment.registry,
            clock,
        };
        let portal_file = portal_config.write(folder.path())?;
        let mut portal = Process::start("portal", &portal_program, portal_arguments(&portal_file), &logs)?;
        let keeper = |name: &str,
                      keys: Option<(u16, &PrivateKeySigner)>,
                      sequencer: &PrivateKeySigner,
                      publisher: Option<&PrivateKeySigner>,
                      l2: &ServedEngine,
                      feed: u16,
                      admin: u16| {
            let config = KeeperConfig {
                name: name.to_owned(),
                gateway: keys.map(|(id, _)| id),
                settler: keys.map(|(_, settler)| settler.clone()),
                sequencer: sequencer.clone(),
                publisher: publisher.cloned(),
                l1_url: l1.url(),
                beacon_url: beacon.url().to_owned(),
                l2_url: l2.rpc_url(),
                registry: deployment.registry,
                inbox: deployment.inbox,
                feed,
                admin,
                operator_feed: operator_feed.clone(),
            };
            let file = config.write(folder.path())?;
            Process::start(name, &keeper_program, [PathBuf::from("run"), "--config".into(), file], &logs)
        };
        let mut operator = keeper("operator", None, &accounts.fallback, None, &fallback, ports[2], ports[5])?;
        let keepers = [
            keeper(
                "keeper-a",
                Some((1, &accounts.settlers[0])),
                &accounts.sequencers[0],
                Some(&accounts.publishers[0]),
                &engines[0],
                ports[0],
                ports[6],
            )?,
            keeper(
                "keeper-b",
                Some((2, &accounts.settlers[1])),
                &accounts.sequencers[1],
                Some(&accounts.publishers[1]),
                &engines[1],
                ports[1],
                ports[7],
            )?,
        ];
        let [engine_a, engine_b] = engines;
        let [keeper_a, keeper_b] = keepers;
        let [owner_a, owner_b] = accounts.owners.clone();
        let [publisher_a, publisher_b] = accounts.publishers.each_ref().map(PrivateKeySigner::address);
        let [feed_a, feed_b] = feeds;
        let node = |name, id, owner, publisher, engine, keeper, admin, feed_url| GatewayNode {
            name,
            id,
            owner,
            publisher,
            engine,
            keeper,
            admin_url: url(admin),
            feed_url,
        };
        let mut gateways = [
            node("A", 1, owner_a, publisher_a, engine_a, keeper_a, ports[6], feed_a),
            node("B", 2, owner_b, publisher_b, engine_b, keeper_b, ports[7], feed_b),
        ];
        let portal_url = url(ports[3]);
        let portal_admin_url = url(ports[4]);
        let [a, b] = &mut gateways;
        for (process, admin) in [
            (&mut portal, &portal_admin_url),
            (&mut operator, &url(ports[5])),
            (&mut a.keeper, &a.admin_url),
            (&mut b.keeper, &b.admin_url),
        ] {
            ready(process, admin).await?;
        }
        let ticker = slots.start(shutdown.clone());

        say("starting op-node's part and a user who sends transactions");
        let sequencer = if config.kona {
            let start = l1.provider().get_block_by_number(l1_start.into()).await?;
            let start = start.ok_or_else(|| eyre!("L1 block {l1_start} is gone"))?;
            let kona = KonaConfig {
                toolchain,
                rollup: RollupFacts {
                    genesis: &genesis,
                    genesis_hash: fallback.engine.head().hash(),
                    l1_chain_id: l1.chain_id(),
                    l1_start: (l1_start, start.header.hash),
                    l2_block_time: clock.l2_block_time,
                    inbox: deployment.inbox,
                    system_config: deployment.system_config,
                    batcher: parameters.batcher,
                },
                l1_url: &l1.url(),
                beacon_url: beacon.url(),
                engine_url: &portal_url,
                jwt_file: &jwt_file,
                folder: folder.path(),
                logs: &logs,
            };
            Sequencer::Kona(Box::new(KonaNode::start(kona, fallback.engine.clone(), shutdown.clone()).await?))
        } else {
            let driver = DriverConfig {
                engine_url: portal_url.clone(),
                jwt: jwt.clone(),
                clock,
                l1_start,
                batcher: parameters.batcher,
                gas_limit: GAS_LIMIT,
            };
            Sequencer::Driver(Driver::start(driver, l1.provider().clone(), shutdown.clone()).await?)
        };
        let wallet = EngineClient::new(portal_url.clone(), jwt.clone());
        let wallet_url = wallet_rpc::serve(portal_url.clone(), jwt.clone(), shutdown.clone()).await?;
        let traffic = Traffic::start(wallet, accounts.user, L2_CHAIN_ID, config.traffic_pause, shutdown.clone());

        Ok(Self {
            l1,
            ticker,
            beacon,
            clock,
            parameters,
            deployment,
            fallback,
            gateways,
            operator,
            portal,
            portal_url,
            portal_admin_url,
            wallet_url,
            playground: accounts.playground,
            sequencer,
            traffic,
            folder,
            jwt,
            portal_file,
            shutdown,
        })
    }

    /// A client of the portal, as op-node has one.
    pub fn portal_client(&self) -> EngineClient {
        EngineClient::new(self.portal_url.clone(), self.jwt.clone())
    }

    /// Starts the portal again after its end, which nothing of it has outlived, and waits until it is ready.
    pub async fn restart_portal(&mut self) -> Result<()> {
        self.portal.stop().await?;
        let program = Toolchain::find()?.built("portal")?;
        let logs = self.folder.path().join("logs");
        self.portal = Process::start("portal", &program, portal_arguments(&self.portal_file), &logs)?;
        ready(&mut self.portal, &self.portal_admin_url).await
    }

    /// An L1 provider that signs with an account's key.
    pub fn wallet(&self, account: &PrivateKeySigner) -> DynProvider {
        let wallet = EthereumWallet::from(account.clone());
        // The URL was parsed once already.
        ProviderBuilder::new().wallet(wallet).connect_provider(self.l1.provider().clone()).erased()
    }

    /// Who sends from an account that publishes lookaheads.
    pub fn publisher_name(&self, sender: Address) -> String {
        match self.gateways.iter().find(|gateway| gateway.publisher == sender) {
            Some(gateway) => format!("{}'s keeper", gateway.name),
            None if sender == self.parameters.operator => "the operator".to_owned(),
            None => sender.to_string(),
        }
    }

    /// Fails if a part has ended by itself; `dead` are those that were killed on purpose.
    pub async fn check(&mut self, dead: &[&str]) -> Result<()> {
        ensure!(self.ticker.is_running(), "the L1 has stopped");
        self.sequencer.check().await.wrap_err_with(|| format!("portal:\n{}", self.portal.tail(15)))?;
        let [a, b] = &mut self.gateways;
        for process in [&mut self.portal, &mut self.operator, &mut a.keeper, &mut b.keeper] {
            if !dead.contains(&process.name()) {
                process.check()?;
            }
        }
        Ok(())
    }

    /// Ends everything in order: first who sends, then who answers.
    pub async fn stop(mut self) -> Result<()> {
        self.shutdown.cancel();
        self.sequencer.stop().await?;
        let [mut a, mut b] = self.gateways;
        for process in [&mut a.keeper, &mut b.keeper, &mut self.operator, &mut self.portal] {
            process.stop().await?;
        }
        for engine in [&mut a.engine, &mut b.engine, &mut self.fallback] {
            engine.stop().await;
        }
        Ok(())
    }
}

fn portal_arguments(file: &Path) -> [&OsStr; 3] {
    ["run".as_ref(), "--config".as_ref(), file.as_ref()]
}

/// Waits for `/healthz`.
async fn ready(process: &mut Process, admin_url: &str) -> Result<()> {
    let url = format!("{admin_url}/healthz");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match reqwest::get(&url).await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        process.check()?;
        ensure!(Instant::now() < deadline, "{} isn't ready after a minute:\n{}", process.name(), process.tail(20));
    }
}

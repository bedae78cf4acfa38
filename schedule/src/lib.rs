//! Baton's schedule and gateways, followed from L1 and held in memory, for portals and keepers.
//!
//! [`Follower::spawn`] starts one task that polls the L1, and looks at once when a node that is reached by a websocket announces a head. Its
//! [`Handle`] gives [`Snapshot`]s without locks and says when a new one is there. Nothing that reads a snapshot ever waits for an L1 call. When the
//! L1 can't be read, the last good snapshot stays and says so in [`Snapshot::stale`].
//!
//! L1 URLs are [`NodeUrl`]s: what may be a key in them shows up in no log, error or debug output.
//!
//! Reading is apart from deciding: [`HeadTrail`] tells a new block from a reorg, [`UrlBook`] folds the registry's `UrlsSet` events and takes
//! those of dropped blocks back, [`fail_over_order`] says whom to ask next. All three are pure.

mod config;
mod epochs;
mod error;
mod follower;
mod handle;
mod http;
mod l1;
mod node;
mod node_url;
mod plausibility;
mod redial;
mod snapshot;
mod span;
mod trail;
mod urls;

pub use config::{ConfigError, FollowerConfig};
pub use error::FollowError;
pub use follower::{Follower, fail_over_order};
pub use handle::{Closed, Handle, Publisher, channel};
pub use node_url::{NodeUrl, node_urls};
pub use snapshot::{GatewayInfo, GatewayUrls, L1Head, SequencerKeys, Snapshot};
pub use trail::{Ancestor, HeadTrail};
pub use urls::{UrlBook, UrlsLog};

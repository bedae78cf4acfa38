//! The follower against the real registry on anvil. Needs `npm ci` and `forge build` at the top level, as `make test` does.

mod catching_up;
mod l1;
mod lagging;
mod log;
mod lying;
mod registry;
mod secrets;
mod websocket;
mod wire;

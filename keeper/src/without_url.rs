//! HTTP errors without the URL that was asked: providers put keys into it, and errors go to logs and to the status page.

use alloy::{
    rpc::json_rpc::{RequestPacket, ResponsePacket},
    transports::{RpcError, TransportError, TransportErrorKind, TransportFut, http::reqwest},
};
use futures::TryFutureExt;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Wraps alloy's HTTP transport. What an error is otherwise stays: it decides whether a transaction may have got through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithoutUrl;

/// A transport that tells no URLs.
#[derive(Clone, Debug)]
pub(crate) struct Discreet<S>(S);

impl<S> Layer<S> for WithoutUrl {
    type Service = Discreet<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Discreet(inner)
    }
}

impl<S> Service<RequestPacket> for Discreet<S>
where
    S: Service<RequestPacket, Response = ResponsePacket, Error = TransportError, Future = TransportFut<'static>>,
{
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.0.call(packet).map_err(without_url))
    }
}

fn without_url(error: TransportError) -> TransportError {
    let RpcError::Transport(TransportErrorKind::Custom(error)) = error else { return error };
    match error.downcast::<reqwest::Error>() {
        Ok(error) => TransportErrorKind::custom(error.without_url()),
        Err(error) => RpcError::Transport(TransportErrorKind::Custom(error)),
    }
}

#[cfg(test)]
mod tests {
    use crate::{config::L1Config, l1::L1, posting::Answer};
    use alloy::providers::Provider;

    #[tokio::test]
    async fn an_error_tells_no_key_and_what_it_means_all_the_same() {
        let config = L1Config { urls: vec!["http://127.0.0.1:1/s3cret-k3y".into()], poll_ms: None };
        assert!(!format!("{config:?}").contains("s3cret-k3y"), "{config:?}");
        let contracts = crate::l1::scripted::contracts();
        let error = L1::new(&config, &contracts).expect("a URL").node().get_chain_id().await.expect_err("nobody there");
        let said = format!("{error} {error:?}");
        assert!(said.contains("error sending request") && !said.contains("s3cret-k3y"), "{said}");
        assert_eq!(Answer::from_error(&error), Answer::Refused);
    }
}
